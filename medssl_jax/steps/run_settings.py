"""Settings of a training run that the configs of all methods have."""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from medssl_jax.core.settings import LARGEST_STEPS, SEED, TEXT, Settings, whole, within
from medssl_jax.steps.state import TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoggingSettings(Settings):
    """The steps between logs and between saves, the checkpoints that are kept, the resamples of a score."""

    section: ClassVar[str] = "logging"
    log_every: int = within(whole(1, LARGEST_STEPS))
    save_every: int = within(whole(1, LARGEST_STEPS))
    keep_checkpoints: int = within(whole(1))
    bootstraps: int = within(whole(1))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("save_every", self.save_every % self.log_every == 0, "a multiple of log_every")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """A whole config; `command` is the module that trains it."""

    COMMAND: ClassVar[str]
    command: str = within(TEXT)
    seed: int = within(SEED)
    steps: int = within(whole(1, LARGEST_STEPS))
    logging: LoggingSettings

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect("command", self.command == self.COMMAND, self.COMMAND)

    @property
    def scores_best(self) -> bool:
        """True where the checkpoint that was best on validation data is the one that counts, not the last."""
        return False

    @abc.abstractmethod
    def fresh_state(self, measured: Mapping[str, Any]) -> TrainState:
        """The state before the first step, where the training data is as `measured`."""
