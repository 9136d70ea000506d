"""Classes in JSON, as tools and publishers write them.

["sky", "road"]                               names; the id is the place in the list
{"0": "sky", "1": "road"}                     id -> name: Hugging Face's `id2label`
{"sky": 0, "road": 1}                         name -> id
{"#ff0000": "car"}                            colour -> name
[{"name": "sky", "color": "#3C1098"}]         objects with a name, id or colour
{"classes": [..]}, {"labels": [..]}           one of these under a key
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from segdata.errors import AnnotationError, SourceError
from segdata.formats.json_files import parse_json

_LISTS = ("classes", "labels", "categories", "id2label", "names")
_NAMES = ("name", "title", "label", "class", "display_name")
_IDS = ("id", "index", "value", "class_id", "label_id", "trainId")
_HEX = re.compile(r"#?([0-9a-fA-F]{6})")


def read_class_json(data: bytes, file_name: str) -> list[dict[str, str]]:
    """Reads the classes of a JSON file, as rows of `name`, `id`, `r`, `g` and `b`.

    Raises:
      SourceError: If it is no JSON, or not of these forms.
    """
    try:
        found = parse_json(data)
    except AnnotationError as error:
        raise SourceError(f"{file_name} is {error}") from error
    if isinstance(found, dict):
        lists = [found[k] for k in _LISTS if isinstance(found.get(k), list | dict)]
        found = lists[0] if lists else found
    rows = list(_rows(found))
    if not rows or any({"name"} - row.keys() or row.keys() != rows[0].keys()
                       for row in rows):  # fmt: skip
        raise SourceError(
            f"{file_name} holds no classes: expected a list of names, or ids, names "
            "and colours, as docs/formats.md shows them."
        )
    return rows


def _rows(found: Any) -> Iterator[dict[str, str]]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield _pair(key, value)
    elif isinstance(found, list):
        for item in found:
            yield {"name": item} if isinstance(item, str) else _row(item)


def _pair(key: str, value: Any) -> dict[str, str]:
    if isinstance(value, str) and _HEX.fullmatch(key) and key.startswith("#"):
        return {"name": value, **_color(key)}
    if isinstance(value, str) and key.isdecimal():
        return {"id": key, "name": value}
    if _is_id(value):
        return {"id": str(value), "name": key}
    return {"": ""}


def _row(item: Any) -> dict[str, str]:
    if not isinstance(item, Mapping):
        return {"": ""}
    names = [item[key] for key in _NAMES if isinstance(item.get(key), str)]
    ids = [item[key] for key in _IDS if _is_id(item.get(key))]
    row = {"name": names[0]} if names else {"": ""}
    if ids:
        row["id"] = str(ids[0])
    return row | _color(item.get("color") or item.get("colour"))


def _color(value: Any) -> dict[str, str]:
    if isinstance(value, str) and (match := _HEX.fullmatch(value)):
        return dict(zip("rgb", map(str, bytes.fromhex(match[1])), strict=True))
    if isinstance(value, list) and len(value) == 3 and all(map(_is_id, value)):
        return dict(zip("rgb", map(str, value), strict=True))
    return {}


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
