"""The small files beside the shards that other tools read, all made from the manifest.

- `labels.txt`: class names, one a line, by id.
- `label_map.pbtxt`: the Object Detection API's.
- `dataset_info.json`, `features.json`, `KEY.labels.txt`: TensorFlow Datasets'.
"""

from __future__ import annotations

from segdata.label_map import OUTSIDE_IGNORE_ID, LabelMap
from segdata.shards import tfds
from segdata.shards.manifest import Manifest
from segdata.storage.paths import Location
from segdata.version import __version__

LABELS_NAME = "labels.txt"
PBTXT_NAME = "label_map.pbtxt"
SIDECAR_NAMES = (
    LABELS_NAME,
    PBTXT_NAME,
    tfds.INFO_NAME,
    tfds.FEATURES_NAME,
    *tfds.CLASS_NAMES_NAMES,
)
"""Every name that `sidecar_files` may return."""


def sidecar_files(manifest: Manifest) -> dict[str, bytes]:
    """File name -> content of what lies beside a build's shards."""
    label_map = manifest.label_map
    return {
        LABELS_NAME: _labels(label_map),
        PBTXT_NAME: label_map.to_pbtxt().encode(),
        tfds.INFO_NAME: tfds.dataset_info(manifest),
        tfds.FEATURES_NAME: tfds.dataset_features(manifest),
        **tfds.class_names(manifest),
    }


def write_sidecars(out: Location, manifest: Manifest) -> None:
    """Writes them, and removes those that this build does not have."""
    contents = sidecar_files(manifest)
    for name in SIDECAR_NAMES:
        if name in contents:
            (out / name).write_atomic(contents[name])
        else:
            (out / name).unlink(missing_ok=True)


def changed_sidecars(out: Location, manifest: Manifest) -> list[str]:
    """Those that are missing or not what the manifest gives.

    None are looked at in a build of another version, which may have written others.
    """
    if manifest.versions.get("segdata") != __version__:
        return []
    contents = sidecar_files(manifest)
    return [name for name in contents if _read(out / name) != contents[name]]


def _read(path: Location) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _labels(label_map: LabelMap) -> bytes:
    """Names in the order of ids; those of label maps where there are both."""
    classes = label_map.semantic_classes or label_map.object_classes
    inside = sorted((c.id, c.name) for c in classes if c.id != OUTSIDE_IGNORE_ID)
    return "".join(f"{name}\n" for _, name in inside).encode()
