"""The series that are searched, of all in a tree: one reconstruction a study, by the rule that NLST's builder has.

The only sound series of a study is taken, be it a slab of a few slices or not axial. Where the rule leaves a study
without any, slabs of more than five slices count too.
"""

import collections
import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

from data_builders.nlst.choose import Choice, choose
from data_builders.nlst.index import BRIEF_BY_NATURE, without_doubles
from data_builders.nlst.table import SeriesRow
from medssl_jax.imaging.dicom.series import LOCALIZER_MOST_IMAGES


class Chosen(NamedTuple):
    """The series to search; those left out for another or by nature; those whose study they leave without any."""

    wanted: tuple[SeriesRow, ...]
    left_out: tuple[Choice, ...]
    refused: tuple[Choice, ...]


def choose_series(rows: Iterable[SeriesRow]) -> Chosen:
    """One series a study, by patient, date, series UID; a series without a StudyInstanceUID is a study of its own."""
    rows = without_doubles(
        dataclasses.replace(row, study_uid=row.study_uid or row.series_uid or row.folder) for row in rows
    )
    of_study = collections.defaultdict(list)
    for row in rows:
        of_study[row.study_uid].append(row)
    wanted: list[SeriesRow] = []
    left_out: list[Choice] = []
    refused: list[Choice] = []
    for study in of_study.values():
        choices = _choices(study)
        chosen = [row for row, reason in choices if not reason]
        wanted += chosen
        for choice in choices:
            if choice.reason:
                by_nature = choice.reason.startswith(BRIEF_BY_NATURE)
                (left_out if chosen or by_nature else refused).append(choice)
    return Chosen(tuple(wanted), tuple(left_out), tuple(refused))


def _choices(study: list[SeriesRow]) -> tuple[Choice, ...]:
    sound = [row for row in study if not row.problem]
    if len(sound) == 1:
        return tuple(Choice(row, row.problem) for row in study)
    choices = choose(study)
    if sound and all(choice.reason for choice in choices):
        choices = choose(study, least_slices=LOCALIZER_MOST_IMAGES + 1)
    return choices
