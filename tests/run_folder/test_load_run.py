"""A run that was trained before, and one whose config is of another version or another method."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.load_run import MEASURED, load_run
from medssl_jax.steps.run_settings import RunSettings
from medssl_jax.steps.state import TrainState


class SmallConfig(RunSettings):
    COMMAND: ClassVar[str] = "experiments.small"

    def fresh_state(self, measured):
        return TrainState.create({"w": jnp.full(2, measured["start"])}, optax.adam(0.1), keep_ema=False)


def save(folder, **changes):
    logging = {"log_every": 2, "save_every": 2, "keep_checkpoints": 1, "bootstraps": 1}
    config = {"command": "experiments.small", "seed": 0, "steps": 6, "logging": logging, MEASURED: {"start": 0.0}}
    given = {name: value for name, value in (config | changes).items() if value is not None}
    checkpoints = Checkpoints(folder / "checkpoints", config=given)
    state = TrainState.create({"w": jnp.array([3.0, 4.0])}, optax.adam(0.1), keep_ema=False)
    checkpoints.save(state.replace(step=jnp.array(5, jnp.int32)), {})
    checkpoints.close()


def test_the_state_is_that_of_the_checkpoint_on_the_first_device_and_nothing_is_initialised(tmp_path, monkeypatch):
    save(tmp_path)
    monkeypatch.setattr(TrainState, "create", traced_only(TrainState.create))
    run = load_run(tmp_path, SmallConfig)
    assert (run.settings.steps, run.measured, int(run.state.step)) == (6, {"start": 0.0}, 5)
    assert run.state.params["w"].tolist() == [3.0, 4.0]
    assert {leaf.sharding.device_set.pop() for leaf in jax.tree.leaves(run.state)} == {jax.local_devices()[0]}


def traced_only(create):
    def checked(params, *arguments, **options):
        assert all(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(params)), "an array was made"
        return create(params, *arguments, **options)

    return checked


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"command": None},
            r"a run of another version, .* \(config field command is absent, .*\): use the version that",
        ),
        ({"x": 1}, r"a run of another version, .* \(config field x: the config has no such field; .*\): use the"),
        ({"command": "experiments.other"}, r"a run of another method, expected the --workdir of experiments\.small"),
    ],
)
def test_a_run_whose_config_does_not_load_is_one_line(tmp_path, changes, told):
    save(tmp_path, **changes)
    with pytest.raises(InputError, match=told) as refused:
        load_run(tmp_path, SmallConfig)
    assert "\n" not in str(refused.value)
