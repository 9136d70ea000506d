"""`segdata evaluate RUN_DIR`: class-wise scores as a table, JSON and a picture."""

from __future__ import annotations

from typing import Any

import click

from segdata.commands.help import TopicCommand
from segdata.commands.location import LocationType
from segdata.commands.use_run import (
    backend_option,
    is_instances,
    use_of,
    use_options,
)
from segdata.storage.paths import Location
from segdata.trainers.run.backend import use_backend


@click.command(
    cls=TopicCommand,
    examples=(
        ("segdata evaluate runs/fcn --split test", "scores on the test split"),
        ("segdata evaluate runs/fcn --flip-average", "average with the mirrored image"),
    ),
)
@click.argument("run_dir", type=LocationType())
@click.option(
    "--split", help="Split to score on. [default: the run's validation split]"
)
@click.option(
    "--data",
    help="Build to score on; it needs the same classes. [default: the run's]",
)
@use_options
@backend_option
@click.option(
    "--results",
    type=LocationType(),
    help="Mask R-CNN: file for the detections, in COCO's results format. "
    "[default: RUN_DIR/results-SPLIT.json]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    run_dir: Location,
    split: str | None,
    data: str | None,
    backend: str | None,
    results: Location | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Score a trained run: IoU and Dice per class, or COCO's AP.

    Writes RUN_DIR/evaluation-SPLIT.json and the confusion matrix as a PNG beside it;
    for Mask R-CNN the detections, in COCO's results format. File names tell --use last,
    --data and averaging apart: evaluation-SPLIT-last.json.
    """
    use_backend(backend)
    # Not earlier: `segdata evaluate --help` needs no Keras.
    from segdata.trainers.run.evaluate import evaluate as run_evaluation
    from segdata.trainers.run.trained import EvaluateOptions

    options = EvaluateOptions(split=split, data=data, **use_of(**given))
    is_instances(
        ctx,
        run_dir,
        semantic=("flip_average", "scale_average"),
        instances=("results", "class_agnostic"),
    )
    evaluation = run_evaluation(run_dir, options)
    evaluation.write(run_dir, results)
    click.echo(evaluation.text if as_json else evaluation.table)
