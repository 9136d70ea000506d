"""Sheets of records for people: `grid` lays records out with a legend."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from segdata.drawing.draw import (
    DIM,
    INK,
    PAPER,
    Picture,
    UInt8Array,
    check_size,
    colorize,
    draw_objects,
    lay_over,
    scale_object,
    text_strip,
)
from segdata.drawing.keypoints import KEYPOINT_NOTE
from segdata.errors import OptionError
from segdata.label_map import RGB, LabelMap

_BLANK = (240, 241, 243)
_MARGIN, _CELL_GAP, _RECORD_GAP, _LEGEND_WIDTH = 24, 6, 28, 220


@dataclass(frozen=True, kw_only=True, slots=True)
class LegendEntry:
    """One class that occurs in the pictures shown."""

    name: str
    color: RGB
    share: float = 0.0  # of all label-map pixels, 0 to 1
    num_objects: int = 0
    is_ignored: bool = False


def grid(
    pictures: Sequence[Picture], label_map: LabelMap, *, cell_width: int = 320
) -> Image.Image:
    """Lays records out on one sheet: image, classes, overlay, objects; and a legend.

    Columns that no record needs are left out: three columns for label maps, two for
    instances, four for both. As many records stand side by side as suits a screen.

    Args:
      pictures: Decoded records, at least one, of any sizes from 1x1.
      label_map: Names and colours of the classes.
      cell_width: Width of a cell, and of the longer side of the images, in pixels:
        16 to 4096.

    Returns:
      An RGB image.

    Raises:
      OptionError: If there is no picture, `cell_width` is out of range, or the arrays
        of a picture do not fit each other.
    """
    if not pictures:
        raise OptionError("there are no records to draw: expected at least one.")
    if not 16 <= cell_width <= 4096:
        raise OptionError(f"cell_width is {cell_width}: expected 16 to 4096.")
    cells = [_cells(picture, label_map, cell_width) for picture in pictures]
    used = {name for row in cells for name in row}
    columns = [n for n in ("image", "classes", "overlay", "objects") if n in used]
    records = [
        _record(picture.title, row, columns, cell_width)
        for picture, row in zip(pictures, cells, strict=True)
    ]
    captions = [text_strip(name, cell_width, 12, DIM) for name in columns]
    header = arrange(captions, len(columns), _CELL_GAP, width=cell_width)
    per_row = _records_per_row(records)
    parts = [
        arrange([header] * per_row, per_row, _RECORD_GAP),
        arrange(records, per_row, _RECORD_GAP, 14),
    ]
    if legend_entries(pictures, label_map):
        width = max(parts[1].width, _LEGEND_WIDTH)
        parts.append(legend(pictures, label_map, width))
        if any(_has_keypoints(picture) for picture in pictures):
            parts.append(text_strip(KEYPOINT_NOTE, width, 13, DIM))
    sheet = arrange(parts, 1, 0, 10)
    page = Image.new("RGB", (sheet.width + 48, sheet.height + 48), PAPER)
    page.paste(sheet, (_MARGIN, _MARGIN))
    return page


def legend_entries(
    pictures: Sequence[Picture], label_map: LabelMap
) -> tuple[LegendEntry, ...]:
    """Lists the classes that occur in the pictures, and how often they do.

    Args:
      pictures: Decoded records.
      label_map: Names and colours of the classes.

    Returns:
      What label maps show, by id, also ids without a class; then what only objects
      show, in the colour of the first. Shares sum to 1 where there are any pixels.
    """
    counts = np.zeros(256, np.int64)
    for picture in pictures:
        if picture.label_map is not None:
            counts += np.bincount(picture.label_map.reshape(-1), minlength=256)
    classes, ignore_id = label_map.semantic_classes, label_map.ignore_id
    palette = colorize(np.arange(256, dtype=np.uint8), classes, ignore_id).tolist()
    names = {value: f"id {value}, no class" for value in range(256)}
    names |= {item.id: item.name for item in classes}
    occurring = np.flatnonzero(counts).tolist()
    shares = {names[value]: float(counts[value] / counts.sum()) for value in occurring}
    colors: dict[str, Sequence[int]] = {
        names[value]: palette[value] for value in occurring
    }
    drawn = [item for picture in pictures for item in picture.objects]
    for item in drawn:
        colors.setdefault(item.name, item.color)
    num_objects = Counter(item.name for item in drawn)
    ignored = None if ignore_id is None else names[ignore_id]
    return tuple(
        LegendEntry(
            name=name,
            color=_rgb(colors[name]),
            share=shares.get(name, 0.0),
            num_objects=num_objects[name],
            is_ignored=name == ignored,
        )
        for name in dict.fromkeys([*shares, *label_map, *num_objects])
        if name in colors
    )


def _cells(
    picture: Picture, label_map: LabelMap, cell_width: int
) -> dict[str, Image.Image]:
    """The images of each column. Drawn after scaling, so that lines stay sharp."""
    height, width = picture.image.shape[:2]
    scale = cell_width / max(width, height)  # tall images leave room at their sides
    size = (max(1, round(width * scale)), max(1, round(height * scale)))

    def resize(pixels: UInt8Array, resampling: Image.Resampling) -> UInt8Array:
        return np.array(Image.fromarray(pixels).resize(size, resampling))

    image = resize(picture.image, Image.Resampling.LANCZOS)
    cells = {"image": image}
    if picture.label_map is not None:
        check_size(f"label map of {picture.title!r}", picture.label_map, picture.image)
        ids = resize(picture.label_map, Image.Resampling.NEAREST)
        known = (label_map.semantic_classes, label_map.ignore_id)
        laid_over = lay_over(image, ids, *known)
        cells |= {"classes": colorize(ids, *known), "overlay": laid_over}
    if picture.objects:
        objects = [scale_object(item, picture.image, image) for item in picture.objects]
        cells["objects"] = draw_objects(image, objects)
    return {name: Image.fromarray(pixels) for name, pixels in cells.items()}


def _has_keypoints(picture: Picture) -> bool:
    found = (item.keypoints for item in picture.objects if item.keypoints is not None)
    return any(bool((points[:, 2] > 0).any()) for points in found)


def _record(
    title: str, cells: dict[str, Image.Image], columns: Sequence[str], cell_width: int
) -> Image.Image:
    """Title and cells of one record, its missing cells left blank."""
    images = []
    for column in columns:
        cell = Image.new("RGB", (cell_width, cells["image"].height), _BLANK)
        if column in cells:
            cell.paste(cells[column], ((cell_width - cells[column].width) // 2, 0))
        images.append(cell)
    row = arrange(images, len(images), _CELL_GAP)
    return arrange([text_strip(title, row.width, 14, INK), row], 1, 0, 4)


def _records_per_row(records: Sequence[Image.Image]) -> int:
    """How many records side by side come closest to a sheet of 3:2."""
    width = records[0].width
    height = sum(record.height for record in records) / len(records)

    def misfit(per_row: int) -> float:
        num_rows = math.ceil(len(records) / per_row)
        return abs(math.log(per_row * width / (num_rows * height) / 1.5))

    return min(range(1, min(4, len(records)) + 1), key=misfit)


def legend(pictures: Sequence[Picture], label_map: LabelMap, width: int) -> Image.Image:
    """Swatches, names and amounts of the classes that occur, in columns.

    Args:
      pictures: Whose classes are shown.
      label_map: Names and colours of the classes.
      width: Of the image, in pixels.
    """
    entries = legend_entries(pictures, label_map)
    per_row = max(1, width // _LEGEND_WIDTH)
    cell_width = width // per_row
    items = []
    for entry in entries:
        share = f"{entry.share:.1%}" if entry.share >= 0.001 else "<0.1%"
        plural = "" if entry.num_objects == 1 else "s"
        amounts = [share] * (entry.share > 0)
        amounts += [f"{entry.num_objects} object{plural}"] * (entry.num_objects > 0)
        note = "(ignored)  " * entry.is_ignored + ", ".join(amounts)
        items.append(_legend_item(entry.color, entry.name, INK, note, cell_width))
    rule = Image.new("RGB", (width, 1), _BLANK)
    return arrange([rule, arrange(items, per_row, 0, 4)], 1, 0, 10)


def _legend_item(color: RGB, name: str, ink: RGB, note: str, width: int) -> Image.Image:
    item = Image.new("RGB", (width, 18), PAPER)
    item.paste(_BLANK if color == PAPER else color, (0, 2, 14, 16))
    gray = text_strip(note, width // 2, 13, DIM)
    text = text_strip(name, width - gray.width - 40, 13, ink)
    item.paste(text, (22, 1))
    item.paste(gray, (30 + text.width, 1))
    return item


def arrange(
    images: Sequence[Image.Image],
    per_row: int,
    gap: int,
    row_gap: int = 0,
    *,
    width: int = 1,
) -> Image.Image:
    """Pastes images row by row onto paper, in columns as wide as the widest."""
    rows = [images[i : i + per_row] for i in range(0, len(images), per_row)]
    column = max(width, *(image.width for image in images))
    heights = [max(image.height for image in row) for row in rows]
    size = (
        per_row * (column + gap) - gap,
        sum(heights) + row_gap * (len(rows) - 1),
    )
    sheet = Image.new("RGB", size, PAPER)
    for index, image in enumerate(images):
        row = index // per_row
        y = sum(heights[:row]) + row * row_gap
        sheet.paste(image, (index % per_row * (column + gap), y))
    return sheet


def _rgb(values: Sequence[int]) -> RGB:
    red, green, blue = values
    return red, green, blue
