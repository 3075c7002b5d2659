"""The DICOM headers of a study, in NLST's manner: dates shifted to 1999, six-digit patients."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from medssl_jax.phantoms.dicom_series import CT_IMAGE, Image, decimals, slice_images
from medssl_jax.phantoms.studies.defects import plant
from medssl_jax.phantoms.studies.protocols import THIN_SOFT
from medssl_jax.phantoms.studies.spec import NlstPhantom
from medssl_jax.phantoms.studies.study import Reconstruction, Study

LOCALIZER = "localizer"
FIRST_PATIENT, BETWEEN_PATIENTS = 100002, 7
FIRST_YEAR = 1999
KILOVOLTS, MILLIAMPERE_SECONDS = 120, 40


@dataclasses.dataclass(frozen=True, eq=False)
class StudySeries:
    """One series of a study as it is to be written; `kind` is `LOCALIZER` or the reconstruction's role."""

    uid: str
    kind: str
    kernel: str
    slice_mm: float
    defect: str
    images: tuple[Image, ...]

    @property
    def fields(self) -> Mapping[str, Any]:
        """The header fields that all images share, read off the first."""
        return self.images[0].fields


def patient_id(patient: int) -> str:
    """The six digits of a patient."""
    return str(FIRST_PATIENT + BETWEEN_PATIENTS * patient)


def study_series(spec: NlstPhantom, study: Study) -> tuple[StudySeries, ...]:
    """All series of a study: the localizer, then the reconstructions, with what is planted in one of them."""
    fields = _study_fields(spec, study)
    series = [_localizer_series(spec, study, fields)]
    for number, reconstruction in enumerate(study.reconstructions, start=2):
        planted = spec.defect(study.patient, study.year) if reconstruction.role == THIN_SOFT else ""
        images = plant(planted, _slices(spec, study, fields, reconstruction, number))
        series.append(
            StudySeries(
                reconstruction.volume.series_uid,
                reconstruction.role,
                reconstruction.kernel,
                reconstruction.slice_mm,
                planted,
                tuple(images),
            )
        )
    return tuple(series)


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
    views = tuple(
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
    )
    return StudySeries(uid, LOCALIZER, "", 0.0, "", views)


def _slices(
    spec: NlstPhantom, study: Study, fields: Mapping[str, Any], reconstruction: Reconstruction, number: int
) -> list[Image]:
    volume, protocol = reconstruction.volume, study.protocol
    width_mm = volume.grid.size_zyx[2] * volume.grid.spacing_zyx_mm[2]
    description = (study.year, "OPA", protocol.manufacturer.code, protocol.model_code, reconstruction.kernel)
    settings = (round(width_mm), f"{reconstruction.slice_mm:g}", KILOVOLTS, MILLIAMPERE_SECONDS, "0.0", "1.5")
    fields = {
        **fields,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SeriesInstanceUID": volume.series_uid,
        "SeriesNumber": str(number),
        "SeriesDescription": ",".join(map(str, (*description, *settings))),
        "ConvolutionKernel": reconstruction.kernel,
        "SliceThickness": f"{reconstruction.slice_mm:.6f}",
        "ReconstructionDiameter": f"{width_mm:.6f}",
    }
    uids = [spec.uid(volume.series_uid, place) for place in range(len(volume.array_zyx))]
    return slice_images(volume, protocol.manufacturer.storage, fields, uids)
