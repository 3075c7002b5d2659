"""Nodules and what looks like them: where they lie, how they are shaped, how they are drawn."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epy
from jaxtyping import Float, Float32, Shaped

from medssl_jax.phantoms.canvas import LUNG_HU, Canvas, Window, coverage, window
from medssl_jax.phantoms.chests.anatomy import Anatomy
from medssl_jax.phantoms.chests.diameters import draw_diameters_mm
from medssl_jax.phantoms.chests.spec import Luna16Phantom

with epy.lazy_imports():
    from scipy.spatial import transform

NODULE_KINDS = ("solid", "part-solid", "ground-glass")
CONFOUNDER_KINDS = ("scar", "granuloma", "vessel bulb", "tiny nodule")
CONFOUNDER_SHARES = (0.35, 0.25, 0.25, 0.15)
MOST_NODULES = 12
SOLID_HU, HAZY_HU = (-30, 60), (-650, -400)
# Of LUNA16's 35,192 excluded findings 30,513 have no diameter (-1).
SHARE_WITHOUT_DIAMETER = 30513 / 35192
NO_DIAMETER_MM = -1.0
GAP_MM = 3.0
BUMPS = 10

Place = Float[np.ndarray, " 3"]
HalfLengths = Sequence[float] | Place


@dataclasses.dataclass(frozen=True)
class Blob:
    """A closed, uneven surface round a centre: an ellipsoid with smooth bumps, of the volume of a sphere.

    In direction `n` its radius is that of the ellipsoid times `1 + sum(heights * cos(waves @ n + phases))`.
    """

    centre_zyx_mm: Place
    axes: Float[np.ndarray, "3 3"]  # rows: unit axes divided by their half lengths in mm
    waves: Float[np.ndarray, "bumps 3"]
    phases: Float[np.ndarray, " bumps"]
    heights: Float[np.ndarray, " bumps"]

    def radius_mm(
        self, dz: Shaped[np.ndarray, "..."], dy: Shaped[np.ndarray, "..."], dx: Shaped[np.ndarray, "..."]
    ) -> Float[np.ndarray, "..."]:
        """Radius in the direction of each unit vector."""
        ellipsoid = sum((a[0] * dz + a[1] * dy + a[2] * dx) ** 2 for a in self.axes)
        bumps: Any = 1.0
        for wave, phase, height in zip(self.waves, self.phases, self.heights, strict=True):
            bumps = bumps + height * np.cos(wave[0] * dz + wave[1] * dy + wave[2] * dx + phase)
        return np.asarray(bumps / np.sqrt(ellipsoid))

    @property
    def reach_mm(self) -> float:
        """No point of the surface is farther from the centre."""
        return float((1 + np.abs(self.heights).sum()) / np.linalg.norm(self.axes, axis=1).min())


@dataclasses.dataclass(frozen=True)
class Finding:
    """A nodule or a look-alike, in the body's frame."""

    kind: str
    centre_zyx_mm: Place
    diameter_mm: float
    blob: Blob
    hu: float
    core_hu: float  # of the inner half of a part-solid nodule; elsewhere as `hu`
    edge_mm: float


def plan_findings(
    spec: Luna16Phantom, anatomy: Anatomy, rng: np.random.Generator
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Draws the nodules of one patient, then the look-alikes; none touches another."""
    # Geometric: half of LUNA16's scans with nodules have one, a quarter two, and so on.
    count = min(int(rng.geometric(1 / spec.nodules_per_scan)), MOST_NODULES)
    count = 0 if rng.random() < spec.share_without_nodules else count
    shares = (spec.share_solid, spec.share_part_solid, spec.share_ground_glass)
    kinds = rng.choice(NODULE_KINDS, size=count, p=shares)
    # Large ones first: they need the most room.
    diameters = np.sort(draw_diameters_mm(rng, count, spec.diameter_limit_mm))[::-1]
    places = _Places(spec, anatomy, rng)
    nodules = []
    for kind, diameter in zip(kinds, diameters, strict=True):
        centre = places.find(diameter / 2, rng.choice(("free", "vessel", "pleura"), p=(0.5, 0.25, 0.25)))
        if centre is not None:
            nodules.append(_nodule(spec, rng, str(kind), float(diameter), centre))

    kinds = rng.choice(CONFOUNDER_KINDS, size=rng.poisson(spec.confounders_per_scan), p=CONFOUNDER_SHARES)
    confounders = [_confounder(spec, anatomy, rng, str(kind), places) for kind in kinds]
    order = rng.permutation(len(nodules))
    return tuple(nodules[i] for i in order), tuple(each for each in confounders if each is not None)


def draw_finding(canvas: Canvas, finding: Finding) -> None:
    """Draws over the lung; what is denser already, a vessel or the chest wall, stays."""
    (slices, (z, y, x)), distance, radius = around(finding.blob, canvas.axes_mm)
    if distance.size == 0:
        return
    hu = np.full_like(distance, finding.hu)
    if finding.core_hu != finding.hu:
        hu += coverage(distance - 0.55 * radius, 2.0) * np.float32(finding.core_hu - finding.hu)
    elif finding.kind == "ground-glass":
        hu += 25 * np.cos(1.7 * z + 1.1 * y) * np.cos(1.3 * x - 0.9 * y)
    patch = canvas.hu[slices]
    share = coverage(distance - radius, finding.edge_mm)
    patch += (share * np.maximum(hu - patch, 0)).astype(np.float32)


def around(
    blob: Blob, axes_mm: Sequence[Float32[np.ndarray, " _"]]
) -> tuple[Window, Float32[np.ndarray, "z y x"], Float32[np.ndarray, "z y x"]]:
    """A window of a grid that holds a blob; there, distances from its centre, and its radius in each direction."""
    margin = blob.reach_mm + 2
    slices, coordinates = window(axes_mm, blob.centre_zyx_mm - margin, blob.centre_zyx_mm + margin)
    dz, dy, dx = (c - np.float32(m) for c, m in zip(coordinates, blob.centre_zyx_mm, strict=True))
    distance = np.sqrt(dz * dz + dy * dy + dx * dx)
    inverse = 1 / np.maximum(distance, np.float32(1e-3))
    radius = blob.radius_mm(dz * inverse, dy * inverse, dx * inverse)
    return (slices, coordinates), distance, np.asarray(radius, np.float32)


def _blob(
    rng: np.random.Generator, centre: Place, diameter: float, half_lengths: HalfLengths, bumpiness: float
) -> Blob:
    """A blob of a sphere's volume whose centre of mass is `centre`."""
    axes = transform.Rotation.random(random_state=rng).as_matrix() / np.asarray(half_lengths)[:, None]
    waves = rng.standard_normal((BUMPS, 3))
    waves *= rng.uniform(2.5, 6, (BUMPS, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
    blob = Blob(
        centre, axes, waves, rng.uniform(0, 2 * np.pi, BUMPS), bumpiness * rng.standard_normal(BUMPS) / np.sqrt(BUMPS)
    )
    directions = _even_directions(400)
    radius = blob.radius_mm(*directions.T)
    grow = (diameter / 2) / np.mean(radius**3) ** (1 / 3)
    radius = radius * grow
    shift = 0.75 * np.mean(radius[:, None] ** 4 * directions, axis=0) / np.mean(radius**3)
    return dataclasses.replace(blob, axes=axes / grow, centre_zyx_mm=centre - shift)


def _even_directions(count: int) -> Float[np.ndarray, "count 3"]:
    """Unit vectors spread evenly (a Fibonacci lattice)."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    ring = np.sqrt(1 - height**2)
    return np.stack([height, ring * np.cos(turn), ring * np.sin(turn)], axis=1)


def _nodule(spec: Luna16Phantom, rng: np.random.Generator, kind: str, diameter: float, centre: Place) -> Finding:
    blob = _blob(rng, centre, diameter, rng.uniform(0.8, 1.2, 3), rng.uniform(0.08, 0.26))
    # As dense as the vessels round it, so that density alone does not tell them apart.
    solid, hazy = (float(LUNG_HU + spec.nodule_contrast * (rng.uniform(*hu) - LUNG_HU)) for hu in (SOLID_HU, HAZY_HU))
    hu = solid if kind == "solid" else hazy
    core = solid if kind == "part-solid" else hu
    return Finding(kind, centre, diameter, blob, hu, core, edge_mm=0.8 if kind == "solid" else 2.0)


def _confounder(
    spec: Luna16Phantom, anatomy: Anatomy, rng: np.random.Generator, kind: str, places: "_Places"
) -> Finding | None:
    half_lengths: HalfLengths
    if kind == "scar":
        diameter, half_lengths, hu = rng.uniform(4, 8), (0.22, rng.uniform(0.7, 1.3), 1.3), rng.uniform(-250, 20)
        where, bumpiness = "pleura", 0.1
    elif kind == "granuloma":
        diameter, half_lengths, hu = rng.uniform(2, 5), rng.uniform(0.9, 1.1, 3), rng.uniform(350, 1000)
        where, bumpiness = "free", 0.05
    elif kind == "vessel bulb":
        diameter, half_lengths, hu = rng.uniform(2.5, 4.5), (0.8, 0.8, rng.uniform(1.3, 2)), anatomy.blood_hu
        where, bumpiness = "vessel", 0.05
    else:
        diameter, half_lengths, hu = rng.uniform(1.5, 2.9), rng.uniform(0.8, 1.2, 3), rng.uniform(-100, 60)
        where, bumpiness = "free", 0.08
    diameter = min(diameter, spec.diameter_limit_mm)
    centre = places.find(0.5 * diameter, where)
    if centre is None:
        return None
    blob = _blob(rng, centre, diameter, half_lengths, bumpiness)
    return Finding(kind, centre, float(diameter), blob, float(hu), float(hu), edge_mm=0.8)


class _Places:
    """Finds room in the lungs, away from what was placed before."""

    def __init__(self, spec: Luna16Phantom, anatomy: Anatomy, rng: np.random.Generator):
        self._anatomy, self._rng = anatomy, rng
        # Less than a slice may be missing at either end.
        self._half_height_mm = (spec.chest_zyx_mm[0] - spec.slice_spacing_mm[1]) / 2
        self._taken: list[tuple[Place, float]] = []
        self._inside = np.flatnonzero(anatomy.lungs < -1.5)

    def find(self, radius: float, where: str, attempts: int = 200) -> Place | None:
        look = {"free": self._free, "vessel": self._on_vessel, "pleura": self._on_pleura}[where]
        for attempt in range(attempts):
            # A large nodule in a small lung may find no free place: it is let nearer to the pleura step by step.
            centre = look(radius, 1 - attempt / attempts)
            if centre is not None and self._is_scanned(centre, radius) and self._has_room(centre, radius):
                self._taken.append((centre, radius))
                return centre
        return None

    def _is_scanned(self, centre: Place, radius: float) -> bool:
        """True where the whole of it lies between the lowest and the highest slice."""
        return bool(abs(centre[0]) + radius <= self._half_height_mm)

    def _has_room(self, centre: Place, radius: float) -> bool:
        return all(np.linalg.norm(centre - other) > radius + size + GAP_MM for other, size in self._taken)

    def _depth(self, point: Place) -> float:
        return -float(self._anatomy.grid.at_points(self._anatomy.lungs, point[None])[0])

    def _is_deep(self, point: Place, radius: float, strict: float, margin: float) -> bool:
        return bool(self._depth(point) > radius * (0.4 + 0.6 * strict) + margin * strict)

    def _free(self, radius: float, strict: float) -> Place | None:
        point = self._anatomy.grid.points_in(self._inside, 1, self._rng)[0]
        return point if self._is_deep(point, radius, strict, 1.5) else None

    def _on_vessel(self, radius: float, strict: float) -> Place | None:
        vessels = self._anatomy.vessels
        if len(vessels) == 0:
            return self._free(radius, strict)
        row = self._rng.integers(len(vessels))
        thickness = float(vessels.start_radius_mm[row])
        along = vessels.end_zyx_mm[row] - vessels.start_zyx_mm[row]
        aside = np.cross(along, self._rng.standard_normal(3))
        aside /= np.linalg.norm(aside) + 1e-9
        point = vessels.start_zyx_mm[row] + aside * (thickness + 0.5 * radius)
        return point if 0.6 < thickness < 2.5 and self._is_deep(point, radius, strict, 0.0) else None

    def _on_pleura(self, radius: float, strict: float) -> Place | None:
        point = self._anatomy.grid.points_in(self._inside, 1, self._rng)[0]
        wanted = self._rng.uniform(0.55, 0.9) * radius
        for _ in range(4):
            depth = self._depth(point)
            slope = self._anatomy.grid.gradient_at_points(self._anatomy.lungs, point[None])[0]
            point = point + (depth - wanted) * slope / (np.linalg.norm(slope) + 1e-6)
        return point if abs(self._depth(point) - wanted) < 0.25 * radius + 0.3 else None
