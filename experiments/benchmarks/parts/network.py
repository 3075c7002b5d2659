"""The detector's forward pass and a training step of it, beside the same network in PyTorch (--peer).

The step is the gradient of the mean squares of all outputs, and Adam. On a GPU in float32 and in bfloat16, with the
share of the chip's peak; then the ten operations that the last step spends most time in.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax

from experiments.benchmarks.bench import Bench, Measurement
from experiments.benchmarks.profile import top_ten
from experiments.benchmarks.training import (
    DEFAULT_CONFIG,
    SMALL_CONFIG,
    dtypes_here,
    flops_of,
    going_on,
    noise_patches,
    settings_at,
    speed_notes,
)

SMALLEST = {"config": SMALL_CONFIG, "sides": (32,), "rows": (1,)}


def measure(
    bench: Bench,
    *,
    config: str = DEFAULT_CONFIG,
    sides: tuple[int, ...] = (64, 96, 128),
    rows: tuple[int, ...] = (2, 1, 1),
) -> list[Measurement]:
    """Both at each side, with as many patches of it as `rows` has in its place."""
    measured, step, work = [], None, ""
    for dtype in dtypes_here():
        for side, count in zip(sides, rows, strict=True):
            detector = settings_at(config, side, dtype=dtype).detector()
            params, patches = detector.init(jax.random.key(0)), noise_patches(side, count)
            passing, step = forward(detector.predict, params, patches), _step(detector.predict, params, patches)
            theirs = _peer(bench, detector.predict, params, patches, dtype) if bench.peer else {}
            for name, run, function in (
                ("forward", passing, detector.predict),
                ("training step", step, _gradient(detector.predict)),
            ):
                work = f"{name}, {count} x {side}^3, {dtype}"
                if bench.peer:
                    other, notes = theirs[name]
                    found = bench.pair(work, run, "PyTorch", other, **notes)
                else:
                    found = bench.alone(work, run)
                flops = flops_of(function, params, patches)
                measured.append(found.noting(**speed_notes(flops, found.median.wall, dtype)))
    return measured if step is None else [*measured, *top_ten(work, step)]


def forward(predict: Callable[..., Any], params: Any, patches: Any) -> Callable[[], Any]:
    """The forward pass, compiled once; waits for its end."""
    compiled = jax.jit(predict)
    return lambda: jax.block_until_ready(compiled(params, patches))


def _gradient(predict: Callable[..., Any]) -> Callable[..., Any]:
    def loss(params: Any, patches: Any) -> Any:
        prediction = predict(params, patches)
        return (prediction.logits**2).mean() + (prediction.deltas**2).mean()

    return jax.grad(loss)


def _step(predict: Callable[..., Any], params: Any, patches: Any) -> Callable[[], None]:
    gradient, optimiser = _gradient(predict), optax.adam(1e-3)

    def step(state: tuple[Any, Any], patches: Any) -> tuple[Any, None]:
        params, opt_state = state
        updates, opt_state = optimiser.update(gradient(params, patches), opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    own = jax.tree.map(jax.numpy.copy, params)
    return going_on(jax.jit(step, donate_argnums=0), (own, optimiser.init(own)), patches)


def _peer(
    bench: Bench, predict: Callable[..., Any], params: Any, patches: Any, dtype: str
) -> dict[str, tuple[Callable[[], Any], dict[str, float]]]:
    """The same two by PyTorch, once it is known that its outputs are ours."""
    from experiments.benchmarks.peers import detector as peer
    from experiments.benchmarks.peers import devices
    from experiments.benchmarks.peers.layers import tensors_of

    notes = {}
    volumes = peer.volumes(patches)
    if dtype == "float32":
        with jax.default_matmul_precision("highest"):
            ours = jax.jit(lambda *given: predict(*given))(params, patches)
        exact = peer.predictor(tensors_of(params), volumes, dtype)()
        notes["largest difference"] = max(map(devices.difference, ours, exact))
    devices.use_threads(bench.threads)
    return {
        "forward": (devices.waiting(peer.predictor(tensors_of(params), volumes, dtype)), notes),
        "training step": (devices.waiting(peer.training_step(tensors_of(params), volumes, dtype)), {}),
    }
