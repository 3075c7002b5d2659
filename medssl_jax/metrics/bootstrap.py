"""Resampling whole scans: marks in one scan depend on each other, scans do not."""

import math

import numpy as np
from jaxtyping import Float, Int

from medssl_jax.errors import InputError


def draw_scan_counts(
    nodules_per_scan: Int[np.ndarray, " scans"], bootstraps: int, seed: int
) -> Int[np.ndarray, "bootstraps scans"]:
    """How often each scan is in each resample; as many scans are drawn, with replacement, as there are.

    A resample without any nodule has no sensitivity and is drawn again. Raises InputError where no scan has a nodule.
    """
    if bootstraps < 1:
        raise InputError(f"bootstraps: found {bootstraps}, expected 1 or more; LUNA16 takes 1000")
    if not nodules_per_scan.any():
        raise InputError("bootstrap: found no nodule in any scan, expected at least one; give annotated scans")
    scans = len(nodules_per_scan)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(scans, np.full(scans, 1 / scans), bootstraps)
    while (empty := counts @ nodules_per_scan == 0).any():
        counts[empty] = rng.multinomial(scans, np.full(scans, 1 / scans), int(empty.sum()))
    return counts


def interval_95(values: Float[np.ndarray, " bootstraps *rest"]) -> Float[np.ndarray, " 2 *rest"]:
    """The values at places floor(0.025 n) and floor(0.975 n) of the sorted resamples, as LUNA16's script takes them."""
    ordered = np.sort(values, axis=0)
    return ordered[[math.floor(0.025 * len(ordered)), math.floor(0.975 * len(ordered))]]
