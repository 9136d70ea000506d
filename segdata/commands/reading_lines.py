"""Lines to paste for every reader of a finished build."""

from __future__ import annotations

import glob
import shlex
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from segdata.label_map import LabelMap
from segdata.records import schema
from segdata.records.schema import Feature
from segdata.shards.manifest import Manifest, SplitSummary
from segdata.shards.receipt import INDEX_DIR
from segdata.shards.sidecars import PBTXT_NAME
from segdata.storage.paths import Location

# What segdata reads itself, and what TensorFlow does: it has only this one.
_OURS, _TENSORFLOWS = ("s3", "gs", "hdfs"), ("gs",)
_COPIERS = {
    "s3": "aws s3 sync",
    "gs": "gcloud storage rsync -r",
    "hdfs": "hdfs dfs -get",
}
_TYPES = {"bytes": "string", "int64": "int64", "float": "float32"}


CODES = (
    *("tf", "keras", "jax", "torch", "grain", "numpy", "tfds", "dali", "tensorflow"),
    "models",
)
"""What lines there are: our streams, for Keras, for JAX, PyTorch, Grain, NumPy,
TensorFlow Datasets, DALI, TensorFlow alone, Model Garden and Object Detection API."""


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """What to paste for one reader."""

    code: str
    """Name of the reader for `segdata info --code`, one of `CODES`."""
    title: str
    """The reader, and what must be installed for it."""
    lines: tuple[str, ...]
    """Python, or a configuration file's text."""
    is_python: bool = True
    """Whether the lines are a program that stands on its own."""
    stores: tuple[str, ...] = ()
    """Schemes of stores that the reader reads as well as disks."""

    def reads(self, out: Location) -> bool:
        """Whether the lines work where a build lies."""
        return out.scheme in ("file", *self.stores)

    @property
    def reader(self) -> str:
        """The title without what must be installed or done."""
        return self.title.partition(" (")[0].partition(", in ")[0]


def shard_glob(out: Location, split: SplitSummary) -> str:
    """A pattern that matches the shards of a split and nothing else.

    What has a meaning in patterns is escaped: `a[1]` is `a[[]1]`.
    """
    stem, _, numbers = split.shards[0].name.partition(".tfrecord-")
    return (
        f"{glob.escape(str(out / stem))}.tfrecord-*-of-{numbers.rpartition('-of-')[2]}"
    )


def reading_snippets(manifest: Manifest, out: Location) -> list[Snippet]:
    """What to paste to read the first split of a build, by readers that can.

    Args:
      manifest: The build's.
      out: Its directory, as the lines shall spell it.
    """
    found = [item for item in _snippets(manifest, out) if item.reads(out)]
    return [replace(i, title=_with_extra(i.title, out.extra)) for i in found]


def copying_lines(manifest: Manifest, out: Location) -> list[str]:
    """Which readers need a copy on a disk and how to make one; empty if none does.

    Args:
      manifest: The build's.
      out: Its directory.
    """
    readers = [s.reader for s in _snippets(manifest, out) if not s.reads(out)]
    if not readers:
        return []
    return [
        f"# from a disk only, not from {out.scheme}://: {'; '.join(readers)}",
        "# copy the build, then `segdata info DIR --code ...` has their lines",
        f"{_COPIERS[out.scheme]} {shlex.quote(_address(out))} DIR",
    ]


def _address(out: Location) -> str:
    """As the store's own tools spell it: ours names the port of WebHDFS."""
    address = str(out)
    has_server = address.startswith("hdfs://") and not address.startswith("hdfs:///")
    return f"web{address}" if has_server else address


def _with_extra(title: str, extra: str) -> str:
    """The title with the extra of segdata that reaches the place, if it needs one."""
    if not extra:
        return title
    title = title.replace("(segdata[", f"(segdata[{extra},")
    return title.replace("(segdata)", f"(segdata[{extra}])").replace(
        "(segdata, ", f"(segdata[{extra}], "
    )


def _snippets(manifest: Manifest, out: Location) -> list[Snippet]:
    name, split = next(iter(manifest.splits.items()))
    shards = shard_glob(out, split)
    snippets = [
        *_streams(manifest, out, name),
        Snippet(
            code="numpy",
            title="NumPy (segdata)",
            lines=(
                "import segdata",
                f"records = segdata.RecordSource({str(out)!r}, {name!r})",
                "image, objects = records[0].image(), records[0].objects",
            ),
            stores=_OURS,
        ),
        _plain_tensorflow(manifest, shards),
        Snippet(
            code="tfds",
            title="TensorFlow Datasets (tensorflow-datasets)",
            lines=(
                "import tensorflow_datasets as tfds",
                f"builder = tfds.builder_from_directory({str(out)!r})",
                f"dataset = builder.as_dataset(split={name!r})",
            ),
            stores=_TENSORFLOWS,
        ),
        Snippet(
            code="torch",
            title="PyTorch (segdata, torch)",
            lines=(
                "import segdata, torch",
                f"source = segdata.RecordSource({str(out)!r}, {name!r}).arrays()",
                "loader = torch.utils.data.DataLoader(source, batch_size=8, "
                "collate_fn=list)",
            ),
            stores=_OURS,
        ),
        Snippet(
            code="grain",
            title="Grain (segdata, grain)",
            lines=(
                "import grain, segdata",
                f"source = segdata.RecordSource({str(out)!r}, {name!r}).arrays()",
                "dataset = grain.MapDataset.source(source).shuffle(seed=0)",
            ),
            stores=_OURS,
        ),
        _dali(out, shards),
    ]
    if "png" in manifest.options.get("masks", ()):
        snippets += _tf_models(manifest, out, shards)
    return snippets


def _streams(manifest: Manifest, out: Location, split: str) -> list[Snippet]:
    """Our own `tf.data` streams, alone, for Keras and for JAX."""
    label_map = manifest.label_map
    wanted = (
        ("label maps", "read_semantic", "(224, 224)", label_map.semantic_classes),
        ("objects", "read_instances", "(512, 512)", label_map.object_classes),
    )
    found = []
    for what, function, size, classes in wanted:
        if not classes:
            continue
        begin = (f"dataset = segdata.{function}(", f"    {str(out)!r}, {split!r}")
        call = (begin[0], f"{begin[1]}, batch_size=8, image_size={size}", ")")
        found.append(
            Snippet(
                code="tf",
                title=f"tf.data, {what} (segdata[tensorflow])",
                lines=("import segdata", *call),
                stores=_TENSORFLOWS,
            )
        )
        batches = (
            "for batch in dataset.as_numpy_iterator():",
            '    image = jnp.asarray(batch["image"])',
        )
        found.append(
            Snippet(
                code="jax",
                title=f"JAX, {what} (segdata[tensorflow], jax)",
                lines=("import jax.numpy as jnp", "import segdata", *call, *batches),
                stores=_TENSORFLOWS,
            )
        )
    if label_map.semantic_classes:
        found.append(_keras(out, split, label_map))
    return found


def _keras(out: Location, split: str, label_map: LabelMap) -> Snippet:
    """What `fit` takes: images, labels, weights that are 0 on ignored pixels."""
    highest = max(item.id for item in label_map.semantic_classes)
    return Snippet(
        code="keras",
        title="Keras, label maps (segdata[train])",
        lines=(
            "import keras, segdata",
            "train = segdata.read_semantic(",
            f"    {str(out)!r}, {split!r}, batch_size=8, image_size=(224, 224),",
            "    shuffle=True, sample_weight=True,",
            ")",
            "model = keras.Sequential([",
            "    keras.Input((224, 224, 3)), keras.layers.Rescaling(1 / 255),",
            f"    keras.layers.Conv2D({highest + 1}, 3, padding='same'),  # your model",
            "])",
            "loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
            "model.compile('adam', loss)",
            "model.fit(train, shuffle=False)",
        ),
        stores=_TENSORFLOWS,
    )


def _plain_tensorflow(manifest: Manifest, shards: str) -> Snippet:
    wanted = [schema.KEY, schema.ENCODED, schema.HEIGHT, schema.WIDTH]
    if manifest.label_map.semantic_classes:
        wanted += [schema.LABEL_VALUES, schema.LABEL_LENGTHS]
    if manifest.label_map.object_classes:
        wanted += [
            schema.OBJECT_LABEL,
            schema.OBJECT_YMIN,
            schema.OBJECT_XMIN,
            schema.OBJECT_YMAX,
            schema.OBJECT_XMAX,
            schema.OBJECT_RUNS,
            schema.OBJECT_NUM_RUNS,
        ]
    return Snippet(
        code="tensorflow",
        title="plain TensorFlow (tensorflow)",
        lines=(
            "import tensorflow as tf",
            "spec = {",
            *(f"    {feature.key!r}: {_spec(feature)}," for feature in wanted),
            "}",
            f"files = sorted(tf.io.gfile.glob({shards!r}))",
            "dataset = tf.data.TFRecordDataset(files).map(",
            "    lambda record: tf.io.parse_single_example(record, spec)",
            ")",
        ),
        stores=_TENSORFLOWS,
    )


def _spec(feature: Feature) -> str:
    dtype = f"tf.{_TYPES[feature.kind]}"
    if feature.is_list:
        return f"tf.io.RaggedFeature({dtype})"
    return f"tf.io.FixedLenFeature([], {dtype})"


def _dali(out: Location, shards: str) -> Snippet:
    folder = glob.escape(str(out / INDEX_DIR))
    index = f"{folder}/{PurePosixPath(shards).name}.idx"
    image = f"{schema.ENCODED.key!r}: tfrec.FixedLenFeature((), tfrec.string, '')"
    return Snippet(
        code="dali",
        title="DALI (nvidia-dali-cuda120), in a pipeline",
        lines=(
            "from glob import glob",
            "from nvidia.dali import fn, tfrecord as tfrec",
            "inputs = fn.readers.tfrecord(",
            f"    path=sorted(glob({shards!r})),",
            f"    index_path=sorted(glob({index!r})),",
            f"    features={{{image}}},",
            ")",
        ),
    )


def _tf_models(manifest: Manifest, out: Location, shards: str) -> list[Snippet]:
    """TF Model Garden and the Object Detection API, which want PNG masks."""
    found = []
    read = (
        f"files = sorted(tf.io.gfile.glob({shards!r}))",
        "dataset = tf.data.TFRecordDataset(files).map(decoder.decode)",
    )
    if manifest.label_map.object_classes:
        found.append(
            Snippet(
                code="models",
                title="TF Model Garden, instances (tf-models-official)",
                lines=(
                    "import tensorflow as tf",
                    "from official.vision.dataloaders import tf_example_decoder",
                    "decoder = tf_example_decoder.TfExampleDecoder(include_mask=True)",
                    *read,
                ),
                stores=_TENSORFLOWS,
            )
        )
    if manifest.label_map.semantic_classes:
        found.append(
            Snippet(
                code="models",
                title="TF Model Garden, label maps (tf-models-official)",
                lines=(
                    "import tensorflow as tf",
                    "from official.vision.dataloaders import segmentation_input",
                    "decoder = segmentation_input.Decoder()",
                    *read,
                ),
                stores=_TENSORFLOWS,
            )
        )
    if manifest.label_map.object_classes:
        found.append(
            Snippet(
                code="models",
                title="Object Detection API, in pipeline.config",
                lines=(
                    f'label_map_path: "{out / PBTXT_NAME}"',
                    "load_instance_masks: true",
                    "mask_type: PNG_MASKS",
                    f'tf_record_input_reader {{ input_path: "{shards}" }}',
                ),
                is_python=False,
                stores=_TENSORFLOWS,
            )
        )
    return found
