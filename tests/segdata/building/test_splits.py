from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdata.building.splits import SplitChoice
from segdata.errors import OptionError

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


# --- Shares of a split ---


def carved(text: str, seed: int = 0) -> dict[tuple[str, str | None], int]:
    """How many keys of each of the source's splits go to which split."""
    choice = SplitChoice.parse(text)
    sources = ("trainval", "test", None)
    return Counter(
        (str(source), choice.assign(key, source, seed))
        for key in KEYS
        for source in sources
    )


def test_share_of_a_split_is_carved_out_and_the_rest_stays() -> None:
    found = carved("trainval, val = trainval : 0.1 ,test")
    assert found[("test", "test")] == len(KEYS)
    assert found[("None", None)] == len(KEYS)  # it counts as train: not asked for
    assert found[("trainval", "val")] / len(KEYS) == pytest.approx(0.1, abs=0.03)
    rest = len(KEYS) - found[("trainval", "val")]
    assert found[("trainval", "trainval")] == rest
    assert found.total() == 3 * len(KEYS)


def test_split_is_parted_wholly_under_new_names() -> None:
    found = carved("train=trainval:0.7,val=trainval:0.2,dev=trainval:0.1")
    drawn = {split: n for (source, split), n in found.items() if source == "trainval"}
    assert drawn.keys() == {"train", "val", "dev"}
    assert sum(drawn.values()) == len(KEYS)
    assert drawn["train"] / len(KEYS) == pytest.approx(0.7, abs=0.04)
    assert found[("test", None)] == found[("None", None)] == len(KEYS)


def test_records_of_no_split_can_be_carved_as_train() -> None:
    found = carved("train,val=train:0.5")
    assert found[("None", "val")] / len(KEYS) == pytest.approx(0.5, abs=0.04)
    assert found[("trainval", None)] == len(KEYS)


def test_two_splits_are_carved_apart() -> None:
    found = carved("a=trainval:1,test,b=test:0.25")
    assert found[("trainval", "a")] == len(KEYS)
    assert found[("test", "b")] / len(KEYS) == pytest.approx(0.25, abs=0.04)


def test_names_keep_their_order_but_for_what_keeps_the_rest() -> None:
    choice = SplitChoice.parse("trainval,val=trainval:0.25,test")
    assert choice.names == ("val", "trainval", "test")
    assert choice.sources == ("trainval", "trainval", "test")
    assert choice.shares == (0.25, 0.75, 1.0)


def test_carved_split_is_stable_for_good() -> None:
    choice = SplitChoice.parse("train,val=train:0.2")
    drawn = "".join(str(choice.assign(key, None, seed=0))[0] for key in KEYS[:24])
    # Literal on purpose: a change here moves records between users' splits.
    assert drawn == "ttttttttttttttttttttvttv"


@given(st.floats(0.01, 0.98), st.floats(0.01, 0.98), st.text(min_size=1))
def test_larger_carved_share_only_takes_from_the_rest(
    one: float, other: float, key: str
) -> None:
    small, large = (
        SplitChoice.parse(f"train,val=train:{share}") for share in sorted((one, other))
    )
    if small.assign(key, "train", seed=0) == "val":
        assert large.assign(key, "train", seed=0) == "val"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "val=trainval:0.1",
            r"shares of 'trainval' in .* do not add up: expected a su",
        ),
        ("a=x:0.5,b=x:0.6", r"shares of 'x' in .* do not add up"),
        ("x,a=x:0.5,b=x:0.5", r"nothing is left for 'x' in .* or no 'x' beside them"),
        ("x,a=x:1", r"nothing is left for 'x'"),
        ("x,a=x:1.5", r"nothing is left for 'x'"),
        ("x,a=x:0", r"the share of 'a' in .* is '0': expected the split it is of"),
        ("x,a=x:-1", r"the share of 'a' in .* is '-1'"),
        ("x,a=x:nan", r"the share of 'a' in .* is 'nan'"),
        ("x,a=x:", r"the share of 'a' in .* is ''"),
        ("x,a=x:0.1,b=0.5", r"split name '0.5' in .* is not usable"),
        ("x,a=:0.5", r"split name '' in .* is not usable"),
        ("x:0.5", r"split name 'x:0.5' in .* is not usable"),
        ("x,a=x/y:0.5", r"split name 'x/y' in .* is not usable"),
    ],
)
def test_shares_of_splits_that_make_no_sense_are_refused(
    text: str, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        SplitChoice.parse(text)


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
    with pytest.raises(OptionError, match="--split names a split twice"):
        SplitChoice.parse(text)
