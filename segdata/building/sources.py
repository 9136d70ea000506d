"""What a record is made from: which files, in which state, with which hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from segdata.errors import AnnotationError
from segdata.storage import files, operations
from segdata.storage.paths import Address


def source_files(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the files of a record are called in messages, and their paths.

    Every byte of a record comes from its annotation dict and these files.
    """
    paths = [("image", data.get("image"))]
    for name in ("label_image", "mask_image"):
        if isinstance(found := data.get(name), Mapping):
            paths.append((name.replace("_", " "), found.get("path")))
    return [(what, path) for what, path in paths if isinstance(path, str)]


def source_states(
    data: Mapping[str, Any], source: Address, *, is_strict: bool = False
) -> list[operations.State]:
    """The state of each of a record's files: its size in bytes and what tells versions.

    Args:
      data: The annotation dict.
      source: Folder of its files.
      is_strict: Whether a missing file is an error, or counts as `(0, 0)`.

    Raises:
      ImageError: If a file is missing.
      AnnotationError: If a path leaves the folder.
    """
    states: list[operations.State] = []
    for what, path in source_files(data):
        try:
            state = files.file_state(source, path)
        except AnnotationError:
            if is_strict:
                raise
            state = None
        if state is None and is_strict:
            raise files.missing(source, path, what=what)
        states.append(state or (0, 0))
    return states


def source_digest(
    line: bytes, data: Mapping[str, Any], source: files.SourceFolder
) -> tuple[int, str]:
    """What one record is made from, as a size and a hash.

    Args:
      line: The record's line in the plan of its shard.
      data: The annotation dict in it.
      source: Folder of its files, which are read unless they just were.

    Returns:
      Size of its source files in bytes, and hex SHA-256 of the line and of the hash of
      each file. A file that cannot be read counts as empty.
    """
    found = [source.digest(path) for _, path in source_files(data)]
    digest = hashlib.sha256(line)
    for _, file_digest in found:
        digest.update(f"\n{file_digest}".encode())
    return sum(size for size, _ in found), digest.hexdigest()
