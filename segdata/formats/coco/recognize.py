"""Whether a folder holds COCO's JSON, told by names and the heads of some files."""

from __future__ import annotations

import re
from collections.abc import Sequence

from segdata.errors import SourceError
from segdata.formats.base import Guess
from segdata.formats.coco import layout
from segdata.formats.folders import count_of
from segdata.storage.paths import Location

_HEAD_BYTES = 1 << 14
_MAX_FILES = 8

# What opens a member of the outermost object: a text, or a bracket.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:]', re.DOTALL)
_TABLES = {b"images", b"annotations", b"categories"}
_TOOLS: tuple[tuple[bytes, str], ...] = (
    (b"not_exhaustive_category_ids", "LVIS"),
    (b"Label Studio", "Label Studio"),
    (b"roboflow", "Roboflow"),
    (b"FiftyOne", "FiftyOne"),
    (b"_background_", "labelme2coco"),
    (b"cocodataset.org", "COCO"),
    (b"segdata", "segdata"),
)


def recognize(folder: Location) -> Guess | None:
    """See `segdata.formats.base.Format.recognize`."""
    try:
        paths = layout.find_json(folder, "", "auto")
    except (SourceError, OSError):
        return None
    heads = [(path, _head(path)) for path in paths[:_MAX_FILES]]
    known = [(path, head) for path, head in heads if is_coco(head)]
    if not known:
        return None
    files = [path for path, _ in known] + [*paths[_MAX_FILES:]]
    tool = next((name for mark, name in _TOOLS if mark in known[0][1]), "")
    return Guess(title=_title(folder, files, tool))


def is_coco(head: bytes) -> bool:
    """Whether a JSON that begins so has COCO's tables."""
    depth, key, found = 0, b"", set()
    for match in _TOKEN.finditer(head):
        token = match[0]
        if token[:1] == b'"' and depth == 1:
            key = token.strip(b'"')
        elif token in (b"[", b"{"):
            if depth == 1 and token == b"[" and key in _TABLES:
                found.add(key)
            elif depth == 0 and token == b"[":
                return False
            depth += 1
        elif token in (b"]", b"}"):
            depth -= 1
    # A long table hides those behind it.
    is_cut = len(head) >= _HEAD_BYTES
    has_rows = found != {b"annotations"} or b'"image_id"' in head
    return len(found) >= 2 or (bool(found) and is_cut and has_rows)


def _title(folder: Location, files: Sequence[Location], tool: str) -> str:
    names = [path.below(folder) or path.name for path in files[:3]]
    more = " ..." if len(files) > len(names) else ""
    by = f" by {tool}" if tool else ""
    what = count_of(files, "COCO JSON", "COCO JSONs")
    return f"{what}{by}: {', '.join(names)}{more}"


def _head(path: Location) -> bytes:
    try:
        return path.read_start(_HEAD_BYTES)
    except OSError:
        return b""
