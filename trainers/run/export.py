"""A run's model in formats that need nothing of segdata."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np

from segdata.errors import MissingDependencyError, OptionError, OutputError
from segdata.storage.paths import Address
from segdata.trainers.instances.detector import Detector
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.run.trained import UseOptions, load_model
from segdata.trainers.semantic.predictor import WhichWeights

ExportFormat = Literal["keras", "saved-model", "onnx"]


def export_model(
    run_dir: Address, to: ExportFormat, output: str, weights: WhichWeights = "best"
) -> None:
    """Writes a run's model for use without segdata: uint8 RGB in.

    Out come logits, or of Mask R-CNN `boxes`, `scores`, `classes` and `masks` of one
    image, padded into its canvas. `keras` needs segdata's layers when it is loaded; the
    others need nothing of it.

    Raises:
      OptionError: If the model cannot be had in that format.
      OutputError: If it cannot be written.
      MissingDependencyError: If the exporter's own packages are missing.
    """
    directory = RunDirectory(run_dir)
    run = directory.load()
    if to == "onnx" and run.options.task == "instances":
        raise OptionError(
            f"{run.options.model} is not exported to ONNX, whose converter was never "
            "tried on its loops: expected saved-model or keras."
        )
    used = load_model(directory, run, UseOptions(weights=weights, batch_size=1))
    try:
        if isinstance(used, Detector):
            _export_detector(used, to, output)
        else:
            _export_predictor(used.models[0], used.image_size, to, output)
    except ImportError as error:
        raise MissingDependencyError(
            f"exporting to {to} needs a package that is not installed: {error}. For "
            "ONNX: pip install 'segdata[onnx]'."
        ) from error
    except (OSError, ValueError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise OutputError(f"cannot export to {output}: {line}.") from error


def _export_predictor(model: Any, size: tuple[int, int], to: str, output: str) -> None:
    if to == "onnx":  # Keras refuses what has never been called
        model(np.zeros((1, *size, 3), np.uint8), training=False)
    if to == "keras":
        model.save(output)
    else:
        name = {"saved-model": "tf_saved_model", "onnx": "onnx"}[to]
        model.export(output, format=name, verbose=False)


def _export_detector(used: Detector, to: str, output: str) -> None:
    if to == "keras":
        used.model.save(output)
        return
    archive = keras.export.ExportArchive()
    archive.track(used.model)
    image = keras.InputSpec(shape=(1, *used.image_size, 3), dtype="uint8")
    archive.add_endpoint(
        "serve", lambda image: used.model.detect({"image": image}), [image]
    )
    archive.write_out(output, verbose=False)
