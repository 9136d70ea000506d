"""Compiled runs: the bytes of pycocotools', and nothing that it would refuse."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segdata.errors import AnnotationError
from segdata.formats.coco.format import Coco
from segdata.masks import compiled, polygons
from segdata.masks.limits import MaskBudget
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
    """Objects by column-major counts, by polygons, height and width."""
    height, width = draw(sides), draw(sides)
    cuts = st.lists(st.integers(0, height * width), max_size=12).map(sorted)
    counts = [
        np.diff([0, *ends, height * width]) for ends in draw(st.lists(cuts, max_size=3))
    ]
    return counts, draw(objects), height, width


@settings(max_examples=150, deadline=None)
@given(images())
def test_both_ways_give_the_same_runs(image):
    counts, outlines, height, width = image
    assert runs.encode([*counts, *outlines], height, width) is not None
    found = polygons.encode_columns(counts, outlines, height, width, MaskBudget())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "runs", None)
        expected = polygons.encode_columns(
            counts, outlines, height, width, MaskBudget()
        )
    assert [item.tolist() for item in found] == [item.tolist() for item in expected]
    assert {item.dtype for item in found} <= {np.dtype(np.int64)}


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
        np.array([50, 49]),
        np.array([50, 51]),
        np.array([-1, 101]),
        np.array([2**62, 2**62, 2**62, 2**62]),
        np.zeros(0, np.int64),
        np.zeros((4, 4))[:, ::2],
    ],
)
def test_what_is_odd_is_left_to_the_other_way(segmentation):
    assert runs.encode([[TRIANGLE], segmentation], 10, 10) is None


def test_errors_are_those_of_the_other_way():
    with pytest.raises(AnnotationError, match="polygon has 4 numbers") as caught:
        rle_batch([[TRIANGLE], [[1, 2, 3, 4]]], 10, 10)
    assert caught.value.index == 1
    with pytest.raises(TypeError, match="list"):
        runs.encode((), 10, 10)


def test_many_boundaries_are_left_to_the_other_way():
    # Stripes of one pixel: little to say along the columns, all pixels along the rows.
    side = 1200
    stripe = [[[x, 0, x + 1, 0, x + 1, side, x, side] for x in range(0, side, 2)]]
    assert runs.encode(stripe, side, side) is None
    [found] = rle_batch(stripe, side, side)
    assert len(found) == side * side + 2
    assert runs.encode([np.array([0, side * side])], side, side) is not None
    assert runs.encode([np.array([0, 1 << 17])], 1, 1 << 17) is None


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
    outlines = [[TRIANGLE, [0, 0, 400, 3, 200, 400]], np.array([7, 300, 399_693])]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            assert runs.encode(outlines, 400, 1000) is not None
            runs.encode([*outlines, None], 400, 1000)
            runs.int64_list(np.arange(1000))
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
