from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segdata.errors import CorruptionError
from segdata.label_map import LabelClass, LabelMap
from segdata.statistics.columns import RecordColumns
from segdata.statistics.summary import summarize_split
from segdata.statistics.tally import (
    MAX_EXAMPLES,
    ChannelTally,
    Distribution,
    SplitTally,
)

LABEL_MAP = LabelMap(
    object_classes=(
        LabelClass(id=1, name="cat", color=(1, 2, 3)),
        LabelClass(id=2, name="dog", color=(3, 2, 1)),
    ),
    semantic_classes=(
        LabelClass(id=0, name="road", color=(0, 0, 9)),
        LabelClass(id=3, name="sky", color=(0, 9, 9)),
    ),
    ignore_id=255,
)


def columns(
    key: str = "a",
    *,
    size: tuple[int, int] = (10, 20),
    labels: tuple[int, ...] = (),
    areas: tuple[float, ...] = (),
    boxes: tuple[tuple[float, ...], ...] = (),
    mask_pixels: tuple[int, ...] | None = None,
    crowds: tuple[bool, ...] = (),
    pixels: dict[int, int] | None = None,
    visibility: tuple[tuple[int, ...], ...] = (),
) -> RecordColumns:
    """A record; objects have masks of their area in boxes that fill the image."""
    count = len(labels)
    height, width = size
    box = (0.0, 0.0, float(height), float(width))
    masks = mask_pixels if mask_pixels is not None else tuple(map(int, areas))
    return RecordColumns(
        key=key,
        encoded=b"",
        height=height,
        width=width,
        label_values=None if pixels is None else np.array([*pixels], np.uint8),
        label_lengths=np.array([*(pixels or {}).values()], np.int64),
        labels=np.array(labels, np.int64),
        crowds=np.array(crowds or (False,) * count, np.bool_),
        areas=np.array(areas, np.float64),
        boxes=np.array(boxes or (box,) * count, np.float64).reshape(count, 4),
        num_runs=np.array([2 * (pixel >= 0) for pixel in masks], np.int64),
        mask_pixels=np.array([max(0, pixel) for pixel in masks], np.int64),
        visibility=np.array(visibility or ((),) * count, np.int64).reshape(
            count, len(visibility[0]) if visibility else 0
        ),
    )


def levels_of(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.stack(
        [np.bincount(pixels[..., i].ravel(), minlength=256) for i in range(3)]
    )


def tally_of(*records: RecordColumns) -> SplitTally:
    tally = SplitTally(256)
    for position, record in enumerate(records):
        tally.add(record, 100 + position, position)
    return tally


def summary_of(*records: RecordColumns) -> dict:
    return summarize_split(tally_of(*records), LABEL_MAP)


def by_name(rows: list[dict]) -> dict[str, dict]:
    return {row["name"]: row for row in rows}


def test_objects_are_counted_by_class_size_and_crowd() -> None:
    summary = summary_of(
        columns("a", labels=(1, 1, 2), areas=(1023.9, 1024, 9216), crowds=(0, 0, 1)),
        columns("b", labels=(2,), areas=(9215.9,)),
        columns("c"),
    )
    assert (summary["images"], summary["objects"], summary["crowds"]) == (3, 4, 1)
    assert summary["crowd_share"] == 0.25
    assert summary["empty_images"] == 1
    sizes = summary["object_sizes"]
    assert (sizes["small"], sizes["medium"], sizes["large"]) == (1, 2, 1)
    assert sum(sizes["histogram"]) == 4
    dog = by_name(summary["object_classes"])["dog"]
    assert (dog["objects"], dog["images"], dog["crowds"]) == (2, 2, 1)
    assert dog["mask_pixels"] == 9216 + 9215
    assert (dog["sizes"]["medium"], dog["sizes"]["large"]) == (1, 1)
    assert dog["object_share"] == 0.5
    assert {found["key"] for found in dog["examples"]} == {"a", "b"}


def test_pixels_and_weights_by_class() -> None:
    # Two images of 200 pixels: road 150 + 200, sky 50 of the first one.
    summary = summary_of(
        columns("a", pixels={0: 150, 3: 50}), columns("b", pixels={0: 200})
    )
    rows = by_name(summary["semantic_classes"])
    assert rows["road"]["pixels"] == 350
    assert rows["sky"]["pixel_share"] == 50 / 400
    assert (rows["road"]["images"], rows["sky"]["images"]) == (2, 1)
    # Frequencies: 350 / 400 and 50 / 200; their median is 0.5625.
    assert rows["road"]["median_frequency_weight"] == pytest.approx(0.5625 / 0.875)
    assert rows["sky"]["median_frequency_weight"] == pytest.approx(0.5625 / 0.25)
    assert rows["road"]["inverse_frequency_weight"] == pytest.approx(400 / (2 * 350))
    assert rows["sky"]["inverse_frequency_weight"] == pytest.approx(400 / (2 * 50))
    assert summary["empty_images"] == 1  # one class only, no object


def test_ignored_pixels_weigh_nothing_and_are_listed() -> None:
    summary = summary_of(columns(pixels={0: 100, 255: 100}))
    rows = by_name(summary["semantic_classes"])
    assert rows["id 255"]["is_ignored"]
    assert rows["id 255"]["median_frequency_weight"] is None
    assert rows["id 255"]["pixels"] == 100
    assert rows["road"]["inverse_frequency_weight"] == 1
    assert rows["sky"]["median_frequency_weight"] is None
    assert rows["sky"]["pixels"] == 0


def test_image_sizes_and_aspect_ratios() -> None:
    sizes = summary_of(
        columns("a", size=(10, 10)),
        columns("b", size=(10, 10)),
        columns("c", size=(10, 40)),
        columns("d", size=(90, 10)),
    )["image_sizes"]
    assert sizes["widths"] == {"min": 10, "max": 40, "mean": 17.5}
    assert sizes["heights"] == {"min": 10, "max": 90, "mean": 30}
    assert sizes["num_different"] == 3
    first = {"width": 10, "height": 10, "images": 2}
    assert sizes["most_frequent"][0] == first
    ratios = sizes["aspect_ratios"]
    assert sum(ratios["histogram"]) == 4
    square = ratios["edges"].index(0.95) + 1
    assert ratios["histogram"][square] == 2
    assert (ratios["histogram"][0], ratios["histogram"][-1]) == (1, 1)


@pytest.mark.parametrize(
    ("record", "name", "count"),
    [
        (columns(size=(10, 40)), "long-image", 1),
        (columns(labels=(1, 1), areas=(4, 5), mask_pixels=(0, 5)), "empty-mask", 1),
        (columns(labels=(1, 1, 1), areas=(15, 16, 3)), "tiny-object", 2),
        (columns(labels=(1,), areas=(20,), boxes=((0, 0, 1, 20),)), "long-box", 1),
        (columns(labels=(1,), areas=(20,), boxes=((3, 0, 3, 20),)), "empty-box", 1),
        (
            columns(labels=(1,), areas=(40,), boxes=((0, 0, 4, 4),)),
            "mask-outside-box",
            1,
        ),
        (
            columns(labels=(1, 1), areas=(130, 100), mask_pixels=(100, 100)),
            "area-not-of-mask",
            1,
        ),
    ],
)
def test_what_looks_odd_is_named(record: RecordColumns, name: str, count: int) -> None:
    found = summary_of(record)["findings"]
    assert found[name] == {"count": count, "examples": [{"key": "a", "position": 0}]}


def test_what_looks_right_is_not_named() -> None:
    box_only = columns(labels=(1, 2), areas=(200, 200), mask_pixels=(-1, 200))
    crowd = columns(labels=(1,), areas=(9,), crowds=(True,))
    summary = summary_of(box_only, crowd, columns())
    assert summary["findings"] == {}
    assert summary["box_only_objects"] == 1


def test_examples_are_few_and_the_same_in_any_order() -> None:
    records = [columns(f"{i}", labels=(1,), areas=(50,)) for i in range(40)]
    one, other = SplitTally(256), SplitTally(256)
    for position, record in enumerate(records):
        one.add(record, 1, position)
    for position, record in reversed(list(enumerate(records))):
        other.add(record, 1, position)
    chosen = one.classes.examples["objects", 1].chosen
    assert chosen == other.classes.examples["objects", 1].chosen
    assert len(chosen) == MAX_EXAMPLES


def test_class_id_outside_the_label_map_is_named() -> None:
    tally = SplitTally(3)
    with pytest.raises(CorruptionError, match="'a' has an object of unknown class id"):
        tally.add(columns(labels=(3,), areas=(9,)), 1, 0)


STARS = LabelMap(
    object_classes=(
        LabelClass(id=1, name="pair", color=(1, 2, 3), keypoints=("a", "b")),
        LabelClass(id=2, name="one", color=(3, 2, 1), keypoints=("tip",)),
        LabelClass(id=3, name="none", color=(3, 2, 9)),
    )
)


def star(key: str, label: int, *visibility: tuple[int, ...]) -> RecordColumns:
    count = len(visibility)
    labels, areas = (label,) * count, (50,) * count
    return columns(key, labels=labels, areas=areas, visibility=visibility)


def test_keypoints_are_counted_by_point_and_visibility() -> None:
    tally = SplitTally(4)
    records = [
        star("a", 1, (2, 1), (2, 0), (0, 0)),  # the last has none
        columns("b"),
        star("c", 2, (1, 0)),
        star("d", 3, (0, 0)),
    ]
    tally.add_all([(record, 1, i) for i, record in enumerate(records)])
    summary = summarize_split(tally, STARS)
    assert summary["keypoint_objects"] == 3
    rows = by_name(summary["object_classes"])

    def point(name: str, visible: int, covered: int, not_labelled: int) -> dict:
        amounts = {"visible": visible, "covered": covered, "not_labelled": not_labelled}
        return {"name": name, **amounts}

    assert rows["pair"]["keypoints"] == {
        "objects": 2,
        "points": [point("a", 2, 0, 0), point("b", 0, 1, 1)],
    }
    assert rows["one"]["keypoints"] == {"objects": 1, "points": [point("tip", 0, 1, 0)]}
    assert rows["none"]["keypoints"] is None


def test_keypoints_of_parts_add_up() -> None:
    one, other, empty = SplitTally(4), SplitTally(4), SplitTally(4)
    one.add(star("a", 1, (2, 1)), 1, 0)
    other.add(columns("b", labels=(1,), areas=(50,)), 1, 1)  # of no keypoints
    other.add(star("c", 1, (1, 1)), 1, 2)
    for part in (one, other):
        empty.merge(pickle.loads(pickle.dumps(part)))
    rows = by_name(summarize_split(empty, STARS)["object_classes"])
    assert rows["pair"]["keypoints"]["objects"] == 2
    points = rows["pair"]["keypoints"]["points"]
    assert [(p["visible"], p["covered"]) for p in points] == [(1, 1), (0, 2)]


def test_keypoints_without_any_counted_are_zeros() -> None:
    rows = by_name(summarize_split(SplitTally(4), STARS)["object_classes"])
    assert rows["pair"]["keypoints"]["objects"] == 0
    assert [p["visible"] for p in rows["pair"]["keypoints"]["points"]] == [0, 0]


def test_records_of_other_numbers_of_keypoints_are_named() -> None:
    records = [star("a", 1, (2, 1)), star("b", 1, (2,))]
    message = "'b' has 1 keypoints for each object: expected 2, as 'a' has"
    with pytest.raises(CorruptionError, match=message):
        SplitTally(4).add_all([(record, 1, 0) for record in records])


def test_nothing_counted_sums_up() -> None:
    summary = summary_of()
    assert summary["images"] == 0
    assert summary["crowd_share"] is None
    assert summary["channels"] is None
    assert summary["record_bytes"]["min"] is None
    assert summary["record_bytes"]["histogram"] == []


def test_distribution_bins_by_bits() -> None:
    found = Distribution()
    for value in (0, 1, 2, 3, 4, 1000):
        found.add(value)
    assert (found.lowest, found.highest, found.total) == (0, 1000, 1010)
    assert found.by_bits[:4].tolist() == [1, 1, 2, 1]
    assert found.by_bits[10] == 1  # 512 to 1023


def test_distribution_merges_with_an_empty_one() -> None:
    full, empty = Distribution(), Distribution()
    full.add(7)
    empty.merge(full)
    full.merge(Distribution())
    assert (empty.lowest, empty.highest, empty.count) == (7, 7, 1)
    assert (full.lowest, full.highest, full.count) == (7, 7, 1)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1)),
        min_size=1,
        max_size=5,
    )
)
def test_channels_are_numpys(images: list[tuple[int, int, int]]) -> None:
    pixels = [
        np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        for height, width, seed in images
    ]
    tally = SplitTally(256)
    for number, image in enumerate(pixels):
        tally.add(columns(f"{number}"), 1, number)
        tally.channels.add(levels_of(image))
    together = np.concatenate([image.reshape(-1, 3) for image in pixels])
    channels = summarize_split(tally, LABEL_MAP)["channels"]
    assert channels["is_exact"]
    assert channels["pixels"] == len(together)
    np.testing.assert_allclose(channels["mean"], together.mean(axis=0))
    np.testing.assert_allclose(channels["std"], together.std(axis=0), atol=1e-6)


def test_error_of_a_sample_is_that_of_its_images() -> None:
    tally = SplitTally(256)
    levels = [10, 20, 60]
    for number in range(12):
        tally.add(columns(f"{number}"), 1, number)
    for level in levels:
        tally.channels.add(levels_of(np.full((5, 5, 3), level, np.uint8)))
    channels = summarize_split(tally, LABEL_MAP)["channels"]
    assert not channels["is_exact"]
    expected = np.std(levels, ddof=1) / np.sqrt(3) * np.sqrt(1 - 3 / 12)
    np.testing.assert_allclose(channels["standard_error"], [expected] * 3)


def test_one_image_tells_no_error() -> None:
    tally = tally_of(columns("a"), columns("b"))
    tally.channels.add(levels_of(np.zeros((2, 2, 3), np.uint8)))
    channels = summarize_split(tally, LABEL_MAP)["channels"]
    assert channels["standard_error"] is None


def test_merged_channels_are_those_of_all() -> None:
    one, other, both = ChannelTally(), ChannelTally(), ChannelTally()
    for number, into in enumerate((one, other)):
        levels = levels_of(np.full((3, 4, 3), (number, 7, 200), np.uint8))
        into.add(levels)
        both.add(levels)
    one.merge(other)
    assert one == both


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_partition_in_any_order_gives_the_same_sum(data: st.DataObject) -> None:
    records = []
    for number in range(data.draw(st.integers(1, 12))):
        count = data.draw(st.integers(0, 3))
        records.append(
            columns(
                f"key {number}",
                size=(data.draw(st.integers(1, 9)), 9),
                labels=tuple(data.draw(st.integers(1, 2)) for _ in range(count)),
                areas=tuple(data.draw(st.integers(0, 20000)) for _ in range(count)),
                pixels=data.draw(
                    st.none()
                    | st.dictionaries(st.sampled_from([0, 3, 255]), st.just(5))
                ),
            )
        )
    whole = summarize_split(tally_of(*records), LABEL_MAP)
    parts = [SplitTally(256) for _ in range(3)]
    for position, record in data.draw(st.permutations(list(enumerate(records)))):
        part = parts[data.draw(st.integers(0, 2))]
        part.add(record, 100 + position, position)
    merged = SplitTally(256)
    for part in data.draw(st.permutations(parts)):
        merged.merge(pickle.loads(pickle.dumps(part)))
    assert summarize_split(merged, LABEL_MAP) == whole
