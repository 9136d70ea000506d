"""Which fields of `TrainOptions` belong to one kind of model only."""

from __future__ import annotations

SEMANTIC_OPTIONS: tuple[str, ...] = (
    "upsampling",
    "batch_norm",
    "dropout",
    "eval_image_size",
    "void",
    "loss",
    "class_weights",
    "class_weight_power",
    "class_weight_limit",
    "auxiliary_weight",
)
"""Fields that mean something to models that label pixels only."""
INSTANCE_OPTIONS: tuple[str, ...] = (
    "freeze_batch_norm",
    "pyramid_batch_norm",
    "anchor_scale",
    "candidates",
    "proposals",
    "rpn_samples",
    "roi_samples",
    "roi_canonical",
    "box_width",
    "mask_width",
    "detections",
    "max_objects",
    "score_every",
)
"""Fields that mean something to models that find objects only."""
