from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import read_manifest


@pytest.fixture(scope="module")
def train(tiny_build: Path) -> RecordSource:
    return RecordSource(tiny_build, "train")


def test_length_is_the_manifests_and_spans_all_shards(
    train: RecordSource, tiny_build: Path
) -> None:
    split = read_manifest(tiny_build).splits["train"]
    assert len(train) == split.num_records == 5
    assert [s.num_records for s in split.shards if s.num_records] != [5]


def test_keys_are_those_of_the_records_in_order(train: RecordSource) -> None:
    assert train.keys == [record.key for record in train]
    assert sorted(train.keys) == [f"train/train_{index:03d}" for index in range(5)]


def test_negative_index_counts_from_the_end(train: RecordSource) -> None:
    assert [train[i].key for i in (-1, -5)] == [train.keys[4], train.keys[0]]


def test_record_is_found_by_its_key(train: RecordSource) -> None:
    assert train[train.keys[3]].key == train.keys[3]


def test_unknown_key_is_a_key_error_that_shows_one(train: RecordSource) -> None:
    with pytest.raises(
        KeyError, match=r"no record of train has the key 'train_0'.*'train/train"
    ):
        train["train_0"]


@pytest.mark.parametrize("index", [5, -6, 10**9])
def test_index_out_of_range_is_an_index_error(train: RecordSource, index: int) -> None:
    with pytest.raises(IndexError, match=rf"record {index} of 5"):
        train[index]


@pytest.mark.parametrize(
    "part",
    [
        slice(None),
        slice(1, 3),
        slice(-2, None),
        slice(None, None, -1),
        slice(3, 1),
        slice(0, 99, 2),
    ],
)
def test_slice_gives_the_records_that_a_list_would(
    train: RecordSource, part: slice
) -> None:
    assert [record.key for record in train[part]] == train.keys[part]


def test_pickled_source_reads_the_same_records(train: RecordSource) -> None:
    copy = pickle.loads(pickle.dumps(train))
    assert copy.keys == train.keys
    assert copy[2].encoded == train[2].encoded


def test_records_hold_the_files_bytes_and_labels(
    train: RecordSource, tiny_source: Path
) -> None:
    for record in train:
        path = tiny_source / record.filename
        assert record.encoded == path.read_bytes()
        expected = np.asarray(Image.open(tiny_source / "trainannot" / path.name))
        np.testing.assert_array_equal(record.label_map(), expected)
        np.testing.assert_array_equal(record.image(), np.asarray(Image.open(path)))


def test_unknown_split_is_refused_with_the_known_ones(tiny_build: Path) -> None:
    with pytest.raises(OptionError, match=r"split 'test' is not in .* has train, val"):
        RecordSource(tiny_build, "test")


def test_unfinished_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"holds no finished build"):
        RecordSource(tmp_path, "train")


def test_keys_need_the_receipts_and_records_do_not(
    tiny_build: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(tiny_build, tmp_path / "out")
    expected = RecordSource(out, "val").keys
    (out / "index" / "camvid-val.tfrecord-00001-of-00002.json").unlink()
    source = RecordSource(out, "val")
    assert [record.key for record in source] == expected
    with pytest.raises(CorruptionError, match=r"camvid-val.*-of-00002\.json cannot be"):
        _ = source.keys


def test_damaged_record_is_named_and_the_others_are_read(
    tiny_build: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(tiny_build, tmp_path / "out")
    shard = out / read_manifest(out).splits["train"].shards[0].name
    data = bytearray(shard.read_bytes())
    data[40] ^= 1
    shard.write_bytes(data)
    source = RecordSource(out, "train")
    with pytest.raises(
        CorruptionError, match=rf"{shard.name}: record 0 is damaged at byte 0"
    ):
        source[0]
    assert source[len(source) - 1].key == source.keys[-1]


def test_missing_shard_is_reported_with_its_name(
    tiny_build: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(tiny_build, tmp_path / "out")
    shard = out / read_manifest(out).splits["train"].shards[0].name
    shard.unlink()
    source = RecordSource(out, "train")
    message = rf"^shard {shard} cannot be read: No such file or directory\.$"
    with pytest.raises(CorruptionError, match=message) as caught:
        source[0]
    assert caught.value.reason == "shard-unreadable"


@pytest.fixture
def opened(tiny_build: Path, tmp_path: Path) -> RecordSource:
    """An open source of two records in shards of their own, which may be changed."""
    return RecordSource(shutil.copytree(tiny_build, tmp_path / "opened"), "train")


def swap_shards(source: RecordSource) -> None:
    one, other = (source._build.directory / s.name for s in source._shards[:2])
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def test_record_of_other_bytes_than_the_index_says_is_named(opened) -> None:
    assert opened.keys[0] == opened[0].key
    swap_shards(opened)
    with pytest.raises(CorruptionError, match=r"tfrecord-00000-of-0000.: record 0|key"):
        opened[0]


@pytest.mark.parametrize("state", ["after", "during"])
def test_reader_says_that_the_build_was_updated_meanwhile(opened, state) -> None:
    assert opened.keys[0] == opened[0].key
    path = opened._build.directory / "manifest.json"
    other = replace(opened.manifest, fingerprint="0" * 64).to_bytes()
    swap_shards(opened)
    if state == "after":
        path.write_bytes(other)
    else:
        path.unlink()
    with pytest.raises(CorruptionError, match="was updated since it was opened here"):
        opened[0]


def test_key_that_stands_for_another_record_is_named(opened, monkeypatch) -> None:
    key = opened.keys[1]
    monkeypatch.setattr(opened, "_position", lambda wanted: 0)
    with pytest.raises(CorruptionError, match="has another key than the index"):
        opened[key]
