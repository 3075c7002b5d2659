"""The detector that comes with the package: whole, small, told of, and good enough to show on a chest it never saw."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.inference.demonstration import DEMONSTRATION
from medssl_jax.inference.trained_detector import load_detector

README = (Path(__file__).parents[2] / "README.md").read_text()
PYTHON_OF_README = README.partition("```python\n")[2].partition("```")[0]


def test_it_is_whole_and_says_what_it_is():
    detector = load_detector(DEMONSTRATION)
    assert detector.step == 5000
    assert detector.about.startswith("A demonstration: trained on 419 cubes of 44 mm round nodules of LUNA16")
    assert DEMONSTRATION.stat().st_size < 3_000_000
    card = DEMONSTRATION.with_suffix(".md").read_text()
    assert all(part in card for part in ("Intended use", "Figures", "Limits", "CC BY 4.0", "CC BY 3.0"))


def test_what_is_no_scan_is_refused():
    for what in (np.zeros((4, 4, 4), np.int16), None):
        with pytest.raises(InputError, match=rf"scan: found {type(what).__name__}, expected the path of a scan"):
            load_detector(DEMONSTRATION)(what)
    with pytest.raises(InputError, match=r"absent\.mha"):
        load_detector(DEMONSTRATION)("absent.mha")


@pytest.mark.slow
def test_the_listed_nodules_of_a_chest_are_among_its_first_marks(shared_data):
    """LIDC-IDRI-0003, of a patient that no crop is of; at most one other mark lies before the last of the three."""
    folder = shared_data / "real" / "scans"
    (path,) = folder.glob("subset9/*.mhd")
    rows = list(csv.DictReader((folder / "annotations.csv").read_text().splitlines()))
    nodules = np.array([[float(row[f"coord{axis}"]) for axis in "XYZ"] for row in rows])
    radii = np.array([float(row["diameter_mm"]) / 2 for row in rows])
    done: dict[str, Any] = {}
    exec(PYTHON_OF_README.replace("SCAN", str(path)), done)
    marks = done["marks"]
    apart = np.linalg.norm(marks.centre_xyz_mm[:, None] - nodules, axis=-1)
    ranks = [int(np.flatnonzero(apart[:, place] <= radius)[0]) + 1 for place, radius in enumerate(radii)]
    assert len(ranks) == 3
    assert max(ranks) <= 4
