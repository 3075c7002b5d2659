"""Several scans as one: a CSV of all marks, a JSON with what became of each scan, a page that leads to theirs."""

import dataclasses
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medssl_jax.core.atomic import write_text
from medssl_jax.core.csv_files import csv_text
from medssl_jax.report import page
from medssl_jax.report.json_report import write_json
from medssl_jax.report.nodules.result_files import FILE_OF_FORMAT, Choice
from medssl_jax.report.nodules.scan_report import DETECTION_COLUMNS, detection_rows
from medssl_jax.report.provenance import RESEARCH_USE

TEMPLATE = Path(__file__).with_name("scans_page.html")


@dataclasses.dataclass(frozen=True)
class ScansReport:
    """What became of scans: the content of its detections.json by name, the reason by origin, names still to do."""

    results: Mapping[str, Mapping[str, Any]]
    failed: Mapping[str, str]
    waiting: Sequence[str]

    @property
    def told(self) -> list[str]:
        """What is to be told of any of the scans, once."""
        return list(dict.fromkeys(line for result in self.results.values() for line in result["told"]))


def write_scans_report(output: Path, report: ScansReport, *, choice: Choice) -> tuple[str, ...]:
    """Writes detections.json, and the CSV and the page where they are among the formats; returns their names."""
    if "csv" in choice.formats:
        write_text(output / FILE_OF_FORMAT["csv"], scans_csv(report))
    if "html" in choice.formats:
        write_text(output / FILE_OF_FORMAT["html"], scans_page(report))
    write_json(output / FILE_OF_FORMAT["json"], scans_as_json(report))
    return tuple(FILE_OF_FORMAT[each] for each in choice.formats if each in ("csv", "json", "html"))


def scans_csv(report: ScansReport) -> str:
    """One line a mark, as in a scan's own CSV, behind the name of the scan's results."""
    rows = ((name, *row) for name, result in report.results.items() for row in detection_rows(result))
    return csv_text([("name", *DETECTION_COLUMNS), *rows])


def scans_as_json(report: ScansReport) -> dict[str, Any]:
    """What became of each scan; the marks stand in the JSON of its own."""
    return {
        "intended_use": RESEARCH_USE,
        "scans": [
            {
                "name": name,
                **{field: result[field] for field in ("input", "series_uid", "study_instance_uid")},
                "marks": len(result["marks"]),
                "best_score": _best(result),
                **{field: result[field] for field in ("threshold", "list_is_cut", "was_trained_on")},
            }
            for name, result in report.results.items()
        ],
        "failed": [{"input": origin, "reason": reason} for origin, reason in report.failed.items()],
        "waiting": list(report.waiting),
    }


def scans_page(report: ScansReport) -> str:
    """The page: scans, highest scores first, each a link to its own page; failures; what is to do."""
    best_first = sorted(report.results.items(), key=lambda item: -(_best(item[1]) or 0))
    rows = [
        page.row(
            f'<a href="{name}/{FILE_OF_FORMAT["html"]}">{html.escape(name)}</a>',
            html.escape(str(result["input"])),
            len(result["marks"]),
            sum(mark["shown"] for mark in result["marks"]),
            "-" if _best(result) is None else f"{_best(result):.3f}",
        )
        for name, result in best_first
    ]
    columns = ("Scan", "Input", "Marks", "of them shown", "Best score")
    sections = [page.section("Scans", page.scrolled(page.table(columns, rows), name="Scans"))]
    if report.failed:
        failed = [page.row(html.escape(origin), html.escape(reason)) for origin, reason in report.failed.items()]
        table = page.scrolled(page.table(("Input", "Why"), failed), name="Not searched", kind="failures")
        sections.append(page.section("Could not be searched", table))
    if report.waiting:
        waiting = ", ".join(html.escape(name) for name in report.waiting)
        sections.append(page.section("Still to do", f"<p>{waiting}</p>"))
    facts = {"Searched": len(report.results), "Failed": len(report.failed), "Still to do": len(report.waiting)}
    return page.fill_page(
        TEMPLATE,
        title=f"Marks in {page.count(len(report.results), 'scan', 'scans')}",
        notices=page.notices([*_failures_in_words(report), *report.told]),
        facts=page.fact_list({name: str(number) for name, number in facts.items()}),
        tables="\n".join(sections),
        footer=f"{page.software()}.",
    )


def _failures_in_words(report: ScansReport) -> list[str]:
    failed = page.count(len(report.failed), "scan", "scans")
    return [f"{failed} could not be searched, see the table of reasons below."] if report.failed else []


def _best(result: Mapping[str, Any]) -> float | None:
    return max((mark["score"] for mark in result["marks"]), default=None)
