"""Where YOLO's images are, and in which splits.

The folders in a `data.yaml` are often another machine's (`path: ../datasets/x`,
`train: ../train/images`): of each the longest end counts that is a folder or a list
here, so no path leads out of the source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from segdata.errors import short_repr
from segdata.formats.folders import split_of
from segdata.formats.found_images import find_images
from segdata.formats.text import read_lines
from segdata.storage.paths import Location

SPLITS = ("train", "val", "test")


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
