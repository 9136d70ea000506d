"""Mask R-CNN (He, Gkioxari, Dollar, Girshick 2017) as one `keras.Model`.

The stream's dict goes in as it is. Of `segdata.read_instances(..., masks="crops",
boxes="pixels")` the model takes

- `image` `[b, h, w, 3] uint8`, `h` and `w` as in the options;
- `image_size` `[b, 2] int32`, `scale` and `offset` `[b, 2] float32`: which part of the
  canvas the image covers; boxes are cut to it. Without them: all of the canvas;

and to learn, besides,

- `boxes` `[b, g, 4] float32`, `ymin, xmin, ymax, xmax` in pixels of the canvas;
- `classes` `[b, g] int32`, 1 to C, `valid` `[b, g] bool`, `crowd` `[b, g] bool`,
  `has_mask` `[b, g] bool`;
- `masks` `[b, g, m, m] uint8`, 0 or 1, sampled over the boxes;
- `image_id` `[b] int64`, where it is given: images of -1 count for no metric.

Other keys are left alone, so that a step needs no preparation:

    model = build_mask_rcnn(MaskRCNNOptions(image_size=(640, 640), classes=80))
    model.compile(optimizer)
    model.fit(stream, validation_data=other)    # no y: the dict is x
    found = model.predict(stream)               # or model.detect(batch), one batch

`fit` logs `loss` and the parts `rpn_score`, `rpn_box`, `roi_class`, `roi_box`, `mask`
(`val_...` likewise). `predict` and `detect` give a dict of

- `boxes` `[b, d, 4] float32`, `ymin, xmin, ymax, xmax` in pixels of the canvas;
- `scores` `[b, d] float32`, falling, and `classes` `[b, d] int32`, 0 in empty slots;
- `masks` `[b, d, 28, 28] float32`, probabilities over the box: `pasting.paste_masks`
  brings them to an image.

Canvas to stored image: `(y - offset) / scale` (see `segdata.streams.reader`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from segdata.trainers.models.mask_rcnn.anchors import pyramid_anchors
from segdata.trainers.models.mask_rcnn.boxes import windows
from segdata.trainers.models.mask_rcnn.detection import choose_detections
from segdata.trainers.models.mask_rcnn.fpn import LEVELS, ROI_LEVELS, build_pyramid
from segdata.trainers.models.mask_rcnn.gather import gather
from segdata.trainers.models.mask_rcnn.heads import build_box_head, build_mask_head
from segdata.trainers.models.mask_rcnn.losses import (
    mask_loss,
    of_class,
    roi_losses,
    rpn_losses,
)
from segdata.trainers.models.mask_rcnn.mask_targets import mask_targets
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.models.mask_rcnn.roi_align import roi_align
from segdata.trainers.models.mask_rcnn.rois import sample_rois
from segdata.trainers.models.mask_rcnn.rpn import apply_head, build_rpn_head, propose
from segdata.trainers.models.mask_rcnn.sampling import noise
from segdata.trainers.models.mask_rcnn.truth import KEYS, Truth
from segdata.trainers.tensor import Tensor

Batch = Mapping[str, Tensor]

LOSSES = ("rpn_score", "rpn_box", "roi_class", "roi_box", "mask")
"""The parts of the loss, which are summed up."""


def build_mask_rcnn(options: MaskRCNNOptions) -> MaskRCNN:
    """Builds the model, not compiled.

    Raises:
      OptionError: If the encoder's weights do not fit.
      MissingDependencyError: If they cannot be downloaded.
    """
    return MaskRCNN(options)


@keras.saving.register_keras_serializable("segdata")
class MaskRCNN(keras.Model):
    """The model; what goes in and comes out stands at the top of this file.

    Attributes:
      options: How it was built.
      pyramid: Encoder and pyramid, a `keras.Model`.
      rpn_head: Likewise, one for all levels.
      box_head: Likewise.
      mask_head: Likewise.
    """

    def __init__(self, options: MaskRCNNOptions, **layer_options: Any) -> None:
        # Boxes in bfloat16 would be off by pixels: only the parts below compute in it.
        super().__init__(**{"autocast": False, "name": "mask_rcnn", **layer_options})
        self.options = options
        self.pyramid = build_pyramid(options)
        self.rpn_head = build_rpn_head(options)
        self.box_head = build_box_head(options)
        self.mask_head = build_mask_head(options)
        shapes = {
            level: tuple(output.shape[1:3])
            for level, output in zip(LEVELS, self.pyramid.outputs, strict=True)
        }
        self._anchors = pyramid_anchors(
            shapes, options.anchor_scale, options.anchor_ratios
        )
        self._seeds = keras.random.SeedGenerator(options.seed)
        self._mean = _MeanOfImages(name="mean_of_images")
        self._trackers = {
            name: keras.metrics.Mean(name=name) for name in ("loss", *LOSSES)
        }
        self.built = True

    def call(self, batch: Batch, training: bool = False) -> dict[str, Tensor]:
        """Losses of each image, `[b]`, if there are true objects; else detections."""
        if all(key in batch for key in KEYS):
            return self.image_losses(batch, training=training)
        return self.detect(batch)

    def image_losses(self, batch: Batch, *, training: bool) -> dict[str, Tensor]:
        """The parts of the loss of each image and their `total`, `[b] float32`.

        Args:
          batch: With true objects.
          training: Whether batch normalisation learns, and samples are drawn anew.
        """
        ops = keras.ops
        options, truth = self.options, Truth.of(batch)
        levels, logits, deltas = self._levels(batch, training=training)
        window = windows(batch, options.image_size)
        seed = ops.cast(self._seeds.next() if training else [0, 0], "uint32")
        all_logits = ops.concatenate(logits, axis=1)
        random = noise(seed, _static_shape(all_logits))
        anchors = ops.concatenate(self._constants(), axis=0)
        rpn_score, rpn_box = rpn_losses(
            all_logits,
            ops.concatenate(deltas, axis=1),
            anchors,
            truth,
            random,
            options,
        )
        proposals = propose(
            logits, deltas, self._constants(), window, options, training=training
        )
        rois, matches = sample_rois(proposals, truth, seed + 1, options)
        roi_class, roi_box = roi_losses(
            *self._classify(levels, rois), rois, matches, truth, options
        )
        # Objects come first: the mask head need not see the others.
        first = slice(None), slice(options.foreground_samples)
        index, rois = matches.index[first], rois[first]
        mask = mask_loss(
            self._masks(levels, rois),
            mask_targets(truth.masks, truth.boxes, index, rois, options.mask_size),
            gather(truth.classes, index),
            matches.positive[first] & gather(truth.has_mask, index),
        )
        parts = dict(
            zip(LOSSES, (rpn_score, rpn_box, roi_class, roi_box, mask), strict=True)
        )
        return {**parts, "total": sum(parts.values())}

    def compute_losses(self, batch: Batch, training: bool = False) -> dict[str, Tensor]:
        """The parts of the loss and their `total`, means over the batch's images."""
        losses = self.image_losses(batch, training=training)
        return {name: keras.ops.mean(value) for name, value in losses.items()}

    def detect(self, batch: Batch) -> dict[str, Tensor]:
        """Finds objects: `boxes`, `scores`, `classes` and `masks`."""
        options = self.options
        window = windows(batch, options.image_size)
        levels, logits, deltas = self._levels(batch, training=False)
        proposals = propose(
            logits, deltas, self._constants(), window, options, training=False
        )
        found = choose_detections(
            *self._classify(levels, proposals.boxes), proposals, window, options
        )
        masks = of_class(self._masks(levels, found.boxes), found.classes)
        return {
            "boxes": found.boxes,
            "scores": found.scores,
            "classes": found.classes,
            "masks": keras.ops.sigmoid(masks),
        }

    # --- What Keras calls.

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The mean total of the batch's images, right under TensorFlow's strategies."""
        del x, y, sample_weight, training
        return self._mean(y_pred["total"], y_pred["total"])

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Adds losses of a batch's images to their means; padding does not count."""
        del y, sample_weight
        image_id = x.get("image_id")
        real = None if image_id is None else keras.ops.cast(image_id >= 0, "float32")
        for name, tracker in self._trackers.items():
            value = y_pred["total" if name == "loss" else name]
            tracker.update_state(value, sample_weight=real)
        return {name: tracker.result() for name, tracker in self._trackers.items()}

    def predict_step(self, *arguments: Any) -> Any:
        """Detections, also where the stream gives true objects."""
        *state, data = arguments
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        batch = {key: value for key, value in batch.items() if key not in KEYS}
        return super().predict_step(*state, batch)

    def get_config(self) -> dict[str, Any]:
        """The options."""
        return {"name": self.name, "options": dataclasses.asdict(self.options)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> MaskRCNN:
        """From the options; weights of the encoder come from the file, not anew."""
        options: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in config["options"].items()
        }
        return cls(MaskRCNNOptions(**options), name=config["name"])

    # --- Parts.

    def _levels(
        self, batch: Batch, *, training: bool
    ) -> tuple[dict[int, Tensor], list[Tensor], list[Tensor]]:
        """Levels that ROIs look at; logits and deltas of the anchors of all levels."""
        outputs = self.pyramid(batch["image"], training=training)
        levels = dict(zip(LEVELS, outputs, strict=True))
        logits, deltas = apply_head(self.rpn_head, outputs)
        return {level: levels[level] for level in ROI_LEVELS}, logits, deltas

    def _classify(
        self, levels: Mapping[int, Tensor], rois: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Class logits `[b, r, C + 1]` and deltas `[b, r, 4 C]` of ROIs."""
        options = self.options
        pooled = self._pool(levels, rois, options.box_size)
        channels = options.box_size**2 * options.pyramid_width
        flat = keras.ops.reshape(pooled, (-1, rois.shape[1], channels))
        logits, deltas = self.box_head(flat)
        return logits, deltas

    def _masks(self, levels: Mapping[int, Tensor], rois: Tensor) -> Tensor:
        """Mask logits of ROIs, `[b, r, m, m, C]`."""
        options, ops = self.options, keras.ops
        half, size = options.mask_size // 2, options.mask_size
        pooled = self._pool(levels, rois, half)
        flat = ops.reshape(pooled, (-1, half, half, options.pyramid_width))
        logits = self.mask_head(flat)
        return ops.reshape(logits, (-1, rois.shape[1], size, size, options.classes))

    def _pool(self, levels: Mapping[int, Tensor], rois: Tensor, size: int) -> Tensor:
        """What lies in ROIs, `[b, r, size, size, pyramid_width]`."""
        options = self.options
        return roi_align(levels, rois, size, options.roi_points, options.roi_canonical)

    def _constants(self) -> list[Tensor]:
        """Anchors of all levels, made where they are used: constants of the graph."""
        return [
            keras.ops.convert_to_tensor(self._anchors[level], "float32")
            for level in LEVELS
        ]


class _MeanOfImages(keras.losses.Loss):
    """Mean of what the model has computed itself, divided as Keras divides losses."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`[b]`, as it is."""
        del y_true
        return y_pred


def _static_shape(logits: Tensor) -> tuple[int, int]:
    count, anchors = logits.shape
    return int(count), int(anchors)
