"""One training step of SOS and of the methods it is compared with: the same code with other networks and weights.

Read `sos_step` first; the functions above it are its sentences.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, UInt8

from medssl_jax.losses.confidence import executive_losses, gatekeeper_loss, paradoxical_loss, switches
from medssl_jax.models.sos_networks import MethodSettings, SosNetworks
from medssl_jax.parallel.sharding import SINGLE_DEVICE, DataParallel
from medssl_jax.steps.rng import stream_key
from medssl_jax.steps.state import TrainState
from medssl_jax.steps.step_metrics import StepMetrics, of_step

SlideBatch = Mapping[str, Array]
OF_HELD_OUT = ("hesitant", "hurried", "policy", "entropy", "even")  # L_3, and what teaches a policy when to ask


@dataclasses.dataclass(frozen=True)
class SosSettings:
    """The method, and what else its training step is told; `experiments/configs/sos.py` explains each field."""

    chunk: int
    method: MethodSettings
    ema_decay: float
    steps: int  # of the whole training


class Outputs(NamedTuple):
    """Logits of the networks that the method has, for each slide; `ask_logits` are the policy's."""

    low_logits: Float[Array, "b k"] | None
    high_logits: Float[Array, "b k"] | None
    ask_logits: Float[Array, " b"] | None


def encode_in_chunks(
    encode: Callable[[UInt8[Array, "m p p"]], Float[Array, "m d"]],
    patches: UInt8[Array, "b n p p"],
    mask: Bool[Array, "b n"],
    chunk: int,
) -> Float[Array, "b n d"]:
    """The feature of every patch in the mask; those of the others have no meaning.

    Beside the patches themselves, one byte a pixel, memory is that of one chunk: each is encoded again in the backward
    pass, so the gradient is that of all patches, exactly. Chunks without a patch in the mask are skipped. `chunk` = 0
    encodes all at once and keeps everything.
    """
    slides, count, *side = patches.shape
    total = slides * count
    if not chunk:
        return encode(patches.reshape(total, *side)).reshape(slides, count, -1)
    chunks = -(-total // chunk)
    real = jnp.pad(mask.reshape(total), (0, chunks * chunk - total))
    order = jnp.argsort(~real)
    flat = patches.reshape(total, *side)

    @jax.checkpoint
    def encode_chunk(places: Int[Array, " m"], is_real: Bool[Array, " m"]) -> Float[Array, "m d"]:
        chunk_of_patches = flat.at[places].get(mode="fill", fill_value=0)
        features = jax.eval_shape(encode, chunk_of_patches)
        nothing = jnp.zeros(features.shape, features.dtype)
        return jax.lax.cond(is_real.any(), encode, lambda _: nothing, chunk_of_patches)

    features = jax.lax.map(
        lambda each: encode_chunk(*each), (order.reshape(chunks, chunk), real[order].reshape(chunks, chunk))
    )
    features = features.reshape(chunks * chunk, -1)
    return jnp.zeros_like(features).at[order].set(features, unique_indices=True)[:total].reshape(slides, count, -1)


def run_networks(
    params: Any, batch: SlideBatch, networks: SosNetworks, settings: SosSettings, sharding: DataParallel = SINGLE_DEVICE
) -> Outputs:
    """All networks of the method on all slides of the batch; each device encodes the patches of its own slides."""
    low = networks.low(params, batch["low_resolution"]) if networks.lrn else None
    high = None
    if networks.hrn:
        v = low.feature if low is not None else None
        v = jax.lax.stop_gradient(v) if settings.method.stop_feature else v
        features = sharding.map_rows(
            lambda params, patches, mask: encode_in_chunks(
                lambda chunk: networks.encode(params, chunk), patches, mask, settings.chunk
            ),
            *(batch["patches"], batch["mask"]),
            params=(params,),
        )
        high = networks.high(params, features, batch["mask"], v)
    return Outputs(
        low_logits=low.logits if low else None,
        high_logits=high.logits if high else None,
        ask_logits=networks.policy(params, batch["low_resolution"]) if networks.policy_network else None,
    )


def classification_losses(
    outputs: Outputs, labels: Int[Array, " b"], settings: SosSettings, step: int | Int[Array, ""] = 0
) -> dict[str, Float[Array, " b"]]:
    """Weighted losses of each slide by name: those of L_ce1, L_ce2, L_2 and L_3 that the method has.

    L_ce1 gives way to Gatekeeper's loss at the `step` from which the method tunes its LRN.
    """
    low, high = outputs.low_logits, outputs.high_logits
    weighted = {}
    if low is not None:
        weighted["low"] = settings.method.low_weight, _low_loss(low, labels, settings, step)
    if high is not None:
        weighted["high"] = settings.method.high_weight, _cross_entropy(high, labels)
    if low is not None and high is not None:
        low_probability, high_probability = jax.nn.softmax(low), jax.nn.softmax(high)
        reference = jax.lax.stop_gradient(low_probability) if settings.method.stop_paradoxical_low else low_probability
        paradoxical = paradoxical_loss(reference, high_probability, labels)
        weighted["paradoxical"] = settings.method.paradoxical_weight, paradoxical
        if settings.method.hesitant_weight or settings.method.hurried_weight:  # else c and eps are not looked at
            method = settings.method
            executive = executive_losses(low_probability, high_probability, labels, c=method.c, eps=method.eps)
            weighted["hesitant"] = settings.method.hesitant_weight, executive.hesitant
            weighted["hurried"] = settings.method.hurried_weight, executive.hurried
    return {name: weight * each for name, (weight, each) in weighted.items() if weight}


def taught(losses: Mapping[str, Float[Array, " b"]], held_out: Bool[Array, " b"]) -> dict[str, Float[Array, " b"]]:
    """Losses whose mean over the batch is, of those `OF_HELD_OUT`, that over the rows `held_out`, else over the rest.

    So L_3, and a policy's reward, ask whether the networks are right on slides that they did not learn the classes of,
    where being right does not saturate. Our choice: the paper's L_3 is of the slides that all losses are of.
    """

    def of(name: str, loss: Float[Array, " b"]) -> Float[Array, " b"]:
        rows = held_out if name in OF_HELD_OUT else jnp.logical_not(held_out)
        return jnp.where(rows, loss, 0) / rows.astype(loss.dtype).mean()

    return {name: of(name, loss) for name, loss in losses.items()}


def asking_reward(
    low_logits: Float[Array, "b k"],
    high_logits: Float[Array, "b k"],
    labels: Int[Array, " b"],
    asked: Bool[Array, " b"],
    *,
    kind: str,
    cost: float | Float[Array, ""],
) -> Float[Array, " b"]:
    """The worth of asking the HRN less the `cost` of it, 0 where it was not asked.

    The worth is (CE_s - CE_h) / max(CE_s, 1e-6) in [-1, 1] if `kind` is `relative`, which pays for any certainty that
    the HRN adds, and 1[HRN right] - 1[LRN right] if it is `correct`. Our choice: the paper does not give RDMS's reward.
    A constant: no gradient reaches the classifiers.
    """
    if kind == "correct":
        low_right, high_right = (
            jnp.equal(logits.argmax(-1), labels).astype(logits.dtype) for logits in (low_logits, high_logits)
        )
        worth = high_right - low_right
    else:
        low, high = (_cross_entropy(jax.lax.stop_gradient(logits), labels) for logits in (low_logits, high_logits))
        worth = jnp.clip((low - high) / jnp.maximum(low, 1e-6), -1, 1)
    return asked.astype(worth.dtype) * (worth - cost)


def next_ask_cost(cost: Float[Array, ""], share: Float[Array, ""], *, budget: float, rate: float) -> Float[Array, ""]:
    """max(cost + rate (share - budget), 0): dearer while a larger `share` than the `budget` is asked, else cheaper.

    An integral control of the share. Were it what the policy expects to ask, it would be projected dual ascent (Boyd &
    Vandenberghe, Convex Optimization, 5.4) and the cost the price of the budget; `policy_part` gives it the share that
    inference would ask about, so the cost is no such price.
    """
    return jnp.maximum(cost + rate * (share - budget), 0)


def policy_losses(
    ask_logits: Float[Array, " b"],
    asked: Bool[Array, " b"],
    reward: Float[Array, " b"],
    baseline: Float[Array, ""],
    settings: SosSettings,
) -> dict[str, Float[Array, " b"]]:
    """REINFORCE (Williams, 1992) with a baseline, and a bonus for entropy, of each slide.

    Where the method has an `even_weight`, also the Kullback-Leibler divergence of the policy from even odds, KL(1/2 ||
    policy). The slope of entropy vanishes where the policy always or never asks, as REINFORCE's does; the slope of this
    does not, so such a policy goes on looking.
    """
    probability = jax.nn.sigmoid(ask_logits)
    log_asks, log_does_not = jax.nn.log_sigmoid(ask_logits), jax.nn.log_sigmoid(-ask_logits)
    entropy = -probability * log_asks - (1 - probability) * log_does_not
    method = settings.method
    losses = {
        "policy": method.policy_weight * (baseline - reward) * jnp.where(asked, log_asks, log_does_not),
        "entropy": -method.policy_weight * method.entropy_weight * entropy,
    }
    if method.even_weight:
        divergence = -(log_asks + log_does_not) / 2 - jnp.log(2.0)
        losses["even"] = method.policy_weight * method.even_weight * divergence
    return losses


def policy_part(
    outputs: Outputs,
    labels: Int[Array, " b"],
    state: TrainState,
    settings: SosSettings,
    held_out: Bool[Array, " b"] | None = None,
) -> tuple[dict[str, Float[Array, " b"]], StepMetrics, dict[str, Array]]:
    """Draws the slides that the HRN is asked about, and rewards it: losses of each slide, metrics, the next `extra`.

    Where rows are `held_out`, metrics and `extra` are of these alone, as `taught` makes the losses.
    """
    low, high, ask = outputs
    assert low is not None
    assert high is not None
    assert ask is not None
    key = stream_key(state.seed, "policy", state.step)
    asked = jax.random.bernoulli(key, jax.nn.sigmoid(jax.lax.stop_gradient(ask)))
    method = settings.method
    cost: Any = state.extra["ask_cost"] if method.budget < 1 else method.ask_cost
    reward = asking_reward(low, high, labels, asked, kind=method.reward, cost=cost)
    baseline = state.extra["reward_baseline"]
    losses = policy_losses(ask, asked, reward, baseline, settings)
    rows = jnp.ones_like(asked) if held_out is None else held_out
    metrics = {"reward": _per_slide(reward, rows), "asked_share": _per_slide(asked, rows)}
    mean = reward.mean(where=rows)
    extra = {"reward_baseline": optax.incremental_update(mean, baseline, 1 - method.baseline_decay)}
    if method.budget < 1:
        would_ask = jnp.greater(ask, 0)  # as inference does, whatever was drawn here
        share = would_ask.astype(jnp.float32).mean(where=rows)
        metrics |= {"ask_cost": of_step(cost), "would_ask_share": _per_slide(would_ask, rows)}
        extra["ask_cost"] = next_ask_cost(cost, share, budget=method.budget, rate=method.budget_rate)
    return losses, metrics, extra


def first_extra(method: MethodSettings) -> dict[str, Array] | None:
    """`TrainState.extra` before the first step, where the method has a policy.

    The running mean of its rewards and, where it has a budget, the cost of asking that keeps it.
    """
    if not method.use_policy:
        return None
    baseline = {"reward_baseline": jnp.zeros(())}
    return baseline | {"ask_cost": jnp.asarray(method.ask_cost, jnp.float32)} if method.budget < 1 else baseline


def sos_step(
    state: TrainState,
    batch: SlideBatch,
    *,
    networks: SosNetworks,
    optimiser: optax.GradientTransformation,
    settings: SosSettings,
    sharding: DataParallel = SINGLE_DEVICE,
) -> tuple[TrainState, StepMetrics]:
    """Networks, losses, one optimiser step (SOS, arXiv 2003.05080). Metrics are (sum, count).

    `batch` holds `low_resolution` uint8 (b, s, s), `label` int32 (b,) and, for methods with an HRN, `patches` uint8
    (b, n, p, p) and their `mask` bool (b, n); where it has `held_out` bool (b,), L_3 and what teaches a policy are of
    those rows alone.
    """
    labels = batch["label"]

    def loss(params: Any) -> tuple[Float[Array, ""], tuple[StepMetrics, Any]]:
        outputs = run_networks(params, batch, networks, settings, sharding)
        losses = classification_losses(outputs, labels, settings, state.step)
        metrics = output_metrics(outputs, labels, settings)
        extra, held_out = None, batch.get("held_out")
        if outputs.ask_logits is not None:
            policy, reward, extra = policy_part(outputs, labels, state, settings, held_out)
            losses |= policy
            metrics |= reward
        if held_out is not None:
            losses = taught(losses, held_out)
        total = sum((each.mean() for each in losses.values()), jnp.zeros(()))
        metrics |= {"loss": of_step(total)} | {f"loss_{name}": _per_slide(losses[name]) for name in losses}
        return total, (metrics, extra)

    gradients, (metrics, extra) = jax.grad(loss, has_aux=True)(state.params)
    metrics["gradient_norm"] = of_step(optax.tree.norm(gradients))
    return state.update(gradients, optimiser, ema_decay=settings.ema_decay, extra=extra), metrics


def output_metrics(outputs: Outputs, labels: Int[Array, " b"], settings: SosSettings) -> StepMetrics:
    """Accuracy of each network and of both with the switch; `low_share` is the share of slides that the LRN settles."""
    metrics: StepMetrics = {}
    for name, logits in (("low", outputs.low_logits), ("high", outputs.high_logits)):
        if logits is not None:
            metrics[f"accuracy_{name}"] = _per_slide(jnp.equal(logits.argmax(-1), labels))
    if outputs.low_logits is not None:
        probability = jax.nn.softmax(outputs.low_logits)
        metrics["confidence"] = _per_slide(probability.max(-1))
        switched = switches(probability, settings.method.c)
        metrics["low_share"] = _per_slide(jnp.logical_not(switched))
        if outputs.high_logits is not None:
            chosen = jnp.where(switched, outputs.high_logits.argmax(-1), outputs.low_logits.argmax(-1))
            metrics["accuracy_switched"] = _per_slide(jnp.equal(chosen, labels))
    return metrics


def _low_loss(
    logits: Float[Array, "b k"], labels: Int[Array, " b"], settings: SosSettings, step: int | Int[Array, ""]
) -> Float[Array, " b"]:
    cross_entropy, method = _cross_entropy(logits, labels), settings.method
    if not method.gatekeeper_share:
        return cross_entropy
    tuned = gatekeeper_loss(logits, labels, right_weight=method.gatekeeper_alpha)
    return jnp.where(step < round((1 - method.gatekeeper_share) * settings.steps), cross_entropy, tuned)


def _cross_entropy(logits: Float[Array, "b k"], labels: Int[Array, " b"]) -> Float[Array, " b"]:
    # Not by the label's index: the gradient of that has no fixed order on a GPU.
    return optax.softmax_cross_entropy(logits, jax.nn.one_hot(labels, logits.shape[-1]))


def _per_slide(values: Array, rows: Bool[Array, " b"] | None = None) -> tuple[Float[Array, ""], Float[Array, ""]]:
    rows = jnp.ones(values.shape[0], bool) if rows is None else rows
    return values.sum(where=rows).astype(jnp.float32), rows.sum().astype(jnp.float32)
