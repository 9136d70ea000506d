"""Draws the pictures of README and docs from our own samples: `make pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import segdata
from segdata.drawing.draw import colorize, draw_objects, overlay
from segdata.drawing.records import picture_of
from segdata.samples.camvid import write_camvid_sample

FOLDER = Path(__file__).resolve().parent / "pictures"
HEIGHT, GAP = 240, 8


def readme_picture(work: Path) -> Image.Image:
    """A street: the photo, its label map, and both together."""
    write_camvid_sample(work / "street", seed=0, num_train=4, num_val=1)
    segdata.build("camvid", work / "street", work / "records")
    dataset = segdata.open(work / "records")
    label_map = dataset.manifest.label_map
    picture = picture_of(dataset["train"][0], label_map)
    assert picture.label_map is not None
    colored = colorize(
        picture.label_map, label_map.semantic_classes, label_map.ignore_id
    )
    both = draw_objects(overlay(picture.image, colored), picture.objects)
    return side_by_side([picture.image, colored, both])


def side_by_side(images: list[np.ndarray]) -> Image.Image:
    """Pictures of one height in a row, on a transparent ground."""
    scaled = [
        item.resize((round(item.width * HEIGHT / item.height), HEIGHT))
        for item in map(Image.fromarray, images)
    ]
    width = sum(item.width for item in scaled) + GAP * (len(scaled) - 1)
    row, left = Image.new("RGBA", (width, HEIGHT)), 0
    for item in scaled:
        row.paste(item, (left, 0))
        left += item.width + GAP
    return row


def main() -> None:
    """Writes every picture anew."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        picture = readme_picture(Path(folder))
    # 128 colours are enough for a small picture, and a third of the bytes.
    picture.quantize(128).save(FOLDER / "readme.png", optimize=True)


if __name__ == "__main__":
    main()
