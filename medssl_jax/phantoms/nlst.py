"""A synthetic NLST on disk, in the layout of NBIA's retriever or of idc-index.

spec.json                                                            what it was made from
nbia: NLST/<patient>/<date>-NLST-LSS-<nnnnn>/<series>/1-<nnn>.dcm    numbered in no order of the slices
      metadata.csv                                                   a row a series
idc:  nlst/<patient>/<study UID>/CT_<series UID>/<UUID>.dcm
phantom/<study UID>.mhd .zraw                                        lungs and windpipe on the thin slices' grid
phantom/<study UID>.json                                             the truth about one study; written last, so it also
                                                                     says: this study is finished
"""

import dataclasses
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medssl_jax.core.progress import Progress, silent
from medssl_jax.imaging.volumes import write_metaimage
from medssl_jax.phantoms import folder
from medssl_jax.phantoms.chests.scan import PlacedFinding
from medssl_jax.phantoms.dicom_series import CT_IMAGE, JPEG_LOSSLESS, Image, write_images
from medssl_jax.phantoms.studies.headers import LOCALIZER, study_series
from medssl_jax.phantoms.studies.spec import JPEG_COMPRESSED, NlstPhantom
from medssl_jax.phantoms.studies.study import render_study

METADATA_FILE = "metadata.csv"
KIND = folder.Kind("nlst", 1, ("NLST", "nlst", METADATA_FILE))


@dataclasses.dataclass(frozen=True)
class SeriesTruth:
    """The truth about a written series: its kind (`localizer`, `thin soft`, `thick soft`, `sharp`) and its defect.

    It lies in `folder`, relative, the only one of `folders`. A localizer has no kernel and a thickness of 0. `defect`
    is that of the spec; empty for none.
    """

    series_uid: str
    kind: str
    kernel: str
    slice_thickness_mm: float
    defect: str
    modality: str
    manufacturer: str
    description: str
    images: int
    file_bytes: int
    folder: str
    folders: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class StudyTruth:
    """The truth about a written study; findings are in world mm and lie alike in all its reconstructions."""

    study_uid: str
    patient: str
    study_date: str
    series: tuple[SeriesTruth, ...]
    nodules: tuple[PlacedFinding, ...]
    excluded: tuple[PlacedFinding, ...]


def write_nlst_phantom(
    spec: NlstPhantom, directory: str | os.PathLike[str], *, workers: int = 1, progress: Progress = silent
) -> None:
    """Makes the data set; studies that are there already are kept, so an interrupted call is simply made again.

    Raises `InputError` as `folder.write_items`.
    """
    directory = folder.write_items(
        KIND, spec, directory, spec.studies, write_study, _is_finished, workers=workers, progress=progress
    )
    if spec.layout == "nbia":
        rows = [_metadata(study, series) for study in read_truths(spec, directory) for series in study.series]
        folder.write_csv(directory / METADATA_FILE, [rows[0], *(row.values() for row in rows)])


def read_truths(spec: NlstPhantom, directory: str | os.PathLike[str]) -> tuple[StudyTruth, ...]:
    """The truth about every study of a written phantom, by patient, then by date."""
    return tuple(folder.read_truth(directory, _study_uid(spec, *study), StudyTruth) for study in spec.studies)


def lungs_path(spec: NlstPhantom, directory: str | os.PathLike[str], patient: int, year: int) -> Path:
    """The mask of lungs and windpipe of one study, labelled as LUNA16's."""
    return folder.truth_path(directory, _study_uid(spec, patient, year)).with_suffix(".mhd")


def write_study(spec: NlstPhantom, directory: Path, study: tuple[int, int]) -> None:
    """Makes and writes one study, given by patient and year."""
    rendered = render_study(spec, *study)
    series = study_series(spec, rendered)
    fields = series[LOCALIZER][0].fields
    truth = StudyTruth(
        fields["StudyInstanceUID"],
        fields["PatientID"],
        fields["StudyDate"],
        tuple(_write_series(spec, directory, kind, images) for kind, images in series.items()),
        rendered.nodules,
        rendered.excluded,
    )
    write_metaimage(lungs_path(spec, directory, *study), rendered.lungs, compress=True)
    folder.write_truth(directory, truth.study_uid, truth)


def _write_series(spec: NlstPhantom, directory: Path, kind: str, images: Sequence[Image]) -> SeriesTruth:
    fields, storage = images[0].fields, images[0].storage
    home = _series_folder(spec, fields)
    (directory / home).mkdir(parents=True, exist_ok=True)
    names = _file_names(spec, [image.fields["SOPInstanceUID"] for image in images])
    write_images({directory / home / name: image for name, image in zip(names, images, strict=True)})
    return SeriesTruth(
        series_uid=fields["SeriesInstanceUID"],
        kind=kind,
        kernel=fields.get("ConvolutionKernel", ""),
        slice_thickness_mm=float(fields.get("SliceThickness", 0)),
        defect=JPEG_COMPRESSED if storage.transfer_syntax == JPEG_LOSSLESS else "",
        modality=fields["Modality"],
        manufacturer=fields["Manufacturer"],
        description=fields["SeriesDescription"],
        images=len(images),
        file_bytes=sum(image.hu.size for image in images) * 2,
        folder=home,
        folders=(home,),
    )


def _series_folder(spec: NlstPhantom, fields: Mapping[str, Any]) -> str:
    patient, study_uid, uid = (fields[name] for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"))
    if spec.layout == "idc":
        return f"nlst/{patient}/{study_uid}/{fields['Modality']}_{uid}"
    study = f"{_american(fields['StudyDate'])}-{fields['StudyDescription']}-{study_uid[-5:]}"
    name = "".join(each for each in fields["SeriesDescription"] if each.isalnum() or each == ".")
    return f"NLST/{patient}/{study}/{int(fields['SeriesNumber']):.6f}-{name}-{uid[-5:]}"


def _file_names(spec: NlstPhantom, image_uids: Sequence[str]) -> list[str]:
    """A name for each image; in neither layout has their order to do with that of the slices."""
    if spec.layout == "idc":
        return [f"{uuid.uuid5(uuid.NAMESPACE_OID, uid)}.dcm" for uid in image_uids]
    return [f"1-{sorted(image_uids).index(uid) + 1:03d}.dcm" for uid in image_uids]


def _is_finished(spec: NlstPhantom, directory: Path, study: tuple[int, int]) -> bool:
    mask, uid = lungs_path(spec, directory, *study), _study_uid(spec, *study)
    if not all(file.is_file() for file in (folder.truth_path(directory, uid), mask, mask.with_suffix(".zraw"))):
        return False
    return all(
        len(list((directory / series.folder).glob("*.dcm"))) == series.images
        for series in folder.read_truth(directory, uid, StudyTruth).series
    )


def _study_uid(spec: NlstPhantom, patient: int, year: int) -> str:
    return spec.uid("study", patient, year)


def _metadata(study: StudyTruth, series: SeriesTruth) -> dict[str, Any]:
    """A row of metadata.csv by the names of its columns."""
    return {
        "Series UID": series.series_uid,
        "Collection": "NLST",
        "3rd Party Analysis": "NO",
        "Data Description URI": "",
        "Subject ID": study.patient,
        "Study UID": study.study_uid,
        "Study Description": "NLST-LSS",
        "Study Date": _american(study.study_date),
        "Series Description": series.description,
        "Manufacturer": series.manufacturer,
        "Modality": series.modality,
        "SOP Class Name": "CT Image Storage",
        "SOP Class UID": CT_IMAGE,
        "Number of Images": series.images,
        "File Size": f"{series.file_bytes / 1e6:.2f} MB",
        "File Location": f"./{series.folder}",
        "Download Timestamp": "2021-07-14T12:00:00.0",
    }


def _american(date: str) -> str:
    return f"{date[4:6]}-{date[6:]}-{date[:4]}"
