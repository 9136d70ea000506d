"""Trains a small net with JAX on all devices of all hosts.

python examples/train_jax.py RECORDS [tf.data | grain] [START_STEP]
"""

import itertools
import sys

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import segdata

BATCH, STEPS, SIZE = 16, 6, (48, 64)


def read(records, reader, start_step):
    """Batches of this host, as dicts of NumPy arrays."""
    options = {
        "batch_size": BATCH // jax.process_count(),
        "image_size": SIZE,
        "shuffle": True,
        "repeat": True,
        "seed": 1,
        "start_step": start_step,
        **segdata.hosts.from_jax(),
    }
    if reader == "tf.data":
        return segdata.read_semantic(records, "train", **options).as_numpy_iterator()
    import grain

    source = segdata.semantic_source(records, "train", **options)
    batches = grain.MapDataset.source(source).batch(options["batch_size"])
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=4)))


def on_devices(batches, sharding):
    """Batches of the whole job, the next one on its way while this one is used."""
    ahead = []
    for batch in batches:
        arrays = {name: batch[name] for name in ("image", "label_map")}
        ahead.append(
            {
                name: jax.make_array_from_process_local_data(sharding, array)
                for name, array in arrays.items()
            }
        )
        if len(ahead) > 1:
            yield ahead.pop(0)


def loss_of(weights, batch, ignored):
    """Mean cross-entropy of a net of two convolutions."""
    net = batch["image"] / 127.5 - 1
    for kernel in weights:
        net = jax.lax.conv_general_dilated(
            jax.nn.relu(net), kernel, (1, 1), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
    counts = batch["label_map"] != ignored
    labels = jnp.where(counts, batch["label_map"], 0)[..., None]
    chosen = jnp.take_along_axis(jax.nn.log_softmax(net), labels, -1)[..., 0]
    return -(chosen * counts).sum() / counts.sum()


@jax.jit
def train(weights, batch, ignored):
    """One step of gradient descent."""
    loss, gradients = jax.value_and_grad(loss_of)(weights, batch, ignored)
    return [w - 0.1 * g for w, g in zip(weights, gradients, strict=True)], loss


def main(records, reader="tf.data", start_step="0"):
    """Trains for a few steps and prints the loss of each."""
    classes = segdata.open(records).classes
    channels = (3, 8, 1 + max(item.id for item in classes.semantic_classes))
    keys = jax.random.split(jax.random.key(0))
    weights = [
        0.2 * jax.random.normal(key, (3, 3, *pair))
        for key, pair in zip(keys, itertools.pairwise(channels), strict=True)
    ]
    devices = Mesh(jax.devices(), ("data",))
    sharding = NamedSharding(devices, PartitionSpec("data"))
    batches = on_devices(read(records, reader, int(start_step)), sharding)
    for batch in itertools.islice(batches, STEPS):
        weights, loss = train(weights, batch, classes.padding_id)
        print(f"{len(jax.devices())} devices, loss {loss:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
