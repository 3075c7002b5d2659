"""The training step: against a supervised step written out plainly, and what unlabelled patches may and may not do."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medssl_jax.data.patches import scale_windows
from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.assignment import AnchorTargets, assign_anchors
from medssl_jax.detection.prediction import Prediction
from medssl_jax.losses.focal import soft_target_focal_loss
from medssl_jax.ssl import mixup
from medssl_jax.train.focalmix_step import (
    FocalMixSettings,
    Patches,
    collapse_warning,
    detection_loss,
    focalmix_step,
    guess_metrics,
    guess_patches,
    label_patches,
    mix_patches,
    unlabelled_weight,
)
from medssl_jax.train.state import TrainState

SIDE, WINDOW = 16, 20
GRID = AnchorGrid(SIDE, (AnchorLevel(4, (4.5, 7.0)), AnchorLevel(8, (12.0,))))
SETTINGS = FocalMixSettings(
    seed=0,
    positive_iou=0.35,
    ignored_iou=0.1,
    negative_weight=0.05,
    positive_weight=0.95,
    gamma=2.0,
    box_weight=1.0,
    views=1,
    view_group="flips",
    temperature=1.0,
    ramp_start=0,
    ramp_steps=0,
    image_mixup=False,
    object_mixup=False,
    mixing_groups=1,
    eta=0.2,
    object_window=16,
    object_score=0.9,
    object_nms_iou=0.1,
    ema_decay=0.0,
    judge_guesses=False,
)
OPTIMISER = optax.sgd(0.1)
METHOD = {"views": 4, "temperature": 0.7, "image_mixup": True, "object_mixup": True}


def predict(params, patches):
    """A linear detector: each anchor sees the mean of its place."""
    grids = []
    for level, shape in zip(GRID.levels, GRID.grid_shapes, strict=True):
        n, s = shape[0], level.stride
        means = patches[..., 0].reshape(-1, n, s, n, s, n, s).mean((2, 4, 6))[..., None, None]
        weight = params["weight"][: shape[3] * 5].reshape(shape[3], 5)
        grids.append(means * weight + params["bias"])
    values = GRID.flatten(grids)
    return Prediction(values[..., 0], values[..., 1:])


PARAMS = {"weight": jnp.linspace(-1, 1, 10), "bias": jnp.array([-2.0, 0.1, 0.2, 0.0, -0.1])}


def batch(seed, count=2, labelled=True):
    rng = np.random.default_rng(seed)
    boxes = np.zeros((count, 3, 6), np.float32)
    boxes[:, 0] = [[*rng.uniform(5, 11, 3), 6, 6, 6] for _ in range(count)]
    return {
        "window_hu": jnp.asarray(rng.integers(-1200, 600, (count, WINDOW, WINDOW, WINDOW)).astype(np.int16)),
        "scale": jnp.asarray(rng.uniform(0.8, 1.2, count), jnp.float32),
        "boxes_zyxdhw": jnp.asarray(boxes),
        "valid": jnp.broadcast_to(jnp.array([labelled, False, False]), (count, 3)),
    }


def fresh_state(step=0, **options):
    state = TrainState.create(PARAMS, OPTIMISER, **({"keep_ema": False} | options))
    return state.replace(step=jnp.array(step, jnp.int32))


@functools.cache
def compiled_step(settings):
    return jax.jit(functools.partial(focalmix_step, predict=predict, optimiser=OPTIMISER, grid=GRID, settings=settings))


def step(batches, state=None, **changes):
    return compiled_step(dataclasses.replace(SETTINGS, **changes))(state or fresh_state(), batches)


label = jax.jit(functools.partial(label_patches, grid=GRID, settings=SETTINGS))
mix = jax.jit(mix_patches, static_argnums=2)


def plain_supervised_gradient(labelled):
    """Focal loss and smooth L1 written out with NumPy and optax, sharing only assignment with the code under test."""
    voxels = scale_windows(labelled["window_hu"], labelled["scale"], SIDE)
    targets = [
        assign_anchors(
            jnp.asarray(GRID.boxes_zyxdhw()), boxes, valid, patch_side=SIDE, positive_iou=0.35, ignored_iou=0.1
        )
        for boxes, valid in zip(labelled["boxes_zyxdhw"], labelled["valid"], strict=True)
    ]
    y, ignored, codes = (jnp.stack([getattr(t, name) for t in targets]) for name in ("probability", "ignored", "codes"))
    count = jnp.maximum(1, y.sum())

    def loss(params):
        prediction = predict(params, voxels)
        focal = optax.sigmoid_focal_loss(prediction.logits, y, alpha=0.95, gamma=2.0)
        smooth_l1 = optax.huber_loss(prediction.codes, codes).sum(-1)
        return (focal * ~ignored).sum() / count + (smooth_l1 * y).sum() / count

    return jax.grad(loss)(PARAMS)


def assert_same(a, b, **tolerance):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(left, right, **({"rtol": 1e-5, "atol": 1e-6} | tolerance))


def test_without_unlabelled_patches_and_mixing_it_is_the_supervised_step():
    labelled = batch(0)
    state, _ = step({"labelled": labelled})
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, PARAMS, plain_supervised_gradient(labelled))
    assert_same(state.params, expected)


def test_mixing_with_full_weight_is_the_supervised_step(monkeypatch):
    labelled = batch(0, count=4)
    monkeypatch.setattr(mixup, "_draw_weights", lambda key, shape, eta: jnp.ones(shape))
    compiled_step.cache_clear()
    plain, _ = step({"labelled": labelled})
    mixed, _ = step({"labelled": labelled}, image_mixup=True, object_mixup=True)
    compiled_step.cache_clear()
    assert_same(mixed.params, plain.params)


@pytest.mark.parametrize("mixing", [{}, METHOD])
def test_unlabelled_patches_without_weight_change_nothing(mixing):
    """Before the ramp, no voxel and no guess of an unlabelled patch may reach a labelled one, MixUp or not."""
    labelled = batch(0, count=4)
    runs = [
        step({"labelled": labelled, "unlabelled": batch(seed, labelled=False)}, ramp_start=10, **mixing)[0]
        for seed in (1, 2)
    ]
    assert_same(runs[0].params, runs[1].params, rtol=0, atol=0)
    if not mixing:
        assert_same(runs[0].params, step({"labelled": labelled})[0].params)


def test_object_mixup_leaves_all_but_the_voxels():
    patches = label(batch(0, count=4))
    mixed = mix(patches, jax.random.key(0), dataclasses.replace(SETTINGS, object_mixup=True))
    assert not np.array_equal(mixed.voxels, patches.voxels)
    assert_same(mixed._replace(voxels=patches.voxels), patches, rtol=0, atol=0)


def test_the_guess_is_a_constant():
    """The gradient is that of the loss with the targets written down beforehand."""
    unlabelled, labelled = batch(1, labelled=False), batch(0)
    state, _ = step({"labelled": labelled, "unlabelled": unlabelled})
    settings = SETTINGS
    patches = label(labelled)
    guess = guess_patches(
        lambda voxels: predict(PARAMS, voxels), unlabelled, jax.random.key(0), jnp.array(1.0), GRID, settings
    )
    both = jax.tree.map(lambda *parts: jnp.concatenate(parts), patches, guess)
    frozen = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), both)
    gradient = jax.grad(lambda p: detection_loss(predict(p, frozen.voxels), frozen, frozen, settings)[0])(PARAMS)
    assert_same(state.params, jax.tree.map(lambda p, g: p - 0.1 * g, PARAMS, gradient))


def test_a_model_that_agrees_with_itself_learns_nothing_from_unlabelled_patches():
    # One view and T = 1: the target is the prediction, where the soft-target focal loss is zero.
    state, metrics = step({"labelled": batch(0, labelled=False), "unlabelled": batch(1, labelled=False)})
    alone, _ = step({"labelled": batch(0, labelled=False)})
    assert_same(state.params, alone.params)
    assert float(metrics["loss_class_unlabelled"][0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("judge_guesses", [False, True])
def test_no_box_is_learnt_from_unlabelled_patches(judge_guesses):
    unlabelled = batch(1)  # its boxes are there, but the step must not learn from them
    blind = unlabelled | {"boxes_zyxdhw": jnp.zeros((2, 3, 6)), "valid": jnp.zeros((2, 3), bool)}
    seen, _ = step({"labelled": batch(0), "unlabelled": unlabelled}, judge_guesses=judge_guesses, **METHOD)
    unseen, _ = step({"labelled": batch(0), "unlabelled": blind}, judge_guesses=judge_guesses, **METHOD)
    assert_same(seen.params, unseen.params, rtol=0, atol=0)


def test_the_normaliser_counts_targets_before_mixing():
    """Halving every target by mixing must not halve the divisor."""
    patches = label(batch(0))
    prediction = predict(PARAMS, patches.voxels)
    halved = patches._replace(targets=patches.targets._replace(probability=patches.targets.probability * 0.4))
    _, metrics = detection_loss(prediction, halved, patches, SETTINGS)
    focal = soft_target_focal_loss(
        prediction.logits, halved.targets.probability, negative_weight=0.05, positive_weight=0.95, gamma=2.0
    )
    positives = (patches.targets.probability == 1).sum()
    expected = (focal * ~patches.targets.ignored).sum() / positives
    assert float(metrics["loss_class"][0]) == pytest.approx(float(expected), rel=1e-5)


def test_an_anchor_ignored_in_either_source_is_ignored():
    patches = label(batch(0))
    mixed = mix(patches, jax.random.key(3), dataclasses.replace(SETTINGS, image_mixup=True))
    drawn = mixup.draw_image_mix(jax.random.split(jax.random.key(3))[0], jnp.ones(2, bool), 0.2)
    assert (drawn.weight < 1).all()
    expected = patches.targets.ignored | patches.targets.ignored[drawn.partner]
    np.testing.assert_array_equal(mixed.targets.ignored, expected)
    assert expected.any()


@pytest.mark.parametrize(
    ("weight", "guessed", "expected"),
    [(1.0, 0.5, None), (1.0, 0.0, "may collapse"), (0.1, 40.0, "may explode"), (0.0, 40.0, None)],
)
def test_both_collapses_are_warned_of_once_guesses_count(weight, guessed, expected):
    means = {"labelled_positive": 2.0, "unlabelled_weight": weight, "unlabelled_positive": guessed}
    warning = collapse_warning(means)
    assert warning is None if expected is None else expected in warning


@pytest.mark.parametrize(("at", "expected"), [(0, 0), (9, 0), (10, 0.05), (19, 0.5), (29, 1), (500, 1)])
def test_the_ramp(at, expected):
    settings = dataclasses.replace(SETTINGS, ramp_start=10, ramp_steps=20)
    assert float(unlabelled_weight(jnp.array(at), settings)) == pytest.approx(expected, abs=1e-6)


def test_every_step_draws_anew_and_every_run_alike():
    batches = {"labelled": batch(0), "unlabelled": batch(1, labelled=False)}
    first, _ = step(batches, **METHOD)
    again, _ = step(batches, **METHOD)
    later, _ = step(batches, fresh_state(step=1), **METHOD)
    assert_same(first.params, again.params, rtol=0, atol=0)
    assert not np.array_equal(first.params["weight"], later.params["weight"])


def test_metrics_tell_labelled_from_unlabelled():
    _, metrics = step({"labelled": batch(0), "unlabelled": batch(1, labelled=False)}, **METHOD)
    total, count = metrics["labelled_positive"]
    assert count == 2
    assert total > 0
    assert metrics["unlabelled_positive"][0] == 0
    assert metrics["unlabelled_target_largest"][0] < 1
    assert np.isfinite(metrics["gradient_norm"][0])


def test_guesses_are_judged_by_the_boxes_that_were_hidden():
    """Four anchors: two on a nodule, one beside it and ignored, one on background."""
    shape = (1, 4)
    truth = AnchorTargets(
        jnp.array([[1.0, 1.0, 0.0, 0.0]]), jnp.array([[False, False, True, False]]), jnp.zeros((*shape, 4))
    )
    probability = jnp.array([[0.9, 0.3, 0.8, 0.6]])
    guess = Patches(
        voxels=jnp.zeros((1, 2, 2, 2, 1)),
        targets=AnchorTargets(probability, jnp.zeros(shape, bool), jnp.zeros((*shape, 4))),
        labelled=jnp.zeros(1, bool),
        weight=jnp.ones(1),
        boxes=jnp.zeros((1, 3, 6)),
        box_valid=jnp.zeros((1, 3), bool),
    )
    metrics = {name: (float(total), int(count)) for name, (total, count) in guess_metrics(guess, truth).items()}
    assert metrics == {"guess_on_nodules": (pytest.approx(1.2), 2), "guess_false_share": (1, 3)}


def test_a_supervised_step_reports_no_unlabelled_patches():
    _, metrics = step({"labelled": batch(0)})
    assert metrics["unlabelled_positive"][1] == 0


def test_the_average_follows_the_parameters():
    state, _ = step({"labelled": batch(0)}, fresh_state(keep_ema=True), ema_decay=0.9)
    expected = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, PARAMS, state.params)
    assert_same(state.ema, expected)
    assert state.params_to_evaluate is state.ema
