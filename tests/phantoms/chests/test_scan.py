"""A scan is the same whenever it is made, its truth lies where its voxels are, and its densities are a chest's."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import world_xyz_mm_to_voxel_zyx
from medssl_jax.phantoms.chests.scan import LEFT_LUNG, RIGHT_LUNG, TRACHEA, render_scan
from medssl_jax.phantoms.chests.spec import Luna16Phantom

SPEC = Luna16Phantom(
    seed=3, scans=4, chest_zyx_mm=(64.0, 80.0, 96.0), share_without_nodules=0.0, nodules_per_scan=3.0, share_flipped=0.5
)


@pytest.fixture(scope="module")
def scans():
    return [render_scan(SPEC, index) for index in range(6)]


def test_a_scan_does_not_depend_on_how_many_there_are_or_on_the_order(scans):
    again = render_scan(dataclasses.replace(SPEC, scans=4000), 2)
    assert again.hu.tobytes() == scans[2].hu.tobytes()
    assert again.lungs.tobytes() == scans[2].lungs.tobytes()
    assert (again.truth, again.grid) == (scans[2].truth, scans[2].grid)


def test_scans_and_seeds_differ(scans):
    uids = {scan.truth.series_uid for scan in scans} | {dataclasses.replace(SPEC, seed=4).series_uid(0)}
    assert len(uids) == len(scans) + 1
    assert len({scan.hu.tobytes() for scan in scans}) == len(scans)


def test_uid_is_valid_and_synthetic(scans):
    for scan in scans:
        assert scan.truth.series_uid.startswith("2.25.")
        assert len(scan.truth.series_uid) <= 64
        assert not scan.truth.series_uid.split(".")[2].startswith("0")
        assert int(scan.truth.series_uid.split(".")[2]) < 2**128


def test_annotations_lie_in_the_middle_of_the_labelled_voxels_in_flipped_scans_too(scans, nodule_labels):
    assert {scan.grid.direction[0] for scan in scans} == {1.0, -1.0}
    for scan in scans:
        spacing = np.array(scan.grid.spacing_zyx_mm)
        centres = np.array([nodule.centre_xyz_mm for nodule in scan.truth.nodules]).reshape(-1, 3)
        voxels = world_xyz_mm_to_voxel_zyx(centres, scan.grid)
        labels = nodule_labels(scan)
        for number, (nodule, voxel) in enumerate(zip(scan.truth.nodules, voxels, strict=True), start=1):
            found = np.array(ndimage.center_of_mass(labels == number))
            assert np.abs((found - voxel) * spacing).max() < 0.15 * nodule.diameter_mm + 0.25 * spacing.max()
            volume = (labels == number).sum() * spacing.prod()
            assert volume == pytest.approx(np.pi / 6 * nodule.diameter_mm**3, rel=0.35)


def test_solid_nodules_are_denser_than_the_lung_round_them(scans, nodule_labels):
    for scan in scans:
        labels = nodule_labels(scan)
        for number, nodule in enumerate(scan.truth.nodules, start=1):
            inside = ndimage.binary_erosion(labels == number)
            if nodule.kind == "solid" and inside.sum() > 5:
                assert np.median(scan.hu[inside]) > -400


def test_densities_and_sides_are_those_of_a_chest(scans):
    for scan in scans:
        left, right, pipe = (scan.lungs == label for label in (LEFT_LUNG, RIGHT_LUNG, TRACHEA))
        assert -920 < np.median(scan.hu[left | right]) < -800
        assert np.median(scan.hu[ndimage.binary_erosion(pipe)]) < -900
        to_left = scan.grid.direction[0]
        mean_x = [np.argwhere(lung)[:, 2].mean() for lung in (left, right)]
        assert np.sign(mean_x[0] - mean_x[1]) == to_left
        # The spine, the densest large part, is behind.
        bone = np.argwhere(ndimage.binary_opening(scan.hu > 250))
        body = np.argwhere(scan.hu > -200)
        assert np.sign(bone[:, 1].mean() - body[:, 1].mean()) == scan.grid.direction[4]


def test_vessels_fill_a_share_of_the_lungs_that_follows_the_density(nodule_labels):
    shares = []
    for density in (0.0, 1.0, 3.0):
        scan = render_scan(dataclasses.replace(SPEC, vessel_density=density, confounders_per_scan=0), 0)
        inside = ndimage.binary_erosion(scan.lungs > 0, iterations=3) & (nodule_labels(scan) == 0)
        shares.append((scan.hu[inside] > -600).mean())
    assert shares[0] < 0.01 < shares[1] < shares[2]
    assert shares[1] < 0.12  # lidc_idri_0003: 0.04, right_lung: 0.02


def test_padding_is_outside_the_circle_of_some_scans():
    lowest = [int(render_scan(dataclasses.replace(SPEC, share_padded=share), 0).hu.min()) for share in (0.0, 1.0)]
    assert lowest[0] >= -1024
    assert lowest[1] in (-2048, -3024)


def test_excluded_findings_have_diameters_partly():
    spec = dataclasses.replace(SPEC, confounders_per_scan=40.0)
    diameters = np.array([finding.diameter_mm for finding in render_scan(spec, 0).truth.excluded])
    assert (diameters == -1).any()
    assert (diameters[diameters != -1] > 0).all()


def test_whole_numbers_make_the_same_phantom():
    assert Luna16Phantom(chest_zyx_mm=(80, 112, 128)) == Luna16Phantom(chest_zyx_mm=(80.0, 112.0, 128.0))
    assert Luna16Phantom(chest_zyx_mm=(80, 112, 128)).series_uid(0) == Luna16Phantom(
        chest_zyx_mm=(80.0, 112.0, 128.0)
    ).series_uid(0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chest_zyx_mm", (10.0, 80.0, 80.0)),
        ("chest_zyx_mm", (80.0, 80.0)),
        ("scans", 0),
        ("seed", -1),
        ("share_without_nodules", 1.5),
        ("share_solid", 0.9),
        ("noise_hu", float("nan")),
        ("nodules_per_scan", 0.5),
        ("slice_spacing_mm", (2.0, 1.0)),
        ("largest_diameter_mm", 60.0),
    ],
)
def test_bad_fields_are_named(field, value):
    with pytest.raises(InputError, match=field) as caught:
        dataclasses.replace(Luna16Phantom(chest_zyx_mm=(80.0, 112.0, 128.0)), **{field: value})
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)
