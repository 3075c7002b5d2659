"""What was measured, as a table for people and as JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks.bench import Measurement, Ratio
from medssl_jax.report.text_table import text_table

HEADER = ("work", "cpu s", "wall s", "beside", "cpu ratio", "range", "wall ratio", "range", "also")


def table(measurements: Sequence[Measurement], *, markdown: bool = False) -> str:
    """A row for each; ratios below 1 are faster than what stands beside."""
    return text_table([HEADER, *map(_row, measurements)], markdown=markdown)


def as_json(environment: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """The text of the JSON file: the machine, and what each part gave, or why it gave nothing."""
    return json.dumps({"environment": dict(environment), "parts": dict(parts)}, indent=1) + "\n"


def described(environment: Mapping[str, Any]) -> str:
    """The code, the machine and the versions in lines."""
    code, devices = environment["code"], environment["devices"]
    commit = f"commit {code['commit'][:12]}" if code["commit"] else "no commit"
    accelerator = "" if devices["platform"] != "cpu" else "; no GPU or TPU here, so nothing of them is measured"
    return "\n".join(
        (
            commit + ("" if code["is_clean"] or not code["commit"] else " with changes"),
            f"{devices['count']} x {devices['kind']}, {environment['processors']} processors, load "
            f"{environment['load']:.1f}{accelerator}",
            ", ".join(f"{name} {version}" for name, version in environment["versions"].items()),
        )
    )


def _row(measurement: Measurement) -> tuple[str, ...]:
    seconds = [_short(each) for each in reversed(measurement.median)] if measurement.costs else ["", ""]
    also = ", ".join(
        f"{name} {value if isinstance(value, str) else _short(value)}" for name, value in measurement.notes.items()
    )
    ratios = [
        cell
        for kind in ("cpu", "wall")
        for cell in (_ratio(measurement.ratio(kind)) if measurement.beside else ("", ""))
    ]
    return (measurement.work, *seconds, measurement.beside, *ratios, also)


def _ratio(ratio: Ratio) -> tuple[str, str]:
    return _short(ratio.median), f"{_short(ratio.low)}-{_short(ratio.high)}"


def _short(value: float) -> str:
    """Three digits that count."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
