"""A trained run as one object, for programs of one's own."""

from __future__ import annotations

from collections.abc import Sequence

from segdata.label_map import LabelMap
from segdata.storage.paths import Address
from segdata.trainers.instances.detector import Detector, Found
from segdata.trainers.run.directory import Run, RunDirectory
from segdata.trainers.run.trained import UseOptions, load_model
from segdata.trainers.semantic.predictor import Predictor, UInt8Array, WhichWeights


class TrainedRun:
    """A trained model, ready to predict.

    Attributes:
      run: What `run.json` says: options, classes, dataset, versions.
      model: The `Predictor` or `Detector` behind it; its Keras model is `keras_model`.
    """

    def __init__(self, run: Run, model: Predictor | Detector) -> None:
        self.run, self.model = run, model

    @property
    def classes(self) -> LabelMap:
        """The classes: a mapping from name to id, with colours."""
        return self.run.classes.label_map

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels that images are brought to for the model."""
        return self.model.image_size

    def predict(self, image: UInt8Array) -> UInt8Array | Found:
        """Labels one image, or finds its objects.

        Args:
          image: `[h, w, 3] uint8` RGB, of any size.

        Returns:
          Of a model of pixels `[h, w] uint8` class ids. Of Mask R-CNN a `Found`: boxes,
          scores, classes and masks, best first, in pixels of the image.
        """
        return self.predict_all([image])[0]

    def predict_all(
        self, images: Sequence[UInt8Array]
    ) -> list[UInt8Array] | list[Found]:
        """The same of several images, which go to the device in batches."""
        return self.model.predict(images)


def load_run(
    run_dir: Address,
    *,
    weights: WhichWeights = "best",
    batch_size: int = 1,
    image_size: tuple[int, int] | None = None,
) -> TrainedRun:
    """Loads a trained run.

    Args:
      run_dir: What `segdata train --run-dir` wrote, here or in a store.
      weights: Those of the `best` epoch, or of the `last`.
      batch_size: Images per call of the device.
      image_size: Height and width to predict at; None is what the run was measured at.

    Raises:
      OutputError: If there is no run, or it has no weights yet.
      CorruptionError: If its files are damaged.
    """
    directory = RunDirectory(run_dir)
    run = directory.load()
    options = UseOptions(
        weights=weights, batch_size=batch_size, eval_image_size=image_size
    )
    return TrainedRun(run, load_model(directory, run, options))
