from __future__ import annotations

import hashlib
import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segdata.errors import CorruptionError
from segdata.shards import tfrecord
from segdata.shards.tfrecord import RecordWriter, read_record_at, read_records

RECORDS = [b"first", b"", b"\0\xff" * 700, "ümlaut".encode()]


def write(path, records):
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        for record in records:
            writer.write(record)
    return writer


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "x-train.tfrecord-00000-of-00001"
    write(path, RECORDS)
    return path


def test_shard_name_is_the_one_of_tfds():
    name = tfrecord.shard_name("camvid", "train", 3, 12)
    assert name == "camvid-train.tfrecord-00003-of-00012"


@pytest.mark.parametrize(
    "name",
    [
        "notes",
        "",
        "..",
        "../camvid-train.tfrecord-00003-of-00012",
        "camvid-train.tfrecord-backup",
        "camvid-train.tfrecord-00003-of-00012.bak",
    ],
)
def test_names_of_other_files_are_no_shard_names(name):
    assert tfrecord.is_shard_name("camvid-train.tfrecord-00003-of-00012")
    assert not tfrecord.is_shard_name(name)


def test_masked_crc_is_the_one_of_the_tfrecord_format():
    # CRC-32C of "123456789" is 0xE3069283 (RFC 3720, B.4); then rotate and offset.
    crc = 0xE3069283
    rotated = (crc >> 15) | (crc << 17) & 0xFFFFFFFF
    assert tfrecord.masked_crc(b"123456789") == (rotated + 0xA282EAD8) % 2**32


def test_frame_is_length_crc_data_crc():
    file = io.BytesIO()
    RecordWriter(file).write(b"abc")
    length = struct.pack("<Q", 3)
    assert file.getvalue() == b"".join(
        [
            length,
            struct.pack("<I", tfrecord.masked_crc(length)),
            b"abc",
            struct.pack("<I", tfrecord.masked_crc(b"abc")),
        ]
    )


def test_tensorflow_reads_the_same_records(shard):
    import tensorflow as tf

    records = tf.data.TFRecordDataset(str(shard)).as_numpy_iterator()
    assert list(records) == RECORDS


def test_shard_written_by_tensorflow_is_read(tmp_path):
    import tensorflow as tf

    path = tmp_path / "tf"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in RECORDS:
            writer.write(record)
    assert [record.data for record in read_records(path)] == RECORDS
    write(tmp_path / "ours", RECORDS)
    assert (tmp_path / "ours").read_bytes() == path.read_bytes()


@given(records=st.lists(st.binary(max_size=200), max_size=8))
@settings(max_examples=40, deadline=None)
def test_records_come_back_with_index_and_offset(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("shard") / "x"
    writer = write(path, records)
    read = list(read_records(path))
    assert [record.data for record in read] == records
    assert [record.index for record in read] == list(range(len(records)))
    assert [record.offset for record in read] == writer.offsets
    assert writer.num_bytes == path.stat().st_size == sum(writer.sizes)
    assert writer.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_empty_file_has_no_records(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert list(read_records(path)) == []


def test_missing_shard_is_a_corruption(tmp_path):
    with pytest.raises(CorruptionError, match="cannot be read: No such") as caught:
        list(read_records(tmp_path / "gone"))
    assert caught.value.reason == "shard-unreadable"


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (5, "record 0 is damaged at byte 0: its header is cut off"),
        (12, "record 0 is damaged at byte 0: expected 5 bytes, the file ends"),
        (20, "record 0 is damaged at byte 0: expected 5 bytes, the file ends"),
        (22, "record 1 is damaged at byte 21: its header is cut off"),
        (36, "record 1 is damaged at byte 21: expected 0 bytes, the file ends"),
        (1000, "record 2 is damaged at byte 37: expected 1400 bytes, the file ends"),
        (-1, "record 3 is damaged at byte 1453: expected 7 bytes, the file ends"),
    ],
)
def test_truncated_shard_names_file_record_and_byte(shard, kept, message):
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(CorruptionError, match=f"{shard.name}: {message}") as caught:
        list(read_records(shard))
    assert caught.value.reason == "record-damaged"


def test_records_before_the_damage_are_still_read(shard):
    shard.write_bytes(shard.read_bytes()[:-1])
    reader = read_records(shard)
    assert [next(reader).data for _ in range(3)] == RECORDS[:3]
    with pytest.raises(CorruptionError, match="record 3"):
        next(reader)


@pytest.mark.parametrize(
    ("position", "what"),
    [
        (0, "CRC of its length"),
        (7, "CRC of its length"),
        (11, "CRC of its length"),
        (12, "CRC of its data"),
        (16, "CRC of its data"),
        (20, "CRC of its data"),
    ],
)
def test_flipped_bit_is_found(shard, position, what):
    data = bytearray(shard.read_bytes())
    data[position] ^= 0x80
    shard.write_bytes(data)
    with pytest.raises(
        CorruptionError, match=f"record 0 is damaged at byte 0.*{what}"
    ) as caught:
        list(read_records(shard))
    assert caught.value.reason == "record-damaged"


def test_flipped_bit_anywhere_is_found(tmp_path):
    path = tmp_path / "x"
    write(path, [b"abc", b"defg"])
    whole = path.read_bytes()
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 1
        path.write_bytes(data)
        with pytest.raises(CorruptionError, match="is damaged"):
            list(read_records(path))


def test_record_is_read_at_its_offset(shard):
    with open(shard, "rb") as file:
        assert read_record_at(file, 37, shard, 2) == RECORDS[2]
        assert read_record_at(file, 0, shard, 0) == RECORDS[0]


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (1, "record 7 is damaged at byte 1: the CRC of its length"),
        (1476, "record 7 is damaged at byte 1476: the file ends before it"),
        (10**9, "the file ends before it"),
    ],
)
def test_wrong_offset_is_a_corruption(shard, offset, message):
    with open(shard, "rb") as file, pytest.raises(CorruptionError, match=message):
        read_record_at(file, offset, shard, 7)
