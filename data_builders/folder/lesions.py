"""The lesions of a scan, in world mm, and whether they lie in it."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from data_builders.folder.frames import FRAMES, LPS, RAS
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm, world_xyz_mm_to_voxel_zyx


@dataclasses.dataclass(frozen=True, eq=False)
class Lesions:
    """Diameters of shape (n,) are those of spheres, of shape (n, 3) the x, y, z extents of boxes straight in the world.

    `sources` says where each was read: "labels.csv: row 7", "scan.nii.gz: label 2".
    """

    centres_xyz_mm: Float[np.ndarray, "n 3"]
    diameters_mm: Float[np.ndarray, " n"] | Float[np.ndarray, "n 3"]
    sources: tuple[str, ...] = ()

    @classmethod
    def none(cls) -> "Lesions":
        """No lesion at all."""
        return cls(np.zeros((0, 3)), np.zeros(0))

    @classmethod
    def from_corners(
        cls, low_xyz_mm: Float[np.ndarray, "n 3"], high_xyz_mm: Float[np.ndarray, "n 3"], sources: tuple[str, ...]
    ) -> "Lesions":
        """Boxes from their two outermost corners."""
        return cls((low_xyz_mm + high_xyz_mm) / 2, high_xyz_mm - low_xyz_mm, sources)


TO_LPS = {LPS: np.array([1.0, 1.0, 1.0]), RAS: np.array([-1.0, -1.0, 1.0])}


def in_lps(lesions_of: Mapping[str, Lesions], frame: str) -> dict[str, Lesions]:
    """Lesions by scan whose world coordinates are in `frame`, in LPS."""
    signs = TO_LPS[frame]
    return {
        scan: dataclasses.replace(lesions, centres_xyz_mm=lesions.centres_xyz_mm * signs)
        for scan, lesions in lesions_of.items()
    }


def frame_of(lesions_of: Mapping[str, Lesions], grid_of: Callable[[str], Grid], table: Path) -> str:
    """The frame in which all lesions of a table lie in their scans; LPS where they do in neither, or the two are one.

    Raises `InputError` where they do in both: the wrong one would mirror them.
    """
    fitting = [
        frame
        for frame in FRAMES
        if all(
            _are_inside(lesions.centres_xyz_mm, grid_of(scan)).all()
            for scan, lesions in in_lps(lesions_of, frame).items()
        )
    ]
    differ = any(lesions.centres_xyz_mm[:, :2].any() for lesions in lesions_of.values())
    if differ and len(fitting) == len(FRAMES):
        raise InputError(
            f"{table}: all lesions lie inside their scans as LPS and as RAS (x and y negated), so the frame of its "
            "coordinates cannot be told: say which (config: data.options.frame; prepare, check_data: --frame): LPS as "
            "of DICOM, ITK and LUNA16, RAS as 3D Slicer shows"
        )
    return fitting[0] if fitting else LPS


def check_inside(lesions: Lesions, grid: Grid, scan: str) -> None:
    """Raises `InputError` at a lesion whose centre lies outside the scan, and says so where another convention fits."""
    is_inside = _are_inside(lesions.centres_xyz_mm, grid)
    if is_inside.all():
        return
    first = int(np.argmin(is_inside))
    centre_xyz_mm = lesions.centres_xyz_mm[first]
    low_xyz_mm, high_xyz_mm = world_extent(grid)
    if _are_inside(lesions.centres_xyz_mm * [-1, -1, 1], grid).all():
        guess = "(-x, -y, z) would lie inside: give all rows in one frame, and say RAS if that is it (--frame)"
    elif _are_inside(voxel_zyx_to_world_xyz_mm(lesions.centres_xyz_mm[:, ::-1], grid), grid).all():
        guess = "as voxel indices they would lie inside: turn them into mm"
    else:
        guess = "correct it, or the scan's header"
    raise InputError(
        f"{lesions.sources[first]}: a lesion at x, y, z = {_in_words(centre_xyz_mm)} mm lies outside its scan {scan}, "
        f"which reaches from {_in_words(low_xyz_mm)} to {_in_words(high_xyz_mm)}; expected world mm (LPS): {guess}"
    )


def world_extent(grid: Grid) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """The lowest and highest x, y, z mm that voxels of the grid reach."""
    corners_zyx = np.stack(np.meshgrid(*([-0.5, size - 0.5] for size in grid.size_zyx), indexing="ij"), axis=-1)
    corners_xyz_mm = voxel_zyx_to_world_xyz_mm(corners_zyx.reshape(-1, 3), grid)
    return corners_xyz_mm.min(axis=0), corners_xyz_mm.max(axis=0)


def _are_inside(points_xyz_mm: Float[np.ndarray, "n 3"], grid: Grid) -> Bool[np.ndarray, " n"]:
    points_zyx = world_xyz_mm_to_voxel_zyx(points_xyz_mm, grid)
    return np.all((points_zyx >= -0.5) & (points_zyx < np.array(grid.size_zyx) - 0.5), axis=1)


def _in_words(point_xyz_mm: Float[np.ndarray, " 3"]) -> str:
    return "(" + ", ".join(f"{each:.1f}" for each in point_xyz_mm) + ")"
