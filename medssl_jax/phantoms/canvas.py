"""Drawing with soft edges on a patch of voxels.

Everything is in the body's own frame: mm along z (up), y (to the back), x (to the patient's left), 0 at the middle of
the scan. A shape is drawn in a window round itself, so its cost does not depend on the size of the chest.
"""

import dataclasses

import numpy as np
from jaxtyping import Float32, Shaped

# The density drawn over by a vessel's fading edge.
LUNG_HU = -860.0


@dataclasses.dataclass(frozen=True)
class Canvas:
    """HU at voxel centres `z_mm x y_mm x x_mm` (each increasing in even steps); drawn upon in place."""

    hu: Float32[np.ndarray, "z y x"]
    z_mm: Float32[np.ndarray, " z"]
    y_mm: Float32[np.ndarray, " y"]
    x_mm: Float32[np.ndarray, " x"]

    def window(self, low_zyx_mm, high_zyx_mm):
        """Slices of the voxels between two corners, and these voxels' coordinates as broadcastable z, y, x."""
        return window((self.z_mm, self.y_mm, self.x_mm), low_zyx_mm, high_zyx_mm)


def window(axes_mm, low_zyx_mm, high_zyx_mm):
    """Slices of the voxels of a grid between two corners, and their coordinates as broadcastable z, y, x."""
    slices, coordinates = [], []
    for k, (axis, low, high) in enumerate(zip(axes_mm, low_zyx_mm, high_zyx_mm, strict=True)):
        step, first = axis[1] - axis[0], axis[0]
        start = min(max(int(np.ceil((low - first) / step)), 0), len(axis))
        stop = min(max(int(np.floor((high - first) / step)) + 1, start), len(axis))
        slices.append(slice(start, stop))
        coordinates.append(axis[start:stop].reshape([-1 if k == j else 1 for j in range(3)]))
    return tuple(slices), coordinates


def coverage(distance_mm: Shaped[np.ndarray, "..."], edge_mm: float) -> Shaped[np.ndarray, "..."]:
    """Share of a voxel inside a surface at this signed distance (negative inside), for an edge `edge_mm` wide."""
    return np.clip(0.5 - distance_mm / edge_mm, 0, 1)


def capsule_distance_mm(coordinates, start_zyx_mm, end_zyx_mm, start_radius_mm: float, end_radius_mm: float):
    """Signed distance to a tube with round ends whose radius changes evenly from start to end."""
    axis = [e - s for s, e in zip(start_zyx_mm, end_zyx_mm, strict=True)]
    length2 = sum(a * a for a in axis) or 1e-9
    dz, dy, dx = (c - np.float32(s) for c, s in zip(coordinates, start_zyx_mm, strict=True))
    along = dz * np.float32(axis[0] / length2) + dy * np.float32(axis[1] / length2) + dx * np.float32(axis[2] / length2)
    along = np.clip(along, 0, 1)
    dz = dz - along * np.float32(axis[0])
    dy = dy - along * np.float32(axis[1])
    dx = dx - along * np.float32(axis[2])
    along *= np.float32(start_radius_mm - end_radius_mm)
    return np.sqrt(dz * dz + dy * dy + dx * dx) + along - np.float32(start_radius_mm)


def capsule_corners(start_zyx_mm, end_zyx_mm, margin_mm: float):
    """Corners of the window that holds a tube and `margin_mm` round its axis."""
    low = [min(s, e) - margin_mm for s, e in zip(start_zyx_mm, end_zyx_mm, strict=True)]
    high = [max(s, e) + margin_mm for s, e in zip(start_zyx_mm, end_zyx_mm, strict=True)]
    return low, high


def draw_dense_tube(canvas: Canvas, start_zyx_mm, end_zyx_mm, start_radius_mm, end_radius_mm, hu, edge_mm) -> None:
    """Draws a vessel or a wall: never darkens what is there, so joints and crossings do not add up."""
    low, high = capsule_corners(start_zyx_mm, end_zyx_mm, max(start_radius_mm, end_radius_mm) + edge_mm / 2)
    slices, coordinates = canvas.window(low, high)
    share = coverage(
        capsule_distance_mm(coordinates, start_zyx_mm, end_zyx_mm, start_radius_mm, end_radius_mm), edge_mm
    )
    share *= np.float32(hu - LUNG_HU)
    share += np.float32(LUNG_HU)
    patch = canvas.hu[slices]
    np.maximum(patch, share, out=patch)


def draw_air_tube(canvas: Canvas, start_zyx_mm, end_zyx_mm, start_radius_mm, end_radius_mm, edge_mm) -> None:
    """Draws an airway's lumen: the voxels inside become air."""
    low, high = capsule_corners(start_zyx_mm, end_zyx_mm, max(start_radius_mm, end_radius_mm) + edge_mm / 2)
    slices, coordinates = canvas.window(low, high)
    share = coverage(
        capsule_distance_mm(coordinates, start_zyx_mm, end_zyx_mm, start_radius_mm, end_radius_mm), edge_mm
    )
    patch = canvas.hu[slices]
    patch += share * (np.float32(-1000) - patch)
