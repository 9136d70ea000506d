"""What every model must do, with every encoder.

The ordinary suite takes each kind of model once, on the quickest encoder; the whole
grid is marked slow.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from trained_models import SIZE, calibrate, patch_images, patch_labels

from segdata.errors import OptionError
from segdata.trainers.models import MODELS, ModelOptions, build_model, inference_model
from segdata.trainers.models.encoders import ENCODERS
from segdata.trainers.semantic.losses import SegmentationLoss

CLASSES = 5
WIDTH = 16


@dataclass(frozen=True)
class Case:
    model: str
    encoder: str | None

    def __str__(self) -> str:
        return f"{self.model}-on-{self.encoder or 'itself'}"

    @property
    def narrow(self) -> dict[str, int]:
        """Fewer channels than the papers': VGG-16's fc6 has 100 million weights."""
        if not self.model.startswith("fcn"):
            return {"width": WIDTH}
        return {"fc_width": WIDTH} if self.encoder in (None, "vgg-16") else {}

    def options(self, **changes: Any) -> ModelOptions:
        given = {"num_classes": CLASSES, "image_size": SIZE, "encoder": self.encoder}
        return ModelOptions(**{**given, **self.narrow, **changes})

    def build(self, **changes: Any) -> Any:
        keras.utils.set_random_seed(1)
        return build_model(self.model, self.options(**changes))


# VGG-16 has a third of the layers of the others: its models build in a second.
QUICK = [
    *(Case(model, "vgg-16") for model in ("fcn-8", "segnet", "pspnet")),
    Case("unet-small", None),
]
GRID = [
    pytest.param(case, id=str(case), marks=() if case in QUICK else (pytest.mark.slow,))
    for case in [
        *itertools.starmap(Case, itertools.product(MODELS, ENCODERS)),
        Case("unet-small", None),
    ]
    # PSPNet's encoder is dilated.
    if (case.model, case.encoder)
    not in [("pspnet", "efficientnet-v2-b0"), ("pspnet", "convnext-tiny")]
]
every_case = pytest.mark.parametrize("case", GRID)
every_model = pytest.mark.parametrize("model", MODELS)


def targets(model: Any, label_maps: np.ndarray) -> Any:
    """Label maps for each output of a model."""
    output = model.output
    return dict.fromkeys(output, label_maps) if isinstance(output, dict) else label_maps


def logits_of(model: Any, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(inference_model(model)(pixels, training=False))


def shapes_of(model: Any) -> list[tuple[str, Any]]:
    # Not the layers' names: Keras numbers those that have none of their own.
    return [(weight.name, tuple(weight.shape)) for weight in model.weights]


def first(losses: Any) -> float:
    """The total, of a model with several outputs too."""
    return float(np.ravel(losses)[0])


@every_case
def test_model_contract(case: Case, tmp_path: Path) -> None:
    # One test, because building and saving cost seconds: shapes, a step, a reload.
    model = case.build()
    pixels = patch_images(2)
    calibrate(model, pixels)
    before = logits_of(model, pixels)
    assert before.shape == (2, *SIZE, CLASSES)
    assert before.dtype == np.float32
    assert np.isfinite(before).all()
    assert np.abs(before).max() > 1e-3

    model.compile(
        # Not SGD: deep in ResNet-50 its steps are below what float32 adds to 1.
        optimizer=keras.optimizers.Adam(1e-3),
        loss=SegmentationLoss(CLASSES),
        run_eagerly=True,
    )
    old = [variable.numpy() for variable in model.trainable_variables]
    loss = first(model.train_on_batch(pixels, targets(model, patch_labels(2))))
    assert 0 < loss < 50
    # FCN's skips begin at zero: what is before them learns from the second step on.
    model.train_on_batch(pixels, targets(model, patch_labels(2)))
    stuck = [
        variable.path
        for variable, value in zip(model.trainable_variables, old, strict=True)
        if np.array_equal(variable.numpy(), value)
    ]
    assert len(stuck) <= len(old) // 20, stuck
    assert not np.array_equal(logits_of(model, pixels), before)

    after = logits_of(model, pixels)
    model.save(tmp_path / "model.keras")
    reloaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits_of(reloaded, pixels), after)


@every_model
def test_odd_sizes_give_logits_of_their_size(model: str) -> None:
    size = (47, 65)
    built = Case(model, "vgg-16").build(image_size=size)
    assert logits_of(built, patch_images(1, size)).shape == (1, *size, CLASSES)
    # One model can be measured by another of its weights.
    usual = Case(model, "vgg-16").build()
    assert shapes_of(built) == shapes_of(usual)


@pytest.mark.parametrize(
    ("model", "upsampling"),
    [
        ("fcn-8", "nearest"),
        ("segnet", "bilinear"),
        ("segnet", "transpose"),
        ("unet", "nearest"),
        ("unet", "transpose"),
        ("pspnet", "bilinear"),
    ],
)
def test_upsampling_is_as_asked_for(model: str, upsampling: Any) -> None:
    built = Case(model, "vgg-16").build(upsampling=upsampling)
    kinds = {
        "nearest": [
            layer
            for layer in built.layers
            if isinstance(layer, keras.layers.UpSampling2D)
            and layer.interpolation == "nearest"
        ],
        "bilinear": [
            layer
            for layer in built.layers
            if isinstance(layer, keras.layers.UpSampling2D)
            and layer.interpolation == "bilinear"
        ],
        "transpose": [
            layer
            for layer in built.layers
            if isinstance(layer, keras.layers.Conv2DTranspose)
        ],
    }
    assert [name for name, layers in kinds.items() if layers] == [upsampling]
    assert not [x for x in built.layers if type(x).__name__ == "Unpooling"]


@pytest.mark.parametrize("model", ["unet", "pspnet"])
def test_without_batch_norm_there_is_none_on_vgg(model: str) -> None:
    case = Case(model, "vgg-16")

    def norms(built: Any) -> list[Any]:
        kind = keras.layers.BatchNormalization
        return [layer for layer in built.layers if isinstance(layer, kind)]

    assert not norms(case.build(batch_norm=False))
    found = norms(case.build(batch_norm_momentum=0.77))
    assert len(found) >= 13
    assert {layer.momentum for layer in found} == {0.77}


def test_batch_norm_of_the_encoder_has_the_momentum_asked_for() -> None:
    built = Case("pspnet", "mobilenet-v2").build(batch_norm_momentum=0.8)
    kind = keras.layers.BatchNormalization
    found = [layer.momentum for layer in built.layers if isinstance(layer, kind)]
    assert len(found) >= 50
    assert set(found) == {0.8}


@pytest.mark.parametrize("model", ["segnet", "pspnet"])
def test_output_does_not_depend_on_the_other_images_of_the_batch(model: str) -> None:
    built = Case(model, "vgg-16").build()
    pixels = patch_images(3)
    calibrate(built, pixels)
    together = logits_of(built, pixels)
    alone = np.concatenate([logits_of(built, pixels[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_dropout_is_the_papers_or_as_asked_for() -> None:
    def rates(**changes: Any) -> list[float]:
        layers = Case("fcn-8", "vgg-16").build(**changes).layers
        return [x.rate for x in layers if isinstance(x, keras.layers.Dropout)]

    assert rates() == [0.5, 0.5]
    assert rates(dropout=0.2) == [0.2, 0.2]
    assert rates(dropout=0.0) == []


def test_one_class_and_many_classes_build() -> None:
    for count in (1, 150):
        built = Case("fcn-8", "mobilenet-v2").build(num_classes=count)
        assert built.output.shape == (None, *SIZE, count)


@pytest.mark.parametrize(
    ("model", "encoder", "changes", "message"),
    [
        *(
            ("unet", None, {name: value}, f"{name} is .*, for an encoder, and unet has")
            for name, value in (("weights", "imagenet"), ("freeze_encoder", True))
        ),
        # What seems a narrower decoder must not cut VGG-16's fc6 and fc7.
        ("fcn-8", None, {"width": 16}, "width is 16, but fcn-8 has nothing that it"),
        ("fcn-16", "mobilenet-v2", {"fc_width": 8}, "but fcn-16 on mobilenet-v2 has n"),
        ("segnet", None, {"fc_width": 8}, "but segnet has nothing"),
        ("unet-small", None, {"fc_width": 8}, "but unet-small has nothing"),
        ("pspnet", None, {"fc_width": 8}, "but pspnet has nothing"),
    ],
)
def test_options_that_change_nothing_are_refused(
    model: str, encoder: str | None, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        Case(model, encoder).build(**changes)


@pytest.mark.parametrize("model", ["fcn-8", "unet-small", "pspnet"])
def test_scores_are_float32_under_bfloat16(model: str) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        built = Case(model, None if model == "unet-small" else "vgg-16").build()
    finally:
        keras.config.set_dtype_policy(before)
    kinds = {layer.name: layer.compute_dtype for layer in built.layers}
    scores = [dtype for name, dtype in kinds.items() if "score" in name]
    assert set(scores) == {"float32"}
    # And what grows them.
    grown = keras.layers.UpSampling2D | keras.layers.Conv2DTranspose
    found = [x for x in built.layers if isinstance(x, grown) and x.name[:3] != "up_"]
    assert {layer.compute_dtype for layer in found} <= {"float32"}
    assert "bfloat16" in kinds.values()


def test_unknown_model_lists_those_there_are() -> None:
    with pytest.raises(OptionError, match=r"'fcn8' is unknown: expected .*fcn-8, seg"):
        build_model("fcn8", Case("fcn-8", None).options())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0: expected 1 to 255"),
        ({"num_classes": 256}, "num_classes is 256"),
        ({"image_size": (31, 64)}, r"image_size is \(31, 64\): .* at least 32"),
        ({"upsampling": "cubic"}, "upsampling is 'cubic': expected one of nearest"),
        ({"batch_norm_momentum": 1.0}, "batch_norm_momentum is 1.0"),
        ({"dropout": 1.0}, "dropout is 1.0: expected 0 to below 1"),
        ({"fc_width": 0}, "fc_width is 0: expected at least 1"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Case("fcn-8", None).options(**changes)


# --- Both backends, and learning: slow.

JAX_OUTPUTS = """
import json, sys
from pathlib import Path
import numpy as np
from segdata.trainers.semantic.losses import SegmentationLoss
from segdata.trainers.models import ModelOptions, build_model, inference_model
import keras
folder = Path(sys.argv[1])
pixels, labels = np.load(folder / "pixels.npy"), np.load(folder / "labels.npy")
for line in (folder / "cases.jsonl").read_text().splitlines():
    name, options = json.loads(line)["name"], json.loads(line)["options"]
    options["image_size"] = tuple(options["image_size"])
    model = build_model(json.loads(line)["model"], ModelOptions(**options))
    model.load_weights(folder / f"{name}.weights.h5")
    # Traced whole: op by op, JAX compiles for minutes.
    logits = inference_model(model).predict(pixels, verbose=0)
    np.save(folder / f"{name}.npy", logits)
    loss = SegmentationLoss(options["num_classes"])
    model.compile(keras.optimizers.SGD(0.01), loss)
    output = model.output
    y = dict.fromkeys(output, labels) if isinstance(output, dict) else labels
    loss = model.train_on_batch(pixels, y)
    print(name, float(np.ravel(loss)[0]))
"""


def compare_with_jax(cases: list[Case], folder: Path, run_jax: Any) -> None:
    pixels, label_maps = patch_images(2), patch_labels(2)
    np.save(folder / "pixels.npy", pixels)
    np.save(folder / "labels.npy", label_maps)
    lines, expected, losses = [], {}, {}
    for case in cases:
        model = case.build(dropout=0.0)  # its draws differ between backends
        name = str(case)
        calibrate(model, pixels)
        expected[name] = logits_of(model, pixels)
        model.save_weights(folder / f"{name}.weights.h5")
        model.compile(
            keras.optimizers.SGD(0.01), SegmentationLoss(CLASSES), run_eagerly=True
        )
        losses[name] = first(model.train_on_batch(pixels, targets(model, label_maps)))
        options = {
            "num_classes": CLASSES,
            "image_size": SIZE,
            **case.narrow,
            "encoder": case.encoder,
            "dropout": 0.0,
        }
        lines.append(
            json.dumps({"name": name, "model": case.model, "options": options})
        )
    (folder / "cases.jsonl").write_text("\n".join(lines))
    printed = run_jax(JAX_OUTPUTS, folder, timeout=3000)
    on_jax = {name: float(loss) for name, loss in map(str.split, printed.splitlines())}
    assert on_jax.keys() == expected.keys()
    for name, logits in expected.items():
        found = np.load(folder / f"{name}.npy")
        # Of the largest: some models' logits are in the tens here.
        scale = max(1.0, np.abs(logits).max())
        np.testing.assert_allclose(
            found / scale, logits / scale, atol=1e-4, err_msg=name
        )
        assert on_jax[name] == pytest.approx(losses[name], rel=5e-3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_model_gives_the_same_on_jax(tmp_path: Path, run_jax: Any) -> None:
    cases = [*itertools.starmap(Case, itertools.product(MODELS, ENCODERS))]
    compare_with_jax([*cases, Case("unet-small", None)], tmp_path, run_jax)


@pytest.mark.slow
@every_case
def test_loss_falls_on_eight_images_within_thirty_steps(case: Case) -> None:
    model = case.build()
    model.compile(
        keras.optimizers.Adam(1e-3), SegmentationLoss(CLASSES), jit_compile=False
    )
    pixels, y = patch_images(8), targets(model, patch_labels(8))
    losses = [first(model.train_on_batch(pixels, y)) for _ in range(30)]
    # SegNet's narrow decoder, which is given only where maxima stood, and that of
    # U-Net under the deepest encoder learn slowest.
    is_slow = case.model == "segnet" or (
        case.model.startswith("unet") and case.encoder == "resnet-50"
    )
    assert min(losses[-3:]) < (0.85 if is_slow else 0.5) * losses[0]
