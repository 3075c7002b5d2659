"""The spec of a synthetic NLST: one frozen record, complete enough to make the same bytes again."""

import dataclasses
import functools

from medssl_jax.core.settings import SHARE, each, one_of, whole
from medssl_jax.phantoms.chests.spec import (
    DIAMETER_MM,
    LUNA16_NODULES_PER_SCAN,
    LUNA16_SHARE_WITHOUT_NODULES,
    MEAN_NODULES,
    SIDES_MM,
    SPACING_MM,
    Luna16Phantom,
)
from medssl_jax.phantoms.spec import AMOUNT, COUNT, MOST_ITEMS, PhantomSpec, synthetic_uid, within

LAYOUTS = ("nbia", "idc")
MOST_STUDIES = 3  # NLST screened each person in three years
THICKEST_SLICE_MM = 2.5
JPEG_COMPRESSED = "jpeg_compressed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NlstPhantom(PhantomSpec):
    """A synthetic NLST. Neither the number of patients nor that of their studies changes a study.

    `layout` is that of NBIA's retriever (`nbia`) or of idc-index (`idc`). `defects[i]` is that of the first study of
    patient `i`: `jpeg_compressed`, which does a training no harm; without it the same study comes out plain, under the
    same UIDs. The other fields are those of `Luna16Phantom`. Raises InputError for a field out of range.
    """

    salt = (0x4E4C5354,)

    patients: int = within(COUNT, 4)
    studies_per_patient: int = within(whole(1, MOST_STUDIES), 2)
    layout: str = within(one_of(LAYOUTS), "nbia")
    defects: tuple[str, ...] = within(each(one_of([JPEG_COMPRESSED]), least=0, most=MOST_ITEMS), (JPEG_COMPRESSED,))
    chest_zyx_mm: tuple[int | float, ...] = within(SIDES_MM, (80.0, 96.0, 112.0))
    in_plane_spacing_mm: tuple[int | float, ...] = within(SPACING_MM, (0.55, 0.85))
    share_flipped: int | float = within(SHARE, 0.1)
    share_without_nodules: int | float = within(SHARE, LUNA16_SHARE_WITHOUT_NODULES)
    nodules_per_scan: int | float = within(MEAN_NODULES, LUNA16_NODULES_PER_SCAN)
    largest_diameter_mm: int | float | None = within(DIAMETER_MM, None)
    nodule_contrast: int | float = within(AMOUNT, 1.0)
    noise_hu: int | float = within(AMOUNT, 40.0)  # NLST is low-dose
    vessel_density: int | float = within(AMOUNT, 1.0)
    confounders_per_scan: int | float = within(AMOUNT, 6.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        count, expected = len(self.defects), f"one a patient, {self.patients} at most: ask for more patients"
        self.expect(count <= self.patients, "defects", expected, found=count)
        _ = self.chest  # refuses fields that do not fit each other

    @functools.cached_property
    def chest(self) -> Luna16Phantom:
        """The spec that the anatomy and the findings of every patient are drawn from."""
        shared = {field.name for field in dataclasses.fields(Luna16Phantom)} & set(dataclasses.asdict(self))
        chosen = {name: getattr(self, name) for name in shared}
        return Luna16Phantom(**chosen, slice_spacing_mm=(1.0, THICKEST_SLICE_MM), share_contrast_enhanced=0.0)

    @property
    def studies(self) -> tuple[tuple[int, int], ...]:
        """Patient and year of every study."""
        return tuple((patient, year) for patient in range(self.patients) for year in range(self.studies_per_patient))

    def defect(self, patient: int, year: int) -> str:
        """The defect of a study; empty for none."""
        return self.defects[patient] if year == 0 and patient < len(self.defects) else ""

    def uid(self, *about: int | str) -> str:
        """The UID of a thing in the phantom."""
        return synthetic_uid("nlst", dataclasses.asdict(self.chest), *about)
