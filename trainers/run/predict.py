"""What a run finds in images that it has never seen, as files."""

from __future__ import annotations

from collections.abc import Callable

from segdata.progress import display
from segdata.storage.paths import Address
from segdata.trainers.instances.results import ObjectWriter
from segdata.trainers.run.ahead import ahead
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.run.given import batched, given_images
from segdata.trainers.run.trained import PredictOptions, load_model, open_split
from segdata.trainers.semantic.results import PixelWriter

WRITERS: dict[str, Callable[..., PixelWriter | ObjectWriter]] = {
    "semantic": PixelWriter,
    "instances": ObjectWriter,
}
"""By `TrainOptions.task`."""


def predict(run_dir: Address, options: PredictOptions) -> tuple[int, str]:
    """Predicts images and writes what is found; see the writer of the run's task.

    Returns:
      Number of images, and what there is to say of objects (empty of pixels).

    Raises:
      OptionError: If there are no images, or two of them would get one name.
      ImageError: If an image cannot be read; those before it have been written.
      OutputError: If there is no trained run, or the output cannot be written.
    """
    directory = RunDirectory(run_dir)
    run = directory.load()
    source = None
    if options.split is not None:
        source = open_split(run, options.split, options.data)
    given, total = given_images(run.classes, options, source)
    model = load_model(directory, run, options)
    writer = WRITERS[run.options.task](run.classes, options, source)
    done = 0
    with display(total, "predicting") as advance:
        for batch in ahead(batched(given, options.batch_size)):
            predicted = model.predict([item.image for item in batch])
            for item, found in zip(batch, predicted, strict=True):
                writer.add(item, found)
            done += len(batch)
            advance(len(batch))
    return done, writer.finish()
