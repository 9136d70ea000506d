"""The Oxford-IIIT Pets in their own layout: trimaps, lists and XML of the heads.

    images/Abyssinian_1.jpg ...
    annotations/trainval.txt test.txt        `NAME CLASS-ID SPECIES BREED-ID`
    annotations/trimaps/Abyssinian_1.png     1 pet, 2 background, 3 outline
    annotations/xmls/Abyssinian_1.xml        where the source had one

For builds by `segdata build pets`: nothing of them is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from segdata.dataset import Dataset
from segdata.errors import CorruptionError, OptionError, short_repr
from segdata.exports.base import ExportReport, write_image, write_once
from segdata.exports.png import mask_png, source_values
from segdata.records.record import Record

_LIST_FIELDS = ("class_id", "species", "breed_id")
_TAG = re.compile(r"[A-Za-z_][\w.-]*")
_NO_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class PetsExport:
    """`segdata export --to pets`; it has no options."""

    def write(
        self, dataset: Dataset, dest: Path, on_records: Callable[[int], None]
    ) -> ExportReport:
        """See `segdata.exports.base.ExportTarget.write`."""
        built_from = dataset.manifest.format_name
        if built_from != "pets":
            raise OptionError(
                f"{dataset.directory} was built from {built_from}: expected "
                "a build of pets for --to pets. Take --to coco, png or yolo."
            )
        values = source_values(dataset.classes)
        # The outline's option, for which the records have 255.
        is_ignored = dataset.classes.ignore_id is not None
        report = ExportReport(
            build_command="pets --outline ignore" if is_ignored else "pets"
        )
        for split, source in dataset.splits.items():
            lines = []
            for record in source:
                write_image(dest, record.filename, record)
                mask = mask_png(record, values, dataset.classes)
                if mask is not None:
                    path = f"annotations/trimaps/{record.key}.png"
                    write_once(dest, path, mask, record.key)
                xml = _xml(record)
                if xml is not None:
                    path = f"annotations/xmls/{record.key}.xml"
                    write_once(dest, path, xml, record.key)
                lines.append(_list_line(record))
                report.num_records += 1
                report.num_objects += len(record.objects)
                on_records(1)
            # Not the order of the shards: it is drawn.
            text = "".join(sorted(lines))
            (dest / f"annotations/{split}.txt").write_text(text, "utf-8")
        return report


def _list_line(record: Record) -> str:
    """The record's line in the list of its split."""
    numbers = [record.source.get(name) for name in _LIST_FIELDS]
    if len(record.key.split()) != 1 or not all(type(n) is int for n in numbers):
        raise CorruptionError(
            f"record {record.key!r} has no line in a list of the Pets: expected a key "
            f"without blanks and the numbers {', '.join(_LIST_FIELDS)}."
        )
    return " ".join([record.key, *map(str, numbers)]) + "\n"


def _xml(record: Record) -> bytes | None:
    """The file of the heads in the form of Pascal VOC; None where there was none."""
    source = record.source.get("xml")
    if source is None:
        return None
    top = Element("annotation")
    try:
        _add(top, source)
        for region in record.regions:
            fields = {k: v for k, v in region.source.items() if k != "bbox"}
            _add(SubElement(top, "object"), fields)
    except ValueError as error:
        raise CorruptionError(
            f"record {record.key!r} has an 'xml' that cannot be written: {error}."
        ) from None
    data: bytes = tostring(top, encoding="utf-8")
    return data


def _add(parent: Element, fields: Any) -> None:
    """JSON as elements: a list is an element that stands several times."""
    if not isinstance(fields, Mapping):
        raise ValueError(f"expected an object, got {short_repr(fields)}")
    for tag, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if not _TAG.fullmatch(tag):
                raise ValueError(f"{short_repr(tag)} is no name of an element")
            child = SubElement(parent, tag)
            if isinstance(item, Mapping):
                _add(child, item)
            else:
                child.text = str(item)
                if _NO_XML.search(child.text):
                    raise ValueError(f"{short_repr(item)} is no text of XML")
