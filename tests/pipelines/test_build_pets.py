from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from segdata.checking.verify import stray_files, verify_shard
from segdata.errors import AnnotationError, BuildError
from segdata.formats.pets.format import Pets
from segdata.reading.record_source import RecordSource
from segdata.samples.pets import write_pets_sample
from segdata.shards.manifest import Manifest, read_manifest

Build = Callable[..., Manifest]
Hashes = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    return shared_data / "pets"


@pytest.fixture(scope="module")
def real_build(
    real: Path, run_build: Build, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("pets") / "out"
    run_build(real, out, dataset_format=Pets(), num_shards=4)
    return out


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    folder = tmp_path / "drawn"
    write_pets_sample(folder, seed=4, num_train=8, num_val=8)
    return folder


def heads_of(folder: Path, name: str) -> list[list[int]]:
    """`xmin, ymin, xmax, ymax` of each head, as the XML says."""
    path = folder / f"annotations/xmls/{name}.xml"
    if not path.is_file():
        return []
    boxes = ElementTree.parse(path).getroot().iter("bndbox")
    return [[int(side.text or "") for side in box] for box in boxes]


def test_every_real_record_equals_its_files(real: Path, real_build: Path) -> None:
    manifest = read_manifest(real_build)
    assert {n: s.num_records for n, s in manifest.splits.items()} == {
        "trainval": 300,
        "test": 149,
    }
    num_heads = Counter[str]()
    for split in ("trainval", "test"):
        for record in RecordSource(real_build, split):
            path = real / f"annotations/trimaps/{record.key}.png"
            trimap = np.asarray(Image.open(path))
            label_map = record.label_map()
            assert label_map is not None
            assert np.array_equal(label_map, trimap - 1)
            [pet] = record.objects
            assert np.array_equal(record.mask(pet), trimap == 1)
            rows, columns = np.nonzero(trimap == 1)
            box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
            assert pet.box == pytest.approx(box, abs=1e-3)
            assert pet.area == len(rows)
            breed = record.key.rpartition("_")[0]
            assert record.image_class is not None
            assert record.image_class.name == pet.name == breed
            assert record.image_class.label == pet.label == manifest.label_map[breed]
            expected = heads_of(real, record.key)
            for region, (x0, y0, x1, y1) in zip(record.regions, expected, strict=True):
                assert region.name == "head"
                assert region.box == pytest.approx((y0 - 1, x0 - 1, y1, x1), abs=1e-3)
                corners = {"xmin": x0, "ymin": y0, "xmax": x1, "ymax": y1}
                assert region.source["bndbox"] == corners
            num_heads[split] += len(expected)
            # All of these are JPEGs that need no change, EXIF orientation 0 included.
            assert record.encoded == (real / record.filename).read_bytes()
            assert record.notes == ()
    assert num_heads == {"trainval": 297, "test": 0}


def test_real_build_is_whole_and_names_what_it_left_out(real_build: Path) -> None:
    manifest = read_manifest(real_build)
    assert stray_files(real_build, manifest) == []
    for split in manifest.splits.values():
        for shard in split.shards:
            problems = verify_shard(
                real_build, shard, manifest.label_map, lambda count: None
            )
            assert list(problems) == []
    assert any("images/Abyssinian_34.jpg" in line for line in manifest.warnings)


def test_order_of_the_lists_is_no_matter(
    drawn: Path, run_build: Build, tmp_path: Path, file_hashes: Hashes
) -> None:
    run_build(drawn, tmp_path / "1", dataset_format=Pets())
    for name in ("trainval", "test", "list"):
        path = drawn / f"annotations/{name}.txt"
        path.write_text("\n".join(reversed(path.read_text().splitlines())))
    run_build(drawn, tmp_path / "2", dataset_format=Pets())
    assert file_hashes(tmp_path / "1") == file_hashes(tmp_path / "2")


def test_oddities_of_the_sample_are_counted(
    drawn: Path, run_build: Build, tmp_path: Path
) -> None:
    manifest = run_build(drawn, tmp_path / "out", dataset_format=Pets())
    expected = {
        "alpha-removed": 1,
        "extension-corrected": 2,
        "gif-converted": 1,
        "object-mask-empty": 1,
    }
    for split in ("trainval", "test"):
        assert manifest.splits[split].counts.notes == expected
    assert len(manifest.warnings) == 5


def test_hostile_xml_ends_a_strict_build_and_costs_only_heads_otherwise(
    drawn: Path, run_build: Build, tmp_path: Path
) -> None:
    xmls = sorted((drawn / "annotations/xmls").iterdir())
    bomb = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><annotation>&c;'
    xmls[0].write_text(bomb + "</annotation>")
    xmls[1].write_text(xmls[1].read_text().replace("<xmin>", "<xmin>9999"))
    with pytest.raises(AnnotationError, match=r"document type or entities.* is 1 more"):
        run_build(drawn, tmp_path / "out", dataset_format=Pets())
    options = {"dataset_format": Pets(), "on_error": "skip"}
    with pytest.raises(BuildError, match=r"^2 of 18 records were rejected \(11\.1%\)"):
        run_build(drawn, tmp_path / "out", **options)
    manifest = run_build(drawn, tmp_path / "out", **options, max_reject_share=0.2)
    assert manifest.scan_rejects == {"bad-head-box": 1, "bad-xml": 1}
    assert manifest.splits["trainval"].num_records == 8
    regions = {r.key: r.regions for r in RecordSource(tmp_path / "out", "trainval")}
    assert regions[xmls[0].stem] == regions[xmls[1].stem] == ()


def test_command_line_names_a_missing_trimap_and_goes_on_without_it(
    drawn: Path, segdata: Callable[..., Any], tmp_path: Path
) -> None:
    (drawn / "annotations/trimaps/Abyssinian_1.png").unlink()
    shutil.rmtree(drawn / "annotations/xmls")
    arguments = ["build", "pets", drawn, tmp_path / "out", "--outline", "ignore"]
    failed = segdata(*arguments).end()
    assert failed.returncode == 1
    [line] = [line for line in failed.stderr.splitlines() if line.startswith("error")]
    assert "'annotations/trimaps/Abyssinian_1.png' is missing: expected a file" in line
    done = segdata(*arguments, "--on-error", "skip", "--max-rejects", "0.2").end()
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "out")
    assert manifest.splits["trainval"].rejects == {"label-image-missing": 1}
    assert manifest.label_map.ignore_id == 255


def test_validation_split_is_carved_out_of_trainval(
    drawn: Path, segdata: Callable[..., Any], tmp_path: Path
) -> None:
    arguments = ["build", "pets", drawn, tmp_path / "out"]
    parts = "train=trainval:0.75,val=trainval:0.25,test"
    done = segdata(*arguments, "--split", parts).end()
    assert done.returncode == 0, done.stderr
    splits = read_manifest(tmp_path / "out").splits
    assert splits.keys() == {"train", "val", "test"}
    assert splits["train"].num_records + splits["val"].num_records == 8
    assert splits["test"].num_records == 8
    typo = segdata(*arguments, "--overwrite", "--split", "val=trainvall:1,test").end()
    assert typo.returncode == 1
    assert "the source has no split 'trainvall' of --split val=tr" in typo.stderr
    assert ": the source has trainval, test. Name" in typo.stderr
