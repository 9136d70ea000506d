r"""Images by the names that annotations give them, even where paths are another's.

A name means the file of that very path below the folder of the images. Where there is
none, it means the file of its base name: behind the last `/` or `\`, also URL-quoted
(`%20`), in another Unicode form (NFC, NFD) or in another case. Of several such files
the one counts that shares the most folders with the name. A file is found in this way
only where exactly one fits, and only for one name: nothing is guessed.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from segdata.errors import AnnotationError, short_repr

_FOLDS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", str),
    ("another Unicode form", lambda name: unicodedata.normalize("NFC", name)),
    ("another case", lambda name: unicodedata.normalize("NFC", name).casefold()),
)
"""What two names may differ in, the least first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundImages:
    """Which file each name means."""

    paths: Mapping[str, str]
    """Name -> path of its file; names without a file are not there."""
    ambiguous: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Name -> the files that fit, where there are several, or where other names fit the
    same one."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Kind of difference between name and path, such as `another case` -> how many."""
    example: tuple[str, str] = ("", "")
    """Name and path of the first that differ."""

    @property
    def warnings(self) -> Iterator[str]:
        """What a person should know, one line each."""
        if self.counts:
            told = ", ".join(f"{n} {kind}" for kind, n in sorted(self.counts.items()))
            name, path = self.example
            yield (
                f"images found though their paths differ: {told}; e.g. "
                f"{short_repr(name)} is {path}"
            )

    @property
    def problems(self) -> Iterator[AnnotationError]:
        """Names that may mean several files."""
        for name, files in sorted(self.ambiguous.items()):
            yield AnnotationError(
                f"the image {short_repr(name)} may be any of {len(files)} files or "
                f"another name's, e.g. {', '.join(files[:3])}. Write the path below "
                "the folder of the images.",
                reason="ambiguous-image",
            )


def find_images(
    names: Iterable[str], files: Sequence[str], folder: str = ""
) -> FoundImages:
    """Finds the file of each name, by the rules above.

    Args:
      names: Paths of images as annotations give them.
      files: Paths of the images that are there.
      folder: What names are relative to: the beginning of such paths.
    """
    exact = set(files)
    prefix = f"{folder}/" if folder else ""
    wanted = list(dict.fromkeys(names))
    paths = {name: prefix + name for name in wanted if prefix + name in exact}
    others = [name for name in wanted if name not in paths]
    ambiguous: dict[str, Sequence[str]] = {}
    by_path: dict[str, list[str]] = {}
    kinds: dict[str, list[str]] = {}
    index = _Index(files)
    for name in others:
        candidates, kinds[name] = index.look_up(name)
        if len(candidates) > 1:
            ambiguous[name] = candidates
        elif candidates:
            by_path.setdefault(candidates[0], []).append(name)
    taken = set(paths.values())
    counts: Counter[str] = Counter()
    example = ("", "")
    for path, claiming in by_path.items():
        if len(claiming) > 1 or path in taken:
            ambiguous |= {name: [path] for name in claiming}
            continue
        [name] = claiming
        paths[name] = path
        counts.update(kinds[name])
        example = example if example[0] else (name, path)
    return FoundImages(paths=paths, ambiguous=ambiguous, counts=counts, example=example)


_Same = tuple[list[str], dict[str, list[str]]]
"""Files of one base name: all, and by the folder that they lie in."""
_Table = dict[str, _Same]


class _Index:
    """Files by their base names, folded as far as a look-up needs it."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = sorted(files)
        self._tables: dict[str, _Table] = {}

    def look_up(self, name: str) -> tuple[Sequence[str], list[str]]:
        """The files that fit a name best, and in what kinds they differ from it."""
        forms: dict[str, list[str]] = {name: []}
        if "\\" in name:
            forms[name.replace("\\", "/")] = ["with backslashes"]
        for form, kinds in [*forms.items()]:
            forms.setdefault(unquote(form), [*kinds, "URL-quoted"])
        for fold_kind, fold in _FOLDS:
            table = self._table(fold_kind, fold)
            for form, kinds in forms.items():
                *folders, base = form.split("/")
                found = table.get(fold(base))
                if found is not None:
                    differences = [*kinds, *filter(None, [fold_kind])]
                    best = _sharing_most(found, folders)
                    return best, differences or ["in another folder"]
        return [], []

    def _table(self, kind: str, fold: Callable[[str], str]) -> _Table:
        if kind not in self._tables:
            table = self._tables.setdefault(kind, {})
            for path in self._files:
                *_, parent, base = f"/{path}".split("/")
                by_parent = table.setdefault(fold(base), ([], {}))
                by_parent[0].append(path)
                by_parent[1].setdefault(parent, []).append(path)
        return self._tables[kind]


def _sharing_most(found: _Same, folders: Sequence[str]) -> Sequence[str]:
    """Those of several files that have the most of the last folders in common."""
    paths, by_parent = found
    if len(paths) == 1 or not folders or folders[-1] not in by_parent:
        return paths
    paths = by_parent[folders[-1]]

    def shared(path: str) -> int:
        pairs = zip(path.split("/")[-2::-1], reversed(folders), strict=False)
        return sum(
            1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
        )

    most = max(map(shared, paths))
    return [path for path in paths if shared(path) == most]
