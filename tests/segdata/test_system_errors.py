"""What the system refuses: one line each, whichever call met it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import segdata
from segdata.cli import main
from segdata.errors import AnnotationError, ImageError, SourceError
from segdata.storage.local_path import LocalPath

LONG = "a" * 300


@pytest.fixture
def source(tmp_path: Path) -> Path:
    from segdata.samples.mask_folder import write_mask_folder_sample

    write_mask_folder_sample(tmp_path / "source", seed=0, num_train=2, num_val=1)
    return tmp_path / "source"


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> str:
    """The last line of a command that fails."""
    monkeypatch.setattr(sys, "argv", ["segdata", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert "internal error" not in line
    return line


@pytest.mark.parametrize(
    "words",
    [
        ("build", "mask-folder", LONG, "out"),
        ("build", "mask-folder", "source", LONG),
        ("build", "mask-folder", "source", "out", "--classes", LONG),
        *(("check", LONG), ("inspect", LONG), ("info", LONG), ("stats", LONG)),
        ("build", "mask-folder", "loop", "out"),
        ("build", "mask-folder", "source", "loop"),
        ("info", "loop"),
    ],
    ids=lambda words: " ".join(words).replace(LONG, "LONG"),
)
def test_names_that_lead_nowhere_are_one_line(
    source, tmp_path, monkeypatch, capsys, words
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    line = run(monkeypatch, capsys, *words)
    assert LONG in line or "loop" in line


def test_folder_that_cannot_be_listed_is_one_line(
    source, tmp_path, monkeypatch, capsys
) -> None:
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    line = run(monkeypatch, capsys, "check", source)
    assert line.endswith("Permission denied. Check the path and its permissions.")


@pytest.mark.parametrize("name", ["loop.jpg", "loop"])
def test_links_in_circles_are_no_internal_error(source: Path, tmp_path, name) -> None:
    (source / "images/train" / name).symlink_to(name)
    if name == "loop":
        segdata.build("mask-folder", source, tmp_path / "out")
        return
    with pytest.raises(
        AnnotationError, match=r"link that leads out of the image folder"
    ):
        segdata.build("mask-folder", source, tmp_path / "out")


def put(kind: str, path: Path) -> None:
    """Puts what is no file in the place of a file."""
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("part", ["images", "masks"])
def test_pipes_and_sockets_are_refused_as_records(
    source: Path, tmp_path: Path, monkeypatch, kind: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    put(kind, next(iter(sorted((source / part / "train").iterdir()))))
    with pytest.raises(ImageError, match=r"cannot be read: (it is a pipe|No such dev)"):
        segdata.build("mask-folder", source, tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    segdata.build(
        "mask-folder", source, tmp_path / "out", on_error="skip", max_reject_share=1
    )


def test_pipe_as_json_is_refused(tmp_path: Path) -> None:
    from segdata.samples.coco import write_coco_sample

    write_coco_sample(tmp_path / "coco", seed=0, num_train=1, num_val=1)
    put("pipe", next((tmp_path / "coco").rglob("instances_train*.json")))
    with pytest.raises(SourceError, match="it is a pipe or device, no file"):
        segdata.build("coco", tmp_path / "coco", tmp_path / "out")


def test_devices_are_not_read() -> None:
    for read in (LocalPath.read_bytes, LocalPath.read_text, LocalPath.open):
        with pytest.raises(OSError, match="it is a pipe or device, no file"):
            read(LocalPath("/dev/zero"))


def test_full_output_is_one_line(tiny_build: Path) -> None:
    with open("/dev/full", "w") as full:
        done = segdata_process("info", tiny_build, stdout=full, stderr=-1)
    assert done.returncode == 1
    assert b"error: cannot go on: No space left on device" in done.stderr


def segdata_process(*words: object, **options: object):
    command = [sys.executable, "-m", "segdata", *map(str, words)]
    return subprocess.run(command, check=False, timeout=100, **options)


def test_closed_streams_do_not_become_shards(source: Path, tmp_path: Path) -> None:
    words = f"-m segdata build mask-folder {source} {tmp_path / 'out'}"
    command = f"{sys.executable} {words} 2>&- >&- <&-"
    assert subprocess.run(command, shell=True, timeout=100, check=False).returncode == 0
    assert segdata.verify(tmp_path / "out").problems == ()
