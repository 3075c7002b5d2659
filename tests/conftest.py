"""What every test stands on: the CPU, no clock, and real reference files where they are at hand."""

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real reference data kept beside the repository; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs ../shared/data (real reference files), which is not part of the repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def evaluation():
    """Makes what a method gave to 40 test and 30 validation slides, out of the air; `changes` are fields set after."""
    from dataclasses import replace

    from medssl_jax.losses.sos import switches
    from medssl_jax.metrics.switching import MeanSeconds, switched_classes
    from medssl_jax.runs.sos_evaluation import Evaluation, Probabilities

    def make(name, *, rule="confidence", seed=0, c=0.9, sharpness=6.0, **changes):
        rng = np.random.default_rng((seed, *name.encode()))

        def networks(slides):
            label = np.random.default_rng(slides).integers(0, 4, slides)

            def network():
                logits = rng.normal(size=(slides, 4)) + sharpness * rng.random((slides, 1)) * np.eye(4)[label]
                return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)

            return Probabilities(label, network(), network() if rule != "low" else None)

        test, validation = networks(40), networks(30)
        sent = {"low": np.zeros(40, bool), "high": np.ones(40, bool), "confidence": switches(test.low, c)}.get(
            rule, rng.random(40) < 0.5
        )
        predicted = test.low.argmax(axis=1) if test.high is None else switched_classes(test.low, test.high, sent)
        high_part = float(rng.uniform(5, 9)) if sent.any() else float("nan")
        made = Evaluation(
            name=name,
            seed=seed,
            rule=rule,
            c=c,
            names=tuple(f"slide{place}" for place in range(40)),
            predicted=predicted,
            sent=sent,
            test=test,
            validation=validation,
            prepared_seconds=MeanSeconds(float(rng.uniform(0.5, 1)), high_part),
            raw_seconds=MeanSeconds(float(rng.uniform(2, 3)), 2 * high_part),
            parameters=1000,
            peak_memory_bytes=10_000_000 * (1 + seed),
            slide_batch=4,
            patch_batch=16,
        )
        return replace(made, **changes)

    return make
