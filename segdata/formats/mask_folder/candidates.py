"""Groups of folders that may be the images and the masks of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from segdata.formats.mask_folder.census import mark_different_pixels
from segdata.formats.mask_folder.leaves import Group, Leaf, groups_of
from segdata.formats.mask_folder.names import is_image, is_picture, mask_rank
from segdata.formats.mask_folder.pairs import Pairs
from segdata.storage.paths import Location

_MOST_GROUPS = 12
_PROBED = 4


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user said of the places."""

    images: str = ""
    masks: str = ""
    affixes: tuple[str, str] = ("", "")


@dataclass(kw_only=True)
class Candidate:
    """Folders of images and folders of masks that may belong together."""

    images: Group
    masks: Group | None
    """None where they lie in the same folders."""
    wanted: Wanted
    other_masks: list[Group] = field(default_factory=list)
    """Further masks of the same images."""
    other_images: list[Group] = field(default_factory=list)
    """Further images of the same masks."""

    @property
    def leaves(self) -> list[Leaf]:
        """The folders of both."""
        return [*self.images.leaves, *(self.masks.leaves if self.masks else ())]

    @property
    def told_leaves(self) -> list[Leaf]:
        """The folders that `told_others` speaks of."""
        groups = [*self.other_masks, *self.other_images]
        return [leaf for group in groups for leaf in group.leaves]

    @cached_property
    def pairs(self) -> Pairs:
        """Their files, by split, place and name; or by name alone, if that is more."""
        found = self._pairs(with_cells=True)
        least = min(len(g.files) for g in (self.images, self.masks) if g is not None)
        if self.masks is None or 2 * self._count(found) >= least:
            return found
        return max(found, self._pairs(with_cells=False), key=self._count)

    @property
    def count(self) -> int:
        """How many pairs there are."""
        return self._count(self.pairs)

    @property
    def is_likely(self) -> bool:
        """Whether half of the images or of the masks pair: fewer do by chance."""
        least = min(len(g.files) for g in (self.images, self.masks) if g is not None)
        is_told = any((self.wanted.images, self.wanted.masks, *self.wanted.affixes))
        return self.count > 0 and (is_told or 2 * self.count >= least)

    @property
    def splits(self) -> set[str | None]:
        """Splits of the images."""
        return {leaf.split for leaf in self.images.leaves}

    @property
    def cells(self) -> set[tuple[str, ...]]:
        """The splits and places that have both; none where names alone pair."""
        images, masks = (
            {group.cell(leaf) for leaf in group.leaves}
            for group in (self.images, self.masks or self.images)
        )
        return images & masks

    @property
    def rank(self) -> tuple[object, ...]:
        """What makes it less likely to be meant than others."""
        assert self.masks is not None
        image, head = self.images.heads[0], self.masks.heads[0]
        side = self.masks.leaves[0].head.rpartition("/")[2]
        differ = bool(self.pairs.find_affixes(self.wanted.affixes)[0].told())
        return (
            is_picture(" ".join(self.masks.leaves[0].inner)),
            *mask_rank(side),
            -self.count,
            differ,
            not is_image(image.rpartition("/")[2]),
            image,
            head,
        )

    def parts(self, source: Location) -> list[str]:
        """Masks of one image that mark different pixels; none where masks agree."""
        others = [*self.other_masks]
        sets = {i: [self.pairs.masks[i], *paths] for i, paths in
                self.pairs.others.items() if i in self.pairs.masks}  # fmt: skip
        for group in others:
            if not is_picture(" ".join(group.leaves[0].inner)):
                pairs = Candidate(
                    images=self.images, masks=group, wanted=self.wanted
                ).pairs
                pairs.pair(pairs.find_affixes()[0])
                for core in pairs.masks.keys() & self.pairs.masks.keys():
                    known = sets.setdefault(core, [self.pairs.masks[core]])
                    known.append(pairs.masks[core])
        probed = sorted(sets)[:: max(1, len(sets) // _PROBED)][:_PROBED]
        if probed and all(mark_different_pixels(source, sets[i]) for i in probed):
            return sets[probed[0]][:4]
        return []

    def told_others(self) -> Iterator[str]:
        """What else might be meant."""
        image, mask = (g.heads[0] if g else "" for g in (self.images, self.masks))
        image = image or "SOURCE"
        if self.other_masks:
            named = ", ".join(f"{group.heads[0]}/" for group in self.other_masks)
            yield (
                f"took {mask}/ as the masks of {image}/; {named} would fit too: "
                "--mask-folder takes another"
            )
        if self.other_images:
            named = ", ".join(f"{group.heads[0]}/" for group in self.other_images)
            yield (
                f"took {image}/ as the images of {mask}/; {named} would fit too: "
                "--images takes another"
            )

    def _pairs(self, *, with_cells: bool) -> Pairs:
        splits = {leaf.path: leaf.split for leaf in self.leaves}
        sides = self.images, self.masks or self.images
        return Pairs(
            self.images.stems(with_cells=with_cells),
            self.masks.stems(with_cells=with_cells) if self.masks else None,
            (sides[0].heads, sides[1].heads),
            lambda path: splits[path.rpartition("/")[0]],
        )

    def _count(self, pairs: Pairs) -> int:
        return pairs.find_affixes(self.wanted.affixes)[1]


def is_below(leaf: Leaf, folder: str) -> bool:
    """Whether a folder that the user named is on the path of a leaf."""
    return f"/{folder}/" in f"/{leaf.path}/"


def best_candidates(
    images: Sequence[Leaf], masks: Sequence[Leaf], wanted: Wanted
) -> list[Candidate]:
    """The best of all, and of what is in other places or splits again the best."""
    sides = [groups_of(images, masks), groups_of(masks, images)]
    kinds = [
        sorted(g, key=lambda group: -len(group.files))[:_MOST_GROUPS] for g in sides
    ]
    found = [
        candidate
        for image in kinds[0]
        for mask in kinds[1]
        if (candidate := Candidate(images=image, masks=mask, wanted=wanted)).is_likely
    ]
    most = max((candidate.count for candidate in found), default=0)
    found.sort(key=lambda c: (2 * c.count < most, c.rank))
    taken: list[Candidate] = []
    for candidate in found:
        same = next((c for c in taken if c.cells & candidate.cells), None)
        if not taken or (same is None and candidate.cells):
            taken.append(candidate)
        elif same is None:
            continue
        elif 2 * candidate.count >= same.count:
            if candidate.images is same.images and candidate.masks is not None:
                same.other_masks.append(candidate.masks)
            elif candidate.masks is same.masks:
                same.other_images.append(candidate.images)
    return taken
