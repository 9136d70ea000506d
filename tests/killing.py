"""Ending commands the hard way."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any


def kill_all(command: Any) -> None:
    """SIGKILL for every process of a command's session, until none is left."""
    while found := command.processes():
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    command.end()
