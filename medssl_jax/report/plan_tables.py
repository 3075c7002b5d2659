"""Plans as a table: the memory and work of one chip beside its limits."""

from collections.abc import Sequence

from medssl_jax.plan.collectives import KINDS
from medssl_jax.plan.plan import Memory, Plan
from medssl_jax.report.text_table import text_table


def plan_text(plans: Sequence[Plan]) -> str:
    """The title of each plan, then their table."""
    return "\n\n".join([*(plan.title for plan in plans), chip_table(plans)])


def chip_table(plans: Sequence[Plan]) -> str:
    """Memory and work of one chip in Markdown, a column for each plan."""
    rows = [
        ["per chip", *(plan.name for plan in plans)],
        ["parameters", *(_gigabytes(plan.memory.parameters) for plan in plans)],
        ["state and patches", *(_gigabytes(plan.memory.arguments) for plan in plans)],
        ["temporaries", *(_gigabytes(plan.memory.temporaries) for plan in plans)],
        ["program", *(_gigabytes(plan.memory.program) for plan in plans)],
        ["peak memory", *(_peak(plan.memory) for plan in plans)],
        ["arithmetic", *(f"{plan.work.flops / 1e12:.3g} TFLOP" for plan in plans)],
        ["memory traffic", *(_gigabytes(plan.work.bytes_moved) for plan in plans)],
    ]
    for kind in KINDS:
        sent = [sum(each.sent_bytes for each in plan.work.collectives if each.kind == kind) for plan in plans]
        if any(sent):
            rows.append([f"sent by {kind}", *(f"{size / 1e6:.3f} MB" for size in sent)])
    for name in dict.fromkeys(name for plan in plans for name in plan.seconds):
        times = [f"{1e3 * plan.seconds[name]:.1f} ms" if plan.seconds else "-" for plan in plans]
        rows.append([f"roofline, {name}", *times])
    return text_table(rows, markdown=True)


def _peak(memory: Memory) -> str:
    limit = f" of {_gigabytes(memory.limit)} ({memory.peak / memory.limit:.0%})" if memory.limit else ""
    return _gigabytes(memory.peak) + limit


def _gigabytes(size: int | float) -> str:
    """In binary units, as chips' memories are."""
    return f"{size / 2**30:.3g} GiB"
