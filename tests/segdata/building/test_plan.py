from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segdata import identity
from segdata.annotations import Annotation
from segdata.building.options import BuildOptions
from segdata.building.plan import Plan, make_plan, parse_plan_line
from segdata.building.splits import SplitChoice
from segdata.errors import AnnotationError, ImageError, OptionError, SourceError
from segdata.formats.base import Scan
from segdata.formats.camvid.format import CamVid
from segdata.identity import MAX_IMAGE_ID, ImageNumbers, shard_index
from segdata.label_map import LabelMap
from segdata.storage.sorting import Sorter

NO_CLASSES = LabelMap()


def planned(
    source: Path, images: list[str], in_split: str | None = "train", **options: Any
) -> Plan:
    """Plans images that are written with one byte each where they are missing."""
    annotations: list[Annotation] = []
    for image in images:
        path = source / image
        if not path.exists():
            path.write_bytes(b"x")
        annotations.append({"image": image})
        if in_split is not None:
            annotations[-1]["split"] = in_split
    return plan_of(source, annotations, **options)


def plan_of(source: Path, annotations: list[Any], **options: Any) -> Plan:
    scan = Scan(label_map=NO_CLASSES, annotations=annotations, layout="test")
    return make_plan(scan, source, "data", BuildOptions(**options))


def keys_of(plan: Plan) -> dict[str, list[str]]:
    """Shard name -> its keys in order."""
    return {
        name: [parse_plan_line(line).data["key"] for line in text.splitlines()]
        for name, text in plan.lines.items()
    }


def names(count: int) -> list[str]:
    return [f"{index:04d}.png" for index in range(count)]


def test_plan_does_not_depend_on_the_order_of_annotations(tmp_path: Path) -> None:
    images = names(50)
    plan = planned(tmp_path, images, num_shards=3)
    for seed in range(3):
        random.Random(seed).shuffle(images)
        assert planned(tmp_path, images, num_shards=3) == plan


def test_plan_of_a_real_scan_does_not_depend_on_its_order(tiny_source: Path) -> None:
    scan = CamVid().scan(tiny_source)
    turned = Scan(
        label_map=scan.label_map,
        annotations=list(reversed(list(scan.annotations))),
        layout=scan.layout,
    )
    plans = [
        make_plan(s, tiny_source, "camvid", BuildOptions(num_shards=2))
        for s in (scan, turned)
    ]
    assert plans[0].lines == plans[1].lines
    assert plans[0].shards == plans[1].shards


def test_every_record_stands_in_exactly_one_shard(tmp_path: Path) -> None:
    plan = planned(tmp_path, names(100), num_shards=7)
    keys = [key for group in keys_of(plan).values() for key in group]
    assert sorted(keys) == [Path(name).stem for name in names(100)]
    assert plan.num_records == 100
    assert [s.num_records for s in plan.shards] == [
        len(g) for g in keys_of(plan).values()
    ]


def test_assignment_to_shards_is_stable_for_good(tmp_path: Path) -> None:
    plan = planned(tmp_path, names(8), num_shards=3)
    # Literal on purpose: a change here changes the bytes of every build.
    assert list(keys_of(plan).values()) == [
        ["0000", "0001", "0007", "0006"],
        ["0003", "0005", "0004"],
        ["0002"],
    ]


def test_new_record_moves_no_other_to_another_shard(tmp_path: Path) -> None:
    before = keys_of(planned(tmp_path, names(40), num_shards=4))
    after = keys_of(planned(tmp_path, names(41), num_shards=4))
    without = {n: [k for k in keys if k != "0040"] for n, keys in after.items()}
    assert without == before


def test_other_seed_gives_another_order(tmp_path: Path) -> None:
    plans = [planned(tmp_path, names(40), num_shards=1, seed=seed) for seed in (0, 1)]
    orders = [next(iter(keys_of(plan).values())) for plan in plans]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_order_across_shards_does_not_depend_on_their_number(tmp_path: Path) -> None:
    orders = {
        tuple(
            k
            for g in keys_of(planned(tmp_path, names(40), num_shards=n)).values()
            for k in g
        )
        for n in (1, 3, 40)
    }
    assert len(orders) == 1


def test_asked_for_number_of_shards_is_kept_for_each_split(tmp_path: Path) -> None:
    for name in names(6):
        (tmp_path / name).write_bytes(b"x")
    annotations = [
        {"image": name, "split": ("train", "val")[index % 2]}
        for index, name in enumerate(names(6))
    ]
    plan = plan_of(tmp_path, annotations, num_shards=5)
    assert [s.name for s in plan.shards] == [
        f"data-{split}.tfrecord-{index:05d}-of-00005"
        for split in ("train", "val")
        for index in range(5)
    ]


def test_sizes_of_sources_decide_the_number_of_shards(tmp_path: Path) -> None:
    images = names(12)
    for name in images:
        (tmp_path / name).write_bytes(b"x" * 100)
    plan = planned(tmp_path, images, shard_bytes=400)
    assert len(plan.shards) == 3
    assert sum(shard.num_bytes for shard in plan.shards) == 1200


def test_size_of_the_label_image_counts_too(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x" * 30)
    (tmp_path / "l.png").write_bytes(b"x" * 12)
    label = {"path": "l.png", "encoding": "index"}
    plan = plan_of(tmp_path, [{"image": "a.png", "label_image": label}])
    assert plan.shards[0].num_bytes == 42
    assert parse_plan_line(plan.lines[plan.shards[0].name]).source_bytes == 42


@pytest.mark.parametrize(("count", "shards"), [(1, 1), (63, 1), (64, 2), (400, 8)])
def test_small_splits_get_a_shard_per_32_records_and_at_most_eight(
    tmp_path: Path, count: int, shards: int
) -> None:
    assert len(planned(tmp_path, names(count)).shards) == shards


def test_tiny_shard_size_gives_no_more_shards_than_records(tmp_path: Path) -> None:
    for name in names(4):
        (tmp_path / name).write_bytes(b"x" * 100)
    assert len(planned(tmp_path, names(4), shard_bytes=1).shards) == 4


def test_source_file_that_was_touched_changes_the_state_of_its_shard_alone(
    tmp_path: Path,
) -> None:
    before = planned(tmp_path, names(12), num_shards=3)
    changed = before.shards[1]
    image = tmp_path / f"{keys_of(before)[changed.name][0]}.png"
    os.utime(image, ns=(1, 1))
    after = planned(tmp_path, names(12), num_shards=3)
    assert after.lines == before.lines
    states = [
        old.state_sha256 == new.state_sha256
        for old, new in zip(before.shards, after.shards, strict=True)
    ]
    assert states == [True, False, True]
    assert after.shards[1] == replace(
        changed, state_sha256=after.shards[1].state_sha256
    )


def test_label_image_that_was_touched_changes_the_state_too(tmp_path: Path) -> None:
    for name in ("a.png", "l.png"):
        (tmp_path / name).write_bytes(b"x")
    label = {"path": "l.png", "encoding": "index"}
    plans = []
    for time in (1, 2):
        os.utime(tmp_path / "l.png", ns=(time, time))
        plans.append(plan_of(tmp_path, [{"image": "a.png", "label_image": label}]))
    assert plans[0].lines == plans[1].lines
    assert plans[0].shards[0].state_sha256 != plans[1].shards[0].state_sha256


def test_image_that_grew_changes_the_plan_of_its_shard_alone(tmp_path: Path) -> None:
    before = planned(tmp_path, names(12), num_shards=3)
    image = tmp_path / f"{keys_of(before)[before.shards[1].name][0]}.png"
    image.write_bytes(b"xx")
    after = planned(tmp_path, names(12), num_shards=3)
    same = [
        old.plan_sha256 == new.plan_sha256
        for old, new in zip(before.shards, after.shards, strict=True)
    ]
    assert same == [True, False, True]


def test_duplicate_key_is_refused_with_both_images(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"two images have the key 'a': 'a.png' and 'a.jpg'. Rename"
    ) as caught:
        planned(tmp_path, ["a.png", "a.jpg"])
    assert caught.value.reason == "duplicate-key"


def test_same_image_in_two_splits_is_a_duplicate_key(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    both = [{"image": "a.png", "split": split} for split in ("train", "val")]
    with pytest.raises(SourceError, match=r"two images have the key 'a'"):
        plan_of(tmp_path, both)


def test_source_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no images were found in .* \(test\)"):
        plan_of(tmp_path, [])


def test_unknown_split_is_refused_with_those_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"source has no split 'dev' .*: the source has train"
    ):
        planned(tmp_path, names(3), split=SplitChoice.parse("train,dev"))


def test_drawn_split_that_comes_out_empty_is_refused(tmp_path: Path) -> None:
    tiny = SplitChoice.parse("train=0.999999,val=0.000001")
    with pytest.raises(SourceError, match=r"draws no record for 'val': its share is"):
        planned(tmp_path, names(3), None, split=tiny)


def test_drawn_splits_are_planned_and_stay_when_a_record_is_added(
    tmp_path: Path,
) -> None:
    def split_of_keys(count: int) -> dict[str, str]:
        choice = SplitChoice.parse("train=0.75,val=0.25")
        plan = planned(tmp_path, names(count), None, split=choice, num_shards=1)
        return {
            key: shard.split
            for shard in plan.shards
            for key in keys_of(plan)[shard.name]
        }

    before, after = split_of_keys(120), split_of_keys(121)
    assert {key: after[key] for key in before} == before
    share = sum(split == "val" for split in before.values()) / 120
    assert share == pytest.approx(0.25, abs=0.15)


def test_missing_image_ends_a_strict_plan_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"image 'no.png' is missing: expected a file"):
        plan_of(tmp_path, [{"image": "no.png"}])


def test_missing_image_is_planned_where_bad_records_are_skipped(
    tmp_path: Path,
) -> None:
    plan = plan_of(tmp_path, [{"image": "no.png"}], on_error="skip")
    assert (plan.num_records, plan.shards[0].num_bytes) == (1, 0)


@pytest.mark.parametrize("path", ["../a.png", "/etc/passwd", "a\\b.png", "C:a.png"])
def test_path_out_of_the_source_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(AnnotationError, match=r"may leave the image folder"):
        plan_of(tmp_path, [{"image": path}])


def test_malformed_annotation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"unknown keys \['imgae'\]"):
        plan_of(tmp_path, [{"image": "a.png", "imgae": "b.png"}])


def test_file_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "\udce9.png").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"File names must be valid UTF-8"):
        plan_of(tmp_path, [{"image": "\udce9.png"}])


def test_image_numbers_of_the_source_are_kept(tmp_path: Path) -> None:
    for name in names(3):
        (tmp_path / name).write_bytes(b"x")
    numbered = [{"image": n, "image_id": 7 * i} for i, n in enumerate(names(3))]
    plan = plan_of(tmp_path, numbered)
    assert image_ids(plan) == {"0000": 0, "0001": 7, "0002": 14}


@pytest.mark.parametrize(
    "bad", [[1, 1], [1, (1 << 24) + 1], [-1, 1], [1, None], [1, "2"]]
)
def test_unusable_image_numbers_are_all_replaced(
    tmp_path: Path, bad: list[int | str | None]
) -> None:
    annotations: list[Any] = []
    for name, number in zip(names(2), bad, strict=True):
        (tmp_path / name).write_bytes(b"x")
        annotations.append({"image": name})
        if number is not None:
            annotations[-1]["image_id"] = number
    numbers = ImageNumbers(2)
    expected = {key: numbers.take(key) for key in ("0000", "0001")}
    assert image_ids(plan_of(tmp_path, annotations)) == expected


@pytest.mark.parametrize(("count", "is_said"), [(32, False), (33, True)])
def test_numbers_that_float32_merges_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, is_said: bool
) -> None:
    monkeypatch.setattr(identity, "MAX_IMAGE_ID", 64)
    said = planned(tmp_path, names(count)).warnings
    assert [line.startswith("33 images have numbers above 64") for line in said] == (
        [True] if is_said else []
    )


def image_ids(plan: Plan) -> dict[str, int]:
    lines = [orjson.loads(x) for text in plan.lines.values() for x in text.splitlines()]
    return {line["key"]: line["number"] for line in lines}


def test_image_numbers_are_unique_over_all_splits(tiny_source: Path) -> None:
    plan = make_plan(
        CamVid().scan(tiny_source), tiny_source, "camvid", BuildOptions(num_shards=2)
    )
    ids = image_ids(plan)
    assert len(set(ids.values())) == len(ids) == 8
    assert max(ids.values()) < MAX_IMAGE_ID


def test_a_hundred_thousand_image_numbers_are_unique_and_survive_float32() -> None:
    # The hash alone would meet about 300 times among so many.
    numbers = ImageNumbers(100_000)
    ids = [numbers.take(f"image/{index:06d}") for index in range(100_000)]
    assert len(set(ids)) == 100_000
    assert 0 <= min(ids) <= max(ids) < MAX_IMAGE_ID


def test_more_shards_than_names_have_digits_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segdata.building.plan.MAX_SHARDS", 3)
    message = r"'train' would have 4 shards: expected at most 3.*--shard-size 1MiB or"
    with pytest.raises(OptionError, match=message):
        planned(tmp_path, names(4), shard_bytes=1)
    assert len(planned(tmp_path, names(4), shard_bytes=2).shards) == 2


@pytest.mark.parametrize("with_numbers", [True, False])
@pytest.mark.parametrize("group", [None, r"^(\d\d\d)"])
def test_plan_is_the_same_when_its_rows_lie_on_disk(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_numbers: bool,
    group: str | None,
) -> None:
    for name in names(60):
        (tmp_path / name).write_bytes(b"x" * int(name[:4]))
    annotations: list[Any] = [
        {"image": name, "image_class": int(name[:4]) // 20, "split": "train"}
        for name in names(60)
    ]
    if with_numbers:
        for number, data in enumerate(annotations):
            data["image_id"] = number
    options: dict[str, Any] = {}
    if group:
        options = {"split": SplitChoice.parse("train=0.5,val=0.5"), "group": group}
        options["stratify"] = True
    expected = plan_of(tmp_path, annotations, **options)
    monkeypatch.setattr(Sorter.__init__, "__defaults__", (200,))
    monkeypatch.setattr("segdata.storage.sorting._MOST_RUNS", 3)
    assert plan_of(tmp_path, annotations, **options) == expected


@given(st.integers(0, 2**64 - 1), st.integers(1, 99_999))
def test_shard_of_a_hash_is_in_range_and_keeps_order(hashed: int, count: int) -> None:
    index = shard_index(hashed, count)
    assert 0 <= index < count
    assert shard_index(max(0, hashed - 1), count) <= index


@given(
    data=st.fixed_dictionaries(
        {"image": st.text('abc/\u00e9 "\\', min_size=1)},
        optional={"split": st.sampled_from(["train", "val"])},
    ),
    number=st.integers(0, 1 << 24),
)
def test_plan_line_is_one_line_that_reads_back(
    data: dict[str, Any], number: int
) -> None:
    plan = plan_of(
        Path("/nonexistent"),
        [{**data, "key": "k", "image_id": number}],
        on_error="skip",
    )
    (text,) = plan.lines.values()
    assert text.count(b"\n") == 1
    planned = parse_plan_line(text)
    assert planned.data == {**data, "key": "k", "image_id": number}
    assert planned.number == number
