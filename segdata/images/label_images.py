"""Label images: PNGs of class indices or of class colours -> label-map runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segdata.annotations import LabelEncoding, MaskEncoding
from segdata.errors import AnnotationError
from segdata.images import decode, modes
from segdata.images.orientation import Exif, turn_pixels
from segdata.images.plain_png import plain_samples
from segdata.label_map import LabelMap
from segdata.masks import compiled, rle

_MAX_LISTED = 20
_MAX_COLOR_PIXELS = 1 << 26
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
    moved_pixels: int = 0
    """Pixels of other values that got the nearest class, within the tolerance."""


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
    may_be_lossy: bool = False,
) -> SourceRuns:
    """Decodes an image of labels.

    Args:
      data: The whole file, in a lossless format unless `may_be_lossy`.
      encoding: Which value of a pixel counts. `index`: the stored sample or palette
        index. `color`: `0xRRGGBB`, whether stored directly, by a palette, or with an
        alpha channel, which is ignored. `id24`: likewise `0xBBGGRR`, which is
        `R + 256 * G + 65536 * B`. `binary`: 0 or 255 by zero and not zero, whatever
        the depth; of a lossy file the grey value itself.
      name: For messages.
      exif: Whether the image's own EXIF orientation counts, as for photos.
      may_be_lossy: Whether its compression may have changed the values.

    Raises:
      ImageError: If the file cannot be decoded without loss.
      AnnotationError: If it is coloured where indices are expected.
    """
    if (plain := _plain_runs(data, encoding)) is not None:
        return plain
    image, orientation = decode.decode_label_image(
        data, name, may_be_lossy=may_be_lossy
    )
    if len(image.getbands()) > 1 or encoding in ("color", "id24"):
        _check_color_size(image, name)
    if encoding == "index":
        pixels = _indices(image, data, name)
    elif encoding == "binary":
        pixels = _zero_or_not(image, data, name, as_stored=may_be_lossy)
    else:
        modes.check_colors(image, data, name)
        pixels = _color_codes(image)
    pixels = turn_pixels(pixels, image, orientation, upright=exif != "ignore")
    codes, lengths = rle.encode_label_map(pixels)
    return _source_runs(codes, lengths, encoding, pixels.shape)


def _plain_runs(
    data: bytes, encoding: LabelEncoding | MaskEncoding
) -> SourceRuns | None:
    """The runs of a PNG that needs no Pillow; None for another."""
    if encoding == "binary":
        return None
    has_colors = encoding != "index"
    pixels = plain_samples(data, colors=has_colors)
    if pixels is None:
        return None
    if not has_colors:
        codes, lengths = rle.encode_label_map(pixels)
        return _source_runs(codes, lengths, encoding, pixels.shape)
    changes = compiled.changes(pixels.reshape(-1, 3))
    if changes is None:
        return None
    starts = np.concatenate(([0], changes))
    red, green, blue = pixels.reshape(-1, 3)[starts].astype(np.uint32).T
    lengths = np.diff(starts, append=pixels.size // 3)
    codes = (red << 16) | (green << 8) | blue
    return _source_runs(codes, lengths, encoding, pixels.shape)


def _source_runs(
    codes: NDArray[Any],
    lengths: NDArray[np.int64],
    encoding: LabelEncoding | MaskEncoding,
    shape: tuple[int, ...],
) -> SourceRuns:
    if encoding == "id24":
        codes = (codes >> 16) | (codes & 0xFF00) | ((codes & 0xFF) << 16)
    return SourceRuns(codes=codes, lengths=lengths, height=shape[0], width=shape[1])


def to_label_runs(
    source: SourceRuns,
    encoding: LabelEncoding,
    label_map: LabelMap,
    name: str,
    *,
    tolerance: int = 0,
) -> LabelRuns:
    """Maps source values to contiguous class ids.

    Args:
      source: From `read_source_runs` with the same encoding.
      encoding: Whether its values are source ids, colours, or 0 and 255 for the source
        ids 0 and 1.
      label_map: Its `semantic_classes` say which source value is which class.
      name: For messages.
      tolerance: How far a value may lie from that of its class, in each channel. It
        gets the nearest class, of equals the one that is listed first.

    Raises:
      AnnotationError: If it holds a value that is no class of `label_map` and
        `label_map.unknown_id` is None.
    """
    table = _class_values(label_map, encoding)
    distinct, inverse = _distinct(source.codes)
    known = [table.get(code, -1) for code in distinct.tolist()]
    classes = np.array(known, np.int64)
    moved = voided = 0
    if (classes < 0).any():
        pixels = np.bincount(inverse, weights=source.lengths, minlength=len(distinct))
        if tolerance:
            split = _rgb if encoding == "color" else _single
            moved = _move_to_nearest(classes, distinct, pixels, table, tolerance, split)
        unknown = classes < 0
        voided = int(pixels[unknown].sum())
        if voided and label_map.unknown_id is None:
            raise _unknown_values(
                distinct[unknown], pixels[unknown], encoding, label_map, name
            )
        if label_map.unknown_id is not None:
            classes[unknown] = label_map.unknown_id
    values, lengths = rle.merge_label_runs(
        classes.astype(np.uint8)[inverse], source.lengths
    )
    return LabelRuns(
        values=values,
        lengths=lengths,
        height=source.height,
        width=source.width,
        voided_pixels=voided,
        moved_pixels=moved,
    )


def _class_values(label_map: LabelMap, encoding: LabelEncoding) -> dict[Any, int]:
    """Value as `read_source_runs` gives it -> class id."""
    if encoding == "color":
        colors = label_map.semantic_by_source_color.items()
        return {(r << 16) | (g << 8) | b: class_id for (r, g, b), class_id in colors}
    by_id = label_map.semantic_by_source_id
    if encoding == "binary":
        return {255 * value: by_id[value] for value in (0, 1) if value in by_id}
    return dict(by_id)


def _move_to_nearest(
    classes: NDArray[np.int64],
    distinct: NDArray[Any],
    pixels: NDArray[Any],
    table: Mapping[Any, int],
    tolerance: int,
    channels: Callable[[NDArray[Any]], NDArray[np.int64]],
) -> int:
    """Gives values without a class the nearest one; how many pixels that moves."""
    centres = np.array([value for value in table if isinstance(value, int)], np.int64)
    ids = np.array([table[value] for value in centres.tolist()])
    unknown = np.flatnonzero(classes < 0)
    moved = 0
    for part in np.array_split(unknown, max(1, len(unknown) * len(ids) >> 20)):
        steps = np.abs(channels(distinct[part])[:, None] - channels(centres))
        nearest = np.square(steps).sum(axis=2).argmin(axis=1)
        is_near = steps[np.arange(len(part)), nearest].max(axis=1) <= tolerance
        classes[part[is_near]] = ids[nearest[is_near]]
        moved += int(pixels[part[is_near]].sum())
    return moved


def _rgb(codes: NDArray[Any]) -> NDArray[np.int64]:
    return codes.astype(np.int64)[:, None] >> [16, 8, 0] & 255


def _single(codes: NDArray[Any]) -> NDArray[np.int64]:
    return codes.astype(np.int64)[:, None]


def _check_color_size(image: Image.Image, name: str) -> None:
    """Refuses what would take a gigabyte: a few bytes for each pixel, several times."""
    if image.width * image.height > _MAX_COLOR_PIXELS:
        raise AnnotationError(
            f"label image {name!r} has {image.height}x{image.width} pixels of several "
            f"channels, or of colours: at most {_MAX_COLOR_PIXELS} are read. Store "
            "class indices, or cut it into tiles.",
            reason="label-image-too-large",
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


def _zero_or_not(
    image: Image.Image, data: bytes, name: str, *, as_stored: bool
) -> NDArray[np.uint8]:
    """`[height, width]` of 0 and 255, or of grey values where they are wanted."""
    if image.mode in ("RGB", "RGBA") or (image.mode == "P" and _is_inverted(image)):
        modes.check_colors(image, data, name)
        pixels: NDArray[Any] = np.asarray(image.convert("RGB")).max(axis=2)
    else:
        pixels = _indices(image, data, name)
    if as_stored and pixels.dtype == np.uint8 and image.mode not in ("1", "P"):
        return pixels
    return np.where(pixels != 0, np.uint8(255), np.uint8(0))


def _is_inverted(image: Image.Image) -> bool:
    """Whether a palette says that index 0 is not black, and another one is."""
    palette = image.getpalette("RGB") or []
    colors = list(zip(palette[::3], palette[1::3], palette[2::3], strict=False))
    return colors[:1] != [(0, 0, 0)] and (0, 0, 0) in colors[1:]


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
    elif encoding == "binary":
        known = "black or white"
    else:
        known = _listed(label_map.semantic_by_source_id)
    remedy = "choose another class set, or ignore unknown values (--unknown void)"
    if encoding == "index":
        value = codes[largest[0]]
        remedy = (
            f"add the class to the class file ('{value} NAME'), or skip its pixels "
            f"(--ignore {value}, or --unknown void for all)"
        )
    return AnnotationError(
        f"label image {name!r} has unknown {named}{more}: expected {known}. Correct "
        f"the label, or {remedy}.",
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
