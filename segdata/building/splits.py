"""Splits: which of the source's to build, or new ones drawn by a stable hash."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from segdata import identity
from segdata.errors import OptionError
from segdata.split_names import DEFAULT_SPLIT

_NAME = re.compile(r"[A-Za-z0-9_]+")
_TINY = 1e-6  # what shares such as 0.1 may differ from their sum


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitChoice:
    """What `--split` asks for.

    `train,val` keeps those of the source's splits. `train=0.8,val=0.2` draws new ones,
    by a hash of the record's key, whatever split the source puts it in.
    `trainval,val=trainval:0.1,test` keeps `trainval` and `test` but carves a tenth of
    the first out as `val`; `train=trainval:0.9,val=trainval:0.1` parts it wholly.
    """

    names: tuple[str, ...] = ()
    """Splits to keep, to draw or to carve; empty keeps all of the source's."""
    shares: tuple[float, ...] = ()
    """Share of each split, above 0: of all records, summing to 1, or of its split of
    the source where `sources` says so; empty: keep the source's."""
    sources: tuple[str, ...] = ()
    """Split of the source that each is a share of; empty where none is carved."""

    @classmethod
    def parse(cls, text: str) -> SplitChoice:
        """Reads the value of `--split`.

        Raises:
          OptionError: If it is neither names, nor shares that sum to 1, nor shares of
            splits that sum to 1 for each of them.
        """
        parts = [part.strip() for part in text.split(",")]
        names = tuple(part.partition("=")[0].strip() for part in parts)
        for name in names:
            _check_name(name, text)
        if len(set(names)) != len(names):
            raise OptionError(f"--split names a split twice: {text!r}.")
        if "=" not in text:
            return cls(names=names)
        if ":" in text:
            return _carved(names, parts, text)
        return cls(names=names, shares=_shares(parts, text))

    def __str__(self) -> str:
        """As `--split` takes it; empty where all of the source's are built."""
        sources = [f"{source}:" for source in self.sources] or [""] * len(self.shares)
        parts = zip(self.names, sources, self.shares, strict=False)
        drawn = [f"{name}={source}{share:g}" for name, source, share in parts]
        return ",".join(drawn or self.names)

    def assign(self, key: str, source_split: str | None, seed: int) -> str | None:
        """The split of one record, or None if it is not asked for.

        Args:
          key: The record's key.
          source_split: Split that the source puts it in; None where it has none.
          seed: Seed of the build.
        """
        split = source_split or DEFAULT_SPLIT
        if self.sources:
            return self._draw(key, seed, split)
        if self.shares:
            return self._draw(key, seed)
        return split if not self.names or split in self.names else None

    def _draw(self, key: str, seed: int, split: str | None = None) -> str | None:
        """Draws among all names, or among those that are shares of one split."""
        point = identity.key_hash(key, seed, "split") / 2**64
        bound, last = 0.0, None
        for index, (name, share) in enumerate(
            zip(self.names, self.shares, strict=True)
        ):
            if split is None or self.sources[index] == split:
                bound, last = bound + share, name
                if point < bound:
                    return name
        return last  # the sum of the shares may be a little less than 1


def _check_name(name: str, text: str) -> None:
    if not _NAME.fullmatch(name):
        raise OptionError(
            f"split name {name!r} in {text!r} is not usable: expected letters, "
            "digits and underscores, as in 'train=0.8,val=0.2'."
        )


def _carved(names: tuple[str, ...], parts: list[str], text: str) -> SplitChoice:
    """Reads `trainval,val=trainval:0.1,test`: a plain name keeps what the others leave.

    What is kept comes last, so that a larger share only takes records away from it.
    """
    kept: list[str] = []
    carved: list[tuple[str, str, float]] = []
    left: dict[str, float] = {}
    for name, part in zip(names, parts, strict=True):
        _, equals, value = part.partition("=")
        source, _, share = value.partition(":")
        if not equals:
            kept.append(name)
            continue
        source = source.strip()
        _check_name(source, text)
        number = _share(share)
        if number is None:
            raise OptionError(
                f"the share of {name!r} in {text!r} is {share.strip()!r}: expected "
                "the split it is of and a number above 0, as in 'val=trainval:0.1'."
            )
        left[source] = left.get(source, 1.0) - number
        carved.append((name, source, number))
    for source, rest in left.items():
        if source in kept and rest < _TINY:
            raise OptionError(
                f"nothing is left for {source!r} in {text!r}: expected shares of it "
                f"with a sum below 1, or no {source!r} beside them."
            )
        if source not in kept and abs(rest) > _TINY:
            raise OptionError(
                f"shares of {source!r} in {text!r} do not add up: expected a sum of 1, "
                f"or {source!r} beside them to keep the rest."
            )
    rows = [*carved, *((name, name, left.get(name, 1.0)) for name in kept)]
    return SplitChoice(
        names=tuple(name for name, _, _ in rows),
        shares=tuple(share for _, _, share in rows),
        sources=tuple(source for _, source, _ in rows),
    )


def _shares(parts: list[str], text: str) -> tuple[float, ...]:
    shares = tuple(_share(part.partition("=")[2]) for part in parts)
    found = tuple(share for share in shares if share is not None)
    if len(found) < len(shares) or abs(sum(found) - 1) > _TINY:
        raise OptionError(
            f"shares in {text!r} do not add up: expected numbers above 0 for every "
            "split with sum 1, as in 'train=0.8,val=0.2'."
        )
    return found


def _share(text: str) -> float | None:
    """A finite number above 0, or None."""
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 < share < math.inf else None
