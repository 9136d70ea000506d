"""What a JSON file is that is not the one that was expected: whose tool wrote it."""

from __future__ import annotations

import msgspec

# Name of the format that reads it, if there is one -> told by which keys.
_OBJECTS: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset({"_via_settings"}), "VIA's own JSON", ""),
    (frozenset({"_via_img_metadata"}), "VIA's own JSON", ""),
    (frozenset({"project", "config", "attribute", "file"}), "VIA 3's own JSON", ""),
    (frozenset({"shapes", "imagePath"}), "labelme's own JSON", "labelme"),
    (frozenset({"image", "annotations"}), "the JSON of one image, as SA-1B's", "sa-1b"),
    (frozenset({"item", "annotations"}), "V7 Darwin's own JSON", ""),
    (frozenset({"categories", "items"}), "Datumaro's own JSON", ""),
    (frozenset({"objects", "size"}), "Supervisely's own JSON", ""),
    (frozenset({"type", "features"}), "GeoJSON", ""),
    (frozenset({"imgHeight", "imgWidth", "objects"}), "Cityscapes' JSON", "cityscapes"),
)
_ROWS: tuple[tuple[frozenset[str], str, str], ...] = (
    (frozenset({"data", "annotations"}), "Label Studio's own JSON", "label-studio"),
    (frozenset({"data", "completions"}), "Label Studio's own JSON", "label-studio"),
    (frozenset({"data_row"}), "Labelbox's own JSON", ""),
    (frozenset({"Labeled Data"}), "Labelbox's own JSON", ""),
    (frozenset({"image", "annotations"}), "CreateML's JSON", ""),
    (frozenset({"image_id", "category_id"}), "a list of COCO results", ""),
    (frozenset({"name", "labels"}), "BDD100K's JSON", ""),
)
_VIA_ROW = frozenset({"filename", "regions"})


def kind_of_json(text: bytes, formats: frozenset[str]) -> str:
    """What a JSON file is, and what to do with it, as a clause.

    Args:
      text: All of it.
      formats: Names of the formats that can be built.

    Returns:
      E.g. `this is VIA's own JSON: export it as COCO`; empty where it is not known.
    """
    members = _members(text)
    if members is not None:
        for keys, title, reader in _OBJECTS:
            if keys <= members.keys():
                return _advice(title, reader, formats)
        first = next(iter(members.values()), None)
        if first is not None and (_members(first) or {}).keys() >= _VIA_ROW:
            return _advice("VIA's own JSON", "", formats)
        return ""
    row = _first_row(text)
    for keys, title, reader in _ROWS:
        if row is not None and keys <= row.keys():
            return _advice(title, reader, formats)
    return ""


def keys_of_json(text: bytes) -> frozenset[str]:
    """The keys of a JSON object; none where it is no object."""
    return frozenset(_members(text) or ())


def _advice(title: str, reader: str, formats: frozenset[str]) -> str:
    if reader in formats:
        return f"this is {title}: build it with `segdata build {reader}`"
    if title.startswith("a list of COCO"):
        return f"this is {title}, which names no images: give the annotations"
    return f"this is {title}: export it as COCO"


def _members(text: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _first_row(text: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        rows = msgspec.json.decode(text, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _members(rows[0]) if rows else None
