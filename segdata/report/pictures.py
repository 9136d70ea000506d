"""Samples of every class, drawn small, as data URIs."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from segdata.dataset import Dataset
from segdata.drawing.draw import Picture, draw_objects, lay_over, scale_object
from segdata.drawing.records import picture_of
from segdata.label_map import LabelMap

MAX_SAMPLES = 72
"""Images on a page: it stays below two megabytes."""
_PER_CLASS = 3
_PER_FINDING = 3
_LONG_SIDE = 320
_QUALITY = 72


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One image with its masks."""

    split: str
    key: str
    classes: tuple[str, ...]
    """Names of the classes that it shows, each once."""
    text: str
    """What it shows, in words."""
    width: int
    height: int
    data: str
    """A JPEG file, base64."""


def choose_samples(dataset: Dataset, stats: Mapping[str, Any]) -> list[Sample]:
    """Draws examples of findings and up to three images of each class.

    The same at every call. Of many classes as many as a page holds, every class once
    before any twice.
    """
    places: dict[tuple[str, int], None] = {}
    for place in _places(stats):
        places[place] = None
        if len(places) == MAX_SAMPLES:
            break
    return [_sample(dataset, *place) for place in sorted(places)]


def _places(stats: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for split, values in stats["splits"].items():
        for finding in values["findings"].values():
            for example in finding["examples"][:_PER_FINDING]:
                yield split, example["position"]
    for rank in range(_PER_CLASS):
        for split, values in stats["splits"].items():
            for table in ("object_classes", "semantic_classes"):
                for row in values[table]:
                    if rank < len(row["examples"]):
                        yield split, row["examples"][rank]["position"]


def _sample(dataset: Dataset, split: str, position: int) -> Sample:
    record = dataset[split][position]
    picture = _small(picture_of(record, dataset.classes))
    counts = _counts(picture, dataset.classes)
    pixels = picture.image
    if picture.label_map is not None:
        label_map = dataset.classes
        known = (label_map.semantic_classes, label_map.ignore_id)
        pixels = lay_over(pixels, picture.label_map, *known)
    pixels = draw_objects(pixels, picture.objects)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY, optimize=True)
    return Sample(
        split=split,
        key=record.key,
        classes=tuple(counts),
        text=", ".join(f"{name} {n}" if n else name for name, n in counts.items()),
        width=pixels.shape[1],
        height=pixels.shape[0],
        data=base64.b64encode(file.getvalue()).decode("ascii"),
    )


def _small(picture: Picture) -> Picture:
    """The picture scaled down: lines drawn afterwards stay sharp."""
    height, width = picture.image.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))

    def resized(pixels: Any, how: Image.Resampling) -> Any:
        return np.array(Image.fromarray(pixels).resize(size, how))

    label_map = picture.label_map
    image = resized(picture.image, Image.Resampling.LANCZOS)
    return replace(
        picture,
        image=image,
        label_map=None
        if label_map is None
        else resized(label_map, Image.Resampling.NEAREST),
        objects=tuple(scale_object(o, picture.image, image) for o in picture.objects),
    )


def _counts(picture: Picture, label_map: LabelMap) -> dict[str, int]:
    """Class -> objects; 0 for what only the label map shows."""
    counts = dict(Counter(item.name for item in picture.objects).most_common())
    if picture.label_map is not None:
        present = set(np.unique(picture.label_map).tolist())
        for item in label_map.semantic_classes:
            if item.id in present:
                counts.setdefault(item.name, 0)
    return counts
