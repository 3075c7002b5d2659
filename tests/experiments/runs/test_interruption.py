"""Moments lie evenly over a run's time; a run is interrupted at each, whatever it does then, and left to end."""

import fcntl
import os
import signal
import sys
import time

import numpy as np
import pytest
from scipy import stats

from experiments.runs import interruption
from experiments.runs.interruption import (
    Command,
    Course,
    Mark,
    Moment,
    draw_moments,
    run_interrupted,
    run_whole,
)
from medssl_jax.core.errors import InputError

STEPS = 20
# Twenty steps, saved after every tenth, with a child that holds a lock for as long as it lives.
A_RUN = """
import signal, subprocess, sys, time
from pathlib import Path

saved = Path("saved")
step = int(saved.read_text()) if saved.exists() else 0
child = [sys.executable, "-c", "import fcntl, time; f = open('lock', 'w'); fcntl.flock(f, 2); time.sleep(90)"]
subprocess.Popen(child) if "child" in sys.argv else None
notices = []
signal.signal(signal.SIGTERM, lambda *_: notices.append(True))
print("starting up", flush=True)
if step:
    print(f"resumed at step {step} of 20", flush=True)
while step < 20:
    time.sleep(0.02)
    step += 1
    if step % 5 == 0:
        print(f"step {step}/20  loss 1.0", flush=True)
    if step == 15 and "hang" in sys.argv:
        time.sleep(60)
    if step == 15 and "fail" in sys.argv:
        sys.exit("error: no luck")
    if step % 10 == 0 or notices:
        saved.write_text(str(step))
    if notices:
        print(f"stopped after step {step}", flush=True)
        sys.exit(75)
time.sleep(0.1)
"""
COURSE = Course((Mark(0, 0.0), Mark(5, 0.3), Mark(10, 0.4), Mark(15, 0.5), Mark(20, 0.6)), 0.7)


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(*arguments):
        return Command([sys.executable, "-c", A_RUN, *arguments], tmp_path / "log", {})

    return make


def seconds_into(course, moment):
    return dict(course.marks)[moment.step] + moment.seconds


def test_moments_lie_evenly_over_the_time_of_the_run():
    moments = draw_moments(COURSE, 2000, seed=0)
    times = [seconds_into(COURSE, moment) / COURSE.seconds for moment in moments]
    assert stats.kstest(times, "uniform").pvalue > 0.01
    assert all(moment.seconds <= 0.3 + 1e-9 for moment in moments)  # none waits longer than to the next mark


def test_steps_come_in_order_and_start_up_anywhere():
    steps = np.array([moment.step for moment in draw_moments(COURSE, 2000, seed=0)])
    assert (np.diff(steps[steps > 0]) >= 0).all()
    places = np.flatnonzero(steps == 0) / len(steps)
    assert len(places) == pytest.approx(2000 * 0.3 / 0.7, rel=0.1)
    assert stats.kstest(places, "uniform").pvalue > 0.01


def test_moments_are_those_of_the_seed():
    assert draw_moments(COURSE, 20, seed=3) == draw_moments(COURSE, 20, seed=3)
    assert draw_moments(COURSE, 20, seed=3) != draw_moments(COURSE, 20, seed=4)


def test_the_course_of_a_run(command, capsys):
    course = run_whole(command())
    assert [mark.step for mark in course.marks] == [0, 5, 10, 15, 20]
    assert sorted(course.marks) == list(course.marks)
    assert course.marks[-1].seconds < course.seconds
    assert [line[:9].strip() for line in capsys.readouterr().out.splitlines()] == [
        "step 5/20",
        "step 10/2",
        "step 15/2",
        "step 20/2",
    ]
    assert (command().log).read_text().startswith("starting up\n")


def test_killed_at_every_moment_and_left_to_end(command, tmp_path, capsys):
    moments = [Moment(0, 0.0), Moment(5, 0.01), Moment(0, 0.1), Moment(10, 0.05), Moment(15, 0.0), Moment(20, 0.01)]
    met = run_interrupted(command("child"), COURSE, moments, signal.SIGKILL)
    assert [each.status for each in met] == [-signal.SIGKILL] * len(moments)
    for moment, each in zip(moments, met, strict=True):
        assert (each.step or 0) >= moment.step
    assert (tmp_path / "saved").read_text() == "20"
    assert (tmp_path / "log").read_text().count("resumed at step 10 of 20") >= 2
    assert "SIGKILL 6 of 6 at step 20 of 20: status -9" in capsys.readouterr().out
    since = time.monotonic()
    with (tmp_path / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert time.monotonic() - since < 30  # no child is left


def test_sigterm_is_answered_by_a_status_and_timed(command, tmp_path):
    (met,) = run_interrupted(command(), COURSE, [Moment(10, 0.02)], signal.SIGTERM)
    assert met.status == 75
    assert met.seconds_to_end < 10
    assert "stopped after step" in (tmp_path / "log").read_text()


def test_a_start_that_never_makes_progress_is_started_no_more_often_than_killed(command, tmp_path):
    met = run_interrupted(command(), COURSE, [Moment(0, 0.0)] * 4, signal.SIGKILL)
    assert [each.step for each in met] == [None] * 4
    assert (tmp_path / "saved").read_text() == "20"


def test_a_moment_after_the_end_is_tried_again_sooner(command, tmp_path):
    (met,) = run_interrupted(command(), COURSE, [Moment(20, 0.5)], signal.SIGKILL)
    assert met == (20, -signal.SIGKILL, met.seconds_to_end)
    assert (tmp_path / "log").read_text().count("starting up") >= 3


def test_a_kill_that_finds_the_run_ended_is_tried_again(command, tmp_path, monkeypatch):
    kill, killed = os.killpg, []

    def kill_late(group, number):
        if not killed:
            os.waitid(os.P_PID, group, os.WEXITED | os.WNOWAIT)
        killed.append(group)
        kill(group, number)

    monkeypatch.setattr(interruption.os, "killpg", kill_late)
    (met,) = run_interrupted(command(), COURSE, [Moment(15, 0.0)], signal.SIGKILL)
    assert met.status == -signal.SIGKILL
    assert (tmp_path / "log").read_text().count("starting up") == 3


def test_a_run_that_fails_by_itself_is_said(command):
    with pytest.raises(InputError, match=r"log: the run ended by itself with status 1, expected 0; .* error: no luck"):
        run_whole(command("fail"))
    with pytest.raises(InputError, match="ended by itself with status 1"):
        run_interrupted(command("fail"), COURSE, [Moment(20, 0.0)], signal.SIGKILL)


def test_a_run_that_hangs_is_ended_and_said(command, monkeypatch):
    monkeypatch.setattr(interruption, "LEAST_PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr(interruption, "PATIENCE", 1)
    since = time.monotonic()
    with pytest.raises(InputError, match=r"log: the run has not ended after 2 s, .* the last it said: step 15/20"):
        run_interrupted(command("hang", "child"), COURSE, [Moment(20, 0.0)], signal.SIGKILL)
    assert time.monotonic() - since < 30
