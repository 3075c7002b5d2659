"""The folder on disk: NLST's two layouts, read back by GDCM, csv and our reader; resumed, never mixed."""

import csv
import dataclasses
import re

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.volumes import read_labels, read_volume
from medssl_jax.phantoms import nlst
from medssl_jax.phantoms.nlst import NlstPhantom, lungs_path, read_truths, write_nlst_phantom
from medssl_jax.phantoms.studies.study import render_study

SMALL = NlstPhantom(
    seed=5, patients=2, studies_per_patient=1, chest_zyx_mm=(64.0, 64.0, 64.0), in_plane_spacing_mm=(0.8, 1.2)
)
SPEC = dataclasses.replace(SMALL, studies_per_patient=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("phantom")
    write_nlst_phantom(SPEC, directory)
    return directory


@pytest.fixture(scope="module")
def slices(files):
    def read(directory):
        return {path: data for path, data in files(directory).items() if path.endswith(".dcm")}

    return read


def test_layout_is_that_of_the_nbia_retriever(folder, slices):
    assert {path.name for path in folder.iterdir()} == {"NLST", "metadata.csv", "phantom", "spec.json"}
    layout = re.compile(r"NLST/1000\d\d/01-02-(1999|2000)-NLST-LSS-\d{5}/\d\.000000-[\w.]+-\d{5}/1-\d{3}\.dcm")
    assert slices(folder)
    for path in slices(folder):
        assert layout.fullmatch(path)


def test_metadata_has_a_row_for_each_series(folder):
    pydicom = pytest.importorskip("pydicom")
    with (folder / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(truth.series) for truth in read_truths(SPEC, folder))
    for row in rows:
        paths = list((folder / row["File Location"]).iterdir())
        assert len(paths) == int(row["Number of Images"])
        header = pydicom.dcmread(paths[0], stop_before_pixels=True)
        assert header.SeriesInstanceUID == row["Series UID"]
        assert header.StudyInstanceUID == row["Study UID"]
        assert header.PatientID == row["Subject ID"]
        assert header.SeriesDescription == row["Series Description"]
        assert header.SOPClassUID == row["SOP Class UID"]
        month, day, year = row["Study Date"].split("-")
        assert header.StudyDate == year + month + day


def test_layout_of_idc_holds_the_same_files(folder, tmp_path, slices):
    spec = dataclasses.replace(SMALL, patients=1, layout="idc")
    write_nlst_phantom(spec, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"nlst", "phantom", "spec.json"}
    layout = re.compile(r"nlst/100002/2\.25\.\d+/CT_2\.25\.\d+/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.dcm")
    found = slices(tmp_path)
    assert all(layout.fullmatch(path) for path in found)
    first = [data for path, data in slices(folder).items() if path.startswith("NLST/100002/01-02-1999")]
    assert sorted(found.values()) == sorted(first)


def test_our_reader_and_gdcm_read_what_was_rendered(folder):
    sitk = pytest.importorskip("SimpleITK")
    compressed = 0
    for study, truth in zip(SPEC.studies, read_truths(SPEC, folder), strict=True):
        drawn = render_study(SPEC, *study)
        rendered = {volume.series_uid: (role, volume) for role, volume in drawn.reconstructions.items()}
        assert set(rendered) == {series.series_uid for series in truth.series if series.kind != "localizer"}
        for series in truth.series:
            if series.kind == "localizer":
                continue
            role, expected = rendered[series.series_uid]
            assert (series.kind, series.kernel) == (role, drawn.protocol.kernel(role))
            assert (series.images, series.folders) == (len(expected.array_zyx), (series.folder,))
            read = read_volume(folder / series.folder)
            assert read.series_uid == series.series_uid
            np.testing.assert_array_equal(read.array_zyx, expected.array_zyx)
            assert read.grid.size_zyx == expected.grid.size_zyx
            for field in ("spacing_zyx_mm", "origin_xyz_mm", "direction"):
                found = getattr(read.grid, field)
                np.testing.assert_allclose(found, getattr(expected.grid, field), atol=2e-6)
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder / series.folder), series.series_uid)
            image = sitk.ReadImage(names)
            np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected.array_zyx)
            np.testing.assert_allclose(image.GetOrigin(), expected.grid.origin_xyz_mm, atol=2e-6)
            assert list(names) not in (sorted(names), sorted(names, reverse=True))
            compressed += series.defect == "jpeg_compressed"
    assert compressed == 1


def test_each_study_has_localizers_and_one_thin_soft_reconstruction(folder):
    for truth in read_truths(SPEC, folder):
        kinds = [series.kind for series in truth.series]
        assert kinds.count("localizer") == kinds.count("thin soft") == 1
        assert 3 <= len(kinds) <= 4
        thin = next(series for series in truth.series if series.kind == "thin soft")
        assert thin.slice_thickness_mm == min(s.slice_thickness_mm for s in truth.series if s.kind != "localizer")
        for series in truth.series:
            if series.kind == "localizer":
                assert series.images in (1, 2)
                with pytest.raises(InputError, match="localizer"):
                    read_volume(folder / series.folder)


def test_lungs_lie_on_the_grid_of_the_thin_reconstruction(folder):
    for study, truth in zip(SPEC.studies, read_truths(SPEC, folder), strict=True):
        lungs = read_labels(lungs_path(SPEC, folder, *study))
        thin = next(series for series in truth.series if series.kind == "thin soft")
        volume = read_volume(folder / thin.folder)
        assert volume.grid.size_zyx == lungs.grid.size_zyx
        np.testing.assert_allclose(volume.grid.origin_xyz_mm, lungs.grid.origin_xyz_mm, atol=2e-6)
        inside = (lungs.array_zyx == 3) | (lungs.array_zyx == 4)
        assert np.median(volume.array_zyx[inside]) < -700


def test_two_workers_write_the_same_bytes_as_one(folder, tmp_path, files):
    write_nlst_phantom(SPEC, tmp_path, workers=2)
    assert files(tmp_path) == files(folder)


def test_interrupted_writing_goes_on_and_finished_studies_are_kept(folder, tmp_path, monkeypatch, files, slices):
    made = []

    def interrupted(spec, patient, year):
        made.append((patient, year))
        if made.count((1, 0)) == 1:
            half = next(path for path in slices(folder) if path.startswith("NLST/100009/01-02-1999"))
            (tmp_path / half).parent.mkdir(parents=True)
            (tmp_path / half).write_bytes(b"half a slice")
            raise KeyboardInterrupt
        return render_study(spec, patient, year)

    monkeypatch.setattr(nlst, "render_study", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_nlst_phantom(SPEC, tmp_path)
    assert made == [(0, 0), (0, 1), (1, 0)]
    assert not (tmp_path / "metadata.csv").exists()
    write_nlst_phantom(SPEC, tmp_path)
    assert made == [(0, 0), (0, 1), (1, 0), (1, 0), (1, 1)]
    assert files(tmp_path) == files(folder)

    next((tmp_path / "NLST/100002").rglob("1-001.dcm")).unlink()
    write_nlst_phantom(SPEC, tmp_path)
    assert len(made) == 6
    assert files(tmp_path) == files(folder)


def test_another_spec_is_refused(folder, files):
    before = files(folder)
    with pytest.raises(InputError, match="layout = nbia, asked for is idc"):
        write_nlst_phantom(dataclasses.replace(SPEC, layout="idc"), folder)
    assert files(folder) == before


@pytest.mark.parametrize("name", ["NLST", "nlst", "metadata.csv"])
def test_a_folder_that_is_no_phantom_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=re.escape(f"holds {name} but no spec.json")):
        write_nlst_phantom(SPEC, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
