"""Folders of images and folders of masks: what most people's own data look like.

    images/...           any folders below them; train/, val/, test/ make splits
    masks/...            the same folders and names: index, palette or colour masks
    classes.txt          see `segdata.formats.class_files`

or the same pair of folders once for each split (`train/images/ train/masks/`,
`train/ train_masks/`), or all in one folder (`x.jpg`, `x_mask.png`). `places.py` finds
the folders, `affixes.py` what names have around their shared part, `labels.py` what
the masks hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import ClassVar, Literal

from segdata.errors import OptionError, SourceError
from segdata.formats.base import Guess, Scan
from segdata.formats.mask_folder.candidates import Wanted
from segdata.formats.mask_folder.census import sample_of, take_census
from segdata.formats.mask_folder.classes import find_class_file, leaves_out_255
from segdata.formats.mask_folder.labels import Choice, Labels, choose_labels
from segdata.formats.mask_folder.numbered import Numbers, number_objects
from segdata.formats.mask_folder.places import Places, find_places, several_masks
from segdata.storage.paths import Location

_PROBED = 8


@dataclass(frozen=True, kw_only=True)
class MaskFolder:
    """Options of `segdata build mask-folder`."""

    name: ClassVar[str] = "mask-folder"
    summary: ClassVar[str] = "A folder of images and a folder of masks, paired by name."

    classes: str = field(
        default="",
        metadata={
            "help": "Class file, in SOURCE or as a path: lines of 'name', 'id name' or "
            "'id name r g b', or CSV; also CVAT's, labelme's, Roboflow's. [default: "
            "classes.txt or another known name in SOURCE, else the masks' own values]"
        },
    )
    images: str = field(
        default="",
        metadata={"help": "Folder of the images. [default: found by name, as images]"},
    )
    mask_folder: str = field(
        default="",
        metadata={"help": "Folder of the masks. [default: found by name, as masks]"},
    )
    image_suffix: str = field(
        default="",
        metadata={
            "help": "What the names of images have behind the part that they share "
            "with their masks, such as _leftImg8bit; img_* for before it. [default: "
            "found by itself]"
        },
    )
    mask_suffix: str = field(
        default="",
        metadata={
            "help": "What the names of masks have behind the shared part, such as "
            "_mask; mask_* for before it. [default: found by itself]"
        },
    )
    labels: Literal["auto", "index", "color", "binary"] = field(
        default="auto",
        metadata={
            "help": "How masks spell classes: by index (grey, or palette index), by "
            "colour, or binary (zero and not zero, whatever the depth). auto: colour "
            "where the class file has colours and the masks are RGB; without a class "
            "file binary where there are two values."
        },
    )
    tolerance: int = field(
        default=0,
        metadata={
            "help": "How far a value or colour may lie from that of its class, 1 to "
            "255 in each channel, for masks saved as JPEG. [default: not at all; "
            "JPEGs of binary labels go to the nearer one]"
        },
    )
    instances: str = field(
        default="",
        metadata={
            "help": "Class of the objects, where the values of masks number objects "
            "(0 is nobody) or each object has a mask file of its own."
        },
    )
    split_lists: str = field(
        default="",
        metadata={
            "help": "Folder of lists that name the images of each split, such as "
            "train.txt and val.txt. [default: ImageSets/Segmentation where it is]"
        },
    )
    ignore: str = field(
        default="",
        metadata={
            "help": "Class or pixel value to ignore in training, e.g. 255. [default: "
            "nothing]"
        },
    )
    unknown: Literal["error", "void"] = field(
        default="error",
        metadata={
            "help": "Pixel values that no class has: fail, or ignore them and count."
        },
    )

    def __post_init__(self) -> None:
        """Checks the options.

        Raises:
          OptionError: If a folder is not below SOURCE, or an option is of no use.
        """
        for option, folder in (
            ("images", self.images),
            ("mask-folder", self.mask_folder),
            ("split-lists", self.split_lists),
        ):
            path = PurePosixPath(folder)
            if path.is_absolute() or ".." in path.parts:
                raise OptionError(
                    f"--{option} is {folder!r}: expected a folder below SOURCE, as a "
                    "relative path. Name the folder that holds both as SOURCE."
                )
        for option, text in (
            ("image-suffix", self.image_suffix),
            ("mask-suffix", self.mask_suffix),
        ):
            if "/" in text or text.count("*") > 1:
                raise OptionError(
                    f"--{option} is {text!r}: expected the end of a file's name, "
                    "without its ending, such as _mask, or its beginning, as mask_*."
                )
        if not 0 <= self.tolerance <= 255:
            raise OptionError(f"--tolerance is {self.tolerance}: expected 0 to 255.")
        if self.instances and self.labels != "auto":
            raise OptionError(
                "--instances has objects in place of labels: leave out --labels."
            )

    @classmethod
    def recognize(cls, folder: Location) -> Guess | None:
        """See `segdata.formats.base.Format.recognize`."""
        places = find_places(folder, Wanted())
        if places.objects is not None:
            return Guess(title="a mask file for each object")
        if places.pairs is None:
            told = "several masks of each image"
            return Guess(title=told) if places.is_sure else None
        options = {}
        classes = find_class_file(folder, "", places.folders)
        census = take_census(folder, sample_of(places.masks, _PROBED))
        if classes is None and census.numbers_objects:
            options["instances"] = "object"
        elif (
            census.has_void
            if classes is None
            else leaves_out_255(
                classes, census, [folder / path for path in places.masks]
            )
        ):
            options["ignore"] = "255"
        return Guess(title=places.told, options=options, is_sure=places.is_sure)

    def scan(self, source: Location) -> Scan:
        """See `segdata.formats.base.Format.scan`."""
        images, masks = (
            str(PurePosixPath(f)) if f else "" for f in (self.images, self.mask_folder)
        )
        suffixes = (self.image_suffix, self.mask_suffix)
        wanted = Wanted(images=images, masks=masks, affixes=suffixes)
        places = find_places(source, wanted)
        if places.objects is not None:
            return places.objects.scan(self.instances or "object")
        if places.refusal:
            raise SourceError(f"{source} {places.refusal}.")
        pairs = places.pairs
        if pairs is None:
            raise SourceError(
                f"{source} has no images with masks: expected the folders "
                f"{images or 'images'}/ and {masks or 'masks'}/ with files of "
                "the same names, there or in the folder of each split, or x.jpg with "
                "x_mask.png. Name them with --images, --mask-folder or --mask-suffix."
            )
        listed = places.take_lists(source, self.split_lists)
        labels = self._labels(source, places)
        if pairs.further and isinstance(labels, Labels) and labels.is_two_valued:
            return several_masks(pairs, [*labels.label_map][-1])
        return Scan(
            label_map=labels.label_map,
            annotations=pairs.annotations(labels.read),
            layout=f"{places.told}, {labels.told}",
            warnings=(
                *places.warnings,
                *pairs.warnings(),
                *listed.warnings,
                *labels.warnings,
            ),
            problems=(*pairs.problems, *listed.problems),
        )

    def _labels(self, source: Location, places: Places) -> Labels | Numbers:
        if self.instances:
            return number_objects(source, places.masks, self.instances, self.ignore)
        return choose_labels(
            source,
            places.masks,
            find_class_file(source, self.classes, places.folders),
            Choice(
                labels=self.labels,
                tolerance=self.tolerance,
                ignore=self.ignore,
                unknown=self.unknown,
                is_file_named=bool(self.classes),
            ),
            places.folders,
        )
