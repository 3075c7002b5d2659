"""The losses that make the low-resolution network's confidence mean something, and SOS's switch (arXiv 2003.05080).

N_s are the class probabilities of the low-resolution network (LRN), N_h those of the high-resolution network (HRN),
m the largest of N_s: the confidence. All losses are of each slide. They raise `ValueError` unless N_s and N_h are of
shape (b, k) and the labels of (b,): other shapes would be broadcast.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


class ExecutiveLosses(NamedTuple):
    """Too little confidence of each slide where the LRN is right, and too much where only the HRN is."""

    hesitant: Float[Array, " b"]
    hurried: Float[Array, " b"]


def paradoxical_loss(
    low_probability: Float[Array, "b k"], high_probability: Float[Array, "b k"], labels: Int[Array, " b"]
) -> Float[Array, " b"]:
    """max(N_s[x] - N_h[x], 0), x the true class: the LRN must not know better than the HRN (L_2)."""
    _check_shapes(low_probability, high_probability, labels)
    # Not by indexing: the gradient of that has no fixed order on a GPU.
    true_class = jax.nn.one_hot(labels, low_probability.shape[-1])
    return jnp.maximum(((low_probability - high_probability) * true_class).sum(-1), 0)


def executive_losses(
    low_probability: Float[Array, "b k"],
    high_probability: Float[Array, "b k"],
    labels: Int[Array, " b"],
    *,
    c: float,
    eps: float,
) -> ExecutiveLosses:
    """L_he and L_hu, whose weighted sum is L_3.

    Where the LRN is right, m should reach c + eps; where only the HRN is right, m should not exceed c; where both are
    wrong nothing is asked. Being right is a constant of the step, so no gradient reaches the HRN. Raises `ValueError`
    unless 1/k < c < c + eps <= 1.
    """
    _check_shapes(low_probability, high_probability, labels)
    if not 1 / low_probability.shape[-1] < c < c + eps <= 1:
        raise ValueError(
            f"c is {c} and eps {eps}: the confidence of {low_probability.shape[-1]} classes needs "
            f"1/{low_probability.shape[-1]} < c < c + eps <= 1"
        )
    confidence = low_probability.max(-1)
    low_right = low_probability.argmax(-1) == labels
    high_right = high_probability.argmax(-1) == labels
    too_low = jnp.maximum(c + eps - confidence, 0)
    hesitant = low_right.astype(confidence.dtype) * too_low
    only_high_right = high_right & ~low_right
    too_high = jnp.maximum(confidence - c, 0)
    return ExecutiveLosses(hesitant, only_high_right.astype(confidence.dtype) * too_high)


def gatekeeper_loss(
    logits: Float[Array, "b k"], labels: Int[Array, " b"], *, right_weight: float
) -> Float[Array, " b"]:
    """`right_weight` CE where the class is right, (1 - `right_weight`) KL(p || uniform) where it is wrong.

    A classifier that is tuned by it stays sure where it may be and admits where it is not (Gatekeeper, arXiv
    2502.19335, whose alpha `right_weight` is). Being right is a constant of the step. Raises `ValueError` for other
    shapes.
    """
    _check_shapes(logits, logits, labels)
    log_probability = jax.nn.log_softmax(logits)
    # Not by indexing: the gradient of that has no fixed order on a GPU.
    cross_entropy = -(log_probability * jax.nn.one_hot(labels, logits.shape[-1])).sum(-1)
    from_uniform = (jnp.exp(log_probability) * log_probability).sum(-1) + jnp.log(logits.shape[-1])
    return jnp.where(logits.argmax(-1) == labels, right_weight * cross_entropy, (1 - right_weight) * from_uniform)


def switches(
    low_probability: Float[Array, "b k"] | Float[np.ndarray, "b k"], c: float
) -> Bool[Array, " b"] | Bool[np.ndarray, " b"]:
    """True where the slide is sent to the HRN, which is where m <= c: L_hu is 0 at equality."""
    # A Python float is compared in the precision of the probabilities, so that 0.9 equals float32's 0.9.
    return low_probability.max(-1) <= float(c)


def _check_shapes(low_probability: Array, high_probability: Array, labels: Array) -> None:
    low, high, true = low_probability.shape, high_probability.shape, labels.shape
    if len(low) != 2 or high != low or true != low[:1]:
        raise ValueError(
            f"low_probability, high_probability and labels of shapes {low}, {high} and {true}: "
            "expected (b, k), (b, k) and (b,)"
        )
