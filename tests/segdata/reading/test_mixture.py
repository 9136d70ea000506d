import copy
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import segdata
from segdata.errors import OptionError
from segdata.reading.mixture import MixedSource


def source(tiny_build: Path, **options: Any) -> segdata.SampleSource:
    options = {"batch_size": 4, "shuffle": True, "repeat": True, **options}
    return segdata.semantic_source(tiny_build, "train", **options)


def mixed(tiny_build: Path, seed: int = 0, **options: Any) -> MixedSource:
    one, other = source(tiny_build, **options), source(tiny_build, seed=1, **options)
    return segdata.mix({"one": one, "other": other}, {"one": 3, "other": 1}, seed=seed)


def test_shares_are_exact_and_each_source_goes_on_in_its_order(
    tiny_build: Path,
) -> None:
    mixture = mixed(tiny_build)
    places = [mixture.place(index) for index in range(2000)]
    for block in (places[:1000], places[1000:]):
        assert Counter(name for name, _ in block) == {"one": 750, "other": 250}
    for name, count in (("one", 1500), ("other", 500)):
        assert sorted(place for n, place in places if n == name) == [*range(count)]
    names = [name for name, _ in places]
    assert names[:1000] != names[1000:]
    assert 300 < sum(a != b for a, b in itertools.pairwise(names)) / 2 < 450
    other = mixed(tiny_build, seed=2)
    assert [other.place(index) for index in range(2000)] != places


def test_hosts_share_a_mixture_from_any_step_on(tiny_build: Path) -> None:
    whole = [mixed(tiny_build).place(index) for index in range(60)]
    hosts = [
        mixed(tiny_build, batch_size=2, num_shards=2, shard_index=host, start_step=5)
        for host in range(2)
    ]
    parts = [[host.place(index) for index in range(20)] for host in hosts]
    assert parts[0][:2] + parts[1][:2] == whole[20:24]
    assert parts[0][2:4] + parts[1][2:4] == whole[24:28]


def test_samples_are_those_of_the_sources(tiny_build: Path) -> None:
    mixture, one = mixed(tiny_build), source(tiny_build)
    index = next(i for i in range(99) if mixture.place(i)[0] == "one")
    expected = one[mixture.place(index)[1]]
    assert (mixture[index]["image"] == expected["image"]).all()
    assert mixture[index]["image_id"] == expected["image_id"]
    with pytest.raises(IndexError, match="sample -1 of"):
        mixture[-1]


class OfOtherClasses(segdata.SampleSource):
    classes = None  # type: ignore[assignment]


def test_sources_that_do_not_fit_are_refused(tiny_build: Path) -> None:
    one = source(tiny_build)
    other = copy.copy(one)
    other.__class__ = OfOtherClasses
    for sources, weights, message in (
        ({}, None, "weights are of nothing: expected one for each of at least one"),
        ({"a": one}, {"b": 1.0}, "weights are of b: expected one for each of a"),
        ({"a": one}, {"a": 0.0}, "expected numbers above 0"),
        (
            {"a": one, "b": one},
            {"a": 1.0, "b": 1e-6},
            "expected 0.1 % at least",
        ),
        (
            {"a": one, "b": source(tiny_build, batch_size=2)},
            None,
            "batch_size is 4 of source 'a' and 2 of 'b': expected the same",
        ),
        ({"a": one, "b": other}, None, "'a' and 'b' have different classes: build"),
        ({"a": source(tiny_build, repeat=False)}, None, "expected repeat=True"),
    ):
        with pytest.raises(OptionError, match=message):
            segdata.mix(sources, weights)
