"""The lines that a run starts with, on the settings whose failings were measured."""

import numpy as np
import pytest

from experiments.configs import luna_25, phantom, phantom_table
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.guard import guard_lines, unlabelled_shares, views_of_a_nodule
from medssl_jax.core.settings import settings_from
from medssl_jax.data.scans.crop_cache import CachedScan
from medssl_jax.data.scans.exposure import NoduleChances
from medssl_jax.data.splits import Split
from medssl_jax.imaging.geometry import Grid


def settings_of(module, **changes):
    config = module.get_config()
    config.update_from_flattened_dict(changes)
    return settings_from(FocalMixConfig, config)


def numbered(count):
    return tuple(map(str, range(count)))


def test_shares_by_plain_sums():
    settings = settings_of(phantom, steps=200)  # nothing for 60 steps, then a ramp of 40
    ramp = np.clip((np.arange(200) - 59) / 40, 0, 1)
    warmup = 10
    rate = np.array([t / warmup if t < warmup else (1 + np.cos(np.pi * (t - warmup) / 190)) / 2 for t in range(200)])
    assert unlabelled_shares(settings) == pytest.approx((ramp.mean(), (ramp * rate).sum() / rate.sum()), rel=1e-5)
    assert unlabelled_shares(settings_of(phantom, steps=200, **{"ssl.weight": 0.25})) == pytest.approx(
        unlabelled_shares(settings)
    )


def test_what_the_audit_found_by_hand():
    """Of the phantom's table: the unlabelled count in 60 % of the steps and 33 % of the rate; of luna_25, in 89 %."""
    assert unlabelled_shares(settings_of(phantom_table)) == pytest.approx((0.60, 0.33), abs=0.005)
    assert unlabelled_shares(settings_of(luna_25))[1] == pytest.approx(0.89, abs=0.03)


def test_views_by_hand():
    settings = settings_of(phantom_table)
    chances = NoduleChances(uniform=0.1, labelled=0.3, unlabelled=0.1, patches_with_nodule=0.2)
    views = views_of_a_nodule(settings, chances, Split(numbered(10), numbered(160), ("t",)))
    assert views.labelled == pytest.approx(1500 * 4 * 0.3 / 10)
    assert views.all_labelled == pytest.approx(1500 * 4 * 0.3 / 170)
    assert views.hidden == pytest.approx(0.6 * 1500 * 4 * 0.1 / 160, rel=0.01)


def test_the_lines():
    shape = (64, 64, 64)
    scan = CachedScan(
        series_uid="made",
        subset=0,
        grid=Grid(shape, (1.0, 1.0, 1.0)),
        boxes_zyxdhw_voxel=np.array([[32, 32, 32, 6, 6, 6]], np.float32),
        hu_zyx=np.zeros(shape, np.int16),
        lungs_zyx=np.ones(shape, np.uint8),
        places_zyx=np.argwhere(np.ones((16, 16, 16))).astype(np.int16) * 4 + 2,
    )
    split = Split(numbered(10), numbered(160), ("t",))
    lines = guard_lines(settings_of(phantom_table), [scan], split)
    assert lines[0].startswith("views of a nodule in this run: about ")
    assert "of the unlabelled patches hold a nodule" in lines[1]
    assert lines[2] == "unlabelled patches count in 60% of the steps and 33% of the learning rate's sum"
    assert "0.5 (sharpening) stands for 0.25, mixup.object_score 0.9 stands for" in lines[3]
    sure = guard_lines(settings_of(phantom_table, **{"ssl.targets": "sure"}), [scan], split)[3]
    assert "ssl.sure_positive_from 0.3 stands for" in sure
    assert "sharpening" not in sure
    assert len(guard_lines(settings_of(phantom_table, **{"ssl.targets": "truth"}), [], split)) == 1
    empty = {"ssl.targets": "background", "split.unlabelled": 0, "split.unlabelled_extra": -1}
    (line,) = guard_lines(settings_of(phantom_table, **empty), [scan], split)  # there is no hidden nodule
    assert line.startswith("unlabelled patches count")
