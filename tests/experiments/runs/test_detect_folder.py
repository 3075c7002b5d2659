"""Many scans into one folder: stopped, started again, shared among shards, with broken ones among them."""

import csv
import json
import re
import threading

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from data_builders.incoming.find import find_scans
from experiments.runs import detect, detect_folder
from experiments.runs.detect import search_scans
from experiments.runs.detect_folder import detect_into
from experiments.runs.threshold import AskedThreshold
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans import preparation
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.volumes import Volume, write_metaimage, write_nifti
from medssl_jax.inference.sliding import ScanDetections
from medssl_jax.inference.trained_detector import TrainedDetector
from medssl_jax.report.nodules.results import Choice

CHOICE = Choice(("csv", "json", "html"), 0.3)
WHOLE = ["detections.csv", "detections.html", "detections.json"]


def brightest_voxel(hu_zyx):
    centre = np.unravel_index(hu_zyx.argmax(), hu_zyx.shape)
    return ScanDetections(np.array([[*centre, 6, 6, 6]], np.float32), np.array([0.75], np.float32))


def detector_of(find=brightest_voxel, step=7):
    config = {"data": {"phantom": {}}, "split": {"labelled": 1, "unlabelled": 0}, "inference": {"marks": 100}}
    sliding = lambda params, hu, lungs, *, progress: find(hu)  # noqa: E731
    return TrainedDetector(config, step, {}, sliding, False)


def volume(spot_zyx=(3, 4, 5)):
    """A cube of 20 mm with one bright voxel."""
    array = np.full((10, 10, 10), -800, np.int16)
    array[spot_zyx] = 500
    return Volume(array, Grid(array.shape, (2.0, 2.0, 2.0), (-10.0, -20.0, -100.0)), "")


@pytest.fixture(autouse=True)
def _all_is_lung(monkeypatch):
    monkeypatch.setattr(preparation, "segment_lungs", lambda volume: np.ones(volume.grid.size_zyx, np.uint8))


@pytest.fixture
def scans(tmp_path, write_series):
    """Six scans in a tree: DICOM, NIfTI, NRRD and MetaImage, the last two of them broken."""
    tree = tmp_path / "scans"
    write_series(tree / "dicom", stored=volume((1, 1, 1)).array_zyx + 1024, PixelSpacing=[2.0, 2.0])
    write_nifti(tree / "nifti.nii.gz", volume((2, 2, 2)))
    sitk.WriteImage(sitk.GetImageFromArray(volume((3, 3, 3)).array_zyx), str(tree / "nrrd.nrrd"))
    write_metaimage(tree / "meta.mhd", volume((4, 4, 4)))
    write_metaimage(tree / "tall.mhd", volume())
    (tree / "tall.raw").write_bytes(b"short")
    (tree / "torn.nii").write_bytes(b"no header")
    return tree


def run(scans, output, detector=None, *, choice=CHOICE, shard=(1, 1), lungs=None):
    """Runs and returns the names that were searched."""
    searched = []

    def load(checkpoint):
        made = detector or detector_of()
        find = made.sliding
        return TrainedDetector(
            made.config,
            made.step,
            made.params,
            lambda *a, progress: searched.append(1) or find(*a, progress=progress),
            False,
        )

    output.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detect_folder, "load_detector", load)
        try:
            asked = AskedThreshold(min_probability=choice.min_probability)
            detect_into(
                *(output, "runs/luna", scans), lungs=lungs, formats=choice.formats, threshold=asked, shard=shard
            )
        except InputError as error:
            return len(searched), str(error)
    return len(searched), ""


def content(output):
    return json.loads((output / "detections.json").read_text())


def folders(output):
    return sorted(path.name for path in output.iterdir() if path.is_dir())


def test_the_same_scan_in_every_format_has_the_same_marks(tmp_path, write_series):
    spot = volume()
    write_series(tmp_path / "dicom", stored=spot.array_zyx + 1024, PixelSpacing=[2.0, 2.0])
    write_nifti(tmp_path / "a.nii.gz", spot)
    write_metaimage(tmp_path / "b.mhd", spot)
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    sitk.WriteImage(image, str(tmp_path / "c.nrrd"))
    sitk.WriteImage(sitk.Flip(image, (True, True, False)), str(tmp_path / "d.mha"))
    sitk.WriteImage(sitk.PermuteAxes(image, (2, 0, 1)), str(tmp_path / "e.mha"))
    found = [*search_scans(detector_of, find_scans(tmp_path).scans, run="run")]
    assert len(found) == 6
    for searched in found:
        # 2 mm voxel 5, 4, 3 from the origin, at a voxel of 1 mm on one of its sides.
        np.testing.assert_allclose(searched.report.marks.centre_xyz_mm, [[0.0, -12.0, -94.0]], atol=0.6)
        np.testing.assert_allclose(searched.report.marks.centre_xyz_mm, found[0].report.marks.centre_xyz_mm, atol=0.1)


@pytest.mark.parametrize(("longest", "is_cut"), [(1, True), (2, False)])
def test_a_list_as_long_as_the_config_allows_was_cut(tmp_path, longest, is_cut):
    write_metaimage(tmp_path / "b.mhd", volume())
    detector = detector_of()
    detector.config["inference"]["marks"] = longest
    (searched,) = search_scans(lambda: detector, find_scans(tmp_path).scans, run="run")
    assert searched.report.is_cut == is_cut


def test_broken_scans_are_told_and_the_others_kept(scans, tmp_path, capsys):
    searched, error = run(scans, tmp_path / "out")
    assert searched == 4
    assert error.startswith("2 of 6 scans could not be searched")
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 2
    assert "tall.mhd" in failed[0] + failed[1]
    assert "torn.nii" in failed[0] + failed[1]
    assert folders(tmp_path / "out") == ["dicom", "meta", "nifti", "nrrd"]
    whole = content(tmp_path / "out")
    assert [scan["name"] for scan in whole["scans"]] == ["dicom", "meta", "nifti", "nrrd"]
    assert [failure["input"] for failure in whole["failed"]] == ["tall.mhd", "torn.nii"]
    assert whole["waiting"] == []
    with open(tmp_path / "out" / "detections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["dicom", "meta", "nifti", "nrrd"]
    for row in rows:
        with open(tmp_path / "out" / row.pop("name") / "detections.csv", newline="") as file:
            assert list(csv.DictReader(file)) == [row]
    for name, spot in {"dicom": 1, "nifti": 2, "nrrd": 3, "meta": 4}.items():  # each has its own marks
        (mark,) = content(tmp_path / "out" / name)["marks"]
        np.testing.assert_allclose(mark["centre_voxel_zyx"], [spot] * 3, atol=0.3)
    page = (tmp_path / "out" / "detections.html").read_text()
    assert 'href="nifti/detections.html"' in page
    assert "torn.nii" in page


def test_without_operating_points_the_ten_best_of_each_scan_are_shown(scans, tmp_path, capsys):
    def many(hu_zyx):
        brightest_z = np.unravel_index(hu_zyx.argmax(), hu_zyx.shape)[0]
        count = 12 if brightest_z < 0.25 * len(hu_zyx) else 3
        rows = np.hstack([np.tile(np.array(hu_zyx.shape) / 2, (count, 1)), np.full((count, 3), 5.0)])
        return ScanDetections(rows.astype(np.float32), np.linspace(0.9, 0.5, count).astype(np.float32))

    for name in ("tall.mhd", "tall.raw", "torn.nii"):
        (scans / name).unlink()
    assert run(scans, tmp_path / "out", detector_of(many), choice=Choice(("csv", "json", "html"), None)) == (4, "")
    printed = capsys.readouterr().out
    assert printed.count("This detector has no operating points: the 10 best marks of a scan are shown") == 1
    shown = {}
    for name in folders(tmp_path / "out"):
        marks = len(content(tmp_path / "out" / name)["marks"])
        shown[name] = min(marks, 10)
        assert f"{name}: {marks} marks, the best {shown[name]} of them shown" in printed
    assert set(shown.values()) == {3, 10}
    page = (tmp_path / "out" / "detections.html").read_text()
    assert "of them shown" in page
    assert "This detector has no operating points" in page
    for name, count in shown.items():
        assert re.search(rf">{name}</a></th><td>[^<]*</td><td>\d+</td><td>{count}</td>", page)
    with open(tmp_path / "out" / "detections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["best_marks"] for row in rows} == {"10"}
    assert len(rows) > sum(shown.values())  # all are there


def test_what_was_stopped_goes_on_and_repeats_nothing(scans, tmp_path):
    left = [2]

    def stopping(hu_zyx):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return brightest_voxel(hu_zyx)

    with pytest.raises(KeyboardInterrupt):
        run(scans, tmp_path / "out", detector_of(stopping))
    assert folders(tmp_path / "out") == ["dicom", "meta"]
    assert run(scans, tmp_path / "out")[0] == 2
    assert run(scans, tmp_path / "out")[0] == 0
    assert len(content(tmp_path / "out")["scans"]) == 4


def test_a_failure_is_tried_again_and_gone_when_it_is_mended(scans, tmp_path):
    (scans / "tall.mhd").unlink()
    (scans / "torn.nii").unlink()
    array = volume().array_zyx.copy()
    array[:] = 30
    write_metaimage(scans / "dense.mhd", Volume(array, volume().grid, ""))

    def only_lungs(volume):
        return (volume.array_zyx < 0).astype(np.uint8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "segment_lungs", only_lungs)
        searched, error = run(scans, tmp_path / "out")
        assert (searched, error[:7]) == (4, "1 of 5 ")
        assert "no lungs found" in content(tmp_path / "out")["failed"][0]["reason"]
    assert run(scans, tmp_path / "out") == (1, "")
    assert content(tmp_path / "out")["failed"] == []
    assert not (tmp_path / "out" / "dense" / "failed.json").exists()


def test_two_shards_make_the_whole(scans, tmp_path):
    run(scans, tmp_path / "whole")
    first, _ = run(scans, tmp_path / "shared", shard=(1, 2))
    assert len(content(tmp_path / "shared")["waiting"]) == 4 - first
    second, _ = run(scans, tmp_path / "shared", shard=(2, 2))
    assert first + second == 4
    for name in WHOLE:
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_scan_detector_or_setting_is_searched_anew(scans, tmp_path):
    run(scans, tmp_path / "out")
    write_metaimage(scans / "meta.mhd", volume((8, 8, 8)))
    assert run(scans, tmp_path / "out")[0] == 1
    assert run(scans, tmp_path / "out", choice=Choice(("json",), 0.3))[0] == 4
    assert run(scans, tmp_path / "out", detector_of(step=8), choice=Choice(("json",), 0.3))[0] == 4
    (tmp_path / "out" / "nrrd" / "detections.json").write_text("{")
    assert run(scans, tmp_path / "out", detector_of(step=8), choice=Choice(("json",), 0.3))[0] == 1


def test_what_is_no_result_is_never_replaced(scans, tmp_path):
    (tmp_path / "out" / "meta").mkdir(parents=True)
    (tmp_path / "out" / "meta" / "slice.dcm").write_bytes(b"mine")
    _, error = run(scans, tmp_path / "out")
    assert error.startswith(f"{tmp_path}/out/meta: is there and holds no results")
    assert (tmp_path / "out" / "meta" / "slice.dcm").read_bytes() == b"mine"
    _, error = run(scans, scans)
    assert "is the input as well" in error


def test_a_mask_is_of_one_scan(scans, tmp_path):
    assert "--lungs: a mask is of one scan, found 4" in run(scans, tmp_path / "out", lungs=scans / "meta.mhd")[1]


def test_one_scan_has_its_results_in_the_folder_itself(scans, tmp_path):
    assert run(scans / "dicom", tmp_path / "out") == (1, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == WHOLE
    written = content(tmp_path / "out")
    assert (written["series_uid"], written["study_instance_uid"]) == ("1.2.3.4", "1.2.3")
    # Its spot is in the second slice from below.
    assert written["marks"][0]["sop_instance_uid"] == "1.2.3.4.1"
    assert "detector_sha256" in written["made_from"]
    assert run(scans / "torn.nii", tmp_path / "other")[1].startswith(f"{scans}/torn.nii: ")


def test_the_next_scan_is_read_while_one_is_searched(scans, monkeypatch):
    begun = {name: threading.Event() for name in ("dicom", "meta", "nifti", "nrrd")}
    following = iter(["meta", "nifti", "nrrd"])
    read_scan = detect.read_scan

    def read(found, **options):
        begun[found.name].set()
        return read_scan(found, **options)

    def find(hu_zyx):
        name = next(following, None)
        assert name is None or begun[name].wait(timeout=20)
        return brightest_voxel(hu_zyx)

    monkeypatch.setattr(detect, "read_scan", read)
    good = [scan for scan in find_scans(scans).scans if scan.name in begun]
    assert len([*search_scans(lambda: detector_of(find), good, run="run")]) == 4


def test_sr_and_seg_are_of_dicom_series(scans, tmp_path, capsys, write_series):
    stored = volume((1, 1, 1)).array_zyx + 1024
    fields = dict(stored=stored, PixelSpacing=[2.0, 2.0], FrameOfReferenceUID="1.2.3.99")
    write_series(scans / "whole", StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1", **fields)
    choice = Choice(("json", "sr", "seg"), 0.3)
    searched, _ = run(scans, tmp_path / "out", choice=choice)
    told = capsys.readouterr().err
    assert "3 of them are no DICOM series: no sr,seg is written of these\n" in told
    assert re.search(r"failed: .*/dicom/1-\d+.dcm: no FrameOfReferenceUID", told)
    names = {path.name for path in (tmp_path / "out" / "whole").iterdir()}
    assert names == {"detections.json", "detections.sr.dcm", "detections.seg.dcm"}
    report = pydicom.dcmread(tmp_path / "out" / "whole" / "detections.sr.dcm")
    assert (report.Modality, report.StudyInstanceUID) == ("SR", "1.2.9")
    assert [path.name for path in (tmp_path / "out" / "nifti").iterdir()] == ["detections.json"]
    assert searched == 4
    assert run(scans, tmp_path / "out", choice=choice)[0] == 0
    assert "leave it out" in run(scans / "meta.mhd", tmp_path / "one", choice=choice)[1]
