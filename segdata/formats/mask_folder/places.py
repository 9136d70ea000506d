"""Where images and masks lie: by the names of folders, and by what pairs in them.

Looked for, in this order, in SOURCE, in its folders and in theirs:

1. a folder of images beside a folder of masks, once or once for each split
   (`images/ masks/`, `train/ train_masks/`, `train_images/ train_labels/`);
2. images and masks in one folder, told apart by what is around their names;
3. two folders of which the names tell nothing, one of which holds masks by its pixels.

Folders count only where files of both pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from segdata.formats.folders import list_folder, subfolders
from segdata.formats.mask_folder.affixes import Affixes
from segdata.formats.mask_folder.candidates import (
    Wanted,
    best_pairs,
    pairs_in,
    roots,
    split_of_root,
    unlabelled,
)
from segdata.formats.mask_folder.census import looks_like_masks
from segdata.formats.mask_folder.names import (
    SPLIT_WORDS,
    is_image,
    is_mask,
    is_view,
)
from segdata.formats.mask_folder.pairs import FolderPair
from segdata.formats.split_lists import (
    Listed,
    list_files,
    listed_names,
    read_split_lists,
)
from segdata.storage.paths import Location

_DEPTH = 2
_OF_OTHERS = ("JPEGImages", "trimaps", "leftImg8bit", "gtFine", "_prepped_")
"""Parts of the names of folders that other formats have."""
_LISTS = ("ImageSets/Segmentation", "ImageSets", "splits", "lists", "")
_MOST_UNNAMED = 6
_LEAST_SHARE = 6
"""Of so many files at least one is a mask where both lie in one folder."""
_MOST_CLASS_FOLDERS = 64


@dataclass
class Places:
    """What was found."""

    pairs: list[FolderPair] = field(default_factory=list)
    """Folders of images with their masks; names are paired."""
    affixes: Affixes = field(default_factory=Affixes)
    """What names have around their shared part, the same in all folders."""
    is_sure: bool = False
    """Whether the names tell what is meant, and it is no other format's layout."""
    warnings: list[str] = field(default_factory=list)
    refusal: str = ""
    """Why nothing of what is there can be meant."""

    @property
    def folders(self) -> list[str]:
        """Folders of images and of masks, and those below them that hold any."""
        files = (
            p
            for pair in self.pairs
            for p in [*pair.images.values(), *pair.masks.values()]
        )
        below = (path.rpartition("/")[0] for path in files)
        named = (folder for pair in self.pairs for folder in pair.folders)
        return list(dict.fromkeys([*named, *below]))[:_MOST_CLASS_FOLDERS]

    @property
    def masks(self) -> list[str]:
        """Paths of all masks."""
        return [path for pair in self.pairs for path in pair.masks.values()]

    @property
    def told(self) -> str:
        """Folders, splits and names, in a line."""
        images, masks = (
            ", ".join(
                dict.fromkeys(f"{p.folders[side] or 'SOURCE'}/" for p in self.pairs)
            )
            for side in (0, 1)
        )
        splits = sorted({s for pair in self.pairs for s in pair.splits if s})
        where = f"{images} with {masks}" if images != masks else f"all in {images}"
        names = f", {told}" if (told := self.affixes.told()) else ""
        return f"{where} ({', '.join(splits) or 'no split of its own'}){names}"

    def take_lists(self, source: Location, folder: str) -> Listed:
        """Takes the splits of lists: of those in a folder, or of any that are there.

        Raises:
          SourceError: If the folder has no lists, or one cannot be read.
        """
        names = list_files(source, folder) if folder else []
        if not folder:
            if any(split for pair in self.pairs for split in pair.splits):
                return Listed(splits={})
            for folder in _LISTS:
                names = [n for n in listed_names(source, folder) if n in SPLIT_WORDS]
                if names:
                    break
            else:
                return Listed(splits={})
        images = {
            f"{number}/{core}": path
            for number, pair in enumerate(self.pairs)
            for core, path in pair.images.items()
        }
        listed = read_split_lists(source, folder, names, images)
        for number, pair in enumerate(self.pairs):
            start = f"{number}/"
            pair.take_only(
                {
                    image.removeprefix(start): split
                    for image, split in listed.splits.items()
                    if image.startswith(start)
                }
            )
        return listed


def find_places(source: Location, wanted: Wanted) -> Places:
    """Finds the folders and pairs their files; no pairs where nothing fits."""
    if wanted.images and wanted.masks:
        return _as_told(source, wanted)
    for find in (_named, _mixed, _unnamed):
        places = find(source, wanted)
        if places.pairs or places.refusal:
            return places
    return Places()


def _as_told(source: Location, wanted: Wanted) -> Places:
    for depth in range(_DEPTH + 1):
        found = [
            root
            for root in roots(source, depth)
            if all((source / root / f).is_dir() for f in (wanted.images, wanted.masks))
        ]
        if found:
            pairs = [
                FolderPair(
                    source,
                    f"{root}{wanted.images}",
                    f"{root}{wanted.masks}",
                    split_of_root(root, len(found)),
                )
                for root in found
            ]
            return _paired(pairs, wanted, may_be_none=True)
    return Places()


def _named(source: Location, wanted: Wanted) -> Places:
    for depth in range(_DEPTH + 1):
        warnings: list[str] = []
        found = [
            (root, pair)
            for root in roots(source, depth)
            for pair in pairs_in(source, root, wanted, warnings)
        ]
        kinds = {tuple(f.removeprefix(root) for f in p.folders) for root, p in found}
        if depth and len(kinds) > 1 and not all(pair.split for _, pair in found):
            several = ", ".join(dict.fromkeys(root for root, _ in found))
            return Places(
                refusal=f"holds several datasets, {several}: give one of them"
            )
        num_roots = len({root for root, _ in found})
        for root, pair in found:
            pair.split = pair.split or split_of_root(root, num_roots)
        if found:
            places = _paired([pair for _, pair in found], wanted)
            places.warnings = [*warnings, *unlabelled(source, depth, found)]
            return places
    return Places()


def _mixed(source: Location, wanted: Wanted) -> Places:
    folder = wanted.images or wanted.masks
    if (wanted.images and wanted.masks) or not (source / folder).is_dir():
        return Places()
    pair = FolderPair(source, folder, folder)
    places = _paired([pair], wanted)
    # Of a folder of many datasets a few names may pair by chance.
    if not folder and len(pair.masks) * _LEAST_SHARE < pair.num_files:
        return Places()
    return places


def _unnamed(source: Location, wanted: Wanted) -> Places:
    for depth in range(_DEPTH):
        for root in roots(source, depth):
            names = [n for n in subfolders(source / root) if not is_view(n)]
            if not 2 <= len(names) <= _MOST_UNNAMED:
                continue
            listed = {n: list_folder(source, root + n).by_stem for n in names}
            like = {
                n: looks_like_masks(source, [p for ps in s.values() for p in ps])
                for n, s in listed.items()
                if s
            }
            images = [n for n, is_like in like.items() if not is_like]
            masks = [n for n, is_like in like.items() if is_like]
            if wanted.images:
                images = [n for n in images if n == wanted.images]
            if wanted.masks:
                masks = [n for n in masks if n == wanted.masks]
            if len(images) != 1 or len(masks) != 1:
                continue
            best = best_pairs(source, root, images, masks, wanted)
            if best:
                places = _paired(best[:1], wanted)
                image, mask = best[0].folders
                places.warnings = [
                    f"took {mask}/ as the masks of {image}/ by what they hold: "
                    "--images and --mask-folder say otherwise"
                ]
                return places
    return Places()


def _paired(
    pairs: list[FolderPair],
    wanted: Wanted,
    *,
    may_be_none: bool = False,
) -> Places:
    """Pairs the files of all folders alike, as most of them do."""
    counts: dict[Affixes, int] = {}
    for pair in pairs:
        affixes, count = pair.find_affixes(wanted.affixes)
        counts[affixes] = counts.get(affixes, 0) + count
    affixes = max(counts, key=lambda a: counts[a])
    if not counts[affixes] and not may_be_none:
        return Places()
    for pair in pairs:
        pair.pair(affixes)
        pair.leave_out_unlabelled()
    return Places(pairs, affixes, _is_sure(pairs, affixes))


def _is_sure(pairs: Sequence[FolderPair], affixes: Affixes) -> bool:
    images, masks = (f.rpartition("/")[2] for f in pairs[0].folders)
    if images == masks:
        return is_mask(f"{affixes.mask.prefix} {affixes.mask.suffix}")
    is_others = any(name in f"{images} {masks}" for name in _OF_OTHERS)
    return is_image(images) and is_mask(masks) and not is_others
