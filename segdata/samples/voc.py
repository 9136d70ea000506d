"""Writes a synthetic dataset in the layout of Pascal VOC, as labelling tools do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from segdata.formats.voc.classes import voc_color
from segdata.samples.canvas import save_jpeg, save_png
from segdata.samples.shape_scene import Feature, draw_shape_scene
from segdata.samples.shapes import SHAPES

_FEATURES = (Feature.SHAPES, Feature.RING, Feature.CUT, Feature.NOTHING)
"""What the images of a split have in turn."""
_BORDER = 255
_PALETTE = bytes(channel for index in range(256) for channel in voc_color(index))


def write_voc_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes with masks of classes and of objects, and lists of splits.

    Pixels on the edge of a shape are the border, 255, in both masks.
    """
    folders = ("JPEGImages", "SegmentationClass", "SegmentationObject")
    for folder in (*folders, "ImageSets/Segmentation"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    names = ("background", *(shape.name for shape in SHAPES))
    (directory / "labels.txt").write_bytes("\n".join(("__ignore__", *names)).encode())
    for number, (split, count) in enumerate((("train", num_train), ("val", num_val))):
        listed = [f"{2007 + number}_{index:06d}" for index in range(count)]
        text = "".join(f"{name}\n" for name in listed)
        (directory / "ImageSets/Segmentation" / f"{split}.txt").write_bytes(
            text.encode()
        )
        for index, name in enumerate(listed):
            _write_image(directory, name, [seed, number, index], index)


def _write_image(directory: Path, name: str, seed: list[int], index: int) -> None:
    rng = np.random.default_rng(seed)
    picture, scene = draw_shape_scene(rng, _FEATURES[index % len(_FEATURES)])
    save_jpeg(Image.fromarray(picture), directory / "JPEGImages" / f"{name}.jpg")
    classes = np.zeros((scene.height, scene.width), np.uint8)
    objects = classes.copy()
    for number, (figure, visible) in enumerate(
        zip(scene.figures, scene.masks, strict=True), 1
    ):
        classes[visible] = SHAPES.index(figure.shape) + 1
        objects[visible] = number
    is_edge = np.zeros(objects.shape, bool)
    is_edge[1:] |= objects[1:] != objects[:-1]
    is_edge[:, 1:] |= objects[:, 1:] != objects[:, :-1]
    for folder, values in (
        ("SegmentationClass", classes),
        ("SegmentationObject", objects),
    ):
        mask = Image.fromarray(np.where(is_edge, np.uint8(_BORDER), values))
        mask.putpalette(_PALETTE)
        save_png(mask, directory / folder / f"{name}.png")
