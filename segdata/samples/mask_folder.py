"""Writes a synthetic dataset as a folder of images and a folder of masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segdata.label_map import distinct_colors
from segdata.samples.canvas import Rng, save_jpeg, save_png
from segdata.samples.shape_scene import Feature, draw_shape_scene
from segdata.samples.shapes import SHAPES

_FEATURES = (Feature.SHAPES, Feature.RING, Feature.CUT, Feature.NOTHING)
"""What the images of a split have in turn."""
_COLORS = ((0, 0, 0), *distinct_colors(len(SHAPES)))


def write_mask_folder_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes and writes them as JPEGs with palette masks.

    The ids in the masks have gaps; the palette holds the class file's colours, so that
    `--labels index` and `--labels color` mean the same.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names = ("background", *(shape.name for shape in SHAPES))
    ids = (0, *(shape.id for shape in SHAPES))
    lines = (
        f"{class_id} {name} {' '.join(map(str, color))}\n"
        for class_id, name, color in zip(ids, names, _COLORS, strict=True)
    )
    (directory / "classes.txt").write_bytes("".join(lines).encode())
    for split_number, (split, count) in enumerate(
        (("train", num_train), ("val", num_val))
    ):
        for folder in ("images", "masks"):
            (directory / folder / split).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng([seed, split_number, index])
            _write_pair(directory, f"{split}/scene_{index:04d}", rng, index)


def _write_pair(directory: Path, name: str, rng: Rng, index: int) -> None:
    picture, scene = draw_shape_scene(rng, _FEATURES[index % len(_FEATURES)])
    save_jpeg(Image.fromarray(picture), directory / "images" / f"{name}.jpg")
    label = np.zeros((scene.height, scene.width), np.uint8)
    for figure, visible in zip(scene.figures, scene.masks, strict=True):
        label[visible] = figure.shape.id
    palette = np.zeros((256, 3), np.uint8)
    palette[[shape.id for shape in SHAPES]] = _COLORS[1:]
    mask = Image.fromarray(label)
    mask.putpalette(palette.tobytes())
    save_png(mask, directory / "masks" / f"{name}.png")
