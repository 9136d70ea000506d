import dataclasses

import numpy as np
import pytest

from segdata.errors import OptionError
from segdata.reading.options import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    ImageOptions,
    InstanceOptions,
    Resize,
    read_size,
)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            Resize,
            {"mode": "fit"},
            "mode is 'fit': expected 'stretch', 'pad', 'cover' or",
        ),
        (
            Resize,
            {"mode": "short_side"},
            "short_side None: expected a number of pixels",
        ),
        (Resize, {"short_side": 8}, "mode is 'stretch' and short_side 8"),
        (Resize, {"mode": "short_side", "short_side": 0}, "short_side is 0"),
        (Resize, {"position": "left"}, "position is 'left'"),
        (Augmentation, {"scale": (2.0, 1.0)}, r"scale is \(2.0, 1.0\): expected"),
        (Augmentation, {"scale": (0.0, 1.0)}, r"scale is \(0.0, 1.0\)"),
        (
            Augmentation,
            {"horizontal_flip": 1.5},
            "horizontal_flip is 1.5: expected 0 to",
        ),
        (Augmentation, {"hue": 0.6}, "hue is 0.6: expected 0 to 0.5"),
        (Augmentation, {"contrast": -0.1}, "contrast is -0.1"),
        (ImageOptions, {"dtype": "int8"}, "dtype is 'int8'"),
        (ImageOptions, {"mean": (0, 0, 0)}, "std None: expected both or neither"),
        (ImageOptions, {"mean": (0, 0, 0), "std": (1, 1, 1)}, "with dtype 'uint8'"),
        (
            ImageOptions,
            {"pad_color": (0, 0, 256)},
            "pad_color is 256: expected 0 to 255",
        ),
        (ImageOptions, {"pad_color": (0, 0)}, "expected three numbers"),
        (InstanceOptions, {"max_objects": 0}, "max_objects is 0: expected at least 1"),
        (InstanceOptions, {"masks": "boxes"}, "masks is 'boxes'"),
        (InstanceOptions, {"mask_size": 0}, "mask_size is 0: expected 1 to 1024"),
        (InstanceOptions, {"min_visible": 2}, "min_visible is 2: expected 0 to 1"),
        (InstanceOptions, {"crowds": "keep"}, "crowds is 'keep'"),
        (InstanceOptions, {"overflow": "last"}, "overflow is 'last'"),
        (InstanceOptions, {"boxes": "xywh"}, "boxes is 'xywh'"),
    ],
)
def test_bad_options_are_refused_when_they_are_made(make, options, message):
    with pytest.raises(OptionError, match=message):
        make(**options)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(64, (64, 64)), ((3, 4), (3, 4)), ([3, 4], (3, 4)), (np.int64(5), (5, 5))],
)
def test_one_number_means_a_square(size, expected):
    assert read_size("image_size", size) == expected


@pytest.mark.parametrize("size", [0, -1, 6.5, "64", (3,), (3, 4, 5), (3, 0), None])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(OptionError, match=r"size is .*: expected \(height, width\)"):
        read_size("image_size", size)


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(OptionError, match=r"std is .*: expected numbers above 0"):
        ImageOptions(dtype="float32", mean=IMAGENET_MEAN, std=(0.2, 0.0, 0.2))
    ImageOptions(dtype="bfloat16", mean=IMAGENET_MEAN, std=IMAGENET_STD)


@pytest.mark.parametrize("options", [Resize(), Augmentation(), InstanceOptions()])
def test_options_are_frozen_and_keyword_only(options):
    field = dataclasses.fields(options)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(options, field, 1)
    with pytest.raises(TypeError, match="positional"):
        type(options)("pad")


def test_options_know_whether_they_are_random():
    assert not Augmentation().is_random
    assert Augmentation(vertical_flip=0.1).is_random
    assert not Augmentation(scale=(0.5, 2.0)).changes_colors
    assert Augmentation(hue=0.1).changes_colors
    assert Resize(position="random").is_random(Augmentation())
    assert Resize().is_random(Augmentation(scale=(0.5, 2.0)))
    assert not Resize(mode="pad").is_random(Augmentation(horizontal_flip=0.5))
