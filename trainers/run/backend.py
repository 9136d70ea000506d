"""Choosing Keras's backend, before Keras is imported, and without a page of noise."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

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
        with _quiet():
            import keras

            from segdata.streams.tensorflow import tf

            tf.config.list_physical_devices("GPU")
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drops what TensorFlow writes to stderr before its log level counts.

    If there is an error, what was written is shown.
    """
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            file.seek(0)
            os.write(kept, file.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
