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
# Of the classes that a telling phantom has differ by place: where in the organs their stain is brightest.
PLACES = {"SMA-V": "near", "SMA-T": "far"}  # from the neck
# The share of its autofluorescence that a tissue's relief takes.
RELIEF = {"kidney": 0.45, "liver": 0.2, "muscle": 0.3, "mucosa": 0.5}


def stain_of(spec: LksPhantom, slide: PlannedSlide) -> Stain:
    """The stain of a slide; a fine-only one has no large targets."""
    stain, factor = STAINS[slide.label], spec.stain * slide.strength
    if isinstance(spec, TellingPhantom) and slide.conditions is not None:
        if slide.label in PLACES:
            stain = _towards_common(stain, spec.share_placed)
        if slide.conditions.weak:
            factor *= spec.weak_strength
        if slide.conditions.lipofuscin:
            stain = dataclasses.replace(STAINS["AMA"], spread=0.0)
            factor *= spec.lipofuscin
    scaled = {
        field.name: getattr(stain, field.name) * factor
        for field in dataclasses.fields(stain)
        if not field.name.endswith("_share")
    }
    if slide.fine_only:
        scaled |= {"muscle": 0.0, "vessel_walls": 0.0, "spread": 0.0}
    return dataclasses.replace(stain, **scaled)


def _towards_common(stain: Stain, share: float) -> Stain:
    """So much of the way to what the classes that differ by place have in common, the mean of their stains."""
    return Stain(
        *(
            (1 - share) * getattr(stain, field.name)
            + share * sum(getattr(STAINS[label], field.name) for label in PLACES) / len(PLACES)
            for field in dataclasses.fields(Stain)
        )
    )
