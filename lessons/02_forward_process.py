# %% [markdown]
# # 02 · The forward process
#
# *Half a minute on 2 CPU cores · 40 minutes to study · after lesson 01 · VDM §3.1–3.2 and appendix A, Luo §3 · files
# `gaussian.py`, `process.py`*
#
# **The idea.** To turn data into noise we do one thing, again and again: shrink the signal and add Gaussian noise.
# However many steps we take, only one number counts in the end: how much signal is left against how much noise.
#
# **After this lesson you can**
# - diffuse any data to any noise level in one jump, and say why many small steps end in the same place;
# - read γ, the coordinate in which the rest of the course is written;
# - walk back one step, exactly, when you know where the walk began.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from vdmlite import data, process
from vdmlite.course import animate, claim, pick, show, slider
from vdmlite.viz import LINES, points

# In double precision, so that "equal" can mean equal to many digits.
jax.config.update("jax_enable_x64", True)
data_key, noise_key, walk_key = jax.random.split(jax.random.key(2), 3)

# %% [markdown]
# ## Shrink and add
#
# Take one example, a number or an image, and call it $x$. Its noisy version, its *latent* at noise level $t$, is
#
# $$ z_t = \alpha_t\, x + \sigma_t\, \varepsilon, \qquad \varepsilon \sim \mathcal N(0, I). $$
#
# $\alpha_t$ says how much of the signal is left, $\sigma_t$ how much noise came in. We keep $\alpha_t^2 + \sigma_t^2 = 1$.
# If the data has variance 1, so has every latent. This is the *variance-preserving* process.
#
# Only the ratio of the two can matter. Multiply $z_t$ by ten, and nothing is lost or won: whoever has to guess $x$ from
# it divides by ten first. The ratio of the two powers is the **signal-to-noise ratio**
#
# $$ \mathrm{SNR} = \alpha^2 / \sigma^2, \qquad \gamma = -\log \mathrm{SNR}. $$
#
# $\gamma$ (gamma) is our coordinate for noise. It is 0 where signal and noise are equally strong, very negative where
# the data is almost clean, positive where it drowns. From $\alpha^2 + \sigma^2 = 1$ follows, in one line of algebra,
#
# $$ \alpha^2 = \mathrm{sigmoid}(-\gamma), \qquad \sigma^2 = \mathrm{sigmoid}(\gamma). $$

# %%
gammas = jnp.linspace(-13.3, 5.0, 200)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.plot(gammas, process.alpha2(gammas), label="α², signal")
left.plot(gammas, process.sigma2(gammas), label="σ², noise")
left.set(xlabel="γ = −log SNR", ylabel="power", title="always 1 together")
left.legend()
right.semilogy(gammas, process.snr(gammas), label="SNR = exp(−γ)")
right.set(xlabel="γ", ylabel="SNR", title="eight powers of ten, one straight line")
show(
    figure,
    "Left: signal power falls from 1 to 0 and noise power rises from 0 to 1 as γ grows, crossing "
    "at γ = 0. Right: SNR against γ on a logarithmic axis is a falling straight line.",
)

# %% [markdown]
# The range −13.3 … 5 is the one that VDM starts from for images of 256 grey levels. At its clean end the noise is
# a sixth of one grey level wide, with levels scaled to −1 … 1. At its noisy end less than one per cent of the power is
# signal.
#
# ## The key picture
#
# Here is a cloud of points with two arms, the *moons*, at five noise levels. Along both axes its variance is less than 1
# (printed above the figure), so here the cloud grows as noise comes in.

# %%
x = jnp.asarray(data.sample(data.moons(), 1500, key=data_key))
eps = jax.random.normal(noise_key, x.shape)
print("variances of the moons:", np.round(x.var(0), 2))

levels = (-8.0, -4.0, -2.0, 0.0, 4.0)
figure, axes = plt.subplots(1, 5, figsize=(12, 2.7))
for ax, gamma in zip(axes, levels, strict=True):
    z = process.alpha(gamma) * x + process.sigma(gamma) * eps
    title = f"γ = {gamma:g}\nSNR = {process.snr(gamma):.4g}".replace("-", "−")
    points(ax, z, title=title, reach=3)
show(
    figure,
    "Five scatter plots of the two moons at γ = −8, −4, −2, 0 and 4: sharp, slightly blurred, "
    "arms melting together, one elongated cloud, a round Gaussian cloud.",
)


# %% [markdown]
# Where would you say the two arms are gone? Move the slider (in a live notebook), or watch the film.


# %%
def draw(gamma):
    figure, ax = plt.subplots(figsize=(3.2, 3.2))
    z = process.alpha(gamma) * x + process.sigma(gamma) * eps
    points(ax, z, title=f"γ = {gamma:.1f}".replace("-", "−"), reach=3)
    return figure


slider(
    draw,
    -8.0,
    4.0,
    "The moons at a noise level of your choice; at γ = −2 the arms begin to merge.",
)

# %%
film = np.linspace(-8, 4, pick(smoke=4, laptop=17))
animate(draw, film, "The two moons dissolve into a round cloud as γ rises from −8 to 4.")

# %% [markdown]
# ## One jump is many steps
#
# Now let the noise come in small portions. A step from noise level $s$ to a higher level $t$ shrinks what is there and
# adds fresh noise:
#
# $$ q(z_t \mid z_s) = \mathcal N\!\left(\alpha_{t|s}\, z_s,\; \sigma_{t|s}^2\right), \qquad
#    \alpha_{t|s} = \frac{\alpha_t}{\alpha_s}, \qquad \sigma_{t|s}^2 = \sigma_t^2 - \alpha_{t|s}^2\, \sigma_s^2 . $$
#
# Where do these come from? The signal must shrink by $\alpha_t/\alpha_s$ to end at $\alpha_t$. The noise already in
# $z_s$ shrinks along with it to variance $\alpha_{t|s}^2 \sigma_s^2$, and the fresh noise fills up what is missing.
# The sum of Gaussians is a Gaussian. So a thousand steps lead to the same distribution as one jump. Let us see it.
#
# `process.marginal` is the jump and `process.transition` the step. Each returns a `Gaussian` with `.mean`, `.std`,
# `.sample(key=…)`, `.log_prob(x)`, and `.at(eps)`, the draw made of given noise. `jax.lax.scan(step, z, rows)` is a loop
# that JAX compiles: it calls `step(z, row)` for one row after the other, and each call gets the `z` of the one before.

# %%
steps, walkers = 1000, pick(smoke=2_000, laptop=20_000)
start = 0.7
path = jnp.linspace(-8.0, 2.0, steps + 1)


def step(z, gammas_and_key):
    gamma_s, gamma_t, step_key = gammas_and_key
    # Single examples inside, jax.vmap outside: the rule of the whole package.
    move = jax.vmap(lambda one, k: process.transition(one, gamma_s, gamma_t).sample(key=k))
    return move(z, jax.random.split(step_key, walkers)), None


first_key, *step_keys = jax.random.split(walk_key, steps + 1)
z = jax.vmap(lambda k: process.marginal(jnp.asarray(start), path[0]).sample(key=k))(
    jax.random.split(first_key, walkers)
)
z, _ = jax.lax.scan(step, z, (path[:-1], path[1:], jnp.stack(step_keys)))

jump = process.marginal(jnp.asarray(start), path[-1])
mean_errors = (z.mean() - jump.mean) / (jump.std / np.sqrt(walkers))
# The variance of n Gaussian draws has standard error std² √(2/(n − 1)).
variance_errors = (z.var(ddof=1) - jump.std**2) / (jump.std**2 * np.sqrt(2 / (walkers - 1)))
print(f"mean      {z.mean():+.3f} after 1000 steps, {jump.mean:+.3f} in one jump")
print(f"variance  {z.var(ddof=1):.3f} after 1000 steps, {jump.std**2:.3f} in one jump")

# %%
figure, ax = plt.subplots(figsize=(6, 3))
grid = jnp.linspace(-4, 4, 200)
ax.hist(z, bins=60, density=True, color="0.8", label="1000 small steps")
ax.plot(grid, jnp.exp(jax.vmap(jump.log_prob)(grid)), label="one jump, N(α x, σ²)")
ax.set(xlabel="z", ylabel="density")
ax.legend()
show(
    figure,
    "The histogram of walkers after 1000 small steps lies under the curve of the one-jump Gaussian.",
)

# %%
claim(
    "02",
    "1000 steps against one jump, in standard errors (mean and variance, the worse)",
    max(abs(float(mean_errors)), abs(float(variance_errors))),
    at_most=5,
)

# %% [markdown]
# ## One step back, if you know the start
#
# Can we take a step of noise out again? Not exactly, since many pasts lead to the same present. But if somebody tells us
# where the walk began, at $x$, Bayes' rule gives the distribution of the step back:
#
# $$ q(z_s \mid z_t, x) = \frac{q(z_t \mid z_s)\; q(z_s \mid x)}{q(z_t \mid x)} . $$
#
# A product of two Gaussians in $z_s$ is a Gaussian. With $c = \sigma_{t|s}^2 / \sigma_t^2 = 1 - e^{\gamma_s - \gamma_t}$,
# the share of the noise that is fresh,
#
# $$ \text{mean} = \frac{\alpha_s}{\alpha_t}(1 - c)\, z_t + \alpha_s\, c\, x, \qquad \text{variance} = \sigma_s^2\, c . $$
#
# <details><summary>Where they come from</summary>
#
# The old noise in $z_t$ has variance $\alpha_{t|s}^2 \sigma_s^2$. Its share of $\sigma_t^2$ is a ratio of SNRs,
# $\frac{\alpha_t^2}{\sigma_t^2} \cdot \frac{\sigma_s^2}{\alpha_s^2} = e^{\gamma_s - \gamma_t} = 1 - c$, and what is left
# is fresh: $\sigma_{t|s}^2 = \sigma_t^2\, c$.
#
# In a product of Gaussians, precisions (one over the variance) add up. As a function of $z_s$, $q(z_s \mid x)$ has
# precision $1/\sigma_s^2$ and $q(z_t \mid z_s)$ has $\alpha_{t|s}^2 / \sigma_{t|s}^2 = \frac{1 - c}{\sigma_s^2\, c}$:
#
# $$ \frac{1}{\sigma_s^2} + \frac{\alpha_{t|s}^2}{\sigma_{t|s}^2}
#    = \frac{1}{\sigma_s^2} \Big(1 + \frac{1 - c}{c}\Big) = \frac{1}{\sigma_s^2\, c} . $$
#
# One over that is the variance, $\sigma_s^2\, c$. The mean is the variance times the sum of the two centres, each
# weighted by its precision, $\alpha_s x / \sigma_s^2 + \alpha_{t|s} z_t / \sigma_{t|s}^2$. The first gives $\alpha_s\, c\, x$. The second
# gives $\frac{\alpha_{t|s} \sigma_s^2}{\sigma_t^2} z_t = \frac{1 - c}{\alpha_{t|s}} z_t$.
# </details>
#
# The mean says: *to clean a little, move a little towards $x$*. A diffusion model takes this same step, with a guess
# $\hat x$ in place of $x$. Let us hold the formula against Bayes' rule, integrating on a fine grid. (`logsumexp(a)` is
# $\log \sum e^{a}$ without overflow. It makes the weights sum to 1.)

# %%
gamma_s, gamma_t, z_t, begin = -1.0, 0.5, jnp.asarray(0.3), jnp.asarray(-0.8)

z_s = jnp.linspace(-12, 12, 20_001)
log_product = jax.vmap(
    lambda z: (
        process.transition(z, gamma_s, gamma_t).log_prob(z_t)
        + process.marginal(begin, gamma_s).log_prob(z)
    )
)(z_s)
weight = jnp.exp(log_product - jax.nn.logsumexp(log_product))
bayes_mean = jnp.sum(weight * z_s)
bayes_std = jnp.sqrt(jnp.sum(weight * (z_s - bayes_mean) ** 2))

formula = process.posterior(z_t, begin, gamma_s, gamma_t)
print(f"mean  {bayes_mean:.6f} by Bayes' rule, {formula.mean:.6f} by the formula")
print(f"std   {bayes_std:.6f} by Bayes' rule, {formula.std:.6f} by the formula")
claim(
    "02",
    "posterior against Bayes' rule by quadrature, largest difference",
    max(abs(float(bayes_mean - formula.mean)), abs(float(bayes_std - formula.std))),
    at_most=1e-6,
)

# %%
figure, ax = plt.subplots(figsize=(7, 3))
line = jnp.linspace(-3, 3, 300)
for name, dist, style in (
    ("q(z_s | x): from the start alone", process.marginal(begin, gamma_s), LINES[1]),
    ("q(z_s | z_t, x): knowing both", formula, LINES[0]),
):
    ax.plot(line, jnp.exp(jax.vmap(dist.log_prob)(line)), linestyle=style, label=name)
shrunk = float(process.alpha(gamma_s) * begin)
ax.axvline(shrunk, color="0.4", linestyle=LINES[2], label="α_s x, the start, shrunk")
ax.axvline(float(z_t), color="k", linestyle=LINES[3], label="z_t, where we are")
ax.set(xlabel="z_s", ylabel="density", ylim=(-0.02, 1.25))
ax.legend(loc="upper right")
show(
    figure,
    "Two Gaussians over z_s. The one that knows only the start is centred on a line at α_s x = −0.68 and "
    "is the wider. The one that also knows z_t is narrower and higher, and its peak, at −0.44, lies between "
    "that line and another one at z_t = 0.3.",
)

# %% [markdown]
# ## Why the package writes `expm1`
#
# The share $c = 1 - e^{\gamma_s - \gamma_t}$ is a difference of two numbers that nearly agree when the step is small.
# Computed as it is written, in the single precision that networks run in, it loses its digits one by one. `expm1(u)`
# computes $e^u - 1$ as one function and keeps them all.

# %%
gaps = 10.0 ** -np.arange(1, 8)
exact = -np.expm1(-gaps)
single = gaps.astype(np.float32)
written = 1 - np.exp(-single)
careful = -np.expm1(-single)
print("  γ_t − γ_s    error of 1 − exp    error of −expm1")
for gap, right, one, other in zip(gaps, exact, written, careful, strict=True):
    print(f"    {gap:7.0e}    {abs(one / right - 1):16.0e}    {abs(other / right - 1):15.0e}")

# %% [markdown]
# With a thousand steps γ moves by about 0.02 a step, with a million by 0.00002.
#
# ## Ask yourself
#
# 1. At $\gamma = 0$, what are $\alpha$ and $\sigma$?
# 2. A friend doubles both $\alpha_t$ and $\sigma_t$ everywhere. What changes for someone who has to guess $x$ from $z_t$?
# 3. As $s \to t$, what happens to the mean and the variance of $q(z_s \mid z_t, x)$?
#
# <details><summary>Answers</summary>
#
# 1. Both are $\sqrt{1/2} \approx 0.707$: signal and noise have equal power.
# 2. Nothing. SNR is the same; divide by two and you have the old problem back.
# 3. $c \to 0$: the mean goes to $z_t$ and the variance to 0. A step of no length moves nothing.
# </details>
#
# ## Take along
#
# > **A noise level is one number, γ; one jump to it equals any number of steps; and one step back is exact if you
# > know the start.**
#
# `vdmlite.process` holds these formulas: `alpha`, `sigma`, `snr`, `marginal`, `transition`, `posterior`.
# Exercises: `exercises/02_forward_process.ipynb`. Next: lesson 03, what a model pays for not knowing the start.
