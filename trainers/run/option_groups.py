"""The options of a training run, in groups.

With each field stand its help text, its range, and the kind of model that it is for.
`segdata train --help` shows those of `_main`; `--options` shows all.
"""

# ruff: noqa: RUF009 - `_option` and its like give fields, not values.
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from segdata.reading.options import Augmentation
from segdata.trainers.models import Task, task_of
from segdata.trainers.models.options import Upsampling

EncoderName = Literal[
    "vgg-16",
    "resnet-50",
    "mobilenet-v2",
    "efficientnet-lite0",
    "efficientnet-v2-b0",
    "convnext-tiny",
]
LossKind = Literal["cross-entropy", "dice", "both"]
ClassWeights = Literal["none", "median-frequency"]
OptimizerName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "poly", "cosine", "steps"]
Precision = Literal["float32", "mixed-bfloat16"]
Switch = Literal["auto", "on", "off"]


def _option(
    default: Any,
    text: str,
    low: Any = None,
    high: Any = None,
    *,
    task: Any = None,
    main: bool = False,
) -> Any:
    """A field: its help text, the range of its values, the one task it is for.

    `main`: whether it stands in the help.
    """
    known = {"help": text, "low": low, "high": high, "task": task, "main": main}
    return field(default=default, metadata=known)


def _main(default: Any, text: str, low: Any = None, high: Any = None) -> Any:
    """An option that stands in the help."""
    return _option(default, text, low, high, main=True)


def _semantic(default: Any, text: str, low: Any = None, high: Any = None) -> Any:
    """An option of models that label pixels only."""
    return _option(default, text, low, high, task="semantic")


def _instances(default: Any, text: str, low: Any = None, high: Any = None) -> Any:
    """An option of models that find objects only."""
    return _option(default, f"Mask R-CNN: {text}", low, high, task="instances")


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """Which model."""

    model: str

    encoder: EncoderName | None = _main(None, "Encoder. [default: the model's own]")
    weights: str | None = _main(
        None,
        "Weights of the encoder: imagenet, or a file of keras.applications (of "
        "efficientnet-lite0: a .pth state dict).",
    )
    initial_weights: str | None = _main(
        None,
        "Weights of the whole model to begin with: those of another run, also one of "
        "other classes.",
    )
    freeze_encoder: bool = _option(
        False, "Leave the encoder as its weights have it, batch norm too."
    )
    upsampling: Upsampling | None = _semantic(
        None,
        "Upsampling in the decoder: nearest, bilinear or transposed convolution. "
        "[default: as in the model's paper]",
    )
    batch_norm: bool = _semantic(
        True, "Batch norm in decoders, and in VGG-16 without weights."
    )
    batch_norm_momentum: float = _option(
        0.9, "Momentum of the running statistics of batch norm.", 0, 1
    )
    width: int | None = _option(
        None, "Base number of decoder channels. [default: the paper's]"
    )
    fc_width: int | None = _semantic(
        None, "FCN on VGG-16: channels of fc6 and fc7. [default: 4096]"
    )
    dropout: float | None = _semantic(None, "Dropout rate. [default: the paper's]")

    @property
    def task(self) -> Task:
        """Whether the model labels pixels or finds objects."""
        return task_of(self.model)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which images, at which size."""

    data: str

    train_split: str = _option(
        "train", "Split to train on; where it is not there, training or trainval."
    )
    val_split: str | None = _main(
        None,
        "Split to validate on, or none. [default: the one named val, valid or "
        "validation]",
    )
    image_size: tuple[int, int] | None = _main(
        None,
        "HEIGHTxWIDTH that images are stretched to; Mask R-CNN fits them into it. "
        "[default: as stored, but at most 256 pixels wide or high; 512 for Mask R-CNN]",
    )
    eval_image_size: tuple[int, int] | None = _semantic(
        None, "HEIGHTxWIDTH to validate and predict at. [default: --image-size]"
    )
    void: Literal["ignore", "learn"] = _semantic(
        "ignore",
        "What to do with the ignored class: mask it in the loss, or train it as a "
        "class.",
    )
    max_objects: int | None = _instances(
        None,
        "Ground-truth objects kept per image, largest first. [default: the most in "
        "any image as counted by `segdata stats`, at most 100]",
        1,
    )
    batch_size: int = _main(
        0,
        "Images per step, over all devices and hosts. [default: 8; 4 of fewer than "
        "100 images]",
        0,
    )
    seed: int = _option(0, "Seed of weights, dropout, order and augmentation.")


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions:
    """What is random about the images to learn from."""

    scale: tuple[float, float] = _option(
        (1.0, 1.0), "Range of the random zoom; above 1 the image is cropped."
    )
    flip: float = _option(0.5, "Probability of a horizontal flip.")
    brightness: float = _option(0.0, "Largest random change, as a share of full scale.")
    contrast: float = _option(0.0, "Largest random change, as a factor above 1.")
    saturation: float = _option(0.0, "Largest random change, as a factor above 1.")
    hue: float = _option(0.0, "Largest random turn of the hue, 0 to 0.5.")

    def augmentation(self) -> Augmentation:
        """As streams take it.

        Raises:
          OptionError: If one of its values is out of range.
        """
        return Augmentation(
            scale=self.scale,
            horizontal_flip=self.flip,
            brightness=self.brightness,
            contrast=self.contrast,
            saturation=self.saturation,
            hue=self.hue,
        )


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """What only a model of objects has."""

    freeze_batch_norm: bool = _instances(
        False, "Do not update the encoder's batch-norm statistics."
    )
    pyramid_batch_norm: bool = _instances(
        False, "Batch norm in the FPN; needed without pretrained weights."
    )
    anchor_scale: float = _instances(
        8.0, "Side of an anchor in strides of its level, which are 4 to 64 pixels."
    )
    candidates: int = _instances(
        2000,
        "Proposals per pyramid level before NMS (half as many at inference).",
        2,
    )
    proposals: int = _instances(1000, "Proposals kept per image after NMS.", 2)
    rpn_samples: int = _instances(256, "Anchors sampled per image for the loss.", 2)
    roi_samples: int = _instances(512, "Proposals sampled per image for the loss.", 2)
    roi_canonical: float = _instances(
        224.0,
        "Box size in pixels that is assigned to pyramid level 4. The paper's suits "
        "images of 800 pixels and more.",
    )
    box_width: int = _instances(1024, "Channels of the box head.", 1)
    mask_width: int = _instances(256, "Channels of the mask head.", 1)
    detections: int = _instances(100, "Largest number of objects found per image.", 1)
    score_every: int = _instances(
        5,
        "Epochs between scores (AP) on the validation split; 0: none, and the best "
        "epoch is that of the lowest loss.",
        0,
    )


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """Loss, optimiser, and how long."""

    loss: LossKind = _option("cross-entropy", "Loss.", task="semantic", main=True)
    class_weights: ClassWeights = _semantic(
        "none", "Class weights in cross-entropy, from the manifest's pixel counts."
    )
    class_weight_power: float = _semantic(1.0, "Power of class weights, 0 to 1.", 0, 1)
    class_weight_limit: float = _semantic(10.0, "Largest class weight.", 1)
    auxiliary_weight: float = _semantic(0.4, "Weight of PSPNet's auxiliary loss.", 0)

    optimizer: OptimizerName = _main("adam", "Optimizer.")
    learning_rate: float = _main(
        0.0,
        "Highest learning rate. [default: by model, encoder and optimizer]",
        0,
    )
    encoder_rate: float = _option(
        1.0, "Learning rate of the encoder, as a share of learning_rate.", 0, 1
    )
    schedule: Schedule = _main("poly", "Learning-rate schedule.")
    drop_at: tuple[float, ...] = _option(
        (), "Epochs after which the schedule `steps` divides the rate by 10."
    )
    warmup_epochs: float = _option(0.0, "Epochs of linear learning-rate warm-up.")
    momentum: float = _option(0.9, "Momentum of sgd.", 0, 1)
    weight_decay: float = _option(0.0, "Decoupled weight decay of kernels.", 0)
    clip_norm: float | None = _option(None, "Largest global norm of the gradients.")
    accumulate: int = _option(
        1,
        "Steps whose gradients are averaged into one update: what a larger batch does, "
        "in the memory of a smaller one.",
        1,
    )

    epochs: int = _main(
        0, "Epochs. [default: 30, or as many as 20,000 steps are, at least 1]", 0
    )
    steps_per_epoch: int | None = _option(
        None, "Steps between validations and checkpoints. [default: one pass]", 1
    )
    patience: int = _option(
        0,
        "Stop after so many validated epochs without improvement; 0: never. Mask "
        "R-CNN counts the epochs that score_every scores.",
        0,
    )


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """Where it computes, and what is drawn and written beside."""

    precision: Precision = _main("float32", "Type that layers compute in.")
    jit_compile: Switch = _option("auto", "Compile steps by XLA; JAX always does.")
    steps_per_execution: int = _option(1, "Steps per call of the device.", 1)
    coordinator: str | None = _option(
        None, "HOST:PORT of the first of several hosts; auto on a TPU pod (JAX)."
    )
    num_hosts: int = _option(1, "Number of hosts, with coordinator HOST:PORT.", 1)
    host_index: int = _option(0, "This host's place among them, from 0.")
    pictures_every: int = _option(
        5, "Epochs between pictures of predictions; 0: none.", 0
    )
    tensorboard: bool = _option(False, "Write logs for TensorBoard.")


GROUPS: dict[str, type] = {
    "Model": ModelChoice,
    "Data": DataOptions,
    "Training": OptimizerOptions,
    "Augmentation": AugmentationOptions,
    "Mask R-CNN": DetectorOptions,
    "Devices and files": DeviceOptions,
}
"""Heading -> options, in the order of the help."""
