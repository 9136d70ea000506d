"""What all exports share: the target's protocol, and a folder that appears whole."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from segdata.dataset import Dataset
from segdata.errors import OutputError
from segdata.records.record import Record
from segdata.storage.inside import join_inside
from segdata.storage.local_path import LocalPath
from segdata.storage.temporary import TEMPORARY_PREFIX


@dataclass(kw_only=True, slots=True)
class ExportReport:
    """What was written."""

    num_records: int = 0
    """Records."""
    num_objects: int = 0
    """Objects."""
    losses: Counter[str] = field(default_factory=Counter)
    """What the target has no place for, in words -> how many."""
    notes: list[str] = field(default_factory=list)
    """What was chosen that nobody said, one line each."""
    build_command: str = ""
    """Options of `segdata build` that read the export back; empty if none does."""


class ExportTarget(Protocol):
    """Writes a build in one layout of files."""

    def write(
        self, dataset: Dataset, dest: Path, on_records: Callable[[int], None]
    ) -> ExportReport:
        """Writes into an empty folder.

        Args:
          dataset: The build.
          dest: Folder to write to.
          on_records: Called with the number of records done since the last call.

        Raises:
          OptionError: If the dataset holds nothing that the target can hold.
          CorruptionError: If a record is damaged.
          OutputError: If a file cannot be written.
        """
        ...


@contextmanager
def new_folder(dest: Path) -> Iterator[Path]:
    """Makes a folder that appears under its name only when it is whole.

    Yields:
      The folder under a temporary name beside it.

    Raises:
      OutputError: If `dest` is there and not empty, or cannot be written.
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise OutputError(
            f"{dest} is not an empty directory: choose another.",
            reason="output-exists",
        )
    final = LocalPath(dest).resolve()
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        prefix = f"{TEMPORARY_PREFIX}{final.name}-"
        with final.parent.temporary_folder(prefix, mode=0o777) as temporary:
            yield temporary
            os.replace(temporary, dest)
    except OSError as error:
        raise OutputError(
            f"cannot write {dest}: {error.strerror or error}. Free space or check the "
            "permissions.",
            reason="unwritable",
        ) from error


def write_image(folder: Path, name: str, record: Record) -> None:
    """Writes a record's image, byte by byte as it is stored.

    Raises:
      AnnotationError: If the name leads out of the folder.
      OutputError: If another record has another image of that name.
    """
    write_once(folder, name, record.encoded, record.key)


def write_once(folder: Path, name: str, data: bytes, key: str) -> None:
    """Writes one file below a folder; the same content twice is written once."""
    path = Path(join_inside(folder, name))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "xb") as file:
            file.write(data)
    except FileExistsError as error:
        if path.read_bytes() != data:
            raise OutputError(
                f"record {key!r} and another are both of the file {name!r}: their "
                "contents differ, and one folder cannot hold both.",
                reason="same-name",
            ) from error


def with_own_stems(names: Iterable[str]) -> dict[str, str]:
    """File name -> the name to write it by, which no other has but for its ending.

    Labels are files of the same name and another ending.

    >>> with_own_stems(["a.jpg", "a.png", "b.jpg"])
    {'a.jpg': 'a_jpg.jpg', 'a.png': 'a_png.png', 'b.jpg': 'b.jpg'}
    """
    paths = {name: PurePosixPath(name) for name in names}
    count = Counter(path.with_suffix("") for path in paths.values())
    return {
        name: name
        if count[path.with_suffix("")] == 1
        else str(path.with_stem(f"{path.stem}_{path.suffix[1:]}"))
        for name, path in paths.items()
    }


def common_folder(names: Iterable[str]) -> str:
    """The folder that all paths lie in, as deep as they agree; empty if there is none.

    >>> common_folder(["images/a/1.jpg", "images/b/2.jpg"])
    'images'
    """
    folders = {name.rpartition("/")[0] for name in names}
    return posixpath.commonpath(folders) if folders else ""
