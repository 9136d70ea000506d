"""CamVid in the layouts people have.

- *SegNet split*: `train/ trainannot/ train.txt`, likewise `val` and `test`; index
  labels; the lists carry a prefix that does not exist on the reader's disk.
- *Prepped*: `images_prepped_train/ annotations_prepped_train/`; index labels.
- *Original*: `X.png` with a colour label `X_L.png`, beside it, in
  `701_StillsRaw_full/` and `LabeledApproved_full/`, or in `train/` and
  `train_labels/`; classes in `label_colors.txt` or `class_dict.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from segdata.annotations import Annotation, LabelEncoding
from segdata.errors import SourceError, short_repr
from segdata.formats.base import Guess, Scan
from segdata.formats.camvid import classes as camvid_classes
from segdata.formats.folders import Files, image_files, subfolders
from segdata.formats.text import read_lines
from segdata.label_map import LabelMap
from segdata.storage.paths import Location

_CLASS_FILES = ("label_colors.txt", "class_dict.csv")
_FRAME = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_", re.ASCII)
"""What the names of CamVid's frames begin with: those of its four films."""
_LIST_LINE = re.compile(r"(\S.*?\.\w+)\s+(\S.*\.\w+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    title: str
    encoding: LabelEncoding
    annotations: list[Annotation]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CamVid:
    """Options of `segdata build camvid`."""

    name: ClassVar[str] = "camvid"
    summary: ClassVar[str] = "CamVid street scenes: SegNet, prepped or original layout."

    classes: Literal["auto", "camvid-12", "camvid-11", "camvid-32"] = field(
        default="auto",
        metadata={
            "help": "Class set: camvid-12 (11 classes, and void as class 11), "
            "camvid-11 (void is ignored, 255), camvid-32 (the original classes). "
            "auto: camvid-12 for index labels, the class file's or camvid-32 for "
            "colour labels."
        },
    )
    labels: Literal["auto", "index", "color"] = field(
        default="auto",
        metadata={
            "help": "How label images spell classes: by index or by colour. auto: "
            "colour in the original layout, index elsewhere."
        },
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
        for find in (_segnet_layout, _prepped_layout, _original_layout):
            try:
                layout = find(folder)
            except SourceError:
                continue
            if layout is not None and layout.annotations:
                names = [PurePosixPath(a["image"]).name for a in layout.annotations]
                is_sure = all(map(_FRAME.match, names))
                if is_sure or find is not _original_layout:
                    return Guess(title=f"CamVid, {layout.title}", is_sure=is_sure)
        return None

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        for find in (_segnet_layout, _prepped_layout, _original_layout):
            layout = find(source)
            if layout is not None:
                break
        else:
            raise SourceError(
                f"no CamVid layout is recognised in {source}: expected train/ with "
                "trainannot/, images_prepped_train/ with annotations_prepped_train/, "
                "or images X.png with labels X_L.png."
            )
        encoding = layout.encoding if self.labels == "auto" else self.labels
        for annotation in layout.annotations:
            annotation["label_image"]["encoding"] = encoding
        return Scan(
            label_map=self._label_map(source, encoding),
            annotations=layout.annotations,
            layout=f"{layout.title}, {encoding} labels",
            warnings=layout.warnings,
        )

    def _label_map(self, source: Location, encoding: LabelEncoding) -> LabelMap:
        to_void = self.unknown == "void"
        colors = camvid_classes.COLORS
        if encoding == "color":
            for name in _CLASS_FILES:
                if (source / name).is_file():
                    colors = camvid_classes.read_colors(source / name)
                    break
        classes = self.classes
        if classes == "auto":
            classes = "camvid-12" if encoding == "index" else "camvid-32"
        elif classes == "camvid-32" and len(colors) != len(camvid_classes.COLORS):
            raise SourceError(
                f"--classes camvid-32 was asked for, but the class file has "
                f"{len(colors)} classes: use --classes auto to take it as it is."
            )
        if classes == "camvid-32":
            return camvid_classes.ungrouped(colors, unknown_to_void=to_void)
        return camvid_classes.grouped(
            colors, void_outside=classes == "camvid-11", unknown_to_void=to_void
        )


def _segnet_layout(source: Location) -> _Layout | None:
    folders = subfolders(source)
    splits = [
        name.removesuffix("annot")
        for name in folders
        if name.endswith("annot") and name.removesuffix("annot") in folders
    ]
    if not splits:
        return None
    annotations: list[Annotation] = []
    warnings = [
        f"{name}/ is left out: it has no {name}annot/ beside it"
        for name in ("train", "val", "test")
        if name in folders and name not in splits
    ]
    for split in splits:
        listed = source / f"{split}.txt"
        if not listed.is_file():
            annotations += _paired(source, split, f"{split}annot", split)
            continue
        found = list(_listed(source, listed, split))
        annotations += found
        unlisted = set(image_files(source, split).values()) - {
            a["image"] for a in found
        }
        if unlisted:
            warnings.append(
                f"{len(unlisted)} images in {split}/ are not in {split}.txt and are "
                f"left out, e.g. {min(unlisted)}"
            )
    return _Layout(
        title=f"SegNet split ({', '.join(splits)})",
        encoding="index",
        annotations=annotations,
        warnings=tuple(warnings),
    )


def _listed(source: Location, listed: Location, split: str) -> Iterator[Annotation]:
    """Reads a list of `image label` lines, whose folders may not exist here."""
    for number, line in read_lines(listed):
        match = _LIST_LINE.fullmatch(line)
        if match is None:
            raise SourceError(
                f"line {number} of {listed.name} is {short_repr(line)}: expected the "
                "path of an image and the path of its label image."
            )
        image = _locate(source, match[1], split)
        label = _locate(source, match[2], f"{split}annot")
        yield _annotation(image, label, split)


def _locate(source: Location, listed: str, folder: str) -> str:
    """Path below the source: the longest tail that exists, else `folder/name`."""
    parts = [part for part in PurePosixPath(listed).parts if part not in ("/", ".")]
    if ".." not in parts:
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            if (source / tail).is_file():
                return tail
    return f"{folder}/{parts[-1]}"


def _prepped_layout(source: Location) -> _Layout | None:
    folders = subfolders(source)
    splits = _with_prefix(folders, "images_prepped_")
    labeled = _with_prefix(folders, "annotations_prepped_")
    if not splits:
        return None
    annotations: list[Annotation] = []
    for split in splits:
        images, labels = f"images_prepped_{split}", f"annotations_prepped_{split}"
        if split not in labeled:
            raise SourceError(
                f"{images}/ has no labels: expected the folder {labels}/ beside it."
            )
        annotations += _paired(source, images, labels, split)
    return _Layout(
        title=f"prepped layout ({', '.join(splits)})",
        encoding="index",
        annotations=annotations,
        warnings=tuple(
            f"annotations_prepped_{split}/ is left out: no images_prepped_{split}/ is "
            "beside it"
            for split in labeled
            if split not in splits
        ),
    )


def _with_prefix(folders: list[str], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in folders if name.startswith(prefix)]


def _original_layout(source: Location) -> _Layout | None:
    labels: dict[str, Files] = {}  # folder -> its label files, by the image's stem
    images: dict[str, Files] = {}
    for folder in (".", *subfolders(source)):
        for stem, path in image_files(source, folder).items():
            is_label = stem.endswith("_L")
            table = labels if is_label else images
            table.setdefault(folder, {})[stem.removesuffix("_L")] = path
    if not labels or not images:
        return None
    annotations: list[Annotation] = []
    splits, used = set(), set()
    for folder, files in labels.items():
        image_folder = _image_folder(folder, files, images)
        used.add(image_folder)
        split = folder.removesuffix("_labels") if folder.endswith("_labels") else None
        splits.add(split)
        for stem in sorted(files.keys() | images[image_folder].keys()):
            image = images[image_folder].get(stem, f"{image_folder}/{stem}.png")
            label = files.get(stem, f"{folder}/{stem}_L.png")
            annotations.append(_annotation(image, label, split))
    named = ", ".join(sorted(filter(None, splits))) or "no split of its own"
    return _Layout(
        title=f"original layout ({named})",
        encoding="color",
        annotations=annotations,
        warnings=tuple(
            f"{len(images[folder])} images in {folder}/ are left out: no folder has "
            "their labels"
            for folder in sorted(images.keys() - used)
        ),
    )


def _image_folder(folder: str, labels: Files, images: dict[str, Files]) -> str:
    """The folder of these labels' images: named so, or holding most of them."""
    named = folder.removesuffix("_labels")
    if named in images and named != folder:
        return named
    candidates = sorted(images, key=lambda name: (name != folder, name))
    return max(candidates, key=lambda name: len(labels.keys() & images[name].keys()))


def _paired(
    source: Location, images: str, labels: str, split: str
) -> Iterator[Annotation]:
    """Pairs files of two folders by stem; a missing partner shows up as missing."""
    found_images, found_labels = (
        image_files(source, images),
        image_files(source, labels),
    )
    for stem in sorted(found_images.keys() | found_labels.keys()):
        yield _annotation(
            found_images.get(stem, f"{images}/{stem}.png"),
            found_labels.get(stem, f"{labels}/{stem}.png"),
            split,
        )


def _annotation(image: str, label: str, split: str | None) -> Annotation:
    annotation: Annotation = {
        "image": image.removeprefix("./"),
        "label_image": {"path": label.removeprefix("./"), "encoding": "index"},
    }
    if split is not None:
        annotation["split"] = split
    return annotation
