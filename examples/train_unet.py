"""Trains a small UNet on a build of label maps, in a loop to copy and change.

python examples/train_unet.py RECORDS WEIGHTS.weights.h5 [EPOCHS]

Needs the extra `train`. `segdata train` does the same with checkpoints, scores at the
stored size and pictures.
"""

import sys

import keras
import tensorflow as tf

import segdata
from segdata.trainers.models import ModelOptions, build_model
from segdata.trainers.run.option_groups import OptimizerOptions
from segdata.trainers.run.schedule import build_optimizer
from segdata.trainers.semantic.losses import SegmentationLoss
from segdata.trainers.semantic.metrics import segmentation_metrics

SIZE, BATCH = (96, 128), 4

records, weights = sys.argv[1:3]
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 10
dataset = segdata.open(records)
num_classes = max(item.id for item in dataset.classes.semantic_classes) + 1
trained = tf.constant(dataset.classes.training_ids())  # what is ignored becomes 255


def pairs(batch):
    """What Keras's fit wants: image and labels; padding's labels are ignored too."""
    return batch["image"], tf.gather(trained, tf.cast(batch["label_map"], tf.int32))


flips = segdata.Augmentation(horizontal_flip=0.5, scale=(1.0, 1.5))
size = {"batch_size": BATCH, "image_size": SIZE}
train = dataset.read_semantic(
    "train", **size, shuffle=True, repeat=True, augmentation=flips
).map(pairs)
val = dataset.read_semantic("val", **size).map(pairs)
steps = -(-len(dataset["train"]) // BATCH)

keras.utils.set_random_seed(0)
model_options = ModelOptions(num_classes=num_classes, image_size=SIZE)
model = build_model("unet-small", model_options)
options = OptimizerOptions(learning_rate=1e-3, epochs=epochs, warmup_epochs=0.5)
model.compile(
    build_optimizer(options, steps),
    SegmentationLoss(num_classes),
    metrics=segmentation_metrics(num_classes),
    jit_compile=False,
)
best = keras.callbacks.ModelCheckpoint(
    weights, "val_mean_iou", mode="max", save_best_only=True, save_weights_only=True
)
fitting = {"epochs": epochs, "steps_per_epoch": steps, "shuffle": False}
model.fit(train, validation_data=val, callbacks=best, **fitting)
