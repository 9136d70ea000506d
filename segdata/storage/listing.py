"""What lies in a folder: one entry, and all that is below a folder of a store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

# What changes when an object does: first what follows from its bytes, so that the same
# bytes written again are the same state; then what counts its versions; then times.
_STATES = (
    *("ETag", "md5Hash", "crc32c", "etag", "generation"),
    *("modificationTime", "LastModified", "mtime", "updated"),
)


State = tuple[int, int | str]
"""Size of a file in bytes, and what changes when the file does: the times in ns on a
file system, of its bytes and of its entry; the ETag, hash, generation or time of an
object in a store."""


class Entry(NamedTuple):
    """A file or folder, as the folder that it lies in tells of it."""

    name: str
    """The last part of its path."""
    is_dir: bool
    """Whether it is a folder, or a link to one."""
    is_link: bool = False
    """Whether it is a link."""
    st_size: int = 0
    """Size in bytes of an object in a store; 0 of all others."""
    state: str = ""
    """What tells an object in a store from an earlier version of itself."""


def entry_of(info: Mapping[str, Any]) -> Entry:
    """An entry of what an fsspec file system tells of one object."""
    key = str(info["name"])
    # Consoles make folders as empty objects whose names end with a slash.
    is_dir = info["type"] == "directory" or key.endswith("/")
    found = (info[name] for name in _STATES if info.get(name) is not None)
    return Entry(
        name=PurePosixPath(key).name,
        is_dir=is_dir,
        st_size=0 if is_dir else int(info["size"] or 0),
        state="" if is_dir else str(next(found, "")),
    )


class Listing:
    """All that lies below a folder, as it was at one moment.

    Args:
      root: Bucket and key of the folder.
      found: Key -> what an fsspec file system tells, of everything below it.
    """

    def __init__(
        self, root: PurePosixPath, found: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._folders: dict[str, dict[str, Entry]] = {}
        for key, info in found.items():
            entry, path = entry_of(info), PurePosixPath(key)
            # Two slashes on end make a folder without a name: no path leads there.
            if not entry.is_dir and "//" not in key and root in path.parents:
                self._add(root, path, entry)

    def _add(self, root: PurePosixPath, path: PurePosixPath, entry: Entry) -> None:
        folder = str(path.parent)
        is_known = folder in self._folders
        self._folders.setdefault(folder, {})[entry.name] = entry
        if not is_known and path.parent != root:
            parent = Entry(path.parent.name, is_dir=True)
            self._add(root, path.parent, parent)

    def entry(self, path: PurePosixPath) -> Entry | None:
        """What lies at a path; None where nothing does."""
        if str(path) in self._folders:
            return Entry(path.name, is_dir=True)
        return self._folders.get(str(path.parent), {}).get(path.name)

    def entries(self, folder: PurePosixPath) -> list[Entry]:
        """What lies in a folder, in the order of names."""
        found = self._folders.get(str(folder), {})
        return [found[name] for name in sorted(found)]
