"""Folders of a source: which files are images, which are something else."""

from __future__ import annotations

import os
from collections.abc import Collection, Container, Iterator, Sized
from dataclasses import dataclass, field

from segdata.errors import SourceError
from segdata.split_names import is_known_split
from segdata.storage.paths import Location

IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".tif", ".tiff", ".gif"}
    | {".webp", ".avif", ".pbm", ".pgm", ".ppm", ".pnm"}
)
"""Endings of image files, in lower case; the content decides what they really are."""

Files = dict[str, str]
"""Name of a file without its ending -> path below the source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """The files of a folder, by what they are."""

    by_stem: dict[str, list[str]] = field(default_factory=dict)
    """Path below the folder without its ending -> paths below the source, sorted: more
    than one where files differ by their ending only."""
    others: list[str] = field(default_factory=list)
    """Paths below the source of files with other endings."""
    hidden: list[str] = field(default_factory=list)
    """Paths below the source of files that begin with a dot, such as macOS's `._X`."""
    links: list[str] = field(default_factory=list)
    """Paths below the source of links to folders, which are not followed."""

    @property
    def images(self) -> list[str]:
        """Paths below the source of all files that were looked for."""
        return [path for paths in self.by_stem.values() for path in paths]

    def unique(self) -> Files:
        """The files, each of whose names stands once.

        Raises:
          SourceError: If two differ by their ending only.
        """
        for paths in self.by_stem.values():
            if len(paths) > 1:
                raise SourceError(
                    f"{paths[0]} and {paths[1]} have the same name but for the "
                    "ending: which is meant? Remove one of them.",
                    reason="duplicate-key",
                )
        return {stem: paths[0] for stem, paths in self.by_stem.items()}


def subfolders(source: Location) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones."""
    found = source.entries()
    return [e.name for e in found if e.is_dir and not e.name.startswith(".")]


def image_files(source: Location, folder: str) -> Files:
    """Image files of one folder, without those below it.

    Raises:
      SourceError: If two differ by their ending only.
    """
    return list_folder(source, folder).unique()


def list_folder(
    source: Location,
    folder: str,
    *,
    recursive: bool = False,
    without: str = "",
    suffixes: Collection[str] = IMAGE_SUFFIXES,
    most_folders: int | None = None,
) -> Listing:
    """Lists a folder; no file is opened.

    Args:
      source: Folder that the paths are relative to.
      folder: The folder below it; empty for the source itself.
      recursive: Whether to list the folders below it too.
      without: A folder below the source that is left out, if it lies in this one.
      suffixes: Endings of the files that are looked for, in lower case.
      most_folders: How many folders below it may be listed; of more nothing is.
    """
    listing = Listing()
    num_folders = 0
    start = f"{folder}/" if folder else ""
    is_inside = without.startswith(start) and without != folder
    last = ""
    for inner, name, is_linked_folder in _walk(source / folder, "", recursive):
        num_folders, last = num_folders + (inner != last), inner
        if most_folders is not None and num_folders > most_folders:
            return Listing()
        path = f"{start}{inner}{name}"
        if is_inside and path.startswith(f"{without}/"):
            continue
        stem, suffix = os.path.splitext(name)
        if is_linked_folder:
            listing.links.append(path)
        elif name.startswith("."):
            listing.hidden.append(path)
        elif suffix.lower() in suffixes:
            listing.by_stem.setdefault(inner + stem, []).append(path)
        else:
            listing.others.append(path)
    return listing


def is_build(names: Container[str]) -> bool:
    """Whether a folder is an output of segdata, finished or not, by what is in it."""
    return ".segdata" in names or ("manifest.json" in names and "index" in names)


def split_of(path: str) -> str | None:
    """The folder on a path that is named like a split, such as `train`; else None."""
    folders = path.split("/")[:-1]
    return next((name for name in folders if is_known_split(name)), None)


def _walk(
    folder: Location, inner: str, recursive: bool
) -> Iterator[tuple[str, str, bool]]:
    """Folder below the first one (empty or with a slash), name, if it is a link."""
    entries = folder.entries()
    if inner and is_build({entry.name for entry in entries}):
        return  # an output in its own source is no part of it
    for entry in entries:
        if not entry.is_dir:
            yield inner, entry.name, False
        elif recursive and not entry.name.startswith("."):
            if entry.is_link:
                yield inner, entry.name, True
            else:
                yield from _walk(folder / entry.name, f"{inner}{entry.name}/", True)


def count_of(paths: Sized, one: str, many: str) -> str:
    """How many of something, for messages: `1 file`, `3 files`."""
    return f"{len(paths)} {one if len(paths) == 1 else many}"
