"""Rows of COCO's JSON files for one drawn scene."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from segdata.masks.outlines import trace
from segdata.samples.shape_scene import ShapeScene
from segdata.samples.shapes import STAR, Figure, Mask

Row = dict[str, Any]

GROUND_ID = 118
"""Category of the stuff around the shapes, in panoptic images."""
_IDS_PER_IMAGE = 100


def object_rows(scene: ShapeScene, image_id: int, tool: str) -> list[Row]:
    """Instances: the visible part of each figure, from the back to the front."""
    rows: list[Row] = []
    for number, (figure, mask) in enumerate(
        zip(scene.figures, scene.masks, strict=True)
    ):
        row = {
            "segmentation": _segmentation(figure, mask, tool),
            **_extent(mask),
            "iscrowd": int(figure.is_crowd),
            "image_id": image_id,
            "category_id": figure.shape.id,
            "id": image_id * _IDS_PER_IMAGE + number,
        }
        if tool == "boxes" and number < 2:
            # All that can be known without a mask; some files lack the key.
            row |= {"segmentation": [], "area": row["bbox"][2] * row["bbox"][3]}
            if number == 0:
                del row["segmentation"]
        rows.append(row)
    return rows


def _segmentation(figure: Figure, mask: Mask, tool: str) -> Any:
    """A mask, exactly, in one of COCO's forms."""
    height, width = mask.shape
    if tool != "runs" and not figure.is_crowd:
        points = np.concatenate(figure.polygons)
        is_inside = (points >= 0).all() and (points <= (width, height)).all()
        parts, holes = trace(mask)
        if not holes and is_inside and (figure.mask(height, width) == mask).all():
            return [points.ravel().tolist() for points in figure.polygons]
        if not holes:
            return [points.ravel().tolist() for points in parts]
    pixels = mask.T.ravel()  # COCO's runs go down the columns
    changes = np.flatnonzero(np.diff(pixels, prepend=False))
    counts = np.diff(changes, prepend=0, append=pixels.size).tolist()
    runs = {"counts": counts, "size": [height, width]}
    if tool == "runs" or figure.is_crowd:
        return runs
    compressed = coco_mask.frPyObjects(runs, height, width)["counts"].decode("ascii")
    return runs | {"counts": compressed}


def _extent(mask: Mask) -> Row:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    box = [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top]
    return {"area": int(mask.sum()), "bbox": box}


def keypoint_rows(scene: ShapeScene, rows: list[Row]) -> Iterator[Row]:
    """Tips of the stars: visible, covered, or not labelled where outside."""
    for figure, mask, row in zip(scene.figures, scene.masks, rows, strict=True):
        if figure.shape is not STAR:
            continue
        [outline] = figure.polygons
        center = outline.mean(axis=0)
        values: list[float] = []
        for tip in outline[::2]:
            if (tip < 0).any() or (tip >= (scene.width, scene.height)).any():
                values += [0, 0, 0]
                continue
            # The very tip is less than a pixel wide: look a bit inside.
            x, y = (tip * 0.8 + center * 0.2).astype(int)
            values += [*tip.tolist(), 2 if mask[y, x] else 1]
        count = sum(flag > 0 for flag in values[2::3])
        yield {**row, "keypoints": values, "num_keypoints": count}


def caption_rows(scene: ShapeScene, image_id: int) -> Iterator[Row]:
    """Two captions of an image; none where nothing is in it."""
    names = [f"a {f.shape.name}" for f in scene.figures if not f.is_crowd]
    names += ["a crowd of dots" for figure in scene.figures if figure.is_crowd]
    told = (f"A picture of {', '.join(names)}.", f"{len(names)} shapes.")
    for number, text in enumerate(told if names else ()):
        caption_id = image_id * _IDS_PER_IMAGE + number
        yield {"image_id": image_id, "id": caption_id, "caption": text}


def segments(
    scene: ShapeScene, rows: list[Row], image_id: int
) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], Row]:
    """Panoptic PNG and row; the first column of pixels is void."""
    ground = image_id * _IDS_PER_IMAGE + _IDS_PER_IMAGE - 1
    ids = np.full((scene.height, scene.width), ground, np.int64)
    for mask, row in zip(scene.masks, rows, strict=True):
        ids[mask] = row["id"]
    ids[:, 0] = 0
    keys = ("id", "category_id", "iscrowd")
    infos = [{key: row[key] for key in keys} for row in rows]
    infos.append({"id": ground, "category_id": GROUND_ID, "iscrowd": 0})
    row = {
        "image_id": image_id,
        "file_name": f"{image_id:012d}.png",
        "segments_info": [info | _extent(ids == info["id"]) for info in infos],
    }
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(
        np.uint8
    ), row
