# %% [markdown]
# # 05 · Continuous time
#
# *A minute on 2 CPU cores · 60 minutes to study*
#
# *After lesson 04 · VDM §4.1, §5 and appendix I.1 · files `bound.py`, `training.py`*
#
# **The idea.** Cut each step from noise to data in two, and the description gets cheaper. So take infinitely many.
# The sum over steps becomes one integral over γ, and training needs only a random point of it.
#
# **After this lesson you can**
# - say why cutting steps never hurts the best guess, with one picture;
# - write the diffusion loss as an integral over γ, and estimate it without bias from random times;
# - spread those times so that the estimate varies less, and say when that pays;
# - train a model of handwritten digits and state, with an error bar, how many bits a pixel costs it.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import vdmlite
from vdmlite import data, recipes
from vdmlite.course import claim, pick, progress, show, slider
from vdmlite.viz import COLORS, images, panels

# This lesson trains, so JAX stays in single precision; the exact sums below are NumPy's, in double.
keys = jax.random.split(jax.random.key(5), 10)
t_key, x_key, eps_key, tooth_key, comb_key, picture_key = keys[:6]
init_key, train_key, test_key, sample_key = keys[6:]

# %% [markdown]
# ## What a step costs
#
# Lesson 03 wrote the *diffusion loss* with $T$ steps as a sum of Kullback–Leibler divergences, one a step, and each
# is a difference of two signal-to-noise ratios times a squared error. From noise level $t$ down to the cleaner $s$:
#
# $$ \tfrac12\, \bigl(\mathrm{SNR}(s) - \mathrm{SNR}(t)\bigr)\; \mathbb E\,\lVert x - \hat x(z_t) \rVert^2 . $$
#
# Width times height: the cost of a step is half the area of a rectangle. Its width is the stretch of SNR that the step
# covers. Its height is the error of the guess made *at the noisy end*, $z_t$, where the step begins.
#
# Write $S$ for the SNR, and $f(S)$ for the error at this SNR. For the best possible guess $f$ can only fall as $S$
# grows: whoever holds a cleaner latent may always add noise to it and guess from that. For the Gaussian numbers of
# lesson 03, of standard deviation ½, and the exact denoiser, it is $f(S) = 1/(4 + S)$.
#
# ## The key picture


# %%
def f(S):
    """The squared error of the best guess of x at signal-to-noise ratio S."""
    return 1 / (4 + S)


def staircase(gammas):
    """Half the area of the stairs over the noise levels given, from clean to noisy."""
    S = np.exp(-gammas)
    return 0.5 * np.sum((S[:-1] - S[1:]) * f(S[1:]))


def area(low, high):
    """Half the area under f, by hand: the integral of 1/(4 + S) is log(4 + S)."""
    return 0.5 * (np.log(4 + np.exp(-low)) - np.log(4 + np.exp(-high)))


figure, axes = panels(3, width=3.7, height=3.2)
line = np.linspace(np.exp(-3.0), np.exp(3.0), 400)
for ax, T in zip(axes, (2, 4, 16), strict=True):
    gammas = np.linspace(-3, 3, T + 1)
    S = np.exp(-gammas)
    for right, left in zip(S[:-1], S[1:], strict=True):
        inside = np.linspace(left, right, 100)
        ax.fill_between(inside, f(inside), f(left), color="0.8")
        ax.plot(
            [left, left, right, right], [0, f(left), f(left), 0], color=COLORS[1], ls="-", lw=1
        )
    ax.plot(line, f(line), color=COLORS[0], ls="-", lw=2)
    cost, exact = staircase(gammas), area(-3, 3)
    ax.set(xlabel="S = SNR", ylim=(0, 0.26), title=f"T = {T}: {cost:.3f} nats")
axes[0].set_ylabel("squared error f(S)")
axes[0].annotate("grey: the excess", (5, 0.18), (6.5, 0.225), arrowprops={"arrowstyle": "-"})
axes[0].annotate("the curve f", (12, f(12.0)), (10, 0.115), arrowprops={"arrowstyle": "-"})
print(f"half the area under the curve itself: {exact:.3f} nats")
show(
    figure,
    "A falling curve, the error against SNR, under a staircase of 2, 4 and 16 stairs. Each stair is as "
    "high as the curve at its left end, so the staircase lies above the curve; the grey excess "
    "between them shrinks from panel to panel.",
)

# %% [markdown]
# The diffusion loss is half the area of the staircase. A stair is as high as the curve at its left end, where the
# step begins, and keeps that height to the right end although the curve falls: *a long step pays as if nothing could
# be learned on the way.* Cut a stair in two, and the right half gets lower. The left half stays. Every cut saves, and
# in the limit the staircase is the curve.
#
# That argument needs $f$ to fall. It does for the best guess; for a trained network it is a good habit, not a law.
# And it needs stairs that are *cut*: from 16 steps to 32, say. From 16 to 17 all edges move, so there we look instead
# of arguing.
#
# Now the real range of γ, from −13.3 to 5, in even steps.

# %%
low, high = -13.3, 5.0
limit = area(low, high)
print("        T    L_T in nats    above the limit")
for T in (4, 10, 100, 1000, 10_000):
    L = staircase(np.linspace(low, high, T + 1))
    print(f"{T:9,d}   {L:12.6f}   {L - limit:12.6f}")
print(f"        ∞   {limit:12.6f}")

chain = [*range(1, 1001), 10_000, 100_000, 1_000_000]
sums = np.array([staircase(np.linspace(low, high, T + 1)) for T in chain])
claim(
    "05",
    "smallest fall of L_T along T = 1, 2, 3 … 1000, 10⁴, 10⁵, 10⁶ (nats)",
    -np.diff(sums).max(),
    at_least=0,
)
claim(
    "05",
    "what 10,000 steps cost more than infinitely many (nats)",
    staircase(np.linspace(low, high, 10_001)) - limit,
    at_most=0.01,
)

# %% [markdown]
# From $T = 100$ on, the last column falls about tenfold when $T$ grows tenfold. The excess is made of small
# triangles. With ten times the steps there are ten times as many, each a hundredth of the size. Nothing singles out
# $T = 1000$, so let $T$ go to infinity.
#
# ## One integral
#
# With infinitely many steps the stairs become the curve: $L_\infty = \tfrac12 \int f(S)\, dS$, from the smallest SNR
# to the largest. Two substitutions simplify it. First $S = e^{-\gamma}$, so
# $|dS| = e^{-\gamma} |d\gamma| = S\,|d\gamma|$. Then from lesson 04,
# $S \cdot \lVert x - \hat x \rVert^2 = \lVert \varepsilon - \hat\varepsilon \rVert^2$. Together:
#
# $$ L_\infty = \frac12 \int_{\gamma_0}^{\gamma_1} \mathbb E\, \lVert \varepsilon - \hat\varepsilon(z_\gamma;\, \gamma) \rVert^2\; d\gamma . $$
#
# Look at what is *not* in it: no steps, no time, no schedule. How γ runs from $\gamma_0$ to $\gamma_1$ leaves no
# trace; only the two ends do. (Lesson 06 tests that.) For our Gaussian the error of the noise is
# $m(\gamma) = e^{-\gamma}/(4 + e^{-\gamma})$. It is near 1 where the data is almost clean and nobody can see the
# noise. It is near 0 where the latent is almost all noise.

# %%
gammas = np.linspace(low, high, 10_001)
m = np.exp(-gammas) * f(np.exp(-gammas))
print(f"½ ∫ m(γ) dγ by the trapezoid rule  {0.5 * np.trapezoid(m, gammas):.6f}")
print(f"half the area under f, by hand      {limit:.6f}")

# %% [markdown]
# ## A random time is enough
#
# A network's error can't be integrated by hand, and need not be. Let time be uniform, $t \sim U(0, 1)$, and substitute
# once more, $d\gamma = \gamma'(t)\, dt$. An integral over $(0, 1)$ is a mean over a uniform $t$:
#
# $$ L_\infty = \mathbb E_{t,\, \varepsilon} \Bigl[ \tfrac12\, \gamma'(t)\, \lVert \varepsilon - \hat\varepsilon(z_t;\, \gamma_t) \rVert^2 \Bigr]. $$
#
# So one random $t$ and one random ε give an estimate that is right on average: *unbiased*. Here it is in six lines.

# %%
schedule = vdmlite.FixedLinear(low, high)


def one_draw(denoiser, x, t, key):
    """One draw of the diffusion loss with infinitely many steps."""
    gamma, slope = jax.value_and_grad(schedule)(t)  # γ(t) and γ′(t)
    noise_key, _ = jax.random.split(key)  # the second half is for networks with dropout
    eps = jax.random.normal(noise_key, x.shape)
    z = jnp.sqrt(jax.nn.sigmoid(-gamma)) * x + jnp.sqrt(jax.nn.sigmoid(gamma)) * eps
    return 0.5 * slope * jnp.sum((eps - denoiser(z, gamma).eps) ** 2)


bell = vdmlite.Gaussian(jnp.zeros(1), jnp.asarray(0.5))
exact_denoiser = vdmlite.GaussianDenoiser(bell)
vdm = vdmlite.VDM(schedule, exact_denoiser, vdmlite.GaussianDecoder(), (1,))

n = pick(smoke=20_000, laptop=200_000)
t = jax.random.uniform(t_key, (n,))
x = jax.vmap(lambda k: bell.sample(key=k))(jax.random.split(x_key, n))
keys = jax.random.split(eps_key, n)

ours = jax.jit(jax.vmap(lambda x, t, k: one_draw(exact_denoiser, x, t, k)))(x, t, keys)
theirs = jax.jit(jax.vmap(lambda x, t, k: vdmlite.continuous_diffusion_loss(vdm, x, t, key=k)))(
    x, t, keys
)
np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
error = ours.std() / np.sqrt(n)
print(f"mean of {n:,} draws  {ours.mean():.2f} ± {error:.2f} nats; the integral is {limit:.2f}")
print(f"one draw alone        ± {ours.std():.0f}")
assert abs(float(ours.mean()) - limit) < 5 * error

# %% [markdown]
# Right on average, and wild one by one: the standard deviation of a single draw is nearly twice the value. Most draws
# are small, a few are very large. Training averages over batches, and less variance means a better gradient. Some of
# the variance can be removed for nothing.
#
# ## Spread the times
#
# Why do draws vary? Because of ε, because of $x$, and because of $t$: a clean latent costs much, a noisy one nearly
# nothing. A batch of 64 with independent times may by bad luck get 40 of the costly ones. So don't leave it to luck.
# Draw *one* uniform number $u$ and lay out the batch like the teeth of a comb:
#
# $$ t_i = \bigl(u + i/n\bigr) \bmod 1, \qquad i = 0, \dots, n - 1. $$
#
# Each $t_i$ by itself is still uniform, so the estimate stays unbiased. Together they cover $(0, 1)$ evenly. This is
# *low-discrepancy sampling*.


# %%
def comb(n, key):
    return (jax.random.uniform(key) + jnp.arange(n) / n) % 1.0


np.testing.assert_allclose(comb(64, tooth_key), vdmlite.spread_times(64, key=tooth_key))


def losses(mixture, shape, times, key):
    """The diffusion loss under the exact denoiser: a fresh example and noise at each time of each batch."""
    denoiser = vdmlite.MixtureDenoiser(mixture)
    vdm = vdmlite.VDM(
        vdmlite.FixedLinear(-8.0, 5.0), denoiser, vdmlite.GaussianDecoder(), shape
    )

    def draw(t, key):
        x_key, eps_key = jax.random.split(key)
        return vdmlite.continuous_diffusion_loss(vdm, mixture.sample(key=x_key), t, key=eps_key)

    def batch(times_and_key):
        times, key = times_and_key
        return jax.vmap(draw)(times, jax.random.split(key, len(times)))

    return jax.lax.map(batch, (times, jax.random.split(key, len(times))))  # batch after batch


count = pick(smoke=200, laptop=1000)
time_keys, noise_keys = jax.random.split(comb_key, (2, 3))
loose_times = jax.random.uniform(time_keys[0], (count, 64))
comb_times = jax.vmap(lambda k: comb(64, k))(jax.random.split(time_keys[1], count))
equal_times = jnp.broadcast_to(jax.random.uniform(time_keys[2], (count, 1)), (count, 64))

# %% [markdown]
# How much does the comb help? It depends on what share of the variance is due to $t$; the rest, from ε and $x$, it
# cannot touch. So we measure that share as well. Three data sets, each a mixture of Gaussians whose exact denoiser we
# have: the moons in the plane, and mixtures around 50 handwritten digits, shrunk to 4×4 pixels and in full, 8×8. γ
# runs from −8 to 5.

# %%
digits = data.digits()
centres = jnp.asarray(2 * (digits.train[:50] + 0.5) / 17 - 1, jnp.float32)
small = centres.reshape(50, 4, 2, 4, 2, 1).mean((2, 4))


def around(means):
    return vdmlite.Mixture(jnp.full(50, 1 / 50), means, jnp.full(50, 0.1))


data_sets = (
    ("moons", data.moons(), (2,)),
    ("digits 4×4", around(small), (4, 4, 1)),
    ("digits 8×8", around(centres), (8, 8, 1)),
)
print("data              D   share of t   promised   measured ratio of variances")
for name, mixture, shape in data_sets[pick(smoke=2, laptop=0) :]:
    # The same keys for each data set; within a row none is used twice.
    run = jax.jit(
        lambda times, key, mixture=mixture, shape=shape: losses(mixture, shape, times, key)
    )
    loose = np.asarray(run(loose_times, noise_keys[0]).mean(1))
    even = np.asarray(run(comb_times, noise_keys[1]).mean(1))
    ratio = loose.var(ddof=1) / even.var(ddof=1)
    # A sample variance of n batches is known to a fraction √(2/(n − 1)); two of them make the ratio.
    ratio_error = ratio * np.sqrt(4 / (count - 1))
    # Batches of 64 draws at one time: what varies within them is not due to t.
    at_one_time = np.asarray(run(equal_times, noise_keys[2]))
    within = at_one_time.var(1, ddof=1).mean()
    of_t = at_one_time.mean(1).var(ddof=1) - within / 64
    share = of_t / (of_t + within)
    D = int(np.prod(shape))
    print(
        f"{name:12s}  {D:5d}   {share:9.0%}   {1 / (1 - share):9.1f}   {ratio:8.1f} ± {ratio_error:.1f}"
    )

claim(
    "05",
    "spread times cut the variance of a batch's loss, 64-dimensional mixture (ratio)",
    ratio,
    at_least=5,
)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.2), width_ratios=(1.3, 1))
for row, row_key in enumerate(jax.random.split(picture_key, 4)):
    loose_row_key, even_row_key = jax.random.split(row_key)
    loose_t = jax.random.uniform(loose_row_key, (16,))
    even_t = vdmlite.spread_times(16, key=even_row_key)
    left.plot(loose_t, np.full(16, 5.0 + row), "x", color=COLORS[1], ls="")
    left.plot(even_t, np.full(16, 0.0 + row), "o", color=COLORS[0], ls="", ms=4)
left.set(xlabel="t", yticks=(1.5, 6.5), yticklabels=("spread", "independent"), xlim=(0, 1))
left.set_title("four batches of 16 times each")
bins = np.linspace(loose.min(), loose.max(), 40)
right.hist(loose, bins, color=COLORS[1], histtype="step", ls="--", lw=1.5, label="independent")
right.hist(even, bins, color=COLORS[0], alpha=0.6, label="spread")
right.set(
    xlabel="a batch's mean loss (nats)", ylabel="batches", title="digits 8×8, batches of 64"
)
right.legend()
show(
    figure,
    "Left: four rows of independent times, clumped and gappy, above four rows of evenly spaced times, each "
    "row shifted by its own amount. Right: histograms of the batch mean; that of spread times is a narrow "
    "peak within the broad hill of independent times.",
)

# %% [markdown]
# The ratio comes near to what the share promises, $1/(1 - \text{share})$, the ratio if nothing due to $t$ were left.
# (A little is left: as $u$ grows, the last tooth drops off the cheap end of the range and comes back in at the dear
# one.) In the plane the comb is a modest gain; in 64 dimensions it is a large one, and images have thousands.
#
# A rough calculation shows why. Say that on a fraction $p$ of the range of γ the noise is lost in the data, so that
# $\lVert \varepsilon - \hat\varepsilon \rVert^2 \approx \lVert \varepsilon \rVert^2$, with mean $D$ and variance
# $2D$, and that elsewhere it is 0. The variance due to $t$ is $D^2 p(1 - p)$, that due to ε is $p \cdot 2D$. The
# ratio of the whole to the second is $1 + D(1 - p)/2$. In the plane that is less than 2 whatever we do, and it grows
# with the dimension.
#
# ## A first taste of real data
#
# scikit-learn ships 1797 scans of handwritten digits, 8×8 pixels of 17 grey levels (0 to 16). We keep 360 for testing
# and train on the others.
#
# So far the data were real numbers, and the last step was lesson 03's: $x$ is $z_0/\alpha_0$ up to a Gaussian noise
# of width $e^{\gamma_0/2}$. A pixel is one of 17 levels, and the last step must give each of them a probability. Put
# the levels at even places in $(-1, 1)$, $\mathrm{value}_k = 2(k + \tfrac12)/17 - 1$, so that they are $2/17$ apart.
# Then ask Bayes' rule which level has made $z_0$, all being equally likely beforehand:
#
# $$ p(k \mid z_0) \;\propto\; \exp\Bigl( -\tfrac12\, e^{-\gamma_0} \bigl( z_0/\alpha_0 - \mathrm{value}_k \bigr)^2 \Bigr). $$
#
# The reconstruction term is $-\log p(k \mid z_0)$ for the right level $k$, added up over the pixels. It is a
# probability now and not a density, so it can't be negative. Move the slider: as long as the noise is much narrower
# than the gap between two levels, the right one is certain and costs nothing.


# %%
values = 2 * (np.arange(17) + 0.5) / 17 - 1


def chances(place, gamma):
    """p(level | z_0) for z_0/α_0 = place."""
    fit = -0.5 * np.exp(-gamma) * (np.asarray(place)[..., None] - values) ** 2
    weight = np.exp(fit - fit.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def last_step(gamma):
    """What level 8 may look like in z_0, and what the decoder makes of it."""
    width = np.exp(gamma / 2)
    place = values[8] + 0.8 * width
    figure, (left, right) = panels(2, width=4.6, height=2.8)
    line = np.linspace(-0.6, 0.6, 600)
    for k in range(3, 14):
        bell = np.exp(-0.5 * ((line - values[k]) / width) ** 2)
        known = {"color": COLORS[1], "lw": 2} if k == 8 else {"color": "0.6", "lw": 1}
        left.plot(line, bell, ls="-", **known)
    left.axvline(place, color="k", ls="--")
    left.set(xlabel="z₀/α₀", yticks=(), title="levels 3 to 13 with their noise; dashed: one z₀")
    colors = [COLORS[1] if k == 8 else "0.6" for k in range(17)]
    right.bar(range(17), chances(place, gamma), color=colors)
    right.set(
        xticks=range(0, 17, 2),
        xlabel="level",
        ylim=(0, 1),
        title=f"p(level | z₀) at γ₀ = {gamma:.1f}".replace("-", "−"),
    )
    return figure


slider(
    last_step,
    -9.0,
    -2.0,
    "Left: bells around the even places of the levels, that of level 8 thick, and a dashed line, a latent a little to the "
    "right of it. Right: bars of the probability of each level, one high bar where the bells are narrower than their "
    "distance, several low ones where they overlap.",
    name="γ₀",
)

# %%
eps = np.linspace(-6, 6, 1201)
likely = np.exp(-0.5 * eps**2) / np.sqrt(2 * np.pi)
print("  γ₀   noise over gap   bits that one pixel costs, mean over levels and noise")
for gamma in (-9.0, -8.0, -7.0, -6.0, -5.0, -4.0):
    right_one = chances(values[:, None] + np.exp(gamma / 2) * eps, gamma)[
        np.arange(17), :, np.arange(17)
    ]
    cost = np.trapezoid(-np.log2(right_one).mean(0) * likely, eps)
    print(f"{gamma:4.0f}   {np.exp(gamma / 2) * 17 / 2:14.2f}   {cost:10.4f}")

# %% [markdown]
# In the package this is `LevelDecoder(17)`, and `recipes.digits` puts it behind a small convolutional network with 32
# thousand weights. Each step of training draws a batch of images, *one* time for each image off the comb, one noise,
# and descends the bound.
#
# The bound counts nats for a whole image. To compare models and image sizes one divides: **bits per dimension** are
# nats divided by $D \ln 2$, the bits that one pixel costs. First, what do models cost that know very little?

# %%
levels = digits.levels
print(f"every level equally likely      {np.log2(levels):.2f} bits per dimension")

counts = (
    np.stack([(digits.train == k).sum(0) for k in range(levels)], -1) + 1
)  # one more of each: none is 0
frequency = counts / counts.sum(-1, keepdims=True)
chosen = np.take_along_axis(
    np.broadcast_to(frequency, (len(digits.test), *frequency.shape)),
    digits.test[..., None].astype(int),
    -1,
)
pixelwise = -np.log2(chosen).mean()
print(f"each pixel by its own histogram {pixelwise:.2f} bits per dimension")

# %% [markdown]
# Now a diffusion model, with `timesteps=None`, which is the package's way to write $T = \infty$.


# %%
def bits(nats):
    return float(vdmlite.bits_per_dim(nats, (8, 8, 1)))


updates = pick(smoke=20, laptop=1500)
optimiser = optax.adam(optax.cosine_decay_schedule(2e-3, updates), b2=0.99)
random = np.random.default_rng(5)
batches = (digits.train[random.integers(0, len(digits.train), 128)] for _ in range(updates))
looks = {
    max(1, round(updates * share))
    for share in pick(smoke=(1,), laptop=(0.03, 0.06, 0.12, 0.25, 0.5, 1))
}

start = vdmlite.init(recipes.digits(depth=pick(smoke=1, laptop=3), key=init_key), optimiser)
curve, tested = [], {}
for state, terms in progress(vdmlite.train(start, optimiser, batches, key=train_key), updates):
    curve.append(terms.loss)  # left on the device: waiting for each number would slow us down
    if len(curve) in looks:
        # test_key again each time: the same times and noise, so that differences are of the models.
        look = vdmlite.evaluate(
            state.average, digits.test, draws=pick(smoke=2, laptop=6), key=test_key
        )
        tested[len(curve)] = look.bits.loss.mean, 2 * look.bits.loss.error
curve = np.array([bits(loss) for loss in curve])

# %%
figure, ax = plt.subplots(figsize=(7, 3.4))
ax.plot(np.arange(1, updates + 1), curve, color="0.7", lw=0.8, ls="-", label="training batches")
values, errors = np.array(list(tested.values())).T
ax.errorbar(
    list(tested),
    values,
    errors,
    fmt="o--",
    ms=3,
    capsize=4,
    color=COLORS[0],
    label="test, ± 2 standard errors",
)
ax.axhline(np.log2(levels), color=COLORS[1], ls=":")
ax.axhline(pixelwise, color=COLORS[2], ls="-.")
ax.text(
    updates, np.log2(levels) + 0.06, "every level equally likely", ha="right", color=COLORS[1]
)
ax.text(updates, pixelwise + 0.06, "each pixel by itself", ha="right", color=COLORS[2])
ax.set(xlabel="updates", ylabel="bits per dimension", ylim=(1.5, 5))
ax.legend(loc="upper right", bbox_to_anchor=(1, 0.72))
show(
    figure,
    "Bits per dimension against updates: training batches fall steeply, then slowly; the test bound falls "
    "below both baselines, drawn as level lines, early on and flattens out near its end value.",
)

# %% [markdown]
# How good is the model in the end? `evaluate` passes over the test images many times with fresh times and noise, and
# gives the mean of each term and its Monte-Carlo error, that of times and noise alone, for exactly these 360 images.
# The model we test is `state.average`, a running average of the weights, which is steadier than the weights of the
# last update.

# %%
model = state.average
final = vdmlite.evaluate(model, digits.test, draws=pick(smoke=2, laptop=24), key=test_key)
print("                   bits per dimension")
for term in ("prior", "reconstruction", "diffusion"):
    print(f"{term:15s}  {getattr(final.bits, term):.4f}")
print(f"{'all':15s}  {final.bits.loss:.3f}")
claim(
    "05",
    "a diffusion model of the digits, test bits per dimension",
    final.bits.loss.mean,
    at_most=2.00,
    trained=True,
)

# %% [markdown]
# Under 2 bits where knowing nothing costs over 4. Nearly everything is diffusion. The ends of γ began at −8 and 5 and
# were trained along (lesson 07); they leave almost nothing to pay for the prior and the reconstruction. The
# reconstruction is of the size that the table above has at γ₀ = −8. (The prior has no error bar to speak of: it is a
# formula, nothing in it is drawn.)
#
# Do more steps pay for a network too? It was trained for $T = \infty$ only, and the same weights can be asked what
# they would pay with fewer steps.

# %%
print("    T   bits per dimension")
for T in pick(smoke=(), laptop=(10, 100, 1000)):
    few = vdmlite.evaluate(
        model, digits.test, timesteps=T, draws=pick(smoke=2, laptop=8), key=test_key
    )
    print(f"{T:5d}   {few.bits.loss:.2f}")
print(f"    ∞   {final.bits.loss:.2f}")

# %% [markdown]
# The staircase again: ten stairs are dear, a thousand are about as good as infinitely many. How many a model needs
# can be said beforehand: that is the build among the exercises. Lastly, what does the model think a digit is? It
# starts from pure noise and takes 200 steps back.

# %%
draws = pick(smoke=8, laptop=32)
walk = jax.vmap(lambda k: vdmlite.sample(model, steps=pick(smoke=10, laptop=200), key=k))
samples = walk(jax.random.split(sample_key, draws))

figure, (left, right) = panels(2, width=4.4, height=2.6)
figure.set_layout_engine("constrained", wspace=0.08)
images(left, digits.test[:draws], levels=levels, title="data")
images(right, samples, levels=levels, title="samples")
show(
    figure,
    "Left: a sheet of handwritten digits from the test set. Right: a sheet of the model's samples, strokes of "
    "the same width and brightness, some of them readable digits.",
)

# %% [markdown]
# ## Ask yourself
#
# 1. A friend takes the error at the *clean* end of each step as the stair's height. Is the sum above or below
#    $L_\infty$?
# 2. Why is the estimate biased if you draw $t$ uniformly but forget $\gamma'(t)$? And why does that do little harm to
#    training if the schedule is linear and its ends are fixed?
# 3. In a batch of one, what is the comb worth?
# 4. $T = 1000$ is 0.05 nats above the limit in our Gaussian example. About how many steps bring that down to 0.001?
#
# <details><summary>Answers</summary>
#
# 1. Below: the curve falls, so each stair is then as high as its lowest point.
# 2. Without it the mean is $\tfrac12 \int m\, dt$, an average over time, not the area over γ. If γ is linear,
#    $\gamma'$ is the constant $\gamma_1 - \gamma_0$, and forgetting it only rescales the loss: other numbers, same
#    minimum.
# 3. Nothing: one tooth is one uniform number.
# 4. Ten times the steps make a tenth of the excess, so fifty times as many: about 50,000.
# </details>
#
# ## Take along
#
# > **For the best guess, cutting a step in two never costs; with infinitely many, the diffusion loss is
# > ½ ∫ E‖ε − ε̂‖² dγ, and one random time per example, spread over the batch, estimates it without bias.**
#
# In the package: `continuous_diffusion_loss`, `spread_times`, `batch_vlb`, `evaluate` and `train`.
# Exercises: `exercises/05_continuous_time.ipynb`. Next: lesson 06, where five schedules meet one number.
