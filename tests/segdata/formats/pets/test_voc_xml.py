from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdata.errors import AnnotationError
from segdata.formats.pets.voc_xml import VocFile, read_voc

BOX = "<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>7</xmax><ymax>2</ymax></bndbox>"
CAT = f"<object><name>cat</name><pose>Frontal</pose>{BOX}</object>"
SIZE = "<size><width>60</width><height>40</height><depth>3</depth></size>"


def read(folder: Path, text: str | bytes) -> VocFile:
    data = text.encode() if isinstance(text, str) else text
    (folder / "a.xml").write_bytes(data)
    return read_voc(folder, "a.xml")


def boxed(xmin: str, ymin: str = "1", xmax: str = "9", ymax: str = "9") -> str:
    corners = f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax>"
    return (
        f"<annotation><object><bndbox>{corners}<ymax>{ymax}</ymax></bndbox>"
        f"</object>{CAT}</annotation>"
    )


def test_box_counts_from_one_and_holds_both_ends(tmp_path: Path) -> None:
    found = read(tmp_path, f"<annotation>{SIZE}{CAT}</annotation>")
    [box] = found.boxes
    assert box.bbox == [2, 1, 5, 1]
    assert box.source == {
        "name": "cat",
        "pose": "Frontal",
        "bndbox": {"xmin": 3, "ymin": 2, "xmax": 7, "ymax": 2},
    }
    assert found.size == (40, 60)
    assert found.problems == ()
    assert found.source == {"size": {"width": 60, "height": 40, "depth": 3}}


def test_fractions_blanks_and_text_that_is_no_number_are_kept(tmp_path: Path) -> None:
    text = boxed(" 1.5 ", "007", "+8", "9.25").replace(
        "<object>", "<object><part>ear</part><part>eye</part><part/>", 1
    )
    found = read(tmp_path, text)
    assert found.boxes[0].bbox == [0.5, 6, 7.5, 3.25]
    assert found.boxes[0].source == {
        "part": ["ear", "eye", ""],
        "bndbox": {"xmin": "1.5", "ymin": "007", "xmax": "+8", "ymax": "9.25"},
    }


@pytest.mark.parametrize(
    "size",
    [
        "",
        "<size/>",
        "<size>3</size>",
        "<size><width>0</width><height>0</height></size>",
        "<size><width>5</width></size>",
        "<size><width>5.5</width><height>4</height></size>",
        "<size><width>5</width><width>6</width><height>4</height></size>",
    ],
)
def test_size_that_is_none_is_not_believed(tmp_path: Path, size: str) -> None:
    found = read(tmp_path, f"<annotation>{size}{CAT}</annotation>")
    assert found.size is None
    assert len(found.boxes) == 1


@pytest.mark.parametrize("text", ["<annotation/>", "<annotation>words</annotation>"])
def test_file_without_objects_has_no_boxes(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == VocFile(size=None, boxes=(), source={}, problems=())


@pytest.mark.parametrize("xmin", ["", "x", "NaN", "inf", "1e3", "1_0", "9" * 30, "0x1"])
def test_corner_that_is_no_number_costs_only_its_object(
    tmp_path: Path, xmin: str
) -> None:
    found = read(tmp_path, boxed(xmin))
    assert [box.bbox for box in found.boxes] == [[2, 1, 5, 1]]
    [problem] = found.problems
    assert str(problem).startswith("object 1 of 'a.xml' has the box {'xmin': ")
    assert str(problem).endswith("expected a number each.")
    assert problem.reason == "bad-head-box"


@pytest.mark.parametrize("corners", [("10",), ("1", "10"), ("1", "1", "-5")])
def test_box_of_no_extent_costs_only_its_object(
    tmp_path: Path, corners: tuple[str, ...]
) -> None:
    found = read(tmp_path, boxed(*corners))
    assert len(found.boxes) == 1
    [problem] = found.problems
    assert "expected xmin <= xmax and ymin <= ymax." in str(problem)
    assert problem.reason == "bad-head-box"


def test_object_without_box_is_a_problem(tmp_path: Path) -> None:
    found = read(tmp_path, f"<annotation>{CAT}<object/></annotation>")
    assert len(found.boxes) == 1
    assert "object 2 of 'a.xml' has the box" in str(found.problems[0])


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
HOSTILE = {
    "billion laughs": (
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation>&l9;</annotation>',
        "it declares a document type or entities",
    ),
    "external entity": (
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        "<annotation><folder>&x;</folder></annotation>",
        "it declares a document type or entities",
    ),
    "external document type": (
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><annotation/>',
        "it declares a document type or entities",
    ),
    "parameter entity": (
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><annotation/>',
        "it declares a document type or entities",
    ),
    "undefined entity": ("<annotation>&x;</annotation>", "it is no XML: undefined ent"),
    "huge": ("<annotation>" + " " * (1 << 20), "it has more than 1048576 bytes"),
    "deep": ("<a>" * 100_000 + "</a>" * 100_000, "it is nested deeper than 16"),
    "deep in an object": (
        "<annotation><object>" + "<a>" * 20 + "</a>" * 20 + "</object></annotation>",
        "it is nested deeper than 16",
    ),
    "many elements": (
        "<annotation>" + "<object/>" * 100_000 + "</annotation>",
        None,
    ),
    "not UTF-8": (b"<annotation>\xff\xfe\xe9</annotation>", "it is no XML: not well-"),
    "unknown encoding": (
        b'<?xml version="1.0" encoding="klingon"?><annotation/>',
        "it is no XML: unknown encoding",
    ),
    "encoding of several bytes": (
        b'<?xml version="1.0" encoding="shift_jis"?><annotation/>',
        "it is no XML: ",
    ),
    "nothing": (b"", "it is no XML: no element found"),
    "zeros": (b"\0" * 100, "it is no XML: "),
    "cut off": (f"<annotation>{CAT}"[:60], "it is no XML: "),
    "two roots": ("<annotation/><annotation/>", "it is no XML: junk after document"),
    "an image": (b"\x89PNG\r\n\x1a\n" + b"x" * 50, "it is no XML: "),
    "of another kind": ("<html><body/></html>", "expected <annotation>, got <html>"),
    "of a long tag": (f"<{'x' * 5000}/>", "expected <annotation>, got <xxx"),
    "namespace": ('<annotation xmlns="x"/>', "expected <annotation>, got <{x}annotati"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_file_ends_in_one_clear_line(tmp_path: Path, kind: str) -> None:
    text, message = HOSTILE[kind]
    if message is None:
        assert len(read(tmp_path, text).problems) == 100_000
    else:
        with pytest.raises(AnnotationError) as caught:
            read(tmp_path, text)
        assert str(caught.value).startswith("annotation file 'a.xml' cannot be used: ")
        assert message in str(caught.value)
        assert len(str(caught.value)) < 300
        assert caught.value.reason == "bad-xml"


def test_other_encodings_that_are_declared_are_read(tmp_path: Path) -> None:
    text = f"<annotation><folder>Größe</folder>{CAT}</annotation>"
    for encoding in ("utf-16", "iso-8859-1", "utf-8"):
        declared = f'<?xml version="1.0" encoding="{encoding}"?>{text}'
        found = read(tmp_path, declared.encode(encoding))
        assert found.source == {"folder": "Größe"}


def test_missing_file_and_paths_that_lead_out_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"'b.xml' .* read: No such file"):
        read_voc(tmp_path, "b.xml")
    with pytest.raises(
        AnnotationError, match=r"'\.\./b.xml' may leave the image folder"
    ):
        read_voc(tmp_path, "../b.xml")
    (tmp_path / "in").mkdir()
    (tmp_path / "out.xml").write_text("<annotation/>")
    (tmp_path / "in/a.xml").symlink_to(tmp_path / "out.xml")
    with pytest.raises(AnnotationError, match="a link that leads out"):
        read_voc(tmp_path / "in", "a.xml")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    with pytest.raises(AnnotationError, match=r"'a.xml' cannot be used: "):
        read(tmp_path_factory.getbasetemp(), b"<annotation>" + data)
