# %% [markdown]
# # 01 · From latent variables to diffusion
#
# *Half a minute on 2 CPU cores · 60 minutes to study · after lesson 00 · Luo §1–2 and the opening of his diffusion
# section, VDM §3 · files `gaussian.py`, `process.py`*
#
# **The idea.** A model with hidden variables cannot say how likely an example is, but it can say "at least this likely".
# What it leaves unsaid has a name: the divergence between the posterior that we used and the true one. A diffusion model
# has many hidden variables and the plainest possible guess at them. (The path is that of Luo's tutorial of 2022,
# *Understanding Diffusion Models: A Unified Perspective*; VDM is Kingma et al. 2021.)
#
# The lesson has three sittings of about twenty minutes: one latent and its bound; a chain of latents, with the key picture; and what makes the
# chain a diffusion model. Each ends with a line in *italics*. It is enough to know that line before you go on.
#
# **After this lesson you can**
# - write the evidence lower bound, the ELBO, in two ways, and say which of them shows what is lost;
# - name the three restrictions that turn a chain of latent variables into a diffusion model;
# - split its bound into one term for each step, in the way that can be trained.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import Gaussian, process
from vdmlite.course import chains, claim, pick, show, slider
from vdmlite.course.chains import Chain, log_normal
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
# This number is the *evidence*. With one latent number we can sum over a grid. With a hundred, a grid of ten points along
# each axis has $10^{100}$ points, and the integral is out of reach. The same integral is missing in Bayes' rule for the
# *posterior*, the causes that remain once $x$ is seen: $p(z \mid x) = p(x \mid z)\, p(z) / p(x)$.
#
# Two letters, for the whole course. $p$ is the model, which comes down from latents to $x$. $q$ is what starts at the
# data and goes up to latents: $q(x)$ is the density of the data themselves. A good model gives them much evidence, that
# is, a large mean of $\log p(x)$ over $x \sim q(x)$.

# %%
prior = Gaussian(jnp.asarray(0.0), jnp.asarray(1.0))
grid = jnp.linspace(-6, 6, 4001)
spacing = grid[1] - grid[0]


def decoder(z):
    """p(x | z): bend z, add noise of standard deviation 0.4."""
    return Gaussian(2 * jnp.tanh(2 * z), jnp.asarray(0.4))


def log_joint(x, z):
    """log p(x, z) = log p(z) + log p(x | z)."""
    return prior.log_prob(z) + decoder(z).log_prob(x)


def log_evidence(x):
    """log p(x), summed over the grid. logsumexp(a) is log Σ exp(a), and never overflows."""
    return jax.nn.logsumexp(jax.vmap(lambda z: log_joint(x, z))(grid)) + jnp.log(spacing)


x = jnp.asarray(1.9)
print(f"evidence: log p(x = 1.9) = {log_evidence(x):.4f} nats")

# %% [markdown]
# ## The ELBO, first way: Jensen's inequality
#
# Take any density $q(z \mid x)$ that we can draw from, and think of it as a guess at the posterior. The integral is an
# average over $q$, and the logarithm of an average is at least the average of the logarithm:
#
# $$ \log p(x) = \log \mathbb E_{q}\!\left[\frac{p(x, z)}{q(z \mid x)}\right]
#    \;\ge\; \mathbb E_{q}\!\left[\log \frac{p(x, z)}{q(z \mid x)}\right] = \mathrm{ELBO}. $$
#
# An average can be estimated from draws of $z$. So we have an *evidence lower bound*. It does not say how much was lost.
#
# ## The ELBO, second way: exactly
#
# The product rule says $p(x) = p(x, z) / p(z \mid x)$, for *every* $z$. Multiply and divide by $q(z \mid x)$, take the
# logarithm, and average over $q$. The left side has no $z$ in it and stays as it is:
#
# $$ \log p(x) = \underbrace{\mathbb E_{q}\!\left[\log \frac{p(x, z)}{q(z \mid x)}\right]}_{\mathrm{ELBO}}
#    + \underbrace{\mathbb E_{q}\!\left[\log \frac{q(z \mid x)}{p(z \mid x)}\right]}_{\mathrm{KL}(q(z \mid x)\,\|\,p(z \mid x))} . $$
#
# The second term is the *Kullback–Leibler divergence* of the guess from the true posterior. It is never negative, and
# zero only if the two agree. So this equation contains the inequality above, and it also says what is lost. Raise the
# ELBO by a better $q$, and the divergence falls by as much. Let us see all three numbers, by sums over the grid.


# %%
@jax.jit
def elbo_and_divergence(x, q):
    """Return E_q[log p(x, z) − log q(z)] and KL(q ‖ p(z | x)), both summed over the grid."""
    log_q = jax.vmap(q.log_prob)(grid)
    log_p = jax.vmap(lambda z: log_joint(x, z))(grid)
    weight = jnp.exp(log_q) * spacing
    log_posterior = log_p - log_evidence(x)
    return jnp.sum(weight * (log_p - log_q)), jnp.sum(weight * (log_q - log_posterior))


def report_sum(name, q):
    """Print the ELBO and the divergence of q, their sum, and the evidence."""
    bound, divergence = elbo_and_divergence(x, q)
    together = f"ELBO {bound:8.4f} + KL {divergence:7.4f} = {bound + divergence:.4f}"
    print(f"{name:<13} {together}    evidence {log_evidence(x):.4f}")


report_sum("q = prior:", prior)

# %% [markdown]
# ## The variational autoencoder, in one paragraph
#
# Split $p(x, z) = p(x \mid z)\, p(z)$ and the ELBO falls into two terms:
#
# $$ \mathrm{ELBO} = \underbrace{\mathbb E_q[\log p(x \mid z)]}_{\text{reconstruction}}
#    - \underbrace{\mathrm{KL}(q(z \mid x)\,\|\,p(z))}_{\text{prior matching}} . $$
#
# The first asks $q$ to put $z$ where $x$ can be rebuilt from it; the second asks it to stay close to the prior. A
# *neural network* is a function with many adjustable numbers, its *weights*, put together from matrix products and
# simple bends; gradient descent sets the weights. A *variational autoencoder* (VAE) has two networks. The *encoder*
# reads $x$ and returns the mean $m$ and the width $s$ of a Gaussian $q(z \mid x)$; the other network is the decoder;
# and both climb the ELBO together. To differentiate an average over draws, we write a draw as $z = m +
# s\,\varepsilon$ with $\varepsilon \sim \mathcal N(0, 1)$. Now the randomness sits in $\varepsilon$, which depends on
# nothing, and $m$ and $s$ are inside an ordinary function. This is the *reparameterisation*. Here it is at work for
# our one $x$, with two plain numbers in place of a network.


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
print(f"fitted q = N({best.mean:.2f}, {best.std:.2f}²)")
report_sum("q = prior:", prior)
report_sum("fitted q:", best)

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
    "one. Right: the true posterior rises steeply to its peak near z = 0.7 and falls off slowly. The "
    "fitted Gaussian is symmetric: its peak, near 1.05, is higher and further right, it begins too "
    "early, and it misses most of the posterior's tail beyond z = 2. The prior is wide and centred at 0.",
)

# %% [markdown]
# The sum never moves: what the ELBO won, the divergence lost. Move $q$ yourself (in a live notebook), first its mean,
# then its width. Where is the divergence smallest? Which costs more, too narrow a $q$ or too wide a one?


# %%
def weigh(mean, std):
    """Draw q beside the posterior, and the two bars that make the evidence."""
    q = Gaussian(jnp.asarray(mean, float), jnp.asarray(std, float))
    bound, divergence = (float(a) for a in elbo_and_divergence(x, q))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.5))
    left.plot(grid, posterior, label="p(z | x)")
    left.plot(grid, jnp.exp(jax.vmap(q.log_prob)(grid)), label="q(z | x)")
    left.set(xlabel="z", ylabel="density", xlim=(-1.5, 4.5), ylim=(-0.05, 1.6))
    left.set_title(f"q = N({mean:.2f}, {std:.2f}²)".replace("-", "−"))
    left.legend(loc="upper right")
    right.barh(1, bound, color=COLORS[0], label="ELBO")
    right.barh(
        0, divergence, left=bound, color=COLORS[4], hatch="//", edgecolor="w", label="KL"
    )
    right.axvline(float(log_evidence(x)), color="k", linestyle=LINES[1])
    right.set_yticks([1, 0], [f"ELBO {bound:.2f}".replace("-", "−"), f"KL {divergence:.2f}"])
    right.set(xlabel="nats", xlim=(-12, 0.5), title="ELBO + KL = evidence (dashed)")
    right.grid(axis="y", visible=False)
    return figure


slider(
    lambda mean: weigh(mean, float(best.std)),
    -0.1,
    1.3,
    "Left: the posterior, and a Gaussian q whose mean can be moved. Right: a bar from 0 leftwards to the "
    "ELBO, and below it one from there back to the dashed line of the evidence at −1.14: the divergence. With "
    "the mean at 0.60, left of the best one, the divergence is 1.85 nats.",
    name="mean",
)
slider(
    lambda std: weigh(float(best.mean), std),
    0.1,
    1.5,
    "The same with a q whose width can be changed, around the best mean. With a width of 0.80, twice "
    "the best one, q reaches far to the left of the posterior, and the divergence is 2.64 nats.",
    name="width",
)

# %% [markdown]
# The divergence is smallest at the fitted $q$. Too wide costs more than too narrow: $q$ then lies where the posterior
# has almost nothing. However we move it, the divergence does not fall to zero. The true posterior is lopsided and a
# Gaussian cannot follow it. There are two ways out. One is a richer $q$. The other, less obvious, is a model whose
# posterior *is* simple. Diffusion takes the second.
#
# *End of the first sitting: evidence = ELBO + divergence, so a better $q$ makes a better bound and changes no model.*
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
# is Gaussian, and both sides of the equation can be computed without any sampling. `vdmlite.course.chains` does it, on
# two separate routes: `evidence` and `elbo` carry a mean and a variance along the chain, term by term; `divergence`
# compares the covariance matrices of $q$ and of the model's posterior.
#
# As encoders we take a whole family. At one end stands the *exact* one, the model's own posterior. At the other end
# stands a *lazy* one that looks at nothing and draws every latent from $\mathcal N(0, 1)$. In between we mix slopes,
# offsets and widths: the share $d$ of laziness says how far $q$ is from exact.

# %%
down = Chain(  # the model: place t − 1 goes from z_t to z_{t−1}, and place 0 from z_1 to x
    slope=np.array([0.9, 1.1, 0.8, 0.9]),
    offset=np.array([0.2, 0.1, -0.2, 0.3]),
    std=np.array([0.5, 0.4, 0.6, 0.5]),
)
example = 1.5
exact = chains.exact_encoder(down)
lazy = Chain(np.zeros(4), np.zeros(4), np.ones(4))


def encoder(d):
    """The exact encoder at d = 0, the lazy one at d = 1."""
    return Chain(*((1 - d) * one + d * other for one, other in zip(exact, lazy, strict=True)))


evidence = chains.evidence(example, down)
distances = np.append(0.0, np.logspace(-3, 0, 121))
elbos = np.array([chains.elbo(example, encoder(d), down) for d in distances])
gaps = evidence - elbos
divergences = np.array([chains.divergence(example, encoder(d), down) for d in distances])

print("    d     evidence      ELBO    evidence − ELBO        KL")
for i in (0, 41, 81, 109, 121):
    print(
        f"{distances[i]:5.2f}   {evidence:9.4f}  {elbos[i]:9.4f}   {abs(gaps[i]):14.6f}"
        f"  {abs(divergences[i]):9.6f}"
    )

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
left.axhline(evidence, color="k", linestyle=LINES[1])
left.text(0.55, evidence + 0.35, "evidence log p(x)")
left.plot(distances, elbos, color=COLORS[0])
left.text(0.42, -6.2, "ELBO", color=COLORS[0])
left.fill_between(distances, elbos, evidence, color=COLORS[5], alpha=0.25)
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
# Look at the right panel once more. Near the exact posterior the gap is *quadratic* in the distance: an encoder that is
# ten per cent off costs about a hundred times what an encoder one per cent off costs. An encoder that is nearly right
# loses almost nothing, and this makes bounds useful.
#
# *End of the second sitting: for a chain of latents the same equation holds, and a $q$ that is nearly right loses next to nothing.*
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
# What did we buy? The encoder has no weights to learn, and we know all of it in closed form: any latent given $x$, any
# step back given $x$ (lesson 02). The gap between evidence and ELBO is as before, but now the *model* has to move.
# Before, a $q$ chased the posterior of $p$. Now we train a $p$ whose posterior is the simple $q$ that we chose. And there
# is no limit to $T$.
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
# Three symbols look alike and differ. His $\alpha_t$ is a *power* of *one step*, ours is a *scale* since the *start*. Our
# $z_0$ is not the data but the first, least noisy latent, his $x_1$. And his $T$ counts latents, ours counts the steps
# between latents: from $z_0$ to $z_1$ in $T$ steps there are $T + 1$ latents.


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
# same. To estimate one we must draw three neighbours, $z_{t-1}$, $z_t$ and $z_{t+1}$, together. (Luo writes the term as a
# divergence; read it as this log ratio.)
#
# The second way turns the encoder round. Given $x$, Bayes' rule writes each step up as a step down,
# $q(z_t \mid z_{t-1}) = q(z_{t-1} \mid z_t, x)\, q(z_t \mid x) / q(z_{t-1} \mid x)$. In the sum the last two factors
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
# evidence and ELBO are also known exactly.


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
    """KL(N(mean_q, std_q²) ‖ N(mean_p, std_p²)); the package has it as `vdmlite.kl`."""
    ratio = (std_q / std_p) ** 2
    return 0.5 * (ratio - 1 - np.log(ratio) + ((mean_q - mean_p) / std_p) ** 2)


# %%
example = 0.8


def terms(T, draws, key):
    """Draw paths up the chain; return both kinds of terms, a row a step, and both sums."""
    up, down, weight_z, weight_x = both_chains(T)
    # One row for each step, so that they multiply rows of latents.
    rise, noise, fall, std = (a[:, None] for a in (up.slope, up.std, down.slope, down.std))
    z = np.empty((T + 1, draws))  # z[t] is z_t, and z[0] is the example
    z[0] = example
    for t, eps in enumerate(np.asarray(jax.random.normal(key, (T, draws)))):
        z[t + 1] = up.slope[t] * z[t] + up.std[t] * eps

    climb = log_normal(z[1:], rise * z[:-1], noise)  # log q(z_t | z_{t−1})
    descend = log_normal(z[:-1], fall * z[1:], std)  # log p(z_{t−1} | z_t)
    consistency = climb[:-1] - descend[1:]
    last = kl_normal(up.slope[-1] * z[-2], up.std[-1], 0.0, 1.0)

    knowing = (
        weight_z[1:, None] * z[2:] + weight_x[1:, None] * example
    )  # mean of q(z_{t−1} | z_t, x)
    denoising = kl_normal(knowing, std[1:], fall[1:] * z[2:], std[1:])
    end = diffusion(T)[2][-1]  # ᾱ_T
    prior_matching = kl_normal(np.sqrt(end) * example, np.sqrt(1 - end), 0.0, 1.0)

    first = descend[0] - last - consistency.sum(0)
    second = descend[0] - prior_matching - denoising.sum(0)
    return consistency, denoising, first, second


draws = pick(smoke=20_000, laptop=200_000)
_, _, first, second = terms(10, draws, paths_key)
truth = chains.elbo(example, up, down)


def report(name, values):
    """Print a mean with its standard error; return their distance from the truth in errors."""
    error = values.std(ddof=1) / np.sqrt(draws)
    print(f"{name:24s} {values.mean():8.3f} ± {error:.3f}")
    return abs(values.mean() - truth) / error


print(f"{'evidence':24s} {chains.evidence(example, down):8.3f}")
print(f"{'exact ELBO':24s} {truth:8.3f}")
worst = max(report("with consistency terms", first), report("with denoising terms", second))
assert worst < 5  # standard errors
print(f"scatter of a whole path: {first.std():.2f} and {second.std():.2f} nats")

# %% [markdown]
# The same value. Now the price of one draw. In training nobody walks the whole chain; we pick *one step at random*, draw
# what its term asks for, and multiply by the number of steps. How far does such an estimate scatter?
# (`jax.random.fold_in(key, n)` makes a new key of a key and a number: here one for each $T$.)


# %%
def one_step_scatter(T, draws, key):
    """Standard deviation of (T − 1) × the term of one random step, for both splits."""
    path_key, pick_key = jax.random.split(key)
    consistency, denoising, _, _ = terms(T, draws, path_key)
    step = np.asarray(jax.random.randint(pick_key, (draws,), 0, T - 1))
    path = np.arange(draws)
    return [((T - 1) * kind[step, path]).std() for kind in (consistency, denoising)]


lengths = [5, 10, 20, 40, 80]
tries = pick(smoke=4_000, laptop=40_000)
scatter = np.array(
    [one_step_scatter(T, tries, jax.random.fold_in(scatter_key, T)) for T in lengths]
)
print("  T   consistency   denoising   (standard deviation of a one-step estimate, nats)")
for T, (one, other) in zip(lengths, scatter, strict=True):
    print(f"{T:3d}   {one:8.1f}      {other:8.2f}")

# %%
figure, ax = plt.subplots(figsize=(6, 3.4))
for i, name in ((1, "consistency: three neighbours"), (0, "denoising matching: one latent")):
    ax.loglog(
        lengths,
        scatter[:, 1 - i],
        color=COLORS[i],
        linestyle=LINES[i],
        marker=MARKERS[i],
        label=name,
    )
ax.set(
    xlabel="T, number of latents", ylabel="nats", title="scatter of an estimate from one step"
)
ax.set_xticks(lengths, [str(T) for T in lengths])
ax.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
ax.minorticks_off()
ax.legend()
show(
    figure,
    "The scatter of an estimate from one random step, against the number of latents T. With consistency "
    "terms it grows, from T = 10 on in proportion to T, to 81 nats at T = 80. With denoising terms "
    "it falls a little and levels off near 3.",
)

# %% [markdown]
# A consistency term compares two noisy draws, so it scatters by about one nat however short the step. Multiplied by
# the number of steps, the estimate gets worse the finer the chain. A denoising term shrinks with the step, and the
# estimate does not care how fine the chain is. With thousands of steps only the second can be trained. (Over a
# *whole* path the noises of neighbouring consistency terms largely cancel: the first of the two scatters printed
# further up, that of a whole path, is far smaller. But a whole path costs $T$ evaluations of the model.)
#
# *End of the third sitting: a diffusion model is a chain whose $q$ is fixed, and its bound is trained one denoising step at a time.*
#
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
