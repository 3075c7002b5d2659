"""What a search leaves: how many marks count, and how right they are where labels are known."""

from types import SimpleNamespace

import numpy as np

from experiments.configs import phantom
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.searches import searched
from medssl_jax.core.settings import settings_from
from medssl_jax.data.scans.crop_cache import CropCache
from medssl_jax.data.splits import Split
from medssl_jax.imaging.geometry import Grid
from medssl_jax.imaging.submission import Marks

GRID = Grid((40, 40, 40), (1.0, 1.0, 1.0))


class Cache(CropCache):
    """Three nodules in the rich scan, two in the labelled, one in each of the others, about their middles."""

    def __init__(self):
        super().__init__({})

    def scan(self, series_uid):
        box = [[20.0, 20.0, 20.0, 6.0, 6.0, 6.0]]
        return SimpleNamespace(
            grid=GRID, boxes_zyxdhw_voxel=np.array(box * {"rich": 3, "labelled": 2}.get(series_uid, 1))
        )


def search(capsys, targets, labelled=("labelled",)):
    config = phantom.get_config()
    config.ssl.update(targets=targets, marks_found_share=0.5, marks_doubtful_share=0.75)
    centres = np.array([[20, 20, 22.9], [5, 5, 5], [20, 23.1, 20], [30, 5, 5]], float)  # x y z; the radius is 3
    marks = Marks(("a", "a", "b", "b"), centres, np.array([0.9, 0.8, 0.7, 0.1]), np.full(4, 6.0))
    split = Split(labelled=labelled, unlabelled=("a", "b"), test=("c",))
    return searched(settings_from(FocalMixConfig, config), Cache(), split, 7, marks), capsys.readouterr().out


def test_marks_count_by_the_nodules_that_labelled_scans_let_expect(capsys):
    found, said = search(capsys, "marks")
    assert found.batch == 7
    assert {uid: tuple(map(len, boxes)) for uid, boxes in found.pseudo_boxes.items()} == {"a": (2, 0), "b": (0, 1)}
    assert "2 marks count as nodules and 1 as doubtful, where 4 nodules are expected in 2 unlabelled scans" in said
    # One of the two marks of `a` is right; the mark of `b` just misses its nodule, which is background then.
    assert "of those counted as nodules 50% are; of 2 hidden nodules 50% count as background" in said


def test_the_expectation_says_how_far_off_few_labelled_scans_may_be(capsys):
    _, said = search(capsys, "marks", labelled=("rich", "poor"))
    # Both scans may be rich ones in a quarter of the resamples, and both poor in another.
    assert "4 nodules are expected in 2 unlabelled scans (95 %: 2 to 6, by 4 nodules in 2 labelled scans)" in said


def test_without_marks_as_labels_there_are_places_alone(capsys):
    found, said = search(capsys, "pseudo")
    assert said == ""
    assert not found.pseudo_boxes
    assert {uid: len(places) for uid, places in found.candidates.items()} == {"a": 2, "b": 2}
