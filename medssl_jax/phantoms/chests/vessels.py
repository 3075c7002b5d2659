"""Branching trees that fill a lung: arteries, veins, and the airways that run along the arteries.

A tree is grown from the hilum towards points spread through the lung. At each fork the points still to be served are
divided in two, and each branch heads for the middle of its share (after Kitaoka et al., J Appl Physiol 1999, and Tawhai
et al., Ann Biomed Eng 2000). Radii follow Murray's law with the exponent 3.2: that power of a radius counts the ends it
serves.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from medssl_jax.phantoms.canvas import Tubes
from medssl_jax.phantoms.fields import CoarseGrid, Field

ENDS_PER_ML = 1.6  # of each tree, at a vessel density of 1
END_RADIUS_MM = 0.42
SMALLEST_AIRWAY_MM = 0.9
LONGEST_PIECE_MM = 6.0
MURRAY_EXPONENT = 3.2

Point = Float[np.ndarray, " 3"]  # z, y, x in mm
Points = Float[np.ndarray, "_ 3"]


def grow_vessels(
    rng: np.random.Generator,
    density: float,
    grid: CoarseGrid,
    lungs: Field,
    roots_zyx_mm: Sequence[tuple[Point, Point]],
) -> tuple[Tubes, Tubes]:
    """Fills both lungs with arteries and veins, and with airways; `roots_zyx_mm` are those of right, then left lung."""
    vessels, airways = [], []
    right = np.broadcast_to(grid.coordinates()[2] < 0, lungs.shape)
    for side, (artery_root, vein_root) in zip((right, ~right), roots_zyx_mm, strict=True):
        inside = np.flatnonzero((lungs < -1.5) & side)
        count = round(density * ENDS_PER_ML * len(inside) * grid.step_mm**3 / 1000)
        if count == 0:
            continue
        artery = grow_tree(rng, artery_root, grid.points_in(inside, count, rng), END_RADIUS_MM)
        vein = grow_tree(rng, vein_root, grid.points_in(inside, count, rng), END_RADIUS_MM)
        vessels += [artery, vein]
        airways.append(along(artery, np.array([0.6, 0.7, 0.39]), SMALLEST_AIRWAY_MM, 0.75))
    inside_vessels, inside_airways = (
        Tubes.join(*(_within_lungs(tree, grid, lungs) for tree in trees)) for trees in (vessels, airways)
    )
    return inside_vessels, inside_airways


def _within_lungs(tubes: Tubes, grid: CoarseGrid, lungs: Field) -> Tubes:
    """Leaves out what a tree, which knows no walls, drew through the heart."""
    middle = (tubes.start_zyx_mm + tubes.end_zyx_mm) / 2
    return tubes[grid.at_points(lungs, middle) < 1.0 + tubes.start_radius_mm]


def grow_tree(rng: np.random.Generator, root_zyx_mm: Point, ends_zyx_mm: Points, end_radius_mm: float) -> Tubes:
    """Grows a tree from `root_zyx_mm` to every point of `ends_zyx_mm`, of radius `end_radius_mm` at its ends."""
    branches = []
    waiting = [(root_zyx_mm, ends_zyx_mm)]
    while waiting:
        start, points = waiting.pop()
        radius = end_radius_mm * len(points) ** (1 / MURRAY_EXPONENT)
        if len(points) == 1:
            stop, next_radius = points[0], 0.6 * end_radius_mm
        else:
            stop = start + rng.uniform(0.32, 0.5) * (points.mean(axis=0) - start)
            first, second = _divide(rng, points, stop)
            waiting += [(stop, first), (stop, second)]
            next_radius = end_radius_mm * max(len(first), len(second)) ** (1 / MURRAY_EXPONENT)
        branches.append((start, stop, radius, next_radius))
    return _bend(rng, Tubes(*map(np.array, zip(*branches, strict=True))))


def along(tubes: Tubes, offset_zyx: Point, smallest_radius_mm: float, scale: float) -> Tubes:
    """Tubes beside the thick part of a tree, touching it on the side of `offset_zyx`: bronchi beside their arteries."""
    thick = tubes[tubes.end_radius_mm >= smallest_radius_mm]
    start_shift = thick.start_radius_mm[:, None] * (1 + scale) * offset_zyx
    end_shift = thick.end_radius_mm[:, None] * (1 + scale) * offset_zyx
    return Tubes(
        thick.start_zyx_mm + start_shift,
        thick.end_zyx_mm + end_shift,
        scale * thick.start_radius_mm,
        scale * thick.end_radius_mm,
    )


def _divide(rng: np.random.Generator, points: Points, fork: Point) -> tuple[Points, Points]:
    """Divides points by a plane through the branch's heading, across their longest extent."""
    centred = points - points.mean(axis=0)
    heading = points.mean(axis=0) - fork
    heading = heading / (np.linalg.norm(heading) + 1e-9)
    across = centred - np.outer(centred @ heading, heading)
    _, axes = np.linalg.eigh(across.T @ across)
    # A main stem with side branches where the shares are uneven, a plain fork where they are even.
    share = rng.uniform(0.2, 0.5) if len(points) > 4 else 0.5
    order = np.argsort(across @ axes[:, -1] * rng.choice([-1, 1]), kind="stable")
    cut = min(max(round(share * len(points)), 1), len(points) - 1)
    return points[order[:cut]], points[order[cut:]]


def _bend(rng: np.random.Generator, tubes: Tubes) -> Tubes:
    """Breaks long branches into pieces along a gentle arc: vessels are never straight."""
    direction = tubes.end_zyx_mm - tubes.start_zyx_mm
    length = np.linalg.norm(direction, axis=1)
    pieces = np.clip(np.ceil(length / LONGEST_PIECE_MM).astype(int), 1, 12)
    sideways = np.cross(direction, rng.standard_normal(direction.shape))
    sideways /= np.linalg.norm(sideways, axis=1, keepdims=True) + 1e-9
    sag = (0.12 * length * rng.uniform(-1, 1, len(length)))[:, None] * sideways

    which = np.repeat(np.arange(len(tubes)), pieces)
    step = np.concatenate([np.arange(n) for n in pieces])
    share = np.stack([step, step + 1]) / pieces[which]
    along = share[..., None]
    points = tubes.start_zyx_mm[which] + along * direction[which] + 4 * along * (1 - along) * sag[which]
    radii = tubes.start_radius_mm[which] + share * (tubes.end_radius_mm - tubes.start_radius_mm)[which]
    return Tubes(*points, *radii)
