"""The training step: against a supervised step written out plainly, and what unlabelled patches may and may not do.

A step takes seconds to compile, so tests share a few: `ramp_start` is 10, and the step of a state says whether
pseudo-labels count.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit

from medssl_jax.data.scans.patches import scale_windows
from medssl_jax.detection import symmetries
from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.assignment import AnchorTargets, assign_anchors
from medssl_jax.detection.prediction import Prediction
from medssl_jax.losses.focal import soft_target_focal_loss
from medssl_jax.models.detector import AnchorSettings
from medssl_jax.parallel.sharding import DataParallel
from medssl_jax.ssl import mixup
from medssl_jax.steps import focalmix_step as focalmix_step_module
from medssl_jax.steps.focalmix_settings import (
    AugmentationSettings,
    FocalMixSettings,
    LossSettings,
    MixUpSettings,
    SslSettings,
)
from medssl_jax.steps.focalmix_step import (
    Patches,
    collapse_warning,
    detection_loss,
    focalmix_step,
    in_groups,
    label_patches,
    mix_patches,
    pseudo_label_metrics,
    pseudo_label_patches,
    target_metrics,
    unlabelled_weight,
)
from medssl_jax.steps.state import TrainState

SIDE, WINDOW = 16, 20
GRID = AnchorGrid(SIDE, (AnchorLevel(4, (4.5, 7.0)), AnchorLevel(8, (12.0,))))
SETTINGS = FocalMixSettings(
    anchors=AnchorSettings(strides=(4, 8), sides_mm=((4.5, 7.0), (12.0,)), positive_iou=0.35, ignored_iou=0.1),
    loss=LossSettings(negative_weight=0.05, positive_weight=0.95, gamma=2.0, box_weight=1.0, normaliser="common"),
    ssl=SslSettings(
        weight=1.0,
        targets="pseudo",
        sure_positive_ratio=1.0,
        sure_positive_from=0.3,
        sure_background_below=0.2,
        teacher="student",
        views=1,
        views_at_once=1,
        view_group="flips",
        temperature=1.0,
        ramp_start_share=0.5,
        ramp_share=0.0,
        judge_pseudo_labels=False,
    ),
    window_hu=(-1200, 600),
    augmentation=AugmentationSettings(
        labelled=False, intensity_scale=0.0, intensity_shift=0.0, blur=0.0, noise=0.0, cut_out=0.0
    ),
    mixup=MixUpSettings(
        across=True,
        image=False,
        object=False,
        group=16,
        eta=0.2,
        object_window=16,
        object_score=0.9,
        object_nms_iou=0.1,
    ),
    ramp_start=10,
    ramp_steps=0,
    mixing_groups=1,
    ema_decay=0.9,
)


def changed(**changes):
    """The settings with other values, of fields such as `ema_decay` and `loss.gamma`."""
    settings = SETTINGS
    for field, value in changes.items():
        section, _, name = field.rpartition(".")
        if section:
            name, value = section, dataclasses.replace(getattr(settings, section), **{name: value})
        settings = dataclasses.replace(settings, **{name: value})
    return settings


OPTIMISER = optax.sgd(0.1)
BEFORE_THE_RAMP, AFTER_THE_RAMP = 0, 20
METHOD = {"ssl.views": 4, "ssl.temperature": 0.7, "mixup.image": True, "mixup.object": True}


# What an anchor says depends on where it lies, so that no turn of a patch leaves the answers as they were.
TILT = (GRID.boxes_zyxdhw()[:, :3] - 7.5) @ np.array([0.06, -0.05, 0.1], np.float32)


def predict(params, patches):
    """A linear detector: each anchor sees the mean of its place."""
    grids = []
    for level, shape in zip(GRID.levels, GRID.grid_shapes, strict=True):
        n, s = shape[0], level.stride
        means = patches[..., 0].reshape(-1, n, s, n, s, n, s).mean((2, 4, 6))[..., None, None]
        weight = params["weight"][: shape[3] * 5].reshape(shape[3], 5)
        grids.append(means * weight + params["bias"])
    values = GRID.flatten(grids) + params["tilt"] * TILT[:, None]
    return Prediction(values[..., 0], values[..., 1:])


PARAMS = {"weight": jnp.linspace(-1, 1, 10), "bias": jnp.array([-2.0, 0.1, 0.2, 0.0, -0.1]), "tilt": jnp.array(1.0)}


def batch(seed, count=3, labelled=True):
    rng = np.random.default_rng(seed)
    boxes = np.zeros((count, 3, 6), np.float32)
    boxes[:, 0] = [[*rng.uniform(5, 11, 3), 6, 6, 6] for _ in range(count)]
    return {
        "window_hu": jnp.asarray(rng.integers(-1200, 600, (count, WINDOW, WINDOW, WINDOW)).astype(np.int16)),
        "scale": jnp.asarray(rng.uniform(0.8, 1.2, count), jnp.float32),
        "boxes_zyxdhw": jnp.asarray(boxes),
        "valid": jnp.broadcast_to(jnp.array([labelled, False, False]), (count, 3)),
    }


BATCHES = {"labelled": batch(0), "unlabelled": batch(1, labelled=False)}


def fresh_state(step=AFTER_THE_RAMP):
    return TrainState.create(PARAMS, OPTIMISER, keep_ema=True).replace(step=jnp.array(step, jnp.int32))


@functools.cache
def compiled_step(settings):
    return jax.jit(functools.partial(focalmix_step, predict=predict, optimiser=OPTIMISER, grid=GRID, settings=settings))


def step(batches, state=None, **changes):
    return compiled_step(changed(**changes))(state or fresh_state(), batches)


@pytest.fixture(autouse=True)
def _weights_that_compile_at_once(monkeypatch):
    """Beta's sampler takes seconds to compile, and its law is tested with MixUp; these depend on eta as well."""

    def draw_weights(key, shape, eta):
        return 1 - eta * jax.random.uniform(key, shape, minval=0.2)

    monkeypatch.setattr(mixup, "_draw_weights", draw_weights)


RATE = jnp.array(2.0)  # positive anchors of a labelled patch
label = jax.jit(functools.partial(label_patches, grid=GRID, settings=SETTINGS))
pseudo_label = jax.jit(
    lambda params, batch, key, weight, settings: pseudo_label_patches(
        functools.partial(predict, params), batch, key, weight, GRID, settings, labelled_rate=RATE
    ),
    static_argnums=4,
)
mix = jax.jit(mix_patches, static_argnums=2)
loss_of = jax.jit(detection_loss, static_argnums=3)
VIEWS_ONLY = changed(**{"ssl.views": 4, "ssl.temperature": 0.7})
BOTH_MIXINGS = changed(**{"mixup.image": True, "mixup.object": True})


@jax.jit
def plain_supervised_gradient(labelled):
    """Focal loss and smooth L1 written out with optax, sharing only scaling and assignment with the code under test."""
    voxels = scale_windows(labelled["window_hu"], labelled["scale"], SIDE)
    assign = functools.partial(assign_anchors, patch_side=SIDE, positive_iou=0.35, ignored_iou=0.1)
    anchors = jnp.asarray(GRID.boxes_zyxdhw())
    y, ignored, deltas = jax.vmap(assign, (None, 0, 0))(anchors, labelled["boxes_zyxdhw"], labelled["valid"])
    count = jnp.maximum(1, y.sum())

    def loss(params):
        prediction = predict(params, voxels)
        focal = optax.sigmoid_focal_loss(prediction.logits, y, alpha=0.95, gamma=2.0)
        smooth_l1 = optax.huber_loss(prediction.deltas, deltas).sum(-1)
        return focal.sum(where=~ignored) / count + (smooth_l1 * y).sum() / count

    return jax.grad(loss)(PARAMS)


def assert_same(a, b, **tolerance):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(left, right, **({"rtol": 1e-5, "atol": 1e-6} | tolerance))


def test_nothing_is_learnt_where_a_box_is_doubtful():
    known = batch(0)
    nobody = jnp.zeros_like(known["valid"])
    plain, none = label(known), label(known | {"valid": nobody})
    in_doubt = label(known | {"valid": nobody, "doubtful": known["valid"]})
    assert_same(label(known | {"doubtful": nobody}), plain)
    np.testing.assert_array_equal(in_doubt.targets.probability, none.targets.probability)
    touched = plain.targets.ignored | (plain.targets.probability == 1)
    assert touched.any()
    np.testing.assert_array_equal(in_doubt.targets.ignored, touched)
    assert not in_doubt.box_valid.any()
    both = label(known | {"doubtful": known["valid"]})  # a nodule beside a doubtful one stays a nodule
    np.testing.assert_array_equal(both.targets.probability, plain.targets.probability)
    np.testing.assert_array_equal(both.targets.ignored, plain.targets.ignored)


def test_marks_stand_for_hidden_labels():
    """Boxes of the batch are targets either way; no view is predicted, and none is judged by itself."""
    marked = BATCHES | {"unlabelled": batch(1) | {"doubtful": jnp.zeros((3, 3), bool)}}
    of_marks, metrics = step(marked, **{"ssl.targets": "marks", "ssl.judge_pseudo_labels": True})
    of_truth, judged = step(
        BATCHES | {"unlabelled": batch(1)}, **{"ssl.targets": "truth", "ssl.judge_pseudo_labels": True}
    )
    assert_same(of_marks, of_truth)
    assert "pseudo_label_precision" in judged
    assert not [name for name in metrics if name.startswith("pseudo_label_")]


def test_without_unlabelled_patches_and_mixing_it_is_the_supervised_step():
    labelled = batch(0)
    state, metrics = step({"labelled": labelled})
    gradient = plain_supervised_gradient(labelled)
    assert_same(state.params, jax.tree.map(lambda p, g: p - 0.1 * g, PARAMS, gradient))
    assert float(metrics["gradient_norm"][0]) == pytest.approx(float(optax.tree.norm(gradient)), rel=1e-5)
    assert state.step == AFTER_THE_RAMP + 1


def test_mixing_with_full_weight_is_the_supervised_step(monkeypatch):
    labelled = batch(0)
    monkeypatch.setattr(mixup, "_draw_weights", lambda key, shape, eta: jnp.ones(shape))
    mixed, _ = step({"labelled": labelled}, **{"mixup.image": True, "mixup.object": True})
    plain, _ = step({"labelled": labelled})
    compiled_step.cache_clear()
    assert_same(mixed.params, plain.params)


@pytest.mark.parametrize("mixing", [{}, METHOD])
def test_unlabelled_patches_without_weight_change_nothing(mixing):
    """Before the ramp, no voxel and no pseudo-label of an unlabelled patch may reach a labelled one, MixUp or not."""
    before = fresh_state(BEFORE_THE_RAMP)
    runs = [step(BATCHES | {"unlabelled": batch(seed, labelled=False)}, before, **mixing)[0] for seed in (1, 2)]
    assert_same(runs[0].params, runs[1].params, rtol=0, atol=0)
    if not mixing:
        assert_same(runs[0].params, step({"labelled": batch(0)})[0].params)


def test_a_pseudo_label_is_the_sharpened_mean_of_what_is_said_of_each_view():
    """Turned, predicted, turned back and averaged with NumPy, flip by flip."""
    key, unlabelled = jax.random.key(5), BATCHES["unlabelled"]
    found = pseudo_label(PARAMS, unlabelled, key, jnp.array(0.25), VIEWS_ONLY)
    voxels = np.asarray(scale_windows(unlabelled["window_hu"], unlabelled["scale"], SIDE))
    mean = 0.0
    for flips in np.asarray(symmetries.draw_views(key, 4, symmetries.FLIPS).flips):
        axes = tuple(1 + np.flatnonzero(flips))
        logits = predict(PARAMS, np.flip(voxels, axes)).logits
        turned_back = [np.flip(level, axes) for level in GRID.fold(jax.nn.sigmoid(logits)[..., None])]
        mean = mean + np.concatenate([level.reshape(3, -1) for level in turned_back], 1) / 4
    plain = expit(np.asarray(predict(PARAMS, voxels).logits))
    assert np.abs(mean - plain).max() > 0.05  # the views differ
    powers = mean ** (1 / 0.7), (1 - mean) ** (1 / 0.7)
    np.testing.assert_allclose(found.targets.probability, powers[0] / sum(powers), rtol=1e-4)
    np.testing.assert_allclose(found.voxels, voxels, atol=1e-5)
    np.testing.assert_array_equal(found.weight, [0.25] * 3)
    assert not found.labelled.any()
    assert not found.targets.ignored.any()
    assert not found.targets.deltas.any()


def test_objects_of_a_pseudo_label_are_its_confident_boxes():
    """One anchor is sure; one becomes so by sharpening, one does not, and one lies on top of a surer one."""
    levels = [np.full((1, *shape), -9.0) for shape in GRID.grid_shapes]
    levels[0][0, 0, 1, 2, 0] = 5.0
    levels[0][0, 0, 1, 2, 1] = 4.0
    levels[0][0, 2, 2, 0, 1] = np.log(0.85 / 0.15)
    levels[1][0, 1, 0, 0, 0] = np.log(0.80 / 0.20)
    logits = np.concatenate([level.reshape(1, -1) for level in levels], 1).astype(np.float32)
    deltas = np.zeros((*logits.shape, 4), np.float32)
    deltas[..., 0], deltas[..., 3] = 0.5, np.log(1.1)
    one_view = changed(**{"ssl.temperature": 0.7})
    made = jax.jit(
        lambda logits, deltas, batch, key: pseudo_label_patches(
            lambda voxels: Prediction(logits, deltas), batch, key, jnp.array(1.0), GRID, one_view, labelled_rate=RATE
        )
    )(logits, deltas, jax.tree.map(lambda leaf: leaf[:1], BATCHES["unlabelled"]), jax.random.key(0))
    np.testing.assert_array_equal(made.box_valid, [[True, True, False]])
    expected = [[1.5 + 2.25, 5.5, 9.5, *[4.95] * 3], [9.5 + 3.5, 9.5, 1.5, *[7.7] * 3], [0] * 6]
    np.testing.assert_allclose(made.boxes[0], expected, atol=1e-4)


def test_images_are_mixed_in_voxels_targets_and_weights():
    patches = label(batch(0))._replace(weight=jnp.array([1.0, 0.25, 0.5]))
    key = jax.random.key(5)
    drawn = jax.tree.map(
        np.asarray, mixup.draw_image_mix(jax.random.split(key)[0], patches.weight > 0, SETTINGS.mixup.eta)
    )
    assert (drawn.partner != np.arange(3)).all()
    mixed = mix(patches, key, changed(**{"mixup.image": True}))

    def expected(values):
        values = np.asarray(values)
        weight = drawn.weight.reshape(-1, *(1,) * (values.ndim - 1))
        return weight * values + (1 - weight) * values[drawn.partner]

    np.testing.assert_allclose(mixed.voxels, expected(patches.voxels), atol=1e-6)
    np.testing.assert_allclose(mixed.targets.probability, expected(patches.targets.probability), atol=1e-6)
    np.testing.assert_allclose(mixed.weight, expected(patches.weight), atol=1e-6)
    np.testing.assert_array_equal(mixed.targets.deltas, patches.targets.deltas)


def test_an_anchor_ignored_in_either_source_is_ignored():
    patches = label(batch(0))
    mixed = mix(patches, jax.random.key(5), changed(**{"mixup.image": True}))
    drawn = mixup.draw_image_mix(jax.random.split(jax.random.key(5))[0], jnp.ones(3, bool), 0.2)
    assert (drawn.weight < 1).all()
    expected = patches.targets.ignored | patches.targets.ignored[drawn.partner]
    np.testing.assert_array_equal(mixed.targets.ignored, expected)
    assert expected.any()


def test_object_mixup_leaves_all_but_the_voxels():
    patches = label(batch(0))
    mixed = mix(patches, jax.random.key(0), changed(**{"mixup.object": True}))
    assert not np.array_equal(mixed.voxels, patches.voxels)
    assert_same(mixed._replace(voxels=patches.voxels), patches, rtol=0, atol=0)


def test_objects_are_mixed_on_top_of_images():
    patches, key = label(batch(0)), jax.random.key(3)
    images_only = mix(patches, key, changed(**{"mixup.image": True}))
    both = mix(patches, key, BOTH_MIXINGS)
    places = np.moveaxis(np.indices((SIDE,) * 3), 0, -1)
    for number, box in enumerate(np.asarray(patches.boxes[:, 0])):
        inside = (np.abs(places - box[:3]) <= box[3:] / 2).all(-1)
        differs = np.asarray(both.voxels != images_only.voxels)[number, ..., 0]
        assert not differs[~inside].any()
        assert differs[inside].any()
    assert not np.array_equal(images_only.voxels, patches.voxels)


def test_patches_that_do_not_count_give_neither_images_nor_objects():
    """Their boxes are there and whole: only their weight keeps them out."""
    patches = label(batch(0))._replace(weight=jnp.array([1.0, 1.0, 0.0]))
    other = patches._replace(voxels=patches.voxels.at[2].set(0.5))
    for seed in range(4):
        key = jax.random.key(seed)
        voxels, seen = (mix(each, key, BOTH_MIXINGS).voxels[:2] for each in (patches, other))
        np.testing.assert_array_equal(voxels, seen)
        assert not np.array_equal(voxels, patches.voxels[:2])


def test_each_group_has_as_many_labelled_as_unlabelled_patches():
    def numbered(first, labelled):
        numbers = jnp.arange(first, first + 4.0)
        return jax.tree.map(lambda leaf: numbers, label(batch(0)))._replace(labelled=jnp.full(4, labelled))

    grouped = in_groups([numbered(0, True), numbered(10, False)], 2)
    np.testing.assert_array_equal(grouped.weight, [[0, 1, 10, 11], [2, 3, 12, 13]])
    np.testing.assert_array_equal(grouped.labelled, [[True, True, False, False]] * 2)


def test_every_draw_of_a_run_has_a_key_of_its_own(monkeypatch):
    """Views and each group's mix, step after step; a step is left where the mixing would begin."""
    taken = []

    class ReachedMixing(Exception):  # noqa: N818 - no error
        pass

    class Watching(DataParallel):
        def map_groups(self, function, patches, keys):
            taken.extend(keys)
            raise ReachedMixing

    def take_key(predict, batch, key, *_, **__):
        taken.append(key)
        return label(batch)

    monkeypatch.setattr(focalmix_step_module, "label_patches", lambda batch, grid, settings: label(batch))
    monkeypatch.setattr(focalmix_step_module, "pseudo_label_patches", take_key)
    for number in range(3):
        with pytest.raises(ReachedMixing):
            focalmix_step(
                *(fresh_state(number), BATCHES),
                predict=predict,
                optimiser=OPTIMISER,
                grid=GRID,
                settings=changed(mixing_groups=3),
                sharding=Watching(),
            )
    assert len({np.asarray(jax.random.key_data(key)).tobytes() for key in taken}) == 3 * (1 + 3)


def test_the_pseudo_label_is_a_constant():
    """The gradient is that of the loss with the targets written down beforehand."""
    state, _ = step(BATCHES)
    patches = label(BATCHES["labelled"])
    pseudo_labelled = pseudo_label(PARAMS, BATCHES["unlabelled"], jax.random.key(0), jnp.array(1.0), SETTINGS)
    frozen = jax.tree.map(lambda *parts: jnp.concatenate(parts), patches, pseudo_labelled)

    @jax.jit
    def gradient(frozen):
        return jax.grad(lambda p: detection_loss(predict(p, frozen.voxels), frozen, frozen, SETTINGS)[0])(PARAMS)

    assert_same(state.params, jax.tree.map(lambda p, g: p - 0.1 * g, PARAMS, gradient(frozen)))


def test_a_model_that_agrees_with_itself_learns_nothing_from_unlabelled_patches():
    # One view and T = 1: the target is the prediction, where the soft-target focal loss is zero.
    healthy = batch(0, labelled=False)
    state, metrics = step(BATCHES | {"labelled": healthy})
    alone, _ = step({"labelled": healthy})
    assert_same(state.params, alone.params)
    assert float(metrics["loss_class_unlabelled"][0]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("judge_pseudo_labels", [False, True])
def test_no_box_is_learnt_from_unlabelled_patches(judge_pseudo_labels):
    unlabelled = batch(1)  # its boxes are there, but the step must not learn from them
    blind = unlabelled | {"boxes_zyxdhw": jnp.zeros((3, 3, 6)), "valid": jnp.zeros((3, 3), bool)}
    (seen, metrics), (unseen, _) = (
        step(BATCHES | {"unlabelled": each}, **{"ssl.judge_pseudo_labels": judge_pseudo_labels}, **METHOD)
        for each in (unlabelled, blind)
    )
    assert_same(seen.params, unseen.params, rtol=0, atol=0)
    assert ("pseudo_label_on_nodules" in metrics) == judge_pseudo_labels


def test_the_average_follows_the_parameters_and_labels_nothing():
    state = fresh_state()
    other = state.replace(ema=jax.tree.map(jnp.zeros_like, PARAMS))
    after, after_other = (step(BATCHES, each, **METHOD)[0] for each in (state, other))
    assert_same(after.params, after_other.params, rtol=0, atol=0)
    for each, before in ((after, PARAMS), (after_other, other.ema)):
        assert_same(each.ema, jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, before, each.params))
        assert each.params_to_evaluate is each.ema


def test_every_step_draws_anew_and_every_run_alike():
    first, _ = step(BATCHES, **METHOD)
    again, _ = step(BATCHES, **METHOD)
    later, _ = step(BATCHES, fresh_state(AFTER_THE_RAMP + 1), **METHOD)
    assert_same(first.params, again.params, rtol=0, atol=0)
    assert not np.array_equal(first.params["weight"], later.params["weight"])


def test_other_seeds_draw_otherwise():
    first, _ = step(BATCHES, **METHOD)
    other, _ = step(BATCHES, fresh_state().replace(seed=jnp.uint32(1)), **METHOD)
    assert int(other.seed) == 1
    assert not np.array_equal(first.params["weight"], other.params["weight"])


def made_up_patches(rng, rows=4, anchors=50):
    """Patches without voxels: the last two are unlabelled."""
    labelled = np.arange(rows) < 2
    hard = rng.random((rows, anchors)) < 0.1
    probability = np.where(labelled[:, None], hard, rng.random((rows, anchors)) ** 3)
    targets = AnchorTargets(probability, rng.random((rows, anchors)) < 0.2, rng.normal(size=(rows, anchors, 4)))
    patches = Patches(np.zeros((rows, 1)), targets, labelled, np.array([1, 0.7, 0.5, 0.5]), np.zeros(()), np.zeros(()))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, bool if leaf.dtype == bool else jnp.float32), patches)


def test_the_loss_by_the_formula():
    """With NumPy in float64: what is divided by what, who counts how much, and whose boxes are learnt."""
    rng = np.random.default_rng(0)
    before, mixed = made_up_patches(rng), made_up_patches(rng)
    logits, deltas = rng.normal(size=(4, 50)), rng.normal(size=(4, 50, 4))
    settings = changed(**{"loss.box_weight": 0.3})
    prediction = Prediction(jnp.asarray(logits, jnp.float32), jnp.asarray(deltas, jnp.float32))
    loss, metrics = loss_of(prediction, mixed, before, settings)

    p, y = expit(logits), np.asarray(mixed.targets.probability)
    focal = (0.05 + 0.9 * y) * (y - p) ** 2 * -(y * np.log(p) + (1 - y) * np.log(1 - p))
    focal = (focal * ~np.asarray(mixed.targets.ignored) * np.asarray(mixed.weight)[:, None]).sum(1)
    targets = jax.tree.map(np.asarray, before.targets)
    positives = (((targets.probability >= 0.5) & ~targets.ignored) * np.asarray(before.weight)[:, None]).sum()
    regressed = (targets.probability == 1) & (np.arange(4) < 2)[:, None]
    off = np.abs(deltas - targets.deltas)
    smooth_l1 = np.where(off < 1, off**2 / 2, off - 0.5).sum(-1)
    box_loss = smooth_l1[regressed].mean()
    expected = {
        "loss": focal.sum() / positives + 0.3 * box_loss,
        "loss_class": focal.sum() / positives,
        "loss_class_labelled": focal[:2].sum() / positives,
        "loss_class_unlabelled": focal[2:].sum() / positives,
        "loss_box": box_loss,
    }
    assert positives > 2
    assert {name: (float(total), float(count)) for name, (total, count) in metrics.items()} == {
        name: (pytest.approx(value, rel=1e-5), 1) for name, value in expected.items()
    }
    assert float(loss) == pytest.approx(expected["loss"], rel=1e-5)


def test_without_a_positive_the_loss_is_that_of_one():
    nothing = jax.tree.map(jnp.zeros_like, made_up_patches(np.random.default_rng(0)))._replace(weight=jnp.ones(4))
    loss, _ = loss_of(Prediction(jnp.zeros((4, 50)), jnp.ones((4, 50, 4))), nothing, nothing, SETTINGS)
    assert float(loss) == pytest.approx(4 * 50 * 0.05 * 0.5**2 * np.log(2), rel=1e-5)


def test_the_normaliser_counts_targets_before_mixing():
    """Halving every target by mixing must not halve the divisor."""
    patches = label(batch(0))
    prediction = predict(PARAMS, patches.voxels)
    halved = patches._replace(targets=patches.targets._replace(probability=patches.targets.probability * 0.4))
    _, metrics = loss_of(prediction, halved, patches, SETTINGS)
    focal = soft_target_focal_loss(
        prediction.logits, halved.targets.probability, negative_weight=0.05, positive_weight=0.95, gamma=2.0
    )
    positives = int((patches.targets.probability == 1).sum())
    expected = focal.sum(where=~patches.targets.ignored) / positives
    assert float(metrics["loss_class"][0]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("weight", "unlabelled", "expected"),
    [
        (1.0, 0.5, None),
        (1.0, 0.0, "may collapse"),
        (1.0, 0.04, "may collapse"),
        (1.0, 0.06, None),
        (1.0, 9.9, None),
        (0.1, 10.0, "may explode"),
        (0.1, 40.0, "may explode"),
        (0.0, 40.0, None),
    ],
)
def test_both_collapses_are_warned_of_once_pseudo_labels_count(weight, unlabelled, expected):
    means = {"labelled_positive": 2.0, "unlabelled_weight": weight, "unlabelled_positive": unlabelled}
    warning = collapse_warning(means)
    assert warning is None if expected is None else expected in warning


@pytest.mark.parametrize(
    "means", [{}, {"labelled_positive": 0.0, "unlabelled_weight": 1.0, "unlabelled_positive": 3.0}]
)
def test_without_pseudo_labels_or_labels_nothing_is_compared(means):
    assert collapse_warning(means) is None


@pytest.mark.parametrize(
    ("at", "ramp_steps", "expected"),
    [
        (0, 20, 0),
        (9, 20, 0),
        (10, 20, 0.05),
        (19, 20, 0.5),
        (29, 20, 1),
        (500, 20, 1),
        (9, 0, 0),
        (10, 0, 1),
        (11, 0, 1),
    ],
)
def test_the_ramp(at, ramp_steps, expected):
    settings = changed(ramp_start=10, ramp_steps=ramp_steps)
    assert float(unlabelled_weight(jnp.array(at), settings)) == pytest.approx(expected, abs=1e-6)


def test_metrics_tell_labelled_from_unlabelled():
    _, metrics = step(BATCHES, **METHOD)
    total, count = metrics["labelled_positive"]
    assert count == 3
    assert total > 0
    assert metrics["unlabelled_positive"][0] == 0
    assert metrics["unlabelled_target_largest"][0] < 1
    assert np.isfinite(metrics["gradient_norm"][0])
    assert metrics["unlabelled_weight"] == (1, 1)


def test_what_targets_look_like_by_hand():
    """Two labelled patches and an unlabelled one, three anchors each; the second anchor of the first is ignored."""
    probability = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.4, 0.9]])
    ignored = jnp.zeros((3, 3), bool).at[0, 1].set(True)
    targets = AnchorTargets(probability, ignored, jnp.zeros((3, 3, 4)))
    labelled = jnp.array([True, True, False])
    found = target_metrics(Patches(jnp.zeros(()), targets, labelled, jnp.ones(3), jnp.zeros(()), jnp.zeros(())))
    assert {name: (pytest.approx(float(total)), float(count)) for name, (total, count) in found.items()} == {
        "labelled_positive": (2, 2),
        "labelled_target_sum": (3, 2),
        "labelled_target_largest": (2, 2),
        "labelled_confident_mean": (2, 2),
        "labelled_confident_share": (2, 6),
        "unlabelled_positive": (2, 1),
        "unlabelled_target_sum": (pytest.approx(1.8), 1),
        "unlabelled_target_largest": (pytest.approx(0.9), 1),
        "unlabelled_confident_mean": (pytest.approx(1.4), 2),
        "unlabelled_confident_share": (2, 3),
    }


def test_pseudo_labels_are_judged_by_the_boxes_that_were_hidden():
    """Five anchors: three on a nodule, one beside it and ignored, one on background."""
    shape = (1, 5)
    truth = AnchorTargets(
        *(jnp.array([[1.0, 1.0, 1.0, 0.0, 0.0]]), jnp.array([[False, False, False, True, False]])),
        jnp.zeros((*shape, 4)),
    )
    probability = jnp.array([[0.9, 0.7, 0.3, 0.8, 0.6]])
    pseudo_labelled = Patches(
        voxels=jnp.zeros((1, 2, 2, 2, 1)),
        targets=AnchorTargets(probability, jnp.zeros(shape, bool), jnp.zeros((*shape, 4))),
        labelled=jnp.zeros(1, bool),
        weight=jnp.ones(1),
        boxes=jnp.zeros((1, 3, 6)),
        box_valid=jnp.zeros((1, 3), bool),
    )
    found = pseudo_label_metrics(pseudo_labelled, truth)
    metrics = {name: (float(total), int(count)) for name, (total, count) in found.items()}
    assert metrics == {
        "pseudo_label_on_nodules": (pytest.approx(1.9), 3),
        "pseudo_label_false_share": (1, 4),
        "pseudo_label_recall": (2, 3),
        "pseudo_label_precision": (2, 3),
        # .9 and .7 on nodules, .3 on one, .6 on none: the gaps are .1, .3, .7 and .6.
        "pseudo_label_calibration_error": (pytest.approx(1.7), 4),
        "unlabelled_with_nodule": (1, 1),
    }


def test_a_supervised_step_reports_no_unlabelled_patches():
    _, metrics = step({"labelled": batch(0)})
    assert metrics["unlabelled_positive"][1] == 0


def test_true_targets_are_those_that_labels_give_and_teach_no_box():
    """Bound of all pseudo-labels: with the same windows labelled, all but the boxes' loss is equal."""
    hidden = batch(1)
    oracle, metrics = step(BATCHES | {"unlabelled": hidden}, **{"ssl.targets": "truth"})
    both = jax.tree.map(lambda *parts: jnp.concatenate(parts), batch(0), hidden)
    _, labelled = step({"labelled": both})
    assert float(metrics["loss_class"][0]) == pytest.approx(float(labelled["loss_class"][0]), rel=1e-5)
    _, alone = step({"labelled": batch(0)})
    assert float(metrics["loss_box"][0]) == pytest.approx(float(alone["loss_box"][0]), rel=1e-6)
    other, _ = step(BATCHES | {"unlabelled": batch(1, labelled=False)}, **{"ssl.targets": "truth"})
    assert not np.array_equal(oracle.params["weight"], other.params["weight"])


def test_patches_known_to_hold_no_nodule_are_background():
    """As labelled patches without a box, and no guess has a say."""
    empty = BATCHES | {"unlabelled": batch(1, labelled=False)}
    known, metrics = step(empty, **{"ssl.targets": "background"})
    assert float(metrics["unlabelled_target_sum"][0]) == 0
    both = jax.tree.map(lambda *parts: jnp.concatenate(parts), batch(0), empty["unlabelled"])
    labelled, _ = step({"labelled": both})
    np.testing.assert_allclose(known.params["weight"], labelled.params["weight"], rtol=1e-5)


def test_sure_targets_are_up_by_rank_down_where_low_and_the_guess_between():
    settings = changed(**{"ssl.targets": "sure", "mixup.object_score": 0.31})
    found = pseudo_label(PARAMS, BATCHES["unlabelled"], jax.random.key(5), jnp.array(1.0), settings)
    voxels = scale_windows(BATCHES["unlabelled"]["window_hu"], BATCHES["unlabelled"]["scale"], SIDE)
    guess = expit(np.asarray(predict(PARAMS, voxels).logits))
    up = guess >= np.sort(guess.ravel())[-6]  # two a patch, of three
    up &= guess >= 0.3
    expected = np.where(up, 1, np.where(guess < 0.2, 0, guess))
    np.testing.assert_allclose(found.targets.probability, expected, rtol=1e-5)
    assert 0 < up.sum() <= 6
    assert ((expected > 0) & (expected < 1)).any()
    assert found.box_valid.any(1).tolist() == (up & (guess >= 0.31)).any(1).tolist()


def test_the_average_makes_the_targets_where_it_is_the_teacher():
    state = fresh_state()
    agrees = state.replace(ema=jax.tree.map(jnp.copy, PARAMS))
    other = state.replace(ema=jax.tree.map(lambda leaf: leaf + 0.5, PARAMS))
    teacher = {"ssl.teacher": "ema"}
    assert_same(step(BATCHES, agrees, **teacher)[0].params, step(BATCHES, state)[0].params, rtol=0, atol=0)
    assert float(step(BATCHES, other, **teacher)[1]["loss_class_unlabelled"][0]) > 1e-4


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_unlabelled_patches_count_by_their_weight(weight):
    assert float(unlabelled_weight(jnp.array(500), changed(**{"ssl.weight": weight}))) == weight
    assert float(unlabelled_weight(jnp.array(0), changed(**{"ssl.weight": weight}))) == 0


def test_each_kind_has_its_own_divisor():
    """Labelled patches count as without the others, and the weight of these is not divided away."""
    rng = np.random.default_rng(1)
    before = made_up_patches(rng)
    prediction = Prediction(jnp.asarray(rng.normal(size=(4, 50)), jnp.float32), jnp.zeros((4, 50, 4)))
    own = changed(**{"loss.normaliser": "own"})
    _, metrics = loss_of(prediction, before, before, own)
    alone = jax.tree.map(lambda leaf: leaf[:2] if leaf.ndim else leaf, before)
    unmixed = alone._replace(weight=jnp.ones(2))
    _, of_alone = loss_of(jax.tree.map(lambda leaf: leaf[:2], prediction), alone, unmixed, SETTINGS)
    assert float(metrics["loss_class_labelled"][0]) == pytest.approx(float(of_alone["loss_class"][0]), rel=1e-5)
    halved = before._replace(weight=before.weight * jnp.array([1, 1, 0.5, 0.5]))
    _, lighter = loss_of(prediction, halved, halved, own)
    of_unlabelled = [float(each["loss_class_unlabelled"][0]) for each in (metrics, lighter)]
    assert of_unlabelled[1] == pytest.approx(of_unlabelled[0] / 2, rel=1e-4)
    assert float(lighter["loss_class_labelled"][0]) == float(metrics["loss_class_labelled"][0])


def test_apart_no_voxel_of_one_kind_reaches_the_other():
    apart = changed(**{"mixup.image": True, "mixup.object": True, "mixup.across": False})
    patches = label(batch(0, count=3))
    patches = patches._replace(labelled=jnp.array([True, True, False]))
    other = patches._replace(voxels=patches.voxels.at[2].set(0.5))
    moved = 0
    for seed in range(6):
        key = jax.random.key(seed)
        voxels, seen = (mix(each, key, apart).voxels for each in (patches, other))
        np.testing.assert_array_equal(voxels[:2], seen[:2])
        np.testing.assert_array_equal(seen[2], other.voxels[2])  # alone of its kind
        moved += not np.array_equal(voxels[:2], patches.voxels[:2])
    assert moved


def test_the_student_sees_changed_patches_and_the_targets_stay():
    changes = {"augmentation.noise": 0.5, "augmentation.cut_out": 0.5}
    plain, _ = step(BATCHES)
    strong, metrics = step(BATCHES, **changes)
    _, of_plain = step(BATCHES)
    for name in ("unlabelled_target_sum", "labelled_positive"):
        assert metrics[name] == of_plain[name]
    assert float(metrics["loss_class_labelled"][0]) == pytest.approx(
        float(of_plain["loss_class_labelled"][0]), rel=1e-5
    )
    assert float(metrics["loss_class_unlabelled"][0]) > 1e-6  # it no longer agrees with itself
    assert not np.array_equal(plain.params["weight"], strong.params["weight"])
    _, of_both = step(BATCHES, **changes, **{"augmentation.labelled": True})
    assert float(of_both["loss_class_labelled"][0]) != float(metrics["loss_class_labelled"][0])
