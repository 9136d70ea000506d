"""What all samples promise, whatever their format."""

from __future__ import annotations

import importlib
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from segdata.commands.sample import SAMPLES, sample
from segdata.samples.camvid import write_camvid_sample
from segdata.samples.canvas import BLACK, WHITE, Canvas, box

Write = Callable[..., Path]


def files(folder: Path) -> dict[str, bytes]:
    """Path below the folder -> bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def pictures(folder: Path) -> dict[str, bytes]:
    return {
        name: data
        for name, data in files(folder).items()
        if name.endswith((".png", ".jpg")) and "/._" not in name
    }


@pytest.fixture(params=SAMPLES)
def write(request: pytest.FixtureRequest) -> Write:
    module, _, name = SAMPLES[request.param].partition(":")
    function = getattr(importlib.import_module(module), name)

    def written(folder: Path, seed: int = 0, train: int = 3, val: int = 2) -> Path:
        function(folder, seed=seed, num_train=train, num_val=val)
        return folder

    written.__doc__ = request.param
    return written


def test_another_process_writes_the_same_bytes(write: Write, tmp_path: Path) -> None:
    arguments = ["sample", write.__doc__, str(tmp_path / "a"), "--train=3", "--val=2"]
    subprocess.run(
        [sys.executable, "-m", "segdata", *arguments],
        check=True,
        timeout=60,
        env=os.environ | {"PYTHONHASHSEED": "4711"},
    )
    assert files(tmp_path / "a") == files(write(tmp_path / "b"))


def test_larger_sample_has_the_pictures_of_the_smaller_one(
    write: Write, tmp_path: Path
) -> None:
    small, large = write(tmp_path / "a"), write(tmp_path / "b", train=5, val=3)
    assert pictures(large).items() > pictures(small).items()


def test_validation_does_not_depend_on_training(write: Write, tmp_path: Path) -> None:
    both, alone = write(tmp_path / "a"), write(tmp_path / "b", train=0)
    assert 0 < len(pictures(alone)) < len(pictures(both))
    assert pictures(alone).items() < pictures(both).items()


IMAGES = ("images/", "train/", "val/", "train2017/", "val2017/", "JPEGImages/")
IMAGES += ("leftImg8bit/",)


def test_every_image_of_every_seed_is_another(write: Write, tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b", seed=1)
    assert pictures(first).keys() == pictures(second).keys()
    images = [
        data
        for folder in (first, second)
        for name, data in pictures(folder).items()
        if name.startswith(IMAGES)
    ]
    assert len(images) == len(set(images)) >= 10


@pytest.mark.parametrize("option", ["--seed", "--train", "--val"])
def test_negative_number_is_wrong_usage(option: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(sample, ["coco", str(tmp_path / "out"), option, "-1"])
    assert result.exit_code == 2
    assert option in result.output
    assert not (tmp_path / "out").exists()


def test_png_bytes_are_those_of_any_zlib(tmp_path: Path) -> None:
    """Pillow's zlib and Python's are two here; run lengths are all that is sought."""
    write_camvid_sample(tmp_path, seed=0, num_train=1, num_val=0)
    stored, position, packed = (
        (tmp_path / "train/seq01_000000.png").read_bytes(),
        8,
        b"",
    )
    while position < len(stored):
        [length] = struct.unpack(">I", stored[position : position + 4])
        if stored[position + 4 : position + 8] == b"IDAT":
            packed += stored[position + 8 : position + 8 + length]
        position += length + 12
    for level in (1, 6, 9):
        squeeze = zlib.compressobj(level, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
        again = squeeze.compress(zlib.decompress(packed)) + squeeze.flush()
        assert again[2:] == packed[2:]  # two bytes tell the level


def test_canvas_labels_what_covers_the_middle_of_a_pixel() -> None:
    canvas = Canvas(4, 5, BLACK, BLACK, label=7)
    canvas.fill(box(1, 1, 3, 3), WHITE, 2)
    canvas.fill(box(0, 3, 5, 4), WHITE)
    labels, picture = canvas.labels(), canvas.picture()
    assert labels.tolist() == [
        [7, 7, 7, 7, 7],
        [7, 2, 2, 7, 7],
        [7, 2, 2, 7, 7],
        [7, 7, 7, 7, 7],
    ]
    assert picture.shape == (4, 5, 3)
    assert picture[1:3, 1:3].min() == min(WHITE)
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert picture[3].min() > 100
