"""The marks of a detector in one scan, as CSV for programs and people and as JSON with everything to trace it by.

World coordinates are x, y, z in mm (DICOM LPS). A `score` is what the detector says, from 0 to 1; a `probability`, that
a mark is on a nodule, is a score that was calibrated on validation scans.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import csv_text
from medssl_jax.core.versions import versions
from medssl_jax.data.scans.preparation import LUNG_DILATION_MM, LUNGS
from medssl_jax.data_check.lung_defects import ADULT_LITRES, least_lung_litres
from medssl_jax.imaging.dicom.references import Instance, SeriesReference
from medssl_jax.imaging.geometry import Grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.luna16_csv import COORDINATE_COLUMNS
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.nodules.operating_points import OperatingPoints
from medssl_jax.report.json_report import single_precision
from medssl_jax.report.provenance import RESEARCH_USE, ModelCard
from medssl_jax.run_folder.experience import NOTHING_KNOWN, Experience

DETECTION_COLUMNS = (
    *("seriesuid", *COORDINATE_COLUMNS, "diameter_mm", "score", "probability", "shown"),
    *("threshold", "best_marks", "sensitivity", "fps_per_scan", "validation_scans", "list_is_cut"),
)
# Ours: what a reader looks through where nobody knows a threshold; 0.3 let 100 marks of the demonstration detector pass
# on a chest with three nodules, which were its first three.
BEST_SHOWN = 10
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

    @property
    def searches_lungs(self) -> bool:
        """True where it searches lungs alone, as every detector did before others were known."""
        return bool(self.config["data"].get("region", LUNGS) == LUNGS)


@dataclasses.dataclass(frozen=True, eq=False)
class ScanReport:
    """The marks in one scan, best first, and where they come from.

    `input_name` and `lungs_name` (None: what is searched was segmented) are names without folders; `grid` is that of
    the scan as read; `is_phantom_scan` says that the scan itself is synthetic. `source` are the DICOM instances that it
    was read from, None where it is no DICOM series. `experience` is what the detector knows of scans; `is_cut` says
    that the list is as long as its config lets it be, so that there may be more. `lungs_litres` is the volume that was
    searched as lungs, what lies round them included; None where something else was.
    """

    input_name: str
    lungs_name: str | None
    series_uid: str
    is_phantom_scan: bool
    grid: Grid
    detector: DetectorCard
    marks: Marks
    source: SeriesReference | None = None
    experience: Experience = NOTHING_KNOWN
    is_cut: bool = False
    lungs_litres: float | None = None

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

    @property
    def probability(self) -> Float[np.ndarray, " n"] | None:
        """The probability that each mark is on a nodule; None where the detector's scores were not calibrated."""
        points = self.experience.points
        if points is None or points.calibration is None:
            return None
        return points.calibration(self.marks.score)

    def least_score_shown(self, min_score: float | None) -> float:
        """The score from which marks are shown: that of the tenth best where it is None, 0 where there are fewer."""
        if min_score is not None:
            return min_score
        return float(self.marks.score[BEST_SHOWN - 1]) if len(self.marks) >= BEST_SHOWN else 0.0

    def told(self, min_score: float | None) -> list[str]:
        """What is known of the marks shown, whether the list was cut, whether the scan was trained on."""
        points = self.experience.points
        if min_score is None:
            known = _told_of_best(points)
        elif points is None:
            known = f"This detector has no operating points: what it finds from a score of {min_score:g} on, and "
            known += "how many false positives that costs, was not measured on validation scans."
        else:
            known = points.told(min_score)
        told = [known]
        if self.is_cut:
            told.append(
                f"The list was cut at {len(self.marks)} marks, as many as the detector's config lets through "
                "(inference.marks): there may be more, of lower scores."
            )
        if self.lungs_litres is not None and self.lungs_litres < least_lung_litres(self.grid):
            told.append(
                f"Little was searched: lungs of {self.lungs_litres:.2g} l, {LUNG_DILATION_MM:g} mm around included, "
                f"where an adult's hold {ADULT_LITRES[0]:g} to {ADULT_LITRES[1]:g} l. Look whether the scan shows a "
                "chest; a mask of its lungs may help (--lungs)."
            )
        if self.experience.has_seen(self.series_uid):
            told.append("The detector was trained or validated on this very scan: its marks here say little.")
        return told

    def count_from(self, min_score: float | None) -> int:
        """The number of marks of at least `min_score`, or of the best; they are the first ones.

        Marks with the score of the tenth are shown with it.
        """
        return int((self.marks.score >= self.least_score_shown(min_score)).sum())


def _told_of_best(points: OperatingPoints | None) -> str:
    has = "operating points" if points is None else "threshold for one false positive a scan"
    rates = [] if points is None else [f"{each.fps_per_scan:g}" for each in points.points]
    other = f", --fp_per_scan={' or '.join(rates)} those from its own" if rates else ""
    return (
        f"This detector has no {has}: the {BEST_SHOWN} best marks of a scan are shown, whatever their scores, and what "
        f"that finds and misses was not measured. --min_score shows those from a score on{other}."
    )


def write_detections_csv(path: str | os.PathLike[str], detections: ScanReport, *, min_score: float | None) -> None:
    """Writes one line a mark; LUNA16's five columns are among them, so it is a submission for this scan as well."""
    rows = detection_rows(detections_as_json(detections, min_score=min_score))
    write_text(path, csv_text([DETECTION_COLUMNS, *rows]))


def detection_rows(result: Mapping[str, Any]) -> list[Sequence[object]]:
    """The lines of the CSV, without their header, from what `detections_as_json` gave."""
    threshold = result["threshold"]
    names = ("score", "best_marks", "sensitivity", "fps_per_scan", "validation_scans")
    of_all = [threshold[name] for name in names]
    return [
        (
            result["series_uid"],
            *(f"{mm:.4f}" for mm in mark["centre_xyz_mm"]),
            f"{mark['diameter_mm']:.3f}",
            # 9 digits tell any two float32 apart, so the order of scores stays.
            *map(_in_digits, (mark["score"], mark["probability"])),
            _yes_or_no(mark["shown"]),
            *map(_in_digits, of_all),
            _yes_or_no(result["list_is_cut"]),
        )
        for mark in result["marks"]
    ]


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"


def _in_digits(value: int | float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def detections_as_json(detections: ScanReport, *, min_score: float | None) -> dict[str, Any]:
    """The marks with the scan, the detector and the software they come from; names of files, no folders.

    `shown` are the marks that other files show: those from the `score` of `threshold` on, of which it says what is
    known, or, where there is no threshold and that is null, the `best_marks` best. docs/viewers.md lists all fields.

    Of a DICOM series also what viewers know it by: the study, the frame of reference, and of each mark the instance
    whose slice is nearest to its centre.
    """
    shown = detections.count_from(min_score)
    return {
        "intended_use": RESEARCH_USE,
        "input": detections.input_name,
        "series_uid": detections.series_uid,
        "study_instance_uid": None if detections.source is None else detections.source.study_uid,
        "frame_of_reference_uid": None if detections.source is None else detections.source.frame_of_reference_uid,
        "is_phantom_scan": detections.is_phantom_scan,
        "grid": dataclasses.asdict(detections.grid),
        "lungs": detections.lungs_name or "segmented from the scan",
        "lungs_litres": None if detections.lungs_litres is None else round(detections.lungs_litres, 3),
        "detector": detections.detector.as_json(),
        "versions": versions(READER_PACKAGES),
        "threshold": _threshold(detections, min_score),
        "told": detections.told(min_score),
        "list_is_cut": detections.is_cut,
        "was_trained_on": detections.experience.has_seen(detections.series_uid) if detections.experience.seen else None,
        "marks": [_mark(detections, k, shown=k < shown) for k in range(len(detections.marks))],
    }


def _threshold(detections: ScanReport, min_score: float | None) -> dict[str, Any]:
    points = detections.experience.points
    point = None if points is None or min_score is None else points.at_threshold(min_score)
    return {
        "score": min_score,
        "best_marks": BEST_SHOWN if min_score is None else None,
        "sensitivity": None if point is None else point.sensitivity,
        "fps_per_scan": None if point is None else point.measured_fps_per_scan,
        "validation_scans": None if points is None else points.scans,
        "validation_data": None if points is None else points.data,
    }


def _mark(detections: ScanReport, k: int, *, shown: bool) -> dict[str, Any]:
    probability = detections.probability
    instance = detections.instance_of(k)
    return {
        "centre_xyz_mm": [round(mm, 4) for mm in detections.marks.centre_xyz_mm[k].tolist()],
        "diameter_mm": round(float(detections.diameter_mm[k]), 3),
        "score": single_precision(float(detections.marks.score[k])),
        "probability": None if probability is None else single_precision(float(probability[k])),
        "shown": shown,
        "centre_voxel_zyx": [round(index, 3) for index in detections.centre_voxel_zyx[k].tolist()],
        "sop_instance_uid": None if instance is None else instance.sop_instance_uid,
        "instance_number": None if instance is None else instance.number,
    }


def counted(detections: ScanReport, *, min_score: float | None) -> str:
    """The number of marks, and of those shown, in words."""
    return _counted(len(detections.marks), detections.count_from(min_score), min_score)


def counted_in(result: Mapping[str, Any]) -> str:
    """The same of what `detections_as_json` gave."""
    marks = result["marks"]
    return _counted(len(marks), sum(mark["shown"] for mark in marks), result["threshold"]["score"])


def _counted(marks: int, shown: int, min_score: float | None) -> str:
    if min_score is None:
        return f"{marks} marks, the best {shown} of them shown"
    return f"{marks} marks, {shown} of score {min_score:g} or more"


def summary(detections: ScanReport, *, min_score: float | None) -> str:
    """The marks in a few lines for the terminal."""
    lines = [
        f"{detections.input_name}: {counted(detections, min_score=min_score)}",
        f"detector: {detections.detector.run}, step {detections.detector.step}, "
        f"trained on {detections.detector.trained_on}",
    ]
    if detections.detector.trained_on_phantom and not detections.is_phantom_scan:
        lines.append("a detector trained on synthetic scans only: its marks say nothing about a patient")
    return "\n".join([*lines, *detections.detector.told, *detections.told(min_score), RESEARCH_USE])
