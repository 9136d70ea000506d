"""Files that are being written: their names until they are whole, and what fails."""

from __future__ import annotations

import re
import uuid

from segdata.errors import OutputError

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
