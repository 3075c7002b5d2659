"""What run.json says of a run that was started several times, and what it does not take for a difference."""

import copy
import json

import jax
import pytest

from experiments.configs import phantom, phantom_sos
from medssl_jax.core.errors import InputError
from medssl_jax.run_folder import run_record
from medssl_jax.run_folder.run_record import read_run_record, write_run_record


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Starts the run of a folder after a step, in an environment with another thread count."""
    now = {"devices": {"platform": "cpu", "count": 1}, "code": {"sources_sha256": "a"}, "xla_flags": ""}

    def write(resume_step, count=1, config=None):
        changed = copy.deepcopy(now)
        changed["devices"]["count"] = count
        monkeypatch.setattr(run_record, "environment_of", lambda devices: changed)
        return write_run_record(
            tmp_path, config or phantom.get_config(), devices=jax.devices(), resume_step=resume_step
        )

    return write


def sessions(folder):
    record = read_run_record(folder / "run.json")
    return [(each.from_step, each.environment["devices"]["count"]) for each in record.sessions]


def test_all_that_names_a_run_is_there(tmp_path):
    split = {"labelled": ["1.2"], "data_fingerprint": "x"}
    (tmp_path / "split.json").write_text(json.dumps(split))
    assert write_run_record(tmp_path, phantom.get_config(), devices=jax.devices(), resume_step=0) == []
    record = read_run_record(tmp_path / "run.json")
    assert record.command == "experiments.focalmix"
    assert record.config == json.loads(phantom.get_config().to_json())
    assert record.split == split
    (session,) = record.sessions
    assert session.from_step == 0
    assert session.environment["devices"]["platform"] == "cpu"
    assert session.environment["versions"]["jax"] == jax.__version__
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["seed"] == 0


def test_a_start_like_the_one_before_changes_nothing(start, tmp_path):
    start(0)
    before = (tmp_path / "run.json").read_bytes()
    assert start(40) == []
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_start_on_other_devices_is_told_and_kept(start, tmp_path):
    start(0)
    assert start(40, count=8) == ["devices.count: 1 then, 8 now"]
    assert start(80, count=1) == ["devices.count: 8 then, 1 now"]
    assert sessions(tmp_path) == [(0, 1), (40, 8), (80, 1)]


def test_a_start_whose_steps_are_computed_again_is_forgotten(start, tmp_path):
    start(0)
    start(40, count=8)
    start(60, count=4)
    assert start(40, count=1) == []
    assert sessions(tmp_path) == [(0, 1)]
    start(40, count=2)
    start(0, count=8)
    assert sessions(tmp_path) == [(0, 8)]


def test_a_run_older_than_its_record_begins_where_it_was_first_written(start, tmp_path):
    assert start(200) == []
    assert sessions(tmp_path) == [(200, 1)]


def test_the_command_is_that_of_the_config(start, tmp_path):
    start(0, config=phantom_sos.get_config())
    assert read_run_record(tmp_path / "run.json").command == "experiments.sos"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected the run.json that a training run writes"),
        ("{", "not the run.json of a training run"),
        ("[]", "not the run.json of a training run"),
        ("[" * 100_000, "not the run.json of a training run"),
        ('{"format": 3}', r"not the run.json of a training run \(KeyError: 'sessions'\)"),
        ('{"format": 3, "config": {}, "sessions": []}', "no sessions"),
        (
            '{"format": 3, "config": {}, "sessions": [{"from_step": 0, "environment": {}}]}',
            "a config without its command",
        ),
        ('{"format": 7}', "has format 7, expected 3"),
    ],
)
def test_what_is_no_run_record(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_run_record(tmp_path / "run.json")


def test_a_field_changed_by_hand_is_told(start, tmp_path):
    start(0)
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(InputError, match=r"run.json: not the run.json .* changed after it was written"):
        read_run_record(path)


def test_one_of_an_older_version_is_told(start, tmp_path):
    start(0)
    path = tmp_path / "run.json"
    path.write_text(path.read_text().replace('"format": 3', '"format": 2'))
    with pytest.raises(InputError, match="has format 2, expected 3: read it with the version that wrote it"):
        read_run_record(path)
