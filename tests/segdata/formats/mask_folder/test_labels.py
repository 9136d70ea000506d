"""Which classes masks have where no class file tells all, and how they spell them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segdata.building.sources import read_files
from segdata.errors import AnnotationError, ImageError, OptionError, SourceError
from segdata.formats.base import Scan
from segdata.formats.mask_folder.format import MaskFolder
from segdata.masks.rle import decode, decode_label_map
from segdata.records.encode import EncodedRecord, encode_record

HEIGHT, WIDTH = 16, 24


def rows(*values: Any) -> NDArray[Any]:
    """A mask of equal rows, of a value or colour each."""
    array = np.array([values[row * len(values) // HEIGHT] for row in range(HEIGHT)])
    return np.repeat(array[:, None], WIDTH, axis=1)


def draw(root: Path, *masks: NDArray[Any], suffix: str = "png", dtype: Any = np.uint8):
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "masks").mkdir(exist_ok=True)
    for number, mask in enumerate(masks):
        rng = np.random.default_rng(number)
        photo = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(photo).save(root / f"images/{number}.png")
        Image.fromarray(mask.astype(dtype)).save(root / f"masks/{number}.{suffix}")
    return root


def records(scan: Scan, root: Path) -> list[EncodedRecord]:
    return [
        encode_record(a, read_files(a, root), scan.label_map)
        for a in sorted(scan.annotations, key=lambda a: a["image"])
    ]


def first_column(record: EncodedRecord) -> list[int]:
    """The classes from top to bottom, each once."""
    runs = record.label_runs
    assert runs is not None
    drawn = decode_label_map(runs.values, runs.lengths, runs.height, runs.width)
    assert (drawn == drawn[:, :1]).all()
    column: list[int] = drawn[:, 0].tolist()
    return [c for i, c in enumerate(column) if not i or column[i - 1] != c]


BINARY = {"background": 0, "foreground": 1}


@pytest.mark.parametrize(
    ("mask", "dtype"),
    [
        (rows(0, 255), np.uint8),
        (rows(0, 1), np.uint8),
        (rows(0, 1), np.bool_),
        (rows(0, 65535), np.uint16),
        (rows((0, 0, 0), (255, 255, 255)), np.uint8),
    ],
)
def test_masks_of_two_values_are_binary_and_that_is_said(
    mask: NDArray[Any], dtype: Any, tmp_path: Path
) -> None:
    scan = MaskFolder().scan(draw(tmp_path, mask, rows(*mask[:1, 0]), dtype=dtype))
    assert dict(scan.label_map) == BINARY
    assert [first_column(r) for r in records(scan, tmp_path)] == [[0, 1], [0]]
    assert scan.warnings == (
        "masks are of two classes, background (zero) and foreground (not zero): there "
        "is no class file, and no other value",
    )


def test_other_values_are_classes_and_that_is_said_loudly(tmp_path: Path) -> None:
    draw(tmp_path, rows(0, 7), rows(0, 9, 255))
    scan = MaskFolder().scan(tmp_path)
    assert list(scan.label_map) == ["class-0", "class-7", "class-9", "class-255"]
    assert [first_column(r) for r in records(scan, tmp_path)] == [[0, 1], [0, 2, 3]]
    [warning] = scan.warnings
    assert warning.startswith("THE CLASSES HAVE NO NAMES: there is no class file")
    assert "class-0 (43.8 %), class-7 (25.0 %)" in warning
    assert "write classes.txt of the lines '0 NAME', '7 NAME', '9 NAME'" in warning
    assert warning.endswith("to be ignored: --ignore 255")
    guess = MaskFolder.recognize(tmp_path)
    assert guess is not None
    assert dict(guess.options) == {"ignore": "255"}
    ignored = MaskFolder(ignore="255").scan(tmp_path)
    assert ignored.label_map.ignore_id == 255
    assert list(ignored.label_map) == ["class-0", "class-7", "class-9", "class-255"]


def test_lines_that_the_warning_shows_are_a_class_file(tmp_path: Path) -> None:
    draw(tmp_path, rows((0, 0, 0), (250, 50, 83), (9, 9, 10)))
    scan = MaskFolder().scan(tmp_path)
    assert list(scan.label_map) == ["color-0-0-0", "color-9-9-10", "color-250-50-83"]
    lines = scan.warnings[-1].partition("of the lines ")[2].replace("'", "").split(", ")
    names = [line.replace("NAME", f"n{i}") for i, line in enumerate(lines)]
    (tmp_path / "classes.txt").write_text("\n".join(names))
    named = MaskFolder().scan(tmp_path)
    assert list(named.label_map) == ["n0", "n1", "n2"]
    assert [first_column(r) for r in records(named, tmp_path)] == [[0, 2, 1]]


def test_file_that_may_name_the_classes_is_named(tmp_path: Path) -> None:
    draw(tmp_path, rows(0, 7, 9))
    (tmp_path / "class_dict_seg.csv").write_text("name,r,g,b\na,0,0,0\n")
    assert MaskFolder().scan(tmp_path).warnings[-1] == (
        "class_dict_seg.csv may be a class file: --classes class_dict_seg.csv"
    )


def test_one_value_of_many_masks_is_no_other_class_for_a_damaged_one(
    tmp_path: Path,
) -> None:
    draw(tmp_path, rows(0, 7), rows(0, 3))
    (tmp_path / "masks/1.png").write_bytes(b"no image")
    assert list(MaskFolder().scan(tmp_path).label_map) == ["class-0", "class-7"]
    (tmp_path / "masks/0.png").write_bytes(b"")
    with pytest.raises(SourceError, match=r"no mask can be read to tell the classes"):
        MaskFolder().scan(tmp_path)


def test_too_many_values_are_no_classes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 60000, (HEIGHT, WIDTH))
    draw(tmp_path, noise, dtype=np.uint16)
    with pytest.raises(SourceError, match=r"different values: too many for classes"):
        MaskFolder().scan(tmp_path)


# --- Binary and lossy masks ---


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_soft_masks_go_to_the_nearer_of_black_and_white(
    suffix: str, tmp_path: Path
) -> None:
    soft = rows(*range(0, 8), *range(248, 256))
    draw(tmp_path, soft, suffix=suffix)
    scan = MaskFolder().scan(tmp_path)
    assert dict(scan.label_map) == BINARY
    [record] = records(scan, tmp_path)
    assert first_column(record) == [0, 1]
    assert record.notes == ("labels-moved-to-nearest",)
    assert "near 0 and 255; each counts as the nearer of both" in scan.warnings[-1]


def test_jpeg_masks_are_read_where_binary_is_said(tmp_path: Path) -> None:
    draw(tmp_path, rows(0, 255), suffix="jpg")
    (tmp_path / "classes.txt").write_text("vein\n")
    scan = MaskFolder(labels="binary").scan(tmp_path)
    assert dict(scan.label_map) == {"background": 0, "vein": 1}
    assert [first_column(r) for r in records(scan, tmp_path)] == [[0, 1]]


def test_binary_is_zero_and_not_zero(tmp_path: Path) -> None:
    scan = MaskFolder(labels="binary").scan(draw(tmp_path, rows(0, 3, 200)))
    assert [first_column(r) for r in records(scan, tmp_path)] == [[0, 1]]


def test_two_names_name_nothing_and_all(tmp_path: Path) -> None:
    draw(tmp_path, rows(0, 255))
    (tmp_path / "classes.txt").write_text("road\nship\n")
    scan = MaskFolder().scan(tmp_path)
    assert dict(scan.label_map) == {"road": 0, "ship": 1}
    assert "road (zero) and ship (not zero): their values are 0 a" in scan.warnings[-1]
    assert [first_column(r) for r in records(scan, tmp_path)] == [[0, 1]]


def test_jpeg_masks_of_colours_go_to_the_nearest_within_the_tolerance(
    tmp_path: Path,
) -> None:
    draw(tmp_path, rows((250, 0, 0), (0, 2, 250)), suffix="jpg")
    (tmp_path / "classes.txt").write_text("red 255 0 0\nblue 0 0 255\n")
    with pytest.raises(AnnotationError, match=r"has unknown colour \("):
        records(MaskFolder(tolerance=10).scan(tmp_path), tmp_path)
    scan = MaskFolder(tolerance=128).scan(tmp_path)
    [record] = records(scan, tmp_path)
    assert first_column(record) == [0, 1]
    assert "labels-moved-to-nearest" in record.notes
    strict = MaskFolder().scan(tmp_path)
    assert "--tolerance 32 takes the nearest class" in strict.warnings[-1]
    with pytest.raises(ImageError, match="its compression changes label") as caught:
        records(strict, tmp_path)
    assert caught.value.reason == "label-image-lossy"


# --- Values that no class has ---


@pytest.mark.parametrize(
    ("classes", "line"),
    [("0 sky\n1 car\n", "'9 NAME'"), ("sky\ncar\n", "'9 NAME (ids on all lines)'")],
)
def test_line_that_names_an_unknown_value_is_shown(
    classes: str, line: str, tmp_path: Path
) -> None:
    draw(tmp_path, rows(0, 1, 9, 9))
    (tmp_path / "classes.txt").write_text(classes)
    scan = MaskFolder().scan(tmp_path)
    assert scan.warnings == (
        f"masks hold the value 9, which no class has: write the line {line} into the "
        "class file, or ignore them: --ignore 9 for this one, --unknown void for all",
    )
    with pytest.raises(AnnotationError, match=r"unknown value 9"):
        records(scan, tmp_path)
    for options in ({"ignore": "9"}, {"unknown": "void"}):
        calm = MaskFolder(**options).scan(tmp_path)
        assert calm.warnings == ()


# --- Class files of splits ---


def test_class_files_of_splits_must_agree(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        draw(tmp_path / split, rows(0, 1))
        (tmp_path / split / "_classes.csv").write_text("Pixel Value, Class\n0, a\n1, b")
    assert dict(MaskFolder().scan(tmp_path).label_map) == {"a": 0, "b": 1}
    (tmp_path / "valid/_classes.csv").write_text("Pixel Value, Class\n0, b\n1, a")
    with pytest.raises(SourceError, match=r"valid/_classes.csv differ: expected the s"):
        MaskFolder().scan(tmp_path)


# --- Objects ---


def numbered(root: Path) -> Path:
    """As in PennFudan: 0 is nobody, each value an object."""
    return draw(root, *(rows(*range(n + 1)) for n in (1, 2, 3, 2, 4, 1)))


def test_numbers_of_objects_are_not_taken_for_classes(tmp_path: Path) -> None:
    numbered(tmp_path)
    with pytest.raises(SourceError, match=r"up to 4: so do numbers of objects\. Say"):
        MaskFolder().scan(tmp_path)
    guess = MaskFolder.recognize(tmp_path)
    assert guess is not None
    assert dict(guess.options) == {"instances": "object"}
    as_classes = MaskFolder(labels="index").scan(tmp_path)
    assert len(as_classes.label_map) == 5


@pytest.mark.parametrize("is_color", [False, True])
def test_each_value_is_an_object(is_color: bool, tmp_path: Path) -> None:
    if is_color:
        draw(tmp_path, rows((0, 0, 0), (9, 0, 0), (0, 9, 1)))
    else:
        draw(tmp_path, rows(0, 1, 2))
    scan = MaskFolder(instances="person").scan(tmp_path)
    assert dict(scan.label_map) == {"background": 0, "person": 1}
    [record] = records(scan, tmp_path)
    assert [item.label.name for item in record.objects] == ["person", "person"]
    masks = [decode(item.runs, HEIGHT, WIDTH) for item in record.objects]
    stored = np.asarray(Image.open(tmp_path / "masks/0.png")).astype(int)
    if is_color:
        stored = stored @ [1, 256, 65536]
    values = np.unique(stored)[1:]
    for mask, value in zip(masks, values, strict=True):
        assert np.array_equal(mask, stored == value)
    assert first_column(record) == [0, 1]


def test_value_to_ignore_is_no_object(tmp_path: Path) -> None:
    draw(tmp_path, rows(0, 1, 255))
    scan = MaskFolder(instances="cell", ignore="255").scan(tmp_path)
    assert len(records(scan, tmp_path)[0].objects) == 1
    with pytest.raises(OptionError, match=r"expected a value, such as 255"):
        MaskFolder(instances="cell", ignore="x").scan(tmp_path)
    with pytest.raises(OptionError, match=r"--instances is 'background'"):
        MaskFolder(instances="background").scan(tmp_path)


@pytest.mark.parametrize(
    ("image", "mask", "split"),
    [
        ("{}/images/{}.png", "{}/masks/m{}.png", None),
        ("stage1_train/{}/images/{}.png", "stage1_train/{}/masks/m{}.png", "train"),
        ("images/{}.png", "masks/{}/{}.png", None),
        ("images/train/{}.png", "masks/train/{}/{}.png", "train"),
    ],
)
def test_each_object_may_have_a_mask_file(
    image: str, mask: str, split: str | None, tmp_path: Path
) -> None:
    """As in the Data Science Bowl of 2018."""
    for number in (3, 8):
        path = tmp_path / image.format(number, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (number, 0, 0)).save(path)
        for part in range(3):
            path = tmp_path / mask.format(number, part)
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
            pixels[5 * part : 5 * part + 3, :number] = 255
            Image.fromarray(pixels).save(path)
    assert MaskFolder.recognize(tmp_path) is not None
    scan = MaskFolder(instances="nucleus").scan(tmp_path)
    annotations = list(scan.annotations)
    assert [a.get("split") for a in annotations] == [split, split]
    found = MaskFolder(instances="nucleus").scan(tmp_path)
    for record, width in zip(records(found, tmp_path), (3, 8), strict=True):
        assert [item.label.name for item in record.objects] == ["nucleus"] * 3
        assert [item.area for item in record.objects] == [3 * width] * 3
        assert record.label_runs is not None
        assert set(record.label_runs.values.tolist()) == {0, 1}


# --- Class files of other names ---

NAMED = {
    "objectInfo150.txt": "Idx\tRatio\tName\n1\t0.2\twall\n2\t0.1\tsky, air\n",
    "category_id.txt": "1\twall\n2\tsky, air\n",
    "my_classes.json": '{"classes": [{"id": 1, "name": "wall"}, '
    '{"id": 2, "name": "sky, air"}]}',
}


@pytest.mark.parametrize("name", NAMED)
def test_file_of_the_very_values_names_the_classes(name: str, tmp_path: Path) -> None:
    draw(tmp_path, rows(0, 1, 2, 255))
    (tmp_path / name).write_text(NAMED[name])
    scan = MaskFolder().scan(tmp_path)
    assert [*scan.label_map] == ["class-0", "wall", "sky, air", "void"]
    assert scan.label_map.ignore_id == scan.label_map["void"]
    assert scan.warnings[0] == (
        f"the classes are those of {name}, in which all values of the masks stand but "
        "0 and 255"
    )


def test_file_that_lacks_a_value_does_not_name_the_classes(tmp_path: Path) -> None:
    draw(tmp_path, rows(0, 1, 2, 3))
    (tmp_path / "objectInfo.txt").write_text("1 wall\n2 sky\n")
    scan = MaskFolder().scan(tmp_path)
    assert "class-3" in scan.label_map
    assert scan.warnings[-1].startswith("objectInfo.txt may be a class file")


def test_file_of_other_classes_is_passed_over_beside_black_and_white(
    tmp_path: Path,
) -> None:
    draw(tmp_path, rows(0, 255))
    (tmp_path / "classes.txt").write_text("1 auk\n2 owl\n3 emu\n")
    scan = MaskFolder().scan(tmp_path)
    assert [*scan.label_map] == ["background", "foreground"]
    assert "the class file is passed over" in scan.warnings[0]


@pytest.mark.parametrize(
    ("first", "options"), [("sky", {"ignore": "255"}), ("unlabeled", {})]
)
def test_255_beside_a_class_file_is_ignored_unless_ids_may_be_shifted(
    first: str, options: dict[str, str], tmp_path: Path
) -> None:
    """COCO-Stuff's labels.txt begins with `unlabeled`, which its maps call 255."""
    draw(tmp_path, rows(0, 1, 255))
    (tmp_path / "classes.txt").write_text(f"{first}\nroad\ncar\n")
    guess = MaskFolder.recognize(tmp_path)
    assert guess is not None
    assert dict(guess.options) == options
    told = MaskFolder(**options).scan(tmp_path).warnings
    is_told = "all names would be shifted" in "".join(told)
    assert is_told == (first == "unlabeled")
