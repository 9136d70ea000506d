"""`segdata --version -v`: what is installed, for bug reports."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator

from segdata.version import __version__

PACKAGES = (
    *("apache-beam", "numpy", "pillow", "protobuf", "pycocotools", "simplejpeg"),
    *("tensorflow", "tensorflow-cpu", "tensorflow-tpu", "keras", "jax", "torch"),
    *("grain", "tensorflow-datasets", "s3fs", "gcsfs"),
)
"""What a build's bytes, a reader or a run may depend on."""


def version_lines() -> Iterator[str]:
    """Versions of segdata, Python and the packages that are installed."""
    yield f"segdata {__version__}"
    yield f"Python {platform.python_version()}, {platform.platform()}"
    is_compiled = importlib.util.find_spec("segdata.masks._runs") is not None
    yield f"C part: {'compiled' if is_compiled else 'not compiled, builds are slower'}"
    for name in PACKAGES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
