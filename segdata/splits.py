"""Splits: which of the source's to build, or new ones drawn by a stable hash."""

from __future__ import annotations

import re
from dataclasses import dataclass

from segdata import identity
from segdata.errors import OptionError

DEFAULT_SPLIT = "train"
"""Split of records that the source puts in none."""

_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitChoice:
    """What `--split` asks for.

    `train,val` keeps those of the source's splits. `train=0.8,val=0.2` draws new ones,
    by a hash of the record's key, whatever split the source puts it in.
    """

    names: tuple[str, ...] = ()
    """Splits to keep or to draw; empty keeps all of the source's."""
    shares: tuple[float, ...] = ()
    """Share of each drawn split, above 0, summing to 1; empty: keep the source's."""

    @classmethod
    def parse(cls, text: str) -> SplitChoice:
        """Reads the value of `--split`.

        Raises:
          OptionError: If it is neither names nor shares that sum to 1.
        """
        parts = [part.strip() for part in text.split(",")]
        names = tuple(part.partition("=")[0].strip() for part in parts)
        for name in names:
            if not _NAME.fullmatch(name):
                raise OptionError(
                    f"split name {name!r} in {text!r} is not usable: expected letters, "
                    "digits and underscores, as in 'train=0.8,val=0.2'."
                )
        if len(set(names)) != len(names):
            raise OptionError(f"a split stands twice in {text!r}.")
        if "=" not in text:
            return cls(names=names)
        return cls(names=names, shares=_shares(parts, text))

    def assign(self, key: str, source_split: str | None, seed: int) -> str | None:
        """The split of one record, or None if it is not asked for.

        Args:
          key: The record's key.
          source_split: Split that the source puts it in; None where it has none.
          seed: Seed of the build.
        """
        if self.shares:
            return self._draw(key, seed)
        split = source_split or DEFAULT_SPLIT
        return split if not self.names or split in self.names else None

    def _draw(self, key: str, seed: int) -> str:
        point = identity.key_hash(key, seed, "split") / 2**64
        bound = 0.0
        for name, share in zip(self.names, self.shares, strict=True):
            bound += share
            if point < bound:
                return name
        return self.names[-1]


def _shares(parts: list[str], text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(part.partition("=")[2]) for part in parts)
    except ValueError:
        shares = ()
    if (
        not shares
        or not all(share > 0 for share in shares)
        or abs(sum(shares) - 1) > 1e-6
    ):
        raise OptionError(
            f"shares in {text!r} do not add up: expected numbers above 0 for every "
            "split with sum 1, as in 'train=0.8,val=0.2'."
        )
    return shares
