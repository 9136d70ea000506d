"""Time of day and weather of a street scene: its colours, its sky, its haze."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Color = tuple[float, float, float]


def blend(first: Color, second: Color, share: float) -> Color:
    """Mixes two colours; `share` 0 gives the first, 1 the second."""
    r, g, b = (a + (z - a) * share for a, z in zip(first, second, strict=True))
    return r, g, b


def scale(color: Color, factor: float) -> Color:
    """Makes a colour darker (`factor` below 1) or brighter."""
    return color[0] * factor, color[1] * factor, color[2] * factor


def vary(rng: np.random.Generator, color: Color, amount: float = 12.0) -> Color:
    """Returns a colour near `color`: other brightness, slightly other hue."""
    shift = rng.normal(0.0, amount)
    r, g, b = (c + shift + d for c, d in zip(color, rng.normal(0, 3, 3), strict=True))
    return float(r), float(g), float(b)


@dataclass(frozen=True)
class Light:
    """How colours look at this time of day, in this weather.

    Attributes:
      zenith: Sky colour at the top of the image.
      horizon: Sky colour at the horizon; far things fade into it.
      cloud: Colour of the clouds.
      cover: Share of the sky that clouds take, 0..1.
      ambient: What the light makes of a white surface.
      visibility: Metres in which all but a third of the contrast is gone.
      sun: Side the sun stands on: -1 left, 1 right.
      shadow: Strength of cast shadows, 0..1.
      lamps: Whether windows, street lamps and car lights are lit.
    """

    zenith: Color
    horizon: Color
    cloud: Color
    cover: float
    ambient: Color
    visibility: float
    sun: int
    shadow: float
    lamps: bool

    def seen(
        self, color: Color, depth: float, *, glow: bool = False
    ) -> tuple[int, int, int]:
        """Returns the pixel value of a surface `depth` metres away.

        Args:
          color: Its colour in white light, 0..255; values outside are clipped.
          depth: Distance in metres.
          glow: Whether it shines itself, which the time of day does not change.
        """
        clear = math.exp(-depth / self.visibility)
        lit = (1.0, 1.0, 1.0) if glow else self.ambient
        air, veil = 1.0 - clear, self.horizon  # spelled out: the inner loop of it all
        return (
            min(255, max(0, round(clear * color[0] * lit[0] + air * veil[0]))),
            min(255, max(0, round(clear * color[1] * lit[1] + air * veil[1]))),
            min(255, max(0, round(clear * color[2] * lit[2] + air * veil[2]))),
        )


def sunny(rng: np.random.Generator) -> Light:
    """Blue sky with some clouds, long contrast, hard shadows."""
    return Light(
        zenith=vary(rng, (82, 132, 200)),
        horizon=vary(rng, (196, 214, 230), 6),
        cloud=(246, 247, 250),
        cover=float(rng.uniform(0.1, 0.55)),
        ambient=(1.08, 1.05, 0.98),
        visibility=float(rng.uniform(260, 420)),
        sun=_side(rng),
        shadow=float(rng.uniform(0.45, 0.62)),
        lamps=False,
    )


def overcast(rng: np.random.Generator) -> Light:
    """Grey clouds, flat cool light, soft shadows, some mist."""
    return Light(
        zenith=vary(rng, (150, 158, 170)),
        horizon=vary(rng, (205, 209, 214), 7),
        cloud=(190, 194, 202),
        cover=float(rng.uniform(0.6, 1.0)),
        ambient=scale((0.80, 0.83, 0.87), float(rng.uniform(0.8, 1.05))),
        visibility=float(rng.uniform(110, 260)),
        sun=_side(rng),
        shadow=float(rng.uniform(0.08, 0.2)),
        lamps=False,
    )


def glaring(rng: np.random.Generator) -> Light:
    """The white sky of a camera that exposes for the street."""
    return Light(
        zenith=vary(rng, (226, 234, 246), 5),
        horizon=vary(rng, (248, 249, 250), 3),
        cloud=(252, 252, 252),
        cover=float(rng.uniform(0.3, 0.8)),
        ambient=scale((0.98, 0.97, 0.95), float(rng.uniform(0.75, 1.0))),
        visibility=float(rng.uniform(160, 320)),
        sun=_side(rng),
        shadow=float(rng.uniform(0.2, 0.45)),
        lamps=False,
    )


def dusk(rng: np.random.Generator) -> Light:
    """Dim street under a sky that still has light; lamps are on."""
    return Light(
        zenith=vary(rng, (66, 82, 118), 10),
        horizon=vary(rng, (196, 160, 132), 12),
        cloud=vary(rng, (120, 108, 116), 10),
        cover=float(rng.uniform(0.3, 0.8)),
        ambient=scale((0.50, 0.47, 0.50), float(rng.uniform(0.75, 1.1))),
        visibility=float(rng.uniform(300, 500)),
        sun=_side(rng),
        shadow=float(rng.uniform(0.05, 0.12)),
        lamps=True,
    )


def draw_light(rng: np.random.Generator) -> Light:
    """Chooses weather and time of day; fine days are the most frequent."""
    moods = (sunny, overcast, glaring, dusk)
    return moods[int(np.searchsorted((0.36, 0.64, 0.86), rng.random()))](rng)


def noise_field(
    rng: np.random.Generator, height: int, width: int, cells: int, octaves: int
) -> NDArray[np.float32]:
    """Draws smooth noise: a sum of random grids, each finer and weaker.

    Args:
      rng: Source of the noise.
      height: Rows.
      width: Columns.
      cells: Grid cells across the width in the coarsest octave.
      octaves: How many grids are added.

    Returns:
      `[height, width]`, mean about 0, mostly within -1..1.
    """
    field = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        columns = min(width, cells << octave)
        rows = max(2, min(height, columns * height // width))
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        layer = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        field += np.asarray(layer) * np.float32(0.6**octave)
    return field / np.float32(1.6)


def draw_sky(
    rng: np.random.Generator, light: Light, height: int, width: int, horizon: float
) -> Image.Image:
    """Draws gradient and clouds.

    Args:
      rng: Source of the clouds.
      light: Colours and cloud cover.
      height: Rows of the scene.
      width: Columns of the scene.
      horizon: Row of the horizon.

    Returns:
      RGB image of half the height and width; rows below the horizon have the colour
      of the horizon.
    """
    # Clouds are soft: half the resolution is enough.
    height, width, horizon = (height + 1) // 2, (width + 1) // 2, horizon / 2
    rows = np.clip(np.arange(height, dtype=np.float32) / max(1.0, horizon), 0, 1)
    share = (rows**1.3)[:, None, None]
    top = np.array(light.zenith, np.float32)
    sky = top + share * (np.array(light.horizon, np.float32) - top)
    # Clouds are wider than high, the more so the nearer to the horizon they float.
    field = noise_field(rng, height, width, 4, 5)
    field = field[(0.99 * height * (0.5 * rows + 0.5 * rows**2)).astype(int)]
    density = np.clip((field - 0.9 + 1.7 * light.cover) * 0.9, 0, 1)[..., None]
    density *= 1 - 0.7 * share
    relief = 1 - 0.16 * np.clip(field, -0.6, 1.0)[..., None] * light.cover
    clouds = np.array(light.cloud, np.float32) * relief
    mixed = sky + density * (clouds - sky)
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _side(rng: np.random.Generator) -> int:
    return -1 if rng.random() < 0.5 else 1
