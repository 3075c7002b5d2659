"""Scans are found in every format and any tree, what is none is told, and one is prepared with what is known of it."""

import dataclasses
import hashlib
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from data_builders.folder.folder_files import check_is_folder, find_scans, is_there
from data_builders.folder.folds import fold_of
from data_builders.scan_source import open_scans, prepare_scans
from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import csv_text
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import silent
from medssl_jax.data.scans.crop_cache import build_crop_cache
from medssl_jax.data.scans.preparation import prepare_scan
from medssl_jax.imaging.geometry import Grid, boxes_from_points, voxel_zyx_to_world_xyz_mm, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.patients import patient_key
from medssl_jax.imaging.volumes import EXTENSIONS, Volume, read_grid, read_volume, write_metaimage

POINTS = "seriesuid,coordX,coordY,coordZ,diameter_mm"
BOXES = "seriesuid,xmin,ymin,zmin,xmax,ymax,zmax"
FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Grid((20, 30, 40), (2.0, 1.0, 1.0), (-10.0, -20.0, -30.0))


def write(path, *, grid=GRID, array=None):
    """A scan of air in the format of the name's extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.full(grid.size_zyx, -800, np.int16) if array is None else array
    if path.name.endswith(".mhd"):
        write_metaimage(path, Volume(array, grid, ""))
        return path
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing_zyx_mm[::-1])
    image.SetOrigin(grid.origin_xyz_mm)
    image.SetDirection(grid.direction)
    sitk.WriteImage(image, path)
    return path


def table(path, *rows):
    path.write_text("\n".join(rows) + "\n")
    return path


def lungs_of(folder, *names):
    for name in names:
        write(folder / f"{name}.nii.gz", array=np.ones(GRID.size_zyx, np.uint8))
    return folder


def refused(said, *arguments, **options):
    with pytest.raises(InputError, match=said) as caught:
        find_scans(*arguments, **options)
    assert "\n" not in str(caught.value)


def by_uid(found):
    return {scan.series_uid: scan for scan in found}


class TestScans:
    def test_every_format_in_any_tree(self, tmp_path, write_series):
        for number, extension in enumerate(EXTENSIONS):
            write(tmp_path / "a" / str(number) / f"scan.{number}{extension}")
        write_series(tmp_path / "b/c/d")
        found = find_scans(tmp_path)
        assert [scan.series_uid for scan in found] == ["1.2.3.4", *(f"scan.{n}" for n in range(len(EXTENSIONS)))]
        assert found.passed_over == ()
        assert not any(scan.is_labelled for scan in found)
        assert {scan.subset for scan in found} == {-1}
        assert [scan.patient for scan in found] == [patient_key("100012"), *[""] * len(EXTENSIONS)]
        assert found.note == "6 scans: 0 labelled with 0 lesions, 6 not"
        for scan in found:
            assert read_volume(scan.path).series_uid == scan.series_uid

    @pytest.mark.parametrize("extension", EXTENSIONS)
    @pytest.mark.parametrize("direction", [GRID.direction, FLIPPED], ids=["upright", "flipped"])
    def test_the_header_says_what_the_reader_says(self, tmp_path, extension, direction):
        path = write(tmp_path / f"1{extension}", grid=dataclasses.replace(GRID, direction=direction))
        assert read_grid(path) == read_volume(path).grid

    def test_a_real_nodule_of_luna16(self, shared_data, tmp_path):
        rows = (shared_data / "luna16/annotations.csv").read_text().splitlines()
        inside, outside = (next(row for row in rows if place in row) for place in ("76.900239", "-47.633905"))
        series_uid, *centre, _ = inside.split(",")
        found = by_uid(find_scans(shared_data / "ct", table(tmp_path / "l.csv", POINTS, inside), frame="LPS"))
        assert sorted(found) == [series_uid, "right_lung"]
        assert found[series_uid].patient == patient_key("LIDC-IDRI-0003")
        volume = read_volume(found[series_uid].path)
        voxel = np.rint(world_xyz_mm_to_voxel_zyx(np.array([centre], float), volume.grid)).astype(int)[0]
        assert voxel.tolist() == [5, 350, 367]  # as shared/data/README.md has it
        assert volume.array_zyx[tuple(voxel)] > -200
        refused(
            "row 3: a lesion at .* lies outside",
            shared_data / "ct",
            table(tmp_path / "l.csv", *rows[:1], inside, outside),
        )

    def test_several_series_in_one_folder(self, tmp_path, write_series):
        stored = {"1.2.3.4": 100, "1.2.3.5": 200}
        for uid, value in stored.items():
            write_series(tmp_path / uid, stored=np.full((7, 8, 8), value, np.int16), SeriesInstanceUID=uid)
        for folder in list(tmp_path.iterdir()):
            for path in folder.iterdir():
                path.rename(tmp_path / f"{folder.name}-{path.name}")
            folder.rmdir()
        found = find_scans(tmp_path)
        assert {scan.path for scan in found} == {tmp_path}
        lungs = write(tmp_path / "lungs/lungs.nii", grid=Grid((30, 9, 9), (1.0, 1.0, 1.0), (-11.0, -21.0, -101.0)))
        for scan in found:
            scan = dataclasses.replace(scan, lungs_path=mask_of_ones(lungs))
            assert (prepare_scan(scan).hu == stored[scan.series_uid] - 1024).all()

    def test_localizers_and_other_modalities_are_passed_over_and_told(self, tmp_path, write_series):
        write_series(tmp_path / "ct")
        write_series(
            tmp_path / "scout", slices=1, SeriesInstanceUID="1", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
        )
        write_series(tmp_path / "dx", slices=2, SeriesInstanceUID="2", Modality="DX")
        write_series(tmp_path / "short", slices=3, SeriesInstanceUID="3")
        found = find_scans(tmp_path)
        assert [scan.series_uid for scan in found] == ["1.2.3.4"]
        assert {path.name: reason for path, reason in found.passed_over} == {
            "scout": "DICOM localizer",
            "dx": "DICOM, DX and not CT",
            "short": "DICOM series of at most 5 images, taken for a localizer",
        }

    def test_an_end_slice_of_another_series_is_no_localizer(self, tmp_path, write_series):
        """The scan lacks it; without it nothing would show."""

        def change(header, z):
            if z == 7:
                header.SeriesInstanceUID = "1.2.99"

        write_series(tmp_path, change=change)
        refused("is of series 1.2.99, but looks like a slice of series 1.2.3.4", tmp_path)

    def test_a_scan_in_one_dicom_file_is_no_localizer(self, tmp_path, write_series):
        write_series(tmp_path, slices=1, NumberOfFrames=200)
        refused("several frames", tmp_path)

    def test_slices_without_an_extension(self, tmp_path, write_series):
        for path in write_series(tmp_path).iterdir():
            path.rename(path.with_suffix(""))
        assert len(find_scans(tmp_path)) == 1

    def test_what_is_no_scan(self, tmp_path):
        write(tmp_path / "1.mhd")
        for name in (".DS_Store", "._1.nii.gz", "LICENSE", "readme.md", "1.json", ".hidden/2.nii", "Thumbs.db"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("a text")
        assert find_scans(tmp_path).passed_over == ()
        for name in ("a.npy", "b.dcm.gz", "deep/c.img", "deep/orphan.raw"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"bytes")
        found = find_scans(tmp_path)
        assert len(found) == 1
        assert [path.name for path, _ in found.passed_over] == ["a.npy", "b.dcm.gz", "c.img", "orphan.raw"]
        assert f"passed over 4 (unknown kind of file): {tmp_path / 'a.npy'}, {tmp_path / 'b.dcm.gz'}" in found.note

    def test_links_are_followed_and_may_lead_in_circles(self, tmp_path):
        write(tmp_path / "elsewhere/1.nii")
        (tmp_path / "scans").mkdir()
        (tmp_path / "scans/link").symlink_to(tmp_path / "elsewhere")
        (tmp_path / "scans/circle").symlink_to(tmp_path / "scans")
        (tmp_path / "scans/broken").symlink_to(tmp_path / "nowhere")
        os.mkfifo(tmp_path / "scans/pipe")
        found = find_scans(tmp_path / "scans")
        assert [scan.series_uid for scan in found] == ["1"]
        assert [path.name for path, _ in found.passed_over] == ["broken", "pipe"]

    def test_the_same_id_twice(self, tmp_path):
        one, two = write(tmp_path / "a/1.nii.gz"), write(tmp_path / "b/1.mhd")
        refused(rf"{two}: a scan with the same id, '1', is also {one}: rename", tmp_path)

    def test_no_scan(self, tmp_path):
        refused(r"no such folder, expected one with scans.*\.nrrd, or folders of DICOM slices", tmp_path / "nowhere")
        assert not is_there(tmp_path / "nowhere")
        assert not is_there(tmp_path)
        (tmp_path / "a.npy").touch()
        refused(r"no scan below it, expected .mhd.*; found .*a\.npy \(unknown kind of file\): put scans", tmp_path)
        check_is_folder(tmp_path)
        write(tmp_path / "1.nii")
        assert is_there(tmp_path)

    def test_all_bad_scans_are_told_at_once(self, tmp_path, write_series):
        write(tmp_path / "good.nii")
        (tmp_path / "bad.nrrd").write_bytes(b"noise")
        write(tmp_path / "cut.mhd")
        os.truncate(tmp_path / "cut.raw", 100)
        sitk.WriteImage(
            sitk.GetImageFromArray(np.zeros((2, 2, 2, 2), np.int16), isVector=False), tmp_path / "four.nrrd"
        )
        series = write_series(tmp_path / "gap", slices=9)
        next(path for path in series.iterdir() if path.name == f"1-{(4 * 37 + 11) % 101:03d}.dcm").unlink()
        refused(
            r"4 files cannot be used: .*bad\.nrrd: cannot be read.*cut\.raw: truncated.*four\.nrrd: 4 dimensions.*"
            r"gap: slice missing: 4\.00 mm",
            tmp_path,
        )

    @pytest.mark.parametrize("workers", [1, 2])
    def test_what_was_read_is_remembered_until_it_changes(self, tmp_path, write_series, workers, monkeypatch):
        series = write_series(tmp_path / "scans/ct")
        write(tmp_path / "scans/1.nii")
        write(tmp_path / "masks/1.nii", array=np.ones(GRID.size_zyx, np.uint8))
        options = {"labels": tmp_path / "masks", "index_dir": tmp_path / "index", "workers": workers}
        first = find_scans(tmp_path / "scans", **options)
        assert len(list((tmp_path / "index").iterdir())) == 2
        with monkeypatch.context() as patch:
            patch.setattr("data_builders.folder.headers.find_series", None)
            patch.setattr("data_builders.folder.masks.read_labels", None)
            again = find_scans(tmp_path / "scans", **options | {"workers": 1})
        assert [scan.digest for scan in again] == [scan.digest for scan in first]
        shutil.rmtree(series)
        write_series(series, distance_mm=1.0)
        write(tmp_path / "masks/1.nii", array=np.zeros(GRID.size_zyx, np.uint8))
        changed = find_scans(tmp_path / "scans", **options)
        assert all(a.digest != b.digest for a, b in zip(changed, first, strict=True))
        assert len(by_uid(changed)["1"].centres_xyz_mm) == 0


def mask_of_ones(path):
    write(path, grid=read_grid(path), array=np.ones(read_grid(path).size_zyx, np.uint8))
    return path


class TestLabels:
    def test_labelled_are_scans_with_rows_and_those_listed(self, tmp_path):
        for name in "abcd":
            write(tmp_path / f"scans/{name}.nii")
        labels = table(tmp_path / "l.csv", POINTS, "b,1,2,-5,6", "b,3,2,-5,4.5", "a,0,0,0,5")
        listed = table(tmp_path / "list.csv", "a", "c")
        found = by_uid(find_scans(tmp_path / "scans", labels, listed, frame="LPS"))
        assert {uid for uid, scan in found.items() if scan.is_labelled} == {"a", "b", "c"}
        assert {uid: len(scan.centres_xyz_mm) for uid, scan in found.items()} == {"a": 1, "b": 2, "c": 0, "d": 0}
        assert {uid: scan.subset for uid, scan in found.items()} == {
            **{uid: fold_of(patient_key(uid)) for uid in "abc"},
            "d": -1,
        }
        np.testing.assert_array_equal(found["b"].diameters_mm, [6, 4.5])

    def test_a_box_has_a_centre_and_extents(self, tmp_path):
        write(tmp_path / "scans/a.nii")
        labels = table(tmp_path / "l.csv", BOXES, "a,0,0,-20,4,6,0")
        found = find_scans(tmp_path / "scans", labels, frame="LPS")
        np.testing.assert_array_equal(found[0].centres_xyz_mm, [[2, 3, -10]])
        np.testing.assert_array_equal(found[0].diameters_mm, [[4, 6, 20]])

    def test_masks_in_the_tree_are_not_taken_for_scans(self, tmp_path):
        write(tmp_path / "imagesTr/a.nii.gz")
        write(tmp_path / "labelsTr/a.nii.gz", array=np.zeros(GRID.size_zyx, np.uint8))
        lungs_of(tmp_path / "lungs", "a")
        found = find_scans(tmp_path, tmp_path / "labelsTr", lungs=tmp_path / "lungs")
        assert [(scan.path, scan.is_labelled) for scan in found] == [(tmp_path / "imagesTr/a.nii.gz", True)]
        refused("holds masks and the scans of .*, which cannot be told apart", tmp_path / "imagesTr", tmp_path)
        refused("which cannot be told apart", tmp_path, tmp_path)

    def test_what_labels_may_not_be(self, tmp_path):
        write(tmp_path / "scans/a.nii")
        refused("no such file or folder, expected a table of lesions", tmp_path / "scans", tmp_path / "l.csv")
        listed = table(tmp_path / "list.csv", "a")
        refused(r"list\.csv: a list of labelled scans without labels", tmp_path / "scans", None, listed)
        labels = table(tmp_path / "l.csv", POINTS)
        listed = table(tmp_path / "list.csv", "a", "b")
        refused(
            r"list\.csv: row 2.*found 'b', expected the id of one of the 1 scans", tmp_path / "scans", labels, listed
        )

    @pytest.mark.parametrize(
        ("row", "guess"),
        [
            ("a,-20,15,0,5", r"\(-x, -y, z\) would lie inside: give all rows in one frame"),
            ("a,39,29,19,5", "as voxel indices they would lie inside: turn them into mm"),
            ("a,500,0,0,5", "correct it, or the scan's header"),
        ],
    )
    def test_a_lesion_outside_its_scan(self, tmp_path, row, guess):
        path = write(tmp_path / "scans/a.nii")
        labels = table(tmp_path / "l.csv", POINTS, "a,0,0,0,5", row)
        lone = table(tmp_path / "lone.csv", POINTS, row)
        refused(
            rf"l\.csv: row 3: a lesion at .* mm lies outside its scan {path}, which reaches from "
            r"\(-10\.5, -20\.5, -31\.0\) to \(29\.5, 9\.5, 9\.0\); expected world mm",
            tmp_path / "scans",
            labels,
            frame="LPS",
        )
        refused(guess, tmp_path / "scans", lone, frame="LPS")

    @pytest.mark.parametrize("kind", ["points", "boxes"])
    def test_the_frame_is_the_one_in_which_all_lesions_lie_in_their_scans(self, tmp_path, kind):
        """Of two scans the first lies to the left and the second to the right, where its lesion is."""
        write(tmp_path / "scans/a.nii")
        write(tmp_path / "scans/b.nii", grid=dataclasses.replace(GRID, origin_xyz_mm=(-70.0, -20.0, -30.0)))
        centres = {"a": np.array([5.0, 3.0, -10.0]), "b": np.array([-40.0, -5.0, -20.0])}
        half = np.array([1.0, 2.0, 3.0]) if kind == "boxes" else 3.0
        found = {}
        for frame, signs in (("LPS", (1, 1, 1)), ("RAS", (-1, -1, 1))):
            rows = []
            for name, centre in centres.items():
                low, high = signs * centre - half, signs * centre + half
                numbers = [*low, *high] if kind == "boxes" else [*(signs * centre), 6.0]
                rows.append(",".join([name, *map(str, numbers)]))
            labels = table(tmp_path / f"{frame}.csv", BOXES if kind == "boxes" else POINTS, *rows)
            found[frame] = find_scans(tmp_path / "scans", labels)
            for name, scan in by_uid(found[frame]).items():
                np.testing.assert_allclose(scan.centres_xyz_mm, [centres[name]])
                np.testing.assert_allclose(scan.diameters_mm, [2 * half])
            given = find_scans(tmp_path / "scans", labels, frame=frame)
            assert [scan.digest for scan in given] == [scan.digest for scan in found[frame]]
        assert found["LPS"].note.find("RAS") == -1
        assert "RAS.csv: taken for RAS: with x and y negated all lesions lie inside their scans" in found["RAS"].note
        refused("lies outside its scan", tmp_path / "scans", tmp_path / "RAS.csv", frame="LPS")

    def test_a_frame_that_cannot_be_told_is_asked_for(self, tmp_path):
        write(tmp_path / "scans/a.nii")
        labels = table(tmp_path / "l.csv", POINTS, "a,5,3,-10,5", "a,0,0,-10,5")
        refused(
            r"l\.csv: all lesions lie inside .* as LPS and as RAS .* cannot be told: say", tmp_path / "scans", labels
        )
        for frame, centre in (("LPS", [5, 3, -10]), ("RAS", [-5, -3, -10])):
            (scan,) = find_scans(tmp_path / "scans", labels, frame=frame)
            np.testing.assert_array_equal(scan.centres_xyz_mm, [centre, [0, 0, -10]])
        # Where neither would do it is told as it stands there.
        far = table(tmp_path / "far.csv", POINTS, "a,500,3,0,5")
        refused(r"a lesion at x, y, z = \(500\.0, 3\.0, 0\.0\) mm lies outside", tmp_path / "scans", far)
        # Where the two are one there is nothing to ask.
        labels = table(tmp_path / "l.csv", POINTS, "a,0,0,-10,5")
        assert len(find_scans(tmp_path / "scans", labels)[0].centres_xyz_mm) == 1


class TestFolds:
    def test_patients_stay_together_and_spread(self):
        subsets = [fold_of(patient_key(f"patient {number}")) for number in range(1000)]
        counts = np.bincount(subsets, minlength=10)
        assert len(counts) == 10
        assert counts.min() > 60  # 100 +- 9.5
        hashed = hashlib.sha256(b"fold patient 0").digest()  # as it was before patients were kept by their keys
        assert subsets[0] == int.from_bytes(hashed[:8], "little") % 10

    def test_dicoms_patient_decides_before_the_scan(self, tmp_path, write_series):
        for uid in ("1", "2"):
            write_series(tmp_path / "scans" / uid, SeriesInstanceUID=uid, PatientID="p")
        write(tmp_path / "scans/x.nii")
        labels = table(tmp_path / "l.csv", POINTS, "1,-9,-19,-99,5", "2,-9,-19,-99,5", "x,0,0,0,5")
        found = find_scans(tmp_path / "scans", labels)
        assert [scan.subset for scan in found] == [fold_of(patient_key(each)) for each in "ppx"]
        assert "all 2 DICOM scans have one PatientID and so one fold" in found.note
        table(tmp_path / "scans/patients.csv", "seriesuid,patient", "1,q", "x,p")
        found = find_scans(tmp_path / "scans", labels)
        assert [scan.patient for scan in found] == [patient_key(each) for each in "qpp"]
        assert [scan.subset for scan in found] == [fold_of(patient_key(each)) for each in "qpp"]

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            (("a,0", "b,10"), r"folds\.csv: row 3, column subset: found '10', expected 0 to 9"),
            (("a,0", "b,x"), r"row 3, column subset: found 'x'"),
            (("a,0", "b,"), r"row 3, column subset: found an empty cell"),
            (("a,0",), r"folds\.csv: no row for b, which is labelled"),
            (("a,0", "b,1", "a,0"), r"row 4: the same series 'a' as in row 2: take one"),
            (("a,0", "b,1", "z,0"), r"row 4, column seriesuid: found 'z'"),
            (("a,0", "b,1"), r"folds\.csv: a is in fold 0 and b in fold 1, but both are of one patient"),
        ],
    )
    def test_wrong_folds(self, tmp_path, rows, said):
        write(tmp_path / "scans/a.nii")
        write(tmp_path / "scans/b.nii")
        labels = table(tmp_path / "l.csv", POINTS, "a,0,0,0,5", "b,0,0,0,5")
        table(tmp_path / "scans/patients.csv", "seriesuid,patient", "a,p", "b,p")
        table(tmp_path / "scans/folds.csv", "seriesuid,subset", *rows)
        refused(said, tmp_path / "scans", labels)

    def test_given_folds(self, tmp_path):
        for name in "abc":
            write(tmp_path / f"scans/{name}.nii")
        labels = table(tmp_path / "l.csv", POINTS, "a,0,0,0,5", "b,0,0,0,5")
        table(tmp_path / "scans/folds.csv", "seriesuid,subset", "b,7", "a,3", "c,1")
        assert [scan.subset for scan in find_scans(tmp_path / "scans", labels)] == [3, 7, -1]


class TestPrepared:
    @pytest.mark.parametrize("direction", [GRID.direction, FLIPPED], ids=["upright", "flipped"])
    @pytest.mark.parametrize("kind", ["points", "boxes"])
    def test_lesions_lie_where_they_were(self, tmp_path, direction, kind):
        grid = dataclasses.replace(GRID, direction=direction)
        write(tmp_path / "scans/a.mhd", grid=grid)
        centre = voxel_zyx_to_world_xyz_mm(np.array([[8.0, 12, 25]]), grid)
        x, y, z = centre[0]
        row = f"a,{x},{y},{z},6" if kind == "points" else f"a,{x - 3},{y - 3},{z - 3},{x + 3},{y + 3},{z + 3}"
        labels = table(tmp_path / "l.csv", POINTS if kind == "points" else BOXES, row)
        lungs_of(tmp_path / "lungs", "a")
        mask_with(tmp_path / "lungs/a.nii.gz", grid)
        (scan,) = find_scans(tmp_path / "scans", labels, lungs=tmp_path / "lungs", frame="LPS")
        prepared = prepare_scan(pickle.loads(pickle.dumps(scan)))
        expected = boxes_from_points(centre, np.array([6.0]), prepared.grid)
        np.testing.assert_allclose(prepared.boxes_zyxdhw_voxel, expected, atol=1e-4)
        np.testing.assert_allclose(prepared.boxes_zyxdhw_voxel[:, 3:], 6, atol=1e-4)
        assert (prepared.series_uid, prepared.subset, prepared.is_labelled) == ("a", fold_of(patient_key("a")), True)

    def test_an_unlabelled_scan_needs_nothing(self, tmp_path, small_chest):
        write(tmp_path / "a.nii", grid=small_chest().grid, array=small_chest().array_zyx)
        prepared = prepare_scan(find_scans(tmp_path)[0])
        assert prepared.boxes_zyxdhw_voxel.shape == (0, 6)
        assert (prepared.is_labelled, prepared.subset, prepared.patient) == (False, -1, "")
        assert prepared.lungs.any()
        assert not prepared.lungs.all()

    def test_whatever_their_names_they_are_unpacked(self, tmp_path):
        """Bytes that are no UTF-8, upper and lower case, a formula, a comma, as long as a file's name may be."""
        names = (b"L\xf6sche", b"A", b"a", b"=1+1", b"a,b", b"x" * 220)
        scans, lungs, labels = (tmp_path / os.fsdecode(each) for each in (b"Sch\xe4dling", b"L\xe4ufe", b"\xe4.csv"))
        for name in map(os.fsdecode, names):
            write(scans / f"{name}.mhd")
            write(lungs / f"{name}.mhd", array=np.ones(GRID.size_zyx, np.uint8))
        uids = [r"L\xf6sche", "A", "a", "=1+1", "a,b", "x" * 220]
        write_text(labels, csv_text([POINTS.split(","), *((uid, 0, 0, 0, 5) for uid in uids)]))
        given = {"labels": labels, "lungs": lungs}
        prepare_scans("folder", scans, tmp_path / "data", workers=1, progress=silent, **given)
        source = open_scans("folder", tmp_path / "data")
        assert sorted(source.series_uids) == sorted(uids)
        cache = build_crop_cache(source, tmp_path / "cache", fingerprint=source.fingerprint, mask_lungs=False)
        for uid, prepared in zip(source.series_uids, source, strict=True):
            assert cache.scan(uid).series_uid == prepared.series_uid == uid
            assert len(cache.scan(uid).boxes_zyxdhw_voxel) == 1

    def test_the_trachea_of_a_luna16_mask_is_left_out(self, tmp_path):
        write(tmp_path / "scans/a.nii")
        mask = np.zeros(GRID.size_zyx, np.uint8)
        mask[:, :, :3], mask[:, :, 37:] = 3, 5
        write(tmp_path / "lungs/a.nrrd", array=mask)
        (scan,) = find_scans(tmp_path / "scans", lungs=tmp_path / "lungs")
        lungs = prepare_scan(scan).lungs
        assert lungs[:, :, 0].all()
        assert not lungs[:, :, -1].any()
        mask[0, 0, 20] = 1  # no mask of LUNA16, so all of it is lung
        write(tmp_path / "lungs/a.nrrd", array=mask)
        assert prepare_scan(scan).lungs[:, :, -1].all()

    def test_some_scans_may_have_a_lung_mask_and_others_not(self, tmp_path, small_chest):
        chest = small_chest()
        for name in "ab":
            write(tmp_path / f"scans/{name}.nii", grid=chest.grid, array=chest.array_zyx)
        mask = np.zeros(chest.grid.size_zyx, np.uint8)
        mask[10:12, 20:40, 15:30] = 1  # no segmentation would give this
        write(tmp_path / "lungs/deep/b.nrrd", grid=chest.grid, array=mask)
        given = {"lungs": tmp_path / "lungs"}
        prepare_scans("folder", tmp_path / "scans", tmp_path / "data", workers=1, progress=silent, **given)
        found, read = (scan.lungs for scan in open_scans("folder", tmp_path / "data"))
        np.testing.assert_array_equal(found, prepare_scan(find_scans(tmp_path / "scans")[0]).lungs)
        assert found[20, 30, 23]
        assert found[20, 30, 51]
        assert read[11, 30, 23]
        assert not read[20].any()

    def test_who_has_a_lung_mask_and_what_else_lies_there_is_told(self, tmp_path):
        for name in "abc":
            write(tmp_path / f"scans/{name}.nii")
        lungs_of(tmp_path / "lungs", "b", "b_seg")
        (tmp_path / "lungs/c.npy").touch()
        found = find_scans(tmp_path / "scans", lungs=tmp_path / "lungs")
        masks = {uid: scan.lungs_path for uid, scan in by_uid(found).items()}
        assert masks == {"a": None, "b": tmp_path / "lungs/b.nii.gz", "c": None}
        assert "lung masks of 1 scans are given, the lungs of the other 2 are found from their HU: a, c" in found.note
        assert f"passed over 1 (lung mask of no scan): {tmp_path / 'lungs/b_seg.nii.gz'}" in found.note
        assert f"passed over 1 (unknown kind of file): {tmp_path / 'lungs/c.npy'}" in found.note
        lungs_of(tmp_path / "lungs", "a", "c")
        assert "found from their HU" not in find_scans(tmp_path / "scans", lungs=tmp_path / "lungs").note

    def test_lung_masks_of_no_scan_at_all(self, tmp_path):
        write(tmp_path / "scans/a.nii")
        lungs_of(tmp_path / "lungs", "a_seg")
        refused(
            r"none of the 1 lung masks in .* is of a scan, .*such as 'a'", tmp_path / "scans", lungs=tmp_path / "lungs"
        )
        (tmp_path / "empty").mkdir()
        refused("empty: no lung mask below it, expected", tmp_path / "scans", lungs=tmp_path / "empty")
        refused("no such folder, expected one of lung masks", tmp_path / "scans", lungs=tmp_path / "nowhere")

    def test_values_that_are_no_hu(self, tmp_path):
        write(tmp_path / "a.nrrd", array=np.full(GRID.size_zyx, np.nan, np.float32))
        with pytest.raises(InputError, match=r"a\.nrrd: values from nan"):
            prepare_scan(find_scans(tmp_path)[0])

    def test_the_digest_follows_what_matters_only(self, tmp_path):
        path = write(tmp_path / "one/scans/a.nii")
        labels = table(tmp_path / "l.csv", POINTS, "a,0,0,0,5")
        lungs_of(tmp_path / "lungs", "a")

        def describe(folder="one", rows=("a,0,0,0,5",), **options):
            table(labels, POINTS, *rows)
            return find_scans(tmp_path / folder / "scans", labels, frame="LPS", **options)[0].digest

        first = describe()
        shutil.copytree(tmp_path / "one", tmp_path / "two")
        assert describe("two") == first
        others = {
            describe(rows=("a,0,0,0,6",)),
            describe(rows=()),
            describe(rows=("a,0,0,0,5", "a,1,0,0,5")),
            describe(lungs=tmp_path / "lungs"),
        }
        hu = np.full(GRID.size_zyx, -800, np.int16)
        hu[10] = 7
        write(path, array=hu)
        others.add(describe())
        write(path, grid=dataclasses.replace(GRID, origin_xyz_mm=(-10.0, -20.0, -31.0)))
        others.add(describe())
        assert len(others | {first}) == 7


def mask_with(path, grid):
    write(path, grid=grid, array=np.ones(grid.size_zyx, np.uint8))


def test_needs_neither_jax_nor_tfds():
    code = (
        "import sys, data_builders.folder.folder_files, data_builders.folder.scans; "
        "sys.exit(any(name in sys.modules for name in ('jax', 'tensorflow_datasets', 'SimpleITK')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
