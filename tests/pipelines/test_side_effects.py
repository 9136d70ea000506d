"""What importing and running pipelines leaves of a process as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOOK = """
import logging, os, signal, sys, threading
from pathlib import Path

def state():
    root, beam = logging.getLogger(), logging.getLogger("apache_beam")
    job_server = sys.modules.get("apache_beam.runners.portability.job_server")
    return {
        "root": (root.level, root.handlers[:], root.filters[:]),
        "beam": (beam.level, beam.handlers[:], beam.filters[:]),
        "environment": dict(os.environ),
        "signal": getattr(job_server, "signal", signal) is signal,
        "sigint": signal.getsignal(signal.SIGINT),
        "excepthook": threading.excepthook,
    }

before = state()

def changed():
    now = state()
    return {name: (was, now[name]) for name, was in before.items() if was != now[name]}
"""


def run(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOOK + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_run_changes_nothing_of_the_process(source: Path, tmp_path: Path) -> None:
    code = (
        "import segdata, segdata.pipelines.storage_options\n"
        "from segdata.pipelines.on_beam import OnBeam\n"
        "assert not changed(), changed()\n"
        "from segdata.pipelines.runner_options import RunnerOptions\n"
        "source, out = map(Path, sys.argv[1:])\n"
        "on_beam = OnBeam(RunnerOptions(workers=2))\n"
        "segdata.build('camvid', source, out, num_shards=2, run_shards=on_beam)\n"
        "assert not changed(), changed()\n"
    )
    printed = run(code, source, tmp_path / "out").splitlines()
    assert [line for line in printed if not line.startswith("building: ")] == []


def test_surroundings_of_other_runners_end_with_the_run() -> None:
    code = (
        "from segdata.pipelines import runners\n"
        "before = state()\n"
        "folder = str(Path(sys.executable).parent)\n"
        "with runners._surroundings():\n"
        "    assert os.environ['PATH'].split(os.pathsep)[0] == folder\n"
        "    assert os.environ['DASK_LOGGING__DISTRIBUTED'] == 'error'\n"
        "    assert not state()['signal']\n"
        "assert not changed(), changed()\n"
    )
    run(code)
