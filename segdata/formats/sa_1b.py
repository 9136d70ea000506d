"""SA-1B: a JSON with COCO RLE for each image, without classes.

    sa_1.jpg  sa_1.json  ...    also in folders; train/ val/ test/ make splits

    {"image": {"image_id": 1, "width": 1500, "height": 2250, "file_name": "sa_1.jpg"},
     "annotations": [{"id": 7, "segmentation": {"size": [2250, 1500], "counts": "..."},
                      "bbox": [x, y, w, h], "area": 9, "predicted_iou": 0.9, ...}]}

Segment Anything (Kirillov et al., 2023) is published so; SAM 2's fine-tuning and
Roboflow's export for it take and write the same. Every mask is an `object`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from segdata.annotations import Annotation
from segdata.errors import SourceError
from segdata.formats.base import Guess, Scan
from segdata.formats.folders import list_folder, split_of
from segdata.formats.json_files import beginnings, parse_object
from segdata.formats.object_label_map import SEMANTIC_HELP, object_label_map
from segdata.formats.partners import find_partners, left_out
from segdata.storage.paths import Location

_CLASS = "object"
_OWN = ("id", "segmentation", "bbox", "area", "iscrowd")
_SIDES = ("height", "width")
_MARK = re.compile(
    rb'^\s*\{\s*"(image"\s*:\s*\{|annotations"\s*:.*"predicted_iou")', re.S
)


@dataclass(frozen=True, kw_only=True)
class SA1B:
    """Options of `segdata build sa-1b`."""

    name: ClassVar[str] = "sa-1b"
    summary: ClassVar[str] = "SA-1B: a JSON of masks without classes for each image."

    semantic: bool = field(default=False, metadata={"help": SEMANTIC_HELP})

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        found = any(_MARK.match(head) for head in beginnings(folder, ".json"))
        return (
            Guess(title="a JSON of masks for each image, as SA-1B") if found else None
        )

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        listing = list_folder(source, "", recursive=True)
        images = listing.images
        files = [path for path in listing.others if path.lower().endswith(".json")]
        partners = find_partners(files, images)
        if not partners.images:
            raise SourceError(
                f"{source} has no images with a JSON of masks each: expected sa_1.jpg "
                f"and sa_1.json, got {len(images)} images and {len(files)} JSON files."
            )
        lonely = {path: partners.expected(path) for path in partners.lonely_files}
        pairs = {**partners.images, **lonely}
        return Scan(
            label_map=object_label_map([(1, _CLASS, None)], is_painted=self.semantic),
            annotations=(self._annotation(path, pairs[path]) for path in sorted(pairs)),
            layout=f"{len(partners.images)} images with a JSON of masks each",
            warnings=(
                *left_out(
                    partners.lonely_images,
                    "image without JSON left out",
                    "images without JSON left out",
                ),
                *left_out(
                    partners.lonely_files,
                    "JSON has no image",
                    "JSONs have no image",
                ),
            ),
            problems=partners.problems,
        )

    def _annotation(self, path: str, image: str) -> Annotation:
        annotation: Annotation = {
            "image": image,
            "annotation_file": {"path": path, "reader": self.name},
        }
        split = split_of(path) or split_of(image)
        if split is not None:
            annotation["split"] = split
        if self.semantic:
            annotation["paint_label_map"] = True
        return annotation


def read_sa_1b(data: bytes, annotation: Annotation) -> dict[str, Any]:
    """Reads a file; see `segdata.formats.ReadAnnotationFile`.

    Raises:
      AnnotationError: If it is no such JSON.
    """
    top = parse_object(data, "annotations")
    image = top.get("image")
    image = image if isinstance(image, Mapping) else {}
    found: dict[str, Any] = {side: image[side] for side in _SIDES if image.get(side)}
    if "image_id" in image:
        found["image_id"] = image["image_id"]
    kept = ("image_id", *_SIDES)
    source = {key: value for key, value in image.items() if key not in kept}
    rows = top["annotations"]
    return {**found, "objects": [*map(_object, rows)], "source": source}


def _object(row: Any) -> Any:
    """An object of the annotation dict; what is none stays, to be refused as it is."""
    if not isinstance(row, Mapping):
        return row
    item = {key: row[key] for key in _OWN if row.get(key) is not None}
    source = {k: v for k, v in row.items() if k not in (*_OWN, "category_id")}
    if "category_id" in row:
        source["source_category"] = row["category_id"]
    return {**item, "category": _CLASS, **({"source": source} if source else {})}
