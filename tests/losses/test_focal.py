"""Soft-target focal loss: focal loss at hard targets, zero at p = y, gradients as they should be."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit

from medssl_jax.losses.focal import soft_target_focal_loss

SETTINGS = {"negative_weight": 0.05, "positive_weight": 0.95, "gamma": 2.0}


@pytest.mark.parametrize("gamma", [1.0, 2.0, 3.0])
def test_is_focal_loss_for_hard_targets(gamma):
    logits = jnp.linspace(-6, 6, 40)
    targets = jnp.arange(40.0) % 2
    expected = optax.sigmoid_focal_loss(logits, targets, alpha=0.95, gamma=gamma)
    loss = soft_target_focal_loss(logits, targets, negative_weight=0.05, positive_weight=0.95, gamma=gamma)
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-7)


def test_is_zero_where_the_prediction_meets_the_target():
    logits = jnp.linspace(-4, 4, 20)
    np.testing.assert_allclose(soft_target_focal_loss(logits, jax.nn.sigmoid(logits), **SETTINGS), 0, atol=1e-9)


def test_differs_from_optax_for_soft_targets():
    half = jnp.array([0.5])
    assert float(optax.sigmoid_focal_loss(jnp.zeros(1), half)[0]) == pytest.approx(0.173, abs=1e-3)
    assert float(soft_target_focal_loss(jnp.zeros(1), half, **SETTINGS)[0]) == 0


def test_agrees_with_the_formula_in_float64():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(0, 3, 200), rng.random(200)
    p = expit(logits)
    expected = (0.05 + y * 0.9) * np.abs(y - p) ** 2 * (-y * np.log(p) - (1 - y) * np.log(1 - p))
    loss = soft_target_focal_loss(jnp.asarray(logits, jnp.float32), jnp.asarray(y, jnp.float32), **SETTINGS)
    np.testing.assert_allclose(loss, expected, rtol=2e-4, atol=1e-7)


def test_is_finite_for_extreme_logits_and_so_is_its_gradient():
    logits = jnp.array([-200.0, 200.0, -200.0, 200.0, 0.0])
    targets = jnp.array([0.0, 1.0, 1.0, 0.0, 0.5])
    for gamma in (1.0, 1.5, 2.0):
        settings = SETTINGS | {"gamma": gamma}
        value, gradient = jax.value_and_grad(lambda z, s=settings: soft_target_focal_loss(z, targets, **s).sum())(
            logits
        )
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


def test_pulls_the_prediction_towards_the_target_and_never_the_target():
    def loss(logit, target):
        return soft_target_focal_loss(logit, target, **SETTINGS)

    low, high, middle = jnp.array(0.3), jnp.array(0.7), jnp.array(0.0)
    assert jax.grad(loss)(middle, low) > 0 > jax.grad(loss)(middle, high)
    assert jax.grad(loss, argnums=1)(middle, low) == 0


def test_without_gamma_it_is_weighted_cross_entropy():
    logits, targets = jnp.linspace(-6, 6, 41), jnp.linspace(0, 1, 41)
    settings = {"negative_weight": 0.05, "positive_weight": 0.95, "gamma": 0.0}
    expected = (0.05 + 0.9 * targets) * optax.sigmoid_binary_cross_entropy(logits, targets)
    np.testing.assert_allclose(soft_target_focal_loss(logits, targets, **settings), expected, rtol=1e-4)
    at_target = jax.grad(lambda z: soft_target_focal_loss(z, jax.nn.sigmoid(logits), **settings).sum())(logits)
    np.testing.assert_allclose(at_target, 0, atol=1e-6)  # and no NaN, which a power of 0 would have


@pytest.mark.parametrize("gamma", [0.5, -1.0])
def test_refuses_a_gamma_whose_gradient_is_infinite(gamma):
    with pytest.raises(ValueError, match=rf"gamma is {gamma}: below 1"):
        soft_target_focal_loss(jnp.zeros(1), jnp.zeros(1), negative_weight=0.1, positive_weight=0.9, gamma=gamma)


def test_shapes_that_differ_are_refused_before_anything_is_broadcast():
    """As in a run, where annotations are not checked; and at trace time, since shapes are static."""
    loss = jax.jit(functools.partial(inspect.unwrap(soft_target_focal_loss), **SETTINGS))
    with pytest.raises(ValueError, match=r"logits of shape \(4, 3\) and targets of shape \(3,\): expected the same"):
        loss(jnp.zeros((4, 3)), jnp.zeros(3))
