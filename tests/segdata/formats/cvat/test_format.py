"""CVAT's XML: each row of the table in `docs/formats.md`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.annotations import record_key
from segdata.errors import SourceError
from segdata.formats.cvat.format import Cvat
from segdata.formats.cvat.shapes import read_shapes
from segdata.masks import rle
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import Manifest

Build = Callable[..., Manifest]
HEIGHT, WIDTH = 20, 40
SQUARE = '<polygon label="cat" points="4,2;24,2;24.00,12;4,12"/>'
LABELS = (
    "<label><name>dog</name><color>#ff8000</color></label>"
    "<label><name>cat</name><color>red</color></label>"
)


def image(name: str, shapes: str = SQUARE, **attributes: str) -> str:
    given = {"id": "0", "name": name, "width": str(WIDTH), "height": str(HEIGHT)}
    words = " ".join(f'{k}="{v}"' for k, v in {**given, **attributes}.items())
    return f"<image {words}>{shapes}</image>"


def xml(*images: str, labels: str = LABELS) -> str:
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    body = f"<version>1.1</version>{meta}{''.join(images)}"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{body}</annotations>'


def write(folder: Path, text: str, *images: str, name: str = "annotations.xml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    for each in images:
        (folder / each).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / each, "PNG")
    return folder


def read(shapes: str) -> dict[str, Any]:
    return read_shapes(fromstring(image("a.jpg", shapes)), HEIGHT, WIDTH)


def mask_of(shape: str) -> NDArray[np.uint8]:
    [item] = read(shape)["objects"]
    return rle.decode(rle.rle(item["segmentation"], HEIGHT, WIDTH), HEIGHT, WIDTH)


def images_of(folder: Path) -> dict[str, str | None]:
    return {a["image"]: a.get("split") for a in Cvat().scan(folder).annotations}


# --- Shapes.


def test_polygon_is_a_mask() -> None:
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:12, 4:24] = 1
    assert np.array_equal(mask_of(SQUARE), expected)


@pytest.mark.parametrize(
    ("left", "top"), [(0, 0), (5, 3), (37, 18), (-2, -1), (WIDTH, HEIGHT)]
)
def test_mask_lies_at_its_offset(left: int, top: int) -> None:
    part = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]], np.uint8)
    runs = "1, 2, 1, 2, 5, 1"  # along the rows, background first
    place = f'left="{left}" top="{top}" width="4" height="3"'
    shape = f'<mask label="cat" rle="{runs}" {place}/>'
    expected = np.zeros((HEIGHT + 20, WIDTH + 20), np.uint8)
    expected[10 + top : 13 + top, 10 + left : 14 + left] = part
    assert np.array_equal(mask_of(shape), expected[10:-10, 10:-10])


def test_mask_of_the_whole_image_is_full() -> None:
    box = f'left="0" top="0" width="{WIDTH}" height="{HEIGHT}"'
    assert mask_of(f'<mask label="cat" rle="0, {WIDTH * HEIGHT}" {box}/>').all()


def test_box_has_no_mask_unless_it_is_turned() -> None:
    box = 'xtl="10" ytl="8" xbr="30" ybr="12"'
    assert read(f'<box label="cat" {box}/>')["objects"] == [
        {"bbox": [10, 8, 20, 4], "category": "cat"}
    ]
    turned = mask_of(f'<box label="cat" rotation="90.0" {box}/>')
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[:, 18:22] = 1  # around its middle
    assert np.array_equal(turned, expected)


def test_ellipse_is_a_mask() -> None:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    shape = '<ellipse label="cat" cx="20" cy="10" rx="12" ry="6"/>'
    expected = np.hypot((columns - 20) / 12, (rows - 10) / 6) <= 1
    assert (mask_of(shape) != expected).sum() <= 6
    turned = mask_of(shape.replace("/>", ' rotation="90"/>').replace('"12"', '"9"'))
    expected = np.hypot((columns - 20) / 6, (rows - 10) / 9) <= 1
    assert (turned != expected).sum() <= 6


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ('<polyline label="x" points="1,2;5,9"/>', [1, 2, 4, 7]),
        ('<points label="x" points="3,4"/>', [3, 4, 0, 0]),
        (
            '<cuboid label="x" xtl1="1" ytl1="2" xbl1="1" ybl1="9" xtr1="5" ytr1="2"/>',
            [1, 2, 4, 7],
        ),
        (
            '<skeleton label="x"><points label="a" points="1,2"/>'
            '<points label="b" points="5,9"/></skeleton>',
            [1, 2, 4, 7],
        ),
    ],
)
def test_what_has_no_mask_is_a_named_region(shape: str, box: list[int]) -> None:
    found = read(shape)
    assert found["objects"] == []
    [region] = found["regions"]
    assert (region["name"], region["bbox"]) == ("x", box)
    assert region["source"]["kind"] == shape[1:].split()[0]


def test_tags_and_attributes_are_kept() -> None:
    attribute = '<attribute name="age">3</attribute>'
    shape = SQUARE.replace("/>", f' occluded="1" group_id="2">{attribute}</polygon>')
    found = read(f'<tag label="night" source="manual"/>{shape}')
    assert found["source"] == {"tags": [{"kind": "tag", "label": "night"}]}
    [item] = found["objects"]
    assert item["source"] == {
        "occluded": "1",
        "group_id": "2",
        "attributes": {"age": "3"},
    }


def test_z_order_is_the_order_of_the_objects() -> None:
    shapes = "".join(
        SQUARE.replace("/>", f' z_order="{z}" n="{n}"/>')
        for n, z in enumerate(("2", "-1", "0", "odd", "2"))
    )
    order = [item["source"]["n"] for item in read(shapes)["objects"]]
    assert order == ["1", "2", "3", "0", "4"]


def test_bad_shapes_cost_themselves_only(tmp_path: Path, build_plainly: Build) -> None:
    place = 'left="0" top="0" width="4" height="3"'
    bad = [
        f'<mask label="cat" rle="1, 2" {place}/>',
        f'<mask label="cat" rle="-1, 13" {place}/>',
        f'<mask label="cat" rle="99999999999999999999" {place}/>',
        f'<mask label="cat" rle="a, b" {place}/>',
        f'<mask label="cat" rle="" {place}/>',
        '<mask label="cat" rle="12" left="0" top="0"/>',
        '<mask label="cat" rle="1" left="0" top="0" width="99999" height="99999"/>',
        '<polygon label="cat" points="1,2;x,4;5,6"/>',
        '<polygon label="cat"/>',
        '<box label="cat" xtl="1"/>',
        '<box label="cat" xtl="nan" ytl="1" xbr="2" ybr="2"/>',
        '<box label="cat" xtl="9" ytl="1" xbr="2" ybr="2"/>',
        '<polygon label="cat" points="1,2;3,4"/>',
        '<polygon label="cat" points="1,2;3,4;inf,6"/>',
        SQUARE.replace(' label="cat"', ""),
        '<points label="cat" points="1,x"/>',
    ]
    text = xml(image("a.jpg", "".join(bad) + SQUARE))
    folder = write(tmp_path / "in", text, "images/a.jpg")
    manifest = build_plainly(
        folder,
        tmp_path / "out",
        dataset_format=Cvat(),
        on_error="skip",
        max_reject_share=1,
    )
    [record] = RecordSource(tmp_path / "out", "train")
    assert [item.name for item in record.objects] == ["cat"]
    assert manifest.splits["train"].rejected_objects == {
        "bad-annotation": 10,
        "bad-box": 3,
        "bad-polygon": 2,
        "object-without-class": 1,
    }
    told = (tmp_path / "out/rejects.jsonl").read_text("utf-8")
    assert "mask: run lengths do not sum to 4x3" in told


# --- Labels, splits, images.


def test_labels_come_in_their_order_with_their_colours(tmp_path: Path) -> None:
    text = xml(image("a.jpg", SQUARE + SQUARE.replace("cat", "cow")))
    label_map = Cvat().scan(write(tmp_path, text)).label_map
    assert dict(label_map) == {"dog": 1, "cat": 2, "cow": 3}
    assert label_map.object_classes[0].color == (255, 128, 0)
    assert len({c.color for c in label_map.object_classes}) == 3


def test_points_of_a_skeleton_are_no_classes(tmp_path: Path) -> None:
    inner = "<label><name>nose</name><parent>face</parent></label>"
    text = xml(image("a.jpg"), labels=LABELS + inner)
    assert dict(Cvat().scan(write(tmp_path, text)).label_map) == {"dog": 1, "cat": 2}


def test_subsets_are_splits(tmp_path: Path) -> None:
    text = xml(
        image("a.jpg", subset="Train"),
        image("a.jpg", subset="Validation"),
        image("b.jpg", subset="default"),
        image("c.jpg", subset="part 2"),
    )
    names = ("Train/a.jpg", "Validation/a.jpg", "default/b.jpg", "part 2/c.jpg")
    folder = write(tmp_path, text, *(f"images/{name}" for name in names))
    assert images_of(folder) == {
        "images/Train/a.jpg": "Train",
        "images/Validation/a.jpg": "Validation",
        "images/default/b.jpg": None,
        "images/part 2/c.jpg": "part_2",
    }
    assert Cvat().scan(folder).warnings == ()


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a.jpg", "images/a.jpg"),
        ("x/a.jpg", "images/x/a.jpg"),
        ("a.jpg", "a.jpg"),
        ("x/a.jpg", "other/A.jpg"),
        ("C:\\photos\\a.jpg", "images/a.jpg"),
    ],
)
def test_image_is_found_by_its_name(name: str, place: str, tmp_path: Path) -> None:
    folder = write(tmp_path, xml(image(name)), place, "images/b.jpg")
    assert images_of(folder) == {place: None}
    assert "image that no XML names left out" in Cvat().scan(folder).warnings[-1]


def test_several_files_in_folders_are_one_data_set(tmp_path: Path) -> None:
    for split in ("train", "val"):
        text = xml(image("a.jpg"))
        name = f"{split}/annotations.xml"
        write(tmp_path, text, f"{split}/images/a.jpg", name=name)
    (tmp_path / "voc.xml").write_text("<annotation/>")
    assert images_of(tmp_path) == {
        "train/images/a.jpg": "train",
        "val/images/a.jpg": "val",
    }
    one = Cvat(annotations="val/annotations.xml").scan(tmp_path)
    assert [record_key(a) for a in one.annotations] == ["val/images/a"]


def test_second_entry_of_an_image_is_a_problem(tmp_path: Path) -> None:
    text = xml(image("a.jpg"), image("a.jpg", id="7"))
    scan = Cvat().scan(write(tmp_path, text, "images/a.jpg"))
    assert len(list(scan.annotations)) == 1
    assert [p.reason for p in scan.problems] == ["ambiguous-annotations"]


def test_image_that_may_be_several_is_a_problem(tmp_path: Path) -> None:
    folder = write(tmp_path, xml(image("a.jpg")), "x/a.jpg", "y/a.jpg")
    assert [p.reason for p in Cvat().scan(folder).problems] == ["ambiguous-image"]


def test_missing_images_and_other_sizes_are_rejected_records(
    tmp_path: Path, build_plainly: Build
) -> None:
    text = xml(
        image("a.jpg"),
        image("b.jpg"),
        image("../../etc/passwd"),
        image("c.jpg", width="50"),
        image("d.jpg", "", width="odd"),
    )
    names = ("images/a.jpg", "images/c.jpg", "images/d.jpg")
    folder = write(tmp_path / "in", text, *names)
    manifest = build_plainly(
        folder,
        tmp_path / "out",
        dataset_format=Cvat(),
        on_error="skip",
        max_reject_share=1,
    )
    records = {r.key: len(r.objects) for r in RecordSource(tmp_path / "out", "train")}
    assert records == {"images/a": 1, "images/d": 0}
    assert manifest.splits["train"].rejects == {
        "image-missing": 1,
        "image-size-mismatch": 1,
        "unsafe-path": 1,
    }


# --- Files.

BOMB = (
    '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    "<annotations><image name='&b;'/></annotations>"
)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (BOMB, "declares a document type or entities"),
        (
            "<!DOCTYPE annotations SYSTEM 'x.dtd'><annotations></annotations>",
            "document",
        ),
        (xml(image("a.jpg"))[:-9], "annotations.xml is no XML"),
        (xml("<track id='0' label='cat'><box frame='0'/></track>"), "is of a video"),
        (xml("<a>" * 50 + "</a>" * 50), "nested deeper than 16"),
        ("<x>\n<annotations></annotations></x>", "expected <annotations>, got <x>"),
        (xml(labels=""), "has no label: expected a class"),
        (
            "<?xml version='1.0' encoding='klingon'?><annotations></annotations>",
            "no XML",
        ),
    ],
)
def test_other_files_are_named(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=match):
        Cvat().scan(write(tmp_path, text))


def test_deep_nesting_ends_early(tmp_path: Path) -> None:
    folder = write(tmp_path, "<annotations>" + "<a>" * 2_000_000)
    with pytest.raises(SourceError, match="nested deeper than 16"):
        Cvat().scan(folder)


def test_bytes_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, "")
    (folder / "annotations.xml").write_bytes(xml(image("ü.jpg")).encode("latin-1"))
    with pytest.raises(SourceError, match="is no XML") as caught:
        Cvat().scan(folder)
    assert caught.value.reason == "bad-xml"


def test_folder_without_xml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "voc.xml").write_text("<annotation></annotation>")
    with pytest.raises(SourceError, match=r"expected annotations\.xml"):
        Cvat().scan(tmp_path)
    assert Cvat.recognize(tmp_path) is None
    write(tmp_path, xml(image("a.jpg")))
    assert Cvat.recognize(tmp_path) is not None
