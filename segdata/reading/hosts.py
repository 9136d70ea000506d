"""Which part of a split a host reads: `**from_jax()` in the call of a reader."""

from __future__ import annotations

from typing import Any, TypedDict

from segdata.errors import MissingDependencyError


class Host(TypedDict):
    """What `read_semantic` and `read_instances` take to tell hosts apart."""

    num_shards: int
    """Number of hosts."""
    shard_index: int
    """This host's place among them, from 0."""


def from_input_context(context: Any) -> Host:
    """The host of a `tf.distribute.InputContext`.

    `batch_size` is then `context.get_per_replica_batch_size(global_batch_size)`, or
    with `strategy.distribute_datasets_from_function` whatever one input pipeline gives.
    """
    return Host(
        num_shards=int(context.num_input_pipelines),
        shard_index=int(context.input_pipeline_id),
    )


def from_jax() -> Host:
    """The host that this JAX process is; imports JAX.

    Raises:
      MissingDependencyError: If JAX is not installed.
    """
    try:
        import jax
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "JAX is not installed: pip install jax, or pass num_shards and shard_index."
        ) from error
    return Host(num_shards=jax.process_count(), shard_index=jax.process_index())
