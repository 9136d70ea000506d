"""Records of a finished build as a stranger may have changed them, CRCs and all."""

from __future__ import annotations

import random
import struct
from typing import Any

from segdata.records import proto, schema

ODD_INTS = (0, -1, 1, 2, 7, 255, 2**31, 2**40, 2**62, -(2**63))
ODD_FLOATS = (0.0, -1.0, 0.5, 2.0, 1e30, float("nan"), float("inf"))
DEEP = b'{"a":' * 900 + b"0" + b"}" * 900
ODD_BYTES = (
    *(b"", b"\xff", b"a", b"0", b"-1", b"1" * 30, b"x" * 300, b"../../x", b"a/b\0"),
    *(b"{}", b"[]", b"{", DEEP, b'{"xml":1,"panoptic":[]}', b"\x1b[2J\n"),
    b'{"class_id":1,"species":1,"breed_id":1,"xml":{"a b":"c"}}',
    b'{"class_id":1,"species":1,"breed_id":1,"xml":{"a":["\\u0001",{}]}}',
    b'{"class_id":1,"species":1,"breed_id":1,"xml":[1]}',
    *(b'{"id":[],"bbox":"x","area":{},"xml":{"a b":"\\u0001"}}',),
    b'{"id":18446744073709551615,"panoptic":{"file_name":"../x"}}',
)
SIZES = ((0, 0), (1, 1), (1, 2**31 - 1), (11000, 12000), (2**20, 2**20))


def changed(data: bytes, seed: int) -> bytes:
    """A serialized record with one to three features of other values."""
    rng = random.Random(seed)
    example = proto.parse(data)
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.15:
            _resize(example, rng)
        else:
            _change(example, rng)
    result: bytes = proto.serialize(example)
    return result


def _change(example: Any, rng: random.Random) -> None:
    feature = rng.choice(schema.ALL_FEATURES)
    found = example.features.feature[feature.key]
    kind = feature.kind if rng.random() < 0.9 else rng.choice(("bytes", "int64"))
    if kind != feature.kind:
        found.Clear()
    values = getattr(found, f"{kind}_list").value
    odd: Any = {"bytes": ODD_BYTES, "int64": ODD_INTS, "float": ODD_FLOATS}[kind]
    how = rng.random()
    if how < 0.7 and values:
        values[rng.randrange(len(values))] = rng.choice(odd)
    elif how < 0.85:
        values.append(rng.choice(odd))
    else:
        del values[rng.randrange(len(values) + 1) :]


def _resize(example: Any, rng: random.Random) -> None:
    """Another size, stated by the record, the image's header or both."""
    height, width = rng.choice(SIZES)
    features = example.features.feature
    if rng.random() < 0.7:
        features[schema.HEIGHT.key].int64_list.value[:] = [height]
        features[schema.WIDTH.key].int64_list.value[:] = [width]
    if rng.random() < 0.7:
        size = struct.pack(">II", width & 0xFFFFFFFF, height & 0xFFFFFFFF)
        head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + size + b"\10\2\0\0\0"
        features[schema.ENCODED.key].bytes_list.value[:] = [head]
