"""`segdata verify OUT`: re-read and check every record of a finished build."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from segdata.commands.beam_args import check_beam_args
from segdata.commands.help import TopicCommand
from segdata.commands.location import LocationType
from segdata.errors import CorruptionError
from segdata.pipelines.on_beam import OnBeam
from segdata.pipelines.runner_options import RunnerOptions
from segdata.pipelines.storage_options import with_beam_options
from segdata.storage.paths import Location

if TYPE_CHECKING:  # `segdata verify --help` needs no NumPy
    from segdata.checking.verify import Verified


@click.command(
    cls=TopicCommand,
    examples=(
        ("segdata verify OUT", "read every record"),
        (
            "segdata verify OUT --fast",
            "sizes and indexes only: seconds, even for a terabyte",
        ),
    ),
)
@click.argument("out", type=LocationType())
@click.argument("beam_args", nargs=-1, type=click.UNPROCESSED, callback=check_beam_args)
@click.option(
    "--fast",
    is_flag=True,
    help="Check file sizes, receipts, indexes and record lengths only.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Most problems to list; all are counted.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Worker processes on this machine."
)
@click.option(
    "--runner", metavar="NAME", help="Beam runner; its options follow after --."
)
def verify(
    out: Location,
    beam_args: tuple[str, ...],
    fast: bool,
    limit: int,
    workers: int | None,
    runner: str | None,
) -> None:
    """Read every record again and check it: CRCs, hashes, images, masks, counts.

    Prints each problem with its file and record. The exit code is 1 if there is any.
    """
    # Not earlier: `segdata verify --help` needs no NumPy.
    from segdata.checking.verify import verify as run_verify

    options = RunnerOptions(runner=runner, workers=workers, beam_args=beam_args)
    engine = OnBeam(options)
    found = run_verify(
        with_beam_options(out, beam_args),
        fast=fast,
        limit=limit,
        run_shards=engine,
    )
    for problem in found.problems[:limit]:
        click.echo(problem.message)
    if found.num_problems > limit:
        click.echo(f"... and {found.num_problems - limit} more")
    _check(found, out)
    how = "have their sizes and indexes" if fast else "are whole"
    click.echo(
        f"verified {out}: {found.num_records} records in {found.num_shards} shards "
        f"{how}"
    )


def _check(found: Verified, out: Location) -> None:
    """Ends the command if something was found, and says what to do about it."""
    num_damaged = found.num_problems - found.num_of_source
    if num_damaged:
        raise CorruptionError(
            f"{out} is not what its manifest says: {num_damaged} problems. "
            "Restore the files; or remove the damaged shards and build with --update, "
            "which writes what is missing."
        )
    if found.num_of_source:
        raise CorruptionError(
            f"{out} is what was built, but images of its source are damaged: "
            f"{found.num_of_source}. Replace them and build with --update; or leave "
            "them out by --check pixels --on-error skip --overwrite."
        )
