"""Defects of a series: of its images, given as slices with the lowest first, or of its files."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable
from pathlib import Path

from medssl_jax.phantoms.dicom_series import HTJ2K_LOSSLESS, JPEG_LOSSLESS, SECONDARY_CAPTURE, Image, decimals

SHORT_IMAGES = 4
TILT_DEGREES = 15.0
OTHER_FIELD_OF_VIEW = 1.1
SHARE_LEFT_BY_TRUNCATION = 0.6
SECOND_COPY = "-copy"


def plant(defect: str, images: list[Image]) -> list[Image]:
    """The series with a defect in it; as it was where the defect is none of its images'."""
    return IN_IMAGES[defect](images) if defect in IN_IMAGES else images


def lies_in(folder: str, defect: str) -> tuple[str, ...]:
    """The folders that a series lies in whose place is `folder`."""
    return {"metadata_missing_series": (), "same_series_twice": (folder, folder + SECOND_COPY)}.get(defect, (folder,))


def truncate(path: Path) -> None:
    """Cuts a file's end off."""
    os.truncate(path, int(SHARE_LEFT_BY_TRUNCATION * path.stat().st_size))


def _missing_slice(images: list[Image]) -> list[Image]:
    middle = len(images) // 2
    return images[:middle] + images[middle + 1 :]


def _duplicate_slice(images: list[Image]) -> list[Image]:
    """One slice was sent twice, the second time as an image of its own."""
    middle = images[len(images) // 2]
    return [*images, middle.with_fields(SOPInstanceUID=middle.fields["SOPInstanceUID"] + ".1")]


def _uneven_slices(images: list[Image]) -> list[Image]:
    """Above the middle they lie twice as far apart."""
    middle = len(images) // 2
    return images[:middle] + images[middle::2]


def _short_series(images: list[Image]) -> list[Image]:
    return images[:SHORT_IMAGES]


def _tilted_gantry(images: list[Image]) -> list[Image]:
    tilt = math.radians(TILT_DEGREES)
    orientation = decimals([1, 0, 0, 0, math.cos(tilt), -math.sin(tilt)])
    fields = {"ImageOrientationPatient": orientation, "GantryDetectorTilt": f"{TILT_DEGREES:.1f}"}
    return [image.with_fields(**fields) for image in images]


def _mixed_spacing(images: list[Image]) -> list[Image]:
    """The upper half was reconstructed with a wider field of view."""
    middle = len(images) // 2
    spacing = decimals([float(step) * OTHER_FIELD_OF_VIEW for step in images[0].fields["PixelSpacing"]])
    return images[:middle] + [image.with_fields(PixelSpacing=spacing) for image in images[middle:]]


def _not_ct(images: list[Image]) -> list[Image]:
    return [image.with_fields(Modality="OT", SOPClassUID=SECONDARY_CAPTURE) for image in images]


def _stored_as(transfer_syntax: str, images: list[Image]) -> list[Image]:
    storage = dataclasses.replace(images[0].storage, transfer_syntax=transfer_syntax)
    return [dataclasses.replace(image, storage=storage) for image in images]


IN_IMAGES: dict[str, Callable[[list[Image]], list[Image]]] = {
    "duplicate_slice": _duplicate_slice,
    "htj2k_compressed": functools.partial(_stored_as, HTJ2K_LOSSLESS),
    "jpeg_compressed": functools.partial(_stored_as, JPEG_LOSSLESS),
    "missing_slice": _missing_slice,
    "mixed_spacing": _mixed_spacing,
    "not_ct": _not_ct,
    "short_series": _short_series,
    "tilted_gantry": _tilted_gantry,
    "uneven_slices": _uneven_slices,
}
IN_FILES = ("metadata_missing_series", "same_series_twice", "truncated_file")
DEFECTS = tuple(sorted((*IN_IMAGES, *IN_FILES)))  # compression does a training no harm
