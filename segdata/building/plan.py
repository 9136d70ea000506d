"""The plan of a build: which record goes into which shard, before anything is written.

The plan is made once, by the process that starts the build, from annotation dicts and
file sizes. Each shard's part is a small file of JSON lines; the worker that owns the
shard reads it. So nothing but shard names travels through Beam, whatever the runner.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import orjson

from segdata import identity
from segdata.annotations import Annotation, record_key
from segdata.building.drawing import SplitDrawing, Unit
from segdata.building.numbering import Numbering
from segdata.building.options import MAX_SHARDS, BuildOptions
from segdata.building.plan_rows import (
    Row,
    number_row,
    numbered,
    record_head,
    record_row,
)
from segdata.building.sources import source_states
from segdata.building.splits import SplitChoice
from segdata.building.spool import PlanLines
from segdata.errors import AnnotationError, OptionError, SourceError
from segdata.formats.base import Scan
from segdata.records.png_masks import check_label_map
from segdata.shards.tfrecord import shard_name
from segdata.split_names import DEFAULT_SPLIT, ordered_splits
from segdata.storage.listing import State
from segdata.storage.paths import Location
from segdata.storage.sorting import Sorter
from segdata.validation import validate_annotation

# Small datasets get a few shards too, so that workers and hosts can share them.
_FEW_SHARDS = 8
_RECORDS_PER_SMALL_SHARD = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedShard:
    """One shard to be written: what travels through Beam."""

    name: str
    """File name."""
    split: str
    """Split it belongs to."""
    num_records: int
    """Records planned for it."""
    num_bytes: int
    """Size of the source files of its records: how much work it is."""
    plan_sha256: str
    """Hex SHA-256 of its plan lines."""
    state_sha256: str
    """Hex SHA-256 of sizes and times of change of its source files: tells an unfinished
    build whether what it finished is still current. Not in any output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRecord:
    """One line of a shard's plan."""

    line: bytes
    """The line itself."""
    data: Annotation
    """The annotation dict, with its key."""
    number: int
    """`image/source_id`, unique in the dataset."""
    source_bytes: int
    """Size of its source files; 0 where the image is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All shards of a build and the lines of each."""

    shards: tuple[PlannedShard, ...]
    """In the order of splits and shard numbers."""
    lines: Mapping[str, bytes]
    """Shard name -> its plan, JSON lines in record order."""
    warnings: tuple[str, ...] = ()
    """What a person should know of splits and numbers, one line each."""

    @property
    def num_records(self) -> int:
        """Records of all shards."""
        return sum(shard.num_records for shard in self.shards)


@dataclass(slots=True)
class _Size:
    """How much a split has."""

    num_records: int = 0
    num_bytes: int = 0

    def add(self, num_bytes: int) -> None:
        """Counts one record."""
        self.num_records += 1
        self.num_bytes += num_bytes


def make_plan(
    scan: Scan, source: Location, dataset: str, options: BuildOptions
) -> Plan:
    """Assigns every record to its split and shard.

    Args:
      scan: What the format found.
      source: Folder that paths in annotations are relative to.
      dataset: Name that the shard files begin with.
      options: The user's options.

    Raises:
      SourceError: If there are no records, a split is empty, or keys repeat.
      ImageError: With `on_error="fail"`, for the first file that is missing.
      OptionError: If PNG masks are asked for and cannot hold the classes.
    """
    if "png" in options.masks:
        check_label_map(scan.label_map)
    drawing = SplitDrawing(options=options)
    with Sorter() as rows, Numbering() as numbering:
        sizes, source_splits = _collect(
            scan.annotations, source, options, drawing, rows, numbering
        )
        moved = drawing.spread()
        if moved:
            sizes = _sizes_after(moved, rows, drawing)
        if not source_splits:
            raise SourceError(
                f"no images were found in {source} ({scan.layout}).", reason="no-images"
            )
        _check_splits(options.split, sizes.keys(), source_splits)
        if not numbering.are_given:
            for head, assigned in numbering.assigned():
                rows.add(number_row(head, assigned))
        lines = PlanLines()
        splits = {
            split: _SplitPlan(
                dataset,
                split,
                planned_shards(split, size.num_records, size.num_bytes, options),
                lines,
            )
            for split, size in sorted(sizes.items())
        }
        for row, number in numbered(rows):
            split = _moved_to(moved, row, drawing)
            if split is not None:
                splits[split].add(row, number)
        warnings = (*drawing.warnings, *numbering.warnings)
    shards = [shard for split in splits.values() for shard in split.finish()]
    return Plan(shards=tuple(shards), lines=lines, warnings=warnings)


def parse_plan_line(line: bytes) -> PlannedRecord:
    """Reads one line of a shard's plan."""
    parsed = orjson.loads(line)
    data: Annotation = parsed["data"]
    data["key"] = parsed["key"]
    return PlannedRecord(
        line=line,
        data=data,
        number=parsed["number"],
        source_bytes=parsed["source_bytes"],
    )


def _check_splits(
    choice: SplitChoice, planned: Collection[str], source_splits: list[str]
) -> None:
    """Refuses a split that has no record, and says why it has none."""
    have = f"the source has {', '.join(source_splits)}"
    for wanted in choice.sources or (() if choice.shares else choice.names):
        if wanted not in source_splits:
            raise SourceError(
                f"the source has no split {wanted!r} of --split {choice}: {have}. Name "
                "one of these, or draw new ones: --split train=0.8,val=0.2.",
                reason="empty-split",
            )
    for name in choice.names:
        if name not in planned:
            raise SourceError(
                f"--split {choice} draws no record for {name!r}: its share is too "
                "small for so few images. Pass a larger one, or another --seed.",
                reason="empty-split",
            )


def _collect(
    found: Iterable[Annotation],
    source: Location,
    options: BuildOptions,
    drawing: SplitDrawing,
    rows: Sorter,
    numbering: Numbering,
) -> tuple[dict[str, _Size], list[str]]:
    """Puts every record into the sorter: sizes by split, and the source's splits."""
    sizes: dict[str, _Size] = {}
    source_splits: set[str] = set()
    is_strict = options.on_error == "fail"
    for position, data in enumerate(found):
        _check(data, options)
        key = record_key(data)
        source_splits.add(data.get("split", DEFAULT_SPLIT))
        split = drawing.draw(key, data)
        head = record_head(key, data["image"], options.seed)
        states: list[State] = []
        if split is not None:
            states = source_states(data, source, is_strict=is_strict)
            sizes.setdefault(split, _Size()).add(sum(size for size, _ in states))
            numbering.add(key, data.get("image_id"), head)
        rows.add(record_row(head, position, data, split, states))
    return sizes, ordered_splits(source_splits)


def _moved_to(moved: Mapping[Unit, str], row: Row, drawing: SplitDrawing) -> str | None:
    """The split of a record, after some groups or records moved."""
    if not moved or row.split is None:
        return row.split
    return moved.get(drawing.unit(row.key, row.source_split), row.split)


def _sizes_after(
    moved: Mapping[Unit, str], rows: Sorter, drawing: SplitDrawing
) -> dict[str, _Size]:
    sizes: dict[str, _Size] = {}
    for row, _ in numbered(rows):
        split = _moved_to(moved, row, drawing)
        if split is not None:
            sizes.setdefault(split, _Size()).add(row.source_bytes)
    return sizes


def _check(data: Annotation, options: BuildOptions) -> None:
    """Ends a strict build at an annotation dict that is not well formed.

    Otherwise its worker will reject it.
    """
    try:
        validate_annotation(data)
    except AnnotationError:
        if options.on_error == "fail" or not isinstance(data.get("image"), str):
            raise


class _SplitPlan:
    """The shards of one split, each whole before the next begins."""

    def __init__(
        self, dataset: str, split: str, num_shards: int, lines: PlanLines
    ) -> None:
        self._dataset, self._split, self._num_shards = dataset, split, num_shards
        self._lines = lines
        self._shards: list[PlannedShard] = []
        self._begin()

    def _begin(self) -> None:
        self._text: list[bytes] = []
        self._num_bytes = 0
        self._state = hashlib.sha256()

    def add(self, row: Row, number: bytes) -> None:
        """Adds the next record, in the order of hashes."""
        index = identity.shard_index(row.hashed, self._num_shards)
        while len(self._shards) < index:
            self._end()
        self._text.append(
            b'{"key":%b,"number":%b,"source_bytes":%d,"data":%b}\n'
            % (row.head[16:], number, row.source_bytes, row.data)
        )
        self._num_bytes += row.source_bytes
        self._state.update(row.source_state.encode())

    def finish(self) -> list[PlannedShard]:
        """All shards of the split, empty ones too."""
        while len(self._shards) < self._num_shards:
            self._end()
        return self._shards

    def _end(self) -> None:
        index, text = len(self._shards), b"".join(self._text)
        name = shard_name(self._dataset, self._split, index, self._num_shards)
        self._lines.add(name, text)
        self._shards.append(
            PlannedShard(
                name=name,
                split=self._split,
                num_records=len(self._text),
                num_bytes=self._num_bytes,
                plan_sha256=hashlib.sha256(text).hexdigest(),
                state_sha256=self._state.hexdigest(),
            )
        )
        self._begin()


def planned_shards(
    split: str, num_records: int, num_bytes: int, options: BuildOptions
) -> int:
    """How many shards a split gets.

    Args:
      split: Its name.
      num_records: Its records.
      num_bytes: Size of their source files.
      options: The user's options.

    Raises:
      OptionError: If they are more than file names can number.
    """
    if options.num_shards:
        return options.num_shards
    by_size = math.ceil(num_bytes / options.shard_bytes)
    by_count = min(_FEW_SHARDS, num_records // _RECORDS_PER_SMALL_SHARD)
    wanted = min(max(1, by_size, by_count), num_records)
    if wanted > MAX_SHARDS:
        least = math.ceil(num_bytes / MAX_SHARDS / (1 << 20))
        raise OptionError(
            f"split {split!r} would have {wanted} shards: expected at most "
            f"{MAX_SHARDS}, as file names have five digits. Pass --shard-size "
            f"{least}MiB or more."
        )
    return wanted
