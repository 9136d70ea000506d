"""Trains Mask R-CNN on a build of objects and scores it, in a loop to copy and change.

python examples/train_mask_rcnn.py RECORDS WEIGHTS.weights.h5 [EPOCHS]

Needs the extra `train`. A small model for scenes of few objects; defaults are the
paper's.
"""

import sys

import keras

import segdata
from segdata.trainers import evaluate_detections
from segdata.trainers.instances.average_precision import result_rows
from segdata.trainers.instances.detector import Detector
from segdata.trainers.models import build_model
from segdata.trainers.models.mask_rcnn.options import MaskRCNNOptions
from segdata.trainers.run.data import ObjectClasses

SIZE, BATCH, OBJECTS = (128, 128), 4, 20

records, weights = sys.argv[1:3]
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 10
dataset = segdata.open(records)
classes = ObjectClasses(label_map=dataset.classes)
train = dataset.read_instances(
    "train",
    batch_size=BATCH,
    image_size=SIZE,
    resize=segdata.Resize(mode="pad"),
    instances=segdata.InstanceOptions(max_objects=OBJECTS, mask_size=112),
    augmentation=segdata.Augmentation(horizontal_flip=0.5),
    shuffle=True,
)

keras.utils.set_random_seed(0)
small = {"pyramid_width": 32, "box_width": 128, "mask_width": 32, "proposals": 64}
few = {"rpn_candidates": 200, "rpn_candidates_test": 100, "roi_samples": 64}
options = MaskRCNNOptions(
    image_size=SIZE,
    classes=classes.num_classes,
    encoder="mobilenet-v2",
    pyramid_batch_norm=True,
    anchor_scale=4.0,
    **small,
    **few,
)
model = build_model("mask-rcnn", options)
model.compile(keras.optimizers.AdamW(1e-3, global_clipnorm=5.0), jit_compile=False)
model.fit(train, epochs=epochs, shuffle=False)
model.save_weights(weights)

detector, rows = Detector(model, BATCH), []
for record in dataset["val"]:
    [found] = detector.predict([record.image()])
    rows += result_rows(found, int(record.source_id), classes)
scores = evaluate_detections(records, "val", rows)
print(f"{len(rows)} objects; mask AP50 {scores['masks']['AP50']:.3f}")
