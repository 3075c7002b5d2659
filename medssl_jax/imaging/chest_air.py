"""The air of a chest CT that lies in the body, also where the view cuts through body and lungs.

Arrays are z, y, x of an upright scan in cubic voxels, y towards the back. All numbers here are our choice.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32

from medssl_jax.imaging.shapes import ball, grown, labelled_parts, shrunk

TISSUE_ABOVE_HU = -400
BODY_OPENING_VOXELS = 2.5  # takes the couch off the back
ROOM_AIR_HU = -1000
PADDING_RIM_VOXELS = 2.0
LEAST_AIR_VOXELS = 1000
OUTSIDE_CONTACT = 0.3
# What tells a lung that the view cuts from air round the body.
VESSEL_REACH_VOXELS = 3
VESSEL_ABOVE_HU = -700
LEAST_VESSEL_SHARE = 0.01
DENSER_THAN_HU = -970  # the room's air, which scanners measure down to about here
THICK_SHARE = 0.45


@dataclasses.dataclass(frozen=True, eq=False)
class ChestView:
    """A chest in the view of the scanner, with its tissue, air and padding told apart.

    `air` ends before `padding_rim`: where padding meets tissue, the voxels between the two look like a layer of air.
    `sides` are the voxels at the sides of the array, front and back, and at padding with its rim.
    """

    hu: Float32[np.ndarray, "z y x"]
    air: Bool[np.ndarray, "z y x"]
    body: Bool[np.ndarray, "z y x"]
    padding: Bool[np.ndarray, "z y x"]
    padding_rim: Bool[np.ndarray, "z y x"]
    sides: Bool[np.ndarray, "z y x"]


def view_of_chest(hu: Float32[np.ndarray, "z y x"]) -> ChestView:
    """Tells body, air and padding apart."""
    tissue = hu > TISSUE_ABOVE_HU
    opened = grown(shrunk(tissue, ball(BODY_OPENING_VOXELS)), ball(BODY_OPENING_VOXELS))
    padding = _padding(hu)
    with_rim = grown(padding, ball(PADDING_RIM_VOXELS, axes=(1, 2)))
    return ChestView(
        hu=hu,
        air=~tissue & ~with_rim,
        body=labelled_parts(opened) == 1,
        padding=padding,
        padding_rim=with_rim & ~padding & ~tissue,
        sides=sides_beside(with_rim),
    )


def sides_beside(unseen: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """The voxels at the sides of the array, front and back, and those of `unseen` with what touches it in a slice."""
    sides = grown(unseen, ball(1.0, axes=(1, 2)))
    sides[:, [0, -1]] = sides[:, :, [0, -1]] = True
    return sides


def air_in_body(view: ChestView) -> Bool[np.ndarray, "z y x"]:
    """Lungs, airways, gas of the bowel; not the air round the body, nor the foam in a couch.

    Air round the body runs along the sides of the view, which a whole lung meets with a cut bronchus at most. A lung
    that the view cuts is known by how it looks.
    """
    labels = labelled_parts(view.air)
    voxels_of_row = np.stack([np.bincount(row.ravel(), minlength=labels.max() + 1) for row in labels.swapaxes(0, 1)])
    voxels = voxels_of_row.sum(axis=0)
    middle_row = np.arange(len(voxels_of_row)) @ voxels_of_row / np.maximum(voxels, 1)
    front, back = _ends(np.logical_or.reduce(view.body, axis=(0, 2)))
    is_inner = ~meets(labels, view.sides) | looks_like_lung(labels, view)
    is_inner &= (voxels >= LEAST_AIR_VOXELS) & (front <= middle_row) & (middle_row <= back)
    is_inner[0] = False
    return is_inner[labels]


def meets(labels: Int32[np.ndarray, "z y x"], faces: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, " n"]:
    """True for each label of which more lies at `faces` than of a cut bronchus would."""
    voxels = np.bincount(labels.ravel())
    return np.bincount(labels[faces], minlength=len(voxels)) >= OUTSIDE_CONTACT * np.maximum(voxels, 1) ** (2 / 3)


def looks_like_lung(labels: Int32[np.ndarray, "z y x"], view: ChestView) -> Bool[np.ndarray, " n"]:
    """True for each part of the air that nothing distinguishes from a lung.

    A lung has vessels: bright voxels with lung on all four sides in their slice. It is denser than the air of a room.
    And it is thick, or lies between parts of the body; clothes between flank and couch may have the first two, too.
    """
    voxels = np.bincount(labels.ravel())

    def count(chosen: Int32[np.ndarray, " _"]) -> Int[np.ndarray, " _labels"]:
        return np.bincount(chosen, minlength=len(voxels))

    reach = VESSEL_REACH_VOXELS
    inner = slice(reach, -reach)
    front, back = labels[:, : -2 * reach, inner], labels[:, 2 * reach :, inner]
    right, left = labels[:, inner, : -2 * reach], labels[:, inner, 2 * reach :]
    is_enclosed = (front == back) & (front == right) & (front == left)
    enclosed = count(front[is_enclosed])
    bright = count(front[is_enclosed & (view.hu[:, inner, inner] > VESSEL_ABOVE_HU)])
    has_vessels = bright > LEAST_VESSEL_SHARE * enclosed
    is_denser = count(labels[view.hu <= DENSER_THAN_HU]) < voxels / 2
    is_thick = enclosed > THICK_SHARE * voxels
    is_between = count(labels[_between(view.body)]) > voxels / 2
    return has_vessels & is_denser & (is_thick | is_between)


def _padding(hu: Float32[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """True where nothing was measured: whole areas of the lowest value, which is no higher than that of air."""
    is_lowest = hu <= min(float(hu.min()) + 1, ROOM_AIR_HU)
    areas = labelled_parts(is_lowest)
    is_area = np.zeros(areas.max() + 1, bool)
    is_area[areas[shrunk(is_lowest, ball(1.0))]] = True
    is_area[0] = False
    return is_area[areas]


def _between(body: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """True for voxels with body on both sides, in front and behind, or right and left."""

    def beyond(axis: int) -> Bool[np.ndarray, "z y x"]:
        return np.logical_or.accumulate(body, axis) & np.flip(np.logical_or.accumulate(np.flip(body, axis), axis), axis)

    return beyond(1) | beyond(2)


def _ends(rows: Bool[np.ndarray, " n"]) -> tuple[int, int]:
    """The first and the last that is set; an empty range if none is."""
    places = np.flatnonzero(rows)
    return (int(places[0]), int(places[-1])) if len(places) else (0, -1)
