# %% [markdown]
# # 04 · One network, four predictions
#
# *Two minutes on 2 CPU cores · 50 minutes to study*
#
# *After lesson 03 · VDM §3.4, Luo §3–4 · files `prediction.py`, `denoiser.py`*
#
# **The idea.** To guess the data, to guess the noise, to guess a mixture of the two, to know which way is uphill:
# these are four names for one piece of knowledge. What differs is how a network's small errors count.
#
# **After this lesson you can**
# - turn any of x̂, ε̂, v̂ and the score into any other;
# - derive Tweedie's formula, which ties the best guess to a gradient, in three lines;
# - say how dear an error in each of them is at each noise level, and which to let a network learn.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import vdmlite
from vdmlite import data, process
from vdmlite.course import claim, pick, progress, show
from vdmlite.viz import COLORS, LINES, MARKERS, density

# This lesson trains, so JAX stays in single precision: 1e-5 is then near the last digits there are.
gamma_key, x_key, eps_key, latent_key = jax.random.split(jax.random.key(4), 4)

# %% [markdown]
# ## One equation, two unknowns
#
# A latent is made of data and noise, $z = \alpha x + \sigma \varepsilon$. We see $z$, and we know α and σ. Whoever
# tells us $x$ tells us ε as well, and the other way round:
#
# $$ \varepsilon = \frac{z - \alpha x}{\sigma}, \qquad x = \frac{z - \sigma \varepsilon}{\alpha} . $$
#
# The same holds for guesses. A guess $\hat x$ of the data *is* a guess $\hat\varepsilon$ of the noise; the two must
# add up to $\alpha \hat x + \sigma \hat\varepsilon = z$. Lesson 03 needed a guess, and it makes no difference which
# of the two a network puts out.
#
# There is a third choice. Since $\alpha^2 + \sigma^2 = 1$, there is an angle φ with $\alpha = \cos\varphi$ and
# $\sigma = \sin\varphi$. Draw $x$ to the right and ε upwards. Then $z = x \cos\varphi + \varepsilon \sin\varphi$ is
# the coordinate along an axis turned by φ. It lacks a partner, the coordinate along the axis at right angles to it.
# That is
#
# $$ v = \alpha\, \varepsilon - \sigma\, x, \qquad\text{and, turning back,}\qquad x = \alpha z - \sigma v, \quad \varepsilon = \sigma z + \alpha v . $$

# %%
figure, ax = plt.subplots(figsize=(4.2, 3.6))
phi, corner = 0.6, np.array([0.75, 1.15])
along, across = np.array([np.cos(phi), np.sin(phi)]), np.array([-np.sin(phi), np.cos(phi)])
for name, axis, style in (
    ("x", (1, 0), "-"),
    ("ε", (0, 1), "-"),
    ("z", along, "--"),
    ("v", across, "--"),
):
    axis = np.array(axis) * 1.5
    ax.annotate("", axis, (0, 0), arrowprops={"arrowstyle": "->", "ls": style, "lw": 1.3})
    ax.text(*(axis * 1.06), name, ha="center", va="center", fontsize=12)
feet = (
    (np.array([1, 0]), COLORS[0], "-"),
    (np.array([0, 1]), COLORS[0], "-"),
    (along, COLORS[1], "--"),
    (across, COLORS[1], "--"),
)
for axis, color, style in feet:
    foot = axis * (axis @ corner)
    ax.plot(*np.transpose([foot, corner]), color=color, ls=style, lw=1)
    ax.plot(*foot, "s", color=color, ms=5)
ax.plot(*corner, "o", color="k")
angle = np.linspace(0, phi, 30)
ax.plot(0.35 * np.cos(angle), 0.35 * np.sin(angle), color="0.5", ls="-", lw=1)
ax.text(0.42, 0.11, "φ", color="0.4")
ax.set(xlim=(-1.0, 1.75), ylim=(-0.1, 1.7), aspect="equal")
ax.set_axis_off()
show(
    figure,
    "A point in the plane with two pairs of axes: x and ε, drawn solid, and z and v, dashed, turned "
    "against the first pair by the angle φ. Perpendiculars drop from the point to all four axes; small "
    "squares mark their feet, the four coordinates.",
)

# %% [markdown]
# The point is fixed; the squares mark its four coordinates. $z$ is known. Any one of the other three fixes the point.
# The names in the package are `from_x`, `from_eps`, `from_v`: each reads what a network puts out, together with $z$
# and γ, and returns a `Prediction` that knows all of them.
#
# The fourth name is the *score*, $-\hat\varepsilon/\sigma$. Why it deserves a name of its own is the next section.
# First we hold the conversions against their definitions, computed apart from the package, in NumPy and double
# precision. A round trip alone would not do: two conversions that are wrong in opposite ways pass it.


# %%
READERS = {
    "x": vdmlite.from_x,
    "eps": vdmlite.from_eps,
    "v": vdmlite.from_v,
    "score": vdmlite.from_score,
}


def worst_errors(low, high, n=10_000):
    """The largest error of a conversion, relative to 1 + the size of the value: there, and back."""
    random = np.random.default_rng(4)
    gamma = random.uniform(low, high, n)
    x, eps = random.uniform(-1, 1, (n, 2)), random.normal(size=(n, 2))
    alpha, sigma = (np.sqrt(1 / (1 + np.exp(s * gamma)))[:, None] for s in (1, -1))
    z = alpha * x + sigma * eps
    truth = {"x": x, "eps": eps, "v": alpha * eps - sigma * x, "score": -eps / sigma}

    def converted(values, source, target):
        """What is called `source`, read by the package and called `target`."""
        arrays = [jnp.asarray(a, jnp.float32) for a in (values, z, gamma)]
        return jax.vmap(lambda *one: getattr(READERS[source](*one), target))(*arrays)

    def error(got, name):
        return np.max(np.abs(np.asarray(got, float) - truth[name]) / (1 + np.abs(truth[name])))

    there, back = [], []
    for source in READERS:
        for target in READERS:
            got = converted(truth[source], source, target)
            there.append(error(got, target))
            back.append(error(converted(got, target, source), source))
    return max(there), max(back)


there, back = worst_errors(-4.0, 4.0)
print(f"γ from −4 to 4:  definitions {there:.0e}, round trips {back:.0e}")
wide = worst_errors(-9.0, 6.0)
print(f"γ from −9 to 6:  definitions {wide[0]:.0e}, round trips {wide[1]:.0e}")
claim(
    "04",
    "16 conversions in single precision, γ from −4 to 4: definitions and round trips, largest error",
    max(there, back),
    at_most=1e-5,
)

# %% [markdown]
# Further out digits get lost, by no fault of the formulas: to read the score off $\hat x$ at γ = −9 means to divide
# the last digits of $z - \alpha \hat x$ by $\sigma^2 \approx 0.0001$. What is rounding here will be a network's error
# below. Keep it in mind.
#
# ## Tweedie's formula
#
# Let $q(x)$ be the density of the data and $q(z)$ that of all latents at one noise level,
# $q(z) = \int q(x)\, \mathcal N(z;\, \alpha x,\, \sigma^2)\, dx$. In which direction does it rise? Differentiate; the
# gradient of a Gaussian is the Gaussian times (mean − z)/variance:
#
# $$ \nabla q(z) = \int q(x)\; \mathcal N(z;\, \alpha x,\, \sigma^2)\; \frac{\alpha x - z}{\sigma^2}\; dx . $$
#
# Divide by $q(z)$. On the left stands $\nabla \log q(z)$, the **score**. On the right
# $q(x)\, \mathcal N(z; \alpha x, \sigma^2) / q(z)$ is, by Bayes' rule, $q(x \mid z)$, so the integral is a mean over
# all $x$ that may have made $z$:
#
# $$ \nabla \log q(z) = \frac{\alpha\, \mathbb E[x \mid z] - z}{\sigma^2}, \qquad\text{that is}\qquad
#    \alpha\, \hat x = z + \sigma^2\, \nabla \log q(z) \quad\text{with } \hat x = \mathbb E[x \mid z] . $$
#
# That is Tweedie's formula. From $z$ go uphill, by $\sigma^2$ times the gradient, and you stand at $\alpha \hat x$,
# the best guess of the data as it would stand in $z$. (The guess with the smallest mean squared error is always the
# mean.) Put $z = \alpha \hat x + \sigma \hat\varepsilon$ into it and you get the score as we named it,
# $\nabla \log q(z) = -\hat\varepsilon/\sigma$. Whoever can remove noise knows the slope of the density, without ever
# knowing the density.
#
# For the moons, a mixture of 128 Gaussians, we can compute both sides. On the left the posterior mean, by Bayes'
# rule: how likely each Gaussian is to have made $z$, and the mean of $x$ if it did. On the right the gradient, by
# automatic differentiation of $\log q$.

# %%
mixture = data.moons()
exact = vdmlite.MixtureDenoiser(mixture)


def posterior_mean(z, gamma):
    """E[x | z] by Bayes' rule."""
    alpha, sigma = process.alpha(gamma), process.sigma(gamma)
    variance = alpha**2 * mixture.stds**2 + sigma**2  # of z, for each Gaussian
    away = z - alpha * mixture.means
    log_joint = (
        jnp.log(mixture.weights) - jnp.log(variance) - 0.5 * jnp.sum(away**2, 1) / variance
    )
    means = mixture.means + (alpha * mixture.stds**2 / variance)[:, None] * away
    return jax.nn.softmax(log_joint) @ means


def uphill(z, gamma):
    """z + σ² ∇ log q(z)."""
    log_q = exact.diffused(gamma).log_prob
    return z + process.sigma2(gamma) * jax.grad(log_q)(z)


n = 4000
drawn = data.sample(
    mixture, n + 52_000, key=x_key
)  # the first n for here, the others for the race
gammas = jax.random.uniform(gamma_key, (n,), minval=-9.0, maxval=6.0)
x = jnp.asarray(drawn[:n])
eps = jax.random.normal(eps_key, x.shape)
z = process.alpha(gammas)[:, None] * x + process.sigma(gammas)[:, None] * eps

by_bayes = process.alpha(gammas)[:, None] * jax.jit(jax.vmap(posterior_mean))(z, gammas)
by_slope = jax.jit(jax.vmap(uphill))(z, gammas)
by_package = jax.jit(jax.vmap(lambda z, g: process.alpha(g) * exact(z, g).x))(z, gammas)
np.testing.assert_allclose(by_package, by_bayes, atol=1e-5)
claim(
    "04",
    "Tweedie's formula against the exact posterior mean, γ from −9 to 6, largest difference",
    jnp.abs(by_slope - by_bayes).max(),
    at_most=1e-5,
)

# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 3.1))
to_guess = jax.jit(jax.vmap(uphill, (0, None)))
for ax, gamma, count in zip(axes, (-4.0, -2.0, 0.0), (11, 7, 7), strict=True):
    line = np.linspace(-1.75, 1.75, count)
    grid = jnp.stack(jnp.meshgrid(line, line), -1).reshape(-1, 2)
    density(ax, exact.diffused(gamma).log_prob, title=f"γ = {gamma:g}".replace("-", "−"))
    move = to_guess(grid, gamma) - grid
    quiver = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.005}
    ax.quiver(*np.asarray(grid).T, *np.asarray(move).T, color="w", **quiver)
    ax.set(xlabel="first coordinate", ylabel="second coordinate")
show(
    figure,
    "The diffused moons' density, bright, at γ = −4, −2 and 0, with white arrows from a grid of points z to "
    "α x̂. At γ = −4 they lead to the nearest place on an arm; at γ = 0 all lead inwards, to the middle of one blob.",
)

# %% [markdown]
# Each arrow leads from $z$ to $\alpha \hat x$. With little noise it ends on the nearest arm. With much noise many $x$
# may have made $z$, and the arrow ends somewhere in their middle, where no data need be: a mean, not a sample.
#
# ## What an error costs
#
# The bound counts the error of $\hat\varepsilon$: the diffusion loss is a weighted sum over the steps (with
# infinitely many, as the next lesson shows, an integral over γ) of $\tfrac12 \lVert \varepsilon - \hat\varepsilon
# \rVert^2$. So ask of each possible output: if it is off by 1, by how much is $\hat\varepsilon$ off? Read the
# conversions with $z$ held fixed:
#
# | the network's output | $\hat\varepsilon$ from it | error of $\hat\varepsilon$ for an error of 1 |
# |---|---|---|
# | $\hat x$ | $(z - \alpha \hat x)/\sigma$ | $\alpha/\sigma = e^{-\gamma/2}$ |
# | $\hat\varepsilon$ | itself | $1$ |
# | $\hat v$ | $\sigma z + \alpha \hat v$ | $\alpha$ |
# | score | $-\sigma \cdot$ score | $\sigma$ |
#
# Its square is a weight: $\lVert \varepsilon - \hat\varepsilon \rVert^2$ is
# $\mathrm{SNR} \cdot \lVert x - \hat x \rVert^2$, and $\alpha^2 \lVert v - \hat v \rVert^2$. Let us check the last
# column by pushing each output a little, and draw.

# %%
gammas = jnp.linspace(-9.0, 6.0, 61)
lines = {
    "x̂": (vdmlite.from_x, process.alpha(gammas) / process.sigma(gammas)),
    "ε̂": (vdmlite.from_eps, jnp.ones_like(gammas)),
    "v̂": (vdmlite.from_v, process.alpha(gammas)),
    "score": (vdmlite.from_score, process.sigma(gammas)),
}
figure, ax = plt.subplots(figsize=(7, 3.8))
for i, (name, (read, factor)) in enumerate(lines.items()):
    pushed = jax.vmap(
        jax.grad(lambda output, g, read=read: read(output, 0.3, g).eps), (None, 0)
    )(0.5, gammas)
    np.testing.assert_allclose(jnp.abs(pushed), factor, rtol=1e-5)
    faint = {"alpha": 0.45} if name == "score" else {}
    ax.semilogy(gammas, factor, color=COLORS[i], ls=LINES[i], lw=2, label=name, **faint)
    ax.semilogy(
        gammas[5 + 3 * i :: 12],
        factor[5 + 3 * i :: 12],
        MARKERS[i],
        color=COLORS[i],
        ls="",
        **faint,
    )
ax.text(-6.6, 36, "x̂: α/σ", color=COLORS[0])
ax.text(3.3, 1.25, "ε̂: 1", color=COLORS[1])
ax.text(3.2, 0.29, "v̂: α", color=COLORS[2])
ax.text(-8.8, 0.06, "score: σ", color=COLORS[3])
ax.set(
    xlabel="γ   (clean on the left, noise on the right)", ylabel="error of ε̂ for an error of 1"
)
show(
    figure,
    "Four curves against γ on a logarithmic axis. That of x̂ is a straight line falling from 90 to 0.05; that of ε̂ is "
    "level at 1; that of v̂ follows ε̂ on the left and x̂ on the right, below both; that of the score rises from 0.01 to 1.",
)

# %% [markdown]
# On the clean side an error of $\hat x$ is magnified up to ninetyfold: the network must hit the data to a hundredth
# to say anything about the noise. On the noisy side the line of $\hat\varepsilon$ is the high one: $z$ is nearly ε
# already, and the network has to copy its input exactly to gain anything. The line of $v$ runs below both of them
# everywhere, as $\alpha \le 1$ and $\alpha \le \alpha/\sigma$. And the score? It has the lowest line on the left only
# because it is itself huge there: its size is $1/\sigma$. The other three have sizes around 1 for data of size 1, so
# their lines may be compared.
#
# This assumes errors of equal size. Do networks make them? We try.
#
# ## A small race
#
# The same network (an MLP with three hidden layers of 64), the same batches, noise and learning rate, and the same
# bound to descend: that with infinitely many steps, which lesson 05 derives (`train` takes it if it is told no
# `timesteps`). Only the reading differs: `from_x`, `from_eps`, `from_v`. Three seeds each. Then the race is run twice
# more, over the clean levels alone, γ from −9 to 0, and over the noisy ones alone, γ from 0 to 6.
#
# To compare them we need no noisy bounds. The exact denoiser is known, and since
# $\hat\varepsilon^* = \mathbb E[\varepsilon \mid z]$, the errors add up:
# $\mathbb E\lVert \varepsilon - \hat\varepsilon \rVert^2 = \mathbb E\lVert \varepsilon - \hat\varepsilon^* \rVert^2 + \mathbb E\lVert \hat\varepsilon^* - \hat\varepsilon \rVert^2$.
# The first part nobody can avoid; half the second, added up over γ, is what the network pays too much. We measure
# that directly, on the same latents for all. (`jax.lax.map` is a `vmap` that takes one element after the other, and so
# needs less memory.)

# %%
points, fresh = np.split(drawn[n:], [20_000])
updates = pick(smoke=20, laptop=1500)
seeds = pick(smoke=1, laptop=3)

# 512 latents at each γ of the grid, and the exact guess of their noise: the same for every network.
clean = fresh[: 512 * len(gammas)].reshape(len(gammas), 512, 2)
noise = jax.random.normal(latent_key, clean.shape)
latents = (
    process.alpha(gammas)[:, None, None] * clean + process.sigma(gammas)[:, None, None] * noise
)


@eqx.filter_jit
def guesses(denoiser):
    """Return ε̂ for each of the latents."""
    at_one_level = jax.vmap(lambda z, gamma: denoiser(z, gamma).eps, (0, None))
    return jax.lax.map(lambda z_and_gamma: at_one_level(*z_and_gamma), (latents, gammas))


best = guesses(exact)


def excess(denoiser):
    """½ E‖ε̂* − ε̂‖² at each γ of the grid."""
    return np.asarray(0.5 * jnp.mean(jnp.sum((best - guesses(denoiser)) ** 2, -1), -1))


optimiser = optax.adam(optax.cosine_decay_schedule(3e-3, updates), b2=0.99)


def race(read, seed, low=-9.0, high=6.0):
    """Train with one reading on the noise levels from low to high; return the excess along γ."""
    net_key, noise_key = jax.random.split(jax.random.key(seed))
    net = vdmlite.nn.MLP((2,), width=64, depth=3, key=net_key)
    denoiser = vdmlite.NetDenoiser(net, read)
    vdm = vdmlite.VDM(vdmlite.FixedLinear(low, high), denoiser, vdmlite.GaussianDecoder(), (2,))
    random = np.random.default_rng(seed)
    batches = (points[random.integers(0, len(points), 256)] for _ in range(updates))
    start = vdmlite.init(vdm, optimiser)
    for state, _ in progress(vdmlite.train(start, optimiser, batches, key=noise_key), updates):
        average = state.average
    return excess(average.denoiser)


def paid(runs, low, high):
    """The area under the excess between two levels, for each run, in nats."""
    grid = np.asarray(gammas)
    inside = (grid >= low) & (grid <= high)
    return np.trapezoid(np.asarray(runs)[:, inside], grid[inside], axis=1)


readings = {"x̂": vdmlite.from_x, "ε̂": vdmlite.from_eps, "v̂": vdmlite.from_v}
curves = {name: [race(read, seed) for seed in range(seeds)] for name, read in readings.items()}
unavoidable = np.asarray(0.5 * jnp.mean(jnp.sum((noise - best) ** 2, -1), -1))
print(f"what nobody can avoid: {np.trapezoid(unavoidable, gammas):.2f} nats")
print("paid on top of it, in nats")
print(
    "trained on   for each seed         mean   of it γ < 0   γ > 0  |  trained apart: γ < 0    γ > 0"
)
for name, read in readings.items():
    each = paid(curves[name], -9, 6)
    clean_side, noisy_side = paid(curves[name], -9, 0).mean(), paid(curves[name], 0, 6).mean()
    apart = [
        paid([race(read, seed, *ends) for seed in range(seeds)], *ends).mean()
        for ends in ((-9.0, 0.0), (0.0, 6.0))
    ]
    print(
        f"    {name}        {'  '.join(f'{e:.2f}' for e in each):20s} {each.mean():.3f} {clean_side:13.3f}"
        f" {noisy_side:7.4f}  | {apart[0]:20.3f} {apart[1]:8.4f}"
    )


# %%
def with_a_copy(output, z, gamma):
    """ε̂ = σ z + output: a part of the answer is there before anything is learned."""
    return vdmlite.from_eps(process.sigma(gamma) * z + output, z, gamma)


copied = paid([race(with_a_copy, seed) for seed in range(seeds)], -9, 6)
print(f"trained on ε̂ − σz: {copied.mean():.3f} nats")
if seeds > 1:
    for high in (6, 0):
        gap = paid(curves["ε̂"], -9, high) - paid(curves["v̂"], -9, high)  # seed by seed
        error = gap.std(ddof=1) / np.sqrt(seeds)
        print(f"γ from −9 to {high}: ε̂ pays {gap.mean():.3f} ± {error:.3f} nats more than v̂")

# %%
figure, ax = plt.subplots(figsize=(7, 3.8))
for i, (name, runs) in enumerate(curves.items()):
    ax.semilogy(
        gammas,
        np.mean(runs, 0),
        color=COLORS[i],
        ls=LINES[i],
        lw=2,
        label=f"on top: trained on {name}",
        marker=MARKERS[i],
        markevery=(3 * i, 12),
    )
ax.semilogy(gammas, unavoidable, color="0.5", ls="-", lw=3, label="nobody can avoid")
ax.set(xlabel="γ   (clean on the left, noise on the right)", ylabel="½ error of ε̂ (nats per γ)")
ax.legend(loc="lower left", fontsize=8)
show(
    figure,
    "Errors against γ on a logarithmic axis. A thick grey curve, the error that nobody can avoid, starts at 1 and falls to 0.001 "
    "at the noisy end. Below it, but for the noisy end, are the excess errors of three trained networks. The one trained on x̂ is highest nearly "
    "everywhere; those trained on ε̂ and v̂ run side by side, that of v̂ a little lower from γ = −9 to −2, and at the noisy "
    "end that of ε̂ turns up.",
)

# %% [markdown]
# In sum, all three networks pay little on top of what nobody can avoid. Where do the differences come from?
#
# **x̂ is far behind**, and not only on the clean side, where its line is high. It pays a tenth of a nat above γ = 0
# as well, where its line lies below that of $\hat\varepsilon$ and close to that of $\hat v$. The last column says
# why. Trained on the noisy levels alone it pays next to nothing there, less than $\hat\varepsilon$, just as its line
# foretells. In the whole race these levels are drowned by the clean ones, where an error of $\hat x$ weighs up to
# $e^9 \approx 8000$ times as much.
#
# **v̂ is ahead of ε̂** with each seed, by 0.04 nats. From the lines one expects that lead on the noisy side. It lies
# on the clean side, all of it, where α is nearly 1 and the two lines are one. What helps $\hat v$ there? Its reading
# is $\hat\varepsilon = \sigma z + \alpha \hat v$, and the part $\sigma z$ is there before anything is learned. At the
# noisy levels it is nearly the whole answer. A network that puts out $\hat\varepsilon$ must learn to copy its input
# there, with the same weights that have to tell the arms of the moons apart on the clean side. Two trials support
# this. Give it the copy for nothing, $\hat\varepsilon = \sigma z + \text{output}$, and more than half of the lead is
# gone. Or train on the clean levels alone, where hardly anything is to be copied: both pay less (they also see each
# of these levels more often), and the lead is less than half as large. So what copying costs seems to show on the
# clean side, where the same weights are needed for finer work, and not at the noisy levels themselves. The rest of
# the lead we have not explained.
#
# Be careful what you take from it. This is one data set, one small network, one learning rate and a short training. A
# longer one narrows every gap, for the best guess is the same for all. With another weight over γ another target may
# win. Recipes of this course train on $\hat v$ in the plane. For images they train on something better still, which
# knows that pixels come in levels (lesson 11). The published VDM predicts $\hat\varepsilon$.
#
# ## Ask yourself
#
# 1. At γ = 0, what does an error of 1 in each of $\hat x$, $\hat\varepsilon$, $\hat v$ cost in $\hat\varepsilon$?
# 2. A network that always puts out 0 is read by `from_x`, `from_eps`, `from_v`. What does each guess for $x$?
# 3. Data is a single point $\mu$. What are $\hat x$ and the score?
# 4. A friend trains on $\lVert x - \hat x \rVert^2$ without a weight. Which noise levels does she neglect, compared
#    with the bound?
#
# <details><summary>Answers</summary>
#
# 1. $1$, $1$ and $\sqrt{1/2}$: $\alpha/\sigma = 1$ and $\alpha = \sqrt{1/2}$.
# 2. $0$; $z/\alpha$; and $\alpha z$. The last is the best guess for Gaussian data of variance 1, a good place to begin.
# 3. $\hat x = \mu$ whatever $z$ is, and the score is $(\alpha \mu - z)/\sigma^2$: Tweedie's formula, or a Gaussian's
#    gradient.
# 4. The clean ones: the bound weighs this error by SNR $= e^{-\gamma}$, which is largest there.
# </details>
#
# ## Take along
#
# > **x̂, ε̂, v̂ and the score are one guess under four names. To a network the name matters: its errors count α/σ, 1, α
# > or σ times in ε̂, and what its reading does not give it, such as a copy of z, it has to learn.**
#
# `vdmlite.prediction` holds the four readings, `MixtureDenoiser` the exact guess for mixtures.
# Exercises: `exercises/04_predictions.ipynb`. Next: lesson 05, where the number of steps goes to infinity.
