"""What can be wrong with the images of a series; each defect is a function from its slices, lowest first, to others."""

import dataclasses
import math
from collections.abc import Callable

from medssl_jax.phantoms.dicom_series import (
    HTJ2K_LOSSLESS,
    JPEG_LOSSLESS,
    SECONDARY_CAPTURE,
    Image,
    decimals,
)

SHORT_IMAGES = 4
TILT_DEGREES = 15.0
OTHER_FIELD_OF_VIEW = 1.1


def plant(defect: str, images: list[Image]) -> list[Image]:
    """The series with a defect in it; as it was where the defect is none of its images'."""
    return IN_IMAGES[defect](images) if defect in IN_IMAGES else images


def _missing_slice(images):
    middle = len(images) // 2
    return images[:middle] + images[middle + 1 :]


def _duplicate_slice(images):
    """One slice was sent twice, the second time as an image of its own."""
    middle = images[len(images) // 2]
    return [*images, middle.with_fields(SOPInstanceUID=middle.fields["SOPInstanceUID"] + ".1")]


def _uneven_slices(images):
    """Above the middle they lie twice as far apart."""
    middle = len(images) // 2
    return images[:middle] + images[middle::2]


def _short_series(images):
    return images[:SHORT_IMAGES]


def _tilted_gantry(images):
    tilt = math.radians(TILT_DEGREES)
    orientation = decimals([1, 0, 0, 0, math.cos(tilt), -math.sin(tilt)])
    return [
        image.with_fields(ImageOrientationPatient=orientation, GantryDetectorTilt=f"{TILT_DEGREES:.1f}")
        for image in images
    ]


def _mixed_spacing(images):
    """The upper half was reconstructed with a wider field of view."""
    middle = len(images) // 2
    spacing = decimals([float(step) * OTHER_FIELD_OF_VIEW for step in images[0].fields["PixelSpacing"]])
    return images[:middle] + [image.with_fields(PixelSpacing=spacing) for image in images[middle:]]


def _not_ct(images):
    return [image.with_fields(Modality="OT", SOPClassUID=SECONDARY_CAPTURE) for image in images]


def _stored_as(transfer_syntax):
    def stored(images):
        return [
            dataclasses.replace(image, storage=dataclasses.replace(image.storage, transfer_syntax=transfer_syntax))
            for image in images
        ]

    return stored


IN_IMAGES: dict[str, Callable[[list[Image]], list[Image]]] = {
    "duplicate_slice": _duplicate_slice,
    "jpeg_compressed": _stored_as(JPEG_LOSSLESS),
    "htj2k_compressed": _stored_as(HTJ2K_LOSSLESS),
    "missing_slice": _missing_slice,
    "mixed_spacing": _mixed_spacing,
    "not_ct": _not_ct,
    "short_series": _short_series,
    "tilted_gantry": _tilted_gantry,
    "uneven_slices": _uneven_slices,
}
