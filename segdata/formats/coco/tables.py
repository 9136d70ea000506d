"""JSON files that hold long tables, as COCO's do, cut into rows without parsing them.

`instances_train2017.json` has 450 MB. Parsed whole it takes several times that, most of
it coordinates that only the worker of a shard needs. So rows stay views of the file's
bytes until their image is planned; `benchmarks/bench_coco_json.py` compares the ways.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from segdata.errors import SourceError
from segdata.formats import FORMATS
from segdata.formats.json_kinds import keys_of_json, kind_of_json
from segdata.storage.paths import Location

NOT_COCO = "not-coco"
"""Reason of the error for JSON of another kind, which may lie beside COCO's."""

Row = msgspec.Raw
"""The bytes of one row, a view of its file's. A JSON value; what its texts and numbers
hold is found out when it is parsed."""

# A text, or a number that is no JSON but is written all the same. A text without an
# end runs to the end of the file: so no byte is looked at twice.
_TEXT_OR_NOT_FINITE = re.compile(
    rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|-?Infinity|NaN', re.DOTALL
)


class RowKeys(msgspec.Struct, gc=False):
    """What is needed of a row before it is parsed; None where it is absent."""

    id: Any = None
    image_id: Any = None
    category_id: Any = None
    file_name: Any = None


_MAX_SHOWN = 5

_decode_keys = msgspec.json.Decoder(RowKeys).decode


@dataclass(frozen=True, kw_only=True, slots=True)
class JsonTables:
    """One file, cut into rows."""

    path: Location
    """Where it was read."""
    tables: Mapping[str, list[Row]]
    """Key -> rows, in the file's order."""
    others: Mapping[str, Row]
    """What else stands there, in the file's order, not parsed."""


def read_tables(
    path: Location, tables: Sequence[str], usual: Sequence[str]
) -> JsonTables:
    """Reads a JSON object and cuts its tables into rows.

    Args:
      path: The file.
      tables: Keys that must hold lists.
      usual: Keys that most files have beside them: other ones cost a second look.

    Raises:
      SourceError: If it cannot be read, is not JSON, or lacks a table.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    if text.startswith(codecs.BOM_UTF8):  # Windows' editors write it
        text = text[len(codecs.BOM_UTF8) :]
    try:
        found, others = _cut(text, path, tables, usual)
    except SourceError:
        if b"NaN" not in text and b"Infinity" not in text:
            raise
        # As texts they pass, to be refused where a number is needed, with the
        # annotation's name. Python's `json` reads them, but also what no record and no
        # plan can hold: half surrogate pairs and integers of any length.
        text = _TEXT_OR_NOT_FINITE.sub(_as_text, text)
        found, others = _cut(text, path, tables, usual)
    return JsonTables(
        path=path,
        tables={name: getattr(found, name) for name in tables},
        others=others,
    )


def parse_row(row: Row, path: Location) -> Any:
    """Parses one row.

    Raises:
      SourceError: If a text or number in it is malformed, or it is nested too deep.
    """
    try:
        return orjson.loads(memoryview(row))
    except orjson.JSONDecodeError as error:
        start = bytes(memoryview(row)[:40]).decode(errors="replace")
        raise SourceError(
            f"{path} is not JSON: {error}, in what begins with {start!r}."
        ) from error


def parse_rows(rows: Sequence[Row], path: Location) -> list[dict[str, Any]]:
    """Parses rows that are objects: what `parse_row` does, faster.

    Raises:
      SourceError: As `parse_row`, or if one is no object.
    """
    try:
        parsed: list[Any] = orjson.loads(b"[%b]" % b",".join(rows))
    except orjson.JSONDecodeError:
        parsed = [parse_row(row, path) for row in rows]  # tells which
    for row in parsed:
        if not isinstance(row, dict):
            raise no_table(path, "rows")
    return parsed


def row_keys(row: Row, path: Location, table: str) -> RowKeys:
    """The ids of a row, of whatever type they are.

    Raises:
      SourceError: If the row is malformed or no object.
    """
    try:
        return _decode_keys(row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        parsed = parse_row(row, path)
    if not isinstance(parsed, dict):
        raise no_table(path, table)
    return RowKeys(*map(parsed.get, RowKeys.__struct_fields__))


def no_table(path: Location, name: str) -> SourceError:
    """The error for a key that does not hold a list of objects."""
    return SourceError(
        f"{path.name} is not COCO-style JSON: expected the key {name!r} with a list of "
        "objects."
    )


def _cut(
    text: bytes, path: Location, tables: Sequence[str], usual: Sequence[str]
) -> tuple[msgspec.Struct, Mapping[str, Row]]:
    members: list[tuple[str, Any, None]] = [
        *((name, list[Row], None) for name in tables),
        *((name, Row, None) for name in usual),
    ]
    kind = msgspec.defstruct("File", members)
    only_known = msgspec.defstruct("File", members, forbid_unknown_fields=True)
    try:
        try:
            found = msgspec.json.decode(text, type=only_known)
            rows = [(name, getattr(found, name)) for name in usual]
            others = {name: row for name, row in rows if row is not None}
        except (msgspec.ValidationError, UnicodeDecodeError):  # of an unknown key
            every = _members(msgspec.json.decode(text, type=Row), path, tables)
            others = {name: row for name, row in every.items() if name not in tables}
            found = msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        what = str(error).removeprefix("JSON is malformed: ")
        raise SourceError(f"{path} is not JSON: {what}.") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not JSON: a key is not UTF-8.") from error
    except RecursionError as error:
        raise SourceError(
            f"{path} is not JSON that can be read: it is nested too deep, by hundreds "
            "of levels."
        ) from error
    for name in tables:
        if getattr(found, name) is None:
            raise _lacking(text, path, name)
    return found, others


def _lacking(text: bytes, path: Location, name: str) -> SourceError:
    """The error for a file without a table, which says what it is in its place."""
    keys = keys_of_json(text)
    kind = "" if "images" in keys else kind_of_json(text, frozenset(FORMATS))
    if not kind and keys & {"images", "annotations"}:
        return no_table(path, name)
    told = (
        kind or f"expected the key {name!r} with a list of objects, got {_told(keys)}"
    )
    return SourceError(f"{path.name} is not COCO-style JSON: {told}.", reason=NOT_COCO)


def _told(keys: Collection[str]) -> str:
    """Some keys of an object, for messages."""
    names = [repr(name)[:40] for name in sorted(keys)]
    more = " ..." if len(names) > _MAX_SHOWN else ""
    return f"the keys {', '.join(names[:_MAX_SHOWN])}{more}" if names else "none"


def _members(value: Row, path: Location, tables: Sequence[str]) -> dict[str, Row]:
    """What stands under each key; tables are lists.

    Raises:
      SourceError: If there is no object, or a table is none.
    """
    try:
        members = msgspec.json.decode(value, type=dict[str, Row])
    except msgspec.ValidationError:
        raise _lacking(bytes(value), path, tables[0]) from None
    for name in tables:
        if name in members and bytes(memoryview(members[name])[:1]) != b"[":
            raise _lacking(bytes(value), path, name)
    return members


def _as_text(match: re.Match[bytes]) -> bytes:
    found = match[0]
    return found if found.startswith(b'"') else b'"%s"' % found
