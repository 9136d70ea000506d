"""Updating a finished build: only the shards that changed are written anew.

They are built in a folder of their own inside the output, `.segdata-update/`, as a
build that can be interrupted and continued like any other; the finished build stays
whole and readable beside it. When they are all there, with the new manifest, they are
moved in: the old manifest goes first, the new one comes last. A move that was
interrupted is completed by the next `segdata build` into the directory.

Which shards changed is told by their plan and by the hash of their source files, both
in the receipts. So that unchanged files need not be read, the states of source files
and shards are noted in `index/.sources.json`. It is no part of the build: it differs
from run to run, and without it the source files are hashed.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import orjson

from segdata.building import directory
from segdata.building.directory import NOTES_NAME, STAGING_DIR
from segdata.building.plan import Plan, PlannedShard, parse_plan_line
from segdata.building.sources import read_files, source_digest
from segdata.cpus import num_cpus
from segdata.errors import CorruptionError, OutputError
from segdata.progress import display
from segdata.shards.manifest import (
    MANIFEST_NAME,
    REJECTS_NAME,
    STATS_NAME,
    Manifest,
    read_manifest,
)
from segdata.shards.offsets import OFFSETS_NAME
from segdata.shards.receipt import (
    INDEX_DIR,
    dali_index_path,
    read_receipt,
)
from segdata.shards.sidecars import sidecar_files
from segdata.storage.paths import Location

logger = logging.getLogger(__name__)


def outdated(
    out: Location, plan: Plan, settings: str, source: Location
) -> tuple[PlannedShard, ...]:
    """Finds the shards that an update writes, and says why all of them are.

    Args:
      out: A finished build.
      plan: What a build from scratch would write.
      settings: From `output.settings_fingerprint`.
      source: Folder of the source files.

    Returns:
      The shards to be written, in the order of the plan.
    """
    try:
        old = read_manifest(out)
    except CorruptionError as error:
        logger.info("every shard is written again: %s", error)
        return plan.shards
    if old.settings_sha256 != settings:
        logger.info("every shard is written again: options, classes or versions differ")
        return plan.shards
    _tell_new_numbers(old, plan)
    return changed_shards(out, plan, source)


def changed_shards(
    out: Location, plan: Plan, source: Location
) -> tuple[PlannedShard, ...]:
    """Finds the shards that a build of the same settings lacks or has otherwise.

    Args:
      out: A finished build.
      plan: What a build from scratch would write.
      source: Folder of the source files.

    Returns:
      Those that are not whole or whose plan or source files differ, in the order of
      the plan.
    """
    noted = _read_notes(out)
    is_planned = out.each(lambda shard: _is_planned(out, shard), plan.shards)
    planned = [s for s, is_so in zip(plan.shards, is_planned, strict=True) if is_so]
    notes = out.each(lambda shard: _note(out, shard), planned)
    pairs = [*zip(planned, notes, strict=True)]
    current = {shard.name for shard, note in pairs if note == noted.get(shard.name)}
    doubtful = [shard for shard in planned if shard.name not in current]
    current |= set(_unchanged(out, plan, source, doubtful))
    return tuple(shard for shard in plan.shards if shard.name not in current)


def staging_folder(out: Location, settings: str) -> Location:
    """Where an update is built; what is left there of one of other settings goes.

    Raises:
      OutputError: If it cannot be removed.
    """
    staging = out / STAGING_DIR
    if staging.exists() and directory.recognize(staging).settings != settings:
        try:
            staging.remove_tree()
        except OSError as error:
            raise OutputError(
                f"cannot remove {staging}: {error.strerror}.", reason="unwritable"
            ) from error
    return staging


def note_sources(out: Location, plan: Plan) -> None:
    """Notes the states of source files and shards for the next update."""
    noted = out.each(lambda shard: _note(out, shard), plan.shards)
    notes = {shard.name: note for shard, note in zip(plan.shards, noted, strict=True)}
    with suppress(OutputError):  # the build is complete without it
        _notes_path(out).write_atomic(orjson.dumps(notes), durable=False)


def complete(out: Location) -> None:
    """Moves the shards of a finished update in, where there is one.

    Can be called again after it was interrupted at any point.

    Raises:
      OutputError: If the output cannot be written.
    """
    staging = out / STAGING_DIR
    if not (staging / MANIFEST_NAME).exists():
        return
    if _changes_nothing(out, staging):
        staging.remove_tree(ignore_errors=True)
        return
    new = read_manifest(staging)
    names = {shard.name for split in new.splits.values() for shard in split.shards}
    try:
        (out / MANIFEST_NAME).unlink(missing_ok=True)
        out.sync()  # it must be gone before anything else changes
        directory.remove_other_shards(out, names)
        for folder, paths in _to_move(staging):
            out.each(functools.partial(_move_into, out / folder), paths)
        (out / INDEX_DIR).sync()
        beside = {*sidecar_files(new), *([REJECTS_NAME] if new.has_rejects else [])}
        if (out / STATS_NAME).exists():
            logger.info(
                "%s told of the build as it was, and is removed: run `segdata stats` "
                "again",
                out / STATS_NAME,
            )
        for name in set(directory.SIDE_FILES) - beside:
            (out / name).unlink(missing_ok=True)
        (staging / MANIFEST_NAME).move_to(out / MANIFEST_NAME)
        out.sync()
        staging.remove_tree()
    except OSError as error:
        raise OutputError(
            f"cannot update {out}: {error.strerror}. Check the permissions, then run "
            "the same command again.",
            reason="unwritable",
        ) from error


def _changes_nothing(out: Location, staging: Location) -> bool:
    """Whether a finished update wrote no shard and the manifest that is there."""
    with suppress(OSError):
        old, new = ((f / MANIFEST_NAME).read_bytes() for f in (out, staging))
        return old == new and not any(staging.glob("*.tfrecord-*"))
    return False


def _move_into(folder: Location, path: Location) -> None:
    path.move_to(folder / path.name)


def _to_move(staging: Location) -> Iterator[tuple[str, list[Location]]]:
    """Folder, and files in it: all of an update but the manifest, receipts last."""
    patterns = ("*.idx", OFFSETS_NAME, "*.json")
    for folder, pattern in ((".", "*"), *((INDEX_DIR, name) for name in patterns)):
        paths = (staging / folder).sorted_glob(pattern)
        yield folder, [p for p in paths if p.is_file() and p.name != MANIFEST_NAME]


def _tell_new_numbers(old: Manifest, plan: Plan) -> None:
    """Says why a whole split is written anew: its shards are named by their number."""
    for split, summary in old.splits.items():
        count = sum(shard.split == split for shard in plan.shards)
        if count and count != len(summary.shards):
            logger.info(
                "every shard of %s is written again: there are %d now, not %d",
                split,
                count,
                len(summary.shards),
            )


def _is_planned(out: Location, shard: PlannedShard) -> bool:
    """Whether a shard has the plan and size it should have."""
    try:
        receipt = read_receipt(out, shard.name)
        index = dali_index_path(out, shard.name).read_bytes()
        size = (out / shard.name).stat().st_size
    except (CorruptionError, OSError):
        return False
    is_planned = receipt.plan_sha256 == shard.plan_sha256
    is_whole = size == receipt.num_bytes and index == receipt.dali_index()
    return is_planned and is_whole


def _unchanged(
    out: Location,
    plan: Plan,
    source: Location,
    doubtful: list[PlannedShard],
) -> Iterator[str]:
    """Names of those shards whose bytes and source files are what they were."""
    if not doubtful:
        return
    num_records = sum(shard.num_records for shard in doubtful)
    # Threads will do: reading and hashing let go of the interpreter.
    with (
        ThreadPoolExecutor(num_cpus()) as pool,
        display(num_records, "comparing") as advance,
    ):
        answers = pool.map(
            lambda s: _is_unchanged(out, s, plan.lines[s.name], source), doubtful
        )
        for shard, is_unchanged in zip(doubtful, answers, strict=True):
            advance(shard.num_records)
            if is_unchanged:
                yield shard.name


def _is_unchanged(
    out: Location, shard: PlannedShard, lines: bytes, source: Location
) -> bool:
    receipt = read_receipt(out, shard.name)
    known = receipt.sources()
    for line in lines.splitlines():
        planned = parse_plan_line(line)
        found = read_files(planned.data, source)
        _, digest = source_digest(line, planned.data, found)
        if known.get(planned.data["key"]) != digest:
            return False
    return directory.file_sha256(out / receipt.name) == receipt.sha256


def _note(out: Location, shard: PlannedShard) -> list[int | str]:
    """The state of a shard and of its source files."""
    return [*(out / shard.name).state(), shard.state_sha256]


def _read_notes(out: Location) -> dict[str, list[int | str]]:
    try:
        notes = orjson.loads(_notes_path(out).read_bytes())
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _notes_path(out: Location) -> Location:
    return out / INDEX_DIR / NOTES_NAME
