import sys
import types

import pytest

from segdata.errors import MissingDependencyError
from segdata.reading.hosts import from_input_context, from_jax
from segdata.streams.tensorflow import tf


def test_hosts_come_from_tensorflow() -> None:
    context = tf.distribute.InputContext(num_input_pipelines=4, input_pipeline_id=2)
    assert from_input_context(context) == {"num_shards": 4, "shard_index": 2}


def test_hosts_come_from_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    jax = types.SimpleNamespace(process_count=lambda: 7, process_index=lambda: 6)
    monkeypatch.setitem(sys.modules, "jax", jax)
    assert from_jax() == {"num_shards": 7, "shard_index": 6}


def test_missing_jax_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(MissingDependencyError, match="JAX is not installed"):
        from_jax()


def test_asking_for_hosts_imports_no_jax() -> None:
    assert "jax" not in vars(sys.modules["segdata.reading.hosts"])
