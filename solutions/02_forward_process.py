# %% [markdown]
# # 02 · The forward process: exercises
#
# *Five exercises, about 50 minutes · belongs to lesson 02 · the last one, marked build, is harder than the rest*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment the
# hint. Every check stands alone: go on to the next one whenever you like.

# %% tags=["imports"]
import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import numpy as np

from vdmlite import process
from vdmlite.course import exercise


def two_levels(key):
    """Two noise levels, the lower first."""
    low, gap = jax.random.uniform(key, (2,))
    return 8 * low - 6, 8 * low - 6 + 0.2 + 6 * gap


# %% [markdown]
# ## 2.1 · How much signal, how much noise
# *difficulty ●○○ · 5 minutes*
#
# $\gamma = -\log(\alpha^2/\sigma^2)$ and $\alpha^2 + \sigma^2 = 1$. Return the two *scales* α and σ for a given γ.
# `jax.nn.sigmoid` is at hand. The check tries γ from −13.3 to 5 in single precision, and looks at the digits of both.


# %% tags=["2.1"]
def scales(gamma):
    """Return (α, σ)."""
    ### BEGIN SOLUTION the scale of the signal
    alpha = jnp.sqrt(jax.nn.sigmoid(-gamma))
    ### END SOLUTION
    ### BEGIN SOLUTION the scale of the noise
    sigma = jnp.sqrt(jax.nn.sigmoid(gamma))
    ### END SOLUTION
    return alpha, sigma


# %% tags=["author"]
def clean_or_noisy(key):
    """A noise level of the course, every other one near its clean end."""
    coin, place = jax.random.uniform(key, (2,))
    return (-13.3 + (3.0 if coin < 0.5 else 18.3) * place,)


exercise(
    "2.1",
    scales,
    inputs=clean_or_noisy,
    hints=[
        "Put σ² = 1 − α² into α²/σ² = e^(−γ) and solve for α². Which sigmoid is it?",
        "sigmoid(u) = 1/(1 + e^(−u)), and 1 − sigmoid(u) = sigmoid(−u). A scale is the root of a power.",
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
        (
            "jnp.sqrt(jax.nn.sigmoid(gamma))",
            "jnp.sqrt(1 - alpha**2)",
            "The formula is right, but 1 − α² loses its digits where α² is nearly 1; sigmoid(γ) keeps "
            "them.",
        ),
        (
            "jnp.sqrt(jax.nn.sigmoid(gamma))",
            "1 - alpha",
            "The powers add up to 1, α² + σ² = 1; the scales do not.",
        ),
        (
            "jnp.sqrt(jax.nn.sigmoid(-gamma))",
            "jnp.exp(-gamma / 2)",
            "e^(−γ/2) is the ratio α/σ; solve for α with α² + σ² = 1.",
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

# %% [markdown]
# ## 2.2 · The jump
# *difficulty ●○○ · 3 minutes*
#
# Take an example `x` of any shape to noise level `gamma` in one jump. Its noise `eps` is given.


# %% tags=["2.2"]
def diffuse(x, eps, gamma):
    """Return the latent of x at noise level gamma, made with the noise eps."""
    ### BEGIN SOLUTION the latent
    return jnp.sqrt(jax.nn.sigmoid(-gamma)) * x + jnp.sqrt(jax.nn.sigmoid(gamma)) * eps
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "2.2",
    diffuse,
    inputs=lambda key: (
        jax.random.normal(key, (3, 2)),
        jax.random.normal(jax.random.fold_in(key, 1), (3, 2)),
        jax.random.uniform(key, minval=-7.0, maxval=5.0),
    ),
    hints=[
        "Two things happen: the signal shrinks and noise comes in. You have both scales from 2.1.",
        "At γ = −7 the latent must be almost x, at γ = 5 almost ε. Which scale goes with which?",
    ],
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
        (
            "jnp.sqrt(jax.nn.sigmoid(gamma)) * eps",
            "eps",
            "The noise has its full size at every level; it must be multiplied by σ.",
        ),
        (
            "x + jnp",
            "x - jnp",
            "A fair draw, since −ε is noise too, but the noise that is given is added.",
        ),
        (
            "jnp.sqrt(jax.nn.sigmoid(-gamma)) * x + jnp.sqrt(jax.nn.sigmoid(gamma)) * eps",
            "x + jnp.exp(gamma / 2) * eps",
            "That is z/α, the example with its noise on top. In a latent both are shrunk, so that α² + σ² = 1.",
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

# %% [markdown]
# ## 2.3 · One step further
# *difficulty ●●○ · 10 minutes*
#
# A step from noise level `gamma_s` to the higher `gamma_t` multiplies $z_s$ by $\alpha_{t|s}$ and adds fresh noise of
# variance $\sigma^2_{t|s}$. Return both, as (scale, variance).


# %% tags=["2.3"]
def step(gamma_s, gamma_t):
    """Return (α_{t|s}, σ²_{t|s})."""
    alpha2_s, alpha2_t = jax.nn.sigmoid(-gamma_s), jax.nn.sigmoid(-gamma_t)
    ### BEGIN SOLUTION the scale that takes the signal from α_s to α_t
    scale = jnp.sqrt(alpha2_t / alpha2_s)
    ### END SOLUTION
    ### BEGIN SOLUTION the variance of the fresh noise
    variance = jax.nn.sigmoid(gamma_t) - scale**2 * jax.nn.sigmoid(gamma_s)
    ### END SOLUTION
    return scale, variance


# %% tags=["author"]
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
            "jax.nn.sigmoid(gamma_t) - scale**2 * jax.nn.sigmoid(gamma_s)",
            "jax.nn.sigmoid(gamma_t)",
            "That is all the noise at t. Some of it was there at s already; asked for is the fresh part.",
        ),
        (
            "jax.nn.sigmoid(gamma_t) - scale**2 * jax.nn.sigmoid(gamma_s)",
            "scale**2 * jax.nn.sigmoid(gamma_s) - jax.nn.sigmoid(gamma_t)",
            "The sign is turned: there is more noise at t, and a variance is positive.",
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
        (
            "jax.nn.sigmoid(gamma_t) - scale**2 * jax.nn.sigmoid(gamma_s)",
            "-jnp.expm1(gamma_s - gamma_t)",
            "1 − e^{γ_s − γ_t} is the share of σ_t² that is new noise. The variance is that share times σ_t².",
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

# %% [markdown]
# ## 2.4 · Between two latents
# *difficulty ●●○ · 12 minutes*
#
# The lesson takes a step back for somebody who knows where the walk began, at $x$. Now nobody knows $x$, but two latents of
# one walk are known: $z_r$ at the noise level $\gamma_r$ and the later $z_t$ at $\gamma_t$. What was between them? Return
# the mean and the standard deviation of $q(z_s \mid z_r, z_t)$, for $\gamma_r < \gamma_s < \gamma_t$. (If $\gamma_r$ is very
# low, $z_r$ is $x$, and this is the posterior of the lesson.)
#
# One route: divide each latent by its α. From one level to the next, noise is then added to a number, of the variance
# $e^{\gamma_s} - e^{\gamma_r}$, and nothing else happens. You know the sum of two independent pieces of noise: what was the
# first? Levels may lie as close as 0.00001 in single precision, so put your result in terms of `jnp.expm1`.


# %% tags=["2.4"]
def between(z_r, z_t, gamma_r, gamma_s, gamma_t):
    """Return (mean, std) of q(z_s | z_r, z_t)."""
    alpha_r, alpha_s, alpha_t = (
        jnp.sqrt(jax.nn.sigmoid(-gamma)) for gamma in (gamma_r, gamma_s, gamma_t)
    )
    ### BEGIN SOLUTION the share of the noise between r and t that is added from r to s
    share = jnp.expm1(gamma_s - gamma_r) / jnp.expm1(gamma_t - gamma_r)
    ### END SOLUTION
    ### BEGIN SOLUTION the mean
    mean = alpha_s * ((1 - share) * z_r / alpha_r + share * z_t / alpha_t)
    ### END SOLUTION
    ### BEGIN SOLUTION the standard deviation
    std = alpha_s * jnp.sqrt(share * jnp.exp(gamma_s) * jnp.expm1(gamma_t - gamma_s))
    ### END SOLUTION
    return mean, std


# %% tags=["author"]
def three_levels(key):
    """Two latents and three noise levels, rising, the last two far apart or 0.00001."""
    low, gap, coin = jax.random.uniform(jax.random.fold_in(key, 2), (3,), jnp.float32)
    gamma_s = low / 8 if coin < 0.4 else 8 * low - 5
    gamma_t = gamma_s + (1e-5 if coin < 0.4 else 0.2 + 3 * gap)
    return (
        jax.random.normal(key, (3,)),
        jax.random.normal(jax.random.fold_in(key, 1), (3,)),
        gamma_s - 0.3 - 2 * gap,
        gamma_s,
        gamma_t,
    )


def by_two_transitions(z_r, z_t, gamma_r, gamma_s, gamma_t):
    """The same by the package's transitions: precisions add up, in double precision."""
    levels = [np.asarray(gamma, float) for gamma in (gamma_r, gamma_s, gamma_t)]
    alpha2 = [1 / (1 + np.exp(gamma)) for gamma in levels]
    noise = [np.exp(levels[0]), np.exp(levels[1]), np.exp(levels[2])]
    first, second = noise[1] - noise[0], noise[2] - noise[1]
    precision = 1 / first + 1 / second
    places = z_r / np.sqrt(alpha2[0]), z_t / np.sqrt(alpha2[2])
    mean = (places[0] / first + places[1] / second) / precision
    return np.sqrt(alpha2[1]) * mean, np.sqrt(alpha2[1] / precision)


def by_bayes(f):
    """Bayes' rule on a grid with the package's transitions, and the answer's mean and width."""
    z_r, z_t, levels = jnp.asarray(0.4), jnp.asarray(-0.7), (-2.0, -0.5, 0.6)
    z_s = jnp.linspace(-6, 6, 4001)
    log_q = jax.vmap(
        lambda z: (
            process.transition(z_r, *levels[:2]).log_prob(z)
            + process.transition(z, *levels[1:]).log_prob(z_t)
        )
    )(z_s)
    weight = jax.nn.softmax(log_q)
    mean = jnp.sum(weight * z_s)
    std = jnp.sqrt(jnp.sum(weight * (z_s - mean) ** 2))
    return (mean, std), f(z_r, z_t, *map(jnp.asarray, levels))


exercise(
    "2.4",
    between,
    inputs=three_levels,
    hints=[
        "z/α is x plus noise of variance e^γ. From r to t noise of the variance e^(γ_t) − e^(γ_r) is added. Which part of it is there at s already?",
        "Of a sum of two independent Gaussian numbers, the first is expected to have the share of the sum that it has of the variance. And at the ends there is no doubt left.",
        "The variance of the first, if the sum is known, is first · second/(first + second). Take e^(γ_r) or e^(γ_s) out of each difference.",
    ],
    slips=[
        (
            "jnp.expm1(gamma_s - gamma_r) / jnp.expm1(gamma_t - gamma_r)",
            "(gamma_s - gamma_r) / (gamma_t - gamma_r)",
            "Levels are logarithms. What is added up are variances, e^γ.",
        ),
        (
            "jnp.expm1(gamma_s - gamma_r) / jnp.expm1(gamma_t - gamma_r)",
            "jnp.exp(gamma_s - gamma_t)",
            "That is the share if the walk begins at r with x itself. In z_r there is noise already.",
        ),
        (
            "jnp.expm1(gamma_s - gamma_r) / jnp.expm1(gamma_t - gamma_r)",
            "(jax.nn.sigmoid(gamma_s) - jax.nn.sigmoid(gamma_r)) / (jax.nn.sigmoid(gamma_t) - jax.nn.sigmoid(gamma_r))",
            "σ² is the noise in z. After division by α it is e^γ.",
        ),
        (
            "(1 - share) * z_r / alpha_r + share * z_t / alpha_t",
            "share * z_r / alpha_r + (1 - share) * z_t / alpha_t",
            "The wrong way round: while little noise was added, z_s is near z_r.",
        ),
        (
            "alpha_s * ((1 - share) * z_r / alpha_r + share * z_t / alpha_t)",
            "(1 - share) * z_r + share * z_t",
            "The signal shrinks on the way. Only latents divided by their α can be compared.",
        ),
        (
            "alpha_s * ((1 - share) * z_r / alpha_r + share * z_t / alpha_t)",
            "(1 - share) * z_r / alpha_r + share * z_t / alpha_t",
            "That is z_s/α_s: bring it back to the scale of a latent.",
        ),
        (
            "alpha_s * jnp.sqrt(",
            "jnp.sqrt(",
            "That is the width of z_s/α_s: bring it back to the scale of a latent.",
        ),
        (
            "jnp.sqrt(share * jnp.exp(gamma_s) * jnp.expm1(gamma_t - gamma_s))",
            "(share * jnp.exp(gamma_s) * jnp.expm1(gamma_t - gamma_s))",
            "Asked for is the standard deviation, the root of the variance.",
        ),
        (
            "share * jnp.exp(gamma_s) * jnp.expm1(gamma_t - gamma_s)",
            "jnp.exp(gamma_r) * jnp.expm1(gamma_s - gamma_r)",
            "That is the doubt about z_s if z_r alone is known. z_t takes some of it away.",
        ),
        (
            "share * jnp.exp(gamma_s) * jnp.expm1(gamma_t - gamma_s)",
            "jnp.exp(gamma_s) * jnp.expm1(gamma_t - gamma_s)",
            "That is the doubt about z_s if z_t alone is known. z_r takes some of it away: the share.",
        ),
        (
            "jnp.exp(gamma_s) * jnp.expm1(gamma_t - gamma_s)",
            "(jnp.exp(gamma_t) - jnp.exp(gamma_s))",
            "A difference of two numbers that nearly agree loses its digits: jnp.expm1 keeps them.",
        ),
        (
            "alpha_s * jnp.sqrt(share * jnp.exp(gamma_s) * jnp.expm1(gamma_t - gamma_s))",
            "jnp.sqrt(jax.nn.sigmoid(gamma_s) * -jnp.expm1(gamma_s - gamma_t))",
            "That is the lesson's width, for somebody who knows x. Here the walk is known from z_r on, where noise is in it already.",
        ),
    ],
    laws=[
        (
            "where z_r is the example, at γ = −40, it is the posterior of the lesson, vdmlite's",
            lambda f: (
                f(*(jnp.asarray(a) for a in (0.7, -0.2, -40.0, -1.0, 0.5))),
                (
                    process.posterior(jnp.asarray(-0.2), jnp.asarray(0.7), -1.0, 0.5).mean,
                    process.posterior(jnp.asarray(-0.2), jnp.asarray(0.7), -1.0, 0.5).std,
                ),
            ),
        ),
        ("it is Bayes' rule with two steps of the package, on a grid", by_bayes),
    ],
    ships=by_two_transitions,
)

# %% [markdown]
# ## 2.5 · Build: two looks at one example
# *difficulty ●●● · build · 20 minutes*
#
# You get *two* noisy copies of one $x$, made with independent noises: $z_a$ at noise level $\gamma_a$ and $z_b$ at
# $\gamma_b$. Together they say more about $x$ than either. There is a single latent $z$, made from the two, at a single
# noise level $\gamma$, that says exactly as much: $z = \alpha x + \sigma \varepsilon$ with a standard normal
# $\varepsilon$, and whoever has to guess $x$ does as well from $(z, \gamma)$ as from the pair. Find both.
#
# *Predict first.* Two copies at the same level $\gamma_a = \gamma_b = 0$: which γ are they worth? And a copy at −10 with
# one at 0? When your function is right, look.
#
# Nothing in the lesson prints the answer. One route: each copy, divided by its α, is $x$ plus noise. How precise is it?
# What is the best mean of the two, and how precise is that? Then shrink it to where the signal and the noise have the
# powers of a latent.


# %% tags=["2.5"]
def combine(z_a, gamma_a, z_b, gamma_b):
    """Return (z, γ): one latent that says about x what the two copies say together."""
    ### BEGIN SOLUTION the noise level that the two are worth
    gamma = -jnp.logaddexp(-gamma_a, -gamma_b)
    ### END SOLUTION
    ### BEGIN SOLUTION the best mean of the two copies, each divided by its α
    share_a, share_b = jax.nn.sigmoid(gamma_b - gamma_a), jax.nn.sigmoid(gamma_a - gamma_b)
    alpha_a, alpha_b = jnp.sqrt(jax.nn.sigmoid(-gamma_a)), jnp.sqrt(jax.nn.sigmoid(-gamma_b))
    both = share_a * z_a / alpha_a + share_b * z_b / alpha_b
    ### END SOLUTION
    ### BEGIN SOLUTION the latent
    z = jnp.sqrt(jax.nn.sigmoid(-gamma)) * both
    ### END SOLUTION
    return z, gamma


# %% tags=["author"]
def two_copies(key):
    """Return two latents of one example, of shape (2, 2), and their levels."""
    keys = jax.random.split(key, 5)
    x = jax.random.normal(keys[0], (2, 2))
    levels = jax.random.uniform(keys[1], (2,), minval=-8.0, maxval=4.0)
    z_a, z_b = (
        process.marginal(x, level).sample(key=k)
        for level, k in zip(levels, keys[2:4], strict=True)
    )
    return z_a, levels[0], z_b, levels[1]


LOOK_A, LOOK_B = jnp.asarray(-1.0), jnp.asarray(0.5)


def noise_of(f):
    """The variance of z that comes from the noises of the two copies, and σ² at its level."""
    one, none = jnp.asarray(1.0), jnp.asarray(0.0)
    from_a, gamma = f(process.sigma(LOOK_A) * one, LOOK_A, none, LOOK_B)
    from_b, _ = f(none, LOOK_A, process.sigma(LOOK_B) * one, LOOK_B)
    return from_a**2 + from_b**2, process.sigma2(gamma)


def guesses(f):
    """The best guess of a standard normal x: from the answer, and from both by their precisions."""
    z_a, z_b = jnp.asarray(0.8), jnp.asarray(-0.3)
    z, gamma = f(z_a, LOOK_A, z_b, LOOK_B)
    pull = sum(
        process.alpha(level) * one / process.sigma2(level)
        for one, level in ((z_a, LOOK_A), (z_b, LOOK_B))
    )
    return process.alpha(gamma) * z, pull / (1 + process.snr(LOOK_A) + process.snr(LOOK_B))


exercise(
    "2.5",
    combine,
    inputs=two_copies,
    # A sum has no order.
    equivalent=["gamma = -jnp.logaddexp(-gamma_b, -gamma_a)"],
    hints=[
        "z/α is x plus noise of variance σ²/α², so its precision is an SNR. Independent looks: what do "
        "precisions do?",
        "The best mean weighs each look by its share of the precision. It is x plus noise whose precision "
        "you know, and a latent with that SNR is its multiple.",
    ],
    slips=[
        (
            "-jnp.logaddexp(-gamma_a, -gamma_b)",
            "jnp.logaddexp(gamma_a, gamma_b)",
            "This adds the two ratios of noise to signal, as if the second copy brought more noise. "
            "Precisions add, and they are signal over noise.",
        ),
        (
            "-jnp.logaddexp(-gamma_a, -gamma_b)",
            "jnp.minimum(gamma_a, gamma_b)",
            "That is the cleaner copy alone; the other one says something too.",
        ),
        (
            "-jnp.logaddexp(-gamma_a, -gamma_b)",
            "(gamma_a + gamma_b) / 2",
            "The mean of the two levels lies between them; two looks are worth more than either.",
        ),
        (
            "-jnp.logaddexp(-gamma_a, -gamma_b)",
            "gamma_a + gamma_b",
            "This adds logarithms. What adds up are the signal-to-noise ratios themselves.",
        ),
        (
            "-jnp.logaddexp(-gamma_a, -gamma_b)",
            "-jnp.logaddexp(-gamma_a, -gamma_b) + jnp.log(2.0)",
            "That is the mean of the two ratios; precisions are summed.",
        ),
        (
            "jax.nn.sigmoid(gamma_b - gamma_a), jax.nn.sigmoid(gamma_a - gamma_b)",
            "0.5, 0.5",
            "A plain mean gives the noisier copy as much weight as the cleaner one.",
        ),
        (
            "share_a * z_a / alpha_a + share_b * z_b / alpha_b",
            "share_a * z_a + share_b * z_b",
            "The copies were shrunk by different α: divide each by its own before you average.",
        ),
        (
            "jnp.sqrt(jax.nn.sigmoid(-gamma)) * both",
            "both",
            "That is x plus noise; a latent of the forward process has its signal shrunk by α.",
        ),
    ],
    laws=[
        (
            "two copies at one level are worth a level that is lower by log 2",
            lambda f: (
                f(jnp.asarray(0.1), jnp.asarray(1.5), jnp.asarray(0.2), jnp.asarray(1.5))[1],
                jnp.asarray(1.5) - jnp.log(2.0),
            ),
        ),
        ("its noise has the variance σ² of its level", noise_of),
        ("the best guess of a standard normal x is the same from z as from both", guesses),
    ],
)

# %% [markdown]
# Is a second, *later* latent of one walk such a second look? No: $z_t$ is $z_s$ with more noise, so whoever has $z_s$
# learns nothing from $z_t$.
#
# ## Now import it
#
# What you wrote is `vdmlite.process`: `alpha` and `sigma`, `marginal`, `transition`, and `posterior`, which is 2.4 for a
# walk that begins at $x$. From the next lesson on we import it.
