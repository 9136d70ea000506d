"""What all benchmarks share: interleaved timing, the machine, the result file."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
_POLL_SECONDS = 0.25
RESULTS = ROOT / "benchmarks" / "results"


def interleaved(
    tasks: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, list[float]]:
    """CPU seconds of each task, run in turn, so that drift hits all alike.

    One round before the counted ones warms caches and traces graphs.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for round_index in range(repeats + 1):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            if round_index:
                seconds[name].append(time.process_time() - start)
    return seconds


def median(values: list[float]) -> float:
    """The median of measured values."""
    return statistics.median(values)


def spread(values: list[float]) -> str:
    """`min..max` relative to the median, to tell a noisy run."""
    middle = median(values)
    return f"{min(values) / middle:.2f}..{max(values) / middle:.2f}"


def peak_memory_mib(command: list[str]) -> tuple[float, float]:
    """Runs a command; returns its peak resident memory in MiB and its wall seconds.

    The memory is that of the largest process of its tree.
    """
    code = (
        "import resource, subprocess, sys, time; start = time.monotonic();"
        "subprocess.run(sys.argv[1:], check=True, stdout=2);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,"
        "time.monotonic() - start)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *command],
        check=True,
        capture_output=True,
        text=True,
    )
    kib, seconds = result.stdout.split()
    return int(kib) / 1024, float(seconds)


@dataclass(frozen=True, slots=True)
class Run:
    """What a command took, with all its processes."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system: nearly the same on a busy machine."""
    memory: float
    """Peak in MiB of all processes together; what they share counts once."""


def run_watched(command: list[str], *, memory: bool = True) -> Run:
    """Runs a command to its end.

    Args:
      command: With its arguments.
      memory: Whether to look at its memory four times a second, which costs a few
        percent of a core; else it is 0.
    """
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    peak = 0.0
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        while memory and process.poll() is None:
            peak = max(peak, session_memory_mib(process.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
        process.wait()
        wall = time.perf_counter() - start
        if process.returncode:
            log.seek(0)
            sys.exit(f"{command} failed:\n{log.read().decode()[-3000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall, cpu, peak)


def session_memory_mib(session: int) -> float:
    """Memory of all processes of a session; what they share counts once."""
    total = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) != session:
                continue
            for line in (path / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            continue  # it ended meanwhile
    return total / 1024


def own_peak_memory_mib() -> float:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def link(source: Path, target: Path) -> None:
    """Gives a file a second name; copies it where that cannot be."""
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)


def write_result(name: str, numbers: Mapping[str, Any]) -> None:
    """Writes numbers and the machine to `benchmarks/results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    packages = ("numpy", "pillow", "apache-beam", "tensorflow", "pycocotools")
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **numbers}, indent=2) + "\n")
    print(f"wrote {path.relative_to(ROOT)}")
