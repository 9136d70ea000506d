from __future__ import annotations

import base64
import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import segdata
from segdata.cli import cli
from segdata.errors import OptionError, OutputError
from segdata.shards import manifest


def test_whole_build_is_one_object(tiny_build: Path) -> None:
    dataset = segdata.open(tiny_build)
    assert isinstance(dataset, segdata.Dataset)
    assert dataset.directory == tiny_build
    assert list(dataset.splits) == ["train", "val"]
    assert dataset.classes["road"] == dataset.manifest.label_map["road"]
    assert len(dataset) == 8


def test_records_by_position_run_over_all_splits(tiny_build: Path) -> None:
    dataset = segdata.open(str(tiny_build))
    keys = [*dataset["train"].keys, *dataset["val"].keys]
    assert [record.key for record in dataset] == keys
    assert [dataset[i].key for i in range(8)] == keys
    assert dataset[-1].key == keys[-1]
    assert dataset[-8].key == keys[0]
    assert [record.key for record in dataset[3:7:2]] == keys[3:7:2]


@pytest.mark.parametrize("index", [8, -9, 1000])
def test_position_that_is_not_there(tiny_build: Path, index: int) -> None:
    with pytest.raises(IndexError, match=f"record {index} of 8"):
        segdata.open(tiny_build)[index]


def test_unknown_split_lists_the_known(tiny_build: Path) -> None:
    with pytest.raises(OptionError, match="'test' is not in this dataset: it has tr"):
        segdata.open(tiny_build)["test"]


def test_folder_without_a_build_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="holds no finished build"):
        segdata.open(tmp_path)


def test_repr_can_be_pasted_and_tells_what_it_is(tiny_build: Path) -> None:
    text = repr(segdata.open(tiny_build))
    assert text.endswith("# camvid, 12 classes, train 5, val 3")
    assert eval(text).directory == tiny_build


def test_manifest_is_read_once(
    tiny_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr(
        manifest,
        "read_manifest",
        lambda directory, original=manifest.read_manifest: (
            read.append(directory) or original(directory)
        ),
    )
    dataset = segdata.open(tiny_build)
    assert dataset["train"].manifest is dataset["val"].manifest
    dataset.read_semantic("val", batch_size=3, image_size=8)
    assert read == [tiny_build]


def test_survives_pickling(tiny_build: Path) -> None:
    dataset = pickle.loads(pickle.dumps(segdata.open(tiny_build)))
    assert dataset[0].key == segdata.open(tiny_build)[0].key


def test_notebook_shows_records_and_escapes_names(
    tiny_build: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a<b>'&"
    folder.symlink_to(tiny_build)
    shown = segdata.open(folder)._repr_html_()
    assert "a&lt;b&gt;" in shown
    assert "<b>'" not in shown
    assert "and 0 more" not in shown
    [encoded] = re.findall("src='data:image/jpeg;base64,(.*?)'", shown)
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert image.format == "JPEG"
    assert np.ptp(np.array(image)) > 100


def test_streams_take_the_readers_own_options(tiny_build: Path) -> None:
    dataset = segdata.open(tiny_build)
    stream = dataset.read_semantic("val", batch_size=3, image_size=(8, 8))
    [batch] = stream
    assert batch["image"].shape == (3, 8, 8, 3)
    with pytest.raises(OptionError, match="batch_size is 0"):
        dataset.read_semantic("val", batch_size=0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        dataset.read_semantic("val", batch_size=1, colour=True)  # type: ignore


def test_instances_are_read_by_the_reader_of_that_name(
    tiny_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_instances(*arguments: object, **options: object) -> object:
        return arguments, options

    monkeypatch.setattr(segdata, "read_instances", read_instances, raising=False)
    found = segdata.open(tiny_build).read_instances("val", batch_size=2)
    (build, split), options = found
    assert (build.directory, split, options) == (tiny_build, "val", {"batch_size": 2})


def test_real_coco_counts_its_objects(real_build: Callable[[str], Path]) -> None:
    dataset = segdata.open(real_build("coco"))
    assert repr(dataset).endswith("train 165, 1458 objects")
    assert sum(len(record.objects) for record in dataset) == 1458
    assert "and 68 more" in dataset._repr_html_()


def test_slices_are_read_as_streams(tiny_build: Path) -> None:
    dataset = segdata.open(tiny_build)
    options = {"batch_size": 1, "image_size": 8}
    both = [
        [int(batch["image_id"][0]) for batch in dataset.read_semantic(name, **options)]
        for name in ("train", "train[1:3]")
    ]
    assert both[1] == both[0][1:3]
    assert len(both[0]) > 3


def test_only_some_splits_are_exported(tiny_build: Path, tmp_path: Path) -> None:
    dataset = segdata.open(tiny_build)
    part = dataset.only("train[:2]")
    assert len(part) == 2
    assert list(part.splits) == ["train"]
    with pytest.raises(OptionError, match="expected each once"):
        dataset.only("train[:2]", "train[2:]")
    arguments = ["export", str(tiny_build), str(tmp_path / "out"), "--to=png"]
    result = CliRunner().invoke(cli, [*arguments, "--split=train[:2]"])
    assert result.output.startswith("exported 2 images")
