"""`segdata predict RUN_DIR IMAGES...`: label maps or objects; exported models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from segdata.commands.help import TopicCommand
from segdata.commands.location import LocalPathType, LocationType
from segdata.commands.use_run import (
    backend_option,
    is_instances,
    use_of,
    use_options,
)
from segdata.errors import OptionError
from segdata.storage.paths import Location
from segdata.trainers.run.backend import use_backend


@click.command(
    cls=TopicCommand,
    examples=(
        ("segdata predict runs/fcn photos", "label all images of a folder"),
        ("segdata predict runs/fcn --split val", "label a split, with scores"),
        (
            "segdata predict runs/fcn --export onnx --output model.onnx",
            "write the model for other programs",
        ),
    ),
)
@click.argument("run_dir", type=LocationType())
@click.argument("images", nargs=-1, type=LocalPathType())
@click.option(
    "--output",
    type=LocationType(),
    help="Folder for the results, or file for --export. "
    "[default: RUN_DIR/predictions, or predictions-last with --use last]",
)
@click.option(
    "--labels",
    type=LocalPathType(),
    help="Folder of index PNGs named like the images: draws image, truth and "
    "prediction side by side, with scores.",
)
@click.option("--split", help="Predict this split of the run's dataset, with scores.")
@click.option("--data", help="Build that --split is taken from. [default: the run's]")
@use_options
@click.option(
    "--max-boxes",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Mask R-CNN: most objects per image.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Mask R-CNN: lowest score of an object.",
)
@click.option(
    "--export",
    type=click.Choice(["keras", "saved-model", "onnx"]),
    help="Write the model to --output in this format; predicts nothing. Mask R-CNN has "
    "no onnx.",
)
@backend_option
@click.pass_context
def predict(
    ctx: click.Context,
    /,
    run_dir: Location,
    images: tuple[Path, ...],
    output: Location | None,
    labels: Path | None,
    split: str | None,
    data: str | None,
    max_boxes: int,
    min_score: float,
    export: Literal["keras", "saved-model", "onnx"] | None,
    backend: str | None,
    **given: Any,
) -> None:
    """Label images with a trained run, or find objects in them.

    IMAGES are files, or folders of them. Writes for each NAME.png (class ids at the
    image's size), NAME-overlay.jpg, and NAME-triple.png if labels are known. A run of
    Mask R-CNN writes NAME.jpg (boxes, masks, names, scores) and results.json, with all
    detections in COCO's results format.
    """
    use_backend(backend)
    is_instances(
        ctx,
        run_dir,
        semantic=("labels", "flip_average", "scale_average"),
        instances=("max_boxes", "min_score", "class_agnostic"),
    )
    # Not earlier: `segdata predict --help` needs no Keras.
    from segdata.trainers.run.export import export_model
    from segdata.trainers.run.predict import predict as run_prediction
    from segdata.trainers.run.trained import PredictOptions

    if export:
        if images or split or not output:
            raise OptionError(
                "--export writes the model: expected --output and neither images nor "
                "--split."
            )
        if output.is_store:
            raise OptionError(
                f"--export writes to this machine, and --output is {output}: expected "
                "a path here."
            )
        export_model(run_dir, export, str(output), given["use"])
        click.echo(f"wrote {output}")
        return
    use = given["use"]
    default = "predictions" if use == "best" else f"predictions-{use}"
    folder = output or run_dir / default
    options = PredictOptions(
        output=str(folder),
        images=tuple(map(str, images)),
        labels=str(labels) if labels else None,
        split=split,
        data=data,
        max_boxes=max_boxes,
        min_score=min_score,
        **use_of(**given),
    )
    count, found = run_prediction(run_dir, options)
    click.echo(f"wrote {folder}: {count} images{found}")
