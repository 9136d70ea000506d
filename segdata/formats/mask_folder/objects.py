"""Folders in which each object has a mask file of its own.

0a1b/images/0a1b.png   0a1b/masks/f3.png 0a1b/masks/77.png ...    a folder an image
images/x.png           masks/x/0.png masks/x/1.png ...            a folder of masks
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from segdata.annotations import Annotation, MaskFile
from segdata.formats.base import Scan
from segdata.formats.folders import count_of, list_folder, subfolders
from segdata.formats.mask_folder.candidates import Wanted, roots, split_of_root
from segdata.formats.mask_folder.names import SPLIT_WORDS, is_image, is_mask
from segdata.formats.mask_folder.numbered import OBJECT, one_class
from segdata.storage.paths import Location

_DEPTH = 2


@dataclass
class ObjectFiles:
    """Images with the files of their objects."""

    images: dict[str, str] = field(default_factory=dict)
    """Name -> path of the image."""
    masks: dict[str, list[str]] = field(default_factory=dict)
    """Name -> paths of the masks of its objects."""
    splits: dict[str, str | None] = field(default_factory=dict)
    """Name -> its split."""
    without: list[str] = field(default_factory=list)
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
            layout=f"a mask file for each object, {len(self.images)} images",
            warnings=tuple(warnings),
        )

    def annotations(self) -> Iterator[Annotation]:
        """One dict per image."""
        for name, image in sorted(self.images.items()):
            annotation: Annotation = {"image": image, "paint_label_map": True}
            annotation["mask_files"] = [
                MaskFile(path=path, category_id=OBJECT) for path in self.masks[name]
            ]
            split = self.splits[name]
            if split is not None:
                annotation["split"] = split
            yield annotation


def find_object_files(source: Location, wanted: Wanted) -> ObjectFiles | None:
    """Finds them; None where the source is not of this kind."""
    for depth in range(_DEPTH + 1):
        found = _image_folders(source, depth, wanted) if depth else None
        found = found or _mask_folders(source, depth, wanted)
        if found is not None:
            return found
    return None


def _image_folders(source: Location, depth: int, wanted: Wanted) -> ObjectFiles | None:
    """A folder for each image, with a folder of it and a folder of its masks."""
    found = ObjectFiles()
    tried = 0
    for root in roots(source, depth, unlimited=True):
        last = root.rstrip("/").rpartition("/")[2]
        is_side = is_image(last) or is_mask(last)  # of many files, and no folders
        pair = None if is_side else _sides(source, root, wanted)
        if pair is None:
            continue
        images, masks = (list_folder(source, folder).by_stem for folder in pair)
        tried += 1
        if len(images) != 1 or len(images.keys() & masks.keys()) == 1:
            if tried > 2 and not found.images:
                return None
            continue
        name = root.rstrip("/")
        [[image, *_]] = images.values()
        if not masks:
            found.without.append(image)
            continue
        above = root.rstrip("/").rpartition("/")[0]
        found.images[name] = image
        found.masks[name] = sorted(path for paths in masks.values() for path in paths)
        found.splits[name] = split_of_root(above, 1) if above else None
    several = sum(len(masks) > 1 for masks in found.masks.values())
    return found if found.images and 2 * several >= len(found.images) else None


def _mask_folders(source: Location, depth: int, wanted: Wanted) -> ObjectFiles | None:
    """A folder of images, and a folder of masks for each of them."""
    found = ObjectFiles()
    found_roots = [
        (root, pair)
        for root in roots(source, depth)
        if (pair := _sides(source, root, wanted)) is not None
        and subfolders(source / pair[1])
    ]
    for root, (image_folder, mask_folder) in found_roots:
        images = list_folder(source, image_folder, recursive=True).by_stem
        masks: dict[str, list[str]] = {}
        listing = list_folder(source, mask_folder, recursive=True)
        for stem, paths in listing.by_stem.items():
            masks.setdefault(stem.rpartition("/")[0], []).extend(paths)
        if not masks.keys() & images.keys() or images.keys() & listing.by_stem.keys():
            return None
        for stem, paths in images.items():
            name = root + stem
            if stem not in masks:
                found.without.append(paths[0])
                continue
            first = stem.partition("/")[0]
            found.images[name], found.masks[name] = paths[0], sorted(masks[stem])
            found.splits[name] = split_of_root(root, len(found_roots)) or (
                first if first.lower() in SPLIT_WORDS else None
            )
    return found if found.images else None


def _sides(source: Location, root: str, wanted: Wanted) -> tuple[str, str] | None:
    """The one folder of images and the one of masks in a folder."""
    names = subfolders(source / root)
    images = [wanted.images] if wanted.images else [n for n in names if is_image(n)]
    masks = [wanted.masks] if wanted.masks else [n for n in names if is_mask(n)]
    if len(images) != 1 or len(masks) != 1:
        return None
    pair = (f"{root}{images[0]}", f"{root}{masks[0]}")
    return pair if all((source / folder).is_dir() for folder in pair) else None
