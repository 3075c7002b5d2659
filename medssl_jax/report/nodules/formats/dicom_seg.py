"""Marks as a DICOM segmentation on the slices of their series: a ball for each, as in the label map."""

from typing import Any

from etils import epy

from medssl_jax.report.nodules.formats.dicom_coding import (
    MANUFACTURER,
    SEG_SERIES_NUMBER,
    SERIES_DESCRIPTION,
    algorithm_name,
    algorithm_version,
    finding_regions,
    finding_type,
    version,
)
from medssl_jax.report.nodules.formats.label_map import label_map
from medssl_jax.report.nodules.scan_report import ScanReport

with epy.lazy_imports():
    import highdicom
    from highdicom import seg
    from pydicom.sr import codedict


def segmentation(detections: ScanReport, *, min_score: float | None) -> Any:
    """The segmentation, a pydicom Dataset, of the marks of at least `min_score`: segment k is mark k.

    The scan was read with its headers. Where there is no such mark, its one segment is empty and says so.
    """
    assert detections.source is not None
    likely = detections.count_from(min_score)
    labels = [f"{k + 1}: score {detections.marks.score[k]:.2f}" for k in range(likely)]
    none = "no mark" if min_score is None else f"no mark of score {min_score:g}"
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=algorithm_name(detections),
        family=codedict.codes.cid7162.ArtificialIntelligence,
        version=algorithm_version(detections),
    )
    return seg.Segmentation(
        source_images=detections.source.headers,
        pixel_array=label_map(detections, min_score=min_score).array_zyx,
        segmentation_type="BINARY",
        segment_descriptions=[
            seg.SegmentDescription(
                segment_number=number,
                segment_label=label,
                segmented_property_category=codedict.codes.SCT.MorphologicallyAbnormalStructure,
                segmented_property_type=finding_type(detections),
                algorithm_type="AUTOMATIC",
                algorithm_identification=algorithm,
                tracking_uid=highdicom.UID(),
                tracking_id=f"mark {number}",
                anatomic_regions=finding_regions(detections) or None,
            )
            for number, label in enumerate(labels or [none], start=1)
        ],
        series_instance_uid=highdicom.UID(),
        series_number=SEG_SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=algorithm_name(detections),
        software_versions=version(),
        device_serial_number=detections.detector.config_sha256[:16],
        series_description=SERIES_DESCRIPTION,
    )
