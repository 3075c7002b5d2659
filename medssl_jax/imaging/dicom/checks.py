"""Problems of the headers of one series, each as a sentence that begins with the problem's name."""

import collections
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epy

from medssl_jax.core.names import printable
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
LONGEST_TEXT = 80  # of a value in a message


def field_problems(headers: Sequence[Header]) -> Iterator[str]:
    """Yields what keeps files from being slices of one stack.

    Not CT; localizer; several frames; grey values of another kind; fields missing, without sense, or differing.
    """
    for modality, names in _names_by_value(headers, "Modality").items():
        if modality != "CT":
            yield f"not CT: Modality is {brief(modality)}, expected CT, in {some(names)}"
            return
    scouts = [header for header in headers if _is_localizer(header)]
    if scouts:
        yield f"localizer: {_names(scouts)} is one by its ImageType, expected slices"
        return
    for frames, names in _names_by_value(headers, "NumberOfFrames").items():
        if frames not in (None, 1):
            yield f"several frames: {some(names)} holds {brief(frames)} frames, expected one slice a file"
            return
    for kind, names in _names_by_value(headers, "PhotometricInterpretation").items():
        if kind is None:
            yield f"field missing: no PhotometricInterpretation in the header of {some(names)}, expected a CT slice"
        elif kind != "MONOCHROME2":
            yield (
                f"grey values: PhotometricInterpretation is {brief(kind)} in {some(names)}, expected MONOCHROME2: "
                "export the series again so"
            )
    wrong = set()
    for field, numbers in NUMBERS.items():
        names_by_value = _names_by_value(headers, field)
        if None in names_by_value:
            names = names_by_value.pop(None)
            yield f"field missing: no {field} in the header of {some(names)}, expected a CT slice"
            wrong.add(field)
        senseless = [value for value in names_by_value if not numbers.hold(value)]
        if senseless:
            value = senseless[0]
            yield (
                f"field without sense: {field} is {brief(value)} in {some(names_by_value[value])}"
                f"{others(len(senseless) - 1)}, expected {numbers}"
            )
            wrong.add(field)
    if wrong.isdisjoint({"BitsAllocated", "BitsStored", "HighBit"}):
        yield from _bit_problems(headers)
    for field, problem in SHARED_FIELDS.items():
        if field not in wrong:
            yield from _mixed(headers, field, problem)


def pixel_problems(headers: Sequence[Header]) -> Iterator[str]:
    """Yields what keeps pixels from being read: compression; pixels absent, cut short or of another size; too many."""
    for syntax, names in _names_by_value(headers, "TransferSyntaxUID").items():
        if syntax not in READABLE:
            kind = uid.UID(syntax).name or "no TransferSyntaxUID"
            yield f"compression: cannot read {some(names)} ({brief(kind)}): decompress it"
    for damage, names in _grouped((header.damage, header) for header in headers if header.damage).items():
        problem, _, found = damage.partition(": ")
        yield f"{problem}: {some(names)}: {found}: copy it again"
    whole = [header for header in headers if not header.damage and _states_its_size(header)]
    stored = [header for header in whole if header.get("TransferSyntaxUID") in UNCOMPRESSED]
    short = [header for header in stored if _held_bytes(header) < _pixel_bytes(header)]
    if short:
        yield f"truncated file: {_names(short)} has {_too_few_or_many(short[0])}: copy it again"
    # The standard fills an odd number of bytes up.
    long = [header for header in stored if _held_bytes(header) > _pixel_bytes(header) + _pixel_bytes(header) % 2]
    if long:
        yield f"other size: {_names(long)} has {_too_few_or_many(long[0])}: export it again"
    compressed = [header for header in whole if header.get("TransferSyntaxUID") not in UNCOMPRESSED]
    held, claimed = sum(map(_held_bytes, compressed)), sum(map(_pixel_bytes, compressed))
    if claimed > max(ALWAYS_ALLOWED_BYTES, LARGEST_RATIO * held):
        yield (
            f"too many voxels: {_names(compressed)} claims voxels of {claimed / 1e9:.1f} GB in {held} bytes of data: "
            "copy or export it again"
        )


def _is_localizer(header: Header) -> bool:
    """True where the header calls the image a localizer."""
    return "LOCALIZER" in _image_type(header)


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


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many others there are."""
    return names[0] + others(len(names) - 1)


def others(count: int) -> str:
    """How many more there are, if any."""
    return f" (and {count} more)" if count else ""


def brief(value: Any) -> str:
    """A value as one line of text for a message, cut where it is long."""
    text = printable(str(value))
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."


def _image_type(header: Header) -> tuple[Any, ...]:
    image_type = header.get("ImageType")
    return image_type if isinstance(image_type, tuple) else (image_type,)


def _bit_problems(headers: Sequence[Header]) -> Iterator[str]:
    for header in headers:
        allocated, stored, high = (header.get(field) for field in ("BitsAllocated", "BitsStored", "HighBit"))
        if allocated not in BITS_ALLOCATED:
            yield (
                f"field without sense: BitsAllocated is {allocated} in {_names([header])}, expected one of "
                f"{BITS_ALLOCATED}"
            )
            return
        if stored > allocated or high != stored - 1:
            yield (
                f"field without sense: BitsStored is {stored} and HighBit {high} in {_names([header])}, expected the "
                f"lowest of the {allocated} bits of BitsAllocated"
            )
            return


def _mixed(headers: Sequence[Header], field: str, problem: str) -> Iterator[str]:
    names_by_value = _names_by_value(headers, field)
    usual = max(names_by_value, key=lambda value: len(names_by_value[value]))
    for value, names in names_by_value.items():
        if not _is_same(value, usual):
            yield f"{problem}: {field} is {brief(value)} in {some(names)}, the series' other slices have {brief(usual)}"
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


def _names_by_value(headers: Sequence[Header], field: str) -> dict[Any, list[str]]:
    return _grouped((header.get(field), header) for header in headers)


def _grouped(pairs: Iterable[tuple[Any, Header]]) -> dict[Any, list[str]]:
    names = collections.defaultdict(list)
    for value, header in pairs:
        names[value].append(printable(header.path.name))
    return names


def _names(headers: Sequence[Header]) -> str:
    return some([printable(header.path.name) for header in headers])
