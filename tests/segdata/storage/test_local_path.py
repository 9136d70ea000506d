"""Paths of this machine, whichever way they are come by."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest

from segdata.storage.local_path import LocalPath
from segdata.storage.paths import locate


def test_paths_made_of_a_path_are_of_its_class(tmp_path):
    path = tmp_path / "a" / "b.txt"
    path.parent.mkdir()
    path.touch()
    found = [
        *(path.parent, path.resolve(), path.absolute(), path.with_name("x")),
        *(path.with_suffix(".x"), path.relative_to(tmp_path), locate(Path("x"))),
        *(pickle.loads(pickle.dumps(path)), tmp_path.inside("a/b.txt")),
        *(*path.parent.iterdir(), *tmp_path.glob("*/*"), *tmp_path.sorted_glob("*")),
    ]
    assert {type(item) for item in found} == {LocalPath}


def test_path_equals_that_of_pathlib(tmp_path):
    assert tmp_path == Path(tmp_path)
    assert hash(tmp_path) == hash(Path(tmp_path))


def test_place_below_a_folder_is_told_with_slashes(tmp_path):
    assert (tmp_path / "a" / "b").below(tmp_path) == "a/b"
    assert tmp_path.below(tmp_path / "a") is None
    assert tmp_path.below(locate("s3://bucket")) is None
    assert locate("s3://bucket/a").below(tmp_path) is None


def test_entries_are_files_links_and_folders(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked").symlink_to("folder")
    (tmp_path / "broken").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe")
    told = [(e.name, e.is_dir, e.is_link) for e in tmp_path.entries()]
    assert told == [
        ("broken", False, True),
        ("file", False, False),
        ("folder", True, False),
        ("linked", True, True),
        ("pipe", False, False),  # so that reading it says what it is
    ]


def test_file_is_not_moved_into_a_store(tmp_path):
    with pytest.raises(ValueError, match="is not on this machine"):
        tmp_path.move_to(locate("s3://bucket/a"))


def test_temporary_folder_goes_with_what_is_in_it(tmp_path):
    with tmp_path.temporary_folder("work-") as folder:
        (folder / "x").touch()
        assert folder.name.startswith("work-")
    assert not list(tmp_path.iterdir())


def test_folder_is_left_unsynced_where_it_cannot_be_opened(tmp_path, monkeypatch):
    """As on Windows."""
    monkeypatch.delattr(os, "O_DIRECTORY")
    monkeypatch.delattr(os, "open")
    tmp_path.sync()


def test_state_tells_a_change_whose_time_was_set_back(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = path.state()
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    time.sleep(0.02)  # the clock of a file system is coarse
    path.write_bytes(b"two")
    os.utime(path, ns=times)
    assert path.stat().st_mtime_ns == times[1]
    assert path.state() != before == (3, before[1])
    assert tmp_path.state_inside("a") == path.state()


def test_temporary_folders_of_killed_processes_are_removed(tmp_path):
    digits = "0123456789ab"
    kept = ["work-mine", f"other-{digits}", f"work-{digits[::-1]}"]
    for name in (f"work-{digits}", *kept):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    os.utime(tmp_path / kept[-1])  # just made: its process may hold it in a moment
    with tmp_path.temporary_folder("work-") as held:
        os.utime(held, (0, 0))
        with tmp_path.temporary_folder("work-"):
            assert held.is_dir()
        assert {path.name for path in tmp_path.iterdir()} == {*kept, held.name}


def test_temporary_folder_is_its_owners_alone_unless_it_is_said(tmp_path):
    with tmp_path.temporary_folder("work-") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
