from __future__ import annotations

import os

import pytest

from segdata.errors import AnnotationError, ImageError, OutputError
from segdata.storage import files
from segdata.storage.inside import join_inside
from segdata.storage.temporary import is_temporary


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "root"
    (folder / "sub dir").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"inside")
    (tmp_path / "secret.png").write_bytes(b"outside")
    return folder


# --- join_inside ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "relative",
    ["a.png", "sub dir/ü.png", "./a.png", "a//b.png", "..a/b..png", "C/a", "日本.png"],
)
def test_relative_path_is_joined(root, relative):
    assert join_inside(root, relative) == f"{root}/{relative}"


@pytest.mark.parametrize(
    "relative",
    [
        "",
        "/etc/passwd",
        "//host/share/a",
        "../secret.png",
        "sub dir/../../secret.png",
        "sub dir/..",
        "..",
        "..\\secret.png",
        "sub\\a.png",
        "C:/a.png",
        "c:a.png",
        "\\\\host\\share\\a.png",
        "a\0.png",
    ],
)
def test_path_that_may_leave_the_folder_is_refused(root, relative):
    with pytest.raises(AnnotationError, match="may leave the image folder") as caught:
        join_inside(root, relative)
    assert caught.value.reason == "unsafe-path"


@pytest.mark.parametrize("relative", ["\ud800.png", "sub dir/\udfff"])
def test_path_that_the_file_system_cannot_spell_is_refused(root, relative):
    for call in (join_inside, files.file_state):
        with pytest.raises(AnnotationError, match="is no file name") as caught:
            call(root, relative)
        assert caught.value.reason == "unsafe-path"


def test_link_to_a_file_outside_is_refused(root):
    (root / "link.png").symlink_to(root.parent / "secret.png")
    with pytest.raises(AnnotationError, match="link that leads out") as caught:
        join_inside(root, "link.png")
    assert caught.value.reason == "unsafe-path"


@pytest.mark.parametrize("relative", ["out/secret.png", "out/x/deep.png"])
def test_link_to_a_folder_outside_is_refused(root, relative):
    (root / "out").symlink_to(root.parent)
    with pytest.raises(AnnotationError, match="link that leads out"):
        join_inside(root, relative)


def test_link_that_stays_inside_is_followed(root):
    (root / "link.png").symlink_to(root / "a.png")
    (root / "sub link").symlink_to("sub dir")
    assert files.read_bytes(root, "link.png", what="image") == b"inside"
    assert join_inside(root, "sub link/a.png") == f"{root}/sub link/a.png"


def test_root_itself_may_be_a_link(root, tmp_path):
    (tmp_path / "alias").symlink_to(root)
    (root / "link.png").symlink_to("a.png")
    assert files.read_bytes(tmp_path / "alias", "link.png", what="image") == b"inside"


def test_loop_of_links_is_refused(root):
    (root / "one.png").symlink_to("two.png")
    (root / "two.png").symlink_to("one.png")
    with pytest.raises((AnnotationError, ImageError), match=r"one\.png") as caught:
        files.read_bytes(root, "one.png", what="image")
    # From Python 3.13 on, resolving a loop is no error: only opening the file is.
    assert caught.value.reason in ("unsafe-path", "image-unreadable")


# --- read_bytes ----------------------------------------------------------------------


def test_missing_file_is_named_with_its_place(root):
    with pytest.raises(ImageError, match=r"label image 'x\.png' is missing") as caught:
        files.read_bytes(root, "x.png", what="label image")
    assert caught.value.reason == "label-image-missing"
    assert str(root / "x.png") in str(caught.value)


def test_dangling_link_is_a_missing_file(root):
    (root / "link.png").symlink_to("gone.png")
    with pytest.raises(ImageError, match="is missing") as caught:
        files.read_bytes(root, "link.png", what="image")
    assert caught.value.reason == "image-missing"


@pytest.mark.parametrize(
    ("relative", "detail"), [("sub dir", "Is a directory"), ("a.png/b", "Not a dir")]
)
def test_what_is_no_file_cannot_be_read(root, relative, detail):
    with pytest.raises(ImageError, match=f"cannot be read: {detail}") as caught:
        files.read_bytes(root, relative, what="image")
    assert caught.value.reason == "image-unreadable"


def test_name_longer_than_the_file_system_allows_is_unreadable(root):
    with pytest.raises(ImageError, match="cannot be read: File name too") as caught:
        files.read_bytes(root, "a" * 300 + ".png", what="image")
    assert caught.value.reason == "image-unreadable"


def test_file_state_is_size_and_time_of_change_or_none(root):
    os.utime(root / "a.png", ns=(0, 1_700_000_000_123_456_789))
    changed = (root / "a.png").stat().st_ctime_ns
    expected = (6, f"1700000000123456789 {changed}")
    assert files.file_state(root, "a.png") == expected
    assert files.file_state(root, "gone.png") is None
    with pytest.raises(AnnotationError, match="may leave"):
        files.file_state(root, "../secret.png")


# --- atomic_file ---------------------------------------------------------------------


def test_written_file_appears_whole_and_alone(tmp_path):
    (tmp_path / "x").write_atomic(b"data")
    assert (tmp_path / "x").read_bytes() == b"data"
    assert os.listdir(tmp_path) == ["x"]


def test_file_is_not_there_before_it_is_whole(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with path.atomic_file() as file:
        file.write(b"half")
        assert path.read_bytes() == b"old"
        (temporary,) = set(os.listdir(tmp_path)) - {"x"}
        assert is_temporary(temporary)
    assert path.read_bytes() == b"half"


@pytest.mark.parametrize("name", ["x", ".tmp-notes", ".tmp-a-0123456789ax", "0123"])
def test_other_files_are_no_temporaries(name):
    assert not is_temporary(name)


def test_reader_of_the_old_file_keeps_it(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with open(path, "rb") as reader:
        path.write_atomic(b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_error_while_writing_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(KeyError, match="boom"), path.atomic_file() as file:  # noqa: PT012
        file.write(b"new")
        raise KeyError("boom")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_two_attempts_at_one_file_do_not_mix(tmp_path):
    path = tmp_path / "x"
    with path.atomic_file() as first, path.atomic_file() as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["x"]


def test_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*No such file") as caught:
        (tmp_path / "gone" / "x").write_atomic(b"")
    assert caught.value.reason == "unwritable"


def test_full_disk_is_an_output_error_that_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"No space left on device\. Free space"):
        (tmp_path / "x").write_atomic(b"data")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["file/x", "x" * 250], ids=["below-file", "too-long"])
def test_impossible_path_is_an_output_error(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write") as caught:
        (tmp_path / name).write_atomic(b"")
    assert caught.value.reason == "unwritable"
