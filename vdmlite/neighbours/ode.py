"""The probability-flow ODE: from noise to data without chance, and an exact likelihood.

    dz/dγ = ½ σ (ε̂(z; γ) − σ z)        d log p(z)/dγ = −div dz/dγ

Points that move by it have the density q(z) at every γ, if ε̂ is exact (Song et al. 2021,
§4.3, here in γ). Solved by diffrax to a tolerance, in either direction.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Count, Key, Scalar, ScalarLike, count, real
from ..denoiser import AbstractDenoiser
from ..extras import needs
from ..model import VDM, check_model
from ..process import alpha, sigma
from ..sampling import AbstractStep

with needs("diffrax", extra="ode"):
    import diffrax


def velocity(
    denoiser: AbstractDenoiser, z: Float[Array, "*shape"], gamma: ScalarLike
) -> Float[Array, "*shape"]:
    """Return dz/dγ = ½ σ (ε̂(z; γ) − σ z)."""
    s = sigma(gamma)
    return 0.5 * s * (denoiser(z, gamma).eps - s * z)


class Heun(AbstractStep):
    """Heun's rule: a step along the mean of ε̂ here and ε̂ where DDIM would end.

    Two guesses a step, and an error of second order (Karras et al. 2022, algorithm 1, which
    is in z/α and σ/α, as here).
    """

    def __call__(
        self,
        denoiser: AbstractDenoiser,
        z_t: Float[Array, "*shape"],
        gamma_s: ScalarLike,
        gamma_t: ScalarLike,
        *,
        key: Key,
    ) -> Float[Array, "*shape"]:
        """Return z_s; there is no chance in it."""
        del key
        here = denoiser(z_t, gamma_t).eps
        scale = alpha(gamma_s) / alpha(gamma_t)
        # σ_s − (α_s/α_t) σ_t, without the difference: −σ_s expm1(½ (γ_t − γ_s)).
        change = -sigma(gamma_s) * jnp.expm1(0.5 * (real(gamma_t) - real(gamma_s)))
        there = denoiser(scale * z_t + change * here, gamma_s).eps
        return scale * z_t + change * 0.5 * (here + there)


@eqx.filter_jit
def flow(
    denoiser: AbstractDenoiser,
    z: Float[Array, "*shape"],
    gammas: Float[Array, " n"],
    *,
    tolerance: float = 1e-5,
) -> Float[Array, " n *shape"]:
    """Carry z from the first γ through all others, which rise or fall; return z at each.

    Steps are chosen so that the error of each, relative and absolute, is below `tolerance`.
    """
    return _solve(
        lambda gamma, z, _: velocity(denoiser, z, gamma), z, gammas, tolerance=tolerance
    )


class Likelihood(eqx.Module):
    """log p(z_0) in nats, the standard error of its estimate (0 if exact), and z_1."""

    log_prob: Scalar
    error: Scalar
    noise: Float[Array, "*shape"]


def log_prob(
    vdm: VDM,
    z_0: Float[Array, "*shape"],
    *,
    probes: Count | None = None,
    tolerance: float = 1e-5,
    key: Key | None = None,
) -> Likelihood:
    """Return the log density of z_0 under the model's flow, in nats over all dimensions.

    log p(z_0) = log p(z_1) + ∫ div(dz/dγ) dγ, from γ_0 to γ_1. The divergence is exact, which
    takes as many passes as z has dimensions; or, in high dimension, the mean of vᵀ J v over
    `probes` random vectors of signs v, drawn by `key` and kept along the way (Hutchinson's
    estimate, as in Grathwohl et al. 2019; from fewer than 30 its error is itself uncertain).
    For data x = z_0/α_0 add `x_scale(vdm)`.

    Raises:
        ValueError: fewer than 2 probes, or probes without a key.
    """
    check_model(vdm)
    signs = None
    if probes is not None:
        if (probes := count(probes, "probes", least=0)) < 2 or key is None:
            raise ValueError(
                f"an error needs 2 probes or more and a key, got {probes=}, {key=}"
            )
        signs = jax.random.rademacher(key, (probes, z_0.size), z_0.dtype)
    return _log_prob(vdm, z_0, signs, tolerance)


@eqx.filter_jit
def _log_prob(vdm, z_0, signs, tolerance) -> Likelihood:
    shape = z_0.shape

    def both(gamma: Scalar, state: tuple, _: Any) -> tuple:
        def moving(z: Float[Array, " d"]) -> Float[Array, " d"]:
            return velocity(vdm.denoiser, z.reshape(shape), gamma).reshape(-1)

        change, divergences = _divergence(moving, state[0].reshape(-1), signs)
        return change.reshape(shape), divergences

    ends = jnp.stack([vdm.schedule(0.0), vdm.schedule(1.0)])
    start = z_0, jnp.zeros(1 if signs is None else len(signs), z_0.dtype)
    z, gains = jax.tree.map(lambda a: a[-1], _solve(both, start, ends, tolerance=tolerance))
    error = jnp.zeros(())
    if signs is not None:
        error = jnp.std(gains, ddof=1) / jnp.sqrt(len(signs))
    return Likelihood(vdm.prior.log_prob(z) + jnp.mean(gains), error, z)


def x_scale(vdm: VDM) -> Scalar:
    """Return D log α_0: what to add to log p(z_0) for the log density of x = z_0/α_0."""
    return math.prod(vdm.shape) * jnp.log(alpha(vdm.schedule(0.0)))


@eqx.filter_jit
def sample(vdm: VDM, *, tolerance: float = 1e-5, key: Key) -> Array:
    """Draw one example by the flow: z_1 by chance, then the way down, then likely data."""
    gammas = jnp.stack([vdm.schedule(1.0), vdm.schedule(0.0)])
    z_1 = vdm.prior.sample(key=key)
    z_0 = flow(vdm.denoiser, z_1, gammas, tolerance=tolerance)[-1]
    return vdm.decoder.mode(z_0, gammas[-1])


def _divergence(moving: Callable, z: Float[Array, " d"], signs: Float[Array, "n d"] | None):
    """Return moving(z), and its divergence: exact, or one estimate a row of signs."""
    change, push = jax.linearize(moving, z)
    if signs is None:
        return change, jnp.trace(jax.vmap(push)(jnp.eye(len(z), dtype=z.dtype)))[None]
    return change, jax.vmap(lambda v: jnp.vdot(v, push(v)))(signs)


def _solve(
    change: Callable, start: Any, gammas: Float[Array, " n"], *, tolerance: float
) -> Any:
    """Return the solution of d state/dγ = change(γ, state) at each γ."""
    return diffrax.diffeqsolve(
        diffrax.ODETerm(change),
        diffrax.Tsit5(),
        gammas[0],
        gammas[-1],
        None,
        start,
        saveat=diffrax.SaveAt(ts=gammas),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        max_steps=100_000,
    ).ys
