# %% [markdown]
# # 12 · The network
#
# *A minute on 2 CPU cores · 90 minutes to study · after lesson 11 · VDM appendix B · files `nn/unet.py`, `engine/published.py`*
#
# **The idea.** The bound counts fine detail, and that explains every piece of VDM's network. Nothing is made smaller on the way
# through. The network is shown the decimals of its input. And it is told γ, the noise level, in a way that no layer can wash out.
#
# **After this lesson you can**
# - say at which noise levels the bits of a photograph are spent, and what a network that shrinks its input would lose there;
# - write the whole published network in sixty lines, and show that it computes what the authors' program computes;
# - count its 30,578,181 weights, and what one image costs;
# - name a setting that makes such a network blind to the noise level without any error message.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import bits_per_dim, data, recipes
from vdmlite.course import checkout, claim, pick, pretrained, show
from vdmlite.course.drawings import u_net
from vdmlite.engine import published
from vdmlite.viz import COLORS, LINES

# Some accelerators round factors to ten bits unless asked not to; this lesson compares digits.
jax.config.update("jax_default_matmul_precision", "float32")
keys = jax.random.split(jax.random.key(12), 6)
detail_key, eps_key, curve_key, blind_key, init_key, bound_key = keys
colour = (32, 32, 3)

# %% [markdown]
# ## Where the bits are
#
# Networks for pictures usually make the picture smaller on the way in, 2×2 pixels to one, and larger again on the way out.
# That saves a lot of work, and for naming what is in a photograph it does no harm. For the bound it is different. We look at
# where our small model of photographs, from lesson 11, spends its bits.
#
# Cut an image into blocks of 2×2 pixels. Its **coarse** part has each block's mean in all four pixels; the **detail** is
# what remains. The two are at right angles, so squares add up, and that holds for the error of the guess as well:
#
# $$ \lVert \varepsilon - \hat\varepsilon \rVert^2 = \lVert \text{coarse part} \rVert^2 + \lVert \text{detail} \rVert^2 . $$
#
# A quarter of all dimensions is coarse (one number for four), three quarters are detail.

# %%
patches = data.patches()
model = pretrained.load("patches")
ends = float(model.schedule(0.0)), float(model.schedule(1.0))


def averaged(images):
    """Put each block's mean into its 2×2 pixels; the last axes are height, width, channels."""
    *before, height, width, channels = images.shape
    blocks = images.reshape(*before, height // 2, 2, width // 2, 2, channels)
    means = blocks.mean((-4, -2), keepdims=True)
    return jnp.broadcast_to(means, blocks.shape).reshape(images.shape)


@eqx.filter_jit
def two_parts(vdm, levels, gamma, keys):
    """The squared error of the coarse part and of the detail, for each image."""

    def one(k, key):
        x = vdm.decoder.embed(k)
        eps = jax.random.normal(key, x.shape)
        wrong = eps - vdm.denoiser(vdmlite.marginal(x, gamma).at(eps), gamma).eps
        coarse = averaged(wrong)
        return jnp.stack([jnp.sum(coarse**2), jnp.sum((wrong - coarse) ** 2)])

    return jax.vmap(one)(levels, keys)


some = patches.test[:: pick(smoke=42, laptop=2)]
gammas = np.linspace(*ends, pick(smoke=6, laptop=40))
each = jax.random.split(detail_key, len(some))
parts = np.stack([two_parts(model, some, jnp.float32(gamma), each) for gamma in gammas])
both = parts.sum(-1)  # of shape (γ, images)
curve = vdmlite.ErrorCurve(
    gammas, both.mean(1), both.std(1, ddof=1) / np.sqrt(len(some)), (both**2).mean(1)
)
coarse, detail = parts.mean(1).T

x = model.decoder.embed(jnp.asarray(patches.test))
lost = float(jnp.mean((x - averaged(x)) ** 2))
s2 = lost * 4 / 3  # three quarters of the dimensions are detail, and it all comes from them
even = np.log(s2)
early = float(np.interp(even, gammas, curve.spent))


def bits(nats, of=colour):
    return float(bits_per_dim(nats, of))


of_detail = 0.5 * np.trapezoid(detail, gammas)
print(f"averaging takes away a mean square of {lost:.5f} for each dimension of the image,")
print(f"which is {s2:.5f} for each dimension of the detail")
print(
    f"the noise in z/α has that mean square in each dimension at γ = log {s2:.5f} = {even:.2f}"
)
print(f"diffusion loss {bits(curve.loss):.2f} bits per dimension")
print(f"   the detail's share of it: {of_detail / curve.loss:.0%}")
print(f"   the share spent below γ = {even:.2f}: {early:.0%}")
claim("12", "patches: share of the loss spent where the noise is fainter than the detail of 2×2 pixels", early,
      at_least=0.75, trained=True)  # fmt: skip

# %% [markdown]
# ## The key picture

# %%
corner = x[60]
shown = ends[0] + (np.arange(6) + 0.5) / 6 * (ends[1] - ends[0])
noise = jax.random.normal(eps_key, corner.shape)
figure, axes = plt.subplot_mosaic(
    [[f"z{i}" for i in range(6)], [f"a{i}" for i in range(6)], ["error"] * 6, ["spent"] * 6],
    figsize=(9.5, 7.6),
    height_ratios=(1.25, 1.25, 1.4, 1),
)
for i, gamma in enumerate(shown):
    latent = corner + np.exp(gamma / 2) * noise
    for row, picture in (("z", latent), ("a", averaged(latent))):
        axes[f"{row}{i}"].imshow(np.clip((picture + 1) / 2, 0, 1), interpolation="nearest")
        axes[f"{row}{i}"].set(xticks=[], yticks=[])
    axes[f"z{i}"].set_title(f"γ = {gamma:.1f}".replace("-", "−"))
axes["z0"].set_ylabel("z/α")
axes["a0"].set_ylabel("its 2×2 means")
axes["error"].stackplot(
    gammas,
    detail / 3072,
    coarse / 3072,
    colors=[COLORS[0], COLORS[4]],
    labels=["detail", "coarse part"],
    hatch=["", "//"],
    edgecolor="white",
    linewidth=0,
)
axes["error"].set(ylabel="error per dimension", xlim=ends)
axes["error"].legend(
    loc="upper right", title="half the area: the diffusion loss, in nats per dimension"
)
axes["spent"].plot(gammas, curve.spent, color=COLORS[0], ls="-")
axes["spent"].set(xlabel="γ", ylabel="share spent up to γ", xlim=ends, ylim=(0, 1.04))
for name in ("error", "spent"):
    axes[name].axvline(even, color="0.2", ls="--", lw=1)
axes["spent"].annotate(
    f"here the detail's own noise\nis as strong as it: {early:.0%} is spent",
    (even, early),
    (even + 1, 0.3),
    arrowprops={"arrowstyle": "->", "color": "0.2"},
)
show(
    figure,
    "Above: the corner of a cat's eye and the fur below it at six rising noise levels, and the same with each block of 2×2 "
    "pixels averaged; at the two cleanest levels the hairs are lost by averaging, later it only makes the noise fainter. Below, "
    "against γ: the error per dimension, in two layers, high at the clean end and nearly gone from γ = 0 on, on the left more of it "
    "detail than coarse; and the share of the loss that is spent, over four fifths at the dashed line where the detail is as strong as the noise on it.",
)

# %% [markdown]
# At the dashed line the detail is as strong as the noise *on the detail*: averaging takes away equal amounts of both. (It takes away
# three quarters of all noise; to compare the detail with all of it would put the line too far left.) To the right of the line an
# average loses little that could still be seen. To its left the detail stands out from the noise. That is where most of the bits are
# spent, those of the detail and those of the coarse part alike.
#
# What would a network pay that works on 2×2 means alone? A rough answer: it could still hand on each latent's own detail, scaled
# by the best factor for that γ. So it would treat all detail as independent Gaussian numbers of mean square $s^2$. Lesson 03 has the
# price of such numbers in closed form: for each, the difference of $\tfrac12 \log(1 + s^2 e^{-\gamma})$ between the ends.

# %%
price = 0.5 * (np.log1p(s2 * np.exp(-ends[0])) - np.log1p(s2 * np.exp(-ends[1]))) / np.log(2)
of_coarse = 0.5 * np.trapezoid(coarse, gammas)
blurred = bits(of_coarse) + 0.75 * price
print("bits per dimension of detail:")
print(f"   our model            {of_detail / 2304 / np.log(2):.2f}")
print(f"   best factor times z  {price:.2f}")
print(f"for the whole image {bits(curve.loss):.2f} would become {blurred:.2f}")
claim("12", "patches: bits per dimension of detail that our model saves against that factor",
      price - of_detail / 2304 / np.log(2), at_least=1, trained=True)  # fmt: skip

# %% [markdown]
# (Networks that shrink their input aren't quite as blind. They can guess some detail from the means, as we do when we sharpen a
# photograph, and they carry the rest round their small layers to a few large ones. VDM spends all its layers at full size.)
#
# That settles the plan: **every layer at full resolution**, 32×32 positions with $C = 128$ numbers each, the **channels**,
# and as many layers as we can pay for.

# %%
show(
    u_net(),
    "A drawing in the shape of a U. Down its left side: z and its features, the entry, blocks 1 to L. Along its foot: a block, an "
    "attention, a block. Up its right side: blocks 1 to L + 1, then norm, silu, exit, and z added. Dashed arrows lead from the entry "
    "and from each block on the left straight across to a block on the right. γ, with the flag, is told to every block.",
)

# %% [markdown]
# $L = 32$ blocks lead to the middle and $L + 1$ come back. We now build it piece by piece, each in a few lines, and hold each
# against the package's. For that we want weights that were *not* chosen by us. The repository holds the outputs of the authors'
# program, at width 64 with two blocks on the way in, for random weights in every layer.

# %%
file = checkout.published_figures()  # 4 MB, on Colab a download
with np.load(file, allow_pickle=False) as stored:
    weights = {
        name.removeprefix("rand/params/"): stored[name]
        for name in stored.files
        if name.startswith("rand/params/")
    }
    z, gamma, eps_hat = (
        jnp.asarray(stored[f"rand/T0/{n}"]) for n in ("z_t", "gamma_t", "eps_hat")
    )
    flag = jnp.asarray(stored["in/conditioning"], jnp.float32)
net = published.from_published(weights).denoiser.net
print(f"{sum(a.size for a in weights.values()):,} numbers, for example")
for name in list(weights)[:8:3]:
    print(f"   {name:28s} {weights[name].shape}")
print("latents", z.shape, " γ", [round(float(g), 1) for g in gamma], " flags", flag)

# %% [markdown]
# ## The embedding of γ
#
# The same network works at every γ, so it has to know which one. γ is a single number, and a layer does not see much in a single
# number (lesson 11). Again sines and cosines help. First γ is put on a scale, $\tilde\gamma = (\gamma + 13.3)/18.3$, which is 0 at −13.3 and 1 at
# 5. Then $1000\, \tilde\gamma$ is multiplied by $C/2$ frequencies from 1 down to $10^{-4}$. The network gets all sines of these angles, then all
# cosines. They are like the hands of a clock: the fast ones tell −13.3 from −13.2, the slow ones tell clean from noisy.
#
# Behind the cosines goes one more number, as it is, the **flag**. In training, the images may be turned and mirrored copies, with the flag 1; the
# network learns from them but is judged on true images, with the flag 0. Then come two **dense layers**, $h \mapsto W h + b$ with
# a matrix of weights, each followed by $\mathrm{silu}(h) = h \cdot \mathrm{sigmoid}(h)$, the bend that keeps two layers from being
# just one. The $4C$ numbers that come out are the **embedding**, the same for *all* blocks.
#
# The scale is fixed. Were it that of the trained ends, or were the network told the time, it would depend on the schedule, and
# lesson 06 would fail.

# %%
silu = jax.nn.silu


def embed(net, gamma, flag):
    """The embedding of γ and the flag."""
    half = net.norm.scale.size // 2
    frequencies = jnp.exp(-jnp.log(1e4) * jnp.arange(half) / (half - 1))
    angles = 1000 * (gamma + 13.3) / 18.3 * frequencies
    h = jnp.concatenate([jnp.sin(angles), jnp.cos(angles), flag[None]])
    for dense in net.embed:
        h = silu(dense.weight @ h + dense.bias)
    return h


embedding = embed(net, gamma[1], flag[1])
print("embedding:", embedding.shape, " turns of the hands from end to end:", end=" ")
print(f"{1000 / (2 * np.pi):.0f} for the fastest, {0.1 / (2 * np.pi):.3f} for the slowest")
np.testing.assert_allclose(embedding, net.embedding(gamma[1], flag[1]), atol=1e-3)

# %% [markdown]
# ## The entry
#
# A **convolution** gives every position a weighted sum of its neighbours, here 3×3 positions with all their channels, with the same
# weights everywhere; beyond the edge there are zeros. Its weights, the *kernel*, have the shape 3 × 3 × channels in ×
# channels out. The package calls XLA (the compiler under JAX) for it; by hand it is nine shifted copies, each times a matrix.
#
# The first one does not see $z$ alone but also its sine and cosine of $2^n 2\pi z$ for $n = 6, 7$, from lesson 11: 3 channels
# become 15.


# %%
def conv(layer, h):
    """A convolution of h, of shape (height, width, channels)."""
    size, (height, width, _) = len(layer.kernel), h.shape
    edge = size // 2
    padded = jnp.pad(h, ((edge, edge), (edge, edge), (0, 0)))
    return layer.bias + sum(
        padded[i : i + height, j : j + width] @ layer.kernel[i, j]
        for i in range(size)
        for j in range(size)
    )


def features(z):
    """z with its sines and cosines, channel by channel."""
    angles = (z[..., None] * 2 * jnp.pi * jnp.array([2.0**6, 2.0**7])).reshape(*z.shape[:2], -1)
    return jnp.concatenate([z, jnp.sin(angles), jnp.cos(angles)], -1)


h = conv(net.conv_in, features(z[1]))
print("after the entry:", h.shape)
np.testing.assert_allclose(h, net.conv_in(vdmlite.nn.fourier_features(z[1])), atol=1e-4)

# %% [markdown]
# Do the twelve features matter? In the trained model of photographs we can silence them: their weights in the entry become zero,
# all else stays.

# %%
kernel = model.denoiser.net.conv_in.kernel
deaf = eqx.tree_at(
    lambda vdm: vdm.denoiser.net.conv_in.kernel, model, kernel.at[:, :, 3:].set(0.0)
)
clean_end = np.concatenate(
    [
        np.linspace(-13.3, -11, pick(smoke=2, laptop=8)),
        np.linspace(-10.5, -4, pick(smoke=2, laptop=8)),
    ]
)
seen = {
    name: vdmlite.error_curve(
        vdm,
        patches.test[::2],
        clean_end,
        draws=pick(smoke=4, laptop=63),
        batch_size=pick(smoke=16, laptop=126),
        key=curve_key,
    ).mean
    / 3072
    for name, vdm in {"as trained": model, "features silenced": deaf}.items()
}
figure, ax = plt.subplots(figsize=(6.5, 3))
for i, (name, error) in enumerate(seen.items()):
    ax.plot(clean_end, error, color=COLORS[i], ls=LINES[i], label=name)
ax.set(xlabel="γ", ylabel="error per dimension", ylim=(0, 1.1), title="the clean end")
ax.legend(loc="lower center")
show(
    figure,
    "The error per dimension against γ at the clean end, for the trained model as it is and with its features silenced. From "
    "γ = −10 up the two curves are one; below, the silenced model's error goes up to 1, the other's falls to about a third.",
)
for name, error in seen.items():
    print(f"{name:18s}  γ = {clean_end[0]}: {error[0]:.2f}    γ = −4: {error[-1]:.2f}")
claim("12", "patches, γ = −13.3: error per dimension with the features silenced", seen["features silenced"][0],
      at_least=0.9, trained=True)  # fmt: skip
claim("12", "the same, as trained", seen["as trained"][0], at_most=0.5, trained=True)  # fmt: skip

# %% [markdown]
# Only below γ = −11 or so do they matter, and at the very end they are everything: without them the guess is no better than none. (An
# error of 1 is what $\hat\varepsilon = 0$ has.) This model was trained *with* features and lost them. Lesson 11 has the one that was
# trained without; it never learned to see that noise.
#
# ## A norm that could make the network blind
#
# Sums of many terms grow from layer to layer. A **GroupNorm** keeps them in bounds: it divides the channels into groups,
# subtracts from each group its mean over all positions *and* the group's channels, and divides by the standard deviation. Then each
# channel gets a trained scale and a trained shift.
#
# $$ \mathrm{norm}(h)_c = \mathrm{scale}_c \cdot \frac{h_c - \mathrm{mean}_g}{\sqrt{\mathrm{variance}_g + 10^{-6}}} + \mathrm{bias}_c ,
# \qquad g \text{ the group of } c . $$
#
# The published program has 32 groups, of four channels each at width 128. A **block** uses it like this:
#
# ```
# h ─┬─► norm ─► silu ─► conv ─►(+)─► norm ─► silu ─► dropout ─► conv ─►(+)─► h
#    │                           ▲                                       ▲
#    │   projection, W·embedding┘                                       │
#    └───────────────── as it is, or through a 1×1 convolution ──────────┘
# ```
#
# (**Dropout** sets a random tenth of the numbers to zero, in training only, and enlarges the others to make up for it: so nothing can
# rely on a single one.)
#
# What reaches the block of γ is *one number for each channel*, added at all positions alike. And right after it
# comes a norm. If every group has a single channel, the norm subtracts that channel's mean, and with it the number, exactly. The
# network is blind to γ. Nothing fails: the shapes fit, the loss falls, only less far. With four channels to a group, a number
# that differs from channel to channel survives.


# %%
def norm(layer, h, groups=32):
    """A GroupNorm."""
    grouped = h.reshape(*h.shape[:2], groups, -1)
    mean = grouped.mean((0, 1, 3), keepdims=True)
    variance = ((grouped - mean) ** 2).mean((0, 1, 3), keepdims=True)
    normal = (grouped - mean) / jnp.sqrt(variance + 1e-6)
    return layer.scale * normal.reshape(h.shape) + layer.bias


def block(layers, h, embedding, groups=32):
    """A residual block, without dropout."""
    inner = conv(layers.conv_1, silu(norm(layers.norm_1, h, groups)))
    inner = inner + layers.projection.weight @ embedding
    inner = conv(layers.conv_2, silu(norm(layers.norm_2, inner, groups)))
    return inner + (h if layers.skip is None else conv(layers.skip, h))


first = net.down[0].block
np.testing.assert_allclose(norm(first.norm_1, h), first.norm_1(h), atol=1e-4)
np.testing.assert_allclose(block(first, h, embedding), first(h, embedding), atol=1e-4)

# %% [markdown]
# A test of it. The first 32 channels of the published weights make a network of one block at width 32. How much does its guess move
# when it is given γ = 3 in place of γ = −12, for the same latent?


# %%
def narrow(layer):
    """The first 32 channels of a layer."""
    return jax.tree.map(lambda a: a[tuple(slice(32 if n == 64 else n) for n in a.shape)], layer)


def one_block(net, z, gamma, groups):
    small = narrow((net.conv_in, net.down[0].block, net.norm, net.conv_out))
    entry, layers, last, leave = small
    h = block(layers, conv(entry, features(z)), embed(net, gamma, flag[0]), groups)
    return conv(leave, silu(norm(last, h, groups))) + z


def moved(groups):
    low, high = (one_block(net, z[1], jnp.float32(g), groups) for g in (-12.0, 3.0))
    return float(jnp.max(jnp.abs(high - low)))


for groups in (32, 16, 8):
    print(f"{groups:2d} groups of {32 // groups}: the guess moves by up to {moved(groups):.1e}")
claim("12", "one channel to a group: how far γ moves the guess", moved(32), at_most=1e-4)
claim("12", "four channels to a group: how far γ moves the guess", moved(8), at_least=0.1)

# %% [markdown]
# So a copy of the network that is small, 32 channels wide, but keeps the 32 groups has lost γ. `vdmlite` has at least four
# channels to a group unless told otherwise, and `GroupNorm` refuses groups of one. The best guard is a test that the guess depends
# on γ.
#
# ## It begins as the identity
#
# The second convolution of every block, the matrix $W$ of the projection, and the last convolution all begin at *zero*. So before training no
# block adds anything, however many there are, and the last line of the network, $+\, z$, makes the guess $\hat\varepsilon = z$. Is that a good
# start? It is a known one. With $z = \alpha x + \sigma \varepsilon$ the error is $(1 - \sigma)\, \varepsilon - \alpha x$. Its mean square
# per dimension is $(1 - \sigma)^2 + \alpha^2\, \mathbb E[x^2]$, and the integral over γ can be done by hand:
#
# $$ \int_{\gamma_0}^{\gamma_1} \bigl( (1 - \sigma)^2 + \alpha^2\, \mathbb E[x^2] \bigr)\, d\gamma
# = \bigl(1 + \mathbb E[x^2]\bigr) \log \frac{1 + e^{-\gamma_0}}{1 + e^{-\gamma_1}} - 4 \log \frac{1 + \sigma_1}{1 + \sigma_0} . $$
#
# Half of that is the diffusion loss. Let us hold it against a measurement.


# %%
def at_first(mean_square, low=-13.3, high=5.0):
    """The diffusion loss of ε̂ = z in bits per dimension."""
    sigma_0, sigma_1 = (1 / np.sqrt(1 + np.exp(-g)) for g in (low, high))
    grows = (1 + mean_square) * (np.logaddexp(0, -low) - np.logaddexp(0, -high))
    return 0.5 * (grows - 4 * np.log((1 + sigma_1) / (1 + sigma_0))) / np.log(2)


untrained = recipes.patches(key=init_key)
images = patches.test[: pick(smoke=8, laptop=126)]
expected = at_first(float(jnp.mean(untrained.decoder.embed(images) ** 2)))
found = vdmlite.evaluate(
    untrained,
    images,
    draws=pick(smoke=4, laptop=8),
    times=pick(smoke=2, laptop=4),
    batch_size=pick(smoke=16, laptop=126),
    key=bound_key,
)
print(f"in closed form {expected:.3f}")
print(f"measured       {found.bits.diffusion:.3f}")
print(f"with mean square ¼, as in many data sets: {at_first(0.25):.2f}")
print(f"ε̂ = 0 pays ½ · 18.3 / log 2 = {0.5 * 18.3 / np.log(2):.2f}")
claim("12", "before training: diffusion loss less its closed form (standard errors)",
      abs(found.bits.diffusion.mean - expected) / found.bits.diffusion.error, at_most=3)  # fmt: skip

# %% [markdown]
# So the first number that a training run prints can be right or wrong. (The guess $\hat\varepsilon = z$ beats
# $\hat\varepsilon = 0$ because at the noisy end $z$ *is* the noise.) With ordinary random weights in place of the
# zeros the start would depend on the seed and the depth.
#
# ## Attention in the middle
#
# A convolution sees one position to each side. **Attention** lets every position gather from all 1024. Each position makes three
# vectors of $C$ numbers from its own channels: a *query* $q_i$, a *key* $k_i$ and a *value* $v_i$. Position $i$ gathers the values of
# all positions, the more of $v_j$ the better $k_j$ fits $q_i$:
#
# $$ \sum_j w_{ij}\, v_j , \qquad w_{ij} = \frac{e^{q_i \cdot k_j / \sqrt C}}{\sum_{j'} e^{q_i \cdot k_{j'} / \sqrt C}} . $$
#
# The $\sqrt C$ keeps the exponents of the size of 1: a sum of $C$ products of independent numbers of size 1 has the size $\sqrt C$.
# How far apart two positions are makes no difference; only what is in them does.


# %%
def attention(layers, h):
    """h and what each position has gathered from all."""
    normal = norm(layers.norm, h)
    query, key, value = (
        conv(layer, normal).reshape(-1, h.shape[-1])
        for layer in (layers.query, layers.key, layers.value)
    )
    weights = jax.nn.softmax(query @ key.T / jnp.sqrt(query.shape[-1]), axis=-1)
    return h + conv(layers.out, (weights @ value).reshape(h.shape))


middle = net.middle[0].attention
np.testing.assert_allclose(attention(middle, h), middle(h), atol=1e-4)
print(f"{h.shape[0] * h.shape[1]} positions, {(h.shape[0] * h.shape[1]) ** 2:,} weights w")

# %% [markdown]
# One attention in the middle is enough for the model of CIFAR-10 as it is; the one for turned and mirrored images has one after
# every block in the paper. Our small model of photographs does without: on a CPU a million weights $w$ an image are dear.
#
# ## Skips, and all together
#
# What comes out of the entry and of every block on the way in is kept, and on the way back it is *joined* to the input of
# a block, last first: laid beside it, $2C$ channels, which the block turns into $C$ again. So no detail has to survive 67 blocks
# to reach the exit; the earliest skip is from right behind the entry to the last block. The network has the shape of a U, but
# one that never becomes narrower.


# %%
@eqx.filter_jit
def by_hand(net, z, gamma, flag):
    """The whole network."""
    embedding = embed(net, gamma, flag)
    h = conv(net.conv_in, features(z))
    kept = [h]
    for stage in net.down:
        h = block(stage.block, h, embedding)
        kept.append(h)
    h = block(net.middle[0].block, h, embedding)
    h = attention(net.middle[0].attention, h)
    h = block(net.middle[1].block, h, embedding)
    for stage in net.up:
        h = block(stage.block, jnp.concatenate([h, kept.pop()], -1), embedding)
    return conv(net.conv_out, silu(norm(net.norm, h))) + z


package = eqx.filter_jit(lambda net, *given: net(*given))
largest = float(jnp.max(jnp.abs(eps_hat)))
for name, network in {
    "the package's network": package,
    "the network by hand": by_hand,
}.items():
    guesses = [network(net, *given) for given in zip(z, gamma, flag, strict=True)]
    off = float(jnp.max(jnp.abs(jnp.stack(guesses) - eps_hat)))
    print(f"{name}: largest difference {off:.1e}, where |ε̂| reaches {largest:.1f}")
    claim("12", f"{name} against the published program, largest difference over largest |ε̂|", off / largest,
          at_most=1e-5)  # fmt: skip

# %% [markdown]
# Three programs, one function. What is left is rounding: the angles behind γ reach 1000, and single precision knows such a number
# to the fourth decimal only.
#
# ## How many weights
#
# Now we can count. A convolution from $a$ to $b$ channels has $9ab + b$ weights (the $b$ are shifts), one of a single position
# $ab + b$, a norm of $C$ channels $2C$. The entry, for example, has $9 \cdot 15 \cdot C + C$. A block has two convolutions, two norms and the
# matrix that projects the embedding; on the way back it starts from $2C$ channels and has a convolution on its way round as well.
# Exercise 12.1 asks you to add that up. Here the program counts, by the same rules.
#
# On the right, what the package's network has at full size. It is never made: `filter_eval_shape` follows the shapes alone.

# %%
C, L = 128, 32
cifar10 = eqx.filter_eval_shape(published.cifar10, key=jax.random.key(0))
full = cifar10.denoiser.net


def count(part):
    shapes = [a for a in jax.tree.leaves(part) if isinstance(a, jax.ShapeDtypeStruct)]
    return sum(int(np.prod(a.shape)) for a in shapes)


def conv_weights(a, b, size=3):
    return size**2 * a * b + b


def block_weights(a):
    """From a channels to C: convolutions, norms, projection, and a way round if a isn't C."""
    round_it = conv_weights(a, C, 1) if a != C else 0
    return conv_weights(a, C) + conv_weights(C, C) + 2 * a + 2 * C + 4 * C * C + round_it


attention_weights = 2 * C + 4 * conv_weights(C, C, 1)
dense_weights = (C + 1) * 4 * C + 4 * C, 4 * C * 4 * C + 4 * C
rows = [
    ("entry", conv_weights(15, C), full.conv_in),
    ("two dense layers", sum(dense_weights), full.embed),
    ("L blocks in", L * block_weights(C), full.down),
    ("the middle", 2 * block_weights(C) + attention_weights, full.middle),
    ("L + 1 blocks back", (L + 1) * block_weights(2 * C), full.up),
    ("norm and exit", 2 * C + conv_weights(C, 3), (full.norm, full.conv_out)),
    ("the ends of γ", 2, cifar10.schedule),
]
for name, paper, part in rows:
    print(f"{name:20s} {paper:12,d} {count(part):12,d}")
on_paper = sum(paper for _, paper, _ in rows)
print(f"{'together':20s} {on_paper:12,d} {count(cifar10):12,d}")
claim("12", "distance of the weights on paper from the package's", abs(on_paper - count(cifar10)), at_most=0)  # fmt: skip
claim("12", "and from 30,578,181", abs(on_paper - 30_578_181), at_most=0)

# %% [markdown]
# ## What an image costs
#
# Every weight of a convolution is used once at each of the $32 \cdot 32 = 1024$ positions. That is the price of never making the
# picture smaller: at half the height and width it would be a quarter. Attention adds twice $1024 \cdot 1024 \cdot C$ products. The
# embedding is computed once an image, and hardly counts.

# %%
# Weights of convolutions between entry and exit, over C²: blocks in and middle, blocks back, attention.
inside = 18 * (L + 2) + 29 * (L + 1) + 4
forward = 1024 * (inside * C**2 + 135 * C + 27 * C) + 2 * 1024**2 * C
print(f"forward: {forward / 1e9:.1f} billion products, each with an addition")
print(
    f"a training step: three times that, {6 * forward / 1e9:.0f} billion operations (FLOP) an image"
)

shape = jax.ShapeDtypeStruct
arrays, others = eqx.partition(full, lambda a: isinstance(a, jax.ShapeDtypeStruct))
lowered = jax.jit(lambda arrays, z, gamma: eqx.combine(arrays, others)(z, gamma)).lower(
    arrays, shape(colour, jnp.float32), shape((), jnp.float32)
)
counted = lowered.cost_analysis()["flops"] / 2
print(f"XLA counts {counted / 1e9:.1f} billion: without products with the zeros at the edge")
np.testing.assert_allclose(counted, forward, rtol=0.06)

# %% [markdown]
# (The way back, from the loss to the weights, costs about twice the way there: it needs the gradient of each layer's input and that of
# its weights. Hence three times in all.) The paper's run saw 128 images in each of ten million updates. Lesson 13 turns these
# operations into hours, and is about what one can do with less.
#
# ## Ask yourself
#
# 1. Before training, for which weights is the gradient of the loss not zero? And after one update?
# 2. You run the network on images of 64×64. How many more weights does it need, and how do the costs of convolutions and of
#    attention grow?
# 3. Your photographs are blurred versions of ours. To which side does the dashed line of the key picture move?
# 4. Someone adds the projection of the embedding *after* the second norm, not before it. Does the trap with one-channel groups still exist?
# 5. Why must the flag be 0 when a model is judged?
#
# <details><summary>Answers</summary>
#
# 1. For the exit's, its kernel and its bias, and for the ends of γ. All others act through the exit's kernel, which is zero. After one
#    update gradients pass the exit and reach, among others, the entry and each block's second convolution. What stands before that
#    in a block waits for one update more, and the two dense layers for two.
# 2. None: the weights are the same at all positions. Four times the positions make convolutions four times as dear, attention
#    sixteen times.
# 3. To the left: there is less detail, so fainter noise is already as strong.
# 4. No: the number goes straight into a silu and a convolution. The silu bends, and so the number changes how the rest of the channel
#    varies from position to position, which no norm takes away.
# 5. The bound is a statement about the model of true images. With the flag 1 the network expects turned and mirrored ones too,
#    and reserves bits for them.
# </details>
#
# ## Take along
#
# > **Most bits of a photograph are spent while the noise is fainter than what 2×2 averaging would take away. So VDM's network
# > stays at full resolution, sees the decimals, is told γ where no norm can erase it, and begins as ε̂ = z, whose bound is known.**
#
# In the package: `nn.UNet` with `nn.unet.GroupNorm`, `ResBlock` and `Attention`, `nn.fourier_features`,
# `engine.published.from_published`. Exercises: `exercises/12_the_network.ipynb`. Next: training it on CIFAR-10.
