# %% [markdown]
# # 16 · SR3: many answers to one small image
#
# *Three and a half minutes on 2 CPU cores · 60 minutes to study · after lessons 09, 11 and 15 · Saharia et al. 2021 · file
# `neighbours/super_resolution.py`*
#
# **The idea.** A small image fits many large ones. A network trained to minimise the squared error gives the mean of all
# of them, which is blurred. A diffusion model that sees the small image beside $z$ *draws* one of them, which is sharp. By the squared
# error the blurred answer wins, and it must. By anything that asks whether an answer looks like a real image, the draw wins.
#
# **After this lesson you can**
# - make a conditional model of any VDM, and say what its bound is a price of;
# - split the price of an image into that of a small one and of the rest;
# - say why a draw has about twice the squared error of the mean, and check with it whether a model is too sure;
# - chain models from noise to large images.

# %%
import dataclasses
import math

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import data
from vdmlite.course import baselines, claim, pick, pretrained, show
from vdmlite.course.judge import frechet, train_judge
from vdmlite.neighbours import super_resolution as sr
from vdmlite.neighbours.weighting import WeightedGradient
from vdmlite.viz import COLORS, images

keys = jax.random.split(jax.random.key(16), 8)
draw_key, fit_key, small_key, judge_key, test_key, step_key, cascade_key, half_key = keys

# %% [markdown]
# ## One more thing to see
#
# MNIST has images of 28×28 pixels. We replace each square of 4×4 pixels by its mean: 7×7 pixels are left, one number in
# sixteen. What were the others? SR3 answers with a diffusion model. Nothing about $z_t$, the schedule or the bound
# changes. Only the network sees one more thing: the small image, enlarged to the size of $z$ by bicubic interpolation, as
# one more channel.
#
# $$ \hat\varepsilon = \hat\varepsilon(z_t;\, \gamma_t,\, \text{low}) , \qquad \text{the bound} \;\geq\; -\log p(x \mid \text{low}) . $$
#
# (Saharia et al. wrote the loss as DDPM's, on the absolute error, and the network sees a continuous noise level, as ours
# always has.) In the package it is a net around a net, `ImageNet`, with the condition given to `train`, `evaluate` and
# `draw` as labels were in lesson 09. A model that ships has seen 4,500 digits. Here are five that it has not seen.


# %%
class Blind(vdmlite.AbstractDenoiser):
    """x̂ without a look at z, which is put to zero: from the small image alone."""

    denoiser: vdmlite.AbstractDenoiser

    def guess(self, z, gamma, *, key=None):
        x = self.denoiser(jnp.zeros_like(z), 5.0, key=key).x
        return vdmlite.from_x(x, z, gamma)

    def given(self, condition):
        return Blind(self.denoiser.given(condition))


def blind(model):
    """Return the model with a network that sees nothing but the small image."""
    return dataclasses.replace(model, denoiser=Blind(model.denoiser))


@jax.jit
def guesses(model, low):
    """x̂ of a blind model for each small image, in grey levels."""
    z = jnp.zeros(model.shape)
    x = jax.vmap(lambda one: model.given(one).predict(z, 1.0).x)(low)
    return (x + 1) * model.decoder.levels / 2 - 0.5


def bicubic(low, shape, levels):
    """Every small image, enlarged."""
    large = jax.vmap(lambda one: sr.enlarge(one, shape))(jnp.asarray(low, float))
    return np.clip(np.asarray(large), 0, levels - 1)


mnist, painter = data.mnist(), pretrained.load("mnist_large")
some = mnist.test[: pick(smoke=2, laptop=60)]
low = sr.shrink(some, 4)
steps, row = pick(smoke=2, laptop=32), min(5, len(some))
first_key, *more_keys = jax.random.split(draw_key, 4)
drawn = vdmlite.draw(painter, len(some), low, steps=steps, batch_size=20, key=first_key)
more = [
    vdmlite.draw(painter, row, low[:row], steps=steps, batch_size=20, key=key)
    for key in more_keys
]
answers = {
    "bicubic": bicubic(low, (28, 28, 1), 256),
    "one guess": np.asarray(guesses(blind(painter), low)),
    "a draw": drawn,
    "truth": some,
}

# %%
columns = {"known": low.repeat(4, 1).repeat(4, 2)}
columns |= {name: answers[name] for name in ("bicubic", "one guess", "a draw")}
columns |= dict(zip(("another", "a third", "a fourth"), more, strict=True)) | {"truth": some}
figure, axes = plt.subplots(1, len(columns), figsize=(10, 6.2))
for ax, (name, x) in zip(axes, columns.items(), strict=True):
    images(ax, x[:row], levels=256, columns=1, title=name)
show(
    figure,
    "Five handwritten digits, one in each row. From left to right: 7×7 grey squares, hardly to be read; the bicubic image, a grey blur; the network's one guess, "
    "a digit with grey edges and grey places where it is in doubt; four draws, black and white and sharp, which differ in places; the true digit.",
)

# %% [markdown]
# This is the picture of the lesson. The *one guess* is what the network says when it sees no $z$ at all: its mean of all that
# fits. Where it is in doubt it is grey. The draws are no greyer than real digits. They differ most where the guess was grey:
# *how* they differ says what the small image has left open. In numbers, for 60 digits:


# %%
def psnr(found, truth, levels):
    """10 log10(peak² / mean squared error), in decibels."""
    return 10 * math.log10((levels - 1) ** 2 / np.mean((found - truth.astype(float)) ** 2))


def misfit(found, low, factor):
    """How far the means of squares are from the small image: root mean square, in levels."""
    n, h, w, c = low.shape
    squares = np.asarray(found, float).reshape(n, h, factor, w, factor, c)
    return math.sqrt(np.mean((squares.mean((2, 4)) - low) ** 2))


print("MNIST             PSNR     pixels in 64 … 191     misfit of the small image")
for name, x in answers.items():
    decibels = "" if name == "truth" else f"{psnr(x, some, 256):.2f} dB"
    print(f"{name:12s}{decibels:>10s}{np.mean((x > 63.5) & (x < 191.5)):16.1%}{misfit(x, low, 4):24.2f}")  # fmt: skip

# %% [markdown]
# The *PSNR* is the mean squared error in decibels: ten times the logarithm of (peak level)² over it, so that more is better and a
# factor of 2 in the error is 3 decibels. The *misfit* is how far an answer's squares are from the small image. By the PSNR the one guess is better than a draw, by two decibels. But a twentieth of a real image's pixels are grey, as of a draw's;
# of the guess's pixels nearly a tenth are, of the bicubic image's more than a fifth. Both the guess and the draw miss the means of the
# squares, by 7 and 12 grey levels. In training noise was added to the condition, of 0.1, or 13 grey levels: the network
# has probably learned not to trust it more than that. (Why noise is added is said below.)
#
# ## What the bound prices
#
# The bound of the conditional model is a price of $x$ for someone who has the small image. The small image is a function of $x$,
# so $p(x) = p(\text{low})\, p(x \mid \text{low})$, and
#
# $$ \text{bits}(x) = \text{bits}(\text{low}) + \text{bits}(x \mid \text{low}) . $$
#
# A second model prices the small images. So the two together are *one model of large images*, and can be compared with any
# other. A model of 7×7 images ships, too. Mind the unit: the bits of the 49 small pixels are divided by 784.

# %%
base = pretrained.load("mnist_small")
whole = mnist.test[: pick(smoke=2, laptop=500)]
small = sr.shrink(whole, 4)
ruler = {"draws": pick(smoke=2, laptop=3), "batch_size": pick(smoke=2, laptop=50)}
nats = (
    vdmlite.evaluate(base, small, **ruler, key=test_key).nats.loss,
    vdmlite.evaluate(painter, whole, small, **ruler, key=test_key).nats.loss,
)
first, then = (vdmlite.bits_per_dim(one, (28, 28, 1)) for one in nats)
both = float(first.mean + then.mean)
print(f"MNIST, bits for each of the 784 pixels: small {first:.3f}, the rest {then:.3f}")
chain = pretrained.MODELS["mnist_chain"].bits
print(f"together {both:.3f}; a chain of latents (lesson 17) {chain}; WebP {baselines.webp(mnist):.3f}")  # fmt: skip
claim("16", "MNIST: bits per dimension of the two models together", both, at_most=1.4, trained=True)  # fmt: skip

# %% [markdown]
# 1.28 bits for each pixel: much less than the chain of latents of lesson 17 takes, and less than WebP. Six sevenths of the bits are for what the small
# image leaves open.
#
# Now the same with the digits of 8×8 pixels and models that you train yourself. The factor is 4 again, so that four numbers
# are known of 64.

# %%
digits, (labels, _) = data.digits(), data.digit_labels()
batch = pick(smoke=8, laptop=128)


def train_enlarger(factor, updates, key):
    """A model of digits given smaller ones."""
    start = sr.stage((8, 8, 1), 17, factor=factor, depth=5, key=key)
    known = sr.shrink(digits.train, factor)
    return pretrained.fit(start, digits, known, steps=updates, batch_size=batch, key=key)[0]


def train_regression(factor, updates, key):
    """The same network, without z, on the mean squared error: the weight of x is e^γ."""
    start = sr.stage((8, 8, 1), 17, factor=factor, depth=5, key=key)
    known, gradient = sr.shrink(digits.train, factor), WeightedGradient(jnp.exp)
    start = blind(start).under(vdmlite.FixedLinear(-1.0, 1.0))
    return pretrained.fit(start, digits, known, gradient=gradient, steps=updates, batch_size=batch, key=key)[0]  # fmt: skip


enlarger = train_enlarger(4, pick(smoke=3, laptop=1500), fit_key)
net = train_regression(4, pick(smoke=3, laptop=800), fit_key)

# %%
test = digits.test[: pick(smoke=8, laptop=360)]
known = sr.shrink(test, 4)
start = sr.stage((2, 2, 1), 17, key=small_key)
tiny_images = data.Images(sr.shrink(digits.train, 4), known, 17)
tiny, _ = pretrained.fit(start, tiny_images, steps=pick(smoke=3, laptop=600), batch_size=batch, key=small_key)  # fmt: skip
single = pretrained.load("digits")
ruler = {"draws": pick(smoke=2, laptop=4), "times": 4, "batch_size": len(test), "key": test_key}
prices = {
    "small, 2×2": vdmlite.evaluate(tiny, known, **ruler).nats.loss,
    "the rest": vdmlite.evaluate(enlarger, test, known, **ruler).nats.loss,
    "at once": vdmlite.evaluate(single, test, **ruler).nats.loss,
}
bits = {name: vdmlite.bits_per_dim(one, (8, 8, 1)) for name, one in prices.items()}
for name, one in bits.items():
    print(f"{name:12s}{one:.3f} bits for each of the 64 pixels")
more_bits = bits["small, 2×2"].mean + bits["the rest"].mean - bits["at once"].mean
claim("16", "digits: bits per dimension by which the two models cost more than one",
      more_bits, at_most=0.05, trained=True)  # fmt: skip

# %% [markdown]
# The two models together cost a hundredth of a bit more than the model of lesson 11, which these errors cannot tell from nothing.
# (Exercise 16.3 compares better, image by image. And the networks are not the same: the enlarger has five blocks, the single
# model three.) To go by way of a small image costs little or nothing.
#
# ## The mean and a draw
#
# The regression net is the same network without $z$, trained by the same loop, on the mean squared error. It learns $\mathbb
# E[x \mid \text{low}]$. Say $y$ is drawn from $p(x \mid \text{low})$, and $\mu$ is its mean. Truth and draw are then two independent
# draws from one distribution, so
#
# $$ \mathbb E \lVert x - y \rVert^2 = \mathbb E \lVert x - \mu \rVert^2 + \mathbb E \lVert y - \mu \rVert^2 = 2\, \mathbb E
# \lVert x - \mu \rVert^2 . $$
#
# A perfect model of the digits loses 3 decibels against a perfect regression. *A better PSNR is no sign of a better model.*
# The judge is that of lesson 15: the Fréchet distance between the features of 360 answers and those of the training
# digits.

# %%
judge = train_judge(digits.train, labels, 17, updates=pick(smoke=5, laptop=300), key=judge_key)
target = judge.features(digits.train)


def distance(found):
    """The Fréchet distance of answers, rounded to whole levels, from the training digits."""
    return frechet(judge.features(np.clip(np.rint(found), 0, 16).astype(np.uint8)), target)


n = pick(smoke=2, laptop=16)
draws = vdmlite.draw(
    enlarger, n * len(test), np.tile(known, (n, 1, 1, 1)), steps=steps, batch_size=len(test), key=draw_key
).reshape(n, *test.shape)  # fmt: skip
answers = {
    "bicubic": bicubic(known, (8, 8, 1), 17),
    "regression": np.asarray(guesses(net, known)),
    "a draw": draws[0],
    f"mean of {n}": draws.mean(0),
    "truth": test,
}
found = {}
print("digits, 4×        PSNR    Fréchet distance    misfit of the small image")
for name, x in answers.items():
    decibels = math.inf if name == "truth" else psnr(x, test, 17)
    found[name] = decibels, distance(x), misfit(x, known, 4)
    print(f"{name:12s}{decibels:8.2f} dB{found[name][1]:16.2f}{found[name][2]:24.2f}")
gap = found["regression"][0] - found["a draw"][0]
claim("16", "decibels by which a draw loses against the regression net", gap, at_most=3.3, trained=True)  # fmt: skip
claim("16", "decibels by which a draw loses against the regression net", gap, at_least=1.0, trained=True)  # fmt: skip
claim("16", "Fréchet distance of draws over that of the regression net",
      found["a draw"][1] / found["regression"][1], at_most=0.85, trained=True)  # fmt: skip


# %%
def with_errors(mean, truth):
    """Bits per dimension of levels around a guess, with a Gaussian error of the best width."""
    gaps = -((np.arange(17) - mean[..., None]) ** 2) / 2
    at = truth[..., None].astype(int)
    each = [np.take_along_axis(np.asarray(jax.nn.log_softmax(gaps / s**2)), at, -1).mean() for s in np.geomspace(0.5, 8, 30)]  # fmt: skip
    return -max(each) / math.log(2)


print("as a price of the digit, given the small one, bits per dimension:")
print(f"  regression with Gaussian errors {with_errors(answers['regression'], test):.3f}")
print(f"  SR3                             {float(bits['the rest'].mean):.3f}")

# %% [markdown]
# The regression net has the better PSNR, by 3.2 decibels, as it must. The judge finds its answers six times as far from real
# digits as the draws. The mean of 16 draws comes within 0.7 decibels of the regression, and has its blur: the blur does not come
# from the network but from what was asked of it. And as a price of the digit the regression net, with independent Gaussian errors of
# one common width, takes twice the bits of SR3.
#
# One claim of the paper does not show here. It reports draws that fit the small image as well as a regression's. Ours are off by
# 0.6 of a level and the regression by 0.24. (The small image is rounded to whole levels, so that even the truth is off by 0.29.)
# Perhaps the errors of 32 steps add up. Exercise 16.2 takes the misfit away.
#
# ## Many draws
#
# The mean of $n$ draws is off by $\mathbb E \lVert x - \mu \rVert^2 + \frac1n \mathbb E \lVert y - \mu \rVert^2$: with $n$ it goes
# from a draw to the mean. For a perfect model it is $(1 + \frac1n)$ times the least error that can be had. For any model it
# is a straight line in $1/n$. The slope over the value at the left end is its *dispersion*: 1 for a model that is right,
# less for one whose draws scatter less than their mean errs.

# %%
counts = [k for k in (1, 2, 4, 8, 16) if k <= n]
errors = []
for k in counts:
    means = draws.reshape(n // k, k, *test.shape).mean(1)
    errors.append(np.mean((means - test.astype(float)) ** 2))
slope, least = np.polyfit(1 / np.array(counts), errors, 1)
line = least + slope / np.array(counts)
print("draws averaged   squared error   over the least")
for k, error in zip(counts, errors, strict=True):
    print(f"{k:8d}{error:18.2f}{error / least:15.2f}   (a perfect model: {1 + 1 / k:.2f})")
print(f"dispersion {slope / least:.2f}; PSNR of infinitely many {10 * math.log10(256 / least):.2f} dB")  # fmt: skip
claim("16", "mean of n draws: largest deviation from a line in 1/n (share)",
      np.abs(line / errors - 1).max(), at_most=0.02, trained=True)  # fmt: skip

# %% [markdown]
# ## As many steps as you like
#
# The network sees $\gamma$, so one set of weights serves any number of steps.

# %%
took = {}
for number in pick(smoke=(1, 2), laptop=(1, 2, 4, 8, 16, 32, 64, 128)):
    x = vdmlite.draw(enlarger, len(test), known, steps=number, batch_size=len(test), key=step_key)  # fmt: skip
    took[number] = distance(x), psnr(x, test, 17)
    print(f"{number:4d} steps: Fréchet distance {took[number][0]:6.2f}, PSNR {took[number][1]:.2f} dB")  # fmt: skip
few, many = pick(smoke=(1, 2), laptop=(4, 32))
claim("16", "Fréchet distance at 32 steps over that at 4",
      took[many][0] / took[few][0], at_most=0.6, trained=True)  # fmt: skip

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
inverse = np.linspace(0, 1, 2)
left.plot(inverse, 1 + inverse, color="0.4", ls="--", lw=1, label="a perfect model")
left.plot(inverse, 1 + slope / least * inverse, color=COLORS[0], label="this model, a line")
left.plot(1 / np.array(counts), np.array(errors) / least, "o", color=COLORS[0])
left.set(xlabel="1/n", title="squared error of the mean of n draws, over the least")
left.legend()
right.plot(list(took), [d for d, _ in took.values()], "o-", color=COLORS[0], label="draws")
right.axhline(found["regression"][1], color=COLORS[1], ls="--", label="regression net")
right.set(xlabel="steps", title="Fréchet distance", xscale="log", yscale="log")
right.legend()
show(
    figure,
    "Left: the squared error of the mean of n draws against 1/n: five points on a straight line that begins at 1 and ends a little below 2, and below the dashed line "
    "of a perfect model. Right: the Fréchet distance against the number of steps, both logarithmic: it falls with more steps, "
    "from a little below the dashed line of the regression net, at one step, to less than a sixth of that.",
)

# %% [markdown]
# The points lie on a line, and the dispersion is 0.9: the model is a little too sure. To know this no regression net is needed, and
# no judge. Either the draws are too much alike, or their mean is off; the dispersion cannot say which. The regression net can: its PSNR is
# half a decibel above that of the mean of infinitely many draws. Here the mean is off.
#
# With more steps the draws come nearer to real digits, and their PSNR *falls*. With one step the answer is nearer to the mean
# than a draw is, without being the mean. On faces, enlarged from 16×16 to 128×128, the authors asked people
# which of two pictures was the photograph; SR3's were taken for it about half of the time, those of GANs a third of the time at most.
#
# ## From noise to a large image
#
# The small image may be drawn as well. A *cascade* draws it from one model, and the large one from the next. Each is
# trained alone, and each is small, since each decides less. (Images of 1024×1024 pixels are drawn so: a base model at 64×64, and two
# enlargers.) One danger is left: the enlarger was trained with real small images, and the drawn ones are not quite like
# them. So while it is trained some noise is added to its condition, so that it does not trust every grey level (`noise=0.1`
# for MNIST).

# %%
lows, highs = sr.draw_cascade([base, painter], pick(smoke=2, laptop=18), steps=steps, key=cascade_key)  # fmt: skip
figure, axes = plt.subplots(1, 3, figsize=(10, 2.4))
sheets = {
    "small, drawn from noise": lows,
    "bicubic": bicubic(lows, (28, 28, 1), 256),
    "the cascade": highs,
}
for ax, (name, x) in zip(axes, sheets.items(), strict=True):
    images(ax, x, levels=256, columns=6, title=name)
show(
    figure,
    "Three sheets of eighteen. Left: 7×7 grey squares that suggest digits. Middle: the same, blurred. Right: sharp digits of 28×28 pixels, most of which can be read, "
    "each in the form of its small image.",
)

# %%
lows, highs = sr.draw_cascade([tiny, enlarger], len(test), steps=steps, key=cascade_key)
once = vdmlite.draw(single, len(test), steps=steps, batch_size=len(test), key=cascade_key)
away = {
    "bicubic of the small": distance(bicubic(lows, (8, 8, 1), 17)),
    "cascade": distance(highs),
    "one model": distance(once),
    "real": found["truth"][1],
}
print("360 digits from noise: Fréchet distance")
for name, value in away.items():
    print(f"  {name:22s}{value:7.2f}")
claim("16", "cascade: Fréchet distance over that of the bicubic enlargement of its small images",
      away["cascade"] / away["bicubic of the small"], at_most=0.5, trained=True)  # fmt: skip

# %% [markdown]
# The cascade's digits are nearer to real ones than those of the single model; here too the networks are not the same. What
# makes the draws sharp is the second model, whatever the first has drawn.
#
# ## Where a draw has little to win
#
# At a factor of 2 there is less to be decided. The same two networks, with 500 updates each:

# %%
half, updates = sr.shrink(test, 2), pick(smoke=3, laptop=500)
pair = train_regression(2, updates, half_key), train_enlarger(2, updates, half_key)
drawn = vdmlite.draw(pair[1], len(test), half, steps=steps, batch_size=len(test), key=half_key)
print("digits, 2×        PSNR    Fréchet distance    misfit of the small image")
for name, x in {"regression": np.asarray(guesses(pair[0], half)), "a draw": drawn}.items():
    print(f"{name:12s}{psnr(x, test, 17):8.2f} dB{distance(x):16.2f}{misfit(x, half, 2):24.2f}")

# %% [markdown]
# The draw has lost 3 decibels again. But where the regression was six times as far from real digits, at 2× the draw is only a little
# nearer (2.9 against 4.0): the mean of images that hardly differ is nearly an image. Where one pass in place of 32 counts for more
# than that, the regression net is the better choice.
#
# ## Ask yourself
#
# 1. Two models are compared by PSNR, and the second wins by 1.5 decibels. Which question should be asked first?
# 2. The condition is *not* a function of $x$, but a caption. Which part of this lesson no longer holds, and which does?
# 3. A model has the dispersion 0. What has it become?
# 4. Somebody gives the network the small image plus noise in use as well as in training. What is the price then a price of?
# 5. Why can the enlarger of a cascade be trained before there is a model of small images?
#
# <details><summary>Answers</summary>
#
# 1. Whether both draw, or one of them answers with a mean. From a draw to the mean there are 3 decibels for nothing.
# 2. $p(x) = p(\text{low})\, p(x \mid \text{low})$ does not: the product is then a price of the pair, of $x$ and its caption.
#    The bound on $-\log p(x \mid \text{caption})$ holds, and so do mean and draw.
# 3. A function of the condition: every draw is the same, as from a regression net. (Not necessarily a good one.)
# 4. Of $x$ for someone who has the noisy small image. On average that is more than with the clean one. It still makes a chain,
#    if sender and receiver agree on the noise in advance (one key), but a wasteful one.
# 5. It is trained on pairs of real images and their own small ones. The other model is needed to draw, not to train.
# </details>
#
# ## Take along
#
# > **A conditional diffusion model prices and draws what the condition leaves open. The mean of its draws wins the squared error, a draw
# > looks real, and no answer does both.**
#
# Exercises: `exercises/16_super_resolution.ipynb`. In the package: `neighbours.super_resolution`; `train`, `evaluate` and
# `draw` take the condition.
