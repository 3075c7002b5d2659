"""From a patient's shapes to densities in HU on a fine grid, before any scanner has looked."""

import dataclasses

import numpy as np
from jaxtyping import Float32, Shaped

from medssl_jax.phantoms.canvas import AIR_HU, Canvas, Tubes, coverage, draw_air, draw_dense
from medssl_jax.phantoms.chests.anatomy import Anatomy
from medssl_jax.phantoms.fields import PlaneSampler

FAT_HU, MUSCLE_HU, ORGAN_HU = -100.0, 50.0, 42.0
MARROW_HU, CORTEX_HU, CORTEX_MM = 110.0, 750.0, 1.1
SKIN_HU, SKIN_MM = 10.0, 1.5
AIRWAY_WALL_HU = -60.0
FISSURE_HU, FISSURE_MM = 120.0, 0.55  # what a fissure adds to the lung's density


def paint_tissues(anatomy: Anatomy, canvas: Canvas) -> None:
    """Fills the canvas, plane by plane, with everything but tubes."""
    z_mm, y_mm, x_mm = canvas.axes_mm
    sample = PlaneSampler(anatomy.grid, y_mm, x_mm)
    edge = float(x_mm[1] - x_mm[0])
    for plane, z in zip(canvas.hu, z_mm, strict=True):
        texture = sample(anatomy.tissue_texture, z)
        plane[:] = AIR_HU
        body = sample(anatomy.body, z)
        _cover(plane, body, SKIN_HU, edge)
        _cover(plane, body + np.float32(SKIN_MM), FAT_HU + 6 * texture, edge)
        _cover(plane, sample(anatomy.muscle, z) + 1.2 * texture, MUSCLE_HU + 5 * texture, edge)
        _cover(plane, sample(anatomy.cage, z), 10 + 30 * np.clip(2 * texture, -3, 1), 2 * edge)
        _cover(plane, sample(anatomy.organs, z), ORGAN_HU + 5 * texture, 2 * edge)
        bones = sample(anatomy.bones, z)
        cortex = np.exp(np.minimum(bones, 0) / np.float32(CORTEX_MM))
        _cover(plane, bones, MARROW_HU + 40 * texture + (CORTEX_HU - MARROW_HU) * cortex, edge)
        lungs = sample(anatomy.lungs, z)
        if lungs.min() < edge:
            _cover(plane, lungs, _lung_hu(anatomy, sample, z), edge)


def paint_tubes(anatomy: Anatomy, canvas: Canvas) -> None:
    """Draws great vessels, vessels, and airways with their walls, in this order."""
    x_mm = canvas.axes_mm[2]
    edge = 1.1 * float(x_mm[1] - x_mm[0])
    draw_dense(canvas, anatomy.great_vessels, anatomy.great_vessel_hu, edge)
    draw_dense(canvas, anatomy.vessels, anatomy.blood_hu, edge)
    airways = anatomy.airways
    wall_mm = 0.5 + 0.12 * airways.start_radius_mm
    outer = {"start_radius_mm": airways.start_radius_mm + wall_mm, "end_radius_mm": airways.end_radius_mm + wall_mm}
    draw_dense(canvas, dataclasses.replace(airways, **outer), AIRWAY_WALL_HU, edge)
    draw_air(canvas, Tubes.join(airways, anatomy.stomach_air), edge)


def _cover(
    plane: Float32[np.ndarray, "y x"],
    distance_mm: Float32[np.ndarray, "y x"],
    hu: float | Shaped[np.ndarray, "y x"],
    edge_mm: float,
) -> None:
    share = coverage(distance_mm, edge_mm)
    plane += share * (np.asarray(hu, np.float32) - plane)


def _lung_hu(anatomy: Anatomy, sample: PlaneSampler, z_mm: np.float32) -> Float32[np.ndarray, "y x"]:
    hu = sample(anatomy.lung_texture_hu, z_mm)
    for fissure in (anatomy.oblique_fissures, anatomy.horizontal_fissure):
        distance = sample(fissure, z_mm) / np.float32(FISSURE_MM)
        hu += np.float32(FISSURE_HU) * np.exp(-np.minimum(distance * distance, 50))
    return hu
