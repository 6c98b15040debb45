# %% [markdown]
# # 06 · The schedule doesn't matter, until it does: exercises
#
# *Five exercises, about 50 minutes · belongs to lesson 06*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment the
# hint. Every check stands alone: go on to the next one whenever you like.

# %% tags=["imports"]
import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
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


TIMES = (jnp.arange(2000) + 0.5) / 2000
COSINE, FLOW = vdmlite.Cosine(-5.0, 4.0), vdmlite.FlowMatching(-5.0, 4.0)


def factors_at_all_times(factor):
    """The factors at evenly spread times of the flow-matching schedule, for the cosine's loss."""
    return jax.vmap(lambda t: factor(t, FLOW, COSINE))(TIMES)


def errors_at_all_times(schedule):
    """E‖ε − ε̂‖² at evenly spread times, for one-dimensional Gaussian data of width ½."""
    gammas = jax.vmap(schedule)(TIMES)
    return jnp.exp(-gammas) / (4 + jnp.exp(-gammas))


# %% [markdown]
# ## 6.1 · The straight path is a schedule
# *difficulty ●○○ · 10 minutes*
#
# Flow matching mixes data and noise along a straight line: $(1 - u)\, x + u\, \varepsilon$. Divide our latent $\alpha x + \sigma \varepsilon$ by
# $\alpha + \sigma$, and it is the same mixture, with the noise's share $u = \sigma / (\alpha + \sigma)$. Since $\gamma = 2 \log(\sigma / \alpha)$,
#
# $$ u = \mathrm{sigmoid}(\gamma / 2), \qquad 1 - u = \mathrm{sigmoid}(-\gamma / 2), \qquad \gamma = 2 \log \frac{u}{1 - u} . $$
#
# Let $u$ grow evenly in time, from the value that belongs to `gamma_0` at $t = 0$ to the one that belongs to `gamma_1` at
# $t = 1$, and return $\gamma(t)$; `t` may be an array of times. It must be right at both ends even if `gamma_1` is 40. There
# $1 - u$ is about $2 \cdot 10^{-9}$, and single precision rounds $u$ to 1: how do you get $1 - u$ without losing it?


# %% tags=["6.1"]
def straight_path(t, gamma_0, gamma_1):
    """Return γ(t) of the schedule whose share of noise grows evenly from end to end."""
    ### BEGIN SOLUTION the share of the noise, u
    noise = (1 - t) * jax.nn.sigmoid(gamma_0 / 2) + t * jax.nn.sigmoid(gamma_1 / 2)
    ### END SOLUTION
    ### BEGIN SOLUTION the share of the signal, 1 − u
    signal = (1 - t) * jax.nn.sigmoid(-gamma_0 / 2) + t * jax.nn.sigmoid(-gamma_1 / 2)
    ### END SOLUTION
    ### BEGIN SOLUTION γ from the two shares
    return 2 * (jnp.log(noise) - jnp.log(signal))
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "6.1",
    straight_path,
    inputs=lambda key: (
        jnp.array([0.0, *jnp.sort(jax.random.uniform(key, (3,))), 1.0]),
        jax.random.uniform(jax.random.fold_in(key, 1), minval=-6.0, maxval=-2.0),
        jnp.where(jax.random.bernoulli(jax.random.fold_in(key, 2)), 40.0, 3.0),
    ),
    hints=[
        "What grows evenly from a to b is (1 − t)·a + t·b; here a and b are jax.nn.sigmoid of half an end.",
        "1 − u goes evenly as well, from sigmoid(−γ_0/2) to sigmoid(−γ_1/2): compute it from its own ends.",
        "γ = 2 log(u/(1 − u)) is twice the difference of two logarithms.",
    ],
    slips=[
        (
            "signal = (1 - t) * jax.nn.sigmoid(-gamma_0 / 2) + t * jax.nn.sigmoid(-gamma_1 / 2)",
            "signal = 1 - noise",
            "1 − u loses its digits when u is nearly 1: compute the signal's share from its own two ends.",
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
            "This is a straight line in γ, but u is what grows evenly: take the sigmoids of the ends first, then mix them.",
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
            "with ends far apart u is t itself, and γ = 2 log(t/(1 − t))",
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

# %% [markdown]
# ## 6.2 · What to tell a network that sees the time
# *difficulty ●○○ · 5 minutes*
#
# Our networks see γ, so the schedule can be exchanged after training. A friend's network sees the time instead. It was
# trained under the schedule `old` and learned which noise level goes with which time. Under the schedule `new`, the same
# time has another level, and would mislead it. There is a way out: at time `t` of `new`, tell the network the time at
# which `old` has the *same noise level*. Return that time.
#
# Both schedules are functions $t \mapsto \gamma(t)$ that rise between the same ends. `levels` are those of `old` at 1001 times.
# `jnp.interp(v, xs, ys)` gives the value at `v` of the curve through the points `(xs, ys)`, where `xs` rise.


# %% tags=["6.2"]
def told_time(t, new, old):
    """Return the time at which `old` is as noisy as `new` is at time t."""
    times = jnp.linspace(0.0, 1.0, 1001)
    levels = jax.vmap(old)(times)
    ### BEGIN SOLUTION the noise level of the latent
    gamma = new(t)
    ### END SOLUTION
    ### BEGIN SOLUTION the time of the old schedule with that level
    return jnp.interp(gamma, levels, times)
    ### END SOLUTION


# %% tags=["author"]
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

# %% [markdown]
# ## 6.3 · How often a noise level is drawn
# *difficulty ●●○ · 10 minutes*
#
# Draw $t \sim U(0, 1)$; then $\gamma(t)$ is random too. On a short stretch $d\gamma$ the schedule spends the time $d\gamma / \gamma'(t)$, so at
# the level $\gamma(t)$ the density is $1/\gamma'(t)$: levels past which the schedule hurries are seldom drawn.
#
# Many schedules are made in one way: choose a rising function $a$, and let $a(\gamma(t))$ grow evenly in $t$, from $a(\gamma_0)$
# to $a(\gamma_1)$. For flow matching $a(\gamma) = \mathrm{sigmoid}(\gamma/2)$, for the cosine schedule $a(\gamma) = \arctan e^{\gamma/2}$. Given the
# function `a`, return the density with which its schedule draws the level `gamma`. `jax.grad(a)` is the function $a'$.
#
# Why care? Leave $\gamma'$ out of the loss, as many codes do: the mean of $\tfrac12 \lVert \varepsilon - \hat\varepsilon \rVert^2$ over a uniform $t$ is
# $\tfrac12 \int p(\gamma)\, \mathbb E\lVert \varepsilon - \hat\varepsilon \rVert^2\, d\gamma$ with this density $p$. It has become a *weight*, and now the schedule matters.


# %% tags=["6.3"]
def density(a, gamma, gamma_0, gamma_1):
    """Return the density of the noise level at gamma, if a(γ) grows evenly in t."""
    ### BEGIN SOLUTION the slope of a at the level gamma
    slope = jax.grad(a)(gamma)
    ### END SOLUTION
    ### BEGIN SOLUTION the density
    return slope / (a(gamma_1) - a(gamma_0))
    ### END SOLUTION


# %% tags=["author"]
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
        "a′(γ)·γ′ = a(γ_1) − a(γ_0), and the density is 1/γ′.",
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
                * jnp.mean(
                    jax.vmap(lambda g: f(angle, g, jnp.asarray(-5.0), jnp.asarray(4.0)))(
                        -5.0 + 9 * (jnp.arange(1000) + 0.5) / 1000
                    )
                ),
                jnp.asarray(1.0),
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

# %% [markdown]
# ## 6.4 · The mean of one draw, and its variance
# *difficulty ●●○ · 10 minutes*
#
# One draw of the loss is $\ell = \tfrac12\, \gamma'(t)\, m$, with a uniform $t$ and $m = \lVert \varepsilon - \hat\varepsilon \rVert^2$ for one example and one noise at
# level $\gamma(t)$. Measure a network that sees γ once, and you know how $\ell$ behaves under *every* schedule between the same
# ends.
#
# Measured are, at the noise levels `gammas`, the averages `mean`, $\mathbb E[m]$, and `square`, $\mathbb E[m^2]$, over examples and
# noises. The lines above the blanks read them off at the levels of many evenly spread times: `slopes`, `means` and
# `squares` are $\gamma'$, $\mathbb E[m]$ and $\mathbb E[m^2]$ at these times (`schedule.slope(t)` is the pair $\gamma(t), \gamma'(t)$). An average over
# the times stands for the mean over a uniform $t$. Return $\mathbb E[\ell]$ in nats, and the variance $\mathbb E[\ell^2] - \mathbb E[\ell]^2$.


# %% tags=["6.4"]
def one_draw_statistics(schedule, gammas, mean, square):
    """Return the mean and the variance of one draw of the loss under a schedule."""
    times = (jnp.arange(2000) + 0.5) / 2000
    levels, slopes = jax.vmap(schedule.slope)(times)
    means = jnp.interp(levels, gammas, mean)
    squares = jnp.interp(levels, gammas, square)
    ### BEGIN SOLUTION the mean of one draw
    loss = 0.5 * jnp.mean(slopes * means)
    ### END SOLUTION
    ### BEGIN SOLUTION the variance of one draw
    variance = 0.25 * jnp.mean(slopes**2 * squares) - loss**2
    ### END SOLUTION
    return loss, variance


# %% tags=["author"]
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

# %% [markdown]
# ## 6.5 · The same weight under another schedule
# *difficulty ●●● · 15 minutes*
#
# Another friend trains without $\gamma'$ (see 6.3): the loss is the mean of $\tfrac12 \lVert \varepsilon - \hat\varepsilon \rVert^2$ over uniform times of the
# schedule `old`. So each noise level weighs in proportion to how often it is drawn, by $p_{\mathrm{old}}(\gamma)$, its density under `old`. You want the
# *same* loss on average, but draw your levels with the schedule `new`, because its draws vary less. By which factor must
# you multiply $\tfrac12 \lVert \varepsilon - \hat\varepsilon \rVert^2$ at time `t` of `new`? Return it.
#
# Both schedules rise between the same ends, and `schedule.slope(t)` is the pair $\gamma(t), \gamma'(t)$. `levels` and `slopes` are the
# noise levels and slopes of `old` at 1001 times; `jnp.interp(v, xs, ys)` is explained in 6.2.


# %% tags=["6.5"]
def factor(t, new, old):
    """Return what a draw at time t of `new` is multiplied by, for the mean that `old` has."""
    times = jnp.linspace(0.0, 1.0, 1001)
    levels, slopes = jax.vmap(old.slope)(times)
    ### BEGIN SOLUTION the noise level and the slope of the new schedule
    gamma, slope = new.slope(t)
    ### END SOLUTION
    ### BEGIN SOLUTION the factor
    return slope / jnp.interp(gamma, levels, slopes)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "6.5",
    factor,
    inputs=lambda key: (
        0.1 + 0.8 * jax.random.uniform(key),
        *two_schedules(jax.random.fold_in(key, 1)),
    ),
    hints=[
        "A level that `new` draws twice as often as `old` has to count half: the factor is p_old(γ)/p_new(γ).",
        "Each density is one over the slope, so this is γ′ of `new` over γ′ of `old`, both at the same level.",
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
            lambda f: (jnp.mean(factors_at_all_times(f)), jnp.asarray(1.0)),
        ),
        (
            "for Gaussian data of width ½ and the exact denoiser, flow-matching times with the "
            "factor give the same loss as cosine times without it",
            lambda f: (
                0.5 * jnp.mean(factors_at_all_times(f) * errors_at_all_times(FLOW)),
                0.5 * jnp.mean(errors_at_all_times(COSINE)),
            ),
        ),
    ],
)

# %% [markdown]
# ## Now import it
#
# What you wrote is `vdmlite.FlowMatching` (6.1) and, on a finer grid, `vdmlite.ErrorCurve.variance` (6.4). 6.3 is one over
# the second number that a schedule's `slope` returns. 6.2 and 6.5 are what a network that sees γ, and a loss that keeps
# $\gamma'$, spare you.
