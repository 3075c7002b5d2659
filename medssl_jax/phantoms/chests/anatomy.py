"""A chest: wall, ribs, spine, lungs, heart, diaphragm and fissures as fields, large vessels and airways as tubes.

Lengths are those of an adult, multiplied by `s` (1 for a chest of 300 x 300 x 360 mm). z points up, y to the back,
x to the patient's left.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from medssl_jax.phantoms.canvas import Tubes, capsule_distance_mm
from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.chests.vessels import grow_vessels
from medssl_jax.phantoms.fields import (
    Array,
    CoarseGrid,
    Field,
    distance_from_level,
    smooth_max,
    smooth_min,
    smooth_noise,
)

ADULT_HALF_SIDES_ZYX_MM = (150.0, 150.0, 180.0)


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """Fields over `grid` (mm, negative inside, unless the name says otherwise) and tubes."""

    grid: CoarseGrid
    body: Field
    muscle: Field
    cage: Field
    organs: Field
    bones: Field
    lungs: Field
    oblique_fissures: Field  # signed distance to the sheet
    horizontal_fissure: Field
    lung_texture_hu: Field
    tissue_texture: Field  # standard deviation 1
    great_vessels: Tubes
    vessels: Tubes
    airways: Tubes  # their lumen
    windpipe: Tubes  # trachea and main bronchi, also in `airways`
    stomach_air: Tubes
    blood_hu: float
    great_vessel_hu: float


def build_anatomy(spec: Luna16Phantom, rng: np.random.Generator) -> Anatomy:
    """Draws one patient."""
    patient = _Patient(spec, rng)
    grid, s = patient.grid, patient.s
    body, cage = patient.body(), patient.cage()
    muscle = body + patient.fat_mm()
    mediastinum, heart, spine = patient.middle()
    windpipe, great_vessels = patient.windpipe(), patient.great_vessels()
    for tubes in (windpipe, great_vessels):
        # The pleura is draped over them: no large vessel runs bare through a lung.
        mediastinum = smooth_min(mediastinum, _distance_to(tubes, grid) - 2 * s, 10 * s)
    diaphragm = patient.diaphragm()
    lungs = smooth_max(smooth_max(cage, -mediastinum, 7 * s), diaphragm, 5 * s)
    oblique, horizontal = patient.fissures()

    enhanced = rng.random() < spec.share_contrast_enhanced
    great_vessel_hu = rng.uniform(180, 350) if enhanced else rng.uniform(35, 50)
    blood_hu = rng.uniform(100, 200) if enhanced else rng.uniform(20, 50)
    vessels, airways = grow_vessels(rng, spec.vessel_density, grid, lungs, patient.roots_zyx)
    return Anatomy(
        grid=grid,
        body=body,
        muscle=muscle,
        cage=cage,
        organs=np.minimum(np.minimum(heart, -diaphragm + 2 * s), spine),
        bones=patient.bones(cage, body),
        lungs=lungs,
        oblique_fissures=oblique,
        horizontal_fissure=horizontal,
        lung_texture_hu=patient.lung_texture_hu(),
        tissue_texture=patient.noise(3.0) * 0.6 + patient.noise(9.0) * 0.8,
        great_vessels=great_vessels,
        vessels=vessels,
        airways=Tubes.join(windpipe, airways),
        windpipe=windpipe,
        stomach_air=patient.stomach_air(),
        blood_hu=blood_hu,
        great_vessel_hu=great_vessel_hu,
    )


class _Patient:
    """One patient's proportions, drawn once; each method is one part of the body."""

    def __init__(self, spec: Luna16Phantom, rng: np.random.Generator):
        self.rng = rng
        half_zyx = np.array(spec.chest_zyx_mm) / 2
        self.s = s = float(min((half_zyx / ADULT_HALF_SIDES_ZYX_MM)[1:]))
        self.grid = CoarseGrid.covering(spec.chest_zyx_mm, float(np.clip(3.5 * s, 1.5, 2.0)))
        self.zyx = self.grid.coordinates()
        # Plain floats: a NumPy float64 would turn every field into float64.
        self.half_z, self.half_y, half_x = half_zyx.tolist()
        self.unit_z = self.half_z / ADULT_HALF_SIDES_ZYX_MM[0]
        self.body_x = half_x * rng.uniform(0.93, 0.97)
        self.body_y = self.half_y * rng.uniform(0.80, 0.88)
        self.body_middle_y = -self.half_y * rng.uniform(0.02, 0.05)
        self.middle_y = self.body_middle_y - 9 * s  # the wall is thicker behind
        self.fat = rng.uniform(6, 16) * s
        wall = self.fat + rng.uniform(12, 16) * s
        self.cage_x = self.body_x - wall
        self.cage_y = self.body_y - wall - 7 * s
        self.apex_z = self.half_z * rng.uniform(0.84, 0.94)
        self.heart_x = rng.uniform(18, 30) * s
        self.heart_size = rng.uniform(0.9, 1.1)
        right_dome, left_dome = rng.uniform((-0.46, -0.54), (-0.30, -0.38)).tolist()
        self.dome_z = (self.half_z * right_dome, self.half_z * left_dome)
        self.rib_phase = rng.uniform(0, 1)
        self.rib_period = max(24 * self.unit_z, 13.0)
        self.carina_z = self.half_z * rng.uniform(0.08, 0.2)
        self.spine_y = self.middle_y + self.cage_y * 0.78
        self.bone_scale = max(s, 0.5)
        self.wobble = rng.uniform(-1, 1, 5).tolist()

    def noise(self, grain_mm: float) -> Field:
        return smooth_noise(self.rng, self.grid, grain_mm)

    def body(self) -> Field:
        z, y, x = self.zyx
        bulge = 1 + 0.03 * self.wobble[0] * z / self.half_z
        level = (
            np.abs(x / (self.body_x * bulge)) ** 2.4 + np.abs((y - self.body_middle_y) / (self.body_y * bulge)) ** 2.4
        ) ** (1 / 2.4) - 1
        return distance_from_level(level, self.grid.step_mm)

    def fat_mm(self) -> Field:
        _, y, _ = self.zyx
        lumps = self.noise(30 * self.s)
        behind = np.clip((y - self.middle_y) / self.body_y, -1, 1)
        return np.float32(self.fat) * (1 + 0.25 * lumps + 0.3 * behind)

    def cage(self) -> Field:
        """The inner face of ribs and wall; open below. The lungs bulge a little between the ribs."""
        z, y, x = self.zyx
        up = np.maximum(z + self.half_z * 0.1, 0) / (self.apex_z + self.half_z * 0.1)
        p = 2.35
        side = np.abs(x) / self.cage_x
        front_back = np.abs(y - self.middle_y) / self.cage_y
        level = (side**p + front_back**p + up**2.6) ** (1 / p) - 1
        uneven = 2.2 * self.s * self.noise(45 * self.s)
        bulges = 0.9 * self.s * np.cos(2 * np.pi * self.rib_number())
        return (distance_from_level(level, self.grid.step_mm) + uneven + bulges).astype(np.float32)

    def rib_angle(self) -> Array:
        """0 at the spine, pi at the breastbone."""
        _, y, x = self.zyx
        return np.arctan2(np.abs(x) / self.cage_x, (y - self.middle_y) / self.cage_y)

    def rib_number(self) -> Array:
        """Whole in the middle of each rib; ribs slope downwards to the front."""
        return self.zyx[0] / self.rib_period + self.rib_phase + 1.6 * (1 - np.cos(self.rib_angle()))

    def middle(self) -> tuple[Field, Field, Field]:
        """Mediastinum with spine, heart alone, and the muscles beside the spine."""
        z, y, x = self.zyx
        s, y0, wobble = self.s, self.middle_y, self.wobble
        front = self.cage_y
        spine = np.sqrt((x / 1.15) ** 2 + (y - self.spine_y - 8 * s) ** 2) - 25 * s
        spine = spine + np.maximum(y - self.spine_y, 0) * -0.35
        column_x = (24 + 5 * wobble[1]) * s + 10 * s * np.exp(-(((z - self.carina_z) / (45 * self.unit_z)) ** 2))
        column = np.sqrt((x / column_x) ** 2 + ((y - y0 - 6 * s) / (0.62 * front)) ** 2) - 1
        column = column * (22 * s)
        septum = np.maximum(np.abs(x + 4 * s * wobble[2]) - 3.5 * s, y - y0)
        size = 1.0 * self.heart_size
        turned_x = 0.86 * (x - self.heart_x) + 0.5 * (y - (y0 - 0.28 * front))
        turned_y = -0.5 * (x - self.heart_x) + 0.86 * (y - (y0 - 0.28 * front))
        heart = (
            np.sqrt(
                (turned_x / (62 * s * size)) ** 2
                + (turned_y / (46 * s * size)) ** 2
                + ((z + 0.32 * self.half_z) / (58 * self.unit_z * size)) ** 2
            )
            - 1
        )
        heart = distance_from_level(heart, self.grid.step_mm)
        both = smooth_min(spine, column, 8 * s)
        both = smooth_min(both, septum, 8 * s)
        both = smooth_min(both, heart - 3 * s, 12 * s)
        both = both + 2.5 * s * self.noise(30 * s)
        back_muscle = np.sqrt((x / 2.2) ** 2 + (y - self.spine_y - 24 * s) ** 2) - 20 * s
        return both.astype(np.float32), heart, np.broadcast_to(back_muscle, self.grid.size_zyx).astype(np.float32)

    def diaphragm(self) -> Field:
        """Distance above the domes is negative: the lungs' side."""
        z, y, x = self.zyx
        s, y0 = self.s, self.middle_y
        left = 1 / (1 + np.exp(np.clip(-x / (6 * s), -30, 30)))
        top = self.dome_z[0] + (self.dome_z[1] - self.dome_z[0]) * left
        across = (np.abs(x) - 0.5 * self.cage_x) / (0.52 * self.cage_x)
        deep = (y - y0 + 0.18 * self.cage_y) / (1.05 * self.cage_y)
        fall = 0.42 * self.half_z * (0.75 * across**2 + 1.0 * deep**2 + 0.35 * np.maximum(deep, 0) ** 3)
        surface = top - fall
        slope = 0.42 * self.half_z * np.hypot(1.5 * across / (0.52 * self.cage_x), 2 * deep / (1.05 * self.cage_y))
        return ((surface - z) / np.sqrt(1 + slope**2)).astype(np.float32)

    def bones(self, cage: Field, body: Field) -> Field:
        z, y, x = self.zyx
        s, b, y0 = self.s, self.bone_scale, self.middle_y
        angle, phase, period = self.rib_angle(), self.rib_number(), self.rib_period
        vertical = np.abs(phase - np.round(phase)) * period
        bony = np.clip((0.80 * np.pi - angle) / 0.05, -1, 1) * 2 * b
        ribs = (np.sqrt(((cage - 5 * b) / (3.6 * b)) ** 2 + (vertical / (5.5 * b)) ** 2) - 1) * 3.6 * b
        ribs = np.maximum(ribs, -bony)
        ribs = np.maximum(ribs, (0.1 - angle) * 30 * s)

        level = np.abs(z / period + self.rib_phase - np.round(z / period + self.rib_phase)) * period
        disc = 0.40 * period - level
        in_body = np.sqrt((x / 1.25) ** 2 + (y - self.spine_y - 8 * s) ** 2) - 15 * s
        vertebra = np.maximum(in_body, -disc)
        canal_y = self.spine_y + 8 * s + 23 * s
        ring = np.abs(np.sqrt((x / 1.1) ** 2 + (y - canal_y) ** 2) - 11.5 * s) - 3 * s
        arch_low = np.abs(level - 0.1 * period) - 0.3 * period
        spinous = np.maximum(np.abs(x) - 2.8 * s, np.abs(y - canal_y - 24 * s) - 14 * s)
        transverse = np.maximum(
            np.abs(y - canal_y + 1 * s - 0.15 * np.abs(x)) - 4 * s, np.abs(np.abs(x) - 22 * s) - 12 * s
        )
        arch = np.maximum(np.minimum(np.minimum(ring, spinous), transverse), arch_low)

        breast_y = y0 - self.cage_y - 6 * s
        breastbone = np.maximum(
            (np.sqrt((x / 3.0) ** 2 + (y - breast_y) ** 2) - 6 * s), np.abs(z - 0.1 * self.half_z) - 0.55 * self.half_z
        )
        blade_angle = np.abs(angle - 0.42 * np.pi - 0.05 * self.wobble[3]) - 0.12 * np.pi
        blade = np.maximum(np.abs(cage - 21 * s + 3 * s * np.cos(8 * angle)) - 2.0 * s, blade_angle * self.cage_x)
        blade = np.maximum(blade, 0.1 * self.half_z - z)
        bones = np.minimum(np.minimum(ribs, np.minimum(vertebra, arch)), np.minimum(breastbone, blade))
        under_skin = body + self.fat + 2 * s
        return np.maximum(bones, under_skin).astype(np.float32)

    def fissures(self) -> tuple[Field, Field]:
        z, y, x = self.zyx
        s, y0 = self.s, self.middle_y
        waves = 3 * s * self.noise(50 * s)
        steep = 0.9 + 0.15 * self.wobble[4]
        slope = steep * self.half_z / self.cage_y
        height = z + 0.08 * self.half_z
        oblique = (height - slope * (y - y0 - 0.1 * self.cage_y) + waves) / np.float32(np.hypot(1, slope))
        horizontal = z - 0.02 * self.half_z - waves + np.float32(0.1) * y
        elsewhere = (oblique < 0) | (x > 0)
        horizontal = np.where(elsewhere, np.float32(1000), horizontal)
        return oblique.astype(np.float32), horizontal.astype(np.float32)

    def lung_texture_hu(self) -> Field:
        """Density of the parenchyma: denser where the patient lies on it, mottled at every scale."""
        lying = np.float32(22) * self.zyx[1] / np.float32(self.half_y)
        mottle = 9 * self.noise(2.5) + 8 * self.noise(7.0) + 9 * self.noise(25.0)
        return (self.rng.uniform(-890, -850) + lying + mottle).astype(np.float32)

    @property
    def hilum_zyx(self) -> Float[np.ndarray, "2 3"]:
        """Right and left hilum."""
        z, y = self.carina_z - 0.2 * self.half_z, self.middle_y + 0.12 * self.cage_y
        return np.array([[z, y, -46 * self.s], [z + 6 * self.unit_z, y, 46 * self.s]])

    @property
    def roots_zyx(self) -> list[tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]]:
        """Where artery and vein of the right lung begin, and those of the left."""
        return [
            (
                hilum + np.array([0, -0.03, 0]) * self.cage_y,
                hilum + np.array([-0.12 * self.half_z, 0.02 * self.cage_y, -0.2 * hilum[2]]),
            )
            for hilum in self.hilum_zyx
        ]

    def windpipe(self) -> Tubes:
        s = self.s
        top = [self.half_z * 1.02, self.middle_y - 4 * s, 0.0]
        fork = [self.carina_z, self.middle_y + 0.12 * self.cage_y, 3 * s]
        right, left = self.hilum_zyx
        trachea, bronchus = max(8.5 * s, 2.4), max(6 * s, 1.6)
        radii = np.array([trachea, bronchus, bronchus])
        return Tubes(np.array([top, fork, fork]), np.array([fork, right, left]), radii, radii * [1, 1, 0.8])

    def stomach_air(self) -> Tubes:
        """The bubble under the left dome of a patient lying on the back."""
        s, radius = self.s, self.rng.uniform(5, 16) * self.s
        z = self.dome_z[1] - radius - self.rng.uniform(10, 20) * s
        start = np.array([[z, self.middle_y - 0.2 * self.cage_y, 0.42 * self.cage_x]])
        end = start + np.array([[-6 * s, -14 * s, -12 * s]])
        return Tubes(start, end, np.array([radius]), np.array([0.8 * radius]))

    def great_vessels(self) -> Tubes:
        s, y0 = self.s, self.middle_y
        up, root = self.carina_z + 32 * self.unit_z, self.carina_z - 30 * self.unit_z
        spine_side = np.array([self.spine_y - 10 * s, 20 * s])
        aorta = [
            (root, y0 - 28 * s, 2 * s),
            (self.carina_z + 10 * self.unit_z, y0 - 30 * s, -16 * s),
            (up, y0 - 14 * s, -6 * s),
            (up + 4 * self.unit_z, y0 + 10 * s, 12 * s),
            (up - 12 * self.unit_z, *spine_side),
            (-1.1 * self.half_z, spine_side[0] + 4 * s, 14 * s),
        ]
        lung_artery = [(root, y0 - 34 * s, 18 * s), (self.carina_z - 8 * self.unit_z, y0 - 10 * s, 20 * s)]
        right, left = self.hilum_zyx
        cava = [(self.half_z * 1.02, y0 - 20 * s, -22 * s), (root, y0 - 14 * s, -30 * s)]
        chains = [
            (aorta, 13),
            (lung_artery, 14),
            ([lung_artery[1], right], 10),
            ([lung_artery[1], left], 10),
            (cava, 9),
        ]
        starts = [start for chain, _ in chains for start in chain[:-1]]
        ends = [end for chain, _ in chains for end in chain[1:]]
        radii = np.array([max(radius * s, 2.0) for chain, radius in chains for _ in chain[1:]])
        return Tubes(np.array(starts), np.array(ends), radii, radii)


def _distance_to(tubes: Tubes, grid: CoarseGrid) -> Field:
    distance = np.full(grid.size_zyx, np.inf, np.float32)
    for start, end, radius, _ in tubes.rows():
        tube = capsule_distance_mm(grid.coordinates(), start, end, radius, radius)
        np.minimum(distance, tube, out=distance)
    return distance
