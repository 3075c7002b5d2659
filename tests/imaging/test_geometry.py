"""Round trips, hand-made flips and reorientations, and SimpleITK as the oracle of the direction matrix."""

import math

import hypothesis
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import strategies as st

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import (
    Grid,
    boxes_from_points,
    isotropic_grid,
    upright_grid,
    voxel_zyx_to_world_xyz_mm,
    world_xyz_mm_to_voxel_zyx,
)


def image_on(grid):
    image = sitk.Image(grid.size_zyx[::-1], sitk.sitkInt16)
    image.SetSpacing(grid.spacing_zyx_mm[::-1])
    image.SetOrigin(grid.origin_xyz_mm)
    image.SetDirection(grid.direction)
    return image


@st.composite
def rotations(draw):
    # Whole milliradians: ITK inverts by a decomposition that stumbles over cosines of 1e-300.
    angles = [each / 1000 for each in draw(st.tuples(*[st.integers(-3141, 3141)] * 3))]
    transform = sitk.Euler3DTransform((0, 0, 0), *angles)
    matrix = np.array(transform.GetMatrix()).reshape(3, 3)
    return tuple((matrix * draw(st.sampled_from([(1, 1, 1), (-1, 1, 1), (1, -1, -1)]))).ravel())


# What a Grid is made of, not Grids: checking their types draws from `random`, which strategies must not.
grids = st.tuples(
    st.tuples(*[st.integers(2, 40)] * 3),
    st.tuples(*[st.floats(0.3, 5)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
    rotations(),
)
point_lists = st.lists(st.tuples(*[st.floats(-400, 400)] * 3), min_size=0, max_size=5).map(
    lambda points: np.array(points, float).reshape(-1, 3)
)


@hypothesis.given(grids, point_lists)
def test_agrees_with_simpleitk_and_comes_back(fields, points_xyz_mm):
    grid = Grid(*fields)
    voxels_zyx = world_xyz_mm_to_voxel_zyx(points_xyz_mm, grid)
    image = image_on(grid)
    for point, voxel in zip(points_xyz_mm, voxels_zyx, strict=True):
        np.testing.assert_allclose(voxel[::-1], image.TransformPhysicalPointToContinuousIndex(point), atol=1e-6)
    np.testing.assert_allclose(voxel_zyx_to_world_xyz_mm(voxels_zyx, grid), points_xyz_mm, atol=1e-8)


def test_a_flipped_scan_counts_backwards_in_x_and_y():
    grid = Grid((10, 10, 10), (2.5, 0.5, 0.5), (100.0, 50.0, -300.0), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
    voxels = world_xyz_mm_to_voxel_zyx(np.array([[98.0, 49, -295]]), grid)
    np.testing.assert_allclose(voxels, [[2, 2, 4]])


def test_a_box_has_the_diameter_in_voxels_of_each_axis():
    grid = Grid((10, 20, 30), (2.5, 0.5, 1.0), (-10.0, 0.0, 5.0))
    boxes = boxes_from_points(np.array([[-7.0, 4, 10]]), np.array([5.0]), grid)
    np.testing.assert_allclose(boxes, [[2, 8, 3, 2, 10, 5]])
    assert boxes_from_points(np.zeros((0, 3)), np.zeros(0), grid).shape == (0, 6)


@hypothesis.given(grids)
def test_upright_grid_is_simpleitks_dicom_orientation(fields):
    grid = Grid(*fields)
    ours, oracle = upright_grid(grid), sitk.DICOMOrient(image_on(grid), "LPS")
    # Near 45 degrees either axis may be called the nearest.
    cosines = np.sort(np.abs(grid.direction_matrix), axis=0)
    hypothesis.assume((cosines[2] - cosines[1] > 0.3).all())
    assert ours.size_zyx == oracle.GetSize()[::-1]
    np.testing.assert_allclose(ours.spacing_zyx_mm, oracle.GetSpacing()[::-1])
    np.testing.assert_allclose(ours.origin_xyz_mm, oracle.GetOrigin(), atol=1e-8)
    np.testing.assert_allclose(ours.direction, oracle.GetDirection(), atol=1e-12)


@hypothesis.given(grids)
def test_isotropic_grid_starts_at_the_same_outer_corner_and_covers_the_volume_to_half_a_voxel(fields):
    grid = Grid(*fields)
    fine = isotropic_grid(grid, 1.0)
    corner = np.full((1, 3), -0.5)
    np.testing.assert_allclose(
        voxel_zyx_to_world_xyz_mm(corner, fine), voxel_zyx_to_world_xyz_mm(corner, grid), atol=1e-8
    )
    extents_mm = np.array(grid.size_zyx) * grid.spacing_zyx_mm
    assert (np.abs(np.array(fine.size_zyx) - extents_mm) <= np.maximum(0.5, 1 - extents_mm)).all()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("spacing_zyx_mm", (1, -1, 1), "spacing_zyx_mm is"),
        ("spacing_zyx_mm", (1, 0, 1), "spacing_zyx_mm is"),
        ("spacing_zyx_mm", (1, math.nan, 1), "spacing_zyx_mm is"),
        ("size_zyx", (0, 2, 2), "size_zyx is"),
        ("origin_xyz_mm", (0, math.inf, 0), "origin_xyz_mm is"),
        ("direction", (1, 0, 0, 0.1, 1, 0, 0, 0, 1), "direction is"),
        ("direction", (0,) * 9, "direction is"),
        ("direction", (math.nan,) * 9, "direction is"),
    ],
)
def test_an_impossible_grid_is_refused(field, value, said):
    good = {"size_zyx": (2, 2, 2), "spacing_zyx_mm": (1.0, 1.0, 1.0)}
    with pytest.raises(InputError, match=said):
        Grid(**{**good, field: tuple(type(good.get(field, (1.0,))[0])(each) for each in value)})


def test_cosines_rounded_in_a_header_are_taken():
    turn = math.radians(3)
    cosine, sine = round(math.cos(turn), 4), round(math.sin(turn), 4)
    Grid((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (cosine, -sine, 0.0, sine, cosine, 0.0, 0.0, 0.0, 1.0))
