"""The image that a scanner makes of a patient: grid, blur, noise with the grain of a reconstruction, field of view."""

import dataclasses

import numpy as np
from etils import epy
from jaxtyping import Float32, Int16, Shaped

from medssl_jax.imaging.geometry import IDENTITY_DIRECTION, Grid
from medssl_jax.phantoms.canvas import Axes
from medssl_jax.phantoms.chests.spec import Luna16Phantom

with epy.lazy_imports():
    from scipy import ndimage

FLIPPED_DIRECTION = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
MATRIX = 512  # a reconstruction has at most this many pixels a side, so wide chests have wide pixels
THICKEST_PLANE_MM = 1.0
HU_RANGE = (-1024, 3071)
NOISE_REFERENCE_MM = 1.5
TABLE_HU = -150.0


@dataclasses.dataclass(frozen=True)
class Scanner:
    """One scan's settings. Its rows and columns run towards back and left before `flipped` turns them round."""

    spacing_zyx_mm: tuple[float, float, float]
    size_zyx: tuple[int, int, int]
    centre_xyz_mm: tuple[float, float, float]
    flipped: bool
    padding_hu: int | None
    blur_mm: float
    noise_hu: float
    grain_mm: float

    @property
    def planes_per_slice(self) -> int:
        """A slice is the mean of so many planes, which gives thick slices their partial volume."""
        return int(np.ceil(self.spacing_zyx_mm[0] / THICKEST_PLANE_MM))

    @property
    def axes_mm(self) -> Axes:
        """Voxel centres along z, y, x in the body's frame."""
        z, y, x = map(_axis, self.size_zyx, self.spacing_zyx_mm)
        return z, y, x

    @property
    def plane_z_mm(self) -> Float32[np.ndarray, " planes"]:
        """The planes that are averaged into slices."""
        return _axis(self.size_zyx[0] * self.planes_per_slice, self.spacing_zyx_mm[0] / self.planes_per_slice)

    @property
    def grid(self) -> Grid:
        """Where the voxels of the finished scan lie in the world."""
        first_zyx = np.array([axis[0] for axis in self.axes_mm], np.float64)
        if self.flipped:
            first_zyx[1:] *= -1
        origin = np.array(self.centre_xyz_mm) + first_zyx[::-1]
        direction = FLIPPED_DIRECTION if self.flipped else IDENTITY_DIRECTION
        return Grid(self.size_zyx, self.spacing_zyx_mm, tuple(np.round(origin, 6).tolist()), direction)


def draw_scanner(spec: Luna16Phantom, rng: np.random.Generator) -> Scanner:
    """Draws the settings of one scan."""
    low, high = spec.in_plane_spacing_mm
    # As in a hospital: the matrix is fixed, so a wide field of view cannot have the finest pixels.
    low = min(max(low, max(spec.chest_zyx_mm[1:]) / MATRIX), high)
    in_plane = round(float(rng.uniform(low, high)), 6)
    slices = round(float(np.exp(rng.uniform(*np.log(spec.slice_spacing_mm)))), 2)
    slices = min(max(slices, spec.slice_spacing_mm[0]), spec.slice_spacing_mm[1])
    spacing = (slices, in_plane, in_plane)
    planes, rows, columns = (int(side / step) for side, step in zip(spec.chest_zyx_mm, spacing, strict=True))
    centre_x, centre_y, centre_z = rng.uniform((-30, -200, -400), (30, -100, 100)).round(3).tolist()
    sharp = rng.uniform(0, 1)
    return Scanner(
        spacing_zyx_mm=spacing,
        size_zyx=(planes, rows, columns),
        centre_xyz_mm=(centre_x, centre_y, centre_z),
        flipped=bool(rng.random() < spec.share_flipped),
        padding_hu=int(rng.choice((-2048, -3024))) if rng.random() < spec.share_padded else None,
        blur_mm=0.55 - 0.2 * sharp,
        # Thin slices catch fewer photons, sharp kernels amplify noise.
        noise_hu=spec.noise_hu * (0.75 + 0.5 * sharp) * (NOISE_REFERENCE_MM / slices) ** 0.3,
        grain_mm=0.75 - 0.2 * sharp,
    )


def reconstruct(
    scanner: Scanner, tissue_hu: Float32[np.ndarray, "planes y x"], rng: np.random.Generator
) -> Int16[np.ndarray, "z y x"]:
    """Blurs, averages planes into slices, adds noise and table, pads outside the field of view.

    There may be more planes in a slice than `planes_per_slice`: those of a scan with thinner slices.
    """
    spacing, planes = scanner.spacing_zyx_mm, len(tissue_hu) // scanner.size_zyx[0]
    plane_mm = spacing[0] / planes
    sigma = [0.35 / plane_mm, scanner.blur_mm / spacing[1], scanner.blur_mm / spacing[2]]
    blurred = ndimage.gaussian_filter(tissue_hu, sigma, mode="nearest", truncate=3)
    hu = blurred.reshape(scanner.size_zyx[0], planes, *scanner.size_zyx[1:]).mean(axis=1, dtype=np.float32)
    np.maximum(hu, _table_hu(scanner), out=hu)
    hu += _noise(scanner, rng)
    hu = np.clip(np.rint(hu), *HU_RANGE).astype(np.int16)
    if scanner.padding_hu is not None:
        _, y, x = scanner.axes_mm
        radius = max(-y[0], -x[0]) + spacing[1] / 2
        hu[:, y[:, None] ** 2 + x[None, :] ** 2 > radius**2] = scanner.padding_hu
    return as_stored(scanner, hu)


def as_stored(scanner: Scanner, array: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "z y x"]:
    """Turns an array whose rows and columns run towards back and left into the order on disk."""
    return np.ascontiguousarray(array[:, ::-1, ::-1]) if scanner.flipped else array


def _axis(count: int, step: float) -> Float32[np.ndarray, " count"]:
    return ((np.arange(count) - (count - 1) / 2) * step).astype(np.float32)


def _noise(scanner: Scanner, rng: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """Noise whose grains are a little wider than a pixel and whose slow part is missing, as after a ramp filter."""
    dz, dy, dx = scanner.spacing_zyx_mm
    grain_mm = np.array([0.55, scanner.grain_mm, scanner.grain_mm])
    slow_mm = np.array([0, 2.2 * scanner.grain_mm, 2.2 * scanner.grain_mm])
    noise = rng.standard_normal(scanner.size_zyx, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, grain_mm / (dz, dy, dx), mode="wrap", truncate=3)
    noise -= 0.5 * ndimage.gaussian_filter(noise, slow_mm / (dz, dy, dx), mode="wrap", truncate=2)
    noise *= np.float32(scanner.noise_hu) / (noise.std() + np.float32(1e-6))
    _, y, x = scanner.axes_mm
    # The middle of the body is where most photons are lost.
    depth = np.exp(-((y[:, None] / y[0]) ** 2) - (x[None, :] / x[0]) ** 2)
    noise *= (0.75 + 0.4 * depth).astype(np.float32)
    return noise


def _table_hu(scanner: Scanner) -> Float32[np.ndarray, "y x"]:
    _, y, x = scanner.axes_mm
    half_y, half_x = -float(y[0]), -float(x[0])
    curve = half_y * 0.93 - 0.10 * half_y * (x / half_x) ** 2
    distance = np.abs(y[:, None] - curve[None, :]) - np.float32(0.8)
    return np.where(distance < 0, np.float32(TABLE_HU), np.float32(-5000))
