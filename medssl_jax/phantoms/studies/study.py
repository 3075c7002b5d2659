"""One synthetic study, in memory: a chest drawn once, looked at by a localizer and reconstructed several ways.

All studies of a patient show the same chest with the same findings, each on a table of its own.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, UInt8

from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume
from medssl_jax.phantoms.chests.anatomy import build_anatomy
from medssl_jax.phantoms.chests.findings import plan_findings
from medssl_jax.phantoms.chests.scan import PlacedFinding, lung_labels, paint_chest, place_finding
from medssl_jax.phantoms.chests.scanner import HU_RANGE, Scanner, as_stored, draw_scanner, reconstruct
from medssl_jax.phantoms.studies.protocols import SHARP, THICK_SLICES, THICK_SOFT, Protocol, draw_protocol
from medssl_jax.phantoms.studies.spec import NlstPhantom

SOFT_BLUR_MM, SHARP_BLUR_MM = 0.55, 0.3
SOFT_GRAIN_MM, SHARP_GRAIN_MM = 0.75, 0.45
SHARP_NOISE = 2.2  # times that of a soft kernel
ANATOMY, FINDINGS, PROTOCOL, SCANNER, NOISE = range(5)
WIDTH_HU = 1000.0  # of water, as against air
# Rows run to the left or to the back, columns to the feet.
FRONT_DIRECTION = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0)
SIDE_DIRECTION = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """A study and the truth about it; `lungs` lie on the grid of the thin reconstructions."""

    patient: int
    year: int
    protocol: Protocol
    localizers: tuple[Volume, ...]  # one slice each, a plain view through the body; their columns run to the feet
    reconstructions: Mapping[str, Volume]  # by role, in the order they were made
    lungs: Volume
    nodules: tuple[PlacedFinding, ...]
    excluded: tuple[PlacedFinding, ...]


def render_study(spec: NlstPhantom, patient: int, year: int) -> Study:
    """Makes one study: the same for the same spec, whatever else is made, in whatever order."""
    anatomy = build_anatomy(spec.chest, spec.generator(patient, 0, ANATOMY))
    nodules, confounders = plan_findings(spec.chest, anatomy, spec.generator(patient, 0, FINDINGS))
    protocol = draw_protocol(spec.generator(patient, 1 + year, PROTOCOL))
    thin = _thin_scanner(spec, protocol, spec.generator(patient, 1 + year, SCANNER))
    planes_hu = paint_chest(thin, anatomy, (*confounders, *nodules))

    reconstructions = {}
    for number, role in enumerate(protocol.roles):
        scanner = _scanner(thin, role)
        hu = reconstruct(scanner, planes_hu, spec.generator(patient, 1 + year, NOISE, number))
        reconstructions[role] = Volume(hu, scanner.grid, spec.uid("reconstruction", patient, year, role))
    lungs: UInt8[np.ndarray, "z y x"] = as_stored(thin, lung_labels(anatomy, thin.axes_mm))
    return Study(
        patient,
        year,
        protocol,
        _localizers(thin, planes_hu, patient),
        reconstructions,
        Volume(lungs, thin.grid, spec.uid("study", patient, year)),
        tuple(place_finding(thin, nodule, nodule.diameter_mm) for nodule in nodules),
        tuple(place_finding(thin, confounder, confounder.diameter_mm) for confounder in confounders),
    )


def _thin_scanner(spec: NlstPhantom, protocol: Protocol, rng: np.random.Generator) -> Scanner:
    thin_mm = protocol.manufacturer.thin_mm
    scanner = draw_scanner(dataclasses.replace(spec.chest, slice_spacing_mm=(thin_mm, thin_mm)), rng)
    slices, rows, columns = scanner.size_zyx
    return dataclasses.replace(
        scanner,
        # Thick slices are whole numbers of thin ones.
        size_zyx=(slices - slices % THICK_SLICES, rows, columns),
        padding_hu=protocol.manufacturer.storage.padding_hu,
        blur_mm=SOFT_BLUR_MM,
        grain_mm=SOFT_GRAIN_MM,
    )


def _scanner(thin: Scanner, role: str) -> Scanner:
    if role == SHARP:
        noise_hu = SHARP_NOISE * thin.noise_hu
        return dataclasses.replace(thin, blur_mm=SHARP_BLUR_MM, grain_mm=SHARP_GRAIN_MM, noise_hu=noise_hu)
    if role == THICK_SOFT:
        return dataclasses.replace(
            thin,
            spacing_zyx_mm=(THICK_SLICES * thin.spacing_zyx_mm[0], *thin.spacing_zyx_mm[1:]),
            size_zyx=(thin.size_zyx[0] // THICK_SLICES, *thin.size_zyx[1:]),
            noise_hu=thin.noise_hu / THICK_SLICES**0.5,
        )
    return thin


def _localizers(scanner: Scanner, planes_hu: Float32[np.ndarray, "planes y x"], patient: int) -> tuple[Volume, ...]:
    """The view from the front, and for every other patient that from the side."""
    z_mm, (_, y_mm, x_mm) = scanner.plane_z_mm, scanner.axes_mm
    centre_x, centre_y, centre_z = scanner.centre_xyz_mm
    top, plane_mm = centre_z + float(z_mm[-1]), float(z_mm[1] - z_mm[0])

    def view(axis: int, step_mm: float, corner_xy_mm: tuple[float, float], direction: tuple[float, ...]) -> Volume:
        through = (planes_hu[::-1] + WIDTH_HU).mean(axis=axis) - WIDTH_HU / 2
        hu = np.clip(np.rint(through), *HU_RANGE).astype(np.int16)[None]
        return Volume(hu, Grid(hu.shape, (plane_mm, plane_mm, step_mm), (*corner_xy_mm, top), direction), "")

    _, step_y, step_x = scanner.spacing_zyx_mm
    front = view(1, step_x, (centre_x + float(x_mm[0]), centre_y), FRONT_DIRECTION)
    if patient % 2 == 0:
        return (front,)
    return front, view(2, step_y, (centre_x, centre_y + float(y_mm[0])), SIDE_DIRECTION)
