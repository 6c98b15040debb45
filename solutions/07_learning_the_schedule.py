# %% [markdown]
# # 07 · Learning the schedule: exercises
#
# *Five exercises, about 50 minutes · belongs to lesson 07*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment the
# hint. Every check stands alone: go on to the next one whenever you like.
#
# As in the lesson, $m = \lVert \varepsilon - \hat\varepsilon \rVert^2$ is the squared error of the denoiser for one example and one noise, and
# $\ell = \tfrac12\, \gamma'(t)\, m$ at a uniformly random $t$ is one draw of the diffusion loss, in nats.

# %% tags=["imports"]
import jax
import jax.numpy as jnp

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import equinox as eqx
import vdmlite
from vdmlite.course import exercise


def some_weights(key):
    """A time, and the raw weights of a network of four steps."""
    keys = jax.random.split(key, 5)
    return (
        jax.random.uniform(keys[0], minval=0.2, maxval=0.8),
        jax.random.normal(keys[1]),
        jax.random.normal(keys[2], (4,)),
        2 + 2 * jax.random.normal(keys[3], (4,)),
        jax.random.uniform(keys[4], (4,), minval=0.1),
    )


def packaged_share(t, line, heights, steepness, places):
    """The package's network with these weights."""
    return eqx.tree_at(
        lambda net: (net.line, net.heights, net.steepness, net.places),
        vdmlite.MonotoneNet(width=4),
        (line, heights, steepness, places),
    ).share(t)


def share_over_time(share):
    """The shares at 21 times, with a height and a steepness that are negative when raw."""
    heights, places = jnp.array([-3.0, 2.0, 1.0]), jnp.array([0.2, 0.8, 0.5])
    steepness = jnp.array([8.0, 8.0, -6.0])
    times = jnp.linspace(0.0, 1.0, 21)
    return jax.vmap(lambda t: share(t, jnp.asarray(-2.0), heights, steepness, places))(times)


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
    """The areas under √E[m²] = e^(−γ)/(4 + e^(−γ)) that eight equal stretches of time cover."""
    grid = jnp.linspace(-4.0, 3.0, 2001)
    root = jnp.exp(-grid) / (4 + jnp.exp(-grid))
    found = best_gamma(grid, root**2, jnp.linspace(0.0, 1.0, 9))
    return -jnp.diff(jnp.log(4 + jnp.exp(-found)))


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


# %% [markdown]
# ## 7.1 · A function that can only rise
# *difficulty ●○○ · 10 minutes*
#
# Noise has to grow with time, so a network for γ has to rise whatever its weights. Here is one that does: a straight line and a few
# smooth steps, added up,
#
# $$ f(t) = a\, t + \sum_k h_k\; \mathrm{sigmoid}\big(s_k\, (t - b_k)\big). $$
#
# Step $k$ lies around $b_k$, is $h_k$ high, and is the steeper the larger $s_k$ is. With $a$, all $h_k$ and all $s_k$ positive, $f$ rises. But
# training may turn any number negative: so all of these are kept *raw*, and $\mathrm{softplus}(u) = \log(1 + e^u)$ makes them positive when they are
# used (`jax.nn.softplus`). You are given the raw numbers: `line` for $a$, and the arrays `heights`, `steepness` and, used as they are, `places`.
#
# The ends have to be exact as well. Return the *share* of the way from $\gamma_0$ to $\gamma_1$ that is covered at time `t`: 0 at $t = 0$ and 1 at $t = 1$.
#
# $$ \mathrm{share}(t) = \frac{f(t) - f(0)}{f(1) - f(0)} $$


# %% tags=["7.1"]
def share(t, line, heights, steepness, places):
    """Return how far γ has come at time t, as a share of the way between its ends."""

    def f(u):
        ### BEGIN SOLUTION f at time u, the line and the steps with positive weights
        steps = jax.nn.sigmoid(jax.nn.softplus(steepness) * (u - places))
        return jax.nn.softplus(line) * u + jnp.sum(jax.nn.softplus(heights) * steps)
        ### END SOLUTION

    ### BEGIN SOLUTION the share
    return (f(t) - f(0.0)) / (f(1.0) - f(0.0))
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "7.1",
    share,
    inputs=some_weights,
    hints=[
        "jax.nn.softplus and jax.nn.sigmoid work on whole arrays: all the steps at once, then jnp.sum over them.",
        "softplus(steepness) · (u − places) goes into the sigmoid, and softplus(heights) multiplies what comes out.",
        "The places need no softplus: a step rises wherever it is.",
    ],
    slips=[
        (
            "jax.nn.softplus(heights)",
            "heights",
            "The heights are used raw: a negative one is a step downwards, and f can fall.",
        ),
        (
            "jax.nn.softplus(steepness)",
            "steepness",
            "The steepness is used raw: sigmoid(s (t − p)) with a negative s falls with t.",
        ),
        (
            "(u - places)",
            "(u - jax.nn.softplus(places))",
            "The places went through softplus too: f rises for any places, so they are used as they are.",
        ),
        (
            "(f(t) - f(0.0)) / (f(1.0) - f(0.0))",
            "f(t) / f(1.0)",
            "f(0) is not 0, because a sigmoid never is: without subtracting it, the share is not 0 at t = 0.",
        ),
        (
            "/ (f(1.0) - f(0.0))",
            "/ f(1.0)",
            "The share at t = 1 is not 1: divide by all that f gains, f(1) − f(0).",
        ),
    ],
    laws=[
        (
            "it is 0 at t = 0 and 1 at t = 1, exactly",
            lambda f: (share_over_time(f)[jnp.array([0, -1])], jnp.array([0.0, 1.0])),
        ),
        (
            "it never falls, even if the raw weights are negative",
            lambda f: (
                jnp.diff(share_over_time(f)),
                jnp.abs(jnp.diff(share_over_time(f))),
            ),
        ),
    ],
    ships=packaged_share,
)

# %% [markdown]
# ## 7.2 · What the noisy end trades
# *difficulty ●●○ · 10 minutes*
#
# The ends of the schedule follow the bound itself. If the noisy end $\gamma_1$ moves up, the diffusion loss
# $\tfrac12 \int_{\gamma_0}^{\gamma_1} \mathbb E[m(\gamma)]\, d\gamma$ grows, as there is more noise to remove. In return the prior term shrinks:
#
# $$ \text{prior} = \tfrac12 \sum_d \big(\sigma^2 + \alpha^2 x_d^2 - 1 - \log \sigma^2\big), \qquad \alpha^2 = \mathrm{sigmoid}(-\gamma_1), \quad \sigma^2 = \mathrm{sigmoid}(\gamma_1), $$
#
# a sum over the dimensions $d$ of `x`. (Here α and σ belong to $\gamma_1$.) Return the derivatives of both terms by $\gamma_1$, for one example `x` of any shape; `error` is the number
# $\mathbb E[m(\gamma_1)]$, the mean over the noise. You will need $d\sigma^2 / d\gamma_1 = \sigma^2 \alpha^2$. If the sum of your two answers, averaged over
# examples, is positive, $\gamma_1$ should move down.
#
# (The clean end $\gamma_0$ works the same way: it trades the diffusion loss against the reconstruction.)


# %% tags=["7.2"]
def two_pulls(x, gamma_1, error):
    """Return the derivatives of the diffusion loss and of the prior term by γ_1."""
    alpha2, sigma2 = jax.nn.sigmoid(-gamma_1), jax.nn.sigmoid(gamma_1)
    ### BEGIN SOLUTION the derivative of the diffusion loss
    diffusion = 0.5 * error
    ### END SOLUTION
    ### BEGIN SOLUTION the derivative of the prior term
    prior = 0.5 * jnp.sum(sigma2 * alpha2 * (1 - x**2) - alpha2)
    ### END SOLUTION
    return diffusion, prior


# %% tags=["author"]
exercise(
    "7.2",
    two_pulls,
    inputs=a_noisy_end,
    hints=[
        "The derivative of an integral by its upper limit is the integrand there.",
        "α² = 1 − σ², so dα²/dγ_1 = −σ² α²; and the derivative of log σ² is σ² α² / σ² = α².",
        "Each dimension d gives ½ (σ² α² − σ² α² x_d² − α²) to the second answer.",
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

# %% [markdown]
# ## 7.3 · The variance of one draw
# *difficulty ●●○ · 10 minutes*
#
# A uniform $t$ makes $\gamma(t)$ a random number between the ends $\gamma_0$ and $\gamma_1$. Where the schedule is steep, it spends little time: the density of γ is
# $p(\gamma) = 1 / \gamma'(t)$, at the time $t$ that has this γ. One draw of the loss is therefore
#
# $$ \ell = \tfrac12\, \gamma'(t)\, m = \frac{m}{2\, p(\gamma)} \qquad \text{with } \gamma \sim p. $$
#
# Return its variance, $\mathbb E[\ell^2] - \mathbb E[\ell]^2$. You are given a rising grid `gammas` from $\gamma_0$ to $\gamma_1$ and three arrays along it: `mean` is $\mathbb E[m]$,
# `square` is $\mathbb E[m^2]$ (both over examples and noise at that γ) and `density` is $p$. First write each expectation as an integral over γ;
# `jnp.trapezoid(y, gammas)` is the integral of `y`. In which of the two does the density stay?


# %% tags=["7.3"]
def variance(gammas, mean, square, density):
    """Return the variance of ℓ in nats² when γ is drawn from a density."""
    ### BEGIN SOLUTION the mean of ℓ
    first = 0.5 * jnp.trapezoid(mean, gammas)
    ### END SOLUTION
    ### BEGIN SOLUTION the mean of ℓ²
    second = 0.25 * jnp.trapezoid(square / density, gammas)
    ### END SOLUTION
    return second - first**2


# %% tags=["author"]
exercise(
    "7.3",
    variance,
    inputs=some_curve,
    hints=[
        "The mean of g(γ) for γ ~ p is the integral of p(γ) g(γ).",
        "For E[ℓ] that is ∫ p · E[m] / (2p) dγ: the density cancels, and the schedule is gone.",
        "For E[ℓ²] it is ∫ p · E[m²] / (4p²) dγ: one p is left below the line.",
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

# %% [markdown]
# ## 7.4 · The best schedule
# *difficulty ●●○ · 10 minutes*
#
# The variance of 7.3 is least if the density of γ is proportional to $\sqrt{\mathbb E[m^2]}$. Which schedule has that density? If $P(\gamma)$ is the share of
# the area under $\sqrt{\mathbb E[m^2]}$ that lies between $\gamma_0$ and γ, the schedule has to be at γ at the time $t = P(\gamma)$. So $\gamma(t)$ is the inverse of $P$.
#
# Return $\gamma(t)$ at each of the `times`, given a rising grid `gammas` from $\gamma_0$ to $\gamma_1$ and `square`, which is $\mathbb E[m^2]$ along it. The cell has the areas of
# the trapezoids between neighbours, one fewer than there are γ, and puts the 0 in front that belongs to $\gamma_0$. To read a table of
# points $(x_i, y_i)$ at the places `x`, with straight lines between the points, use `jnp.interp(x, xs, ys)`; the `xs` have to rise.


# %% tags=["7.4"]
def best_gamma(gammas, square, times):
    """Return the schedule of least variance at the given times."""
    ### BEGIN SOLUTION the best density, up to a factor
    height = jnp.sqrt(square)
    ### END SOLUTION
    areas = 0.5 * (height[1:] + height[:-1]) * jnp.diff(gammas)
    ### BEGIN SOLUTION the share of all the area up to the end of each trapezoid
    covered = jnp.cumsum(areas) / jnp.sum(areas)
    ### END SOLUTION
    shares = jnp.concatenate([jnp.zeros(1), covered])
    ### BEGIN SOLUTION the inverse, read at the times
    return jnp.interp(times, shares, gammas)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "7.4",
    best_gamma,
    inputs=lambda key: (
        some_curve(key)[0],
        some_curve(key)[2],
        jax.random.uniform(jax.random.fold_in(key, 1), (5,), minval=0.05, maxval=0.95),
    ),
    hints=[
        "jnp.cumsum(areas) is the area up to the end of each trapezoid, jnp.sum(areas) is all of it.",
        "To invert a table, read it the other way round: the shares are where you look, the γ are what you find.",
    ],
    slips=[
        (
            "jnp.sqrt(square)",
            "square",
            "The root is missing: the best density goes with √E[m²], not with E[m²].",
        ),
        (
            "jnp.sqrt(square)",
            "1 / jnp.sqrt(square)",
            "Turned round: where errors are large, γ has to move slowly, so that many draws fall there.",
        ),
        (
            " / jnp.sum(areas)",
            "",
            "These are areas, not shares: the last one has to be 1, the time at which γ is at its end.",
        ),
        (
            "jnp.interp(times, shares, gammas)",
            "jnp.interp(times, gammas, shares)",
            "This looks for a time among the γ and finds a share: look among the shares, and find a γ.",
        ),
    ],
    laws=[
        (
            "γ′ √E[m²] is the same at all times: equal stretches of time cover equal areas",
            lambda f: (
                areas_between_times(f),
                jnp.full(8, jnp.log((4 + jnp.exp(4.0)) / (4 + jnp.exp(-3.0))) / 8),
            ),
        ),
        (
            "if E[m²] is the same at every γ, the best schedule is linear in t",
            lambda f: (
                f(jnp.array([-3.0, -1.0, 2.0]), jnp.full(3, 7.0), jnp.array([0.2, 0.5, 0.8])),
                jnp.array([-2.0, -0.5, 1.0]),
            ),
        ),
    ],
)

# %% [markdown]
# ## 7.5 · One pass backwards
# *difficulty ●●● · 15 minutes*
#
# Without the closed form of 7.4, a schedule is trained instead: its shape descends the mean of $\ell^2$. Let `params` be the parameters of the shape (the ends stay fixed),
# and example $i$ of a batch of $n$ have the time $t_i$ and the loss $\ell_i = \tfrac12\, \gamma'(t_i)\, m_i$. The schedule enters $\ell_i$ through two numbers only,
# $\gamma(t_i)$, which the network sees, and the slope $\gamma'(t_i)$.
#
# One pass backwards through the network has brought, for each example, `by_gamma` $= \partial \ell_i / \partial \gamma(t_i)$ and `by_slope` $= \partial \ell_i / \partial \gamma'(t_i)$; they and
# `losses` have shape `(n,)`. The cell has the chain rule through the schedule: for arrays `a` and `b` of shape `(n,)`, `backward((a, b))` returns
#
# $$ \sum_i \Big( a_i\, \frac{\partial \gamma(t_i)}{\partial\, \text{params}} + b_i\, \frac{\partial \gamma'(t_i)}{\partial\, \text{params}} \Big), $$
#
# in a tuple of one element. Return the gradient of the batch's mean of $\ell_i^2$ by `params`. By what does each example's pair have to be multiplied
# before it goes on into the schedule?


# %% tags=["7.5"]
def shape_gradient(schedule, params, times, losses, by_gamma, by_slope):
    """Return the gradient of mean(ℓ²) by the parameters of schedule(params, t)."""

    def seen(params):
        """Return (γ(t_i), γ′(t_i)) for all i: what the batch sees of the schedule."""
        return jax.vmap(lambda t: jax.value_and_grad(schedule, argnums=1)(params, t))(times)

    _, backward = jax.vjp(seen, params)
    n = len(times)
    ### BEGIN SOLUTION what each example's derivatives are multiplied by
    weight = 2 * losses / n
    ### END SOLUTION
    ### BEGIN SOLUTION the gradient
    return backward((weight * by_gamma, weight * by_slope))[0]
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "7.5",
    shape_gradient,
    inputs=a_batch,
    hints=[
        "By the chain rule ∂(ℓ_i²) = 2 ℓ_i ∂ℓ_i.",
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
            "weight * by_slope",
            "by_slope / n",
            "Both derivatives belong to ℓ: the one by the slope is weighted as well.",
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
