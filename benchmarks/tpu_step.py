"""Compiles train steps for TPU v5e on a machine without one, and prints what they need.

The wheel `libtpu` holds the real compiler: it takes a description of four chips (2x2),
and gives FLOPs, memory and collectives of each. Minutes per model; one at a time, for
libtpu holds a lock. Run with the extra `tpu-compile`:

    python benchmarks/tpu_step.py unet-small fcn-8:mobilenet-v2
    python benchmarks/tpu_step.py mask-rcnn:resnet-50 --size 640 --batch-size 8

Steps per second are estimates: FLOPs of a chip over a share of its peak.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results" / "tpu_step.json"
CHIPS, CHIP_BYTES = 4, 16 << 30  # v5e has 16 GB of HBM a chip
V5E_FLOPS, H100_FLOPS = 197e12, 989e12  # dense bfloat16, of the makers' data sheets
UTILISATION = 0.25  # an assumption, not a measurement
COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute")
ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
}
MODELS = (
    *(f"{m}:vgg-16" for m in ("fcn-32", "fcn-16", "fcn-8", "segnet")),
    "fcn-8:mobilenet-v2",
    "unet",
    "unet-small",
    "pspnet:resnet-50",
)
"""Those that are compiled at the default size; `mask-rcnn:resnet-50` wants its own."""


def segmentation(model_name: str, encoder: str, size: int) -> tuple[Any, list[str]]:
    """A compiled model and the names of its outputs, if they have names."""
    import keras

    from segdata.trainers.models import ModelOptions, build_model
    from segdata.trainers.semantic.losses import SegmentationLoss
    from segdata.trainers.semantic.metrics import segmentation_metrics

    model = build_model(
        model_name,
        ModelOptions(num_classes=12, image_size=(size, size), encoder=encoder or None),
    )
    outputs = list(model.output) if isinstance(model.output, dict) else []
    metrics = segmentation_metrics(12)
    model.compile(
        keras.optimizers.Adam(1e-3),
        {o: SegmentationLoss(12) for o in outputs} or SegmentationLoss(12),
        metrics={"logits": metrics} if outputs else metrics,
    )
    return model, outputs


def build(name: str, size: int, batch_size: int) -> tuple[Any, Any]:
    """A compiled model, and a batch as its train step takes it."""
    import numpy as np

    model_name, _, encoder = name.partition(":")
    image = np.zeros((batch_size, size, size, 3), np.uint8)
    if model_name == "mask-rcnn":
        return detection(encoder, image)
    model, outputs = segmentation(model_name, encoder, size)
    labels: Any = np.zeros((batch_size, size, size), np.uint8)
    labels = dict.fromkeys(outputs, labels) if outputs else labels
    model._symbolic_build(data_batch=(image, labels))
    return model, (image, labels, None)


def detection(encoder: str, image: Any) -> tuple[Any, Any]:
    """Mask R-CNN of the paper for COCO, and a batch of its stream."""
    import keras
    import numpy as np

    from segdata.trainers.models.mask_rcnn.model import build_mask_rcnn
    from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions

    count, height, width, _ = image.shape
    options = MaskRCNNOptions(
        image_size=(height, width), classes=80, encoder=encoder or "resnet-50"
    )
    model = build_mask_rcnn(options)
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9))
    slots = count, options.max_objects
    return model, {
        "image": image,
        "image_size": np.zeros((count, 2), np.int32),
        "scale": np.zeros((count, 2), np.float32),
        "offset": np.zeros((count, 2), np.float32),
        "boxes": np.zeros((*slots, 4), np.float32),
        "classes": np.zeros(slots, np.int32),
        "valid": np.zeros(slots, np.bool_),
        "crowd": np.zeros(slots, np.bool_),
        "has_mask": np.zeros(slots, np.bool_),
        "masks": np.zeros((*slots, 112, 112), np.uint8),
    }


def compile_step(
    name: str, size: int, batch_size: int, *, predict: bool
) -> dict[str, Any]:
    """Compiles the bfloat16 step of a model; in a process with `ENVIRONMENT`."""
    import jax
    import keras
    import numpy as np
    from jax.experimental import topologies

    keras.config.set_dtype_policy("mixed_bfloat16")
    model, batch = build(name, size, batch_size)
    model.optimizer.build(model.trainable_variables)
    # Private, as `fit` calls it: Keras has no public way to the step.
    state = model._get_jax_state(
        trainable_variables=True,
        non_trainable_variables=True,
        optimizer_variables=not predict,
        metrics_variables=not predict,
    )
    topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    mesh = jax.sharding.Mesh(np.array(topology.devices), ("batch",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    by_batch = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))

    def shapes(tree: Any, sharding: Any) -> Any:
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
        )

    start = time.monotonic()
    if predict:
        step = jax.jit(model.predict_step)
    else:
        step = jax.jit(model.train_step, donate_argnums=0)
    data = shapes(batch, by_batch)
    compiled = step.lower(shapes(state, everywhere), data).compile()
    return {
        "model": f"{name}, prediction" if predict else name,
        "size": size,
        "batch_size": batch_size,
        **needs(compiled),
        "compile_seconds": time.monotonic() - start,
    }


def needs(compiled: Any) -> dict[str, Any]:
    """FLOPs, memory and collectives of a chip."""
    memory = compiled.memory_analysis()
    cost = compiled.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    text = compiled.as_text()
    return {
        "gflop": cost["flops"] / 1e9,
        "hbm_bytes": memory.argument_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes,
        "collectives": {
            kind: len(re.findall(rf"= [^=]*\b{kind}(?:-start)?\(", text))
            for kind in COLLECTIVES
        },
    }


def compile_in_process(
    name: str, size: int, batch_size: int, *, predict: bool
) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, name, "--size", str(size)]
    command += ["--batch-size", str(batch_size), "--child"]
    command += ["--predict"] if predict else []
    done = subprocess.run(
        command,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(found: dict[str, Any]) -> str:
    """A row of the docs' table."""
    counts = found["collectives"]
    others = sum(counts.values()) - counts["all-reduce"]
    return (
        f"| {found['model']} | {found['size']} | {found['batch_size']} "
        f"| {found['gflop']:,.0f} | {found['hbm_bytes'] / 1e9:.1f} "
        f"| {counts['all-reduce']} | {others} | {found['compile_seconds']:.0f} "
        f"| {estimate(found, V5E_FLOPS):.1f} | {estimate(found, H100_FLOPS):.1f} |"
    )


def estimate(found: dict[str, Any], flops: float) -> float:
    """Steps per second of chips that reach `UTILISATION` of so many FLOP/s."""
    return flops * UTILISATION / (found["gflop"] * 1e9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL[:ENCODER]")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--predict", action="store_true", help="not the train step")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        [name] = options.models
        found = compile_step(
            name, options.size, options.batch_size, predict=options.predict
        )
        print(json.dumps(found))
        return
    print(
        "| model | size | batch | GFLOP/chip | HBM GB/chip | all-reduce | other | s "
        f"| steps/s, estimated: 4 v5e at {UTILISATION:.0%} | 4 H100 |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    results = []
    for name in options.models:
        found = compile_in_process(
            name, options.size, options.batch_size, predict=options.predict
        )
        results.append(found)
        print(line(found), flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
