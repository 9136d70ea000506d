"""Work on the shards of a dataset, and who does it: this process, or an engine.

Building, verifying and counting each say what is done with one shard. How the shards
are gone through is an argument of theirs: `in_turn`, or `segdata.pipelines.on_beam`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from segdata.progress import display
from segdata.storage.paths import Location


class Shard(Protocol):
    """What is known of a shard before it is worked on."""

    @property
    def name(self) -> str:
        """File name."""

    @property
    def num_records(self) -> int:
        """Records in it."""

    @property
    def num_bytes(self) -> int:
        """How much work it is."""


ShardT = TypeVar("ShardT", bound=Shard)
Result = TypeVar("Result")
OnRecords = Callable[[int], None]
"""Called with the number of records done since the last call."""


@dataclass(frozen=True, kw_only=True)
class ShardWork(Generic[ShardT, Result]):
    """What is done with each shard."""

    do: Callable[[ShardT, OnRecords], Result]
    """Works on one shard, in whatever process: it and its result can be pickled."""
    what: str
    """Verb for the progress, e.g. `building`."""
    out: Location
    """Folder of the dataset, which all processes see."""
    records_per_worker: int
    """To start a worker process costs as much as working on so many records."""


class RunShards(Protocol):
    """Does some work on every shard."""

    def __call__(
        self, work: ShardWork[ShardT, Result], shards: Sequence[ShardT], /
    ) -> Iterable[Result]:
        """Goes through the shards; they are done when the results are used up.

        Returns:
          The result of each shard, in their order.
        """


def in_turn(
    work: ShardWork[ShardT, Result], shards: Sequence[ShardT], /
) -> Iterator[Result]:
    """Works on one shard after the other, in this process."""
    total = sum(shard.num_records for shard in shards)
    with display(total, work.what) as advance:
        for shard in shards:
            yield work.do(shard, advance)
