"""The DICOM headers of a study, in NLST's manner: dates shifted to 1999, six-digit patients."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from medssl_jax.imaging.volumes import Volume
from medssl_jax.phantoms.dicom_series import CT_IMAGE, JPEG_LOSSLESS, Image, slice_images
from medssl_jax.phantoms.studies.protocols import THIN_SOFT
from medssl_jax.phantoms.studies.spec import JPEG_COMPRESSED, NlstPhantom
from medssl_jax.phantoms.studies.study import Study

LOCALIZER = "localizer"
FIRST_PATIENT, BETWEEN_PATIENTS = 100002, 7
FIRST_YEAR = 1999
KILOVOLTS, MILLIAMPERE_SECONDS = 120, 40


def patient_id(patient: int) -> str:
    """The six digits of a patient."""
    return str(FIRST_PATIENT + BETWEEN_PATIENTS * patient)


def study_series(spec: NlstPhantom, study: Study) -> dict[str, Sequence[Image]]:
    """The images of each series of a study: of the `LOCALIZER`, then of the reconstructions by their roles."""
    fields = _study_fields(spec, study)
    series: dict[str, Sequence[Image]] = {LOCALIZER: _localizer(spec, study, fields)}
    for number, (role, volume) in enumerate(study.reconstructions.items(), start=2):
        series[role] = _reconstruction(spec, study, {**fields, "SeriesNumber": str(number)}, role, volume)
    return series


def _study_fields(spec: NlstPhantom, study: Study) -> dict[str, Any]:
    date = f"{FIRST_YEAR + study.year}0102"
    return {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": CT_IMAGE,
        "StudyDate": date,
        "SeriesDate": date,
        "AcquisitionDate": date,
        "ContentDate": date,
        "StudyTime": "",
        "AccessionNumber": "",
        "Modality": "CT",
        "Manufacturer": study.protocol.manufacturer.name,
        "ManufacturerModelName": study.protocol.model,
        "ReferringPhysicianName": "",
        "StudyDescription": "NLST-LSS",
        "PatientName": patient_id(study.patient),
        "PatientID": patient_id(study.patient),
        "PatientBirthDate": "",
        "PatientSex": "",
        "PatientIdentityRemoved": "YES",
        "ClinicalTrialTimePointID": f"T{study.year}",
        "BodyPartExamined": "CHEST",
        "KVP": str(KILOVOLTS),
        "GantryDetectorTilt": "0.0",
        "PatientPosition": "FFS",
        "StudyInstanceUID": spec.uid("study", study.patient, study.year),
        "FrameOfReferenceUID": spec.uid("frame", study.patient, study.year),
        "StudyID": "",
        "AcquisitionNumber": "1",
        "WindowCenter": "-600",
        "WindowWidth": "1600",
    }


def _localizer(spec: NlstPhantom, study: Study, fields: Mapping[str, Any]) -> list[Image]:
    uid = spec.uid(LOCALIZER, study.patient, study.year)
    maker = study.protocol.manufacturer
    fields = {
        **fields,
        "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        "SeriesInstanceUID": uid,
        "SeriesNumber": "1",
        "SeriesDescription": f"{study.year},OPA,{maker.code},{study.protocol.model_code},LOCALIZER",
    }
    storage = dataclasses.replace(maker.storage, padding_hu=None)
    return [
        image
        for number, view in enumerate(study.localizers, start=1)
        for image in slice_images(view, storage, {**fields, "InstanceNumber": number}, [spec.uid(uid, number)])
    ]


def _reconstruction(
    spec: NlstPhantom, study: Study, fields: Mapping[str, Any], role: str, volume: Volume
) -> list[Image]:
    protocol = study.protocol
    kernel, slice_mm = protocol.kernel(role), protocol.slice_mm(role)
    width_mm = volume.grid.size_zyx[2] * volume.grid.spacing_zyx_mm[2]
    description = (study.year, "OPA", protocol.manufacturer.code, protocol.model_code, kernel)
    settings = (round(width_mm), f"{slice_mm:g}", KILOVOLTS, MILLIAMPERE_SECONDS, "0.0", "1.5")
    fields = {
        **fields,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SeriesInstanceUID": volume.series_uid,
        "SeriesDescription": ",".join(map(str, (*description, *settings))),
        "ConvolutionKernel": kernel,
        "SliceThickness": f"{slice_mm:.6f}",
        "ReconstructionDiameter": f"{width_mm:.6f}",
    }
    storage = protocol.manufacturer.storage
    if role == THIN_SOFT and spec.defect(study.patient, study.year) == JPEG_COMPRESSED:
        storage = dataclasses.replace(storage, transfer_syntax=JPEG_LOSSLESS)
    uids = [spec.uid(volume.series_uid, place) for place in range(len(volume.array_zyx))]
    return slice_images(volume, storage, fields, uids)
