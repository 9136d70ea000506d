"""Stable identity: which shard, which split and which number a record has.

All of it is a pure function of the record's key and the seed. Python's own `hash` is
salted per process and would not do.
"""

from __future__ import annotations

import hashlib
import mmap

MAX_IMAGE_ID = 1 << 24
"""Largest image number that survives a passage through float32."""


def key_hash(key: str, seed: int, purpose: str) -> int:
    """64-bit hash of a key, independent for each purpose (`shard`, `split` ...)."""
    digest = hashlib.blake2b(
        key.encode("utf-8", "surrogateescape"),
        digest_size=8,
        salt=(seed % 2**64).to_bytes(8, "little"),
        person=purpose.encode("ascii"),
    ).digest()
    return int.from_bytes(digest, "big")


def shard_index(hashed: int, num_shards: int) -> int:
    """The shard of a 64-bit hash: the hash's place on the line, not its remainder.

    So records sorted by hash stay sorted across shards, whatever their number.
    """
    return (hashed * num_shards) >> 64


def image_id(key: str) -> int:
    """A number in `[0, 2**24)` for a record that has none.

    Not unique: see `ImageNumbers`.
    """
    return key_hash(key, 0, "image-id") % MAX_IMAGE_ID


class ImageNumbers:
    """Gives every key a number of its own, in `[0, 2**24)` for up to 2**23 keys.

    More keys get a space twice their number at least, a power of two. Keys come in
    sorted order: each takes the number of its hash, or the next free one. A new key
    changes another's number only where the two meet.

    Args:
      count: Number of keys.
    """

    def __init__(self, count: int) -> None:
        self._space = MAX_IMAGE_ID
        while self._space < 2 * count:
            self._space *= 2
        self._taken = mmap.mmap(-1, self._space)  # memory is taken page by page

    def take(self, key: str) -> int:
        """The number of the next key."""
        hashed = key_hash(key, 0, "image-id") % self._space
        number = self._taken.find(b"\0", hashed)
        if number < 0:
            number = self._taken.find(b"\0", 0)
        self._taken[number] = 1
        return number
