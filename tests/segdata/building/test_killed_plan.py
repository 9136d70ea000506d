"""A process that is killed while it scans, sorts or numbers: nothing is left of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import segdata
from segdata.building import numbering, plan
from segdata.storage import sorting

KILLED = 77


def die_in_call(owner: Any, name: str, at: int, monkeypatch: Any) -> None:
    """Ends the process in the nth call of a function."""
    call, left = getattr(owner, name), [at]

    def made(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            os._exit(KILLED)
        return call(*args, **options)

    monkeypatch.setattr(owner, name, made)


@pytest.mark.parametrize(
    ("owner", "name", "at"),
    [
        (plan, "record_row", 3),  # while it scans
        (sorting, "_write_run", 2),  # while a run is sorted
        (numbering.identity.ImageNumbers, "take", 3),  # while records are numbered
        (plan._SplitPlan, "add", 5),  # while runs are merged
    ],
)
def test_killed_plan_leaves_nothing_and_the_next_one_is_whole(
    tiny_source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file_hashes: Callable[[Path], dict[str, str]],
    owner: Any,
    name: str,
    at: int,
) -> None:
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(sorting.Sorter.__init__, "__defaults__", (100,))
    with monkeypatch.context() as inside:
        die_in_call(owner, name, at, inside)
        pid = os.fork()
        if pid == 0:  # pragma: no cover
            try:
                segdata.build("camvid", tiny_source, out)
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == KILLED
    assert not any(temporary.iterdir())
    assert not out.exists()
