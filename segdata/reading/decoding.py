"""What is made of the records of a split: the options of all readers, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segdata.errors import OptionError
from segdata.reading import color, numpy_ops
from segdata.reading.geometry import Array, Number
from segdata.reading.keypoints import KeypointOrder
from segdata.reading.options import (
    Augmentation,
    ImageOptions,
    InstanceOptions,
    Resize,
    Size,
    read_size,
)
from segdata.reading.order import draw_uniform, seed_keys
from segdata.shards.manifest import Manifest, SplitSummary

PADDING_ID = -1
"""`image_id` of the empty images that fill up a last batch."""
GEOMETRY_DRAWS = 5
"""Draws that geometry takes; those of colours come after them."""
_PURPOSE = 1  # keeps these draws apart from those of the order


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How records become samples: on one canvas, with one set of options."""

    size: tuple[int, int]
    """Height and width of the canvas."""
    stored_size: tuple[int, int] | None
    """Height and width of all stored images, if they are alike: makes it cheaper."""
    resize: Resize
    """How images are fitted to the canvas."""
    augmentation: Augmentation
    """What is random."""
    image: ImageOptions
    """What pixels are given as."""
    seed: int
    """Seed of the augmentation."""
    with_geometry: bool
    """Whether to give `image_size`, `scale` and `offset`."""
    padding_id: int | None = None
    """Label-map id of padding; None: give no label map."""
    instances: InstanceOptions | None = None
    """What is given of objects; None: nothing."""
    keypoints: KeypointOrder | None = None
    """The dataset's keypoints; None: give none."""

    @property
    def is_random(self) -> bool:
        """Whether anything is drawn."""
        return self.augmentation.is_random or self.resize.position == "random"

    def draws(self, epoch: Number, record: Number, ops: Any = numpy_ops) -> Array:
        """Random numbers of a record in an epoch: `[draws] float64` in [0, 1)."""
        count = GEOMETRY_DRAWS + color.NUM_DRAWS
        keys = np.array(seed_keys(self.seed, count, _PURPOSE))
        return ops.cast(draw_uniform(keys, epoch, record), ops.float64) / 2.0**32


def semantic_decoding(
    manifest: Manifest,
    split: str,
    *,
    image_size: Size | None = None,
    resize: Resize | None = None,
    augmentation: Augmentation | None = None,
    image: ImageOptions | None = None,
    seed: int = 0,
) -> Decoding:
    """Images and label maps; see `segdata.read_semantic`.

    Raises:
      OptionError: If the split is unknown, has no label maps, or an option is bad.
    """
    label_map, summary = manifest.label_map, manifest.split(split)
    if not label_map.semantic_classes:
        raise OptionError(
            f"dataset {manifest.name!r} has no label maps: read_semantic cannot "
            "read it."
        )
    return Decoding(
        size=_canvas(image_size, summary, split),
        stored_size=_stored_size(summary),
        resize=resize or Resize(),
        augmentation=augmentation or Augmentation(),
        image=image or ImageOptions(),
        seed=seed,
        with_geometry=resize is not None,
        padding_id=label_map.padding_id,
    )


def instances_decoding(
    manifest: Manifest,
    split: str,
    *,
    image_size: Size,
    resize: Resize | None = None,
    augmentation: Augmentation | None = None,
    image: ImageOptions | None = None,
    instances: InstanceOptions | None = None,
    label_map: bool = False,
    seed: int = 0,
) -> Decoding:
    """Images and objects; see `segdata.read_instances`.

    Raises:
      OptionError: If the split is unknown, has no objects, or an option is bad.
    """
    size, summary = read_size("image_size", image_size), manifest.split(split)
    instances = instances or InstanceOptions()
    _check_objects(manifest, instances, label_map=label_map)
    return Decoding(
        size=size,
        stored_size=_stored_size(summary),
        resize=resize or Resize(mode="pad"),
        augmentation=augmentation or Augmentation(),
        image=image or ImageOptions(),
        seed=seed,
        with_geometry=True,
        padding_id=manifest.label_map.padding_id if label_map else None,
        instances=instances,
        keypoints=KeypointOrder.of(manifest.label_map) if instances.keypoints else None,
    )


def _check_objects(
    manifest: Manifest, instances: InstanceOptions, *, label_map: bool
) -> None:
    classes = manifest.label_map.object_classes
    if not classes:
        raise OptionError(
            f"dataset {manifest.name!r} has no objects: read_instances cannot read it."
        )
    if label_map and not manifest.label_map.semantic_classes:
        raise OptionError(
            f"label_map is True, but dataset {manifest.name!r} has no label maps."
        )
    if instances.keypoints and not any(item.keypoints for item in classes):
        raise OptionError(
            f"keypoints is True, but dataset {manifest.name!r} has no keypoints."
        )


def _stored_size(summary: SplitSummary) -> tuple[int, int] | None:
    """Height and width of all images, if they are alike."""
    heights, widths = summary.counts.heights, summary.counts.widths
    if heights is None or widths is None:
        return None
    if heights[0] != heights[1] or widths[0] != widths[1]:
        return None
    return heights[0], widths[0]


def _canvas(size: Size | None, summary: SplitSummary, split: str) -> tuple[int, int]:
    if size is not None:
        return read_size("image_size", size)
    if stored := _stored_size(summary):
        return stored
    raise OptionError(
        f"images of split {split!r} differ in size (smallest and largest height "
        f"{summary.counts.heights}, width {summary.counts.widths}): pass "
        "image_size=(height, width) to batch them."
    )
