"""A run's folder keeps to one config and one set of scans."""

import json
import signal
import subprocess
import sys

import pytest

from experiments.configs import phantom
from medssl_jax.core.errors import InputError
from medssl_jax.run_folder.workdir import claim_workdir, only_run_in, record_split

FORMER = {"whole_scan": False}


@pytest.fixture
def begun(tmp_path):
    """A workdir with a first checkpoint."""
    (tmp_path / "checkpoints" / "50").mkdir(parents=True)
    return tmp_path


def config_with(**changes):
    config = phantom.get_config()
    config.update_from_flattened_dict(changes)
    return config


def test_the_same_config_may_go_on(tmp_path):
    claim_workdir(tmp_path / "run", config_with())
    claim_workdir(tmp_path / "run", config_with())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", 5),
        ("loss.gamma", 1.5),
        ("data.mask_lungs", False),
        ("data.phantom.seed", 9),
        ("patches.side", 64),
        ("optimiser.learning_rate", 0.5),
        ("ssl.views", 2),
        ("mixup.eta", 0.7),
        ("model.prior", 0.1),
    ],
)
def test_another_config_is_refused_by_field(begun, field, value):
    claim_workdir(begun, config_with())
    with pytest.raises(InputError, match=f"started with {field} = .*, now it is {value}"):
        claim_workdir(begun, config_with(**{field: value}))
    assert json.loads((begun / "config.json").read_text()) == json.loads(config_with().to_json())


def test_before_the_first_checkpoint_the_config_may_change(tmp_path):
    claim_workdir(tmp_path, config_with())
    claim_workdir(tmp_path, config_with(seed=5))
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logging.log_every", 10),
        ("inference.overlap", 8),
        ("data.cache_dir", "elsewhere"),
        ("patches.loader_threads", 1),
    ],
)
def test_what_does_not_change_what_is_learnt_may_change_and_is_recorded(begun, field, value):
    claim_workdir(begun, config_with())
    changed = config_with(**{field: value})
    claim_workdir(begun, changed)
    assert json.loads((begun / "config.json").read_text()) == json.loads(changed.to_json())


@pytest.mark.parametrize(
    ("removed", "added", "named"), [("command", {}, "command"), ("", FORMER, "inference.whole_scan")]
)
def test_a_run_of_another_version_is_told_in_one_line(begun, removed, added, named):
    claim_workdir(begun, config_with())
    content = json.loads((begun / "config.json").read_text())
    content.pop(removed, None)
    content["inference"] |= added
    (begun / "config.json").write_text(json.dumps(content))
    told = rf"config\.json: this run was started by another version, .* \(see {named}\): choose another --workdir"
    with pytest.raises(InputError, match=told):
        claim_workdir(begun, config_with())


def test_other_scans_are_refused(begun):
    record_split(begun, {"test": ["a"], "data_fingerprint": "x"})
    record_split(begun, {"test": ["a"], "data_fingerprint": "x"})
    with pytest.raises(InputError, match="started with other scans"):
        record_split(begun, {"test": ["a"], "data_fingerprint": "y"})


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="no folder that can be written to"):
        claim_workdir(tmp_path / "file" / "run", config_with())


@pytest.mark.parametrize("name", ["config.json", "split.json"])
@pytest.mark.parametrize("content", [b"", b"[1]", b'{"steps": 6', b"\xff", b"5", b"[" * 100_000])
def test_a_damaged_record_of_a_run_is_one_line(begun, name, content):
    claim_workdir(begun, config_with())
    record_split(begun, {"test": ["1.2"]})
    (begun / name).write_bytes(content)
    read = {
        "config.json": lambda: claim_workdir(begun, config_with()),
        "split.json": lambda: record_split(begun, {"test": ["1.2"]}),
    }[name]
    with pytest.raises(InputError, match=rf"{name}: not what a run wrote .*start over") as caught:
        read()
    assert "\n" not in str(caught.value)
    assert (begun / name).read_bytes() == content


HOLDS_IT = """
import sys, time
from pathlib import Path
from medssl_jax.run_folder.workdir import only_run_in
with only_run_in(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_and_told_who_is_there_until_that_one_is_killed(tmp_path):
    first = subprocess.Popen([sys.executable, "-c", HOLDS_IT, tmp_path / "run"], stdout=subprocess.PIPE, text=True)
    with first:
        assert first.stdout.readline() == "in\n"
        with (
            pytest.raises(InputError, match=rf"run: process {first.pid} on .+, since 2.+, is running in it: wait"),
            only_run_in(tmp_path / "run"),
        ):
            pass
        first.send_signal(signal.SIGKILL)
    with only_run_in(tmp_path / "run"):
        pass


def test_one_process_may_be_in_one_folder_after_another_and_again(tmp_path):
    for name in ("a", "b", "a"):
        with only_run_in(tmp_path / name):
            pass


def test_all_hosts_are_refused_where_the_first_is(tmp_path, monkeypatch):
    """The first of two processes is told of another run; what it hears, all hear."""
    monkeypatch.setattr("medssl_jax.parallel.hosts.is_first", lambda: False)
    monkeypatch.setattr("medssl_jax.parallel.hosts.gather", lambda own: ["run: taken", own])
    with pytest.raises(InputError, match="run: taken"), only_run_in(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()
