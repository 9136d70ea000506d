from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from segdata.commands.sample import sample
from segdata.formats.camvid.format import CamVid
from segdata.samples.camvid import write_camvid_sample

LINE = re.compile(r"(/\S+/train)/(\w+\.png) (/\S+/trainannot)/(\w+\.png)")


def write(folder, *, seed=0, num_train=2, num_val=1):
    write_camvid_sample(folder, seed=seed, num_train=num_train, num_val=num_val)
    return folder


def files(folder):
    """Path below the folder -> bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write(tmp_path_factory.mktemp("small"))


def test_sample_has_the_layout_of_the_segnet_split(small):
    assert sorted(files(small)) == [
        "train.txt",
        "train/seq01_000000.png",
        "train/seq01_000030.png",
        "trainannot/seq01_000000.png",
        "trainannot/seq01_000030.png",
        "val.txt",
        "val/seq02_000000.png",
        "valannot/seq02_000000.png",
    ]


@pytest.mark.parametrize("split", ["train", "val"])
def test_list_names_each_pair_below_a_folder_that_does_not_exist(small, split):
    lines = (small / f"{split}.txt").read_text().splitlines()
    pairs = [line.split(" ") for line in lines]
    assert [Path(image).name for image, _ in pairs] == sorted(
        path.name for path in (small / split).iterdir()
    )
    for pair in pairs:
        for listed, folder in zip(pair, (split, f"{split}annot"), strict=True):
            assert listed.startswith("/")
            assert not Path(listed).parent.parent.exists()
            assert (small / folder / Path(listed).name).is_file()
            assert Path(listed).parent.name == folder


def test_lists_read_like_those_of_the_real_dataset(small, shared_data):
    real, ours = (
        LINE.fullmatch((folder / "train.txt").read_text().splitlines()[0])
        for folder in (shared_data / "camvid", small)
    )
    assert real is not None
    assert ours is not None
    assert ours.group(1, 3) == real.group(1, 3)


def test_files_are_of_the_kind_of_the_real_dataset(small, shared_data):
    for folder in ("train", "trainannot"):
        real = min((shared_data / "camvid" / folder).glob("*.png"))
        ours = min((small / folder).glob("*.png"))
        with Image.open(real) as one, Image.open(ours) as other:
            assert (one.format, one.mode, one.size) == (
                other.format,
                other.mode,
                other.size,
            )


def test_images_are_rgb_and_labels_are_class_indices(small):
    for split in ("train", "val"):
        for path in (small / split).iterdir():
            with Image.open(path) as image:
                assert (image.mode, image.size) == ("RGB", (480, 360))
            with Image.open(small / f"{split}annot" / path.name) as label:
                assert (label.mode, label.size) == ("L", (480, 360))
                assert np.asarray(label).max() <= 11


def test_same_seed_writes_the_same_bytes(small, tmp_path):
    assert files(write(tmp_path)) == files(small)


def test_another_process_writes_the_same_bytes(small, tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from segdata.samples.camvid import write_camvid_sample as write\n"
        "write(Path(sys.argv[1]), seed=0, num_train=2, num_val=1)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True,
        timeout=60,
        env=os.environ | {"PYTHONHASHSEED": "4711"},
    )
    assert files(tmp_path) == files(small)


def test_other_seed_draws_other_images_under_the_same_names(small, tmp_path):
    first, second = files(small), files(write(tmp_path, seed=1))
    assert first.keys() == second.keys()
    same = sorted(name for name in first if first[name] == second[name])
    assert same == ["train.txt", "val.txt"]


def test_larger_sample_starts_with_the_smaller_one(small, tmp_path):
    first, second = files(small), files(write(tmp_path, num_train=4, num_val=3))
    for name, data in first.items():
        assert (
            second[name].startswith(data)
            if name.endswith(".txt")
            else (second[name] == data)
        )
    assert len(second) == 2 * (4 + 3) + 2


def test_number_of_training_images_does_not_change_the_validation_images(
    small, tmp_path
):
    first, second = files(small), files(write(tmp_path, num_train=0))
    assert second["val/seq02_000000.png"] == first["val/seq02_000000.png"]
    assert second["valannot/seq02_000000.png"] == first["valannot/seq02_000000.png"]
    assert second["train.txt"] == b""


def test_no_two_images_are_alike(tmp_path):
    written = files(write(tmp_path, num_train=3, num_val=3))
    for folder in ("train", "val"), ("trainannot", "valannot"):
        data = [d for name, d in written.items() if name.split("/")[0] in folder]
        assert len(data) == len(set(data)) == 6


def test_format_finds_every_pair_without_a_warning(small):
    scan = CamVid().scan(small)
    annotations = list(scan.annotations)
    assert scan.warnings == ()
    assert "SegNet split (train, val)" in scan.layout
    assert [a["split"] for a in annotations] == ["train", "train", "val"]
    for annotation in annotations:
        assert (small / annotation["image"]).is_file()
        assert (small / annotation["label_image"]["path"]).is_file()


@pytest.mark.parametrize("option", ["--seed", "--train", "--val"])
def test_negative_number_is_wrong_usage(option, tmp_path):
    arguments = ["--train", "1", "--val", "1", option, "-1"]
    result = CliRunner().invoke(sample, ["camvid", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2
    assert option in result.output
    assert not (tmp_path / "out").exists()
