"""`segdata stats OUT`: counts a finished build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from segdata.commands.beam_args import check_beam_args
from segdata.commands.help import TopicCommand
from segdata.commands.location import LocalPathType, LocationType
from segdata.commands.sizes import format_bytes
from segdata.commands.tables import print_table
from segdata.pipelines.on_beam import OnBeam
from segdata.pipelines.runner_options import RunnerOptions
from segdata.pipelines.storage_options import with_beam_options
from segdata.shards.manifest import STATS_NAME, read_manifest
from segdata.statistics.stats_file import Pixels
from segdata.storage.local_path import LocalPath
from segdata.storage.paths import Location


@click.command(
    cls=TopicCommand,
    examples=(
        (
            "segdata stats OUT --html report.html",
            "count, and write a report to look at",
        ),
        ("segdata stats OUT --pixels all", "exact mean and deviation of the channels"),
    ),
)
@click.argument("out", type=LocationType())
@click.argument("beam_args", nargs=-1, type=click.UNPROCESSED, callback=check_beam_args)
@click.option(
    "--pixels",
    type=click.Choice(["sample", "all", "none"]),
    help="Images to decode for the channels' mean and standard deviation. [default: "
    "as in the last count, else sample]",
)
@click.option(
    "--sample-size",
    type=click.IntRange(min=1),
    help="About how many images of each split to sample. [default: as in the last "
    "count, else 200]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Worker processes on this machine. [default: one per core, fewer for "
    "small builds]",
)
@click.option(
    "--runner",
    metavar="NAME",
    help="Beam runner; its options follow after --. [default: this machine]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the statistics as JSON.")
@click.option(
    "--html",
    "page",
    type=LocalPathType(),
    help="Also write a report: one HTML file with tables, charts, samples and "
    "findings.",
)
def stats(
    out: Location,
    beam_args: tuple[str, ...],
    pixels: Pixels | None,
    sample_size: int | None,
    workers: int | None,
    runner: str | None,
    as_json: bool,
    page: Path | None,
) -> None:
    """Count classes and sizes, measure channels, find what looks wrong.

    Writes OUT/stats.json, which trainers read. Options for Beam follow after --.
    """
    where = RunnerOptions(runner=runner, workers=workers, beam_args=beam_args)
    engine = OnBeam(where)
    out = with_beam_options(out, beam_args)
    # Not earlier: `segdata stats --help` needs no NumPy.
    from segdata.statistics.counting import stats as count

    found = count(
        out,
        pixels=pixels,
        sample_size=sample_size,
        run_shards=engine,
    )
    if page is not None:
        _write_page(out, page)
    if as_json:
        click.echo((out / STATS_NAME).read_text("utf-8"), nl=False)
        return
    _print(found)
    for warning in [*read_manifest(out).warnings, *_size_remarks(found["splits"])]:
        click.echo(f"warning: {warning}")
    click.echo(f"\nwrote {out / STATS_NAME}" + (f" and {page}" if page else ""))


def _write_page(out: Location, page: Path) -> None:
    from segdata.dataset import open as open_dataset
    from segdata.report.page import render_report

    text = render_report(open_dataset(out))
    LocalPath(page).write_atomic(text.encode())


def _size_remarks(splits: Mapping[str, Any]) -> set[str]:
    from segdata.images.shrink import size_remark

    sizes = [split["image_sizes"]["most_frequent"][:1] for split in splits.values()]
    remarks = {size_remark(s["height"], s["width"]) for found in sizes for s in found}
    return remarks - {""}


def _print(found: Mapping[str, Any]) -> None:
    splits: Mapping[str, Any] = found["splits"]
    _print_splits(splits)
    _print_classes(
        splits,
        "semantic_classes",
        ("pixels", "pixel_share", "images", "median_frequency_weight"),
    )
    _print_classes(
        splits,
        "object_classes",
        ("objects", "object_share", "images", "inverse_frequency_weight"),
    )
    _print_keypoints(splits)
    _print_findings(splits, found["duplicates"])


def _print_splits(splits: Mapping[str, Any]) -> None:
    rows = [("", *splits)]
    has_keypoints = any(split["keypoint_objects"] for split in splits.values())
    for title, cell in (
        ("images", lambda s: f"{s['images']}"),
        ("empty images", lambda s: f"{s['empty_images']}"),
        ("objects", lambda s: f"{s['objects']}"),
        ("  small, medium, large", _object_sizes),
        ("  crowds", lambda s: f"{s['crowds']} ({_percent(s['crowd_share'])})"),
        ("  with keypoints", lambda s: f"{s['keypoint_objects']}"),
        ("bytes per record", lambda s: format_bytes(round(s["record_bytes"]["mean"]))),
        ("runs per record", lambda s: f"{s['record_runs']['mean']:.0f}"),
        ("mean of R, G, B", lambda s: _channels(s["channels"], "mean")),
        ("deviation", lambda s: _channels(s["channels"], "std")),
        ("  of images", _decoded),
    ):
        if has_keypoints or title != "  with keypoints":
            rows.append((title, *(cell(split) for split in splits.values())))
    print_table(rows)


def _object_sizes(split: Mapping[str, Any]) -> str:
    sizes = split["object_sizes"]
    return f"{sizes['small']}, {sizes['medium']}, {sizes['large']}"


def _channels(channels: Mapping[str, Any] | None, name: str) -> str:
    if channels is None:
        return "-"
    return " ".join(f"{value:.2f}" for value in channels[name])


def _decoded(split: Mapping[str, Any]) -> str:
    channels = split["channels"]
    if channels is None:
        return "none"
    if channels["is_exact"]:
        return "all"
    errors = channels["standard_error"]
    error = f", mean +-{max(errors):.1f}" if errors else ""
    return f"{channels['images']} of {split['images']}{error}"


def _print_classes(
    splits: Mapping[str, Any], table: str, columns: Sequence[str]
) -> None:
    for name, split in splits.items():
        if not split[table]:
            continue
        titles = [column.replace("_", " ") for column in columns]
        click.echo(f"\n{name}: {table.replace('_', ' ')}")
        rows = [("id", "class", *titles)]
        for item in split[table]:
            cells = [_cell(column, item[column]) for column in columns]
            ignored = " (ignored)" if item.get("is_ignored") else ""
            rows.append((f"{item['id']}", f"{item['name']}{ignored}", *cells))
        print_table(rows)


def _print_keypoints(splits: Mapping[str, Any]) -> None:
    for name, split in splits.items():
        if not split["keypoint_objects"]:
            continue
        click.echo(f"\n{name}: keypoints of the objects that have some")
        rows = [("class", "keypoint", "visible", "covered", "not labelled")]
        for item in split["object_classes"]:
            for point in (item["keypoints"] or {}).get("points", ()):
                amounts = (point[k] for k in ("visible", "covered", "not_labelled"))
                rows.append((item["name"], point["name"], *map(str, amounts)))
        print_table(rows)


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    if column.endswith("share"):
        return _percent(value)
    return f"{value:.3f}" if column.endswith("weight") else f"{value}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _print_findings(splits: Mapping[str, Any], duplicates: Mapping[str, Any]) -> None:
    lines = [
        f"{split}: {name}: {found['count']}, e.g. {found['examples'][0]['key']}"
        for split, values in splits.items()
        for name, found in values["findings"].items()
    ]
    lines += [
        f"same image {where.replace('_', ' ')}: {found['num_groups']}, e.g. "
        f"{' = '.join(found['groups'][0])}"
        for where, found in duplicates.items()
        if found["num_groups"]
    ]
    if lines:
        click.echo("\nworth a look")
    for line in lines:
        click.echo(f"  {line}")
