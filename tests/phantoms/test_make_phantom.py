"""The command, started as a user starts it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make_phantom(*arguments):
    command = [sys.executable, "-m", "experiments.make_phantom", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_writes_a_phantom_and_its_contact_sheet(tmp_path):
    sheet = tmp_path / "sheet.png"
    done = make_phantom(
        f"--output={tmp_path / 'data'}", "--scans=1", "--chest_mm=64,64,64", "--workers=1", f"--contact_sheet={sheet}"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "annotations.csv").is_file()
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_writes_slides_and_their_contact_sheet(tmp_path):
    sheet = tmp_path / "sheet.png"
    done = make_phantom(
        "--kind=lks",
        f"--output={tmp_path / 'data'}",
        "--train=4",
        "--test=4",
        "--grid=2",
        "--patch_side=64",
        "--shrink=4",
        "--margin=0,5",
        "--layouts=strips-lzw,tiles-none-big",
        "--seed=3",
        "--workers=1",
        f"--contact_sheet={sheet}",
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "data" / "Train").iterdir())) == 4
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_writes_studies_and_their_contact_sheet(tmp_path):
    sheet = tmp_path / "sheet.png"
    done = make_phantom(
        "--kind=nlst",
        f"--output={tmp_path / 'data'}",
        "--patients=1",
        "--studies_per_patient=1",
        "--layout=idc",
        "--defects=",
        "--chest_mm=64,64,64",
        "--workers=1",
        f"--contact_sheet={sheet}",
    )
    assert done.returncode == 0, done.stderr
    spec = json.loads((tmp_path / "data" / "spec.json").read_text())
    assert (spec["defects"], spec["layout"], spec["noise_hu"]) == ([], "idc", 40.0)
    assert len(list((tmp_path / "data" / "nlst" / "100002").glob("*/CT_*"))) in (3, 4)
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_one_line_and_status_2(tmp_path):
    for flags, name in (
        (("--chest_mm=64,x,64",), "chest_mm"),
        (("--chest_mm=1,2,3",), "chest_zyx_mm"),
        (("--kind=lks", "--scans=3"), "--scans: belongs to --kind=luna16"),
        (("--kind=lks", "--margin=0.5,1"), "margin"),
        (("--kind=nlst", "--defects=torn"), "defects"),
        (("--patients=3",), "--patients: belongs to --kind=nlst"),
    ):
        done = make_phantom(f"--output={tmp_path}", *flags)
        assert done.returncode == 2
        assert name in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
