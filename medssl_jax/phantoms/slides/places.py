"""Where a telling phantom's serum shines at low resolution: a view of the whole slide tells the classes, no patch does.

Kidney and liver are equally bright for every class, and in each of them one half is brighter than the other: the one
near the stomach's neck or the one far from it. The class is which half it is in each organ. A patch shows how bright
one piece of tissue is, and each piece is bright or dim in as many classes.
"""

import numpy as np

from medssl_jax.phantoms.slides.anatomy import Section
from medssl_jax.phantoms.slides.blocks import BlockGrid, Field

NEAR, FAR = 1.0, -1.0
# The brighter halves of kidney and liver.
BRIGHTER = {"Neg": (NEAR, FAR), "AMA": (NEAR, NEAR), "SMA-V": (FAR, FAR), "SMA-T": (FAR, NEAR)}
GAP = 0.17  # of the crop's side, round the cleft: no patch reaches from one organ's halves to the other's
PLATEAU = 2.0  # how steeply a half turns bright; it is even where this times the sine is beyond 1


def placed_light(section: Section, grid: BlockGrid, label: str, depth: float) -> Field:
    """The light of each place as a share of the mean, 1 - `depth` to 1 + `depth`; outside the organs it has no meaning.

    The halves of an organ have equal areas and opposite signs; between them, at the cleft and near the neck it is 1.
    """
    first = GAP / 2 * grid.side
    from_cleft = _plateau(np.clip((np.abs(section.cleft) - first) / (section.radius - first), 0, 1))
    light = np.zeros_like(from_cleft)
    for brighter, organ in zip(BRIGHTER[label], (section.cleft < 0, section.cleft >= 0), strict=True):
        area = (from_cleft * organ * (section.depth < 0)).sum(axis=1, keepdims=True)
        below = np.cumsum(area[::-1], axis=0)[::-1] - area / 2
        light += brighter * organ * from_cleft * _plateau(2 * below / area.sum() - 1)
    return (1 + depth * light).astype(np.float32)


def _plateau(place: Field) -> Field:
    return np.clip(PLATEAU * np.sin(np.pi * place), -1, 1)
