"""The geometry once more, on the other backend: backends are chosen once a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

RUN = """
import sys
import keras, pytest, segdata  # segdata now: later tests/segdata would be found
assert keras.backend.backend() == "jax"
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-n0", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("name", ["test_geometry.py", "test_sampling.py"])
def test_geometry_is_the_same_on_jax(name: str, run_jax: Any) -> None:
    output = run_jax(RUN, Path(__file__).with_name(name))
    assert " passed" in output
