"""The job that Dataflow would get, built offline: no credentials, nothing is sent.

Needs `apache-beam[gcp]`: `make test-cluster` has it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

GRAPH = """
import functools, json, sys
from pathlib import Path
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from segdata.label_map import LabelClass, LabelMap
from segdata.pipelines import shards as pipeline_of
from segdata.building.plan import PlannedShard
from segdata.building.build import _build_one
from segdata.building.shard import BuildJob

shards = [
    PlannedShard(name=f"a-train.tfrecord-0000{i}-of-00002", split="train",
                 num_records=3, num_bytes=9, plan_sha256="", state_sha256="")
    for i in range(2)
]
classes = (LabelClass(id=1, name="cat", color=(1, 2, 3)),)
job = BuildJob(source="/mnt/in", out="/mnt/out", on_error="fail",
               label_map=LabelMap(object_classes=classes))
pipeline = beam.Pipeline(options=PipelineOptions(sys.argv[1:]))
do = functools.partial(_build_one, job)
step = pipeline_of.WorkOnShards(do, Path("/mnt/results"), "/nowhere")
pipeline_of._wiring(shards, step)(pipeline)
job = pipeline.run().job
components = job.proto_pipeline.components
print(json.dumps({
    "steps": [t.unique_name for t in components.transforms.values()],
    "images": [str(e.payload) for e in components.environments.values()],
    "artifacts": [
        dependency.role_payload.decode("latin-1")
        for environment in components.environments.values()
        for dependency in environment.dependencies
    ],
    "largest_payload": max(
        len(t.spec.payload) for t in components.transforms.values()
    ),
    "is_batch": int(job.proto.type) == 1,  # JOB_TYPE_BATCH
    "tensorflow": "tensorflow" in sys.modules,
}))
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if importlib.util.find_spec("apitools") is None:
        pytest.skip("apache-beam[gcp] is not installed: run `make test-cluster`")
    options = [
        "--runner=DataflowRunner",
        "--project=demo",
        "--region=us-central1",
        "--temp_location=gs://bucket/tmp",
        "--staging_location=gs://bucket/staging",
        "--job_name=segdata",
        "--dry_run=True",
        "--no_auth",
        "--no_save_main_session",
        f"--setup_file={ROOT / 'setup.py'}",
    ]
    done = subprocess.run(
        [sys.executable, "-c", GRAPH, *options],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_job_is_one_batch_of_our_steps(job: dict[str, Any]) -> None:
    steps = {name.partition("/")[0] for name in job["steps"]}
    ours = {step for step in steps if step and not step.startswith("ref_")}
    assert ours == {"List shards", "Spread shards", "Build shards"}
    assert job["is_batch"] is True


def test_job_brings_the_package_and_no_pixels(job: dict[str, Any]) -> None:
    assert any("workflow.tar.gz" in name for name in job["artifacts"])
    assert job["largest_payload"] < 100_000
    assert any("beam_python" in image for image in job["images"])


def test_submitting_loads_no_tensorflow(job: dict[str, Any]) -> None:
    assert job["tensorflow"] is False


def test_setup_file_makes_an_sdist_that_workers_can_install(tmp_path: Path) -> None:
    """What Beam does with `--setup_file`."""
    subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(tmp_path)],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    [archive] = tmp_path.glob("segdata-*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"setup.py", "segdata/version.py", "pipelines/shards.py"} <= names
    assert "segdata/shards/manifest.schema.json" in names
