"""Two attempts at one shard: speculative execution, zombie workers."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from segdata.building import output
from segdata.building.options import BuildOptions
from segdata.building.plan import PlannedShard, make_plan
from segdata.building.shard import BuildJob, build_shard, plan_path
from segdata.errors import BuildError
from segdata.formats.camvid.format import CamVid
from segdata.storage.paths import locate

Hashes = Callable[[Path], dict[str, str]]


@pytest.fixture
def begun(tiny_source: Path, tmp_path: Path) -> tuple[BuildJob, PlannedShard]:
    """A build of one shard that is planned and not built."""
    options = BuildOptions(num_shards=1)
    scan = CamVid().scan(tiny_source)
    plan = make_plan(scan, tiny_source, "camvid", options)
    settings = output.settings_fingerprint("camvid", scan.label_map, options)
    output.begin(tmp_path / "out", plan, settings, overwrite=False)
    job = BuildJob(
        source=str(tiny_source),
        out=str(tmp_path / "out"),
        label_map=scan.label_map,
        on_error="fail",
    )
    return job, max(plan.shards, key=lambda shard: shard.num_records)


def _build_often(job: BuildJob, shard: PlannedShard, count: int) -> None:
    for _ in range(count):
        build_shard(shard, job, lambda count: None)


def test_many_attempts_at_once_leave_one_whole_shard(
    begun: tuple[BuildJob, PlannedShard], file_hashes: Hashes
) -> None:
    job, shard = begun
    build_shard(shard, job, lambda count: None)
    once = file_hashes(Path(job.out))
    context = multiprocessing.get_context("spawn")
    attempts = [
        context.Process(target=_build_often, args=(job, shard, 10)) for _ in range(3)
    ]
    for attempt in attempts:
        attempt.start()
    while any(attempt.is_alive() for attempt in attempts):
        # At every moment what is under the names is whole.
        for name, digest in once.items():
            data = Path(job.out, name).read_bytes()
            assert hashlib.sha256(data).hexdigest() == digest
    for attempt in attempts:
        attempt.join()
        assert attempt.exitcode == 0
    assert file_hashes(Path(job.out)) == once


def test_attempt_that_wakes_up_when_the_other_is_done_changes_nothing(
    begun: tuple[BuildJob, PlannedShard], file_hashes: Hashes
) -> None:
    job, shard = begun
    other_is_done = threading.Event()

    def wait(count: int) -> None:
        assert other_is_done.wait(30)

    zombie = threading.Thread(target=build_shard, args=(shard, job, wait))
    zombie.start()
    build_shard(shard, job, lambda count: None)
    once = {n: h for n, h in file_hashes(Path(job.out)).items() if ".tmp-" not in n}
    other_is_done.set()
    zombie.join()
    assert file_hashes(Path(job.out)) == once


def test_attempt_of_another_plan_is_stopped(
    begun: tuple[BuildJob, PlannedShard],
) -> None:
    job, shard = begun
    path = plan_path(locate(job.out), shard.name)
    path.write_atomic(path.read_bytes() + b"\n")
    with pytest.raises(BuildError, match=r"was changed during the build\. Is another"):
        build_shard(shard, job, lambda count: None)
    with pytest.raises(BuildError, match=r"cannot be read: No such file"):
        build_shard(replace(shard, name="gone"), job, lambda count: None)
