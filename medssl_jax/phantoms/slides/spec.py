"""What a synthetic LKS is made of: one frozen record, complete enough to make the same bytes again."""

import dataclasses
import sys

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.slides import SlideLayout

MOST_SLIDES = 100_000  # also patches a side, and pixels of one
LARGEST_CLASSIC_BYTES = 2**32 - 2**24
TELLING_SHRINK = 4  # a smaller box mean removes nothing that a patch could still show

# How a slide may lie in its file: strips or tiles, its compression, "big" for BigTIFF.
LAYOUTS = tuple(
    "-".join(filter(None, (pieces, compression, big)))
    for pieces in ("strips", "tiles")
    for compression in ("none", "lzw", "deflate")
    for big in ("", "big")
)
MIXED_LAYOUTS = ("strips-lzw", "strips-none", "tiles-lzw", "strips-deflate-big", "tiles-deflate", "tiles-none-big")

Number = int | float  # 0.3 and 3 make the same phantom as 0.3 and 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class LksPhantom:
    """A synthetic LKS. A slide's pixels depend on every field but `train`, `test` and `layouts`.

    `grid`, `patch_side` and `shrink` are those of `medssl_jax.imaging.slides.SlideLayout`; LKS has 40, 1000 and 40.
    Organs grow with the slide, cells and fibres with `shrink` only, and no further than a few pixels. Raises InputError
    for a field out of range.
    """

    seed: int = 0
    train: int = 24  # slides; LKS: 479
    test: int = 12  # LKS: 205
    grid: int = 8
    patch_side: int = 128
    shrink: int = 8
    margin: tuple[int, ...] = (0, 16)  # pixels beyond the centre crop on each side, lowest and highest
    layouts: tuple[str, ...] = MIXED_LAYOUTS  # taken in turn by the slides of a split

    share_fine_only: Number = 0.3  # of the positive slides: the class shows at full resolution alone
    share_hazy: Number = 0.2  # slides under a bright veil, of whatever class
    # Of the fine-only slides, so many are hazy by design, the others by chance: all that a low-resolution network can
    # know of its own blindness. 0: nothing at low resolution tells a fine-only slide from a negative one.
    share_hinted: Number = 0.0

    stain: Number = 1.0  # brightness of what the classes light up; 0: all slides look negative
    exposure_drift: Number = 0.2  # standard deviation of the log of the exposure between slides
    noise: Number = 2.0  # grey levels, standard deviation in tissue
    debris: Number = 1.0  # 1: as on real slides; 0: clean

    def __post_init__(self):
        self._make_uniform()
        for field in ("seed", *_NUMBERS, *_SHARES):
            value = getattr(self, field)
            _check(0 <= value <= sys.float_info.max, field, value, "a finite number, 0 or more")
        for field in ("train", "test", "grid", "patch_side"):
            fits = 1 <= getattr(self, field) <= MOST_SLIDES
            _check(fits, field, getattr(self, field), f"1 or more, at most {MOST_SLIDES}")
        for field in _SHARES:
            _check(getattr(self, field) <= 1, field, getattr(self, field), "a share between 0 and 1")
        _check(self.shrink >= TELLING_SHRINK, "shrink", self.shrink, f"{TELLING_SHRINK} or more")
        expected = f"a multiple of shrink, {self.shrink}"
        _check(self.patch_side % self.shrink == 0, "patch_side", self.patch_side, expected)
        low_side = self.slide_layout.low_side
        _check(low_side >= 32, "grid * patch_side / shrink", low_side, "a low-resolution side of 32 or more")
        highest = self.side // 8
        ordered = len(self.margin) == 2 and 0 <= self.margin[0] <= self.margin[1] <= highest
        _check(ordered, "margin", self.margin, f"a range lowest,highest between 0 and {highest}, an eighth of the side")
        _check(len(self.layouts) > 0, "layouts", self.layouts, "one or more")
        for layout in self.layouts:
            _check(layout in LAYOUTS, "layouts", layout, f"one of {', '.join(LAYOUTS)}")
        too_large = (self.side + 2 * self.margin[1]) ** 2 > LARGEST_CLASSIC_BYTES
        if too_large:
            classic = [layout for layout in self.layouts if not layout.endswith("-big")]
            expected = f"BigTIFF (ending in -big) for slides of {self.side} pixels a side, which may pass 4 GB"
            _check(not classic, "layouts", ", ".join(classic), expected)

    @property
    def side(self) -> int:
        """Pixels a side of the centre crop."""
        return self.slide_layout.side

    @property
    def slide_layout(self) -> SlideLayout:
        """How the reader cuts these slides."""
        return SlideLayout(self.grid, self.patch_side, self.shrink)

    def _make_uniform(self):
        for field in (*_NUMBERS, *_SHARES):
            object.__setattr__(self, field, float(getattr(self, field)))
        object.__setattr__(self, "margin", tuple(int(pixels) for pixels in self.margin))
        object.__setattr__(self, "layouts", tuple(self.layouts))


_SHARES = ("share_fine_only", "share_hazy", "share_hinted")
_NUMBERS = ("stain", "exposure_drift", "noise", "debris")


def _check(holds, field, found, expected):
    if not holds:
        raise InputError(f"phantom {field}: found {found}, expected {expected}")
