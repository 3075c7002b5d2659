"""The detector and the training step of a config at any side, and noise to feed them: what it shows costs nothing."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from experiments import command
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from medssl_jax.core.settings import settings_from
from medssl_jax.models.target import compiled_for
from medssl_jax.plan.chips import CHIPS

DEFAULT_CONFIG, SMALL_CONFIG = "configs/focalmix.py", "configs/phantom.py"


def config_at(path: str, side: int, *, unlabelled: int = 0, dtype: str = "float32") -> ConfigDict:
    """A config with patches of `side` voxels, one labelled and some unlabelled ones a batch."""
    config = command.load_config(path)
    patches, split = config.patches, config.split
    patches.side, patches.labelled_batch, patches.unlabelled_batch = side, 1, unlabelled
    patches.jitter = min(patches.jitter, int(side / 2 / patches.scale_range[1]))
    split.unlabelled, split.unlabelled_extra = unlabelled, 0
    config.inference.overlap = min(config.inference.overlap, side // 2)
    config.mixup.object_window = min(config.mixup.object_window, side)
    config.model.dtype = dtype
    return config


def settings_at(path: str, side: int, *, unlabelled: int = 0, dtype: str = "float32") -> FocalMixConfig:
    """The settings of `config_at`."""
    return settings_from(FocalMixConfig, config_at(path, side, unlabelled=unlabelled, dtype=dtype))


def dtypes_here() -> tuple[str, ...]:
    """The types that are worth measuring on the devices here: a CPU has nothing of bfloat16."""
    return ("float32",) if jax.default_backend() == "cpu" else ("float32", "bfloat16")


def noise_patches(side: int, rows: int) -> Float[Array, "rows side side side 1"]:
    """Patches as the network takes them."""
    return jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (rows, side, side, side, 1)).astype(np.float32))


def noise_batch(settings: FocalMixConfig) -> dict[str, dict[str, np.ndarray]]:
    """A batch as the input pipeline gives it, a nodule of 8 mm in the middle of every patch."""
    patches, rng = settings.patches, np.random.default_rng(0)
    batch = {}
    for name, rows in (("labelled", patches.labelled_batch), ("unlabelled", patches.unlabelled_batch)):
        boxes = np.zeros((rows, patches.max_objects, 6), np.float32)
        boxes[:, 0] = [*(patches.side / 2,) * 3, 8, 8, 8]
        if rows:
            batch[name] = {
                "window_hu": rng.integers(-1200, 600, (rows, *(patches.window,) * 3), np.int16),
                "scale": np.ones(rows, np.float32),
                "boxes_zyxdhw": boxes,
                "valid": boxes[..., 3] > 0,
            }
    return batch


def going_on(step: Callable[..., tuple[Any, Any]], state: Any, *inputs: Any) -> Callable[[], None]:
    """Runs `step(state, *inputs)`, which gives the next state first, each time from where it ended; waits for it."""
    held = [state]

    def run() -> None:
        held[0], rest = step(held[0], *inputs)
        jax.block_until_ready((held[0], rest))

    return run


def flops_of(function: Callable[..., Any], *arguments: Any) -> float:
    """Floating-point operations by XLA's count, before it changes the program; of a loop it counts one round.

    Counted as for an accelerator, where a convolution is one operation.
    """
    with compiled_for("gpu"):
        analysis: Any = jax.jit(lambda *given: function(*given)).lower(*arguments).cost_analysis()
    return float(analysis["flops"])


def speed_notes(flops: float, wall_seconds: float, dtype: str) -> Mapping[str, float]:
    """The rate of arithmetic, and where the chip's peak is known, its share of that in percent."""
    notes = {"GFLOP/s": flops / wall_seconds / 1e9}
    if chip := CHIPS.get(jax.devices()[0].device_kind):
        peak = chip.peak_bfloat16_flops if dtype == "bfloat16" else chip.peak_float32_flops
        notes["% of peak"] = 100 * flops / wall_seconds / peak
    return notes
