"""COCO's categories as classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from segdata.errors import AnnotationError, OptionError, SourceError, short_repr
from segdata.formats.coco.json import checked_id
from segdata.formats.coco.values import Id
from segdata.label_map import (
    OUTSIDE_IGNORE_ID,
    RGB,
    LabelClass,
    LabelMap,
    distinct_colors,
)
from segdata.storage.paths import Location
from segdata.validation import canonical_json

_OWN_FIELDS = ("id", "name", "supercategory", "isthing", "keypoints", "skeleton")
_MAX_KEYPOINTS = 1000
"""Of one class. Every object of a dataset is padded to the class that has the most."""

Categories = Mapping[Id, Mapping[str, Any]]


def merge_categories(
    files: Iterable[tuple[Location, Sequence[Mapping[str, Any]]]],
) -> dict[Id, Mapping[str, Any]]:
    """Category id -> category, of all files; what one lacks comes from another.

    Raises:
      SourceError: If one is malformed, an id stands twice in a file, or two files
        disagree on a name.
    """
    merged: dict[Id, Mapping[str, Any]] = {}
    for path, rows in files:
        for category_id, row in _checked(rows, path).items():
            known = merged.setdefault(category_id, row)
            if known["name"] != row["name"]:
                raise SourceError(
                    f"category {category_id!r} is {row['name']!r} in {path.name} but "
                    f"{known['name']!r} in another file: build them apart, with "
                    "--annotations.",
                    reason="bad-category",
                )
            merged[category_id] = {**row, **known}
    return merged


def object_classes(categories: Categories) -> tuple[LabelClass, ...]:
    """Contiguous classes, from 1, in the order of the source's ids.

    A name that several categories share gets its id behind it. A class has the source's
    colour where there is one, as in panoptic files.
    """
    ordered = sorted(categories, key=lambda i: (isinstance(i, str), i))
    names = [str(categories[i]["name"]) for i in ordered]
    uses = Counter(names)
    colors = distinct_colors(len(ordered))
    return tuple(
        LabelClass(
            id=index + 1,
            name=name if uses[name] == 1 else f"{name} {category_id}",
            color=_color(row) or color,
            source_ids=(category_id,),
            supercategory=str(row.get("supercategory") or ""),
            is_thing=row.get("isthing") in (None, 1),
            keypoints=tuple(map(str, row.get("keypoints") or ())),
            skeleton=tuple((a, b) for a, b in row.get("skeleton") or ()),
            source={k: v for k, v in row.items() if k not in _OWN_FIELDS},
        )
        for index, (category_id, name, color, row) in enumerate(
            zip(ordered, names, colors, (categories[i] for i in ordered), strict=True)
        )
    )


def painted_label_map(classes: tuple[LabelClass, ...], *, has_void: bool) -> LabelMap:
    """A label map whose pixels are painted from objects (`--semantic`).

    Class 0 is the background; objects keep their ids.

    Args:
      classes: The object classes.
      has_void: Whether pixels of no object are void (255, to be ignored), as in
        panoptic images; else they are background.

    Raises:
      OptionError: If a label map cannot hold so many classes.
    """
    most = OUTSIDE_IGNORE_ID - 1 if has_void else 255
    if len(classes) > most:
        raise OptionError(
            f"--semantic cannot paint {len(classes)} classes: a label map has one byte "
            f"per pixel, for at most {most} classes"
            + (", background and void." if has_void else " and background.")
        )
    name = "background"
    while any(item.name == name for item in classes):
        name += " of all"
    background = LabelClass(id=0, name=name, color=(0, 0, 0))
    return LabelMap(
        object_classes=classes,
        semantic_classes=(background, *classes),
        ignore_id=OUTSIDE_IGNORE_ID if has_void else None,
        unpainted_id=OUTSIDE_IGNORE_ID if has_void else 0,
    )


def _checked(
    rows: Sequence[Mapping[str, Any]], path: Location
) -> dict[Id, Mapping[str, Any]]:
    categories: dict[Id, Mapping[str, Any]] = {}
    for row in rows:
        category_id = checked_id(row, "category", path)
        called = f"category {category_id!r}"
        if category_id in categories:
            raise _bad(
                path, f"two categories have the id {category_id!r}: ids must differ."
            )
        name = row.get("name")
        if not isinstance(name, int | str) or isinstance(name, bool) or name == "":
            raise _bad(
                path, f"the name of {called} is {short_repr(name)}: expected text."
            )
        if row.get("isthing") not in (None, 0, 1):
            raise _bad(
                path,
                f"'isthing' of {called} is "
                f"{short_repr(row['isthing'])}: expected 0 or 1.",
            )
        _check_keypoints(row, called, path)
        try:
            categories[category_id] = orjson.loads(canonical_json(row, called))
        except AnnotationError as error:  # such as nested too deep
            raise _bad(path, str(error)) from error
    return categories


def _check_keypoints(row: Mapping[str, Any], called: str, path: Location) -> None:
    names = row.get("keypoints") or []
    if (
        not isinstance(names, list)
        or not all(isinstance(name, int | str) for name in names)
        or len(names) > _MAX_KEYPOINTS
    ):
        raise _bad(
            path,
            f"the keypoints of {called} are {short_repr(names)}: expected "
            f"a list of at most {_MAX_KEYPOINTS} names.",
        )
    skeleton = row.get("skeleton") or []
    if not isinstance(skeleton, list) or not all(map(_is_pair, skeleton)):
        raise _bad(
            path,
            f"the skeleton of {called} is {short_repr(skeleton)}: "
            "expected pairs of keypoints, as numbers from 1.",
        )


def _is_pair(bone: Any) -> bool:
    return isinstance(bone, list) and [type(end) for end in bone] == [int, int]


def _bad(path: Location, message: str) -> SourceError:
    return SourceError(f"{path.name}: {message}", reason="bad-category")


def _color(row: Mapping[str, Any]) -> RGB | None:
    color = row.get("color")
    if not isinstance(color, list) or [type(v) for v in color] != [int] * 3:
        return None
    red, green, blue = color
    return (red, green, blue) if 0 <= min(color) <= max(color) <= 255 else None
