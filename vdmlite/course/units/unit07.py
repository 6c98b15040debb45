"""Built from solutions/07_learning_the_schedule.py. Do not edit."""


import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo


import numpy as np

import vdmlite
from vdmlite.course import exercise


def some_weights(key):
    """A time that is no corner, and the raw weights of five stretches."""
    time_key, weight_key = jax.random.split(key)
    return (
        jax.random.uniform(time_key, minval=0.05, maxval=0.95),
        2 * jax.random.normal(weight_key, (5,)),
    )


def packaged_polygon(t, raw):
    """The package's polygon from 0 to 1 with those rises."""
    rises = jax.nn.softplus(raw)
    corners = jnp.concatenate([jnp.zeros(1), jnp.cumsum(rises) / jnp.sum(rises)])
    return vdmlite.PiecewiseLinear(tuple(corners.tolist())).slope(t)


def along(polygon, which):
    """One of the two answers at 21 times, with weights that are negative when raw."""
    raw = jnp.array([-3.0, 2.0, -1.0, 0.5])
    times = np.linspace(0.0, 1.0, 21)
    return np.array([float(polygon(jnp.asarray(t), raw)[which]) for t in times])


def a_noisy_end(key):
    """An example, a noisy end and the mean squared error there."""
    x_key, gamma_key, error_key = jax.random.split(key, 3)
    return (
        jax.random.normal(x_key, (2, 3)),
        jax.random.uniform(gamma_key, minval=-1.0, maxval=3.0),
        jax.random.uniform(error_key, minval=0.5, maxval=3.0),
    )


def packaged_prior(x, gamma):
    """The prior term of an example, for a noisy end γ."""
    standard = vdmlite.Gaussian(jnp.zeros_like(x), jnp.ones_like(x))
    return vdmlite.kl(vdmlite.marginal(x, gamma), standard)


def some_curve(key):
    """Seven rising γ, unevenly spaced, with E[m], E[m²] and a density along them."""
    keys = jax.random.split(key, 4)
    gammas = -4.0 + jnp.cumsum(0.3 + jax.random.uniform(keys[0], (7,)))
    mean = 0.5 + jax.random.uniform(keys[1], (7,))
    square = mean**2 * (1.5 + jax.random.uniform(keys[2], (7,)))
    weight = 0.2 + jax.random.uniform(keys[3], (7,))
    return gammas, mean, square, weight / jnp.trapezoid(weight, gammas)


def best_density(gammas, square):
    """√E[m²], scaled to area 1."""
    return jnp.sqrt(square) / jnp.trapezoid(jnp.sqrt(square), gammas)


def packaged_curve():
    """Five even γ from −3 to 1, with E[m] and E[m²]: arrays, and the package's curve of them."""
    gammas = jnp.linspace(-3.0, 1.0, 5)
    mean = jnp.array([1.0, 2.0, 1.5, 0.7, 0.2])
    square = jnp.array([2.0, 7.0, 4.0, 0.9, 0.1])
    return (gammas, mean, square), vdmlite.ErrorCurve(
        *(jax.device_get(a) for a in (gammas, mean, 0 * mean, square))
    )


def areas_between_times(best_gamma):
    """The areas under the spread e^(−γ)/(4 + e^(−γ)) that eight equal stretches of time cover."""
    grid = jnp.linspace(-4.0, 3.0, 2001)
    spread = jnp.exp(-grid) / (4 + jnp.exp(-grid))
    mean = 1 + jnp.cos(grid) ** 2
    found = best_gamma(grid, mean, mean**2 + spread**2, jnp.linspace(0.0, 1.0, 9))
    return -np.diff(np.log(4 + np.exp(-np.asarray(found))))


def bent(params, t):
    """A schedule from γ = −6 to 4 whose shape has two parameters."""
    a, b = jnp.exp(params)
    return -6.0 + 10.0 * (t + a * t**2 + b * t**3) / (1 + a + b)


def a_pass_backwards(params, times, scale):
    """The losses of a batch with m = scale · sigmoid(−γ), and their slopes by γ and by γ′."""
    gammas, slopes = jax.vmap(lambda t: jax.value_and_grad(bent, argnums=1)(params, t))(times)
    error = scale * jax.nn.sigmoid(-gammas)
    by_gamma = -0.5 * slopes * error * jax.nn.sigmoid(gammas)
    return 0.5 * slopes * error, by_gamma, 0.5 * error


def a_batch(key):
    """A schedule, its parameters, five times and what came back from the network for each."""
    params_key, time_key, scale_key = jax.random.split(key, 3)
    params = jax.random.normal(params_key, (2,))
    times = jax.random.uniform(time_key, (5,))
    scale = 1 + 3 * jax.random.uniform(scale_key, (5,))
    return bent, params, times, *a_pass_backwards(params, times, scale)


def mean_square(params, times, scale):
    """The mean of ℓ² over such a batch."""
    return jnp.mean(a_pass_backwards(params, times, scale)[0] ** 2)


def polygon(t, raw):
    """Return the share of the way covered at time t, and its slope."""
    n = len(raw)
    rises = jax.nn.softplus(raw) / jnp.sum(jax.nn.softplus(raw))
    share = jnp.sum(rises * jnp.clip(n * t - jnp.arange(n), 0.0, 1.0))
    rate = n * rises[jnp.clip(jnp.floor(n * t), 0, n - 1).astype(int)]
    return share, rate


exercise(
    "7.1",
    polygon,
    inputs=some_weights,
    hints=[
        "At time t the stretches 0 … k − 1 are behind you, k = ⌊n t⌋, and of stretch k a part n t − k.",
        "A stretch lasts 1/n. What is the slope of a line that rises by h in that time?",
        "Whoever likes tables: jnp.cumsum of the rises has the corners but the first, and jnp.interp reads between them.",
    ],
    slips=[
        (
            "rises = jax.nn.softplus(raw) / jnp.sum(jax.nn.softplus(raw))",
            "rises = raw / jnp.sum(raw)",
            "The weights are used raw: a negative one is a way down.",
        ),
        (
            "rises = jax.nn.softplus(raw) / jnp.sum(jax.nn.softplus(raw))",
            "rises = jax.nn.softmax(raw)",
            "exp makes weights positive as well (this is a softmax), but the polygon here takes softplus.",
        ),
        (
            " / jnp.sum(jax.nn.softplus(raw))",
            "",
            "The share at t = 1 is not 1: divide by all that the curve rises.",
        ),
        (
            "jnp.clip(n * t - jnp.arange(n), 0.0, 1.0)",
            "jnp.where(jnp.arange(n) < n * t, 1.0, 0.0)",
            "The share jumps from corner to corner: of the stretch that t is in, only a part is covered.",
        ),
        (
            "rate = n * rises",
            "rate = rises",
            "This is how much the stretch rises; it does so in the time 1/n, and the slope is n times that.",
        ),
        (
            "rises[jnp.clip(jnp.floor(n * t), 0, n - 1).astype(int)]",
            "rises[jnp.clip(jnp.ceil(n * t), 0, n - 1).astype(int)]",
            "This is the slope of the stretch after the one that t is in.",
        ),
    ],
    laws=[
        (
            "it is 0 at t = 0 and 1 at t = 1, exactly",
            lambda f: (along(f, 0)[[0, -1]], np.array([0.0, 1.0])),
        ),
        (
            "it never falls, even if the raw weights are negative",
            lambda f: (np.diff(along(f, 0)), np.abs(np.diff(along(f, 0)))),
        ),
        (
            "the rate, averaged over the times, is 1: all of the way is covered once",
            lambda f: (
                np.mean(
                    [
                        float(f(jnp.asarray(t), jnp.array([-3.0, 2.0, -1.0, 0.5]))[1])
                        for t in (0.1, 0.3, 0.6, 0.9)
                    ]
                ),
                1.0,
            ),
        ),
        (
            "at t = 1 the rate is that of the last stretch",
            lambda f: (along(f, 1)[-1], along(f, 1)[-3]),
        ),
    ],
    ships=packaged_polygon,
    # A value between two bounds is in their middle in any order; an index is cut to a whole one.
    equivalent=[
        "share = jnp.sum(rises * jnp.clip(0.0, n * t - jnp.arange(n), 1.0))",
        "rate = n * rises[jnp.clip(0, jnp.floor(n * t), n - 1).astype(int)]",
        "rate = n * rises[jnp.clip(n * t, 0, n - 1).astype(int)]",
        "rate = n * rises[jnp.clip(jnp.floor(n * t), 0, n + 1).astype(int)]",
    ],
)


def two_pulls(x, gamma_1, error):
    """Return the derivatives of the diffusion loss and of the prior term by γ_1."""
    alpha2, sigma2 = jax.nn.sigmoid(-gamma_1), jax.nn.sigmoid(gamma_1)
    diffusion = 0.5 * error
    prior = 0.5 * jnp.sum(sigma2 * alpha2 * (1 - x**2) - alpha2)
    return diffusion, prior


exercise(
    "7.2",
    two_pulls,
    inputs=a_noisy_end,
    hints=[
        "The derivative of an integral by its upper limit is the integrand there.",
        "α² = 1 − σ² gives you dα²/dγ_1, and the chain rule the derivative of log σ².",
        "Test yours with x = 0 and a very large γ_1, where nothing is left to win: it should be 0.",
    ],
    slips=[
        (
            "diffusion = 0.5 * error",
            "diffusion = error",
            "The half in front of the integral is missing from the first answer.",
        ),
        (
            "(1 - x**2) - alpha2",
            "(1 + x**2) - alpha2",
            "α² = 1 − σ² falls as γ_1 grows, so the term with x² has a minus sign.",
        ),
        (
            "(1 - x**2) - alpha2",
            "(1 - x**2)",
            "−log σ² depends on γ_1 too: its derivative, −α², is missing from the second answer.",
        ),
        (
            "sigma2 * alpha2 * (1 - x**2) - alpha2",
            "(1 - x**2) - 1 / sigma2",
            "That is the derivative by σ²; by the chain rule it is multiplied by dσ²/dγ_1 = σ² α².",
        ),
        (
            "jnp.sum(",
            "jnp.mean(",
            "Every dimension pays its own part of the prior term: take the sum, not the mean.",
        ),
        (
            "alpha2)",
            "1 / sigma2)",
            "By γ the derivative of log σ² is (dσ²/dγ)/σ² = α²: the chain rule is missing.",
        ),
        (
            "* alpha2 * (1 - x**2) - alpha2)",
            "+ alpha2 * x**2 - 1 - jnp.log(sigma2))",
            "That is the prior term. Asked is its derivative by γ_1.",
        ),
    ],
    laws=[
        (
            "the second answer is the slope of the package's prior term",
            lambda f: (
                f(jnp.array([0.5, -2.0]), jnp.asarray(0.7), jnp.asarray(1.0))[1],
                jax.grad(packaged_prior, argnums=1)(jnp.array([0.5, -2.0]), 0.7),
            ),
        ),
        (
            "the two pulls cancel at any γ_1 if each x_d² is 1 and each dimension's error α², "
            "which is what they are on average for data that is itself standard Gaussian noise",
            lambda f: (
                f(jnp.array([1.0, -1.0]), jnp.asarray(0.7), 2 * jax.nn.sigmoid(-0.7))[0],
                -f(jnp.array([1.0, -1.0]), jnp.asarray(0.7), 2 * jax.nn.sigmoid(-0.7))[1],
            ),
        ),
    ],
)


def variance(gammas, mean, square, density):
    """Return the variance of ℓ in nats² when γ is drawn from a density."""
    first = 0.5 * jnp.trapezoid(mean, gammas)
    second = 0.25 * jnp.trapezoid(square / density, gammas)
    return second - first**2


exercise(
    "7.3",
    variance,
    inputs=some_curve,
    hints=[
        "The mean of g(γ) for γ ~ p is the integral of p(γ) g(γ).",
        "Write E[ℓ] as such an integral, with ℓ = m/(2p). What cancels? It has to: the bound does not see the schedule.",
        "Now E[ℓ²], with ℓ² in place of ℓ. How many p are above the line, how many below?",
    ],
    slips=[
        (
            "jnp.trapezoid(mean, gammas)",
            "jnp.trapezoid(mean * density, gammas)",
            "In E[ℓ] the density cancels: ℓ has 1/p in it, and γ is drawn with density p.",
        ),
        (
            "square / density",
            "square * density",
            "That is the mean of m² alone: ℓ² has the slope squared in it, γ′² = 1/p².",
        ),
        (
            "square / density",
            "square / density**2",
            "ℓ² has 1/p², but γ is drawn with density p: one of the two factors cancels.",
        ),
        (
            "square / density",
            "mean**2 / density",
            "m differs from example to example and from noise to noise: E[m²] is larger than E[m]².",
        ),
        (
            "0.25 * jnp",
            "0.5 * jnp",
            "In ℓ² the half is squared too.",
        ),
        (
            "mean, gammas)\n    second = 0.25 * jnp.trapezoid(square / density, gammas)",
            "mean * density, gammas)\n    second = 0.25 * jnp.trapezoid(square * density, gammas)",
            "The draw of the loss is m divided by the density: ℓ = m/(2p). So E ℓ is free of p, and E ℓ² has p below.",
        ),
        (
            "0.5 * jnp.trapezoid(mean, gammas)\n    second = 0.25 * jnp.trapezoid(square / density, gammas)",
            "jnp.trapezoid(mean * density, gammas)\n    second = jnp.trapezoid(square * density, gammas)",
            "That is the variance of m. ℓ is m over twice the density, so p is divided by: once in E ℓ², and not at all in E ℓ.",
        ),
    ],
    laws=[
        (
            "for γ linear in t it is what the package's ErrorCurve.variance says",
            lambda f: (
                f(*packaged_curve()[0], jnp.full(5, 0.25)),
                packaged_curve()[1].variance(vdmlite.FixedLinear(-3.0, 1.0)),
            ),
        ),
        (
            "for the density proportional to √E[m²] it is the package's "
            "ErrorCurve.least_variance, ¼ (∫ √E[m²] dγ)² − E[ℓ]²",
            lambda f: (
                f(*packaged_curve()[0], best_density(*packaged_curve()[0][::2])),
                packaged_curve()[1].least_variance,
            ),
        ),
    ],
)


def best_gamma(gammas, mean, square, times):
    """Return the schedule under which a batch on a fine comb varies least, at the given times."""
    height = jnp.sqrt(square - mean**2)
    areas = 0.5 * (height[1:] + height[:-1]) * jnp.diff(gammas)
    shares = jnp.concatenate([jnp.zeros(1), jnp.cumsum(areas) / jnp.sum(areas)])
    return jnp.interp(times, shares, gammas)


exercise(
    "7.4",
    best_gamma,
    inputs=lambda key: (
        *some_curve(key)[:3],
        jax.random.uniform(jax.random.fold_in(key, 1), (5,), minval=0.05, maxval=0.95),
    ),
    hints=[
        "Write what is left as an integral over γ, with p = 1/γ′ in it. Where does it differ from the lesson's E[ℓ²]?",
        "By Cauchy and Schwarz the best p is proportional to the root of what stands over p.",
    ],
    slips=[
        (
            "jnp.sqrt(square - mean**2)",
            "jnp.sqrt(square)",
            "This is the best schedule for times drawn apart; on a comb what is due to the time is gone, and E[m]² with it.",
        ),
        (
            "jnp.sqrt(square - mean**2)",
            "(square - mean**2)",
            "The root is missing: the best density goes with the standard deviation of m, not with its variance.",
        ),
        (
            "jnp.sqrt(square - mean**2)",
            "1 / jnp.sqrt(square - mean**2)",
            "Turned round: where draws vary much, γ has to move slowly, so that many of them fall there.",
        ),
        (
            "jnp.sqrt(square - mean**2)",
            "mean",
            "This visits a level in proportion to its error; what counts on a comb is how the error varies.",
        ),
    ],
    laws=[
        (
            "equal stretches of time cover equal areas under the standard deviation of m",
            lambda f: (
                areas_between_times(f),
                np.full(8, np.log((4 + np.exp(4.0)) / (4 + np.exp(-3.0))) / 8),
            ),
        ),
        (
            "if m varies as much at every γ, the best schedule is linear in t, whatever the mean is",
            lambda f: (
                f(
                    jnp.array([-3.0, -1.0, 2.0]),
                    jnp.array([5.0, 2.0, 1.0]),
                    7.0 + jnp.array([25.0, 4.0, 1.0]),
                    jnp.array([0.2, 0.5, 0.8]),
                ),
                jnp.array([-2.0, -0.5, 1.0]),
            ),
        ),
    ],
)


def shape_gradient(schedule, params, times, losses, by_gamma, by_slope):
    """Return the gradient of mean(ℓ²) by the parameters of schedule(params, t)."""

    def seen(params):
        """Return (γ(t_i), γ′(t_i)) for all i: what the batch sees of the schedule."""
        return jax.vmap(lambda t: jax.value_and_grad(schedule, argnums=1)(params, t))(times)

    _, backward = jax.vjp(seen, params)
    n = len(times)
    weight = 2 * losses / n
    return backward((weight * by_gamma, weight * by_slope))[0]


exercise(
    "7.5",
    shape_gradient,
    inputs=a_batch,
    hints=[
        "What is the derivative of ℓ_i², if that of ℓ_i is known?",
        "The mean is a sum divided by n, and backward already sums over the batch.",
        "backward takes one pair (a, b); [0] takes the gradient out of the tuple that it returns.",
    ],
    slips=[
        (
            "2 * losses / n",
            "jnp.ones_like(losses) / n",
            "This is the gradient of the mean of ℓ: but no shape can change what ℓ is on average, so all it gives the shape is noise.",
        ),
        (
            "2 * losses / n",
            "2 * jnp.mean(losses) / n * jnp.ones_like(losses)",
            "This is the gradient of the square of the mean; for the mean of the squares each example has its own loss as weight.",
        ),
        (
            "2 * losses",
            "losses",
            "The 2 is missing: the derivative of ℓ² is 2ℓ times that of ℓ.",
        ),
        (
            " / n",
            "",
            "This is the gradient of the sum of the ℓ²: their mean is that divided by n.",
        ),
        (
            "(weight * by_gamma, weight * by_slope))[0]",
            "(weight * by_gamma, weight * by_slope))",
            "backward returns a tuple of one element: take the gradient out of it, with [0].",
        ),
        (
            "weight * by_slope",
            "by_slope / n",
            "Both derivatives belong to ℓ: the one by the slope is weighted as well.",
        ),
        (
            "weight * by_gamma, weight * by_slope))[0]",
            "0 * by_gamma, weight * by_slope))[0]",
            "The schedule enters in two places: through its slope, and through the γ that the network sees.",
        ),
    ],
    laws=[
        (
            "it is what jax.grad finds for the mean of ℓ² if the whole loss is written out",
            lambda f: (
                f(
                    bent,
                    jnp.array([0.5, -1.0]),
                    jnp.array([0.2, 0.6, 0.9]),
                    *a_pass_backwards(
                        jnp.array([0.5, -1.0]), jnp.array([0.2, 0.6, 0.9]), jnp.arange(3.0)
                    ),
                ),
                jax.grad(mean_square)(
                    jnp.array([0.5, -1.0]), jnp.array([0.2, 0.6, 0.9]), jnp.arange(3.0)
                ),
            ),
        ),
    ],
)


def learned_schedule(draw, gamma_0, gamma_1, variance, key):
    """Return variance(levels) for the 65 levels of a schedule that is learned from draws."""
    place_key, draw_key = jax.random.split(key)
    edges = jnp.linspace(gamma_0, gamma_1, 41)
    # 5000 levels in each of 40 equal stretches, and the mean of m² there.
    inside = jax.random.uniform(place_key, (40, 5000))
    gammas = edges[:-1, None] + (edges[1] - edges[0]) * inside
    square = jnp.mean(draw(gammas.reshape(-1), draw_key).reshape(40, 5000) ** 2, axis=1)
    root = jnp.sqrt(square)
    shares = jnp.concatenate([jnp.zeros(1), jnp.cumsum(root) / jnp.sum(root)])
    levels = jnp.interp(jnp.linspace(0.0, 1.0, 65), shares, edges)
    return variance(levels)


def a_black_box(key):
    """A model to draw errors from, two ends, and the measure of a schedule for it."""
    place_key, width_key, end_key, draw_key = jax.random.split(key, 4)
    place = jax.random.uniform(place_key, minval=-5.0, maxval=-2.0)
    width = jax.random.uniform(width_key, minval=1.0, maxval=2.0)
    gamma_0, gamma_1 = -9.0, float(jax.random.uniform(end_key, minval=2.0, maxval=5.0))

    def size(gammas):
        """The error of a common example: a hill with a long slope on its noisy side."""
        hill = jnp.exp(-0.5 * ((gammas - place) / width) ** 2)
        return hill + 0.5 * jax.nn.sigmoid(-(gammas + 1)) + 0.04

    def scatter(gammas):
        """How much single errors scatter: hardly at the clean end, fully at the noisy one."""
        return 0.03 + 0.97 * jax.nn.sigmoid(gammas - place)

    def draw(gammas, key):
        """Three dimensions of noise; up to four examples in a hundred are ten times as hard."""
        noise_key, kind_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (*jnp.shape(gammas), 3))
        share = scatter(gammas)
        hard = jax.random.bernoulli(kind_key, 0.04 * share)
        one = 3 * (1 - share) + share * jnp.sum(noise**2, -1)
        return size(gammas) * one * jnp.where(hard, 10.0, 1.0)

    # E[m] and E[m²] by hand: of χ² with three degrees of freedom, and of 1 or 10.
    grid = np.linspace(gamma_0, gamma_1, 4001)
    each = np.asarray(size(jnp.asarray(grid)), np.float64)
    share = np.asarray(scatter(jnp.asarray(grid)), np.float64)
    loss = 0.5 * np.trapezoid(3 * (1 + 9 * 0.04 * share) * each, grid)
    root = np.sqrt((3**2 + 2 * 3 * share**2) * (1 + 99 * 0.04 * share)) * each

    def variance(levels):
        """The variance of one draw under the polygon through these levels, over the least."""
        levels = np.asarray(levels, np.float64)
        if levels.shape != (65,):
            raise ValueError(f"there should be 65 levels, not an array of shape {levels.shape}")
        ends = np.allclose(levels[[0, -1]], [gamma_0, gamma_1], atol=1e-3)
        if not (ends and np.all(np.diff(levels) > 0)):
            raise ValueError("the levels should rise from gamma_0 to gamma_1")
        slopes = 64 * np.diff(levels)
        middles = 0.5 * (grid[1:] + grid[:-1])
        there = slopes[np.clip(np.searchsorted(levels, middles) - 1, 0, 63)]
        squares = np.interp(middles, grid, root**2)
        found = 0.25 * np.sum(there * squares * np.diff(grid)) - loss**2
        return found / (0.25 * np.trapezoid(root, grid) ** 2 - loss**2)

    return draw, gamma_0, gamma_1, variance, draw_key


exercise(
    "7.6",
    learned_schedule,
    inputs=a_black_box,
    hints=[
        "Which density is the best for single draws? The lesson has it, and says which average of the errors it needs.",
        "Ask for many errors at levels spread evenly from end to end, and average within short stretches of γ.",
        "A density on stretches becomes a table of shares; the levels are the table read the other way round.",
    ],
    slips=[
        (
            "jnp.sqrt(square)",
            "square",
            "The root is missing: the best density goes with √E[m²], and this one dwells too long where errors are large.",
        ),
        (
            "square = jnp.mean(draw(gammas.reshape(-1), draw_key).reshape(40, 5000) ** 2, axis=1)",
            "square = jnp.var(draw(gammas.reshape(-1), draw_key).reshape(40, 5000), axis=1)",
            "The root of E[m²] is wanted, not the standard deviation of m: for times drawn apart the mean counts as well.",
        ),
        (
            "jnp.sqrt(square)",
            "1 / jnp.sqrt(square)",
            "Turned round: this schedule dwells where errors are small.",
        ),
        (
            "jnp.interp(jnp.linspace(0.0, 1.0, 65), shares, edges)",
            "jnp.linspace(gamma_0, gamma_1, 65)",
            "This is the γ-linear schedule, with which learning begins.",
        ),
        (
            "levels = jnp.interp(jnp.linspace(0.0, 1.0, 65), shares, edges)",
            "places = jnp.linspace(gamma_0, gamma_1, 65)\n    levels = gamma_0 + (gamma_1 - gamma_0) * jnp.interp(places, edges, shares)",
            "This is P itself. The levels are its inverse: which γ has the share u below it?",
        ),
        (
            " ** 2, axis=1)\n    root = jnp.sqrt(square)",
            ", axis=1)\n    root = square",
            "That spreads the draws as E[m], the share of the loss. The least variance wants the root of E[m²].",
        ),
    ],
    laws=[
        (
            "under your schedule a draw varies by at most 7 % more than it must",
            lambda f: (f(*a_black_box(jax.random.key(11))), 1.0),
        )
    ],
    # Levels that miss their stretch by the length of one cost less than is allowed.
    equivalent=[
        "gammas = edges[:-1, None] - (edges[1] - edges[0]) * inside",
        "gammas = edges[:-1, None] + (edges[2] - edges[0]) * inside",
        "gammas = edges[:-1, None] + (edges[1] - edges[1]) * inside",
    ],
    tolerance=0.07,
)
