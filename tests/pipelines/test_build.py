from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson
import pytest
from PIL import Image

from segdata.building.splits import SplitChoice
from segdata.checking.verify import stray_files, verify_shard
from segdata.errors import (
    AnnotationError,
    BuildError,
    ImageError,
    OptionError,
    SegdataError,
    SourceError,
)
from segdata.formats.base import Scan
from segdata.formats.camvid.format import CamVid
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import Manifest, read_manifest
from segdata.shards.receipt import read_receipt

Build = Callable[..., Manifest]
Hashes = Callable[[Path], dict[str, str]]


def problems(out: Path) -> list[str]:
    manifest = read_manifest(out)
    found = stray_files(out, manifest)
    for split in manifest.splits.values():
        for shard in split.shards:
            label_map = manifest.label_map
            found += [
                problem.message
                for problem in verify_shard(out, shard, label_map, lambda count: None)
            ]
    return found


def assert_nothing_looks_finished(out: Path) -> None:
    """No manifest, no temporary file; each shard that counts fits its receipt."""
    if not out.exists():
        return
    assert not (out / "manifest.json").exists()
    assert list(out.rglob(".tmp-*")) == []
    for path in out.glob("camvid-*"):
        if not (out / "index" / f"{path.name}.json").exists():
            continue  # ended between the two: it does not count
        receipt = read_receipt(out, path.name)
        assert path.stat().st_size == receipt.num_bytes
        assert receipt.rejects == ()


# --- the bytes ---


@dataclass(frozen=True, kw_only=True)
class Shuffled:
    """CamVid, found in another order."""

    name: ClassVar[str] = "camvid"
    summary: ClassVar[str] = "The same, shuffled."
    seed: int

    def scan(self, source: Path) -> Scan:
        scan = CamVid().scan(source)
        annotations = list(scan.annotations)
        random.Random(self.seed).shuffle(annotations)
        return replace(scan, annotations=iter(annotations))


def test_order_of_the_scan_does_not_change_a_byte(
    source: Path, tmp_path: Path, run_build: Build, file_hashes: Hashes
) -> None:
    run_build(source, tmp_path / "plain")
    for seed in range(2):
        out = tmp_path / str(seed)
        run_build(source, out, dataset_format=Shuffled(seed=seed))
        found, expected = file_hashes(out), file_hashes(tmp_path / "plain")
        del found["manifest.json"], expected["manifest.json"]  # names the seed
        assert found == expected


def test_source_at_another_place_gives_the_same_files(
    source: Path,
    tmp_path: Path,
    run_build: Build,
    file_hashes: Hashes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_build(source, tmp_path / "one")
    shutil.copytree(source, tmp_path / "elsewhere" / "copy")
    monkeypatch.chdir(tmp_path / "elsewhere")
    run_build(Path("copy"), Path("two"))
    assert file_hashes(tmp_path / "one") == file_hashes(tmp_path / "elsewhere" / "two")


def test_records_come_in_the_order_of_the_plan_and_hold_everything(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    manifest = run_build(source, tmp_path / "out")
    assert {n: s.num_records for n, s in manifest.splits.items()} == {
        "train": 6,
        "val": 3,
    }
    for split in manifest.splits:
        for record in RecordSource(tmp_path / "out", split):
            assert record.encoded == (source / record.filename).read_bytes()


def test_manifest_that_is_returned_is_the_one_on_disk(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    manifest = run_build(source, tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == manifest.to_bytes()


def test_drawn_splits_are_built(source: Path, tmp_path: Path, run_build: Build) -> None:
    choice = SplitChoice.parse("fit=0.5,check=0.5")
    manifest = run_build(source, tmp_path / "out", split=choice)
    counts = {name: split.num_records for name, split in manifest.splits.items()}
    assert counts.keys() == {"fit", "check"}
    assert sum(counts.values()) == 9
    assert problems(tmp_path / "out") == []


def test_only_the_splits_asked_for_are_built(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    manifest = run_build(source, tmp_path / "out", split=SplitChoice.parse("val"))
    assert list(manifest.splits) == ["val"]
    assert list((tmp_path / "out").glob("camvid-train*")) == []


def test_more_shards_than_records_leave_whole_empty_shards(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    manifest = run_build(source, tmp_path / "out", num_shards=8)
    assert [len(split.shards) for split in manifest.splits.values()] == [8, 8]
    assert len(RecordSource(tmp_path / "out", "val")) == 3
    assert problems(tmp_path / "out") == []


def test_source_that_is_no_folder_is_refused(tmp_path: Path, run_build: Build) -> None:
    with pytest.raises(
        SourceError, match=r"nowhere is not a folder: expected the data"
    ):
        run_build(tmp_path / "nowhere", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- bad records ---


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _paint(path: Path, value: int, height: int = 24) -> None:
    Image.fromarray(np.full((height, 32), value, np.uint8)).save(path)


def _as_jpeg(path: Path) -> None:
    Image.open(path).convert("RGB").save(path, format="JPEG")


@dataclass(frozen=True)
class Bad:
    """What is done to a file of record `train/train_002` and what must come of it."""

    file: str
    damage: Callable[[Path], object]
    error: type[SegdataError]
    message: str
    reason: str


IMAGE, LABEL = "train/train_002.png", "trainannot/train_002.png"
BAD = {
    "missing image": Bad(
        IMAGE,
        Path.unlink,
        ImageError,
        rf"^image '{IMAGE}' is missing: expected a file at .*{IMAGE}\. Restore it or",
        "image-missing",
    ),
    "missing label": Bad(
        LABEL,
        Path.unlink,
        ImageError,
        rf"^label image '{LABEL}' is missing: expected a file at",
        "label-image-missing",
    ),
    "size mismatch": Bad(
        LABEL,
        lambda path: _paint(path, 3, height=23),
        AnnotationError,
        rf"^label image '{LABEL}' does not fit its image '{IMAGE}': expected 24x32, "
        r"got 23x32 \(height x width\)\.$",
        "label-size-mismatch",
    ),
    "undecodable image": Bad(
        IMAGE,
        lambda path: path.write_bytes(b"this is no image"),
        ImageError,
        rf"^image '{IMAGE}' cannot be decoded: .*\. Replace the file\.$",
        "image-undecodable",
    ),
    "truncated image": Bad(
        IMAGE,
        _cut,
        ImageError,
        rf"^image '{IMAGE}' cannot be decoded: PNG ends after \d+ bytes, without IEND",
        "image-undecodable",
    ),
    "empty image": Bad(
        IMAGE,
        lambda path: path.write_bytes(b""),
        ImageError,
        rf"^image '{IMAGE}' is empty: expected an image file, got 0 bytes\.$",
        "image-undecodable",
    ),
    "truncated label": Bad(
        LABEL,
        _cut,
        ImageError,
        rf"^label image '{LABEL}' cannot be decoded: ",
        "label-image-undecodable",
    ),
    "lossy label": Bad(
        LABEL,
        _as_jpeg,
        ImageError,
        rf"^label image '{LABEL}' is a JPEG: its compression changes label values",
        "label-image-lossy",
    ),
    "unknown label value": Bad(
        LABEL,
        lambda path: _paint(path, 12),
        AnnotationError,
        rf"^label image '{LABEL}' has unknown value 12 in 768 pixels: expected 0 to 11",
        "unknown-label-index",
    ),
}


@pytest.fixture(params=BAD)
def bad(request: pytest.FixtureRequest, source: Path) -> Bad:
    chosen = BAD[request.param]
    chosen.damage(source / chosen.file)
    return chosen


def test_bad_record_ends_the_build_with_one_line(
    bad: Bad, source: Path, tmp_path: Path, run_build: Build
) -> None:
    with pytest.raises(bad.error, match=bad.message) as caught:
        run_build(source, tmp_path / "out")
    assert type(caught.value) is bad.error
    assert caught.value.reason == bad.reason
    assert "\n" not in str(caught.value)
    assert "while running" not in str(caught.value)
    assert_nothing_looks_finished(tmp_path / "out")


def test_bad_record_is_skipped_on_request_and_named_with_its_reason(
    bad: Bad, source: Path, tmp_path: Path, run_build: Build
) -> None:
    out = tmp_path / "out"
    manifest = run_build(source, out, on_error="skip", max_reject_share=0.2)
    (line,) = (out / "rejects.jsonl").read_bytes().splitlines()
    reject = orjson.loads(line)
    with pytest.raises(bad.error, match=bad.message):
        raise bad.error(reject.pop("message"))
    assert reject == {
        "key": "train/train_002",
        "split": "train",
        "image": IMAGE,
        "reason": bad.reason,
        "stage": "encode",
    }
    assert manifest.splits["train"].rejects == {bad.reason: 1}
    assert manifest.splits["val"].rejects == {}
    keys = RecordSource(out, "train").keys
    assert len(keys) == 5
    assert "train/train_002" not in keys
    assert problems(out) == []


def test_two_workers_tell_of_a_bad_record_in_the_same_line(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    name = "size mismatch"
    BAD[name].damage(source / BAD[name].file)
    found = []
    for workers in (1, 2):
        with pytest.raises(BAD[name].error, match=BAD[name].message) as caught:
            run_build(source, tmp_path / str(workers), workers=workers)
        error = caught.value
        assert error.reason == BAD[name].reason
        found.append((type(error), error.reason, str(error)))
        assert_nothing_looks_finished(tmp_path / str(workers))
    assert found[0] == found[1]


def test_one_and_two_workers_give_the_same_files_and_rejects(
    source: Path, tmp_path: Path, run_build: Build, file_hashes: Hashes
) -> None:
    BAD["unknown label value"].damage(source / LABEL)
    (source / "val" / "val_001.png").unlink()
    options = {"num_shards": 3, "on_error": "skip", "max_reject_share": 0.5}
    for workers in (1, 2):
        run_build(source, tmp_path / str(workers), workers=workers, **options)
    assert file_hashes(tmp_path / "1") == file_hashes(tmp_path / "2")
    assert problems(tmp_path / "2") == []
    assert len((tmp_path / "2" / "rejects.jsonl").read_bytes().splitlines()) == 2


def test_build_without_rejects_writes_no_rejects_file(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    run_build(source, tmp_path / "out", on_error="skip")
    assert not (tmp_path / "out" / "rejects.jsonl").exists()


def test_too_many_rejects_fail_with_both_shares_and_the_first_reason(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    (source / IMAGE).unlink()
    message = (
        r"1 of 9 records were rejected \(11\.1%\): at most 10\.0% may be "
        rf"\(--max-rejects\)\. The first reason: image '{IMAGE}' is missing"
    )
    with pytest.raises(BuildError, match=message):
        run_build(source, tmp_path / "out", on_error="skip")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_split_that_comes_out_empty_fails(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    for path in (source / "val").glob("*.png"):
        path.unlink()
    with pytest.raises(
        BuildError, match=r"split 'val' came out empty: all its records were rejected"
    ):
        run_build(source, tmp_path / "out", on_error="skip", max_reject_share=1.0)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_voided_pixels_are_counted_in_the_manifest(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    _paint(source / LABEL, 77)
    form = CamVid(unknown="void")
    manifest = run_build(source, tmp_path / "out", dataset_format=form)
    counts = {name: split.counts for name, split in manifest.splits.items()}
    assert counts["train"].voided_pixels == 24 * 32
    assert counts["train"].notes == {"unknown-labels-voided": 1}
    assert counts["val"].voided_pixels == 0
    assert sum(counts["train"].class_pixels.values()) == 6 * 24 * 32
    share = 1 / sum(split.num_records for split in manifest.splits.values())
    (line,) = manifest.warnings
    assert line.startswith(f"{share:.1%} of all labelled pixels have values that no")


def test_void_below_one_percent_is_no_warning(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    labels = np.array(Image.open(source / LABEL))
    labels[0, :2] = 77
    Image.fromarray(labels).save(source / LABEL)
    form = CamVid(unknown="void")
    manifest = run_build(source, tmp_path / "out", dataset_format=form)
    assert manifest.splits["train"].counts.voided_pixels == 2
    assert manifest.warnings == ()


def test_same_image_in_train_and_val_is_reported_as_leakage(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    shutil.copy(source / "train" / "train_004.png", source / "val" / "val_001.png")
    manifest = run_build(source, tmp_path / "out")
    assert manifest.leakage == [["train/train/train_004", "val/val/val_001"]]
    assert read_manifest(tmp_path / "out").leakage == manifest.leakage


def test_unknown_split_is_refused_before_anything_is_written(
    source: Path, tmp_path: Path, run_build: Build
) -> None:
    with pytest.raises(
        SourceError, match=r"source has no split 'dev' .*: the source has train"
    ):
        run_build(source, tmp_path / "out", split=SplitChoice.parse("dev"))
    assert not (tmp_path / "out").exists()


def test_no_workers_are_refused(source: Path, tmp_path: Path, run_build: Build) -> None:
    with pytest.raises(OptionError, match=r"--workers is 0: expected at least 1"):
        run_build(source, tmp_path / "out", workers=0)


# --- going on after a failure ---


def test_build_goes_on_after_a_bad_label_was_put_right(
    source: Path, tmp_path: Path, run_build: Build, file_hashes: Hashes
) -> None:
    run_build(source, tmp_path / "whole")
    whole = (source / LABEL).read_bytes()
    _cut(source / LABEL)
    with pytest.raises(ImageError, match=r"cannot be decoded"):
        run_build(source, tmp_path / "out")
    (source / LABEL).write_bytes(whole)
    run_build(source, tmp_path / "out")
    assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "whole")


def _assert_ends_as_on_a_full_disk(command: Any, out: Path) -> None:
    result = command.end(timeout=30)
    assert result.returncode == 1
    lines = result.stderr.splitlines()  # a busy machine prints progress between them
    started, error = (x for x in lines if not x.startswith("building: "))
    assert started.startswith("camvid: 9 images in 2 shards (SegNet split ")
    assert error.startswith(f"error: cannot write {out}/camvid-")
    assert "File too large. Free space or check the permissions" in error
    assert result.stdout == ""
    assert list(out.glob("camvid-train*")) == []
    assert_nothing_looks_finished(out)


def test_full_disk_ends_the_build_with_one_line_and_the_build_goes_on(
    source: Path,
    tmp_path: Path,
    segdata: Any,
    run_build: Build,
    file_hashes: Hashes,
) -> None:
    rng = np.random.default_rng(0)
    for path in (source / "train").glob("*.png"):
        pixels = rng.integers(0, 256, (150, 200, 3), np.uint8)
        Image.fromarray(pixels).save(path)
        Image.new("L", (200, 150)).save(source / "trainannot" / path.name)
    arguments = [*_arguments(source, tmp_path / "out", 1), "--shards=1"]
    command = segdata(*arguments, max_file_bytes=200_000)
    _assert_ends_as_on_a_full_disk(command, tmp_path / "out")
    run_build(source, tmp_path / "out", num_shards=1)
    run_build(source, tmp_path / "other", num_shards=1)
    assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "other")


def test_disk_that_is_full_for_the_workers_log_too_ends_the_build(
    source: Path, tmp_path: Path, segdata: Any
) -> None:
    arguments = [*_arguments(source, tmp_path / "out", 2), "--shards=1"]
    command = segdata(*arguments, max_file_bytes=6000)
    _assert_ends_as_on_a_full_disk(command, tmp_path / "out")


def _arguments(source: Path, out: Path, workers: int) -> list[object]:
    return ["build", "camvid", source, out, "--shards=2", f"--workers={workers}"]


@pytest.fixture
def goes_on(
    source: Path, tmp_path: Path, pipe: Any, run_build: Build, file_hashes: Hashes
) -> Callable[[], None]:
    """Checks that the build in `out` goes on to the bytes of one from scratch."""

    def check() -> None:
        assert not (tmp_path / "out" / "manifest.json").exists()
        pipe.become_a_file()
        for name in ("out", "other"):
            run_build(source, tmp_path / name)
        assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "other")

    return check


def test_killed_worker_is_reported_and_the_build_goes_on_to_the_same_bytes(
    source: Path, tmp_path: Path, segdata: Any, pipe: Any, goes_on: Any
) -> None:
    command = segdata(*_arguments(source, tmp_path / "out", 2))
    pipe.wait_for_reader()
    (victim,) = pipe.readers(command.workers())
    os.kill(victim, signal.SIGKILL)
    result = command.end(timeout=30)
    assert result.returncode == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: a worker process died before its shard was done: ")
    assert line.endswith("Run the same command again to continue.")
    assert command.ends_all(5)
    goes_on()


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_build_ends_at_once_and_goes_on_to_the_same_bytes(
    source: Path, tmp_path: Path, segdata: Any, pipe: Any, workers: int, goes_on: Any
) -> None:
    command = segdata(*_arguments(source, tmp_path / "out", workers))
    pipe.wait_for_reader()
    command.process.send_signal(signal.SIGINT)
    result = command.end(timeout=10)
    assert result.returncode == 130
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: interrupted. Run the same command to resume")
    assert "Traceback" not in result.stderr
    assert command.ends_all(5)
    goes_on()


# --- real data ---


def test_real_camvid_gives_367_and_101_records_that_verify(real_build: Any) -> None:
    out = real_build("camvid")
    splits = read_manifest(out).splits
    counts = {name: split.num_records for name, split in splits.items()}
    assert counts == {"train": 367, "val": 101}
    assert problems(out) == []


@pytest.mark.parametrize("split", ["train", "val"])
def test_real_camvid_records_hold_the_files_bytes_and_every_label_pixel(
    real_build: Any, shared_data: Path, split: str
) -> None:
    folder = shared_data / "camvid"
    for record in RecordSource(real_build("camvid"), split):
        assert record.encoded == (folder / record.filename).read_bytes()
        label = folder / f"{split}annot" / Path(record.filename).name
        expected = np.asarray(Image.open(label))
        np.testing.assert_array_equal(record.label_map(), expected, record.key)
