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
from dataclasses import dataclass, field
from typing import IO

from segdata.checking.sums import check_beside
from segdata.errors import CorruptionError, ImageError, SegdataError
from segdata.images.decode import decode_strictly
from segdata.label_map import LabelMap
from segdata.records.parse import parse_record
from segdata.records.record import Record
from segdata.records.validate import KnownClasses, validate_record
from segdata.shards.manifest import (
    Manifest,
    ShardSummary,
    SplitSummary,
    read_manifest,
    summarize,
)
from segdata.shards.receipt import (
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
    on_receipt: Callable[[ShardReceipt], None] = lambda receipt: None,
) -> Iterator[Problem]:
    """Checks one shard against the manifest, its receipt and itself.

    Args:
      directory: The finished build.
      shard: The shard as the manifest lists it.
      label_map: The dataset's classes.
      on_record: Called with the number of records checked since the last call.
      is_fast: Look only at file size, receipt, index and the CRC of each record's
        length: finds what is missing, cut off or mixed up, but no flipped bit.
      on_receipt: Called with the shard's receipt, if it can be read.

    Yields:
      Every problem found, in file order.
    """
    try:
        receipt = read_receipt(directory, shard.name)
    except CorruptionError as error:
        yield Problem(shard=shard.name, message=str(error))
        on_record(shard.num_records)
        return
    on_receipt(receipt)
    for message in _check_file(directory, shard, receipt, is_fast=is_fast):
        yield Problem(shard=shard.name, message=message)
    path, known = directory / shard.name, KnownClasses.of(label_map)
    if path.is_file():

        def check(file: IO[bytes], index: int, entry: IndexEntry) -> None:
            if is_fast:
                _check_size(read_size_at(file, entry.offset, path, index), entry)
                return
            data = read_record_at(file, entry.offset, path, index)
            where = f"{path.name}: record {index}"
            record = parse_record(data, where)
            _check_bytes(record, entry)
            validate_record(record, known, where)

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
    receipts: dict[str, list[SplitSummary]] = {}
    for one in found:
        for split, summary in one.receipt.items():
            receipts.setdefault(split, []).append(summary)
    strays = stray_files(directory, manifest)
    beside = [
        *((name, "not in the manifest") for name in strays),
        *check_beside(directory, manifest, receipts),
    ]
    return Verified(
        num_records=sum(shard.num_records for shard in shards),
        num_shards=len(shards),
        num_problems=len(beside) + sum(one.num_problems for one in found),
        num_of_source=sum(one.num_of_source for one in found),
        problems=(
            *(Problem(shard=name, message=f"{name}: {what}") for name, what in beside),
            *(problem for one in found for problem in one.problems),
        ),
    )


@dataclass(kw_only=True, slots=True)
class _Looked:
    """What was found of one shard."""

    num_problems: int = 0
    num_of_source: int = 0
    problems: list[Problem] = field(default_factory=list)
    """The first of them."""
    receipt: dict[str, SplitSummary] = field(default_factory=dict)
    """Its split, and what its receipt says; empty where that cannot be read."""


def _look_at(
    directory: Location,
    label_map: LabelMap,
    shard: ShardSummary,
    on_records: OnRecords,
    *,
    is_fast: bool,
    limit: int,
) -> _Looked:
    looked = _Looked()
    for problem in verify_shard(
        directory,
        shard,
        label_map,
        on_records,
        is_fast=is_fast,
        on_receipt=lambda receipt: looked.receipt.update(summarize([receipt])),
    ):
        looked.num_problems += 1
        looked.num_of_source += problem.is_of_source
        if looked.num_problems <= limit:
            looked.problems.append(problem)
    return looked


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
    text = str(error).removeprefix(f"{path.name}: record {index}").lstrip(": ")
    return text.removeprefix("is ").rstrip(".")


def _check_size(size: int, entry: IndexEntry) -> None:
    if size != entry.size:
        raise CorruptionError(f"expected {entry.size} bytes with its frame, got {size}")


def _check_bytes(record: Record, entry: IndexEntry) -> None:
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
