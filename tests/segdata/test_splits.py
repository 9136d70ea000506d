from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdata.errors import OptionError
from segdata.splits import SplitChoice

KEYS = [f"seq/{index:06d}" for index in range(4000)]


def test_names_keep_those_of_the_sources_splits() -> None:
    choice = SplitChoice.parse("train, val")
    assert choice.names == ("train", "val")
    assert choice.assign("a", "val", seed=0) == "val"
    assert choice.assign("a", "test", seed=0) is None


def test_no_choice_keeps_every_split_of_the_source() -> None:
    assert SplitChoice().assign("a", "trainval", seed=0) == "trainval"


def test_record_of_no_split_counts_as_train() -> None:
    assert SplitChoice().assign("a", None, seed=0) == "train"
    assert SplitChoice.parse("val").assign("a", None, seed=0) is None


def test_drawn_split_ignores_the_sources_own() -> None:
    choice = SplitChoice.parse("a=0.5,b=0.5")
    drawn = {choice.assign("key", split, seed=0) for split in ("train", "val", None)}
    assert len(drawn) == 1


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("train=0.8,val=0.2", {"train": 0.8, "val": 0.2}),
        ("a=0.5, b=0.3 ,c=0.2", {"a": 0.5, "b": 0.3, "c": 0.2}),
        ("all=1", {"all": 1.0}),
    ],
)
def test_drawn_shares_are_roughly_those_asked_for(
    text: str, shares: dict[str, float]
) -> None:
    choice = SplitChoice.parse(text)
    counts = Counter(choice.assign(key, None, seed=0) for key in KEYS)
    assert counts.keys() == shares.keys()
    for name, share in shares.items():
        # Five standard deviations of a binomial of 4000 are under 0.04.
        assert counts[name] / len(KEYS) == pytest.approx(share, abs=0.04)


def test_drawn_split_is_stable_for_good() -> None:
    choice = SplitChoice.parse("train=0.8,val=0.2")
    drawn = "".join(str(choice.assign(key, None, seed=0))[0] for key in KEYS[:24])
    # Literal on purpose: a change here moves records between users' splits.
    assert drawn == "ttttvtvtvvvtttvvtttttttt"


def test_other_seed_draws_other_splits() -> None:
    choice = SplitChoice.parse("train=0.5,val=0.5")
    moved = sum(
        choice.assign(key, None, seed=0) != choice.assign(key, None, seed=1)
        for key in KEYS
    )
    assert moved / len(KEYS) == pytest.approx(0.5, abs=0.05)


@given(st.floats(0.01, 0.98), st.floats(0.01, 0.98), st.text(min_size=1))
def test_larger_first_share_only_moves_records_into_it(
    one: float, other: float, key: str
) -> None:
    small, large = sorted((one, other))
    before = SplitChoice(names=("a", "b"), shares=(small, 1 - small))
    after = SplitChoice(names=("a", "b"), shares=(large, 1 - large))
    if before.assign(key, None, seed=0) == "a":
        assert after.assign(key, None, seed=0) == "a"


@pytest.mark.parametrize(
    "text",
    [
        "train=0.8,val=0.3",
        "train=0.8",
        "train=0.8,val",
        "train=1.2,val=-0.2",
        "train=1,val=0",
        "train=x,val=0.2",
        "train=nan,val=0.5",
        "train=inf,val=0.5",
    ],
)
def test_shares_that_do_not_sum_to_one_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="do not add up: expected numbers above 0"):
        SplitChoice.parse(text)


@pytest.mark.parametrize("text", ["", "train,,val", "a b", "../x=1", "tr\u00e4in"])
def test_unusable_split_name_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="is not usable: expected letters, digits"):
        SplitChoice.parse(text)


@pytest.mark.parametrize("text", ["train,train", "a=0.5,a=0.5"])
def test_split_named_twice_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="a split stands twice in"):
        SplitChoice.parse(text)
