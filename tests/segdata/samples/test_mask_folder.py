from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from segdata.building.example import dict_to_tf_example
from segdata.formats.class_files import read_class_file
from segdata.formats.mask_folder.format import MaskFolder
from segdata.samples.mask_folder import write_mask_folder_sample


def write(folder, *, seed=0, num_train=4, num_val=1):
    write_mask_folder_sample(folder, seed=seed, num_train=num_train, num_val=num_val)
    return folder


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write(tmp_path_factory.mktemp("small"))


def test_sample_has_images_and_masks_of_the_same_names(small):
    names = sorted(files(small))
    images = [n for n in names if n.startswith("images/")]
    masks = [n for n in names if n.startswith("masks/")]
    assert names == ["classes.txt", *images, *masks]
    assert [n[7:-4] for n in images] == [n[6:-4] for n in masks]
    assert len(images) == 5


def test_palette_has_the_colours_of_the_class_file(small):
    rows = read_class_file(small / "classes.txt").rows
    with Image.open(small / "masks/train/scene_0000.png") as mask:
        assert mask.mode == "P"
        palette = np.array(mask.getpalette("RGB")).reshape(-1, 3)
        used = set(np.unique(np.asarray(mask)).tolist())
    colors = {row.source_id: row.color for row in rows}
    assert used <= colors.keys()
    assert {i: tuple(palette[i].tolist()) for i in used} == {i: colors[i] for i in used}


def test_index_and_colour_mean_the_same(small):
    records = {}
    for labels in ("index", "color", "auto"):
        scan = MaskFolder(labels=labels).scan(small)
        records[labels] = [
            dict_to_tf_example(a, scan.label_map, small) for a in scan.annotations
        ]
    assert records["index"] == records["color"] == records["auto"]


def test_every_fourth_image_has_no_shape(small):
    with Image.open(small / "masks/train/scene_0003.png") as mask:
        assert not np.asarray(mask).any()
    with Image.open(small / "masks/train/scene_0000.png") as mask:
        assert len(np.unique(np.asarray(mask))) >= 3
