"""Schedules: γ(t), how noisy the latent is at time t ∈ [0, 1].

Only this file and the bound know time; networks see γ. A field that is an array is
trained; one that is a Python number is not, and is compiled in.
"""

import itertools
from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Real

from ._types import Scalar, ScalarLike, check_shape, is_concrete, real


class AbstractSchedule(eqx.Module):
    """A rising function t ↦ γ(t) = −log SNR(t). A schedule of your own defines `gamma`."""

    @abstractmethod
    def gamma(self, t: Scalar) -> Scalar:
        """Return γ at one time t ∈ [0, 1]."""

    def __call__(self, t: Real[ArrayLike, "*b"]) -> Float[Array, "*b"]:
        """Return γ(t) at one time, or at each of an array of times.

        Raises:
            ValueError: `gamma` returns anything but one number for one time.
        """

        def one(t: Scalar) -> Scalar:
            gamma = self.gamma(t)
            check_shape(gamma, (), f"{type(self).__name__}.gamma(t), for one t,")
            return real(gamma)

        return jnp.vectorize(one)(real(t))

    def slope(self, t: Real[ArrayLike, "*b"]) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
        """Return (γ(t), dγ/dt), the slope by forward-mode differentiation."""
        t = jnp.asarray(t, jnp.result_type(float))
        return jax.jvp(self, (t,), (jnp.ones_like(t),))


def gamma_grid(schedule: AbstractSchedule, steps: int) -> Float[Array, " n"]:
    """Return γ at `steps` + 1 even times, after a check that it rises.

    Values are looked at only where they can be seen, that is outside `jit` and `vmap`.

    Raises:
        ValueError: it falls somewhere, or isn't finite.
    """
    times = jnp.linspace(0.0, 1.0, steps + 1)
    gammas = schedule(times)
    if not is_concrete(gammas):
        return gammas
    rise = np.diff(np.asarray(gammas))
    if not (rise >= 0).all() or not gammas[0] < gammas[-1]:  # NaN fails as well
        at = int(np.argmin(np.nan_to_num(rise, nan=-np.inf)))
        raise ValueError(
            f"noise must grow with time, but {type(schedule).__name__} goes from γ = "
            f"{gammas[at]:g} to {gammas[at + 1]:g} between t = {times[at]:g} and "
            f"{times[at + 1]:g}"
        )
    return gammas


class AbstractFixed(AbstractSchedule):
    """γ = f⁻¹((1 − u) f(γ_min) + u f(γ_max)): some function f of γ grows evenly, u = t.

    | schedule | f(γ) grows evenly | which is |
    |---|---|---|
    | FixedLinear | γ | −log SNR |
    | Karras | e^{γ/2ρ} | (σ/α)^{1/ρ} |
    | FlowMatching | sigmoid(γ/2) | σ/(α + σ) |
    | Cosine | arctan e^{γ/2} | the angle φ of α = cos φ, σ = sin φ |
    | BetaLinear | softplus γ, with u = t² | −log α² |

    Each is cut to the range that gives exactly γ_min at t = 0 and γ_max at t = 1. The default
    range is VDM's for 8-bit images.
    """

    gamma_min: float = -13.3
    gamma_max: float = 5.0
    power: ClassVar[int] = 1
    """u = t^power."""

    def __check_init__(self):
        _check_range(self.gamma_min, self.gamma_max)

    @abstractmethod
    def f(self, gamma: Float[Array, "2"]) -> Float[Array, "2"]:
        """Return what grows evenly."""

    @abstractmethod
    def inverse(self, y: Scalar, mirrored: Scalar) -> Scalar:
        """Return γ from y = f(γ) and `mirrored` = f(−γ), exact where f levels off."""

    def gamma(self, t: Scalar) -> Scalar:
        """Return γ at one time."""
        ends, u = jnp.array([self.gamma_min, self.gamma_max]), t**self.power

        def between(values: Float[Array, "2"]) -> Scalar:
            return (1 - u) * values[0] + u * values[1]

        return self.inverse(between(self.f(ends)), between(self.f(-ends)))


class FixedLinear(AbstractFixed):
    """γ(t) = γ_min + (γ_max − γ_min) t, the schedule that VDM starts from."""

    def f(self, gamma: Float[Array, "2"]) -> Float[Array, "2"]:
        """Return γ."""
        return gamma

    def inverse(self, y: Scalar, mirrored: Scalar) -> Scalar:
        """Return γ."""
        del mirrored
        return y


class Karras(AbstractFixed):
    """(σ/α)^{1/ρ} is linear in t (Karras et al. 2022, equation 5); ρ → ∞ is γ linear in t."""

    rho: float = 7.0

    def __check_init__(self):
        if not self.rho > 0:
            raise ValueError(f"rho must be positive, got {self.rho}")

    def f(self, gamma: Float[Array, "2"]) -> Float[Array, "2"]:
        """Return (σ/α)^{1/ρ} = e^{γ/2ρ}."""
        return jnp.exp(0.5 * gamma / self.rho)

    def inverse(self, y: Scalar, mirrored: Scalar) -> Scalar:
        """Return γ = 2ρ log y."""
        del mirrored
        return 2 * self.rho * jnp.log(y)


class FlowMatching(AbstractFixed):
    """σ : α = u : 1 − u with u linear in t, so that u = sigmoid(γ/2).

    The straight paths of flow matching (Lipman et al. 2023) and of rectified flow (Liu et al.
    2023).
    """

    def f(self, gamma: Float[Array, "2"]) -> Float[Array, "2"]:
        """Return σ/(α + σ)."""
        return jax.nn.sigmoid(0.5 * gamma)

    def inverse(self, y: Scalar, mirrored: Scalar) -> Scalar:
        """Return γ = 2 log(σ/α)."""
        return 2 * (jnp.log(y) - jnp.log(mirrored))


class Cosine(AbstractFixed):
    """α = cos φ and σ = sin φ with the angle φ linear in t: γ = 2 log tan φ(t).

    The cosine schedule of Nichol and Dhariwal (2021) without its offset.
    """

    def f(self, gamma: Float[Array, "2"]) -> Float[Array, "2"]:
        """Return φ = arctan(σ/α)."""
        return jnp.arctan(jnp.exp(0.5 * gamma))

    def inverse(self, y: Scalar, mirrored: Scalar) -> Scalar:
        """Return γ = 2 log tan φ; cos φ is the sine of the angle that is left."""
        return 2 * (jnp.log(jnp.sin(y)) - jnp.log(jnp.sin(mirrored)))


class BetaLinear(AbstractFixed):
    """β, the rate at which noise flows in, grows linearly in time: −log α² = a + b t².

    The schedule of DDPM (Ho, Jain and Abbeel 2020) without its offset.
    """

    power: ClassVar[int] = 2

    def f(self, gamma: Float[Array, "2"]) -> Float[Array, "2"]:
        """Return −log α² = softplus γ."""
        return jax.nn.softplus(gamma)

    def inverse(self, y: Scalar, mirrored: Scalar) -> Scalar:
        """Return γ = log(e^y − 1)."""
        del mirrored
        return y + jnp.log(-jnp.expm1(-y))


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

    def gamma(self, t: Scalar) -> Scalar:
        """Return γ at one time."""
        return self.start + jnp.abs(self.width) * t


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

    def gamma(self, t: Scalar) -> Scalar:
        """Return γ at one time."""
        times = jnp.linspace(0.0, 1.0, len(self.gammas))
        return jnp.interp(t, times, jnp.asarray(self.gammas))


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

    def gamma(self, t: Scalar) -> Scalar:
        """Return γ at one time."""
        return self.ends.gamma(self.share(t))

    def share(self, t: ScalarLike) -> Scalar:
        """Return how far along γ is at time t, as a share of the way between its ends."""
        check_shape(t, (), "the time of a share")
        first, now, last = (self._rising(real(u)) for u in (0.0, t, 1.0))
        return (now - first) / (last - first)

    def _rising(self, t: Scalar) -> Scalar:
        step = jax.nn.sigmoid(jax.nn.softplus(self.steepness) * (t - self.places))
        return jax.nn.softplus(self.line) * t + jnp.sum(jax.nn.softplus(self.heights) * step)


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
