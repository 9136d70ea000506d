"""The geometry once more, on the other backend: backends are chosen once a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RUN = """
import sys
import keras, pytest, segdata  # segdata now: later tests/segdata would be found
assert keras.backend.backend() == "jax"
sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-n0", *sys.argv[1:]]))
"""
# Of four draws of ROIs one will do, and of a test's parameters: each compiles anew.
LEFT_OUT = (
    "slots_that_objects_leave or too_few_proposals or all_samples_are_background "
    "or [False- or -0.3] or -0.7] or [4-1] or [3-3] or [weights1]"
)


def test_geometry_is_the_same_on_jax(run_jax: Any) -> None:
    folder = Path(__file__).parent
    files = [folder / name for name in ("test_geometry.py", "test_sampling.py")]
    assert " passed" in run_jax(RUN, *files, "-k", f"not ({LEFT_OUT})")
