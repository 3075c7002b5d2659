"""The exported program gives the network's answers where this library cannot be imported."""

import dataclasses
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.configs import phantom
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from medssl_jax.core.settings import settings_from
from medssl_jax.data.scans.patches import normalise_hu
from medssl_jax.detection.boxes import decode_boxes
from medssl_jax.inference.window_program import description, window_program
from medssl_jax.metrics.nodules.operating_points import OperatingPoint, OperatingPoints
from medssl_jax.run_folder.experience import Experience
from medssl_jax.run_folder.weights import TrainedWeights

SIDE = 16
WINDOW_HU = (-160, 240)
WITHOUT_THIS_LIBRARY = """
import sys
for name in ("medssl_jax", "experiments", "data_builders"):
    sys.modules[name] = None
import jax, numpy as np
from jax import export

program = export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
assert "stablehlo" in program.mlir_module()
for rows in (1, 3):
    logits, boxes = program.call(np.load(sys.argv[2])[:rows])
    np.savez(f"{sys.argv[3]}/{rows}.npz", logits=logits, boxes=boxes)
print(*program.platforms)
"""


@pytest.fixture(scope="module", params=[0, 4], ids=["space to depth", "stem"])
def weights(request):
    config = phantom.get_config()
    config.patches.side, config.patches.jitter, config.inference.overlap = SIDE, 4, 4
    config.model.stem_features = request.param
    config.data.window_hu = WINDOW_HU
    config.model.features, config.model.blocks, config.model.pyramid_features = (8, 8), (1, 1), 8
    config.anchors.strides, config.anchors.sides_mm = (2, 4), ((4.5,), (7.0, 10.0))
    settings = settings_from(FocalMixConfig, config)
    params = settings.fresh_state().params
    # Not the small heads that a network begins with, which answer nearly alike everywhere.
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf + rng.normal(0, 0.2, leaf.shape), leaf.dtype), params)
    return TrainedWeights(json.loads(config.to_json()), settings, {}, 7, params, about="of nothing")


def test_the_same_answers_in_a_process_that_cannot_import_it(weights, tmp_path):
    windows = np.random.default_rng(1).integers(-1500, 900, (3, SIDE, SIDE, SIDE)).astype(np.int16)
    (tmp_path / "windows.stablehlo").write_bytes(window_program(weights))
    np.save(tmp_path / "windows.npy", windows)
    paths = [str(tmp_path / name) for name in ("windows.stablehlo", "windows.npy", "")]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THIS_LIBRARY, *paths], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["cpu", "cuda", "tpu"]
    detector = weights.settings.detector()
    expected = detector.predict(weights.params, normalise_hu(jnp.asarray(windows), WINDOW_HU)[..., None])
    boxes = decode_boxes(expected.deltas, jnp.asarray(detector.grid.boxes_zyxdhw()))
    assert float(jnp.std(expected.logits)) > 0.1
    for rows in (1, 3):
        found = np.load(tmp_path / f"{rows}.npz")
        np.testing.assert_allclose(found["logits"], expected.logits[:rows], atol=2e-4)
        np.testing.assert_allclose(found["boxes"], boxes[:rows], atol=2e-3)


def test_what_stands_beside_it_is_what_the_library_goes_by(weights):
    told = json.loads(json.dumps(description(weights)))
    assert told["input"].startswith("windows_hu: int16 (b, 16, 16, 16)")
    assert told["output"].startswith("logits: float32 (b, anchors); boxes_zyxdhw_voxel: float32 (b, anchors, 6)")
    assert told["platforms"] == ["cpu", "cuda", "tpu"]
    assert told["preprocessing"] == {
        "spacing_mm": 1.0,
        "axes": "z towards the head, y to the back, x to the patient's left",
        "hu_range": [-1200, 600],
        "window_hu": [-160, 240],
        "outside_hu": 0,
        "region": "lungs",
        "mask_lungs": True,
        "lung_dilation_mm": 5.0,
    }
    assert told["anchors"] == {"strides": [2, 4], "sides_mm": [[4.5], [7.0, 10.0]]}
    assert told["postprocessing"]["overlap"] == 4
    assert told["postprocessing"]["score"] == "1 / (1 + exp(-logit))"
    assert (told["step"], told["about"]) == (7, "of nothing")
    assert "operating_points" not in told


def test_thresholds_that_are_known_are_told(weights):
    points = OperatingPoints("LUNA16", 7, 4, 8, (OperatingPoint(1.0, 0.25, 0.75, 0.5),), None)
    told = json.loads(json.dumps(description(dataclasses.replace(weights, experience=Experience(points, ("ab",))))))
    (point,) = told["operating_points"]["points"]
    assert (point["threshold"], point["sensitivity"], point["measured_fps_per_scan"]) == (0.25, 0.75, 0.5)
    assert told["seen_series"] == ["ab"]
