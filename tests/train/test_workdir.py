"""A run's folder keeps to one config and one set of scans."""

import pytest

from experiments.configs import phantom
from medssl_jax.errors import InputError
from medssl_jax.train.workdir import claim_workdir, record_split


def config_with(**changes):
    config = phantom.get_config()
    config.update_from_flattened_dict(changes)
    return config


def test_the_same_config_may_go_on(tmp_path):
    claim_workdir(tmp_path / "run", config_with())
    claim_workdir(tmp_path / "run", config_with())


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", 5), ("loss.gamma", 1.5), ("data.mask_lungs", False), ("data.phantom.seed", 9), ("patches.side", 64)],
)
def test_another_config_is_refused_by_field(tmp_path, field, value):
    claim_workdir(tmp_path, config_with())
    with pytest.raises(InputError, match=f"started with {field} = .*, now it is {value}"):
        claim_workdir(tmp_path, config_with(**{field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logging.log_every", 10),
        ("inference.overlap", 8),
        ("data.cache_dir", "elsewhere"),
        ("patches.loader_threads", 1),
    ],
)
def test_what_does_not_change_what_is_learnt_may_change(tmp_path, field, value):
    claim_workdir(tmp_path, config_with())
    claim_workdir(tmp_path, config_with(**{field: value}))


def test_other_scans_are_refused(tmp_path):
    record_split(tmp_path, {"test": ["a"], "data_fingerprint": "x"})
    record_split(tmp_path, {"test": ["a"], "data_fingerprint": "x"})
    with pytest.raises(InputError, match="started with other scans"):
        record_split(tmp_path, {"test": ["a"], "data_fingerprint": "y"})


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used as the output folder"):
        claim_workdir(tmp_path / "file" / "run", config_with())
