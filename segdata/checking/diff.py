"""What differs between two finished builds, down to the features of each record.

Shards of equal hash are equal; only where hashes differ are records read, those of one
key side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from google.protobuf.message import DecodeError

from segdata.errors import CorruptionError
from segdata.label_map import LabelMap
from segdata.records.proto import feature_kind, feature_values, parse
from segdata.shards.manifest import Manifest, read_manifest
from segdata.shards.receipt import IndexEntry, read_receipt
from segdata.shards.tfrecord import read_record_at
from segdata.storage.paths import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a record lies."""

    split: str
    """Its split."""
    shard: str
    """File name of its shard."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordDifference:
    """A record that is not the same in both builds."""

    key: str
    """The record's key."""
    before: Place | None
    """Where it lies in the first build; None: it was added."""
    after: Place | None
    """Where it lies in the second build; None: it was removed."""
    features: tuple[str, ...] = ()
    """Features whose values differ, by key, sorted."""

    @property
    def is_moved(self) -> bool:
        """Whether it lies in another shard or split."""
        return None not in (self.before, self.after) and self.before != self.after


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildDifference:
    """Everything that differs between two builds."""

    settings: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Name -> value in the first and second build: of options, versions and what else
    the manifest says of a whole build; None where it is absent."""
    classes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """Class -> what each label map says of it."""
    records: tuple[RecordDifference, ...] = ()
    """Records, in the order of their keys."""

    @property
    def is_empty(self) -> bool:
        """Whether the builds are equal."""
        return not (self.settings or self.classes or self.records)

    @property
    def has_equal_records(self) -> bool:
        """Whether each split has the same records, in whatever shards."""
        places = ((item.before, item.after, item.features) for item in self.records)
        return all(
            before and after and before.split == after.split and not features
            for before, after, features in places
        )

    def of_kind(self, kind: str) -> list[RecordDifference]:
        """The records that were `added`, `removed`, `changed` or `moved`."""
        tests: dict[str, Callable[[RecordDifference], object]] = {
            "added": lambda item: item.before is None,
            "removed": lambda item: item.after is None,
            "changed": lambda item: item.features,
            "moved": lambda item: item.is_moved,
        }
        return [item for item in self.records if tests[kind](item)]

    def to_json(self) -> dict[str, Any]:
        """All of it, for machines."""
        kinds = ("added", "removed", "changed", "moved")
        return {
            "equal": self.is_empty,
            "records_equal": self.has_equal_records,
            "settings": {k: list(v) for k, v in self.settings.items()},
            "classes": {k: list(v) for k, v in self.classes.items()},
            "counts": {kind: len(self.of_kind(kind)) for kind in kinds},
            "records": [asdict(item) for item in self.records],
        }


def compare_builds(
    first: Location, second: Location, on_records: Callable[[int], None]
) -> BuildDifference:
    """Compares two finished builds.

    Args:
      first: The one taken as before.
      second: The one taken as after.
      on_records: Called with the number of keys done since the last call.

    Raises:
      OutputError: If a directory holds no finished build.
      CorruptionError: If a manifest, receipt or record is damaged.
    """
    before, after = read_manifest(first), read_manifest(second)
    return BuildDifference(
        settings=_differing(_settings(before), _settings(after)),
        classes=_differing(_classes(before.label_map), _classes(after.label_map)),
        records=tuple(
            _compare_records(
                _Side(first, before, _hashes(after)),
                _Side(second, after, _hashes(before)),
                on_records,
            )
        ),
    )


class _Side:
    """One of the two builds: its records by key."""

    def __init__(
        self, directory: Location, manifest: Manifest, equal_shards: Mapping[str, str]
    ) -> None:
        self._directory = directory
        self.records: dict[str, tuple[Place, IndexEntry, int]] = {}
        self._unequal: set[str] = set()
        names = [s.name for p in manifest.splits.values() for s in p.shards]
        found = directory.each(lambda name: read_receipt(directory, name), names)
        receipts = dict(zip(names, found, strict=True))
        for split, summary in manifest.splits.items():
            for shard in summary.shards:
                if equal_shards.get(shard.name) != shard.sha256:
                    self._unequal.add(shard.name)
                place = Place(split=split, shard=shard.name)
                for index, entry in enumerate(receipts[shard.name].records):
                    self.records[entry.key] = (place, entry, index)

    def place(self, key: str) -> Place | None:
        found = self.records.get(key)
        return found and found[0]

    def is_in_equal_shard(self, key: str) -> bool:
        """Whether the other build has the very shard that a record lies in."""
        return self.records[key][0].shard not in self._unequal

    def read(self, key: str) -> bytes:
        place, entry, index = self.records[key]
        path = self._directory / place.shard
        try:
            with path.open_at(entry.offset, entry.size) as file:
                return read_record_at(file, entry.offset, path, index)
        except OSError as error:
            raise CorruptionError(
                f"shard {path} cannot be read: {error.strerror}.",
                reason="shard-unreadable",
            ) from error


def _compare_records(
    first: _Side, second: _Side, on_records: Callable[[int], None]
) -> Iterator[RecordDifference]:
    for key in sorted(first.records.keys() | second.records.keys()):
        before, after = first.place(key), second.place(key)
        names: tuple[str, ...] = ()
        is_in_both = before is not None and after is not None
        if is_in_both and not (before == after and first.is_in_equal_shard(key)):
            names = _differing_features(first.read(key), second.read(key), key)
        difference = RecordDifference(
            key=key, before=before, after=after, features=names
        )
        if before != after or names:
            yield difference
        on_records(1)


def _differing_features(one: bytes, other: bytes, key: str) -> tuple[str, ...]:
    if one == other:
        return ()
    try:
        first, second = parse(one), parse(other)
    except DecodeError as error:
        raise CorruptionError(
            f"record {key!r} is no tf.train.Example: {error}. Run `segdata verify`."
        ) from error
    names = first.features.feature.keys() | second.features.feature.keys()
    return tuple(
        sorted(
            name
            for name in names
            if feature_kind(first, name) != feature_kind(second, name)
            or feature_values(first, name) != feature_values(second, name)
        )
    )


def _settings(manifest: Manifest) -> dict[str, Any]:
    """What a manifest says of the whole build, one flat name for each."""
    label_map = manifest.label_map.to_json()
    found: dict[str, Any] = {
        "name": manifest.name,
        "layout": manifest.layout,
        "warnings": list(manifest.warnings),
        "leakage": [list(group) for group in manifest.leakage],
        "rejects.scan": dict(manifest.scan_rejects),
        "source.sha256": manifest.source.sha256,
    }
    for prefix, values in (
        ("options", manifest.options),
        ("versions", manifest.versions),
        ("about", asdict(manifest.about)),
        ("label_map", {k: v for k, v in label_map.items() if "classes" not in k}),
    ):
        found |= {f"{prefix}.{name}": value for name, value in values.items()}
    for split, summary in manifest.splits.items():
        found[f"rejects.{split}"] = dict(summary.rejects)
        found[f"rejected_objects.{split}"] = dict(summary.rejected_objects)
        found[f"shards.{split}"] = len(summary.shards)
    return found


def _classes(label_map: LabelMap) -> dict[str, Any]:
    data = label_map.to_json()
    return {
        f"{kind} {item['id']}": item
        for kind in ("object", "semantic")
        for item in data[f"{kind}_classes"]
    }


def _differing(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    names = sorted(before.keys() | after.keys())
    pairs = {name: (before.get(name), after.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _hashes(manifest: Manifest) -> dict[str, str]:
    return {s.name: s.sha256 for p in manifest.splits.values() for s in p.shards}
