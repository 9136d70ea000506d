"""Pictures of one record for people: coloured masks, overlays and instances.

`segdata.drawing.sheet` lays whole records out on one sheet with a legend. Nothing
depends on the clock, on chance or on the fonts of the machine: the same records give
the same picture.
"""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from unicodedata import normalize

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from segdata.drawing.keypoints import draw_keypoints
from segdata.errors import OptionError
from segdata.label_map import RGB, LabelClass

UInt8Array = NDArray[np.uint8]
_Area = tuple[int, int, int, int]

UNKNOWN_COLOR: RGB = (0, 0, 0)
IGNORED_COLOR: RGB = (224, 224, 192)
"""For an ignored id that no class has. Pascal VOC's, whose background is black."""

_CLEAR = ("background", "bg")

PAPER, INK, DIM = (255,) * 3, (32, 34, 38), (140,) * 3


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnObject:
    """One instance."""

    name: str
    color: RGB
    box: tuple[float, float, float, float]  # ymin, xmin, ymax, xmax in pixels
    mask: UInt8Array | None  # [h, w], not 0 on the object; None where only a box
    is_crowd: bool = False  # a group in one mask: drawn striped
    is_thing: bool = True  # False: stuff such as sky, drawn without a box
    score: float | None = None  # confidence of a prediction
    # [keypoints, 3]: x and y in pixels, visibility 0 to 2; None or no row for none
    keypoints: NDArray[np.float32] | None = None
    skeleton: tuple[tuple[int, int], ...] = ()  # pairs of keypoints, from 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One record, decoded."""

    title: str  # such as the record's key
    image: UInt8Array  # [h, w, 3], RGB
    label_map: UInt8Array | None = None  # [h, w] class ids
    objects: tuple[DrawnObject, ...] = ()


def colorize(
    label_map: UInt8Array, classes: Sequence[LabelClass], ignore_id: int | None
) -> UInt8Array:
    """Colours every pixel by its class.

    Args:
      label_map: `[h, w] uint8` class ids; any size, also 0.
      classes: The classes with their colours, ids 0 to 255.
      ignore_id: Id of ignored pixels, 0 to 255, or `None`. Drawn in its class's colour
        or, if no class has it, in `IGNORED_COLOR`.

    Returns:
      `[h, w, 3] uint8`, RGB. Ids that mean nothing are black.
    """
    palette = np.full((256, 3), UNKNOWN_COLOR, np.uint8)
    if ignore_id is not None:
        palette[ignore_id] = IGNORED_COLOR
    for item in classes:
        palette[item.id] = item.color
    colored: UInt8Array = palette[label_map]
    return colored


def overlay(image: UInt8Array, colored: UInt8Array, alpha: float = 0.5) -> UInt8Array:
    """Lays a coloured mask over its image, with a bright line where colours meet.

    Black is not laid over it: it is the background of many datasets, and would only
    darken most of the picture.

    Args:
      image: `[h, w, 3] uint8`, RGB.
      colored: `[h, w, 3] uint8` as `colorize` returns it.
      alpha: Weight of the mask, 0 (only the image) to 1 (only the mask and its lines).

    Returns:
      `[h, w, 3] uint8`, a new array.

    Raises:
      OptionError: If the sizes differ or `alpha` is outside 0 to 1.
    """
    check_size("coloured mask", colored, image)
    if not 0 <= alpha <= 1:
        raise OptionError(f"alpha is {alpha}: expected 0 to 1.")
    line = np.zeros((*image.shape[:2], 1), np.bool_)
    # Marking one side of each border makes the line one pixel wide.
    line[1:] |= (colored[1:] != colored[:-1]).any(axis=2, keepdims=True)
    line[:, 1:] |= (colored[:, 1:] != colored[:, :-1]).any(axis=2, keepdims=True)
    mixed = _mix(image, colored, alpha * colored.any(axis=2, keepdims=True))
    return _mix(mixed, PAPER, line * min(1.0, 1.5 * alpha))


def lay_over(
    image: UInt8Array,
    label_map: UInt8Array,
    classes: Sequence[LabelClass],
    ignore_id: int | None,
    alpha: float = 0.5,
) -> UInt8Array:
    """Lays a label map over its image; the photo stays clear on the background.

    Args:
      image: `[h, w, 3] uint8`, RGB.
      label_map: `[h, w] uint8` class ids.
      classes: See `colorize`; one named `background` is not drawn, whatever its colour.
      ignore_id: See `colorize`.
      alpha: See `overlay`.

    Returns:
      `[h, w, 3] uint8`, a new array.
    """
    colored = colorize(label_map, classes, ignore_id)
    clear = [item.id for item in classes if item.name.strip("_").lower() in _CLEAR]
    colored[np.isin(label_map, clear)] = UNKNOWN_COLOR
    return overlay(image, colored, alpha)


def scale_object(item: DrawnObject, old: UInt8Array, new: UInt8Array) -> DrawnObject:
    """The same object on its image at another size.

    Args:
      item: The object on `old`.
      old: `[h, w, 3]` the image.
      new: `[h, w, 3]` the same, scaled.

    Raises:
      OptionError: If its mask has another size than `old`.
    """
    height, width = new.shape[:2]
    y, x = height / old.shape[0], width / old.shape[1]
    ymin, xmin, ymax, xmax = item.box
    mask, keypoints = item.mask, item.keypoints
    if mask is not None:
        check_size(f"mask of {item.name!r}", mask, old)
        scaled = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
        mask = np.array(scaled)
    if keypoints is not None:
        keypoints = keypoints * np.array((x, y, 1), np.float32)
    box = (ymin * y, xmin * x, ymax * y, xmax * x)
    return replace(item, box=box, mask=mask, keypoints=keypoints)


def draw_objects(image: UInt8Array, objects: Sequence[DrawnObject]) -> UInt8Array:
    """Draws instances: translucent masks with outlines, boxes, and tags with names.

    Small objects lie on top of large ones. Objects smaller than their tag go without
    one, and so do the smaller ones where tags would cover each other. Crowds are
    striped, mask and box; stuff has no box. Keypoints lie above all masks; see
    `segdata.drawing.keypoints`.

    Args:
      image: `[h, w, 3] uint8`, RGB, at least one pixel.
      objects: Instances in pixels of `image`. Boxes may reach beyond it.

    Returns:
      `[h, w, 3] uint8`, a new array.

    Raises:
      OptionError: If a mask has another size than the image.
    """
    by_size = sorted(
        objects,
        key=lambda item: (item.box[2] - item.box[0]) * (item.box[3] - item.box[1]),
        reverse=True,
    )
    pixels = image
    for item in by_size:
        pixels = _draw_shape(pixels, item)
    canvas = Image.fromarray(pixels)
    for item in by_size:
        if item.keypoints is not None:
            draw_keypoints(canvas, item.keypoints, item.skeleton, item.color)
    taken = np.zeros(pixels.shape[:2], np.bool_)
    for item in by_size:
        _draw_tag(canvas, item, taken)
    return np.array(canvas)


def check_size(what: str, array: NDArray[np.uint8], image: UInt8Array) -> None:
    """Raises `OptionError` if `array` has another height or width than `image`."""
    if array.shape[:2] != image.shape[:2]:
        (height, width), got = image.shape[:2], "x".join(map(str, array.shape[:2]))
        raise OptionError(
            f"{what} does not fit its image: expected {height}x{width}, got {got}."
        )


def _mix(pixels: UInt8Array, color: ArrayLike, weight: ArrayLike) -> UInt8Array:
    """Moves pixels towards `color`; both arguments broadcast against `[h, w, 3]`."""
    amount = np.asarray(weight, np.float32)
    mixed = pixels * (1 - amount) + np.asarray(color, np.float32) * amount
    return np.rint(mixed).astype(np.uint8)


def _draw_shape(pixels: UInt8Array, item: DrawnObject) -> UInt8Array:
    """Draws mask, outline and box."""
    height, width = pixels.shape[:2]
    weight = np.zeros((height, width), np.float32)
    y, x = np.ogrid[:height, :width]
    stripes = (y + x) // 4 % 2 == 0 if item.is_crowd else np.True_
    if item.mask is not None:
        check_size(f"mask of {item.name!r}", item.mask, pixels)
        mask = item.mask != 0
        weight[mask & stripes] = 0.45
        # Pixels of the object with a neighbour that is none, left, right, up or down.
        pad = np.pad(mask, 1)
        inner = pad[:-2, 1:-1] & pad[2:, 1:-1] & pad[1:-1, :-2] & pad[1:-1, 2:]
        weight[mask & ~inner] = 1
    left, top, right, bottom = _pixel_box(item, width, height)
    frame = np.zeros((height, width), np.bool_)
    frame[top : bottom + 1, left : right + 1] = True
    frame[top + 1 : bottom, left + 1 : right] = False
    if item.is_thing or item.mask is None:
        weight[frame & stripes] = 1
    return _mix(pixels, item.color, weight[:, :, None])


def _pixel_box(item: DrawnObject, width: int, height: int) -> _Area:
    """First column and row of the box, and its last ones, inside the image."""
    ymin, xmin, ymax, xmax = item.box
    left = min(max(0, math.floor(xmin)), width - 1)
    top = min(max(0, math.floor(ymin)), height - 1)
    right = min(max(left, math.ceil(xmax) - 1), width - 1)
    bottom = min(max(top, math.ceil(ymax) - 1), height - 1)
    return left, top, right, bottom


def _draw_tag(canvas: Image.Image, item: DrawnObject, taken: NDArray[np.bool_]) -> None:
    """Writes the name above, in or at the foot of the box, where no other tag is."""
    text = item.name + (" (crowd)" if item.is_crowd else "")
    text += "" if item.score is None else f" {item.score:.2f}"
    luma = np.dot(item.color, (0.299, 0.587, 0.114))
    ink, size = (INK if luma > 140 else PAPER), max(11, max(canvas.size) // 60)
    tag = text_strip(f" {text} ", canvas.width // 2, size, ink, item.color)
    left, top, right, bottom = _pixel_box(item, *canvas.size)
    covers_object = tag.width * tag.height > (right + 1 - left) * (bottom + 1 - top)
    if covers_object or tag.width > canvas.width or tag.height > canvas.height:
        return
    x = min(left, canvas.width - tag.width)
    for wanted in (top - tag.height, top, bottom + 1 - tag.height):
        y = min(max(0, wanted), canvas.height - tag.height)
        area = taken[y : y + tag.height, x : x + tag.width]
        if not area.any():
            area[:] = True
            canvas.paste(tag, (x, y))
            return


def text_strip(
    text: str, max_width: int, size: int, color: RGB, background: RGB = PAPER
) -> Image.Image:
    """One line of text on a strip of its size, shortened in the middle to fit."""
    plain = "".join(c if _is_drawable(c) else "?" for c in normalize("NFC", text))
    font = _font(size)

    def shortened(kept: int) -> str:
        return f"{plain[: (kept + 1) // 2]}\u2026{plain[len(plain) - kept // 2 :]}"

    line, limit = plain, min(len(plain), max(1, max_width))  # letters have >= 1 pixel
    if len(plain) > limit or font.getlength(plain) > max_width:
        fitting = bisect_right(
            range(limit),
            float(max_width),
            key=lambda kept: font.getlength(shortened(kept)),
        )
        line = shortened(max(0, fitting - 1))
    width = max(1, math.ceil(font.getlength(line)))
    strip = Image.new("RGB", (width, size + 4), background)
    middle = (0, strip.height / 2)
    ImageDraw.Draw(strip).text(middle, line, color, font, anchor="lm")
    return strip


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    # A package's font, not the machine's: the same names look the same everywhere.
    path = files("fontpkg_noto_sans") / "files" / "NotoSans[wdth,wght].ttf"
    return ImageFont.truetype(io.BytesIO(path.read_bytes()), size)


@cache
def _is_drawable(letter: str) -> bool:
    """Whether the font has a letter: Latin, Greek, Cyrillic and some more."""
    if not letter.isprintable():
        return False
    font = _font(16)
    return letter == " " or bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))
