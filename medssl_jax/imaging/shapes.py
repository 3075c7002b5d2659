"""Shapes in binary arrays: grown, opened, closed, filled, and in parts.

What lies beyond an array takes part in nothing: no shape is taken off where the array ends. All is done with a few
passes along each axis over arrays of the narrowest type, so that a whole chest costs milliseconds.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from etils import epy
from jaxtyping import Bool, Integer, UInt

from medssl_jax.imaging.pyramid import doubled, halved

with epy.lazy_imports():
    from scipy import ndimage

Box = tuple[slice, slice, slice]

# A larger ball closes on a grid half as fine.
ROUGH_ABOVE_VOXELS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """A mask in the box that holds it."""

    box: Box
    mask: Bool[np.ndarray, "z y x"]
    voxels: int


def grown(
    mask: Bool[np.ndarray, "z y x"], radius_voxels: float, *, axes: Sequence[int] = (0, 1, 2)
) -> Bool[np.ndarray, "z y x"]:
    """Dilation by a ball: all voxels whose centres are at most so far from one of the mask's; only along `axes`."""
    if not mask.any():
        return mask.copy()
    return _squared_distance(mask, radius_voxels, axes) <= radius_voxels**2


def shrunk(
    mask: Bool[np.ndarray, "z y x"], radius_voxels: float, *, axes: Sequence[int] = (0, 1, 2)
) -> Bool[np.ndarray, "z y x"]:
    """Erosion by a ball: the voxels that are farther than so from all outside the mask."""
    return _squared_distance(~mask, radius_voxels, axes) > radius_voxels**2


def opened(mask: Bool[np.ndarray, "z y x"], radius_voxels: float) -> Bool[np.ndarray, "z y x"]:
    """The mask without what is thinner than a ball."""
    return grown(shrunk(mask, radius_voxels), radius_voxels)


def closed(mask: Bool[np.ndarray, "z y x"], radius_voxels: float) -> Bool[np.ndarray, "z y x"]:
    """The mask with its gaps that a ball does not fit into."""
    return shrunk(grown(mask, radius_voxels), radius_voxels)


def closed_roughly(mask: Bool[np.ndarray, "z y x"], radius_voxels: float) -> Bool[np.ndarray, "z y x"]:
    """Closing by a large ball at little cost: true to a few voxels."""
    if radius_voxels <= ROUGH_ABOVE_VOXELS:
        return closed(mask, radius_voxels)
    return mask | (doubled(closed_roughly(halved(mask) > 0.5, radius_voxels / 2), mask.shape) > 0.5)


def filled(mask: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """The mask with its holes: the parts of what is outside it that meet no side of the array."""
    sides = np.ones_like(mask)
    sides[1:-1, 1:-1, 1:-1] = False
    return ~holding(~mask, sides & ~mask)


def holding(mask: Bool[np.ndarray, "z y x"], seeds: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """The parts of the mask, whose voxels share faces, that hold one of `seeds`, which lie in it."""
    if not seeds.any():
        return np.zeros_like(mask)
    labels, count = ndimage.label(mask)
    is_held = np.zeros(count + 1, bool)
    is_held[labels[seeds]] = True
    return is_held[labels]


def parts(mask: Bool[np.ndarray, "z y x"], least_voxels: int = 1) -> Iterator[Part]:
    """Parts of at least so many voxels, which share faces: the largest first, those of one size in their order."""
    return labelled_parts(ndimage.label(mask)[0], least_voxels)


def labelled_parts(labels: Integer[np.ndarray, "z y x"], least_voxels: int = 1) -> Iterator[Part]:
    """As `parts`, where labels other than 0 tell the parts from each other."""
    voxels = np.bincount(labels.ravel())[1:]
    boxes = ndimage.find_objects(labels)
    for place in np.argsort(-voxels, kind="stable")[: (voxels >= least_voxels).sum()]:
        box = boxes[place]
        yield Part(box, labels[box] == place + 1, int(voxels[place]))


def joined(of: Iterable[Part], shape: tuple[int, ...]) -> Bool[np.ndarray, "z y x"]:
    """The mask that these parts are of."""
    mask = np.zeros(shape, bool)
    for part in of:
        mask[part.box] |= part.mask
    return mask


def widened(part: Part, margin_voxels: int, shape: tuple[int, ...]) -> Part:
    """The part in a box with so much around it as lies in an array of this shape."""
    low = [min(along.start, margin_voxels) for along in part.box]
    high = [min(size - along.stop, margin_voxels) for along, size in zip(part.box, shape, strict=True)]
    z, y, x = (slice(along.start - a, along.stop + b) for along, a, b in zip(part.box, low, high, strict=True))
    return Part((z, y, x), np.pad(part.mask, list(zip(low, high, strict=True))), part.voxels)


def _squared_distance(
    mask: Bool[np.ndarray, "z y x"], radius_voxels: float, axes: Sequence[int]
) -> UInt[np.ndarray, "z y x"]:
    """Squared distance to the mask in voxels, exact up to the radius; what lies farther has a larger value.

    Squares add up axis by axis (Felzenszwalb and Huttenlocher, Distance transforms of sampled functions, 2012); the
    few steps of a small radius are tried one by one, on a byte a voxel.
    """
    far, reach = int(radius_voxels**2) + 1, int(radius_voxels)
    squares = (~mask).astype(np.min_scalar_type(far + reach**2)) * far
    farther = np.empty_like(squares)
    for axis in axes:
        nearest = squares.copy()
        to, of = np.moveaxis(nearest, axis, 0), np.moveaxis(farther, axis, 0)
        for step in range(1, reach + 1):
            np.add(squares, step**2, out=farther)
            np.minimum(to[step:], of[:-step], out=to[step:])
            np.minimum(to[:-step], of[step:], out=to[:-step])
        squares = nearest
    return squares
