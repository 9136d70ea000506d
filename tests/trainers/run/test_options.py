from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from segdata.commands import train
from segdata.errors import OptionError
from segdata.trainers.models import MODELS
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.presets import PRESETS, preset


def options(**changes: Any) -> TrainOptions:
    return TrainOptions(**{"model": "unet", "data": "records", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "unet3"}, "model 'unet3' is unknown"),
        ({"image_size": (16, 64)}, r"image_size is \(16, 64\)"),
        ({"image_size": 64}, r"image_size is 64: expected \(height, width\)"),
        ({"eval_image_size": (64, 31)}, r"eval_image_size is \(64, 31\): expected"),
        ({"epochs": 0}, "epochs is 0: expected at least 1"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0: expected more than 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0"),
        ({"warmup_epochs": 31.0}, "warmup_epochs is 31.0: expected 0 to 30"),
        ({"class_weight_power": 1.5}, "class_weight_power is 1.5: expected 0 to 1"),
        ({"class_weight_limit": 0.1}, "class_weight_limit is 0.1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"scale": (2.0, 1.0)}, r"scale is \(2.0, 1.0\)"),
        ({"flip": 1.5}, "horizontal_flip is 1.5"),
        ({"num_hosts": 2}, "expected the first host's address"),
        ({"host_index": 1}, "host_index is 1: expected 0 to 0"),
        ({"tpu": "v5e"}, "tpu is 'v5e' and distribute 'auto'"),
        ({"distribute": "tpu"}, "tpu is None and distribute 'tpu'"),
        ({"schedule": "steps"}, r"drop_at is \[\] with schedule 'steps'"),
        ({"drop_at": (2.0,)}, r"drop_at is \[2.0\] with schedule 'poly'"),
        ({"schedule": "steps", "drop_at": (31.0,)}, "drop_at is 31.0: expected 0 to"),
        ({"max_objects": 9}, "max_objects is 9 with model 'unet': .* of mask-rcnn"),
        (
            {"model": "mask-rcnn", "void": "learn"},
            "void is 'learn' with model 'mask-rcnn': it is an option of fcn-32, ",
        ),
        ({"model": "mask-rcnn", "loss": "dice"}, "loss is 'dice' with model 'mask-"),
        ({"model": "mask-rcnn", "proposals": 1}, "proposals is 1: expected at least 2"),
        ({"model": "mask-rcnn", "max_objects": 0}, "max_objects is 0: expected at lea"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        options(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"image_size": (64, 96), "encoder": "vgg-16"},
        {"model": "mask-rcnn", "schedule": "steps", "drop_at": (1.0, 2.5)},
    ],
)
def test_options_come_back_from_json(changes: dict[str, Any]) -> None:
    given = options(**changes)
    data = json.loads(json.dumps(given.to_json()))
    assert TrainOptions.from_json(data | {"of a later version": 1}) == given


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_options(name: str) -> None:
    model = "mask-rcnn" if name.startswith("mask-rcnn") else "unet"
    options(**{"model": model, **preset(name)})


def test_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(
        OptionError, match="preset 'voc' is unknown: expected one of cam"
    ):
        preset("voc")


def parsed(
    *arguments: str, monkeypatch: pytest.MonkeyPatch, earlier: Any = None
) -> TrainOptions:
    """What the command makes of its arguments."""
    seen: list[TrainOptions] = []

    def stop(backend: str | None) -> None:
        raise click.Abort

    made = train.train_options
    monkeypatch.setattr(train.RunDirectory, "earlier", lambda self: earlier)

    def keep(*given: Any) -> TrainOptions:
        seen.append(made(*given))
        return seen[-1]

    monkeypatch.setattr(train, "train_options", keep)
    monkeypatch.setattr(train, "use_backend", stop)
    result = CliRunner().invoke(train.train, [*arguments, "--run-dir", "run"])
    assert seen, result.output
    return seen[0]


def test_every_option_reaches_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parsed(
        *[
            "fcn-8",
            "records",
            "--encoder",
            "mobilenet-v2",
            "--image-size",
            "192x256",
            "--scale",
            "0.5",
            "2",
            "--no-batch-norm",
            "--void",
            "learn",
            "--learning-rate",
            "0.5",
            "--epochs",
            "7",
        ],
        monkeypatch=monkeypatch,
    )
    assert found == TrainOptions(
        model="fcn-8",
        data="records",
        encoder="mobilenet-v2",
        image_size=(192, 256),
        batch_norm=False,
        scale=(0.5, 2.0),
        void="learn",
        learning_rate=0.5,
        epochs=7,
    )


def test_run_that_goes_on_keeps_what_is_not_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = options(model="fcn-8", learning_rate=0.5, image_size=(64, 96), epochs=7)
    run = SimpleNamespace(options=before, backend="jax")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    found = parsed(
        "fcn-8", "records", "--epochs", "30", monkeypatch=monkeypatch, earlier=run
    )
    assert found == replace(before, epochs=30)
    with pytest.raises(AssertionError):  # the command ends before there are options
        parsed("unet", "records", monkeypatch=monkeypatch, earlier=run)


def test_epochs_of_drops_are_given_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parsed(
        *["mask-rcnn", "records", "--schedule", "steps"],
        *["--drop-at", "6", "--drop-at", "8.5"],
        monkeypatch=monkeypatch,
    )
    assert found.drop_at == (6.0, 8.5)
    assert found.task == "instances"


def test_coco_preset_is_the_published_schedule() -> None:
    given = TrainOptions(model="mask-rcnn", data="records", **preset("mask-rcnn-coco"))
    assert given.steps_per_epoch is not None
    assert given.epochs * given.steps_per_epoch == 22_500
    drops = [epoch * given.steps_per_epoch for epoch in given.drop_at]
    assert drops == [15_000, 20_000]
    assert (given.batch_size, given.learning_rate) == (64, 0.08)


def test_what_is_given_goes_before_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = preset("camvid")
    found = parsed(
        *["fcn-8", "records", "--preset", "camvid", "--epochs", "30"],
        monkeypatch=monkeypatch,
    )
    # 30 is the default, but it was given.
    assert plain["epochs"] != 30
    assert found.epochs == 30
    assert found == options(model="fcn-8", **{**plain, "epochs": 30})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("deeplab records", "'deeplab' is not one of"),
        ("fcn-8 records --image-size 12", "'12' is no size: expected HEIGHTxWIDTH"),
        ("fcn-8 records --loss focal", "'focal' is not one of"),
    ],
)
def test_wrong_usage_is_explained(arguments: str, message: str) -> None:
    result = CliRunner().invoke(train.train, [*arguments.split(), "--run-dir", "run"])
    assert result.exit_code == 2
    assert message in result.output
    assert all(name in result.output for name in MODELS) or "deeplab" not in arguments
