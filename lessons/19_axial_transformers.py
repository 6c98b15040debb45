# %% [markdown]
# # 19 · Axial transformers: the rival that looks at every pixel before
#
# *Three minutes on 2 CPU cores · 60 minutes to study · after lessons 11 and 14 · Ho, Kalchbrenner, Weissenborn and Salimans 2019 · files
# `neighbours/axial.py`, `neighbours/axial_code.py`*
#
# **The idea.** The chain rule of probability needs no latents: an image is its first pixel, then its second one given the
# first, and so on. A network that never looks ahead computes all these conditionals at once, and the likelihood is exact. Attention along rows and
# columns lets each pixel see all that came before it, for a cost that an image can bear.
#
# **After this lesson you can**
# - say what each of the two stacks of an axial transformer sees, and why the rows of the outer one need no mask;
# - check with a Jacobian that a network never looks ahead, and find the fault if it does;
# - draw with one cheap pass a pixel, and code with nothing to borrow;
# - say what diffusion has that this rival has not.

# %%
import math
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import codec, data, nn
from vdmlite.course import claim, pick, pretrained, show
from vdmlite.neighbours import axial, axial_code
from vdmlite.viz import images

keys = jax.random.split(jax.random.key(19), 4)
model_key, fit_key, draw_key, net_key = keys
digits = data.digits()

# %% [markdown]
# ## What a pixel may see
#
# Pixels come row by row, $x_1, x_2, \dots$, each one of $V$ levels:
#
# $$ \log p(x) = \sum_k \log p(x_k \mid x_1, \dots, x_{k-1}) . $$
#
# The network gets the whole image and returns $V$ logits for every pixel, in one pass. So the logits of pixel $k$ must not
# depend on pixel $k$ or on any later one. Attention over all $N$ pixels with a *mask*, which sets the weights of forbidden pixels to 0, would
# do, and costs $N^2$. The axial
# transformer costs $N \sqrt N$: a block attends along the rows, or along the columns. It has two stacks.
#
# - The **outer** stack alternates a block along the rows, *without a mask*, and one along the columns that looks up and at its
#   own row. Then everything is moved *down by one row*. So a pixel knows all rows above its own, and nothing of its own row.
#   Because of this shift the rows need no mask.
# - The **inner** stack moves the levels *to the right by one*, adds what the outer stack knows, and attends along the rows
#   with a mask: a pixel knows what is to its left.
#
# Is it true? The Jacobian of the logits says what depends on what, for every pair of pixels. (A slope of 0 at one image is no proof for all. But a
# leak shows at nearly every image and nearly all weights.) We draw what one pixel sees
# through each stack, and through both.

# %%
untrained = axial.AxialTransformer((8, 8, 1), 17, key=model_key)
zero = jnp.asarray(0)
context = untrained.context(jnp.asarray(digits.test[0]), zero)
embedded = untrained.embed(jnp.asarray(digits.test[0, ..., 0]), zero)


def depends(logits):
    """For each pair of pixels: does the first one's output depend on the second one?"""
    slopes = np.abs(jax.jit(jax.jacrev(logits))(embedded)).sum((2, 5))
    return slopes.reshape(64, 64) > 0


above = untrained.above(embedded, context)
stacks = {
    "outer stack": lambda h: untrained.above(h, context),
    "inner stack": lambda h: untrained.along(h, above),
    "both": lambda h: untrained.along(h, untrained.above(h, context)),
}
seen = {name: depends(logits) for name, logits in stacks.items()}
pixel = 8 * 4 + 3
figure, axes = plt.subplots(1, 4, figsize=(10, 2.7), width_ratios=(1, 1, 1, 1.15))
for ax, (name, matrix) in zip(axes[:3], seen.items(), strict=True):
    view = matrix[pixel].astype(float)
    view[pixel] = 0.5
    ax.imshow(view.reshape(8, 8), cmap="Blues", vmin=0, vmax=1.4)
    ax.plot(pixel % 8, pixel // 8, "s", color="tab:red", ms=9)
    ax.set(xticks=[], yticks=[], title=name)
    ax.grid(False)
axes[3].imshow(seen["both"], cmap="Blues", vmin=0, vmax=1.4)
axes[3].set(xlabel="is seen", ylabel="sees", title="all 64 × 64 pairs")
axes[3].grid(False)
show(
    figure,
    "Three 8×8 boards with a red pixel in the fifth row. Outer stack: all four rows above it are blue. Inner stack: the three pixels to its left. Both together: all "
    "pixels before it. On the right the matrix of all pairs: exactly the triangle below the diagonal is blue.",
)
before = np.tril(np.ones((64, 64), bool), -1)
print(f"dependencies that are allowed: {before.sum()}, found: {(seen['both'] & before).sum()}")
claim(
    "19", "pairs of pixels in which one looks ahead", (seen["both"] & ~before).sum(), at_most=0
)
claim("19", "allowed dependencies that are there (share)", (seen["both"] & before).sum() / before.sum(),
      at_least=1.0)  # fmt: skip

# %% [markdown]
# ## A fault drill
#
# A program of this kind fails in silence: a network that looks ahead trains *better* than any honest one, and its bits
# are worth nothing. Three faults, planted in the same network, and what the matrix says about each.


# %%
def without_down(h):
    """The outer stack is not moved down."""
    up = h + context
    for block in untrained.outer:
        up = block(up)
    return untrained.along(h, up + context)


def without_right(h):
    """The inner stack gets the levels where they are."""
    inner = h + untrained.above(h, context)
    for block in untrained.inner:
        inner = block(inner)
    return untrained.last(inner)


masked = eqx.tree_at(
    lambda m: m.outer[1], untrained, axial.Block(32, columns=True, masked=False, key=model_key)
)
faults = {
    "no shift down": without_down,
    "no shift right": without_right,
    "columns without a mask": lambda h: masked.along(h, masked.above(h, context)),
}
for name, logits in faults.items():
    ahead = depends(logits) & ~before
    k, j = np.divmod(np.flatnonzero(ahead.ravel()), 64)
    same, row = (k == j).sum(), (k // 8 == j // 8).sum()
    print(f"{name:24s}{ahead.sum():5d} leaks: {same} of a pixel to itself, {row - same} of others in its row, {len(k) - row} of rows below")  # fmt: skip

# %% [markdown]
# Each fault has a print of its own. Without the shift down a pixel sees its whole row, by way of the rows that have no mask.
# Without the shift right it sees itself and nothing else that is forbidden. Without the mask in the columns it sees the whole
# image, itself included. A leak in *one* pair is enough: the network learns to use it, and no decoder can follow, as it has not got that pixel yet.
#
# ## The race

# %%
model = axial.AxialTransformer((8, 8, 1), 17, dropout=0.2, key=model_key)
started = time.process_time()
fit = {"steps": pick(smoke=3, laptop=520), "batch_size": pick(smoke=8, laptop=128)}
model = pretrained.descend(axial.training_loss, model, digits.train, peak=6e-3, **fit, key=fit_key)  # fmt: skip
spent = time.process_time() - started
some = digits.test[: pick(smoke=8, laptop=360)]
price = eqx.filter_jit(lambda model, x: jax.vmap(model.log_prob)(x))
bits = -np.asarray(price(model, jnp.asarray(some)), np.float64) / (64 * math.log(2))
print(f"{bits.mean():.3f} ± {bits.std() / len(bits) ** 0.5:.3f} test bits/dim (the error is that of the choice of images)")  # fmt: skip
print(f"{spent:.0f} seconds of a CPU core; {sum(a.size for a in jax.tree.leaves(eqx.filter(model, eqx.is_array)))} weights")  # fmt: skip
claim("19", "axial transformer: test bits per dimension", bits.mean(), at_most=1.85, trained=True)  # fmt: skip
painter = pretrained.load("digits")
bound = vdmlite.evaluate(
    painter, some, draws=4, times=4, batch_size=len(some), key=net_key
).bits.loss
print(f"the diffusion model of lesson 11: at most {bound:.3f}")

# %% [markdown]
# Better than the diffusion model, which has nearly as many weights, and exact: no bound, no error of drawn times. (The error above is
# that of the choice of test images.) The authors report 3.76 bits per dimension for ImageNet of 32×32 pixels and 3.44 at 64×64; VDM
# came to 3.72 and 3.40 two years later.
#
# ## Drawing, and the cheap way to do it
#
# To draw, one asks for the first pixel's law, draws it, puts it in, asks for the second one's: 64 passes of the network, in
# each of which 63 pixels are computed for nothing. But the outer stack knows the rows above, which do not change while a row
# is filled: it runs once a row. And the inner stack's rows do not look at each other: it runs for one row alone. The pixels
# are the same.

# %%
many = pick(smoke=4, laptop=512)
ways = {}
for name, naive in {"naive": True, "semi-parallel": False}.items():
    axial.draw(model, many, naive=naive, key=net_key)  # so that it is compiled
    started = time.perf_counter()
    ways[name] = (
        axial.draw(model, many, naive=naive, key=draw_key),
        time.perf_counter() - started,
    )
    print(f"{name:14s}{many} digits in {ways[name][1]:6.2f} s")
claim("19", "pixels that differ between the two ways", (ways["naive"][0] != ways["semi-parallel"][0]).sum(), at_most=0)  # fmt: skip
claim("19", "the naive way takes longer, times", ways["naive"][1] / ways["semi-parallel"][1],
      at_least=3.0, trained=True)  # fmt: skip
figure, ax = plt.subplots(figsize=(8, 2.2))
images(ax, ways["naive"][0][:32], levels=17, columns=16)
show(figure, "Two rows of sixteen drawn digits of 8×8 pixels; most can be read, some are odd.")

# %% [markdown]
# ## A code with nothing to borrow
#
# The exact likelihood is a code length, and an entropy coder reaches it: each pixel under its law. There are no latents, so
# nothing is borrowed.

# %%
stack = axial_code.encode(model, some)
length = float(stack.heights[0])
back = axial_code.decode(model, stack, len(some))
exact = bits.sum() * 64
print(f"{len(some)} digits: {length / 8:.0f} bytes, {length / some.size:.4f} bits/dim; likelihood {exact / some.size:.4f}")  # fmt: skip
claim("19", "code length above the likelihood (share)", length / exact - 1, at_most=0.005)
claim("19", "levels that came back wrong", (back != some).sum() + (not stack.is_restored), at_most=0)  # fmt: skip

# %% [markdown]
# ## Why diffusion, then?
#
# The same two jobs for both models, on this machine:


# %%
def seconds(job):
    """The time of a second run; the first compiles."""
    job()
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


few = some[: pick(smoke=4, laptop=30)]
steps = pick(smoke=3, laptop=50)
moves = codec.vdm_moves(painter, codec.coding_gammas(painter.schedule, steps), lanes=len(few), order=codec.bit_swap)  # fmt: skip
lanes = np.ones(len(few), bool)
rows = {
    "axial transformer": (
        bits.mean(),
        seconds(lambda: axial.draw(model, 64, key=draw_key)),
        64,
        seconds(lambda: axial_code.encode(model, few)),
    ),
    f"diffusion, {steps} steps": (
        float(bound.mean),
        seconds(lambda: vdmlite.draw(painter, 64, steps=steps, batch_size=64, key=draw_key)),
        steps,
        seconds(lambda: codec.encode(moves, codec.Stack(len(few)), few, lanes)),
    ),
}
print("                      bits/dim   64 draws    passes   coding 30")
for name, (b, draw_s, passes, code_s) in rows.items():
    print(f"{name:22s}{b:8.3f}{draw_s:9.2f} s{passes:9d}{code_s:10.2f} s")
print("passes for an image of 8×8×1, 32×32×3, 256×256×3 numbers:")
print(f"  axial transformer   {64}, {32 * 32 * 3}, {256 * 256 * 3}")
print(f"  diffusion           {steps}, {steps}, {steps}, or as many as one likes")

# %% [markdown]
# On digits the rival wins: fewer bits, and a quicker code, without latents. What speaks for diffusion is in the last lines. Its
# passes do not grow with the image, and their number may be chosen (lesson 10). Every pass sees the whole image at
# once, so that a gradient can lead it while it is drawn (lesson 09). And its
# latents are coarse pictures, which may be sent first (lesson 15). The rival has to finish one row before it begins the next. (The bits of
# the diffusion model are its bound for infinitely many steps; the code of 50 steps takes a little more.)
#
# ## In the denoiser
#
# Without masks and shifts the pair of blocks, along rows and then along columns, joins any two pixels. So it can take the
# place of the attention over the whole image in VDM's U-Net, which costs $N^2$: on 32×32 pixels it is one layer, on 256×256 it is
# out of reach.

# %%
print("numbers of the scores (query meets key)      all pairs       axial")
for size in (8, 32, 256):
    print(f"  {size}×{size} pixels{size**4:37,d}{2 * size**3:13,d}")
unet = nn.UNet(1, width=8, depth=1, key=net_key)
attention = axial.AxialAttention(8, key=net_key)
unet = eqx.tree_at(lambda net: net.middle[0].attention, unet, attention)
unet = eqx.tree_at(lambda net: net.conv_out.kernel, unet, jax.random.normal(net_key, unet.conv_out.kernel.shape))  # fmt: skip
noise = jax.random.normal(draw_key, (24, 24, 1))
slope = jax.jit(jax.grad(lambda z: unet(z, 0.0)[0, 0, 0]))(noise)
print(
    f"the guess at the first of 24×24 pixels depends on {np.mean(np.abs(slope) > 0):.0%} of z"
)
claim("19", "share of the image that one guess of the U-Net with axial attention sees", np.mean(np.abs(slope) > 0), at_least=1.0)  # fmt: skip

# %% [markdown]
# Here it was one line to exchange the module. The guess at any pixel still depends on the whole of $z$.
#
# ## Ask yourself
#
# 1. Why may the rows of the outer stack look to the right?
# 2. A program trains, its bits fall to 0.4, and its draws are noise. What has happened? Why are the draws bad?
# 3. Why has the inner stack no blocks along the columns?
# 4. An autoregressive model prices an image at 5,000 bits. How many bits must be there before the first image can be coded? And with
#    the diffusion model?
# 5. Which of the two models could fill in the lower half of an image, and which the upper one?
#
# <details><summary>Answers</summary>
#
# 1. Their row is moved down before it is used. To the pixels of the next row all of it is past.
# 2. A leak: each pixel was read off from itself, or from a later one. In a draw those pixels are not there yet.
# 3. What lies above is known already, from the outer stack. Without columns its rows do not look at each other, so one row can be
#    drawn by itself.
# 4. None: there are no latents to be drawn from borrowed bits. Diffusion borrows a latent or more (lesson 14).
# 5. The lower half is what the autoregressive model does anyway. Any half can be filled in by diffusion, as all pixels are
#    drawn together: at every step let the gradient of $\log p(\text{known pixels} \mid z)$ lead it (lesson 09), which is an
#    approximation.
# </details>
#
# ## Take along
#
# > **An autoregressive model pays with one pass for each number, and gets an exact likelihood and a code without latents. What it may
# > never do is look ahead: a Jacobian shows it.**
#
# Exercises: `exercises/19_axial_transformers.ipynb`. In the package: `neighbours.axial`, `neighbours.axial_code`.
