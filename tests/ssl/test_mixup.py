"""MixUp by hand, its laws, and an object moved the slow way as an oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from medssl_jax.ssl import mixup
from medssl_jax.ssl.mixup import ImageMix, ObjectMix, mix_images

SIDE = 24
mix_objects = jax.jit(mixup.mix_objects, static_argnames="window")
draw_image_mix = jax.jit(mixup.draw_image_mix, static_argnames="eta")
draw_object_mix = jax.jit(mixup.draw_object_mix, static_argnames=("side", "eta"))


def noise(seed, batch=2):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(batch, SIDE, SIDE, SIDE, 1)), jnp.float32)


def object_mix(donor, weight, active=True):
    shape = np.shape(donor)
    return ObjectMix(jnp.array(donor), jnp.full(shape, weight), jnp.broadcast_to(jnp.array(active), shape))


def test_a_weight_of_08_takes_the_minor_target_of_092_to_0184():
    targets = jnp.array([[0.0, 1.0], [0.92, 0.0]])
    mixed = mix_images(targets, ImageMix(jnp.array([1, 0]), jnp.array([0.8, 0.8])))
    np.testing.assert_allclose(mixed[0], [0.184, 0.8], rtol=1e-6)


def test_full_weight_changes_nothing():
    patches = noise(0)
    mix = ImageMix(jnp.array([1, 0]), jnp.ones(2))
    np.testing.assert_array_equal(mix_images(patches, mix), patches)


def test_drawn_mixes_permute_and_leave_each_patch_dominant():
    weights = []
    for seed in range(200):
        mix = draw_image_mix(jax.random.key(seed), jnp.ones(5, bool), 0.2)
        assert sorted(np.asarray(mix.partner)) == [0, 1, 2, 3, 4]
        weights.append(np.asarray(mix.weight))
    weights = np.concatenate(weights)
    assert ((weights >= 0.5) & (weights <= 1)).all()
    # Beta(0.2, 0.2) folded at 1/2: its mean, by SciPy.
    assert weights.mean() == pytest.approx(0.8986, abs=0.015)


def test_partners_are_found_among_the_usable_alone():
    usable = jnp.array([True, False, True, True, False])
    partners = np.array([draw_image_mix(jax.random.key(seed), usable, 0.2).partner for seed in range(60)])
    assert (partners[:, [1, 4]] == [1, 4]).all()
    assert (np.sort(partners[:, [0, 2, 3]], 1) == [0, 2, 3]).all()
    # All six orders of three come up.
    assert len({tuple(row) for row in partners}) == 6


def test_partners_are_of_one_kind_where_kinds_are_told():
    usable = jnp.array([True, True, True, True, True, False])
    kinds = jnp.array([True, True, True, False, False, False])
    partners = np.array([draw_image_mix(jax.random.key(seed), usable, 0.2, kinds=kinds).partner for seed in range(60)])
    assert (np.sort(partners[:, :3], 1) == [0, 1, 2]).all()
    assert (np.sort(partners[:, 3:5], 1) == [3, 4]).all()
    assert (partners[:, 5] == 5).all()
    assert len({tuple(row) for row in partners}) == 12  # 3! x 2!


def test_donors_are_of_one_kind_where_kinds_are_told():
    boxes = jnp.broadcast_to(jnp.array([12.0, 12, 12, 6, 6, 6]), (4, 2, 6))
    kinds = jnp.array([True, True, False, False])
    donors = np.array(
        [
            draw_object_mix(jax.random.key(seed), boxes, jnp.ones((4, 2), bool), side=SIDE, eta=0.2, kinds=kinds).donor
            for seed in range(40)
        ]
    )
    assert set(np.unique(donors[:, :2])) == {0, 1, 2, 3}
    assert set(np.unique(donors[:, 2:])) == {4, 5, 6, 7}


BOXES = jnp.array([[[8.0, 8, 8, 6, 6, 6]], [[14.0, 12, 15, 9, 9, 9]]])
# The second touches two faces of its patch, and its extents differ.
UNEVEN_BOXES = jnp.array([[[8.0, 10.0, 11, 6, 4, 8]], [[19.0, 12.5, 3.5, 9, 7, 8]]])


def inside(box):
    return (np.abs(np.moveaxis(np.indices((SIDE,) * 3), 0, -1) - box[:3]) <= box[3:] / 2).all(-1)


@pytest.mark.parametrize("boxes", [BOXES, UNEVEN_BOXES])
def test_objects_change_nothing_outside_their_boxes(boxes):
    patches = noise(1)
    mixed = mix_objects(patches, boxes, object_mix([[1], [0]], 0.6), window=16)
    for patch, before, box in zip(np.asarray(mixed), np.asarray(patches), np.asarray(boxes[:, 0]), strict=True):
        np.testing.assert_array_equal(patch[~inside(box)], before[~inside(box)])
        assert (patch[inside(box)] != before[inside(box)]).mean() > 0.99


@pytest.mark.parametrize("boxes", [BOXES, UNEVEN_BOXES])
@pytest.mark.parametrize("window", [11, 16, 30])  # the largest box needs 11
def test_a_donor_arrives_rescaled_to_the_host(boxes, window):
    patches = noise(2)
    mixed = np.asarray(mix_objects(patches, boxes, object_mix([[1], [0]], 0.7), window=window))[..., 0]
    for number in (0, 1):
        host, donor = np.asarray(boxes[number, 0]), np.asarray(boxes[1 - number, 0])
        places = np.argwhere(inside(host))
        source = donor[:3] + (places - host[:3]) / host[3:] * donor[3:]
        sampled = map_coordinates(np.asarray(patches[1 - number, ..., 0]), source.T, order=1, mode="nearest")
        expected = 0.7 * np.asarray(patches[number, ..., 0])[tuple(places.T)] + 0.3 * sampled
        np.testing.assert_allclose(mixed[number][tuple(places.T)], expected, atol=1e-5)


def test_rows_of_padding_change_nothing():
    padded = jnp.concatenate([BOXES, jnp.zeros((2, 2, 6))], 1)
    mix = object_mix([[3, 0, 1], [0, 2, 2]], 0.6, [[True, False, False]] * 2)
    mixed = mix_objects(noise(1), padded, mix, window=16)
    np.testing.assert_allclose(mixed, mix_objects(noise(1), BOXES, object_mix([[1], [0]], 0.6), window=16), atol=1e-6)


def test_donors_are_read_before_anything_is_mixed():
    patches = noise(3)
    both = mix_objects(patches, BOXES, object_mix([[1], [0]], 0.6), window=16)
    first = mix_objects(patches, BOXES, object_mix([[1], [0]], 0.6, [[True], [False]]), window=16)
    second = mix_objects(patches, BOXES, object_mix([[1], [0]], 0.6, [[False], [True]]), window=16)
    np.testing.assert_array_equal(both[0], first[0])
    np.testing.assert_array_equal(both[1], second[1])


def test_objects_too_large_for_the_window_are_left_alone():
    patches = noise(4)
    np.testing.assert_array_equal(mix_objects(patches, BOXES, object_mix([[1], [0]], 0.6), window=10), patches)


def test_another_object_is_drawn_and_never_padding_or_a_cut_box():
    boxes = jnp.array([[[8.0, 8, 8, 6, 6, 6], [1.0, 8, 8, 6, 6, 6]], [[12.0, 12, 12, 6, 6, 6], [0.0] * 6]])
    valid = jnp.array([[True, True], [True, False]])
    for seed in range(20):
        mix = draw_object_mix(jax.random.key(seed), boxes, valid, side=SIDE, eta=0.2)
        np.testing.assert_array_equal(mix.active, [[True, False], [True, False]])
        assert int(mix.donor[0, 0]) == 2
        assert int(mix.donor[1, 0]) == 0


def test_donors_come_with_equal_chance_and_leave_the_host_dominant():
    boxes = jnp.tile(jnp.array([12.0, 12, 12, 6, 6, 6]), (2, 2, 1))
    drawn = [
        draw_object_mix(jax.random.key(seed), boxes, jnp.ones((2, 2), bool), side=SIDE, eta=0.2) for seed in range(300)
    ]
    donors = np.bincount([int(mix.donor[0, 0]) for mix in drawn], minlength=4)
    assert donors[0] == 0
    assert (donors[1:] > 70).all()
    weights = np.array([mix.weight for mix in drawn])
    assert ((weights >= 0.5) & (weights <= 1)).all()
    assert np.corrcoef(weights[:, 0, 0], weights[:, 1, 1])[0, 1] < 0.2


def test_an_object_alone_stays_as_it_is():
    boxes = jnp.concatenate([BOXES, BOXES], 1)
    alone = jnp.zeros((2, 2), bool).at[1, 0].set(True)
    mix = draw_object_mix(jax.random.key(0), boxes, alone, side=SIDE, eta=0.2)
    assert not mix.active.any()
    np.testing.assert_array_equal(mix_objects(noise(5), boxes, mix, window=16), noise(5))
