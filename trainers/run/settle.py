"""Values of the options that are left to us: they follow the data's size and the model.

So that a first run without any option ends within minutes on a few dozen images, and
within a day on many thousands.
"""

from __future__ import annotations

from dataclasses import replace

from segdata.shards.manifest import Manifest
from segdata.trainers.models.options import MIN_SIZE
from segdata.trainers.run.options import TrainOptions

LONG_SIDE = {"semantic": 256, "instances": 512}
"""Most pixels of the longer side of images, by task."""
_STRIDE = 32  # the encoders halve five times
_MOST_EPOCHS, _MOST_STEPS = 30, 20_000


def settled(options: TrainOptions, manifest: Manifest) -> TrainOptions:
    """The options with every value chosen.

    Args:
      options: Of a run; its training split is one of the manifest's.
      manifest: Of its dataset.

    Raises:
      OptionError: If an option has no effect beside the others.
    """
    options.check_effect()
    num_records = manifest.split(options.train_split).num_records
    batch_size = options.batch_size or (8 if num_records >= 100 else 4)
    steps = options.steps_per_epoch or -(-num_records // batch_size)
    return replace(
        options,
        image_size=options.image_size or _image_size(options, manifest),
        batch_size=batch_size,
        epochs=options.epochs or min(max(_MOST_STEPS // steps, 1), _MOST_EPOCHS),
        learning_rate=options.learning_rate or _learning_rate(options, batch_size),
    )


def _image_size(options: TrainOptions, manifest: Manifest) -> tuple[int, int]:
    """The stored size where all images have one that is small, else a smaller one."""
    counts = manifest.split(options.train_split).counts
    heights = counts.heights or (MIN_SIZE, MIN_SIZE)
    widths = counts.widths or (MIN_SIZE, MIN_SIZE)
    size, limit = (heights[1], widths[1]), LONG_SIDE[options.task]
    is_one = heights[0] == heights[1] and widths[0] == widths[1]
    if is_one and max(size) <= limit and min(size) >= MIN_SIZE:
        return size
    scale = min(1.0, limit / max(size))
    height, width = (max(_STRIDE, round(x * scale / _STRIDE) * _STRIDE) for x in size)
    return height, width


def _learning_rate(options: TrainOptions, batch_size: int) -> float:
    """A rate that trains, if not the best one."""
    if options.optimizer == "sgd":
        # Linear in the batch (Goyal and others 2017), .02 for 16 images, for detectors.
        return 0.00125 * batch_size if options.task == "instances" else 0.01
    is_vgg = options.encoder == "vgg-16" or (
        options.encoder is None and options.model.startswith(("fcn", "segnet"))
    )
    return 1e-4 if is_vgg or options.weights or options.initial_weights else 1e-3
