"""Drawing splits: what belongs together stays together, and classes are spread.

Without `--group` and `--stratify` each record is drawn by a hash of its key. A group is
drawn by its own name instead of the keys. To stratify, records (or groups) are
drawn as always first; then few of them move, so that no split lacks a class.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from segdata import identity
from segdata.building.options import BuildOptions
from segdata.errors import OptionError
from segdata.split_names import DEFAULT_SPLIT, ordered_splits

Unit = tuple[str, str]
"""Split of the source (empty where all are drawn anew), and the name of a group or
record."""


@dataclass(kw_only=True, slots=True)
class SplitDrawing:
    """Draws the splits of one build.

    Raises:
      OptionError: If groups or classes are asked for, and no split is drawn.
    """

    options: BuildOptions
    """The user's options."""
    num_unmatched: int = 0
    """Keys that are in no group."""
    _splits: dict[Unit, str] = field(default_factory=dict)
    _classes: dict[Unit, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for flag, value in (
            ("--group", self.options.group),
            ("--stratify", self.options.stratify),
        ):
            if value and not self.options.split.shares:
                raise OptionError(
                    f"{flag} is for splits that are drawn, and none is: expected "
                    "--split with shares, as in 'train=0.8,val=0.2'."
                )

    def draw(self, key: str, data: Mapping[str, Any]) -> str | None:
        """The split of a record as it is drawn at first; None if it is not asked for.

        Args:
          key: The record's key.
          data: Its annotation dict.
        """
        name, is_matched = self._name(key)
        self.num_unmatched += not is_matched
        choice = self.options.split
        split = choice.assign(name, data.get("split"), self.options.seed)
        if split is not None and self.options.stratify:
            unit = self._unit(name, data.get("split"))
            self._splits[unit] = split
            self._classes.setdefault(unit, set()).update(_classes_of(data))
        return split

    def spread(self) -> Mapping[Unit, str]:
        """Units that move so that splits have more classes, and where to."""
        if not self.options.stratify:
            return {}
        moved: dict[Unit, str] = {}
        by_pool: dict[str, list[Unit]] = defaultdict(list)
        for unit in self._splits:
            by_pool[unit[0]].append(unit)
        for pool, units in sorted(by_pool.items()):
            names = [
                name
                for name, source in zip(
                    self.options.split.names,
                    self.options.split.sources or [""] * len(self.options.split.names),
                    strict=True,
                )
                if source == pool
            ]
            units.sort(key=lambda u: (self._hash(u), u))
            moved |= _moves(units, names, self._splits, self._classes)
        return moved

    def unit(self, key: str, source_split: str | None) -> Unit:
        """What a record is drawn with."""
        return self._unit(self._name(key)[0], source_split)

    @property
    def warnings(self) -> Iterator[str]:
        """What a person should know, one line each."""
        if self.options.group and self.num_unmatched:
            yield (
                f"--group {self.options.group}: {self.num_unmatched} keys do not match "
                "and are drawn each on its own"
            )
        if self.options.stratify and not any(self._classes.values()):
            yield (
                "--stratify could not be done: no annotation tells classes without "
                "reading pixels, so splits are drawn by keys alone"
            )

    def _unit(self, name: str, source_split: str | None) -> Unit:
        is_carved = bool(self.options.split.sources)
        return (source_split or DEFAULT_SPLIT) if is_carved else "", name

    def _name(self, key: str) -> tuple[str, bool]:
        if not self.options.group:
            return key, True
        match = re.search(self.options.group, key)
        if match is None:
            return key, False
        name = match[1] if match.re.groups else match[0]
        return (key, False) if name is None else (name, True)

    def _hash(self, unit: Unit) -> int:
        return identity.key_hash(unit[1], self.options.seed, "split")


def _moves(
    units: list[Unit],
    names: Collection[str],
    splits: Mapping[Unit, str],
    classes: Mapping[Unit, set[str]],
) -> dict[Unit, str]:
    """Moves a unit to each split that lacks a class, from one that keeps its own.

    Rare classes come first, and train before val: a class of two images is in both.
    """
    place = {unit: splits[unit] for unit in units}
    counts = {name: Counter[str]() for name in names}
    of_class: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        counts[place[unit]].update(classes[unit])
        for class_name in classes[unit]:
            of_class[class_name].append(unit)
    moved: dict[Unit, str] = {}
    for class_name, having in sorted(of_class.items(), key=lambda i: (len(i[1]), i[0])):
        for name in ordered_splits(names):
            if counts[name][class_name]:
                continue
            movable = (
                unit
                for unit in having
                if all(counts[place[unit]][c] > 1 for c in classes[unit])
            )
            for unit in itertools.islice(movable, 1):
                counts[place[unit]].subtract(classes[unit])
                counts[name].update(classes[unit])
                place[unit] = moved[unit] = name
    return moved


def _classes_of(data: Mapping[str, Any]) -> Iterator[str]:
    """The classes that an annotation dict names, as text."""
    if data.get("image_class") is not None:
        yield f"image {data['image_class']}"
    for item in data.get("objects") or ():
        if isinstance(item, Mapping):
            found = item.get("category", item.get("category_id"))
            if found is not None:
                yield str(found)
