"""The spec of a synthetic LUNA16: one frozen record, complete enough to make the same bytes again."""

import dataclasses
import functools
from typing import Any

from medssl_jax.core.settings import SHARE, each, number
from medssl_jax.phantoms.chests.diameters import LUNA16_DIAMETER_RANGE_MM
from medssl_jax.phantoms.spec import AMOUNT, COUNT, PhantomSpec, lowest_highest, synthetic_uid, within

# LUNA16: 287 of 888 scans hold no nodule, 1,186 nodules lie in the other 601.
LUNA16_SHARE_WITHOUT_NODULES = 287 / 888
LUNA16_NODULES_PER_SCAN = 1186 / 601

LARGEST_CHEST_MM = 500.0  # of a CT
SIDES_MM = each(number(64, LARGEST_CHEST_MM), least=3, most=3)
SPACING_MM = lowest_highest(number(0.3, 5))
MEAN_NODULES = number(1, 100)  # a chest has room for
DIAMETER_MM = number(LUNA16_DIAMETER_RANGE_MM[0], LARGEST_CHEST_MM, above=True)
SUBSETS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Luna16Phantom(PhantomSpec):
    """A synthetic LUNA16. Scan `i` depends on every field but `scans`.

    Chests smaller than (300, 300, 360) mm are miniature patients: the same organs, scaled down, with vessels and
    nodules of true size. Raises InputError for a field out of range.
    """

    scans: int = within(COUNT, 10)
    chest_zyx_mm: tuple[int | float, ...] = within(SIDES_MM, (300.0, 300.0, 360.0))
    in_plane_spacing_mm: tuple[int | float, ...] = within(SPACING_MM, (0.55, 0.85))
    slice_spacing_mm: tuple[int | float, ...] = within(SPACING_MM, (0.7, 2.5))
    share_flipped: int | float = within(SHARE, 0.1)  # TransformMatrix -1 0 0 0 -1 0 0 0 1
    share_padded: int | float = within(SHARE, 0.5)  # -2048 or -3024 outside the circular field of view

    share_without_nodules: int | float = within(SHARE, LUNA16_SHARE_WITHOUT_NODULES)
    nodules_per_scan: int | float = within(MEAN_NODULES, LUNA16_NODULES_PER_SCAN)  # over the scans that have some
    share_solid: int | float = within(SHARE, 0.7)
    share_part_solid: int | float = within(SHARE, 0.1)
    share_ground_glass: int | float = within(SHARE, 0.2)
    largest_diameter_mm: int | float | None = within(DIAMETER_MM, None)  # None: a fifth of the shortest side

    nodule_contrast: int | float = within(
        AMOUNT, 1.0
    )  # 1: solid nodules as dense as vessels; 0: as the lung around them
    noise_hu: int | float = within(AMOUNT, 25.0)  # standard deviation; single scans vary round it
    vessel_density: int | float = within(AMOUNT, 1.0)  # 1: as in real scans
    confounders_per_scan: int | float = within(AMOUNT, 6.0)  # look-alikes, listed in annotations_excluded.csv
    share_contrast_enhanced: int | float = within(SHARE, 0.3)  # iodine in heart and vessels

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = self.share_solid + self.share_part_solid + self.share_ground_glass
        self.expect(abs(whole - 1) < 1e-9, "share_solid + share_part_solid + share_ground_glass", "1", found=whole)
        fits = self.largest_diameter_mm is None or self.largest_diameter_mm <= min(self.chest_zyx_mm) / 3
        self.expect(fits, "largest_diameter_mm", "at most a third of the shortest side of the chest")

    @property
    def diameter_limit_mm(self) -> float:
        """No nodule is larger, so that each fits its lung."""
        return min(self.largest_diameter_mm or min(self.chest_zyx_mm) / 5, LUNA16_DIAMETER_RANGE_MM[1])

    def series_uid(self, index: int) -> str:
        """UID of scan `index`."""
        return synthetic_uid(self._of_any_number, index)

    @functools.cached_property
    def _of_any_number(self) -> dict[str, Any]:
        """The fields as they are in a phantom with more scans or fewer, whose scans are the same."""
        return dataclasses.asdict(dataclasses.replace(self, scans=1))

    def subset(self, index: int) -> int:
        """The folder subset0..subset9 that scan `index` lies in."""
        return index % SUBSETS
