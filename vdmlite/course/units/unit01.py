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


def unit_of_length(key):
    """1, or less, down to a ten-thousandth: what is right in metres is right in miles."""
    return 10.0 ** -jax.random.uniform(jax.random.fold_in(key, 11), minval=0.0, maxval=4.0)


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
        (u := unit_of_length(key)) * (m := normals(key, 2, (2, 3)))[0],
        u * (s := widths(key, 2, (2, 3)))[0],
        u * m[1],
        u * s[1],
    ),
    hints=[
        "The average of (x − m_q)² under q is q's variance. For that of (x − m_p)² write x − m_p = (x − m_q) + (m_q − m_p).",
        "Of independent dimensions densities multiply, logarithms add, and so do divergences.",
    ],
    slips=[
        (
            "squares / (2 * std_p**2)",
            "squares / (2 * std_p**2 + 1e-6)",
            "The small number added below the line is not small beside a width of 0.001; no width "
            "here is 0, so leave it out.",
        ),
        (
            "squares / (2 * std_p**2)",
            "squares / std_p**2",
            "The 2 below the line is missing: the divergence has ½ of the squares over s_p².",
        ),
        (
            "std_q**2 + (mean",
            "std_q + (mean",
            "The width of q enters squared, as a variance.",
        ),
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
    inputs=lambda key: ((n := normals(key, 3, (3,)))[0], 4 * n[1], n[2]),
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
            "jnp.exp(log_std)",
            "jax.nn.softplus(log_std)",
            "softplus makes a number positive too, but it does not undo the logarithm: exp does.",
        ),
        (
            "jnp.exp(log_std)",
            "jax.lax.stop_gradient(jnp.exp(log_std))",
            "stop_gradient and NumPy cut this off",
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
        (
            "mean + jnp.exp(log_std) * eps",
            "jnp.exp(log_std) * (mean + eps)",
            "The mean is scaled along with the noise: scale first, then move.",
        ),
        (
            "jnp.exp(log_std)",
            "jnp.exp(jnp.clip(log_std, -5, 3))",
            "The logarithm is cut off: any width is allowed, also a large or a tiny one.",
        ),
    ],
    laws=[
        (
            "the draw moves one to one with the mean, so gradients reach it through the noise",
            lambda f: (
                jax.grad(f)(jnp.asarray(0.3), jnp.asarray(-0.5), jnp.asarray(1.2)),
                jnp.asarray(1.0),
            ),
        ),
        (
            "its slope in log_std is std · ε, so that the width can be trained (stop_gradient and "
            "NumPy cut this off)",
            lambda f: (
                jax.grad(f, 1)(jnp.asarray(0.3), jnp.asarray(-0.5), jnp.asarray(1.2)),
                1.2 * jnp.exp(-0.5),
            ),
        ),
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
        (u := unit_of_length(key)) * (n := normals(key, 3))[0],
        u * (n[1] + 2 * jnp.sign(n[1])),
        u * (s := widths(key, 2))[0],
        n[2],
        s[1] * unit_of_length(jax.random.fold_in(key, 1)),
    ),
    hints=[
        "Under q, x − a z has mean x − a m. What is its variance?",
        "log N(x; μ, τ²) = −½ log(2π τ²) − (x − μ)²/(2 τ²), and only (x − μ)² depends on z. "
        "The matching term is exercise 1.1 with m_p = 0 and s_p = 1.",
    ],
    slips=[
        (
            " + weight**2 * std**2",
            "",
            "The spread of z is left out: the decoder sees draws of z, not the mean of q alone.",
        ),
        (
            "(2 * noise**2)",
            "(2 * noise**2 + 1e-6)",
            "The small number added to the noise is not small when x is measured in large units; "
            "no noise here is 0, so leave it out.",
        ),
        (
            "distance / (2 * noise**2)",
            "distance / noise**2",
            "The ½ of the squared distance is missing.",
        ),
        (
            "0.5 * (std**2",
            "(std**2",
            "The ½ of the matching term is missing: log s is half of log s².",
        ),
        (
            "std**2 + mean**2 - 1",
            "std**2 + mean**2",
            "The −½ of the matching term is missing: with q equal to the prior it must be 0.",
        ),
        (
            "weight**2 * std**2",
            "weight * std**2",
            "The variance of a z is a² times the variance of z.",
        ),
        (
            "- jnp.log(std)",
            "+ jnp.log(std)",
            "The sign of log std is wrong: a narrow q is far from the prior, so the term must grow.",
        ),
        (
            "-0.5 * jnp.log(2 * jnp.pi * noise**2) - distance",
            "-distance",
            "The Gaussian's normalisation −½ log(2π τ²) is left out of log p(x | z).",
        ),
        (
            "0.5 * (std**2 + mean**2 - 1) - jnp.log(std)",
            "jnp.log(std) + (1 + mean**2) / (2 * std**2) - 0.5",
            "This is KL(p(z) ‖ q(z | x)). The ELBO has it the other way round: the encoder comes first.",
        ),
    ],
    laws=[
        (
            "with the exact posterior the bound is the evidence, log N(x; 0, a² + τ²)",
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
        (u := unit_of_length(key)) * ((n := normals(key, 3))[0] + 2 * jnp.sign(n[0])),
        u * (n[1] + jnp.sign(n[1])),
        u * (s := widths(key, 2))[0],
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
            "1 / (weight**2 / noise**2)",
            "The prior's precision is missing: even without x, z has the precision 1.",
        ),
        (
            "weight**2 / noise**2)",
            "weight**2 / (noise**2 + 1e-6))",
            "The small number added to the noise is not small when x is measured in large units; "
            "no noise here is 0, so leave it out.",
        ),
        (
            "1 / (1 + weight**2 / noise**2)",
            "1 + weight**2 / noise**2",
            "That is the precision of the posterior; its variance is one over it.",
        ),
        (
            "exact_variance * weight * x / noise**2",
            "x / weight",
            "x/a is the cause that explains x best; the prior pulls the posterior's mean towards 0.",
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


def from_clean_to_noisy(key):
    """Shares that begin at 1 − 2⁻¹³ ≈ 0.9999 and end where a ten-thousandth of the power is left."""
    middle = jax.random.uniform(key, (4,), minval=0.4, maxval=0.95)
    return (jnp.concatenate([jnp.array([1 - 2.0**-13]), middle, jnp.array([1e-3])]),)


exercise(
    "1.5",
    gammas,
    inputs=from_clean_to_noisy,
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
            "(1 - alpha_bar) / alpha_bar)",
            "(1 - alpha_bar) / alpha_bar + 1e-6)",
            "The small number in the logarithm changes γ where little noise has come in: after a step "
            "of 0.9999 the ratio itself is only 0.0001. It is never 0, so leave it out.",
        ),
        (
            "/ alpha_bar)",
            "/ (alpha_bar + 1e-6))",
            "The small number below the line changes γ where little of the signal is left. ᾱ is never 0, "
            "so leave it out.",
        ),
        (
            "jnp.cumprod(alphas)",
            "jnp.cumsum(alphas)",
            "That is a running sum. A share of a share is a product.",
        ),
        (
            "jnp.log((1 - alpha_bar) / alpha_bar)",
            "-jnp.log(alpha_bar)",
            "SNR compares the signal with the noise, whose power is 1 − ᾱ.",
        ),
        (
            "jnp.cumprod(alphas)",
            "jnp.cumprod(alphas) ** 2",
            "Luo's ᾱ is a power already, our α²; don't square it again.",
        ),
        (
            "jnp.cumprod(alphas)",
            "jnp.cumprod(alphas) / alphas",
            "This is what is left *before* each step; γ_t belongs to the power after step t.",
        ),
        (
            "jnp.cumprod(alphas)",
            "jnp.cumprod(alphas[::-1])[::-1]",
            "The product runs from the wrong end: after step t the first t shares have been taken.",
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


def best_independent(x, weight, noise):
    """Return (means, widths, gap): the best q with independent causes, and what it loses in nats."""
    mean = weight * x / (noise**2 + jnp.sum(weight**2))
    std = 1 / jnp.sqrt(1 + weight**2 / noise**2)
    each, together = weight**2 / noise**2, jnp.sum(weight**2) / noise**2
    gap = 0.5 * (jnp.sum(jnp.log(1 + each)) - jnp.log(1 + together))
    return mean, std, gap


def elbo_by_points(x, weight, noise, mean, std):
    """The ELBO of two causes, exact: log p − log q is quadratic, so nine points stand for q."""
    points = jnp.sqrt(3.0) * jnp.array([-1.0, 0.0, 1.0])
    shares = jnp.array([1 / 6, 2 / 3, 1 / 6])
    normal = Gaussian(jnp.zeros(2), jnp.asarray(1.0))

    def one(eps):
        z = mean + std * eps
        decoder = Gaussian(jnp.sum(weight * z), noise)
        q = Gaussian(mean, std)
        return decoder.log_prob(x) + normal.log_prob(z) - q.log_prob(z)

    pairs = jnp.stack(jnp.meshgrid(points, points), -1).reshape(-1, 2)
    return jnp.sum(jnp.outer(shares, shares).reshape(-1) * jax.vmap(one)(pairs))


x_seen, two_weights, some_noise = jnp.asarray(0.9), jnp.asarray([1.2, -0.7]), jnp.asarray(0.5)


def slopes(f):
    """The slopes of the ELBO at the answer's means and log widths, which should be 0, plus 1."""
    mean, std, _ = f(x_seen, two_weights, some_noise)

    def bound(m, log_s):
        return elbo_by_points(x_seen, two_weights, some_noise, m, jnp.exp(log_s))

    return 1 + jnp.concatenate(jax.grad(bound, (0, 1))(mean, jnp.log(std)))


def measured_gap(f):
    """Evidence − ELBO, with the answer's q, and the answer's own word for it."""
    mean, std, gap = f(x_seen, two_weights, some_noise)
    size = jnp.sqrt(jnp.sum(two_weights**2))
    evidence = log_evidence(x_seen, size, some_noise)
    return evidence - elbo_by_points(x_seen, two_weights, some_noise, mean, std), gap


exercise(
    "1.6",
    best_independent,
    inputs=lambda key: (
        (u := unit_of_length(key)) * (n := normals(key, 2, (3,)))[0][0],
        u * (n[1] + jnp.sign(n[1])),
        u * widths(key, 1)[0],
    ),
    hints=[
        "The log density of z given x is −½ zᵀz − (x − a·z)²/(2 τ²) and a constant. Read off the matrix "
        "of the quadratic part: which entries does x add to the identity?",
        "With precision Λ the divergence is ½ (Σ Λᵢᵢ sᵢ² + (m − μ)ᵀ Λ (m − μ) − n − Σ log sᵢ² − log det Λ). "
        "Each sᵢ stands in two terms only. For a matrix I + b bᵀ the determinant is 1 + bᵀb.",
    ],
    slips=[
        (
            "1 / jnp.sqrt(1 + weight**2 / noise**2)",
            "jnp.sqrt(1 - weight**2 / (noise**2 + jnp.sum(weight**2)))",
            "These are the widths of the causes in the exact posterior, each by itself. A q without "
            "correlations that is so wide puts z where the sum is wrong; the best one is narrower.",
        ),
        (
            "1 / jnp.sqrt(1 + weight**2 / noise**2)",
            "1 / (1 + weight**2 / noise**2)",
            "These are variances; the widths are their square roots.",
        ),
        (
            "1 / jnp.sqrt(1 + weight**2 / noise**2)",
            "jnp.sqrt(1 + weight**2 / noise**2)",
            "The precision grows with what x says, so the width is one over its root.",
        ),
        (
            "weight * x / (noise**2 + jnp.sum(weight**2))",
            "weight * x / (noise**2 + weight**2)",
            "Here each cause explains x alone. They explain it together: all the weights share it.",
        ),
        (
            "weight * x / (noise**2 + jnp.sum(weight**2))",
            "x / (noise**2 + jnp.sum(weight**2))",
            "A cause explains x in proportion to its own weight.",
        ),
        (
            "- jnp.log(1 + together)",
            "",
            "The determinant of Λ is missing: with one cause nothing may be lost.",
        ),
        (
            "jnp.sum(jnp.log(1 + each)) - jnp.log(1 + together)",
            "jnp.log(1 + together) - jnp.sum(jnp.log(1 + each))",
            "The sign is turned: a gap is a divergence and never negative.",
        ),
        (
            "0.5 * (jnp.sum",
            "(jnp.sum",
            "The ½ is missing: log s is half of log s².",
        ),
        (
            "jnp.sum(jnp.log(1 + each))",
            "jnp.mean(jnp.log(1 + each))",
            "The logarithms of all causes are summed, not averaged.",
        ),
        (
            "1 / jnp.sqrt(1 + weight**2 / noise**2)",
            "jnp.ones_like(weight) / jnp.sqrt(1 + jnp.sum(weight**2) / noise**2)",
            "Each cause has a width of its own: only its own weight is in Λᵢᵢ.",
        ),
        (
            "jnp.sum(jnp.log(1 + each))",
            "jnp.log(1 + jnp.sum(each))",
            "That is one logarithm of the sum. Each width brings a logarithm of its own.",
        ),
    ],
    laws=[
        (
            "at these means and widths the ELBO is flat: no change of them wins anything",
            lambda f: (slopes(f), jnp.ones(4)),
        ),
        ("the gap is evidence − ELBO, measured", measured_gap),
        (
            "a single cause loses nothing",
            lambda f: (
                1 + f(jnp.asarray(0.9), jnp.asarray([1.2]), jnp.asarray(0.5))[2],
                jnp.asarray(1.0),
            ),
        ),
    ],
)
