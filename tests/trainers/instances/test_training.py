"""Runs of Mask R-CNN from the options to drawn detections, and over devices."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from training_runs import (
    assert_same_state,
    kill_after_an_epoch,
    last_step,
    rows_of,
    start,
)

from segdata.commands.evaluate import evaluate as evaluate_command
from segdata.commands.predict import predict as predict_command
from segdata.errors import OptionError
from segdata.trainers import load_run
from segdata.trainers.instances.detector import Found
from segdata.trainers.instances.training import training_stream, validation_stream
from segdata.trainers.models import build_model
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.run.data import open_data
from segdata.trainers.run.export import export_model
from segdata.trainers.run.initial import load_initial_weights
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.placement import Placement


def options(data: Path, **changes: Any) -> TrainOptions:
    given = {
        "model": "mask-rcnn",
        "data": str(data),
        "encoder": "mobilenet-v2",
        "pyramid_batch_norm": True,
        "image_size": (64, 64),
        "width": 16,
        "anchor_scale": 4.0,
        "candidates": 40,
        "proposals": 20,
        "rpn_samples": 16,
        "roi_samples": 16,
        "box_width": 16,
        "mask_width": 8,
        "detections": 8,
        "batch_size": 8,
        "steps_per_epoch": 2,
        "epochs": 2,
        "pictures_every": 2,
        "score_every": 2,
    }
    return TrainOptions(**{**given, **changes})


@pytest.fixture(scope="module")
def trained(drawn_coco: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("rcnn") / "run"
    rows_of(start(options(drawn_coco), run))
    return run


def test_streams_have_the_same_shapes_on_every_host(drawn_coco: Path) -> None:
    given = options(drawn_coco, max_objects=5)
    data = open_data(given)
    seen: list[int] = []
    for index in range(2):
        placement = Placement(backend="jax", num_hosts=2, host_index=index)
        batch = next(iter(training_stream(data, placement)))
        assert batch["masks"].shape == (4, 5, 112, 112)
        assert batch["image"].shape == (4, 64, 64, 3)
        stream = validation_stream(data, placement)
        assert stream.cardinality().numpy() == 1
        seen += [i for one in stream for i in one["image_id"].numpy().tolist()]
    assert len(set(seen)) == 8


def test_objects_beyond_the_slots_are_told_of(
    drawn_coco: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    assert open_data(options(drawn_coco)).max_objects == 100
    assert "`segdata stats" in caplog.text
    stats = {"splits": {"train": {"record_objects": {"max": 7}}}}
    monkeypatch.setattr("segdata.trainers.run.data.read_stats", lambda _: stats)
    assert open_data(options(drawn_coco)).max_objects == 7
    assert "not learnt" not in caplog.text
    assert open_data(options(drawn_coco, max_objects=5)).max_objects == 5
    assert "up to 7 objects, and slots are for the largest 5" in caplog.text


def test_dataset_without_objects_is_refused(camvid_build: Path) -> None:
    with pytest.raises(OptionError, match="the dataset has no objects: expected inst"):
        open_data(options(camvid_build))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_run_is_scored_drawn_and_predicted(
    trained: Path, drawn_coco: Path, tmp_path: Path
) -> None:
    rows = list(csv.DictReader((trained / "metrics.csv").read_text().splitlines()))
    assert rows[0]["val_mask_AP"] == ""
    assert 0 <= float(rows[1]["val_mask_AP"]) <= 1
    assert np.isfinite([float(row["val_loss"]) for row in rows]).all()
    with Image.open(trained / "pictures/epoch-0002.png") as sheet:
        assert sheet.width > 400
    run = CliRunner()
    found = run.invoke(
        evaluate_command, [str(trained), "--results", str(tmp_path / "found.json")]
    )
    assert found.exit_code == 0, found.output
    scores = json.loads((trained / "evaluation-val.json").read_text())
    assert scores["masks"]["AP"] == pytest.approx(float(rows[1]["val_mask_AP"]))
    assert isinstance(json.loads((tmp_path / "found.json").read_text()), list)
    output = ["--output", str(tmp_path / "out")]
    done = run.invoke(predict_command, [str(trained), "--split", "val", *output])
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 8
    assert (tmp_path / "out/results.json").is_file()
    refused = run.invoke(predict_command, [str(trained), "a.png", "--labels", "x"])
    assert isinstance(refused.exception, OptionError)
    assert "--labels" in str(refused.exception)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_exported_model_finds_the_same_objects(trained: Path, tmp_path: Path) -> None:
    from segdata.streams.tensorflow import tf

    with pytest.raises(OptionError, match="mask-rcnn is not exported to ONNX"):
        export_model(trained, "onnx", str(tmp_path / "model.onnx"))
    export_model(trained, "saved-model", str(tmp_path / "saved"))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    used = load_run(trained)
    found = used.predict(image)
    assert isinstance(found, Found)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    out = loaded.serve(image[None])
    count = len(found.scores)
    np.testing.assert_allclose(out["scores"][0, :count], found.scores, atol=1e-6)
    assert not np.any(out["scores"][0, count:])
    # In the classes of another dataset it begins with all but its heads.
    options = used.run.model_options
    assert isinstance(options, MaskRCNNOptions)
    fewer = replace(options, classes=2)
    model = build_model("mask-rcnn", fewer)
    load_initial_weights(model, str(trained / "best.weights.h5"), "mask-rcnn", fewer)
    pairs = zip(model.pyramid.weights, used.model.model.pyramid.weights, strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_run_killed_and_resumed_ends_in_the_same_weights(
    trained: Path, drawn_coco: Path, tmp_path: Path
) -> None:
    given, run = options(drawn_coco), tmp_path / "killed"
    kill_after_an_epoch(given, run)
    rows_of(start(given, run))
    assert_same_state(run, trained)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_jax_devices_give_the_losses_of_one(
    drawn_coco: Path, tmp_path: Path, run_jax: Callable[..., str]
) -> None:
    # Gradients through batch normalisation of 2x2 pixels double a rounding error many
    # thousand times: from steps of any size other boxes come first in the next epoch,
    # and others are sampled. So steps are tiny, and gradients are compared themselves.
    steps = {"optimizer": "sgd", "learning_rate": 1e-7, "steps_per_epoch": 1}
    given = options(drawn_coco, pictures_every=0, score_every=0, **steps)
    one = rows_of(start(given, tmp_path / "one", "jax"))
    eight = rows_of(start(given, tmp_path / "eight", "jax", devices=8))
    for found, expected in zip(eight, one, strict=True):
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    gradients, others = last_step(tmp_path / "one"), last_step(tmp_path / "eight")
    difference = np.linalg.norm(gradients - others) / np.linalg.norm(gradients)
    assert difference < 0.1
