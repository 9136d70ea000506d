"""What is fuzzed: a function of bytes for each parser.

A target may return, or raise `SegdataError`; anything else is a find.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segdata.building.sources import read_files
from segdata.commands.info import print_summary
from segdata.commands.sample import SAMPLES
from segdata.errors import SegdataError
from segdata.formats import format_class
from segdata.formats.class_files import read_class_file
from segdata.images import decode, label_images, normalize
from segdata.masks import coco, rle
from segdata.records.encode import encode_record
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
    """A class file, as text, as CSV and as JSON."""
    for name in ("classes.txt", "classes.csv", "classes.json"):
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


def drawn(folder: Path, name: str) -> tuple[Path, Path]:
    """A small sample of a format and the file of annotations that is changed in it."""
    root, pattern = folder / name, DRAWN[name]
    if not root.exists():
        module, _, function = SAMPLES[name.replace("_", "-")].partition(":")
        write = getattr(importlib.import_module(module), function)
        write(root, seed=0, num_train=1, num_val=1)
    return root, min(root.glob(pattern))


def _of_sample(name: str) -> Target:
    """Any bytes as an annotation file of a sample, which is scanned and encoded."""

    def target(data: bytes, folder: Path) -> None:
        root, path = drawn(folder, name)
        path.write_bytes(data)
        scan = format_class(name.replace("_", "-"))().scan(locate(root))
        for annotation in scan.annotations:
            with contextlib.suppress(SegdataError):
                files = read_files(annotation, locate(root))
                encode_record(annotation, files, scan.label_map)

    target.__name__ = name
    return target


DRAWN = {
    "labelme": "**/*.json",
    "label_studio": "*.json",
    "cvat": "*.xml",
    "yolo": "**/*_*.txt",
    "sa_1b": "**/*.json",
}
"""Target -> the files of annotations of its sample, the first of which is changed."""


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
        *map(_of_sample, DRAWN),
    )
}
JSON_TARGETS = ("segmentation", "coco_json", "manifest", "receipt", "labelme",
                "label_studio", "sa_1b")  # fmt: skip
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
