"""Every config of FocalMix is sound before anything is computed, and its phantom can be split as it says."""

import pytest

from experiments import command
from medssl_jax.data.splits import draw_split
from medssl_jax.focalmix_run import check_config
from medssl_jax.phantoms.luna16 import Luna16Phantom

CONFIGS = {
    path.stem: command.load_config(str(path))
    for path in sorted((command.EXPERIMENTS / "configs").glob("*.py"))
    if not path.stem.startswith("_")
}
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
    split = draw_split(
        subset_of,
        train_subsets=config.split.train_subsets,
        test_subsets=config.split.test_subsets,
        labelled=None if config.split.labelled < 0 else config.split.labelled,
        unlabelled=config.split.unlabelled,
        seed=config.split.seed,
    )
    assert len(split.unlabelled) == config.split.unlabelled
    assert split.test
