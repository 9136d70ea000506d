"""Label images: PNGs of class indices or of class colours -> label-map runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segdata.annotations import LabelEncoding, MaskEncoding
from segdata.errors import AnnotationError
from segdata.images import decode, modes
from segdata.images.orientation import Exif, turn_pixels
from segdata.label_map import LabelMap
from segdata.masks import rle

_MAX_LISTED = 20
_MAX_NAMED = 3  # unknown values spelled out in one message


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRuns:
    """A label map as row-major runs of contiguous class ids."""

    values: NDArray[np.uint8]
    """`[runs]`, class id of each run."""
    lengths: NDArray[np.int64]
    """`[runs]`, pixels of each run, summing to `height * width`."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""
    voided_pixels: int
    """Pixels of unknown source values that went to `LabelMap.unknown_id`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceRuns:
    """An image of labels as row-major runs of the values that its file holds."""

    codes: NDArray[Any]
    """`[runs]`, value of each run; no two neighbours are equal."""
    lengths: NDArray[np.int64]
    """`[runs]`, pixels of each run, summing to `height * width`."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""


def read_source_runs(
    data: bytes,
    encoding: LabelEncoding | MaskEncoding,
    name: str,
    *,
    exif: Exif = "auto",
) -> SourceRuns:
    """Decodes an image of labels.

    Args:
      data: The whole file, in a lossless format.
      encoding: Which value of a pixel counts. `index`: the stored sample or palette
        index. `color`: `0xRRGGBB`, whether stored directly, by a palette, or with an
        alpha channel, which is ignored. `id24`: likewise `0xBBGGRR`, which is
        `R + 256 * G + 65536 * B`.
      name: For messages.
      exif: Whether the image's own EXIF orientation counts, as for photos.

    Raises:
      ImageError: If the file cannot be decoded without loss.
      AnnotationError: If it is coloured where indices are expected.
    """
    image, orientation = decode.decode_label_image(data, name)
    by_index = encoding == "index"
    if not by_index:
        modes.check_colors(image, data, name)
    pixels = _indices(image, data, name) if by_index else _color_codes(image)
    pixels = turn_pixels(pixels, image, orientation, upright=exif != "ignore")
    codes, lengths = rle.encode_label_map(pixels)
    if encoding == "id24":
        codes = (codes >> 16) | (codes & 0xFF00) | ((codes & 0xFF) << 16)
    return SourceRuns(
        codes=codes, lengths=lengths, height=pixels.shape[0], width=pixels.shape[1]
    )


def to_label_runs(
    source: SourceRuns, encoding: LabelEncoding, label_map: LabelMap, name: str
) -> LabelRuns:
    """Maps source values to contiguous class ids.

    Args:
      source: From `read_source_runs` with the same encoding.
      encoding: Whether its values are source ids or colours.
      label_map: Its `semantic_classes` say which source value is which class.
      name: For messages.

    Raises:
      AnnotationError: If it holds a value that is no class of `label_map` and
        `label_map.unknown_id` is None.
    """
    if encoding == "color":
        table: Mapping[Any, int] = {
            (r << 16) | (g << 8) | b: class_id
            for (r, g, b), class_id in label_map.semantic_by_source_color.items()
        }
    else:
        table = label_map.semantic_by_source_id
    values, voided = _to_classes(
        source.codes, source.lengths, table, label_map, encoding, name
    )
    values, lengths = rle.merge_label_runs(values, source.lengths)
    return LabelRuns(
        values=values,
        lengths=lengths,
        height=source.height,
        width=source.width,
        voided_pixels=voided,
    )


def _color_codes(image: Image.Image) -> NDArray[Any]:
    """`[height, width]` of `0xRRGGBB`."""
    pixels = np.frombuffer(image.convert("RGBA").tobytes(), ">u4") >> 8
    return pixels.reshape(image.height, image.width)


def _indices(image: Image.Image, data: bytes, name: str) -> NDArray[Any]:
    """`[height, width]` of stored sample values."""
    pixels, bits = modes.stored_samples(image, data, name)
    if image.mode in ("LA", "PA") and bits <= 8:
        return pixels[..., 0]
    if image.mode in ("RGB", "RGBA") and bits == 8:
        if (pixels[..., :3] != pixels[..., :1]).any():
            raise AnnotationError(
                f"label image {name!r} is coloured: expected class indices, or equal "
                "red, green and blue. If its colours are the classes, it belongs to a "
                "colour-coded layout.",
                reason="label-image-colored",
            )
        return pixels[..., 0]
    is_whole = pixels.dtype.kind != "f" or bool(
        (np.isfinite(pixels) & (pixels == np.floor(pixels))).all()
    )
    if pixels.ndim == 3 or not is_whole:
        raise AnnotationError(
            f"label image {name!r} has pixels of mode {image.mode} and {bits} bits: "
            "expected class indices in one channel, or 8-bit RGB.",
            reason="label-image-mode",
        )
    return pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels


def _to_classes(
    codes: NDArray[Any],
    lengths: NDArray[np.int64],
    table: Mapping[Any, int],
    label_map: LabelMap,
    encoding: LabelEncoding,
    name: str,
) -> tuple[NDArray[np.uint8], int]:
    """Maps the source value of each run to its class id; counts what is unknown."""
    distinct, inverse = _distinct(codes)
    known = [table.get(code, -1) for code in distinct.tolist()]
    classes = np.array(known, np.int64)
    is_unknown = classes < 0
    if not is_unknown.any():
        return classes.astype(np.uint8)[inverse], 0
    pixels = np.bincount(inverse, weights=lengths, minlength=len(distinct))
    if label_map.unknown_id is None:
        raise _unknown_values(
            distinct[is_unknown], pixels[is_unknown], encoding, label_map, name
        )
    classes[is_unknown] = label_map.unknown_id
    return classes.astype(np.uint8)[inverse], int(pixels[is_unknown].sum())


def _distinct(codes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """`np.unique(..., return_inverse=True)`, without the sort for 8-bit codes."""
    if codes.dtype != np.uint8:
        distinct, inverse = np.unique(codes, return_inverse=True)
        return distinct, inverse
    distinct = np.flatnonzero(np.bincount(codes, minlength=256))
    positions = np.zeros(256, np.intp)
    positions[distinct] = np.arange(len(distinct))
    return distinct, positions[codes]


def _unknown_values(
    codes: NDArray[Any],
    pixels: NDArray[Any],
    encoding: LabelEncoding,
    label_map: LabelMap,
    name: str,
) -> AnnotationError:
    def spelled(code: int) -> str:
        if encoding == "color":
            return f"colour ({code >> 16}, {code >> 8 & 255}, {code & 255})"
        return f"value {code}"

    largest = np.argsort(-pixels, kind="stable")[:_MAX_NAMED]
    named = ", ".join(
        f"{spelled(int(codes[i]))} in {int(pixels[i])} pixels" for i in largest
    )
    more = f" and {len(codes) - _MAX_NAMED} more" if len(codes) > _MAX_NAMED else ""
    if encoding == "color":
        known = f"one of the {len(label_map.semantic_by_source_color)} class colours"
    else:
        known = _listed(label_map.semantic_by_source_id)
    return AnnotationError(
        f"label image {name!r} has unknown {named}{more}: expected {known}. Correct "
        "the label, choose another class set, or send unknown values to void.",
        reason=f"unknown-label-{encoding}",
    )


def _listed(values: Collection[int | str]) -> str:
    """Values of classes in short: `0 to 11`, or the first of them."""
    numbers = sorted(value for value in values if isinstance(value, int))
    if numbers == list(range(len(values))) and len(numbers) > 2:
        return f"0 to {numbers[-1]}"
    shown = [*numbers, *sorted(value for value in values if isinstance(value, str))]
    more = f" and {len(shown) - _MAX_LISTED} more" if shown[_MAX_LISTED:] else ""
    return f"one of {shown[:_MAX_LISTED]}{more}"
