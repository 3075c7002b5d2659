"""SR and SEG of a small series, read back by highdicom and pydicom: places, sizes, references are the marks' own."""

import dataclasses

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.dicom.references import read_reference
from medssl_jax.imaging.dicom.series import read_series
from medssl_jax.imaging.geometry import voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.submission import Marks
from medssl_jax.metrics.nodules.operating_points import Calibration, OperatingPoint, OperatingPoints
from medssl_jax.report.nodules.formats.dicom_coding import write_dicom
from medssl_jax.report.nodules.formats.dicom_seg import segmentation
from medssl_jax.report.nodules.formats.dicom_sr import structured_report
from medssl_jax.report.nodules.formats.label_map import label_map
from medssl_jax.run_folder.experience import Experience

CENTRES_ZYX = np.array([[5.0, 20.0, 25.25], [2.4, 8.0, 9.0], [1.0, 5.0, 5.0]])
PATIENT = {"PatientName": "Doe^Jane", "PatientID": "100012", "PatientBirthDate": "", "PatientSex": "F"}
STUDY = {"StudyTime": "", "AccessionNumber": "7", "ReferringPhysicianName": "", "StudyID": "1"}


def numbered(header, z):
    header.InstanceNumber = 100 - z


@pytest.fixture
def reported(turned_report, write_series, tmp_path):
    """Makes the report on a series of 8 slices with three marks, of which two are likely; `fields` are headers'."""

    def make(**fields):
        stored = np.zeros((8, 40, 50), np.int16)
        identity = {"FrameOfReferenceUID": "1.2.3.99", "SeriesNumber": 3, **PATIENT, **STUDY}
        folder = write_series(tmp_path / "ct", stored=stored, change=numbered, **(identity | fields))
        series = read_series(folder)
        marks = Marks(
            (series.series_uid,) * 3,
            voxel_zyx_to_world_xyz_mm(CENTRES_ZYX, series.grid),
            np.array([0.9, 0.5, 0.1]),
            np.array([9.0, 6.1, 4.0]),
        )
        source = read_reference(series, with_headers=True)
        return turned_report(grid=series.grid, series_uid=series.series_uid, marks=marks, source=source)

    return make


def number_in(items, code):
    """The value of a measurement by the code of its name, from plain pydicom."""
    (item,) = [item for item in items if item.ConceptNameCodeSequence[0].CodeValue == code]
    return float(item.MeasuredValueSequence[0].NumericValue)


def read_back(path, detections, min_score):
    write_dicom(path, structured_report(detections, min_score=min_score))
    return highdicom.sr.srread(path)


def test_a_report_read_back_has_the_marks_and_refers_to_their_slices(reported, tmp_path):
    detections = reported()
    report = read_back(tmp_path / "sr.dcm", detections, 0.5)
    assert (report.PatientID, report.StudyInstanceUID, report.AccessionNumber) == ("100012", "1.2.3", "7")
    assert "research use only" in report.SeriesDescription
    groups = report.content.get_planar_roi_measurement_groups()
    in_patient = report.content.get_image_measurement_groups()
    assert len(groups) == len(in_patient) == 2
    for k, group in enumerate(groups):
        assert group.tracking_uid == in_patient[k].tracking_uid
        assert group.finding_type.value == "27925004"
        assert [site.value.value for site in group.finding_sites] == ["39607008"]
        assert group.tracking_identifier == f"mark {k + 1}, score {[0.9, 0.5][k]:.3f}"
        (diameter,) = group.get_measurements(name=codes.SCT.Diameter)
        assert diameter.value == pytest.approx(detections.diameter_mm[k])
        certainty = number_in(group[0].ContentSequence, "111012")
        assert certainty == pytest.approx(100 * detections.marks.score[k])
        # The centre in the patient, behind the diameter.
        (again,) = in_patient[k].get_measurements()
        assert again.value == diameter.value
        (centre,) = again.referenced_coordinates
        assert (centre.GraphicType, centre.ReferencedFrameOfReferenceUID) == ("POINT", "1.2.3.99")
        np.testing.assert_allclose(centre.GraphicData, detections.marks.centre_xyz_mm[k], rtol=1e-6)
        # The circle on the slice, whose own header places it in the patient.
        assert group.roi.graphic_type.value == "CIRCLE"
        middle, edge = np.array(group.roi.value)
        radius_mm = np.linalg.norm(edge - middle) * 0.75
        assert radius_mm == pytest.approx(detections.diameter_mm[k] / 2, rel=1e-5)
        (image,) = group.roi.ContentSequence
        uid = image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        (slice_header,) = [header for header in detections.source.headers if header.SOPInstanceUID == uid]
        to_patient = highdicom.spatial.ImageToReferenceTransformer.for_image(slice_header)
        on_slice = to_patient(middle[None])[0]
        np.testing.assert_allclose(on_slice[:2], detections.marks.centre_xyz_mm[k, :2], atol=1e-3)
        assert abs(on_slice[2] - detections.marks.centre_xyz_mm[k, 2]) <= 1.0 + 1e-6  # half of 2 mm
        assert slice_header.InstanceNumber == detections.instance_of(k).number
    referenced = {
        image.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }
    assert referenced == {f"1.2.3.4.{z}" for z in range(8)}
    text = pydicom.dcmread(tmp_path / "sr.dcm").to_json()
    assert "not a medical device" in text
    assert "FocalMix nodule detector, run luna" in text
    assert "2 of 3 marks" in text
    assert "certainty is the detector's score, which is no probability" in text
    assert "This detector has no operating points" in text


def test_the_certainty_of_a_calibrated_detector_is_a_probability(reported, tmp_path):
    calibration = Calibration(2.0, -1.0, 0.2, 0.1)
    points = OperatingPoints("LUNA16", 600, 4, 8, (OperatingPoint(1.0, 0.5, 0.75, 0.5),), calibration)
    detections = dataclasses.replace(reported(), experience=Experience(points))
    report = read_back(tmp_path / "sr.dcm", detections, 0.9)
    (group,) = report.content.get_planar_roi_measurement_groups()
    # Odds of 9 to 1, squared and divided by e.
    assert number_in(group[0].ContentSequence, "111012") == pytest.approx(100 * 81 / (81 + np.e), rel=1e-6)
    assert group.tracking_identifier == "mark 1, score 0.900"
    text = pydicom.dcmread(tmp_path / "sr.dcm").to_json()
    assert "certainty is the probability of a lesion, calibrated on validation scans" in text


def test_a_mark_of_a_detector_that_searches_the_body_is_a_lesion_of_no_organ(reported, tmp_path):
    detections = reported()
    detections.detector.config["data"]["region"] = "body"
    report = read_back(tmp_path / "sr.dcm", detections, 0.5)
    for group in (*report.content.get_planar_roi_measurement_groups(), *report.content.get_image_measurement_groups()):
        assert (group.finding_type.meaning, group.finding_sites) == ("Lesion", [])
    (first, _) = segmentation(detections, min_score=0.5).SegmentSequence
    assert [code.CodeMeaning for code in first.SegmentedPropertyTypeCodeSequence] == ["Lesion"]
    assert "AnatomicRegionSequence" not in first
    text = pydicom.dcmread(tmp_path / "sr.dcm").to_json()
    assert "FocalMix lesion detector, run luna" in text
    assert "odule" not in text
    assert "Lung" not in text


def test_no_likely_mark_is_a_count_of_none(reported, tmp_path):
    report = read_back(tmp_path / "sr.dcm", reported(), 0.95)
    assert report.content.get_planar_roi_measurement_groups() == []
    (group,) = report.content.get_image_measurement_groups()
    assert number_in(group[0].ContentSequence, codes.SCT.NumberOfLesions.value) == 0


def test_pixels_that_are_not_square_have_an_ellipse(reported, tmp_path):
    report = read_back(tmp_path / "sr.dcm", reported(PixelSpacing=[0.5, 1.0]), 0.9)
    (group,) = report.content.get_planar_roi_measurement_groups()
    assert group.roi.graphic_type.value == "ELLIPSE"
    points = np.array(group.roi.value)
    # The long axis first, in pixels: 9 mm are 18 rows of .5 mm and 9 columns of 1 mm.
    np.testing.assert_allclose(points[1] - points[0], [0, 18])
    np.testing.assert_allclose(points[3] - points[2], [9, 0])


@pytest.mark.parametrize("min_score", [0.5, 0.95])
def test_a_segmentation_read_back_is_the_label_map(reported, tmp_path, min_score):
    detections = reported()
    write_dicom(tmp_path / "seg.dcm", segmentation(detections, min_score=min_score))
    read = highdicom.seg.segread(tmp_path / "seg.dcm")
    labels = label_map(detections, min_score=min_score).array_zyx
    uids = [header.SOPInstanceUID for header in detections.source.headers]
    found = read.get_pixels_by_source_instance(uids, combine_segments=True, ignore_spatial_locations=True)
    np.testing.assert_array_equal(found, labels)
    segments = [read.get_segment_description(number) for number in read.segment_numbers]
    expected = ["1: score 0.90", "2: score 0.50"] if labels.any() else ["no mark of score 0.95"]
    assert [segment.SegmentLabel for segment in segments] == expected
    assert {segment.SegmentAlgorithmType for segment in segments} == {"AUTOMATIC"}
    assert read.FrameOfReferenceUID == "1.2.3.99"


def test_a_segmentation_of_no_mark_at_all_says_so(reported):
    none = Marks((), np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    made = segmentation(dataclasses.replace(reported(), marks=none), min_score=None)
    assert [segment.SegmentLabel for segment in made.SegmentSequence] == ["no mark"]
    assert not made.pixel_array.any()


def test_a_series_without_a_frame_of_reference_is_one_line(reported, write_series, tmp_path):
    series = read_series(write_series(tmp_path / "bare"))
    assert read_reference(series).frame_of_reference_uid is None
    with pytest.raises(InputError, match=r"1-\d+\.dcm: no FrameOfReferenceUID, .*leave sr and seg out of --formats"):
        read_reference(series, with_headers=True)
