"""Ops that move image and label map along one geometry, and keep them aligned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from segdata.reading.geometry import Geometry, Number
from segdata.streams.label_maps import sample_label_map
from segdata.streams.nearest import of_span
from segdata.streams.parse import decode_image
from segdata.streams.tensorflow import tf


def resize_image(image: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Stretches an image by bilinear sampling at half-pixel centres.

    Where it shrinks, antialiased: otherwise what a model sees would depend on the size
    that images are stored at, for pixels between the samples would be left out. The
    label map that belongs to it comes from `label_maps.resize_label_map`, which
    samples at the same centres.

    Args:
      image: `[height, width, 3] uint8`.
      size: Output `(height, width)` in pixels.

    Returns:
      `[size[0], size[1], 3] uint8`, rounded to nearest.
    """
    return tf.ensure_shape(_rounded(_stretched(image, size)), (*size, 3))


def decode_shown(
    encoded: tf.Tensor, image_format: tf.Tensor, geometry: Geometry
) -> tf.Tensor:
    """Decodes the part of an image file that a geometry shows.

    Args:
      encoded: `[] string`, JPEG or PNG.
      image_format: `[] string`, `jpeg` or `png`.
      geometry: How the image lies on the canvas.

    Returns:
      `[rows shown, columns shown, 3] uint8`, RGB.
    """
    if geometry.rows.shows_all and geometry.columns.shows_all:
        return decode_image(encoded)
    window = tf.stack(_int32s(geometry, "low") + _int32s(geometry, "size"))
    # The JPEG decoder leaves out most of its work outside of the window.
    return tf.cond(
        tf.equal(image_format, "jpeg"),
        lambda: tf.image.decode_and_crop_jpeg(encoded, window, channels=3),
        lambda: cut(decode_image(encoded), geometry),
    )


def cut(image: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """The part of a stored image that a geometry shows."""
    return tf.slice(
        image, [*_int32s(geometry, "low"), 0], [*_int32s(geometry, "size"), 3]
    )


def move_image(
    shown: tf.Tensor,
    geometry: Geometry,
    pad_color: Sequence[int] = (0, 0, 0),
    recolor: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> tf.Tensor:
    """Moves an image along a geometry, by bilinear sampling of what is shown.

    Antialiased where it shrinks, as in `resize_image`.

    Args:
      shown: `[rows shown, columns shown, 3] uint8`, from `decode_shown` or `cut`.
      geometry: How the image lies on the canvas.
      pad_color: Colour of padding, 0 to 255.
      recolor: Changes the colours of `[height, width, 3] float32`, 0 to 255; not those
        of padding.

    Returns:
      `[height, width, 3] uint8` of the canvas, rounded to nearest.
    """
    stretched = _stretched(shown, tf.cast(geometry.both("extent"), tf.int32))
    moved = _rounded(stretched if recolor is None else recolor(stretched))
    return _on_canvas(moved, geometry, pad_color)


def move_label_map(
    values: tf.Tensor,
    lengths: tf.Tensor,
    geometry: Geometry,
    padding_id: int,
    where: str | tf.Tensor = "",
) -> tf.Tensor:
    """Moves a label map along a geometry, by nearest sampling of its runs.

    Args:
      values: `[] string`, one uint8 class id per run.
      lengths: `[runs] int64`, pixels of each run.
      geometry: How the image lies on the canvas.
      padding_id: Label-map id of padding.
      where: Name of the record, for messages.

    Returns:
      `[height, width] uint8` of the canvas.

    Raises:
      tf.errors.InvalidArgumentError: If runs and image size do not agree.
    """
    rows, columns = geometry.rows, geometry.columns
    sampled = sample_label_map(
        values,
        lengths,
        rows.source,
        columns.source,
        of_span(rows),
        of_span(columns),
        where,
    )
    return _on_canvas(sampled[..., tf.newaxis], geometry, [padding_id])[..., 0]


def move_masks(masks: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """Puts masks that were sampled where the image is shown onto the canvas.

    Args:
      masks: `[n, rows shown, columns shown] uint8`.
      geometry: How the image lies on the canvas.

    Returns:
      `[n, height, width] uint8`, 0 on padding.
    """
    rows, columns = geometry.rows, geometry.columns
    count = masks.shape[0]
    if not (rows.is_whole and columns.is_whole):
        masks = tf.pad(masks, tf.concat([[[0, 0]], _padding(geometry)], 0))
    masks = flip(flip(masks, 1, rows.flipped), 2, columns.flipped)
    return tf.ensure_shape(masks, (count, *geometry.size))


def flip(tensor: tf.Tensor, axis: int, flipped: bool | tf.Tensor) -> tf.Tensor:
    """Mirrors a tensor along an axis where `flipped`, `[] bool`, says so."""
    if isinstance(flipped, bool):
        return tf.reverse(tensor, [axis]) if flipped else tensor
    return tf.cond(flipped, lambda: tf.reverse(tensor, [axis]), lambda: tensor)


def _stretched(image: tf.Tensor, size: object) -> tf.Tensor:
    """`[height, width, 3] uint8` -> the same at another size, `float32`."""
    images, size = image[tf.newaxis], tf.convert_to_tensor(size, tf.int32)
    before = tf.shape(image)[:2]

    def antialiased() -> tf.Tensor:
        return tf.raw_ops.ScaleAndTranslate(
            images=images,
            size=size,
            scale=tf.cast(size, tf.float32) / tf.cast(before, tf.float32),
            translation=tf.zeros([2]),
            kernel_type="triangle",
            antialias=True,
        )

    def interpolated() -> tf.Tensor:  # the same without shrinking, and faster
        return tf.raw_ops.ResizeBilinear(
            images=images, size=size, half_pixel_centers=True
        )

    return tf.cond(tf.reduce_any(size < before), antialiased, interpolated)[0]


def _rounded(image: tf.Tensor) -> tf.Tensor:
    """To uint8: a mean of bytes lies between 0 and 255, so nothing can overflow."""
    return tf.cast(image + 0.5, tf.uint8)


def _on_canvas(
    shown: tf.Tensor, geometry: Geometry, padding: Sequence[int]
) -> tf.Tensor:
    """`[rows shown, columns shown, channels] uint8` -> all of the canvas, flipped."""
    rows, columns = geometry.rows, geometry.columns
    if not (rows.is_whole and columns.is_whole):
        shown = _pad(shown, _padding(geometry), padding)
    shown = flip(flip(shown, 0, rows.flipped), 1, columns.flipped)
    return tf.ensure_shape(shown, (*geometry.size, len(padding)))


def _pad(shown: tf.Tensor, paddings: tf.Tensor, padding: Sequence[int]) -> tf.Tensor:
    first, *others = padding
    if all(other == first for other in others):
        value = tf.constant(first, shown.dtype)
        paddings = tf.concat([paddings, [[0, 0]]], 0)
        return tf.pad(shown, paddings, constant_values=value)
    # One value for all channels is all that `tf.pad` takes.
    channels = tf.unstack(shown, axis=-1)
    return tf.stack(
        [
            tf.pad(channel, paddings, constant_values=tf.cast(value, shown.dtype))
            for channel, value in zip(channels, padding, strict=True)
        ],
        axis=-1,
    )


def _padding(geometry: Geometry) -> tf.Tensor:
    """Rows and columns of padding, before and after: `[2, 2] int32`."""
    before, extent = geometry.both("place"), geometry.both("extent")
    after = tf.constant(geometry.size, tf.float64) - before - extent
    return tf.cast(tf.stack([before, after], 1), tf.int32)


def _int32s(geometry: Geometry, field: str) -> list[Number]:
    """A field of both axes, vertical first."""
    return [_int32(getattr(span, field)) for span in (geometry.rows, geometry.columns)]


def _int32(value: Number) -> Number:
    return int(value) if isinstance(value, float) else tf.cast(value, tf.int32)
