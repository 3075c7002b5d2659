"""A run is made again from its run.json: equal to the last bit, or the first step and tensor that differ are named."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from experiments.configs import phantom, phantom_sos
from experiments.runs.jobs import JOBS
from experiments.runs.reproduce import Verdict, config_of, obstacles, verify
from medssl_jax.core.errors import InputError
from medssl_jax.run_folder.run_record import read_run_record, write_run_record
from medssl_jax.run_folder.tensor_hashes import HashWriter, StepHashes

TINY_FOCALMIX = (
    "--config=tiny.py",
    "--config.steps=6",
    "--config.logging.log_every=2",
    "--config.logging.save_every=2",
)
EIGHT = "--xla_force_host_platform_device_count=8"


def start(folder, name, *flags, **environment):
    command = [sys.executable, "-m", f"experiments.{name}", *flags]
    plain = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "NPROC")}
    return subprocess.run(
        command, cwd=folder, env=plain | environment, capture_output=True, text=True, check=False, timeout=1800
    )


def one_line_error(done):
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    return line


def edit(path, change):
    """Changes the content of a JSON file, with its checksum where it has one."""
    content = json.loads(path.read_text())
    change(content)
    if content.pop("sha256", None):
        content["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(content))


def record_of(folder, config):
    folder.mkdir(parents=True, exist_ok=True)
    write_run_record(folder, config, devices=jax.devices()[:1], resume_step=0)
    return read_run_record(folder / "run.json")


@pytest.mark.parametrize("config", [phantom.get_config(), phantom_sos.get_config()])
def test_the_config_comes_back_as_it_was(tmp_path, config):
    again = config_of(record_of(tmp_path, config))
    assert again.to_dict() == config.to_dict()
    assert again.is_locked


def test_what_stands_in_the_way(tmp_path, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    record = record_of(tmp_path, phantom.get_config())
    assert obstacles(record) == []

    def change(content):
        (first,) = content["sessions"]
        content["sessions"] = [
            {"from_step": 20, "environment": first["environment"] | {"xla_flags": "--a"}},
            {"from_step": 40, "environment": first["environment"] | {"xla_flags": "--b"}},
        ]

    edit(tmp_path / "run.json", change)
    assert obstacles(read_run_record(tmp_path / "run.json")) == [
        "nothing is recorded of its steps up to 20",
        "it went on in another environment after step 40 (xla_flags: --a then, --b now)",
        "xla_flags: --a then,  now",
    ]


class ToyRun:
    """Training that logs a few steps at no cost; `departs` are steps whose state comes out otherwise."""

    def __init__(self, monkeypatch, tmp_path):
        self.split = {"data_fingerprint": "x"}
        self.departs, self.other_batch, self.trained, self.steps = (), (), [], (2, 4, 6)
        job = JOBS["experiments.focalmix"]
        monkeypatch.setitem(JOBS, job.command, job._replace(run=self.run))
        self.config = phantom.get_config()
        self.config.steps = 6
        self.first, self.second = tmp_path / "first", tmp_path / "second"
        self.first.mkdir()
        self.run(self.config, self.first)
        self.record = record_of(self.first, self.config)

    def run(self, config, workdir, watch=lambda *_: None):
        workdir.mkdir(exist_ok=True)
        (workdir / "split.json").write_text(json.dumps(self.split))
        write, self.trained = HashWriter(workdir, resume_step=0), []
        for step in self.steps:
            batch = {"hu": "other" if step in self.other_batch else f"{step}"}
            hashes = StepHashes(batch, {"params.a": "0", "params.b": f"{step}{step in self.departs}"})
            write(step, hashes)
            self.trained.append(step)
            watch(step, hashes)
        for name in ("metrics.jsonl", "submission.csv"):
            (workdir / name).write_text("1\n2\n")

    def verdict(self, **options):
        return verify(self.record, self.first, self.second, **options)


@pytest.fixture
def toy(monkeypatch, tmp_path):
    return ToyRun(monkeypatch, tmp_path)


def test_steps_then_files_are_compared(toy):
    verdict = toy.verdict()
    files = {"metrics.jsonl": None, "split.json": None, "submission.csv": None}
    assert verdict == Verdict(3, None, files, ["froc.json"])
    assert verdict.is_equal
    (toy.first / "submission.csv").write_text("1\n3\n")
    verdict = toy.verdict()
    assert verdict.files["submission.csv"] == "line 2 is the first of 1 that differ"
    assert not verdict.is_equal


def test_it_ends_at_the_first_step_that_differs(toy):
    toy.departs = (4, 6)
    assert toy.verdict() == Verdict(1, "step 4: params.b differs; the batch is equal", {}, [])
    assert toy.trained == [2, 4]
    toy.other_batch = (4,)
    assert toy.verdict() == Verdict(1, "step 4: batch.hu differs", {}, [])


def test_some_steps_only(toy):
    toy.departs = (6,)
    assert toy.verdict(steps=5) == Verdict(2, None, {}, [])
    assert toy.trained == [2, 4]
    with pytest.raises(InputError, match=r"hashes.jsonl: no line up to step 1, expected one"):
        toy.verdict(steps=1)


def test_a_run_that_has_not_ended_is_followed_as_far_as_it_went(toy):
    lines = (toy.first / "hashes.jsonl").read_text().splitlines(keepends=True)
    (toy.first / "hashes.jsonl").write_text("".join(lines[:2]))
    assert toy.verdict() == Verdict(2, None, {}, [])
    assert toy.trained == [2, 4]


def test_a_line_that_only_one_run_has(toy):
    lines = (toy.first / "hashes.jsonl").read_text().splitlines(keepends=True)
    (toy.first / "hashes.jsonl").write_text(lines[0] + lines[2])
    assert toy.verdict() == Verdict(1, f"step 4: has no line in {toy.first}/hashes.jsonl", {}, [])
    (toy.first / "hashes.jsonl").write_text("".join(lines))
    toy.steps = (2, 6)
    assert toy.verdict() == Verdict(1, f"step 4: has no line in {toy.second}/hashes.jsonl", {}, [])


def test_other_data_is_refused_unless_one_goes_on_anyway(toy):
    toy.split = {"data_fingerprint": "y"}
    with pytest.raises(InputError, match=r"split.json: the data or its split is other than in the run"):
        toy.verdict()
    assert toy.trained == [2]
    assert "line 1" in toy.verdict(anyway=True).files["split.json"]


def test_what_is_refused_at_once(tmp_path):
    record_of(tmp_path / "run", phantom.get_config())
    here = ("--run=run/run.json", "--workdir=run")
    assert "is the folder of the run itself" in one_line_error(start(tmp_path, "reproduce", *here))
    edit(tmp_path / "run/run.json", lambda content: content["sessions"][0]["environment"]["versions"].update(jax="0"))
    message = one_line_error(start(tmp_path, "reproduce", "--run=run/run.json", "--verify"))
    assert "run/run.json: here the run cannot come out the same to the bit" in message
    assert f"versions.jax: 0 then, {jax.__version__} now" in message
    assert os.listdir(tmp_path / "run") == ["run.json"]


@pytest.mark.slow
def test_on_one_device_it_is_equal_and_what_was_tampered_with_is_named(tmp_path):
    shutil.copy(Path(__file__).with_name("small_phantom.py"), tmp_path / "tiny.py")
    done = start(tmp_path, "focalmix", *TINY_FOCALMIX, "--workdir=run", NPROC="3")
    assert done.returncode == 0, done.stderr
    # None of it is needed any more: it is in run.json, or made again.
    (tmp_path / "tiny.py").unlink()
    shutil.rmtree(tmp_path / "data")
    done = start(tmp_path, "reproduce", "--run=run/run.json", "--verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "set as in the run: NPROC=3" in done.stdout
    assert done.stdout.splitlines()[-5:] == [
        "3 steps compared, all equal",
        *(f"{name:<16} equal" for name in ("metrics.jsonl", "split.json", "submission.csv", "froc.json")),
    ]
    assert (tmp_path / "run/reproduced/hashes.jsonl").read_bytes() == (tmp_path / "run/hashes.jsonl").read_bytes()

    shutil.copytree(tmp_path / "run", tmp_path / "seed")
    edit(tmp_path / "seed/run.json", lambda content: content["config"].update(seed=1))
    done = start(tmp_path, "reproduce", "--run=seed/run.json", "--verify", "--workdir=again_seed")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "step 2: batch.labelled." in done.stdout

    lines = [json.loads(line) for line in (tmp_path / "run/hashes.jsonl").read_text().splitlines()]
    name = next(name for name in lines[1]["state"] if name.startswith("params."))
    lines[1]["state"][name] = "0" * 16
    (tmp_path / "run/hashes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    # What is there already is compared without another training.
    done = start(tmp_path, "reproduce", "--run=run/run.json", "--verify")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"step 4: {name} differs; the batch is equal; the 1 logged steps before are equal" in done.stdout
    assert "resumed at step 6" in done.stdout


@pytest.mark.slow
def test_on_eight_devices_it_is_equal(tmp_path):
    shutil.copy(Path(__file__).with_name("small_phantom.py"), tmp_path / "tiny.py")
    batches = ("--config.patches.labelled_batch=8", "--config.patches.unlabelled_batch=8")
    done = start(tmp_path, "focalmix", *TINY_FOCALMIX, *batches, "--workdir=run", XLA_FLAGS=EIGHT)
    assert done.returncode == 0, done.stderr
    (session,) = read_run_record(tmp_path / "run/run.json").sessions
    assert session.environment["devices"]["count"] == 8
    done = start(tmp_path, "reproduce", "--run=run/run.json", "--verify", "--workdir=again")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"set as in the run: XLA_FLAGS={EIGHT}" in done.stdout
    assert "3 steps compared, all equal" in done.stdout
    again = read_run_record(tmp_path / "again/run.json").sessions
    assert again == (session,)


@pytest.mark.slow
def test_a_run_of_sos(tmp_path, write_small_sos):
    write_small_sos(tmp_path / "tiny.py")
    done = start(tmp_path, "sos", "--config=tiny.py", "--workdir=run")
    assert done.returncode == 0, done.stderr
    done = start(tmp_path, "reproduce", "--run=run/run.json", "--verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-4:] == [
        "2 steps compared, all equal",
        *(f"{name:<16} equal" for name in ("metrics.jsonl", "split.json", "results.json")),
    ]
