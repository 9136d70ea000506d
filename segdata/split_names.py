"""Names of splits: their one order, what each is meant for, and slices of them.

A slice is written as TensorFlow Datasets has it: `train[:10%]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from segdata.errors import OptionError

DEFAULT_SPLIT = "train"
"""Split of records that the source puts in none."""

_FORM = re.compile(r"([\w-]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")
_TRAIN = (DEFAULT_SPLIT, "training", "trainval")
_VALIDATION = ("val", "valid", "validation", "dev")
_ORDER = (*_TRAIN, *_VALIDATION, "test", "testing")
KNOWN_SPLITS = frozenset(_ORDER)
"""Usual names, in lower case."""


def ordered_splits(names: Iterable[str]) -> list[str]:
    """Names in the order train, trainval, val, valid, validation, test, then others.

    Others are in the order of the alphabet. Case is no matter.
    """
    return sorted(names, key=_place)


def is_known_split(name: str) -> bool:
    """Whether a file or folder of this name is a split, in whatever case."""
    return name.casefold() in KNOWN_SPLITS


def training_splits(names: Iterable[str]) -> list[str]:
    """The splits that are meant to train on, the likeliest first."""
    return [name for name in ordered_splits(names) if name.casefold() in _TRAIN]


def validation_splits(names: Iterable[str]) -> list[str]:
    """The splits that are meant to validate on, the likeliest first."""
    return [name for name in ordered_splits(names) if name.casefold() in _VALIDATION]


def _place(name: str) -> tuple[int, str, str]:
    folded = name.casefold()
    place = _ORDER.index(folded) if folded in _ORDER else len(_ORDER)
    return place, folded, name


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSlice:
    """A split, or some of its records in a row."""

    name: str
    """The split."""
    start: str | None = None
    """Where it begins: a position, or a share such as `10%`; negative: from the end."""
    stop: str | None = None
    """Where it ends, likewise."""

    @classmethod
    def parse(cls, text: str) -> SplitSlice:
        """Reads `train`, `train[:10%]`, `train[100:200]` or `train[-5:]`.

        Raises:
          OptionError: If it is none of these.
        """
        found = _FORM.fullmatch(text)
        if not found:
            raise OptionError(
                f"split is {text!r}: expected the name of a split, or a slice of one "
                "such as train[:10%], train[100:200] or train[-5:]."
            )
        return cls(name=found[1], start=found[2], stop=found[3])

    @property
    def is_part(self) -> bool:
        """Whether it is not simply a split."""
        return not (self.start is None and self.stop is None)

    def bounds(self, num_records: int) -> tuple[int, int]:
        """First record of a split of so many, and the first one after the slice."""
        places = [
            None if text is None else _position(text, num_records)
            for text in (self.start, self.stop)
        ]
        start, stop, _ = slice(*places).indices(num_records)
        return start, max(start, stop)


def _position(text: str, num_records: int) -> int:
    share = text.removesuffix("%")
    return int(share) if share == text else round(int(share) * num_records / 100)
