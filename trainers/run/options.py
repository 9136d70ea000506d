"""Every option of a training run, checked when it is made.

`segdata train` has one option for each field. With each field stand its help text, its
range, and the kind of model that it is for.
"""

# ruff: noqa: RUF009 - `_option` and its like give fields, not values.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from segdata.errors import OptionError
from segdata.reading.options import Augmentation
from segdata.trainers.models import INSTANCE_MODELS, MODELS, Task, check_model, task_of
from segdata.trainers.models.options import MIN_SIZE, Upsampling

EncoderName = Literal["vgg-16", "resnet-50", "mobilenet-v2"]
LossKind = Literal["cross-entropy", "dice", "both"]
ClassWeights = Literal["none", "median-frequency"]
OptimizerName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "poly", "cosine", "steps"]
Precision = Literal["float32", "mixed-bfloat16"]
Switch = Literal["auto", "on", "off"]
Distribute = Literal["auto", "none", "mirrored", "tpu"]


def _option(
    default: Any, text: str, low: Any = None, high: Any = None, *, task: Any = None
) -> Any:
    """A field: its help text, the range of its values, the one task it is for."""
    known = {"help": text, "low": low, "high": high, "task": task}
    return field(default=default, metadata=known)


def _semantic(default: Any, text: str, low: Any = None, high: Any = None) -> Any:
    """An option of models that label pixels only."""
    return _option(default, text, low, high, task="semantic")


def _instances(default: Any, text: str, low: Any = None, high: Any = None) -> Any:
    """An option of models that find objects only."""
    return _option(default, f"Mask R-CNN: {text}", low, high, task="instances")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """A training run; what each field means is its help text."""

    model: str
    data: str

    encoder: EncoderName | None = _option(None, "Encoder. [default: the model's own]")
    weights: str | None = _option(
        None, "Weights of the encoder: imagenet, or a file of keras.applications."
    )
    initial_weights: str | None = _option(
        None, "Weights of the whole model to begin with: those of another run."
    )
    upsampling: Upsampling | None = _semantic(
        None,
        "Upsampling in the decoder: nearest, bilinear or transposed convolution. "
        "[default: as in the model's paper]",
    )
    batch_norm: bool = _semantic(True, "Batch norm in decoders and VGG-16.")
    batch_norm_momentum: float = _option(
        0.9, "Momentum of the running statistics of batch norm.", 0, 1
    )
    width: int | None = _option(
        None, "Base number of decoder channels. [default: the paper's]"
    )
    dropout: float | None = _semantic(None, "Dropout rate. [default: the paper's]")

    train_split: str = _option("train", "Split to train on.")
    val_split: str | None = _option(
        None,
        "Split to validate on, or none. [default: the one named val, valid or "
        "validation]",
    )
    image_size: tuple[int, int] | None = _option(
        None,
        "HEIGHTxWIDTH that images are stretched to; Mask R-CNN fits them into it. "
        "[default: as stored]",
    )
    eval_image_size: tuple[int, int] | None = _semantic(
        None, "HEIGHTxWIDTH to validate and predict at. [default: --image-size]"
    )
    void: Literal["ignore", "learn"] = _semantic(
        "ignore",
        "What to do with the ignored class: mask it in the loss, or train it as a "
        "class.",
    )

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
    max_objects: int | None = _instances(
        None,
        "Ground-truth objects kept per image, largest first. [default: the most in "
        "any image as counted by `segdata stats`, at most 100]",
        1,
    )

    scale: tuple[float, float] = _option(
        (1.0, 1.0), "Range of the random zoom; above 1 the image is cropped."
    )
    flip: float = _option(0.5, "Probability of a horizontal flip.")
    brightness: float = _option(0.0, "Largest random change, as a share of full scale.")
    contrast: float = _option(0.0, "Largest random change, as a factor above 1.")
    saturation: float = _option(0.0, "Largest random change, as a factor above 1.")
    hue: float = _option(0.0, "Largest random turn of the hue, 0 to 0.5.")

    loss: LossKind = _semantic("cross-entropy", "Loss.")
    class_weights: ClassWeights = _semantic(
        "none", "Class weights in cross-entropy, from the manifest's pixel counts."
    )
    class_weight_power: float = _semantic(1.0, "Power of class weights, 0 to 1.", 0, 1)
    class_weight_limit: float = _semantic(10.0, "Largest class weight.", 1)
    auxiliary_weight: float = _semantic(0.4, "Weight of PSPNet's auxiliary loss.", 0)

    optimizer: OptimizerName = _option("adam", "Optimizer.")
    learning_rate: float = _option(1e-3, "Highest learning rate.")
    schedule: Schedule = _option("poly", "Learning-rate schedule.")
    drop_at: tuple[float, ...] = _option(
        (), "Epochs after which the schedule `steps` divides the rate by 10."
    )
    warmup_epochs: float = _option(0.0, "Epochs of linear learning-rate warm-up.")
    momentum: float = _option(0.9, "Momentum of sgd.", 0, 1)
    weight_decay: float = _option(0.0, "Decoupled weight decay of kernels.", 0)
    clip_norm: float | None = _option(None, "Largest global norm of the gradients.")

    epochs: int = _option(30, "Epochs.", 1)
    batch_size: int = _option(8, "Images per step, over all devices and hosts.", 1)
    steps_per_epoch: int | None = _option(
        None, "Steps between validations and checkpoints. [default: one pass]", 1
    )
    seed: int = _option(0, "Seed of weights, dropout, order and augmentation.")
    patience: int = _option(
        0,
        "Stop after so many validated epochs without improvement; 0: never. Mask "
        "R-CNN counts the epochs that --score-every scores.",
        0,
    )

    precision: Precision = _option("float32", "Type that layers compute in.")
    jit_compile: Switch = _option("auto", "Compile steps by XLA; JAX always does.")
    steps_per_execution: int = _option(1, "Steps per call of the device.", 1)
    distribute: Distribute = _option(
        "auto",
        "Devices to train on. auto: all on JAX, one on TensorFlow, for which the "
        "others are.",
    )
    tpu: str | None = _option(None, "Name or address of a TPU (TensorFlow).")
    coordinator: str | None = _option(
        None, "HOST:PORT of the first of several hosts; auto on a TPU pod (JAX)."
    )
    num_hosts: int = _option(1, "Number of hosts, with --coordinator HOST:PORT.", 1)
    host_index: int = _option(0, "This host's place among them, from 0.")

    pictures_every: int = _option(
        5, "Epochs between pictures of predictions; 0: none.", 0
    )
    score_every: int = _instances(
        5,
        "Epochs between scores (AP) on the validation split; 0: none, and the best "
        "epoch is that of the lowest loss.",
        0,
    )
    tensorboard: bool = _option(False, "Write logs for TensorBoard.")

    def __post_init__(self) -> None:
        check_model(self.model)
        self._check_task()
        for item in fields(self):
            low, high = item.metadata.get("low"), item.metadata.get("high")
            if low is not None and getattr(self, item.name) is not None:
                _check(item.name, getattr(self, item.name), low, high)
        if (self.schedule == "steps") != bool(self.drop_at):
            raise OptionError(
                f"drop_at is {list(self.drop_at)} with schedule {self.schedule!r}: "
                "expected epochs with 'steps', and only there."
            )
        for epoch in self.drop_at:
            _check("drop_at", epoch, 0, self.epochs)
        _check("warmup_epochs", self.warmup_epochs, 0, self.epochs)
        _check("host_index", self.host_index, 0, self.num_hosts - 1)
        for name in ("image_size", "eval_image_size"):
            _check_size(name, getattr(self, name))
        for name in ("learning_rate", "clip_norm", "roi_canonical"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"{name} is {value}: expected more than 0.")
        self.augmentation()
        self._check_devices()

    def _check_devices(self) -> None:
        if self.num_hosts > 1 and self.coordinator in (None, "auto"):
            raise OptionError(
                f"num_hosts is {self.num_hosts}: expected the first host's address as "
                "coordinator, HOST:PORT."
            )
        if (self.tpu is not None) != (self.distribute == "tpu"):
            raise OptionError(
                f"tpu is {self.tpu!r} and distribute {self.distribute!r}: expected a "
                "TPU's name with 'tpu', and only there."
            )

    def _check_task(self) -> None:
        """Refuses options that mean nothing to the model."""
        others = MODELS if self.task == "instances" else INSTANCE_MODELS
        for item in fields(self):
            value = getattr(self, item.name)
            foreign = item.metadata.get("task") not in (None, self.task)
            if foreign and value != item.default:
                raise OptionError(
                    f"{item.name} is {value!r} with model {self.model!r}: it is an "
                    f"option of {', '.join(others)}. Leave it out."
                )

    @property
    def task(self) -> Task:
        """Whether the model labels pixels or finds objects."""
        return task_of(self.model)

    def augmentation(self) -> Augmentation:
        """What is random about the images to learn from.

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

    def to_json(self) -> dict[str, Any]:
        """A JSON object of all fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainOptions:
        """Reads what `to_json` wrote, also where later versions have more fields."""
        known = {item.name for item in fields(cls)}
        given = {name: value for name, value in data.items() if name in known}
        for name, value in given.items():
            if isinstance(value, list):  # tuples come back from JSON as lists
                given[name] = tuple(value)
        return cls(**given)


def _check(name: str, value: float, low: float, high: float | None) -> None:
    if high is None and not value >= low:
        raise OptionError(f"{name} is {value}: expected at least {low}.")
    if high is not None and not low <= value <= high:
        raise OptionError(f"{name} is {value}: expected {low} to {high}.")


def _check_size(name: str, size: Any) -> None:
    if size is None:
        return
    is_pair = isinstance(size, tuple | list) and len(size) == 2
    if not is_pair or not all(isinstance(side, int) for side in size):
        raise OptionError(f"{name} is {size!r}: expected (height, width) in pixels.")
    if min(size) < MIN_SIZE:
        raise OptionError(
            f"{name} is {size}: expected (height, width), both at least {MIN_SIZE}."
        )
