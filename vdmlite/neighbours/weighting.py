"""Every diffusion loss is a weight on the noise levels (Kingma and Gao 2023).

    E_{γ ~ p} f(γ) ‖ε − ε̂(z_γ; γ)‖²  =  ½ ∫ w(γ) m(γ) dγ        with w = 2 p f

where m(γ) is the mean squared error. Where γ is drawn, and how much a draw counts, are one
thing: the bound is the loss with w = 1 (Kingma et al. 2021, §5.1). A *weight* is any function
γ ↦ w(γ) ≥ 0.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num

from .._types import AnyArray, Count, Key, Scalar, ScalarLike, check_shape, count, real
from ..bound import VLB, bits_per_dim, schedule_point, spread_times, vlb_at
from ..curve import ErrorCurve
from ..model import VDM
from ..schedule import AbstractSchedule

Weight = Callable[[Scalar], Scalar]

FACTORS: dict[str, Weight] = {
    "eps": jnp.ones_like,
    "x": jnp.exp,
    "v": lambda gamma: 1 + jnp.exp(gamma),
    "velocity": lambda gamma: (1 + jnp.exp(gamma / 2)) ** 2,
}
"""‖guess − target‖² over ‖ε − ε̂‖²: of ε, of x, of v = α ε − σ x, and of flow matching's ε − x
on its own path z = (1 − t) x + t ε."""


class Density(eqx.Module):
    """p(γ) = dt/dγ, the density of the γ's that a schedule visits at uniform times."""

    schedule: AbstractSchedule

    def __call__(self, gamma: ScalarLike) -> Scalar:
        """Return p(γ), which is 0 beyond the schedule's ends."""
        gamma = real(gamma)

        def halve(_, ends):
            low, high = ends
            middle = (low + high) / 2
            below = self.schedule(middle) < gamma
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        t = jax.lax.fori_loop(0, 40, halve, (jnp.zeros_like(gamma), jnp.ones_like(gamma)))[0]
        inside = (self.schedule(0.0) <= gamma) & (gamma <= self.schedule(1.0))
        # Where a schedule stands still at an end, p is infinite there, and p γ′ still 1.
        slope = jnp.maximum(self.schedule.slope(t)[1], 1e-3)
        return jnp.where(inside, 1 / slope, 0.0)


class Weighting(eqx.Module):
    """The weight of a loss E_{γ ~ p} f(γ) ‖ε − ε̂‖²: w(γ) = 2 p(γ) f(γ)."""

    density: Weight
    """p: where the noise levels are drawn."""
    factor: Weight
    """f: how much a draw counts."""

    def __call__(self, gamma: ScalarLike) -> Scalar:
        """Return w(γ)."""
        gamma = real(gamma)
        return 2 * self.density(gamma) * self.factor(gamma)


def mean_squared(schedule: AbstractSchedule, target: str) -> Weighting:
    """Return the weight of E_t ‖target − its guess‖², t ~ U(0, 1), under a schedule.

    DDPM's L_simple has "eps" and `BetaLinear`; "x", "v" (Salimans and Ho 2022) and flow
    matching's "velocity" (Lipman et al. 2023) are the other targets.

    Raises:
        ValueError: there is no such target.
    """
    if target not in FACTORS:
        raise ValueError(f"the targets are {', '.join(FACTORS)}, not {target!r}")
    return Weighting(Density(schedule), FACTORS[target])


def edm(*, mean: float = -1.2, std: float = 1.2, data_std: float = 0.5) -> Weighting:
    """Return EDM's weight (Karras et al. 2022, table 1): log(σ/α) ~ N(mean, std²).

    ‖x − x̂‖² counts (σ²/α² + data_std²)/(σ/α · data_std)² times.
    """
    normal = jax.scipy.stats.norm.pdf
    return Weighting(
        lambda gamma: normal(gamma, 2 * mean, 2 * std),
        lambda gamma: (jnp.exp(gamma) + data_std**2) / data_std**2,
    )


class WeightedGradient(eqx.Module):
    """The gradient of ½ ∫ w m dγ in bits per dimension: `train(…, gradient=this)`.

    γ is drawn by the model's schedule at spread times, and each draw is weighted by w/p, so
    that the schedule sets the noise of the estimate and nothing else. The schedule itself is
    not trained: a weighted loss says nothing about its ends.
    """

    weight: Weight

    def __call__(
        self,
        vdm: VDM,
        data: Num[AnyArray, " n *shape"],
        conditions: Num[AnyArray, " n *c"] | None = None,
        *,
        timesteps: Count | None = None,
        key: Key,
    ) -> tuple[VLB, VDM]:
        """Return a batch's terms of the *bound* in nats, and the gradient of the weighted loss.

        Raises:
            ValueError: `timesteps` is given, for the loss is an integral over γ.
        """
        if timesteps is not None:
            raise ValueError(f"a weighted loss is for T → ∞, got timesteps = {timesteps}")
        time_key, noise_key = jax.random.split(key)
        times = spread_times(len(data), key=time_key)
        points = jax.vmap(lambda t: schedule_point(vdm.schedule, t))(times)
        keys = jax.random.split(noise_key, len(data))

        def loss(denoiser) -> tuple[Scalar, VLB]:
            trained = dataclasses.replace(vdm, denoiser=denoiser)

            def one(x, condition, point, key) -> VLB:
                return vlb_at(trained.given(condition), x, point, key=key)

            terms = jax.vmap(one)(data, conditions, points, keys)
            weights = jax.vmap(self.weight)(points.gamma_t)
            check_shape(weights, (len(data),), "the weight of every γ of a batch")
            return bits_per_dim(jnp.mean(weights * terms.diffusion), vdm.shape), terms

        (_, terms), slopes = eqx.filter_value_and_grad(loss, has_aux=True)(vdm.denoiser)
        zero = jax.tree.map(jnp.zeros_like, eqx.filter(vdm, eqx.is_inexact_array))
        return terms, eqx.tree_at(lambda v: v.denoiser, zero, slopes)


def weighed(curve: ErrorCurve, weight: Weight) -> ErrorCurve:
    """Return the curve of w m: its `loss`, `spent` and variances are the weighted loss's."""
    gammas = jnp.asarray(curve.gammas, jnp.result_type(float))
    w = np.asarray(jax.vmap(weight)(gammas), np.float64)
    return ErrorCurve(curve.gammas, w * curve.mean, w * curve.error, w**2 * curve.square)


def importance_grid(
    curve: ErrorCurve, weight: Weight, steps: Count
) -> Float[np.ndarray, " nodes"]:
    """Return `steps` + 1 values of γ between which a weighted loss is spent evenly.

    `PiecewiseLinear` of them draws γ with density ∝ w √E[m²], and no other density has a
    smaller variance of w m/p.
    """
    root = np.sqrt(weighed(curve, weight).square)
    shares = dataclasses.replace(curve, mean=root).spent
    return np.interp(np.linspace(0, 1, count(steps, "steps") + 1), shares, curve.gammas)
