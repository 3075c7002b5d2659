"""The networks of SOS on images of LKS's size, the LRN beside the same ResNet-18 in PyTorch (--peer).

Reading slides is the part `read_slide`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from experiments import command
from experiments.benchmarks.bench import Bench, Measurement
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.settings import settings_from
from medssl_jax.models.sos_networks import Intensities, SosNetworks

SMALLEST = {"config": "configs/phantom_sos.py", "patches": 2}
INTENSITIES = Intensities(0.2, 0.25)


def measure(bench: Bench, *, config: str = "configs/sos.py", patches: int = 2) -> list[Measurement]:
    """The LRN's pass over one slide and its gradient, and the HRN's over so many patches of it."""
    networks = settings_from(SosConfig, command.load_config(config)).networks(INTENSITIES, classes=4)
    params = networks.init(jax.random.key(0))
    image, tiles = _noise(1, networks.low_side), _noise(patches, networks.patch_side)
    size = f"{networks.low_side}^2"
    forward, gradient = _forward(networks, params, image), _gradient(networks, params, image)
    high = _high(networks, params, tiles)
    rows = [(f"LRN forward, {size}", forward), (f"LRN gradient, {size}", gradient)]
    last = bench.alone(f"HRN, {patches} patches of {networks.patch_side}^2", high)
    if not bench.peer:
        return [*(bench.alone(work, run) for work, run in rows), last]
    from experiments.benchmarks.peers import devices, resnet
    from experiments.benchmarks.peers.layers import tensors_of

    pixels = resnet.images(image, INTENSITIES)
    low = tensors_of(params["low"])
    with jax.default_matmul_precision("highest"):
        exact = jax.jit(lambda *given: networks.low(*given).logits)(params, image)
    notes = {"largest difference": devices.difference(exact, resnet.classify(low, pixels))}
    devices.use_threads(bench.threads)
    theirs = (
        devices.waiting(resnet.forward(low, pixels)),
        devices.waiting(resnet.gradient(tensors_of(params["low"]), pixels)),
    )
    return [
        *(bench.pair(work, run, "PyTorch", other, **notes) for (work, run), other in zip(rows, theirs, strict=True)),
        last,
    ]


def _noise(count: int, side: int) -> UInt8[np.ndarray, "{count} {side} {side}"]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side), np.uint8)


def _forward(networks: SosNetworks, params: Any, image: Any) -> Callable[[], Any]:
    compiled, on_device = jax.jit(networks.low), jax.device_put(image)
    return lambda: jax.block_until_ready(compiled(params, on_device))


def _gradient(networks: SosNetworks, params: Any, image: Any) -> Callable[[], Any]:
    def loss(low: Any, image: Any) -> Any:
        return (networks.low({"low": low}, image).logits ** 2).sum()

    compiled, on_device = jax.jit(jax.grad(loss)), jax.device_put(image)
    return lambda: jax.block_until_ready(compiled(params["low"], on_device))


def _high(networks: SosNetworks, params: Any, tiles: Any) -> Callable[[], Any]:
    def look(params: Any, tiles: Any, v: Any) -> Any:
        features = networks.encode(params, tiles)[None]
        return networks.high(params, features, jnp.ones(features.shape[:2], bool), v)

    assert networks.hrn is not None
    compiled, on_device = jax.jit(look), jax.device_put((tiles, np.zeros((1, networks.hrn.features), np.float32)))
    return lambda: jax.block_until_ready(compiled(params, *on_device))
