"""The DICOM headers of a study, in NLST's manner: dates shifted to 1999, six-digit patients."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from medssl_jax.imaging.volumes import Volume
from medssl_jax.phantoms.dicom_series import CT_IMAGE, JPEG_LOSSLESS, Image, decimals, slice_images
from medssl_jax.phantoms.studies.protocols import THIN_SOFT
from medssl_jax.phantoms.studies.spec import JPEG_COMPRESSED, NlstPhantom
from medssl_jax.phantoms.studies.study import Study

LOCALIZER = "localizer"
FIRST_PATIENT, BETWEEN_PATIENTS = 100002, 7
FIRST_YEAR = 1999
KILOVOLTS, MILLIAMPERE_SECONDS = 120, 40


@dataclasses.dataclass(frozen=True, eq=False)
class StudySeries:
    """One series of a study as it is to be written; `kind` is `LOCALIZER` or the reconstruction's role."""

    kind: str
    kernel: str
    slice_mm: float
    defect: str
    images: Sequence[Image]

    @property
    def fields(self) -> Mapping[str, Any]:
        """The header fields that all images share, read off the first."""
        return self.images[0].fields


def patient_id(patient: int) -> str:
    """The six digits of a patient."""
    return str(FIRST_PATIENT + BETWEEN_PATIENTS * patient)


def study_series(spec: NlstPhantom, study: Study) -> tuple[StudySeries, ...]:
    """All series of a study: the localizer, then the reconstructions."""
    fields = _study_fields(spec, study)
    reconstructions = enumerate(study.reconstructions.items(), start=2)
    return (
        _localizer_series(spec, study, fields),
        *(_reconstruction_series(spec, study, fields, number, *each) for number, each in reconstructions),
    )


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


def _localizer_series(spec: NlstPhantom, study: Study, fields: Mapping[str, Any]) -> StudySeries:
    uid = spec.uid(LOCALIZER, study.patient, study.year)
    maker = study.protocol.manufacturer
    views = [
        Image(
            view.hu,
            dataclasses.replace(maker.storage, padding_hu=None),
            {
                **fields,
                "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
                "SeriesInstanceUID": uid,
                "SeriesNumber": "1",
                "SeriesDescription": f"{study.year},OPA,{maker.code},{study.protocol.model_code},LOCALIZER",
                "InstanceNumber": number,
                "SOPInstanceUID": spec.uid(uid, number),
                "ImagePositionPatient": decimals(view.corner_xyz_mm),
                "ImageOrientationPatient": decimals([*view.row_axis, 0, 0, -1]),
                "PixelSpacing": decimals(view.spacing_yx_mm),
            },
        )
        for number, view in enumerate(study.localizers, start=1)
    ]
    return StudySeries(LOCALIZER, "", 0.0, "", views)


def _reconstruction_series(
    spec: NlstPhantom, study: Study, fields: Mapping[str, Any], number: int, role: str, volume: Volume
) -> StudySeries:
    protocol = study.protocol
    kernel, slice_mm = protocol.kernel(role), protocol.slice_mm(role)
    width_mm = volume.grid.size_zyx[2] * volume.grid.spacing_zyx_mm[2]
    description = (study.year, "OPA", protocol.manufacturer.code, protocol.model_code, kernel)
    settings = (round(width_mm), f"{slice_mm:g}", KILOVOLTS, MILLIAMPERE_SECONDS, "0.0", "1.5")
    fields = {
        **fields,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SeriesInstanceUID": volume.series_uid,
        "SeriesNumber": str(number),
        "SeriesDescription": ",".join(map(str, (*description, *settings))),
        "ConvolutionKernel": kernel,
        "SliceThickness": f"{slice_mm:.6f}",
        "ReconstructionDiameter": f"{width_mm:.6f}",
    }
    storage, defect = protocol.manufacturer.storage, ""
    if role == THIN_SOFT:
        defect = spec.defect(study.patient, study.year)
    if defect == JPEG_COMPRESSED:
        storage = dataclasses.replace(storage, transfer_syntax=JPEG_LOSSLESS)
    uids = [spec.uid(volume.series_uid, place) for place in range(len(volume.array_zyx))]
    return StudySeries(role, kernel, slice_mm, defect, slice_images(volume, storage, fields, uids))
