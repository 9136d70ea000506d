from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from segdata.commands import train
from segdata.errors import OptionError, SegdataError
from segdata.trainers.models import INSTANCE_MODELS, MODELS
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.presets import preset, preset_names, read_config
from segdata.trainers.run.settle import settled


def options(**changes: Any) -> TrainOptions:
    return TrainOptions(**{"model": "unet", "data": "records", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "unet3"}, "model 'unet3' is unknown"),
        ({"image_size": (16, 64)}, r"image_size is \(16, 64\)"),
        ({"image_size": 64}, r"image_size is 64: expected \(height, width\)"),
        ({"eval_image_size": (64, 31)}, r"eval_image_size is \(64, 31\): expected"),
        ({"epochs": -1}, "epochs is -1: expected at least 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0"),
        (
            {"epochs": 30, "warmup_epochs": 31.0},
            "warmup_epochs is 31.0: expected 0 to 30",
        ),
        ({"freeze_encoder": True}, "freeze_encoder is True with random weights"),
        ({"encoder_rate": 1.5}, "encoder_rate is 1.5: expected 0 to 1"),
        ({"class_weight_power": 1.5}, "class_weight_power is 1.5: expected 0 to 1"),
        ({"class_weight_limit": 0.1}, "class_weight_limit is 0.1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"scale": (2.0, 1.0)}, r"scale is \(2.0, 1.0\)"),
        ({"flip": 1.5}, "horizontal_flip is 1.5"),
        ({"num_hosts": 2}, "expected the first host's address"),
        ({"host_index": 1}, "host_index is 1: expected 0 to 0"),
        ({"schedule": "steps"}, r"drop_at is \[\] with schedule 'steps'"),
        ({"drop_at": (2.0,)}, r"drop_at is \[2.0\] with schedule 'poly'"),
        (
            {"epochs": 30, "schedule": "steps", "drop_at": (31.0,)},
            "drop_at is 31.0: expected 0 to",
        ),
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"momentum": 0.5}, "momentum is 0.5, .* only with optimizer sgd"),
        ({"class_weight_limit": 2.0}, "only with class_weights median-frequency"),
        ({"loss": "dice", "class_weights": "median-frequency"}, "cross-entropy or"),
        ({"auxiliary_weight": 0.1}, "only with model pspnet"),
    ],
)
def test_options_without_effect_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        options(**changes).check_effect()


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_options_of_their_model(name: str) -> None:
    TrainOptions(data="records", **preset(name)).check_effect()


def test_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(
        OptionError, match=r"preset 'pet' is unknown: .*camvid, .* mean 'pets'\?"
    ):
        preset("pet")


def test_recipe_of_ones_own_goes_on_from_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "camvid"\n[training]\nepochs = 3\nscale = [1, 1.5]\n')
    assert read_config(path) == preset("camvid") | {"epochs": 3, "scale": (1, 1.5)}
    path.write_text("epochs: 3")
    with pytest.raises(OptionError, match=r"mine.toml is no TOML file: "):
        read_config(path)
    with pytest.raises(OptionError, match=r"cannot read .*nowhere.toml: No such file"):
        read_config(tmp_path / "nowhere.toml")


class Parsed(Exception):  # noqa: N818 - it is no error
    """Ends the command once there are options."""


def parsed(
    *arguments: str, monkeypatch: pytest.MonkeyPatch, earlier: Any = None
) -> TrainOptions:
    """What the command makes of its arguments."""
    monkeypatch.setattr(train.RunDirectory, "earlier", lambda self: earlier)

    def stop(options: TrainOptions) -> None:
        raise Parsed(options)

    monkeypatch.setattr(train, "open_data", stop)
    with pytest.raises(Parsed) as found:
        train.train.main([*arguments, "--run-dir", "run"], standalone_mode=False)
    options: TrainOptions = found.value.args[0]
    return options


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
            *["--set", "drop-at=2,3.5", "--set", "brightness=0.25"],
            *["--set", "schedule=steps", "--set", "eval_image_size=64x96"],
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
        schedule="steps",
        drop_at=(2.0, 3.5),
        brightness=0.25,
        eval_image_size=(64, 96),
    )


def test_run_that_goes_on_keeps_what_is_not_stated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = options(model="fcn-8", learning_rate=0.5, image_size=(64, 96), epochs=7)
    dataset = {"directory": "/where/it/was"}
    run = SimpleNamespace(options=before, backend="jax", dataset=dataset)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    found = parsed(
        "fcn-8", "records", "--epochs", "30", monkeypatch=monkeypatch, earlier=run
    )
    assert found == replace(before, epochs=30)
    found = parsed(monkeypatch=monkeypatch, earlier=run)
    assert found == replace(before, data="/where/it/was")
    with pytest.raises(OptionError, match="the run directory is of 'fcn-8': expected"):
        parsed("unet", "records", monkeypatch=monkeypatch, earlier=run)


def test_epochs_of_drops_are_given_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parsed(
        *["mask-rcnn", "records", "--schedule", "steps"],
        *["--drop-at", "6", "--drop-at", "8.5"],
        monkeypatch=monkeypatch,
    )
    assert found.drop_at == (6.0, 8.5)
    assert found.task == "instances"


def test_presets_of_the_course_are_its_tasks() -> None:
    for name in ("fcn-8", "fcn-16", "fcn-32"):
        given = preset(f"course-{name}")
        assert given["model"] == name
        assert (given["encoder"], given["weights"]) == ("vgg-16", "imagenet")
        assert given["image_size"] == (224, 224)
        assert given["void"] == "learn"  # twelve classes
        assert "fc_width" not in given
    unet = preset("course-unet")
    assert (unet["model"], unet["image_size"]) == ("unet", (128, 128))


def test_coco_preset_is_the_published_schedule() -> None:
    given = TrainOptions(data="records", **preset("mask-rcnn-coco"))
    split = SimpleNamespace(num_records=118_000)
    manifest: Any = SimpleNamespace(split={"train": split}.__getitem__)
    given = settled(given, manifest)
    assert given.steps_per_epoch is not None
    assert given.epochs * given.steps_per_epoch == 22_500
    drops = [epoch * given.steps_per_epoch for epoch in given.drop_at]
    assert drops == [15_000, 20_000]
    assert (given.batch_size, given.learning_rate) == (64, 0.08)
    less = settled(replace(given, batch_size=16, learning_rate=0.0), manifest)
    assert less.learning_rate == 0.02


def test_what_is_given_goes_before_file_and_preset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text(
        'void = "ignore"\nseed = 3\nimage_size = "32x64"'
    )
    found = parsed(
        *["records", "--preset", "camvid", "--epochs", "0"],
        *["--config", str(tmp_path / "mine.toml"), "--set", "seed=4"],
        monkeypatch=monkeypatch,
    )
    # 0 is the default, but it was given.
    changes = {"epochs": 0, "void": "ignore", "seed": 4, "image_size": (32, 64)}
    assert preset("camvid")["epochs"] != 0
    assert found == TrainOptions(data="records", **{**preset("camvid"), **changes})


def settled_of(records: int, height: int, width: int, **changes: Any) -> TrainOptions:
    counts = SimpleNamespace(heights=(height, height), widths=(width, width))
    split = SimpleNamespace(num_records=records, counts=counts)
    manifest: Any = SimpleNamespace(split={"train": split}.__getitem__)
    return settled(options(**changes), manifest)


def test_defaults_follow_the_data_and_the_model() -> None:
    few = settled_of(24, 360, 480)
    assert (few.batch_size, few.epochs, few.image_size) == (4, 30, (192, 256))
    assert few.learning_rate == 1e-3
    many = settled_of(118_000, 64, 80, model="fcn-8")
    assert (many.batch_size, many.epochs, many.image_size) == (8, 1, (64, 80))
    assert many.learning_rate == 1e-4  # VGG-16
    assert settled_of(24, 360, 480, model="fcn-8", encoder="resnet-50").image_size
    given = {"batch_size": 3, "epochs": 2, "image_size": (64, 32)}
    assert settled_of(24, 360, 480, **given).image_size == (64, 32)
    assert settled_of(9, 700, 900, model="mask-rcnn").image_size == (384, 512)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("deeplab records", "model 'deeplab' is unknown: expected one of fcn-32, "),
        ("records", "MODEL is missing: expected `segdata train MODEL DATA`"),
        ("unet", "DATA is missing"),
        ("unet records more", "expected MODEL and DATA, got 3 arguments"),
        ("unet records --preset camvid", "the preset or file is of 'fcn-8': expected"),
        ("unet records --set widht=3", r"sets 'widht', .* mean 'width'\?"),
        ("unet records --set epochs=ten", "--set sets epochs: 'ten' is not a valid"),
        ("unet records --set epochs", "--set is 'epochs': expected NAME=VALUE"),
        ("unet records --resume run", "--run-dir RUN, or --resume RUN"),
        ("unet nowhere", "nowhere holds no finished build"),
    ],
)
def test_what_is_wrong_is_told_before_keras_is_loaded(
    arguments: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "use_backend", lambda _: pytest.fail("loaded Keras"))
    with pytest.raises(SegdataError, match=message):
        train.train.main(
            [*arguments.split(), "--run-dir", "run"], standalone_mode=False
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fcn-8 records --image-size 12", "'12' is no size: expected HEIGHTxWIDTH"),
        ("fcn-8 records --loss focal", "'focal' is not one of"),
    ],
)
def test_wrong_usage_is_explained(arguments: str, message: str) -> None:
    result = CliRunner().invoke(train.train, [*arguments.split(), "--run-dir", "run"])
    assert result.exit_code == 2
    assert message in result.output


def test_help_shows_the_main_options_and_a_list_all() -> None:
    shown = CliRunner().invoke(train.train, ["--help"]).output
    assert "Training:" in shown
    assert "--epochs" in shown
    assert "--brightness" not in shown
    every = CliRunner().invoke(train.train, ["--options"]).output
    assert "\n  brightness: Largest random change" in every
    assert "\nMask R-CNN:\n" in every
    words = re.findall(r"[a-z]+(?:-[a-z0-9]+)*", train.train.help or "")
    assert {*MODELS, *INSTANCE_MODELS} <= set(words)
