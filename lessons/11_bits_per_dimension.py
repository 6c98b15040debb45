# %% [markdown]
# # 11 · Bits per dimension
#
# *Two minutes on 2 CPU cores · 60 minutes to study · after lesson 07 · VDM §3 and appendix C · files `decoder.py`, `denoiser.py`, `unet.py`*
#
# **The idea.** A pixel is an integer, but the bound so far was about a density of real numbers. This lesson turns one into the
# other, in bits. Then one number, bits per dimension, can be held against any other way to describe the same images.
#
# **After this lesson you can**
# - turn a density into a price for integers, and say what dequantisation loses;
# - write VDM's decoder, and its cost, in a few lines;
# - state the bits per dimension of a model with an error bar, next to honest yardsticks;
# - say what Fourier features see that a network cannot, and why their highest frequency is just that high.

# %%
import io
import zlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from PIL import Image

import vdmlite
from vdmlite import data, recipes
from vdmlite.course import baselines, claim, pick, pretrained, progress, show
from vdmlite.nn import ConvNet, fourier_features
from vdmlite.viz import COLORS, LINES, MARKERS, images

keys = jax.random.split(jax.random.key(11), 11)
u_key, pixel_key, eps_key, init_key, fit_key, test_key = keys[:6]
rival_init_key, rival_fit_key, smooth_key, curve_key, patch_key = keys[6:]

# %% [markdown]
# ## From densities to bits
#
# A density is not a price. It has a unit: of lengths in millimetres it is a thousandth of what it is in metres. And it can be as
# large as it likes. An *integer* has a probability, and its price is $-\log_2 P$ bits, what the best code pays for it. If $V$ grey
# levels are equally likely, the price is $\log_2 V$: 4.09 bits for the 17 levels of the digits, 8 bits for 256.
#
# To get from one to the other we lay the grey levels on a line. Level $k = 0, \dots, V - 1$ owns a cell of $[-1, 1]$, of width $2/V$,
# and sits in its middle:
#
# $$ \mathrm{value}_k = \frac{2(k + \tfrac12)}{V} - 1 . $$
#
# If $x$ is drawn evenly from the cell, $x = 2(k + u)/V - 1$ with $u \sim U(0, 1)$, the integers have become real numbers
# without a gap, and a density $p$ can be fitted to them. That is **uniform dequantisation**. The level's probability under the
# density is what its cell holds, $P(k) = \int_{\text{cell}} p = \tfrac2V\, \mathbb E_u[p(x)]$, and since the logarithm is concave
# (Jensen's inequality, lesson 01),
#
# $$ -\log P(k) \;\le\; \mathbb E_u[-\log p(x)] + \log \tfrac V2 . $$
#
# For an image of $D$ dimensions (pixels times channels) the cell is a cube of side $2/V$, and by the same step
# $-\log P(k) \le \mathbb E_u[-\log p(x)] + D \log \tfrac V2$. Divide by $D \ln 2$: bits per dimension. The gap is what it costs to
# treat integers as if they were smooth. Here are the two prices of three levels of eight, under a bell.

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
# how that width compares with the distance of two levels. Both ways from a real number to an integer, in one picture:

# %%
cells = 2 * jnp.arange(V + 1) / V - 1  # the ends of the cells
x = np.linspace(-1, 1, 1001)
figure, (above, below) = plt.subplots(2, 1, figsize=(9, 5), sharex=True)
above.plot(x, jnp.exp(jax.vmap(bell.log_prob)(x)), color=COLORS[0], ls="-")
inside = np.linspace(cells[4], cells[5], 100)
density = jnp.exp(jax.vmap(bell.log_prob)(inside))
above.fill_between(inside, density, color=COLORS[0], alpha=0.25)
above.plot(2 * (4 + u[:12]) / V - 1, np.full(12, -0.15), "|", color=COLORS[0], ms=9)
above.annotate("area: P(4)", (0.2, 1.1), (0.42, 1.8), arrowprops={"arrowstyle": "->"})
above.set(
    ylabel="density of x", ylim=(-0.35, 3), title="a density, and the cells of eight levels"
)
centres = (cells[:-1] + cells[1:]) / 2
for width, style in ((1 / 6, "-"), (1 / 2, "--")):
    gamma_0 = 2 * np.log(width * 2 / V)
    logits = -0.5 * np.exp(-gamma_0) * (x[:, None] - centres[None]) ** 2
    for k, chance in enumerate(np.transpose(jax.nn.softmax(jnp.asarray(logits)))):
        label = f"noise {width:.2f} of a cell wide" if k == 4 else None
        below.plot(x, chance, color=COLORS[1] if k == 4 else "0.7", ls=style, label=label)
below.set(
    xlabel="x above, z₀/α₀ below; each level stands at the centre of its cell", xlim=(-1, 1)
)
below.set(ylabel="p(k | z₀)", xticks=centres, ylim=(-0.05, 1.35))
below.set_title("VDM's decoder: of the eight levels, level 4 in colour")
below.set_xticklabels([f"k = {k}" for k in range(V)])
below.legend(loc="upper center", ncols=2)
for ax in (above, below):
    ax.grid(visible=False)
    for edge in cells:
        ax.axvline(edge, color="0.85", lw=0.8, zorder=0)
show(
    figure,
    "Above: a bell over eight cells; the area over the fifth cell is the probability of level 4, and ticks below it are "
    "dequantised points, spread over that cell alone. Below: the decoder's probability of each level against the latent. With noise "
    "of a sixth of a cell each is 1 over most of its own cell and 0 beyond; with half a cell neighbours overlap.",
)

# %% [markdown]
# The density pays for the area over a cell. The decoder pays for being unsure which cell it is in: with little noise hardly
# anything, with more noise as much as you see in the next table, for 256 levels.

# %%
decoder = vdmlite.LevelDecoder(256)
pixels = jax.random.randint(pixel_key, (pick(smoke=200, laptop=4000),), 0, 256)
eps = jax.random.normal(eps_key, pixels.shape)


def by_hand(gamma_0):
    """−log2 p(k | z_0), the mean over pixels, in three lines."""
    values = 2 * (jnp.arange(256) + 0.5) / 256 - 1
    place = values[pixels] + jnp.exp(gamma_0 / 2) * eps  # z_0/α_0
    logits = -0.5 * jnp.exp(-gamma_0) * (place[:, None] - values[None]) ** 2
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(pixels)), pixels]) / jnp.log(2)


print("   γ₀   width / level   bits per pixel   read wrongly")
for gamma_0 in (-13.3, -12.0, -11.0, -8.0):
    z_0 = vdmlite.marginal(decoder.embed(pixels), gamma_0).at(eps)
    price = -decoder.log_prob(pixels, z_0, gamma_0) / (len(pixels) * np.log(2))
    np.testing.assert_allclose(price, by_hand(gamma_0), rtol=1e-3, atol=1e-5)
    wrong = jnp.mean(decoder.mode(z_0, gamma_0) != pixels)
    print(f"{gamma_0:6.1f}   {np.exp(gamma_0 / 2) * 128:13.3f}   {price:14.4f}   {wrong:12.1%}")

# %% [markdown]
# At γ₀ = −13.3 the noise is a sixth of a level wide and the decoder costs a hundredth of a bit. At −8 it costs over three bits
# a dimension, more than the 2.65 of VDM's whole bound on CIFAR-10. A cleaner end makes the decoder cheaper and the diffusion
# loss dearer; where the bargain lies depends on the network, so VDM trains the end (lesson 07).
#
# A detail that pays: a softmax over 256 levels holds 256 numbers for each pixel. `LevelDecoder.log_prob` goes through the
# levels one by one and adds up: the same value, with a few numbers a pixel at a time.
#
# ## A model of digits
#
# How is the output of the digits' network read? It is a *logit* $b_k$ for every grey level of every pixel: the network's
# log-probability of the level, up to a constant, judged from the pixel's surroundings. The pixel's own latent is taken care of by a
# formula, Bayes' rule over grey levels:
#
# $$ P(k \mid z) \;\propto\; \exp\Bigl( b_k - \tfrac12\, \mathrm{SNR}\, (z/\alpha - \mathrm{value}_k)^2 \Bigr), \qquad
# \hat x = \sum_k P(k \mid z)\, \mathrm{value}_k . $$
#
# The network need not learn what arithmetic knows. We train it, half a minute.

# %%
digits = data.digits()
shape = (8, 8, 1)
steps = pick(smoke=10, laptop=1500)
model, _ = pretrained.fit(
    recipes.digits(key=init_key), digits, steps=steps, batch_size=128, key=fit_key
)
found = vdmlite.evaluate(
    model,
    digits.test,
    draws=pick(smoke=2, laptop=16),
    times=pick(smoke=1, laptop=4),
    batch_size=1440,
    key=test_key,
)


for term in ("prior", "reconstruction", "diffusion"):
    print(f"{term:15s} {getattr(found.bits, term):.4f}")
print(f"{'together':15s} {found.bits.loss:.3f} bits per dimension")
claim("11", "digits: test bits per dimension of the diffusion model", found.bits.loss.mean,
      at_most=2.00, trained=True)  # fmt: skip

# %% [markdown]
# `evaluate` sees every test image in every pass, each at several evenly spread times, and reports the Monte-Carlo error from the
# spread of its passes. Many papers give no error.
#
# You have now met several figures for "the digits model", between 1.85 and 1.89. They are of two kinds. Lessons 06, 07 and 10 load
# the one trained model that comes with the course, and measure it with noise of their own: such figures differ by about their
# errors. Lesson 05 and this one train the recipe anew, each from other first weights and with other batches. That makes another
# model, whose true figure may be a hundredth or two away, and no error bar of one model knows of it.
#
# Beside it a rival that knows nothing of levels: the same body, but guessing $v$, on *dequantised* digits, with the Gaussian
# decoder for real numbers. Its price is the bound plus $\log(V/2)$ per dimension. To average over $u$, each test image comes
# eight times, dequantised anew.

# %%
smooth_test = data.dequantise(np.tile(digits.test, (8, 1, 1, 1)), 17, key=smooth_key)
net = ConvNet(shape, width=32, depth=3, key=rival_init_key)
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


start = vdmlite.init(rival, optimiser)
training = vdmlite.train(start, optimiser, fresh(), key=rival_fit_key)
*_, (state, _) = progress(training, steps)
rival_found = vdmlite.evaluate(
    state.average,
    smooth_test,
    draws=pick(smoke=2, laptop=16),
    batch_size=1440,
    key=test_key,
)
dequantised = rival_found.bits.loss.mean + np.log2(17 / 2)
print(f"dequantised: {dequantised:.3f} ± {rival_found.bits.loss.error:.3f} bits per dimension")

# %% [markdown]
# ## The key picture
#
# What do others pay for the same 360 images? PNG and WebP get them as one picture, 20 rows of 18 digits, so that a file's header
# is paid once. The files, and the code that takes each pixel by itself, can be decoded as they are. The other numbers are expected
# lengths, which lesson 14 comes close to with real bits. None looks at the test images in advance.

# %%
prices = {
    "every level alike": baselines.uniform(digits),
    "PNG, one sheet": baselines.png(digits),
    "WebP, lossless, one sheet": baselines.webp(digits),
    "one Gaussian, dequantised": baselines.gaussian(digits).mean(),
    "each pixel by itself": baselines.pixelwise(digits).mean(),
    "diffusion, dequantised": dequantised,
    "diffusion, levels (VDM)": found.bits.loss.mean,
}
for name, price in prices.items():
    print(f"{name:28s} {price:.2f}")
others = [price for name, price in prices.items() if "VDM" not in name]
claim("11", "digits: bits per dimension saved against the best other description",
      min(others) - found.bits.loss.mean, at_least=0.1, trained=True)  # fmt: skip

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
# Here is a check that the yardsticks are honest: a PNG of our own, and independent pixels by hand. And the method inside PNG
# without PNG.

# %%
sheet = digits.test.reshape(20, 18, 8, 8).swapaxes(1, 2).reshape(160, 144)
file = io.BytesIO()
Image.fromarray(sheet).save(file, "PNG", optimize=True)
counts = np.stack([(digits.train == k).sum(0) for k in range(17)], -1) + 1  # none is 0
shares = counts / counts.sum(-1, keepdims=True)
rows, columns = np.indices((8, 8))
by_pixel = -np.log2(shares[rows, columns, 0, digits.test[..., 0]]).mean()
plain = len(zlib.compress(sheet.tobytes(), 9))
print(f"PNG {8 * len(file.getvalue()) / digits.test.size:.2f}, pixels {by_pixel:.2f}")
print(f"plain bytes, compressed {8 * plain / digits.test.size:.2f}")
np.testing.assert_allclose(by_pixel, prices["each pixel by itself"], rtol=1e-6)

# %% [markdown]
# PNG hardly helps: it first replaces pixels by differences from their neighbours, which suits smooth photographs. The Gaussian
# knows which pixels go together, but it must spread over the real line, and digits are mostly exact zeros and sixteens. The
# dequantised diffusion model must squeeze its density into cells of width $2/17$, and neither its reading nor its decoder
# tells it where the cells are. (How much of the 0.3 bits is due to which, this comparison can't say.)
#
# ## Fourier features: seeing inside a level
#
# With 256 levels the same trouble comes back in the *network*. Reading levels by a softmax is dear there, so VDM's network guesses
# ε directly. Near the clean end, γ = −13.3, the picture is sharp and the noise is a sixth of a cell. To guess it, the network must
# tell where *inside its cell* the latent lies: the third and fourth decimals. Networks are bad at that, because a small change of
# the input must make a large change of the output.
#
# So VDM hands it the decimals. Beside $z$ it lays $\sin(2^n 2\pi z)$ and $\cos(2^n 2\pi z)$ for $n = 6, 7$ (the paper
# writes $2^n \pi$ with 7 and 8; it is the same). A level is $2/256 = 2^{-7}$ wide, so the sine with $n = 7$ runs
# through exactly one period in one level. On a clean pixel it is always at the same point; off it, it shows how far
# $z$ lies from the level's centre, as long as that is less than half a level.

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
# The sine with $n = 6$ takes two levels for a period and tells even levels from odd.
#
# Two models come with the course, trained alike on 32×32 patches of three photographs, one with these features and one without.
# Each began with its clean end at −13.3, and trained it. The 126 test patches come from one photograph, of a cat, that neither
# has seen; the errors below are Monte-Carlo errors for these patches.
#
# First the error along γ. As in lesson 06, $m$ is the squared error of a guess of the noise, $\lVert \varepsilon - \hat\varepsilon \rVert^2$;
# $\mathbb E[m]/D$, its mean per dimension, is 1 for a network that sees nothing of the noise and guesses 0. Then the bounds, each
# between the model's own ends and between VDM's. And for comparison the files: the patches lie on one sheet, 14 rows of 9, in the
# order in which they were cut from the photograph. So most of them have their true neighbour beside them, which our models,
# patch by patch, never see. How much that helps WebP a shuffled sheet tells.

# %%
patches = data.patches()
with_features = pretrained.load("patches")
without = pretrained.load("patches_without_fourier")
gammas = np.concatenate(
    [
        np.linspace(-13.3, -11, pick(smoke=2, laptop=12)),
        np.linspace(-10.5, 5.9, pick(smoke=2, laptop=28)),
    ]
)
colour = (32, 32, 3)


def curve_of(vdm):
    return vdmlite.error_curve(
        vdm,
        patches.test[::2],
        gammas,
        draws=pick(smoke=4, laptop=63),
        batch_size=pick(smoke=4, laptop=126),
        key=curve_key,
    )


def bound_of(name, vdm):
    found = vdmlite.evaluate(
        vdm,
        patches.test[: pick(smoke=4, laptop=126)],
        draws=pick(smoke=2, laptop=4),
        times=pick(smoke=1, laptop=4),
        batch_size=pick(smoke=4, laptop=126),
        key=patch_key,
    )
    total, error = found.bits.loss
    print(
        f"{name:22s}  γ₀ = {float(vdm.schedule(0.0)):6.2f}"
        f"   {found.bits.reconstruction.mean:8.3f}   {total:8.3f} ± {error:.3f}"
    )
    return total


pair = {"with Fourier features": with_features, "without": without}
curves = {name: curve_of(vdm) for name, vdm in pair.items()}
print("test patches, bits per dimension     reconstruction    all")
own = {name: bound_of(name, vdm) for name, vdm in pair.items()}
vdms = vdmlite.FixedLinear(-13.3, 5.0)
between_vdms_ends = {name: bound_of(name, vdm.under(vdms)) for name, vdm in pair.items()}
print(f"{'PNG, one sheet':36s}              {baselines.png(patches):.3f}")
print(f"{'WebP, lossless, one sheet':36s}              {baselines.webp(patches):.3f}")
shuffled = patches._replace(test=np.random.default_rng(11).permutation(patches.test))
print(f"{'WebP, the same, patches shuffled':36s}              {baselines.webp(shuffled):.3f}")

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
    ylabel="E[m] per dimension",
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
both = max(float(vdm.schedule(0.0)) for vdm in pair.values())
for name, one in curves.items():
    print(f"{name:22s} E[m]/D at γ = −13.3: {clean[name]:.3f}"
          f"    at γ = {both:.2f}: {np.interp(both, gammas, one.mean / 3072):.3f}")  # fmt: skip
claim("11", "patches, γ = −13.3: share of the noise that stays unseen, without features", clean["without"],
      at_least=0.9, trained=True)  # fmt: skip
claim("11", "the same with Fourier features", clean["with Fourier features"], at_most=0.5, trained=True)  # fmt: skip
saved = between_vdms_ends["without"] - between_vdms_ends["with Fourier features"]
claim("11", "patches, put back to VDM's ends: bits per dimension that Fourier features save", saved,
      at_least=0.1, trained=True)  # fmt: skip

# %% [markdown]
# At γ = −13.3 the network without features sees nothing of the noise, $\mathbb E[m]/D = 1$: it did not learn to read the third
# decimal. With features two thirds of the noise are seen. Between VDM's ends that is worth over a third of a bit per dimension.
#
# But mind where the two were trained. −13.3 is where both began, and both left it early: with features for −12.26, without them for
# −11.78. So at −13.3 both are judged outside the range that they ended with, and a model held there for all of its training might
# do better than either. At −11.78, which is inside both ranges, the features hardly help: the last lines above have both errors.
#
# And look at the bounds between their own ends. There the *decoder* reads part of the noise instead, for 0.27 and 0.56 bits. In sum
# the two are alike, at this size and after this little training (4000 updates; the paper's took millions). The paper found the
# features to help with trained ends, too. In our bounds they do not, and we say so. What we did see is what they make visible.
#
# WebP is a little better than both on the sheet in its order. Shuffled, without the neighbours that our models never see, it costs
# as much as they do. It is a fine code for photographs, and ours is a small network that saw 817 patches. The full VDM, a hundred
# times larger, reached 2.65 bits per dimension on CIFAR-10: lessons 12 and 13.
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
# 2. Probabilities are at most 1, so their price is at least 0. A density may exceed $V/2$ at a point, but not on average over a
#    cell, for a cell holds at most all of its mass. A negative number means that $\log(V/2)$ was forgotten, or that test
#    images were put at one fixed point of their cells, where the density may have a spike.
# 3. A sine with two periods a level: it, too, stands still on clean pixels, but cannot tell noise of half a level from none.
# 4. What counts is the width of the noise against the distance of levels: 2.3 levels there, a sixth of a level here.
# </details>
#
# ## Take along
#
# > **An integer has a price, and a density has none: put log(V/2) per dimension between them, or a decoder over levels. Bits per
# > dimension are nats over D ln 2, with an error bar.**
#
# In the package: `LevelDecoder`, `from_level_logits`, `data.dequantise`, `nn.fourier_features`, `evaluate`, `course.baselines`.
# Exercises: `exercises/11_bits_per_dimension.ipynb`. Next: the full network for CIFAR-10.
