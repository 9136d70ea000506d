"""Builds on real engines: `make test-cluster` fetches them and runs this.

Every engine must give the bytes of the local build, and our one line for a bad record.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from segdata.shards.manifest import Manifest, read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Build = Callable[..., Manifest]
Hashes = Callable[[Path], dict[str, str]]

ROOT = Path(__file__).resolve().parent.parent.parent
CLUSTERS = Path(os.environ.get("SEGDATA_CLUSTERS", ROOT / "build" / "clusters"))
PROCESSES = ("--environment_type=LOOPBACK", "--experiments=use_loopback_process_worker")
ENGINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "flink": (
        "FlinkRunner",
        (
            f"--flink_job_server_jar={CLUSTERS / 'flink' / 'job-server.jar'}",
            "--flink_master=[local]",
            "--parallelism=2",
            "--sdk_worker_parallelism=2",
            *PROCESSES,
        ),
    ),
    "spark": (
        "SparkRunner",
        (
            f"--spark_job_server_jar={CLUSTERS / 'spark' / 'job-server.jar'}",
            "--spark_master_url=local[2]",
            *PROCESSES,
        ),
    ),
    "prism": (
        "PrismRunner",
        (f"--prism_location={CLUSTERS / 'prism'}", "--environment_type=LOOPBACK"),
    ),
    "dask": ("DaskRunner", ("--dask_partition_size=1",)),
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> list[str]:
    """The engine's part of a command line."""
    name: str = request.param
    files = {
        "flink": CLUSTERS / "flink" / "job-server.jar",
        "spark": CLUSTERS / "spark" / "job-server.jar",
        "prism": CLUSTERS / "prism",
    }
    if name in files and not files[name].exists():
        pytest.skip(f"{files[name]} is not there: run `make test-cluster`")
    if name == "dask" and importlib.util.find_spec("distributed") is None:
        pytest.skip("distributed is not installed: run `make test-cluster`")
    runner, options = ENGINES[name]
    return ["--runner", runner, "--", *options]


def segdata(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "segdata", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_real_camvid_has_the_bytes_of_the_local_build(
    engine: list[str],
    shared_data: Path,
    tmp_path: Path,
    run_build: Build,
    file_hashes: Hashes,
) -> None:
    source = shared_data / "camvid"
    run_build(source, tmp_path / "local", num_shards=4)
    out = tmp_path / "out"
    done = segdata("build", "camvid", source, out, "--shards=4", *engine)
    assert done.returncode == 0, done.stderr
    assert file_hashes(out) == file_hashes(tmp_path / "local")
    verified = segdata("verify", out, *engine)
    assert verified.stdout.startswith(f"verified {out}: 468 records in 8 shards")


def test_bad_record_is_one_line_and_the_build_goes_on(
    engine: list[str],
    source: Path,
    tmp_path: Path,
    run_build: Build,
    file_hashes: Hashes,
) -> None:
    image = source / "train" / "train_002.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:-40])
    arguments = ("build", "camvid", source, tmp_path / "out", "--shards=2", *engine)
    failed = segdata(*arguments)
    assert failed.returncode == 1
    last = failed.stderr.rstrip().splitlines()[-1]
    assert last.startswith("error: image 'train/train_002.png' cannot be decoded: PNG")
    assert not (tmp_path / "out" / "manifest.json").exists()
    image.write_bytes(whole)
    done = segdata(*arguments)
    assert done.returncode == 0, done.stderr
    run_build(source, tmp_path / "local")
    assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "local")
    assert read_manifest(tmp_path / "out").splits.keys() == {"train", "val"}
