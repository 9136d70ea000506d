"""The manifest and the shard receipts: what was built, from what, with which hashes.

`manifest.json` is written last: its presence means the build is complete. Beside it
`index/` holds a receipt for each shard (every key, offset and image hash) and the
index that DALI reads. None of them holds a time, a path or a host name: two builds of
the same source are equal to the byte.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson

from segdata import features, files
from segdata.errors import CorruptionError, OutputError
from segdata.label_map import LabelMap

MANIFEST_VERSION = 1
MANIFEST_NAME = "manifest.json"
INDEX_DIR = "index"
REJECTS_NAME = "rejects.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reject:
    """One record that a build with `--on-error skip` left out."""

    key: str
    """The record's key."""
    split: str
    """The split it was planned for."""
    image: str
    """Its image's path below the source."""
    reason: str
    """Kebab-case slug, as counted in the manifest."""
    stage: str
    """Where it failed: `encode` or `write`."""
    message: str
    """The whole error line."""


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


@dataclass(kw_only=True, slots=True)
class Counts:
    """What is counted per shard and summed up per split."""

    notes: Counter[str] = field(default_factory=Counter)
    """Note -> records that carry it."""
    class_pixels: Counter[str] = field(default_factory=Counter)
    """Semantic class id, as text -> pixels."""
    class_objects: Counter[str] = field(default_factory=Counter)
    """Object class id, as text -> objects."""
    voided_pixels: int = 0
    """Pixels of unknown labels that became the unknown id."""
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
        self.voided_pixels += other.voided_pixels
        self.heights = _widen(self.heights, other.heights)
        self.widths = _widen(self.widths, other.widths)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with sorted keys."""
        return {
            "notes": dict(sorted(self.notes.items())),
            "class_pixels": _sorted_by_id(self.class_pixels),
            "class_objects": _sorted_by_id(self.class_objects),
            "voided_pixels": self.voided_pixels,
            "heights": self.heights,
            "widths": self.widths,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Counts:
        """Reads what `to_json` wrote."""
        return cls(
            notes=Counter(data["notes"]),
            class_pixels=Counter(data["class_pixels"]),
            class_objects=Counter(data["class_objects"]),
            voided_pixels=data["voided_pixels"],
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

    def dali_index(self) -> bytes:
        """DALI's index of the shard (`tfrecord2idx`): `offset size` per record."""
        lines = (f"{entry.offset} {entry.size}\n" for entry in self.records)
        return "".join(lines).encode()

    @classmethod
    def from_bytes(cls, text: bytes) -> ShardReceipt:
        """Reads what `to_bytes` wrote."""
        data = orjson.loads(text)
        columns = data["records"]
        rows = zip(*(columns[c.name] for c in fields(IndexEntry)), strict=True)
        return cls(
            name=data["name"],
            split=data["split"],
            plan_sha256=data["plan_sha256"],
            num_bytes=data["num_bytes"],
            sha256=data["sha256"],
            records=tuple(
                IndexEntry(key=key, offset=offset, size=size, image_sha256=digest)
                for key, offset, size, digest in rows
            ),
            rejects=tuple(Reject(**reject) for reject in data["rejects"]),
            counts=Counts.from_json(data["counts"]),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardSummary:
    """One shard as the manifest lists it."""

    name: str
    """File name."""
    num_records: int
    """Records in it."""
    num_bytes: int
    """File size."""
    sha256: str
    """Hex SHA-256 of the file."""
    receipt_sha256: str
    """Hex SHA-256 of its receipt in `index/`."""
    first_key: str | None
    """Key of its first record; None for an empty shard."""
    last_key: str | None
    """Key of its last record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSummary:
    """One split as the manifest lists it."""

    num_records: int
    """Records in all its shards."""
    num_bytes: int
    """Size of all its shards."""
    rejects: Mapping[str, int]
    """Reason -> records that were left out."""
    counts: Counts
    """What is in it."""
    shards: tuple[ShardSummary, ...]
    """Its shards, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A finished build."""

    name: str
    """Dataset name that the shard files begin with."""
    layout: str
    """The source layout that was recognised."""
    fingerprint: str
    """Hash of plan, options, label map and versions: equal means equal bytes."""
    options: Mapping[str, Any]
    """The build options."""
    versions: Mapping[str, str]
    """Versions of what the bytes depend on."""
    label_map: LabelMap
    """The classes."""
    splits: Mapping[str, SplitSummary]
    """Split name -> what is in it."""
    leakage: Sequence[Sequence[str]] = ()
    """Groups of `split/key` that have the same image bytes in different splits."""
    warnings: Sequence[str] = ()
    """What a person should know about the source."""

    def to_bytes(self) -> bytes:
        """The manifest as it is stored: indented JSON."""
        data = {
            "manifest_version": MANIFEST_VERSION,
            "schema_version": features.SCHEMA_VERSION,
            "name": self.name,
            "layout": self.layout,
            "fingerprint": self.fingerprint,
            "options": self.options,
            "versions": self.versions,
            "label_map": self.label_map.to_json(),
            "splits": {k: _split_to_json(v) for k, v in self.splits.items()},
            "leakage": self.leakage,
            "warnings": self.warnings,
        }
        return orjson.dumps(
            data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )


def read_manifest(directory: str | os.PathLike[str]) -> Manifest:
    """Reads the manifest of a finished build.

    Raises:
      OutputError: If `directory` holds no finished build.
      CorruptionError: If the manifest cannot be understood.
    """
    path = Path(directory, MANIFEST_NAME)
    try:
        data = orjson.loads(path.read_bytes())
    except OSError as error:
        raise OutputError(
            f"{directory} holds no finished build: {MANIFEST_NAME} is missing or "
            f"unreadable ({error.strerror}). Run `segdata build` to its end.",
            reason="no-manifest",
        ) from error
    except ValueError as error:
        raise CorruptionError(f"{path} is not JSON: {error}.") from error
    _check_version(path, data)
    try:
        return Manifest(
            name=data["name"],
            layout=data["layout"],
            fingerprint=data["fingerprint"],
            options=data["options"],
            versions=data["versions"],
            label_map=LabelMap.from_json(data["label_map"]),
            splits={k: _split_from_json(v) for k, v in data["splits"].items()},
            leakage=data["leakage"],
            warnings=data["warnings"],
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise CorruptionError(
            f"{path} is not a segdata manifest: {type(error).__name__} {error}."
        ) from error


def read_receipt(directory: Path, shard: str) -> ShardReceipt:
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


def receipt_path(directory: Path, shard: str) -> Path:
    """Where a shard's receipt lies."""
    return directory / INDEX_DIR / f"{shard}.json"


def dali_index_path(directory: Path, shard: str) -> Path:
    """Where a shard's DALI index lies."""
    return directory / INDEX_DIR / f"{shard}.idx"


def write_receipt(directory: Path, receipt: ShardReceipt) -> None:
    """Writes a shard's receipt: the word that the shard is whole."""
    files.write_atomic(receipt_path(directory, receipt.name), receipt.to_bytes())


def summarize(receipts: Iterable[ShardReceipt]) -> dict[str, SplitSummary]:
    """Sums up receipts by split."""
    grouped: dict[str, list[ShardReceipt]] = {}
    for receipt in receipts:
        grouped.setdefault(receipt.split, []).append(receipt)
    return {split: _summarize_split(group) for split, group in grouped.items()}


def _summarize_split(receipts: list[ShardReceipt]) -> SplitSummary:
    counts = Counts()
    for receipt in receipts:
        counts.add(receipt.counts)
    rejects = Counter(r.reason for receipt in receipts for r in receipt.rejects)
    return SplitSummary(
        num_records=sum(len(receipt.records) for receipt in receipts),
        num_bytes=sum(receipt.num_bytes for receipt in receipts),
        rejects=dict(sorted(rejects.items())),
        counts=counts,
        shards=tuple(
            ShardSummary(
                name=receipt.name,
                num_records=len(receipt.records),
                num_bytes=receipt.num_bytes,
                sha256=receipt.sha256,
                receipt_sha256=hashlib.sha256(receipt.to_bytes()).hexdigest(),
                first_key=receipt.records[0].key if receipt.records else None,
                last_key=receipt.records[-1].key if receipt.records else None,
            )
            for receipt in receipts
        ),
    )


def _check_version(path: Path, data: Any) -> None:
    version = data.get("manifest_version") if isinstance(data, dict) else None
    if not isinstance(version, int):
        raise CorruptionError(f"{path} is not a segdata manifest: it has no version.")
    if version > MANIFEST_VERSION:
        raise CorruptionError(
            f"{path} has manifest version {version}: this segdata reads up to "
            f"{MANIFEST_VERSION}. Upgrade segdata.",
            reason="newer-version",
        )


def _split_to_json(split: SplitSummary) -> dict[str, Any]:
    return {
        "num_records": split.num_records,
        "num_bytes": split.num_bytes,
        "rejects": split.rejects,
        "counts": split.counts.to_json(),
        "shards": [asdict(shard) for shard in split.shards],
    }


def _split_from_json(data: Mapping[str, Any]) -> SplitSummary:
    return SplitSummary(
        num_records=data["num_records"],
        num_bytes=data["num_bytes"],
        rejects=data["rejects"],
        counts=Counts.from_json(data["counts"]),
        shards=tuple(ShardSummary(**shard) for shard in data["shards"]),
    )


def _sorted_by_id(counter: Counter[str]) -> dict[str, int]:
    return {key: counter[key] for key in sorted(counter, key=int)}


def _pair(values: Sequence[int] | None) -> tuple[int, int] | None:
    return None if values is None else (values[0], values[1])


def _widen(
    one: tuple[int, int] | None, other: tuple[int, int] | None
) -> tuple[int, int] | None:
    if one is None or other is None:
        return one or other
    return min(one[0], other[0]), max(one[1], other[1])
