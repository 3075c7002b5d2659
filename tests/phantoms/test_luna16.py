"""The folder on disk: LUNA16's layout, read back by SimpleITK and csv; resumed, never mixed."""

import dataclasses

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.phantoms import luna16
from medssl_jax.phantoms.chests.scan import render_scan
from medssl_jax.phantoms.luna16 import Luna16Phantom, read_truth, scan_path, write_luna16_phantom

SPEC = Luna16Phantom(seed=1, scans=3, chest_zyx_mm=(64.0, 64.0, 64.0), share_without_nodules=0.0, share_flipped=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("phantom")
    write_luna16_phantom(SPEC, directory)
    return directory


def test_layout_is_that_of_luna16(folder):
    assert {path.name for path in folder.iterdir()} == {
        *(f"subset{k}" for k in range(10)),
        "seg-lungs-LUNA16",
        "annotations.csv",
        "annotations_excluded.csv",
        "seriesuids.csv",
        "spec.json",
        "phantom",
    }
    for index in range(SPEC.scans):
        image, uid = scan_path(SPEC, folder, index), SPEC.series_uid(index)
        assert image.parent.name == f"subset{index % 10}"
        assert "ElementType = MET_SHORT" in image.read_text()
        assert f"ElementDataFile = {uid}.raw" in image.read_text()
        mask = (folder / "seg-lungs-LUNA16" / f"{uid}.mhd").read_text()
        assert "CompressedData = True" in mask
        assert f"ElementDataFile = {uid}.zraw" in mask


def test_simpleitk_reads_what_was_rendered(folder, nodule_labels):
    sitk = pytest.importorskip("SimpleITK")
    matrices = set()
    for index in range(SPEC.scans):
        scan = render_scan(SPEC, index)
        image = sitk.ReadImage(str(scan_path(SPEC, folder, index)))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), scan.hu)
        np.testing.assert_allclose(image.GetDirection(), scan.grid.direction)
        matrices.add(image.GetDirection()[0])
        mask = sitk.ReadImage(str(folder / "seg-lungs-LUNA16" / f"{scan.truth.series_uid}.mhd"))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), scan.lungs)
        labels = nodule_labels(scan)
        for number, nodule in enumerate(scan.truth.nodules, start=1):
            x, y, z = (round(i) for i in image.TransformPhysicalPointToContinuousIndex(nodule.centre_xyz_mm))
            assert labels[z, y, x] == number
    assert matrices == {1.0, -1.0}


def test_tables_list_every_scan_and_finding(folder, rows):
    series = [row[0] for row in rows(folder / "seriesuids.csv")]
    assert sorted(series) == sorted(SPEC.series_uid(index) for index in range(SPEC.scans))
    header, *annotations = rows(folder / "annotations.csv")
    assert header == ["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"]
    excluded = rows(folder / "annotations_excluded.csv")[1:]
    truths = [read_truth(SPEC, folder, index) for index in range(SPEC.scans)]
    assert len(annotations) == sum(len(truth.nodules) for truth in truths) > 0
    assert len(excluded) == sum(len(truth.excluded) for truth in truths) > 0
    for row in annotations + excluded:
        assert row[0] in series
        assert np.isfinite([float(number) for number in row[1:]]).all()
    assert "-1" in {row[4] for row in excluded}
    first = truths[0].nodules[0]
    assert [truths[0].series_uid, *(float(f"{n:.10g}") for n in (*first.centre_xyz_mm, first.diameter_mm))] in [
        [row[0], *map(float, row[1:])] for row in annotations
    ]


def test_two_workers_write_the_same_bytes_as_one(folder, tmp_path, files):
    write_luna16_phantom(SPEC, tmp_path, workers=2)
    assert files(tmp_path) == files(folder)


def test_more_scans_keep_the_bytes_of_each(folder, tmp_path, files):
    write_luna16_phantom(dataclasses.replace(SPEC, scans=1), tmp_path)
    uid = SPEC.series_uid(0)
    found, all_files = files(tmp_path), files(folder)
    same = [path for path in found if uid in path]
    assert len(same) == 5
    assert all(found[path] == all_files[path] for path in same)


def test_interrupted_writing_goes_on_and_finished_scans_are_kept(folder, tmp_path, monkeypatch, files):
    render = render_scan
    made: list[int] = []

    def interrupted(spec, index):
        if index == 2 and made.count(2) == 0:
            made.append(2)
            raise KeyboardInterrupt
        made.append(index)
        return render(spec, index)

    monkeypatch.setattr(luna16, "render_scan", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_luna16_phantom(SPEC, tmp_path)
    assert not (tmp_path / "annotations.csv").exists()
    write_luna16_phantom(SPEC, tmp_path)
    assert made == [0, 1, 2, 2]
    assert files(tmp_path) == files(folder)
    write_luna16_phantom(SPEC, tmp_path)
    assert made == [0, 1, 2, 2]


def test_a_deleted_file_is_made_again(folder, tmp_path):
    spec = dataclasses.replace(SPEC, scans=1)
    write_luna16_phantom(spec, tmp_path)
    data = scan_path(spec, tmp_path, 0).with_suffix(".raw")
    before = data.read_bytes()
    data.unlink()
    write_luna16_phantom(spec, tmp_path)
    assert data.read_bytes() == before


def test_another_spec_is_refused(folder, files):
    before = files(folder)
    with pytest.raises(InputError, match="seed = 1, asked for is 2") as caught:
        write_luna16_phantom(dataclasses.replace(SPEC, seed=2), folder)
    assert str(folder) in str(caught.value)
    assert files(folder) == before


def test_a_folder_that_is_no_phantom_is_refused(tmp_path):
    (tmp_path / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n")
    with pytest.raises(InputError, match=r"annotations\.csv"):
        write_luna16_phantom(SPEC, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["annotations.csv"]


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_a_broken_spec_file_is_named(tmp_path, content):
    (tmp_path / "spec.json").write_text(content)
    with pytest.raises(InputError, match=r"spec\.json"):
        write_luna16_phantom(SPEC, tmp_path)
