from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.building.options import BuildOptions
from segdata.building.plan import make_plan
from segdata.building.sources import read_files
from segdata.errors import AnnotationError, ImageError, SegdataError, SourceError
from segdata.formats.base import Scan
from segdata.formats.pets.format import Pets
from segdata.records.encode import encode_record
from segdata.records.parse import parse_record
from segdata.records.proto import serialize
from segdata.records.record import Record
from segdata.records.to_example import to_example
from segdata.validation import validate_annotation

HEIGHT, WIDTH = 6, 8
TRIMAP = np.array(
    [
        [2, 2, 2, 2, 2, 2, 2, 2],
        [2, 3, 3, 3, 3, 3, 2, 2],
        [2, 3, 1, 1, 1, 3, 2, 2],
        [2, 3, 1, 1, 1, 3, 2, 2],
        [2, 3, 3, 3, 3, 3, 2, 2],
        [2, 2, 2, 2, 2, 2, 2, 2],
    ],
    np.uint8,
)


def xml(
    *boxes: tuple[int, int, int, int],
    size: tuple[int, int] = (6, 8),
    filename: str = "",
) -> str:
    objects = "".join(
        f"<object><name>cat</name><pose>Left</pose><truncated>1</truncated>"
        f"<occluded>0</occluded><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox><difficult>0</difficult></object>"
        for x0, y0, x1, y1 in boxes
    )
    return (
        f"<annotation><filename>{filename}</filename><size><width>{size[1]}</width>"
        f"<height>{size[0]}</height><depth>3</depth></size>{objects}</annotation>"
    )


def add(
    root: Path,
    name: str,
    *,
    heads: str | None = None,
    trimap: NDArray[np.uint8] = TRIMAP,
) -> None:
    """An image, its trimap and perhaps its XML; no list names it yet."""
    for folder in ("images", "annotations/trimaps", "annotations/xmls"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(name))
    pixels = rng.integers(0, 256, (*trimap.shape, 3), np.uint8)
    Image.fromarray(pixels).save(root / f"images/{name}.jpg")
    Image.fromarray(trimap).save(root / f"annotations/trimaps/{name}.png")
    if heads is not None:
        (root / f"annotations/xmls/{name}.xml").write_text(heads)


def lists(root: Path, **texts: str) -> Path:
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (root / f"annotations/{name}.txt").write_text(text)
    return root


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    add(tmp_path, "Abyssinian_1", heads=xml((3, 2, 5, 4)))
    add(tmp_path, "english_cocker_spaniel_12", heads=xml((3, 2, 5, 4), (1, 1, 8, 6)))
    add(tmp_path, "Abyssinian_20")
    return lists(
        tmp_path,
        trainval="Abyssinian_1 1 1 1\nenglish_cocker_spaniel_12 13 2 5\n",
        test="Abyssinian_20 1 1 1\n",
    )


def by_key(scan: Scan) -> dict[str, Any]:
    found = {}
    for annotation in scan.annotations:
        validate_annotation(annotation)
        found[annotation["key"]] = annotation
    return found


def record(scan: Scan, root: Path, key: str) -> Record:
    data = by_key(scan)[key]
    encoded = encode_record(data, read_files(data, root), scan.label_map)
    return parse_record(serialize(to_example(encoded, scan.label_map)), "here")


# --- What a record holds ---


def test_record_holds_trimap_breed_pet_and_head(pets: Path) -> None:
    scan = Pets().scan(pets)
    found = record(scan, pets, "english_cocker_spaniel_12")
    assert np.array_equal(found.label_map(), np.array([0, 0, 1, 2], np.uint8)[TRIMAP])
    assert found.image_class is not None
    assert found.image_class.label == 2
    assert found.image_class.name == "english_cocker_spaniel"
    assert found.image_class.source_id == "13"
    [pet] = found.objects
    assert (pet.label, pet.name) == (2, "english_cocker_spaniel")
    assert np.array_equal(found.mask(pet), TRIMAP == 1)
    assert pet.box == pytest.approx((2, 2, 4, 5))
    assert pet.area == 6
    assert [(r.name, r.box) for r in found.regions] == [
        ("head", pytest.approx((1, 2, 4, 5))),
        ("head", pytest.approx((0, 0, 6, 8))),
    ]
    assert found.regions[0].source == {
        "bbox": [2, 1, 3, 3],
        "name": "cat",
        "pose": "Left",
        "truncated": 1,
        "occluded": 0,
        "difficult": 0,
        "bndbox": {"xmin": 3, "ymin": 2, "xmax": 5, "ymax": 4},
    }
    assert found.source == {
        "class_id": 13,
        "species": 2,
        "breed_id": 5,
        "xml": {
            "filename": "",
            "size": {"width": 8, "height": 6, "depth": 3},
        },
    }
    assert found.notes == ()


def test_classes_are_the_breeds_with_their_species(pets: Path) -> None:
    label_map = Pets().scan(pets).label_map
    assert dict(label_map) == {
        "pet": 0,
        "background": 1,
        "outline": 2,
        "Abyssinian": 1,
        "english_cocker_spaniel": 2,
    }
    classes = [(c.id, c.source_ids, c.supercategory) for c in label_map.object_classes]
    assert classes == [(1, (1,), "cat"), (2, (13,), "dog")]
    sources = [(c.name, c.source_ids) for c in label_map.semantic_classes]
    assert sources == [("pet", (1,)), ("background", (2,)), ("outline", (3,))]
    assert label_map.ignore_id is None


def test_outline_is_ignored_on_request(pets: Path) -> None:
    scan = Pets(outline="ignore").scan(pets)
    found = record(scan, pets, "Abyssinian_1")
    assert np.array_equal(found.label_map(), np.array([0, 0, 1, 255], np.uint8)[TRIMAP])
    assert scan.label_map.ignore_id == 255
    assert np.array_equal(found.mask(found.objects[0]), TRIMAP == 1)


def test_breed_named_as_a_pixel_class_gets_its_id_behind_it(tmp_path: Path) -> None:
    add(tmp_path, "outline_1")
    scan = Pets().scan(lists(tmp_path, trainval="outline_1 4 1 1\n"))
    assert [c.name for c in scan.label_map.object_classes] == ["outline 4"]
    assert scan.label_map["outline"] == 2


def test_all_background_trimap_keeps_its_pet_with_an_empty_mask(tmp_path: Path) -> None:
    add(tmp_path, "Bengal_1", trimap=np.full((6, 8), 2, np.uint8))
    scan = Pets().scan(lists(tmp_path, trainval="Bengal_1 6 1 2\n"))
    found = record(scan, tmp_path, "Bengal_1")
    [pet] = found.objects
    mask = found.mask(pet)
    assert mask is not None
    assert not mask.any()
    assert pet.area == 0
    assert found.notes == ("object-mask-empty",)


def test_trimap_with_another_value_is_refused(tmp_path: Path) -> None:
    trimap = TRIMAP.copy()
    trimap[0, 0] = 0
    add(tmp_path, "Bengal_1", trimap=trimap)
    scan = Pets().scan(lists(tmp_path, trainval="Bengal_1 6 1 2\n"))
    with pytest.raises(AnnotationError, match=r"unknown value 0 in 1 pixels: expected"):
        record(scan, tmp_path, "Bengal_1")


def test_head_that_reaches_outside_is_cut_and_noted(tmp_path: Path) -> None:
    add(tmp_path, "Bengal_1", heads=xml((0, 1, 9, 6)))
    scan = Pets().scan(lists(tmp_path, trainval="Bengal_1 6 1 2\n"))
    found = record(scan, tmp_path, "Bengal_1")
    assert found.regions[0].box == pytest.approx((0, 0, 6, 8))
    assert found.regions[0].source["bbox"] == [-1, 0, 10, 6]
    assert found.notes == ("region-clipped",)


# --- Lists ---


def test_lists_make_the_splits(pets: Path) -> None:
    scan = Pets().scan(pets)
    assert {key: a["split"] for key, a in by_key(scan).items()} == {
        "Abyssinian_1": "trainval",
        "english_cocker_spaniel_12": "trainval",
        "Abyssinian_20": "test",
    }
    assert scan.warnings == ()
    assert scan.problems == ()
    assert scan.layout == "trainval.txt, test.txt, 2 breeds"


def test_lists_may_have_comments_blank_lines_and_a_byte_order_mark(pets: Path) -> None:
    text = "\ufeff#Image CLASS-ID SPECIES BREED ID\r\n\r\n Abyssinian_1  1\t1 1 \r\n"
    lists(pets, trainval=text)
    assert by_key(Pets().scan(pets)).keys() == {"Abyssinian_1", "Abyssinian_20"}


def test_list_of_all_images_serves_where_no_split_is_there(pets: Path) -> None:
    for name in ("trainval", "test"):
        (pets / f"annotations/{name}.txt").unlink()
    lists(pets, list="# all\nAbyssinian_1 1 1 1\nAbyssinian_20 1 1 1\n")
    scan = Pets().scan(pets)
    assert by_key(scan).keys() == {"Abyssinian_1", "Abyssinian_20"}
    assert all("split" not in a for a in by_key(scan).values())


@pytest.mark.parametrize(
    ("line", "message", "reason"),
    [
        ("Bengal_1 6 1", "expected NAME CLASS-ID SPECIES BREED-ID", "bad-list-line"),
        ("Bengal_1 6 1 x", "expected NAME CLASS-ID SPECIES", "bad-list-line"),
        ("Bengal_1 6 1 -2", "expected NAME CLASS-ID SPECIES", "bad-list-line"),
        ("Bengal 1 6 1 2", "expected NAME CLASS-ID SPECIES", "bad-list-line"),
        ("Bengal 6 1 2", "expected a name of breed and number", "bad-list-line"),
        ("_1 6 1 2", "expected a name of breed and number", "bad-list-line"),
        ("Bengal_1 0 1 2", "expected a class id from 1, and", "bad-list-line"),
        ("Bengal_1 6 3 2", "the species 1 (cat) or 2 (dog)", "bad-list-line"),
        ("Bengal_1 99999999999 1 2", "expected NAME CLASS-ID", "bad-list-line"),
        ("Abyssinian_1 1 1 1", "that trainval.txt has already", "listed-twice"),
        ("Bengal_1 1 1 2", "expected 'Abyssinian', as in an ear", "breed-mismatch"),
        ("Abyssinian_3 6 1 2", "expected class 1, as in an earl", "breed-mismatch"),
        ("Abyssinian_3 1 2 1", "species 2 for 'Abyssinian': exp", "breed-mismatch"),
    ],
)
@pytest.mark.parametrize("name", ["trainval", "test", "list"])
def test_bad_line_costs_only_its_image_and_is_named(
    pets: Path, line: str, message: str, reason: str, name: str
) -> None:
    good = {"trainval": "Abyssinian_1 1 1 1", "test": "Abyssinian_20 1 1 1"}.get(name)
    if name == "list":
        good = "english_cocker_spaniel_12 13 2 5"
        if reason == "listed-twice":
            line, message = good, "that list.txt has already"
    if name == "test" and line == "Abyssinian_1 1 1 1":
        assert "trainval" in message
    lists(pets, **{name: f"{good}\n{line}\n"})
    scan = Pets().scan(pets)
    [problem] = scan.problems
    assert problem.reason == reason
    assert str(problem).startswith(f"line 2 of {name}.txt is {line!r}: ")
    assert message in str(problem)
    assert "\n" not in str(problem)
    assert {"Abyssinian_1", "Abyssinian_20"} <= by_key(scan).keys()


def test_name_that_leads_out_is_refused(pets: Path) -> None:
    lists(pets, trainval="../../etc/passwd_1 1 1 1\n")
    scan = Pets().scan(pets)
    with pytest.raises(AnnotationError, match="may leave the image folder") as caught:
        make_plan(scan, pets, "pets", BuildOptions())
    assert caught.value.reason == "unsafe-path"


def test_list_that_is_no_text_is_refused(pets: Path) -> None:
    (pets / "annotations/test.txt").write_bytes(b"Abyssinian\xff 1 1 1")
    with pytest.raises(SourceError, match=r"^test\.txt is not UTF-8: "):
        Pets().scan(pets)


@pytest.mark.parametrize("missing", ["images", "annotations"])
def test_folder_of_another_layout_is_refused(pets: Path, missing: str) -> None:
    shutil.rmtree(pets / missing)
    with pytest.raises(
        SourceError, match=r"no Oxford-IIIT Pets are found in .* expect"
    ):
        Pets().scan(pets)


@pytest.mark.parametrize("folder", ["images", "annotations/trimaps"])
def test_missing_file_ends_a_strict_build(pets: Path, folder: str) -> None:
    [path] = (pets / folder).glob("english*")
    path.unlink()
    with pytest.raises(
        ImageError, match=f"'{folder}/{path.name}' is missing: expected"
    ):
        make_plan(Pets().scan(pets), pets, "pets", BuildOptions())


# --- What lies about ---


def test_what_no_list_names_is_left_out_with_its_count(pets: Path) -> None:
    add(pets, "Bengal_7", heads=xml())
    add(pets, "Bengal_8")
    (pets / "images/Bengal_8.jpg").unlink()
    (pets / "annotations/xmls/Bengal_9.xml").write_text(xml())
    (pets / "images/Abyssinian_1.mat").touch()
    (pets / "images/Abyssinian_2.mat").touch()
    (pets / "images/._Abyssinian_1.jpg").touch()
    (pets / "annotations/trimaps/._Abyssinian_1.png").touch()
    lists(pets, list="Abyssinian_1 1 1 1\nBengal_7 6 1 2\nBengal_8 6 1 2\n")
    assert Pets().scan(pets).warnings == (
        "left out 1 file of images/ that no list names, e.g. images/Bengal_7.jpg",
        "left out 1 file of annotations/trimaps/ that no list names, e.g. "
        "annotations/trimaps/Bengal_8.png",
        "left out 1 file of annotations/xmls/ that no list names, e.g. "
        "annotations/xmls/Bengal_9.xml",
        "left out 2 stray files of images/, e.g. images/Abyssinian_1.mat",
        "left out 1 stray file of images/, e.g. images/._Abyssinian_1.jpg",
        "left out 1 stray file of annotations/trimaps/, e.g. "
        "annotations/trimaps/._Abyssinian_1.png",
        "left out 2 images of list.txt that no split has, e.g. Bengal_7",
    )


def test_images_of_one_name_are_refused(pets: Path) -> None:
    shutil.copy(pets / "images/Abyssinian_1.jpg", pets / "images/Abyssinian_1.png")
    with pytest.raises(SourceError, match="the same name but for the ending") as caught:
        Pets().scan(pets)
    assert caught.value.reason == "duplicate-key"


# --- XML ---


def test_missing_xml_is_counted_where_others_have_one(pets: Path) -> None:
    (pets / "annotations/xmls/Abyssinian_1.xml").unlink()
    scan = Pets().scan(pets)
    assert scan.warnings == (
        "1 of 2 images of trainval.txt have no XML and so no head, e.g. Abyssinian_1",
    )
    assert record(scan, pets, "Abyssinian_1").regions == ()


def test_folder_without_xmls_is_no_oddity(pets: Path) -> None:
    shutil.rmtree(pets / "annotations/xmls")
    scan = Pets().scan(pets)
    assert scan.warnings == ()
    assert all(a["regions"] == [] for a in by_key(scan).values())


def test_xml_that_names_another_image_is_warned_of(pets: Path) -> None:
    for name, filename in (
        ("Abyssinian_1", "Abyssinian_1.png"),
        ("english_cocker_spaniel_12", "Abyssinian_1.jpg"),
    ):
        path = pets / f"annotations/xmls/{name}.xml"
        path.write_text(xml((3, 2, 5, 4), filename=filename))
    scan = Pets().scan(pets)
    assert scan.warnings == (
        "1 XML names another image than its file name says; its boxes are used, "
        "e.g. annotations/xmls/english_cocker_spaniel_12.xml",
    )
    assert len(by_key(scan)["english_cocker_spaniel_12"]["regions"]) == 1


def test_bad_xml_costs_only_the_head(pets: Path) -> None:
    path = pets / "annotations/xmls/Abyssinian_1.xml"
    path.write_text('<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>')
    scan = Pets().scan(pets)
    [problem] = scan.problems
    assert problem.reason == "bad-xml"
    assert "annotations/xmls/Abyssinian_1.xml" in str(problem)
    found = record(scan, pets, "Abyssinian_1")
    assert found.regions == ()
    assert len(found.objects) == 1


def test_bad_box_costs_only_itself(pets: Path) -> None:
    path = pets / "annotations/xmls/Abyssinian_1.xml"
    path.write_text(xml((5, 1, 4, 2), (3, 2, 5, 4)))
    scan = Pets().scan(pets)
    assert [problem.reason for problem in scan.problems] == ["bad-head-box"]
    assert len(record(scan, pets, "Abyssinian_1").regions) == 1


def test_xml_of_an_image_of_another_size_is_refused(pets: Path) -> None:
    path = pets / "annotations/xmls/Abyssinian_1.xml"
    path.write_text(xml((3, 2, 5, 4), size=(8, 6)))
    scan = Pets().scan(pets)
    [problem] = scan.problems
    assert problem.reason == "xml-size-mismatch"
    assert "expected 6x8, got 8x6 (height x width)" in str(problem)
    assert record(scan, pets, "Abyssinian_1").regions == ()


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_trimap_that_is_no_png_is_left_to_its_worker(
    pets: Path, content: bytes
) -> None:
    (pets / "annotations/trimaps/Abyssinian_1.png").write_bytes(content)
    scan = Pets().scan(pets)
    assert scan.problems == ()
    with pytest.raises(SegdataError, match="label image 'annotations/trimaps/Abyss"):
        record(scan, pets, "Abyssinian_1")


# --- Real data ---


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    return shared_data / "pets"


def test_real_lists_give_449_of_450_images(real: Path) -> None:
    scan = Pets().scan(real)
    splits = Counter(a["split"] for a in by_key(scan).values())
    assert splits == {"trainval": 300, "test": 149}
    assert scan.problems == ()
    # Abyssinian_34 lies in images/ and trimaps/, but no list names it.
    assert scan.warnings == (
        "4 of 300 images of trainval.txt have no XML and so no head, e.g. "
        "Abyssinian_104",
        "left out 1 file of images/ that no list names, e.g. images/Abyssinian_34.jpg",
        "left out 3 stray files of images/, e.g. images/Abyssinian_100.mat",
    )
    classes = {c.source_ids[0]: c for c in scan.label_map.object_classes}
    assert {i: (c.id, c.name, c.supercategory) for i, c in classes.items()} == {
        1: (1, "Abyssinian", "cat"),
        2: (2, "american_bulldog", "dog"),
        6: (3, "Bengal", "cat"),
    }


def test_real_heads_are_those_of_the_xmls(real: Path) -> None:
    num_heads = Counter[int]()
    for key, annotation in by_key(Pets().scan(real)).items():
        path = real / f"annotations/xmls/{key}.xml"
        expected = []
        if path.is_file():
            for box in ElementTree.parse(path).getroot().iter("bndbox"):
                x0, y0, x1, y1 = (int(side.text or "") for side in box)
                expected.append([x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1])
        assert [region["bbox"] for region in annotation["regions"]] == expected
        num_heads[len(expected)] += annotation["split"] == "trainval"
    assert num_heads == {1: 295, 0: 4, 2: 1}


def test_real_boxes_count_from_one(real: Path) -> None:
    """What makes us read them as VOC's: none is 0, some are the image's last pixel."""
    lows, highs = [], []
    for path in (real / "annotations/xmls").iterdir():
        root = ElementTree.parse(path).getroot()
        size = [int(root.findtext(f"size/{side}") or 0) for side in ("width", "height")]
        for box in root.iter("bndbox"):
            x0, y0, x1, y1 = (int(side.text or "") for side in box)
            lows += [x0, y0]
            highs += [x1 - size[0], y1 - size[1]]
    assert min(lows) == 1
    assert max(highs) == 0
    assert (lows.count(1), highs.count(0)) == (30, 5)


def test_real_trimaps_mean_pet_1_background_2_outline_3(real: Path) -> None:
    """Checked on the pixels: corners are background, heads are pet."""
    frame, heads, borders = Counter[int](), Counter[int](), Counter[int]()
    for key, annotation in list(by_key(Pets().scan(real)).items())[::6]:
        trimap = np.asarray(Image.open(real / f"annotations/trimaps/{key}.png"))
        corners = trimap[[0, 0, -1, -1], [0, -1, 0, -1]]
        frame.update(corners.tolist())
        for region in annotation["regions"]:
            x, y, width, height = region["bbox"]
            heads[int(trimap[int(y + height / 2), int(x + width / 2)])] += 1
        # The outline lies between pet and background.
        left, right = trimap[:, :-1].astype(int), trimap[:, 1:].astype(int)
        borders.update((left + right)[left != right].tolist())
    assert borders[1 + 2] / borders.total() < 0.01
    assert frame[2] / frame.total() > 0.8
    assert heads[1] / heads.total() > 0.95


def test_gif_and_exif_of_the_real_data_are_handled_as_the_table_says(
    real: Path, tmp_path: Path
) -> None:
    names = ("Abyssinian_34", "Abyssinian_17")
    for name in names:
        for path in (f"images/{name}.jpg", f"annotations/trimaps/{name}.png"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(real / path, tmp_path / path)
    lists(tmp_path, trainval="".join(f"{name} 1 1 1\n" for name in names))
    scan = Pets().scan(tmp_path)
    gif = record(scan, tmp_path, "Abyssinian_34")
    assert gif.notes == ("gif-converted", "object-mask-empty")
    assert gif.format == "png"
    with Image.open(real / "images/Abyssinian_34.jpg") as image:
        assert image.format == "GIF"
        assert np.array_equal(gif.image(), np.asarray(image.convert("RGB")))
    exif = record(scan, tmp_path, "Abyssinian_17")
    with Image.open(real / "images/Abyssinian_17.jpg") as image:
        assert image.getexif()[0x0112] == 0  # invalid: it counts as upright
    assert exif.notes == ()
    assert exif.encoded == (real / "images/Abyssinian_17.jpg").read_bytes()
