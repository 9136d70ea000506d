"""A drawn sample goes all the way: built, streamed, learnt, exported, built again.

Every command as a user types it, so that no two of them disagree on what is readable.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from export_runs import built_again, exported
from tiny_models import TINY

import segdata
from segdata.cli import cli
from segdata.commands.sample import SAMPLES
from segdata.trainers.models import ALL_MODELS

BESIDE_OBJECTS = {"cityscapes", "voc"}
"""Formats of drawn label maps and of objects: no export holds both."""


@pytest.fixture
def run() -> Callable[..., None]:
    def invoke(*arguments: object) -> None:
        result = CliRunner().invoke(cli, [str(a) for a in arguments])
        assert result.exception is None, result.exception

    return invoke


@pytest.fixture
def learn(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """`segdata train` with a model that is there for tests alone."""
    for name, function in TINY.items():
        monkeypatch.setitem(ALL_MODELS, name, function)
    return functools.partial(run, "train")


@pytest.mark.parametrize(
    ("name", "splits", "target"),
    [
        ("camvid", ("train", "val"), "png"),
        ("cityscapes", ("train", "val"), "png"),
        ("coco", ("train", "val"), "coco"),
        ("cvat", ("train", "val"), "coco"),
        ("label-studio", ("train", "val"), "coco"),
        ("labelme", ("train", "val"), "coco"),
        ("mask-folder", ("train", "val"), "png"),
        ("pets", ("trainval", "test"), "pets"),
        ("sa-1b", ("train", "val"), "coco"),
        ("voc", ("train", "val"), "png"),
        ("yolo", ("train", "val"), "coco"),
    ],
)
def test_sample_goes_all_the_way(
    name: str,
    splits: tuple[str, str],
    target: str,
    tmp_path: Path,
    run: Callable[..., None],
    learn: Callable[..., None],
) -> None:
    train, val = splits
    records = tmp_path / "records"
    run("sample", name, tmp_path / "drawn", "--train", 4, "--val", 1)
    # The model of the test learns label maps.
    semantic = ["--semantic"] if target == "coco" else []
    run("build", name, tmp_path / "drawn", records, *semantic)
    run("verify", records)
    stream = segdata.read_semantic(records, train, batch_size=2, image_size=(32, 32))
    assert sum(int((b["image_id"] >= 0).numpy().sum()) for b in stream) == 4
    learn(
        *("tiny", records, "--run-dir", tmp_path / "run"),
        *("--epochs", 1, "--steps-per-epoch", 1, "--batch-size", 1),
        *("--image-size", "32x32", "--train-split", train, "--val-split", val),
    )
    printed = exported(records, tmp_path / "exported", target)
    again = built_again(tmp_path / "exported", tmp_path / "again", printed)
    for split in splits:
        one, other = (segdata.RecordSource(out, split) for out in (records, again))
        if name not in BESIDE_OBJECTS:
            assert one.keys == other.keys
        found = {record.sha256: record for record in other}
        assert len(found) == len(one)
        for record in one:
            same = found[record.sha256]
            assert np.array_equal(record.label_map(), same.label_map())
            if name not in BESIDE_OBJECTS:
                assert len(record.objects) == len(same.objects)


def test_no_sample_is_left_out() -> None:
    [mark] = test_sample_goes_all_the_way.pytestmark  # type: ignore[attr-defined]
    assert {name for name, *_ in mark.args[1]} == set(SAMPLES)
