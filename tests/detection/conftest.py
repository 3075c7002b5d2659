"""Boxes turned as voxels are: an oracle for the symmetries."""

import jax.numpy as jnp
import pytest


@pytest.fixture
def turn_boxes():
    """turn_boxes(boxes_zyxdhw, symmetry, side): the boxes in the turned cube."""

    def turn(boxes_zyxdhw, symmetry, side):
        centre = boxes_zyxdhw[..., symmetry.permutation]
        extent = boxes_zyxdhw[..., 3 + symmetry.permutation]
        return jnp.concatenate([jnp.where(symmetry.flips, side - 1 - centre, centre), extent], -1)

    return turn
