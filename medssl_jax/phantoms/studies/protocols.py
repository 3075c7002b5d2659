"""How each manufacturer's scanners in NLST reconstruct and store a chest: kernels, slice thickness, kind of number.

A study is reconstructed thin with a soft kernel, and also thick with the same one, sharp for the lungs, or both.
"""

import dataclasses

import numpy as np

from medssl_jax.phantoms.dicom_series import Storage

THIN_SOFT, THICK_SOFT, SHARP = "thin soft", "thick soft", "sharp"
THICK_SLICES = 2  # thin ones in a thick one
SHARE_WITH_ALL = 2 / 3


@dataclasses.dataclass(frozen=True)
class Manufacturer:
    """One manufacturer's habits."""

    name: str
    code: str  # in NLST's series descriptions
    models: tuple[tuple[str, str], ...]  # as the header says, and in short
    soft_kernel: str
    sharp_kernels: tuple[str, ...]
    thin_mm: float
    storage: Storage


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One study: scanner, and its reconstructions in the order they were made."""

    manufacturer: Manufacturer
    model: str
    model_code: str
    roles: tuple[str, ...]
    sharp_kernel: str

    def kernel(self, role: str) -> str:
        """The kernel of a reconstruction."""
        return self.sharp_kernel if role == SHARP else self.manufacturer.soft_kernel

    def slice_mm(self, role: str) -> float:
        """The slice thickness of a reconstruction."""
        return self.manufacturer.thin_mm * (THICK_SLICES if role == THICK_SOFT else 1)


GE_MODELS = (("LightSpeed QX/i", "LSQX"), ("LightSpeed Plus", "LSPLUS"), ("LightSpeed16", "LS16"))
GE_STORAGE = Storage(True, 16, -1024, -3024)
SIEMENS_MODELS = (("Volume Zoom", "VZOOM"), ("Sensation 16", "SEN16"))
MANUFACTURERS = (
    Manufacturer("GE MEDICAL SYSTEMS", "GE", GE_MODELS, "STANDARD", ("LUNG", "BONE"), 1.25, GE_STORAGE),
    Manufacturer("SIEMENS", "SE", SIEMENS_MODELS, "B30f", ("B50f", "B80f"), 1.0, Storage(False, 12, -1024, None)),
    Manufacturer("Philips", "PH", (("Mx8000", "MX8000"),), "C", ("D",), 1.0, Storage(False, 16, -1024, None)),
    Manufacturer("TOSHIBA", "TO", (("Aquilion", "AQUL4"),), "FC01", ("FC51",), 1.0, Storage(True, 16, 0, -2048)),
)


def draw_protocol(rng: np.random.Generator) -> Protocol:
    """Draws the protocol of one study."""
    manufacturer = MANUFACTURERS[rng.integers(len(MANUFACTURERS))]
    model, code = manufacturer.models[rng.integers(len(manufacturer.models))]
    roles = [THIN_SOFT, THICK_SOFT, SHARP]
    if rng.random() > SHARE_WITH_ALL:
        roles.remove((THICK_SOFT, SHARP)[rng.integers(2)])
    sharp_kernel = manufacturer.sharp_kernels[rng.integers(len(manufacturer.sharp_kernels))]
    return Protocol(manufacturer, model, code, tuple(rng.permutation(roles).tolist()), sharp_kernel)
