"""A plan as tables: what is on each chip, what chips exchange, and how the step scales."""

from medssl_jax.plan.roofline import Scaled
from medssl_jax.report.text_table import text_table
from medssl_jax.runs.plan import Plan, collectives_by_origin

SHOWN_COLLECTIVES = 12


def plan_text(plan: Plan, *, markdown: bool = False) -> str:
    """All tables of a plan, each after what it is about."""
    parts = [_title(plan), chip_table(plan, markdown=markdown)]
    if plan.work.collectives:
        parts += ["Collectives of a step, as one chip has them:", collective_table(plan, markdown=markdown)]
    if plan.scaling:
        parts += ["The least time of a step, by roofline:", scaling_table(plan.scaling, markdown=markdown)]
    return "\n\n".join(parts)


def chip_table(plan: Plan, *, markdown: bool = False) -> str:
    """Memory and work of one chip."""
    memory, work = plan.memory, plan.work
    peak = gigabytes(memory.peak)
    if memory.limit:
        peak += f" of {gigabytes(memory.limit)} ({memory.peak / memory.limit:.0%})"
    rows = [
        ["per chip", ""],
        ["parameters", gigabytes(memory.parameters)],
        ["state and patches", gigabytes(memory.arguments)],
        ["temporaries", gigabytes(memory.temporaries)],
        ["program", gigabytes(memory.program)],
        ["peak memory", peak],
        ["arithmetic", f"{work.flops / 1e12:.3g} TFLOP"],
        ["memory traffic", gigabytes(work.bytes_moved)],
        ["sent to other chips", gigabytes(round(sum(each.sent_bytes for each in work.collectives)))],
    ]
    if plan.seconds:
        seconds = plan.seconds
        rows += [
            ["at peak, arithmetic", _milliseconds(seconds.compute)],
            ["at peak, memory traffic", _milliseconds(seconds.memory)],
            ["at peak, exchange", _milliseconds(seconds.exchange)],
        ]
    return text_table(rows, markdown=markdown)


def collective_table(plan: Plan, *, markdown: bool = False) -> str:
    """The largest collectives by kind and origin, and the rest as one line."""
    added = collectives_by_origin(plan.work.collectives)
    shown, rest = added[:SHOWN_COLLECTIVES], added[SHOWN_COLLECTIVES:]
    rows = [["kind", "from", "chips", "count", "bytes"]]
    rows += [
        [each.kind, _origin(each.op_name), str(each.group), str(each.runs), _bytes(each.stored_bytes)] for each in shown
    ]
    if rest:
        count, size = sum(each.runs for each in rest), sum(each.stored_bytes for each in rest)
        rows.append(["all others", "", "", str(count), _bytes(size)])
    return text_table(rows, markdown=markdown, names=2)


def scaling_table(scaling: list[Scaled], *, markdown: bool = False) -> str:
    """One line a number of chips; efficiency is patches a second and chip beside the best of them."""
    best = max(each.patches_per_second / each.chips for each in scaling)
    rows = [["chips", "patches", "ms a step", "waits for", "patches/s", "efficiency"]]
    for each in scaling:
        efficiency = each.patches_per_second / each.chips / best
        rows.append(
            [
                str(each.chips),
                str(each.patches),
                f"{1e3 * each.seconds.step:.1f}",
                each.seconds.bound,
                f"{each.patches_per_second:.1f}",
                f"{efficiency:.1%}",
            ]
        )
    return text_table(rows, markdown=markdown)


def gigabytes(size: int) -> str:
    """Binary, as chips' memories are."""
    return f"{size / 2**30:.3g} GiB"


def _title(plan: Plan) -> str:
    batch = f"{plan.labelled_batch} + {plan.unlabelled_batch}"
    remat = "blocks computed again" if plan.remat else "blocks kept"
    compiled = f"compiled in {plan.compile_seconds:.0f} s"
    return f"{plan.name}: {plan.chips} chips, batch {batch}, {plan.dtype}, {remat}, {compiled}"


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms"


def _bytes(size: int) -> str:
    return f"{size / 1e6:.3f} MB"


def _origin(op_name: str) -> str:
    """The last three names of where an operation comes from: enough to find it, short enough to print."""
    return "/".join(op_name.split("/")[-3:]) or "-"
