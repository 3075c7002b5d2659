"""What tests of training steps share."""

import jax
import pytest


@pytest.hookimpl(tryfirst=True)  # before fixtures, whatever their scope
def pytest_runtest_setup(item: pytest.Item) -> None:
    """XLA optimises for slow tests only: what a quick one compiles runs a few times, and compiling is its time."""
    jax.config.update("jax_disable_most_optimizations", item.get_closest_marker("slow") is None)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Tests of other folders are compiled as they were."""
    jax.config.update("jax_disable_most_optimizations", False)
