"""Where the images of a COCO JSON lie, whatever paths it gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from segdata.errors import short_repr
from segdata.formats.coco import layout
from segdata.formats.folders import list_folder
from segdata.formats.found_images import FoundImages, find_images
from segdata.storage.paths import Location


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePlaces:
    """The images of one JSON."""

    folder: str
    """Folder below the source that they are in; empty for the source itself."""
    paths: Sequence[str]
    """Path of each below the source, in the order of the JSON. One that is not found
    is what the JSON says, to be refused by its name."""
    warnings: tuple[str, ...] = ()
    """What a person should know, one line each."""


def find_places(
    source: Location, main: Location, names: Sequence[str], given: str
) -> ImagePlaces:
    """Finds the images of a JSON by their paths, else by their base names.

    Base names are looked up below the folder of the images; where no usual folder has
    one of them, below each of the usual folders in turn.

    Args:
      source: Folder of the source.
      main: The JSON.
      names: File names of the images.
      given: The option `images`.

    Raises:
      SourceError: If there are no such files in the source.
    """
    usual = layout.image_folders(source, main)
    if given:
        folder: str | None = layout.checked_folder(given, "--images")
    else:
        folder = layout.first_with(source, usual, names)
    if folder is not None:
        plain = [layout.below(folder, name) for name in names]
        if folder.startswith("..") or _all_there(source, plain):
            return ImagePlaces(folder=folder, paths=plain)
        found = find_images(names, _images_below(source, folder), folder)
        return _places(found, folder, names, main)
    files = _images_below(source, "")
    for candidate in usual:
        prefix = "" if candidate == "." else f"{candidate}/"
        inside = [path for path in files if path.startswith(prefix)]
        found = find_images(names, inside, prefix.rstrip("/"))
        if found.paths:
            return _places(found, prefix.rstrip("/"), names, main)
    if all(map(layout.leads_away, names)):
        return ImagePlaces(folder="", paths=names)
    raise layout.not_found("images", "--images", main, usual, names)


def _places(
    found: FoundImages, folder: str, names: Sequence[str], main: Location
) -> ImagePlaces:
    warnings = [f"{main.name}: {text}" for text in found.warnings]
    if found.ambiguous:
        name, files = min(found.ambiguous.items())
        warnings.append(
            f"{main.name}: {len(found.ambiguous)} images are not there, and more than "
            f"one file or name fits: {short_repr(name)} may be {', '.join(files[:3])}"
        )
    return ImagePlaces(
        folder=folder,
        paths=[found.paths.get(n) or layout.below(folder, n) for n in names],
        warnings=tuple(warnings),
    )


def _all_there(source: Location, paths: Iterable[str]) -> bool:
    """Whether every file is listed by its folder: a look at each would take longer."""
    listed: dict[str, frozenset[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in listed:
            listed[folder] = _listed(source, folder)
        if name not in listed[folder]:
            return False
    return True


def _listed(source: Location, folder: str) -> frozenset[str]:
    if layout.leads_away(folder) or PurePosixPath(folder).is_absolute():
        return frozenset()
    try:
        return frozenset(entry.name for entry in (source / folder).entries())
    except OSError:
        return frozenset()


def _images_below(source: Location, folder: str) -> list[str]:
    """Paths of all images below a folder of the source, without links to folders."""
    try:
        listing = list_folder(source, folder or ".", recursive=True)
    except OSError:
        return []
    return [p.removeprefix("./") for paths in listing.by_stem.values() for p in paths]
