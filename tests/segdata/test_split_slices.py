"""Slices of splits mean what they mean in TensorFlow Datasets."""

from __future__ import annotations

import itertools

import pytest

from segdata.errors import OptionError
from segdata.split_names import SplitSlice


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("train", (0, 30)),
        ("train[:10%]", (0, 3)),
        ("train[10%:]", (3, 30)),
        ("train[-10%:]", (27, 30)),
        ("train[5:7]", (5, 7)),
        ("train[-5:-1]", (25, 29)),
        ("train[:1%]", (0, 0)),
        ("train[20:10]", (20, 20)),
        ("train[:100]", (0, 30)),
        ("train[:]", (0, 30)),
    ],
)
def test_bounds_of_a_slice(text: str, bounds: tuple[int, int]) -> None:
    part = SplitSlice.parse(text)
    assert part.name == "train"
    assert part.bounds(30) == bounds


def test_shares_that_meet_cover_the_split_once() -> None:
    cuts = [SplitSlice.parse(f"a[{i}%:{i + 7}%]").bounds(53) for i in range(0, 98, 7)]
    assert cuts[0][0] == 0
    assert all(one[1] == other[0] for one, other in itertools.pairwise(cuts))


@pytest.mark.parametrize("text", ["train[", "train[1]", "train[a:b]", "train+val", ""])
def test_what_is_no_slice_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match=r"such as train\[:10%\]"):
        SplitSlice.parse(text)
