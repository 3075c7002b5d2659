"""A trained classifier of slides: from the checkpoint of a run of SOS, or of what it is compared with, to classes."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import optax

from medssl_jax.core.errors import InputError
from medssl_jax.data.slides.slide_appearance import AppearanceStatistics
from medssl_jax.data.slides.slide_cut import SlideCutSettings
from medssl_jax.imaging.slides import SlideLayout
from medssl_jax.inference.selective import SelectiveClassifier
from medssl_jax.inference.selective_settings import SelectiveSettings
from medssl_jax.models.sos_networks import Intensities, MethodSettings, SosModelSettings, SosNetworks, make_networks
from medssl_jax.run_folder.weights import load_weights
from medssl_jax.steps.optimiser import AccumulatingOptimiserSettings, make_optimiser
from medssl_jax.steps.rng import stream_key
from medssl_jax.steps.run_settings import RunSettings
from medssl_jax.steps.sos_step import first_extra
from medssl_jax.steps.state import TrainState

UNIT_INTENSITIES = Intensities(0.0, 1.0)  # for what does not depend on them


class TrainingSlides(NamedTuple):
    """The names of the classes, and the measures of the slides that a method was trained on."""

    classes: tuple[str, ...]
    intensities: Intensities
    appearance: AppearanceStatistics

    def for_checkpoint(self) -> dict[str, Any]:
        """Names and numbers, as a checkpoint keeps them."""
        return {
            "classes": list(self.classes),
            "intensities": self.intensities._asdict(),
            "appearance": self.appearance.as_json(),
        }

    @classmethod
    def of_checkpoint(cls, measured: Mapping[str, Any]) -> "TrainingSlides":
        """Reads what `for_checkpoint` gave. Raises `InputError` where it is not there."""
        try:
            intensities, appearance = measured["intensities"], measured["appearance"]
            return cls(
                tuple(measured["classes"]), Intensities(**intensities), AppearanceStatistics.from_json(appearance)
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"of its training slides {error} is absent") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierRunSettings(RunSettings, excerpt=True):
    """The part of a config of SOS that says what is trained and how it is used, not on which slides."""

    COMMAND: ClassVar[str] = "experiments.sos"
    data: SlideCutSettings
    model: SosModelSettings
    method: MethodSettings
    optimiser: AccumulatingOptimiserSettings
    inference: SelectiveSettings

    def networks(self, measured: Intensities, *, classes: int) -> SosNetworks:
        """The networks that the method has, for slides of the `measured` intensities unless the model has its own."""
        return make_networks(self.model, self.method, self.data.layout, classes=classes, measured=measured)

    def make_optimiser(self) -> optax.GradientTransformation:
        """The optimiser, which updates once in `optimiser.accumulate` steps."""
        return make_optimiser(self.optimiser, self.steps, accumulate=self.optimiser.accumulate)

    def fresh_state(self, measured: Mapping[str, Any], backbone: Any = None) -> TrainState:
        """The state before the first step, of networks for the classes that are `measured`.

        With the weights of a ResNet-18 in all networks where a `backbone` is given.
        """
        classes = TrainingSlides.of_checkpoint(measured).classes
        networks = self.networks(UNIT_INTENSITIES, classes=len(classes))
        params = networks.init(stream_key(self.seed, "init", 0))
        return TrainState.create(
            params if backbone is None else networks.with_backbone(params, backbone),
            self.make_optimiser(),
            keep_ema=self.optimiser.ema_decay > 0,
            extra=first_extra(self.method),
            seed=self.seed,
        )


Run = TypeVar("Run", bound=ClassifierRunSettings)


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedClassifier(Generic[Run]):
    """A trained method. `config` is what it was trained by, for `step` steps, `settings` what it is used by.

    `about` is what its users are told.
    """

    config: Mapping[str, Any]
    settings: Run
    step: int
    params: Any
    training_slides: TrainingSlides
    about: str = ""

    @property
    def networks(self) -> SosNetworks:
        """Those that `params` are of."""
        slides = self.training_slides
        return self.settings.networks(slides.intensities, classes=len(slides.classes))

    @property
    def layout(self) -> SlideLayout:
        """The cut of its slides."""
        return self.settings.data.layout

    def used_as(self, settings: ClassifierRunSettings) -> "TrainedClassifier[Run]":
        """The same networks with the inference of other settings."""
        method = dataclasses.replace(self.settings.method, name=settings.method.name)
        own = dataclasses.replace(self.settings, inference=settings.inference, method=method)
        return dataclasses.replace(self, settings=own)

    def classifier(self, *, rule: str | None = None, top_k: int | None = None) -> SelectiveClassifier:
        """The method on slides, by another rule or number of patches than its own where one is given."""
        inference, data = self.settings.inference, self.settings.data
        if rule is not None:
            inference = dataclasses.replace(inference, rule=rule)
        if top_k is not None:
            inference = dataclasses.replace(inference, top_k=top_k)
        return SelectiveClassifier(
            *(self.networks, self.params, data.layout, inference), background_threshold=data.background_threshold
        )


def load_slide_classifier(checkpoint: str | os.PathLike[str]) -> TrainedClassifier[ClassifierRunSettings]:
    """The method of a finished or running training, from its workdir, a folder `checkpoints`, or a file of weights.

    Raises `InputError` as `load_weights` does, and where who is asked is not fitted yet because training has not ended.
    """
    weights = load_weights(checkpoint, ClassifierRunSettings)
    if weights.settings.method.fits_after_training and weights.step < weights.settings.steps:
        raise InputError(
            f"{checkpoint}: trained for {weights.step} of {weights.settings.steps} steps, and who asks the HRN is "
            "learnt after the last one: finish the run first"
        )
    slides = TrainingSlides.of_checkpoint(weights.measured)
    return TrainedClassifier(weights.config, weights.settings, weights.step, weights.params, slides, weights.about)
