"""YOLO's segmentation text: one polygon per line, in shares of the image's size.

    data.yaml                        folders and names of the classes
    images/SPLIT/NAME.jpg            the records' own bytes
    labels/SPLIT/NAME.txt            `class x1 y1 x2 y2 ...` per object

The layout is Ultralytics' (https://docs.ultralytics.com/datasets/segment/). It has one
outline per object: parts and holes are joined to it by bridges of no width. It has no
crowds, which are left out as Ultralytics' own converter does, and no boxes beside
masks: objects without a mask are left out. Both are counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from segdata.dataset import Dataset
from segdata.errors import OptionError
from segdata.exports.base import (
    ExportReport,
    common_folder,
    with_own_stems,
    write_image,
    write_once,
)
from segdata.masks import rle
from segdata.masks.outlines import Ring, trace
from segdata.records.record import Record, RecordObject
from segdata.split_names import training_splits, validation_splits

Points = np.ndarray[tuple[int, int], np.dtype[np.float64]]
"""`[points, 2]`."""
_MAX_RINGS = 1000
_TOO_COMPLEX = f"masks of more than {_MAX_RINGS} parts and holes: left out"


@dataclass(frozen=True, kw_only=True)
class YoloExport:
    """`segdata export --to yolo`; it has no options."""

    def write(
        self, dataset: Dataset, dest: Path, on_records: Callable[[int], None]
    ) -> ExportReport:
        """See `segdata.exports.base.ExportTarget.write`."""
        if not dataset.classes.object_classes:
            raise OptionError(
                f"{dataset.directory} has no objects: expected instances for --to "
                "yolo. Its label maps go out with --to png."
            )
        # From 0, without gaps, in the order of ours.
        numbers = {
            item.id: index for index, item in enumerate(dataset.classes.object_classes)
        }
        report = ExportReport()
        for split, source in dataset.splits.items():
            filenames = [record.filename for record in source]
            folder = common_folder(filenames)
            names = with_own_stems(_flat_name(name, folder) for name in filenames)
            for record in source:
                name = names[_flat_name(record.filename, folder)]
                write_image(dest, f"images/{split}/{name}", record)
                lines = _lines(record, numbers, report)
                label_name = PurePosixPath("labels", split, name).with_suffix(".txt")
                write_once(dest, str(label_name), lines.encode(), record.key)
                report.num_records += 1
                on_records(1)
        (dest / "data.yaml").write_text(_data_yaml(dataset, report), "utf-8")
        return report


def _flat_name(filename: str, folder: str) -> str:
    """Path below the folder of the split.

    YOLO finds labels by putting `labels` for the last `images` of a path.
    """
    below = filename.removeprefix(f"{folder}/")
    return below.replace("/", "__") if "images" in below.split("/") else below


def _lines(record: Record, numbers: dict[int, int], report: ExportReport) -> str:
    lines = []
    for item in record.objects:
        if item.is_crowd:
            report.losses["crowds: left out"] += 1
        elif not len(item.runs):
            report.losses["objects without a mask: left out"] += 1
        elif not rle.area(item.runs):
            report.losses["empty masks: left out"] += 1
        else:
            outline = _outline(item, record, report)
            if outline is None:
                report.losses[_TOO_COMPLEX] += 1
                continue
            points = outline / (record.width, record.height)
            shares = " ".join(f"{value:.6g}" for value in points.reshape(-1).tolist())
            lines.append(f"{numbers[item.label]} {shares}\n")
            report.num_objects += 1
    losses = report.losses
    losses["label maps"] += record.label_values is not None
    losses["classes of whole images"] += record.image_class is not None
    losses["regions"] += len(record.regions)
    losses["captions"] += len(record.captions)
    return "".join(lines)


def _outline(item: RecordObject, record: Record, report: ExportReport) -> Points | None:
    """One ring around the whole mask, in pixels; None where it is too complex."""
    parts, holes = trace(rle.decode(item.runs, record.height, record.width))
    if len(parts) + len(holes) > _MAX_RINGS:  # joining them is quadratic
        return None
    if len(parts) > 1:
        report.losses["masks of several parts: joined by bridges"] += 1
    if holes:
        report.losses["masks with holes: holes joined by bridges"] += 1
    return join_rings([*parts, *holes])


def join_rings(
    rings: Sequence[Ring],
) -> Points:
    """Joins rings into one, by bridges there and back over the nearest points.

    Args:
      rings: Outlines and holes.

    Returns:
      `[points, 2] float64`. By the even-odd rule it has the same inside.
    """
    joined, *others = (np.array(ring, np.float64) for ring in rings)
    while others:
        # The ring that is nearest to what is joined already.
        found = [_nearest(joined, ring) for ring in others]
        index = min(range(len(found)), key=lambda i: found[i][0])
        _, here, there = found[index]
        ring = np.roll(others.pop(index), -there, axis=0)
        bridge = [joined[: here + 1], ring, ring[:1], joined[here:]]
        joined = np.concatenate(bridge)
    return joined


def _nearest(
    one: Points,
    other: Points,
) -> tuple[float, int, int]:
    """Squared distance of the nearest points, and which they are."""
    best = (float("inf"), 0, 0)
    for index, point in enumerate(other):  # not all pairs at once: masks are long
        distances = ((one - point) ** 2).sum(axis=1)
        nearest = int(distances.argmin())
        best = min(best, (float(distances[nearest]), nearest, index))
    return best


def _data_yaml(dataset: Dataset, report: ExportReport) -> str:
    """The dataset's YAML; JSON's texts are YAML's.

    It has no `path`: Ultralytics takes the YAML's own folder then, wherever it is run.
    """
    splits = list(dataset.splits)
    train = _chosen("train", training_splits(splits), splits, report)
    held_out = [*validation_splits(splits), *(s for s in splits if s == "test")]
    val = _chosen("val", held_out, splits, report)
    lines = [f"train: {_yaml_text(f'images/{train}')}\n"]
    lines.append(f"val: {_yaml_text(f'images/{val}')}\n")
    if "test" in splits:
        lines.append("test: images/test\n")
    lines.append("names:\n")
    for index, item in enumerate(dataset.classes.object_classes):
        lines.append(f"  {index}: {_yaml_text(item.name)}\n")
    return "".join(lines)


def _yaml_text(text: str) -> str:
    """Quoted as JSON, which YAML reads, but for two characters that it may not hold."""
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def _chosen(
    wanted: str, usual: Sequence[str], splits: Sequence[str], report: ExportReport
) -> str:
    """The split that YOLO takes for one; says so where it has another name."""
    found = [*usual, *splits][0]
    if found != wanted:
        report.notes.append(
            f"data.yaml: no split is called {wanted!r}: images/{found} stands there; "
            "correct it, or build with --split"
        )
    return found
