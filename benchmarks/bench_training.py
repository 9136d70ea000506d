"""Seconds per train step with the real stream, against one cached batch.

A stream that keeps up gives a ratio of 1: the device never waits. CamVid at 192x256,
augmented, for models of pixels; drawn scenes at 128x128 for Mask R-CNN. On the
TensorFlow backend.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
from camvid_frames import camvid_folder
from measure import median, spread, write_result

from segdata.building.build import build
from segdata.formats.camvid.format import CamVid
from segdata.formats.coco.format import Coco
from segdata.samples.coco import write_coco_sample
from segdata.trainers.instances import training as instances
from segdata.trainers.models import ModelOptions, build_model
from segdata.trainers.run.data import open_data
from segdata.trainers.run.options import TrainOptions
from segdata.trainers.run.placement import Placement
from segdata.trainers.run.presets import preset
from segdata.trainers.run.train import compile_model
from segdata.trainers.semantic.losses import SegmentationLoss
from segdata.trainers.semantic.stream import training_stream

MODELS = (("fcn-8", "mobilenet-v2"), ("unet-small", None))


def seconds_per_step(
    model: Any, streams: dict[str, Any], steps: int, repeats: int
) -> dict[str, list[float]]:
    """Each stream in turn, so that drift hits all alike; a round before warms up."""
    found: dict[str, list[float]] = {name: [] for name in streams}
    for round_index in range(repeats + 1):
        for name, stream in streams.items():
            iterator = iter(stream)
            model.train_on_batch(*next(iterator))  # fills the stream's buffers
            start = time.perf_counter()
            for _ in range(steps):
                model.train_on_batch(*next(iterator))
            if round_index:
                found[name].append((time.perf_counter() - start) / steps)
    return found


def measured(
    name: str, model: Any, stream: Any, batch_size: int, steps: int, repeats: int
) -> dict[str, float]:
    """Prints and returns seconds per step and their ratio."""
    streams = {"cached": stream.take(1).cache().repeat(), "real": stream}
    found = seconds_per_step(model, streams, steps, repeats)
    ratio = median(found["real"]) / median(found["cached"])
    print(
        f"{name}: {median(found['real']):.3f} s a step of {batch_size} "
        f"({spread(found['real'])}), cached {median(found['cached']):.3f} s "
        f"({spread(found['cached'])}): ratio {ratio:.2f}"
    )
    return {"ratio": ratio, **{k: median(v) for k, v in found.items()}}


def mask_rcnn(folder: Path, steps: int, repeats: int, *, quick: bool) -> dict[str, Any]:
    """Mask R-CNN of the small preset on drawn scenes."""
    write_coco_sample(
        folder / "shapes", seed=0, num_train=24 if quick else 200, num_val=0
    )
    out = folder / "shape-records"
    build(Coco(), folder / "shapes", out)
    options = TrainOptions(data=str(out), **preset("mask-rcnn-small"))
    data, placement = open_data(options), Placement(backend="tensorflow")
    model = build_model("mask-rcnn", instances.model_options(data))
    compile_model(model, data, placement)
    # One argument, as of the others: the dict is all that goes in.
    stream = instances.training_stream(data, placement).map(lambda x: (x,))
    return measured("mask-rcnn", model, stream, options.batch_size, steps, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few steps, small images")
    quick = parser.parse_args().quick
    size, batch_size = ((48, 64), 4) if quick else ((192, 256), 4)
    steps, repeats = (3, 1) if quick else (20, 5)
    numbers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "records"
        source, what = camvid_folder()
        print(f"{what}, {size[0]}x{size[1]}")
        build(CamVid(), source, out)
        for name, encoder in MODELS:
            options = TrainOptions(
                model=name,
                encoder=encoder,  # type: ignore[arg-type]
                data=str(out),
                image_size=size,
                batch_size=batch_size,
                scale=(1.0, 2.0),
                brightness=0.15,
                contrast=0.3,
                saturation=0.3,
            )
            stream = training_stream(
                open_data(options), Placement(backend="tensorflow"), []
            )
            model = build_model(
                name,
                ModelOptions(num_classes=12, image_size=size, encoder=encoder),
            )
            model.compile(
                keras.optimizers.Adam(1e-4), SegmentationLoss(12), jit_compile=False
            )
            numbers[name] = measured(name, model, stream, batch_size, steps, repeats)
        numbers["mask-rcnn"] = mask_rcnn(Path(folder), steps, repeats, quick=quick)
    if not quick:
        write_result("training", numbers)


if __name__ == "__main__":
    main()
