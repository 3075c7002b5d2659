"""SOS with each loss, and the link between its networks, left out in turn.

    python -m experiments.table --name=sos_parts --data=slide_phantom --workdir=runs/tables

Without L_2 and L_3 it is the cascade of the table `sos`. L_3 has two sides: hesitant, where the low-resolution network
is right and unsure, and hurried, where it is sure and wrong and the other one right.
Hardware, LKS: meant for one GPU of 80 GB; time not measured.
"""

from experiments.configs import _methods
from experiments.runs.table.declaration import Table
from experiments.tables._arms import Changes, changed
from experiments.tables._slide_arms import method_row, sos_row

COMMAND = "experiments.sos"
PARTS: Changes = {
    "no_low": ("SOS without L_ce1", {"method.low_weight": 0.0}),
    "no_high": ("SOS without L_ce2", {"method.high_weight": 0.0}),
    "no_paradoxical": ("SOS without L_2", {"method.paradoxical_weight": 0.0}),
    "no_hesitant": ("SOS without L_3's hesitant side", {"method.hesitant_weight": 0.0}),
    "no_hurried": ("SOS without L_3's hurried side", {"method.hurried_weight": 0.0}),
    "no_executive": ("SOS without L_3", {"method.hesitant_weight": 0.0, "method.hurried_weight": 0.0}),
    "no_link": ("SOS without the link", {"method.join": "none"}),
    "link_stopped": ("SOS, the link teaches the HRN alone", {"method.stop_feature": True}),
}


def get_table(_: str) -> Table:
    """Image-Level, SOS, SOS with one part less a row, and the cascade; each against SOS."""
    without = changed({}, PARTS)
    rows = (method_row("image", _methods.image_level), sos_row(), *without, method_row("cascade", _methods.cascade))
    return Table(
        title="SOS with a part left out",
        rows=rows,
        draws=(0, 1, 2),
        differences=tuple((row.name, "sos") for row in rows if row.name not in ("sos", "image")),
        gains=tuple((row.name, "image") for row in rows if row.name != "image"),
    )
