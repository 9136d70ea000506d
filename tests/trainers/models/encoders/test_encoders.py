from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from trained_models import calibrate

from segdata.errors import MissingDependencyError, OptionError
from segdata.trainers.models import ModelOptions
from segdata.trainers.models.encoders import ENCODERS, build_encoder
from segdata.trainers.models.encoders.encoder import SCOPE

every_encoder = pytest.mark.parametrize("name", ENCODERS)
APPLICATIONS = {
    "vgg-16": (keras.applications.VGG16, keras.applications.vgg16),
    "resnet-50": (keras.applications.ResNet50, keras.applications.resnet50),
    "mobilenet-v2": (keras.applications.MobileNetV2, keras.applications.mobilenet_v2),
    "efficientnet-v2-b0": (keras.applications.EfficientNetV2B0, None),
    "convnext-tiny": (keras.applications.ConvNeXtTiny, None),
}
LARGE = ("resnet-50", "convnext-tiny")
FIRST_STRIDES = {"vgg-16": 1, "convnext-tiny": 4}


def options(**changes: Any) -> ModelOptions:
    given = {"num_classes": 3, "image_size": (64, 96), "batch_norm": False}
    return ModelOptions(**{**given, **changes})


def noise(size: tuple[int, int] = (64, 96)) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (1, *size, 3), np.uint8)


@every_encoder
def test_endpoints_have_the_size_of_their_stride(name: str) -> None:
    size = (65, 32)
    encoder = build_encoder(name, options(image_size=size))
    assert tuple(encoder.input.shape) == (None, *size, 3)
    assert encoder.input.dtype == "uint8"
    first = FIRST_STRIDES.get(name, 2)
    assert list(encoder.features) == [s for s in (1, 2, 4, 8, 16, 32) if s >= first]
    assert list(encoder.pooled) == [s for s in (2, 4, 8, 16, 32) if s >= first]
    for maps in (encoder.features, encoder.pooled):
        for stride, tensor in maps.items():
            # Halved again and again, each time rounding up.
            assert tensor.shape[1:3] == (-(-size[0] // stride), -(-size[1] // stride))
            assert tensor.shape[1:3] == encoder.size(stride)
    # By this the optimiser finds them, in any model.
    variables = keras.Model(encoder.input, encoder.features[32]).variables
    assert {variable.path.split("/")[0] for variable in variables} == {SCOPE}


@pytest.mark.parametrize(
    "name",
    [
        # Built alike, but of many more layers: `make test-slow` compares those.
        pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else [])
        for name in APPLICATIONS
    ],
)
def test_encoder_is_the_published_one_with_its_preprocessing(
    name: str, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(5)
    build, module = APPLICATIONS[name]
    pixels = noise()
    given, extra = pixels.astype(np.float32), {}
    if module:
        given = module.preprocess_input(given)
    else:  # there it is a part of the model
        given = (given / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        extra = {"include_preprocessing": False}
    size = (64, 96, 3)
    reference = build(include_top=False, weights=None, input_shape=size, **extra)
    if module:
        calibrate(reference, given)
    expected = reference(given)
    reference.save_weights(tmp_path / "encoder.weights.h5")

    # Batch normalisation too, of which the published VGG-16 has none.
    given = options(weights=str(tmp_path / "encoder.weights.h5"), batch_norm=True)
    encoder = build_encoder(name, given)
    found = keras.Model(encoder.input, encoder.pooled[32])(pixels)
    assert float(np.abs(expected).max()) > 1e-3
    atol = 2e-4 if module else 1e-5
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=atol)


@pytest.mark.parametrize("name", ["vgg-16", "efficientnet-lite0"])
def test_model_for_trained_weights_is_alike_and_loads_none(name: str) -> None:
    def layers(**changes: Any) -> list[tuple[str, dict[str, Any]]]:
        encoder = build_encoder(name, options(batch_norm=True, **changes))
        model = keras.Model(encoder.input, encoder.features[32])
        return [(type(x).__name__, x.get_config()) for x in model.layers]

    # There is no such file.
    found = layers(weights="none.h5", load_weights=False)
    if name == "vgg-16":
        assert len(found) < len(layers())
        assert "BatchNormalization" not in dict(found)
    else:
        assert found == layers(weights="imagenet") == layers()


def test_frozen_encoder_stays_as_it_is() -> None:
    encoder = build_encoder("mobilenet-v2", options(freeze_encoder=True))
    x = keras.layers.Conv2D(1, 1)(encoder.features[32])
    model = keras.Model(encoder.input, x)
    assert len(model.trainable_variables) == 2
    before = [value.copy() for value in model.get_weights()[:-2]]
    model(noise(), training=True)  # statistics of batch norm would move
    for old, new in zip(before, model.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("name", "output_stride"),
    [
        ("resnet-50", 8),
        ("mobilenet-v2", 16),
        ("efficientnet-lite0", 8),
    ],
)
def test_dilated_encoder_computes_the_same_values_and_more_between(
    name: str, output_stride: int
) -> None:
    keras.utils.set_random_seed(5)
    plain = build_encoder(name, options())
    strided = keras.Model(plain.input, plain.features[32])
    calibrate(strided, noise())
    between = build_encoder(name, options(), output_stride=output_stride)
    dilated = keras.Model(between.input, between.features[32])
    assert dilated.output.shape[1:3] == (64 // output_stride, 96 // output_stride)
    dilated.set_weights(strided.get_weights())
    step = 32 // output_stride
    # ResNet-50's strides look at even rows, the others' at odd ones.
    first = 0 if name == "resnet-50" else step - 1
    found = np.asarray(dilated(noise()))[:, first::step, first::step]
    expected = np.asarray(strided(noise()))
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_dilated_vgg_keeps_its_map_large() -> None:
    encoder = build_encoder("vgg-16", options(), output_stride=8)
    assert encoder.pooled[32].shape[1:3] == (8, 12)
    model = keras.Model(encoder.input, encoder.pooled[32])
    assert model.get_layer("block5_conv1").dilation_rate == (2, 2)
    assert "block5_pool" not in {layer.name for layer in model.layers}


@pytest.mark.parametrize("name", ["efficientnet-v2-b0", "convnext-tiny"])
def test_encoder_that_cannot_be_dilated_says_so(name: str) -> None:
    with pytest.raises(OptionError, match=f"'{name}' cannot be dilated: expect"):
        build_encoder(name, options(), output_stride=8)


def test_unknown_encoder_lists_those_there_are() -> None:
    with pytest.raises(
        OptionError, match="'vgg' is unknown: expected one of vgg-16, r"
    ):
        build_encoder("vgg", options())


def test_output_stride_that_is_none_is_refused() -> None:
    with pytest.raises(OptionError, match="output_stride is 4: expected 8, 16 or 32"):
        build_encoder("vgg-16", options(), output_stride=4)


@pytest.mark.parametrize("name", ["vgg-16", "efficientnet-v2-b0"])
@pytest.mark.usefixtures("no_network")
def test_imagenet_weights_without_a_network_say_what_to_do(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(*_: object, **__: object) -> None:
        raise Exception("URL fetch failure on https://...: None -- unreachable")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", no_answer)
    with pytest.raises(
        MissingDependencyError,
        match=r"ImageNet weights of \w+ cannot be downloaded .* pass the path of the",
    ):
        build_encoder(name, options(weights="imagenet"))


def test_weights_file_that_is_missing_or_of_another_net_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(OptionError, match=r"weights '.*none.h5' is no file: expected"):
        build_encoder("vgg-16", options(weights=str(tmp_path / "none.h5")))
    other = keras.applications.VGG16(include_top=False, weights=None)
    other.save_weights(tmp_path / "vgg.weights.h5")
    with pytest.raises(OptionError, match=r"vgg.weights.h5 does not fit MobileNetV2"):
        build_encoder("mobilenet-v2", options(weights=str(tmp_path / "vgg.weights.h5")))
    (tmp_path / "text.weights.h5").write_text("no weights")
    with pytest.raises(OptionError, match=r"text.weights.h5 does not fit ResNet50"):
        build_encoder("resnet-50", options(weights=str(tmp_path / "text.weights.h5")))
