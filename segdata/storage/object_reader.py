"""Files to read that lie in a store: by ranges, or one stretch that is fetched."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any


class ObjectReader(io.RawIOBase):
    """Reads an object range by range.

    Args:
      read_range: Gives the bytes from an offset, so many.
      size: Size of the object in bytes.
    """

    def __init__(self, read_range: Callable[[int, int], bytes], size: int) -> None:
        self._read_range = read_range
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a place in the whole object."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}
        self._place = max(0, start[whence] + offset)
        return self._place

    def tell(self) -> int:
        """The place of the next byte."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer by one request; returns how many bytes there were."""
        size = min(len(buffer), self._size - self._place)
        data = self._read_range(self._place, size)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def readall(self) -> bytes:
        """All that is left, by one request."""
        data = self._read_range(self._place, self._size - self._place)
        self._place += len(data)
        return data


class Piece(io.BytesIO):
    """A stretch of a file at its place."""

    def __init__(self, data: bytes, offset: int) -> None:
        super().__init__(data)
        self._offset = offset

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a place in the whole object."""
        return super().seek(offset - self._offset, whence) + self._offset
