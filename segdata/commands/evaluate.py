"""`segdata evaluate RUN_DIR`: class-wise scores as a table, JSON and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import orjson

from segdata.commands.train import averaging_options, is_instances
from segdata.errors import OutputError
from segdata.storage import files
from segdata.trainers.run.backend import use_backend

if TYPE_CHECKING:
    from segdata.trainers.semantic.evaluate import EvaluateOptions


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option(
    "--split", help="Split to score on. [default: the run's validation split]"
)
@click.option(
    "--data",
    help="Build to score on, of the same classes. [default: the run's]",
)
@click.option(
    "--use",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Weights of the best or of the last epoch.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Images per call of the device.",
)
@averaging_options
@click.option(
    "--backend",
    type=click.Choice(["tensorflow", "jax"]),
    help="Backend of Keras. [default: KERAS_BACKEND, or tensorflow]",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help="File for the objects found, in COCO's results format (runs of mask-rcnn). "
    "[default: RUN_DIR/results-SPLIT.json]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, not a table.")
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    run_dir: Path,
    split: str | None,
    data: str | None,
    use: Literal["best", "last"],
    batch_size: int,
    flip_average: bool,
    scale_average: tuple[float, ...],
    backend: str | None,
    results: Path | None,
    as_json: bool,
) -> None:
    """Score a trained run: IoU and Dice of each class, or COCO's AP of objects.

    Writes RUN_DIR/evaluation-SPLIT.json, and the confusion matrix as .png beside it;
    for a run of mask-rcnn the objects found, in COCO's results format. With --use last,
    --data or averaging the names say so: evaluation-SPLIT-last.json.
    """
    use_backend(backend)
    # Not earlier: `segdata evaluate --help` needs no Keras.
    from segdata.trainers.semantic.evaluate import EvaluateOptions, table
    from segdata.trainers.semantic.evaluate import evaluate as run_evaluation
    from segdata.trainers.semantic.predictor import Averaging

    options = EvaluateOptions(
        split=split,
        data=data,
        weights=use,
        batch_size=batch_size,
        averaging=Averaging(flip=flip_average, scales=scale_average),
    )
    if is_instances(
        ctx, run_dir, semantic=("flip_average", "scale_average"), instances=("results",)
    ):
        click.echo(_evaluate_instances(run_dir, options, results, as_json=as_json))
        return
    scores = run_evaluation(run_dir, options)
    text = orjson.dumps(scores, option=orjson.OPT_INDENT_2).decode()
    name = options.file_name(scores["split"])
    _write(run_dir / f"evaluation-{name}", text, scores)
    click.echo(text if as_json else table(scores))


def _evaluate_instances(
    run_dir: Path, options: EvaluateOptions, results: Path | None, *, as_json: bool
) -> str:
    """Scores, writes, and tells how to print it."""
    from segdata.trainers.instances.average_precision import table
    from segdata.trainers.instances.evaluate import evaluate_instances
    from segdata.trainers.instances.predict import write_results

    scores, rows = evaluate_instances(run_dir, options)
    name = options.file_name(scores["split"])
    write_results(results or run_dir / f"results-{name}.json", rows)
    text = orjson.dumps(scores, option=orjson.OPT_INDENT_2).decode()
    path = run_dir / f"evaluation-{name}.json"
    files.write_atomic(path, f"{text}\n".encode())
    return text if as_json else table(scores)


def _write(path: Path, text: str, scores: dict[str, Any]) -> None:
    from segdata.trainers.semantic.confusion import confusion_picture

    files.write_atomic(path.with_name(f"{path.name}.json"), f"{text}\n".encode())
    names = [item["name"] for item in scores["classes"]]
    picture = path.with_name(f"{path.name}.png")
    try:
        confusion_picture(scores["confusion"], names).save(picture)
    except OSError as error:
        raise OutputError(f"cannot write {picture}: {error.strerror}.") from error
