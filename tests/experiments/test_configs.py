"""Every config is sound before anything is computed, and its phantom can be made and split as it says."""

import pytest

from experiments import command
from experiments.runs import slides as slides_run
from experiments.runs import sos as sos_run
from experiments.runs.focalmix import check_config
from medssl_jax.data.scan_metadata import ScanMetadata
from medssl_jax.data.splits import draw_split, draw_stratified
from medssl_jax.phantoms.luna16 import Luna16Phantom
from medssl_jax.phantoms.slides.roster import plan_slides

CONFIGS = {
    path.stem: command.load_config(str(path))
    for path in sorted((command.EXPERIMENTS / "configs").glob("*.py"))
    if not path.stem.startswith("_")
}
SOS = {name: config for name, config in CONFIGS.items() if "method" in config}
FOCALMIX = {name: config for name, config in CONFIGS.items() if "anchors" in config}
LUNA16_SUBSET_SIZES = (89,) * 8 + (88,) * 2


def test_there_is_a_supervised_twin_of_each():
    twins = {name for name in FOCALMIX if f"{name}_supervised" in FOCALMIX}
    assert {"luna_25", "luna_50", "luna_100", "phantom", "phantom_table"} <= twins


@pytest.mark.parametrize("name", FOCALMIX)
def test_settings_are_sound(name):
    check_config(FOCALMIX[name])


@pytest.mark.parametrize("name", FOCALMIX)
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
    if "extra" in config.data or config.data.data_set == "folder":
        scans |= {f"nlst.{index}": ScanMetadata(-1, "", False, (1, 1, 1)) for index in range(3000)}
    split = draw_split(
        scans,
        train_subsets=config.split.train_subsets,
        test_subsets=config.split.test_subsets,
        labelled=None if config.split.labelled < 0 else config.split.labelled,
        unlabelled=config.split.unlabelled,
        unlabelled_extra=None if config.split.unlabelled_extra < 0 else config.split.unlabelled_extra,
        seed=config.split.seed,
    )
    assert len(split.unlabelled) == (config.split.unlabelled or (abs(config.split.unlabelled_extra) and 3000))
    assert split.test


def test_every_config_is_one_of_the_two_methods():
    assert FOCALMIX.keys() | SOS.keys() == CONFIGS.keys()
    assert not FOCALMIX.keys() & SOS.keys()


@pytest.mark.parametrize("name", SOS)
def test_settings_of_sos_are_sound(name):
    config = SOS[name]
    sos_run.check_config(config)
    config.model.update(intensity_mean=0.1, intensity_deviation=0.1)
    networks = sos_run.networks_of(config)
    assert (networks.lrn is not None, networks.hrn is not None) == (config.method.use_low, config.method.use_high)


@pytest.mark.parametrize("size", ["lks", "phantom"])
def test_the_methods_are_those_of_the_paper_and_the_cascade(size):
    names = {config.method.name for name, config in SOS.items() if name.startswith(size)}
    assert names == {"Image-Level", "Patch-Level", "Multi-Scale", "RDMS", "SOS", "Cascade"}


def test_phantom_methods_see_the_same_slides_of_every_class():
    first, *others = (config.data for name, config in SOS.items() if name.startswith("phantom"))
    assert all(other == first for other in others)
    slides = plan_slides(slides_run.phantom_of(first))
    labels = [slide.label for slide in slides if slide.split == "train"]
    _, validation = draw_stratified([sorted(set(labels)).index(label) for label in labels], 0.15, 0)
    assert len({labels[position] for position in validation}) == 4
    assert any(slide.fine_only for slide in slides if slide.split == "test")
