# %% [markdown]
# # 15 · DDPM: every loss is a weight: exercises
#
# *Six exercises, about 90 minutes · belongs to lesson 15*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment
# the hint. Every check stands alone: go on to the next one whenever you like. The last exercise is a **build**: it
# takes longer, and its text shows no formula to copy.
#
# All arrays here are NumPy's, in double precision. As everywhere, $z = \alpha x + \sigma \varepsilon$ with $\alpha^2 +
# \sigma^2 = 1$ and $\gamma = \log (\sigma^2 / \alpha^2)$, and $m(\gamma) = \mathbb E \lVert \varepsilon -
# \hat\varepsilon \rVert^2$. A loss has the *weight* $w$ if it is $\tfrac12 \int w(\gamma)\, m(\gamma)\, d\gamma$.

# %% tags=["imports"]
import numpy as np

from vdmlite.course import check, hint, solution, todo


def sigmoid(u):
    """1/(1 + exp(−u))."""
    return 1 / (1 + np.exp(-u))


# %% tags=["author"]
import jax
import jax.numpy as jnp

import vdmlite
from vdmlite.codec import double_precision
from vdmlite.course import exercise
from vdmlite.neighbours import progressive, weighting


def numbers(key):
    """A NumPy generator from one of JAX's keys."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def some_target(key):
    """Noise levels, and what a network mixes of ε and x at each."""
    random = numbers(key)
    return random.uniform(-5, 5, 6), random.normal(0, 1, 6), random.normal(0, 1, 6)


def by_the_package(gamma, a, b):
    """The factor, from a guess that is off by one."""
    with double_precision():
        gamma, z = jnp.asarray(gamma), jnp.zeros(6)
        eps = jnp.ones(6)
        right = jax.vmap(vdmlite.from_eps)(0 * eps, z, gamma)
        wrong = jax.vmap(vdmlite.from_eps)(eps, z, gamma)
        off = a * (wrong.eps - right.eps) + b * (wrong.x - right.x)
        return np.asarray(off**2)


# %% [markdown]
# ## 15.1 · A target of your own
# *difficulty ●○○ · 10 minutes*
#
# A network guesses $y = a\, \varepsilon + b\, x$, with numbers $a$ and $b$ that may differ from level to level. It is
# given $z$. So a guess $\hat y$ is also a guess of $\varepsilon$ and of $x$, which fit $z$ together: $\alpha \hat x +
# \sigma \hat\varepsilon = z$. By which factor is $\lVert y - \hat y \rVert^2$ larger than $\lVert \varepsilon -
# \hat\varepsilon \rVert^2$?
#
# *Predict first*: can the factor be 0? What would such a network learn?


# %% tags=["15.1"]
def factor(gamma, a, b):
    """Return the factor at each noise level."""
    ### BEGIN SOLUTION x̂ − x for each unit of ε̂ − ε
    of_x = -np.exp(gamma / 2)
    ### END SOLUTION
    ### BEGIN SOLUTION the factor
    return (a + b * of_x) ** 2
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "15.1",
    factor,
    inputs=some_target,
    ships=by_the_package,
    hints=[
        "z is known. If ε̂ is too large by δ, by how much is x̂ off, and to which side?",
        "ŷ − y = a (ε̂ − ε) + b (x̂ − x). Put the one error in terms of the other before you square.",
    ],
    slips=[
        (
            "-np.exp(gamma / 2)",
            "np.exp(gamma / 2)",
            "The sign: z is known, so an ε̂ that is too large makes x̂ too small.",
        ),
        (
            "-np.exp(gamma / 2)",
            "-np.exp(-gamma / 2)",
            "That is α/σ, the other way round: α (x̂ − x) = −σ (ε̂ − ε).",
        ),
        (
            "-np.exp(gamma / 2)",
            "-np.exp(gamma)",
            "γ is the logarithm of σ²/α²; the errors themselves have the ratio σ/α.",
        ),
        (
            "-np.exp(gamma / 2)",
            "-np.sqrt(sigmoid(gamma))",
            "That is σ alone: divide by α as well.",
        ),
        (
            "(a + b * of_x) ** 2",
            "a**2 + (b * of_x) ** 2",
            "The two errors are no strangers: they have one source, so add them first and square then.",
        ),
        (
            "(a + b * of_x) ** 2",
            "np.abs(a + b * of_x)",
            "The loss is squared, and so is its factor.",
        ),
    ],
    laws=[
        (
            "a guess of z itself has no error, whatever the network says: a = σ and b = α",
            lambda f: (
                1
                + f(
                    np.array([-2.0, 3.0]),
                    np.sqrt(sigmoid(np.array([-2.0, 3.0]))),
                    np.sqrt(sigmoid(np.array([2.0, -3.0]))),
                ),
                np.ones(2),
            ),
        ),
        (
            "v = α ε − σ x has 1/α²",
            lambda f: (
                f(np.array([0.7]), np.sqrt(sigmoid(-0.7)), -np.sqrt(sigmoid(0.7)))[0],
                1 + np.exp(0.7),
            ),
        ),
    ],
)


# %% tags=["author"]
def some_draws(key):
    """Times, errors at each, the slopes of two schedules there."""
    random = numbers(key)
    slopes = np.exp(random.uniform(-1, 3, (2, 7)))
    return random.exponential(2.0, 7), slopes[0], slopes[1], np.exp(random.uniform(-1, 1, 7))


# %% [markdown]
# ## 15.2 · Which bug is this?
# *difficulty ●●○ · 12 minutes*
#
# A paper trains with $\mathbb E_t\, f(\gamma_t)\, m(\gamma_t)$ under its own schedule. Somebody trains its network with
# another schedule, and wants the same loss. The draws come at levels $\gamma_i = \gamma_{\text{new}}(t_i)$, $t_i$
# uniform. At these levels are known: `m`, the squared errors; `new`, the slope $d\gamma/dt$ of the schedule that drew
# them; `old`, that of the paper's schedule, at the same *levels*; and `f`. The program below has run for a week:
#
# ```python
# def loss_of(m, new, old, f):
#     weight = 2 * f / old
#     return np.mean(weight * m)
# ```
#
# Write it anew. Return the estimate of the paper's loss, and the weight $w(\gamma_i)$ of the loss that the program
# minimised in truth.


# %% tags=["15.2"]
def both_losses(m, new, old, f):
    """Return (the estimate of the paper's loss, the weights of the faulty program's loss)."""
    ### BEGIN SOLUTION the paper's loss, from these draws
    right = np.mean(f * m * new / old)
    ### END SOLUTION
    ### BEGIN SOLUTION the weight at each level of what the program minimised
    faulty = 4 * f / (old * new)
    ### END SOLUTION
    return right, faulty


# %% tags=["author"]
exercise(
    "15.2",
    both_losses,
    inputs=some_draws,
    hints=[
        "A mean over the new schedule's times is an integral over γ: which density does it bring?",
        "Write each loss as an integral over γ: the paper's has f · (1/old), a mean of the draws has (1/new).",
        "The program's loss is ∫ (2 f/old) m (1/new) dγ. Compare it with ½ ∫ w m dγ.",
    ],
    slips=[
        (
            "f * m * new / old",
            "f * m * old / new",
            "Upside down: the draws come with the density 1/new. Divide by it, and multiply by 1/old.",
        ),
        (
            "f * m * new / old",
            "2 * f * m * new / old",
            "A factor of 2 too many: w = 2 p f, and the loss is ½ ∫ w m dγ.",
        ),
        (
            "f * m * new / old",
            "f * m / old",
            "The draws come with a density of their own, 1/new. It has to be divided out.",
        ),
        (
            "f * m * new / old",
            "f * m",
            "That is the same formula under another schedule, and so another loss.",
        ),
        (
            "np.mean(f * m * new / old)",
            "np.sum(f * m * new / old)",
            "An expectation is estimated by a mean of the draws.",
        ),
        (
            "4 * f / (old * new)",
            "2 * f / old",
            "That is the weight that was wanted. The mean over the draws brings the density 1/new as well, and w is twice the whole.",
        ),
        (
            "4 * f / (old * new)",
            "2 * f / (old * new)",
            "A factor of 2 is missing: the loss is ½ ∫ w m dγ.",
        ),
        (
            "4 * f / (old * new)",
            "4 * f * new / old",
            "The density of the draws is one over the slope.",
        ),
    ],
    laws=[
        (
            "under the paper's own schedule it is a plain mean",
            lambda f: (
                f(np.array([1.0, 3.0]), np.array([2.0, 9.0]), np.array([2.0, 9.0]), np.ones(2))[
                    0
                ],
                2.0,
            ),
        ),
    ],
)


# %% tags=["author"]
def some_levels(key):
    """Rising levels, a weight at each, and draws of the error that scatter."""
    random = numbers(key)
    gammas = -4 + np.cumsum(random.uniform(0.2, 1.0, 9))
    scale = 3 * sigmoid(-gammas) * random.uniform(0.5, 1.5, 9)
    return gammas, np.exp(random.normal(0, 1, 9)), scale * random.exponential(1.0, (40, 9))


# %% [markdown]
# ## 15.3 · Where to draw γ
# *difficulty ●●○ · 15 minutes*
#
# $\tfrac12 \int w\, m\, d\gamma$ is estimated by single draws: $\gamma$ from a density $p$, and then $\tfrac12\, w\, m /
# p$, with the error `m` of one example and one noise. `m[i, j]` are 40 such errors at the rising level `gammas[j]`, whose
# weight is `w[j]`. Expectations are plain means over the 40. Integrals over $\gamma$ are sums by the trapezoid rule: `np.trapezoid(heights, gammas)`.
#
# Return
#
# - `best`: at each level the density $p$ under which a draw has the least variance;
# - `ratio`: the variance of a draw under a *uniform* density between the two ends, over that under `best`.
#
# Minimise $\int (\tfrac12 w)^2\, \mathbb E[m^2] / p\; d\gamma$ under $\int p\, d\gamma = 1$: the variance is this less a
# number that does not depend on $p$. Which number?


# %% tags=["15.3"]
def where_to_draw(gammas, w, m):
    """Return (the best density at each level, the uniform one's variance over the best one's)."""
    ### BEGIN SOLUTION E[(½ w m)²] at each level
    square = np.mean((0.5 * w * m) ** 2, axis=0)
    ### END SOLUTION
    ### BEGIN SOLUTION the best density
    best = np.sqrt(square) / np.trapezoid(np.sqrt(square), gammas)
    ### END SOLUTION
    ### BEGIN SOLUTION the square of the loss
    loss2 = np.trapezoid(0.5 * w * m.mean(0), gammas) ** 2
    ### END SOLUTION
    ### BEGIN SOLUTION the two variances
    uniform = np.trapezoid(square, gammas) * (gammas[-1] - gammas[0]) - loss2
    least = np.trapezoid(np.sqrt(square), gammas) ** 2 - loss2
    ### END SOLUTION
    ### BEGIN SOLUTION the ratio
    ratio = uniform / least
    ### END SOLUTION
    return best, ratio


# %% tags=["author"]
exercise(
    "15.3",
    where_to_draw,
    inputs=some_levels,
    hints=[
        "With a multiplier for the constraint the derivative in p at each level is −(¼ w² E[m²])/p² + μ = 0.",
        "So p is the root of ¼ w² E[m²], up to a factor that makes its integral 1. The mean of the squares is not the square of the mean.",
        "A variance is E[(·)²] − (E[·])², and every density has the same E[·]: the loss.",
    ],
    slips=[
        (
            "np.mean((0.5 * w * m) ** 2, axis=0)",
            "np.mean(0.5 * w * m, axis=0) ** 2",
            "That is the square of the mean. The errors of single draws scatter, and E[m²] is larger.",
        ),
        (
            "np.sqrt(square) / np.trapezoid(np.sqrt(square), gammas)",
            "square / np.trapezoid(square, gammas)",
            "That draws too much where errors are large: p goes with the root of the mean square.",
        ),
        (
            "np.sqrt(square) / np.trapezoid(np.sqrt(square), gammas)",
            "np.sqrt(square) / np.sum(np.sqrt(square))",
            "A density has the integral 1 over γ, not the sum 1 over the levels.",
        ),
        (
            "np.sqrt(square) / np.trapezoid(np.sqrt(square), gammas)",
            "w * m.mean(0) / np.trapezoid(w * m.mean(0), gammas)",
            "That would be best if a level's errors did not scatter; they do, so take the root of E[m²].",
        ),
        (
            "np.trapezoid(0.5 * w * m.mean(0), gammas) ** 2",
            "0.0",
            "These are mean squares, not variances: take off the square of the loss.",
        ),
        (
            "np.trapezoid(square, gammas) * (gammas[-1] - gammas[0]) - loss2",
            "np.trapezoid(square, gammas) - loss2",
            "The uniform density is one over the length of the interval, and stands below.",
        ),
        (
            "np.trapezoid(square, gammas) * (gammas[-1] - gammas[0]) - loss2",
            "np.trapezoid(square, gammas) / (gammas[-1] - gammas[0]) - loss2",
            "The uniform density 1/length stands below: dividing by it multiplies by the length.",
        ),
        (
            "uniform / least",
            "least / uniform",
            "Upside down: the uniform one's variance over the best one's.",
        ),
        (
            "uniform / least",
            "np.sqrt(uniform / least)",
            "That is the ratio of standard deviations.",
        ),
    ],
    laws=[
        (
            "where every draw of w m is alike, no density is better than the uniform one, and it has nothing to lose",
            lambda f: (
                f(
                    np.array([0.0, 0.5, 2.0]),
                    np.array([1.0, 2.0, 4.0]),
                    np.array([[4.0, 2.0, 1.0]]),
                )[0],
                np.full(3, 0.5),
            ),
        ),
    ],
)


# %% tags=["author"]
def some_code(key):
    """Rising levels, the errors of five images at each, what the prior costs each, D and V."""
    random = numbers(key)
    gammas = -6 + np.cumsum(random.uniform(0.4, 1.2, 8))
    D, V = int(random.choice([12, 48])), int(random.choice([17, 256]))
    m = (
        D
        * sigmoid(-gammas)
        * random.uniform(0.5, 1.5, (5, 8))
        * random.uniform(0.3, 1.0, (5, 1))
    )
    return gammas, m, random.uniform(0.0, 0.4, 5), D, V


# %% [markdown]
# ## 15.4 · What the bits have bought
# *difficulty ●●○ · 15 minutes*
#
# `m[i, j]` is $\lVert \varepsilon - \hat\varepsilon \rVert^2$ of image `i`, of `D` numbers, at the rising level
# `gammas[j]`. The last level is the noisy end, and `prior[i]` the price of $z_1$ there, in nats. Return at each level
#
# - `rate`: the bits per dimension that have been spent when $z_\gamma$ is known, as a mean over the images. Integrals by
#   the trapezoid rule. The prior is paid first;
# - `grey`: the root of the mean squared error of $\hat x(z_\gamma)$ over all images and dimensions, in grey levels. The `V`
#   levels are evenly spaced in $[-1, 1]$, the centres of `V` equal cells.


# %% tags=["15.4"]
def bought(gammas, m, prior, D, V):
    """Return (rate in bits per dimension, error in grey levels), each at every level."""
    ### BEGIN SOLUTION nats from each level to the next, a mean over the images
    pieces = 0.5 * np.diff(gammas) * (m[:, 1:] + m[:, :-1]).mean(0) / 2
    ### END SOLUTION
    ### BEGIN SOLUTION nats spent down to each level
    nats = prior.mean() + np.append(np.cumsum(pieces[::-1])[::-1], 0.0)
    ### END SOLUTION
    ### BEGIN SOLUTION bits per dimension
    rate = nats / (D * np.log(2))
    ### END SOLUTION
    ### BEGIN SOLUTION the mean squared error of x̂ in each dimension
    square = np.exp(gammas) * m.mean(0) / D
    ### END SOLUTION
    ### BEGIN SOLUTION the error in grey levels
    grey = np.sqrt(square) * V / 2
    ### END SOLUTION
    return rate, grey


# %% tags=["author"]
exercise(
    "15.4",
    bought,
    inputs=some_code,
    hints=[
        "Spending begins at the noisy end, the last level. So what has been spent at a level is the integral from there up to the end.",
        "np.cumsum adds from the front. Turn the pieces round, add, and turn them back.",
        "α (x̂ − x) = −σ (ε̂ − ε): by which factor are the squares larger? And how far apart are two levels?",
    ],
    slips=[
        (
            "np.append(np.cumsum(pieces[::-1])[::-1], 0.0)",
            "np.append(0.0, np.cumsum(pieces))",
            "The code begins at the noisy end: the rate grows from the last level to the first.",
        ),
        (
            "np.append(np.cumsum(pieces[::-1])[::-1], 0.0)",
            "np.append(0.0, np.cumsum(pieces[::-1]))[::-1][::-1]",
            "Turn the sums back: the first of them belongs to the cleanest level.",
        ),
        (
            "0.5 * np.diff(gammas)",
            "np.diff(gammas)",
            "The half of the bound is missing: ½ ∫ m dγ.",
        ),
        (
            "prior.mean() + ",
            "",
            "The prior is paid first, and by every level.",
        ),
        (
            "nats / (D * np.log(2))",
            "nats / D",
            "These are nats: a bit is log 2 of a nat.",
        ),
        (
            "nats / (D * np.log(2))",
            "nats / np.log(2)",
            "That is for the whole image: divide by its dimensions.",
        ),
        (
            "np.exp(gammas) * m.mean(0) / D",
            "m.mean(0) / D",
            "That is the error of ε̂. The one of x̂ is σ/α times as large, and the square e^γ times.",
        ),
        (
            "np.exp(gammas) * m.mean(0) / D",
            "np.exp(gammas / 2) * m.mean(0) / D",
            "e^(γ/2) is the ratio of the errors; these are squares.",
        ),
        (
            "np.exp(gammas) * m.mean(0) / D",
            "np.exp(gammas) * m.mean(0)",
            "The mean runs over the dimensions as well: divide by D.",
        ),
        (
            "np.sqrt(square)",
            "square",
            "A root is missing: that is the mean square.",
        ),
        (
            "np.sqrt(square) * V / 2",
            "np.sqrt(np.exp(gammas) / D) * np.sqrt(m).mean(0) * V / 2",
            "This takes the mean of roots. The error over all images is the root of the mean.",
        ),
        (
            "* V / 2",
            "* V",
            "The interval from −1 to 1 has length 2: a level is 2/V wide.",
        ),
        (
            "* V / 2",
            "* (V - 1) / 2",
            "The levels are centres of V equal cells, 2/V apart.",
        ),
        (
            "prior.mean()",
            "prior.sum()",
            "That is the price of all the priors together: the rate is a mean over the images.",
        ),
    ],
    laws=[
        (
            "at the noisy end only the prior has been paid",
            lambda f: (
                f(
                    np.array([0.0, 1.0]),
                    np.ones((2, 2)),
                    np.array([3.0, 5.0]) * np.log(2),
                    4,
                    17,
                )[0][-1],
                1.0,
            ),
        ),
    ],
)


# %% tags=["author"]
def two_latents(key):
    """Two latents of one level, each with a noise of its own, and a share."""
    random = numbers(key)
    gamma, share = random.uniform(-4, 4), random.uniform(0.05, 0.95)
    z = np.sqrt(sigmoid(-gamma)) * random.choice([-0.5, 0.5], (2, 5)) + np.sqrt(
        sigmoid(gamma)
    ) * random.normal(size=(2, 5))
    return z[0], z[1], share, gamma


# %% [markdown]
# ## 15.5 · Two noises
# *difficulty ●●● · 15 minutes*
#
# Two images were noised to the same level $\gamma$ *independently*: $z_a = \alpha x_a + \sigma \varepsilon_a$ and $z_b =
# \alpha x_b + \sigma \varepsilon_b$. Their mixture $(1 - \lambda)\, z_a + \lambda z_b$ is no latent of the mixed image $x =
# (1 - \lambda)\, x_a + \lambda x_b$ at the level $\gamma$. But a multiple of it is a latent of
# $x$ at *another* level, where the signal and the noise fit together again. Return this latent and its level.
#
# *Predict first*: is the other level cleaner or noisier? What does it do to the mixture of two digits?


# %% tags=["15.5"]
def mixed(z_a, z_b, share, gamma):
    """Return (a latent of the mixed image, the level γ' that it is at)."""
    ### BEGIN SOLUTION the variance of the mixture's noise, over σ²
    left = (1 - share) ** 2 + share**2
    ### END SOLUTION
    ### BEGIN SOLUTION the level with this ratio of noise to signal
    level = gamma + np.log(left)
    ### END SOLUTION
    ### BEGIN SOLUTION the factor that makes the signal's share right
    scale = np.sqrt(sigmoid(-level) / sigmoid(-gamma))
    ### END SOLUTION
    return scale * ((1 - share) * z_a + share * z_b), level


# %% tags=["author"]
exercise(
    "15.5",
    mixed,
    inputs=two_latents,
    hints=[
        "Variances of independent noises add up, each with the square of its share.",
        "γ is the logarithm of noise over signal, in variances. The signal's share is α still; which noise is beside it?",
        "At the new level the signal of x has to stand with α(γ'), and it stands with α(γ).",
    ],
    slips=[
        (
            "(1 - share) ** 2 + share**2",
            "(1 - share) + share",
            "Shares of variances are squared: (1 − λ)² + λ², which is below 1.",
        ),
        (
            "(1 - share) ** 2 + share**2",
            "np.sqrt((1 - share) ** 2 + share**2)",
            "That is the ratio of standard deviations; γ is made of variances.",
        ),
        (
            "gamma + np.log(left)",
            "gamma - np.log(left)",
            "There is less noise than before, so the level is cleaner: γ' is smaller.",
        ),
        (
            "gamma + np.log(left)",
            "gamma * left",
            "A factor on the variance is a summand of its logarithm.",
        ),
        (
            "np.sqrt(sigmoid(-level) / sigmoid(-gamma))",
            "sigmoid(-level) / sigmoid(-gamma)",
            "sigmoid(−γ) is α²: the signal stands with α.",
        ),
        (
            "np.sqrt(sigmoid(-level) / sigmoid(-gamma))",
            "np.sqrt(sigmoid(-gamma) / sigmoid(-level))",
            "Upside down: the signal stands with α(γ) and should stand with α(γ').",
        ),
        (
            "np.sqrt(sigmoid(-level) / sigmoid(-gamma))",
            "np.sqrt(sigmoid(level) / sigmoid(gamma))",
            "That makes the noise right by σ(γ')/σ(γ), but the mixture's noise is not σ(γ) anymore.",
        ),
        (
            "np.sqrt(sigmoid(-level) / sigmoid(-gamma))",
            "1 / np.sqrt(left)",
            "That blows the noise up to σ(γ), and the signal with it: it then stands with more than α.",
        ),
    ],
    laws=[
        (
            "without a second image nothing changes",
            lambda f: (
                f(np.array([0.3, -1.0]), np.array([5.0, 5.0]), 0.0, 1.5),
                (np.array([0.3, -1.0]), 1.5),
            ),
        ),
        (
            "signal and noise: α'² + σ'² = 1",
            lambda f: (
                (f(np.ones(1), np.ones(1), 0.5, 1.0)[0][0]) ** 2
                * (sigmoid(-1.0) + 0.5 * sigmoid(1.0)),
                1.0,
            ),
        ),
    ],
)


# %% tags=["author"]
def some_source(key):
    """Variances of a Gaussian source, unequal, and a distortion below their mean."""
    random = numbers(key)
    variances = np.exp(random.uniform(-4, 1.5, 6))
    return variances, float(variances.mean() * random.uniform(0.02, 0.9))


# %% [markdown]
# ## 15.6 · Build: how far from the best code?
# *difficulty ●●● · 25 minutes · build*
#
# For numbers of *one* width a diffusion model's code is the best there is. Take a source of independent Gaussian numbers
# with unequal `variances` $s_i^2$ and the exact denoiser. A code may leave a mean squared error of `distortion`, $\Delta$,
# as a mean over the numbers. Return what it takes, in bits as a mean over the numbers,
#
# - by the diffusion model, all of whose numbers are at one level $\gamma$. Its rate and error for one number are in the
#   lesson, or derive them: a number of variance $s^2$ has $m = \alpha^2 s^2 / (\alpha^2 s^2 + \sigma^2)$. Its noisy
#   end lies at $\gamma_1 \to \infty$, and the integral has a closed form;
# - by the best code. Each number may be left with an error $\Delta_i \le s_i^2$ of its own, and costs $\tfrac12 \log_2
#   (s_i^2 / \Delta_i)$. Which $\Delta_i$ with the mean $\Delta$ cost least? (A Lagrange multiplier says what numbers have in
#   common that cost something. What of those that don't?)
#
# Both need the root of a rising function; halve an interval often enough. When it works, try it: how much more does the
# diffusion model take if one number in ten is wide and the others are narrow? And why can it not do better?


# %% tags=["15.6"]
def two_rates(variances, distortion):
    """Return (the diffusion model's bits, the best code's bits), each a mean over the numbers."""

    def root(f, low, high):
        """Where a rising function f is 0."""
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (low, middle) if f(middle) > 0 else (middle, high)
        return (low + high) / 2

    ### BEGIN SOLUTION the diffusion model's bits
    def error(gamma):
        return np.mean(variances / (1 + variances * np.exp(-gamma)))

    gamma = root(lambda g: error(g) - distortion, -80.0, 80.0)
    diffusion = np.mean(0.5 * np.log2(1 + variances * np.exp(-gamma)))
    ### END SOLUTION
    ### BEGIN SOLUTION the best code's bits
    level = root(lambda v: np.mean(np.minimum(v, variances)) - distortion, 0.0, variances.max())
    best = np.mean(0.5 * np.log2(variances / np.minimum(level, variances)))
    ### END SOLUTION
    return diffusion, best


# %% tags=["author"]
exercise(
    "15.6",
    two_rates,
    inputs=some_source,
    tolerance=1e-5,
    equivalent=[
        "gamma = root(lambda g: error(g) - distortion, -80.0, 81.0)",
        "gamma = root(lambda g: error(g) - distortion, -81.0, 80.0)",
        "best = np.mean(0.5 * np.log2(variances / np.minimum(variances, level)))",
        "level = root(lambda v: np.mean(np.minimum(variances, v)) - distortion, 0.0, variances.max())",
    ],
    hints=[
        "x̂ is off by e^γ m: s²/(1 + s² e^(−γ)). And ½ ∫ m dγ from γ to ∞ is ½ log(1 + s² e^(−γ)), in nats.",
        "In the best code all numbers that cost something are left with the same error. A number narrower than this is not coded at all.",
        "So Δ_i = min(level, s_i²): water that fills a vessel from below. Which level has the mean Δ?",
    ],
    slips=[
        (
            "np.minimum(level, variances)))",
            "distortion))",
            "That leaves every number with Δ, also one that is narrower: its cost becomes negative. Some are not coded at all.",
        ),
        (
            "np.mean(np.minimum(v, variances)) - distortion",
            "v - distortion",
            "Narrow numbers are left with less than the level. So the others may be left with more than Δ: their mean has to be Δ.",
        ),
        (
            "np.mean(0.5 * np.log2(1 + variances * np.exp(-gamma)))",
            "np.mean(np.log2(1 + variances * np.exp(-gamma)))",
            "The half of the bound is missing.",
        ),
        (
            "np.mean(0.5 * np.log2(1 + variances * np.exp(-gamma)))",
            "np.mean(0.5 * np.log(1 + variances * np.exp(-gamma)))",
            "These are nats: take log2.",
        ),
        (
            "np.mean(0.5 * np.log2(1 + variances * np.exp(-gamma)))",
            "np.sum(0.5 * np.log2(1 + variances * np.exp(-gamma)))",
            "A mean over the numbers is asked for.",
        ),
        (
            "np.mean(0.5 * np.log2(1 + variances * np.exp(-gamma)))",
            "0.5 * np.log2(1 + variances.mean() * np.exp(-gamma))",
            "Numbers of unequal widths cost unequal bits: take each one's cost, and then the mean.",
        ),
        (
            "np.mean(variances / (1 + variances * np.exp(-gamma)))",
            "np.mean(variances * np.exp(-gamma) / (1 + variances * np.exp(-gamma)))",
            "That is m, the error of ε̂; the one of x̂ is e^γ times it.",
        ),
    ],
    laws=[
        (
            "for numbers of one width both are ½ log2(s²/Δ)",
            lambda f: (f(np.full(3, 4.0), 0.25), (2.0, 2.0)),
        ),
        (
            "no code is better than the best one",
            lambda f: (
                f(np.array([9.0, 0.01, 0.01]), 0.5)[0] > f(np.array([9.0, 0.01, 0.01]), 0.5)[1],
                True,
            ),
        ),
    ],
)

# %% [markdown]
# ## Now import it
#
# The factors of 15.1 are in `neighbours.weighting`, and 15.2 is what `WeightedGradient` does with any weight. 15.3 is
# `importance_grid`, and 15.4 `neighbours.progressive.rate_distortion`. `interpolate` shares the noise, and so has no need
# of 15.5. The best code of 15.6 is called *reverse water-filling* (Cover and Thomas, chapter 10).
#
# What was to be predicted: the factor of 15.1 is 0 for $a = \sigma$, $b = \alpha$, as the network need only repeat $z$, and
# learns nothing. The number of 15.3 is the square of the loss. The mixture of 15.5 is cleaner: two digits, one shining
# through the other, are less forgotten. And in 15.6 one number of variance 1 in ten, the others of 0.01, with $\Delta = 0.01$
# take 0.43 bits in place of 0.33: all numbers have one level, so that bits are spent on the narrow ones, which the best
# code would leave alone.
