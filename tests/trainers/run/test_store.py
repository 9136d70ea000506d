"""A run directory in a store: trained, resumed, scored, and predicted into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segdata.errors import OptionError
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.run.evaluate import evaluate
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.predict import predict
from segdata.trainers.run.train import train
from segdata.trainers.run.trained import EvaluateOptions, PredictOptions


def options(data: Path, **changes: Any) -> TrainOptions:
    given = {
        "model": "tiny",
        "data": str(data),
        "image_size": (32, 48),
        "batch_size": 8,
        "schedule": "constant",
        "steps_per_epoch": 1,
        "pictures_every": 1,
    }
    return TrainOptions(**{**given, **changes})


def test_run_in_a_store_is_resumed_scored_and_used(
    camvid_build: Path, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = s3.address("trained/run")
    first = train(options(camvid_build, epochs=1), run)
    assert train(options(camvid_build, epochs=2), run).rows[:1] == first.rows
    assert set(s3.keys("trained/run")) == {
        *("run.json", "state.npz", "best.weights.h5", "last.weights.h5"),
        *("metrics.csv", "pictures/epoch-0001.png", "pictures/epoch-0002.png"),
    }
    assert evaluate(run, EvaluateOptions(weights="last")).scores["num_records"] == 12
    out = s3.address("trained/out")
    assert predict(run, PredictOptions(split="val", output=out)) == (12, "")
    assert sum(key.endswith("-triple.png") for key in s3.keys("trained/out")) == 12
    # Begin anew from its weights, here.
    weights = str(RunDirectory(run).file("best.weights.h5"))
    train(options(camvid_build, epochs=1, initial_weights=weights), "here")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]


def test_tensorboard_is_not_written_into_a_store(camvid_build: Path) -> None:
    with pytest.raises(OptionError, match=r"tensorboard writes to this machine, and"):
        train(options(camvid_build, tensorboard=True), "s3://data/run")
