"""The forward process q: how an example x sinks into noise, written in γ = −log SNR.

    x ──► z_0 ──► … ──► z_s ──► … ──► z_t ──► … ──► z_1        γ_0 < γ_s < γ_t < γ_1
    z_t = α_t x + σ_t ε,   α² = sigmoid(−γ),   σ² = sigmoid(γ),   α² + σ² = 1

No time here and no schedule: γ says all there is to know about a noise level (Kingma et
al. 2021, §3). Formulas keep to `expm1`, `softplus` and `log_sigmoid`, which hold their
digits where 1 − σ² or SNR(s) − SNR(t) would lose them.
"""

import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid
from jaxtyping import Array, ArrayLike, Float, Real

from ._types import ScalarLike, check_shape, is_concrete, real
from .gaussian import Gaussian


def alpha2(gamma: Real[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """Return α² = sigmoid(−γ), the power of the signal."""
    return sigmoid(-real(gamma))


def sigma2(gamma: Real[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """Return σ² = sigmoid(γ), the power of the noise."""
    return sigmoid(real(gamma))


def alpha(gamma: Real[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """Return α, the scale of the signal."""
    return jnp.exp(0.5 * log_sigmoid(-real(gamma)))


def sigma(gamma: Real[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """Return σ, the scale of the noise."""
    return jnp.exp(0.5 * log_sigmoid(real(gamma)))


def snr(gamma: Real[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """Return SNR = α²/σ² = exp(−γ), the signal-to-noise ratio."""
    return jnp.exp(-real(gamma))


def marginal(x: Float[Array, "*shape"], gamma_t: ScalarLike) -> Gaussian:
    """Return q(z_t | x) = N(α_t x, σ_t²), the jump from the data to noise level γ_t (§3.1)."""
    return Gaussian(alpha(gamma_t) * x, sigma(gamma_t))


def transition(
    z_s: Float[Array, "*shape"], gamma_s: ScalarLike, gamma_t: ScalarLike
) -> Gaussian:
    """Return q(z_t | z_s) = N(α_{t|s} z_s, σ²_{t|s}), the step from γ_s up to γ_t.

    α_{t|s} = α_t/α_s and σ²_{t|s} = −σ_t² expm1(γ_s − γ_t) (Kingma et al. 2021, appendix A,
    rewritten in γ).

    Raises:
        ValueError: γ_s lies above γ_t.
    """
    gamma_s, gamma_t = _rising(gamma_s, gamma_t)
    scale = jnp.exp(0.5 * (log_sigmoid(-gamma_t) - log_sigmoid(-gamma_s)))
    c = -jnp.expm1(gamma_s - gamma_t)
    return Gaussian(scale * z_s, sigma(gamma_t) * jnp.sqrt(c))


def posterior(
    z_t: Float[Array, "*shape"],
    x: Float[Array, "*shape"],
    gamma_s: ScalarLike,
    gamma_t: ScalarLike,
) -> Gaussian:
    """Return q(z_s | z_t, x), the step from γ_t back down to γ_s when x is known.

    With c = −expm1(γ_s − γ_t): mean = (α_s/α_t)(1 − c) z_t + α_s c x, variance = σ_s² c
    (Kingma et al. 2021, appendix A, rewritten in γ).

    Raises:
        ValueError: γ_s lies above γ_t; x has another shape than z_t.
    """
    check_shape(x, z_t.shape, "x")
    gamma_s, gamma_t = _rising(gamma_s, gamma_t)
    c = -jnp.expm1(gamma_s - gamma_t)
    log_scale = 0.5 * (log_sigmoid(-gamma_s) - log_sigmoid(-gamma_t)) + gamma_s - gamma_t
    mean = jnp.exp(log_scale) * z_t + alpha(gamma_s) * c * x
    return Gaussian(mean, sigma(gamma_s) * jnp.sqrt(c))


def _rising(gamma_s: ScalarLike, gamma_t: ScalarLike):
    """Return both as arrays, after a check that they rise wherever their values can be seen."""
    gamma_s, gamma_t = real(gamma_s), real(gamma_t)
    if is_concrete(gamma_s) and is_concrete(gamma_t) and gamma_s > gamma_t:
        raise ValueError(
            f"noise must rise from s to t, but gamma_s = {gamma_s:g} > gamma_t = {gamma_t:g}"
        )
    return gamma_s, gamma_t
