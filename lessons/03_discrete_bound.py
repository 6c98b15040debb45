# %% [markdown]
# # 03 · The bound in discrete time
#
# *Half a minute on 2 CPU cores · 60 minutes to study · after lesson 02 · VDM §3.3–3.5 and §4, Luo §3 · files `model.py`,
# `bound.py`*
#
# **The idea.** The walk back to the data needs to know where it began. A model does not know, so it guesses, and at
# every step it pays for the error of its guess. All these prices, added up, are a bound on $-\log p(x)$.
#
# **After this lesson you can**
# - turn a guess of $x$ into a generative model, and say what each of the three terms of its bound pays for;
# - compute the price of a step in one line, without drawing a single sample;
# - train a small model and say, in nats, how far it is from the best possible one, and why.

# %%
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import vdmlite
from vdmlite import alpha, data, kl, marginal, posterior, recipes, snr
from vdmlite.course import claim, pick, progress, show
from vdmlite.viz import COLORS, LINES, panels, points

# In double precision as long as nothing is trained: we shall compare to many digits.
jax.config.update("jax_enable_x64", True)
keys = jax.random.split(jax.random.key(3), 8)
gauss_key, data_key, init_key, batch_key, train_key, sample_key, test_key, bound_key = keys

# %% [markdown]
# ## The model: the step back, with a guess
#
# Time runs from 0 to 1, and γ rises with it, from $\gamma_0$ to $\gamma_1$. How γ rises is ours to choose: the function
# $\gamma(t)$ is called the **schedule**. Here it is a straight line from −13.3 to 5, `FixedLinear(-13.3, 5.0)`.
#
# Cut the time into $T$ steps. The latents are $z_0, z_{1/T}, z_{2/T}, \dots, z_1$, and a step back goes from $t = i/T$ to
# $s = (i-1)/T$. The last of them, $z_0$, is not the data $x$: it still has the noise of $\gamma_0$, here about a
# thousandth. Lesson 02 gave the step back for those who know $x$: it is $q(z_s \mid z_t, x)$. A model has only $z_t$. So
# it guesses, and takes the same step with its guess $\hat x$ in the place of $x$:
#
# $$ p(z_s \mid z_t) = q\big(z_s \mid z_t,\; x = \hat x(z_t)\big). $$
#
# The function that guesses is called a **denoiser**. It sees the latent $z_t$ and the noise level $\gamma_t$. Because
# $z_t = \alpha_t x + \sigma_t \varepsilon$, a guess of $x$ is also a guess of the noise,
# $\hat\varepsilon = (z_t - \alpha_t \hat x)/\sigma_t$.
#
# Two more pieces make a whole model: a start, $p(z_1) = \mathcal N(0, I)$, and an end, the **decoder** $p(x \mid
# z_0)$, which turns the cleanest latent into data. Here the data are real numbers, and the decoder believes that $x$
# is $z_0/\alpha_0$, up to the noise that is still in $z_0$: $p(x \mid z_0) = \mathcal N(z_0/\alpha_0,\;
# \sigma_0^2/\alpha_0^2)$, where $\sigma_0^2/\alpha_0^2 = e^{\gamma_0}$.
#
# A network will learn to guess later on. We begin with data so plain that the best guess is known: single
# numbers, Gaussian, with standard deviation ½. `GaussianDenoiser` returns $\hat x = \mathrm E[x \mid z_t]$, the guess
# with the smallest mean square error.

# %%
std = 0.5
exact = vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.asarray(0.0), jnp.asarray(std)))
model = vdmlite.VDM(vdmlite.FixedLinear(-13.3, 5.0), exact, vdmlite.GaussianDecoder(), shape=())

z_t, s, t = jnp.asarray(0.6), 0.55, 0.75
step = model.reverse(z_t, s, t)
print(
    f"at t = {t}, γ = {model.schedule(t):.3f}: z_t = {z_t}, guess {model.predict(z_t, t).x:.3f}"
)
print(f"p(z_s | z_t) at s = {s} has mean {step.mean:.3f} and standard deviation {step.std:.3f}")

# %% [markdown]
# ## Three terms
#
# Lesson 01 bounded $-\log p(x)$ for any chain of latents. For this chain the bound reads
#
# $$ -\log p(x) \;\le\; \underbrace{\mathrm{KL}\big(q(z_1 \mid x) \,\|\, p(z_1)\big)}_{\text{prior}}
#    \;+\; \underbrace{\mathrm E\big[-\log p(x \mid z_0)\big]}_{\text{reconstruction}}
#    \;+\; \underbrace{\sum_{i=1}^{T} \mathrm E\;\mathrm{KL}\big(q(z_s \mid z_t, x) \,\|\, p(z_s \mid z_t)\big)}_{\text{diffusion}},$$
#
# where the means E are over $z_0$ and $z_t$, drawn by $q$ (lesson 01, with the signs turned). All three are in nats.
# Think of somebody who knows $x$ and describes it to you, latent by latent:
#
# | term | pays for |
# |---|---|
# | prior | what is left of $x$ in the noisiest latent $z_1$, where the model expects pure noise |
# | diffusion | at each step back, what $z_t$ did not yet say about $x$ |
# | reconstruction | the last digits of $x$, those below the noise in $z_0$ |
#
# The first is small when the noisy end is noisy enough, and nothing is learned there. The last is small, or at least
# known, when the clean end is clean. All the learning is in the middle.
#
# ## The price of one step
#
# Both Gaussians of a step have the *same* variance, $\sigma_s^2\, c$ with $c = 1 - e^{\gamma_s - \gamma_t}$. Their means
# differ only in the guess, by $\alpha_s\, c\,(x - \hat x)$. The divergence of two Gaussians of equal variance is half
# the squared distance of their means, over the variance:
#
# $$ \mathrm{KL} = \frac{\alpha_s^2\, c^2\, \|x - \hat x\|^2}{2\,\sigma_s^2\, c}
#    = \tfrac12\, \mathrm{SNR}(s)\,\big(1 - e^{\gamma_s - \gamma_t}\big)\, \|x - \hat x\|^2 . $$
#
# Now $\mathrm{SNR}(s) = e^{-\gamma_s}$, and the product is a difference:
#
# $$ \boxed{\;\mathrm{KL} = \tfrac12 \big(\mathrm{SNR}(s) - \mathrm{SNR}(t)\big)\, \|x - \hat x\|^2
#    = \tfrac12 \big(e^{\gamma_t - \gamma_s} - 1\big)\, \|\varepsilon - \hat\varepsilon\|^2 \;}$$
#
# The second form follows from $x - \hat x = (\hat\varepsilon - \varepsilon)\,\sigma_t/\alpha_t$, whose square brings a
# factor $e^{\gamma_t}$. In words: *a step costs the signal-to-noise ratio it wins, times the squared error of the
# guess, halved.* As in lesson 02, $e^{\gamma_t - \gamma_s} - 1$ is computed by `expm1`.

# %%
x, eps = jnp.asarray(0.4), jnp.asarray(-1.1)
gamma_s, gamma_t = model.schedule(s), model.schedule(t)
z_t = marginal(x, gamma_t).at(eps)
guess = exact(z_t, gamma_t)

by_x = 0.5 * (snr(gamma_s) - snr(gamma_t)) * (x - guess.x) ** 2
by_eps = 0.5 * jnp.expm1(gamma_t - gamma_s) * (eps - guess.eps) ** 2
by_definition = kl(posterior(z_t, x, gamma_s, gamma_t), model.reverse(z_t, s, t))
print(f"from x̂ {by_x:.10f}    from ε̂ {by_eps:.10f}    kl(q, p) {by_definition:.10f} nats")
np.testing.assert_allclose([by_x, by_eps], by_definition, rtol=1e-9)

# %% [markdown]
# ## A case where every number is known
#
# For our Gaussian numbers all three terms can be written down. Given $z_t$, Bayes' rule adds precisions: 4 from the data
# (its variance is ¼) and $\mathrm{SNR}(t)$ from the latent. So the mean square error of the best guess is
# $1/(4 + \mathrm{SNR}(t))$, and
#
# $$ \text{diffusion} = \tfrac12 \sum_{i=1}^T \frac{\mathrm{SNR}(s) - \mathrm{SNR}(t)}{4 + \mathrm{SNR}(t)}, \qquad
#    \text{reconstruction} = \tfrac12 \big(1 + \log 2\pi + \gamma_0\big), \qquad
#    \text{prior} = \tfrac12\big(\sigma_1^2 + \tfrac14 \alpha_1^2 - 1 - \log \sigma_1^2\big). $$
#
# We hold the package against these three formulas. Its pieces want an $x$ and an $\varepsilon$; the terms are quadratic
# in both, and the mean of a quadratic over a Gaussian is *exactly* a weighted sum over three well-chosen points
# (Gauss–Hermite quadrature). No sampling, then.

# %%
nodes, weights = np.polynomial.hermite_e.hermegauss(3)
weights = weights / weights.sum()
xs, noises = (jnp.asarray(a.ravel()) for a in np.meshgrid(std * nodes, nodes))
weights = jnp.asarray(np.outer(weights, weights).ravel())


def mean(f):
    """Return the mean of f(x, ε) over the data and the noise."""
    return weights @ jax.vmap(f)(xs, noises)


def package_terms(model, numbers_of_steps):
    """Return prior, reconstruction and diffusion for each T, each from its definition."""
    gamma_0 = model.schedule(0.0)

    def reconstruction(x, eps):
        return -model.decoder.log_prob(x, marginal(x, gamma_0).at(eps), gamma_0)

    def step_cost(s, t):
        gamma_s, gamma_t = model.schedule(s), model.schedule(t)

        def cost(x, eps):
            z_t = marginal(x, gamma_t).at(eps)
            return kl(posterior(z_t, x, gamma_s, gamma_t), model.reverse(z_t, s, t))

        return mean(cost)

    prior = mean(lambda x, _: vdmlite.prior_loss(model, x))
    ends = float(prior), float(mean(reconstruction))
    # The steps of all T in one row: JAX compiles a function once for each length of its inputs.
    s = np.concatenate([np.arange(T) / T for T in numbers_of_steps])
    t = np.concatenate([np.arange(1, T + 1) / T for T in numbers_of_steps])
    costs = np.split(jax.jit(jax.vmap(step_cost))(s, t), np.cumsum(numbers_of_steps)[:-1])
    return np.array([(*ends, np.sum(c)) for c in costs])


def written_terms(steps, gamma_0=-13.3, gamma_1=5.0):
    """Return the same three by the formulas above, in NumPy."""
    ratio = np.exp(-np.linspace(gamma_0, gamma_1, steps + 1))
    alpha2 = ratio[-1] / (1 + ratio[-1])
    prior = 0.5 * ((1 - alpha2) + alpha2 / 4 - 1 - np.log1p(-alpha2))
    reconstruction = 0.5 * (1 + np.log(2 * np.pi) + gamma_0)
    return prior, reconstruction, 0.5 * np.sum((ratio[:-1] - ratio[1:]) / (4 + ratio[1:]))


few_to_many = (4, 10, 100, 1000)
package = package_terms(model, few_to_many)
written = np.array([written_terms(steps) for steps in few_to_many])
print("    T      prior   reconstruction   diffusion   by the formula     sum")
for steps, (prior, reconstruction, diffusion), formula in zip(
    few_to_many, package, written[:, 2], strict=True
):
    total = prior + reconstruction + diffusion
    row = f"{steps:5d}   {prior:.6f}   {reconstruction:14.6f}   {diffusion:9.6f}"
    print(f"{row}   {formula:14.6f}   {total:9.6f}")
entropy = 0.5 * np.log(2 * np.pi * np.e * std**2)
print(f"the entropy of the data is {entropy:.6f} nats: no model can be below it")

# %%
claim(
    "03",
    "diffusion terms at T = 4, 10, 100, 1000 against the closed form, largest relative error",
    np.max(np.abs(package[:, 2] / written[:, 2] - 1)),
    at_most=1e-5,
)
np.testing.assert_allclose(package, written, rtol=1e-9)

# %% [markdown]
# ## Where the excess comes from
#
# The **entropy** in the last line, $\mathrm H(x)$, is the mean of $-\log q(x)$ under $q(x)$, the density of the data.
# The mean of $-\log p(x)$ is the *cross-entropy* of the model, and the cross-entropy is the entropy plus a divergence:
#
# $$ \mathrm E_q[-\log p(x)] = \mathrm E_q[-\log q(x)] + \mathrm E_q\!\left[\log \tfrac{q(x)}{p(x)}\right]
#    = \mathrm H(x) + \mathrm{KL}(q(x) \,\|\, p(x)) . $$
#
# A divergence is never negative. So no model, and no bound, is below the entropy. With four steps ours is more than
# ninety nats above it, with a thousand a twentieth of a nat. The denoiser is the same, and perfect. What is wrong?
#
# Nobody at $z_t$ knows $x$. The true distribution of the step back is therefore $q(z_s \mid z_t)$, a mean over all $x$
# that could have led here. For our Gaussian numbers it is a Gaussian too. Its mean is that of the model's step. But its
# variance has a second part, from the doubt about $x$:
#
# $$ \underbrace{\sigma_s^2\, c}_{\text{the model's step}} \;+\;
#    \underbrace{(\alpha_s\, c)^2\; \mathrm{Var}(x \mid z_t)}_{\text{left out}} ,
#    \qquad c = 1 - e^{\gamma_s - \gamma_t}, \qquad \mathrm{Var}(x \mid z_t) = \frac{1}{4 + \mathrm{SNR}(t)} . $$
#
# The model's step has the width of a step for somebody who knows $x$. It is **too narrow**, and the longer the step,
# the more so. (Below, all steps start at t = 0.5. A longer one ends at a cleaner level, where somebody who knows $x$
# is surer. So compare the two widths in a row, not down a column.) Its divergence from the true step can be written
# down, since their means agree.


# %%
def step_widths(steps, gamma_0=-13.3, gamma_1=5.0):
    """Return the widths of the model's steps back and of the true ones, for s = 0, 1/T, …"""
    gammas = np.linspace(gamma_0, gamma_1, steps + 1)
    gamma_s, gamma_t = gammas[:-1], gammas[1:]
    fresh = -np.expm1(gamma_s - gamma_t)  # c
    alpha2_s = 1 / (1 + np.exp(gamma_s))
    narrow = (1 - alpha2_s) * fresh
    return np.sqrt(narrow), np.sqrt(narrow + alpha2_s * fresh**2 / (4 + np.exp(-gamma_t)))


def too_narrow(model_width, true_width):
    """Return KL(N(m, true²) ‖ N(m, model²)) in nats."""
    ratio = (true_width / model_width) ** 2
    return 0.5 * (ratio - 1 - np.log(ratio))


print("the step back from t = 0.5")
print("    T    width of the model's step    true width    price, nats")
for steps in (4, 10, 100):
    ours, true = (widths[steps // 2 - 1] for widths in step_widths(steps))
    print(f"{steps:5d}   {ours:14.3f}   {true:22.3f}   {too_narrow(ours, true):14.4f}")

# %%
figure, axes = panels(3, width=3.3, height=2.7)
for ax, steps in zip(axes, (4, 10, 100), strict=True):
    ours, true = (widths[steps // 2 - 1] for widths in step_widths(steps))
    line = np.linspace(-0.4, 0.4, 1001)
    for width, name, i in ((true, "true step, q(z_s | z_t)", 1), (ours, "the model's step", 0)):
        ax.plot(
            line,
            np.exp(-0.5 * (line / width) ** 2),
            color=COLORS[i],
            linestyle=LINES[i],
            label=name,
        )
    ax.set(title=f"T = {steps}: {ours:.3f} for {true:.3f}", xlabel="z_s − mean", ylim=(0, 1.45))
    ax.set_yticks([])
axes[0].legend(loc="upper center")
show(
    figure,
    "Three panels with two bells each, of equal height: the true step back from t = 0.5 and the model's. "
    "At T = 4 the model's is a thin line inside the true one, 0.013 against 0.121 wide; at T = 10 it is less than "
    "half as wide, 0.046 against 0.112; at T = 100 the two nearly agree, 0.047 against 0.051.",
)

# %% [markdown]
# Now all of the excess can be accounted for. Read the latents backwards: the start $z_1$, the steps back, the decoder.
# The mean bound minus the entropy is the divergence between two joint distributions of $x$ and all latents, the true one,
# $q$, and the model's, $p$. So it is a sum of three divergences:
#
# $$ \text{bound} - \text{entropy} = \underbrace{\mathrm{KL}\big(q(z_1) \,\|\, \mathcal N(0, I)\big)}_{\text{noisy end}}
#    \;+\; \underbrace{\textstyle\sum_i \mathrm E\,\mathrm{KL}\big(q(z_s \mid z_t) \,\|\, p(z_s \mid z_t)\big)}_{\text{steps too narrow}}
#    \;+\; \underbrace{\mathrm H\big(x + e^{\gamma_0/2} n\big) - \mathrm H(x)}_{\text{clean end}} , \qquad n \sim \mathcal N(0, I). $$
#
# At the noisy end the model believes in pure noise where a trace of signal remains. At the clean end it describes not the
# data but the data with a last grain of noise.
#
# <details><summary>Why an entropy at the clean end?</summary>
#
# The decoder's part is $\mathrm E\,\mathrm{KL}(q(x \mid z_0) \,\|\, p(x \mid z_0))$. Write
# $y = z_0/\alpha_0 = x + e^{\gamma_0/2} n$. The decoder $p(x \mid z_0)$ is the density of $y$ given $x$, so the mean of
# $-\log p(x \mid z_0)$ is $\mathrm H(y \mid x)$, and the divergence is
# $\mathrm H(y \mid x) - \mathrm H(x \mid y) = \mathrm H(y) - \mathrm H(x)$.
# </details>

# %%
clean_end = 0.5 * np.log((std**2 + np.exp(-13.3)) / std**2)
left_over = float(alpha(5.0)) ** 2 * std**2 + 1 - float(alpha(5.0)) ** 2  # the variance of z_1
noisy_end = 0.5 * (left_over - 1 - np.log(left_over))
ends = clean_end + noisy_end
print(f"noisy end {noisy_end:.2e} nats, clean end {clean_end:.2e} nats, whatever T is")
print("    T    steps too narrow    bound − entropy")
for steps, total in zip(few_to_many, written.sum(1), strict=True):
    narrow = too_narrow(*step_widths(steps)).sum()
    print(f"{steps:5d}   {narrow:16.6f}   {total - entropy:16.6f}")
    np.testing.assert_allclose(narrow + ends, total - entropy, rtol=1e-7)

# %% [markdown]
# With short steps the guess is corrected on the way, and the excess falls. As $T \to \infty$ only the two ends are left.
# (Lesson 05 goes to this limit; in the package it is `timesteps=None`. Why $T$ steps always cost more than the limit is
# exercise 3.6.)
#
# Why is the reconstruction negative? A probability *density* may exceed one, and its value depends on the unit of $x$.
# A change of the unit moves bound and entropy alike.
#
# ## One draw in place of a sum
#
# A thousand calls of a network for one training example are too many. The sum over $i$ is $T$ times a mean over $i$,
# and a mean can be drawn: take one step $i$ at random, one noise $\varepsilon$, and multiply by $T$,
#
# $$ \text{diffusion} = \mathrm E_{i,\,\varepsilon}\left[\tfrac T2 \left(e^{\gamma_t - \gamma_s} - 1\right)
#    \|\varepsilon - \hat\varepsilon(z_t; \gamma_t)\|^2\right], \qquad t = i/T,\; s = (i-1)/T. $$
#
# This is `discrete_diffusion_loss`. `batch_vlb` draws it for each example of a batch, with times spread evenly
# over the batch, together with the other two terms. A drawn number has an error, and we say how large it is: we repeat
# the draw with fresh data and report the mean and its standard error.


# %%
def estimate(draw, times, key):
    """Return the mean of draw(key) over that many fresh keys, and its standard error."""
    values = np.array([draw(k) for k in jax.random.split(key, times)], np.float64)
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(times)


batch = pick(smoke=512, laptop=4096)


@eqx.filter_jit
def gaussian_draw(model, steps, key):
    x_key, vlb_key = jax.random.split(key)
    x = std * jax.random.normal(x_key, (batch,))
    return vdmlite.batch_vlb(model, x, timesteps=steps, key=vlb_key).mean().diffusion


scores = []
print("    T    drawn    standard error      exact    difference in standard errors")
for steps in pick(smoke=(100,), laptop=few_to_many):
    exact_value = written[few_to_many.index(steps), 2]
    drawn, error = estimate(
        lambda k, steps=steps: gaussian_draw(model, steps, k),
        32,
        jax.random.fold_in(gauss_key, steps),
    )
    scores.append((drawn - exact_value) / error)
    print(
        f"{steps:5d}   {drawn:6.2f}   {error:14.2f}   {exact_value:10.2f}   {scores[-1]:10.1f}"
    )

# %%
claim(
    "03",
    "drawn diffusion terms against the closed form, in standard errors, the worst",
    np.max(np.abs(scores)),
    at_most=5,
)

# %% [markdown]
# ## The key picture
#
# For a picture it helps to have all three terms above zero. Give $x$ to three decimals, that is, count it in
# thousandths: this adds $\log 1000 = 6.91$ nats to the reconstruction and to the entropy alike. Now the
# reconstruction has a plain meaning. The noise in $z_0$ is $e^{\gamma_0/2} \approx 0.0013$ wide, a good thousandth, so
# it is the third decimal that the decoder has to pay for.

# %%
shown = (10, 20, 50, 100, 200, 500, 1000)
unit = np.log(1000)
terms = np.array([written_terms(steps) for steps in shown])
many = np.array([4, 10, 30, 100, 300, 1000, 10_000, 100_000])
excess = [sum(written_terms(steps)) - entropy for steps in many]

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), width_ratios=(3, 2))
top = np.zeros(len(shown))
for label, height, hatch, color in (
    (f"prior ({terms[0, 0]:.4f}, too thin to see)", terms[:, 0], "", COLORS[2]),
    ("reconstruction", terms[:, 1] + unit, "//", COLORS[4]),
    ("diffusion", terms[:, 2], "", COLORS[0]),
):
    left.bar(
        range(len(shown)),
        height,
        bottom=top,
        label=label,
        hatch=hatch,
        color=color,
        edgecolor="w",
        linewidth=0,
    )
    top = top + height
for place, total in enumerate(top):
    left.text(place, total + 0.2, f"{total:.2f}", ha="center")
left.axhline(entropy + unit, color="k", linestyle="--", label=f"entropy, {entropy + unit:.2f}")
left.set_xticks(range(len(shown)), shown)
left.set(xlabel="T, the number of steps", ylabel="nats, x to three decimals", ylim=(0, 19.5))
left.set_title("the bound comes down to the entropy")
left.grid(axis="x", visible=False)
handles, labels = left.get_legend_handles_labels()
left.legend(handles[::-1], labels[::-1], loc="upper right")
right.loglog(many, excess, marker="o", label="bound − entropy")
right.axhline(ends, color="k", linestyle=":", label="what the two ends cost")
right.set(
    xlabel="T",
    ylabel="nats",
    title="ten times the steps, a tenth of the excess\n(from T ≈ 100 on)",
)
right.legend()
show(
    figure,
    "Left: stacked bars of the bound for T from 10 to 1000. The reconstruction is the same in all, "
    "the diffusion bar shrinks step by step until the top almost touches the dashed line of the "
    "entropy at 7.63 nats. Right: bound minus entropy against T on logarithmic axes falls "
    "steeply at first and from T ≈ 100 on as a straight line of slope −1, towards a dotted floor near "
    "0.00001 nats.",
)

# %%
print(
    f"excess over the entropy at T = 1000: {excess[5]:.4f}, at T = 10000: {excess[6]:.4f} nats"
)
print(f"as T → ∞: {ends:.6f} nats")

# %% [markdown]
# ## A worse guess costs exactly its distance
#
# Call the best guess $\hat\varepsilon^* = \mathrm E[\varepsilon \mid z_t]$. What does another guess $\hat\varepsilon$
# cost more? The error $\varepsilon - \hat\varepsilon^*$ has mean zero whatever $z_t$ is, while
# $\hat\varepsilon^* - \hat\varepsilon$ depends on $z_t$ alone. So the mixed term has mean zero and Pythagoras' theorem
# holds:
#
# $$ \mathrm E\|\varepsilon - \hat\varepsilon\|^2 = \mathrm E\|\varepsilon - \hat\varepsilon^*\|^2
#    + \mathrm E\|\hat\varepsilon^* - \hat\varepsilon\|^2 . $$
#
# No guess avoids the first part; training reduces the second. Look at a denoiser that believes the data is 0.7 wide
# instead of 0.5.

# %%
wrong = vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.asarray(0.0), jnp.asarray(0.7)))
gamma = -0.5


def squares(x, eps):
    z = marginal(x, gamma).at(eps)
    best, other = exact(z, gamma).eps, wrong(z, gamma).eps
    return jnp.stack([(eps - other) ** 2, (eps - best) ** 2, (best - other) ** 2])


whole, unavoidable, distance = mean(squares)
print(f"{whole:.6f} = {unavoidable:.6f} + {distance:.6f} = {unavoidable + distance:.6f}")
np.testing.assert_allclose(whole, unavoidable + distance, rtol=1e-12)

# %% [markdown]
# ## A trained network
#
# Now a network has to find the guess by itself, from 50,000 points of the two moons of lesson 02. `recipes.toy` is a
# small network in a `VDM` whose γ runs from −9 to 6. We take $T = 10{,}000$ steps, so many that they cost little, and
# training is plain: draw the bound for a batch, with the formula above, and follow its gradient downhill. The library
# optax turns gradients into steps; its `adam` adapts the step of each weight, and ours falls to zero along a cosine.
# `train` is a generator: each turn takes a batch and yields the new `state` (weights, their average, Adam's memory;
# `init` makes the first) and the batch's bound. (That the network predicts a mixture of $x$ and $\varepsilon$ is the subject of
# lesson 04.)

# %%
# Networks are trained in single precision; from here on nothing of the above is used.
jax.config.update("jax_enable_x64", False)
moons = data.moons()
assert moons.means.dtype == jnp.float32

T = 10_000
updates = pick(smoke=60, laptop=4000)
training_set = data.sample(moons, pick(smoke=5_000, laptop=50_000), key=data_key)
optimiser = optax.adam(optax.cosine_decay_schedule(2e-3, updates))
start = vdmlite.init(recipes.toy(key=init_key), optimiser)
batches = itertools.islice(data.batches(training_set, 512, key=batch_key), updates)

curve = []
training = vdmlite.train(start, optimiser, batches, timesteps=T, key=train_key)
for state, terms in progress(training, updates):
    curve.append(terms.loss)
    trained = state.average  # the running average of the weights: calmer than the last ones

# %% [markdown]
# How good is it? The moons are a mixture of 128 small Gaussians, so their entropy and their best denoiser are known.
# We could draw the bound of the network and that of the best denoiser and subtract, but the draws are noisy. Pythagoras
# helps: we draw the *distance* of the two guesses and nothing else. The noise $\varepsilon$, which nobody can guess,
# drops out. We compute both to compare. A third number is what $T$ steps add to the bound of the best denoiser. For that
# we draw its diffusion term at $T$ steps and in the limit, with the same noise.

# %%
best = vdmlite.MixtureDenoiser(moons)
points_per_draw = pick(smoke=1024, laptop=8192)


@eqx.filter_jit
def costs(vdm, key):
    """Return means: the distance to the best guess, bound − best bound, and what T steps add."""
    x_key, time_key, noise_key = jax.random.split(key, 3)
    fresh = jax.vmap(lambda k: moons.sample(key=k))(jax.random.split(x_key, points_per_draw))
    times = vdmlite.spread_times(points_per_draw, key=time_key)
    ideal = vdmlite.VDM(vdm.schedule, best, vdm.decoder, vdm.shape)

    def one(x, time, key):
        i = jnp.clip(jnp.ceil(time * T), 1, T)  # the step, one of 1 … T
        gamma_s, gamma_t = vdm.schedule((i - 1) / T), vdm.schedule(i / T)
        eps_key, loss_key = jax.random.split(key)
        z_t = marginal(x, gamma_t).at(jax.random.normal(eps_key, x.shape))
        apart = jnp.sum((vdm.denoiser(z_t, gamma_t).eps - best(z_t, gamma_t).eps) ** 2)
        # The same key for all: the same noise, so that differences are of the models.
        ours, theirs = (
            vdmlite.discrete_diffusion_loss(m, x, time, timesteps=T, key=loss_key)
            for m in (vdm, ideal)
        )
        limit = vdmlite.continuous_diffusion_loss(ideal, x, time, key=loss_key)
        weight = 0.5 * T * jnp.expm1(gamma_t - gamma_s)
        return jnp.stack([weight * apart, ours - theirs, theirs - limit])

    return jax.vmap(one)(fresh, times, jax.random.split(noise_key, points_per_draw)).mean(0)


repeats = pick(smoke=8, laptop=64)
(apart, difference, coarse), (apart_error, difference_error, coarse_error) = estimate(
    lambda k: costs(trained, k), repeats, test_key
)
print(f"distance to the best guess       {apart:.4f} ± {apart_error:.4f} nats")
print(f"difference of the two bounds     {difference:.4f} ± {difference_error:.4f} nats")

# %% [markdown]
# Both say the same, the first with an error several times smaller. The two ends we get from entropies, by
# quadrature: the diffused moons are again a mixture of Gaussians.

# %%
floor = data.entropy(moons)
gamma_0, gamma_1 = trained.schedule.gamma_min, trained.schedule.gamma_max
first, last = best.diffused(gamma_0), best.diffused(gamma_1)
# H(x + noise) = H(z_0/α_0) = H(z_0) − 2 log α_0, in two dimensions.
clean_end = data.entropy(first) - 2 * np.log(float(alpha(gamma_0))) - floor
weight, centres, widths = (np.float64(a) for a in (last.weights, last.means, last.stds))
square = weight @ (np.sum(centres**2, axis=1) + 2 * widths**2)
noisy_end = np.log(2 * np.pi) + 0.5 * square - data.entropy(last)
bound = floor + clean_end + noisy_end + coarse + apart
error = coarse_error + apart_error  # added, to be safe

print(f"entropy of the moons             {floor:.4f}")
print(f"clean end, γ₀ = {gamma_0:g}              {clean_end:.4f}")
print(f"noisy end, γ₁ = {gamma_1:g}               {noisy_end:.4f}")
print(f"steps too narrow, T = {T:,d}      {coarse:.5f} ± {coarse_error:.5f}")
print(f"the network's error              {apart:.4f} ± {apart_error:.4f}")
print(f"the bound                        {bound:.4f} ± {error:.4f} nats")
claim(
    "03",
    f"bound of the trained model minus the entropy, in nats (standard error {error:.0e})",
    bound - floor,
    at_most=0.05,
    trained=True,
)

# %% [markdown]
# Finally we do what we would do if nothing were known: draw the whole bound on fresh points.


# %%
@eqx.filter_jit
def whole_bound(vdm, key):
    x_key, vlb_key = jax.random.split(key)
    fresh = jax.vmap(lambda k: moons.sample(key=k))(jax.random.split(x_key, points_per_draw))
    return vdmlite.batch_vlb(vdm, fresh, timesteps=T, key=vlb_key).mean().loss


direct, direct_error = estimate(lambda k: whole_bound(trained, k), repeats, bound_key)
print("                           nats            bits per dimension")
for name, nats, its_error in (
    ("added up from parts", bound, error),
    ("drawn", direct, direct_error),
):
    bits = vdmlite.bits_per_dim(nats, trained.shape)
    np.testing.assert_allclose(bits, nats / (2 * np.log(2)))
    print(
        f"{name:20s}  {nats:.4f} ± {its_error:.4f}    {bits:.4f} ± {its_error / nats * bits:.4f}"
    )

# %% [markdown]
# **Bits per dimension** are nats divided by $D \log 2$: one bit is $\log 2$ nats, and $D$, the number of dimensions, is 2
# here. Papers on images report this number, because it compares images of different sizes.
#
# Does a bound near the entropy also mean good samples? Here it does. `sample` starts with noise and walks
# back with the model's own steps, one example at a time; `jax.vmap` makes many. Beside the samples is the bound as it
# was drawn in training. Where its curve touches the entropy, that is the noise of the draws.

# %%
count, walk = pick(smoke=200, laptop=1500), pick(smoke=50, laptop=250)
draws = jax.vmap(lambda k: vdmlite.sample(trained, steps=walk, key=k))(
    jax.random.split(sample_key, count)
)

figure, (left, middle, right) = panels(3, width=3.6, height=3.2)
points(left, training_set[:count], title="data")
points(middle, draws, title=f"the model, {walk} steps")
window = updates // 10
smooth = np.convolve(np.array(curve), np.ones(window) / window, mode="valid")
right.plot(
    np.arange(len(smooth)) + window,
    smooth,
    color=COLORS[0],
    label=f"bound, mean of {window} updates",
)
right.axhline(floor, color="k", linestyle=LINES[1], label="entropy")
right.set(xlabel="update", ylabel="nats", ylim=(floor - 0.2, floor + 1), title="learning")
right.legend()
show(
    figure,
    "Left: points of the two moons. Middle: points drawn from the trained model, two moons alike. "
    "Right: the bound during training falls fast at first, then comes down to the dashed line "
    "of the entropy and touches it near the end.",
)

# %% [markdown]
# ## Ask yourself
#
# 1. A denoiser always answers $\hat\varepsilon = 0$. What does it pay for a step in $D$ dimensions, on average?
# 2. Somebody measures $x$ in centimetres instead of metres. What happens to the bound in bits per dimension?
# 3. The prior term is 0.0008 nats. May we forget it in training? And in the sum?
# 4. Two denoisers have the same $\|x - \hat x\|$ at every noise level. Can their bounds differ?
#
# <details><summary>Answers</summary>
#
# 1. $\mathrm E\|\varepsilon\|^2 = D$, so $\tfrac D2 (e^{\gamma_t - \gamma_s} - 1)$ nats.
# 2. It grows by $\log_2 100 \approx 6.6$ bits per dimension, and so does the entropy. For data that are real numbers
#    only differences of bounds mean something.
# 3. In training yes, as long as γ₁ is fixed: there is nothing in it to train. In the sum it stays, or the
#    sum is no bound.
# 4. No. Each step's price is made of that error and of the schedule alone.
# </details>
#
# ## Take along
#
# > **A diffusion model is the exact step back with a guess in it, and each step costs half the signal-to-noise ratio it
# > wins times the squared error of the guess.**
#
# `vdmlite.bound` holds the three terms: `prior_loss`, `reconstruction_loss`, `discrete_diffusion_loss`, and their sum
# `vlb`. Exercises: `exercises/03_discrete_bound.ipynb`. Next: lesson 04, one network that guesses four things
# at once.
