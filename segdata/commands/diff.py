"""`segdata diff OUT_A OUT_B`: which records, options and classes differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import orjson

from segdata.checking.diff import BuildDifference, RecordDifference, compare_builds
from segdata.commands.location import LocationType
from segdata.errors import OptionError, SegdataError, short_repr
from segdata.progress import display
from segdata.shards.manifest import read_manifest
from segdata.storage.paths import Location

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}


@click.command()
@click.argument("out_a", type=LocationType())
@click.argument("out_b", type=LocationType())
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Records shown of each kind.",
)
@click.pass_context
def diff(
    ctx: click.Context, out_a: Location, out_b: Location, as_json: bool, limit: int
) -> None:
    """Tell exactly what differs between two finished builds.

    Exit codes are those of `diff`: 0 the builds are equal, 1 they differ, 2 one of them
    cannot be read.
    """
    try:
        found = _compare(out_a, out_b)
    except SegdataError as error:
        raise OptionError(str(error), reason=error.reason) from error
    if as_json:
        text = orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2)
        click.echo(text.decode())
    elif found.is_empty:
        click.echo(f"{out_a} and {out_b} are equal")
    else:
        _print(found, limit)
    ctx.exit(0 if found.is_empty else 1)


def _compare(out_a: Location, out_b: Location) -> BuildDifference:
    splits = [s for out in (out_a, out_b) for s in read_manifest(out).splits.values()]
    with display(sum(s.num_records for s in splits) // 2, "comparing") as advance:
        return compare_builds(out_a, out_b, advance)


def _print(found: BuildDifference, limit: int) -> None:
    _print_values(found.settings)
    _print_values(found.classes)
    for kind, sign in _SIGNS.items():
        records = found.of_kind(kind)
        if records:
            click.echo(f"records {kind}: {len(records)}")
        for item in records[:limit]:
            click.echo(f"  {sign} {_described(item, kind)}")
        if len(records) > limit:
            click.echo(f"  ... and {len(records) - limit} more")


def _print_values(values: Mapping[str, tuple[Any, Any]]) -> None:
    for name, (before, after) in values.items():
        click.echo(f"{name}: {short_repr(before)} -> {short_repr(after)}")


def _described(item: RecordDifference, kind: str) -> str:
    place = item.after or item.before
    assert place is not None  # one of them is there
    text = f"{place.split} {item.key}"
    if kind == "changed":
        return f"{text}: {', '.join(item.features)}"
    if kind == "moved" and item.before is not None:
        return f"{text}: {item.before.shard} -> {place.shard}"
    return text
