"""Fourier features: sines and cosines that make fine differences easy to see."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import ScalarLike


def sinusoids(u: ScalarLike, frequencies: Float[Array, " n"]) -> Float[Array, " 2*n"]:
    """Return all sin(frequency · u), then all cos(frequency · u)."""
    angles = frequencies * jnp.asarray(u, frequencies.dtype)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)])


GAMMA_FEATURES = 16
"""How many numbers `gamma_features` returns."""


def gamma_features(gamma: ScalarLike) -> Float[Array, " 16"]:
    """Return 16 slow sinusoids of γ, of frequencies 2⁻⁵ … 2²: how small networks see it."""
    return sinusoids(gamma, 2.0 ** jnp.arange(-5.0, 3.0))


def fourier_features(
    z: Float[Array, "*shape c"], exponents: Sequence[int] = (6, 7)
) -> Float[Array, "*shape features"]:
    """Return z beside sin(2ⁿ 2π z) and cos(2ⁿ 2π z) for each n, along the last axis.

    The defaults are those of VDM for 256 levels (Kingma et al. 2021, appendix C, where
    the same frequencies are written 2ⁿ π with n = 7, 8): the higher has a period of
    exactly one grey level. Order: z, sines (channel by channel), cosines. c(1 + 2 len) long.
    """
    if not exponents:
        return z
    scales = 2.0 ** jnp.asarray(exponents, z.dtype) * 2 * jnp.pi
    angles = (z[..., None] * jnp.broadcast_to(scales, (*z.shape, len(exponents)))).reshape(
        *z.shape[:-1], -1
    )
    return jnp.concatenate([z, jnp.sin(angles), jnp.cos(angles)], axis=-1)
