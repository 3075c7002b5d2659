"""LUNA16's files: whole, in part, without masks, with patients; headers and tables only, so no scan is real."""

import shutil

import numpy as np
import pytest

from data_builders.luna16.luna16_files import find_scans, read_patients
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.patients import patient_key
from medssl_jax.imaging.volumes import Volume, write_metaimage

SUBSET_OF_SCAN = {"1.3.6.0": 3, "1.3.6.1": 0, "1.3.6.2": 0, "1.3.6.3": 9}
LUNGS = "seg-lungs-LUNA16"
GRID = Grid((2, 4, 5), (2.5, 0.7, 0.7))


@pytest.fixture
def luna16(tmp_path):
    folder = tmp_path / "luna16"
    for name in (*(f"subset{number}" for number in range(10)), LUNGS):
        (folder / name).mkdir(parents=True)
    for place, (uid, subset) in enumerate(SUBSET_OF_SCAN.items()):
        hu = np.full(GRID.size_zyx, place, np.int16)
        write_metaimage(folder / f"subset{subset}" / f"{uid}.mhd", Volume(hu, GRID, uid))
        write_metaimage(folder / LUNGS / f"{uid}.mhd", Volume(hu.astype(np.uint8), GRID, uid), compress=True)
    (folder / "annotations.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.3.6.1,1,2,3,4.5\n1.3.6.3,1,2,3,5\n1.3.6.1,2,2,3,6\n"
    )
    (folder / "seriesuids.csv").write_text("".join(f"{uid}\r\n" for uid in SUBSET_OF_SCAN))
    return folder


def refused(folder, said, **options):
    with pytest.raises(InputError, match=said) as caught:
        find_scans(folder, **options)
    assert "\n" not in str(caught.value)


def test_scans_come_by_subset_then_series_with_their_nodules(luna16):
    scans = find_scans(luna16)
    assert [(scan.subset, scan.series_uid) for scan in scans] == [
        (0, "1.3.6.1"),
        (0, "1.3.6.2"),
        (3, "1.3.6.0"),
        (9, "1.3.6.3"),
    ]
    np.testing.assert_array_equal(scans[0].centres_xyz_mm, [(1, 2, 3), (2, 2, 3)])
    np.testing.assert_array_equal(scans[0].diameters_mm, [4.5, 6])
    assert scans[1].centres_xyz_mm.shape == (0, 3)
    assert {scan.patient for scan in scans} == {""}


def test_some_subsets_only_are_named_and_enough_where_allowed(luna16):
    shutil.rmtree(luna16 / "subset9")
    shutil.rmtree(luna16 / "subset4")
    refused(luna16, r"subset4, subset9 not found; 1 of 4 scans in .* not found \(1\.3\.6\.3\): .*--allow_absent")
    scans = find_scans(luna16, allow_absent=True)
    assert [scan.series_uid for scan in scans] == ["1.3.6.1", "1.3.6.2", "1.3.6.0"]


@pytest.mark.parametrize(
    ("row", "said"),
    [("9.9.9,1,2,3,4", "row 5, column seriesuid: found '9.9.9'"), ("1.3.6.0,nan,2,3,4", "row 5, column coordX")],
)
def test_a_wrong_annotation(luna16, row, said):
    with (luna16 / "annotations.csv").open("a") as file:
        file.write(f"{row}\r\n")
    refused(luna16, rf"annotations\.csv: {said}")


def test_a_scan_in_two_subsets(luna16):
    for suffix in (".mhd", ".raw"):
        shutil.copy(luna16 / "subset3" / f"1.3.6.0{suffix}", luna16 / "subset5")
    refused(luna16, r"subset5/1\.3\.6\.0\.mhd: the same series is also .*subset3")


@pytest.mark.parametrize(
    ("path", "said"),
    [("seriesuids.csv", r"no seriesuids\.csv"), ("subset3/1.3.6.0.raw", r"data file 1\.3\.6\.0\.raw is missing")],
)
def test_a_file_that_nothing_stands_in_for(luna16, path, said):
    (luna16 / path).unlink()
    refused(luna16, said)


def test_absent_masks_are_named_and_none_where_allowed(luna16):
    (luna16 / LUNGS / "1.3.6.0.mhd").unlink()
    refused(luna16, rf"1 lung masks not found \({LUNGS}/1\.3\.6\.0\.mhd\)")
    with_masks = [scan.lungs_path is not None for scan in find_scans(luna16, allow_absent=True)]
    assert with_masks == [True, True, False, True]


def test_the_whole_folder_of_masks_may_be_absent(luna16):
    shutil.rmtree(luna16 / LUNGS)
    refused(luna16, rf"luna16: {LUNGS} not found: unzip")
    assert [scan.lungs_path for scan in find_scans(luna16, allow_absent=True)] == [None] * 4


def test_many_absent_scans_make_one_short_line(luna16):
    (luna16 / "seriesuids.csv").write_text("".join(f"1.3.6.{place}\n" for place in range(500)))
    refused(
        luna16, r"496 of 500 scans in seriesuids\.csv not found \(1\.3\.6\.4, 1\.3\.6\.5, 1\.3\.6\.6 and 493 more\)"
    )


def test_no_scan_at_all_is_refused_even_where_absence_is_allowed(luna16):
    for subset in (0, 3, 9):
        shutil.rmtree(luna16 / f"subset{subset}")
    refused(luna16, "none of the 4 listed scans is here", allow_absent=True)
    refused(luna16.parent / "nowhere", r"LUNA16 is not here.*subset0\.zip", allow_absent=True)


@pytest.mark.parametrize("allow_absent", [True, False])
def test_what_is_wrong_is_refused_even_where_absence_is_allowed(luna16, allow_absent):
    data = luna16 / "subset3" / "1.3.6.0.raw"
    data.write_bytes(data.read_bytes()[:10])
    refused(luna16, r"1\.3\.6\.0\.raw: truncated", allow_absent=allow_absent)
    (luna16 / "seriesuids.csv").write_text("1.3.6.0\n1.3.6.1\n1.3.6.2\n")
    refused(luna16, r"1\.3\.6\.3\.mhd: this scan is not listed", allow_absent=allow_absent)


@pytest.mark.parametrize("place", [".", "CSVFILES", "evaluationScript/annotations"])
def test_tables_may_lie_in_either_place(luna16, place):
    (luna16 / place).mkdir(parents=True, exist_ok=True)
    for name in ("annotations.csv", "seriesuids.csv"):
        shutil.move(luna16 / name, luna16 / place / name)
    assert len(find_scans(luna16)) == 4


def test_patients_of_our_own_table(luna16):
    (luna16 / "patients.csv").write_text("seriesuid,patient\n1.3.6.1,LIDC-IDRI-0132\n1.3.6.0,LIDC-IDRI-0132\n")
    patients = {scan.series_uid: scan.patient for scan in find_scans(luna16)}
    key = patient_key("LIDC-IDRI-0132")
    assert patients == {"1.3.6.0": key, "1.3.6.1": key, "1.3.6.2": "", "1.3.6.3": ""}


def test_patients_of_tcia(luna16):
    (luna16 / "CSVFILES").mkdir()
    rows = [f"{uid},LIDC-IDRI,LIDC-IDRI-000{uid[-1]},CT" for uid in SUBSET_OF_SCAN]
    (luna16 / "CSVFILES" / "metadata.csv").write_text(
        "\n".join(["Series UID,Collection,Subject ID,Modality", *rows, "9.9,LIDC-IDRI,LIDC-IDRI-0009,DX"])
    )
    assert [scan.patient for scan in find_scans(luna16)] == [patient_key(f"LIDC-IDRI-000{k}") for k in "1203"]


def test_a_table_of_other_patients_is_refused(luna16):
    (luna16 / "patients.csv").write_text("seriesuid,patient\n9.9.9,LIDC-IDRI-0132\n")
    refused(luna16, r"patients\.csv: names none of the 4 listed series")


@pytest.mark.parametrize("patient", ["a", "b"])
def test_a_series_that_is_there_twice_is_refused(luna16, patient):
    (luna16 / "patients.csv").write_text(f"seriesuid,patient\n1.3.6.1,a\n1.3.6.1,{patient}\n")
    refused(luna16, r"patients\.csv: row 3: the same series '1\.3\.6\.1' as in row 2: take one")


def test_without_a_table_no_patient_is_known(luna16):
    assert read_patients(luna16, SUBSET_OF_SCAN) == {}


def digests(luna16):
    return {scan.series_uid: scan.digest for scan in find_scans(luna16)}


class TestDigest:
    def test_is_the_same_in_another_place(self, luna16):
        shutil.copytree(luna16, luna16.parent / "copy")
        assert digests(luna16) == digests(luna16.parent / "copy")

    @pytest.mark.parametrize("change", ["voxels", "mask", "no mask", "annotation", "patient", "header"])
    def test_of_one_scan_changes_with_what_it_is_made_of(self, luna16, change):
        before = digests(luna16)
        path = {"voxels": luna16 / "subset0" / "1.3.6.1.raw", "mask": luna16 / LUNGS / "1.3.6.1.zraw"}.get(change)
        if path:
            path.write_bytes(path.read_bytes()[:-1] + b"x")
        elif change == "no mask":
            (luna16 / LUNGS / "1.3.6.1.mhd").unlink()
        elif change == "patient":
            (luna16 / "patients.csv").write_text("seriesuid,patient\n1.3.6.1,a\n")
        else:
            path, old = {
                "annotation": (luna16 / "annotations.csv", "4.5"),
                "header": (luna16 / "subset0" / "1.3.6.1.mhd", "2.5"),
            }[change]
            path.write_text(path.read_text().replace(old, "4.7"))
        scans = find_scans(luna16, allow_absent=True)
        changed = {scan.series_uid for scan in scans if scan.digest != before[scan.series_uid]}
        assert changed == {"1.3.6.1"}
