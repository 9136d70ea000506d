from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from segdata.label_map import LabelClass, LabelMap
from segdata.shards import sidecars
from segdata.shards.manifest import Manifest, read_manifest


@pytest.fixture(scope="module")
def semantic(tiny_build: Path) -> Manifest:
    return read_manifest(tiny_build)


def with_objects(manifest: Manifest, *names: str) -> Manifest:
    classes = tuple(
        LabelClass(id=index, name=name, color=(0, 0, 0))
        for index, name in enumerate(names, 1)
    )
    label_map = LabelMap(object_classes=classes)
    return replace(manifest, label_map=label_map, splits=deepcopy(manifest.splits))


def test_build_writes_what_its_manifest_gives(
    tiny_build: Path, semantic: Manifest
) -> None:
    expected = sidecars.sidecar_files(semantic)
    assert expected
    assert {n: (tiny_build / n).read_bytes() for n in expected} == expected


def test_label_maps_of_a_build_are_counted_and_declared(
    tiny_build: Path, semantic: Manifest
) -> None:
    counts = {name: dict(s.counts.parts) for name, s in semantic.splits.items()}
    assert counts == {"train": {"label_map": 5}, "val": {"label_map": 3}}
    assert (
        b'"image/segmentation/class/rle/values"'
        in (tiny_build / "features.json").read_bytes()
    )


def test_every_name_is_one_that_a_cleared_directory_loses(semantic: Manifest) -> None:
    objects = with_objects(semantic, "a")
    objects.splits["train"].counts.parts["image_class"] = 1
    both = [sidecars.sidecar_files(manifest) for manifest in (semantic, objects)]
    assert {name for found in both for name in found} == set(sidecars.SIDECAR_NAMES)


def test_overwriting_a_build_leaves_no_file_of_the_old_one(
    tiny_source: Path, tmp_path: Path, build_plainly: Callable[..., Manifest]
) -> None:
    build_plainly(tiny_source, tmp_path)
    for name in sidecars.SIDECAR_NAMES:
        (tmp_path / name).write_text("old")
    build_plainly(tiny_source, tmp_path, overwrite=True, seed=1)
    found = {p.name for p in tmp_path.iterdir()} & set(sidecars.SIDECAR_NAMES)
    assert found == set(sidecars.sidecar_files(read_manifest(tmp_path)))
    assert b"old" not in {(tmp_path / name).read_bytes() for name in found}


def test_changed_and_missing_files_are_found(
    tiny_build: Path, semantic: Manifest, tmp_path: Path
) -> None:
    assert sidecars.changed_sidecars(tiny_build, semantic) == []
    out = shutil.copytree(tiny_build, tmp_path / "out")
    (out / "features.json").unlink()
    (out / "labels.txt").write_text("mine\n")
    assert sorted(sidecars.changed_sidecars(out, semantic)) == [
        "features.json",
        "labels.txt",
    ]
    other = replace(semantic, versions={"segdata": "0.0.1"})
    assert sidecars.changed_sidecars(out, other) == []


def test_names_of_objects_are_written_by_id(semantic: Manifest) -> None:
    found = sidecars.sidecar_files(with_objects(semantic, "cat", "dog"))
    assert found["labels.txt"] == b"cat\ndog\n"
    assert found["image.object.class.label.labels.txt"] == b"background\ncat\ndog\n"
