"""Files of annotations, one for each image, and the images that they belong to.

The image of a file is the one of the same name but for the ending: beside it; else at
the same place but for one folder, as in `images/train/a.jpg` and `labels/train/a.txt`;
else the only one of that name; never one of another split's folder. A file whose image
has its ending too, `a.jpg.json`, belongs to `a.jpg`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from segdata.errors import AnnotationError, short_repr
from segdata.formats.folders import count_of, split_of

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Partners:
    """Which file of annotations belongs to which image."""

    images: Mapping[str, str]
    """Path of a file -> path of its image; no image stands twice."""
    lonely_files: Sequence[str]
    """Files without an image."""
    lonely_images: Sequence[str]
    """Images without a file."""
    problems: tuple[AnnotationError, ...]
    """Files that may belong to several images, and images that have several."""
    neighbours: Mapping[str, tuple[str, str]]
    """Folder of files -> folder and ending of an image that one of them has."""

    def expected(self, file: str) -> str:
        """Where the image of a lonely file should be: beside its neighbours' images."""
        folder, _, name = file.rpartition("/")
        stem = os.path.splitext(name)[0]
        if folder in self.neighbours:
            place, suffix = self.neighbours[folder]
            return f"{place}/{stem}{suffix}" if place else stem + suffix
        return os.path.splitext(file)[0] + ".jpg"


def find_partners(files: Iterable[str], images: Iterable[str]) -> Partners:
    """Finds the image of each file of annotations, by the rules above."""
    images = sorted(images)
    found: dict[str, str] = {}
    unsure: dict[str, Sequence[str]] = {}
    left = sorted(files)
    for places in (_itself, _but_for_one_folder, _base_name):
        index: dict[str, list[str]] = {}
        for image in images:
            for name in (os.path.splitext(image)[0], image):
                for place in places(name):
                    index.setdefault(place, []).append(image)
        later = []
        for file in left:
            stem = os.path.splitext(file)[0]
            fitting = {i for place in places(stem) for i in index.get(place, ())}
            fitting = {image for image in fitting if may_share_split(file, image)}
            if len(fitting) == 1:
                [found[file]] = fitting
            elif fitting:
                unsure[file] = sorted(fitting)
            else:
                later.append(file)
        left = later
    uses = Counter(found.values())
    doubled = sorted(f for f, image in found.items() if uses[image] > 1)
    problems = [_several_images(f, unsure[f]) for f in sorted(unsure)]
    problems += [_several_files(f, found[f]) for f in doubled]
    pairs = {f: image for f, image in found.items() if uses[image] == 1}
    taken = {
        *found.values(),
        *(image for fitting in unsure.values() for image in fitting),
    }
    return Partners(
        images=pairs,
        lonely_files=left,
        lonely_images=[image for image in images if image not in taken],
        problems=tuple(problems),
        neighbours={
            file.rpartition("/")[0]: (
                image.rpartition("/")[0],
                os.path.splitext(image)[1],
            )
            for file, image in pairs.items()
        },
    )


def may_share_split(file: str, image: str) -> bool:
    """False for `train/0001.txt` and `val/0001.jpg`: many names stand in each split."""
    return len({split_of(file), split_of(image)} - {None}) < 2


def one_for_each_image(
    items: Iterable[T], image_of: Callable[[T], str], called: Callable[[T], str]
) -> tuple[list[T], list[AnnotationError]]:
    """The first of several annotations of one image, and why the others do not count.

    Args:
      items: What says something of an image each.
      image_of: Path of its image.
      called: How to call it in messages.
    """
    kept: dict[str, T] = {}
    problems = []
    for item in items:
        first = kept.setdefault(image_of(item), item)
        if first is not item:
            problems.append(
                AnnotationError(
                    f"{called(item)} is of the image {image_of(item)!r}, as is "
                    f"{called(first)}, which counts. Remove one.",
                    reason="ambiguous-annotations",
                )
            )
    return [*kept.values()], problems


def left_out(paths: Sequence[str], one: str, many: str) -> Iterator[str]:
    """A warning of files that are left out; none where there are none."""
    if paths:
        yield f"{count_of(paths, one, many)}, e.g. {short_repr(min(paths))[1:-1]}"


_Places = Callable[[str], Iterable[str]]


def _itself(path: str) -> Iterable[str]:
    return (path,)


def _but_for_one_folder(path: str) -> Iterable[str]:
    """The path without one of its folders, and as it is: a folder more or another."""
    *folders, name = path.split("/")
    yield path
    for index in range(len(folders)):
        yield "/".join([*folders[:index], *folders[index + 1 :], name])


def _base_name(path: str) -> Iterable[str]:
    return (path.rpartition("/")[2],)


def _several_images(file: str, images: Sequence[str]) -> AnnotationError:
    return AnnotationError(
        f"{file!r} may belong to {len(images)} images: {', '.join(images[:4])}. Which "
        "is meant? Keep one of them.",
        reason="ambiguous-image",
    )


def _several_files(file: str, image: str) -> AnnotationError:
    return AnnotationError(
        f"{file!r} is not the only file for the image {image!r}. Which is meant? Keep "
        "one of them.",
        reason="ambiguous-annotations",
    )
