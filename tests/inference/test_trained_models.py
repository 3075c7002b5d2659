"""Trained models come back from their checkpoints without the commands that trained them."""

import json
import subprocess
import sys

import pytest

from data_builders.lks.lks_files import CLASSES
from experiments.configs import phantom, phantom_sos
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.data.slides.slide_appearance import Appearance, AppearanceStatistics
from medssl_jax.inference import load_detector, load_slide_classifier
from medssl_jax.inference.trained_classifier import UNIT_INTENSITIES, TrainingSlides
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.load_run import MEASURED

SLIDES = TrainingSlides(CLASSES, UNIT_INTENSITIES, AppearanceStatistics.of([Appearance(0.5, 0.5)]))
IN_A_PROCESS_WITHOUT_COMMANDS = """
import sys
sys.modules["experiments"] = sys.modules["data_builders"] = None
import numpy as np
from medssl_jax.data.scans.preparation import PreparedScan
from medssl_jax.imaging.geometry import Grid
from medssl_jax.inference import load_detector, load_slide_classifier

detector, classifier = load_detector(sys.argv[1]), load_slide_classifier(sys.argv[2])
hu = np.random.default_rng(0).integers(-1000, 100, (16, 16, 16)).astype(np.int16)
grid = Grid(hu.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
scan = PreparedScan("scan", 0, hu, np.ones(hu.shape, np.uint8), np.zeros((0, 6), np.float32), grid, (1.0, 1.0, 1.0))
marks = detector(scan)
print(len(marks), detector.step, detector.mask_lungs, *classifier.training_slides.classes)
"""


@pytest.fixture(scope="module")
def detector_run(tmp_path_factory):
    config = phantom.get_config()
    config.patches.side, config.patches.jitter = 16, 0
    config.model.features, config.model.blocks, config.model.pyramid_features = (4, 4), (1, 1), 8
    config.model.stem_features, config.model.head_depth = 0, 0
    config.anchors.strides, config.anchors.sides_mm, config.model.prior = (4,), ((4.5,),), 0.5
    config.inference.update({"marks": 6, "overlap": 0})
    return saved(tmp_path_factory.mktemp("detector"), FocalMixConfig, config, {})


@pytest.fixture(scope="module")
def classifier_run(tmp_path_factory):
    config = phantom_sos.get_config()
    for name in ("low", "high", "policy"):
        config.model[f"{name}_features"], config.model[f"{name}_blocks"] = (4,), (0,)
    return saved(tmp_path_factory.mktemp("classifier"), SosConfig, config, SLIDES.for_checkpoint())


def saved(folder, kind, config, measured):
    """The folder of a run of no steps."""
    return saved_as(folder, json.loads(config.to_json()) | {MEASURED: measured}, settings_from(kind, config), measured)


def saved_as(folder, config, settings, measured):
    checkpoints = Checkpoints(folder / "checkpoints", config=config)
    checkpoints.save(settings.fresh_state(measured), {})
    checkpoints.close()
    return folder


def config_and_settings(run, kind):
    """A copy of the config that a run keeps, and what it says."""
    checkpoints = Checkpoints(run / "checkpoints")
    config = checkpoints.config()
    checkpoints.close()
    return config, settings_from(kind, {name: value for name, value in config.items() if name != MEASURED})


def test_neither_needs_the_commands_or_the_builders(detector_run, classifier_run):
    command = [sys.executable, "-c", IN_A_PROCESS_WITHOUT_COMMANDS, str(detector_run), str(classifier_run)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["6", "0", "True", *CLASSES]


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("model.depth", r"config field model\.depth: the config has no such field"),
        ("ssl.judge_guesses", None),  # of a section that a detector does not need
        ("inference.whole_scan", "was removed, with whole-scan inference"),
    ],
)
def test_a_config_of_another_version_is_refused_where_it_matters(detector_run, tmp_path, field, told):
    config, settings = config_and_settings(detector_run, FocalMixConfig)
    section, name = field.split(".")
    config[section][name] = 1
    saved_as(tmp_path, config, settings, {})
    if told is None:
        assert load_detector(tmp_path).step == 0
    else:
        with pytest.raises(InputError, match=told):
            load_detector(tmp_path)


def test_a_classifier_whose_classes_are_not_kept_is_of_another_version(classifier_run, tmp_path):
    config, settings = config_and_settings(classifier_run, SosConfig)
    del config[MEASURED]["classes"]
    saved_as(tmp_path, config, settings, SLIDES.for_checkpoint())
    with pytest.raises(InputError, match=r"a run of another version, .*'classes' is absent.*: use the version that"):
        load_slide_classifier(tmp_path)
