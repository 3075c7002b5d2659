"""From a scan's file to marks in the world, on real scans, a turned twin and with every kind of lung mask."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from data_builders.incoming.find import IncomingScan, find_scans
from experiments.runs import detect
from experiments.runs.detect import Failed, search_scans
from medssl_jax.core.atomic import write_text
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans import preparation
from medssl_jax.data.scans.crop_cache import OUTSIDE_HU
from medssl_jax.data.scans.preparation import prepare_scan
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.imaging.geometry import Grid, boxes_from_points, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.submission import read_submission
from medssl_jax.imaging.volumes import Volume, read_volume, write_metaimage
from medssl_jax.inference.sliding import ScanDetections
from medssl_jax.inference.trained_detector import TrainedDetector
from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.scan_page import scan_page
from medssl_jax.report.nodules.scan_report import detections_as_json, summary, write_detections_csv

SERIES_UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.170706757615202213033480003264"
NODULE_XYZ_MM, NODULE_DIAMETER_MM = np.array([[72.287, 76.900, -190.459]]), np.array([21.45])
TURNED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def loaded_detector(find, *, mask_lungs=True):
    config = {
        "data": {"phantom": {}},
        "split": {"labelled": 1, "unlabelled": 0},
        "inference": {"marks": 100},
    }
    return TrainedDetector(config, 7, None, lambda params, hu, lungs, *, progress: find(hu, lungs), mask_lungs)


def brightest_voxels(hu_zyx, lungs_zyx, count=5):
    best = np.argsort(np.where(lungs_zyx > 0, hu_zyx, -2000), axis=None)[::-1][:count]
    centres = np.stack(np.unravel_index(best, hu_zyx.shape), 1)
    return ScanDetections(
        np.hstack([centres, np.full((count, 3), 5)]).astype(np.float32),
        np.linspace(0.9, 0.1, count).astype(np.float32),
    )


def search_file(path, detector, run="run"):
    """The one scan at `path`."""
    ((_, report, scan),) = search_scans(lambda: detector, find_scans(path).scans, run=run)
    return report, scan


def small_scan():
    """A body of 30 HU with two lungs, 56 x 144 x 160 mm, and in the left one a ball that is brightest in its middle."""
    z, y, x = np.indices((28, 48, 64)) * np.array([2.0, 3.0, 2.5]).reshape(3, 1, 1, 1)
    array = np.full(x.shape, -1000, np.int16)
    array[((x - 80) / 76) ** 2 + ((y - 72) / 68) ** 2 < 1] = 30
    for middle in (44, 116):
        array[((x - middle) / 28) ** 2 + ((y - 72) / 48) ** 2 < 1] = -850
    distance = np.sqrt((x - 120) ** 2 + (y - 66) ** 2 + (z - 30) ** 2)
    ball = distance < 8
    array[ball] = 500 - 30 * distance[ball]
    return Volume(array, Grid(array.shape, (2.0, 3.0, 2.5), (-80.0, -72.0, 100.0)), "scan")


def prepared(volume, lungs_path=None):
    return prepare_scan(ScanFiles(volume.series_uid, Path("read already"), lungs_path=lungs_path), volume=volume)


def turned(volume):
    far_corner = np.array([[0, *(n - 1 for n in volume.grid.size_zyx[1:])]], float)
    origin = tuple(voxel_zyx_to_world_xyz_mm(far_corner, volume.grid)[0].tolist())
    grid = dataclasses.replace(volume.grid, origin_xyz_mm=origin, direction=TURNED)
    return Volume(volume.array_zyx[:, ::-1, ::-1].copy(), grid, volume.series_uid)


@pytest.fixture
def known_lungs(monkeypatch):
    """Spares the segmentation, which has tests of its own."""
    monkeypatch.setattr(preparation, "segment_lungs", lambda volume: (volume.array_zyx == -850).astype(np.uint8))


def test_a_box_at_the_real_nodule_comes_back_at_its_place(shared_data):
    def find(hu_zyx, lungs_zyx):
        box = boxes_from_points(NODULE_XYZ_MM, NODULE_DIAMETER_MM, grid)
        z, y, x = np.rint(box[0, :3]).astype(int)
        assert lungs_zyx[z, y, x] == 1
        assert hu_zyx[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3].mean() > -100
        assert (hu_zyx[lungs_zyx == 0] == OUTSIDE_HU).all()
        return ScanDetections(box.astype(np.float32), np.array([0.9], np.float32))

    folder = shared_data / "ct" / "lidc_idri_0003"
    grid = prepared(read_volume(folder)).grid
    detections, scan = search_file(folder, loaded_detector(find), "luna")
    assert np.abs(detections.marks.centre_xyz_mm - NODULE_XYZ_MM).max() < 0.1
    np.testing.assert_allclose(detections.centre_voxel_zyx, [[5.4, 349.7, 367.0]], atol=0.1)
    assert detections.diameter_mm[0] == pytest.approx(NODULE_DIAMETER_MM[0], abs=0.01)
    assert (detections.input_name, detections.detector.run, detections.detector.step) == ("lidc_idri_0003", "luna", 7)
    assert (
        detections.series_uid == scan.series_uid == "1.3.6.1.4.1.14519.5.2.1.6279.6001.170706757615202213033480003264"
    )


def test_a_turned_scan_has_its_marks_where_its_twin_has_them():
    marks = [
        loaded_detector(brightest_voxels)(prepared(volume)).centre_xyz_mm
        for volume in (small_scan(), turned(small_scan()))
    ]
    np.testing.assert_allclose(marks[0], marks[1], atol=1e-6)
    assert np.linalg.norm(marks[0].mean(0) - [40, -6, 130]) < 4  # the middle of the ball


@pytest.mark.usefixtures("known_lungs")
def test_a_scan_is_masked_as_the_detector_was_trained():
    def outside(hu_zyx, lungs_zyx):
        seen.append(set(np.unique(hu_zyx[lungs_zyx == 0]).tolist()))
        return ScanDetections(np.zeros((0, 6), np.float32), np.zeros(0, np.float32))

    seen = []
    for mask_lungs in (True, False):
        assert len(loaded_detector(outside, mask_lungs=mask_lungs)(prepared(small_scan()))) == 0
    assert seen[0] == {OUTSIDE_HU}
    assert -1000 in seen[1]


@pytest.mark.parametrize(
    ("inside", "other", "other_is_lung"),
    [(1, 2, True), (3, 4, True), (3, 5, False), (1, 5, True), (255, 0, False)],
    ids=["two lungs", "LUNA16", "LUNA16's windpipe", "lobes", "grey mask"],
)
def test_which_labels_of_a_mask_are_lungs(tmp_path, inside, other, other_is_lung):
    scan = small_scan()
    mask = np.where(scan.array_zyx == -850, inside, 0).astype(np.uint8)
    mask[:, :, 32:] = np.where(mask[:, :, 32:] > 0, other, 0)
    write_metaimage(tmp_path / "mask.mhd", Volume(mask, scan.grid, "mask"), compress=True)
    lungs = prepared(scan, tmp_path / "mask.mhd").lungs
    assert lungs[28, 72, 44] == 1
    assert lungs[28, 72, 140] == other_is_lung


def test_no_lungs_and_no_mask_are_one_line(tmp_path):
    soft = Volume(np.full((20, 30, 30), 40, np.int16), Grid((20, 30, 30), (2.0, 2.0, 2.0)), "head")
    with pytest.raises(InputError, match=r"head: no lungs found in this scan.*--lungs"):
        prepared(soft)
    with pytest.raises(InputError, match=r"mask\.nii\.gz"):
        prepared(soft, tmp_path / "mask.nii.gz")


def test_what_cannot_be_read_is_told_before_what_is_wrong_with_a_detector(tmp_path):
    """How a scan is prepared only the detector knows, so that anything else is told after that."""

    def load():
        raise InputError("run: a run of another method")

    soft = Volume(np.full((20, 30, 30), 40, np.int16), Grid((20, 30, 30), (2.0, 2.0, 2.0)), "head")
    write_metaimage(tmp_path / "scan.mhd", soft, compress=True)
    (voxels,) = tmp_path.glob("*.zraw")
    whole = voxels.read_bytes()
    voxels.write_bytes(bytes(len(whole)))
    scans = find_scans(tmp_path / "scan.mhd").scans
    (failed,) = search_scans(load, scans, run="run")
    assert isinstance(failed, Failed)
    assert "does not decompress" in failed.reason
    voxels.write_bytes(whole)
    with pytest.raises(InputError, match="a run of another method"):
        list(search_scans(load, scans, run="run"))


@pytest.mark.usefixtures("known_lungs")
def test_a_scan_of_a_phantom_is_known_by_the_truth_beside_it(tmp_path):
    detector = loaded_detector(brightest_voxels)
    for name in ("subset0", "phantom"):
        (tmp_path / name).mkdir()
    path = tmp_path / "subset0" / "scan.mhd"
    write_metaimage(path, small_scan())
    assert not search_file(path, detector)[0].is_phantom_scan
    (tmp_path / "phantom" / "scan.json").write_text("{}")
    assert search_file(path, detector)[0].is_phantom_scan


@pytest.mark.usefixtures("known_lungs")
@pytest.mark.parametrize("series_uid", ["1" * 300, "../phantom/scan", "/etc/hostname", "a\0b", "=1+1", ""])
def test_no_series_uid_is_a_path(tmp_path, monkeypatch, series_uid):
    """DICOM headers may hold any; all three reports are written, and the truth of another scan is none of this one."""
    monkeypatch.setattr(detect, "read_volume", lambda path: dataclasses.replace(small_scan(), series_uid=series_uid))
    (tmp_path / "phantom").mkdir()
    (tmp_path / "phantom" / "scan.json").write_text("{}")
    found = IncomingScan("scan", "scan.mhd", tmp_path / "subset0" / "scan.mhd", "digest")
    ((_, detections, volume),) = search_scans(lambda: loaded_detector(brightest_voxels), [found], run="run")
    assert not detections.is_phantom_scan
    write_detections_csv(tmp_path / "detections.csv", detections, min_score=0.3)
    write_json(tmp_path / "detections.json", detections_as_json(detections, min_score=0.3))
    write_text(tmp_path / "detections.html", scan_page(detections, volume, min_score=0.3))
    if series_uid:
        told = series_uid.replace("\0", r"\x00")  # tables hold no NUL
        assert set(read_submission(tmp_path / "detections.csv").series_uid) == {told}
    assert json.loads((tmp_path / "detections.json").read_text())["series_uid"] == series_uid


@pytest.mark.usefixtures("known_lungs")
def test_names_that_are_no_utf_8_are_shown_with_escapes(tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    write_metaimage(folder / "scan.mhd", small_scan())
    (folder / "scan.mhd").rename(folder / os.fsdecode(b"L\xf6sche.mhd"))
    detections, _ = search_file(folder / os.fsdecode(b"L\xf6sche.mhd"), loaded_detector(brightest_voxels))
    assert detections.input_name == r"L\xf6sche.mhd"
    assert summary(detections, min_score=0.5).encode()
