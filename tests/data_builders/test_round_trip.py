"""Every annotation of a phantom comes back from the built data set, flipped scans included."""

import shutil

import numpy as np
import pytest

from data_builders.scan_source import open_scans, prepare_scans
from medssl_jax.core.progress import silent
from medssl_jax.imaging.geometry import voxel_zyx_to_world_xyz_mm, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.luna16_csv import read_annotations
from medssl_jax.imaging.patients import patient_key
from medssl_jax.imaging.volumes import read_grid, read_volume
from medssl_jax.phantoms.luna16 import LUNGS_FOLDER, Luna16Phantom, read_truth, scan_path, write_luna16_phantom
from medssl_jax.phantoms.nlst import NlstPhantom, read_truths, write_nlst_phantom

SPEC = Luna16Phantom(
    seed=11,
    scans=8,
    chest_zyx_mm=(64.0, 64.0, 80.0),
    share_flipped=0.5,
    share_without_nodules=0.2,
    nodules_per_scan=3.0,
)
LUNG_BELOW_HU = -800


@pytest.fixture(scope="module")
def luna16(tmp_path_factory):
    folder = tmp_path_factory.mktemp("luna16")
    write_luna16_phantom(SPEC, folder / "raw")
    prepare_scans("luna16", folder / "raw", folder / "data", workers=1, progress=silent)
    return folder


def test_world_to_voxel_to_world(luna16):
    annotations = read_annotations(luna16 / "raw" / "annotations.csv")
    grids = {SPEC.series_uid(index): read_grid(scan_path(SPEC, luna16 / "raw", index)) for index in range(SPEC.scans)}
    assert len({grid.direction for grid in grids.values()}) == 2
    checked = 0
    for scan in open_scans("luna16", luna16 / "data"):
        points = annotations.of_series({scan.series_uid}).centre_xyz_mm
        for grid in (grids[scan.series_uid], scan.grid):
            there = world_xyz_mm_to_voxel_zyx(points, grid)
            np.testing.assert_allclose(voxel_zyx_to_world_xyz_mm(there, grid), points, rtol=0, atol=1e-3)
        stored = voxel_zyx_to_world_xyz_mm(scan.boxes_zyxdhw_voxel[:, :3].astype(float), scan.grid)
        np.testing.assert_allclose(stored, points, rtol=0, atol=1e-3)
        checked += len(points)
    assert checked > 10


def test_the_centre_voxel_is_inside_the_true_nodule(luna16):
    truths = [read_truth(SPEC, luna16 / "raw", index) for index in range(SPEC.scans)]
    nodules_of = {truth.series_uid: truth.nodules for truth in truths}
    solid = []
    for scan in open_scans("luna16", luna16 / "data"):
        nodules = nodules_of[scan.series_uid]
        assert len(nodules) == len(scan.boxes_zyxdhw_voxel)
        centres = np.rint(scan.boxes_zyxdhw_voxel[:, :3]).astype(int)
        for nodule, centre in zip(nodules, centres, strict=True):
            world = voxel_zyx_to_world_xyz_mm(centre[None].astype(float), scan.grid)[0]
            assert np.linalg.norm(world - nodule.centre_xyz_mm) < nodule.diameter_mm / 2
            if nodule.kind == "solid":
                solid.append(scan.hu[tuple(centre)] > LUNG_BELOW_HU)
    assert len(solid) > 3
    assert all(solid)


def test_the_folder_builder_stores_what_luna16s_does(luna16, tmp_path):
    """The same files as a user would have them: another tree, labels beside, masks elsewhere."""
    raw = luna16 / "raw"
    (tmp_path / "scans" / "deep").mkdir(parents=True)
    for path in raw.glob("subset*/*"):
        shutil.copy(path, tmp_path / "scans" / "deep")
    options = {"labels": raw / "annotations.csv", "labelled_list": raw / "seriesuids.csv", "lungs": raw / LUNGS_FOLDER}
    prepare_scans(
        "folder",
        tmp_path / "scans",
        tmp_path / "data",
        workers=1,
        progress=silent,
        **{name: str(path) for name, path in options.items()},
    )
    theirs = {scan.series_uid: scan for scan in open_scans("luna16", luna16 / "data")}
    for scan in open_scans("folder", tmp_path / "data"):
        other = theirs.pop(scan.series_uid)
        for name in ("hu", "lungs", "boxes_zyxdhw_voxel"):
            np.testing.assert_array_equal(getattr(scan, name), getattr(other, name))
        assert (scan.grid, scan.is_labelled) == (other.grid, True)
        assert scan.subset in range(10)
    assert not theirs


def test_nlst_comes_back_as_it_was_written(tmp_path):
    spec = NlstPhantom(seed=5, patients=2, studies_per_patient=1, chest_zyx_mm=(80.0, 64.0, 64.0))
    write_nlst_phantom(spec, tmp_path / "raw")
    prepare_scans("nlst", tmp_path / "raw", tmp_path / "data", workers=1, progress=silent)
    truths = {
        series.series_uid: (study, series)
        for study in read_truths(spec, tmp_path / "raw")
        for series in study.series
        if series.kind == "thin soft"
    }
    source = open_scans("nlst", tmp_path / "data")
    assert set(source.series_uids) == set(truths)
    for scan in source:
        study, series = truths[scan.series_uid]
        original = read_volume(tmp_path / "raw" / series.folder)
        assert (scan.patient, scan.is_labelled, scan.subset, len(scan.boxes_zyxdhw_voxel)) == (
            patient_key(study.patient),
            False,
            -1,
            0,
        )
        assert scan.source_spacing_zyx_mm == original.grid.spacing_zyx_mm
        points = np.array([nodule.centre_xyz_mm for nodule in study.nodules]).reshape(-1, 3)
        here, there = (world_xyz_mm_to_voxel_zyx(points, grid) for grid in (scan.grid, original.grid))
        for one, other in zip(np.rint(here).astype(int), np.rint(there).astype(int), strict=True):
            assert abs(float(scan.hu[tuple(one)]) - np.clip(original.array_zyx[tuple(other)], -1200, 600)) < 400
