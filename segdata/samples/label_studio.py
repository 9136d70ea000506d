"""Writes a synthetic dataset as Label Studio exports it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.samples.drawn import NAMES, Drawn, draw_scenes

_SIZES = (3, 4, 8, 16)
"""Bits of the four lengths that a run of a brush stroke may be told in."""


def write_label_studio_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes: polygons, brush strokes of what has holes or parts."""
    tasks: dict[str, list[Any]] = {"train": [], "val": []}
    scenes = draw_scenes(
        directory, "images", seed=seed, num_train=num_train, num_val=num_val
    )
    for number, drawn in enumerate(scenes, 1):
        annotation = {"id": number, "was_cancelled": False, "result": _results(drawn)}
        tasks[drawn.split].append(
            {
                "id": number,
                "annotations": [annotation],
                "data": {"image": f"/data/upload/1/{drawn.name}"},
            }
        )
    for split, rows in tasks.items():
        (directory / f"{split}.json").write_text(json.dumps(rows), "utf-8")


def _results(drawn: Drawn) -> list[dict[str, Any]]:
    height, width = drawn.scene.height, drawn.scene.width
    results = []
    for number, (row, mask) in enumerate(
        zip(drawn.rows, drawn.scene.masks, strict=True)
    ):
        polygons = row["segmentation"]
        kind = "polygonlabels"
        if isinstance(polygons, list) and len(polygons) == 1:
            points = np.reshape(polygons[0], (-1, 2)) * 100 / (width, height)
            value: dict[str, Any] = {"points": points.tolist(), "closed": True}
        else:
            kind, value = "brushlabels", {"format": "rle", "rle": brush_rle(mask)}
        value[kind] = [NAMES[row["category_id"]]]
        results.append(
            {
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": value,
                "id": f"region{number}",
                "from_name": "label",
                "to_name": "image",
                "type": kind,
            }
        )
    return results


def brush_rle(mask: NDArray[Any]) -> list[int]:
    """A mask as a brush stroke; see `segdata.formats.label_studio.brush`.

    Args:
      mask: `[height, width]`, not 0 on the object.
    """
    words = np.repeat(np.where(np.ravel(mask) != 0, 255, 0), 4)
    begins = np.flatnonzero(np.diff(words, prepend=-1))
    lengths = np.diff(begins, append=len(words))
    bits = [f"{len(words):032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for value, length in zip(words[begins].tolist(), lengths.tolist(), strict=True):
        bits += _blocks(value, length)
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def _blocks(value: int, length: int) -> Sequence[str]:
    """A run in blocks that are short enough for the longest size."""
    blocks = []
    while length:
        part = min(length, 1 << _SIZES[-1])
        size = next(i for i, bits in enumerate(_SIZES) if part <= 1 << bits)
        blocks.append(f"1{size:02b}{part - 1:0{_SIZES[size]}b}{value:08b}")
        length -= part
    return blocks
