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
import functools
import json
import os
import uuid
from pathlib import Path

from medssl_jax.core.progress import Progress, silent
from medssl_jax.imaging.volumes import write_metaimage
from medssl_jax.phantoms.chests.scan import PlacedFinding
from medssl_jax.phantoms.dicom_series import CT_IMAGE, SECONDARY_CAPTURE, write_images
from medssl_jax.phantoms.folder import TRUTH_FOLDER, claim_folder, csv_text, make_missing, write_text
from medssl_jax.phantoms.studies.headers import StudySeries, study_series
from medssl_jax.phantoms.studies.spec import NlstPhantom
from medssl_jax.phantoms.studies.study import render_study

MAKE = 1  # raised when the same spec would give other bytes, so that two makes never mix in one folder
METADATA_FILE = "metadata.csv"
METADATA_HEADER = (
    "Series UID",
    "Collection",
    "3rd Party Analysis",
    "Data Description URI",
    "Subject ID",
    "Study UID",
    "Study Description",
    "Study Date",
    "Series Description",
    "Manufacturer",
    "Modality",
    "SOP Class Name",
    "SOP Class UID",
    "Number of Images",
    "File Size",
    "File Location",
    "Download Timestamp",
)
SOP_CLASSES = {
    "CT": (CT_IMAGE, "CT Image Storage"),
    "OT": (SECONDARY_CAPTURE, "Secondary Capture Image Storage"),
}
DOWNLOADED = "2021-07-14T12:00:00.0"
SHARE_LEFT_BY_TRUNCATION = 0.6
SECOND_COPY = "-copy"


@dataclasses.dataclass(frozen=True)
class SeriesTruth:
    """What is known of a written series: its kind (`localizer`, `thin soft`, `thick soft`, `sharp`) and its defect.

    `folder` is where it belongs, relative; `folders` are all where it lies, with `images` files in each. A localizer
    has no kernel and a thickness of 0. `defect` is empty, or one of `medssl_jax.phantoms.studies.spec.DEFECTS`.
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
    """What is known of a written study; findings are in world mm and lie alike in all its reconstructions."""

    study_uid: str
    patient: str
    study_date: str
    series: tuple[SeriesTruth, ...]
    nodules: tuple[PlacedFinding, ...]
    excluded: tuple[PlacedFinding, ...]


def write_nlst_phantom(
    spec: NlstPhantom, directory: str | os.PathLike, *, workers: int = 1, progress: Progress = silent
) -> None:
    """Makes the data set; studies that are there already are kept, so an interrupted call is simply made again.

    Raises `InputError` as `claim_folder`.
    """
    directory = claim_folder(directory, "nlst", MAKE, spec, telltale_names=("NLST", "nlst", METADATA_FILE))
    make_missing(
        functools.partial(write_study, spec, directory),
        spec.studies,
        functools.partial(_is_finished, spec, directory),
        workers=workers,
        progress=progress,
    )
    if spec.layout == "nbia":
        write_text(
            directory / METADATA_FILE, csv_text([METADATA_HEADER, *_metadata_rows(read_truths(spec, directory))])
        )


def read_truths(spec: NlstPhantom, directory: str | os.PathLike) -> tuple[StudyTruth, ...]:
    """What is known of every study of a written phantom, by patient, then by date."""
    return tuple(read_truth(spec, directory, *study) for study in spec.studies)


def read_truth(spec: NlstPhantom, directory: str | os.PathLike, patient: int, year: int) -> StudyTruth:
    """What is known of one study of a written phantom."""
    record = json.loads(_truth_path(spec, Path(directory), patient, year).read_text())
    for kind in ("nodules", "excluded"):
        record[kind] = tuple(
            PlacedFinding(tuple(row["centre_xyz_mm"]), row["diameter_mm"], row["kind"]) for row in record[kind]
        )
    record["series"] = tuple(SeriesTruth(**{**row, "folders": tuple(row["folders"])}) for row in record["series"])
    return StudyTruth(**record)


def lungs_path(spec: NlstPhantom, directory: str | os.PathLike, patient: int, year: int) -> Path:
    """The mask of lungs and windpipe of one study, labelled as LUNA16's."""
    return _truth_path(spec, Path(directory), patient, year).with_suffix(".mhd")


def write_study(spec: NlstPhantom, directory: str | os.PathLike, study: tuple[int, int]) -> None:
    """Makes and writes one study, given by patient and year."""
    directory = Path(directory)
    rendered = render_study(spec, *study)
    all_series = study_series(spec, rendered)
    about = all_series[0].fields
    truth = StudyTruth(
        about["StudyInstanceUID"],
        about["PatientID"],
        about["StudyDate"],
        tuple(_write_series(spec, directory, series) for series in all_series),
        rendered.nodules,
        rendered.excluded,
    )
    write_metaimage(lungs_path(spec, directory, *study), rendered.lungs, compress=True)
    write_text(_truth_path(spec, directory, *study), json.dumps(dataclasses.asdict(truth), indent=1) + "\n")


def _write_series(spec: NlstPhantom, directory: Path, series: StudySeries) -> SeriesTruth:
    first = _series_folder(spec, series)
    folders = {
        "metadata_missing_series": [],
        "same_series_twice": [first, first + SECOND_COPY],
    }.get(series.defect, [first])
    names = _file_names(spec, series)
    for folder in folders:
        (directory / folder).mkdir(parents=True, exist_ok=True)
        write_images({directory / folder / name: image for name, image in zip(names, series.images, strict=True)})
    if series.defect == "truncated_file":
        _truncate(directory / first / names[len(names) // 2])
    return SeriesTruth(
        series_uid=series.uid,
        kind=series.kind,
        kernel=series.kernel,
        slice_thickness_mm=series.slice_mm,
        defect=series.defect,
        modality=series.fields["Modality"],
        manufacturer=series.fields["Manufacturer"],
        description=series.fields["SeriesDescription"],
        images=len(series.images),
        file_bytes=sum(image.hu.size for image in series.images) * 2,
        folder=first,
        folders=tuple(folders),
    )


def _series_folder(spec, series):
    fields = series.fields
    study_uid, patient = fields["StudyInstanceUID"], fields["PatientID"]
    if spec.layout == "idc":
        return f"nlst/{patient}/{study_uid}/{fields['Modality']}_{series.uid}"
    date = _american(fields["StudyDate"])
    study = f"{date}-{fields['StudyDescription']}-{study_uid[-5:]}"
    name = "".join(each for each in fields["SeriesDescription"] if each.isalnum() or each == ".")
    return f"NLST/{patient}/{study}/{int(fields['SeriesNumber']):.6f}-{name}-{series.uid[-5:]}"


def _file_names(spec, series):
    """A name for each image; in neither layout has their order to do with that of the slices."""
    uids = [image.fields["SOPInstanceUID"] for image in series.images]
    if spec.layout == "idc":
        return [f"{uuid.uuid5(uuid.NAMESPACE_OID, uid)}.dcm" for uid in uids]
    numbers = {uid: number for number, uid in enumerate(sorted(uids), start=1)}
    return [f"1-{numbers[uid]:03d}.dcm" for uid in uids]


def _truncate(path):
    os.truncate(path, int(SHARE_LEFT_BY_TRUNCATION * path.stat().st_size))


def _is_finished(spec, directory, study):
    if not _truth_path(spec, directory, *study).is_file():
        return False
    mask = lungs_path(spec, directory, *study)
    if not (mask.is_file() and mask.with_suffix(".zraw").is_file()):
        return False
    folders = (
        (directory / folder, series)
        for series in read_truth(spec, directory, *study).series
        for folder in series.folders
    )
    return all(folder.is_dir() and len(list(folder.glob("*.dcm"))) == series.images for folder, series in folders)


def _truth_path(spec, directory, patient, year):
    return directory / TRUTH_FOLDER / f"{spec.uid('study', patient, year)}.json"


def _metadata_rows(truths):
    for study in truths:
        for series in study.series:
            sop_class, sop_class_name = SOP_CLASSES[series.modality]
            yield (
                series.series_uid,
                "NLST",
                "NO",
                "",
                study.patient,
                study.study_uid,
                "NLST-LSS",
                _american(study.study_date),
                series.description,
                series.manufacturer,
                series.modality,
                sop_class_name,
                sop_class,
                series.images,
                f"{series.file_bytes / 1e6:.2f} MB",
                f"./{series.folder}",
                DOWNLOADED,
            )


def _american(date):
    return f"{date[4:6]}-{date[6:]}-{date[:4]}"
