"""Which format a folder has: every format is asked, here, below and above."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from segdata.annotations import Annotation
from segdata.errors import SegdataError, SourceError
from segdata.formats import FORMATS, format_class
from segdata.formats.base import Guess
from segdata.formats.folders import subfolders
from segdata.formats.foreign import what_is_there
from segdata.storage.paths import Location

AUTO = "auto"
"""Stands for whatever format is recognised."""

_MAX_FOLDERS = 32  # looked into one level down
_MAX_NAMED = 5
_PROBED_RECORDS = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A format that a folder may have."""

    format: str
    """Its name."""
    folder: Location
    """Where it is: the folder that was asked for, one below, or the one above."""
    guess: Guess
    """What the format says."""

    def command(self, out: str = "OUT") -> str:
        """The command that builds it, as a person types it."""
        return build_command(self.format, str(self.folder), out, self.guess.options)


def build_command(
    format: str, source: str, out: str, options: Mapping[str, Any]
) -> str:
    """`segdata build FORMAT SOURCE OUT` with the options of the format."""
    words = ["segdata", "build", format, source, out]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def recognize(source: Location, format: str = AUTO) -> list[Candidate]:
    """The formats that a folder may have, the likeliest first.

    Folders below it are looked at where it has none itself, then the one above: that
    counts where the folder is part of the dataset there. Where one format is sure,
    those that are not are left out.

    Args:
      source: The folder.
      format: Name of the only format to ask, or `AUTO`.
    """
    found = [*_asked(source, format)]
    if sure := _sure(found):
        return sure
    if found:
        # What is sure below is no part of what may be here, if of another format.
        here = {candidate.format for candidate in found}
        below = _sure(_asked_below(source, format))
        return [other for other in below if other.format not in here] or found
    return recognize_around(source, format)


def recognize_around(source: Location, format: str = AUTO) -> list[Candidate]:
    """The formats that the folders in a folder may have; if none, the one above it."""
    found = [*_asked_below(source, format)]
    if found:
        return _sure(found) or found
    whole = source.resolve()  # `.` has no name
    above = _sure(_asked(whole.parent, format))
    return [found for found in above if _is_part(whole.name, found)]


def _is_part(name: str, candidate: Candidate) -> bool:
    """Whether files of a dataset lie in the folder of this name."""
    if f"{name}/" in candidate.guess.title:  # such as that of COCO's JSONs
        return True
    try:
        scan = format_class(candidate.format)(**candidate.guess.options).scan(
            candidate.folder
        )
        first = itertools.islice(scan.annotations, _PROBED_RECORDS)
        return any(
            path.startswith(f"{name}/") for data in first for path in _paths(data)
        )
    except (OSError, SegdataError):
        return False


def _paths(data: Annotation) -> Iterator[str]:
    """Where the files of a record lie; not all of them, but one of each folder."""
    yield data["image"]
    for item in (data.get("label_image"), data.get("annotation_file")):
        if item is not None:
            yield item["path"]


def _sure(candidates: Iterable[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate.guess.is_sure]


def the_one(source: Location) -> Candidate:
    """The only format that a folder can have.

    Raises:
      SourceError: If there is none, or there are several.
    """
    found = recognize(source)
    if len(found) == 1:
        return found[0]
    if not found:
        raise not_recognised(source)
    choices = "; ".join(candidate.command() for candidate in found[:_MAX_NAMED])
    raise SourceError(
        f"{source} may be {len(found)} things: run the command that is meant, one of: "
        f"{choices}",
        reason="ambiguous",
    )


def not_recognised(source: Location) -> SourceError:
    """The error for a folder that no format knows, with what it holds."""
    return SourceError(
        f"no dataset is recognised in {source}: {what_is_there(source)}. "
        "docs/formats.md shows the layouts that are known.",
        reason="not-recognised",
    )


def _below(source: Location) -> list[Location]:
    if not source.is_dir():
        return []
    return [source / name for name in subfolders(source)[:_MAX_FOLDERS]]


def _asked_below(source: Location, format: str) -> Iterator[Candidate]:
    for folder in _below(source):
        yield from _asked(folder, format)


def _asked(folder: Location, format: str) -> Iterator[Candidate]:
    """What each format says of one folder."""
    if not folder.is_dir():
        return
    for name in FORMATS if format == AUTO else [format]:
        try:
            guess = format_class(name).recognize(folder)
        except (OSError, SegdataError):  # what cannot be read is not recognised
            continue
        if guess is not None:
            yield Candidate(format=name, folder=folder / guess.below, guess=guess)
