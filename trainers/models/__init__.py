"""Models in pure Keras 3: one model, one file, one line in `MODELS`.

Every semantic model maps `[batch, height, width, 3] uint8` RGB to `logits`
`[batch, height, width, num_classes] float32`; what the pixels need beforehand is part
of it. A model with an auxiliary loss returns a dict of `logits` and `auxiliary`. Models
of `INSTANCE_MODELS` find objects; what they take and give stands with each.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Literal

from segdata.errors import OptionError
from segdata.trainers.models.options import ModelOptions as ModelOptions

if TYPE_CHECKING:
    from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions

Task = Literal["semantic", "instances"]

MODELS = {
    "fcn-32": "segdata.trainers.models.fcn:fcn_32",
    "fcn-16": "segdata.trainers.models.fcn:fcn_16",
    "fcn-8": "segdata.trainers.models.fcn:fcn_8",
    "segnet": "segdata.trainers.models.segnet:segnet",
    "unet": "segdata.trainers.models.unet:unet",
    "unet-small": "segdata.trainers.models.unet:unet_small",
    "pspnet": "segdata.trainers.models.pspnet:pspnet",
}
"""Name -> module:function, imported when the model is built: they label pixels."""
INSTANCE_MODELS = {
    "mask-rcnn": "segdata.trainers.models.mask_rcnn.model:build_mask_rcnn",
}
"""The same of models that find objects."""
ALL_MODELS = {**MODELS, **INSTANCE_MODELS}


def check_model(name: str) -> None:
    """Refuses an unknown model.

    Raises:
      OptionError: If there is none of that name; it lists those there are.
    """
    if name not in ALL_MODELS:
        raise OptionError(
            f"model {name!r} is unknown: expected one of {', '.join(ALL_MODELS)}."
        )


def task_of(name: str) -> Task:
    """Whether a model labels pixels or finds objects."""
    return "instances" if name in INSTANCE_MODELS else "semantic"


def build_model(name: str, options: ModelOptions | MaskRCNNOptions) -> Any:
    """Builds a model.

    Args:
      name: A name in `ALL_MODELS`.
      options: How to build it, of the kind that its task has.

    Returns:
      A `keras.Model`, not compiled.

    Raises:
      OptionError: If the model or its encoder is unknown, or an option does not fit.
    """
    check_model(name)
    module, _, function = ALL_MODELS[name].partition(":")
    return getattr(importlib.import_module(module), function)(options)


def inference_model(model: Any) -> Any:
    """The part of a model that predicts: without its auxiliary head.

    Shares its weights, so that it is as trained as the model is at any time.
    """
    import keras

    if not isinstance(model.output, dict):
        return model
    return keras.Model(model.input, model.output["logits"], name=model.name)
