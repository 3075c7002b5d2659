"""One process of small FocalMix trainings, each on some number of devices; `test_parallel.py` compares them.

    python small_training.py FOLDER GROUP NUMBER...

writes what the first process knows of each into FOLDER/NUMBER: `said.json`, `gradient.npz`, `step.hlo`.
"""

import functools
import json
import sys
from pathlib import Path

import numpy as np

from experiments.configs import phantom
from medssl_jax.parallel import hosts

STEPS = 3


class Scans:
    """Noise with one bright cube a scan, in place of the crop cache."""

    def scan(self, series_uid):
        from medssl_jax.data.scans.crop_cache import CachedScan
        from medssl_jax.imaging.geometry import Grid

        rng = np.random.default_rng(int(series_uid))
        centre = rng.integers(12, 20, 3)
        hu = rng.normal(-700, 100, (32, 32, 32)).astype(np.int16)
        hu[tuple(slice(c - 3, c + 4) for c in centre)] = 50
        return CachedScan(
            series_uid=series_uid,
            subset=0,
            grid=Grid(hu.shape, (1.0, 1.0, 1.0)),
            hu_zyx=hu,
            lungs_zyx=np.ones(hu.shape, np.uint8),
            places_zyx=np.argwhere(np.ones((8, 8, 8))).astype(np.int16) * 4,
            boxes_zyxdhw_voxel=np.array([[*centre, 7, 7, 7]], np.float32),
        )


def small_config(group=16):
    config = phantom.get_config()
    config.patches.side, config.patches.jitter = 16, 4
    config.patches.labelled_batch = config.patches.unlabelled_batch = 8
    # Two stages, which are quick to compile.
    config.model.features, config.model.blocks, config.model.pyramid_features = (32, 32), (1, 1), 16
    config.anchors.strides, config.anchors.sides_mm = (2, 4), ((4.5, 7.0), (14.0,))
    config.mixup.group = group
    config.ssl.ramp_start_share = config.ssl.ramp_share = 0.0
    config.inference.overlap = 0
    return config


def train(folder, config, devices):
    """Trains on `devices`; rows that mix with each other are `config.mixup.group`."""
    import jax
    import optax

    from experiments.runs.focalmix import focalmix_job
    from experiments.runs.focalmix.focalmix_config import FocalMixConfig
    from medssl_jax.core.settings import settings_from
    from medssl_jax.data.scans.pipeline import patch_batches
    from medssl_jax.run_folder.tensor_hashes import join_rows, row_hashes
    from medssl_jax.steps.focalmix_step import focalmix_step
    from medssl_jax.steps.state import TrainState

    settings = settings_from(FocalMixConfig, config)
    sharding = focalmix_job.sharding_of(settings, devices)
    batches = patch_batches(
        Scans(),
        [str(uid) for uid in range(10)],
        [str(uid) for uid in range(10, 30)],
        settings=settings.patches,
        seed=settings.seed,
        host_rows=sharding.host_rows,
    )
    detector = settings.detector()
    optimiser = optax.sgd(1.0)  # a step is the gradient
    step = sharding.jit_step(
        functools.partial(
            focalmix_step,
            predict=detector.predict,
            optimiser=optimiser,
            grid=detector.grid,
            settings=settings.step_settings,
            sharding=sharding,
        )
    )
    first = settings.fresh_state().params
    state = sharding.replicate(TrainState.create(first, optimiser, keep_ema=False))
    before = jax.tree.map(np.asarray, sharding.host_local(state.params))
    # Compiled for these places: handed a state or a batch that lies elsewhere, it refuses.
    step = step.lower(state, sharding.shard_batch(batches[0])).compile()
    hashes, losses, gradient = [], [], None
    for index in range(STEPS):
        hashes.append(join_rows(hosts.gather(row_hashes(batches[index]))))
        state, metrics = step(state, sharding.shard_batch(batches[index]))
        losses.append(float(jax.device_get(metrics["loss"][0])))
        if gradient is None:
            after = jax.tree.map(np.asarray, sharding.host_local(state.params))
            gradient = jax.tree.map(lambda a, b: a - b, before, after)
    if hosts.is_first():
        folder.mkdir()
        np.savez(folder / "gradient.npz", *jax.tree.leaves(gradient))
        (folder / "step.hlo").write_text(step.as_text())
        said = {
            "devices": sharding.device_count,
            "hosts": hosts.count(),
            "batches": hashes,
            "losses": losses,
        }
        (folder / "said.json").write_text(json.dumps(said))


def main(folder, group, *counts):
    import jax

    for count in counts:
        train(Path(folder) / count, small_config(int(group)), jax.devices()[: int(count)])


if __name__ == "__main__":
    hosts.connect()
    main(*sys.argv[1:])
