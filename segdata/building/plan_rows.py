"""What is known of each record, as a plan sorts it.

A row is `HEAD 0 POSITION 0 META 0 DATA`, parted by NULs, which JSON never has. It sorts
by the hash that decides shard and place, then by key, so that twins of a key meet. A
number that a record is given has a row of its own, `HEAD 0 0 NUMBER`, right before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from segdata import identity
from segdata.annotations import Annotation
from segdata.errors import SourceError
from segdata.storage.listing import State


class Row(NamedTuple):
    """What is known of a record, but its number, as it lies in the sorter."""

    head: bytes
    """16 hex digits of the hash that decides its place, and its key as JSON."""
    split: str | None
    """The split that it was drawn for; None if it is not asked for."""
    source_split: str | None
    source_bytes: int
    source_state: str
    image_id: Any
    """The number that the source gives it."""
    data: bytes
    """The annotation dict as JSON, without its key."""

    @property
    def hashed(self) -> int:
        """The hash that decides its place."""
        return int(self.head[:16], 16)

    @property
    def key(self) -> str:
        """Its key."""
        return str(orjson.loads(self.head[16:]))


def record_head(key: str, image: str, seed: int) -> bytes:
    """What the rows of a record begin with."""
    return b"%016x%b" % (identity.key_hash(key, seed, "shard"), _json(key, image))


def record_row(
    head: bytes,
    position: int,
    data: Annotation,
    split: str | None,
    states: list[State],
) -> bytes:
    """The row of a record.

    Args:
      head: From `record_head`.
      position: Its place in the source: in this order twins of a key are told.
      data: Its annotation dict.
      split: The split that it is drawn for; None if it is not asked for: then only its
        image is kept.
      states: The state of each of its files.

    Raises:
      SourceError: If the annotation dict cannot be stored as JSON.
    """
    image = data["image"]
    text = _json({"image": image}, image) if split is None else _data_json(data)
    num_bytes = sum(size for size, _ in states)
    meta = (split, data.get("split"), num_bytes, repr(states), data.get("image_id"))
    return b"%b\0%012d\0%b\0%b" % (head, position, _json(meta, image), text)


def number_row(head: bytes, number: int) -> bytes:
    """The row of a record's number."""
    return b"%b\0\0%d" % (head, number)


def numbered(rows: Iterable[bytes]) -> Iterator[tuple[Row, bytes]]:
    """Every record in the order of its hash, with its number as JSON.

    Raises:
      SourceError: If two have the same key.
    """
    number = last = None
    for text in rows:
        head, position, rest = text.split(b"\0", 2)
        if not position:
            number = rest
            continue
        meta, data = rest.split(b"\0")
        split, source_split, num_bytes, state, image_id = orjson.loads(meta)
        row = Row(head, split, source_split, num_bytes, state, image_id, data)
        if last is not None and last.head == head:
            raise SourceError(
                f"two images have the key {row.key!r}: {_image(last)!r} and "
                f"{_image(row)!r}. Rename or remove one of them.",
                reason="duplicate-key",
            )
        yield row, number or orjson.dumps(row.image_id)
        number, last = None, row


def _image(row: Row) -> str:
    return str(orjson.loads(row.data)["image"])


def _data_json(data: Annotation) -> bytes:
    # Sorted, so that the order of fields in a source is no matter.
    stored = {k: v for k, v in data.items() if k != "key"}
    try:
        return orjson.dumps(stored, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        if "objects" in stored:
            stored["objects"] = [_storable(item) for item in data["objects"]]
        if "source" in stored:
            stored |= _storable({"source": stored["source"]})
        return _json(stored, data["image"])


def _storable(item: Mapping[str, Any]) -> dict[str, Any]:
    """A dict whose fields JSON can hold, e.g. not nested 255 deep.

    What it cannot hold goes as text: the worker refuses it with the object's name.
    """
    result = {}
    for name, value in item.items():
        try:
            orjson.dumps(value)
            result[name] = value
        except TypeError as error:
            result[name] = f"a {type(value).__name__} ({error})"
    return result


def _json(value: Any, image: str) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise SourceError(
            f"annotation of image {image!r} cannot be stored as JSON: "
            f"{error}. File names must be valid UTF-8.",
            reason="not-json",
        ) from error
