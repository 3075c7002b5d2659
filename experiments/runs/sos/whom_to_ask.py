"""What a method learns when its networks are trained, from the validation slides: whom to ask the HRN about."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from data_builders.slide_source import LksSource
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.progress import progress_bar
from medssl_jax.inference.selective import SlideResult
from medssl_jax.inference.trained_classifier import TrainedClassifier, TrainingSlides
from medssl_jax.models.deferral import fit_deferral
from medssl_jax.steps.state import TrainState


def learnt_last(
    settings: SosConfig, source: LksSource, validation: Sequence[int], slides: TrainingSlides
) -> Callable[[TrainState], TrainState] | None:
    """What the last state of training becomes by the `validation` slides, which were not trained on; None if it stays.

    Learned deferral has its head fitted. A policy with a budget asks about that share of these slides.
    """
    if settings.method.use_deferral:
        learn = with_deferral
    elif settings.method.use_policy and settings.method.budget < 1:
        learn = within_budget
    else:
        return None

    def learnt(state: TrainState) -> TrainState:
        method = TrainedClassifier({}, settings, int(state.step), state.params_to_evaluate, slides)
        return learn(state, method, source, validation)

    return learnt


def with_deferral(
    state: TrainState, method: TrainedClassifier[SosConfig], source: LksSource, unseen: Sequence[int]
) -> TrainState:
    """The state with the head of learned deferral, fitted to the `unseen` slides."""
    gains, features = [], []
    for index, result in zip(unseen, _classified(method, source, unseen, rule="high"), strict=True):
        low, high, feature = result.low_probability, result.high_probability, result.feature
        assert low is not None
        assert high is not None
        assert feature is not None
        gains.append(int(high.argmax() == source.labels[index]) - int(low.argmax() == source.labels[index]))
        features.append(feature)
    fitted = fit_deferral(np.stack(features), np.array(gains))
    head = {name: jnp.asarray(values) for name, values in fitted._asdict().items()}
    return _with_params(state, lambda params: params | {"deferral": head})


def within_budget(
    state: TrainState, method: TrainedClassifier[SosConfig], source: LksSource, unseen: Sequence[int]
) -> TrainState:
    """The state whose policy asks about `method.budget` of the `unseen` slides, to within one slide.

    Training moves the cost of asking with which slides are asked, and all slides with it, so that its last value is of
    no special worth. Here it is set once more, in the policy's logit.
    """
    asking = [result.asking for result in _classified(method, source, unseen, rule="policy")]
    beyond = float(np.quantile(np.array(asking, np.float32), 1 - method.settings.method.budget))
    return _with_params(state, lambda params: method.networks.asking_less(params, by=beyond))


def _classified(
    method: TrainedClassifier[SosConfig], source: LksSource, indices: Sequence[int], *, rule: str
) -> Sequence[SlideResult]:
    opening = [functools.partial(source.slide, index) for index in indices]
    return list(method.classifier(rule=rule)(opening, progress=progress_bar("learning whom to ask", "slides")))


def _with_params(state: TrainState, change: Callable[[Any], Any]) -> TrainState:
    ema = None if state.ema is None else change(state.ema)
    return dataclasses.replace(state, params=change(state.params), ema=ema)
