"""Images and masks of two trees of folders, paired by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from segdata.annotations import Annotation, LabelEncoding
from segdata.errors import AnnotationError
from segdata.formats.folders import Listing, count_of, list_folder
from segdata.storage.paths import Location

_SPLITS = {"train", "training", "trainval", "val", "valid", "validation", "dev"}
_SPLITS |= {"test", "testing"}


class FolderPair:
    """One folder of images and its folder of masks.

    Args:
      source: Folder that both are below.
      prefix: Where they are: empty, or the folder of a split with a slash behind it.
      images: Folder of the images below the prefix.
      masks: Folder of the masks below the prefix.
      suffix: What the names of masks have behind those of their images.
    """

    def __init__(
        self, source: Location, prefix: str, images: str, masks: str, suffix: str
    ) -> None:
        self._folders = tuple(f"{prefix}{PurePosixPath(f)}" for f in (images, masks))
        self._listings = [
            list_folder(source, folder, recursive=True, without=other)
            for folder, other in zip(self._folders, self._folders[::-1], strict=True)
        ]
        self._suffix = suffix
        self._split = re.sub(r"\W", "_", prefix.strip("/"), flags=re.ASCII) or None
        self.problems: list[AnnotationError] = []
        """Names that stand for several files."""
        self.unmatched_masks: list[str] = []
        """Masks without the suffix."""
        image_stems, mask_stems = self._listings[0].by_stem, self._by_image_stem()
        doubled = set()
        for stems, what in ((image_stems, "images"), (mask_stems, "masks")):
            for stem in sorted(s for s, paths in stems.items() if len(paths) > 1):
                self.problems.append(_ambiguous(stem, what, stems[stem]))
                doubled.add(stem)
        self.images = _unique(image_stems, doubled)
        """Name below the folder, without ending -> path of the image."""
        self.masks = _unique(mask_stems, doubled)
        """The same name -> path of the mask."""
        self.splits = {self._split_of(stem) for stem in self.images}
        """Splits of its images; None for those that lie in no split's folder."""

    def annotations(self, encoding: LabelEncoding) -> Iterator[Annotation]:
        """One dict per name; a missing partner shows up as missing."""
        for stem in sorted(self.images.keys() | self.masks.keys()):
            default_image = f"{self._folders[0]}/{stem}.jpg"
            default_mask = f"{self._folders[1]}/{stem}{self._suffix}.png"
            annotation: Annotation = {
                "image": self.images.get(stem, default_image),
                "label_image": {
                    "path": self.masks.get(stem, default_mask),
                    "encoding": encoding,
                },
            }
            split = self._split_of(stem)
            if split is not None:
                annotation["split"] = split
            yield annotation

    def warnings(self) -> Iterator[str]:
        """What a person should know of these folders."""
        for files, partners, one, many in (
            (self.images, self.masks, "image has no mask", "images have no mask"),
            (self.masks, self.images, "mask has no image", "masks have no image"),
        ):
            lonely = sorted(files[stem] for stem in files.keys() - partners.keys())
            if lonely:
                yield f"{count_of(lonely, one, many)}: {_named(lonely)}"
        if self.unmatched_masks:
            yield (
                f"{count_of(self.unmatched_masks, 'file', 'files')} in "
                f"{self._folders[1]}/ left out: the name does not end in "
                f"{self._suffix!r}, e.g. {self.unmatched_masks[0]}"
            )
        if None in self.splits and len(self.splits) > 1:
            outside = [s for s in sorted(self.images) if self._split_of(s) is None]
            yield (
                f"{count_of(outside, 'image lies', 'images lie')} beside the folders "
                f"of the splits and count as train, e.g. {self.images[outside[0]]}"
            )
        for folder, listing in zip(self._folders, self._listings, strict=True):
            yield from _strays(folder, listing)

    def _by_image_stem(self) -> Mapping[str, list[str]]:
        """Masks by the names of their images."""
        found = self._listings[1].by_stem
        if not self._suffix:
            return found
        self.unmatched_masks += sorted(
            path
            for stem, paths in found.items()
            if not stem.endswith(self._suffix)
            for path in paths
        )
        return {
            stem.removesuffix(self._suffix): paths
            for stem, paths in found.items()
            if stem.endswith(self._suffix)
        }

    def _split_of(self, stem: str) -> str | None:
        if self._split is not None:
            return self._split
        first, slash, _ = stem.partition("/")
        return first if slash and first.lower() in _SPLITS else None


def _unique(stems: Mapping[str, list[str]], doubled: set[str]) -> dict[str, str]:
    return {stem: paths[0] for stem, paths in stems.items() if stem not in doubled}


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
        if paths:
            yield (
                f"{count_of(paths, one, many)} in {folder}/ left out ({why}), e.g. "
                f"{paths[0]}"
            )


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more
