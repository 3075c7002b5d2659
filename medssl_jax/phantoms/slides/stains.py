"""The tissue that each class lights up, in grey levels at an exposure of 1.

AMA binds mitochondria: granules in the cytoplasm of kidney tubules and of the stomach's parietal cells. SMA binds
smooth muscle: SMA-V that of vessel walls, large and small, and of the stomach; SMA-T that of the stomach and the fibres
round tubules and glands.
"""

import dataclasses

from medssl_jax.phantoms.slides.roster import PlannedSlide
from medssl_jax.phantoms.slides.spec import LksPhantom, TellingPhantom


@dataclasses.dataclass(frozen=True)
class Stain:
    """Brightness of a serum's targets. The first three are large enough for the low-resolution image."""

    muscle: float = 0.0
    vessel_walls: float = 0.0
    spread: float = 0.0  # cell by cell, too even to be resolved
    granules: float = 0.0
    fibres: float = 0.0
    arterioles: float = 0.0
    liver_share: float = 0.0  # of what the kidney shows
    mucosa_share: float = 1.0

    @property
    def parenchyma(self) -> bool:
        """True where anything but muscle and large vessels takes the stain."""
        return bool(self.spread or self.granules or self.fibres or self.arterioles)


STAINS = {
    "Neg": Stain(),
    "AMA": Stain(spread=4.0, granules=44.0, liver_share=0.15, mucosa_share=1.35),
    "SMA-V": Stain(muscle=26.0, vessel_walls=40.0, arterioles=50.0, liver_share=0.6, mucosa_share=0.6),
    "SMA-T": Stain(muscle=32.0, spread=2.0, fibres=42.0, liver_share=0.1),
}
AUTOFLUORESCENCE = {"mount": 7.0, "kidney": 16.0, "liver": 13.0, "muscle": 20.0, "mucosa": 15.0}
HAZE = 12.0  # of a telling phantom's serum, whatever the class, in kidney and liver
# The share of its autofluorescence that a tissue's relief takes.
RELIEF = {"kidney": 0.45, "liver": 0.2, "muscle": 0.3, "mucosa": 0.5}


def stain_of(spec: LksPhantom, slide: PlannedSlide) -> Stain:
    """The stain of a slide; one that is fine only, as all are of a telling phantom, has no large targets."""
    label, factor, fine_only = slide.label, spec.stain * slide.strength, slide.fine_only
    if isinstance(spec, TellingPhantom) and slide.conditions is not None:
        factor, fine_only = spec.stain * slide.conditions.fine * titre(spec, slide), True
        if slide.conditions.lipofuscin:
            label, factor = "AMA", factor * spec.lipofuscin
    stain = STAINS[label]
    scaled = {
        field.name: getattr(stain, field.name) * factor
        for field in dataclasses.fields(stain)
        if not field.name.endswith("_share")
    }
    if fine_only:
        scaled |= {"muscle": 0.0, "vessel_walls": 0.0, "spread": 0.0}
    return dataclasses.replace(stain, **scaled)


def titre(spec: TellingPhantom, slide: PlannedSlide) -> float:
    """How strong the serum of a telling phantom's slide is, 1 unless it is weak; both resolutions show as much less."""
    return float(spec.weak_strength) if slide.conditions is not None and slide.conditions.weak else 1.0
