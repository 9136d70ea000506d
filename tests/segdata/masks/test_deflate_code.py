from __future__ import annotations

import zlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdata.masks.deflate_code import (
    MATCH_CODES,
    MAX_MATCH,
    NUM_MATCH_CODES,
    RunCode,
    huffman_lengths,
)


def kraft_sum(lengths: list[int]) -> Fraction:
    return sum((Fraction(1, 2**n) for n in lengths if n), Fraction(0))


@given(
    st.lists(st.integers(0, 10**6), min_size=2, max_size=286).filter(
        lambda weights: sum(map(bool, weights)) >= 2
    ),
    st.integers(9, 15),
)
def test_code_is_complete_and_no_longer_than_asked_for(
    weights: list[int], longest: int
) -> None:
    lengths = huffman_lengths(weights, longest)
    assert kraft_sum(lengths) == 1
    assert max(lengths) <= longest
    assert [bool(n) for n in lengths] == [bool(w) for w in weights]


def test_known_weights_give_huffmans_lengths() -> None:
    assert huffman_lengths([5, 0, 9, 12, 13, 16, 45], 15) == [4, 0, 4, 3, 3, 3, 1]


def test_weights_that_would_need_longer_codes_are_flattened() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 30:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    assert max(huffman_lengths(fibonacci, 99)) == 29
    lengths = huffman_lengths(fibonacci, 15)
    assert max(lengths) == 15
    assert kraft_sum(lengths) == 1


def test_every_match_length_has_its_code() -> None:
    assert MATCH_CODES[[0, 2, 3, 10, 11, 12, 13, 257, 258]].tolist() == [
        *(-1, -1, 0, 7, 8, 8, 9, 27, 28)
    ]
    assert (np.diff(MATCH_CODES) >= 0).all()


def decode(code: RunCode, first: int, lengths: list[int]) -> bytes:
    """What zlib makes of one literal and matches of these lengths."""
    literals, literal_bits = code.literals
    matches, match_bits = code.matches
    bits, size = code.header
    tokens = [(int(literals[first]), int(literal_bits[first]))]
    tokens += [
        code.longest_match
        if length == MAX_MATCH
        else (int(matches[length]), int(match_bits[length]))
        for length in lengths
    ]
    for value, num_bits in [*tokens, code.end]:
        bits |= value << size
        size += num_bits
    stream = bits.to_bytes(-(-size // 8), "little")
    return zlib.decompress(stream, wbits=-15)


@pytest.mark.parametrize(
    "code",
    [
        RunCode(literal_weights=(1,) * 256, match_weights=(1,) * NUM_MATCH_CODES),
        RunCode(literal_weights=(9, 1) * 128, match_weights=(900,) * NUM_MATCH_CODES),
        RunCode(
            literal_weights=(1, *(0,) * 254, 1),
            match_weights=(*(1,) * (NUM_MATCH_CODES - 1), 10**6),
        ),
    ],
)
def test_every_match_length_decodes_to_so_many_bytes(code: RunCode) -> None:
    lengths = list(range(3, MAX_MATCH + 1))
    assert decode(code, 255, lengths) == b"\xff" * (1 + sum(lengths))


def test_code_of_one_literal_and_no_match_is_a_code() -> None:
    weights = (0, 0, 7, *(0,) * 253)
    code = RunCode(literal_weights=weights, match_weights=(0,) * NUM_MATCH_CODES)
    assert decode(code, 2, []) == b"\x02"
