"""Scores of a run over a split, at the size of the stored images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from segdata.cpus import num_cpus
from segdata.progress import display
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.storage.paths import Address, Location
from segdata.trainers.instances.detector import Detector
from segdata.trainers.instances.results import ObjectScorer
from segdata.trainers.run.ahead import ahead
from segdata.trainers.run.directory import RunDirectory
from segdata.trainers.run.trained import (
    EvaluateOptions,
    load_model,
    open_split,
    validated,
)
from segdata.trainers.semantic.predictor import Predictor
from segdata.trainers.semantic.results import PixelScorer

Scores = dict[str, Any]
Scorer = PixelScorer | ObjectScorer
SCORERS: dict[str, Callable[[Any, RecordSource], Scorer]] = {
    "semantic": PixelScorer,
    "instances": ObjectScorer,
}
"""By `TrainOptions.task`; made of the run's classes and the records."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of a run, and how to show them."""

    scores: Scores
    name: str
    """What to call the files."""
    scorer: Scorer

    @property
    def text(self) -> str:
        """The scores as JSON."""
        return orjson.dumps(self.scores, option=orjson.OPT_INDENT_2).decode()

    @property
    def table(self) -> str:
        """The scores for people."""
        return self.scorer.table(self.scores)

    def write(self, folder: Location, results: Location | None = None) -> None:
        """Writes `evaluation-NAME.json` and what the task writes beside it.

        Raises:
          OutputError: If it cannot be written.
        """
        path = folder / f"evaluation-{self.name}.json"
        path.write_atomic(f"{self.text}\n".encode())
        self.scorer.write(self.scores, folder, self.name, results)


def evaluate(run_dir: Address, options: EvaluateOptions) -> Evaluation:
    """Scores a run.

    What is found in an image is brought back to the image's own size and counted there.

    Returns:
      What the task's scorer counts, with `split`, `num_records`, `weights` and
      `image_size`, and of a model of pixels `averaging`.

    Raises:
      OptionError: If the split is unknown, or the data has other classes than the run.
      OutputError: If there is no run, or no build.
    """
    directory = RunDirectory(run_dir)
    run = directory.load()
    split = options.split or validated(run, options.data)
    source = open_split(run, split, options.data)
    model = load_model(directory, run, options)
    scorer = SCORERS[run.options.task](run.classes, source)
    with display(len(source), "evaluating") as advance:
        scores = score(model, source, scorer, advance)
    about: Scores = {
        "split": split,
        "num_records": len(source),
        "weights": options.weights,
        "image_size": list(model.image_size),
    }
    if run.options.task == "semantic":
        about["averaging"] = asdict(options.averaging)
    return Evaluation(
        scores=about | scores, name=options.file_name(split), scorer=scorer
    )


def score(
    model: Predictor | Detector,
    source: RecordSource,
    scorer: Scorer,
    advance: Callable[[int], None] = lambda count: None,
) -> Scores:
    """Predicts all records and scores them; tells each batch's number of images."""
    for batch in ahead(_batches(source, model.batch_size)):
        predicted = model.predict([image for _, image in batch])
        for (record, _), found in zip(batch, predicted, strict=True):
            scorer.add(record, found)
        advance(len(batch))
    return scorer.finish()


def _batches(source: RecordSource, size: int) -> Iterator[list[tuple[Record, Any]]]:
    """Records with their images, decoded side by side."""

    def read(index: int) -> tuple[Record, Any]:
        record = source[index]
        return record, record.image()

    with ThreadPoolExecutor(num_cpus()) as pool:
        for first in range(0, len(source), size):
            yield list(pool.map(read, range(first, min(first + size, len(source)))))
