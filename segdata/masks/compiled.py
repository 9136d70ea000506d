"""The part that is compiled from C, where that could be done on installing segdata.

Without it everything has the same bytes and takes longer, see `segdata.masks.polygons`.
"""

from __future__ import annotations

import importlib
from typing import Any

runs: Any
"""`_runs.c`: masks -> row-major runs -> protobuf. None where it was not compiled."""

try:
    runs = importlib.import_module("segdata.masks._runs")
except ImportError:
    runs = None
