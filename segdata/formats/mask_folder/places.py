"""Where images and masks lie: by the names of folders, and by what pairs in them.

Looked for, in this order, in SOURCE, in its folders and in theirs:

1. a folder of images beside a folder of masks, once or once for each split
   (`images/ masks/`, `train/ train_masks/`, `train_images/ train_labels/`);
2. images and masks in one folder, told apart by what is around their names;
3. two folders of which the names tell nothing, one of which holds masks by its pixels.

Folders count only where files of both pair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from segdata.formats.folders import list_folder, subfolders
from segdata.formats.mask_folder.affixes import Affixes
from segdata.formats.mask_folder.census import looks_like_masks
from segdata.formats.mask_folder.names import (
    SPLIT_WORDS,
    is_image,
    is_mask,
    is_view,
    mask_rank,
    split_of,
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
_MOST_FOLDERS = 2000
_MOST_UNNAMED = 6
_LEAST_SHARE = 6
"""Of so many files at least one is a mask where both lie in one folder."""
_MOST_CLASS_FOLDERS = 64


@dataclass
class Wanted:
    """What the user said of the places."""

    images: str = ""
    masks: str = ""
    affixes: tuple[str, str] = ("", "")


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
        if places.pairs:
            return places
    return Places()


def roots(source: Location, depth: int, *, unlimited: bool = False) -> list[str]:
    """The folders so many levels below the source, each with a slash behind it."""
    found = [""]
    for _ in range(depth):
        found = [
            f"{root}{name}/"
            for root in found
            for name in subfolders(source / root)
            if not is_view(name)
        ][: None if unlimited else _MOST_FOLDERS]
    return found


def split_of_root(root: str, num_roots: int) -> str | None:
    """The split of a folder that holds images and masks."""
    parts = [part for part in root.split("/") if part]
    for part in parts:
        if part.lower() in SPLIT_WORDS:
            return part
    told = next(filter(None, map(split_of, parts)), None)
    if told or num_roots == 1 or not parts:
        return told
    return re.sub(r"\W", "_", "/".join(parts), flags=re.ASCII)


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
        found = []
        warnings: list[str] = []
        for root in roots(source, depth):
            for split, pair in _in_root(source, root, wanted, warnings):
                found.append((root, split, pair))
        if (
            depth
            and len({names for _, _, names in found}) > 1
            and not all(split for _, split, _ in found)
        ):
            return Places()  # several datasets, each of its own
        num_roots = len({root for root, _, _ in found})
        pairs = []
        for root, split, (images, masks) in found:
            split = split or split_of_root(root, num_roots)
            pairs.append(FolderPair(source, root + images, root + masks, split))
        if pairs:
            places = _paired(pairs, wanted)
            if places.pairs:
                places.warnings = [*warnings, *places.warnings]
                return places
    return Places()


def _in_root(
    source: Location, root: str, wanted: Wanted, warnings: list[str]
) -> Iterator[tuple[str | None, tuple[str, str]]]:
    """The split and names of each pair of folders in a folder."""
    names = subfolders(source / root)
    masks = [n for n in names if is_mask(n)]
    images = [n for n in names if is_image(n)]
    for folder, option in ((wanted.masks, masks), (wanted.images, images)):
        if folder:
            option[:] = [folder] if (source / root / folder).is_dir() else []
    neutral = [
        n for n in names if n not in {*masks, *images} and not is_view(n)
    ]  # fmt: skip
    for split in sorted({split_of(n) for n in masks}, key=str):
        of_split = [n for n in masks if split_of(n) == split]
        candidates = [n for n in images if split_of(n) == split]
        if not candidates and not wanted.images:
            candidates = [n for n in neutral if split_of(n) == split]
            if split is None and list_folder(source, root.rstrip("/")).by_stem:
                candidates.append("")
        best = _best(source, root, candidates, of_split, wanted)
        if not best:
            continue
        (images_name, masks_name), others = best[0], best[1:]
        yield split, (images_name, masks_name)
        if others:
            fitting = ", ".join(f"{root}{other}/" for _, other in others)
            warnings.append(
                f"took {root}{masks_name}/ as the masks of {root}{images_name}/; "
                f"{fitting} would fit too: --mask-folder takes another"
            )


def _best(
    source: Location,
    root: str,
    images: Sequence[str],
    masks: Sequence[str],
    wanted: Wanted,
) -> list[tuple[str, str]]:
    """The pair of folders to take, and others of the same images, the best first."""
    counts = {}
    for image in images:
        for mask in masks:
            image_folder = f"{root}{image}".rstrip("/")
            pair = FolderPair(source, image_folder, f"{root}{mask}")
            counts[image, mask] = pair.find_affixes(wanted.affixes)[1]
    most = max(counts.values(), default=0)
    fitting = [pair for pair, count in counts.items() if count and 2 * count >= most]
    fitting.sort(key=lambda pair: (mask_rank(pair[1]), -counts[pair], pair))
    return [pair for pair in fitting if pair[0] == fitting[0][0]]


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
            best = _best(source, root, images, masks, wanted)
            if best:
                pair = FolderPair(source, root + best[0][0], root + best[0][1])
                places = _paired([pair], wanted)
                places.warnings.insert(
                    0,
                    f"took {root}{best[0][1]}/ as the masks of {root}{best[0][0]}/ by "
                    "what they hold: --images and --mask-folder say otherwise",
                )
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
    return Places(pairs, affixes, _is_sure(pairs, affixes))


def _is_sure(pairs: Sequence[FolderPair], affixes: Affixes) -> bool:
    images, masks = (f.rpartition("/")[2] for f in pairs[0].folders)
    if images == masks:
        return is_mask(f"{affixes.mask.prefix} {affixes.mask.suffix}")
    is_others = any(name in f"{images} {masks}" for name in _OF_OTHERS)
    return is_image(images) and is_mask(masks) and not is_others
