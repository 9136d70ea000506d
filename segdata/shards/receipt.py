"""Shard receipts: what a worker says of the shard it wrote.

A receipt lies in `index/` beside the index that DALI reads, and is written after its
shard: its presence means the shard is whole. It holds every key, offset and image hash,
and the counts that the manifest sums up; no time, path or host name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import orjson

from segdata.errors import CorruptionError
from segdata.shards.kinds import check_kinds
from segdata.storage.paths import Location

INDEX_DIR = "index"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reject:
    """One record or object that a build with `--on-error skip` left out."""

    key: str
    """The record's key."""
    split: str
    """The split it was planned for."""
    image: str
    """Its image's path below the source."""
    reason: str
    """Kebab-case slug, as counted in the manifest."""
    stage: str
    """What is lost: `encode` a whole record, `object` one object of a record that is
    kept, `scan` an annotation that belongs to no record."""
    message: str
    """The whole error line."""
    source_sha256: str = ""
    """What its record was made from, as for records; empty in the stage `scan`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexEntry:
    """Where one record lies in its shard."""

    key: str
    """The record's key."""
    offset: int
    """Byte offset of its length field."""
    size: int
    """Framed size in bytes."""
    image_sha256: str
    """Hex SHA-256 of its encoded image."""
    source_sha256: str
    """Hex SHA-256 of what it was made from: its annotations and source files."""


@dataclass(kw_only=True, slots=True)
class Counts:
    """What is counted per shard and summed up per split."""

    notes: Counter[str] = field(default_factory=Counter)
    """Note -> records that carry it."""
    class_pixels: Counter[str] = field(default_factory=Counter)
    """Semantic class id, as text -> pixels."""
    class_objects: Counter[str] = field(default_factory=Counter)
    """Object class id, as text -> objects."""
    parts: Counter[str] = field(default_factory=Counter)
    """Part that not every record need have (`features.OPTIONAL_PARTS`) -> records that
    have it."""
    voided_pixels: int = 0
    """Pixels of unknown labels that became the unknown id."""
    moved_pixels: int = 0
    """Pixels of other labels that got the nearest class."""
    left_out_objects: int = 0
    """Objects of classes that are left out."""
    heights: tuple[int, int] | None = None
    """Smallest and largest image height in pixels."""
    widths: tuple[int, int] | None = None
    """Smallest and largest image width in pixels."""

    def add_size(self, height: int, width: int) -> None:
        """Counts one image size."""
        self.heights = _widen(self.heights, (height, height))
        self.widths = _widen(self.widths, (width, width))

    def add(self, other: Counts) -> None:
        """Adds another shard's counts."""
        self.notes.update(other.notes)
        self.class_pixels.update(other.class_pixels)
        self.class_objects.update(other.class_objects)
        self.parts.update(other.parts)
        self.voided_pixels += other.voided_pixels
        self.moved_pixels += other.moved_pixels
        self.left_out_objects += other.left_out_objects
        self.heights = _widen(self.heights, other.heights)
        self.widths = _widen(self.widths, other.widths)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with sorted keys."""
        rare = {
            "left_out_objects": self.left_out_objects,
            "moved_pixels": self.moved_pixels,
        }
        return {
            **{name: count for name, count in rare.items() if count},
            "notes": dict(sorted(self.notes.items())),
            "class_pixels": _sorted_by_id(self.class_pixels),
            "class_objects": _sorted_by_id(self.class_objects),
            "parts": dict(sorted(self.parts.items())),
            "voided_pixels": self.voided_pixels,
            "heights": self.heights,
            "widths": self.widths,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Counts:
        """Reads what `to_json` wrote."""
        return cls(
            notes=Counter(data["notes"]),
            class_pixels=_by_id(data["class_pixels"]),
            class_objects=_by_id(data["class_objects"]),
            parts=Counter(data.get("parts", {})),  # absent from manifests of version 1
            voided_pixels=data["voided_pixels"],
            moved_pixels=data.get("moved_pixels", 0),  # absent where none was
            left_out_objects=data.get("left_out_objects", 0),  # likewise
            heights=_pair(data["heights"]),
            widths=_pair(data["widths"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardReceipt:
    """Proof that a shard was written, and what is in it."""

    name: str
    """File name of the shard."""
    split: str
    """Its split."""
    plan_sha256: str
    """Hash of the plan lines it was built from."""
    num_bytes: int
    """File size."""
    sha256: str
    """Hex SHA-256 of the file."""
    records: tuple[IndexEntry, ...]
    """Its records, in file order."""
    rejects: tuple[Reject, ...]
    """Planned records that it lacks."""
    counts: Counts
    """What is in it."""

    def to_bytes(self) -> bytes:
        """The receipt as it is stored: JSON with one column per field of a record."""
        columns = {
            column.name: [getattr(entry, column.name) for entry in self.records]
            for column in fields(IndexEntry)
        }
        data = {
            "name": self.name,
            "split": self.split,
            "plan_sha256": self.plan_sha256,
            "num_bytes": self.num_bytes,
            "sha256": self.sha256,
            "counts": self.counts.to_json(),
            "rejects": [asdict(reject) for reject in self.rejects],
            "records": columns,
        }
        return orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE)

    def lost(self, stage: str) -> list[Reject]:
        """The rejects of one stage."""
        return [reject for reject in self.rejects if reject.stage == stage]

    def sources(self) -> dict[str, str]:
        """Key -> `source_sha256` of every record that was planned, lost ones too."""
        kept = {entry.key: entry.source_sha256 for entry in self.records}
        lost = {reject.key: reject.source_sha256 for reject in self.lost("encode")}
        return kept | lost

    def dali_index(self) -> bytes:
        """DALI's index of the shard (`tfrecord2idx`): `offset size` per record."""
        lines = (f"{entry.offset} {entry.size}\n" for entry in self.records)
        return "".join(lines).encode()

    @classmethod
    def from_bytes(cls, text: bytes) -> ShardReceipt:
        """Reads what `to_bytes` wrote."""
        data = orjson.loads(text)
        columns = data["records"]
        # Absent from receipts of schema version 1.
        columns.setdefault("source_sha256", [""] * len(columns["key"]))
        rows = zip(*(columns[c.name] for c in fields(IndexEntry)), strict=True)
        for column in fields(IndexEntry):  # at once: there are many
            kinds = {kind.__name__ for kind in set(map(type, columns[column.name]))}
            if kinds - {column.type}:
                raise TypeError(f"{column.name} has {kinds}: expected {column.type}")
        found = cls(
            name=data["name"],
            split=data["split"],
            plan_sha256=data["plan_sha256"],
            num_bytes=data["num_bytes"],
            sha256=data["sha256"],
            records=tuple(
                IndexEntry(
                    key=key,
                    offset=offset,
                    size=size,
                    image_sha256=image,
                    source_sha256=source,
                )
                for key, offset, size, image, source in rows
            ),
            rejects=tuple(Reject(**reject) for reject in data["rejects"]),
            counts=Counts.from_json(data["counts"]),
        )
        check_kinds(replace(found, records=()))
        return found


def read_receipt(directory: Location, shard: str) -> ShardReceipt:
    """Reads a shard's receipt.

    Raises:
      CorruptionError: If it is missing or cannot be understood.
    """
    path = receipt_path(directory, shard)
    try:
        return ShardReceipt.from_bytes(path.read_bytes())
    except OSError as error:
        raise CorruptionError(f"{path} cannot be read: {error.strerror}.") from error
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise CorruptionError(f"{path} is damaged: {error}.") from error


def receipt_path(directory: Location, shard: str) -> Location:
    """Where a shard's receipt lies."""
    return directory / INDEX_DIR / f"{shard}.json"


def dali_index_path(directory: Location, shard: str) -> Location:
    """Where a shard's DALI index lies."""
    return directory / INDEX_DIR / f"{shard}.idx"


def write_receipt(directory: Location, receipt: ShardReceipt) -> None:
    """Writes a shard's receipt: the word that the shard is whole."""
    receipt_path(directory, receipt.name).write_atomic(receipt.to_bytes())


def _sorted_by_id(counter: Counter[str]) -> dict[str, int]:
    return {key: counter[key] for key in sorted(counter, key=int)}


def _by_id(data: Mapping[str, int]) -> Counter[str]:
    return Counter({str(int(key)): count for key, count in data.items()})


def _pair(values: Sequence[int] | None) -> tuple[int, int] | None:
    return None if values is None else (values[0], values[1])


def _widen(
    one: tuple[int, int] | None, other: tuple[int, int] | None
) -> tuple[int, int] | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
