"""The bound of every pseudo-label: hidden labels given to the unlabelled patches, and where these lie.

    python -m experiments.table --name=oracle --data=phantom --workdir=runs/tables

Nothing here can be done without the labels: where the oracle gains little, sampling is the limit and not the targets.
No box is learnt from unlabelled patches, as from pseudo-labels. Everything here is our choice (o).
"""

from experiments.runs.table.declaration import Row, Table
from experiments.tables._arms import focalmix, supervised

COMMAND = "experiments.focalmix"
LABELLED = 10
TRUTH = {"ssl.targets": "truth"}
CENTRED = {"patches.unlabelled_nodule_share": 0.7}  # as labelled patches


def get_table(data: str) -> Table:
    """FocalMix and the oracle, with unlabelled patches anywhere in the lungs and round hidden nodules."""
    few = focalmix(LABELLED)
    return Table(
        title=f"True labels on unlabelled patches, {LABELLED} labelled scans",
        rows=(
            Row(name="supervised", label="supervised", overrides=supervised(LABELLED)),
            Row(name="focalmix", label="FocalMix", overrides=few),
            Row(name="focalmix_centred", label="FocalMix, round hidden nodules", overrides={**few, **CENTRED}),
            Row(name="truth", label="true labels", overrides={**few, **TRUTH}),
            Row(name="truth_centred", label="true labels, round hidden nodules", overrides={**few, **TRUTH, **CENTRED}),
            Row(name="all", label="all labelled", overrides=supervised(-1)),
        ),
        draws=(0, 1, 2),
        differences=(
            ("truth", "supervised"),
            ("truth_centred", "supervised"),
            ("truth", "focalmix"),
            ("truth_centred", "focalmix_centred"),
        ),
        shares=(("supervised", "truth", "all"), ("supervised", "truth_centred", "all")),
    )
