"""SOS on many slides, of which it asks about few or more, beside Multi-Scale on the same ones.

Slides have patches of LKS's size, and few of them: what the LRN costs beside the HRN is about what it is on LKS. The
networks are untrained, so c is put where as many slides are asked about as --selective.asked says. The HRN looks at all
of their patches, and then at --selective.top_k of each. All take turns in processes of their own, from files that were
just written; what is compiled is left out. Two cores of a CPU need nine minutes for a pair, and slides half a GB of
disk.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.benchmarks.bench import Bench, Cost, Measurement, clock
from experiments.benchmarks.own_process import in_own_process
from experiments.benchmarks.parts import whole_slide
from medssl_jax.core.errors import InputError
from medssl_jax.imaging.slides import open_slide
from medssl_jax.inference.selective import WAITING_STAGES

SMALLEST = {
    **{name: whole_slide.SMALLEST[name] for name in ("config", "grid", "patch_side", "shrink")},
    "slides": 4,
    "asked": (1,),
    "top_k": 1,
}
BESIDE = "Multi-Scale"


class Pass(NamedTuple):
    """What all slides take: the cost, and the share of the time in which networks wait for pixels.

    `asked` is how many slides were asked about, `patches` how many were looked at, of all slides together.
    """

    cost: Cost
    waiting: float
    asked: int
    patches: int


def measure(
    bench: Bench,
    *,
    config: str = "configs/sos.py",
    grid: int = 4,
    patch_side: int = 1000,
    shrink: int = 40,
    file: str = "strips",
    slides: int = 32,
    asked: tuple[int, ...] = (2, 4, 10),
    top_k: int = 4,
) -> list[Measurement]:
    """Writes `slides` and sends them through Image-Level, and through SOS as it asks about so many, beside Multi-Scale.

    Raises `InputError` for a kind of file that is none, for a config whose rule is not `confidence`, and where it is to
    ask about more slides, or look at more patches, than there are.
    """
    if file not in whole_slide.KINDS:
        raise InputError(f"--selective.file: found {file}, expected {', '.join(whole_slide.KINDS)}")
    for flag, found, most in (*(("asked", each, slides) for each in asked), ("top_k", top_k, grid**2)):
        if not 1 <= found <= most:
            raise InputError(f"--selective.{flag}: found {found}, expected 1 to {most}")
    cut = {"grid": grid, "patch_side": patch_side, "shrink": shrink}
    if (rule := whole_slide.settings_of(config, "SOS", cut).inference.rule) != "confidence":
        raise InputError(f"--selective.config: found the rule {rule}, expected confidence, which is SOS's")
    works = {"Image-Level": ("Image-Level", 0, 0)}
    for count in asked:
        works |= {
            f"SOS, {count} of {slides} asked": ("SOS", count, 0),
            f"SOS, {count} of {slides} asked, {top_k} patches": ("SOS", count, top_k),
        }
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.tif" for number in range(slides)]
        for number, path in enumerate(paths):
            whole_slide.write_slide(path, grid * patch_side + whole_slide.MARGIN, file, number)
        rounds: list[dict[str, Pass]] = [{} for _ in range(bench.pairs)]
        for number, passes in enumerate(rounds):
            for name, work in {BESIDE: (BESIDE, 0, 0), **works}.items():
                passes[name] = in_own_process(pass_of, paths, config, cut, *work).result
                seconds = passes[name].cost.wall
                print(f"selective: {name}: {seconds:.1f} s, {number + 1} of {bench.pairs}", flush=True)
    beside = [each[BESIDE].cost for each in rounds]
    return [_measurement(name, [each[name] for each in rounds], beside, slides) for name in works]


def _measurement(name: str, passes: Sequence[Pass], beside: Sequence[Cost], slides: int) -> Measurement:
    measurement = Measurement(name, [each.cost for each in passes], BESIDE, beside)
    return measurement.noting(
        SB=1 / measurement.ratio("wall").median,
        LP=1 - passes[0].asked / slides,
        **{"waiting share": float(np.median([each.waiting for each in passes])), "patches": passes[0].patches},
    )


def pass_of(
    paths: Sequence[Path], config: str, cut: Mapping[str, int], method: str, asked: int = 0, top_k: int = 0
) -> Pass:
    """Sends slides through a method once; SOS asks about `asked` of them, those of which its LRN is least sure.

    Raises `ValueError` where it asked about another number, since it is as sure of one as of the next.
    """
    settings = whole_slide.settings_of(config, method, cut)
    slides = [functools.partial(open_slide, path, settings.data.layout) for path in paths]
    inference = dataclasses.replace(settings.inference, top_k=top_k)
    if inference.rule == "confidence":
        settled = whole_slide.untrained(settings, dataclasses.replace(inference, c=0.0))  # the same program
        said = (result.low_probability for result in settled(slides))
        sure = sorted(float(probability.max()) for probability in said if probability is not None)
        inference = dataclasses.replace(inference, c=sure[asked - 1])
    classifier = whole_slide.untrained(settings, inference)
    _ = classifier.peak_memory_bytes  # compiles everything
    begin = clock()
    results = list(classifier(slides))
    end = clock()
    waited = sum(result.seconds.get(stage, 0.0) for result in results for stage in WAITING_STAGES)
    looked_at = [result.attention for result in results if result.attention is not None]
    if inference.rule == "confidence" and len(looked_at) != asked:
        raise ValueError(
            f"{method} asked about {len(looked_at)} slides, expected {asked}: others are as sure as one of them"
        )
    return Pass(
        cost=Cost(end.wall - begin.wall, end.cpu - begin.cpu),
        waiting=waited / (end.wall - begin.wall),
        asked=len(looked_at),
        patches=sum(int((attention > 0).sum()) for attention in looked_at),
    )
