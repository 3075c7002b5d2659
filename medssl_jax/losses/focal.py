"""Focal loss for targets anywhere between 0 and 1."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def soft_target_focal_loss(
    logits: Float[Array, "*n"],
    targets: Float[Array, "*n"],
    *,
    negative_weight: float,
    positive_weight: float,
    gamma: float,
) -> Float[Array, "*n"]:
    """Soft-target focal loss of each element (FocalMix, arXiv 2003.09108).

    [a0 + y (a1 - a0)] |y - p|^gamma CE(y, p), with a0 and a1 the weights of negatives and positives. It is focal loss
    for y in {0, 1} and, for a gamma of 1 or more, zero at p = y; with gamma 0 it is weighted cross-entropy. No
    gradient reaches `targets`. Raises `ValueError` for any other gamma below 1, where the gradient at p = y is
    infinite, and for shapes that differ, which would be broadcast.
    """
    if logits.shape != targets.shape:
        raise ValueError(
            f"logits of shape {logits.shape} and targets of shape {targets.shape}: expected the same shape"
        )
    if gamma != 0 and gamma < 1:
        raise ValueError(
            f"gamma is {gamma}: below 1 the gradient at p = y is infinite, but for 0; choose 0, or 1 or more"
        )
    targets = jax.lax.stop_gradient(targets)
    cross_entropy = jax.nn.softplus(logits) - targets * logits
    balance = negative_weight + targets * (positive_weight - negative_weight)
    if gamma == 0:  # a power of 0 would have no gradient at p = y
        return balance * cross_entropy
    return balance * jnp.abs(targets - jax.nn.sigmoid(logits)) ** gamma * cross_entropy


def posterior_behind(probability: float, *, negative_weight: float, positive_weight: float, gamma: float) -> float:
    """The share of positives among inputs of which a detector, trained to the least focal loss, says `probability`.

    Focal loss is not strictly proper (Charoenphakdee et al., CVPR 2021, arXiv 2011.09172): where a share q of equal
    inputs is positive, q a1 (1 - p)^g (-log p) + (1 - q) a0 p^g (-log(1 - p)) is least at a p that is not q. Its
    derivative is zero at q = a0 B / (a1 A + a0 B) with A = (1 - p)^g / p - g (1 - p)^(g-1) log p, and B the same of
    1 - p. For `probability` between 0 and 1, neither included.
    """

    def slope(p: float) -> float:
        return (1 - p) ** gamma / p - gamma * (1 - p) ** (gamma - 1) * math.log(p)

    positive, negative = positive_weight * slope(probability), negative_weight * slope(1 - probability)
    return negative / (positive + negative)
