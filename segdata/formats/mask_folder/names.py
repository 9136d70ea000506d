"""What the names of folders and files tell: photo, mask, or a picture of masks.

A name is cut into words: at signs, digits and capitals (`PedMasks`: ped, masks), and
before a word of the tables that ends it (`trainannot`: train, annot). Words that are in
no table tell nothing. Which names mean what is written in `docs/formats.md`.
"""

from __future__ import annotations

import functools
import re

from segdata.split_names import KNOWN_SPLITS

IMAGE_WORDS = frozenset(
    {"image", "images", "img", "imgs", "im", "photo", "photos", "picture", "pictures"}
    | {"pic", "pics", "rgb", "sat", "input", "inputs", "original", "originals", "org"}
    | {"frame", "frames", "ortho", "scan", "scans", "raw", "leftimg", "jpg", "jpeg"}
)
"""Words of folders and files of photos."""
MASK_WORDS = frozenset(
    {"mask", "masks", "label", "labels", "lbl", "lbls", "lab", "annotation", "annot"}
    | {"annotations", "annots", "ann", "anns", "anno", "annos", "gt", "gts", "truth"}
    | {"groundtruth", "groundtruths", "target", "targets", "segmentation", "seg"}
    | {"segmentations", "segs", "segmentationclass", "manual", "trimap", "trimaps"}
    | {"roi", "rois", "gtfine", "gtcoarse", "semantic", "semantics", "sem", "parsing"}
    | {"ids"}
)
"""Words of folders and files of masks."""
PICTURE_WORDS = frozenset(
    {"color", "colors", "colour", "colours", "colored", "coloured", "rgb", "edge"}
    | {"edges", "boundary", "boundaries", "instance", "instances", "object", "objects"}
    | {"weight", "weights", "trainids", "confidence", "contour", "contours"}
    | {"colormap", "colormaps", "panoptic"}
)
"""Words of masks that are taken only where there are no others."""
VIEW_WORDS = frozenset(
    {"visualization", "visualizations", "visualisation", "vis", "viz", "overlay"}
    | {"overlays", "preview", "previews", "pred", "preds", "prediction", "predictions"}
    | {"blend", "blended", "visual", "depth", "disparity", "thumbs", "thumbnails"}
)
"""Words of pictures made to look at, and of what is neither photo nor mask."""
SPLIT_WORDS = KNOWN_SPLITS
"""Names of splits, in lower case."""
_SPLIT_SHORT = {"tr": "train", "te": "test", "ts": "test"}
_ENDINGS = sorted(IMAGE_WORDS | MASK_WORDS, key=len, reverse=True)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words(name: str) -> list[str]:
    """The words of a name, in lower case."""
    found: list[str] = []
    for part in _WORD.findall(name):
        found += _cut(part.lower())
    return found


@functools.lru_cache(1 << 16)
def read_name(name: str) -> tuple[tuple[str, ...], str]:
    """The words of a name that tell a side, and the rest of it without splits.

    The rest of `train_images` is empty, of `part_1_masks` it is `part 1`, and a name
    without such words is all rest.
    """
    found = words(name)
    known = IMAGE_WORDS | MASK_WORDS | PICTURE_WORDS
    told = tuple(word for word in found if word in known)
    if not told and split_of(name) is None:
        return (), name.casefold()
    splits = SPLIT_WORDS | _SPLIT_SHORT.keys()
    rest = [w for part in re.findall(r"\d+|[^\W\d_]+", name)
            for w in (words(part) or [part]) if w not in known | splits]  # fmt: skip
    return told, " ".join(rest)


def is_mask(name: str) -> bool:
    """Whether a name says that masks are there, alone or with a word of images."""
    return not MASK_WORDS.isdisjoint(words(name)) and not is_view(name)


def is_image(name: str) -> bool:
    """Whether a name says that photos are there."""
    found = words(name)
    return not IMAGE_WORDS.isdisjoint(found) and not is_mask(name) and not is_view(name)


def is_view(name: str) -> bool:
    """Whether a name says that something else is there."""
    return not VIEW_WORDS.isdisjoint(words(name))


def is_picture(name: str) -> bool:
    """Whether a name says that masks are there as somebody's picture of them."""
    return not PICTURE_WORDS.isdisjoint(words(name))


def mask_rank(name: str) -> tuple[int, int]:
    """Which of several masks of the same images to take: the least.

    Masks of class ids come before their pictures in colour; those that are called
    labels, truth or manual come before what is called mask, which in medical sets is
    often the field of view.
    """
    found = words(name)
    is_picture = not PICTURE_WORDS.isdisjoint(found)
    is_plain_mask = not {"mask", "masks"}.isdisjoint(found) and len(found) < 3
    return is_picture, is_plain_mask


def split_of(name: str) -> str | None:
    """The split that a name tells, as the name spells it; None if none."""
    if name.lower() in SPLIT_WORDS:
        return name
    found = words(name)
    if {"train", "val"} <= {*found}:
        return "trainval"
    told = (_SPLIT_SHORT.get(word, word) for word in found)
    return next((word for word in told if word in SPLIT_WORDS), None)


def _cut(word: str) -> list[str]:
    if word in IMAGE_WORDS | MASK_WORDS | PICTURE_WORDS | VIEW_WORDS | SPLIT_WORDS:
        return [word]
    for ending in _ENDINGS:
        head = word.removesuffix(ending)
        if head != word and (head in SPLIT_WORDS or len(ending) > 3):
            return [head, ending] if head else [ending]
    return [word]
