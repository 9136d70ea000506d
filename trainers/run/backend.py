"""Choosing Keras's backend, before Keras is imported."""

from __future__ import annotations

import os
import sys

from segdata.errors import MissingDependencyError, OptionError


def use_backend(backend: str | None) -> None:
    """Chooses Keras's backend, which must happen before Keras is imported.

    Raises:
      OptionError: If another is in use.
      MissingDependencyError: If Keras is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # says nothing of use
    if backend and "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
    try:
        import keras
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"training needs Keras and its backend, and {error.name} is not installed: "
            "pip install 'segdata[train]', or 'segdata[jax]' beside a TensorFlow that "
            "reads the records."
        ) from error
    if backend and keras.backend.backend() != backend:
        raise OptionError(
            f"backend is {backend!r}, but Keras runs on {keras.backend.backend()} in "
            "this process: expected the same. Set KERAS_BACKEND before it starts."
        )
