"""Every config is sound before anything is computed, and its phantom can be made and split as it says."""

import pytest

from experiments import command
from experiments.runs.focalmix.chosen import check_config
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.focalmix.scans import split_of
from experiments.runs.sos import sos_slides
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.settings import settings_from
from medssl_jax.data.scans.scan_metadata import ScanMetadata
from medssl_jax.data.splits import draw_stratified
from medssl_jax.inference.trained_classifier import UNIT_INTENSITIES
from medssl_jax.phantoms.luna16 import Luna16Phantom
from medssl_jax.phantoms.slides.roster import plan_slides

CONFIGS = {
    path.stem: command.load_config(str(path))
    for path in sorted((command.EXPERIMENTS / "configs").glob("*.py"))
    if not path.stem.startswith("_")
}
SOS = {name: config for name, config in CONFIGS.items() if config.command == SosConfig.COMMAND}
FOCALMIX = {name: config for name, config in CONFIGS.items() if config.command == FocalMixConfig.COMMAND}
LUNA16_SUBSET_SIZES = (89,) * 8 + (88,) * 2


def test_there_is_a_supervised_twin_of_each():
    twins = {name for name in FOCALMIX if f"{name}_supervised" in FOCALMIX}
    assert {"luna_25", "luna_50", "luna_100", "phantom", "real_crops"} <= twins


@pytest.mark.parametrize("name", FOCALMIX)
def test_settings_are_sound(name):
    check_config(FOCALMIX[name])


@pytest.mark.parametrize("name", [name for name in FOCALMIX if name != "own"])  # which has none until it has scans
def test_the_split_can_be_drawn(name):
    config = FOCALMIX[name]
    if "phantom" in config.data:
        spec = Luna16Phantom(**config.data.phantom)
        subset_of = {spec.series_uid(index): spec.subset(index) for index in range(spec.scans)}
    else:
        subset_of = {
            f"{subset}.{index}": subset for subset, size in enumerate(LUNA16_SUBSET_SIZES) for index in range(size)
        }
    scans = {uid: ScanMetadata(subset, "", True, (1, 1, 1)) for uid, subset in subset_of.items()}
    if "extra" in config.data:
        scans |= {f"nlst.{index}": ScanMetadata(-1, "", False, (1, 1, 1)) for index in range(3000)}
    split = split_of(settings_from(FocalMixConfig, config).split, scans)
    extra = 3000 if config.split.unlabelled_extra else 0
    if config.split.unlabelled < 0:
        in_training = sum(subset in config.split.train_subsets for subset in subset_of.values())
        assert len(split.unlabelled) == in_training - config.split.labelled
    else:
        assert len(split.unlabelled) == config.split.unlabelled + extra
    assert split.test


def test_every_config_is_one_of_the_two_methods():
    assert FOCALMIX.keys() | SOS.keys() == CONFIGS.keys()
    assert not FOCALMIX.keys() & SOS.keys()


@pytest.mark.parametrize("name", SOS)
def test_settings_of_sos_are_sound(name):
    settings = settings_from(SosConfig, SOS[name])
    networks, method = settings.networks(UNIT_INTENSITIES, classes=4), settings.method
    assert (networks.lrn is not None, networks.hrn is not None) == (method.use_low, method.use_high)


@pytest.mark.parametrize("size", ["lks", "phantom"])
def test_the_methods_are_those_of_the_paper_the_cascade_gatekeeper_and_deferral(size):
    names = {config.method.name for name, config in SOS.items() if name.startswith(size)}
    assert names == {"Image-Level", "Patch-Level", "Multi-Scale", "RDMS", "SOS", "Cascade", "Gatekeeper", "Deferral"}


def test_phantom_methods_see_the_same_slides_of_every_class():
    first, *others = (config.data for name, config in SOS.items() if name.startswith("phantom"))
    assert all(other == first for other in others)
    slides = plan_slides(sos_slides.phantom_of(settings_from(sos_slides.SlideDataSettings, first)))
    labels = [slide.label for slide in slides if slide.split == "train"]
    _, validation = draw_stratified([sorted(set(labels)).index(label) for label in labels], 0.15, 0)
    assert len({labels[position] for position in validation}) == 4
    assert any(slide.fine_only for slide in slides if slide.split == "test")
