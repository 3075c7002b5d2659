"""Lines of steps that were saved stay, those of later steps go, and what no run wrote is refused."""

import resource
import signal

import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.core.step_lines import StepLines, read_step_lines

GOOD = '{"step": 2, "loss": 1.5}'


def test_lines_of_steps_that_were_not_saved_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{GOOD}\n{{"step": 4, "loss": 1}}\n{{"step": 6, "loss": 1}}\n')
    StepLines(path, resume_step=4).append(5, {"loss": 0.5})
    assert path.read_text().splitlines() == [GOOD, '{"step": 4, "loss": 1}', '{"step": 5, "loss": 0.5}']


@pytest.mark.parametrize("cut", [b'{"step": 4, "lo', b'{"step": 4, "name": "\xc3', b"\0\0\0\0"])
def test_a_last_line_that_was_cut_short_is_dropped(tmp_path, cut):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + cut)
    with pytest.raises(InputError, match=r"line 2 is "):
        read_step_lines(path)
    StepLines(path, resume_step=4)
    assert path.read_text() == f"{GOOD}\n"


def test_a_last_line_that_lacks_only_its_end_is_whole(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(GOOD)
    StepLines(path, resume_step=4).append(6, {"loss": 1})
    assert path.read_text().splitlines() == [GOOD, '{"step": 6, "loss": 1}']


@pytest.mark.parametrize(
    "bad",
    [
        *(b"[1]", b"5", b'{"a": 1}', b'{"step": "x"}', b'{"step": null}', b'{"step": 4, "lo', b"\xff\xfe", b""),
        *(b'{"step": 4.0}', b'{"step": true}', b'{"step": NaN}', b'{"step": 4}\r{"step": 5}', b"[" * 100_000),
        pytest.param(GOOD.encode(), id="the same step twice"),
        pytest.param(b'{"step": 1}', id="an earlier step"),
        pytest.param(b'{"step": 7}', id="a step beyond the next"),
    ],
)
@pytest.mark.parametrize("resume_step", [0, 4, 8])
def test_a_line_that_no_crash_leaves_is_refused_and_stays(tmp_path, bad, resume_step):
    path = tmp_path / "metrics.jsonl"
    written = GOOD.encode() + b"\n" + bad + b'\n{"step": 6, "loss": 1}\n'
    path.write_bytes(written)
    with pytest.raises(InputError, match=r"metrics\.jsonl: line [23] is '.*, expected a line of a step after [27]"):
        StepLines(path, resume_step=resume_step)
    assert path.read_bytes() == written


def test_lines_are_read_by_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    StepLines(path, resume_step=0).append(2, {"loss": 1.5})
    StepLines(path, resume_step=2).append(4, {"loss": 1})
    assert [(line.step, line.values["loss"]) for line in read_step_lines(path)] == [(2, 1.5), (4, 1)]


def test_a_full_disk_is_one_line_and_the_next_start_goes_on(tmp_path):
    """Files that may not grow past some bytes stand for it."""
    path = tmp_path / "metrics.jsonl"
    lines = StepLines(path, resume_step=0)
    lines.append(2, {"loss": 1.5})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(GOOD) + 10, limits[1]))
        with pytest.raises(InputError, match=r"metrics\.jsonl: cannot be written: .*free some space and start again"):
            lines.append(4, {"loss": 1.25})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    StepLines(path, resume_step=4).append(6, {"loss": 1})
    assert path.read_text().splitlines() == [GOOD, '{"step": 6, "loss": 1}']
