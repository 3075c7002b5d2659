"""Learned deferral: what asking the HRN would gain on a slide, foretold from the LRN's feature v.

The target is 1[HRN right] - 1[LRN right] on slides that no network has seen (`Diff-01` of Jitkrittum et al., arXiv
2307.02764, section 4.1): the best rule compares how likely each network is right, which confidence alone cannot.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

PERCENTILES = 101  # of foretold gains that a head keeps, from the smallest to the largest
PENALTIES = np.logspace(-4, 4, 33)  # tried, each times the mean square of what the features vary along an axis


class DeferralHead(NamedTuple):
    """The gain foretold is v `kernel` + `bias`; `percentiles` are those of held-out slides, each left out in turn."""

    kernel: Float[np.ndarray, " d"]
    bias: Float[np.ndarray, ""]
    percentiles: Float[np.ndarray, " q"]


def fit_deferral(feature: Shaped[np.ndarray, "slides d"], gain: Shaped[np.ndarray, " slides"]) -> DeferralHead:
    """Ridge regression of the `gain` on the features v of two or more slides, the mean unpenalised.

    The penalty is that of the smallest squared error of slides left out one by one, which has a closed form (PRESS:
    Golub, Heath & Wahba, Technometrics 21, 1979): a linear smoother H leaves (y - Hy)_i / (1 - H_ii).
    """
    v, y = np.asarray(feature, np.float64), np.asarray(gain, np.float64)
    assert len(y) > 1, "a head is fitted to two or more slides"
    centre, mean = v.mean(0), y.mean()
    left, singular, right = np.linalg.svd(v - centre, full_matrices=False)
    along = left.T @ (y - mean)
    scale = max(float(np.mean(singular**2)), np.finfo(np.float64).tiny)
    errors, foretold = [], []
    for penalty in PENALTIES * scale:
        kept = singular**2 / (singular**2 + penalty)
        missed = y - mean - left @ (kept * along)
        missed /= 1 - 1 / len(y) - left**2 @ kept
        errors.append(float(missed @ missed))
        foretold.append(y - missed)
    best = int(np.argmin(errors))
    kernel = right.T @ (singular / (singular**2 + PENALTIES[best] * scale) * along)
    return DeferralHead(
        kernel=kernel.astype(np.float32),
        bias=np.asarray(mean - centre @ kernel, np.float32),
        percentiles=np.quantile(foretold[best], np.linspace(0, 1, PERCENTILES)).astype(np.float32),
    )


def asking_threshold(percentiles: Shaped[np.ndarray, " q"], budget: float) -> float:
    """The gain above which the HRN is asked about no more than a share `budget` of such slides, and never for a loss.

    On the held-out slides the share is kept to within one slide.
    """
    held = np.asarray(percentiles, np.float64)
    return max(float(np.interp(1 - budget, np.linspace(0, 1, len(held)), held)), 0.0)
