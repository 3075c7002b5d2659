"""Lines of steps that were saved stay; all others go, whatever they are."""

import resource
import signal

import pytest

from medssl_jax.errors import InputError
from medssl_jax.step_lines import StepLines

GOOD = '{"step": 2, "loss": 1.5}'


@pytest.mark.parametrize(
    "bad",
    [b"[1]", b"5", b'{"a": 1}', b'{"step": "x"}', b'{"step": null}', b'{"step": 4, "lo', b"\xff\xfe", b""],
)
def test_what_is_no_line_of_a_step_is_dropped(tmp_path, bad):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + bad + b"\n" + b'{"step": 6, "loss": 1}\n')
    StepLines(path, resume_step=4).append(5, {"loss": 0.5})
    assert path.read_text().splitlines() == [GOOD, '{"step": 5, "loss": 0.5}']


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
