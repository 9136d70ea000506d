"""A user's script, which `make types` checks: an error that mypy no longer sees fails.

Unused `type: ignore` comments are errors in strict mode, so each line with one proves
that mypy catches the slip.
"""

from __future__ import annotations

import segdata
from segdata.reading.hosts import from_jax

dataset = segdata.open("demo/records")
good = dataset.read_semantic("train", batch_size=2, image_size=64, **from_jax())
pairs = segdata.read_semantic("demo/records", "train", batch_size=2, sample_weight=True)
objects = dataset.read_instances("train", batch_size=2, image_size=(64, 64))

dataset.read_semantic("train", batchsize=2)  # type: ignore[call-arg]
dataset.read_semantic("train", batch_size="2")  # type: ignore[arg-type]
dataset.read_semantic("train", batch_size=2, remainder="x")  # type: ignore[arg-type]
dataset.read_instances("train", batch_size=2)  # type: ignore[call-arg]
segdata.read_semantic("demo/records", "train", batchsize=2)  # type: ignore[call-arg]
segdata.Resize(mode="fit")  # type: ignore[arg-type]

name: str = dataset["train"][0].objects[0].name
key: str = dataset["train"]["street/0001"].key
