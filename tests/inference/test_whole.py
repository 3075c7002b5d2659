"""One pass over a whole scan: the marks of any number of devices are those of one, and memory is shared, not copied.

Devices are made when JAX starts, so what needs several runs in one process of its own: this file, as a script.
"""

import functools
import math
import os
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.detection.anchors import AnchorGrid, AnchorLevel
from medssl_jax.detection.boxes import decode_boxes
from medssl_jax.detection.nms import suppress
from medssl_jax.detection.prediction import Prediction
from medssl_jax.inference.sliding import SlidingSettings
from medssl_jax.inference.whole import WholeScanDetector, padded_shape
from medssl_jax.models.detector import Detector
from medssl_jax.models.fpn3d import FPN3D
from medssl_jax.parallel.sharding import space_mesh
from medssl_jax.plan.hlo import read_instructions

SETTINGS = SlidingSettings(
    overlap=0,
    window_batch=1,
    candidates=32,
    window_detections=8,
    scan_candidates=256,
    score_threshold=0.1,
    nms_iou=0.1,
    marks=100,
)
LEVELS = (AnchorLevel(2, (3.0, 5.0)), AnchorLevel(4, (7.0,)))
DEVICES = (1, 2, 4, 8)
COLLECTIVES = ("all-gather", "all-to-all", "all-reduce", "collective-permute", "reduce-scatter", "collective-broadcast")
SHAPE, PADDED = (60, 44, 30), (64, 48, 32)


def untrained_detector() -> tuple[Detector, dict]:
    """A small network whose scores are spread wide, as if it had learned something."""
    network = FPN3D(
        LEVELS, stem_features=4, features=(4, 8), blocks=(1, 1), pyramid_features=8, head_depth=1, prior=0.1
    )
    detector = Detector(network, AnchorGrid(8, LEVELS))
    params = dict(detector.init(jax.random.key(0)))
    for name in ("logits2", "logits4"):
        params[name] = jax.tree.map(lambda leaf: 40 * leaf if leaf.ndim > 1 else leaf, params[name])
    return detector, params


def noisy_scan() -> tuple[np.ndarray, np.ndarray]:
    """A scan whose lungs leave out its first slices and its last columns."""
    hu = np.random.default_rng(0).integers(-1200, 600, SHAPE, np.int16)
    lungs = np.ones(SHAPE, np.uint8)
    lungs[:9], lungs[:, :, -7:] = 0, 0
    return np.where(lungs > 0, hu, np.int16(0)), lungs


def elements_of_collectives(hlo_text: str) -> dict[str, list[int]]:
    """How many elements each exchange between devices hands to one of them, by kind, in a compiled HLO text."""
    found: dict[str, list[int]] = {}
    for instruction in read_instructions(hlo_text):
        kind = instruction.opcode.removesuffix("-start")
        if kind in COLLECTIVES:
            found.setdefault(kind, []).append(sum(result.elements for result in instruction.results))
    return found


def run_on_devices(output: str) -> None:
    """The marks, the memory of each device and the HLO on 1, 2, 4 and 8 devices, and the network's plain answer."""
    detector, params = untrained_detector()
    params = jax.device_put(params, jax.devices()[0])  # where a checkpoint leaves them
    hu, lungs = noisy_scan()
    results = {}
    for count in DEVICES:
        mesh = space_mesh(jax.devices()[:count])
        whole = WholeScanDetector(detector.predict_levels, LEVELS, SETTINGS, mesh, stride=detector.coarsest_stride)
        compiled = whole.compile(params, SHAPE)
        results[count] = {
            "found": tuple(whole(params, hu, lungs)),
            "temporary_bytes": compiled.memory_analysis().temp_size_in_bytes,
            "hlo": compiled.as_text(),
        }
    volume = np.zeros(PADDED, np.int16)
    volume[: SHAPE[0], : SHAPE[1], : SHAPE[2]] = hu
    normalised = (2 * (volume.astype(np.float32) + 1200) / 1800 - 1)[None, ..., None]
    plain = jax.tree.map(np.asarray, jax.jit(detector.predict)(params, normalised))
    with open(output, "wb") as file:
        pickle.dump((results, tuple(plain)), file)


@pytest.fixture(scope="module")
def on_devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    surroundings = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={max(DEVICES)}",
        # What is compiled to be looked at need not be compiled again to be run.
        "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [sys.executable, __file__, str(folder / "results")],
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return pickle.loads((folder / "results").read_bytes())


def test_marks_are_those_of_the_plain_network(on_devices):
    """Worked out from the flat list of all anchors of the padded volume: the best of each slab, then of the scan."""
    results, (logits, codes) = on_devices
    lungs = noisy_scan()[1]
    anchors = AnchorGrid(PADDED, LEVELS).boxes_zyxdhw()
    boxes = np.asarray(decode_boxes(jnp.asarray(codes[0]), jnp.asarray(anchors)))
    scores = np.asarray(jax.nn.sigmoid(logits[0]))
    keep_best = jax.jit(functools.partial(suppress, iou_threshold=0.1, score_threshold=0.1), static_argnames="count")
    chosen_boxes, chosen_scores = [], []
    for slab in range(PADDED[0] // 4):
        mine = np.flatnonzero((anchors[:, 0] > 4 * slab - 0.5) & (anchors[:, 0] < 4 * slab + 3.5))
        best = mine[np.argsort(-scores[mine])[:32]]
        kept = keep_best(boxes[best], scores[best], count=8)
        valid = np.asarray(kept.valid)
        chosen_boxes.append(np.asarray(kept.boxes_zyxdhw)[valid])
        chosen_scores.append(np.asarray(kept.scores)[valid])
    boxes, scores = np.concatenate(chosen_boxes), np.concatenate(chosen_scores)
    index = np.round(boxes[:, :3]).astype(int)
    in_scan = ((index >= 0) & (index < SHAPE)).all(1)
    in_lungs = np.array([good and lungs[tuple(place)] > 0 for good, place in zip(in_scan, index, strict=True)])
    kept = keep_best(boxes[in_lungs], scores[in_lungs], count=100)
    found_boxes, found_scores = results[1]["found"]
    assert 20 < len(found_scores) < 100
    assert len(found_scores) == int(kept.valid.sum())
    np.testing.assert_allclose(found_scores, np.asarray(kept.scores)[: len(found_scores)], atol=1e-4)
    np.testing.assert_allclose(found_boxes, np.asarray(kept.boxes_zyxdhw)[: len(found_scores)], atol=1e-4)


@pytest.mark.parametrize("count", DEVICES[1:])
def test_marks_do_not_depend_on_the_number_of_devices(on_devices, count):
    results, _ = on_devices
    for found, of_one in zip(results[count]["found"], results[1]["found"], strict=True):
        np.testing.assert_allclose(found, of_one, atol=1e-4)


def test_devices_share_the_memory(on_devices):
    results, _ = on_devices
    peaks = [results[count]["temporary_bytes"] for count in DEVICES]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] < peaks[0] / 3


def test_neighbours_exchange_slices_and_nobody_a_feature_map(on_devices):
    results, _ = on_devices
    assert not elements_of_collectives(results[1]["hlo"])
    for count in DEVICES[1:]:
        moved = elements_of_collectives(results[count]["hlo"])
        assert set(moved) <= {"collective-permute", "all-reduce", "all-gather"}
        slice_of_stem = PADDED[1] * PADDED[2] * 4
        assert len(moved["collective-permute"]) >= 10
        assert max(moved["collective-permute"]) <= slice_of_stem
        # GroupNorm's sums, and the boxes that the slabs found; the smallest feature map has 8 channels at stride 4.
        assert max(moved["all-reduce"]) < 1000
        assert max(moved["all-gather"]) <= PADDED[0] // 4 * 8 * 6 < math.prod(PADDED) // 4**3 * 8


CUBES = (AnchorLevel(4, (4.0,)),)


def bright_places(params, volume):
    """Each anchor's logit is the brightness of its 4 x 4 x 4 place: +4 for 600 HU, -4 for -1200 HU."""
    _, z, y, x, _ = volume.shape
    means = volume.reshape(1, z // 4, 4, y // 4, 4, x // 4, 4).mean((2, 4, 6))
    logits = 4 * params * means[..., None]
    return [Prediction(logits, jnp.zeros((*logits.shape, 4)))]


def scan_with(*places, shape=(24, 40, 33)):
    hu = np.full(shape, -1200, np.int16)
    for z, y, x in places:
        hu[z : z + 4, y : y + 4, x : x + 4] = 600
    return hu, np.ones(shape, np.uint8)


def make_bright_detector(**changes):
    settings = SlidingSettings(**(vars(SETTINGS) | changes))
    return WholeScanDetector(bright_places, CUBES, settings, space_mesh(jax.devices()[:1]), stride=4)


def detect(hu, lungs, **changes):
    return make_bright_detector(**changes)(jnp.array(1.0), hu, lungs)


def test_every_cube_is_found_once_where_it_is():
    places = [(0, 0, 0), (12, 20, 8), (20, 36, 28), (4, 12, 24)]
    found = detect(*scan_with(*places), score_threshold=0.9)
    centres = found.boxes_zyxdhw_voxel[:, :3]
    np.testing.assert_allclose(centres[np.lexsort(centres.T[::-1])], np.array(sorted(places)) + 1.5, atol=1e-4)
    np.testing.assert_allclose(found.boxes_zyxdhw_voxel[:, 3:], 4, atol=1e-4)


def test_what_pads_the_scan_is_not_marked():
    # The padding is brighter than lung: its places score 0.79.
    hu, lungs = scan_with((12, 20, 8))
    assert len(detect(hu, lungs, score_threshold=0.5).probability) == 1


def test_marks_outside_the_lungs_are_dropped():
    hu, lungs = scan_with((12, 20, 8), (4, 12, 24))
    lungs[:, :, 16:] = 0
    found = detect(hu, lungs, score_threshold=0.9)
    np.testing.assert_allclose(found.boxes_zyxdhw_voxel[:, :3], [[13.5, 21.5, 9.5]], atol=1e-4)


def test_a_scan_without_lungs_has_no_marks():
    hu, lungs = scan_with((12, 20, 8))
    assert len(detect(hu, 0 * lungs).probability) == 0


def test_the_scan_is_all_there_is_to_wait_for():
    waited_for = []
    hu, lungs = scan_with((12, 20, 8))
    make_bright_detector()(jnp.array(1.0), hu, lungs, progress=lambda each, **_: waited_for.extend(each) or each)
    assert [scan is hu for scan in waited_for] == [True]


def test_the_number_of_marks_is_limited():
    places = [(z, y, x) for z in (0, 8, 16) for y in (0, 8, 16, 24, 32) for x in (0, 8, 16, 24)]
    found = detect(*scan_with(*places), marks=7)
    assert len(found.probability) == 7
    assert (found.probability > 0.9).all()


class Exhausted:
    def block_until_ready(self):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99999999999 bytes.")


@pytest.mark.parametrize("detect", [lambda *_: Exhausted().block_until_ready(), lambda *_: Exhausted()])
def test_a_scan_too_large_for_the_memory_is_named(monkeypatch, detect):
    """At once, or while the devices are waited for."""
    detector = make_bright_detector()
    monkeypatch.setattr(detector, "_detect", detect)
    with pytest.raises(InputError, match=r"scan of \(24, 40, 33\) voxels, padded to \(32, 48, 48\), is too large for"):
        detector(jnp.array(1.0), *scan_with((0, 0, 0)))


def test_what_is_no_lack_of_memory_is_not_called_one(monkeypatch):
    detector = make_bright_detector()

    def fail(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(detector, "_detect", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        detector(jnp.array(1.0), *scan_with((0, 0, 0)))


@pytest.mark.parametrize("devices", [1, 2, 3, 4, 8, 16])
def test_padding_gives_each_device_whole_slabs(devices):
    for shape in [(1, 1, 1), (300, 333, 340), (128, 64, 64), (129, 65, 64)]:
        padded = padded_shape(shape, 16, devices)
        assert all(after >= before for before, after in zip(shape, padded, strict=True))
        assert padded[0] % (16 * devices) == padded[1] % 16 == padded[2] % 16 == 0
        if 8 % devices == 0:
            assert padded == padded_shape(shape, 16, 1)


def test_scans_share_few_shapes():
    shapes = {padded_shape((z, side, side), 16, 8) for z in range(250, 420) for side in range(280, 400)}
    assert len(shapes) <= 12


if __name__ == "__main__":
    run_on_devices(sys.argv[1])
