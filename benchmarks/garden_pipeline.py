"""The same objects stored and read as TensorFlow's Model Garden does.

Stored: one PNG of the whole image per object, as `create_coco_tf_record.py` writes
them. Read: `tf_example_decoder.py` decodes them one by one, by `map_fn`, into float32;
`maskrcnn_input.py` cuts them with `crop_and_resize` and pads to 100 objects. The image
is decoded, resized and padded exactly as ours, so that only the masks differ.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from segdata.reading.geometry import choose_geometry
from segdata.reading.options import Augmentation, Resize
from segdata.reading.record_source import RecordSource
from segdata.streams import resample

MAX_OBJECTS, MASK_SIZE = 100, 112
_BOX = [f"image/object/bbox/{side}" for side in ("ymin", "xmin", "ymax", "xmax")]


def png(mask: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


def write_instances(source: RecordSource, path: Path) -> None:
    """One file of records with a PNG for every object."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in source:
            size = [record.height, record.width] * 2
            boxes = np.array([item.box for item in record.objects]).reshape(-1, 4)
            masks = [png(record.mask(item)) for item in record.objects]
            features = {
                "image/encoded": _bytes([record.encoded]),
                "image/height": _integers([record.height]),
                "image/width": _integers([record.width]),
                "image/object/mask": _bytes(masks),
                "image/object/class/label": _integers(
                    [item.label for item in record.objects]
                ),
            } | {
                key: tf.train.Feature(
                    float_list=tf.train.FloatList(value=boxes[:, side] / size[side])
                )
                for side, key in enumerate(_BOX)
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def write_semantic(source: RecordSource, path: Path) -> None:
    """One file of records with a PNG of the label map."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in source:
            features = {
                "image/encoded": _bytes([record.encoded]),
                "image/height": _integers([record.height]),
                "image/width": _integers([record.width]),
                "image/segmentation/class/encoded": _bytes([png(record.label_map())]),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def read_image(parsed, size, mode):
    """The image on the canvas, and its geometry."""
    image = tf.io.decode_image(
        parsed["image/encoded"], channels=3, expand_animations=False
    )
    geometry = choose_geometry(
        parsed["image/height"],
        parsed["image/width"],
        size,
        Resize(mode=mode),
        Augmentation(),
        None,
        tf,
    )
    return resample.move_image(image, geometry), geometry


def _spec():
    scalar = tf.io.FixedLenFeature
    return {
        "image/encoded": scalar([], tf.string),
        "image/height": scalar([], tf.int64),
        "image/width": scalar([], tf.int64),
    }


def images_only(files, size, batch_size, mode) -> tf.data.Dataset:
    """Nothing but the images, of records of either kind."""

    def decode(serialized):
        parsed = tf.io.parse_single_example(serialized, _spec())
        return {"image": read_image(parsed, size, mode)[0]}

    return _batched(files, decode, batch_size)


def instances(files, size, batch_size) -> tf.data.Dataset:
    """Boxes, classes and mask crops, as Mask R-CNN of the Model Garden reads them."""
    spec = _spec() | {
        "image/object/mask": tf.io.VarLenFeature(tf.string),
        "image/object/class/label": tf.io.VarLenFeature(tf.int64),
        **{key: tf.io.VarLenFeature(tf.float32) for key in _BOX},
    }

    def decode_mask(encoded):
        mask = tf.squeeze(tf.io.decode_png(encoded, channels=1, dtype=tf.uint8), -1)
        mask = tf.cast(mask, tf.float32)
        mask.set_shape([None, None])
        return mask

    def decode(serialized):
        parsed = tf.io.parse_single_example(serialized, spec)
        sparse = tf.sparse.SparseTensor
        parsed = {
            k: tf.sparse.to_dense(v) if isinstance(v, sparse) else v
            for k, v in parsed.items()
        }
        image, geometry = read_image(parsed, size, "pad")
        encoded = parsed["image/object/mask"]
        height, width = parsed["image/height"], parsed["image/width"]
        masks = tf.cond(
            tf.size(encoded) > 0,
            lambda: tf.map_fn(decode_mask, encoded, fn_output_signature=tf.float32),
            lambda: tf.zeros([0, height, width], tf.float32),
        )
        boxes = tf.stack([parsed[key] for key in _BOX], 1)
        crops = tf.image.crop_and_resize(
            masks[..., tf.newaxis],
            boxes,
            tf.range(tf.size(encoded)),
            [MASK_SIZE, MASK_SIZE],
        )[..., 0]
        pixels = tf.cast(boxes, tf.float64) * tf.cast(
            tf.stack([height, width] * 2), tf.float64
        )
        moved, _ = geometry.move_boxes(pixels)
        return {
            "image": image,
            "boxes": _padded(tf.cast(moved, tf.float32)),
            "classes": _padded(parsed["image/object/class/label"]),
            "masks": _padded(crops),
        }

    return _batched(files, decode, batch_size)


def semantic(files, size, batch_size) -> tf.data.Dataset:
    """Label maps from PNGs."""
    spec = _spec() | {
        "image/segmentation/class/encoded": tf.io.FixedLenFeature([], tf.string)
    }

    def decode(serialized):
        parsed = tf.io.parse_single_example(serialized, spec)
        image, _ = read_image(parsed, size, "stretch")
        encoded = parsed["image/segmentation/class/encoded"]
        label_map = tf.image.resize(
            tf.io.decode_png(encoded, channels=1), size, method="nearest"
        )
        return {"image": image, "label_map": label_map[..., 0]}

    return _batched(files, decode, batch_size)


def _batched(files, decode, batch_size) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices([str(file) for file in files])
    dataset = dataset.flat_map(lambda file: tf.data.TFRecordDataset(file, "", 1 << 20))
    dataset = dataset.map(decode, tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _padded(values):
    values = values[:MAX_OBJECTS]
    free = MAX_OBJECTS - tf.shape(values)[0]
    paddings = [[0, free], *[[0, 0]] * (values.shape.rank - 1)]
    return tf.ensure_shape(tf.pad(values, paddings), (MAX_OBJECTS, *values.shape[1:]))


def _bytes(values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _integers(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
