"""Seconds and memory to index NLST's DICOM headers, and to look at them again.

    python -m experiments.benchmark index     # 20,000 headers of 200 series

The files are as long as real ones and hold no pixels; they were just written, so the disk takes no part. Memory is the
peak of the process that leads; with two workers each has one of its own, as large.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from data_builders.nlst.index import index_series
from experiments.benchmarks._measured import in_own_process, machine
from medssl_jax.core.progress import progress_bar, silent

SERIES = flags.DEFINE_integer("series", 200, "Series, a folder each.", lower_bound=1)
SLICES = flags.DEFINE_integer("slices", 100, "Slices of a series.", lower_bound=2)
DIRECTORY = flags.DEFINE_string("directory", None, "Where all is written and removed; by default the system's.")
WORKERS = (1, 2)
PIXELS = 512


def main(_: Sequence[str]) -> None:
    """Writes the headers, indexes them with each number of workers and once more, prints a line for each."""
    count = SERIES.value * SLICES.value
    with tempfile.TemporaryDirectory(dir=DIRECTORY.value) as folder:
        raw = Path(folder) / "NLST"
        for number in progress_bar("writing", "series")(range(SERIES.value)):
            _write_series(raw / f"{100000 + number}" / "study" / "series", number)
        print(f"{count} headers of {SERIES.value} series, {machine()}")
        print(f"{'':<12} {'workers':>8} {'seconds':>8} {'headers/s':>10} {'peak MB':>8}")
        for workers in WORKERS:
            index_dir = Path(folder) / f"index{workers}"
            for name in ("first pass", "second pass"):
                _, seconds, peak_mb = in_own_process(_index, raw, index_dir, workers)
                print(f"{name:<12} {workers:8} {seconds:8.1f} {count / seconds:10.0f} {peak_mb:8.0f}", flush=True)


def _index(raw: Path, index_dir: Path, workers: int) -> None:
    problems = [row.problem for row in index_series(raw, index_dir, workers=workers, progress=silent) if row.problem]
    assert not problems, problems[0]


def _write_series(folder: Path, number: int) -> None:
    """A header before a hole as long as the pixels: real sizes, no room on the disk."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    folder.mkdir(parents=True)
    study, series = f"1.2.826.0.1.{number}", f"1.2.826.0.1.{number}.1"
    for slice_number in range(SLICES.value):
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
