"""What is fitted to the validation slides after the last step: whom a method asks the HRN about."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_builders.slide_source import LksSource
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.progress import progress_bar
from medssl_jax.inference.patch_batches import filled_up
from medssl_jax.inference.trained_classifier import TrainedClassifier, TrainingSlides
from medssl_jax.models.deferral import fit_deferral
from medssl_jax.steps.state import TrainState

Fit = Callable[[TrainState], TrainState]


def post_training(
    settings: SosConfig, source: LksSource, validation: Sequence[int], slides: TrainingSlides
) -> Fit | None:
    """A function from the last state of training to one fitted to `validation` slides too; None if nothing is to be.

    Learned deferral gets its head, a policy with a budget the bias that keeps it.
    """
    if not settings.method.fits_after_training:
        return None
    fit = _with_deferral if settings.method.use_deferral else _within_budget

    def fitted(state: TrainState) -> TrainState:
        method = TrainedClassifier({}, settings, int(state.step), state.params_to_evaluate, slides)
        change = fit(method, source, validation)
        ema = None if state.ema is None else change(state.ema)
        return dataclasses.replace(state, params=change(state.params), ema=ema)

    return fitted


def _with_deferral(
    method: TrainedClassifier[SosConfig], source: LksSource, unseen: Sequence[int]
) -> Callable[[Any], dict[str, Any]]:
    """What puts the head of learned deferral, fitted to the `unseen` slides, into parameters."""
    opening = [functools.partial(source.slide, index) for index in unseen]
    asked = method.classifier(rule="high")(opening, progress=progress_bar("learning whom to ask", "slides"))
    gains, features = [], []
    for index, result in zip(unseen, asked, strict=True):
        low, high, feature = result.low_probability, result.high_probability, result.feature
        assert low is not None
        assert high is not None
        assert feature is not None
        gains.append(int(high.argmax() == source.labels[index]) - int(low.argmax() == source.labels[index]))
        features.append(feature)
    fitted = fit_deferral(np.stack(features), np.array(gains))
    head = {name: jnp.asarray(values) for name, values in fitted._asdict().items()}
    return lambda params: params | {"deferral": head}


def _within_budget(
    method: TrainedClassifier[SosConfig], source: LksSource, unseen: Sequence[int]
) -> Callable[[Any], dict[str, Any]]:
    """What moves the policy's logits, by its parameters, to where it asks about `method.budget` of the `unseen` slides.

    To within one slide, where no two logits are equal. Training moves the cost of asking with which slides are asked,
    and all slides with it, so that where it leaves 0 is of no special worth.
    """
    networks, batch = method.networks, method.settings.inference.slide_batch
    policy, logits = jax.jit(networks.policy), []
    for start in progress_bar("learning whom to ask", "batches")(range(0, len(unseen), batch)):
        images = []
        for index in unseen[start : start + batch]:
            with source.slide(index) as slide:
                images.append(slide.low_resolution())
        logits.append(np.asarray(policy(method.params, filled_up(images, batch)))[: len(images)])
    beyond = float(np.quantile(np.concatenate(logits), 1 - method.settings.method.budget))
    return functools.partial(networks.shift_policy, by=-beyond)
