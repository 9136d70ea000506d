"""`segdata sample FORMAT DIR`: a small synthetic dataset in that format's layout."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from segdata.commands.help import TopicCommand
from segdata.commands.location import LocalPathType
from segdata.errors import OutputError

SAMPLES = {
    "camvid": "segdata.samples.camvid:write_camvid_sample",
    "cityscapes": "segdata.samples.cityscapes:write_cityscapes_sample",
    "coco": "segdata.samples.coco:write_coco_sample",
    "cvat": "segdata.samples.cvat:write_cvat_sample",
    "label-studio": "segdata.samples.label_studio:write_label_studio_sample",
    "labelme": "segdata.samples.labelme:write_labelme_sample",
    "mask-folder": "segdata.samples.mask_folder:write_mask_folder_sample",
    "pets": "segdata.samples.pets:write_pets_sample",
    "sa-1b": "segdata.samples.sa_1b:write_sa_1b_sample",
    "voc": "segdata.samples.voc:write_voc_sample",
    "yolo": "segdata.samples.yolo:write_yolo_sample",
}
"""Format -> the function that draws it."""


@click.command(
    cls=TopicCommand,
    examples=(
        ("segdata sample camvid demo/street", "32 street scenes with label maps"),
        ("segdata sample coco demo/shapes --train 100", "shapes with COCO annotations"),
    ),
)
@click.argument("format_name", metavar="FORMAT", type=click.Choice(list(SAMPLES)))
@click.argument("directory", metavar="DIR", type=LocalPathType())
@click.option(
    "--train",
    type=click.IntRange(min=0),
    default=24,
    show_default=True,
    help="Number of training images.",
)
@click.option(
    "--val",
    type=click.IntRange(min=0),
    default=8,
    show_default=True,
    help="Number of validation images.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed; the same seed draws the same images.",
)
def sample(format_name: str, directory: Path, train: int, val: int, seed: int) -> None:
    """Draw a small synthetic dataset in the layout of a format, to try segdata."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise OutputError(
            f"{directory} is not an empty directory: choose another.",
            reason="output-exists",
        )
    module, _, name = SAMPLES[format_name].partition(":")
    write = getattr(importlib.import_module(module), name)
    try:
        write(directory, seed=seed, num_train=train, num_val=val)
    except OSError as error:
        raise OutputError(f"cannot write {directory}: {error.strerror}.") from error
    click.echo(f"drew {train} + {val} images in {directory}")
