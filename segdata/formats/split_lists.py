"""Lists of images, one file for each split: `ImageSets/Segmentation/train.txt`.

A line names an image by its path, its name, or both without the ending; what follows it
after a blank or comma, such as the path of its mask, does not count. A line that is a
folder's name, such as of a film, names all images below it. An image belongs to the
first list that has it, in the order train, val, test, then by name: so `trainval.txt`
beside both of them adds nothing. A list alone that is called `default` or `all` makes
no split.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
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
    num_lines: int = 0
    """Lines of all lists."""

    @property
    def fits(self) -> bool:
        """Whether most lines name an image: else the lists are of other images."""
        return 2 * len(self.problems) < self.num_lines


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
    called: Mapping[str, str] | None = None,
    without_masks: Collection[str] = (),
) -> Listed:
    """Reads lists.

    Args:
      source: The source.
      folder: Folder of the lists below it.
      names: Names of the lists without ending, in the order in which they count.
      images: Image, as it is called here -> path of its file below the source.
      called: Name of a list -> its split, where it is not called like it.
      without_masks: Those of them that nobody expects in a list.

    Raises:
      SourceError: If a list cannot be read or is no UTF-8.
    """
    names = list(names)
    known = _Known(images)
    splits: dict[str, str | None] = {}
    warnings, problems = [], []
    num_lines = 0
    for name in names:
        path = f"{folder}/{name}.txt".lstrip("/")
        split = None if len(names) == 1 and name in _NO_SPLIT else name
        split = (called or {}).get(name, split)
        again = []
        number = 0
        for number, line in read_lines(source / path):
            found = known.named(line)
            num_lines += 1
            if not found:
                problems.append(
                    AnnotationError(
                        f"line {number} of {path} is {short_repr(line)}: "
                        "no image is named so. Add it or remove the line.",
                        reason="listed-in-vain",
                    )
                )
            again += [image for image in found if image in splits]
            splits.update({image: split for image in found if image not in splits})
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
    return Listed(
        splits=splits,
        warnings=tuple(warnings),
        problems=tuple(problems),
        num_lines=num_lines,
    )


class _Known:
    """Whatever a line may call an image, or a folder of images."""

    def __init__(self, images: Mapping[str, str]) -> None:
        self._images = images
        self._names: dict[str, str | None] = {}
        for image, path in images.items():
            stem = splitext(path)[0]
            ends = (p.rpartition("/")[2] for p in (path, stem, image))
            for name in {image, path, stem, *ends}:
                is_other = self._names.get(name, image) != image
                self._names[name] = None if is_other else image

    def named(self, line: str) -> list[str]:
        """The image that a line names, or those of the folder that it names."""
        texts = [line, re.split(r"[\s,;]", line)[0]]
        names = [text.strip("\"'").replace("\\", "/").strip("/") for text in texts]
        for name in names:
            parts = name.split("/")
            for start in range(len(parts)):
                tail = "/".join(parts[start:])
                for spelled in (tail, splitext(tail)[0]):
                    if image := self._names.get(spelled):
                        return [image]
        last = names[0].rpartition("/")[2]
        return [
            image
            for image in self._folders.get(last, ())
            if f"/{names[0]}/" in f"/{self._images[image]}"
        ]

    @cached_property
    def _folders(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for image, path in self._images.items():
            for part in set(path.split("/")[:-1]):
                found.setdefault(part, []).append(image)
        return found
