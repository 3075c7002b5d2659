"""Marks as a list of points for 3D Slicer: a `.mrk.json` by the schema that Slicer publishes.

Each file names its schema, which lies in Slicer's repository under Modules/Loadable/Markups/Resources/Schema.
"""

from typing import Any

from medssl_jax.report.json_report import single_precision
from medssl_jax.report.nodules.scan_report import ScanReport
from medssl_jax.report.provenance import RESEARCH_USE

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


def markups_as_json(detections: ScanReport, *, min_score: float | None) -> dict[str, Any]:
    """The content of the `.mrk.json`: a point at the centre of each mark of at least `min_score`, best first.

    Coordinates are x, y, z in mm (LPS, as the file says). A point's label is the number of its mark and its
    score, shown beside it; its description has the diameter too. Points are locked, so that none is moved by mistake.
    """
    shown = detections.count_from(min_score)
    detector = f"{detections.detector.run}, step {detections.detector.step}"
    return {
        "@schema": SCHEMA,
        "markups": [
            {
                "type": "Fiducial",
                "name": f"{shown} of {len(detections.marks)} marks of {detector}",
                "coordinateSystem": "LPS",
                "coordinateUnits": "mm",
                "locked": True,
                "display": {"pointLabelsVisibility": True},  # off by the schema's default
                "controlPoints": [_point(detections, k) for k in range(shown)],
            }
        ],
    }


def _point(detections: ScanReport, k: int) -> dict[str, Any]:
    score = single_precision(float(detections.marks.score[k]))
    return {
        "id": str(k + 1),
        "label": f"{k + 1}: {score:.2f}",
        "description": f"score {score:.9g}, diameter {detections.diameter_mm[k]:.3f} mm. {RESEARCH_USE}",
        "position": [round(mm, 4) for mm in detections.marks.centre_xyz_mm[k].tolist()],
        "selected": True,
        "locked": True,
        "visibility": True,
        "positionStatus": "defined",
    }
