"""A synthetic `instances_train2017.json`: of the real one's size and likeness."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

NUM_IMAGES, NUM_ANNOTATIONS = 118_287, 860_001
"""Of COCO's `train2017`."""

_MEAN_NUMBERS = 45  # coordinates of an object in the real file
_POOL = 4096  # different outlines, moved to as many places as there are objects
_CROWD_SHARE = 0.012
_NUM_CATEGORIES = 80
_IMAGE = (
    '{"license":%d,"file_name":"%012d.jpg","coco_url":'
    '"http://images.cocodataset.org/train2017/%012d.jpg","height":%d,"width":%d,'
    '"date_captured":"2013-11-%02d 22:%02d:17","flickr_url":'
    '"http://farm9.staticflickr.com/8%03d/81%08d_e3bf7d8a05_z.jpg","id":%d}'
)
_OBJECT = (
    '{"segmentation":%s,"area":%.4f,"iscrowd":%d,"image_id":%d,'
    '"bbox":[%.2f,%.2f,%.2f,%.2f],"category_id":%d,"id":%d}'
)


JSON_NAME = "annotations/instances_train2017.json"


def write_big_coco(
    folder: Path,
    num_images: int = NUM_IMAGES,
    num_annotations: int = NUM_ANNOTATIONS,
    seed: int = 0,
) -> None:
    """Writes the JSON and, in `train2017/`, an empty file for each of its images."""
    rng = np.random.default_rng(seed)
    image_ids = np.sort(rng.choice(6 * num_images, num_images, replace=False))
    sizes = rng.choice([[480, 640], [640, 480], [427, 640], [426, 640]], num_images)
    images = [
        _IMAGE % (i % 8, i, i, h, w, i % 28 + 1, i % 60, i % 1000, i, i)
        for i, (h, w) in zip(image_ids.tolist(), sizes.tolist(), strict=True)
    ]
    outlines = [_outline(rng) for _ in range(_POOL)]
    owners = rng.integers(num_images, size=num_annotations)
    is_crowd = rng.random(num_annotations) < _CROWD_SHARE
    ids = rng.permutation(num_annotations) + 1
    path = folder / JSON_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write('{"info":{"year":2017},"licenses":[{"id":1,"name":"x"}],"images":[')
        file.write(",".join(images))
        file.write('],"annotations":[')
        for number in range(num_annotations):
            owner = int(owners[number])
            height, width = sizes[owner].tolist()
            outline = outlines[number % _POOL]
            runs = _runs(outline, height, width) if is_crowd[number] else outline
            x, y, w, h = (7.25, 9.5, width / 3, height / 3)
            row = (runs, w * h / 2, is_crowd[number], image_ids[owner], x, y, w, h)
            category = number % _NUM_CATEGORIES + 1
            file.write("," if number else "")
            file.write(_OBJECT % (*row, category, ids[number]))
        categories = [
            {"supercategory": "thing", "id": i, "name": f"class {i}"}
            for i in range(1, _NUM_CATEGORIES + 1)
        ]
        file.write(f'],"categories":{json.dumps(categories)}}}')
    (folder / "train2017").mkdir()
    for image_id in image_ids.tolist():
        (folder / "train2017" / f"{image_id:012d}.jpg").touch()


def _outline(rng: np.random.Generator) -> str:
    """A polygon as JSON; how many points it has is distributed as in the real file."""
    numbers = rng.lognormal(np.log(_MEAN_NUMBERS) - 0.25, 0.7)
    angles = np.linspace(0, 2 * np.pi, max(3, int(numbers / 2)), endpoint=False)
    radii = rng.uniform(20, 90) * rng.uniform(0.7, 1.0, len(angles))
    x, y = rng.uniform(100, 380, 2)
    points = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
    return f"[[{','.join(f'{v:.2f}' for v in points.reshape(-1))}]]"


def _runs(seed_text: str, height: int, width: int) -> str:
    """An uncompressed RLE of a thousand runs, drawn from a text."""
    rng = np.random.default_rng(len(seed_text))
    ends = np.sort(rng.choice(height * width, 1000, replace=False))
    counts = np.diff(ends, prepend=0, append=height * width).tolist()
    return json.dumps({"counts": counts, "size": [height, width]})
