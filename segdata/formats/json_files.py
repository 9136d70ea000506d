"""JSON files of one image each, and what tells them apart at a glance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import orjson

from segdata.errors import AnnotationError, short_repr
from segdata.storage.paths import Location

_BOM = b"\xef\xbb\xbf"
_HEAD_BYTES = 1 << 14
_MOST_HEADS, _MOST_FOLDERS = 3, 16
_AT_ONCE, _PART = 16, 64

T = TypeVar("T")


def parse_json(data: bytes) -> Any:
    """Parses a JSON file.

    Raises:
      AnnotationError: If it is none: cut off, not UTF-8, nested too deep, with NaN.
    """
    try:
        return orjson.loads(data.removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        what = "it is empty" if not data.strip() else str(error)
        raise AnnotationError(
            f"no JSON: {what}. Replace or remove it.", reason="bad-json"
        ) from error


def parse_object(data: bytes, *keys: str) -> dict[str, Any]:
    """Parses a JSON file that holds an object.

    Args:
      data: The file.
      keys: What must stand in it, each a list or an object.

    Raises:
      AnnotationError: If it is no JSON, or of another kind.
    """
    parsed = parse_json(data)
    if not isinstance(parsed, dict) or not all(
        isinstance(parsed.get(key), list | dict) for key in keys
    ):
        raise AnnotationError(
            f"expected an object with {' and '.join(map(repr, keys))}, got "
            f"{short_repr(parsed)}.",
            reason="bad-json",
        )
    return parsed


def read_each(
    source: Location, paths: Sequence[str], read: Callable[[bytes], T]
) -> list[T | AnnotationError]:
    """Reads many small files, several at once: a census before the build.

    Args:
      source: Folder that the paths are below.
      paths: The files.
      read: Takes what a file holds.

    Returns:
      For each file what `read` returns, or why that cannot be.
    """

    def one(path: str) -> T | AnnotationError:
        try:
            return read(source.inside(path).read_bytes())
        except AnnotationError as error:
            return AnnotationError(f"{path!r}: {error}", reason=error.reason)
        except OSError as error:
            return AnnotationError(
                f"{path!r} cannot be read: {error.strerror}.",
                reason="annotation-file-unreadable",
            )

    parts = [paths[i : i + _PART] for i in range(0, len(paths), _PART)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda part: [one(path) for path in part], parts)
        return list(itertools.chain.from_iterable(found))


def beginnings(folder: Location, suffix: str) -> Iterator[bytes]:
    """The beginnings of a few files of a folder and of the folders in it.

    Args:
      folder: The folder.
      suffix: What the names end with, in lower case.
    """
    places = [folder]
    for place in itertools.islice(places, _MOST_FOLDERS):  # it grows meanwhile
        try:
            entries = place.entries()
        except OSError:
            continue
        files = [e.name for e in entries if not e.is_dir and e.name[:1] != "."]
        fitting = (name for name in files if name.lower().endswith(suffix))
        for name in itertools.islice(fitting, _MOST_HEADS):
            with suppress(OSError):
                yield (place / name).read_start(_HEAD_BYTES)
        places += [
            place / e.name
            for e in entries
            if e.is_dir and not e.is_link and e.name[:1] != "."
        ]
