"""Writes a synthetic dataset in YOLO's layout."""

from __future__ import annotations

import json
from pathlib import Path

from segdata.exports.yolo import join_rings
from segdata.masks.outlines import trace
from segdata.samples.drawn import NAMES, draw_scenes


def write_yolo_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes; every fourth line of a file is a box."""
    ids = {category: number for number, category in enumerate(NAMES)}
    scenes = draw_scenes(
        directory, "images/{split}", seed=seed, num_train=num_train, num_val=num_val
    )
    for split in ("train", "val"):
        (directory / "labels" / split).mkdir(parents=True, exist_ok=True)
    for drawn in scenes:
        size = (drawn.scene.width, drawn.scene.height)
        lines = []
        for index, row in enumerate(drawn.rows):
            outlines = trace(drawn.scene.masks[index])
            shares = join_rings([*outlines.parts, *outlines.holes]) / size
            low, high = shares.min(axis=0), shares.max(axis=0)
            box = [*(low + high) / 2, *(high - low)]
            line = box if index % 4 == 3 else shares.ravel().tolist()
            words = " ".join(f"{value:.6f}" for value in line)
            lines.append(f"{ids[row['category_id']]} {words}\n")
        path = directory / "labels" / drawn.split / drawn.name
        path.with_suffix(".txt").write_text("".join(lines), "utf-8")
    text = "path: .\ntrain: images/train\nval: images/val\nnames:\n"
    text += "".join(f"  {n}: {json.dumps(NAMES[c])}\n" for c, n in ids.items())
    (directory / "data.yaml").write_text(text, "utf-8")
