"""Building one shard: what a worker does, whatever engine drives it.

The worker reads the shard's plan, then for each record the pixels, and writes record
after record: its memory is one record and one shard's annotations. The shard appears
under its name when it is whole and on disk; its receipt comes after it and makes it
count. Two attempts at one shard write the same bytes under names of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from segdata import files
from segdata.encoded_record import EncodedRecord, to_example
from segdata.errors import AnnotationError, BuildError, RecordError
from segdata.example import encode_record
from segdata.example_proto import serialize
from segdata.label_map import LabelMap
from segdata.plan import PlannedRecord, PlannedShard, parse_plan_line
from segdata.receipt import (
    Counts,
    IndexEntry,
    Reject,
    ShardReceipt,
    dali_index_path,
    write_receipt,
)
from segdata.shards import RecordWriter

WORK_DIR = ".segdata"
"""Folder in the output that holds the plan while a build is unfinished."""

# Protobuf cannot parse messages of 2 GiB and more.
_MAX_RECORD_BYTES = (1 << 31) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildJob:
    """What every worker of a build knows."""

    source: str
    """Folder that paths in annotations are relative to."""
    out: str
    """Output directory, with the plan in `WORK_DIR`."""
    label_map: LabelMap
    """The dataset's classes."""
    on_error: Literal["fail", "skip"]
    """Whether a bad record or object is raised or noted as a reject."""


def plan_path(out: Path, shard: str) -> Path:
    """Where a shard's plan lies during a build."""
    return out / WORK_DIR / f"{shard}.jsonl"


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
      BuildError: If the plan on disk is not the one that was made.
    """
    out = Path(job.out)
    counts = Counts()
    entries: list[tuple[str, str]] = []
    rejects: list[Reject] = []
    with files.atomic_file(out / shard.name) as file:
        writer = RecordWriter(file)
        for planned in _read_plan(out, shard):
            bad_objects: list[AnnotationError] = []
            try:
                record = encode_record(
                    planned.data,
                    job.label_map,
                    job.source,
                    number=planned.number,
                    on_bad_object=(
                        None if job.on_error == "fail" else bad_objects.append
                    ),
                )
                data = serialize(to_example(record, job.label_map))
                _check_record_bytes(data, record)
            except RecordError as error:
                if job.on_error == "fail":
                    raise
                rejects.append(_reject(planned, shard, error, "encode"))
            else:
                rejects += [_reject(planned, shard, e, "object") for e in bad_objects]
                writer.write(data)
                entries.append((record.key, record.sha256))
                _count(counts, record)
            on_records(1)
    receipt = ShardReceipt(
        name=shard.name,
        split=shard.split,
        plan_sha256=shard.plan_sha256,
        num_bytes=writer.num_bytes,
        sha256=writer.sha256,
        records=tuple(
            IndexEntry(key=key, offset=offset, size=size, image_sha256=digest)
            for (key, digest), offset, size in zip(
                entries, writer.offsets, writer.sizes, strict=True
            )
        ),
        rejects=tuple(rejects),
        counts=counts,
    )
    path = dali_index_path(out, shard.name)
    files.write_atomic(path, receipt.dali_index(), durable=False)
    write_receipt(out, receipt)
    return receipt


def _read_plan(out: Path, shard: PlannedShard) -> Iterator[PlannedRecord]:
    try:
        text = plan_path(out, shard.name).read_bytes()
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
    for line in text.splitlines():
        yield parse_plan_line(line)


def _check_record_bytes(data: bytes, record: EncodedRecord) -> None:
    if len(data) > _MAX_RECORD_BYTES:
        raise RecordError(
            f"record {record.key!r} has {len(data)} bytes: readers take at most "
            f"{_MAX_RECORD_BYTES}. Scale the image down or cut it into tiles.",
            reason="record-too-large",
        )


def _reject(
    planned: PlannedRecord, shard: PlannedShard, error: RecordError, stage: str
) -> Reject:
    return Reject(
        key=planned.data["key"],
        split=shard.split,
        image=planned.data["image"],
        reason=error.reason,
        stage=stage,
        message=str(error),
    )


def _count(counts: Counts, record: EncodedRecord) -> None:
    counts.notes.update(record.notes)
    counts.parts.update(record.parts)
    counts.add_size(record.image.height, record.image.width)
    for item in record.objects:
        counts.class_objects[str(item.label.id)] += 1
    runs = record.label_runs
    if runs is not None:
        counts.voided_pixels += runs.voided_pixels
        pixels = np.bincount(runs.values, weights=runs.lengths)
        for class_id in np.flatnonzero(pixels).tolist():
            counts.class_pixels[str(class_id)] += int(pixels[class_id])
