from __future__ import annotations

import math

import keras
import pytest

from segdata.trainers.models.encoders.encoder import SCOPE
from segdata.trainers.run.option_groups import OptimizerOptions
from segdata.trainers.run.schedule import Warmup, build_optimizer, build_schedule


def schedule_of(kind: str, warmup: int = 0) -> Warmup:
    options = OptimizerOptions(
        learning_rate=2.0,
        schedule=kind,  # type: ignore[arg-type]
        epochs=10,
        warmup_epochs=warmup / 10,
    )
    return build_schedule(options, steps_per_epoch=10)


def rates(kind: str, steps: list[int], warmup: int = 0) -> list[float]:
    return [float(schedule_of(kind, warmup)(step)) for step in steps]


def test_rate_rises_in_a_line_and_then_stays() -> None:
    assert rates("constant", [0, 1, 3, 4, 50, 99], warmup=4) == pytest.approx(
        [0.5, 1.0, 2.0, 2.0, 2.0, 2.0]
    )


def test_poly_falls_with_the_share_of_steps_left() -> None:
    expected = [2 * (1 - done) ** 0.9 for done in (0, 0.25, 0.99, 1)]
    assert rates("poly", [0, 25, 99, 100]) == pytest.approx(expected, abs=1e-6)


def test_cosine_falls_by_half_a_wave_after_the_rise() -> None:
    expected = [1 + math.cos(math.pi * done) for done in (0, 0.5, 1, 1)]
    found = rates("cosine", [20, 60, 100, 500], warmup=20)
    assert found == pytest.approx(expected, abs=1e-6)


def test_steps_fall_to_a_tenth_at_each_drop() -> None:
    options = OptimizerOptions(
        epochs=9,
        learning_rate=2.0,
        schedule="steps",
        drop_at=(6.0, 8.0),
        warmup_epochs=0.2,
    )
    rate = build_optimizer(options, 10)._learning_rate
    found = [float(rate(step)) for step in (0, 1, 2, 59, 60, 79, 80, 89)]
    expected = [1.0, 2.0, 2.0, 2.0, 0.2, 0.2, 0.02, 0.02]
    assert found == pytest.approx(expected)
    again = Warmup.from_config(rate.get_config())
    assert float(again(60)) == pytest.approx(0.2)


def test_schedule_is_rebuilt_from_its_configuration() -> None:
    schedule = schedule_of("cosine", warmup=2)
    again = Warmup.from_config(schedule.get_config())
    assert [float(again(i)) for i in range(11)] == [
        float(schedule(i)) for i in range(11)
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", keras.optimizers.Adam),
        ("adamw", keras.optimizers.AdamW),
        ("sgd", keras.optimizers.SGD),
    ],
)
def test_weight_decay_spares_biases(name: str, kind: type) -> None:
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    layer.bias.assign([1.0, 1.0, 1.0])
    options = OptimizerOptions(
        optimizer=name,  # type: ignore[arg-type]
        weight_decay=0.1,
        learning_rate=0.5,
        schedule="constant",
        epochs=1,
    )
    optimizer = build_optimizer(options, 10)
    assert isinstance(optimizer, kind)
    before = layer.kernel.numpy()
    gradients = [keras.ops.zeros_like(w) for w in layer.trainable_weights]
    optimizer.apply(gradients, layer.trainable_weights)
    assert layer.bias.numpy().tolist() == [1.0, 1.0, 1.0]
    assert layer.kernel.numpy() == pytest.approx(before * (1 - 0.5 * 0.1), rel=1e-5)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_encoder_learns_at_its_share_of_the_rate(name: str) -> None:
    with keras.name_scope(SCOPE):
        first = keras.layers.Dense(1, name="first")
        first.build((None, 1))
    second = keras.layers.Dense(1, name="second")
    second.build((None, 1))
    options = OptimizerOptions(
        optimizer=name,  # type: ignore[arg-type]
        learning_rate=0.5,
        schedule="constant",
        epochs=1,
        encoder_rate=0.25,
    )
    optimizer = build_optimizer(options, 10)
    optimizer.apply([keras.ops.ones((1,))] * 2, [first.bias, second.bias])
    slow, fast = float(first.bias[0]), float(second.bias[0])
    assert fast == pytest.approx(-0.5, rel=1e-3)
    assert slow == pytest.approx(0.25 * fast)


def test_gradients_are_averaged_over_accumulated_steps() -> None:
    options = OptimizerOptions(
        optimizer="sgd",
        momentum=0.0,
        learning_rate=0.5,
        schedule="constant",
        epochs=1,
        accumulate=2,
    )
    optimizer = build_optimizer(options, 10)
    layer = keras.layers.Dense(1)
    layer.build((None, 1))
    found = []
    for gradient in (1.0, 3.0, 1.0, 1.0):
        optimizer.apply([keras.ops.full((1,), gradient)], [layer.bias])
        found.append(float(layer.bias[0]))
    assert found == pytest.approx([0.0, -1.0, -1.0, -1.5])
