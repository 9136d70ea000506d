"""Class files: which value and which colour of a label image is which class.

The forms that tools write, recognised by the first line; all lines must be of one form:

    Sky                    name; the id is the number of the line, from 0
    0 Sky                  id and name; also `0: Sky`
    0 Sky 128 128 128      id, name and colour
    Sky 128 128 128        name and colour
    128 128 128 Sky        colour and name: CamVid's `label_colors.txt`
    Sky:128,128,128::      name, colour, parts, actions: CVAT's `labelmap.txt`

Lines that begin with `#` are comments. A file named `.csv` has the same columns: by its
header (`id`, `name`, `r`, `g`, `b`), or by their number; so has any file of tabs with
such a header. A file named `.json` is read by `class_json.py`. `__ignore__` on the
first line is labelme's: the ids count from the next line, and pixels of 255 are no
class. A header of another kind is refused: it would become a class and shift all
others.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from segdata.errors import SourceError, short_repr
from segdata.formats.class_json import read_class_json
from segdata.formats.text import read_lines, read_small
from segdata.label_map import RGB, rgb
from segdata.storage.paths import Location

_MAX_BYTES = 1 << 20  # the longest real ones have some thousand lines
_MAX_LINE = 1000
_COLOR = r"(?P<r>\d+)\s+(?P<g>\d+)\s+(?P<b>\d+)"
_FORMS = (
    (
        r"(?P<name>[^:#]+):(?P<r>\d+),(?P<g>\d+),(?P<b>\d+):[^:]*:[^:]*",
        "a name and three numbers from 0 to 255",
    ),
    (rf"{_COLOR}\s+(?P<name>\S.*)", "a name and three numbers from 0 to 255"),
    (
        rf"(?P<id>\d+)(\s*:\s*|\s+)(?P<name>\S.*?)\s+{_COLOR}",
        "an id, a name and three numbers from 0 to 255",
    ),
    (rf"(?P<name>\D.*?)\s+{_COLOR}", "a name and three numbers from 0 to 255"),
    (r"(?P<id>\d+)(\s*:\s*|\s+)(?P<name>\S.*)", "an id and a name"),
    (r"(?P<name>.+)", "a name"),
)
_WITH_COLOR = 4
"""The first so many forms have a colour; the last one has a name only."""
_NO_NAME = re.compile(r"[]{}<>=\t[\";]|:$|^- |^\d+\s*,|,\s*\d+\s*(,|$)")
"""What no line of names has: marks of YAML, JSON, XML, tables."""
_LABELME_IGNORED = "__ignore__"
_COLUMNS_BY_NUMBER = {
    1: ("name",),
    2: ("id", "name"),
    4: ("name", "r", "g", "b"),
    5: ("id", "name", "r", "g", "b"),
}
_COLUMN_NAMES = {
    "id": {"id", "index", "idx", "value", "pixel_value", "pixel", "class_id"}
    | {"class_index", "class_value", "label_id", "label_value", "category_id"},
    "name": {"name", "class", "label", "class_name", "label_name", "category"}
    | {"category_name", "names", "classes", "labels"},
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
    ignored_value: str = ""
    """Pixel value that the file says is no class; empty where it says nothing."""

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
    if path.suffix.lower() == ".json":
        return _of_json(path)
    lines = list(read_lines(path, max_bytes=_MAX_BYTES))
    for number, line in lines:
        if len(line) > _MAX_LINE:  # the forms would take minutes over a million blanks
            raise _malformed(number, line, path.name, f"at most {_MAX_LINE} characters")
    is_labelme = bool(lines) and lines[0][1] == _LABELME_IGNORED
    if is_labelme:
        del lines[0]
    if not lines:
        raise SourceError(f"{path.name} is empty: expected one class per line.")
    if path.suffix.lower() == ".csv":
        fields = list(_csv_fields(lines, path.name, needs_colors))
    elif _header(_cells(lines[0][1].split("\t"))) and "\t" in lines[0][1]:
        fields = list(_csv_fields(lines, path.name, needs_colors, delimiter="\t"))
    else:
        fields = list(_line_fields(lines, path.name, needs_colors))
    rows = list(_rows(fields, path.name))
    if not rows:
        raise SourceError(f"{path.name} is empty: expected a class below its header.")
    return ClassFile(
        rows=tuple(rows),
        has_ids="id" in fields[0][2],
        ignored_value="255" if is_labelme else "",
    )


def _of_json(path: Location) -> ClassFile:
    rows = read_class_json(read_small(path, _MAX_BYTES), path.name)
    fields = [(number, str(row), row) for number, row in enumerate(rows, 1)]
    return ClassFile(rows=tuple(_rows(fields, path.name)), has_ids="id" in fields[0][2])


_Lines = Sequence[tuple[int, str]]
_Fields = Iterator[tuple[int, str, Mapping[str, str]]]


def _line_fields(lines: _Lines, name: str, needs_colors: bool) -> _Fields:
    forms = _FORMS[:_WITH_COLOR] if needs_colors else _FORMS
    first = lines[0][1]
    fitting = [form for form in forms if re.fullmatch(form[0], first, re.ASCII)]
    form, expected = (fitting or forms)[0]
    if form == _FORMS[-1][0]:
        _check_names(lines, name)
    for number, line in lines:
        match = re.fullmatch(form, line, re.ASCII)
        if match is None:
            raise _malformed(number, line, name, expected)
        yield number, line, match.groupdict()


def _check_names(lines: _Lines, file_name: str) -> None:
    """Refuses what would become classes, though nobody meant them so."""
    others = [line for _, line in lines[1:]]
    is_header = _title(lines[0][1]) in _COLUMN_NAMES["name"] or any(
        others and all(re.fullmatch(form, line, re.ASCII) for line in others)
        for form, _ in _FORMS[:-1]
    )
    if is_header:
        raise _malformed(
            *lines[0],
            file_name,
            "a class, and this looks like a header: remove it, or write ids",
        )
    for number, line in lines:
        if _NO_NAME.search(line):
            raise _malformed(
                number, line, file_name, "a name, alone or with an id or colour"
            )


def _csv_fields(
    lines: _Lines, name: str, needs_colors: bool, delimiter: str = ","
) -> _Fields:
    texts = (line for _, line in lines)
    try:
        cells = list(map(_cells, csv.reader(texts, strict=True, delimiter=delimiter)))
    except csv.Error as error:
        raise SourceError(f"{name} is not CSV: {error}.") from error
    columns: Sequence[str | None] | None = _COLUMNS_BY_NUMBER.get(len(cells[0]))
    header = _header(cells[0])
    if header is not None:
        _check_ids(cells, header, name)
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


def _cells(row: Iterable[str]) -> list[str]:
    return [cell.strip() for cell in row]


def _header(cells: list[str]) -> list[str | None] | None:
    """What each column is, by its title; None if this row is no header."""
    titles_here = [_title(cell) for cell in cells]
    if any(cell.isdecimal() for cell in cells) or (
        len(cells) == 1 and titles_here[0] not in _COLUMN_NAMES["name"]
    ):
        return None
    columns = [
        next((c for c, titles in _COLUMN_NAMES.items() if cell in titles), None)
        for cell in titles_here
    ]
    if "name" not in columns and columns.count(None) == 1:
        columns[columns.index(None)] = "name"
    known = [column for column in columns if column]
    is_sound = "name" in known and len(set(known)) == len(known)
    return columns if is_sound and len({"r", "g", "b"} & set(known)) in (0, 3) else None


def _title(text: str) -> str:
    return re.sub(r"[\s_-]+", "_", text.lower())


def _check_ids(
    cells: Sequence[Sequence[str]], columns: Sequence[str | None], file_name: str
) -> None:
    """Refuses a column of numbers that may be the ids, under a title not known."""
    if "id" in columns:
        return
    for index, (title, column) in enumerate(zip(cells[0], columns, strict=True)):
        values = [row[index] for row in cells[1:] if index < len(row)]
        if column is None and values and all(map(_is_id, values)):
            raise SourceError(
                f"{file_name} has the numbers of {title!r} and no column of ids: are "
                "they the ids of the classes? Then name the column 'id'; else remove "
                "it."
            )


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
