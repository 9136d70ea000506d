"""The output directory: how a build begins in it, goes on, and ends.

While a build runs, the folder `.segdata/` holds its plan. Shards and receipts appear
one by one; `manifest.json` comes last and `.segdata/` is removed. A directory with
`.segdata/` is an unfinished build: the same command continues it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import orjson

from segdata import features, files, manifest, shard_builder
from segdata.errors import BuildError, CorruptionError, OutputError
from segdata.formats.base import Scan
from segdata.label_map import OUTSIDE_IGNORE_ID, LabelMap
from segdata.manifest import (
    INDEX_DIR,
    MANIFEST_NAME,
    REJECTS_NAME,
    Manifest,
    Reject,
    ShardReceipt,
)
from segdata.plan import BuildOptions, Plan, PlannedShard
from segdata.shard_builder import WORK_DIR
from segdata.version import __version__

_STATE_NAME = "build.json"
LABELS_NAME = "labels.txt"
PBTXT_NAME = "label_map.pbtxt"


def begin(
    out: Path, plan: Plan, fingerprint: str, *, overwrite: bool
) -> list[PlannedShard]:
    """Makes the output directory ready and tells which shards are still to be built.

    A finished or foreign directory is refused. An unfinished build of the same
    fingerprint is continued: shards whose receipt, size and hash agree are kept.

    Args:
      out: Output directory; made if absent.
      plan: What is to be built.
      fingerprint: From `build_fingerprint`.
      overwrite: Replace an earlier build, finished or not. Never touches a directory
        that segdata did not write.

    Raises:
      OutputError: If the directory is not ours, finished, of another build, or not
        writable.
    """
    try:
        _check_and_clear(out, fingerprint, overwrite=overwrite)
        for folder in (out / INDEX_DIR, out / WORK_DIR):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot use {out}: {error.strerror}. Choose another directory or check "
            "the permissions.",
            reason="unwritable",
        ) from error
    _remove_temporaries(out)
    state = orjson.dumps({"fingerprint": fingerprint})
    files.write_atomic(out / WORK_DIR / _STATE_NAME, state)
    unfinished = [shard for shard in plan.shards if not _is_done(out, shard)]
    for shard in unfinished:
        files.write_atomic(
            shard_builder.plan_path(out, shard.name), plan.lines[shard.name]
        )
    return unfinished


def finish(
    out: Path,
    *,
    name: str,
    scan: Scan,
    plan: Plan,
    fingerprint: str,
    options: BuildOptions,
) -> Manifest:
    """Checks that everything planned is there and writes the manifest, last.

    Raises:
      BuildError: If a shard is missing, counts differ from the plan, a split came out
        empty, or too many records were rejected.
    """
    receipts = [_checked_receipt(out, shard) for shard in plan.shards]
    rejects = [reject for receipt in receipts for reject in receipt.rejects]
    _check_rejects(receipts, rejects, plan, options)
    _write_rejects(out, rejects)
    _write_labels(out, scan.label_map)
    result = Manifest(
        name=name,
        layout=scan.layout,
        fingerprint=fingerprint,
        options=options.to_json(),
        versions=byte_versions(),
        label_map=scan.label_map,
        splits=manifest.summarize(receipts),
        leakage=find_leakage(receipts),
        warnings=scan.warnings,
    )
    files.write_atomic(out / MANIFEST_NAME, result.to_bytes())
    shutil.rmtree(out / WORK_DIR)
    _remove_temporaries(out)
    return result


def build_fingerprint(
    name: str, label_map: LabelMap, plan: Plan, options: BuildOptions
) -> str:
    """Hash of everything that the bytes of a build depend on."""
    parts = {
        "name": name,
        "schema_version": features.SCHEMA_VERSION,
        "versions": byte_versions(),
        "label_map": label_map.to_json(),
        "options": options.to_json(),
        "shards": [(shard.name, shard.plan_sha256) for shard in plan.shards],
    }
    text = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()


def byte_versions() -> dict[str, str]:
    """Versions of everything that decides what bytes a build writes."""
    packages = ("numpy", "pillow", "pycocotools", "protobuf")
    found = {package: version(package) for package in packages}
    return {"segdata": __version__, **found}


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


def _check_and_clear(out: Path, fingerprint: str, *, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: expected a directory or nothing.")
    if not out.exists() or not any(out.iterdir()):
        return
    is_finished = (out / MANIFEST_NAME).is_file()
    state = _read_state(out)
    if not is_finished and state is None:
        raise OutputError(
            f"{out} holds files that segdata did not write, e.g. "
            f"{min(p.name for p in out.iterdir())!r}. Choose an empty directory.",
            reason="foreign-output",
        )
    if overwrite:
        _clear(out)
    elif is_finished:
        raise OutputError(
            f"{out} already holds a finished build. Choose another directory, or pass "
            "--overwrite to replace it.",
            reason="output-exists",
        )
    elif state != fingerprint:
        raise OutputError(
            f"{out} holds an unfinished build of another source, version or options. "
            "Run it with the same ones to continue it, or pass --overwrite to start "
            "anew.",
            reason="other-build",
        )


def _read_state(out: Path) -> str | None:
    """Fingerprint of the unfinished build in a directory, or None if there is none."""
    if not (out / WORK_DIR).is_dir():
        return None
    try:
        state = orjson.loads((out / WORK_DIR / _STATE_NAME).read_bytes())
        return str(state["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # killed while starting: ours, but nothing to continue


def _clear(out: Path) -> None:
    """Removes what a build of ours left, the manifest first; nothing else."""
    (out / MANIFEST_NAME).unlink(missing_ok=True)
    for path in (*(out / INDEX_DIR).glob("*.json"), *(out / WORK_DIR).glob("*.jsonl")):
        (out / path.stem).unlink(missing_ok=True)
    for name in (REJECTS_NAME, LABELS_NAME, PBTXT_NAME):
        (out / name).unlink(missing_ok=True)
    for folder in (INDEX_DIR, WORK_DIR):
        shutil.rmtree(out / folder, ignore_errors=True)


def _remove_temporaries(out: Path) -> None:
    for folder in (out, out / INDEX_DIR, out / WORK_DIR):
        for path in folder.glob(f"{files.TEMPORARY_PREFIX}*"):
            path.unlink(missing_ok=True)


def _is_done(out: Path, shard: PlannedShard) -> bool:
    """Whether an earlier attempt left this shard whole: receipt, size and hash."""
    try:
        receipt = manifest.read_receipt(out, shard.name)
        if receipt.plan_sha256 != shard.plan_sha256:
            return False
        with open(out / shard.name, "rb") as file:
            if os.fstat(file.fileno()).st_size != receipt.num_bytes:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == receipt.sha256
    except (CorruptionError, OSError):
        return False


def _checked_receipt(out: Path, shard: PlannedShard) -> ShardReceipt:
    try:
        receipt = manifest.read_receipt(out, shard.name)
    except CorruptionError as error:
        raise BuildError(
            f"shard {shard.name} was not written: {error} Run the same command again "
            "to build what is missing.",
            reason="shard-missing",
        ) from error
    written = len(receipt.records) + len(receipt.rejects)
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
    rejects: Sequence[Reject],
    plan: Plan,
    options: BuildOptions,
) -> None:
    if rejects:
        first = f"The first reason: {rejects[0].message}"
        share = len(rejects) / plan.num_records
        if share > options.max_reject_share:
            raise BuildError(
                f"{len(rejects)} of {plan.num_records} records were rejected "
                f"({share:.1%}): at most {options.max_reject_share:.1%} are allowed "
                f"(--max-rejects). {first}",
                reason="too-many-rejects",
            )
    written: dict[str, int] = {}
    for receipt in receipts:
        written[receipt.split] = written.get(receipt.split, 0) + len(receipt.records)
    for split, num_records in written.items():
        if not num_records:
            raise BuildError(
                f"split {split!r} came out empty: all its records were rejected. "
                f"The first reason: {rejects[0].message}",
                reason="empty-split",
            )


def _write_rejects(out: Path, rejects: Sequence[Reject]) -> None:
    if rejects:
        lines = (orjson.dumps(r, option=orjson.OPT_APPEND_NEWLINE) for r in rejects)
        files.write_atomic(out / REJECTS_NAME, b"".join(lines))
    else:
        (out / REJECTS_NAME).unlink(missing_ok=True)


def _write_labels(out: Path, label_map: LabelMap) -> None:
    """Names beside the data: one per line, and the Object Detection API's form."""
    classes = label_map.semantic_classes or label_map.object_classes
    inside = [item for item in classes if item.id != OUTSIDE_IGNORE_ID]
    names = "".join(f"{item.name}\n" for item in inside)
    files.write_atomic(out / LABELS_NAME, names.encode())
    files.write_atomic(out / PBTXT_NAME, label_map.to_pbtxt().encode())
