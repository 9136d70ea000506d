"""Drawn scenes of shapes for the formats of labelling tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from segdata.samples.canvas import save_jpeg
from segdata.samples.coco_rows import object_rows
from segdata.samples.shape_scene import Feature, ShapeScene, draw_shape_scene
from segdata.samples.shapes import SHAPES

_FEATURES = (Feature.CUT, Feature.RING, Feature.SHAPES, Feature.CROWD, Feature.NOTHING)
NAMES = {shape.id: shape.name for shape in SHAPES}
"""Category of a row -> its name."""


class Drawn(NamedTuple):
    """One scene, whose picture is written."""

    split: str
    name: str
    """File name of the picture."""
    scene: ShapeScene
    rows: list[dict[str, Any]]
    """COCO's rows of its objects: polygons, or compressed RLE where it has holes."""


def draw_scenes(
    directory: Path, folder: str, *, seed: int, num_train: int, num_val: int
) -> Iterator[Drawn]:
    """Draws scenes and writes their pictures.

    Args:
      directory: Folder of the data set.
      folder: Folder of a split's pictures below it; `{split}` stands for its name.
      seed: Chooses the scenes.
      num_train: Pictures to train with.
      num_val: Pictures to validate with.
    """
    for number, (split, count) in enumerate((("train", num_train), ("val", num_val))):
        place = directory / folder.format(split=split)
        place.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng([seed, number, index])
            picture, scene = draw_shape_scene(rng, _FEATURES[index % len(_FEATURES)])
            name = f"{split}_{index:04d}.jpg"
            save_jpeg(Image.fromarray(picture), place / name)
            yield Drawn(split, name, scene, object_rows(scene, index, "polygons"))
