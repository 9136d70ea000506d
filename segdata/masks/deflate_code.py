"""Huffman codes for runs of equal bytes in DEFLATE (RFC 1951).

A run is a literal, the byte, and matches of distance 1, which repeat it. Here are the
codes and the header that tells a decoder of them; `segdata.masks.png` does the rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MAX_MATCH = 258
"""The longest match, in bytes."""
_END_OF_BLOCK = 256
_FIRST_MATCH = 257
# Of the length codes 257 to 285 (3.2.5).
_BASES = (
    *range(3, 11), *range(11, 19, 2), *range(19, 35, 4), *range(35, 67, 8),
    *range(67, 131, 16), *range(131, 258, 32), 258,
)  # fmt: skip
NUM_MATCH_CODES = len(_BASES)
MATCH_CODES = np.searchsorted(_BASES, np.arange(MAX_MATCH + 1), side="right") - 1
"""`[259]` which length code, from 0, a match of each length has; -1 below 3."""
_EXTRA_BITS = (0,) * 8 + tuple(bits for bits in range(1, 6) for _ in range(4)) + (0,)
# The order in which a block tells the lengths of the code for code lengths (3.2.7).
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
# Distances 1 and 2 with one bit each: a complete code, though 2 is never used.
_DISTANCES = (1, 1)


@dataclass(frozen=True)
class RunCode:
    """A code for runs of bytes, from how often its symbols stand in them."""

    literal_weights: tuple[int, ...]
    """`[256]` how often each byte stands as a literal; 0 for bytes that never do."""
    match_weights: tuple[int, ...]
    """`[NUM_MATCH_CODES]` how often each length code follows."""

    @cached_property
    def _lengths(self) -> list[int]:
        return huffman_lengths([*self.literal_weights, 1, *self.match_weights], 15)

    @cached_property
    def _codes(self) -> list[tuple[int, int]]:
        return _canonical(self._lengths)

    @cached_property
    def header(self) -> tuple[int, int]:
        """Bits, and their number, that open the only block of a stream."""
        return _block_header(self._lengths)

    @cached_property
    def end(self) -> tuple[int, int]:
        """Bits, and their number, that end it."""
        return self._codes[_END_OF_BLOCK]

    @cached_property
    def longest_match(self) -> tuple[int, int]:
        """Bits, and their number, of a match of `MAX_MATCH` bytes at distance 1."""
        code, length = self._codes[-1]
        return code, length + 1  # distance 1 is a 0

    @cached_property
    def literals(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Bits and their number for each byte."""
        return _columns(self._codes[:_END_OF_BLOCK])

    @cached_property
    def matches(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Bits and their number for a match of each length up to 257, at distance 1.

        A row of zeros for lengths 0 to 2, which no match has.
        """
        table = [(0, 0)] * MAX_MATCH
        for number, (base, extra) in enumerate(zip(_BASES, _EXTRA_BITS, strict=True)):
            code, length = self._codes[_FIRST_MATCH + number]
            for more in range(1 << extra):
                if base + more < MAX_MATCH:
                    bits = code | more << length
                    table[base + more] = (bits, length + extra + 1)
        return _columns(table)


def huffman_lengths(weights: Sequence[int], longest: int) -> list[int]:
    """Code lengths by Huffman's algorithm.

    Args:
      weights: How often each symbol stands; at least two do.
      longest: Most bits that a code may have. Where it would have more, the weights
        are flattened until it has not: the best of all codes it is then no more.

    Returns:
      Bits of each symbol's code; 0 for those of weight 0.
    """
    lengths = _unlimited_lengths(weights)
    while max(lengths) > longest:
        weights = [(weight + 1) // 2 for weight in weights]
        lengths = _unlimited_lengths(weights)
    return lengths


def _unlimited_lengths(weights: Sequence[int]) -> list[int]:
    heap: list[tuple[int, int, tuple[int, ...]]] = [
        (weight, symbol, (symbol,)) for symbol, weight in enumerate(weights) if weight
    ]
    heapq.heapify(heap)
    lengths = [0] * len(weights)
    while len(heap) > 1:
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        members = one[2] + other[2]
        for symbol in members:
            lengths[symbol] += 1
        heapq.heappush(heap, (one[0] + other[0], min(one[1], other[1]), members))
    return lengths


def _canonical(lengths: list[int]) -> list[tuple[int, int]]:
    """Codes (3.2.2), first bit lowest, and their lengths."""
    codes = [(0, 0)] * len(lengths)
    code, previous = 0, 0
    for length, symbol in sorted((n, s) for s, n in enumerate(lengths) if n):
        code <<= length - previous
        codes[symbol] = (int(f"{code:0{length}b}"[::-1], 2), length)
        code, previous = code + 1, length
    return codes


def _block_header(lengths: list[int]) -> tuple[int, int]:
    """A last block with codes of its own (3.2.7): `BFINAL` to the code lengths."""
    told = _run_lengths([*lengths, *_DISTANCES])
    weights = [0] * len(_ORDER)
    for symbol, _, _ in told:
        weights[symbol] += 1
    code_lengths = huffman_lengths(weights, 7)
    last = max(place for place, s in enumerate(_ORDER) if code_lengths[s])
    fields = [(1, 1), (2, 2), (len(lengths) - 257, 5), (len(_DISTANCES) - 1, 5)]
    fields += [(last + 1 - 4, 4)]
    fields += [(code_lengths[symbol], 3) for symbol in _ORDER[: last + 1]]
    codes = _canonical(code_lengths)
    for symbol, more, num_bits in told:
        fields += [codes[symbol], (more, num_bits)]
    bits = size = 0
    for value, num_bits in fields:
        bits |= value << size
        size += num_bits
    return bits, size


def _run_lengths(lengths: list[int]) -> list[tuple[int, int, int]]:
    """Code lengths as symbols, each with its extra bits and their number."""
    told: list[tuple[int, int, int]] = []
    place = 0
    while place < len(lengths):
        value = lengths[place]
        run = 1
        while place + run < len(lengths) and lengths[place + run] == value:
            run += 1
        place += run
        if value:
            told.append((value, 0, 0))
            run -= 1
        while run >= 3:
            symbol, fewest, most, num_bits = (
                (16, 3, 6, 2)
                if value
                else (17, 3, 10, 3)
                if run < 11
                else (18, 11, 138, 7)
            )
            taken = min(run, most)
            told.append((symbol, taken - fewest, num_bits))
            run -= taken
        told += [(value, 0, 0)] * run
    return told


def _columns(
    codes: list[tuple[int, int]],
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    bits, lengths = zip(*codes, strict=True)
    return np.array(bits, np.uint64), np.array(lengths, np.int64)
