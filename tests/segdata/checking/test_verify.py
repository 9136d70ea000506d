from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from segdata.checking.verify import Problem, stray_files, verify_shard
from segdata.label_map import LabelMap
from segdata.shards.manifest import ShardSummary, read_manifest
from segdata.shards.receipt import (
    dali_index_path,
    read_receipt,
    receipt_path,
    write_receipt,
)
from segdata.shards.tfrecord import RecordWriter, read_records


class Build:
    """A copy of the tiny build to damage; `shard` is one that holds three records."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.manifest = read_manifest(out)
        shards = [s for p in self.manifest.splits.values() for s in p.shards]
        self.shards = shards
        self.shard = max(shards, key=lambda s: s.num_records)
        self.path = out / self.shard.name
        self.entries = read_receipt(out, self.shard.name).records

    def problems(self, shard: ShardSummary | None = None) -> list[str]:
        return [p.message for p in self.found(shard or self.shard)]

    def found(self, shard: ShardSummary) -> list[Problem]:
        label_map = self.manifest.label_map
        return list(verify_shard(self.out, shard, label_map, lambda count: None))

    def change(self, edit: Callable[[bytearray], object]) -> None:
        data = bytearray(self.path.read_bytes())
        edit(data)
        self.path.write_bytes(data)

    def flip(self, position: int) -> None:
        def edit(data: bytearray) -> None:
            data[position] ^= 0x10

        self.change(edit)

    def named(self, index: int) -> str:
        return f"{self.shard.name}: record {index} ({self.entries[index].key!r}): "


@pytest.fixture
def build(tiny_build: Path, tmp_path: Path) -> Build:
    return Build(shutil.copytree(tiny_build, tmp_path / "out"))


def about_records(build: Build, problems: list[str]) -> list[int]:
    """Positions of the records that the problems name."""
    count = len(build.entries)
    return [
        i for i in range(count) if any(p.startswith(build.named(i)) for p in problems)
    ]


def test_whole_build_has_no_problem(build: Build) -> None:
    assert [p for shard in build.shards for p in build.problems(shard)] == []
    assert stray_files(build.out, build.manifest) == []
    assert len(build.entries) >= 3


def test_every_record_is_counted_once(build: Build) -> None:
    counted: list[int] = []
    for shard in build.shards:
        list(verify_shard(build.out, shard, build.manifest.label_map, counted.append))
    assert sum(counted) == 8


@pytest.mark.parametrize("part", ["length", "length crc", "data", "image", "data crc"])
def test_flipped_bit_is_found_and_names_file_and_record(
    build: Build, part: str
) -> None:
    entry = build.entries[1]
    image = build.path.read_bytes().index(b"IDAT", entry.offset) + 100
    positions = {
        "length": entry.offset,
        "length crc": entry.offset + 9,
        "data": entry.offset + 20,
        "image": image,
        "data crc": entry.offset + entry.size - 1,
    }
    build.flip(positions[part])
    problems = build.problems()
    assert problems[0].startswith(f"{build.shard.name}: expected sha256 ")
    crc = "length" if part.startswith("length") else "data"
    byte = f"damaged at byte {entry.offset}"
    assert problems[1:] == [
        f"{build.named(1)}{byte}: the CRC of its {crc} does not match"
    ]


def test_every_flipped_bit_of_a_record_is_found(build: Build) -> None:
    entry = build.entries[0]
    whole = build.path.read_bytes()
    for position in range(0, entry.size, 29):
        build.path.write_bytes(whole)
        build.flip(position)
        assert about_records(build, build.problems()) == [0], position


@pytest.mark.parametrize("place", ["first", "last"])
def test_deleted_byte_is_found_and_names_file_and_record(
    build: Build, place: str
) -> None:
    last = len(build.entries) - 1
    entry = build.entries[0 if place == "first" else last]
    build.change(lambda data: data.pop(entry.offset + entry.size // 2))
    problems = build.problems()
    size = build.shard.num_bytes
    assert problems[0] == f"{build.shard.name}: expected {size} bytes, got {size - 1}"
    # What follows a deleted byte has moved, so every later record is named as well.
    expected = list(range(last + 1)) if place == "first" else [last]
    assert about_records(build, problems) == expected


def test_truncated_shard_names_the_records_that_are_cut_off(build: Build) -> None:
    entry = build.entries[1]
    build.change(lambda data: data.__delitem__(slice(entry.offset + 30, None)))
    problems = build.problems()
    assert (
        f"expected {build.shard.num_bytes} bytes, got {entry.offset + 30}"
        in problems[0]
    )
    assert about_records(build, problems) == list(range(1, len(build.entries)))
    assert "the file ends" in problems[1]


def test_empty_shard_file_names_every_record(build: Build) -> None:
    build.path.write_bytes(b"")
    problems = build.problems()
    assert f"expected {build.shard.num_bytes} bytes, got 0" in problems[0]
    assert about_records(build, problems) == list(range(len(build.entries)))


def test_appended_bytes_are_found(build: Build) -> None:
    build.change(lambda data: data.extend(b"12345"))
    size = build.shard.num_bytes
    assert build.problems() == [
        f"{build.shard.name}: expected {size} bytes, got {size + 5}",
        f"{build.shard.name}: 5 bytes follow the last record",
    ]


def test_appended_record_is_found(build: Build) -> None:
    extra = next(read_records(build.path)).data
    with open(build.path, "ab") as file:
        RecordWriter(file).write(extra)
    assert build.problems()[1].endswith("bytes follow the last record")


def test_swapped_shards_are_found_in_both(build: Build) -> None:
    one, other = (build.out / s.name for s in build.manifest.splits["train"].shards)
    content = one.read_bytes(), other.read_bytes()
    assert content[0] != content[1]
    one.write_bytes(content[1])
    other.write_bytes(content[0])
    for shard in build.manifest.splits["train"].shards:
        problems = build.problems(shard)
        assert problems[0].startswith(f"{shard.name}: expected ")


def test_shards_swapped_with_their_receipts_are_found(build: Build) -> None:
    one, other = build.manifest.splits["train"].shards
    for make in (lambda o, n: o / n, receipt_path, dali_index_path):
        a, b = make(build.out, one.name), make(build.out, other.name)
        content = a.read_bytes(), b.read_bytes()
        a.write_bytes(content[1])
        b.write_bytes(content[0])
    for shard in (one, other):
        assert build.problems(shard)[0] == (
            f"{shard.name}: its receipt in index/ is not the manifest's"
        )


def test_missing_shard_is_found(build: Build) -> None:
    build.path.unlink()
    assert build.problems() == [
        f"{build.shard.name}: cannot be read: No such file or directory"
    ]


def test_missing_receipt_is_found(build: Build) -> None:
    receipt_path(build.out, build.shard.name).unlink()
    (problem,) = build.problems()
    assert f"index/{build.shard.name}.json cannot be read" in problem


def test_deleted_byte_in_the_receipt_is_found(build: Build) -> None:
    path = receipt_path(build.out, build.shard.name)
    path.write_bytes(path.read_bytes()[:-2])
    (problem,) = build.problems()
    assert f"index/{build.shard.name}.json is damaged" in problem


def _not_the_manifests(build: Build) -> str:
    return f"{build.shard.name}: its receipt in index/ is not the manifest's"


@pytest.mark.parametrize("field", ["key", "offset", "size", "image_sha256"])
def test_receipt_that_names_another_record_is_found(build: Build, field: str) -> None:
    receipt = read_receipt(build.out, build.shard.name)
    value = getattr(receipt.records[1], field)
    other = value + 1 if isinstance(value, int) else f"x{value[1:]}"
    entries = list(receipt.records)
    entries[1] = replace(entries[1], **{field: other})
    write_receipt(build.out, replace(receipt, records=tuple(entries)))
    problems = build.problems()
    assert problems[0] == _not_the_manifests(build)
    assert all(p.startswith(build.shard.name) for p in problems)
    if field != "size":
        assert any("record 1" in problem for problem in problems)


def test_receipt_with_a_negative_offset_is_found(build: Build) -> None:
    receipt = read_receipt(build.out, build.shard.name)
    entries = (replace(receipt.records[0], offset=-1), *receipt.records[1:])
    write_receipt(build.out, replace(receipt, records=entries))
    problems = build.problems()
    assert problems[0] == _not_the_manifests(build)
    assert problems[-1].startswith(build.named(0))


@pytest.mark.parametrize("field", ["name", "split", "plan_sha256", "num_bytes"])
def test_flipped_byte_in_the_receipts_head_is_found(build: Build, field: str) -> None:
    receipt = read_receipt(build.out, build.shard.name)
    value = getattr(receipt, field)
    other = value + 1 if isinstance(value, int) else f"x{value[1:]}"
    path = receipt_path(build.out, build.shard.name)
    path.write_bytes(replace(receipt, **{field: other}).to_bytes())
    assert build.problems() == [_not_the_manifests(build)]


@pytest.mark.parametrize("damage", ["flip", "delete", "remove"])
def test_damaged_dali_index_is_found(build: Build, damage: str) -> None:
    path = dali_index_path(build.out, build.shard.name)
    text = bytearray(path.read_bytes())
    if damage == "flip":
        text[0] ^= 1
    path.write_bytes(text[:-1] if damage == "delete" else text)
    if damage == "remove":
        path.unlink()
    name = build.shard.name
    assert build.problems() == [
        f"{name}: index/{name}.idx does not point to its records"
    ]


def test_extra_shard_file_is_found(build: Build) -> None:
    extra = build.out / "camvid-train.tfrecord-00007-of-00008"
    shutil.copy(build.path, extra)
    assert stray_files(build.out, build.manifest) == [extra.name]


def test_files_of_other_names_are_no_strays(build: Build) -> None:
    (build.out / "notes.txt").write_text("mine")
    (build.out / "other-train.tfrecord-00000-of-00001").write_text("mine")
    assert stray_files(build.out, build.manifest) == []


def rewrite(build: Build, edit: Callable[[bytes], bytes]) -> None:
    """Edits record 0 and makes every CRC and the shard's hash right again."""
    records = [record.data for record in read_records(build.path)]
    records[0] = edit(records[0])
    with open(build.path, "wb") as file:
        writer = RecordWriter(file)
        for data in records:
            writer.write(data)
    receipt = read_receipt(build.out, build.shard.name)
    entries = tuple(
        replace(entry, offset=offset, size=size)
        for entry, offset, size in zip(
            receipt.records, writer.offsets, writer.sizes, strict=True
        )
    )
    receipt = replace(
        receipt, sha256=writer.sha256, num_bytes=writer.num_bytes, records=entries
    )
    write_receipt(build.out, receipt)
    dali_index_path(build.out, build.shard.name).write_bytes(receipt.dali_index())
    build.shard = replace(
        build.shard,
        sha256=writer.sha256,
        num_bytes=writer.num_bytes,
        receipt_sha256=hashlib.sha256(receipt.to_bytes()).hexdigest(),
    )


def test_image_that_does_not_match_its_hash_is_found(build: Build) -> None:
    def edit(data: bytes) -> bytes:
        position = data.index(b"IDAT") + 100
        return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]

    rewrite(build, edit)
    digest = build.entries[0].image_sha256
    (problem,) = build.problems()
    assert problem.startswith(f"{build.named(0)}expected image sha256 {digest}, got ")


def test_record_of_another_key_is_found(build: Build) -> None:
    key = build.entries[0].key.encode()
    rewrite(build, lambda data: data.replace(key, key[:-1] + b"x"))
    (problem,) = build.problems()
    expected = f"expected key {key.decode()!r}, got {key.decode()[:-1] + 'x'!r}"
    assert problem == build.named(0) + expected


def test_record_that_is_no_example_is_found(build: Build) -> None:
    rewrite(build, lambda data: b"\xff" * 50)
    (problem,) = build.problems()
    assert problem.startswith(f"{build.named(0)}no tf.train.Example")


def test_record_of_foreign_origin_is_found(build: Build) -> None:
    rewrite(build, lambda data: b"")
    (problem,) = build.problems()
    assert problem.startswith(f"{build.named(0)}has 0 values of ")


def test_class_outside_the_label_map_is_found(build: Build) -> None:
    smaller = LabelMap.from_dict({"sky": 0})
    found = list(verify_shard(build.out, build.shard, smaller, lambda count: None))
    assert len(found) == build.shard.num_records
    assert "label map has unknown class ids [" in found[0].message
    assert found[0].shard == build.shard.name


def test_verification_changes_nothing(build: Build) -> None:
    def state() -> dict[Path, str]:
        return {
            path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in build.out.rglob("*")
            if path.is_file()
        }

    before = state()
    for shard in build.shards:
        build.problems(shard)
    assert state() == before
