"""Every option of a training run, checked when it is made.

`segdata train` has one option for each field; its help text stands in the metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from segdata.errors import OptionError
from segdata.reading.options import Augmentation
from segdata.trainers.models import INSTANCE_MODELS, MODELS, Task, check_model, task_of
from segdata.trainers.models.options import MIN_SIZE, Upsampling
from segdata.trainers.run.task_options import INSTANCE_OPTIONS, SEMANTIC_OPTIONS

EncoderName = Literal["vgg-16", "resnet-50", "mobilenet-v2"]
LossKind = Literal["cross-entropy", "dice", "both"]
ClassWeights = Literal["none", "median-frequency"]
OptimizerName = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "poly", "cosine", "steps"]
Precision = Literal["float32", "mixed-bfloat16"]
Switch = Literal["auto", "on", "off"]
Distribute = Literal["auto", "none", "mirrored", "tpu"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOptions:
    """A training run; what each field means is its help text."""

    model: str
    data: str

    encoder: EncoderName | None = field(
        default=None, metadata={"help": "Encoder. [default: the model's own]"}
    )
    weights: str | None = field(
        default=None,
        metadata={
            "help": "Weights of the encoder: imagenet, or a file of keras.applications."
        },
    )
    initial_weights: str | None = field(
        default=None,
        metadata={
            "help": "Weights of the whole model to begin with: those of another run."
        },
    )
    upsampling: Upsampling | None = field(
        default=None,
        metadata={"help": "How maps grow. [default: as in the model's paper]"},
    )
    batch_norm: bool = field(
        default=True, metadata={"help": "Batch normalisation in decoders and VGG-16."}
    )
    batch_norm_momentum: float = field(
        default=0.9, metadata={"help": "Share that running statistics keep in a step."}
    )
    width: int | None = field(
        default=None,
        metadata={"help": "Channels of the model's own part. [default: the paper's]"},
    )

    dropout: float | None = field(
        default=None,
        metadata={"help": "Share that dropout drops. [default: the paper's]"},
    )

    train_split: str = field(default="train", metadata={"help": "Split to learn from."})
    val_split: str = field(
        default="val",
        metadata={"help": "Split to measure on; skipped if there is none."},
    )
    image_size: tuple[int, int] | None = field(
        default=None,
        metadata={
            "help": "HEIGHTxWIDTH that images are stretched to, or fitted into by Mask "
            "R-CNN. [default: as stored]"
        },
    )
    eval_image_size: tuple[int, int] | None = field(
        default=None,
        metadata={
            "help": "HEIGHTxWIDTH to measure and predict at. [default: --image-size]"
        },
    )
    void: Literal["ignore", "learn"] = field(
        default="ignore",
        metadata={"help": "Class to ignore: leave it out, or learn it like others."},
    )

    freeze_batch_norm: bool = field(
        default=False,
        metadata={"help": "Mask R-CNN: leave the encoder's as its --weights have it."},
    )
    pyramid_batch_norm: bool = field(
        default=False,
        metadata={"help": "Mask R-CNN: in the pyramid too, to train from scratch."},
    )
    anchor_scale: float = field(
        default=8.0,
        metadata={"help": "Mask R-CNN: side of anchors in strides, of 4 to 64 pixels."},
    )
    candidates: int = field(
        default=2000,
        metadata={
            "help": "Mask R-CNN: boxes of each level before suppression; half of them "
            "to predict."
        },
    )
    proposals: int = field(
        default=1000, metadata={"help": "Mask R-CNN: boxes of an image after it."}
    )
    rpn_samples: int = field(
        default=256,
        metadata={"help": "Mask R-CNN: anchors of an image to learn from."},
    )
    roi_samples: int = field(
        default=512,
        metadata={"help": "Mask R-CNN: boxes of an image to learn from."},
    )
    roi_canonical: float = field(
        default=224.0,
        metadata={
            "help": "Mask R-CNN: side in pixels of boxes that are looked up at stride "
            "16; the paper's suits images of 800 and more."
        },
    )
    box_width: int = field(
        default=1024, metadata={"help": "Mask R-CNN: channels of the box head."}
    )
    mask_width: int = field(
        default=256, metadata={"help": "Mask R-CNN: channels of the mask head."}
    )
    detections: int = field(
        default=100, metadata={"help": "Mask R-CNN: most objects found in an image."}
    )
    max_objects: int | None = field(
        default=None,
        metadata={
            "help": "Mask R-CNN: true objects of an image, the largest. [default: the "
            "most of any image as `segdata stats` has it, at most 100]"
        },
    )

    scale: tuple[float, float] = field(
        default=(1.0, 1.0),
        metadata={"help": "Lowest and highest factor of a random size; shows a part."},
    )
    flip: float = field(
        default=0.5, metadata={"help": "Probability of mirroring left and right."}
    )
    brightness: float = field(
        default=0.0, metadata={"help": "Largest change, of the full scale."}
    )
    contrast: float = field(
        default=0.0, metadata={"help": "Largest change, as a factor above 1."}
    )
    saturation: float = field(
        default=0.0, metadata={"help": "Largest change, as a factor above 1."}
    )
    hue: float = field(default=0.0, metadata={"help": "Largest turn, 0 to 0.5."})

    loss: LossKind = field(default="cross-entropy", metadata={"help": "Loss."})
    class_weights: ClassWeights = field(
        default="none",
        metadata={
            "help": "Weights of classes in cross-entropy, from the manifest's counts."
        },
    )
    class_weight_power: float = field(
        default=1.0, metadata={"help": "Power of class weights, 0 to 1."}
    )
    class_weight_limit: float = field(
        default=10.0, metadata={"help": "Largest class weight."}
    )
    auxiliary_weight: float = field(
        default=0.4, metadata={"help": "Weight of PSPNet's auxiliary loss."}
    )

    optimizer: OptimizerName = field(default="adam", metadata={"help": "Optimiser."})
    learning_rate: float = field(
        default=1e-3, metadata={"help": "Highest learning rate."}
    )
    schedule: Schedule = field(
        default="poly", metadata={"help": "How the learning rate falls."}
    )
    drop_at: tuple[float, ...] = field(
        default=(),
        metadata={"help": "Epochs after which `steps` divides the rate by 10."},
    )
    warmup_epochs: float = field(
        default=0.0, metadata={"help": "Epochs in which it rises from 0."}
    )
    momentum: float = field(default=0.9, metadata={"help": "Momentum of sgd."})
    weight_decay: float = field(
        default=0.0, metadata={"help": "Decoupled weight decay of kernels."}
    )
    clip_norm: float | None = field(
        default=None, metadata={"help": "Largest norm of all gradients together."}
    )

    epochs: int = field(default=30, metadata={"help": "Epochs."})
    batch_size: int = field(
        default=8, metadata={"help": "Images per step, over all devices and hosts."}
    )
    steps_per_epoch: int | None = field(
        default=None,
        metadata={
            "help": "Steps between validations and checkpoints. [default: a pass]"
        },
    )
    seed: int = field(
        default=0,
        metadata={"help": "Seed of weights, dropout, order and augmentation."},
    )
    patience: int = field(
        default=0,
        metadata={"help": "Stop after so many epochs without improvement; 0: never."},
    )

    precision: Precision = field(
        default="float32", metadata={"help": "Type that layers compute in."}
    )
    jit_compile: Switch = field(
        default="auto", metadata={"help": "Compile steps by XLA; JAX always does."}
    )
    steps_per_execution: int = field(
        default=1, metadata={"help": "Steps per call of the device."}
    )
    distribute: Distribute = field(
        default="auto",
        metadata={
            "help": "auto: all devices on JAX, one on TensorFlow, which has the rest."
        },
    )
    tpu: str | None = field(
        default=None, metadata={"help": "Name or address of a TPU (TensorFlow)."}
    )
    coordinator: str | None = field(
        default=None,
        metadata={
            "help": "HOST:PORT of the first of several hosts; auto on a TPU pod (JAX)."
        },
    )
    num_hosts: int = field(
        default=1, metadata={"help": "Number of hosts, with --coordinator HOST:PORT."}
    )
    host_index: int = field(
        default=0, metadata={"help": "This host's place among them, from 0."}
    )

    pictures_every: int = field(
        default=5, metadata={"help": "Epochs between pictures of predictions; 0: none."}
    )
    score_every: int = field(
        default=5,
        metadata={
            "help": "Mask R-CNN: epochs between scores (AP) on the validation split; "
            "0: none, and the best epoch is that of the smallest loss."
        },
    )
    tensorboard: bool = field(
        default=False, metadata={"help": "Write logs for TensorBoard."}
    )

    def __post_init__(self) -> None:
        check_model(self.model)
        self._check_task()
        self._check_schedule()
        for name in ("image_size", "eval_image_size"):
            size = getattr(self, name)
            if size is not None and (len(size) != 2 or min(size) < MIN_SIZE):
                raise OptionError(
                    f"{name} is {size}: expected (height, width), both at least "
                    f"{MIN_SIZE}."
                )
        for name in ("epochs", "batch_size", "steps_per_execution", "num_hosts"):
            _check(name, getattr(self, name), 1, None)
        for name in ("pictures_every", "patience", "weight_decay", "auxiliary_weight"):
            _check(name, getattr(self, name), 0, None)
        for name in ("class_weight_power", "momentum", "batch_norm_momentum"):
            _check(name, getattr(self, name), 0, 1)
        self.augmentation()
        _check("class_weight_limit", self.class_weight_limit, 1, None)
        _check("warmup_epochs", self.warmup_epochs, 0, self.epochs)
        _check("host_index", self.host_index, 0, self.num_hosts - 1)
        if self.steps_per_epoch is not None:
            _check("steps_per_epoch", self.steps_per_epoch, 1, None)
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"{name} is {value}: expected more than 0.")
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

    @property
    def task(self) -> Task:
        """Whether the model labels pixels or finds objects."""
        return task_of(self.model)

    def _check_task(self) -> None:
        """Refuses options that mean nothing to the model."""
        foreign, models = INSTANCE_OPTIONS, tuple(INSTANCE_MODELS)
        if self.task == "instances":
            foreign, models = SEMANTIC_OPTIONS, tuple(MODELS)
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in foreign and value != item.default:
                raise OptionError(
                    f"{item.name} is {value!r} with model {self.model!r}: it is an "
                    f"option of {', '.join(models)}. Leave it out."
                )
        if self.task == "semantic":
            return
        for name in ("candidates", "proposals", "rpn_samples", "roi_samples"):
            _check(name, getattr(self, name), 2, None)
        for name in ("box_width", "mask_width", "detections"):
            _check(name, getattr(self, name), 1, None)
        if not self.roi_canonical > 0:
            raise OptionError(
                f"roi_canonical is {self.roi_canonical}: expected more than 0 pixels."
            )
        _check("score_every", self.score_every, 0, None)
        if self.max_objects is not None:
            _check("max_objects", self.max_objects, 1, None)

    def _check_schedule(self) -> None:
        if (self.schedule == "steps") != bool(self.drop_at):
            raise OptionError(
                f"drop_at is {list(self.drop_at)} with schedule {self.schedule!r}: "
                "expected epochs with 'steps', and only there."
            )
        for epoch in self.drop_at:
            _check("drop_at", epoch, 0, self.epochs)

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
