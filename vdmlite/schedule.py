"""Schedules: γ(t), how noisy the latent is at time t ∈ [0, 1].

Only this file and the bound know time; networks see γ. A field that is an array is
trained, a field that is a Python number is not.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp

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
        angle, left = (self._angle(jnp.asarray(t), sign) for sign in (1, -1))
        return 2 * (jnp.log(jnp.sin(angle)) - jnp.log(jnp.sin(left)))

    def _angle(self, t: Scalar, sign: int) -> Scalar:
        first, last = (
            jnp.arctan(jnp.exp(0.5 * sign * g)) for g in (self.gamma_min, self.gamma_max)
        )
        return (1 - t) * first + t * last


def _check_range(gamma_min: float, gamma_max: float) -> None:
    """Raise unless γ rises over finite ends (NaN fails the comparison too)."""
    if not (-jnp.inf < gamma_min < gamma_max < jnp.inf):
        raise ValueError(
            "a schedule rises from gamma_min to gamma_max (noise grows with time), but got "
            f"gamma_min = {gamma_min} and gamma_max = {gamma_max}"
        )
