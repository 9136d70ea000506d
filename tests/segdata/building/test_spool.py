from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import pytest

from segdata.building.spool import PlanLines
from segdata.errors import OutputError


@pytest.mark.parametrize("max_memory", [1, 1000])
def test_lines_come_back_by_shard_in_any_order(max_memory: int) -> None:
    lines = PlanLines(max_memory)
    given = {f"s{number}": b"x" * number for number in range(20)}
    for name, text in given.items():
        lines.add(name, text)
        assert lines["s0"] == b""  # reading in between does not disturb the next
    assert {name: lines[name] for name in reversed(given)} == given
    assert dict(lines) == given


def test_large_plan_lies_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    lines = PlanLines(8)
    lines.add("a", b"1234")
    with pytest.raises(OutputError, match=r"cannot be kept in .*none: No such file"):
        lines.add("b", b"56789")


def test_temporary_file_is_closed_with_the_plan() -> None:
    lines = PlanLines(1)
    lines.add("a", b"1234")
    file = lines._file
    assert not file.closed
    del lines
    gc.collect()
    assert file.closed
