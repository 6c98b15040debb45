# %% [markdown]
# # 05 · Continuous time: exercises
#
# *Five exercises, about 90 minutes, the last one a build of 40 · belongs to lesson 05*
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


def some_guesser(key):
    """A network's guess of x: the best one for Gaussian data, whose width is random."""
    data = vdmlite.Gaussian(jnp.full((2, 3), 0.4), 0.3 + jax.random.uniform(key))
    return lambda z, gamma: vdmlite.GaussianDenoiser(data)(z, gamma).x


def packaged_draw(guess, schedule, x, t, eps):
    """The package's weight and its reading of x̂."""
    gamma, slope = schedule.slope(t)
    z = vdmlite.marginal(x, gamma).at(eps)
    eps_hat = vdmlite.from_x(guess(z, gamma), z, gamma).eps
    return 0.5 * slope * jnp.sum((eps - eps_hat) ** 2)


def bow(t):
    """A schedule from −4 to 4 that starts slowly; its slope is a straight line."""
    return -4.0 + 2.0 * t + 6.0 * t**2


def mean_over_time(draw):
    """The mean of the draws over even times, if the guess is what ε̂ = 0 makes of z: x̂ = z/α.

    The slope is a straight line, so that the middles of eight stretches give its mean exactly.
    """
    x, eps = jnp.array([1.0, -0.5]), jnp.array([2.0, 1.0])
    each = [
        draw(lambda z, gamma: z / vdmlite.alpha(gamma), bow, x, jnp.asarray(t), eps)
        for t in (np.arange(8) + 0.5) / 8
    ]
    return np.mean([float(one) for one in each])


def some_levels(key):
    """Six rising noise levels, unevenly spaced, and errors that fall along them."""
    gap_key, error_key = jax.random.split(key)
    gammas = -4.0 + jnp.cumsum(0.3 + jax.random.uniform(gap_key, (6,)))
    return gammas, jnp.sort(jax.random.uniform(error_key, (6,)))[::-1]


def gaussian_errors(gammas, stds=(0.5,)):
    """E‖ε − ε̂‖² of the best denoiser for Gaussian data with a width for each dimension."""
    each = [std**2 * jnp.exp(-gammas) / (1 + std**2 * jnp.exp(-gammas)) for std in stds]
    return sum(each[1:], each[0])


def how_often(steps, T):
    """How often each of the steps 1 … T is among the numbers."""
    return np.bincount(np.asarray(steps, int), minlength=T + 1)[1:]


def some_errors(key):
    """The errors of Gaussian data in three dimensions, two ends, and an excess."""
    keys = jax.random.split(key, 4)
    stds = 0.2 + jax.random.uniform(keys[0], (3,))
    return (
        lambda gammas: gaussian_errors(gammas, stds),
        jax.random.uniform(keys[1], minval=-5.0, maxval=-3.0),
        jax.random.uniform(keys[2], minval=-1.0, maxval=3.0),
        0.005 + 0.02 * jax.random.uniform(keys[3]),
    )


def measured_excess(T, low, high):
    """What the stairs of T even steps in γ cost more than the area, in double precision."""
    T, u = max(1, round(float(T))), np.exp(-np.linspace(low, high, max(1, round(float(T))) + 1))
    stairs = 0.5 * np.sum((u[:-1] - u[1:]) / (4 + u[1:]))
    return stairs - 0.5 * np.log((4 + u[0]) / (4 + u[-1]))


# %% [markdown]
# ## 5.1 · One draw from a guess of x
# *difficulty ●●○ · 15 minutes*
#
# The lesson's estimate needs $\hat\varepsilon$. Here is a network that puts out $\hat x$: `guess(z, gamma)`. And
# `schedule` is any rising function $t \mapsto \gamma(t)$ that JAX can differentiate: `jax.value_and_grad(f)(t)`
# returns the value of `f` and its slope. The latent and the guess are there. For one example `x` of any shape, one
# time `t` and one noise `eps`, return one draw of the diffusion loss with infinitely many steps, in nats. You never
# need $\hat\varepsilon$: what does an error of $\hat x$ count in the bound?


# %% tags=["5.1"]
def one_draw(guess, schedule, x, t, eps):
    """Return one unbiased draw of the diffusion loss at time t, in nats."""
    ### BEGIN SOLUTION γ(t) and γ′(t)
    gamma, slope = jax.value_and_grad(schedule)(t)
    ### END SOLUTION
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gamma)), jnp.sqrt(jax.nn.sigmoid(gamma))
    x_hat = guess(alpha * x + sigma * eps, gamma)
    ### BEGIN SOLUTION the draw, from the error of x̂
    return 0.5 * slope * jnp.exp(-gamma) * jnp.sum((x - x_hat) ** 2)
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "5.1",
    one_draw,
    inputs=lambda key: (
        some_guesser(key),
        vdmlite.Cosine(-6.0, 4.0),
        jax.random.normal(jax.random.fold_in(key, 3), (2, 3)),
        0.05 + 0.9 * jax.random.uniform(jax.random.fold_in(key, 1)),
        jax.random.normal(jax.random.fold_in(key, 2), (2, 3)),
    ),
    hints=[
        "Lesson 04 has the weight that turns ‖x − x̂‖² into ‖ε − ε̂‖².",
        "It is the height of the curve f times a stretch of SNR. How fast does SNR = e^(−γ(t)) fall as t grows?",
    ],
    slips=[
        (
            "return 0.5 * slope",
            "return slope",
            "The half is missing: each KL between Gaussians of one width has a ½ in front.",
        ),
        (
            "0.5 * slope * jnp",
            "0.5 * jnp",
            "Without γ′(t) this averages over time, and the integral runs over γ.",
        ),
        (
            " * jnp.exp(-gamma)",
            "",
            "This takes the error of x̂ for that of ε̂: ‖ε − ε̂‖² is SNR times ‖x − x̂‖².",
        ),
        (
            "jnp.exp(-gamma)",
            "jnp.exp(gamma)",
            "Upside down: SNR is e^(−γ), and an error of x̂ counts most where the latent is clean.",
        ),
        (
            "jnp.exp(-gamma)",
            "jnp.exp(-0.5 * gamma)",
            "e^(−γ/2) = α/σ is the factor of the error; its square has the factor SNR = e^(−γ).",
        ),
        (
            "0.5 * slope",
            "-0.5 * slope",
            "A loss below zero: SNR falls with t, and the loss counts how much it falls.",
        ),
        (
            "jnp.sum(",
            "jnp.mean(",
            "Nats add up over the dimensions: take the sum, not the mean.",
        ),
        (
            "jnp.exp(-gamma) * jnp",
            "jax.nn.sigmoid(-gamma) * jnp",
            "That is α². The error of ε̂ is SNR, α²/σ², times the one of x̂.",
        ),
    ],
    laws=[
        (
            "if the guess is x̂ = z/α, that is ε̂ = 0, its mean over all times is the area, "
            "½ (γ_1 − γ_0) ‖ε‖², whatever the schedule",
            lambda f: (mean_over_time(f), 0.5 * (4.0 - -4.0) * (2.0**2 + 1.0**2)),
        )
    ],
    ships=packaged_draw,
)

# %% [markdown]
# ## 5.2 · The limit in closed form
# *difficulty ●●○ · 10 minutes*
#
# For Gaussian data of standard deviation `std` in `D` dimensions the best denoiser has
# $\mathbb E\lVert \varepsilon - \hat\varepsilon \rVert^2 = D\, \mathrm{std}^2 e^{-\gamma} / (1 + \mathrm{std}^2 e^{-\gamma})$.
# Integrate by hand: return
# $L_\infty = \tfrac12 \int_{\gamma_0}^{\gamma_1} \mathbb E\lVert \varepsilon - \hat\varepsilon \rVert^2\, d\gamma$ in
# nats. (`jnp.log1p(y)` is $\log(1 + y)$ with all its digits.)


# %% tags=["5.2"]
def limit(std, D, gamma_0, gamma_1):
    """Return the diffusion loss with infinitely many steps for Gaussian data, in nats."""
    ### BEGIN SOLUTION an antiderivative of the error of one dimension, up to sign, at both ends
    ends = jnp.log1p(std**2 * jnp.exp(-gamma_0)), jnp.log1p(std**2 * jnp.exp(-gamma_1))
    ### END SOLUTION
    ### BEGIN SOLUTION the integral
    return 0.5 * D * (ends[0] - ends[1])
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "5.2",
    limit,
    inputs=lambda key: (
        0.3 + jax.random.uniform(key),
        jax.random.randint(jax.random.fold_in(key, 1), (), 2, 9),
        jax.random.uniform(jax.random.fold_in(key, 2), minval=-6.0, maxval=-2.0),
        jax.random.uniform(jax.random.fold_in(key, 3), minval=-1.0, maxval=3.0),
    ),
    hints=[
        "Take the derivative of log(1 + std² e^(−γ)) by γ and compare it with the error.",
        "A squared error has a positive area. At which end is your antiderivative larger?",
    ],
    slips=[
        (
            "ends[0] - ends[1]",
            "ends[1] - ends[0]",
            "The sign is turned round: log(1 + std² e^(−γ)) falls with γ, and a squared error has no negative area.",
        ),
        (
            "std**2",
            "std",
            "The error has the variance std² in it, not the standard deviation.",
        ),
        (
            "0.5 * D *",
            "0.5 *",
            "This is one dimension's share; D of them cost D times as much.",
        ),
        (
            "0.5 * D *",
            "D *",
            "The half in front of the integral is missing.",
        ),
        (
            "ends = jnp.log1p(std**2 * jnp.exp(-gamma_0)), jnp.log1p(std**2 * jnp.exp(-gamma_1))\n    return 0.5 * D * (ends[0] - ends[1])",
            "snrs = std**2 * jnp.exp(-gamma_0), std**2 * jnp.exp(-gamma_1)\n    ends = snrs[0] / (1 + snrs[0]), snrs[1] / (1 + snrs[1])\n    return 0.5 * D * 0.5 * (ends[0] + ends[1]) * (gamma_1 - gamma_0)",
            "One trapezoid from end to end is no integral: the error bends much between the two ends. It has an antiderivative.",
        ),
    ],
    laws=[
        (
            "std = ½ between γ = −13.3 and 5 costs 5.9560 nats",
            lambda f: (
                f(0.5, 1, jnp.asarray(-13.3), jnp.asarray(5.0)),
                jnp.asarray(5.9560146),
            ),
        ),
        (
            "two stretches of γ in a row cost what they cost as one",
            lambda f: (
                f(0.8, 2, jnp.asarray(-3.0), jnp.asarray(0.5))
                + f(0.8, 2, jnp.asarray(0.5), jnp.asarray(2.0)),
                f(0.8, 2, jnp.asarray(-3.0), jnp.asarray(2.0)),
            ),
        ),
    ],
)

# %% [markdown]
# ## 5.3 · A comb for steps
# *difficulty ●●○ · 10 minutes*
#
# With $T$ steps the diffusion loss is $T$ times the mean cost of a step, and a draw takes one of the steps
# $1, \dots, T$ by chance. The comb of the lesson spreads *times* over $(0, 1)$. Make of it a comb for steps: return
# `n` numbers of steps, one for each example of a batch. Each by itself is $1, \dots, T$ with equal chances. Together
# they are even: no step comes up more than once more often than another. Draw the random number as
# `jax.random.uniform(key)`, with the key as it is, and go along the teeth in order, $i = 0, \dots, n - 1$. How many
# random numbers does the batch need?


# %% tags=["5.3"]
def even_steps(n, T, key):
    """Return n of the steps 1 … T, each with equal chances, together as even as they can be."""
    ### BEGIN SOLUTION what is random
    shift = jax.random.uniform(key)
    ### END SOLUTION
    ### BEGIN SOLUTION the numbers of the steps
    times = (shift + jnp.arange(n) / n) % 1.0
    return jnp.floor(times * T) + 1
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "5.3",
    even_steps,
    inputs=lambda key: (
        int(jax.random.randint(key, (), 3, 9)),
        int(jax.random.randint(jax.random.fold_in(key, 1), (), 2, 40)),
        key,
    ),
    hints=[
        "Cut (0, 1) into T equal stretches. Into which of them does a tooth of the lesson's comb fall?",
        "The first stretch is step 1, not step 0, and the last is step T: try t = 0.01 and t = 0.99 by hand.",
    ],
    slips=[
        (
            "jax.random.uniform(key)",
            "jax.random.uniform(key, (n,))",
            "Each tooth has its own shift, so the spread is lost: one random number is for the whole batch.",
        ),
        (
            "jnp.arange(n) / n",
            "jnp.linspace(0, 1, n)",
            "linspace(0, 1, n) has both ends, which mod 1 are the same point: the teeth are 1/n apart, not 1/(n − 1).",
        ),
        (
            " % 1.0",
            "",
            "Some steps are beyond T: take the times mod 1, so that they come back in at 0.",
        ),
        (
            "(shift + jnp.arange(n) / n)",
            "((shift + jnp.arange(n)) / n)",
            "This is (u + i)/n: the first time never gets beyond 1/n. Only i is divided by n; u shifts the whole comb.",
        ),
        (
            "jnp.floor(times * T) + 1",
            "jnp.floor(times * T)",
            "These are 0 … T − 1: a step is named by its noisy end, t = i/T with i = 1 … T.",
        ),
        (
            "jnp.floor(times * T) + 1",
            "jnp.round(times * T)",
            "Rounding to the nearest gives step 0, which there is not, and makes step T half as likely as the others.",
        ),
        (
            "jnp.floor(times * T) + 1",
            "jnp.floor(times * (T - 1)) + 1",
            "Step T never comes up: cut (0, 1) into T stretches.",
        ),
        (
            "jnp.floor(times * T) + 1",
            "jnp.clip(jnp.round(times * T), 1, T)",
            "round gives the first and the last step half a place (and clip heaps what lies outside on them). floor gives each step the same.",
        ),
    ],
    laws=[
        (
            "three times as many examples as steps: every step comes up three times",
            lambda f: (how_often(f(24, 8, jax.random.key(3)), 8), np.full(8, 3)),
        ),
        (
            "five examples for two steps: one step comes up twice, the other three times",
            lambda f: (
                np.sort(how_often(f(5, 2, jax.random.key(4)), 2)),
                np.array([2, 3]),
            ),
        ),
    ],
    # The package takes a time and rounds it up to the next i/T.
    ships=lambda n, T, key: jnp.ceil(vdmlite.spread_times(n, key=key) * T),
)

# %% [markdown]
# ## 5.4 · The level that can go
# *difficulty ●●● · 15 minutes*
#
# A walk has the noise levels `gammas` $= \gamma_0 < \gamma_1 < \dots < \gamma_T$, and `errors` are the values of
# $\mathbb E\lVert \varepsilon - \hat\varepsilon \rVert^2$ at each of them. One step is to be saved: one of the inner
# levels $\gamma_1, \dots, \gamma_{T-1}$ is left out, and the two steps beside it become one. Return
#
# - `dearer`, an array with one number for each inner level: by how many nats the diffusion loss $L_T$ grows if just this level goes;
# - `place`, which of $\gamma_0, \dots, \gamma_T$ should go, so that the loss grows the least (a number from 1 to $T - 1$).
#
# Draw two neighbouring stairs of the lesson before you code: which piece of area is added? You are given errors of
# $\hat\varepsilon$, not of $\hat x$. (`jnp.expm1(y)` is $e^y - 1$ with all its digits.)
#
# *Predict first*: for the best guess, can one of the numbers be negative? And for a trained network?


# %% tags=["5.4"]
def level_to_drop(gammas, errors):
    """Return (what the loss without each inner level is larger, the level that should go)."""
    clean, middle, noisy = gammas[:-2], gammas[1:-1], gammas[2:]
    ### BEGIN SOLUTION what the two steps beside each inner level cost, as they are
    two = 0.5 * jnp.expm1(middle - clean) * errors[1:-1]
    two = two + 0.5 * jnp.expm1(noisy - middle) * errors[2:]
    ### END SOLUTION
    ### BEGIN SOLUTION what one step in their place costs
    one = 0.5 * jnp.expm1(noisy - clean) * errors[2:]
    ### END SOLUTION
    ### BEGIN SOLUTION by how much the loss grows
    dearer = one - two
    ### END SOLUTION
    ### BEGIN SOLUTION the level that should go
    place = jnp.argmin(dearer) + 1
    ### END SOLUTION
    return dearer, place


# %% tags=["author"]
LEVELS = jnp.array([-4.0, -2.5, -1.0, -0.7, 1.0, 3.0])


def stairs_without(place=None):
    """The stairs of Gaussian data of width ½ on those levels, one of which may be left out."""
    gammas = LEVELS if place is None else jnp.delete(LEVELS, place)
    return 0.5 * jnp.sum(jnp.expm1(jnp.diff(gammas)) * gaussian_errors(gammas)[1:])


exercise(
    "5.4",
    level_to_drop,
    inputs=some_levels,
    hints=[
        "A step pays the error at its noisy end. Which of the two steps keeps its error when they become one, and which gets another one?",
        "A step costs ½ (e^(γ_t − γ_s) − 1) times the error of ε̂ at γ_t: take the one long step less the two short ones.",
        "The first entry of `dearer` belongs to γ_1, not to γ_0.",
    ],
    slips=[
        (
            "0.5 * jnp.expm1(noisy - clean) * errors[2:]",
            "0.5 * jnp.expm1(noisy - clean) * errors[1:-1]",
            "The level in the middle is gone: the one step begins at the noisy level and pays the error there.",
        ),
        (
            "0.5 * jnp.expm1(noisy - clean) * errors[2:]",
            "0.5 * (jnp.expm1(middle - clean) + jnp.expm1(noisy - middle)) * errors[2:]",
            "Factors of ε̂'s error don't add up: e^(a + b) − 1 is more than (e^a − 1) + (e^b − 1). It is stretches of SNR that add up.",
        ),
        (
            "0.5 * jnp.expm1(middle - clean) * errors[1:-1]",
            "0.5 * jnp.expm1(middle - clean) * errors[:-2]",
            "A step pays the error at its noisy end, for the cleaner step that of the middle level.",
        ),
        (
            "two + 0.5 * jnp.expm1(noisy - middle) * errors[2:]",
            "two + 0.5 * jnp.expm1(noisy - middle) * errors[1:-1]",
            "A step pays the error at its noisy end, for the noisier step that of the upper level.",
        ),
        (
            "    two = two + 0.5 * jnp.expm1(noisy - middle) * errors[2:]\n",
            "",
            "Two steps are saved and one is paid: the noisier one was left out.",
        ),
        (
            "one - two",
            "two - one",
            "The sign: a walk with a level less costs more.",
        ),
        (
            "one - two",
            "one",
            "That is what the one step costs. The two others are saved.",
        ),
        (
            "jnp.argmin(dearer) + 1",
            "jnp.argmin(dearer)",
            "The first inner level is γ_1: count from 1.",
        ),
        (
            "jnp.argmin(dearer) + 1",
            "jnp.argmax(dearer) + 1",
            "That is the level that is missed the most.",
        ),
        (
            "jnp.argmin(dearer) + 1",
            "jnp.argmin(jnp.abs(dearer)) + 1",
            "A negative number is a saving: take the smallest, not the one next to 0.",
        ),
        (
            "0.5 * jnp.expm1(noisy - clean) * errors[2:]",
            "0.5 * jnp.expm1(noisy - clean) * 0.5 * (errors[1:-1] + errors[2:])",
            "Nothing is learned on the way: the one long step pays the error at its noisy end from its beginning to its end.",
        ),
        (
            "0.5 * jnp.expm1(noisy - clean) * errors[2:]",
            "0.5 * (jnp.exp(-clean) - jnp.exp(-noisy)) * errors[2:]",
            "A difference of SNRs is the factor of an error of x̂. These are errors of ε̂.",
        ),
        (
            "jnp.argmin(dearer) + 1",
            "len(dearer) - jnp.argmin(dearer)",
            "This counts from the noisy end. γ_0 is the clean one.",
        ),
        (
            "1:-1]\n    two = two + 0.5 * jnp.expm1(noisy - middle) * errors[2:]\n    one = 0.5 * jnp.expm1(noisy - clean) * errors[2:]",
            ":-2]\n    two = two + 0.5 * jnp.expm1(noisy - middle) * errors[1:-1]\n    one = 0.5 * jnp.expm1(noisy - clean) * errors[:-2]",
            "A step begins at its noisy end, and the error there is its price.",
        ),
    ],
    laws=[
        (
            "it is the difference of two whole staircases, for each level of Gaussian data of width ½",
            lambda f: (
                f(LEVELS, gaussian_errors(LEVELS))[0],
                jnp.stack([stairs_without(i) - stairs_without() for i in range(1, 5)]),
            ),
        ),
        (
            "for these data γ = 1 should go: hardly any SNR is won there, and less than at −0.7, whose neighbour is near",
            lambda f: (LEVELS[int(f(LEVELS, gaussian_errors(LEVELS))[1])], jnp.asarray(1.0)),
        ),
    ],
)

# %% [markdown]
# ## 5.5 · Build: how many steps are enough?
# *build · difficulty ●●● · 40 minutes*
#
# In the lesson's table ten times the steps leave a tenth of the excess: $L_T - L_\infty \approx C/T$ if $T$ is large.
# With $C$ in hand one can say beforehand how many steps a model needs. No lesson prints $C$. Derive it, for steps
# that are even in γ, and return the $T$ at which $L_T - L_\infty$ is `excess` nats, as a real number.
#
# You are given the ends of γ and a function: `errors(gammas)` is
# $\mathbb E\lVert \varepsilon - \hat\varepsilon \rVert^2$ at each of an array of noise levels. The grid is there, and
# `m` are the errors on it; `jnp.trapezoid(m, grid)` is their integral.
#
# One way to $C$: write a step of length $h = (\gamma_1 - \gamma_0)/T$ as $\tfrac12 (e^h - 1)\, m(\gamma_t)$, expand
# the exponential, and ask by how much a sum of $h\, m$ over the noisy ends of all steps misses the integral. Another:
# the grey triangles of the lesson's picture. Both lead to the integral of $m$ and its values at the two ends.
#
# Then look whether your prediction comes true: the check builds the stairs with your $T$ and measures their excess.
# Before you derive, guess: does a model with twice the loss need twice the steps?


# %% tags=["5.5"]
def steps_needed(errors, gamma_0, gamma_1, excess):
    """Return the T at which L_T lies `excess` nats above the limit, for even steps in γ."""
    grid = jnp.linspace(gamma_0, gamma_1, 4001)
    m = errors(grid)
    ### BEGIN SOLUTION C, what T times the excess comes to
    C = 0.25 * (gamma_1 - gamma_0) * (jnp.trapezoid(m, grid) - (m[0] - m[-1]))
    ### END SOLUTION
    ### BEGIN SOLUTION the number of steps
    return C / excess
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "5.5",
    steps_needed,
    inputs=some_errors,
    hints=[
        "½ (e^h − 1) m is about ½ h m + ¼ h² m. Summed over the steps, the second part is about ¼ h ∫ m dγ.",
        "A sum of h·m over the noisy ends is below the integral if m falls. By how much? Join the values by straight lines.",
        "Each step's little triangle is h/2 times the fall of m in it, and the falls add up from one end to the other.",
    ],
    slips=[
        (
            " - (m[0] - m[-1])",
            "",
            "The ends are left out: a sum over the noisy ends misses the integral by ½ h (m(γ_0) − m(γ_1)).",
        ),
        (
            "- (m[0] - m[-1])",
            "+ (m[0] - m[-1])",
            "The ends have the wrong sign: m falls, so its sum over the noisy ends is too small, and takes some of the excess away.",
        ),
        (
            "0.25 *",
            "0.5 *",
            "Twice too many: ½ (e^h − 1) is ½ h + ¼ h², and a triangle is half of its rectangle.",
        ),
        (
            "jnp.trapezoid(m, grid)",
            "0.5 * jnp.trapezoid(m, grid)",
            "The integral of m is 2 L_∞, not L_∞: the triangles have the half in front already.",
        ),
        (
            "0.25 * (gamma_1 - gamma_0) * (jnp",
            "0.25 * (jnp",
            "The length of a step is h = (γ_1 − γ_0)/T: the range of γ belongs to C.",
        ),
        (
            "    return C / excess",
            "    return C / (excess * 0.5 * jnp.trapezoid(m, grid))",
            "`excess` is in nats, and no share of the loss.",
        ),
    ],
    laws=[
        (
            "Gaussian data of width ½, γ from −13.3 to 5: with your T the stairs cost 0.05 nats too much, as asked",
            lambda f: (
                measured_excess(f(gaussian_errors, -13.3, 5.0, 0.05), -13.3, 5.0),
                0.05,
            ),
        ),
        (
            "γ from −3 to 2: they cost 0.001 nats too much, as asked",
            lambda f: (
                measured_excess(f(gaussian_errors, -3.0, 2.0, 0.001), -3.0, 2.0),
                0.001,
            ),
        ),
    ],
    # One place of the fine grid further on the errors are the same.
    equivalent=[
        "C = 0.25 * (gamma_1 - gamma_0) * (jnp.trapezoid(m, grid) - (m[1] - m[-1]))",
        "C = 0.25 * (gamma_1 - gamma_0) * (jnp.trapezoid(m, grid) - (m[0] - m[-2]))",
    ],
    tolerance=0.01,
)

# %% [markdown]
# So it is not the loss alone that makes a model need steps. Near the clean end, where the noise is lost in the data,
# $m$ is level, and a longer range there costs more loss *and* more range.
#
# ## Now import it
#
# What you wrote is `vdmlite.continuous_diffusion_loss` with the reading `from_x` (5.1), and what
# `vdmlite.discrete_diffusion_loss` makes of a time from `vdmlite.spread_times` (5.3). The closed form of 5.2 is
# what the tests of the package hold them against. What 5.4 does for one level lesson 10 does for all: it finds the best
# levels for every number of steps. (For the best guess no number of 5.4 is negative: every cut saves. A trained network
# may be worse at one level than at a noisier one, and do better without it.)
