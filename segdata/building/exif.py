"""Whether a dataset's annotations were drawn on upright pixels or on stored ones.

A tool that makes annotations heeds EXIF orientation in all images or in none. Where a
turn swaps height and width, the size that the annotations state tells which; that holds
for the images then whose sizes cannot tell.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

from segdata.annotations import Annotation
from segdata.building.plan import Plan, parse_plan_line
from segdata.errors import AnnotationError, StorageError
from segdata.images.header import look_at_start
from segdata.images.orientation import SWAPPING, Exif
from segdata.storage.paths import Location

_NUM_SAMPLED, _NUM_SHARDS = 256, 32
_START = 1 << 16  # bytes of a file that are read; EXIF stands before the pixels


def decide(plan: Plan, source: Location) -> tuple[Exif, str]:
    """Looks at a sample of the records; their order in the plan is random.

    Returns:
      What holds for all images, and one line about it: `apply` where sampled sizes say
      that annotations fit upright pixels, `ignore` where they fit stored ones; `auto`,
      each image by its own size, where none or both do.
    """
    found = Counter(
        source.each(lambda item: _told_by(item, source), sample_records(plan))
    )
    upright, stored = found["apply"], found["ignore"]
    if upright and stored:
        return "auto", (
            f"EXIF turns {upright + stored} sampled images by 90 degrees: annotations "
            f"of {upright} have the size of turned pixels, of {stored} of stored ones: "
            "each is taken by its own size, and turned where that cannot tell"
        )
    if stored:
        return "ignore", (
            f"annotations of {stored} sampled images have the size of pixels that "
            "EXIF did not turn: no image is turned (--exif ignore)"
        )
    if upright:
        return "apply", (
            f"annotations of {upright} sampled images have the size of pixels that "
            "EXIF turned: all images are turned (--exif apply)"
        )
    return "auto", ""


def sample_records(plan: Plan) -> Iterator[Annotation]:
    """Up to 256 records of all splits, in random order."""
    shards = plan.shards[:: -(-len(plan.shards) // _NUM_SHARDS)]
    lines = [plan.lines[s.name].splitlines()[:_NUM_SAMPLED] for s in shards]
    # One of each shard, then the next: shards of small splits are short.
    mixed = (line for row in itertools.zip_longest(*lines) for line in row if line)
    for line in itertools.islice(mixed, _NUM_SAMPLED):
        yield parse_plan_line(line).data


def _told_by(data: Annotation, source: Location) -> Exif:
    """What one record says; `auto` for nothing."""
    image = size_at_start(data["image"], source)
    if image is None or image[2] not in SWAPPING or image[0] == image[1]:
        return "auto"
    stored, drawn = image[:2], _drawn_size(data, source)
    if drawn == stored:
        return "ignore"
    return "apply" if drawn == stored[::-1] else "auto"


def _drawn_size(data: Annotation, source: Location) -> tuple[int, int] | None:
    """Height and width that the annotations were made for."""
    for item in (data.get("label_image"), data.get("mask_image")):
        if item and (found := size_at_start(item["path"], source)):
            height, width, orientation = found
            return (width, height) if orientation in SWAPPING else (height, width)
    if "height" in data and "width" in data:
        return data["height"], data["width"]
    return None


def size_at_start(path: str, source: Location) -> tuple[int, int, int] | None:
    """Height, width and orientation; None where the worker will find a fault."""
    try:
        file = source.inside(path)
        # Nothing may be taken out of a pipe but by the worker.
        return look_at_start(file.read_start(_START)) if file.is_file() else None
    except StorageError:
        raise
    except (OSError, AnnotationError):
        return None
