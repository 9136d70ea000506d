"""Texts that exports write: whatever a name holds, a reader gets it back or is told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from segdata.errors import CorruptionError
from segdata.exports import pets, png, yolo
from segdata.exports.base import ExportReport
from segdata.label_map import LabelClass, LabelMap


@pytest.mark.parametrize(
    ("name", "is_told"),
    [("sky", False), ("a b", False), (" sky", True), ("5 6 7 8", True), ("#", False)],
)
def test_classes_that_a_class_file_cannot_hold_are_told(
    tmp_path: Path, name: str, is_told: bool
) -> None:
    classes = [
        LabelClass(id=i, name=n, color=(i, 2, 3)) for i, n in ((0, name), (1, "b"))
    ]
    report = ExportReport()
    label_map = LabelMap(semantic_classes=tuple(classes))
    values = np.arange(256, dtype=np.uint8)
    png._write_classes(tmp_path / "classes.txt", label_map, values, report)
    assert any("cannot hold these class names" in n for n in report.notes) == is_told


@pytest.mark.parametrize("name", ["a\uffff", "\ufffe:", "'\"", "\U0001f600", "- {}"])
def test_yaml_gives_names_back(name: str) -> None:
    item = LabelClass(id=1, name=name, color=(1, 2, 3))
    dataset: Any = SimpleNamespace(
        splits={"train": [], "val": []}, classes=LabelMap(object_classes=(item,))
    )
    text = yolo._data_yaml(dataset, ExportReport())
    assert yaml.safe_load(text)["names"] == {0: name}


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ({"a b": "c"}, "'a b' is no name of an element"),
        ({"a": ["\x01"]}, r"'\\x01' is no text of XML"),
        ([1], r"expected an object, got \[1\]"),
    ],
)
def test_xml_that_none_could_read_is_refused(xml: Any, message: str) -> None:
    record: Any = SimpleNamespace(key="k", source={"xml": xml}, regions=())
    with pytest.raises(CorruptionError, match=f"record 'k' has an 'xml'.*{message}"):
        pets._xml(record)


def test_masks_of_very_many_parts_are_left_out_of_yolo() -> None:
    mask = np.zeros((80, 80), np.uint8)
    mask[::2, ::2] = 1
    runs = np.diff(np.flatnonzero(np.diff(mask.reshape(-1), prepend=0)), prepend=0)
    runs = np.append(runs, mask.size - runs.sum())
    runs = np.append(runs, 0) if len(runs) % 2 else runs
    item: Any = SimpleNamespace(runs=runs, is_crowd=False, label=1)
    record: Any = SimpleNamespace(
        objects=[item], height=80, width=80, label_values=None, image_class=None
    )
    record.regions = record.captions = ()
    report = ExportReport()
    assert yolo._lines(record, {1: 0}, report) == ""
    assert report.losses["masks of more than 1000 parts and holes: left out"] == 1
