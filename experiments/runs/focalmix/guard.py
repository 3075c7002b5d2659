"""What a run should know of itself before it starts: how often nodules are seen, who counts when, what scores mean."""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import jax
import numpy as np

from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from medssl_jax.data.scans.crop_cache import CachedScan
from medssl_jax.data.scans.exposure import NoduleChances, nodule_chances
from medssl_jax.data.splits import Split
from medssl_jax.losses.focal import posterior_behind
from medssl_jax.steps.focalmix_settings import BACKGROUND, PSEUDO, SURE
from medssl_jax.steps.focalmix_step import unlabelled_weight
from medssl_jax.steps.optimiser import learning_rate

SCANS = 100  # labelled ones that chances are taken from


class Views(NamedTuple):
    """How many patches of a run hold a nodule, on average.

    Of a labelled scan; of an unlabelled one, while it counts; of any training scan, were all labelled.
    """

    labelled: float
    hidden: float
    all_labelled: float


def views_of_a_nodule(settings: FocalMixConfig, chances: NoduleChances, split: Split) -> Views:
    """The views in a whole run; those of unlabelled scans are weighed by the ramp."""
    patches, steps = settings.patches, settings.steps
    of_labelled = steps * patches.labelled_batch * chances.labelled
    of_hidden = _ramp(settings).sum() * patches.unlabelled_batch * chances.unlabelled
    every = len(split.labelled) + len(split.unlabelled)
    return Views(of_labelled / len(split.labelled), float(of_hidden) / len(split.unlabelled), of_labelled / every)


def unlabelled_shares(settings: FocalMixConfig) -> tuple[float, float]:
    """The share of the steps that count unlabelled patches, and of the learning rate's sum; the ramp counts in part."""
    ramp = _ramp(settings)
    accumulate = settings.optimiser.accumulate
    rate = learning_rate(settings.optimiser, settings.steps // accumulate)
    rates = jax.jit(rate)(np.arange(settings.steps) // accumulate)
    rates = np.asarray(rates, np.float64)
    return float(ramp.mean()), float((ramp * rates).sum() / rates.sum())


def guard_lines(settings: FocalMixConfig, labelled: Iterable[CachedScan], split: Split) -> list[str]:
    """Plain lines for the start of a run with unlabelled scans.

    No label of these is looked at: chances are those of the labelled scans.
    """
    lines = []
    known_empty = settings.ssl.targets == BACKGROUND
    if not known_empty and (chances := nodule_chances(islice(labelled, SCANS), settings.patches)):
        views = views_of_a_nodule(settings, chances, split)
        lines.append(
            f"views of a nodule in this run: about {views.labelled:.3g} if labelled, {views.hidden:.3g} if hidden, "
            f"{views.all_labelled:.3g} were all scans labelled"
        )
        share = settings.patches.unlabelled_nodule_share
        holding = share + (1 - share) * chances.patches_with_nodule
        lines.append(f"about {holding:.1%} of the unlabelled patches hold a nodule, if their scans are as the labelled")
    steps, rate = unlabelled_shares(settings)
    lines.append(f"unlabelled patches count in {steps:.0%} of the steps and {rate:.0%} of the learning rate's sum")
    if settings.patches.candidate_share:
        begin = settings.step_settings.ramp_start
        share = settings.patches.candidate_share
        lines.append(f"from step {begin} on, {share:.0%} of the unlabelled patches lie round the detector's own marks")
    thresholds = {PSEUDO: {"0.5 (sharpening)": 0.5, "mixup.object_score": settings.mixup.object_score}}
    thresholds[SURE] = {
        name: getattr(settings.ssl, name.removeprefix("ssl."))
        for name in ("ssl.sure_positive_from", "ssl.sure_background_below")
    }
    told = [
        f"{name}{'' if name.startswith('0.5') else f' {value:g}'} stands for {_posterior(settings, value):.2g}"
        for name, value in thresholds.get(settings.ssl.targets, {}).items()
        if 0 < value < 1
    ]
    if told:
        lines.append(f"by the focal loss, scores are no shares of nodules: {', '.join(told)}")
    return lines


def _ramp(settings: FocalMixConfig) -> np.ndarray:
    """What an unlabelled patch counts at each step, between 0 and 1."""
    step_settings = settings.step_settings
    weights = jax.jit(lambda steps: unlabelled_weight(steps, step_settings))(np.arange(settings.steps))
    weights = np.asarray(weights, np.float64)
    return weights / settings.ssl.weight if settings.ssl.weight else weights


def _posterior(settings: FocalMixConfig, probability: float) -> float:
    loss = settings.loss
    return posterior_behind(
        probability, negative_weight=loss.negative_weight, positive_weight=loss.positive_weight, gamma=loss.gamma
    )
