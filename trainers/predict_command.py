"""`segdata predict RUN_DIR IMAGES...`: label maps, overlays, and exported models."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from segdata.errors import OptionError
from segdata.trainers.train_command import use_backend


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, type=click.Path())
@click.option(
    "--output",
    type=click.Path(),
    help="Folder for label maps and overlays, or file of --export. "
    "[default: RUN_DIR/predictions]",
)
@click.option(
    "--labels",
    type=click.Path(),
    help="Folder of index PNGs, named as the images: draws triples with scores.",
)
@click.option("--split", help="Predict this split of the run's dataset, with scores.")
@click.option("--data", help="Another build to take the split from.")
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
    "--export",
    type=click.Choice(["keras", "saved-model", "onnx"]),
    help="Write the model in a format of its own, to --output; predict nothing.",
)
@click.option(
    "--backend",
    type=click.Choice(["tensorflow", "jax"]),
    help="Backend of Keras. [default: KERAS_BACKEND, or tensorflow]",
)
def predict(
    run_dir: Path,
    images: tuple[str, ...],
    output: str | None,
    labels: str | None,
    split: str | None,
    data: str | None,
    use: Literal["best", "last"],
    batch_size: int,
    flip_average: bool,
    export: Literal["keras", "saved-model", "onnx"] | None,
    backend: str | None,
) -> None:
    """Label images with a trained run.

    For each of IMAGES (files, or folders of them) writes NAME.png, an index PNG of
    class ids at the image's own size, NAME-overlay.jpg, and NAME-triple.png where the
    labels are known.
    """
    use_backend(backend)
    # Not earlier: `segdata predict --help` needs no Keras.
    from segdata.trainers.predict import PredictOptions, export_model
    from segdata.trainers.predict import predict as run_prediction

    if export:
        if images or split or not output:
            raise OptionError(
                "--export writes the model: expected --output and neither images nor "
                "--split."
            )
        export_model(run_dir, export, output, use)
        click.echo(f"wrote {output}")
        return
    folder = output or str(run_dir / "predictions")
    options = PredictOptions(
        output=folder,
        images=images,
        labels=labels,
        split=split,
        data=data,
        weights=use,
        batch_size=batch_size,
        flip_average=flip_average,
    )
    count = run_prediction(run_dir, options)
    click.echo(f"wrote {folder}: {count} images")
