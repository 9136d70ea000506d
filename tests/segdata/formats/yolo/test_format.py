"""YOLO's text files: each row of the table in `docs/formats.md`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from segdata.annotations import record_key
from segdata.errors import AnnotationError, SourceError
from segdata.formats.yolo.format import Yolo
from segdata.formats.yolo.labels import read_yolo
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import Manifest

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
Build = Callable[..., Manifest]
SQUARE = "0 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n"
BOX = "1 0.5 0.5 0.2 0.4\n"
NAMES = "names: [cat, dog]\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Images where the content is empty text, else text files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif name.endswith((".jpg", ".png")):
            Image.new("RGB", (40, 20)).save(path)
        else:
            path.write_text(content, "utf-8")
    return folder


def splits_of(folder: Path) -> dict[str, str | None]:
    return {record_key(a): a.get("split") for a in Yolo().scan(folder).annotations}


def read(text: str | bytes) -> dict[str, Any]:
    data = text if isinstance(text, bytes) else text.encode()
    return read_yolo(data, {"image": "a.jpg"})


# --- Lines.


def test_polygons_and_boxes_may_be_mixed() -> None:
    polygon, box = read(SQUARE + BOX)["objects"]
    assert polygon == {
        "category_id": 0,
        "segmentation": [[0.1, 0.2, 0.5, 0.2, 0.5, 0.6, 0.1, 0.6]],
    }
    assert box["category_id"] == 1
    assert box["bbox"] == pytest.approx([0.4, 0.3, 0.2, 0.4])
    assert read("")["objects"] == read("\n \n")["objects"] == []
    assert read(SQUARE)["is_relative"] is True


@pytest.mark.parametrize(
    "text",
    [
        SQUARE.replace(" ", "\t").replace("\n", "\r\n"),
        SQUARE.replace("0 ", "0.0 ", 1),
        b"\xef\xbb\xbf" + SQUARE.encode(),
        "\n" + SQUARE.strip(),
    ],
)
def test_spelling_of_a_line_is_no_matter(text: str | bytes) -> None:
    assert read(text)["objects"] == read(SQUARE)["objects"]


def test_line_that_stands_twice_counts_once() -> None:
    found = read(SQUARE + BOX + SQUARE + SQUARE)
    assert len(found["objects"]) == 2
    assert found["source"] == {"doubled_lines": 2}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 0.1 0.2 0.3", "3 numbers behind the class"),
        ("0 0.1 0.2", "2 numbers behind the class"),
        ("0 0.1 0.2 0.3 0.4 0.5", "5 numbers behind the class"),
        ("0", "no line of YOLO: 0"),
        ("cat 0.1 0.2 0.3 0.4", "no line of YOLO: cat 0.1"),
        ("0.5 0.1 0.2 0.3 0.4", "no line of YOLO: 0.5 0.1"),
        ("inf 0.1 0.2 0.3 0.4", "no line of YOLO: inf"),
        ("1e30 0.1 0.2 0.3 0.4", "no line of YOLO: 1e30"),
        ("0 0.1 0.2 x 0.4", "no line of YOLO: 0 0.1"),
        ("0 nan 0.2 0.3 0.4", "a coordinate that is no number"),
        ("0 0.1 0.2 inf 0.4 0.5 0.6", "a coordinate that is no number"),
        ("0 120 80 300 80 300 200", "300 is no share of a side"),
        ("0 0.1 -7 0.3 0.4", "-7 is no share of a side"),
    ],
)
def test_bad_line_is_an_object_that_is_refused(line: str, why: str) -> None:
    bad, good = read(f"{line}\n{SQUARE}")["objects"]
    assert bad["segmentation"].startswith(why)
    assert "segmentation" in good


def test_bad_lines_cost_themselves_only(tmp_path: Path, build_plainly: Build) -> None:
    text = f"0 0.1 0.2 0.3\n7 0.1 0.1 0.5 0.1 0.5 0.5\n-1 0.5 0.5 0.1 0.1\n{SQUARE}"
    folder = write(tmp_path / "in", {"a.jpg": "", "a.txt": text, "data.yaml": NAMES})
    manifest = build_plainly(
        folder,
        tmp_path / "out",
        dataset_format=Yolo(),
        on_error="skip",
        max_reject_share=1,
    )
    [record] = RecordSource(tmp_path / "out", "train")
    assert [item.name for item in record.objects] == ["cat"]
    assert manifest.splits["train"].rejected_objects == {
        "bad-annotation": 1,
        "unknown-object-class": 2,
    }
    told = (tmp_path / "out/rejects.jsonl").read_text("utf-8")
    assert "3 numbers behind the class" in told


def test_what_reaches_outside_is_cut_and_counted(
    tmp_path: Path, build_plainly: Build
) -> None:
    lines = "0 -0.1 0.2 0.5 0.2 0.5 0.6\n1 0.9 0.5 0.4 0.4\n"
    rounded = "0 -0.000001 0.2 1.000001 0.2 0.5 0.6\n1 0.333333 0.5 0.666667 1.000001\n"
    files = {"a.jpg": "", "a.txt": lines, "b.jpg": "", "b.txt": rounded}
    folder = write(tmp_path / "in", {**files, "data.yaml": NAMES})
    build_plainly(folder, tmp_path / "out", dataset_format=Yolo())
    records = {r.key: r for r in RecordSource(tmp_path / "out", "train")}
    assert "box-clipped" in records["a"].notes
    assert "box-clipped" not in records["b"].notes
    assert records["a"].objects[0].box == pytest.approx((4, 0, 12, 20))
    assert records["b"].objects[1].box == pytest.approx((0, 0, 20, 26.67), abs=0.01)


def test_file_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(AnnotationError, match="not UTF-8") as caught:
        read("0 0.1 ü".encode("latin-1"))
    assert caught.value.reason == "bad-text"


# --- Layouts.


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("images/{}/a.jpg", "labels/{}/a.txt"),
        ("{}/images/a.jpg", "{}/labels/a.txt"),
        ("{}/a.jpg", "{}/a.txt"),
        ("x/images/{}/a.jpg", "x/labels/{}/a.txt"),
    ],
)
def test_usual_layouts_are_found_with_and_without_yaml(
    image: str, text: str, tmp_path: Path
) -> None:
    files = {}
    for split in ("train", "val"):
        files |= {image.format(split): "", text.format(split): SQUARE}
    folder = write(tmp_path, {**files, "classes.txt": "cat\ndog\n"})
    wanted = {image.format(s).removesuffix(".jpg"): s for s in ("train", "val")}
    assert splits_of(folder) == wanted
    for annotation in Yolo().scan(folder).annotations:
        name = text.format(annotation["split"])
        assert annotation["annotation_file"] == {"path": name, "reader": "yolo"}
    folders = {s: image.format(s).rpartition("/")[0] for s in ("train", "val")}
    for path in ("/home/me/datasets/mine", "../datasets/x", "."):
        lines = [f"path: {path}", *(f"{s}: {f}" for s, f in folders.items()), NAMES]
        (folder / "data.yaml").write_text("\n".join(lines))
        assert splits_of(folder) == wanted


def test_yaml_may_name_lists_and_several_folders(tmp_path: Path) -> None:
    names = ("images/a", "images/b", "more/c", "even/d", "rest/e")
    files: dict[str, str | bytes] = {f"{name}.jpg": "" for name in names}
    files |= {f"{name.replace('images', 'labels')}.txt": SQUARE for name in names}
    files["train.txt"] = "./images/a.jpg\n/home/me/images/b.jpg\n./images/gone.jpg\n"
    files["data.yaml"] = (
        "path: /content/x\ntrain: train.txt\nval: [more, even]\ntest: ../test/images\n"
        "names: {0: cat, 3: dog}\n"
    )
    folder = write(tmp_path, files)
    scan = Yolo().scan(folder)
    splits = {record_key(a): a["split"] for a in scan.annotations}
    assert splits == {
        "images/a": "train",
        "images/b": "train",
        "more/c": "val",
        "even/d": "val",
    }
    assert dict(scan.label_map) == {"cat": 1, "dog": 2}
    assert [c.source_ids for c in scan.label_map.object_classes] == [(0,), (3,)]
    told = "\n".join(scan.warnings)
    for line in (
        "train.txt: 1 images are not here, e.g. 'images/gone.jpg'",
        "test: '../test/images' is not here: left out",
        "1 image of no split left out, e.g. rest/e.jpg",
        "in another folder",
    ):
        assert line in told


def test_image_in_two_splits_counts_in_the_first(tmp_path: Path) -> None:
    yaml = f"train: images\nval: images\n{NAMES}"
    files = {"images/a.jpg": "", "labels/a.txt": SQUARE, "data.yaml": yaml}
    folder = write(tmp_path, files)
    assert splits_of(folder) == {"images/a": "train"}
    assert Yolo().scan(folder).warnings == (
        "1 images stand in several splits: the first counts",
    )


def test_images_without_text_and_empty_texts_have_no_objects(
    tmp_path: Path, build_plainly: Build
) -> None:
    files = {"a.jpg": "", "a.txt": SQUARE, "b.jpg": "", "c.jpg": "", "c.txt": ""}
    folder = write(tmp_path / "in", {**files, "data.yaml": NAMES})
    manifest = build_plainly(folder, tmp_path / "out", dataset_format=Yolo())
    records = {r.key: len(r.objects) for r in RecordSource(tmp_path / "out", "train")}
    assert records == {"a": 1, "b": 0, "c": 0}
    assert manifest.warnings == (
        "1 image has no text file, so no object, e.g. b.jpg",
        "1 text file is empty: its image has no object, e.g. c.txt",
    )


def test_text_without_image_is_rejected_and_readme_is_none(
    tmp_path: Path, build_plainly: Build
) -> None:
    files: dict[str, str | bytes] = {"train/images/a.jpg": "", "README.txt": "Hello"}
    files |= {"train/labels/a.txt": SQUARE, "train/labels/b.txt": SQUARE}
    files["train/labels/classes.txt"] = "cat\n"
    folder = write(tmp_path / "in", {**files, "data.yaml": NAMES})
    manifest = build_plainly(
        folder,
        tmp_path / "out",
        dataset_format=Yolo(),
        on_error="skip",
        max_reject_share=1,
    )
    assert manifest.splits["train"].rejects == {"image-missing": 1}
    assert manifest.warnings == ("1 text file has no image, e.g. train/labels/b.txt",)


# --- Classes.


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("data.yaml", "names: cat", "'names' is 'cat': expected a list of names"),
        ("data.yaml", "names: []", r"'names' is \[\]: expected"),
        ("data.yaml", "names: {cat: 0}", "expected a list of names, or numbers"),
        ("data.yaml", "names: [[1]]", "expected a list of names"),
        ("data.yaml", "names: {-1: cat}", "expected a list of names"),
        ("data.yaml", "train: x", "expected 'names', the names of the classes"),
        ("data.yaml", "names: [a", "data.yaml is no YAML"),
        ("data.yaml", "names: [" + "[" * 200_000, "is nested deeper than 16"),
        ("data.yaml", "names: ]", "data.yaml is no YAML"),
        ("data.yaml", "a: &a [x]\nnames: *a", r"has an alias \(\*\): write it out"),
        ("data.yaml", "names: !!python/object:os.system {}", "is no YAML"),
        (
            "data.yaml",
            f"names: [a]\nx: {'y' * (1 << 18)}",
            "has more than 262144 bytes",
        ),
        ("data.yaml", f"kpt_shape: [17, 3]\n{NAMES}", "is of poses .kpt_shape."),
        ("a.yaml", NAMES, "a.yaml and b.yaml may all be meant: choose one with --data"),
        ("i/a.txt", "no number", "has no class: expected data.yaml, or classes.txt"),
        ("i/classes.txt", "cat", "classes.txt and i/classes.txt differ: choose one"),
    ],
)
def test_bad_class_files_are_named(
    name: str, text: str, match: str, tmp_path: Path
) -> None:
    files: dict[str, str | bytes] = {"i/a.jpg": "", "i/a.txt": SQUARE, name: text}
    if name == "a.yaml":
        files["b.yaml"] = text
    if name == "i/classes.txt":
        files["classes.txt"] = "dog"
    with pytest.raises(SourceError, match=match):
        Yolo().scan(write(tmp_path, files))


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("classes.txt", "cat\ndog\n", {}),
        ("obj.names", "cat\ndog\n", {}),
        ("coco8-seg.yaml", NAMES, {}),
        ("i/classes.txt", "cat\ndog\n", {}),
        ("my/names.txt", "cat\ndog\n", {"data": "my/names.txt"}),
        ("my/x.yaml", NAMES, {"data": "my/x.yaml"}),
    ],
)
def test_classes_are_found_or_named(
    name: str, text: str, options: dict[str, str], tmp_path: Path
) -> None:
    folder = write(tmp_path, {"i/a.jpg": "", "i/a.txt": SQUARE, name: text})
    assert dict(Yolo(**options).scan(folder).label_map) == {"cat": 1, "dog": 2}


def test_classes_are_their_numbers_where_no_file_names_them(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"i/a.jpg": "", "i/a.txt": f"{SQUARE}7 0 0 1 1\n"}
    scan = Yolo().scan(write(tmp_path, {**files, "i/b.jpg": "", "i/b.txt": b"3 \xff"}))
    assert dict(scan.label_map) == {"class-0": 1, "class-3": 2, "class-7": 3}
    [warning] = scan.warnings
    assert "no class file: 3 classes are what the text files say" in warning
    assert "write classes.txt, a name in each line" in warning


def test_lists_of_splits_count_without_yaml(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"data/{n}.jpg": "" for n in "abc"}
    files |= {f"data/{n}.txt": SQUARE for n in "abc"}
    files |= {"obj.names": "cat\ndog\n", "train.txt": "data/a.jpg\ndata/b.jpg\n"}
    folder = write(tmp_path, {**files, "test.txt": "/darknet/data/c.jpg\n"})
    assert splits_of(folder) == {
        "data/a": "train",
        "data/b": "train",
        "data/c": "test",
    }


def test_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.jpg": "", "data.yaml": NAMES, "labels/b.txt": SQUARE})
    with pytest.raises(SourceError, match="got 1 images, 1 text files"):
        Yolo().scan(folder)


@pytest.mark.parametrize(
    ("path", "text", "is_yolo"),
    [
        ("labels/a.txt", SQUARE, True),
        ("labels/train/a.txt", SQUARE, True),
        ("train/labels/a.txt", BOX, True),
        ("a.txt", SQUARE, True),
        ("train.txt", "train/a.jpg trainannot/a.png", False),
        ("list.txt", "Abyssinian_1 1 1 1", False),
        ("colors.txt", "64 128 64 Animal", False),
    ],
)
def test_recognized_by_its_lines(
    path: str, text: str, is_yolo: bool, tmp_path: Path
) -> None:
    assert (Yolo.recognize(write(tmp_path, {path: text})) is not None) is is_yolo


def test_ground_truth_of_the_field(
    shared_data: Path, tmp_path: Path, build_plainly: Build
) -> None:
    """Label Studio's YOLO export: masks as pycocotools draws them."""
    folder = shared_data / "field/labelstudio-yolo"
    assert Yolo.recognize(folder) is not None
    build_plainly(folder, tmp_path, dataset_format=Yolo())
    names = (folder / "classes.txt").read_text().splitlines()
    num_objects = 0
    for record in RecordSource(tmp_path, "train"):
        text = folder / "labels" / f"{Path(record.key).name}.txt"
        lines = text.read_text().splitlines()
        size = (record.height, record.width)
        for item, line in zip(record.objects, lines, strict=True):
            number, *shares = map(float, line.split())
            points = np.reshape(shares, (-1, 2)) * size[::-1]
            encoded = coco_mask.frPyObjects([points.ravel().tolist()], *size)
            assert item.name == names[int(number)]
            assert np.array_equal(record.mask(item), coco_mask.decode(encoded[0]))
            num_objects += 1
    assert num_objects == 5
