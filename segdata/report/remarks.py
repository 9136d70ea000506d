"""What in a dataset is worth a look, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from segdata.dataset import Dataset

_MAX_NAMED = 6

_FINDINGS = {
    "empty-mask": ("mask without a pixel", "A model learns nothing from it."),
    "tiny-object": (
        "object of less than 16 pixels",
        "Few models find objects this small; often a stray click.",
    ),
    "empty-box": ("box without width or height", "No detector can use it."),
    "long-box": ("box 20 times as long as wide", "Usually a stray click."),
    "mask-outside-box": (
        "mask larger than its box",
        "Mask and box may belong to different objects.",
    ),
    "area-not-of-mask": (
        "stated area that differs from the mask's by more than 20 %",
        "COCO's metric sorts objects into small, medium and large by the stated area.",
    ),
    "long-image": (
        "image four times as long as wide",
        "Stretched to a square it is hard to recognise.",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """One thing that is worth a look."""

    level: Literal["serious", "look"]
    """`serious`: it makes results wrong; `look`: it may be meant so."""
    title: str
    text: str
    examples: tuple[str, ...] = ()


def find_remarks(dataset: Dataset, stats: Mapping[str, Any]) -> list[Remark]:
    """Lists what is worth a look, what is serious first."""
    found = [
        *_duplicates(stats["duplicates"]),
        *_absent_classes(stats["splits"]),
        *_rejects(stats["splits"]),
        *_findings(stats["splits"]),
        *(
            Remark(level="look", title="The source", text=text)
            for text in dataset.manifest.warnings
        ),
    ]
    return sorted(found, key=lambda item: item.level != "serious")


def _duplicates(duplicates: Mapping[str, Any]) -> Iterator[Remark]:
    across, within = duplicates["across_splits"], duplicates["within_splits"]
    if across["num_groups"]:
        yield Remark(
            level="serious",
            title=f"In several splits: {_counted(across['num_groups'], 'image')}",
            text="A model is tested on images that it was trained on: results look "
            "better than they are.",
            examples=_groups(across),
        )
    if within["num_groups"]:
        yield Remark(
            level="look",
            title="Twice or more in one split: "
            f"{_counted(within['num_groups'], 'image')}",
            text="They weigh more than other images in training.",
            examples=_groups(within),
        )


def _groups(found: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(" = ".join(group) for group in found["groups"][:_MAX_NAMED])


def _absent_classes(splits: Mapping[str, Any]) -> Iterator[Remark]:
    for table, count in (("semantic_classes", "pixels"), ("object_classes", "objects")):
        present = {
            split: [row["name"] for row in values[table] if row[count]]
            for split, values in splits.items()
        }
        listed = [row["name"] for values in splits.values() for row in values[table]]
        anywhere = {name for names in present.values() for name in names}
        nowhere = [name for name in dict.fromkeys(listed) if name not in anywhere]
        if nowhere:
            yield Remark(
                level="look",
                title=f"Without any {count}: {_counted(len(nowhere), 'class')}",
                text="A model cannot learn them.",
                examples=_names(nowhere),
            )
        for split, names in present.items():
            missing = sorted(anywhere - set(names))
            if missing:
                number = _counted(len(missing), "class")
                yield Remark(
                    level="look",
                    title=f"Without {count} in {split}: {number}",
                    text="Other splits have them; this one cannot train or score them.",
                    examples=_names(missing),
                )


def _names(names: list[str]) -> tuple[str, ...]:
    more = len(names) - 3 * _MAX_NAMED
    shown = names[: 3 * _MAX_NAMED]
    return (*shown, f"and {more} more") if more > 0 else tuple(shown)


def _rejects(splits: Mapping[str, Any]) -> Iterator[Remark]:
    for split, values in splits.items():
        for what, reasons in values["rejects"].items():
            for reason, count in reasons.items():
                number = _counted(count, what.removesuffix("s"))
                yield Remark(
                    level="serious",
                    title=f"Left out of {split}: {number}, {reason}",
                    text="Each is named in rejects.jsonl, beside the records.",
                )


def _findings(splits: Mapping[str, Any]) -> Iterator[Remark]:
    for name, (title, text) in _FINDINGS.items():
        found = {
            split: values["findings"][name]
            for split, values in splits.items()
            if name in values["findings"]
        }
        if found:
            keys = [
                f"{split}: {example['key']}"
                for split, value in found.items()
                for example in value["examples"]
            ]
            yield Remark(
                level="serious" if name in ("empty-mask", "empty-box") else "look",
                title=_counted(sum(v["count"] for v in found.values()), title),
                text=text,
                examples=tuple(keys[:_MAX_NAMED]),
            )


def _counted(count: int, what: str) -> str:
    """`1 class`, `2 classes`, `3 boxes 20 times as long as wide`."""
    if count == 1:
        return f"1 {what}"
    first, space, rest = what.partition(" ")
    ending = "es" if first.endswith(("s", "x")) else "s"
    number = f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")  # as on the page
    return f"{number} {first}{ending}{space}{rest}"
