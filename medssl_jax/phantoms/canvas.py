"""Drawing with soft edges on a patch of voxels.

Everything is in the body's own frame: mm along z (up), y (to the back), x (to the patient's left), 0 at the middle of
the scan. A shape is drawn in a window round itself, so its cost does not depend on the size of the chest.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Shaped

LUNG_HU = -860.0  # the density drawn over by a vessel's fading edge
AIR_HU = -1000.0

Place = Sequence[Any] | Shaped[np.ndarray, " 3"]  # z, y, x in mm
Axes = tuple[Float32[np.ndarray, " z"], Float32[np.ndarray, " y"], Float32[np.ndarray, " x"]]
Slices = tuple[slice, slice, slice]
Window = tuple[Slices, Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class Canvas:
    """HU at voxel centres, which lie along z, y and x in even steps upwards; drawn upon in place."""

    hu: Float32[np.ndarray, "z y x"]
    axes_mm: Axes


@dataclasses.dataclass(frozen=True)
class Tubes:
    """Tapering tubes with round ends."""

    start_zyx_mm: Float[np.ndarray, "n 3"]
    end_zyx_mm: Float[np.ndarray, "n 3"]
    start_radius_mm: Float[np.ndarray, " n"]
    end_radius_mm: Float[np.ndarray, " n"]

    @classmethod
    def join(cls, *parts: "Tubes") -> "Tubes":
        """All tubes of several as one; none of none."""
        none = cls(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0))
        columns = zip(*(vars(tubes).values() for tubes in (none, *parts)), strict=True)
        return cls(*map(np.concatenate, columns))

    def __len__(self) -> int:
        return len(self.start_radius_mm)

    def __getitem__(self, chosen: Any) -> "Tubes":
        return Tubes(*(column[chosen] for column in vars(self).values()))

    def rows(self) -> Iterator[tuple[list[float], list[float], float, float]]:
        """Yields start, end and radii of each, as plain floats: those of NumPy cost more than a small vessel."""
        return zip(*(column.tolist() for column in vars(self).values()), strict=True)


def window(axes_mm: Sequence[Any], low_zyx_mm: Place, high_zyx_mm: Place) -> Window:
    """Slices of the voxels of a grid between two corners, and their coordinates as broadcastable z, y, x."""
    slices, coordinates = [], []
    for k, (axis, low, high) in enumerate(zip(axes_mm, low_zyx_mm, high_zyx_mm, strict=True)):
        step, first = axis[1] - axis[0], axis[0]
        start = min(max(int(np.ceil((low - first) / step)), 0), len(axis))
        stop = min(max(int(np.floor((high - first) / step)) + 1, start), len(axis))
        slices.append(slice(start, stop))
        coordinates.append(axis[start:stop].reshape([-1 if k == j else 1 for j in range(3)]))
    return (slices[0], slices[1], slices[2]), coordinates


def coverage(distance_mm: Shaped[np.ndarray, "..."], edge_mm: float) -> Shaped[np.ndarray, "..."]:
    """Share of a voxel inside a surface at this signed distance (negative inside), for an edge `edge_mm` wide."""
    return np.clip(0.5 - distance_mm / edge_mm, 0, 1)


def capsule_distance_mm(
    coordinates: Sequence[Any], start_zyx_mm: Place, end_zyx_mm: Place, start_radius_mm: float, end_radius_mm: float
) -> Shaped[np.ndarray, "..."]:
    """Signed distance to a tube with round ends whose radius changes evenly from start to end."""
    axis = [e - s for s, e in zip(start_zyx_mm, end_zyx_mm, strict=True)]
    length2 = sum(a * a for a in axis) or 1e-9
    from_start = [c - np.float32(s) for c, s in zip(coordinates, start_zyx_mm, strict=True)]
    shares = [offset * np.float32(a / length2) for offset, a in zip(from_start, axis, strict=True)]
    along = np.clip(shares[0] + shares[1] + shares[2], 0, 1)
    dz, dy, dx = (offset - along * np.float32(a) for offset, a in zip(from_start, axis, strict=True))
    narrower = along * np.float32(start_radius_mm - end_radius_mm)
    return np.sqrt(dz * dz + dy * dy + dx * dx) + narrower - np.float32(start_radius_mm)


def distances_mm(axes_mm: Axes, tubes: Tubes, margin_mm: float) -> Iterator[tuple[Slices, np.ndarray]]:
    """Yields for each tube a window that holds it and `margin_mm` round it, and the distances to it there."""
    for start, end, *radii in tubes.rows():
        reach = max(radii) + margin_mm
        low = [min(s, e) - reach for s, e in zip(start, end, strict=True)]
        high = [max(s, e) + reach for s, e in zip(start, end, strict=True)]
        slices, coordinates = window(axes_mm, low, high)
        yield slices, capsule_distance_mm(coordinates, start, end, *radii)


def draw_dense(canvas: Canvas, tubes: Tubes, hu: float, edge_mm: float) -> None:
    """Draws vessels or walls: they never darken what is there, so joints and crossings do not add up."""
    for slices, distance in distances_mm(canvas.axes_mm, tubes, edge_mm / 2):
        patch, share = canvas.hu[slices], coverage(distance, edge_mm)
        np.maximum(patch, share * np.float32(hu - LUNG_HU) + np.float32(LUNG_HU), out=patch)


def draw_air(canvas: Canvas, tubes: Tubes, edge_mm: float) -> None:
    """Draws airways' lumen: the voxels inside become air."""
    for slices, distance in distances_mm(canvas.axes_mm, tubes, edge_mm / 2):
        patch = canvas.hu[slices]
        patch += coverage(distance, edge_mm) * (np.float32(AIR_HU) - patch)
