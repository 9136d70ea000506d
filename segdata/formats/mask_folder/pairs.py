"""Images and masks of two trees of folders, or of one, paired by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from segdata.annotations import Annotation
from segdata.errors import AnnotationError
from segdata.formats.folders import IMAGE_SUFFIXES, Listing, count_of, list_folder
from segdata.formats.mask_folder.affixes import Affixes, of_one_folder, of_two_folders
from segdata.formats.mask_folder.names import SPLIT_WORDS
from segdata.storage.paths import Location

Stems = Mapping[str, list[str]]
_PHOTO_ENDINGS = {".jpg", ".jpeg"}


class FolderPair:
    """One folder of images and its folder of masks, which may be the same.

    Args:
      source: Folder that both are below.
      images: Folder of the images below the source; empty for the source itself.
      masks: Folder of the masks.
      split: Split of all its images; None where folders below tell.
    """

    def __init__(
        self, source: Location, images: str, masks: str, split: str | None = None
    ) -> None:
        self.folders = (images, masks)
        self.split = split
        self._listings = [
            list_folder(source, folder, recursive=True, without=other)
            for folder, other in zip(self.folders, self.folders[::-1], strict=True)
        ]
        self._stems: list[Stems] = [listing.by_stem for listing in self._listings]
        self._is_flat = images == masks
        if self._is_flat:
            del self._listings[1]
            if by_ending := _by_ending(self._stems[0]):
                self._is_flat, self._stems = False, by_ending
        self._found: dict[tuple[str, str], tuple[Affixes, int]] = {}
        self._listed: Mapping[str, str | None] | None = None
        self._left_out: dict[str, list[str]] = {}
        self.problems: list[AnnotationError] = []
        """Names that stand for several files."""
        self.affixes = Affixes()
        """What names have around the part that image and mask share."""
        self.images: dict[str, str] = {}
        """Shared part of the names, below the folders -> path of the image."""
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
            self._found[given] = (
                of_one_folder(images.keys(), given)
                if self._is_flat
                else of_two_folders(images.keys(), masks.keys(), given)
            )
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
                    self._left_out.setdefault(why, []).extend(side.pop(stem))
        if str(affixes.mask):
            side = images if self._is_flat else masks
            paired = {s for s in masks if of_mask(s) in cores}
            for stem in [s for s in side if _is_further(s, paired)]:
                why = "further masks of images that have one: only the first counts"
                self._left_out.setdefault(why, []).extend(side.pop(stem))
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
        if self.split is not None:
            return self.split
        first, slash, _ = core.partition("/")
        name = first.rstrip("0123456789")  # the year, as in COCO's train2017
        return name if slash and name.lower() in SPLIT_WORDS else None

    @property
    def num_files(self) -> int:
        """Image files in its folders."""
        return sum(len(listing.by_stem) for listing in self._listings)

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
        for why, paths in self._left_out.items():
            files_ = count_of(paths, "file", "files")
            yield f"{files_} left out ({why}), e.g. {min(paths)}"
        if self._listed is None and None in self.splits and len(self.splits) > 1:
            outside = [s for s in sorted(self.images) if self.split_of(s) is None]
            yield (
                f"{count_of(outside, 'image lies', 'images lie')} beside the folders "
                f"of the splits and count as train, e.g. {self.images[outside[0]]}"
            )
        for folder, listing in zip(self.folders, self._listings, strict=False):
            yield from _strays(folder, listing)

    def _path(self, core: str, side: int) -> str:
        """The image (0) or mask (1) of a name; of a missing one its likely path."""
        affix, ending = (
            (self.affixes.image, ".jpg"),
            (self.affixes.mask, ".png"),
        )[side]
        missing = f"{self.folders[side]}/{affix.name(core)}{ending}".lstrip("/")
        return (self.images, self.masks)[side].get(core, missing)

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


def _is_further(stem: str, masks: Collection[str]) -> bool:
    """Whether a name is that of a mask with a number behind it, such as `x_mask_1`."""
    head = stem.rstrip("0123456789").rstrip("_-. ")
    return stem[-1:].isdigit() and head != stem and stem not in masks and head in masks


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
    return AnnotationError(
        f"{len(paths)} {what} are named {stem!r}: {', '.join(paths[:4])}. Which is "
        "meant? Keep one of them.",
        reason=f"ambiguous-{what[:-1]}",
    )


def _strays(folder: str, listing: Listing) -> Iterator[str]:
    for paths, one, many, why in (
        (listing.others, "file", "files", "no image by its ending"),
        (listing.hidden, "hidden file", "hidden files", "the name begins with a dot"),
        (listing.links, "linked folder", "linked folders", "links are not followed"),
    ):
        if paths and (folder or paths is not listing.others):  # there: class files
            yield (
                f"{count_of(paths, one, many)} in {folder or 'SOURCE'}/ left out "
                f"({why}), e.g. {paths[0]}"
            )


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more
