from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from coco_folder import object_row, table, write
from PIL import Image

import segdata
from segdata.building.classes import ClassChoice, choose_classes, read_class_map
from segdata.cli import cli
from segdata.errors import OptionError, OutputError
from segdata.label_map import LabelClass, LabelMap
from segdata.reading.record_source import RecordSource
from segdata.samples.camvid import write_camvid_sample
from segdata.shards.manifest import read_manifest
from segdata.storage.paths import locate


def classes(*names: str, first: int, **more: Any) -> tuple[LabelClass, ...]:
    return tuple(
        LabelClass(id=n, name=name, color=(n, 0, 0), source_ids=(10 * n,), **more)
        for n, name in enumerate(names, first)
    )


OBJECTS = LabelMap(object_classes=classes("car", "truck", "bus", "cat", first=1))
PIXELS = LabelMap(
    semantic_classes=classes("sky", "road", "lane", "void", first=0), ignore_id=3
)
PLAIN_PIXELS = LabelMap(semantic_classes=classes("background", "road", "lane", first=0))
BOTH = LabelMap(
    semantic_classes=classes("sky", "car", "cat", first=0),
    object_classes=classes("car", "cat", first=1),
    ignore_id=255,
)
PAINTED = LabelMap(
    semantic_classes=(
        LabelClass(id=0, name="background", color=(0, 0, 0)),
        *OBJECTS.object_classes,
    ),
    object_classes=OBJECTS.object_classes,
    unpainted_id=0,
)


def chosen(label_map: LabelMap, names: Any = None, only: Any = ()) -> LabelMap:
    choice = ClassChoice(names=names or {}, only=tuple(only))
    return choose_classes(label_map, choice)[0]


def ids(items: tuple[LabelClass, ...]) -> dict[str, tuple[int, tuple[Any, ...]]]:
    return {item.name: (item.id, item.source_ids) for item in items}


# --- objects ---


def test_several_classes_become_one_and_ids_stay_contiguous() -> None:
    found = chosen(OBJECTS, {"car": "vehicle", "30": "vehicle", "truck": "vehicle"})
    assert ids(found.object_classes) == {
        "vehicle": (1, (10, 20, 30)),
        "cat": (2, (40,)),
    }
    assert found.object_classes[0].source_names == ("car", "truck", "bus")
    assert found.object_by_name["bus"].name == "vehicle"
    assert found.object_by_source_id[30].id == 1


@pytest.mark.parametrize("word", ["drop", "ignore"])
def test_class_of_objects_is_left_out(word: str) -> None:
    found = chosen(OBJECTS, {"truck": word})
    assert [c.name for c in found.object_classes] == ["car", "bus", "cat"]
    assert [c.name for c in found.left_out_classes] == ["truck"]
    assert found.is_left_out({"category_id": 20})
    assert found.is_left_out({"category": "truck"})
    assert not found.is_left_out({"category_id": 10})
    assert not found.is_left_out({})


def test_star_means_all_others() -> None:
    found = chosen(OBJECTS, {"cat": "animal", "*": "vehicle"})
    assert ids(found.object_classes) == {
        "vehicle": (1, (10, 20, 30)),
        "animal": (2, (40,)),
    }


def test_only_takes_names_after_the_map() -> None:
    found = chosen(OBJECTS, {"car": "vehicle", "bus": "vehicle"}, ["vehicle"])
    assert ids(found.object_classes) == {"vehicle": (1, (10, 30))}
    assert [c.name for c in found.left_out_classes] == ["truck", "cat"]


def test_label_map_of_a_choice_survives_the_manifest() -> None:
    found = chosen(OBJECTS, {"truck": "drop", "car": "auto"})
    assert LabelMap.from_json(found.to_json()) == found
    assert "left_out_classes" not in OBJECTS.to_json()


# --- pixels ---


def test_ignored_pixels_join_the_class_that_is_ignored_already() -> None:
    found = chosen(PIXELS, {"sky": "ignore"})
    assert found.semantic_by_source_id == {10: 0, 20: 1, 0: 2, 30: 2}
    assert found.semantic_classes[2].name == "void"
    assert found.ignore_id == 2


def test_ignored_pixels_get_255_where_none_were_ignored() -> None:
    found = chosen(PLAIN_PIXELS, {"lane": "ignore"})
    assert found.semantic_by_source_id == {0: 0, 10: 1, 20: 255}
    assert (found.ignore_id, found.semantic_classes[-1].name) == (255, "ignored")


def test_only_ignores_other_pixels_and_keeps_the_background() -> None:
    found = chosen(PLAIN_PIXELS, only=["lane"])
    assert found.semantic_by_source_id == {0: 0, 20: 1, 10: 255}
    found = chosen(PIXELS, only=["road"])
    assert found.semantic_by_source_id == {10: 0, 0: 1, 20: 1, 30: 1}
    assert (found.ignore_id, found.semantic_classes[1].name) == (1, "void")


def test_class_that_was_ignored_may_become_one_like_others() -> None:
    found = chosen(PIXELS, {"void": "sky"})
    assert found.semantic_by_source_id == {0: 0, 30: 0, 10: 1, 20: 2}
    assert found.ignore_id is None


def test_ignored_class_may_be_renamed() -> None:
    found = chosen(PIXELS, {"void": "unlabelled"})
    assert (found.ignore_id, found.semantic_classes[3].name) == (3, "unlabelled")


def test_colours_are_merged() -> None:
    colored = LabelMap(
        semantic_classes=tuple(
            LabelClass(id=n, name=str(n), color=(n, n, n), source_colors=((n, n, n),))
            for n in range(3)
        )
    )
    found = chosen(colored, {"0": "a", "2": "a"})
    assert found.semantic_by_source_color == {(0, 0, 0): 0, (2, 2, 2): 0, (1, 1, 1): 1}


def test_unknown_pixels_follow_their_class() -> None:
    label_map = LabelMap(semantic_classes=PIXELS.semantic_classes, unknown_id=2)
    assert chosen(label_map, {"sky": "road"}).unknown_id == 1


# --- both ---


def test_name_of_both_tables_has_one_id() -> None:
    found = chosen(BOTH, {"sky": "ignore"})
    assert ids(found.object_classes) == {"car": (1, (10,)), "cat": (2, (20,))}
    assert found.semantic_by_source_id == {10: 1, 20: 2, 0: 255}


def test_class_of_both_tables_is_left_out_of_both() -> None:
    found = chosen(BOTH, {"car": "drop"})
    assert ids(found.object_classes) == {"cat": (1, (20,))}
    assert found.semantic_by_source_id == {0: 0, 20: 1, 10: 255}


def test_painted_classes_keep_the_ids_of_their_objects() -> None:
    found = chosen(PAINTED, {"car": "vehicle", "truck": "vehicle", "bus": "drop"})
    assert ids(found.object_classes) == {"vehicle": (1, (10, 20)), "cat": (2, (40,))}
    assert {c.name: c.id for c in found.semantic_classes} == {
        "background": 0,
        "vehicle": 1,
        "cat": 2,
    }
    assert (found.unpainted_id, found.ignore_id) == (0, None)


# --- what is refused ---


@pytest.mark.parametrize(
    ("names", "only", "message"),
    [
        ({"trick": "x"}, (), r"--map names the unknown class 'trick': .*'truck'\?"),
        ({}, ["carr"], r"--only names the unknown class 'carr': known .* mean 'car'\?"),
        (
            {"car": "x"},
            ["car"],
            r"--only names the unknown class 'car': known are x, t",
        ),
        ({"*": "drop"}, (), r"leave no class"),
        (
            {"car": "cat", "cat": "car"},
            (),
            r"gives 'car' the name 'cat', which another",
        ),
        (
            {"car": "cat", "cat": "dog"},
            (),
            r"gives 'car' the name 'cat', which another",
        ),
        ({"car": "cat", "cat": "drop"}, (), r"gives 'car' the name 'cat', which anoth"),
    ],
)
def test_choice_that_cannot_be_is_refused(names: Any, only: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        chosen(OBJECTS, names, only)


def test_things_and_stuff_cannot_be_one() -> None:
    label_map = LabelMap(
        object_classes=(
            *classes("car", first=1),
            *classes("sky", first=2, is_thing=False),
        )
    )
    with pytest.raises(OptionError, match=r"car, sky cannot be one class 'x': they di"):
        chosen(label_map, {"car": "x", "sky": "x"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("truck -> car\n# no\n\n7 -> ignore", {"truck": "car", "7": "ignore"}),
        ("\ufefftruck, car\r\nbus,car", {"truck": "car", "bus": "car"}),
        ("a=b->c", {"a=b": "c"}),
        ("traffic light = light", {"traffic light": "light"}),
        ("a\tb", {"a": "b"}),
    ],
)
def test_class_map_is_read(tmp_path: Path, text: str, expected: Any) -> None:
    (tmp_path / "map.txt").write_text(text, "utf-8")
    assert read_class_map(locate(tmp_path / "map.txt")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("truck", r"line 1 of map\.txt, 'truck': expected a class and its name"),
        ("a -> b\na -> c", r"line 2 of map\.txt.*: the class 'a' stands there twice"),
        ("a ->", r"expected a class and its name"),
        ("# nothing", r"map\.txt maps no class"),
    ],
)
def test_class_map_that_is_none_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "map.txt").write_text(text)
    with pytest.raises(OptionError, match=message):
        read_class_map(locate(tmp_path / "map.txt"))


# --- whole builds ---


def test_objects_are_left_out_and_counted_and_keep_their_source_class(
    tmp_path: Path, check_manifest: Any
) -> None:
    rows = [object_row(), object_row(11, category_id=9), object_row(20, 2)]
    source = write(tmp_path / "source", table(annotations=rows))
    out = tmp_path / "out"
    manifest = segdata.build(
        "coco", source, out, class_map={"cat": "pet"}, only=["pet"]
    )
    [first, second] = sorted(RecordSource(out, "train"), key=lambda r: r.key)
    assert (
        [o.name for o in first.objects] == [o.name for o in second.objects] == ["pet"]
    )
    assert first.objects[0].source["category_id"] == 5
    assert first.notes == ("objects-left-out",)
    assert manifest.splits["train"].counts.left_out_objects == 1
    assert manifest.options["class_map"] == {"cat": "pet"}
    assert "make 1 of 2 classes; 1 are left out, objects and pixels: dog" in str(
        manifest.warnings
    )
    check_manifest(out)
    segdata.verify(out)
    segdata.build("coco", source, out, update=True)  # keeps the classes
    assert read_manifest(locate(out)).fingerprint == manifest.fingerprint
    with pytest.raises(OutputError, match=r"--only pet -> cat"):
        segdata.build("coco", source, out, update=True, only=["cat"])


def test_dataset_has_a_name_that_shards_begin_with(
    tmp_path: Path, check_manifest: Any
) -> None:
    source, out = write(tmp_path / "source"), tmp_path / "out"
    manifest = segdata.build("coco", source, out, name="my-cats_1.0")
    assert [path.name for path in sorted(out.glob("*.tfrecord*"))] == [
        "my-cats_1.0-train.tfrecord-00000-of-00001"
    ]
    assert (manifest.name, manifest.format_name) == ("my-cats_1.0", "coco")
    check_manifest(out)
    segdata.verify(out)
    info = json.loads((out / "dataset_info.json").read_bytes())
    assert info["name"] == "my-cats_1.0"
    kept = segdata.build("coco", source, out, update=True)
    assert (kept.name, kept.fingerprint) == (manifest.name, manifest.fingerprint)
    assert segdata.build("coco", source, out, name="my-cats_1.0").name == manifest.name
    with pytest.raises(OutputError, match=r"--name my-cats_1\.0 -> other"):
        segdata.build("coco", source, out, name="other", update=True)
    with pytest.raises(OutputError, match=r"format coco -> pets"):
        segdata.build("pets", source, out, update=True)


@pytest.mark.parametrize("name", ["a/b", "../a", "-a", "a b", "ä", "a" * 101])
def test_name_that_no_file_may_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"--name is .*: expected letters, digits"):
        segdata.build("coco", write(tmp_path / "source"), tmp_path / "out", name=name)


def test_export_of_merged_classes_names_one_category(tmp_path: Path) -> None:
    source, out = write(tmp_path / "source"), tmp_path / "out"
    segdata.build("coco", source, out, class_map={"*": "pet"})
    arguments = ["export", "--to", "coco", str(out), str(tmp_path / "back")]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    [path] = (tmp_path / "back" / "annotations").glob("*.json")
    data = json.loads(path.read_bytes())
    assert {c["id"]: c["name"] for c in data["categories"]} == {5: "pet"}
    assert {row["category_id"] for row in data["annotations"]} == {5}


def test_pixels_are_merged_as_the_map_says(tmp_path: Path) -> None:
    source = tmp_path / "street"
    write_camvid_sample(source, seed=1, num_train=2, num_val=1)
    (tmp_path / "map.txt").write_text("car -> road\nsky -> ignore\n")
    out = tmp_path / "out"
    arguments = ["build", "camvid", str(source), str(out), "--workers", "1"]
    arguments += ["--map", str(tmp_path / "map.txt")]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(locate(out))
    label_map = manifest.label_map
    names = {c.id: c.name for c in label_map.semantic_classes}
    assert {"car", "sky"}.isdisjoint(names.values())
    for record in RecordSource(out, "train"):
        label = source / record.filename.replace("train/", "trainannot/")
        with Image.open(label) as image:
            stored = np.asarray(image)
        table = np.zeros(256, np.uint8)
        for source_id, class_id in label_map.semantic_by_source_id.items():
            table[source_id] = class_id
        found = record.label_map()
        np.testing.assert_array_equal(found, table[stored])
        assert label_map.ignore_id in found
