"""What the receipts of all shards say together.

They are taken one by one, so that memory does not grow with their number.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict

import orjson

from segdata.building.options import BuildOptions
from segdata.errors import BuildError
from segdata.shards.equal_images import EqualImages
from segdata.shards.manifest import REJECTS_NAME
from segdata.shards.receipt import Reject, ShardReceipt
from segdata.storage.paths import Location
from segdata.storage.sorting import Sorter

_STAGES = {"encode": "records", "object": "objects"}
_MAX_MEMORY = 1 << 20


class Gathered(ExitStack):
    """Takes receipt after receipt. A context: it ends with its temporary files."""

    def __init__(self) -> None:
        super().__init__()
        self._sources = self.enter_context(Sorter())
        self._images = self.enter_context(EqualImages())
        self._rejects = self.enter_context(
            tempfile.SpooledTemporaryFile(max_size=_MAX_MEMORY)  # noqa: SIM115
        )
        self._totals = Counter[str]()
        self._lost = Counter[str]()
        self._first: dict[str, Reject] = {}  # of what was lost, and of each split
        self._num_records = Counter[str]()

    def add_unplaced(self, rejects: Iterable[Reject], what: str) -> None:
        """Adds annotations that belong to no record, before any receipt.

        Args:
          rejects: One for each.
          what: What they stand for: `records` or `objects`.
        """
        for reject in rejects:
            self._totals[what] += what == "records"
            self._add_lost(reject, what)

    def watched(self, receipts: Iterable[ShardReceipt]) -> Iterator[ShardReceipt]:
        """The same receipts, each added as it passes."""
        for receipt in receipts:
            self._add(receipt)
            yield receipt

    def source_sha256(self) -> str:
        """Hash of what all records were made from, whatever their shards."""
        digest = hashlib.sha256()
        for row in self._sources:
            key, source = row.decode("utf-8", "surrogatepass").rsplit("\0", 1)
            digest.update(orjson.dumps([key, source]))
        return digest.hexdigest()

    def leakage(self) -> list[list[str]]:
        """Groups of `split/key` with the same image bytes in more than one split."""
        return sorted(
            sorted(f"{split}/{key}" for split, key in group)
            for group in self._images.groups()
            if len({split for split, _ in group}) > 1
        )

    def check(self, options: BuildOptions) -> None:
        """Ends a build of which too much was left out.

        Raises:
          BuildError: If a split came out empty, or too many records or objects were
            rejected.
        """
        for what in _STAGES.values():
            count, total = self._lost[what], self._totals[what]
            if what == "objects":
                total += count
            if count and count / total > options.max_reject_share:
                raise BuildError(
                    f"{count} of {total} {what} were rejected ({count / total:.1%}): "
                    f"at most {options.max_reject_share:.1%} may be (--max-rejects). "
                    f"The first reason: {self._first[what].message}",
                    reason="too-many-rejects",
                )
        for split, count in self._num_records.items():
            if not count:
                raise BuildError(
                    f"split {split!r} came out empty: all its records were rejected. "
                    f"The first reason: {self._first[f'split {split}'].message}",
                    reason="empty-split",
                )

    def write_rejects(self, out: Location) -> None:
        """Writes `rejects.jsonl`, or removes it where nothing was rejected."""
        if not self._rejects.tell():
            (out / REJECTS_NAME).unlink(missing_ok=True)
            return
        self._rejects.seek(0)
        with (out / REJECTS_NAME).atomic_file() as file:
            while part := self._rejects.read(_MAX_MEMORY):
                file.write(part)

    def _add(self, receipt: ShardReceipt) -> None:
        for key, source in receipt.sources().items():
            self._sources.add(f"{key}\0{source}".encode("utf-8", "surrogatepass"))
        self._images.add(receipt)
        self._num_records[receipt.split] += len(receipt.records)
        self._totals["records"] += len(receipt.records) + len(receipt.lost("encode"))
        self._totals["objects"] += receipt.counts.class_objects.total()
        for reject in receipt.rejects:
            self._first.setdefault(f"split {receipt.split}", reject)
            self._add_lost(reject, _STAGES.get(reject.stage, ""))

    def _add_lost(self, reject: Reject, what: str) -> None:
        self._lost[what] += 1
        self._first.setdefault(what, reject)
        named = asdict(reject)
        del named["source_sha256"]  # tells an update, not a person
        self._rejects.write(orjson.dumps(named, option=orjson.OPT_APPEND_NEWLINE))
