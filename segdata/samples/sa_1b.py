"""Writes a synthetic dataset as SA-1B is: a JSON of masks for each image."""

from __future__ import annotations

import json
from pathlib import Path

from segdata.masks import rle
from segdata.masks.coco import compressed_rles
from segdata.samples.drawn import draw_scenes


def write_sa_1b_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes; their masks have no classes."""
    scenes = draw_scenes(
        directory, "{split}", seed=seed, num_train=num_train, num_val=num_val
    )
    for number, drawn in enumerate(scenes, 1):
        size = (drawn.scene.height, drawn.scene.width)
        runs = [rle.rle(mask, *size) for mask in drawn.scene.masks]
        rows = [
            {
                "id": row["id"] + 1,
                "segmentation": segmentation,
                "bbox": row["bbox"],
                "area": row["area"],
                "predicted_iou": 0.98,
                "stability_score": 0.97,
                "crop_box": [0, 0, size[1], size[0]],
                "point_coords": [[row["bbox"][0], row["bbox"][1]]],
            }
            for row, segmentation in zip(
                drawn.rows, compressed_rles(runs, *size), strict=True
            )
        ]
        image = {
            "image_id": number,
            "width": size[1],
            "height": size[0],
            "file_name": drawn.name,
        }
        path = directory / drawn.split / drawn.name
        text = json.dumps({"image": image, "annotations": rows})
        path.with_suffix(".json").write_text(text, "utf-8")
