"""Small COCO folders for tests, and builds of them without Beam."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from PIL import Image

from segdata.building import output
from segdata.building.options import BuildOptions
from segdata.building.plan import make_plan
from segdata.building.shard import BuildJob, build_shard
from segdata.formats.coco.format import Coco
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import Manifest

HEIGHT, WIDTH = 12, 16
SQUARE = [2, 2, 8, 2, 8, 6, 2, 6]
ABSENT = object()
"""Says that a key is to be left out."""

CATEGORIES = [
    {"id": 5, "name": "cat", "supercategory": "animal"},
    {"id": 9, "name": "dog", "supercategory": "animal"},
]


def without_absent(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not ABSENT}


def image_row(image_id: Any = 1, file_name: Any = "a.png", **more: Any) -> Any:
    row = {
        "id": image_id,
        "file_name": file_name,
        "height": HEIGHT,
        "width": WIDTH,
        **more,
    }
    return without_absent(row)


def object_row(annotation_id: Any = 10, image_id: Any = 1, **more: Any) -> Any:
    row = {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 5,
        "segmentation": [SQUARE],
        "bbox": [2, 2, 6, 4],
        "area": 24,
        "iscrowd": 0,
        **more,
    }
    return without_absent(row)


def table(**more: Any) -> dict[str, Any]:
    """Two images; the first has a good object, and the second one too."""
    return without_absent(
        {
            "images": [image_row(), image_row(2, "b.png")],
            "annotations": [object_row(), object_row(20, 2, category_id=9)],
            "categories": CATEGORIES,
            **more,
        }
    )


def save_image(path: Path, height: int = HEIGHT, width: int = WIDTH) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name))
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)


def write(
    root: Path,
    data: Any = None,
    *,
    name: str = "annotations/instances_train2017.json",
    folder: str = "images",
) -> Path:
    """A folder with that JSON (as bytes, or to be dumped) and its two images."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if data is None:
        data = table()
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    for image in ("a.png", "b.png"):
        save_image(root / folder / image)
    return root


def build(
    root: Path, on_error: Any = "fail", coco: Coco | None = None, **options: Any
) -> Manifest:
    """A build without Beam, to the folder `out` beside `root`."""
    out = root.parent / "out"
    chosen = BuildOptions(**{"on_error": on_error, "max_reject_share": 1, **options})
    scan = (coco or Coco()).scan(root)
    if scan.problems and on_error == "fail":
        raise scan.problems[0]
    plan = make_plan(scan, root, "coco", chosen)
    fingerprint = output.settings_fingerprint("coco", scan.label_map, chosen)
    job = BuildJob(
        source=str(root), out=str(out), label_map=scan.label_map, on_error=on_error
    )
    for shard in output.begin(out, plan, fingerprint, overwrite=True):
        build_shard(shard, job, lambda count: None)
    return output.finish(
        out, name="coco", scan=scan, plan=plan, settings=fingerprint, options=chosen
    )


def rejects(root: Path) -> list[dict[str, Any]]:
    path = root.parent / "out" / "rejects.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [orjson.loads(line) for line in lines]


def records(root: Path, split: str = "train") -> dict[str, Any]:
    found = RecordSource(root.parent / "out", split)
    return {record.key: record for record in found}
