"""Folders that may hold images and masks, by their names and by what pairs in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from segdata.formats.folders import list_folder, subfolders
from segdata.formats.mask_folder.names import (
    SPLIT_WORDS,
    is_image,
    is_mask,
    is_view,
    mask_rank,
    split_of,
)
from segdata.formats.mask_folder.pairs import FolderPair
from segdata.storage.paths import Location

_MOST_FOLDERS = 2000


@dataclass
class Wanted:
    """What the user said of the places."""

    images: str = ""
    masks: str = ""
    affixes: tuple[str, str] = ("", "")


def roots(source: Location, depth: int, *, unlimited: bool = False) -> list[str]:
    """The folders so many levels below the source, each with a slash behind it.

    None where there are more than 2,000, unless `unlimited`: not some of them.
    """
    found = [""]
    for _ in range(depth):
        found = [
            f"{root}{name}/"
            for root in found
            for name in subfolders(source / root)
            if not is_view(name)
        ]
        if len(found) > _MOST_FOLDERS and not unlimited:
            return []
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


def unlabelled(
    source: Location, depth: int, found: Sequence[tuple[str, FolderPair]]
) -> Iterator[str]:
    """Folders of images without a folder of masks, such as those of a test split."""
    labelled = {root for root, _ in found}
    taken = {pair.folders[0] for _, pair in found}
    for root in roots(source, depth):
        for name in subfolders(source / root):
            is_of_split = root not in labelled or split_of(name) is not None
            if is_image(name) and is_of_split and root + name not in taken:
                yield f"{root}{name}/ left out: no folder has masks of its images"


def pairs_in(
    source: Location, root: str, wanted: Wanted, warnings: list[str]
) -> Iterator[FolderPair]:
    """The pairs of folders in a folder, one for each split."""
    names = subfolders(source / root)
    masks = [n for n in names if is_mask(n)]
    images = [n for n in names if is_image(n)]
    for folder, option in ((wanted.masks, masks), (wanted.images, images)):
        if folder:
            option[:] = [folder] if (source / root / folder).is_dir() else []
    sided = {*masks, *images}
    neutral = [n for n in names if n not in sided and not is_view(n)]
    for split in sorted({split_of(n) for n in masks}, key=str):
        of_split = [n for n in masks if split_of(n) == split]
        candidates = [n for n in images if split_of(n) == split]
        if not candidates and not wanted.images:
            candidates = [n for n in neutral if split_of(n) == split]
            if split is None and list_folder(source, root.rstrip("/")).by_stem:
                candidates.append("")
        fitting = best_pairs(source, root, candidates, of_split, wanted)
        if not fitting:
            continue
        best, *others = fitting
        best.split = split
        yield best
        if others:
            named = ", ".join(f"{other.folders[1]}/" for other in others)
            taken, of = best.folders[1], best.folders[0] or "SOURCE"
            warnings.append(
                f"took {taken}/ as the masks of {of}/; {named} would fit too: "
                "--mask-folder takes another"
            )


def best_pairs(
    source: Location,
    root: str,
    images: Sequence[str],
    masks: Sequence[str],
    wanted: Wanted,
) -> list[FolderPair]:
    """The pair of folders to take, and others of the same images, the best first."""
    counts: dict[FolderPair, int] = {}
    for image in images:
        for mask in masks:
            folder = f"{root}{image}".rstrip("/")
            pair = FolderPair(source, folder, f"{root}{mask}")
            counts[pair] = pair.find_affixes(wanted.affixes)[1]
    most = max(counts.values(), default=0)

    def rank(pair: FolderPair) -> tuple[object, ...]:
        name = pair.folders[1].rpartition("/")[2]
        differ = bool(pair.find_affixes(wanted.affixes)[0].told())
        return *mask_rank(name), -counts[pair], differ, pair.folders

    fitting = [pair for pair, count in counts.items() if count and 2 * count >= most]
    fitting.sort(key=rank)
    return [pair for pair in fitting if pair.folders[0] == fitting[0].folders[0]]
