"""The platform that networks are traced for."""

import contextlib

from medssl_jax.models.target import compiled_for, target_platform


def test_networks_are_traced_for_the_platform_that_is_asked_for_and_then_for_the_one_before():
    assert target_platform() == "cpu"
    with compiled_for("tpu"):
        assert target_platform() == "tpu"
        with contextlib.suppress(KeyError), compiled_for("gpu"):
            assert target_platform() == "gpu"
            raise KeyError
        assert target_platform() == "tpu"
    assert target_platform() == "cpu"
