"""Slices hang upright whatever the direction on disk, in true proportions, with boxes where the findings are."""

import itertools

import numpy as np
import pytest

from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.volumes import Volume
from medssl_jax.report.nodules.contact_sheet import (
    EXCLUDED_COLOUR,
    GAP_PIXELS,
    LUNGS_COLOUR,
    NODULE_COLOUR,
    TITLE_PIXELS,
    SheetScan,
    draw_contact_sheet,
    write_contact_sheet,
)

SIZE, SPACING = (20, 40, 60), (2.0, 1.0, 0.5)
GRID = Grid(SIZE, SPACING, (-10.0, -20.0, -30.0))


def volume():
    """Bright at the patient's head, and brighter still in front on the right."""
    hu = np.full(SIZE, -1350, np.int16)
    hu[:, :10, :15] = 150
    hu[15:] = 150
    return Volume(hu, GRID, "1")


def turned(original):
    """The same patient stored the other way round in rows and columns."""
    corner = voxel_zyx_to_world_xyz_mm(np.array([[0.0, SIZE[1] - 1, SIZE[2] - 1]]), original.grid)[0]
    grid = Grid(SIZE, SPACING, tuple(corner), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
    return Volume(np.ascontiguousarray(original.array_zyx[:, ::-1, ::-1]), grid, "1")


def views(sheet, pixels_per_mm=1.0):
    """The axial, coronal and sagittal slices cut out of a sheet of one scan."""
    depth, height, width = (round(n * s * pixels_per_mm) for n, s in zip(SIZE, SPACING, strict=True))
    cut, left = [], 0
    for rows, columns in ((height, width), (depth, width), (depth, height)):
        cut.append(sheet[TITLE_PIXELS : TITLE_PIXELS + rows, left : left + columns])
        left += columns + GAP_PIXELS
    return cut


def test_slices_are_upright_and_proportioned():
    # The slices go through voxel (10, 20, 20): below the head, behind the front, left of the right side.
    sheet = draw_contact_sheet([SheetScan("", volume())], pixels_per_mm=1.0)
    axial, coronal, sagittal = views(sheet)
    assert axial[3, 2].min() > 200  # front, right
    assert axial[3, -3].max() < 10
    assert axial[-3, 2].max() < 10
    assert coronal[3, 15].min() > 200  # head
    assert coronal[-3, 15].max() < 10
    assert sagittal[3, 20].min() > 200
    assert sagittal[-3, 20].max() < 10


def test_direction_on_disk_does_not_matter():
    centre = voxel_zyx_to_world_xyz_mm(np.array([[8.0, 25.0, 40.0]]), GRID)
    sheets = [
        draw_contact_sheet([SheetScan("scan", each, centre, np.array([5.0]))]) for each in (volume(), turned(volume()))
    ]
    np.testing.assert_array_equal(sheets[0], sheets[1])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_axes_that_are_exchanged_on_disk_do_not_matter(order):
    """As of slices that run along the body: each axis of the array may be any of the patient's, from either end."""
    original, centre = volume(), voxel_zyx_to_world_xyz_mm(np.array([[8.0, 25.0, 40.0]]), GRID)
    lungs = np.zeros(SIZE, bool)
    lungs[5:12, 20:30, 30:50] = True
    ends = (slice(None, None, -1), slice(None), slice(None, None, -1))
    corner = voxel_zyx_to_world_xyz_mm(np.array([[SIZE[0] - 1.0, 0, SIZE[2] - 1]]), GRID)[0]
    signs = np.diag([-1.0, 1, -1])
    axes_xyz = [2 - axis for axis in order[::-1]]  # of the patient, along the array's x, y, z
    grid = Grid(
        tuple(SIZE[axis] for axis in order),
        tuple(SPACING[axis] for axis in order),
        tuple(corner),
        tuple(signs[:, axes_xyz].ravel()),
    )
    stored = Volume(np.ascontiguousarray(original.array_zyx[ends].transpose(order)), grid, "1")
    found, expected = (
        draw_contact_sheet([SheetScan("scan", each, centre, np.array([5.0]), lungs=mask)])
        for each, mask in ((stored, np.ascontiguousarray(lungs[ends].transpose(order))), (original, lungs))
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("view", [0, 1, 2])
def test_boxes_are_centred_on_their_findings(view):
    voxel = np.array([8.0, 25.0, 40.0])
    centre = voxel_zyx_to_world_xyz_mm(voxel[None], GRID)
    sheet = draw_contact_sheet([SheetScan("", volume(), centre, np.array([5.0]))], pixels_per_mm=1.0)
    drawn = np.argwhere((views(sheet)[view] == NODULE_COLOUR).all(axis=-1))
    upright = np.array([SIZE[0] - 1 - voxel[0], voxel[1], voxel[2]])
    expected = np.delete((upright + 0.5) * SPACING, view)
    np.testing.assert_allclose((drawn.min(axis=0) + drawn.max(axis=0)) / 2, expected, atol=1)
    np.testing.assert_allclose(np.ptp(drawn, axis=0), 8, atol=1.5)


def test_excluded_findings_without_diameter_are_drawn():
    centre = voxel_zyx_to_world_xyz_mm(np.array([[10.0, 20.0, 20.0]]), GRID)
    scan = SheetScan("", volume(), excluded_xyz_mm=centre, excluded_diameters_mm=np.array([-1.0]))
    assert (draw_contact_sheet([scan]) == EXCLUDED_COLOUR).all(axis=-1).any()


def test_png_holds_every_scan(tmp_path):
    from PIL import Image

    scans = [SheetScan("one", volume()), SheetScan("two", turned(volume()))]
    write_contact_sheet(tmp_path / "sheet.png", scans)
    with Image.open(tmp_path / "sheet.png") as image:
        np.testing.assert_array_equal(np.asarray(image), draw_contact_sheet(scans))
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def green(picture):
    return (picture == LUNGS_COLOUR).all(axis=-1)


def test_lungs_are_outlined_but_not_where_the_picture_ends():
    lungs = np.zeros(SIZE, bool)
    lungs[5:15, 10:30, :40] = True
    axial, coronal, sagittal = views(draw_contact_sheet([SheetScan("", volume(), lungs=lungs)]), 1.5)
    expected = np.zeros(axial.shape[:2], bool)
    expected[15:45, :30] = True  # 1.5 pixels a mm: rows 10 to 30 of 1 mm, columns 0 to 40 of 0.5 mm
    expected[16:44, :29] = False
    np.testing.assert_array_equal(green(axial), expected)
    assert green(coronal).any()
    assert green(sagittal).any()


def test_the_outline_hangs_as_the_scan_does():
    lungs = np.zeros(SIZE, bool)
    lungs[5:17, 12:30, 7:40] = True
    upright = SheetScan("", volume(), lungs=lungs)
    flipped = SheetScan("", turned(volume()), lungs=np.ascontiguousarray(lungs[:, ::-1, ::-1]))
    np.testing.assert_array_equal(green(draw_contact_sheet([upright])), green(draw_contact_sheet([flipped])))
