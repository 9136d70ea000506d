"""Records that a stranger changed: each reader gives an answer or one line."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import hostile_records
import pytest

import segdata
from segdata.drawing.records import picture_of
from segdata.drawing.sheet import grid
from segdata.errors import CorruptionError, SegdataError
from segdata.exports import export_class
from segdata.exports.base import new_folder
from segdata.formats.coco.format import Coco
from segdata.formats.pets.format import Pets
from segdata.reading.arrays import ArrayOptions, record_arrays
from segdata.records.parse import parse_record
from segdata.records.record import Record
from segdata.records.validate import KnownClasses, validate_record
from segdata.samples.coco import write_coco_sample
from segdata.samples.pets import write_pets_sample
from segdata.shards.tfrecord import read_records
from segdata.statistics.columns import read_columns
from segdata.statistics.stats_file import num_ids
from segdata.statistics.summary import summarize_split
from segdata.statistics.tally import SplitTally

Built = tuple[segdata.Dataset, list[bytes]]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Built]:
    """Small builds of objects, keypoints, segments, label maps, regions."""
    folder = tmp_path_factory.mktemp("hostile")
    write_coco_sample(folder / "coco", seed=0, num_train=2, num_val=1)
    write_pets_sample(folder / "pets", seed=0, num_train=2, num_val=1)
    found = []
    for chosen in (Coco(), Coco(semantic=True), Pets()):
        out = folder / f"out-{len(found)}"
        segdata.build(chosen, folder / chosen.name, out, num_shards=1)
        found.append(segdata.open(out))
    return [(dataset, [*_serialized(dataset)]) for dataset in found]


def _serialized(dataset: segdata.Dataset) -> Iterator[bytes]:
    for split in dataset.manifest.splits.values():
        for shard in split.shards:
            yield from (
                raw.data for raw in read_records(dataset.directory / shard.name)
            )


def read(dataset: segdata.Dataset, data: bytes) -> Record:
    record = parse_record(data, "here")
    validate_record(record, KnownClasses.of(dataset.classes), "here")
    return record


def arrays(dataset: segdata.Dataset, data: bytes) -> None:
    record = read(dataset, data)
    for masks in ("dense", "crops"):
        record_arrays(record, ArrayOptions(masks=masks), dataset.classes.num_keypoints)


def show(dataset: segdata.Dataset, data: bytes) -> None:
    grid([picture_of(read(dataset, data), dataset.classes)], dataset.classes)


def stats(dataset: segdata.Dataset, data: bytes) -> None:
    tally = SplitTally(num_ids(dataset.classes))
    tally.add(read_columns(data, "here"), len(data), 0)
    summarize_split(tally, dataset.classes)


class OneRecord:
    """A dataset of one record, as exports see it."""

    def __init__(self, record: Record, dataset: segdata.Dataset) -> None:
        self.splits = {"train": [record]}
        self.classes, self.manifest = dataset.classes, dataset.manifest
        self.directory = dataset.directory

    def __iter__(self) -> Iterator[Record]:
        yield from self.splits["train"]


def exporting(name: str, **options: Any) -> Callable[[segdata.Dataset, bytes], None]:
    def export(dataset: segdata.Dataset, data: bytes) -> None:
        one: Any = OneRecord(read(dataset, data), dataset)
        with (
            tempfile.TemporaryDirectory() as folder,
            new_folder(Path(folder) / "dest") as dest,
        ):
            export_class(name)(**options).write(one, dest, lambda count: None)

    export.__name__ = name
    return export


READERS = [
    *(arrays, show, stats, exporting("coco"), exporting("coco", polygons=True)),
    *(exporting("yolo"), exporting("png"), exporting("pets")),
]


def try_all(builds: list[Built], seeds: range) -> list[str]:
    """What readers said of the records that they refused."""
    refused = []
    for seed in seeds:
        dataset, serialized = builds[seed % len(builds)]
        data = hostile_records.changed(serialized[seed % len(serialized)], seed)
        for reader in READERS:
            try:
                reader(dataset, data)
            except SegdataError as error:
                refused.append(str(error))
            except Exception as error:
                error.add_note(f"seed {seed}, {reader.__name__}")
                raise
    return refused


def test_intact_records_are_read_by_all(builds: list[Built]) -> None:
    for dataset, serialized in builds:
        for reader in READERS[:3]:
            for data in serialized:
                reader(dataset, data)


def check_all(builds: list[Built], seeds: range) -> None:
    refused = try_all(builds, seeds)
    assert len(seeds) < len(refused) < len(seeds) * len(READERS)
    without = {line for line in refused if not re.search("here|record '", line)}
    expected = (" has no objects", " was built from ", " has no label maps")
    assert not [line for line in without if not any(e in line for e in expected)]


def test_each_reader_answers_in_a_line_that_names_the_record(
    builds: list[Built],
) -> None:
    check_all(builds, range(60))


@pytest.mark.slow
def test_many_hostile_records(builds: list[Built]) -> None:
    check_all(builds, range(60, 6000))


def test_masks_that_are_too_large_together_are_refused(builds: list[Built]) -> None:
    dataset, serialized = builds[0]
    record = read(dataset, serialized[0])
    large = replace(record, height=11000, width=12000, objects=record.objects * 40)
    with pytest.raises(CorruptionError, match="at most 4294967296 are decoded at once"):
        record_arrays(replace(large, encoded=record.encoded), ArrayOptions())
