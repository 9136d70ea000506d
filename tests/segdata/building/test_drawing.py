from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from coco_folder import CATEGORIES, image_row, object_row, save_image

import segdata
from segdata.building.drawing import SplitDrawing
from segdata.building.options import BuildOptions
from segdata.building.splits import SplitChoice
from segdata.errors import OptionError
from segdata.reading.record_source import RecordSource

HALVES = SplitChoice.parse("train=0.5,val=0.5")
THIRDS = SplitChoice.parse("train=0.6,val=0.2,test=0.2")


def drawing(split: SplitChoice = HALVES, **options: Any) -> SplitDrawing:
    return SplitDrawing(options=BuildOptions(split=split, **options))


def drawn(
    draw: SplitDrawing, classes: dict[str, list[int]], source_split: str | None = None
) -> dict[str, str | None]:
    """Key -> split, in the end."""
    data = {
        key: {
            "objects": [{"category_id": i} for i in ids],
            **({"split": source_split} if source_split else {}),
        }
        for key, ids in classes.items()
    }
    first = {key: draw.draw(key, item) for key, item in data.items()}
    moved = draw.spread()
    return {
        key: moved.get(draw.unit(key, source_split), split or "")
        for key, split in first.items()
    }


# --- groups ---

FRAMES = [f"film{n:02}_{i:03}" for n in range(20) for i in range(5)]


@pytest.mark.parametrize("pattern", [r"^(film\d+)_", r"film\d+", r"(film\d+)|(x)"])
def test_keys_of_a_group_are_drawn_into_one_split(pattern: str) -> None:
    draw = drawing(group=pattern)
    splits = {key: draw.draw(key, {}) for key in FRAMES}
    films = {(key[:6], split) for key, split in splits.items()}
    assert len(films) == 20
    assert set(splits.values()) == {"train", "val"}
    assert draw.num_unmatched == 0
    assert list(draw.warnings) == []


def test_group_is_drawn_as_a_key_of_its_name_would_be() -> None:
    grouped, plain = drawing(group=r"^(film\d+)_"), drawing()
    assert grouped.draw("film03_001", {}) == plain.draw("film03", {})


@pytest.mark.parametrize("pattern", [r"^(film\d+)_9", r"^(x)?film"])
def test_keys_without_a_group_are_drawn_on_their_own_and_counted(pattern: str) -> None:
    draw, plain = drawing(group=pattern), drawing()
    for key in FRAMES:
        assert draw.draw(key, {}) == plain.draw(key, {})
    [line] = draw.warnings
    assert "100 keys do not match and are drawn each on its own" in line


@pytest.mark.parametrize("more", [{"group": "x"}, {"stratify": True}])
@pytest.mark.parametrize("split", [SplitChoice(), SplitChoice.parse("train,val")])
def test_there_must_be_splits_to_draw(split: SplitChoice, more: Any) -> None:
    with pytest.raises(OptionError, match=r"is for splits that are drawn, and none is"):
        drawing(split, **more)


@pytest.mark.parametrize("pattern", ["(", "[", "*", "(?P<x"])
def test_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(OptionError, match=r"--group is .* no regular expression"):
        BuildOptions(group=pattern)


# --- classes ---


def split_counts(
    found: dict[str, str | None], classes: dict[str, list[int]]
) -> dict[str | None, Counter[int]]:
    counts: dict[str | None, Counter[int]] = {}
    for key, split in found.items():
        counts.setdefault(split, Counter()).update(set(classes[key]))
    return counts


@pytest.mark.parametrize("seed", range(8))
def test_no_class_is_in_one_split_only(seed: int) -> None:
    classes = {f"k{n}": [0, *([1] if n % 20 == 0 else [])] for n in range(60)}
    found = drawn(drawing(THIRDS, stratify=True, seed=seed), classes)
    counts = split_counts(found, classes)
    assert all(counts[name][1] == 1 for name in ("train", "val", "test"))
    plain = drawn(drawing(THIRDS, seed=seed), classes)
    assert sum(found[key] != plain[key] for key in classes) <= 2


def test_class_of_two_records_is_in_train_and_val() -> None:
    classes = {f"k{n}": [0, *([7] if n < 2 else [])] for n in range(60)}
    counts = split_counts(drawn(drawing(THIRDS, stratify=True), classes), classes)
    assert [counts[n][7] for n in ("train", "val", "test")] == [1, 1, 0]


def test_class_of_one_record_stays_where_it_is() -> None:
    classes = {f"k{n}": [0, *([7] if n == 5 else [])] for n in range(60)}
    plain, found = (
        drawn(drawing(THIRDS, stratify=is_on), classes) for is_on in (False, True)
    )
    assert plain == found


def test_records_of_a_group_move_together() -> None:
    classes = {f"film{n}_{i}": [0, n % 3] for n in range(9) for i in range(3)}
    draw = drawing(THIRDS, stratify=True, group=r"^(film\d+)_")
    found = drawn(draw, classes)
    assert len({(key.split("_")[0], split) for key, split in found.items()}) == 9
    counts = split_counts(found, classes)
    assert all(counts[n][c] for n in ("train", "val", "test") for c in range(3))


def test_carved_splits_take_from_their_own_source_only() -> None:
    choice = SplitChoice.parse("trainval,val=trainval:0.2,test")
    classes = {f"k{n}": [0, *([7] if n < 3 else [])] for n in range(40)}
    draw = drawing(choice, stratify=True)
    assert {draw.draw(f"t{n}", {"split": "test"}) for n in range(9)} == {"test"}
    counts = split_counts(drawn(draw, classes, "trainval"), classes)
    assert counts["trainval"][7]
    assert counts["val"][7]
    assert "test" not in counts


def test_order_of_the_records_is_no_matter() -> None:
    classes = {f"k{n}": [n % 7, n % 3] for n in range(50)}
    found = drawn(drawing(THIRDS, stratify=True), classes)
    turned = dict(reversed(classes.items()))
    assert drawn(drawing(THIRDS, stratify=True), turned) == found


def test_annotations_that_tell_no_class_are_told() -> None:
    draw = drawing(stratify=True)
    draw.draw("a", {"label_image": {"path": "x", "encoding": "index"}})
    assert draw.spread() == {}
    [line] = draw.warnings
    assert "--stratify could not be done: no annotation tells classes" in line


@pytest.mark.parametrize("objects", [None, [None, 3, {}, {"category_id": None}]])
def test_bad_objects_tell_no_class(objects: Any) -> None:
    draw = drawing(stratify=True)
    assert draw.draw("a", {"objects": objects}) is not None
    assert draw.spread() == {}


# --- whole builds ---


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 images; two of them have a dog."""
    root = tmp_path_factory.mktemp("drawing") / "source"
    images = [image_row(n, f"f{n // 4}_{n}.png") for n in range(40)]
    rows = [object_row(n, n, category_id=9 if n in (0, 20) else 5) for n in range(40)]
    for row in images:
        save_image(root / "images" / row["file_name"])
    (root / "instances.json").write_bytes(
        orjson.dumps({"images": images, "annotations": rows, "categories": CATEGORIES})
    )
    return root


def names(out: Path, split: str) -> set[str]:
    return {item.name for record in RecordSource(out, split) for item in record.objects}


def test_build_spreads_classes_and_tells_of_those_that_lack(
    source: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    seed = next(
        seed
        for seed in range(99)
        if len({HALVES.assign(f"images/f{n // 4}_{n}", None, seed) for n in (0, 20)})
        == 1
    )
    plain = segdata.build("coco", source, one, split=HALVES, seed=seed)
    [line] = plain.warnings
    assert "has none of 1 class of others: dog. --stratify spreads classes" in line
    spread = segdata.build("coco", source, two, split=HALVES, seed=seed, stratify=True)
    assert spread.warnings == ()
    assert names(two, "train") == names(two, "val") == {"cat", "dog"}
    assert spread.options["stratify"] is True
    again = segdata.build("coco", source, two, update=True)
    assert again.fingerprint == spread.fingerprint


def test_build_keeps_groups_together(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segdata.build("coco", source, out, split=HALVES, group=r"images/(f\d+)_")
    films = [
        {record.key.split("_")[0] for record in RecordSource(out, split)}
        for split in ("train", "val")
    ]
    assert films[0].isdisjoint(films[1])
    assert len(films[0] | films[1]) == 10
