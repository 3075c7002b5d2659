"""Boxes of masks, against SimpleITK's label statistics and spheres whose place is known."""

import dataclasses
import math
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from data_builders.folder.folder_files import find_scans
from data_builders.folder.headers import ScanHeader
from data_builders.folder.masks import boxes_of_mask, read_mask
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans.preparation import prepare_scan
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm, world_xyz_mm_to_voxel_zyx
from medssl_jax.imaging.resampling import to_image
from medssl_jax.imaging.volumes import Volume

GRID = Grid((24, 40, 50), (2.5, 0.7, 0.8), (-30.0, 12.0, -90.0))
TURNED = (math.cos(0.2), -math.sin(0.2), 0.0, math.sin(0.2), math.cos(0.2), 0.0, 0.0, 0.0, 1.0)
DIRECTIONS = {
    "upright": GRID.direction,
    "flipped in x and y": (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    "flipped in z": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    "sagittal": (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
}


def grids():
    return pytest.mark.parametrize(
        "grid",
        [dataclasses.replace(GRID, direction=direction) for direction in DIRECTIONS.values()],
        ids=list(DIRECTIONS),
    )


def spheres(grid, centres_xyz_mm, diameters_mm):
    """A mask whose label n + 1 is the voxels with their centre in sphere n."""
    indices_zyx = np.moveaxis(np.indices(grid.size_zyx), 0, -1).reshape(-1, 3)
    points = voxel_zyx_to_world_xyz_mm(indices_zyx.astype(float), grid)
    mask = np.zeros(len(points), np.uint8)
    for label, (centre, diameter) in enumerate(zip(centres_xyz_mm, diameters_mm, strict=True), start=1):
        mask[np.linalg.norm(points - centre, axis=1) <= diameter / 2] = label
    return mask.reshape(grid.size_zyx)


def write(path, array, grid=GRID):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(to_image(array, grid), path)
    return path


def header(path, grid=GRID):
    return ScanHeader(path, "a", "", grid, "")


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "scans/a.nii.gz", np.full(GRID.size_zyx, -800, np.int16))
    write(tmp_path / "scans/b.nii.gz", np.full(GRID.size_zyx, -700, np.int16))
    return tmp_path


def refused(folder, said):
    with pytest.raises(InputError, match=said) as caught:
        find_scans(folder / "scans", folder / "masks")
    assert "\n" not in str(caught.value)


@grids()
def test_agrees_with_simpleitk(grid):
    rng = np.random.default_rng(0)
    mask = np.zeros(grid.size_zyx, np.uint8)
    for label in (1, 2, 7, 255):  # in several pieces each
        places = [rng.integers(2, size - 2, 15) for size in grid.size_zyx]
        mask[tuple(places)] = label
    labels, low, high = boxes_of_mask(Volume(mask, grid, ""))
    statistics = sitk.LabelShapeStatisticsImageFilter()
    image = to_image(mask, grid)
    statistics.Execute(image)
    assert list(labels) == sorted(statistics.GetLabels())
    for label, low_xyz_mm, high_xyz_mm in zip(labels, low, high, strict=True):
        box = np.array(statistics.GetBoundingBox(label), float)
        corners = [
            image.TransformContinuousIndexToPhysicalPoint(corner)
            for corner in ((box[:3] - 0.5).tolist(), (box[:3] + box[3:] - 0.5).tolist())
        ]
        np.testing.assert_allclose(low_xyz_mm, np.min(corners, axis=0), atol=1e-9)
        np.testing.assert_allclose(high_xyz_mm, np.max(corners, axis=0), atol=1e-9)


def test_on_a_turned_grid_the_box_is_round_the_voxels_not_round_their_index_box():
    grid = dataclasses.replace(GRID, direction=TURNED)
    mask = np.zeros(grid.size_zyx, np.uint8)
    places = [(5, 10, 10), (5, 10, 30), (5, 30, 20)]
    for place in places:
        mask[place] = 3
    _, low, high = boxes_of_mask(Volume(mask, grid, ""))
    offsets = np.array(np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [-0.5, 0.5])).reshape(3, -1).T
    corners = np.concatenate([voxel_zyx_to_world_xyz_mm(np.array(place) + offsets, grid) for place in places])
    np.testing.assert_allclose(low[0], corners.min(axis=0))
    np.testing.assert_allclose(high[0], corners.max(axis=0))


@grids()
def test_a_mask_gives_the_box_that_the_same_lesions_give_as_points(tmp_path, grid):
    scan = write(tmp_path / "scans/a.nrrd", np.full(grid.size_zyx, -800, np.int16), grid)
    centres = voxel_zyx_to_world_xyz_mm(np.array([[8.0, 14, 15], [15, 25, 33]]), grid)
    diameters = np.array([9.0, 12.0])
    write(tmp_path / "masks/a.nii.gz", spheres(grid, centres, diameters), grid)
    rows = [f"a,{x},{y},{z},{diameter}" for (x, y, z), diameter in zip(centres, diameters, strict=True)]
    (tmp_path / "points.csv").write_text("\n".join(["seriesuid,coordX,coordY,coordZ,diameter_mm", *rows]))
    write(tmp_path / "lungs/a.nrrd", np.ones(grid.size_zyx, np.uint8), grid)
    boxes = [
        prepare_scan(find_scans(scan.parent, labels, lungs=tmp_path / "lungs")[0]).boxes_zyxdhw_voxel
        for labels in (tmp_path / "masks", tmp_path / "points.csv")
    ]
    np.testing.assert_allclose(boxes[0][:, :3], boxes[1][:, :3], atol=0.05)
    assert (np.abs(boxes[0][:, 3:] - boxes[1][:, 3:]) <= max(grid.spacing_zyx_mm)).all()


def test_a_mask_on_a_grid_of_its_own(folder):
    centre = voxel_zyx_to_world_xyz_mm(np.array([[12.0, 20, 25]]), GRID)
    own = Grid((40, 60, 60), (0.5, 0.5, 0.5), tuple((centre[0] - 14).tolist()))
    path = write(folder / "masks/a.mha", spheres(own, centre, [8.0]), own)
    lesions = read_mask(path, header(folder / "scans/a.nii.gz")).lesions
    np.testing.assert_allclose(lesions.centres_xyz_mm, centre, atol=0.26)
    np.testing.assert_allclose(lesions.diameters_mm, 8, atol=0.6)
    found = find_scans(folder / "scans", folder / "masks")
    assert [scan.is_labelled for scan in found] == [True, False]
    np.testing.assert_array_equal(found[0].diameters_mm, lesions.diameters_mm)


def test_an_empty_mask_is_a_labelled_scan_without_lesions(folder):
    write(folder / "masks/a.nii.gz", np.zeros(GRID.size_zyx, np.uint8))
    found = find_scans(folder / "scans", folder / "masks")
    assert [(scan.is_labelled, len(scan.diameters_mm)) for scan in found] == [(True, 0), (False, 0)]
    assert found.note == "2 scans: 1 labelled with 0 lesions, 1 not"


def test_a_label_in_pieces_is_one_lesion_and_is_told(folder):
    mask = np.zeros(GRID.size_zyx, np.uint8)
    mask[2, 3, 4] = mask[20, 30, 40] = 1
    mask[10, 10, 10] = mask[11, 11, 11] = 2  # touching by a corner
    write(folder / "masks/deep/a.nii.gz", mask)
    found = find_scans(folder / "scans", folder / "masks")
    assert len(found[0].centres_xyz_mm) == 2
    expected = voxel_zyx_to_world_xyz_mm(np.array([[11.0, 16.5, 22]]), GRID)
    np.testing.assert_allclose(found[0].centres_xyz_mm[:1], expected, atol=1e-6)
    assert "1 labels in 1 masks are in several pieces; each is one lesion" in found.note


def test_a_mask_outside_its_scan(folder):
    away = dataclasses.replace(GRID, size_zyx=(24, 40, 51), origin_xyz_mm=(500.0, 12.0, -90.0))
    mask = np.zeros(away.size_zyx, np.uint8)
    mask[5, 5, 5] = 4
    write(folder / "masks/a.nii.gz", mask, away)
    refused(folder, r"masks/a\.nii\.gz: label 4: a lesion at .* lies outside its scan .*scans/a\.nii\.gz")


def test_a_mask_that_lost_its_geometry(folder):
    write(folder / "masks/a.nii.gz", np.zeros(GRID.size_zyx, np.uint8), Grid(GRID.size_zyx, (1.0, 1.0, 1.0)))
    refused(folder, r"a\.nii\.gz: has the voxels of its scan .* but lies .* mm from it.*save the mask with the scan's")


def test_a_mask_stored_flipped_is_the_same_mask(folder):
    turn = dataclasses.replace(
        GRID,
        direction=DIRECTIONS["flipped in x and y"],
        origin_xyz_mm=tuple(voxel_zyx_to_world_xyz_mm(np.array([[0.0, 39, 49]]), GRID)[0].tolist()),
    )
    mask = np.zeros(GRID.size_zyx, np.uint8)
    mask[5, 5, 5] = 1
    there = voxel_zyx_to_world_xyz_mm(np.array([[5.0, 5, 5]]), GRID)
    assert np.rint(world_xyz_mm_to_voxel_zyx(there, turn)).tolist() == [[5, 34, 44]]
    write(folder / "masks/a.nii.gz", np.ascontiguousarray(mask[:, ::-1, ::-1]), turn)
    np.testing.assert_allclose(
        find_scans(folder / "scans", folder / "masks")[0].centres_xyz_mm, there, atol=1e-4
    )  # NIfTI keeps 32 bits


def test_all_bad_masks_are_told_at_once(folder):
    write(folder / "masks/a.nrrd", np.full(GRID.size_zyx, 300, np.int16))
    write(folder / "masks/b.nii", np.full(GRID.size_zyx, 0.5, np.float32))
    refused(folder, r"2 files cannot be used: .*a\.nrrd: values from 300 .*b\.nii: labels between whole numbers")


def test_masks_of_no_scan_and_twice(folder):
    write(folder / "masks/a_seg.nii", np.zeros(GRID.size_zyx, np.uint8))
    refused(folder, r"a_seg\.nii: a mask named 'a_seg', expected the id of one of the 2 scans, such as 'a'")
    shutil.rmtree(folder / "masks")
    for name in ("a.nii", "more/a.nrrd"):
        write(folder / "masks" / name, np.zeros(GRID.size_zyx, np.uint8))
    refused(folder, r"more/a\.nrrd: a mask of the same name is also .*masks/a\.nii")


def test_files_that_are_no_masks_are_told(folder, write_series):
    write(folder / "masks/a.nii", np.zeros(GRID.size_zyx, np.uint8))
    (folder / "masks/b.npy").touch()
    write_series(folder / "masks/seg", slices=1, Modality="SEG")
    found = find_scans(folder / "scans", folder / "masks")
    assert {path.name: reason for path, reason in found.passed_over} == {
        "b.npy": "unknown kind of file",
        "seg": "DICOM, expected masks in volume files",
    }
