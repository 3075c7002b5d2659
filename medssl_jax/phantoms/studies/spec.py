"""The spec of a synthetic NLST: one frozen record, complete enough to make the same bytes again."""

import dataclasses
import functools
import hashlib
import json

import numpy as np

from medssl_jax.phantoms.chests.spec import LUNA16_NODULES_PER_SCAN, LUNA16_SHARE_WITHOUT_NODULES, Luna16Phantom
from medssl_jax.phantoms.spec import Number, PhantomSpec
from medssl_jax.phantoms.studies.defects import DEFECTS

LAYOUTS = ("nbia", "idc")
MOST_STUDIES = 3  # NLST screened each person in three years
THICKEST_SLICE_MM = 2.5
APART_FROM_LUNA16 = 0x4E4C5354  # keeps NLST's patients apart from those of a LUNA16 phantom of the same seed


@dataclasses.dataclass(frozen=True, kw_only=True)
class NlstPhantom(PhantomSpec):
    """A synthetic NLST. Neither the number of patients nor that of their studies changes a study.

    `layout` is that of NBIA's retriever (`nbia`) or of idc-index (`idc`). `defects[i]`, one of `DEFECTS`, is planted in
    the first study of patient `i`; without them the same studies come out whole, under the same UIDs. The other fields
    are those of `Luna16Phantom`. Raises InputError for a field out of range.
    """

    seed: int = 0
    patients: int = 4
    studies_per_patient: int = 2
    layout: str = "nbia"
    defects: tuple[str, ...] = ("jpeg_compressed",)
    chest_zyx_mm: tuple[Number, ...] = (80.0, 96.0, 112.0)
    in_plane_spacing_mm: tuple[Number, ...] = (0.55, 0.85)
    share_flipped: Number = 0.1
    share_without_nodules: Number = LUNA16_SHARE_WITHOUT_NODULES
    nodules_per_scan: Number = LUNA16_NODULES_PER_SCAN
    largest_diameter_mm: Number | None = None
    nodule_contrast: Number = 1.0
    noise_hu: Number = 40.0  # NLST is low-dose
    vessel_density: Number = 1.0
    confounders_per_scan: Number = 6.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "defects", tuple(self.defects))
        for field in dataclasses.fields(self.chest):
            if hasattr(self, field.name):
                object.__setattr__(self, field.name, getattr(self.chest, field.name))
        self.expect_counts("patients")
        self.expect_within(1, MOST_STUDIES, "1, 2 or 3", ["studies_per_patient"])
        self.expect(self.layout in LAYOUTS, "layout", " or ".join(LAYOUTS))
        for defect in self.defects:
            self.expect(defect in DEFECTS, "defects", f"some of {', '.join(DEFECTS)}", found=defect)
        count = len(self.defects)
        expected = f"one a patient, {self.patients} at most: ask for more patients"
        self.expect(count <= self.patients, "defects", expected, found=count)
        untold = "metadata_missing_series"
        expected = "that only with layout nbia: idc has no metadata.csv"
        self.expect(self.layout == "nbia" or untold not in self.defects, "defects", expected, found=untold)

    @functools.cached_property
    def chest(self) -> Luna16Phantom:
        """The spec that the anatomy and the findings of every patient are drawn from."""
        shared = {field.name for field in dataclasses.fields(Luna16Phantom)}
        chosen = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name in shared}
        return Luna16Phantom(**chosen, slice_spacing_mm=(1.0, THICKEST_SLICE_MM), share_contrast_enhanced=0.0)

    @property
    def studies(self) -> tuple[tuple[int, int], ...]:
        """Patient and year of every study."""
        return tuple((patient, year) for patient in range(self.patients) for year in range(self.studies_per_patient))

    def defect(self, patient: int, year: int) -> str:
        """The defect that is planted in a study; empty for none."""
        return self.defects[patient] if year == 0 and patient < len(self.defects) else ""

    def uid(self, *about: int | str) -> str:
        """The UID of a thing in the phantom: under 2.25, the root for UUIDs, so never a real one."""
        text = json.dumps(["nlst", dataclasses.asdict(self.chest), *about], sort_keys=True)
        return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"

    def stream(self, *about: int) -> np.random.Generator:
        """Random numbers of their own for each thing."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, APART_FROM_LUNA16], spawn_key=about))
