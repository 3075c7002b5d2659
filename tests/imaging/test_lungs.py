"""A hand-made chest with known lungs, whole, cut and lying flipped, and two real CTs."""

import numpy as np
import pytest

from medssl_jax.imaging import lungs as lungs_module
from medssl_jax.imaging.geometry import Grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.lungs import segment_lungs
from medssl_jax.imaging.volumes import Volume, read_volume

SPACING_ZYX_MM = (3.0, 2.0, 2.0)
SIZE_ZYX = (84, 120, 150)


def ellipsoid(centre_zyx_mm, radii_zyx_mm):
    indices = np.indices(SIZE_ZYX).T * np.array(SPACING_ZYX_MM)
    return (((indices - centre_zyx_mm) / radii_zyx_mm) ** 2).sum(-1).T < 1


@pytest.fixture(scope="module")
def chest():
    """HU and the true lungs: a trachea opens between them, a couch lies behind, padding around."""
    body = ellipsoid((126, 110, 150), (1000, 85, 135))
    right = ellipsoid((120, 110, 90), (100, 60, 45))
    left = ellipsoid((120, 110, 210), (100, 60, 45))
    trachea = ellipsoid((250, 110, 150), (130, 9, 9))
    bowel_gas = ellipsoid((20, 70, 150), (14, 14, 30))
    hu = np.where(body, 40, -1000)
    hu[right | left] = -850
    hu[trachea | bowel_gas] = -1000
    hu[:, 98:110, 20:130] = -200  # the couch's shell, touching the back, with foam in it
    hu[:, 100:108, 22:128] = -950
    hu[ellipsoid((120, 110, 48), (8, 8, 8))] = 40  # a nodule on the chest wall
    hu[ellipsoid((120, 100, 95), (15, 15, 15))] = 40  # and one inside
    rows, columns = np.indices(SIZE_ZYX[1:])
    hu[:, (rows - 60) ** 2 + (columns - 75) ** 2 > 74**2] = -3024
    hu = hu + np.random.default_rng(0).normal(0, 20, SIZE_ZYX)
    return hu.astype(np.int16), right | left


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def segmented(hu, direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)):
    mask = segment_lungs(Volume(hu, Grid(hu.shape, SPACING_ZYX_MM, (0.0, 0.0, 0.0), direction), "1"))
    assert mask.dtype == np.uint8
    assert mask.shape == hu.shape
    assert set(np.unique(mask)) <= {0, 1}
    return mask.astype(bool)


def test_finds_both_lungs_with_their_nodules_and_nothing_else(chest):
    hu, lungs = chest
    mask = segmented(hu)
    assert dice(mask, lungs) > 0.97
    assert mask[40, 50, 47]  # inside the nodule in the lung
    assert mask[40, 55, 24]  # inside the nodule on the wall
    assert not mask[75:, 55, 75].any()  # the trachea
    assert not mask[6, 35, 75]  # the bowel
    assert not mask[:, 98:].any()  # the couch


def test_a_trachea_that_opens_into_a_lung_is_none(chest):
    hu, lungs = chest
    bronchus = ellipsoid((200, 110, 120), (8, 8, 40))
    mask = segmented(np.where(bronchus & ~lungs, -1000, hu).astype(np.int16))
    assert not mask[75:, 55, 75].any()
    assert dice(mask, lungs) > 0.97


def test_what_lies_between_lungs_that_touch_is_no_lung():
    right, left = ellipsoid((120, 110, 101), (100, 60, 45)), ellipsoid((120, 110, 199), (100, 60, 45))
    hu = np.where(ellipsoid((126, 110, 150), (1000, 85, 135)), 40, -1000)
    hu[right | left] = -850
    hu[36:44, 49:52, 70:80] = -850  # where they touch
    mask = segmented(hu.astype(np.int16))
    assert dice(mask, right | left) > 0.97
    assert not mask[30:50, 58:62, 75].any()


@pytest.mark.parametrize("slices", [slice(30, 41), slice(40, None), slice(None, 40)])
def test_cut_faces_may_go_through_the_lungs(chest, slices):
    hu, lungs = chest
    assert dice(segmented(hu[slices]), lungs[slices]) > 0.95


def test_a_crop_may_hold_one_lung(chest):
    hu, lungs = chest
    assert dice(segmented(hu[:, :, 4:75]), lungs[:, :, 4:75]) > 0.95


@pytest.fixture(scope="module")
def chest_with_vessels(chest):
    """What tells a cut lung from the room's air."""
    hu, lungs = chest
    is_vessel = np.zeros(SIZE_ZYX, bool)
    is_vessel[:, 2::10, 2::10] = is_vessel[:, 3::10, 2::10] = is_vessel[:, 2::10, 3::10] = True
    return np.where(is_vessel & (hu < -700) & lungs, 0, hu).astype(np.int16), lungs


@pytest.mark.parametrize(
    "part",
    [
        np.s_[:, 35:75, 30:120],  # the outer parts of both lungs are not in view
        np.s_[:, :, 40:],
        np.s_[:, :, :115],
        np.s_[:, 50:, :],
        np.s_[:, :60, :],
        np.s_[20:50, 35:75, 30:120],
    ],
    ids=["all sides", "right", "left", "front", "back", "all sides and a slab"],
)
def test_sides_of_the_view_may_go_through_the_lungs(chest_with_vessels, part):
    hu, lungs = chest_with_vessels
    mask, inside = segmented(np.ascontiguousarray(hu[part])), lungs[part]
    assert (mask & inside).sum() > 0.95 * inside.sum()
    assert (mask & ~inside).sum() < 0.05 * inside.sum()


@pytest.mark.parametrize("beside", [-1000, -880], ids=["the room's air", "foam, as dense as lung but without a vessel"])
def test_what_lies_beside_a_body_that_the_view_cuts_is_no_lung(chest_with_vessels, beside):
    """Half of a chest, with what lies beside it along three sides of the view."""
    hu, lungs = chest_with_vessels
    half = hu.copy()
    half[:, :, 75:] = np.random.default_rng(1).normal(beside, 20, half[:, :, 75:].shape)
    mask = segmented(half)
    assert not mask[:, :, 80:].any()
    assert (mask & lungs)[:, :, :75].sum() > 0.95 * lungs[:, :, :75].sum()


def test_a_flipped_scan_has_a_flipped_mask(chest):
    hu, _ = chest
    flipped = segmented(hu[:, ::-1, ::-1].copy(), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
    assert dice(flipped[:, ::-1, ::-1], segmented(hu)) > 0.995  # voxels halfway go either way


def test_a_miniature_chest_has_miniature_walls(chest):
    hu, lungs = chest
    small = Grid(SIZE_ZYX, (1.2, 0.8, 0.8))
    assert dice(segment_lungs(Volume(hu, small, "1")).astype(bool), lungs) > 0.95


@pytest.mark.parametrize(("across_mm", "spacing_mm"), [(40, 0.8), (128, 0.8), (240, 1.5), (320, 2.0), (500, 2.0)])
def test_the_work_is_done_in_voxels_of_08_to_2_mm(monkeypatch, across_mm, spacing_mm):
    """160 of them across where that lies between."""
    found = []

    def resample(array_zyx, grid, onto):
        found.append(onto.spacing_zyx_mm)
        return np.zeros(onto.size_zyx, np.float32)

    monkeypatch.setattr(lungs_module, "resample_linear", resample)
    grid = Grid((2, 10, 20), (2.0, across_mm / 20, across_mm / 20))
    assert not segment_lungs(Volume(np.zeros(grid.size_zyx, np.int16), grid, "1")).any()
    assert found == [pytest.approx((spacing_mm,) * 3)]


@pytest.mark.parametrize("hu", [40, -1000])
def test_no_lung_is_an_empty_mask(hu):
    assert not segmented(np.full((20, 30, 30), hu, np.int16)).any()


def test_real_slices_through_both_lungs(shared_data):
    volume = read_volume(shared_data / "ct" / "lidc_idri_0003")
    mask = segment_lungs(volume).astype(bool)
    nodule = np.rint(world_xyz_mm_to_voxel_zyx(np.array([[72.287, 76.900, -190.459]]), volume.grid)[0]).astype(int)
    assert mask[tuple(nodule)]
    left, right = mask[:, :, 256:].mean(), mask[:, :, :256].mean()
    assert 0.15 < left < 0.3
    assert 0.15 < right < 0.3
    assert np.median(volume.array_zyx[mask]) < -750


def test_a_real_crop_round_one_emphysematous_lung(shared_data):
    volume = read_volume(shared_data / "ct" / "right_lung.mha")
    mask = segment_lungs(volume).astype(bool)
    litres = mask.sum() * np.prod(volume.grid.spacing_zyx_mm) / 1e6
    assert 3 < litres < 3.6
    assert np.median(volume.array_zyx[mask]) < -850
    assert mask[64, 80, 60]
    assert not mask[:, :3, :3].any()  # the air outside


@pytest.fixture(scope="module")
def real_chest(shared_data):
    """A whole chest, its lungs in it."""
    (path,) = (shared_data / "real" / "scans").glob("subset*/*.mhd")
    volume = read_volume(path)
    return volume, segment_lungs(volume).astype(bool)


@pytest.mark.slow
def test_a_real_chest_has_six_litres_of_lung(real_chest):
    volume, mask = real_chest
    litres = mask.sum() * np.prod(volume.grid.spacing_zyx_mm) / 1e6
    assert litres == pytest.approx(5.977, rel=0.02)  # before lungs that the view cuts were found, and looked at


@pytest.mark.slow
@pytest.mark.parametrize("voxels", [32, 64, 96])
def test_a_real_chest_without_the_outer_parts_of_its_lungs(real_chest, voxels):
    volume, mask = real_chest
    part = np.s_[:, voxels:-voxels, voxels:-voxels]
    array = np.ascontiguousarray(volume.array_zyx[part])
    cropped = segment_lungs(Volume(array, Grid(array.shape, volume.grid.spacing_zyx_mm), "1")).astype(bool)
    assert (cropped & mask[part]).sum() > 0.95 * mask[part].sum()
    assert (cropped & ~mask[part]).sum() < 0.05 * mask[part].sum()
