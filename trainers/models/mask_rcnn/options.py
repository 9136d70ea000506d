"""How Mask R-CNN is built, trained on samples, and made to predict."""

from __future__ import annotations

from dataclasses import dataclass

from segdata.errors import OptionError
from segdata.trainers.models.options import MIN_SIZE

ENCODERS = (
    "resnet-50",
    "mobilenet-v2",
    "efficientnet-lite0",
    "efficientnet-v2-b0",
    "convnext-tiny",
)
"""Encoders with maps of strides 4 to 32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskRCNNOptions:
    """Options of `build_mask_rcnn`; defaults are those of the paper's ResNet-50-FPN.

    Where the papers leave a choice, they are those of the TPU implementation.
    """

    image_size: tuple[int, int]
    """Height and width of the canvas in pixels, any from 32."""
    classes: int
    """Classes of objects, without the background: ids are 1 to `classes`."""
    encoder: str = "resnet-50"
    """One of `ENCODERS`."""
    weights: str | None = None
    """Of the encoder, as in `ModelOptions`."""
    load_weights: bool = True
    """Whether to load them; not where trained ones of the same model follow."""
    freeze_encoder: bool = False
    """Whether the encoder stays as its weights have it, batch normalisation too."""
    freeze_batch_norm: bool = False
    """Leave the encoder's batch normalisation as its weights have it: for fine-tuning
    with few images a device. Never with random weights."""
    batch_norm_momentum: float = 0.9
    """Share that running statistics keep in a step."""
    pyramid_batch_norm: bool = False
    """Batch normalisation in the pyramid: for training from random weights."""

    pyramid_width: int = 256
    """Channels of the feature pyramid."""
    anchor_scale: float = 8.0
    """Side of a square anchor, in strides of its level: 8 gives 32 to 512 pixels."""
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width of anchors."""

    rpn_samples: int = 256
    """Anchors of an image that the RPN learns from, at most half of them positive."""
    rpn_candidates: int = 2000
    """Boxes of each level that go into the RPN's NMS while training."""
    rpn_candidates_test: int = 1000
    """The same when predicting."""
    proposals: int = 1000
    """Boxes of all levels that come out of it."""
    rpn_nms: float = 0.7
    """IoU above which the RPN's NMS drops the lower score."""

    roi_samples: int = 512
    """Proposals of an image that the heads learn from."""
    roi_foreground: float = 0.25
    """Share of them that are kept for objects; the mask head sees no others."""
    roi_iou: float = 0.5
    """IoU with an object from which a proposal is one of it."""
    roi_canonical: float = 224.0
    """Side in pixels of a ROI that goes to level 4; half of it goes to level 3. 224 is
    that of the ImageNet pictures encoders learn from; small canvases want less."""
    roi_points: int = 2
    """Samples of a cell of ROIAlign, in each direction."""
    box_size: int = 7
    """Cells that the box head sees of a ROI, in each direction."""
    box_width: int = 1024
    """Channels of the box head's two layers."""
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    """Factors on what the box head learns: offsets y and x, log height and width."""
    mask_size: int = 28
    """Height and width of predicted masks, even: twice what the mask head sees."""
    mask_width: int = 256
    """Channels of the mask head."""
    mask_convolutions: int = 4
    """Its 3x3 convolutions."""

    detections: int = 100
    """Slots for detections of an image."""
    candidates: int = 2000
    """Pairs of a box and a class that go into the last NMS."""
    nms: float = 0.5
    """IoU above which it drops the lower score of the same class."""
    class_agnostic: bool = False
    """Whether it drops the lower score of any class."""
    min_score: float = 0.05
    """Detections below this score are none."""

    max_objects: int = 100
    """Slots for true objects of an image that streams give: more make steps slower."""
    seed: int = 0
    """Of the samples that are drawn."""

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise OptionError(
                f"encoder {self.encoder!r} has no feature pyramid: expected one of "
                f"{', '.join(ENCODERS)}."
            )
        if len(self.image_size) != 2 or min(self.image_size) < MIN_SIZE:
            raise OptionError(
                f"image_size is {self.image_size}: expected (height, width), both at "
                f"least {MIN_SIZE}."
            )
        if self.freeze_batch_norm and self.weights is None:
            raise OptionError(
                "freeze_batch_norm is True with random weights: batch normalisation "
                "would do nothing. Pass weights, or leave it out."
            )
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise OptionError(
                    f"{name} is {getattr(self, name)}: expected at least 1."
                )
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is {getattr(self, name)}: expected 0 to 1.")
        if self.roi_canonical <= 0:
            raise OptionError(
                f"roi_canonical is {self.roi_canonical}: expected a number above 0."
            )
        if self.mask_size % 2:
            raise OptionError(
                f"mask_size is {self.mask_size}: expected an even number, for the mask "
                "head doubles what it sees."
            )
        if (
            self.anchor_scale <= 0
            or not self.anchor_ratios
            or min(self.anchor_ratios) <= 0
        ):
            raise OptionError(
                f"anchor_scale is {self.anchor_scale} and anchor_ratios "
                f"{self.anchor_ratios}: expected numbers above 0."
            )

    @property
    def foreground_samples(self) -> int:
        """ROIs of an image that the mask head learns from, at least 1."""
        return max(1, int(self.roi_samples * self.roi_foreground))


_COUNTS = (
    "classes",
    "pyramid_width",
    "rpn_samples",
    "rpn_candidates",
    "rpn_candidates_test",
    "proposals",
    "roi_samples",
    "roi_points",
    "box_size",
    "box_width",
    "mask_size",
    "mask_width",
    "mask_convolutions",
    "detections",
    "candidates",
    "max_objects",
)
_SHARES = (
    "batch_norm_momentum",
    "rpn_nms",
    "roi_foreground",
    "roi_iou",
    "nms",
    "min_score",
)
