"""`segdata evaluate RUN_DIR`: class-wise scores as a table, JSON and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click
import orjson

from segdata import files
from segdata.errors import OutputError
from segdata.trainers.train_command import use_backend


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--split", help="Split to score on. [default: the run's --val-split]")
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
@click.option(
    "--flip-average",
    is_flag=True,
    help="Average the logits of each image and its mirror image; takes twice as long.",
)
@click.option(
    "--backend",
    type=click.Choice(["tensorflow", "jax"]),
    help="Backend of Keras. [default: KERAS_BACKEND, or tensorflow]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, not a table.")
def evaluate(
    run_dir: Path,
    split: str | None,
    data: str | None,
    use: Literal["best", "last"],
    batch_size: int,
    flip_average: bool,
    backend: str | None,
    as_json: bool,
) -> None:
    """Score a trained run: IoU and Dice of each class, means, pixel accuracy.

    Writes RUN_DIR/evaluation-SPLIT.json and the confusion matrix as .png beside it.
    """
    use_backend(backend)
    # Not earlier: `segdata evaluate --help` needs no Keras.
    from segdata.trainers.evaluate import EvaluateOptions, table
    from segdata.trainers.evaluate import evaluate as run_evaluation

    options = EvaluateOptions(
        split=split,
        data=data,
        weights=use,
        batch_size=batch_size,
        flip_average=flip_average,
    )
    scores = run_evaluation(run_dir, options)
    text = orjson.dumps(scores, option=orjson.OPT_INDENT_2).decode()
    _write(run_dir / f"evaluation-{scores['split']}", text, scores)
    click.echo(text if as_json else table(scores))


def _write(path: Path, text: str, scores: dict[str, Any]) -> None:
    from segdata.trainers.confusion_picture import confusion_picture

    files.write_atomic(path.with_name(f"{path.name}.json"), f"{text}\n".encode())
    names = [item["name"] for item in scores["classes"]]
    picture = path.with_name(f"{path.name}.png")
    try:
        confusion_picture(scores["confusion"], names).save(picture)
    except OSError as error:
        raise OutputError(f"cannot write {picture}: {error.strerror}.") from error
