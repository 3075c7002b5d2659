"""The command with a real checkpoint of a small untrained network: three files, or one line that says what is wrong."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from data_builders.incoming.find import find_scans
from experiments.configs import phantom
from experiments.runs.detect import read_scan, search_scans
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from medssl_jax.core.settings import settings_from
from medssl_jax.imaging.geometry import Grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.submission import read_submission
from medssl_jax.imaging.volumes import Volume, read_volume, write_metaimage
from medssl_jax.inference.trained_detector import load_detector
from medssl_jax.run_folder.checkpoint import Checkpoints


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of no steps; its network answers about 0.5 everywhere, so that there are marks."""
    config = phantom.get_config()
    config.patches.side = 48
    config.model.features, config.model.blocks, config.model.pyramid_features = (4, 4), (1, 1), 8
    config.anchors.strides, config.anchors.sides_mm = (4,), ((4.5, 7.0),)
    config.model.prior = 0.5
    config.inference.update({"window_detections": 4, "scan_candidates": 64, "marks": 6, "overlap": 0})
    folder = tmp_path_factory.mktemp("untrained")
    state = settings_from(FocalMixConfig, config).fresh_state()
    checkpoints = Checkpoints(folder / "checkpoints", config=json.loads(config.to_json()))
    checkpoints.save(state, {})
    checkpoints.close()
    return folder


@pytest.fixture(scope="module")
def loaded(workdir):
    """The same detector for all scans, so that it compiles once."""
    return load_detector(workdir)


@pytest.fixture(scope="module")
def scan_and_mask(tmp_path_factory):
    """Noise of 40 x 60 x 60 mm with a mask over its middle."""
    folder = tmp_path_factory.mktemp("scan")
    array = np.random.default_rng(0).integers(-1000, 100, (20, 60, 60)).astype(np.int16)
    mask = np.zeros(array.shape, np.uint8)
    mask[6:14, 20:40, 15:45] = 1
    grid = Grid(array.shape, (2.0, 1.0, 1.0), (-30.0, -10.0, 50.0))
    for name, content in (("scan", array), ("mask", mask)):
        write_metaimage(folder / f"{name}.mhd", Volume(content, grid, name))
    return folder / "scan.mhd", folder / "mask.mhd"


def run_detect(**flags):
    command = [sys.executable, "-m", "experiments.detect", *(f"--{name}={value}" for name, value in flags.items())]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_writes_what_was_asked_for_and_says_what_it_is_not(workdir, scan_and_mask, tmp_path):
    scan, mask = scan_and_mask
    files = dict(checkpoint=workdir, input=scan, lungs=mask, output=tmp_path / "out")
    done = run_detect(**files, min_score=0, formats="csv,html,mrk,labelmap")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("scan.mhd: 6 marks, 6 of score 0 or more\n")
    assert "synthetic scans only" in done.stdout
    assert "not a medical device" in done.stdout
    names = [f"detections.{kind}" for kind in ("csv", "html", "json", "mrk.json", "nii.gz")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    marks = read_submission(tmp_path / "out" / "detections.csv", known_series=["scan"])
    # Within the mask, dilated by 5 mm: z 50 + 2 [6, 13], y -10 + [20, 39], x -30 + [15, 44].
    assert (np.abs(marks.centre_xyz_mm - [-0.5, 19.5, 69.0]) < [20.5, 15.5, 13.5]).all()
    written = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert (written["lungs"], written["detector"]["run"]) == ("mask.mhd", workdir.name)
    with open(tmp_path / "out" / "detections.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(written["marks"]) == 6
    page = (tmp_path / "out" / "detections.html").read_text()
    assert page.count("<figure") == 3  # one a plane
    assert page.count('aria-label="Show mark') == 6
    assert "has never seen a patient" in page


def test_an_absent_checkpoint_is_one_line(scan_and_mask, tmp_path):
    done = run_detect(checkpoint=tmp_path / "absent", input=scan_and_mask[0], output=tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: {tmp_path}/absent: no such folder, expected the --workdir of a training run"
    ]
    assert not (tmp_path / "out").exists()


def test_a_score_that_is_no_number_is_one_line(scan_and_mask, tmp_path):
    done = run_detect(checkpoint=tmp_path, input=scan_and_mask[0], output=tmp_path / "out", min_score="nan")
    assert (done.returncode, done.stdout) == (2, "")
    assert "min_score=nan: expected a number from 0 to 1" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["lidc_idri_0003", "right_lung.mha"])
def test_marks_in_real_scans_lie_in_them(shared_data, loaded, name):
    ((found, detections, _),) = search_scans(lambda: loaded, find_scans(shared_data / "ct" / name).scans, run="run")
    scan = read_scan(found, lambda: loaded).scan
    assert len(detections.marks) == 6
    voxels = world_xyz_mm_to_voxel_zyx(detections.marks.centre_xyz_mm, read_volume(shared_data / "ct" / name).grid)
    assert ((voxels > -0.5) & (voxels < np.array(detections.grid.size_zyx) - 0.5)).all()
    z, y, x = np.rint(world_xyz_mm_to_voxel_zyx(detections.marks.centre_xyz_mm, scan.grid)).astype(int).T
    assert scan.lungs[z, y, x].all()
