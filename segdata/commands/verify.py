"""`segdata verify OUT`: re-read and check every record of a finished build."""

from __future__ import annotations

from pathlib import Path

import click

from segdata.errors import CorruptionError
from segdata.manifest import read_manifest
from segdata.progress import display
from segdata.verification import stray_files, verify_shard

_MAX_SHOWN = 20


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
def verify(out: Path) -> None:
    """Re-read and check every record: CRCs, hashes, images, masks, counts.

    Prints each problem with its file and record; exits with 1 if there is one.
    """
    result = read_manifest(out)
    shards = [shard for split in result.splits.values() for shard in split.shards]
    num_records = sum(shard.num_records for shard in shards)
    problems = [f"{name}: not in the manifest" for name in stray_files(out, result)]
    with display(num_records, "verifying") as advance:
        for shard in shards:
            found = verify_shard(out, shard, result.label_map, advance)
            problems += [problem.message for problem in found]
    for problem in problems[:_MAX_SHOWN]:
        click.echo(problem)
    if len(problems) > _MAX_SHOWN:
        click.echo(f"... and {len(problems) - _MAX_SHOWN} more")
    if problems:
        raise CorruptionError(
            f"{out} is not what its manifest says: {len(problems)} problems. Build it "
            "again with --overwrite, or restore the files."
        )
    click.echo(
        f"verified {out}: {num_records} records in {len(shards)} shards are whole"
    )
