"""`segdata diff OUT_A OUT_B`: which records, options and classes differ."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import click
import orjson

from segdata.checking.diff import BuildDifference, RecordDifference, compare_builds
from segdata.commands.help import TopicCommand
from segdata.commands.location import LocationType
from segdata.errors import OptionError, SegdataError
from segdata.progress import display
from segdata.shards.manifest import read_manifest
from segdata.storage.paths import Location

_SHOWN = 60
_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": ">"}


@click.command(
    cls=TopicCommand,
    examples=(
        ("segdata diff before after", "what changed between two builds"),
        (
            "segdata diff before after --records",
            "compare the records only, not the options",
        ),
    ),
)
@click.argument("out_a", type=LocationType())
@click.argument("out_b", type=LocationType())
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Most lines of each kind to list, such as settings or records.",
)
@click.option(
    "--records",
    "only_records",
    is_flag=True,
    help="Compare the records only, e.g. of an export that was built again.",
)
@click.pass_context
def diff(
    ctx: click.Context,
    out_a: Location,
    out_b: Location,
    as_json: bool,
    limit: int,
    only_records: bool,
) -> None:
    """Compare two finished builds.

    The first line is the verdict. The exit code is 0 if the builds are equal (with
    --records: if their records are), 1 if they differ, 2 if one cannot be read.
    """
    try:
        found = _compare(out_a, out_b)
    except SegdataError as error:
        raise OptionError(str(error), reason=error.reason) from error
    if as_json:
        text = orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2)
        click.echo(text.decode())
    else:
        click.echo(f"{out_a} and {out_b} {_verdict(found)}")
        if not only_records:
            _print_values(found.settings, limit, "settings")
            _print_values(found.classes, limit, "classes")
        _print_records(found, limit)
    is_equal = found.has_equal_records if only_records else found.is_empty
    ctx.exit(0 if is_equal else 1)


def _compare(out_a: Location, out_b: Location) -> BuildDifference:
    splits = [s for out in (out_a, out_b) for s in read_manifest(out).splits.values()]
    with display(sum(s.num_records for s in splits) // 2, "comparing") as advance:
        return compare_builds(out_a, out_b, advance)


def _verdict(found: BuildDifference) -> str:
    if found.is_empty:
        return "are equal"
    counts = {f"records {kind}": len(found.of_kind(kind)) for kind in _SIGNS}
    counts |= {"settings": len(found.settings), "classes": len(found.classes)}
    told = ", ".join(f"{what}: {count}" for what, count in counts.items() if count)
    return f"differ{' (records equal)' * found.has_equal_records}; {told}"


def _print_records(found: BuildDifference, limit: int) -> None:
    for kind, sign in _SIGNS.items():
        records = found.of_kind(kind)
        if records:
            click.echo(f"records {kind}: {len(records)}")
        for item in records[:limit]:
            click.echo(f"  {sign} {_described(item, kind)}")
        _print_rest(len(records), limit)


def _print_values(values: Mapping[str, tuple[Any, Any]], limit: int, kind: str) -> None:
    if values:
        click.echo(f"{kind} that differ: {len(values)}")
    for name, (before, after) in list(values.items())[:limit]:
        first, second = _short_pair(repr(before), repr(after))
        click.echo(f"  {name}: {first} -> {second}")
    _print_rest(len(values), limit)


def _print_rest(count: int, limit: int) -> None:
    if count > limit:
        click.echo(f"  ... and {count - limit} more")


def _short_pair(before: str, after: str) -> tuple[str, str]:
    """Two texts, each of some 60 characters, cut to where they begin to differ."""
    if max(len(before), len(after)) <= _SHOWN:
        return before, after
    pairs = zip(before, after, strict=False)
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    start = same - _SHOWN // 3
    return _cut(before, max(0, start)), _cut(after, max(0, start))


def _cut(text: str, start: int) -> str:
    end = start + _SHOWN
    return f"{'...' * (start > 0)}{text[start:end]}{'...' * (end < len(text))}"


def _described(item: RecordDifference, kind: str) -> str:
    place = item.after or item.before
    assert place is not None  # one of them is there
    text = f"{place.split} {item.key}"
    if kind == "changed":
        return f"{text}: {', '.join(item.features)}"
    if kind == "moved" and item.before is not None:
        return f"{text}: {item.before.shard} -> {place.shard}"
    return text
