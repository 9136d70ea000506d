"""The output directory: how a build begins in it, goes on, and ends.

While a build runs, the folder `.segdata/` holds its plan. Shards and receipts appear
one by one; `manifest.json` comes last and `.segdata/` is removed. A directory with
`.segdata/` is an unfinished build: the same command continues it.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import orjson

from segdata.building import directory, versions
from segdata.building.gather import Gathered
from segdata.building.options import BuildOptions
from segdata.building.outcome import remarks
from segdata.building.plan import Plan, PlannedShard
from segdata.building.shard import WORK_DIR, BuildJob, build_shard
from segdata.errors import AnnotationError, BuildError, CorruptionError, OutputError
from segdata.formats.base import Scan
from segdata.label_map import LabelMap
from segdata.records import schema
from segdata.shards import manifest, sidecars
from segdata.shards.manifest import (
    MANIFEST_NAME,
    About,
    Manifest,
    SourceSummary,
)
from segdata.shards.offsets import offsets_path, with_offsets
from segdata.shards.receipt import INDEX_DIR, Reject, ShardReceipt, read_receipt
from segdata.storage.paths import Location, locate

_RECEIPTS_AT_ONCE = 16  # requests to a store

logger = logging.getLogger(__name__)


def begin(
    out: Location, plan: Plan, settings: str, *, overwrite: bool
) -> list[PlannedShard]:
    """Makes the output directory ready and tells which shards are surely to be built.

    A finished or foreign directory is refused. An unfinished build of the same
    settings is continued: a shard that has a receipt, and whose plan and source files
    are what they were, is left for `build_or_keep` to prove. One of other settings is
    refused if a shard of it is done, and replaced if none is.

    Args:
      out: Output directory; made if absent.
      plan: What is to be built.
      settings: From `settings_fingerprint`.
      overwrite: Replace an earlier build, finished or not. Never touches what segdata
        did not write.

    Raises:
      OutputError: If the directory is not ours, finished, of other settings, or not
        writable.
    """
    try:
        _check_and_clear(out, settings, overwrite=overwrite)
        for folder in (out / WORK_DIR, out / INDEX_DIR):  # the first says it is ours
            folder.mkdir(parents=True, exist_ok=True)
        directory.remove_temporaries(out)
        directory.remove_other_shards(out, {shard.name for shard in plan.shards})
    except OSError as error:
        raise OutputError(
            f"cannot use {out}: {error.strerror}. Choose another directory or check "
            "the permissions.",
            reason="unwritable",
        ) from error
    directory.write_settings(out, settings)
    there = directory.handed_out(out)
    old = [shard for shard in plan.shards if shard.name in there]
    are_current = out.each(lambda s: directory.is_current(out, s), old)
    kept = {s.name for s, is_so in zip(old, are_current, strict=True) if is_so}
    unfinished = [shard for shard in plan.shards if shard.name not in kept]
    out.each(lambda s: directory.write_plan(out, s, plan.lines[s.name]), unfinished)
    return unfinished


def build_or_keep(
    shard: PlannedShard, job: BuildJob, on_records: Callable[[int], None]
) -> None:
    """Builds a shard, unless an earlier attempt left it whole and current.

    The proof is the worker's: finished shards are hashed on all cores, while others are
    built.
    """
    if directory.is_done(locate(job.out), shard):
        on_records(shard.num_records)
    else:
        build_shard(shard, job, on_records)


def finish(
    out: Location,
    *,
    name: str,
    scan: Scan,
    plan: Plan,
    settings: str,
    options: BuildOptions,
    about: About | None = None,
    kept: Mapping[str, Location] | None = None,
) -> Manifest:
    """Checks that everything planned is there and writes the manifest, last.

    Args:
      out: Output directory.
      name: The dataset's name.
      scan: What the format found.
      plan: What was to be built.
      settings: From `settings_fingerprint`.
      options: The user's options.
      about: What the user says of the dataset.
      kept: Shard name -> directory of an earlier build that holds it, for shards that
        are not in `out`.

    Raises:
      BuildError: If a shard is missing, counts differ from the plan, a split came out
        empty, or too many records were rejected.
    """
    places = kept or {}
    unplaced = [_unplaced(problem) for problem in scan.problems]
    with Gathered() as gathered:
        gathered.add_unplaced(unplaced, scan.problem_unit)
        with offsets_path(out).atomic_file() as file:
            receipts = gathered.watched(_checked_receipts(out, plan.shards, places))
            splits = manifest.summarize(with_offsets(receipts, file))
        gathered.check(options)
        gathered.write_rejects(out)
        source = SourceSummary(
            sha256=gathered.source_sha256(),
            num_records=plan.num_records,
            num_bytes=sum(shard.num_bytes for shard in plan.shards),
        )
        leakage = gathered.leakage()
    said = tuple(remarks(splits, scan.label_map, options.split))
    for line in said:
        logger.warning("%s", line)
    result = Manifest(
        name=name,
        layout=scan.layout,
        fingerprint=build_fingerprint(settings, plan, source, scan.problems),
        settings_sha256=settings,
        source=source,
        about=about or About(),
        options=options.to_json(),
        versions=byte_versions(),
        label_map=scan.label_map,
        splits=splits,
        leakage=leakage,
        warnings=(*scan.warnings, *said),
        source_info=scan.source_info,
        scan_rejects=dict(sorted(Counter(r.reason for r in unplaced).items())),
    )
    sidecars.write_sidecars(out, result)
    for folder in (out / INDEX_DIR, out):  # what the manifest vouches for comes first
        folder.sync()
    (out / MANIFEST_NAME).write_atomic(result.to_bytes())
    out.sync()
    directory.remove_leftovers(out)
    return result


def settings_fingerprint(name: str, label_map: LabelMap, options: BuildOptions) -> str:
    """Hash of everything that the bytes of a build depend on, but its source."""
    chosen = options.to_json()
    # One decides whether a build may end, the others speak through classes and plan.
    for option in ("max_reject_share", "format", "class_map", "only", "name"):
        del chosen[option]
    # Absent from earlier versions, whose builds are those of the defaults.
    for option in ("exif", "check", "max_size", "group", "stratify", "of_format"):
        if chosen[option] == getattr(BuildOptions, option):
            del chosen[option]
    if options.check == "pixels":  # which records are rejected depends on it
        chosen["decoder"] = version("simplejpeg")
    parts = {
        "name": name,
        "schema_version": schema.SCHEMA_VERSION,
        "versions": byte_versions(),
        "label_map": label_map.to_json(),
        "options": chosen,
    }
    return _hash_json(parts)


def build_fingerprint(
    settings: str,
    plan: Plan,
    source: SourceSummary,
    problems: Sequence[AnnotationError] = (),
) -> str:
    """Hash of settings, plan, what the workers read, and scan problems.

    Equal ones mean equal bytes.
    """
    shards = [(shard.name, shard.plan_sha256) for shard in plan.shards]
    parts = [settings, shards, source.sha256, [str(problem) for problem in problems]]
    return _hash_json(parts)


def byte_versions() -> dict[str, str]:
    """Versions of everything that decides what bytes a build writes."""
    return dict(versions.byte_versions())


def _check_and_clear(out: Location, settings: str, *, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: expected a directory or nothing.")
    if not out.exists() or directory.is_empty(out):
        return
    found = directory.recognize(out)
    ended_while_starting = not found.is_finished and found.settings == ""
    if found.is_foreign:
        raise OutputError(
            f"{out} holds files that segdata did not write, e.g. "
            f"{min(p.name for p in out.iterdir())!r}. Choose an empty directory.",
            reason="foreign-output",
        )
    if overwrite or ended_while_starting:
        directory.clear(out)
    elif found.is_finished:
        raise OutputError(
            f"{out} already holds a finished build. Choose another directory, or pass "
            "--overwrite to replace it.",
            reason="output-exists",
        )
    elif found.settings != settings:
        if num_done := directory.count_receipts(out):
            done = "1 shard is done" if num_done == 1 else f"{num_done} shards are done"
            raise OutputError(
                f"{out} holds an unfinished build of other options, classes or "
                f"versions ({done}). Run it with the same ones to "
                "continue it, or pass --overwrite to start again.",
                reason="other-build",
            )
        directory.clear(out)  # nothing is lost


def _checked_receipts(
    out: Location, shards: Sequence[PlannedShard], places: Mapping[str, Location]
) -> Iterator[ShardReceipt]:
    """The receipts in order, few of them in memory at once."""
    for start in range(0, len(shards), _RECEIPTS_AT_ONCE):
        yield from out.each(
            lambda shard: _checked_receipt(places.get(shard.name, out), shard),
            shards[start : start + _RECEIPTS_AT_ONCE],
        )


def _checked_receipt(out: Location, shard: PlannedShard) -> ShardReceipt:
    try:
        receipt = read_receipt(out, shard.name)
    except CorruptionError as error:
        raise BuildError(
            f"shard {shard.name} was not written: {error} Run the same command again "
            "to build what is missing.",
            reason="shard-missing",
        ) from error
    written = len(receipt.records) + len(receipt.lost("encode"))
    if receipt.plan_sha256 != shard.plan_sha256 or written != shard.num_records:
        raise BuildError(
            f"shard {shard.name} is not what was planned: expected "
            f"{shard.num_records} records, got {written}. Run the same command again.",
            reason="count-mismatch",
        )
    size = (out / shard.name).stat().st_size if (out / shard.name).exists() else -1
    if size != receipt.num_bytes:
        raise BuildError(
            f"shard {shard.name} was changed after it was written: expected "
            f"{receipt.num_bytes} bytes, got {size}. Run the same command again.",
            reason="shard-changed",
        )
    return receipt


def _unplaced(problem: AnnotationError) -> Reject:
    """A reject for an annotation that belongs to no record."""
    return Reject(
        key="",
        split="",
        image="",
        reason=problem.reason,
        stage="scan",
        message=str(problem),
    )


def _hash_json(value: Any) -> str:
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()
