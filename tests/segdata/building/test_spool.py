from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdata.building.spool import PlanLines, Spool
from segdata.errors import OutputError


@given(pieces=st.lists(st.binary(max_size=50)), max_memory=st.sampled_from([1, 40]))
def test_pieces_come_back_in_any_order(pieces: list[bytes], max_memory: int) -> None:
    spool = Spool(max_memory)
    places = [spool.append(piece) for piece in pieces]
    assert [spool.read(place) for place in reversed(places)] == pieces[::-1]


def test_pieces_that_are_read_in_between_do_not_disturb_the_next() -> None:
    spool = Spool(8)
    first = spool.append(b"12345")
    assert spool.read(first) == b"12345"
    second = spool.append(b"67890")  # beyond what memory may hold
    assert (spool.read(first), spool.read(second)) == (b"12345", b"67890")


def test_large_plan_lies_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    spool = Spool(8)
    spool.append(b"1234")
    with pytest.raises(OutputError, match=r"plan cannot be kept in .*none: No such fi"):
        spool.append(b"56789")


def test_temporary_file_is_closed_with_the_plan() -> None:
    spool = Spool(1)
    spool.append(b"1234")
    file = spool._file
    assert not file.closed
    del spool
    gc.collect()
    assert file.closed


def test_lines_are_put_together_by_shard() -> None:
    spool = Spool()
    places = [spool.append(data) for data in (b'{"a":1}', b"{}")]
    lines = PlanLines(spool)
    text = lines.add("x", [(b'{"key":"p"}', places[1]), (b'{"key":"q"}', places[0])])
    lines.add("y", [])
    assert text == b'{"key":"p","data":{}}\n{"key":"q","data":{"a":1}}\n'
    assert dict(lines) == {"x": text, "y": b""}
