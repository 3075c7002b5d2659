"""One slide out of the endless plan of a split."""

import itertools

from medssl_jax.phantoms.slides.roster import slides_of


def plan_slide(spec, split, number):
    """Slide `number`, however many the spec asks for."""
    return next(itertools.islice(slides_of(spec, split), number, None))
