"""The same images and instance masks, built the ways of others.

    python benchmarks/build_peers.py {tfds,pngs,limit} SOURCE OUT

`tfds`: a Beam builder of TensorFlow Datasets on two worker processes. `pngs`: one PNG
per object from a pool of two processes, written by the process that started them, as
Model Garden's `create_coco_tf_record.py` does. `limit`: two processes that only read,
hash and write the same bytes. `bench_build.py --peers` runs them all.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from segdata.shards.tfrecord import RecordWriter

WORKERS = 2
SHARDS = 8

Item = tuple[str, dict[str, Any], list[dict[str, Any]]]
"""Path of an image, its entry, its annotations."""


def read_items(source: Path) -> list[Item]:
    """Every image with its annotations."""
    table = json.loads((source / "annotations" / "instances.json").read_bytes())
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in table["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    return [
        (
            str(source / "images" / image["file_name"]),
            image,
            by_image.get(image["id"], []),
        )
        for image in table["images"]
    ]


def decode_mask(annotation: dict[str, Any], height: int, width: int) -> Any:
    """As both peers do it: polygons or RLE by pycocotools, parts united."""
    segmentation = annotation["segmentation"]
    encoded = coco_mask.frPyObjects(segmentation, height, width)
    mask = coco_mask.decode(encoded)
    return np.amax(mask, axis=2) if mask.ndim == 3 else mask


# --- limit ---


def _move(part: tuple[int, list[Item], str]) -> None:
    number, items, out = part
    with open(Path(out, f"{number}"), "wb") as file:
        writer = RecordWriter(file)
        for path, _, annotations in items:
            image = Path(path).read_bytes()
            hashlib.sha256(image).hexdigest()
            google_crc32c.value(json.dumps(annotations).encode())
            writer.write(image)
        file.flush()
        os.fsync(file.fileno())


def run_limit(source: Path, out: Path) -> None:
    items = read_items(source)
    out.mkdir()
    parts = [(n, items[n::SHARDS], str(out)) for n in range(SHARDS)]
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        pool.map(_move, parts, chunksize=1)


# --- one PNG per object ---


def _png_example(item: Item) -> bytes:
    import tensorflow as tf

    path, image, annotations = item
    height, width = image["height"], image["width"]
    encoded = Path(path).read_bytes()
    masks, boxes, labels, crowds, areas = [], [], [], [], []
    for annotation in annotations:
        output = io.BytesIO()
        mask = decode_mask(annotation, height, width)
        Image.fromarray(mask).save(output, format="PNG")
        masks.append(output.getvalue())
        x, y, w, h = annotation["bbox"]
        boxes.append((y / height, x / width, (y + h) / height, (x + w) / width))
        labels.append(annotation["category_id"])
        crowds.append(annotation["iscrowd"])
        areas.append(annotation["area"])

    def of_bytes(values: list[bytes]) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def of_ints(values: list[int]) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def of_floats(values: list[float]) -> Any:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    sides = ("ymin", "xmin", "ymax", "xmax")
    feature = {
        "image/height": of_ints([height]),
        "image/width": of_ints([width]),
        "image/filename": of_bytes([image["file_name"].encode()]),
        "image/source_id": of_bytes([str(image["id"]).encode()]),
        "image/key/sha256": of_bytes([hashlib.sha256(encoded).hexdigest().encode()]),
        "image/encoded": of_bytes([encoded]),
        "image/format": of_bytes([b"jpeg"]),
        "image/object/class/label": of_ints(labels),
        "image/object/is_crowd": of_ints(crowds),
        "image/object/area": of_floats(areas),
        "image/object/mask": of_bytes(masks),
        **{
            f"image/object/bbox/{side}": of_floats([box[i] for box in boxes])
            for i, side in enumerate(sides)
        },
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    data: bytes = example.SerializeToString()
    return data


def run_pngs(source: Path, out: Path) -> None:
    import tensorflow as tf

    out.mkdir()
    writers = [
        tf.io.TFRecordWriter(str(out / f"{n:05d}-of-{SHARDS:05d}.tfrecord"))
        for n in range(SHARDS)
    ]
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        examples = pool.imap(_png_example, read_items(source))
        for index, example in enumerate(examples):
            writers[index % SHARDS].write(example)
    for writer in writers:
        writer.close()


# --- TensorFlow Datasets ---


def _tfds_example(item: Item) -> tuple[str, dict[str, Any]]:
    import tensorflow_datasets as tfds

    path, image, annotations = item
    height, width = image["height"], image["width"]
    objects = []
    for annotation in annotations:
        x, y, w, h = annotation["bbox"]
        objects.append(
            {
                "area": annotation["area"],
                "is_crowd": bool(annotation["iscrowd"]),
                "label": annotation["category_id"],
                "bbox": tfds.features.BBox(
                    ymin=min(y / height, 1.0),
                    xmin=min(x / width, 1.0),
                    ymax=min((y + h) / height, 1.0),
                    xmax=min((x + w) / width, 1.0),
                ),
                "mask": decode_mask(annotation, height, width)[..., np.newaxis],
            }
        )
    row = {"image": path, "image/id": image["id"], "objects": objects}
    return image["file_name"], row


def tfds_builder(source: Path, out: Path) -> Any:
    """A Beam builder as one writes it for TensorFlow Datasets."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_datasets as tfds

    class CocoMasks(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # no types
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = Path(__file__).parent

        def _info(self) -> Any:
            objects = {
                "area": tf.float32,
                "is_crowd": tf.bool,
                "label": tf.int64,
                "bbox": tfds.features.BBoxFeature(),
                "mask": tfds.features.Image(
                    shape=(None, None, 1), dtype=np.uint8, encoding_format="png"
                ),
            }
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {
                        "image": tfds.features.Image(encoding_format="jpeg"),
                        "image/id": tf.int64,
                        "objects": tfds.features.Sequence(objects),
                    }
                )
            )

        def _split_generators(self, manager: Any) -> dict[str, Any]:
            del manager
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Any:
            return (
                beam.Create(read_items(source))
                | beam.Reshuffle()
                | beam.Map(_tfds_example)
            )

    return CocoMasks(data_dir=str(out))


def run_tfds(source: Path, out: Path) -> None:
    import tensorflow_datasets as tfds
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(
        ["--direct_running_mode=multi_processing", f"--direct_num_workers={WORKERS}"]
    )
    config = tfds.download.DownloadConfig(
        beam_runner="FnApiRunner", beam_options=options, num_shards=SHARDS
    )
    tfds_builder(source, out).download_and_prepare(download_config=config)


def examples_of(way: str, out: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Image id and the PNG of each mask, as a way wrote them."""
    import tensorflow as tf

    names = {"pngs": ("image/source_id", "image/object/mask")}
    key, masks = names.get(way, ("image/id", "objects/mask"))
    for path in sorted(out.rglob("*.tfrecord*")):
        for data in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            feature = tf.train.Example.FromString(data).features.feature
            ids = feature[key].bytes_list.value or feature[key].int64_list.value
            yield int(ids[0]), list(feature[masks].bytes_list.value)


if __name__ == "__main__":
    ways = {"tfds": run_tfds, "pngs": run_pngs, "limit": run_limit}
    ways[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
