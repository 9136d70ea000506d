from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segdata.errors import CorruptionError
from segdata.shards.receipt import (
    Counts,
    IndexEntry,
    Reject,
    ShardReceipt,
    dali_index_path,
    read_receipt,
    receipt_path,
    write_receipt,
)

NUMBERS = st.integers(0, 2**53)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
IDS = st.integers(0, 255).map(str)
RANGES = st.none() | st.tuples(NUMBERS, NUMBERS)
ENTRIES = st.builds(
    IndexEntry, key=NAMES, offset=NUMBERS, size=NUMBERS, image_sha256=NAMES
)
REJECTS = st.builds(
    Reject,
    key=NAMES,
    split=NAMES,
    image=NAMES,
    reason=NAMES,
    stage=NAMES,
    message=NAMES,
)
COUNTS = st.builds(
    Counts,
    notes=st.dictionaries(NAMES, NUMBERS, max_size=3).map(Counter),
    class_pixels=st.dictionaries(IDS, NUMBERS, max_size=3).map(Counter),
    class_objects=st.dictionaries(IDS, NUMBERS, max_size=3).map(Counter),
    voided_pixels=NUMBERS,
    heights=RANGES,
    widths=RANGES,
)
RECEIPTS = st.builds(
    ShardReceipt,
    name=NAMES,
    split=st.sampled_from(["train", "val"]),
    plan_sha256=NAMES,
    num_bytes=NUMBERS,
    sha256=NAMES,
    records=st.lists(ENTRIES, max_size=4).map(tuple),
    rejects=st.lists(REJECTS, max_size=2).map(tuple),
    counts=COUNTS,
)
TWO_RECORDS = ShardReceipt(
    name="s-of-00001",
    split="train",
    plan_sha256="p",
    num_bytes=1426,
    sha256="hash",
    records=(
        IndexEntry(key="a", offset=0, size=10, image_sha256="00", source_sha256="ee"),
        IndexEntry(
            key="b", offset=10, size=1416, image_sha256="01", source_sha256="ef"
        ),
    ),
    rejects=(),
    counts=Counts(),
)


@settings(max_examples=40)
@given(RECEIPTS)
def test_receipt_reads_back_as_it_was_written(one: ShardReceipt) -> None:
    text = one.to_bytes()
    assert ShardReceipt.from_bytes(text) == one
    assert ShardReceipt.from_bytes(text).to_bytes() == text


def test_receipt_lies_in_the_index_folder_under_the_shards_name(
    tmp_path: Path,
) -> None:
    (tmp_path / "index").mkdir()
    write_receipt(tmp_path, TWO_RECORDS)
    assert read_receipt(tmp_path, "s-of-00001") == TWO_RECORDS
    path = tmp_path / "index" / "s-of-00001.json"
    assert path == receipt_path(tmp_path, "s-of-00001")
    assert orjson.loads(path.read_bytes())["records"]["key"] == ["a", "b"]


def test_missing_receipt_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(CorruptionError, match=r"index/s\.json cannot be read: No such"):
        read_receipt(tmp_path, "s")


GOOD_RECEIPT = TWO_RECORDS.to_bytes()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        GOOD_RECEIPT[:-20],
        GOOD_RECEIPT.replace(b'"offset":[0,10]', b'"offset":[0]'),
        GOOD_RECEIPT.replace(b'"rejects":[]', b'"rejects":[{"key":"a"}]'),
        GOOD_RECEIPT.replace(b'"sha256"', b'"sha257"'),
        GOOD_RECEIPT.replace(b'"heights":null', b'"heights":[]'),
        GOOD_RECEIPT.replace(b'"notes":{}', b'"notes":[[1]]'),
    ],
)
def test_damaged_receipt_is_refused_with_its_path(tmp_path: Path, text: bytes) -> None:
    assert text != GOOD_RECEIPT
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "s.json").write_bytes(text)
    with pytest.raises(CorruptionError, match=r"index/s\.json is damaged"):
        read_receipt(tmp_path, "s")


def test_dali_index_has_offset_and_framed_size_per_line(tmp_path: Path) -> None:
    assert TWO_RECORDS.dali_index() == b"0 10\n10 1416\n"
    assert replace(TWO_RECORDS, records=()).dali_index() == b""
    path = dali_index_path(tmp_path, "s-of-00001")
    assert path == tmp_path / "index" / "s-of-00001.idx"


@given(st.lists(COUNTS, min_size=1, max_size=4), st.randoms())
def test_sum_of_counts_does_not_depend_on_their_order(
    parts: list[Counts], random: Any
) -> None:
    def total(items: list[Counts]) -> Counts:
        result = Counts()
        for item in items:
            result.add(item)
        return result

    shuffled = list(parts)
    random.shuffle(shuffled)
    assert total(shuffled).to_json() == total(parts).to_json()
