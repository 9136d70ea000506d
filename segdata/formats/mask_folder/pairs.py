"""Images and masks, paired by name."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from segdata.annotations import Annotation
from segdata.errors import AnnotationError
from segdata.formats.folders import IMAGE_SUFFIXES, count_of
from segdata.formats.mask_folder.affixes import (
    Affixes,
    of_one_folder,
    of_two_folders,
    without_own_words,
)

Stems = Mapping[str, list[str]]
_PHOTO_ENDINGS = {".jpg", ".jpeg"}


class Pairs:
    """Images and masks, paired by what they are called.

    Args:
      images: What an image is called, with its place before it -> paths of the files
        that are called so.
      masks: The same of masks; None where images and masks lie together, and names or
        endings tell which is which.
      folders: Folders of the images and of the masks, to speak of.
      split_of: Path of a file -> the split that its folders tell.
    """

    def __init__(
        self,
        images: Stems,
        masks: Stems | None,
        folders: tuple[Sequence[str], Sequence[str]],
        split_of: Callable[[str], str | None],
    ) -> None:
        self.folders = folders
        self.num_files = sum(map(len, images.values()))
        self._folder_split = split_of
        self._is_flat = masks is None
        self._stems: list[Stems] = [images, images if masks is None else masks]
        if self._is_flat and (by_ending := _by_ending(images)):
            self._is_flat, self._stems = False, by_ending
        self._found: dict[tuple[str, str], tuple[Affixes, int]] = {}
        self._listed: Mapping[str, str | None] | None = None
        self._left_out: dict[str, list[str]] = {}
        self._folded: list[str] = []
        self._neighbours: dict[tuple[int, str], str] = {}
        self.problems: list[AnnotationError] = []
        """Names that stand for several files."""
        self.others: dict[str, list[str]] = {}
        """Shared part of the names -> paths of other masks, such as of other people."""
        self.further: dict[str, list[str]] = {}
        """The same -> paths of masks with a number behind their names: `x_mask_1`."""
        self.affixes = Affixes()
        """What names have around the part that image and mask share."""
        self.images: dict[str, str] = {}
        """Shared part of the names, with its place -> path of the image."""
        self.masks: dict[str, str] = {}
        """The same -> path of the mask."""

    def find_affixes(self, given: tuple[str, str] = ("", "")) -> tuple[Affixes, int]:
        """What names have around their shared part, and how many pairs that makes.

        Args:
          given: Affixes of images and masks that the user named; empty for unknown.
        """
        if given not in self._found:
            images, masks = self._stems
            if not self._is_flat and not given[1].startswith("."):
                self._stems[1] = masks = _without_second_ending(images, masks)
            self._found[given] = found = (
                of_one_folder(images.keys(), given)
                if self._is_flat
                else of_two_folders(images.keys(), masks.keys(), given)
            )
            least = min(len(images), len(masks))
            if not self._is_flat and not any(given) and 3 * found[1] < 2 * least:
                shared = without_own_words(images, masks)
                count = len(shared[0].keys() & shared[1].keys())
                if count > found[1]:
                    self._stems = [*shared]
                    self._found[given] = Affixes(are_of_words=True), count
        return self._found[given]

    def pair(self, affixes: Affixes) -> None:
        """Pairs the files by the shared parts of their names."""
        self.affixes = affixes
        images, masks = (dict(stems) for stems in self._stems)
        of_image, of_mask = affixes.image.shared, affixes.mask.shared
        if self._is_flat:
            masks = {s: paths for s, paths in images.items() if of_mask(s) is not None}
            images = {s: paths for s, paths in images.items() if s not in masks}
        cores = {core for stem in images if (core := of_image(stem)) is not None}
        for other in affixes.others:
            side = images if self._is_flat else masks
            for stem in [s for s in side if other.shared(s) in cores]:
                if self._is_flat or of_mask(stem) not in cores:
                    why = "other masks of the same images, named as they are"
                    if str(other):
                        why = (
                            "other masks of the same images, named "
                            f"{other.name('X')}: --mask-suffix '{other}' takes them"
                        )
                    core = other.shared(stem) or ""
                    paths = side.pop(stem)
                    self._left_out.setdefault(why, []).extend(paths)
                    self.others.setdefault(core, []).extend(paths)
        if str(affixes.mask):
            side = images if self._is_flat else masks
            paired = {s for s in masks if of_mask(s) in cores}
            for stem in [s for s in side if _is_further(s, paired)]:
                core = of_mask(_without_number(stem)) or ""
                self.further.setdefault(core, []).extend(side.pop(stem))
        images = self._by_core(images, of_image, affixes.image.name("X"))
        masks = self._by_core(masks, of_mask, affixes.mask.name("X"))
        doubled = set()
        for stems, what in ((images, "images"), (masks, "masks")):
            for stem in sorted(s for s, paths in stems.items() if len(paths) > 1):
                self.problems.append(_ambiguous(stem, what, stems[stem]))
                doubled.add(stem)
        self.images, self.masks = (
            {stem: paths[0] for stem, paths in stems.items() if stem not in doubled}
            for stems in (images, masks)
        )
        self._pair_folded()

    def _pair_folded(self) -> None:
        """Pairs names that differ in case or Unicode form, where exactly one fits."""
        lonely = [side.keys() - other.keys() for side, other in (
            (self.images, self.masks), (self.masks, self.images))]  # fmt: skip
        folded = [Counter(map(_fold, names)) for names in lonely]
        cores = {_fold(core): core for core in lonely[0]}
        for core in sorted(lonely[1]):
            fold = _fold(core)
            if folded[0][fold] == folded[1][fold] == 1:
                self.masks[cores[fold]] = self.masks.pop(core)
                self._folded.append(self.masks[cores[fold]])

    def leave_out_unlabelled(self) -> None:
        """Leaves out splits of which no image has a mask: nobody labelled them."""
        labelled = {None, *(self.split_of(core) for core in self.masks)}
        if not self.masks:
            return
        for core in [c for c in self.images if self.split_of(c) not in labelled]:
            why = f"no image of the split {self.split_of(core)} has a mask"
            self._left_out.setdefault(why, []).append(self.images.pop(core))

    def take_only(self, splits: Mapping[str, str | None]) -> None:
        """Leaves out what no list names, and takes the splits of the lists."""
        self._listed = splits
        self.images = {core: p for core, p in self.images.items() if core in splits}
        self.masks = {core: p for core, p in self.masks.items() if core in splits}

    def annotations(self, read: Callable[[str], Any]) -> Iterator[Annotation]:
        """One dict per name; a missing partner shows up as missing.

        Args:
          read: Path of a mask -> the fields that say how it is read.
        """
        for core in sorted(self.images.keys() | self.masks.keys()):
            annotation: Annotation = {"image": self._path(core, 0)}
            annotation.update(read(self._path(core, 1)))
            split = self.split_of(core)
            if split is not None:
                annotation["split"] = split
            yield annotation

    def split_of(self, core: str) -> str | None:
        """The split that a list or the folders of an image tell."""
        if self._listed is not None:
            return self._listed[core]
        told = (self._folder_split(side[core]) for side in (self.images, self.masks)
                if core in side)  # fmt: skip
        return next(filter(None, told), None)

    @property
    def splits(self) -> set[str | None]:
        """Splits of its images; None for those that lie in no split's folder."""
        return {self.split_of(core) for core in self.images}

    def warnings(self) -> Iterator[str]:
        """What a person should know of these folders."""
        for files, partners, one, many in (
            (self.images, self.masks, "image has no mask", "images have no mask"),
            (self.masks, self.images, "mask has no image", "masks have no image"),
        ):
            lonely = sorted(files[stem] for stem in files.keys() - partners.keys())
            if lonely:
                yield f"{count_of(lonely, one, many)}: {_named(lonely)}"
        if further := [path for paths in self.further.values() for path in paths]:
            files_ = count_of(further, "file", "files")
            yield (
                f"{files_} left out (further masks of images that have one: only the "
                f"first counts), e.g. {min(further)}"
            )
        if self._folded:
            told = count_of(self._folded, "mask", "masks")
            yield (
                f"{told} called like the image but for capitals or the Unicode form, "
                f"e.g. {self._folded[0]}"
            )
        for why, paths in self._left_out.items():
            files_ = count_of(paths, "file", "files")
            yield f"{files_} left out ({why}), e.g. {min(paths)}"
        if self._listed is None and None in self.splits and len(self.splits) > 1:
            outside = [s for s in sorted(self.images) if self.split_of(s) is None]
            yield (
                f"{count_of(outside, 'image lies', 'images lie')} beside the folders "
                f"of the splits and count as train, e.g. {self.images[outside[0]]}"
            )

    def _path(self, core: str, side: int) -> str:
        """The image (0) or mask (1) of a name; of a missing one its likely path."""
        here, other = (self.images, self.masks)[:: -1 if side else 1]
        if core in here:
            return here[core]
        if not self._neighbours:
            for known in self.images.keys() & self.masks.keys():
                pair = self.images[known], self.masks[known]
                self._neighbours[0, _folder(pair[1])] = pair[0]
                self._neighbours[1, _folder(pair[0])] = pair[1]
        place, ending = self.folders[side][0], (".jpg", ".png")[side]
        if neighbour := self._neighbours.get((side, _folder(other[core]))):
            place, ending = _folder(neighbour), os.path.splitext(neighbour)[1]
        affix = (self.affixes.image, self.affixes.mask)[side]
        name = affix.name(core.rpartition("/")[2])
        return f"{place}/{name}{ending}".lstrip("/")

    def _by_core(
        self, stems: Stems, core_of: Callable[[str], str | None], expected: str
    ) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for stem, paths in stems.items():
            core = core_of(stem)
            if core is None:
                why = f"the name is not {expected}"
                self._left_out.setdefault(why, []).extend(paths)
            else:
                found.setdefault(core, []).extend(paths)
        return found


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_further(stem: str, masks: Collection[str]) -> bool:
    """Whether a name is that of a mask with a number behind it, such as `x_mask_1`."""
    head = _without_number(stem)
    return stem[-1:].isdigit() and head != stem and stem not in masks and head in masks


def _without_number(stem: str) -> str:
    return stem.rstrip("0123456789").rstrip("_-. ")


def _by_ending(stems: Stems) -> list[Stems]:
    """Photos and masks of one folder that differ by their ending: `x.jpg`, `x.png`."""
    sides: tuple[dict[str, list[str]], ...] = ({}, {})
    for stem, paths in stems.items():
        for path in paths:
            is_photo = os.path.splitext(path)[1].lower() in _PHOTO_ENDINGS
            sides[not is_photo].setdefault(stem, []).append(path)
    common = sides[0].keys() & sides[1].keys()
    return [*sides] if 2 * len(common) > len(stems) else []


def _without_second_ending(images: Stems, masks: Stems) -> Stems:
    """Masks by the stems of their images where they have the whole name of them.

    So the mask of `x.jpg` may be `x.jpg.png`.
    """
    found: dict[str, list[str]] = {}
    for stem, paths in masks.items():
        root, ending = os.path.splitext(stem)
        is_whole = ending.lower() in IMAGE_SUFFIXES and root in images
        found.setdefault(root if is_whole else stem, []).extend(paths)
    return found


def _ambiguous(stem: str, what: str, paths: list[str]) -> AnnotationError:
    name = stem.lstrip("/")
    return AnnotationError(
        f"{len(paths)} {what} are named {name!r}: {', '.join(paths[:4])}. Which is "
        "meant? Keep one of them.",
        reason=f"ambiguous-{what[:-1]}",
    )


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more
