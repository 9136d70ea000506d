"""Keypoints and captions: files that say more of the images of another."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_folder import (
    ABSENT,
    CATEGORIES,
    build,
    image_row,
    object_row,
    records,
    rejects,
    table,
    without_absent,
    write,
)

from segdata.building.options import BuildOptions
from segdata.building.plan import make_plan
from segdata.errors import AnnotationError, OptionError, SegdataError, SourceError
from segdata.formats.coco.format import Coco
from segdata.records.record import RecordObject

NAMES = ["nose", "left eye", "tail"]
POINTS = [4, 3, 2, 5.5, 3.25, 1, 0, 0, 0]
WITH_KEYPOINTS = {**CATEGORIES[0], "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]]}


def keypoints_row(annotation_id: Any = 10, image_id: Any = 1, **more: Any) -> Any:
    points = {"keypoints": POINTS, "num_keypoints": 2}
    return object_row(annotation_id, image_id, **points, **more)


def keypoints_file(*rows: Any, **more: Any) -> dict[str, Any]:
    return table(**{"annotations": list(rows), "categories": [WITH_KEYPOINTS], **more})


def caption_row(
    annotation_id: Any = 7, image_id: Any = 1, text: Any = "a b", **more: Any
) -> Any:
    return without_absent(
        {"id": annotation_id, "image_id": image_id, "caption": text, **more}
    )


def captions_file(*rows: Any) -> dict[str, Any]:
    return {"images": [], "annotations": list(rows)}


def put(root: Path, prefix: str, data: Any, stem: str = "train2017") -> None:
    path = root / "annotations" / f"{prefix}_{stem}.json"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())


def labelled(item: RecordObject) -> int:
    """Keypoints of an object that are labelled."""
    return int((item.keypoints[:, 2] > 0).sum())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "source")


# --- keypoints -----------------------------------------------------------------------


def test_keypoints_complete_the_instance_of_their_id(root: Path) -> None:
    put(root, "person_keypoints", keypoints_file(keypoints_row(area=1, score=0.5)))
    manifest = build(root)
    (item,) = records(root)["images/a"].objects
    assert item.keypoints.tolist() == np.reshape(POINTS, (3, 3)).tolist()
    assert labelled(item) == 2
    assert item.area == 24  # the instance's, where both say something
    assert item.source["keypoints"] == POINTS
    assert (item.source["score"], item.source["num_keypoints"]) == (0.5, 2)
    (cat, dog) = manifest.label_map.object_classes
    assert cat.keypoints == tuple(NAMES)
    assert cat.skeleton == ((1, 2), (1, 3))
    assert cat.supercategory == "animal"
    assert dog.keypoints == ()
    assert manifest.layout == (
        "instances_train2017.json + person_keypoints_train2017.json with images/"
    )


def test_object_without_keypoints_has_none_labelled(root: Path) -> None:
    put(root, "person_keypoints", keypoints_file(keypoints_row()))
    build(root)
    (item,) = records(root)["images/b"].objects
    assert item.keypoints.tolist() == [[0, 0, 0]] * 3
    assert labelled(item) == 0


def test_annotation_that_the_instances_lack_is_an_object_too(root: Path) -> None:
    rows = [keypoints_row(11, bbox=[1, 1, 4, 4]), keypoints_row(ABSENT)]
    put(root, "person_keypoints", keypoints_file(*rows))
    build(root)
    items = records(root)["images/a"].objects
    assert [item.source.get("id") for item in items] == [10, 11, None]
    assert [labelled(item) for item in items] == [0, 2, 2]
    assert items[1].box == pytest.approx((1, 1, 5, 5), rel=1e-6)


def test_annotation_of_the_same_id_in_another_image_is_another(root: Path) -> None:
    put(root, "person_keypoints", keypoints_file(keypoints_row(10, 2)))
    build(root)
    found = records(root)
    assert [labelled(i) for i in found["images/a"].objects] == [0]
    assert [(i.source["id"], labelled(i)) for i in found["images/b"].objects] == [
        (10, 2),
        (20, 0),
    ]


def test_annotations_of_an_id_that_stands_twice_are_objects_of_their_own(
    root: Path,
) -> None:
    rows = [keypoints_row(), keypoints_row(area=3)]
    put(root, "person_keypoints", keypoints_file(*rows))
    manifest = build(root)
    items = records(root)["images/a"].objects
    # In the order of their content: nothing else tells them apart.
    assert [item.source["id"] for item in items] == [10, 10, 10]
    assert sorted(map(labelled, items)) == [0, 2, 2]
    assert list(manifest.warnings) == [
        "person_keypoints_train2017.json: 1 annotation ids appear twice, e.g. 10; all "
        "annotations are kept"
    ]


def test_instances_of_one_id_get_the_same_keypoints(root: Path) -> None:
    rows = [object_row(), object_row(category_id=9, keypoints=None)]
    write(root, table(annotations=rows))
    categories = [WITH_KEYPOINTS, {**CATEGORIES[1], "keypoints": NAMES}]
    put(
        root, "person_keypoints", keypoints_file(keypoints_row(), categories=categories)
    )
    build(root)
    items = records(root)["images/a"].objects
    assert [labelled(item) for item in items] == [2, 0]


def test_keypoints_of_text_ids_are_joined(root: Path) -> None:
    write(root, table(annotations=[object_row("x-1")]))
    put(root, "person_keypoints", keypoints_file(keypoints_row("x-1")))
    build(root)
    (item,) = records(root)["images/a"].objects
    assert labelled(item) == 2
    assert item.source["id"] == "x-1"


def test_keypoints_alone_make_a_dataset(root: Path) -> None:
    (root / "annotations" / "instances_train2017.json").unlink()
    put(root, "person_keypoints", keypoints_file(keypoints_row()))
    manifest = build(root)
    assert manifest.layout == "person_keypoints_train2017.json with images/"
    (item,) = records(root)["images/a"].objects
    assert labelled(item) == 2
    assert records(root)["images/b"].objects == ()


def test_keypoints_in_the_instances_themselves_are_read(root: Path) -> None:
    rows = [keypoints_row(), object_row(11, category_id=9, keypoints=[1, 2, 3])]
    write(root, table(annotations=rows, categories=[WITH_KEYPOINTS, CATEGORIES[1]]))
    build(root)
    cat, dog = records(root)["images/a"].objects
    assert labelled(cat) == 2
    # Its category names none: what they are is unknown, so they stay as they are.
    assert (labelled(dog), dog.source["keypoints"]) == (0, [1, 2, 3])


@pytest.mark.parametrize(
    "points",
    [
        [1, 2, 2],
        [1, 2] * 4,
        [],
        [1, 2, 3, 4, 5, 6, 7, 8, "x"],
        [1, 2, 7] * 3,
        [1, 2, float("nan")] * 3,
        [1, float("inf"), 2] * 3,
        [1, 2, 1e999] * 3,
        [[1, 2, 2]] * 3,
        [None] * 9,
        {"x": 1},
        "1,2,2",
    ],
    ids=str,
)
def test_bad_keypoints_are_refused_with_their_object(root: Path, points: Any) -> None:
    row = {**keypoints_row(), "keypoints": points}
    put(root, "person_keypoints", keypoints_file(row))
    with pytest.raises(AnnotationError, match=r"annotation 10") as caught:
        build(root)
    assert str(caught.value).endswith("(image 'images/a.png')")
    manifest = build(root, "skip")
    (reject,) = rejects(root)
    assert reject["stage"] == "object"
    assert reject["reason"] in ("bad-keypoints", "bad-annotation")
    assert manifest.splits["train"].rejected_objects == {reject["reason"]: 1}
    assert records(root)["images/a"].objects == ()


def test_keypoints_of_an_unknown_image_are_refused(root: Path) -> None:
    rows = [keypoints_row(), keypoints_row(5, 99)]
    put(root, "person_keypoints", keypoints_file(*rows))
    message = r"person_keypoints_train2017\.json: annotation 5 is of the unknown image"
    with pytest.raises(AnnotationError, match=message):
        build(root)
    assert build(root, "skip").scan_rejects == {"unknown-image": 1}
    assert len(records(root)["images/a"].objects) == 1


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ({"keypoints": "nose"}, r"keypoints of category 5 are 'nose': expected a list"),
        ({"keypoints": [["nose"]]}, r"keypoints of category 5 are \[\['nose'\]\]: exp"),
        (
            {"keypoints": ["x"] * 1001},
            r"keypoints of category 5 are .* at most 1000 na",
        ),
        (
            {"skeleton": [[1]]},
            r"the skeleton of category 5 is \[\[1\]\]: expected pair",
        ),
        (
            {"skeleton": [["a", "b"]]},
            r"the skeleton of category 5 is .*: expected pair",
        ),
        ({"skeleton": 5}, r"the skeleton of category 5 is 5: expected pairs of keypoi"),
        (
            {"name": "cow"},
            r"category 5 is 'cat' in instances|category 5 is 'cow' in pe",
        ),
        ({"isthing": 7}, r"'isthing' of category 5 is 7: expected 0 or 1"),
        ({"note": {"x": 10**30}}, None),
    ],
    ids=str,
)
def test_categories_of_a_keypoints_file_are_checked(
    root: Path, category: Any, message: str | None
) -> None:
    rows = [{**WITH_KEYPOINTS, **category}]
    put(root, "person_keypoints", keypoints_file(keypoints_row(), categories=rows))
    if message is None:
        build(root)
        return
    with pytest.raises(SourceError, match=message) as caught:
        build(root, "skip")
    assert caught.value.reason == "bad-category"
    assert "person_keypoints_train2017.json" in str(caught.value)


def test_category_nested_too_deep_for_the_manifest_is_refused(root: Path) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    write(root, table(categories=[{**CATEGORIES[0], "x": deep}]))
    with pytest.raises(SourceError, match=r"fields of category 5 cannot be stored as"):
        build(root)


# --- captions ------------------------------------------------------------------------


def test_captions_stand_in_the_order_of_their_ids(root: Path) -> None:
    rows = [
        caption_row(9, text="ninth"),
        caption_row(3, text="dritte, für ü"),
        caption_row(4, 2, text="", by="x"),
    ]
    put(root, "captions", captions_file(*rows))
    manifest = build(root)
    found = records(root)
    assert found["images/a"].captions == ("dritte, für ü", "ninth")
    assert found["images/b"].captions == ("",)
    assert found["images/a"].source == {"captions": [{"id": 3}, {"id": 9}]}
    assert found["images/b"].source == {"captions": [{"by": "x", "id": 4}]}
    assert manifest.layout == (
        "instances_train2017.json + captions_train2017.json with images/"
    )


def test_image_without_captions_has_an_empty_list_of_them(root: Path) -> None:
    put(root, "captions", captions_file(caption_row()))
    build(root)
    assert records(root)["images/b"].captions == ()
    assert records(root)["images/b"].source == {}


@pytest.mark.parametrize("text", [5, None, ["a"], {"en": "a"}, True, 1.5, ABSENT])
def test_caption_that_is_no_text_is_left_out(root: Path, text: Any) -> None:
    put(root, "captions", captions_file(caption_row(), caption_row(8, text=text)))
    message = r"captions_train2017\.json: caption 8 of image 1 is .*: expected text"
    with pytest.raises(AnnotationError, match=message):
        build(root)
    manifest = build(root, "skip")
    assert manifest.scan_rejects == {"bad-caption": 1}
    (reject,) = rejects(root)
    assert (reject["stage"], reject["reason"]) == ("scan", "bad-caption")
    assert re.search(message, reject["message"])
    assert records(root)["images/a"].captions == ("a b",)


def test_caption_of_an_unknown_image_is_refused(root: Path) -> None:
    put(root, "captions", captions_file(caption_row(), caption_row(8, 99)))
    message = r"captions_train2017\.json: annotation 8 is of the unknown image 99"
    with pytest.raises(AnnotationError, match=message):
        build(root)
    assert build(root, "skip").scan_rejects == {"unknown-image": 1}


# --- which files ---------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["person_keypoints", "captions"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", r"is not JSON: Input data was truncated"),
        (b"[]", r"is not COCO-style JSON: expected the key 'annotations' with a list"),
        (b"[" * 5000, r"nested too deep"),
        (b'{"annotations": 5, "categories": []}', r"expected the key 'annotations'"),
        (b'{"annotations": [5], "categories": []}', r"the key 'annotations' with a l"),
        (
            b'{"annotations": [{"id": "\xff"}], "categories": []}',
            r"is not JSON: str is",
        ),
    ],
    ids=str,
)
def test_bad_companion_is_refused_by_name(
    root: Path, prefix: str, data: bytes, message: str
) -> None:
    put(root, prefix, data)
    with pytest.raises(SegdataError, match=message) as caught:
        build(root, "skip")
    assert f"{prefix}_train2017.json" in str(caught.value)


def test_companions_are_left_aside_on_request(root: Path) -> None:
    put(root, "person_keypoints", b"not read")
    put(root, "captions", b"not read")
    build(root, coco=Coco(keypoints="none", captions="none"))
    record = records(root)["images/a"]
    assert (record.captions, record.source) == ((), {})


def test_companions_are_given_by_path(root: Path) -> None:
    put(root, "person_keypoints", keypoints_file(keypoints_row()), "mine")
    put(root, "captions", captions_file(caption_row()), "mine")
    options = Coco(
        keypoints="annotations/person_keypoints_mine.json",
        captions=str(root / "annotations" / "captions_mine.json"),
    )
    build(root, coco=options)
    record = records(root)["images/a"]
    assert record.captions == ("a b",)
    assert labelled(record.objects[0]) == 2


def test_given_companion_that_is_missing_is_named(root: Path) -> None:
    with pytest.raises(SourceError, match=r"nope\.json cannot be read: No such file"):
        Coco(captions="nope.json").scan(root)


def test_given_companion_of_two_files_is_refused(root: Path) -> None:
    write(root, name="annotations/instances_val2017.json")
    message = r"'x\.json' is to go with one JSON of images, and there are 2: choose one"
    with pytest.raises(OptionError, match=message):
        Coco(captions="x.json").scan(root)


def test_each_split_has_its_own_companions(root: Path) -> None:
    rows = [image_row(5, "c.png")]
    write(
        root,
        table(images=rows, annotations=[]),
        name="annotations/instances_val2017.json",
    )
    (root / "images" / "a.png").rename(root / "images" / "c.png")
    write(root)
    put(root, "captions", captions_file(caption_row()))
    put(root, "captions", captions_file(caption_row(1, 5, "of c")), "val2017")
    build(root)
    assert records(root, "val")["images/c"].captions == ("of c",)
    assert records(root, "train")["images/a"].captions == ("a b",)


@pytest.mark.parametrize(
    ("main", "beside"),
    [
        ("annotations/instances.json", "annotations/captions.json"),
        ("annotations/train.json", "annotations/captions_train.json"),
        ("train/_annotations.coco.json", "train/captions_annotations.coco.json"),
    ],
)
def test_companion_is_found_beside_any_name(
    tmp_path: Path, main: str, beside: str
) -> None:
    folder = main.split("/")[0].replace("annotations", "images")
    root = write(tmp_path / "s", name=main, folder=folder)
    (root / beside).write_text(json.dumps(captions_file(caption_row())))
    build(root)
    assert records(root)[f"{folder}/a"].captions == ("a b",)


def test_order_of_the_files_does_not_matter(root: Path) -> None:
    keypoints = [
        keypoints_row(i, score=s) for i, s in ((10, 1), (9, 2), (9, 3), (8, 1))
    ]
    captions = [caption_row(i, text=t) for i, t in ((3, "c"), (3, "a"), (1, "b"))]
    plans = []
    for seed in range(4):
        draw = random.Random(seed)
        for rows in (keypoints, captions):
            draw.shuffle(rows)
        turned = [dict(draw.sample(list(r.items()), len(r))) for r in keypoints]
        put(root, "person_keypoints", keypoints_file(*turned))
        put(root, "captions", captions_file(*captions))
        plan = make_plan(Coco().scan(root), root, "coco", BuildOptions())
        plans.append(dict(plan.lines))
    assert plans[1:] == plans[:-1]
