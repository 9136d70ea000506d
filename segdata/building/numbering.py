"""`image/source_id`: the source's own numbers where all can be used, else ours."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

from segdata import identity
from segdata.storage.sorting import Sorter


class Numbering:
    """Sees the key and number of every record, then says which number each has.

    A context: it ends with its temporary files.
    """

    def __init__(self) -> None:
        self.are_given = True
        """Whether all records have numbers of the source, each once, 0 to 2**24."""
        self._taken = mmap.mmap(-1, identity.MAX_IMAGE_ID + 1)  # costs what is written
        self._keys = Sorter()
        self._count = 0

    def __enter__(self) -> Numbering:
        return self

    def __exit__(self, *_: object) -> None:
        self._taken.close()
        self._keys.__exit__()

    def add(self, key: str, given: object, tag: bytes) -> None:
        """Adds a record.

        Args:
          key: Its key.
          given: Its number in the source, if it has one.
          tag: What `assigned` calls it.
        """
        self._count += 1
        self._keys.add(key.encode("utf-8", "surrogatepass") + b"\0" + tag)
        self.are_given = self.are_given and self._is_new(given)

    def assigned(self) -> Iterator[tuple[bytes, int]]:
        """Tag and number of each record, by keys alone."""
        numbers = identity.ImageNumbers(self._count)
        for row in self._keys:
            key, tag = row.rsplit(b"\0", 1)
            yield tag, numbers.take(key.decode("utf-8", "surrogatepass"))

    @property
    def warnings(self) -> Iterator[str]:
        """What a person should know, one line each."""
        if not self.are_given and 2 * self._count > identity.MAX_IMAGE_ID:
            yield (
                f"{self._count} images have numbers above {identity.MAX_IMAGE_ID}: "
                "what carries image/source_id as float32, as TF Model Garden does, "
                "takes some for one; tell records by image/key there"
            )

    def _is_new(self, given: object) -> bool:
        if not isinstance(given, int) or not 0 <= given <= identity.MAX_IMAGE_ID:
            return False
        is_new = not self._taken[given]
        self._taken[given] = 1
        return is_new
