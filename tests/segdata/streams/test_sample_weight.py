"""`sample_weight=True`: Keras fits and measures, and what is ignored counts nowhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Required, get_origin, get_type_hints

import keras
import numpy as np
import pytest
from PIL import Image

import segdata
from segdata.formats.mask_folder.format import MaskFolder
from segdata.reading import options
from segdata.reading.sampler import host_sampler

NUM_CLASSES = 12
BATCH = 4


@pytest.fixture(scope="module")
def without_void(tmp_path_factory: pytest.TempPathFactory, build_plainly: Any) -> Path:
    """Five images of two classes, 1 and 2, none of which is ignored."""
    folder = tmp_path_factory.mktemp("without_void")
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / "source" / kind).mkdir(parents=True)
    for number in range(5):
        image = rng.integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(image).save(folder / f"source/images/{number}.png")
        labels = rng.integers(1, 3, (24, 32), np.uint8)
        Image.fromarray(labels).save(folder / f"source/masks/{number}.png")
    (folder / "source/classes.txt").write_text("zero\none\ntwo\n")
    build_plainly(folder / "source", folder / "out", dataset_format=MaskFolder())
    return folder / "out"


@pytest.fixture(params=["with_void", "without_void"])
def directory(request: pytest.FixtureRequest, tiny_build: Path) -> Path:
    """Builds of five records in `train`: one to fill a batch of four up twice."""
    if request.param == "with_void":
        return tiny_build
    return Path(request.getfixturevalue("without_void"))


READERS: list[dict[str, Any]] = [
    {"image_size": (16, 16)},
    {"image_size": 40, "resize": segdata.Resize(mode="pad")},
    {
        "image_size": (16, 16),
        "augmentation": segdata.Augmentation(scale=(0.3, 0.4)),
        "resize": segdata.Resize(mode="pad"),
    },
]


@pytest.mark.parametrize(
    ("directory", "given"),
    [
        ("with_void", READERS[0]),
        ("without_void", READERS[1]),
        ("without_void", READERS[2]),
    ],
    indirect=["directory"],
)
def test_weights_are_0_where_the_label_is_to_be_ignored(
    directory: Path, given: dict[str, Any]
) -> None:
    dataset = segdata.open(directory)
    plain = dataset.read_semantic("train", batch_size=BATCH, **given)
    pairs = dataset.read_semantic(
        "train", batch_size=BATCH, sample_weight=True, **given
    )
    ids = {item.id for item in dataset.classes.semantic_classes}
    num_ignored = 0
    for batch, (image, label, weight) in zip(plain, pairs, strict=True):
        ignored = batch["label_map"].numpy() == dataset.classes.padding_id
        num_ignored += ignored.sum()
        np.testing.assert_array_equal(image, batch["image"])
        np.testing.assert_array_equal(weight, np.where(ignored, 0, 1))
        assert weight.dtype == "uint8"
        assert set(np.unique(label)) <= ids - {dataset.classes.ignore_id}
        counted = ~ignored
        np.testing.assert_array_equal(
            label.numpy()[counted], batch["label_map"].numpy()[counted]
        )
        np.testing.assert_array_equal(ignored[batch["image_id"] == -1], True)
    assert num_ignored >= 3 * plain.element_spec["label_map"].shape[1:].num_elements()


def constant_model(size: tuple[int, int], likely: int) -> Any:
    """Says class `likely` everywhere, until it is trained."""
    bias = 9 * np.eye(NUM_CLASSES)[likely]
    model = keras.Sequential(
        [
            keras.Input((*size, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(
                NUM_CLASSES,
                1,
                kernel_initializer="zeros",
                bias_initializer=lambda *_, **__: bias,
            ),
        ]
    )
    model.compile(
        keras.optimizers.SGD(1e-6),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            keras.metrics.MeanIoU(NUM_CLASSES, sparse_y_pred=False, name="mean_iou"),
        ],
    )
    return model


def test_keras_fits_and_measures_without_the_filler(directory: Path) -> None:
    pairs = segdata.read_semantic(
        directory, "train", batch_size=BATCH, image_size=(24, 32), sample_weight=True
    )
    labels = np.stack(
        [r.label_map() for r in segdata.open(directory)["train"]]  # type: ignore[misc]
    )
    counted = labels[labels != segdata.open(directory).classes.padding_id]
    model = constant_model((24, 32), likely=1)
    history = model.fit(pairs, validation_data=pairs, verbose=0, shuffle=False).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["val_accuracy"] == pytest.approx([(counted == 1).mean()], rel=1e-5)


def test_typed_options_are_those_of_the_readers() -> None:
    readers: dict[Callable[..., Any], type] = {
        segdata.read_semantic: options.ReadSemanticOptions,
        segdata.read_instances: options.ReadInstancesOptions,
    }
    order = get_type_hints(options.OrderOptions)
    of_sampler = get_type_hints(host_sampler)
    assert order.items() <= of_sampler.items()
    assert of_sampler.keys() - order == {"num_records", "return"}
    for reader, typed in readers.items():
        named = {
            p.name: p
            for p in inspect.signature(reader).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }
        hints = get_type_hints(reader)
        expected = {name: hints[name] for name in named} | order
        assert get_type_hints(typed) == expected
        required = {n for n, p in named.items() if p.default is p.empty}
        marked = get_type_hints(typed, include_extras=True).items()
        found = {name for name, t in marked if get_origin(t) is Required}
        assert found == required | {"batch_size"}
