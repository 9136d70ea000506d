"""Pascal VOC's segmentation, also as CVAT and labelme write it.

    JPEGImages/2007_000032.jpg
    SegmentationClass/2007_000032.png     classes; 255 is the border between objects
    SegmentationObject/2007_000032.png    numbers of objects
    ImageSets/Segmentation/train.txt      the images of a split
    labelmap.txt                          classes: CVAT's; labelme's are in labels.txt

in SOURCE, or below it as in `VOCdevkit/VOC2012/`. Without a class file the classes are
VOC's own 21 (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/, section 2.3) where the
images are called as VOC's are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from segdata.annotations import FoundObjects, MaskEncoding, MaskImage
from segdata.errors import SourceError
from segdata.formats.base import Guess, Scan
from segdata.formats.class_files import ClassFile
from segdata.formats.folders import Files, count_of, list_folder, split_of, subfolders
from segdata.formats.mask_folder.affixes import Affixes
from segdata.formats.mask_folder.census import has_colors
from segdata.formats.mask_folder.classes import find_class_file
from segdata.formats.mask_folder.pairs import Pairs
from segdata.formats.split_lists import Listed, listed_names, read_split_lists
from segdata.formats.voc.classes import BORDER_COLOR, voc_classes, voc_label_map
from segdata.storage.paths import Location

_IMAGES, _OBJECTS, _LISTS = "JPEGImages", "SegmentationObject", "ImageSets/Segmentation"
_CLASSES = ("SegmentationClass", "SegmentationClassPNG", "SegmentationClassAug")
_VOC_NAME = re.compile(r"\d{4}_\d{6}", re.ASCII)
_TOOLS = {"labelmap.txt": "CVAT", "class_names.txt": "labelme", "labels.txt": "labelme"}


@dataclass(frozen=True, kw_only=True)
class Voc:
    """Options of `segdata build voc`."""

    name: ClassVar[str] = "voc"
    summary: ClassVar[str] = "Pascal VOC's masks and objects, also by CVAT or labelme."

    classes: str = field(
        default="",
        metadata={
            "help": "Class file, in SOURCE or as a path; or voc: the 21 of Pascal VOC. "
            "[default: labelmap.txt, labels.txt or another known name in SOURCE, else "
            "the 21 where images are called as VOC's are]"
        },
    )
    objects: Literal["auto", "none"] = field(
        default="auto",
        metadata={"help": "Objects: of SegmentationObject where it is there, or none."},
    )
    unknown: Literal["error", "void"] = field(
        default="error",
        metadata={
            "help": "Pixel values that no class has: fail, or ignore them and count."
        },
    )

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        found = _datasets(folder)
        if len(found) != 1:
            return None
        names = {e.name for e in (folder / found[0]).entries() if not e.is_dir}
        tools = [tool for name, tool in _TOOLS.items() if name in names]
        if not tools and not _is_called_as_vocs(folder, found[0]):
            return None  # of whose classes, nobody knows
        title = f"Pascal VOC layout in {found[0] or 'SOURCE/'}"
        return Guess(title=f"{title}, as {tools[0]} writes it" if tools else title)

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        below = _dataset(source)
        masks = f"{below}{_mask_folder(source, below)}"
        images = f"{below}{_IMAGES}"
        pair = Pairs(
            list_folder(source, images, recursive=True).by_stem,
            list_folder(source, masks, recursive=True).by_stem,
            ([images], [masks]),
            split_of,
        )
        pair.pair(Affixes())
        listed = _listed(source, f"{below}{_LISTS}", pair)
        left = sorted(pair.images.keys() - pair.masks.keys() - listed.splits.keys())
        pair.take_only(listed.splits)
        label_map, encoding = voc_label_map(
            self._classes(source, below),
            [source / path for path in pair.masks.values()],
            unknown_to_void=self.unknown == "void",
        )
        objects = _Objects(source, f"{below}{_OBJECTS}")
        is_wanted = self.objects == "auto" and bool(label_map.object_classes)
        if not is_wanted or not objects.are_of_most(pair.masks):
            objects.files = {}

        def read(path: str) -> dict[str, Any]:
            found: dict[str, Any] = objects.of(path.removeprefix(f"{masks}/"))
            return {"label_image": {"path": path, "encoding": encoding}, **found}

        warnings = [*pair.warnings(), *listed.warnings]
        if left:
            told = count_of(left, "image", "images")
            warnings.append(f"{told} without a mask left out, e.g. {left[0]}")
        if self.objects == "auto" and not label_map.object_classes:
            warnings.append("no objects: no class is called background")
        elif self.objects == "auto" and not objects.files:
            warnings.append(f"no objects: most masks have no file in {_OBJECTS}/")
        splits = ", ".join(sorted(s for s in pair.splits if s)) or "no split of its own"
        return Scan(
            label_map=label_map,
            annotations=pair.annotations(read),
            layout=f"{below or 'SOURCE/'} ({splits}), {encoding} labels",
            warnings=tuple(warnings),
            problems=(*pair.problems, *listed.problems),
        )

    def _classes(self, source: Location, below: str) -> ClassFile:
        if self.classes == "voc":
            return voc_classes()
        found = find_class_file(source, self.classes, [below.rstrip("/")])
        if found is None and not _is_called_as_vocs(source, below):
            raise SourceError(
                f"{source} has no class file, and its images are not called as Pascal "
                "VOC's are: expected labelmap.txt, labels.txt or another, or --classes "
                "voc for the 21 classes of Pascal VOC."
            )
        return found or voc_classes()


class _Objects:
    """What numbers the objects of images."""

    def __init__(self, source: Location, folder: str) -> None:
        self._folder = folder
        self.files: Files = {}
        """Name below the folder, without ending -> path."""
        if (source / folder).is_dir():
            self.files = list_folder(source, folder, recursive=True).unique()
        red, green, blue = BORDER_COLOR
        border, encoding = 255, "index"
        if has_colors(source, list(self.files.values())):
            border, encoding = red + 256 * green + 65536 * blue, "id24"
        self._border = border
        self._encoding: MaskEncoding = encoding  # type: ignore[assignment]

    def are_of_most(self, masks: Mapping[str, str]) -> bool:
        """Whether there are any for at least half of the masks."""
        return 2 * len(masks.keys() & self.files.keys()) >= max(1, len(masks))

    def of(self, mask: str) -> dict[str, MaskImage]:
        """What the annotation says of objects; nothing where there are none."""
        if not self.files:
            return {}
        stem = os.path.splitext(mask)[0]
        path = self.files.get(stem, f"{self._folder}/{stem}.png")
        rule: FoundObjects = {"nobody": [0, self._border], "by_label_image": True}
        return {
            "mask_image": {"path": path, "encoding": self._encoding, "objects": rule}
        }


def _datasets(source: Location) -> list[str]:
    """Where datasets are: empty for the source, else with a slash behind."""
    level = [""]
    for _ in range(3):
        found = [b for b in level if {_IMAGES}.issubset(n := subfolders(source / b))
                 and not {*_CLASSES}.isdisjoint(n)]  # fmt: skip
        if found:
            return found
        level = [f"{b}{name}/" for b in level for name in subfolders(source / b)][:99]
    return []


def _dataset(source: Location) -> str:
    found = _datasets(source)
    if len(found) == 1:
        return found[0]
    if found:
        raise SourceError(
            f"{source} has several VOC folders, {', '.join(found)}: expected one of "
            "them as SOURCE."
        )
    raise SourceError(
        f"no Pascal VOC masks are found in {source}: expected {_IMAGES}/ and "
        f"{_CLASSES[0]}/, there or below it as in VOCdevkit/VOC2012/."
    )


def _mask_folder(source: Location, below: str) -> str:
    """The folder of masks: labelme also writes arrays for NumPy into the first."""
    there = [name for name in _CLASSES if (source / below / name).is_dir()]
    filled = [n for n in there if list_folder(source, f"{below}{n}").by_stem]
    return (filled or there)[0]


def _is_called_as_vocs(source: Location, below: str) -> bool:
    stems = list_folder(source, f"{below}{_mask_folder(source, below)}").by_stem
    return bool(stems) and all(map(_VOC_NAME.fullmatch, stems))


def _listed(source: Location, folder: str, pair: Pairs) -> Listed:
    """The splits of lists; all images with masks where there are none."""
    names = listed_names(source, folder)
    if not names:
        return Listed(splits={core: pair.split_of(core) for core in pair.masks})
    files = {**pair.masks, **pair.images}
    without = pair.images.keys() - pair.masks.keys()
    return read_split_lists(source, folder, names, files, without_masks=without)
