"""Public folders in the very layout that their owners have, as the first command finds.

Every mask is read a second time, by Pillow alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.building.sources import read_files
from segdata.formats import format_class
from segdata.formats.recognize import recognize
from segdata.masks.rle import decode_label_map
from segdata.records.encode import encode_record

Pixels = NDArray[np.uint8]


def as_stored(pixels: Pixels) -> Pixels:
    return pixels


def not_zero(pixels: Pixels) -> Pixels:
    return (pixels != 0).astype(np.uint8)


def upper_half(pixels: Pixels) -> Pixels:
    return (pixels > 127).astype(np.uint8)


def tool(pixels: Pixels) -> Pixels:
    return (pixels == (250, 50, 83)).all(axis=2).astype(np.uint8)


FIELD: dict[str, tuple[str, str, str, int, list[str], Callable[[Pixels], Pixels]]] = {
    # Format, image and its mask without the changing part, records, classes.
    "labelme-voc": ("voc", "JPEGImages/*.jpg", "SegmentationClass/*.png", 3,
                    ["_background_", "aeroplane", "bicycle"], as_stored),
    "cvat-masks": ("voc", "JPEGImages/*.png", "SegmentationClass/*.png", 2,
                   ["background", "tool"], tool),
    "roboflow-masks": ("mask-folder", "train/*.jpg", "train/*_mask.png", 9,
                       ["background", "Car", "Cow statue"], as_stored),
    "membrane": ("mask-folder", "train/image/*.png", "train/label/*.png", 4,
                 ["background", "foreground"], not_zero),
    "drive": ("mask-folder", "training/images/*_training.tif",
              "training/1st_manual/*_manual1.gif", 4, ["background", "foreground"],
              not_zero),
    "chasedb": ("mask-folder", "*.jpg", "*_1stHO.png", 4,
                ["background", "foreground"], not_zero),
    "jpeg-masks": ("mask-folder", "images/*.jpg", "masks/*.jpg", 4,
                   ["background", "foreground"], upper_half),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELD)
def test_folder_is_built_right_as_it_is_recognised(
    name: str, shared_data: Path
) -> None:
    source = shared_data / "field" / name
    format_name, image, mask, count, classes, truth = FIELD[name]
    [found] = recognize(source)
    assert (found.format, found.folder) == (format_name, source)
    scan = format_class(format_name)(**found.guess.options).scan(source)
    assert list(scan.label_map)[: len(classes)] == classes
    assert scan.problems == ()
    annotations = list(scan.annotations)
    assert len(annotations) == count
    for annotation in annotations:
        head, _, tail = image.partition("*")
        shared = annotation["image"].removeprefix(head).removesuffix(tail)
        record = encode_record(
            annotation, read_files(annotation, source), scan.label_map
        )
        runs = record.label_runs
        assert runs is not None
        drawn = decode_label_map(runs.values, runs.lengths, runs.height, runs.width)
        with Image.open(source / mask.replace("*", shared)) as stored:
            assert np.array_equal(drawn, truth(np.asarray(stored)))


def test_objects_of_cvat_are_those_of_its_masks(shared_data: Path) -> None:
    source = shared_data / "field/cvat-masks"
    scan = format_class("voc")().scan(source)
    for annotation in scan.annotations:
        record = encode_record(
            annotation, read_files(annotation, source), scan.label_map
        )
        name = Path(annotation["image"]).name
        with Image.open(source / "SegmentationObject" / name) as image:
            pixels = np.asarray(image).astype(int) @ [1, 256, 65536]
        values = sorted({*np.unique(pixels).tolist()} - {0})
        assert [item.label.name for item in record.objects] == ["tool"] * len(values)
        areas = [int((pixels == value).sum()) for value in values]
        assert [item.area for item in record.objects] == areas


def test_second_people_and_fields_of_view_are_named(shared_data: Path) -> None:
    field = shared_data / "field"
    chase = format_class("mask-folder")().scan(field / "chasedb")
    assert "--mask-suffix '_2ndHO' takes them" in chase.warnings[0]
    drive = format_class("mask-folder")().scan(field / "drive")
    assert "training/mask/ would fit too" in drive.warnings[0]
