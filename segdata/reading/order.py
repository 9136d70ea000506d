"""The order of records: a pure function of the seed, the epoch and the position.

Position `p` of an epoch is record `Order.record(epoch, p)`, whatever the hosts. There
is no table: memory is constant, and any position can be asked for first.

A shuffled order permutes *runs* of neighbouring records, so that a host reads a few
records at one place. Each epoch cuts the runs elsewhere. `run_length=1` is a true
shuffle of all records.

**The arithmetic uses operators only**, on whole numbers that stay below 2**63: the same
functions take Python's numbers, NumPy's int64 arrays and TensorFlow's int64 tensors, so
that all readers agree to the bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Number = Any
"""A whole number, or an int64 array or tensor of them; below 2**31 where not told."""

Fold = Callable[[Callable[[Number, Number], Number], Any, Number], Number]
"""Applies a function to a start and each of many numbers, one after the other."""

_MASK = 0xFFFFFFFF
_ROUNDS = 24
MAX_RECORDS = 1 << 31
"""Records that a split may have, so that products stay below 2**63."""


def mix(number: Number) -> Number:
    """Hashes numbers of 32 bits to numbers of 32 bits, one to one.

    The multipliers are those of https://github.com/skeeto/hash-prospector.
    """
    number = (number ^ number // (1 << 16)) * 0x21F0AAAD & _MASK
    number = (number ^ number // (1 << 15)) * 0x735A2D97 & _MASK
    return number ^ number // (1 << 15)


def seed_keys(seed: int, count: int, purpose: int = 0) -> tuple[int, ...]:
    """Independent numbers of 32 bits that a seed of 64 bits gives for a purpose."""
    base = mix(mix(mix(purpose) ^ seed & _MASK) ^ (seed >> 32) & _MASK)
    return tuple(mix(base ^ mix(number + 1)) for number in range(count))


def draw_uniform(keys: Any, epoch: Number, record: Number) -> Number:
    """Random numbers of a record in an epoch: whole, of 32 bits, one for each key."""
    return mix(mix(mix(keys) ^ epoch) ^ record)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The order of the records of a split in each epoch."""

    num_records: int
    """Records of the split."""
    shuffle: bool = False
    """Shuffle, differently in each epoch; else the order of the files."""
    seed: int = 0
    """Seed of the shuffle."""
    run_length: int = 4
    """Neighbouring records that stay together in a shuffle; 1: a true shuffle."""
    _keys: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_keys", seed_keys(self.seed, _ROUNDS + 1))

    def record(
        self, epoch: Number, position: Number, fold: Fold = functools.reduce
    ) -> Number:
        """The record at a position of an epoch.

        Args:
          epoch: Number of the epoch, from 0.
          position: From 0 to `num_records - 1`.
          fold: Does the rounds: `tf.foldl` keeps a graph small.
        """
        if not self.shuffle or self.num_records < 2:
            return position
        length = min(self.run_length, self.num_records)
        num_runs = self.num_records // length
        run, inside = position // length, position % length
        # What is left when runs are cut off comes last; the turn makes it another part
        # of the split in each epoch.
        is_rest = run // num_runs
        swap = functools.partial(_swap_or_not, epoch=epoch, count=num_runs)
        run = fold(swap, self._keys[1:], run % num_runs) * (1 - is_rest)
        turn = mix(epoch ^ self._keys[0]) * self.num_records // (1 << 32)
        return ((run + is_rest * num_runs) * length + inside + turn) % self.num_records


def _swap_or_not(place: Number, key: Number, *, epoch: Number, count: int) -> Number:
    """One round of a permutation of `count` places, the swap-or-not shuffle.

    Places whose sum is the round's number make a pair, which is swapped or not by a
    random bit (https://doi.org/10.1007/978-3-642-32009-5_1). It permutes any number of
    places, without a loop that must wait for the last one.
    """
    key = mix(epoch ^ key)
    partner = (key * count // (1 << 32) + (count - place)) % count
    larger = (place + partner + abs(place - partner)) // 2
    return place + (mix(larger ^ key) & 1) * (partner - place)
