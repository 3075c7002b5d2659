"""Plans as tables: what is on each chip, what chips exchange, and how the step scales."""

import re
from collections.abc import Sequence

from medssl_jax.plan.collectives import KINDS
from medssl_jax.plan.plan import Memory, Plan, collectives_by_origin
from medssl_jax.plan.roofline import Scaled, StepSeconds
from medssl_jax.report.text_table import text_table

SHOWN_COLLECTIVES = 12


def plan_text(plans: Sequence[Plan], *, markdown: bool = False) -> str:
    """All tables of one or several plans, each after what it is about."""
    parts = [*map(_title, plans), chip_table(plans, markdown=markdown)]
    for plan in plans:
        if plan.work.collectives:
            parts += [f"Collectives of a step on {plan.name}:", collective_table(plan, markdown=markdown)]
        if plan.scaling:
            parts += [f"The least time of a step on {plan.name}, by roofline:"]
            parts += [scaling_table(plan.scaling, markdown=markdown)]
    return "\n\n".join(parts)


def chip_table(plans: Sequence[Plan], *, markdown: bool = False) -> str:
    """Memory and work of one chip, a column for each plan."""
    rows = [
        ["per chip", *(plan.name for plan in plans)],
        ["parameters", *(gigabytes(plan.memory.parameters) for plan in plans)],
        ["state and patches", *(gigabytes(plan.memory.arguments) for plan in plans)],
        ["temporaries", *(gigabytes(plan.memory.temporaries) for plan in plans)],
        ["program", *(gigabytes(plan.memory.program) for plan in plans)],
        ["peak memory", *(_peak(plan.memory) for plan in plans)],
        ["arithmetic", *(f"{plan.work.flops / 1e12:.3g} TFLOP" for plan in plans)],
        ["memory traffic", *(gigabytes(plan.work.bytes_moved) for plan in plans)],
    ]
    sent = [_sent_by_kind(plan) for plan in plans]
    for kind in KINDS:
        if any(kind in each for each in sent):
            rows.append([f"sent by {kind}", *(_bytes(each.get(kind, 0)) for each in sent)])
    for name, part in (("arithmetic", "compute"), ("memory traffic", "memory"), ("exchange", "exchange")):
        if any(plan.seconds for plan in plans):
            rows.append([f"at peak, {name}", *(_milliseconds(plan.seconds, part) for plan in plans)])
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
    chips = "1 chip" if plan.chips == 1 else f"{plan.chips} chips"
    return f"{plan.name}: {chips}, batch {batch}, {plan.dtype}, {remat}, {compiled}"


def _peak(memory: Memory) -> str:
    limit = f" of {gigabytes(memory.limit)} ({memory.peak / memory.limit:.0%})" if memory.limit else ""
    return gigabytes(memory.peak) + limit


def _sent_by_kind(plan: Plan) -> dict[str, float]:
    sent: dict[str, float] = {}
    for each in plan.work.collectives:
        sent[each.kind] = sent.get(each.kind, 0) + each.sent_bytes
    return sent


def _milliseconds(seconds: StepSeconds | None, part: str) -> str:
    return f"{1e3 * getattr(seconds, part):.1f} ms" if seconds else "-"


def _bytes(size: int | float) -> str:
    return f"{size / 1e6:.3f} MB"


def _origin(op_name: str) -> str:
    """The last three names of where an operation comes from; of several that XLA made one, the first."""
    first, *others = re.split("[:;]", op_name)
    name = "/".join(first.replace("/(", "/").split("/")[-3:]) or "-"
    return f"{name} and {len(others)} more" if others else name
