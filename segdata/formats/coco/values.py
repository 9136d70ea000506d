"""Ids, sizes and file names of COCO's rows, as tools write them.

Some write numbers as `1.0` or `"1"`. Ids of text are ids too: they stay as they are,
unless the id that they mean is that very number.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

Id = int | str

_UNKNOWN_SIZES = (None, 0, -1, "")


def whole(value: Any) -> Any:
    """A number such as `1.0` as an integer; anything else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def known_id(value: Any, known: Container[Id]) -> Id | None:
    """The id among `known` that a value means, whatever its type; None if none.

    Of `1` and `"1"` the one of its own type counts where both are there.
    """
    value = whole(value)
    if type(value) not in (int, str):
        return None
    if value in known:
        return value  # type: ignore[no-any-return]
    other: Id | None = str(value)
    if isinstance(value, str):
        is_number = value.isascii() and value.isdigit() and len(value) < 20
        other = int(value) if is_number and str(int(value)) == value else None
    return other if other is not None and other in known else None


def side(value: Any) -> Any:
    """Height or width in pixels; None where the file does not say it.

    What is no number of pixels stays as it is, to be refused by its name.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) < 20 else value
    value = whole(value)
    if isinstance(value, bool):
        return value
    return None if value in _UNKNOWN_SIZES else value


def file_name(image: Mapping[str, Any]) -> str | None:
    """The file name of an image; None where there is none.

    LVIS has none: it is the end of `coco_url`, `train2017/000000000009.jpg`, for its
    splits take images of both of COCO's folders.
    """
    name, url = image.get("file_name"), image.get("coco_url")
    if isinstance(name, str) and name:
        return name
    if name is None and isinstance(url, str):
        folder, _, base = url.rpartition("/")
        if base and "://" in folder:
            return f"{folder.rpartition('/')[2]}/{base}"
    return None
