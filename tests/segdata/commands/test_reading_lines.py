"""The lines that `segdata info` tells to paste: those that can run here do."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from segdata.commands.info import info, print_shares
from segdata.commands.reading_lines import (
    CODES,
    Snippet,
    copying_lines,
    reading_snippets,
    shard_glob,
)
from segdata.formats.coco.format import Coco
from segdata.label_map import LabelClass
from segdata.reading.record_source import RecordSource
from segdata.samples.coco import write_coco_sample
from segdata.shards.manifest import Manifest, read_manifest
from segdata.storage.paths import locate


@pytest.fixture(scope="module")
def coco(
    tmp_path_factory: pytest.TempPathFactory, build_plainly: Callable[..., Manifest]
) -> Path:
    source = tmp_path_factory.mktemp("coco")
    write_coco_sample(source, seed=0, num_train=8, num_val=1)
    out = source / "it's out"  # a name that must be quoted
    build_plainly(source, out, dataset_format=Coco(), masks=("rle", "png"))
    return out


def snippets(out: Path) -> dict[str, Snippet]:
    found = reading_snippets(read_manifest(out), out)
    return {snippet.title.partition(" (")[0]: snippet for snippet in found}


def run(snippet: Snippet) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec("\n".join(snippet.lines), names)
    return names


def test_every_reader_has_its_lines(coco: Path, tiny_build: Path) -> None:
    everywhere = {
        "NumPy",
        "plain TensorFlow",
        "TensorFlow Datasets",
        "PyTorch",
        "Grain",
        "DALI",
    }
    assert snippets(tiny_build).keys() == everywhere | {
        "tf.data, label maps",
        "JAX, label maps",
        "Keras, label maps",
    }
    with_png = {
        "tf.data, objects",
        "JAX, objects",
        "TF Model Garden, instances",
        "Object Detection API, in pipeline.config",
    }
    assert snippets(coco).keys() >= everywhere | with_png
    assert "TF Model Garden, label maps" not in snippets(coco)


def test_label_maps_as_png_are_offered_to_model_garden(
    tiny_source: Path, tmp_path: Path, build_plainly: Callable[..., Manifest]
) -> None:
    build_plainly(tiny_source, tmp_path, masks=("rle", "png"))
    found = snippets(tmp_path)
    assert "TF Model Garden, label maps" in found
    assert "TF Model Garden, instances" not in found


def test_builds_in_s3_have_lines_for_readers_of_it_only(coco: Path) -> None:
    manifest, out = read_manifest(coco), locate("s3://bucket/my records")
    titles = [snippet.title for snippet in reading_snippets(manifest, out)]
    assert titles == [
        "NumPy (segdata[s3])",
        "PyTorch (segdata[s3], torch)",
        "Grain (segdata[s3], grain)",
    ]
    assert copying_lines(manifest, out) == [
        "# from a disk only, not from s3://: tf.data, objects; JAX, objects; plain "
        "TensorFlow; TensorFlow Datasets; DALI; TF Model Garden, instances; Object "
        "Detection API",
        "# copy the build, then `segdata info DIR --code ...` has their lines",
        "aws s3 sync 's3://bucket/my records' DIR",
    ]


def test_builds_in_gs_have_lines_for_tensorflow_too(tiny_build: Path) -> None:
    manifest, out = read_manifest(tiny_build), locate("gs://bucket/records")
    titles = [snippet.title for snippet in reading_snippets(manifest, out)]
    assert titles == [
        "tf.data, label maps (segdata[gcs,tensorflow])",
        "JAX, label maps (segdata[gcs,tensorflow], jax)",
        "Keras, label maps (segdata[gcs,train])",
        "NumPy (segdata[gcs])",
        "plain TensorFlow (tensorflow)",
        "TensorFlow Datasets (tensorflow-datasets)",
        "PyTorch (segdata[gcs], torch)",
        "Grain (segdata[gcs], grain)",
    ]
    first, _, command = copying_lines(manifest, out)
    assert first == "# from a disk only, not from gs://: DALI"
    assert command == "gcloud storage rsync -r gs://bucket/records DIR"


@pytest.mark.parametrize(
    ("out", "command"),
    [
        ("hdfs://namenode:9870/records", "webhdfs://namenode:9870/records"),
        ("hdfs:///records", "hdfs:///records"),
    ],
)
def test_builds_in_hdfs_are_copied_by_its_own_tool(
    tiny_build: Path, out: str, command: str
) -> None:
    manifest = read_manifest(tiny_build)
    titles = [snippet.title for snippet in reading_snippets(manifest, locate(out))]
    assert titles[0] == "NumPy (segdata[hdfs])"
    assert copying_lines(manifest, locate(out))[-1] == f"hdfs dfs -get {command} DIR"


def test_builds_on_a_disk_need_no_copy(coco: Path) -> None:
    assert copying_lines(read_manifest(coco), coco) == []


def test_info_of_a_build_in_s3_prints_what_works_there(
    tiny_build: Path, s3: Any
) -> None:
    for path in tiny_build.rglob("*"):
        if path.is_file():
            s3.put(f"lines/{path.relative_to(tiny_build)}", path.read_bytes())
    out = locate(s3.address("lines"))
    result = CliRunner().invoke(info, [str(out)])
    assert result.exception is None, result.exception
    assert result.stdout.endswith(f"segdata info {out} --code numpy|torch|grain\n")
    refused = CliRunner().invoke(info, [str(out), "--code", "tf"])
    assert refused.stdout.endswith(f"\naws s3 sync {out} DIR\n")
    assert "no lines of 'tf' for this build" in str(refused.exception)
    [numpy, *_] = reading_snippets(read_manifest(out), out)
    result = CliRunner().invoke(info, [str(out), "--code", "numpy"])
    assert "\n".join(numpy.lines) in result.stdout
    assert len(run(numpy)["records"]) == 5


@pytest.mark.parametrize("build", ["coco", "tiny_build"])
def test_python_lines_are_python(build: str, request: pytest.FixtureRequest) -> None:
    found = snippets(request.getfixturevalue(build)).values()
    programs = [snippet for snippet in found if snippet.is_python]
    assert len(programs) >= 7
    for snippet in programs:
        compile("\n".join(snippet.lines), snippet.title, "exec")


@pytest.mark.parametrize("build", ["coco", "tiny_build"])
def test_info_prints_them_ready_to_paste(
    build: str, request: pytest.FixtureRequest
) -> None:
    out = request.getfixturevalue(build)
    found = list(snippets(out).values())
    assert {snippet.code for snippet in found} <= {*CODES}
    for code in {snippet.code for snippet in found}:
        result = CliRunner().invoke(info, [str(out), "--code", code])
        blocks = [(f"# {s.title}", *s.lines, "") for s in found if s.code == code]
        assert result.stdout == "".join(f"{line}\n" for b in blocks for line in b)


def test_info_fits_a_screen_and_lists_all_classes_when_asked(coco: Path) -> None:
    shown = CliRunner().invoke(info, [str(coco)]).stdout.splitlines()
    assert len(shown) <= 40
    assert shown[-1].startswith("lines to read it: segdata info ")


def test_info_lists_the_largest_classes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    classes = tuple(
        LabelClass(id=i, name=f"class {i}", color=(i, i, i)) for i in range(1, 21)
    )
    counts = {"train": Counter({str(i): i for i in range(1, 21)})}
    print_shares(classes, counts, None, limit=3)
    printed = capsys.readouterr().out
    assert "class 18" in printed
    assert "class 17" not in printed
    assert "the largest 3 of 20: --classes lists all" in printed
    print_shares(classes, counts, None, limit=None)
    assert "class 17" in capsys.readouterr().out


def test_glob_matches_the_shards_of_the_split_only(coco: Path) -> None:
    for name, split in read_manifest(coco).splits.items():
        found = Path(shard_glob(coco, split))
        matches = sorted(path.name for path in found.parent.glob(found.name))
        assert matches == [shard.name for shard in split.shards], name


@pytest.mark.parametrize(
    ("build", "what", "count"),
    [("tiny_build", "label maps", 5), ("coco", "objects", 8)],
)
def test_stream_lines_run(
    build: str, what: str, count: int, request: pytest.FixtureRequest
) -> None:
    found = snippets(request.getfixturevalue(build))
    dataset = run(found[f"tf.data, {what}"])["dataset"]
    assert sum(int((b["image_id"] >= 0).numpy().sum()) for b in dataset) == count


@pytest.mark.parametrize("build", ["coco", "tiny_build"])
def test_numpy_lines_run(build: str, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(build)
    names = run(snippets(out)["NumPy"])
    assert len(names["records"]) == len(RecordSource(out, "train"))
    assert names["image"].shape[2] == 3


@pytest.mark.parametrize("build", ["coco", "tiny_build"])
def test_plain_tensorflow_lines_run(build: str, request: pytest.FixtureRequest) -> None:
    out = request.getfixturevalue(build)
    parsed = list(run(snippets(out)["plain TensorFlow"])["dataset"])
    records = list(RecordSource(out, "train"))
    assert [p["segdata/key"].numpy().decode() for p in parsed] == [
        record.key for record in records
    ]
    for found, record in zip(parsed, records, strict=True):
        runs = found.get("image/object/mask/rle/ragged_flat_values", [])
        assert len(runs) == sum(len(item.runs) for item in record.objects)


def test_dali_lines_name_an_index_for_each_shard(coco: Path) -> None:
    from glob import glob

    lines = snippets(coco)["DALI"].lines
    paths, indices = (
        eval(line.partition("=")[2].rstrip(","), {"glob": glob}) for line in lines[3:5]
    )
    shards = read_manifest(coco).splits["train"].shards
    assert [Path(path).name for path in paths] == [shard.name for shard in shards]
    assert [Path(path).stem for path in indices] == [Path(p).name for p in paths]


def test_pattern_of_shards_matches_in_a_folder_with_glob_characters(
    tiny_source: Path, tmp_path: Path, build_plainly: Callable[..., Manifest]
) -> None:
    out = tmp_path / "run[1]*"
    manifest = build_plainly(tiny_source, out)
    split = next(iter(manifest.splits.values()))
    found = sorted(Path(path).name for path in glob.glob(shard_glob(out, split)))
    assert found == [shard.name for shard in split.shards]
