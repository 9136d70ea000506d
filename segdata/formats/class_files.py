"""Class files: which value and which colour of a label image is which class.

The forms that tools write, recognised by the first line; all lines must be of one form:

    Sky                    name; the id is the number of the line, from 0
    0 Sky                  id and name; also `0: Sky`
    0 Sky 128 128 128      id, name and colour
    Sky 128 128 128        name and colour
    128 128 128 Sky        colour and name: CamVid's `label_colors.txt`

A file named `.csv` has the same columns: by its header (`id`, `name`, `r`, `g`, `b`),
or by their number.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from segdata.errors import SourceError, short_repr
from segdata.label_map import RGB, rgb
from segdata.storage.operations import read_start
from segdata.storage.paths import Location

_MAX_BYTES = 1 << 20  # the longest real ones have some thousand lines
_MAX_LINE = 1000
_COLOR = r"(?P<r>\d+)\s+(?P<g>\d+)\s+(?P<b>\d+)"
_FORMS = (
    (rf"{_COLOR}\s+(?P<name>\S.*)", "a name and three numbers from 0 to 255"),
    (
        rf"(?P<id>\d+)(\s*:\s*|\s+)(?P<name>\S.*?)\s+{_COLOR}",
        "an id, a name and three numbers from 0 to 255",
    ),
    (rf"(?P<name>\D.*?)\s+{_COLOR}", "a name and three numbers from 0 to 255"),
    (r"(?P<id>\d+)(\s*:\s*|\s+)(?P<name>\S.*)", "an id and a name"),
    (r"(?P<name>.+)", "a name"),
)
_WITH_COLOR = 3
"""The first so many forms have a colour."""
_COLUMNS_BY_NUMBER = {
    1: ("name",),
    2: ("id", "name"),
    4: ("name", "r", "g", "b"),
    5: ("id", "name", "r", "g", "b"),
}
_COLUMN_NAMES = {
    "id": {"id", "index", "value", "class_id", "label_id", "category_id"},
    "name": {"name", "class", "label", "class_name", "category"},
    "r": {"r", "red"},
    "g": {"g", "green"},
    "b": {"b", "blue"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """One class as its file says it."""

    name: str
    """Its name."""
    source_id: int
    """Its id, or the number of its row from 0 where the file gives none."""
    color: RGB | None = None
    """Its colour in label images, where the file gives one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFile:
    """All classes of a file."""

    rows: tuple[ClassRow, ...]
    """In the file's order; names, ids and colours stand once each."""
    has_ids: bool
    """Whether the file itself gives the ids."""

    @property
    def has_colors(self) -> bool:
        """Whether it gives colours."""
        return self.rows[0].color is not None


def read_class_file(path: Location, *, needs_colors: bool = False) -> ClassFile:
    """Reads a class file in any of the forms above.

    Stray blanks, repeated tabs, empty lines, a byte-order mark and a missing final
    newline are all seen in real files and are accepted.

    Args:
      path: The file.
      needs_colors: Whether a file without colours is refused.

    Raises:
      SourceError: If it cannot be read, a line is malformed, or a name, an id or a
        colour stands twice.
    """
    lines = [
        (number, line.strip())
        for number, line in enumerate(_text(path).splitlines(), 1)
        if line.strip()
    ]
    for number, line in lines:
        if len(line) > _MAX_LINE:  # the forms would take minutes over a million blanks
            raise _malformed(number, line, path.name, f"at most {_MAX_LINE} characters")
    if not lines:
        raise SourceError(f"{path.name} is empty: expected one class per line.")
    split = _csv_fields if path.suffix.lower() == ".csv" else _line_fields
    fields = list(split(lines, path.name, needs_colors))
    rows = list(_rows(fields, path.name))
    if not rows:
        raise SourceError(f"{path.name} is empty: expected a class below its header.")
    return ClassFile(rows=tuple(rows), has_ids="id" in fields[0][2])


_Lines = Sequence[tuple[int, str]]
_Fields = Iterator[tuple[int, str, Mapping[str, str]]]


def _text(path: Location) -> str:
    try:
        data = read_start(path, _MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise SourceError(
                f"class file {path.name} has more than {_MAX_BYTES} bytes: expected "
                "one class per line."
            )
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path.name} is not UTF-8: {error.reason}.") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error


def _line_fields(lines: _Lines, name: str, needs_colors: bool) -> _Fields:
    forms = _FORMS[:_WITH_COLOR] if needs_colors else _FORMS
    first = lines[0][1]
    fitting = [form for form in forms if re.fullmatch(form[0], first, re.ASCII)]
    form, expected = (fitting or forms)[0]
    for number, line in lines:
        match = re.fullmatch(form, line, re.ASCII)
        if match is None:
            raise _malformed(number, line, name, expected)
        yield number, line, match.groupdict()


def _csv_fields(lines: _Lines, name: str, needs_colors: bool) -> _Fields:
    try:
        cells = [
            [cell.strip() for cell in row]
            for row in csv.reader((line for _, line in lines), strict=True)
        ]
    except csv.Error as error:
        raise SourceError(f"{name} is not CSV: {error}.") from error
    columns: Sequence[str | None] | None = _COLUMNS_BY_NUMBER.get(len(cells[0]))
    header = _header(cells[0])
    if header is not None:
        columns, lines, cells = header, lines[1:], cells[1:]
    expected = "a name and three numbers from 0 to 255"
    if columns is not None and "r" not in columns and not needs_colors:
        expected = "an id and a name" if "id" in columns else "a name"
    elif columns is None or "r" not in columns:
        raise _malformed(*lines[0], name, expected)
    for (number, line), row in zip(lines, cells, strict=False):
        if len(row) != len(columns):
            raise _malformed(number, line, name, expected)
        pairs = zip(columns, row, strict=True)
        yield number, line, {column: cell for column, cell in pairs if column}


def _header(cells: list[str]) -> list[str | None] | None:
    """What each column is, by its title; None if this row is no header."""
    lowered = [cell.lower() for cell in cells]
    if any(cell.isdecimal() for cell in cells) or (
        len(cells) == 1 and lowered[0] not in _COLUMN_NAMES["name"]
    ):
        return None
    columns = [
        next((c for c, titles in _COLUMN_NAMES.items() if cell in titles), None)
        for cell in lowered
    ]
    if "name" not in columns and columns.count(None) == 1:
        columns[columns.index(None)] = "name"
    known = [column for column in columns if column]
    is_sound = "name" in known and len(set(known)) == len(known)
    return columns if is_sound and len({"r", "g", "b"} & set(known)) in (0, 3) else None


def _rows(
    fields: Iterable[tuple[int, str, Mapping[str, str]]], file_name: str
) -> Iterator[ClassRow]:
    seen: dict[str, set[object]] = {"name": set(), "id": set(), "colour": set()}
    for index, (number, line, row) in enumerate(fields):
        expected = "a name" + (" and three numbers from 0 to 255" if "r" in row else "")
        color = _color(row) if "r" in row else None
        class_id = row.get("id", str(index))
        if not row["name"] or ("r" in row and color is None) or not _is_id(class_id):
            raise _malformed(number, line, file_name, expected)
        parsed = ClassRow(name=row["name"], source_id=int(class_id), color=color)
        for what, value in (
            ("name", parsed.name),
            ("id", parsed.source_id),
            ("colour", color),
        ):
            if value is not None and value in seen[what]:
                raise SourceError(
                    f"line {number} of {file_name} repeats the {what} {value!r}: each "
                    "must stand once."
                )
            seen[what].add(value)
        yield parsed


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _color(row: Mapping[str, str]) -> RGB | None:
    words = [row[channel] for channel in "rgb"]
    if not all(map(_is_id, words)) or max(map(int, words)) > 255:
        return None
    return rgb([int(word) for word in words])


def _malformed(number: int, line: str, name: str, expected: str) -> SourceError:
    return SourceError(
        f"line {number} of {name} is {short_repr(line)}: expected {expected}."
    )
