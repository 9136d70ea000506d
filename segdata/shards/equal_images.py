"""Records whose images are equal to the byte, found by sorting their hashes on disk."""

from __future__ import annotations

from collections.abc import Iterator

from segdata.shards.receipt import ShardReceipt
from segdata.storage.sorting import Sorter


class EqualImages:
    """Takes receipt after receipt, then tells which images are equal.

    A context: it ends with its temporary files.
    """

    def __init__(self) -> None:
        self._rows = Sorter()

    def __enter__(self) -> EqualImages:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.__exit__()

    def add(self, receipt: ShardReceipt) -> None:
        """Adds the records of a shard."""
        for entry in receipt.records:
            row = "\0".join((entry.image_sha256, receipt.split, entry.key))
            self._rows.add(row.encode("utf-8", "surrogatepass"))

    def groups(self) -> Iterator[list[tuple[str, str]]]:
        """Split and key of each record of an image that several have."""
        last, group = b"", list[bytes]()
        for row in self._rows:
            digest, _, place = row.partition(b"\0")
            if digest != last:
                if len(group) > 1:
                    yield [*map(_read, group)]
                last, group = digest, []
            group.append(place)
        if len(group) > 1:
            yield [*map(_read, group)]


def _read(place: bytes) -> tuple[str, str]:
    split, _, key = place.decode("utf-8", "surrogatepass").partition("\0")
    return split, key
