from __future__ import annotations

import re
from pathlib import Path

import pytest

from segdata.errors import SourceError
from segdata.formats.folders import count_of, image_files, list_folder, subfolders


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_files_are_told_apart_by_their_names(tmp_path: Path) -> None:
    touch(
        tmp_path, "f/a.png", "f/a.b.JPG", "f/c.txt", "f/._a.png", "f/g/d.png", "f/none"
    )
    listing = list_folder(tmp_path, "f")
    assert listing.by_stem == {"a": ["f/a.png"], "a.b": ["f/a.b.JPG"]}
    assert listing.others == ["f/c.txt", "f/none"]
    assert listing.hidden == ["f/._a.png"]
    assert listing.links == []


def test_folders_below_are_listed_on_request(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.png", "f/g/a.png", "f/g/h/b.gif", "f/.hidden/c.png", "g/d.png")
    assert list_folder(tmp_path, "f", recursive=True).by_stem == {
        "a": ["f/a.png"],
        "g/a": ["f/g/a.png"],
        "g/h/b": ["f/g/h/b.gif"],
    }
    without = list_folder(tmp_path, "f", recursive=True, without="f/g")
    assert without.by_stem == {"a": ["f/a.png"]}
    around = list_folder(tmp_path, "f/g", recursive=True, without="f")
    assert around.by_stem.keys() == {"a", "h/b"}


def test_links_to_folders_are_named_and_not_followed(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.png", "g/b.png")
    (tmp_path / "f/g").symlink_to(tmp_path / "g")
    (tmp_path / "f/loop").symlink_to(tmp_path / "f")
    listing = list_folder(tmp_path, "f", recursive=True)
    assert listing.by_stem.keys() == {"a"}
    assert listing.links == ["f/g", "f/loop"]


def test_broken_link_is_a_file_that_will_be_missed(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.png")
    (tmp_path / "f/b.png").symlink_to(tmp_path / "nowhere.png")
    assert list_folder(tmp_path, "f").by_stem.keys() == {"a", "b"}


@pytest.mark.parametrize(
    "ending", ["jfif", "jpe", "JPEG", "mpo", "avif", "ppm", "pgm", "pbm", "pnm", "tif"]
)
def test_file_of_any_usual_ending_is_an_image(tmp_path: Path, ending: str) -> None:
    touch(tmp_path, f"f/a.{ending}")
    assert image_files(tmp_path, "f") == {"a": f"f/a.{ending}"}


def test_other_endings_can_be_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.xml", "f/b.XML", "f/c.png")
    listing = list_folder(tmp_path, "f", suffixes={".xml"})
    assert listing.by_stem.keys() == {"a", "b"}
    assert listing.others == ["f/c.png"]


def test_files_that_differ_by_their_ending_only_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "f/a.png", "f/a.jpg")
    assert list_folder(tmp_path, "f").by_stem == {"a": ["f/a.jpg", "f/a.png"]}
    message = re.escape("f/a.jpg and f/a.png have the same name but for the ending")
    with pytest.raises(SourceError, match=message) as caught:
        image_files(tmp_path, "f")
    assert caught.value.reason == "duplicate-key"


def test_folders_of_a_folder_are_sorted_and_not_hidden(tmp_path: Path) -> None:
    touch(tmp_path, "b/x", "a/x", ".git/x", "file")
    assert subfolders(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")]
)
def test_counts_are_spelled(number: int, text: str) -> None:
    assert count_of([""] * number, "file", "files") == text
