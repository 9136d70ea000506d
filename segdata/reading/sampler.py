"""Which records a host reads, and when: batches of the whole job, shared among hosts.

Batch `k` of a job is the positions `[k B, (k + 1) B)` of the order, counted on over all
epochs; host `h` of `n` reads its `n`th part of each batch. So a run may go on with
another number of hosts after any batch: nothing is lost, doubled or moved.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict, overload

from segdata.errors import OptionError
from segdata.reading.options import (
    Remainder,
    check_choice,
    check_range,
)
from segdata.reading.order import MAX_RECORDS, Number, Order

NO_RECORD = -1
"""Stands for a record where a last batch is filled up."""


class SamplerState(TypedDict):
    """Where a run stands, whatever its hosts; plain numbers, to be kept as JSON."""

    start_sample: int
    """Samples that the whole job has read, over all epochs."""
    num_records: int
    shuffle: bool
    seed: int
    run_length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampler(Sequence[int]):
    """The records of a job, or of one host of it, in order.

    A sequence of the numbers of records, and a batch sampler of PyTorch's: `batches`
    gives lists. It holds no records and no table.
    """

    num_records: int
    """Records of the split."""
    batch_size: int
    """Records of each batch of the whole job."""
    shuffle: bool = False
    """Shuffle records, differently in each epoch."""
    seed: int = 0
    """Seed of the shuffle."""
    run_length: int = 4
    """Neighbouring records that stay together in a shuffle; 1: a true shuffle."""
    num_epochs: int | None = 1
    """Epochs, one after the other, which share batches; None: without end."""
    remainder: Remainder = "pad"
    """What becomes of a last batch that is not full: `pad` it with -1, `drop` it, or
    `keep` it short, which may give hosts different numbers of records."""
    num_shards: int = 1
    """Number of hosts that share each batch."""
    shard_index: int = 0
    """This host's place among them, from 0."""
    start_sample: int = 0
    """Samples that the whole job has read before, over all epochs."""

    def __post_init__(self) -> None:
        check_range("num_records", self.num_records, 0, MAX_RECORDS - 1)
        check_range("batch_size", self.batch_size, 1)
        check_range("seed", self.seed, -(2**63), 2**63 - 1)
        check_range("run_length", self.run_length, 1)
        check_range("start_sample", self.start_sample, 0)
        check_choice("remainder", self.remainder, ("pad", "drop", "keep"))
        if self.num_epochs is not None:
            check_range("num_epochs", self.num_epochs, 1)
        if not 0 <= self.shard_index < self.num_shards:
            raise OptionError(
                f"shard_index is {self.shard_index} of num_shards {self.num_shards}: "
                "expected 0 to num_shards - 1."
            )
        if self.batch_size % self.num_shards:
            raise OptionError(
                f"{self.num_shards} hosts cannot share batches of {self.batch_size}: "
                "expected a number of hosts that divides the batch."
            )

    @property
    def order(self) -> Order:
        """The order of all epochs."""
        return Order(
            num_records=self.num_records,
            shuffle=self.shuffle,
            seed=self.seed,
            run_length=self.run_length,
        )

    @property
    def host_batch_size(self) -> int:
        """Records of each batch that this host reads."""
        return self.batch_size // self.num_shards

    @property
    def num_batches(self) -> int:
        """Batches of the whole job from the start on, short ones too if they are kept.

        Without end it is as large as a length can be.
        """
        if not self.num_records:
            return 0
        if self.num_epochs is None:
            return sys.maxsize // self.batch_size
        left = max(0, self.num_epochs * self.num_records - self.start_sample)
        short = left % self.batch_size > 0 and self.remainder != "drop"
        return left // self.batch_size + short

    @property
    def num_real(self) -> int:
        """Records of this host from the start on, without those that fill up."""
        if self.num_epochs is None or not self.num_records:
            return len(self)
        left = max(0, self.num_epochs * self.num_records - self.start_sample)
        full, rest = divmod(left, self.batch_size)
        size = self.host_batch_size
        rest = min(size, max(0, rest - self.shard_index * size))
        return full * size + (rest if self.remainder != "drop" else 0)

    def __len__(self) -> int:
        if self.remainder == "keep" and self.num_epochs is not None:
            return self.num_real
        return self.num_batches * self.host_batch_size

    def position(self, index: Number) -> Number:
        """Position, over all epochs, of this host's samples: of each number its own."""
        batch, within = index // self.host_batch_size, index % self.host_batch_size
        own = self.shard_index * self.host_batch_size + self.start_sample
        return batch * self.batch_size + within + own

    def place(self, index: int) -> tuple[int, int]:
        """Epoch and record of a sample of this host; record -1 where it is none.

        Raises:
          IndexError: If there is no such sample.
        """
        found = index + len(self) if index < 0 else index
        if not 0 <= found < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.at(self.position(found))

    def at(self, position: int) -> tuple[int, int]:
        """Epoch and record of a position of the job; record -1 behind the end."""
        epoch, within = divmod(position, self.num_records)
        if self.num_epochs is not None and epoch >= self.num_epochs:
            return self.num_epochs - 1, NO_RECORD
        return epoch, self.order.record(epoch, within)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        """Number of the record of a sample of this host; -1 where it is none."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.place(index)[1]

    def batches(self) -> Iterator[list[int]]:
        """The numbers of this host's samples, in lists: one for each batch.

        As `batch_sampler` of a PyTorch `DataLoader` whose dataset is a `SampleSource`.
        """
        for first in range(0, len(self), self.host_batch_size):
            yield [*range(first, min(first + self.host_batch_size, len(self)))]

    def for_host(self, shard_index: int, num_shards: int) -> Sampler:
        """The same job as one of its hosts reads it.

        Raises:
          OptionError: If so many hosts cannot share a batch.
        """
        return dataclasses.replace(self, num_shards=num_shards, shard_index=shard_index)

    def state(self, num_batches: int) -> SamplerState:
        """Where the job stands after so many batches; the same for all hosts."""
        return SamplerState(
            start_sample=self.start_sample + num_batches * self.batch_size,
            num_records=self.num_records,
            shuffle=self.shuffle,
            seed=self.seed,
            run_length=self.run_length,
        )

    def resume(self, state: SamplerState) -> Sampler:
        """The same job from a state on.

        Raises:
          OptionError: If the state is of another order.
        """
        for name, value in state.items():
            if name != "start_sample" and getattr(self, name) != value:
                raise OptionError(
                    f"the state was taken with {name} {value}: expected "
                    f"{getattr(self, name)}, or the rest of the epoch would be another."
                )
        return dataclasses.replace(self, start_sample=state["start_sample"])


def host_sampler(
    num_records: int,
    *,
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    repeat: bool = False,
    remainder: Remainder = "pad",
    run_length: int = 4,
    num_shards: int = 1,
    shard_index: int = 0,
    start_step: int = 0,
    start_sample: int = 0,
) -> Sampler:
    """The sampler of a reader's `OrderOptions`, which tell what they mean.

    Raises:
      OptionError: If an option is bad.
    """
    check_range("batch_size", batch_size, 1)
    check_range("start_step", start_step, 0)
    if start_step and start_sample:
        raise OptionError(
            f"start_step is {start_step} and start_sample {start_sample}: expected one "
            "of them."
        )
    whole = batch_size * num_shards
    return Sampler(
        num_records=num_records,
        batch_size=whole,
        shuffle=shuffle,
        seed=seed,
        run_length=run_length,
        num_epochs=None if repeat else 1,
        remainder=remainder,
        num_shards=num_shards,
        shard_index=shard_index,
        start_sample=start_sample or start_step * whole,
    )
