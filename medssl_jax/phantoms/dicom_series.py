"""Volumes as DICOM files, one a slice; the same volume and fields give the same bytes.

Nothing of the moment enters: no time stamps, no UIDs but those that are given.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from etils import epy
from jaxtyping import Int16

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.volumes import Volume

with epy.lazy_imports():
    import imagecodecs
    import pydicom

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
WRITER_UID, WRITER_NAME = "2.25.269718450215264126306174270134585437061", "MEDSSL_PHANTOM"


@dataclasses.dataclass(frozen=True)
class Storage:
    """How HU become stored numbers: `stored = HU - intercept`, the slope is 1."""

    signed: bool
    bits: int
    intercept: int
    padding_hu: int | None  # outside the field of view; None where there is no padding
    transfer_syntax: str = EXPLICIT_LITTLE_ENDIAN  # or JPEG_LOSSLESS


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """One file to be: its HU, how they are stored, and the other header fields by DICOM keyword."""

    hu: Int16[np.ndarray, "rows columns"]
    storage: Storage
    fields: Mapping[str, Any]


def slice_images(volume: Volume, storage: Storage, fields: Mapping[str, Any], image_uids: Sequence[str]) -> list[Image]:
    """The slices of a volume, lowest first; as scanners number them, the highest is instance 1 unless a field tells."""
    grid = volume.grid
    axes = grid.direction_matrix
    return [
        Image(
            plane,
            storage,
            {
                "SOPInstanceUID": uid,
                "InstanceNumber": len(image_uids) - number,
                "ImageOrientationPatient": decimals([*axes[:, 0], *axes[:, 1]]),
                "ImagePositionPatient": decimals(grid.origin_xyz_mm + number * grid.spacing_zyx_mm[0] * axes[:, 2]),
                "PixelSpacing": decimals(grid.spacing_zyx_mm[1:]),
                **fields,
            },
        )
        for number, (plane, uid) in enumerate(zip(volume.array_zyx, image_uids, strict=True))
    ]


def decimals(numbers: Sequence[int | float] | np.ndarray) -> list[str]:
    """Numbers as DICOM's decimal strings, which hold 16 characters."""
    # Adding 0 turns -0 into 0.
    return [f"{round(float(number), 6) + 0.0:.6f}" for number in numbers]


def write_images(images: Mapping[Path, Image]) -> None:
    """Writes DICOM files of one series. They are not written atomically: what says that a series is whole comes after.

    Raises:
      InputError: a file cannot be written.
    """
    dataset, written = pydicom.Dataset(), dict[str, Any]()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.ImplementationClassUID = pydicom.uid.UID(WRITER_UID)
    dataset.file_meta.ImplementationVersionName = WRITER_NAME
    for path, image in images.items():
        fields = {**image.fields, **_pixel_fields(image)}
        for keyword, value in fields.items():
            if written.get(keyword) != value:  # most fields of a series stay, and setting one is slow
                setattr(dataset, keyword, value)
        written = fields
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(image.storage.transfer_syntax)
        try:
            dataset.save_as(path, enforce_file_format=True)
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written: {error.strerror or error}; free some space or choose another folder"
            ) from error


def _pixel_fields(image: Image) -> dict[str, Any]:
    storage = image.storage
    fields = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": image.hu.shape[0],
        "Columns": image.hu.shape[1],
        "BitsAllocated": 16,
        "BitsStored": storage.bits,
        "HighBit": storage.bits - 1,
        "PixelRepresentation": int(storage.signed),
        "RescaleIntercept": str(storage.intercept),
        "RescaleSlope": "1",
        "PixelData": _encoded(image.hu, storage),
    }
    if storage.padding_hu is not None:
        fields["PixelPaddingValue"] = storage.padding_hu - storage.intercept
    return fields


def _encoded(hu: Int16[np.ndarray, "rows columns"], storage: Storage) -> bytes:
    stored = (hu.astype(np.int32) - storage.intercept).astype("<i2" if storage.signed else "<u2")
    if storage.transfer_syntax == EXPLICIT_LITTLE_ENDIAN:
        return stored.tobytes()
    coded = imagecodecs.jpeg8_encode(stored.view(np.uint16), lossless=True, predictor=1, bitspersample=16)
    return bytes(pydicom.encaps.encapsulate([bytes(coded)]))
