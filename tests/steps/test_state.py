"""A step of the state by hand, with an average and without."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medssl_jax.steps.state import TrainState

OPTIMISER = optax.sgd(0.5, momentum=0.9)


def fresh(**options):
    return TrainState.create({"w": jnp.array([1.0, 2.0])}, OPTIMISER, **options)


def test_before_the_first_step():
    state = fresh(keep_ema=True, extra={"mean": 3})
    assert (int(state.step), state.step.dtype, state.extra) == (0, jnp.int32, {"mean": 3})
    np.testing.assert_array_equal(state.ema["w"], state.params["w"])
    # The old state's memory is given away: one array may not be in it twice.
    assert state.ema["w"].unsafe_buffer_pointer() != state.params["w"].unsafe_buffer_pointer()


def test_two_steps_by_hand():
    state = fresh(keep_ema=True)
    gradient = {"w": jnp.array([1.0, -2.0])}
    for extra, params, ema in (("a", [0.5, 3.0], [0.95, 2.1]), ("b", [-0.45, 4.9], [0.81, 2.38])):
        state = state.update(gradient, OPTIMISER, ema_decay=0.9, extra=extra)
        np.testing.assert_allclose(state.params["w"], params, rtol=1e-6)
        np.testing.assert_allclose(state.ema["w"], ema, rtol=1e-6)
        assert state.extra == extra
    assert (int(state.step), state.step.dtype) == (2, jnp.int32)


@pytest.mark.parametrize("keep_ema", [False, True])
def test_the_average_is_evaluated_where_one_is_kept(keep_ema):
    state = fresh(keep_ema=keep_ema).update({"w": jnp.ones(2)}, OPTIMISER, ema_decay=0.9)
    assert (state.ema is not None) == keep_ema
    assert state.params_to_evaluate is (state.ema if keep_ema else state.params)
    assert state.extra is None
