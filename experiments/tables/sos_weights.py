"""SOS as the settings of its executive loss move: eps, and the weights lambda1 and lambda2 of its two sides.

    python -m experiments.table --name=sos_weights --data=slide_phantom --workdir=runs/tables

The paper does not tell any of them as far as we know, so the values here are ours. lambda1 weighs the hesitant side,
lambda2 the hurried one; the table `sos_parts` has each of them at 0, and c is swept without training by every run.
Hardware, LKS: meant for one GPU of 80 GB; time not measured.
"""

from experiments.runs.table.declaration import Table
from experiments.tables._arms import Changes, changed
from experiments.tables._slide_arms import sos_row

COMMAND = "experiments.sos"
# The config has eps .05, and 1 for either weight.
SETTINGS: Changes = {
    "eps_0.01": ("SOS, eps .01", {"method.eps": 0.01}),
    "eps_0.1": ("SOS, eps .1", {"method.eps": 0.1}),
    "lambda1_4": ("SOS, lambda1 4", {"method.hesitant_weight": 4.0}),
    "lambda2_4": ("SOS, lambda2 4", {"method.hurried_weight": 4.0}),
    "lambdas_0.25": ("SOS, lambda1 and lambda2 .25", {"method.hesitant_weight": 0.25, "method.hurried_weight": 0.25}),
    "lambdas_4": ("SOS, lambda1 and lambda2 4", {"method.hesitant_weight": 4.0, "method.hurried_weight": 4.0}),
}


def get_table(_: str) -> Table:
    """SOS as its config has it, then a row for each other setting, beside it."""
    moved = changed({}, SETTINGS)
    return Table(
        title="SOS as the weights of its executive loss move",
        rows=(sos_row(), *moved),
        draws=(0, 1, 2),
        differences=tuple((row.name, "sos") for row in moved),
    )
