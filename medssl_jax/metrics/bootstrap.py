"""Resampling whole scans or slides (Efron, 1979): findings in one depend on each other, scans and slides do not."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from medssl_jax.core.errors import InputError


class Interval(NamedTuple):
    """The two ends of a 95 % interval."""

    low: float
    high: float


def draw_counts(findings: Int[np.ndarray, " cases"], bootstraps: int, seed: int) -> Int[np.ndarray, "bootstraps cases"]:
    """The number of times each case is in each resample, which draws as many cases, with replacement, as there are.

    `findings` of each case are what a score is a share of: the nodules of a scan, 1 for a slide. A resample without any
    has no score and is drawn again. Raises InputError where no case has one.
    """
    if bootstraps < 1:
        raise InputError(f"bootstraps: found {bootstraps}, expected 1 or more; LUNA16 takes 1000")
    if not findings.any():
        raise InputError("bootstrap: found no finding in any case, expected at least one; give annotated scans")
    cases = len(findings)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(cases, np.full(cases, 1 / cases), bootstraps)
    while (empty := counts @ findings == 0).any():
        counts[empty] = rng.multinomial(cases, np.full(cases, 1 / cases), int(empty.sum()))
    return counts


def interval_95(values: Float[np.ndarray, " bootstraps *rest"]) -> Float[np.ndarray, " 2 *rest"]:
    """The values at places floor(0.025 n) and floor(0.975 n) of the sorted resamples, as LUNA16's script takes them."""
    ordered = np.sort(values, axis=0)
    return ordered[[math.floor(0.025 * len(ordered)), math.floor(0.975 * len(ordered))]]
