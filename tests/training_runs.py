"""Training in processes of their own: on any backend, on virtual devices, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segdata.trainers.run.directory import STATE_NAME
from segdata.trainers.run.options import TrainOptions

_TRAIN = """
import json, os, sys
given, run = json.loads(sys.argv[1]), sys.argv[2]
sys.path.append(sys.argv[3])
from segdata.trainers.models import ALL_MODELS
from segdata.trainers.run.train import train
from segdata.trainers.run.options import TrainOptions
from tiny_models import TINY
ALL_MODELS.update(TINY)
print(json.dumps(train(TrainOptions.from_json(given), run).rows))
"""


def start(
    given: TrainOptions, run: Path, backend: str = "tensorflow", devices: int = 1
) -> subprocess.Popen[str]:
    """Starts a run on so many virtual devices."""
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    arguments = [json.dumps(given.to_json()), run, Path(__file__).parent]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _TRAIN, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_of(process: subprocess.Popen[str]) -> list[dict[str, float]]:
    """Waits for a run; returns its numbers of each epoch."""
    try:
        out, err = process.communicate(timeout=1500)
    finally:
        process.kill()
    assert process.returncode == 0, err[-4000:]
    rows: list[dict[str, float]] = json.loads(out.splitlines()[-1])
    return rows


def kill_after_an_epoch(
    given: TrainOptions, run: Path, backend: str = "tensorflow"
) -> None:
    """Starts a run and kills it once it has left a state, before its last epoch."""
    process = start(given, run, backend)
    try:
        deadline = time.monotonic() + 900
        while not (run / STATE_NAME).is_file():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    done = len(json.loads(_state_of(run)["history"].tobytes()))
    assert 1 <= done < given.epochs


def assert_same_state(one: Path, other: Path) -> None:
    """Two runs have the same weights, optimiser state and history, to the bit."""
    found, expected = _state_of(one), _state_of(other)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def last_step(run: Path) -> NDArray[np.floating[Any]]:
    """All momenta of a run's optimiser, in one row: what its last gradients were."""
    arrays = list(_state_of(run).values())
    # They come last, after the learning rate.
    rate = max(index for index, array in enumerate(arrays) if not array.shape)
    return np.concatenate([array.reshape(-1) for array in arrays[rate + 1 :]])


def _state_of(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / STATE_NAME) as data:
        return {name: data[name] for name in data.files}
