"""The cut of slides that a classifier learned on, and is to be used on."""

import dataclasses
from typing import ClassVar

from medssl_jax.core.settings import Settings, number, whole, within
from medssl_jax.imaging.slides import SlideLayout


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlideCutSettings(Settings, excerpt=True):
    """The patches that slides are cut into, and the grey level (0 to 255) up to which a patch is background."""

    section: ClassVar[str] = "data"
    grid: int = within(whole(1, 4096))
    patch_side: int = within(whole(1, 2**16))
    shrink: int = within(whole(1, 2**16))
    background_threshold: float = within(number(0, 255))

    @property
    def layout(self) -> SlideLayout:
        """The sizes of crop, patches and low-resolution image. Raises `InputError` for sizes that do not fit."""
        return SlideLayout(self.grid, self.patch_side, self.shrink)
