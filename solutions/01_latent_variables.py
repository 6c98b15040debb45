# %% [markdown]
# # 01 · From latent variables to diffusion: exercises
#
# *Six exercises, about 50 minutes · belongs to lesson 01*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment the
# hint. Every check stands alone: go on to the next one whenever you like. All logarithms are natural, so all answers are
# in nats.

# %% tags=["imports"]
import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import vdmlite
from vdmlite import Gaussian, process
from vdmlite.course import exercise


def normals(key, count, shape=()):
    """A number of standard normal arrays."""
    return [jax.random.normal(k, shape) for k in jax.random.split(key, count)]


def widths(key, count, shape=()):
    """A number of arrays between 0.4 and 1.6."""
    keys = jax.random.split(jax.random.fold_in(key, 7), count)
    return [jax.random.uniform(k, shape, minval=0.4, maxval=1.6) for k in keys]


def log_evidence(x, weight, noise):
    """log p(x) of the model z ~ N(0, 1), x ~ N(weight z, noise²)."""
    zero = jnp.asarray(0.0)
    return Gaussian(zero, jnp.sqrt(weight**2 + noise**2)).log_prob(jnp.asarray(x))


def average(mean, std, function):
    """E[function(z)] for z ~ N(mean, std²), by a sum over a grid."""
    z = mean + std * jnp.linspace(-9, 9, 4001)
    weight = jax.nn.softmax(-0.5 * ((z - mean) / std) ** 2)
    return jnp.sum(weight * jax.vmap(function)(z))


# %% [markdown]
# ## 1.1 · The divergence of two Gaussians
# *difficulty ●○○ · 8 minutes*
#
# For one dimension,
# $\mathrm{KL}(\mathcal N(m_q, s_q^2) \,\|\, \mathcal N(m_p, s_p^2))
# = \log\frac{s_p}{s_q} + \frac{s_q^2 + (m_q - m_p)^2}{2 s_p^2} - \frac12$.
# The arguments are arrays of any shape, one entry for each dimension, and the dimensions are independent: what becomes of
# their divergences? Return one number.


# %% tags=["1.1"]
def divergence(mean_q, std_q, mean_p, std_p):
    """Return KL(q ‖ p) in nats, over all dimensions."""
    ### BEGIN SOLUTION the divergence in each dimension
    squares = std_q**2 + (mean_q - mean_p) ** 2
    each = jnp.log(std_p / std_q) + squares / (2 * std_p**2) - 0.5
    ### END SOLUTION
    ### BEGIN SOLUTION the divergence of all dimensions together
    return jnp.sum(each)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "1.1",
    divergence,
    inputs=lambda key: (
        (m := normals(key, 2, (2, 3)))[0],
        (s := widths(key, 2, (2, 3)))[0],
        m[1],
        s[1],
    ),
    hints=[
        "Translate the formula piece by piece; `jnp.log`, `**2`. It works on whole arrays at once.",
        "Of independent dimensions densities multiply, logarithms add, and so do divergences.",
    ],
    slips=[
        (
            "jnp.sum(each)",
            "jnp.mean(each)",
            "That is the mean over the dimensions; the divergence of the whole is their sum.",
        ),
        (
            "jnp.sum(each)",
            "jnp.sum(each, -1)",
            "This sums over the last axis only; every entry is a dimension, whatever the shape.",
        ),
        (
            "squares = std_q**2 + (mean_q - mean_p) ** 2\n"
            "    each = jnp.log(std_p / std_q) + squares / (2 * std_p**2)",
            "squares = std_p**2 + (mean_q - mean_p) ** 2\n"
            "    each = jnp.log(std_q / std_p) + squares / (2 * std_q**2)",
            "That is KL(p ‖ q), the divergence the other way round; q comes first.",
        ),
        (
            "jnp.log(std_p / std_q)",
            "jnp.log(std_q / std_p)",
            "The logarithm is upside down: it is log(s_p/s_q), positive when q is the narrower.",
        ),
        (
            "2 * std_p**2",
            "2 * std_q**2",
            "Distances are measured with the ruler of p: divide by s_p², not by s_q².",
        ),
        (
            " - 0.5",
            "",
            "The −½ of each dimension is missing, so the divergence of q from itself is not 0.",
        ),
    ],
    laws=[
        (
            "a Gaussian has no divergence from itself",
            lambda f: (
                f(jnp.ones(2), 2 * jnp.ones(2), jnp.ones(2), 2 * jnp.ones(2)) + 1,
                jnp.asarray(1.0),
            ),
        )
    ],
    ships=lambda mean_q, std_q, mean_p, std_p: vdmlite.kl(
        Gaussian(mean_q, std_q), Gaussian(mean_p, std_p)
    ),
)

# %% [markdown]
# ## 1.2 · A draw that can be differentiated
# *difficulty ●○○ · 5 minutes*
#
# An encoder returns the mean and the *logarithm of the standard deviation* of its Gaussian, since a network may return
# any number and a width must be positive. `eps` is standard normal noise. Return a draw from the encoder's Gaussian, as a
# function of the three: the mean plus the noise in its right size.


# %% tags=["1.2"]
def reparameterise(mean, log_std, eps):
    """Return a draw from N(mean, std²), made of standard normal noise."""
    ### BEGIN SOLUTION the draw
    return mean + jnp.exp(log_std) * eps
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "1.2",
    reparameterise,
    inputs=lambda key: tuple(normals(key, 3, (3,))),
    hints=[
        "Scale the noise, then move it.",
        "The scale is std, which is not log_std: undo the logarithm with `jnp.exp`.",
    ],
    slips=[
        (
            "jnp.exp(log_std)",
            "log_std",
            "The noise is scaled by log std; undo the logarithm first.",
        ),
        (
            "jnp.exp(log_std)",
            "jnp.exp(2 * log_std)",
            "The noise is scaled by the variance; it should be scaled by the standard deviation.",
        ),
        (
            "mean + jnp",
            "mean - jnp",
            "A fair draw, since −ε is noise too, but the exercise asks for the mean plus the noise.",
        ),
        (
            "jnp.exp(log_std)",
            "jnp.exp(0.5 * log_std)",
            "The ½ belongs to encoders that return a log variance; this one returns log std.",
        ),
    ],
    laws=[
        (
            "the draw moves one to one with the mean, so gradients reach it through the noise",
            lambda f: (
                jax.grad(f)(jnp.asarray(0.3), jnp.asarray(-0.5), jnp.asarray(1.2)),
                jnp.asarray(1.0),
            ),
        )
    ],
    ships=lambda mean, log_std, eps: Gaussian(mean, jnp.exp(log_std)).at(eps),
)

# %% [markdown]
# ## 1.3 · A bound in closed form
# *difficulty ●●○ · 10 minutes*
#
# The smallest linear-Gaussian model: $z \sim \mathcal N(0, 1)$ and $x \sim \mathcal N(w z, s^2)$, with `weight` $= w$ and
# `noise` $= s$. The encoder says $q(z \mid x) = \mathcal N(m, v^2)$ with `mean` $= m$ and `std` $= v$. Compute the two
# terms of the ELBO, without sampling. For the first you need $\mathbb E_q[(x - w z)^2]$: a squared mean plus a variance.


# %% tags=["1.3"]
def elbo(x, weight, noise, mean, std):
    """Return the ELBO of one number x, in nats."""
    ### BEGIN SOLUTION the average squared distance of x from weight · z
    distance = (x - weight * mean) ** 2 + weight**2 * std**2
    ### END SOLUTION
    ### BEGIN SOLUTION the reconstruction term, the average of log p(x | z)
    reconstruction = -0.5 * jnp.log(2 * jnp.pi * noise**2) - distance / (2 * noise**2)
    ### END SOLUTION
    ### BEGIN SOLUTION the prior matching term, a divergence from N(0, 1)
    matching = 0.5 * (std**2 + mean**2 - 1) - jnp.log(std)
    ### END SOLUTION
    return reconstruction - matching


# %% tags=["author"]
exercise(
    "1.3",
    elbo,
    inputs=lambda key: (
        (n := normals(key, 3))[0],
        n[1] + 2 * jnp.sign(n[1]),
        (s := widths(key, 2))[0],
        n[2],
        s[1],
    ),
    hints=[
        "Under q, x − w z has mean x − w m. What is its variance?",
        "log N(x; μ, s²) = −½ log(2π s²) − (x − μ)²/(2 s²), and only (x − μ)² depends on z. "
        "The matching term is exercise 1.1 with m_p = 0 and s_p = 1.",
    ],
    slips=[
        (
            " + weight**2 * std**2",
            "",
            "The spread of z is left out: the decoder sees draws of z, not the mean of q alone.",
        ),
        (
            "weight**2 * std**2",
            "weight * std**2",
            "The variance of w z is w² times the variance of z.",
        ),
        (
            "- jnp.log(std)",
            "+ jnp.log(std)",
            "The sign of log std is wrong: a narrow q is far from the prior, so it must cost.",
        ),
        (
            "-0.5 * jnp.log(2 * jnp.pi * noise**2) - distance",
            "-distance",
            "The Gaussian's normalisation −½ log(2π s²) is left out of log p(x | z).",
        ),
    ],
    laws=[
        (
            "with the exact posterior the bound is the evidence, log N(x; 0, w² + s²)",
            lambda f: (
                f(
                    jnp.asarray(0.7),
                    jnp.asarray(2.0),
                    jnp.asarray(0.5),
                    jnp.asarray(2 * 0.7 / 4.25),
                    jnp.sqrt(0.25 / 4.25),
                ),
                log_evidence(0.7, 2.0, 0.5),
            ),
        )
    ],
)

# %% [markdown]
# ## 1.4 · What the bound loses
# *difficulty ●●○ · 10 minutes*
#
# The same model and the same encoder. First the exact posterior $p(z \mid x)$: the product of prior and likelihood is a
# Gaussian in $z$, in which *precisions* (one over the variance) add up: 1 from the prior, $w^2/s^2$ from $x$. Its mean
# is the variance times $w x / s^2$. Then return the gap between evidence and ELBO, as a divergence.


# %% tags=["1.4"]
def gap(x, weight, noise, mean, std):
    """Return log p(x) − ELBO in nats, without computing either."""
    ### BEGIN SOLUTION the variance of the exact posterior
    exact_variance = 1 / (1 + weight**2 / noise**2)
    ### END SOLUTION
    ### BEGIN SOLUTION the mean of the exact posterior
    exact_mean = exact_variance * weight * x / noise**2
    ### END SOLUTION
    ### BEGIN SOLUTION the gap, a divergence
    squares = std**2 + (mean - exact_mean) ** 2
    return 0.5 * (jnp.log(exact_variance / std**2) + squares / exact_variance - 1)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "1.4",
    gap,
    inputs=lambda key: (
        (n := normals(key, 3))[0] + 2 * jnp.sign(n[0]),
        n[1] + jnp.sign(n[1]),
        (s := widths(key, 2))[0],
        n[2],
        s[1],
    ),
    hints=[
        "Variance = one over the sum of the precisions.",
        "The gap is KL(q ‖ p(z | x)): exercise 1.1 with the exact posterior in the place of p.",
    ],
    slips=[
        (
            "jnp.log(exact_variance / std**2) + squares / exact_variance - 1",
            "jnp.log(std**2 / exact_variance) + "
            "(exact_variance + (mean - exact_mean) ** 2) / std**2 - 1",
            "That is the divergence of the posterior from q; the gap is that of q from the posterior.",
        ),
        (
            "1 / (1 + weight**2 / noise**2)",
            "1 + weight**2 / noise**2",
            "That is the precision of the posterior; its variance is one over it.",
        ),
        (
            "exact_variance * weight * x / noise**2",
            "x / weight",
            "x/w is the cause that explains x best; the prior pulls the posterior's mean towards 0.",
        ),
        (
            "0.5 * (jnp",
            "(jnp",
            "The ½ in front is missing: log(s_p/s_q) is half of log(s_p²/s_q²), and so for the rest.",
        ),
    ],
    laws=[
        (
            "gap = evidence − ELBO, the ELBO summed over a grid of z",
            lambda f: (
                f(*(jnp.asarray(a) for a in (0.7, 1.5, 0.8, 0.1, 0.6))),
                log_evidence(0.7, 1.5, 0.8)
                - average(
                    0.1,
                    0.6,
                    lambda z: (
                        Gaussian(1.5 * z, jnp.asarray(0.8)).log_prob(jnp.asarray(0.7))
                        + Gaussian(jnp.asarray(0.0), jnp.asarray(1.0)).log_prob(z)
                        - Gaussian(jnp.asarray(0.1), jnp.asarray(0.6)).log_prob(z)
                    ),
                ),
            ),
        )
    ],
    ships=lambda x, weight, noise, mean, std: vdmlite.kl(
        Gaussian(mean, std),
        Gaussian(weight * x / (weight**2 + noise**2), noise / jnp.sqrt(weight**2 + noise**2)),
    ),
)

# %% [markdown]
# ## 1.5 · From Luo's α to our γ
# *difficulty ●●○ · 7 minutes*
#
# `alphas` holds Luo's per-step $\alpha_1, \dots, \alpha_T$: in step $t$ the share $\alpha_t$ of the power is kept.
# Return $\gamma_1, \dots, \gamma_T$, where $\gamma = -\log \mathrm{SNR}$, and the signal-to-noise ratio after step $t$ is
# $\bar\alpha_t / (1 - \bar\alpha_t)$.


# %% tags=["1.5"]
def gammas(alphas):
    """Return γ after each of the steps, an array of the same shape."""
    ### BEGIN SOLUTION the power of the signal that is left after each step
    alpha_bar = jnp.cumprod(alphas)
    ### END SOLUTION
    ### BEGIN SOLUTION minus the logarithm of the signal-to-noise ratio
    return jnp.log((1 - alpha_bar) / alpha_bar)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "1.5",
    gammas,
    inputs=lambda key: (jax.random.uniform(key, (5,), minval=0.4, maxval=0.95),),
    hints=[
        "ᾱ_t is the product of the first t entries; `jnp.cumprod` gives all T of them.",
        "−log(a/b) = log(b/a).",
    ],
    slips=[
        (
            "jnp.cumprod(alphas)",
            "alphas",
            "That is each step alone; γ is about all the noise since the start, a running product.",
        ),
        (
            "(1 - alpha_bar) / alpha_bar",
            "alpha_bar / (1 - alpha_bar)",
            "The sign is turned: that is log SNR, but γ = −log SNR grows with the noise.",
        ),
        (
            "jnp.cumprod(alphas)",
            "jnp.cumprod(alphas) ** 2",
            "Luo's ᾱ is a power already, our α²; don't square it again.",
        ),
    ],
    laws=[
        (
            "the package's α² at these γ is the running product ᾱ",
            lambda f: (
                process.alpha2(f(jnp.asarray([0.9, 0.8, 0.5]))),
                jnp.asarray([0.9, 0.72, 0.36]),
            ),
        )
    ],
)

# %% [markdown]
# ## 1.6 · Which terms vanish
# *difficulty ●●● · 10 minutes*
#
# Two kinds of terms in the bound of a diffusion model, for one example `x` (an array of any shape), both to be summed
# over its dimensions.
#
# *Prior matching* is $\mathrm{KL}(q(z_T \mid x) \,\|\, \mathcal N(0, I))$ with
# $q(z_T \mid x) = \mathcal N(\sqrt{\bar\alpha_T}\, x,\, 1 - \bar\alpha_T)$.
#
# *Denoising matching* compares $q(z_{t-1} \mid z_t, x)$ with $p(z_{t-1} \mid z_t)$: two Gaussians of the same variance,
# $\frac{(1 - \alpha_t)(1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}$. In the mean of the first, $x$ has the weight
# $\frac{\sqrt{\bar\alpha_{t-1}}\,(1 - \alpha_t)}{1 - \bar\alpha_t}$; in the mean of the second, a guess `x_hat` has its
# place. All else is the same in both, so it drops out of the divergence.
#
# Return the two, for given $\bar\alpha_T$ (`last`), $\bar\alpha_{t-1}$ (`before`) and $\alpha_t$ (`alpha`, Luo's). Then
# ask yourself when each of them is zero.


# %% tags=["1.6"]
def two_terms(x, x_hat, last, before, alpha):
    """Return (prior matching, denoising matching of one step), in nats."""
    ### BEGIN SOLUTION the divergence of the last latent from N(0, I)
    prior = 0.5 * jnp.sum(last * x**2 - last - jnp.log(1 - last))
    ### END SOLUTION
    after = alpha * before
    ### BEGIN SOLUTION the variance of both steps down
    variance = (1 - alpha) * (1 - before) / (1 - after)
    ### END SOLUTION
    ### BEGIN SOLUTION the difference of their means, for each dimension
    shift = jnp.sqrt(before) * (1 - alpha) / (1 - after) * (x - x_hat)
    ### END SOLUTION
    ### BEGIN SOLUTION the divergence of the step that knows x from the one that guesses
    denoising = jnp.sum(shift**2) / (2 * variance)
    ### END SOLUTION
    return prior, denoising


# %% tags=["author"]
exercise(
    "1.6",
    two_terms,
    inputs=lambda key: (
        (n := normals(key, 2, (2, 3)))[0],
        n[1],
        0.05 + 0.4 * jax.random.uniform(key),
        0.3 + 0.5 * jax.random.uniform(jax.random.fold_in(key, 1)),
        0.5 + 0.4 * jax.random.uniform(jax.random.fold_in(key, 2)),
    ),
    hints=[
        "Both are exercise 1.1. For prior matching m_p = 0 and s_p = 1, and s_q² = 1 − ᾱ_T.",
        "With equal variances only the squared distance of the means is left, over 2 · variance.",
    ],
    slips=[
        (
            "jnp.log(1 - last)",
            "2 * jnp.log(1 - last)",
            "1 − ᾱ_T is a variance; the divergence has ½ log of it, you have the whole.",
        ),
        (
            "last * x**2",
            "x**2",
            "The mean of q(z_T | x) is √ᾱ_T x, not x: almost nothing of x may be left.",
        ),
        (
            "(2 * variance)",
            "variance",
            "The ½ of the squared distance is missing.",
        ),
        (
            "jnp.sqrt(before) * (1 - alpha)",
            "before * (1 - alpha)",
            "x enters with the scale √ᾱ_{t−1}, not with its power.",
        ),
        (
            "return prior, denoising",
            "return denoising, prior",
            "The two are swapped: prior matching comes first.",
        ),
        (
            "jnp.sum(",
            "(lambda a: jnp.sum(a, -1))(",
            "This sums over the last axis only; every entry is a dimension, whatever the shape.",
        ),
    ],
    laws=[
        (
            "a right guess costs nothing, and neither does an end where nothing of x is left",
            lambda f: (
                1
                + sum(f(jnp.ones(2), jnp.ones(2), *(jnp.asarray(a) for a in (0.0, 0.8, 0.9)))),
                jnp.asarray(1.0),
            ),
        )
    ],
    ships=lambda x, x_hat, last, before, alpha: (
        vdmlite.kl(
            process.marginal(x, jnp.log((1 - last) / last)),
            Gaussian(jnp.zeros_like(x), jnp.asarray(1.0)),
        ),
        vdmlite.kl(
            *(
                process.posterior(
                    jnp.ones_like(x),
                    known,
                    jnp.log((1 - before) / before),
                    jnp.log((1 - alpha * before) / (alpha * before)),
                )
                for known in (x, x_hat)
            )
        ),
    ),
)

# %% [markdown]
# ## Now import it
#
# `vdmlite.kl` is your divergence, between two `vdmlite.Gaussian`s; `Gaussian.at(eps)` is your draw. The rest of the
# bound comes in lesson 03, in γ, where its terms get shorter.
