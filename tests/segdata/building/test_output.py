from __future__ import annotations

import dataclasses
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from segdata.building import directory, kept, output
from segdata.building.gather import Gathered
from segdata.building.options import BuildOptions
from segdata.building.plan import Plan, PlannedShard, make_plan
from segdata.building.shard import BuildJob
from segdata.checking.verify import stray_files
from segdata.errors import BuildError, ImageError, OutputError
from segdata.formats.camvid.format import CamVid
from segdata.reading.record_source import RecordSource
from segdata.shards.manifest import Manifest, read_manifest
from segdata.shards.receipt import Counts, IndexEntry, ShardReceipt

Build = Callable[..., Manifest]
Hashes = Callable[[Path], dict[str, str]]


class Started:
    """A build of a tiny source that can be stopped at any point."""

    def __init__(self, source: Path, out: Path, **options: Any) -> None:
        self.source, self.out = source, out
        of_format = kept.noted(dataclasses.asdict(CamVid()), source)
        options = {"num_shards": 2, "format": of_format, **options}
        self.options = BuildOptions(**options)
        self.scan = CamVid().scan(source)
        self.plan: Plan = make_plan(self.scan, source, "camvid", self.options)
        self.settings = output.settings_fingerprint(
            "camvid", self.scan.label_map, self.options
        )

    def begin(self, *, overwrite: bool = False) -> list[PlannedShard]:
        """Begins; the shards that workers will build."""
        sure = output.begin(self.out, self.plan, self.settings, overwrite=overwrite)
        left = [s for s in self.plan.shards if not directory.is_done(self.out, s)]
        assert [shard for shard in sure if shard not in left] == []
        return left

    def write(self, shards: list[PlannedShard]) -> None:
        job = BuildJob(
            source=str(self.source),
            out=str(self.out),
            label_map=self.scan.label_map,
            on_error=self.options.on_error,
        )
        for shard in shards:
            output.build_or_keep(shard, job, lambda count: None)

    def finish(self) -> Manifest:
        return output.finish(
            self.out,
            name="camvid",
            scan=self.scan,
            plan=self.plan,
            settings=self.settings,
            options=self.options,
        )


@pytest.fixture
def started(tiny_source: Path, tmp_path: Path) -> Started:
    return Started(tiny_source, tmp_path / "out")


@pytest.fixture
def unfinished(started: Started) -> Started:
    """Every shard is written, but not the manifest."""
    started.write(started.begin())
    return started


@pytest.fixture
def finished(tiny_build: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_build, tmp_path / "finished")


# --- a build from nothing ---


def test_finished_build_holds_exactly_these_files(
    tiny_build: Path, file_hashes: Hashes
) -> None:
    shards = [
        f"camvid-{split}.tfrecord-0000{index}-of-00002"
        for split in ("train", "val")
        for index in (0, 1)
    ]
    expected = {"manifest.json", "labels.txt", "label_map.pbtxt", *shards}
    expected |= {"dataset_info.json", "features.json", "index/offsets.bin"}
    expected |= {f"index/{s}.{kind}" for s in shards for kind in ("json", "idx")}
    assert file_hashes(tiny_build).keys() == expected


def test_labels_file_has_a_class_per_line(tiny_build: Path) -> None:
    names = (tiny_build / "labels.txt").read_text().split("\n")
    assert (names[0], names[11], names[12:]) == ("sky", "void", [""])
    label_map = read_manifest(tiny_build).label_map
    assert [label_map[name] for name in names[:12]] == list(range(12))


def test_class_outside_the_ids_is_no_line_of_the_labels_file(
    tiny_source: Path, tmp_path: Path
) -> None:
    started = Started(tiny_source, tmp_path / "out")
    started.scan = CamVid(classes="camvid-11").scan(tiny_source)
    started.write(started.begin())
    assert started.finish().label_map["void"] == 255
    names = (started.out / "labels.txt").read_text().splitlines()
    assert (len(names), names[-1]) == (11, "bicyclist")


def test_label_map_file_is_the_label_maps_own(tiny_build: Path) -> None:
    text = (tiny_build / "label_map.pbtxt").read_text()
    assert text == read_manifest(tiny_build).label_map.to_pbtxt()


def test_nothing_in_the_output_names_a_path_of_this_machine(
    tiny_build: Path, tiny_source: Path
) -> None:
    for path in tiny_build.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert str(tiny_source.parent).encode() not in data, path
            assert os.uname().nodename.encode() not in data, path


def test_output_folder_and_its_parents_are_made(
    tiny_source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    out = tmp_path / "a" / "b" / "out"
    assert build_plainly(tiny_source, out).splits["train"].num_records == 5
    assert (out / "manifest.json").is_file()


def test_empty_folder_is_used(
    tiny_source: Path, tmp_path: Path, build_plainly: Build
) -> None:
    assert build_plainly(tiny_source, tmp_path).splits.keys() == {"train", "val"}


def test_manifest_comes_last_and_the_work_folder_goes(unfinished: Started) -> None:
    assert (unfinished.out / ".segdata").is_dir()
    assert not (unfinished.out / "manifest.json").exists()
    unfinished.finish()
    assert (unfinished.out / "manifest.json").is_file()
    assert not (unfinished.out / ".segdata").exists()


# --- directories that are refused ---


def test_foreign_directory_is_refused_with_a_file_of_it(started: Started) -> None:
    started.out.mkdir()
    (started.out / "thesis.tex").write_text("mine")
    message = (
        r"holds files that segdata did not write, e\.g\. 'thesis\.tex'\. Choose an"
    )
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=message) as caught:
            started.begin(overwrite=overwrite)
        assert caught.value.reason == "foreign-output"
    assert [p.name for p in started.out.iterdir()] == ["thesis.tex"]


def test_foreign_directory_with_a_manifest_of_its_own_is_not_touched(
    started: Started, file_hashes: Hashes
) -> None:
    (started.out / "index").mkdir(parents=True)
    (started.out / "manifest.json").write_text('{"name": "my web app"}')
    (started.out / "index" / "page.html").write_text("mine")
    (started.out / "labels.txt").write_text("mine")
    before = file_hashes(started.out)
    with pytest.raises(OutputError, match=r"holds files that segdata did not write"):
        started.begin(overwrite=True)
    assert file_hashes(started.out) == before


def test_finished_build_is_refused_without_overwrite(
    tiny_source: Path, finished: Path, file_hashes: Hashes
) -> None:
    before = file_hashes(finished)
    message = r"already holds a finished build\. Choose another .* pass --overwrite"
    with pytest.raises(OutputError, match=message) as caught:
        Started(tiny_source, finished).begin()
    assert caught.value.reason == "output-exists"
    assert file_hashes(finished) == before


def test_output_that_is_a_file_is_refused(started: Started) -> None:
    started.out.write_text("mine")
    with pytest.raises(
        OutputError, match=r"is a file: expected a directory or nothing"
    ):
        started.begin(overwrite=True)
    assert started.out.read_text() == "mine"


def test_output_below_a_file_is_refused(tiny_source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "out"
    with pytest.raises(
        OutputError, match=r"cannot use .*file/out: Not a directory\. Ch"
    ):
        Started(tiny_source, out).begin()


def test_output_that_cannot_be_made_is_refused(tiny_source: Path) -> None:
    # Nobody can make a folder in /proc, not even root.
    with pytest.raises(OutputError, match=r"cannot use /proc/nowhere: ") as caught:
        Started(tiny_source, Path("/proc/nowhere")).begin()
    assert caught.value.reason == "unwritable"


def test_output_without_permission_is_refused(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"out: Permission denied\. .* permissions"):
        started.begin()


def test_unfinished_build_of_other_options_is_refused(
    unfinished: Started, file_hashes: Hashes
) -> None:
    before = file_hashes(unfinished.out)
    other = Started(unfinished.source, unfinished.out, seed=1)
    message = (
        r"out holds an unfinished build of other options, classes or versions \(4 "
        r"shards are done\)\. Run it with the same ones to continue it, or pass "
        r"--overwrite to start again\.$"
    )
    with pytest.raises(OutputError, match=message) as caught:
        other.begin()
    assert caught.value.reason == "other-build"
    assert file_hashes(unfinished.out) == before


def test_other_options_start_anew_where_no_shard_is_done(
    started: Started, file_hashes: Hashes
) -> None:
    started.begin()
    # A shard without a receipt is not done.
    (started.out / started.plan.shards[0].name).write_bytes(b"half")
    other = Started(started.source, started.out, num_shards=1)
    other.write(other.begin())
    other.finish()
    scratch = Started(started.source, started.out.parent / "scratch", num_shards=1)
    scratch.write(scratch.begin())
    scratch.finish()
    assert file_hashes(other.out) == file_hashes(scratch.out)


def test_one_shard_that_is_done_keeps_other_options_out(started: Started) -> None:
    started.write(started.begin()[:1])
    other = Started(started.source, started.out, num_shards=1)
    with pytest.raises(OutputError, match=r"versions \(1 shard is done\)\. Run it"):
        other.begin()


def test_unfinished_build_goes_on_with_another_share_of_rejects(
    unfinished: Started,
) -> None:
    other = Started(unfinished.source, unfinished.out, max_reject_share=0.9)
    assert other.begin() == []
    assert other.finish().options["max_reject_share"] == 0.9


def test_settings_depend_on_name_classes_and_options(
    tiny_source: Path, tmp_path: Path, make_segnet: Callable[..., Path]
) -> None:
    plain = Started(tiny_source, tmp_path)
    classes = CamVid(classes="camvid-11").scan(tiny_source).label_map
    settings = {
        plain.settings,
        Started(tiny_source, tmp_path, seed=1).settings,
        Started(tiny_source, tmp_path, num_shards=3).settings,
        Started(tiny_source, tmp_path, on_error="skip").settings,
        output.settings_fingerprint("camvid", classes, plain.options),
        output.settings_fingerprint("pets", plain.scan.label_map, plain.options),
    }
    assert len(settings) == 6
    other_source = make_segnet(tmp_path / "other", height=25)
    assert Started(other_source, tmp_path).settings == plain.settings


def test_fingerprint_depends_on_settings_and_on_every_byte_of_the_source(
    tiny_source: Path,
    tiny_build: Path,
    tmp_path: Path,
    make_segnet: Callable[..., Path],
    build_plainly: Build,
) -> None:
    def fingerprint(source: Path, name: str, **options: Any) -> str:
        options = {"num_shards": 2, **options}
        return build_plainly(source, tmp_path / name, **options).fingerprint

    copy = shutil.copytree(tiny_source, tmp_path / "copy", copy_function=shutil.copy)
    plain = fingerprint(copy, "plain")
    assert plain == read_manifest(tiny_build).fingerprint
    path = copy / "train" / "train_000.png"
    pixels = Image.open(path).convert("RGB")
    pixels.save(path, compress_level=0)
    before, size = fingerprint(copy, "before"), path.stat().st_size
    pixels.putpixel((0, 0), (1, 2, 3))
    pixels.save(path, compress_level=0)
    assert path.stat().st_size == size
    other = make_segnet(tmp_path / "other", height=25)
    found = {
        *(plain, before, fingerprint(copy, "after")),
        *(fingerprint(copy, "seed", seed=1), fingerprint(other, "height")),
    }
    assert len(found) == 5


# --- overwriting ---


def test_overwriting_gives_the_bytes_of_a_new_build(
    tiny_source: Path,
    tiny_build: Path,
    finished: Path,
    file_hashes: Hashes,
    build_plainly: Build,
) -> None:
    build_plainly(tiny_source, finished, num_shards=3, overwrite=True)
    build_plainly(tiny_source, finished, num_shards=2, overwrite=True)
    assert file_hashes(finished) == file_hashes(tiny_build)


def test_overwriting_removes_nothing_that_a_user_put_there(
    tiny_source: Path, finished: Path, build_plainly: Build
) -> None:
    mine = [finished / "notes.txt", finished / "plots" / "a.png"]
    mine.append(finished / "camvid-train.tfrecord-backup")
    mine[1].parent.mkdir()
    for path in mine:
        path.write_text("mine")
    build_plainly(tiny_source, finished, num_shards=1, overwrite=True)
    assert [path.read_text() for path in mine] == ["mine"] * 3


def test_overwriting_removes_nothing_that_a_user_put_into_the_index_folder(
    tiny_source: Path, finished: Path, build_plainly: Build
) -> None:
    mine = [finished / "index" / "notes.txt", finished / "plots"]
    for path in mine:
        path.write_text("mine")
    # The stem of this one is the name of a file that is no shard.
    (finished / "index" / "plots.json").write_text("{}")
    build_plainly(tiny_source, finished, num_shards=1, overwrite=True)
    assert [path.read_text() for path in mine] == ["mine"] * 2


@pytest.mark.parametrize("name", ["notes.txt", "../notes.txt", "index", "..", ""])
def test_overwriting_removes_no_file_that_a_damaged_record_names(
    tiny_source: Path, finished: Path, build_plainly: Build, name: str
) -> None:
    mine = [finished / "notes.txt", finished.parent / "notes.txt"]
    for path in mine:
        path.write_text("mine")
    data = orjson.loads((finished / "manifest.json").read_bytes())
    data["splits"]["train"]["shards"][0]["name"] = name
    (finished / "manifest.json").write_bytes(orjson.dumps(data))
    shard = data["splits"]["train"]["shards"][1]["name"]
    receipt = orjson.loads((finished / "index" / f"{shard}.json").read_bytes())
    (finished / "index" / "mine.json").write_bytes(
        orjson.dumps({**receipt, "name": name})
    )
    build_plainly(tiny_source, finished, num_shards=1, overwrite=True)
    assert [path.read_text() for path in mine] == ["mine"] * 2


def test_overwriting_with_other_classes_replaces_the_label_files(
    tiny_source: Path, finished: Path
) -> None:
    started = Started(tiny_source, finished)
    started.scan = CamVid(classes="camvid-11").scan(tiny_source)
    started.write(started.begin(overwrite=True))
    assert not (finished / "labels.txt").exists()
    started.finish()
    assert "void" not in (finished / "labels.txt").read_text()
    assert (finished / "label_map.pbtxt").read_text() == (
        started.scan.label_map.to_pbtxt()
    )


def test_overwriting_removes_the_rejects_of_the_earlier_build(
    tiny_source: Path, finished: Path, build_plainly: Build
) -> None:
    (finished / "rejects.jsonl").write_text("{}\n")
    build_plainly(tiny_source, finished, overwrite=True)
    assert not (finished / "rejects.jsonl").exists()


def test_overwriting_an_unfinished_build_leaves_no_shard_of_it(
    unfinished: Started,
) -> None:
    other = Started(unfinished.source, unfinished.out, seed=1)
    assert len(other.begin(overwrite=True)) == len(other.plan.shards)
    assert list(unfinished.out.glob("camvid-*")) == []
    assert list((unfinished.out / "index").iterdir()) == []


@pytest.mark.parametrize("state", [None, b"", b"{", b"[]", b'{"other": 1}'])
def test_build_that_was_killed_while_starting_is_started_anew(
    unfinished: Started, tiny_build: Path, file_hashes: Hashes, state: bytes | None
) -> None:
    path = unfinished.out / ".segdata" / "build.json"
    path.unlink()
    if state is not None:
        path.write_bytes(state)
    # Nothing tells of which settings the shards that are there are.
    left = unfinished.begin()
    assert left == list(unfinished.plan.shards)
    unfinished.write(left)
    unfinished.finish()
    assert file_hashes(unfinished.out) == file_hashes(tiny_build)


def test_finished_build_whose_work_folder_was_left_is_not_built_again(
    tiny_source: Path, finished: Path, file_hashes: Hashes
) -> None:
    (finished / ".segdata").mkdir()
    before = file_hashes(finished)
    with pytest.raises(OutputError, match=r"already holds a finished build"):
        Started(tiny_source, finished).begin()
    assert file_hashes(finished) == before


# --- going on ---


def test_whole_shards_are_kept(unfinished: Started, file_hashes: Hashes) -> None:
    before = {p: p.stat().st_mtime_ns for p in unfinished.out.glob("camvid-*")}
    assert len(before) == 4
    assert unfinished.begin() == []
    assert {p: p.stat().st_mtime_ns for p in before} == before


def _delete_shard(out: Path, shard: str) -> None:
    (out / shard).unlink()


def _delete_receipt(out: Path, shard: str) -> None:
    (out / "index" / f"{shard}.json").unlink()


def _flip_bit(out: Path, shard: str) -> None:
    data = bytearray((out / shard).read_bytes())
    data[len(data) // 2] ^= 1
    (out / shard).write_bytes(data)


def _truncate(out: Path, shard: str) -> None:
    os.truncate(out / shard, 100)


def _empty_receipt(out: Path, shard: str) -> None:
    (out / "index" / f"{shard}.json").write_bytes(b"")


def _receipt_of_another_plan(out: Path, shard: str) -> None:
    path = out / "index" / f"{shard}.json"
    data = orjson.loads(path.read_bytes())
    path.write_bytes(orjson.dumps({**data, "plan_sha256": "0"}))


def _delete_dali_index(out: Path, shard: str) -> None:
    (out / "index" / f"{shard}.idx").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        _delete_shard,
        _delete_receipt,
        _flip_bit,
        _truncate,
        _empty_receipt,
        _receipt_of_another_plan,
        _delete_dali_index,
    ],
)
def test_damaged_shard_is_built_again_to_the_same_bytes(
    unfinished: Started,
    tiny_build: Path,
    file_hashes: Hashes,
    damage: Callable[[Path, str], None],
) -> None:
    shard = unfinished.plan.shards[1]
    damage(unfinished.out, shard.name)
    left = unfinished.begin()
    assert left == [shard]
    unfinished.write(left)
    unfinished.finish()
    assert file_hashes(unfinished.out) == file_hashes(tiny_build)


def test_temporaries_of_an_earlier_attempt_are_removed(
    unfinished: Started, tiny_build: Path, file_hashes: Hashes
) -> None:
    for folder in ("", "index", ".segdata"):
        (unfinished.out / folder / ".tmp-camvid-0123456789ab").write_bytes(b"half")
    unfinished.begin()
    assert list(unfinished.out.rglob(".tmp-*")) == []
    unfinished.finish()
    assert file_hashes(unfinished.out) == file_hashes(tiny_build)


def test_users_hidden_files_are_no_temporaries(unfinished: Started) -> None:
    mine = unfinished.out / ".tmp-notes"
    mine.write_text("mine")
    unfinished.begin()
    unfinished.finish()
    assert mine.read_text() == "mine"


def test_second_build_beside_a_finished_one_removes_no_temporaries(
    tiny_source: Path, finished: Path
) -> None:
    (finished / ".tmp-someone").write_text("half")
    with pytest.raises(OutputError, match=r"already holds a finished build"):
        Started(tiny_source, finished).begin()
    assert (finished / ".tmp-someone").exists()


# --- going on after the source has changed ---


@pytest.fixture
def half(tmp_path: Path, make_segnet: Callable[..., Path]) -> Started:
    """All shards of a source of its own are written but one that a label broke."""
    source = make_segnet(tmp_path / "source")
    label = source / "trainannot" / "train_002.png"
    whole = label.read_bytes()
    label.write_bytes(whole[:-20])
    started = Started(source, tmp_path / "out")
    failed = 0
    for shard in started.begin():
        try:
            started.write([shard])
        except ImageError:
            failed += 1
    assert failed == 1
    label.write_bytes(whole)
    return started


def _shard_of(started: Started, key: str) -> PlannedShard:
    (name,) = (n for n, text in started.plan.lines.items() if key.encode() in text)
    return next(shard for shard in started.plan.shards if shard.name == name)


def _go_on(
    unfinished: Started, fresh: Path, file_hashes: Hashes
) -> tuple[Started, list[PlannedShard]]:
    """Runs the same command again; the result must be that of a new build."""
    num_shards = unfinished.options.num_shards
    again = Started(unfinished.source, unfinished.out, num_shards=num_shards)
    left = again.begin()
    again.write(left)
    again.finish()
    new = Started(unfinished.source, fresh, num_shards=num_shards)
    new.write(new.begin())
    new.finish()
    assert file_hashes(again.out) == file_hashes(fresh)
    return again, left


def test_repaired_label_is_built_and_the_other_shards_are_kept(
    half: Started, tmp_path: Path, file_hashes: Hashes
) -> None:
    again, left = _go_on(half, tmp_path / "fresh", file_hashes)
    assert left == [_shard_of(again, "train/train_002")]


def test_image_with_other_content_is_built_again_and_the_other_shards_are_kept(
    half: Started, tmp_path: Path, file_hashes: Hashes
) -> None:
    image = half.source / "val" / "val_001.png"
    Image.new("RGB", (32, 24), (1, 2, 3)).save(image)
    again, left = _go_on(half, tmp_path / "fresh", file_hashes)
    keys = ("train/train_002", "val/val_001")
    assert left == [_shard_of(again, key) for key in keys]


def test_image_of_the_same_size_but_a_new_time_is_built_again(
    tmp_path: Path, file_hashes: Hashes, make_segnet: Callable[..., Path]
) -> None:
    source = make_segnet(tmp_path / "source")
    image = source / "val" / "val_001.png"
    states = []
    for color in ("red", "blue"):
        Image.new("RGB", (32, 24), color).save(image, compress_level=0)
        states.append(image.stat())
        if color == "red":
            started = Started(source, tmp_path / "out")
            started.write(started.begin())
    assert states[0].st_size == states[1].st_size
    assert states[0].st_mtime_ns < states[1].st_mtime_ns
    again, left = _go_on(started, tmp_path / "fresh", file_hashes)
    assert again.plan.lines == started.plan.lines
    assert left == [_shard_of(again, "val/val_001")]


@pytest.mark.parametrize("num_shards", [2, None])
def test_image_that_was_added_is_built_and_no_shard_of_the_old_plan_stays(
    tmp_path: Path,
    file_hashes: Hashes,
    make_segnet: Callable[..., Path],
    num_shards: int | None,
) -> None:
    source = make_segnet(tmp_path / "source", num_train=64)
    listed = source / "train.txt"
    lines = listed.read_text()
    listed.write_text("".join(lines.splitlines(keepends=True)[:63]))
    started = Started(source, tmp_path / "out", num_shards=num_shards)
    started.write(started.begin()[:-1])
    listed.write_text(lines)
    again, left = _go_on(started, tmp_path / "fresh", file_hashes)
    assert again.plan.num_records == started.plan.num_records + 1
    assert stray_files(again.out, read_manifest(again.out)) == []
    # By default, the 64th image splits the one shard of the 63.
    names = {shard.name for shard in again.plan.shards}
    assert names.isdisjoint({started.plan.shards[0].name}) == (num_shards is None)
    added = _shard_of(again, "train/train_063")
    assert added in left
    # The last shard, of val, was not written before; both of train are new by default.
    assert len(left) == (3 if num_shards is None else 2)


def test_image_that_was_removed_leaves_no_record(
    half: Started, tmp_path: Path, file_hashes: Hashes
) -> None:
    for folder in ("val", "valannot"):
        (half.source / folder / "val_001.png").unlink()
    listed = half.source / "val.txt"
    lines = listed.read_text().splitlines(keepends=True)
    listed.write_text("".join(line for line in lines if "val_001" not in line))
    again, _ = _go_on(half, tmp_path / "fresh", file_hashes)
    keys = RecordSource(again.out, "val").keys
    assert sorted(keys) == ["val/val_000", "val/val_002"]


# --- finishing ---


def _finish_refused(started: Started, message: str, reason: str) -> None:
    with pytest.raises(BuildError, match=message) as caught:
        started.finish()
    assert caught.value.reason == reason
    assert not (started.out / "manifest.json").exists()
    assert (started.out / ".segdata").is_dir()


def test_missing_receipt_ends_the_build_without_a_manifest(
    unfinished: Started,
) -> None:
    name = unfinished.plan.shards[0].name
    _delete_receipt(unfinished.out, name)
    _finish_refused(unfinished, rf"shard {name} was not written: ", "shard-missing")


@pytest.mark.parametrize("damage", [_delete_shard, _truncate])
def test_shard_that_changed_ends_the_build_without_a_manifest(
    unfinished: Started, damage: Callable[[Path, str], None]
) -> None:
    damage(unfinished.out, unfinished.plan.shards[0].name)
    _finish_refused(
        unfinished, r"was changed after it was written: ex", "shard-changed"
    )


def test_fewer_records_than_planned_end_the_build_without_a_manifest(
    unfinished: Started,
) -> None:
    shard = max(unfinished.plan.shards, key=lambda s: s.num_records)
    path = unfinished.out / "index" / f"{shard.name}.json"
    receipt = ShardReceipt.from_bytes(path.read_bytes())
    data = orjson.loads(receipt.to_bytes())
    data["records"] = {name: values[1:] for name, values in data["records"].items()}
    path.write_bytes(orjson.dumps(data))
    planned, got = shard.num_records, shard.num_records - 1
    message = rf"not what was planned: expected {planned} records, got {got}"
    _finish_refused(unfinished, message, "count-mismatch")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        yield


@pytest.mark.usefixtures("full_disk")
def test_full_disk_at_the_start_leaves_no_half_written_file(started: Started) -> None:
    with pytest.raises(
        OutputError, match=r"cannot write .*: No space left on device\. "
    ):
        started.begin()
    assert [p for p in started.out.rglob("*") if p.is_file()] == []


def test_full_disk_at_the_end_leaves_a_build_that_goes_on(
    unfinished: Started,
    tiny_build: Path,
    file_hashes: Hashes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OutputError, match=r"Free space or check"):
            unfinished.finish()
    assert not (unfinished.out / "manifest.json").exists()
    assert unfinished.begin() == []
    unfinished.finish()
    assert file_hashes(unfinished.out) == file_hashes(tiny_build)


# --- leakage ---


def _receipt(split: str, **hashes: str) -> ShardReceipt:
    entries = tuple(
        IndexEntry(key=key, offset=0, size=0, image_sha256=digest, source_sha256="")
        for key, digest in hashes.items()
    )
    return ShardReceipt(
        name=split,
        split=split,
        plan_sha256="",
        num_bytes=0,
        sha256="",
        records=entries,
        rejects=(),
        counts=Counts(),
    )


def leakage_of(*receipts: ShardReceipt) -> list[list[str]]:
    with Gathered() as gathered:
        list(gathered.watched(receipts))
        return gathered.leakage()


def test_same_image_in_two_splits_is_leakage() -> None:
    found = leakage_of(
        _receipt("val", d="1", e="3"),
        _receipt("train", a="1", b="2", c="2"),
        _receipt("train", f="3", g="1"),
    )
    assert found == [["train/a", "train/g", "val/d"], ["train/f", "val/e"]]


def test_same_image_twice_in_one_split_is_no_leakage() -> None:
    assert leakage_of(_receipt("train", a="1"), _receipt("train", b="1")) == []
