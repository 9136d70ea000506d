"""The exception tree: every failure a user can cause has a class and a reason.

Messages are one line and read *what is wrong: expected X, got Y (file, record). What
to do.* The `reason` is a short slug: it is what `rejects.jsonl` and the manifest count.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def short_repr(value: object) -> str:
    """A value as messages quote it: of 60 characters at most, whatever it holds."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep; an int of 5,000 digits
        text = reprlib.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def suggestion(given: str, known: Iterable[str]) -> str:
    """What was probably meant by a name that is not known, as the end of a message."""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(given.casefold(), folded, n=1)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def printable(text: str) -> str:
    """Text that changes no terminal: control characters are spelled as in Python.

    Names come out of strangers' files: an escape sequence in one could clear a screen,
    and a mark of writing direction turn a line around.
    """
    return _UNPRINTABLE.sub(lambda m: m[0].encode("unicode_escape").decode(), text)


class SegdataError(Exception):
    """Base of all errors that segdata raises on purpose.

    Attributes:
      reason: Kebab-case slug that groups errors of one kind, e.g. `label-missing`.
    """

    reason: str = "error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        # One line, whatever was quoted.
        super().__init__(printable(" ".join(message.split())))
        if reason is not None:
            self.reason = reason

    def __reduce__(self) -> tuple[object, tuple[type[SegdataError], str, str]]:
        # Exceptions cross process borders; plain pickling would lose the reason.
        return _rebuild, (type(self), str(self), self.reason)


def _rebuild(cls: type[SegdataError], message: str, reason: str) -> SegdataError:
    return cls(message, reason=reason)


class RecordError(SegdataError):
    """One source record is bad; the others are not affected.

    These are the errors that `--on-error skip` turns into rejects.
    """

    reason = "bad-record"


class AnnotationError(RecordError):
    """An annotation cannot be what it claims to be (mask, box, class, label image)."""

    reason = "bad-annotation"
    index: int | None = None
    """Position of the bad object in its list, where there is a list."""


class ImageError(RecordError):
    """An image is missing, cannot be decoded, or is refused."""

    reason = "bad-image"


class SourceError(SegdataError):
    """The dataset as a whole cannot be read: unknown layout, no images, bad list."""

    reason = "bad-source"


class OptionError(SegdataError, ValueError):
    """An option has an impossible value or contradicts another."""

    reason = "bad-option"


class OutputError(SegdataError):
    """The output directory cannot be used or written."""

    reason = "bad-output"


class BuildError(SegdataError):
    """The build ran but its result may not be called complete."""

    reason = "build-failed"


class TrainingError(SegdataError):
    """A training run came to no good: its loss is no number."""

    reason = "training-failed"


class CorruptionError(SegdataError):
    """A finished dataset is not what its manifest says."""

    reason = "corrupt"


class StorageError(SegdataError, OSError):
    """A store such as `s3://` refuses, cannot be reached, or knows no such bucket.

    Also an `OSError`, whose `strerror` leaves the path out: where files are read, it is
    met like any other failure of a file system.
    """

    reason = "storage"

    def __init__(
        self, message: str, *, reason: str | None = None, strerror: str | None = None
    ) -> None:
        super().__init__(message, reason=reason)
        self.strerror = strerror or str(self)


class MissingDependencyError(SegdataError, ImportError):
    """An optional package is needed for what was asked and is not installed."""

    reason = "missing-dependency"
