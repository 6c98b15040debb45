# %% [markdown]
# # 03 · The bound in discrete time: exercises
#
# *Six exercises, about 70 minutes · belongs to lesson 03 · the last one, marked build, is harder than the rest*
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
from vdmlite.bound import schedule_point
from vdmlite.course import exercise


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
# $q(z_1 \mid x) = \mathcal N(\alpha_1 x,\; \sigma_1^2)$: the price of what is left of $x$ where the model expects pure
# noise. The second argument of $\mathcal N$ is the variance. Derive the term from the divergence of two Gaussians,
# exercise 1.1.


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
        jax.random.uniform(key, minval=-3.0, maxval=4.0),
    ),
    hints=[
        "Which two Gaussians are compared, and which of the four arguments of exercise 1.1 are these means and widths?",
        "With s_p = 1 and m_p = 0 half of 1.1 goes away. What is left has a variance, a squared mean and a logarithm: "
        "the cell has α₁² and σ₁² ready for them. Each dimension of x gives one such term.",
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
            "alpha2 * x**2",
            "x**2",
            "The mean of q(z_1 | x) is α₁ x, not x: little of x is left.",
        ),
        (
            " - 1 - jnp",
            " - jnp",
            "The −1 is missing: pure noise must cost nothing.",
        ),
        (
            "- jnp.log(sigma2)",
            "+ jnp.log(sigma2)",
            "The sign of the logarithm is wrong: a narrow q(z_1 | x) is far from N(0, I).",
        ),
        (
            "jnp.sum(sigma2 + alpha2 * x**2 - 1 - jnp.log(sigma2))",
            "(sigma2 + jnp.sum(alpha2 * x**2) - 1 - jnp.log(sigma2))",
            "Only α₁² x² is summed; every dimension also pays its own σ₁² − 1 − log σ₁².",
        ),
        (
            "sigma2 + alpha2 * x**2 - 1 - jnp.log(sigma2))",
            "(1 + alpha2 * x**2) / sigma2 - 1 + jnp.log(sigma2))",
            "This is KL(N(0, I) ‖ q), the other direction: q comes first.",
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
# The decoder for real numbers is $p(x \mid z_0) = \mathcal N(z_0/\alpha_0,\; e^{\gamma_0})$; the second argument is its
# variance. Return $-\log p(x \mid z_0)$ for one given $z_0$.


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
    gamma_0 = jax.random.uniform(key, minval=-8.0, maxval=-1.0)
    return x, vdmlite.marginal(x, gamma_0).at(eps), gamma_0


exercise(
    "3.2",
    reconstruction_term,
    inputs=nearly_clean,
    hints=[
        "First the mean: which scale has the signal in z₀, and how is it undone? Then write down the logarithm of a Gaussian density (1.1) and turn its sign.",
        "The density has the variance in two places, e^(γ₀). What is one over it, and what is its logarithm? Which of the three parts does every dimension pay?",
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
        (
            " + jnp.log(2 * jnp.pi)",
            "",
            "The log 2π of the normalisation is missing.",
        ),
        (
            "0.5 * jnp.sum",
            "0.5 * jnp.mean",
            "This is the mean over the dimensions; nats are summed over them.",
        ),
        (
            "jnp.exp(-gamma_0)",
            "jnp.exp(gamma_0)",
            "The square is divided by the variance e^(γ₀), so it is multiplied by e^(−γ₀).",
        ),
        (
            "(x - centre) ** 2 * jnp.exp(-gamma_0) + gamma_0",
            "(x - centre) ** 2 / jax.nn.sigmoid(gamma_0) + jnp.log(jax.nn.sigmoid(gamma_0))",
            "σ₀² is the variance of the noise in z₀. After the division by α₀ it is e^(γ₀).",
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
# ## 3.3 · A step of another width
# *difficulty ●●○ · 12 minutes*
#
# The lesson's model takes steps $p(z_s \mid z_t)$ that are as wide as $q(z_s \mid z_t, x)$, and it has shown that this is too
# narrow. Let a model take the same mean, made from a guess $\hat\varepsilon$, but a width that is `ratio` times as large.
# What does the step cost, $\mathrm{KL}(q(z_s \mid z_t, x) \,\|\, p(z_s \mid z_t))$, if the guess is $\hat\varepsilon$ and the noise
# was $\varepsilon$? And with which ratio would just this step have cost the least? Return both numbers.
#
# The check also tries steps as short as 0.00001 with `ratio` 1, in single precision, and looks at the digits.
#
# *Predict first*: is the best ratio above 1 or below? And if the guess is exact?


# %% tags=["3.3"]
def step_price(eps, eps_hat, gamma_s, gamma_t, ratio):
    """Return (the divergence of the step in nats, the ratio that would make it least)."""
    ### BEGIN SOLUTION the squared distance of the means, over the variance of q
    apart = jnp.expm1(gamma_t - gamma_s) * jnp.sum((eps - eps_hat) ** 2)
    ### END SOLUTION
    ### BEGIN SOLUTION what the other width costs where the means agree
    widths = eps.size * (jnp.log(ratio) + 0.5 / ratio**2 - 0.5)
    ### END SOLUTION
    ### BEGIN SOLUTION the price
    price = widths + 0.5 * apart / ratio**2
    ### END SOLUTION
    ### BEGIN SOLUTION the best ratio
    best = jnp.sqrt(1 + apart / eps.size)
    ### END SOLUTION
    return price, best


# %% tags=["author"]
def long_or_short(key):
    """Return a noise, a guess, two levels, near 0 and 0.00001 close, or anywhere, and a ratio."""
    size, level, coin = jax.random.uniform(jax.random.fold_in(key, 1), (3,), jnp.float32)
    if coin < 0.5:
        gamma_s = (level - 0.5) / 4
        return *two_points(key), gamma_s, gamma_s + 10 ** (-4.5 - size / 2), jnp.asarray(1.0)
    gamma_s = 12 * level - 6
    return *two_points(key), gamma_s, gamma_s + 0.2 + 2 * size, 0.6 + 2 * size


def divergence(eps, eps_hat, gamma_s, gamma_t, ratio):
    """Return the KL of a step from its two Gaussians, at z_t = 0."""
    z_t = jnp.zeros_like(eps)
    x, x_hat = (vdmlite.from_eps(e, z_t, gamma_t).x for e in (eps, eps_hat))
    q, p = posterior(z_t, x, gamma_s, gamma_t), posterior(z_t, x_hat, gamma_s, gamma_t)
    return kl(q, vdmlite.Gaussian(p.mean, ratio * p.std))


ONE_STEP = jnp.asarray([0.3, -1.0]), jnp.ones(2), jnp.asarray(-1.0), jnp.asarray(0.5)


def nothing_is_cheaper(f):
    """The price at the ratio that f names, and the least of many, by vdmlite.kl."""
    best = f(*ONE_STEP, jnp.asarray(1.0))[1]
    tried = jax.vmap(lambda ratio: divergence(*ONE_STEP, ratio))(jnp.linspace(0.5, 4.0, 3501))
    return divergence(*ONE_STEP, best), jnp.min(tried)


exercise(
    "3.3",
    step_price,
    inputs=long_or_short,
    hints=[
        "Exercise 1.1 with s_p = ratio · s_q. Which of its parts depend on the guess? For ratio 1 the lesson has the price.",
        "In every dimension the two widths cost something of their own, even if the guess is right. And the means' distance counts less before a wider p.",
        "In terms of r = ratio the price is D log r + (D + apart)/(2 r²) less a constant. Where is its slope 0?",
    ],
    slips=[
        (
            "jnp.expm1(gamma_t - gamma_s)",
            "-jnp.expm1(gamma_s - gamma_t)",
            "With ε the factor is e^(γ_t − γ_s) − 1; with x it is a difference of SNRs.",
        ),
        (
            "jnp.expm1(gamma_t - gamma_s)",
            "(jnp.exp(gamma_t - gamma_s) - 1)",
            "For a short step exp − 1 loses its digits: use jnp.expm1.",
        ),
        (
            "jnp.expm1(gamma_t - gamma_s)",
            "jnp.expm1(gamma_s - gamma_t)",
            "The levels are exchanged: γ_t is the higher one.",
        ),
        (
            "jnp.sum((eps - eps_hat) ** 2)",
            "jnp.mean((eps - eps_hat) ** 2)",
            "The bound adds up dimensions: a sum, not a mean.",
        ),
        (
            "eps.size * (jnp.log(ratio)",
            "(jnp.log(ratio)",
            "Every dimension has the other width, and pays for it.",
        ),
        (
            "jnp.log(ratio) + 0.5 / ratio**2 - 0.5",
            "-jnp.log(ratio) + 0.5 * ratio**2 - 0.5",
            "That is KL(p ‖ q), the other way round: the draws come from q.",
        ),
        (
            "jnp.log(ratio) + 0.5 / ratio**2 - 0.5",
            "0.5 / ratio**2 - 0.5",
            "The logarithm is missing: a wider p is lower everywhere.",
        ),
        (
            "jnp.log(ratio) + 0.5 / ratio**2 - 0.5",
            "jnp.log(ratio)",
            "The average of (z − mean)² under q depends on the ratio as well.",
        ),
        (
            "0.5 * apart / ratio**2",
            "0.5 * apart",
            "The squared distance of the means is divided by the variance of p.",
        ),
        (
            "0.5 * apart / ratio**2",
            "0.5 * apart / ratio",
            "`ratio` is one of widths; the variance has its square.",
        ),
        (
            "0.5 * apart / ratio**2",
            "apart / ratio**2",
            "The half is missing.",
        ),
        (
            "jnp.sqrt(1 + apart / eps.size)",
            "1 + apart / eps.size",
            "That is the best ratio of variances. Asked for is that of widths.",
        ),
        (
            "jnp.sqrt(1 + apart / eps.size)",
            "jnp.sqrt(1 + apart)",
            "All dimensions share one ratio: the error counts as a mean over them.",
        ),
        (
            "jnp.sqrt(1 + apart / eps.size)",
            "jnp.sqrt(apart / eps.size)",
            "p has to cover q's own width as well as the error of the mean.",
        ),
        (
            "jnp.expm1(gamma_t - gamma_s)",
            "(jnp.exp(-gamma_s) - jnp.exp(-gamma_t))",
            "A difference of SNRs is the factor of an error of x. Here the error is one of ε.",
        ),
        (
            "jnp.log(ratio) + 0.5 / ratio**2 - 0.5)\n    price = widths + 0.5 * apart / ratio**2",
            "-jnp.log(ratio) + 0.5 * ratio**2 - 0.5)\n    price = widths + 0.5 * apart",
            "This is the divergence of the model's step from the true one. The bound has the true step first.",
        ),
    ],
    laws=[
        (
            "it is the divergence of the two Gaussians, as vdmlite.kl computes it",
            lambda f: (
                f(*ONE_STEP, jnp.asarray(1.7))[0],
                divergence(*ONE_STEP, 1.7),
            ),
        ),
        ("no other width would have been cheaper: thousands were tried", nothing_is_cheaper),
    ],
    # A guess has as many numbers as the noise.
    equivalent=[
        "widths = eps_hat.size * (jnp.log(ratio) + 0.5 / ratio ** 2 - 0.5)",
        "best = jnp.sqrt(1 + apart / eps_hat.size)",
    ],
)

# %% [markdown]
# ## 3.4 · One draw for the whole sum
# *difficulty ●●● · 12 minutes*
#
# The diffusion term is a sum over $T$ steps. In training we take one step $i \in \{1, \dots, T\}$ at random, from
# $t = i/T$ back to $s = (i - 1)/T$, and return a number whose *mean over i* is the sum. `gamma(t)` is the
# schedule, `denoiser(z, gamma_t)` returns $\hat\varepsilon$, and `steps` is $T$. The steps may be short: keep the digits.


# %% tags=["3.4"]
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
    """Return a denoiser, a schedule, an example, a noise, a step and the number of steps.

    Every other walk is short, 0.01 in 200 steps near γ = 0, where exp − 1 has no digits left.
    """
    coin, level, place = jax.random.uniform(key, (3,))
    if coin < 0.5:
        return (
            a_guess,
            vdmlite.FixedLinear(-0.004, 0.006),
            *two_points(key),
            int(2 + 190 * place),
            200,
        )
    steps, low = int(4 + 8 * level), float(-5 + 2 * level)
    i = min(int(2 + (steps - 1) * place), steps)
    return a_guess, vdmlite.FixedLinear(low, low + 7.0), *two_points(key), i, steps


def by_divergence(denoiser, gamma, x, eps, i, steps):
    """Return T times the divergence of step i, from vdmlite's own Gaussians."""
    reader = vdmlite.NetDenoiser(lambda z, level, key: denoiser(z, level), vdmlite.from_eps)
    vdm = vdmlite.VDM(gamma, reader, vdmlite.GaussianDecoder(), x.shape)
    s, t = (i - 1) / steps, i / steps
    z_t = vdmlite.marginal(x, gamma(t)).at(eps)
    return steps * kl(posterior(z_t, x, gamma(s), gamma(t)), vdm.reverse(z_t, s, t))


def shipped_draw(denoiser, gamma, x, eps, i, steps):
    """Return the draw with the weight that the package gives to step i."""
    point = schedule_point(gamma, i / steps, steps)
    z_t = vdmlite.marginal(x, point.gamma_t).at(eps)
    return 0.5 * point.weight * jnp.sum((eps - denoiser(z_t, point.gamma_t)) ** 2)


def mean_of_three(draw):
    """Return the mean of draw over the steps of a walk of three."""
    x, eps, schedule = (
        jnp.asarray([0.5, -1.0]),
        jnp.asarray([1.0, 2.0]),
        vdmlite.FixedLinear(-4.0, 2.0),
    )
    return sum(draw(a_guess, schedule, x, eps, i, 3) for i in (1, 2, 3)) / 3


exercise(
    "3.4",
    one_draw,
    inputs=a_step,
    hints=[
        "How is a sum of T numbers related to their mean?",
        "The price of one step is that of 3.3 with ratio 1. The denoiser looks at z_t, at the noise level of t.",
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
        (
            "jnp.expm1(gamma_t - gamma_s)",
            "(jnp.exp(gamma_t - gamma_s) - 1)",
            "The formula is right, but exp(…) − 1 loses its digits when the step is short: use expm1.",
        ),
        (
            "steps * jnp",
            "(steps - 1) * jnp",
            "There are T steps from t = 0 to t = 1, not T − 1.",
        ),
        (
            "jnp.sum((eps",
            "jnp.mean((eps",
            "This is the mean of the squares; ‖·‖² is their sum.",
        ),
        (
            "0.5 * steps",
            "steps",
            "The factor ½ is missing.",
        ),
        (
            "(eps - denoiser",
            "(x - denoiser",
            "The denoiser of this exercise guesses the noise: compare with ε, not with x.",
        ),
        (
            "jnp.expm1(gamma_t - gamma_s) * error",
            "(jnp.exp(-gamma_s) - jnp.exp(-gamma_t)) * error",
            "The difference of the two SNRs is the weight of an error of x. An error of the noise has e^{γ_t − γ_s} − 1.",
        ),
    ],
    laws=[
        (
            "its mean over the T steps is the sum of the T divergences",
            lambda f: (
                mean_of_three(f),
                mean_of_three(by_divergence),
            ),
        )
    ],
    ships=shipped_draw,
)

# %% [markdown]
# ## 3.5 · The whole bound, in bits per dimension
# *difficulty ●○○ · 5 minutes*
#
# Add up the bound of one example: the prior term, the reconstruction term, and the prices of all steps, an array. (The
# reconstruction may be negative: for real numbers it comes from a density.) Then change nats to **bits per dimension**:
# one bit is $\log 2$ nats, and an example of shape, say, $(8, 8, 3)$ has 192 dimensions. `math.prod` is at hand.


# %% tags=["3.5"]
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
    "3.5",
    bound_in_bits,
    inputs=lambda key: (
        jax.random.uniform(key, minval=0.5, maxval=2.0),
        jax.random.uniform(jax.random.fold_in(key, 2), minval=-6.0, maxval=4.0),
        jax.random.uniform(jax.random.fold_in(key, 1), (5,), minval=1.0, maxval=4.0),
        [(4, 3, 2), (8,), (2, 3)][int(jax.random.randint(key, (), 0, 3))],
    ),
    hints=[
        "All three terms are in nats. Does any of them count against the others?",
        "How many nats is one bit? How many dimensions has an example of shape (4, 3, 2)?",
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
            "The reconstruction term, −log p(x | z_0), is a price like the others: add it.",
        ),
        (
            "+ reconstruction",
            "+ jnp.abs(reconstruction)",
            "A density may exceed one, so its −log may be negative: leave the sign as it is.",
        ),
        (
            "math.log(2)",
            "math.log(10)",
            "That is the number of nats in a decimal digit; one bit is log 2 nats.",
        ),
        (
            "math.prod(shape)",
            "math.prod(shape[:2])",
            "All axes count: a colour image has height times width times channels dimensions.",
        ),
        (
            "math.prod(shape)",
            "sum(shape)",
            "The sizes of the axes are multiplied, not added.",
        ),
        (
            "shape) * math.log(2))",
            "shape[:-1]) * math.log(2))",
            "The channels count as well: a dimension is one number of the image, and a pixel with colour has three.",
        ),
        (
            "shape) * math.log(2))",
            "shape[1:]) * math.log(2))",
            "The shape is that of one image: all its axes count, the first one too.",
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
# ## 3.6 · Build: fence in the limit
# *difficulty ●●● · build · 25 minutes*
#
# With more and more steps the diffusion term falls towards a limit, $L_\infty$. From finitely many noise levels nobody
# can compute it, but you can fence it in. You have $T + 1$ rising levels `gammas` $= (\gamma_0, \dots, \gamma_T)$ and, at
# each, the mean square error of the *best* guess, $e_i = \mathrm E\|x - \hat x(z; \gamma_i)\|^2$. All you may use of it
# is this: it never falls as γ rises, since a noisier latent cannot be guessed from any better.
#
# Return (lower, upper): the closest numbers between which $L_\infty$ must lie, whatever $e$ does from level to level. One
# of the two is the diffusion term $L_T$ itself, on these levels. Which one, and why? (The answer is the step of the proof
# that $L_T$ is a bound.)
#
# *Predict first.* Eight times as many steps: what becomes of upper − lower? Then measure it, on the Gaussian numbers of
# the lesson, $e(\gamma) = 1/(4 + e^{-\gamma})$ with γ from −13.3 to 5, whose limit is 5.956015 nats.
#
# Draw it before you code: the price of a step from lesson 03, in terms of $x$, is the area of a rectangle. Over which
# axis, and how high?


# %% tags=["3.6"]
def fence(error, gammas):
    """Return (lower, upper) for L_∞ in nats, from the errors of the best guess at all levels."""
    errors = jax.vmap(error)(gammas)
    ### BEGIN SOLUTION what L_∞ cannot be below
    won = jnp.exp(-gammas[:-1]) - jnp.exp(-gammas[1:])
    lower = 0.5 * jnp.sum(won * errors[:-1])
    ### END SOLUTION
    ### BEGIN SOLUTION what L_∞ cannot be above
    upper = 0.5 * jnp.sum(won * errors[1:])
    ### END SOLUTION
    return lower, upper


# %% tags=["author"]
def an_error(key):
    """Return the best guess's error for Gaussian data of some width, and uneven levels."""
    width, low, high = jax.random.uniform(key, (3,))
    inner = jnp.sort(jax.random.uniform(jax.random.fold_in(key, 1), (5,)))
    low, high = -5 * low, 1 + 3 * high
    gammas = jnp.concatenate([low[None], low + (high - low) * inner, high[None]])
    return lambda gamma: 1 / (1 / (0.2 + width) + jnp.exp(-gamma)), gammas


def of_the_lesson(gamma):
    """The error of the best guess for the lesson's Gaussian numbers."""
    return 1 / (4 + jnp.exp(-gamma))


def limit_within(f):
    """The limit for the lesson's numbers, and the same pressed between the answer's two."""
    limit = 0.5 * jnp.log((4 + jnp.exp(3.0)) / (4 + jnp.exp(-5.0)))
    return jnp.clip(limit, *f(of_the_lesson, jnp.linspace(-3.0, 5.0, 9))), limit


def upper_is_the_bound(f):
    """The upper number, and T divergences of two Gaussians, as the package computes them."""
    gammas = jnp.linspace(-3.0, 5.0, 9)
    exact = vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.asarray(0.0), jnp.asarray(0.5)))
    spread = jnp.sqrt(3.0) * jnp.array([-1.0, 0.0, 1.0])
    share = jnp.array([1 / 6, 2 / 3, 1 / 6])  # three points stand for a Gaussian

    def price(gamma_s, gamma_t):
        def one(x, eps):
            z_t = vdmlite.marginal(x, gamma_t).at(eps)
            guess = exact(z_t, gamma_t).x
            return kl(
                posterior(z_t, x, gamma_s, gamma_t), posterior(z_t, guess, gamma_s, gamma_t)
            )

        each = jax.vmap(lambda x: jax.vmap(lambda eps: one(x, eps))(spread))(0.5 * spread)
        return share @ each @ share

    total = sum(price(s, t) for s, t in zip(gammas[:-1], gammas[1:], strict=True))
    return f(of_the_lesson, gammas)[1], total


exercise(
    "3.6",
    fence,
    inputs=an_error,
    hints=[
        "In terms of x a step costs ½ (SNR(s) − SNR(t)) times an error. Lay the steps side by side along "
        "the axis of SNR: L_T is an area under stairs, L_∞ the area under the curve e.",
        "e rises with γ, so it falls with SNR. Over one step the curve lies between its values at the "
        "two ends: which end is the higher?",
    ],
    slips=[
        (
            "return lower, upper",
            "return upper, lower",
            "The two are swapped: the error is larger at t, the noisier end of a step.",
        ),
        (
            "jnp.exp(-gammas[:-1]) - jnp.exp(-gammas[1:])",
            "gammas[1:] - gammas[:-1]",
            "The errors of x have the weight of a difference of SNR, not of γ.",
        ),
        (
            "jnp.exp(-gammas[:-1]) - jnp.exp(-gammas[1:])",
            "jnp.exp(-gammas[1:]) - jnp.exp(-gammas[:-1])",
            "The sign is turned: SNR is larger at s, where there is less noise.",
        ),
        (
            "jnp.exp(-gammas[:-1]) - jnp.exp(-gammas[1:])",
            "jnp.expm1(gammas[1:] - gammas[:-1])",
            "expm1 of the difference of γ is the weight of an error of ε; this is an error of x.",
        ),
        (
            "jnp.exp(-gammas[:-1]) - jnp.exp(-gammas[1:])",
            "jnp.exp(gammas[1:]) - jnp.exp(gammas[:-1])",
            "e^γ is noise over signal. SNR, signal over noise, is e^(−γ).",
        ),
        (
            "0.5 * jnp",
            "jnp",
            "The ½ of a step's price is missing.",
        ),
        (
            "won * errors[1:]",
            "won * (errors[:-1] + errors[1:]) / 2",
            "The mean of the two ends is near the limit, but it may lie on either side: no bound.",
        ),
        (
            "won * errors[:-1]",
            "won * (errors[:-1] + errors[1:]) / 2",
            "The mean of the two ends is near the limit, but it may lie on either side of it: no fence.",
        ),
        (
            "won * errors[:-1]",
            "won * errors[0]",
            "That is below the limit, but not the closest: the error at each step's own clean end is known.",
        ),
        (
            "won * errors[1:]",
            "won * errors[-1]",
            "That is above the limit, but not the closest: the error at each step's own noisy end is known.",
        ),
    ],
    laws=[
        ("the limit of the lesson's Gaussian numbers lies inside the fence", limit_within),
        (
            "upper is L_T, the sum of the steps' divergences as vdmlite computes them",
            upper_is_the_bound,
        ),
    ],
)

# %% [markdown]
# In 3.3 the best ratio is never below 1, and 1 for an exact guess: a wider step covers the error of its mean. What you
# predicted in 3.6, in numbers:
#
#     for steps in (25, 200, 1600):
#         print(steps, fence(lambda g: 1 / (4 + jnp.exp(-g)), jnp.linspace(-13.3, 5.0, steps + 1)))
#
# ## Now import it
#
# What you wrote is `vdmlite.bound`: `prior_loss`, `reconstruction_loss` (with the decoder's `log_prob`),
# `discrete_diffusion_loss`, and `bits_per_dim`. From the next lesson on we import it.
