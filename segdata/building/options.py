"""What the user asks of a build."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from segdata.building.splits import SplitChoice
from segdata.errors import OptionError, short_repr
from segdata.images.orientation import Exif
from segdata.records.png_masks import MaskForm, MaskForms

Check = Literal["structure", "pixels"]
# A shard of this size holds some hundred photos and is read in a second.
DEFAULT_SHARD_BYTES = 128 << 20
MAX_SHARDS = 99_999  # file names have five digits


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What the user asks of a build and its bytes depend on."""

    split: SplitChoice = field(default_factory=SplitChoice)
    """Which splits to build, or how to draw them."""
    num_shards: int | None = None
    """Shards of each split; planned from `shard_bytes` where None."""
    shard_bytes: int = DEFAULT_SHARD_BYTES
    """Aimed size of a shard in bytes, by the sizes of the source files."""
    seed: int = 0
    """Seed of the order of records and of drawn splits."""
    masks: MaskForms = ("rle",)
    """Forms of masks that records have, see `segdata.records.png_masks`."""
    on_error: Literal["fail", "skip"] = "fail"
    """Whether a bad record ends the build or lands in `rejects.jsonl`."""
    max_reject_share: float = 0.1
    """Fail if more than this share of records, 0 to 1, was rejected."""
    exif: Exif = "auto"
    """Whether images are turned as EXIF says; `auto` is decided by a sample."""
    check: Check = "structure"
    """Whether images whose bytes are kept are decoded too, strictly."""
    max_size: int | None = None
    """The longer side in pixels that images are shrunk to; None for any."""
    class_map: Mapping[str, str] = field(default_factory=dict)
    """Class of the source -> its name here, see `segdata.building.classes`."""
    only: tuple[str, ...] = ()
    """Names of the classes to keep; empty for all."""
    group: str = ""
    """Regular expression: keys of which it finds the same are drawn together."""
    stratify: bool = False
    """Whether splits that are drawn are to have every class."""
    name: str = ""
    """The dataset's name, which shard files begin with; empty for the format's."""
    of_format: str = ""
    """The format's name, where the dataset has one of its own."""
    format: Mapping[str, Any] = field(default_factory=dict)
    """The format's options, for updates; None for a path outside the source."""

    def __post_init__(self) -> None:
        if self.num_shards is not None and not 1 <= self.num_shards <= MAX_SHARDS:
            raise OptionError(
                f"--shards is {self.num_shards}: expected 1 to {MAX_SHARDS}."
            )
        if self.shard_bytes < 1:
            raise OptionError(
                f"--shard-size is {self.shard_bytes}: expected at least 1."
            )
        _check_mask_forms(self.masks)
        _check_pattern(self.group)
        if self.name and not _NAME.fullmatch(self.name):
            raise OptionError(
                f"--name is {short_repr(self.name)}: expected letters, digits, '_', "
                "'.' and '-', with a letter or digit first."
            )
        if not 0 <= self.max_reject_share <= 1:
            raise OptionError(
                f"--max-rejects is {self.max_reject_share}: expected a share, 0 to 1."
            )
        if self.on_error not in ("fail", "skip"):
            raise OptionError(
                f"--on-error is {self.on_error!r}: expected fail or skip."
            )
        if self.max_size is not None and self.max_size < 1:
            raise OptionError(
                f"--max-size is {self.max_size}: expected at least 1 pixel."
            )
        for name, kind in (("exif", Exif), ("check", Check)):
            value = getattr(self, name)
            if value not in get_args(kind):
                expected = ", ".join(get_args(kind))
                raise OptionError(f"--{name} is {value!r}: expected one of {expected}.")

    def to_json(self) -> dict[str, Any]:
        """The options as the manifest stores them."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BuildOptions:
        """The options that a manifest holds.

        Raises:
          TypeError: If there are others than this version knows.
        """
        split = {name: tuple(value) for name, value in data["split"].items()}
        masks = tuple(data.get("masks", ("rle",)))  # absent from the first version
        only = tuple(data.get("only", ()))
        known = {"split": SplitChoice(**split), "masks": masks, "only": only}
        return cls(**{**data, **known})


FLAGS = {
    "split": "--split",
    "num_shards": "--shards",
    "shard_bytes": "--shard-size",
    "seed": "--seed",
    "masks": "--masks",
    "on_error": "--on-error",
    "max_reject_share": "--max-rejects",
    "exif": "--exif",
    "check": "--check",
    "max_size": "--max-size",
    "class_map": "--map",
    "only": "--only",
    "group": "--group",
    "stratify": "--stratify",
    "name": "--name",
}
"""Field of `BuildOptions` -> its option on the command line."""


def differing_options(old: Mapping[str, Any], new: BuildOptions) -> list[str]:
    """Names what differs, as `--seed 0 -> 1`.

    Args:
      old: The options of an earlier build, as its manifest has them.
      new: The options of this one. Those of the format are compared where both builds
        have noted them.
    """
    before, after = _spelled(old), _spelled(new.to_json())
    pairs = {flag: (text, after.get(flag, text)) for flag, text in before.items()}
    return [f"{flag} {a} -> {b}" for flag, (a, b) in pairs.items() if a != b]


def _spelled(options: Mapping[str, Any]) -> dict[str, str]:
    """Options and their values as a person types them."""
    values = {**BuildOptions().to_json(), **options}
    found = {flag: str(values[name]) for name, flag in FLAGS.items()}
    split = str(SplitChoice(**values["split"]))
    found["--split"] = split or "all of the source's"
    found["--masks"] = ",".join(values["masks"])
    found["--name"] = values["name"] or "the format's"
    found["--only"] = ",".join(values["only"]) or "all"
    lines = [f"{old} -> {new}" for old, new in sorted(values["class_map"].items())]
    found["--map"] = ", ".join(lines) or "none"
    if values["num_shards"] is None:
        found["--shards"] = "by --shard-size"
    for name, value in values["format"].items():
        text = "a path outside SOURCE" if value is None else str(value)
        found[f"--{name.replace('_', '-')}"] = text or "not given"
    return found


def parse_mask_forms(text: str) -> MaskForms:
    """Reads the value of `--masks`: `rle`, or `rle,png`.

    Raises:
      OptionError: If it is neither.
    """
    given = [part.strip() for part in text.split(",")]
    forms = tuple(form for form in get_args(MaskForm) if form in given)
    _check_mask_forms(forms if len(forms) == len(given) else tuple(given))
    return forms


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise OptionError(
            f"--group is {short_repr(pattern)}, which is no regular expression: "
            f"{error}. Expected one such as '^(.+)_frame'."
        ) from error


def _check_mask_forms(forms: Sequence[str]) -> None:
    if tuple(forms) not in (("rle",), ("rle", "png")):
        raise OptionError(
            f"--masks is {','.join(forms)!r}: expected 'rle' or 'rle,png'. Runs are "
            "always written: everything of ours reads them."
        )
