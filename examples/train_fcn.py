"""Trains FCN-8 on a build of label maps and scores it, in a loop to copy and change.

python examples/train_fcn.py RECORDS WEIGHTS.weights.h5 [EPOCHS]

Needs the extra `train`. The encoder is MobileNetV2 with random weights: `vgg-16` is the
paper's, and `weights="imagenet"` begins with those of ImageNet.
"""

import sys

import keras
import tensorflow as tf

import segdata
from segdata.trainers import evaluate_label_maps
from segdata.trainers.models import ModelOptions, build_model
from segdata.trainers.semantic.losses import SegmentationLoss
from segdata.trainers.semantic.predictor import Predictor

SIZE, BATCH = (96, 128), 4

records, weights = sys.argv[1:3]
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 10
dataset = segdata.open(records)
num_classes = max(item.id for item in dataset.classes.semantic_classes) + 1
trained = tf.constant(dataset.classes.training_ids())  # what is ignored becomes 255


def pairs(batch):
    """What Keras's fit wants: image and labels; padding's labels are ignored too."""
    return batch["image"], tf.gather(trained, tf.cast(batch["label_map"], tf.int32))


train = dataset.read_semantic(
    "train", batch_size=BATCH, image_size=SIZE, shuffle=True, remainder="drop"
).map(pairs)

keras.utils.set_random_seed(0)
model = build_model(
    "fcn-8",
    ModelOptions(num_classes=num_classes, image_size=SIZE, encoder="mobilenet-v2"),
)
model.compile(
    keras.optimizers.AdamW(1e-3),
    SegmentationLoss(num_classes, "both"),
    jit_compile=False,
)
model.fit(train, epochs=epochs, shuffle=False)
model.save_weights(weights)

# At each image's own size, with the numbers of `segdata evaluate`.
predictor = Predictor([model], BATCH)
scores = evaluate_label_maps(
    records,
    "val",
    ((r.key, predictor.predict([r.image()])[0]) for r in dataset["val"]),
)
print(f"mean IoU {scores['mean_iou']:.3f}, accuracy {scores['pixel_accuracy']:.3f}")
