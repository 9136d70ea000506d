"""`segdata export OUT DEST --to TARGET`: a build as the files of another layout."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from segdata.commands.help import TopicCommand
from segdata.commands.location import LocalPathType, LocationType
from segdata.errors import OptionError
from segdata.storage.paths import Location


@click.command(
    cls=TopicCommand,
    examples=(
        ("segdata export OUT folder --to coco", "COCO JSON with RLE masks"),
        ("segdata export OUT folder --to yolo", "polygons as text, for YOLO"),
    ),
)
@click.argument("out", type=LocationType())
@click.argument("dest", type=LocalPathType())
@click.option(
    "--to",
    "target",
    type=click.Choice(["coco", "pets", "png", "yolo"]),
    required=True,
    help="coco: JSON with RLE, or PNGs of panoptic segments. pets: the layout of the "
    "Oxford-IIIT Pets. png: label maps as index PNGs with a palette. yolo: polygons as "
    "text.",
)
@click.option(
    "--polygons",
    is_flag=True,
    help="coco: polygons instead of RLE, where they decode to the same mask.",
)
@click.option(
    "--split",
    "splits",
    multiple=True,
    help="Export this split, or slice such as train[:10%]. Repeat the option for more. "
    "[default: all splits]",
)
def export(
    out: Location, dest: Path, target: str, polygons: bool, splits: tuple[str, ...]
) -> None:
    """Write a build as files: images unchanged, annotations in another layout.

    DEST appears once it is complete. What the target format cannot hold is counted.
    """
    # Not earlier: `segdata export --help` needs none of it.
    from segdata.dataset import open as open_dataset
    from segdata.exports import export_class
    from segdata.exports.base import new_folder
    from segdata.progress import display

    if polygons and target != "coco":
        raise OptionError(f"--polygons goes with --to coco, not with --to {target}.")
    options = {"polygons": True} if polygons else {}
    writer = export_class(target)(**options)
    dataset = open_dataset(out)
    if splits:
        dataset = dataset.only(*splits)
    total = sum(map(len, dataset.splits.values()))
    with (
        new_folder(dest) as folder,
        display(total, "exporting") as advance,
    ):
        report = writer.write(dataset, folder, advance)
    click.echo(
        f"exported {report.num_records} images"
        + (f" and {report.num_objects} objects" if report.num_objects else "")
        + f" to {dest}"
    )
    for what, count in sorted(report.losses.items()):
        if count:
            click.echo(f"not in it: {what}: {count}")
    for note in report.notes:
        click.echo(f"note: {note}")
    if report.build_command:
        name, _, rest = report.build_command.partition(" ")
        click.echo(
            f"read it back: segdata build {name} {shlex.quote(str(dest))} OUT"
            f"{' ' * bool(rest)}{rest}"
        )
