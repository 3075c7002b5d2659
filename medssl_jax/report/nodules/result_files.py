"""Which files the results of a scan may be, by the names of their formats; `results.py` writes them."""

import dataclasses
import importlib.util
from collections.abc import Sequence

from medssl_jax.core.errors import InputError
from medssl_jax.core.requirements import install_line

ALWAYS = "json"  # what is known of a scan is kept in one place, whatever else is asked for
DEFAULT_FORMATS = ("csv", "json", "html")
FILE_OF_FORMAT = {
    "csv": "detections.csv",
    "json": "detections.json",
    "html": "detections.html",
    "mrk": "detections.mrk.json",
    "labelmap": "detections.nii.gz",
    "sr": "detections.sr.dcm",
    "seg": "detections.seg.dcm",
}
OF_DICOM = ("sr", "seg")  # which refer to the slices of a series


@dataclasses.dataclass(frozen=True)
class Choice:
    """The `formats` to write; CSV and JSON hold every mark, the others those of at least `min_score`.

    None stands for the ten best of a scan.
    """

    formats: tuple[str, ...]
    min_score: float | None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files."""
        return tuple(FILE_OF_FORMAT[each] for each in self.formats)

    def possible(self, *, is_dicom: bool) -> "Choice":
        """The choice without what a scan that is no DICOM series cannot have."""
        return self if is_dicom else Choice(tuple(x for x in self.formats if x not in OF_DICOM), self.min_score)


def of_dicom(formats: Sequence[str]) -> tuple[str, ...]:
    """Those that only a DICOM series has."""
    return tuple(each for each in formats if each in OF_DICOM)


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats to write, in their usual order, `json` among them.

    Raises `InputError` at one that there is not, or that needs a library which is not installed.
    """
    for each in formats:
        if each not in FILE_OF_FORMAT:
            raise InputError(f"--formats: found {each!r}, expected some of {','.join(FILE_OF_FORMAT)}: correct it")
        if each in OF_DICOM:
            _expect_highdicom(each)
    return tuple(each for each in FILE_OF_FORMAT if each in formats or each == ALWAYS)


def _expect_highdicom(name: str) -> None:
    if importlib.util.find_spec("highdicom") is None:
        raise InputError(f"--formats={name}: needs highdicom, which is not installed: {install_line('dicom')}")
