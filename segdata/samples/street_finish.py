"""The last strokes: ground texture, shadows, foliage, lens and sensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from segdata.samples.street_canvas import (
    BUILDING,
    PAVEMENT,
    ROAD,
    SUPERSAMPLING,
    TREE,
    Camera,
    Canvas,
)
from segdata.samples.street_light import noise_field


def finish(
    canvas: Canvas, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Turns the supersampled canvas into the final image and label map.

    Args:
      canvas: The drawn scene, of an even number of rows and columns.
      rng: Source of texture and noise.

    Returns:
      Image, uint8 `[h, w, 3]`, and label map, uint8 `[h, w]`. What happens here
      changes brightness only: no label moves.
    """
    label = np.ascontiguousarray(
        np.asarray(canvas.label)[::SUPERSAMPLING, ::SUPERSAMPLING]
    )
    height, width = label.shape
    image = np.asarray(canvas.image.reduce(SUPERSAMPLING), np.float32)
    soft = canvas.shadow.reduce(SUPERSAMPLING).filter(
        ImageFilter.GaussianBlur(height / 240)
    )
    gain = 1 - np.asarray(soft, np.float32) / np.float32(255)
    gain *= 1 + _ground_texture(canvas.camera, rng, label)
    gain[(label != ROAD) & (label != PAVEMENT)] = 1
    fine = rng.standard_normal((height, width), dtype=np.float32)
    coarse = noise_field(rng, height, width, 96, 2)
    gain += np.where(label == TREE, 0.12 * coarse + 0.07 * fine, 0)
    gain += np.where(label == BUILDING, 0.025 * coarse + 0.02 * fine, 0)
    return _expose(image * gain[..., None], rng), label


def _ground_texture(
    camera: Camera, rng: np.random.Generator, label: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Relative brightness of asphalt grain, patches, wheel tracks and slabs."""
    height, width = label.shape
    texture = np.zeros((height, width), np.float32)
    first = int(camera.horizon / SUPERSAMPLING) + 2
    rows = np.arange(first, height, dtype=np.float32) * SUPERSAMPLING
    below = rows - np.float32(camera.horizon)
    depth = (np.float32(camera.focal * camera.eye) / below)[:, None]
    columns = np.arange(width, dtype=np.float32) * SUPERSAMPLING - camera.center
    # Shifted, so that the texture does not repeat within the street's width.
    across = columns * depth / camera.focal - camera.bend * depth * depth + 24
    fine = rng.standard_normal((256, 256), dtype=np.float32)
    patches = noise_field(rng, 256, 256, 16, 3)
    along = np.broadcast_to(depth, across.shape)
    grain = fine[_cell(along, 24), _cell(across, 24)]
    blotch = patches[_cell(along, 3), _cell(across, 6)]
    asphalt = 0.09 * grain * np.exp(-depth / 9) + 0.07 * blotch * np.exp(-depth / 70)
    asphalt -= 0.05 * np.exp(-(((np.abs(across - 24) - 0.75) / 0.3) ** 2))
    joint = ((across % 0.6) < 0.045) | ((along % 0.9) < 0.06)
    slabs = 0.04 * blotch - 0.2 * joint * np.exp(-depth / 9)
    slabs += 0.05 * patches[_cell(along, 1 / 0.9) * 7 % 256, _cell(across, 1 / 0.6)]
    texture[first:] = np.where(label[first:] == ROAD, asphalt, slabs)
    return texture


def _cell(metres: NDArray[np.floating], per_metre: float) -> NDArray[np.int64]:
    cells: NDArray[np.int64] = np.floor(metres * per_metre).astype(np.int64)
    return np.bitwise_and(cells, 255)


def _expose(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Applies the faults of a camera: vignette, blur, colour cast and noise."""
    height, width, _ = image.shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    vignette = 1 - np.float32(rng.uniform(0.04, 0.14)) * (x * x + y * y)
    cast = rng.normal(1.0, 0.018, 3).astype(np.float32)
    clipped = np.clip(image * vignette[..., None] * cast, 0, 255).astype(np.uint8)
    radius = float(rng.uniform(0.25, 0.7)) * height / 360
    blurred = Image.fromarray(clipped).filter(ImageFilter.GaussianBlur(radius))
    sigma = np.float32(rng.uniform(1.2, 3.6))
    noisy = np.asarray(blurred, np.float32)
    noisy = noisy + sigma * rng.standard_normal((height, width, 1), dtype=np.float32)
    # Cameras interpolate colour, so its noise is coarser.
    half = (height // 2 + 1, width // 2 + 1, 3)
    chroma = (sigma * 0.6) * rng.standard_normal(half, dtype=np.float32)
    noisy += chroma.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.clip(noisy, 0, 255).astype(np.uint8)
