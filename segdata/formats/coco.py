"""COCO-style instance annotations, as labelling tools export them.

- *COCO*: `annotations/instances_train2017.json` with `train2017/`, `images/train2017/`
  or `images/`.
- *Beside each other*: `train/_annotations.coco.json` in the folder of its images.

Every annotation becomes an object of its image: polygons and RLE of every flavour,
recognised by type and never by `iscrowd`; crowds; boxes without a mask. Images without
annotations stay.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, cast

from segdata.annotations import Annotation, ObjectAnnotation
from segdata.errors import OptionError, SourceError
from segdata.formats.base import Scan
from segdata.formats.coco_json import CocoFile, Id, object_classes, read_coco
from segdata.label_map import LabelMap

# Other annotation files of COCO, which hold no instances.
_OTHER_FILES = re.compile(r"^(captions|person_keypoints|panoptic|stuff|image_info)_")
_ABSOLUTE = re.compile(r"([A-Za-z]:)?[/\\]")
_PROBED_IMAGES = 20


@dataclass(frozen=True, kw_only=True)
class Coco:
    """Options of `segdata build coco`."""

    name: ClassVar[str] = "coco"
    summary: ClassVar[str] = "COCO-style instances: polygons, RLE, crowds, boxes."

    annotations: str = field(
        default="",
        metadata={
            "help": "JSON file, or folder of JSON files, below SOURCE. [default: "
            "annotations/, SOURCE itself, or each folder of images]"
        },
    )
    images: str = field(
        default="",
        metadata={
            "help": "Folder of the images below SOURCE. [default: found by trying the "
            "usual layouts]"
        },
    )

    def scan(self, source: Path) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        files = [read_coco(path) for path in self._find_json(source)]
        categories: dict[Id, Mapping[str, Any]] = {}
        for file in files:
            for category_id, row in file.categories.items():
                known = categories.setdefault(category_id, row)
                if known["name"] != row["name"]:
                    raise SourceError(
                        f"category {category_id!r} is {row['name']!r} in "
                        f"{file.path.name} but {known['name']!r} in another file: "
                        "build them apart, with --annotations.",
                        reason="bad-category",
                    )
        splits = _split_names([file.path for file in files])
        folders = [self._image_folder(source, file) for file in files]
        titles = ", ".join(
            f"{file.path.name} with {folder or '.'}/"
            for file, folder in zip(files, folders, strict=True)
        )
        return Scan(
            label_map=LabelMap(object_classes=object_classes(categories)),
            annotations=(
                annotation
                for file, folder, split in zip(files, folders, splits, strict=True)
                for annotation in _annotations(file, folder, split)
            ),
            layout=titles,
            warnings=tuple(warning for file in files for warning in file.warnings),
            problems=tuple(problem for file in files for problem in file.problems),
        )

    def _find_json(self, source: Path) -> list[Path]:
        if self.annotations:
            given = source / self.annotations
            if not given.is_dir():
                return [given]
            found = sorted(given.glob("*.json"))
        else:
            found = (
                sorted((source / "annotations").glob("*.json"))
                or sorted(source.glob("*.json"))
                or sorted(source.glob("*/*.json"))
            )
        found = [path for path in found if not path.name.startswith("._")]  # macOS's
        named = [path for path in found if path.name.startswith("instances")]
        kept = named or [p for p in found if not _OTHER_FILES.match(p.name)]
        if not kept:
            raise SourceError(
                f"no COCO annotations are found in {source}: expected "
                "annotations/*.json, or name the file with --annotations."
            )
        return kept

    def _image_folder(self, source: Path, file: CocoFile) -> str:
        """Folder below the source in which this file's images are."""
        if self.images:
            return _checked_images(self.images)
        stem = _plain_stem(file.path)
        beside = "."
        if file.path.is_relative_to(source):  # else --annotations led out of it
            beside = file.path.parent.relative_to(source).as_posix()
        usual = (stem, f"images/{stem}", "images", _without_year(stem), beside, ".")
        candidates = dict.fromkeys(path.strip("/") or "." for path in usual)
        names = (name for name in file.file_names if not _leads_away(name))
        probes = heapq.nsmallest(_PROBED_IMAGES, names)
        for folder in candidates:
            if any(_is_file(source / folder / name) for name in probes):
                return "" if folder == "." else folder
        if not probes:
            return ""
        raise SourceError(
            f"the images of {file.path.name} are not found, e.g. {probes[0]!r}: tried "
            f"the folders {', '.join(candidates)}. Name theirs with --images."
        )


def _checked_images(folder: str) -> str:
    """The option `images` as the beginning of paths; empty for the source itself."""
    if folder.startswith("/"):
        raise OptionError(
            f"--images is {folder!r}: expected a folder below SOURCE, as a relative "
            "path. Name the folder that holds both as SOURCE."
        )
    return PurePosixPath(folder).as_posix() if PurePosixPath(folder).parts else ""


def _leads_away(name: str) -> bool:
    return _ABSOLUTE.match(name) is not None or ".." in name.split("/")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _annotations(
    file: CocoFile, folder: str, split: str | None
) -> Iterator[Annotation]:
    for image, rows in file.parsed():
        name = image["file_name"]
        if folder and not _leads_away(name):  # else it stays, to be refused as it is
            name = f"{folder}/{name}"
        annotation: Annotation = {
            "image": name,
            "objects": [_object(row) for row in rows],
        }
        if split is not None:
            annotation["split"] = split
        if isinstance(image["id"], int):
            annotation["image_id"] = image["id"]
        for side in ("height", "width"):
            if image.get(side):
                annotation[side] = image[side]
        yield annotation


def _object(row: Mapping[str, Any]) -> ObjectAnnotation:
    """The parts of an annotation that a record keeps; nothing is judged here."""
    kept = ("id", "category_id", "segmentation", "bbox", "area", "iscrowd")
    item = cast(ObjectAnnotation, {k: row[k] for k in kept if row.get(k) is not None})
    if item.get("bbox") == []:
        del item["bbox"]
    if isinstance(row.get("segmentation"), dict):  # else plans differ by its order
        item["segmentation"] = dict(sorted(row["segmentation"].items()))
    return item


def _plain_stem(path: Path) -> str:
    """`instances_train2017.json` -> `train2017`."""
    stem = _OTHER_FILES.sub("", path.stem, count=1)
    return stem.removeprefix("instances").strip("_")


def _without_year(stem: str) -> str:
    return re.sub(r"_?(19|20)\d\d$", "", stem)


def _split_names(paths: list[Path]) -> list[str | None]:
    """A split for each file: its name without `instances` and the year.

    Files of one name are told apart by their folders.
    """
    if len(paths) == 1:
        stem = _without_year(_plain_stem(paths[0]))
        return [stem if stem in ("train", "val", "test") else None]
    full = [_plain_stem(path) for path in paths]
    if len(set(full)) < len(full):
        full = [path.parent.name for path in paths]
    short = [_without_year(name) for name in full]
    chosen = short if len(set(short)) == len(short) and all(short) else full
    return [re.sub(r"\W", "_", name) or "train" for name in chosen]
