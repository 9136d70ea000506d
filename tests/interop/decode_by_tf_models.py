"""Decodes shards with TF Model Garden and the Object Detection API, in their Python.

Run as a program by `test_tf_models.py`, in an environment that has `tf-models-official`
and `tf-models-research-object-detection` and knows nothing of segdata. Prints one line
of JSON per record: what the decoder gives, masks as digests.

    python decode_by_tf_models.py instances|segmentation|detection OUT
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The Object Detection API's package was generated for an older protobuf.
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf


def digests(masks: Any) -> list[str]:
    """Of each mask as uint8, of which 0 and 1 are the only values."""
    found = np.asarray(masks)
    assert set(np.unique(found)) <= {0, 1}, np.unique(found)
    return [hashlib.sha256(mask.astype(np.uint8)).hexdigest() for mask in found]


def of_objects(decoded: dict[str, Any]) -> dict[str, Any]:
    """What both decoders of objects name alike."""
    return {
        "boxes": decoded["groundtruth_boxes"].numpy().tolist(),
        "classes": decoded["groundtruth_classes"].numpy().tolist(),
        "crowd": decoded["groundtruth_is_crowd"].numpy().tolist(),
        "area": decoded["groundtruth_area"].numpy().tolist(),
        "masks": digests(decoded["groundtruth_instance_masks"]),
        "image": decoded["image"].shape.as_list(),
    }


def instances(shards: Any) -> Iterator[dict[str, Any]]:
    """Model Garden's, through its Mask R-CNN parser."""
    from official.vision.dataloaders import maskrcnn_input, tf_example_decoder, utils

    decoder = tf_example_decoder.TfExampleDecoder(include_mask=True)
    parser = maskrcnn_input.Parser(
        [128, 128],
        min_level=3,
        max_level=5,
        num_scales=1,
        aspect_ratios=[1.0],
        anchor_size=8,
        include_mask=True,
        mask_crop_size=28,
    )
    decoded = shards.map(decoder.decode)
    parsed = decoded.map(parser._parse_train_data)
    for one, (_, labels) in zip(decoded, parsed, strict=True):
        yield of_objects(one) | {
            "source_id": int(utils.process_source_id(one["source_id"])),
            "size": [int(one["height"]), int(one["width"])],
            "parsed": labels["gt_masks"].shape.as_list(),
        }


def segmentation(shards: Any) -> Iterator[dict[str, Any]]:
    """Model Garden's, through its parser at the stored size."""
    from official.vision.dataloaders import segmentation_input

    decoder = segmentation_input.Decoder()
    for one in shards.map(decoder.decode):
        size = [int(one["image/height"]), int(one["image/width"])]
        parser = segmentation_input.Parser(size)
        _, labels = parser._parse_eval_data(one)
        masks = labels["masks"].numpy()[..., 0].astype(np.uint8)
        yield {
            "size": size,
            "label_map": hashlib.sha256(np.ascontiguousarray(masks)).hexdigest(),
            "ignored": int((~labels["valid_masks"].numpy()).sum()),
        }


def detection(shards: Any, label_map: str) -> Iterator[dict[str, Any]]:
    """The Object Detection API's, which looks class names up in the label map."""
    from tensorflow.python.ops import control_flow_ops

    # tf_slim looks for them where TensorFlow 1 had them.
    control_flow_ops.case = tf.compat.v1.case
    control_flow_ops.cond = tf.compat.v1.cond
    from object_detection.data_decoders import tf_example_decoder
    from object_detection.protos import input_reader_pb2
    from object_detection.utils import label_map_util

    names = label_map_util.get_label_map_dict(label_map)
    decoder = tf_example_decoder.TfExampleDecoder(
        load_instance_masks=True,
        instance_mask_type=input_reader_pb2.PNG_MASKS,
        label_map_proto_file=label_map,
    )
    for one in shards.map(decoder.decode):
        yield of_objects(one) | {
            "source_id": int(one["source_id"]),
            "names": names,
            "weights": one["groundtruth_instance_mask_weights"].numpy().tolist(),
        }


def main() -> None:
    what, out = sys.argv[1:]
    paths = sorted(map(str, Path(out).glob("*.tfrecord-*")))
    shards = tf.data.TFRecordDataset(paths)
    readers = {
        "instances": lambda: instances(shards),
        "segmentation": lambda: segmentation(shards),
        "detection": lambda: detection(shards, f"{out}/label_map.pbtxt"),
    }
    for record in readers[what]():
        print(json.dumps(record))


if __name__ == "__main__":
    main()
