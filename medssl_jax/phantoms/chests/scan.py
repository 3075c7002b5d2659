"""One synthetic scan, from its number to voxels and truth, in memory."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int16, UInt8

from medssl_jax.imaging.geometry import Grid
from medssl_jax.phantoms.canvas import Axes, Canvas, distances_mm
from medssl_jax.phantoms.chests.anatomy import Anatomy, build_anatomy
from medssl_jax.phantoms.chests.findings import (
    NO_DIAMETER_MM,
    SHARE_WITHOUT_DIAMETER,
    Finding,
    draw_finding,
    plan_findings,
)
from medssl_jax.phantoms.chests.scanner import Scanner, as_stored, draw_scanner, reconstruct
from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.chests.tissue import paint_tissues, paint_tubes
from medssl_jax.phantoms.fields import PlaneSampler

LEFT_LUNG, RIGHT_LUNG, TRACHEA = 3, 4, 5  # LUNA16's labels
SCANNER, ANATOMY, FINDINGS, NOISE, DIAMETERS = range(5)  # what random numbers are for


@dataclasses.dataclass(frozen=True)
class PlacedFinding:
    """A row of annotations.csv or annotations_excluded.csv, and what it is; a diameter of -1 is unknown."""

    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float
    kind: str


@dataclasses.dataclass(frozen=True)
class ScanTruth:
    """The truth about a scan."""

    series_uid: str
    subset: int
    nodules: tuple[PlacedFinding, ...]
    excluded: tuple[PlacedFinding, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class PhantomScan:
    """A synthetic scan and the truth about it; its nodules also as they were drawn, in the body's frame."""

    hu: Int16[np.ndarray, "z y x"]
    lungs: UInt8[np.ndarray, "z y x"]
    truth: ScanTruth
    scanner: Scanner
    nodules: tuple[Finding, ...]

    @property
    def grid(self) -> Grid:
        """Where the voxels lie in the world."""
        return self.scanner.grid


def render_scan(spec: Luna16Phantom, index: int) -> PhantomScan:
    """Makes scan `index`: the same for the same spec, whatever else is made, in whatever order."""
    scanner = draw_scanner(spec, spec.generator(index, SCANNER))
    anatomy = build_anatomy(spec, spec.generator(index, ANATOMY))
    nodules, confounders = plan_findings(spec, anatomy, spec.generator(index, FINDINGS))
    tissue_hu = paint_chest(scanner, anatomy, (*confounders, *nodules))

    unknown = spec.generator(index, DIAMETERS).random(len(confounders)) < SHARE_WITHOUT_DIAMETER
    truth = ScanTruth(
        spec.series_uid(index),
        spec.subset(index),
        tuple(place_finding(scanner, nodule, nodule.diameter_mm) for nodule in nodules),
        tuple(
            place_finding(scanner, each, NO_DIAMETER_MM if hidden else each.diameter_mm)
            for each, hidden in zip(confounders, unknown, strict=True)
        ),
    )
    return PhantomScan(
        reconstruct(scanner, tissue_hu, spec.generator(index, NOISE)),
        as_stored(scanner, lung_labels(anatomy, scanner.axes_mm)),
        truth,
        scanner,
        nodules,
    )


def paint_chest(scanner: Scanner, anatomy: Anatomy, findings: Sequence[Finding]) -> Float32[np.ndarray, "planes y x"]:
    """A patient's densities in HU on the scanner's planes, before any reconstruction; later findings lie on top."""
    axes_mm = (scanner.plane_z_mm, *scanner.axes_mm[1:])
    canvas = Canvas(np.empty([len(axis) for axis in axes_mm], np.float32), axes_mm)
    paint_tissues(anatomy, canvas)
    paint_tubes(anatomy, canvas)
    for finding in findings:
        draw_finding(canvas, finding)
    return canvas.hu


def place_finding(scanner: Scanner, finding: Finding, diameter_mm: float) -> PlacedFinding:
    """Where a finding lies in the world of this scan."""
    centre_xyz = np.array(scanner.centre_xyz_mm) + finding.centre_zyx_mm[::-1]
    return PlacedFinding(tuple(np.round(centre_xyz, 6).tolist()), round(diameter_mm, 6), finding.kind)


def lung_labels(anatomy: Anatomy, axes_mm: Axes) -> UInt8[np.ndarray, "z y x"]:
    """Lungs and windpipe on a grid of the body's frame."""
    z_mm, y_mm, x_mm = axes_mm
    sample = PlaneSampler(anatomy.grid, y_mm, x_mm)
    side = np.where(x_mm < 0, np.uint8(RIGHT_LUNG), np.uint8(LEFT_LUNG))
    labels = np.stack([np.where(sample(anatomy.lungs, z) < 0, side, np.uint8(0)) for z in z_mm])
    pipes = dataclasses.replace(anatomy.windpipe, start_radius_mm=anatomy.windpipe.end_radius_mm)
    for slices, distance in distances_mm(axes_mm, pipes, 0.0):
        labels[slices][(distance < 0) & (labels[slices] == 0)] = TRACHEA
    return labels
