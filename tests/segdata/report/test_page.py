from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from PIL import Image

import segdata
from segdata.cli import cli
from segdata.report.charts import bits_chart, size_chart
from segdata.report.page import render_report
from segdata.report.pictures import MAX_SAMPLES, choose_samples
from segdata.report.remarks import find_remarks
from segdata.samples.coco import write_coco_sample

_VOID = {"meta", "link", "img", "line", "rect"}


class Page(HTMLParser):
    """Tags with their attributes; fails on tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(out: Path, folder: Path) -> str:
    arguments = ["stats", str(out), f"--html={folder / 'a.html'}", "--workers=1"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exception is None, result.exception
    return (folder / "a.html").read_text("utf-8")


@pytest.fixture(scope="module")
def hostile_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class names, file names and counts that break careless pages."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "source/images").mkdir(parents=True)
    images, annotations = [], []
    for number, name in enumerate(("<b>&'\".png", "twin.png", "twin2.png", "long.png")):
        size = (200, 10) if name == "long.png" else (32, 32)
        Image.new("RGB", size, (number // 2 * 9, 1, 2)).save(
            folder / "source/images" / name
        )
        width, height = size
        images.append(
            {"id": number, "file_name": name, "height": height, "width": width}
        )
    Image.new("RGB", (32, 32), (7, 7, 7)).save(folder / "source/images/twin.png")
    Image.new("RGB", (32, 32), (7, 7, 7)).save(folder / "source/images/twin2.png")
    for number, box in enumerate(([1, 1, 2, 2], [0, 0, 30, 1], [5, 5, 9, 9])):
        x, y, w, h = box
        polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
        annotations.append(
            {
                "id": number + 1,
                "image_id": 0,
                "category_id": number % 2,
                "bbox": box,
                "area": w * h * (3 if number == 2 else 1),
                "iscrowd": 0,
                "segmentation": [polygon],
            }
        )
    names = ("</script><script>alert(1)</script>", '"><img src=x>', "never")
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
    }
    (folder / "source/instances.json").write_bytes(orjson.dumps(content))
    arguments = ["build", "coco", str(folder / "source"), str(folder / "out")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exception is None, result.exception
    return folder / "out"


def test_page_needs_nothing_beside_it(
    real_build: Callable[[str], Path], tmp_path: Path
) -> None:
    text = report(real_build("coco"), tmp_path)
    page = Page(text)
    for attributes in (*page.all("img"), *page.all("link"), *page.all("script")):
        target = attributes.get("src") or attributes.get("href") or "data:"
        assert target.startswith("data:")
    assert not re.search(r"url\(|@import|https?://", text)
    assert len(text) < 3_000_000
    assert len(page.all("img")) == MAX_SAMPLES


def test_keypoints_have_a_table(tmp_path: Path) -> None:
    write_coco_sample(tmp_path / "source", seed=0, num_train=9, num_val=3)
    pages = {}
    for name, options in (("with", []), ("without", ["--keypoints=none"])):
        arguments = ["build", "coco", tmp_path / "source", tmp_path / name, *options]
        result = CliRunner().invoke(cli, [*map(str, arguments)])
        assert result.exception is None, result.exception
        pages[name] = report(tmp_path / name, tmp_path)
    _, _, table = pages["with"].partition('<section id="keypoints"')
    assert ">lower left <small>star</small>" in table.partition("</section>")[0]
    splits = segdata.open(tmp_path / "with").stats["splits"]
    [star] = (
        c for c in splits["train"]["object_classes"] if c["keypoints"] is not None
    )
    seen = star["keypoints"]["points"][0]["visible"]
    assert f'class="num group" data-split="train">{seen}</td>' in table
    assert (
        f"<dt>With keypoints</dt><dd>{star['keypoints']['objects']}</dd>"
        in (pages["with"])
    )
    assert "eypoint" not in pages["without"]
    Page(pages["with"])


def test_page_can_be_heard(real_build: Callable[[str], Path], tmp_path: Path) -> None:
    page = Page(report(real_build("pets"), tmp_path))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    assert all(chart["aria-label"] for chart in page.all("svg"))
    assert len(page.all("caption")) == len(page.all("table"))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    for _, attributes in page.tags:
        for name in ("aria-labelledby", "for"):
            assert attributes.get(name, ids[0]) in ids
        if (attributes.get("href") or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in ids
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


@pytest.fixture
def own_build(tiny_build: Path, tmp_path: Path) -> Path:
    """A copy: statistics are written into the build, which other tests share."""
    return Path(shutil.copytree(tiny_build, tmp_path / "out"))


def test_the_same_build_gives_the_same_page(own_build: Path, tmp_path: Path) -> None:
    assert report(own_build, tmp_path) == report(own_build, tmp_path)


def test_names_of_strangers_stay_text(hostile_build: Path, tmp_path: Path) -> None:
    text = report(hostile_build, tmp_path)
    page = Page(text)
    assert len(page.all("script")) == 1
    assert "<img src=x>" not in text
    assert "alert(1)</script>" not in text
    for item in page.all("li"):
        if "data-classes" in item:
            assert isinstance(orjson.loads(item["data-classes"] or ""), list)


def test_what_is_odd_is_told(hostile_build: Path, tmp_path: Path) -> None:
    page = report(hostile_build, tmp_path)
    dataset = segdata.open(hostile_build)
    linked = set(re.findall(r'href="#(sample-\d+)"', page))
    assert len(linked) == 2
    assert linked <= set(re.findall(r'<li id="(sample-\d+)"', page))
    titles = {item.title: item for item in find_remarks(dataset, dataset.stats)}
    for title in (
        "Twice or more in one split: 1 image",
        "Without any objects: 1 class",
        "1 object of less than 16 pixels",
        "1 box 20 times as long as wide",
        "1 stated area that differs from the mask's by more than 20 %",
        "1 image four times as long as wide",
    ):
        assert title in titles
    assert titles["Without any objects: 1 class"].examples == ("never",)


def test_leaks_and_rejects_come_first() -> None:
    stats = {
        "duplicates": {
            "across_splits": {"num_groups": 1, "groups": [["train/a", "val/b"]]},
            "within_splits": {"num_groups": 0, "groups": []},
        },
        "splits": {
            "train": {
                "semantic_classes": [],
                "object_classes": [
                    {"name": "cat", "objects": 1},
                    {"name": "dog", "objects": 4},
                ],
                "rejects": {"records": {}, "objects": {"bad-rle": 2}},
                "findings": {},
            },
            "val": {
                "semantic_classes": [],
                "object_classes": [
                    {"name": "cat", "objects": 0},
                    {"name": "dog", "objects": 1},
                ],
                "rejects": {"records": {}, "objects": {}},
                "findings": {},
            },
        },
    }

    class Nothing:
        class manifest:  # noqa: N801
            warnings = ("a warning of the source",)

    found = find_remarks(Nothing(), stats)  # type: ignore[arg-type]
    assert [item.level for item in found] == ["serious", "serious", "look", "look"]
    assert found[0].examples == ("train/a = val/b",)
    assert found[1].title == "Left out of train: 2 objects, bad-rle"
    assert (found[2].title, found[2].examples) == (
        "Without objects in val: 1 class",
        ("cat",),
    )


def test_samples_show_every_class_that_occurs(
    real_build: Callable[[str], Path], tmp_path: Path
) -> None:
    out = real_build("pets")
    report(out, tmp_path)
    dataset = segdata.open(out)
    samples = choose_samples(dataset, dataset.stats)
    shown = {name for sample in samples for name in sample.classes}
    assert set(dataset.classes) <= shown
    assert len({(sample.split, sample.key) for sample in samples}) == len(samples)
    assert all(max(sample.width, sample.height) <= 320 for sample in samples)


def test_bars_are_as_high_as_their_counts() -> None:
    split = {"object_sizes": {"histogram": [0, 5, 10, *[0] * 13]}}
    [panel] = size_chart({"train": split}).panels
    assert [bar.count for bar in panel.bars[:3]] == [0, 5, 10]
    assert panel.bars[2].height == 2 * panel.bars[1].height
    assert panel.summary == "train: 15 objects; most of them, 10, with 8 to 16 px."


def test_bins_that_no_split_uses_are_cut_off() -> None:
    splits = {
        name: {"record_runs": {"histogram": histogram}}
        for name, histogram in (("a", [0, 0, 3]), ("b", [0, 0, 0, 0, 2]), ("c", []))
    }
    chart = bits_chart(splits, "record_runs", "Runs", "runs")
    assert [[bar.count for bar in panel.bars] for panel in chart.panels] == [
        [3, 0, 0],
        [0, 0, 2],
        [0, 0, 0],
    ]
    assert chart.panels[0].bars[2].label == "8 to 15 runs"


def test_page_is_of_the_counted_build(own_build: Path, tmp_path: Path) -> None:
    text = report(own_build, tmp_path)
    dataset = segdata.open(own_build)
    assert dataset.manifest.fingerprint in text
    assert text == render_report(dataset)
