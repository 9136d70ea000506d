"""The output directory: how a build begins in it, goes on, and ends.

While a build runs, the folder `.segdata/` holds its plan. Shards and receipts appear
one by one; `manifest.json` comes last and `.segdata/` is removed. A directory with
`.segdata/` is an unfinished build: the same command continues it.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import orjson

from segdata.building import directory
from segdata.building.options import BuildOptions
from segdata.building.outcome import remarks
from segdata.building.plan import Plan, PlannedShard
from segdata.building.shard import WORK_DIR
from segdata.errors import AnnotationError, BuildError, CorruptionError, OutputError
from segdata.formats.base import Scan
from segdata.label_map import LabelMap
from segdata.records import schema
from segdata.shards import manifest, sidecars
from segdata.shards.manifest import (
    MANIFEST_NAME,
    REJECTS_NAME,
    About,
    Manifest,
    SourceSummary,
)
from segdata.shards.offsets import write_offsets
from segdata.shards.receipt import INDEX_DIR, Reject, ShardReceipt, read_receipt
from segdata.storage.paths import Location
from segdata.version import __version__

logger = logging.getLogger(__name__)


def begin(
    out: Location, plan: Plan, settings: str, *, overwrite: bool
) -> list[PlannedShard]:
    """Makes the output directory ready and tells which shards are still to be built.

    A finished or foreign directory is refused. An unfinished build of the same
    settings is continued: a shard is kept if its plan, the state of its source files,
    its receipt, size and hash all agree, and built anew if any does not. One of other
    settings is refused if a shard of it is done, and replaced if none is.

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
    is_done = out.each(lambda s: directory.is_done(out, s), plan.shards)
    unfinished = [s for s, done in zip(plan.shards, is_done, strict=True) if not done]
    out.each(lambda s: directory.write_plan(out, s, plan.lines[s.name]), unfinished)
    return unfinished


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
    receipts = out.each(
        lambda shard: _checked_receipt(places.get(shard.name, out), shard), plan.shards
    )
    unplaced = [_unplaced(problem) for problem in scan.problems]
    _check_rejects(receipts, {scan.problem_unit: unplaced}, plan, options)
    rejects = [reject for receipt in receipts for reject in receipt.rejects]
    _write_rejects(out, [*unplaced, *rejects])
    source = summarize_source(receipts, plan)
    splits = manifest.summarize(receipts)
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
        leakage=find_leakage(receipts),
        warnings=(*scan.warnings, *said),
        source_info=scan.source_info,
        scan_rejects=dict(sorted(Counter(r.reason for r in unplaced).items())),
    )
    sidecars.write_sidecars(out, result)
    by_name = {receipt.name: receipt for receipt in receipts}
    write_offsets(
        out,
        (
            [entry.offset for entry in by_name[shard.name].records]
            for split in result.splits.values()
            for shard in split.shards
        ),
    )
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
    packages = ("numpy", "pillow", "pycocotools", "protobuf")
    found = {package: version(package) for package in packages}
    return {"segdata": __version__, **found}


def summarize_source(receipts: Sequence[ShardReceipt], plan: Plan) -> SourceSummary:
    """Hashes what all records were made from, whatever their shards."""
    digest = hashlib.sha256()
    found = (item for receipt in receipts for item in receipt.sources().items())
    for key, source_sha256 in sorted(found):
        digest.update(orjson.dumps([key, source_sha256]))
    return SourceSummary(
        sha256=digest.hexdigest(),
        num_records=plan.num_records,
        num_bytes=sum(shard.num_bytes for shard in plan.shards),
    )


def find_leakage(receipts: Sequence[ShardReceipt]) -> list[list[str]]:
    """Groups of `split/key` with the same image bytes in more than one split."""
    owners: dict[str, list[tuple[str, str]]] = {}
    for receipt in receipts:
        for entry in receipt.records:
            owners.setdefault(entry.image_sha256, []).append((receipt.split, entry.key))
    return sorted(
        sorted(f"{split}/{key}" for split, key in group)
        for group in owners.values()
        if len({split for split, _ in group}) > 1
    )


def _check_and_clear(out: Location, settings: str, *, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: expected a directory or nothing.")
    if not out.exists() or not any(out.iterdir()):
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
                "continue it, or pass --overwrite to start anew.",
                reason="other-build",
            )
        directory.clear(out)  # nothing is lost


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


def _check_rejects(
    receipts: Sequence[ShardReceipt],
    unplaced: Mapping[str, Sequence[Reject]],
    plan: Plan,
    options: BuildOptions,
) -> None:
    lost = {
        what: [
            *unplaced.get(what, ()),
            *(reject for receipt in receipts for reject in receipt.lost(stage)),
        ]
        for what, stage in (("records", "encode"), ("objects", "object"))
    }
    num_objects = sum(r.counts.class_objects.total() for r in receipts)
    totals = {
        "records": plan.num_records + len(unplaced.get("records", ())),
        "objects": num_objects + len(lost["objects"]),
    }
    for what, total in totals.items():
        count = len(lost[what])
        if count and count / total > options.max_reject_share:
            raise BuildError(
                f"{count} of {total} {what} were rejected ({count / total:.1%}): at "
                f"most {options.max_reject_share:.1%} may be (--max-rejects). The "
                f"first reason: {lost[what][0].message}",
                reason="too-many-rejects",
            )
    for split, summary in manifest.summarize(receipts).items():
        if not summary.num_records:
            first = next(r for x in receipts if x.split == split for r in x.rejects)
            raise BuildError(
                f"split {split!r} came out empty: all its records were rejected. "
                f"The first reason: {first.message}",
                reason="empty-split",
            )


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


def _write_rejects(out: Location, rejects: Sequence[Reject]) -> None:
    if rejects:
        named = [asdict(reject) for reject in rejects]
        for reject in named:
            del reject["source_sha256"]  # tells an update, not a person
        lines = (orjson.dumps(r, option=orjson.OPT_APPEND_NEWLINE) for r in named)
        (out / REJECTS_NAME).write_atomic(b"".join(lines))
    else:
        (out / REJECTS_NAME).unlink(missing_ok=True)


def _hash_json(value: Any) -> str:
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()
