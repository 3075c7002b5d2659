"""The air of a chest CT that lies in the body, also where the view cuts through body and lungs.

Arrays are z, y, x of an upright scan in cubic voxels, y towards the back. All numbers here are our choice.
"""

import dataclasses
import itertools

import numpy as np
from jaxtyping import Bool, Float32, Int

from medssl_jax.imaging.pyramid import doubled, halved
from medssl_jax.imaging.shapes import Part, grown, holding, joined, opened, parts, shrunk

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
    padding = _padding(hu)
    with_rim = grown(padding, PADDING_RIM_VOXELS, axes=(1, 2))
    return ChestView(
        hu=hu,
        air=~tissue & ~with_rim,
        body=_body(tissue),
        padding=padding,
        padding_rim=with_rim & ~padding & ~tissue,
        sides=sides_beside(with_rim),
    )


def sides_beside(unseen: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """The voxels at the sides of the array, front and back, and those of `unseen` with what touches it in a slice."""
    sides = grown(unseen, 1.0, axes=(1, 2))
    sides[:, [0, -1]] = sides[:, :, [0, -1]] = True
    return sides


def air_in_body(view: ChestView) -> Bool[np.ndarray, "z y x"]:
    """Lungs, airways, gas of the bowel; not the air round the body, nor the foam in a couch.

    Air round the body runs along the sides of the view, which a whole lung meets with a cut bronchus at most. A lung
    that the view cuts is known by how it looks.
    """
    front, back = _ends(np.logical_or.reduce(view.body, axis=(0, 2)))

    def is_inner(part: Part) -> bool:
        depth = part.box[1].start + _mean_index(part.mask.sum(axis=(0, 2)))
        return front <= depth <= back and (not meets(part, view.sides) or looks_like_lung(part, view))

    return joined(filter(is_inner, parts(view.air, LEAST_AIR_VOXELS)), view.air.shape)


def meets(part: Part, faces: Bool[np.ndarray, "z y x"]) -> bool:
    """True if more of the part lies at `faces` than of a cut bronchus would."""
    return bool((part.mask & faces[part.box]).sum() >= OUTSIDE_CONTACT * part.voxels ** (2 / 3))


def looks_like_lung(part: Part, view: ChestView) -> bool:
    """True if nothing distinguishes the part of the air from a lung.

    A lung has vessels: bright voxels with lung on all four sides in their slice. It is denser than the air of a room.
    And it is thick, or lies between parts of the body; clothes between flank and couch may have the first two, too.
    """
    hu, mask, reach = view.hu[part.box], part.mask, VESSEL_REACH_VOXELS
    inner = slice(reach, -reach)
    front_and_back = mask[:, : -2 * reach, inner] & mask[:, 2 * reach :, inner]
    right_and_left = mask[:, inner, : -2 * reach] & mask[:, inner, 2 * reach :]
    is_enclosed = front_and_back & right_and_left
    enclosed = is_enclosed.sum()
    has_vessels = (is_enclosed & (hu[:, inner, inner] > VESSEL_ABOVE_HU)).sum() > LEAST_VESSEL_SHARE * enclosed
    is_denser = (mask & (hu <= DENSER_THAN_HU)).sum() < part.voxels / 2
    is_thick = enclosed > THICK_SHARE * part.voxels
    return bool(has_vessels and is_denser and (is_thick or _lies_between(part, view.body)))


def _body(tissue: Bool[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """The largest part of the tissue, without the couch; coarse, as it only tells what is in front and behind."""
    coarse = opened(halved(tissue) > 0.5, BODY_OPENING_VOXELS / 2)
    return doubled(joined(itertools.islice(parts(coarse), 1), coarse.shape), tissue.shape) > 0.5


def _padding(hu: Float32[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """True where nothing was measured: whole areas of the lowest value, which is no higher than that of air."""
    is_lowest = hu <= min(float(hu.min()) + 1, ROOM_AIR_HU)
    return holding(is_lowest, shrunk(is_lowest, 1.0))


def _lies_between(part: Part, body: Bool[np.ndarray, "z y x"]) -> bool:
    """True if most of it has body on both sides, in front and behind, or right and left."""
    z, y, x = part.box
    is_between = _between(body[z, :, x], 1)[:, y] | _between(body[z, y], 2)[:, :, x]
    return bool((part.mask & is_between).sum() > part.voxels / 2)


def _between(body: Bool[np.ndarray, "z y x"], axis: int) -> Bool[np.ndarray, "z y x"]:
    seen, seen_from_the_end = (np.logical_or.accumulate(each, axis) for each in (body, np.flip(body, axis)))
    return seen & np.flip(seen_from_the_end, axis)


def _ends(rows: Bool[np.ndarray, " n"]) -> tuple[int, int]:
    """The first and the last that is set; an empty range if none is."""
    places = np.flatnonzero(rows)
    return (int(places[0]), int(places[-1])) if len(places) else (0, -1)


def _mean_index(counts: Int[np.ndarray, " n"]) -> float:
    return float(np.arange(len(counts)) @ counts / counts.sum())
