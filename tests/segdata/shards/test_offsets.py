"""The index of all records: mapped where it is there, and what stands in for it."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import segdata
from segdata.errors import CorruptionError
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import read_manifest
from segdata.shards.offsets import offsets_path, open_offsets
from segdata.shards.receipt import dali_index_path, read_receipt
from segdata.storage.paths import LocalPath, locate


@pytest.fixture
def out(tiny_build: Path, tmp_path: Path) -> LocalPath:
    return locate(shutil.copytree(tiny_build, tmp_path / "out"))


def test_offsets_are_those_of_the_receipts(out: LocalPath) -> None:
    manifest = read_manifest(out)
    for name, split in manifest.splits.items():
        receipts = [read_receipt(out, shard.name) for shard in split.shards]
        expected = [entry.offset for r in receipts for entry in r.records]
        assert open_offsets(out, manifest, name).tolist() == expected


def test_file_is_mapped_and_nothing_else_is_read(out: LocalPath) -> None:
    shutil.move(out / "index", out / "away")
    offsets_path(out).parent.mkdir()
    shutil.move(out / "away" / "offsets.bin", offsets_path(out))
    source = RecordSource(out, "train")
    offsets = open_offsets(out, source.manifest, "train")
    assert isinstance(offsets.base, np.memmap)
    assert not offsets.flags.writeable
    copy = pickle.loads(pickle.dumps(source))
    assert [r.key for r in copy] == [r.key for r in source]
    assert isinstance(copy._offsets.base, np.memmap)


def test_build_without_it_opens_by_the_indexes_of_its_shards(out: LocalPath) -> None:
    expected = [record.key for record in RecordSource(out, "train")]
    offsets_path(out).unlink()
    assert [record.key for record in RecordSource(out, "train")] == expected
    assert segdata.verify(out).num_problems == 0


def test_key_is_found_without_reading_other_receipts(out: LocalPath) -> None:
    source = RecordSource(out, "train")
    keys = {s.name: s.first_key for s in source.manifest.splits["train"].shards}
    name, key = next((name, key) for name, key in keys.items() if key is not None)
    for other in (out / "index").glob("*.json"):
        if other.stem != name:
            other.unlink()
    assert source[key].key == key


def test_file_of_another_length_is_refused(out: LocalPath) -> None:
    path = offsets_path(out)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(
        CorruptionError, match=r"offsets.bin has \d+ bytes: expected 8 "
    ):
        RecordSource(out, "train")
    (problem,) = segdata.verify(out, fast=True).problems
    assert "offsets.bin has" in problem.message


@pytest.mark.parametrize("value", [-1, 1 << 62, 0])
def test_offset_outside_its_shard_is_refused(out: LocalPath, value: int) -> None:
    path = offsets_path(out)
    offsets = np.full(len(path.read_bytes()) // 8, value, "<i8")
    path.write_bytes(offsets.tobytes())
    message = r"offsets.bin is damaged|is damaged at byte"
    source = RecordSource(out, "train")
    with pytest.raises(CorruptionError, match=message):
        [record.key for record in source]
    found = [problem.message for problem in segdata.verify(out, fast=True).problems]
    assert any("offsets.bin does not point to its records" in text for text in found)


def test_damaged_index_of_a_shard_is_told_once(out: LocalPath) -> None:
    name = next(s.name for s in read_manifest(out).splits["train"].shards)
    dali_index_path(out, name).unlink()
    (problem,) = segdata.verify(out, fast=True).problems
    assert f"index/{name}.idx does not point" in problem.message
