"""A LUNA16 phantom with every defect planted, one by one and all at once; and a clean one, of which nothing is said."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest

from data_builders.luna16.luna16_check import check_luna16
from medssl_jax.core.progress import silent
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.patients import patient_key
from medssl_jax.imaging.volumes import Volume, read_labels, read_volume, write_metaimage
from medssl_jax.phantoms.chests.spec import Luna16Phantom
from medssl_jax.phantoms.luna16 import read_truth, write_luna16_phantom
from medssl_jax.report.data_check.check_page import check_page
from medssl_jax.report.data_check.check_summary import all_notices, text_report

SPEC = Luna16Phantom(
    seed=3, scans=10, chest_zyx_mm=(64.0, 64.0, 64.0), share_without_nodules=0.0, share_flipped=0.3, share_padded=0.5
)
LUNGS = "seg-lungs-LUNA16"
UIDS = [SPEC.series_uid(index) for index in range(SPEC.scans)]  # scan i lies in subset i


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    write_luna16_phantom(SPEC, folder)
    return folder


@pytest.fixture
def luna16(phantom, tmp_path):
    return shutil.copytree(phantom, tmp_path / "luna16")


def check(folder, **changes):
    settings = {
        "train_subsets": (0, 1, 2, 3, 4, 9),
        "test_subsets": (5, 6, 7, 8),
        "allow_absent": False,
        "workers": 1,
        "progress": silent,
    }
    return check_luna16(folder, **(settings | changes))


def scan(folder, index):
    return folder / f"subset{index}" / f"{UIDS[index]}.mhd"


def mask(folder, index):
    return folder / LUNGS / f"{UIDS[index]}.mhd"


def remove(path):
    for suffix in (".mhd", ".raw", ".zraw"):
        path.with_suffix(suffix).unlink(missing_ok=True)


def rewrite(path, array=None, grid=None, **options):
    volume = read_volume(path)
    remove(path)
    array = volume.array_zyx if array is None else array(volume.array_zyx)
    write_metaimage(path, Volume(array, grid or volume.grid, volume.series_uid), **options)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def add_annotation(folder, *cells):
    with (folder / "annotations.csv").open("a", newline="") as file:
        csv.writer(file).writerow(cells)


def corner_xyz_mm(folder, index):
    """A corner of the scan, far from its lungs."""
    grid = read_volume(scan(folder, index)).grid
    return voxel_zyx_to_world_xyz_mm(np.array([[0.0, 0.0, 0.0]]), grid)[0]


def cut(path, share=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def listed(folder, without):
    return "".join(f"{uid}\r\n" for uid in UIDS if uid not in without)


def missing_subset(folder):
    shutil.rmtree(folder / "subset4")


def missing_scan(folder):
    remove(scan(folder, 2))


def missing_masks(folder):
    shutil.rmtree(folder / LUNGS)


def missing_mask(folder):
    remove(mask(folder, 2))


def missing_table(folder):
    (folder / "annotations.csv").unlink()


def unlisted_scan(folder):
    (folder / "seriesuids.csv").write_text(listed(folder, {UIDS[2]}))
    path = folder / "annotations.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if UIDS[2] not in line))


def series_twice(folder):
    for suffix in (".mhd", ".raw"):
        shutil.copy(scan(folder, 2).with_suffix(suffix), folder / "subset3")


def missing_data(folder):
    scan(folder, 2).with_suffix(".raw").unlink()


def truncated_data(folder):
    cut(scan(folder, 2).with_suffix(".raw"))


def broken_header(folder):
    edit(scan(folder, 2), "ElementSpacing = ", "ElementSpacing = nan ")


def truncated_mask(folder):
    cut(mask(folder, 2).with_suffix(".zraw"))


def garbled_mask(folder):
    path = mask(folder, 2).with_suffix(".zraw")
    path.write_bytes(path.read_bytes()[:100] + bytes(path.stat().st_size - 100))


def other_grid(folder):
    grid = read_volume(mask(folder, 2)).grid
    moved = dataclasses.replace(grid, origin_xyz_mm=tuple(x + 1.0 for x in grid.origin_xyz_mm))
    rewrite_mask(folder, lambda labels: labels, moved)


def other_size(folder):
    labels = read_labels(mask(folder, 2))
    grid = dataclasses.replace(labels.grid, size_zyx=(labels.grid.size_zyx[0] - 1, *labels.grid.size_zyx[1:]))
    rewrite_mask(folder, lambda array: array[:-1], grid)


def empty_mask(folder):
    rewrite_mask(folder, lambda labels: np.where(labels == 5, labels, 0))


def rewrite_mask(folder, change, grid=None):
    labels = read_labels(mask(folder, 2))
    array = np.ascontiguousarray(change(labels.array_zyx)).astype(np.uint8)
    write_metaimage(mask(folder, 2), Volume(array, grid or labels.grid, labels.series_uid), compress=True)


def nan_voxels(folder):
    rewrite_floats(folder, np.nan)


def rewrite_floats(folder, first):
    volume = read_volume(scan(folder, 2))
    array = volume.array_zyx.astype(np.float32)
    array[0, 0, 0] = first
    remove(scan(folder, 2))
    write_metaimage(scan(folder, 2), Volume(array, volume.grid, volume.series_uid))


def not_hu(folder):
    rewrite(scan(folder, 2), lambda hu: np.maximum(hu, -1024) + np.int16(1024))


def out_of_range(folder):
    def change(hu):
        hu = hu.copy()
        hu[0, 0, :2] = (-4000, 25000)
        return hu

    rewrite(scan(folder, 2), change)


def nan_coordinate(folder):
    add_annotation(folder, UIDS[2], "nan", 1, 2, 5)


def no_diameter(folder):
    add_annotation(folder, UIDS[2], 0, 1, 2, -1)


def unknown_series(folder):
    add_annotation(folder, "9.9.9", 0, 1, 2, 5)


def nodule_outside_volume(folder):
    add_annotation(folder, UIDS[2], 5000, 1, 2, 5)


def nodule_outside_lungs(folder):
    add_annotation(folder, UIDS[2], *corner_xyz_mm(folder, 2), 5)


def copy_under_another_uid(folder, index):
    for path in (scan(folder, 2), mask(folder, 2)):
        for suffix in (".raw", ".zraw"):
            target = scan(folder, index) if path.parent.name != LUNGS else mask(folder, index)
            if path.with_suffix(suffix).is_file():
                shutil.copy(path.with_suffix(suffix), target.with_suffix(suffix))
        target.write_text(path.read_text().replace(UIDS[2], UIDS[index]))
    (folder / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")


def same_voxels(folder):
    copy_under_another_uid(folder, 3)


def scan_on_both_sides(folder):
    copy_under_another_uid(folder, 5)


def patient_on_both_sides(folder):
    (folder / "patients.csv").write_text(f"seriesuid,patient\n{UIDS[2]},LIDC-1\n{UIDS[5]},LIDC-1\n{UIDS[3]},LIDC-2\n")


def strange_patients(folder):
    (folder / "patients.csv").write_text("seriesuid,patient\n9.9.9,LIDC-1\n")


# What is planted, the kind it is reported as, what of, and whether it blocks.
PLANTED = {
    missing_subset: ("missing subset", "subset4", True),
    missing_scan: ("missing scan", UIDS[2], True),
    missing_masks: ("missing masks", LUNGS, True),
    missing_mask: ("missing mask", UIDS[2], True),
    missing_table: ("unreadable table", "annotations.csv", True),
    unlisted_scan: ("unlisted scan", UIDS[2], True),
    series_twice: ("series twice", UIDS[2], True),
    missing_data: ("unreadable scan", UIDS[2], True),
    truncated_data: ("unreadable scan", UIDS[2], True),
    broken_header: ("unreadable scan", UIDS[2], True),
    truncated_mask: ("unreadable mask", UIDS[2], True),
    garbled_mask: ("unreadable mask", UIDS[2], True),
    other_grid: ("mask on another grid", UIDS[2], False),
    other_size: ("mask on another grid", UIDS[2], False),
    empty_mask: ("mask without lungs", UIDS[2], True),
    nan_voxels: ("NaN", UIDS[2], True),
    not_hu: ("not in HU", UIDS[2], True),
    out_of_range: ("HU out of range", UIDS[2], False),
    nan_coordinate: ("bad annotation", UIDS[2], True),
    no_diameter: ("bad annotation", UIDS[2], True),
    unknown_series: ("annotation of an unknown series", "9.9.9", True),
    nodule_outside_volume: ("nodule outside the volume", UIDS[2], True),
    nodule_outside_lungs: ("nodule outside the lungs", UIDS[2], False),
    same_voxels: ("same voxels", min(UIDS[2], UIDS[3]), False),
    scan_on_both_sides: ("scan on both sides", min(UIDS[2], UIDS[5]), True),
    patient_on_both_sides: ("patient on both sides", patient_key("LIDC-1"), False),
    strange_patients: ("unreadable table", "table of patients", True),
}


def test_of_a_clean_one_nothing_is_said(phantom):
    report = check(phantom)
    assert report.defects == ()
    assert report.can_start
    text = text_report(report)
    assert "BLOCKS" not in text
    assert "defect:" not in text
    assert text.endswith("Training can start; no defect was found.")
    assert "10 found, 10 listed" in text


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_every_defect_is_reported_by_name_and_alone(luna16, plant):
    plant(luna16)
    kind, subject, blocks = PLANTED[plant]
    report = check(luna16)
    found = {(each.kind, each.subject, each.blocks) for each in report.defects}
    assert (kind, subject, blocks) in found
    # A missing subset takes its scans along, and a scan that lies twice has two copies.
    assert {each[0] for each in found} <= {kind, "missing scan" if plant is missing_subset else kind}
    assert report.can_start != blocks
    assert all("\n" not in each.message for each in report.defects)
    assert f"{'BLOCKS' if blocks else 'defect'}: {kind}: {subject}: " in text_report(report)


def test_all_at_once_are_all_reported(luna16):
    on_one_scan = (missing_subset, unknown_series, nodule_outside_volume, nodule_outside_lungs, nan_coordinate)
    others = (other_grid, out_of_range, series_twice, patient_on_both_sides)
    for plant in (*on_one_scan, *others):
        plant(luna16)
    cut(scan(luna16, 6).with_suffix(".raw"))
    remove(mask(luna16, 7))
    kinds = {each.kind for each in check(luna16).defects}
    expected = {PLANTED[plant][0] for plant in (*on_one_scan, *others)}
    assert expected | {"unreadable scan", "missing mask", "missing scan"} == kinds


@pytest.mark.parametrize("plant", [missing_subset, missing_scan, missing_masks, missing_mask])
def test_what_may_be_absent_blocks_nothing_where_it_is_allowed_to(luna16, plant):
    plant(luna16)
    report = check(luna16, allow_absent=True)
    assert report.can_start
    assert report.defects


def test_sides_are_those_asked_for(luna16):
    patient_on_both_sides(luna16)
    assert not check(luna16, train_subsets=(2, 5), test_subsets=(3,)).defects


def test_directions_and_padding_are_notices(phantom):
    truths = {uid: read_volume(scan(phantom, index)) for index, uid in enumerate(UIDS)}
    flipped = sum(volume.grid.direction[0] < 0 for volume in truths.values())
    notices = all_notices(check(phantom))
    assert flipped
    assert any(f"direction: {flipped} scan" in notice for notice in notices)
    for value in (-2048, -3024):
        padded = sum((volume.array_zyx == value).any() for volume in truths.values())
        assert any(f"padding: {padded} scan" in notice and str(value) in notice for notice in notices) == (padded > 0)


def test_two_processes_say_the_same(phantom):
    one, two = check(phantom), check(phantom, workers=2)
    assert text_report(one) == text_report(two)


def test_nodules_of_the_phantom_are_all_found(phantom):
    count = sum(len(read_truth(SPEC, phantom, index).nodules) for index in range(SPEC.scans))
    assert f"{count} in " in check(phantom).overview["Nodules"]


def test_the_page_opens_offline_and_names_every_defect(luna16):
    for plant in (missing_mask, nodule_outside_lungs, unknown_series):
        plant(luna16)
    report = check(luna16)
    page = check_page(report)
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page
    assert page.count('<img src="data:image/') == 6
    for defect in report.defects:
        assert defect.kind in page
        assert defect.subject in page


def test_a_grid_of_the_phantom_is_what_is_sampled(phantom):
    report = check(phantom)
    for index, checked in enumerate(sorted(report.scans, key=lambda each: each.scan.subset)):
        volume = read_volume(scan(phantom, index))
        assert isinstance(checked.sample.grid, Grid)
        assert checked.sample.grid == volume.grid
        assert checked.sample.lowest_hu >= volume.array_zyx.min()
        assert checked.sample.highest_hu <= volume.array_zyx.max()
