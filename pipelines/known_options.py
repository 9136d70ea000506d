"""Whether Beam knows the options that follow `--`: what it does not, it passes over."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import io
import logging
import re

from segdata.errors import OptionError
from segdata.pipelines.quiet import quiet_import
from segdata.pipelines.runner_options import LONG_NAMES, RunnerOptions

logger = logging.getLogger(__name__)


def check_beam_options(options: RunnerOptions) -> None:
    """Refuses what Beam does not know; where another runner may, warns.

    Imports Beam if there are options.

    Raises:
      OptionError: If an option of a run on this machine is none of Beam's, or its value
        cannot be.
    """
    if not options.beam_args:
        return
    with quiet_import():
        unknown, known = _unknown(options)
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        hint = f": did you mean {near[0]}?" if near else "."
        if options.is_local:
            raise OptionError(f"{name} is no option of Beam{hint}")
        logger.warning(
            "%s is no option of Beam; %s may know it%s", name, options.runner, hint
        )


def _unknown(options: RunnerOptions) -> tuple[list[str], list[str]]:
    """The names that Beam does not know, and those that it does."""
    from apache_beam.options.pipeline_options import PipelineOptions

    if long_name := LONG_NAMES.get(str(options.runner).lower()):
        with contextlib.suppress(ImportError):  # told when it is to run
            importlib.import_module(long_name.rpartition(".")[0])
    arguments = list(options.beam_args)
    known: list[str] = []
    unknown: list[str] = []

    def look(parser: argparse.ArgumentParser) -> None:
        known.extend(re.findall(r"--[\w-]+", parser.format_usage()))
        unknown.extend(parser.parse_known_args(arguments)[1])

    page = io.StringIO()
    try:
        with contextlib.redirect_stderr(page):
            # Retained, else it logs what is told here.
            PipelineOptions(arguments).get_all_options(
                add_extra_args_fn=look, retain_unknown_options=True
            )
    except SystemExit as error:
        if not error.code:  # --help
            raise
        said = page.getvalue().strip().rpartition("error: ")[2]
        raise OptionError(f"Beam cannot read its options after --: {said}.") from error
    names = [item.partition("=")[0] for item in unknown if item.startswith("-")]
    return names, known
