"""FocalMix's training step by part, each beside the whole step: its ratio is its share.

Compiled by themselves, parts cannot share work as they do in the step, so shares may add up to more than 1.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks.bench import Bench, Measurement
from experiments.benchmarks.training import DEFAULT_CONFIG, SMALL_CONFIG, going_on, noise_batch, settings_at
from experiments.runs.focalmix.focalmix_job import jitted_step
from medssl_jax.steps.focalmix_step import (
    detection_loss,
    in_groups,
    label_patches,
    mix_patches,
    pseudo_label_patches,
)

SMALLEST = {"config": SMALL_CONFIG, "side": 32}


def measure(bench: Bench, *, config: str = DEFAULT_CONFIG, side: int = 64) -> list[Measurement]:
    """Of one labelled and one unlabelled patch."""
    settings = settings_at(config, side, unlabelled=1)
    detector, step_settings = settings.detector(), settings.step_settings
    optimiser = settings.make_optimiser()
    batch, state, key = jax.device_put(noise_batch(settings)), settings.fresh_state(), jax.random.key(0)

    def label(labelled: Any) -> Any:
        return label_patches(labelled, detector.grid, step_settings)

    def pseudo_label(params: Any, unlabelled: Any) -> Any:
        predict = functools.partial(detector.predict, params)
        return pseudo_label_patches(
            predict, unlabelled, key, jnp.ones(()), detector.grid, step_settings, labelled_rate=jnp.ones(())
        )

    def mix(parts: Any) -> Any:
        (patches,) = (jax.tree.map(lambda leaf: leaf[0], in_groups(parts, 1)),)
        return patches, mix_patches(patches, key, step_settings)

    def gradient(params: Any, patches: Any, mixed: Any) -> Any:
        def loss(params: Any) -> Any:
            return detection_loss(detector.predict(params, mixed.voxels), mixed, patches, step_settings)

        return jax.grad(loss, has_aux=True)(params)

    def update(state: Any, gradients: Any) -> Any:
        return state.update(gradients, optimiser, ema_decay=step_settings.ema_decay)

    labelled, pseudo_labelled = (
        jax.jit(label)(batch["labelled"]),
        jax.jit(pseudo_label)(state.params, batch["unlabelled"]),
    )
    patches, mixed = jax.jit(mix)((labelled, pseudo_labelled))
    gradients, _ = jax.jit(gradient)(state.params, patches, mixed)
    parts: dict[str, Callable[[], Any]] = {
        "targets of the labelled": _waiting(label, batch["labelled"]),
        f"pseudo-labels, {settings.ssl.views} views": _waiting(pseudo_label, state.params, batch["unlabelled"]),
        "MixUp": _waiting(mix, (labelled, pseudo_labelled)),
        "loss and gradient": _waiting(gradient, state.params, patches, mixed),
        "update": _waiting(update, state, gradients),
    }
    whole = going_on(jitted_step(settings), jax.tree.map(jnp.copy, state), batch)
    return [bench.pair(f"{name}, 1 + 1 x {side}^3", run, "whole step", whole) for name, run in parts.items()]


def _waiting(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*arguments))
