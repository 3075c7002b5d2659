"""What a detector found in one scan, as CSV for programs and people and as JSON with everything to trace it by.

World coordinates are x, y, z in mm (DICOM LPS).
"""

import csv
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from medssl_jax.atomic import atomic_path
from medssl_jax.geometry import Grid, world_xyz_mm_to_voxel_zyx
from medssl_jax.metrics.luna16_files import COORDINATE_COLUMNS
from medssl_jax.metrics.marks import Marks

DETECTION_COLUMNS = ("seriesuid", *COORDINATE_COLUMNS, "diameter_mm", "probability")
RESEARCH_USE = "Research software, not a medical device. Not for diagnosis or treatment."
TRACED_PACKAGES = ("medssl-jax", "jax", "numpy", "simpleitk")


@dataclasses.dataclass(frozen=True)
class DetectorCard:
    """Which detector it was: the name of its run, the step of its checkpoint, the config it was trained with."""

    run: str
    step: int
    config: Mapping[str, Any]

    @property
    def trained_on_phantom(self) -> bool:
        """Whether it has seen synthetic scans only."""
        return "phantom" in self.config["data"]

    @property
    def trained_on(self) -> str:
        """The training scans in words."""
        labelled, unlabelled = self.config["split"]["labelled"], self.config["split"]["unlabelled"]
        parts = [f"{labelled} labelled"] if labelled >= 0 else []
        parts += [f"{unlabelled} unlabelled"] if unlabelled else []
        parts += [f"all {'other ' if unlabelled else ''}training scans labelled"] if labelled < 0 else []
        return f"{'phantom (synthetic scans)' if self.trained_on_phantom else 'LUNA16'}: {', '.join(parts)}"

    @property
    def config_sha256(self) -> str:
        """Names the config; the same settings give the same name."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, eq=False)
class ScanReport:
    """The marks in one scan, best first, and where they come from.

    `input_name` and `lungs_name` (None: segmented from the scan) are names without folders; `grid` is that of the scan
    as read; `is_phantom_scan` says that the scan itself is synthetic.
    """

    input_name: str
    lungs_name: str | None
    series_uid: str
    is_phantom_scan: bool
    grid: Grid
    detector: DetectorCard
    marks: Marks

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


def write_detections_csv(path: str | os.PathLike, detections: ScanReport) -> None:
    """Writes one line a mark; LUNA16's five columns are among them, so it is a submission for this scan as well."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(DETECTION_COLUMNS)
        marks = detections.marks
        for uid, centre, diameter, probability in zip(
            marks.series_uid, marks.centre_xyz_mm, detections.diameter_mm, marks.probability, strict=True
        ):
            # 9 digits tell any two float32 apart, so the order of probabilities stays.
            writer.writerow([uid, *(f"{mm:.4f}" for mm in centre), f"{diameter:.3f}", f"{probability:.9g}"])


def write_detections_json(path: str | os.PathLike, detections: ScanReport) -> None:
    """Writes `detections_as_json`."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(detections_as_json(detections), indent=1) + "\n", encoding="utf-8")


def detections_as_json(detections: ScanReport) -> dict[str, Any]:
    """The marks with the scan, the detector and the software they come from; names of files, no folders."""
    card = detections.detector
    return {
        "intended_use": RESEARCH_USE,
        "input": detections.input_name,
        "series_uid": detections.series_uid,
        "is_phantom_scan": detections.is_phantom_scan,
        "grid": dataclasses.asdict(detections.grid),
        "lungs": detections.lungs_name or "segmented from the scan",
        "detector": {
            "run": card.run,
            "step": card.step,
            "trained_on": card.trained_on,
            "trained_on_phantom": card.trained_on_phantom,
            "inference": dict(card.config["inference"]),
            "config_sha256": card.config_sha256,
        },
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in TRACED_PACKAGES},
        "marks": [
            {
                "centre_xyz_mm": [round(mm, 4) for mm in centre],
                "diameter_mm": round(diameter, 3),
                "probability": float(f"{probability:.9g}"),
                "centre_voxel_zyx": [round(index, 3) for index in voxel],
            }
            for centre, diameter, probability, voxel in zip(
                detections.marks.centre_xyz_mm.tolist(),
                detections.diameter_mm.tolist(),
                detections.marks.probability.tolist(),
                detections.centre_voxel_zyx.tolist(),
                strict=True,
            )
        ],
    }


def summary(detections: ScanReport, *, min_probability: float) -> str:
    """What was found, in a few lines for the terminal."""
    likely = int((detections.marks.probability >= min_probability).sum())
    lines = [
        f"{detections.input_name}: {len(detections.marks)} marks, {likely} of probability {min_probability:g} or more",
        f"detector: {detections.detector.run}, step {detections.detector.step}, "
        f"trained on {detections.detector.trained_on}",
    ]
    if detections.detector.trained_on_phantom and not detections.is_phantom_scan:
        lines.append("a detector trained on synthetic scans only: its marks say nothing about a patient")
    return "\n".join([*lines, RESEARCH_USE])
