"""One build at a time in one directory: a file that its process has locked.

The system gives up the lock when the process ends, however it ends: a file that is
left over holds nobody up. Stores have no locks, nor have some network file systems:
there two builds at once are not told.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from segdata.errors import OutputError, printable
from segdata.storage.local_path import LocalPath
from segdata.storage.paths import Location

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".segdata-lock"
"""Name of the file in the output directory; it says who has it."""


@contextmanager
def locked(out: Location) -> Iterator[None]:
    """Holds an output directory, which is made if absent.

    Raises:
      OutputError: If another process holds it; the message names that.
    """
    if not isinstance(out, LocalPath) or fcntl is None:
        yield
        return
    path = out / LOCK_NAME
    number = _take(out, path)
    try:
        yield
    finally:
        if number is not None:
            with suppress(OSError):
                path.unlink(missing_ok=True)  # first: who waits looks for it by name
            os.close(number)


def remove_stale_lock(out: Location) -> None:
    """Removes the file of a process that was killed, if there is one."""
    if isinstance(out, LocalPath) and (out / LOCK_NAME).exists():
        with suppress(OSError, OutputError), locked(out):
            pass


def _take(out: LocalPath, path: LocalPath) -> int | None:
    """The locked file's number; None where there are no locks."""
    while True:
        try:
            out.mkdir(parents=True, exist_ok=True)
            number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError(
                f"cannot use {out}: {error.strerror}. Choose another directory or "
                "check the permissions.",
                reason="unwritable",
            ) from error
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(number, 300, 0).decode("utf-8", "replace")
            os.close(number)
            named = f" ({printable(holder)})" if holder else ""
            raise OutputError(
                f"{out} is being built by another process{named}: wait until it ends, "
                "or end it.",
                reason="locked",
            ) from None
        except OSError:  # a file system without locks
            os.close(number)
            path.unlink(missing_ok=True)
            return None
        with suppress(OSError):
            # Whoever had it may have removed it since it was opened.
            if os.path.samestat(os.fstat(number), os.stat(path)):
                break
        os.close(number)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    with suppress(OSError):  # a full disk; the lock holds all the same
        os.ftruncate(number, 0)
        holder = f"process {os.getpid()} on {socket.gethostname()}, since {since}"
        os.pwrite(number, holder.encode(), 0)
    return number
