"""What commands that use a trained run share: options, and the check of its task."""

from __future__ import annotations

import re
from typing import Any

import click
from click.core import ParameterSource

from segdata.errors import OptionError
from segdata.storage.paths import Location
from segdata.trainers.run.directory import RunDirectory


class ImageSize(click.ParamType[tuple[int, int]]):
    """`HEIGHTxWIDTH` as two numbers."""

    name = "HEIGHTxWIDTH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Reads the text."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", value)
        if not found:
            self.fail(f"{value!r} is no size: expected HEIGHTxWIDTH, e.g. 192x256.")
        return int(found[1]), int(found[2])


backend_option = click.option(
    "--backend",
    type=click.Choice(["tensorflow", "jax"]),
    help="Backend of Keras. [default: KERAS_BACKEND, or tensorflow]",
)


def use_options(command: Any) -> Any:
    """Adds the options that `use_of` takes."""
    for option in reversed(
        (
            click.option(
                "--use",
                type=click.Choice(["best", "last"]),
                default="best",
                show_default=True,
                help="Take the weights of the best or the last epoch.",
            ),
            click.option(
                "--batch-size",
                type=click.IntRange(min=1),
                default=8,
                show_default=True,
                help="Images per step.",
            ),
            click.option(
                "--flip-average",
                is_flag=True,
                help="Average with the prediction for the mirrored image; takes twice "
                "as long.",
            ),
            click.option(
                "--scale-average",
                type=float,
                multiple=True,
                default=(1.0,),
                show_default=True,
                help="Test-time scale; repeat the option to average several (each "
                "adds one pass).",
            ),
            click.option(
                "--eval-image-size",
                type=ImageSize(),
                help="Bring images to this size. [default: the run's]",
            ),
            click.option(
                "--class-agnostic",
                is_flag=True,
                help="Drop objects that overlap a better one of any class, not only of "
                "their own (runs of mask-rcnn).",
            ),
        )
    ):
        command = option(command)
    return command


def use_of(
    use: str,
    batch_size: int,
    flip_average: bool,
    scale_average: tuple[float, ...],
    **given: Any,
) -> dict[str, Any]:
    """Fields of `segdata.trainers.run.trained.UseOptions`; imports Keras."""
    from segdata.trainers.semantic.predictor import Averaging

    averaging = Averaging(flip=flip_average, scales=scale_average)
    use_of = {"weights": use, "batch_size": batch_size, "averaging": averaging}
    return use_of | given


def is_instances(
    ctx: click.Context, run_dir: Location, **foreign: tuple[str, ...]
) -> bool:
    """Whether a run finds objects; refuses options that mean nothing to it.

    Args:
      ctx: Of the command.
      run_dir: The run's directory.
      **foreign: `semantic` and `instances`: options of those runs alone.

    Raises:
      OptionError: If an option was given that is of the other kind of run.
      OutputError: If there is no run.
    """
    options = RunDirectory(run_dir).load().options
    other = "semantic" if options.task == "instances" else "instances"
    for name in foreign[other]:
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            kind = "labels pixels" if other == "semantic" else "finds objects"
            raise OptionError(
                f"--{name.replace('_', '-')} is for runs whose model {kind}, and "
                f"{run_dir} is one of {options.model}: leave it out."
            )
    return options.task == "instances"
