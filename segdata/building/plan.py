"""The plan of a build: which record goes into which shard, before anything is written.

The plan is made once, by the process that starts the build, from annotation dicts and
file sizes. Each shard's part is a small file of JSON lines; the worker that owns the
shard reads it. So nothing but shard names travels through Beam, whatever the runner.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from segdata import identity
from segdata.annotations import Annotation, record_key
from segdata.building.drawing import SplitDrawing, Unit
from segdata.building.options import MAX_SHARDS, BuildOptions
from segdata.building.sources import source_states
from segdata.building.splits import SplitChoice
from segdata.building.spool import Place, PlanLines, Spool
from segdata.errors import AnnotationError, SourceError
from segdata.formats.base import Scan
from segdata.records.png_masks import check_label_map
from segdata.shards.tfrecord import shard_name
from segdata.split_names import DEFAULT_SPLIT, ordered_splits
from segdata.storage.listing import State
from segdata.storage.paths import Location
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
    """What a person should know of how splits were drawn, one line each."""

    @property
    def num_records(self) -> int:
        """Records of all shards."""
        return sum(shard.num_records for shard in self.shards)


@dataclass(frozen=True, slots=True)
class _Candidate:
    hashed: int
    key: str
    source_bytes: int
    source_state: bytes
    image_id: int | str | None
    image: str
    source_split: str | None
    place: Place


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
    spool = Spool()
    drawing = SplitDrawing(options=options)
    by_split, source_splits = _collect(
        scan.annotations, source, options, spool, drawing
    )
    if moved := drawing.spread():
        by_split = _move(by_split, moved, drawing)
    if not source_splits:
        raise SourceError(
            f"no images were found in {source} ({scan.layout}).", reason="no-images"
        )
    _check_splits(options.split, by_split.keys(), source_splits)
    ids = _image_ids(by_split)
    shards: list[PlannedShard] = []
    lines = PlanLines(spool)
    for split, candidates in sorted(by_split.items()):
        shards += _split_plan(dataset, split, candidates, ids, options, lines)
    return Plan(shards=tuple(shards), lines=lines, warnings=tuple(drawing.warnings))


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
    spool: Spool,
    drawing: SplitDrawing,
) -> tuple[dict[str, list[_Candidate]], list[str]]:
    """Candidates by split, and the names of the source's own splits."""
    by_split: dict[str, list[_Candidate]] = {}
    images_by_key: dict[str, str] = {}
    source_splits: set[str] = set()
    for data in found:
        _check(data, options)
        key = record_key(data)
        if key in images_by_key:
            raise SourceError(
                f"two images have the key {key!r}: {images_by_key[key]!r} and "
                f"{data['image']!r}. Rename or remove one of them.",
                reason="duplicate-key",
            )
        images_by_key[key] = data["image"]
        source_splits.add(data.get("split", DEFAULT_SPLIT))
        split = drawing.draw(key, data)
        if split is not None:
            is_strict = options.on_error == "fail"
            states = source_states(data, source, is_strict=is_strict)
            place = spool.append(_data_json(data))
            by_split.setdefault(split, []).append(
                _candidate(data, key, states, place, options)
            )
    return by_split, ordered_splits(source_splits)


def _move(
    by_split: dict[str, list[_Candidate]],
    moved: Mapping[Unit, str],
    drawing: SplitDrawing,
) -> dict[str, list[_Candidate]]:
    """The candidates by split, after some groups or records moved."""
    result: dict[str, list[_Candidate]] = {}
    for split, candidates in by_split.items():
        for candidate in candidates:
            unit = drawing.unit(candidate.key, candidate.source_split)
            result.setdefault(moved.get(unit, split), []).append(candidate)
    return result


def _candidate(
    data: Annotation,
    key: str,
    states: list[State],
    place: Place,
    options: BuildOptions,
) -> _Candidate:
    return _Candidate(
        hashed=identity.key_hash(key, options.seed, "shard"),
        key=key,
        source_bytes=sum(size for size, _ in states),
        source_state=repr(states).encode(),
        image_id=data.get("image_id"),
        image=data["image"],
        source_split=data.get("split"),
        place=place,
    )


def _data_json(data: Annotation) -> bytes:
    # Sorted, so that the order of fields in a source is no matter.
    stored = {k: v for k, v in data.items() if k != "key"}
    try:
        return orjson.dumps(stored, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        if "objects" in stored:
            stored["objects"] = [_storable(item) for item in data["objects"]]
        if "source" in stored:
            stored |= _storable({"source": stored["source"]})
        return _json(stored)


def _storable(item: Mapping[str, Any]) -> dict[str, Any]:
    """A dict whose fields JSON can hold, e.g. not nested 255 deep.

    What it cannot hold goes as text: the worker refuses it with the object's name.
    """
    result = {}
    for name, value in item.items():
        try:
            orjson.dumps(value)
            result[name] = value
        except TypeError as error:
            result[name] = f"a {type(value).__name__} ({error})"
    return result


def _check(data: Annotation, options: BuildOptions) -> None:
    """Ends a strict build at an annotation dict that is not well formed.

    Otherwise its worker will reject it.
    """
    try:
        validate_annotation(data)
    except AnnotationError:
        if options.on_error == "fail" or not isinstance(data.get("image"), str):
            raise


def _image_ids(by_split: dict[str, list[_Candidate]]) -> dict[str, int]:
    """The source's own numbers where all are usable, else numbers from the keys."""
    candidates = [c for group in by_split.values() for c in group]
    given = [c.image_id for c in candidates if isinstance(c.image_id, int)]
    usable = (
        len(given) == len(candidates)
        and len(set(given)) == len(given)
        and 0 <= min(given) <= max(given) <= identity.MAX_IMAGE_ID
    )
    if usable:
        return dict(zip([c.key for c in candidates], given, strict=True))
    return identity.unique_image_ids([c.key for c in candidates])


def _split_plan(
    dataset: str,
    split: str,
    candidates: list[_Candidate],
    ids: dict[str, int],
    options: BuildOptions,
    lines: PlanLines,
) -> Iterator[PlannedShard]:
    num_shards = options.num_shards or _num_shards(candidates, options.shard_bytes)
    candidates.sort(key=lambda c: (c.hashed, c.key))
    members: list[list[_Candidate]] = [[] for _ in range(num_shards)]
    for candidate in candidates:
        members[identity.shard_index(candidate.hashed, num_shards)].append(candidate)
    for index, group in enumerate(members):
        name = shard_name(dataset, split, index, num_shards)
        text = lines.add(name, [(_line_head(c, ids[c.key]), c.place) for c in group])
        yield PlannedShard(
            name=name,
            split=split,
            num_records=len(group),
            num_bytes=sum(c.source_bytes for c in group),
            plan_sha256=hashlib.sha256(text).hexdigest(),
            state_sha256=hashlib.sha256(
                b"".join(c.source_state for c in group)
            ).hexdigest(),
        )


def _num_shards(candidates: list[_Candidate], shard_bytes: int) -> int:
    by_size = math.ceil(sum(c.source_bytes for c in candidates) / shard_bytes)
    by_count = min(_FEW_SHARDS, len(candidates) // _RECORDS_PER_SMALL_SHARD)
    return min(max(1, by_size, by_count), len(candidates), MAX_SHARDS)


def _line_head(candidate: _Candidate, number: int) -> bytes:
    return _json(
        {
            "key": candidate.key,
            "number": number,
            "source_bytes": candidate.source_bytes,
        }
    )


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise SourceError(
            f"annotation of image {value.get('image')!r} cannot be stored as JSON: "
            f"{error}. File names must be valid UTF-8.",
            reason="not-json",
        ) from error
