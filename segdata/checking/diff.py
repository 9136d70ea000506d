"""What differs between two finished builds, down to the features of each record.

Shards of equal hash are equal; only where hashes differ are receipts and records read,
those of one key side by side: places are sorted on disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import orjson
from google.protobuf.message import DecodeError

from segdata.errors import CorruptionError
from segdata.label_map import LabelMap
from segdata.records.proto import feature_kind, feature_values, parse
from segdata.shards.manifest import Manifest, read_manifest
from segdata.shards.receipt import read_receipt
from segdata.shards.tfrecord import read_record_at
from segdata.storage.paths import Location
from segdata.storage.sorting import Sorter


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


class _Found(NamedTuple):
    """Where a build has a record."""

    place: Place
    offset: int
    size: int
    number: int


class _Side:
    """One of the two builds."""

    def __init__(
        self, directory: Location, manifest: Manifest, others: Mapping[str, str]
    ) -> None:
        self._directory, self._manifest, self._others = directory, manifest, others

    def put(self, rows: Sorter, mark: bytes) -> int:
        """Adds a row for each record, but for those of shards that both builds have.

        Returns:
          How many records were left out.
        """
        left_out = 0
        for split, summary in self._manifest.splits.items():
            for shard in summary.shards:
                if self._others.get(shard.name) == shard.sha256:
                    left_out += shard.num_records
                    continue
                for index, e in enumerate(
                    read_receipt(self._directory, shard.name).records
                ):
                    where = orjson.dumps([split, shard.name, e.offset, e.size, index])
                    key = e.key.encode("utf-8", "surrogatepass")
                    rows.add(b"%b\0%b%b" % (key, mark, where))
        return left_out

    def read(self, found: _Found) -> bytes:
        path = self._directory / found.place.shard
        try:
            with path.open_at(found.offset, found.size) as file:
                return read_record_at(file, found.offset, path, found.number)
        except OSError as error:
            raise CorruptionError(
                f"shard {path} cannot be read: {error.strerror}.",
                reason="shard-unreadable",
            ) from error


def _compare_records(
    first: _Side, second: _Side, on_records: Callable[[int], None]
) -> Iterator[RecordDifference]:
    with Sorter() as rows:
        on_records(first.put(rows, b"1"))
        second.put(rows, b"2")
        for key, before, after in _side_by_side(rows):
            names: tuple[str, ...] = ()
            if before and after:
                names = _differing_features(first.read(before), second.read(after), key)
            difference = RecordDifference(
                key=key,
                before=before and before.place,
                after=after and after.place,
                features=names,
            )
            if difference.before != difference.after or names:
                yield difference
            on_records(1)


def _side_by_side(
    rows: Iterable[bytes],
) -> Iterator[tuple[str, _Found | None, _Found | None]]:
    """Each key, and where the two builds have it."""
    parted = (row.rpartition(b"\0") for row in rows)
    for key, group in itertools.groupby(parted, lambda parts: parts[0]):
        found = {row[:1]: _read_found(row[1:]) for _, _, row in group}
        name = key.decode("utf-8", "surrogatepass")
        yield name, found.get(b"1"), found.get(b"2")


def _read_found(row: bytes) -> _Found:
    split, shard, offset, size, number = orjson.loads(row)
    return _Found(Place(split=split, shard=shard), offset, size, number)


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
