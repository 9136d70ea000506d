"""A folder of images and a folder of masks: what most people's own data look like.

    images/...           any folders below them; train/, val/, test/ make splits
    masks/...            the same folders and names: index, palette or colour masks
    classes.txt          see `segdata.formats.class_files`

or the same pair of folders once for each split: `train/images/ train/masks/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from segdata.annotations import LabelEncoding
from segdata.errors import OptionError, SourceError
from segdata.formats.base import Scan
from segdata.formats.class_files import ClassFile, read_class_file
from segdata.formats.folders import subfolders
from segdata.formats.mask_folder.classes import (
    check_ignored,
    mask_label_map,
    recognise_encoding,
)
from segdata.formats.mask_folder.pairs import FolderPair
from segdata.storage.paths import Location, locate

_DEFAULT_CLASSES = ("classes.txt", "classes.csv", "class_dict.csv", "label_colors.txt")


@dataclass(frozen=True, kw_only=True)
class MaskFolder:
    """Options of `segdata build mask-folder`."""

    name: ClassVar[str] = "mask-folder"
    summary: ClassVar[str] = "A folder of images and a folder of masks, paired by name."

    classes: str = field(
        default="",
        metadata={
            "help": "Class file, in SOURCE or as a path: lines of 'name', 'id name' or "
            "'id name r g b', or CSV. [default: classes.txt or .csv in SOURCE]"
        },
    )
    images: str = field(
        default="images", metadata={"help": "Folder of the images below SOURCE."}
    )
    mask_folder: str = field(
        default="masks", metadata={"help": "Folder of the masks below SOURCE."}
    )
    mask_suffix: str = field(
        default="",
        metadata={
            "help": "What the names of masks have behind those of their images, such "
            "as _mask. [default: nothing]"
        },
    )
    labels: Literal["auto", "index", "color"] = field(
        default="auto",
        metadata={
            "help": "How masks spell classes: by index (grey, or palette index) or by "
            "colour. auto: colour where the class file has colours and the masks are "
            "RGB."
        },
    )
    ignore: str = field(
        default="",
        metadata={
            "help": "What losses and metrics skip: name or id of a class, or an id "
            "that is no class, such as 255. [default: nothing]"
        },
    )
    unknown: Literal["error", "void"] = field(
        default="error",
        metadata={"help": "Labels that are no class: refuse, or skip and count them."},
    )

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
          OptionError: If a folder is not below SOURCE, or both are the same folder and
            nothing tells masks from images.
        """
        for option, folder in (
            ("images", self.images),
            ("mask-folder", self.mask_folder),
        ):
            path = PurePosixPath(folder)
            if not path.parts or path.is_absolute() or ".." in path.parts:
                raise OptionError(
                    f"--{option} is {folder!r}: expected a folder below SOURCE, as a "
                    "relative path. Name the folder that holds both as SOURCE."
                )
        if "/" in self.mask_suffix:
            raise OptionError(
                f"--mask-suffix is {self.mask_suffix!r}: expected the end of a file's "
                "name, without its ending, such as _mask."
            )
        if PurePosixPath(self.images) == PurePosixPath(self.mask_folder):
            raise OptionError(
                f"--images and --mask-folder are both {self.images!r}: expected two "
                "folders."
            )

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        pairs = [
            FolderPair(source, prefix, self.images, self.mask_folder, self.mask_suffix)
            for prefix in self._prefixes(source)
        ]
        classes = self._read_classes(source)
        encoding: LabelEncoding = self.labels if self.labels != "auto" else "index"
        masks = [source / path for pair in pairs for path in pair.masks.values()]
        if self.labels == "auto":
            encoding = recognise_encoding(classes, masks)
        elif encoding == "color" and not classes.has_colors:
            raise OptionError(
                "--labels color needs colours: expected them in the class file, as in "
                "'0 sky 128 128 128'."
            )
        check_ignored(self.ignore, classes, encoding, masks)
        splits = sorted({s for pair in pairs for s in pair.splits if s is not None})
        named = ", ".join(splits) or "no split of its own"
        return Scan(
            label_map=mask_label_map(
                classes,
                ignore=self.ignore or classes.ignored_value,
                unknown_to_void=self.unknown == "void",
            ),
            annotations=(a for pair in pairs for a in pair.annotations(encoding)),
            layout=f"{self.images}/ with {self.mask_folder}/ ({named}), {encoding} "
            "labels",
            warnings=tuple(line for pair in pairs for line in pair.warnings()),
            problems=tuple(p for pair in pairs for p in pair.problems),
        )

    def _prefixes(self, source: Location) -> list[str]:
        """Where the pairs of folders are: in the source, or in each split's folder."""

        def has_both(prefix: str) -> bool:
            return all(
                (source / prefix / folder).is_dir()
                for folder in (self.images, self.mask_folder)
            )

        if has_both(""):
            return [""]
        found = [f"{name}/" for name in subfolders(source) if has_both(name)]
        if not found:
            raise SourceError(
                f"{source} has no images with masks: expected the folders "
                f"{self.images}/ and {self.mask_folder}/, there or in the folder of "
                "each split. Name them with --images and --mask-folder."
            )
        return found

    def _read_classes(self, source: Location) -> ClassFile:
        if self.classes:
            inside = source / self.classes
            return read_class_file(inside if inside.is_file() else locate(self.classes))
        for name in _DEFAULT_CLASSES:
            if (source / name).is_file():
                return read_class_file(source / name)
        raise SourceError(
            f"{source} has no class file: expected {' or '.join(_DEFAULT_CLASSES[:2])} "
            "with one class per line, or name it with --classes."
        )
