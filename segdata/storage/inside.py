"""Paths that come out of annotation files: none leads out of the source folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from segdata.errors import AnnotationError

_WINDOWS_DRIVE = re.compile(r"^[A-Za-z]:")


def join_inside(root: str | os.PathLike[str], relative: str) -> str:
    """Joins a path from an annotation file to its folder, which it may not leave.

    Args:
      root: The folder on this machine that all images lie in.
      relative: Path below it, with forward slashes; may have subfolders, blanks and
        any Unicode.

    Returns:
      The joined path; the file need not exist.

    Raises:
      AnnotationError: For absolute paths, `..`, Windows forms, NUL bytes, text that no
        file name can be, and links that lead out of `root`.
    """
    parts = checked_parts(relative)
    root = os.fspath(root)
    if _leads_out(root, parts):
        raise AnnotationError(
            f"path {relative!r} is a link that leads out of the image folder. Replace "
            "it by the file itself.",
            reason="unsafe-path",
        )
    return os.path.join(root, relative)


def checked_parts(relative: str) -> list[str]:
    """The parts of a path, which may not lead out of a folder by their names.

    Raises:
      AnnotationError: If they do, or are none that a file can have.
    """
    parts = relative.split("/")
    if (
        not relative
        or relative.startswith("/")
        or ".." in parts
        or "\\" in relative
        or "\0" in relative
        or _WINDOWS_DRIVE.match(relative)
    ):
        raise AnnotationError(
            f"path {relative!r} may leave the image folder: expected a relative path "
            "with forward slashes and without '..'.",
            reason="unsafe-path",
        )
    try:
        os.fsencode(relative)
    except UnicodeEncodeError:  # half a surrogate pair, as JSON can spell it
        raise AnnotationError(
            f"path {relative!r} is no file name: it cannot be written as UTF-8.",
            reason="unsafe-path",
        ) from None
    return parts


def _leads_out(root: str, parts: list[str]) -> bool:
    """Whether a link on the way to a file leads out of its folder, or in circles."""
    # os.path, not pathlib: this runs several times for every record.
    path = root
    for part in parts:
        path = os.path.join(path, part)
        if os.path.islink(path):
            break
    else:
        return False
    try:
        target = Path(root, *parts).resolve()
    except RuntimeError:  # a loop of links
        return True
    except OSError:  # such as a name that is too long: opening the file will tell
        return False
    return not target.is_relative_to(Path(root).resolve())
