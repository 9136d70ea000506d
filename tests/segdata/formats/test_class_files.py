from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdata.errors import SourceError
from segdata.formats.class_files import ClassRow, read_class_file


def write(folder: Path, text: str | bytes, name: str = "classes.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


SKY, CAR = (128, 128, 128), (64, 0, 128)


@pytest.mark.parametrize(
    ("name", "text", "ids", "colors"),
    [
        ("classes.txt", "sky\ncar", (0, 1), (None, None)),
        ("classes.txt", "3 sky\n7 car\n", (3, 7), (None, None)),
        ("classes.txt", "3: sky\n7 : car\n", (3, 7), (None, None)),
        ("classes.txt", "3 sky 128 128 128\n7 car\t64 0 128", (3, 7), (SKY, CAR)),
        ("classes.txt", "sky 128 128 128\r\ncar 64 0 128\r\n", (0, 1), (SKY, CAR)),
        ("classes.txt", " 128 128 128 sky\n\n64 0 128 car", (0, 1), (SKY, CAR)),
        ("classes.txt", "\ufeffsky\ncar\n\n", (0, 1), (None, None)),
        ("classes.csv", "sky\ncar\n", (0, 1), (None, None)),
        ("classes.csv", "name\nsky\ncar\n", (0, 1), (None, None)),
        ("classes.csv", "3,sky\n7,car\n", (3, 7), (None, None)),
        ("classes.csv", "id, name\n3, sky\n7, car\n", (3, 7), (None, None)),
        ("classes.csv", "Name,ID\nsky,3\ncar,7\n", (3, 7), (None, None)),
        ("classes.csv", "sky,128,128,128\ncar,64,0,128\n", (0, 1), (SKY, CAR)),
        ("class.CSV", "name,r,g,b\nsky,128,128,128\ncar,64,0,128", (0, 1), (SKY, CAR)),
        (
            "classes.csv",
            'r,g,b,"Klasse"\n128,128,128,sky\n64,0,128,"car"\n',
            (0, 1),
            (SKY, CAR),
        ),
        (
            "classes.csv",
            "class_id,name,red,green,blue,note\n"
            "3,sky,128,128,128,up\n7,car,64,0,128,\n",
            (3, 7),
            (SKY, CAR),
        ),
        ("a.json", '["sky", "car"]', (0, 1), (None, None)),
        ("a.json", '{"3": "sky", "7": "car"}', (3, 7), (None, None)),
        ("a.json", '{"sky": 3, "car": 7}', (3, 7), (None, None)),
        ("a.json", '{"#808080": "sky", "#400080": "car"}', (0, 1), (SKY, CAR)),
        (
            "a.json",
            '{"labels": [{"title": "sky", "color": "#808080", "x": 1}, '
            '{"title": "car", "color": [64, 0, 128]}]}',
            (0, 1),
            (SKY, CAR),
        ),
        ("a.txt", "Idx\tName\n3\tsky\n7\tcar\n", (3, 7), (None, None)),
        (
            "classes.csv",
            "3,sky,128,128,128\n\n7,car,64,0,128\n",
            (3, 7),
            (SKY, CAR),
        ),
    ],
)
def test_every_form_is_read(
    tmp_path: Path,
    name: str,
    text: str,
    ids: tuple[int, int],
    colors: tuple[tuple[int, int, int] | None, ...],
) -> None:
    found = read_class_file(write(tmp_path, text, name))
    assert found.rows == (
        ClassRow(name="sky", source_id=ids[0], color=colors[0]),
        ClassRow(name="car", source_id=ids[1], color=colors[1]),
    )
    assert found.has_ids is (ids == (3, 7))
    assert found.has_colors is (colors[0] is not None)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 class 1\n1 class 2", ["class 1", "class 2"]),
        ("class 1\nclass 2", ["class 1", "class 2"]),
        ("3d object\nroad", ["3d object", "road"]),
        ("0 2 wheeler\n1 Straße, naß", ["2 wheeler", "Straße, naß"]),
    ],
)
def test_names_may_have_digits_blanks_and_any_letter(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    rows = read_class_file(write(tmp_path, text)).rows
    assert [row.name for row in rows] == names


CVAT = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ntool:250,50,83:arm:\n"


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        (
            "labelmap.txt",
            CVAT,
            {"background": (0, (0, 0, 0)), "tool": (1, (250, 50, 83))},
        ),
        (
            "c.txt",
            "# id name\n0 sky\n# more\n1 car\n",
            {"sky": (0, None), "car": (1, None)},
        ),
        ("c.csv", "# mine\nid,name\n3,sky\n", {"sky": (3, None)}),
        (
            "c.csv",
            "Pixel Value, Class\n0, sky\n4, Car\n",
            {"sky": (0, None), "Car": (4, None)},
        ),
        ("c.csv", "class-id,Label Name\n2,sky\n", {"sky": (2, None)}),
        ("c.csv", "name,note\nsky,1 of 2\n", {"sky": (0, None)}),
    ],
)
def test_comments_and_headers_of_tools_are_no_classes(
    tmp_path: Path, name: str, text: str, rows: dict[str, tuple[int, object]]
) -> None:
    found = read_class_file(write(tmp_path, text, name))
    assert {row.name: (row.source_id, row.color) for row in found.rows} == rows
    assert found.ignored_value == ""


def test_ids_of_labelme_count_from_the_line_after_ignore(tmp_path: Path) -> None:
    found = read_class_file(write(tmp_path, "__ignore__\n_background_\ncat\n"))
    assert [(r.source_id, r.name) for r in found.rows] == [
        (0, "_background_"),
        (1, "cat"),
    ]
    assert found.ignored_value == "255"
    with pytest.raises(SourceError, match=r"c.txt is empty"):
        read_class_file(write(tmp_path, "__ignore__\n", "c.txt"))


def test_class_files_of_tools_are_read_right(shared_data: Path) -> None:
    field = shared_data / "field"
    cvat = read_class_file(field / "cvat-masks/labelmap.txt")
    assert [(r.name, r.color) for r in cvat.rows] == [
        ("background", (0, 0, 0)),
        ("tool", (250, 50, 83)),
    ]
    voc = read_class_file(field / "labelme-voc/labels.txt")
    assert [r.source_id for r in voc.rows] == list(range(21))
    assert (voc.rows[15].name, voc.ignored_value) == ("person", "255")
    roboflow = read_class_file(field / "roboflow-masks/train/_classes.csv")
    assert roboflow.has_ids
    assert (roboflow.rows[1].name, roboflow.rows[1].source_id) == ("Car", 1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.txt", "", r"c.txt is empty: expected one class per line"),
        ("c.txt", "\n \n", r"c.txt is empty"),
        ("c.csv", "name,r,g,b\n", r"c.csv is empty: expected a class below its header"),
        ("c.txt", "0 a\nb\n", r"line 2 of c.txt is 'b': expected an id and a name"),
        ("c.txt", "0 a\n\n0 b\n", r"line 3 of c.txt repeats the id 0: each must"),
        ("c.txt", "a\na\n", r"line 2 of c.txt repeats the name 'a'"),
        ("c.txt", "a 1 2 3\nb 1 2 3", r"line 2 .* repeats the colour \(1, 2, 3\)"),
        ("c.txt", "a 1 2 3\nb\n", r"line 2 of c.txt is 'b': .*three numbers"),
        ("c.txt", "a 1 2 300", r"line 1 of c.txt .* three numbers from 0 to 255"),
        ("c.txt", "99999999999 a", r"line 1 of c.txt is '99999999999 a'"),
        ("c.csv", "name,r,g,b\na,1,2\n", r"line 2 of c.csv is 'a,1,2': expected"),
        ("c.csv", "name,r,g,b\n,1,2,3\n", r"line 2 of c.csv is ',1,2,3': expected"),
        ("c.csv", "name,r,g,b\na,1,2,-3\n", r"line 2 of c.csv is 'a,1,2,-3'"),
        ("c.csv", "name,r,b\na,1,2\n", r"line 1 of c.csv is 'name,r,b': expected"),
        ("c.csv", "1,2,3\n", r"line 1 of c.csv is '1,2,3': expected"),
        ("c.csv", '"a\n', r"c.csv is not CSV: "),
        ("c.txt", "name r g b\na 1 2 3\n", r"line 1 .* 'name r g b': .* a header: re"),
        ("c.json", "[1, 2]", r"c.json holds no classes: expected a list of names"),
        ("c.json", '{"a": {"b": 1}}', r"c.json holds no classes"),
        ("c.json", '["a", {"name": "b", "id": 1}]', r"c.json holds no classes"),
        ("c.json", "{", r"c.json is no JSON"),
        ("c.json", '["a", "a"]', r"repeats the name 'a'"),
        ("c.txt", "classes\na\nb\n", r"line 1 .* 'classes': .* looks like a header"),
        ("c.txt", "0,sky\n1,car\n", r"line 1 of c.txt is '0,sky': expected a name"),
        ("c.txt", "names:\n- sky\n", r"line 1 of c.txt is 'names:': expected a name"),
        ("c.txt", '{"sky": 0}', r"line 1 of c.txt is .*: expected a name"),
        ("c.csv", "Wert,name\n3,a\n5,b\n", r"the numbers of 'Wert' and no column of"),
        ("c.txt", b"caf\xe9\n", r"c.txt is not UTF-8: "),
        (
            "c.txt",
            "a" + " " * 2000 + "1",
            r"line 1 .* expected at most 1000 characters",
        ),
        ("c.txt", "a\n" * (1 << 19) + "b", r"has more than 1048576 bytes"),
    ],
)
def test_malformed_file_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read_class_file(write(tmp_path, text, name))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["sky\n", "0 sky\n"])
def test_file_without_colours_is_refused_where_they_are_needed(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(SourceError, match="expected a name and three numbers"):
        read_class_file(write(tmp_path, text), needs_colors=True)
    with pytest.raises(SourceError, match="expected a name and three numbers"):
        read_class_file(write(tmp_path, "0,sky\n", "c.csv"), needs_colors=True)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"c.txt cannot be read: No such file"):
        read_class_file(tmp_path / "c.txt")


@pytest.mark.timeout(60)  # a pattern that backtracks would take hours
def test_lines_made_to_be_slow_are_not(tmp_path: Path) -> None:
    text = "\n".join("a" + " 1" * 490 for _ in range(500))
    with pytest.raises(SourceError, match="repeats"):
        read_class_file(write(tmp_path, text))


@given(st.text(max_size=60), st.sampled_from(["c.txt", "c.csv"]))
def test_any_text_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    path = write(tmp_path_factory.getbasetemp(), text.encode("utf-8", "replace"), name)
    with contextlib.suppress(SourceError):
        rows = read_class_file(path).rows
        assert len({row.name for row in rows}) == len(rows) > 0
        assert len({row.source_id for row in rows}) == len(rows)
