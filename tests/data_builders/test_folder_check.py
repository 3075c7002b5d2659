"""A user's folder: clean, with one bad file among good ones, and with labels that fit no scan."""

import base64
import dataclasses
import io
import os
import re

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from data_builders.folder.folder_check import check_folder
from data_builders.folder.folder_files import find_scans
from data_builders.folder.tree import name_of
from medssl_jax.core.atomic import write_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import silent
from medssl_jax.data.scans.preparation import Preparation, prepare_scan
from medssl_jax.data_check.defects import Defect
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.resampling import to_image
from medssl_jax.imaging.volumes import Volume, write_metaimage
from medssl_jax.report.data_check.check_page import check_page, pictured_scans
from medssl_jax.report.data_check.check_summary import text_report
from medssl_jax.report.nodules.contact_sheet import LUNGS_COLOUR

GRID = Grid((12, 24, 24), (2.0, 1.0, 1.0), (-10.0, -10.0, -10.0))


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "scans"
    place.mkdir()
    for seed, name in enumerate(("anna", "bert")):
        hu = np.random.default_rng(seed).integers(-1024, 1000, GRID.size_zyx).astype(np.int16)
        write_metaimage(place / f"{name}.mhd", Volume(hu, GRID, name))
    for name in ("anna", "bert", "carl"):  # noise has no lungs that could be found
        path = tmp_path / "lungs" / f"{name}.mhd"
        path.parent.mkdir(exist_ok=True)
        write_metaimage(path, Volume(np.ones(GRID.size_zyx, np.uint8), GRID, name))
    return place


def labels(folder, *rows):
    path = folder.parent / "labels.csv"
    path.write_text("\n".join(["seriesuid,coordX,coordY,coordZ,diameter_mm", *rows]))
    return path


def check(folder, **given):
    if (lungs := folder.parent / "lungs").is_dir():
        given = {"lungs": lungs} | given
    given = {"sides_of": lambda _: ((0, 1), (5, 6))} | given
    return check_folder(folder, workers=1, progress=silent, **given)


def kinds(report):
    """All but that a side of the split is empty, which so few scans leave it; there is a test of its own."""
    return [(each.kind, each.subject, each.blocks) for each in report.defects if not each.kind.startswith("nothing to")]


def test_a_side_without_a_labelled_scan_blocks(folder):
    (folder / "folds.csv").write_text("seriesuid,subset\nanna,0\nbert,5\n")
    both = labels(folder, "anna,0,0,0,5", "bert,0,0,0,5")
    assert not check(folder, labels=both).defects
    (folder / "folds.csv").write_text("seriesuid,subset\nanna,0\nbert,1\n")
    (defect,) = check(folder, labels=both).defects
    assert (defect.kind, defect.subject, defect.blocks) == ("nothing to test on", "subsets 5, 6", True)
    assert "labelled scans are in subsets 0, 1)" in defect.message


def test_where_no_scan_is_labelled_labels_are_asked_for(folder):
    """Not other subsets: there are none that would do."""
    for sides, subject in {((0, 1), (5, 6)): "subsets 5, 6", ((), ()): "all scans"}.items():
        defects = check(folder, sides_of=lambda _, sides=sides: sides).defects
        assert [each.kind for each in defects] == ["nothing to test on", "nothing to train on"]
        assert defects[0].subject == subject
        assert {each.message.partition(": ")[2] for each in defects} == {
            "give lesions by --labels and config.data.options.labels"
        }


def test_an_unlabelled_copy_of_a_scan_that_is_tested_on_blocks(folder):
    (folder / "folds.csv").write_text("seriesuid,subset\nanna,5\nbert,0\n")
    for suffix in (".mhd", ".raw"):
        (folder / f"carl{suffix}").write_bytes((folder / f"anna{suffix}").read_bytes().replace(b"anna", b"carl"))
    report = check(folder, labels=labels(folder, "anna,0,0,0,5", "bert,0,0,0,5"))
    assert kinds(report) == [("scan on both sides", "anna", True)]
    assert "carl, unlabelled" in report.defects[0].message


def test_names_that_are_no_utf_8_are_told_with_escapes(folder, tmp_path):
    assert name_of(folder / os.fsdecode(b"L\xf6sche.nii.gz")) == r"L\xf6sche"
    report = dataclasses.replace(check(folder), folder=folder.with_name(os.fsdecode(b"Sch\xe4dling")))
    write_text(tmp_path / "check_page.html", check_page(report))
    assert r"Sch\udce4dling" in (tmp_path / "check_page.html").read_text()


def test_of_a_clean_one_nothing_is_said(folder):
    report = check(folder, labels=labels(folder, "anna,0,0,0,5"))
    assert kinds(report) == []
    assert report.overview["Scans"] == "2"
    assert report.overview["Labelled"] == "1, with 1 lesions"


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("kept", [0.95, 0.999])
def test_a_cut_mask_is_named_and_blocks(folder, extension, kept):
    """Read as whole, it would have lost its lesion and made its scan one without any."""
    mask = np.zeros(GRID.size_zyx, np.uint8)
    mask[-2:, 10:14, 10:14] = 1
    path = folder.parent / "masks" / f"anna{extension}"
    path.parent.mkdir()
    sitk.WriteImage(to_image(mask, GRID), path, useCompression=extension != ".nii")
    report = check(folder, labels=path.parent)
    assert (kinds(report), report.overview["Labelled"]) == ([], "1, with 1 lesions")
    os.truncate(path, int(path.stat().st_size * kept))
    report = check(folder, labels=path.parent)
    assert not report.can_start
    (defect,) = (each for each in report.defects if each.kind == "cannot be prepared")
    assert f"{path}: truncated" in defect.message


@pytest.mark.parametrize("extension", [".nii", ".nii.gz", ".nrrd"])
def test_a_cut_scan_is_named_and_blocks(folder, extension):
    hu = np.random.default_rng(2).integers(-1024, 1000, GRID.size_zyx).astype(np.int16)
    sitk.WriteImage(to_image(hu, GRID), folder / f"carl{extension}", useCompression=extension != ".nii")
    assert kinds(check(folder)) == []
    os.truncate(folder / f"carl{extension}", (folder / f"carl{extension}").stat().st_size // 2)
    report = check(folder)
    assert not report.can_start
    assert ("unreadable scan", "carl", True) in kinds(report)


@pytest.mark.parametrize("beside", [None, "notes.txt", "table.npy"])
def test_a_folder_without_a_scan_is_nothing_to_check(tmp_path, beside):
    if beside:
        (tmp_path / beside).touch()
    with pytest.raises(InputError, match="no scan below it, expected"):
        check(tmp_path)


def test_a_damaged_file_is_told_and_the_others_are_looked_at(folder):
    (folder / "bert.raw").write_bytes(b"")
    report = check(folder)
    assert ("unreadable scan", "bert", True) in kinds(report)
    assert [scan.scan.series_uid for scan in report.scans if scan.sample] == ["anna"]


def test_labels_that_fit_no_scan_are_told_and_scans_are_looked_at(folder):
    report = check(folder, labels=labels(folder, "karl,0,0,0,5"))
    assert kinds(report) == [("cannot be prepared", "scans", True)]
    assert any("karl" in defect.message for defect in report.defects)
    assert len(report.scans) == 2


def test_the_same_scan_under_two_names(folder):
    for suffix in (".mhd", ".raw"):
        (folder / f"carl{suffix}").write_bytes((folder / f"anna{suffix}").read_bytes().replace(b"anna", b"carl"))
    assert kinds(check(folder)) == [("same voxels", "anna", False)]


def test_values_that_are_no_hu(folder):
    write_metaimage(folder / "carl.mhd", Volume(np.zeros(GRID.size_zyx, np.int16), GRID, "carl"))
    assert kinds(check(folder)) == [("not in HU", "carl", True)]


def cut(volume, part):
    array = np.ascontiguousarray(volume.array_zyx[part])
    return Volume(array, Grid(array.shape, volume.grid.spacing_zyx_mm), "")


def test_lungs_are_found_where_no_mask_is_given_and_doubted_where_they_are_cut(folder, small_chest):
    chest = small_chest()
    for name, volume in {"dora": chest, "emil": cut(chest, np.s_[:, :, 20:])}.items():
        write_metaimage(folder / f"{name}.mhd", volume)
    (folder / "folds.csv").write_text("seriesuid,subset\nanna,0\nbert,5\n")
    report = check(folder, labels=labels(folder, "anna,0,0,0,5", "bert,0,0,0,5"))
    assert kinds(report) == [("found lungs are cut", "emil", False)]
    assert report.overview["Lung masks"] == "of 2 of 4 scans; the lungs of 2 are found from their HU"
    assert any("the lungs of the other 2 are found from their HU: dora, emil" in notice for notice in report.notices)
    assert [scan.scan.series_uid for scan in report.scans if scan.lungs] == ["dora", "emil"]
    text = text_report(report)
    assert "defect: found lungs are cut: emil: " in text
    assert text.endswith("Training can start; 1 defect is worth a look, first the lungs of 1 scan.")
    page = check_page(report)
    assert page.count("first the lungs of 1 scan") == 1
    assert pictured_scans(report)[0].scan.series_uid == "emil"
    assert "emil, 0 nodules, 0.0185 l of lung found" in page
    sheets = [Image.open(io.BytesIO(base64.b64decode(sheet))) for sheet in re.findall('png;base64,([^"]+)', page)]
    outlined = [int((np.asarray(sheet) == LUNGS_COLOUR).all(axis=-1).sum()) for sheet in sheets]
    assert len(outlined) == 4
    assert min(outlined[:2]) > 100  # emil, dora; the masks of the noise fill it, so their edges lie in no picture
    assert max(outlined[2:]) == 0


def test_a_scan_without_lungs_and_without_a_mask_blocks_as_it_stops_preparing(folder, tmp_path):
    (tmp_path / "lungs/bert.mhd").unlink()
    assert kinds(check(folder)) == [("no lungs found", "bert", True)]
    (_, bert) = find_scans(folder)
    with pytest.raises(InputError, match="no lungs found"):
        prepare_scan(bert)


def test_where_the_body_is_searched_no_lungs_are_asked_for(folder, tmp_path):
    """And the sample is drawn in a window of soft tissue, in which lung is black."""
    (tmp_path / "lungs/bert.mhd").unlink()
    report = check(folder, region="body")
    assert kinds(report) == []
    html = check_page(report)
    assert "In soft tissue window" in html
    assert "In lung window" in check_page(check(folder))


def test_scans_whose_lungs_are_doubted_are_pictured_or_their_number_is_said(folder):
    report = check(folder)
    anna = report.scans[0]
    doubt = (Defect("found lungs are cut", "anna", "", False),)

    def doubted(count):
        named = [dataclasses.replace(anna.scan, series_uid=f"doubted {number}") for number in range(count)]
        scans = [dataclasses.replace(anna, scan=scan, defects=doubt) for scan in named]
        return scans, dataclasses.replace(report, scans=(anna, *scans))

    few, all_pictured = doubted(9)
    assert set(few) <= set(pictured_scans(all_pictured))
    assert "these are the first" not in check_page(all_pictured)
    many, some_pictured = doubted(21)
    assert pictured_scans(some_pictured) == many[:20]
    assert "Of 21 scans whose lungs are worth a look these are the first 20." in check_page(some_pictured)


def test_the_trachea_of_a_luna16_mask_is_neither_outlined_nor_lung(folder):
    mask = np.zeros(GRID.size_zyx, np.uint8)
    mask[:, 4:20, 2:8] = 3
    pages = []
    for label in (0, 5):
        mask[:, 8:16, 16:22] = label
        write_metaimage(folder.parent / "lungs" / "anna.mhd", Volume(mask, GRID, "anna"))
        report = check(folder, labels=labels(folder, "anna,8,2,2,5"), frame="LPS")  # where the trachea is
        assert kinds(report) == [("nodule outside the lungs", "anna", False)]
        pages.append(check_page(report))
    assert pages[0] == pages[1]


def test_where_the_body_is_searched_every_label_of_a_mask_is_outlined(folder):
    """As it is prepared: no trachea is left out there, though the labels could be those of LUNA16's masks."""
    mask = np.zeros(GRID.size_zyx, np.uint8)
    mask[:, 8:16, 6:18] = 5
    write_metaimage(folder.parent / "lungs" / "anna.mhd", Volume(mask, GRID, "anna"))
    report = check(folder, labels=labels(folder, "anna,2,2,2,5"), frame="LPS", region="body")
    assert kinds(report) == []
    searched = prepare_scan(report.scans[0].scan, preparation=Preparation("body"))
    assert 0 < searched.lungs.sum() < searched.lungs.size
    html = check_page(report)
    sheet = Image.open(io.BytesIO(base64.b64decode(re.search('png;base64,([^"]+)', html)[1])))
    assert (np.asarray(sheet) == LUNGS_COLOUR).all(axis=-1).sum() > 100
    assert "training looks up to 5 mm beyond it" in html


@pytest.mark.parametrize(("voxels", "expected"), [(2000, []), (600, [("small lung mask", "anna", False)])])
def test_a_mask_too_small_for_lungs_is_remarked(folder, voxels, expected):
    """A tenth of the view is 691 voxels."""
    mask = np.zeros(GRID.size_zyx, np.uint8)
    mask.reshape(-1)[:voxels] = 1
    write_metaimage(folder.parent / "lungs" / "anna.mhd", Volume(mask, GRID, "anna"))
    (folder / "folds.csv").write_text("seriesuid,subset\nanna,0\nbert,5\n")
    report = check(folder, labels=labels(folder, "anna,0,0,0,5", "bert,0,0,0,5"))
    assert [each for each in kinds(report) if each[0] == "small lung mask"] == expected
    assert ("first the lungs of 1 scan" in text_report(report)) == bool(expected)
