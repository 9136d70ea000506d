"""Building COCO on one core, beside the usual way of per-object PNGs.

The source is the real COCO set, COPIES times: linked, with ids and names of their own.
The usual way is what the field's converters do: PIL decodes the image, `annToMask`
decodes each mask, PIL encodes each as a PNG, one `TFRecordWriter` writes. Both read the
same files and run in turn in this process; start-up falls out of ours by building one
copy and all of them. What ours writes is compared with `annToMask` before it is timed.

    python benchmarks/bench_build_coco.py [--repeats 3] [--copies 20] [--semantic]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from measure import (
    SHARED_DATA,
    link,
    median,
    peak_memory_mib,
    spread,
    write_result,
)
from PIL import Image
from pycocotools.coco import COCO

from segdata.building import shard
from segdata.building.build import build
from segdata.formats.coco.format import Coco
from segdata.reading.record_source import RecordSource
from segdata.records import encode
from segdata.samples.coco import write_coco_sample
from segdata.shards.tfrecord import RecordWriter

AIM = 20
SHARDS = 8
JSON_NAME = "annotations/instances.json"


def original() -> tuple[Path, str, Path]:
    """A COCO folder, what to call it, and its JSON."""
    real = SHARED_DATA / "coco"
    if real.is_dir():
        return real / "images", "real COCO", real / JSON_NAME
    folder = Path(tempfile.mkdtemp(prefix="segdata-bench-"))
    write_coco_sample(folder, seed=0, num_train=64, num_val=0)
    path = next((folder / "annotations").glob("instances_train*.json"))
    return folder / "train2017", "drawn COCO", path


def make_copies(images: Path, table: dict[str, Any], folder: Path, count: int) -> Path:
    """A source that holds every image and its annotations `count` times."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    step = max(row["id"] for row in table["images"]) + 1
    rows: dict[str, list[Any]] = {"images": [], "annotations": []}
    for number in range(count):
        for row in table["images"]:
            name = f"{number:02d}_{Path(row['file_name']).name}"
            link(images / row["file_name"], folder / "images" / name)
            image_id = row["id"] + number * step
            rows["images"].append({**row, "id": image_id, "file_name": name})
        for row in table["annotations"]:
            image_id = row["image_id"] + number * step
            own = {"id": len(rows["annotations"]) + 1, "image_id": image_id}
            rows["annotations"].append({**row, **own})
    data = {**rows, "categories": table["categories"]}
    (folder / JSON_NAME).write_text(json.dumps(data))
    return folder


def build_ours(source: Path, out: Path, *, semantic: bool = False) -> None:
    build(Coco(semantic=semantic), source, out, num_shards=SHARDS)


def build_usual(
    coco: COCO, source: Path, out: Path, seconds: dict[str, float] | None = None
) -> int:
    """The usual way; returns the number of images."""
    import tensorflow as tf

    seconds = {} if seconds is None else seconds
    out.mkdir()
    labels = {category: i + 1 for i, category in enumerate(sorted(coco.cats))}
    with tf.io.TFRecordWriter(str(out / "usual.tfrecord")) as writer:
        for image_id, image in coco.imgs.items():
            with timed(seconds, "read"):
                encoded = (source / "images" / image["file_name"]).read_bytes()
            with timed(seconds, "hash"):
                digest = hashlib.sha256(encoded).hexdigest()
            with timed(seconds, "decode"):
                width, height = Image.open(io.BytesIO(encoded)).convert("RGB").size
            pngs, columns = [], []
            for row in coco.imgToAnns[image_id]:
                with timed(seconds, "annToMask"):
                    mask = coco.annToMask(row)
                with timed(seconds, "PNG"):
                    png = io.BytesIO()
                    Image.fromarray(mask).save(png, "PNG")
                pngs.append(png.getvalue())
                columns.append((row, labels[row["category_id"]]))
            with timed(seconds, "serialize"):
                data = usual_example(
                    encoded, digest, image, (height, width), pngs, columns
                )
            with timed(seconds, "write"):
                writer.write(data)
    return len(coco.imgs)


def usual_example(
    encoded: bytes,
    digest: str,
    image: dict[str, Any],
    size: tuple[int, int],
    pngs: list[bytes],
    columns: list[tuple[dict[str, Any], int]],
) -> bytes:
    """With the keys of the Object Detection API."""
    import tensorflow as tf

    def put_bytes(values: list[bytes]) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def put_floats(values: list[float]) -> Any:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def put_ints(values: list[int]) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    height, width = size
    boxes = [row["bbox"] for row, _ in columns]
    feature = {
        "image/height": put_ints([height]),
        "image/width": put_ints([width]),
        "image/filename": put_bytes([image["file_name"].encode()]),
        "image/source_id": put_bytes([str(image["id"]).encode()]),
        "image/key/sha256": put_bytes([digest.encode()]),
        "image/encoded": put_bytes([encoded]),
        "image/format": put_bytes([b"jpeg"]),
        "image/object/bbox/xmin": put_floats([x / width for x, _, _, _ in boxes]),
        "image/object/bbox/xmax": put_floats([(x + w) / width for x, _, w, _ in boxes]),
        "image/object/bbox/ymin": put_floats([y / height for _, y, _, _ in boxes]),
        "image/object/bbox/ymax": put_floats(
            [(y + h) / height for _, y, _, h in boxes]
        ),
        "image/object/class/label": put_ints([label for _, label in columns]),
        "image/object/is_crowd": put_ints([row["iscrowd"] for row, _ in columns]),
        "image/object/area": put_floats([row["area"] for row, _ in columns]),
        "image/object/mask": put_bytes(pngs),
    }
    message = tf.train.Example(features=tf.train.Features(feature=feature))
    return message.SerializeToString()


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.process_time()
    yield
    seconds[stage] = seconds.get(stage, 0) + time.process_time() - start


STAGES: tuple[tuple[Any, str, str], ...] = (
    (shard, "parse_plan_line", "read the plan"),
    (shard, "read_files", "read"),
    (encode.normalize, "normalize_image", "structure check"),
    (encode, "encode_objects", "masks and boxes"),
    (encode, "paint_label_map", "paint"),
    (shard, "to_example", "message"),
    (shard, "serialize", "serialize"),
    (shard, "source_digest", "hash"),
    (RecordWriter, "write", "frame, hash, write"),
)
"""Where a stage of ours is called, and what to call it."""


def stage_seconds(run: Callable[[], None]) -> dict[str, float]:
    """Seconds of each stage of a build; what remains is the last."""
    seconds: dict[str, float] = {}

    def watched(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            with timed(seconds, stage):
                return function(*arguments, **more)

        return call

    patches = [
        mock.patch.object(owner, name, watched(getattr(owner, name), stage))
        for owner, name, stage in STAGES
    ]
    for patch in patches:
        patch.start()
    start = time.process_time()
    try:
        run()
    finally:
        for patch in patches:
            patch.stop()
    total = time.process_time() - start
    return {**seconds, "everything else": total - sum(seconds.values())}


def check(out: Path, coco: COCO) -> int:
    """Every mask equals `annToMask`; returns the number of objects."""
    count = 0
    for record in RecordSource(out, "train"):
        for item in record.objects:
            expected = coco.annToMask(coco.anns[item.source["id"]])
            np.testing.assert_array_equal(record.mask(item), expected)
            count += 1
    return count


def quiet_coco(path: Path) -> COCO:
    """`COCO` prints."""
    with mock.patch("builtins.print"):
        return COCO(str(path))


def print_shares(title: str, seconds: dict[str, float]) -> dict[str, float]:
    total = sum(seconds.values())
    shares = {stage: value / total for stage, value in seconds.items()}
    told = ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items())
    print(f"  {title}: {told}")
    return shares


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--copies", type=int, default=20)
    arguments.add_argument("--semantic", action="store_true")
    options = arguments.parse_args()
    images, title, path = original()
    table = json.loads(path.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        many = options.copies
        sources = {n: make_copies(images, table, root / f"x{n}", n) for n in (1, many)}
        cocos = {n: quiet_coco(source / JSON_NAME) for n, source in sources.items()}
        build_ours(sources[1], root / "check", semantic=options.semantic)
        num_objects = check(root / "check", cocos[1])
        build_usual(cocos[1], sources[1], root / "warm")
        seconds: dict[str, list[float]] = {"usual": [], "ours": [], "ours, 1 copy": []}
        for _ in range(options.repeats):
            for name, values in seconds.items():
                shutil.rmtree(root / "out", ignore_errors=True)
                count = many if name == "ours" else 1
                start = time.process_time()
                if name == "usual":
                    build_usual(cocos[1], sources[1], root / "out")
                else:
                    build_ours(sources[count], root / "out", semantic=options.semantic)
                values.append(time.process_time() - start)
        shares: dict[str, dict[str, float]] = {"ours": {}, "usual": {}}
        shares["ours"] = stage_seconds(
            lambda: build_ours(sources[many], root / "s", semantic=options.semantic)
        )
        build_usual(cocos[1], sources[1], root / "u", shares["usual"])
        command = [sys.executable, "-m", "segdata", "build", "coco"]
        command += ["--semantic"] if options.semantic else []
        memory, wall = {}, {}
        for n, source in sources.items():
            line = [*command, str(source), str(root / f"cli-{n}"), "--workers", "1"]
            memory[n], wall[n] = peak_memory_mib(line)
    num_images = len(table["images"])
    extra = median(seconds["ours"]) - median(seconds["ours, 1 copy"])
    rates = {
        "ours": num_images * (many - 1) / extra,
        "usual": num_images / median(seconds["usual"]),
    }
    ratio = rates["ours"] / rates["usual"]
    print(
        f"{title}, {num_images} images, {num_objects} objects, and {many} times as "
        "many, one core"
    )
    for name, rate in rates.items():
        print(f"  {name:6} {rate:6.0f} images/s   spread {spread(seconds[name])}")
    print(f"  ours / usual after start-up {ratio:.1f}   aim: at least {AIM}")
    shares = {name: print_shares(name, found) for name, found in shares.items()}
    for n in sources:
        print(
            f"  the whole command, {num_images * n} images: {wall[n]:.1f} s, peak "
            f"memory {memory[n]:.0f} MiB"
        )
    write_result(
        "build_coco",
        {
            "data": title,
            "images": num_images,
            "objects": num_objects,
            "copies": many,
            "semantic": options.semantic,
            "images_per_second": rates,
            "ours_to_usual": ratio,
            "shares": shares,
            "command_seconds": wall,
            "peak_memory_mib": memory,
        },
    )


if __name__ == "__main__":
    main()
