from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import segdata
from segdata.commands.evaluate import evaluate as command
from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.shards.manifest import read_manifest
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.run.evaluate import evaluate
from segdata.trainers.run.trained import EvaluateOptions
from segdata.trainers.semantic.confusion import confusion_picture
from segdata.trainers.semantic.predictor import (
    Averaging,
    Predictor,
    label_pixels,
    load_predictor,
)
from segdata.trainers.semantic.results import PixelScorer
from segdata.trainers.semantic.scores import Confusion


def test_scores_are_those_of_every_pixel_at_the_stored_size(
    trained: Path, camvid_build: Path
) -> None:
    scores = evaluate(trained, EvaluateOptions(batch_size=5)).scores
    assert (scores["split"], scores["num_records"]) == ("val", 12)

    directory = RunDirectory(trained)
    predictor = load_predictor(directory, directory.load(), "best", 1)
    expected = Confusion(num_classes=12)
    total = 0
    for record in segdata.RecordSource(camvid_build, "val"):
        labels = record.label_map()
        assert labels is not None
        total += int((labels != 11).sum())
        valid = np.where(labels == 11, 255, labels).astype(np.uint8)
        expected.add(valid, predictor.predict([record.image()])[0])
    np.testing.assert_array_equal(scores["confusion"], expected.matrix)
    assert int(expected.matrix.sum()) == total
    assert scores["pixel_accuracy"] == expected.pixel_accuracy
    # It learned something: the road alone is a third.
    assert scores["pixel_accuracy"] > 0.2


def test_scores_at_the_models_size_are_those_of_validation(
    trained: Path, tmp_path: Path, make_segnet: Any
) -> None:
    # Of images that are stored at the model's size, training and evaluation count
    # the very same pixels.
    from segdata.building.build import build
    from segdata.formats.camvid.format import CamVid
    from segdata.trainers.run.options import TrainOptions
    from segdata.trainers.run.train import train

    source = make_segnet(tmp_path / "source", num_train=6, num_val=5, height=32)
    out = tmp_path / "out"
    build(CamVid(), source, out)
    options = TrainOptions(
        model="tiny",
        data=str(out),
        width=2,
        batch_size=2,
        epochs=1,
        pictures_every=0,
    )
    [row] = train(options, str(tmp_path / "run")).rows
    scores = evaluate(tmp_path / "run", EvaluateOptions(weights="last")).scores
    assert scores["pixel_accuracy"] == pytest.approx(row["val_pixel_accuracy"])
    assert row["val_mean_iou"] == pytest.approx(scores["mean_iou"], rel=1e-6)
    # As where no pixel is labelled void: a prediction of it is a miss, and no class.
    void = scores["classes"][11]
    assert void["iou"] is None
    assert void["label_pixels"] > 0


def test_run_is_measured_and_scored_at_the_size_asked_for(
    tmp_path: Path, make_segnet: Any
) -> None:
    # What training counts at another size than the model's is what evaluation counts,
    # where that is the stored size.
    from segdata.building.build import build
    from segdata.formats.camvid.format import CamVid
    from segdata.trainers.run.options import TrainOptions
    from segdata.trainers.run.train import train

    source = make_segnet(tmp_path / "source", num_train=6, num_val=5, height=66)
    out = tmp_path / "out"
    build(CamVid(), source, out)
    [stored] = {r.image().shape[:2] for r in segdata.RecordSource(out, "val")}
    options = TrainOptions(
        model="tiny",
        data=str(out),
        width=2,
        batch_size=2,
        epochs=2,
        image_size=(32, 48),
        eval_image_size=stored,
        scale=(1.0, 2.0),
        pictures_every=2,
    )
    rows = train(options, str(tmp_path / "run")).rows
    assert (tmp_path / "run/pictures/epoch-0002.png").is_file()
    scores = evaluate(tmp_path / "run", EvaluateOptions(weights="last")).scores
    assert scores["image_size"] == list(stored)
    assert scores["pixel_accuracy"] == pytest.approx(rows[-1]["val_pixel_accuracy"])
    assert rows[0]["val_loss"] != rows[1]["val_loss"]


def test_table_has_a_line_for_each_class_and_the_means() -> None:
    scores = {
        "classes": [
            {"name": "sky", "iou": 0.5, "dice": 2 / 3, "label_pixels": 3},
            {"name": "road", "iou": None, "dice": None, "label_pixels": 0},
            {"name": "x", "iou": 0.25, "dice": 0.4, "label_pixels": 1, "void": True},
        ],
        "mean_iou": 0.375,
        "mean_dice": 0.53,
        "pixel_accuracy": 0.75,
        "label_pixels": 4,
        "without_void": {"mean_iou": 0.5, "mean_dice": 0.66, "pixel_accuracy": 1.0},
    }
    assert PixelScorer.table(scores).splitlines() == [
        "class              IoU    Dice   pixels",
        "sky              0.500   0.667   75.00%",
        "road                 -       -    0.00%",
        "x (void)         0.250   0.400   25.00%",
        "mean             0.375   0.530",
        "mean, no void    0.500   0.660",
        "pixel accuracy   0.750",
        "  no void        1.000",
    ]


def test_command_writes_table_json_and_picture(
    trained: Path, camvid_build: Path
) -> None:
    result = CliRunner().invoke(command, [str(trained), "--split", "train"])
    assert result.exit_code == 0, result.output
    # Shares of all pixels, as `segdata info` has them: void too, though left out.
    counts = read_manifest(camvid_build).splits["train"].counts.class_pixels
    share = f"{counts['11'] / counts.total():.2%}"
    assert re.search(rf"void \(void\) +- +- +{share}\n", result.output, re.IGNORECASE)
    data = json.loads((trained / "evaluation-train.json").read_text())
    assert data["num_records"] == 40
    with Image.open(trained / "evaluation-train.png") as picture:
        assert picture.width == picture.height > 500


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "val"),
        ({"weights": "last"}, "val-last"),
        ({"averaging": Averaging(flip=True)}, "val-averaged"),
        ({"data": "some/records", "weights": "last"}, "val-of-records-last"),
    ],
)
def test_each_way_to_score_has_a_file_of_its_own(
    changes: dict[str, Any], name: str
) -> None:
    assert EvaluateOptions(**changes).file_name("val") == name


def test_confusion_picture_is_dark_where_all_pixels_go() -> None:
    picture = confusion_picture([[9, 0], [0, 0]], ["sky", "road"])
    # Corners of the cells: a full one, an empty one, a row without pixels.
    cells = [
        picture.getpixel((147 + 46 * x, 147 + 46 * y)) for y, x in ((0, 0), (0, 1))
    ]
    assert cells[0] == (24, 78, 140)
    assert cells[1] == picture.getpixel((147, 147 + 46)) == (255, 255, 255)


@pytest.mark.parametrize("size", [(5, 7), (10, 14), (3, 20), (1, 1)])
def test_logits_are_interpolated_as_tensorflow_does(size: tuple[int, int]) -> None:
    from segdata.streams.tensorflow import tf

    logits = np.random.default_rng(0).normal(size=(5, 7, 4)).astype(np.float32)
    expected = tf.image.resize(logits, size).numpy().argmax(-1)
    np.testing.assert_array_equal(label_pixels(logits, size), expected)


def test_averaging_over_mirror_images_makes_left_and_right_alike(
    trained: Path,
) -> None:
    directory = RunDirectory(trained)
    run = directory.load()
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    both = np.stack([image, image[:, ::-1]])
    once = load_predictor(directory, run, "best", 2)
    twice = load_predictor(directory, run, "best", 2, Averaging(flip=True))
    plain, mirrored = once.logits(both)
    found, found_mirrored = twice.logits(both)
    np.testing.assert_allclose(found, (plain + mirrored[:, ::-1]) / 2, atol=1e-5)
    np.testing.assert_allclose(found, found_mirrored[:, ::-1], atol=1e-5)
    assert np.abs(found - plain).max() > 1e-3
    scores = evaluate(trained, EvaluateOptions(averaging=Averaging(flip=True))).scores
    assert scores["averaging"] == {"flip": True, "scales": (1.0,)}
    assert (
        scores["confusion"] != evaluate(trained, EvaluateOptions()).scores["confusion"]
    )


def test_averaging_over_scales_is_the_mean_of_each_at_the_runs_size(
    trained: Path,
) -> None:
    from segdata.streams.tensorflow import tf

    directory = RunDirectory(trained)
    run = directory.load()
    images = np.random.default_rng(0).integers(0, 256, (2, 90, 70, 3), np.uint8)
    once = load_predictor(directory, run, "best", 2)
    [large] = load_predictor(directory, run, "best", 2, Averaging(scales=(2,))).models
    height, width = once.image_size
    assert large.inputs[0].shape[1:3] == (2 * height, 2 * width)
    of_large = Predictor([large], 2).logits(images)
    expected = once.logits(images) + tf.image.resize(of_large, (height, width)).numpy()
    both = load_predictor(directory, run, "best", 2, Averaging(scales=(1, 2)))
    np.testing.assert_allclose(both.logits(images), expected / 2, atol=1e-4)
    assert [found.shape for found in both.predict(images)] == [(90, 70)] * 2


def test_sizes_of_scales_are_multiples_of_sixteen() -> None:
    assert Averaging(scales=(1, 0.5, 1.3, 0.25)).sizes((100, 150)) == [
        (100, 150),
        (48, 80),
        (128, 192),
        (32, 32),
    ]


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0), (5.0,), (float("nan"),)])
def test_scales_that_are_no_sizes_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match=r"expected one or more, from 0\.25 to 4"):
        Averaging(scales=scales)


def test_large_images_are_labelled_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).normal(size=(5, 7, 4)).astype(np.float32)
    expected = label_pixels(logits, (33, 20))
    monkeypatch.setattr("segdata.trainers.semantic.predictor._STRIP_BYTES", 1000)
    np.testing.assert_array_equal(label_pixels(logits, (33, 20)), expected)


def test_run_or_weights_that_are_missing_are_named(
    trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match=r"holds no run: run.json is missing"):
        evaluate(tmp_path, EvaluateOptions())
    (tmp_path / "run.json").write_bytes((trained / "run.json").read_bytes())
    with pytest.raises(OutputError, match="has no best weights yet"):
        evaluate(tmp_path, EvaluateOptions())
    (tmp_path / "best.weights.h5").write_bytes(b"not HDF5")
    with pytest.raises(
        CorruptionError, match=r"best.weights.h5 are damaged or of anot"
    ):
        evaluate(tmp_path, EvaluateOptions())
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(CorruptionError, match="is not JSON"):
        evaluate(tmp_path, EvaluateOptions())
    (tmp_path / "run.json").write_text('{"options": {}}')
    with pytest.raises(CorruptionError, match="is no run of segdata"):
        evaluate(tmp_path, EvaluateOptions())


def test_data_of_other_classes_is_refused(
    trained: Path, camvid_source: Path, tmp_path: Path
) -> None:
    from segdata.building.build import build
    from segdata.formats.camvid.format import CamVid

    out = tmp_path / "out"
    build(CamVid(classes="camvid-11"), camvid_source, out)
    with pytest.raises(
        OptionError, match=r"trained on other classes than .*out has: ids 11, 255 dif"
    ):
        evaluate(trained, EvaluateOptions(data=str(out)))
    with pytest.raises(OptionError, match="split 'test' is not in this dataset"):
        evaluate(trained, EvaluateOptions(split="test"))
    with pytest.raises(OptionError, match="batch_size is 0"):
        EvaluateOptions(batch_size=0)
