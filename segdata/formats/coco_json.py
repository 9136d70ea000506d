"""Reading COCO-style JSON: https://cocodataset.org/#format-data, as tools write it.

The file is checked as far as the scan needs it: images, categories, and which
annotation belongs to which image. What an annotation says of its mask is checked where
the mask is encoded, object by object.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from segdata.errors import AnnotationError, SourceError, short_repr
from segdata.label_map import LabelClass, distinct_colors

Id = int | str

# A text, or a number that is no JSON but is written all the same. A text without an
# end runs to the end of the file: so no byte is looked at twice.
_TEXT_OR_NOT_FINITE = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|-?Infinity|NaN', re.DOTALL
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoFile:
    """The parts of one JSON that make a dataset."""

    path: Path
    """Where it was read."""
    images: Sequence[Mapping[str, Any]]
    """Its images, ids and file names checked."""
    annotations: Mapping[Id, list[Mapping[str, Any]]]
    """Image id -> its annotations, in the order of their ids."""
    categories: Mapping[Id, Mapping[str, Any]]
    """Category id -> category."""
    problems: tuple[AnnotationError, ...]
    """Annotations that belong to no image."""
    warnings: tuple[str, ...]
    """What a person should know, one line each."""


def read_coco(path: Path) -> CocoFile:
    """Reads one file.

    Raises:
      SourceError: If it is not JSON, not COCO-style, or its ids are not unique.
    """
    data = _load(path)
    images = _table(data, "images", path)
    annotations = _table(data, "annotations", path)
    categories = _table(data, "categories", path)
    by_image: dict[Id, list[Mapping[str, Any]]] = {}
    for image in images:
        image_id = _checked_id(image, "image", path)
        if image_id in by_image:
            raise SourceError(
                f"{path.name}: two images have the id {image_id!r}: ids must differ.",
                reason="duplicate-image-id",
            )
        if not isinstance(image.get("file_name"), str) or not image["file_name"]:
            raise SourceError(
                f"{path.name}: image {image_id!r} has no 'file_name'.",
                reason="image-without-file-name",
            )
        by_image[image_id] = []
    problems = _assign(annotations, by_image, path)
    return CocoFile(
        path=path,
        images=images,
        annotations=by_image,
        categories=_categories(categories, path),
        problems=tuple(problems),
        warnings=tuple(_doubled_ids(annotations, path)),
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


def _load(path: Path) -> Any:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    if text.startswith(codecs.BOM_UTF8):  # Windows' editors write it
        text = text[len(codecs.BOM_UTF8) :]
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in text and b"Infinity" not in text:
            raise SourceError(f"{path} is not JSON: {error}.") from error
    # As texts they pass, to be refused where a number is needed, with the annotation's
    # name. Python's `json` reads them, but also what no record and no plan can hold:
    # half surrogate pairs and integers of any length.
    text = _TEXT_OR_NOT_FINITE.sub(_as_text, text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{path} is not JSON: {error}.") from error


def _as_text(match: re.Match[bytes]) -> bytes:
    found = match[0]
    return found if found.startswith(b'"') else b'"%s"' % found


def _table(data: Any, name: str, path: Path) -> list[Mapping[str, Any]]:
    table = data.get(name) if isinstance(data, dict) else None
    if not isinstance(table, list) or not all(isinstance(row, dict) for row in table):
        raise SourceError(
            f"{path.name} is not COCO-style JSON: expected the key {name!r} with a "
            "list of objects."
        )
    return table


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
    annotations: Sequence[Mapping[str, Any]],
    by_image: dict[Id, list[Mapping[str, Any]]],
    path: Path,
) -> list[AnnotationError]:
    """Hands each annotation to its image; returns those that have none."""
    problems = []
    for row in annotations:
        image_id = row.get("image_id")
        owner = None
        if isinstance(image_id, int | str) and not isinstance(image_id, bool):
            owner = by_image.get(image_id)
        if owner is None:
            problems.append(
                AnnotationError(
                    f"{path.name}: annotation {short_repr(row.get('id'))} is of the "
                    f"unknown image {short_repr(image_id)}: expected one of "
                    f"{len(by_image)} ids.",
                    reason="unknown-image",
                )
            )
        else:
            owner.append(row)
    for rows in by_image.values():
        _sort(rows)
    return sorted(problems, key=str)


def _sort(rows: list[Mapping[str, Any]]) -> None:
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


def _doubled_ids(annotations: Sequence[Mapping[str, Any]], path: Path) -> list[str]:
    seen: set[Any] = set()
    doubled = []
    for row in annotations:
        annotation_id = row.get("id")
        if isinstance(annotation_id, int | str):
            if annotation_id in seen:
                doubled.append(annotation_id)
            seen.add(annotation_id)
    if not doubled:
        return []
    return [
        f"{path.name}: {len(doubled)} annotation ids stand twice, e.g. "
        f"{short_repr(min(doubled, key=str))}; all annotations are kept"
    ]
