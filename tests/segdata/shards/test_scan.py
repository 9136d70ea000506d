from __future__ import annotations

import gzip
import io
import struct
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segdata.errors import CorruptionError
from segdata.shards.scan import compression_of, scan_records
from segdata.shards.tfrecord import RecordWriter, masked_crc
from segdata.storage.local_path import LocalPath

PAYLOADS = [b"first", b"", b"x" * 3000, b"last"]


def framed(payloads: list[bytes]) -> bytes:
    file = io.BytesIO()
    writer = RecordWriter(file)
    for payload in payloads:
        writer.write(payload)
    return file.getvalue()


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    path = tmp_path / "a.tfrecord"
    path.write_bytes(framed(PAYLOADS))
    return path


def damage(path: Path, at: int, size: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(255 - byte for byte in data[at : at + size])
    path.write_bytes(data)


def test_intact_file_gives_every_record_with_its_place(shard: Path) -> None:
    records = list(scan_records(shard))
    assert [r.data for r in records] == PAYLOADS
    assert [r.index for r in records] == [0, 1, 2, 3]
    assert [r.offset for r in records] == [0, 21, 37, 3053]
    assert sum(r.size for r in records) == shard.stat().st_size
    assert not any(r.damage for r in records)


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gzip", gzip.compress), ("zlib", zlib.compress)]
)
def test_compressed_file_is_recognised_and_read(shard: Path, suffix, pack) -> None:
    shard.write_bytes(pack(shard.read_bytes()))
    assert compression_of(shard) == suffix
    assert [r.data for r in scan_records(shard)] == PAYLOADS


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_compressed_file_that_is_cut_keeps_what_comes_before(tmp_path, pack) -> None:
    import random

    noise = [random.Random(i).randbytes(100_000) for i in range(5)]
    path = tmp_path / "a.gz"
    packed = pack(framed(noise))
    path.write_bytes(packed[: len(packed) // 2])
    records = list(scan_records(path))
    assert [r.data for r in records if not r.damage] == noise[:2]
    assert records[2].damage


def test_damaged_data_are_named_and_stepped_over(shard: Path) -> None:
    damage(shard, 37 + 12 + 100)
    records = list(scan_records(shard))
    assert [r.damage for r in records] == ["", "", "the CRC of its data is wrong", ""]
    assert len(records[2].data) == 3000
    assert records[3].data == b"last"


def test_damaged_length_is_named_and_the_next_record_found(shard: Path) -> None:
    damage(shard, 37)
    records = list(scan_records(shard))
    assert [r.damage for r in records] == ["", "", "the CRC of its length is wrong", ""]
    assert (records[2].offset, records[2].size) == (37, 3016)
    assert records[3].data == b"last"


def test_bytes_that_went_missing_cost_only_their_record(shard: Path) -> None:
    data = shard.read_bytes()
    shard.write_bytes(data[:100] + data[200:])
    records = list(scan_records(shard))
    assert [r.data for r in records if not r.damage][:2] == PAYLOADS[:2]
    assert any(r.damage for r in records)


@pytest.mark.parametrize(
    ("kept", "words"),
    [(5, "cut off after 5 bytes"), (40, "cut off after 3 bytes"), (100, "ends after")],
)
def test_cut_file_is_named(shard: Path, kept: int, words: str) -> None:
    shard.write_bytes(shard.read_bytes()[:kept])
    *_, last = scan_records(shard)
    assert words in last.damage


def test_length_that_no_file_can_have_reserves_nothing(tmp_path: Path) -> None:
    length = struct.pack("<Q", 1 << 62)
    path = tmp_path / "a"
    path.write_bytes(length + struct.pack("<I", masked_crc(length)) + framed([b"good"]))
    first, second = scan_records(path)
    assert f"claims {1 << 62} bytes" in first.damage
    assert second.data == b"good"


def test_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert list(scan_records(tmp_path / "a")) == []


def test_zeros_and_text_are_one_damaged_stretch(tmp_path: Path) -> None:
    for content in (bytes(3_000_000), b"no TFRecord at all, just text\n" * 10):
        (tmp_path / "a").write_bytes(content)
        [record] = scan_records(tmp_path / "a")
        assert record.damage == "the CRC of its length is wrong"
        assert record.size == len(content)


def test_header_across_two_search_windows_is_found(tmp_path: Path) -> None:
    for gap in range((1 << 20) - 14, (1 << 20) + 3):
        (tmp_path / "a").write_bytes(b"\xff" * gap + framed([b"after"]))
        first, second = scan_records(tmp_path / "a")
        assert (first.size, second.data) == (gap, b"after")


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CorruptionError, match="nowhere cannot be read: No such file"):
        list(scan_records(tmp_path / "nowhere"))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_damaged_the_bytes_add_up_and_intact_records_are_ours(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    payloads = data.draw(st.lists(st.binary(max_size=60), min_size=1, max_size=8))
    content = bytearray(framed(payloads))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("scan") / "a"
    path.write_bytes(content)
    records = list(scan_records(path))
    assert sum(r.size for r in records) == len(content)
    intact = [r.data for r in records if not r.damage]
    assert len(intact) >= len(payloads) - 1
    assert len(intact) < len(payloads) or intact != payloads


def test_headers_that_lie_cost_one_pass(tmp_path: Path) -> None:
    """256 KB of them took 95 seconds when each was searched for anew."""
    length = struct.pack("<Q", 1 << 30)
    header = length + struct.pack("<I", masked_crc(length))
    (tmp_path / "a").write_bytes(header * 20_000)
    began = time.process_time()
    found = list(scan_records(LocalPath(tmp_path / "a")))
    assert time.process_time() - began < 3
    assert len(found) == 20_000
    assert all("expected 1073741824 bytes of data" in r.damage for r in found)
    assert [r.offset for r in found[:3]] == [0, 12, 24]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_bomb_is_told_and_not_unpacked(tmp_path: Path, pack) -> None:
    (tmp_path / "a").write_bytes(pack(framed([bytes(1 << 20)]) * 100))
    *found, last = scan_records(LocalPath(tmp_path / "a"))
    assert len(found) in (63, 64)
    assert "unpacks to more than 100 times its size" in last.damage
