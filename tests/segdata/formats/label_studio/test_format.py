"""Label Studio's JSON: each row of the table in `docs/formats.md`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from segdata.annotations import record_key
from segdata.errors import SourceError
from segdata.formats.label_studio.brush import brush_mask
from segdata.formats.label_studio.format import LabelStudio
from segdata.formats.label_studio.results import read_results
from segdata.formats.label_studio.tasks import read_tasks
from segdata.masks import rle
from segdata.reading.record_source import RecordSource
from segdata.samples.label_studio import brush_rle
from segdata.shards.manifest import Manifest

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
Build = Callable[..., Manifest]
HEIGHT, WIDTH = 20, 40
SQUARE = {"points": [[10, 10], [60, 10], [60, 60], [10, 60]]}
BOX = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0}
STROKE = [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 0, 1]]
# By label-studio-converter 0.0.59's encode_rle: grey (four equal bytes), and coloured.
GREY = [0, 0, 0, 60, 57, 27, 252, 96, 19, 255, 223, 0, 140, 38, 63, 248, 192, 35, 7]
GREY += [182, 1, 31, 248]
COLORED = [0, 0, 0, 60, 57, 27, 252, 96, 0, 0, 194, 0, 7, 248, 0, 48, 128, 1, 255, 124]
COLORED += [0, 0, 24, 64, 0, 9, 0, 6, 16, 0, 63, 227, 0, 0, 6, 16, 0, 1, 237, 128, 0]
COLORED += [3, 8, 0, 31, 224]


def region(
    kind: str = "polygon", value: Any = None, *labels: str, **fields: Any
) -> dict[str, Any]:
    name = f"{kind}labels"
    given = {**(SQUARE if value is None else value), name: [*(labels or ("cat",))]}
    sizes = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return {**sizes, "type": name, "value": given, **fields}


def task(number: int, image: str, *results: Any, **fields: Any) -> dict[str, Any]:
    annotations = [{"was_cancelled": False, "result": [*results]}]
    return {
        "id": number,
        "data": {"image": image},
        "annotations": annotations,
        **fields,
    }


def write(folder: Path, tasks: Any, *images: str, name: str = "project.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tasks), "utf-8")
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / image, "PNG")
    return folder


def mask_of(result: dict[str, Any]) -> NDArray[np.uint8]:
    [item] = read_results([result])["objects"]
    return rle.decode(rle.rle(item["segmentation"], HEIGHT, WIDTH), HEIGHT, WIDTH)


# --- Regions.


def test_polygon_in_per_cent_is_a_mask() -> None:
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:12, 4:24] = 1
    assert np.array_equal(mask_of(region()), expected)


def test_box_has_no_mask_unless_it_is_turned() -> None:
    found = read_results([region("rectangle", BOX)])
    assert found["objects"] == [{"bbox": [4, 2, 20, 10], "category": "cat"}]
    assert (found["height"], found["width"]) == (HEIGHT, WIDTH)
    turned = mask_of(region("rectangle", {**BOX, "x": 50, "rotation": 90}))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[2:20, 10:20] = 1  # around its upper left corner; 2 rows are outside
    assert np.array_equal(turned, expected)


def test_ellipse_is_a_mask() -> None:
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "rotation": 0}
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    expected = np.hypot((columns - 20) / 10, (rows - 10) / 5) <= 1
    assert (mask_of(region("ellipse", value)) != expected).sum() <= 6
    turned = mask_of(region("ellipse", {**value, "radiusX": 20, "rotation": 90}))
    expected = np.hypot((columns - 20) / 5, (rows - 10) / 8) <= 1
    assert (turned != expected).sum() <= 6


@pytest.mark.parametrize("data", [GREY, COLORED])
def test_brush_stroke_is_what_the_tool_wrote(data: list[int]) -> None:
    assert np.array_equal(brush_mask(data, 3, 5), np.array(STROKE, bool))


def test_brush_strokes_of_any_mask_come_back() -> None:
    rng = np.random.default_rng(3)
    for share in (0, 0.01, 0.5, 1):
        mask = rng.random((29, 31)) < share
        assert np.array_equal(brush_mask(brush_rle(mask), 29, 31), mask)
    large = np.zeros((300, 400), bool)
    large[100:, 50:] = True
    assert np.array_equal(brush_mask(brush_rle(large), 300, 400), large)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (GREY[:-4], "rle is cut off"),
        (GREY[:3], "rle is cut off"),
        ([], "rle is cut off"),
        ([0, 0, 0, 56, *GREY[4:]], "rle is of 14 pixels, not 3x5"),
        ([255] * 40, "rle is of 1073741823 pixels"),
        (
            [0, 0, 0, 60, 63, 255, 255, 255, 255, 255, 255, 255],
            "more words than it says",
        ),
        ("text", "no list of bytes"),
        ({"0": 1}, "no list of bytes"),
        ([1, "2"], "no list of bytes"),
        ([300, 1], "bytes must be in range"),
    ],
)
def test_other_run_lengths_are_refused(data: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        brush_mask(data, 3, 5)


def test_key_point_is_a_named_region() -> None:
    found = read_results([region("keypoint", {"x": 50, "y": 50, "width": 1}, "nose")])
    assert found["objects"] == []
    [point] = found["regions"]
    assert (point["name"], point["bbox"]) == ("nose", [20, 10, 0, 0])


def test_first_of_several_labels_counts_and_all_are_kept() -> None:
    [item] = read_results([region("polygon", None, "cat", "black", id="r1")])["objects"]
    assert item["category"] == "cat"
    assert item["source"] == {"labels": ["cat", "black"], "region": "r1"}


def test_labels_may_stand_in_another_result_of_the_same_id() -> None:
    bare = {**region(), "type": "polygon", "value": SQUARE, "id": "a"}
    labels = {"type": "labels", "id": "a", "value": {**SQUARE, "labels": ["dog"]}}
    found = read_results([bare, labels])
    assert [item["category"] for item in found["objects"]] == ["dog"]
    assert found["source"] == {}


def test_other_results_are_kept() -> None:
    choice = {"type": "choices", "value": {"choices": ["day"]}}
    assert read_results([choice, "odd"])["source"] == {"results": [choice, "odd"]}


def test_bad_regions_cost_themselves_only(tmp_path: Path, build_plainly: Build) -> None:
    bad = [
        region("brush", {"format": "rle", "rle": GREY}),
        region("brush", {"format": "rle"}),
        region("polygon", {"points": [[1, "two"]]}),
        region("rectangle", {"x": 1, "y": None}),
        region(image_rotation=90),
        region(original_width=None),
        region(original_height=10**9),
        {**region(), "value": None},
        region("polygon", {"points": [[1, 2], [3, 4]]}),
        region("rectangle", {**BOX, "width": -5}),
        {**region(), "value": SQUARE},
    ]
    folder = write(tmp_path / "in", [task(1, "a.png", *bad, region())], "images/a.png")
    manifest = build_plainly(
        folder,
        tmp_path / "out",
        dataset_format=LabelStudio(),
        on_error="skip",
        max_reject_share=1,
    )
    [record] = RecordSource(tmp_path / "out", "train")
    assert [item.name for item in record.objects] == ["cat"]
    assert manifest.splits["train"].rejected_objects == {
        "bad-annotation": 8,
        "bad-polygon": 1,
        "bad-box": 1,
        "object-without-class": 1,
    }
    told = (tmp_path / "out/rejects.jsonl").read_text("utf-8")
    assert "brush: rle is of 15 pixels, not 20x40" in told
    assert "polygon: image_rotation is 90, not 0" in told


# --- Tasks.


def chosen(*tasks: Any) -> tuple[list[int], dict[str, int]]:
    """How many results each task gives, and what is counted."""
    counts: Counter[str] = Counter()
    found = [len(t.results) for t in read_tasks([*tasks], "p.json", counts)]
    return found, {what: n for what, n in counts.items() if n}


def test_first_annotation_that_was_not_cancelled_counts() -> None:
    given = [
        {"was_cancelled": True, "result": []},
        {"result": [region()]},
        {"result": [region(), region()]},
    ]
    several = {**task(1, "a.png"), "annotations": given}
    assert chosen(several) == ([1], {"annotations beside the first of their task": 1})


def test_tasks_that_nobody_labelled_are_left_out_and_counted() -> None:
    skipped = {**task(1, "a.png"), "annotations": [{"was_cancelled": True}]}
    bare = {**task(2, "b.png"), "annotations": []}
    empty = task(3, "c.png")
    imageless = {"id": 4, "data": {"text": "x"}, "annotations": []}
    assert chosen(skipped, bare, empty, imageless) == (
        [0],
        {
            "tasks that were skipped": 1,
            "tasks without annotation": 1,
            "tasks without image": 1,
        },
    )


def test_old_exports_and_other_keys_of_the_image_are_read() -> None:
    old = {
        "id": 1,
        "data": {"img": "http://x/a.png?k=1"},
        "completions": [{"result": []}],
    }
    [found] = read_tasks([old], "p.json", Counter())
    assert (found.image, found.data) == ("/a.png", {})


def test_json_min_is_read_likewise() -> None:
    sizes = {"original_width": WIDTH, "original_height": HEIGHT}
    value = {**SQUARE, "polygonlabels": ["cat"], **sizes}
    rows = [
        {"id": 1, "image": "/data/upload/1/a.png", "label": [value], "annotator": 1},
        {"id": 1, "image": "/data/upload/1/a.png", "label": [], "annotator": 2},
    ]
    counts: Counter[str] = Counter()
    [found] = read_tasks(rows, "p.json", counts)
    assert counts == {"annotations beside the first of their task": 1}
    [item] = read_results(found.results)["objects"]
    assert item == read_results([region()])["objects"][0]


# --- Images.


@pytest.mark.parametrize(
    ("address", "image"),
    [
        ("/data/upload/8/4a7ac690-119.jpg", "images/4a7ac690-119.jpg"),
        ("/data/local-files/?d=my%20set/a%20b.jpg", "my set/a b.jpg"),
        ("/data/upload/1/a%20b.jpg", "images/a b.jpg"),
        ("s3://bucket/deep/a.jpg", "a.jpg"),
        ("https://host/x/a.jpg?token=1", "images/a.jpg"),
        ("images\\a.jpg", "images/a.jpg"),
        ("/data/upload/8/4a7ac690-119.jpg", "119.jpg"),
        ("a.jpg", "images/a.jpg"),
    ],
)
def test_image_is_found_by_its_name(address: str, image: str, tmp_path: Path) -> None:
    folder = write(tmp_path, [task(1, address, region())], image, "images/other.jpg")
    [annotation] = LabelStudio().scan(folder).annotations
    assert annotation["image"] == image
    assert annotation["image_id"] == 1


def test_upload_digits_are_told_and_never_guessed(tmp_path: Path) -> None:
    tasks = [
        task(1, "/u/4a7ac690-a.jpg", region()),
        task(2, "/u/4a7ac691-b.jpg", region()),
        task(3, "/u/4a7ac692-b.jpg", region()),
        task(4, "/u/4a7ac693-c.jpg", region()),
    ]
    images = ("images/a.jpg", "images/b.jpg", "x/c.jpg", "y/c.jpg")
    scan = LabelStudio().scan(write(tmp_path, tasks, *images))
    found = [a["image"] for a in scan.annotations]
    assert found == ["images/a.jpg", "images/4a7ac691-b.jpg", "images/4a7ac692-b.jpg"]
    assert [p.reason for p in scan.problems] == ["ambiguous-image"]
    assert any("1 image found without the digits" in line for line in scan.warnings)


def test_second_task_of_an_image_is_a_problem(tmp_path: Path) -> None:
    tasks = [task(1, "/u/a.jpg", region()), task(2, "/u/a.jpg", region())]
    scan = LabelStudio().scan(write(tmp_path, tasks, "images/a.jpg"))
    assert [a["image_id"] for a in scan.annotations] == [1]
    [problem] = scan.problems
    assert problem.reason == "ambiguous-annotations"
    assert "task 2 of project.json is of the image" in str(problem)


def test_missing_images_and_other_sizes_are_rejected_records(
    tmp_path: Path, build_plainly: Build
) -> None:
    tasks = [
        task(1, "/u/a.jpg", region()),
        task(2, "/u/b.jpg", region()),
        task(3, "../../etc/passwd", region()),
        task(4, "/u/c.jpg", region(original_width=50)),
        task(5, "/u/d.jpg"),
    ]
    images = ("images/a.jpg", "images/c.jpg", "images/d.jpg", "images/e.jpg")
    folder = write(tmp_path / "in", tasks, *images)
    manifest = build_plainly(
        folder,
        tmp_path / "out",
        dataset_format=LabelStudio(),
        on_error="skip",
        max_reject_share=1,
    )
    records = {r.key: len(r.objects) for r in RecordSource(tmp_path / "out", "train")}
    assert records == {"images/a": 1, "images/d": 0}
    assert manifest.splits["train"].rejects == {
        "image-missing": 2,
        "image-size-mismatch": 1,
    }
    assert "1 image of no task left out, e.g. images/e.jpg" in manifest.warnings


# --- Files.


def test_files_named_like_splits_make_splits(tmp_path: Path) -> None:
    write(tmp_path, [task(1, "a.jpg", region())], "images/a.jpg", name="train.json")
    write(tmp_path, [task(1, "b.jpg", region())], "images/b.jpg", name="val/x.json")
    write(tmp_path, {"images": []}, name="coco.json")
    scan = LabelStudio().scan(tmp_path)
    assert {record_key(a): a["split"] for a in scan.annotations} == {
        "images/a": "train",
        "images/b": "val",
    }
    assert "left out: 1 JSON files that are no list of tasks" in scan.warnings


def test_classes_are_the_labels_or_those_of_a_file(tmp_path: Path) -> None:
    results = [region("polygon", None, name) for name in ("dog", "cat", "dog")]
    folder = write(tmp_path, [task(1, "a.jpg", *results)], "images/a.jpg")
    assert dict(LabelStudio().scan(folder).label_map) == {"cat": 1, "dog": 2}
    assert any(
        "2 classes are what the tasks say" in w
        for w in LabelStudio().scan(folder).warnings
    )
    (folder / "names.txt").write_text("dog\ncat\ncow\n")
    scan = LabelStudio(classes="names.txt").scan(folder)
    assert dict(scan.label_map) == {"dog": 1, "cat": 2, "cow": 3}


@pytest.mark.parametrize(
    ("text", "options", "match"),
    [
        ("{}", {}, "no export of Label Studio: .* got 1 other JSON files"),
        ("{}", {"annotations": "project.json"}, "project.json is no list of tasks"),
        ("[1]", {}, "project.json is no list of tasks"),
        ("", {}, "project.json: no JSON: it is empty"),
        ("[NaN]", {}, "project.json: no JSON"),
        ("[" * 5000, {}, "project.json: no JSON"),
        ("[]", {}, "have no label: expected a class"),
        ("[]", {"annotations": "gone.json"}, "gone.json cannot be read"),
    ],
)
def test_other_files_are_named(
    text: str, options: dict[str, str], match: str, tmp_path: Path
) -> None:
    (tmp_path / "project.json").write_text(text)
    with pytest.raises(SourceError, match=match):
        LabelStudio(**options).scan(tmp_path)


@pytest.mark.parametrize(
    ("data", "is_it"),
    [
        ([task(1, "a.jpg", region())], True),
        ([{"id": 1, "image": "a.jpg", "label": [{"polygonlabels": []}]}], True),
        ([{"id": 1, "label": [{"polygonlabels": ["cat"]}]}], True),
        ({"images": [], "annotations": []}, False),
        ([{"a": 1}], False),
    ],
)
def test_recognized_by_the_head(data: Any, is_it: bool, tmp_path: Path) -> None:
    write(tmp_path, data)
    assert (LabelStudio.recognize(tmp_path) is not None) is is_it


def test_ground_truth_of_the_field(
    shared_data: Path, tmp_path: Path, build_plainly: Build
) -> None:
    """A real export: masks as pycocotools draws them from the points."""
    folder = shared_data / "field/labelstudio-json"
    assert LabelStudio.recognize(folder) is not None
    build_plainly(folder, tmp_path, dataset_format=LabelStudio())
    tasks = {t["id"]: t for t in json.loads((folder / "project.json").read_text())}
    records = list(RecordSource(tmp_path, "train"))
    assert len(records) == len(tasks) == 5
    for record in records:
        found = tasks[int(record.image_id)]
        assert Path(found["data"]["image"]).name == Path(record.filename).name
        results = found["annotations"][0]["result"]
        size = (record.height, record.width)
        for item, result in zip(record.objects, results, strict=True):
            points = np.array(result["value"]["points"]) * size[::-1] / 100
            [encoded] = coco_mask.frPyObjects([points.ravel().tolist()], *size)
            assert item.name == result["value"]["polygonlabels"][0]
            assert np.array_equal(record.mask(item), coco_mask.decode(encoded))
