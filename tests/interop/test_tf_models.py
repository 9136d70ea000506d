"""TF Model Garden's and the Object Detection API's own decoders read PNG masks.

They pin TensorFlow versions, so they get an environment of their own: that of the
Python that `SEGDATA_TF_MODELS_PYTHON` names, or one made here, of 3.4 GB:

    python -m venv D; D/bin/pip install tf-models-official
    D/bin/pip install --no-deps tf-models-research-object-detection
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reading_page

from segdata.formats.camvid.format import CamVid
from segdata.formats.coco.format import Coco
from segdata.reading.record_source import RecordSource
from segdata.records.record import Record
from segdata.samples.coco import write_coco_sample
from segdata.shards.manifest import read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PROGRAM = Path(__file__).with_name("decode_by_tf_models.py")
Decode = Callable[[str, Path], list[dict[str, Any]]]


def pip_install(python: Path, *arguments: str) -> None:
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *arguments],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"pip install {' '.join(arguments)}: {done.stderr[-300:]}")


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    given = os.environ.get("SEGDATA_TF_MODELS_PYTHON")
    if given:
        yield Path(given)
        return
    folder = tmp_path_factory.mktemp("tf_models")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    found = folder / "bin" / "python"
    pip_install(found, "tf-models-official>=2.20")
    pip_install(found, "--no-deps", "tf-models-research-object-detection")
    yield found
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def decode(python: Path) -> Decode:
    def run(what: str, out: Path) -> list[dict[str, Any]]:
        done = subprocess.run(
            [python, PROGRAM, what, out], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return [json.loads(line) for line in lines]

    return run


def build(dataset_format: Any, source: Path, out: Path) -> Path:
    from segdata.building.build import build as run

    run(dataset_format, source, out, masks="rle,png")
    return out


@pytest.fixture(scope="session")
def coco(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    out = tmp_path_factory.mktemp("coco") / "out"
    return build(Coco(), shared_data / "coco", out)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of annotation, objects that are boxes only among them."""
    folder = tmp_path_factory.mktemp("sample")
    source = folder / "source"
    write_coco_sample(source, seed=0, num_train=16, num_val=8)
    return build(Coco(), source, folder / "out")


def all_records(out: Path) -> list[Record]:
    return [r for split in read_manifest(out).splits for r in RecordSource(out, split)]


def mask_digest(record: Record, index: int) -> str:
    mask = record.mask(record.objects[index])
    if mask is None:
        mask = np.zeros((record.height, record.width), np.uint8)
    return hashlib.sha256(mask).hexdigest()


def assert_same_objects(found: list[dict[str, Any]], out: Path) -> None:
    records = all_records(out)
    assert len(found) == len(records)
    for decoded, record in zip(found, records, strict=True):
        size = np.array([record.height, record.width] * 2)
        boxes = np.array([item.box for item in record.objects]).reshape(-1, 4) / size
        np.testing.assert_allclose(
            np.array(decoded["boxes"]).reshape(-1, 4), boxes, atol=1e-6
        )
        assert decoded["classes"] == [item.label for item in record.objects]
        assert decoded["crowd"] == [item.is_crowd for item in record.objects]
        np.testing.assert_allclose(
            decoded["area"], [item.area for item in record.objects]
        )
        assert decoded["image"] == [record.height, record.width, 3]
        numbers = range(len(record.objects))
        assert decoded["masks"] == [mask_digest(record, index) for index in numbers]
        assert decoded["source_id"] == int(record.source_id)


@pytest.mark.parametrize("build_name", ["coco", "sample"])
def test_model_garden_decodes_and_parses_every_object(
    decode: Decode, request: pytest.FixtureRequest, build_name: str
) -> None:
    out = request.getfixturevalue(build_name)
    found = decode("instances", out)
    assert_same_objects(found, out)
    for decoded, record in zip(found, all_records(out), strict=True):
        assert decoded["size"] == [record.height, record.width]
        assert decoded["parsed"] == [100, 28, 28]


@pytest.mark.parametrize("build_name", ["coco", "sample"])
def test_object_detection_api_decodes_every_object(
    decode: Decode, request: pytest.FixtureRequest, build_name: str
) -> None:
    out = request.getfixturevalue(build_name)
    found = decode("detection", out)
    assert_same_objects(found, out)
    classes = read_manifest(out).label_map.object_classes
    assert found[0]["names"] == {item.name: item.id for item in classes}
    weights = [w for decoded in found for w in decoded["weights"]]
    objects = [item for record in all_records(out) for item in record.objects]
    assert weights == [float(len(item.runs) > 0) for item in objects]
    assert (0 in weights) == (build_name == "sample")


def test_blocks_of_the_page_on_reading_run(python: Path, tmp_path: Path) -> None:
    blocks = [b for b in reading_page.blocks() if "official" in b.packages]
    assert blocks
    reading_page.build_demo(tmp_path)
    for block in blocks:
        reading_page.run_block(block, tmp_path, str(python))


def test_model_garden_decodes_every_label_map(
    decode: Decode, tmp_path: Path, shared_data: Path
) -> None:
    out = build(CamVid(), shared_data / "camvid", tmp_path / "out")
    found = decode("segmentation", out)
    records = all_records(out)
    assert len(found) == len(records) == 468
    void = read_manifest(out).label_map.ignore_id
    assert void == 11
    for decoded, record in zip(found, records, strict=True):
        label_map = record.label_map()
        assert label_map is not None
        is_void = label_map == void
        expected = np.where(is_void, 255, label_map).astype(np.uint8)
        assert decoded["size"] == [record.height, record.width]
        assert decoded["label_map"] == hashlib.sha256(expected).hexdigest()
        assert decoded["ignored"] == int(is_void.sum())
