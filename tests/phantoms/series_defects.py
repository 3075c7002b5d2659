"""Defects of a CT, made in the folder where its DICOM files lie as they happen to real ones."""

import functools
import math
import os
import shutil

import imagecodecs
import numpy as np
import pydicom

HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
SHORT_IMAGES = 4


def damage(folder, defect):
    """Makes one of `DEFECTS` in the series of a folder."""
    DEFECTS[defect](sorted(folder.iterdir(), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2]))


def _edit(paths, change):
    for path in paths:
        header = pydicom.dcmread(path)
        change(header)
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.save_as(path)


def _remove(chosen, slices):
    for path in slices[chosen]:
        path.unlink()


def _duplicate_slice(slices):
    """One slice was sent twice, the second time as an image of its own."""
    middle = slices[len(slices) // 2]
    copy = shutil.copy(middle, middle.with_name(f"copy-{middle.name}"))
    _edit([copy], lambda header: setattr(header, "SOPInstanceUID", header.SOPInstanceUID + ".1"))


def _missing_slice(slices):
    slices[len(slices) // 2].unlink()


def _uneven_slices(slices):
    """Above the middle they lie twice as far apart."""
    _remove(slice(len(slices) // 2 + 1, None, 2), slices)


def _mixed_spacing(slices):
    """The upper half was reconstructed with a wider field of view."""

    def widen(header):
        header.PixelSpacing = [f"{1.1 * step:.6f}" for step in header.PixelSpacing]

    _edit(slices[len(slices) // 2 :], widen)


def _tilted_gantry(slices):
    tilt = math.radians(15)

    def turn(header):
        header.ImageOrientationPatient = ["1", "0", "0", "0", f"{math.cos(tilt):.6f}", f"{-math.sin(tilt):.6f}"]
        header.GantryDetectorTilt = "15.0"

    _edit(slices, turn)


def _not_ct(slices):
    def relabel(header):
        header.Modality, header.SOPClassUID = "OT", pydicom.uid.SecondaryCaptureImageStorage

    _edit(slices, relabel)


def _htj2k_compressed(slices):
    def compress(header):
        stored = np.frombuffer(header.PixelData, np.uint16).reshape(header.Rows, header.Columns)
        header.PixelData = pydicom.encaps.encapsulate([bytes(imagecodecs.htj2k_encode(stored, reversible=True))])
        header.file_meta.TransferSyntaxUID = pydicom.uid.UID(HTJ2K_LOSSLESS)

    _edit(slices, compress)


def _truncated_file(slices):
    middle = slices[len(slices) // 2]
    os.truncate(middle, int(0.6 * middle.stat().st_size))


def _same_series_twice(slices):
    folder = slices[0].parent
    shutil.copytree(folder, folder.with_name(f"{folder.name}-copy"))


DEFECTS = {
    "duplicate_slice": _duplicate_slice,
    "htj2k_compressed": _htj2k_compressed,
    "missing_series": lambda slices: shutil.rmtree(slices[0].parent),
    "missing_slice": _missing_slice,
    "mixed_spacing": _mixed_spacing,
    "not_ct": _not_ct,
    "same_series_twice": _same_series_twice,
    "short_series": functools.partial(_remove, slice(SHORT_IMAGES, None)),
    "tilted_gantry": _tilted_gantry,
    "truncated_file": _truncated_file,
    "uneven_slices": _uneven_slices,
}
