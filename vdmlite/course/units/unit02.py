"""Built from solutions/02_forward_process.py. Do not edit."""


import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo


from vdmlite import process
from vdmlite.course import exercise


def two_levels(key):
    """Two noise levels, the lower first."""
    low, gap = jax.random.uniform(key, (2,))
    return 8 * low - 6, 8 * low - 6 + 0.2 + 3 * gap


def long_or_short(key):
    """Two noise levels, the lower first, far apart or 0.00001; always in single precision.

    The short steps lie near γ = 0: far from it a γ has so few digits that 1 − exp is exact.
    """
    low, gap, coin = jax.random.uniform(key, (3,), jnp.float32)
    if coin < 0.3:
        return low / 8, low / 8 + 1e-5
    return 8 * low - 6, 8 * low - 6 + 0.2 + 3 * gap


def scales(gamma):
    """Return (α, σ)."""
    alpha = jnp.sqrt(jax.nn.sigmoid(-gamma))
    sigma = jnp.sqrt(jax.nn.sigmoid(gamma))
    return alpha, sigma


exercise(
    "2.1",
    scales,
    inputs=lambda key: (jax.random.uniform(key, minval=-6.0, maxval=5.0),),
    hints=[
        "Put σ² = 1 − α² into α²/σ² = e^(−γ) and solve for α².",
        "α² = sigmoid(−γ). The scale is its square root.",
    ],
    slips=[
        (
            "jnp.sqrt(jax.nn.sigmoid",
            "(jax.nn.sigmoid",
            "These are the powers α² and σ²; the scales are their square roots.",
        ),
        (
            "sigmoid(-gamma))\n    sigma = jnp.sqrt(jax.nn.sigmoid(gamma",
            "sigmoid(gamma))\n    sigma = jnp.sqrt(jax.nn.sigmoid(-gamma",
            "Signal and noise are swapped: γ grows as the noise grows.",
        ),
    ],
    laws=[
        (
            "α² + σ² = 1, even at γ = 12",
            lambda f: (sum(a**2 for a in f(jnp.asarray(12.0))), jnp.asarray(1.0)),
        )
    ],
    ships=lambda gamma: (process.alpha(gamma), process.sigma(gamma)),
)


def diffuse(x, eps, gamma):
    """Return z = α x + σ ε."""
    return jnp.sqrt(jax.nn.sigmoid(-gamma)) * x + jnp.sqrt(jax.nn.sigmoid(gamma)) * eps


exercise(
    "2.2",
    diffuse,
    inputs=lambda key: (
        jax.random.normal(key, (3, 2)),
        jax.random.normal(jax.random.fold_in(key, 1), (3, 2)),
        jax.random.uniform(key, minval=-5.0, maxval=4.0),
    ),
    hints=["You have α and σ from the exercise before.", "√sigmoid(−γ) · x + √sigmoid(γ) · ε"],
    slips=[
        (
            "jnp.sqrt(jax.nn.sigmoid(gamma))",
            "jax.nn.sigmoid(gamma)",
            "The noise is scaled by σ², its variance; it should be scaled by σ.",
        ),
        (
            "jnp.sqrt(jax.nn.sigmoid",
            "(jax.nn.sigmoid",
            "You scaled with the powers α² and σ²; the scales are their square roots.",
        ),
        (
            "jax.nn.sigmoid(-gamma)) * x + jnp.sqrt(jax.nn.sigmoid(gamma))",
            "jax.nn.sigmoid(gamma)) * x + jnp.sqrt(jax.nn.sigmoid(-gamma))",
            "α and σ are swapped: the signal x goes with α, the noise with σ.",
        ),
        (
            "jnp.sqrt(jax.nn.sigmoid(-gamma)) * x",
            "x",
            "The signal is not shrunk. Noise is added, but x must be multiplied by α.",
        ),
    ],
    laws=[
        (
            "with ε = 0 only the signal is left, α x",
            lambda f: (
                f(jnp.ones(2), jnp.zeros(2), jnp.asarray(1.0)),
                process.alpha(1.0) * jnp.ones(2),
            ),
        )
    ],
    ships=lambda x, eps, gamma: process.marginal(x, gamma).at(eps),
)


def step(gamma_s, gamma_t):
    """Return (α_{t|s}, σ²_{t|s})."""
    alpha2_s, alpha2_t = jax.nn.sigmoid(-gamma_s), jax.nn.sigmoid(-gamma_t)
    scale = jnp.sqrt(alpha2_t / alpha2_s)
    variance = jax.nn.sigmoid(gamma_t) - scale**2 * jax.nn.sigmoid(gamma_s)
    return scale, variance


exercise(
    "2.3",
    step,
    inputs=two_levels,
    hints=[
        "After the step the signal must have scale α_t. It had α_s.",
        "The old noise has variance σ_s² and is shrunk by scale². What is missing to σ_t²?",
    ],
    slips=[
        (
            "- scale**2 * jax.nn.sigmoid(gamma_s)",
            "- jax.nn.sigmoid(gamma_s)",
            "The old noise shrinks too, along with the signal: its variance is scale² σ_s² now.",
        ),
        (
            "jnp.sqrt(alpha2_t / alpha2_s)",
            "jnp.sqrt(alpha2_s / alpha2_t)",
            "s and t are swapped: the signal has to shrink, so the scale is below 1.",
        ),
        (
            "scale**2 * jax",
            "scale * jax",
            "A variance is scaled by the square of the factor, scale².",
        ),
        (
            "jnp.sqrt(alpha2_t / alpha2_s)",
            "(alpha2_t / alpha2_s)",
            "That is the ratio of the powers α_t² and α_s²; the scale is its square root.",
        ),
        (
            "return scale, variance",
            "return scale**2, variance",
            "The variance is right, but the first result is α_{t|s}²; the scale is its square root.",
        ),
        (
            "return scale, variance",
            "return scale, jnp.sqrt(variance)",
            "The second result is the standard deviation; asked for is its square, the variance.",
        ),
    ],
    laws=[
        (
            "two steps in a row are one step (Chapman and Kolmogorov)",
            lambda f: (
                f(jnp.asarray(-3.0), jnp.asarray(-1.0))[1]
                * f(jnp.asarray(-1.0), jnp.asarray(2.0))[0] ** 2
                + f(jnp.asarray(-1.0), jnp.asarray(2.0))[1],
                f(jnp.asarray(-3.0), jnp.asarray(2.0))[1],
            ),
        )
    ],
    ships=lambda s, t: (
        process.transition(jnp.asarray(1.0), s, t).mean,
        process.transition(jnp.asarray(1.0), s, t).std ** 2,
    ),
)


def step_back(z_t, x, gamma_s, gamma_t):
    """Return (mean, std) of q(z_s | z_t, x)."""
    alpha_s = jnp.sqrt(jax.nn.sigmoid(-gamma_s))
    alpha_t = jnp.sqrt(jax.nn.sigmoid(-gamma_t))
    c = -jnp.expm1(gamma_s - gamma_t)
    mean = alpha_s / alpha_t * (1 - c) * z_t + alpha_s * c * x
    std = jnp.sqrt(jax.nn.sigmoid(gamma_s) * c)
    return mean, std


exercise(
    "2.4",
    step_back,
    inputs=lambda key: (
        jax.random.normal(key, (3,)),
        jax.random.normal(jax.random.fold_in(key, 1), (3,)),
        *long_or_short(jax.random.fold_in(key, 2)),
    ),
    hints=[
        "expm1(u) is eᵘ − 1, so c is −expm1(γ_s − γ_t). It lies between 0 and 1.",
        "std² = σ_s² c with σ_s² = sigmoid(γ_s).",
    ],
    slips=[
        (
            "gamma_s - gamma_t)",
            "gamma_t - gamma_s)",
            "s and t are swapped in c: it came out negative, but it is a share between 0 and 1.",
        ),
        (
            "-jnp.expm1(",
            "jnp.expm1(",
            "expm1(u) is eᵘ − 1, and c is 1 − eᵘ: put a minus in front.",
        ),
        (
            "-jnp.expm1(",
            "1 - jnp.exp(",
            "The formula is right, but 1 − exp(…) loses its digits when the step is small: use expm1.",
        ),
        (
            "jnp.sqrt(jax.nn.sigmoid(gamma_s) * c)",
            "jax.nn.sigmoid(gamma_s) * c",
            "That is the variance; the standard deviation is its square root.",
        ),
        (
            "sigmoid(gamma_s) * c)",
            "sigmoid(gamma_t) * c)",
            "The width of the step back is set by σ_s, the noise where we arrive, not by σ_t.",
        ),
    ],
    laws=[
        (
            "a step of no size moves nothing",
            lambda f: (
                f(jnp.asarray(0.7), jnp.asarray(-0.2), jnp.asarray(1.0), jnp.asarray(1.0))[0],
                jnp.asarray(0.7),
            ),
        )
    ],
    ships=lambda z_t, x, s, t: (
        process.posterior(z_t, x, s, t).mean,
        process.posterior(z_t, x, s, t).std,
    ),
)
