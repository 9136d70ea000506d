"""How streams read: frozen options that refuse bad values when they are made."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from operator import index
from typing import Literal, Required, TypedDict

from segdata.errors import OptionError

Remainder = Literal["pad", "drop", "keep"]
ResizeMode = Literal["stretch", "pad", "cover", "short_side"]
Position = Literal["center", "top-left", "random"]
ImageDtype = Literal["uint8", "float32", "bfloat16"]
MaskKind = Literal["crops", "dense", "none"]
CrowdRule = Literal["separate", "drop"]
Overflow = Literal["largest", "first"]
BoxUnit = Literal["pixels", "normalized"]
Size = int | Sequence[int]
"""Height and width in pixels, or one number for both."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's pixels, red, green, blue, on a scale of 0 to 1."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Their standard deviation."""


def check_choice(what: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuses a value that is not one of the choices.

    Raises:
      OptionError: If it is not.
    """
    if value not in choices:
        *first, last = (repr(choice) for choice in choices)
        raise OptionError(
            f"{what} is {value!r}: expected {', '.join(first)} or {last}."
        )


def check_range(what: str, value: float, low: float, high: float | None = None) -> None:
    """Refuses a number outside a range, whose ends are allowed.

    Raises:
      OptionError: If it is outside.
    """
    if high is None and not low <= value:
        raise OptionError(f"{what} is {value}: expected at least {low}.")
    if high is not None and not low <= value <= high:
        raise OptionError(f"{what} is {value}: expected {low} to {high}.")


def read_size(what: str, size: Size) -> tuple[int, int]:
    """Height and width in pixels; one number means a square.

    Raises:
      OptionError: If it is neither.
    """
    try:
        height, width = map(index, size if isinstance(size, Sized) else (size, size))
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise OptionError(
            f"{what} is {size!r}: expected (height, width) or one number for both, at "
            "least 1."
        )
    return height, width


@dataclass(frozen=True, kw_only=True, slots=True)
class Resize:
    """How an image is fitted to the canvas of `image_size`."""

    mode: ResizeMode = "stretch"
    """`stretch` to all of the canvas; `pad`: keep the aspect, fit inside, pad the rest
    (letterbox); `cover`: keep the aspect, fill the canvas, cut the rest off;
    `short_side`: keep the aspect, make the short side `short_side` pixels long, or as
    long as fits, pad the rest. Whole pixels: the aspect is kept to half a pixel."""
    short_side: int | None = None
    """Pixels of the short side, for that mode."""
    position: Position = "center"
    """Where the image lies on the canvas, and which part of it is shown."""

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, ("stretch", "pad", "cover", "short_side"))
        check_choice("position", self.position, ("center", "top-left", "random"))
        if (self.mode == "short_side") != (self.short_side is not None):
            raise OptionError(
                f"mode is {self.mode!r} and short_side {self.short_side}: expected a "
                "number of pixels with mode 'short_side', and only there."
            )
        if self.short_side is not None:
            check_range("short_side", self.short_side, 1)

    def is_random(self, augmentation: Augmentation) -> bool:
        """Whether the position is drawn: asked for, or because the scale is."""
        return self.position == "random" or augmentation.scale != (1.0, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """What is random about images, masks and boxes, which all move together.

    Draws depend on the seed, the epoch and the record, on nothing else: neither on the
    number of hosts nor on where a run was resumed.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    """Lowest and highest factor on the size that `Resize` gives, drawn uniformly; the
    position is then random as well. `(0.1, 2.0)` with mode `pad` is large scale
    jitter."""
    horizontal_flip: float = 0.0
    """Probability of mirroring left and right."""
    vertical_flip: float = 0.0
    """Probability of mirroring top and bottom."""
    brightness: float = 0.0
    """Added: up to so much of the full scale, either way; 0 to 1."""
    contrast: float = 0.0
    """Multiplied around the image's mean grey: 1 plus or minus up to so much."""
    saturation: float = 0.0
    """Colours' distance from grey, multiplied: 1 plus or minus up to so much."""
    hue: float = 0.0
    """Turned around the grey axis (in YIQ): up to so much of a full turn; 0 to 0.5."""

    def __post_init__(self) -> None:
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] <= 100:
            raise OptionError(
                f"scale is {self.scale}: expected (lowest, highest), both above 0 and "
                "at most 100."
            )
        for name in ("horizontal_flip", "vertical_flip"):
            check_range(name, getattr(self, name), 0, 1)
        for name in ("brightness", "contrast", "saturation"):
            check_range(name, getattr(self, name), 0, 1)
        check_range("hue", self.hue, 0, 0.5)

    @property
    def changes_colors(self) -> bool:
        """Whether it does anything to colours."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))

    @property
    def is_random(self) -> bool:
        """Whether it does anything at all."""
        return self != Augmentation()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOptions:
    """What the pixels of an image are given as."""

    dtype: ImageDtype = "uint8"
    """`uint8` crosses the wire at a quarter of float32; models cast on the device."""
    mean: tuple[float, float, float] | None = None
    """Subtracted from pixels on a scale of 0 to 1. None: pixels stay 0 to 255."""
    std: tuple[float, float, float] | None = None
    """Divided by, after `mean`."""
    pad_color: tuple[int, int, int] = (0, 0, 0)
    """Colour of padding, 0 to 255, before normalisation."""

    def __post_init__(self) -> None:
        check_choice("dtype", self.dtype, ("uint8", "float32", "bfloat16"))
        if (self.mean is None) != (self.std is None):
            raise OptionError(
                f"mean is {self.mean} and std {self.std}: expected both or neither."
            )
        if self.mean is not None and self.dtype == "uint8":
            raise OptionError(
                "mean and std cannot be used with dtype 'uint8': expected 'float32' or "
                "'bfloat16'."
            )
        for name in ("mean", "std", "pad_color"):
            value = getattr(self, name)
            if value is not None and len(value) != 3:
                raise OptionError(f"{name} is {value}: expected three numbers.")
        if self.std is not None and min(self.std) <= 0:
            raise OptionError(f"std is {self.std}: expected numbers above 0.")
        for value in self.pad_color:
            check_range("pad_color", value, 0, 255)


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceOptions:
    """What `read_instances` gives of the objects."""

    max_objects: int = 100
    """Slots for objects in every record."""
    overflow: Overflow = "largest"
    """Which objects get the slots, and in which order: the `largest` first, by the area
    of what is shown of their box; or the `first` of the record. Targets always go
    before crowds."""
    masks: MaskKind = "crops"
    """`crops`: each object's mask sampled over its box, `[mask_size, mask_size]`;
    `dense`: on the whole canvas; `none`."""
    mask_size: int = 112
    """Height and width of a crop."""
    boxes: BoxUnit = "pixels"
    """Pixels of the canvas, or parts of its height and width."""
    crowds: CrowdRule = "separate"
    """`separate`: regions of many objects get slots after the objects, marked `crowd`,
    not `valid`; `drop`: they get none."""
    min_visible: float = 0.0
    """Share of an object's box that must be shown: objects below it, or of which
    nothing is shown, get no slot."""
    keypoints: bool = False
    """Give the objects' keypoints."""

    def __post_init__(self) -> None:
        check_range("max_objects", self.max_objects, 1)
        check_choice("overflow", self.overflow, ("largest", "first"))
        check_choice("masks", self.masks, ("crops", "dense", "none"))
        check_range("mask_size", self.mask_size, 1, 1024)
        check_choice("boxes", self.boxes, ("pixels", "normalized"))
        check_choice("crowds", self.crowds, ("separate", "drop"))
        check_range("min_visible", self.min_visible, 0, 1)


class OrderOptions(TypedDict, total=False):
    """What all readers take by name to choose which sample comes when."""

    batch_size: Required[int]
    """Records per batch of this host."""
    shuffle: bool
    """Shuffle records, differently in each epoch; False."""
    seed: int
    """Seed of shuffle and augmentation, 0; equal seeds give equal streams."""
    repeat: bool
    """Go on for ever, for training with a fixed number of steps; False."""
    remainder: Remainder
    """What becomes of a last batch that is not full: `pad` it (which is usual) with
    black images without objects, labels to ignore and `image_id` -1; `drop` it; or
    `keep` it short. Only with `keep` the batch dimension is dynamic and hosts' numbers
    of batches differ."""
    run_length: int
    """Neighbouring records that a shuffle keeps together, and that are read at once, 4;
    1 is a true shuffle, more suits slow disks and stores."""
    num_shards: int
    """Number of hosts, 1, that share each batch of the whole job, which has `batch_size
    * num_shards` records; see `segdata.hosts`."""
    shard_index: int
    """This host's place among them, from 0: it reads its part of each batch."""
    start_step: int
    """Batches that were read before, 0, to resume; nothing of them is read again."""
    start_sample: int
    """The same in samples of the whole job, for one whose batches were others."""


class ReadOptions(OrderOptions, total=False):
    """What both streams take by name; `segdata.read_semantic` tells what it means."""

    resize: Resize | None
    augmentation: Augmentation | None
    image: ImageOptions | None


class ReadSourceOptions(ReadOptions, total=False):
    """What `segdata.semantic_source` takes by name."""

    image_size: Size | None


class ReadSemanticOptions(ReadSourceOptions, total=False):
    """What `segdata.read_semantic` takes by name."""

    sample_weight: bool


class ReadInstancesOptions(ReadOptions, total=False):
    """What `segdata.read_instances` takes by name."""

    image_size: Required[Size]
    instances: InstanceOptions | None
    label_map: bool
