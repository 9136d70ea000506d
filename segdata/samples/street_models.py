"""Kinds of vehicles: side profiles and measures of cars, vans and buses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Model:
    """Shape of a kind of vehicle.

    Attributes:
      length: Metres.
      width: Metres.
      profile: Outline seen from the side, from the rear bottom over the roof to the
        front bottom: share of the length, height in metres, and whether the stretch
        that starts here is glass.
      windows: Side windows: shares of the length at the lower rear, upper rear, upper
        front and lower front corner.
      belt: Height of their lower edge.
      roof: Height of their upper edge.
      pillars: Shares of the length where a pillar divides them.
      axles: Shares of the length where the wheels are.
      wheel: Radius of the wheels in metres.
    """

    length: float
    width: float
    profile: tuple[tuple[float, float, bool], ...]
    windows: tuple[float, float, float, float]
    belt: float
    roof: float
    pillars: tuple[float, ...]
    axles: tuple[float, float]
    wheel: float


def _profile(text: str) -> tuple[tuple[float, float, bool], ...]:
    # "share height" pairs; a trailing * marks the start of a stretch of glass.
    pairs = (item.split() for item in text.split(","))
    return tuple((float(a), float(b.rstrip("*")), b.endswith("*")) for a, b in pairs)


HATCHBACK = Model(
    4.0,
    1.76,
    _profile(
        "0 .28, 0 .6, .02 .92*, .1 1.4, .18 1.46, .52 1.46*, .74 .98, .94 .82,"
        "1 .62, 1 .28"
    ),
    (0.09, 0.15, 0.52, 0.68),
    0.95,
    1.38,
    (0.36,),
    (0.18, 0.82),
    0.31,
)
SALOON = Model(
    4.5,
    1.8,
    _profile(
        "0 .28, 0 .6, .01 .92, .15 .98*, .28 1.38, .36 1.42, .54 1.42*, .72 .96,"
        ".95 .78, 1 .6, 1 .28"
    ),
    (0.2, 0.3, 0.53, 0.67),
    0.96,
    1.34,
    (0.42,),
    (0.19, 0.81),
    0.31,
)
OFFROADER = Model(
    4.5,
    1.88,
    _profile(
        "0 .36, 0 .7, .01 1.08*, .06 1.66, .14 1.74, .56 1.74*, .71 1.14, .96 1.02,"
        "1 .8, 1 .36"
    ),
    (0.05, 0.1, 0.54, 0.66),
    1.12,
    1.64,
    (0.26, 0.45),
    (0.19, 0.81),
    0.37,
)
VAN = Model(
    5.0,
    1.95,
    _profile(
        "0 .34, 0 1.2*, .01 1.9, .03 2.15, .68 2.2*, .84 1.22, .98 .98, 1 .75, 1 .34"
    ),
    (0.62, 0.62, 0.69, 0.79),
    1.22,
    1.9,
    (),
    (0.18, 0.83),
    0.35,
)
BUS = Model(
    10.5,
    2.5,
    _profile("0 .4, 0 1.5*, 0 2.4, 0 3.1, 1 3.1, 1 2.8, 1 2.7*, 1 1.2, 1 .4"),
    (0.04, 0.04, 0.96, 0.96),
    1.35,
    2.45,
    (0.18, 0.32, 0.46, 0.6, 0.74, 0.86),
    (0.25, 0.78),
    0.48,
)
_MODELS = (HATCHBACK, SALOON, OFFROADER, VAN, BUS)


def choose_model(rng: np.random.Generator, *, bus: float = 0.0) -> Model:
    """Chooses a kind of vehicle; `bus` is the probability of a bus."""
    if rng.random() < bus:
        return BUS
    return _MODELS[int(np.searchsorted((0.45, 0.7, 0.88), rng.random()))]
