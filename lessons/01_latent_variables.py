# %% [markdown]
# # 01 · From latent variables to diffusion
#
# *Half a minute on 2 CPU cores · after lesson 00 · Luo §1–2 and the opening of his diffusion section, VDM §3 · files
# `gaussian.py`, `process.py`*
#
# **The idea.** A model with hidden variables cannot say how likely an example is, but it can say "at least this likely".
# What it leaves unsaid has a name: the divergence between the posterior we used and the true one. A diffusion model is
# what comes out if we make the hidden variables many and the guess at them trivial. (The path is that of Luo's tutorial
# of 2022, *Understanding Diffusion Models: A Unified Perspective*; VDM is Kingma et al. 2021.)
#
# **After this lesson you can**
# - write the evidence lower bound, the ELBO, in two ways, and say which of them shows what is lost;
# - name the three restrictions that turn a chain of latent variables into a diffusion model;
# - split its bound into one term for each step, in the way that can be trained.

# %%
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import Gaussian, process
from vdmlite.course import claim, pick, show
from vdmlite.viz import COLORS, LINES, MARKERS

# In double precision: the claim is an equality to 1e-6.
jax.config.update("jax_enable_x64", True)
fit_key, paths_key, scatter_key = jax.random.split(jax.random.key(1), 3)

# %% [markdown]
# ## The evidence is an integral
#
# Suppose that what we see, $x$, has a cause that we don't see, $z$: a *latent variable*. The model is a recipe: draw $z$
# from a *prior* $p(z)$, then draw $x$ from a *decoder* $p(x \mid z)$. Simple parts make rich results. Below, $z$ is one
# standard normal number, the decoder bends it and adds a little noise, and the density of $x$ has two humps.
#
# How likely is one $x$ under the recipe? Every cause could have led to it, so we add them all up:
#
# $$ p(x) = \int p(x \mid z)\, p(z)\, dz . $$
#
# This number is the *evidence*, and a good model gives its data a large one. With one latent number we can sum over a
# grid. With a hundred, a grid of ten points along each axis has $10^{100}$ points, and the integral is out of reach.
# The same integral is missing in Bayes' rule for the *posterior*, the causes that remain once $x$ is seen:
# $p(z \mid x) = p(x \mid z)\, p(z) / p(x)$.

# %%
prior = Gaussian(jnp.asarray(0.0), jnp.asarray(1.0))
grid = jnp.linspace(-6, 6, 4001)
width = grid[1] - grid[0]


def decoder(z):
    """p(x | z): bend z, add noise of standard deviation 0.4."""
    return Gaussian(2 * jnp.tanh(2 * z), jnp.asarray(0.4))


def log_joint(x, z):
    """log p(x, z) = log p(z) + log p(x | z)."""
    return prior.log_prob(z) + decoder(z).log_prob(x)


def log_evidence(x):
    """log p(x), summed over the grid of causes."""
    return jax.nn.logsumexp(jax.vmap(lambda z: log_joint(x, z))(grid)) + jnp.log(width)


x = jnp.asarray(1.9)
print(f"log p(x = 1.9) = {log_evidence(x):.4f} nats")

# %% [markdown]
# ## The ELBO, first way: Jensen's inequality
#
# Take any density $q(z \mid x)$ that we can draw from, and think of it as a guess at the posterior. The integral is an
# average over $q$, and the logarithm of an average is at least the average of the logarithm:
#
# $$ \log p(x) = \log \mathbb E_{q}\!\left[\frac{p(x, z)}{q(z \mid x)}\right]
#    \;\ge\; \mathbb E_{q}\!\left[\log \frac{p(x, z)}{q(z \mid x)}\right] = \mathrm{ELBO}. $$
#
# Averages we can estimate: draw a few $z$, look. So this is an *evidence lower bound*. It does not say how much was
# lost.
#
# ## The ELBO, second way: exactly
#
# The product rule says $p(x) = p(x, z) / p(z \mid x)$, for *every* $z$. Multiply and divide by $q(z \mid x)$, take the
# logarithm, and average over $q$; the left side has no $z$ in it and stays as it is:
#
# $$ \log p(x) = \underbrace{\mathbb E_{q}\!\left[\log \frac{p(x, z)}{q(z \mid x)}\right]}_{\mathrm{ELBO}}
#    + \underbrace{\mathbb E_{q}\!\left[\log \frac{q(z \mid x)}{p(z \mid x)}\right]}_{\mathrm{KL}(q(z \mid x)\,\|\,p(z \mid x))} . $$
#
# The second term is the *Kullback–Leibler divergence* of the guess from the true posterior. It is never negative, and
# zero only if the two agree. So this equation contains the inequality above, and it also says what is lost. Raise the
# ELBO by a better $q$, and the divergence falls by as much. Let us see all three numbers, by sums over the grid.


# %%
def elbo_and_divergence(x, q):
    """Return E_q[log p(x, z) − log q(z)] and KL(q ‖ p(z | x)), both summed over the grid."""
    log_q = jax.vmap(q.log_prob)(grid)
    log_p = jax.vmap(lambda z: log_joint(x, z))(grid)
    weight = jnp.exp(log_q) * width
    log_posterior = log_p - log_evidence(x)
    return jnp.sum(weight * (log_p - log_q)), jnp.sum(weight * (log_q - log_posterior))


first_guess = Gaussian(jnp.asarray(0.0), jnp.asarray(1.0))
bound, divergence = elbo_and_divergence(x, first_guess)
print(f"with q = prior:  ELBO {bound:.4f} + KL {divergence:.4f} = {bound + divergence:.4f}")

# %% [markdown]
# ## The variational autoencoder, in one paragraph
#
# Split $p(x, z) = p(x \mid z)\, p(z)$ and the ELBO falls into two terms:
#
# $$ \mathrm{ELBO} = \underbrace{\mathbb E_q[\log p(x \mid z)]}_{\text{reconstruction}}
#    - \underbrace{\mathrm{KL}(q(z \mid x)\,\|\,p(z))}_{\text{prior matching}} . $$
#
# The first asks $q$ to put $z$ where $x$ can be rebuilt from it; the second asks it to stay close to the prior. A
# *variational autoencoder* (VAE) has a network, the *encoder*, that reads $x$ and returns the mean $m$ and the width $s$
# of a Gaussian $q(z \mid x)$; another network is the decoder; and both climb the ELBO together. To differentiate an
# average over draws we write a draw as $z = m + s\,\varepsilon$ with $\varepsilon \sim \mathcal N(0, 1)$. Now the
# randomness sits in $\varepsilon$, which depends on nothing, and $m$ and $s$ are inside an ordinary function: this is the
# *reparameterisation*. Here it is at work for our one $x$, with two plain numbers in place of a network.


# %%
def minus_elbo(params, key):
    """An estimate of −ELBO from 64 draws, as a function of m and log s."""
    mean, log_std = params
    eps = jax.random.normal(key, (64,))
    z = mean + jnp.exp(log_std) * eps
    reconstruction = jax.vmap(lambda one: decoder(one).log_prob(x))(z)
    matching = vdmlite.kl(Gaussian(mean, jnp.exp(log_std)), prior)
    return matching - jnp.mean(reconstruction)


slope = jax.jit(jax.grad(minus_elbo))
params = jnp.asarray([0.0, 0.0])
for step_key in jax.random.split(fit_key, 400):
    params = params - 0.02 * slope(params, step_key)

best = Gaussian(params[0], jnp.exp(params[1]))
bound, divergence = elbo_and_divergence(x, best)
print(f"fitted q = N({best.mean:.2f}, {best.std:.2f}²)")
print(f"with that q:     ELBO {bound:.4f} + KL {divergence:.4f} = {bound + divergence:.4f}")

# %%
xs = jnp.linspace(-4, 4, 400)
posterior = jnp.exp(jax.vmap(lambda z: log_joint(x, z))(grid) - log_evidence(x))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.plot(xs, jnp.exp(jax.vmap(log_evidence)(xs)))
left.axvline(float(x), color="k", linestyle=LINES[3])
left.text(float(x) + 0.15, 0.345, "x = 1.9")
left.set(xlabel="x", ylabel="p(x)", ylim=(-0.01, 0.38), title="the evidence p(x) has two humps")
right.plot(grid, posterior, label="true posterior p(z | x)")
right.plot(grid, jnp.exp(jax.vmap(best.log_prob)(grid)), label="fitted q(z | x)")
right.plot(grid, jnp.exp(jax.vmap(prior.log_prob)(grid)), label="prior p(z)")
right.set(xlabel="z", ylabel="density", xlim=(-2.5, 6.5), title="causes of x = 1.9")
right.legend(loc="upper right")
show(
    figure,
    "Left: the density of x has two equal humps near −1.8 and 1.8, with x = 1.9 marked at the right "
    "one. Right: the true posterior rises steeply near z = 0.5 and falls off slowly; the fitted "
    "Gaussian covers it but is symmetric; the prior is wider and centred at zero.",
)

# %% [markdown]
# The sum never moves: what the ELBO won, the divergence lost. But the divergence did not fall to zero. The true
# posterior is lopsided and a Gaussian cannot follow it. There are two ways out. One is a richer $q$. The other, less
# obvious, is a model whose posterior *is* simple. Diffusion takes the second.
#
# ## Many latents in a chain
#
# Let the cause have a cause of its own, and so on. A *Markovian hierarchical VAE* has $T$ latents in a chain, each drawn
# from the one above it:
#
# $$ p(x, z_1, \dots, z_T) = p(z_T)\; \Big[\textstyle\prod_{t=2}^{T} p(z_{t-1} \mid z_t)\Big]\; p(x \mid z_1), \qquad
#    q(z_1, \dots, z_T \mid x) = q(z_1 \mid x) \textstyle\prod_{t=2}^{T} q(z_t \mid z_{t-1}) . $$
#
# The decoder runs down from $z_T$ to $x$, the encoder climbs up from $x$ to $z_T$. In this lesson the index counts
# the latents. Nothing else changes: read $z$ as the whole chain, and both derivations above hold word for word.
#
# ## The key picture
#
# Now a chain for which everything is known. $T = 4$ latents, each a single number, and each step is *linear Gaussian*:
# multiply by a slope, add an offset, add noise. Then the whole chain is one Gaussian in five dimensions, its posterior
# is Gaussian, and both sides of the equation can be computed without any sampling, on separate routes.
#
# You may skip the cell; only its three results matter. (It is in plain NumPy, which has double precision by itself.)
#
# - **Evidence and ELBO**, `chain_evidence` and `chain_elbo`, come term by term: we carry a mean and a variance along the
#   chain, and every term is the average of a squared distance.
# - **The divergence**, `chain_divergence`, comes from full covariance matrices: of $q$, and of the model conditioned
#   on $x$.


# %%
class Chain(NamedTuple):
    """Steps between neighbours; place 0 is the one between x and z_1."""

    slope: np.ndarray
    offset: np.ndarray
    std: np.ndarray


down = Chain(  # the model: place t − 1 goes from z_t to z_{t−1}, and place 0 from z_1 to x
    slope=np.array([0.9, 1.1, 0.8, 0.9]),
    offset=np.array([0.2, 0.1, -0.2, 0.3]),
    std=np.array([0.5, 0.4, 0.6, 0.5]),
)
x = 1.5


def log_normal(value, mean, std):
    """log N(value; mean, std²)."""
    return -0.5 * ((value - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)


def chain_evidence(x, down):
    """log p(x): carry mean and variance from z_T down to x."""
    mean, variance = 0.0, 1.0
    for slope, offset, std in reversed(list(zip(*down, strict=True))):
        mean, variance = slope * mean + offset, slope**2 * variance + std**2
    return log_normal(x, mean, np.sqrt(variance))


def chain_elbo(x, up, down):
    """E_q[log p(x, z) − log q(z | x)], one step of the chain at a time."""
    mean, variance = x, 0.0  # of z_{t−1} under q; at first that is x itself
    total = 0.0
    for (slope, offset, std), (back, shift, noise) in zip(
        zip(*up, strict=True), zip(*down, strict=True), strict=True
    ):
        next_mean, next_variance = slope * mean + offset, slope**2 * variance + std**2
        covariance = slope * variance  # of z_{t−1} and z_t
        # E_q[(z_{t−1} − back z_t − shift)²]: a squared mean and a variance.
        distance = (mean - back * next_mean - shift) ** 2
        distance += variance - 2 * back * covariance + back**2 * next_variance
        total += -0.5 * np.log(2 * np.pi * noise**2) - distance / (2 * noise**2)
        total += 0.5 * np.log(2 * np.pi * np.e * std**2)  # −E_q[log q(z_t | z_{t−1})]
        mean, variance = next_mean, next_variance
    return total - 0.5 * np.log(2 * np.pi) - 0.5 * (mean**2 + variance)  # E_q[log p(z_T)]


def joint(mean, variance, chain):
    """Mean vector and covariance matrix of a chain u_0, u_1, … with u_0 ~ N(mean, variance).

    (I − A) u = c + noise, with the slopes below the diagonal of A.
    """
    solve = np.linalg.inv(np.eye(len(chain.slope) + 1) - np.diag(chain.slope, -1))
    noise = np.append(variance, chain.std**2)
    return solve @ np.append(mean, chain.offset), (solve * noise) @ solve.T


def model_joint(down):
    """The model's joint of (x, z_1, …, z_T)."""
    mean, covariance = joint(0.0, 1.0, Chain(*(part[::-1] for part in down)))
    return mean[::-1], covariance[::-1, ::-1]


def chain_divergence(x, up, down):
    """KL(q(z | x) ‖ p(z | x)) between two Gaussians in T dimensions."""
    mean, cov = model_joint(down)
    gain = cov[1:, 0] / cov[0, 0]  # condition the model on x
    p_mean = mean[1:] + gain * (x - mean[0])
    p_cov = cov[1:, 1:] - np.outer(gain, cov[0, 1:])
    q_mean, q_cov = joint(x, 0.0, up)
    q_mean, q_cov = q_mean[1:], q_cov[1:, 1:]
    precision, shift = np.linalg.inv(p_cov), q_mean - p_mean
    log_ratio = np.linalg.slogdet(p_cov)[1] - np.linalg.slogdet(q_cov)[1]
    trace = np.trace(precision @ q_cov)
    return 0.5 * (trace - len(shift) + shift @ precision @ shift + log_ratio)


# %% [markdown]
# As encoders we take a whole family. At one end stands the *exact* one: the posterior of a chain is again a chain,
# $p(z_1 \mid x) \prod_t p(z_t \mid z_{t-1})$, and its steps can be read off the covariances. At the other end stands a
# *lazy* one that looks at nothing and draws every latent from $\mathcal N(0, 1)$. In between we mix slopes, offsets and
# widths: the share $d$ of laziness says how far $q$ is from exact.


# %%
def exact_encoder(down):
    """The steps z_{t−1} → z_t of the model's own posterior."""
    mean, cov = model_joint(down)
    slope = np.diag(cov, 1) / np.diag(cov)[:-1]
    variance = np.diag(cov)[1:] - slope * np.diag(cov, 1)
    return Chain(slope, mean[1:] - slope * mean[:-1], np.sqrt(variance))


exact = exact_encoder(down)
lazy = Chain(np.zeros(4), np.zeros(4), np.ones(4))


def encoder(d):
    """The exact encoder at d = 0, the lazy one at d = 1."""
    return Chain(*((1 - d) * e + d * z for e, z in zip(exact, lazy, strict=True)))


evidence = chain_evidence(x, down)
distances = np.append(0.0, np.logspace(-3, 0, 121))
elbos = np.array([chain_elbo(x, encoder(d), down) for d in distances])
gaps = evidence - elbos
divergences = np.array([chain_divergence(x, encoder(d), down) for d in distances])

print(f"evidence {evidence:.4f} nats")
print("    d      ELBO    evidence − ELBO        KL")
for i in (0, 41, 81, 109, 121):
    print(
        f"{distances[i]:5.2f}  {elbos[i]:8.4f}   {abs(gaps[i]):14.6f}  {abs(divergences[i]):9.6f}"
    )

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
left.axhline(float(evidence), color="k", linestyle=LINES[1])
left.text(0.55, float(evidence) + 0.35, "evidence log p(x)")
left.plot(distances, elbos, color=COLORS[0])
left.text(0.42, -6.2, "ELBO", color=COLORS[0])
left.fill_between(distances, elbos, float(evidence), color=COLORS[5], alpha=0.25)
left.text(0.68, -4.6, "the gap:\nKL(q ‖ p(z | x))")
left.set(xlabel="d, how far q is from the exact posterior", ylabel="nats", ylim=(-15.5, 0.5))
left.set_title("the ELBO meets the evidence where q is exact")

right.loglog(distances[1:], gaps[1:], color=COLORS[0], label="evidence − ELBO, term by term")
right.loglog(
    distances[1::12],
    divergences[1::12],
    color=COLORS[1],
    marker=MARKERS[1],
    linestyle="none",
    label="KL, from covariance matrices",
)
right.loglog(distances[1:], 4 * distances[1:] ** 2, color="0.5", linestyle=LINES[3])
right.text(0.02, 4e-4, "slope 2", color="0.35")
right.set(xlabel="d", ylabel="nats", title="ten times nearer, a hundred times smaller")
right.legend()
show(
    figure,
    "Left: the evidence is a horizontal line; the ELBO starts on it at d = 0, where q is exact, and "
    "falls away below it as d grows to 1; the shaded gap between them is labelled as the divergence. "
    "Right: on logarithmic axes the gap and the divergence, computed on two routes, lie on one "
    "line that runs parallel to a guide of slope 2.",
)

# %%
claim(
    "01",
    "evidence − ELBO against the KL, largest difference over all encoders, nats",
    np.abs(gaps - divergences).max(),
    at_most=1e-6,
)
claim(
    "01",
    "the gap that is left with the exact posterior as encoder, nats",
    abs(gaps[0]),
    at_most=1e-6,
)
assert (np.diff(gaps) > 0).all()  # and it closes all the way: nearer is always smaller

# %% [markdown]
# Look at the right panel once more. Near the exact posterior the gap is *quadratic* in the distance: an encoder ten per
# cent off costs a hundred times what an encoder one per cent off costs, roughly. Close is cheap; that is why bounds are
# of use at all.
#
# ## Three restrictions, and it is a diffusion model
#
# Take the chain of latents, and restrict it:
#
# 1. **Every latent has the shape of the data.** If $x$ is an image of $32 \times 32$ pixels, so is each $z_t$.
# 2. **The encoder is fixed**, not learned, and linear Gaussian: each step shrinks what it has by a known factor and adds
#    noise of a known size. (The form is fixed for good; how much noise at which step can be learned, lesson 07.)
# 3. **At the end nothing of $x$ is left**: $q(z_T \mid x)$ is the standard normal, as near as we like.
#
# What did we buy? The encoder has no weights, so there is nothing to learn in it, and we know all of it: any latent given
# $x$, any step back given $x$, in closed form (lesson 02). The gap between evidence and ELBO is as before, but now it is
# the *model* that has to move: instead of a $q$ that chases the posterior of $p$, we train a $p$ whose posterior is the
# simple $q$ that we chose. And there is no limit to $T$.
#
# Below is such a chain in the notation of Luo's tutorial, who counts steps $t = 1, \dots, T$ and keeps a share
# $\alpha_t$ of the power in step $t$: $z_t = \sqrt{\alpha_t}\, z_{t-1} + \sqrt{1 - \alpha_t}\,\varepsilon$. After $t$
# steps the share $\bar\alpha_t = \alpha_1 \alpha_2 \cdots \alpha_t$ of the signal's power is left.
#
# | | Luo 2022 | this course |
# |---|---|---|
# | data | $x_0$ | $x$ |
# | latents | $x_1, \dots, x_T$, counted | $z_t$ at a time $t$ between 0 and 1 |
# | first, last latent | $x_1$, $x_T$ | $z_0$, $z_1$ |
# | power kept in one step | $\alpha_t$ | $\alpha_{t \mid s}^2 = \alpha_t^2 / \alpha_s^2$, from $s$ to $t > s$ |
# | power of the signal | $\bar\alpha_t$ | $\alpha_t^2$ |
# | power of the noise | $1 - \bar\alpha_t$ | $\sigma_t^2$ |
# | noise level | $\mathrm{SNR} = \bar\alpha_t / (1 - \bar\alpha_t)$ | $\gamma_t = -\log \mathrm{SNR}$ |
# | the aim | maximise the ELBO | minimise the bound, −ELBO |
#
# Beware of three false friends. His $\alpha_t$ is a *power* of *one step*, ours is a *scale* since the *start*. Our $z_0$
# is not the data but the first, least noisy latent, his $x_1$. And $T$ counts latents with him, but steps between
# latents with us: from $z_0$ to $z_1$ in $T$ steps there are $T + 1$ latents.


# %%
def diffusion(T):
    """Luo's per-step α, and ᾱ before and after each step; ᾱ falls from 0.95 to 0.02."""
    log_snr = np.linspace(np.log(0.95 / 0.05), np.log(0.02 / 0.98), T)
    bar = 1 / (1 + np.exp(-log_snr))
    before = np.append(1.0, bar[:-1])
    return bar / before, before, bar


alpha, before, bar = diffusion(10)
gamma = np.log((1 - bar) / bar)
print(" t   Luo's α_t   ᾱ_t = our α²   γ")
for t in range(10):
    print(f"{t + 1:2d}   {alpha[t]:8.4f}   {bar[t]:9.4f}    {gamma[t]:+8.3f}")

# Our package, told γ, takes the same step as Luo's formula.
ours = process.transition(jnp.asarray(0.7), gamma[3], gamma[4])
np.testing.assert_allclose(ours.mean, np.sqrt(alpha[4]) * 0.7)
np.testing.assert_allclose(ours.std, np.sqrt(1 - alpha[4]))

# %% [markdown]
# ## One bound, split in two ways
#
# For the rest of this lesson we count as Luo does, and use his $\alpha$, but write $z$: $z_0 := x$, $z_1, \dots, z_T$.
# From lesson 02 on, time runs from 0 to 1.
#
# The ELBO of a chain is a sum over its steps, and there are two ways to group it. The first pairs, for each latent, the
# step that made it going up with the step that makes it coming down:
#
# $$ \mathrm{ELBO} = \mathbb E[\log p(x \mid z_1)] - \mathbb E\big[\mathrm{KL}(q(z_T \mid z_{T-1}) \,\|\, p(z_T))\big]
#    - \sum_{t=1}^{T-1} \mathbb E\!\left[\log \frac{q(z_t \mid z_{t-1})}{p(z_t \mid z_{t+1})}\right]. $$
#
# Each of the last terms asks for *consistency*: going up from below or coming down from above, $z_t$ should look the
# same. To estimate one we must draw three neighbours, $z_{t-1}$, $z_t$ and $z_{t+1}$.
#
# The second way turns the encoder round. Given $x$, Bayes' rule writes each step up as a step down,
# $q(z_t \mid z_{t-1}) = q(z_{t-1} \mid z_t, x)\, q(z_t \mid x) / q(z_{t-1} \mid x)$; in the sum the last two factors
# cancel, each with its neighbour, except at the ends:
#
# $$ \mathrm{ELBO} = \underbrace{\mathbb E[\log p(x \mid z_1)]}_{\text{reconstruction}}
#    - \underbrace{\mathrm{KL}(q(z_T \mid x) \,\|\, p(z_T))}_{\text{prior matching}}
#    - \sum_{t=2}^{T} \underbrace{\mathbb E\big[\mathrm{KL}(q(z_{t-1} \mid z_t, x) \,\|\, p(z_{t-1} \mid z_t))\big]}_{\text{denoising matching}} . $$
#
# Now the model's step down is compared with the step down that somebody who knows $x$ would take. To estimate one term
# we draw one variable, $z_t$, in one jump from $x$; the rest is a divergence of two Gaussians, in closed form.
#
# For the numbers we need a model. Ours takes the step of $q(z_{t-1} \mid z_t, x)$ with a guess in place of $x$,
# $\hat x = \sqrt{\bar\alpha_t}\, z_t$, which is the best guess if the data is standard normal. All is linear Gaussian, so
# the ELBO is also known exactly, from `chain_elbo` above.


# %%
def both_chains(T):
    """Encoder, model, and the two weights of q(z_{t−1} | z_t, x): of z_t and of x."""
    alpha, before, bar = diffusion(T)
    weight_z = np.sqrt(alpha) * (1 - before) / (1 - bar)
    weight_x = np.sqrt(before) * (1 - alpha) / (1 - bar)
    std = np.sqrt((1 - alpha) * (1 - before) / (1 - bar))
    slope = weight_z + weight_x * np.sqrt(bar)  # x̂ = √ᾱ z_t in the place of x
    # The last step is the decoder, p(x | z_1) = N(z_1/√ᾱ_1, (1 − ᾱ_1)/ᾱ_1).
    slope[0], std[0] = 1 / np.sqrt(bar[0]), np.sqrt((1 - bar[0]) / bar[0])
    up = Chain(np.sqrt(alpha), np.zeros(T), np.sqrt(1 - alpha))
    return up, Chain(slope, np.zeros(T), std), weight_z, weight_x


up, down, weight_z, weight_x = both_chains(10)
# Lesson 02 derives the step back; here we hold it against the package.
ours = process.posterior(jnp.asarray(0.3), jnp.asarray(0.8), gamma[3], gamma[4])
np.testing.assert_allclose(ours.mean, weight_z[4] * 0.3 + weight_x[4] * 0.8)
np.testing.assert_allclose(ours.std, down.std[4])


def kl_normal(mean_q, std_q, mean_p, std_p):
    """KL(N(mean_q, std_q²) ‖ N(mean_p, std_p²))."""
    ratio = (std_q / std_p) ** 2
    return 0.5 * (ratio - 1 - np.log(ratio) + ((mean_q - mean_p) / std_p) ** 2)


# The package has it, for any number of dimensions, as `vdmlite.kl`.
q, p = (Gaussian(jnp.asarray(m), jnp.asarray(s)) for m, s in ((0.3, 0.5), (-0.2, 0.8)))
np.testing.assert_allclose(vdmlite.kl(q, p), kl_normal(0.3, 0.5, -0.2, 0.8))

# %%
x = 0.8


class Terms(NamedTuple):
    """The terms of both splits; the last axis counts the paths."""

    rebuilt: np.ndarray  # log p(x | z_1)
    last: np.ndarray  # KL(q(z_T | z_{T−1}) ‖ p(z_T))
    consistency: np.ndarray
    prior: float  # KL(q(z_T | x) ‖ p(z_T)), known exactly
    denoising: np.ndarray
    afresh: np.ndarray  # for a remark below


def terms(T, draws, key):
    """Draw many paths up the chain, and all terms along each."""
    up, down, weight_z, weight_x = both_chains(T)
    # One row for each step, so that they multiply rows of latents.
    rise, noise, fall, std = (a[:, None] for a in (up.slope, up.std, down.slope, down.std))
    weight_z, weight_x = weight_z[:, None], weight_x[:, None]

    z = np.empty((T + 1, draws))  # z[t] is z_t, and z[0] is x
    z[0] = x
    eps = np.asarray(jax.random.normal(key, (T, draws)))
    for t in range(T):
        z[t + 1] = up.slope[t] * z[t] + up.std[t] * eps[t]

    climb = log_normal(z[1:], rise * z[:-1], noise)  # log q(z_t | z_{t−1})
    descend = log_normal(z[:-1], fall * z[1:], std)  # log p(z_{t−1} | z_t)
    knowing = weight_z[1:] * z[2:] + weight_x[1:] * x  # the mean of q(z_{t−1} | z_t, x)
    end = diffusion(T)[2][-1]  # ᾱ_T
    return Terms(
        rebuilt=descend[0],
        last=kl_normal(up.slope[-1] * z[-2], up.std[-1], 0.0, 1.0),
        consistency=climb[:-1] - descend[1:],
        prior=kl_normal(np.sqrt(end) * x, np.sqrt(1 - end), 0.0, 1.0),
        denoising=kl_normal(knowing, std[1:], fall[1:] * z[2:], std[1:]),
        afresh=kl_normal(rise[:-1] * z[:-2], noise[:-1], fall[1:] * z[2:], std[1:]),
    )


draws = pick(smoke=20_000, laptop=200_000)
ten = terms(10, draws, paths_key)
first = ten.rebuilt - ten.last - ten.consistency.sum(0)
second = ten.rebuilt - ten.prior - ten.denoising.sum(0)
truth = chain_elbo(x, up, down)


def report(name, values):
    """Print a mean with its standard error; return their distance from the truth in errors."""
    error = values.std(ddof=1) / np.sqrt(draws)
    print(f"{name:24s} {values.mean():8.3f} ± {error:.3f}")
    return abs(values.mean() - truth) / error


print(f"{'exact ELBO':24s} {truth:8.3f}")
worst = max(report("with consistency terms", first), report("with denoising terms", second))
assert worst < 5  # standard errors

# %% [markdown]
# The same value. Now the price of one draw. In training nobody walks the whole chain; we pick *one step at random*, draw
# what its term asks for, and multiply by the number of steps. How far does such an estimate scatter?


# %%
def one_step_scatter(T, draws, key):
    """Standard deviation of (T − 1) × the term of one random step, for both splits."""
    path_key, pick_key = jax.random.split(key)
    drawn = terms(T, draws, path_key)
    step = np.asarray(jax.random.randint(pick_key, (draws,), 0, T - 1))
    path = np.arange(draws)
    return [((T - 1) * c[step, path]).std() for c in (drawn.consistency, drawn.denoising)]


lengths = [5, 10, 20, 40, 80]
tries = pick(smoke=4_000, laptop=40_000)
scatter = np.array(
    [one_step_scatter(T, tries, jax.random.fold_in(scatter_key, T)) for T in lengths]
)
print("  T   consistency   denoising   (standard deviation of a one-step estimate, nats)")
for T, (a, b) in zip(lengths, scatter, strict=True):
    print(f"{T:3d}   {a:8.1f}      {b:8.2f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4))
names = ("consistency: three neighbours", "denoising matching: one latent")
for values, start, name, i in (
    (ten.consistency, 1, names[0], 1),
    (ten.denoising, 2, names[1], 0),
):
    steps = np.arange(start, start + len(values))
    look = {"color": COLORS[i], "linestyle": LINES[i], "marker": MARKERS[i]}
    left.semilogy(steps, values.std(1), label=name, **look)
    right.loglog(lengths, scatter[:, 1 - i], **look)
right.text(19, 26, "consistency", color=COLORS[1], ha="right")
right.text(19, 3.6, "denoising matching", color=COLORS[0])
left.set(xlabel="t", ylabel="nats", title="scatter of each term, T = 10")
left.legend(loc="lower left")
right.set(
    xlabel="T, number of latents", ylabel="nats", title="scatter of an estimate from one step"
)
right.set_xticks(lengths, [str(T) for T in lengths])
right.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
right.minorticks_off()
show(
    figure,
    "Left: the standard deviation of each term at T = 10; consistency terms stay near 1 nat, "
    "denoising terms fall from 0.7 to below 0.01. Right: for an estimate from one random step "
    "it grows, from T = 10 on in proportion to T, with consistency terms; with denoising terms "
    "it falls a little and levels off near 3.",
)

# %% [markdown]
# A consistency term compares two noisy draws, so it scatters by about one nat however short the step; multiplied by the
# number of steps, the estimate gets worse the finer the chain. A denoising term shrinks with the step, and the estimate
# does not care how fine the chain is. With thousands of steps only the second can be trained.
#
# Two remarks follow, for exactness, with their numbers below. Nothing later needs them.
#
# <details><summary>Whole paths, and Luo's consistency term</summary>
#
# First, the scatter is that of *one step at a time*. If we draw a whole path and add all its
# terms, the first split gives $\log p(x, z) - \log q(z \mid x)$, its averaged last term aside, and the noises of
# neighbouring terms largely cancel; here it even scatters less than the second split. (Were $q$ the exact posterior, this
# difference would be $\log p(x)$ whatever the $z$, without any scatter.) But a whole path costs $T$ evaluations of the
# model. Second, Luo writes the consistency term as a divergence,
# $\mathrm{KL}(q(z_t \mid z_{t-1}) \,\|\, p(z_t \mid z_{t+1}))$, averaged over two variables. Taken at its word this draws
# $z_t$ afresh from $z_{t-1}$, as if it had nothing to do with $z_{t+1}$, and that is another number.
# </details>

# %%
print(
    f"whole paths: scatter {first.std():.2f} with consistency, {second.std():.2f} with denoising"
)
print(f"consistency terms, neighbours drawn together {ten.consistency.sum(0).mean():6.2f}")
print(f"consistency terms, z_t drawn afresh          {ten.afresh.sum(0).mean():6.2f}")

# %% [markdown]
# ## Ask yourself
#
# 1. The ELBO of a model went up by 0.3 nats after the encoder alone was trained. What happened to the evidence, and to
#    $\mathrm{KL}(q \,\|\, p(z \mid x))$?
# 2. Which term of the second split has no weight of the model in it, and when does it vanish?
# 3. Which terms vanish if the guess $\hat x$ is always right?
# 4. The lazy encoder has $d = 1$. What is its prior matching term in a VAE, and what does the decoder then learn from $z$?
#
# <details><summary>Answers</summary>
#
# 1. The evidence depends on the model $p$ only, so it stayed. The divergence fell by 0.3 nats.
# 2. Prior matching. It vanishes as $\bar\alpha_T \to 0$, when nothing of $x$ is left in the last latent.
# 3. All denoising matching terms: the model's step down is then the step of $q(z_{t-1} \mid z_t, x)$. Reconstruction and
#    prior matching stay.
# 4. Zero, because $q$ *is* the prior. But then $z$ knows nothing of $x$, and the decoder can only learn what is common to
#    all examples.
# </details>
#
# ## Take along
#
# > **Evidence = ELBO + KL(q ‖ true posterior); a diffusion model is a chain of latents whose q is fixed and simple, and
# > its bound is trained one denoising step at a time.**
#
# Exercises: `exercises/01_latent_variables.ipynb`. Next: lesson 02, the fixed encoder and its one number, γ.
