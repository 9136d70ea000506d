"""Building one shard: what a worker does, whatever engine drives it.

The worker reads the shard's plan, then for each record the pixels, and writes record
after record: its memory is one record and one shard's annotations. The shard appears
under its name when it is whole and on disk; its receipt comes after it and makes it
count. Two attempts at one shard write the same bytes under names of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import orjson

from segdata.building.options import Check
from segdata.building.plan import PlannedRecord, PlannedShard, parse_plan_line
from segdata.building.prefetch import read_ahead
from segdata.building.sources import (
    read_files,
    source_digest,
    source_states,
    without_folder,
)
from segdata.building.versions import byte_versions, check_versions
from segdata.errors import AnnotationError, BuildError, RecordError, StorageError
from segdata.images.orientation import Exif
from segdata.label_map import LabelMap
from segdata.records.drawn import Files
from segdata.records.encode import encode_record
from segdata.records.png_masks import MaskForms
from segdata.records.proto import serialize
from segdata.records.to_example import EncodedRecord, to_example
from segdata.shards.receipt import (
    Counts,
    IndexEntry,
    Reject,
    ShardReceipt,
    dali_index_path,
    write_receipt,
)
from segdata.shards.tfrecord import RecordWriter
from segdata.storage.paths import Address, Location, locate

WORK_DIR = ".segdata"
"""Folder in the output that holds the plan while a build is unfinished."""

# Compressed images of so many records are in memory at once.
_RECORDS_AHEAD = 8
# Protobuf cannot parse messages of 2 GiB and more.
_MAX_RECORD_BYTES = (1 << 31) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildJob:
    """What every worker of a build knows."""

    source: Address
    """Folder that paths in annotations are relative to."""
    out: Address
    """Output directory, with the plan in `WORK_DIR`."""
    label_map: LabelMap
    """The dataset's classes."""
    on_error: Literal["fail", "skip"]
    """Whether a bad record or object is raised or noted as a reject."""
    masks: MaskForms = ("rle",)
    """Forms of masks that records have."""
    exif: Exif = "auto"
    """Whether images are turned as EXIF says."""
    check: Check = "structure"
    """Whether images whose bytes are kept are decoded too, strictly."""
    max_size: int | None = None
    """The longer side in pixels that images are shrunk to; None for any."""
    versions: Mapping[str, str] = field(default_factory=lambda: dict(byte_versions()))
    """What the bytes depend on, as it is where the build began: workers compare."""


def plan_path(out: Location, shard: str) -> Location:
    """Where a shard's plan lies during a build."""
    return out / WORK_DIR / f"{shard}.jsonl"


def stored_path(out: Location, shard: str) -> Location:
    """Where a worker notes what a store holds since it put a shard there."""
    return out / WORK_DIR / f"{shard}.stored"


def build_shard(
    shard: PlannedShard, job: BuildJob, on_records: Callable[[int], None]
) -> ShardReceipt:
    """Builds a shard, its index and its receipt.

    Args:
      shard: Which one.
      job: The build it belongs to.
      on_records: Called with the number of records done since the last call.

    Returns:
      The receipt, as written.

    Raises:
      RecordError: For the first bad record, if the job's `on_error` is `fail`.
      OutputError: If the output cannot be written.
      BuildError: If the plan on disk is not the one that was made, or this process
        has other versions than the one that began.
    """
    check_versions(job.versions)
    out = locate(job.out)
    with (out / shard.name).atomic_file() as file:
        contents = _Contents(shard, job, RecordWriter(file))
        for planned, found in _read_records(_read_plan(out, shard), job):
            contents.add(planned, found)
            on_records(1)
    receipt = contents.receipt()
    path = dali_index_path(out, shard.name)
    path.write_atomic(receipt.dali_index())
    if version := (out / shard.name).version():
        stored = orjson.dumps([receipt.sha256, version])
        stored_path(out, shard.name).write_atomic(stored)
    write_receipt(out, receipt)
    return receipt


def _read_records(
    lines: Sequence[bytes], job: BuildJob
) -> Iterator[tuple[PlannedRecord, Files]]:
    """The records of a plan, each with what its files hold."""
    source = locate(job.source)
    # A request to a store waits some ten milliseconds for its answer, longer than a
    # record takes to encode. On this machine threads would cost more than they save.
    ahead = _RECORDS_AHEAD if source.is_store else 0
    planned = map(parse_plan_line, lines)
    return read_ahead(planned, lambda record: read_files(record.data, source), ahead)


class _Contents:
    """What is in a shard while it is being written."""

    def __init__(
        self, shard: PlannedShard, job: BuildJob, writer: RecordWriter
    ) -> None:
        self._shard, self._job, self._writer = shard, job, writer
        self._counts = Counts()
        self._entries: list[tuple[str, str, str]] = []
        self._rejects: list[Reject] = []

    def add(self, planned: PlannedRecord, found: Files) -> None:
        """Builds one record and writes it, or notes why it is left out."""
        bad_objects: list[AnnotationError] = []
        is_strict = self._job.on_error == "fail"
        try:
            record = encode_record(
                planned.data,
                found,
                self._job.label_map,
                number=planned.number,
                max_size=self._job.max_size,
                on_bad_object=None if is_strict else bad_objects.append,
                exif=self._job.exif,
                check_pixels=self._job.check == "pixels",
            )
            data = serialize(to_example(record, self._job.label_map, self._job.masks))
            _check_record_bytes(data, record)
        except RecordError as error:
            if is_strict:
                raise
            self._reject(planned, [error], "encode", self._digest(planned, found))
            return
        digest = self._digest(planned, found, (record.image.encoded, record.sha256))
        self._reject(planned, bad_objects, "object", digest)
        self._writer.write(data)
        self._entries.append((record.key, record.sha256, digest))
        _count(self._counts, record)

    def receipt(self) -> ShardReceipt:
        """What the shard's receipt says when all records are written."""
        writer = self._writer
        return ShardReceipt(
            name=self._shard.name,
            split=self._shard.split,
            plan_sha256=self._shard.plan_sha256,
            num_bytes=writer.num_bytes,
            sha256=writer.sha256,
            records=tuple(
                IndexEntry(
                    key=key,
                    offset=offset,
                    size=size,
                    image_sha256=image,
                    source_sha256=source,
                )
                for (key, image, source), offset, size in zip(
                    self._entries, writer.offsets, writer.sizes, strict=True
                )
            ),
            rejects=tuple(self._rejects),
            counts=self._counts,
        )

    def _digest(
        self,
        planned: PlannedRecord,
        found: Files,
        hashed: tuple[bytes, str] = (b"", ""),
    ) -> str:
        num_bytes, digest = source_digest(planned.line, planned.data, found, hashed)
        # A pipe has no size until it is read; a file that changed has another one now.
        if num_bytes != planned.source_bytes and planned.source_bytes != sum(
            size for size, _ in source_states(planned.data, self._job.source)
        ):
            raise BuildError(
                f"the source of record {planned.data['key']!r} changed during the "
                f"build: expected {planned.source_bytes} bytes in its files, got "
                f"{num_bytes}. Run the same command again: it takes the files as they "
                "are then.",
                reason="source-changed",
            )
        return digest

    def _reject(
        self,
        planned: PlannedRecord,
        errors: Sequence[RecordError],
        stage: str,
        digest: str,
    ) -> None:
        self._rejects += [
            Reject(
                key=planned.data["key"],
                split=self._shard.split,
                image=planned.data["image"],
                reason=error.reason,
                stage=stage,
                message=without_folder(str(error), self._job.source),
                source_sha256=digest,
            )
            for error in errors
        ]


def _read_plan(out: Location, shard: PlannedShard) -> list[bytes]:
    try:
        text = plan_path(out, shard.name).read_bytes()
    except StorageError:
        raise
    except OSError as error:
        raise BuildError(
            f"the plan of {shard.name} cannot be read: {error.strerror}. Workers need "
            "the output directory on a file system that they share."
        ) from error
    if hashlib.sha256(text).hexdigest() != shard.plan_sha256:
        raise BuildError(
            f"the plan of {shard.name} was changed during the build. Is another build "
            "writing to the same directory?"
        )
    return text.splitlines()


def _check_record_bytes(data: bytes, record: EncodedRecord) -> None:
    if len(data) > _MAX_RECORD_BYTES:
        raise RecordError(
            f"record {record.key!r} has {len(data)} bytes: readers take at most "
            f"{_MAX_RECORD_BYTES}. Scale the image down or cut it into tiles.",
            reason="record-too-large",
        )


def _count(counts: Counts, record: EncodedRecord) -> None:
    counts.notes.update(record.notes)
    counts.parts.update(record.parts)
    counts.add_size(record.image.height, record.image.width)
    counts.left_out_objects += record.num_left_out
    for item in record.objects:
        counts.class_objects[str(item.label.id)] += 1
    runs = record.label_runs
    if runs is not None:
        counts.voided_pixels += runs.voided_pixels
        counts.moved_pixels += runs.moved_pixels
        pixels = np.bincount(runs.values, weights=runs.lengths)
        for class_id in np.flatnonzero(pixels).tolist():
            counts.class_pixels[str(class_id)] += int(pixels[class_id])
