"""Pictures of a scan as radiologists hang them, and where a box lies in them.

The scan has 1 mm voxels, z towards the head, y to the back, x to the patient's left. Axial pictures
have the front above, the others the head; the patient's right is on the left, in sagittal pictures the front is. A
picture's unit of length is the voxel, that is the mm, on both axes.
"""

import dataclasses
import enum
from typing import NamedTuple

import numpy as np
from etils import epy
from jaxtyping import Float, Int16, UInt8

with epy.lazy_imports():
    from PIL import Image

LUNG_WINDOW_HU = (-1350.0, 150.0)  # width 1500, level -600
SOFT_TISSUE_WINDOW_HU = (-160.0, 240.0)  # width 400, level 40


class View(enum.Enum):
    """A direction of view: the array axis looked along, and the letters at the picture's upper and left edge."""

    AXIAL = (0, "A", "R")
    CORONAL = (1, "H", "R")
    SAGITTAL = (2, "H", "A")

    @property
    def axis(self) -> int:
        """The array axis that is looked along."""
        return self.value[0]

    @property
    def rows_axis(self) -> int:
        """The array axis that runs down the picture, or up it if `is_head_up`."""
        return 1 if self is View.AXIAL else 0

    @property
    def columns_axis(self) -> int:
        """The array axis that runs to the right."""
        return 1 if self is View.SAGITTAL else 2

    @property
    def is_head_up(self) -> bool:
        """True where rows run against z."""
        return self.rows_axis == 0


class Rectangle(NamedTuple):
    """A part of a picture, in mm from its upper left corner."""

    left: float
    top: float
    width: float
    height: float


@dataclasses.dataclass(frozen=True)
class Frame:
    """The voxels in a picture: from `low_zyx` on, `size_zyx` of them, which may reach beyond the scan."""

    view: View
    size_zyx: tuple[int, int, int]
    low_zyx: tuple[int, int, int] = (0, 0, 0)

    @property
    def width_mm(self) -> int:
        """The width of the picture."""
        return self.size_zyx[self.view.columns_axis]

    @property
    def height_mm(self) -> int:
        """The height of the picture."""
        return self.size_zyx[self.view.rows_axis]

    def rectangle(self, box_zyxdhw_voxel: Float[np.ndarray, "6"]) -> Rectangle:
        """The place of a box of the scan in the picture; parts may lie beyond its edges."""
        # Voxel i fills the picture from i to i + 1, and its centre is index i.
        low = box_zyxdhw_voxel[:3] - box_zyxdhw_voxel[3:] / 2 + 0.5 - np.array(self.low_zyx)
        depth, height, width = box_zyxdhw_voxel[3:]
        rows, columns = self.view.rows_axis, self.view.columns_axis
        extent = (depth, height, width)
        top = self.height_mm - low[rows] - extent[rows] if self.view.is_head_up else low[rows]
        return Rectangle(float(low[columns]), float(top), float(extent[columns]), float(extent[rows]))


def frame_round(view: View, centre_zyx: Float[np.ndarray, "3"], reach_mm: int) -> Frame:
    """A square with `reach_mm` voxels on each side of the one that holds the centre."""
    z, y, x = (np.rint(centre_zyx).astype(int) - reach_mm).tolist()
    return Frame(view, (2 * reach_mm + 1,) * 3, (z, y, x))


def draw_slice(
    hu_zyx: Int16[np.ndarray, "z y x"],
    frame: Frame,
    index: int,
    *,
    window_hu: tuple[float, float] = LUNG_WINDOW_HU,
    pixels_per_mm: int = 1,
) -> UInt8[np.ndarray, "height width"]:
    """The slice `index` along the view's axis in a window of HU; black beyond the scan."""
    axes = frame.view.rows_axis, frame.view.columns_axis
    axis = frame.view.axis
    plane = np.take(hu_zyx, int(np.clip(index, 0, hu_zyx.shape[axis] - 1)), axis).astype(np.float32)
    low = np.array([frame.low_zyx[each] for each in axes])
    high = low + [frame.size_zyx[each] for each in axes]
    rows, columns = (np.arange(a, b) for a, b in zip(low, high, strict=True))
    # Beyond the scan its edge goes on until it is blacked out, so that smoothing does not darken the edge.
    inside = np.outer(*((n >= 0) & (n < length) for n, length in zip((rows, columns), plane.shape, strict=True)))
    hu = plane[np.ix_(rows.clip(0, plane.shape[0] - 1), columns.clip(0, plane.shape[1] - 1))]
    if frame.view.is_head_up:
        hu, inside = hu[::-1], inside[::-1]
    if pixels_per_mm > 1:
        size = (hu.shape[1] * pixels_per_mm, hu.shape[0] * pixels_per_mm)
        hu = np.asarray(Image.fromarray(np.ascontiguousarray(hu)).resize(size, Image.Resampling.BICUBIC))
        inside = inside.repeat(pixels_per_mm, 0).repeat(pixels_per_mm, 1)
    return np.where(inside, np.rint(windowed(hu, window_hu) * 255), 0).astype(np.uint8)


def windowed(hu: Float[np.ndarray, "*shape"], window_hu: tuple[float, float]) -> Float[np.ndarray, "*shape"]:
    """HU as brightness: 0 at the lower end of the window and below, 1 at its upper end and above."""
    low, high = window_hu
    return np.clip((hu - low) / (high - low), 0, 1)
