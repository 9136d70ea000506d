"""Writes a synthetic dataset as CVAT exports it: one XML, subsets as splits."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np

from segdata.samples.drawn import NAMES, Drawn, draw_scenes
from segdata.samples.shapes import Mask


def write_cvat_sample(
    directory: Path, *, seed: int, num_train: int, num_val: int
) -> None:
    """Draws scenes of shapes: polygons, and masks of what has holes or parts."""
    top = Element("annotations")
    SubElement(top, "version").text = "1.1"
    task = SubElement(SubElement(top, "meta"), "task")
    labels = SubElement(task, "labels")
    for name in NAMES.values():
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        SubElement(label, "type").text = "any"
    scenes = draw_scenes(
        directory, "images/{split}", seed=seed, num_train=num_train, num_val=num_val
    )
    for number, drawn in enumerate(scenes):
        image = SubElement(
            top,
            "image",
            id=str(number),
            name=drawn.name,
            subset=drawn.split,
            width=str(drawn.scene.width),
            height=str(drawn.scene.height),
        )
        _add_shapes(image, drawn)
    indent(top)
    ElementTree(top).write(
        directory / "annotations.xml", encoding="utf-8", xml_declaration=True
    )


def _add_shapes(image: Element, drawn: Drawn) -> None:
    for number, (row, mask) in enumerate(
        zip(drawn.rows, drawn.scene.masks, strict=True)
    ):
        common = {"label": NAMES[row["category_id"]], "source": "manual"}
        common |= {"occluded": "0", "z_order": str(number)}
        polygons = row["segmentation"]
        if isinstance(polygons, list) and len(polygons) == 1:
            pairs = np.reshape(polygons[0], (-1, 2)).tolist()
            points = ";".join(f"{x},{y}" for x, y in pairs)
            SubElement(image, "polygon", common | {"points": points})
        else:
            SubElement(image, "mask", _mask(mask) | common)


def _mask(mask: Mask) -> dict[str, str]:
    """Run lengths along the rows of the box of a mask, background first."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    changes = np.flatnonzero(np.diff(part.ravel(), prepend=False))
    runs = np.diff(changes, prepend=0, append=part.size).tolist()
    height, width = part.shape
    box = {"left": columns[0], "top": rows[0], "width": width, "height": height}
    return {"rle": ", ".join(map(str, runs)), **{k: str(v) for k, v in box.items()}}
