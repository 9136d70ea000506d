"""Scores of a run over a split, at the size of the stored label maps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from segdata.errors import CorruptionError, OptionError
from segdata.progress import display
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.shards.manifest import read_manifest
from segdata.trainers.run.data import validation_split
from segdata.trainers.run.directory import Run, RunDirectory
from segdata.trainers.semantic.predictor import (
    Averaging,
    Predictor,
    WhichWeights,
    load_predictor,
)
from segdata.trainers.semantic.scores import Confusion, summarize

Scores = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateOptions:
    """What to score a run on."""

    split: str | None = None
    """Split; None is the one the run was measured on."""
    data: str | None = None
    """Output of `segdata build`; None is what the run was trained on."""
    weights: WhichWeights = "best"
    """Those of the best epoch, or of the last."""
    batch_size: int = 8
    """Images per call of the device."""
    averaging: Averaging = field(default_factory=Averaging)
    """Views of each image to average the logits of."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise OptionError(f"batch_size is {self.batch_size}: expected at least 1.")

    def file_name(self, split: str) -> str:
        """What to call the results of a split: each way to score has a name."""
        parts = [split]
        if self.data:
            parts.append(f"of-{os.path.basename(os.path.abspath(self.data))}")
        if self.weights != "best":
            parts.append(self.weights)
        if self.averaging != Averaging():
            parts.append("averaged")
        return "-".join(parts)


def evaluate(run_dir: str | os.PathLike[str], options: EvaluateOptions) -> Scores:
    """Scores a run.

    Every image is stretched to the size that the run measures at; its logits are
    brought back to the image's own size, and every labelled pixel is counted there.
    Only the counts are kept, so memory does not grow with the split.

    Returns:
      What `scores.summarize` returns, with `split`, `num_records` and `weights`.

    Raises:
      OptionError: If the split is unknown, or the data has other classes than the run.
      OutputError: If there is no run, or no build.
    """
    directory = RunDirectory(run_dir)
    run = directory.load()
    split = options.split or validated(run, options.data)
    source = open_split(run, split, options.data)
    predictor = load_predictor(
        directory, run, options.weights, options.batch_size, options.averaging
    )
    classes = run.pixel_classes
    confusion = Confusion(num_classes=classes.num_classes, left_out=classes.left_out_id)
    with display(len(source), "evaluating") as advance:
        for records in batches(source, options.batch_size):
            count(confusion, predictor, run, records)
            advance(len(records))
    return {
        "split": split,
        "num_records": len(source),
        "weights": options.weights,
        "image_size": list(predictor.image_size),
        "averaging": asdict(options.averaging),
        **summarize(confusion, run.pixel_classes.names, run.pixel_classes.void_id),
    }


def validated(run: Run, data: str | None) -> str:
    """The split that a run validates on.

    Raises:
      OptionError: If there is none.
    """
    manifest = read_manifest(data or run.dataset["directory"])
    split = validation_split(manifest, run.options)
    if split is None:
        raise OptionError(
            "the run has no validation split: pass --split, one of "
            f"{', '.join(manifest.splits)}."
        )
    return split


def open_split(run: Run, split: str, data: str | None) -> RecordSource:
    """The records to score on, of the classes that the run knows.

    Raises:
      OptionError: If the split is unknown or empty, or the classes differ.
    """
    source = RecordSource(data or run.dataset["directory"], split)
    known = {item.id: item.name for item in run.classes.drawn}
    label_map = source.manifest.label_map
    is_semantic = run.options.task == "semantic"
    classes = label_map.semantic_classes if is_semantic else label_map.object_classes
    given = {item.id: item.name for item in classes}
    if given != known:
        differing = sorted(
            str(class_id)
            for class_id in known.keys() | given.keys()
            if known.get(class_id) != given.get(class_id)
        )
        raise OptionError(
            f"the run was trained on other classes than {data} has: ids "
            f"{', '.join(differing[:5])} differ. Build it with the same class set."
        )
    if not len(source):
        raise OptionError(f"split {split!r} has no records.")
    return source


def batches(source: Sequence[Record], size: int) -> Iterator[Sequence[Record]]:
    """Records in order, so many at a time."""
    for first in range(0, len(source), size):
        yield [source[i] for i in range(first, min(first + size, len(source)))]


def count(
    confusion: Confusion, predictor: Predictor, run: Run, records: Sequence[Record]
) -> None:
    """Predicts records and counts their pixels."""
    predicted = predictor.predict([record.image() for record in records])
    for record, found in zip(records, predicted, strict=True):
        labels = record.label_map()
        if labels is None:
            raise CorruptionError(
                f"record {record.key!r} has no label map: expected one in each record."
            )
        confusion.add(labels, found)


def table(scores: Mapping[str, Any]) -> str:
    """The scores as text: a line per class, then the means."""
    total = scores["label_pixels"] or 1
    names = [
        item["name"] + (" (void)" if "void" in item else "")
        for item in scores["classes"]
    ]
    width = max(len("pixel accuracy"), *map(len, names))
    lines = [f"{'class':<{width}}  {'IoU':>6}  {'Dice':>6}  {'pixels':>7}"]
    for name, item in zip(names, scores["classes"], strict=True):
        share = f"{item['label_pixels'] / total:.2%}"
        lines.append(
            f"{name:<{width}}  {_number(item['iou'])}  {_number(item['dice'])}  "
            f"{share:>7}"
        )
    lines.append(_mean_line("mean", scores, width))
    if "without_void" in scores:
        lines.append(_mean_line("mean, no void", scores["without_void"], width))
    lines.append(f"{'pixel accuracy':<{width}}  {_number(scores['pixel_accuracy'])}")
    if "without_void" in scores:
        accuracy = scores["without_void"]["pixel_accuracy"]
        lines.append(f"{'  no void':<{width}}  {_number(accuracy)}")
    return "\n".join(lines)


def _mean_line(name: str, means: Mapping[str, Any], width: int) -> str:
    return (
        f"{name:<{width}}  {_number(means['mean_iou'])}  {_number(means['mean_dice'])}"
    )


def _number(value: float | None) -> str:
    return f"{'-':>6}" if value is None else f"{value:6.3f}"
