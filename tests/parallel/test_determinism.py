"""The flag that a GPU needs, its refusals, and that our own steps need none of what it refuses or makes slow."""

import functools
import os
import subprocess
import sys
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from data_builders.lks.lks_files import CLASSES
from experiments.configs import phantom, phantom_rdms, phantom_sos
from experiments.runs.focalmix import focalmix_job
from experiments.runs.focalmix.focalmix_config import FocalMixConfig
from experiments.runs.sos.sos_config import SosConfig
from medssl_jax.core.errors import InputError
from medssl_jax.core.settings import settings_from
from medssl_jax.data.slides.slide_appearance import Appearance, AppearanceStatistics
from medssl_jax.inference.trained_classifier import UNIT_INTENSITIES, TrainingSlides
from medssl_jax.parallel.determinism import is_deterministic, make_deterministic, refusals_explained
from medssl_jax.steps.sos_step import sos_step


def test_set_before_jax_starts_it_reaches_xla_beside_other_flags():
    script = (
        "import os; from medssl_jax.parallel.determinism import make_deterministic; make_deterministic();"
        "make_deterministic(); import jax; print(jax.device_count(), os.environ['XLA_FLAGS'])"
    )
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "--xla_force_host_platform_device_count=2", "--xla_gpu_deterministic_ops=true"]


def test_too_late(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    jax.devices()
    with pytest.raises(InputError, match="--deterministic comes too late"):
        make_deterministic()
    assert "XLA_FLAGS" not in os.environ


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", False),
        ("--xla_gpu_deterministic_ops", True),
        ("--xla_a=1 --xla_gpu_deterministic_ops=true", True),
        ("--xla_gpu_deterministic_ops=True", True),
        ("--xla_gpu_deterministic_ops=false", False),
        ("--xla_gpu_deterministic_ops=true --xla_gpu_deterministic_ops=0", False),
        ("--xla_gpu_deterministic_ops_of_another_kind=true", False),
    ],
)
def test_what_the_flags_say(monkeypatch, flags, expected):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert is_deterministic() is expected


def test_flags_that_say_the_opposite(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=false")
    with pytest.raises(InputError, match="XLA_FLAGS has --xla_gpu_deterministic_ops=false, expected"):
        make_deterministic()


def test_a_refusal_names_the_operation():
    refusal = (
        "UNIMPLEMENTED: HLO instruction select-and-scatter.401.0 does not have a deterministic implementation, but "
        "run-to-run determinism is required by --xla_gpu_deterministic_ops."
    )
    with pytest.raises(InputError, match=r"select-and-scatter\.401\.0 has no deterministic"), refusals_explained():
        raise jax.errors.JaxRuntimeError(refusal)
    with pytest.raises(jax.errors.JaxRuntimeError), refusals_explained():
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")


def operations(jaxpr) -> Iterator:
    """All operations of a program, those of its loops and branches included."""
    for operation in jaxpr.eqns:
        yield operation
        for inner in jaxprs_in_params(operation.params):
            yield from operations(inner)


def without_fixed_order(function, *arguments) -> set[str]:
    """What adds up or writes in whatever order a GPU comes to it."""
    scattering = [
        each for each in operations(jax.make_jaxpr(function)(*arguments).jaxpr) if "scatter" in str(each.primitive)
    ]
    return {str(each.primitive) for each in scattering if not each.params.get("unique_indices")}


def test_the_search_finds_what_it_is_for():
    x = jnp.ones((8, 8))
    places = jnp.array([1, 1])

    def pooled(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2, 2), (2, 2), "VALID").sum()

    assert without_fixed_order(jax.grad(pooled), x) == {"select_and_scatter_add"}
    assert without_fixed_order(jax.grad(lambda x: x[places].sum()), x) == {"scatter-add"}
    looped = jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda i, x: x.at[places].add(1.0), x))
    assert without_fixed_order(looped, x) == {"scatter-add"}
    assert without_fixed_order(lambda x: x.at[jnp.array([0, 1])].add(1.0, unique_indices=True), x) == set()


def test_the_focalmix_step_needs_nothing_of_that_kind():
    config = phantom.get_config()
    settings = settings_from(FocalMixConfig, config)
    _, step, state, batch = focalmix_job.abstract_training(settings, jax.devices()[:1])
    assert without_fixed_order(step, state, batch) == set()


@pytest.mark.parametrize("config", [phantom_sos.get_config(), phantom_rdms.get_config()], ids=["sos", "rdms"])
def test_the_sos_step_needs_nothing_of_that_kind(config):
    settings = settings_from(SosConfig, config)
    step = functools.partial(
        sos_step,
        networks=settings.networks(UNIT_INTENSITIES, classes=4),
        optimiser=settings.make_optimiser(),
        settings=settings.step_settings,
    )
    side, patch_side = settings.data.layout.low_side, settings.data.patch_side
    batch = {
        "low_resolution": jax.ShapeDtypeStruct((2, side, side), jnp.uint8),
        "label": jax.ShapeDtypeStruct((2,), jnp.int32),
        "patches": jax.ShapeDtypeStruct((2, 20, patch_side, patch_side), jnp.uint8),
        "mask": jax.ShapeDtypeStruct((2, 20), bool),
    }
    measured = TrainingSlides(CLASSES, UNIT_INTENSITIES, AppearanceStatistics.of([Appearance(0.5, 0.5)]))
    state = jax.eval_shape(functools.partial(settings.fresh_state, measured.for_checkpoint()))
    assert without_fixed_order(step, state, batch) == set()
