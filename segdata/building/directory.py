"""Inspects an output directory: empty, foreign, unfinished or finished.

Only what segdata wrote is ever removed, and only files whose names its own records
give: a directory may hold a user's files beside ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from segdata.building.lock import LOCK_NAME
from segdata.building.plan import PlannedShard
from segdata.building.shard import WORK_DIR, plan_path, stored_path
from segdata.errors import CorruptionError, SegdataError
from segdata.shards import manifest
from segdata.shards.manifest import MANIFEST_NAME, REJECTS_NAME, STATS_NAME
from segdata.shards.offsets import OFFSETS_NAME
from segdata.shards.receipt import (
    INDEX_DIR,
    ShardReceipt,
    dali_index_path,
    read_receipt,
    receipt_path,
)
from segdata.shards.sidecars import SIDECAR_NAMES
from segdata.shards.tfrecord import is_shard_name
from segdata.storage.paths import Location
from segdata.storage.temporary import TEMPORARY_PREFIX, is_temporary

SIDE_FILES = (STATS_NAME, REJECTS_NAME, *SIDECAR_NAMES)
"""Files of a build beside its shards and manifest."""
STAGING_DIR = ".segdata-update"
"""Folder in a finished build where an update is built."""
NOTES_NAME = ".sources.json"
"""Cache in `INDEX_DIR`: the states of source files and shards, for updates."""
_SETTINGS_NAME = "build.json"
_MARK = "segdata_build"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a directory that is not empty turned out to hold."""

    is_finished: bool
    """A manifest of ours is there."""
    settings: str | None
    """Settings of the unfinished build in it; None if there is none, empty if it ended
    before it wrote them."""

    @property
    def is_foreign(self) -> bool:
        """Whether nothing in it says that it is ours."""
        return not self.is_finished and self.settings is None


def recognize(out: Location) -> Found:
    """Tells what a directory holds, by what only segdata writes."""
    is_finished = _has_manifest(out) or _has_manifest(out / STAGING_DIR)
    return Found(is_finished=is_finished, settings=_read_settings(out))


def is_ours(out: Location) -> bool:
    """Whether nothing is there, or what is there is a build."""
    try:
        if not out.exists():
            return True
        return out.is_dir() and (is_empty(out) or not recognize(out).is_foreign)
    except OSError:
        return True  # whoever writes into it will say why that cannot be


def is_empty(out: Location) -> bool:
    """Whether a folder holds nothing, or only the lock of who asks."""
    return all(path.name == LOCK_NAME for path in out.iterdir())


def write_settings(out: Location, settings: str) -> None:
    """Marks the directory as an unfinished build of these settings."""
    state = orjson.dumps({_MARK: settings})
    (out / WORK_DIR / _SETTINGS_NAME).write_atomic(state)


def handed_out(out: Location) -> set[str]:
    """Shards of which an earlier attempt left a receipt and the plan: two listings."""
    plans = {path.stem for path in (out / WORK_DIR).glob("*.jsonl")}
    return plans & {path.stem for path in (out / INDEX_DIR).glob("*.tfrecord-*.json")}


def is_current(out: Location, shard: PlannedShard) -> bool:
    """Whether a shard's plan and source files are what an earlier attempt noted."""
    try:
        return _state_path(out, shard.name).read_bytes() == _state(shard)
    except OSError:
        return False


def write_plan(out: Location, shard: PlannedShard, lines: bytes) -> None:
    """Hands a shard's plan to its worker; what was there of the shard stops to count.

    The receipt goes first: it must not vouch for source files of another state. So does
    the note of what is stored: it is written before the receipt. What says that both
    are current comes last.
    """
    receipt_path(out, shard.name).unlink(missing_ok=True)
    stored_path(out, shard.name).unlink(missing_ok=True)
    plan = plan_path(out, shard.name)
    plan.write_atomic(lines, durable=False)
    _state_path(out, shard.name).write_atomic(_state(shard), durable=False)


def is_done(out: Location, shard: PlannedShard) -> bool:
    """Whether an earlier attempt left this shard whole and current: it is hashed."""
    try:
        receipt = read_receipt(out, shard.name)
        index = dali_index_path(out, shard.name).read_bytes()
        if (
            receipt.plan_sha256 != shard.plan_sha256
            or not is_current(out, shard)
            or index != receipt.dali_index()
        ):
            return False
        if (out / shard.name).stat().st_size != receipt.num_bytes:
            return False
        return (
            _is_stored(out, receipt) or file_sha256(out / shard.name) == receipt.sha256
        )
    except (CorruptionError, OSError, ValueError):
        return False


def count_receipts(out: Location) -> int:
    """How many shards an unfinished build has a receipt of: these may be done."""
    return sum(1 for _ in (out / INDEX_DIR).glob("*.tfrecord-*.json"))


def file_sha256(path: Location) -> str:
    """Hex SHA-256 of a file.

    Raises:
      OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_stored(out: Location, receipt: ShardReceipt) -> bool:
    """Whether the store still has the very object that a worker put there.

    Spares reading it back over the network.
    """
    noted = stored_path(out, receipt.name)
    try:
        found = orjson.loads(noted.read_bytes())
    except FileNotFoundError:
        return False
    version = (out / receipt.name).version()
    return bool(version) and found == [receipt.sha256, version]


def remove_other_shards(out: Location, names: set[str]) -> None:
    """Removes shards of an earlier plan that are not in this one."""
    others = _shard_names(out) - names
    out.each(lambda name: _remove_shard(out, name), others)


def remove_temporaries(out: Location) -> None:
    """Removes what interrupted attempts left half-written."""
    if not out.is_file_system:
        return  # what is half-written appears nowhere
    for folder in (out, out / INDEX_DIR, out / WORK_DIR):
        for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
            if is_temporary(path.name) and path.is_file():
                path.unlink(missing_ok=True)


def remove_leftovers(out: Location) -> None:
    """Removes what a finished build needs no more."""
    (out / WORK_DIR).remove_tree(ignore_errors=True)
    remove_temporaries(out)


def clear(out: Location) -> None:
    """Removes a build of ours, the manifest first, and nothing else."""
    names = _shard_names(out)
    # Not left alone: a finished update would be moved into what is going away.
    (out / STAGING_DIR / MANIFEST_NAME).unlink(missing_ok=True)
    beside = (f"{INDEX_DIR}/{name}" for name in (NOTES_NAME, OFFSETS_NAME))
    for name in (MANIFEST_NAME, *SIDE_FILES, *beside):
        (out / name).unlink(missing_ok=True)
    out.each(lambda name: _remove_shard(out, name), names)
    for folder in (WORK_DIR, STAGING_DIR):
        (out / folder).remove_tree(ignore_errors=True)
    with suppress(OSError):  # kept where a user put something into it
        (out / INDEX_DIR).rmdir()


def _has_manifest(out: Location) -> bool:
    """Whether there is a manifest of ours, even a damaged one."""
    path = out / MANIFEST_NAME
    try:
        data = orjson.loads(path.read_bytes())
    except OSError:
        return False
    except ValueError:
        return bool(_shard_names(out))
    return isinstance(data, dict) and {"manifest_version", "fingerprint"} <= data.keys()


def _read_settings(out: Location) -> str | None:
    if not (out / WORK_DIR).is_dir():
        return None
    try:
        state = orjson.loads((out / WORK_DIR / _SETTINGS_NAME).read_bytes())
        return str(state[_MARK])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # killed while starting: ours, but nothing to continue


def _shard_names(out: Location) -> set[str]:
    """Shards that this directory's plans, receipts and manifest name."""
    names = {path.stem for path in (out / WORK_DIR).glob("*.jsonl")}
    paths: Sequence[Location] = (out / INDEX_DIR).sorted_glob("*.json")
    names.update(out.each(lambda path: _told_name(out, path), paths))
    with suppress(SegdataError):
        splits = manifest.read_manifest(out).splits.values()
        names |= {shard.name for split in splits for shard in split.shards}
    # A damaged record must not lead us to files that are no shards.
    return {name for name in names if is_shard_name(name)}


def _told_name(out: Location, receipt: Location) -> str:
    with suppress(CorruptionError):
        return read_receipt(out, receipt.stem).name
    return ""


def _remove_shard(out: Location, name: str) -> None:
    for path in (
        receipt_path(out, name),
        dali_index_path(out, name),
        out / name,
        plan_path(out, name),
        _state_path(out, name),
        stored_path(out, name),
    ):
        path.unlink(missing_ok=True)


def _state(shard: PlannedShard) -> bytes:
    return f"{shard.plan_sha256} {shard.state_sha256}".encode()


def _state_path(out: Location, shard: str) -> Location:
    return out / WORK_DIR / f"{shard}.state"
