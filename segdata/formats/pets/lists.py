"""The lists of the Oxford-IIIT Pets: `NAME CLASS-ID SPECIES BREED-ID` on every line.

The breed's name is the file's name without its number: `Abyssinian_34`,
`english_cocker_spaniel_12`. The class id tells breeds apart (1 to 37, with gaps in
partial copies), the species is 1 for cats and 2 for dogs, the breed id counts the
breeds of a species (the dataset's README).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from segdata.errors import AnnotationError, short_repr
from segdata.formats.text import read_lines
from segdata.label_map import LabelClass, distinct_colors
from segdata.storage.paths import Location

SPECIES: Mapping[int, str] = {1: "cat", 2: "dog"}
"""What the third column means."""

_NAME = re.compile(r".+_\d+", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedImage:
    """One line of a list."""

    name: str
    """Name of the image's file, without its ending."""
    class_id: int
    """Id of its breed, from 1."""
    species: int
    """1 for cats, 2 for dogs."""
    breed_id: int
    """Number of its breed within the species."""

    @property
    def breed(self) -> str:
        """Name of its breed."""
        return self.name.rpartition("_")[0]


class BreedTable:
    """The breeds as the lists name them: what an earlier line says, later ones keep."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        """Class id -> name of the breed."""
        self.species: dict[int, int] = {}
        """Class id -> species."""
        self._ids: dict[str, int] = {}

    def add(self, entry: ListedImage) -> None:
        """Takes the breed of one line.

        Raises:
          AnnotationError: If it contradicts an earlier one.
        """
        class_id, breed = entry.class_id, entry.breed
        known_id = self._ids.get(breed, class_id)
        known_name = self.names.get(class_id, breed)
        known_species = self.species.get(class_id, entry.species)
        if known_id != class_id or known_name != breed:
            raise AnnotationError(
                f"class {class_id} and breed {breed!r}: expected "
                + (f"class {known_id}" if known_id != class_id else repr(known_name))
                + ", as in an earlier line",
                reason="breed-mismatch",
            )
        if known_species != entry.species:
            raise AnnotationError(
                f"species {entry.species} for {breed!r}: expected {known_species}, as "
                "in an earlier line",
                reason="breed-mismatch",
            )
        self.names[class_id], self.species[class_id] = breed, entry.species
        self._ids[breed] = class_id

    def classes(self, taken: Collection[str]) -> tuple[LabelClass, ...]:
        """Object classes, ids from 1 in the order of the source's ids.

        Args:
          taken: Names of semantic classes: a breed of such a name gets its id behind
            it, since one name cannot have two ids.
        """
        ordered = sorted(self.names)
        return tuple(
            LabelClass(
                id=number,
                name=f"{name} {class_id}" if name in taken else name,
                color=color,
                source_ids=(class_id,),
                supercategory=SPECIES[self.species[class_id]],
            )
            for number, class_id, name, color in zip(
                range(1, len(ordered) + 1),
                ordered,
                (self.names[class_id] for class_id in ordered),
                distinct_colors(len(ordered)),
                strict=True,
            )
        )


def read_list(
    path: Location, breeds: BreedTable, earlier: Mapping[str, str]
) -> tuple[list[ListedImage], list[AnnotationError]]:
    """Reads one list.

    Args:
      path: The list.
      breeds: Takes the breeds of its lines.
      earlier: Image -> list that has it already; one that stands here too is a problem.

    Returns:
      The good lines, and what is wrong with the others.

    Raises:
      SourceError: If the list cannot be read or is not UTF-8.
    """
    found: dict[str, ListedImage] = {}
    problems = []
    for number, line in read_lines(path):
        try:
            entry = _parse(line)
            owner = path.name if entry.name in found else earlier.get(entry.name)
            if owner is not None:
                raise AnnotationError(
                    f"an image that {owner} has already: expected each once",
                    reason="listed-twice",
                )
            breeds.add(entry)
            found[entry.name] = entry
        except AnnotationError as error:
            problems.append(
                AnnotationError(
                    f"line {number} of {path.name} is {short_repr(line)}: "
                    f"{error}. Correct or remove the line.",
                    reason=error.reason,
                )
            )
    return list(found.values()), problems


def _parse(line: str) -> ListedImage:
    name, *numbers = line.split()
    if len(numbers) != 3 or not all(map(_NUMBER.fullmatch, numbers)):
        raise AnnotationError(
            "expected NAME CLASS-ID SPECIES BREED-ID", reason="bad-list-line"
        )
    class_id, species, breed_id = map(int, numbers)
    if not _NAME.fullmatch(name):
        raise AnnotationError(
            "expected a name of breed and number, as in Abyssinian_34",
            reason="bad-list-line",
        )
    if species not in SPECIES or class_id < 1:
        raise AnnotationError(
            "expected a class id from 1, and the species 1 (cat) or 2 (dog)",
            reason="bad-list-line",
        )
    return ListedImage(name=name, class_id=class_id, species=species, breed_id=breed_id)
