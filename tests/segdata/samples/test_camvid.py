from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segdata.formats.camvid import classes as camvid_classes
from segdata.formats.camvid.format import CamVid
from segdata.samples.camvid import write_camvid_sample
from segdata.samples.street import (
    BUILDING,
    FENCE,
    PAVEMENT,
    ROAD,
    SKY,
    VOID,
    draw_street_scene,
)

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


def test_format_finds_every_pair_without_a_warning(small):
    scan = CamVid().scan(small)
    annotations = list(scan.annotations)
    assert scan.warnings == ()
    assert "SegNet split (train, val)" in scan.layout
    assert [a["split"] for a in annotations] == ["train", "train", "val"]
    for annotation in annotations:
        assert (small / annotation["image"]).is_file()
        assert (small / annotation["label_image"]["path"]).is_file()


# --- Pictures.


@pytest.fixture(scope="module")
def scenes():
    """Images `[scenes, height, width, 3]` and label maps of small scenes."""
    drawn = [
        draw_street_scene(np.random.default_rng([0, scene]), 90, 120)
        for scene in range(24)
    ]
    return tuple(np.stack(parts) for parts in zip(*drawn, strict=True))


def test_class_ids_are_those_of_the_format(scenes):
    classes = camvid_classes.grouped(
        camvid_classes.COLORS, void_outside=False, unknown_to_void=False
    ).semantic_classes
    names = {c.id: c.name for c in classes}
    assert np.unique(scenes[1]).tolist() == sorted(names)
    assert [names[i] for i in (SKY, ROAD, FENCE, VOID)] == [
        "sky",
        "road",
        "fence",
        "void",
    ]


def test_every_scene_shows_nearly_every_class():
    for scene in range(4):
        label = draw_street_scene(np.random.default_rng([1, scene]))[1]
        assert len(np.unique(label)) >= 10


def test_classes_take_plausible_shares_of_the_picture(scenes):
    shares = np.bincount(scenes[1].ravel(), minlength=VOID + 1) / scenes[1].size
    assert shares[[SKY, BUILDING, ROAD]].min() > 0.1
    assert shares[PAVEMENT] > 0.02
    assert 0 < shares[VOID] < 0.02
    assert shares.max() < 0.5


def test_labels_lie_on_what_is_seen(scenes):
    """Sky is bright and road is dark: a flipped label map would mix them."""
    for image, label in zip(*scenes, strict=True):
        bright = image.mean(axis=-1)
        inside, moved = (
            bright[where == SKY].mean() - bright[where == ROAD].mean()
            for where in (label, label[::-1])
        )
        assert inside - moved > 20
