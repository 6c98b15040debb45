# %% [markdown]
# # 11 · Bits per dimension
#
# *Two minutes on 2 CPU cores · after lesson 07 · VDM §3 and appendix C · files `decoder.py`, `denoiser.py`, `unet.py`*
#
# **The idea.** A pixel is an integer. A bound in nats on a density of real numbers says nothing about it until levels,
# densities and bits are put in order. Then one number, bits per dimension, can be held against any other way to describe the
# same images.
#
# **After this lesson you can**
# - turn a density into a price for integers, and say what dequantisation loses;
# - write VDM's decoder, and its cost, in a few lines that lose no digits;
# - state the bits per dimension of a model with an error bar, next to honest yardsticks;
# - say what Fourier features see that a network cannot, and why their highest frequency is just that high.

# %%
import io

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from PIL import Image

import vdmlite
from vdmlite import bits_per_dim, data, recipes
from vdmlite.course import baselines, claim, pick, pretrained, show
from vdmlite.nn import ConvNet, fourier_features
from vdmlite.viz import COLORS, LINES, MARKERS, images

keys = jax.random.split(jax.random.key(11), 8)
u_key, digits_key, test_key, smooth_key, smooth_test_key, curve_key, patch_key, z_key = keys

# %% [markdown]
# ## From densities to bits
#
# A density is not a price. It can be as large as it likes, and measured in millimetres in place of metres the same density is a
# thousandth of the number. An *integer* has a probability, and its price is $-\log_2 P$ bits, what the best code pays
# for it. With $V$ levels that are all equally likely it is $\log_2 V$, the price of knowing nothing.
#
# To get from one to the other we lay the levels on a line. Level $k = 0, \dots, V - 1$ owns a cell of $[-1, 1]$, of width $2/V$,
# and sits in its middle:
#
# $$ \mathrm{value}_k = \frac{2(k + \tfrac12)}{V} - 1 . $$
#
# If $x$ is drawn evenly from the cell, $x = 2(k + u)/V - 1$ with $u \sim U(0, 1)$, the integers have become real numbers
# without a gap, and a density $p$ can be fitted to them. That is **uniform dequantisation**. The level's probability under the
# density is what its cell holds, $P(k) = \int_{\text{cell}} p = \tfrac2V\, \mathbb E_u[p(x)]$, and since the logarithm is concave,
#
# $$ -\log P(k) \;\le\; \mathbb E_u[-\log p(x)] + \log \tfrac V2 . $$
#
# Add over all $D$ dimensions, divide by $D \ln 2$: bits per dimension. The gap is what is lost by pretending that integers are
# smooth. Let us see one: three levels of eight, and a bell.

# %%
V = 8
bell = vdmlite.Gaussian(jnp.asarray(0.1), jnp.asarray(0.15))
u = jax.random.uniform(u_key, (100_000,))
print("level   −log2 P(k)   dequantised")
for k in (3, 4, 5):
    grid = jnp.linspace(2 * k / V - 1, 2 * (k + 1) / V - 1, 2001)
    P = float(jnp.trapezoid(jnp.exp(jax.vmap(bell.log_prob)(grid)), grid))
    x = 2 * (k + u) / V - 1
    smooth = float(jnp.mean(-jax.vmap(bell.log_prob)(x))) + np.log(V / 2)
    print(f"{k:5d}   {-np.log2(P):10.3f}   {smooth / np.log(2):11.3f}")

# %% [markdown]
# ## The decoder of VDM
#
# VDM does not dequantise. Its last step, $p(k \mid z_0)$, is a distribution over levels, by Bayes' rule from
# $q(z_0 \mid x)$ with all levels equally likely:
#
# $$ p(k \mid z_0) \;\propto\; \exp\Bigl( -\tfrac12\, e^{-\gamma_0} \Bigl( \frac{z_0}{\alpha_0} - \mathrm{value}_k \Bigr)^2 \Bigr) . $$
#
# $z_0/\alpha_0$ is the value of the true level plus noise of width $e^{\gamma_0/2}$. What the decoder costs depends on one number:
# how that width compares with the distance of two levels.

# %%
decoder = vdmlite.LevelDecoder(256)
pixels = jax.random.randint(z_key, (pick(smoke=200, laptop=4000),), 0, 256)
eps = jax.random.normal(z_key, pixels.shape)


def by_hand(gamma_0):
    """−log2 p(k | z_0), the mean over pixels, in three lines."""
    values = 2 * (jnp.arange(256) + 0.5) / 256 - 1
    place = values[pixels] + jnp.exp(gamma_0 / 2) * eps  # z_0/α_0
    logits = -0.5 * jnp.exp(-gamma_0) * (place[:, None] - values[None]) ** 2
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(pixels)), pixels]) / jnp.log(2)


print("   γ₀   width / level   bits per pixel   read wrongly")
for gamma_0 in (-14.0, -13.3, -12.0, -11.0, -8.0):
    z_0 = vdmlite.marginal(decoder.embed(pixels), gamma_0).at(eps)
    price = -decoder.log_prob(pixels, z_0, gamma_0) / (len(pixels) * np.log(2))
    np.testing.assert_allclose(price, by_hand(gamma_0), rtol=2e-2, atol=2e-3)
    wrong = jnp.mean(decoder.mode(z_0, gamma_0) != pixels)
    print(f"{gamma_0:6.1f}   {np.exp(gamma_0 / 2) * 128:13.3f}   {price:14.4f}   {wrong:12.1%}")

# %% [markdown]
# At γ₀ = −13.3 the noise is a sixth of a level wide and the decoder costs a hundredth of a bit. At −8, where many models
# stop, it costs over three bits a pixel, more than all the rest. That is why the clean end must be as clean as that, and why
# VDM trains it.
#
# A detail that pays: a softmax over 256 levels holds 256 numbers for each pixel, and in a small model it takes more time and
# memory than the network. `LevelDecoder.log_prob` goes through the levels one by one and adds up; the same value, a
# hundredth of the memory.
#
# ## A model of digits
#
# In lesson 05 a network guessed the digits. Look again at how its output is read. It returns logits $b_k$ for each pixel's levels,
# from the pixel's surroundings; the pixel's own latent is taken care of by a formula, Bayes' rule over levels:
#
# $$ P(k \mid z) \;\propto\; \exp\Bigl( b_k - \tfrac12\, \mathrm{SNR}\, (z/\alpha - \mathrm{value}_k)^2 \Bigr), \qquad
# \hat x = \sum_k P(k \mid z)\, \mathrm{value}_k . $$
#
# The network need not learn what arithmetic knows. We train it (half a minute), and beside it a rival: the same network, but
# as a model of *dequantised* digits, real numbers, guessing $v$.

# %%
digits = data.digits()
shape = (8, 8, 1)
steps = pick(smoke=10, laptop=1500)
model, curve = pretrained.fit(
    recipes.digits(key=digits_key), digits, steps=steps, batch_size=128, key=digits_key
)
found = vdmlite.evaluate(
    model,
    digits.test,
    draws=pick(smoke=2, laptop=16),
    times=pick(smoke=1, laptop=4),
    batch_size=1440,
    key=test_key,
)


def bits(nats, of=shape):
    return float(bits_per_dim(nats, of))


for term in ("prior", "reconstruction", "diffusion"):
    print(
        f"{term:15s} {bits(getattr(found.mean, term)):.4f} ± {bits(getattr(found.error, term)):.4f}"
    )
print(
    f"{'together':15s} {bits(found.mean.loss):.3f}  ± {bits(found.loss_error):.3f} bits per dimension"
)
claim("11", "digits: test bits per dimension of the diffusion model", bits(found.mean.loss),
      at_most=2.00, trained=True)  # fmt: skip

# %% [markdown]
# `evaluate` sees every test image in every pass, each at several evenly spread times, and reports the Monte-Carlo error from the
# spread of its passes. Published numbers are often a single pass over part of the test set, without an error.
#
# The rival: dequantise, train on real numbers with the Gaussian decoder, and add $\log(V/2)$ per dimension.

# %%
smooth_train = data.dequantise(digits.train, 17, key=smooth_key)
smooth_test = data.dequantise(digits.test, 17, key=smooth_test_key)
net = ConvNet(shape, width=32, depth=3, key=smooth_key)
rival = vdmlite.VDM(
    vdmlite.LearnedLinear(-9.0, 5.0),
    vdmlite.NetDenoiser(net, vdmlite.from_v),
    vdmlite.GaussianDecoder(),
    shape,
)
rate = optax.warmup_cosine_decay_schedule(0, 2e-3, min(100, steps // 10), steps)
optimiser = optax.adam(rate, b2=0.99)
random = np.random.default_rng(11)


def fresh():
    """Batches of training digits, each dequantised anew."""
    for _ in range(steps):
        some = digits.train[random.integers(0, len(digits.train), 128)]
        yield np.float32(2 * (some + random.random(some.shape)) / 17 - 1)


for state, _ in vdmlite.train(
    optimiser, vdmlite.init(rival, optimiser), fresh(), key=smooth_key
):
    pass
rival_found = vdmlite.evaluate(
    state.average,
    smooth_test,
    draws=pick(smoke=2, laptop=16),
    times=pick(smoke=1, laptop=4),
    batch_size=1440,
    key=test_key,
)
dequantised = bits(rival_found.mean.loss) + np.log2(17 / 2)
print(f"dequantised: {dequantised:.3f} ± {bits(rival_found.loss_error):.3f} bits per dimension")

# %% [markdown]
# ## The key picture
#
# What do others pay for the same 360 images? All of these are fair: with the training images and the method, anyone could
# decode them.

# %%
prices = {
    "every level alike": baselines.uniform(digits),
    "PNG, one sheet": baselines.png(digits),
    "WebP, lossless, one sheet": baselines.webp(digits),
    "one Gaussian, dequantised": baselines.gaussian(digits),
    "each pixel by itself": baselines.pixelwise(digits),
    "diffusion, dequantised": dequantised,
    "diffusion, levels (VDM)": bits(found.mean.loss),
}
for name, price in prices.items():
    print(f"{name:28s} {price:.2f}")
others = [price for name, price in prices.items() if "VDM" not in name]
claim("11", "digits: bits per dimension saved against the best other description",
      min(others) - bits(found.mean.loss), at_least=0.1, trained=True)  # fmt: skip

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), width_ratios=(1, 1.6))
images(left, digits.test[:36], levels=17, columns=6, title="36 of 360 test digits")
colors = [COLORS[0] if "VDM" in name else "0.7" for name in prices]
right.barh(list(prices), list(prices.values()), color=colors)
for i, price in enumerate(prices.values()):
    right.text(price + 0.05, i, f"{price:.2f}", va="center")
right.invert_yaxis()
right.set(xlabel="bits per dimension", xlim=(0, 4.7), title="what they cost")
right.grid(axis="y", visible=False)
show(
    figure,
    "Left: a sheet of handwritten digits. Right: bars of bits per dimension, from 4.09 for all levels alike and 3.8 for PNG "
    "down to the diffusion model over levels, the shortest bar, below 2.",
)

# %% [markdown]
# Here is a check that the yardsticks are honest: a PNG of our own, and independent pixels by hand.

# %%
sheet = digits.test.reshape(20, 18, 8, 8).swapaxes(1, 2).reshape(160, 144)
file = io.BytesIO()
Image.fromarray(sheet).save(file, "PNG", optimize=True)
counts = np.stack([(digits.train == k).sum(0) for k in range(17)], -1) + 1  # none is 0
shares = counts / counts.sum(-1, keepdims=True)
rows, columns = np.indices((8, 8))
by_pixel = -np.log2(shares[rows, columns, 0, digits.test[..., 0]]).mean()
print(f"PNG {8 * len(file.getvalue()) / digits.test.size:.2f}, pixels {by_pixel:.2f}")
np.testing.assert_allclose(by_pixel, prices["each pixel by itself"], rtol=1e-6)

# %% [markdown]
# PNG hardly helps: it was made for large pictures. The Gaussian knows which pixels go together, but it must spread over the real
# line, and digits are mostly exact zeros and sixteens. That is what costs the dequantised diffusion model as well: it must squeeze
# its density into cells of width $2/17$, with nothing that tells it where the cells are.
#
# ## Fourier features: seeing inside a level
#
# With 256 levels the same trouble comes back in the *network*. Reading levels by a softmax is dear there, and VDM's network
# guesses ε directly. Near the clean end, γ = −13.3, the picture is sharp and the noise is a sixth of a level. To guess it, the
# network must tell where *inside its cell* the latent lies: the fifth digit of a number near 1. Networks are bad at that.
#
# So VDM hands it the digits. To $z$ it adds $\sin(2^n 2\pi z)$ and $\cos(2^n 2\pi z)$ for $n = 6, 7$ (the paper writes $2^n \pi$ with
# 7 and 8; it is the same). A level is $2/256 = 2^{-7}$ wide, so the sine with $n = 7$ runs through exactly one period in one level.
# On a clean pixel it is always at the same point; off it, it shows the noise and nothing but the noise.

# %%
values = 2 * (jnp.arange(120, 126) + 0.5) / 256 - 1
z = jnp.linspace(values[0] - 1 / 256, values[-1] + 1 / 256, 1000)
features = jax.vmap(lambda value: fourier_features(value[None]))(z)  # z, two sines, two cosines
at_levels = np.asarray(jax.vmap(lambda value: fourier_features(value[None]))(values))
print(
    "at clean levels:  sin n=6",
    at_levels[:, 1].round(2),
    "  sin n=7",
    abs(at_levels[:, 2]).round(2),
)
print(
    "                  cos n=6",
    abs(at_levels[:, 3]).round(2),
    "  cos n=7",
    at_levels[:, 4].round(2),
)
np.testing.assert_allclose(at_levels[:, 4], -1, atol=1e-3)

# %% [markdown]
# Two models come with the course, trained alike on 32×32 patches of photographs, one with these features and one without.
# Each trained its own ends of γ. Their errors along γ, as in lesson 06:

# %%
patches = data.patches()
with_features = pretrained.load("patches")
without = pretrained.load("patches_without_fourier")
pair = {"with Fourier features": with_features, "without": without}
gammas = np.concatenate(
    [
        np.linspace(-13.3, -11, pick(smoke=2, laptop=12)),
        np.linspace(-10.5, 5.9, pick(smoke=2, laptop=28)),
    ]
)
curves, totals = {}, {}
unit = 3072 * np.log(2)
for name, vdm in pair.items():
    curves[name] = vdmlite.error_curve(
        vdm,
        patches.test[::2],
        gammas,
        draws=pick(smoke=4, laptop=63),
        batch_size=pick(smoke=4, laptop=126),
        key=curve_key,
    )
    totals[name] = {
        which: vdmlite.evaluate(
            vdm.under(schedule),
            patches.test[: pick(smoke=4, laptop=126)],
            draws=pick(smoke=2, laptop=4),
            times=pick(smoke=1, laptop=4),
            batch_size=pick(smoke=4, laptop=126),
            key=patch_key,
        )
        for which, schedule in {
            f"its own ends, γ₀ = {float(vdm.schedule(0.0)):.2f}": vdm.schedule,
            "VDM's ends, γ₀ = −13.30": vdmlite.FixedLinear(-13.3, 5.0),
        }.items()
    }
print(f"{'test patches, bits per dimension':48s} reconstruction   all")
for name, by_ends in totals.items():
    for which, one in by_ends.items():
        print(
            f"{name:22s} {which:28s}   {one.mean.reconstruction / unit:8.3f}"
            f"   {one.mean.loss / unit:8.3f} ± {one.loss_error / unit:.3f}"
        )
print(f"{'PNG, one sheet':56s}         {baselines.png(patches):.3f}")
print(f"{'WebP, lossless, one sheet':56s}         {baselines.webp(patches):.3f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
left.plot(z, features[:, 2], color=COLORS[0], ls="-", label="sin, n = 7")
left.plot(z, features[:, 4], color=COLORS[1], ls="--", label="cos, n = 7")
left.plot(z, features[:, 1], color="0.6", ls=":", label="sin, n = 6")
for value in values:
    left.axvline(value, color="0.8", ls="-", lw=0.8, zorder=0)
left.set(
    xlabel="z (vertical lines: levels)", title="features across six levels", ylim=(-1.1, 1.6)
)
left.legend(loc="upper center", ncols=3)
for i, (name, one) in enumerate(curves.items()):
    right.plot(gammas, one.mean / 3072, color=COLORS[i], ls=LINES[i], label=name)
    start = float(pair[name].schedule(0.0))
    right.plot(
        start, np.interp(start, gammas, one.mean / 3072), MARKERS[i], color=COLORS[i], ls=""
    )
right.set(
    xlabel="γ (marks: the trained clean ends)",
    ylabel="m(γ) per dimension",
    title="who sees the noise?",
)
right.legend()
show(
    figure,
    "Left: across six grey levels the highest sine and cosine run through one period a level, crossing each level at 0 and "
    "−1; the lower sine takes two levels. Right: the error per dimension against γ; the two curves agree from γ = −11 up, and "
    "at the clean end that of the model without features stays at 1, while the other falls to about a third.",
)
clean = {name: one.mean[0] / 3072 for name, one in curves.items()}
claim("11", "patches, γ = −13.3: share of the noise that stays unseen, without features", clean["without"],
      at_least=0.9, trained=True)  # fmt: skip
claim("11", "the same with Fourier features", clean["with Fourier features"], at_most=0.5, trained=True)  # fmt: skip
saved = [
    list(totals[name].values())[1].mean.loss / unit
    for name in ("without", "with Fourier features")
]
claim("11", "patches, at VDM's ends: bits per dimension that Fourier features save", saved[0] - saved[1],
      at_least=0.1, trained=True)  # fmt: skip

# %% [markdown]
# At the clean end the network without features sees nothing of the noise, $m/D = 1$: it cannot know the fifth digit. With
# features it sees two thirds. At the ends that VDM uses that is worth over a third of a bit per dimension.
#
# But look at the other rows. Each model was free to move its clean end, and the one without features moved it further out, to
# a width of noise that it can see, and let the *decoder* read the rest. In sum the two are level, at this size and after this
# little training (4000 updates; the paper's took millions). The paper found the features to help with learned ends, too; we did
# not, and say so. What we did see is why they can.
#
# And WebP is a little better than both. It is a fine code for photographs, and ours is a small network that saw 817 patches. The
# full VDM, a hundred times larger, reached 2.65 bits per dimension on CIFAR-10: lessons 12 and 13.
#
# ## Ask yourself
#
# 1. A paper reports a density of $-\log p = -9000$ nats for images of 3072 dimensions, scaled to $[-1, 1]$, dequantised, 256
#    levels. What is that in bits per dimension?
# 2. Why can no model of integers have negative bits per dimension, while a density model of dequantised data might report one by
#    mistake?
# 3. What would Fourier features with $n = 8$ show on 8-bit data?
# 4. At γ₀ = −8 the decoder of 256 levels costs 3.3 bits; for 17 levels almost nothing. Why?
#
# <details><summary>Answers</summary>
#
# 1. $(-9000 + 3072 \ln 128)/(3072 \ln 2) = 2.77$.
# 2. Probabilities of integers are at most 1, so their price is at least 0. A density may exceed $V/2$ only if it puts more than
#    all of its mass into one cell: forgetting $\log(V/2)$, or dequantising test images with the noise left out, makes it look so.
# 3. A sine with two periods a level: it, too, stands still on clean pixels, but cannot tell noise of half a level from none.
# 4. What counts is the width of the noise against the distance of levels: 2.3 levels there, a sixth of a level here.
# </details>
#
# ## Take along
#
# > **An integer has a price, a density has not: put log(V/2) per dimension between them, or a decoder over levels. Bits per
# > dimension are nats over D ln 2, with an error bar.**
#
# In the package: `LevelDecoder`, `from_level_logits`, `data.dequantise`, `nn.fourier_features`, `evaluate`, `course.baselines`.
# Exercises: `exercises/11_bits_per_dimension.ipynb`. Next: the full network for CIFAR-10.
