"""Settings: all that a run is made of. Checkpoints keep them, to rebuild the model."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import optax

from .. import VDM, recipes
from .._types import Key
from . import published


def _field(default: Any, words: str) -> Any:
    """Return a field that says what it is, here and in `--help`."""
    return dataclasses.field(default=default, metadata={"help": words})


@dataclasses.dataclass(frozen=True)
class Settings:
    """One run. The defaults are those of the published program, where it has them."""

    recipe: str = _field(dataclasses.MISSING, "the model, one of MODELS")
    data: str = _field(dataclasses.MISSING, "the images it learns, one of DATA")
    steps: int = _field(dataclasses.MISSING, "updates of the weights, in all")
    batch_size: int = _field(128, "images an update, over all devices")
    learning_rate: float = _field(2e-4, "of AdamW")
    warmup: int = _field(100, "updates over which the rate rises from 0")
    cooldown: bool = _field(False, "let the rate fall to 0 as a cosine; published: it stays")
    weight_decay: float = _field(
        0.01, "of kernels and norms' scales; not of biases, nor of the schedule"
    )
    ema: float = _field(
        0.9999, "what the average of the weights keeps of itself an update, in the long run"
    )
    augment: bool = _field(False, "flips and quarter turns, of which the network is told")
    accumulate: int = _field(1, "parts in which a batch is worked off, to save memory")
    seed: int = _field(1, "of the first weights, the batches and the noise")
    knobs: dict[str, Any] = dataclasses.field(
        default_factory=dict,
        metadata={
            "help": 'what the recipe is given beside its defaults, such as {"width": 64}'
        },
    )

    def __post_init__(self):
        """Refuse what can't be run, naming the value."""
        for name, known in {"recipe": MODELS, "data": DATA}.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        for name, (allowed, words) in _RANGES.items():
            if not allowed(getattr(self, name)):
                raise ValueError(f"{name} must be {words}, got {getattr(self, name)}")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"a batch of {self.batch_size} doesn't fall into {self.accumulate} equal parts"
            )

    def model(self, *, key: Key) -> VDM:
        """Return the model before training.

        Raises:
            ValueError: the recipe has no such knobs, or one has a value that can't be.
        """
        try:
            return MODELS[self.recipe](key=key, **self.knobs)
        except TypeError as error:
            raise ValueError(f"{self.recipe} does not take {self.knobs}: {error}") from error

    def optimiser(self) -> optax.GradientTransformation:
        """Return AdamW as the published program has it: β = (0.9, 0.99), ε = 1e-8."""
        rate = optax.constant_schedule(self.learning_rate)
        if self.warmup:  # over no steps at all, Optax's line stays at its start
            rate = optax.linear_schedule(0.0, self.learning_rate, self.warmup)
        if self.cooldown:
            rate = optax.warmup_cosine_decay_schedule(
                0.0, self.learning_rate, min(self.warmup, self.steps - 1), self.steps
            )
        return optax.adamw(rate, b2=0.99, weight_decay=self.weight_decay, mask=_decayed)


def _decayed(params: VDM) -> Any:
    """Mark what is decayed: the network's kernels, weights and scales, which are no biases."""

    def mark(path, _) -> bool:
        names = [getattr(step, "name", "") for step in path]
        return names[0] == "denoiser" and names[-1] != "bias"

    return jax.tree_util.tree_map_with_path(mark, params)


_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(("steps", "batch_size", "accumulate"), (lambda n: n >= 1, "at least 1")),
    "warmup": (lambda n: n >= 0, "at least 0"),
    "learning_rate": (lambda a: 0 < a < math.inf, "above 0 and finite"),
    "weight_decay": (lambda a: 0 <= a < math.inf, "at least 0 and finite"),
    "ema": (lambda a: 0 <= a < 1, "at least 0 and below 1"),
    "seed": (lambda n: 0 <= n < 2**32, "at least 0 and below 2³²"),
}

MODELS: dict[str, Callable[..., VDM]] = {
    "digits": recipes.digits,
    "patches": recipes.patches,
    "cifar10": published.cifar10,
    "cifar10_aug": published.cifar10_aug,
    "cifar10_aug_paper": published.cifar10_aug_paper,
    "imagenet32": published.imagenet32,
    "imagenet64": published.imagenet64,
}
"""Every model that can be trained from the command line."""

DATA = ("digits", "patches", "cifar10", "imagenet32", "imagenet64")
"""Every data set that it can be trained on; see `datasets`."""

_SMALL: dict[str, Any] = {
    "learning_rate": 2e-3,
    "cooldown": True,
    "weight_decay": 0.0,
    "ema": 0.999,
}

RECIPES = {
    "digits": Settings("digits", "digits", 1500, 128, **_SMALL),
    "patches": Settings("patches", "patches", 4000, 16, **_SMALL),
    "cifar10": Settings("cifar10", "cifar10", 10_000_000),
    "cifar10_aug": Settings(
        "cifar10_aug", "cifar10", 100_000_000, 768, learning_rate=1e-4, augment=True
    ),
    "cifar10_aug_paper": Settings(
        "cifar10_aug_paper", "cifar10", 100_000_000, 1024, augment=True
    ),
    "imagenet32": Settings("imagenet32", "imagenet32", 10_000_000),
    "imagenet64": Settings("imagenet64", "imagenet64", 10_000_000),
}
"""What each name stands for: two small settings, and the five published configurations."""
