"""A run that was trained before, and one whose config is of another version or another method."""

from typing import ClassVar

import jax.numpy as jnp
import optax
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.train.checkpoint import Checkpoints
from medssl_jax.train.load_run import load_run
from medssl_jax.train.run_settings import RunSettings
from medssl_jax.train.state import TrainState


class SmallConfig(RunSettings):
    COMMAND: ClassVar[str] = "experiments.small"


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
    logging = {"log_every": 2, "save_every": 2, "keep_checkpoints": 1, "bootstraps": 1}
    config = {"command": "experiments.small", "seed": 0, "steps": 6, "logging": logging} | changes
    state = TrainState.create({"w": jnp.zeros(2)}, optax.sgd(0.1), keep_ema=False)
    given = {name: value for name, value in config.items() if value is not None}
    checkpoints = Checkpoints(tmp_path / "checkpoints", config=given)
    checkpoints.save(state, {})
    checkpoints.close()
    with pytest.raises(InputError, match=told) as refused:
        load_run(tmp_path, SmallConfig, lambda settings: state)
    assert "\n" not in str(refused.value)
