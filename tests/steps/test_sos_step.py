"""The training step of every method: exact gradients through chunks, who is taught by which loss, RDMS by hand."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.configs import sos
from medssl_jax.core.settings import settings_from
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.losses.confidence import gatekeeper_loss
from medssl_jax.models.sos_networks import MethodSettings, SosModelSettings, make_networks
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.steps.sos_step import (
    Outputs,
    SosSettings,
    asking_reward,
    classification_losses,
    encode_in_chunks,
    first_extra,
    next_ask_cost,
    policy_losses,
    policy_part,
    run_networks,
    sos_step,
    taught,
)
from medssl_jax.steps.state import TrainState

LAYOUT = SlideLayout(grid=4, patch_side=8, shrink=2)
METHOD = settings_from(MethodSettings, sos.get_config().method)
SETTINGS = SosSettings(chunk=0, method=METHOD, ema_decay=0.0, steps=8)


def changed(*, chunk=0, **method):
    """The settings with other values, of the method but for the first two."""
    return dataclasses.replace(SETTINGS, chunk=chunk, method=dataclasses.replace(METHOD, **method))


CROSS_ENTROPY_ONLY = dict.fromkeys(("paradoxical_weight", "hesitant_weight", "hurried_weight"), 0.0)
NO_LOSS = dict.fromkeys(("low_weight", "high_weight", "paradoxical_weight", "hesitant_weight", "hurried_weight"), 0.0)
OPTIMISER = optax.sgd(0.1)


@functools.cache
def networks_of(*, blocks=0, **method):
    """Without blocks a backbone is its stem: enough for most of what a step does, and quick to compile."""
    config = sos.get_config()
    config.model.update(dict(intensity_mean=0.5, intensity_deviation=0.3, attention_features=3))
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4,), (blocks,)
    config.model.low_stem_block = config.model.high_stem_block = 4
    config.method.update(method)
    model = settings_from(SosModelSettings, config.model)
    return make_networks(model, settings_from(MethodSettings, config.method), LAYOUT)


@functools.cache
def params_of(networks):
    """Drawn by NumPy: what draws them in JAX takes seconds to compile."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(networks.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape, scale=0.3), leaf.dtype), shapes)


def slides(seed, count=2, patches=5):
    rng = np.random.default_rng(seed)
    mask = rng.random((count, patches)) < 0.6
    return {
        "low_resolution": jnp.asarray(rng.integers(0, 256, (count, 16, 16), np.uint8)),
        "patches": jnp.asarray(rng.integers(0, 256, (count, patches, 8, 8), np.uint8)),
        "mask": jnp.asarray(mask),
        "label": jnp.asarray(rng.integers(0, 4, count), jnp.int32),
    }


def fresh_state(networks, optimiser=OPTIMISER, **method):
    extra = first_extra(changed(use_policy=networks.policy_network is not None, **method).method)
    return TrainState.create(params_of(networks), optimiser, keep_ema=False, extra=extra)


@functools.cache
def compiled_step(networks, optimiser, settings):
    return jax.jit(functools.partial(sos_step, networks=networks, optimiser=optimiser, settings=settings))


def step(batch, state=None, networks=None, optimiser=OPTIMISER, **changes):
    networks = networks or networks_of()
    state = state or fresh_state(networks, optimiser)
    return compiled_step(networks, optimiser, changed(**changes))(state, batch)


def gradients(batch, **changes):
    """What one step of plain gradient descent took, by network."""
    state = fresh_state(networks_of())
    after, _ = step(batch, state, **changes)
    return jax.tree.map(lambda a, b: (a - b) / 0.1, state.params, after.params)


def largest(tree):
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


def assert_same(a, b, **tolerance):
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(left, right, **({"rtol": 1e-4, "atol": 1e-5} | tolerance))


@functools.partial(jax.jit, static_argnums=1)
def value_and_gradient_of_features(params, chunk):
    networks, batch = networks_of(blocks=1), slides(0)

    def total(params):
        encode = functools.partial(networks.encode, params)
        features = encode_in_chunks(encode, batch["patches"], batch["mask"], chunk)
        return jnp.sum(jnp.sin(features), where=batch["mask"][..., None])

    return jax.value_and_grad(total)(params)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunks_give_the_gradient_of_all_patches_at_once(chunk):
    params = params_of(networks_of(blocks=1))
    at_once = value_and_gradient_of_features(params, 0)
    assert_same(value_and_gradient_of_features(params, chunk), at_once)
    assert largest(at_once[1]["high"]) > 0.1


def test_chunks_without_a_patch_of_the_mask_are_skipped():
    mask = jnp.array([[True, False, False, True], [False, False, False, True]])
    patches = jnp.arange(1, 9, dtype=jnp.uint8).reshape(2, 4, 1, 1)
    counted = []

    def encode(patches):
        jax.debug.callback(lambda: counted.append(1))
        return patches.reshape(-1, 1).astype(jnp.float32)

    features = jax.jit(functools.partial(encode_in_chunks, encode, chunk=2))(patches, mask)
    jax.effects_barrier()
    assert len(counted) == 2
    np.testing.assert_array_equal(np.where(mask, features[..., 0], 0), [[1, 0, 0, 4], [0, 0, 0, 8]])


def test_patches_outside_the_mask_teach_nothing():
    batch = slides(0)
    other = batch | {"patches": jnp.where(batch["mask"][..., None, None], batch["patches"], 255)}
    assert_same(step(batch)[0].params, step(other)[0].params, rtol=0, atol=0)


def test_no_gradient_of_the_executive_losses_reaches_the_hrn():
    found = [
        gradients(slides(seed), **(NO_LOSS | {"hesitant_weight": 1.0, "hurried_weight": 1.0})) for seed in range(4)
    ]
    assert all(largest(each["high"]) == 0 for each in found)
    assert max(largest(each["low"]) for each in found) > 0


def test_the_hrns_loss_teaches_the_lrn_through_its_feature_unless_stopped():
    only_high = NO_LOSS | {"high_weight": 1.0}
    assert largest(gradients(slides(0), **only_high)["low"]["backbone"]) > 0
    stopped = gradients(slides(0), **only_high, stop_feature=True)
    assert largest(stopped["low"]) == 0
    assert largest(stopped["high"]) > 0


def test_the_paradoxical_loss_teaches_both_unless_stopped():
    low, high, labels = jnp.array([[2.0, 0, 0, 0]]), jnp.array([[1.0, 0, 0, 0]]), jnp.array([0])

    def slopes(**changes):
        settings = changed(**(NO_LOSS | {"paradoxical_weight": 1.0}), **changes)
        return jax.grad(
            lambda low, high: classification_losses(Outputs(low, high, None), labels, settings)["paradoxical"].sum(),
            argnums=(0, 1),
        )(low, high)

    assert slopes()[0][0, 0] > 0 > slopes()[1][0, 0]
    stopped = slopes(stop_paradoxical_low=True)
    assert stopped[0][0, 0] == 0 > stopped[1][0, 0]


@pytest.mark.parametrize("name", ["low", "high", "paradoxical", "hesitant", "hurried"])
def test_a_loss_is_there_where_its_weight_is(name):
    rng = np.random.default_rng(0)
    low, high = jnp.asarray(rng.normal(size=(2, 6, 4)), jnp.float32)
    labels = jnp.arange(6) % 4
    full = classification_losses(Outputs(low, high, None), labels, SETTINGS)
    alone = changed(**(NO_LOSS | {f"{name}_weight": 0.25}))
    found = classification_losses(Outputs(low, high, None), labels, alone)
    assert found.keys() == {name}
    np.testing.assert_allclose(found[name], 0.25 * full[name], rtol=1e-6)


def test_c_and_eps_are_not_looked_at_without_the_executive_losses():
    logits, labels = jnp.ones((2, 4)), jnp.zeros(2, jnp.int32)
    meaningless = changed(c=0.0, **CROSS_ENTROPY_ONLY)
    assert classification_losses(Outputs(logits, logits, None), labels, meaningless).keys() == {"low", "high"}


def test_gatekeepers_loss_takes_the_place_of_the_lrns_in_the_last_steps():
    """Of 8 steps the last quarter: the steps numbered 6 and 7."""
    rng = np.random.default_rng(0)
    low, high = jnp.asarray(rng.normal(size=(2, 6, 4)), jnp.float32)
    labels = jnp.arange(6) % 4
    settings = changed(gatekeeper_share=0.25, gatekeeper_alpha=0.125, low_weight=2.0)
    losses = [classification_losses(Outputs(low, high, None), labels, settings, step) for step in (0, 5, 6, 7)]
    plain = classification_losses(Outputs(low, high, None), labels, changed(low_weight=2.0))
    tuned = 2 * gatekeeper_loss(low, labels, right_weight=0.125)
    for each, expected in zip(losses, (plain["low"], plain["low"], tuned, tuned), strict=True):
        np.testing.assert_allclose(each["low"], expected, rtol=1e-6)
        np.testing.assert_array_equal(each["high"], plain["high"])
    assert np.abs(tuned - plain["low"]).min() > 1e-3


def test_a_step_is_gradient_descent_on_the_equations():
    """The total written out with NumPy-like code on the networks' probabilities; only the networks are shared."""
    networks, batch = networks_of(), slides(3)
    labels, rows = batch["label"], jnp.arange(2)

    def total(params):
        outputs = run_networks(params, batch, networks, SETTINGS)
        low, high = jax.nn.softmax(outputs.low_logits), jax.nn.softmax(outputs.high_logits)
        y_s, y_h = low.argmax(1) == labels, high.argmax(1) == labels
        cross_entropy = -jnp.log(low[rows, labels]) - jnp.log(high[rows, labels])
        paradoxical = jnp.maximum(low[rows, labels] - high[rows, labels], 0)
        confidence = low.max(1)
        hesitant, hurried = jnp.maximum(0.95 - confidence, 0), jnp.maximum(confidence - 0.9, 0)
        executive = jnp.where(y_s, hesitant, 0) + jnp.where(y_h & ~y_s, hurried, 0)
        return (cross_entropy + paradoxical + executive).mean()

    params = params_of(networks)
    loss, gradient = jax.jit(jax.value_and_grad(total))(params)
    after, metrics = step(batch)
    assert_same(after.params, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient))
    assert float(metrics["loss"][0]) == pytest.approx(float(loss), rel=1e-5)


EXECUTIVE_ONLY = NO_LOSS | {"hesitant_weight": 1.0, "hurried_weight": 1.0}
WITHOUT_EXECUTIVE = {"hesitant_weight": 0.0, "hurried_weight": 0.0}


def test_l3_learns_from_rows_held_out_alone_and_all_other_losses_from_the_others():
    held_out, labels = jnp.array([False, True, False, True, True, False]), jnp.array([0, 1, 2, 3, 0, 1])
    # The LRN is right and unsure of half the rows of each kind and wrong and sure of the others, the HRN is right.
    high, of_wrong = jax.nn.one_hot(labels, 4), 5 * jax.nn.one_hot((labels + 1) % 4, 4)
    low = jnp.where(jnp.array([True, True, False, False, True, False])[:, None], high, of_wrong)

    def means(low, high):
        losses = taught(classification_losses(Outputs(low, high, None), labels, SETTINGS), held_out)
        executive = losses["hesitant"].mean() + losses["hurried"].mean()
        return executive, losses["low"].mean() + losses["high"].mean() + losses["paradoxical"].mean()

    of_executive, of_others = jax.jacobian(means, (0, 1))(low, high)
    for gradient in of_executive:
        assert largest(gradient[~held_out]) == 0
    for gradient in of_others:
        assert largest(gradient[held_out]) == 0
    taught_rows = of_executive[0][held_out], *(gradient[~held_out] for gradient in of_others)
    assert all(float(jnp.abs(rows).max(1).min()) > 1e-3 for rows in taught_rows)


def test_a_step_with_rows_held_out_adds_what_two_batches_teach():
    """L_3 of the rows held out as if they were a batch, and all else of the others as if they were one."""
    batch = slides(3, count=3)
    held_out = np.array([True, False, True])
    rows_of = {rows: {name: value[np.array(rows)] for name, value in batch.items()} for rows in ((0, 2), (1,))}
    expected = jax.tree.map(
        jnp.add, gradients(rows_of[0, 2], **EXECUTIVE_ONLY), gradients(rows_of[1,], **WITHOUT_EXECUTIVE)
    )
    assert_same(gradients(batch | {"held_out": jnp.asarray(held_out)}), expected, atol=1e-4)
    assert largest(gradients(rows_of[0, 2], **EXECUTIVE_ONLY)) > 1e-3


def test_accumulation_over_slides_equals_one_batch():
    batch = slides(4)
    whole, _ = step(batch)
    in_parts = optax.MultiSteps(OPTIMISER, 2).gradient_transformation()
    begun, _ = step({name: value[:1] for name, value in batch.items()}, optimiser=in_parts)
    assert_same(begun.params, params_of(networks_of()), rtol=0, atol=0)
    parts, _ = step({name: value[1:] for name, value in batch.items()}, begun, optimiser=in_parts)
    assert largest(jax.tree.map(jnp.subtract, whole.params, params_of(networks_of()))) > 1e-3
    assert_same(whole.params, parts.params)


@pytest.mark.parametrize(
    ("method", "settings", "losses", "absent"),
    [
        ({"use_high": False}, {}, {"low"}, ("patches", "mask")),
        ({"use_low": False, "join": "none"}, {}, {"high"}, ()),
        ({}, CROSS_ENTROPY_ONLY, {"low", "high"}, ()),
        ({}, {}, {"low", "high", "paradoxical", "hesitant", "hurried"}, ()),
    ],
    ids=["image", "patch", "multiscale", "sos"],
)
def test_a_method_is_its_networks_and_its_losses(method, settings, losses, absent):
    networks = networks_of(**method)
    batch = {name: value for name, value in slides(0).items() if name not in absent}
    state, metrics = step(batch, networks=networks, **settings)
    assert {name.removeprefix("loss_") for name in metrics if name.startswith("loss_")} == losses
    assert all(np.isfinite(total) for total, _ in metrics.values())
    assert state.params.keys() == params_of(networks).keys()
    for name in state.params:
        assert largest(jax.tree.map(jnp.subtract, state.params[name], params_of(networks)[name])) > 0


def test_the_reward_of_asking_by_hand():
    low = jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]))
    high = jnp.log(jnp.array([[0.5**0.5, 1 - 0.5**0.5], [0.1, 0.9], [0.9, 0.1], [1.0, 1e-9]]))
    asked = jnp.array([True, True, False, True])
    labels = jnp.zeros(4, jnp.int32)
    reward = asking_reward(low, high, labels, asked, kind="relative", cost=0.0)
    np.testing.assert_allclose(reward, [0.5, -1.0, 0.0, 1.0], atol=1e-5)
    dearer = asking_reward(low, high, labels, asked, kind="relative", cost=0.25)
    np.testing.assert_allclose(dearer, [0.25, -1.25, 0.0, 0.75], atol=1e-5)


def test_the_reward_of_a_right_answer_by_hand():
    """Right of both, of the LRN alone, of the HRN alone (asked and not), of neither."""
    right, wrong = [2.0, 0.0], [0.0, 0.1]
    low = jnp.array([right, right, wrong, wrong, wrong])
    high = jnp.array([right, wrong, right, right, wrong])
    asked = jnp.array([True, True, True, False, True])
    reward = asking_reward(low, high, jnp.zeros(5, jnp.int32), asked, kind="correct", cost=0.25)
    np.testing.assert_allclose(reward, [-0.25, -1.25, 0.75, 0.0, -0.25])


def test_the_cost_of_asking_rises_above_the_budget_and_falls_below_it():
    cost = functools.partial(next_ask_cost, jnp.float32(0.5), budget=0.25, rate=0.1)
    assert float(cost(jnp.float32(0.75))) == pytest.approx(0.55)
    assert float(cost(jnp.float32(0.25))) == pytest.approx(0.5)
    assert float(cost(jnp.float32(0.0))) == pytest.approx(0.475)
    assert float(next_ask_cost(jnp.float32(0.01), jnp.float32(0.0), budget=0.25, rate=0.1)) == 0  # never a prize


def policy_after(steps, high_is_right, **method):
    """Probability of asking about each slide, where each has a logit of its own, and each step's share and price.

    The LRN is always wrong, the HRN right on slides of which `high_is_right`.
    """
    settings = changed(use_policy=True, entropy_weight=0.0, **method)
    low = jnp.tile(jnp.array([0.0, 1.0]), (len(high_is_right), 1))
    high = jnp.where(jnp.array(high_is_right)[:, None], low[:, ::-1], low)
    labels = jnp.zeros(len(high_is_right), jnp.int32)
    optimiser = optax.sgd(2.0)
    state = TrainState.create(jnp.zeros(len(low)), optimiser, keep_ema=False, extra=first_extra(settings.method))

    def learn(state, _):
        def loss(ask):
            losses, metrics, extra = policy_part(Outputs(low, high, ask), labels, state, settings)
            return sum(each.sum() for each in losses.values()), (metrics["asked_share"][0] / len(low), extra)

        slope, (share, extra) = jax.grad(loss, has_aux=True)(state.params)
        price = state.extra.get("ask_cost", jnp.float32(settings.method.ask_cost))
        return state.update(slope, optimiser, ema_decay=0.0, extra=extra), (share, price)

    state, history = jax.jit(lambda state: jax.lax.scan(learn, state, length=steps))(state)
    return np.asarray(jax.nn.sigmoid(state.params)), *map(np.asarray, history)


def test_where_asking_is_free_and_pays_it_asks_always_and_where_it_costs_more_than_it_pays_never():
    paying, *_ = policy_after(200, [True] * 8, reward="correct")
    assert paying.min() > 0.9
    too_dear, *_ = policy_after(200, [True] * 8, reward="correct", ask_cost=1.1)
    assert too_dear.max() < 0.1


def test_a_price_between_the_worths_parts_the_slides():
    right = np.array([True, True, False, False, False, False])
    asked, _, prices = policy_after(400, right.tolist(), reward="correct", ask_cost=0.3)
    assert asked[right].min() > 0.9
    assert asked[~right].max() < 0.1
    assert set(prices.tolist()) == {np.float32(0.3)}  # without a budget it stays


def test_a_budget_finds_the_price_at_which_it_is_kept():
    """One slide in four is worth asking about. With room for fewer the price climbs to the worth, 1, else it is 0."""
    right = [True, True, False, False, False, False, False, False]
    budget = functools.partial(policy_after, 1000, right, reward="correct", budget_rate=0.02)
    _, shares, prices = budget(budget=0.1)
    assert prices.max() > 0.8
    assert shares[:200].mean() > 0.2
    assert shares[500:].mean() < 0.12
    ample, shares, prices = budget(budget=0.5, ask_cost=0.2)
    assert ample[:2].min() > 0.9
    assert prices[0] == np.float32(0.2)
    assert prices[-1] == 0


def test_the_budget_is_of_the_slides_that_inference_would_ask_about():
    """A policy that asks about each slide with a probability of .4 asks, as it is used, about none."""
    settings = changed(use_policy=True, budget=0.2, budget_rate=0.1, ask_cost=0.5)
    state = TrainState.create({}, OPTIMISER, keep_ema=False, extra=first_extra(settings.method))
    logits = jnp.zeros((4, 2))

    def next_price(probabilities):
        ask = jax.scipy.special.logit(jnp.array(probabilities))
        _, _, extra = policy_part(Outputs(logits, logits, ask), jnp.zeros(4, jnp.int32), state, settings)
        return float(extra["ask_cost"])

    assert next_price([0.4, 0.4, 0.4, 0.4]) == pytest.approx(0.5 - 0.1 * 0.2)
    assert next_price([0.6, 0.6, 0.6, 0.4]) == pytest.approx(0.5 + 0.1 * (0.75 - 0.2))


def test_a_policy_is_paid_for_the_rows_held_out_alone():
    """Of them the HRN is worth asking about one of two; the others, where it always is, teach other losses."""
    settings = changed(use_policy=True, reward="correct", budget=0.2, budget_rate=0.1, ask_cost=0.25)
    state = TrainState.create({}, OPTIMISER, keep_ema=False, extra=first_extra(settings.method))
    wrong, right = [0.0, 1.0], [1.0, 0.0]
    low, high = jnp.array([wrong, wrong, right, wrong]), jnp.array([right, right, right, right])
    labels, held_out = jnp.zeros(4, jnp.int32), jnp.array([False, True, True, False])

    def run(ask):
        policy, metrics, extra = policy_part(Outputs(low, high, ask), labels, state, settings, held_out)
        return sum(each.mean() for each in taught(policy, held_out).values()), (metrics, extra)

    gradient, (metrics, extra) = jax.grad(run, has_aux=True)(jnp.full(4, 30.0).at[0].set(-30.0))
    assert metrics["reward"] == (pytest.approx(0.75 - 0.25), 2)
    assert metrics["asked_share"] == metrics["would_ask_share"] == (2, 2)
    assert float(extra["reward_baseline"]) == pytest.approx(0.05 * 0.25)
    assert float(extra["ask_cost"]) == pytest.approx(0.25 + 0.1 * (1 - 0.2))
    gradient, _ = jax.grad(run, has_aux=True)(jnp.ones(4))
    assert largest(gradient[~held_out]) == 0
    assert float(jnp.abs(gradient[held_out]).min()) > 1e-4


def test_in_a_step_too_a_policy_is_paid_for_the_rows_held_out_alone():
    """What the row in the middle is, and whether its label is right, moves neither the policy nor its baseline."""
    networks = networks_of(use_policy=True)
    batch = slides(3, count=3) | {"held_out": jnp.array([True, False, True])}
    other = {name: value.at[1].set(slides(4, count=3)[name][1]) for name, value in batch.items() if name != "held_out"}
    other |= {"label": other["label"].at[1].set((batch["label"][1] + 1) % 4), "held_out": batch["held_out"]}
    one, two = (step(each, fresh_state(networks), networks, **CROSS_ENTROPY_ONLY)[0] for each in (batch, other))
    assert_same((one.params["policy"], one.extra), (two.params["policy"], two.extra), rtol=1e-6, atol=1e-7)
    moved = jax.tree.map(jnp.subtract, one.params, fresh_state(networks).params)
    assert largest(moved["policy"]) > 1e-5
    assert float(jnp.abs(one.extra["reward_baseline"])) > 1e-6
    assert largest(jax.tree.map(jnp.subtract, one.params["low"], two.params["low"])) > 1e-4


def test_the_price_is_saved_and_a_resumed_run_goes_on_to_the_bit(tmp_path):
    networks, method = networks_of(use_policy=True), {"budget": 0.25, "budget_rate": 0.5, "ask_cost": 0.125}
    go_on = functools.partial(step, networks=networks, **method, **CROSS_ENTROPY_ONLY)
    first, _ = go_on(slides(5), fresh_state(networks, **method))
    assert float(first.extra["ask_cost"]) != 0.125
    checkpoints = Checkpoints(tmp_path, config={})
    checkpoints.save(first, {})
    checkpoints.close()
    restored = Checkpoints(tmp_path).restore(fresh_state(networks, **method)).state
    (straight, metrics), (resumed, _) = go_on(slides(6), first), go_on(slides(6), restored)
    assert metrics["ask_cost"] == (first.extra["ask_cost"], 1)
    assert_same(straight, resumed, rtol=0, atol=0)


def test_the_policys_gradient_is_reinforce():
    """d/dz of -(r - b) log pi(a) is (b - r)(a - p); the entropy of p is largest at p = 1/2."""
    logits, asked = jnp.array([0.3, -1.2, 2.0]), jnp.array([True, False, True])
    reward, baseline = jnp.array([0.8, 0.0, -0.5]), jnp.array(0.2)

    def slope(name, logits):
        return jax.grad(lambda z: policy_losses(z, asked, reward, baseline, SETTINGS)[name].sum())(logits)

    expected = (baseline - reward) * (asked.astype(jnp.float32) - jax.nn.sigmoid(logits))
    np.testing.assert_allclose(slope("policy", logits), expected, rtol=1e-5)
    np.testing.assert_allclose(np.sign(slope("entropy", logits)), np.sign(logits))
    assert float(slope("entropy", jnp.zeros(3))[0]) == pytest.approx(0, abs=1e-7)


def test_a_policy_that_is_sure_is_still_pulled_to_even_odds():
    """d/dz of the cross-entropy to even odds is p - 1/2."""
    settings, logits = changed(even_weight=0.5, policy_weight=2.0), jnp.array([-40.0, -1.2, 0.0, 40.0])
    asked, reward = jnp.array([False, True, True, True]), jnp.zeros(4)

    def even(logits):
        return policy_losses(logits, asked, reward, jnp.zeros(()), settings)["even"]

    np.testing.assert_allclose(
        even(jnp.array([0.0, math.log(3), 0.0, 0.0])), [0, math.log(16 / 12) / 2, 0, 0], atol=1e-6
    )
    slope = jax.grad(lambda z: even(z).sum())(logits)
    np.testing.assert_allclose(slope, jax.nn.sigmoid(logits) - 0.5, rtol=1e-5)
    assert policy_losses(logits, asked, reward, jnp.zeros(()), SETTINGS).keys() == {"policy", "entropy"}


def test_the_policys_part_of_a_step_by_hand():
    """The first and the third slide are surely asked for, the second is not."""
    low = jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]]))
    high = jnp.log(jnp.array([[0.5**0.5, 1 - 0.5**0.5], [0.1, 0.9], [1.0, 1e-9]]))
    ask, labels = jnp.array([30.0, -30.0, 30.0]), jnp.zeros(3, jnp.int32)
    state = TrainState.create({}, OPTIMISER, keep_ema=False, extra={"reward_baseline": jnp.array(0.2)})
    losses, metrics, extra = policy_part(Outputs(low, high, ask), labels, state, SETTINGS)
    reward, asked = jnp.array([0.5, 0.0, 1.0]), jnp.array([True, False, True])
    assert_same(losses, policy_losses(ask, asked, reward, jnp.array(0.2), SETTINGS))
    assert metrics == {"reward": (pytest.approx(1.5, rel=1e-5), 3), "asked_share": (2, 3)}
    assert float(extra["reward_baseline"]) == pytest.approx(0.95 * 0.2 + 0.05 * 0.5, rel=1e-5)


def test_who_is_asked_is_drawn_anew_at_every_step_and_alike_in_every_run():
    logits, labels = jnp.zeros((40, 2)), jnp.zeros(40, jnp.int32)

    def asked(number, seed=0):
        """Without a reward and with a baseline of 1, the slope of a slide's loss is a - p."""
        state = TrainState.create({}, OPTIMISER, keep_ema=False, extra={"reward_baseline": jnp.array(1.0)})
        state, settings = state.replace(step=number, seed=jnp.uint32(seed)), changed()

        def loss(ask):
            return policy_part(Outputs(logits, logits, ask), labels, state, settings)[0]["policy"].sum()

        return tuple((np.asarray(jax.grad(loss)(jnp.zeros(40))) > 0).tolist())

    assert asked(3) == asked(3)
    assert len({asked(3), asked(4), asked(3, seed=1)}) == 3
    assert 8 < sum(asked(3)) < 32


def test_rdms_keeps_a_running_mean_of_rewards_that_is_saved(tmp_path):
    networks = networks_of(use_policy=True)
    first, _ = step(slides(5), networks=networks, **CROSS_ENTROPY_ONLY)
    second, metrics = step(slides(6), first, networks=networks, **CROSS_ENTROPY_ONLY)
    baseline, (total, count) = first.extra["reward_baseline"], metrics["reward"]
    assert float(second.extra["reward_baseline"]) == pytest.approx(float(0.95 * baseline + 0.05 * total / count))
    state = second.replace(extra={"reward_baseline": jnp.array(0.125)})
    checkpoints = Checkpoints(tmp_path, config={})
    checkpoints.save(state, {})
    checkpoints.close()
    restored = Checkpoints(tmp_path).restore(fresh_state(networks)).state
    assert float(restored.extra["reward_baseline"]) == 0.125


def test_the_policy_teaches_the_classifiers_nothing():
    """RDMS's classifiers move as Multi-Scale's do, whatever the policy does."""
    plain, _ = step(slides(6), **CROSS_ENTROPY_ONLY)
    networks = networks_of(use_policy=True)
    with_policy, _ = step(slides(6), networks=networks, **CROSS_ENTROPY_ONLY)
    assert_same(plain.params, {name: with_policy.params[name] for name in plain.params}, rtol=0, atol=1e-6)
    before, after = (each["policy"] for each in (params_of(networks), with_policy.params))
    assert largest(jax.tree.map(jnp.subtract, before, after)) > 0


def test_the_switch_is_shown_while_training():
    _, metrics = step(slides(7))
    assert {"accuracy_low", "accuracy_high", "accuracy_switched", "low_share", "confidence"} <= metrics.keys()
    assert all(float(count) in (1, 2) for _, count in metrics.values())
