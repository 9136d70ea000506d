"""Writes a synthetic dataset in the layout of Cityscapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segdata.samples.canvas import save_png
from segdata.samples.shape_scene import Feature, draw_shape_scene
from segdata.samples.shapes import SHAPES

_FEATURES = (Feature.SHAPES, Feature.CUT, Feature.CROWD, Feature.NOTHING)
"""What the images of a split have in turn."""
_ROAD = 7
_IDS = (24, 25, 26, 27, 28, 29, 8, 23)
"""Ids of classes for the shapes: a caravan among them, which is no class of the 19, and
two classes that have no objects."""
_WITHOUT_OBJECTS = 24
"""Smaller ids have none."""


def write_cityscapes_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes, each shape of a class of Cityscapes."""
    for number, (split, count, city) in enumerate(
        (("train", num_train, "aachen"), ("val", num_val, "ulm"))
    ):
        for index in range(count):
            name = f"{split}/{city}/{city}_000000_{index:06d}"
            _write_frame(directory, name, [seed, number, index], index)


def _write_frame(directory: Path, name: str, seed: list[int], index: int) -> None:
    rng = np.random.default_rng(seed)
    picture, scene = draw_shape_scene(rng, _FEATURES[index % len(_FEATURES)])
    labels = np.full((scene.height, scene.width), _ROAD, np.uint8)
    objects = labels.astype(np.uint16)
    for number, (figure, visible) in enumerate(
        zip(scene.figures, scene.masks, strict=True)
    ):
        class_id = _IDS[SHAPES.index(figure.shape)]
        labels[visible] = class_id
        is_single = class_id >= _WITHOUT_OBJECTS and not figure.is_crowd
        objects[visible] = class_id * 1000 + number if is_single else class_id
    for folder, ending, pixels in (
        ("leftImg8bit", "leftImg8bit", picture),
        ("gtFine", "gtFine_labelIds", labels),
        ("gtFine", "gtFine_instanceIds", objects),
    ):
        path = directory / folder / f"{name}_{ending}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(Image.fromarray(pixels), path)
