"""Where COCO's files lie: JSONs, what belongs to them, folders of images, splits.

- *COCO*: `annotations/instances_train2017.json` with `train2017/`, `images/train2017/`
  or `images/`; beside it `person_keypoints_train2017.json`, `captions_train2017.json`.
- *Panoptic*: `annotations/panoptic_train2017.json` with the PNGs in
  `annotations/panoptic_train2017/` or `panoptic_train2017/`.
- *Beside each other*: `train/_annotations.coco.json` in the folder of its images,
  `train/labels.json` with `train/data/`, `train/annotations.json` with `train/images/`,
  `train_coco.json` with `train/`.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Literal

from segdata.errors import OptionError, SourceError
from segdata.formats.folders import is_build
from segdata.split_names import is_known_split
from segdata.storage.paths import Location

Kind = Literal["auto", "instances", "panoptic"]

# Other annotation files of COCO than instances.
_OTHER_FILES = re.compile(r"^(captions|person_keypoints|panoptic|stuff|image_info)_")
_TOOL_WORDS = frozenset({"instances", "coco", "annotations", "annotation", "labels"})
_BETWEEN = re.compile(r"[._-]+")
_ABSOLUTE = re.compile(r"([A-Za-z]:)?[/\\]")
_PROBED_FILES = 20


def _not_of_builds(paths: Sequence[Location]) -> list[Location]:
    names = {path.parent: set[str]() for path in paths}
    for folder, found in names.items():
        found.update(entry.name for entry in folder.entries())
    return [path for path in paths if not is_build(names[path.parent])]


def find_json(source: Location, given: str, kind: Kind) -> list[Location]:
    """The files that list images.

    Args:
      source: Folder of the source.
      given: The option `annotations`.
      kind: Where several kinds lie side by side: which of them. `auto`: instances, or
        whatever has no name of another kind, or panoptic, or keypoints.

    Raises:
      SourceError: If there are none.
    """
    if given:
        path = source / given
        if not path.is_dir():
            return [path]
        listed: Sequence[Location] = path.sorted_glob("*.json")
    else:
        listed = (
            (source / "annotations").sorted_glob("*.json")
            or source.sorted_glob("*.json")
            or _not_of_builds(source.sorted_glob("*/*.json"))
            or _in_splits(source.sorted_glob("*/*/*.json"))
        )
    found = [path for path in listed if not path.name.startswith("._")]  # macOS's
    plain = [path for path in found if not _OTHER_FILES.match(path.name)]
    choices = {
        "instances": [path for path in plain if path.name.startswith("instances")],
        "plain": plain,
        "panoptic": [path for path in found if path.name.startswith("panoptic_")],
        "keypoints": [p for p in found if p.name.startswith("person_keypoints_")],
    }
    order = {
        "auto": ("instances", "plain", "panoptic", "keypoints"),
        "instances": ("instances", "plain", "keypoints"),
        "panoptic": ("panoptic", "plain"),
    }
    for name in order[kind]:
        if choices[name]:
            return choices[name]
    wanted = "" if kind == "auto" else f" of the kind {kind}"
    raise SourceError(
        f"no COCO annotations{wanted} are found in {source}: expected "
        "annotations/*.json, or name the file with --annotations."
    )


def companion(
    main: Location, prefix: str, given: str, source: Location, *, num_files: int
) -> Location | None:
    """The file that says more of the same images, such as captions.

    Args:
      main: The JSON that lists the images.
      prefix: What the name of the other begins with, e.g. `captions`.
      given: The option: `auto` for the file that lies beside, `none`, or a path.
      source: Folder of the source.
      num_files: How many JSONs list images: a path can belong to one only.
    """
    if given == "none":
        return None
    if given == "auto":
        path = main.with_name("_".join(filter(None, (prefix, plain_stem(main)))))
        path = path.with_name(f"{path.name}.json")
        return path if path != main and path.is_file() else None
    if num_files > 1:
        raise OptionError(
            f"{given!r} is to go with one JSON of images, and there are {num_files}: "
            "choose one with --annotations, or lay it beside its own and give auto."
        )
    return source / given


def image_folders(source: Location, main: Location) -> list[str]:
    """Folders below the source in which the images of a JSON may be, likeliest first.

    Args:
      source: Folder of the source.
      main: The JSON.
    """
    beside, stem = _beside(source, main), plain_stem(main)
    usual = [stem, f"images/{stem}", "images", _without_year(stem)]
    short = split_stem(main)
    for name in filter(None, (short, _split_word(main))):
        usual += [name, f"images/{name}", f"{beside}/{name}"]
    above = beside.rpartition("/")[0]
    inside = [f"{beside}/images", f"{beside}/data", f"{above}/images".lstrip("/")]
    return _distinct([*usual, *inside, beside, "."])


def png_folder(
    source: Location, main: Location, names: Iterable[str], given: str
) -> str:
    """Folder below the source of the PNGs of a panoptic JSON; empty for itself.

    Args:
      source: Folder of the source.
      main: The JSON.
      names: File names of the PNGs.
      given: The option `panoptic_pngs`.

    Raises:
      SourceError: If none of the usual folders has one of the first PNGs.
    """
    if given:
        return checked_folder(given, "--panoptic-pngs")
    beside, listed = _beside(source, main), [*names]
    usual = [f"{beside}/{main.stem}", main.stem, f"panoptic/{plain_stem(main)}"]
    folders = _distinct([*usual, f"{beside}/panoptic", "panoptic", beside, "."])
    found = first_with(source, folders, listed)
    if found is None and not all(map(leads_away, listed)):
        raise not_found("panoptic PNGs", "--panoptic-pngs", main, folders, listed)
    return found or ""


def leads_away(name: str) -> bool:
    """Whether a path cannot be meant below a folder, whatever the system."""
    return _ABSOLUTE.match(name) is not None or ".." in name.split("/")


def below(folder: str, name: str) -> str:
    """A file of the folder; a name that leads away stays, to be refused as it is."""
    return f"{folder}/{name}" if folder and not leads_away(name) else name


def plain_stem(path: Location | PurePosixPath) -> str:
    """`instances_train2017.json` -> `train2017`."""
    stem = _OTHER_FILES.sub("", path.stem, count=1)
    return stem.removeprefix("instances").strip("_")


def split_stem(path: Location | PurePosixPath) -> str:
    """Likewise without what tools add: `train_coco`, `_annotations.coco`."""
    stem = plain_stem(path)
    words = [word for word in _BETWEEN.split(stem) if word]
    own = [word for word in words if word.casefold() not in _TOOL_WORDS]
    return stem if len(own) == len(words) else "_".join(own)


def _in_splits(paths: Iterable[Location]) -> list[Location]:
    """Those in a folder of a split's, such as `train/Annotations/a.json`."""
    return [path for path in paths if is_known_split(path.parent.parent.name)]


def _split_word(path: Location | PurePosixPath) -> str | None:
    """The only word of a name that is a split: `instances_attributes_train2020`."""
    words = [_without_year(word) for word in _BETWEEN.split(path.stem)]
    splits = [word for word in words if is_known_split(word)]
    return splits[0] if len(splits) == 1 else None


def file_titles(paths: Sequence[Location]) -> list[str]:
    """A name for each file; those of one name get their folders' before it."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{path.parent.name}/{path.name}" for path in paths]


def split_names(paths: Sequence[PurePosixPath]) -> list[str | None]:
    """A split for each file: its name without the year and what tools add.

    Files of one name are told apart by their folders.

    Args:
      paths: Below the source, whose own name is no matter.
    """
    if len(paths) == 1:
        names = _without_year(split_stem(paths[0])), paths[0].parent.name
        return [next(filter(is_known_split, names), None)]
    full = [split_stem(path) for path in paths]
    if not all(full) and len(set(full)) == len(full):
        full = [plain_stem(path) for path in paths]
    if len(set(full)) < len(full):
        full = [path.parent.name for path in paths]
    short = [_without_year(name) for name in full]
    words = [_split_word(path) for path in paths]
    if all(words) and len(set(words)) == len(words):
        return words
    chosen = short if len(set(short)) == len(short) and all(short) else full
    return [re.sub(r"\W", "_", name) or "train" for name in chosen]


def first_with(
    source: Location, folders: Sequence[str], names: Iterable[str]
) -> str | None:
    """The first folder with one of the first files; None where there is none.

    Args:
      source: Folder of the source.
      folders: Folders below it.
      names: Paths of files below such a folder.
    """
    probes = heapq.nsmallest(_PROBED_FILES, (n for n in names if not leads_away(n)))
    for folder in folders:
        if any(_is_file(source / folder / name) for name in probes):
            return "" if folder == "." else folder
    return None


def not_found(
    what: str, flag: str, main: Location, folders: Sequence[str], names: Iterable[str]
) -> SourceError:
    """The error for files of a JSON that lie in none of the folders."""
    return SourceError(
        f"the {what} of {main.name} are not found, e.g. {min(names)!r}: tried the "
        f"folders {', '.join(folders)}. Name theirs with {flag}."
    )


def checked_folder(folder: str, flag: str) -> str:
    """An option's folder as the beginning of paths; empty for the source itself."""
    if folder.startswith("/"):
        raise OptionError(
            f"{flag} is {folder!r}: expected a folder below SOURCE, as a relative "
            "path. Name the folder that holds both as SOURCE."
        )
    return PurePosixPath(folder).as_posix() if PurePosixPath(folder).parts else ""


def _distinct(folders: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(str(PurePosixPath(folder)) for folder in folders)]


def _beside(source: Location, main: Location) -> str:
    # None where --annotations led out of it.
    return main.parent.below(source) or "."


def _is_file(path: Location) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _without_year(stem: str) -> str:
    return re.sub(r"_?(19|20)\d\d$", "", stem)
