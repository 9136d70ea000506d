"""The one geometry of a record that image, label map, masks, boxes and points follow.

A window of the stored image is stretched onto a rectangle of the canvas, whose rest is
padding, and the canvas may be flipped. Letterboxing, stretching, covering, cropping and
jittering the scale differ only in how window and rectangle are chosen. Both are whole
pixels, so that decoders can leave out what is not shown and every part can be moved
exactly by its own means: images bilinearly, label maps and masks by sampling their
runs, boxes and points by an affine map.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from segdata.reading_options import Augmentation, Resize
from segdata.sampling import Number, Sampling, float64, stretched
from segdata.tensorflow_import import tf

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
    flipped: bool | tf.Tensor = False
    """Whether the canvas is mirrored along this axis at last."""

    @property
    def is_whole(self) -> bool:
        """Whether it is known to show all pixels on all of the canvas."""
        return self.shows_all and isinstance(self.extent, float)

    @property
    def shows_all(self) -> bool:
        """Whether it is known to show all pixels of the image."""
        return self.size is self.source

    def sampling(self) -> Sampling:
        """Nearest sampling of the pixels shown, before padding and flipping."""
        return stretched(self.low, self.size, self.extent)

    def affine(self) -> tuple[tf.Tensor, tf.Tensor]:
        """`(scale, offset)`: where a source coordinate lies on the canvas, flip too."""
        scale = self.extent / self.size
        offset = self.place - self.low * scale
        return (
            _flip(self.flipped, scale, -scale),
            _flip(self.flipped, offset, self.canvas - offset),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """How one record's image lies on the canvas."""

    rows: Span
    """The vertical axis."""
    columns: Span
    """The horizontal axis."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the canvas."""
        return self.rows.canvas, self.columns.canvas

    def affine(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Scale and offset of both axes, `[2] float32` each, vertical first.

        A source point `(y, x)`, in pixels, lies at `scale * (y, x) + offset` on the
        canvas; so a canvas point `p` shows the source at `(p - offset) / scale`. The
        scale is negative where the canvas is flipped.
        """
        scales, offsets = zip(self.rows.affine(), self.columns.affine(), strict=True)
        return (
            tf.cast(_float64_stack(scales), tf.float32),
            tf.cast(_float64_stack(offsets), tf.float32),
        )

    def move_boxes(self, boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Moves boxes, and cuts them to what is shown.

        Args:
          boxes: `[n, 4] float64`, `ymin, xmin, ymax, xmax` in pixels of the stored
            image.

        Returns:
          `[n, 4] float64`, in pixels of the canvas, and `[n, 4] float64`, what is left
          of the boxes in pixels of the stored image. Boxes outside are empty.
        """
        low = _float64_stack([self.rows.low, self.columns.low] * 2)
        size = _float64_stack([self.rows.size, self.columns.size] * 2)
        shown = tf.clip_by_value(boxes, low, low + size)
        moved = self.move_points(tf.reshape(shown, [-1, 2]))
        one, other = tf.unstack(tf.reshape(moved, [-1, 2, 2]), axis=1)
        ends = [tf.minimum(one, other), tf.maximum(one, other)]
        return tf.concat(ends, 1), shown

    def move_points(self, points: tf.Tensor) -> tf.Tensor:
        """Moves `[n, 2] float64` points `(y, x)` in pixels, also out of the canvas."""
        scales, offsets = zip(self.rows.affine(), self.columns.affine(), strict=True)
        return points * _float64_stack(scales) + _float64_stack(offsets)


def choose_geometry(
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    size: tuple[int, int],
    resize: Resize,
    augmentation: Augmentation,
    draws: tf.Tensor | None,
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
    """
    source = (float64(height), float64(width))
    jittered = augmentation.scale != (1.0, 1.0)
    if resize.mode == "stretch" and not jittered:
        spans = [_stretch(*axis) for axis in zip(source, size, strict=True)]
    else:
        spans = _fit(source, size, resize, augmentation, draws)
    flips = (augmentation.vertical_flip, augmentation.horizontal_flip)
    if draws is not None:
        spans = [
            dataclasses.replace(span, flipped=draw < flip) if flip else span
            for span, draw, flip in zip(spans, (draws[3], draws[4]), flips, strict=True)
        ]
    return Geometry(rows=spans[0], columns=spans[1])


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
    source: tuple[Number, Number],
    size: tuple[int, int],
    resize: Resize,
    augmentation: Augmentation,
    draws: tf.Tensor | None,
) -> list[Span]:
    source = tuple(tf.convert_to_tensor(pixels, tf.float64) for pixels in source)
    scales = _scales(source, size, resize)
    position: list[Number] = [0.0 if resize.position == "top-left" else _CENTER] * 2
    if draws is not None and augmentation.scale != (1.0, 1.0):
        low, high = augmentation.scale
        factor = low + (high - low) * draws[0]
        scales = (scales[0] * factor, scales[1] * factor)
    if draws is not None and resize.is_random(augmentation):
        position = [draws[1], draws[2]]
    fits = resize.mode != "cover" and augmentation.scale == (1.0, 1.0)
    return [
        _span(*axis, fits=fits)
        for axis in zip(source, size, scales, position, strict=True)
    ]


def _scales(
    source: tuple[tf.Tensor, tf.Tensor], size: tuple[int, int], resize: Resize
) -> tuple[tf.Tensor, tf.Tensor]:
    """Canvas pixels per source pixel, vertically and horizontally, before jitter."""
    vertical, horizontal = size[0] / source[0], size[1] / source[1]
    if resize.mode == "stretch":
        return vertical, horizontal
    if resize.mode == "cover":
        scale = tf.maximum(vertical, horizontal)
    else:
        scale = tf.minimum(vertical, horizontal)
    if resize.short_side is not None:
        scale = tf.minimum(scale, resize.short_side / tf.minimum(*source))
    return scale, scale


def _span(
    source: tf.Tensor, canvas: int, scale: tf.Tensor, position: Number, *, fits: bool
) -> Span:
    """What is shown of one axis, where `position` 0 is its begin and 1 its end.

    `fits`: it is known that nothing is cut off.
    """
    scaled = tf.maximum(tf.round(source * scale), 1.0)
    extent = tf.minimum(scaled, float(canvas))
    size, low = source, 0.0
    if not fits:
        part = tf.clip_by_value(tf.round(extent / scale), 1.0, source)
        size = tf.where(scaled > canvas, part, source)
        low = _part(source - size, position)
    return Span(
        source=source,
        low=low,
        size=size,
        canvas=canvas,
        place=_part(canvas - extent, position),
        extent=extent,
    )


def _part(slack: tf.Tensor, position: Number) -> tf.Tensor:
    """Whole pixels before, of the slack before and after."""
    return tf.minimum(tf.math.floor((slack + 1.0) * position), slack)


def _flip(flipped: bool | tf.Tensor, plain: Number, mirrored: Number) -> Number:
    if isinstance(flipped, bool):
        return mirrored if flipped else plain
    return tf.where(
        flipped,
        tf.convert_to_tensor(mirrored, tf.float64),
        tf.convert_to_tensor(plain, tf.float64),
    )


def _float64_stack(values: Sequence[Number]) -> tf.Tensor:
    return tf.stack([tf.convert_to_tensor(value, tf.float64) for value in values])
