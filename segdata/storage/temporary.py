"""Names of files that are being written, beside the names that they get when whole."""

from __future__ import annotations

import re
import uuid

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
