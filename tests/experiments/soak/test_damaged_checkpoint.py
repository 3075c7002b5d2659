"""Whatever is lost of the newest checkpoint, the run goes on from the one before it, to the same bits."""

import os
import shutil
import signal
import time

import pytest


@pytest.fixture(scope="module")
def cut(soak):
    """The folder of a run that was killed when the metrics of its step 6 of 8 were written."""
    soak.seconds("focalmix")
    metrics, deadline = soak.folder / "cut" / "metrics.jsonl", time.monotonic() + 600
    with soak.start("focalmix", "cut") as process:
        while not (metrics.exists() and '{"step": 6,' in metrics.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return metrics.parent


@pytest.mark.slow
@pytest.mark.parametrize("how", ["truncated", "emptied", "deleted"])
def test_a_damaged_checkpoint_is_passed_over(soak, cut, how):
    folder = soak.folder / how
    shutil.copytree(cut, folder)
    kept = sorted(int(path.name) for path in (folder / "checkpoints").iterdir() if path.name.isdigit())
    assert len(kept) == 2
    files = [path for path in (folder / "checkpoints" / str(kept[-1]) / "state").rglob("*") if path.is_file()]
    arrays = max(files, key=lambda path: path.stat().st_size)
    if how == "deleted":
        arrays.unlink()
    else:
        os.truncate(arrays, arrays.stat().st_size // 2 if how == "truncated" else 0)
    with soak.start("focalmix", how) as process:
        said, told = process.communicate()
    assert process.returncode == 0, told
    assert f"checkpoints/{kept[-1]}: a damaged checkpoint" in told
    assert f"passed over for step {kept[0]}" in told
    assert f"resumed at step {kept[0]} of 8" in said
    soak.assert_same_end("focalmix", how)
