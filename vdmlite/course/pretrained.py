"""Trained models that ship with the course, so that lessons start at once.

`python -m vdmlite.course.pretrained digits` trains one anew, as it was trained, and prints
its test bits per dimension; name any of `MODELS`. In the repository only: what is installed
stays as it is.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from .. import VDM, bits_per_dim, data, evaluate, init, recipes, storage, train
from .._types import Key
from .checkout import ROOT, is_checkout

WEIGHTS = Path(__file__).parent / "weights"


class Plan(NamedTuple):
    """How a model was trained."""

    recipe: Callable[..., VDM]
    images: Callable[[], data.Images]
    steps: int
    batch_size: int


MODELS = {
    "digits": Plan(recipes.digits, data.digits, 1500, 128),
    "patches": Plan(recipes.patches, data.patches, 4000, 16),
    "patches_without_fourier": Plan(
        partial(recipes.patches, exponents=()), data.patches, 4000, 16
    ),
}


def load(name: str) -> VDM:
    """Return a trained model, one of `MODELS`.

    | name | test bits/dim | trained on 2 CPU cores |
    |---|---|---|
    | digits | 1.87 | 30 s |
    | patches | 3.16 | 14 min |
    | patches_without_fourier | 3.15 | 14 min |

    Raises:
        ValueError: there is no model of that name.
    """
    if name not in MODELS:
        raise ValueError(f"there are {', '.join(MODELS)}, not {name!r}")
    recipe = MODELS[name].recipe
    like = eqx.filter_eval_shape(lambda: _cast(recipe(key=jax.random.key(0)), jnp.float16))
    half = storage.load(WEIGHTS / f"{name}.vdm", like)
    return _cast(half, jnp.result_type(float))


def save(name: str, vdm: VDM) -> None:
    """Write a model's weights, in half precision, whole or not at all."""
    storage.save(WEIGHTS / f"{name}.vdm", _cast(vdm, jnp.float16))


def _cast(vdm: VDM, dtype: jax.typing.DTypeLike) -> VDM:
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, vdm)


def fit(
    vdm: VDM, images: data.Images, *, steps: int, batch_size: int, key: Key
) -> tuple[VDM, list[float]]:
    """Train; return the averaged model and the bits per dimension of each step's batch."""
    rate = optax.warmup_cosine_decay_schedule(0.0, 2e-3, min(100, steps // 10), steps)
    optimiser = optax.adam(rate, b2=0.99)
    state, curve = init(vdm, optimiser), []
    batch_key, train_key = jax.random.split(key)
    bar = tqdm(range(steps), desc="training", unit=" steps", ncols=80, disable=None)
    batches = data.batches(images.train, batch_size, key=batch_key)
    stream = train(state, optimiser, batches, key=train_key)
    for step, (state, terms) in zip(bar, stream, strict=False):  # noqa: B007  the last is kept
        curve.append(bits_per_dim(terms.loss, vdm.shape))
        if step % 20 == 0:  # to look is to wait for the device
            recent = np.mean([float(bits) for bits in curve[-20:]])
            bar.set_postfix_str(f"{recent:.2f} bits/dim", refresh=False)
    return state.average, [float(bits) for bits in curve]


def main(names: list[str]) -> int:
    """Train the models named, and replace their weights."""
    if not names or not set(names) <= set(MODELS):
        print(f"name one or more of {', '.join(MODELS)}")
        return 2
    if not is_checkout():
        print(f"{ROOT} is no copy of the repository, and only there are weights made anew")
        return 2
    for name in names:
        plan, (init_key, fit_key) = MODELS[name], jax.random.split(jax.random.key(0))
        images = plan.images()
        vdm, _ = fit(
            plan.recipe(key=init_key),
            images,
            steps=plan.steps,
            batch_size=plan.batch_size,
            key=fit_key,
        )
        save(name, vdm)
        found = evaluate(
            load(name), images.test, draws=8, times=4, batch_size=64, key=jax.random.key(1)
        )
        print(f"{name}: {found.bits.loss:.3f} test bits/dim")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
