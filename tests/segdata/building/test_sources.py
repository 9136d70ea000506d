"""Reading a record's files, in its turn or ahead of it, and what tells a change."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from segdata.building.prefetch import read_ahead
from segdata.building.sources import read_files, source_digest
from segdata.errors import AnnotationError, ImageError, StorageError
from segdata.storage import files

DATA = {
    "image": "a.png",
    "label_image": {"path": "l.png", "encoding": "index"},
    "mask_image": {"path": "l.png", "encoding": "index"},
}


def test_files_of_a_record_are_their_bytes_or_why_there_are_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.png").write_bytes(b"image")
    found = read_files({**DATA, "mask_image": {"path": "../m.png"}}, tmp_path)
    assert found["a.png"] == b"image"
    assert isinstance(found["l.png"], ImageError)
    assert found["l.png"].reason == "label-image-missing"
    assert isinstance(found["../m.png"], AnnotationError)
    assert found["../m.png"].reason == "unsafe-path"


def test_file_that_two_annotations_name_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def read_bytes(root: Path, path: str, *, what: str) -> bytes:
        read.append(f"{what} {path}")
        return b"..."

    monkeypatch.setattr(files, "read_bytes", read_bytes)
    read_files(DATA, tmp_path)
    assert read == ["image a.png", "label image l.png"]


def test_store_that_fails_is_no_fault_of_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> bytes:
        raise StorageError("no answer")

    monkeypatch.setattr(files, "read_bytes", refuse)
    with pytest.raises(StorageError, match="no answer"):
        read_files(DATA, tmp_path)


def test_digest_is_of_the_line_and_of_each_file() -> None:
    found = {"a.png": b"image", "l.png": ImageError("missing")}
    image = hashlib.sha256(b"image").hexdigest()
    expected = hashlib.sha256(f"line\n{image}\n\n".encode()).hexdigest()
    assert source_digest(b"line", DATA, found) == (5, expected)
    # What is hashed already is not hashed again.
    known = source_digest(b"line", DATA, found, (found["a.png"], image))
    assert known == (5, expected)
    assert source_digest(b"line", DATA, found, (b"else", "0"))[1] == expected


@pytest.mark.parametrize("ahead", [0, 1, 8])
def test_what_is_read_ahead_comes_in_order(ahead: int) -> None:
    assert list(read_ahead(range(20), str, ahead)) == [(n, str(n)) for n in range(20)]


def test_items_are_read_while_one_is_used_and_no_further() -> None:
    taken: list[int] = []
    others = threading.Barrier(3, timeout=10)

    def items() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    def read(number: int) -> int:
        if number in (1, 2, 3):
            others.wait()  # all three are under way at once
        return number

    found = read_ahead(items(), read, 3)
    assert next(found) == (0, 0)
    assert taken == [0, 1, 2, 3]
    assert next(found) == (1, 1)


@pytest.mark.parametrize("ahead", [0, 4])
def test_what_reading_raises_is_raised_in_its_turn(ahead: int) -> None:
    def read(number: int) -> int:
        if number == 2:
            raise StorageError("no answer")
        return number

    found = read_ahead(range(9), read, ahead)
    assert [next(found), next(found)] == [(0, 0), (1, 1)]
    with pytest.raises(StorageError, match="no answer"):
        next(found)
