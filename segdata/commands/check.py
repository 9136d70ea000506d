"""`segdata check SOURCE`: what a folder is, and the command that builds it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from segdata.commands.help import TopicCommand
from segdata.commands.location import LocationType
from segdata.commands.sizes import format_bytes
from segdata.errors import SourceError
from segdata.formats import FORMATS
from segdata.formats.folders import count_of
from segdata.storage.paths import Location

if TYPE_CHECKING:  # `segdata check --help` needs no NumPy
    from segdata.checking.source import SourceReport
    from segdata.label_map import LabelMap

_MAX_CLASSES = 12
_USUAL_REJECTS = 10
"""Per cent of the records that a build may leave out if not told otherwise."""


@click.command(
    cls=TopicCommand,
    examples=(
        (
            "segdata check photos",
            "what it is, what is missing, the command that builds it",
        ),
        (
            "segdata check photos --format coco --limit 0",
            "only as COCO, without a list of problems",
        ),
    ),
)
@click.argument("source", type=LocationType())
@click.option(
    "--format",
    "format",
    type=click.Choice([*FORMATS]),
    help="Try this format only. [default: all formats]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Most problems and missing files to list; all are counted.",
)
def check(source: Location, format: str | None, limit: int) -> None:
    """Recognise a folder and tell how to build it. Builds nothing.

    Looks at SOURCE, one level up and down. Lists splits, images, classes, missing
    files, problems, and the command that builds it. The exit code is 1 if a build would
    leave something out, or if no format is recognised.
    """
    from segdata.checking.source import check_source
    from segdata.formats.base import Guess
    from segdata.formats.recognize import (
        AUTO,
        Candidate,
        not_recognised,
        recognize,
        recognize_around,
    )

    if not source.is_dir():
        raise SourceError(f"{source} is not a folder: {_file(source)}.")
    found = recognize(source, format or AUTO)
    if not found and format is None:
        raise not_recognised(source)
    if not found and format is not None:
        guess = Guess(title="not recognised at a glance", is_sure=False)
        found = [Candidate(format=format, folder=source, guess=guess)]
    if len(found) > 1:
        click.echo(f"{source} may be {len(found)} things.")
    reports = [check_source(candidate) for candidate in found]
    if not any(report.num_shards for report in reports):
        # A folder of several datasets, or of a part of one.
        others = recognize_around(source, format or AUTO)
        known = {candidate.folder for candidate in found}
        reports += [check_source(c) for c in others if c.folder not in known]
    for report in reports:
        _print(report, limit)
    if not all(report.is_whole for report in reports):
        click.get_current_context().exit(1)


def _file(source: Location) -> str:
    from segdata.formats.foreign import what_is_there

    if not source.is_file():
        return "there is nothing of that name"
    told = what_is_there(source.parent)
    return told if source.name in told else "expected the dataset's root"


def _print(report: SourceReport, limit: int) -> None:
    candidate = report.candidate
    click.echo(f"{candidate.format}: {candidate.guess.title}")
    click.echo(f"  folder    {candidate.folder}")
    if report.layout:
        click.echo(f"  layout    {report.layout}")
    if report.images:
        splits = ", ".join(f"{name} {count}" for name, count in report.images.items())
        click.echo(f"  images    {report.images.total()}: {splits}")
        click.echo(f"  classes   {_classes(report.label_map)}")
    if report.num_objects:
        click.echo(f"  objects   {report.num_objects}")
    if report.num_shards:
        shards = count_of(range(report.num_shards), "shard", "shards")
        click.echo(f"  plan      {shards} of {format_bytes(report.num_bytes)} in all")
    for what, paths in report.missing.items():
        counted = count_of(paths, f"{what} is missing", f"{what}s are missing")
        _print_list(counted, paths, limit)
    for lines, what in ((report.warnings, "warning"), (report.problems, "problem")):
        _print_list(count_of(lines, what, f"{what}s"), lines, limit)
    if report.num_shards:
        skip = "" if report.is_whole else f" --on-error skip{_max_rejects(report)}"
        click.echo(f"\n  {candidate.command()}{skip}\n")


def _max_rejects(report: SourceReport) -> str:
    """The option that lets a build leave out more than a tenth of the records."""
    bad = len(report.problems) + sum(map(len, report.missing.values()))
    percent = min(100, math.ceil(100 * bad / max(1, report.images.total())))
    return f" --max-rejects {percent / 100:g}" if percent > _USUAL_REJECTS else ""


def _print_list(title: str, lines: Sequence[str], limit: int) -> None:
    if not lines:
        return
    click.echo(f"  {title}")
    for line in lines[:limit]:
        click.echo(f"    {line}")
    if len(lines) > limit:
        click.echo(f"    and {len(lines) - limit} more (--limit)")


def _classes(label_map: LabelMap) -> str:
    names = [*label_map]
    more = f" and {len(names) - _MAX_CLASSES} more" if names[_MAX_CLASSES:] else ""
    return f"{len(names)}: {', '.join(names[:_MAX_CLASSES])}{more}"
