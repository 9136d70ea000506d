"""Stable identity: which shard, which split and which number a record has.

All of it is a pure function of the record's key and the seed. Python's own `hash` is
salted per process and would not do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

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

    Not unique: see `unique_image_ids`.
    """
    return key_hash(key, 0, "image-id") % MAX_IMAGE_ID


def unique_image_ids(keys: Sequence[str]) -> dict[str, int]:
    """Gives every key a number of its own, in `[0, 2**24)` while there are that many.

    Keys in sorted order take the number of their hash, or the next free one. A new key
    changes another's number only where the two meet.
    """
    space = MAX_IMAGE_ID
    while space < 2 * len(keys):
        space *= 2
    taken: set[int] = set()
    result: dict[str, int] = {}
    for key in sorted(keys):
        number = key_hash(key, 0, "image-id") % space
        while number in taken:
            number = (number + 1) % space
        taken.add(number)
        result[key] = number
    return result
