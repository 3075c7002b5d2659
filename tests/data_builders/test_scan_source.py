"""A tiny LUNA16 tree through the builder and back, and every way its files can be incomplete."""

import csv
import os
import pickle
import shutil

import numpy as np
import pytest

from data_builders.luna16 import VERSION
from data_builders.scan_source import open_scans, prepare_scans
from medssl_jax.core.errors import InputError
from medssl_jax.core.progress import silent
from medssl_jax.data.scans.preparation import prepare_volume
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.volumes import Volume, read_labels, read_volume, write_metaimage

FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
NODULES_OF_SCAN = (0, 1, 2, 1)
SUBSET_OF_SCAN = (3, 0, 0, 9)
ANNOTATION_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


def uid(scan):
    return f"1.3.6.{scan}"


def write_tiny_luna16(folder):
    rng = np.random.default_rng(0)
    for subset in range(10):
        (folder / f"subset{subset}").mkdir(parents=True)
    (folder / "seg-lungs-LUNA16").mkdir()
    rows = [ANNOTATION_COLUMNS]
    for scan, (subset, nodules) in enumerate(zip(SUBSET_OF_SCAN, NODULES_OF_SCAN, strict=True)):
        grid = Grid(
            (8, 20, 20 + scan), (2.5, 0.7, 0.7), (-100.123456789, 7.0, -300.0), *([FLIPPED] if scan == 2 else [])
        )
        hu = rng.integers(-2048, 700, grid.size_zyx).astype(np.int16)
        write_metaimage(folder / f"subset{subset}" / f"{uid(scan)}.mhd", Volume(hu, grid, uid(scan)))
        labels = rng.integers(0, 6, grid.size_zyx).astype(np.uint8)
        mask_path = folder / "seg-lungs-LUNA16" / f"{uid(scan)}.mhd"
        write_metaimage(mask_path, Volume(labels, grid, uid(scan)), compress=True)
        centres = voxel_zyx_to_world_xyz_mm(rng.uniform(1, 7, (nodules, 3)), grid)
        rows += [(uid(scan), *centre, 4.5) for centre in centres.tolist()]
    with (folder / "annotations.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "seriesuids.csv").write_text("".join(f"{uid(scan)}\r\n" for scan in range(len(NODULES_OF_SCAN))))
    return folder


def prepare(manual_dir, data_dir, **options):
    prepare_scans("luna16", manual_dir, data_dir, **{"workers": 1, "progress": silent} | options)


@pytest.fixture
def luna16(tmp_path):
    return write_tiny_luna16(tmp_path / "luna16")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    prepare(write_tiny_luna16(root / "raw"), root / "data")
    return root


class TestRoundTrip:
    def test_every_scan_is_what_prepare_scan_makes_of_its_files(self, prepared):
        source = open_scans("luna16", prepared / "data")
        with (prepared / "raw" / "annotations.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(source) == 4
        for scan in source:
            centres = [
                [float(row[f"coord{axis}"]) for axis in "XYZ"] for row in rows if row["seriesuid"] == scan.series_uid
            ]
            expected = prepare_volume(
                read_volume(prepared / "raw" / f"subset{scan.subset}" / f"{scan.series_uid}.mhd"),
                read_labels(prepared / "raw" / "seg-lungs-LUNA16" / f"{scan.series_uid}.mhd"),
                np.array(centres).reshape(-1, 3),
                np.full(len(centres), 4.5),
                subset=scan.subset,
                lung_labels=(3, 4),
            )
            for name in ("hu", "lungs", "boxes_zyxdhw_voxel"):
                np.testing.assert_array_equal(getattr(scan, name), getattr(expected, name))
                assert getattr(scan, name).dtype == getattr(expected, name).dtype
            assert scan.grid == expected.grid
            assert scan.source_spacing_zyx_mm == expected.source_spacing_zyx_mm

    def test_order_is_by_subset_then_series(self, prepared):
        source = open_scans("luna16", prepared / "data")
        assert source.series_uids == (uid(1), uid(2), uid(0), uid(3))
        assert tuple(each.subset for each in source.metadata.values()) == (0, 0, 3, 9)
        assert [scan.series_uid for scan in source] == list(source.series_uids)
        assert source[-1].series_uid == uid(3)
        with pytest.raises(IndexError):
            source[4]

    def test_shards_do_not_matter(self, prepared, tmp_path, monkeypatch):
        monkeypatch.setattr("data_builders.scan_builder.SCANS_PER_SHARD", 3)
        prepare(prepared / "raw", tmp_path)
        assert len(list(tmp_path.rglob("*array_record*"))) == 2
        for one, other in zip(open_scans("luna16", tmp_path), open_scans("luna16", prepared / "data"), strict=True):
            assert one.series_uid == other.series_uid
            np.testing.assert_array_equal(one.hu, other.hu)

    def test_files_do_not_stay_open_for_ever(self, prepared, tmp_path, monkeypatch):
        monkeypatch.setattr("data_builders.scan_builder.SCANS_PER_SHARD", 1)
        prepare(prepared / "raw", tmp_path)

        def most_open(source):
            return max(
                sum("array_record" in os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd"))
                for _ in map(source.__getitem__, [0, 1, 2, 3])
            )

        assert most_open(open_scans("luna16", tmp_path)) == 4
        monkeypatch.setattr("medssl_jax.data.tfds_store.REOPEN_AFTER", 2)
        assert most_open(open_scans("luna16", tmp_path)) == 2

    def test_does_not_go_through_the_sorting_of_tfds(self, prepared, tmp_path, monkeypatch):
        # Above 1 GB, more than a test can make, that needs TensorFlow.
        monkeypatch.setattr("tensorflow_datasets.core.shuffle.Shuffler.add", None)
        prepare(prepared / "raw", tmp_path)

    def test_listing_needs_no_records(self, prepared, tmp_path):
        shutil.copytree(prepared / "data", tmp_path / "data", ignore=shutil.ignore_patterns("*array_record*"))
        source = open_scans("luna16", tmp_path / "data")
        assert [each.subset for each in source.metadata.values()] == [0, 0, 3, 9]
        assert all(metadata.is_labelled for metadata in source.metadata.values())

    def test_travels_to_another_process(self, prepared):
        source = open_scans("luna16", prepared / "data")
        first = source[0]
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[0].hu, first.hu)


class TestPreparedOnce:
    def test_the_second_call_does_nothing(self, prepared):
        before = {path: path.stat().st_mtime_ns for path in (prepared / "data").rglob("*")}
        prepare(prepared / "raw", prepared / "data")
        assert {path: path.stat().st_mtime_ns for path in (prepared / "data").rglob("*")} == before

    def test_the_data_set_is_enough_without_the_raw_files(self, prepared, tmp_path):
        prepare(tmp_path / "nowhere", prepared / "data")

    def test_the_fingerprint_does_not_depend_on_the_place(self, prepared, luna16, tmp_path):
        prepare(luna16, tmp_path / "data")
        here, there = (open_scans("luna16", root / "data") for root in (tmp_path, prepared))
        assert here.fingerprint == there.fingerprint

    @pytest.mark.parametrize("change", ["voxels", "annotation"])
    def test_other_raw_files_are_refused(self, prepared, luna16, change):
        if change == "voxels":
            path = luna16 / "subset3" / f"{uid(0)}.raw"
            path.write_bytes(path.read_bytes()[::-1])
        else:
            path = luna16 / "annotations.csv"
            path.write_text(path.read_text().replace(",4.5", ",4.6"))
        with pytest.raises(InputError, match="was prepared from other files"):
            prepare(luna16, prepared / "data")

    def test_other_settings_are_refused(self, prepared, monkeypatch):
        monkeypatch.setattr("data_builders.scan_builder.HU_RANGE", (-1000, 400))
        with pytest.raises(InputError, match="or by other settings"):
            prepare(prepared / "raw", prepared / "data")


def flipped(data):
    return bytes([*data[: len(data) // 2], data[len(data) // 2] ^ 1, *data[len(data) // 2 + 1 :]])


class TestDamaged:
    @pytest.fixture
    def directory(self, prepared, tmp_path):
        shutil.copytree(prepared / "data", tmp_path / "data")
        return tmp_path / "data" / "luna16" / VERSION

    def told(self, directory, said):
        """Opening or reading it is one line that says what to do, and so is preparing it again."""
        with pytest.raises(InputError, match=rf"{said}.*: remove {directory} and run `python -m experiments\.prepare"):
            list(open_scans("luna16", directory.parents[1]))

    @pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "metadata.json", "SHA256SUMS"])
    @pytest.mark.parametrize("damage", [flipped, lambda data: data[:-9], lambda data: b"", lambda data: b"[1]"])
    def test_what_describes_it(self, prepared, directory, name, damage):
        (directory / name).write_bytes(damage((directory / name).read_bytes()))
        self.told(directory, r"(json|SHA256SUMS): damaged")
        with pytest.raises(InputError, match=f"remove {directory} and run"):
            prepare(prepared / "raw", directory.parents[1])

    @pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "metadata.json"])
    def test_what_describes_it_is_not_there(self, directory, name):
        (directory / name).unlink()
        self.told(directory, f"{name}: cannot be read: No such file")

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[:2000] + flipped(data[2000:2100]) + data[2100:],
            lambda data: data[: len(data) // 2],
            lambda data: data[1 << 16 :],
            lambda data: data[:-1],
            lambda data: b"",
            lambda data: data + b"x",
        ],
        ids=["flipped", "half", "other half", "shorter", "emptied", "longer"],
    )
    def test_a_shard(self, directory, damage):
        (shard,) = directory.glob("*array_record*")
        shard.write_bytes(damage(shard.read_bytes()))
        self.told(directory, rf"{shard.name}: record \d (cannot be read|is not the one that was written there)")

    def test_a_shard_is_not_there(self, directory):
        (shard,) = directory.glob("*array_record*")
        shard.unlink()
        self.told(directory, rf"{shard.name}: record 0 cannot be read \(open\(\) failed: No such file or directory\)")

    def test_a_shard_of_the_same_scans_with_other_labels(self, luna16, directory, tmp_path):
        path = luna16 / "annotations.csv"
        path.write_text(path.read_text().replace(",4.5", ",4.6"))
        prepare(luna16, tmp_path / "other")
        (shard,) = directory.glob("*array_record*")
        shutil.copy(tmp_path / "other" / "luna16" / VERSION / shard.name, shard)
        self.told(directory, rf"{shard.name}: record \d is not the one that was written there")

    def test_shards_in_each_others_place(self, prepared, tmp_path, monkeypatch):
        monkeypatch.setattr("data_builders.scan_builder.SCANS_PER_SHARD", 1)
        prepare(prepared / "raw", tmp_path)
        directory = tmp_path / "luna16" / VERSION
        one, other = sorted(directory.glob("*array_record*"))[1:3]
        one.rename(tmp_path / "aside")
        other.rename(one)
        (tmp_path / "aside").rename(other)
        self.told(directory, rf"{one.name}: record 1 is not the one that was written there")

    def test_killed_just_before_it_was_finished(self, prepared, directory):
        sums = (directory / "SHA256SUMS").read_bytes()
        (directory / "SHA256SUMS").unlink()
        with pytest.raises(InputError, match="no prepared luna16"):
            open_scans("luna16", directory.parents[1])
        before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
        prepare(prepared / "raw", directory.parents[1])
        assert (directory / "SHA256SUMS").read_bytes() == sums
        assert {path: path.stat().st_mtime_ns for path in before} == before


class TestIncomplete:
    def refused(self, folder, said):
        with pytest.raises(InputError, match=said) as caught:
            prepare(folder, folder.parent / "data")
        assert "\n" not in str(caught.value)
        command = f"experiments.prepare --dataset=luna16 --manual_dir=DIR --data_dir={folder.parent / 'data'}`"
        with pytest.raises(InputError, match=f"no prepared luna16 .*{command}"):
            open_scans("luna16", folder.parent / "data")

    def test_nothing_there(self, tmp_path):
        self.refused(tmp_path / "nowhere", r"LUNA16 is not here.*subset0\.zip.*python -m experiments\.prepare")

    def test_an_annotation_outside_its_scan(self, luna16):
        with (luna16 / "annotations.csv").open("a") as file:
            file.write(f"{uid(0)},1000,2,3,4\r\n")
        self.refused(luna16, r"1\.3\.6\.0: a nodule at x, y, z = \(1000\.0, 2\.0, 3\.0\) mm lies outside")

    def test_a_damaged_mask_found_in_the_middle_of_the_work(self, luna16):
        path = luna16 / "seg-lungs-LUNA16" / f"{uid(3)}.zraw"
        path.write_bytes(path.read_bytes()[:100] + bytes(path.stat().st_size - 100))
        self.refused(luna16, r"1\.3\.6\.3\.zraw: does not decompress")
        assert not list((luna16.parent / "data").rglob("*incomplete*"))


def test_whoever_waits_for_another_says_so_and_takes_what_that_one_made(prepared, tmp_path, while_another_holds):
    made, of_other = tmp_path / "luna16", prepared / "data" / "luna16"
    made.mkdir()
    (waiting,) = while_another_holds(
        *(made, "preparing", lambda: prepare(prepared / "raw", tmp_path)),
        making=lambda: shutil.copytree(of_other, made, dirs_exist_ok=True),
    )
    waiting.result()
    times = {path.relative_to(made): path.stat().st_mtime_ns for path in made.rglob("*") if path.is_file()}
    assert times == {path: (of_other / path).stat().st_mtime_ns for path in times}


def test_a_full_disk_leaves_nothing_that_opens(luna16, tmp_path, full_disk):
    with pytest.raises(InputError, match=r"cannot be written: .*No space left on device"):
        prepare(luna16, tmp_path / "data")
    with pytest.raises(InputError, match="no prepared luna16"):
        open_scans("luna16", tmp_path / "data")


def test_a_data_set_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="data set 'luna': expected one of luna16, "):
        prepare_scans("luna", tmp_path, tmp_path, workers=1)
