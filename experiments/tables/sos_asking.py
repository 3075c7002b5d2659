"""How often RDMS's policy asks the high-resolution network as asking costs more, or a budget is set.

    python -m experiments.table --name=sos_asking --data=slide_phantom --workdir=runs/tables

With the relative reward of its config asking is free, and it asks always or never. Here it is paid by right answers, on
slides that the networks do not learn: on those that they do, both are right in the end, and nothing is worth asking.
So these rows train on fewer slides than `rdms`, and are compared with the one of them where asking costs nothing.
All of this is ours: the SOS paper does not tell its reward.
Hardware, LKS: meant for one GPU of 80 GB; time not measured.
"""

from experiments.configs import _methods
from experiments.runs.table.declaration import Table
from experiments.tables._slide_arms import method_row, paid_rdms

COMMAND = "experiments.sos"
COSTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)  # in right answers
BUDGETS = (0.06, 0.2)


def get_table(data: str) -> Table:
    """RDMS as its config has it, with rising costs, and with budgets."""
    costs = [paid_rdms(f"cost_{cost:g}", f"RDMS, asking costs {cost:g}", data, cost=cost) for cost in COSTS]
    budgets = [paid_rdms(f"budget_{share:g}", f"RDMS, budget {share:g}", data, budget=share) for share in BUDGETS]
    rows = (method_row("rdms", _methods.rdms), *costs, *budgets)
    return Table(
        title="RDMS as asking costs more",
        rows=rows,
        draws=(0, 1, 2),
        differences=(("cost_0", "rdms"), *((row.name, "cost_0") for row in rows[2:])),
    )
