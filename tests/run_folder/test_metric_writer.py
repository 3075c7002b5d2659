"""What a writer of metrics leaves on disk, and behind it."""

import threading

from medssl_jax.run_folder.metric_writer import MetricsWriter


def test_a_closed_writer_leaves_lines_events_and_no_thread(tmp_path):
    before = set(threading.enumerate())
    writer = MetricsWriter(tmp_path, resume_step=0)
    writer(1, {"loss": 0.5, "rate": 2.0})
    writer.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "loss": 0.5, "rate": 2.0}\n'
    (events,) = tmp_path.glob("events.out.tfevents*")
    assert b"loss" in events.read_bytes()
    assert b"rate" in events.read_bytes()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
    assert set(threading.enumerate()) <= before
