"""A training run of a model that finds objects: options, streams, scores, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from segdata.reading.options import InstanceOptions
from segdata.reading.record_source import RecordSource
from segdata.streams.reader import read_instances
from segdata.trainers.instances.detector import RESIZE, Detector
from segdata.trainers.instances.pictures import detections_sheet as sheet
from segdata.trainers.instances.results import ObjectScorer
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.run.data import ObjectClasses, TrainingData
from segdata.trainers.run.evaluate import score
from segdata.trainers.run.placement import Placement
from segdata.trainers.semantic.stream import known_length, to_learn, to_measure

__all__ = ["sheet"]
MASK_SIZE = 112
"""Height and width of the true masks that the model crops its targets from."""
_MIN_VISIBLE = 0.2  # of its box; less of an object cannot be told
GOAL = "val_mask_AP"


def model_options(data: TrainingData) -> MaskRCNNOptions:
    """The options of the model of a run."""
    options = data.options
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in (
            "weights",
            "freeze_encoder",
            "batch_norm_momentum",
            "freeze_batch_norm",
            "pyramid_batch_norm",
            "anchor_scale",
            "proposals",
            "rpn_samples",
            "roi_samples",
            "roi_canonical",
            "box_width",
            "mask_width",
            "detections",
            "seed",
        )
    }
    if options.encoder is not None:
        given["encoder"] = options.encoder
    if options.width is not None:
        given["pyramid_width"] = options.width
    return MaskRCNNOptions(
        image_size=data.image_size,
        classes=data.classes.num_classes,
        max_objects=data.max_objects,
        rpn_candidates=options.candidates,
        rpn_candidates_test=options.candidates // 2,
        **given,
    )


def outputs(model: Any) -> list[str]:
    """None: true objects go into the model."""
    return []


def losses(model: Any, data: TrainingData) -> dict[str, Any]:
    """Nothing to compile the model with: they are its own."""
    return {}


def filling(data: TrainingData) -> float:
    """Factor on validation losses: the model leaves out images that fill up a batch."""
    return 1.0


def training_stream(
    data: TrainingData,
    placement: Placement,
    outputs: Sequence[str] = (),
    start_step: int = 0,
) -> Any:
    """Batches without end, shuffled anew in every pass.

    Args:
      data: Of the run.
      placement: Hosts among which each batch and the records are divided.
      outputs: None: the whole dict goes into the model.
      start_step: Number of the first batch, where a run is resumed.

    Returns:
      A `tf.data.Dataset` of dicts, see `segdata.streams.objects.read_objects`.
    """
    return read_instances(
        **to_learn(data, placement, start_step),
        resize=RESIZE,
        instances=_slots(data, min_visible=_MIN_VISIBLE),
    )


def validation_stream(
    data: TrainingData,
    placement: Placement,
    outputs: Sequence[str] = (),
) -> Any:
    """One pass over the split to measure on; as many full batches on every host."""
    dataset = read_instances(
        **to_measure(data, placement), resize=RESIZE, instances=_slots(data)
    )
    return known_length(dataset, data)


def _slots(data: TrainingData, min_visible: float = 0.0) -> InstanceOptions:
    return InstanceOptions(
        max_objects=data.max_objects, mask_size=MASK_SIZE, min_visible=min_visible
    )


def goal(data: TrainingData, placement: Placement) -> str:
    """The metric of the best epoch."""
    if data.val_split is None:
        return "loss"
    return GOAL if data.options.score_every and placement.num_hosts == 1 else "val_loss"


def measuring(data: TrainingData, placement: Placement) -> list[Any]:
    """Callbacks that score. Not on several hosts: all would have to predict."""
    if goal(data, placement) != GOAL:
        return []
    return [Scores(data)]


class Scores(keras.callbacks.Callback):
    """Adds AP of boxes and masks to the metrics of every few epochs, and the last."""

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        assert data.val_split is not None
        assert isinstance(data.classes, ObjectClasses)
        self._options, self._classes = data.options, data.classes
        self._source = RecordSource(data.directory, data.val_split)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Scores the whole split, at each image's own size."""
        is_last = epoch + 1 == self._options.epochs
        if logs is None or not (
            is_last or (epoch + 1) % self._options.score_every == 0
        ):
            return
        detector = Detector(self.model, self._options.batch_size)
        scorer = ObjectScorer(self._classes, self._source)
        scores = score(detector, self._source, scorer)
        for kind, name in (("boxes", "val_box_AP"), ("masks", GOAL)):
            logs[name] = scores[kind]["AP"] or 0.0
