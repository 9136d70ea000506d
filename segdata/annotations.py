"""The annotation dict: the narrow waist that every format produces.

One small JSON-able dict per image: paths and annotations, never pixels. Whatever
comes after it does not know the format.

    {"key": "train/0001TP_006690", "split": "train",
     "image": "train/0001TP_006690.png",
     "label_image": {"path": "trainannot/0001TP_006690.png", "encoding": "index"}}

    {"key": "000000000139", "image": "images/000000000139.jpg", "image_id": 139,
     "height": 426, "width": 640,
     "objects": [{"id": 3, "category_id": 62, "iscrowd": 0, "area": 1035.7,
                  "bbox": [x, y, width, height], "segmentation": [[x0, y0, ...]]}]}

    {"key": "Abyssinian_1", "image": "images/Abyssinian_1.jpg", "image_class": 1,
     "label_image": {"path": "annotations/trimaps/Abyssinian_1.png", ...},
     "mask_image": {"path": "annotations/trimaps/Abyssinian_1.png", ...},
     "objects": [{"category_id": 1, "mask_value": 1}],
     "regions": [{"name": "head", "bbox": [x, y, width, height]}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Literal, NotRequired, Required, TypedDict

LabelEncoding = Literal["index", "color", "binary"]
"""How a label image spells classes: by pixel value, by RGB colour, or as 0 and 1 by
zero and not zero."""

MaskEncoding = Literal["index", "id24"]
"""How a mask image spells objects: by the stored sample or palette index, or by
`R + 256 * G + 65536 * B`, as COCO's panoptic PNGs do."""


class LabelImage(TypedDict, total=False):
    """An image file whose pixels are class labels."""

    path: Required[str]
    """Path relative to the image directory, with forward slashes."""
    encoding: Required[LabelEncoding]
    """`index`: the stored pixel value. `color`: the colour, whatever the index.
    `binary`: 0 where the stored value is zero, else 1, whatever the depth."""
    tolerance: int
    """How far a value may lie from that of its class, 0 to 255 in each channel: for
    masks that were saved as JPEG. Such a pixel gets the nearest class and is counted.
    Absent: a lossy file is refused."""


class MaskImage(TypedDict, total=False):
    """An image file whose pixels say which object they belong to."""

    path: Required[str]
    """Path relative to the image directory, with forward slashes."""
    encoding: Required[MaskEncoding]
    """`index`: values that no object claims are nobody's. `id24`: so is 0; any other
    value must be some object's, and every object must be there."""
    objects: FoundObjects
    """How the objects are found in it, where the annotation lists none."""


class FoundObjects(TypedDict, total=False):
    """Objects that only a mask image tells: one for each value that stands in it.

    Exactly one of `category_id`, `factor` and `by_label_image` says what they are.
    """

    nobody: Required[list[int]]
    """Values that are no object: the background, such as 0, and borders."""
    category_id: int | str
    """The category of all of them."""
    factor: int
    """A value is `category id * factor + number`: 1000 in Cityscapes. A smaller value
    is a category id itself: a crowd where that is a class of objects."""
    by_label_image: bool
    """An object is of the class that most of its pixels have in the label image."""


class AnnotationFile(TypedDict, total=False):
    """A file with the annotations of one image, which the worker reads."""

    path: Required[str]
    """Path relative to the image directory, with forward slashes."""
    reader: Required[str]
    """Name of its reader, see `segdata.formats.annotation_reader`."""
    options: dict[str, Any]
    """What the reader is told besides; JSON-able."""


class MaskFile(TypedDict):
    """An image file that is the mask of one object: its pixels that are not zero."""

    path: str
    """Path relative to the image directory, with forward slashes."""
    category_id: int | str
    """Category id in the source."""


class Region(TypedDict, total=False):
    """A named box that is no object: it has no class and no mask."""

    name: Required[str]
    """What it is around, e.g. `head`."""
    bbox: Required[list[float]]
    """`[x, y, width, height]` in pixels."""
    source: dict[str, Any]
    """What else the source says of it; JSON-able."""


class ObjectAnnotation(TypedDict, total=False):
    """One object of an image, with COCO's names for things."""

    id: int | str
    """Annotation id in the source. Records hold numbers: text becomes -1 there."""
    category_id: int | str
    """Category id in the source; `category` may stand in its place."""
    category: str
    """Class name in the label map."""
    segmentation: Any
    """Whatever `segdata.masks.rle.rle` takes, or absent for a box-only object."""
    mask_value: int
    """In place of `segmentation`: the value of its pixels in the `mask_image`."""
    mask_file: str
    """In place of `segmentation`: path of one of the `mask_files`."""
    bbox: list[float]
    """`[x, y, width, height]` in pixels; derived from the mask where absent."""
    area: float
    """Pixels, as the source says; counted from the mask where absent."""
    iscrowd: int
    """1 for a region of many objects."""
    keypoints: list[float]
    """`x, y, visibility` of each keypoint of its class: pixels, and 0 to 2."""
    source: dict[str, Any]
    """What else the source says of it; JSON-able."""


class Annotation(TypedDict):
    """Everything known of one image before its pixels are read."""

    image: Required[str]
    """Path of the image relative to the image directory, with forward slashes."""
    key: NotRequired[str]
    """Stable name, unique in the dataset; the image path without its suffix where
    absent."""
    split: NotRequired[str]
    """Split that the source puts it in."""
    image_id: NotRequired[int | str]
    """Id of the image in the source. Evaluators want a number that float32 can hold:
    where not all are within 0 to 2**24, `image/source_id` gets numbers of our own."""
    height: NotRequired[int]
    """Height in pixels as the source says; checked against the file."""
    width: NotRequired[int]
    """Width in pixels as the source says; checked against the file."""
    label_image: NotRequired[LabelImage]
    """Where the label map is stored."""
    paint_label_map: NotRequired[bool]
    """Whether the label map is painted from the objects: `segdata.records.painting`."""
    mask_image: NotRequired[MaskImage]
    """Where the masks of objects with a `mask_value` are stored."""
    mask_files: NotRequired[list[MaskFile]]
    """Files of one mask each: objects behind those in `objects`."""
    annotation_file: NotRequired[AnnotationFile]
    """Where the rest of this dict is: what its reader finds is added when the record
    is encoded."""
    objects: NotRequired[list[ObjectAnnotation]]
    """Instances, in the source's order."""
    is_relative: NotRequired[bool]
    """Whether polygons and boxes are shares of the width and height, 0 to 1."""
    image_class: NotRequired[int | str]
    """Source category id of the whole image."""
    absent_classes: NotRequired[list[int | str]]
    """Source category ids of which the image verifiably has no object (LVIS's
    `neg_category_ids`): only there does an object that is found count as wrong."""
    incomplete_classes: NotRequired[list[int | str]]
    """Source category ids of which not every object is annotated (LVIS's
    `not_exhaustive_category_ids`)."""
    regions: NotRequired[list[Region]]
    """Named boxes that are no objects."""
    captions: NotRequired[list[str]]
    """Captions, in the source's order."""
    source: NotRequired[dict[str, Any]]
    """What else the source says of the image; JSON-able."""


def record_key(data: Mapping[str, Any]) -> str:
    """The record's key: `key`, or the image path without its suffix."""
    key = data.get("key")
    if key is not None:
        return str(key)
    path = PurePosixPath(data["image"])
    return str(path.with_suffix("") if path.name else path)  # `.` and `/` have no name
