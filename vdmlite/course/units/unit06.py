"""Built from solutions/06_schedule_invariance.py. Do not edit."""


import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo


import numpy as np

import vdmlite
from vdmlite.course import exercise


def straight(gamma):
    """What flow matching moves evenly in t: the share of the noise."""
    return jax.nn.sigmoid(gamma / 2)


def angle(gamma):
    """What the cosine schedule moves evenly in t: the angle."""
    return jnp.arctan(jnp.exp(gamma / 2))


def root(gamma):
    """What the schedule of Karras et al. moves evenly in t: the seventh root of σ/α."""
    return jnp.exp(gamma / 14)


EVEN = {straight: vdmlite.FlowMatching, angle: vdmlite.Cosine, root: vdmlite.Karras}


def drawn_evenly(a, gamma, gamma_0, gamma_1):
    """The density from the package's schedule: 1/γ′ at the time when γ(t) is gamma."""
    t = (a(gamma) - a(gamma_0)) / (a(gamma_1) - a(gamma_0))
    return 1 / EVEN[a](float(gamma_0), float(gamma_1)).slope(t)[1]


def two_schedules(key):
    """Two different schedules between the same ends; the second is not a straight line."""
    kinds = (vdmlite.FixedLinear, vdmlite.Cosine, vdmlite.BetaLinear, vdmlite.FlowMatching)
    second, ahead = map(int, jax.random.randint(key, (2,), 1, 4))
    return kinds[(second + ahead) % 4](-5.0, 4.0), kinds[second](-5.0, 4.0)


def some_curve(key):
    """Nine rising noise levels from −5 to 4, E[m] that falls along them, and E[m²]."""
    gap_key, mean_key, square_key = jax.random.split(key, 3)
    ends = jnp.cumsum(0.3 + jax.random.uniform(gap_key, (8,)))
    gammas = jnp.concatenate([jnp.full(1, -5.0), -5.0 + 9.0 * ends / ends[-1]])
    mean = 2 * jnp.sort(0.05 + jax.random.uniform(mean_key, (9,)))[::-1]
    return gammas, mean, mean**2 * (1.2 + jax.random.uniform(square_key, (9,)))


def from_curve(schedule, gammas, mean, square):
    """The two numbers from the package's measured curve."""
    curve = vdmlite.ErrorCurve(*map(np.asarray, (gammas, mean, 0 * mean, square)))
    return curve.loss, curve.variance(schedule)


COSINE, FLOW = vdmlite.Cosine(-5.0, 4.0), vdmlite.FlowMatching(-5.0, 4.0)


def mean_between(low, high, f):
    """The mean of f from low to high by Gauss's rule: few plain numbers go into f."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    places = low + (high - low) * (nodes + 1) / 2
    return sum(w * float(f(jnp.asarray(p))) for w, p in zip(weights / 2, places, strict=True))


def gaussian_error(gamma):
    """E‖ε − ε̂‖² for one-dimensional Gaussian data of width ½."""
    return jnp.exp(-gamma) / (4 + jnp.exp(-gamma))


def gaussian_guess(z, gamma):
    """The best ε̂ for Gaussian data of width ½."""
    alpha2, sigma = jax.nn.sigmoid(-gamma), jnp.sqrt(jax.nn.sigmoid(gamma))
    return sigma * z / (0.25 * alpha2 + sigma**2)


def a_small_batch(key):
    """A guess of the noise, a schedule, eight examples in the plane, and their random numbers."""
    kind_key, x_key, comb_key, eps_key, width_key = jax.random.split(key, 5)
    kinds = (vdmlite.Cosine, vdmlite.BetaLinear, vdmlite.FlowMatching)
    width = 0.3 + jax.random.uniform(width_key)

    def guess(z, gamma):
        alpha2, sigma = jax.nn.sigmoid(-gamma), jnp.sqrt(jax.nn.sigmoid(gamma))
        return sigma * z / (width**2 * alpha2 + sigma**2)

    return (
        guess,
        kinds[int(jax.random.randint(kind_key, (), 0, 3))](-6.0, 4.0),
        width * jax.random.normal(x_key, (8, 2)),
        vdmlite.spread_times(8, key=comb_key),
        jax.random.normal(eps_key, (8, 2)),
    )


def mean_bound(bound, schedule):
    """The bound of Gaussian data of width ½, whose squares average out over four pairs."""
    u = jnp.repeat((jnp.arange(2000) + 0.5) / 2000, 4)
    x = jnp.tile(jnp.array([0.5, 0.5, -0.5, -0.5]), 2000)[:, None]
    eps = jnp.tile(jnp.array([1.0, -1.0, 1.0, -1.0]), 2000)[:, None]
    return bound(gaussian_guess, schedule, x, u, eps)


def written_bound(low, high):
    """That bound by hand: the entropy of slightly noisy data, and what is wrong at the noisy end."""
    left = 1 - 0.75 / (1 + np.exp(high))
    return 0.5 * (np.log(2 * np.pi) + 1 + np.log(0.25 + np.exp(low))) + 0.5 * (
        left - 1 - np.log(left)
    )


def straight_path(t, gamma_0, gamma_1):
    """Return γ(t) of the schedule whose share of noise grows evenly from end to end."""
    noise = (1 - t) * jax.nn.sigmoid(gamma_0 / 2) + t * jax.nn.sigmoid(gamma_1 / 2)
    signal = (1 - t) * jax.nn.sigmoid(-gamma_0 / 2) + t * jax.nn.sigmoid(-gamma_1 / 2)
    return 2 * (jnp.log(noise) - jnp.log(signal))


exercise(
    "6.1",
    straight_path,
    inputs=lambda key: (
        # Near t = 1 as well: there 1 − r loses its digits before r is rounded to 1.
        jnp.array([0.0, *jnp.sort(jax.random.uniform(key, (3,))), 1 - 1e-6, 1.0]),
        jax.random.uniform(jax.random.fold_in(key, 1), minval=-6.0, maxval=-2.0),
        jnp.where(jax.random.bernoulli(jax.random.fold_in(key, 2)), 40.0, 3.0),
    ),
    hints=[
        "What grows evenly from a to b is (1 − t)·a + t·b. What are a and b here?",
        "If r goes evenly, so does 1 − r. Which two ends does it run between?",
        "Take the logarithm of a quotient apart: then neither share has to be formed from the other.",
    ],
    slips=[
        (
            "signal = (1 - t) * jax.nn.sigmoid(-gamma_0 / 2) + t * jax.nn.sigmoid(-gamma_1 / 2)",
            "signal = 1 - noise",
            "1 − r loses its digits when r is nearly 1: compute the signal's share from its own two ends.",
        ),
        (
            "return 2 * (jnp.log(noise) - jnp.log(signal))",
            "return jnp.clip(2 * jnp.log(noise / (1 - noise)), gamma_0, gamma_1)",
            "Cutting off at γ_1 mends t = 1 itself, but not the times just before it: there 1 − r has lost its digits.",
        ),
        (
            "return 2 * (",
            "return (",
            "This is log(σ/α), half of γ: the signal-to-noise ratio has squares in it, and γ = 2 log(σ/α).",
        ),
        (
            "jnp.log(noise) - jnp.log(signal)",
            "jnp.log(signal) - jnp.log(noise)",
            "The sign is turned round: this is log SNR, and γ = −log SNR grows with the noise.",
        ),
        (
            "return 2 * (jnp.log(noise) - jnp.log(signal))",
            "return (1 - t) * gamma_0 + t * gamma_1",
            "This is a straight line in γ, but r is what grows evenly: take the sigmoids of the ends first, then mix them.",
        ),
        (
            "gamma_0 / 2) + t * jax.nn.sigmoid(gamma_1 / 2)\n    signal = (1 - t) * jax.nn.sigmoid(-gamma_0 / 2) + t * jax.nn.sigmoid(-gamma_1 / 2)\n    return 2 * (jnp.log(noise) - jnp.log(signal))",
            "gamma_0) + t * jax.nn.sigmoid(gamma_1)\n    signal = (1 - t) * jax.nn.sigmoid(-gamma_0) + t * jax.nn.sigmoid(-gamma_1)\n    return 1 * (jnp.log(noise) - jnp.log(signal))",
            "That is even in σ². The share of the noise is σ/(α + σ), of the scales and not of the powers.",
        ),
        (
            "(1 - t) * jax.nn.sigmoid(gamma_0 / 2) + t * jax.nn.sigmoid(gamma_1 / 2)\n    signal = (1 - t) * jax.nn.sigmoid(-gamma_0 / 2) + t * jax.nn.sigmoid(-gamma_1 / 2)",
            "t\n    signal = 1 - t",
            "The share runs between its values at the two ends, not from 0 to 1: at 0 and 1 γ is infinite.",
        ),
    ],
    laws=[
        (
            "it begins at γ_0 = −5 and ends at γ_1 = 40",
            lambda f: (
                f(jnp.array([0.0, 1.0]), jnp.asarray(-5.0), jnp.asarray(40.0)),
                jnp.array([-5.0, 40.0]),
            ),
        ),
        (
            "with ends far apart r is t itself, and γ = 2 log(t/(1 − t))",
            lambda f: (
                f(jnp.array([0.1, 0.5, 0.8]), jnp.asarray(-50.0), jnp.asarray(50.0)),
                2 * jnp.log(jnp.array([1 / 9, 1.0, 4.0])),
            ),
        ),
    ],
    ships=lambda t, gamma_0, gamma_1: jax.vmap(
        vdmlite.FlowMatching(float(gamma_0), float(gamma_1))
    )(t),
)


def told_time(t, new, old):
    """Return the time at which `old` is as noisy as `new` is at time t."""
    times = jnp.linspace(0.0, 1.0, 1001)
    levels = jax.vmap(old)(times)
    gamma = new(t)
    return jnp.interp(gamma, levels, times)


exercise(
    "6.2",
    told_time,
    inputs=lambda key: (
        0.1 + 0.8 * jax.random.uniform(key),
        *two_schedules(jax.random.fold_in(key, 1)),
    ),
    hints=[
        "The latent was made under the new schedule, so its noise level is new(t).",
        "Turn the old schedule round: look a time up at a level, not a level at a time.",
    ],
    slips=[
        (
            "gamma = new(t)",
            "gamma = old(t)",
            "This tells the network the time as it is: the latent was made under `new`, so its level is new(t).",
        ),
        (
            "jnp.interp(gamma, levels, times)",
            "jnp.interp(t, times, levels)",
            "This is a noise level of the old schedule, but the network wants a time: levels go in, times come out.",
        ),
        (
            "gamma = new(t)\n    return jnp.interp(gamma, levels, times)",
            "gamma = old(t)\n    return jnp.interp(gamma, jax.vmap(new)(times), times)",
            "The two schedules are exchanged: this is the time of `new` that is as noisy as `old` is at t.",
        ),
        (
            "jnp.interp(gamma, levels, times)",
            "(gamma - levels[0]) / (levels[-1] - levels[0])",
            "This takes `old` for a straight line: how far γ is on its way gives the time only if γ grows evenly in t.",
        ),
        (
            "levels, times)",
            "times, levels)",
            "interp(x, xs, ys) looks x up among xs. γ is to be looked up among the levels.",
        ),
    ],
    laws=[
        (
            "at the time told, the old schedule has the noise level of the new one",
            lambda f: (
                COSINE(f(jnp.asarray(0.3), FLOW, COSINE)),
                FLOW(0.3),
            ),
        ),
        (
            "under the old schedule itself, the network is told t",
            lambda f: (
                f(jnp.asarray(0.3), COSINE, COSINE),
                jnp.asarray(0.3),
            ),
        ),
    ],
)


def density(a, gamma, gamma_0, gamma_1):
    """Return the density of the noise level at gamma, if a(γ) grows evenly in t."""
    slope = jax.grad(a)(gamma)
    return slope / (a(gamma_1) - a(gamma_0))


exercise(
    "6.3",
    density,
    inputs=lambda key: (
        list(EVEN)[int(jax.random.randint(key, (), 0, 3))],
        jax.random.uniform(jax.random.fold_in(key, 1), minval=-2.0, maxval=2.0),
        jax.random.uniform(jax.random.fold_in(key, 2), minval=-6.0, maxval=-3.0),
        jax.random.uniform(jax.random.fold_in(key, 3), minval=3.0, maxval=5.0),
    ),
    hints=[
        "Write down what grows evenly: a(γ(t)) = a(γ_0) + t·(a(γ_1) − a(γ_0)). Now take the derivative of both sides by t.",
        "You need 1/γ′. A density also has to have area 1 between the ends: does yours?",
    ],
    slips=[
        (
            "slope / (a(gamma_1) - a(gamma_0))",
            "(a(gamma_1) - a(gamma_0)) / slope",
            "This is γ′, how fast the schedule passes the level; the density is one over it.",
        ),
        (
            "return slope / (a(gamma_1) - a(gamma_0))",
            "return slope",
            "The area under this is a(γ_1) − a(γ_0), but that under a density is 1.",
        ),
        (
            "(a(gamma_1) - a(gamma_0))",
            "(gamma_1 - gamma_0)",
            "Divide by the stretch that a covers, a(γ_1) − a(γ_0), not by the one that γ covers.",
        ),
        (
            "slope = jax.grad(a)(gamma)",
            "slope = a(gamma) - a(gamma_0)",
            "This is the probability of a level below gamma; the density is its slope.",
        ),
    ],
    laws=[
        (
            "the area under it from γ_0 to γ_1 is 1",
            lambda f: (
                9
                * mean_between(
                    -5.0, 4.0, lambda g: f(angle, g, jnp.asarray(-5.0), jnp.asarray(4.0))
                ),
                1.0,
            ),
        ),
        (
            "the cosine schedule, with its ends far apart, draws γ with the density 1/(2π cosh(γ/2))",
            lambda f: (
                f(angle, jnp.asarray(1.5), jnp.asarray(-40.0), jnp.asarray(40.0)),
                1 / (2 * jnp.pi * jnp.cosh(0.75)),
            ),
        ),
    ],
    ships=drawn_evenly,
)


def one_draw_statistics(schedule, gammas, mean, square):
    """Return the mean and the variance of one draw of the loss under a schedule."""
    times = (jnp.arange(2000) + 0.5) / 2000
    levels, slopes = jax.vmap(schedule.slope)(times)
    means = jnp.interp(levels, gammas, mean)
    squares = jnp.interp(levels, gammas, square)
    loss = 0.5 * jnp.mean(slopes * means)
    variance = 0.25 * jnp.mean(slopes**2 * squares) - loss**2
    return loss, variance


exercise(
    "6.4",
    one_draw_statistics,
    inputs=lambda key: (
        two_schedules(key)[1],
        *some_curve(jax.random.fold_in(key, 1)),
    ),
    hints=[
        "At one time, the mean of ½ γ′ m over examples and noises is ½ γ′ E[m]; then average over the times.",
        "ℓ² = ¼ γ′² m²: the slope is squared, and E[m²] is in `squares`.",
    ],
    slips=[
        (
            "slopes**2 * squares",
            "slopes * squares",
            "Squaring ℓ squares γ′ as well; in an average over t, both factors stay.",
        ),
        (
            "slopes**2 * squares",
            "slopes**2 * means**2",
            "E[m]² in place of E[m²]: this leaves out how m varies from one example and noise to the next.",
        ),
        (
            "slopes**2 * squares) - loss**2",
            "slopes**2 * squares)",
            "This is E[ℓ²]; the variance is less by E[ℓ]².",
        ),
        (
            "jnp.mean(slopes * means)",
            "jnp.mean(means)",
            "Without γ′ this averages over time, and the loss is an area over γ.",
        ),
        (
            "0.25 * jnp.mean",
            "0.5 * jnp.mean",
            "The ½ in ℓ has to be squared too: ℓ² begins with ¼.",
        ),
        (
            "squares) - loss**2",
            "(squares - means**2))",
            "That is the scatter at a fixed time, averaged. A draw picks a time as well, and the mean changes with it: take E[ℓ²] − (E ℓ)².",
        ),
    ],
    laws=[
        (
            "the mean is the same under two schedules with the same ends, ½ ∫ E[m] dγ",
            lambda f: (
                f(
                    COSINE,
                    jnp.array([-5.0, 0.0, 4.0]),
                    jnp.array([2.0, 1.0, 0.0]),
                    jnp.array([5.0, 2.0, 1.0]),
                )[0],
                f(
                    FLOW,
                    jnp.array([-5.0, 0.0, 4.0]),
                    jnp.array([2.0, 1.0, 0.0]),
                    jnp.array([5.0, 2.0, 1.0]),
                )[0],
            ),
        ),
        (
            "if m has the mean 2 and the variance 3 at all levels, a straight line from −5 to 4 "
            "gives the mean 9 and the variance ¼ · 9² · 3",
            lambda f: (
                f(
                    vdmlite.FixedLinear(-5.0, 4.0),
                    jnp.array([-5.0, 4.0]),
                    jnp.full(2, 2.0),
                    jnp.full(2, 7.0),
                ),
                (jnp.asarray(9.0), jnp.asarray(60.75)),
            ),
        ),
    ],
    ships=from_curve,
)


def factor(t, new, old):
    """Return what a draw at time t of `new` is multiplied by, for the mean that `old` has."""
    times = jnp.linspace(0.0, 1.0, 1001)
    levels, slopes = jax.vmap(old.slope)(times)
    gamma, slope = new.slope(t)
    return slope / jnp.interp(gamma, levels, slopes)


exercise(
    "6.5",
    factor,
    inputs=lambda key: (
        0.1 + 0.8 * jax.random.uniform(key),
        *two_schedules(jax.random.fold_in(key, 1)),
    ),
    hints=[
        "A level that `new` draws twice as often as `old` has to count half: the factor is p_old(γ)/p_new(γ).",
        "Each density is one over a slope. At which level, or which time, is each of the two to be taken?",
        "For the slope of `old` at your level, interpolate: levels go in, slopes come out.",
    ],
    slips=[
        (
            "jnp.interp(gamma, levels, slopes)",
            "jnp.interp(t, times, slopes)",
            "This is the slope of `old` at the same time; it has to be that at the same noise level.",
        ),
        (
            "slope / jnp.interp(gamma, levels, slopes)",
            "jnp.interp(gamma, levels, slopes) / slope",
            "Upside down: what `new` draws more often than `old` has to count less.",
        ),
        (
            "slope / jnp.interp(gamma, levels, slopes)",
            "1 / jnp.interp(gamma, levels, slopes)",
            "This is p_old alone: a level also counts as often as `new` draws it, and has to be divided by p_new.",
        ),
        (
            "slope / jnp.interp(gamma, levels, slopes)",
            "slope",
            "With γ′ alone all levels weigh the same, as in the bound; your friend's weigh p_old(γ).",
        ),
    ],
    laws=[
        (
            "the mean of the factor over the times of the new schedule is 1",
            lambda f: (mean_between(0.0, 1.0, lambda t: f(t, FLOW, COSINE)), 1.0),
        ),
        (
            "for Gaussian data of width ½ and the exact denoiser, flow-matching times with the "
            "factor give the same loss as cosine times without it",
            lambda f: (
                mean_between(
                    0.0, 1.0, lambda t: 0.5 * f(t, FLOW, COSINE) * gaussian_error(FLOW(t))
                ),
                mean_between(0.0, 1.0, lambda t: 0.5 * gaussian_error(COSINE(t))),
            ),
        ),
    ],
)


def bound(guess, schedule, x, u, eps):
    """Return the mean bound of a batch, in nats."""
    gamma_0, gamma_1 = schedule(0.0), schedule(1.0)

    def one(x, t, eps):
        gamma, slope = jax.value_and_grad(schedule)(t)
        alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
        error = jnp.sum((eps - guess(alpha * x + sigma * eps, gamma)) ** 2)
        return 0.5 * slope * error

    diffusion = jnp.mean(jax.vmap(one)(x, u, eps))
    alpha2, sigma2 = jax.nn.sigmoid(-gamma_1), jax.nn.sigmoid(gamma_1)
    prior = 0.5 * jnp.mean(jnp.sum(sigma2 + alpha2 * x**2 - 1 - jnp.log(sigma2), axis=1))
    reconstruction = 0.5 * x.shape[1] * (jnp.log(2 * jnp.pi) + 1 + gamma_0)
    return prior + reconstruction + diffusion


exercise(
    "6.6",
    bound,
    inputs=a_small_batch,
    hints=[
        "What does the bound see of a schedule? Ask of every line whether it sees more than that.",
        "γ-linear hides both bugs. What is special about it: at the time t, and near t = 0?",
        "Which stretch of γ does no example ever visit, and how long is it under the cosine schedule? "
        "And which noise level is the guess told?",
    ],
    slips=[
        (
            "(x, u, eps))",
            "(x, 0.01 + 0.99 * u, eps))",
            "One bug is left: between γ(0) and γ(0.01) nobody looks, and how long that stretch is depends on the schedule.",
        ),
        (
            "jnp.mean(jax.vmap(one)(x, u, eps))",
            "0.99 * jnp.mean(jax.vmap(one)(x, 0.01 + 0.99 * u, eps))",
            "Now the integral from γ(0.01) to γ_1 is right, but the stretch below γ(0.01) is still missing.",
        ),
        (
            "sigma * eps, gamma)",
            "sigma * eps, gamma_0 + (gamma_1 - gamma_0) * t)",
            "One bug is left: the guess is told the level of a γ-linear schedule, not the level γ(t) that the latent has.",
        ),
        (
            "sigma * eps, gamma)) ** 2)\n        return 0.5 * slope * error\n\n    diffusion = jnp.mean(jax.vmap(one)(x, u, eps))",
            "sigma * eps, gamma_0 + (gamma_1 - gamma_0) * t)) ** 2)\n        return 0.5 * slope * error\n\n"
            "    diffusion = jnp.mean(jax.vmap(one)(x, 0.01 + 0.99 * u, eps))",
            "These are your friend's own numbers: both bugs are still there.",
        ),
        (
            "return 0.5 * slope * error",
            "return 0.5 * error",
            "γ′ is no bug: without it the mean over t is not the area over γ.",
        ),
    ],
    laws=[
        (
            "for Gaussian data of width ½ the cosine schedule and flow matching give the bound of γ-linear",
            lambda f: (
                tuple(mean_bound(f, s) for s in (COSINE, FLOW)),
                (mean_bound(f, vdmlite.FixedLinear(-5.0, 4.0)),) * 2,
            ),
        ),
        (
            "it is the bound by hand: the entropy of the data with the last grain of noise, and a little for the noisy end",
            lambda f: (mean_bound(f, COSINE), written_bound(-5.0, 4.0)),
        ),
    ],
    tolerance=2e-4,
)
