"""Tables 3 and 4 of the SOS paper, with a plain cascade, Gatekeeper and learned deferral beside its methods.

    python -m experiments.table --name=sos --data=slide_phantom --workdir=runs/tables

The first figure is the area under accuracy against the share of slides settled at low resolution. Each method is as
its config has it: learned deferral keeps more slides apart to fit its head, and RDMS with a budget some to be paid by;
both train on fewer. The cascade and all rows after it are not the paper's; `cascade_apart` is deferral's networks
switched by confidence.
Hardware, LKS: meant for one GPU of 80 GB; time not measured.
"""

from experiments.configs import _methods
from experiments.runs.table.declaration import Table
from experiments.tables._slide_arms import BUDGET, cascade_apart, method_row, paid_rdms, sos_row

COMMAND = "experiments.sos"


def get_table(data: str) -> Table:
    """The paper's five methods, then ours; SOS against each, and what training and what switching add."""
    asked = BUDGET[data]
    rows = (
        method_row("image", _methods.image_level),
        method_row("patch", _methods.patch_level),
        method_row("multiscale", _methods.multi_scale),
        method_row("rdms", _methods.rdms),
        sos_row(),
        method_row("cascade", _methods.cascade),
        method_row("gatekeeper", _methods.gatekeeper),
        method_row("deferral", _methods.deferral, {"inference.deferral_budget": asked}),
        cascade_apart(),
        paid_rdms("rdms_budget", f"RDMS, budget {asked:g}", data, budget=asked),
    )
    switching = ("sos", "cascade", "gatekeeper", "deferral", "cascade_apart", "rdms", "rdms_budget")
    return Table(
        title="SOS and the methods beside it",
        rows=rows,
        draws=(0, 1, 2, 3, 4),
        differences=(
            *(("sos", row.name) for row in rows if row.name not in ("sos", "cascade_apart")),
            ("deferral", "cascade_apart"),
        ),
        gains=tuple((name, "image") for name in switching),
    )
