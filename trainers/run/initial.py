"""Beginning with the weights of another run, also one of other classes."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from segdata.errors import CorruptionError
from segdata.storage.paths import locate
from segdata.trainers.models import build_model
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.run.directory import AnyModelOptions
from segdata.trainers.semantic.predictor import load_weights

logger = logging.getLogger(__name__)


def load_initial_weights(
    model: Any, address: str, name: str, options: AnyModelOptions
) -> None:
    """Loads weights; layers whose shape follows the number of classes begin anew.

    Args:
      model: To load into.
      address: Of a `.weights.h5` file of the same model.
      name: Of the model.
      options: It was built with.

    Raises:
      CorruptionError: If the file is damaged or of another model.
    """
    path = locate(address)
    try:
        load_weights(model, path)
    except CorruptionError:
        heads = _heads(model, name, options)
        load_weights(model, path, skip=heads)
        logger.info(
            "%s is of other classes: %s begin%s anew, all else is taken from it",
            address,
            ", ".join(layer.name for layer in heads),
            "s" * (len(heads) == 1),
        )


def _heads(model: Any, name: str, options: AnyModelOptions) -> list[Any]:
    """The layers whose weights change their shape with the number of classes."""
    other: AnyModelOptions
    if isinstance(options, ModelOptions):
        count = options.num_classes + (1 if options.num_classes < 255 else -1)
        other = replace(options, num_classes=count, load_weights=False)
    else:
        other = replace(options, classes=options.classes + 1, load_weights=False)
    pairs = zip(_leaves(model), _leaves(build_model(name, other)), strict=True)
    return [one for one, another in pairs if _shapes(one) != _shapes(another)]


def _leaves(model: Any) -> list[Any]:
    """The layers that have weights of their own."""
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if layer.weights and not getattr(layer, "layers", None)
    ]


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
