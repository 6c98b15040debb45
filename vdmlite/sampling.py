"""Sampling: walk from noise back to data, one reverse step at a time.

A step is a function (denoiser, z_t, γ_s, γ_t, key) ↦ z_s with γ_s < γ_t; all walks below take
any of them. For any grid of noise levels: `vdm.under(PiecewiseLinear(gammas))`.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num
from tqdm import tqdm

from ._types import Key, ScalarLike
from .denoiser import AbstractDenoiser
from .model import VDM
from .process import alpha, posterior, sigma

Step = Callable[..., Float[Array, "*shape"]]


def ancestral_step(
    denoiser: AbstractDenoiser,
    z_t: Float[Array, "*shape"],
    gamma_s: ScalarLike,
    gamma_t: ScalarLike,
    *,
    key: Key,
) -> Float[Array, "*shape"]:
    """Draw z_s from p(z_s | z_t), the posterior with the guess x̂ for x (§3.3)."""
    return posterior(z_t, denoiser(z_t, gamma_t).x, gamma_s, gamma_t).sample(key=key)


def ddim_step(
    denoiser: AbstractDenoiser,
    z_t: Float[Array, "*shape"],
    gamma_s: ScalarLike,
    gamma_t: ScalarLike,
    *,
    eta: ScalarLike = 0.0,
    key: Key,
) -> Float[Array, "*shape"]:
    """Return z_s = α_s x̂ + √(σ_s² − ν²) ε̂ + ν ε, with ν the posterior's width times η.

    No noise for η = 0; for η = 1, `functools.partial(ddim_step, eta=1.0)`, it is the
    ancestral step (Song, Meng and Ermon 2021, equations 12 and 16).
    """
    guess = denoiser(z_t, gamma_t)
    width = eta * posterior(z_t, guess.x, gamma_s, gamma_t).std
    kept = jnp.sqrt(sigma(gamma_s) ** 2 - width**2)
    eps = jax.random.normal(key, z_t.shape, z_t.dtype)
    return alpha(gamma_s) * guess.x + kept * guess.eps + width * eps


def walk(
    denoiser: AbstractDenoiser,
    z: Float[Array, "*shape"],
    gammas: Float[Array, " n"],
    step: Step = ancestral_step,
    *,
    key: Key,
) -> Float[Array, " n *shape"]:
    """Return the latents of a whole walk, one for each γ: z at the first, then each step's.

    The γ's fall from each to the next.
    """
    _, after = _walk(denoiser, z, gammas, step, key=key)
    return jnp.concatenate([z[None], after])


def _walk(denoiser, z, gammas, step, *, key):
    """Return the last latent and all but the first; compiled, what isn't used isn't kept."""

    def take(z_t, given):
        gamma_s, gamma_t, step_key = given
        z_s = step(denoiser, z_t, gamma_s, gamma_t, key=step_key)
        return z_s, z_s

    keys = jax.random.split(key, len(gammas) - 1)
    return jax.lax.scan(take, z, (gammas[1:], gammas[:-1], keys))


@eqx.filter_jit
def sample(
    vdm: VDM, steps: int, step: Step = ancestral_step, *, key: Key
) -> Num[Array, "*shape"]:
    """Draw one example from noise in `steps` steps, even in the time of the model's schedule.

    The last latent goes through the decoder to its most likely data, as in the published
    VDM. For many examples: `jax.vmap(lambda k: sample(vdm, steps, key=k))(keys)`, or `draw`.

    Raises:
        ValueError: `steps` is not a positive number.
    """
    if steps < 1:
        raise ValueError(f"sampling needs at least 1 step, got {steps}")
    first_key, walk_key = jax.random.split(key)
    gammas = _falling(vdm, steps)
    z_1 = vdm.prior.sample(key=first_key)
    z_0, _ = _walk(vdm.denoiser, z_1, gammas, step, key=walk_key)
    return vdm.decoder.mode(z_0, gammas[-1])


def draw(
    vdm: VDM,
    count: int,
    *,
    steps: int,
    step: Step = ancestral_step,
    batch_size: int = 16,
    key: Key,
) -> Num[np.ndarray, " n *shape"]:
    """Draw `count` examples as `sample` does, in batches of one size, and show how far it is.

    Compiled once, whatever the number of steps.

    Raises:
        ValueError: `count`, `steps` or `batch_size` is not a positive number.
    """
    if min(count, steps, batch_size) < 1:
        raise ValueError(f"nothing to draw: {count=}, {steps=}, {batch_size=}")
    gammas, drawn, batch_size = _falling(vdm, steps), [], min(batch_size, count)
    keys = jax.random.split(key, (-(-count // batch_size), steps + 1, batch_size))
    total = len(keys) * steps
    with tqdm(total=total, desc="drawing", delay=2, leave=False, disable=None) as bar:
        for start_keys, *step_keys in keys:
            z = jax.vmap(lambda k: vdm.prior.sample(key=k))(start_keys)
            for gamma_s, gamma_t, some in zip(gammas[1:], gammas[:-1], step_keys, strict=True):
                z = _take_all(step, vdm.denoiser, z, gamma_s, gamma_t, some)
                bar.update()
            drawn.append(np.asarray(jax.vmap(vdm.decoder.mode, (0, None))(z, gammas[-1])))
    return np.concatenate(drawn)[:count]


def _falling(vdm: VDM, steps: int) -> Float[Array, " n"]:
    """Return γ from the noisy end to the clean one, at even times."""
    return jax.vmap(vdm.schedule)(jnp.linspace(1.0, 0.0, steps + 1))


@eqx.filter_jit
def _take_all(step, denoiser, z, gamma_s, gamma_t, keys):
    return jax.vmap(lambda z, k: step(denoiser, z, gamma_s, gamma_t, key=k))(z, keys)
