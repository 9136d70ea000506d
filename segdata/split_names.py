"""Names of splits: their one order, and what each is meant for."""

from __future__ import annotations

from collections.abc import Iterable

DEFAULT_SPLIT = "train"
"""Split of records that the source puts in none."""

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
