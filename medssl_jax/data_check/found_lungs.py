"""The volume of lungs found in a scan without a mask, that of the body, and the share that the view cuts."""

import dataclasses

import numpy as np
from jaxtyping import Bool

from medssl_jax.imaging.chest_air import ChestView, sides_beside
from medssl_jax.imaging.lungs import lungs_in_view, view_of_volume
from medssl_jax.imaging.shapes import shrunk
from medssl_jax.imaging.volumes import Volume


@dataclasses.dataclass(frozen=True)
class FoundLungs:
    """The volume of found lungs and of the body in view, which they are part of, in litres.

    `share_at_sides` is how much of the lungs' surface lies at the sides of the view: right, left, front, back, or
    padding. The first and last slice do not count: they often go through the lungs.
    """

    litres: float
    body_litres: float
    share_at_sides: float


def find_lungs(volume: Volume) -> FoundLungs:
    """Litres and cut surface of the lungs that `medssl_jax.imaging.lungs.segment_lungs` finds in a CT in HU."""
    view, grid = view_of_volume(volume)
    step_mm = grid.spacing_zyx_mm[0]
    return measure_lungs(lungs_in_view(view, step_mm), view, step_mm)


def measure_lungs(lungs: Bool[np.ndarray, "z y x"], view: ChestView, step_mm: float) -> FoundLungs:
    """Litres and cut surface of a mask on the grid of `view`, whose voxels are `step_mm` wide."""
    litres = step_mm**3 / 1e6
    at_sides = lungs & sides_beside(view.padding)
    # What the array ends at is no surface yet.
    surface = at_sides | (lungs & ~shrunk(lungs, 1.0))
    return FoundLungs(
        litres=float(lungs.sum() * litres),
        body_litres=float((lungs | view.body).sum() * litres),
        share_at_sides=float(at_sides.sum() / max(surface.sum(), 1)),
    )
