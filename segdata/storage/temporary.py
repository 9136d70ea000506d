"""What is being written: its names until it is whole, and what fails.

A folder is held by a lock that the system gives up when its process ends: so what a
killed process left is told from what another is still writing.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path

from segdata.errors import OutputError

_SECONDS_TO_HOLD = 60.0  # a folder is made a moment before it is held

TEMPORARY_PREFIX = ".tmp-"
"""What the name of every such file begins with."""
_TEMPORARY = re.compile(re.escape(TEMPORARY_PREFIX) + r".+-[0-9a-f]{12}")


def temporary_name(name: str) -> str:
    """A name for one attempt at writing a file: no other attempt gets the same."""
    return f"{TEMPORARY_PREFIX}{name}-{uuid.uuid4().hex[:12]}"


def is_temporary(name: str) -> bool:
    """Whether a file is one that was still being written.

    It may be removed when no build is running.
    """
    return _TEMPORARY.fullmatch(name) is not None


def hold(folder: Path) -> int | None:
    """Locks a folder until `release`; None where that cannot be, or another has it."""
    with suppress(OSError, ImportError):  # Windows has no such locks
        import fcntl

        number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        with suppress(OSError):
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number
        os.close(number)
    return None


def release(number: int | None) -> None:
    """Gives a folder free."""
    if number is not None:
        os.close(number)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Removes the temporary folders of killed processes.

    Args:
      parent: Where they lie.
      prefix: What their names begin with, before twelve digits of their own.
    """
    for folder in parent.glob(f"{glob.escape(prefix)}*"):
        digits = folder.name.removeprefix(prefix)
        with suppress(OSError):  # gone meanwhile
            age = time.time() - folder.stat().st_mtime
            if age < _SECONDS_TO_HOLD or not re.fullmatch("[0-9a-f]{12}", digits):
                continue
            if (number := hold(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                release(number)


def not_written(path: object, error: OSError, advice: str) -> OutputError:
    """The error for a file that could not be written.

    Args:
      path: Its final name.
      error: What the system or the store says.
      advice: What to do, without a full stop.
    """
    why = (error.strerror or str(error)).removeprefix(f"{path}: ").rstrip(".")
    return OutputError(
        f"cannot write {path}: {why}. {advice}, then run the same command again.",
        reason="unwritable",
    )
