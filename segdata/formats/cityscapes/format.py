"""Cityscapes (Cordts et al., CVPR 2016), as it is published.

    leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png
    gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png
    gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png

An instance id is `id * 1000 + number`; a smaller one is the id of a class: a region of
several objects where the class has objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from segdata.annotations import Annotation, FoundObjects
from segdata.errors import SourceError
from segdata.formats.base import Guess, Scan
from segdata.formats.cityscapes.classes import cityscapes_label_map
from segdata.formats.folders import Files, list_folder, subfolders
from segdata.storage.paths import Location

_IMAGES, _IMAGE_END = "leftImg8bit", "_leftImg8bit"
_FACTOR = 1000


@dataclass(frozen=True, kw_only=True)
class Cityscapes:
    """Options of `segdata build cityscapes`."""

    name: ClassVar[str] = "cityscapes"
    summary: ClassVar[str] = "Cityscapes: labelIds and instanceIds, fine or coarse."

    classes: Literal["19", "34"] = field(
        default="19",
        metadata={
            "help": "Class set: the 19 of the benchmark, the rest ignored (255), or "
            "all 34."
        },
    )
    annotations: Literal["gtFine", "gtCoarse"] = field(
        default="gtFine", metadata={"help": "Which annotations to take."}
    )

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        names = subfolders(folder)
        kinds = [name for name in ("gtFine", "gtCoarse") if name in names]
        if _IMAGES not in names or not kinds:
            return None
        options = {} if kinds[0] == "gtFine" else {"annotations": kinds[0]}
        return Guess(title=f"Cityscapes, {kinds[0]}", options=options)

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        kind = self.annotations
        if not all((source / name).is_dir() for name in (_IMAGES, kind)):
            raise SourceError(
                f"no Cityscapes are found in {source}: expected {_IMAGES}/ and {kind}/ "
                "with a folder for each split and in it one for each city."
            )
        images = _stems(source, _IMAGES, _IMAGE_END)
        labels = _stems(source, kind, f"_{kind}_labelIds")
        objects = _stems(source, kind, f"_{kind}_instanceIds")
        if not labels:
            raise SourceError(
                f"{kind}/ has no labels: expected files X_{kind}_labelIds.png. Where "
                "only polygons are there, cityscapesscripts' csCreateLabelIds makes "
                "them."
            )
        splits = {name.partition("/")[0] for name in images}
        unlabelled = sorted(splits - {name.partition("/")[0] for name in labels})
        names = [n for n in images.keys() | labels.keys()
                 if n.partition("/")[0] not in unlabelled]  # fmt: skip
        warnings = [f"{split}/ is left out: it has no labels" for split in unlabelled]
        if not objects:
            warnings.append(
                f"no objects: {kind}/ has no files X_{kind}_instanceIds.png"
            )
        return Scan(
            label_map=cityscapes_label_map(only_train_classes=self.classes == "19"),
            annotations=self._annotations(sorted(names), images, labels, objects),
            layout=f"Cityscapes, {kind} ({', '.join(sorted(splits - {*unlabelled}))})",
            warnings=tuple(warnings),
        )

    def _annotations(
        self, names: list[str], images: Files, labels: Files, objects: Files
    ) -> Iterator[Annotation]:
        kind = self.annotations
        rule: FoundObjects = {"nobody": [0], "factor": _FACTOR}
        for name in names:
            annotation: Any = {
                "key": name,
                "image": images.get(name, f"{_IMAGES}/{name}{_IMAGE_END}.png"),
                "label_image": {
                    "path": labels.get(name, f"{kind}/{name}_{kind}_labelIds.png"),
                    "encoding": "index",
                },
                "split": name.partition("/")[0],
            }
            if objects:
                path = f"{kind}/{name}_{kind}_instanceIds.png"
                annotation["mask_image"] = {
                    "path": objects.get(name, path),
                    "encoding": "index",
                    "objects": rule,
                }
            yield annotation


def _stems(source: Location, folder: str, ending: str) -> Files:
    """Files that end so, by what comes before it, below the folder."""
    found = list_folder(source, folder, recursive=True).by_stem
    return {
        stem.removesuffix(ending): paths[0]
        for stem, paths in found.items()
        if stem.endswith(ending)
    }
