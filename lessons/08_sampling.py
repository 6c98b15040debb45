# %% [markdown]
# # 08 · Sampling
#
# *Two minutes on 2 CPU cores · 80 minutes to study*
#
# *After lesson 07 · VDM §3.3, Luo §4, Song et al. 2021 · files `sampling.py`, `neighbours/ode.py`,
# `neighbours/langevin.py`*
#
# **The idea.** All samplers walk down the same noise levels with the same denoiser. They differ in how much chance
# they add on the way, and in how fast their error falls with the number of steps.
#
# **After this lesson you can**
# - write the ancestral step, the DDIM step and the probability-flow ODE in three lines each;
# - measure the order of a sampler, and so say what twice as many steps will buy;
# - test samples against data by a number with a known distribution, not by eye;
# - compute the exact likelihood of a point, with no bound in between;
# - say what an ancestral step has to do with Langevin dynamics, and why noise levels are needed.
#
# The lesson has two sittings. The first makes samples and judges them. The second asks what else the walk can tell,
# and why chance is allowed at all.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import DDIM, Ancestral, alpha, data, sigma
from vdmlite.course import claim, pick, pretrained, show, slider
from vdmlite.neighbours import ode
from vdmlite.neighbours.langevin import Corrected, Hold, langevin_move
from vdmlite.viz import COLORS, LINES, MARKERS, images, points

keys = jax.random.split(jax.random.key(8), 13)
z_key, walk_key, order_key, point_key, digit_key, probe_key, mode_key = keys[:7]
plain_key, annealed_key, fresh_key, draw_key, noise_key, sheet_key = keys[7:]

# %% [markdown]
# # First sitting: samples
#
# ## From the bound to a sampler
#
# The bound of lesson 03 came with a way to draw. Begin with pure noise $z_1$. From $z_t$ at the noise level
# $\gamma_t$ go down to $\gamma_s < \gamma_t$ by drawing from $p(z_s \mid z_t)$. That is $q(z_s \mid z_t, x)$ with the
# guess in place of $x$. With $c = 1 - e^{\gamma_s - \gamma_t}$ it reads
#
# $$ z_s = \frac{\alpha_s}{\alpha_t} \bigl( z_t - c\, \sigma_t\, \hat\varepsilon \bigr) + \sigma_s \sqrt{c}\; \varepsilon ,
# \qquad \varepsilon \sim N(0, I) . $$
#
# This is the **ancestral** step: each latent is drawn from its parent.
#
# Must there be chance in every step? The guess splits the latent into data and noise,
# $z_t = \alpha_t \hat x + \sigma_t \hat\varepsilon$. Mix the same two again in the proportions of the next level:
#
# $$ z_s = \alpha_s \hat x + \sigma_s \hat\varepsilon . $$
#
# This is **DDIM** (Song, Meng and Ermon 2021). There is no chance in it, once $z_1$ is drawn.
#
# Between the two there is a knob, η. Fresh noise takes the place of a part of $\hat\varepsilon$. Its standard
# deviation is $\nu = \eta\, \sigma_s \sqrt c$, and what is kept is $\sqrt{\sigma_s^2 - \nu^2}\; \hat\varepsilon$, so
# that the variance of all noise stays $\sigma_s^2$. With η = 0 this is DDIM, with η = 1 the ancestral step.
#
# Here are the two ends by hand.


# %%
def ancestral_by_hand(denoiser, z_t, gamma_s, gamma_t, *, key):
    c = -jnp.expm1(gamma_s - gamma_t)
    eps = denoiser(z_t, gamma_t).eps
    mean = alpha(gamma_s) / alpha(gamma_t) * (z_t - c * sigma(gamma_t) * eps)
    return mean + sigma(gamma_s) * jnp.sqrt(c) * jax.random.normal(key, z_t.shape)


def ddim_by_hand(denoiser, z_t, gamma_s, gamma_t, *, key):
    guess = denoiser(z_t, gamma_t)
    return alpha(gamma_s) * guess.x + sigma(gamma_s) * guess.eps


# %% [markdown]
# To study samplers and nothing else, we take data whose best denoiser is known: two moons in the plane, a mixture of
# Gaussians. There is no network in the next sections, so every error is the sampler's own. A **walk** takes one step
# after the other down a grid of noise levels. Here are many walks at once. (The loop is Python's, so that JAX compiles one
# step, whatever the number of steps.)


# %%
@eqx.filter_jit
def one_step(step, denoiser, z, gamma_s, gamma_t, key):
    take = lambda z, key: step(denoiser, z, gamma_s, gamma_t, key=key)  # noqa: E731
    return jax.vmap(take)(z, jax.random.split(key, len(z)))


def arrive(denoiser, z, gammas, step, key):
    """Where many walks down the levels end that begin at the points z."""
    keys = jax.random.split(key, len(gammas) - 1)
    for gamma_t, gamma_s, step_key in zip(gammas, gammas[1:], keys, strict=False):
        z = one_step(step, denoiser, z, gamma_s, gamma_t, step_key)
    return z


moons = data.moons()
exact = vdmlite.MixtureDenoiser(moons)
z_1 = jax.random.normal(z_key, (pick(smoke=32, laptop=256), 2))
down = jnp.linspace(5.0, -6.0, 21)
for mine, theirs in ((ancestral_by_hand, Ancestral()), (ddim_by_hand, DDIM())):
    ends = [arrive(exact, z_1, down, step, walk_key) for step in (mine, theirs)]
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-3)
    print(f"{type(theirs).__name__}: equal to ours after {len(down) - 1} steps")

# %% [markdown]
# ## The probability-flow ODE
#
# What does DDIM become with infinitely many steps? Fix $x$ and ε, and let γ move: $z = \alpha x + \sigma \varepsilon$
# moves too. From $\alpha^2 = \mathrm{sigmoid}(-\gamma)$ and $\sigma^2 = \mathrm{sigmoid}(\gamma)$ follow
# $d\alpha/d\gamma = -\tfrac12 \sigma^2 \alpha$ and $d\sigma/d\gamma = \tfrac12 \alpha^2 \sigma$. So the velocity of
# this one latent is $-\tfrac12 \sigma^2 \alpha\, x + \tfrac12 \alpha^2 \sigma\, \varepsilon$.
#
# Many pairs $(x, \varepsilon)$ pass through the same place $z$ with different velocities. How the density changes
# depends only on how much flows through each place. So nothing changes if all that pass through $z$ move with their
# *mean* velocity. And the mean of ε given $z$ is what a perfect denoiser guesses. Put
# $\alpha \hat x = z - \sigma \hat\varepsilon$ and $\alpha^2 + \sigma^2 = 1$:
#
# $$ \frac{dz}{d\gamma} = \tfrac12\, \sigma\, \bigl( \hat\varepsilon(z;\, \gamma) - \sigma z \bigr) . $$
#
# An equation of this kind, a velocity at each place and time, is an *ordinary differential equation*, **ODE** for
# short. This one is the **probability-flow ODE** (Song et al. 2021). Points that have the density $q(z)$ at one noise
# level and follow it, with a perfect guess, have it at every level. They move without chance, and the way can be
# walked in both directions.
#
# Two rules to solve it by steps. In the coordinates $y = z/\alpha$ and $r = \sigma/\alpha$ it is simply
# $dy/dr = \hat\varepsilon$. *Euler's rule* goes straight on with the velocity of the start,
# $y_s = y_t + (r_s - r_t)\, \hat\varepsilon$. Multiply by $\alpha_s$: it is DDIM. *Heun's rule* first looks where
# Euler's would end. Then it goes with the mean of the two velocities. It asks the denoiser twice a step.
#
# For a solution that is as good as exact, the package has `ode.flow(denoiser, z, gammas)`. It makes its steps so
# short that the error of each stays below a tolerance, and returns the point at every level of the list.


# %%
def heun_by_hand(denoiser, z_t, gamma_s, gamma_t, *, key):
    width = jnp.exp(gamma_s / 2) - jnp.exp(gamma_t / 2)  # σ/α is e^{γ/2}
    here = denoiser(z_t, gamma_t).eps
    euler = alpha(gamma_s) * (z_t / alpha(gamma_t) + width * here)
    there = denoiser(euler, gamma_s).eps
    return alpha(gamma_s) * (z_t / alpha(gamma_t) + width * 0.5 * (here + there))


ends = [arrive(exact, z_1, down, step, walk_key) for step in (heun_by_hand, ode.Heun())]
np.testing.assert_allclose(ends[0], ends[1], atol=1e-3)
print("Heun: equal to ours")

# %% [markdown]
# ## The key picture
#
# Two narrow modes on a line, at −1 and 1, with weights 0.2 and 0.8. The same nine starting points, under three
# samplers. `vdmlite.walk` keeps all latents of a walk. The walks go from left, noise, to right, data. The colour says where a path began, from the lowest start,
# dark, to the highest, light.

# %%
two = vdmlite.Mixture(jnp.array([0.2, 0.8]), jnp.array([[-1.0], [1.0]]), jnp.full(2, 0.1))
line = vdmlite.MixtureDenoiser(two)
starts = jax.scipy.stats.norm.ppf((jnp.arange(9) + 0.5) / 9)[:, None]  # equal shares of N(0, 1)


@eqx.filter_jit
def paths(step, gammas):
    one = lambda z, key: vdmlite.walk(line, z, gammas, step=step, key=key)  # noqa: E731
    return jax.vmap(one)(starts, jax.random.split(walk_key, len(starts)))[..., 0]


fine = jnp.linspace(5.0, -6.0, 221)
across = jnp.linspace(-2.6, 2.6, 261)
log_q = jax.jit(jax.vmap(lambda g: jax.vmap(line.diffused(g).log_prob)(across[:, None])))
# q(z) at each level, as a share of its own peak
shade = log_q(fine)
shade = np.exp(np.asarray(shade - shade.max(axis=1, keepdims=True))).T
shade = np.round(24 * shade) / 24  # few greys make a small picture
flowing = jax.vmap(lambda z: ode.flow(line, z, fine))(starts)[..., 0]


def trails(ax, gammas, z, title):
    """Nine paths over the density, coloured by their start."""
    options = {"cmap": "Greys", "vmax": 1.8, "interpolation": "nearest", "origin": "lower"}
    ax.imshow(shade, extent=(5, -6, -2.6, 2.6), aspect="auto", **options)
    for path, color in zip(z, plt.cm.plasma(np.linspace(0, 0.88, 9)), strict=True):
        mark = {"marker": "o", "ms": 3} if len(gammas) < 20 else {}
        ax.plot(gammas, path, color=color, ls="-", lw=1.3, **mark)
    ax.plot(np.full(9, 5.0), starts[:, 0], "ok", ms=3, clip_on=False)
    ax.set(title=title, xlabel="γ, from noise to data", ylim=(-2.6, 2.6))
    ax.grid(False)


shown = {
    "ancestral, 220 steps": (fine, paths(Ancestral(), fine)),
    "DDIM, 11 steps": (fine[::20], paths(DDIM(), fine[::20])),
    "ODE": (fine, flowing),
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.7), sharey=True)
for ax, (name, (gammas, z)) in zip(axes, shown.items(), strict=True):
    trails(ax, gammas, z, name)
    if name.startswith("DDIM"):
        ax.plot(fine, flowing.T, color="0.35", ls=":", lw=0.9)
axes[0].set_ylabel("z")
show(
    figure,
    "Three panels of z against γ over the shaded density q(z), which splits from one hill at "
    "noise into two modes, the upper one "
    "heavier. Nine paths from the same starting points, each in its own colour: ancestral "
    "ones jitter and cross each other; those of the ODE are smooth "
    "and keep their order; those of DDIM in eleven steps are polygons near the ODE, which is "
    "dotted behind them; one strays visibly.",
)
print("ends in the upper mode:", {name: int((z[:, -1] > 0).sum()) for name, (_, z) in shown.items()}, "of 9")  # fmt: skip

# %% [markdown]
# The shaded density is the same in all three. Ancestral paths jitter, cross and change their minds early on. Paths of
# the ODE never cross, since at one place there is one velocity. So the starting point alone decides where a path
# ends. DDIM goes the same way in eleven long strides, each straight in the coordinates $r$ and $y$. It strays a
# little, most where the modes part.
#
# How much chance does it take for the paths to forget their order? Turn the knob η (in a live notebook).


# %%
def with_chance(eta):
    """The nine paths of DDIM with η, in 220 steps."""
    figure, ax = plt.subplots(figsize=(5.5, 3.7))
    trails(ax, fine, paths(DDIM(eta), fine), f"DDIM with η = {eta:.2f}, 220 steps")
    ax.set_ylabel("z")
    return figure


slider(
    with_chance,
    0.0,
    1.0,
    "Nine paths of DDIM with η over the shaded density. In the still η is one half: the paths "
    "tremble and cross, and only some keep their place in the order. At η = 0 they are smooth "
    "and keep it, at η = 1 they are as restless as ancestral ones.",
    name="η",
)

# %% [markdown]
# ## How fast does the error fall?
#
# A sampler has **order** $n$ if its error falls like $K^{-n}$ with the number $K$ of steps. On two logarithmic axes
# that is a straight line of slope $-n$. Gaussian data with standard deviation $s$ give exact answers to compare with.
# There a latent at the level γ has the variance $\tau^2 = \alpha^2 s^2 + \sigma^2$, and the ODE takes $z_t$ to
# $z_s = z_t\, \tau_s/\tau_t$.
#
# An ancestral walk has no true end for a given start. But the *variance* of many walks should be $\tau^2$. For Gaussian
# data each step is linear in $z$: it multiplies $z$ by a factor and adds noise. So from the variance before a step
# follows the one after, and we can follow it without drawing anything.

# %%
s, top, bottom = 0.5, 5.0, -6.0
bell = vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.zeros(1), jnp.asarray(s)))
V_top, V_bottom = (float(vdmlite.alpha2(g) * s**2 + vdmlite.sigma2(g)) for g in (top, bottom))


def ancestral_variance(gammas):
    """The variance after an ancestral walk over the Gaussian's levels: a recursion, no chance."""
    one = jnp.ones(1)  # at z = 1 the mean of a step is its factor
    reverse = lambda low, high: vdmlite.posterior(one, bell(one, high).x, low, high)  # noqa: E731
    steps = jax.jit(jax.vmap(reverse))(gammas[1:], gammas[:-1])
    variance = V_top
    for factor, noise in zip(np.asarray(steps.mean[:, 0], float), np.asarray(steps.std, float), strict=True):  # fmt: skip
        variance = factor**2 * variance + noise**2
    return variance


tight = pick(smoke=1e-5, laptop=1e-6)
flow_ends = jax.vmap(
    lambda z: ode.flow(exact, z, jnp.array([top, bottom]), tolerance=tight)[-1]
)(z_1)


def off_bell(step, gammas):
    end = arrive(bell, jnp.ones((1, 1)), gammas, step, order_key)
    return abs(float(end[0, 0]) - (V_bottom / V_top) ** 0.5)


def off_moons(step, gammas):
    end = arrive(exact, z_1, gammas, step, order_key)
    return float(np.median(np.linalg.norm(end - flow_ends, axis=1)))


errors = {
    "DDIM, Gaussian": (1, lambda g: off_bell(DDIM(), g)),
    "DDIM, moons": (1, lambda g: off_moons(DDIM(), g)),
    "ancestral, variance": (1, lambda g: abs(ancestral_variance(g) - V_bottom)),
    "Heun, Gaussian": (2, lambda g: off_bell(ode.Heun(), g)),
    "Heun, moons": (2, lambda g: off_moons(ode.Heun(), g)),
}
counts = np.array(pick(smoke=(32, 128), laptop=(32, 64, 128, 256)))
figure, ax = plt.subplots(figsize=(7, 4))
misses = []
for i, (name, (order, error)) in enumerate(errors.items()):
    found = [error(jnp.linspace(top, bottom, K + 1)) for K in counts]
    slope = -np.polyfit(np.log(counts), np.log(found), 1)[0]
    misses.append(abs(slope - order))
    print(f"{name:20s} error at {counts[0]} steps {found[0]:.1e}, at {counts[-1]} {found[-1]:.1e}: order {slope:.2f}")  # fmt: skip
    ax.loglog(counts, found, color=COLORS[i], ls=LINES[i], marker=MARKERS[i], label=f"{name}: {slope:.2f}")  # fmt: skip
ax.set_xticks(counts, [str(K) for K in counts])
ax.minorticks_off()
ax.set(xlabel="steps K", ylabel="error", title="first order and second")
ax.legend(title="fitted order", loc="center left", bbox_to_anchor=(1, 0.5))
show(
    figure,
    "Error against the number of steps on two logarithmic axes, five straight lines. DDIM on "
    "a Gaussian and on moons and the "
    "ancestral variance fall with slope −1; Heun's rule on both falls with slope −2 and is "
    "far lower throughout.",
)
claim("08", "five fitted orders: largest distance from 1 (DDIM, ancestral) or 2 (Heun)", max(misses), at_most=0.15)  # fmt: skip

# %% [markdown]
# DDIM and ancestral are of first order: twice the steps, half the error. Heun is of second order: twice the steps, a
# quarter.
#
# (The moons' error is the *median* distance from the end that `ode.flow` reaches from the same start, to a tight
# tolerance. A mean would be at the mercy of a few points that start on a watershed between two ends.)
#
# ## Good samples, by a number
#
# How good are the samples themselves? Take samples $a_i$ and fresh data $b_j$. The **energy distance** is
# $2\, \mathbb E \lVert a - b \rVert - \mathbb E \lVert a - a' \rVert - \mathbb E \lVert b - b' \rVert$, where $a'$
# and $b'$ are second draws. It is zero only if both follow the same law.
#
# Measured on finitely many points it is above zero even then. How large is large? If the laws are the same, it does
# not matter which point has which name. So shuffle the names and measure again, many times. The distances found are
# the **null distribution**. The share of namings, the true one among them, that are at least as far apart as the true
# one is the ***p*-value**. A small one, 0.01 say, rejects the sampler. A larger one proves nothing, except that this
# many points cannot tell.
#
# In the table, "×2 guesses" says that a step asks the denoiser twice.

# %%
count, shuffles = pick(smoke=100, laptop=1000), pick(smoke=99, laptop=499)
fresh = data.sample(moons, count, key=fresh_key)
plane = vdmlite.VDM(vdmlite.FixedLinear(-9.0, 6.0), exact, vdmlite.GaussianDecoder(), (2,))
random = np.random.default_rng(8)
# +1/n for a sample, −1/n for a datum: then −Σ names_i names_j ‖i − j‖ is the energy distance.
names = np.repeat([1 / count, -1 / count], count)
shuffled = [random.permutation(names) for _ in range(shuffles)]
namings = np.stack([names, *shuffled])  # the true one first


def against_data(samples):
    """The energy distance from fresh data, its p-value, and the null's mean."""
    both = np.concatenate([samples, fresh]).astype(float)
    squares = np.sum(both**2, axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * both @ both.T, 0))
    distance = -np.sum(namings @ apart * namings, axis=1)
    return distance[0], np.mean(distance >= distance[0]), distance[1:].mean()


budgets = pick(smoke=(10, 50), laptop=(5, 10, 20, 50, 250))
judged, drawn = {}, {}


def judge(name, step, guesses):
    """Draw with every number of steps, and print a row of the table."""
    for K in budgets:
        drawn[name, K] = vdmlite.draw(plane, count, steps=K, step=step, batch_size=count, key=draw_key)  # fmt: skip
        judged[name, K] = against_data(drawn[name, K])
    row = (f"{1000 * judged[name, K][0]:8.1f} ({judged[name, K][1]:.3f})" for K in budgets)
    print(f"{name:16s} ×{guesses} guesses" + "".join(f"{cell:>16s}" for cell in row))


print("energy distance × 1000 (p-value)")
print(f"{'steps':>26s}" + "".join(f"{K:>16d}" for K in budgets))
judge("ancestral", Ancestral(), 1)
judge("DDIM", DDIM(), 1)
if pick(smoke=False, laptop=True):
    judge("Heun", ode.Heun(), 2)
print(f"names shuffled, on average: {1000 * judged['DDIM', budgets[-1]][2]:.1f}")
claim(
    "08", "ancestral, 10 steps: p-value", judged["ancestral", 10][1], at_most=0.01, trained=True
)
claim("08", f"ancestral, {budgets[-1]} steps: p-value", judged["ancestral", budgets[-1]][1], at_least=0.05, trained=True)  # fmt: skip

# %% [markdown]
# At the level 0.01 every sampler is rejected at five steps. At ten only the ancestral one is, and from 20 on none.
# (DDIM at ten and ancestral at 20 escape narrowly, at about 0.02.) Of 500 namings one is the true one, so 0.002 is
# the smallest *p* there can be. Distances of about the size of the last line are nothing but luck.
#
# Heun's higher order does not help at few steps. Five steps of Heun cost as many guesses as ten of DDIM, and are
# much worse. An order says how fast an error falls in the end, not how large it is.

# %%
figure, axes = plt.subplots(1, 4, figsize=(11, 3), sharey=True)
points(axes[0], fresh, title="fresh data")
for ax, (name, K) in zip(axes[1:], (("ancestral", 10), ("DDIM", 10), ("ancestral", budgets[-1])), strict=True):  # fmt: skip
    distance, p, _ = judged[name, K]
    points(
        ax,
        drawn[name, K],
        title=f"{name}, {K} steps\ndistance × 1000: {1000 * distance:.1f}\np = {p:.3f}",
    )
show(
    figure,
    "Four scatter plots of two moons. Fresh data; ancestral samples in ten steps, too thin "
    "and crowded at the inner ends of the moons; DDIM samples in ten steps, less so; "
    "ancestral samples in 250 steps, which look like the data. Above each the energy distance "
    "times 1000 and the p-value.",
)

# %% [markdown]
# ## Images, from the same noise
#
# Now two trained networks: the digits, and VDM's small U-Net for colour patches of photographs, 32×32 (lesson 12
# looks inside). In all three sheets of a column, images at the same place begin with the same noise.


# %%
def sheet(vdm, z, plan):
    """Images from the same noise, for each sampler."""
    low, high = float(vdm.schedule(0.0)), float(vdm.schedule(1.0))
    ends = {
        f"{name}, {K} steps": arrive(vdm.denoiser, z, jnp.linspace(high, low, K + 1), step, sheet_key)
        for name, (step, K) in plan.items()
    }  # fmt: skip
    return ends, {n: jax.vmap(lambda z: vdm.decoder.mode(z, low))(e) for n, e in ends.items()}


model, share = pretrained.load("digits"), pick(smoke=0.1, laptop=1.0)
plan = {
    "ancestral": (Ancestral(), 100),
    "DDIM": (DDIM(), 25),
    "Heun": (ode.Heun(), 50),
}
plan = {name: (step, max(2, int(share * K))) for name, (step, K) in plan.items()}
noise = jax.random.normal(noise_key, (pick(smoke=4, laptop=16), 8, 8, 1))
ends, digit_sheets = sheet(model, noise, plan)
sheets = [(digit_sheets, 17)]
if pick(smoke=False, laptop=True):
    patch_noise = jax.random.normal(noise_key, (8, 32, 32, 3))
    patch_plan = {name: (step, 50) for name, (step, _) in plan.items()}
    sheets.append((sheet(pretrained.load("patches"), patch_noise, patch_plan)[1], 256))
first, second, third = ends.values()
print(f"digits, typical difference of a pixel on the scale from −1 to 1: DDIM from Heun "
      f"{jnp.sqrt(jnp.mean((second - third) ** 2)):.3f}, ancestral from Heun {jnp.sqrt(jnp.mean((first - third) ** 2)):.3f}")  # fmt: skip

figure, axes = plt.subplots(3, len(sheets), figsize=(10.5, 5), squeeze=False)
for column, (ways, levels) in zip(axes.T, sheets, strict=True):
    for ax, (name, made) in zip(column, ways.items(), strict=True):
        images(ax, made, levels=levels, columns=8, title=name)
show(
    figure,
    "Sheets of images from the same noise under ancestral, DDIM and Heun. Left: digits; those "
    "of DDIM and Heun are the same one by one, the "
    "ancestral ones are others. Right: colour patches of photographs, soft textures; again "
    "DDIM and Heun agree.",
)

# %% [markdown]
# DDIM and Heun make nearly the same digits from the same noise (the small difference printed above) and, by eye, the
# same patches: both follow one ODE, closely enough. The ancestral walk draws others. Which are better, so few images
# cannot say. The patches show what a small network has learned from a few photographs: colours, edges and textures,
# no objects.
#
# This is a good place for a pause. Exercises 8.1, 8.2, 8.3 and 8.6 need nothing of what follows.
#
# # Second sitting: likelihood, and chance
#
# ## A likelihood without a bound
#
# The flow of the ODE is an invertible map between data and noise, and such a map carries a density along. Write
# $\dot z$ for the velocity $dz/d\gamma$. In a short stretch $d\gamma$ the flow takes $z$ to $z + \dot z\, d\gamma$.
# Small volumes grow by the factor $\det(I + d\gamma\, J) \approx 1 + d\gamma\, \mathrm{div}\, \dot z$, where the
# **divergence** div is the trace of the Jacobian $J = \partial \dot z / \partial z$. So the log density of the moving
# point falls by as much:
#
# $$ \frac{d \log p(z)}{d\gamma} = -\mathrm{div}\, \dot z , \qquad
# \log p(z_0) = \log p(z_1) + \int_{\gamma_0}^{\gamma_1} \mathrm{div}\, \dot z \; d\gamma . $$
#
# Carry the point up to noise, add up the divergence, look up $\log N(z_1; 0, I)$. By hand we use the *midpoint rule*:
# go half a step, and take the velocity and divergence found there for the whole.


# %%
def log_prob_by_hand(vdm, z, steps):
    """Log p(z_0) in nats, by the midpoint rule."""
    velocity = lambda z, gamma: 0.5 * sigma(gamma) * (vdm.denoiser(z, gamma).eps - sigma(gamma) * z)  # noqa: E731  # fmt: skip
    low, high = vdm.schedule(0.0), vdm.schedule(1.0)
    h = (high - low) / steps

    def move(state, gamma):
        z, gain = state
        middle = z + h / 2 * velocity(z, gamma)
        slopes = jax.jacfwd(velocity)(middle, gamma + h / 2)
        return (z + h * velocity(middle, gamma + h / 2), gain + h * jnp.trace(slopes)), None

    (z, gain), _ = jax.lax.scan(move, (z, jnp.zeros(())), low + h * jnp.arange(steps))
    return vdm.prior.log_prob(z) + gain


known = vdmlite.VDM(vdmlite.FixedLinear(-13.3, 8.0), exact, vdmlite.GaussianDecoder(), (2,))
x = jnp.asarray(data.sample(moons, pick(smoke=20, laptop=200), key=point_key))
z_0 = alpha(-13.3) * x
truth = jax.vmap(exact.diffused(-13.3).log_prob)(z_0)
mine = jax.jit(jax.vmap(lambda z: log_prob_by_hand(known, z, 400)))(z_0)
theirs = jax.vmap(lambda z: ode.log_prob(known, z))(z_0).log_prob
off_x = theirs + ode.x_scale(known) - jax.vmap(moons.log_prob)(x)
print(f"by hand, 400 steps: off by at most {np.abs(mine - truth).max():.4f} nats")
print(f"for x itself:       off by at most {np.abs(off_x).max():.4f} nats")
claim("08", "moons: largest difference of the ODE's log p and the true one (nats)", np.abs(theirs - truth).max(), at_most=0.01)  # fmt: skip

# %% [markdown]
# This is no bound but the log density itself, point by point. (`x_scale` changes from the density of $z_0$ to that of
# $x = z_0/\alpha_0$.) For a network it is the density of the *network's* flow. That is another model than the one
# whose bound we train. Both use the same guess, but nothing forces the two to agree.
#
# In $D$ dimensions the exact trace takes $D$ passes through the network at each step. **Hutchinson's estimate** takes
# a few: for a random vector $\xi$ of signs ±1, the mean of $\xi^\mathsf{T} J \xi$ is the trace of $J$. Several such
# *probes* also tell the standard error. We try it on test digits, with the model that ships with the course, in 64
# dimensions.

# %%
digits = data.digits()
low, high = float(model.schedule(0.0)), float(model.schedule(1.0))
some = model.decoder.embed(jnp.asarray(digits.test[: pick(smoke=1, laptop=4)]))
noise_keys = jax.random.split(digit_key, len(some))
z_digits = jax.vmap(lambda x, k: vdmlite.marginal(x, low).sample(key=k))(some, noise_keys)
# A quick run does without the network.
vdm, z_0 = pick(smoke=(known, z_0), laptop=(model, z_digits))
probes, tolerance = pick(smoke=4, laptop=32), pick(smoke=1e-5, laptop=1e-4)
whole = jax.vmap(lambda z: ode.log_prob(vdm, z, tolerance=tolerance))(z_0)
guessed = jax.vmap(
    lambda z, k: ode.log_prob(vdm, z, probes=probes, tolerance=tolerance, key=k)
)(z_0, jax.random.split(probe_key, len(z_0)))
for a, b, e in zip(whole.log_prob, guessed.log_prob, guessed.error, strict=True):
    print(f"log p(z_0): exact trace {a:7.2f}, {probes} probes {b:7.2f} ± {e:.2f} nats")
far = np.abs(guessed.log_prob - whole.log_prob) / guessed.error
claim("08", "digits: Hutchinson's estimate from the exact trace, farthest of four (standard errors)", far.max(), at_most=3, trained=True)  # fmt: skip

# %% [markdown]
# ## The score, and walking by it
#
# By lesson 04 the guess of the noise is a guess of the **score**: $\nabla \log q(z) = -\hat\varepsilon/\sigma$. To
# train on $\lVert \varepsilon - \hat\varepsilon \rVert^2$ is to minimise, at every noise level, the **Fisher
# divergence** $\mathbb E\, \lVert \nabla \log q(z) - \text{score} \rVert^2$ times $\sigma^2$, up to a constant.
#
# A score is enough to draw from a density, by **Langevin dynamics**: step uphill, and be shaken,
#
# $$ z \leftarrow z + \tfrac12\, \delta\, \nabla \log q(z) + \sqrt{\delta}\; \varepsilon . $$
#
# Repeated with a small δ, this comes to rest in $q$, wherever it began. Eventually. (Luo's step size is our
# $\tfrac12 \delta$.)
#
# Try it on the two modes at the fixed level γ = −4, a thousand moves from noise. Then try it **annealed**: a hundred
# levels down to −4, five moves at each, half as many in all.


# %%
@eqx.filter_jit
def langevin(z, moves, key):
    """Many Langevin moves by hand at γ = −4, with δ = ½ σ²."""
    delta = 0.5 * sigma(-4.0) ** 2

    def move(z, key):
        score = line(z, -4.0).score
        return z + 0.5 * delta * score + jnp.sqrt(delta) * jax.random.normal(key, z.shape), None

    return jax.lax.scan(move, z, jax.random.split(key, moves))[0]


z = jax.random.normal(mode_key, (pick(smoke=2000, laptop=4000), 1))
one_key = jax.random.key(0)
theirs = langevin_move(line, z[0], -4.0, size=0.5, key=jax.random.split(one_key, 1)[0])
np.testing.assert_allclose(langevin(z[0], 1, one_key), theirs, rtol=1e-5)

plain = jax.vmap(lambda z, k: langevin(z, 1000, k))(z, jax.random.split(plain_key, len(z)))
levels = jnp.linspace(5.0, -4.0, 101)
# At each level only the change of scale α_s/α_t, then 5 Langevin moves with δ = 0.5 σ².
annealed = arrive(line, z, levels, Corrected(Hold(), 5, 0.5), annealed_key)
shares = {"plain": plain, "annealed": annealed}
shares = {name: np.asarray(end[:, 0]) > 0 for name, end in shares.items()}
for name, up in shares.items():
    print(f"{name:9s} in the upper mode: {up.mean():.3f} ± {up.std() / len(up) ** 0.5:.3f}; it weighs 0.8")  # fmt: skip
gap = shares["annealed"].mean() - shares["plain"].mean()
error = (sum(up.var() for up in shares.values()) / len(z)) ** 0.5
claim("08", "two modes: share of the heavy one, annealed less plain Langevin, less 3 standard errors", gap - 3 * error, at_least=0.2)  # fmt: skip

# %% [markdown]
# Plain Langevin has half its points in each mode, whatever the weights. Half of them began on either side, and the
# land between is so empty that next to none crosses it. Down the levels, the weights are found while the modes still
# overlap, and are (nearly) kept.
#
# So there are three reasons for noise levels:
# 1. Real data fill no volume. Where there is no density, there is no score; a little noise makes one everywhere.
# 2. A network learns where data are. In empty regions it knows nothing, and walks begin there. Wide noise leaves no
#    region empty.
# 3. Between far modes the score says nothing about their weights, as we saw.
#
# ## How much chance?
#
# Now look at an ancestral step again, a small one of length $\Delta = \gamma_t - \gamma_s$. To first order it is
#
# $$ z_s = z_t \underbrace{{} - \Delta \cdot \tfrac12 \sigma (\hat\varepsilon - \sigma z_t)}_{\text{the ODE}} \;
# \underbrace{{} + \tfrac12 \delta\, \nabla \log q(z_t) + \sqrt{\delta}\; \varepsilon}_{\text{a Langevin move}}
# \quad \text{with } \delta = \sigma^2 \Delta . $$
#
# **An ancestral step is a step of the ODE and a Langevin move.** The ODE carries $q(z_t)$ to $q(z_s)$, and a Langevin
# move leaves that as it is. So any amount of chance is right in the limit:
# - with no Langevin move it is the ODE;
# - with a move of $\eta^2 \delta$ it is, in the limit, DDIM with η;
# - with all of δ, and $\Delta \to 0$, it is the **reverse SDE** (a *stochastic* differential equation: velocity and
#   shaking), $dz = (\sigma \hat\varepsilon - \tfrac12 \sigma^2 z)\, d\gamma + \sigma\, dW$, walked down. Here $dW$ is
#   fresh noise, of variance Δ in each step of length Δ.
#
# Is it so? The width, $\sigma_s \sqrt c$, is $\sqrt\delta$ to first order. And of the mean, what is left should be of
# second order in Δ:

# %%
gamma = 0.0


@jax.jit
@jax.vmap
def ancestral_mean_less_parts(z, length):
    guess = exact(z, gamma)
    mean = vdmlite.posterior(z, guess.x, gamma - length, gamma).mean
    flow_part = -length * ode.velocity(exact, z, gamma)
    langevin_part = 0.5 * length * sigma(gamma) ** 2 * guess.score
    return jnp.abs(mean - (z + flow_part + langevin_part)).max()


left_over = []
for length in (0.2, 0.1, 0.05):
    left_over.append(float(ancestral_mean_less_parts(z_1, jnp.full(len(z_1), length)).max()))
    print(f"Δ = {length:.2f}: mean of the ancestral step less (ODE + Langevin), at most {left_over[-1]:.5f}")  # fmt: skip
assert all(3 < a / b < 5 for a, b in zip(left_over, left_over[1:], strict=False))

# %% [markdown]
# Halve the length, and a quarter of the remainder is left.
#
# The same thought gives **predictor and corrector** (Song et al. 2021). After each step come some Langevin moves at
# the new level, to bring the samples back to $q(z_s)$ after a coarse step. Does it help? Here is one more row for the
# table of the first sitting: DDIM with two moves after each step.

# %%
print("energy distance × 1000 (p-value)")
print(f"{'steps':>26s}" + "".join(f"{K:>16d}" for K in budgets))
if pick(smoke=False, laptop=True):
    judge("DDIM, corrected", Corrected(DDIM(), 2, 0.3), 3)

# %% [markdown]
# At five steps Langevin moves mend a part of what DDIM spoilt. But they are not free: a corrected step makes three
# guesses. Five of them, fifteen guesses, are farther from the data than ten plain steps of DDIM.
#
# ## Ask yourself
#
# 1. The ODE and the ancestral walk have the same density at every level. How can their paths differ so much?
# 2. DDIM with 25 steps and Heun with 50 draw the same digit from the same noise. Would an ancestral walk of ten
#    thousand steps draw it too?
# 3. Heun is of second order. Why not use it at four steps?
# 4. A sampler's *p*-value is 0.4. Is it right?
#
# <details><summary>Answers</summary>
#
# 1. A density says how many are where, not who. Shake all points by a Langevin move, and the crowd looks the same.
# 2. No. Without chance the start decides the end, and more steps only come nearer to it. An ancestral walk draws new
#    noise on the way and soon forgets its start.
# 3. Four steps of Heun cost the guesses of eight of DDIM; and the order says how fast an error falls, not how large
#    it is. A large step is far from the limit where orders count.
# 4. Nobody knows. This many points could not tell it from a right one; more points could.
# </details>
#
# ## Take along
#
# > **The samplers follow one ODE, dz/dγ = ½σ(ε̂ − σz), with more or less Langevin on the way: DDIM and Heun with none, an ancestral step with a move
# > of δ = σ²Δ. DDIM and ancestral have an error like 1/K, Heun like 1/K².**
#
# In the package: `Ancestral`, `DDIM`, `walk`, `sample`, `draw`; `ode.Heun`, `ode.flow`, `ode.log_prob`;
# `langevin.Corrected`. Exercises: `exercises/08_sampling.ipynb`. Next: lesson 09, where the walk is told what to
# draw.
