"""What an update keeps: the options that are not stated are those of the build.

A default must not stand for "as before": the splits that were drawn would be gone.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from segdata.building.options import BuildOptions, differing_options
from segdata.building.sources import without_folder
from segdata.errors import CorruptionError, OutputError, short_repr
from segdata.formats.base import Format
from segdata.shards.manifest import About, Manifest, read_manifest
from segdata.storage.paths import Location

logger = logging.getLogger(__name__)


def read_finished(out: Location) -> Manifest:
    """Reads the manifest of a finished build that is asked for again.

    Raises:
      OutputError: If it is damaged: nothing tells what the build was made of.
    """
    try:
        return read_manifest(out)
    except CorruptionError as error:
        raise OutputError(
            f"{out} already holds a finished build, and its manifest is damaged: "
            f"{error} Pass --overwrite to replace it, or choose another directory.",
            reason="output-exists",
        ) from error


def noted(options: Mapping[str, Any], source: Location) -> dict[str, Any]:
    """Options of a format as a manifest holds them: no path of this machine."""
    return {name: _noted(value, source) for name, value in options.items()}


def _noted(value: Any, source: Location) -> Any:
    if not isinstance(value, str):
        return value
    below = without_folder(value, source)
    path = PurePosixPath(below)
    is_outside = path.is_absolute() or ".." in path.parts or "://" in below
    return None if is_outside else below


def kept_format(
    out: Location,
    old: Manifest,
    chosen: type[Format],
    stated: Mapping[str, Any],
    source: Location,
) -> Format:
    """The format of an update, with the options of the build.

    Raises:
      OutputError: If the build is of another format, or an option cannot be kept.
    """
    if old.format_name != chosen.name:
        raise _refused(out, [f"format {old.format_name} -> {chosen.name}"])
    known = {item.name for item in dataclasses.fields(chosen)}  # type: ignore[arg-type]
    before = {k: v for k, v in old.options.get("format", {}).items() if k in known}
    if known and "format" not in old.options:
        logger.info(
            "%s does not say with which options of the format it was built: those that "
            "are not stated have their defaults",
            out,
        )
    for name, value in before.items():
        if value is None and name not in stated:
            raise OutputError(
                f"--{name.replace('_', '-')} was a path outside SOURCE when {out} was "
                "built, which is not noted: state it again.",
                reason="option-missing",
            )
    return chosen(**{**before, **stated})


def kept_options(
    out: Location, old: Manifest, stated: Mapping[str, Any], format: dict[str, Any]
) -> BuildOptions:
    """The options of an update.

    Args:
      out: A finished build.
      old: Its manifest.
      stated: Options that the user stated, by field of `BuildOptions`.
      format: All options of the format, as `noted` gives them.

    Raises:
      OutputError: If one that the bytes depend on was stated otherwise than the build
        has it; it is named.
    """
    try:
        kept = BuildOptions.from_json(old.options)
    except (TypeError, KeyError, AttributeError) as error:
        raise OutputError(
            f"{out} was built with options that this version does not know: {error}. "
            "Pass --overwrite instead of --update to build it again.",
            reason="other-options",
        ) from error
    asked = dataclasses.replace(kept, **stated, format=format)
    # No byte depends on the share of rejects: it may be stated anew.
    other = dataclasses.replace(asked, max_reject_share=kept.max_reject_share)
    if found := differing_options(old.options, other):
        raise _refused(out, found)
    return asked


def kept_about(old: About, stated: About) -> About:
    """What the manifest says of the dataset: what is stated, else what it says now."""
    before = dataclasses.asdict(old)
    changes = {k: v for k, v in dataclasses.asdict(stated).items() if v}
    for name, text in changes.items():
        if before[name] != text:
            change = f"{short_repr(before[name])} -> {short_repr(text)}"
            logger.info("updating: --%s %s", name, change)
    return About(**{**before, **changes})


def _refused(out: Location, found: list[str]) -> OutputError:
    return OutputError(
        f"{out} was built otherwise than it is to be updated: {'; '.join(found)}. "
        "--update keeps its options: leave these out, or pass --overwrite in its place "
        "to build anew.",
        reason="other-options",
    )
