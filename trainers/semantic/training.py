"""A training run of a model that labels pixels: model, losses, streams, pictures."""

from __future__ import annotations

from typing import Any

from segdata.trainers.models.options import ModelOptions
from segdata.trainers.run.data import TrainingData
from segdata.trainers.run.placement import Placement
from segdata.trainers.semantic.losses import SegmentationLoss
from segdata.trainers.semantic.metrics import segmentation_metrics
from segdata.trainers.semantic.pictures import records_sheet as sheet
from segdata.trainers.semantic.stream import training_stream, validation_stream

__all__ = ["sheet", "training_stream", "validation_stream"]


def model_options(data: TrainingData) -> ModelOptions:
    """The options of the model of a run."""
    options = data.options
    return ModelOptions(
        num_classes=data.classes.num_classes,
        image_size=data.image_size,
        encoder=options.encoder,
        weights=options.weights,
        freeze_encoder=options.freeze_encoder,
        upsampling=options.upsampling,
        batch_norm=options.batch_norm,
        batch_norm_momentum=options.batch_norm_momentum,
        width=options.width,
        fc_width=options.fc_width,
        dropout=options.dropout,
        seed=options.seed,
    )


def outputs(model: Any) -> list[str]:
    """Names of the outputs that labels go to, if there are several."""
    return list(model.output) if isinstance(model.output, dict) else []


def losses(model: Any, data: TrainingData) -> dict[str, Any]:
    """What to compile the model with; an auxiliary output has a loss of its own."""
    options, num_classes = data.options, data.classes.num_classes

    def loss() -> SegmentationLoss:
        return SegmentationLoss(num_classes, options.loss, data.class_weights)

    metrics = segmentation_metrics(num_classes, data.pixel_classes.void_id)
    names = outputs(model)
    if not names:
        return {"loss": loss(), "metrics": metrics}
    weights = {name: options.auxiliary_weight for name in names}
    return {
        "loss": {name: loss() for name in names},
        "loss_weights": weights | {"logits": 1.0},
        "metrics": {"logits": metrics},
    }


def goal(data: TrainingData, placement: Placement) -> str:
    """The metric of the best epoch."""
    return "val_mean_iou" if data.val_split else "loss"


def filling(data: TrainingData) -> float:
    """Images in the batches of a validation, over those that are there."""
    if data.val_split is None:
        return 1.0
    batch_size = data.options.batch_size
    num_records = data.manifest.split(data.val_split).num_records
    return -(-num_records // batch_size) * batch_size / num_records


def measuring(data: TrainingData, placement: Placement) -> list[Any]:
    """Callbacks that score: Keras's own metrics do."""
    return []
