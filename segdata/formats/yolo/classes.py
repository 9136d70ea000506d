"""What YOLO's classes are called: `data.yaml`, a class file, or only their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

from segdata.errors import SourceError, short_repr
from segdata.formats.json_files import read_each
from segdata.formats.yolo.labels import class_of
from segdata.storage.paths import Location

CLASS_FILES = ("classes.txt", "obj.names", "predefined_classes.txt")
"""Class files, as other tools than Ultralytics write them; LabelImg's lie beside the
text files."""
_MAX_BYTES = 1 << 18
_MAX_DEPTH = 16
_BEGINS = {
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
}
_ENDS = {yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken}
_MAX_CLASSES = 1 << 16


@dataclass(frozen=True, slots=True)
class Described:
    """What a file says of the data set."""

    names: Mapping[int, str] | None
    """Number -> name of each class; None where no file tells."""
    yaml: Mapping[str, Any]
    """What the YAML says, or lists of images that lie where one would name them."""
    file: str
    """Path of the file."""


def find_yaml(source: Location, given: str) -> Location | None:
    """The YAML that describes the data set; None where there is none.

    Raises:
      SourceError: If several might.
    """
    if given:
        return source / given
    named = [
        e.name for e in source.entries() if e.name.lower().endswith((".yaml", ".yml"))
    ]
    for name in ("data.yaml", "dataset.yaml", "data.yml"):
        if name in named:
            return source / name
    fitting = [name for name in named if "names" in _peek(source / name)]
    if len(fitting) > 1:
        raise SourceError(
            f"{' and '.join(fitting[:4])} may all be meant: choose one with --data."
        )
    return source / fitting[0] if fitting else None


def read_yaml(path: Location) -> dict[str, Any]:
    """Reads it, safely: no tag makes objects, no alias is followed.

    Raises:
      SourceError: If it is not such a YAML, or of poses.
    """
    try:
        data = path.read_start(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise SourceError(f"{path.name} has more than {_MAX_BYTES} bytes.")
        _check_tokens(data, path.name)
        found = yaml.safe_load(data)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SourceError(
            f"{path.name} is no YAML: {short_repr(str(error))}."
        ) from error
    if not isinstance(found, dict) or "names" not in found:
        raise SourceError(f"{path.name}: expected 'names', the names of the classes.")
    if "kpt_shape" in found:
        raise SourceError(
            f"{path.name} is of poses (kpt_shape), which YOLO's text files do not tell "
            "from polygons: export them as COCO keypoints."
        )
    return found


def _check_tokens(data: bytes, file_name: str) -> None:
    """Refuses aliases, which may stand for gigabytes, and deep nesting."""
    depth = 0
    for token in yaml.scan(data):
        if isinstance(token, yaml.AliasToken):
            raise SourceError(f"{file_name} has an alias (*): write it out.")
        depth += type(token) in _BEGINS
        depth -= type(token) in _ENDS
        if depth > _MAX_DEPTH:
            raise SourceError(f"{file_name} is nested deeper than {_MAX_DEPTH}.")


def class_names(found: Mapping[str, Any], file_name: str) -> dict[int, str]:
    """Number -> name of each class.

    Raises:
      SourceError: If `names` is neither a list nor numbers with names.
    """
    names = found["names"]
    rows = names.items() if isinstance(names, dict) else enumerate(names or ())
    if not isinstance(names, list | dict) or not 0 < len(names) < _MAX_CLASSES:
        raise _bad_names(names, file_name)
    result: dict[int, str] = {}
    for number, name in rows:
        text = str(number)
        is_good = text.isascii() and text.isdecimal() and len(text) < 10
        if not is_good or not isinstance(name, str | int | float | bool):
            raise _bad_names(names, file_name)
        result[int(text)] = str(name)
    return result


def find_class_file(source: Location, files: Sequence[str]) -> str:
    """The class file, the one that lies highest; empty where there is none.

    Raises:
      SourceError: If others differ from it.
    """
    found = [path for path in files if path.rpartition("/")[2] in CLASS_FILES]
    found.sort(key=lambda path: (path.count("/"), path))
    contents = {_peek(source / path).strip() for path in found}
    if len(contents) > 1:
        raise SourceError(
            f"{' and '.join(found[:4])} differ: choose one with --data.",
            reason="bad-category",
        )
    return found[0] if found else ""


def class_census(source: Location, paths: Sequence[str]) -> dict[int, str]:
    """`class-3` for each number of a class that stands in the text files."""
    read = read_each(source, paths, _numbers)
    numbers = set().union(*(each for each in read if isinstance(each, set)))
    if not numbers:
        raise SourceError(
            f"{source} has no class: expected data.yaml, or classes.txt with a name in "
            "each line."
        )
    return {number: f"class-{number}" for number in sorted(numbers)}


def _numbers(data: bytes) -> set[int]:
    lines = data.decode("ascii", "replace").splitlines()
    numbers = {class_of(line.split()[0]) for line in lines if line.strip()}
    return {n for n in numbers if n is not None and 0 <= n < _MAX_CLASSES}


def _peek(path: Location) -> str:
    try:
        return path.read_start(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _bad_names(names: Any, file_name: str) -> SourceError:
    return SourceError(
        f"{file_name}: 'names' is {short_repr(names)}: expected a list of names, or "
        "numbers from 0 with a name each.",
        reason="bad-category",
    )
