"""What a synthetic NLST is made of: one frozen record, complete enough to make the same bytes again."""

import dataclasses
import functools
import hashlib
import json

import numpy as np

from medssl_jax.core.errors import InputError
from medssl_jax.phantoms.chests.spec import (
    LUNA16_NODULES_PER_SCAN,
    LUNA16_SHARE_WITHOUT_NODULES,
    MOST_SCANS,
    Luna16Phantom,
    Number,
)

LAYOUTS = ("nbia", "idc")
MOST_STUDIES = 3  # NLST screened each person in three years
THICKEST_SLICE_MM = 2.5
# What can be planted in the thin soft reconstruction of a patient's first study. Compression does a training no harm.
DEFECTS = (
    "duplicate_slice",
    "htj2k_compressed",
    "jpeg_compressed",
    "metadata_missing_series",
    "missing_slice",
    "mixed_spacing",
    "not_ct",
    "same_series_twice",
    "short_series",
    "tilted_gantry",
    "truncated_file",
    "uneven_slices",
)
APART_FROM_LUNA16 = 0x4E4C5354  # keeps NLST's patients apart from those of a LUNA16 phantom of the same seed


@dataclasses.dataclass(frozen=True, kw_only=True)
class NlstPhantom:
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

    def __post_init__(self):
        object.__setattr__(self, "defects", tuple(self.defects))
        for field in dataclasses.fields(self.chest):
            if hasattr(self, field.name):
                object.__setattr__(self, field.name, getattr(self.chest, field.name))
        _check(1 <= self.patients <= MOST_SCANS, "patients", self.patients, f"1 or more, at most {MOST_SCANS}")
        _check(
            1 <= self.studies_per_patient <= MOST_STUDIES, "studies_per_patient", self.studies_per_patient, "1, 2 or 3"
        )
        _check(self.layout in LAYOUTS, "layout", self.layout, " or ".join(LAYOUTS))
        for defect in self.defects:
            _check(defect in DEFECTS, "defects", defect, f"some of {', '.join(DEFECTS)}")
        fits = len(self.defects) <= self.patients
        _check(fits, "defects", len(self.defects), f"one a patient, {self.patients} at most: ask for more patients")
        tellable = self.layout == "nbia" or "metadata_missing_series" not in self.defects
        _check(tellable, "defects", "metadata_missing_series", "that only with layout nbia: idc has no metadata.csv")

    @functools.cached_property
    def chest(self) -> Luna16Phantom:
        """What the anatomy and the findings of every patient are drawn from."""
        shared = {field.name for field in dataclasses.fields(Luna16Phantom)}
        chosen = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name in shared}
        return Luna16Phantom(**chosen, slice_spacing_mm=(1.0, THICKEST_SLICE_MM), share_contrast_enhanced=0.0)

    @property
    def studies(self) -> tuple[tuple[int, int], ...]:
        """Patient and year of every study."""
        return tuple((patient, year) for patient in range(self.patients) for year in range(self.studies_per_patient))

    def defect(self, patient: int, year: int) -> str:
        """What is planted in a study; empty for nothing."""
        return self.defects[patient] if year == 0 and patient < len(self.defects) else ""

    def uid(self, *about: int | str) -> str:
        """The UID of a thing in the phantom: under 2.25, the root for UUIDs, so never a real one."""
        text = json.dumps(["nlst", dataclasses.asdict(self.chest), *about], sort_keys=True)
        return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"

    def stream(self, *about: int) -> np.random.Generator:
        """Random numbers of their own for each thing."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, APART_FROM_LUNA16], spawn_key=about))


def _check(holds, field, found, expected):
    if not holds:
        raise InputError(f"phantom {field}: found {found}, expected {expected}")
