"""Many scans into one folder: stopped, started again, shared among shards, with broken ones among them."""

import csv
import itertools
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

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
from medssl_jax.report.nodules.result_files import Choice
from medssl_jax.report.nodules.scan_page import scan_page

ROOT = Path(__file__).parents[3]
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
            asked = AskedThreshold(min_score=choice.min_score)
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


FLIPS = list(itertools.product((1, -1), repeat=3))


def speckled():
    """A cuboid of 20 x 24 x 28 mm that no symmetry leaves as it is, with one brightest voxel."""
    array = np.random.default_rng(0).integers(-900, -300, (10, 12, 14)).astype(np.int16)
    array[3, 4, 5] = 500
    return Volume(array, Grid(array.shape, (2.0, 2.0, 2.0), (-10.0, -20.0, -100.0)), "")


def flipped(array_zyx, signs_zyx):
    """As the axes with a sign of -1 are read from their other end."""
    return array_zyx[tuple(slice(None, None, sign) for sign in signs_zyx)]


def write_by_simpleitk(path, volume, signs_zyx):
    """The scan with the same voxels at the same places in the world, its axes in either direction."""
    image = sitk.GetImageFromArray(flipped(volume.array_zyx, signs_zyx).copy())
    signs_xyz, last_xyz = np.array(signs_zyx[::-1]), np.array(volume.array_zyx.shape[::-1]) - 1
    spacing_xyz_mm = np.array(volume.grid.spacing_zyx_mm[::-1])
    origin = volume.grid.origin_xyz_mm + np.where(signs_xyz < 0, last_xyz * spacing_xyz_mm, 0)
    image.SetSpacing(spacing_xyz_mm.tolist())
    image.SetOrigin(origin.tolist())
    image.SetDirection(np.diag(signs_xyz.astype(float)).ravel().tolist())
    sitk.WriteImage(image, str(path))


def write_as_dicom(write_series, folder, volume, signs_zyx):
    """The same as DICOM, which tells the directions of rows and columns, and each slice's place."""
    z_sign, y_sign, x_sign = signs_zyx
    slices, rows, columns = volume.array_zyx.shape
    x, y, z = volume.grid.origin_xyz_mm

    def place(header, k):
        k = k if z_sign > 0 else slices - 1 - k
        corner = (x + (2 * (columns - 1) if x_sign < 0 else 0), y + (2 * (rows - 1) if y_sign < 0 else 0), z + 2 * k)
        header.ImagePositionPatient = [*corner]
        header.ImageOrientationPatient = [x_sign, 0, 0, 0, y_sign, 0]

    number = FLIPS.index(signs_zyx)
    uids = dict(StudyInstanceUID=f"1.2.{number}", SeriesInstanceUID=f"1.2.{number}.4")
    stored = flipped(volume.array_zyx, signs_zyx) + 1024
    write_series(folder, stored=stored, change=place, PixelSpacing=[2.0, 2.0], **uids)


def shown_on_page(searched):
    """What the page shows below its header: all that its script reads, and of each mark its row of the table.

    Left out is what names the scan as it was read: DICOM instances, and voxels.
    """
    html = scan_page(searched.report, searched.volume, min_score=0.3)
    data = json.loads(re.search(r'<script type="application/json" id="scan">(.*?)</script>', html, re.S)[1])
    rows = [re.findall("<td>(.*?)</td>", row) for row in re.findall(r'<tr id="row.*?</tr>', html, re.S)]
    assert len(rows) == 1
    is_dicom = searched.report.source is not None
    data.pop("instance_numbers")
    planes = html[html.index('<div class="planes"') : html.index("<h2>Marks</h2>")]
    return data, planes, [row[:1] + row[1 + is_dicom : -1] for row in rows]


@pytest.mark.parametrize("kind", ["dicom", "nii", "nii.gz", "nrrd", "mha", "mhd"])
def test_a_scan_flipped_along_any_axis_has_the_same_marks_and_page_in_every_format(tmp_path, write_series, kind):
    volume = speckled()
    write_metaimage(tmp_path / "plain.mhd", volume)
    for number, signs in enumerate(FLIPS):
        if kind == "dicom":
            write_as_dicom(write_series, tmp_path / f"{number}", volume, signs)
        else:
            write_by_simpleitk(tmp_path / f"{number}.{kind}", volume, signs)
    *found, plain = search_scans(detector_of, find_scans(tmp_path).scans, run="run")
    assert plain.found.name == "plain"
    assert len(found) == 8
    for searched in found:
        # Voxel 5, 4, 3 from the origin, of 2 mm, found at a voxel of 1 mm on one of its sides.
        np.testing.assert_allclose(searched.report.marks.centre_xyz_mm, [[0.0, -12.0, -94.0]], atol=0.6)
        np.testing.assert_allclose(searched.report.marks.centre_xyz_mm, plain.report.marks.centre_xyz_mm, atol=0.1)
        assert shown_on_page(searched) == shown_on_page(plain)


def test_a_scan_whose_axes_are_exchanged_has_the_same_marks(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", speckled())
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    for name, order in {"b": (2, 0, 1), "c": (1, 0, 2), "d": (0, 2, 1)}.items():
        sitk.WriteImage(sitk.PermuteAxes(image, order), str(tmp_path / f"{name}.mha"))
    first, *others = search_scans(detector_of, find_scans(tmp_path).scans, run="run")
    assert len(others) == 3
    for searched in others:
        np.testing.assert_allclose(searched.report.marks.centre_xyz_mm, first.report.marks.centre_xyz_mm, atol=0.1)


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
    told = capsys.readouterr()
    assert "6 scans: 4 to search, 0 done before, 2 cannot be read\n" in told.out
    failed = [line for line in told.err.splitlines() if line.startswith("failed: ")]
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


def test_two_shards_make_the_whole(scans, tmp_path, capsys):
    run(scans, tmp_path / "whole")
    capsys.readouterr()
    first, _ = run(scans, tmp_path / "shared", shard=(1, 2))
    told = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(rf"\d scans of 6 in this shard: {first} to search, 0 done before(, \d cannot be read)?", told)
    assert len(content(tmp_path / "shared")["waiting"]) == 4 - first
    second, _ = run(scans, tmp_path / "shared", shard=(2, 2))
    assert first + second == 4
    for name in WHOLE:
        assert (tmp_path / "shared" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


PLACES = [(z, y, x) for z in (2, 4, 6) for y in (2, 4, 6) for x in (3, 6)][:17]


@pytest.fixture
def twenty(tmp_path, write_series):
    """Scans in a tree as a clinic might have them, each with a bright voxel at a place of its own; 3 are broken."""
    tree = tmp_path / "twenty"
    for number, place in enumerate(PLACES):
        spot, name = volume(place), f"scan{number:02}"
        if number < 5:
            uids = dict(StudyInstanceUID=f"1.2.{number}", SeriesInstanceUID=f"1.2.{number}.4")
            folder = tree / "studies" / name / "CT"
            write_series(folder, stored=spot.array_zyx + 1024, PixelSpacing=[2.0, 2.0], **uids)
        elif number < 9:
            write_nifti(tree / f"{name}.nii.gz", spot)
        elif number < 13:
            sitk.WriteImage(sitk.GetImageFromArray(spot.array_zyx), str(tree / f"{name}.nrrd"))
        else:
            write_metaimage(tree / f"{name}.mhd", spot)
    shutil.make_archive(str(tree / "scan04"), "zip", tree / "studies" / "scan04")
    shutil.rmtree(tree / "studies" / "scan04")
    (tree / "scan16.raw").write_bytes(b"short")
    (tree / "scan17.nii").write_bytes(b"no header")
    uids = dict(StudyInstanceUID="1.2.18", SeriesInstanceUID="1.2.18.4")
    broken = write_series(tree / "studies" / "scan18", stored=volume().array_zyx + 1024, **uids)
    sitk.WriteImage(sitk.GetImageFromArray(volume(PLACES[16]).array_zyx), str(tree / "scan19.mha"))
    next(broken.glob("*.dcm")).unlink()  # a slice is absent
    return tree


GOOD = [f"scan{number:02}" for number in (*range(16), 19)]
BROKEN = ["scan16.mhd", "scan17.nii", "studies/scan18 (series 1.2.18.4)"]
TABLES = Choice(("csv", "json"), 0.3)


def of_scan(name):
    return re.search(r"scan\d\d", name)[0]


def killed(scans, output):
    """As the command is that a scheduler kills while it writes the ninth result: in a process of its own."""
    script = f"""
import importlib.util, os, pathlib, signal
import numpy as np
spec = importlib.util.spec_from_file_location("tests", {__file__!r})
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)
from medssl_jax.data.scans import preparation
from medssl_jax.report.nodules import results
preparation.segment_lungs = lambda volume: np.ones(volume.grid.size_zyx, np.uint8)
write, written = results.write_json, []
def write_json(path, content):
    if len(written) == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
    written.append(path)
results.write_json = write_json
tests.run(pathlib.Path({str(scans)!r}), pathlib.Path({str(output)!r}), choice=tests.TABLES)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_of_twenty_scans_three_broken_ones_are_named_and_a_killed_search_goes_on(twenty, tmp_path, capsys):
    killed(twenty, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("[!.]*/*")}
    assert len({path.parent for path in before}) == 8
    searched, error = run(twenty, tmp_path / "out", choice=TABLES)
    assert searched == 17 - 8
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert error.startswith("3 of 20 scans could not be searched")
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed: ")]
    assert sorted(map(of_scan, failed)) == sorted(map(of_scan, BROKEN))
    whole = content(tmp_path / "out")
    assert sorted(of_scan(scan["name"]) for scan in whole["scans"]) == GOOD
    assert sorted(failure["input"] for failure in whole["failed"]) == BROKEN
    assert whole["waiting"] == []
    for scan in whole["scans"]:
        (mark,) = content(tmp_path / "out" / scan["name"])["marks"]
        place = PLACES[min(int(of_scan(scan["name"])[4:]), 16)]
        np.testing.assert_allclose(mark["centre_voxel_zyx"], place, atol=0.3)


def test_shards_of_twenty_scans_make_the_whole(twenty, tmp_path):
    run(twenty, tmp_path / "whole", choice=TABLES)
    counts = [run(twenty, tmp_path / "shared", choice=TABLES, shard=(shard, 2)) for shard in (1, 2)]
    assert [count for count, _ in counts] == [10, 7]
    assert sum(int(error.partition(" ")[0]) for _, error in counts if error) == 3
    assert folders(tmp_path / "shared") == folders(tmp_path / "whole")
    whole = [path for path in (tmp_path / "whole").rglob("[!.]*") if path.is_file()]
    assert len(whole) == 17 * 2 + 2
    for path in whole:
        assert (tmp_path / "shared" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


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
    documented = re.findall("^\\| `made_from\\.(.*?)` ", (ROOT / "docs" / "viewers.md").read_text(), re.M)
    assert list(written["made_from"]) == documented
    assert run(scans / "torn.nii", tmp_path / "other")[1].startswith(f"{scans}/torn.nii: ")


def test_one_scan_is_searched_again_only_where_it_or_a_setting_changed(scans, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(scans / "meta.mhd", out) == (1, "")
    files = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    first = capsys.readouterr().out
    assert run(scans / "meta.mhd", out) == (0, "")
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == files
    again = capsys.readouterr().out.splitlines()
    assert again[0] == first.splitlines()[0] == "meta.mhd: 1 marks, 1 of score 0.3 or more"
    assert set(again[1:-1]) <= set(first.splitlines())
    assert again[-1].startswith("done before, by this detector with these settings: detections.csv, detections.json,")
    assert run(scans / "meta.mhd", out, detector_of(step=8)) == (1, "")
    other = Choice(("csv", "json", "html"), 0.4)
    assert run(scans / "meta.mhd", out, detector_of(step=8), choice=other) == (1, "")
    mask = tmp_path / "mask.mhd"
    for voxel in (0, 1):
        array = np.ones((10, 10, 10), np.uint8)
        array[0, 0, 0] = voxel
        write_metaimage(mask, Volume(array, volume().grid, ""))
        assert [run(scans / "meta.mhd", out, lungs=mask)[0] for _ in range(2)] == [1, 0]
    write_metaimage(scans / "meta.mhd", volume((8, 8, 8)))
    assert run(scans / "meta.mhd", out, lungs=mask) == (1, "")
    (out / "detections.html").unlink()
    assert run(scans / "meta.mhd", out, lungs=mask) == (1, "")


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
