"""What the names of images and masks have around the part that they share.

x.jpg              x_mask.png                nothing, and `_mask`
21_training.tif    21_manual1.gif            `_training`, and `_manual1`
img_001.jpg        mask_001.png              `img_*`, and `mask_*`
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from segdata.formats.mask_folder.names import is_image, is_mask, is_view, mask_rank

_SIGNS = "_-. "
_TOKEN = re.compile(r"[^\W\d_]+|\d+")
_SAMPLE = 64
_MOST_CANDIDATES = 12


@dataclass(frozen=True, slots=True, order=True)
class Affix:
    """What stands before and behind the shared part of a name."""

    prefix: str = ""
    suffix: str = ""

    @classmethod
    def parse(cls, text: str) -> Affix:
        """`_mask` stands behind; in `mask_*` the star is the shared part."""
        prefix, star, suffix = text.partition("*")
        return cls(prefix, suffix) if star else cls("", text)

    def __str__(self) -> str:
        return f"{self.prefix}*{self.suffix}" if self.prefix else self.suffix

    def shared(self, stem: str) -> str | None:
        """The shared part of a name, with its folder; None where there is no affix.

        Args:
          stem: Path without ending, `/` between its parts.
        """
        folder, slash, name = stem.rpartition("/")
        if not name.startswith(self.prefix) or not name.endswith(self.suffix):
            return None
        core = name[len(self.prefix) : len(name) - len(self.suffix)]
        return f"{folder}{slash}{core}" if core else None

    def name(self, shared: str) -> str:
        """The stem that a shared part has."""
        folder, slash, core = shared.rpartition("/")
        return f"{folder}{slash}{self.prefix}{core}{self.suffix}"

    def all_shared(self, stems: Collection[str]) -> set[str]:
        """The shared parts of all names that have it."""
        return {core for stem in stems if (core := self.shared(stem)) is not None}


@dataclass(frozen=True, slots=True)
class Affixes:
    """How the names of images and masks belong together."""

    image: Affix = Affix()
    mask: Affix = Affix()
    others: tuple[Affix, ...] = ()
    """Of further masks of the same images, such as a second annotator's."""
    are_of_words: bool = False
    """Whether names are alike but for words that only one side has, somewhere in them.
    """

    def told(self) -> str:
        """What was found, in half a line; empty where names are equal."""
        if self.are_of_words:
            return "names compared without the words of one side"
        if self.image == self.mask == Affix():
            return ""
        sides = (affix.name("X") for affix in (self.image, self.mask))
        return " with ".join(sides)


def of_two_folders(
    images: Collection[str], masks: Collection[str], given: tuple[str, str] = ("", "")
) -> tuple[Affixes, int]:
    """The affixes of images in one folder and masks in another.

    Args:
      images: Stems of the images.
      masks: Stems of the masks.
      given: Affixes of images and masks that the user named; empty for unknown ones.

    Returns:
      The affixes, and how many pairs they make.
    """
    found = Counter({(Affix(), Affix()): 1})
    in_folder: dict[str, list[str]] = defaultdict(list)
    for stem in masks:
        in_folder[stem.rpartition("/")[0]].append(stem.rpartition("/")[2])
    for is_reversed in (False, True):
        turned = {f: sorted(n[::-1] if is_reversed else n for n in ns)
                  for f, ns in in_folder.items()}  # fmt: skip
        for stem in sorted(images)[:: max(1, len(images) // _SAMPLE)]:
            folder, _, name = stem.rpartition("/")
            rests = _rests(name[::-1] if is_reversed else name, turned.get(folder, []))
            for image, mask in rests:
                found[
                    (Affix(image[::-1]), Affix(mask[::-1]))
                    if is_reversed
                    else (Affix("", image), Affix("", mask))
                ] += 1
    candidates = [pair for pair, _ in found.most_common(_MOST_CANDIDATES)]
    if (Affix(), Affix()) not in candidates:
        candidates.append((Affix(), Affix()))
    return _best(candidates, images, masks, given)


def of_one_folder(
    stems: Collection[str], given: tuple[str, str] = ("", "")
) -> tuple[Affixes, int]:
    """The affixes of images and masks that lie in the same folder, likewise."""
    behind: Counter[tuple[Affix, Affix]] = Counter()
    ends: dict[Affix, set[str]] = defaultdict(set)
    known = set(stems)
    for stem in known:
        for affix in _ends(stem.rpartition("/")[2]):
            core = affix.shared(stem)
            if core is not None:
                ends[affix].add(core)
                if core in known:
                    behind[Affix(), affix] += 1
    candidates = [pair for pair, _ in behind.most_common(_MOST_CANDIDATES)]
    if not candidates:
        common = sorted(ends, key=lambda a: (-len(ends[a]), a))[:_MOST_CANDIDATES]
        candidates = [
            (image, mask)
            for image in common
            for mask in common
            if image != mask and _is_image_end(image, mask) and ends[image] & ends[mask]
        ]
    return _best(candidates, stems, stems, given)


Stems = Mapping[str, list[str]]


def without_own_words(images: Stems, masks: Stems) -> tuple[Stems, Stems]:
    """Images and masks by their names without the words that only one side has.

    So `um_000001` and `um_road_000001` are called alike.
    """
    split = [{stem: _TOKEN.findall(stem.rpartition("/")[2]) for stem in side}
             for side in (images, masks)]  # fmt: skip
    own = [Counter(w for words in side.values() for w in words) for side in split]
    found: list[dict[str, list[str]]] = [{}, {}]
    for i, (side, stems, new) in enumerate(
        zip(split, (images, masks), found, strict=True)
    ):
        for stem, words in side.items():
            kept = [w for w in words
                    if w.isdigit() or own[1 - i][w] or own[i][w] == 1]  # fmt: skip
            key = stem.rpartition("/")[0] + "/" + "_".join(kept)
            new.setdefault(key, []).extend(stems[stem])
    return found[0], found[1]


def _best(
    candidates: Sequence[tuple[Affix, Affix]],
    images: Collection[str],
    masks: Collection[str],
    given: tuple[str, str],
) -> tuple[Affixes, int]:
    named = tuple(Affix.parse(text) if text else None for text in given)
    if named[1] is not None and not any(mask == named[1] for _, mask in candidates):
        candidates = [*candidates, (named[0] or Affix(), named[1])]
    counts: dict[tuple[Affix, Affix], int] = {}
    for image, mask in dict.fromkeys(candidates):
        if named[0] is not None:
            image = named[0]
        counts[image, mask] = len(image.all_shared(images) & mask.all_shared(masks))
    taken = {
        pair: count
        for pair, count in counts.items()
        if named[1] is None or pair[1] == named[1]
    }
    most = max(taken.values(), default=0)
    if not most:
        return Affixes(named[0] or Affix(), named[1] or Affix()), 0

    def rank(pair: tuple[Affix, Affix]) -> tuple[object, ...]:
        image, mask = pair
        name = f"{mask.prefix} {mask.suffix}"
        return (2 * taken[pair] < most, is_view(name), mask_rank(name)[0],
                len(f"{image}"), not is_mask(name) and mask != Affix(),
                _natural(str(mask)))  # fmt: skip

    image, mask = min(taken, key=rank)
    others = sorted(
        (other for (i, other), count in counts.items()
         if i == image and other != mask and 2 * count >= most),
        key=lambda affix: _natural(str(affix)),
    )  # fmt: skip
    return Affixes(image, mask, tuple(others)), taken[image, mask]


def _rests(name: str, others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What is left of a name and of those that begin like it, most alike first."""
    place = bisect_left(others, name)
    near = others[max(0, place - 4) : place + 8]
    lengths = {other: _common(name, other) for other in near}
    longest = max(lengths.values(), default=0)
    for other, length in lengths.items():
        cut = _at_a_sign(name, other, length)
        if length == longest and cut:
            yield name[cut:], other[cut:]


def _common(name: str, other: str) -> int:
    """How many characters two names begin alike with."""
    length = min(len(name), len(other))
    return next((i for i in range(length) if name[i] != other[i]), length)


def _at_a_sign(name: str, other: str, length: int) -> int:
    """Where to cut two names of the same beginning: before a sign, in no number."""
    rests = (name[length:], other[length:])
    is_after_digit = name[length - 1 : length].isdigit()
    if is_after_digit and any(rest[:1].isdigit() for rest in rests):
        return 0
    is_after_sign = name[length - 1 : length] in _SIGNS
    if all(rests) and not is_after_sign and not is_after_digit:
        while length and name[length - 1] not in _SIGNS and name[length] not in _SIGNS:
            length -= 1
    is_after_sign = length > 0 and name[length - 1] in _SIGNS
    return length - 1 if is_after_sign and all(rests) else length


def _ends(name: str) -> Iterator[Affix]:
    """Words before and behind a name's core: the last one to three, the first one."""
    places = [m.start() for m in re.finditer(r"[_\-. ]+", name)]
    for place in places[-3:]:
        if re.search("[A-Za-z]", name[place:]):
            yield Affix("", name[place:])
    for place in places[:1]:
        if re.search("[A-Za-z]", name[:place]):
            yield Affix(name[: place + 1], "")


def _is_image_end(image: Affix, mask: Affix) -> bool:
    """Whether the words tell that one is of images and the other of masks."""
    of_image, of_mask = (f"{a.prefix} {a.suffix}" for a in (image, mask))
    if bool(image.prefix) != bool(mask.prefix):
        return False
    return is_mask(of_mask) and not is_mask(of_image) and not is_view(of_image) and (
        is_image(of_image) or bool(of_image.strip())
    )  # fmt: skip


def _natural(text: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdigit() else (-1, part)
        for part in re.split(r"(\d+)", text)
        if part
    ]
