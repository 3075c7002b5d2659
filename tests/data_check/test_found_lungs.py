"""Lungs are measured by hand-counted voxels, as much as segmenting gives, and doubted where a chest has others."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.data_check.found_lungs import FoundLungs, find_lungs, measure_lungs
from medssl_jax.data_check.lung_defects import DOUBTED, lung_defects, lung_masks_in_words
from medssl_jax.imaging.chest_air import ChestView
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.lungs import segment_lungs
from medssl_jax.imaging.volumes import Volume, read_volume

SIZE = (10, 10, 10)


def box(*slices):
    mask = np.zeros(SIZE, bool)
    mask[slices] = True
    return mask


def view(body=None, padding=None):
    nothing = np.zeros(SIZE, bool)
    body, padding = (nothing if each is None else each for each in (body, padding))
    return ChestView(nothing.astype(np.float32), nothing, body, padding, nothing, nothing)


INSIDE = slice(3, 7)


@pytest.mark.parametrize(
    ("lungs", "expected"),
    [
        (box(INSIDE, INSIDE, INSIDE), 0),
        (box(INSIDE, INSIDE, slice(0, 4)), 16 / (64 - 12 + 4)),
        (box(INSIDE, slice(6, 10), INSIDE), 16 / (64 - 12 + 4)),
        (box(slice(0, 4), INSIDE, INSIDE), 0),  # the first slice often goes through the lungs
        (np.zeros(SIZE, bool), 0),
    ],
    ids=["whole", "cut at the right", "cut at the back", "cut by the first slice", "none"],
)
def test_how_much_of_the_surface_lies_at_the_sides(lungs, expected):
    assert measure_lungs(lungs, view(), 1.0).share_at_sides == pytest.approx(expected)


def test_padding_is_a_side_of_the_view():
    padding = box(slice(None), slice(None), slice(7, None))
    assert measure_lungs(box(INSIDE, INSIDE, INSIDE), view(padding=padding), 1.0).share_at_sides == 16 / 56
    away = box(slice(None), slice(None), slice(8, None))
    assert measure_lungs(box(INSIDE, INSIDE, INSIDE), view(padding=away), 1.0).share_at_sides == 0


def test_litres_are_those_of_the_voxels_and_lungs_lie_in_the_body():
    body = box(slice(2, 8), slice(2, 8), slice(2, 8)) & ~box(slice(3, 7), slice(3, 7), slice(3, 7))
    found = measure_lungs(box(INSIDE, INSIDE, INSIDE), view(body), 5.0)
    assert found.litres == pytest.approx(64 * 125e-6)
    assert found.body_litres == pytest.approx(6**3 * 125e-6)


def test_those_that_are_measured_are_those_that_are_segmented(small_chest):
    volume = small_chest()
    assert find_lungs(volume).litres == pytest.approx(segment_lungs(volume).sum() / 1e6, rel=0.02)


def kinds(found):
    return [defect.kind for defect in lung_defects("a", found)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (FoundLungs(5.98, 24.0, 0.0), []),
        (FoundLungs(2.1, 60.0, 0.0), []),  # abdomen and hips are in view
        (FoundLungs(0.055, 0.175, 0.0), []),  # a phantom
        (FoundLungs(0.085, 10.2, 0.0), ["little lung found"]),
        (FoundLungs(1.9, 24.0, 0.0), ["little lung found"]),
        (FoundLungs(0.015, 0.175, 0.0), ["little lung found"]),
        (FoundLungs(8.1, 30.0, 0.0), ["more than lungs found"]),
        (FoundLungs(3.9, 9.9, 0.43), ["found lungs are cut"]),
        (FoundLungs(5.99, 20.8, 0.024), []),
        (FoundLungs(0.3, 10.0, 0.06), ["little lung found", "found lungs are cut"]),
    ],
)
def test_what_a_chest_does_not_have_is_doubted(found, expected):
    assert kinds(found) == expected
    assert set(expected) <= DOUBTED
    assert not any(defect.blocks or "\n" in defect.message for defect in lung_defects("a", found))


def test_that_there_are_none_blocks_as_it_stops_preparing():
    assert [(each.kind, each.blocks) for each in lung_defects("a", FoundLungs(0.0, 5.0, 0.0))] == [
        ("no lungs found", True)
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [(np.s_[:], []), (np.s_[:, :, 20:], ["found lungs are cut"]), (np.s_[:, 22:], ["found lungs are cut"])],
    ids=["whole", "without the right side", "without the front"],
)
def test_a_chest_that_the_view_cuts(small_chest, part, expected):
    array = np.ascontiguousarray(small_chest().array_zyx[part])
    assert kinds(find_lungs(Volume(array, Grid(array.shape, (1.0, 1.0, 1.0)), ""))) == expected


def test_a_chest_that_a_round_field_of_view_cuts(small_chest):
    chest = small_chest()
    _, y, x = np.indices(chest.array_zyx.shape)
    padded = np.where((y - 30) ** 2 + (x - 37) ** 2 > 22**2, -2000, chest.array_zyx).astype(np.int16)
    assert kinds(find_lungs(dataclasses.replace(chest, array_zyx=padded))) == ["found lungs are cut"]


def test_a_chest_with_little_lung(small_chest):
    assert kinds(find_lungs(small_chest(radii_zyx=(9, 8, 7)))) == ["little lung found"]


@pytest.mark.slow
@pytest.mark.parametrize(("voxels", "expected"), [(0, []), (64, ["found lungs are cut"])])
def test_a_real_chest_whole_and_without_the_outer_parts_of_its_lungs(shared_data, voxels, expected):
    (path,) = (shared_data / "real" / "scans").glob("subset*/*.mhd")
    volume = read_volume(path)
    inner = slice(voxels, -voxels or None)
    array = np.ascontiguousarray(volume.array_zyx[:, inner, inner])
    found = find_lungs(Volume(array, Grid(array.shape, volume.grid.spacing_zyx_mm), ""))
    assert kinds(found) == expected
    assert found.litres > 3.9


def test_how_many_are_given_and_found_is_said(tmp_path):
    given, other = ScanFiles("a", tmp_path, lungs_path=tmp_path), ScanFiles("b", tmp_path)
    assert lung_masks_in_words([given, other], find_lungs=False) == "of 1 of 2 scans"
    told = "of 1 of 3 scans; the lungs of 2 are found from their HU"
    assert lung_masks_in_words([given, other, other], find_lungs=True) == told
    assert lung_masks_in_words([given], find_lungs=True) == "of 1 of 1 scans"
