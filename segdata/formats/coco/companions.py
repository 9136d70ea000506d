"""COCO's files that say more of the same images: keypoints and captions.

`person_keypoints_train2017.json` repeats the instances of persons and adds keypoints;
`captions_train2017.json` has some sentences for each image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from segdata.errors import AnnotationError, short_repr
from segdata.formats.coco.json import (
    CocoFile,
    RowsByImage,
    rows_by_image,
    sort_rows,
)
from segdata.formats.coco.tables import JsonTables, Row, parse_rows, read_tables
from segdata.formats.coco.values import Id
from segdata.storage.paths import Location

_REPEATED = ("info", "licenses", "images")
"""What these files repeat of the one that lists the images."""


def read_keypoints_file(
    path: Location, file: CocoFile
) -> tuple[RowsByImage, list[dict[str, Any]]]:
    """Reads keypoints that belong to the images of another file.

    Returns:
      Its annotations and its categories.

    Raises:
      SourceError: If it is not JSON or not COCO-style.
    """
    found = read_tables(path, ("annotations", "categories"), _REPEATED)
    rows = rows_by_image(found.tables["annotations"], file.images, path)
    rows = replace(rows, warnings=(*rows.warnings, *_left_out(found)))
    return rows, parse_rows(found.tables["categories"], path)


def join_keypoints(
    instances: Sequence[dict[str, Any]], keypoints: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Completes an image's instances by the annotations of a keypoints file.

    Annotations of one id are one object: fields that the instance lacks come from the
    keypoints file. An annotation of an id that no instance has, or that stands twice in
    the keypoints file, is an object of its own: it has a mask and a box too.

    Returns:
      All objects, sorted as `sort_rows` does.
    """
    uses = Counter(map(_id, keypoints))
    partners = {
        row_id: row
        for row in keypoints
        if (row_id := _id(row)) is not None and uses[row_id] == 1
    }
    joined = []
    found = set()
    for row in instances:
        row_id = _id(row)
        if row_id is not None and row_id in partners:
            found.add(row_id)
            row = {**partners[row_id], **row}
        joined.append(row)
    joined += [row for row in keypoints if _id(row) not in found]
    sort_rows(joined)
    return joined


def read_captions_file(path: Location, images: Mapping[Id, Row]) -> RowsByImage:
    """Reads captions; one that is no text is a problem and left out.

    Raises:
      SourceError: If it is not JSON or not COCO-style.
    """
    file = read_tables(path, ("annotations",), (*_REPEATED, "categories"))
    found = rows_by_image(file.tables["annotations"], images, path)
    kept: dict[Id, Sequence[Row]] = {}
    problems = []
    for image_id, of_image in found.rows.items():
        parsed = parse_rows(of_image, path)
        good = [isinstance(row.get("caption"), str) for row in parsed]
        if all(good):
            kept[image_id] = of_image
            continue
        kept[image_id] = [r for r, ok in zip(of_image, good, strict=True) if ok]
        problems += [
            AnnotationError(
                f"{path.name}: caption {short_repr(row.get('id'))} of image "
                f"{image_id!r} is {short_repr(row.get('caption'))}: expected text.",
                reason="bad-caption",
            )
            for row, ok in zip(parsed, good, strict=True)
            if not ok
        ]
    return replace(
        found,
        rows=kept,
        problems=(*found.problems, *sorted(problems, key=str)),
        warnings=(*found.warnings, *_left_out(file)),
    )


def _left_out(file: JsonTables) -> tuple[str, ...]:
    """A warning of keys that are not COCO's."""
    names = [n for n in file.others if n not in (*_REPEATED, "categories")]
    named = ", ".join(map(repr, names))
    return (f"{file.path.name}: left out: {named}",) if names else ()


def _id(row: Mapping[str, Any]) -> Id | None:
    """The id by which annotations of two files are joined, if it is usable."""
    row_id = row.get("id")
    return row_id if type(row_id) in (int, str) else None
