"""COCO -> export -> each format that can hold it -> the same masks."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import pytest
from export_runs import built_again, exported
from PIL import Image

from segdata.formats import format_class
from segdata.masks.coco import compressed_rles
from segdata.masks.outlines import exact_polygons
from segdata.reading.record_source import RecordSource
from segdata.samples.coco import write_coco_sample
from segdata.samples.label_studio import brush_rle
from segdata.shards.manifest import Manifest

Build = Callable[..., Manifest]
Masks = dict[str, list[tuple[str, bytes]]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, build_plainly: Build) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    write_coco_sample(folder / "in", seed=5, num_train=8, num_val=1)
    build_plainly(folder / "in", folder / "out", dataset_format=format_class("coco")())
    return folder / "out"


def masks(out: Path, split: str = "train", *, crowds: bool = True) -> Masks:
    """Name of each image -> class and mask of its objects that have one."""
    return {
        Path(record.filename).stem: sorted(
            (item.name, record.mask(item).tobytes())  # type: ignore[union-attr]
            for item in record.objects
            if len(item.runs) and (crowds or not item.is_crowd)
        )
        for record in RecordSource(out, split)
    }


def test_coco_to_yolo_and_back(
    built: Path, tmp_path: Path, build_plainly: Build
) -> None:
    """Only crowds are lost, and objects that have no mask: the export counts both."""
    printed = exported(built, tmp_path / "yolo", "yolo")
    assert "crowds: left out" in printed
    yolo = tmp_path / "records"
    build_plainly(tmp_path / "yolo", yolo, dataset_format=format_class("yolo")())
    found = {k.rpartition("__")[2]: v for k, v in masks(yolo).items()}
    assert found == masks(built, crowds=False)
    printed = exported(yolo, tmp_path / "coco", "coco")
    again = built_again(tmp_path / "coco", tmp_path / "again", printed)
    assert masks(again) == masks(yolo)


def to_labelme(record: Any, folder: Path) -> None:
    shapes = []
    for number, item in enumerate(record.objects):
        polygons = exact_polygons(item.runs, record.height, record.width)
        mask = record.mask(item)
        if number % 2 or polygons is None:
            buffer = io.BytesIO()
            Image.fromarray(mask.astype(bool)).save(buffer, "PNG")
            shapes.append(
                {
                    "label": item.name,
                    "shape_type": "mask",
                    "points": [[0, 0], [record.width - 1, record.height - 1]],
                    "mask": base64.b64encode(buffer.getvalue()).decode(),
                }
            )
            continue
        for polygon in polygons:
            points = np.reshape(polygon, (-1, 2)).tolist()
            shapes.append({"label": item.name, "points": points, "group_id": number})
    sizes = {"imageHeight": record.height, "imageWidth": record.width}
    path = folder / f"{Path(record.filename).stem}.json"
    path.write_text(json.dumps({"shapes": shapes, "imagePath": "x.jpg", **sizes}))


def to_sa_1b(record: Any, folder: Path) -> None:
    runs = [item.runs for item in record.objects]
    found = compressed_rles(runs, record.height, record.width)
    rows = [{"id": n, "segmentation": s} for n, s in enumerate(found, 1)]
    path = folder / f"{Path(record.filename).stem}.json"
    path.write_text(json.dumps({"image": {"image_id": 1}, "annotations": rows}))


def to_label_studio(record: Any, folder: Path) -> None:
    results = [
        {
            "type": "brushlabels",
            "original_height": record.height,
            "original_width": record.width,
            "value": {"rle": brush_rle(record.mask(item)), "brushlabels": [item.name]},
        }
        for item in record.objects
    ]
    path = folder / "tasks.json"
    tasks = json.loads(path.read_text()) if path.exists() else []
    image = f"/data/upload/{Path(record.filename).name}"
    tasks.append({"data": {"image": image}, "annotations": [{"result": results}]})
    path.write_text(json.dumps(tasks))


def to_cvat(record: Any, folder: Path) -> None:
    path = folder / "annotations.xml"
    top = path.read_text() if path.exists() else "<annotations></annotations>"
    sizes = {"width": str(record.width), "height": str(record.height)}
    image = Element("image", {"name": Path(record.filename).name, **sizes})
    for item in record.objects:
        pixels = record.mask(item).ravel()
        changes = np.flatnonzero(np.diff(pixels, prepend=0))
        runs = np.diff(changes, prepend=0, append=pixels.size)
        place = {"left": "0", "top": "0", **sizes, "rle": ",".join(map(str, runs))}
        SubElement(image, "mask", {"label": item.name, **place})
    body = tostring(image, "unicode")
    path.write_text(top.replace("</annotations>", f"{body}</annotations>"))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("labelme", to_labelme),
        ("sa-1b", to_sa_1b),
        ("label-studio", to_label_studio),
        ("cvat", to_cvat),
    ],
)
def test_masks_of_coco_survive_in_each_format(
    name: str,
    write: Callable[[Any, Path], None],
    built: Path,
    tmp_path: Path,
    build_plainly: Build,
) -> None:
    """Polygons, holes, parts, crowds: all that a mask can be."""
    folder = tmp_path / "in"
    folder.mkdir()
    for record in RecordSource(built, "train"):
        with_masks = tuple(item for item in record.objects if len(item.runs))
        record = dataclasses.replace(record, objects=with_masks)
        (folder / Path(record.filename).name).write_bytes(record.encoded)
        write(record, folder)
    build_plainly(folder, tmp_path / "out", dataset_format=format_class(name)())
    expected = masks(built)
    if name == "sa-1b":
        expected = {
            key: sorted(("object", mask) for _, mask in items)
            for key, items in expected.items()
        }
    assert masks(tmp_path / "out") == expected
