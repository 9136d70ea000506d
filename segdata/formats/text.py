"""Reading lists and class files: UTF-8 text, with a byte-order mark or without."""

from __future__ import annotations

from collections.abc import Iterator

from segdata.errors import SourceError
from segdata.storage.paths import Location


def read_lines(
    path: Location, *, max_bytes: int | None = None
) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that is neither empty nor a comment.

    A comment begins with `#`. Blanks around a line are cut off.

    Args:
      path: The file.
      max_bytes: The largest size that is read; any where None.

    Raises:
      SourceError: If it cannot be read, is larger, or is not UTF-8.
    """
    data = read_small(path, max_bytes)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path.name} is not UTF-8: {error.reason}.") from error
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def read_small(path: Location, max_bytes: int | None) -> bytes:
    """All of a file.

    Raises:
      SourceError: If it cannot be read, or is larger.
    """
    try:
        if max_bytes is None:
            return path.read_bytes()
        data = path.read_start(max_bytes + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > max_bytes:
        raise SourceError(
            f"class file {path.name} has more than {max_bytes} bytes: expected one "
            "class per line."
        )
    return data
