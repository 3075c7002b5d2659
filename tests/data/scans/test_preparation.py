"""A prepared scan against a computation by SciPy that shares no code with it, and hand-made cases."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.ndimage
import SimpleITK as sitk

from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.preparation import BODY, LUNGS, Preparation, prepare_scan, prepare_volume
from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.volumes import Volume, write_metaimage

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
SAGITTAL = (0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
NO_POINTS, NO_DIAMETERS = np.zeros((0, 3)), np.zeros(0)


def scan_on(direction, size_zyx=(12, 20, 24), spacing_zyx_mm=(2.5, 0.7, 0.8)):
    grid = Grid(size_zyx, spacing_zyx_mm, (-30.5, 12.25, 100.0), direction)
    hu = np.random.default_rng(0).integers(-3024, 1500, size_zyx).astype(np.int16)
    return Volume(hu, grid, "1.2.3"), Volume(np.full(size_zyx, 3, np.uint8), grid, "1.2.3")


@pytest.mark.parametrize("direction", [IDENTITY, FLIPPED, SAGITTAL, OBLIQUE])
def test_hu_are_those_of_scipy_at_the_same_world_points(direction):
    volume, lungs = scan_on(direction)
    scan = prepare_volume(volume, lungs, NO_POINTS, NO_DIAMETERS)
    indices = np.indices(scan.hu.shape).reshape(3, -1).T.astype(float)
    source_indices = world_xyz_mm_to_voxel_zyx(voxel_zyx_to_world_xyz_mm(indices, scan.grid), volume.grid)
    clipped = np.clip(volume.array_zyx.astype(float), -1200, 600)
    oracle = scipy.ndimage.map_coordinates(clipped, source_indices.T, order=1, mode="nearest")
    np.testing.assert_allclose(scan.hu.ravel(), oracle, atol=1)
    assert scan.hu.dtype == np.int16
    assert scan.grid.spacing_zyx_mm == (1.0, 1.0, 1.0)
    assert scan.source_spacing_zyx_mm == (2.5, 0.7, 0.8)


@pytest.mark.parametrize("signs_zyx", list(itertools.product((1, -1), repeat=3)))
@pytest.mark.parametrize("has_mask", [True, False])
def test_a_scan_stored_from_the_other_end_is_prepared_to_the_same_bits(small_chest, signs_zyx, has_mask):
    """Of slices of 2.5 mm every fifth voxel of 1 mm lies half way between two; the mask ends at one of them."""
    spacing = np.array([2.5, 1.0, 1.0])
    array = np.repeat(small_chest().array_zyx[::2], 2, axis=1)[:, ::2]
    mask = np.zeros(array.shape, np.uint8)
    mask[4:9, 10:30, 10:30] = 1
    first_xyz_mm = np.array([-30.0, 12.0, -50.0])
    turn = tuple(slice(None, None, sign) for sign in signs_zyx)
    last_xyz_mm = ((np.array(array.shape) - 1) * spacing)[::-1]
    signs_xyz = np.array(signs_zyx[::-1])

    def stored(values, turn, signs_xyz):
        origin = first_xyz_mm + np.where(signs_xyz < 0, last_xyz_mm, 0)
        direction = tuple(np.diag(signs_xyz.astype(float)).ravel().tolist())
        return Volume(values[turn].copy(), Grid(array.shape, tuple(spacing), tuple(origin), direction), "1.2.3")

    plain = (slice(None),) * 3, np.ones(3, int)
    found, expected = (
        prepare_volume(
            stored(array, *way), stored(mask, *way) if has_mask else None, NO_POINTS, NO_DIAMETERS, lung_dilation_mm=0.0
        )
        for way in ((turn, signs_xyz), plain)
    )
    np.testing.assert_array_equal(found.hu, expected.hu)
    np.testing.assert_array_equal(found.lungs, expected.lungs)


@pytest.mark.parametrize("spacing_mm", [0.5, 2.0])
def test_voxels_of_another_side_show_the_same_world(spacing_mm):
    volume, lungs = scan_on(OBLIQUE, size_zyx=(16, 60, 50))
    centre_xyz_mm = voxel_zyx_to_world_xyz_mm(np.array([[8.0, 30, 25]]), volume.grid)
    scan = prepare_volume(
        volume, lungs, centre_xyz_mm, np.array([6.0]), preparation=Preparation(LUNGS, spacing_mm), lung_dilation_mm=2.0
    )
    assert scan.grid.spacing_zyx_mm == (spacing_mm,) * 3
    (box,) = scan.boxes_zyxdhw_voxel
    np.testing.assert_allclose(voxel_zyx_to_world_xyz_mm(box[None, :3], scan.grid), centre_xyz_mm, atol=1e-3)
    np.testing.assert_allclose(box[3:] * spacing_mm, 6.0, rtol=1e-5)
    indices = np.indices(scan.hu.shape).reshape(3, -1).T.astype(float)
    source = world_xyz_mm_to_voxel_zyx(voxel_zyx_to_world_xyz_mm(indices, scan.grid), volume.grid)
    clipped = np.clip(volume.array_zyx.astype(float), -1200, 600)
    oracle = scipy.ndimage.map_coordinates(clipped, source.T, order=1, mode="nearest")
    np.testing.assert_allclose(scan.hu.ravel(), oracle, atol=1)


def test_dilation_is_in_mm():
    grid = Grid((24, 24, 24), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    labels = np.zeros(grid.size_zyx, np.uint8)
    labels[12:14, 12:14, 12:14] = 1
    volume, mask = Volume(np.zeros(grid.size_zyx, np.int16), grid, "1"), Volume(labels, grid, "1")
    fine, coarse = (
        prepare_volume(volume, mask, NO_POINTS, NO_DIAMETERS, preparation=Preparation(LUNGS, mm)).lungs
        for mm in (1.0, 2.0)
    )
    assert abs(int(coarse.any((1, 2)).sum()) * 2 - int(fine.any((1, 2)).sum())) <= 2


def test_the_body_is_searched_where_that_is_the_region():
    """There are no lungs, which stops preparing for lungs."""
    grid = Grid((30, 60, 60), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    _, y, x = np.indices(grid.size_zyx)
    body = (y - 30) ** 2 + (x - 30) ** 2 < 24**2
    volume = Volume(np.where(body, 50, -1000).astype(np.int16), grid, "1")
    of_body = Preparation(BODY, 1.0)
    found = prepare_volume(volume, None, NO_POINTS, NO_DIAMETERS, preparation=of_body, lung_dilation_mm=0.0).lungs > 0
    assert (found != body).mean() < 0.03
    with pytest.raises(InputError, match=r"1: no lungs found.*for lesions elsewhere set data\.region=body"):
        prepare_volume(volume, None, NO_POINTS, NO_DIAMETERS)
    with pytest.raises(InputError, match="whose values go from -1000 to 50, expected a CT of the chest in HU"):
        prepare_volume(volume, None, NO_POINTS, NO_DIAMETERS)
    empty = Volume(np.zeros(grid.size_zyx, np.uint8), grid, "1")
    with pytest.raises(InputError, match="1: its mask has no label other than 0 inside the scan, expected what is to"):
        prepare_volume(volume, empty, NO_POINTS, NO_DIAMETERS, preparation=of_body)
    air = Volume(np.full(grid.size_zyx, -1000, np.int16), grid, "1")
    with pytest.raises(InputError, match=r"1: no body found in this scan.*what to search"):
        prepare_volume(air, None, NO_POINTS, NO_DIAMETERS, preparation=of_body)


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ((0, 255), r"from 0 to 255 where air is near -1000 HU \(grey levels of a window\?\), expected a CT"),
        ((24, 1074), r"from 24 to 1074 where air is near -1000 HU \(stored values without the intercept of their"),
    ],
)
def test_a_scan_that_is_not_in_hu_is_told_what_it_may_be_in(levels, told):
    grid = Grid((10, 30, 30), (2.0, 2.0, 2.0))
    array = np.full(grid.size_zyx, levels[0], np.int16)
    array[:, 5:25, 5:25] = levels[1]
    with pytest.raises(InputError, match=told):
        prepare_volume(Volume(array, grid, "1"), None, NO_POINTS, NO_DIAMETERS)


def test_every_label_of_a_mask_of_another_organ_counts(tmp_path):
    volume, lungs = scan_on(IDENTITY)
    labels = np.zeros_like(lungs.array_zyx)
    labels[:, 5:9, 5:9] = 5  # LUNA16's trachea, which is no lung
    write_metaimage(tmp_path / "scan.mhd", volume)
    write_metaimage(tmp_path / "mask.mhd", Volume(labels, volume.grid, ""))
    files = ScanFiles("1.2.3", tmp_path / "scan.mhd", lungs_path=tmp_path / "mask.mhd")
    assert prepare_scan(files, preparation=Preparation(BODY, 1.0)).lungs.any()
    with pytest.raises(InputError, match="no label in 3, 4"):
        prepare_scan(files)


@pytest.mark.parametrize("direction", [FLIPPED, SAGITTAL])
def test_axes_are_turned_upright(direction):
    scan = prepare_volume(*scan_on(direction), NO_POINTS, NO_DIAMETERS)
    np.testing.assert_allclose(scan.grid.direction, IDENTITY)


@pytest.mark.parametrize("direction", [IDENTITY, FLIPPED, SAGITTAL, OBLIQUE])
def test_a_bright_ball_lies_in_its_box(direction):
    volume, lungs = scan_on(direction, size_zyx=(30, 40, 50), spacing_zyx_mm=(1.5, 0.7, 0.8))
    centre_xyz_mm = voxel_zyx_to_world_xyz_mm(np.array([[12.3, 17.8, 30.1]]), volume.grid)
    indices = np.indices(volume.array_zyx.shape).reshape(3, -1).T.astype(float)
    distance_mm = np.linalg.norm(voxel_zyx_to_world_xyz_mm(indices, volume.grid) - centre_xyz_mm, axis=1)
    hu = np.where(distance_mm < 5, 100, -900).reshape(volume.array_zyx.shape).astype(np.int16)
    scan = prepare_volume(Volume(hu, volume.grid, "1"), lungs, centre_xyz_mm, np.array([10.0]), subset=4)
    weights = scan.hu.astype(float) + 900
    mass_centre = [np.average(axis, weights=weights) for axis in np.indices(scan.hu.shape)]
    assert scan.boxes_zyxdhw_voxel.shape == (1, 6)
    assert scan.boxes_zyxdhw_voxel.dtype == np.float32
    np.testing.assert_allclose(scan.boxes_zyxdhw_voxel[0, :3], mass_centre, atol=0.2)
    np.testing.assert_allclose(scan.boxes_zyxdhw_voxel[0, 3:], 10, rtol=1e-6)
    assert scan.subset == 4


def test_padding_is_clipped_before_it_can_bleed_into_the_skin():
    volume, lungs = scan_on(IDENTITY, size_zyx=(4, 4, 4), spacing_zyx_mm=(1.0, 1.0, 2.0))
    hu = np.full((4, 4, 4), -3024, np.int16)
    hu[:, :, 2:] = 0
    scan = prepare_volume(Volume(hu, volume.grid, "1"), lungs, NO_POINTS, NO_DIAMETERS)
    np.testing.assert_array_equal(scan.hu[0, 0], [-1200, -1200, -1200, -900, -300, 0, 0, 0])


def test_scans_without_nodules_are_normal():
    scan = prepare_volume(*scan_on(IDENTITY), NO_POINTS, NO_DIAMETERS)
    assert scan.boxes_zyxdhw_voxel.shape == (0, 6)
    assert scan.subset == -1


class TestLungs:
    def prepared(self, labels, **options):
        grid = Grid(labels.shape, (1.0, 1.0, 1.0))
        volume = Volume(np.zeros(labels.shape, np.int16), grid, "1.2.3")
        return prepare_volume(volume, Volume(labels, grid, "1.2.3"), NO_POINTS, NO_DIAMETERS, **options).lungs

    def test_are_dilated_by_a_ball(self):
        labels = np.zeros((21, 21, 21), np.uint8)
        labels[10, 10, 10] = 1
        lungs = self.prepared(labels, lung_dilation_mm=4.0)
        distance = np.linalg.norm(np.indices(lungs.shape).T - 10, axis=-1).T
        assert lungs.dtype == np.uint8
        assert (lungs[distance <= 4] == 1).all()
        assert (lungs[distance > 5] == 0).all()

    @pytest.mark.parametrize("dilation_mm", [0.0, 2.0, 5.0])
    def test_are_dilated_as_simpleitk_does(self, dilation_mm):
        labels = (np.random.default_rng(0).random((21, 22, 23)) > 0.999).astype(np.uint8)
        lungs = self.prepared(labels, lung_dilation_mm=dilation_mm)
        image = sitk.GetImageFromArray(labels)
        expected = sitk.GetArrayFromImage(sitk.BinaryDilate(image, [int(dilation_mm)] * 3, sitk.sitkBall))
        np.testing.assert_array_equal(lungs, expected)

    def test_are_the_named_labels_only(self):
        labels = np.zeros((5, 5, 40), np.uint8)
        labels[..., :5], labels[..., 20:22], labels[..., 35:] = 3, 5, 4
        lungs = self.prepared(labels, lung_labels=(3, 4), lung_dilation_mm=2.0)
        np.testing.assert_array_equal(np.flatnonzero(lungs[2, 2] == 0), np.arange(7, 33))

    def test_may_lie_on_another_grid(self):
        grid = Grid((20, 20, 20), (1.0, 1.0, 1.0))
        coarse = Grid((5, 5, 5), (2.0, 2.0, 2.0), (10.5, 0.5, 0.5))
        volume = Volume(np.zeros((20, 20, 20), np.int16), grid, "1")
        lungs = Volume(np.ones((5, 5, 5), np.uint8), coarse, "1")
        scan = prepare_volume(volume, lungs, NO_POINTS, NO_DIAMETERS, lung_dilation_mm=0.0)
        expected = np.zeros((20, 20, 20), np.uint8)
        expected[:10, :10, 10:] = 1
        np.testing.assert_array_equal(scan.lungs, expected)

    def test_no_lung_is_refused(self):
        with pytest.raises(InputError, match=r"1\.2\.3: its lung mask has no label in 3, 4"):
            self.prepared(np.full((5, 5, 5), 5, np.uint8), lung_labels=(3, 4))


def test_a_scan_is_read_from_its_files_with_what_is_known_of_it(tmp_path):
    volume, _ = scan_on(IDENTITY)
    labels = np.full(volume.array_zyx.shape, 3, np.uint8)
    labels[..., 12:] = 5
    write_metaimage(tmp_path / "1.2.3.mhd", volume)
    write_metaimage(tmp_path / "mask.mhd", Volume(labels, volume.grid, "mask"))
    scan = ScanFiles(
        "1.2.3",
        tmp_path / "1.2.3.mhd",
        lungs_path=tmp_path / "mask.mhd",
        subset=4,
        patient="ab",
        is_labelled=True,
        centres_xyz_mm=np.array([[-25.0, 15, 105]]),
        diameters_mm=np.array([[3.0, 4, 5]]),
    )
    expected = prepare_volume(
        volume, Volume(labels, volume.grid, "mask"), scan.centres_xyz_mm, scan.diameters_mm, lung_labels=(3, 4)
    )
    for prepared in (prepare_scan(scan), prepare_scan(scan, volume=volume)):
        for name in ("hu", "lungs", "boxes_zyxdhw_voxel"):
            np.testing.assert_array_equal(getattr(prepared, name), getattr(expected, name))
        assert (prepared.series_uid, prepared.subset, prepared.patient, prepared.is_labelled) == (
            "1.2.3",
            4,
            "ab",
            True,
        )
    with pytest.raises(InputError, match="no label in 7"):
        prepare_scan(dataclasses.replace(scan, lung_labels=(7,)))


@pytest.mark.parametrize(
    ("centre", "diameter", "said"),
    [
        ((500.0, 15, 105), 5.0, "lies outside the scan"),
        ((np.nan, 15, 105), 5.0, "lies outside the scan"),
        ((-25.0, 15, 105), -1.0, "diameter is -1.0 mm"),
        ((-25.0, 15, 105), np.nan, "diameter is nan mm"),
    ],
)
def test_an_impossible_nodule_is_refused(centre, diameter, said):
    with pytest.raises(InputError, match=said):
        prepare_volume(*scan_on(IDENTITY), np.array([centre]), np.array([diameter]))
