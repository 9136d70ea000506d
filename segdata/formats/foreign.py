"""What a folder is that no format reads: whose tool wrote it, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from segdata.formats import FORMATS
from segdata.formats.folders import count_of, subfolders
from segdata.formats.json_kinds import kind_of_json
from segdata.storage.paths import Location

_MAX_NAMED = 5
_MAX_FOLDERS, _DEPTH = 64, 3
_MAX_JSON = 1 << 26
_HEAD_BYTES = 1 << 12
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".bz2", ".xz"}
_NAMES = (
    (
        "manifest.json",
        "a finished build of segdata: `segdata info` tells what it holds",
    ),
    ("dataset_info.json", "a dataset of TFDS: its shards are TFRecords already"),
    ("meta.json", "a project of Supervisely: export it as COCO"),
    (
        "calibrated_sensor.json",
        "of nuImages or nuScenes: write masks as PNGs with its devkit, or COCO",
    ),
)
_SUFFIXES = {
    ".tfrecord": "TFRecords already: `segdata inspect` tells what they hold",
    ".record": "TFRecords already: `segdata inspect` tells what they hold",
    ".parquet": "Parquet: save its images and masks as files",
    ".mat": "MATLAB: save its masks as PNGs",
    ".npy": "NumPy arrays: save them as PNGs",
    ".npz": "NumPy arrays: save them as PNGs",
    ".h5": "HDF5: save its images and masks as files",
    ".nii": "NIfTI volumes: save their slices as PNGs",
    ".nii.gz": "NIfTI volumes: save their slices as PNGs",
    ".dcm": "DICOM: save its images and masks as PNGs",
}
_TABLES = (
    (
        (b"encodedpixels", b"rle_mask"),
        "run lengths (RLE) in a table: draw them as PNG masks, one for each image",
    ),
    (
        (b"maskpath",),
        "Open Images' table of mask files: write its masks and classes as COCO",
    ),
)
_BRUSH = "annotation-"


def what_is_there(source: Location) -> str:
    """What a folder holds that no format knows, as a clause."""
    if source.is_dir():
        for folder in _folders(source):
            if found := _known(source, folder):
                return found
    return f"it has {_counted(source)}"


def _known(source: Location, folder: str) -> str:
    """What the files of one folder are; empty where that is not known."""
    place = source / folder if folder else source
    files = [entry.name for entry in place.entries() if not entry.is_dir]
    files = [name for name in files if not name.startswith(".")]
    start = f"{folder}/" if folder else ""
    for name, what in _NAMES:
        if name in files:
            return f"{start}{name}: this is {what}" if start else f"this is {what}"
    for name in files:
        for suffix, what in _SUFFIXES.items():
            if name.lower().endswith(suffix):
                return f"{start}{name} is of {what}"
        if not folder and PurePosixPath(name).suffix.lower() in _ARCHIVES:
            return f"{name} is an archive: unpack it, and give the folder"
        if name.startswith("task-") and _BRUSH in name:
            return (
                f"{start}{name} is of Label Studio's brush masks, which name no image: "
                "export JSON beside the images"
            )
    yielded = _texts(place, files)
    return next((f"{start}{name}: {what}" for name, what in yielded), "") or _no_images(
        source, folder, files
    )


def _texts(place: Location, files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """JSON files and tables that are known."""
    for name in [name for name in files if name.endswith(".json")][:_MAX_NAMED]:
        if what := _kind_of(place / name):
            yield name, what
    for name in [name for name in files if name.endswith(".csv")][:_MAX_NAMED]:
        head = _start(place / name, _HEAD_BYTES).partition(b"\n")[0].lower()
        for words, what in _TABLES:
            if any(word in head for word in words):
                yield name, f"this is of {what}"


def _no_images(source: Location, folder: str, files: Sequence[str]) -> str:
    name = folder.rpartition("/")[2]
    above = source / folder.rpartition("/")[0] if "/" in folder else source
    if name == "SegmentationClass" and files and "JPEGImages" not in subfolders(above):
        return (
            f"{folder}/ has masks, and there are no images: put them into JPEGImages/ "
            "beside it, or export once more with images"
        )
    return ""


def _folders(source: Location) -> Iterator[str]:
    """The folder itself and some below it, the upper ones first."""
    level = [""]
    yield ""
    for _ in range(_DEPTH):
        level = [
            f"{folder}/{name}".lstrip("/")
            for folder in level
            for name in subfolders(source / folder if folder else source)
        ][:_MAX_FOLDERS]
        yield from level


def _kind_of(path: Location) -> str:
    return kind_of_json(_start(path, _MAX_JSON), frozenset(FORMATS))


def _start(path: Location, size: int) -> bytes:
    try:
        return path.read_start(size)
    except OSError:
        return b""


def _counted(source: Location) -> str:
    """How many files of each ending are there, and which folders."""
    entries = source.entries() if source.is_dir() else []
    suffixes = Counter(
        PurePosixPath(e.name).suffix.lower() or "no ending"
        for e in entries
        if not e.is_dir
    )
    folders = [entry.name for entry in entries if entry.is_dir]
    parts = [
        count_of(range(count), f"file of {name}", f"files of {name}")
        for name, count in suffixes.most_common(4)
    ]
    if folders:
        more = " ..." if folders[_MAX_NAMED:] else ""
        parts.append(f"the folders {', '.join(folders[:_MAX_NAMED])}{more}")
    return ", ".join(parts) or "no files"
