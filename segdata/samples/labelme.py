"""Writes a synthetic dataset as labelme does: a JSON beside each image."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segdata.samples.canvas import save_png
from segdata.samples.drawn import NAMES, Drawn, draw_scenes
from segdata.samples.shapes import Mask


def write_labelme_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes; parts of one have a `group_id`, what has holes a mask."""
    scenes = draw_scenes(
        directory, "{split}", seed=seed, num_train=num_train, num_val=num_val
    )
    for drawn in scenes:
        path = directory / drawn.split / drawn.name
        data: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": list(_shapes(drawn)),
            "imagePath": drawn.name,
            "imageData": None,
            "imageHeight": drawn.scene.height,
            "imageWidth": drawn.scene.width,
        }
        path.with_suffix(".json").write_text(json.dumps(data, indent=2), "utf-8")


def _shapes(drawn: Drawn) -> list[dict[str, Any]]:
    shapes = []
    for number, (row, mask) in enumerate(
        zip(drawn.rows, drawn.scene.masks, strict=True)
    ):
        common = {"label": NAMES[row["category_id"]], "flags": {}}
        polygons = row["segmentation"]
        if not isinstance(polygons, list):
            shapes.append({**common, "group_id": None, **_mask_shape(mask)})
            continue
        group = number if len(polygons) > 1 else None
        for numbers in polygons:
            points = np.reshape(numbers, (-1, 2)).tolist()
            kind = {"shape_type": "polygon", "group_id": group}
            shapes.append({**common, "points": points, **kind})
    return shapes


def _mask_shape(mask: Mask) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    buffer = io.BytesIO()
    save_png(Image.fromarray(mask[top : bottom + 1, left : right + 1]), buffer)
    return {
        "points": [[int(left), int(top)], [int(right), int(bottom)]],
        "shape_type": "mask",
        "mask": base64.b64encode(buffer.getvalue()).decode("ascii"),
    }
