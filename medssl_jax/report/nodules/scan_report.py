"""The marks of a detector in one scan, as CSV for programs and people and as JSON with everything to trace it by.

World coordinates are x, y, z in mm (DICOM LPS).
"""

import dataclasses
import os
from typing import Any

import numpy as np
from jaxtyping import Float

from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import csv_text
from medssl_jax.core.versions import versions
from medssl_jax.imaging.dicom.references import Instance, SeriesReference
from medssl_jax.imaging.geometry import Grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.luna16_csv import COORDINATE_COLUMNS
from medssl_jax.imaging.submission import Marks
from medssl_jax.report.json_report import single_precision
from medssl_jax.report.provenance import RESEARCH_USE, ModelCard

DETECTION_COLUMNS = ("seriesuid", *COORDINATE_COLUMNS, "diameter_mm", "probability")
READER_PACKAGES = ("simpleitk",)


TRAINED_ON = {"luna16": "LUNA16", "nlst": "NLST", "folder": "a folder of scans"}


class DetectorCard(ModelCard):
    """The identity of a detector."""

    @property
    def trained_on(self) -> str:
        """The training scans in words."""
        labelled, unlabelled = self.config["split"]["labelled"], self.config["split"]["unlabelled"]
        parts = [f"{labelled} labelled"] if labelled >= 0 else []
        parts += [f"{unlabelled} unlabelled"] if unlabelled else []
        parts += [f"all {'other ' if unlabelled else ''}training scans labelled"] if labelled < 0 else []
        data = "phantom (synthetic scans)" if self.trained_on_phantom else TRAINED_ON[self.config["data"]["data_set"]]
        return f"{data}: {', '.join(parts)}"


@dataclasses.dataclass(frozen=True, eq=False)
class ScanReport:
    """The marks in one scan, best first, and where they come from.

    `input_name` and `lungs_name` (None: segmented from the scan) are names without folders; `grid` is that of the scan
    as read; `is_phantom_scan` says that the scan itself is synthetic. `source` are the DICOM instances that it was read
    from, None where it is no DICOM series.
    """

    input_name: str
    lungs_name: str | None
    series_uid: str
    is_phantom_scan: bool
    grid: Grid
    detector: DetectorCard
    marks: Marks
    source: SeriesReference | None = None

    @property
    def diameter_mm(self) -> Float[np.ndarray, " n"]:
        """The diameter of each mark."""
        if self.marks.diameter_mm is None:
            raise ValueError("marks without diameters")
        return self.marks.diameter_mm

    @property
    def centre_voxel_zyx(self) -> Float[np.ndarray, "n 3"]:
        """The centre of each mark in voxels of the scan as read."""
        return world_xyz_mm_to_voxel_zyx(self.marks.centre_xyz_mm, self.grid)

    def slice_of(self, k: int) -> int:
        """The index of the slice nearest to the centre of mark `k`."""
        return int(np.clip(np.rint(self.centre_voxel_zyx[k, 0]), 0, self.grid.size_zyx[0] - 1))

    def instance_of(self, k: int) -> Instance | None:
        """The instance of that slice; None where the scan is no DICOM series."""
        return None if self.source is None else self.source.instances[self.slice_of(k)]

    def count_from(self, min_probability: float) -> int:
        """The number of marks of at least `min_probability`; they are the first ones."""
        return int((self.marks.probability >= min_probability).sum())


def write_detections_csv(path: str | os.PathLike[str], detections: ScanReport) -> None:
    """Writes one line a mark; LUNA16's five columns are among them, so it is a submission for this scan as well."""
    marks = detections.marks
    # 9 digits tell any two float32 apart, so the order of probabilities stays.
    rows = (
        (uid, *(f"{mm:.4f}" for mm in centre), f"{diameter:.3f}", f"{probability:.9g}")
        for uid, centre, diameter, probability in zip(
            marks.series_uid, marks.centre_xyz_mm, detections.diameter_mm, marks.probability, strict=True
        )
    )
    write_text(path, csv_text([DETECTION_COLUMNS, *rows]))


def detections_as_json(detections: ScanReport) -> dict[str, Any]:
    """The marks with the scan, the detector and the software they come from; names of files, no folders.

    Of a DICOM series also what viewers know it by: the study, the frame of reference, and of each mark the instance
    whose slice is nearest to its centre.
    """
    return {
        "intended_use": RESEARCH_USE,
        "input": detections.input_name,
        "series_uid": detections.series_uid,
        "study_instance_uid": None if detections.source is None else detections.source.study_uid,
        "frame_of_reference_uid": None if detections.source is None else detections.source.frame_of_reference_uid,
        "is_phantom_scan": detections.is_phantom_scan,
        "grid": dataclasses.asdict(detections.grid),
        "lungs": detections.lungs_name or "segmented from the scan",
        "detector": detections.detector.as_json(),
        "versions": versions(READER_PACKAGES),
        "marks": [_mark(detections, k) for k in range(len(detections.marks))],
    }


def _mark(detections: ScanReport, k: int) -> dict[str, Any]:
    instance = detections.instance_of(k)
    return {
        "centre_xyz_mm": [round(mm, 4) for mm in detections.marks.centre_xyz_mm[k].tolist()],
        "diameter_mm": round(float(detections.diameter_mm[k]), 3),
        "probability": single_precision(float(detections.marks.probability[k])),
        "centre_voxel_zyx": [round(index, 3) for index in detections.centre_voxel_zyx[k].tolist()],
        "sop_instance_uid": None if instance is None else instance.sop_instance_uid,
        "instance_number": None if instance is None else instance.number,
    }


def counted(detections: ScanReport, *, min_probability: float) -> str:
    """The number of marks, and of those of at least `min_probability`, in words."""
    likely = detections.count_from(min_probability)
    return f"{len(detections.marks)} marks, {likely} of probability {min_probability:g} or more"


def summary(detections: ScanReport, *, min_probability: float) -> str:
    """The marks in a few lines for the terminal."""
    lines = [
        f"{detections.input_name}: {counted(detections, min_probability=min_probability)}",
        f"detector: {detections.detector.run}, step {detections.detector.step}, "
        f"trained on {detections.detector.trained_on}",
    ]
    if detections.detector.trained_on_phantom and not detections.is_phantom_scan:
        lines.append("a detector trained on synthetic scans only: its marks say nothing about a patient")
    return "\n".join([*lines, *detections.detector.told, RESEARCH_USE])
