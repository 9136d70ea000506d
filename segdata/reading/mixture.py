"""Several sources as one, in fixed shares: a pure function of the position."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import overload

from segdata.errors import OptionError
from segdata.reading.order import Order
from segdata.reading.samples import SampleSource
from segdata.reading.slots import Arrays

_BLOCK = 1000  # samples in which shares are exact


class MixedSource(Sequence[Arrays]):
    """Samples of several sources without end; made by `segdata.mix`.

    Which source a position of the job has depends on the seed alone, and each source
    goes on in its own order: a run resumes at any step with any number of hosts.
    """

    def __init__(
        self, sources: Mapping[str, SampleSource], shares: Mapping[str, int], seed: int
    ) -> None:
        """Made by `mix`, which checks what it is given."""
        self._sources, self._shares = dict(sources), dict(shares)
        self._sampler = next(iter(self._sources.values())).sampler
        self._order = Order(num_records=_BLOCK, shuffle=True, seed=seed, run_length=1)

    def __len__(self) -> int:
        return len(self._sampler)

    def __repr__(self) -> str:
        return f"MixedSource({self._sources}, {self._shares}, {self._order.seed})"

    def place(self, index: int) -> tuple[str, int]:
        """The source of a sample, and which one of all that the job takes of it.

        Raises:
          IndexError: If there is no such sample.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        block, within = divmod(int(self._sampler.position(index)), _BLOCK)
        drawn = self._order.record(block, within)
        ends = itertools.accumulate(self._shares.values())
        for (name, share), end in zip(self._shares.items(), ends, strict=True):
            if drawn < end:
                return name, block * share + drawn - (end - share)
        raise AssertionError("shares do not fill the block")

    @overload
    def __getitem__(self, index: int) -> Arrays: ...
    @overload
    def __getitem__(self, index: slice) -> list[Arrays]: ...
    def __getitem__(self, index: int | slice) -> Arrays | list[Arrays]:
        """Reads and decodes samples by position; raises what its sources raise."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        name, position = self.place(index)
        source = self._sources[name]
        return source.sample(*source.sampler.at(position))


def mix(
    sources: Mapping[str, SampleSource],
    weights: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
) -> MixedSource:
    """Mixes samples of several datasets of the same classes.

    Args:
      sources: Name -> a source with `repeat=True`. All of the same batch size, host and
        start, which are those of the mixture.
      weights: Name -> its share of all samples, to a thousandth; None: equal shares.
      seed: Seed of the mixture.

    Returns:
      A sequence of samples. Every 1000 of the job, from the first on, have the exact
      shares, in random order.

    Raises:
      OptionError: If sources do not fit each other, or weights do not fit them.
    """
    weights = dict.fromkeys(sources, 1.0) if weights is None else dict(weights)
    if not sources or weights.keys() != sources.keys():
        raise OptionError(
            f"weights are of {', '.join(weights) or 'nothing'}: expected one for each "
            f"of {', '.join(sources) or 'at least one source'}."
        )
    if min(weights.values()) <= 0:
        raise OptionError(f"weights are {weights}: expected numbers above 0.")
    first, *others = sources.items()
    for name, source in others:
        _check_fit(first, (name, source))
    if first[1].sampler.num_epochs is not None:
        raise OptionError(f"source {first[0]!r} ends: expected repeat=True.")
    return MixedSource(sources, _shares({n: weights[n] for n in sources}), seed)


def _check_fit(one: tuple[str, SampleSource], other: tuple[str, SampleSource]) -> None:
    names = ("batch_size", "num_shards", "shard_index", "start_sample", "num_epochs")
    for name in names:
        values = [getattr(source.sampler, name) for _, source in (one, other)]
        if values[0] != values[1]:
            raise OptionError(
                f"{name} is {values[0]} of source {one[0]!r} and {values[1]} of "
                f"{other[0]!r}: expected the same of all."
            )
    if one[1].classes != other[1].classes:
        raise OptionError(
            f"sources {one[0]!r} and {other[0]!r} have different classes: build them "
            "with one class file, or --map."
        )


def _shares(weights: Mapping[str, float]) -> dict[str, int]:
    """Samples of each source in a block, at least 1."""
    total, taken, done = sum(weights.values()), 0, 0.0
    shares = {}
    for name, weight in weights.items():
        done += weight
        end = round(_BLOCK * done / total)
        shares[name], taken = end - taken, end
    if min(shares.values()) < 1:
        raise OptionError(f"weights are {dict(weights)}: expected 0.1 % at least.")
    return shares
