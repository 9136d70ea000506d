from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segdata.errors import AnnotationError, BuildError
from segdata.formats.mask_folder.format import MaskFolder
from segdata.reading.record_source import RecordSource
from segdata.samples.mask_folder import write_mask_folder_sample
from segdata.shards.manifest import Manifest, read_manifest

Build = Callable[..., Manifest]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    write_mask_folder_sample(folder, seed=2, num_train=6, num_val=3)
    return folder


@pytest.fixture
def source(drawn: Path, tmp_path: Path) -> Path:
    return shutil.copytree(drawn, tmp_path / "source")


def test_built_label_maps_are_the_masks(
    drawn: Path, run_build: Build, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    manifest = run_build(drawn, out, dataset_format=MaskFolder())
    ids = manifest.label_map.semantic_by_source_id
    for split, count in (("train", 6), ("val", 3)):
        records = RecordSource(out, split)
        assert len(records) == count
        for record in records:
            path = drawn / "masks" / f"{record.key.removeprefix('images/')}.png"
            stored = np.asarray(Image.open(path))
            label_map = record.label_map()
            assert label_map is not None
            expected = np.vectorize(ids.__getitem__, otypes=[np.uint8])(stored)
            assert np.array_equal(label_map, expected)


def test_ambiguous_names_end_a_strict_build_with_their_number(
    source: Path, run_build: Build, tmp_path: Path
) -> None:
    for index in range(3):
        mask = source / f"masks/train/scene_000{index}.png"
        shutil.copy(mask, mask.with_suffix(".gif"))
    with pytest.raises(
        AnnotationError,
        match=r"2 masks are named 'train/scene_0000': .* There are 2 more of such",
    ):
        run_build(source, tmp_path / "out", dataset_format=MaskFolder())
    options = {"dataset_format": MaskFolder(), "on_error": "skip"}
    message = r"^3 of 9 records were rejected \(33\.3%\): .* named 'train/scene_0000'"
    with pytest.raises(BuildError, match=message):
        run_build(source, tmp_path / "out", **options)
    manifest = run_build(source, tmp_path / "out", **options, max_reject_share=0.4)
    assert manifest.scan_rejects == {"ambiguous-mask": 3}
    assert manifest.splits["train"].num_records == 3


def test_command_line_takes_the_options_and_names_the_unpaired(
    source: Path, segdata: Callable[..., Any], tmp_path: Path
) -> None:
    (source / "masks/val/scene_0001.png").unlink()
    arguments = ["build", "mask-folder", source, tmp_path / "out"]
    arguments += ["--classes", "classes.txt", "--ignore", "background"]
    failed = segdata(*arguments).end()
    assert failed.returncode == 1
    assert "1 image has no mask: images/val/scene_0001.jpg" in failed.stderr
    last = failed.stderr.strip().splitlines()[-1]
    assert "label image 'masks/val/scene_0001.png' is missing: expected a file" in last
    done = segdata(*arguments, "--on-error", "skip", "--max-rejects", "0.2").end()
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "out")
    assert manifest.splits["val"].num_records == 2
    assert manifest.label_map["background"] == manifest.label_map.ignore_id == 255
