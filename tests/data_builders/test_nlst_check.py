"""An NLST phantom with every defect made in it, each told by name; and a clean one, of which nothing is said."""

import shutil

import pytest

from data_builders.nlst.nlst_check import check_nlst
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import silent
from medssl_jax.phantoms.nlst import read_truths, write_nlst_phantom
from medssl_jax.phantoms.studies.spec import NlstPhantom
from medssl_jax.report.data_check.check_page import check_page
from medssl_jax.report.data_check.check_summary import all_notices, text_report
from tests.phantoms.series_defects import damage

KIND_OF_DEFECT = {
    "duplicate_slice": "duplicate slice",
    "htj2k_compressed": "compression",
    "missing_series": "absent series",
    "missing_slice": "slice missing",
    "mixed_spacing": "mixed spacing",
    "not_ct": "not CT",
    "same_series_twice": "duplicate series",
    "short_series": "short series",
    "tilted_gantry": "tilted gantry",
    "truncated_file": "truncated file",
    "uneven_slices": "slice missing",
}
SMALL = (80.0, 64.0, 64.0)
DEFECTIVE = NlstPhantom(seed=1, patients=len(KIND_OF_DEFECT), studies_per_patient=1, defects=(), chest_zyx_mm=SMALL)
CLEAN = NlstPhantom(seed=1, patients=1, studies_per_patient=2, defects=("jpeg_compressed",), chest_zyx_mm=SMALL)


def check(folder, index_dir, **options):
    return check_nlst(folder, index_dir, workers=1, progress=silent, **options)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nlst")
    write_nlst_phantom(CLEAN, folder)
    return folder


@pytest.mark.slow
def test_every_defect_is_told_by_name_and_nothing_else(tmp_path):
    folder = tmp_path / "nlst"
    write_nlst_phantom(DEFECTIVE, folder)
    planted = set()
    for (defect, kind), study in zip(KIND_OF_DEFECT.items(), read_truths(DEFECTIVE, folder), strict=True):
        (series,) = (series for series in study.series if series.kind == "thin soft")
        damage(folder / series.folder, defect)
        planted.add((kind, series.series_uid))
    report = check(folder, tmp_path / "index")
    assert {(defect.kind, defect.subject) for defect in report.defects} == planted
    assert len(planted) == len(KIND_OF_DEFECT)
    assert report.can_start
    assert all(kind in check_page(report) for kind, _ in planted)


def test_of_a_clean_one_nothing_is_said(clean, tmp_path):
    report = check(clean, tmp_path)
    assert report.defects == ()
    assert "defect:" not in text_report(report)
    assert report.overview["Series to train on"] == "2, one a study"
    assert len(report.scans) == 2
    assert all(0.2 < scan.lungs.litres / scan.lungs.body_litres < 0.6 for scan in report.scans)
    assert report.overview["Lung masks"] == "none; the lungs of the 2 sampled series are found from their HU"
    assert any("compression: 1 series (JPEG" in notice for notice in all_notices(report))


def test_a_sample_says_that_it_is_one(clean, tmp_path):
    report = check(clean, tmp_path, sampled_series=1)
    assert len(report.scans) == 1
    assert "voxels were sampled of 1 of the 2 series, evenly spread" in report.notices


def test_without_a_usable_series_nothing_can_start(clean, tmp_path):
    folder = shutil.copytree(clean, tmp_path / "nlst")
    for path in sorted(folder.rglob("*.dcm")):
        path.write_bytes(path.read_bytes()[:200])
    report = check(folder, tmp_path / "index")
    assert not report.can_start
    assert {"no CT", "absent series"} <= {defect.kind for defect in report.defects}


def test_a_damaged_metadata_table_is_a_defect(clean, tmp_path):
    folder = shutil.copytree(clean, tmp_path / "nlst")
    (folder / "metadata.csv").write_text("Series UID,Study UID\n1,2\n")
    report = check(folder, tmp_path / "index")
    assert [(defect.kind, defect.blocks) for defect in report.defects] == [("unreadable table", True)]
    assert "metadata.csv" in text_report(report)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="NLST is not here"):
        check(tmp_path, tmp_path / "index")
