"""The manifest: what was built, from what, with which hashes.

`manifest.json` is written last: its presence means the build is complete. It sums up
the receipts of all shards and names the hash of each. It holds no time, path or host
name: two builds of the same source are equal to the byte.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import orjson

from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.label_map import LabelMap
from segdata.records import schema
from segdata.shards.kinds import check_kinds
from segdata.shards.receipt import Counts, ShardReceipt
from segdata.shards.seal import sealed
from segdata.shards.tfrecord import is_shard_name
from segdata.split_names import SplitSlice, ordered_splits
from segdata.storage.paths import Address, Location, locate

MANIFEST_VERSION = 2
MANIFEST_NAME = "manifest.json"
REJECTS_NAME = "rejects.jsonl"
STATS_NAME = "stats.json"

_SHOWN = 8
"""Splits that `repr` names."""
_SPLIT_NAME = re.compile(r"[\w-]+")


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


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class SplitSummary:
    """One split as the manifest lists it."""

    num_records: int
    """Records in all its shards."""
    num_bytes: int
    """Size of all its shards."""
    rejects: Mapping[str, int]
    """Reason -> records that were left out."""
    rejected_objects: Mapping[str, int]
    """Reason -> objects that were left out of records."""
    counts: Counts
    """What is in it."""
    shards: tuple[ShardSummary, ...]
    """Its shards, in order."""

    def __repr__(self) -> str:
        return f"<SplitSummary: {self._text()}>"

    def part(self, start: int, stop: int) -> SplitSummary:
        """Records `start` to `stop` of it; `counts` and sizes stay those of all."""
        shards, begin = [], 0
        for shard in self.shards:
            low, high = max(start - begin, 0), min(stop - begin, shard.num_records)
            if low < high:
                shards.append(replace(shard, num_records=high - low))
            begin += shard.num_records
        return replace(self, num_records=stop - start, shards=tuple(shards))

    def _text(self) -> str:
        mib = self.num_bytes / 2**20
        return f"{self.num_records} records, {len(self.shards)} shards, {mib:.1f} MiB"


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What the user says of a dataset; its shards do not depend on it."""

    description: str = ""
    """What it is."""
    license: str = ""
    """Its licence: an SPDX identifier such as `CC-BY-4.0`, or text."""
    citation: str = ""
    """How to cite it, e.g. as BibTeX."""
    homepage: str = ""
    """Where it comes from."""

    def __post_init__(self) -> None:
        if self.homepage and not re.fullmatch(r"https?://\S+", self.homepage):
            raise OptionError(
                f"--homepage is {self.homepage!r}: expected an address that begins "
                "with http:// or https://."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSummary:
    """What a build was made from."""

    sha256: str = ""
    """Hex SHA-256 over all records in the order of their keys: annotations and source
    files. It depends on no option but the choice of splits."""
    num_records: int = 0
    """Records found, rejected ones too."""
    num_bytes: int = 0
    """Size of their image files, label images and mask images."""


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
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
    """Split name -> what is in it, in the order of `segdata.split_names`."""
    leakage: Sequence[Sequence[str]] = ()
    """Groups of `split/key` that have the same image bytes in different splits."""
    warnings: Sequence[str] = ()
    """What a person should know about the source."""
    scan_rejects: Mapping[str, int] = field(default_factory=dict)
    """Reason -> annotations that belong to no record."""
    source_info: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the source says of itself, by file, e.g. licences."""
    settings_sha256: str = ""
    """Hash of options, label map and versions: what bytes depend on but the source."""
    source: SourceSummary = SourceSummary()
    """What it was made from."""
    about: About = About()
    """What the user says of it."""

    def __post_init__(self) -> None:
        ordered = {name: self.splits[name] for name in ordered_splits(self.splits)}
        object.__setattr__(self, "splits", ordered)

    def __repr__(self) -> str:
        names = [*self.splits]
        parts = [f"{n}: {self.splits[n]._text()}" for n in names[:_SHOWN]]
        parts += [f"and {len(names) - _SHOWN} more splits"] * (len(names) > _SHOWN)
        classes = f"{len(self.label_map)} classes"
        return f"<Manifest of {self.name[:60]}: {'; '.join([classes, *parts])}>"

    def _repr_html_(self) -> str:
        """What it says of itself, and a table of the classes, for notebooks."""
        return f"<p>{html.escape(repr(self))}</p>{self.label_map._repr_html_()}"

    @property
    def format_name(self) -> str:
        """Name of the format that it was built from."""
        return str(self.options.get("of_format") or self.name)

    def split(self, name: str) -> SplitSummary:
        """What is in a split, or in a slice of one such as `train[:10%]`.

        Raises:
          OptionError: If there is no such split.
        """
        part = SplitSlice.parse(name)
        if part.name not in self.splits:
            raise OptionError(
                f"split {part.name!r} is not in this dataset: it has "
                f"{', '.join(self.splits)}."
            )
        whole = self.splits[part.name]
        return whole.part(*part.bounds(whole.num_records)) if part.is_part else whole

    @property
    def has_rejects(self) -> bool:
        """Whether anything was left out: then there is a `rejects.jsonl`."""
        splits = self.splits.values()
        return bool(self.scan_rejects) or any(
            split.rejects or split.rejected_objects for split in splits
        )

    def to_bytes(self) -> bytes:
        """The manifest as it is stored: indented JSON, sealed; see `seal`."""
        data = {
            "manifest_version": MANIFEST_VERSION,
            "schema_version": schema.SCHEMA_VERSION,
            "name": self.name,
            "layout": self.layout,
            "fingerprint": self.fingerprint,
            "settings_sha256": self.settings_sha256,
            "source": asdict(self.source),
            "about": asdict(self.about),
            "options": self.options,
            "versions": self.versions,
            "label_map": self.label_map.to_json(),
            "splits": {k: _split_to_json(v) for k, v in sorted(self.splits.items())},
            "leakage": self.leakage,
            "warnings": self.warnings,
            "scan_rejects": self.scan_rejects,
            "source_info": self.source_info,
        }
        return sealed(data)


_KEYS = {f.name for f in fields(Manifest)} | {"manifest_version", "schema_version"}
_KEYS |= {"sha256"}


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenBuild:
    """A finished build whose manifest was read: readers of one build share it."""

    directory: Location
    """Output of `segdata build`."""
    manifest: Manifest
    """What is in it."""


def open_build(directory: Address | OpenBuild) -> OpenBuild:
    """Reads the manifest of a finished build, unless that was done already.

    Raises:
      OutputError: If `directory` holds no finished build.
      CorruptionError: If the manifest cannot be understood.
    """
    if isinstance(directory, OpenBuild):
        return directory
    place = locate(directory)
    return OpenBuild(directory=place, manifest=read_manifest(place))


def _check_names(found: Manifest) -> None:
    """Refuses names of splits and shards that could lead out of a folder."""
    for split, summary in found.splits.items():
        if not _SPLIT_NAME.fullmatch(split):
            raise ValueError(f"{split!r} is no name of a split")
        for shard in summary.shards:
            if not is_shard_name(shard.name):
                raise ValueError(f"{shard.name!r} is no name of a shard")


def read_manifest(directory: Address) -> Manifest:
    """Reads the manifest of a finished build.

    Raises:
      OutputError: If `directory` holds no finished build.
      CorruptionError: If the manifest cannot be understood.
    """
    path = locate(directory) / MANIFEST_NAME
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
        found = Manifest(
            name=data["name"],
            layout=data["layout"],
            fingerprint=data["fingerprint"],
            # Absent from manifests of version 1.
            settings_sha256=data.get("settings_sha256", ""),
            source=SourceSummary(**data.get("source", {})),
            about=About(**data.get("about", {})),
            options=data["options"],
            versions=data["versions"],
            label_map=LabelMap.from_json(data["label_map"]),
            splits={k: _split_from_json(v) for k, v in data["splits"].items()},
            leakage=data["leakage"],
            warnings=data["warnings"],
            scan_rejects=data["scan_rejects"],
            source_info=data.get("source_info", {}),  # absent from version 1
        )
        check_kinds(found)
        _check_names(found)
        if unknown := data.keys() - _KEYS:
            raise ValueError(f"{sorted(unknown)[0]!r} is no key of it")
        if not isinstance(found.options.get("masks", []), list):
            raise TypeError("masks of the options is no list")
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise CorruptionError(
            f"{path} is not a segdata manifest: {type(error).__name__} {error}."
        ) from error
    return found


def summarize(receipts: Iterable[ShardReceipt]) -> dict[str, SplitSummary]:
    """Sums up receipts by split; none is kept."""
    grouped: dict[str, list[SplitSummary]] = {}
    for receipt in receipts:
        grouped.setdefault(receipt.split, []).append(summarize_shard(receipt))
    return {split: join_summaries(group) for split, group in grouped.items()}


def summarize_shard(receipt: ShardReceipt) -> SplitSummary:
    """One shard as if it were a split."""
    shard = ShardSummary(
        name=receipt.name,
        num_records=len(receipt.records),
        num_bytes=receipt.num_bytes,
        sha256=receipt.sha256,
        receipt_sha256=hashlib.sha256(receipt.to_bytes()).hexdigest(),
        first_key=receipt.records[0].key if receipt.records else None,
        last_key=receipt.records[-1].key if receipt.records else None,
    )
    return SplitSummary(
        num_records=shard.num_records,
        num_bytes=shard.num_bytes,
        rejects=Counter(reject.reason for reject in receipt.lost("encode")),
        rejected_objects=Counter(reject.reason for reject in receipt.lost("object")),
        counts=receipt.counts,
        shards=(shard,),
    )


def join_summaries(summaries: Sequence[SplitSummary]) -> SplitSummary:
    """Adds up summaries of shards."""
    counts = Counts()
    for summary in summaries:
        counts.add(summary.counts)
    return SplitSummary(
        num_records=sum(summary.num_records for summary in summaries),
        num_bytes=sum(summary.num_bytes for summary in summaries),
        rejects=_added(summary.rejects for summary in summaries),
        rejected_objects=_added(summary.rejected_objects for summary in summaries),
        counts=counts,
        shards=tuple(shard for summary in summaries for shard in summary.shards),
    )


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


def _check_version(path: Location, data: Any) -> None:
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
        "rejected_objects": split.rejected_objects,
        "counts": split.counts.to_json(),
        "shards": [asdict(shard) for shard in split.shards],
    }


def _split_from_json(data: Mapping[str, Any]) -> SplitSummary:
    return SplitSummary(
        num_records=data["num_records"],
        num_bytes=data["num_bytes"],
        rejects=data["rejects"],
        rejected_objects=data["rejected_objects"],
        counts=Counts.from_json(data["counts"]),
        shards=tuple(ShardSummary(**shard) for shard in data["shards"]),
    )
