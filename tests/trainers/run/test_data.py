from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segdata.errors import OptionError
from segdata.label_map import LabelClass, LabelMap
from segdata.shards.manifest import read_manifest
from segdata.trainers.run.data import (
    Classes,
    open_data,
    training_split,
    validation_split,
)
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.semantic.class_weights import median_frequency_weights


def classes(*ids: int, ignore_id: int | None = None, **changes: Any) -> Classes:
    items = tuple(LabelClass(id=i, name=f"class {i}", color=(i, 0, 0)) for i in ids)
    return Classes(
        label_map=LabelMap(semantic_classes=items, ignore_id=ignore_id), **changes
    )


def options(data: Path, **changes: Any) -> TrainOptions:
    return TrainOptions(**{"model": "unet", "data": str(data), **changes})


def test_channels_reach_to_the_highest_id_and_gaps_are_named() -> None:
    found = classes(0, 3)
    assert found.num_classes == 4
    assert found.names == ("class 0", "id 1, no class", "id 2, no class", "class 3")


def test_class_255_is_no_channel() -> None:
    found = classes(0, 1, 255, ignore_id=255)
    assert found.num_classes == 2
    assert found.void_id is None
    with pytest.raises(OptionError, match="no class to ignore, or it is 255"):
        classes(0, 255, ignore_id=255, void="learn")


def test_void_is_left_out_or_kept() -> None:
    label_map = np.array([[0, 1, 2, 255]], np.uint8)
    ignoring = classes(0, 1, 2, ignore_id=2)
    assert ignoring.void_id == 2
    assert ignoring.valid_labels(label_map).tolist() == [[0, 1, 255, 255]]
    learning = classes(0, 1, 2, ignore_id=2, void="learn")
    assert learning.valid_labels(label_map).tolist() == [[0, 1, 2, 255]]


def test_dataset_without_label_maps_or_void_is_refused() -> None:
    with pytest.raises(OptionError, match="no label maps: expected classes of pixels"):
        classes()
    with pytest.raises(OptionError, match="void is 'learn', but the dataset has no"):
        classes(0, 1, void="learn")


def test_weights_come_from_the_pixels_of_the_split(camvid_build: Path) -> None:
    pixels = read_manifest(camvid_build).splits["train"].counts.class_pixels
    given = options(camvid_build, class_weights="median-frequency", void="learn")
    expected = median_frequency_weights({int(k): n for k, n in pixels.items()}, 12)
    assert open_data(given).class_weights == expected
    left_out = open_data(options(camvid_build, class_weights="median-frequency"))
    assert left_out.class_weights is not None
    assert left_out.class_weights[11] == 1.0
    assert left_out.class_weights != expected
    assert open_data(options(camvid_build)).class_weights is None


def test_size_is_a_small_one_or_as_asked_for(camvid_build: Path) -> None:
    assert open_data(options(camvid_build)).image_size == (192, 256)
    found = open_data(options(camvid_build, image_size=(32, 64)))
    assert found.image_size == (32, 64)
    assert (found.num_records, found.val_split) == (40, "val")


@pytest.mark.parametrize("name", ["val", "valid", "Val", "validation"])
def test_split_of_a_usual_name_is_validated_on(
    name: str, camvid_build: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = read_manifest(camvid_build)
    splits = {"train": manifest.splits["train"], name: manifest.splits["val"]}
    renamed = replace(manifest, splits=splits)
    assert validation_split(renamed, options(camvid_build)) == name
    assert validation_split(renamed, options(camvid_build, train_split=name)) is None
    assert validation_split(renamed, options(camvid_build, val_split="train"))
    with pytest.raises(
        OptionError,
        match=rf"split 'validd' is not in this dataset: it has train, {name}",
    ):
        validation_split(renamed, options(camvid_build, val_split="validd"))


def test_split_of_another_usual_name_is_trained_on(camvid_build: Path) -> None:
    manifest = read_manifest(camvid_build)
    splits = {"trainval": manifest.splits["train"], "test": manifest.splits["val"]}
    renamed = replace(manifest, splits=splits)
    assert training_split(renamed, options(camvid_build)) == "trainval"
    assert training_split(renamed, options(camvid_build, train_split="all")) == "all"
    assert training_split(manifest, options(camvid_build)) == "train"


def test_run_without_validation_says_so(
    camvid_build: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        assert open_data(options(camvid_build, val_split="none")).val_split is None
    assert "no validation (the splits are train, val)" in caplog.text
    assert "best epoch is the one of lowest training loss" in caplog.text


def test_split_that_lacks_a_class_is_told(
    camvid_build: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = read_manifest(camvid_build)
    val = manifest.splits["val"]
    pixels = Counter({**val.counts.class_pixels, "8": 0})
    lacking = replace(val, counts=replace(val.counts, class_pixels=pixels))
    splits = {**manifest.splits, "val": lacking}
    (tmp_path / "manifest.json").write_bytes(
        replace(manifest, splits=splits).to_bytes()
    )
    open_data(options(tmp_path))
    name = next(c.name for c in manifest.label_map.semantic_classes if c.id == 8)
    assert f"split val has none of 1 class of others: {name}" in caplog.text
