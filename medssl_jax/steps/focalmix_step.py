"""One training step of FocalMix, and of its supervised baseline: the same code without unlabelled patches.

Read `focalmix_step` first; the functions above it are its sentences.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from medssl_jax.data.scans.patches import PatchBatch, scale_windows
from medssl_jax.detection import symmetries
from medssl_jax.detection.anchors import AnchorGrid
from medssl_jax.detection.assignment import AnchorTargets, assign_anchors
from medssl_jax.detection.boxes import decode_boxes
from medssl_jax.detection.nms import Detections, top_detections
from medssl_jax.detection.prediction import Prediction
from medssl_jax.losses.focal import soft_target_focal_loss
from medssl_jax.parallel.sharding import SINGLE_DEVICE, DataParallel
from medssl_jax.ssl.augmentation import augment
from medssl_jax.ssl.mixup import draw_image_mix, draw_object_mix, mix_images, mix_objects
from medssl_jax.ssl.pseudo_labels import average_views, sharpen, sure_targets
from medssl_jax.steps.focalmix_settings import EMA, MARKS, OWN, SURE, FocalMixSettings
from medssl_jax.steps.rng import stream_key
from medssl_jax.steps.state import TrainState
from medssl_jax.steps.step_metrics import StepMetrics, of_step

Predict = Callable[[Any, Float[Array, "b s s s 1"]], Prediction]


class Patches(NamedTuple):
    """Patches with everything the loss needs to know of them; labelled ones come first in every mixing group.

    `weight` is what a patch counts in the loss; `boxes` are the objects that object MixUp may move.
    """

    voxels: Float[Array, "b s s s 1"]
    targets: AnchorTargets
    labelled: Bool[Array, " b"]
    weight: Float[Array, " b"]
    boxes: Float[Array, "b m 6"]
    box_valid: Bool[Array, "b m"]


def label_patches(batch: PatchBatch, grid: AnchorGrid, settings: FocalMixSettings) -> Patches:
    """Patches of annotated scans, with 0/1 targets from their boxes; what doubtful boxes touch is ignored."""
    anchors = jnp.asarray(grid.boxes_zyxdhw())

    def assign(boxes: Float[Array, "m 6"], valid: Bool[Array, " m"]) -> AnchorTargets:
        return assign_anchors(
            anchors,
            boxes,
            valid,
            patch_side=grid.patch_side,
            positive_iou=settings.anchors.positive_iou,
            ignored_iou=settings.anchors.ignored_iou,
        )

    voxels = scale_windows(batch["window_hu"], batch["scale"], grid.patch_side, window_hu=settings.window_hu)
    everything = jnp.ones(len(voxels))
    targets = jax.vmap(assign)(batch["boxes_zyxdhw"], batch["valid"])
    if "doubtful" in batch:
        touched = jax.vmap(assign)(batch["boxes_zyxdhw"], batch["doubtful"])
        in_doubt = (touched.ignored | (touched.probability == 1)) & (targets.probability == 0)
        targets = targets._replace(ignored=targets.ignored | in_doubt)
    return Patches(voxels, targets, everything > 0, everything, batch["boxes_zyxdhw"], batch["valid"])


def pseudo_label_patches(
    predict: Callable[[Array], Prediction],
    batch: PatchBatch,
    key: Array,
    weight: Float[Array, ""],
    grid: AnchorGrid,
    settings: FocalMixSettings,
    sharding: DataParallel = SINGLE_DEVICE,
    *,
    labelled_rate: Float[Array, ""],
) -> Patches:
    """Patches of scans without labels, with pseudo-labels as targets; no gradient passes.

    They are sharpened or, where `ssl.targets` is `sure`, settled only where they are sure: `labelled_rate` is the
    number of positive anchors of a labelled patch.
    """
    voxels = scale_windows(batch["window_hu"], batch["scale"], grid.patch_side, window_hu=settings.window_hu)
    views = symmetries.draw_views(key, settings.ssl.views, symmetries.GROUPS[settings.ssl.view_group])
    averages = average_views(predict, voxels, views, grid, at_once=settings.ssl.views_at_once)
    probability, deltas = jax.lax.stop_gradient(averages)
    if settings.ssl.targets == SURE:
        sure = settings.ssl.sure_positive_ratio * labelled_rate * len(voxels)
        targets, is_up = sure_targets(
            probability,
            sure,
            positive_from=settings.ssl.sure_positive_from,
            background_below=settings.ssl.sure_background_below,
        )
        of_objects = jnp.where(is_up, probability, 0)
    else:
        targets = of_objects = sharpen(probability, settings.ssl.temperature)
    find = functools.partial(_confident_objects, grid=grid, settings=settings, count=batch["valid"].shape[1])
    objects = sharding.map_rows(find, of_objects, deltas)  # or the compiler would gather what top-k looks through
    nobody = jnp.zeros(len(voxels))
    unignored = AnchorTargets(targets, jnp.zeros(targets.shape, bool), jnp.zeros_like(deltas))
    return Patches(voxels, unignored, nobody > 0, nobody + weight, objects.boxes_zyxdhw, objects.valid)


def known_patches(batch: PatchBatch, weight: Float[Array, ""], grid: AnchorGrid, settings: FocalMixSettings) -> Patches:
    """Patches that count as unlabelled and whose batch has their boxes.

    Either these are the detector's own (`ssl.targets` is `marks`). Or they were hidden (`truth`): an oracle, the bound
    of all pseudo-labels. Or their scans hold no nodule (`background`), so there are none. No box is regressed to.
    """
    patches = label_patches(batch, grid, settings)
    return patches._replace(labelled=~patches.labelled, weight=weight * patches.weight)


def augment_patches(
    labelled: Patches, unlabelled: Patches | None, key: Array, settings: FocalMixSettings
) -> tuple[Patches, Patches | None]:
    """What the student sees: unlabelled patches, and labelled ones where told to, strongly augmented."""
    strengths = settings.augmentation.strengths
    of_labelled, of_unlabelled = jax.random.split(key)
    if settings.augmentation.labelled:
        labelled = labelled._replace(voxels=augment(of_labelled, labelled.voxels, **strengths))
    if unlabelled is not None:
        unlabelled = unlabelled._replace(voxels=augment(of_unlabelled, unlabelled.voxels, **strengths))
    return labelled, unlabelled


def in_groups(parts: Sequence[Patches], groups: int) -> Patches:
    """Labelled and unlabelled patches shared out to mixing groups, a new leading axis: equally many of each in each."""

    def share(*leaves: Array) -> Array:
        return jnp.concatenate([leaf.reshape(groups, -1, *leaf.shape[1:]) for leaf in leaves], axis=1)

    return jax.tree.map(share, *parts)


def mix_patches(patches: Patches, key: Array, settings: FocalMixSettings) -> Patches:
    """Image-level MixUp of everything, then object-level MixUp of the voxels, among the patches of one group.

    Patches that count nothing yet are left out, so that no early pseudo-label reaches a labelled patch. An anchor that
    is ignored in either source is ignored, unless that source has no share in the mix.
    """
    usable = patches.weight > 0
    image_key, object_key = jax.random.split(key)
    voxels, targets, weight = patches.voxels, patches.targets, patches.weight
    kinds = None if settings.mixup.across else patches.labelled
    if settings.mixup.image:
        images = draw_image_mix(image_key, usable, settings.mixup.eta, kinds=kinds)
        voxels, weight = mix_images(voxels, images), mix_images(weight, images)
        targets = targets._replace(
            probability=mix_images(targets.probability, images),
            ignored=targets.ignored | (targets.ignored[images.partner] & (images.weight < 1)[:, None]),
        )
    if settings.mixup.object:
        objects = draw_object_mix(
            object_key,
            patches.boxes,
            patches.box_valid & usable[:, None],
            side=voxels.shape[1],
            eta=settings.mixup.eta,
            kinds=kinds,
        )
        voxels = mix_objects(voxels, patches.boxes, objects, window=settings.mixup.object_window)
    return patches._replace(voxels=voxels, targets=targets, weight=weight)


def detection_loss(
    prediction: Prediction, mixed: Patches, before_mixing: Patches, settings: FocalMixSettings
) -> tuple[Float[Array, ""], StepMetrics]:
    """Soft-target focal loss on all anchors and smooth L1 on labelled positives, with the parts as metrics.

    The focal loss is divided by the weighted number of anchors whose target before mixing is at least 1/2, not by the
    sum of targets: the faint background of all anchors together would count as hundreds of positives. Where
    `loss.normaliser` is `own`, labelled and unlabelled patches are each divided by their own number, unweighted.
    """
    targets = before_mixing.targets
    counts = _as_weights(~targets.ignored) * before_mixing.weight[:, None]
    positives = jnp.maximum(1, (counts * _as_weights(targets.probability >= 0.5)).sum())
    focal = soft_target_focal_loss(
        prediction.logits,
        mixed.targets.probability,
        negative_weight=settings.loss.negative_weight,
        positive_weight=settings.loss.positive_weight,
        gamma=settings.loss.gamma,
    )
    focal = (focal * _as_weights(~mixed.targets.ignored) * mixed.weight[:, None]).sum(1)
    labelled = _as_weights(mixed.labelled)
    if settings.loss.normaliser == OWN:
        of_labelled, of_unlabelled = _positives_of_each(before_mixing)
        labelled_share = (focal * labelled).sum() / of_labelled
        class_loss = labelled_share + (focal * (1 - labelled)).sum() / of_unlabelled
    else:
        labelled_share = (focal * labelled).sum() / positives
        class_loss = focal.sum() / positives

    regressed = _as_weights(mixed.labelled[:, None] & (targets.probability == 1))
    smooth_l1 = optax.huber_loss(prediction.deltas, targets.deltas).sum(-1)
    box_loss = (smooth_l1 * regressed).sum() / jnp.maximum(1, regressed.sum())
    loss = class_loss + settings.loss.box_weight * box_loss
    metrics = {
        "loss": of_step(loss),
        "loss_class": of_step(class_loss),
        "loss_class_labelled": of_step(labelled_share),
        "loss_class_unlabelled": of_step(class_loss - labelled_share),
        "loss_box": of_step(box_loss),
    }
    return loss, metrics


def _positives_of_each(patches: Patches) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Anchors with a target of 1/2 or more of the labelled patches, and of the unlabelled that count; 1 at least."""
    confident = _as_weights(~patches.targets.ignored & (patches.targets.probability >= 0.5)).sum(1)
    counted = confident * _as_weights(patches.weight > 0)
    labelled = _as_weights(patches.labelled)
    return jnp.maximum(1, (counted * labelled).sum()), jnp.maximum(1, (counted * (1 - labelled)).sum())


def target_metrics(patches: Patches) -> StepMetrics:
    """Number, size and confidence of the targets; watch them for collapse (all towards 0) and explosion.

    `unlabelled_positive` is to be compared with `labelled_positive`: anchors with a target of at least 1/2 a patch.
    """
    labelled = _as_weights(patches.labelled)
    probability = patches.targets.probability
    confident = _as_weights((probability >= 0.5) & ~patches.targets.ignored)
    metrics = {}
    for name, chosen in (("labelled", labelled), ("unlabelled", 1 - labelled)):
        rows = chosen[:, None]
        metrics[f"{name}_positive"] = ((confident * rows).sum(), chosen.sum())
        metrics[f"{name}_target_sum"] = ((probability * rows).sum(), chosen.sum())
        metrics[f"{name}_target_largest"] = ((probability * rows).max(1).sum(), chosen.sum())
        metrics[f"{name}_confident_mean"] = ((probability * confident * rows).sum(), (confident * rows).sum())
        metrics[f"{name}_confident_share"] = ((confident * rows).sum(), chosen.sum() * probability.shape[1])
    return metrics


def pseudo_label_metrics(pseudo_labelled: Patches, truth: AnchorTargets) -> StepMetrics:
    """Quality of the pseudo-labels of patches whose boxes are known after all, as on a phantom.

    `pseudo_label_on_nodules` is the mean target of the anchors of true nodules, `pseudo_label_recall` the share of them
    that is confident, `pseudo_label_false_share` the share of confident anchors that lie on none, and
    `pseudo_label_precision` that of those that lie on one. `pseudo_label_calibration_error` is the expected calibration
    error (Guo et al., ICML 2017) of targets of .1 and more, in tenths, of each step: of few anchors it is too high.
    `unlabelled_with_nodule` is the share of patches that hold one.
    """
    probability = pseudo_labelled.targets.probability
    nodule, confident = truth.probability == 1, probability >= 0.5
    judged = ~truth.ignored & (probability >= 0.1)
    tenth = jnp.clip(jnp.floor(probability * 10), 0, 9)
    gap = (probability - _as_weights(nodule)) * _as_weights(judged)
    gaps = jnp.stack([jnp.abs((gap * _as_weights(tenth == place)).sum()) for place in range(1, 10)])
    return {
        "pseudo_label_recall": _mean_over(_as_weights(confident), nodule),
        "pseudo_label_precision": _mean_over(_as_weights(nodule), confident & ~truth.ignored),
        "pseudo_label_calibration_error": (gaps.sum(), _as_weights(judged).sum()),
        "unlabelled_with_nodule": (_as_weights(nodule.any(1)).sum(), jnp.full((), float(len(nodule)))),
        "pseudo_label_on_nodules": _mean_over(probability, nodule),
        "pseudo_label_false_share": _mean_over(_as_weights(~nodule & ~truth.ignored), confident),
    }


def collapse_warning(means: Mapping[str, float]) -> str | None:
    """Warns where pseudo-labels die out or feed on themselves: confident anchors a patch far from the labelled rate.

    Unlabelled patches lie anywhere in the lungs, so far fewer than the labelled rate are normal, and none are not.
    Pseudo-labels that do not count yet are not judged.
    """
    if not means.get("unlabelled_weight") or not means["labelled_positive"]:
        return None
    unlabelled, labelled = means["unlabelled_positive"], means["labelled_positive"]
    if 0.02 < unlabelled / labelled < 5:
        return None
    what = "few pseudo-labels are confident: they may collapse" if unlabelled < labelled else "targets may explode"
    return f"{unlabelled:.3f} confident anchors an unlabelled patch, {labelled:.3f} a labelled one: {what}"


def unlabelled_weight(step: Array, settings: FocalMixSettings) -> Float[Array, "*steps"]:
    """0 up to `ramp_start`, then in `ramp_steps` to `ssl.weight`: early pseudo-labels are background or wrong."""
    return settings.ssl.weight * jnp.clip((step + 1 - settings.ramp_start) / max(1, settings.ramp_steps), 0, 1)


def focalmix_step(
    state: TrainState,
    batch: Mapping[str, PatchBatch],
    *,
    predict: Predict,
    optimiser: optax.GradientTransformation,
    grid: AnchorGrid,
    settings: FocalMixSettings,
    sharding: DataParallel = SINGLE_DEVICE,
) -> tuple[TrainState, StepMetrics]:
    """Targets, MixUp, loss, one optimiser step (FocalMix, arXiv 2003.09108). Metrics are (sum, count).

    What it computes does not depend on `sharding`, only where.
    """
    labelled, unlabelled = label_patches(batch["labelled"], grid, settings), None
    weight = unlabelled_weight(state.step, settings) if "unlabelled" in batch else jnp.zeros(())
    judged: StepMetrics = {}
    if "unlabelled" in batch:
        teacher = state.ema if settings.ssl.teacher == EMA else state.params
        if not settings.ssl.are_guessed:
            unlabelled = known_patches(batch["unlabelled"], weight, grid, settings)
        else:
            unlabelled = pseudo_label_patches(
                lambda voxels: predict(teacher, voxels),
                batch["unlabelled"],
                stream_key(state.seed, "views", state.step),
                weight,
                grid,
                settings,
                sharding,
                labelled_rate=_as_weights(labelled.targets.probability == 1).sum() / len(labelled.voxels),
            )
        if settings.ssl.judge_pseudo_labels and settings.ssl.targets != MARKS:  # marks are judged where they are made
            judged = pseudo_label_metrics(unlabelled, label_patches(batch["unlabelled"], grid, settings).targets)
    if settings.augmentation.is_on:
        key = stream_key(state.seed, "augmentation", state.step)
        labelled, unlabelled = augment_patches(labelled, unlabelled, key, settings)
    parts = [labelled] if unlabelled is None else [labelled, unlabelled]
    groups = settings.mixing_groups
    grouped = in_groups(parts, groups)
    keys = jax.vmap(lambda group: stream_key(state.seed, "mixup", state.step * groups + group))(jnp.arange(groups))
    mixed = sharding.map_groups(lambda patches, key: mix_patches(patches, key, settings), grouped, keys)
    patches, mixed = (
        sharding.shard_rows(jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), each))
        for each in (grouped, mixed)
    )

    def loss(params: Any) -> tuple[Float[Array, ""], StepMetrics]:
        return detection_loss(predict(params, mixed.voxels), mixed, patches, settings)

    gradients, metrics = jax.grad(loss, has_aux=True)(state.params)
    state = state.update(gradients, optimiser, ema_decay=settings.ema_decay)
    return state, metrics | target_metrics(patches) | judged | {
        "gradient_norm": of_step(optax.tree.norm(gradients)),
        "unlabelled_weight": of_step(weight),
    }


def _confident_objects(
    probability: Float[Array, "b a"],
    deltas: Float[Array, "b a 4"],
    *,
    grid: AnchorGrid,
    settings: FocalMixSettings,
    count: int,
) -> Detections:
    boxes = decode_boxes(deltas, jnp.asarray(grid.boxes_zyxdhw()))
    logits = jax.scipy.special.logit(probability)

    def find(logits: Float[Array, " a"], boxes: Float[Array, "a 6"]) -> Detections:
        return top_detections(
            logits,
            boxes,
            candidates=16 * count,
            iou_threshold=settings.mixup.object_nms_iou,
            score_threshold=settings.mixup.object_score,
            count=count,
        )

    return jax.vmap(find)(logits, boxes)


def _as_weights(chosen: Bool[Array, "*n"]) -> Float[Array, "*n"]:
    return chosen.astype(jnp.float32)


def _mean_over(values: Float[Array, "b a"], chosen: Bool[Array, "b a"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    return (values * _as_weights(chosen)).sum(), _as_weights(chosen).sum()
