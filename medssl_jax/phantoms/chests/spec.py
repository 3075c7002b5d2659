"""The spec of a synthetic LUNA16: one frozen record, complete enough to make the same bytes again."""

import dataclasses
import hashlib
import json

from medssl_jax.phantoms.chests.diameters import LUNA16_DIAMETER_RANGE_MM
from medssl_jax.phantoms.spec import Number, PhantomSpec

# LUNA16: 287 of 888 scans hold no nodule, 1,186 nodules lie in the other 601.
LUNA16_SHARE_WITHOUT_NODULES = 287 / 888
LUNA16_NODULES_PER_SCAN = 1186 / 601

SMALLEST_CHEST_MM = 64.0
LARGEST_CHEST_MM = 500.0  # of a CT
MOST_NODULES = 100  # a mean that a chest has room for
SUBSETS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Luna16Phantom(PhantomSpec):
    """A synthetic LUNA16. Scan `i` depends on every field but `scans`.

    Chests smaller than (300, 300, 360) mm are miniature patients: the same organs, scaled down, with vessels and
    nodules of true size. Raises InputError for a field out of range.
    """

    seed: int = 0
    scans: int = 10
    chest_zyx_mm: tuple[Number, ...] = (300.0, 300.0, 360.0)
    in_plane_spacing_mm: tuple[Number, ...] = (0.55, 0.85)
    slice_spacing_mm: tuple[Number, ...] = (0.7, 2.5)
    share_flipped: Number = 0.1  # TransformMatrix -1 0 0 0 -1 0 0 0 1
    share_padded: Number = 0.5  # -2048 or -3024 outside the circular field of view

    share_without_nodules: Number = LUNA16_SHARE_WITHOUT_NODULES
    nodules_per_scan: Number = LUNA16_NODULES_PER_SCAN  # mean over the scans that have some
    share_solid: Number = 0.7
    share_part_solid: Number = 0.1
    share_ground_glass: Number = 0.2
    largest_diameter_mm: Number | None = None  # None: a fifth of the shortest side, at most LUNA16's largest

    nodule_contrast: Number = 1.0  # 1: solid nodules as dense as vessels; 0: as the lung around them
    noise_hu: Number = 25.0  # standard deviation; single scans vary round it
    vessel_density: Number = 1.0  # 1: as in real scans
    confounders_per_scan: Number = 6.0  # look-alikes, listed in annotations_excluded.csv
    share_contrast_enhanced: Number = 0.3  # iodine in heart and vessels

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple):
                object.__setattr__(self, field.name, tuple(float(number) for number in value))
            elif field.type is not int and value is not None:
                object.__setattr__(self, field.name, float(value))
        self.expect_amounts("seed", "nodule_contrast", "noise_hu", "vessel_density", "confounders_per_scan")
        self.expect_counts("scans")
        sides = self.chest_zyx_mm
        fits = len(sides) == 3 and SMALLEST_CHEST_MM <= min(sides) <= max(sides) <= LARGEST_CHEST_MM
        expected = f"three sides of {SMALLEST_CHEST_MM:g} mm or more, at most {LARGEST_CHEST_MM:g}"
        self.expect(fits, "chest_zyx_mm", expected)
        for name in ("in_plane_spacing_mm", "slice_spacing_mm"):
            spacing = getattr(self, name)
            ordered = len(spacing) == 2 and 0.3 <= spacing[0] <= spacing[1] <= 5
            self.expect(ordered, name, "a range lowest,highest between 0.3 and 5 mm")
        kinds = ("share_solid", "share_part_solid", "share_ground_glass")
        self.expect_shares("share_flipped", "share_padded", "share_without_nodules", *kinds, "share_contrast_enhanced")
        whole = sum(getattr(self, kind) for kind in kinds)
        self.expect(abs(whole - 1) < 1e-9, " + ".join(kinds), "1", found=whole)
        self.expect_within(1, MOST_NODULES, f"1 or more, at most {MOST_NODULES}", ["nodules_per_scan"])
        if self.largest_diameter_mm is not None:
            smallest = LUNA16_DIAMETER_RANGE_MM[0]
            fits = smallest < self.largest_diameter_mm <= min(sides) / 3
            expected = f"more than {smallest} and at most a third of the shortest side of the chest"
            self.expect(fits, "largest_diameter_mm", expected)

    @property
    def diameter_limit_mm(self) -> float:
        """No nodule is larger, so that each fits its lung."""
        if self.largest_diameter_mm is not None:
            return min(self.largest_diameter_mm, LUNA16_DIAMETER_RANGE_MM[1])
        return min(min(self.chest_zyx_mm) / 5, LUNA16_DIAMETER_RANGE_MM[1])

    def series_uid(self, index: int) -> str:
        """UID of scan `index`: under 2.25, the root for UUIDs, so never one of a real scan."""
        appearance = dataclasses.asdict(dataclasses.replace(self, scans=1))
        text = json.dumps([appearance, index], sort_keys=True)
        return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"

    def subset(self, index: int) -> int:
        """The folder subset0..subset9 that scan `index` lies in."""
        return index % SUBSETS
