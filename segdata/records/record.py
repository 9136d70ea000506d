"""One record as Python sees it: parsed, its image and masks decoded when asked for."""

from __future__ import annotations

import base64
import html
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from segdata.errors import short_repr
from segdata.images import decode
from segdata.label_map import distinct_colors
from segdata.masks import rle
from segdata.records.boxes import Box

_THUMBNAIL = 320
"""Longer side of a picture in a notebook, in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordClass:
    """The class of a whole image."""

    label: int
    """Contiguous class id."""
    name: str
    """Class name."""
    source_id: str
    """Category id in the source, as text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordRegion:
    """A named box that is no object."""

    name: str
    """What it is around."""
    box: Box
    """`ymin, xmin, ymax, xmax` in pixels, inside the image."""
    source: Mapping[str, Any]
    """What the source says of it: `bbox`, `[x, y, width, height]`, and more."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class RecordObject:
    """One object of a record."""

    label: int
    """Contiguous class id."""
    name: str
    """Class name."""
    id: int
    """Annotation id in the source; -1 where it has none or is not a number."""
    box: Box
    """`ymin, xmin, ymax, xmax` in pixels, inside the image."""
    runs: NDArray[np.int64]
    """Row-major runs; empty for a box-only object."""
    is_crowd: bool
    """Whether it is a region of many."""
    area: float
    """Pixels, as the source says."""
    keypoints: NDArray[np.float32]
    """`[keypoints, 3]` x and y in pixels, visibility 0 to 2; `[0, 3]` if the dataset
    has none."""
    source: Mapping[str, Any]
    """What the source says of it, but for the segmentation: ids, box, area ... to the
    digit. Empty in records of schema 1."""

    def __repr__(self) -> str:
        box = ", ".join(f"{value:.1f}" for value in self.box)
        mask = f"{int(self.runs[1::2].sum())} pixels" if len(self.runs) else "no mask"
        crowd = ", crowd" if self.is_crowd else ""
        return f"<RecordObject {short_repr(self.name)} at [{box}]: {mask}{crowd}>"


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Record:
    """One record: cheap parts parsed, images and masks still encoded."""

    key: str
    """Stable name."""
    filename: str
    """Path below the source."""
    source_id: str
    """Number of the image, in decimal."""
    image_id: str
    """Id of the image in the source, as text; empty where it has none."""
    source: Mapping[str, Any]
    """What else the source says of the image."""
    encoded: bytes
    """JPEG or PNG file."""
    format: str
    """`jpeg` or `png`."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""
    sha256: str
    """Hex SHA-256 of `encoded`, as stored."""
    notes: tuple[str, ...]
    """What was changed or looked odd at build time."""
    label_values: NDArray[np.uint8] | None
    """`[runs]` class ids of the label map, or None."""
    label_lengths: NDArray[np.int64] | None
    """`[runs]` pixels of each run, or None."""
    objects: tuple[RecordObject, ...]
    """The objects."""
    image_class: RecordClass | None
    """Class of the whole image, if it has one."""
    regions: tuple[RecordRegion, ...]
    """Named boxes that are no objects."""
    captions: tuple[str, ...]
    """Captions."""

    def __repr__(self) -> str:
        return f"<Record {short_repr(self.key)}: {self._summary()}>"

    def _summary(self) -> str:
        parts = [f"{self.width} wide x {self.height} high", self.format]
        if self.label_values is not None:
            parts.append(f"label map of {len(np.unique(self.label_values))} classes")
        names = Counter(item.name for item in self.objects).most_common()
        if names:
            shown = ", ".join(f"{count} {name[:40]}" for name, count in names[:6])
            more = f" and {len(names) - 6} more classes" if names[6:] else ""
            parts.append(f"{len(self.objects)} objects ({shown}{more})")
        return ", ".join(parts)

    def _repr_html_(self) -> str:
        """The image with its label map and boxes, for notebooks."""
        pixels = self.image()
        labels = self.label_map()
        if labels is not None:
            colors = np.array(distinct_colors(256), np.uint16)[labels]
            pixels = ((pixels + colors) // 2).astype(np.uint8)
        picture = Image.fromarray(pixels)
        draw = ImageDraw.Draw(picture)
        for item, color in zip(self.objects, distinct_colors(256), strict=False):
            ymin, xmin, ymax, xmax = item.box
            draw.rectangle((xmin, ymin, xmax, ymax), outline=color, width=2)
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        file = io.BytesIO()
        picture.save(file, "jpeg", quality=85)
        data = base64.b64encode(file.getvalue()).decode("ascii")
        return (
            "<figure style='display:inline-block;margin:4px'>"
            f"<img alt='' src='data:image/jpeg;base64,{data}'>"
            f"<figcaption><b>{html.escape(self.key)}</b><br>"
            f"{html.escape(self._summary())}</figcaption></figure>"
        )

    def image(self) -> NDArray[np.uint8]:
        """Decodes the image: `[height, width, 3] uint8`.

        Raises:
          ImageError: If it cannot be decoded.
        """
        return decode.decode_rgb(self.encoded, self.key)

    def label_map(self) -> NDArray[np.uint8] | None:
        """Decodes the label map: `[height, width] uint8`, or None if there is none.

        Raises:
          AnnotationError: If its runs are not valid.
        """
        if self.label_values is None or self.label_lengths is None:
            return None
        return rle.decode_label_map(
            self.label_values, self.label_lengths, self.height, self.width
        )

    def mask(self, item: RecordObject) -> NDArray[np.uint8] | None:
        """Decodes one object's mask: `[height, width] uint8`, None if box-only.

        Raises:
          AnnotationError: If its runs are not valid.
        """
        if not len(item.runs):
            return None
        return rle.decode(item.runs, self.height, self.width)
