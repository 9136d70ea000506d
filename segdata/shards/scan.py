"""Reading any TFRecord file, ours or not, damaged or not, record by record.

`segdata.shards.tfrecord` reads what we wrote and stops at the first damage. This reads
on: a record whose data are damaged is stepped over by its length, and where the length
itself is damaged the next place is searched where twelve bytes are a length with its
CRC. Memory is one record, or one search window.
"""

from __future__ import annotations

import bisect
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import IO, cast

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from segdata.errors import CorruptionError
from segdata.shards.tfrecord import masked_crc
from segdata.storage.paths import Location

_HEADER_BYTES, _FOOTER_BYTES = 12, 4
_WINDOW = 1 << 20
# Protobuf's limit. A hostile length must not make us read on for ever.
_MAX_BYTES = (1 << 31) - 1
# A megabyte of gzip can hold a gigabyte, of 64 million empty records.
_UNPACKED_BYTES, _MOST_TIMES = 1 << 26, 100


@dataclass(frozen=True, slots=True)
class ScannedRecord:
    """One record of a TFRecord file, or a stretch that is none any more."""

    index: int
    """Position in the file, from 0; a damaged stretch counts as one."""
    offset: int
    """Byte offset of its length field, after decompression."""
    size: int
    """Framed size in bytes: to the next record."""
    data: bytes
    """Its data, also where their CRC is wrong; empty where nothing can be read."""
    damage: str
    """What is wrong with it; empty for an intact record."""


def scan_records(path: Location) -> Iterator[ScannedRecord]:
    """Reads every record of a TFRecord file, plain, gzip or zlib.

    Raises:
      CorruptionError: If the file cannot be read at all.
    """
    try:
        with path.open("rb") as file:
            compression = _compression(file)
            if compression == "gzip":
                with gzip.open(file, "rb") as stream:
                    limited = _Limited(cast(IO[bytes], stream), file)
                    yield from _scan(_Window(cast(IO[bytes], limited)))
            elif compression == "zlib":
                limited = _Limited(cast(IO[bytes], _Zlib(file)), file)
                yield from _scan(_Window(cast(IO[bytes], limited)))
            else:
                yield from _scan(_Window(file))
    except OSError as error:
        raise CorruptionError(
            f"{path} cannot be read: {error.strerror or error}.",
            reason="shard-unreadable",
        ) from error


def compression_of(path: Location) -> str:
    """`none`, `gzip` or `zlib`, by content.

    Raises:
      CorruptionError: If the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _compression(file)
    except OSError as error:
        raise CorruptionError(
            f"{path} cannot be read: {error.strerror or error}.",
            reason="shard-unreadable",
        ) from error


def _compression(file: IO[bytes]) -> str:
    start = file.read(_HEADER_BYTES)
    file.seek(0)
    if _is_header(start):
        return "none"
    if start.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    # RFC 1950: method 8, and the first two bytes are a multiple of 31.
    is_zlib = len(start) > 2 and start[0] & 0x8F == 8
    return "zlib" if is_zlib and int.from_bytes(start[:2]) % 31 == 0 else "none"


def _is_header(data: bytes) -> bool:
    return len(data) == _HEADER_BYTES and int.from_bytes(
        data[8:], "little"
    ) == masked_crc(data[:8])


class _Zlib:
    """A zlib stream, read as a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._inflate = zlib.decompressobj()
        self._left = b""

    def read(self, size: int) -> bytes:
        while len(self._left) < size and not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(_WINDOW)
            if not packed:
                break
            try:
                self._left += self._inflate.decompress(packed, _WINDOW)
            except zlib.error as error:
                raise OSError(str(error)) from error
        data, self._left = self._left[:size], self._left[size:]
        return data


class _Limited:
    """An unpacked stream that ends where it becomes a bomb."""

    def __init__(self, stream: IO[bytes], packed: IO[bytes]) -> None:
        self._stream, self._packed = stream, packed
        self._num_read = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._num_read += len(data)
        if self._num_read > max(_UNPACKED_BYTES, _MOST_TIMES * self._packed.tell()):
            raise OSError(f"it unpacks to more than {_MOST_TIMES} times its size")
        return data


class _Window:
    """The next bytes of a stream, looked at before they are taken."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._bytes = bytearray()
        self.offset = 0
        self._headers: list[int] = []
        self.failure = ""
        """Why the stream ended before its end; empty if it did not."""

    def has(self, size: int) -> bool:
        """Whether so many bytes follow; reads them in steps.

        A hostile length must not allocate what the file does not hold.
        """
        while len(self._bytes) < size and not self.failure:
            try:
                more = self._stream.read(min(_WINDOW, size - len(self._bytes)))
            except (OSError, EOFError, zlib.error) as error:
                self.failure = str(error)
                break
            if not more:
                break
            self._bytes += more
        return len(self._bytes) >= size

    def peek(self, size: int) -> bytes:
        """Up to `size` bytes; fewer at the end only."""
        self.has(size)
        return bytes(memoryview(self._bytes)[:size])

    @property
    def num_read(self) -> int:
        """Bytes that were read and not yet taken."""
        return len(self._bytes)

    def skip(self, size: int) -> None:
        del self._bytes[:size]
        self.offset += size

    def next_header(self) -> int | None:
        """Bytes to the next header in this window; None if there is none.

        A window is searched once, however many headers lie in it.
        """
        if not self._headers or self._headers[-1] < self.offset:
            block = self.peek(_WINDOW)
            self._headers = [self.offset + place for place in _find_headers(block)]
        index = bisect.bisect_left(self._headers, self.offset)
        if index == len(self._headers):
            return None
        return self._headers[index] - self.offset


def _scan(window: _Window) -> Iterator[ScannedRecord]:
    index = 0
    while header := window.peek(_HEADER_BYTES):
        start = window.offset
        data, damage = _read_one(window, header)
        if data is None:  # where the next record begins is not known
            window.skip(1)
            _skip_to_header(window)
        yield ScannedRecord(index, start, window.offset - start, data or b"", damage)
        index += 1
    if window.failure:
        broken = f"the compressed stream is damaged: {window.failure}"
        yield ScannedRecord(index, window.offset, 0, b"", broken)


def _read_one(window: _Window, header: bytes) -> tuple[bytes | None, str]:
    """Takes one record; returns its data, None if it has no known end, and damage."""
    if len(header) < _HEADER_BYTES:
        return None, f"its header is cut off after {len(header)} bytes"
    if not _is_header(header):
        return None, "the CRC of its length is wrong"
    length = int.from_bytes(header[:8], "little")
    if length > _MAX_BYTES:
        return None, f"it claims {length} bytes: a message has at most {_MAX_BYTES}"
    size = _HEADER_BYTES + length + _FOOTER_BYTES
    if not window.has(size):
        left = max(0, window.num_read - _HEADER_BYTES)
        return None, f"expected {length} bytes of data, the file ends after {left}"
    framed = window.peek(size)
    window.skip(size)
    data = framed[_HEADER_BYTES:-_FOOTER_BYTES]
    crc = int.from_bytes(framed[-_FOOTER_BYTES:], "little")
    return data, "" if crc == masked_crc(data) else "the CRC of its data is wrong"


def _skip_to_header(window: _Window) -> None:
    """Moves to the next twelve bytes that are a header, or to the end."""
    while window.has(_HEADER_BYTES):
        found = window.next_header()
        if found is not None:
            window.skip(found)
            return
        window.skip(min(window.num_read, _WINDOW) - _HEADER_BYTES + 1)
    window.skip(window.num_read)


def _find_headers(data: bytes) -> list[int]:
    """Positions where a length is followed by its CRC.

    Chance makes one in 2**32 positions look so.
    """
    block = np.frombuffer(data, np.uint8)
    count = len(block) - _HEADER_BYTES + 1
    # A length below 2**40 has three zero bytes on top: few positions are left.
    zeros = (block[5 : 5 + count] | block[6 : 6 + count] | block[7 : 7 + count]) == 0
    places = np.flatnonzero(zeros)
    tables, base = _crc_tables()
    crc = np.full(len(places), base, np.uint32)
    stored = np.zeros(len(places), np.uint32)
    for byte in range(8):
        crc ^= tables[byte][block[places + byte]]
    for byte in range(4):
        stored |= block[places + 8 + byte].astype(np.uint32) << np.uint32(8 * byte)
    rotated = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    found: list[int] = places[rotated + np.uint32(0xA282EAD8) == stored].tolist()
    return found


@cache
def _crc_tables() -> tuple[NDArray[np.uint32], np.uint32]:
    """CRC-32C of eight bytes as an exclusive or of table entries: it is linear."""
    base = google_crc32c.value(bytes(8))
    table = np.empty((8, 256), np.uint32)
    for byte in range(8):
        for value in range(256):
            data = bytearray(8)
            data[byte] = value
            table[byte, value] = google_crc32c.value(bytes(data)) ^ base
    return table, np.uint32(base)
