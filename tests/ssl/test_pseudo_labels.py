"""Sharpening by hand, and averaging over views with a detector whose answer is known."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.detection import symmetries
from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.prediction import Prediction
from medssl_jax.ssl.pseudo_labels import average_views, sharpen, sure_targets

GRID = AnchorGrid(8, (AnchorLevel(4, (4.5, 7.0)),))


def blockwise(voxels):
    """Reads the logit of each anchor off the voxels of its place; commutes with every symmetry."""
    means = voxels.reshape(-1, 2, 4, 2, 4, 2, 4).mean((2, 4, 6))
    logits = GRID.flatten([jnp.stack([means, 2 * means], -1)[..., None]])[..., 0]
    return Prediction(logits, jnp.zeros((*logits.shape, 4)))


def corner_loving(voxels):
    """Says the same of every patch, so its views disagree: only the anchors at low z are ever likely."""
    places = jnp.arange(len(GRID)) < len(GRID) // 2
    logits = jnp.broadcast_to(jnp.where(places, 3.0, -1.0), (len(voxels), len(GRID)))
    return Prediction(logits, jnp.ones((*logits.shape, 4)))


@pytest.mark.parametrize(
    ("positives", "expected"),
    [
        (0.4, [0.9, 0.6, 0.3, 0.0]),  # less than half an anchor is none
        (1.0, [1.0, 0.6, 0.3, 0.0]),
        (2.0, [1.0, 1.0, 0.3, 0.0]),
        (9.0, [1.0, 1.0, 0.3, 0.0]),  # .3 is not sure enough
    ],
)
def test_sure_targets_by_hand(positives, expected):
    probability = jnp.array([[0.9, 0.3], [0.05, 0.6]])
    targets, is_up = sure_targets(probability, jnp.array(positives), positive_from=0.5, background_below=0.1)
    falling = np.array([0, 3, 1, 2])
    np.testing.assert_allclose(np.ravel(targets)[falling], expected)
    np.testing.assert_array_equal(np.ravel(is_up)[falling], np.array(expected) == 1)


@pytest.mark.parametrize("positives", [1.0, 2.6, 17.0, 59.0, 200.0])
@pytest.mark.parametrize("decimals", [1, 7], ids=["many are equal", "all differ"])
def test_as_many_become_nodules_as_a_sort_would_pick(positives, decimals):
    probability = np.random.default_rng(1).random((3, 20)).round(decimals).astype(np.float32)
    last = np.sort(probability, axis=None)[::-1][: round(positives)][-1]
    targets, is_up = sure_targets(
        jnp.asarray(probability), jnp.array(positives), positive_from=0.0, background_below=0.0
    )
    np.testing.assert_array_equal(is_up, probability >= last)
    np.testing.assert_array_equal(targets, np.where(probability >= last, 1, probability))


def test_devices_tell_each_other_counts_and_not_their_anchors():
    program = """
        import jax, jax.numpy as jnp
        from jax.sharding import NamedSharding, PartitionSpec as P
        from medssl_jax.plan.collectives import read_collectives
        from medssl_jax.plan.hlo import read_program
        from medssl_jax.ssl.pseudo_labels import sure_targets

        def targets(probability, positives):
            return sure_targets(probability, positives, positive_from=0.5, background_below=0.1)

        rows = NamedSharding(jax.make_mesh((4,), ("a",)), P("a"))
        shapes = jax.ShapeDtypeStruct((8, 1000), jnp.float32, sharding=rows), jax.ShapeDtypeStruct((), jnp.float32)
        text = jax.jit(targets).lower(*shapes).compile().as_text()
        print(max(collective.stored_bytes for collective in read_collectives(read_program(text), 4)))
    """
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env=os.environ | flags
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 8


def test_sharpening_by_hand():
    # Figure 2 of the paper: 0.9 and 0.8 average to 0.85, which sharpens to 0.92.
    assert float(sharpen(jnp.array(0.85), 0.7)) == pytest.approx(0.9226, abs=5e-5)


def test_sharpening_keeps_the_middle_and_the_ends():
    np.testing.assert_allclose(sharpen(jnp.array([0.0, 0.5, 1.0]), 0.7), [0, 0.5, 1])


def test_temperature_one_changes_nothing():
    probability = jnp.linspace(0.01, 0.99, 20)
    np.testing.assert_allclose(sharpen(probability, 1.0), probability, rtol=1e-5)


def test_sharpening_agrees_with_the_powers():
    q = np.linspace(0.05, 0.95, 19)
    expected = q ** (1 / 0.4) / (q ** (1 / 0.4) + (1 - q) ** (1 / 0.4))
    np.testing.assert_allclose(sharpen(jnp.asarray(q, jnp.float32), 0.4), expected, rtol=1e-5)


@pytest.mark.parametrize("group", ["flips", "cube"])
def test_views_of_an_equivariant_detector_agree(group):
    patches = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 8, 1)), jnp.float32)
    views = symmetries.draw_views(jax.random.key(1), 4, symmetries.GROUPS[group])
    probability, _ = average_views(blockwise, patches, views, GRID)
    np.testing.assert_allclose(probability, jax.nn.sigmoid(blockwise(patches).logits), atol=1e-6)


@pytest.mark.parametrize("at_once", [2, 4])
def test_views_of_one_batch_are_the_same_as_one_by_one(at_once):
    patches = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8, 8, 8, 1)), jnp.float32)
    views = symmetries.draw_views(jax.random.key(1), 4, symmetries.GROUPS["cube"])
    batches = []

    def predict(voxels):
        batches.append(len(voxels))
        place = voxels.reshape(len(voxels), -1)[:, : len(GRID)] * jnp.arange(1.0, 1 + len(GRID))
        return Prediction(place, jnp.stack([place, -place, place / 2, place], -1))

    one_by_one, together = (average_views(predict, patches, views, GRID, at_once=count) for count in (1, at_once))
    assert set(batches) == {3, 3 * at_once}
    for a, b in zip(one_by_one, together, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_one_view_is_the_plain_prediction():
    patches = jnp.zeros((1, 8, 8, 8, 1))
    views = symmetries.draw_views(jax.random.key(1), 1, symmetries.FLIPS)
    probability, deltas = average_views(corner_loving, patches, views, GRID)
    np.testing.assert_allclose(probability, jax.nn.sigmoid(corner_loving(patches).logits), rtol=1e-6)
    np.testing.assert_array_equal(deltas, 1)


def test_probabilities_are_averaged_not_logits_and_offsets_change_sign():
    patches = jnp.zeros((1, 8, 8, 8, 1))
    views = symmetries.Symmetry(jnp.array([[0, 1, 2]] * 2), jnp.array([[False] * 3, [True, False, False]]))
    probability, deltas = average_views(corner_loving, patches, views, GRID)
    expected = (jax.nn.sigmoid(3.0) + jax.nn.sigmoid(-1.0)) / 2  # of the mean logit it would be 0.73
    np.testing.assert_allclose(probability, jnp.full_like(probability, expected), rtol=1e-6)
    np.testing.assert_allclose(deltas[0, 0], [0, 1, 1, 1], atol=1e-6)
