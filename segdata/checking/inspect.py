"""What a TFRecord file holds, for people: keys, kinds, lengths, values in short.

Nothing is assumed of the records: they may be `tf.train.Example`, `SequenceExample` or
any bytes.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.message import DecodeError

from segdata.errors import ImageError
from segdata.images.header import read_header
from segdata.records import proto
from segdata.shards.scan import ScannedRecord

_SHOWN_VALUES = 4
_SHOWN_BYTES = 48
_STEPS = "[...]"
_NUMBER = {"int64": "{}", "float": "{:g}"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueSummary:
    """One key of one record."""

    key: str
    """Name; a key of a `SequenceExample`'s feature lists ends with `[...]`."""
    kind: str
    """`bytes`, `int64`, `float`, or `nothing` where the feature has no list at all."""
    num_values: int
    """Values in it; of a feature list, in all its steps."""
    num_bytes: int
    """Bytes of all its values: 8 of an int64, 4 of a float."""
    preview: str
    """The values in short."""


@dataclass(kw_only=True, slots=True)
class KeySummary:
    """One key over all records of a file."""

    kinds: Counter[str] = field(default_factory=Counter)
    """Kind -> records."""
    num_records: int = 0
    """Records that have it."""
    fewest: int = 0
    """Smallest number of values in a record that has it."""
    most: int = 0
    """Largest number of values."""
    num_bytes: int = 0
    """Bytes of its values in all records."""
    example: str = ""
    """The values of the first record that has any, in short."""

    def add(self, value: ValueSummary) -> None:
        """Counts one record's values."""
        first = not self.num_records
        self.fewest = value.num_values if first else min(self.fewest, value.num_values)
        self.most = max(self.most, value.num_values)
        self.num_records += 1
        self.kinds[value.kind] += 1
        self.num_bytes += value.num_bytes
        if value.num_values and not self.example:
            self.example = value.preview


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSummary:
    """A whole file."""

    num_records: int
    """Intact records."""
    num_bytes: int
    """Framed size of all, after decompression."""
    messages: Counter[str]
    """Kind of message -> intact records."""
    keys: dict[str, KeySummary]
    """Key -> its summary, sorted."""
    records: tuple[ScannedRecord, ...]
    """All records and damaged stretches in order, without their data."""

    @property
    def damages(self) -> list[ScannedRecord]:
        """The damaged ones."""
        return [record for record in self.records if record.damage]


def summarize(records: Iterable[ScannedRecord]) -> FileSummary:
    """Reads records to the end and sums them up."""
    messages: Counter[str] = Counter()
    keys: dict[str, KeySummary] = {}
    bare = []
    for record in records:
        bare.append(replace(record, data=b""))
        if record.damage:
            continue
        kind, values = read_values(record.data)
        messages[kind] += 1
        for value in values:
            keys.setdefault(value.key, KeySummary()).add(value)
    return FileSummary(
        num_records=messages.total(),
        num_bytes=sum(record.size for record in bare),
        messages=messages,
        keys=dict(sorted(keys.items())),
        records=tuple(bare),
    )


def read_values(data: bytes) -> tuple[str, list[ValueSummary]]:
    """Reads one record.

    Returns:
      The kind of message (`Example`, `SequenceExample` or `bytes`), and its keys in
      order; of plain bytes one entry with an empty key.
    """
    message = _parse(data)
    if message is None:
        return "bytes", [_summary("", "bytes", [data])]
    values = [
        _summary(key, *_values(feature))
        for key, feature in message.context.feature.items()
    ]
    for key, steps in message.feature_lists.feature_list.items():
        kinds: set[str] = set()
        found: list[Any] = []
        for feature in steps.feature:
            kind, items = _values(feature)
            kinds.add(kind)
            found += items
        kind = "/".join(sorted(kinds)) or "nothing"
        values.append(_summary(f"{key}{_STEPS}", kind, found))
    is_sequence = bool(message.feature_lists.feature_list)
    values.sort(key=lambda value: value.key)
    return "SequenceExample" if is_sequence else "Example", values


def _parse(data: bytes) -> Any:
    """The record as a `SequenceExample`, whose context an `Example` is; None if not.

    Arbitrary bytes may parse as a message of unknown fields only: that is none of ours.
    """
    try:
        message = proto.SequenceExample.FromString(data)
    except (DecodeError, UnicodeDecodeError):
        return None
    known = message.context.feature or message.feature_lists.feature_list
    return message if known or not data else None


def _values(feature: Any) -> tuple[str, Sequence[Any]]:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return "nothing", ()
    return kind.removesuffix("_list"), getattr(feature, kind).value


def _summary(key: str, kind: str, values: Sequence[Any]) -> ValueSummary:
    if kind == "bytes":
        num_bytes = sum(map(len, values))
    else:
        num_bytes = len(values) * (8 if kind == "int64" else 4)
    return ValueSummary(
        key=key,
        kind=kind,
        num_values=len(values),
        num_bytes=num_bytes,
        preview=", ".join(_previews(kind, values)),
    )


def _previews(kind: str, values: Sequence[Any]) -> Iterator[str]:
    number = _NUMBER.get(kind, "{}")
    for value in values[:_SHOWN_VALUES]:
        if isinstance(value, bytes):
            yield _bytes_preview(value, len(values) == 1)
        else:
            yield number.format(value)
    if len(values) > _SHOWN_VALUES:
        rest = f"... {len(values)} values"
        if kind in _NUMBER:
            lowest, highest = number.format(min(values)), number.format(max(values))
            rest += f", {lowest} to {highest}"
        yield rest


def _bytes_preview(value: bytes, alone: bool) -> str:
    room = _SHOWN_BYTES if alone else _SHOWN_BYTES // 3
    if alone and value[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1"):
        return _image_preview(value)
    try:
        # Not the whole value: it may be megabytes. `final`: a letter may be cut in two.
        text, _ = codecs.utf_8_decode(value[: 4 * room], "strict", len(value) <= room)
    except UnicodeDecodeError:
        text = "\0"
    if text.isprintable():
        more = "..." if len(text[:room].encode()) < len(value) else ""
        return f"{text[:room]!r}{more}"
    more = "..." if len(value) > room // 3 else ""
    return f"{len(value)} bytes {value[: room // 3].hex(' ')}{more}"


def _image_preview(value: bytes) -> str:
    try:
        header = read_header(value, "it")
    except ImageError as error:
        return f"damaged image of {len(value)} bytes: {error}"
    size = f"{header.width}x{header.height}"
    return f"{header.format.upper()} image {size}, {len(value)} bytes"
