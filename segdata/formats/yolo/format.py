"""YOLO: a text file of polygons or boxes for each image, and a `data.yaml`.

    data.yaml                         names, and where train, val and test are
    images/train/a.jpg labels/train/a.txt    or  train/images/a.jpg train/labels/a.txt

Ultralytics, Roboflow, CVAT, Label Studio and X-AnyLabeling write it so, the last three
with a `classes.txt` in place of the YAML. What a text file says is read where records
are encoded: `segdata.formats.yolo.labels`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from segdata.annotations import Annotation
from segdata.errors import SourceError
from segdata.formats.base import Guess, Scan
from segdata.formats.class_files import read_class_file
from segdata.formats.folders import count_of, list_folder, split_of
from segdata.formats.json_files import beginnings
from segdata.formats.object_label_map import (
    SEMANTIC_HELP,
    object_label_map,
    told_classes,
)
from segdata.formats.partners import Partners, find_partners, left_out
from segdata.formats.yolo.classes import (
    CLASS_FILES,
    Described,
    class_census,
    class_names,
    find_class_file,
    find_yaml,
    read_yaml,
)
from segdata.formats.yolo.layout import SPLITS, images_of_splits
from segdata.storage.paths import Location

_LINE = re.compile(rb"\s*\d+(\.0+)?([ \t]+-?\d*\.?\d+(e-?\d+)?){4,}[ \t]*\r?(\n|$)")


@dataclass(frozen=True, kw_only=True)
class Yolo:
    """Options of `segdata build yolo`."""

    name: ClassVar[str] = "yolo"
    summary: ClassVar[str] = "YOLO's text files of polygons and boxes."

    data: str = field(
        default="",
        metadata={
            "help": "YAML or class file below SOURCE. [default: data.yaml, else the "
            "only YAML with names, else classes.txt]"
        },
    )
    semantic: bool = field(default=False, metadata={"help": SEMANTIC_HELP})

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        for name in ("labels", "labels/train", "train/labels", "."):
            inner = folder / name
            if inner.is_dir() and any(map(_LINE.match, beginnings(inner, ".txt"))):
                return Guess(title="YOLO's text files of polygons or boxes")
        return None

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        listing = list_folder(source, "", recursive=True)
        images = listing.images
        texts = {path for path in listing.others if path.lower().endswith(".txt")}
        told = self._classes(source, listing.others)
        splits, notices = images_of_splits(source, told.yaml, images, texts)
        if not splits:  # no YAML, or none of its folders is here
            splits = {image: split_of(image) or "" for image in images}
        texts = {path for path in texts if path.rpartition("/")[2] not in CLASS_FILES}
        partners = find_partners(texts - {told.file}, images)
        if not partners.images:
            raise SourceError(
                f"{source} has no images with a text file each: expected images/a.jpg "
                f"and labels/a.txt, got {len(images)} images, {len(texts)} text files."
            )
        texts_of = {image: path for path, image in partners.images.items()}
        unsure = set(images) - set(partners.lonely_images) - texts_of.keys()
        strays = _strays(partners)
        beside = {image.rpartition("/")[0]: split for image, split in splits.items()}
        for path, image in strays.items():  # the image is missing
            texts_of[image] = path
            splits[image] = beside.get(image.rpartition("/")[0], split_of(image) or "")
        used = [image for image in sorted(splits) if image not in unsure]
        names = told.names
        if names is None:
            names = class_census(source, sorted(partners.images))
            notices.append(
                f"{told_classes([*names.values()], 'the text files')}; write "
                "classes.txt, a name in each line, to name them"
            )
        return Scan(
            label_map=object_label_map(
                [(number, names[number], None) for number in sorted(names)],
                is_painted=self.semantic,
            ),
            annotations=(
                self._annotation(image, splits[image], texts_of.get(image))
                for image in used
            ),
            layout=f"{told.file}, {count_of(texts_of, 'text file', 'text files')} of "
            f"{count_of(used, 'image', 'images')} "
            f"({', '.join(sorted(set(splits.values()) - {''})) or 'no split'})",
            warnings=(
                *notices,
                *_told(source, used, images, texts_of, strays),
            ),
            problems=partners.problems,
        )

    def _annotation(self, image: str, split: str, path: str | None) -> Annotation:
        annotation: Annotation = {"image": image}
        if path is None:
            annotation["objects"] = []
        else:
            annotation["annotation_file"] = {"path": path, "reader": self.name}
        if split:
            annotation["split"] = split
        if self.semantic:
            annotation["paint_label_map"] = True
        return annotation

    def _classes(self, source: Location, files: Sequence[str]) -> Described:
        """What YAML, class file or the text files themselves say of the classes."""
        is_list = self.data and not self.data.lower().endswith((".yaml", ".yml"))
        path = None if is_list else find_yaml(source, self.data)
        if path is not None:
            found = read_yaml(path)
            return Described(class_names(found, path.name), found, path.name)
        lists = {split: f"{split}.txt" for split in SPLITS if f"{split}.txt" in files}
        name = self.data or find_class_file(source, files)
        if name:
            rows = read_class_file(source / name).rows
            return Described({row.source_id: row.name for row in rows}, lists, name)
        return Described(None, lists, "no class file")


def _strays(partners: Partners) -> dict[str, str]:
    """Text files without image among those that have one, and where it should be."""
    beside = {path.rpartition("/")[0] for path in partners.images}
    return {
        path: partners.expected(path)
        for path in partners.lonely_files
        if path.rpartition("/")[0] in beside
    }


def _told(
    source: Location,
    used: Sequence[str],
    images: Sequence[str],
    texts_of: Mapping[str, str],
    strays: Mapping[str, str],
) -> list[str]:
    """What a person should know of images and text files, one line each."""
    bare = [image for image in used if image not in texts_of]
    texts = sorted(texts_of[image] for image in used if image in texts_of)
    sizes = source.each(lambda path: _size(source / path), texts)
    empty = [path for path, size in zip(texts, sizes, strict=True) if size == 0]
    outside = sorted(set(images) - set(used))
    return [
        *left_out(
            bare,
            "image has no text file, so no object",
            "images have no text file, so no object",
        ),
        *left_out(
            empty,
            "text file is empty: its image has no object",
            "text files are empty: their images have no object",
        ),
        *left_out(
            [*strays],
            "text file has no image",
            "text files have no image",
        ),
        *left_out(outside, "image of no split left out", "images of no split left out"),
    ]


def _size(path: Location) -> int | None:
    try:
        return path.state()[0]
    except OSError:
        return None
