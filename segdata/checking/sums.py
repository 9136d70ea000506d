"""The files beside the shards: whether they are whole, and say what receipts say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace

from segdata.errors import CorruptionError, OutputError
from segdata.shards.manifest import (
    MANIFEST_NAME,
    STATS_NAME,
    Manifest,
    SplitSummary,
    join_summaries,
)
from segdata.shards.offsets import OFFSETS_NAME, wrong_offsets
from segdata.shards.receipt import INDEX_DIR
from segdata.shards.seal import is_whole
from segdata.shards.sidecars import changed_sidecars
from segdata.statistics.stats_file import read_stats
from segdata.storage.paths import Location


def check_beside(
    directory: Location,
    manifest: Manifest,
    receipts: Mapping[str, Sequence[SplitSummary]],
) -> Iterator[tuple[str, str]]:
    """Checks what is no shard.

    Args:
      directory: The finished build.
      manifest: Its manifest.
      receipts: Split -> what the receipt of each of its shards says, in order.

    Yields:
      File name, and what is wrong with it.
    """
    if not is_whole((directory / MANIFEST_NAME).read_bytes()):
        yield MANIFEST_NAME, "was changed since it was written: its sha256 is another"
    for name, split in manifest.splits.items():
        summed = join_summaries(receipts.get(name, ()))
        if len(summed.shards) == len(split.shards):  # else a receipt is named already
            for field in _differing(split, summed):
                what = f"{field} of split {name!r} is not what the receipts add up to"
                yield MANIFEST_NAME, what
    yield from _check_offsets(directory, manifest)
    yield from _check_stats(directory)
    for name in changed_sidecars(directory, manifest):
        yield name, "missing, or not what the manifest gives"


def _differing(split: SplitSummary, summed: SplitSummary) -> Iterator[str]:
    for field in fields(SplitSummary):
        one, other = getattr(split, field.name), getattr(summed, field.name)
        if field.name == "shards":  # the receipts' own hashes are checked with them
            one, other = (
                [replace(s, receipt_sha256="") for s in x] for x in (one, other)
            )
        if one != other:
            yield field.name


def _check_offsets(
    directory: Location, manifest: Manifest
) -> Iterator[tuple[str, str]]:
    name = f"{INDEX_DIR}/{OFFSETS_NAME}"
    try:
        for shard in wrong_offsets(directory, manifest):
            yield shard, f"{name} does not point to its records"
    except CorruptionError as error:
        yield name, str(error).rstrip(".")


def _check_stats(directory: Location) -> Iterator[tuple[str, str]]:
    path = directory / STATS_NAME
    if not path.is_file():
        return
    if not is_whole(path.read_bytes()):
        yield STATS_NAME, "was changed since it was written: its sha256 is another"
        return
    try:
        read_stats(directory)
    except OutputError:
        pass  # it is of another version, or counted before an update: no damage
    except CorruptionError as error:
        yield STATS_NAME, str(error).rstrip(".")
