from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from segdata.checking.inspect import read_values, summarize
from segdata.cli import cli
from segdata.errors import CorruptionError, OptionError
from segdata.records.parse import parse_record
from segdata.records.proto import Example, SequenceExample, serialize
from segdata.shards.scan import scan_records
from segdata.shards.tfrecord import RecordWriter


def example(**values: list[bytes] | list[int] | list[float]) -> bytes:
    message = Example()
    for key, items in values.items():
        kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}
        name = kind[type(items[0])] if items else "int64_list"
        into = getattr(message.features.feature[key], name)
        into.SetInParent()
        into.value.extend(items)
    return serialize(message)


def write(path: Path, records: list[bytes]) -> Path:
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        for record in records:
            writer.write(record)
    return path


def preview(data: bytes) -> dict[str, str]:
    return {value.key: value.preview for value in read_values(data)[1]}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["inspect", *map(str, arguments)])


def test_values_are_told_in_short() -> None:
    shown = preview(
        example(
            text=[b"caf\xc3\xa9"],
            long=[b"x" * 500],
            raw=[bytes(range(200, 240))],
            ints=[1, -2, 3, 10**18, 5, 6],
            floats=[0.5, float("nan")],
            none=[],
            many=[b"a", b"b" * 60],
        )
    )
    assert shown["text"] == "'café'"
    assert shown["long"] == f"'{'x' * 48}'..."
    assert shown["raw"].startswith("40 bytes c8 c9 ca")
    assert shown["ints"] == f"1, -2, 3, {10**18}, ... 6 values, -2 to {10**18}"
    assert shown["floats"] == "0.5, nan"
    assert shown["none"] == ""
    assert shown["many"] == f"'a', '{'b' * 16}'..."


def test_letter_cut_in_two_is_no_binary() -> None:
    assert preview(example(text=["ä".encode() * 400]))["text"] == f"'{'ä' * 48}'..."


def test_kinds_and_sizes() -> None:
    _, values = read_values(example(a=[b"abc", b"d"], b=[1, 2], c=[1.0, 2.0, 3.0]))
    found = [(v.key, v.kind, v.num_values, v.num_bytes) for v in values]
    assert found == [
        ("a", "bytes", 2, 4),
        ("b", "int64", 2, 16),
        ("c", "float", 3, 12),
    ]


def test_image_tells_its_size(camvid_build: Path) -> None:
    shard = min(camvid_build.glob("*.tfrecord-*"))
    first = next(scan_records(shard))
    record = parse_record(first.data, "it")
    [shown] = [text for text in preview(first.data).values() if " image " in text]
    assert shown == (
        f"{record.format.upper()} image {record.width}x{record.height}, "
        f"{len(record.encoded)} bytes"
    )


def test_damaged_image_does_not_stop_the_rest() -> None:
    shown = preview(example(image=[b"\x89PNG\r\n\x1a\nnothing"], n=[1]))
    assert shown["image"].startswith("damaged image of 15 bytes: ")
    assert shown["n"] == "1"


def test_sequence_example_shows_context_and_steps() -> None:
    message = SequenceExample()
    message.context.feature["video"].bytes_list.value.append(b"v1")
    for step in range(3):
        feature = message.feature_lists.feature_list["frame"].feature.add()
        feature.int64_list.value.append(step)
    kind, values = read_values(message.SerializeToString())
    assert kind == "SequenceExample"
    assert [(v.key, v.num_values, v.preview) for v in values] == [
        ("frame[...]", 3, "0, 1, 2"),
        ("video", 1, "'v1'"),
    ]


@pytest.mark.parametrize("data", [b"plain text", b"\xff\xff\xff", b"\x1a\x00"])
def test_bytes_that_are_no_example(data: bytes) -> None:
    kind, [value] = read_values(data)
    assert (kind, value.kind, value.num_bytes) == ("bytes", "bytes", len(data))


def test_example_without_features() -> None:
    assert read_values(b"") == ("Example", [])


def test_summary_counts_keys_over_all_records(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a",
        [example(n=[1], x=[1.5]), example(n=[1, 2, 3]), example(n=[b"text"])],
    )
    summary = summarize(scan_records(path))
    assert summary.num_records == 3
    assert list(summary.keys) == ["n", "x"]
    numbers = summary.keys["n"]
    assert (numbers.fewest, numbers.most, numbers.num_records) == (1, 3, 3)
    assert numbers.kinds == {"int64": 2, "bytes": 1}
    assert numbers.num_bytes == 4 * 8 + 4


def test_command_lists_keys_and_records(tiny_build: Path) -> None:
    shard = min(tiny_build.glob("*.tfrecord-*"))
    result = run(shard)
    assert result.exit_code == 0
    first = result.output.splitlines()[0]
    assert first.startswith(f"{shard.name}: ")
    assert first.endswith("all CRCs are right")
    assert "PNG image 32x24" in result.output
    assert result.output.count("  right") == len(list(scan_records(shard)))


def test_command_shows_one_record(tiny_build: Path) -> None:
    shard = min(tiny_build.glob("*.tfrecord-*"))
    result = run(shard, 1)
    assert result.exit_code == 0
    assert "record 1 at byte" in result.output
    assert "PNG image 32x24" in result.output


def test_json_of_the_file_and_of_a_record(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [example(n=[7], x=[float("nan")]), b"text"])
    data = orjson.loads(run(path, "--json").stdout)
    assert data["messages"] == {"Example": 1, "bytes": 1}
    assert data["keys"]["n"]["kinds"] == {"int64": 1}
    assert [record["damage"] for record in data["records"]] == ["", ""]
    one = orjson.loads(run(path, 0, "--json").stdout)
    assert one["message"] == "Example"
    assert one["values"][0] == {
        "key": "n",
        "kind": "int64",
        "num_values": 1,
        "num_bytes": 8,
        "preview": "7",
    }


def test_damaged_record_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [example(n=[index]) for index in range(30)])
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    result = run(path)
    assert "29 Example" in result.output
    assert "DAMAGED" in result.output
    assert "damaged: record 0: the CRC of its data is wrong" in result.output
    assert "... and 10 more" in result.output
    assert isinstance(result.exception, CorruptionError)
    assert "record 0 at byte 0: the CRC of its data is wrong." in str(result.exception)
    assert isinstance(run(path, 0).exception, CorruptionError)
    assert run(path, 1).exit_code == 0


@pytest.mark.parametrize(
    ("name", "index", "words"),
    [("a", "5", "has no record 5: it has 1"), (".", "", "is a folder: expected")],
)
def test_wrong_use_is_told(tmp_path: Path, name: str, index: str, words: str) -> None:
    write(tmp_path / "a", [b""])
    result = run(tmp_path / name, *([index] if index else []))
    assert isinstance(result.exception, OptionError)
    assert words in str(result.exception)


def test_several_files_are_shown_one_after_the_other(tmp_path: Path) -> None:
    names = [write(tmp_path / name, [example(n=[1])]) for name in "ab"]
    result = run(*names)
    assert result.exit_code == 0
    assert "a: 1 Example" in result.stdout
    assert "\nb: 1 Example" in result.stdout
    with_index = run(*names, 0).exception
    assert "record 0 of 2 files is asked for: expected one file" in str(with_index)


def test_file_of_another_kind_is_no_damaged_shard(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "grid.png")
    result = run(tmp_path / "grid.png")
    assert isinstance(result.exception, CorruptionError)
    assert "is no TFRecord file, or damaged from its beginning" in str(result.exception)
    assert result.stdout == ""


def test_real_shards_of_coco(real_build: Callable[[str], Path]) -> None:
    names = sorted(real_build("coco").glob("*.tfrecord-*"))
    summaries = [summarize(scan_records(path)) for path in names]
    assert sum(summary.num_records for summary in summaries) == 165
    assert not any(summary.damages for summary in summaries)
