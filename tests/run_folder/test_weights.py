"""Weights in one file: what is written is read again, and nothing damaged or foreign is."""

import dataclasses
import json
import os
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import TEXT, settings_from, whole, within
from medssl_jax.metrics.nodules.operating_points import Calibration, OperatingPoint, OperatingPoints
from medssl_jax.run_folder.experience import Experience, experience_of, hash_of_series
from medssl_jax.run_folder.weights import TrainedWeights, load_weights, write_weights
from medssl_jax.steps.run_settings import RunSettings
from medssl_jax.steps.state import TrainState

LOGGING = {"log_every": 2, "save_every": 2, "keep_checkpoints": 1, "bootstraps": 1}
CONFIG = {"command": "experiments.small", "seed": 0, "steps": 6, "logging": LOGGING, "width": 3, "folder": "/a/b/crops"}
DENSE = {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.array([0.5, -1e-20, 3e7])}
ABOUT = "of crops, for nobody's diagnosis"
PARAMS = {"dense": DENSE, "scale": jnp.ones(())}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallConfig(RunSettings):
    COMMAND: ClassVar[str] = "experiments.small"
    width: int = within(whole(1))
    folder: str = within(TEXT)

    def fresh_state(self, measured):
        layer = {"kernel": jnp.zeros((measured["inputs"], self.width)), "bias": jnp.zeros(self.width)}
        return TrainState.create({"dense": layer, "scale": jnp.zeros(())}, optax.adam(0.1), keep_ema=False)


def written(folder, config=None, params=None):
    path, settings = folder / "small.safetensors", settings_from(SmallConfig, CONFIG)
    write_weights(path, TrainedWeights(CONFIG | (config or {}), settings, {"inputs": 2}, 5, params or PARAMS, ABOUT))
    return path


def test_what_is_written_is_read_again(tmp_path):
    weights = load_weights(written(tmp_path), SmallConfig)
    assert (weights.step, weights.measured, weights.settings.width) == (5, {"inputs": 2}, 3)
    assert weights.about == ABOUT
    assert jax.tree.structure(weights.params) == jax.tree.structure(PARAMS)
    jax.tree.map(np.testing.assert_array_equal, weights.params, PARAMS)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_whoever_may_read_other_files_may_read_it(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        assert written(tmp_path).stat().st_mode & 0o777 == mode
    finally:
        os.umask(before)


def test_it_names_no_folder_of_the_machine(tmp_path):
    path = written(tmp_path)
    assert b"/a/b" not in path.read_bytes()
    assert load_weights(path, SmallConfig).config == CONFIG | {"folder": "crops"}


def test_what_is_known_of_scans_comes_along_and_lists_none(tmp_path):
    point = OperatingPoint(1.0, 0.625, 0.75, 0.5)
    points = OperatingPoints("LUNA16", 5, 4, 8, (point,), Calibration(1.5, -0.25, 0.2, 0.1))
    known = Experience(points, (hash_of_series("1.2.3"),))
    path, settings = tmp_path / "small.safetensors", settings_from(SmallConfig, CONFIG)
    write_weights(path, TrainedWeights(CONFIG, settings, {"inputs": 2}, 5, PARAMS, ABOUT, known))
    read = load_weights(path, SmallConfig).experience
    assert read == known
    assert (read.has_seen("1.2.3"), read.has_seen("1.2.4")) == (True, False)
    assert b"1.2.3" not in path.read_bytes()
    assert load_weights(written(tmp_path), SmallConfig).experience == Experience()


def test_a_run_knows_its_scans_and_the_points_of_its_step(tmp_path):
    points = OperatingPoints("LUNA16", 5, 4, 8, (OperatingPoint(1.0, 0.625, 0.75, 0.5),), None)
    (tmp_path / "operating_points.json").write_text(json.dumps(points.as_json()))
    parts = {"labelled": ["a"], "unlabelled": ["b"], "validation": ["c"], "test": ["d"], "left_out": ["e"]}
    (tmp_path / "split.json").write_text(json.dumps(parts))
    known = experience_of(tmp_path, 5)
    assert known.points == points
    assert [known.has_seen(uid) for uid in "abcde"] == [True, True, True, False, False]
    assert experience_of(tmp_path, 4).points is None  # those of another state
    assert experience_of(tmp_path / "absent", 5) == Experience()
    (tmp_path / "operating_points.json").write_text('{"points": 3}')
    with pytest.raises(InputError, match=r"operating_points\.json: not what a run wrote"):
        experience_of(tmp_path, 5)


def test_a_run_of_slides_knows_no_scan_and_a_split_of_neither_is_refused(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["slide"], "validation": ["other"], "test": ["third"]}))
    assert experience_of(tmp_path, 5) == Experience()
    path.write_text(json.dumps({"validation": ["a"]}))
    with pytest.raises(InputError, match=r"split\.json: not what a run wrote"):
        experience_of(tmp_path, 5)


def test_equal_weights_are_equal_files(tmp_path):
    assert written(tmp_path).read_bytes() == written(tmp_path).read_bytes()


def test_any_program_that_knows_the_format_finds_names_and_config(tmp_path):
    with safe_open(written(tmp_path), "numpy") as file:
        assert sorted(file.keys()) == ["dense/bias", "dense/kernel", "scale"]
        assert json.loads(file.metadata()["medssl_jax"])["config"]["width"] == 3


def test_whatever_byte_is_changed_it_is_told(tmp_path):
    path = written(tmp_path)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(InputError, match=r"small\.safetensors: "):
            load_weights(path, SmallConfig)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_a_file_cut_short_is_told(tmp_path, kept):
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"no readable file of weights .*: copy it again, or export it again"):
        load_weights(path, SmallConfig)


def test_weights_of_something_else_are_told(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"w": np.zeros(3)}, path, {"format": "pt"})
    with pytest.raises(InputError, match=r"safetensors of something else, expected weights that experiments\.export"):
        load_weights(path, SmallConfig)


@pytest.mark.parametrize(
    ("config", "params", "told"),
    [
        ({"width": 4}, None, r"its parameters are not those of its config"),
        ({"width": 0}, None, r"a run of another version, .*width is 0"),
        ({"command": "experiments.other"}, None, r"a run of another method"),
        ({}, {"dense": DENSE}, r"its parameters are not those of its config"),
        ({}, PARAMS | {"scale": jnp.ones((), jnp.bfloat16)}, r"its parameters are not those of its config"),
    ],
)
def test_weights_that_do_not_fit_are_told(tmp_path, config, params, told):
    with pytest.raises(InputError, match=told):
        load_weights(written(tmp_path, config, params), SmallConfig)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none\.safetensors: no such file, expected weights that experiments\.export"):
        load_weights(tmp_path / "none.safetensors", SmallConfig)
    with pytest.raises(InputError, match=r"none: no such folder, expected the --workdir of a training run"):
        load_weights(tmp_path / "none", SmallConfig)
