"""The spec of a synthetic LKS: one frozen record, complete enough to make the same bytes again."""

import dataclasses

from medssl_jax.core.settings import SHARE, each, number, one_of, whole
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.phantoms.slides.tiff import LAYOUTS
from medssl_jax.phantoms.spec import AMOUNT, COUNT, PhantomSpec, lowest_highest, within

LARGEST_CLASSIC_BYTES = 2**32 - 2**24
TELLING_GRID = 7  # the patches of a coarser one reach from one organ's halves to the other's
TELLING_SHRINK = 4  # a smaller box mean removes nothing that a patch could still show
LEAST_LOW_SIDE = 32
MIXED_LAYOUTS = ("strips-lzw", "strips-none", "tiles-lzw", "strips-deflate-big", "tiles-deflate", "tiles-none-big")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LksPhantom(PhantomSpec):
    """A synthetic LKS. A slide's pixels depend on every field but `train`, `test` and `layouts`.

    `grid`, `patch_side` and `shrink` are those of `medssl_jax.imaging.slides.SlideLayout`; LKS has 40, 1000 and 40.
    Organs grow with the slide, cells and fibres with `shrink` only, and no further than a few pixels. Raises InputError
    for a field out of range.
    """

    train: int = within(COUNT, 24)  # slides; LKS: 479
    test: int = within(COUNT, 12)  # LKS: 205
    grid: int = within(COUNT, 8)
    patch_side: int = within(COUNT, 128)
    shrink: int = within(whole(TELLING_SHRINK), 8)
    # Pixels beyond the centre crop on each side, lowest and highest.
    margin: tuple[int, ...] = within(lowest_highest(whole(0)), (0, 16))
    layouts: tuple[str, ...] = within(each(one_of(LAYOUTS)), MIXED_LAYOUTS)  # taken in turn by the slides of a split

    share_fine_only: int | float = within(SHARE, 0.3)  # of positive slides: the class shows at full resolution alone
    share_hazy: int | float = within(SHARE, 0.2)  # slides under a bright veil, of whatever class
    # Of the fine-only slides, so many are hazy by design, the others by chance: all that a low-resolution network can
    # know of its own blindness. 0: nothing at low resolution tells a fine-only slide from a negative one.
    share_hinted: int | float = within(SHARE, 0.0)

    stain: int | float = within(AMOUNT, 1.0)  # brightness of what the classes light up; 0: all slides look negative
    exposure_drift: int | float = within(AMOUNT, 0.2)  # standard deviation of the log of the exposure between slides
    noise: int | float = within(AMOUNT, 2.0)  # grey levels, standard deviation in tissue
    debris: int | float = within(AMOUNT, 1.0)  # 1: as on real slides; 0: clean

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect(self.patch_side % self.shrink == 0, "patch_side", f"a multiple of shrink, {self.shrink}")
        low_side = self.slide_layout.low_side
        expected = f"a low-resolution side of {LEAST_LOW_SIDE} or more"
        self.expect(low_side >= LEAST_LOW_SIDE, "grid * patch_side / shrink", expected, found=low_side)
        widest = self.side // 8
        self.expect(self.margin[1] <= widest, "margin", f"at most {widest}, an eighth of the side")
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class TellingPhantom(LksPhantom):
    """Slides that can tell whether a rule knows where the HRN helps: what each resolution shows varies by itself.

    Every slide draws its conditions independently (`conditions.Conditions`), whatever its class or a method makes of
    them. The low-resolution image shows the class by which halves of the organs are brighter (`places`), single patches
    by a texture that shrinking removes: neither shows what the other does. The slides are small, so that thousands can
    be made. The numbers are our choice, fitted and frozen as docs/telling_phantom.md tells. Raises InputError for a
    field out of range.
    """

    grid: int = within(whole(TELLING_GRID), 8)
    patch_side: int = within(COUNT, 32)
    shrink: int = within(whole(TELLING_SHRINK), 8)
    share_fine_only: int | float = within(SHARE, 0.0)  # of positive slides: the lowest legibility of all, 0
    share_hazy: int | float = within(SHARE, 0.0)  # on top of the veil that tells of a bad focus

    # Lowest and highest factor of what a class shows at low resolution, and at full resolution.
    legibility: tuple[float, ...] = within(lowest_highest(AMOUNT), (0.42, 1.12))
    fine_legibility: tuple[float, ...] = within(lowest_highest(AMOUNT), (1.4, 2.4))
    # Cells with an arteriole, all that SMA-V lights up at full resolution: of a patch's few, more than elsewhere.
    share_with_vessel: int | float = within(number(0, 1, above=True), 0.4)
    share_out_of_focus: int | float = within(SHARE, 0.42)
    focus_blur: int | float = within(AMOUNT, 2.0)  # pixels more of blur where it is out of focus
    focus_debris: int | float = within(AMOUNT, 3.0)  # so many times the debris there
    # A veil, which both resolutions show, tells of the focus, with errors: on so many of the slides it lies where the
    # focus is good, or does not where it is bad.
    share_misleading: int | float = within(SHARE, 0.15)
    share_weak: int | float = within(SHARE, 0.12)  # positive slides of a weak serum
    weak_strength: int | float = within(AMOUNT, 0.25)  # of a weak serum, as a share of what it would be
    share_flipped: int | float = within(SHARE, 0.3)  # of the weak ones: raters call them negative
    share_lipofuscin: int | float = within(SHARE, 0.2)  # negative slides with granules as of AMA, at full resolution
    lipofuscin: int | float = within(AMOUNT, 0.7)  # brightness of those granules, as a share of AMA's


VARIANTS = {"plain": LksPhantom, "telling": TellingPhantom}
