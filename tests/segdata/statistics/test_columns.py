"""Keypoints of a record as columns, and records whose keypoints contradict them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segdata.errors import CorruptionError
from segdata.formats.coco.format import Coco
from segdata.records import schema
from segdata.records.parse import parse_record
from segdata.records.proto import Example, serialize
from segdata.samples.coco import write_coco_sample
from segdata.shards.manifest import Manifest, read_manifest
from segdata.shards.tfrecord import read_records
from segdata.statistics.columns import read_columns


@pytest.fixture(scope="module")
def raws(
    tmp_path_factory: pytest.TempPathFactory, build_plainly: Callable[..., Manifest]
) -> list[bytes]:
    folder = tmp_path_factory.mktemp("coco")
    source, out = folder / "source", folder / "out"
    write_coco_sample(source, seed=0, num_train=9, num_val=1)
    build_plainly(source, out, dataset_format=Coco())
    shards = read_manifest(out).splits["train"].shards
    return [raw.data for shard in shards for raw in read_records(out / shard.name)]


def test_visibility_is_that_of_the_objects(raws: list[bytes]) -> None:
    seen = 0
    for raw in raws:
        found = read_columns(raw, "here").visibility
        objects = parse_record(raw, "here").objects
        expected = [item.keypoints[:, 2] for item in objects]
        if expected:
            assert np.array_equal(found, np.array(expected))
        seen += int((found > 0).sum())
    assert seen > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.append(2), "keypoints for .* objects: expected as many"),
        (lambda values: values.__setitem__(0, 3), "of the visibilities 0 to 3: expect"),
    ],
)
def test_keypoints_that_cannot_be_are_refused(
    raws: list[bytes], change: Callable[[Any], None], message: str
) -> None:
    raw = next(raw for raw in raws if len(read_columns(raw, "here").labels) > 1)
    example = Example.FromString(raw)
    key = schema.KEYPOINT_VISIBILITY.key
    change(example.features.feature[key].int64_list.value)
    with pytest.raises(CorruptionError, match=f"here has .*{message}"):
        read_columns(serialize(example), "here")
