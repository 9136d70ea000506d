"""Train steps compiled for four chips of TPU v5e, on a machine without any."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "tpu_step.py"


def load_script() -> Any:
    spec = importlib.util.spec_from_file_location("tpu_step", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tpu_step = load_script()


def test_row_of_the_table_sums_up_what_is_not_all_reduce() -> None:
    found = {
        "model": "unet",
        "size": 224,
        "batch_size": 64,
        "gflop": 1234.5,
        "hbm_bytes": 2.5e9,
        "collectives": {"all-reduce": 7, "all-gather": 1, "all-to-all": 2},
        "compile_seconds": 61.2,
    }
    assert tpu_step.line(found) == (
        "| unet | 224 | 64 | 1,234 | 2.5 | 7 | 3 | 61 | 39.9 | 200.3 |"
    )


RCNN = ("mask-rcnn:resnet-50", "--size", "640", "--batch-size", "8")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "arguments",
    [*((name,) for name in tpu_step.MODELS), RCNN, (*RCNN, "--predict")],
    ids=" ".join,
)
def test_step_fits_a_chip_and_gathers_no_feature_maps(
    arguments: tuple[str, ...],
) -> None:
    pytest.importorskip("libtpu", reason="needs the extra 'tpu-compile'")
    command = [sys.executable, str(SCRIPT), *arguments, "--child"]
    done = subprocess.run(
        command,
        env=os.environ | tpu_step.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert 0 < found["hbm_bytes"] < tpu_step.CHIP_BYTES
    assert found["gflop"] > 1
    counts = found["collectives"]
    if "--predict" not in arguments:
        assert counts["all-reduce"] > 0  # gradients are summed over the chips
    assert counts["all-gather"] == counts["all-to-all"] == 0
