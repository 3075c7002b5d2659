"""The whole line in small: painted nodules are learnt and found; pseudo-labels neither die out nor explode."""

import json

import numpy as np
import pytest

from experiments.configs import phantom
from experiments.runs.focalmix import focalmix_job
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.operating_points import write_operating_points
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.data.scans.crop_cache import build_crop_cache
from medssl_jax.data.scans.preparation import PreparedScan
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.data.splits import Split, as_json
from medssl_jax.imaging.geometry import Grid, voxel_zyx_to_world_xyz_mm
from medssl_jax.imaging.luna16_csv import Findings
from medssl_jax.imaging.submission import Marks
from medssl_jax.inference.trained_detector import load_detector
from medssl_jax.metrics.nodules.froc import score
from medssl_jax.run_folder.load_run import load_run
from medssl_jax.run_folder.tensor_hashes import tensor_hashes
from medssl_jax.run_folder.workdir import record_split

SHAPE = (40, 48, 56)


def scan_with_balls(number):
    """Two or three balls in noisy lung; the grid is shifted, so that world and voxel differ."""
    rng = np.random.default_rng(number)
    hu = rng.normal(-850, 30, SHAPE)
    places = np.indices(SHAPE)
    boxes: list[list[float]] = []
    while len(boxes) < 2 + number % 2:
        diameter, centre = rng.uniform(6, 12), rng.uniform(8, np.array(SHAPE) - 8)
        if all(np.abs(centre - box[:3]).max() > 14 for box in boxes):
            boxes.append([*centre, diameter, diameter, diameter])
            distance = np.sqrt(((places - centre[:, None, None, None]) ** 2).sum(0))
            hu += 880 * np.clip(diameter / 2 - distance + 0.5, 0, 1)
    return PreparedScan(
        series_uid=f"1.2.{number}",
        subset=number % 10,
        hu=hu.astype(np.int16),
        lungs=np.ones(SHAPE, np.uint8),
        boxes_zyxdhw_voxel=np.array(boxes, np.float32),
        grid=Grid(SHAPE, (1.0, 1.0, 1.0), (-31.5, 12.25, -700.0)),
        source_spacing_zyx_mm=(1.0, 1.0, 1.0),
    )


class Scans(list):
    """A source in memory."""

    @property
    def metadata(self):
        return {s.series_uid: ScanMetadata(s.subset, s.patient, s.is_labelled, s.grid.size_zyx) for s in list(self)}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    scans = Scans(scan_with_balls(number) for number in range(20))
    return build_crop_cache(scans, tmp_path_factory.mktemp("cache"), fingerprint="balls", mask_lungs=True)


def config_with(**changes):
    config = phantom.get_config()
    config.update_from_flattened_dict(
        {
            "patches.side": 32,
            "patches.jitter": 10,
            "patches.labelled_batch": 4,
            "model.features": (8, 16, 32),
            "model.blocks": (1, 1, 1),
            "model.pyramid_features": 16,
            "anchors.strides": (4, 8),
            "anchors.sides_mm": ((4.5, 7.0, 10.0), (14.0,)),
            "inference.overlap": 8,
            "optimiser.learning_rate": 3e-3,
            "logging.log_every": 20,
            "logging.save_every": 1000,
        }
        | changes
    )
    return config


def cpm(config, cache, split, workdir):
    state = focalmix_job.train_focalmix(config, cache, split, workdir)
    detector = settings_from(FocalMixConfig, config).sliding_detector()
    marks = focalmix_job.find_marks(detector, state.params_to_evaluate, cache, split.test)
    return score(marks, truth_of(cache, split.test), None, split.test, bootstraps=20).cpm


def truth_of(cache, series_uids):
    uids, centres, diameters = [], [], []
    for uid in series_uids:
        scan = cache.scan(uid)
        uids += [uid] * len(scan.boxes_zyxdhw_voxel)
        centres.append(voxel_zyx_to_world_xyz_mm(scan.boxes_zyxdhw_voxel[:, :3].astype(float), scan.grid))
        diameters.append(scan.boxes_zyxdhw_voxel[:, 3].astype(float))
    return Findings(tuple(uids), np.concatenate(centres), np.concatenate(diameters))


def metrics_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def uids(*numbers):
    return tuple(f"1.2.{number}" for number in numbers)


def test_supervised_training_finds_the_balls(cache, tmp_path):
    apart = uids(*range(8, 12))
    split = Split(labelled=uids(*range(8)), unlabelled=(), test=uids(*range(14, 20)), validation=apart)
    validated = {
        **{"split.validation": 4, "validation.every": 20, "logging.save_every": 20, "score.checkpoint": "best"},
        "data.data_set": "folder",  # whose nodules are those of the scans themselves
    }
    config = config_with(**{"steps": 80, "split.unlabelled": 0, "patches.unlabelled_batch": 0} | validated)
    assert cpm(config, cache, split, tmp_path) > 0.8
    of_step = {line["step"]: line.get("validation_cpm") for line in metrics_of(tmp_path)}
    assert list(of_step) == [20, 40, 60, 80]
    best = max(of_step, key=of_step.get)
    assert of_step[best] > 0.7
    settings = settings_from(FocalMixConfig, config)
    state = load_run(tmp_path / "best", FocalMixConfig).state
    assert load_detector(tmp_path).step == int(state.step) == best
    marks = focalmix_job.marker(settings, cache, apart)(state)
    truth = truth_of(cache, apart)
    assert score(marks, truth, None, apart, bootstraps=1).cpm == of_step[best]
    record_split(tmp_path, as_json(split))
    written = write_operating_points(settings, cache, split, tmp_path, marks, step=best)
    points = load_detector(tmp_path).experience.points
    assert points == written
    assert (points.step, points.scans, points.nodules) == (best, len(apart), len(truth))
    for point in points.points:  # the marks of that score and above, scored anew
        kept = [k for k, score_of in enumerate(marks.score) if score_of >= point.threshold]
        rows = Marks(tuple(marks.series_uid[k] for k in kept), marks.centre_xyz_mm[kept], marks.score[kept])
        found = score(rows, truth, None, apart, bootstraps=1)
        assert found.true_positives / found.nodules == point.sensitivity
        assert found.false_positives / len(apart) == point.measured_fps_per_scan <= point.fps_per_scan
    assert load_detector(tmp_path).experience.has_seen(apart[0])


TINY = {
    **{"patches.side": 16, "patches.jitter": 4, "patches.labelled_batch": 1, "patches.unlabelled_batch": 1},
    **{"model.features": (4, 4), "model.blocks": (1, 1), "model.pyramid_features": 8, "model.prior": 0.5},
    **{"anchors.strides": (4,), "anchors.sides_mm": ((9.0,),), "ssl.views": 1, "mixup.object": False},
    **{"steps": 6, "ssl.ramp_start_share": 1 / 3, "logging.log_every": 3, "logging.save_every": 3},
    **{"patches.candidate_share": 1.0, "patches.candidates": 2, "ssl.searches": 2},
}


class Killed(BaseException):
    pass


def kill(*_):
    raise Killed


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["pseudo", "marks"])
def test_what_a_search_finds_is_learnt_however_often_a_run_is_killed(targets, cache, tmp_path, monkeypatch, capsys):
    split = Split(labelled=uids(0, 1), unlabelled=uids(2, 3), test=uids(14))
    config = config_with(**TINY, **{"ssl.targets": targets})

    def train(folder, killed_at=None):
        def watch(step, hashes):
            if step == killed_at:
                raise Killed

        return focalmix_job.train_focalmix(config, cache, split, tmp_path / folder, watch)

    whole = train("whole")
    said = capsys.readouterr().out
    assert ("from step 2 on: " in said) == ("hidden nodules" in said) == (targets == "marks")
    marks = {path.name: path.read_text() for path in (tmp_path / "whole").glob("marks_*.csv")}
    assert sorted(marks) == ["marks_2.csv", "marks_4.csv"]
    assert {line.split(",")[0] for line in marks["marks_2.csv"].splitlines()[1:]} == {*uids(2, 3)}
    with monkeypatch.context() as patch:
        patch.setattr(focalmix_job, "find_marks", kill)
        with pytest.raises(Killed):  # while it searches
            train("killed")
    with pytest.raises(Killed):
        train("killed", killed_at=3)
    with pytest.raises(Killed):
        train("killed", killed_at=6)
    again = train("killed")
    assert {path.name: path.read_text() for path in (tmp_path / "killed").glob("marks_*.csv")} == marks
    assert tensor_hashes(again) == tensor_hashes(whole)
    (tmp_path / "killed" / "marks_4.csv").unlink()
    with pytest.raises(InputError, match=r"marks_4\.csv: is not there, but the run is at step 6 and needs it from"):
        train("killed")


@pytest.mark.slow
def test_pseudo_labels_neither_collapse_nor_explode(cache, tmp_path):
    """Both collapses exist: sharpening towards background, and targets that feed on themselves."""
    split = Split(labelled=uids(*range(4)), unlabelled=uids(*range(4, 14)), test=uids(*range(14, 20)))
    config = config_with(**{"steps": 160, "patches.unlabelled_batch": 4, "ssl.ramp_start_share": 0.2})
    assert cpm(config, cache, split, tmp_path) > 0.8
    lines = metrics_of(tmp_path)
    for line in lines[-5:]:
        # An explosion, as seen once, is hundreds of positives a patch; a collapse is none.
        assert 0.2 < line["unlabelled_positive"] / line["labelled_positive"] < 5
        assert line["unlabelled_target_largest"] > 0.3
        assert line["unlabelled_target_sum"] < 10 * line["labelled_target_sum"]
