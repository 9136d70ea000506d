"""A run's model in formats that need nothing of segdata."""

from __future__ import annotations

from typing import Literal

import numpy as np

from segdata.errors import MissingDependencyError, OutputError
from segdata.storage.paths import Address
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.semantic.predictor import WhichWeights, load_predictor

ExportFormat = Literal["keras", "saved-model", "onnx"]


def export_model(
    run_dir: Address,
    to: ExportFormat,
    output: str,
    weights: WhichWeights = "best",
) -> None:
    """Writes a run's model for use without segdata: uint8 RGB in, logits out.

    `keras` needs segdata's layers when it is loaded; the others need nothing of it.

    Raises:
      OptionError: If the run's model finds objects.
      OutputError: If it cannot be written.
      MissingDependencyError: If the exporter's own packages are missing.
    """
    directory = RunDirectory(run_dir)
    run = directory.load()
    _ = run.pixel_classes
    predictor = load_predictor(directory, run, weights, 1)
    [model] = predictor.models
    if to == "onnx":  # Keras refuses what has never been called
        model(np.zeros((1, *predictor.image_size, 3), np.uint8), training=False)
    try:
        if to == "keras":
            model.save(output)
        else:
            name = {"saved-model": "tf_saved_model", "onnx": "onnx"}[to]
            model.export(output, format=name, verbose=False)
    except ImportError as error:
        raise MissingDependencyError(
            f"exporting to {to} needs a package that is not installed: {error}. For "
            "ONNX: pip install 'segdata[onnx]'."
        ) from error
    except (OSError, ValueError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise OutputError(f"cannot export to {output}: {line}.") from error
