from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from segdata import identity

hashes = st.integers(0, 2**64 - 1)


def test_key_hash_is_frozen():
    # Changing these moves every record of every dataset to another shard and split.
    assert identity.key_hash("0001TP_006690", 0, "shard") == 9990663148025319897
    assert identity.key_hash("0001TP_006690", 0, "split") == 7109425540226594621
    assert identity.key_hash("0001TP_006690", 7, "shard") == 8875607545353815513


def test_key_hash_does_not_depend_on_the_process():
    code = "from segdata.identity import key_hash; print(key_hash('\\xe9', 3, 'split'))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert printed == {f"{identity.key_hash('é', 3, 'split')}\n"}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers())
@settings(deadline=None)
def test_key_hash_has_64_bits_for_any_key_and_seed(key, seed):
    assert 0 <= identity.key_hash(key, seed, "shard") < 2**64


def test_key_hash_takes_file_names_that_are_no_utf8():
    name = os.fsdecode(b"\xff.png")
    assert identity.key_hash(name, 0, "shard") != identity.key_hash(".png", 0, "shard")


@given(hashes, hashes, st.integers(1, 1000))
@example(0, 2**64 - 1, 1)
@example(0, 2**64 - 1, 1000)
def test_shards_cut_the_sorted_hashes_into_ranges(one, other, num_shards):
    low, high = sorted([one, other])
    first = identity.shard_index(low, num_shards)
    last = identity.shard_index(high, num_shards)
    assert 0 <= first <= last < num_shards


def test_shards_get_about_equal_shares():
    counts = [0] * 8
    for number in range(8000):
        counts[identity.shard_index(identity.key_hash(f"{number}", 0, "s"), 8)] += 1
    assert min(counts) > 850
    assert max(counts) < 1150


def test_image_id_survives_a_passage_through_float32():
    assert identity.MAX_IMAGE_ID == 2**24
    assert all(0 <= identity.image_id(f"{n}") < 2**24 for n in range(1000))


def numbers_of(keys):
    numbers = identity.ImageNumbers(len(keys))
    return {key: numbers.take(key) for key in sorted(keys)}


def test_unique_image_ids_are_the_plain_ones_where_nothing_meets():
    keys = ["a", "b", "c"]
    assert numbers_of(keys) == {k: identity.image_id(k) for k in keys}


@pytest.mark.parametrize(("count", "met"), [(1024, 0), (1025, 100)])
def test_numbers_are_exact_as_floats_up_to_half_of_the_space(monkeypatch, count, met):
    # float16 counts to 2**11 as float32 does to 2**24: 1,024 stand for 8,388,608.
    monkeypatch.setattr(identity, "MAX_IMAGE_ID", 2**11)
    numbers = list(numbers_of([f"{n:05d}" for n in range(count)]).values())
    assert len(set(numbers)) == count
    assert max(numbers) < (2**11 if count == 1024 else 2**12)
    lost = count - len(np.unique(np.array(numbers).astype(np.float16)))
    assert (lost > 0) == (met > 0)
    assert lost >= met


@pytest.fixture
def small_id_space(monkeypatch):
    monkeypatch.setattr(identity, "MAX_IMAGE_ID", 64)


@pytest.mark.usefixtures("small_id_space")
def test_unique_image_ids_differ_where_hashes_meet():
    keys = [f"{n}" for n in range(32)]
    assert len({identity.image_id(key) for key in keys}) < 32
    numbers = numbers_of(keys)
    assert sorted(numbers) == sorted(keys)
    assert len(set(numbers.values())) == 32
    assert max(numbers.values()) < 64


@pytest.mark.usefixtures("small_id_space")
def test_unique_image_ids_take_a_larger_space_when_the_usual_one_is_full():
    numbers = numbers_of([f"{n}" for n in range(100)])
    assert len(set(numbers.values())) == 100
    assert 64 <= max(numbers.values()) < 256


@pytest.mark.usefixtures("small_id_space")
def test_new_key_changes_few_other_numbers():
    keys = [f"{n}" for n in range(20)]
    before = numbers_of(keys)
    after = numbers_of([*keys, "new"])
    moved = [key for key in keys if before[key] != after[key]]
    assert len(moved) <= 3
