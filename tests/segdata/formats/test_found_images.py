"""Images found by names that were written on another machine."""

from __future__ import annotations

import unicodedata

import pytest

from segdata.formats.found_images import find_images

NFC, NFD = (unicodedata.normalize(form, "grün.jpg") for form in ("NFC", "NFD"))


def test_exact_path_below_the_folder_counts_first() -> None:
    files = ["images/a.jpg", "a.jpg", "images/b/a.jpg"]
    found = find_images(["a.jpg", "b/a.jpg"], files, "images")
    assert found.paths == {"a.jpg": "images/a.jpg", "b/a.jpg": "images/b/a.jpg"}
    assert not found.counts
    assert not [*found.warnings, *found.problems]


@pytest.mark.parametrize(
    ("name", "path", "kinds"),
    [
        ("/home/me/data/a.jpg", "images/a.jpg", {"in another folder"}),
        ("../a.jpg", "images/a.jpg", {"in another folder"}),
        ("images\\a.jpg", "images/a.jpg", {"with backslashes"}),
        ("C:\\Users\\me\\a.jpg", "images/a.jpg", {"with backslashes"}),
        ("/data/upload/1/a%20b.jpg", "images/a b.jpg", {"URL-quoted"}),
        ("d:\\a%20b.jpg", "images/a b.jpg", {"with backslashes", "URL-quoted"}),
        ("A.JPG", "images/a.jpg", {"another case"}),
        (NFD, f"images/{NFC}", {"another Unicode form"}),
        (NFC, f"images/{NFD}", {"another Unicode form"}),
        (f"x\\{NFD.upper()}", f"images/{NFC}", {"with backslashes", "another case"}),
    ],
)
def test_only_file_of_the_base_name_counts(
    name: str, path: str, kinds: set[str]
) -> None:
    found = find_images([name], [path, "images/c.jpg"])
    assert found.paths == {name: path}
    assert found.counts == dict.fromkeys(kinds, 1)
    [warning] = found.warnings
    assert path in warning


def test_name_with_a_percent_sign_means_itself_first() -> None:
    found = find_images(["x/a%20b.jpg"], ["a%20b.jpg", "a b.jpg"])
    assert found.paths == {"x/a%20b.jpg": "a%20b.jpg"}


def test_backslash_may_be_part_of_a_name() -> None:
    assert find_images(["a\\b.jpg"], ["i/a\\b.jpg", "b.jpg"]).paths == {
        "a\\b.jpg": "i/a\\b.jpg"
    }


def test_of_several_files_the_one_in_the_same_folders_counts() -> None:
    files = ["train/a.jpg", "val/a.jpg", "old/val/a.jpg"]
    names = ["C:\\data\\train\\a.jpg", "/x/old/val/a.jpg"]
    found = find_images(names, files)
    assert found.paths == {names[0]: files[0], names[1]: files[2]}


def test_several_files_of_the_base_name_are_ambiguous() -> None:
    found = find_images(["c/a.jpg"], ["b/a.jpg", "a/a.jpg"])
    assert not found.paths
    assert found.ambiguous == {"c/a.jpg": ["a/a.jpg", "b/a.jpg"]}
    [problem] = found.problems
    assert problem.reason == "ambiguous-image"
    assert "a/a.jpg, b/a.jpg" in str(problem)


@pytest.mark.parametrize("names", [["x/a.jpg", "y/a.jpg"], ["a.jpg", "y/a.jpg"]])
def test_file_is_found_for_one_name_only(names: list[str]) -> None:
    found = find_images(names, ["a.jpg"])
    assert found.paths == ({"a.jpg": "a.jpg"} if "a.jpg" in names else {})
    assert found.ambiguous == {n: ["a.jpg"] for n in names if n != "a.jpg"}


def test_name_without_a_file_is_neither_found_nor_ambiguous() -> None:
    found = find_images(["b.jpg", ""], ["a.jpg"])
    assert (found.paths, found.ambiguous, found.counts) == ({}, {}, {})


def test_many_files_of_one_name_take_no_longer() -> None:
    files = [f"{number:05d}/img.png" for number in range(20_000)]
    names = [f"C:\\data\\{number:05d}\\img.png" for number in range(20_000)]
    names += [f"{number}x/img.png" for number in range(20_000)]
    found = find_images(names, files)
    assert len(found.paths) == len(found.ambiguous) == 20_000
    assert found.paths[names[7]] == files[7]
