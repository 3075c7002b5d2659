"""A study in memory: one chest, several reconstructions of it, each with the look of its kernel and thickness."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.imaging.geometry import world_xyz_mm_to_voxel_zyx
from medssl_jax.phantoms.chests.scan import LEFT_LUNG, RIGHT_LUNG
from medssl_jax.phantoms.studies.headers import study_series
from medssl_jax.phantoms.studies.protocols import MANUFACTURERS, SHARP, THICK_SOFT, THIN_SOFT, draw_protocol
from medssl_jax.phantoms.studies.spec import NlstPhantom
from medssl_jax.phantoms.studies.study import render_study

SPEC = NlstPhantom(seed=3, chest_zyx_mm=(64.0, 64.0, 64.0), share_without_nodules=0.0, share_flipped=0.5)


@pytest.fixture(scope="module")
def studies():
    return [render_study(SPEC, patient, year) for patient in range(2) for year in range(2)]


def noise_hu(volume, lungs):
    """From row to row in the lungs, where hardly anything else differs so fast."""
    hu = volume.array_zyx.astype(float)
    inside = np.isin(lungs.array_zyx, (LEFT_LUNG, RIGHT_LUNG))[:: len(lungs.array_zyx) // len(hu)]
    return np.median(np.abs(np.diff(hu, axis=1))[inside[:, 1:] & inside[:, :-1]])


def test_all_reconstructions_show_the_same_chest(studies):
    for study in studies:
        roles = study.reconstructions
        assert THIN_SOFT in roles
        assert len(roles) in (2, 3)
        thin = roles[THIN_SOFT]
        for role, volume in roles.items():
            grid, factor = volume.grid, 2 if role == THICK_SOFT else 1
            assert grid.spacing_zyx_mm[0] == pytest.approx(study.protocol.slice_mm(role))
            assert grid.spacing_zyx_mm[0] == pytest.approx(factor * thin.grid.spacing_zyx_mm[0])
            assert grid.size_zyx[0] * factor == thin.grid.size_zyx[0]
            seen = thin.array_zyx.astype(float).reshape(-1, factor, *thin.array_zyx.shape[1:]).mean(axis=1)
            assert np.corrcoef(seen.ravel(), volume.array_zyx.ravel())[0, 1] > 0.95


def test_sharp_kernels_are_noisier_and_thick_slices_smoother(studies):
    compared = set()
    for study in studies:
        thin = noise_hu(study.reconstructions[THIN_SOFT], study.lungs)
        for role, volume in study.reconstructions.items():
            ratio = noise_hu(volume, study.lungs) / thin
            assert {THIN_SOFT: ratio == 1, SHARP: ratio > 1.5, THICK_SOFT: ratio < 0.95}[role]
            compared.add(role)
    assert compared == {THIN_SOFT, SHARP, THICK_SOFT}


def test_nodules_lie_where_they_are_said_to_in_every_reconstruction(studies):
    seen = 0
    for study in studies:
        solid = [nodule for nodule in study.nodules if nodule.kind == "solid"]
        for volume in study.reconstructions.values():
            centres = world_xyz_mm_to_voxel_zyx(
                np.array([nodule.centre_xyz_mm for nodule in solid]).reshape(-1, 3), volume.grid
            )
            for z, y, x in np.rint(centres).astype(int):
                assert volume.array_zyx[z, y - 1 : y + 2, x - 1 : x + 2].mean() > -300
                seen += 1
    assert seen > 4


def test_all_studies_of_a_patient_show_the_same_nodules_on_another_table(studies):
    for first, second in (studies[:2], studies[2:]):
        assert len(first.nodules) == len(second.nodules) > 0
        here, there = (np.array([nodule.centre_xyz_mm for nodule in study.nodules]) for study in (first, second))
        shifts = here - there
        np.testing.assert_allclose(shifts, np.tile(shifts[0], (len(shifts), 1)), atol=1e-5)
        assert np.abs(shifts[0]).max() > 1
    assert studies[0].nodules != studies[2].nodules


def test_a_study_depends_on_nothing_else_that_is_made():
    few = render_study(SPEC, 1, 0)
    many = dataclasses.replace(SPEC, patients=9, studies_per_patient=3, layout="idc", defects=())
    again = render_study(many, 1, 0)
    assert few.nodules == again.nodules
    assert list(few.reconstructions) == list(again.reconstructions)
    for one, other in zip(few.reconstructions.values(), again.reconstructions.values(), strict=True):
        assert one.series_uid == other.series_uid
        np.testing.assert_array_equal(one.array_zyx, other.array_zyx)


def test_localizers_are_seen_from_the_front_and_the_side(studies):
    views = [view for study in studies for view in study.localizers]
    assert {len(study.localizers) for study in studies} == {1, 2}
    rows_and_columns = {(*view.grid.direction_matrix[:, 0], *view.grid.direction_matrix[:, 1]) for view in views}
    assert rows_and_columns == {(1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)}
    for study in studies:
        series = study_series(SPEC, study)
        assert list(series) == ["localizer", *study.reconstructions]
        for image in series["localizer"]:
            assert "LOCALIZER" in image.fields["ImageType"]
            assert image.hu.std() > 50


def test_every_manufacturer_and_kernel_comes_up():
    protocols = [draw_protocol(np.random.default_rng(seed)) for seed in range(200)]
    assert {protocol.manufacturer for protocol in protocols} == set(MANUFACTURERS)
    assert {len(protocol.roles) for protocol in protocols} == {2, 3}
    assert {protocol.kernel(SHARP) for protocol in protocols} >= {"LUNG", "BONE", "B50f", "B80f", "D", "FC51"}
    assert {protocol.kernel(THIN_SOFT) for protocol in protocols} == {"STANDARD", "B30f", "C", "FC01"}
    assert {protocol.slice_mm(THICK_SOFT) for protocol in protocols} == {2.0, 2.5}
