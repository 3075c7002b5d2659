"""The optimiser against AdamW written out with NumPy: clip, warm-up, decay and accumulation."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.steps.optimiser import OptimiserSettings, learning_rate, make_optimiser
from medssl_jax.steps.state import TrainState

SETTINGS = OptimiserSettings(
    schedule="cosine",
    learning_rate=0.1,
    warmup_share=0.3,
    weight_decay=0.02,
    clip_norm=1.5,
    b1=0.8,
    b2=0.95,
    ema_decay=0.0,
)
RNG = np.random.default_rng(0)
# Some are clipped, some are not; two leaves share one norm.
GRADIENTS = [
    {"a": scale * RNG.normal(size=3).astype(np.float32), "b": scale * RNG.normal(size=(2, 2)).astype(np.float32)}
    for scale in RNG.uniform(0.05, 3, 12)
]


def path(gradients, accumulate=1, **changes):
    """The parameters after each step, all of them in one row."""
    optimiser = make_optimiser(dataclasses.replace(SETTINGS, **changes), len(gradients), accumulate=accumulate)
    update = jax.jit(lambda state, gradient: state.update(gradient, optimiser, ema_decay=0.0))
    state, rows = TrainState.create(jax.tree.map(jnp.ones_like, GRADIENTS[0]), optimiser, keep_ema=False), []
    for gradient in gradients:
        state = update(state, gradient)
        rows.append(flat(state.params))
    return np.array(rows)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def path_by_hand(gradients, updates, warmup):
    weights, mean, square, rows = np.ones(7), 0.0, 0.0, []
    for count, gradient in enumerate(gradients):
        gradient = gradient * min(1, 1.5 / np.linalg.norm(gradient))
        mean, square = 0.8 * mean + 0.2 * gradient, 0.95 * square + 0.05 * gradient**2
        step = (mean / (1 - 0.8 ** (count + 1))) / (np.sqrt(square / (1 - 0.95 ** (count + 1))) + 1e-8)
        falling = 0.5 * (1 + np.cos(np.pi * (count - warmup) / (updates - warmup)))
        rate = 0.1 * (count / warmup if count < warmup else falling)
        weights = weights - rate * (step + 0.02 * weights)
        rows.append(weights)
    return np.array(rows)


def test_it_is_adamw_behind_a_clip_with_warm_up_and_cosine():
    gradients = [flat(each) for each in GRADIENTS]
    norms = np.linalg.norm(gradients, axis=1)
    assert 2 < (norms > 1.5).sum() < 10
    np.testing.assert_allclose(path(GRADIENTS), path_by_hand(gradients, updates=12, warmup=4), rtol=1e-5)


def test_a_constant_rate_stays_after_the_same_warm_up():
    settings = dataclasses.replace(SETTINGS, schedule="constant")
    rates = [float(learning_rate(settings, 12)(count)) for count in range(13)]
    assert rates == pytest.approx([0, 0.025, 0.05, 0.075, *[0.1] * 9])
    falling = [float(learning_rate(SETTINGS, 12)(count)) for count in range(13)]
    assert falling[:5] == pytest.approx(rates[:5])
    assert falling[-1] == pytest.approx(0, abs=1e-8)


def test_a_config_that_accumulates_takes_the_same_updates_of_mean_gradients():
    means = [flat(jax.tree.map(lambda *pair: sum(pair) / 2, *GRADIENTS[i : i + 2])) for i in range(0, 12, 2)]
    found = path(GRADIENTS, accumulate=2)
    np.testing.assert_allclose(found[1::2], path_by_hand(means, updates=6, warmup=2), rtol=1e-5)
    np.testing.assert_array_equal(found[::2], np.vstack([np.ones((1, 7)), found[1:-1:2]]))


@pytest.mark.parametrize("steps", [1, 2])
def test_a_run_of_a_step_or_two_has_a_rate(steps):
    moved = path(GRADIENTS[:steps], warmup_share=0.0)
    assert np.isfinite(moved).all()
    assert (moved[-1] == 1).all() == (steps == 1)  # the first step of a warm-up is at rate 0
