"""Reads batches from a finished build with tf.data and draws the first one.

python examples/read_batches.py RECORDS PICTURE.png
"""

import sys

import segdata
from segdata.drawing.draw import Picture
from segdata.drawing.sheet import grid
from segdata.shards.manifest import read_manifest

records, picture = sys.argv[1:3]
dataset = segdata.read_semantic(records, "train", batch_size=4, image_size=(224, 224))
print("stream:", {name: tuple(s.shape) for name, s in dataset.element_spec.items()})

num_images = 0
for batch in dataset:
    num_images += int((batch["image_id"] >= 0).numpy().sum())
print(f"read {num_images} images")

batch = next(dataset.as_numpy_iterator())
pictures = [
    Picture(title=f"image {image_id}", image=image, label_map=label_map)
    for image, label_map, image_id in zip(
        batch["image"], batch["label_map"], batch["image_id"], strict=True
    )
]
grid(pictures, read_manifest(records).label_map).save(picture)
print("wrote", picture)
