"""One HTML page about any number of slides: each one's picture, class, route, probabilities and attention map.

`slide_page.html` and `slide_page_style.html` are its own; `page.py` says what all pages have in common.
"""

import html
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from etils import epy
from jaxtyping import Bool, Float, UInt8

from medssl_jax.inference.selective import SlideResult
from medssl_jax.report import page
from medssl_jax.report.slides.slide_notices import reading_notices
from medssl_jax.report.slides.slide_report import STAGES, SlideReport, deciding_probability, total_seconds

with epy.lazy_imports():
    from PIL import Image

TEMPLATE = Path(__file__).with_name("slide_page.html")
THUMBNAIL_SIDE = 320  # at some 15 kB each a page of a thousand slides still opens
THUMBNAIL_GAMMA = 0.5  # fluorescence is dark: a fifth of full scale is bright tissue
FEW = 3  # slides that are shown larger
ATTENTION_COLOUR = (255, 150, 0)
ATTENTION_FULL = 8.0  # in means over the slide's patches with tissue: where the colour is full
ATTENTION_OPACITY = 0.85
PHANTOM_CLASSIFIER = (
    "The classifier was trained on synthetic slides (a phantom) and has never seen a real one. On real slides its "
    "classes show that the software runs, and nothing about how well it classifies."
)
PHANTOM_SLIDES = "These slides are synthetic (a phantom), not patients': nothing here is a result on real data."
NO_FOREGROUND = "No tissue found: every patch is background, and the class means little."
ROUTES = {"low": "settled at low resolution", "high": "sent to full resolution"}
RULES = {
    "low": "the low-resolution network (LRN) gives the class",
    "high": "the high-resolution network (HRN) gives the class",
    "confidence": "the low-resolution network (LRN) gives the class where its largest probability is above c = {c:g}, "
    "else the high-resolution network (HRN)",
    "policy": "a policy network chooses between the low-resolution network (LRN) and the high-resolution network (HRN)",
    "deferral": "a head on the feature of the low-resolution network (LRN) asks the high-resolution network (HRN) "
    "where that is foretold to gain most",
}
STAGE_NAMES = dict(zip(STAGES, ("low-resolution image", "LRN", "patches", "HRN"), strict=True))
LEGEND = (
    "All pictures are brightened alike, by a square root, so brightness compares between slides. Bars: probability of "
    "each class; bold: the network that gave the class."
)
ATTENTION_LEGEND = (
    "Where the HRN looked: from nothing"
    f'<span class="ramp" role="img" aria-label="to orange"></span>to {ATTENTION_FULL:g} times the mean or more.'
)


def thumbnail(low_resolution: UInt8[np.ndarray, "side side"]) -> str:
    """The picture of a slide for the page, as an address that holds it; make it while the slide is at hand."""
    brightened = np.rint(255 * (np.arange(256) / 255) ** THUMBNAIL_GAMMA).astype(np.uint8)
    side = min(THUMBNAIL_SIDE, len(low_resolution))
    small = Image.fromarray(low_resolution).resize((side, side), Image.Resampling.BOX)
    return page.jpeg_data_uri(brightened[np.asarray(small)])


def slide_page(report: SlideReport, thumbnails: Mapping[str, str]) -> str:
    """The page; `thumbnails` has the `thumbnail` of each slide by its name."""
    return page.fill_page(
        TEMPLATE,
        title=_title(report),
        notices=page.notices(_warnings(report)),
        facts=_facts(report),
        refused=_refused(report),
        overview=_overview(report),
        legend=_legend(report),
        filters=_filters(report),
        filter_style=_filter_style(report),
        slides=_slides(report, thumbnails),
        footer=f"Every number is in results.csv and results.json beside this page. {page.software()}.",
    )


def draw_attention(
    attention: Float[np.ndarray, " patches"], foreground: Bool[np.ndarray, " patches"]
) -> UInt8[np.ndarray, "grid grid 4"]:
    """One pixel a patch, the more opaque the more it counts beside the mean over the foreground."""
    grid = round(len(attention) ** 0.5)
    in_means = attention * max(1, int(foreground.sum())) / max(float(attention.sum()), 1e-12)
    opacity = 255 * ATTENTION_OPACITY * np.clip(in_means / ATTENTION_FULL, 0, 1)
    colour = np.broadcast_to(np.array(ATTENTION_COLOUR), (len(attention), 3))
    return np.rint(np.column_stack([colour, opacity])).astype(np.uint8).reshape(grid, grid, 4)


def _title(report: SlideReport) -> str:
    if len(report.results) == 1:
        return f"Class of {html.escape(report.results[0].name)}"
    return f"Classes of {len(report.results)} slides"


def _warnings(report: SlideReport) -> list[str]:
    warnings = [PHANTOM_SLIDES] if report.are_phantom_slides else []
    warnings += [PHANTOM_CLASSIFIER] if report.classifier.trained_on_phantom else []
    warnings += report.classifier.told
    unlike = len(report.unlike_training)
    if unlike:
        warnings.append(f"{page.count(unlike, 'slide looks', 'slides look')} unlike those of training: marked below.")
    return warnings + [_sentence(notice) for notice in reading_notices(report.readings, report.training)]


def _facts(report: SlideReport) -> str:
    card, slides = report.classifier, len(report.results)
    facts = {
        "Classifier": f"{card.run}, step {card.step}",
        "Trained on": card.trained_on,
        "Switch": RULES[report.rule].format(c=report.c),
    }
    if slides:
        facts["Settled at low resolution"] = f"{report.settled_low} of {page.count(slides, 'slide', 'slides')}"
        facts["Time"] = _times(report)
    return page.fact_list(facts)


def _times(report: SlideReport) -> str:
    mean = sum(map(total_seconds, report.results)) / len(report.results)
    parts = []
    for stage, name in STAGE_NAMES.items():
        seconds = [result.seconds[stage] for result in report.results if stage in result.seconds]
        if seconds:
            parts.append(f"{name} {_seconds(sum(seconds) / len(seconds))}")
    return f"{_seconds(mean)} a slide; means of the slides that had each: {', '.join(parts)}"


def _refused(report: SlideReport) -> str:
    if not report.refused:
        return ""
    items = "\n".join(f"<li>{html.escape(reason)}</li>" for reason in report.refused.values())
    heading = page.count(len(report.refused), "file could not be read", "files could not be read")
    return page.section(heading, f'<ul class="refused">\n{items}\n</ul>')


def _overview(report: SlideReport) -> str:
    if len(report.results) < 2:
        return ""
    counts = np.zeros((len(report.classes), len(ROUTES)), int)
    for result in report.results:
        counts[result.label, list(ROUTES).index(result.route)] += 1
    rows = [
        page.row(name, *of_class, of_class.sum())
        for name, of_class in [*zip(report.classes, counts, strict=True), ("All", counts.sum(axis=0))]
    ]
    columns = ("Class", *(f"{words[0].upper()}{words[1:]}" for words in ROUTES.values()), "Slides")
    counted = page.table(columns, rows)
    return page.section("Overview", page.scrolled(counted, name="Slides by class and route", kind="counts"))


def _has_attention(report: SlideReport) -> bool:
    return any(result.attention is not None for result in report.results)


def _legend(report: SlideReport) -> str:
    return f"{LEGEND} {ATTENTION_LEGEND}" if _has_attention(report) else LEGEND


def _filters(report: SlideReport) -> str:
    """Choices that work without scripts: `_filter_style` hides what is not chosen."""
    parts = []
    if len(report.results) > 1:
        parts.append(_choices("route", {"all": "all"} | ROUTES))
        parts.append(_choices("class", {"all": "all"} | {str(k): name for k, name in enumerate(report.classes)}))
    if _has_attention(report):
        box = '<label><input type="checkbox" id="attention" checked>shown</label>'
        parts.append(f"<fieldset>\n<legend>Attention</legend>\n{box}\n</fieldset>")
    return "\n".join(parts)


def _choices(group: str, values: Mapping[str, str]) -> str:
    choices = [
        f'<label><input type="radio" name="{group}" id="{group}-{value}"{" checked" * (value == "all")}>{words}</label>'
        for value, words in values.items()
    ]
    return f"<fieldset>\n<legend>{group.capitalize()}</legend>\n" + "\n".join(choices) + "\n</fieldset>"


def _filter_style(report: SlideReport) -> str:
    kinds = {f"route-{route}": route for route in ROUTES}
    kinds |= {f"class-{label}": f"class-{label}" for label in range(len(report.classes))}
    hidden = [f"main:has(#{choice}:checked) article:not(.{kind})" for choice, kind in kinds.items()]
    return ",\n".join([*hidden, "main:has(#attention:not(:checked)) .attention"]) + " { display: none; }"


def _slides(report: SlideReport, thumbnails: Mapping[str, str]) -> str:
    articles = [_slide(result, report, thumbnails[result.name]) for result in report.results]
    kind = "slides few" if len(articles) <= FEW else "slides"
    return f'<div class="{kind}">\n' + "\n".join(articles) + "\n</div>"


def _slide(result: SlideResult, report: SlideReport, picture: str) -> str:
    name, given = html.escape(result.name), report.classes[result.label]
    images = [f'<img src="{picture}" alt="The slide {name} at low resolution." width="320" height="320">']
    if result.attention is not None:
        overlay = page.png_data_uri(draw_attention(result.attention, result.foreground))
        images.append(f'<img class="attention" src="{overlay}" alt="Attention over the slide {name}." loading="lazy">')
    probability = deciding_probability(result)[result.label]
    warnings = [] if result.foreground.any() else [NO_FOREGROUND]
    warnings += [_sentence(report.unlike_training[result.name])] if result.name in report.unlike_training else []
    stages = [f"{words} {result.seconds[stage]:.3g}" for stage, words in STAGE_NAMES.items() if stage in result.seconds]
    return (
        f'<article class="{result.route} class-{result.label}">\n<div class="frame">\n'
        + "\n".join(images)
        + f'\n</div>\n<h3>{name}</h3>\n<p class="given"><strong>{given}</strong> {probability:.3f}</p>\n'
        f'<p class="route">{ROUTES[result.route]}</p>\n'
        + "".join(f'<p class="notice warning">{html.escape(warning)}</p>\n' for warning in warnings)
        + f"{_probabilities(result, report.classes)}\n"
        f'<p class="quiet">{_seconds(total_seconds(result))}: {", ".join(stages)}</p>\n</article>'
    )


def _probabilities(result: SlideResult, classes: tuple[str, ...]) -> str:
    columns = (("low", "LRN", result.low_probability), ("high", "HRN", result.high_probability))
    rows = []
    for label, name in enumerate(classes):
        cells = []
        for route, _, vector in columns:
            if vector is None:
                cells.append('<td class="missing">-</td>')
                continue
            kind = f"of-{route} decides" if route == result.route else f"of-{route}"
            cells.append(f'<td class="{kind}" style="--share:{100 * vector[label]:.1f}%">{vector[label]:.3f}</td>')
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>')
    return page.table(("", *(name for _, name, _ in columns)), rows)


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.3g} s"
