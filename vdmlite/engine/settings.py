"""Settings: everything that defines a run. Checkpoints keep them, to rebuild the model."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

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
    steps: int = _field(dataclasses.MISSING, "number of updates, in all")
    batch_size: int = _field(128, "images per update, over all devices")
    learning_rate: float = _field(2e-4, "learning rate of AdamW, at its highest")
    warmup: int = _field(100, "updates over which the learning rate rises from 0")
    cooldown: bool = _field(
        False, "let the learning rate fall to 0 along a cosine over all steps"
    )
    weight_decay: float = _field(
        0.01, "decay of kernels and norms' scales; biases and the schedule have none"
    )
    ema: float = _field(0.9999, "decay of the moving average of the weights, once it is warm")
    augment: bool = _field(False, "flip and turn images, and tell the network so by a flag")
    accumulate: int = _field(1, "parts of a batch, computed one after the other to save memory")
    seed: int = _field(1, "seed of the first weights, the batches and the noise")
    knobs: dict[str, Any] = dataclasses.field(
        default_factory=dict,
        metadata={"help": 'arguments of the recipe, such as {"width": 64}'},
    )

    def __post_init__(self):
        """Raise ValueError for a value that can't be; the message names it."""
        for name, known in {"recipe": MODELS, "data": DATA}.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        for name in _RANGES:
            _check(name, getattr(self, name))
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"a batch of {self.batch_size} doesn't fall into {self.accumulate} equal parts"
            )

    def model(self, *, key: Key) -> VDM:
        """Return the model before training.

        Raises:
            ValueError: the recipe has no such knobs, or one has a value that can't be; the
                images are augmented, and its network can't be told.
        """
        try:
            model = MODELS[self.recipe](key=key, **self.knobs)
        except TypeError as error:
            raise ValueError(f"{self.recipe} does not take {self.knobs}: {error}") from error
        if self.augment:
            try:
                inspect.signature(getattr(model.denoiser, "net")).bind("z", "γ", "flag")  # noqa: B009
            except TypeError as error:
                raise ValueError(
                    f"{self.recipe} can't be trained on augmented images: its network takes no "
                    "flag that tells them from others"
                ) from error
        return model

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
    """Mark what is decayed: kernels, weights and scales of the network, but no bias."""

    def mark(path, _) -> bool:
        names = [getattr(step, "name", "") for step in path]
        return names[0] == "denoiser" and names[-1] != "bias"

    return jax.tree_util.tree_map_with_path(mark, params)


def _check(name: str, value: int | float) -> None:
    allowed, words = _RANGES[name]
    if not allowed(value):
        raise ValueError(f"{name} must be {words}, got {value}")


class Keys(NamedTuple):
    """A key for each of a seed's uses, so that no two of them draw the same numbers."""

    init: Key
    noise: Key
    """Of the updates: folded with an update's number, then with that of a part."""
    look: Key
    evaluate: Key
    sample: Key


def keys_of(seed: int) -> Keys:
    """Return the keys of a seed.

    They are split off at once: in JAX, `fold_in(key, i)` is `split(key)[i]`, so that a key
    which is both split and folded gives the same key twice.

    Raises:
        ValueError: the seed does not fit into 32 bits, to which JAX would cut it silently.
    """
    _check("seed", seed)
    return Keys(*jax.random.split(jax.random.key(seed), len(Keys._fields)))


_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    **dict.fromkeys(("steps", "batch_size", "accumulate"), (lambda n: n >= 1, "at least 1")),
    "warmup": (lambda n: n >= 0, "at least 0"),
    "learning_rate": (lambda a: 0 < a < math.inf, "above 0 and finite"),
    "weight_decay": (lambda a: 0 <= a < math.inf, "at least 0 and finite"),
    "ema": (lambda a: 0 <= a < 1, "at least 0 and below 1"),
    "seed": (lambda n: 0 <= n < 2**32, "at least 0 and below 2**32"),
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
"""The settings of each name: two small ones, and the five published configurations."""
