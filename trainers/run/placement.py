"""Where a run computes: which devices, which hosts, and what Keras cannot do there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

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
    strategy: Any = None
    """A `tf.distribute` strategy, on the TensorFlow backend."""

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
            return self.strategy is None and bool(_logical_devices("GPU"))
        return options.jit_compile == "on"


@contextlib.contextmanager
def place(options: TrainOptions) -> Iterator[Placement]:
    """Takes the devices that the options ask for, for as long as the context lasts.

    Raises:
      OptionError: If the backend cannot do it, or the batch cannot be shared evenly.
    """
    backend = keras.backend.backend()
    if backend == "jax":
        with _place_jax(options) as placement:
            _check_batch(options, placement)
            yield placement
        return
    if options.coordinator:
        raise OptionError(
            f"coordinator is {options.coordinator!r}: several hosts train on the JAX "
            f"backend only, and this is {backend}. Pass --backend jax."
        )
    if backend != "tensorflow" and options.distribute not in ("auto", "none"):
        raise OptionError(
            f"distribute is {options.distribute!r}: expected the tensorflow backend, "
            f"got {backend}."
        )
    if options.distribute in ("auto", "none"):
        yield Placement(backend=backend)
        return
    _check_strategy(options)
    strategy = _strategy(options)
    placement = Placement(
        backend=backend, num_devices=strategy.num_replicas_in_sync, strategy=strategy
    )
    _check_batch(options, placement)
    with strategy.scope():
        yield placement


@contextlib.contextmanager
def _place_jax(options: TrainOptions) -> Iterator[Placement]:
    import jax

    if options.distribute in ("mirrored", "tpu"):
        raise OptionError(
            f"distribute is {options.distribute!r}: that is a strategy of TensorFlow. "
            "On JAX all devices are taken by themselves, TPUs too: expected 'auto'."
        )
    if options.coordinator == "auto":
        jax.distributed.initialize()
    elif options.coordinator:
        jax.distributed.initialize(
            options.coordinator, options.num_hosts, options.host_index
        )
    devices = keras.distribution.list_devices()
    hosts = {"num_hosts": jax.process_count(), "host_index": jax.process_index()}
    if len(devices) == 1 or (options.distribute == "none" and hosts["num_hosts"] == 1):
        yield Placement(backend="jax", **hosts)
        return
    before = keras.distribution.distribution()
    # Sharding by Keras would have every host read everybody's records.
    data_parallel = keras.distribution.DataParallel(
        devices=devices, auto_shard_dataset=False
    )
    keras.distribution.set_distribution(data_parallel)
    try:
        yield Placement(backend="jax", num_devices=len(devices), **hosts)
    finally:
        keras.distribution.set_distribution(before)


def _strategy(options: TrainOptions) -> Any:
    """The strategy of TensorFlow that is asked for."""
    from segdata.streams.tensorflow import tf

    if options.distribute == "mirrored":
        devices = _logical_devices("GPU") or _logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=options.tpu)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except Exception as error:  # gRPC, sockets, missing kernels: many kinds
        raise OptionError(
            f"TPU {options.tpu!r} cannot be used: {_first_line(error)}. TensorFlow "
            "needs the distribution tensorflow-tpu there, and a TPU VM the name "
            "'local'; or train on JAX with --backend jax."
        ) from error


def _logical_devices(kind: str) -> list[Any]:
    from segdata.streams.tensorflow import tf

    return list(tf.config.list_logical_devices(kind))


def _check_strategy(options: TrainOptions) -> None:
    """Refuses what Keras 3 cannot do under a strategy of TensorFlow."""
    if options.task == "instances":
        raise OptionError(
            f"distribute is {options.distribute!r} with {options.model}: its step "
            "fails under TensorFlow's strategies. Expected 'auto' or 'none', one "
            "device; on several, and on TPUs, pass --backend jax."
        )
    if options.jit_compile == "on":
        raise OptionError(
            f"jit_compile is 'on' with distribute {options.distribute!r}: Keras fails "
            "there, as variables lie on another device than the compiled step expects. "
            "Expected 'auto' or 'off'; on a TPU XLA compiles all the same."
        )
    if options.steps_per_execution > 1:
        raise OptionError(
            f"steps_per_execution is {options.steps_per_execution} with distribute "
            f"{options.distribute!r}: Keras fails there (keras issue 19246). Expected "
            "1; on JAX it works."
        )


def _check_batch(options: TrainOptions, placement: Placement) -> None:
    if options.batch_size % placement.num_devices:
        raise OptionError(
            f"batch_size is {options.batch_size}: expected a multiple of the "
            f"{placement.num_devices} devices that share it."
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
