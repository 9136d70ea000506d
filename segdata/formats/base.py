"""What a dataset format is: options in, annotation dicts out, no pixels read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from segdata.annotations import Annotation
from segdata.errors import AnnotationError
from segdata.label_map import LabelMap
from segdata.storage.paths import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """What a format found in a source folder."""

    label_map: LabelMap
    """The dataset's classes."""
    annotations: Iterable[Annotation]
    """One dict per image, in any order; read once."""
    layout: str
    """One line that tells which layout was recognised."""
    warnings: tuple[str, ...] = ()
    """What a person should know, e.g. files that no list names; one line each."""
    problems: tuple[AnnotationError, ...] = ()
    """Annotations that belong to no record; they end a build unless it skips errors."""
    problem_unit: Literal["records", "objects"] = "records"
    """What a problem stands for, as `--max-rejects` counts it: a record (its line in a
    list, its label file) or an object (its row in a table)."""
    source_info: Mapping[str, Any] = field(default_factory=dict)
    """What the source says of itself, by file, e.g. licences; JSON-able."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """What a format says of a folder that it knows at a glance."""

    title: str
    """Layout, flavour and, where known, the tool that wrote it; half a line."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the format without which it would not build rightly."""
    is_sure: bool = True
    """Whether nothing else can be meant: a file or folder of this format's own is
    there. False for layouts that several formats share."""
    below: str = ""
    """The folder below the one looked at where it is; empty for that one."""


class Format(Protocol):
    """A dataset format: a frozen dataclass whose fields are its options.

    Each field becomes an option of `segdata build NAME`; its metadata give `help` and,
    for a fixed set, `choices`. A format reads lists and annotation files, never
    pixels: it must stay quick on a million images.
    """

    name: ClassVar[str]
    """Name on the command line and in file names."""
    summary: ClassVar[str]
    """One line for `segdata build --help`."""

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """Says whether a folder looks like this format.

        It must be cheap: by the folder's listing and the heads of a few files.

        Returns:
          None where it does not.
        """
        ...

    def scan(self, source: Location) -> Scan:
        """Finds the images and annotations below `source`.

        Raises:
          SourceError: If no layout of this format is recognised there.
          AnnotationError: If a list or annotation file is malformed.
        """
        ...
