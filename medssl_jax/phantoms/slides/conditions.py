"""The conditions of a slide of the telling phantom: what each resolution can show of it, and what raters make of it.

All are drawn by the slide's own numbers, independently of each other and of every method, so that where the HRN helps,
where it misleads and where both fail are known from the start, and not from a network.
"""

import dataclasses

import numpy as np

from medssl_jax.phantoms.slides.spec import TellingPhantom


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What has befallen a slide; `low` and `fine` are factors of what its class shows.

    `low` is of how far the halves of its organs differ in light (`places.placed_light`), `fine` of the texture that is
    gone in the low-resolution image.
    """

    low: float
    fine: float
    out_of_focus: bool
    veiled: bool  # tells of a bad focus, with errors
    weak: bool
    flipped: bool  # raters call it negative
    lipofuscin: bool


def draw_conditions(spec: TellingPhantom, positive: bool, rng: np.random.Generator) -> Conditions:
    """Draws the conditions of one slide: the same numbers for a positive one and for its negative twin."""
    low, fine, focus, misleading, weak, flipped, lipofuscin = rng.random(7).tolist()
    out_of_focus = focus < spec.share_out_of_focus
    is_weak = positive and weak < spec.share_weak
    return Conditions(
        low=_between(spec.legibility, low),
        fine=_between(spec.fine_legibility, fine),
        out_of_focus=out_of_focus,
        veiled=out_of_focus != (misleading < spec.share_misleading),
        weak=is_weak,
        flipped=is_weak and flipped < spec.share_flipped,
        lipofuscin=not positive and lipofuscin < spec.share_lipofuscin,
    )


def _between(lowest_highest: tuple[float, ...], share: float) -> float:
    lowest, highest = lowest_highest
    return lowest + (highest - lowest) * share
