# %% [markdown]
# # 03 · The bound in discrete time: exercises
#
# *Six exercises, about 45 minutes · belongs to lesson 03*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment the
# hint. Every check stands alone: go on to the next one whenever you like.
#
# Everything is for a single example of any shape, in nats, and *summed* over its dimensions.

# %% tags=["imports"]
import math

import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import vdmlite
from vdmlite import kl, posterior
from vdmlite.course import exercise


def two_levels(key):
    """Two noise levels, the lower first."""
    low, gap = jax.random.uniform(key, (2,))
    return 6 * low - 4, 6 * low - 4 + 0.2 + 2 * gap


def two_points(key):
    """Two different examples of shape (3, 2)."""
    return tuple(jax.random.normal(k, (3, 2)) for k in jax.random.split(key))


def a_guess(z, gamma):
    """Some denoiser ε̂(z, γ)."""
    return jnp.tanh(z) * jax.nn.sigmoid(gamma) + 0.2


# %% [markdown]
# ## 3.1 · The noisy end
# *difficulty ●○○ · 5 minutes*
#
# The **prior term** is $\mathrm{KL}(q(z_1 \mid x) \,\|\, \mathcal N(0, I))$ with
# $q(z_1 \mid x) = \mathcal N(\alpha_1 x,\; \sigma_1^2)$. For one dimension, the divergence of $\mathcal N(m, v)$ from
# the standard Gaussian is $\frac12 (v + m^2 - 1 - \log v)$.


# %% tags=["3.1"]
def prior_term(x, gamma_1):
    """Return KL(q(z_1 | x) ‖ N(0, I)) in nats."""
    alpha2, sigma2 = jax.nn.sigmoid(-gamma_1), jax.nn.sigmoid(gamma_1)
    ### BEGIN SOLUTION the divergence, summed over all dimensions
    return 0.5 * jnp.sum(sigma2 + alpha2 * x**2 - 1 - jnp.log(sigma2))
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "3.1",
    prior_term,
    inputs=lambda key: (
        jax.random.normal(key, (3, 2)),
        jax.random.uniform(key, minval=-1.0, maxval=3.0),
    ),
    hints=[
        "Here v is σ₁², and m is α₁ x, so m² is α₁² x². Each dimension of x gives one such term.",
        "½ · sum of (σ₁² + α₁² x² − 1 − log σ₁²). The cell has α₁² and σ₁² ready.",
    ],
    slips=[
        (
            "jnp.sum(",
            "jnp.mean(",
            "This is the mean over the dimensions; nats are summed over them.",
        ),
        (
            "0.5 * jnp.sum",
            "jnp.sum",
            "The factor ½ is missing.",
        ),
        (
            "alpha2 * x**2",
            "jnp.sqrt(alpha2) * x**2",
            "The mean is α₁ x, so its square is α₁² x², not α₁ x².",
        ),
        (
            "jnp.log(sigma2)",
            "0.5 * jnp.log(sigma2)",
            "That is log σ₁; the formula has the logarithm of the variance, log σ₁².",
        ),
        (
            "jnp.sum(sigma2 + alpha2 * x**2 - 1 - jnp.log(sigma2))",
            "(sigma2 + jnp.sum(alpha2 * x**2) - 1 - jnp.log(sigma2))",
            "Only α₁² x² is summed; every dimension also pays its own σ₁² − 1 − log σ₁².",
        ),
    ],
    laws=[
        (
            "two numbers together cost what they cost one by one",
            lambda f: (
                f(jnp.asarray([0.5, -2.0]), jnp.asarray(1.0)),
                f(jnp.asarray([0.5]), jnp.asarray(1.0))
                + f(jnp.asarray([-2.0]), jnp.asarray(1.0)),
            ),
        )
    ],
    ships=lambda x, gamma_1: vdmlite.prior_loss(
        vdmlite.VDM(
            vdmlite.FixedLinear(float(gamma_1) - 10, float(gamma_1)),
            vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.asarray(0.0), jnp.asarray(1.0))),
            vdmlite.GaussianDecoder(),
            x.shape,
        ),
        x,
    ),
)

# %% [markdown]
# ## 3.2 · The clean end
# *difficulty ●●○ · 8 minutes*
#
# The decoder for real numbers is $p(x \mid z_0) = \mathcal N(z_0/\alpha_0,\; e^{\gamma_0})$: the second argument is its
# variance. Return $-\log p(x \mid z_0)$ for one given $z_0$. In one dimension,
# $-\log \mathcal N(x; m, v) = \frac12\big((x - m)^2/v + \log v + \log 2\pi\big)$.


# %% tags=["3.2"]
def reconstruction_term(x, z_0, gamma_0):
    """Return −log p(x | z_0) in nats."""
    ### BEGIN SOLUTION the mean of the decoder
    centre = z_0 / jnp.sqrt(jax.nn.sigmoid(-gamma_0))
    ### END SOLUTION
    ### BEGIN SOLUTION minus the log density, summed over all dimensions
    return 0.5 * jnp.sum((x - centre) ** 2 * jnp.exp(-gamma_0) + gamma_0 + jnp.log(2 * jnp.pi))
    ### END SOLUTION


# %% tags=["author"]
def nearly_clean(key):
    """Return an example, its latent at the clean end, and that end."""
    x, eps = two_points(key)
    gamma_0 = jax.random.uniform(key, minval=-4.0, maxval=-1.0)
    return x, vdmlite.marginal(x, gamma_0).at(eps), gamma_0


exercise(
    "3.2",
    reconstruction_term,
    inputs=nearly_clean,
    hints=[
        "α₀² = sigmoid(−γ₀). With v = e^(γ₀), what is 1/v, and what is log v?",
        "1/v = e^(−γ₀) and log v = γ₀, and every dimension pays its own ½(γ₀ + log 2π).",
    ],
    slips=[
        (
            "z_0 / jnp.sqrt(jax.nn.sigmoid(-gamma_0))",
            "z_0",
            "z_0 is the signal shrunk by α₀: divide by α₀ before you compare it with x.",
        ),
        (
            "jnp.sqrt(jax.nn.sigmoid(-gamma_0))",
            "jax.nn.sigmoid(-gamma_0)",
            "sigmoid(−γ₀) is α₀²; the signal is shrunk by α₀, its square root.",
        ),
        (
            "jnp.sum((x - centre) ** 2 * jnp.exp(-gamma_0) + gamma_0 + jnp.log(2 * jnp.pi))",
            "(jnp.sum((x - centre) ** 2) * jnp.exp(-gamma_0) + gamma_0 + jnp.log(2 * jnp.pi))",
            "Only the squares are summed; every dimension also pays its own γ₀ + log 2π.",
        ),
        (
            "jnp.exp(-gamma_0)",
            "jnp.exp(-0.5 * gamma_0)",
            "The square is divided by the standard deviation e^(γ₀/2); it must be the variance.",
        ),
        (
            " + gamma_0 + jnp",
            " + jnp",
            "The logarithm of the variance is missing.",
        ),
        (
            "return 0.5",
            "return -0.5",
            "This is +log p(x | z_0). What is paid is minus the logarithm.",
        ),
    ],
    laws=[
        (
            "a latent without noise, z_0 = α_0 x, still costs ½(γ_0 + log 2π) for each dimension",
            lambda f: (
                f(jnp.ones(3), vdmlite.alpha(-2.0) * jnp.ones(3), jnp.asarray(-2.0)),
                jnp.asarray(1.5 * (math.log(2 * math.pi) - 2)),
            ),
        )
    ],
    ships=lambda x, z_0, gamma_0: -vdmlite.GaussianDecoder().log_prob(x, z_0, gamma_0),
)

# %% [markdown]
# ## 3.3 · The price of a step
# *difficulty ●○○ · 5 minutes*
#
# $\mathrm{KL} = \frac12 \big(e^{\gamma_t - \gamma_s} - 1\big)\, \|\varepsilon - \hat\varepsilon\|^2$, where $\|\cdot\|^2$
# is the sum of the squares of all dimensions. The check also tries steps as short as 0.00001, in single
# precision: lesson 02 showed which function keeps its digits there.


# %% tags=["3.3"]
def step_price(eps, eps_hat, gamma_s, gamma_t):
    """Return KL(q(z_s | z_t, x) ‖ p(z_s | z_t)) in nats, from the noise and its guess."""
    ### BEGIN SOLUTION the price, with all its digits
    return 0.5 * jnp.expm1(gamma_t - gamma_s) * jnp.sum((eps - eps_hat) ** 2)
    ### END SOLUTION


# %% tags=["author"]
def long_or_short(key):
    """Return a noise, a guess, and two levels between 1 and 0.00001 apart."""
    size, level = jax.random.uniform(key, (2,), jnp.float32)
    gamma_s = (level - 0.5) / 4
    return *two_points(key), gamma_s, gamma_s + 10 ** (-5 * size)


def divergence(eps, eps_hat, gamma_s, gamma_t):
    """Return the KL of a step from its two Gaussians, at z_t = 0."""
    z_t = jnp.zeros_like(eps)
    x, x_hat = (vdmlite.from_eps(e, z_t, gamma_t).x for e in (eps, eps_hat))
    return kl(posterior(z_t, x, gamma_s, gamma_t), posterior(z_t, x_hat, gamma_s, gamma_t))


exercise(
    "3.3",
    step_price,
    inputs=long_or_short,
    hints=[
        "Square the differences and add them all up; the factor in front has nothing of x in it.",
        "jnp.expm1(u) is eᵘ − 1, computed as one function. Which difference of γ is positive?",
    ],
    slips=[
        (
            "gamma_t - gamma_s",
            "gamma_s - gamma_t",
            "s and t are swapped: the price came out negative, but a divergence never is.",
        ),
        (
            "jnp.expm1(gamma_t - gamma_s)",
            "(jnp.exp(gamma_t - gamma_s) - 1)",
            "The formula is right, but exp(…) − 1 loses its digits when the step is short: "
            "use expm1.",
        ),
        (
            "0.5 * jnp",
            "jnp",
            "The factor ½ is missing.",
        ),
        (
            "jnp.sum(",
            "jnp.mean(",
            "This is the mean of the squares; ‖·‖² is their sum.",
        ),
    ],
    laws=[
        (
            "it is the divergence of the two Gaussians, as vdmlite.kl computes it",
            lambda f: (
                f(jnp.asarray([0.3, -1.0]), jnp.ones(2), jnp.asarray(-1.0), jnp.asarray(0.5)),
                divergence(jnp.asarray([0.3, -1.0]), jnp.ones(2), -1.0, 0.5),
            ),
        )
    ],
)

# %% [markdown]
# ## 3.4 · The same price, from x
# *difficulty ●●○ · 8 minutes*
#
# Whoever guesses $x$ rather than $\varepsilon$ pays
# $\frac12 \big(\mathrm{SNR}(s) - \mathrm{SNR}(t)\big)\, \|x - \hat x\|^2$. The levels are given as γ.


# %% tags=["3.4"]
def step_price_from_x(x, x_hat, gamma_s, gamma_t):
    """Return KL(q(z_s | z_t, x) ‖ p(z_s | z_t)) in nats, from the example and its guess."""
    ### BEGIN SOLUTION the signal-to-noise ratio that the step wins
    won = jnp.exp(-gamma_s) - jnp.exp(-gamma_t)
    ### END SOLUTION
    ### BEGIN SOLUTION the price
    return 0.5 * won * jnp.sum((x - x_hat) ** 2)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "3.4",
    step_price_from_x,
    inputs=lambda key: (*two_points(key), *two_levels(jax.random.fold_in(key, 1))),
    hints=[
        "γ = −log SNR. Solve for the SNR.",
        "The step back ends at s, where there is less noise: which of the two ratios is larger?",
    ],
    slips=[
        (
            "jnp.exp(-gamma_s) - jnp.exp(-gamma_t)",
            "jnp.exp(-gamma_t) - jnp.exp(-gamma_s)",
            "s and t are swapped: the ratio is larger at s, where there is less noise.",
        ),
        (
            "jnp.exp(-gamma_s) - jnp.exp(-gamma_t)",
            "jnp.exp(gamma_t) - jnp.exp(gamma_s)",
            "e^γ is noise over signal. SNR, signal over noise, is e^(−γ).",
        ),
        (
            "jnp.exp(-gamma_s) - jnp.exp(-gamma_t)",
            "gamma_t - gamma_s",
            "That is a difference of log SNR; the price has the difference of the SNR themselves.",
        ),
        (
            "jnp.sum(",
            "jnp.mean(",
            "This is the mean of the squares; ‖·‖² is their sum.",
        ),
        (
            "** 2",
            "* 1",
            "The error of the guess is to be squared.",
        ),
    ],
    laws=[
        (
            "it is ½ expm1(γ_t − γ_s) ‖ε − ε̂‖², since ε − ε̂ = (x̂ − x) α_t/σ_t",
            lambda f: (
                f(jnp.ones(4), jnp.zeros(4), jnp.asarray(-1.5), jnp.asarray(0.5)),
                0.5 * jnp.expm1(2.0) * 4 * vdmlite.snr(0.5),
            ),
        )
    ],
    ships=lambda x, x_hat, s, t: kl(posterior(x, x, s, t), posterior(x, x_hat, s, t)),
)

# %% [markdown]
# ## 3.5 · One draw for the whole sum
# *difficulty ●●● · 12 minutes*
#
# The diffusion term is a sum over $T$ steps. In training we take one step $i \in \{1, \dots, T\}$ at random, from
# $t = i/T$ back to $s = (i - 1)/T$, and return a number whose *mean over i* is the sum. `gamma(t)` is the
# schedule, `denoiser(z, gamma_t)` returns $\hat\varepsilon$, and `steps` is $T$.


# %% tags=["3.5"]
def one_draw(denoiser, gamma, x, eps, i, steps):
    """Return one draw of the diffusion term in nats, from step i and the noise ε."""
    ### BEGIN SOLUTION the two times
    s, t = (i - 1) / steps, i / steps
    ### END SOLUTION
    gamma_s, gamma_t = gamma(s), gamma(t)
    z_t = jnp.sqrt(jax.nn.sigmoid(-gamma_t)) * x + jnp.sqrt(jax.nn.sigmoid(gamma_t)) * eps
    ### BEGIN SOLUTION the squared error of the guess
    error = jnp.sum((eps - denoiser(z_t, gamma_t)) ** 2)
    ### END SOLUTION
    ### BEGIN SOLUTION the draw, with its weight
    return 0.5 * steps * jnp.expm1(gamma_t - gamma_s) * error
    ### END SOLUTION


# %% tags=["author"]
def a_step(key):
    """Return a denoiser, a schedule, an example, a noise, a step and the number of steps."""
    steps = int(jax.random.randint(key, (), 4, 12))
    i = int(jax.random.randint(jax.random.fold_in(key, 1), (), 2, steps + 1))
    low = float(jax.random.uniform(key, minval=-5.0, maxval=-3.0))
    return a_guess, vdmlite.FixedLinear(low, low + 7.0), *two_points(key), i, steps


def shipped_draw(denoiser, gamma, x, eps, i, steps):
    """Return T times the divergence of step i, from vdmlite's own Gaussians."""
    reader = vdmlite.NetDenoiser(lambda z, level, key: denoiser(z, level), vdmlite.from_eps)
    vdm = vdmlite.VDM(gamma, reader, vdmlite.GaussianDecoder(), x.shape)
    s, t = (i - 1) / steps, i / steps
    z_t = vdmlite.marginal(x, gamma(t)).at(eps)
    return steps * kl(posterior(z_t, x, gamma(s), gamma(t)), vdm.reverse(z_t, s, t))


def mean_of_three(draw):
    """Return the mean of draw over the steps of a walk of three."""
    x, eps, schedule = (
        jnp.asarray([0.5, -1.0]),
        jnp.asarray([1.0, 2.0]),
        vdmlite.FixedLinear(-4.0, 2.0),
    )
    return sum(draw(a_guess, schedule, x, eps, i, 3) for i in (1, 2, 3)) / 3


exercise(
    "3.5",
    one_draw,
    inputs=a_step,
    hints=[
        "A sum of T numbers is T times their mean. So a draw is T times the price of one step.",
        "The price of a step is that of 3.3. The denoiser looks at z_t, at the noise level of t.",
    ],
    slips=[
        (
            "0.5 * steps * jnp",
            "0.5 * jnp",
            "This is the price of one step. Its mean over i is the sum divided by T: multiply by T.",
        ),
        (
            "(i - 1) / steps, i / steps",
            "i / steps, (i + 1) / steps",
            "This is the next step up: step i goes from t = i/T back to s = (i − 1)/T.",
        ),
        (
            "s, t = (i - 1) / steps, i / steps",
            "t, s = (i - 1) / steps, i / steps",
            "s and t are swapped: t = i/T is the noisier time, where the step back begins.",
        ),
        (
            "jnp.expm1(gamma_t - gamma_s)",
            "(gamma_t - gamma_s)",
            "The difference of γ alone is the limit of short steps; a step of this length costs "
            "e^(γ_t − γ_s) − 1.",
        ),
        (
            "denoiser(z_t, gamma_t)",
            "denoiser(z_t, gamma_s)",
            "z_t has the noise level of t; the denoiser must be told that one, not that of s.",
        ),
        (
            "gamma_t - gamma_s",
            "t - s",
            "The weight wants the difference of the two γ, not of the two times.",
        ),
    ],
    laws=[
        (
            "its mean over the T steps is the sum of the T divergences",
            lambda f: (
                mean_of_three(f),
                mean_of_three(shipped_draw),
            ),
        )
    ],
    ships=shipped_draw,
)

# %% [markdown]
# ## 3.6 · The whole bill, in bits per dimension
# *difficulty ●○○ · 5 minutes*
#
# Add up the bound of one example: the prior term, the reconstruction term, and the prices of all steps, an array. Then
# change nats to **bits per dimension**: one bit is $\log 2$ nats, and an example of shape, say, $(8, 8, 3)$
# has 192 dimensions. `math.prod` is at hand.


# %% tags=["3.6"]
def bound_in_bits(prior, reconstruction, step_prices, shape):
    """Return the bound in bits per dimension."""
    ### BEGIN SOLUTION the bound in nats
    nats = prior + reconstruction + jnp.sum(step_prices)
    ### END SOLUTION
    ### BEGIN SOLUTION the same in bits per dimension
    return nats / (math.prod(shape) * math.log(2))
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "3.6",
    bound_in_bits,
    inputs=lambda key: (
        *jax.random.uniform(key, (2,), minval=0.5, maxval=2.0),
        jax.random.uniform(jax.random.fold_in(key, 1), (5,), minval=1.0, maxval=4.0),
        (4, 3, 2),
    ),
    hints=[
        "All three terms are costs, in nats, and all of them are added.",
        "Divide by the product of the shape, and by the number of nats in a bit.",
    ],
    slips=[
        (
            " * math.log(2)",
            "",
            "These are nats per dimension: one bit is log 2 nats.",
        ),
        (
            "(math.prod(shape) * math.log(2))",
            "math.prod(shape) * math.log(2)",
            "This multiplies by log 2. A bit is log 2 nats, so nats are divided by it.",
        ),
        (
            "math.prod(shape)",
            "len(shape)",
            "That is the number of axes. The number of dimensions is the product of the shape.",
        ),
        (
            "jnp.sum(step_prices)",
            "jnp.mean(step_prices)",
            "The diffusion term is the sum of the prices of all steps, not their mean.",
        ),
        (
            "jnp.sum(step_prices)",
            "step_prices",
            "The prices of the steps are still an array: add them up.",
        ),
        (
            "+ reconstruction",
            "- reconstruction",
            "The reconstruction term, −log p(x | z_0), is a cost like the others: add it.",
        ),
    ],
    laws=[
        (
            "a bound of 2 log 2 nats on two dimensions is 1 bit per dimension",
            lambda f: (
                f(jnp.asarray(0.0), jnp.log(2.0), jnp.full(4, jnp.log(2.0) / 4), (2,)),
                jnp.asarray(1.0),
            ),
        )
    ],
    ships=lambda prior, reconstruction, step_prices, shape: vdmlite.bits_per_dim(
        vdmlite.VLB(prior, reconstruction, jnp.sum(step_prices)).loss, shape
    ),
)

# %% [markdown]
# ## Now import it
#
# What you wrote is `vdmlite.bound`: `prior_loss`, `reconstruction_loss` (with the decoder's `log_prob`),
# `discrete_diffusion_loss`, and `bits_per_dim`. From the next lesson on we import it.
