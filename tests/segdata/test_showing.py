"""What objects show of themselves: in a terminal short, in a notebook a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import segdata
from segdata.formats.coco.format import Coco
from segdata.label_map import LabelMap
from segdata.samples.coco import write_coco_sample


@pytest.fixture(scope="module")
def dataset(
    tmp_path_factory: pytest.TempPathFactory, build_plainly: Callable[..., Any]
) -> segdata.Dataset:
    folder = tmp_path_factory.mktemp("coco")
    write_coco_sample(folder / "source", seed=0, num_train=6, num_val=1)
    coco = Coco(semantic=True)
    build_plainly(folder / "source", folder / "out", dataset_format=coco)
    segdata.stats(folder / "out")
    return segdata.open(folder / "out")


SHOWN: dict[str, Callable[[segdata.Dataset], Any]] = {
    "dataset": lambda dataset: dataset,
    "split": lambda dataset: dataset["train"],
    "slice": lambda dataset: dataset["train[:50%]"],
    "record": lambda dataset: dataset[0],
    "classes": lambda dataset: dataset.classes,
    "many classes": lambda _: LabelMap.from_dict({f"{i}" * 40: i for i in range(999)}),
    "manifest": lambda dataset: dataset.manifest,
    "stats": lambda dataset: dataset.stats,
}


@pytest.mark.parametrize("what", SHOWN)
def test_what_is_shown_is_short_and_is_there(
    what: str, dataset: segdata.Dataset
) -> None:
    shown = SHOWN[what](dataset)
    assert 20 < len(repr(shown)) < 2000
    page = shown._repr_html_()
    assert 100 < len(page) < 500_000
    assert page.count("<table") == page.count("</table")


@pytest.mark.parametrize(
    "shown",
    [
        lambda dataset: dataset[0].objects[0],
        lambda dataset: dataset.manifest.splits["train"],
        lambda dataset: dataset["train"].arrays(),
        lambda dataset: dataset.manifest.about,
        lambda _: segdata.ImageOptions(),
        lambda _: segdata.Augmentation(),
    ],
)
def test_parts_are_short_too(
    shown: Callable[[Any], Any], dataset: segdata.Dataset
) -> None:
    assert len(repr(shown(dataset))) < 2000


def test_repr_tells_what_matters(dataset: segdata.Dataset) -> None:
    record = dataset["train"][0]
    assert f"{record.width} wide x {record.height} high" in repr(record)
    assert f"{len(record.objects)} objects" in repr(record)
    assert repr(dataset["train"]).endswith(": 6 records>")
    assert "6 records" in repr(dataset.manifest)
    assert "train: 6 images" in repr(dataset.stats)


def test_records_are_found_by_key_and_in_slices(dataset: segdata.Dataset) -> None:
    keys = dataset["train"].keys
    assert dataset["train"][keys[4]].key == keys[4]
    part = dataset["train[-3:]"]
    assert [record.key for record in part] == part.keys == keys[-3:]
    assert part[keys[4]].key == keys[4]
    with pytest.raises(KeyError, match=r"no record of train\[-3:\] has the key"):
        part[keys[0]]
