from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdata.errors import OutputError
from segdata.storage import sorting
from segdata.storage.sorting import Sorter


@given(rows=st.lists(st.binary(max_size=20)), run_bytes=st.sampled_from([1, 200, 9999]))
def test_rows_come_in_order_and_again(rows: list[bytes], run_bytes: int) -> None:
    with Sorter(run_bytes) as sorter:
        for row in rows:
            sorter.add(row)
        assert list(sorter) == sorted(rows)
        assert list(sorter) == sorted(rows)
        sorter.add(b"x")
        assert list(sorter) == sorted([*rows, b"x"])


def test_few_files_are_open_at_once_and_none_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "_MOST_RUNS", 4)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    rows = [b"%d" % (number * 7919 % 1000) for number in range(1000)]
    with Sorter(1) as sorter:  # a run for each row
        for row in rows:
            sorter.add(row)
            assert len(os.listdir("/proc/self/fd")) <= before + 4
        assert list(sorter) == sorted(rows)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not any(tmp_path.iterdir())


def test_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with (
        Sorter(1) as sorter,
        pytest.raises(OutputError, match=r"kept in .*none: No such file.*in TMPDIR"),
    ):
        sorter.add(b"x")
