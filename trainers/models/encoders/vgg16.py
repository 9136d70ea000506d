"""VGG-16 (Simonyan, Zisserman 2015), configuration D.

Its own code, not that of `keras.applications`: with random weights it may have batch
normalisation. With published weights it is what was published. Layers have the same
names either way.
"""

from __future__ import annotations

from dataclasses import replace

import keras

from segdata.trainers.models.encoders.applications import published
from segdata.trainers.models.encoders.encoder import Encoder
from segdata.trainers.models.layers import CaffePreprocessing, conv_block
from segdata.trainers.models.options import ModelOptions
from segdata.trainers.tensor import Tensor

_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def vgg16(image: Tensor, options: ModelOptions, output_stride: int) -> Encoder:
    """The convolutions of VGG-16."""
    # Norms that were never calibrated would change what published weights compute.
    if options.weights is not None:
        options = replace(options, batch_norm=False)
    x = preprocessed = CaffePreprocessing(dtype="float32", name="preprocessing")(image)
    features, pooled = {}, {}
    for block, (depth, filters) in enumerate(_BLOCKS, start=1):
        stride = 2**block
        dilation = max(1, stride // 2 // output_stride)
        for conv in range(1, depth + 1):
            name = f"block{block}_conv{conv}"
            x = conv_block(x, filters, options, dilation=dilation, name=name)
        features[stride // 2] = x
        if stride <= output_stride:
            pool = keras.layers.MaxPooling2D
            x = pool(2, padding="same", name=f"block{block}_pool")(x)
        pooled[stride] = x
    features[32] = x
    if options.weights and options.load_weights:
        ours = keras.Model(image, x)
        for layer in published(keras.applications.VGG16, options.weights).layers:
            if layer.weights:
                ours.get_layer(layer.name).set_weights(layer.get_weights())
    return Encoder(
        name="vgg-16",
        input=image,
        image=preprocessed,
        features=features,
        pooled=pooled,
    )
