"""Writes a synthetic dataset in COCO's layout, with every kind of its annotations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from segdata.samples.canvas import Rng, save_jpeg, save_png
from segdata.samples.coco_rows import (
    GROUND_ID,
    Row,
    caption_rows,
    keypoint_rows,
    object_rows,
    segments,
)
from segdata.samples.shape_scene import Feature, draw_shape_scene
from segdata.samples.shapes import SHAPES, STAR

_FIRST_ID, _ID_STEP = 139, 146
"""Image ids of COCO are no running numbers either; 139 is the first of its val2017."""
_SUBFOLDER = "große bunte Bilder"  # "ß" has one spelling in Unicode, unlike "ü"
_PLANS = (
    (Feature.CUT, "polygons"),
    (Feature.RING, "polygons"),
    (Feature.CROWD, "polygons"),
    (Feature.SHAPES, "polygons"),
    (Feature.SHAPES, "runs"),
    (Feature.SHAPES, "boxes"),
    (Feature.NOTHING, "polygons"),
    (Feature.SHAPES, "polygons"),
)
"""What the images of a split are in turn, so that eight have every kind: the scene, and
how it is annotated. With "polygons" what has a hole is compressed RLE; "runs" are
uncompressed RLE; with "boxes" the first two objects have only a box."""
_IN_SUBFOLDER = 3  # number in that turn

_THINGS = [
    {"supercategory": c.supercategory, "id": c.id, "name": c.name} for c in SHAPES
]
_GROUND = {"supercategory": "ground", "id": GROUND_ID, "name": "ground", "isthing": 0}
_CATEGORIES: dict[str, list[Row]] = {
    "instances": _THINGS,
    "person_keypoints": [
        {
            **_THINGS[SHAPES.index(STAR)],
            "keypoints": [
                "top",
                "upper right",
                "lower right",
                "lower left",
                "upper left",
            ],
            "skeleton": [[1, 3], [2, 4], [3, 5], [4, 1], [5, 2]],
        }
    ],
    "panoptic": [*({**thing, "isthing": 1} for thing in _THINGS), _GROUND],
}
"""File -> its categories; captions have none."""


def write_coco_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes and writes them as a dataset.

    Any eight images of a split in a row have every kind of annotation.
    """
    for split_number, (split, count) in enumerate(
        (("train2017", num_train), ("val2017", num_val))
    ):
        for folder in (split, f"annotations/panoptic_{split}"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        images: list[Row] = []
        tables: dict[str, list[Row]] = {"captions": []}
        tables |= {name: [] for name in _CATEGORIES}
        for index in range(count):
            rng = np.random.default_rng([seed, split_number, index])
            image_id = _FIRST_ID + _ID_STEP * index + split_number
            images.append(_add_image(directory, split, rng, index, image_id, tables))
        for name, rows in tables.items():
            table = {
                "info": {"description": "Shapes, drawn by segdata", "version": "1.0"},
                "images": images,
                "annotations": rows,
            }
            if name in _CATEGORIES:
                table["categories"] = _CATEGORIES[name]
            path = directory / "annotations" / f"{name}_{split}.json"
            path.write_bytes(json.dumps(table).encode())


def _add_image(
    directory: Path,
    split: str,
    rng: Rng,
    index: int,
    image_id: int,
    tables: dict[str, list[Row]],
) -> Row:
    """Writes a scene and adds its annotations; returns the row of the image."""
    feature, tool = _PLANS[index % len(_PLANS)]
    picture, scene = draw_shape_scene(rng, feature)
    name = f"{image_id:012d}.jpg"
    if index % len(_PLANS) == _IN_SUBFOLDER:
        name = f"{_SUBFOLDER}/{name}"
    path = directory / split / name
    path.parent.mkdir(exist_ok=True)
    save_jpeg(Image.fromarray(picture), path)
    rows = object_rows(scene, image_id, tool)
    tables["instances"] += rows
    tables["person_keypoints"] += keypoint_rows(scene, rows)
    tables["captions"] += caption_rows(scene, image_id)
    ids, row = segments(scene, rows, image_id)
    tables["panoptic"].append(row)
    folder = directory / "annotations" / f"panoptic_{split}"
    save_png(Image.fromarray(ids), folder / row["file_name"])
    return {
        "file_name": name,
        "height": scene.height,
        "width": scene.width,
        "id": image_id,
    }
