"""Cost of masks against the JPEG decoder, and whole streams against their peers.

Four questions, over the real COCO and CamVid (drawn datasets where these are not
there); every result is compared with the records' NumPy decoding before it is timed:

- masks: CPU time of decoding masks, one thread, as a share of `tf.io.decode_jpeg`;
- streams: images per second after the first batch, with one thread and with two,
  against reading nothing but the images and against the Model Garden's way
  (`garden_pipeline.py`), interleaved;
- memory: peak above what TensorFlow takes, each stream in a process of its own;
- start: seconds from the call of the reader to the first batch, likewise.

    python benchmarks/bench_read.py [--repeats 7] [--images 165]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import garden_pipeline as garden
import numpy as np
import tensorflow as tf
from measure import (
    SHARED_DATA,
    interleaved,
    median,
    spread,
    write_result,
)
from PIL import Image

import segdata
from segdata.building.build import build
from segdata.formats.camvid.format import CamVid
from segdata.formats.coco.format import Coco
from segdata.images.normalize import JPEG_QUALITY
from segdata.reading.record_source import RecordSource
from segdata.samples.camvid import write_camvid_sample
from segdata.samples.coco import write_coco_sample
from segdata.streams import label_maps, object_masks

MASKS_AIMS = {"dense": 0.2, "crops": 0.3, "label map": 0.25}
IMAGE_AIM, GARDEN_AIM = 0.7, 3.5
CANVAS, SEMANTIC_SIZE, BATCH = (640, 640), (224, 224), 8
PASSES = 3  # over the data in one go, so that starting a stream weighs little


def prepare(folder: Path) -> str:
    """Builds both datasets, and the same in the Model Garden's form."""
    real = SHARED_DATA.is_dir()
    sources = {name: SHARED_DATA / name for name in ("camvid", "coco")}
    if not real:
        sources = {name: folder / f"{name}-source" for name in sources}
        write_camvid_sample(sources["camvid"], seed=0, num_train=96, num_val=8)
        write_coco_sample(sources["coco"], seed=0, num_train=160, num_val=8)
    for name, kind in (("camvid", CamVid()), ("coco", Coco())):
        build(kind, sources[name], folder / name, num_shards=4)
    garden.write_instances(RecordSource(folder / "coco", "train"), folder / "coco.rec")
    garden.write_semantic(
        RecordSource(folder / "camvid", "train"), folder / "camvid.rec"
    )
    return "real COCO and CamVid" if real else "drawn COCO and CamVid"


# --- The cost of masks.


def one_thread(name: str, make: Callable[..., tf.Tensor], signature, inputs):
    """A graph of one decoder, called for every input."""

    @tf.function(input_signature=signature)
    def first_pixel(*arguments):
        return tf.reshape(make(*arguments), [-1])[:1]

    graph = first_pixel.get_concrete_function()

    def run() -> None:
        for arguments in inputs:
            graph(*arguments)

    return run


def padded_crops(runs, num_runs, height, width, boxes, jpeg):
    """112x112 crops padded to 100 objects, as `read_instances` makes them."""
    objects = object_masks.read_runs(runs, num_runs, height, width)
    size = (garden.MASK_SIZE, garden.MASK_SIZE)
    axes = object_masks.box_samplings(boxes, size, *objects.size)
    count = tf.minimum(tf.size(num_runs), garden.MAX_OBJECTS)
    crops = object_masks.sample_masks(objects, *axes, size, tf.range(count))
    return tf.pad(crops, [[0, garden.MAX_OBJECTS - count], [0, 0], [0, 0]])


def instance_costs(folder: Path, repeats: int, num_images: int) -> dict[str, float]:
    """Dense masks and crops, as shares of decoding the image."""
    records = [r for r in RecordSource(folder / "coco", "train") if r.objects]
    records = [r for r in records if r.format == "jpeg"][:num_images]
    integers, scalar = tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int64)
    signature = [integers, integers, scalar, scalar]
    signature += [tf.TensorSpec([None, 4], tf.float64), tf.TensorSpec([], tf.string)]
    inputs = []
    for record in records:
        masks = np.array([record.mask(item) for item in record.objects])
        runs = np.concatenate([item.runs for item in record.objects])
        num_runs = np.array([len(item.runs) for item in record.objects])
        decoded = object_masks.decode_masks(runs, num_runs, *masks.shape[1:])
        np.testing.assert_array_equal(decoded, masks)
        values = (runs, num_runs, record.height, record.width)
        boxes = np.array([item.box for item in record.objects])
        inputs.append(
            (
                *(tf.constant(value, tf.int64) for value in values),
                tf.constant(boxes, tf.float64),
                tf.constant(record.encoded),
            )
        )
    makes = {
        "nothing": lambda r, n, h, w, b, j: n,
        "jpeg": lambda r, n, h, w, b, j: tf.io.decode_jpeg(j, channels=3),
        "dense": lambda r, n, h, w, b, j: object_masks.decode_masks(r, n, h, w),
        "crops": padded_crops,
    }
    return _shares(makes, signature, inputs, repeats)


def label_map_costs(folder: Path, repeats: int, num_images: int) -> dict[str, float]:
    """Label maps, as shares of decoding the frame as a JPEG."""
    signature = [tf.TensorSpec([], tf.string), tf.TensorSpec([None], tf.int64)]
    signature.append(tf.TensorSpec([], tf.string))
    inputs = []
    for record in RecordSource(folder / "camvid", "train")[:num_images]:
        runs = (record.label_values.tobytes(), record.label_lengths)
        size = (record.height, record.width)
        decoded = label_maps.decode_label_map(*runs, *size)
        np.testing.assert_array_equal(decoded, record.label_map())
        jpeg = io.BytesIO()
        frame = Image.fromarray(record.image())
        frame.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        inputs.append((*map(tf.constant, runs), tf.constant(jpeg.getvalue())))
    makes = {
        "nothing": lambda v, n, j: n,
        "jpeg": lambda v, n, j: tf.io.decode_jpeg(j, channels=3),
        "label map": lambda v, n, j: label_maps.decode_label_map(v, n, *size),
        "label map at 224": lambda v, n, j: label_maps.resize_label_map(
            v, n, *size, SEMANTIC_SIZE
        ),
    }
    return _shares(makes, signature, inputs, repeats)


def _shares(makes, signature, inputs, repeats) -> dict[str, float]:
    tasks = {
        name: one_thread(name, make, signature, inputs) for name, make in makes.items()
    }
    seconds = interleaved(tasks, repeats)
    base = median(seconds["nothing"])
    jpeg = median(seconds["jpeg"]) - base
    print(f"  jpeg {jpeg / len(inputs) * 1e3:.2f} ms, spread {spread(seconds['jpeg'])}")
    return {
        name: (median(values) - base) / jpeg
        for name, values in seconds.items()
        if name not in ("nothing", "jpeg")
    }


# --- Whole streams.


def make_streams(folder: Path) -> dict[str, Callable[[], tf.data.Dataset]]:
    """Name -> a function that makes the stream."""
    files = {
        name: sorted((folder / name).glob("*-train.tfrecord-*")) * PASSES
        for name in ("coco", "camvid")
    }
    num_batches = {
        name: PASSES * len(RecordSource(folder / name, "train")) // BATCH
        for name in files
    }

    def read_instances(**options) -> tf.data.Dataset:
        return segdata.read_instances(
            folder / "coco",
            "train",
            batch_size=BATCH,
            image_size=CANVAS,
            repeat=True,
            **options,
        ).take(num_batches["coco"])

    crops = segdata.InstanceOptions(max_objects=garden.MAX_OBJECTS)
    dense = segdata.InstanceOptions(max_objects=20, masks="dense")
    return {
        "coco: images only": lambda: garden.images_only(
            files["coco"], CANVAS, BATCH, "pad"
        ),
        "coco: read_instances": lambda: read_instances(instances=crops),
        "coco: read_instances, shuffled": lambda: read_instances(
            instances=crops, shuffle=True
        ),
        "coco: read_instances, dense": lambda: read_instances(instances=dense),
        "coco: Model Garden": lambda: garden.instances(
            [folder / "coco.rec"] * PASSES, CANVAS, BATCH
        ),
        "camvid: images only": lambda: garden.images_only(
            files["camvid"], SEMANTIC_SIZE, BATCH, "stretch"
        ),
        "camvid: read_semantic": lambda: segdata.read_semantic(
            folder / "camvid",
            "train",
            batch_size=BATCH,
            image_size=SEMANTIC_SIZE,
            repeat=True,
        ).take(num_batches["camvid"]),
        "camvid: Model Garden": lambda: garden.semantic(
            [folder / "camvid.rec"] * PASSES, SEMANTIC_SIZE, BATCH
        ),
    }


def check_streams(folder: Path) -> None:
    """Ours and the Model Garden's agree on images, boxes and label maps."""
    streams = make_streams(folder)
    for ours, peer in (
        ("coco: read_instances", "coco: images only"),
        ("camvid: read_semantic", "camvid: Model Garden"),
    ):
        one, other = (next(iter(streams[name]())) for name in (ours, peer))
        for key in {"image", "label_map"} & one.keys() & other.keys():
            np.testing.assert_array_equal(one[key], other[key])
    ours, peer = (
        next(iter(streams[name]()))
        for name in ("coco: read_instances", "coco: Model Garden")
    )
    for row in range(BATCH):
        boxes = ours["boxes"][row].numpy()[ours["classes"][row].numpy() > 0]
        theirs = peer["boxes"][row].numpy()[peer["classes"][row].numpy() > 0]
        np.testing.assert_allclose(np.sort(boxes, 0), np.sort(theirs, 0), atol=1e-3)


def stream_rates(
    folder: Path, repeats: int, threads: int
) -> dict[str, list[tuple[float, float]]]:
    """Images per second, of time and of CPU time, of each stream, round by round."""
    streams = {name: make() for name, make in make_streams(folder).items()}
    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    options.threading.max_intra_op_parallelism = 1
    options.autotune.cpu_budget = threads
    streams = {name: s.with_options(options) for name, s in streams.items()}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in streams}
    for round_index in range(repeats + 1):
        for name, stream in streams.items():
            batches = iter(stream)
            next(batches)  # what it takes to start is told apart
            wall, cpu = time.perf_counter(), time.process_time()
            num_images = sum(1 for _ in batches) * BATCH
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if round_index:
                rates[name].append((num_images / wall, num_images / cpu))
    return rates


def peak_mib() -> float:
    """Peak resident memory; `ru_maxrss` would be that of the process we came from."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def one_stream(folder: Path, name: str) -> dict[str, float]:
    """Memory above the start and time to the first batch of this process's stream."""
    tf.constant(0.0) + 1.0  # TensorFlow's own start
    before = peak_mib()
    start = time.perf_counter()
    iterator = iter(make_streams(folder)[name]())
    next(iterator)
    first = time.perf_counter() - start
    for _ in iterator:
        pass
    return {"memory_mib": peak_mib() - before, "first_batch_s": first}


def in_process(folder: Path, *arguments: str) -> object:
    """Runs a part of this script in a process of its own."""
    command = [sys.executable, __file__, "--folder", str(folder), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def set_threads(threads: int) -> None:
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.threading.set_intra_op_parallelism_threads(threads)


def compare_streams(rates: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    """Ratios of each stream to its peers, by time and by CPU time; prints them."""
    for name, values in rates.items():
        wall, cpu = zip(*values, strict=True)
        print(
            f"  {name:32} {median(wall):6.1f} images/s, {median(cpu):6.1f} a CPU second"
            f"   spread {spread(cpu)}"
        )
    ratios = {}
    for name in rates:
        data, _, kind = name.partition(": ")
        if not kind.startswith("read_"):
            continue
        for peer, aim in (("images only", IMAGE_AIM), ("Model Garden", GARDEN_AIM)):
            pairs = list(zip(rates[name], rates[f"{data}: {peer}"], strict=True))
            wall, cpu = (median([a[i] / b[i] for a, b in pairs]) for i in (0, 1))
            ratios[f"{name} / {peer}"] = {"time": wall, "cpu": cpu}
            print(
                f"  {name} / {peer}: {wall:.2f}, by CPU time {cpu:.2f}"
                f"   aim: at least {aim}"
            )
    return ratios


def parse_arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--images", type=int, default=165)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--stream", help=argparse.SUPPRESS)
    return arguments.parse_args()


def main() -> None:
    options = parse_arguments()
    set_threads(options.threads or 1)
    if options.stream:
        set_threads(2)
        print(json.dumps(one_stream(options.folder, options.stream)))
        return
    if options.threads:
        rates = stream_rates(options.folder, options.repeats, options.threads)
        print(json.dumps(rates))
        return
    with tempfile.TemporaryDirectory() as name:
        run_all(Path(name), options)


def run_all(folder: Path, options: argparse.Namespace) -> None:
    title = prepare(folder)
    check_streams(folder)
    print(f"{title}; cost of masks / decode_jpeg, CPU time, one thread")
    costs = instance_costs(folder, options.repeats, options.images)
    costs |= label_map_costs(folder, options.repeats, options.images)
    for name, share in costs.items():
        aim = f"   aim: at most {MASKS_AIMS[name]}" if name in MASKS_AIMS else ""
        print(f"  {name:20} {share:.3f}{aim}")
    ratios = {}
    for threads in (1, 2):
        print(f"streams, {threads} thread(s), canvas {CANVAS} and {SEMANTIC_SIZE}")
        arguments = ("--threads", str(threads), "--repeats", str(options.repeats))
        ratios[threads] = compare_streams(in_process(folder, *arguments))
    print("each stream alone, two threads: peak memory above start, first batch")
    alone = {}
    for name in make_streams(folder):
        alone[name] = in_process(folder, "--stream", name)
        print(
            f"  {name:32} {alone[name]['memory_mib']:6.0f} MiB "
            f"{alone[name]['first_batch_s']:6.2f} s"
        )
    numbers = {"data": title, "costs": costs, "ratios": ratios, "alone": alone}
    write_result("read", numbers)


if __name__ == "__main__":
    main()
