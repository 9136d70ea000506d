"""segdata: segmentation datasets as verified, byte-reproducible TFRecord shards.

The public names are loaded when first used, so that `import segdata` costs nothing and
building never imports TensorFlow.
"""

# No `from __future__ import annotations` here: it would put an attribute of that name
# on the package, instead of the submodule `segdata.annotations`.

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segdata.version import __version__

if TYPE_CHECKING:
    from segdata.building.build import build
    from segdata.building.example import dict_to_tf_example
    from segdata.checking.verify import verify
    from segdata.dataset import Dataset, open
    from segdata.label_map import LabelMap
    from segdata.masks.rle import rle
    from segdata.reading import hosts
    from segdata.reading.mixture import mix
    from segdata.reading.options import (
        Augmentation,
        ImageOptions,
        InstanceOptions,
        Resize,
    )
    from segdata.reading.record_source import RecordSource
    from segdata.reading.sampler import Sampler
    from segdata.reading.samples import (
        SampleSource,
        instances_source,
        semantic_source,
    )
    from segdata.records.proto import serialize
    from segdata.shards.manifest import About
    from segdata.statistics.counting import stats
    from segdata.streams.reader import read_instances, read_semantic

__all__ = [
    "About",
    "Augmentation",
    "Dataset",
    "ImageOptions",
    "InstanceOptions",
    "LabelMap",
    "RecordSource",
    "Resize",
    "SampleSource",
    "Sampler",
    "__version__",
    "build",
    "dict_to_tf_example",
    "hosts",
    "instances_source",
    "mix",
    "open",
    "read_instances",
    "read_semantic",
    "rle",
    "semantic_source",
    "serialize",
    "stats",
    "verify",
]

_LAZY = {
    "About": "segdata.shards.manifest",
    "Augmentation": "segdata.reading.options",
    "Dataset": "segdata.dataset",
    "ImageOptions": "segdata.reading.options",
    "InstanceOptions": "segdata.reading.options",
    "LabelMap": "segdata.label_map",
    "RecordSource": "segdata.reading.record_source",
    "Resize": "segdata.reading.options",
    "SampleSource": "segdata.reading.samples",
    "Sampler": "segdata.reading.sampler",
    "build": "segdata.building.build",
    "dict_to_tf_example": "segdata.building.example",
    "hosts": "segdata.reading.hosts",
    "instances_source": "segdata.reading.samples",
    "mix": "segdata.reading.mixture",
    "open": "segdata.dataset",
    "read_instances": "segdata.streams.reader",
    "read_semantic": "segdata.streams.reader",
    "rle": "segdata.masks.rle",
    "semantic_source": "segdata.reading.samples",
    "serialize": "segdata.records.proto",
    "stats": "segdata.statistics.counting",
    "verify": "segdata.checking.verify",
}
"""Public name -> the module that has it, or is it."""

# `pipelines/` and `trainers/` lie beside this folder in a source checkout and are
# installed as `segdata.pipelines` and `segdata.trainers`. These lines let a checkout
# that is not installed run all the same.
_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "setup.py").is_file() and (_CHECKOUT / "pipelines").is_dir():
    __path__.append(str(_CHECKOUT))


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'segdata' has no attribute {name!r}")
    module = importlib.import_module(_LAZY[name])
    return getattr(module, name, module)


def __dir__() -> list[str]:
    return sorted(__all__)
