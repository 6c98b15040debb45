"""Built from solutions/01_latent_variables.py. Do not edit."""


import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo


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


def divergence(mean_q, std_q, mean_p, std_p):
    """Return KL(q ‖ p) in nats, over all dimensions."""
    squares = std_q**2 + (mean_q - mean_p) ** 2
    each = jnp.log(std_p / std_q) + squares / (2 * std_p**2) - 0.5
    return jnp.sum(each)


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


def reparameterise(mean, log_std, eps):
    """Return a draw from N(mean, std²), made of standard normal noise."""
    return mean + jnp.exp(log_std) * eps


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


def elbo(x, weight, noise, mean, std):
    """Return the ELBO of one number x, in nats."""
    distance = (x - weight * mean) ** 2 + weight**2 * std**2
    reconstruction = -0.5 * jnp.log(2 * jnp.pi * noise**2) - distance / (2 * noise**2)
    matching = 0.5 * (std**2 + mean**2 - 1) - jnp.log(std)
    return reconstruction - matching


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


def gap(x, weight, noise, mean, std):
    """Return log p(x) − ELBO in nats, without computing either."""
    exact_variance = 1 / (1 + weight**2 / noise**2)
    exact_mean = exact_variance * weight * x / noise**2
    squares = std**2 + (mean - exact_mean) ** 2
    return 0.5 * (jnp.log(exact_variance / std**2) + squares / exact_variance - 1)


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


def gammas(alphas):
    """Return γ after each of the steps, an array of the same shape."""
    alpha_bar = jnp.cumprod(alphas)
    return jnp.log((1 - alpha_bar) / alpha_bar)


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


def two_terms(x, x_hat, last, before, alpha):
    """Return (prior matching, denoising matching of one step), in nats."""
    prior = 0.5 * jnp.sum(last * x**2 - last - jnp.log(1 - last))
    after = alpha * before
    variance = (1 - alpha) * (1 - before) / (1 - after)
    shift = jnp.sqrt(before) * (1 - alpha) / (1 - after) * (x - x_hat)
    denoising = jnp.sum(shift**2) / (2 * variance)
    return prior, denoising


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
