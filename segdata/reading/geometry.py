"""One resize, crop and flip, applied alike to image, label map, masks, boxes, points.

A window of the stored image is stretched onto a rectangle of the canvas, whose rest is
padding, and the canvas may be flipped. Letterboxing, stretching, covering, cropping and
jittering the scale differ only in how window and rectangle are chosen. Both are whole
pixels, so that decoders can leave out what is not shown and every part can be moved
exactly by its own means: images bilinearly, label maps and masks by sampling their
runs, boxes and points by an affine map.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segdata.reading import numpy_ops
from segdata.reading.options import Augmentation, Resize

Number = Any
"""A Python float where it is known while tracing, else `[] float64`: NumPy's or a
tensor."""
Array = Any
"""An array of NumPy's, or a tensor."""

_CENTER = 0.5 - 1e-9  # an odd pixel goes to the end


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One axis: pixels `low` to `low + size` of the image become `size` of the canvas.

    All are whole numbers: Python floats where they are known while tracing, else
    `[] float64`.
    """

    source: Number
    """Pixels of the stored image."""
    low: Number
    """First source pixel shown."""
    size: Number
    """Source pixels shown, at least 1."""
    canvas: int
    """Pixels of the canvas."""
    place: Number
    """First canvas pixel that shows them."""
    extent: Number
    """Canvas pixels that show them, at least 1."""
    flipped: bool | Array = False
    """Whether the canvas is mirrored along this axis at last."""

    @property
    def is_whole(self) -> bool:
        """Whether it is known to show all pixels on all of the canvas."""
        return self.shows_all and type(self.extent) is float  # NumPy's is another

    @property
    def shows_all(self) -> bool:
        """Whether it is known to show all pixels of the image."""
        return self.size is self.source


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """How one record's image lies on the canvas."""

    rows: Span
    """The vertical axis."""
    columns: Span
    """The horizontal axis."""
    vectors: Mapping[str, Array] = field(default_factory=dict, repr=False)
    """Fields of both axes, for those that are computed together: `[2] float64`."""
    ops: Any = field(default=numpy_ops, repr=False)
    """What computes: `numpy_ops` or `tf`."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvas."""
        return self.rows.canvas, self.columns.canvas

    def both(self, field: str) -> Array:
        """A field of both axes, vertical first: `[2] float64`."""
        if field in self.vectors:
            return self.vectors[field]
        values = getattr(self.rows, field), getattr(self.columns, field)
        return _float64_stack(values, self.ops)

    def affine(self) -> tuple[Array, Array]:
        """Scale and offset of both axes, `[2] float64` each, vertical first.

        A source point `(y, x)`, in pixels, lies at `scale * (y, x) + offset` on the
        canvas; so a canvas point `p` shows the source at `(p - offset) / scale`. The
        scale is negative where the canvas is flipped.
        """
        scale = self.both("extent") / self.both("size")
        offset = self.both("place")
        if not self.begins_at_zero:
            offset = offset - self.both("low") * scale  # not in place: it is a field
        if not self.may_flip:
            return scale, offset
        flipped = self.ops.stack([self.rows.flipped, self.columns.flipped])
        mirrored = self.ops.constant(self.size, self.ops.float64) - offset
        return self.ops.where(flipped, -scale, scale), self.ops.where(
            flipped, mirrored, offset
        )

    def move_boxes(self, boxes: Array) -> tuple[Array, Array]:
        """Moves boxes, and cuts them to what is shown.

        Args:
          boxes: `[n, 4] float64`, `ymin, xmin, ymax, xmax` in pixels of the stored
            image.

        Returns:
          `[n, 4] float64`, in pixels of the canvas, and `[n, 4] float64`, what is left
          of the boxes in pixels of the stored image. Boxes outside are empty.
        """
        moved, shown = self.move_corners(
            self.ops.reshape(boxes, [-1, 2, 2]), self.affine()
        )
        return self.ops.reshape(moved, [-1, 4]), self.ops.reshape(shown, [-1, 4])

    def move_corners(
        self, corners: Array, affine: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """Moves boxes given as `[n, 2, 2] float64`: two corners `(y, x)` each.

        Args:
          corners: In pixels of the stored image.
          affine: Of this geometry.

        Returns:
          As `move_boxes`, but corners.
        """
        low = 0.0 if self.begins_at_zero else self.both("low")
        high = self.both("size") + low
        shown = self.ops.maximum(self.ops.minimum(corners, high), low)
        scale, offset = affine
        moved = shown * scale + offset
        if not self.may_flip:
            return moved, shown
        one, other = self.ops.unstack(moved, axis=1)
        ends = [self.ops.minimum(one, other), self.ops.maximum(one, other)]
        return self.ops.stack(ends, 1), shown

    def move_points(self, points: Array) -> Array:
        """Moves `[n, 2] float64` points `(y, x)` in pixels, also out of the canvas."""
        scale, offset = self.affine()
        return points * scale + offset

    @property
    def may_flip(self) -> bool:
        """Whether the canvas is mirrored, or it is not known."""
        return not (self.rows.flipped is False and self.columns.flipped is False)

    @property
    def begins_at_zero(self) -> bool:
        """Whether it is known to show the image's first row and column."""
        return all(type(span.low) is float for span in (self.rows, self.columns))


def choose_geometry(
    height: Number,
    width: Number,
    size: tuple[int, int],
    resize: Resize,
    augmentation: Augmentation,
    draws: Array | None,
    ops: Any = numpy_ops,
) -> Geometry:
    """Chooses the geometry of one record.

    Args:
      height: Height of the stored image in pixels.
      width: Width of the stored image in pixels.
      size: Height and width of the canvas.
      resize: How the image is fitted to the canvas.
      augmentation: What is random about it.
      draws: `[5] float64`, uniform in [0, 1): scale, vertical and horizontal position,
        vertical and horizontal flip. None where nothing is random.
      ops: What computes: `numpy_ops`, or `tf` for tensors.
    """
    jittered = augmentation.scale != (1.0, 1.0)
    if resize.mode == "stretch" and not jittered:
        source = [
            float(side) if isinstance(side, int) else ops.cast(side, ops.float64)
            for side in (height, width)
        ]
        spans = [_stretch(*axis) for axis in zip(source, size, strict=True)]
        vectors = {}
    else:
        source = ops.cast(ops.stack([height, width]), ops.float64)
        vectors = _fit(source, size, resize, augmentation, draws, ops)
        spans = _spans(vectors, size, ops)
    flips = (augmentation.vertical_flip, augmentation.horizontal_flip)
    if draws is not None:
        spans = [
            dataclasses.replace(span, flipped=draw < flip) if flip else span
            for span, draw, flip in zip(spans, (draws[3], draws[4]), flips, strict=True)
        ]
    return Geometry(rows=spans[0], columns=spans[1], vectors=vectors, ops=ops)


def _stretch(source: Number, canvas: int) -> Span:
    """All of the image on all of the canvas; known while tracing."""
    return Span(
        source=source,
        low=0.0,
        size=source,
        canvas=canvas,
        place=0.0,
        extent=float(canvas),
    )


def _fit(
    source: Array,
    size: tuple[int, int],
    resize: Resize,
    augmentation: Augmentation,
    draws: Array | None,
    ops: Any,
) -> dict[str, Array]:
    """Fields of both axes at once, `[2] float64`, vertical first.

    Half as many ops as axis by axis; for numbers so few, it is calls that cost. There
    is no `low` where it is known that nothing is cut off.
    """
    canvas = ops.constant(size, ops.float64)
    scale = _scale(source, canvas, resize, ops)
    position: Number = 0.0 if resize.position == "top-left" else _CENTER
    if draws is not None and augmentation.scale != (1.0, 1.0):
        low, high = augmentation.scale
        scale *= low + (high - low) * draws[0]
    if draws is not None and resize.is_random(augmentation):
        position = draws[1:3]
    scaled = ops.maximum(ops.round(source * scale), 1.0)
    extent = ops.minimum(scaled, canvas)
    fields = {"source": source, "size": source, "extent": extent}
    fields["place"] = _part(canvas - extent, position, ops)
    if resize.mode == "cover" or augmentation.scale != (1.0, 1.0):
        part = ops.clip_by_value(ops.round(extent / scale), 1.0, source)
        fields["size"] = ops.where(scaled > canvas, part, source)
        fields["low"] = _part(source - fields["size"], position, ops)
    return fields


def _scale(source: Array, canvas: Array, resize: Resize, ops: Any) -> Array:
    """Canvas pixels per source pixel, before jitter: `[2]`, or `[]` for both axes."""
    scale = canvas / source
    if resize.mode == "stretch":
        return scale
    scale = ops.reduce_max(scale) if resize.mode == "cover" else ops.reduce_min(scale)
    if resize.short_side is not None:
        scale = ops.minimum(scale, resize.short_side / ops.reduce_min(source))
    return scale


def _spans(fields: dict[str, Array], size: tuple[int, int], ops: Any) -> list[Span]:
    """The axes one by one."""
    parts = {name: ops.unstack(vector, num=2) for name, vector in fields.items()}
    if fields["size"] is fields["source"]:
        parts["size"] = parts["source"]  # so that spans know it
    return [
        Span(
            source=parts["source"][axis],
            low=parts["low"][axis] if "low" in parts else 0.0,
            size=parts["size"][axis],
            canvas=size[axis],
            place=parts["place"][axis],
            extent=parts["extent"][axis],
        )
        for axis in (0, 1)
    ]


def _part(slack: Array, position: Number, ops: Any) -> Array:
    """Whole pixels before, of the slack before and after."""
    return ops.minimum(ops.math.floor((slack + 1.0) * position), slack)


def _float64_stack(values: Sequence[Number], ops: Any) -> Array:
    if all(type(value) is float for value in values):
        return ops.constant(values, ops.float64)
    return ops.stack([ops.convert_to_tensor(value, ops.float64) for value in values])
