"""Compiles train steps for TPU v5e on a machine without one, and prints what they need.

The wheel `libtpu` holds the real compiler: it takes a description of four chips (2x2),
and gives FLOPs, memory and collectives of each. Minutes per model; one at a time, for
libtpu holds a lock. Run with the extra `tpu-compile`:

    python benchmarks/tpu_step.py unet-small fcn-8:mobilenet-v2
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


def compile_step(name: str, size: int, batch_size: int) -> dict[str, Any]:
    """Compiles the bfloat16 train step of a model; in a process with `ENVIRONMENT`."""
    import jax
    import keras
    import numpy as np
    from jax.experimental import topologies

    from segdata.trainers.losses import SegmentationLoss
    from segdata.trainers.metrics import segmentation_metrics
    from segdata.trainers.models import ModelOptions, build_model

    model_name, _, encoder = name.partition(":")
    keras.config.set_dtype_policy("mixed_bfloat16")
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
    image = np.zeros((batch_size, size, size, 3), np.uint8)
    labels: Any = np.zeros((batch_size, size, size), np.uint8)
    labels = dict.fromkeys(outputs, labels) if outputs else labels
    model._symbolic_build(data_batch=(image, labels))
    model.optimizer.build(model.trainable_variables)
    # Private, as `fit` calls it: Keras has no public way to the step.
    state = model._get_jax_state(
        trainable_variables=True,
        non_trainable_variables=True,
        optimizer_variables=True,
        metrics_variables=True,
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
    step = jax.jit(model.train_step, donate_argnums=0)
    data = shapes((image, labels, None), by_batch)
    compiled = step.lower(shapes(state, everywhere), data).compile()
    seconds = time.monotonic() - start
    memory = compiled.memory_analysis()
    cost = compiled.cost_analysis()
    cost = cost[0] if isinstance(cost, list) else cost
    text = compiled.as_text()
    return {
        "model": name,
        "size": size,
        "batch_size": batch_size,
        "gflop": cost["flops"] / 1e9,
        "hbm_bytes": memory.argument_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes,
        "collectives": {
            kind: len(re.findall(rf"= [^=]*\b{kind}(?:-start)?\(", text))
            for kind in COLLECTIVES
        },
        "compile_seconds": seconds,
    }


def compile_in_process(name: str, size: int, batch_size: int) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, name, "--size", str(size)]
    command += ["--batch-size", str(batch_size), "--child"]
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
        f"| {counts['all-reduce']} | {others} | {found['compile_seconds']:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL[:ENCODER]")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        [name] = options.models
        print(json.dumps(compile_step(name, options.size, options.batch_size)))
        return
    print(
        "| model | size | batch | GFLOP/chip | HBM GB/chip | all-reduce | other | s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    results = []
    for name in options.models:
        found = compile_in_process(name, options.size, options.batch_size)
        results.append(found)
        print(line(found), flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
