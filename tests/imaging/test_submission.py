"""The submission format: what is written is read back to the bit, and bad cells are named."""

import numpy as np
import pytest

from medssl_jax.core.errors import InputError
from medssl_jax.imaging.submission import Marks, read_marks, read_submission, write_marks, write_submission

HEADER = "seriesuid,coordX,coordY,coordZ,probability"


def test_reading_back_gives_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    marks = Marks(tuple("abcdefg"), rng.normal(0, 100, (7, 3)), rng.uniform(size=7), rng.uniform(3, 30, 7))
    write_submission(tmp_path / "submission.csv", marks)
    back = read_submission(tmp_path / "submission.csv")
    assert back.series_uid == marks.series_uid
    np.testing.assert_array_equal(back.centre_xyz_mm, marks.centre_xyz_mm)
    np.testing.assert_array_equal(back.score, marks.score)
    assert back.diameter_mm is None


def test_marks_keep_their_diameters_and_are_a_submission(tmp_path):
    rng = np.random.default_rng(0)
    marks = Marks(tuple("abcdefg"), rng.normal(0, 100, (7, 3)), rng.uniform(size=7), rng.uniform(3, 30, 7))
    path = tmp_path / "marks.csv"
    write_marks(path, marks)
    back = read_marks(path)
    for name in ("series_uid", "centre_xyz_mm", "score", "diameter_mm"):
        np.testing.assert_array_equal(getattr(back, name), getattr(marks, name))
    np.testing.assert_array_equal(read_submission(path).centre_xyz_mm, marks.centre_xyz_mm)
    write_submission(path, marks)
    with pytest.raises(InputError, match="diameter_mm"):
        read_marks(path)


def test_writes_luna16_s_five_columns(tmp_path, marks):
    write_submission(tmp_path / "submission.csv", marks(("a", -1, 2.5, 3, 0.25)))
    assert (tmp_path / "submission.csv").read_text() == f"{HEADER}\na,-1.0,2.5,3.0,0.25\n"


def test_no_marks_make_a_header_only(tmp_path, marks):
    write_submission(tmp_path / "submission.csv", marks())
    assert (tmp_path / "submission.csv").read_text() == f"{HEADER}\n"
    assert len(read_submission(tmp_path / "submission.csv")) == 0


def test_ids_that_a_spreadsheet_would_run_are_written_behind_an_apostrophe(tmp_path, marks):
    """Numbers stay numbers; a submission of LUNA16's own series is as it was."""
    ids = ("=HYPERLINK(A1)", "+a", "-a", "@a", "a,b", "a\rb", 'a"b', "1.3.6.1")
    write_submission(tmp_path / "submission.csv", marks(*((uid, -12.5, 0, 1e-7, -3) for uid in ids)))
    numbers = "-12.5,0.0,1e-07,-3.0"
    shown = ("'=HYPERLINK(A1)", "'+a", "'-a", "'@a", '"a,b"', '"a\rb"', '"a""b"', "1.3.6.1")
    written = (tmp_path / "submission.csv").read_bytes().decode()
    assert written == "".join(f"{line}\n" for line in (HEADER, *(f"{uid},{numbers}" for uid in shown)))
    assert read_submission(tmp_path / "submission.csv", known_series=ids).series_uid == ids


def test_a_mark_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text(f"{HEADER}\na,1,2,3,0.5\na,1,2,3,0.6\na,1,2,3.0,0.5\n")
    with pytest.raises(InputError, match="row 4: the same mark as in row 2"):
        read_submission(path)


def test_unknown_series_and_bad_probability_are_refused(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text(f"{HEADER}\na,1,2,3,0.5\n222,1,2,3,0.5\n333,1,2,3,0.5\n")
    with pytest.raises(InputError, match="row 3, column seriesuid: found '222', expected one of the 2 listed series"):
        read_submission(path, known_series=("a", "b"))
    path.write_text(f"{HEADER}\na,1,2,3,NaN\n")
    with pytest.raises(InputError, match="row 2, column probability: found 'NaN'"):
        read_submission(path)
    path.write_text("seriesuid,coordX,coordY,coordZ,likelihood\na,1,2,3,1\n")
    with pytest.raises(InputError, match="expected the column 'probability'"):
        read_submission(path)


def test_real_submission_is_read_and_the_one_of_wrong_ids_is_not(shared_data, tmp_path):
    folder = shared_data / "submissions" / "deepseed_fold9"
    assert len(read_submission(folder / "submission.csv")) == 1790
    with pytest.raises(InputError, match="found '222'"):
        read_submission(folder / "submission_with_wrong_ids.csv", known_series=["1.3.6.1"])


@pytest.mark.parametrize("name", ["centre_xyz_mm", "score", "diameter_mm"])
def test_marks_that_are_not_numbers_are_refused(name):
    values = {"centre_xyz_mm": np.zeros((2, 3)), "score": np.zeros(2), "diameter_mm": np.ones(2)}
    values[name][1] = np.nan
    with pytest.raises(InputError, match=rf"{name} of mark 1 \(series b\): found .*nan"):
        Marks(("a", "b"), **values)


def test_of_a_list_with_scores_and_probabilities_the_scores_are_taken(tmp_path):
    """As `detect` writes it, with no probability where the detector was not calibrated."""
    (tmp_path / "d.csv").write_text("probability,score,seriesuid,coordX,coordY,coordZ\n,0.75,a,1,2,3\n.1,.5,a,4,5,6\n")
    assert read_submission(tmp_path / "d.csv").score.tolist() == [0.75, 0.5]
