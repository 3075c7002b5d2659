"""Shapes have the volume and centre they claim; places keep apart and inside the lungs."""

import dataclasses
import itertools

import numpy as np
import pytest

from medssl_jax.phantoms.canvas import LUNG_HU, Canvas
from medssl_jax.phantoms.chests.anatomy import build_anatomy
from medssl_jax.phantoms.chests.findings import around, draw_finding, plan_findings
from medssl_jax.phantoms.chests.spec import LUNA16_NODULES_PER_SCAN, Luna16Phantom

SPEC = Luna16Phantom(chest_zyx_mm=(80.0, 112.0, 128.0), share_without_nodules=0.0, nodules_per_scan=3.0)
AS_IN_LUNA16 = dataclasses.replace(SPEC, share_without_nodules=0.3, nodules_per_scan=LUNA16_NODULES_PER_SCAN)


@pytest.fixture(scope="module")
def anatomy():
    return build_anatomy(SPEC, np.random.default_rng(0))


@pytest.fixture(scope="module")
def plans(anatomy):
    return [plan_findings(SPEC, anatomy, np.random.default_rng(seed)) for seed in range(20)]


@pytest.fixture(scope="module")
def plans_as_in_luna16(anatomy):
    return [plan_findings(AS_IN_LUNA16, anatomy, np.random.default_rng(seed)) for seed in range(100)]


def box_round(finding, step):
    axes = [
        np.arange(c - finding.blob.reach_mm - 1, c + finding.blob.reach_mm + 1, step, dtype=np.float32)
        for c in finding.blob.centre_zyx_mm
    ]
    return axes


def test_volume_is_that_of_a_sphere_and_the_centre_is_the_centre_of_mass(plans):
    for finding in [nodule for nodules, _ in plans[:8] for nodule in nodules]:
        step = finding.diameter_mm / 20
        axes = box_round(finding, step)
        (slices, _), distance, radius = around(finding.blob, axes)
        inside = distance < radius
        volume = inside.sum() * step**3
        assert volume == pytest.approx(np.pi / 6 * finding.diameter_mm**3, rel=0.06)
        z, y, x = (axis[s] for axis, s in zip(axes, slices, strict=True))
        index = np.nonzero(inside)
        centre = np.array([axis[i].mean() for axis, i in zip((z, y, x), index, strict=True)])
        np.testing.assert_allclose(centre, finding.centre_zyx_mm, atol=0.03 * finding.diameter_mm)


def test_surfaces_are_not_spheres(plans):
    directions = np.eye(3)
    nodules = [nodule for nodules, _ in plans for nodule in nodules]
    spread = [np.std(nodule.blob.radius_mm(*directions)) / nodule.diameter_mm for nodule in nodules]
    assert np.median(spread) > 0.02


def test_findings_keep_apart_and_in_the_lungs(plans, anatomy):
    for nodules, confounders in plans:
        everything = [*nodules, *confounders]
        centres = np.array([finding.centre_zyx_mm for finding in everything])
        radii = np.array([finding.diameter_mm / 2 for finding in everything])
        gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1) - radii[:, None] - radii[None]
        assert gaps[~np.eye(len(gaps), dtype=bool)].min() > 0
        assert (anatomy.grid.at_points(anatomy.lungs, centres) < 0).all()


def test_findings_lie_whole_between_the_first_and_the_last_slice(plans, plans_as_in_luna16):
    # The lungs reach below the lowest slice; a nodule there would be annotated outside its scan.
    highest = (SPEC.chest_zyx_mm[0] - SPEC.slice_spacing_mm[1]) / 2
    for findings in itertools.chain(*plans, *plans_as_in_luna16):
        for finding in findings:
            assert abs(finding.centre_zyx_mm[0]) + finding.diameter_mm / 2 <= highest


def test_numbers_follow_the_spec(plans_as_in_luna16):
    spec, plans = AS_IN_LUNA16, plans_as_in_luna16
    counts = np.array([len(nodules) for nodules, _ in plans])
    assert (counts == 0).mean() == pytest.approx(0.3, abs=0.1)
    assert counts[counts > 0].mean() == pytest.approx(LUNA16_NODULES_PER_SCAN, rel=0.2)
    assert np.mean([len(confounders) for _, confounders in plans]) == pytest.approx(spec.confounders_per_scan, rel=0.15)
    kinds = [nodule.kind for nodules, _ in plans for nodule in nodules]
    assert kinds.count("solid") / len(kinds) == pytest.approx(spec.share_solid, abs=0.1)
    assert max(nodule.diameter_mm for nodules, _ in plans for nodule in nodules) <= spec.diameter_limit_mm


def test_contrast_zero_is_invisible_and_one_is_dense(plans):
    finding = next(nodule for nodules, _ in plans for nodule in nodules if nodule.kind == "solid")
    axes = box_round(finding, 0.5)
    drawn = []
    for hu in (finding.hu, LUNG_HU):
        canvas = Canvas(np.full([len(axis) for axis in axes], LUNG_HU, np.float32), tuple(axes))
        draw_finding(canvas, dataclasses.replace(finding, hu=hu, core_hu=hu))
        drawn.append(canvas.hu)
    assert drawn[0].max() == pytest.approx(finding.hu, abs=1)
    assert (drawn[1] == LUNG_HU).all()


def test_drawing_never_darkens(plans):
    finding = plans[0][0][0]
    axes = box_round(finding, 0.5)
    canvas = Canvas(np.full([len(axis) for axis in axes], 300, np.float32), tuple(axes))
    draw_finding(canvas, finding)
    assert (canvas.hu == 300).all()
