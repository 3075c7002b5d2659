"""The origin of a result, and the purpose that it is not for: written into every report."""

import abc
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

RESEARCH_USE = "Research software, not a medical device. Not for diagnosis or treatment."


@dataclasses.dataclass(frozen=True)
class ModelCard(abc.ABC):
    """The identity of networks: the name of their run, the step of the checkpoint, the config they learnt with.

    `about` is what whoever uses them is to be told, where they came with such a line.
    """

    run: str
    step: int
    config: Mapping[str, Any]
    about: str = ""

    @property
    @abc.abstractmethod
    def trained_on(self) -> str:
        """The training data in words."""

    @property
    def told(self) -> list[str]:
        """What is to be told, if anything."""
        return [self.about] if self.about else []

    @property
    def trained_on_phantom(self) -> bool:
        """True where they have seen synthetic images only."""
        return "phantom" in self.config["data"]

    @property
    def config_sha256(self) -> str:
        """Names the config; the same settings give the same name."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """The card for a JSON report; of the config only the settings of inference, so no folder is told."""
        return {
            "run": self.run,
            "step": self.step,
            "trained_on": self.trained_on,
            "trained_on_phantom": self.trained_on_phantom,
            "inference": dict(self.config["inference"]),
            "config_sha256": self.config_sha256,
            "about": self.about,
        }
