"""Where a run computes: on one device, or on all of JAX, of one host or several."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from segdata.errors import OptionError
from segdata.trainers.run.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The devices of a run."""

    backend: str
    """Backend of Keras."""
    num_devices: int = 1
    """Devices that share each batch, over all hosts."""
    num_hosts: int = 1
    """Processes that train together."""
    host_index: int = 0
    """This process's place among them."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.host_index == 0

    def jit_compile(self, options: TrainOptions) -> bool:
        """Whether Keras shall compile steps by XLA."""
        if self.backend != "tensorflow":
            return True  # JAX knows nothing else
        if options.jit_compile == "auto":
            # On a CPU, XLA compiles for minutes what runs no faster then.
            return bool(_logical_devices("GPU"))
        return options.jit_compile == "on"

    def check_hosts(self, identity: int, epochs_done: int) -> None:
        """Makes sure that all hosts go on from the same place: else they would hang.

        Args:
          identity: What the result of the run depends on, as 32 bits.
          epochs_done: Epochs in the checkpoint that this host sees.

        Raises:
          OptionError: If they differ.
        """
        if self.num_hosts == 1:
            return
        from jax.experimental import multihost_utils

        mine = np.asarray([identity, epochs_done], np.uint32)
        found = np.asarray(multihost_utils.process_allgather(mine))
        for host, (other, done) in enumerate(found.tolist()):
            if [other, done] != found[0].tolist():
                what = (
                    f"has {done} epochs done, host 0 {found[0, 1]}"
                    if other == found[0, 0]
                    else "has other options, data or model than host 0"
                )
                raise OptionError(
                    f"host {host} {what}: expected the same command and one --run-dir "
                    "that all hosts see."
                )


@contextlib.contextmanager
def place(options: TrainOptions) -> Iterator[Placement]:
    """Takes the devices, for as long as the context lasts: on JAX all there are.

    Raises:
      OptionError: If the backend cannot do it, or the batch cannot be shared evenly.
    """
    backend = keras.backend.backend()
    if backend != "jax":
        if options.coordinator:
            raise OptionError(
                f"coordinator is {options.coordinator!r}: several hosts train on the "
                f"JAX backend only, and this is {backend}. Pass --backend jax."
            )
        yield Placement(backend=backend)
        return
    import jax

    if options.jit_compile == "off":
        raise OptionError(
            "jit_compile is 'off', and JAX compiles always. Leave it out."
        )
    if options.coordinator == "auto":
        jax.distributed.initialize()
    elif options.coordinator:
        jax.distributed.initialize(
            options.coordinator, options.num_hosts, options.host_index
        )
    devices = keras.distribution.list_devices()
    if options.batch_size % len(devices):
        raise OptionError(
            f"batch_size is {options.batch_size}: expected a multiple of the "
            f"{len(devices)} devices that share it."
        )
    hosts: dict[str, Any] = {
        "num_hosts": jax.process_count(),
        "host_index": jax.process_index(),
    }
    placement = Placement(backend="jax", num_devices=len(devices), **hosts)
    if len(devices) == 1:
        yield placement
        return
    before = keras.distribution.distribution()
    # Sharding by Keras would have every host read everybody's records.
    data_parallel = keras.distribution.DataParallel(
        devices=devices, auto_shard_dataset=False
    )
    keras.distribution.set_distribution(data_parallel)
    try:
        yield placement
    finally:
        keras.distribution.set_distribution(before)


def _logical_devices(kind: str) -> list[Any]:
    from segdata.streams.tensorflow import tf

    return list(tf.config.list_logical_devices(kind))
