"""Indexing NLST's DICOM headers, and looking at them again.

The files are as long as real ones and hold no pixels; they were just written, so the disk takes no part. Memory is the
peak of the process that leads; of several workers each has one of its own, as large.
"""

import os
import tempfile
from pathlib import Path

from data_builders.nlst.index import index_series
from experiments.benchmarks.bench import Bench, Measurement
from experiments.benchmarks.own_process import in_own_process
from medssl_jax.core.progress import silent

SMALLEST = {"series": 2, "slices": 6}
PIXELS = 512


def measure(bench: Bench, *, series: int = 200, slices: int = 100) -> list[Measurement]:
    """Indexes the headers once and a second time, with one worker and with as many as there are processors."""
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "NLST"
        for number in range(series):
            write_series(raw / f"{100000 + number}" / "study" / "series", number, slices)
        for workers in sorted({1, bench.threads}):
            index_dir = Path(folder) / f"index{workers}"
            for name in ("first pass", "second pass"):
                _, cost, peak_mb = in_own_process(index_all, raw, index_dir, workers)
                notes = {"headers/s": series * slices / cost.wall, "peak MB": peak_mb}
                work = f"{series * slices} headers, workers: {workers}, {name}"
                measured.append(Measurement(work, [cost], notes=notes))
    return measured


def index_all(raw: Path, index_dir: Path, workers: int) -> None:
    """Indexes headers in which there is nothing wrong."""
    problems = [row.problem for row in index_series(raw, index_dir, workers=workers, progress=silent) if row.problem]
    assert not problems, problems[0]


def write_series(folder: Path, number: int, slices: int) -> None:
    """A header before a hole as long as the pixels: real sizes, no room on the disk."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    folder.mkdir(parents=True)
    study, series = f"1.2.826.0.1.{number}", f"1.2.826.0.1.{number}.1"
    for slice_number in range(slices):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = UID(f"{series}.{slice_number + 1}")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        header.Modality, header.Manufacturer, header.ConvolutionKernel = "CT", "SIEMENS", "B30f"
        header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        header.PatientID, header.StudyDate = f"{100000 + number}", "19990102"
        header.StudyInstanceUID, header.SeriesInstanceUID = study, series
        header.SliceThickness, header.PixelSpacing = "2.0", ["0.7", "0.7"]
        header.ImagePositionPatient = ["-180.0", "-180.0", f"{-2.0 * slice_number:.1f}"]
        header.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        header.Rows = header.Columns = PIXELS
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
        header.RescaleSlope, header.RescaleIntercept = "1", "-1024"
        path = folder / f"1-{slice_number + 1:03d}.dcm"
        pydicom.dcmwrite(path, header, enforce_file_format=True)
        with path.open("r+b") as file:
            start = file.seek(0, os.SEEK_END)
            file.write(b"\xe0\x7f\x10\x00OW\x00\x00" + (2 * PIXELS * PIXELS).to_bytes(4, "little"))
            file.truncate(start + 12 + 2 * PIXELS * PIXELS)
