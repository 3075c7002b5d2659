"""The place of voxels in the patient.

World points are `x, y, z` in mm (DICOM LPS: towards left, posterior, superior); voxel indices are `z, y, x`, with whole
numbers at voxel centres. A grid ties the two together:

    world = origin + direction @ (spacing * index)        index = direction^-1 @ (world - origin) / spacing
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from medssl_jax.core.errors import InputError

# Headers hold cosines rounded to a few digits; beyond this the axes are sheared, not rounded.
ORTHONORMAL_TOLERANCE = 1e-3
# Our choice, far beyond any patient. At 1 mm the voxels of a header alone would else take all memory.
LONGEST_MM = 3e3
LARGEST_MM3 = 2e9
FARTHEST_MM = 1e5
IDENTITY_DIRECTION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Grid:
    """Size, spacing, origin and direction of a volume.

    `origin_xyz_mm` is the centre of voxel (0, 0, 0). `direction` is a 3 x 3 matrix, row by row, whose columns are the
    world directions of the x, y and z index axes (SimpleITK's `GetDirection`).

    Raises:
      InputError: a size below 1, a spacing that is not positive and finite, an origin that is not finite, axes that
        are not orthonormal.
    """

    size_zyx: tuple[int, int, int]
    spacing_zyx_mm: tuple[float, float, float]
    origin_xyz_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = IDENTITY_DIRECTION

    def __post_init__(self) -> None:
        for name, count, kind in (
            ("size_zyx", 3, int),
            ("spacing_zyx_mm", 3, float),
            ("origin_xyz_mm", 3, float),
            ("direction", 9, float),
        ):
            value = tuple(kind(each) for each in getattr(self, name))
            if len(value) != count:
                raise InputError(f"{name} has {len(value)} numbers, expected {count}: a grid has three axes")
            object.__setattr__(self, name, value)
        if min(self.size_zyx) < 1:
            raise InputError(f"size_zyx is {self.size_zyx}, expected at least 1 voxel on each axis")
        check_spacing(self.spacing_zyx_mm, "spacing_zyx_mm")
        if not all(map(math.isfinite, self.origin_xyz_mm)):
            raise InputError(f"origin_xyz_mm is {self.origin_xyz_mm}, expected finite mm")
        axes = self.direction_matrix
        if not np.allclose(axes.T @ axes, np.eye(3), rtol=0, atol=ORTHONORMAL_TOLERANCE):
            raise InputError(
                f"direction is {self.direction}, expected three axes of length 1 at right angles to each other"
            )

    @property
    def direction_matrix(self) -> Float[np.ndarray, "3 3"]:
        """The direction as a matrix; its columns are the x, y and z index axes."""
        return np.array(self.direction).reshape(3, 3)


def check_spacing(spacing_mm: Sequence[float], name: str) -> None:
    """Raises `InputError` unless every number is a positive, finite distance."""
    if not all(math.isfinite(each) and each > 0 for each in spacing_mm):
        raise InputError(f"{name} is {tuple(spacing_mm)}, expected positive, finite mm: repair or leave out this file")


def check_extent(grid: Grid) -> None:
    """Raises `InputError` where a grid cannot be that of a patient.

    It is more than `LONGEST_MM` long or `LARGEST_MM3` large, or begins beyond `FARTHEST_MM`.
    """
    extent_xyz_mm = np.array(grid.size_zyx[::-1]) * grid.spacing_zyx_mm[::-1]
    is_large = extent_xyz_mm.max() > LONGEST_MM or np.prod(extent_xyz_mm) > LARGEST_MM3
    if is_large or np.abs(grid.origin_xyz_mm).max() > FARTHEST_MM:
        extent = " x ".join(f"{each:.6g}" for each in extent_xyz_mm)
        origin = ", ".join(f"{each:.6g}" for each in grid.origin_xyz_mm)
        raise InputError(
            f"its voxels cover {extent} mm from x, y, z = {origin} mm, expected a patient: "
            "correct its spacing or its origin"
        )


def world_xyz_mm_to_voxel_zyx(points_xyz_mm: Float[np.ndarray, "n 3"], grid: Grid) -> Float[np.ndarray, "n 3"]:
    """Fractional voxel indices of world points; points outside the grid are legal."""
    offset_xyz_mm = np.asarray(points_xyz_mm, np.float64) - np.array(grid.origin_xyz_mm)
    along_axes_xyz_mm = np.linalg.solve(grid.direction_matrix, offset_xyz_mm.T).T
    return along_axes_xyz_mm[:, ::-1] / np.array(grid.spacing_zyx_mm)


def voxel_zyx_to_world_xyz_mm(points_zyx: Float[np.ndarray, "n 3"], grid: Grid) -> Float[np.ndarray, "n 3"]:
    """World points of fractional voxel indices."""
    along_axes_xyz_mm = (np.asarray(points_zyx, np.float64) * np.array(grid.spacing_zyx_mm))[:, ::-1]
    return along_axes_xyz_mm @ grid.direction_matrix.T + np.array(grid.origin_xyz_mm)


def boxes_from_points(
    centres_xyz_mm: Float[np.ndarray, "n 3"],
    diameters_mm: Float[np.ndarray, " n"] | Float[np.ndarray, "n 3"],
    grid: Grid,
) -> Float[np.ndarray, "n 6"]:
    """The box of each sphere: `z, y, x, depth, height, width` in voxels of `grid`.

    Diameters of shape (n, 3) are the extents in x, y, z of boxes that lie straight in the world; where `grid` does not,
    the result is the box round the turned one.
    """
    centres_zyx = world_xyz_mm_to_voxel_zyx(centres_xyz_mm, grid)
    extents_mm = np.asarray(diameters_mm, np.float64)
    along_axes_xyz_mm = extents_mm[:, None] if extents_mm.ndim == 1 else extents_mm @ np.abs(grid.direction_matrix)
    return np.hstack([centres_zyx, along_axes_xyz_mm[:, ::-1] / np.array(grid.spacing_zyx_mm)])


def upright_grid(grid: Grid) -> Grid:
    """The same voxels with index axes reordered and turned so that x, y, z run nearest to left, posterior, superior.

    A rotation of less than that, a patient lying askew, stays.
    """
    axes = grid.direction_matrix
    x, y, z = max(itertools.permutations(range(3)), key=lambda order: np.abs(axes[range(3), order]).sum())
    signs = np.sign(axes[range(3), (x, y, z)])
    size_xyz, spacing_xyz_mm = grid.size_zyx[::-1], grid.spacing_zyx_mm[::-1]
    first_corner_xyz = [0, 0, 0]
    for sign, axis in zip(signs, (x, y, z), strict=True):
        first_corner_xyz[axis] = 0 if sign > 0 else size_xyz[axis] - 1
    return Grid(
        (size_xyz[z], size_xyz[y], size_xyz[x]),
        (spacing_xyz_mm[z], spacing_xyz_mm[y], spacing_xyz_mm[x]),
        tuple(voxel_zyx_to_world_xyz_mm(np.array([first_corner_xyz[::-1]], float), grid)[0].tolist()),
        tuple((axes[:, [x, y, z]] * signs).ravel().tolist()),
    )


def isotropic_grid(grid: Grid, spacing_mm: float) -> Grid:
    """The grid of cubic voxels that starts at the same outer corner as `grid` and covers it to half a voxel."""
    spacing_zyx_mm = np.array(grid.spacing_zyx_mm)
    size_zyx = np.maximum(1, np.rint(np.array(grid.size_zyx) * spacing_zyx_mm / spacing_mm)).astype(int)
    between_first_centres_xyz_mm = (spacing_mm - spacing_zyx_mm[::-1]) / 2
    return Grid(
        tuple(size_zyx.tolist()),
        (spacing_mm,) * 3,
        tuple((grid.origin_xyz_mm + grid.direction_matrix @ between_first_centres_xyz_mm).tolist()),
        grid.direction,
    )
