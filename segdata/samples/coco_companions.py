"""What lies beside the instances of the COCO sample: keypoints, captions, panoptic."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segdata.samples.shape_scene import ShapeScene
from segdata.samples.shapes import SHAPES, STAR, Figure, Mask

_TIPS = 5
_TIP_NAMES = ["top", "upper right", "lower right", "lower left", "upper left"]
GROUND = {"supercategory": "ground", "id": 118, "name": "ground", "isthing": 0}
"""The stuff around the shapes, in panoptic images."""
_GROUND_NUMBER = 99
_COUNTS = ("no", "a", "two", "three", "four", "five", "six", "seven", "eight")


@dataclass(kw_only=True)
class Companions:
    """Of one split; its images are added one by one, then all is written."""

    directory: Path
    """Folder of the dataset."""
    split: str
    """Such as `train2017`."""
    _images: list[dict[str, Any]] = field(default_factory=list)
    _keypoints: list[dict[str, Any]] = field(default_factory=list)
    _captions: list[dict[str, Any]] = field(default_factory=list)
    _panoptic: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, image: dict[str, Any], scene: ShapeScene, rows: list[dict[str, Any]]
    ) -> None:
        """Adds an image.

        Args:
          image: Its row of the JSON.
          scene: What is in it.
          rows: Its annotations, one for each figure.
        """
        self._images.append(image)
        objects = list(zip(scene.figures, scene.masks, rows, strict=True))
        self._keypoints += [
            {**row, **_tips(figure, mask)}
            for figure, mask, row in objects
            if figure.shape is STAR and not figure.is_crowd
        ]
        for text in _sentences(scene.figures):
            number = len(self._captions) + 1
            caption = {"image_id": image["id"], "id": number, "caption": text}
            self._captions.append(caption)
        self._panoptic.append(self._segments(image, objects))

    def write(self) -> None:
        """Writes the JSONs; the panoptic PNGs are there already."""
        things = [
            {"supercategory": c.supercategory, "id": c.id, "name": c.name, "isthing": 1}
            for c in SHAPES
        ]
        star = {
            "supercategory": STAR.supercategory,
            "id": STAR.id,
            "name": STAR.name,
            "keypoints": _TIP_NAMES,
            "skeleton": [[i + 1, (i + 2) % _TIPS + 1] for i in range(_TIPS)],
        }
        self._write("person_keypoints", self._keypoints, [star])
        self._write("captions", self._captions)
        self._write("panoptic", self._panoptic, [*things, GROUND])

    def _write(
        self,
        name: str,
        rows: list[dict[str, Any]],
        categories: list[dict[str, Any]] | None = None,
    ) -> None:
        data: dict[str, Any] = {"images": self._images, "annotations": rows}
        if categories is not None:
            data["categories"] = categories
        path = self.directory / "annotations" / f"{name}_{self.split}.json"
        path.write_bytes(json.dumps(data).encode())

    def _segments(
        self, image: dict[str, Any], objects: list[tuple[Figure, Mask, dict[str, Any]]]
    ) -> dict[str, Any]:
        """Writes the PNG of an image; returns its annotation.

        The first column of pixels is void.
        """
        ids = np.full((image["height"], image["width"]), _ground_id(image), np.int64)
        segments = []
        for figure, mask, row in objects:
            ids[mask] = row["id"]
            segments.append(_segment(row["id"], figure.shape.id, figure.is_crowd))
        segments.append(_segment(_ground_id(image), GROUND["id"], is_crowd=False))
        ids[:, 0] = 0
        name = f"{image['id']:012d}.png"
        folder = self.directory / "annotations" / f"panoptic_{self.split}"
        folder.mkdir(exist_ok=True)
        rgb = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1)
        Image.fromarray(rgb.astype(np.uint8)).save(folder / name)
        return {
            "image_id": image["id"],
            "file_name": name,
            "segments_info": [
                {**segment, **_extent(ids == segment["id"])} for segment in segments
            ],
        }


def _ground_id(image: dict[str, Any]) -> int:
    return int(image["id"]) * 100 + _GROUND_NUMBER


def _segment(segment_id: int, category_id: Any, is_crowd: bool) -> dict[str, Any]:
    return {"id": segment_id, "category_id": category_id, "iscrowd": int(is_crowd)}


def _extent(mask: Mask) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    box = [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
    return {"area": int(mask.sum()), "bbox": box}


def _tips(figure: Figure, mask: Mask) -> dict[str, Any]:
    """Tips of a star as keypoints: visible, covered, or not labelled if outside."""
    height, width = mask.shape
    center = figure.fills[0].mean(axis=0)
    values: list[float] = []
    for x, y in figure.fills[0][::2].tolist():
        if not (0 <= x < width and 0 <= y < height):
            values += [0, 0, 0]
            continue
        # The very tip is less than a pixel wide: look a bit inside.
        inner_x, inner_y = np.array([x, y]) * 0.8 + center * 0.2
        is_visible = bool(mask[int(inner_y), int(inner_x)])
        values += [x, y, 2 if is_visible else 1]
    return {"keypoints": values, "num_keypoints": sum(v > 0 for v in values[2::3])}


def _sentences(figures: tuple[Figure, ...]) -> Iterator[str]:
    """Two captions of an image; none where nothing is in it."""
    if not figures:
        return
    counts = Counter(f.shape.name for f in figures if not f.is_crowd)
    parts = [
        f"{_COUNTS[n]} {name if n == 1 else _plural(name)}"
        for name, n in counts.items()
    ]
    if any(figure.is_crowd for figure in figures):
        parts.append("a crowd of dots")
    told = ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1]
    yield f"A picture of {told}."
    yield f"{len(figures)} shapes, the foremost is a {figures[-1].shape.name}."


def _plural(name: str) -> str:
    return f"{name}es" if name.endswith("s") else f"{name}s"
