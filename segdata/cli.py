"""The `segdata` command: a table of commands, each loaded when it is run.

`segdata --help` imports click and nothing of ours but the error classes: Beam, NumPy
and TensorFlow cost seconds.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import sys
import traceback
from contextlib import suppress

import click

from segdata.errors import OptionError, SegdataError, printable, suggestion
from segdata.version import __version__

COMMANDS = {
    "check": (
        "segdata.commands.check:check",
        "Recognise a folder; tell how to build it.",
    ),
    "build": ("segdata.commands.build:build", "Convert a dataset to shards."),
    "info": ("segdata.commands.info:info", "Summarise a finished build."),
    "verify": (
        "segdata.commands.verify:verify",
        "Re-read and check every record.",
    ),
    "diff": ("segdata.commands.diff:diff", "Compare two builds."),
    "stats": (
        "segdata.commands.stats:stats",
        "Count classes and sizes; write a report.",
    ),
    "show": ("segdata.commands.show:show", "Draw records with their masks."),
    "export": (
        "segdata.commands.export:export",
        "Write a build as COCO, Pets, PNG or YOLO.",
    ),
    "inspect": (
        "segdata.commands.inspect:inspect",
        "Look into any TFRecord file.",
    ),
    "sample": ("segdata.commands.sample:sample", "Draw a small synthetic dataset."),
    "train": ("segdata.commands.train:train", "Train a model on a build."),
    "evaluate": (
        "segdata.commands.evaluate:evaluate",
        "Score a trained model.",
    ),
    "predict": (
        "segdata.commands.predict:predict",
        "Label images with a trained model.",
    ),
}
"""Command -> where it is defined, and its line in `segdata --help`."""

SECTIONS = {
    "Convert and check": ("check", "build", "verify", "diff"),
    "Look": ("info", "stats", "show", "inspect"),
    "Use": ("train", "evaluate", "predict", "export"),
    "Try": ("sample",),
}
"""Heading of `segdata --help` -> its commands."""

_AFTER_INTERRUPT = {
    "build": " Run the same command to resume.",
    "train": " Run the same command to resume.",
}
"""Command -> what to do after Ctrl-C, where its work is not lost."""


class LazyGroup(click.Group):
    """A group whose commands are imported when run; their help lines stand here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Command names in the order of a dataset's life."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one command."""
        if cmd_name not in COMMANDS:
            close = suggestion(cmd_name, COMMANDS)
            raise click.UsageError(f"no such command: {cmd_name!r}.{close}", ctx)
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Lists the commands without importing them."""
        for heading, names in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, COMMANDS[name][1]) for name in names])


def _print_version(ctx: click.Context, param: click.Parameter, given: bool) -> None:
    if not given:
        return
    if ctx.params.get("verbose"):
        from segdata.commands.versions import version_lines

        click.echo("\n".join(version_lines()))
    else:
        click.echo(f"segdata, version {__version__}")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version; with -v, all that is installed.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    is_eager=True,  # `--version -v` asks for it
    help="Show tracebacks and Beam's log.",
)
def cli(verbose: bool) -> None:
    """Convert segmentation datasets to sharded TFRecords, check and use them.

    Start with `segdata check FOLDER`. `segdata COMMAND --help` explains a command.
    Exit codes: 0 done, 1 the data or the run failed, 2 wrong usage.
    """
    # force: importing a command may have imported Beam, which touches the root logger.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    logging.getLogger().handlers[0].setFormatter(_Printable())
    logging.getLogger("segdata").setLevel(logging.DEBUG if verbose else logging.INFO)
    # A failed step is reported by us, in one line; Beam would log its page, often.
    beam_level = logging.INFO if verbose else logging.CRITICAL
    logging.getLogger("apache_beam").setLevel(beam_level)


class _Printable(logging.Formatter):
    """The message alone, whatever names are quoted in it."""

    def format(self, record: logging.LogRecord) -> str:
        """Spells control characters; lines stay lines."""
        return "\n".join(map(printable, super().format(record).split("\n")))


def main() -> None:
    """Entry point: turns errors into one line and an exit code."""
    verbose = bool({"-v", "--verbose"} & set(sys.argv[1:2]))
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # names that the terminal cannot spell
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        name = next((item for item in sys.argv[1:] if item in COMMANDS), "")
        _fail(f"interrupted.{_AFTER_INTERRUPT.get(name, '')}")
        code = 130
    except SegdataError as error:
        if verbose:
            traceback.print_exc()
        _fail(str(error))
        code = 2 if isinstance(error, OptionError) else 1
    except BrokenPipeError:  # `segdata info OUT | head`
        sys.stderr.close()
        code = 1
    except OSError as error:  # what no reader or writer of ours gave a line of its own
        if verbose:
            traceback.print_exc()
        _fail(_system_line(error))
        code = 1
    except Exception as error:
        if verbose:
            traceback.print_exc()
        _fail(
            f"internal error: {type(error).__name__}: {' '.join(str(error).split())} "
            "This is a bug in segdata: please report it with the output of `segdata -v "
            "...`."
        )
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _open_closed_streams() -> None:
    """Nothing goes where a stream was closed: else a shard would get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            found = os.open(os.devnull, os.O_RDWR)
            if found != number:
                os.dup2(found, number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def _system_line(error: OSError) -> str:
    why = error.strerror or " ".join(str(error).split())
    if error.filename is None:
        return f"cannot go on: {why}. Is the output's disk full, or a file closed?"
    return (
        f"cannot use {printable(str(error.filename))}: {why}. Check the path and its "
        "permissions."
    )


def _fail(message: str) -> None:
    with suppress(OSError):  # nobody is there to read it; the exit code tells
        click.echo(f"{click.style('error:', fg='red', bold=True)} {message}", err=True)


if __name__ == "__main__":
    main()
