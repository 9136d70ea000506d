"""How many processors this process may use."""

from __future__ import annotations

import os


def num_cpus() -> int:
    """The processors this process may use, or all where the system cannot tell.

    macOS and Windows have no `sched_getaffinity`; Python 3.13's
    `os.process_cpu_count` is what is here.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
