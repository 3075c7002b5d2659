"""Problems of the headers of one series, each as a sentence that begins with the problem's name."""

import collections
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epy

from medssl_jax.core.names import brief, some
from medssl_jax.imaging.dicom.fragments import UNCOMPRESSED
from medssl_jax.imaging.dicom.headers import Header
from medssl_jax.imaging.dicom.pixels import READABLE
from medssl_jax.imaging.geometry import FARTHEST_MM

with epy.lazy_imports():
    from pydicom import uid


class Numbers(NamedTuple):
    """The count and the range of the numbers that a field has in any CT."""

    length: int
    least: float
    most: float
    is_whole: bool = False

    def __str__(self) -> str:
        numbers = "a whole number" if self.is_whole else "a number" if self.length == 1 else f"{self.length} numbers"
        return f"{numbers} from {self.least:g} to {self.most:g}"

    def hold(self, value: Any) -> bool:
        """True where a value is such numbers."""
        values = value if isinstance(value, tuple) else (value,)
        kinds = int if self.is_whole else int | float
        return len(values) == self.length and all(
            isinstance(each, kinds) and self.least <= each <= self.most for each in values
        )


NUMBERS = {
    "Rows": Numbers(1, 1, 65535, True),
    "Columns": Numbers(1, 1, 65535, True),
    "PixelSpacing": Numbers(2, 0.01, 100),
    "ImagePositionPatient": Numbers(3, -FARTHEST_MM, FARTHEST_MM),
    "ImageOrientationPatient": Numbers(6, -1.01, 1.01),
    "RescaleSlope": Numbers(1, 1e-3, 1e3),
    "RescaleIntercept": Numbers(1, -1e6, 1e6),
    "SamplesPerPixel": Numbers(1, 1, 1, True),
    "BitsAllocated": Numbers(1, 8, 32, True),
    "BitsStored": Numbers(1, 1, 32, True),
    "HighBit": Numbers(1, 0, 31, True),
    "PixelRepresentation": Numbers(1, 0, 1, True),
}
BITS_ALLOCATED = (8, 16, 32)
SHAPE_FIELDS = ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient")
SHARED_FIELDS = {
    "Rows": "mixed size",
    "Columns": "mixed size",
    "PixelSpacing": "mixed spacing",
    "ImageOrientationPatient": "mixed orientation",
    "PatientID": "mixed patients",
    "StudyInstanceUID": "mixed studies",
}
SAME = 1e-4  # in spacing and orientation, between slices
# Compressed slices may unpack to this many bytes for each of their own, and any series to a quarter of a gigabyte.
LARGEST_RATIO, ALWAYS_ALLOWED_BYTES = 200, 1 << 28


def field_problems(headers: Sequence[Header]) -> Iterator[str]:
    """Yields what keeps files from being slices of one stack.

    Not CT; localizer; several frames; grey values of another kind; fields missing, without sense, or differing.
    """
    for modality, others in _by_value(headers, "Modality").items():
        if modality != "CT":
            yield f"not CT: Modality is {brief(modality)}, expected CT, in {names_of(others)}"
            return
    scouts = [header for header in headers if "LOCALIZER" in _image_type(header)]
    if scouts:
        yield f"localizer: by its ImageType, expected a slice, in {names_of(scouts)}"
        return
    for frames, others in _by_value(headers, "NumberOfFrames").items():
        if frames not in (None, 1):
            yield f"several frames: {brief(frames)} frames, expected one slice a file, in {names_of(others)}"
            return
    wrong = set()
    for field in ("PhotometricInterpretation", *NUMBERS):
        if absent := [header for header in headers if header.get(field) is None]:
            yield f"field missing: no {field} in the header of {names_of(absent)}, expected a CT slice"
            wrong.add(field)
    for kind, others in _by_value(headers, "PhotometricInterpretation").items():
        if kind not in (None, "MONOCHROME2"):
            yield (
                f"grey values: PhotometricInterpretation is {brief(kind)} in {names_of(others)}, expected MONOCHROME2: "
                "export the series again so"
            )
    for field, numbers in NUMBERS.items():
        found = [
            f"{brief(value)} in {names_of(others)}"
            for value, others in _by_value(headers, field).items()
            if value is not None and not numbers.hold(value)
        ]
        if found:
            yield f"field without sense: {field} is {some(found, most=1)}, expected {numbers}"
            wrong.add(field)
    if wrong.isdisjoint({"BitsAllocated", "BitsStored", "HighBit"}):
        yield from _bit_problems(headers)
    for field, problem in SHARED_FIELDS.items():
        if field not in wrong:
            yield from _mixed(headers, field, problem)


def pixel_problems(headers: Sequence[Header]) -> Iterator[str]:
    """Yields what keeps pixels from being read: compression; pixels absent, cut short or of another size; too many."""
    for syntax, others in _by_value(headers, "TransferSyntaxUID").items():
        if syntax not in READABLE:
            kind = uid.UID(syntax).name or "no TransferSyntaxUID"
            yield f"compression: cannot read {names_of(others)} ({brief(kind)}): decompress it"
    for damage in dict.fromkeys(header.damage for header in headers if header.damage):
        problem, _, found = damage.partition(": ")
        damaged = names_of([header for header in headers if header.damage == damage])
        yield f"{problem}: {damaged}: {found}: copy it again"
    whole = [header for header in headers if not header.damage and _states_its_size(header)]
    stored = [header for header in whole if header.get("TransferSyntaxUID") in UNCOMPRESSED]
    short = [header for header in stored if _held_bytes(header) < _pixel_bytes(header)]
    if short:
        yield f"truncated file: {_too_few_or_many(short[0])}, in {names_of(short)}: copy it again"
    # The standard fills an odd number of bytes up.
    long = [header for header in stored if _held_bytes(header) > _pixel_bytes(header) + _pixel_bytes(header) % 2]
    if long:
        yield f"other size: {_too_few_or_many(long[0])}, in {names_of(long)}: export it again"
    compressed = [header for header in whole if header.get("TransferSyntaxUID") not in UNCOMPRESSED]
    held, claimed = sum(map(_held_bytes, compressed)), sum(map(_pixel_bytes, compressed))
    if claimed > max(ALWAYS_ALLOWED_BYTES, LARGEST_RATIO * held):
        yield (
            f"too many voxels: {claimed / 1e9:.1f} GB of them in {held} bytes of data, in {names_of(compressed)}: "
            "copy or export it again"
        )


def could_belong(header: Header, other: Header) -> bool:
    """True where an image could be a slice of another series: what it states of shape and direction is the same.

    Localizers have not, and pictures of the scanner's screen say that they are secondary.
    """
    if not {"LOCALIZER", "SECONDARY"}.isdisjoint(_image_type(header)):
        return False
    values = ((header.get(field), other.get(field)) for field in ("Modality", *SHAPE_FIELDS))
    return all(value is None or _is_same(value, expected) for value, expected in values)


def _is_same(value: Any, other: Any) -> bool:
    """True where two values of a field are the same, numbers within what rounding makes of them."""
    finite = Numbers(len(value) if isinstance(value, tuple) else 1, -1e9, 1e9)
    if not (finite.hold(value) and finite.hold(other)):
        return value == other
    return np.allclose(value, other, rtol=0, atol=SAME)


def names_of(headers: Sequence[Header]) -> str:
    """The first of the files, and how many there are beside."""
    return some([header.name for header in headers], most=1)


def _image_type(header: Header) -> tuple[Any, ...]:
    image_type = header.get("ImageType")
    return image_type if isinstance(image_type, tuple) else (image_type,)


def _bit_problems(headers: Sequence[Header]) -> Iterator[str]:
    for header in headers:
        allocated, stored, high = (header.get(field) for field in ("BitsAllocated", "BitsStored", "HighBit"))
        if allocated not in BITS_ALLOCATED:
            yield (
                f"field without sense: BitsAllocated is {allocated} in {header.name}, expected one of {BITS_ALLOCATED}"
            )
            return
        if stored > allocated or high != stored - 1:
            yield (
                f"field without sense: BitsStored is {stored} and HighBit {high} in {header.name}, expected the "
                f"lowest of the {allocated} bits of BitsAllocated"
            )
            return


def _mixed(headers: Sequence[Header], field: str, problem: str) -> Iterator[str]:
    by_value = _by_value(headers, field)
    usual = max(by_value, key=lambda value: len(by_value[value]))
    for value, others in by_value.items():
        if not _is_same(value, usual):
            yield (
                f"{problem}: {field} is {brief(value)} in {names_of(others)}, the series' other slices have "
                f"{brief(usual)}"
            )
            return


def _states_its_size(header: Header) -> bool:
    shape_makes_sense = all(NUMBERS[field].hold(header.get(field)) for field in ("Rows", "Columns"))
    return shape_makes_sense and header.get("BitsAllocated") in BITS_ALLOCATED


def _pixel_bytes(header: Header) -> int:
    """Bytes of the pixels, decompressed, by a header that states their size."""
    return header.get("Rows") * header.get("Columns") * header.get("BitsAllocated") // 8


def _held_bytes(header: Header) -> int:
    return sum(fragment.length for fragment in header.fragments)


def _too_few_or_many(header: Header) -> str:
    few_or_many = "few" if _held_bytes(header) < _pixel_bytes(header) else "many"
    size = f"{header.get('Rows')} x {header.get('Columns')}"
    return f"{_held_bytes(header)} bytes of pixels, too {few_or_many} for {size} voxels of {_pixel_bytes(header)}"


def _by_value(headers: Sequence[Header], field: str) -> dict[Any, list[Header]]:
    by_value = collections.defaultdict(list)
    for header in headers:
        by_value[header.get(field)].append(header)
    return by_value
