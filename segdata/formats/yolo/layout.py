"""Where YOLO's images are, in which splits, and what its classes are called.

The folders in a `data.yaml` are often another machine's (`path: ../datasets/x`,
`train: ../train/images`): of each the longest end counts that is a folder or a list
here, so no path leads out of the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]

from segdata.errors import SourceError, short_repr
from segdata.formats.folders import split_of
from segdata.formats.found_images import find_images
from segdata.formats.text import read_lines
from segdata.storage.paths import Location

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
SPLITS = ("train", "val", "test")


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


def images_of_splits(
    source: Location, found: Mapping[str, Any], images: Sequence[str], lists: set[str]
) -> tuple[dict[str, str], list[str]]:
    """The split of each image that the YAML names, and warnings.

    Args:
      source: Folder of the source.
      found: What the YAML says.
      images: Paths of all images.
      lists: Paths of all text files.
    """
    folders = {str(p) for image in images for p in PurePosixPath(image).parents}
    splits: dict[str, str] = {}
    warnings: list[str] = []
    doubled = 0
    for split in SPLITS:
        given = found.get(split) or []
        for entry in given if isinstance(given, list) else [given]:
            place = _here(str(found.get("path") or ""), str(entry), folders | lists)
            if place is None:
                warnings.append(f"{split}: {short_repr(entry)} is not here: left out")
                continue
            if place in lists:
                named, told = _listed(source, place, images)
                warnings += told
            else:
                named = [i for i in images if place == "." or i.startswith(f"{place}/")]
            for image in named:
                doubled += splits.setdefault(image, split) != split
    if doubled:
        warnings.append(f"{doubled} images stand in several splits: the first counts")
    return splits, warnings


def _here(root: str, entry: str, places: set[str]) -> str | None:
    """The longest end of a path that is here; it keeps a folder named like a split."""
    above, parts = (
        [p for p in re.split(r"[/\\]", text) if p not in ("", ".", "..")]
        for text in (root, entry)
    )
    if not above + parts:
        return "."
    while above or parts:
        tail = "/".join(above + parts)
        if tail in places:
            return tail
        if not above and split_of(f"{parts[0]}/") is not None:
            return None
        del (above or parts)[0]
    return None


def _listed(
    source: Location, path: str, images: Sequence[str]
) -> tuple[list[str], Iterator[str]]:
    names = [line.removeprefix("./") for _, line in read_lines(source / path)]
    found = find_images(names, images)
    missing = [name for name in names if name not in found.paths]
    told = [f"{path}: {line}" for line in found.warnings]
    if missing:
        told.append(f"{path}: {len(missing)} images are not here, e.g. {missing[0]!r}")
    return [found.paths[name] for name in names if name in found.paths], iter(told)


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
