"""Where images and masks lie: by the names of folders, and by what pairs in them.

Looked for, in this order:

1. folders of images and folders of masks, told by their names (`images/ masks/`,
   `train/ train_masks/`, `images/10k/train/ labels/sem_seg/masks/train/`);
2. images and masks in one folder, told apart by what is around their names;
3. the same folders as in 1 where only the pixels tell which hold masks.

Folders count only where files of both pair. `leaves.py` says which belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from segdata.formats.base import Scan
from segdata.formats.folders import Listing, count_of, subfolders
from segdata.formats.mask_folder.candidates import (
    Candidate,
    Wanted,
    best_candidates,
    is_below,
)
from segdata.formats.mask_folder.census import looks_like_masks
from segdata.formats.mask_folder.leaves import Group, Leaf, groups_of, list_leaves
from segdata.formats.mask_folder.names import is_image, is_mask, read_name, split_of
from segdata.formats.mask_folder.objects import ObjectFiles, find_object_files
from segdata.formats.mask_folder.pairs import Pairs
from segdata.formats.split_lists import (
    Listed,
    list_files,
    listed_names,
    read_split_lists,
)
from segdata.storage.paths import Location

_OF_OTHERS = ("JPEGImages", "trimaps", "leftImg8bit", "gtFine", "panoptic", "_prepped_")
"""Parts of the names of folders that other formats have."""
_LISTS = ("ImageSets/Segmentation", "ImageSets", "splits", "lists", "")
"""Where lists of splits are looked for first; then in the folders of SOURCE."""
_LEAST_SHARE = 6
"""Of so many files at least one is a mask where both lie in one folder."""
_MOST_UNNAMED = 6
_MOST_LISTED = 16
_MOST_TOLD = 6


@dataclass
class Places:
    """What was found."""

    pairs: Pairs | None = None
    """The images and masks; names are paired."""
    is_sure: bool = False
    """Whether the names tell what is meant, and it is no other format's layout."""
    warnings: list[str] = field(default_factory=list)
    objects: ObjectFiles | None = None
    """In place of pairs: images of which each object has a mask file."""
    refusal: str = ""
    """Why nothing of what is there can be meant."""

    @property
    def folders(self) -> list[str]:
        """Folders of images and of masks, and those above them, the innermost last."""
        pairs = self._paired
        files = (*pairs.images.values(), *pairs.masks.values())
        found = {path.rpartition("/")[0] for path in files}
        for folder in [*found]:
            while folder := folder.rpartition("/")[0]:
                found.add(folder)
        return sorted(found, key=lambda folder: (folder.count("/"), folder))

    @property
    def masks(self) -> list[str]:
        """Paths of all masks."""
        return list(self._paired.masks.values())

    @property
    def told(self) -> str:
        """Folders, splits and names, in a line."""
        pairs = self._paired
        images, masks = map(_told, pairs.folders)
        splits = sorted({split for split in pairs.splits if split})
        where = f"{images} with {masks}" if images != masks else f"all in {images}"
        names = f", {told}" if (told := pairs.affixes.told()) else ""
        return f"{where} ({', '.join(splits) or 'no split of its own'}){names}"

    def take_lists(self, source: Location, folder: str) -> Listed:
        """Takes the splits of lists: of those in a folder, or of any that are there.

        Raises:
          SourceError: If the folder has no lists, or one cannot be read.
        """
        pairs = self._paired
        if folder:
            names = list_files(source, folder)
            listed = read_split_lists(source, folder, names, pairs.images)
            pairs.take_only(listed.splits)
            return listed
        others = []
        for folder in () if any(pairs.splits) else _list_folders(source):
            called = {
                name: split
                for name in listed_names(source, folder)
                if (split := split_of(name)) is not None
            }
            if not called:
                continue
            listed = read_split_lists(
                source, folder, called, pairs.images, called=called
            )
            if listed.fits:
                pairs.take_only(listed.splits)
                return listed
            others.append(
                f"the lists of splits in {folder or 'SOURCE'}/ are passed over: most "
                "of their lines name no image here"
            )
        return Listed(splits={}, warnings=tuple(others))

    @cached_property
    def _paired(self) -> Pairs:
        assert self.pairs is not None, "nothing is found"
        return self.pairs


def find_places(source: Location, wanted: Wanted) -> Places:
    """Finds the folders and pairs their files; no pairs where nothing fits."""
    leaves, listing = list_leaves(source)
    warnings: list[str] = []
    found: list[Candidate] = []
    for images, masks in _sides(leaves, wanted):
        if objects := find_object_files(images, masks):
            return Places(objects=objects)
        found = best_candidates(images, masks, wanted)
        if found:
            break
    if not found and (pair := _mixed(leaves, wanted)):
        found = [pair]
    if not found:
        found = _by_pixels(source, leaves, wanted)
        warnings += map(_seen, found)
    if not found:
        return Places()
    taken = _united(found, wanted)
    if len(found) > 1 and None in taken.splits:
        heads = _told(list(dict.fromkeys(pair.images.heads[0] for pair in found)))
        return Places(refusal=f"holds several datasets, {heads}: give one of them")
    pairs = taken.pairs
    pairs.pair(pairs.find_affixes(wanted.affixes)[0])
    pairs.leave_out_unlabelled()
    if not (wanted.masks or wanted.affixes[1]) and (names := taken.parts(source)):
        return Places(
            is_sure=True,
            refusal="has several masks of each image that mark different pixels, as "
            f"{' and '.join(names)}: are they classes of their own? Take one with "
            "--mask-folder or --mask-suffix, or write them into one mask",
        )
    warnings += [told for pair in found for told in pair.told_others()]
    warnings += _left_out(leaves, taken, found)
    warnings += _strays(listing, taken)
    return Places(pairs, _is_sure(pairs), warnings)


def several_masks(pairs: Pairs, name: str) -> Scan:
    """The scan of images some of which have several masks: each is an object."""
    whole = {core: [path, *pairs.further.get(core, ())]
             for core, path in pairs.masks.items() if core in pairs.images}  # fmt: skip
    found = ObjectFiles(
        masks={pairs.images[core]: paths for core, paths in whole.items()},
        splits={path: pairs.split_of(core) for core, path in pairs.images.items()},
        without=[path for core, path in pairs.images.items() if core not in whole],
    )
    return found.scan(name)


def _sides(
    leaves: Sequence[Leaf], wanted: Wanted
) -> Iterator[tuple[list[Leaf], list[Leaf]]]:
    """The folders of images and of masks, by their names or by the user's word.

    Folders of no side hold the images where no others do.
    """
    masks = [leaf for leaf in leaves if leaf.side == "mask"]
    if wanted.masks:
        masks = [leaf for leaf in leaves if is_below(leaf, wanted.masks)]
    if wanted.images:
        images = [leaf for leaf in leaves if is_below(leaf, wanted.images)]
        yield images, [leaf for leaf in masks if leaf not in images]
        return
    for side in ("image", ""):
        yield [x for x in leaves if x.side == side and x not in masks], masks


def _mixed(leaves: Sequence[Leaf], wanted: Wanted) -> Candidate | None:
    """All in the same folders."""
    if wanted.images and wanted.masks:
        return None
    folder = wanted.images or wanted.masks
    leaves = [leaf for leaf in leaves if not folder or is_below(leaf, folder)]
    names = frozenset(read_name(part)[1] for leaf in leaves for part in leaf.inner)
    images = Group(leaves=tuple(leaves), places=names - {""})
    found = Candidate(images=images, masks=None, wanted=wanted)
    # Of a folder of many datasets a few names may pair by chance.
    if not found.count or (
        not folder and found.count * _LEAST_SHARE < len(images.files)
    ):
        return None
    return found


def _by_pixels(
    source: Location, leaves: Sequence[Leaf], wanted: Wanted
) -> list[Candidate]:
    """Folders whose names tell no side, where those of few colours hold masks."""
    images = [leaf for leaf in leaves if leaf.side == "image"]
    others = [leaf for leaf in leaves if leaf.side != "image"]
    if wanted.images:
        images = [leaf for leaf in leaves if is_below(leaf, wanted.images)]
        others = [leaf for leaf in leaves if leaf not in images]
    groups = groups_of(others, images)
    if len(groups) > _MOST_UNNAMED:
        return []
    like = [looks_like_masks(source, group.files) for group in groups]
    masks = [g for g, is_like in zip(groups, like, strict=True) if is_like]
    photos = [g for g, is_like in zip(groups, like, strict=True) if not is_like]
    images = images or [leaf for group in photos for leaf in group.leaves]
    return best_candidates(
        images, [leaf for group in masks for leaf in group.leaves], wanted
    )


def _seen(pair: Candidate) -> str:
    assert pair.masks is not None
    mask, image = pair.masks.heads[0], pair.images.heads[0]
    return (
        f"took {mask}/ as the masks of {image}/ by what they hold: "
        "--images and --mask-folder say otherwise"
    )


def _united(found: Sequence[Candidate], wanted: Wanted) -> Candidate:
    """One dataset of folders that are called differently in its splits."""
    if len(found) == 1:
        return found[0]
    sides = [[pair.images for pair in found], [p.masks for p in found if p.masks]]
    images, masks = (
        Group(
            leaves=tuple(leaf for group in side for leaf in group.leaves),
            places=frozenset(place for group in side for place in group.places),
        )
        for side in sides
    )
    return Candidate(images=images, masks=masks, wanted=wanted)


def _left_out(
    leaves: Sequence[Leaf], taken: Candidate, found: Sequence[Candidate]
) -> Iterator[str]:
    """Folders of images that are not taken, and not told of otherwise."""
    known = {leaf.path for leaf in taken.leaves}
    known |= {leaf.path for pair in found for leaf in pair.told_leaves}
    heads = dict.fromkeys(leaf.head for leaf in leaves if leaf.path not in known)
    if heads:
        yield f"{_told([*heads])} left out: no folder has masks of its images"


def _strays(listing: Listing, taken: Candidate) -> Iterator[str]:
    """Files in the folders that are no images."""
    folders = {leaf.path for leaf in taken.leaves}
    for paths, one, many, why in (
        (listing.others, "file", "files", "no image by its ending"),
        (listing.hidden, "hidden file", "hidden files", "the name begins with a dot"),
        (listing.links, "linked folder", "linked folders", "links are not followed"),
    ):
        # Beside all folders: class files and the like.
        found = [p for p in paths if p.rpartition("/")[0] in folders - {""}]
        if paths is not listing.others:
            found += [p for p in paths if "/" not in p]
        if found:
            told = count_of(found, one, many)
            yield f"{told} left out ({why}), e.g. {found[0]}"


def _list_folders(source: Location) -> Iterator[str]:
    """Folders that may hold lists of splits."""
    yield from _LISTS
    names = subfolders(source)[:_MOST_LISTED]
    inner = [f"{n}/{m}" for n in names for m in subfolders(source / n)[:_MOST_LISTED]]
    yield from (f for f in (*names, *inner) if f not in _LISTS)


def _told(folders: Sequence[str]) -> str:
    more = f" and {len(folders) - _MOST_TOLD} more" if folders[_MOST_TOLD:] else ""
    return ", ".join(f"{f or 'SOURCE'}/" for f in folders[:_MOST_TOLD]) + more


def _is_sure(pairs: Pairs) -> bool:
    if pairs.folders[0] == pairs.folders[1]:
        mask = pairs.affixes.mask
        return is_mask(f"{mask.prefix} {mask.suffix}")
    images, masks = (folders[0] for folders in pairs.folders)
    is_others = any(name in f"{images} {masks}" for name in _OF_OTHERS)
    names = images.rpartition("/")[2], masks.rpartition("/")[2]
    return is_image(names[0]) and is_mask(names[1]) and not is_others
