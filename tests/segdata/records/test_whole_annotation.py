"""Everything that an annotation dict says comes back from its record."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segdata.building.example import dict_to_tf_example
from segdata.building.sources import read_files
from segdata.errors import AnnotationError
from segdata.images.label_images import SourceRuns
from segdata.images.mask_images import MaskImageRuns
from segdata.label_map import LabelClass, LabelMap
from segdata.masks import rle
from segdata.records.encode import encode_record
from segdata.records.parse import parse_record
from segdata.records.proto import feature_values, serialize
from segdata.records.record import Record
from segdata.records.schema import KEYPOINT_NUM, KEYPOINT_TEXT, OBJECT_SOURCE
from segdata.records.to_example import to_example

HEIGHT, WIDTH = 12, 16
PET = LabelClass(id=1, name="Abyssinian", color=(9, 9, 9), source_ids=(1,))
DOG = LabelClass(id=2, name="beagle", color=(8, 8, 8), source_ids=("dog-5",))
LABELS = LabelMap(object_classes=(PET, DOG))
PAINTED = LabelMap(
    object_classes=(PET, DOG),
    semantic_classes=(LabelClass(id=0, name="background", color=(0, 0, 0)), PET, DOG),
    unpainted_id=0,
)


def with_keypoints(*names: str) -> LabelMap:
    return LabelMap(object_classes=(dataclasses.replace(PET, keypoints=names), DOG))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    trimap = np.full((HEIGHT, WIDTH), 2, np.uint8)
    trimap[2:8, 3:9] = 3
    trimap[3:7, 4:8] = 1
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    ids = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    ids[:4] = (1, 2, 0)  # 1 + 2 * 256 = 513
    ids[4:, :5] = (0, 0, 1)  # 65536
    Image.fromarray(ids).save(tmp_path / "ids.png")
    return tmp_path


def record_of(folder: Path, data: dict[str, Any], labels: LabelMap = LABELS) -> Record:
    example = dict_to_tf_example({"image": "a.png", **data}, labels, folder)
    return parse_record(serialize(example), "record 0")


def trimap(**data: Any) -> dict[str, Any]:
    return {"mask_image": {"path": "trimap.png", "encoding": "index"}, **data}


def panoptic(*ids: int) -> dict[str, Any]:
    return {
        "mask_image": {"path": "ids.png", "encoding": "id24"},
        "objects": [{"id": i, "category_id": 1, "mask_value": i} for i in ids],
    }


# --- ids, fields, captions -----------------------------------------------------------


def test_text_id_and_unknown_fields_of_an_image_come_back(folder: Path) -> None:
    fields = {"license": 3, "url": "x/é", "nested": {"b": [1, None], "a": 0.1}}
    record = record_of(folder, {"image_id": "img-7", "source": fields})
    assert (record.image_id, record.source) == ("img-7", fields)
    assert 0 <= int(record.source_id) < 2**24


def test_large_number_of_an_image_comes_back_beside_one_that_float32_holds(
    folder: Path,
) -> None:
    record = record_of(folder, {"image_id": 2**62})
    assert record.image_id == str(2**62)
    assert int(record.source_id) <= 2**24


def test_fields_of_an_object_come_back_to_the_digit(folder: Path) -> None:
    item = {
        "id": "a-1",
        "category_id": "dog-5",
        "bbox": [0.1, 2.3, 4.56789012345, 5.0],
        "area": 702.1057499999998,
        "iscrowd": 1,
        "source": {"attributes": {"occluded": True}, "score": 0.25},
    }
    (found,) = record_of(folder, {"objects": [item]}).objects
    assert found.source == {
        "id": "a-1",
        "category_id": "dog-5",
        "bbox": [0.1, 2.3, 4.56789012345, 5.0],
        "area": 702.1057499999998,
        "iscrowd": 1,
        "attributes": {"occluded": True},
        "score": 0.25,
    }


def test_order_of_fields_is_no_matter(folder: Path) -> None:
    fields = {"b": 1, "a": {"d": 2, "c": 3}}
    item = {"category_id": 1, "bbox": [0, 0, 1, 1], "source": fields}
    turned = dict(reversed([(k, v) for k, v in fields.items()]))
    turned["a"] = {"c": 3, "d": 2}
    one = dict_to_tf_example({"image": "a.png", "objects": [item]}, LABELS, folder)
    other = dict_to_tf_example(
        {"image": "a.png", "objects": [{**item, "source": turned}]}, LABELS, folder
    )
    assert serialize(one) == serialize(other)
    (text,) = feature_values(one, OBJECT_SOURCE.key)
    assert text == (b'{"a":{"c":3,"d":2},"b":1,"bbox":[0,0,1,1],"category_id":1}')


def test_object_field_may_not_stand_twice(folder: Path) -> None:
    item = {"category_id": 1, "bbox": [0, 0, 1, 1], "source": {"bbox": [9, 9, 9, 9]}}
    message = r"an annotation without id has \['bbox'\] in its 'source' too"
    with pytest.raises(AnnotationError, match=message):
        record_of(folder, {"objects": [item]})


def test_field_that_is_no_json_is_refused(folder: Path) -> None:
    item = {"id": 4, "category_id": 1, "bbox": [0, 0, 1, 1], "source": {"x": {1, 2}}}
    with pytest.raises(AnnotationError, match=r"annotation 4 cannot be stored as JSON"):
        record_of(folder, {"objects": [item]})
    with pytest.raises(AnnotationError, match=r"the image cannot be stored .*a\.png"):
        record_of(folder, {"source": {"x": object()}})


def test_captions_come_back(folder: Path) -> None:
    assert record_of(folder, {"captions": ["one", "zwei ü", ""]}).captions == (
        "one",
        "zwei ü",
        "",
    )
    assert record_of(folder, {"captions": []}).captions == ()


@pytest.mark.parametrize("caption", [5, None, b"text", "\ud800"])
def test_caption_that_is_no_text_is_refused(folder: Path, caption: Any) -> None:
    with pytest.raises(AnnotationError, match=r"a caption of .* expected text"):
        record_of(folder, {"captions": [caption]})


# --- class of the image, regions -----------------------------------------------------


@pytest.mark.parametrize(("source_id", "label"), [(1, PET), ("dog-5", DOG)])
def test_class_of_the_image_comes_back(
    folder: Path, source_id: Any, label: LabelClass
) -> None:
    found = record_of(folder, {"image_class": source_id}).image_class
    assert found is not None
    assert (found.label, found.name) == (label.id, label.name)
    assert found.source_id == str(source_id)


def test_unknown_class_of_the_image_is_refused(folder: Path) -> None:
    message = r"image 'a\.png' is of the unknown class 7: known are 1, dog-5"
    with pytest.raises(AnnotationError, match=message) as caught:
        record_of(folder, {"image_class": 7})
    assert caught.value.reason == "unknown-image-class"


def test_regions_come_back_and_are_cut_to_the_image(folder: Path) -> None:
    regions = [
        {"name": "head", "bbox": [1, 2, 3, 4], "source": {"pose": "Frontal"}},
        {"name": "tail", "bbox": [-2.5, 10, 5, 5]},
    ]
    record = record_of(folder, {"regions": regions})
    head, tail = record.regions
    assert head.name == "head"
    assert head.box == pytest.approx((2, 1, 6, 4), rel=1e-6)
    assert head.source == {"bbox": [1, 2, 3, 4], "pose": "Frontal"}
    assert tail.box == pytest.approx((10, 0, 12, 2.5), rel=1e-6)
    assert tail.source == {"bbox": [-2.5, 10, 5, 5]}
    assert record.notes == ("region-clipped",)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (5, "region 0 is a int: expected a dict"),
        ({"name": "head"}, "region 0 is .*: expected 'name' .text. and 'bbox'"),
        ({"bbox": [0, 0, 1, 1]}, "region 0 is .*: expected 'name'"),
        ({"name": "h", "bbox": [0, 0, -1, 1]}, r"region 0 \(h\) has the box"),
        ({"name": "h", "bbox": [0, 0, 1]}, r"region 0 \(h\) has the box"),
        ({"name": "h", "bbox": [0, 0, 1, 1], "x": 1}, r"unknown keys \['x'\]"),
    ],
)
def test_bad_region_is_refused_alone(folder: Path, region: Any, message: str) -> None:
    good = {"name": "head", "bbox": [1, 2, 3, 4]}
    data = {"image": "a.png", "regions": [region, good]}
    with pytest.raises(AnnotationError, match=message):
        encode_record(data, read_files(data, folder), LABELS)
    refused: list[AnnotationError] = []
    record = encode_record(
        data, read_files(data, folder), LABELS, on_bad_object=refused.append
    )
    assert [item.name for item in record.regions or ()] == ["head"]
    assert record.notes == ("regions-rejected",)
    assert len(refused) == 1


# --- keypoints -----------------------------------------------------------------------


def test_keypoints_come_back_padded_to_the_longest_list(folder: Path) -> None:
    labels = with_keypoints("nose", "left eye", "tail")
    points = [4, 3, 2, 8, 6, 1, 0, 0, 0]
    items = [
        {"category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": points},
        {"category_id": "dog-5", "bbox": [0, 0, 9, 9]},
    ]
    data = {"image": "a.png", "objects": items}
    example = dict_to_tf_example(data, labels, folder)
    assert feature_values(example, KEYPOINT_NUM.key) == [2, 0]
    names = [b"nose", b"left eye", b"tail", b"", b"", b""]
    assert feature_values(example, KEYPOINT_TEXT.key) == names
    first, second = parse_record(serialize(example), "record 0").objects
    np.testing.assert_allclose(first.keypoints, np.reshape(points, (3, 3)), rtol=1e-6)
    assert second.keypoints.tolist() == [[0, 0, 0]] * 3
    assert first.source["keypoints"] == points


def test_image_without_objects_in_a_dataset_of_keypoints(folder: Path) -> None:
    record = record_of(folder, {"objects": []}, with_keypoints("nose"))
    assert record.objects == ()


@pytest.mark.parametrize(
    "points",
    [[1, 2], [1, 2, 3], [1, 2, 0.5], [float("nan"), 0, 1], [1, 2, 2] * 2, ["a"] * 3],
)
def test_bad_keypoints_are_refused(folder: Path, points: Any) -> None:
    item = {"id": 4, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": points}
    with pytest.raises(AnnotationError, match=r"annotation 4 has .*keypoints") as found:
        record_of(folder, {"objects": [item]}, with_keypoints("nose"))
    assert found.value.reason == "bad-keypoints"


# --- masks from an image -------------------------------------------------------------


def test_mask_of_a_value_of_the_label_image(folder: Path) -> None:
    item = {"category_id": 1, "mask_value": 1}
    record = record_of(folder, trimap(objects=[item]))
    (found,) = record.objects
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[3:7, 4:8] = 1
    np.testing.assert_array_equal(record.mask(found), expected)
    assert found.box == pytest.approx((3, 4, 7, 8), rel=1e-6)


def test_value_that_no_pixel_has_is_an_empty_mask(folder: Path) -> None:
    record = record_of(folder, trimap(objects=[{"category_id": 1, "mask_value": 9}]))
    (found,) = record.objects
    assert found.runs.tolist() == [HEIGHT * WIDTH, 0]
    assert record.notes == ("object-mask-empty",)


def test_panoptic_segments_beyond_255_are_objects(folder: Path) -> None:
    record = record_of(folder, panoptic(513, 65536))
    top, left = (record.mask(item) for item in record.objects)
    assert top is not None
    assert left is not None
    assert (top.sum(), left.sum()) == (4 * WIDTH, 8 * 5)
    assert top[:4].all()
    assert left[4:, :5].all()


def test_segment_that_no_annotation_names_is_refused(folder: Path) -> None:
    data = {"image": "a.png", **panoptic(513)}
    message = r"'ids\.png' has pixels of the segments 65536, which no annotation names"
    with pytest.raises(AnnotationError, match=message) as caught:
        encode_record(data, read_files(data, folder), LABELS)
    assert caught.value.reason == "segment-unclaimed"
    refused: list[AnnotationError] = []
    record = encode_record(
        data, read_files(data, folder), LABELS, on_bad_object=refused.append
    )
    assert len(record.objects) == len(refused) == 1
    assert record.notes == ("objects-rejected",)


def test_annotation_whose_segment_is_not_there_is_refused(folder: Path) -> None:
    message = r"annotation 7: its segment 7 is not in the mask image 'ids\.png'"
    with pytest.raises(AnnotationError, match=message) as caught:
        record_of(folder, panoptic(513, 65536, 7))
    assert caught.value.reason == "segment-missing"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"objects": [{"id": 1, "category_id": 1, "mask_value": 1}]},
            "annotation 1: its mask is in no file: expected 'mask_image'",
        ),
        (
            {"objects": [{"id": 1, "category_id": 1, "mask_file": "m.png"}]},
            "annotation 1: its mask is in no file: expected 'mask_files'",
        ),
        (
            trimap(
                objects=[
                    {
                        "id": 1,
                        "category_id": 1,
                        "mask_value": 1,
                        "segmentation": [[0, 0, 5, 0, 5, 5]],
                    }
                ]
            ),
            "annotation 1 has a mask in a file and a 'segmentation'",
        ),
    ],
)
def test_mask_value_needs_a_mask_image_and_no_segmentation(
    folder: Path, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(AnnotationError, match=message):
        record_of(folder, data)


def test_mask_image_of_another_size_is_refused(folder: Path) -> None:
    Image.new("L", (WIDTH, HEIGHT + 1)).save(folder / "trimap.png")
    with pytest.raises(AnnotationError, match=r"mask image .* does not fit") as caught:
        record_of(folder, trimap(objects=[]))
    assert caught.value.reason == "mask-size-mismatch"


@given(
    side=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 2**32 - 1),
    values=st.integers(1, 5),
)
@settings(max_examples=150, deadline=None)
def test_masks_by_value_equal_comparison_of_pixels(
    side: tuple[int, int], seed: int, values: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, values, side)
    codes, lengths = rle.encode_label_map(pixels)
    height, width = side
    runs = SourceRuns(codes=codes, lengths=lengths, height=height, width=width)
    image = MaskImageRuns(source=runs, encoding="index", name="x.png", claims={})
    for value in range(values + 1):
        expected = rle.rle(pixels == value, height, width)
        assert image.runs(value).tolist() == expected.tolist()


# --- label maps painted from objects -------------------------------------------------


def dense(*rows: int) -> np.ndarray[Any, Any]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[list(rows)] = 1
    return mask


def painted(folder: Path, *items: dict[str, Any]) -> list[int]:
    """Label of the first pixel of each row."""
    record = record_of(
        folder, {"objects": list(items), "paint_label_map": True}, PAINTED
    )
    label_map = record.label_map()
    assert label_map is not None
    assert (label_map == label_map[:, :1]).all()
    return label_map[:, 0].tolist()


def test_smaller_masks_lie_on_larger_ones_whatever_their_order(folder: Path) -> None:
    large = {"category_id": 1, "segmentation": dense(0, 1, 2, 3)}
    small = {"category_id": "dog-5", "segmentation": dense(2, 3, 4)}
    expected = [1, 1, 2, 2, 2] + [0] * 7
    assert painted(folder, large, small) == expected
    assert painted(folder, small, large) == expected


def test_crowds_lie_below_and_of_equal_masks_the_later_is_on_top(folder: Path) -> None:
    crowd = {"category_id": 1, "segmentation": dense(0), "iscrowd": 1}
    one = {"category_id": "dog-5", "segmentation": dense(0, 1)}
    assert painted(folder, one, crowd)[:2] == [2, 2]
    other = {"category_id": 1, "segmentation": dense(1, 2)}
    assert painted(folder, one, other)[:3] == [2, 1, 1]
    assert painted(folder, other, one)[:3] == [2, 2, 1]


def test_objects_without_a_mask_leave_no_trace(folder: Path) -> None:
    box_only = {"category_id": 1, "bbox": [0, 0, 5, 5]}
    assert painted(folder, box_only) == painted(folder) == [0] * HEIGHT


def test_label_map_that_is_not_made_for_painting_is_refused(folder: Path) -> None:
    data = {"image": "a.png", "paint_label_map": True}
    with pytest.raises(AnnotationError, match=r"cannot be painted: .*`unpainted_id`"):
        dict_to_tf_example(data, LABELS, folder)
    lacking = dataclasses.replace(PAINTED, semantic_classes=(PET,))
    item = {"category_id": "dog-5", "segmentation": dense(1)}
    with pytest.raises(AnnotationError, match="class 'beagle' cannot be painted"):
        dict_to_tf_example({**data, "objects": [item]}, lacking, folder)


def test_label_image_and_painting_exclude_each_other(folder: Path) -> None:
    data = {
        "image": "a.png",
        "paint_label_map": True,
        "label_image": {"path": "trimap.png", "encoding": "index"},
    }
    with pytest.raises(AnnotationError, match="expected one of both"):
        dict_to_tf_example(data, PAINTED, folder)


def test_label_map_of_every_kind_survives_the_manifest() -> None:
    labels = dataclasses.replace(
        PAINTED,
        object_classes=(
            dataclasses.replace(
                PET,
                is_thing=False,
                keypoints=("nose", "tail"),
                skeleton=((1, 2),),
                source={"name_de": "Katze"},
            ),
            DOG,
        ),
    )
    assert LabelMap.from_json(labels.to_json()) == labels


def test_record_is_the_same_through_both_doors(folder: Path) -> None:
    data = {"image": "a.png", "objects": [], "captions": ["x"]}
    example = to_example(encode_record(data, read_files(data, folder), LABELS), LABELS)
    assert serialize(example) == serialize(dict_to_tf_example(data, LABELS, folder))
