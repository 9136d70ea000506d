"""`segdata evaluate RUN_DIR`: class-wise scores as a table, JSON and a picture."""

from __future__ import annotations

from typing import Any

import click

from segdata.commands.location import LocationType
from segdata.commands.use_run import (
    backend_option,
    is_instances,
    use_of,
    use_options,
)
from segdata.storage.paths import Location
from segdata.trainers.run.backend import use_backend


@click.command()
@click.argument("run_dir", type=LocationType())
@click.option(
    "--split", help="Split to score on. [default: the run's validation split]"
)
@click.option(
    "--data",
    help="Build to score on, of the same classes. [default: the run's]",
)
@use_options
@backend_option
@click.option(
    "--results",
    type=LocationType(),
    help="File for the objects found, in COCO's results format (runs of mask-rcnn). "
    "[default: RUN_DIR/results-SPLIT.json]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, not a table.")
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
    """Score a trained run: IoU and Dice of each class, or COCO's AP of objects.

    Writes RUN_DIR/evaluation-SPLIT.json, and the confusion matrix as .png beside it;
    for a run of mask-rcnn the objects found, in COCO's results format. With --use last,
    --data or averaging the names say so: evaluation-SPLIT-last.json.
    """
    use_backend(backend)
    # Not earlier: `segdata evaluate --help` needs no Keras.
    from segdata.trainers.run.evaluate import evaluate as run_evaluation
    from segdata.trainers.run.trained import EvaluateOptions

    options = EvaluateOptions(split=split, data=data, **use_of(**given))
    is_instances(
        ctx, run_dir, semantic=("flip_average", "scale_average"), instances=("results",)
    )
    evaluation = run_evaluation(run_dir, options)
    evaluation.write(run_dir, results)
    click.echo(evaluation.text if as_json else evaluation.table)
