"""Seeds for the fuzz targets, drawn on the spot: small files of every kind."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from targets import DRAWN, drawn

from segdata.samples.coco import write_coco_sample
from segdata.samples.pets import write_pets_sample

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "F", "I")


def write_seeds(name: str, corpus: Path) -> None:
    """Writes the seeds of a target into a folder."""
    for number, data in enumerate(seeds_of(name, corpus)):
        (corpus / f"seed-{number}").write_bytes(data)


def seeds_of(name: str, work: Path) -> Iterator[bytes]:
    """The seeds of a target; `work` is a folder for what they are made from."""
    if name in ("image", "label_image"):
        yield from _images()
    elif name in ("rle_string", "counts"):
        yield from (
            b"\x09\x0a_9O1O00O1O2N",
            b"\4\4`0",
            b"PPYo1",
            b"\x30\x40" + b"0" * 40,
        )
    elif name == "segmentation":
        yield from (
            b"[[1,1,20,1,20,15.5,1,15]]",
            b"[[0,0,64,0,64,48,0,48],[1e9,2,3,4]]",
        )
        yield b'{"size":[48,64],"counts":[10,20,3042]}'
        yield b'{"size":[48,64],"counts":"`0"}'
    elif name == "coco_json":
        yield from _coco()
    elif name == "class_file":
        yield from (
            b"sky\nroad\n",
            b"0 sky 1 2 3\n1 road 4 5 6\n",
            b"name,r,g,b\na,1,2,3\n",
        )
        yield b"# label:color_rgb:parts:actions\nroad:128,64,128::\n"
        yield b'{"labels": [{"name": "sky", "id": 1, "color": "#102030"}]}'
    elif name == "pets_lists":
        yield b"#Image CLASS-ID SPECIES BREED\nA_1 1 1 1\n\0<annotation></annotation>"
        yield b"A_1 1 1 1\n\0" + _xml()
    elif name in DRAWN:
        yield drawn(work, name)[1].read_bytes()
    else:
        yield from _built(name, work)


def _images() -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    pixels = Image.fromarray(rng.integers(0, 4, (9, 7), np.uint8))
    for mode in MODES:
        for kind in ("PNG", "TIFF", "JPEG", "GIF", "BMP", "WEBP"):
            file = io.BytesIO()
            try:
                pixels.convert(mode).save(file, kind)
            except (OSError, ValueError):
                continue  # the format has no such mode
            yield file.getvalue()


def _coco() -> Iterator[bytes]:
    image = {"id": 1, "file_name": "a.png", "height": 4, "width": 6}
    for segmentation in ([[0, 0, 3, 0, 3, 3]], {"size": [4, 6], "counts": [5, 3, 16]}):
        item = {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 0}
        item |= {"segmentation": segmentation, "bbox": [0, 0, 3, 3], "area": 4.5}
        tables = {"images": [image], "annotations": [item]}
        yield json.dumps(tables | {"categories": [{"id": 3, "name": "cat"}]}).encode()


def _xml() -> bytes:
    return (
        b"<annotation><filename>A_1.jpg</filename><size><width>6</width><height>4</height>"
        b"<depth>3</depth></size><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1"
        b"</ymin><xmax>4</xmax><ymax>3</ymax></bndbox></object></annotation>"
    )


def _built(name: str, work: Path) -> Iterator[bytes]:
    """Parts of two small builds."""
    import tempfile

    import segdata

    with tempfile.TemporaryDirectory() as folder:
        for kind, write in (("coco", write_coco_sample), ("pets", write_pets_sample)):
            source, out = Path(folder) / kind, Path(folder) / f"{kind}-out"
            write(source, seed=0, num_train=2, num_val=1)
            segdata.build(kind, source, out)
            if name == "manifest":
                yield (out / "manifest.json").read_bytes()
            for shard in sorted(out.glob("*.tfrecord-*")):
                if name == "receipt":
                    yield (out / "index" / f"{shard.name}.json").read_bytes()
                data = shard.read_bytes()
                size = int.from_bytes(data[:8], "little")
                if name == "record":
                    yield data[12 : 12 + size]
                elif name == "tfrecord":
                    yield data[: size + 16]
