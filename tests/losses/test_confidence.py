"""The losses by hand on the four cases, where their gradients go, and what equality does to the switch."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from medssl_jax.losses.confidence import executive_losses, gatekeeper_loss, paradoxical_loss, switches

C, EPS = 0.90, 0.05
# One slide a row, the true class is 0: LRN and HRN right; only the LRN; only the HRN; neither.
LOW = jnp.array(
    [[0.92, 0.04, 0.02, 0.02], [0.60, 0.20, 0.10, 0.10], [0.02, 0.96, 0.01, 0.01], [0.01, 0.97, 0.01, 0.01]]
)
HIGH = jnp.array([[0.8, 0.1, 0.05, 0.05], [0.3, 0.5, 0.1, 0.1], [0.7, 0.1, 0.1, 0.1], [0.2, 0.6, 0.1, 0.1]])
LABELS = jnp.zeros(4, jnp.int32)


def executive(low, high, labels=LABELS, c=C, eps=EPS):
    return executive_losses(low, high, labels, c=c, eps=eps)


def test_the_four_cases_by_hand():
    losses = executive(LOW, HIGH)
    np.testing.assert_allclose(losses.hesitant, [0.03, 0.35, 0, 0], atol=1e-6)
    np.testing.assert_allclose(losses.hurried, [0, 0, 0.06, 0], atol=1e-6)
    np.testing.assert_allclose(paradoxical_loss(LOW, HIGH, LABELS), [0.12, 0.30, 0, 0], atol=1e-6)


def test_the_equations_slide_by_slide_in_float64():
    rng = np.random.default_rng(0)
    low, high = rng.dirichlet([0.2] * 4, 300), rng.dirichlet([0.2] * 4, 300)
    labels = rng.integers(0, 4, 300)
    expected = np.zeros((3, 300))
    for o, x in enumerate(labels):
        y_s, y_h = np.argmax(low[o]) == x, np.argmax(high[o]) == x
        expected[0, o] = max(low[o, x] - high[o, x], 0)
        expected[1, o] = y_s * max((C + EPS) - max(low[o]), 0)
        expected[2, o] = y_h * (not y_s) * max(max(low[o]) - C, 0)
    arguments = (jnp.asarray(low, jnp.float32), jnp.asarray(high, jnp.float32), jnp.asarray(labels, jnp.int32))
    found = paradoxical_loss(*arguments), *executive(*arguments)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (expected.sum(1) > 0).all()


def test_gatekeepers_loss_is_surprise_where_right_and_distance_from_uniform_where_wrong():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 4), scale=2), rng.integers(0, 4, 200)
    probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right = probability.argmax(1) == labels
    surprise = -np.log(probability[np.arange(200), labels])
    expected = np.where(right, 0.2 * surprise, 0.8 * stats.entropy(probability, np.full((200, 4), 0.25), axis=1))
    found = gatekeeper_loss(jnp.asarray(logits, jnp.float32), jnp.asarray(labels, jnp.int32), right_weight=0.2)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert 20 < right.sum() < 180


def test_gatekeepers_loss_makes_sure_where_right_and_unsure_where_wrong():
    """The slope of the first class's logit, which both slides get; only the first is of that class."""
    logits = jnp.array([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    slope = jax.grad(lambda z: gatekeeper_loss(z, jnp.array([0, 1, 2]), right_weight=0.5).sum())(logits)[:, 0]
    assert slope[0] < 0 < slope[1]
    assert abs(slope[2]) < 1e-6  # as unsure as can be


def test_no_gradient_of_the_executive_losses_reaches_the_hrn():
    gradient = jax.grad(lambda high: sum(each.sum() for each in executive(LOW, high)))(HIGH)
    np.testing.assert_array_equal(gradient, 0)


def test_the_executive_losses_move_the_confidence_alone_and_the_right_way():
    gradient = jax.grad(lambda low: sum(each.sum() for each in executive(low, HIGH)))(LOW)
    np.testing.assert_array_equal(gradient, [[-1, 0, 0, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_the_paradoxical_loss_literally_moves_both_networks():
    low, high = jax.grad(lambda low, high: paradoxical_loss(low, high, LABELS).sum(), argnums=(0, 1))(LOW, HIGH)
    np.testing.assert_array_equal(low[:, 0], [1, 1, 0, 0])
    np.testing.assert_array_equal(high, -low)


@pytest.mark.parametrize(("confidence", "hesitant", "hurried"), [(0.95, 0, 0.05), (0.9, 0.05, 0), (0.8, 0.15, 0)])
def test_nothing_is_lost_from_the_margins_on(confidence, hesitant, hurried):
    low = jnp.array([[confidence, 1 - confidence]] * 2)
    losses = executive(low, jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([0, 1]))
    np.testing.assert_allclose(losses.hesitant, [hesitant, 0], atol=1e-6)
    np.testing.assert_allclose(losses.hurried, [0, hurried], atol=1e-6)


@pytest.mark.parametrize("as_array", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("c", [0.3, 0.6, 0.7, 0.9])
def test_a_confidence_of_exactly_c_switches(as_array, c):
    """Also where float32's c is above or below Python's, and for a c that NumPy made."""
    exact = np.float32(c)
    low = np.stack([np.zeros(3, np.float32), np.array([exact, np.nextafter(exact, 0), np.nextafter(exact, 1)])], 1)
    for each in (c, np.float64(c)):
        np.testing.assert_array_equal(switches(as_array(low.astype(np.float32)), each), [True, True, False])


def test_the_hurried_loss_is_zero_where_equality_switches():
    low = jnp.array([[C, 1 - C]])
    assert float(executive(low, low[:, ::-1], jnp.array([1])).hurried[0]) == 0
    assert bool(switches(low, C)[0])


def test_the_margin_may_end_at_certainty():
    np.testing.assert_allclose(executive(LOW, HIGH, c=0.75, eps=0.25).hesitant, [0.08, 0.4, 0, 0], atol=1e-6)


@pytest.mark.parametrize(("c", "eps"), [(0.25, 0.05), (0.9, 0.0), (0.9, 0.2), (1.0, 0.05)])
def test_thresholds_that_mean_nothing_are_refused(c, eps):
    with pytest.raises(ValueError, match=r"needs 1/4 < c < c \+ eps <= 1"):
        executive(LOW, HIGH, c=c, eps=eps)


@pytest.mark.parametrize(
    "shapes",
    [((4, 3), (3,), (4,)), ((4, 3), (1, 3), (4,)), ((4, 3), (4, 3), ()), ((4, 3), (4, 3), (4, 1)), ((3,), (3,), (3,))],
)
def test_shapes_that_would_be_broadcast_are_refused(shapes):
    """As in a run, where annotations are not checked."""
    low, high, labels = (jnp.zeros(shape) for shape in shapes)
    for loss, settings in ((paradoxical_loss, {}), (executive_losses, {"c": C, "eps": EPS})):
        with pytest.raises(ValueError, match=r"expected \(b, k\), \(b, k\) and \(b,\)"):
            inspect.unwrap(loss)(low, high, labels, **settings)
