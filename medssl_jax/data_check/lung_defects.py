"""Defects of lungs by their volume, first of those that were found in a scan without a mask: are they a chest's?

Nobody drew them, and training looks nowhere else. The bounds are our choice and say what is worth a look: the lungs of
an adult hold 2 to 8 litres and make up a fifth to a half of the chest in view, whatever its size.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from medssl_jax.data.scans.scan_files import ScanFiles
from medssl_jax.data_check.defects import Defect
from medssl_jax.data_check.found_lungs import FoundLungs
from medssl_jax.imaging.geometry import Grid

ADULT_LITRES = (2.0, 8.0)
LEAST_LITRES = 1.0  # of a mask that somebody gave, or that is searched: a lobe alone, an air-filled bowel
LEAST_SHARE_OF_BODY = 0.1  # for what is less than an adult's chest: children, phantoms, parts of a chest
MOST_SHARE_AT_SIDES = 0.05  # there is body between a whole lung and the sides of the view
LOOK = "look at its picture, and give a mask where that is wrong: training looks nowhere else"
SMALL_MASK = "small lung mask"
DOUBTED = frozenset({"little lung found", "more than lungs found", "found lungs are cut", SMALL_MASK})


def lung_defects(name: str, found: FoundLungs) -> Iterator[Defect]:
    """Yields what is wrong, or worth a look, with the lungs that were found in a scan."""
    least, most = min(LEAST_SHARE_OF_BODY * found.body_litres, ADULT_LITRES[0]), ADULT_LITRES[1]
    if not found.litres:
        told = "no lungs are found in it, expected a CT of the chest: give a mask of its lungs, or take it away"
        yield Defect("no lungs found", name, told, True)
        return
    if found.litres < least:
        told = f"{found.litres:.2g} l in {found.body_litres:.2g} l of body, expected at least {least:.2g} l"
        yield Defect("little lung found", name, f"{told}: {LOOK}", False)
    if found.litres > most:
        told = f"{found.litres:.3g} l, expected at most {most:g} l"
        yield Defect("more than lungs found", name, f"{told}: {LOOK}", False)
    if found.share_at_sides > MOST_SHARE_AT_SIDES:
        told = f"{found.share_at_sides:.0%} of the surface of its lungs lies at the sides of the view"
        expected = f"expected at most {MOST_SHARE_AT_SIDES:.0%}, as of whole lungs"
        yield Defect("found lungs are cut", name, f"{told}, {expected}: {LOOK}", False)


def least_lung_litres(grid: Grid) -> float:
    """The litres below which a mask of both lungs is worth a look, in a scan on this grid; less in a small view."""
    return min(LEAST_LITRES, LEAST_SHARE_OF_BODY * litres_of(grid) * np.prod(grid.size_zyx).item())


def litres_of(grid: Grid) -> float:
    """The volume of a voxel in litres."""
    return float(np.prod(grid.spacing_zyx_mm)) / 1e6


def lung_masks_in_words(scans: Sequence[ScanFiles], *, find_lungs: bool) -> str:
    """Of how many scans the lungs are given, and of how many they are found where they are to be."""
    given = sum(scan.lungs_path is not None for scan in scans)
    found = len(scans) - given if find_lungs else 0
    return f"of {given} of {len(scans)} scans" + (f"; the lungs of {found} are found from their HU" if found else "")
