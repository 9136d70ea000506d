"""Fixtures for trainers. TensorFlow and Keras log less, and warn of nothing here.

- `run_jax`: runs code in a process of its own, with Keras on JAX.
- `trained`: a finished run of a tiny model on the drawn CamVid.
- `drawn_coco`: a build of drawn scenes in COCO's layout, 16 train and 8 val.

The models of `tiny_models.py` are known by their names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_models import TINY

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def run_backend(
    backend: str, code: str, *arguments: object, devices: int = 1, timeout: int = 280
) -> str:
    """Runs Python with a backend of Keras and so many virtual devices."""
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="session")
def run_jax() -> Callable[..., str]:
    pytest.importorskip("jax", reason="needs the extra 'jax'")

    def run(code: str, *arguments: object, devices: int = 1, timeout: int = 280) -> str:
        return run_backend("jax", code, *arguments, devices=devices, timeout=timeout)

    return run


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keras finds no cached file, and nothing answers."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


@pytest.fixture(scope="package", autouse=True)
def _tiny_models() -> Iterator[None]:
    from segdata.trainers import models

    with pytest.MonkeyPatch.context() as patch:
        for name, function in TINY.items():
            patch.setitem(models.ALL_MODELS, name, function)
        yield


@pytest.fixture(scope="package")
def trained(
    camvid_build: Path, tmp_path_factory: pytest.TempPathFactory, _tiny_models: None
) -> Path:
    """A run of a tiny model: two epochs, void left out."""
    from segdata.trainers.run.options import TrainOptions
    from segdata.trainers.run.train import train

    run = tmp_path_factory.mktemp("trained") / "run"
    options = TrainOptions(
        model="tiny",
        data=str(camvid_build),
        width=4,
        image_size=(32, 48),
        batch_size=8,
        epochs=2,
        learning_rate=0.01,
        pictures_every=0,
    )
    train(options, str(run))
    return run


@pytest.fixture(scope="session")
def drawn_coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from segdata.building.build import build
    from segdata.formats.coco.format import Coco
    from segdata.samples.coco import write_coco_sample

    folder = tmp_path_factory.mktemp("drawn")
    write_coco_sample(folder / "source", seed=0, num_train=16, num_val=8)
    build(Coco(), folder / "source", folder / "out")
    return folder / "out"
