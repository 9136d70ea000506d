"""Building blocks of the models, the same on every backend of Keras.

Blocks are functions over Keras tensors; only what needs its own arithmetic is a class.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from segdata.trainers.models.options import ModelOptions, Upsampling
from segdata.trainers.tensor import Tensor

_register = keras.saving.register_keras_serializable("segdata")


def conv_block(
    x: Tensor,
    filters: int,
    options: ModelOptions,
    *,
    kernel: int = 3,
    dilation: int = 1,
    name: str | None = None,
) -> Tensor:
    """Convolution, batch normalisation if the options say so, and ReLU."""
    x = keras.layers.Conv2D(
        filters,
        kernel,
        padding="same",
        dilation_rate=dilation,
        use_bias=not options.batch_norm,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    if options.batch_norm:
        x = keras.layers.BatchNormalization(
            momentum=options.batch_norm_momentum, name=name and f"{name}_bn"
        )(x)
    return keras.layers.ReLU(name=name and f"{name}_relu")(x)


def dropout(
    x: Tensor, options: ModelOptions, rate: float, name: str, number: int = 0
) -> Tensor:
    """Dropout of the options' rate, or of `rate`, with a seed of its own."""
    rate = rate if options.dropout is None else options.dropout
    seed = options.seed + number
    return keras.layers.Dropout(rate, seed=seed, name=name)(x) if rate else x


def crop_to(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Cuts rows at the bottom and columns at the right until `x` has a size.

    Encoders round up when they halve, so what was doubled is one too large where the
    size was odd, and the top left corners agree.
    """
    rows, columns = x.shape[1] - size[0], x.shape[2] - size[1]
    if rows or columns:
        x = keras.layers.Cropping2D(((0, rows), (0, columns)))(x)
    return x


def upsample(
    x: Tensor,
    size: tuple[int, int],
    factor: int,
    method: Upsampling,
    dtype: str | None = None,
) -> Tensor:
    """Grows a map by a whole factor, then cuts it to a size.

    Args:
      x: `[batch, h, w, channels]`.
      size: Height and width of the result, at most `factor` times those of `x`.
      factor: At least 2.
      method: `nearest`, `bilinear`, or `transpose`: a learned convolution of twice the
        factor's size that begins as bilinear interpolation, as in FCN, section 3.3.
      dtype: What to compute in; None follows the policy.

    Returns:
      `[batch, *size, channels]`.
    """
    if method == "transpose":
        x = keras.layers.Conv2DTranspose(
            x.shape[-1],
            2 * factor,
            strides=factor,
            padding="same",
            use_bias=False,
            kernel_initializer=BilinearKernel(),
            dtype=dtype,
        )(x)
    else:
        grow = keras.layers.UpSampling2D(factor, interpolation=method, dtype=dtype)
        x = grow(x)
    return crop_to(x, size)


def score_layer(options: ModelOptions, name: str = "score", **given: Any) -> Any:
    """A 1x1 convolution to the classes' scores, in float32 whatever the policy.

    From here on bfloat16, with its three digits, would lose what tells two classes
    apart.
    """
    conv = keras.layers.Conv2D
    return conv(options.num_classes, 1, dtype="float32", name=name, **given)


def logits(x: Tensor, size: tuple[int, int], name: str = "logits") -> Tensor:
    """Marks a model's output: scores in float32, cut to the image's size."""
    return keras.layers.Activation("linear", dtype="float32", name=name)(
        crop_to(x, size)
    )


@_register
class BilinearKernel(keras.initializers.Initializer):
    """Kernel of a transposed convolution that interpolates each channel bilinearly.

    For a kernel of twice the stride. FCN (Long, Shelhamer, Darrell 2015), section 3.3.
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        """A `[height, width, out, in]` kernel, zero between different channels."""
        kernel = np.zeros(shape, np.float32)
        plane = np.outer(_triangle(shape[0]), _triangle(shape[1]))
        for channel in range(min(shape[2:])):
            kernel[:, :, channel, channel] = plane
        return keras.ops.convert_to_tensor(kernel, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}


def _triangle(size: int) -> NDArray[np.float64]:
    stride = size / 2
    slope: NDArray[np.float64] = 1 - np.abs(np.arange(size) + 0.5 - stride) / stride
    return slope


@_register
class CaffePreprocessing(keras.layers.Layer):
    """RGB pixels as Caffe's models want them: BGR, minus ImageNet's mean pixel."""

    def call(self, image: Tensor) -> Tensor:
        """`[batch, height, width, 3]` 0 to 255 RGB -> BGR around 0."""
        mean = keras.ops.convert_to_tensor([103.939, 116.779, 123.68], self.dtype)
        return keras.ops.flip(keras.ops.cast(image, self.dtype), axis=-1) - mean

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As the input's."""
        return input_shape


@_register
class Unpooling(keras.layers.Layer):
    """Puts values where 2x2 max pooling took theirs from, zeros elsewhere.

    SegNet (Badrinarayanan, Kendall, Cipolla 2017), section 3: the decoder reuses the
    pooling indices of the encoder. The indices are found anew from the map that was
    pooled, because no backend but TensorFlow's hands them out.
    """

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Values `[b, ceil(h/2), ceil(w/2), c]` and pooled map `[b, h, w, c]`."""
        values, pooled = inputs
        _, height, width, channels = pooled.shape
        rows, columns = values.shape[1:3]
        ops = keras.ops
        odd = [[0, 0], [0, 2 * rows - height], [0, 2 * columns - width], [0, 0]]
        windows = ops.reshape(
            # Below what any map holds after ReLU, and a number in float16 too.
            ops.pad(pooled, odd, constant_values=-6e4),
            (-1, rows, 2, columns, 2, channels),
        )
        windows = ops.transpose(windows, (0, 1, 3, 5, 2, 4))
        windows = ops.reshape(windows, (-1, rows, columns, channels, 4))
        where = ops.one_hot(ops.argmax(windows, axis=-1), 4, dtype=values.dtype)
        spread = ops.reshape(
            ops.expand_dims(values, -1) * where, (-1, rows, columns, channels, 2, 2)
        )
        spread = ops.transpose(spread, (0, 1, 4, 2, 5, 3))
        spread = ops.reshape(spread, (-1, 2 * rows, 2 * columns, channels))
        return spread[:, :height, :width]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As the pooled map's."""
        return tuple(input_shape[1])


@_register
class Resample(keras.layers.Layer):
    """A linear change of size by two constant matrices: `mean` pooling or `bilinear`.

    Keras 3.15's adaptive pooling layer fails in TensorFlow's graphs and gives NaN on
    JAX where sizes divide; matrices are exact everywhere, and XLA likes them.

    Attributes:
      size: Height and width of the output.
      method: `mean`: of the parts that adaptive pooling averages, which overlap where
        sizes do not divide; `bilinear`: half-pixel centres, edges repeated.
    """

    def __init__(self, size: tuple[int, int], method: str, **options: Any) -> None:
        super().__init__(**options)
        self.size, self.method = tuple(size), method

    def call(self, x: Tensor) -> Tensor:
        """`[batch, h, w, channels]` -> `[batch, *size, channels]`."""
        matrix = mean_matrix if self.method == "mean" else bilinear_matrix
        vertical, horizontal = (
            keras.ops.convert_to_tensor(matrix(before, after), x.dtype)
            for before, after in zip(x.shape[1:3], self.size, strict=True)
        )
        return keras.ops.einsum("ih,jw,bhwc->bijc", vertical, horizontal, x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The new size, as many channels."""
        return (input_shape[0], *self.size, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Size and method."""
        return {**super().get_config(), "size": self.size, "method": self.method}


def mean_matrix(before: int, after: int) -> NDArray[np.float32]:
    """Rows that average the parts of adaptive pooling.

    >>> mean_matrix(3, 2).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    """
    matrix = np.zeros((after, before), np.float32)
    for row in range(after):
        begin, end = row * before // after, -(-(row + 1) * before // after)
        matrix[row, begin:end] = 1 / (end - begin)
    return matrix


def bilinear_matrix(before: int, after: int) -> NDArray[np.float32]:
    """Rows that interpolate at half-pixel centres; edges are repeated.

    >>> bilinear_matrix(2, 4).tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    centers = (np.arange(after) + 0.5) * before / after - 0.5
    low = np.floor(centers).astype(int)
    matrix = np.zeros((after, before), np.float32)
    rows = np.arange(after)
    part = (centers - low).astype(np.float32)
    np.add.at(matrix, (rows, low.clip(0, before - 1)), 1 - part)
    np.add.at(matrix, (rows, (low + 1).clip(0, before - 1)), part)
    return matrix
