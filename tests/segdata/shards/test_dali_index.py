"""The DALI indexes, read as DALI reads them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from segdata.reading.record_source import RecordSource
from segdata.records.parse import parse_record
from segdata.shards.manifest import Manifest, read_manifest
from segdata.shards.tfrecord import masked_crc


def read_by_index(shard: Path, index: Path) -> Iterator[bytes]:
    """`IndexedFileLoader`: pairs of numbers, then so many bytes from there."""
    numbers = iter(map(int, index.read_text().split()))
    with open(shard, "rb") as file:
        for offset, size in zip(numbers, numbers, strict=True):
            file.seek(offset)
            framed = file.read(size)
            assert len(framed) == size
            (length,) = struct.unpack("<Q", framed[:8])
            assert size == 8 + 4 + length + 4
            data = framed[12:-4]
            assert struct.unpack("<I", framed[-4:]) == (masked_crc(data),)
            yield data


def keys_by_index(out: Path, split: str) -> list[str]:
    return [
        parse_record(data, "record").key
        for shard in read_manifest(out).splits[split].shards
        for data in read_by_index(out / shard.name, out / "index" / f"{shard.name}.idx")
    ]


def test_index_leads_to_every_record_in_order(tiny_build: Path) -> None:
    for split in ("train", "val"):
        assert keys_by_index(tiny_build, split) == RecordSource(tiny_build, split).keys


def test_index_covers_the_shard_to_its_last_byte(tiny_build: Path) -> None:
    for shard in read_manifest(tiny_build).splits["train"].shards:
        text = (tiny_build / "index" / f"{shard.name}.idx").read_text()
        lines = [tuple(map(int, line.split())) for line in text.splitlines()]
        assert text.endswith("\n")
        assert sum(size for _, size in lines) == shard.num_bytes
        assert [offset for offset, _ in lines] == [
            sum(size for _, size in lines[:index]) for index in range(len(lines))
        ]


def test_shard_without_records_has_an_empty_index(
    tiny_source: Path, tmp_path: Path, build_plainly: Callable[..., Manifest]
) -> None:
    manifest = build_plainly(tiny_source, tmp_path, num_shards=16)
    empty = [s.name for s in manifest.splits["train"].shards if not s.num_records]
    assert empty
    for name in empty:
        assert (tmp_path / "index" / f"{name}.idx").read_bytes() == b""
    assert len(keys_by_index(tmp_path, "train")) == 5
