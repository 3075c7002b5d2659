"""One step of SOS on each of some numbers of devices; `test_parallel.py` compares them.

python small_sos_step.py FOLDER NUMBER...
"""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.configs import sos
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.settings import settings_from
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.models.sos_networks import make_networks
from medssl_jax.parallel import hosts
from medssl_jax.parallel.sharding import data_parallel
from medssl_jax.steps.sos_step import sos_step
from medssl_jax.steps.state import TrainState

SLIDES, PATCHES = 8, 5


def main(folder, counts):
    config = sos.get_config()
    config.model.update(dict(intensity_mean=0.5, intensity_deviation=0.3, attention_features=3))
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4,), (1,)
    config.model.low_stem_block = config.model.high_stem_block = 4
    config.batches.chunk = 3
    rng = np.random.default_rng(0)
    batch = {
        "low_resolution": rng.integers(0, 256, (SLIDES, 16, 16), np.uint8),
        "patches": rng.integers(0, 256, (SLIDES, PATCHES, 8, 8), np.uint8),
        "mask": rng.random((SLIDES, PATCHES)) < 0.6,
        "label": rng.integers(0, 4, SLIDES).astype(np.int32),
    }
    settings = settings_from(SosConfig, config)
    networks = make_networks(settings.model, settings.method, SlideLayout(grid=4, patch_side=8, shrink=2))
    optimiser = optax.sgd(1.0)  # a step is the gradient
    before = networks.init(jax.random.key(0))
    for count in counts:
        sharding = data_parallel(jax.devices()[:count], batches=[SLIDES])
        step = sharding.jit_step(
            functools.partial(
                sos_step,
                networks=networks,
                optimiser=optimiser,
                settings=settings.step_settings,
                sharding=sharding,
            )
        )
        fresh = TrainState.create(jax.tree.map(jnp.copy, before), optimiser, keep_ema=False)
        rows = sharding.host_rows(SLIDES)
        state = sharding.replicate(fresh)
        placed = sharding.shard_batch({name: values[rows.start : rows.stop] for name, values in batch.items()})
        compiled = step.lower(state, placed).compile()
        after, metrics = compiled(state, placed)
        gradient = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), before, sharding.host_local(after.params))
        if hosts.is_first():
            np.savez(folder / f"{count}.npz", np.float32(metrics["loss"][0]), *jax.tree.leaves(gradient))
            (folder / f"{count}.hlo").write_text(compiled.as_text())


if __name__ == "__main__":
    hosts.connect()
    main(Path(sys.argv[1]), [int(count) for count in sys.argv[2:]])
