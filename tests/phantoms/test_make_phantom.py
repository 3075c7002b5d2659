"""The command, started as a user starts it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


# Most of a command's time is that of its imports, so some are called one after the other in one process.
IN_TURN = """
import json, sys
from absl import flags
from experiments import make_phantom
from medssl_jax.core.errors import InputError

def message(arguments):
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    flags.FLAGS(["make_phantom", *arguments])
    try:
        make_phantom.main([])
    except InputError as error:
        return str(error)

print(json.dumps([message(arguments) for arguments in json.loads(sys.argv[1])]), file=sys.stderr)
"""


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def make_phantom(*arguments):
    return python("-m", "experiments.make_phantom", *arguments)


def messages_of(*runs):
    """The one line that each command would end with, None where it succeeds."""
    done = python("-c", IN_TURN, json.dumps(runs))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.splitlines()[-1])


def test_writes_a_phantom_and_its_contact_sheet(tmp_path):
    sheet = tmp_path / "sheet.png"
    done = make_phantom(
        f"--output={tmp_path / 'data'}", "--scans=1", "--chest_mm=64,64,64", "--workers=1", f"--contact_sheet={sheet}"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "annotations.csv").is_file()
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_writes_slides_and_studies_and_their_contact_sheets(tmp_path):
    slides = [
        "--kind=lks",
        f"--output={tmp_path / 'slides'}",
        "--train=4",
        "--test=4",
        "--grid=2",
        "--patch_side=64",
        "--shrink=4",
        "--margin=0,5",
        "--layouts=strips-lzw,tiles-none-big",
        "--seed=3",
        "--workers=1",
        f"--contact_sheet={tmp_path / 'slides.png'}",
    ]
    studies = [
        "--kind=nlst",
        f"--output={tmp_path / 'studies'}",
        "--patients=1",
        "--studies_per_patient=1",
        "--layout=idc",
        "--defects=",
        "--chest_mm=64,64,64",
        "--workers=1",
        f"--contact_sheet={tmp_path / 'studies.png'}",
    ]
    telling = [
        "--kind=telling_lks",
        f"--output={tmp_path / 'telling'}",
        "--train=6",
        "--test=1",
        "--legibility=0.5,1",
        "--workers=1",
        f"--contact_sheet={tmp_path / 'telling.png'}",
    ]
    assert messages_of(slides, telling, studies) == [None, None, None]
    of_telling = json.loads((tmp_path / "telling" / "spec.json").read_text())
    assert (of_telling["legibility"], of_telling["grid"], of_telling["share_weak"]) == ([0.5, 1.0], 8, 0.12)
    assert len(list((tmp_path / "slides" / "Train").iterdir())) == 4
    spec = json.loads((tmp_path / "studies" / "spec.json").read_text())
    assert (spec["defects"], spec["layout"], spec["noise_hu"]) == ([], "idc", 40.0)
    assert len(list((tmp_path / "studies" / "nlst" / "100002").glob("*/CT_*"))) in (3, 4)
    for name in ("slides", "telling", "studies"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_one_line_and_status_2(tmp_path):
    done = make_phantom(f"--output={tmp_path}", "--chest_mm=64,x,64")
    assert done.returncode == 2
    assert "chest_mm" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_bad_input_is_named(tmp_path):
    named = {
        "chest_mm": ["--chest_mm=64,x,64"],
        "chest_zyx_mm": ["--chest_mm=1,2,3"],
        "--scans: belongs to --kind=luna16": ["--kind=lks", "--scans=3"],
        "margin": ["--kind=lks", "--margin=0.5,1"],
        "defects": ["--kind=nlst", "--defects=torn"],
        "--patients: belongs to --kind=nlst": ["--patients=3"],
        "--legibility: belongs to --kind=telling_lks": ["--kind=lks", "--legibility=0,1"],
    }
    messages = messages_of(*([f"--output={tmp_path}", *arguments] for arguments in named.values()))
    for name, message in zip(named, messages, strict=True):
        assert name in message
        assert len(message.splitlines()) == 1
