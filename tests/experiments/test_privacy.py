"""A PatientID comes in with DICOM files and tables and goes into nothing: no file written, no line said.

Files are searched as they lie, and what is compressed, Parquet's cells and ArrayRecord's records, unpacked.
"""

import subprocess
import sys

import pytest
from array_record.python.array_record_module import ArrayRecordReader
from pyarrow import parquet

from data_builders.folder.folder_files import find_scans as find_scans_of_folder
from data_builders.luna16.luna16_files import read_patients
from data_builders.nlst.nlst_files import find_scans as find_scans_of_nlst
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.dicom.series import find_series
from medssl_jax.imaging.patients import patient_key
from medssl_jax.imaging.volumes import read_volume
from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.luna16 import scan_path, write_luna16_phantom

PATIENTS = tuple(f"SMITH^1947031{number}" for number in range(5))
SPEC = Luna16Phantom(seed=1, scans=5, chest_zyx_mm=(64.0, 64.0, 64.0), share_flipped=0, share_without_nodules=0)
CONFIG = """
from experiments.configs import own, phantom


def get_config(_=""):
    config = phantom.get_config()
    mine = own.get_config()
    del config.data.phantom
    config.data.update(mine.data)
    config.split.update(mine.split)
    config.split.unlabelled_extra = 0
    config.steps, config.logging.log_every, config.logging.save_every, config.logging.bootstraps = 2, 1, 2, 20
    config.model.features, config.model.pyramid_features = (4, 4, 8, 8), 8
    config.model.prior = 0.5  # so that there are marks
    config.patches.jitter, config.inference.overlap, config.patches.unlabelled_batch = 8, 0, 0
    return config
"""


def contents(path):
    """The bytes of a file, and those of what it packs."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield str(parquet.read_table(path).to_pylist()).encode()
    if ".array_record" in path.name:
        reader = ArrayRecordReader(str(path))
        yield from (reader.read([place])[0] for place in range(reader.num_records()))
        reader.close()


def names_in(text, patients=PATIENTS):
    """Which patients' IDs stand in it, whole or their most telling part."""
    return [patient for patient in patients if patient.encode() in text or patient[-8:].encode() in text]


def files_that_name(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if any(map(names_in, contents(path)))]


def holds(folder, pattern, words):
    """Whether what a file holds can be found at all: the search would else find nothing for want of a reader."""
    return any(words.encode() in each for path in folder.rglob(pattern) for each in contents(path))


def run(folder, command, *flags):
    line = [sys.executable, "-m", f"experiments.{command}", *flags]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert names_in((done.stdout + done.stderr).encode()) == []


@pytest.fixture(scope="module")
def scans(tmp_path_factory, write_series):
    """Chests as DICOM, each of a patient of its own, the way a hospital's archive gives them."""
    folder = tmp_path_factory.mktemp("archive")
    write_luna16_phantom(SPEC, folder / "phantom")
    for index, patient in enumerate(PATIENTS):
        volume = read_volume(scan_path(SPEC, folder / "phantom", index))
        z, y, x = volume.grid.spacing_zyx_mm
        corner = volume.grid.origin_xyz_mm

        def place(header, slice_number, corner=corner, z=z):
            header.ImagePositionPatient = [corner[0], corner[1], corner[2] + z * slice_number]

        write_series(
            folder / "scans" / f"scan{index}",
            stored=volume.array_zyx + 1024,
            distance_mm=z,
            change=place,
            PixelSpacing=[y, x],
            PatientID=patient,
            StudyInstanceUID=f"{SPEC.series_uid(index)}.1",
            SeriesInstanceUID=SPEC.series_uid(index),
        )
    (folder / "scans" / "folds.csv").write_text(
        "seriesuid,subset\n" + "".join(f"{SPEC.series_uid(index)},{(0, 1, 2, 8, 9)[index]}\n" for index in range(5))
    )
    (folder / "phantom" / "patients.csv").write_text(
        "seriesuid,patient\n" + "".join(f"{SPEC.series_uid(index)},{PATIENTS[index]}\n" for index in range(5))
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("data_set", ["luna16", "folder", "nlst"])
def test_prepare_and_check_data_name_nobody(scans, tmp_path, data_set):
    data = f"--dataset={data_set}", f"--manual_dir={scans / ('phantom' if data_set == 'luna16' else 'scans')}"
    options = {"luna16": (), "folder": (f"--labels={scans / 'phantom/annotations.csv'}",), "nlst": ("--min_slices=8",)}
    sides = () if data_set == "nlst" else ("--train_subsets=0", "--test_subsets=1")
    run(tmp_path, "prepare", *data, "--data_dir=data", *options[data_set])
    run(tmp_path, "check_data", *data, "--output=check", *options[data_set], *sides)
    assert files_that_name(tmp_path) == []
    assert holds(tmp_path, "*.array_record*", patient_key(PATIENTS[3]))
    if data_set == "nlst":
        assert holds(tmp_path, "*.parquet", patient_key(PATIENTS[3]))


@pytest.mark.parametrize("fields", [{}, {"RescaleSlope": 0}], ids=["usable", "left out"])
def test_no_index_names_anybody(tmp_path, write_series, fields):
    one, two = PATIENTS[:2]
    for patient in (one, two):
        write_series(tmp_path / "scans" / patient[-1], PatientID=patient, SeriesInstanceUID=f"1.{ord(patient[-1])}")
    write_series(tmp_path / "scans/c", PatientID=one, SeriesInstanceUID="1.9", **fields)
    indices = tmp_path / "indices"
    scans = find_scans_of_nlst(tmp_path / "scans", indices / "nlst", least_slices=8)
    assert patient_key(one) in {scan.patient for scan in scans}
    if not fields:
        found = find_scans_of_folder(tmp_path / "scans", index_dir=indices / "folder")
        assert {scan.patient for scan in found} == {patient_key(one), patient_key(two)}
        assert holds(indices, "*.json", patient_key(one))
    assert holds(indices, "*.parquet", patient_key(one))
    assert holds(indices, "*.csv", patient_key(one))
    assert files_that_name(indices) == []


@pytest.mark.slow
def test_training_and_detection_name_nobody(scans, tmp_path):
    (tmp_path / "mine.py").write_text(CONFIG)
    run(
        tmp_path,
        "focalmix",
        "--config=mine.py",
        "--workdir=run",
        f"--config.data.manual_dir={scans / 'scans'}",
        f"--config.data.options.labels={scans / 'phantom/annotations.csv'}",
        "--config.data.data_dir=data",
        "--config.data.cache_dir=cache",
    )
    run(
        tmp_path,
        "detect",
        "--checkpoint=run",
        f"--input={scans / 'scans/scan3'}",
        "--output=found",
        "--min_score=0",
    )
    assert {"split.json", "submission.csv", "run.json"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert (tmp_path / "found" / "detections.html").is_file()
    assert files_that_name(tmp_path) == []


def test_a_field_that_cannot_be_read_is_not_told(tmp_path, write_series):
    """pydicom says what the bytes were."""
    folder = write_series(tmp_path / "ct", PatientID=PATIENTS[0])
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\x10\0\x20\0LO", b"\x10\0\x20\0FD"))
    _, problems = find_series(folder)
    assert len(problems) == 8
    assert all("PatientID of" in problem and not names_in(problem.encode()) for problem in problems)


def test_a_patient_in_two_minds_is_not_told(tmp_path):
    """Nor what a table says of a patient whom two of its rows make two."""
    (tmp_path / "patients.csv").write_text(f"seriesuid,patient\n1.2,{PATIENTS[0]}\n1.2,{PATIENTS[1]}\n")
    with pytest.raises(InputError) as refusal:
        read_patients(tmp_path, ["1.2"])
    assert names_in(str(refusal.value).encode()) == []
