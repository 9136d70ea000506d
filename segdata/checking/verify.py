"""Re-reading a finished build: every byte, CRC, hash, image and mask.

Nothing is trusted but the manifest: shards are hashed and read record by record, each
record is parsed, its image decoded to the last pixel and its masks checked. A problem
names file and record, and the search goes on after it where it can.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from segdata.errors import CorruptionError, ImageError, SegdataError
from segdata.images.decode import decode_strictly
from segdata.label_map import LabelMap
from segdata.masks import rle
from segdata.records.parse import parse_record
from segdata.records.record import Record
from segdata.shards import sidecars
from segdata.shards.manifest import Manifest, ShardSummary, read_manifest
from segdata.shards.offsets import OFFSETS_NAME, wrong_offsets
from segdata.shards.receipt import (
    INDEX_DIR,
    IndexEntry,
    ShardReceipt,
    dali_index_path,
    read_receipt,
    receipt_path,
)
from segdata.shards.tfrecord import read_record_at, read_size_at
from segdata.shards.work import OnRecords, RunShards, ShardWork, in_turn
from segdata.storage.paths import Address, Location, locate


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that is not as the manifest says."""

    shard: str
    """File name."""
    message: str
    """One line that names the record where there is one."""
    is_of_source: bool = False
    """The bytes are those of the build; the image that it was given is damaged."""


def verify_shard(
    directory: Location,
    shard: ShardSummary,
    label_map: LabelMap,
    on_record: Callable[[int], None],
    *,
    is_fast: bool = False,
) -> Iterator[Problem]:
    """Checks one shard against the manifest, its receipt and itself.

    Args:
      directory: The finished build.
      shard: The shard as the manifest lists it.
      label_map: The dataset's classes.
      on_record: Called with the number of records checked since the last call.
      is_fast: Look only at file size, receipt, index and the CRC of each record's
        length: finds what is missing, cut off or mixed up, but no flipped bit.

    Yields:
      Every problem found, in file order.
    """
    try:
        receipt = read_receipt(directory, shard.name)
    except CorruptionError as error:
        yield Problem(shard=shard.name, message=str(error))
        on_record(shard.num_records)
        return
    for message in _check_file(directory, shard, receipt, is_fast=is_fast):
        yield Problem(shard=shard.name, message=message)
    path = directory / shard.name
    if path.is_file():

        def check(file: IO[bytes], index: int, entry: IndexEntry) -> None:
            if is_fast:
                _check_size(read_size_at(file, entry.offset, path, index), entry)
                return
            data = read_record_at(file, entry.offset, path, index)
            record = parse_record(data, f"{path.name}: record {index}")
            _check_record(record, entry, label_map)

        yield from _check_records(path, receipt, check, on_record)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What was found."""

    num_records: int
    """Records of all shards."""
    num_shards: int
    """Shards, all of which were looked at."""
    num_problems: int
    """Problems in all of them."""
    num_of_source: int
    """Those that are damaged images of the source."""
    problems: tuple[Problem, ...]
    """The first ones of each shard, in the order of the shards."""


def verify(
    out: Address,
    *,
    fast: bool = False,
    limit: int = 1000,
    run_shards: RunShards = in_turn,
) -> Verified:
    """Verifies a finished build, shard by shard.

    Args:
      out: Directory of the build.
      fast: Sizes, indexes and lengths only; see `verify_shard`.
      limit: Problems kept of each shard; all are counted.
      run_shards: How the shards are gone through.

    Raises:
      OutputError: If there is no finished build.
      CorruptionError: If its manifest is damaged.
      BuildError: If a shard was not looked at.
    """
    directory = locate(out)
    manifest = read_manifest(directory)
    shards = [shard for split in manifest.splits.values() for shard in split.shards]
    directory = directory.resolve()
    work = ShardWork(
        do=functools.partial(
            _look_at, directory, manifest.label_map, is_fast=fast, limit=limit
        ),
        what="verifying",
        out=directory,
        records_per_worker=50_000 if fast else 300,
    )
    found = list(run_shards(work, shards))
    beside = [
        *(
            Problem(shard=name, message=f"{name}: not in the manifest")
            for name in stray_files(directory, manifest)
        ),
        *(
            Problem(
                shard=name, message=f"{name}: missing, or not what the manifest gives"
            )
            for name in sidecars.changed_sidecars(directory, manifest)
        ),
        *_check_offsets(directory, manifest),
    ]
    return Verified(
        num_records=sum(shard.num_records for shard in shards),
        num_shards=len(shards),
        num_problems=len(beside) + sum(count for count, _, _ in found),
        num_of_source=sum(count for _, count, _ in found),
        problems=(*beside, *(problem for *_, kept in found for problem in kept)),
    )


def _check_offsets(directory: Location, manifest: Manifest) -> Iterator[Problem]:
    name = f"{INDEX_DIR}/{OFFSETS_NAME}"
    try:
        for shard in wrong_offsets(directory, manifest):
            yield Problem(
                shard=shard, message=f"{shard}: {name} does not point to its records"
            )
    except CorruptionError as error:
        yield Problem(shard=name, message=str(error))


def _look_at(
    directory: Location,
    label_map: LabelMap,
    shard: ShardSummary,
    on_records: OnRecords,
    *,
    is_fast: bool,
    limit: int,
) -> tuple[int, int, list[Problem]]:
    """Number of a shard's problems, of those of the source, and the first of them."""
    kept: list[Problem] = []
    count = of_source = 0
    for problem in verify_shard(
        directory, shard, label_map, on_records, is_fast=is_fast
    ):
        count += 1
        of_source += problem.is_of_source
        if count <= limit:
            kept.append(problem)
    return count, of_source, kept


def stray_files(directory: Location, manifest: Manifest) -> list[str]:
    """Files that look like shards of this dataset but are not in its manifest.

    A reader that globs for shards would read them.
    """
    known = {s.name for split in manifest.splits.values() for s in split.shards}
    found = {path.name for path in directory.glob(f"{manifest.name}-*.tfrecord-*")}
    return sorted(found - known)


def _check_file(
    directory: Location, shard: ShardSummary, receipt: ShardReceipt, *, is_fast: bool
) -> Iterator[str]:
    text = receipt_path(directory, shard.name).read_bytes()
    if hashlib.sha256(text).hexdigest() != shard.receipt_sha256:
        yield f"{shard.name}: its receipt in index/ is not the manifest's"
    path = directory / shard.name
    try:
        with path.open("rb") as file:
            num_bytes = file.seek(0, os.SEEK_END)
            file.seek(0)
            digest = shard.sha256
            if not is_fast:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        yield f"{shard.name}: cannot be read: {error.strerror}"
        return
    if num_bytes != shard.num_bytes:
        yield f"{shard.name}: expected {shard.num_bytes} bytes, got {num_bytes}"
    elif digest != shard.sha256:
        yield f"{shard.name}: expected sha256 {shard.sha256}, got {digest}"
    index = dali_index_path(directory, shard.name)
    if not index.is_file() or index.read_bytes() != receipt.dali_index():
        yield f"{shard.name}: index/{index.name} does not point to its records"


def _check_records(
    path: Location,
    receipt: ShardReceipt,
    check: Callable[[IO[bytes], int, IndexEntry], None],
    on_record: Callable[[int], None],
) -> Iterator[Problem]:
    """Reads every record at the place its receipt names.

    So one damaged record does not hide the others.
    """
    end = 0
    with path.open("rb") as file:
        for index, entry in enumerate(receipt.records):
            try:
                check(file, index, entry)
            except (SegdataError, OSError) as error:
                what = _without_name(error, path, index)
                yield Problem(
                    shard=path.name,
                    message=f"{_named(path, index, entry)}: {what}",
                    is_of_source=isinstance(error, ImageError),
                )
            end = entry.offset + entry.size
            on_record(1)
        file.seek(0, 2)
        if file.tell() > end:
            follow = f"{file.tell() - end} bytes follow the last record"
            yield Problem(shard=path.name, message=f"{path.name}: {follow}")


def _named(path: Location, index: int, entry: IndexEntry) -> str:
    return f"{path.name}: record {index} ({entry.key!r})"


def _without_name(error: Exception, path: Location, index: int) -> str:
    text = str(error).removeprefix(f"{path.name}: record {index} ")
    return text.removeprefix("is ").rstrip(".")


def _check_size(size: int, entry: IndexEntry) -> None:
    if size != entry.size:
        raise CorruptionError(f"expected {entry.size} bytes with its frame, got {size}")


def _check_record(record: Record, entry: IndexEntry, label_map: LabelMap) -> None:
    if record.key != entry.key:
        raise CorruptionError(f"expected key {entry.key!r}, got {record.key!r}")
    digest = hashlib.sha256(record.encoded).hexdigest()
    if not digest == record.sha256 == entry.image_sha256:
        raise CorruptionError(
            f"expected image sha256 {entry.image_sha256}, got {digest}"
        )
    # An ImageError from here on is the source's: these are the bytes of the build.
    image = decode_strictly(record.encoded, record.key)
    if image.shape[:2] != (record.height, record.width):
        raise CorruptionError(
            f"expected an image of {record.height}x{record.width}, got "
            f"{image.shape[0]}x{image.shape[1]}"
        )
    _check_label_map(record, label_map)
    known = {item.id for item in label_map.object_classes}
    for item in record.objects:
        if item.label not in known:
            raise CorruptionError(f"object of unknown class id {item.label}")
        if len(item.runs):
            rle.validate_runs(item.runs, record.height, record.width)


def _check_label_map(record: Record, label_map: LabelMap) -> None:
    if record.label_values is None or record.label_lengths is None:
        return
    rle.validate_label_runs(
        record.label_values, record.label_lengths, record.height, record.width
    )
    known = {item.id for item in label_map.semantic_classes}
    known |= {i for i in (label_map.ignore_id, label_map.unknown_id) if i is not None}
    unknown = set(np.unique(record.label_values).tolist()) - known
    if unknown:
        raise CorruptionError(f"label map has unknown class ids {sorted(unknown)}")
