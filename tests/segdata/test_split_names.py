from __future__ import annotations

import dataclasses
from pathlib import Path

import orjson
import pytest

from segdata.shards.manifest import Manifest, read_manifest
from segdata.split_names import (
    is_known_split,
    ordered_splits,
    training_splits,
    validation_splits,
)

ORDER = ["train", "trainval", "val", "valid", "validation", "test", "extra", "night"]


@pytest.mark.parametrize("names", [ORDER, ORDER[::-1], sorted(ORDER)])
def test_splits_have_one_order(names: list[str]) -> None:
    assert ordered_splits(names) == ORDER


def test_case_is_no_matter_but_is_kept() -> None:
    assert ordered_splits(["Test", "b", "A", "Val", "TRAIN"]) == [
        *("TRAIN", "Val", "Test", "A", "b")
    ]
    assert is_known_split("Valid")
    assert not is_known_split("validated")


def test_what_a_split_is_meant_for_is_told_by_its_name() -> None:
    names = ["x", "validation", "trainval", "Val", "test"]
    assert validation_splits(names) == ["Val", "validation"]
    assert training_splits(names) == ["trainval"]
    assert validation_splits(["test", "x"]) == []


def test_manifest_is_read_in_that_order_and_written_in_the_alphabets(
    camvid_build: Path,
) -> None:
    manifest = read_manifest(camvid_build)
    one = manifest.splits["train"]
    mixed = dataclasses.replace(manifest, splits=dict.fromkeys(sorted(ORDER), one))
    assert list(mixed.splits) == ORDER
    assert isinstance(mixed, Manifest)
    assert list(orjson.loads(mixed.to_bytes())["splits"]) == sorted(ORDER)
