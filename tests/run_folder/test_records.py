"""A whole run of a tiny step: what it says and leaves in its folder, and what is kept where a loss is not finite."""

import re
import types

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from medssl_jax.core.errors import InputError
from medssl_jax.parallel.sharding import SINGLE_DEVICE
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.records import Records
from medssl_jax.run_folder.tensor_hashes import read_hashes
from medssl_jax.steps.state import TrainState
from medssl_jax.train.trainer import Batches, Schedule, Trainer

OPTIMISER = optax.sgd(0.1)
STEPS, ROWS = 6, 4


@jax.jit
def step(state, batch):
    loss, gradient = jax.value_and_grad(lambda params: ((params["w"] - batch["x"]) ** 2).mean())(state.params)
    return state.update(gradient, OPTIMISER, ema_decay=0.0), {"loss": (loss, jnp.ones(()))}


def run(workdir, *, poisoned=None, places=STEPS, made=None, **records):
    """`poisoned` is the place of the batch that holds no number; the place of each batch is added to `made`."""

    def batch(place):
        if made is not None:
            made.append(place)
        return {"x": np.full((ROWS, 2), np.nan if place == poisoned else place, np.float32)}

    config = ConfigDict(
        {
            "seed": 0,
            "steps": STEPS,
        }
    )
    return Trainer(
        init_state=lambda: TrainState.create({"w": jnp.zeros(2)}, OPTIMISER, keep_ema=False),
        train_step=step,
        batches=Batches(
            grain.MapDataset.range(places).map(batch),
            lambda place: {"labelled": [f"scan{place}"]},
            threads=1,
            fetched_ahead=1,
        ),
        sharding=SINGLE_DEVICE,
        schedule=Schedule(STEPS, log_every=2, save_every=3),
        checkpoints=Checkpoints(workdir / "checkpoints", config=config.to_dict(), keep=1),
        records=Records(workdir, config, **records),
    ).train()


def test_one_device_trains_and_says_only_its_progress(tmp_path, capsys):
    trained = run(tmp_path)
    expected = 0.0
    for place in range(STEPS):
        expected -= 0.1 * (expected - place)
    np.testing.assert_allclose(trained.params["w"], expected, rtol=1e-5)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()) == ["6"]
    assert sorted(read_hashes(tmp_path)) == [2, 4, 6]
    said = capsys.readouterr()
    assert re.findall(r"step\s+(\d+)", said.out + said.err) == ["2", "4", "6"]
    assert "share the batch" not in said.out + said.err


def test_the_batch_of_a_loss_that_is_not_finite_is_kept_by_its_step(tmp_path):
    with pytest.raises(InputError, match=r"not_finite_step4\.npz \(labelled: scan3\)"):
        run(tmp_path, poisoned=3)
    with np.load(tmp_path / "not_finite_step4.npz") as kept:
        assert np.isnan(kept["x"]).all()
        assert kept["x"].shape == (ROWS, 2)


def test_batches_are_read_ahead_by_as_many_as_were_asked_for(tmp_path):
    made, ahead = [], []
    run(tmp_path, places=200, made=made, watch=lambda step, hashes: ahead.append(len(made) - step))
    assert 0 <= min(ahead) <= max(ahead) <= 3  # one waits, one is read, one was taken for the next step


def test_pace_is_that_since_the_last_line(tmp_path, capsys, monkeypatch):
    seconds = iter((0.0, 2.0, 3.0, 7.0))
    monkeypatch.setattr("medssl_jax.run_folder.records.time", types.SimpleNamespace(monotonic=lambda: next(seconds)))
    run(tmp_path)
    paces = re.findall(r"([\d.]+ steps/s  \d:\d\d left)", capsys.readouterr().out)
    assert paces == ["1.00 steps/s  0:04 left", "2.00 steps/s  0:01 left", "0.50 steps/s  0:00 left"]
