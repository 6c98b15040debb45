"""Progressive coding: what each bit buys (Ho, Jain and Abbeel 2020, §4.3).

The bound is spent from the noisy end to the clean one. Whoever has the bits down to γ has z_γ,
and the best guess at x from it is x̂(z_γ):

    rate(γ) = KL(q(z_1 | x) ‖ p(z_1)) + ½ ∫_γ^{γ_1} m dγ        distortion(γ)² = e^γ m(γ)/D

so one curve, m(γ) = E ‖ε − ε̂‖², says both.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from .._types import AnyArray, Count, Key, Scalar, ScalarLike, count, number
from ..bound import bits_per_dim
from ..curve import error_draws, standard_error
from ..denoiser import AbstractDenoiser
from ..gaussian import kl
from ..model import VDM
from ..process import marginal, posterior, sigma
from ..sampling import AbstractStep, walk


class RateDistortion(NamedTuple):
    """What a model has spent down to each γ, and how far its guess is then from the data."""

    gammas: Float[np.ndarray, " n"]
    rate: Float[np.ndarray, " n"]
    """Bits per dimension."""
    rate_error: Float[np.ndarray, " n"]
    distortion: Float[np.ndarray, " n"]
    """√(E ‖x − x̂‖²/D) in units of x: times V/2 it is in levels, of V."""
    distortion_error: Float[np.ndarray, " n"]

    def gamma_at(self, bits: float) -> float:
        """Return the γ down to which so many bits per dimension lead.

        Raises:
            ValueError: the curve has no such rate.
        """
        if not self.rate[-1] <= bits <= self.rate[0]:
            raise ValueError(
                f"the rates go from {self.rate[-1]:.3g} to {self.rate[0]:.3g} bits per "
                f"dimension, got {bits}"
            )
        return float(np.interp(bits, self.rate[::-1], self.gammas[::-1]))


def rate_distortion(
    vdm: VDM,
    data: Num[AnyArray, " n *shape"],
    gammas: Float[AnyArray, " m"],
    conditions: Num[AnyArray, " n *c"] | None = None,
    *,
    draws: Count = 256,
    batch_size: Count = 512,
    key: Key,
) -> RateDistortion:
    """Measure rate and distortion at rising values of γ, the last for the noisy end.

    Of infinitely many steps: the integral is taken by the trapezoid rule between the γ's. For
    `draws` see `error_curve`.

    Raises:
        TypeError, ValueError: as `error_curve` does.
    """
    m, rows = error_draws(
        vdm, data, gammas, conditions, draws=draws, batch_size=batch_size, key=key
    )
    levels = np.asarray(gammas, np.float64)
    used, which = np.unique(rows, return_inverse=True)
    x = jax.vmap(vdm.decoder.embed)(jnp.asarray(data[used]))
    last = jnp.asarray(gammas[-1], x.dtype)
    first = jax.vmap(lambda x: kl(marginal(x, last), vdm.prior))(x)
    prior = np.asarray(first, np.float64)[which]
    pieces = 0.25 * (m[1:] + m[:-1]) * np.diff(levels)[:, None]
    above = np.cumsum(pieces[::-1], 0)[::-1]
    spent = bits_per_dim(prior + np.concatenate([above, np.zeros_like(m[:1])]), vdm.shape)
    off = np.exp(levels)[:, None] * m / np.prod(vdm.shape)
    root = np.sqrt(off.mean(1))
    errors = standard_error(spent, rows), standard_error(off, rows) / (2 * root)
    return RateDistortion(levels, spent.mean(1), errors[0], root, errors[1])


def reconstruct(
    vdm: VDM, data: Num[AnyArray, "*shape"], gamma: ScalarLike, *, key: Key
) -> Float[Array, "*shape"]:
    """Return x̂(z_γ) for one z_γ ~ q: what a receiver sees who has the bits down to γ."""
    z = marginal(jnp.asarray(vdm.decoder.embed(data)), gamma).sample(key=key)
    return vdm.denoiser(z, gamma).x


def interpolate(
    vdm: VDM,
    one: Num[AnyArray, "*shape"],
    other: Num[AnyArray, "*shape"],
    share: ScalarLike,
    gamma: ScalarLike,
    *,
    steps: Count,
    key: Key,
) -> Num[Array, "*shape"]:
    """Mix two examples, add noise up to γ, and walk back to data in `steps` steps.

    Both get the *same* noise: a mixture of two noises would have too little of it, half of
    the variance at share = ½.
    """
    noise_key, walk_key = jax.random.split(key)
    x = (1 - share) * vdm.decoder.embed(one) + share * vdm.decoder.embed(other)
    z = marginal(jnp.asarray(x), gamma).sample(key=noise_key)
    last = vdm.schedule(0.0)
    gammas = jnp.linspace(gamma, last, count(steps, "steps") + 1)
    return vdm.decoder.mode(walk(vdm.denoiser, z, gammas, key=walk_key)[-1], last)


class DDPM(AbstractStep):
    """The posterior's mean with a variance between β̃ and β, DDPM's two choices (§3.2).

    β̃ = σ²(z_s | z_t, x) is right if the data are one point, β = σ²(z_t | z_s) if they are
    N(0, I); `share` of the way from one to the other, in logarithms (Nichol and Dhariwal
    2021, equation 15). 0 is the ancestral step.
    """

    share: Scalar = eqx.field(converter=number, default=1.0)

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
        law = posterior(z_t, denoiser(z_t, gamma_t).x, gamma_s, gamma_t)
        wider = law.std * (sigma(gamma_t) / sigma(gamma_s)) ** self.share
        return law.mean + wider * jax.random.normal(key, z_t.shape, z_t.dtype)
