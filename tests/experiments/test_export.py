"""The command on a run of no steps: one file, from which the same detector comes back, or one line."""

import json
import subprocess
import sys

import jax
import jax.export
import numpy as np
import pytest

from experiments.configs import phantom
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from medssl_jax.core.settings import settings_from
from medssl_jax.inference.demonstration import DEMONSTRATION
from medssl_jax.inference.trained_detector import load_detector
from medssl_jax.run_folder.checkpoint import Checkpoints

ENDS = ("json", "safetensors", "stablehlo")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = phantom.get_config()
    config.model.features, config.model.blocks, config.model.pyramid_features = (4, 4), (1, 1), 8
    config.anchors.strides, config.anchors.sides_mm = (4,), ((4.5,),)
    folder = tmp_path_factory.mktemp("run")
    checkpoints = Checkpoints(folder / "checkpoints", config=json.loads(config.to_json()))
    checkpoints.save(settings_from(FocalMixConfig, config).fresh_state(), {})
    checkpoints.close()
    return folder


def export(checkpoint, output, *flags, about="of nothing"):
    command = [
        sys.executable,
        "-m",
        "experiments.export",
        f"--checkpoint={checkpoint}",
        f"--output={output}",
        *([] if about is None else [f"--about={about}"]),
        *flags,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_detector_comes_back_from_the_file(run, tmp_path):
    path = tmp_path / "detector.safetensors"
    done = export(run, path, "--stablehlo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"written: {path}, 0.")
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"detector.{end}" for end in ENDS]
    assert (
        jax.export.deserialize(bytearray(path.with_suffix(".stablehlo").read_bytes())).in_avals[0].shape[1:]
        == (32,) * 3
    )
    assert json.loads(path.with_suffix(".json").read_text())["about"] == "of nothing"
    of_run, of_file = load_detector(run), load_detector(path)
    flat = [np.concatenate([np.ravel(leaf) for leaf in leaves(each.params)]) for each in (of_run, of_file)]
    np.testing.assert_array_equal(*flat)
    assert (of_file.step, of_file.mask_lungs) == (of_run.step, of_run.mask_lungs)
    assert (of_file.about, of_run.about) == ("of nothing", "")
    assert of_file.config["data"]["manual_dir"] == "LUNA16"


def leaves(tree):
    return [leaf for _, each in sorted(tree.items()) for leaf in (leaves(each) if isinstance(each, dict) else [each])]


def test_a_file_that_was_handed_on_is_exported_with_what_it_tells(tmp_path):
    """The demonstration, which has no run here."""
    done = export(DEMONSTRATION, tmp_path / "again.safetensors", about=None)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.safetensors").read_bytes() == DEMONSTRATION.read_bytes()


def test_what_cannot_be_exported_is_one_line(run, tmp_path):
    done = export(tmp_path / "none", tmp_path / "a.safetensors")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: {tmp_path / 'none'}: no such folder, expected the --workdir of a training run"
    ]
    done = export(run, tmp_path / "a.npz")
    (line,) = done.stderr.splitlines()
    assert line == f"error: --output={tmp_path / 'a.npz'}: expected a name that ends in .safetensors"
