"""A trained run in programs of one's own, and scores of other models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import segdata
from segdata.errors import CorruptionError, OptionError, OutputError
from segdata.storage.local_path import LocalPath
from segdata.trainers import evaluate_label_maps, load_run
from segdata.trainers.models import build_model
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.run.evaluate import evaluate
from segdata.trainers.run.initial import load_initial_weights
from segdata.trainers.run.trained import EvaluateOptions


def test_loaded_run_labels_images_as_evaluation_counts_them(
    trained: Path, camvid_build: Path
) -> None:
    run = load_run(trained, batch_size=4)
    assert run.image_size == (32, 48)
    assert run.classes["road"] == 3
    records = segdata.RecordSource(camvid_build, "val")
    found = run.predict_all([record.image() for record in records])
    np.testing.assert_array_equal(run.predict(records[0].image()), found[0])
    results = [(r.key, ids) for r, ids in zip(records, found, strict=True)]
    scores = evaluate_label_maps(camvid_build, "val", results)
    expected = evaluate(trained, EvaluateOptions()).scores
    assert scores == {name: expected[name] for name in scores}
    with pytest.raises(
        OptionError, match=r"11 records have no result, '.*' among them"
    ):
        evaluate_label_maps(camvid_build, "val", results[:1])
    with pytest.raises(OptionError, match=r"expected a key of split 'val', each once"):
        evaluate_label_maps(camvid_build, "val", [*results[:1], *results[:1]])
    with pytest.raises(OptionError, match=r"\(2, 3\): expected .*, \(360, 480\)"):
        evaluate_label_maps(
            camvid_build, "val", [(records[0].key, np.zeros((2, 3), int))]
        )


def test_size_to_predict_at_is_free_and_far_ones_are_told(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load_run(trained, image_size=(32, 48)).image_size == (32, 48)
    assert "scores may be lower" not in caplog.text
    assert load_run(trained, image_size=(64, 64)).image_size == (64, 64)
    assert "1.3 to 2 times as large as in training, which saw 1 to 1" in caplog.text
    options = EvaluateOptions(eval_image_size=(64, 64), class_agnostic=True)
    assert options.file_name("val") == "val-64x64-class-agnostic"
    with pytest.raises(OutputError, match="holds no run"):
        load_run(tmp_path)


def test_weights_of_other_classes_are_taken_but_for_the_heads(
    tmp_path: LocalPath, caplog: pytest.LogCaptureFixture
) -> None:
    size = {"image_size": (32, 48), "width": 4}
    path = str(tmp_path / "other.weights.h5")
    other = build_model("tiny", ModelOptions(num_classes=5, **size))
    other.save_weights(path)
    given = ModelOptions(num_classes=12, **size)
    model = build_model("tiny", given)
    before = model.get_layer("logits_score").get_weights()
    with caplog.at_level("INFO"):
        load_initial_weights(model, path, "tiny", given)
    assert (
        "other.weights.h5 is of other classes: logits_score begins anew" in caplog.text
    )
    for layer in model.layers:
        expected = other.get_layer(layer.name).get_weights()
        if layer.name == "logits_score":
            expected = before
        for one, another in zip(layer.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(one, another)
    wider = ModelOptions(num_classes=12, image_size=(32, 48), width=5)
    with pytest.raises(CorruptionError, match="are damaged or of another model"):
        load_initial_weights(build_model("tiny", wider), path, "tiny", wider)
