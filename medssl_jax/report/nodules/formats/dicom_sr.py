"""Marks as a DICOM structured report: TID 1500, Measurement Report, of DICOM PS3.16.

Each mark is a nodule of the lung, or a lesion where the body was searched, in two groups with one tracking UID. The
first (TID 1410) has a circle on the slice nearest to its centre, which refers to that slice's own SOPInstanceUID, its
diameter, and in percent, as Certainty of Finding (DCM 111012), its probability, or its score where the detector was not
calibrated; the report says which, and tracking identifiers have the score. The second (TID 1501) has the diameter
again, inferred from its centre in the frame of reference: the first cannot hold a place between two slices. Where there
is no mark, one group counts no lesion. What is known of detector and marks stands among the parameters of the
algorithm. The report refers to every slice of the series and carries the identity of patient and study as they do,
since archives file it by them.
"""

import math
from typing import Any

import numpy as np
from etils import epy
from jaxtyping import Float

from medssl_jax.report.nodules.formats.dicom_coding import (
    MANUFACTURER,
    SERIES_DESCRIPTION,
    SR_SERIES_NUMBER,
    algorithm_name,
    algorithm_version,
    finding_regions,
    finding_type,
)
from medssl_jax.report.nodules.scan_report import ScanReport
from medssl_jax.report.provenance import RESEARCH_USE

with epy.lazy_imports():
    import highdicom
    from highdicom import sr
    from pydicom.sr import codedict


def structured_report(detections: ScanReport, *, min_score: float | None) -> Any:
    """The report, a pydicom Dataset, of the marks of at least `min_score`; the scan was read with its headers."""
    assert detections.source is not None
    headers = detections.source.headers
    algorithm = sr.AlgorithmIdentification(
        name=algorithm_name(detections),
        version=algorithm_version(detections),
        parameters=[
            RESEARCH_USE,
            f"trained on {detections.detector.trained_on}",
            f"{detections.count_from(min_score)} of {len(detections.marks)} marks",
            "certainty is the detector's score, which is no probability"
            if detections.probability is None
            else "certainty is the probability of a lesion, calibrated on validation scans",
            *detections.detector.told,
            *detections.told(min_score),
        ],
        manufacturer=MANUFACTURER,
    )
    observer = sr.ObserverContext(
        observer_type=codedict.codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=highdicom.UID(), name=MANUFACTURER, model_name=f"{MANUFACTURER}, research use only"
        ),
    )
    groups = [group for k in range(detections.count_from(min_score)) for group in _groups(detections, k, algorithm)]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codedict.codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups or [_none(algorithm)],
        title=codedict.codes.DCM.ImagingMeasurementReport,
        referenced_images=headers,
    )
    return sr.Comprehensive3DSR(
        evidence=headers,
        content=content,
        series_instance_uid=highdicom.UID(),
        series_number=SR_SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        series_description=SERIES_DESCRIPTION,
    )


def _none(algorithm: Any) -> Any:
    codes = codedict.codes
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=highdicom.UID(), identifier="no mark"),
        algorithm_id=algorithm,
        measurements=[sr.Measurement(codes.SCT.NumberOfLesions, 0.0, codes.UCUM.NoUnits)],
    )


def _groups(detections: ScanReport, k: int, algorithm: Any) -> tuple[Any, Any]:
    source, codes = detections.source, codedict.codes
    assert source is not None
    assert source.frame_of_reference_uid is not None
    header = source.headers[detections.slice_of(k)]
    tracking = highdicom.UID()
    shared = dict(
        finding_type=finding_type(detections),
        finding_category=codes.SCT.MorphologicallyAbnormalStructure,
        finding_sites=[sr.FindingSite(code) for code in finding_regions(detections)],
        algorithm_id=algorithm,
    )

    score = float(detections.marks.score[k])

    def tracked() -> Any:  # content items belong to one group
        return sr.TrackingIdentifier(uid=tracking, identifier=f"mark {k + 1}, score {score:.3f}")

    def diameter(**inferred_from: Any) -> Any:
        value_mm = float(detections.diameter_mm[k])
        return sr.Measurement(codes.SCT.Diameter, value_mm, codes.UCUM.Millimeter, **inferred_from)

    probability = detections.probability
    percent = 100 * (score if probability is None else float(probability[k]))
    centre = sr.CoordinatesForMeasurement3D(
        "POINT", detections.marks.centre_xyz_mm[k : k + 1], source.frame_of_reference_uid
    )
    graphic_type, points = _outline(detections, k)
    on_slice = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracked(),
        referenced_region=sr.ImageRegion(
            graphic_type, points, sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID)
        ),
        measurements=[diameter(), sr.Measurement(codes.DCM.CertaintyOfFinding, percent, codes.UCUM.Percent)],
        **shared,
    )
    in_patient = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracked(), measurements=[diameter(referenced_coordinates=[centre])], **shared
    )
    return on_slice, in_patient


def _outline(detections: ScanReport, k: int) -> tuple[str, Float[np.ndarray, "n 2"]]:
    """The mark's circle as column and row on its slice, counted from the corner of the first pixel, not its centre."""
    _, row, column = detections.centre_voxel_zyx[k] + 0.5
    _, spacing_y_mm, spacing_x_mm = detections.grid.spacing_zyx_mm
    half_x, half_y = (detections.diameter_mm[k] / 2 / mm for mm in (spacing_x_mm, spacing_y_mm))
    if math.isclose(spacing_x_mm, spacing_y_mm):
        return "CIRCLE", np.array([[column, row], [column + half_x, row]])
    across = [[column - half_x, row], [column + half_x, row]], [[column, row - half_y], [column, row + half_y]]
    return "ELLIPSE", np.array([point for axis in sorted(across, key=_length, reverse=True) for point in axis])


def _length(axis: list[list[float]]) -> float:
    return math.dist(*axis)
