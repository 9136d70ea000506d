from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from segdata.building.sources import read_files
from segdata.formats.pets.format import Pets
from segdata.records.encode import encode_record
from segdata.samples.pet import BREEDS
from segdata.samples.pets import write_pets_sample


def write(folder, *, seed=0, num_train=8, num_val=2):
    write_pets_sample(folder, seed=seed, num_train=num_train, num_val=num_val)
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


@pytest.fixture(scope="module")
def records(small):
    """Key -> encoded record."""
    scan = Pets().scan(small)
    return {
        a["key"]: encode_record(a, read_files(a, small), scan.label_map)
        for a in scan.annotations
    }


def trimap_of(folder, name):
    with Image.open(folder / f"annotations/trimaps/{name}.png") as image:
        return np.asarray(image)


# --- Files.


def test_empty_sample_has_its_lists(tmp_path):
    names = files(write(tmp_path, num_train=0, num_val=0))
    assert names["annotations/trainval.txt"] == b""


def test_lists_are_those_of_the_real_layout(small):
    lines = (small / "annotations/trainval.txt").read_text().splitlines()
    assert lines[:2] == ["Abyssinian_1 1 1 1", "beagle_3 5 2 4"]
    assert len(lines) == 8
    lines = (small / "annotations/list.txt").read_text().splitlines()
    assert lines[0] == "#Image CLASS-ID SPECIES BREED ID"
    assert len([line for line in lines if line[0] != "#"]) == 10


def test_names_of_cats_begin_with_a_capital_as_in_the_real_dataset():
    assert all(b.name[0].isupper() == (b.species == 1) for b in BREEDS)
    assert len({b.class_id for b in BREEDS}) == len(BREEDS)


# --- Oddities: eight images in a row have all of them.


def test_scan_tells_of_the_oddities_beside_the_images(small):
    scan = Pets().scan(small)
    assert scan.problems == ()
    assert scan.warnings == (
        "1 of 8 images of trainval.txt have no XML and so no head, e.g. Bombay_5",
        "left out 1 file of images/ that no list names, e.g. "
        "images/Abyssinian_990001.jpg",
        "left out 1 stray file of images/, e.g. images/Abyssinian_990001.mat",
        "left out 1 stray file of images/, e.g. images/._Abyssinian_990001.jpg",
        "left out 1 stray file of annotations/trimaps/, e.g. "
        "annotations/trimaps/._Abyssinian_990001.png",
    )


def test_every_oddity_of_an_image_is_in_eight(small, records):
    trainval = [records[a["key"]] for a in Pets().scan(small).annotations][:8]
    assert [record.notes for record in trainval] == [
        (),
        ("gif-converted",),
        (),
        ("alpha-removed", "extension-corrected"),
        (),
        (),
        ("object-mask-empty",),
        ("extension-corrected",),
    ]
    assert [len(record.regions) for record in trainval] == [1, 1, 0, 1, 1, 2, 1, 1]


def test_invalid_orientation_is_in_the_file(small, records):
    with Image.open(small / "images/beagle_9.jpg") as image:
        assert image.getexif()[0x0112] == 0
    stored = (small / "images/beagle_9.jpg").read_bytes()
    assert records["beagle_9"].image.encoded == stored


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("Abyssinian_1", "JPEG", "RGB"),
        ("beagle_3", "GIF", "P"),
        ("Abyssinian_7", "PNG", "RGBA"),
        ("beagle_15", "PNG", "RGB"),
    ],
)
def test_files_are_what_they_are_whatever_their_name(small, name, kind, mode):
    with Image.open(small / f"images/{name}.jpg") as image:
        assert (image.format, image.mode) == (kind, mode)


# --- Pixels.


def test_outline_lies_between_pet_and_background(small):
    for path in sorted((small / "annotations/trimaps").glob("[!.]*.png")):
        trimap = trimap_of(small, path.stem)
        shares = np.bincount(trimap.ravel(), minlength=4) / trimap.size
        assert shares[0] == 0
        assert (shares[1:] > 0.005).all() or shares[2] == 1
        for one, other in ((trimap[1:], trimap[:-1]), (trimap[:, 1:], trimap[:, :-1])):
            assert not ((one == 1) & (other == 2)).any()
            assert not ((one == 2) & (other == 1)).any()


def test_head_is_around_pet_pixels_at_one_end(small):
    for path in sorted((small / "annotations/xmls").iterdir()):
        trimap = trimap_of(small, path.stem)
        if not (trimap == 1).any():
            continue
        for box in ElementTree.parse(path).getroot().iter("bndbox"):
            xmin, ymin, xmax, ymax = (int(side.text) for side in box)
            assert 1 <= xmin < xmax <= trimap.shape[1]
            assert 1 <= ymin < ymax <= trimap.shape[0]
            inside = trimap[ymin - 1 : ymax, xmin - 1 : xmax]
            assert (inside != 2).mean() > 0.4
            assert (inside == 1).any()


def test_pet_can_be_told_from_its_background(small):
    for line in (small / "annotations/trainval.txt").read_text().splitlines()[:6]:
        name = line.split()[0]
        with Image.open(small / f"images/{name}.jpg") as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        trimap = trimap_of(small, name)
        means = [pixels[trimap == value].mean(0) for value in (1, 2)]
        assert np.abs(means[0] - means[1]).max() > 12
