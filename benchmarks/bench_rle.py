"""Cost of label maps in graph, relative to the image files a reader decodes anyway.

Every decoder is a graph that runs on one thread over the same frames, in turn; CPU
time, the cost of an empty graph taken off. The results are compared with the label PNGs
before anything is timed.

    python benchmarks/bench_rle.py [--frames 64] [--repeats 7]
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from camvid_frames import camvid_folder
from measure import interleaved, median, spread, write_result
from PIL import Image

from segdata.formats.camvid.format import CamVid
from segdata.images.label_images import read_source_runs, to_label_runs
from segdata.images.normalize import JPEG_QUALITY
from segdata.streams import label_maps

# One thread for everything: hand-overs between threads would cost more than the ops.
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)

SIZE = (224, 224)
AIMS = {"runs whole / png": 0.5, "runs whole / jpeg": 0.25}


def load(num_frames: int) -> tuple[list[dict[str, object]], str]:
    """Runs, label PNG and JPEG of each frame, and the label map to compare with."""
    folder, title = camvid_folder()
    scan = CamVid().scan(folder)
    frames = []
    for data in list(scan.annotations)[:num_frames]:
        png = (folder / data["label_image"]["path"]).read_bytes()
        source = read_source_runs(png, "index", "label")
        runs = to_label_runs(source, "index", scan.label_map, "label")
        jpeg = io.BytesIO()
        frame = Image.open(folder / data["image"]).convert("RGB")
        frame.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        frames.append(
            {
                "values": runs.values.tobytes(),
                "lengths": runs.lengths,
                "png": png,
                "jpeg": jpeg.getvalue(),
                "expected": np.asarray(Image.open(io.BytesIO(png))),
            }
        )
    return frames, title


def decoders(height: int, width: int) -> dict[str, Callable[..., tf.Tensor]]:
    """Name -> function of `(values, lengths, png, jpeg)`."""
    size = (height, width)  # as the reader passes them where all images are alike
    unknown = (tf.constant(height), tf.constant(width))
    png = tf.io.decode_png
    return {
        "nothing": lambda v, n, p, j: tf.zeros([1], tf.uint8),
        "runs whole": lambda v, n, p, j: label_maps.decode_label_map(v, n, *size),
        "runs at 224": lambda v, n, p, j: label_maps.resize_label_map(
            v, n, *size, SIZE
        ),
        "runs, size unknown": lambda v, n, p, j: label_maps.decode_label_map(
            v, n, *unknown
        ),
        "png whole": lambda v, n, p, j: png(p, channels=1),
        "png at 224": lambda v, n, p, j: tf.image.resize(
            png(p, channels=1), SIZE, method="nearest"
        ),
        "jpeg": lambda v, n, p, j: tf.io.decode_jpeg(j, channels=3),
    }


def check(frames: list[dict[str, object]], make: dict[str, Callable[..., tf.Tensor]]):
    for frame in frames:
        arguments = [frame[key] for key in ("values", "lengths", "png", "jpeg")]
        expected = frame["expected"]
        whole = make["runs whole"](*arguments).numpy()
        np.testing.assert_array_equal(whole, expected)
        nearest = make["png at 224"](*arguments).numpy()[..., 0]
        np.testing.assert_array_equal(make["runs at 224"](*arguments).numpy(), nearest)


def tasks(
    frames: list[dict[str, object]],
    make: dict[str, Callable[..., tf.Tensor]],
    passes: int,
) -> dict[str, Callable[[], object]]:
    """Each decoder as a compiled graph, called for every frame `passes` times."""
    signature = [
        tf.TensorSpec([], tf.string),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([], tf.string),
        tf.TensorSpec([], tf.string),
    ]
    inputs = [
        tuple(tf.constant(f[key]) for key in ("values", "lengths", "png", "jpeg"))
        for f in frames
    ]

    def task(decode: Callable[..., tf.Tensor]) -> Callable[[], object]:
        @tf.function(input_signature=signature)
        def first_pixel(v: tf.Tensor, n: tf.Tensor, p: tf.Tensor, j: tf.Tensor):
            return tf.reshape(decode(v, n, p, j), [-1])[0]

        graph = first_pixel.get_concrete_function()

        def run() -> None:
            for _ in range(passes):
                for arguments in inputs:
                    graph(*arguments)

        return run

    return {name: task(decode) for name, decode in make.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--frames", type=int, default=64)
    arguments.add_argument("--repeats", type=int, default=9)
    arguments.add_argument("--passes", type=int, default=4)
    options = arguments.parse_args()
    frames, title = load(options.frames)
    height, width = frames[0]["expected"].shape
    make = decoders(height, width)
    check(frames, make)
    seconds = interleaved(tasks(frames, make, options.passes), options.repeats)
    base = median(seconds["nothing"])
    per_frame = {
        name: (median(values) - base) / (len(frames) * options.passes)
        for name, values in seconds.items()
        if name != "nothing"
    }
    size = sum(len(frame["jpeg"]) for frame in frames)
    print(
        f"{title}, {len(frames)} frames of {height}x{width}, CPU time, one thread; "
        f"JPEG of quality {JPEG_QUALITY} 4:4:4, {size // len(frames)} bytes"
    )
    for name, value in per_frame.items():
        print(f"  {name:18} {value * 1e3:7.3f} ms   spread {spread(seconds[name])}")
    ratios = {
        "runs whole / png": per_frame["runs whole"] / per_frame["png whole"],
        "runs whole / jpeg": per_frame["runs whole"] / per_frame["jpeg"],
        "runs at 224 / png at 224": per_frame["runs at 224"] / per_frame["png at 224"],
        "runs at 224 / jpeg": per_frame["runs at 224"] / per_frame["jpeg"],
    }
    for name, value in ratios.items():
        aim = f"   aim: at most {AIMS[name]}" if name in AIMS else ""
        print(f"  {name:26} {value:.3f}{aim}")
    write_result("rle", {"data": title, "ms": per_frame, "ratios": ratios})


if __name__ == "__main__":
    main()
