"""Masks outside of graphs, against the fastest libraries of today.

On real COCO masks (and at SA-1B's size) and CamVid label maps. Every result is compared
before it is timed. The libraries are those of `pip install '.[bench]'`; one that is not
there is left out.

    python benchmarks/bench_masks.py [--repeats 9] [--photos 60]
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import measure
import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from segdata.images.label_images import read_source_runs
from segdata.images.png import encode_png
from segdata.masks import arrays, compiled, rle
from segdata.masks.coco import compressed_rles

Ways = dict[str, Callable[[], Any]]
PEERS = {
    "pycocotools": "pycocotools.mask",
    "hotcoco": "hotcoco.mask",
    "ultrafast-pycocotools": "ultrafast_pycocotools.mask",
    "faster-coco-eval": "faster_coco_eval.core.mask",
    "rlemasklib": "rlemasklib",
}
SA_1B_SIZE = (1500, 2250)


def peers() -> dict[str, Any]:
    """Name -> module of those that are installed."""
    found = {}
    for name, module in PEERS.items():
        try:
            importlib.import_module(module.partition(".")[0])
            found[name] = importlib.import_module(module)
        except ImportError:
            print(f"{name} is not installed: left out")
    return found


class Photo:
    """One COCO image's polygons, in the forms that the ways start from."""

    def __init__(self, size: tuple[int, int], polygons: list[Any]) -> None:
        self.size, self.polygons = size, polygons
        self.json = orjson.dumps(polygons)
        self.runs = rle.rle_batch(polygons, *size)
        self.coco = compressed_rles(self.runs, *size)
        self.strings = [item["counts"] for item in self.coco]
        self.masks = list(arrays.decode_masks(self.runs, *size))
        self.upright = [np.asfortranarray(mask) for mask in self.masks]


def coco_photos(count: int, size: tuple[int, int] | None = None) -> Iterator[Photo]:
    """Photos and their polygons, at their own size or scaled to another."""
    path = measure.SHARED_DATA / "coco" / "annotations" / "instances.json"
    data = json.loads(path.read_text())
    of_image: dict[int, list[Any]] = {}
    for row in data["annotations"]:
        if isinstance(row["segmentation"], list):
            of_image.setdefault(row["image_id"], []).append(row["segmentation"])
    for image in data["images"][:count]:
        own = (image["height"], image["width"])
        height, width = size or own
        scale = np.array([width / own[1], height / own[0]])
        polygons = [
            [
                (np.reshape(part, (-1, 2)) * scale).round(2).ravel().tolist()
                for part in parts
            ]
            for parts in of_image.get(image["id"], [])
        ]
        if polygons:
            yield Photo((height, width), polygons)


def of_string(counts: Any) -> str:
    return counts.decode() if isinstance(counts, bytes) else str(counts)


def even(counts: Any) -> list[int]:
    found: list[int] = np.asarray(counts, np.int64).tolist()
    return [*found, 0] if len(found) % 2 else found


def strings_to_runs(photo: Photo, libraries: dict[str, Any]) -> Ways:
    ways: Ways = {"segdata": lambda: rle.rle_batch(photo.coco, *photo.size)}
    if "rlemasklib" in libraries:
        mask = libraries["rlemasklib"].RLEMask
        ways["rlemasklib"] = lambda: [
            mask.from_dict(item).transpose().counts for item in photo.coco
        ]
    # The others know no runs along rows: they decode, and NumPy finds them.
    ways["pycocotools, NumPy"] = lambda: [
        np.flatnonzero(np.diff(coco_mask.decode(item).ravel())) for item in photo.coco
    ]
    expected = [item.tolist() for item in photo.runs]
    for name in ways.keys() - {"pycocotools, NumPy"}:
        assert [even(counts) for counts in ways[name]()] == expected, name
    return ways


def dense_to_runs(photo: Photo, libraries: dict[str, Any]) -> Ways:
    """Ours along rows; theirs along columns, of masks that lie in that order."""
    ways: Ways = {
        "segdata": lambda: rle.rle_batch(photo.masks, *photo.size),
        "segdata, one by one": lambda: [rle.rle(m, *photo.size) for m in photo.masks],
    }
    for name, library in libraries.items():
        encode = library.encode
        ways[name] = lambda encode=encode: [encode(mask) for mask in photo.upright]
        found = [of_string(item["counts"]) for item in ways[name]()]
        assert name == "rlemasklib" or found == photo.strings, name
    expected = [item.tolist() for item in photo.runs]
    for name in ("segdata", "segdata, one by one"):
        assert [item.tolist() for item in ways[name]()] == expected
    return ways


def polygons_to_runs(photo: Photo, libraries: dict[str, Any]) -> Ways:
    """Ours along rows; theirs along columns."""
    ways: Ways = {"segdata": lambda: rle.rle_batch(photo.polygons, *photo.size)}
    for name, library in libraries.items():
        if name == "rlemasklib":
            continue  # another rule at the borders
        ways[name] = lambda library=library: [
            library.merge(library.frPyObjects(parts, *photo.size))
            for parts in photo.polygons
        ]
        found = [of_string(item["counts"]) for item in ways[name]()]
        assert found == photo.strings, name
    return ways


def json_to_protobuf(photo: Photo, libraries: dict[str, Any]) -> Ways:
    del libraries
    joined = np.concatenate(photo.runs)
    return {
        "segdata": lambda: compiled.runs.int64_list(
            np.concatenate(rle.rle_batch(orjson.loads(photo.json), *photo.size))
        ),
        "of it, JSON to lists": lambda: orjson.loads(photo.json),
        "of it, runs to protobuf": lambda: compiled.runs.int64_list(joined),
    }


def runs_to_dense(photo: Photo, libraries: dict[str, Any]) -> Ways:
    ways: Ways = {"segdata": lambda: arrays.decode_masks(photo.runs, *photo.size)}
    for name, library in libraries.items():
        decode = library.decode
        ways[name] = lambda decode=decode: [decode(item) for item in photo.coco]
        np.testing.assert_array_equal(ways[name](), photo.masks)
    return ways


def runs_to_strings(photo: Photo, libraries: dict[str, Any]) -> Ways:
    ways: Ways = {"segdata": lambda: compressed_rles(photo.runs, *photo.size)}
    if "rlemasklib" in libraries:
        mask, shape = libraries["rlemasklib"].RLEMask, photo.size[::-1]
        ways["rlemasklib"] = lambda: [
            mask.from_counts(item, shape=shape).transpose().to_dict()
            for item in photo.runs
        ]
        found = [of_string(item["counts"]) for item in ways["rlemasklib"]()]
        assert found == photo.strings
    return ways


def pillow_png(pixels: NDArray[np.uint8], level: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def label_maps() -> Iterator[dict[str, Ways]]:
    folder = measure.SHARED_DATA / "camvid" / "trainannot"
    for path in sorted(folder.glob("*.png"))[::4]:
        data = path.read_bytes()
        pixels = np.asarray(Image.open(path))
        found = rle.decode_label_map(*_runs_of(data), *pixels.shape)
        np.testing.assert_array_equal(found, pixels)
        yield {
            "label PNG to runs": {
                "segdata": lambda data=data: _runs_of(data),
                "Pillow, to pixels": lambda data=data: np.asarray(
                    Image.open(io.BytesIO(data))
                ),
            },
            "label map to PNG": {
                "segdata": lambda pixels=pixels: encode_png(pixels),
                "Pillow, level 1": lambda pixels=pixels: pillow_png(pixels, 1),
                "Pillow, level 6": lambda pixels=pixels: pillow_png(pixels, 6),
            },
        }


def _runs_of(data: bytes) -> Any:
    source = read_source_runs(data, "index", "label")
    return source.codes, source.lengths


def least(way: Callable[[], Any], repeats: int) -> float:
    """Seconds of the fastest of some runs: what others do at the time adds to all."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        way()
        best = min(best, time.perf_counter() - start)
    return best


def tables(count: int) -> Iterator[tuple[str, Ways, int]]:
    """What is compared, the ways to do it for one image, and its masks."""
    libraries = peers()
    kinds = {
        "compressed RLE to runs": strings_to_runs,
        "dense to runs": dense_to_runs,
        "polygons to runs": polygons_to_runs,
        "polygon JSON to protobuf": json_to_protobuf,
        "runs to dense": runs_to_dense,
        "runs to compressed RLE": runs_to_strings,
    }
    for photo in coco_photos(count):
        for what, ways in kinds.items():
            yield what, ways(photo, libraries), len(photo.runs)
    for photo in coco_photos(count // 4, SA_1B_SIZE):
        ways = strings_to_runs(photo, libraries)
        yield "the same of 2250x1500", ways, len(photo.runs)
    for maps in label_maps():
        for what, of_map in maps.items():
            yield what, of_map, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--photos", type=int, default=60)
    arguments = parser.parse_args()
    seconds: dict[str, dict[str, float]] = {}
    masks: dict[str, int] = {}
    for what, ways, count in tables(arguments.photos):
        of_table = seconds.setdefault(what, {})
        masks[what] = masks.get(what, 0) + count
        for name, way in ways.items():
            of_table[name] = of_table.get(name, 0) + least(way, arguments.repeats)
    numbers: dict[str, Any] = {}
    for what, of_table in seconds.items():
        for name, total in of_table.items():
            ratio, us = total / of_table["segdata"], 1e6 * total / masks[what]
            numbers[f"{what}: {name}"] = {"cost": ratio, "us": us}
            print(f"{what:25} {name:24} {ratio:6.2f} of our time, {us:8.2f} us each")
    measure.write_result("masks", numbers)


if __name__ == "__main__":
    main()
