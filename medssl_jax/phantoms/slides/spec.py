"""The spec of a synthetic LKS: one frozen record, complete enough to make the same bytes again."""

import dataclasses

from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.phantoms.slides.tiff import LAYOUTS
from medssl_jax.phantoms.spec import Number, PhantomSpec

LARGEST_CLASSIC_BYTES = 2**32 - 2**24
TELLING_SHRINK = 4  # a smaller box mean removes nothing that a patch could still show
MIXED_LAYOUTS = ("strips-lzw", "strips-none", "tiles-lzw", "strips-deflate-big", "tiles-deflate", "tiles-none-big")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LksPhantom(PhantomSpec):
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

    def __post_init__(self) -> None:
        shares = ("share_fine_only", "share_hazy", "share_hinted")
        amounts = ("stain", "exposure_drift", "noise", "debris")
        for field in (*shares, *amounts):
            object.__setattr__(self, field, float(getattr(self, field)))
        object.__setattr__(self, "margin", tuple(int(pixels) for pixels in self.margin))
        object.__setattr__(self, "layouts", tuple(self.layouts))
        self.expect_amounts("seed", *amounts)
        self.expect_counts("train", "test", "grid", "patch_side")
        self.expect_shares(*shares)
        self.expect(self.shrink >= TELLING_SHRINK, "shrink", f"{TELLING_SHRINK} or more")
        self.expect(self.patch_side % self.shrink == 0, "patch_side", f"a multiple of shrink, {self.shrink}")
        low_side = self.slide_layout.low_side
        expected = "a low-resolution side of 32 or more"
        self.expect(low_side >= 32, "grid * patch_side / shrink", expected, found=low_side)
        highest = self.side // 8
        ordered = len(self.margin) == 2 and 0 <= self.margin[0] <= self.margin[1] <= highest
        self.expect(ordered, "margin", f"a range lowest,highest between 0 and {highest}, an eighth of the side")
        self.expect(len(self.layouts) > 0, "layouts", "one or more")
        for layout in self.layouts:
            self.expect(layout in LAYOUTS, "layouts", f"one of {', '.join(LAYOUTS)}", found=layout)
        classic = [layout for layout in self.layouts if not layout.endswith("-big")]
        fits = (self.side + 2 * self.margin[1]) ** 2 <= LARGEST_CLASSIC_BYTES
        expected = f"BigTIFF (ending in -big) for slides of {self.side} pixels a side, which may pass 4 GB"
        self.expect(fits or not classic, "layouts", expected, found=", ".join(classic))

    @property
    def side(self) -> int:
        """Pixels a side of the centre crop."""
        return self.slide_layout.side

    @property
    def slide_layout(self) -> SlideLayout:
        """How the reader cuts these slides."""
        return SlideLayout(self.grid, self.patch_side, self.shrink)
