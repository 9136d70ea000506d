"""Names of splits: their one order, and which of them is meant for validation."""

from __future__ import annotations

from collections.abc import Iterable

DEFAULT_SPLIT = "train"
"""Split of records that the source puts in none."""

_VALIDATION = ("val", "valid", "validation")
_ORDER = (DEFAULT_SPLIT, "trainval", *_VALIDATION, "test")


def ordered_splits(names: Iterable[str]) -> list[str]:
    """Names in the order train, trainval, val, valid, validation, test, then others.

    Others are in the order of the alphabet. Case is no matter.
    """
    return sorted(names, key=_place)


def is_known_split(name: str) -> bool:
    """Whether a file or folder of this name is a split, in whatever case."""
    return name.casefold() in _ORDER


def validation_split(names: Iterable[str]) -> str | None:
    """The split to validate on: `val`, `valid` or `validation`, in whatever case."""
    known = [name for name in names if name.casefold() in _VALIDATION]
    return ordered_splits(known)[0] if known else None


def _place(name: str) -> tuple[int, str, str]:
    folded = name.casefold()
    place = _ORDER.index(folded) if folded in _ORDER else len(_ORDER)
    return place, folded, name
