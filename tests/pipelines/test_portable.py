"""A build through Beam's portable job API, as clusters use it, without Java."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Hashes = Callable[[Path], dict[str, str]]


@pytest.fixture
def job_endpoint() -> Iterator[str]:
    """A job service of Beam's own on loopback."""
    command = "apache_beam.runners.portability.local_job_service_main"
    service = subprocess.Popen(
        [sys.executable, "-m", command, "--port", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert service.stderr is not None
    try:
        for line in service.stderr:
            if found := re.search(r"Listening for beam jobs on port (\d+)", line):
                yield f"localhost:{found[1]}"
                break
        else:
            pytest.fail("Beam's job service did not start")
    finally:
        service.kill()
        service.wait()
        service.stderr.close()


def test_portable_runner_writes_the_bytes_of_the_local_one(
    camvid_source: Path,
    camvid_build: Path,
    file_hashes: Hashes,
    job_endpoint: str,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    arguments = ["build", "camvid", str(camvid_source), str(out)]
    beam_arguments = [f"--job_endpoint={job_endpoint}", "--environment_type=LOOPBACK"]
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "segdata", *arguments, "--runner", "PortableRunner", "--"),
            *beam_arguments,
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert file_hashes(out) == file_hashes(camvid_build)
