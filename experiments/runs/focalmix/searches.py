"""What a search of the unlabelled scans is worth to the training that made it."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from medssl_jax.data.scans.candidates import candidates_of
from medssl_jax.data.scans.crop_cache import CropCache
from medssl_jax.data.scans.pipeline import Searched
from medssl_jax.data.scans.pseudo_boxes import NO_BOXES, PseudoBoxes, pseudo_boxes_of
from medssl_jax.data.splits import Split
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.bootstrap import draw_counts, interval_95
from medssl_jax.parallel import hosts
from medssl_jax.steps.focalmix_settings import MARKS


def searched(settings: FocalMixConfig, cache: CropCache, split: Split, step: int, marks: Marks) -> Searched:
    """The places that patches are drawn round from `step` on, and the boxes that stand for labels, where told to.

    As many nodules are expected as there were if an unlabelled scan held as many as a labelled one.
    """

    def grid_of(series_uid: str) -> Grid:
        return cache.scan(series_uid).grid

    ssl = settings.ssl
    candidates = candidates_of(marks, grid_of, most=settings.patches.candidates)
    if ssl.targets != MARKS:
        return Searched(step, candidates, {})
    nodules = np.array([len(cache.scan(series_uid).boxes_zyxdhw_voxel) for series_uid in split.labelled])
    expected = float(nodules.mean()) * len(split.unlabelled)
    boxes = pseudo_boxes_of(
        marks, grid_of, expected=expected, found_share=ssl.marks_found_share, doubtful_share=ssl.marks_doubtful_share
    )
    found = sum(len(of_scan.found_zyxdhw) for of_scan in boxes.values())
    doubtful = sum(len(of_scan.doubtful_zyxdhw) for of_scan in boxes.values())
    hosts.say(
        f"from step {step} on: {found} marks count as nodules and {doubtful} as doubtful, where {expected:.0f} nodules "
        f"are expected in {len(split.unlabelled)} unlabelled scans{_how_surely(nodules, len(split.unlabelled))}"
    )
    if ssl.judge_pseudo_labels:
        hosts.say(_judged(boxes, cache, split))
    return Searched(step, candidates, boxes)


def _how_surely(nodules: Int[np.ndarray, " labelled"], unlabelled: int) -> str:
    """How far off the number of expected nodules may be: the labelled scans of a draw may be rich or poor."""
    counts = draw_counts(np.ones_like(nodules), 1000, seed=0)
    low, high = interval_95(counts @ nodules / len(nodules)) * unlabelled
    return f" (95 %: {low:.0f} to {high:.0f}, by {nodules.sum()} nodules in {len(nodules)} labelled scans)"


def _judged(boxes: Mapping[str, PseudoBoxes], cache: CropCache, split: Split) -> str:
    """How right the boxes are, by the labels that nothing else looks at: a centre in a nodule's sphere is right."""
    right = found = reached = hidden = 0
    for series_uid in split.unlabelled:
        of_scan, nodules = boxes.get(series_uid, NO_BOXES), cache.scan(series_uid).boxes_zyxdhw_voxel
        inside = _is_inside(of_scan.found_zyxdhw, nodules)
        right, found = right + int(inside.any(1).sum()), found + len(inside)
        kept = np.concatenate([inside, _is_inside(of_scan.doubtful_zyxdhw, nodules)])
        reached, hidden = reached + int(kept.any(0).sum()), hidden + len(nodules)
    return (
        f"of those counted as nodules {right / max(1, found):.0%} are; of {hidden} hidden nodules "
        f"{1 - reached / max(1, hidden):.0%} count as background"
    )


def _is_inside(boxes: Float[np.ndarray, "n 6"], nodules: Float[np.ndarray, "m 6"]) -> Bool[np.ndarray, "n m"]:
    apart = np.linalg.norm(boxes[:, None, :3] - nodules[None, :, :3], axis=-1)
    return apart <= nodules[:, 3:].mean(1) / 2
