"""The one place where TensorFlow is imported, with a clear line where it is missing."""

from __future__ import annotations

from typing import Any

from segdata.errors import MissingDependencyError

try:
    import tensorflow
except ModuleNotFoundError as error:
    if error.name != "tensorflow":
        raise
    raise MissingDependencyError(
        "reading with tf.data needs TensorFlow, which is not installed: choose the "
        "distribution for your machine, e.g. pip install 'segdata[tensorflow]', "
        "'segdata[cpu]' (no GPU) or 'segdata[tpu]'. Building needs none of them."
    ) from error

# Any: TensorFlow ships no complete types.
tf: Any = tensorflow

__all__ = ["tf"]
