"""Writes a synthetic dataset in COCO's layout, with every kind of its annotations.

Instances are here; keypoints, captions and panoptic segments of the same images in
`segdata.samples.coco_companions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from segdata.masks.coco import decompress_counts
from segdata.masks.outlines import trace
from segdata.samples.coco_companions import Companions
from segdata.samples.shape_scene import Feature, ShapeScene, draw_shape_scene
from segdata.samples.shapes import SHAPES, Figure, Mask

_QUALITY = 90
_FIRST_ID, _ID_STEP = 139, 146
"""Image ids of COCO are no running numbers either; 139 is the first of its val2017."""
_IDS_PER_IMAGE = 100
_SUBFOLDER = "große bunte Bilder"  # "ß" has one spelling in Unicode, unlike "ü"


class _Tool(Enum):
    """How an image was annotated."""

    POLYGONS = "polygons, and compressed RLE for what has a hole"
    RUNS = "uncompressed RLE, whatever the object"
    BOXES = "polygons, but the first two objects have only a box"


_PLANS = (
    (Feature.CUT, _Tool.POLYGONS),
    (Feature.RING, _Tool.POLYGONS),
    (Feature.CROWD, _Tool.POLYGONS),
    (Feature.SHAPES, _Tool.POLYGONS),
    (Feature.SHAPES, _Tool.RUNS),
    (Feature.SHAPES, _Tool.BOXES),
    (Feature.NOTHING, _Tool.POLYGONS),
    (Feature.SHAPES, _Tool.POLYGONS),
)
"""What the images of a split are in turn, so that eight have every kind."""
_IN_SUBFOLDER = 3  # number in that turn


def write_coco_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes and writes them as a dataset.

    Image `k` of a split depends on the seed, the split and `k` alone: a larger sample
    starts with the images of a smaller one. Any eight images of a split in a row have
    every kind of annotation.

    Args:
      directory: Folder to write to; it is created if it does not exist.
      seed: At least 0; the same seed gives the same bytes.
      num_train: Number of training images.
      num_val: Number of validation images.
    """
    (directory / "annotations").mkdir(parents=True, exist_ok=True)
    for split_number, (split, count) in enumerate(
        (("train2017", num_train), ("val2017", num_val))
    ):
        (directory / split).mkdir(exist_ok=True)
        images, annotations = [], []
        companions = Companions(directory=directory, split=split)
        for index in range(count):
            feature, tool = _PLANS[index % len(_PLANS)]
            rng = np.random.default_rng([seed, split_number, index])
            scene = draw_shape_scene(rng, feature)
            image_id = _FIRST_ID + _ID_STEP * index + split_number
            image = _image_row(scene, image_id, index)
            _write_image(directory / split / image["file_name"], scene)
            images.append(image)
            rows = list(_annotation_rows(scene, image_id, tool))
            annotations += rows
            companions.add(image, scene, rows)
        table = {
            "info": {"description": "Shapes, drawn by segdata", "version": "1.0"},
            "images": images,
            "annotations": annotations,
            "categories": [
                {"supercategory": c.supercategory, "id": c.id, "name": c.name}
                for c in SHAPES
            ],
        }
        path = directory / "annotations" / f"instances_{split}.json"
        path.write_bytes(json.dumps(table).encode())
        companions.write()


def _image_row(scene: ShapeScene, image_id: int, index: int) -> dict[str, Any]:
    name = f"{image_id:012d}.jpg"
    if index % len(_PLANS) == _IN_SUBFOLDER:
        name = f"{_SUBFOLDER}/{name}"
    height, width = scene.image.shape[:2]
    return {"file_name": name, "height": height, "width": width, "id": image_id}


def _write_image(path: Path, scene: ShapeScene) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(scene.image).save(path, format="JPEG", quality=_QUALITY)


def _annotation_rows(
    scene: ShapeScene, image_id: int, tool: _Tool
) -> Iterator[dict[str, Any]]:
    height, width = scene.image.shape[:2]
    objects = zip(scene.figures, scene.masks, strict=True)
    for number, (figure, mask) in enumerate(objects):
        segmentation = _segmentation(figure, mask, tool)
        encoded = _rasterised(segmentation, height, width)
        box = coco_mask.toBbox(encoded).tolist()
        row = {
            "segmentation": segmentation,
            "area": float(coco_mask.area(encoded)),
            "iscrowd": int(figure.is_crowd),
            "image_id": image_id,
            "bbox": box,
            "category_id": figure.shape.id,
            "id": image_id * _IDS_PER_IMAGE + number,
        }
        if tool is _Tool.BOXES and number < 2:
            row["area"] = box[2] * box[3]  # all that can be known without a mask
            row["segmentation"] = []
            if number == 0:
                del row["segmentation"]
        yield row


def _segmentation(figure: Figure, mask: Mask, tool: _Tool) -> Any:
    """The visible part of a figure, exactly, in one of COCO's forms."""
    if figure.is_crowd or tool is _Tool.RUNS:
        counts = decompress_counts(_encode(mask)["counts"]).tolist()
        return {"counts": counts, "size": list(mask.shape)}
    if _is_entire(figure, mask):
        return [points.reshape(-1).tolist() for points in figure.fills]
    parts, holes = trace(mask)
    if not holes:
        return [ring.reshape(-1).tolist() for ring in parts]
    encoded = _encode(mask)
    return {"counts": encoded["counts"].decode("ascii"), "size": list(mask.shape)}


def _rasterised(segmentation: Any, height: int, width: int) -> Any:
    """What pycocotools makes of a segmentation: compressed RLE."""
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, height, width)
    return segmentation


def _is_entire(figure: Figure, mask: Mask) -> bool:
    """Whether the figure's own outline is inside the image and encloses the mask."""
    points = np.concatenate(figure.fills)
    inside = (points >= 0).all() and (points <= mask.shape[::-1]).all()
    whole = not figure.holes and bool((figure.mask(*mask.shape) == mask).all())
    return bool(inside) and whole


def _encode(mask: Mask) -> dict[str, Any]:
    encoded: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return encoded
