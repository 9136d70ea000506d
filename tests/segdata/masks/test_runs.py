"""Compiled runs: the bytes of pycocotools', and nothing that it would refuse."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from segdata.errors import AnnotationError
from segdata.formats.coco.format import Coco
from segdata.masks import arrays, coco, compiled, rle
from segdata.masks.rle import rle_batch
from segdata.records.proto import Example, serialize
from segdata.samples.coco import write_coco_sample

runs = pytest.importorskip(
    "segdata.masks._runs", reason="no C compiler when segdata was installed"
)

TRIANGLE = [1, 1, 9, 2, 5, 8.5]
# Halves and fifths lie on the ties of the five-fold oversampling.
coordinates = st.one_of(
    st.floats(-40, 120, allow_nan=False),
    st.integers(-20, 60),
    st.integers(-100, 300).map(lambda number: number / 5),
    st.integers(-40, 120).map(lambda number: number / 2),
)
parts = st.integers(3, 9).flatmap(
    lambda corners: st.lists(coordinates, min_size=2 * corners, max_size=2 * corners)
)
objects = st.lists(st.lists(parts, min_size=1, max_size=4), max_size=4)
sides = st.integers(1, 50)


@st.composite
def images(draw):
    """Objects of all kinds, height and width."""
    height, width = draw(st.one_of(sides, st.just(1))), draw(sides)
    cuts = st.lists(st.integers(0, height * width), max_size=12).map(sorted)
    found = draw(objects)
    for ends in draw(st.lists(cuts, max_size=4)):
        counts = np.diff([0, *ends, height * width]).tolist()
        plain = {"size": [height, width], "counts": counts}
        pixels = np.repeat(np.arange(len(counts), dtype=np.uint8) % 2, counts)
        mask = np.ascontiguousarray(pixels.reshape(width, height).T)
        kinds = [plain, coco_mask.frPyObjects(plain, height, width), mask, mask == 1]
        kinds.append({**kinds[1], "counts": kinds[1]["counts"].decode()})
        found.append(draw(st.sampled_from(kinds)))
    return found, height, width


def without_it(work, *given):
    """What a function gives where nothing was compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "runs", None)
        return work(*given)


def as_lists(found):
    return [item.tolist() for item in found]


@settings(max_examples=150, deadline=None)
@given(images())
def test_both_ways_give_the_same(image):
    found, height, width = image
    assert runs.encode(found, height, width) is not None
    encoded = rle_batch(found, height, width)
    assert as_lists(encoded) == as_lists(without_it(rle_batch, *image))
    assert {item.dtype for item in encoded} <= {np.dtype(np.int64)}
    assert runs.compress(encoded, height, width) is not None
    size = (height, width)
    expected = without_it(coco.compressed_rles, encoded, *size)
    assert coco.compressed_rles(encoded, *size) == expected
    masks = arrays.decode_masks(encoded, *size)
    np.testing.assert_array_equal(
        masks, without_it(arrays.decode_masks, encoded, *size)
    )
    for mask, item in zip(masks, encoded, strict=True):
        np.testing.assert_array_equal(mask, rle.decode(item, *size))


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_label_maps_have_the_same_runs(data):
    kind = data.draw(st.sampled_from("?bBhHiIlLqQ"))
    size = data.draw(st.integers(1, 400))
    seed, density = (
        data.draw(st.integers(0, 99)),
        data.draw(st.sampled_from([0, 0.02, 1])),
    )
    random = np.random.default_rng(seed)
    values = np.cumsum(random.random(size) < density) * random.integers(1, 2**62)
    labels = values.astype(kind).reshape(1, size)
    assert runs.changes(labels[0]) is not None
    found = rle.encode_label_map(labels)
    expected = without_it(rle.encode_label_map, labels)
    assert as_lists(found) == as_lists(expected)
    assert [item.dtype for item in found] == [item.dtype for item in expected]


@pytest.mark.parametrize(
    "segmentation",
    [
        [],
        [[]],
        TRIANGLE,
        [TRIANGLE[:4]],
        [[*TRIANGLE, 3]],
        [tuple(TRIANGLE)],
        (TRIANGLE,),
        [TRIANGLE, None],
        [[*TRIANGLE[:5], None]],
        [[*TRIANGLE[:5], "8"]],
        [[*TRIANGLE[:5], True]],
        [[*TRIANGLE[:5], [8]]],
        [[*TRIANGLE[:5], float("nan")]],
        [[*TRIANGLE[:5], float("inf")]],
        [[*TRIANGLE[:5], 1e9]],
        [[*TRIANGLE[:5], 10**400]],
        [[*TRIANGLE[:5], np.float64(8)]],
        [[0, 0, 1_000_000, 0, 0, 1, 0, 0]],  # longer than is walked here
        None,
        "100",
        {},
        {"size": [10, 10]},
        {"counts": [100]},
        {"size": (10, 10), "counts": [100]},
        {"size": [10, 10.0], "counts": [100]},
        {"size": [True, 100], "counts": [100]},
        {"size": [5, 20], "counts": [100]},
        *(
            {"size": [10, 10], "counts": counts}
            for counts in (
                *([], [50, 49], [50, 51], [-1, 101], [2**62] * 4, [2**70], [100.0]),
                *(["100"], [True, 99], (100,), None, np.array([100])),
                *("", "0 1", "~", "P", "T", "T3P", "PPPPPPP1", "o" * 20 + "0", "O"),
                *("T3\xe9", "\ud800", b"\xff", b"T3\0", bytearray(b"T3")),
            )
        ),
        np.zeros((9, 11), bool),
        np.zeros(100, bool),
        np.zeros((10, 10)),
        np.zeros((10, 10), np.int64),
        np.zeros((10, 20), bool)[:, ::2],
        np.zeros((10, 10), bool).T[::-1],
    ],
)
def test_what_is_odd_is_left_to_the_other_way(segmentation):
    assert runs.encode([[TRIANGLE], {"size": [10, 10], "counts": "T3"}], 10, 10)
    assert runs.encode([[TRIANGLE], segmentation], 10, 10) is None


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [100],
        [50, 49],
        [101, -1],
        [2**62] * 4,
        [0, 50, 0, 51],
        np.array([50.0, 50.0]),
        np.array([50, 50], np.int32),
        np.array([50, 0, 50, 0])[::2],
        None,
    ],
)
def test_bad_runs_are_left_to_the_other_way(bad):
    item = np.array(bad, np.int64) if isinstance(bad, list) else bad
    good = np.array([50, 50])
    assert runs.decode([good, item], 100) is None
    assert runs.decode([good, item], 2**62) is None
    if not isinstance(bad, list) or len(bad) % 2 == 0:
        assert runs.compress([good, item], 10, 10) is None


def test_errors_are_those_of_the_other_way():
    with pytest.raises(AnnotationError, match="polygon has 4 numbers") as caught:
        rle_batch([[TRIANGLE], [[1, 2, 3, 4]]], 10, 10)
    assert caught.value.index == 1
    for work in (runs.encode, runs.compress):
        with pytest.raises(TypeError, match="list"):
            work((), 10, 10)
        assert work([], 10, 1 << 17) is None
    with pytest.raises(TypeError, match="list"):
        runs.decode((), 100)
    with pytest.raises(MemoryError):
        runs.decode([np.array([2**62, 0])] * 2, 2**62)


def test_many_boundaries_are_left_to_the_other_way():
    # Stripes of one pixel: little to say along the columns, all pixels along the rows.
    side = 1200
    stripe = [[[x, 0, x + 1, 0, x + 1, side, x, side] for x in range(0, side, 2)]]
    assert runs.encode(stripe, side, side) is None
    [found] = rle_batch(stripe, side, side)
    assert len(found) == side * side + 2
    whole = {"size": [side, side], "counts": [0, side * side]}
    assert runs.encode([whole], side, side) is not None
    noise = np.arange(side * side, dtype=np.uint8).reshape(side, side) & 1
    assert runs.encode([noise], side, side) is None
    assert len(rle_batch([noise], side, side)[0]) == side * side
    assert runs.changes(noise.reshape(-1)) is None
    assert len(rle.encode_label_map(noise)[0]) == side * side


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40))
def test_integers_are_written_as_protobuf_writes_them(values):
    example = Example()
    of_list = example.features.feature["x"].int64_list
    of_list.SetInParent()
    of_list.value.extend(values)
    other = Example()
    other.features.feature["x"].int64_list.MergeFromString(
        runs.int64_list(np.array(values, np.int64))
    )
    assert serialize(other) == serialize(example)


def test_memory_is_given_back():
    counted = {"size": [400, 1000], "counts": [7, 300, 399_693]}
    mask = np.eye(400, 1000, dtype=bool)
    outlines = [[TRIANGLE, [0, 0, 400, 3, 200, 400]], counted, mask]
    encoded = rle_batch(outlines, 400, 1000)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            assert runs.encode(outlines, 400, 1000) is not None
            runs.encode([*outlines, None], 400, 1000)
            runs.int64_list(np.arange(1000))
            runs.compress([*encoded, encoded[0]], 400, 1000)
            runs.compress([*encoded, None], 400, 1000)
            runs.decode(encoded, 400_000)
            runs.decode([*encoded, None], 400_000)
            runs.changes(mask.reshape(-1))
        assert tracemalloc.get_traced_memory()[0] - before < 50_000
    finally:
        tracemalloc.stop()


def test_builds_have_the_same_bytes_without_it(
    tmp_path: Path, build_plainly, monkeypatch: pytest.MonkeyPatch
):
    write_coco_sample(tmp_path / "source", seed=0, num_train=12, num_val=4)

    def shards(name: str) -> dict[str, bytes]:
        build_plainly(tmp_path / "source", tmp_path / name, dataset_format=Coco())
        found = (tmp_path / name).glob("*.tfrecord-*")
        return {path.name: path.read_bytes() for path in found}

    quick = shards("quick")
    assert quick
    monkeypatch.setattr(compiled, "runs", None)
    assert shards("slow") == quick
