"""Builds, exports and builds of what was exported, by the commands themselves."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

import segdata
from segdata.cli import cli
from segdata.shards.tfrecord import read_records


def export(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)])


def build(*arguments: object) -> None:
    result = CliRunner().invoke(cli, ["build", *map(str, arguments)])
    assert result.exception is None, result.exception


def exported(out: Path, dest: Path, target: str, *options: str) -> str:
    result = export(out, dest, f"--to={target}", *options)
    assert result.exception is None, result.exception
    return result.output


def built_again(dest: Path, out: Path, printed: str) -> Path:
    """Runs the command that the export printed."""
    [line] = [x for x in printed.splitlines() if x.startswith("read it back: segdata ")]
    words = line.removeprefix("read it back: segdata build ").split()
    assert words[1] == str(dest)
    build(*(str(out) if word == "OUT" else word for word in words))
    return out


def serialized(out: Path) -> dict[str, dict[str, bytes]]:
    """Split -> key -> record."""
    dataset = segdata.open(out)
    found: dict[str, dict[str, bytes]] = {}
    for split, summary in dataset.manifest.splits.items():
        keys = iter(dataset[split].keys)
        for shard in summary.shards:
            for raw in read_records(out / shard.name):
                found.setdefault(split, {})[next(keys)] = raw.data
    return found
