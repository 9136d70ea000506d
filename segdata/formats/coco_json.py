"""Reading COCO-style JSON: https://cocodataset.org/#format-data, as tools write it.

The file is checked as far as the scan needs it: images, categories, and which
annotation belongs to which image. What an annotation says of its mask is checked where
the mask is encoded, object by object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from segdata.errors import AnnotationError, SourceError, short_repr
from segdata.formats.json_tables import (
    Row,
    no_table,
    parse_row,
    parse_rows,
    read_tables,
    row_keys,
)
from segdata.label_map import LabelClass, distinct_colors

Id = int | str


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoFile:
    """The parts of one JSON that make a dataset."""

    path: Path
    """Where it was read."""
    images: Mapping[Id, Row]
    """Image id -> image, ids and file names checked."""
    file_names: Sequence[str]
    """File names of the images, in their order."""
    annotations: Mapping[Id, list[Row]]
    """Image id -> its annotations, in the file's order."""
    categories: Mapping[Id, Mapping[str, Any]]
    """Category id -> category."""
    problems: tuple[AnnotationError, ...]
    """Annotations that belong to no image."""
    warnings: tuple[str, ...]
    """What a person should know, one line each."""

    def parsed(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Each image with its annotations, these in the order of their ids.

        Raises:
          SourceError: If a text or number of a row turns out to be malformed.
        """
        for image_id, image in self.images.items():
            rows = parse_rows(self.annotations[image_id], self.path)
            _sort(rows)
            yield parse_row(image, self.path), rows


def read_coco(path: Path) -> CocoFile:
    """Reads one file.

    Raises:
      SourceError: If it is not JSON, not COCO-style, or its ids are not unique.
    """
    found = read_tables(path, ("images", "annotations", "categories"))
    images: dict[Id, Row] = {}
    file_names = []
    for row in found.tables["images"]:
        image = _parsed_object(row, path, "images")
        image_id = _checked_id(image, "image", path)
        if image_id in images:
            raise SourceError(
                f"{path.name}: two images have the id {image_id!r}: ids must differ.",
                reason="duplicate-image-id",
            )
        if not isinstance(image.get("file_name"), str) or not image["file_name"]:
            raise SourceError(
                f"{path.name}: image {image_id!r} has no 'file_name'.",
                reason="image-without-file-name",
            )
        images[image_id] = row
        file_names.append(image["file_name"])
    categories = [
        _parsed_object(row, path, "categories") for row in found.tables["categories"]
    ]
    by_image, problems, warnings = _assign(found.tables["annotations"], images, path)
    return CocoFile(
        path=path,
        images=images,
        file_names=file_names,
        annotations=by_image,
        categories=_categories(categories, path),
        problems=tuple(problems),
        warnings=tuple(warnings),
    )


def object_classes(
    categories: Mapping[Id, Mapping[str, Any]],
) -> tuple[LabelClass, ...]:
    """Contiguous classes, from 1, in the order of the source's ids.

    A name that several categories share gets its id behind it.
    """
    ordered = sorted(categories, key=lambda i: (isinstance(i, str), i))
    names = [str(categories[i]["name"]) for i in ordered]
    uses = Counter(names)
    colors = distinct_colors(len(ordered))
    return tuple(
        LabelClass(
            id=index + 1,
            name=name if uses[name] == 1 else f"{name} {category_id}",
            color=color,
            source_ids=(category_id,),
            supercategory=str(categories[category_id].get("supercategory") or ""),
        )
        for index, (category_id, name, color) in enumerate(
            zip(ordered, names, colors, strict=True)
        )
    )


def _parsed_object(row: Row, path: Path, table: str) -> dict[str, Any]:
    parsed = parse_row(row, path)
    if not isinstance(parsed, dict):
        raise no_table(path, table)
    return parsed


def _checked_id(row: Mapping[str, Any], what: str, path: Path) -> Id:
    value = row.get("id")
    if not isinstance(value, int | str) or isinstance(value, bool):
        article = "an" if what == "image" else "a"
        raise SourceError(
            f"{path.name}: the id of {article} {what} is {short_repr(value)}: expected "
            "an integer or text.",
            reason=f"bad-{what}-id",
        )
    return value


def _categories(
    rows: Sequence[Mapping[str, Any]], path: Path
) -> dict[Id, Mapping[str, Any]]:
    categories: dict[Id, Mapping[str, Any]] = {}
    for row in rows:
        category_id = _checked_id(row, "category", path)
        if category_id in categories:
            raise SourceError(
                f"{path.name}: two categories have the id {category_id!r}: ids must "
                "differ.",
                reason="bad-category",
            )
        name = row.get("name")
        if not isinstance(name, int | str) or isinstance(name, bool) or name == "":
            raise SourceError(
                f"{path.name}: the name of category {category_id!r} is "
                f"{short_repr(name)}: expected text.",
                reason="bad-category",
            )
        categories[category_id] = row
    return categories


def _assign(
    rows: Sequence[Row], images: Mapping[Id, Row], path: Path
) -> tuple[dict[Id, list[Row]], list[AnnotationError], list[str]]:
    """Annotations by image, those of no image as problems, and warnings."""
    by_image: dict[Id, list[Row]] = {image_id: [] for image_id in images}
    problems = []
    seen: set[Id] = set()
    doubled: list[Id] = []
    for row in rows:
        keys = row_keys(row, path, "annotations")
        image_id, annotation_id = keys.image_id, keys.id
        if type(image_id) in (int, str) and image_id in by_image:
            by_image[image_id].append(row)
        else:
            problems.append(_unknown_image(row, len(images), path))
        if isinstance(annotation_id, int | str):
            if annotation_id in seen:
                doubled.append(annotation_id)
            seen.add(annotation_id)
    warnings = []
    if doubled:
        warnings.append(
            f"{path.name}: {len(doubled)} annotation ids stand twice, e.g. "
            f"{short_repr(min(doubled, key=str))}; all annotations are kept"
        )
    return by_image, sorted(problems, key=str), warnings


def _unknown_image(row: Row, num_images: int, path: Path) -> AnnotationError:
    parsed = parse_row(row, path)
    return AnnotationError(
        f"{path.name}: annotation {short_repr(parsed.get('id'))} is of the unknown "
        f"image {short_repr(parsed.get('image_id'))}: expected one of {num_images} "
        "ids.",
        reason="unknown-image",
    )


def _sort(rows: list[dict[str, Any]]) -> None:
    """By id; by content where ids miss or repeat. So the file's order is no matter."""
    ids = [row.get("id") for row in rows]
    if all(type(i) is int for i in ids) and len(set(ids)) == len(ids):
        rows.sort(key=itemgetter("id"))
    else:
        rows.sort(key=_place)


def _place(row: Mapping[str, Any]) -> tuple[bool, int, bytes]:
    row_id = row.get("id")
    try:
        content = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # nested too deep: refused later
        content = b""
    return (False, row_id, content) if isinstance(row_id, int) else (True, 0, content)
