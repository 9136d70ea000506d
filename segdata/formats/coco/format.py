"""COCO-style annotations, as labelling tools export them.

*Instances*: every annotation becomes an object of its image: polygons and RLE of every
flavour, recognised by type and never by `iscrowd`; crowds; boxes without a mask;
keypoints. Images without annotations stay. *Panoptic*: every segment becomes an object,
its mask in the image's PNG. Captions go with both.

Where files are looked for: `segdata.formats.coco.layout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar

from segdata.errors import OptionError
from segdata.formats.base import Guess, Scan
from segdata.formats.coco import layout
from segdata.formats.coco.categories import (
    merge_categories,
    object_classes,
    painted_label_map,
)
from segdata.formats.coco.companions import read_captions_file, read_keypoints_file
from segdata.formats.coco.image_places import find_places
from segdata.formats.coco.json import CocoFile, RowsByImage, read_all
from segdata.formats.coco.layout import Kind
from segdata.formats.coco.panoptic import check_panoptic, png_names
from segdata.formats.coco.part import CocoPart, shared_keys
from segdata.formats.coco.recognize import recognize
from segdata.label_map import LabelMap
from segdata.storage.paths import Location


@dataclass(frozen=True, kw_only=True)
class Coco:
    """Options of `segdata build coco`."""

    name: ClassVar[str] = "coco"
    summary: ClassVar[str] = "COCO-style instances, keypoints, captions, panoptic."

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
    kind: Kind = field(
        default="auto",
        metadata={
            "help": "Which files to take where several kinds lie side by side. auto: "
            "instances, else panoptic."
        },
    )
    panoptic_pngs: str = field(
        default="",
        metadata={
            "help": "Folder of the panoptic PNGs below SOURCE. [default: found by "
            "trying the usual layouts]"
        },
    )
    keypoints: str = field(
        default="auto",
        metadata={
            "help": "JSON file below SOURCE whose keypoints complete the instances, or "
            "none. auto: person_keypoints_NAME.json beside instances_NAME.json."
        },
    )
    captions: str = field(
        default="auto",
        metadata={
            "help": "JSON file below SOURCE with captions of the images, or none. "
            "auto: captions_NAME.json beside instances_NAME.json."
        },
    )
    semantic: bool = field(
        default=False,
        metadata={
            "help": "Paint a label map from the objects too: crowds lowest, smaller "
            "masks above larger ones."
        },
    )

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        return recognize(folder)

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        listed = layout.find_json(source, self.annotations, self.kind)
        files, passed_over = read_all(listed)
        paths = [file.path for file in files]
        is_panoptic = self._is_panoptic(files)
        parts = [
            self._part(source, file, len(files), is_panoptic=is_panoptic)
            for file in files
        ]
        categories = merge_categories(
            found for part in parts for found in part.categories
        )
        classes = object_classes(categories)
        with_keypoints = frozenset(
            source_id for c in classes if c.keypoints for source_id in c.source_ids
        )
        splits = layout.split_names(
            [PurePosixPath(path.below(source) or path.name) for path in paths]
        )
        shared = shared_keys([path for part in parts for path in part.places.paths])
        return Scan(
            label_map=(
                painted_label_map(classes, has_void=is_panoptic)
                if self.semantic
                else LabelMap(object_classes=classes)
            ),
            annotations=(
                annotation
                for part, split in zip(parts, splits, strict=True)
                for annotation in part.annotations(
                    categories.keys(),
                    with_keypoints,
                    split,
                    shared,
                    is_painted=self.semantic,
                )
            ),
            layout=", ".join(part.title for part in parts),
            warnings=(
                *passed_over,
                *(warning for part in parts for warning in part.warnings),
            ),
            problems=tuple(problem for part in parts for problem in part.problems),
            problem_unit="objects",
            source_info={
                title: file.info
                for title, file in zip(layout.file_titles(paths), files, strict=True)
                if file.info
            },
        )

    def _part(
        self, source: Location, file: CocoFile, num_files: int, *, is_panoptic: bool
    ) -> CocoPart:
        path = file.path
        keypoints: RowsByImage | None = None
        captions: RowsByImage | None = None
        keypoint_categories: Sequence[Any] = ()
        companions = {
            prefix: layout.companion(path, prefix, given, source, num_files=num_files)
            for prefix, given in (
                ("person_keypoints", "none" if is_panoptic else self.keypoints),
                ("captions", self.captions),
            )
        }
        if (with_keypoints := companions["person_keypoints"]) is not None:
            keypoints, keypoint_categories = read_keypoints_file(with_keypoints, file)
        if (with_captions := companions["captions"]) is not None:
            captions = read_captions_file(with_captions, file.images)
        return CocoPart(
            file=file,
            is_panoptic=is_panoptic,
            places=find_places(source, path, file.file_names, self.images),
            png_folder=(
                layout.png_folder(source, path, png_names(file), self.panoptic_pngs)
                if is_panoptic
                else ""
            ),
            keypoints=keypoints,
            keypoint_categories=keypoint_categories,
            captions=captions,
            notices=check_panoptic(file) if is_panoptic else (),
        )

    def _is_panoptic(self, files: Sequence[CocoFile]) -> bool:
        """Whether the files hold panoptic segments; checks the options against it."""
        known = [file for file in files if file.has_segments is not None]
        kinds = ["panoptic" if file.has_segments else "instances" for file in known]
        told = "; ".join(
            f"{kind} in {file.path.name}"
            for file, kind in zip(known, kinds, strict=True)
        )
        wanted = {"auto": kinds[:1]}.get(self.kind, [self.kind])
        if any(kind not in wanted for kind in kinds):
            raise OptionError(
                f"--kind is {self.kind}, and the annotations are {told}: choose files "
                "of one kind with --annotations."
            )
        is_panoptic = "panoptic" in wanted
        if is_panoptic and self.keypoints not in ("auto", "none"):
            raise OptionError(
                f"--keypoints is {self.keypoints!r}, but panoptic segments have none."
            )
        if self.panoptic_pngs and not is_panoptic:
            raise OptionError(
                f"--panoptic-pngs is {self.panoptic_pngs!r}, but the annotations are "
                f"{told or 'none'}."
            )
        return is_panoptic
