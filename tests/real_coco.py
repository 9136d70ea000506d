"""The real COCO's masks by its own tools, and the same as panoptic ground truth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask


def pycocotools_mask(segmentation: Any, height: int, width: int) -> NDArray[np.uint8]:
    """As `COCO.annToMask` does it."""
    encoded = segmentation
    if isinstance(segmentation, list):
        encoded = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        encoded = coco_mask.frPyObjects(segmentation, height, width)
    decoded: NDArray[np.uint8] = coco_mask.decode(encoded)
    return decoded


def painting_order(rows: list[dict[str, Any]], masks: list[Any]) -> list[int]:
    """Places of the annotations, the lowest first: crowds, then large before small."""
    return sorted(
        range(len(rows)),
        key=lambda i: (not rows[i]["iscrowd"], -int(masks[i].sum()), rows[i]["id"]),
    )


def masks_of_images(
    table: dict[str, Any],
) -> dict[int, tuple[list[dict[str, Any]], list[NDArray[np.uint8]]]]:
    """Image id -> its annotations in the order of their ids, and their masks."""
    found = {}
    for image in table["images"]:
        rows = [r for r in table["annotations"] if r["image_id"] == image["id"]]
        rows.sort(key=lambda row: row["id"])
        sides = (image["height"], image["width"])
        masks = [pycocotools_mask(row["segmentation"], *sides) for row in rows]
        found[image["id"]] = (rows, masks)
    return found


def write_real_panoptic(
    coco: Path, table: dict[str, Any], root: Path, num_images: int
) -> dict[int, dict[int, NDArray[np.bool_]]]:
    """Real instances as panoptic ground truth, in COCO's own layout.

    Returns:
      Image id -> segment id -> mask.
    """
    folder = root / "annotations" / "panoptic_val2017"
    folder.mkdir(parents=True)
    (root / "val2017").mkdir()
    images = sorted(table["images"], key=lambda row: row["id"])[:num_images]
    rows = []
    truth: dict[int, dict[int, NDArray[np.bool_]]] = {}
    part = {**table, "images": images}
    for image_id, (objects, masks) in masks_of_images(part).items():
        image = next(row for row in images if row["id"] == image_id)
        shutil.copy(coco / "images" / image["file_name"], root / "val2017")
        ids = np.zeros((image["height"], image["width"]), np.int64)
        for place in painting_order(objects, masks):
            # As panopticapi's: anything up to 24 bits.
            ids[masks[place] != 0] = objects[place]["id"] % (1 << 24)
        name = image["file_name"].replace(".jpg", ".png")
        rgb = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1)
        Image.fromarray(rgb.astype(np.uint8)).save(folder / name)
        seen = set(np.unique(ids).tolist()) - {0}
        truth[image_id] = {segment_id: ids == segment_id for segment_id in seen}
        segments = []
        for row in objects:
            if row["id"] % (1 << 24) in seen:
                kept = {k: row[k] for k in ("category_id", "iscrowd", "bbox")}
                area = int(truth[image_id][row["id"] % (1 << 24)].sum())
                segments.append({"id": row["id"] % (1 << 24), "area": area, **kept})
        rows.append(
            {"image_id": image_id, "file_name": name, "segments_info": segments}
        )
    categories = [{**row, "isthing": row["id"] % 2} for row in table["categories"]]
    data = {"images": images, "annotations": rows, "categories": categories}
    path = root / "annotations" / "panoptic_val2017.json"
    path.write_text(json.dumps(data))
    return truth
