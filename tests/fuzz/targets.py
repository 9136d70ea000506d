"""What is fuzzed: a function of bytes for each parser.

A target may return, or raise `SegdataError`; anything else is a find.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segdata.commands.info import print_summary
from segdata.errors import SegdataError
from segdata.formats import format_class
from segdata.formats.class_files import read_class_file
from segdata.images import decode, label_images, normalize
from segdata.masks import coco, rle
from segdata.records.parse import parse_record
from segdata.shards.manifest import read_manifest
from segdata.shards.receipt import read_receipt
from segdata.shards.scan import scan_records
from segdata.shards.sidecars import sidecar_files
from segdata.storage.paths import locate

Target = Callable[[bytes, Path], object]


def image(data: bytes, folder: Path) -> None:
    """A photo: normalised, then decoded as readers do."""
    made = normalize.normalize_image(data, "x.jpg")
    decode.decode_rgb(made.encoded, "x.jpg")


def label_image(data: bytes, folder: Path) -> None:
    """A label image, as indexes and as colours."""
    for encoding in ("index", "color"):
        with contextlib.suppress(SegdataError):
            label_images.read_source_runs(data, encoding, "x.png")  # type: ignore[arg-type]


def rle_string(data: bytes, folder: Path) -> None:
    """COCO's compressed counts; the first two bytes are the size."""
    height, width = (data[:2] + b"\1\1")[:2]
    counts = data[2:].decode("latin-1")
    runs = rle.rle({"size": [height, width], "counts": counts}, height, width)
    rle.validate_runs(runs, height, width)


def segmentation(data: bytes, folder: Path) -> None:
    """Any JSON as the segmentation of an object: polygons, counts, nonsense."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    runs = rle.rle(value, 48, 64)
    rle.validate_runs(runs, 48, 64)


def coco_json(data: bytes, folder: Path) -> None:
    """A COCO file beside one image."""
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "a.png").write_bytes(_PNG)
    (folder / "instances.json").write_bytes(data)
    options = {"annotations": "instances.json", "images": "images"}
    scan = format_class("coco")(**options).scan(locate(folder))
    for _ in scan.annotations:
        pass


def class_file(data: bytes, folder: Path) -> None:
    """A class file, as text and as CSV."""
    for name in ("classes.txt", "classes.csv"):
        (folder / name).write_bytes(data)
        with contextlib.suppress(SegdataError):
            read_class_file(locate(folder / name))


def pets_lists(data: bytes, folder: Path) -> None:
    """The list of the Pets and one XML, parted by a NUL byte."""
    listed, _, xml = data.partition(b"\0")
    for below in ("images", "annotations/trimaps", "annotations/xmls"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    (folder / "images" / "A_1.jpg").write_bytes(_PNG)
    (folder / "annotations/trimaps" / "A_1.png").write_bytes(_PNG)
    (folder / "annotations" / "trainval.txt").write_bytes(listed)
    (folder / "annotations/xmls" / "A_1.xml").write_bytes(xml)
    for _ in format_class("pets")().scan(locate(folder)).annotations:
        pass


def record(data: bytes, folder: Path) -> None:
    """A serialized record, and all that is decoded of it."""
    found = parse_record(data, "x")
    for item in found.objects:
        found.mask(item)
    found.label_map()


def tfrecord(data: bytes, folder: Path) -> None:
    """Any file as TFRecords."""
    path = folder / "x.tfrecord"
    path.write_bytes(data)
    for _ in scan_records(locate(path)):
        pass


def manifest(data: bytes, folder: Path) -> None:
    """A manifest, and what is made of one."""
    (folder / "manifest.json").write_bytes(data)
    found = read_manifest(folder)
    found.to_bytes()
    sidecar_files(found)
    with contextlib.redirect_stdout(None):
        print_summary(found, locate(folder))


def receipt(data: bytes, folder: Path) -> None:
    """A receipt."""
    (folder / "index").mkdir(exist_ok=True)
    (folder / "index" / "x.json").write_bytes(data)
    found = read_receipt(locate(folder), "x")
    found.to_bytes()
    found.dali_index()
    found.sources()


def counts(data: bytes, folder: Path) -> None:
    """COCO's compressed counts alone: C against pycocotools is tested elsewhere."""
    coco.decompress_counts(data)


def _png() -> bytes:
    import io

    file = io.BytesIO()
    Image.fromarray(np.ones((4, 6), np.uint8)).save(file, "PNG")
    return file.getvalue()


_PNG = _png()

TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        *(image, label_image, rle_string, counts, segmentation, coco_json),
        *(class_file, pets_lists, record, tfrecord, manifest, receipt),
    )
}
JSON_TARGETS = ("segmentation", "coco_json", "manifest", "receipt")
"""Those whose JSON is changed as JSON, see `mutate.py`."""


@contextlib.contextmanager
def held(name: str) -> Iterator[Callable[[bytes], Any]]:
    """A target as a function of bytes alone; our own errors are answers."""
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:

        def run(data: bytes) -> None:
            with contextlib.suppress(SegdataError):
                target(data, Path(folder))

        yield run
