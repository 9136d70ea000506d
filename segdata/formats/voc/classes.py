"""The classes of a VOC folder: those of its class file, or Pascal VOC's own 21.

Colours of VOC's palette: bits 0, 3, 6 of the id are the highest of red, bits 1, 4, 7
of green, and so on (`VOClabelcolormap.m` of its development kit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segdata.annotations import LabelEncoding
from segdata.formats.class_files import ClassFile, ClassRow
from segdata.formats.mask_folder.classes import mask_label_map, recognise_encoding
from segdata.label_map import OUTSIDE_IGNORE_ID, RGB, LabelMap
from segdata.storage.paths import Location

BORDER_COLOR = (224, 224, 192)
"""Colour of 255, the border between objects, in VOC's palette."""
_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car"),
    *("cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike", "person"),
    *("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_BACKGROUND = ("background", "_background_", "bg")


def voc_color(index: int) -> RGB:
    """Colour of an index in VOC's palette."""
    channels = [0, 0, 0]
    for bit in range(8):
        channels[bit % 3] |= (index >> bit & 1) << 7 - bit // 3
    return channels[0], channels[1], channels[2]


def voc_classes() -> ClassFile:
    """VOC's 21 classes, as a class file would say them, the border among them."""
    rows = [
        ClassRow(name=name, source_id=index, color=voc_color(index))
        for index, name in enumerate(_NAMES)
    ]
    border = ClassRow(name="border", source_id=255, color=BORDER_COLOR)
    return ClassFile(rows=(*rows, border), has_ids=True, ignored_value="255")


def voc_label_map(
    classes: ClassFile, masks: Sequence[Location], *, unknown_to_void: bool
) -> tuple[LabelMap, LabelEncoding]:
    """The label map, and how masks spell it. The border, 255, is ignored.

    The background gets the id 0. Where there is one, all other classes are classes of
    objects too.

    Raises:
      SourceError: If there are more classes than a label map holds.
    """
    encoding = recognise_encoding(classes, masks)
    rows = classes.rows
    if not classes.has_ids:
        if encoding == "color":  # ids mean nothing
            rows = tuple(sorted(rows, key=lambda row: not _is_background(row.name)))
        rows = tuple(replace(row, source_id=i) for i, row in enumerate(rows))
    ignore = classes.ignored_value
    if encoding == "index" and not any(row.source_id == 255 for row in rows):
        ignore = "255"
    label_map = mask_label_map(
        replace(classes, rows=rows), ignore=ignore, unknown_to_void=unknown_to_void
    )
    first, *others = label_map.semantic_classes
    if not _is_background(first.name):
        return label_map, encoding
    things = tuple(item for item in others if item.id != OUTSIDE_IGNORE_ID)
    return replace(label_map, object_classes=things), encoding


def _is_background(name: str) -> bool:
    return name.lower() in _BACKGROUND
