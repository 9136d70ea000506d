"""`segdata info OUT`: what a finished build holds."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter

import click

from segdata.commands.help import TopicCommand
from segdata.commands.location import LocationType
from segdata.commands.reading_lines import (
    CODES,
    copying_lines,
    reading_snippets,
    shard_glob,
)
from segdata.commands.sizes import format_bytes
from segdata.commands.tables import print_table
from segdata.errors import OptionError
from segdata.label_map import LabelClass
from segdata.shards.manifest import MANIFEST_NAME, REJECTS_NAME, Manifest, read_manifest
from segdata.storage.paths import Location

_SHOWN_CLASSES = 15
"""Most classes of a table, so that all fits a screen."""


@click.command(
    cls=TopicCommand,
    examples=(
        ("segdata info OUT", "splits, classes, sizes"),
        ("segdata info OUT --code keras", "lines that read it, to paste"),
    ),
)
@click.argument("out", type=LocationType())
@click.option(
    "--code",
    type=click.Choice(CODES),
    help="Print lines that read the build with this library, to paste.",
)
@click.option("--classes", is_flag=True, help="List all classes, not only the largest.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def info(out: Location, code: str | None, classes: bool, as_json: bool) -> None:
    """Summarise a finished build: splits, classes, sizes, shards."""
    result = read_manifest(out)
    if as_json:
        click.echo((out / MANIFEST_NAME).read_text("utf-8"), nl=False)
        return
    if code:
        _print_code(result, out, code)
        return
    click.echo(f"{result.name}: {result.layout}")
    written = f"written by segdata {result.versions['segdata']}"
    click.echo(f"{written}, fingerprint {result.fingerprint}")
    for name, text in dataclasses.asdict(result.about).items():
        if text:
            click.echo(f"{name}: {' '.join(text.split())}")
    print_summary(result, out)
    _print_classes(result, None if classes else _SHOWN_CLASSES)
    click.echo("\nshards")
    for split in result.splits.values():
        click.echo(f"  {shard_glob(out, split)}")
    codes = dict.fromkeys(snippet.code for snippet in reading_snippets(result, out))
    name = shlex.quote(str(out))
    click.echo(f"\nlines to read it: segdata info {name} --code {'|'.join(codes)}")


def print_summary(result: Manifest, out: Location) -> None:
    """Prints splits and everything a person should know of a build."""
    rows = [("split", "images", "objects", "shards", "size", "width x height")]
    for name, split in result.splits.items():
        rows.append(
            (
                name,
                f"{split.num_records}",
                f"{split.counts.class_objects.total()}",
                f"{len(split.shards)}",
                format_bytes(split.num_bytes),
                _sizes(split.counts.widths, split.counts.heights),
            )
        )
    click.echo()
    print_table(rows)
    counted = (
        ("rejected", _rejects(result)),
        ("rejected objects", _rejected_objects(result)),
        ("annotations of no image", result.scan_rejects),
        ("notes", _notes(result)),
    )
    for title, counts in counted:
        for reason, count in counts.items():
            click.echo(f"{title}: {reason}: {count}")
    if _rejects(result) or _rejected_objects(result) or result.scan_rejects:
        click.echo(f"everything rejected is named in {out / REJECTS_NAME}")
    voided = sum(split.counts.voided_pixels for split in result.splits.values())
    if voided:
        click.echo(f"ignored pixels, of values that no class has: {voided}")
    if result.leakage:
        first = result.leakage[0]
        more = f" and {len(first) - 3} more" if first[3:] else ""
        group = " = ".join(first[:3]) + more
        click.echo(
            f"leakage: {len(result.leakage)} images stand in several splits, e.g. "
            f"{group}"
        )
    for warning in result.warnings:
        click.echo(f"warning: {warning}")


def _print_classes(result: Manifest, limit: int | None) -> None:
    label_map = result.label_map
    if label_map.semantic_classes:
        pixels = {n: s.counts.class_pixels for n, s in result.splits.items()}
        click.echo("\npixels by class")
        print_shares(label_map.semantic_classes, pixels, label_map.ignore_id, limit)
    if label_map.object_classes:
        objects = {n: s.counts.class_objects for n, s in result.splits.items()}
        click.echo("\nobjects by class")
        print_shares(label_map.object_classes, objects, None, limit)


def print_shares(
    classes: tuple[LabelClass, ...],
    counts: dict[str, Counter[str]],
    ignore_id: int | None,
    limit: int | None,
) -> None:
    """Prints the share that each class has of every split, the largest `limit`."""
    rows = [("id", "class", *counts)]
    shown = classes
    if limit is not None and len(classes) > limit:
        largest = sorted(
            classes, key=lambda c: -sum(n[str(c.id)] for n in counts.values())
        )
        shown = tuple(c for c in classes if c in largest[:limit])
    for item in shown:
        ignored = " (ignored)" if item.id == ignore_id else ""
        shares = [_share(c[str(item.id)], c.total()) for c in counts.values()]
        rows.append((f"{item.id}", f"{item.name}{ignored}", *shares))
    print_table(rows)
    if len(shown) < len(classes):
        click.echo(f"  the largest {len(shown)} of {len(classes)}: --classes lists all")


def _print_code(result: Manifest, out: Location, code: str) -> None:
    snippets = reading_snippets(result, out)
    found = [snippet for snippet in snippets if snippet.code == code]
    # Not indented: Python would refuse it.
    for snippet in found:
        click.echo("\n".join((f"# {snippet.title}", *snippet.lines, "")))
    if not found:
        click.echo("\n".join(copying_lines(result, out)))
        codes = dict.fromkeys(snippet.code for snippet in snippets)
        raise OptionError(
            f"there are no lines of {code!r} for this build: expected one of "
            f"{', '.join(codes)}."
        )


def _rejects(result: Manifest) -> Counter[str]:
    total: Counter[str] = Counter()
    for split in result.splits.values():
        total.update(split.rejects)
    return total


def _rejected_objects(result: Manifest) -> Counter[str]:
    total: Counter[str] = Counter()
    for split in result.splits.values():
        total.update(split.rejected_objects)
    return total


def _notes(result: Manifest) -> Counter[str]:
    total: Counter[str] = Counter()
    for split in result.splits.values():
        total.update(split.counts.notes)
    return total


def _sizes(widths: tuple[int, int] | None, heights: tuple[int, int] | None) -> str:
    if widths is None or heights is None:
        return "-"
    if widths[0] == widths[1] and heights[0] == heights[1]:
        return f"{widths[0]}x{heights[0]}"
    return f"{widths[0]}..{widths[1]} x {heights[0]}..{heights[1]}"


def _share(count: int, total: int) -> str:
    return f"{count / total:.2%}" if total else "-"
