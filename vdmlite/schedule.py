"""Schedules: γ(t), how noisy the latent is at time t ∈ [0, 1].

Only this file and the bound know time; networks see γ. A field that is an array is
trained; one that is a Python number is not, and is compiled in.
"""

import itertools
from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._types import Scalar, ScalarLike


class AbstractSchedule(eqx.Module):
    """A rising function t ↦ γ(t) = −log SNR(t)."""

    @abstractmethod
    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t) for t ∈ [0, 1]."""

    def slope(self, t: ScalarLike) -> tuple[Scalar, Scalar]:
        """Return (γ(t), dγ/dt), the slope by forward-mode differentiation."""
        t = jnp.asarray(t, jnp.result_type(float))
        return jax.jvp(self, (t,), (jnp.ones_like(t),))


class FixedLinear(AbstractSchedule):
    """γ(t) = γ_min + (γ_max − γ_min) t. The defaults are those of VDM for 8-bit images."""

    gamma_min: float = -13.3
    gamma_max: float = 5.0

    def __check_init__(self):
        _check_range(self.gamma_min, self.gamma_max)

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t)."""
        return self.gamma_min + (self.gamma_max - self.gamma_min) * jnp.asarray(t)


class LearnedLinear(AbstractSchedule):
    """γ(t) = start + |width| t, with trained ends (VDM's setting for CIFAR-10 and ImageNet)."""

    start: Scalar
    width: Scalar

    def __init__(self, gamma_min: float = -13.3, gamma_max: float = 5.0):
        _check_range(gamma_min, gamma_max)
        # With a dtype given the arrays are strongly typed; weak ones would change type in the
        # first updates, and every compiled function with them.
        self.start = jnp.asarray(gamma_min, jnp.result_type(float))
        self.width = jnp.asarray(gamma_max - gamma_min, jnp.result_type(float))

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t)."""
        return self.start + jnp.abs(self.width) * jnp.asarray(t)


class Cosine(AbstractSchedule):
    """α = cos φ and σ = sin φ with the angle φ linear in t: γ = 2 log tan φ(t).

    The cosine schedule of Nichol and Dhariwal (2021) without its offset, its angle cut to
    the range that gives exactly γ_min at t = 0 and γ_max at t = 1.
    """

    gamma_min: float = -13.3
    gamma_max: float = 5.0

    def __check_init__(self):
        _check_range(self.gamma_min, self.gamma_max)

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t)."""
        # tan = sin / cos, and cos is the sine of the angle that is left: exact at both ends.
        ends = jnp.array([self.gamma_min, self.gamma_max])
        angle = _between(jnp.arctan(jnp.exp(0.5 * ends)), t)
        left = _between(jnp.arctan(jnp.exp(-0.5 * ends)), t)
        return 2 * (jnp.log(jnp.sin(angle)) - jnp.log(jnp.sin(left)))


class BetaLinear(AbstractSchedule):
    """β, the rate at which noise flows in, grows linearly in time: −log α² = a + b t².

    The schedule of DDPM (Ho, Jain and Abbeel 2020) without its offset, with a and b such
    that γ runs from gamma_min to gamma_max.
    """

    gamma_min: float = -13.3
    gamma_max: float = 5.0

    def __check_init__(self):
        _check_range(self.gamma_min, self.gamma_max)

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t)."""
        ends = jnp.array([self.gamma_min, self.gamma_max])
        decay = _between(jax.nn.softplus(ends), jnp.asarray(t) ** 2)  # −log α²
        return decay + jnp.log(-jnp.expm1(-decay))


class FlowMatching(AbstractSchedule):
    """σ : α = u : 1 − u with u linear in t, so that u = sigmoid(γ/2).

    The straight paths of flow matching (Lipman et al. 2023) and rectified flow (Liu et al.
    2023), cut to the range that gives gamma_min at t = 0 and gamma_max at t = 1.
    """

    gamma_min: float = -13.3
    gamma_max: float = 5.0

    def __check_init__(self):
        _check_range(self.gamma_min, self.gamma_max)

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t)."""
        ends = jnp.array([self.gamma_min, self.gamma_max])
        noise = _between(jax.nn.sigmoid(0.5 * ends), t)
        signal = _between(jax.nn.sigmoid(-0.5 * ends), t)
        return 2 * (jnp.log(noise) - jnp.log(signal))


class Karras(AbstractSchedule):
    """(σ/α)^{1/ρ} is linear in t (Karras et al. 2022, equation 5); ρ → ∞ is γ linear in t."""

    gamma_min: float = -13.3
    gamma_max: float = 5.0
    rho: float = 7.0

    def __check_init__(self):
        _check_range(self.gamma_min, self.gamma_max)
        if not self.rho > 0:
            raise ValueError(f"rho must be positive, got {self.rho}")

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t)."""
        ends = jnp.array([self.gamma_min, self.gamma_max])
        return 2 * self.rho * jnp.log(_between(jnp.exp(0.5 * ends / self.rho), t))


class PiecewiseLinear(AbstractSchedule):
    """γ(t) through given values at even times, straight in between: any grid as a schedule.

    With n + 1 values, n steps go from each to the next, in sampling as in the bound.
    """

    gammas: tuple[float, ...] = eqx.field(converter=lambda gammas: tuple(map(float, gammas)))

    def __check_init__(self):
        if len(self.gammas) < 2:
            raise ValueError(f"a schedule needs 2 values of γ or more, got {len(self.gammas)}")
        _check_range(self.gammas[0], self.gammas[-1])
        if not all(low < high for low, high in itertools.pairwise(self.gammas)):
            raise ValueError(f"γ must rise from each value to the next, got {self.gammas}")

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t)."""
        times = jnp.linspace(0.0, 1.0, len(self.gammas))
        return jnp.interp(jnp.asarray(t), times, jnp.asarray(self.gammas))


class MonotoneNet(AbstractSchedule):
    """A network that can only rise, between two trained ends.

    γ(t) = ends(share(t)) with share(t) = (f(t) − f(0)) / (f(1) − f(0)) and
    f(t) = line · t + Σ_k height_k · sigmoid(steepness_k · (t − place_k)); a softplus keeps
    line, heights and steepnesses positive. Whatever it learns, γ runs from end to end. It
    begins as nearly a straight line, of evenly placed small steps.

    From Kingma et al. 2021, appendix H, where all weights begin near zero.
    """

    ends: LearnedLinear
    line: Scalar
    heights: Float[Array, " width"]
    steepness: Float[Array, " width"]
    places: Float[Array, " width"]

    def __init__(self, gamma_min: float = -13.3, gamma_max: float = 5.0, *, width: int = 64):
        if width < 1:
            raise ValueError(f"a MonotoneNet needs a width of at least 1, got {width}")
        self.ends = LearnedLinear(gamma_min, gamma_max)
        dtype = self.ends.start.dtype
        self.line = _before_softplus(jnp.ones((), dtype))
        self.heights = _before_softplus(jnp.full(width, 1 / width, dtype))
        self.steepness = _before_softplus(jnp.full(width, width, dtype))
        self.places = (jnp.arange(width, dtype=dtype) + 0.5) / width

    def __call__(self, t: ScalarLike) -> Scalar:
        """Return γ(t)."""
        return self.ends(self.share(t))

    def share(self, t: ScalarLike) -> Scalar:
        """Return how far along γ is at time t, as a share of the way between its ends."""
        first, now, last = (self._rising(jnp.asarray(u)) for u in (0.0, t, 1.0))
        return (now - first) / (last - first)

    def _rising(self, t: Scalar) -> Scalar:
        step = jax.nn.sigmoid(jax.nn.softplus(self.steepness) * (t - self.places))
        return jax.nn.softplus(self.line) * t + jnp.sum(jax.nn.softplus(self.heights) * step)


def _between(ends: Float[Array, "2"], t: ScalarLike) -> Scalar:
    """Return the point t of the way from the first end to the last; both are hit exactly."""
    return (1 - jnp.asarray(t)) * ends[0] + jnp.asarray(t) * ends[1]


def _before_softplus(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return what softplus takes to y."""
    return y + jnp.log(-jnp.expm1(-y))


def _check_range(gamma_min: float, gamma_max: float) -> None:
    """Raise unless γ rises over finite ends (NaN fails the comparison too)."""
    if not (-jnp.inf < gamma_min < gamma_max < jnp.inf):
        raise ValueError(
            "a schedule rises from gamma_min to gamma_max (noise grows with time), but got "
            f"gamma_min = {gamma_min} and gamma_max = {gamma_max}"
        )
