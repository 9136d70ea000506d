"""Images of which each object has a mask file of its own.

0a1b/images/0a1b.png   0a1b/masks/f3.png 0a1b/masks/77.png ...    a place an image
images/x.png           masks/x/0.png masks/x/1.png ...            a folder of masks
images/x.png           masks/x_0.png masks/x_1.png ...            a name before others
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from segdata.annotations import Annotation, MaskFile
from segdata.formats.base import Scan
from segdata.formats.folders import count_of
from segdata.formats.mask_folder.leaves import Group, Leaf, places_of
from segdata.formats.mask_folder.numbered import OBJECT, one_class

_MOST_FILLED = 0.8

Masks = Mapping[str, list[str]]
"""Path of an image -> paths of the masks of its objects."""


@dataclass(frozen=True, kw_only=True)
class ObjectFiles:
    """Images with the files of their objects."""

    masks: Masks
    splits: Mapping[str, str | None]
    """Path of an image -> its split."""
    without: Sequence[str]
    """Images that have no masks."""

    def scan(self, name: str) -> Scan:
        """The scan of objects of one class."""
        without = count_of(self.without, "image has", "images have")
        warnings = [f"all objects are of the class {name!r}: --instances names it"]
        if self.without:
            first = min(self.without)
            warnings.append(f"{without} no masks and are left out, e.g. {first}")
        return Scan(
            label_map=one_class(name),
            annotations=self.annotations(),
            layout=f"a mask file for each object, {len(self.masks)} images",
            warnings=tuple(warnings),
        )

    def annotations(self) -> Iterator[Annotation]:
        """One dict per image."""
        for image, masks in sorted(self.masks.items()):
            annotation: Annotation = {"image": image, "paint_label_map": True}
            annotation["mask_files"] = [
                MaskFile(path=path, category_id=OBJECT) for path in sorted(masks)
            ]
            split = self.splits[image]
            if split is not None:
                annotation["split"] = split
            yield annotation


def find_object_files(
    images: Sequence[Leaf], masks: Sequence[Leaf]
) -> ObjectFiles | None:
    """Finds them; None where the folders are not of this kind."""
    places = places_of(images, masks)
    image, mask = (
        Group(leaves=tuple(leaves), places=places) for leaves in (images, masks)
    )
    if image.stems().keys() & mask.stems().keys():
        return None  # an image and a mask of the very name are a pair
    for find in (_by_place, _by_folder, _by_beginning):
        found = find(image, mask)
        if found:
            return ObjectFiles(
                masks=found,
                splits={path: leaf.split for leaf in images for path in leaf.files},
                without=[path for path in image.files if path not in found],
            )
    return None


def _by_place(images: Group, masks: Group) -> Masks:
    """Places of one image each."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for leaf in images.leaves:
        found[images.cell(leaf)] += leaf.files
    taken: dict[str, list[str]] = defaultdict(list)
    for leaf in masks.leaves:
        of_place = found.get(masks.cell(leaf), [])
        if len(of_place) != 1:
            return {}
        taken[of_place[0]] += leaf.files
    return _if_several(taken)


def _by_folder(images: Group, masks: Group) -> Masks:
    """Folders of masks that are called as an image is."""
    named = {stem: paths[0] for stem, paths in images.stems().items()}
    taken = {}
    for leaf in masks.leaves:
        *place, name = *masks.cell(leaf), leaf.path.rpartition("/")[2]
        image = named.get("/".join([*place, name]))
        if image is None:
            return {}
        taken[image] = [*leaf.files]
    return _if_several(taken)


def _by_beginning(images: Group, masks: Group) -> Masks:
    """Masks whose names begin with that of one image, a sign behind it."""
    named = images.stems(with_cells=False)
    taken: dict[str, list[str]] = defaultdict(list)
    rests = set()
    for stem, paths in masks.stems(with_cells=False).items():
        ends = [match.start() for match in re.finditer(r"[_\-. ]", stem)]
        fitting = [stem[:end] for end in ends if stem[:end] in named]
        if len(fitting) != 1 or len(named[fitting[0]]) != 1:
            return {}
        taken[named[fitting[0]][0]] += paths
        rests.add(stem.removeprefix(fitting[0]))
    # What stands behind nearly all names is of another person or class.
    num_masks = sum(map(len, taken.values()))
    return taken if num_masks < _MOST_FILLED * len(rests) * len(taken) else {}


def _if_several(masks: Masks) -> Masks:
    """The same, if half of the images have several masks; else it is chance."""
    several = sum(len(paths) > 1 for paths in masks.values())
    return masks if 2 * several >= len(masks) else {}
