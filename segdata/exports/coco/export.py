"""COCO's JSON: one file per split, masks as RLE or, where that is exact, polygons.

    annotations/instances_SPLIT.json    images, annotations, categories
    annotations/panoptic_SPLIT.json     instead of it, if the build is panoptic,
    annotations/panoptic_SPLIT/...      and the PNGs of its segments
    annotations/captions_SPLIT.json     where there are captions
    images/...                          the records' own bytes, under their own paths

The layout: https://cocodataset.org/#format-data. Every field of the source that the
records keep comes back: ids of any kind, boxes and areas to the digit, supercategories,
keypoints, licences.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import orjson

from segdata.dataset import Dataset
from segdata.errors import OptionError
from segdata.exports.base import ExportReport, write_image, write_once
from segdata.exports.coco.ids import CocoIds
from segdata.exports.coco.info import file_info
from segdata.exports.coco.panoptic import (
    ROW_FIELD,
    are_panoptic,
    has_row,
    segments_png,
    segments_row,
)
from segdata.exports.coco.rows import category_ids, object_rows
from segdata.label_map import LabelClass
from segdata.masks.outlines import exact_polygons
from segdata.records.record import Record, RecordObject


@dataclass(frozen=True, kw_only=True)
class CocoExport:
    """Options of `segdata export --to coco`."""

    polygons: bool = False
    """Write polygons instead of RLE wherever they decode to the same mask."""

    def write(
        self, dataset: Dataset, dest: Path, on_records: Callable[[int], None]
    ) -> ExportReport:
        """See `segdata.exports.base.ExportTarget.write`.

        Also raises:
          OptionError: If polygons of panoptic segments are asked for.
        """
        if not dataset.classes.object_classes:
            raise OptionError(
                f"{dataset.directory} has no objects: expected instances for --to "
                "coco. Its label maps go out with --to png."
            )
        ids = CocoIds.of(dataset.splits)
        is_panoptic = are_panoptic(dataset)
        if is_panoptic and self.polygons:
            raise OptionError(
                f"{dataset.directory} holds panoptic segments, which are pixels of "
                "PNGs: expected instances for --polygons. Leave it out."
            )
        is_painted = dataset.classes.unpainted_id is not None
        report = ExportReport(build_command="coco" + " --semantic" * is_painted)
        (dest / "annotations").mkdir()
        for split in dataset.splits:
            _Split(self, dataset, split, ids, report, is_panoptic).write(
                dest, on_records
            )
        return report


@dataclass(kw_only=False)
class _Split:
    """One split on its way out."""

    options: CocoExport
    dataset: Dataset
    name: str
    ids: CocoIds
    report: ExportReport
    is_panoptic: bool
    _captions: list[dict[str, Any]] = field(default_factory=list)
    _image_ids: set[int | str] = field(default_factory=set)

    def write(self, dest: Path, on_records: Callable[[int], None]) -> None:
        """Writes images and JSON, a record at a time."""
        source = self.dataset.splits[self.name]
        folder = _image_folder(self.ids.folders[self.name], self.name)
        with _Rows() as images, _Rows() as annotations:
            for record in source:
                name = record.filename
                write_image(dest, name, record)
                images.add(self._image(record, name.removeprefix(folder)))
                if self.is_panoptic:
                    self._add_segments(record, annotations, dest)
                else:
                    for row in self._annotations(record):
                        annotations.add(row)
                self.report.num_records += 1
                self._add_captions(record)
                self._count_losses(record)
                on_records(1)
            tables: dict[str, Any] = {
                **file_info(self.dataset.manifest, self.name, self._image_ids),
                "images": images,
                "annotations": annotations,
                "categories": self._categories(),
            }
            _write(dest / f"annotations/{self._stem}.json", tables)
            if self._captions:
                names = ("info", "licenses", "images")
                tables = {name: tables[name] for name in names}
                tables["annotations"] = self._captions
                _write(dest / f"annotations/captions_{self.name}.json", tables)

    @property
    def _stem(self) -> str:
        return f"{'panoptic' if self.is_panoptic else 'instances'}_{self.name}"

    def _image(self, record: Record, file_name: str) -> dict[str, Any]:
        fields = dict(record.source)
        if self.is_panoptic:
            fields.pop(ROW_FIELD, None)  # it is the annotation's
        image_id = self.ids.image_id(record)
        self._image_ids.add(image_id)
        return {
            **fields,
            "id": image_id,
            "file_name": file_name,
            "height": record.height,
            "width": record.width,
        }

    def _annotations(self, record: Record) -> Iterable[dict[str, Any]]:
        size = record.height, record.width
        rows = object_rows(record, self.ids, self._category_ids)
        for item, row in zip(record.objects, rows, strict=True):
            if len(item.runs):
                encoded = row["segmentation"]
                row["segmentation"] = self._segmentation(encoded, item, size)
            self.report.num_objects += 1
            yield row

    def _add_segments(self, record: Record, annotations: _Rows, dest: Path) -> None:
        if not has_row(record):
            return
        row = segments_row(record, self.ids, self._category_ids)
        annotations.add(row)
        name = f"annotations/{self._stem}/{row['file_name']}"
        write_once(dest, name, segments_png(record), record.key)
        self.report.num_objects += len(record.objects)

    def _segmentation(
        self, encoded: dict[str, Any], item: RecordObject, size: tuple[int, int]
    ) -> Any:
        if not self.options.polygons or item.is_crowd:
            return encoded
        polygons = exact_polygons(item.runs, *size)
        if polygons is None:
            self.report.losses["masks stay RLE: no polygons decode to the same"] += 1
            return encoded
        return polygons

    @cached_property
    def _category_ids(self) -> dict[int, int | str]:
        return category_ids(self.dataset.classes.object_classes)

    def _categories(self) -> list[dict[str, Any]]:
        classes = self.dataset.classes.object_classes
        tells_things = self.is_panoptic or self.dataset.classes.is_panoptic
        ids = self._category_ids
        return [_category(item, ids[item.id], tells_things) for item in classes]

    def _add_captions(self, record: Record) -> None:
        for caption in record.captions:
            self._captions.append(
                {
                    "id": self.ids.next_annotation_id(),
                    "image_id": self.ids.image_id(record),
                    "caption": caption,
                }
            )

    def _count_losses(self, record: Record) -> None:
        losses = self.report.losses
        if self.dataset.classes.unpainted_id is None:
            losses["label maps"] += record.label_values is not None
        losses["classes of whole images"] += record.image_class is not None
        losses["regions"] += len(record.regions)


def _category(
    item: LabelClass, category_id: int | str, tells_things: bool
) -> dict[str, Any]:
    row: dict[str, Any] = {**item.source, "id": category_id, "name": item.name}
    if item.supercategory:
        row["supercategory"] = item.supercategory
    if tells_things:
        row["isthing"] = int(item.is_thing)
    if item.keypoints:
        row["keypoints"] = list(item.keypoints)
        row["skeleton"] = [list(pair) for pair in item.skeleton]
    return row


def _image_folder(folder: str, split: str) -> str:
    """What is cut off file names: a folder that `segdata build coco` finds by itself.

    Else the names keep their folders, which every reader of COCO accepts.
    """
    found = (split, f"images/{split}", "images")
    return f"{folder}/" if folder in found else ""


class _Rows:
    """Rows of a JSON list, kept on disk: a large split has gigabytes of them."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
        self._separator = b""

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row."""
        data = orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)
        self._file.write(self._separator + data)
        self._separator = b",\n"

    def copy_to(self, file: IO[bytes]) -> None:
        """Writes all rows as a JSON list."""
        self._file.seek(0)
        file.write(b"[")
        shutil.copyfileobj(self._file, file)
        file.write(b"]")


def _write(path: Path, tables: Mapping[str, Any]) -> None:
    with open(path, "wb") as file:
        separator = b"{"
        for name, table in tables.items():
            file.write(separator + orjson.dumps(name) + b": ")
            if isinstance(table, _Rows):
                table.copy_to(file)
            else:
                file.write(orjson.dumps(table, option=orjson.OPT_SERIALIZE_NUMPY))
            separator = b",\n"
        file.write(b"}\n")
