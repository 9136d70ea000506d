"""Lists of images, one file for each split: `ImageSets/Segmentation/train.txt`.

A line names an image by its path, its name, or both without the ending; what follows it
after a blank or comma, such as the path of its mask, does not count. An image belongs
to the first list that has it, in the order train, val, test, then by name: so
`trainval.txt` beside both of them adds nothing. A list alone that is called `default`
or `all` makes no split.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from os.path import splitext

from segdata.errors import AnnotationError, SourceError, short_repr
from segdata.formats.folders import count_of
from segdata.formats.text import read_lines
from segdata.split_names import ordered_splits
from segdata.storage.paths import Location

_NO_SPLIT = {"default", "all", "list"}


@dataclass(frozen=True, kw_only=True)
class Listed:
    """Which image is in which split."""

    splits: Mapping[str, str | None]
    """Image -> its split; images that no list names are not there."""
    warnings: tuple[str, ...] = ()
    problems: tuple[AnnotationError, ...] = field(default=())
    """Lines that name no image."""


def list_files(source: Location, folder: str) -> list[str]:
    """Names of the lists in a folder, without ending, in the order in which they count.

    Raises:
      SourceError: If there is none.
    """
    found = listed_names(source, folder)
    if not found:
        raise SourceError(
            f"{folder} has no lists of splits: expected files such as train.txt and "
            "val.txt there, with an image on each line."
        )
    return found


def listed_names(source: Location, folder: str) -> list[str]:
    """The same; none where there are none."""
    if not (source / folder).is_dir():
        return []
    names = [e.name for e in (source / folder).entries() if not e.is_dir]
    found = [n[:-4] for n in names if n.endswith(".txt") and n[0] != "."]
    # What stands in `train` or `val` too is meant by these.
    return sorted(ordered_splits(found), key=lambda name: name == "trainval")


def read_split_lists(
    source: Location,
    folder: str,
    names: Iterable[str],
    images: Mapping[str, str],
    *,
    without_masks: Collection[str] = (),
) -> Listed:
    """Reads lists.

    Args:
      source: The source.
      folder: Folder of the lists below it.
      names: Names of the lists without ending, in the order in which they count.
      images: Image, as it is called here -> path of its file below the source.
      without_masks: Those of them that nobody expects in a list.

    Raises:
      SourceError: If a list cannot be read or is no UTF-8.
    """
    names = list(names)
    known = _spellings(images)
    splits: dict[str, str | None] = {}
    warnings, problems = [], []
    for name in names:
        path = f"{folder}/{name}.txt".lstrip("/")
        again = []
        number = 0
        for number, line in read_lines(source / path):
            image = _image(line, known)
            if image is None:
                problems.append(
                    AnnotationError(
                        f"line {number} of {path} is {short_repr(line)}: "
                        "no image is named so. Add it or remove the line.",
                        reason="listed-in-vain",
                    )
                )
            elif image in splits:
                again.append(image)
            else:
                only = len(names) == 1 and name in _NO_SPLIT
                splits[image] = None if only else name
        if not number:
            warnings.append(f"{path} is empty")
        elif again:
            warnings.append(
                f"{count_of(again, 'image', 'images')} of {path} stand "
                "in an earlier list, which counts"
            )
    expected = images.keys() - splits.keys() - {*without_masks}
    left = sorted(images[image] for image in expected)
    if left:
        warnings.append(
            f"{count_of(left, 'image', 'images')} left out that no list in "
            f"{folder or 'SOURCE'}/ names, e.g. {left[0]}"
        )
    return Listed(splits=splits, warnings=tuple(warnings), problems=tuple(problems))


def _spellings(images: Mapping[str, str]) -> dict[str, str | None]:
    """Whatever a line may call an image -> the image; None where it fits several."""
    found: dict[str, str | None] = {}
    for image, path in images.items():
        stem = splitext(path)[0]
        names = {image, path, stem, path.rpartition("/")[2], stem.rpartition("/")[2]}
        for name in names | {image.rpartition("/")[2]}:
            found[name] = None if found.get(name, image) != image else image
    return found


def _image(line: str, known: Mapping[str, str | None]) -> str | None:
    for text in (line, re.split(r"[\s,;]", line)[0]):
        name = text.strip("\"'").replace("\\", "/")
        parts = name.split("/")
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            for spelled in (tail, splitext(tail)[0]):
                if image := known.get(spelled):
                    return image
    return None
