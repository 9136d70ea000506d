"""The whole model: what it gives, on both backends, compiled, again and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from mask_rcnn_models import CLASSES, SIZE, TINY, tiny_batch, tiny_model

from segdata.errors import OptionError
from segdata.trainers.models.mask_rcnn.fpn import build_pyramid
from segdata.trainers.models.mask_rcnn.model import LOSSES
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions


def compiled_model(**changes: Any) -> Any:
    model = tiny_model(**changes)
    model.compile(keras.optimizers.SGD(0.01), jit_compile=False)
    return model


@pytest.fixture(scope="module")
def model() -> Any:
    """Compiled once: tracing takes seconds. Tests train it as they like."""
    return compiled_model()


def test_a_step_learns_and_gives_every_part_of_the_loss(model: Any) -> None:
    before = [array.numpy() for array in model.trainable_variables]
    logs = model.train_on_batch(tiny_batch(), return_dict=True)
    assert logs.keys() == {"loss", *LOSSES}
    assert all(np.isfinite(value) for value in logs.values())
    parts = sum(float(logs[name]) for name in LOSSES)
    assert float(logs["loss"]) == pytest.approx(parts, rel=1e-4)
    # Untrained, the parts are what chance gives.
    assert float(logs["rpn_score"]) == pytest.approx(np.log(2), rel=0.2)
    assert float(logs["roi_class"]) == pytest.approx(np.log(CLASSES + 1), rel=0.5)
    assert float(logs["mask"]) == pytest.approx(np.log(2), rel=0.2)
    stuck = [
        variable.path
        for variable, old in zip(model.trainable_variables, before, strict=True)
        if np.array_equal(variable.numpy(), old)
    ]
    # P6 is pooled, so every weight has a way to some loss.
    assert len(stuck) <= len(before) // 20, stuck


@pytest.mark.parametrize("kind", ["nothing", "crowds"])
def test_batches_without_objects_have_finite_losses(model: Any, kind: str) -> None:
    losses = model.compute_losses(tiny_batch(kind), training=False)
    assert all(np.isfinite(float(value)) for value in losses.values())
    for name in ("rpn_box", "roi_box", "mask"):
        assert float(losses[name]) == 0
    assert float(losses["rpn_score"]) > 0


def test_padding_images_count_for_no_metric(model: Any) -> None:
    batch, empty = tiny_batch(), tiny_batch("padding")
    mixed = {key: np.concatenate([batch[key][:1], empty[key][:1]]) for key in batch}
    losses = model.image_losses(mixed, training=False)
    model.reset_metrics()
    # What `test_step` calls; to trace one takes ten seconds.
    found = model.compute_metrics(mixed, None, losses)
    model.reset_metrics()
    for name in LOSSES:
        assert float(found[name]) == pytest.approx(float(losses[name][0]), rel=1e-4)
    assert float(losses["rpn_score"][1]) > 0


def test_detections_are_in_fixed_slots_best_first_inside_the_image(model: Any) -> None:
    batch = tiny_batch()
    batch["image_size"][1] = (32, 40)  # the second covers a part of the canvas
    batch["offset"][1] = (16, 28)
    found = model.predict_on_batch(batch)
    slots = int(TINY["max_objects"]) + 2
    assert found["boxes"].shape == (2, slots, 4)
    assert found["scores"].shape == found["classes"].shape == (2, slots)
    assert found["masks"].shape == (2, slots, 28, 28)
    scores, classes, boxes = (found[k] for k in ("scores", "classes", "boxes"))
    taken = scores > 0
    assert taken.any(axis=1).all()
    assert (np.diff(scores, axis=1) <= 0).all()
    assert (scores[taken] >= 0.05).all()
    np.testing.assert_array_equal(classes > 0, taken)
    assert classes.max() <= CLASSES
    assert not boxes[~taken].any()
    assert (boxes[taken][:, 2:] > boxes[taken][:, :2]).all()
    for image, (low, high) in enumerate([((0, 0), SIZE), ((16, 28), (48, 68))]):
        inside = boxes[image][taken[image]]
        assert (inside[:, :2] >= np.asarray(low) - 1e-3).all()
        assert (inside[:, 2:] <= np.asarray(high) + 1e-3).all()
    assert (found["masks"] >= 0).all()
    assert (found["masks"] <= 1).all()


def test_true_objects_change_no_detection_and_may_be_left_out(model: Any) -> None:
    batch = tiny_batch()
    bare = {key: batch[key] for key in ("image", "image_size", "scale", "offset")}
    with_truth, without = model.predict_step(batch), model.predict_step(bare)
    image_only = model.predict_step({"image": batch["image"]})
    for name, value in with_truth.items():
        np.testing.assert_array_equal(value, without[name])
        np.testing.assert_array_equal(value, image_only[name])


def test_a_saved_model_comes_back_as_it_was(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.options == model.options
    batch = tiny_batch()
    expected, found = (
        one.compute_losses(batch, training=False) for one in (model, again)
    )
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-6)


def test_samples_differ_from_step_to_step_but_not_between_runs() -> None:
    first, second = tiny_model(), tiny_model()
    batch = tiny_batch()
    for one in (first, second):
        one.pyramid.trainable = False  # so that only the samples can differ
    runs = [
        [float(one.compute_losses(batch, training=True)["rpn_score"]) for _ in range(2)]
        for one in (first, second)
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 2


def test_frozen_batch_norm_needs_weights_and_learns_nothing(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="freeze_batch_norm is True with random"):
        tiny_model(freeze_batch_norm=True)
    file = tmp_path / "encoder.weights.h5"
    encoder = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(*SIZE, 3)
    )
    encoder.save_weights(file)
    frozen = tiny_model(freeze_batch_norm=True, weights=str(file))
    plain = tiny_model()
    # Two weights of each of the encoder's 52 layers.
    assert len(plain.trainable_variables) - len(frozen.trainable_variables) == 2 * 52


def test_pretrained_encoder_may_stay_as_it_is() -> None:
    options = MaskRCNNOptions(
        image_size=(65, 96),
        classes=CLASSES,
        encoder="efficientnet-lite0",
        weights="imagenet",
        freeze_encoder=True,
        pyramid_width=8,
    )
    pyramid = build_pyramid(options)
    sides = [(17, 24), (9, 12), (5, 6), (3, 3), (2, 2)]
    assert [tuple(x.shape) for x in pyramid.outputs] == [(None, *s, 8) for s in sides]
    # Two convolutions of each level that ROIs are sampled from, each with a bias.
    assert len(pyramid.trainable_variables) == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "vgg-16"}, "'vgg-16' has no feature pyramid: expected one of res"),
        ({"image_size": (31, 64)}, r"image_size is \(31, 64\): .* at least 32"),
        ({"classes": 0}, "classes is 0: expected at least 1"),
        ({"mask_size": 27}, "mask_size is 27: expected an even number"),
        ({"nms": 1.5}, "nms is 1.5: expected 0 to 1"),
        ({"anchor_ratios": ()}, "expected numbers above 0"),
        ({"anchor_scale": 0.0}, "anchor_scale is 0.0"),
        ({"roi_canonical": 0.0}, "roi_canonical is 0.0"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        MaskRCNNOptions(**{"image_size": SIZE, "classes": CLASSES, **changes})


# --- Both backends, compiled: slow.

ON_JAX = """
import json, sys
import numpy as np
import keras
sys.path.append(sys.argv[2])
from mask_rcnn_models import tiny_batch, tiny_model
model = tiny_model()
model.load_weights(sys.argv[1] + "/tiny.weights.h5")
model.compile(keras.optimizers.SGD(0.01))
traces = {True: 0, False: 0}
call = model.call
def counted(batch, training=False):
    traces[training] += 1
    return call(batch, training=training)
model.call = counted
logs = [
    model.train_on_batch(tiny_batch(kind), return_dict=True)
    for kind in ("objects", "nothing", "crowds", "objects")
]
found = model.predict_on_batch(tiny_batch())
again = model.predict_on_batch(tiny_batch("padding"))
assert not again["scores"].any(), again["scores"]
print(json.dumps({
    "losses": {name: float(value) for name, value in logs[0].items()},
    "traces": [traces[True], traces[False]],
    "finite": all(np.isfinite(float(v)) for log in logs for v in log.values()),
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_jax_gives_the_same_losses_and_compiles_once(
    tmp_path: Path, run_jax: Any
) -> None:
    model = compiled_model()
    model.save_weights(tmp_path / "tiny.weights.h5")
    expected = model.train_on_batch(tiny_batch(), return_dict=True)
    tests = Path(__file__).resolve().parents[3]
    printed = run_jax(ON_JAX, tmp_path, tests, timeout=1500)
    found = json.loads(printed.splitlines()[-1])
    assert found["finite"]
    assert found["traces"] == [1, 1]
    for name, value in expected.items():
        assert found["losses"][name] == pytest.approx(float(value), rel=1e-3), name


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_xla_compiles_steps_and_prediction_once_and_gives_the_same() -> None:
    batch = tiny_batch()
    expected = compiled_model().train_on_batch(batch, return_dict=True)
    model, traces = tiny_model(), {True: 0, False: 0}
    call = model.call

    def counted(batch: Any, training: bool = False) -> Any:
        traces[training] += 1
        return call(batch, training=training)

    model.call = counted
    model.compile(keras.optimizers.SGD(0.01), jit_compile=True)
    found = model.train_on_batch(batch, return_dict=True)
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-3), name
    for kind in ("nothing", "crowds", "objects"):
        model.train_on_batch(tiny_batch(kind))
    once = dict(traces)
    detected = model.predict_on_batch(batch)
    assert np.isfinite(detected["scores"]).all()
    assert not model.predict_on_batch(tiny_batch("padding"))["scores"].any()
    assert once == {True: 1, False: 0}
    assert traces == {True: 1, False: 1}
