"""COCO's panoptic segments: https://cocodataset.org/#format-data, point 4.

An image has one annotation: a PNG in which `R + 256 * G + 65536 * B` is the id of the
segment that a pixel belongs to, 0 for none, and the class of each segment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from segdata.annotations import Annotation
from segdata.errors import SourceError
from segdata.formats.coco.json import CocoFile, sort_rows
from segdata.formats.coco.layout import below
from segdata.formats.coco.objects import panoptic_object
from segdata.formats.coco.tables import row_keys
from segdata.formats.coco.values import Id

_ROW_FIELDS = ("image_id", "segments_info")


def check_panoptic(file: CocoFile) -> tuple[str, ...]:
    """Checks that no image has two annotations; returns warnings.

    Raises:
      SourceError: If one has: nobody could tell which of its PNGs counts.
    """
    for image_id, rows in file.annotations.rows.items():
        if len(rows) > 1:
            raise SourceError(
                f"{file.path.name}: image {image_id!r} has {len(rows)} panoptic "
                "annotations: expected one.",
                reason="duplicate-annotation",
            )
    num_bare = len(file.images) - len(file.annotations.rows)
    if not num_bare:
        return ()
    return (f"{file.path.name}: {num_bare} images have no panoptic annotation",)


def png_names(file: CocoFile) -> Iterator[str]:
    """File names of all PNGs."""
    for rows in file.annotations.rows.values():
        name = row_keys(rows[0], file.path, "annotations").file_name
        if isinstance(name, str) and name:
            yield name


def add_segments(
    data: Annotation, row: Mapping[str, Any], folder: str, categories: Collection[Id]
) -> None:
    """Adds the objects and the mask image of a panoptic annotation.

    Args:
      data: The image's annotation dict.
      row: The panoptic annotation, unchecked.
      folder: Folder of the PNGs below the source.
      categories: Ids of all categories.
    """
    name = row.get("file_name")
    path = below(folder, name) if isinstance(name, str) else name
    data["mask_image"] = {"path": path, "encoding": "id24"}  # type: ignore[typeddict-item]  # refused by its name where it is no text
    segments = row.get("segments_info")
    if isinstance(segments, list) and all(isinstance(s, dict) for s in segments):
        sort_rows(segments)  # so the file's order is no matter
    data["objects"] = (
        [panoptic_object(segment, categories) for segment in segments]
        if isinstance(segments, list)
        else segments  # type: ignore[typeddict-item]  # likewise
    )
    others = {k: v for k, v in row.items() if k not in _ROW_FIELDS}
    data["source"] = {"panoptic": others, **data["source"]}
