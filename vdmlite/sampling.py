"""Sampling: walk from noise back to data, one reverse step at a time.

A step is a function (denoiser, z_t, γ_s, γ_t, key) ↦ z_s with γ_s < γ_t; all walks below take
any, the package's or your own. For any grid of noise levels:
`vdm.under(PiecewiseLinear(gammas))`.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num
from tqdm import tqdm

from ._types import (
    AnyArray,
    Count,
    Key,
    Scalar,
    ScalarLike,
    check_key,
    check_kind,
    check_shape,
    count,
    is_concrete,
    number,
    real,
)
from .denoiser import AbstractDenoiser
from .model import VDM, check_model
from .process import alpha, posterior, sigma
from .schedule import gamma_grid

Step = Callable[..., Float[Array, "*shape"]]


class AbstractStep(eqx.Module):
    """A reverse step with numbers, which are arrays: another number compiles nothing anew."""

    @abstractmethod
    def __call__(
        self,
        denoiser: AbstractDenoiser,
        z_t: Float[Array, "*shape"],
        gamma_s: ScalarLike,
        gamma_t: ScalarLike,
        *,
        key: Key,
    ) -> Float[Array, "*shape"]:
        """Return z_s."""


class Ancestral(AbstractStep):
    """Draws z_s from p(z_s | z_t), the posterior with the guess x̂ for x (§3.3)."""

    def __call__(
        self,
        denoiser: AbstractDenoiser,
        z_t: Float[Array, "*shape"],
        gamma_s: ScalarLike,
        gamma_t: ScalarLike,
        *,
        key: Key,
    ) -> Float[Array, "*shape"]:
        """Return z_s."""
        return posterior(z_t, denoiser(z_t, gamma_t).x, gamma_s, gamma_t).sample(key=key)


class DDIM(AbstractStep):
    """z_s = α_s x̂ + √(σ_s² − ν²) ε̂ + ν ε, with ν the posterior's width times η.

    No noise for η = 0; for η = 1 it is the ancestral step (Song, Meng and Ermon 2021, equations
    12 and 16).
    """

    eta: Scalar = eqx.field(converter=number, default=0.0)

    def __check_init__(self):
        if is_concrete(self.eta) and not 0 <= self.eta <= 1:
            raise ValueError(f"eta is 0 … 1, got {self.eta}")

    def __call__(
        self,
        denoiser: AbstractDenoiser,
        z_t: Float[Array, "*shape"],
        gamma_s: ScalarLike,
        gamma_t: ScalarLike,
        *,
        key: Key,
    ) -> Float[Array, "*shape"]:
        """Return z_s."""
        guess, eta2 = denoiser(z_t, gamma_t), self.eta**2
        width = self.eta * posterior(z_t, guess.x, gamma_s, gamma_t).std
        # σ_s² − ν² with ν² = η² σ_s² (1 − e^{γ_s − γ_t}), without the difference.
        left = (1 - eta2) + eta2 * jnp.exp(real(gamma_s) - real(gamma_t))
        eps = jax.random.normal(key, z_t.shape, z_t.dtype)
        mean = alpha(gamma_s) * guess.x + sigma(gamma_s) * jnp.sqrt(left) * guess.eps
        return mean + width * eps


@eqx.filter_jit
def walk(
    denoiser: AbstractDenoiser,
    z: Float[Array, "*shape"],
    gammas: Float[AnyArray, " n"],
    *,
    step: Step = Ancestral(),  # noqa: B008  it has no numbers
    key: Key,
) -> Float[Array, " n *shape"]:
    """Return the latents of a whole walk, one for each γ: z at the first, then each step's.

    The γ's fall from each to the next.
    """
    check_key(key)
    _, after = _walk(denoiser, z, jnp.asarray(gammas), step, key=key)
    return jnp.concatenate([z[None], after])


def _walk(denoiser, z, gammas, step, *, key) -> Any:
    """Return the last latent and all but the first; compiled, what isn't used isn't kept."""
    check_kind(denoiser, AbstractDenoiser, "vdm.denoiser")

    def take(z_t, given):
        gamma_s, gamma_t, step_key = given
        z_s = _taken(step, denoiser, z_t, gamma_s, gamma_t, step_key)
        return z_s, z_s

    keys = jax.random.split(key, len(gammas) - 1)
    return jax.lax.scan(take, z, (gammas[1:], gammas[:-1], keys))


def sample(
    vdm: VDM,
    *,
    steps: Count,
    step: Step = Ancestral(),  # noqa: B008
    key: Key,
) -> Num[Array, "*shape"]:
    """Draw one example from noise in `steps` steps, even in the time of the model's schedule.

    The last latent goes through the decoder to its most likely data, as in the published
    VDM. For many examples: `jax.vmap(lambda k: sample(vdm, steps=9, key=k))(keys)`, or `draw`.

    Raises:
        TypeError: `vdm` is no VDM, `step` no step, `key` no key, `steps` no whole number.
        ValueError: `steps` is less than 1; the schedule falls somewhere.
    """
    check_key(key)
    gammas = _falling(vdm, steps)
    return _sample(vdm.denoiser, vdm.decoder, vdm.prior, gammas, step, key)


@eqx.filter_jit
def _sample(denoiser, decoder, prior, gammas, step, key):
    first_key, walk_key = jax.random.split(key)
    z_1 = prior.sample(key=first_key)
    z_0, _ = _walk(denoiser, z_1, gammas, step, key=walk_key)
    return _decoded(decoder, z_0, gammas[-1])


def draw(
    vdm: VDM,
    examples: Count,
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    steps: Count,
    step: Step = Ancestral(),  # noqa: B008
    batch_size: Count = 16,
    key: Key,
) -> Num[np.ndarray, " n *shape"]:
    """Draw many examples as `sample` does, in batches of one size; a bar shows how far it is.

    `conditions`, one for each example, are those of `VDM.given`. Compiled once, whatever the
    number of steps and the numbers of the step.

    Raises:
        TypeError: as `sample`; the model takes no conditions.
        ValueError: as `sample`; not as many conditions as examples.
    """
    check_key(key)
    n, gammas = count(examples, "examples"), _falling(vdm, steps)
    size, total = min(count(batch_size, "batch_size"), n), len(gammas) - 1
    if conditions is not None and len(conditions) != n:
        raise ValueError(f"{n} examples need as many conditions, got {len(conditions)}")
    keys, drawn = jax.random.split(key, (-(-n // size), total + 1, size)), []
    bar = tqdm(total=len(keys) * total, desc="drawing", delay=2, leave=False, disable=None)
    with bar:
        for i, (start_keys, *step_keys) in enumerate(keys):
            some = np.minimum(np.arange(i * size, (i + 1) * size), n - 1)
            given = None if conditions is None else jnp.asarray(conditions)[some]
            z = jax.vmap(lambda k: vdm.prior.sample(key=k))(start_keys)
            for gamma_s, gamma_t, each in zip(gammas[1:], gammas[:-1], step_keys, strict=True):
                z = _take_all(step, vdm.denoiser, given, z, gamma_s, gamma_t, each)
                bar.update()
            decoded = jax.vmap(lambda z: _decoded(vdm.decoder, z, gammas[-1]))(z)
            drawn.append(np.asarray(decoded))
    return np.concatenate(drawn)[:n]


def _taken(step: Any, denoiser, z_t, gamma_s, gamma_t, key) -> Any:
    if isinstance(step, type) or not callable(step):
        raise TypeError(f"a step is a function, such as Ancestral() or DDIM(0.5), got {step!r}")
    z_s = step(denoiser, z_t, gamma_s, gamma_t, key=key)
    check_shape(z_s, z_t.shape, "the z_s that a step returns")
    return z_s


@eqx.filter_jit
def _take_all(step, denoiser, conditions, z, gamma_s, gamma_t, keys):
    def one(z, condition, key):
        conditional = denoiser if condition is None else denoiser.given(condition)
        return _taken(step, conditional, z, gamma_s, gamma_t, key)

    return jax.vmap(one)(z, conditions, keys)


def _falling(vdm: VDM, steps: Count) -> Float[Array, " n"]:
    """Return γ from the noisy end to the clean one, at even times."""
    check_model(vdm)
    return gamma_grid(vdm.schedule, count(steps, "steps"))[::-1]


def _decoded(decoder, z_0, gamma_0):
    data = decoder.mode(z_0, gamma_0)
    check_shape(data, z_0.shape, f"the mode of a {type(decoder).__name__}")
    return data
