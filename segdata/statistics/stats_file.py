"""`stats.json`: what the records of a finished build hold, in numbers.

Written by `segdata stats` beside the manifest; docs/statistics.md describes it. It
holds no time, path or host name and does not depend on the workers: the same build and
options give the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import orjson

from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.identity import key_hash
from segdata.label_map import LabelMap
from segdata.shards.equal_images import EqualImages
from segdata.shards.manifest import STATS_NAME, Manifest, read_manifest
from segdata.shards.receipt import read_receipt
from segdata.shards.seal import sealed
from segdata.statistics.shape import check_stats
from segdata.statistics.summary import summarize_split
from segdata.statistics.tally import SIZE_EDGES, SplitTally
from segdata.storage.paths import Address, Location, locate

logger = logging.getLogger(__name__)
STATS_VERSION = 1
_MAX_GROUPS = 50
_MAX_IDS = 1 << 20

Pixels = Literal["sample", "all", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StatsOptions:
    """What the numbers depend on, beside the records."""

    pixels: Pixels = "sample"
    """Which images are decoded for the mean and standard deviation of the channels."""
    sample_size: int = 200
    """Images of each split in a sample, about; a smaller split is taken whole."""

    def __post_init__(self) -> None:
        if self.pixels not in get_args(Pixels):
            raise OptionError(
                f"--pixels is {self.pixels!r}: expected sample, all or none."
            )
        if self.sample_size < 1:
            raise OptionError(
                f"--sample-size is {self.sample_size}: expected at least 1."
            )

    def __str__(self) -> str:
        size = f" --sample-size {self.sample_size}" if self.pixels == "sample" else ""
        return f"--pixels {self.pixels}{size}"

    def takes(self, key: str, num_records: int) -> bool:
        """Whether a record's image is decoded, by a hash of its key."""
        if self.pixels != "sample":
            return self.pixels == "all"
        return (key_hash(key, 0, "pixels") * num_records) >> 64 < self.sample_size


def num_ids(label_map: LabelMap) -> int:
    """One more than the largest class id that a record of this label map can have.

    Raises:
      CorruptionError: If it is too large to count by.
    """
    objects = [item.id for item in label_map.object_classes]
    highest = max([255 if label_map.semantic_classes else 0, *objects])
    if highest >= _MAX_IDS:
        raise CorruptionError(
            f"the label map has the class id {highest}: ids below {_MAX_IDS} are "
            "counted. Number classes from 1 on."
        )
    return highest + 1


def finish(
    directory: Location, tallies: Mapping[str, SplitTally], options: StatsOptions
) -> bytes:
    """Makes `stats.json` of what was counted.

    Args:
      directory: The finished build.
      tallies: Split name -> what was counted of all its shards.
      options: What was counted.

    Raises:
      CorruptionError: If another number of records was counted than the manifest says.
    """
    manifest = read_manifest(directory)
    splits = {}
    for name, split in manifest.splits.items():
        tally = tallies.get(name, SplitTally(num_ids(manifest.label_map)))
        if tally.num_records != split.num_records:
            raise CorruptionError(
                f"split {name!r} has {tally.num_records} records: expected "
                f"{split.num_records}, as its manifest says. Run `segdata verify`."
            )
        rejects = {"records": split.rejects, "objects": split.rejected_objects}
        summary = summarize_split(tally, manifest.label_map)
        splits[name] = {**summary, "rejects": rejects}
    data = {
        "stats_version": STATS_VERSION,
        "fingerprint": manifest.fingerprint,
        "pixels": {"mode": options.pixels, "sample_size": options.sample_size},
        "size_edges": SIZE_EDGES,
        "splits": splits,
        "duplicates": _duplicates(directory, manifest),
    }
    return sealed(data)


def stated_or_before(
    directory: Location, pixels: Pixels | None, sample_size: int | None
) -> StatsOptions:
    """What is stated, or else what `stats.json` there was counted with.

    Raises:
      OptionError: If what is stated cannot be.
    """
    before = options_before(directory)
    if pixels is None and sample_size is not None:
        pixels = "sample"  # who states its size wants one
    found = replace(
        before,
        pixels=before.pixels if pixels is None else pixels,
        sample_size=before.sample_size if sample_size is None else sample_size,
    )
    if found == before != StatsOptions():
        logger.info("counting as before: %s", before)
    return found


def options_before(directory: Location) -> StatsOptions:
    """What `stats.json` was counted with; the defaults where nothing tells."""
    try:
        noted = orjson.loads((directory / STATS_NAME).read_bytes())["pixels"]
        return StatsOptions(pixels=noted["mode"], sample_size=noted["sample_size"])
    except (OSError, ValueError, KeyError, TypeError, OptionError):
        return StatsOptions()


def write_stats(
    directory: Location, tallies: Mapping[str, SplitTally], options: StatsOptions
) -> None:
    """Writes `stats.json`, whole or not at all; see `finish`."""
    (directory / STATS_NAME).write_atomic(finish(directory, tallies, options))


def read_stats(directory: Address) -> dict[str, Any]:
    """Reads the statistics of a finished build.

    Raises:
      OutputError: If there are none, or they are of another build.
      CorruptionError: If they cannot be understood.
    """
    path = locate(directory) / STATS_NAME
    advice = f"Run `segdata stats {directory}`."
    try:
        data: dict[str, Any] = orjson.loads(path.read_bytes())
    except OSError as error:
        raise OutputError(
            f"{directory} has no statistics: {STATS_NAME} cannot be read "
            f"({error.strerror}). {advice}",
            reason="no-stats",
        ) from error
    except ValueError as error:
        raise CorruptionError(f"{path} is not JSON: {error}. {advice}") from error
    version = data.get("stats_version") if isinstance(data, dict) else None
    if version != STATS_VERSION:
        raise OutputError(
            f"{path} is of version {version}: expected {STATS_VERSION}. {advice}",
            reason="other-version",
        )
    manifest = read_manifest(directory)
    if data.get("fingerprint") != manifest.fingerprint:
        raise OutputError(
            f"{path} tells of another build than the one beside it. {advice}",
            reason="stale-stats",
        )
    try:
        check_stats(data, manifest)
    except (TypeError, ValueError) as error:
        raise CorruptionError(f"{path} is damaged: {error}. {advice}") from error
    return data


def _duplicates(directory: Location, manifest: Manifest) -> dict[str, Any]:
    """Groups of `split/key` with the same image bytes, within a split and across."""
    with EqualImages() as images:
        for split in manifest.splits.values():
            for shard in split.shards:
                images.add(read_receipt(directory, shard.name))
        groups = [*images.groups()]
    across = [group for group in groups if len({split for split, _ in group}) > 1]
    within = [group for group in groups if len({split for split, _ in group}) == 1]
    return {"within_splits": _named(within), "across_splits": _named(across)}


def _named(groups: Sequence[Sequence[tuple[str, str]]]) -> dict[str, Any]:
    names = sorted([f"{split}/{key}" for split, key in group] for group in groups)
    return {"num_groups": len(names), "groups": names[:_MAX_GROUPS]}
