"""Every feature key of a record and its type: the only place where a key is written.

The schema is a superset of what the Object Detection API, TF Model Garden and TFDS
read; keys of our own lie under `segdata/` and under the `rle` names, which no public
tool uses. Whatever changes here changes `SCHEMA_VERSION`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SCHEMA_VERSION = 2
"""Version of the record layout; readers refuse records that are newer than they."""

Kind = Literal["bytes", "int64", "float"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One key of the record."""

    key: str
    """Name in the `tf.train.Example`."""
    kind: Kind
    """Which of the three value lists holds it."""
    is_list: bool
    """False: exactly one value in every record. True: any number, maybe none."""
    doc: str
    """Meaning, unit and range."""


def _scalar(key: str, kind: Kind, doc: str) -> Feature:
    return Feature(key=key, kind=kind, is_list=False, doc=doc)


def _list(key: str, kind: Kind, doc: str) -> Feature:
    return Feature(key=key, kind=kind, is_list=True, doc=doc)


SCHEMA = _scalar("segdata/schema_version", "int64", "Version of this layout.")
KEY = _scalar("segdata/key", "bytes", "Stable name of the record, UTF-8.")
NOTES = _list(
    "segdata/notes",
    "bytes",
    "What was changed against the source or looked odd, by name.",
)

SOURCE_IMAGE_ID = _scalar(
    "segdata/image_id",
    "bytes",
    "The image's id in the source, a number or text, as text; empty where it has none.",
)
SOURCE_FIELDS = _scalar(
    "segdata/source",
    "bytes",
    "JSON object, keys sorted: what else the source says of the image, e.g. a licence.",
)

ENCODED = _scalar("image/encoded", "bytes", "JPEG or PNG file, grey or RGB, 8 bits.")
FORMAT = _scalar("image/format", "bytes", "`jpeg` or `png`, found by content.")
HEIGHT = _scalar("image/height", "int64", "Height of the encoded image in pixels.")
WIDTH = _scalar("image/width", "int64", "Width of the encoded image in pixels.")
FILENAME = _scalar("image/filename", "bytes", "Path below the source, UTF-8.")
SOURCE_ID = _scalar(
    "image/source_id",
    "bytes",
    "Decimal number, unique in the dataset, 0 to 2**24 (of more than 2**23 records: "
    "below four times their number): evaluators parse it as int64 and carry it as "
    "float32.",
)
SHA256 = _scalar("image/key/sha256", "bytes", "Hex SHA-256 of the encoded image.")

CAPTIONS = _list("image/caption", "bytes", "Captions, UTF-8, in the source's order.")
IMAGE_LABEL = _list(
    "image/class/label", "int64", "Contiguous id of the object class of the image."
)
IMAGE_TEXT = _list("image/class/text", "bytes", "Its name, UTF-8.")
IMAGE_CATEGORY = _list("image/class/source_id", "bytes", "Its source id, as text.")
ABSENT_CLASSES = _list(
    "image/neg_category_ids",
    "int64",
    "Contiguous ids of object classes that are verified to be absent (LVIS).",
)
INCOMPLETE_CLASSES = _list(
    "image/not_exhaustive_category_ids",
    "int64",
    "Contiguous ids of object classes of which some objects lack (LVIS).",
)
REGION_YMIN = _list("image/region/bbox/ymin", "float", "Box top / height, 0 to 1.")
REGION_XMIN = _list("image/region/bbox/xmin", "float", "Box left / width, 0 to 1.")
REGION_YMAX = _list("image/region/bbox/ymax", "float", "Box bottom / height, 0 to 1.")
REGION_XMAX = _list("image/region/bbox/xmax", "float", "Box right / width, 0 to 1.")
REGION_TEXT = _list("image/region/text", "bytes", "What the box is around, e.g. head.")
REGION_SOURCE = _list(
    "image/region/source",
    "bytes",
    "JSON object, keys sorted: `bbox` [x, y, width, height] in pixels and what else "
    "the source says of the region.",
)

LABEL_VALUES = _scalar(
    "image/segmentation/class/rle/values",
    "bytes",
    "Label map: one uint8 class id per row-major run.",
)
LABEL_LENGTHS = _list(
    "image/segmentation/class/rle/lengths",
    "int64",
    "Label map: pixels of each run, at least 1, summing to height * width.",
)
VOIDED_PIXELS = _scalar(
    "segdata/voided_pixels",
    "int64",
    "Label-map pixels of unknown source values that were sent to the unknown id.",
)

LABEL_PNG = _scalar(
    "image/segmentation/class/encoded",
    "bytes",
    "Label map once more, as PNG: 8 bits, one channel, no palette; 255 is ignored.",
)
LABEL_PNG_FORMAT = _scalar("image/segmentation/class/format", "bytes", "`png`.")
PANOPTIC_CATEGORY = _scalar(
    "image/panoptic/category_mask",
    "bytes",
    "PNG of 8 bits: class id of each pixel, 0 for void.",
)
PANOPTIC_INSTANCE = _scalar(
    "image/panoptic/instance_mask",
    "bytes",
    "PNG of 8 bits: number of the thing at each pixel, 0 for stuff and void.",
)

OBJECT_COUNT = _scalar("image/object/count", "int64", "Number of objects, also if 0.")
OBJECT_YMIN = _list("image/object/bbox/ymin", "float", "Box top / height, 0 to 1.")
OBJECT_XMIN = _list("image/object/bbox/xmin", "float", "Box left / width, 0 to 1.")
OBJECT_YMAX = _list("image/object/bbox/ymax", "float", "Box bottom / height, 0 to 1.")
OBJECT_XMAX = _list("image/object/bbox/xmax", "float", "Box right / width, 0 to 1.")
OBJECT_LABEL = _list("image/object/class/label", "int64", "Contiguous class id, >= 1.")
OBJECT_TEXT = _list("image/object/class/text", "bytes", "Class name, UTF-8.")
OBJECT_CATEGORY = _list(
    "image/object/class/source_id",
    "int64",
    "Category id in the source; -1 where it is not a number.",
)
OBJECT_ID = _list("image/object/id", "int64", "Annotation id in the source, or -1.")
OBJECT_IS_CROWD = _list("image/object/is_crowd", "int64", "1: a region of many.")
OBJECT_AREA = _list("image/object/area", "float", "Pixels, as the source says.")
OBJECT_RUNS = _list(
    "image/object/mask/rle/ragged_flat_values",
    "int64",
    "Row-major runs of all objects one after another, each background first, of an "
    "even number, summing to height * width.",
)
OBJECT_NUM_RUNS = _list(
    "image/object/mask/rle/ragged_row_lengths_0",
    "int64",
    "Number of runs of each object; 0: the source gives a box but no mask.",
)

OBJECT_SOURCE = _list(
    "image/object/source",
    "bytes",
    "JSON object, keys sorted: every field of the object in the source but its "
    "segmentation, as it stands there: ids of any kind, box and area to the digit.",
)
OBJECT_MASK = _list(
    "image/object/mask",
    "bytes",
    "Masks once more, as PNG of the image's size: 1 on the object, else 0.",
)
OBJECT_MASK_WEIGHT = _list(
    "image/object/mask/weight", "float", "0: the source gives no mask; else 1."
)
KEYPOINT_X = _list(
    "image/object/keypoint/x",
    "float",
    "x / width of each keypoint; as many per object as the dataset's longest list.",
)
KEYPOINT_Y = _list("image/object/keypoint/y", "float", "y / height, likewise.")
KEYPOINT_VISIBILITY = _list(
    "image/object/keypoint/visibility",
    "int64",
    "0 not labelled, 1 hidden, 2 visible, likewise.",
)
KEYPOINT_TEXT = _list("image/object/keypoint/text", "bytes", "Name, UTF-8, likewise.")
KEYPOINT_NUM = _list(
    "image/object/keypoint/num", "int64", "Labelled keypoints of each object."
)

IMAGE_FEATURES = (
    SCHEMA,
    KEY,
    NOTES,
    SOURCE_IMAGE_ID,
    SOURCE_FIELDS,
    ENCODED,
    FORMAT,
    HEIGHT,
    WIDTH,
    FILENAME,
    SOURCE_ID,
    SHA256,
    OBJECT_COUNT,
)
"""In every record."""

CAPTION_FEATURES = (CAPTIONS,)
"""In records whose annotation has captions, also if it has none of them."""

IMAGE_CLASS_FEATURES = (IMAGE_LABEL, IMAGE_TEXT, IMAGE_CATEGORY)
"""In records whose annotation names a class of the whole image."""

VERIFIED_FEATURES = (ABSENT_CLASSES, INCOMPLETE_CLASSES)
"""In records whose annotation says which classes were looked for, also if it names
none. The Object Detection API evaluates LVIS by them."""

REGION_FEATURES = (
    REGION_YMIN,
    REGION_XMIN,
    REGION_YMAX,
    REGION_XMAX,
    REGION_TEXT,
    REGION_SOURCE,
)
"""In records whose annotation has regions, also if it has none of them."""

LABEL_MAP_FEATURES = (LABEL_VALUES, LABEL_LENGTHS, VOIDED_PIXELS)
"""In records that have a label map."""

OBJECT_FEATURES = (
    OBJECT_YMIN,
    OBJECT_XMIN,
    OBJECT_YMAX,
    OBJECT_XMAX,
    OBJECT_LABEL,
    OBJECT_TEXT,
    OBJECT_CATEGORY,
    OBJECT_ID,
    OBJECT_IS_CROWD,
    OBJECT_AREA,
    OBJECT_RUNS,
    OBJECT_NUM_RUNS,
    OBJECT_SOURCE,
)
"""In every record of a dataset that has object classes, also where there are none."""

KEYPOINT_FEATURES = (
    KEYPOINT_X,
    KEYPOINT_Y,
    KEYPOINT_VISIBILITY,
    KEYPOINT_TEXT,
    KEYPOINT_NUM,
)
"""In every record of a dataset whose classes have keypoints."""

OBJECT_PNG_FEATURES = (OBJECT_MASK, OBJECT_MASK_WEIGHT)
"""With PNG masks: in every record of a dataset that has object classes."""

LABEL_PNG_FEATURES = (LABEL_PNG, LABEL_PNG_FORMAT)
"""With PNG masks: in records that have a label map, and in all of a panoptic dataset.
"""

PANOPTIC_PNG_FEATURES = (PANOPTIC_CATEGORY, PANOPTIC_INSTANCE)
"""With PNG masks: in every record of a panoptic dataset."""

CAPTION_PART, IMAGE_CLASS_PART = "captions", "image_class"
VERIFIED_PART, REGION_PART, LABEL_MAP_PART = "verified", "regions", "label_map"
OPTIONAL_PARTS = {
    CAPTION_PART: CAPTION_FEATURES,
    IMAGE_CLASS_PART: IMAGE_CLASS_FEATURES,
    VERIFIED_PART: VERIFIED_FEATURES,
    REGION_PART: REGION_FEATURES,
    LABEL_MAP_PART: LABEL_MAP_FEATURES,
}
"""What one record may have and the next may lack; builds count the records of each."""

ALL_FEATURES = (
    IMAGE_FEATURES
    + CAPTION_FEATURES
    + IMAGE_CLASS_FEATURES
    + VERIFIED_FEATURES
    + REGION_FEATURES
    + LABEL_MAP_FEATURES
    + OBJECT_FEATURES
    + KEYPOINT_FEATURES
    + OBJECT_PNG_FEATURES
    + LABEL_PNG_FEATURES
    + PANOPTIC_PNG_FEATURES
)
