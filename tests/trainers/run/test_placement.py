"""Several devices and hosts: the curve of one, every record once per epoch."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from training_runs import rows_of, start

from segdata.errors import OptionError
from segdata.trainers.run.data import open_data
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.placement import Placement, place
from segdata.trainers.semantic.stream import training_stream, validation_stream


def options(data: Path, **changes: Any) -> TrainOptions:
    given = {"model": "unet", "data": str(data), "image_size": (32, 48)}
    return TrainOptions(**{**given, "batch_size": 10, **changes})


def host(index: int, count: int) -> Placement:
    return Placement(backend="jax", num_hosts=count, host_index=index)


def test_hosts_see_each_record_once_per_epoch(camvid_build: Path) -> None:
    num_hosts = 2
    given = options(camvid_build)
    data = open_data(given)
    for epoch in range(2):
        seen = []
        for index in range(num_hosts):
            stream = training_stream(data, host(index, num_hosts), [], 4 * epoch)
            for images, labels in stream.take(4):
                assert images.shape == (10 // num_hosts, 32, 48, 3)
                assert labels.dtype == np.uint8
                seen += [image.numpy().tobytes() for image in images]
        assert len(seen) == len(set(seen)) == 40


@pytest.mark.parametrize(("num_hosts", "batch_size"), [(1, 5), (5, 5)])
def test_validation_has_as_many_batches_on_every_host(
    camvid_build: Path, num_hosts: int, batch_size: int
) -> None:
    given = options(camvid_build, batch_size=batch_size)
    data = open_data(given)
    lengths, images = set(), []
    for index in range(num_hosts):
        stream = validation_stream(data, host(index, num_hosts), [])
        batches = list(stream)
        assert stream.cardinality().numpy() == len(batches)
        lengths.add(len(batches))
        for pixels, labels in batches:
            ignored = (labels.numpy() == 255).all(axis=(1, 2))
            images += [p.numpy().tobytes() for p in pixels[~ignored]]
    assert len(lengths) == 1
    assert len(images) == len(set(images)) == 12


def test_void_is_left_out_or_learnt(camvid_build: Path) -> None:
    found = {}
    for void in ("ignore", "learn"):
        given = options(camvid_build, void=void)
        data = open_data(given)
        labels = np.concatenate([y for _, y in validation_stream(data, host(0, 1), [])])
        found[void] = labels[:12]  # what follows is padding
        assert (labels[12:] == 255).all()
    assert (found["learn"] == 11).any()
    assert not (found["ignore"] == 11).any()
    expected = np.where(found["learn"] == 11, 255, found["learn"])
    np.testing.assert_array_equal(found["ignore"], expected)


def test_labels_go_to_every_output(camvid_build: Path) -> None:
    given = options(camvid_build)
    stream = training_stream(open_data(given), host(0, 1), ["logits", "auxiliary"])
    _, labels = next(iter(stream))
    assert labels.keys() == {"logits", "auxiliary"}


def test_several_hosts_need_jax() -> None:
    given = options(Path("records"), coordinator="a:1")
    with (
        pytest.raises(OptionError, match="several hosts train on the JAX backend only"),
        place(given),
    ):
        pass


def test_batch_that_devices_cannot_share_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("jax", reason="needs the extra 'jax'")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu"] * 3)
    with (
        pytest.raises(
            OptionError, match="batch_size is 10: expected a multiple of the 3"
        ),
        place(options(Path("records"))),
    ):
        pass


def test_jit_is_off_on_a_cpu_unless_asked_for() -> None:
    on_tensorflow = Placement(backend="tensorflow")
    records = Path("records")
    assert not on_tensorflow.jit_compile(options(records))
    assert on_tensorflow.jit_compile(options(records, jit_compile="on"))
    assert host(0, 1).jit_compile(options(records))
    assert keras.distribution.distribution() is None


# --- For real, on virtual devices: each step takes all records, so that the curve does
# --- not depend on their order, and a record missed or seen twice would change it.

CURVE = {
    "model": "unet-small",
    "width": 4,
    # Both depend on which images a device sees, or in which order.
    "batch_norm": False,
    "dropout": 0.0,
    "batch_size": 40,
    "epochs": 3,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "schedule": "constant",
    "pictures_every": 0,
}


def assert_same_curve(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected) == 3
    assert expected[2]["loss"] < expected[0]["loss"]
    for one, other in zip(found, expected, strict=True):
        for name in ("loss", "mean_iou", "val_loss", "val_mean_iou"):
            assert one[name] == pytest.approx(other[name], rel=2e-3, abs=2e-3), name


@pytest.fixture(scope="module")
def one_jax_device(
    camvid_build: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, float]]:
    pytest.importorskip("jax", reason="needs the extra 'jax'")
    run = tmp_path_factory.mktemp("jax") / "run"
    return rows_of(start(options(camvid_build, **CURVE), run, "jax"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_eight_jax_devices_give_the_curve_of_one(
    camvid_build: Path, tmp_path: Path, one_jax_device: Any
) -> None:
    given = options(camvid_build, **CURVE)
    found = rows_of(start(given, tmp_path / "run", "jax", devices=8))
    assert_same_curve(found, one_jax_device)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_jax_processes_give_the_curve_of_one_device(
    camvid_build: Path, tmp_path: Path, one_jax_device: Any
) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    hosts = {"coordinator": f"localhost:{port}", "num_hosts": 2}
    processes = [
        start(
            options(camvid_build, **CURVE, **hosts, host_index=index),
            tmp_path / "run",
            "jax",
            devices=2,
        )
        for index in range(2)
    ]
    first, second = map(rows_of, processes)
    assert_same_curve(first, one_jax_device)
    assert first == second
    assert (tmp_path / "run/best.weights.h5").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_hosts_of_different_options_stop_before_the_first_step(
    camvid_build: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jax", reason="needs the extra 'jax'")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    hosts = {"coordinator": f"localhost:{port}", "num_hosts": 2}
    processes = [
        start(
            options(
                camvid_build, **{**CURVE, "learning_rate": rate}, **hosts, host_index=i
            ),
            tmp_path / "run",
            "jax",
        )
        for i, rate in enumerate((0.05, 0.06))
    ]
    for process in processes:
        _, err = process.communicate(timeout=500)
        assert process.returncode
        assert "host 1 has other options, data or model than host 0" in err
