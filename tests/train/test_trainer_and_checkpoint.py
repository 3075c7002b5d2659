"""The trainer resumes to the bit, stops at a loss that is not finite, and refuses checkpoints of another network."""

import contextlib
import gc
import json
import shutil
import subprocess
import sys

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from medssl_jax.core.errors import InputError
from medssl_jax.parallel.sharding import SINGLE_DEVICE
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.run_folder.metric_writer import MetricsWriter
from medssl_jax.run_folder.records import OpenRecords, Records
from medssl_jax.steps.rng import stream_key
from medssl_jax.steps.state import TrainState
from medssl_jax.train.preemption import Preempted
from medssl_jax.train.trainer import Batches, Schedule, Trainer
from medssl_jax.train.validation import Validation

OPTIMISER = optax.adam(0.1)


def numbers(*, break_at=None, poison_at=None):
    """Batches that are a function of their position; can be made to break off before one, or to hold no number."""

    def batch(position):
        if position == break_at:
            raise KeyboardInterrupt
        value = np.nan if position + 1 == poison_at else np.sin(position + 1)
        return {"x": np.full(3, value, np.float32)}

    rows = grain.MapDataset.range(100).map(batch)
    return Batches(rows, lambda position: {"numbers": [str(position)]}, threads=0, fetched_ahead=0)


@jax.jit
def step_function(state, batch):
    noise = jax.random.normal(stream_key(0, "noise", state.step), (3,))
    loss, gradient = jax.value_and_grad(lambda p: ((p["w"] - batch["x"] - noise) ** 2).sum())(state.params)
    return state.update(gradient, OPTIMISER, ema_decay=0.0), {"loss": (loss, jnp.ones(()))}


def fresh(size=3):
    return TrainState.create({"w": jnp.zeros(size)}, OPTIMISER, keep_ema=False)


class MetricsAndHashes(Records):
    """The records without `run.json`."""

    def open(self, devices, *, resume_step):
        return OpenRecords(self, resume_step)


def run(
    directory,
    batches=None,
    *,
    steps=12,
    size=3,
    init=None,
    step=step_function,
    stop_after=None,
    validation=None,
    **records,
):
    return Trainer(
        init_state=init or (lambda: fresh(size)),
        train_step=step,
        batches=batches or numbers(),
        sharding=SINGLE_DEVICE,
        schedule=Schedule(steps, log_every=2, save_every=4),
        checkpoints=Checkpoints(directory / "checkpoints", config={"steps": steps}),
        records=MetricsAndHashes(directory, ConfigDict({"steps": steps}), **records),
        stop=lambda: contextlib.nullcontext(lambda number: number == stop_after),
        validation=validation,
    ).train()


@pytest.mark.parametrize("break_at", [3, 4, 7, 9, 11])
def test_an_interrupted_run_ends_in_the_same_bits_and_metrics(tmp_path, break_at):
    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", numbers(break_at=break_at))
    resumed = run(tmp_path / "cut")
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    metrics = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "cut")]
    assert metrics[0] == metrics[1]
    assert [json.loads(line)["step"] for line in metrics[0].splitlines()] == [2, 4, 6, 8, 10, 12]


def with_validation(directory, measured, **options):
    """A run that measures `measured[step]` every 4 steps, and what is kept as the best."""
    validation = Validation(
        every=4,
        measure=lambda state: {"score": measured[int(state.step)], "sum": float(state.params["w"].sum())},
        metric="score",
        checkpoints=Checkpoints(directory / "best", config={}, keep=2),
    )
    run(directory, validation=validation, **options)
    return best_in(directory)


def best_in(directory):
    return Checkpoints(directory / "best").restore(jax.eval_shape(fresh))


@pytest.mark.parametrize(
    ("measured", "best_step"),
    [({4: 0.1, 8: 0.3, 12: 0.2}, 8), ({4: 0.3, 8: 0.3, 12: 0.1}, 4), ({4: 0.1, 8: 0.2, 12: 0.3}, 12)],
)
@pytest.mark.parametrize("break_at", [None, 5, 8, 11])
def test_the_best_state_is_kept_and_an_interrupted_run_keeps_the_same(tmp_path, measured, best_step, break_at):
    if break_at is not None:
        with pytest.raises(KeyboardInterrupt):
            with_validation(tmp_path, measured, batches=numbers(break_at=break_at))
    best = with_validation(tmp_path, measured)
    assert int(best.state.step) == best_step
    np.testing.assert_array_equal(best.state.params["w"], run(tmp_path / "to_it", steps=best_step).params["w"])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {line["step"]: line["score"] for line in lines if "score" in line} == measured
    assert all(("sum" in line) == (line["step"] in measured) for line in lines)


def test_a_best_state_later_than_the_run_goes_on_from_is_found_again(tmp_path, monkeypatch):
    """The run dies between keeping the best and saving itself; what was best before is still there to compare with."""
    save = Checkpoints.save

    def dies(self, state, *args, **options):
        if int(state.step) == 8 and self.directory.name == "checkpoints":
            raise KeyboardInterrupt
        save(self, state, *args, **options)

    monkeypatch.setattr(Checkpoints, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        with_validation(tmp_path, {4: 0.2, 8: 0.3})
    monkeypatch.setattr(Checkpoints, "save", save)
    assert int(best_in(tmp_path).state.step) == 8
    assert int(with_validation(tmp_path, {8: 0.1, 12: 0.15}).state.step) == 4


def test_validation_changes_no_bit_of_the_run(tmp_path):
    with_validation(tmp_path / "with", {4: 0.1, 8: 0.3, 12: 0.2})
    run(tmp_path / "without")
    hashes = [(tmp_path / name / "hashes.jsonl").read_bytes() for name in ("with", "without")]
    assert hashes[0] == hashes[1]


def test_a_finished_run_is_not_run_again(tmp_path, capsys):
    first = run(tmp_path)
    second = run(tmp_path, numbers(break_at=0))
    np.testing.assert_array_equal(first.params["w"], second.params["w"])
    assert "resumed at step 12 of 12" in capsys.readouterr().out


def test_a_run_that_goes_on_computes_no_first_state(tmp_path):
    def shapes_only():
        state = fresh()
        assert isinstance(state.params["w"], jax.core.Tracer)
        return state

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, numbers(break_at=9))
    run(tmp_path, init=shapes_only)


def test_a_run_that_goes_on_needs_no_other_program(tmp_path):
    programs = []

    class Step(jax.stages.Wrapped):
        def lower(self, state, batch):
            lowered = step_function.lower(state, batch)
            programs.append(lowered.as_text())
            return lowered

    with pytest.raises(Preempted):
        run(tmp_path, step=Step(), stop_after=3)
    run(tmp_path, step=Step())
    assert len(programs) == 2
    assert programs[0] == programs[1]


def test_the_line_shows_progress(tmp_path, capsys):
    run(tmp_path)
    compiling, line, *_ = capsys.readouterr().out.splitlines()
    assert compiling.startswith("compiling the training step")
    assert line.startswith("step 2/12  loss ")
    assert "steps/s" in line
    assert line.endswith(" left")


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"not finite at step 7 \(loss nan\).*untouched; .*step7\.npz \(numbers: 6\)$"):
        run(tmp_path, numbers(poison_at=7))
    with np.load(tmp_path / "not_finite_step7.npz") as kept:
        assert np.isnan(kept["x"]).all()
    assert Checkpoints(tmp_path / "checkpoints").latest_step == 4


def test_a_gradient_that_is_not_finite_is_never_saved(tmp_path):
    @jax.jit
    def with_norm(state, batch):
        state, metrics = step_function(state, batch)
        exploded = jnp.where(state.step == 4, jnp.inf, 1.0)
        return state, metrics | {"gradient_norm": (exploded, jnp.ones(()))}

    with pytest.raises(InputError, match=r"at step 4 .*gradient_norm inf"):
        run(tmp_path, step=with_norm)
    assert Checkpoints(tmp_path / "checkpoints").latest_step is None


def test_a_warning_is_shown(tmp_path, capsys):
    run(tmp_path, steps=2, warn=lambda means: "look here" if "loss" in means else None)
    assert "warning: look here" in capsys.readouterr().out


@pytest.mark.parametrize("last", [1, 3, 4, 5, 11])
def test_stopped_by_a_notice_it_ends_in_the_same_bits_and_metrics(tmp_path, last):
    whole = run(tmp_path / "whole")
    with pytest.raises(Preempted, match=f"stopped by SIGTERM after step {last} of 12, which is saved"):
        run(tmp_path / "cut", stop_after=last)
    assert Checkpoints(tmp_path / "cut" / "checkpoints").latest_step == last
    resumed = run(tmp_path / "cut")
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    metrics = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "cut")]
    assert metrics[0] == metrics[1]


def test_a_notice_after_a_loss_that_is_not_finite_saves_nothing(tmp_path):
    with pytest.raises(InputError, match="not finite at step 5"):
        run(tmp_path, numbers(poison_at=5), stop_after=5)
    assert Checkpoints(tmp_path / "checkpoints").latest_step == 4


def test_a_notice_at_the_last_step_changes_nothing(tmp_path):
    assert int(run(tmp_path, stop_after=12).step) == 12


def damage(path, how):
    if how == "deleted":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if how == "truncated" else b"")


def test_whole_arrays_that_are_not_those_that_were_saved_are_damage(tmp_path, capsys):
    """Those of step 4 in the place of step 8's: every file is whole, and only the digest tells."""
    whole = run(tmp_path / "whole")
    run(tmp_path / "begun", steps=8)
    newest = tmp_path / "begun" / "checkpoints" / "8"
    shutil.rmtree(newest / "state")
    shutil.copytree(newest.with_name("4") / "state", newest / "state")
    resumed = run(tmp_path / "begun")
    assert "8: a damaged checkpoint (its arrays are not those that were saved)" in capsys.readouterr().err
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("how", ["truncated", "emptied", "deleted"])
def test_whatever_is_damaged_the_run_ends_in_the_same_bits(tmp_path, capsys, how):
    whole = run(tmp_path / "whole")
    run(tmp_path / "begun", steps=8)
    newest = tmp_path / "begun" / "checkpoints" / "8"
    files = sorted(path.relative_to(newest) for path in newest.rglob("*") if path.is_file() and path.stat().st_size)
    assert len(files) > 5
    passed_over = 0
    for number, file in enumerate(files):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "begun", folder)
        damage(folder / "checkpoints" / "8" / file, how)
        resumed = run(folder)
        for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
            np.testing.assert_array_equal(a, b)
        assert (folder / "metrics.jsonl").read_text() == (tmp_path / "whole" / "metrics.jsonl").read_text()
        said = "8: a damaged checkpoint" in capsys.readouterr().err
        assert said == (folder / "checkpoints" / "damaged-8").is_dir()
        passed_over += said
        gc.collect()  # what orbax leaves behind would be told here
    assert passed_over > 2


def edit_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("item", "change", "told"),
    [
        ("config", lambda config: config.update(steps=13), "its config is not the one that was saved"),
        ("data", lambda data: data["position"].update(next_index=9), "its place in the data is not"),
        ("data", lambda data: data["pending"].append({"loss": [1.0, 1.0]}), "its place in the data is not"),
        ("data", lambda data: data["digests"].update(state="0"), "its arrays are not those"),
    ],
)
def test_what_was_changed_in_a_checkpoint_is_never_gone_on_with(tmp_path, capsys, item, change, told):
    whole = run(tmp_path)
    edit_json(tmp_path / "checkpoints" / "12" / item / "metadata", change)
    resumed = run(tmp_path)
    assert f"12: a damaged checkpoint ({told}" in capsys.readouterr().err
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_changed_config_is_not_handed_out_and_is_told_once(tmp_path, capsys):
    run(tmp_path)
    edit_json(tmp_path / "checkpoints" / "12" / "config" / "metadata", lambda config: config.update(steps=13))
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.config() == {"steps": 12}
    assert int(checkpoints.restore(fresh()).state.step) == 8
    assert capsys.readouterr().err.count("12: a damaged checkpoint") == 1


def test_a_number_that_changed_in_the_arrays_is_never_gone_on_with(tmp_path, capsys):
    """Saved anew by orbax itself with one number changed, so that nothing but the digest can tell."""
    run(tmp_path)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    restored = checkpoints.restore(fresh())
    config = checkpoints.config()
    other = tmp_path / "other" / "checkpoints"
    changed = restored.state.replace(params={"w": restored.state.params["w"].at[1].add(1e-6)})
    forged = Checkpoints(other, config=config)
    forged.save(changed, restored.data_position)
    forged.close()
    shutil.rmtree(tmp_path / "checkpoints" / "12" / "state")
    shutil.copytree(other / "12" / "state", tmp_path / "checkpoints" / "12" / "state")
    assert int(Checkpoints(tmp_path / "checkpoints").restore(fresh()).state.step) == 8
    assert "12: a damaged checkpoint (its arrays are not those that were saved)" in capsys.readouterr().err


def test_a_checkpoint_of_an_older_version_is_refused_in_one_line(tmp_path):
    run(tmp_path)
    edit_json(tmp_path / "checkpoints" / "12" / "data" / "metadata", lambda data: data.pop("format"))
    with pytest.raises(InputError, match=r"12: a checkpoint of another version .*format 1, expected 2"):
        Checkpoints(tmp_path / "checkpoints").restore(fresh())


def test_a_damaged_checkpoint_is_passed_over_by_readers_who_leave_it_there(tmp_path, capsys):
    run(tmp_path)
    for file in (tmp_path / "checkpoints" / "12" / "state").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    restored = Checkpoints(tmp_path / "checkpoints").restore(fresh())
    assert int(restored.state.step) == 8
    gc.collect()
    (line,) = capsys.readouterr().err.splitlines()
    assert "12: a damaged checkpoint" in line
    assert (tmp_path / "checkpoints" / "12").is_dir()


def test_nothing_but_damaged_checkpoints_is_said(tmp_path):
    run(tmp_path)
    for file in (tmp_path / "checkpoints").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(InputError, match=r"12: not a whole checkpoint of a training run .* none before it that is"):
        checkpoints.config()
    with pytest.raises(InputError, match="12: not a whole checkpoint of a training run"):
        checkpoints.restore(fresh())
    gc.collect()


def test_damage_that_orbax_tells_at_length_is_told_in_short(tmp_path):
    run(tmp_path)
    for path in (tmp_path / "checkpoints").glob("*/state/manifest.ocdbt"):
        path.write_bytes(b"no manifest" * 100)
    with pytest.raises(InputError, match=r"not a whole checkpoint of a training run \(.*\.\.\.\)") as caught:
        Checkpoints(tmp_path / "checkpoints").restore(fresh())
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(tmp_path)) + 400
    gc.collect()


def test_metadata_nested_without_end_is_refused_in_one_line(tmp_path):
    run(tmp_path)
    (tmp_path / "checkpoints" / "12" / "_CHECKPOINT_METADATA").write_text('{"a":' * 100_000)
    with pytest.raises(InputError, match="a _CHECKPOINT_METADATA below it is damaged"):
        Checkpoints(tmp_path / "checkpoints")


def test_another_architecture_is_refused_by_name(tmp_path):
    run(tmp_path)
    with pytest.raises(InputError, match=r"another architecture: .*w is \(3,\), this config makes it \(5,\)"):
        run(tmp_path, size=5)


def test_the_config_comes_with_the_checkpoint(tmp_path):
    run(tmp_path)
    assert Checkpoints(tmp_path / "checkpoints").config() == {"steps": 12}


def test_no_checkpoint_is_said(tmp_path):
    with pytest.raises(InputError, match="no checkpoint found"):
        Checkpoints(tmp_path / "empty", config={}).config()


def test_a_workdir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="checkpoints cannot be written there"):
        Checkpoints(tmp_path / "file" / "checkpoints", config={})


# A process whose files may not grow past 40 kB stands for a full disk; the state is noise, which does not compress.
FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import jax
from medssl_jax.core.errors import InputError
from medssl_jax.parallel.sharding import SINGLE_DEVICE
from medssl_jax.run_folder.checkpoint import Checkpoints
from medssl_jax.steps.state import TrainState
from medssl_jax.train.trainer import Batches, Schedule, Trainer
from medssl_jax.train.validation import Validation

def save(step):
    checkpoints = Checkpoints(Path(sys.argv[1]), config={})
    noise = jax.random.normal(jax.random.key(step), (50_000,))
    checkpoints.save(TrainState(jax.numpy.array(step), {"w": noise}, ()), {})
    checkpoints.close()

save(1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    save(2)
except InputError as error:
    print("said:", error)
print("left:", Checkpoints(Path(sys.argv[1])).latest_step)
"""


def test_a_full_disk_while_saving_is_said_and_the_one_before_stays(tmp_path):
    script = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert f"said: {tmp_path}: checkpoints cannot be written there" in done.stdout, done.stderr
    assert "left: 1" in done.stdout


def test_metrics_after_the_last_save_are_dropped_even_half_a_line(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "loss": 1.0}\n{"step": 4, "loss": 0.5}\n{"step": 6, "lo')
    writer = MetricsWriter(tmp_path, resume_step=2)
    writer(4, {"loss": 0.25})
    writer.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 2, "loss": 1.0}\n{"step": 4, "loss": 0.25}\n'
    assert list(tmp_path.glob("events.out.tfevents*"))


def test_streams_are_unrelated_and_repeatable():
    keys = [stream_key(0, "a", 0), stream_key(0, "b", 0), stream_key(0, "a", 1), stream_key(1, "a", 0)]
    draws = [float(jax.random.normal(key)) for key in keys]
    assert len(set(draws)) == 4
    assert float(jax.random.normal(stream_key(0, "a", 0))) == draws[0]
