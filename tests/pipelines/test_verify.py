from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from segdata.checking.verify import Verified, verify
from segdata.cli import cli
from segdata.errors import BuildError, CorruptionError, OutputError
from segdata.pipelines import runners
from segdata.pipelines.on_beam import OnBeam
from segdata.pipelines.runner_options import RunnerOptions
from segdata.shards.manifest import Manifest, read_manifest
from segdata.shards.receipt import read_receipt

Build = Callable[..., Manifest]


@pytest.fixture(scope="module")
def built(
    make_segnet: Callable[..., Path],
    run_build: Build,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    source = make_segnet(folder / "source", num_train=6)
    run_build(source, folder / "out")
    return folder / "out"


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "out")


def shard_of(out: Path) -> Path:
    """The first shard of train."""
    return out / "camvid-train.tfrecord-00000-of-00002"


def flip(path: Path, *positions: int) -> None:
    data = bytearray(path.read_bytes())
    for position in positions:
        data[position] ^= 4
    path.write_bytes(data)


def check(out: Path, *, workers: int = 1, **options: Any) -> Verified:
    return verify(out, run_shards=OnBeam(RunnerOptions(workers=workers)), **options)


@pytest.mark.parametrize("is_fast", [False, True])
def test_whole_build_has_no_problem(built: Path, is_fast: bool) -> None:
    found = check(built, fast=is_fast)
    assert (found.num_records, found.num_shards, found.num_problems) == (9, 4, 0)


def test_every_damaged_record_is_named_whatever_the_workers(out: Path) -> None:
    damaged = []
    for shard in sorted(out.glob("camvid-train*")):
        entries = read_receipt(out, shard.name).records
        flip(shard, *(entry.offset + 40 for entry in entries))
        damaged += [f"{shard.name}: record {i} " for i in range(len(entries))]
    one, two = check(out), check(out, workers=2)
    assert one == two
    assert one.num_problems == 6 + 2  # each record, and the hash of each shard
    messages = [problem.message for problem in one.problems]
    for start in damaged:
        assert sum(message.startswith(start) for message in messages) == 1


def test_files_of_other_readers_are_compared_with_the_manifest(out: Path) -> None:
    (out / "features.json").write_text("{}")
    found = check(out, fast=True)
    assert [problem.message for problem in found.problems] == [
        "features.json: missing, or not what the manifest gives"
    ]


def test_fast_finds_what_is_missing_cut_or_mixed_up(out: Path) -> None:
    shards = sorted(out.glob("camvid-*"))
    shards[0].unlink()
    shards[1].write_bytes(shards[1].read_bytes()[:-1])
    shutil.copy(shards[3], shards[2])
    (out / f"{shards[0].name[:-1]}9").write_bytes(b"")
    found = check(out, fast=True)
    messages = "\n".join(problem.message for problem in found.problems)
    assert f"{shards[0].name}: cannot be read: No such file" in messages
    assert f"{shards[1].name}: expected " in messages
    assert f"{shards[2].name}: expected " in messages
    assert f"{shards[0].name[:-1]}9: not in the manifest" in messages


def test_fast_finds_a_damaged_length_but_no_flipped_pixel(out: Path) -> None:
    entry = read_receipt(out, shard_of(out).name).records[0]
    flip(shard_of(out), entry.offset + 40)
    assert check(out, fast=True).num_problems == 0
    assert check(out).num_problems == 2
    flip(shard_of(out), entry.offset)
    [problem] = check(out, fast=True).problems
    assert problem.message == (
        f"{shard_of(out).name}: record 0 ({entry.key!r}): damaged at byte 0: the CRC "
        "of its length does not match"
    )


def test_fast_notices_a_receipt_that_is_not_the_manifests(out: Path) -> None:
    receipt = out / "index" / f"{shard_of(out).name}.json"
    receipt.write_bytes(receipt.read_bytes() + b" ")
    [problem] = check(out, fast=True).problems
    assert problem.message.endswith("its receipt in index/ is not the manifest's")


def test_problems_are_kept_up_to_the_limit_and_all_counted(out: Path) -> None:
    for shard in out.glob("camvid-train*"):
        flip(shard, *(e.offset + 40 for e in read_receipt(out, shard.name).records))
    found = check(out, limit=1)
    assert (len(found.problems), found.num_problems) == (2, 8)


def test_directory_without_a_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"holds no finished build"):
        check(tmp_path)


def test_shard_that_no_worker_looked_at_is_an_error(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "run", lambda *arguments: None)
    with pytest.raises(BuildError, match=r"was not worked on: its worker left no res"):
        check(built, workers=2)


def test_verifying_writes_nothing_into_the_build(
    out: Path, file_hashes: Callable[[Path], dict[str, str]]
) -> None:
    before = file_hashes(out)
    check(out)
    assert file_hashes(out) == before


# --- the command ---


def test_command_shows_problems_up_to_the_limit_and_says_what_to_do(out: Path) -> None:
    for shard in out.glob("camvid-train*"):
        flip(shard, *(e.offset + 40 for e in read_receipt(out, shard.name).records))
    result = CliRunner().invoke(cli, ["verify", str(out), "--limit=3", "--workers=1"])
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert lines[-1] == "... and 5 more"
    assert isinstance(result.exception, CorruptionError)
    assert "is not what its manifest says: 8 problems. Rest" in str(result.exception)


def test_command_says_what_the_fast_way_looked_at(built: Path) -> None:
    result = CliRunner().invoke(cli, ["verify", str(built), "--fast", "--workers=1"])
    line = "9 records in 4 shards have their sizes and indexes\n"
    assert result.stdout == f"verified {built}: {line}"
    assert read_manifest(built).splits.keys() == {"train", "val"}


def test_command_tells_an_image_that_the_source_damaged_from_a_changed_build(
    make_segnet: Callable[..., Path], run_build: Build, tmp_path: Path
) -> None:
    source, out = make_segnet(tmp_path / "source"), tmp_path / "out"
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    early = file.getvalue()[:-200] + b"\xff\xd9"  # the scan ends early
    (source / "train" / "train_000.png").write_bytes(early)
    run_build(source, out)
    result = CliRunner().invoke(cli, ["verify", str(out), "--workers=1"])
    assert "image 'train/train_000' cannot be decoded" in result.stdout
    assert isinstance(result.exception, CorruptionError)
    assert "what was built, but images of its source are damaged: 1. Replace" in str(
        result.exception
    )
    flip(shard_of(out), read_receipt(out, shard_of(out).name).records[0].offset + 40)
    result = CliRunner().invoke(cli, ["verify", str(out), "--workers=1"])
    assert "is not what its manifest says: 2 problems. Rest" in str(result.exception)
