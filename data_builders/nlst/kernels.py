"""The sharpness of scanners' reconstruction kernels.

Soft ones are meant for soft tissue, sharp ones for lung and bone. Soft ones are taken first: sharp ones add noise, and
most of LUNA16's scans are not so sharp. The tables are ours, from common usage.
"""

import enum
import re
from collections.abc import Callable, Collection

GE_SOFT = frozenset({"STANDARD", "SOFT", "CHST", "STND"})
GE_SHARP = frozenset({"LUNG", "BONE", "BONEPLUS", "DETAIL", "EDGE", "ULTRA"})
PHILIPS_SOFT = frozenset("ABC")
PHILIPS_SHARP = frozenset("DEL")
SIEMENS_SHARP_FROM = 45  # B20f to B40f are soft, B45f to B80f sharp; the letter after the number is the scan's mode
TOSHIBA_SOFT = range(1, 19)  # FC01 to FC18: body, with and without correction of beam hardening
TOSHIBA_SHARP = (range(30, 40), range(50, 60), range(80, 90))  # bone, lung, high resolution


class Sharpness(enum.IntEnum):
    """Softer is smaller; a kernel that no table has lies between."""

    SOFT = 0
    UNKNOWN = 1
    SHARP = 2


def sharpness(manufacturer: str, kernel: str) -> Sharpness:
    """The sharpness of a kernel, by DICOM's Manufacturer and ConvolutionKernel (the first value, if several)."""
    judge = _JUDGES.get(re.split(r"[\W_]", manufacturer.strip().upper())[0])
    return judge(kernel.split("\\")[0].strip().upper()) if judge else Sharpness.UNKNOWN


def _by_name(soft: Collection[str], sharp: Collection[str]) -> Callable[[str], Sharpness]:
    return lambda name: Sharpness.SOFT if name in soft else Sharpness.SHARP if name in sharp else Sharpness.UNKNOWN


def _siemens(name: str) -> Sharpness:
    match = re.fullmatch(r"[A-Z]{1,2}(\d\d)[A-Z]*", name)
    if not match:
        return Sharpness.UNKNOWN
    return Sharpness.SHARP if int(match[1]) >= SIEMENS_SHARP_FROM else Sharpness.SOFT


def _toshiba(name: str) -> Sharpness:
    match = re.fullmatch(r"FC(\d\d)", name)
    if not match:
        return Sharpness.UNKNOWN
    number = int(match[1])
    if number in TOSHIBA_SOFT:
        return Sharpness.SOFT
    return Sharpness.SHARP if any(number in numbers for numbers in TOSHIBA_SHARP) else Sharpness.UNKNOWN


_philips = _by_name(PHILIPS_SOFT, PHILIPS_SHARP)
_JUDGES = {
    "SIEMENS": _siemens,
    "PHILIPS": _philips,
    "MARCONI": _philips,  # whose scanners became Philips's
    "PICKER": _philips,
    "TOSHIBA": _toshiba,
    "CANON": _toshiba,
    "GE": _by_name(GE_SOFT, GE_SHARP),
}
