"""Label maps as index PNGs with a palette, in a layout that `segdata build` reads.

CamVid goes out in the layout of SegNet, everything else as a folder of images and a
folder of masks with a `classes.txt`. A pixel's index is the class's id in the source,
its palette colour the class's.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from segdata.dataset import Dataset
from segdata.drawing.draw import colorize
from segdata.errors import OptionError, SourceError
from segdata.exports.base import (
    ExportReport,
    common_folder,
    with_own_stems,
    write_image,
    write_once,
)
from segdata.formats.class_files import ClassRow, read_class_file
from segdata.images.png import encode_png
from segdata.label_map import LabelMap
from segdata.records.record import Record
from segdata.storage.local_path import LocalPath

CLASSES_NAME = "classes.txt"


@dataclass(frozen=True, kw_only=True)
class PngExport:
    """`segdata export --to png`; it has no options."""

    def write(
        self, dataset: Dataset, dest: Path, on_records: Callable[[int], None]
    ) -> ExportReport:
        """See `segdata.exports.base.ExportTarget.write`."""
        label_map = dataset.classes
        if not label_map.semantic_classes:
            raise OptionError(
                f"{dataset.directory} has no label maps: expected some for --to png. "
                "Its objects go out with --to coco; `segdata build coco --semantic` "
                "paints label maps from them."
            )
        filenames = {
            split: [record.filename for record in source]
            for split, source in dataset.splits.items()
        }
        names = with_own_stems(name for found in filenames.values() for name in found)
        layout = _layout(dataset, filenames)
        values = source_values(label_map)
        report = ExportReport(build_command=layout.build_command)
        for split, source in dataset.splits.items():
            for record in source:
                image_name, mask_name = layout.names(names[record.filename], split)
                write_image(dest, image_name, record)
                mask = mask_png(record, values, label_map)
                if mask is None:
                    report.losses["images without a label map: no mask"] += 1
                else:
                    write_once(dest, mask_name, mask, record.key)
                report.losses["objects"] += len(record.objects)
                report.losses["classes of whole images"] += (
                    record.image_class is not None
                )
                report.losses["regions"] += len(record.regions)
                report.losses["captions"] += len(record.captions)
                report.num_records += 1
                on_records(1)
        _write_classes(dest / CLASSES_NAME, label_map, values, report)
        return report


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where images and masks go."""

    images: str
    """Folder of the images that file names begin with; `{split}/images` to set anew."""
    masks: str
    """Folder of the masks; may hold `{split}`."""
    build_command: str
    """Format and options that read it back."""

    def names(self, filename: str, split: str) -> tuple[str, str]:
        """Paths of an image and its mask."""
        folder = self.images.replace("{split}", split)
        below = filename.removeprefix(f"{folder}/")
        if "{split}" in self.images:
            filename = f"{folder}/{below}"
        masks = self.masks.replace("{split}", split)
        return filename, str(PurePosixPath(masks, below).with_suffix(".png"))


def _layout(dataset: Dataset, names: Mapping[str, list[str]]) -> _Layout:
    """The layout that keeps paths, and so keys, if splits follow from it."""
    parents = {
        split: {str(PurePosixPath(name).parent) for name in found}
        for split, found in names.items()
    }
    is_segnet = dataset.manifest.format_name == "camvid" and len(dataset.classes) <= 12
    if is_segnet and all(found == {split} for split, found in parents.items()):
        # Void is class 11 there unless told otherwise.
        variant = "" if dataset.classes.ignore_id == 11 else " --classes camvid-11"
        return _Layout(
            images="{split}", masks="{split}annot", build_command=f"camvid{variant}"
        )
    folder = common_folder(name for found in names.values() for name in found)
    top = folder.partition("/")[0] or "."
    keeps_splits = list(names) == ["train"] or all(
        name.removeprefix(f"{top}/").partition("/")[0] == split
        for split, found in names.items()
        for name in found
    )
    ignored = dataset.classes.ignore_id
    value = None if ignored is None else source_values(dataset.classes)[ignored]
    ignore = "" if value is None else f" --ignore {value}"
    if not keeps_splits or "masks" in (top, *dataset.splits):
        return _Layout(
            images="{split}/images",
            masks="{split}/masks",
            build_command=f"mask-folder{ignore}",
        )
    images = "" if top == "images" else f" --images {shlex.quote(top)}"
    return _Layout(
        images=top, masks="masks", build_command=f"mask-folder{images}{ignore}"
    )


def source_values(label_map: LabelMap) -> NDArray[np.uint8]:
    """`[256]` class id -> value in the PNG: the source's where it is one byte."""
    values = np.arange(256, dtype=np.uint8)
    chosen: dict[int, int] = {}
    for item in label_map.semantic_classes:
        numbers = [i for i in item.source_ids if isinstance(i, int) and 0 <= i <= 255]
        chosen[item.id] = (*numbers, item.id)[0]
    if len(set(chosen.values())) == len(chosen):
        values[list(chosen)] = list(chosen.values())
    return values


def _palette(label_map: LabelMap) -> bytes:
    """RGB of every value."""
    ids = np.arange(256, dtype=np.uint8)
    colors = colorize(ids, label_map.semantic_classes, label_map.ignore_id)
    by_value = np.zeros((256, 3), np.uint8)
    by_value[source_values(label_map)] = colors
    return by_value.tobytes()


def mask_png(
    record: Record, values: NDArray[np.uint8], label_map: LabelMap
) -> bytes | None:
    """A record's label map as an index PNG.

    Args:
      record: The record.
      values: Class id -> value, from `source_values`.
      label_map: Colours of the classes, for the palette.

    Returns:
      The file; None where the record has no label map.
    """
    ids = record.label_map()
    if ids is None:
        return None
    return encode_png(values[ids], palette=_palette(label_map))


def _write_classes(
    path: Path, label_map: LabelMap, values: NDArray[np.uint8], report: ExportReport
) -> None:
    """`id name red green blue` per class; says so where they are read otherwise."""
    rows = [
        ClassRow(name=item.name, source_id=int(values[item.id]), color=item.color)
        for item in label_map.semantic_classes
    ]
    lines = [
        f"{r.source_id} {r.name} {' '.join(map(str, r.color or ()))}" for r in rows
    ]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    try:
        are_same = read_class_file(LocalPath(path)).rows == tuple(rows)
    except SourceError:
        are_same = False
    if not are_same:
        report.notes.append(
            f"{path.name} cannot hold these class names (blanks at an end, numbers): "
            "write it by hand"
        )
