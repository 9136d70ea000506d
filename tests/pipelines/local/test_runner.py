"""Where Beam's servers of a local build listen."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import segdata
from segdata.pipelines.local.processes import WorkerProcesses
from segdata.pipelines.on_beam import OnBeam
from segdata.pipelines.runner_options import RunnerOptions

LISTENING = "0A"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", f"{1 << 24:032X}"}


def listening_addresses() -> set[str]:
    """Addresses that this process listens at, as Linux writes them."""
    mine = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            mine.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:  # closed by now
            continue
    found = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and f"socket:[{fields[9]}]" in mine:
                found.add(fields[1].partition(":")[0])
    return found


def test_servers_of_a_local_build_listen_on_this_machine_only(
    tmp_path: Path, make_segnet: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, seen = listening_addresses(), set()
    hand_over = WorkerProcesses.hand_over

    def watched(self: WorkerProcesses, environment: dict[str, str]) -> None:
        seen.update(listening_addresses())
        hand_over(self, environment)

    monkeypatch.setattr(WorkerProcesses, "hand_over", watched)
    source = make_segnet(tmp_path / "data")
    with WorkerProcesses() as processes:
        engine = OnBeam(RunnerOptions(workers=2), processes)
        segdata.build("camvid", source, tmp_path / "out", run_shards=engine)
    assert seen - before <= LOOPBACK
    assert seen & LOOPBACK
