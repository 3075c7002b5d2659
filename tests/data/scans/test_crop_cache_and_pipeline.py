"""The cache holds what was prepared, whole or not at all; batches depend on seed and position alone."""

import dataclasses
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from medssl_jax.core.checksums import SUMS_FILE
from medssl_jax.core.errors import InputError
from medssl_jax.data.scans import crop_cache
from medssl_jax.data.scans.crop_cache import SCAN_FILES, CropCache, build_crop_cache
from medssl_jax.data.scans.patches import PatchSettings
from medssl_jax.data.scans.pipeline import Searched, batch_rows, patch_batches
from medssl_jax.data.scans.preparation import PreparedScan
from medssl_jax.data.scans.pseudo_boxes import PseudoBoxes
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.imaging.geometry import Grid

SETTINGS = PatchSettings(
    side=16,
    labelled_batch=2,
    unlabelled_batch=2,
    max_objects=2,
    unlabelled_nodule_share=0.0,
    nodule_share=0.7,
    jitter=4,
    scale_range=(0.75, 1.25),
    symmetry_group="flips",
    loader_threads=1,
)


def prepared(number):
    rng = np.random.default_rng(number)
    shape = (20, 24, 28)
    lungs = np.zeros(shape, np.uint8)
    lungs[4:16, 4:20, 4:24] = 1
    return PreparedScan(
        series_uid=f"1.2.{number}",
        subset=number % 10,
        hu=rng.integers(-1200, 600, shape).astype(np.int16),
        lungs=lungs,
        boxes_zyxdhw_voxel=np.array([[10, 12, 14, 5, 5, 5]] * (number % 2), np.float32).reshape(-1, 6),
        grid=Grid(shape, (1.0, 1.0, 1.0), (-10.0, 20.0, 30.5)),
        source_spacing_zyx_mm=(1.0, 1.0, 1.0),
    )


class Scans(list):
    """A source in memory."""

    @property
    def metadata(self):
        return {s.series_uid: ScanMetadata(s.subset, s.patient, s.is_labelled, s.grid.size_zyx) for s in list(self)}


class Interrupted(Scans):
    """A source that fails at its third scan."""

    def __getitem__(self, index):
        if index == 2:
            raise KeyboardInterrupt
        return super().__getitem__(index)


def directory_of(cache):
    (directory,) = cache.metadata_of
    return directory


SCANS = Scans(prepared(number) for number in range(6))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return build_crop_cache(SCANS, tmp_path_factory.mktemp("cache"), fingerprint="f", mask_lungs=True)


def test_a_scan_comes_back_masked(cache):
    for scan in SCANS:
        cached = cache.scan(scan.series_uid)
        np.testing.assert_array_equal(cached.hu_zyx, np.where(scan.lungs, scan.hu, 0))
        np.testing.assert_array_equal(cached.lungs_zyx, scan.lungs)
        np.testing.assert_array_equal(cached.boxes_zyxdhw_voxel, scan.boxes_zyxdhw_voxel)
        assert cached.grid == scan.grid
        assert isinstance(cached.hu_zyx, np.memmap)


def test_opening_a_scan_parses_no_source(tmp_path, monkeypatch):
    """As the header of an .npy file is: in many threads at once Python 3.11 fails at it now and then."""
    built = build_crop_cache(Scans(SCANS[:1]), tmp_path, fingerprint="f", mask_lungs=True)
    monkeypatch.setattr("ast.parse", None)
    assert built.scan("1.2.0").hu_zyx.shape == SCANS[0].hu.shape


def test_places_lie_in_the_lungs(cache):
    scan = cache.scan("1.2.0")
    assert len(scan.places_zyx)
    assert scan.lungs_zyx[tuple(scan.places_zyx.T)].all()


def test_a_cache_of_before_is_found_again(cache):
    assert directory_of(cache).name == hashlib.sha256(b"f mask_lungs=True layout=4").hexdigest()[:16]


def test_mask_and_fingerprint_name_the_cache(tmp_path):
    settings = [("a", True), ("a", False), ("b", True)]
    caches = [build_crop_cache(Scans(SCANS[:1]), tmp_path, fingerprint=f, mask_lungs=m) for f, m in settings]
    assert len({cache.fingerprint for cache in caches}) == 3
    np.testing.assert_array_equal(caches[1].scan("1.2.0").hu_zyx, SCANS[0].hu)


def test_an_interrupted_build_goes_on_and_ends_the_same(tmp_path, cache):
    with pytest.raises(KeyboardInterrupt):
        build_crop_cache(Interrupted(SCANS), tmp_path, fingerprint="f", mask_lungs=True)
    assert {path.name for path in tmp_path.glob("*/[!.]*")} == {"1.2.0", "1.2.1"}
    finished = build_crop_cache(SCANS, tmp_path, fingerprint="f", mask_lungs=True)
    assert finished.metadata == cache.metadata == SCANS.metadata
    np.testing.assert_array_equal(finished.scan("1.2.5").hu_zyx, cache.scan("1.2.5").hu_zyx)


def test_finished_scans_are_not_decoded_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build_crop_cache(Interrupted(SCANS), tmp_path, fingerprint="f", mask_lungs=True)
    asked = []

    class Watched(Scans):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    build_crop_cache(Watched(SCANS), tmp_path, fingerprint="f", mask_lungs=True)
    assert asked == [2, 3, 4, 5]


def test_processes_do_not_matter(tmp_path, cache):
    said = []
    built = build_crop_cache(Scans(SCANS), tmp_path, fingerprint="f", mask_lungs=True, say=said.append)
    files = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert built.metadata == cache.metadata
    assert files == {
        path.relative_to(directory_of(cache).parent): path.read_bytes()
        for path in directory_of(cache).rglob("*")
        if path.is_file()
    }
    assert len(said) == 1
    assert "6 scans to unpack, 0.00 GB" in said[0]


def test_a_disk_without_room_for_all_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 6 * 20 * 24 * 28 * 3 - 1})())
    with pytest.raises(InputError, match=r"0\.00 GB free, the crops of 6 scans need 0\.00 GB: make room"):
        build_crop_cache(SCANS, tmp_path, fingerprint="f", mask_lungs=True)
    assert not [path for path in tmp_path.rglob("[!.]*") if path.is_file()]


def test_room_for_just_all_is_enough(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 20 * 24 * 28 * 3})())
    assert build_crop_cache(SCANS, tmp_path, fingerprint="f", mask_lungs=True, wanted={"1.2.1"})


def test_only_what_is_wanted_is_unpacked_and_more_later(tmp_path):
    first = build_crop_cache(SCANS, tmp_path, fingerprint="f", mask_lungs=True, wanted={"1.2.1", "1.2.4", "other"})
    directory = directory_of(first)
    assert {path.name for path in directory.glob("1.2.*")} == {"1.2.1", "1.2.4"}
    assert first.metadata == SCANS.metadata
    second = build_crop_cache(SCANS, tmp_path, fingerprint="f", mask_lungs=True, wanted={"1.2.0"})
    assert {path.name for path in directory.glob("1.2.*")} == {"1.2.0", "1.2.1", "1.2.4"}
    np.testing.assert_array_equal(second.scan("1.2.0").lungs_zyx, SCANS[0].lungs)


def test_two_data_sets_are_one_cache(tmp_path, cache):
    other = build_crop_cache(
        Scans([dataclasses.replace(SCANS[0], series_uid="9")]), tmp_path, fingerprint="g", mask_lungs=True
    )
    both = CropCache({**cache.metadata_of, **other.metadata_of})
    assert both.metadata == cache.metadata | other.metadata
    np.testing.assert_array_equal(both.scan("9").hu_zyx, other.scan("9").hu_zyx)
    np.testing.assert_array_equal(both.scan("1.2.3").hu_zyx, cache.scan("1.2.3").hu_zyx)
    assert both.fingerprint not in (cache.fingerprint, other.fingerprint)


def test_a_series_in_two_data_sets_is_an_error(tmp_path, cache):
    other = build_crop_cache(Scans(SCANS[2:3]), tmp_path, fingerprint="g", mask_lungs=True)
    with pytest.raises(InputError, match=r"1\.2\.2: is in .* and in .*expected each series in one data set"):
        CropCache({**cache.metadata_of, **other.metadata_of})


@pytest.fixture(scope="module")
def two_scans(tmp_path_factory):
    """A small cache to damage: its folder, and a function that opens both of its scans afresh."""
    scans = Scans(SCANS[:2])
    cache_dir = tmp_path_factory.mktemp("two")
    directory = directory_of(build_crop_cache(scans, cache_dir, fingerprint="f", mask_lungs=True))

    def open_both():
        cache = build_crop_cache(scans, cache_dir, fingerprint="f", mask_lungs=True)
        return [cache.scan(scan.series_uid) for scan in scans]

    return directory, open_both


DAMAGES = {
    "flipped": lambda data: bytes([data[0] ^ 1, *data[1:]]),
    "cut": lambda data: data[:-2],
    "emptied": lambda data: b"",
    "longer": lambda data: data + b"\0\0",
}


@pytest.mark.parametrize("name", [*SCAN_FILES, SUMS_FILE])
@pytest.mark.parametrize("kind", [*DAMAGES, "removed"])
def test_a_damaged_scan_is_told_by_name_and_made_anew_when_removed(two_scans, name, kind):
    directory, open_both = two_scans
    path = directory / "1.2.1" / name
    if kind == "removed":
        path.unlink()
    else:
        path.write_bytes(DAMAGES[kind](path.read_bytes()))
    if (name, kind) == (SUMS_FILE, "longer"):
        open_both()  # what follows the sums takes nothing from them
    else:
        with pytest.raises(InputError, match=rf"1\.2\.1/.*: remove {directory}/1\.2\.1 and start again"):
            open_both()
    shutil.rmtree(directory / "1.2.1")
    np.testing.assert_array_equal(open_both()[1].lungs_zyx, SCANS[1].lungs)


@pytest.mark.parametrize("name", ["", *SCAN_FILES])
def test_the_files_of_two_scans_in_each_others_place_are_told(two_scans, name):
    directory, open_both = two_scans

    def swap():
        one, other, aside = directory / "1.2.0" / name, directory / "1.2.1" / name, directory / ".aside"
        for source, target in ((one, aside), (other, one), (aside, other)):
            source.rename(target)

    same = name and (directory / "1.2.0" / name).read_bytes() == (directory / "1.2.1" / name).read_bytes()
    swap()
    if same:
        open_both()
    else:
        with pytest.raises(InputError, match=r"1\.2\.0.*start again"):
            open_both()
    swap()
    open_both()


def test_a_scan_of_another_cache_is_told(two_scans, tmp_path):
    directory, open_both = two_scans
    unmasked = directory_of(build_crop_cache(Scans(SCANS[:2]), tmp_path, fingerprint="f", mask_lungs=False))
    shutil.copytree(unmasked / "1.2.1", directory / "1.2.1", dirs_exist_ok=True)
    with pytest.raises(InputError, match=rf"holds scan 1\.2\.1 of cache {unmasked.name}, expected 1\.2\.1"):
        open_both()
    shutil.rmtree(directory / "1.2.1")
    open_both()


def test_a_scan_is_read_whole_once_and_then_mapped(two_scans, monkeypatch):
    directory, _ = two_scans
    read = []
    monkeypatch.setattr(crop_cache, "check_sums", lambda folder, *_: read.append(folder.name))
    cache = CropCache({directory: Scans(SCANS[:2]).metadata})
    for uid in ("1.2.0", "1.2.1", "1.2.0"):
        cache.scan(uid)
        cache.scan.cache_clear()
    assert read == ["1.2.0", "1.2.1"]


@pytest.mark.parametrize("series_uid", ["../../../evil", "/absolute", "..", ".lock", "9" * 300, "a\0b", "", "L\udcf6"])
def test_no_series_uid_is_a_path(tmp_path, series_uid):
    scans = Scans([dataclasses.replace(SCANS[1], series_uid=series_uid)])
    cache = build_crop_cache(scans, tmp_path / "a" / "b" / "c", fingerprint="f", mask_lungs=False)
    scan = cache.scan(series_uid)
    assert scan.series_uid == series_uid
    np.testing.assert_array_equal(scan.hu_zyx, SCANS[1].hu)
    assert len(list(directory_of(cache).glob("[!.]*"))) == 1
    assert {path.parents[1] for path in tmp_path.rglob("hu.int16")} == {directory_of(cache)}
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert not Path("/absolute").exists()


def test_upper_and_lower_case_are_two_scans(tmp_path):
    scans = Scans(
        [dataclasses.replace(scan, series_uid=uid) for scan, uid in zip(SCANS, ("Scan", "scan"), strict=False)]
    )
    cache = build_crop_cache(scans, tmp_path, fingerprint="f", mask_lungs=False)
    assert len({path.name.casefold() for path in directory_of(cache).glob("[!.]*")}) == 2
    for scan in scans:
        np.testing.assert_array_equal(cache.scan(scan.series_uid).hu_zyx, scan.hu)


def batches(cache, seed=0, unlabelled_batch=2):
    uids = [scan.series_uid for scan in SCANS]
    settings = dataclasses.replace(SETTINGS, unlabelled_batch=unlabelled_batch)
    return patch_batches(cache, uids[:3], uids[3:], settings=settings, seed=seed)


def flat(batch):
    return np.concatenate([np.ravel(value).astype(float) for part in batch.values() for value in part.values()])


def test_batches_are_a_function_of_seed_and_position(cache):
    one, two, other = batches(cache), batches(cache), batches(cache, seed=1)
    for position in (3, 0, 17):
        np.testing.assert_array_equal(flat(one[position]), flat(two[position]))
        assert not np.array_equal(flat(one[position]), flat(other[position]))


@pytest.mark.parametrize(("labelled", "unlabelled"), [(1, 1), (1, 2), (2, 1), (1, 0)])
def test_a_batch_may_have_one_row(cache, labelled, unlabelled):
    uids = [scan.series_uid for scan in SCANS]
    settings = dataclasses.replace(SETTINGS, labelled_batch=labelled, unlabelled_batch=unlabelled)
    stream = patch_batches(cache, uids[:3], uids[3:], settings=settings, seed=0)
    assert len(stream) == 2**31 - 1
    assert [len(next(iter(part.values()))) for part in stream[2**31 - 2].values()] == [
        rows for rows in (labelled, unlabelled) if rows
    ]


def test_rows_are_named(tmp_path):
    """Each scan is of one value, which every window of it shows."""
    scans = Scans(
        dataclasses.replace(scan, hu=np.full_like(scan.hu, number), lungs=np.ones_like(scan.lungs))
        for number, scan in enumerate(SCANS)
    )
    cache = build_crop_cache(scans, tmp_path, fingerprint="f", mask_lungs=False)
    uids, settings = list(cache.metadata), dataclasses.replace(SETTINGS, unlabelled_batch=3)
    stream = patch_batches(cache, uids[:3], uids[3:], settings=settings, seed=4)
    for position in (0, 1, 7):
        shown = {name: [int(window.max()) for window in part["window_hu"]] for name, part in stream[position].items()}
        named = batch_rows(uids[:3], uids[3:], position, settings=settings, seed=4)
        assert shown == {name: [uids.index(uid) for uid in rows] for name, rows in named.items()}


def test_a_damaged_scan_stops_the_stream_with_its_name(tmp_path):
    cache = build_crop_cache(SCANS, tmp_path, fingerprint="f", mask_lungs=True)
    with (directory_of(cache) / "1.2.4" / "hu.int16").open("r+b") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"1\.2\.4/hu\.int16: damaged"):
        for _, _ in zip(range(9), batches(cache).to_iter_dataset(), strict=False):
            pass


def test_rows_of_a_batch_and_batches_differ(cache):
    stream = batches(cache)
    windows = [window.tobytes() for position in range(4) for window in stream[position]["labelled"]["window_hu"]]
    assert len(set(windows)) == len(windows)


def test_the_stream_resumes_where_it_was(cache):
    first = iter(batches(cache).to_iter_dataset())
    for _ in range(5):
        next(first)
    state, expected = first.get_state(), flat(next(first))
    second = iter(batches(cache).to_iter_dataset())
    second.set_state(state)
    np.testing.assert_array_equal(flat(next(second)), expected)


def test_candidates_change_unlabelled_patches_from_their_batch_on(cache):
    settings = dataclasses.replace(SETTINGS, candidate_share=1.0, scale_range=(1.0, 1.0))
    search = Searched(2, {"1.2.2": np.array([[6.0, 6.0, 6.0]])}, {})
    plain, with_mined = (
        patch_batches(cache, ["1.2.0", "1.2.1"], ["1.2.2", "1.2.3"], settings=settings, seed=3, searches=each)
        for each in ((), (search,))
    )
    for place in range(6):
        names = batch_rows(["1.2.0", "1.2.1"], ["1.2.2", "1.2.3"], place, settings=settings, seed=3)["unlabelled"]
        a, b = plain[place], with_mined[place]
        np.testing.assert_array_equal(a["labelled"]["window_hu"], b["labelled"]["window_hu"])
        for row, name in enumerate(names):
            same = np.array_equal(a["unlabelled"]["window_hu"][row], b["unlabelled"]["window_hu"][row])
            assert same == (place < 2 or name != "1.2.2")


def test_boxes_of_the_newest_search_stand_for_labels(cache):
    settings = dataclasses.replace(SETTINGS, unlabelled_batch=2)
    box, nobody = np.array([[6.0, 6.0, 6.0, 99.0, 99.0, 99.0]]), np.zeros((0, 6))  # every patch touches it
    searches = (
        Searched(1, {}, {"1.2.2": PseudoBoxes(box, nobody)}),
        Searched(3, {}, {"1.2.2": PseudoBoxes(nobody, box), "1.2.3": PseudoBoxes(box, nobody)}),
    )
    stream = patch_batches(
        cache,
        ["1.2.0"],
        ["1.2.2", "1.2.3"],
        settings=settings,
        seed=3,
        searches=searches,
        keep_hidden_boxes=True,
        with_pseudo_boxes=True,
    )
    seen = {}
    for place in range(9):
        names = batch_rows(["1.2.0"], ["1.2.2", "1.2.3"], place, settings=settings, seed=3)["unlabelled"]
        rows = stream[place]["unlabelled"]
        assert "doubtful" not in stream[place]["labelled"]
        for name, valid, doubtful in zip(names, rows["valid"], rows["doubtful"], strict=True):
            before = seen.setdefault((name, 0 if place < 1 else 1 if place < 3 else 2), set())
            before |= {("found", int(valid.sum())), ("doubtful", int(doubtful.sum()))}
    nothing = {("found", 0), ("doubtful", 0)}
    assert seen["1.2.2", 0] == seen["1.2.3", 0] == seen["1.2.3", 1] == nothing
    assert seen["1.2.2", 1] == seen["1.2.3", 2] == {("found", 1), ("doubtful", 0)}
    assert seen["1.2.2", 2] == {("found", 0), ("doubtful", 1)}


def test_a_supervised_stream_has_labelled_patches_only_and_the_same_ones(cache):
    both, supervised = batches(cache)[4], batches(cache, unlabelled_batch=0)[4]
    assert list(supervised) == ["labelled"]
    np.testing.assert_array_equal(flat(supervised), flat({"labelled": both["labelled"]}))


def test_the_two_batches_may_differ_in_size(cache):
    batch = batches(cache, unlabelled_batch=5)[1]
    assert [len(part["scale"]) for part in batch.values()] == [2, 5]


def test_hidden_labels_choose_no_crop(cache):
    class Relabelled(CropCache):
        """The same scans, all of them with nodules elsewhere."""

        def scan(self, series_uid):
            boxes = np.array([[5, 5, 5, 3, 3, 3], [6, 7, 18, 3, 3, 3]], np.float32)
            return dataclasses.replace(cache.scan(series_uid), boxes_zyxdhw_voxel=boxes)

    plain, other = batches(cache), batches(Relabelled(cache.metadata_of))
    for position in range(3):
        np.testing.assert_array_equal(*(flat({"unlabelled": each[position]["unlabelled"]}) for each in (plain, other)))
        assert not np.array_equal(*(flat({"labelled": each[position]["labelled"]}) for each in (plain, other)))


def test_every_labelled_scan_is_seen_equally_often(cache):
    # A scan is recognised by whether it has a nodule: of the three labelled ones, only 1.2.1 does.
    always = dataclasses.replace(SETTINGS, labelled_batch=3, unlabelled_batch=0, nodule_share=1.0, jitter=0)
    uids = [scan.series_uid for scan in SCANS[:3]]
    stream = patch_batches(cache, uids, (), settings=always, seed=0)
    for position in range(5):
        assert stream[position]["labelled"]["valid"].any(1).sum() == 1
