"""`segdata build --update`: the bytes of a build from scratch, with the least work."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segdata.building import output, update
from segdata.building.build import build
from segdata.building.directory import NOTES_NAME, STAGING_DIR
from segdata.checking.verify import stray_files, verify_shard
from segdata.errors import ImageError, OptionError, OutputError
from segdata.formats.camvid.format import CamVid
from segdata.formats.mask_folder.format import MaskFolder
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import About, Manifest, read_manifest
from segdata.storage import files

Build = Callable[..., Manifest]
Hashes = Callable[[Path], dict[str, str]]

IMAGE, LABEL = "train/train_002.png", "trainannot/train_002.png"


def add_image(source: Path) -> None:
    for folder in ("train", "trainannot"):
        shutil.copy(source / folder / "train_004.png", source / folder / "new.png")
    with open(source / "train.txt", "a") as lines:
        lines.write("/SegNet/train/new.png /SegNet/trainannot/new.png\n")


def remove_image(source: Path) -> None:
    lines = (source / "train.txt").read_text().splitlines(keepends=True)
    kept = [line for line in lines if "train_002" not in line]
    (source / "train.txt").write_text("".join(kept))
    (source / IMAGE).unlink()
    (source / LABEL).unlink()


def change_image(source: Path) -> None:
    """Other pixels in a file of the same size."""
    path = source / IMAGE
    size = path.stat().st_size
    pixels = np.asarray(Image.open(path)).copy()
    for value in range(256):
        pixels[0, 0] = value
        Image.fromarray(pixels).save(path)
        if path.stat().st_size == size:
            return
    raise AssertionError("no picture has the size of the old one")


def change_label(source: Path) -> None:
    Image.fromarray(np.full((24, 32), 3, np.uint8)).save(source / LABEL)


CHANGES = [add_image, remove_image, change_image, change_label]


def inodes(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in out.glob("camvid-*")}


def assert_whole(out: Path) -> None:
    manifest = read_manifest(out)
    assert stray_files(out, manifest) == []
    assert not (out / STAGING_DIR).exists()
    assert not (out / ".segdata").exists()
    assert list(out.rglob(".tmp-*")) == []
    for split in manifest.splits.values():
        for shard in split.shards:
            found = verify_shard(out, shard, manifest.label_map, lambda count: None)
            assert [problem.message for problem in found] == []


@pytest.fixture
def out(source: Path, tmp_path: Path, run_build: Build) -> Path:
    run_build(source, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("change", "has_notes"),
    [(c, True) for c in CHANGES] + [(c, False) for c in CHANGES[2:]],
)
def test_update_writes_one_shard_and_gives_the_bytes_of_a_build_from_scratch(
    change: Callable[[Path], None],
    has_notes: bool,
    source: Path,
    out: Path,
    tmp_path: Path,
    run_build: Build,
    file_hashes: Hashes,
) -> None:
    before = inodes(out)
    if not has_notes:
        (out / "index" / NOTES_NAME).unlink()
    change(source)
    run_build(source, out, update=True)
    run_build(source, tmp_path / "scratch")
    assert file_hashes(out) == file_hashes(tmp_path / "scratch")
    after = inodes(out)
    assert before.keys() == after.keys()
    assert sum(before[name] != after[name] for name in before) == 1
    assert_whole(out)


def test_many_changes_at_once_are_taken_over(
    source: Path, out: Path, tmp_path: Path, run_build: Build, file_hashes: Hashes
) -> None:
    for change in (change_image, add_image):
        change(source)
    change_label(source)
    (source / "val" / "val_001.png").write_bytes((source / IMAGE).read_bytes())
    run_build(source, out, update=True)
    run_build(source, tmp_path / "scratch")
    assert file_hashes(out) == file_hashes(tmp_path / "scratch")


# --- what costs nothing ---


def test_unchanged_source_is_not_read_and_nothing_is_written(
    source: Path, out: Path, run_build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.name != NOTES_NAME}
    states.pop(out / "index")  # the cache is written anew

    def refuse(*arguments: object, **options: object) -> bytes:
        raise AssertionError("a source file was read")

    monkeypatch.setattr(files, "read_bytes", refuse)
    manifest = run_build(source, out, update=True)
    assert manifest.to_bytes() == (out / "manifest.json").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in states} == states


@pytest.mark.parametrize("what", ["touched", "copied"])
def test_files_that_only_look_changed_are_hashed_and_nothing_is_written(
    what: str, source: Path, out: Path, tmp_path: Path, run_build: Build
) -> None:
    if what == "touched":
        for path in source.rglob("*.png"):
            os.utime(path)
    else:
        source = shutil.copytree(source, tmp_path / "copy", copy_function=shutil.copy)
        out = shutil.copytree(out, tmp_path / "copied")
    before = inodes(out)
    run_build(source, out, update=True)
    assert inodes(out) == before


# --- the old build ---


@pytest.mark.parametrize("damage", ["removed", "cut", "changed"])
def test_shard_that_was_damaged_is_written_anew(
    damage: str, source: Path, out: Path, run_build: Build, file_hashes: Hashes
) -> None:
    hashes = file_hashes(out)
    shard = out / "camvid-train.tfrecord-00000-of-00002"
    data = bytearray(shard.read_bytes())
    if damage == "removed":
        shard.unlink()
    elif damage == "cut":
        shard.write_bytes(data[:-1])
    else:
        data[100] ^= 1
        shard.write_bytes(data)
    run_build(source, out, update=True)
    assert file_hashes(out) == hashes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"num_shards": 3}, r"--shards 2 -> 3"),
        ({"seed": 1, "masks": "rle,png"}, r"--seed 0 -> 1; --masks rle -> rle,png"),
        ({"split": "a=0.5,b=0.5"}, r"--split all of the source's -> a=0\.5,b=0\.5"),
        ({"on_error": "skip"}, r"--on-error fail -> skip"),
        ({"dataset_format": CamVid(unknown="void")}, r"--unknown error -> void"),
        ({"dataset_format": MaskFolder()}, r"format camvid -> mask-folder"),
    ],
)
def test_options_that_are_stated_otherwise_are_named_and_refused(
    options: dict[str, Any],
    told: str,
    source: Path,
    out: Path,
    run_build: Build,
    file_hashes: Hashes,
) -> None:
    hashes = file_hashes(out)
    with pytest.raises(
        OutputError, match=rf"updated: {told}\. --update keeps its"
    ) as e:
        run_build(source, out, update=True, **options)
    assert e.value.reason == "other-options"
    assert file_hashes(out) == hashes


def test_options_that_are_not_stated_are_those_of_the_build(
    source: Path, tmp_path: Path, file_hashes: Hashes
) -> None:
    options: dict[str, Any] = {
        "split": "train=0.5,val=0.5",
        "num_shards": 3,
        "seed": 7,
        "masks": "rle,png",
        "on_error": "skip",
        "max_reject_share": 0.4,
        "about": About(license="MIT"),
        "format_options": {"classes": "camvid-11"},
    }
    build("camvid", source, tmp_path / "out", **options)
    before = file_hashes(tmp_path / "out")
    build("camvid", source, tmp_path / "out", update=True)
    assert file_hashes(tmp_path / "out") == before
    add_image(source)
    build("camvid", source, tmp_path / "out", update=True)
    build("camvid", source, tmp_path / "scratch", **options)
    assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "scratch")


def test_what_no_byte_depends_on_may_be_stated_anew(
    source: Path, out: Path, run_build: Build
) -> None:
    before = inodes(out)
    about = About(license="MIT")
    manifest = run_build(source, out, update=True, max_reject_share=0.5, about=about)
    assert (manifest.options["max_reject_share"], manifest.about) == (0.5, about)
    assert inodes(out) == before


def test_other_versions_write_every_shard_anew_and_say_so(
    source: Path,
    out: Path,
    run_build: Build,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "segdata")
    versions = {**output.byte_versions(), "numpy": "0.1"}
    monkeypatch.setattr(output, "byte_versions", lambda: versions)
    before = inodes(out)
    run_build(source, out, update=True)
    assert "every shard is written again: options, classes or versions" in caplog.text
    assert not set(before.values()) & set(inodes(out).values())


def test_a_class_file_outside_the_source_is_stated_again(
    tmp_path: Path, make_segnet: Any
) -> None:
    source, out = make_segnet(tmp_path / "masks"), tmp_path / "out"
    (source / "val.txt").unlink()  # it names images of another folder
    classes = tmp_path / "classes.txt"
    classes.write_text("".join(f"class {i}\n" for i in range(12)))
    options = {"images": "train", "mask_folder": "trainannot"}
    stated = {**options, "classes": str(classes)}
    build("mask-folder", source, out, format_options=stated)
    assert str(tmp_path).encode() not in (out / "manifest.json").read_bytes()
    with pytest.raises(OutputError, match=r"^--classes was a path outside SOURCE when"):
        build("mask-folder", source, out, update=True)
    before = (out / "manifest.json").read_bytes()
    again = {"classes": str(classes)}
    build("mask-folder", source, out, update=True, format_options=again)
    assert (out / "manifest.json").read_bytes() == before


def test_another_number_of_shards_writes_a_split_anew_and_says_so(
    source: Path,
    tmp_path: Path,
    run_build: Build,
    file_hashes: Hashes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    size = sum(p.stat().st_size for p in source.glob("train*/*.png"))
    options = {"num_shards": None, "shard_bytes": size + 1}
    run_build(source, tmp_path / "out", **options)
    add_image(source)
    caplog.set_level("INFO", "segdata")
    run_build(source, tmp_path / "out", update=True, **options)
    assert (
        "every shard of train is written again: there are 2 now, not 1" in caplog.text
    )
    assert "updating: 2 of 3 shards are written again" in caplog.text
    run_build(source, tmp_path / "scratch", **options)
    assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "scratch")


def test_manifest_that_is_damaged_tells_no_options_and_is_refused(
    source: Path, out: Path, run_build: Build
) -> None:
    (out / "manifest.json").write_bytes(b"{")
    with pytest.raises(OutputError, match=r"manifest is damaged: .*Pass --overwrite"):
        run_build(source, out, update=True)


def test_update_of_nothing_is_a_build(
    source: Path, out: Path, tmp_path: Path, run_build: Build, file_hashes: Hashes
) -> None:
    run_build(source, tmp_path / "new", update=True)
    assert file_hashes(tmp_path / "new") == file_hashes(out)


def test_update_of_a_foreign_directory_is_refused(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"holds files that segdata did not write"):
        run_build(source, tmp_path, update=True)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_update_and_overwrite_contradict_each_other(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    with pytest.raises(OptionError, match=r"--overwrite and --update contradict"):
        run_build(source, tmp_path, update=True, overwrite=True)


def test_rejects_come_and_go_with_the_bad_file(
    source: Path, tmp_path: Path, run_build: Build, file_hashes: Hashes
) -> None:
    options: dict[str, Any] = {"on_error": "skip", "max_reject_share": 0.5}
    out = tmp_path / "out"
    whole = (source / LABEL).read_bytes()
    (source / LABEL).write_bytes(b"x" * len(whole))
    run_build(source, out, **options)
    assert (out / "rejects.jsonl").exists()
    (source / LABEL).write_bytes(whole)  # a reject's source is known by its hash too
    run_build(source, out, update=True, **options)
    assert not (out / "rejects.jsonl").exists()
    assert "train/train_002" in RecordSource(out, "train").keys
    (source / LABEL).unlink()
    run_build(source, out, update=True, **options)
    run_build(source, tmp_path / "scratch", **options)
    assert file_hashes(out) == file_hashes(tmp_path / "scratch")
    assert_whole(out)


# --- failures ---


def test_bad_image_leaves_the_old_build_as_it_was(
    source: Path, out: Path, run_build: Build, file_hashes: Hashes
) -> None:
    hashes = file_hashes(out)
    change_label(source)
    image = (source / IMAGE).read_bytes()
    (source / IMAGE).write_bytes(image[:-40])
    with pytest.raises(ImageError, match=r"cannot be decoded: PNG ends after"):
        run_build(source, out, update=True)
    kept = {k: v for k, v in file_hashes(out).items() if STAGING_DIR not in k}
    assert kept == hashes
    assert len(RecordSource(out, "train")) == 6
    (source / IMAGE).write_bytes(image)
    run_build(source, out, update=True)
    assert_whole(out)


def test_overwrite_removes_an_unfinished_update(
    source: Path, out: Path, run_build: Build
) -> None:
    (source / IMAGE).write_bytes(b"no image")
    with pytest.raises(ImageError):
        run_build(source, out, update=True)
    assert (out / STAGING_DIR).exists()
    remove_image(source)
    run_build(source, out, overwrite=True)
    assert_whole(out)


def test_unfinished_update_of_other_settings_is_dropped(
    source: Path, out: Path, run_build: Build, file_hashes: Hashes
) -> None:
    hashes = file_hashes(out)
    (out / STAGING_DIR / ".segdata").mkdir(parents=True)
    (out / STAGING_DIR / ".segdata" / "build.json").write_text('{"segdata_build":"1"}')
    run_build(source, out, update=True)
    assert file_hashes(out) == hashes


class CrashError(Exception):
    pass


@pytest.mark.parametrize("calls_before", [0, 1, 2, 5, 8])
def test_move_that_is_cut_off_anywhere_never_looks_finished_and_is_completed(
    calls_before: int,
    source: Path,
    out: Path,
    tmp_path: Path,
    run_build: Build,
    file_hashes: Hashes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change_image(source)
    Image.fromarray(np.full((24, 32), 5, np.uint8)).save(
        source / "valannot" / "val_001.png"
    )
    old = (out / "manifest.json").read_bytes()
    run_build(source, tmp_path / "scratch")
    left = calls_before
    complete, replace, unlink = update.complete, os.replace, Path.unlink

    def count() -> None:
        nonlocal left
        if not left:
            raise CrashError
        left -= 1

    def crashing(out: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", lambda *a: (count(), replace(*a)))
            patch.setattr(Path, "unlink", lambda *a, **k: (count(), unlink(*a, **k)))
            complete(out)

    with monkeypatch.context() as patch:
        patch.setattr(update, "complete", crashing)
        try:
            run_build(source, out, update=True)
        except CrashError:
            path = out / "manifest.json"
            is_untouched = path.exists() and path.read_bytes() == old
            assert is_untouched == (calls_before == 0)
            assert path.exists() == (calls_before == 0)
    run_build(source, out)  # without --update: it completes the move all the same
    assert file_hashes(out) == file_hashes(tmp_path / "scratch")
    assert_whole(out)


def test_overwrite_in_the_middle_of_a_move_starts_anew(
    source: Path,
    out: Path,
    run_build: Build,
    file_hashes: Hashes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change_image(source)

    def full(path: Path, *arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(update, "_to_move", full)
        with pytest.raises(OutputError, match=r"cannot update .*: No space left on"):
            run_build(source, out, update=True)
    assert not (out / "manifest.json").exists()
    run_build(source, out, overwrite=True)
    assert_whole(out)


def test_update_that_is_killed_goes_on_and_the_old_build_is_read_meanwhile(
    source: Path,
    out: Path,
    tmp_path: Path,
    segdata: Any,
    make_segnet: Any,
    run_build: Build,
    file_hashes: Hashes,
) -> None:
    add_image(source)
    image = source / "train" / "new.png"
    content = image.read_bytes()
    image.unlink()
    os.mkfifo(image)  # its reader waits
    arguments = ["build", "camvid", source, out, "--shards=2", "--workers=2"]
    command = segdata(*arguments, "--update")
    writer = _open_when_read(image)
    os.killpg(command.process.pid, signal.SIGKILL)
    command.end()
    assert command.ends_all(5)
    os.close(writer)
    assert (out / STAGING_DIR).is_dir()
    assert len(RecordSource(out, "train")) == 6
    image.unlink()
    image.write_bytes(content)
    run_build(source, out, update=True)
    run_build(source, tmp_path / "scratch")
    assert file_hashes(out) == file_hashes(tmp_path / "scratch")


def _open_when_read(path: Path) -> int:
    import time

    for _ in range(1500):
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.02)
    raise AssertionError("no worker opened the pipe")


def test_copy_of_hard_links_is_updated_without_touching_the_original(
    source: Path, out: Path, tmp_path: Path, run_build: Build, file_hashes: Hashes
) -> None:
    hashes = file_hashes(out)
    subprocess.run(["cp", "-al", out, tmp_path / "next"], check=True)
    change_image(source)
    run_build(source, tmp_path / "next", update=True)
    assert file_hashes(out) == hashes
    shared = [
        name
        for name, inode in inodes(tmp_path / "next").items()
        if inode == inodes(out)[name]
    ]
    assert len(shared) == 3
    run_build(source, tmp_path / "scratch")
    assert file_hashes(tmp_path / "next") == file_hashes(tmp_path / "scratch")
