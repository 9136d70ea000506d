"""A finished build that is asked for again: nothing is done, or a refusal tells why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segdata.building import output
from segdata.building.directory import NOTES_NAME
from segdata.building.splits import SplitChoice
from segdata.errors import OutputError
from segdata.formats.camvid.format import CamVid
from segdata.shards.manifest import About, Manifest
from segdata.storage import files

Build = Callable[..., Manifest]
Hashes = Callable[[Path], dict[str, str]]
SAME = "already holds this very build: nothing is left to do"


@pytest.fixture
def source(tmp_path: Path, tiny_source: Path) -> Path:
    return shutil.copytree(tiny_source, tmp_path / "source")


@pytest.fixture
def out(source: Path, tmp_path: Path, build_plainly: Build) -> Path:
    build_plainly(source, tmp_path / "out", num_shards=2)
    return tmp_path / "out"


def test_the_same_build_reads_no_image_and_writes_nothing(
    source: Path,
    out: Path,
    build_plainly: Build,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(*arguments: object, **options: object) -> bytes:
        raise AssertionError("a source file was read")

    states = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    del states[out / "index" / NOTES_NAME]  # a cache, written anew
    caplog.set_level("INFO", "segdata")
    with monkeypatch.context() as patch:
        patch.setattr(files, "read_bytes", refuse)
        manifest = build_plainly(source, out, num_shards=2)
    assert manifest.to_bytes() == (out / "manifest.json").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in states} == states
    assert f"{out} {SAME}" in caplog.messages


def test_source_that_only_looks_changed_is_the_same(
    source: Path, out: Path, tmp_path: Path, build_plainly: Build, file_hashes: Hashes
) -> None:
    before = file_hashes(out)
    copy = shutil.copytree(source, tmp_path / "copy", copy_function=shutil.copy)
    build_plainly(copy, out, num_shards=2)
    assert file_hashes(out) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"seed": 1}, r"--seed 0 -> 1"),
        ({"num_shards": 3}, r"--shards 2 -> 3"),
        ({"num_shards": None}, r"--shards 2 -> by --shard-size"),
        ({"masks": "rle,png"}, r"--masks rle -> rle,png"),
        ({"on_error": "skip"}, r"--on-error fail -> skip"),
        ({"max_reject_share": 0.5}, r"--max-rejects 0\.1 -> 0\.5"),
        (
            {"split": "train=0.8,val=0.2"},
            r"--split all of the source's -> train=0\.8,val=0\.2",
        ),
        (
            {"shard_bytes": 99, "split": "train"},
            r"--split all of the source's -> train; --shard-size 134217728 -> 99",
        ),
        ({"about": About(license="MIT")}, r"--license '' -> 'MIT'"),
        (
            {"dataset_format": CamVid(classes="camvid-11")},
            r"--classes auto -> camvid-11; the classes",
        ),
    ],
)
def test_what_differs_is_named_with_what_helps(
    options: dict[str, Any],
    told: str,
    source: Path,
    out: Path,
    build_plainly: Build,
    file_hashes: Hashes,
) -> None:
    before = file_hashes(out)
    message = (
        rf"^{out} already holds a finished build, and what is asked for differs: {told}"
        r"\. Pass --update to bring it up to date with the options it has, --overwrite"
    )
    with pytest.raises(OutputError, match=message) as caught:
        build_plainly(source, out, **{"num_shards": 2, **options})
    assert caught.value.reason == "output-exists"
    assert file_hashes(out) == before


def test_another_version_is_named(
    source: Path, out: Path, build_plainly: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {**output.byte_versions(), "numpy": "0.1"}
    monkeypatch.setattr(output, "byte_versions", lambda: versions)
    with pytest.raises(OutputError, match=r"differs: numpy \S+ -> 0\.1\. Pass"):
        build_plainly(source, out, num_shards=2)


def test_a_changed_file_is_no_same_build(
    source: Path, out: Path, build_plainly: Build, file_hashes: Hashes
) -> None:
    before = file_hashes(out)
    pixels = np.full((24, 32), 3, np.uint8)
    Image.fromarray(pixels).save(source / "trainannot" / "train_002.png")
    with pytest.raises(
        OutputError, match=r"differs: source or bytes of 1 of 4 shards\. P"
    ):
        build_plainly(source, out, num_shards=2)
    assert file_hashes(out) == before


def test_a_split_that_is_gone_is_no_same_build(
    source: Path, out: Path, build_plainly: Build
) -> None:
    for name in ("val", "valannot"):
        shutil.rmtree(source / name)
    (source / "val.txt").unlink()
    message = r"differs: the source, which has no records of 2 shards; the source's lay"
    with pytest.raises(OutputError, match=message):
        build_plainly(source, out, num_shards=2)


def test_an_image_that_no_list_names_is_told(
    source: Path, out: Path, build_plainly: Build
) -> None:
    shutil.copy(source / "train" / "train_000.png", source / "train" / "more.png")
    with pytest.raises(OutputError, match=r"differs: warnings of the source\. Pass"):
        build_plainly(source, out, num_shards=2)


def test_a_shard_that_is_damaged_is_no_same_build(
    source: Path, out: Path, build_plainly: Build
) -> None:
    shard = out / "camvid-train.tfrecord-00000-of-00002"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(
        OutputError, match=r"differs: source or bytes of 1 of 4 shards\. P"
    ):
        build_plainly(source, out, num_shards=2)


def test_a_manifest_that_is_damaged_is_told(
    source: Path, out: Path, build_plainly: Build
) -> None:
    (out / "manifest.json").write_bytes(b"{")
    message = r"finished build, and its manifest is damaged: .* not JSON.*Pass --overw"
    with pytest.raises(OutputError, match=message):
        build_plainly(source, out, num_shards=2)


@pytest.mark.parametrize(
    "text",
    ["", "train,val", "a=0.25,b=0.75", "val=trainval:0.25,trainval=trainval:0.75"],
)
def test_a_choice_of_splits_is_spelled_as_it_is_typed(text: str) -> None:
    choice = SplitChoice.parse(text) if text else SplitChoice()
    assert str(choice) == text
