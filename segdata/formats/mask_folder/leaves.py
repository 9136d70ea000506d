"""The folders of a tree that hold image files, and which of them are alike.

The names on a folder's path tell three things. Those that stand among images and among
masks, such as of films, cities or classes, are its *place*: images and masks of one
place belong together. Those of splits are its split. What is left, such as `images` or
`labels/masks`, is its *kind*: folders of one kind hold the same sort of files.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from segdata.formats.folders import Listing, list_folder
from segdata.formats.mask_folder.names import (
    SPLIT_WORDS,
    is_image,
    is_mask,
    is_view,
    read_name,
    split_of,
    words,
)
from segdata.storage.paths import Location

_MOST_FOLDERS = 20_000
_YEAR = "0123456789"

Side = Literal["image", "mask", ""]
"""What the names on a path say of the files there; empty where they say nothing."""
Cell = tuple[str, ...]
"""A split, or nothing, and a place."""


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A folder with image files in it."""

    path: str
    """Path below the source; empty for the source itself."""
    files: tuple[str, ...]
    """Paths of its image files."""
    side: Side
    head: str
    """The path to the folder whose name tells the side; the whole path if none."""
    split: str | None
    inner: tuple[str, ...]
    """The names on its path below the one that all folders lie in."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Folders of one kind."""

    leaves: tuple[Leaf, ...]
    places: Collection[str]
    """What is a place among the names of its folders and of the other side's."""

    @property
    def heads(self) -> list[str]:
        """The folders, without splits and places below the one that tells the side."""
        return list(dict.fromkeys(map(self._head, self.leaves)))

    def _head(self, leaf: Leaf) -> str:
        path = leaf.path
        while len(path) > len(leaf.head):
            above, _, name = path.rpartition("/")
            if not is_split(name) and read_name(name)[1] not in self.places:
                break
            path = above
        return path

    @property
    def files(self) -> list[str]:
        """Paths of all files."""
        return [path for leaf in self.leaves for path in leaf.files]

    def cell(self, leaf: Leaf) -> Cell:
        """The split and place of a folder."""
        names = (read_name(part)[1] for part in leaf.inner)
        return (leaf.split or "").casefold(), *(n for n in names if n in self.places)

    def stems(self, *, with_cells: bool = True) -> dict[str, list[str]]:
        """What files are called -> their paths.

        Args:
          with_cells: Whether files of one name in two splits or places are two; a
            name stands behind its cell then.
        """
        found: dict[str, list[str]] = defaultdict(list)
        for leaf in self.leaves:
            cell = "/".join([*self.cell(leaf), ""]) if with_cells else ""
            for path in leaf.files:
                found[cell + stem_of(path)].append(path)
        return dict(found)


def stem_of(path: str) -> str:
    """The name of a file without its ending."""
    return os.path.splitext(path.rpartition("/")[2])[0]


def list_leaves(source: Location) -> tuple[list[Leaf], Listing]:
    """All folders with image files below the source, but those made to look at.

    None where there are more than 20,000 folders: that is no dataset of this form.
    """
    listing = list_folder(source, "", recursive=True, most_folders=_MOST_FOLDERS)
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(listing.images):
        found[path.rpartition("/")[0]].append(path)
    folders = [f for f in found if not any(map(is_view, f.split("/")))]
    common = os.path.commonpath(folders) if folders and "" not in folders else ""
    twins = _twins(folders)
    return [_leaf(f, tuple(found[f]), common, twins) for f in folders], listing


def _twins(folders: Iterable[str]) -> set[tuple[Cell, Cell]]:
    """What stands before and after a name that alone tells images from masks.

    `a/images/photos` and `a/masks/photos` are twins: what is below says nothing then.
    """
    sides: dict[tuple[Cell, Cell], set[Side]] = defaultdict(set)
    for folder in folders:
        parts = tuple(folder.split("/"))
        for place, name in enumerate(parts):
            sides[parts[:place], parts[place + 1 :]].add(_side([name])[1])
    return {around for around, found in sides.items() if {"image", "mask"} <= found}


def _leaf(
    path: str,
    files: tuple[str, ...],
    common: str,
    twins: Collection[tuple[Cell, Cell]],
) -> Leaf:
    parts = tuple(path.split("/")) if path else ()
    num_common = len(common.split("/")) if common else 0
    inner = parts[num_common:]
    num_told, side = _side(inner)
    for place, name in enumerate(inner, num_common):
        if (parts[:place], parts[place + 1 :]) in twins and _side([name])[1]:
            num_told, side = place + 1 - num_common, _side([name])[1]
    told = parts[: num_common + num_told]
    return Leaf(
        path=path,
        files=files,
        side=side,
        head="/".join(told),
        split=_split(parts, told),
        inner=inner,
    )


def _side(parts: Sequence[str]) -> tuple[int, Side]:
    """How many names lead to the last one that tells a side, and which side.

    A picture of masks in colours is no photo, though it is called `rgb`.
    """
    has_masks = any(map(is_mask, parts))
    for count in range(len(parts), 0, -1):
        name = parts[count - 1]
        if is_mask(name):
            return count, "mask"
        if is_image(name) and not (has_masks and words(name) == ["rgb"]):
            return count, "image"
    return len(parts), ""


def _split(parts: Sequence[str], told: Sequence[str]) -> str | None:
    """The split that a folder is called, or that the names above the files speak of."""
    for part in parts:
        if is_split(part):
            return part.rstrip(_YEAR)
    return next(filter(None, map(split_of, reversed(told))), None)


def is_split(name: str) -> bool:
    """Whether a folder is called like a split, such as `val` or `train2017`."""
    return name.rstrip(_YEAR).casefold() in SPLIT_WORDS


def places_of(leaves: Iterable[Leaf], others: Iterable[Leaf]) -> frozenset[str]:
    """What stands on the paths of both sides, besides splits and words of sides."""
    here, there = (
        {read_name(part)[1] for leaf in side for part in leaf.inner}
        for side in (leaves, others)
    )
    return frozenset(here & there) - {""}


def groups_of(leaves: Iterable[Leaf], others: Iterable[Leaf]) -> list[Group]:
    """Folders by their kinds; one where its files lie in folders of different names.

    Args:
      leaves: The folders.
      others: Those of the other side, whose names tell what is a place.
    """
    leaves = list(leaves)
    places = places_of(leaves, others)
    kinds: dict[tuple[Cell, Cell], list[Leaf]] = defaultdict(list)
    for leaf in leaves:
        names = [read_name(part) for part in leaf.inner]
        kind = tuple(word for told, _ in names for word in told)
        rest = tuple(rest for _, rest in names if rest and rest not in places)
        kinds[kind, rest].append(leaf)
    groups: dict[tuple[Cell, Cell], Group] = {}
    for (kind, rest), found in sorted(kinds.items()):
        group = Group(leaves=tuple(found), places=places)
        # What has no word of a side is the same but for a number, if at all.
        key = (kind, () if kind else tuple(map(_without_digits, rest)))
        earlier = groups.get(key)
        if earlier and not earlier.stems().keys() & group.stems().keys():
            group = Group(leaves=(*earlier.leaves, *group.leaves), places=places)
        elif earlier:
            key = (kind, rest)
        groups[key] = group
    return list(groups.values())


def _without_digits(text: str) -> str:
    return "".join(c for c in text if not c.isdigit())
