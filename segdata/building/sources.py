"""What a record is made from: which files, in which state, with which hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from segdata.errors import AnnotationError, RecordError
from segdata.records.drawn import Files
from segdata.storage import files
from segdata.storage.listing import State
from segdata.storage.paths import Address


def source_files(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the files of a record are called in messages, and their paths.

    Every byte of a record comes from its annotation dict and these files.
    """
    paths = [("image", data.get("image"))]
    for name in ("annotation_file", "label_image", "mask_image"):
        if isinstance(found := data.get(name), Mapping):
            paths.append((name.replace("_", " "), found.get("path")))
    if isinstance(masks := data.get("mask_files"), Sequence):
        paths += [("mask file", m.get("path")) for m in masks if isinstance(m, Mapping)]
    return [(what, path) for what, path in paths if isinstance(path, str)]


def source_states(
    data: Mapping[str, Any], source: Address, *, is_strict: bool = False
) -> list[State]:
    """The state of each of a record's files: its size in bytes and what tells versions.

    Args:
      data: The annotation dict.
      source: Folder of its files.
      is_strict: Whether a missing file is an error, or counts as `(0, 0)`.

    Raises:
      ImageError: If a file is missing.
      AnnotationError: If a path leaves the folder.
    """
    states: list[State] = []
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


def without_folder(message: str, source: Address) -> str:
    """A message as an output may hold it: paths of the source are below its folder.

    The folder itself is this machine's own: the same source elsewhere gives the same
    bytes, and no output tells where somebody's files lie.
    """
    folder = re.escape(str(source).rstrip("/"))
    if folder in ("", r"\."):
        return message
    below = re.sub(rf"(?<![\w./-]){folder}/", "", message)
    return re.sub(rf"(?<![\w./-]){folder}(?![\w/-])", "SOURCE", below)


def read_files(
    data: Mapping[str, Any], source: Address
) -> dict[str, bytes | RecordError]:
    """Reads the files of a record: the one place where that is done.

    Args:
      data: The annotation dict.
      source: Folder of its files, which they may not leave.

    Returns:
      Path -> what the file holds, or why it cannot be read.

    Raises:
      StorageError: If a store cannot be reached, or refuses: no fault of the record.
    """
    found: dict[str, bytes | RecordError] = {}
    for what, path in source_files(data):
        if path not in found:
            try:
                found[path] = files.read_bytes(source, path, what=what)
            except RecordError as error:
                found[path] = error
    return found


def source_digest(
    line: bytes,
    data: Mapping[str, Any],
    found: Files,
    hashed: tuple[bytes, str] = (b"", ""),
) -> tuple[int, str]:
    """What one record is made from, as a size and a hash.

    Args:
      line: The record's line in the plan of its shard.
      data: The annotation dict in it.
      found: From `read_files`.
      hashed: Bytes whose hex SHA-256 is known already, and that.

    Returns:
      Size of its source files in bytes, and hex SHA-256 of the line and of the hash of
      each file. A file that cannot be read counts as empty.
    """
    sizes = {p: len(c) if isinstance(c, bytes) else 0 for p, c in found.items()}
    hashes = {
        path: ""
        if isinstance(content, RecordError)
        else hashed[1]
        if content is hashed[0]
        else hashlib.sha256(content).hexdigest()
        for path, content in found.items()
    }
    digest = hashlib.sha256(line)
    paths = [path for _, path in source_files(data)]
    for path in paths:
        digest.update(f"\n{hashes[path]}".encode())
    return sum(sizes[path] for path in paths), digest.hexdigest()
