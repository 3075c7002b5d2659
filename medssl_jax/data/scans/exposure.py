"""How often a nodule is seen in training: chances that a drawn patch holds it, from the scans and the settings."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from medssl_jax.data.scans.crop_cache import CachedScan
from medssl_jax.data.scans.patches import PatchSettings

SCALES = 5  # of the range, at which chances are averaged


class NoduleChances(NamedTuple):
    """The chance of a nodule, on average, that a patch of its scan holds its centre, by how patches are drawn.

    `uniform`: anywhere in the lungs; `labelled` and `unlabelled`: as the settings say. `patches_with_nodule` is the
    share of uniform patches that hold any nodule's.
    """

    uniform: float
    labelled: float
    unlabelled: float
    patches_with_nodule: float


def nodule_chances(scans: Iterable[CachedScan], settings: PatchSettings) -> NoduleChances | None:
    """The chances over the nodules of scans; None where these have no nodule."""
    uniform, labelled, unlabelled, with_nodule = [], [], [], []
    for scan in scans:
        held = _places_that_hold(scan, settings)
        with_nodule.append(held.max(axis=0, initial=0).mean())
        nodules = len(held)
        if nodules:
            by_chance = held.mean(axis=1)
            uniform.append(by_chance)
            labelled.append(_with_share(by_chance, settings.nodule_share))
            unlabelled.append(_with_share(by_chance, settings.unlabelled_nodule_share))
    if not uniform:
        return None
    anywhere, of_labelled, of_unlabelled = (
        float(np.concatenate(each).mean()) for each in (uniform, labelled, unlabelled)
    )
    return NoduleChances(anywhere, of_labelled, of_unlabelled, float(np.mean(with_nodule)))


def _with_share(by_chance: Float[np.ndarray, " nodules"], share: float) -> Float[np.ndarray, " nodules"]:
    """A share of the patches is drawn round one of the nodules, each as likely, and holds it; the rest are uniform."""
    return share / len(by_chance) + (1 - share) * by_chance


def _places_that_hold(scan: CachedScan, settings: PatchSettings) -> Float[np.ndarray, "nodules places"]:
    """The share of scales at which a patch round each place of the lungs holds each nodule's centre."""
    centres = scan.boxes_zyxdhw_voxel[:, None, :3]
    apart = np.abs(centres - scan.places_zyx[None]).max(axis=-1, initial=0)
    low, high = settings.scale_range
    scales = low + (high - low) * (np.arange(SCALES) + 0.5) / SCALES
    return np.mean([apart * scale < settings.side / 2 for scale in scales], axis=0)
