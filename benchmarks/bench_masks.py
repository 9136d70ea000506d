"""Masks outside of graphs: decoded with NumPy, encoded as PNG, against the usual ways.

On real COCO masks and CamVid label maps. Every result is checked before it is timed.

    python benchmarks/bench_masks.py [--repeats 9]
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from typing import Any

import measure
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from segdata.images.png import encode_png
from segdata.masks import arrays, rle
from segdata.masks.coco import compressed_rles


class Photo:
    """One COCO image's objects, in the forms that the competitors start from."""

    def __init__(
        self, image: dict[str, Any], annotations: list[dict[str, Any]]
    ) -> None:
        self.size = (image["height"], image["width"])
        self.runs = rle.rle_batch([a["segmentation"] for a in annotations], *self.size)
        self.coco = compressed_rles(self.runs, *self.size)
        self.masks = arrays.decode_masks(self.runs, *self.size)


def coco_photos() -> list[Photo]:
    path = measure.SHARED_DATA / "coco" / "annotations" / "instances.json"
    data = json.loads(path.read_text())
    of_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in data["annotations"]:
        of_image.setdefault(annotation["image_id"], []).append(annotation)
    images = {image["id"]: image for image in data["images"]}
    return [Photo(images[key], group) for key, group in of_image.items()]


def camvid_maps() -> list[NDArray[np.uint8]]:
    folder = measure.SHARED_DATA / "camvid" / "trainannot"
    return [np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))[::4]]


def pillow_png(pixels: NDArray[np.uint8], level: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def check(photos: list[Photo], maps: list[NDArray[np.uint8]]) -> None:
    for photo in photos:
        expected = coco_mask.decode(photo.coco).transpose(2, 0, 1)
        np.testing.assert_array_equal(photo.masks, expected)
        for png, mask in zip(mask_pngs(photo), expected, strict=True):
            np.testing.assert_array_equal(Image.open(io.BytesIO(png)), mask)
    for pixels in maps:
        found = Image.open(io.BytesIO(encode_png(pixels)))
        np.testing.assert_array_equal(found, pixels)


def mask_pngs(photo: Photo) -> list[bytes]:
    return [
        encode_png(rle.decode(runs, *photo.size), is_mask=True) for runs in photo.runs
    ]


def tasks(
    photos: list[Photo], maps: list[NDArray[np.uint8]]
) -> dict[str, dict[str, Callable[[], Any]]]:
    """What is compared -> ways to do it, ours first."""
    return {
        "decode masks": {
            "segdata": lambda: [arrays.decode_masks(p.runs, *p.size) for p in photos],
            "pycocotools": lambda: [coco_mask.decode(p.coco) for p in photos],
        },
        "masks to PNG": {
            "segdata": lambda: [mask_pngs(p) for p in photos],
            "Pillow, level 1": lambda: [
                [pillow_png(m, 1) for m in p.masks] for p in photos
            ],
            "Pillow, level 6": lambda: [
                [pillow_png(m, 6) for m in p.masks] for p in photos
            ],
        },
        "label maps to PNG": {
            "segdata": lambda: [encode_png(m) for m in maps],
            "Pillow, level 1": lambda: [pillow_png(m, 1) for m in maps],
            "Pillow, level 6": lambda: [pillow_png(m, 6) for m in maps],
        },
    }


def num_bytes(result: Any) -> int:
    if isinstance(result, bytes):
        return len(result)
    return sum(map(num_bytes, result)) if isinstance(result, list) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    photos, maps = coco_photos(), camvid_maps()
    check(photos, maps)
    numbers: dict[str, Any] = {}
    for what, ways in tasks(photos, maps).items():
        seconds = measure.interleaved(ways, repeats)
        ours = measure.median(seconds["segdata"])
        for way, values in seconds.items():
            size = num_bytes(ways[way]())
            ratio = measure.median(values) / ours
            numbers[f"{what}: {way}"] = {"cost": ratio, "bytes": size}
            print(
                f"{what:18} {way:16} {ratio:6.2f} of our cost "
                f"({measure.spread(values)}){f', {size} bytes' if size else ''}"
            )
    measure.write_result("masks", numbers)


if __name__ == "__main__":
    main()
