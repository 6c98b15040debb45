# %% [markdown]
# # 18 · Flows: exact densities, integers, and their code
#
# *Two minutes on 2 CPU cores · 60 minutes to study · after lessons 11 and 14 · Ho, Chen, Srinivas, Duan and Abbeel
# 2019 (Flow++); Ho, Lohn and Abbeel 2019 (local bits-back) · files `neighbours/flow.py`,
# `neighbours/local_bits_back.py`*
#
# **The idea.** A diffusion model is asked for $-\log p(x)$ and answers with a bound. A *flow* is an invertible network.
# It knows its density exactly. But data are integers, and an integer has no density. So a bound comes back with the
# integers, and so does a latent to be borrowed, when the flow is used as a code.
#
# **After this lesson you can**
# - compute the density of an invertible network, and say why its layers look as they do;
# - name four prices of an integer, and say which of them is a bound of which;
# - code images with a flow, though its numbers are real, and choose the noise that this needs.

# %%
import math
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import codec, data
from vdmlite.course import claim, pick, pretrained, show
from vdmlite.neighbours import flow
from vdmlite.neighbours.local_bits_back import black_box_moves, compositional_moves
from vdmlite.viz import COLORS, MARKERS

init_key, fit_key, data_key, test_key, price_key = jax.random.split(jax.random.key(18), 5)

# %% [markdown]
# ## A density without a bound
#
# Let $f$ be an invertible map of $\mathbb R^D$, and let $z = f(x)$ be drawn from $\mathcal N(0, I)$. Then $x$ has the
# density
#
# $$ \log p(x) = \log \mathcal N(f(x);\, 0, I) + \log \left| \det \frac{\partial f}{\partial x} \right| . $$
#
# The second term says how much $f$ spreads the points around $x$: where it pulls them apart, more of the normal's mass
# falls on each of them. A general $D \times D$ determinant takes $D^3$ operations, and a general network has no inverse.
# *Couplings* have both for free. A coupling keeps one half of the numbers as they are. A network reads them, without any
# restriction, and says how each of the others is to be bent by a rising function of one variable:
#
# $$ y_A = x_A, \qquad y_{B,i} = g(x_{B,i};\; \text{network}(x_A)_i) . $$
#
# The Jacobian is triangular, so its determinant is the product of the slopes $g'$. The inverse reads the same network,
# as $y_A = x_A$, and inverts $g$. Couplings in turn keep the one half and then the other. What $g$ is makes the
# difference between flows:
#
# | | $g(x)$ | inverse |
# |---|---|---|
# | affine coupling (RealNVP) | $x\, e^a + b$ | a formula |
# | Flow++ | $\mathrm{logit}\, F(x) \cdot e^a + b$, $F$ the CDF of a mixture of logistics | by bisection |
#
# Here $\mathrm{logit}\, p = \log p - \log(1 - p)$ is the inverse of the sigmoid, and the sigmoid is the CDF of the standard
# logistic distribution. The logit of the CDF of *one* logistic is a straight line. That of a mixture has flat places between the components. So
# it can close the gap between two modes of the data; an affine map can't.
#
# We begin with the two moons of lesson 02, whose entropy is known. No model can have an expected $-\log p$ below it.

# %%
moons = data.moons()
floor = data.entropy(moons)
train_points = data.sample(moons, pick(smoke=2_000, laptop=50_000), key=data_key)
test_points = data.sample(moons, pick(smoke=500, laptop=10_000), key=test_key)
updates = pick(smoke=20, laptop=450)
MIXTURE, AFFINE = flow.MixtureOfLogistics(4), flow.Affine()


def point_flow(bend, key, *, number=4, before=(), after=(), context=0):
    """A flow of two numbers."""
    make = partial(flow.PointConditioner, context=context)
    stack = flow.couplings(flow.point_masks(2, number), make, bend, key=key)
    return flow.Flow(before, stack, after)


def negative_log_prob(model, x, *, key):
    """−log p(x) in nats; nothing is drawn."""
    del key
    return -model.log_prob(x)


fit = partial(pretrained.descend, steps=updates, batch_size=256, peak=1e-2, key=fit_key)
plain = {}
for name, bend in (("affine", AFFINE), ("mixture of logistics", MIXTURE)):
    model = flow.with_data(point_flow(bend, init_key), jnp.asarray(train_points[:512]))
    plain[name] = fit(negative_log_prob, model, train_points)

x = jnp.asarray(test_points[0])
best = plain["mixture of logistics"]
z, log_det = best.forward(x)
jacobian = jax.jacfwd(lambda x: best.forward(x)[0])(x)
print(f"log |det| by slopes {log_det:.5f}, of the whole Jacobian {jnp.linalg.slogdet(jacobian)[1]:.5f}")  # fmt: skip
print(f"x {x}, and back from z {best.inverse(z)}")
losses = {
    name: -np.asarray(jax.jit(jax.vmap(model.log_prob))(jnp.asarray(test_points)), np.float64)
    for name, model in plain.items()
}
truth = np.asarray(jax.jit(jax.vmap(moons.log_prob))(jnp.asarray(test_points)), np.float64)
print(f"\nnats per point           −log p    above the true −log p    (entropy {floor:.3f})")
for name, each in losses.items():
    excess = each + truth
    print(f"{name:22s} {each.mean():8.3f} {excess.mean():12.4f} ± {excess.std() / math.sqrt(len(excess)):.4f}")  # fmt: skip
more = losses["affine"] - losses["mixture of logistics"]
claim("18", "moons: what the mixture flow pays above the truth (nats)",
      (losses["mixture of logistics"] + truth).mean(), at_most=0.05, trained=True)  # fmt: skip
claim("18", "moons: affine above mixture, in standard errors",
      more.mean() / (more.std() / math.sqrt(len(more))), at_least=3, trained=True)  # fmt: skip

# %%
line = np.linspace(-2.2, 2.2, 221)
square = jnp.asarray(np.stack(np.meshgrid(line, line), -1), float)
figure, axes = plt.subplots(1, 3, figsize=(9, 3))
for ax, (name, log_prob) in zip(
    axes,
    [("the moons", moons.log_prob), *((n, m.log_prob) for n, m in plain.items())],
    strict=True,
):
    density = np.exp(jax.jit(jax.vmap(jax.vmap(log_prob)))(square))
    ax.imshow(density, origin="lower", extent=(-2.2, 2.2, -2.2, 2.2), vmin=0, vmax=0.7)
    ax.set(title=name, xticks=[], yticks=[])
show(
    figure,
    "Three densities of the plane. Left the two moons as they are. Middle the affine flow: the lower moon, and a blurred "
    "patch for most of the upper one. Right the mixture flow: both moons, with two faint bridges between them.",
)

# %% [markdown]
# The mixture flow pays a few hundredths of a nat above the truth, for two faint bridges. The affine couplings leave a
# patch: they can stretch and bend the plane, but hardly cut it. (With six couplings each and 1200 updates of 512 points
# the mixture flow comes within a hundredth of a nat, and the affine one within 0.16.)
#
# *A line to remember so far:* a flow says $-\log p(x)$ itself, where a VDM says a bound. What it pays for this: every
# layer has to be invertible and to keep all $D$ numbers.
#
# ## An integer has no density
#
# Images are integers. A density fitted to integers has a sure way to cheat: a spike on each of them, as high as you
# like, and $-\log p$ falls without end. So we ask for the *mass* of the cell of $x$, and every law $q(u \mid x)$ on
# $(0, 1)^D$ gives a bound of it (Ho et al. 2019):
#
# $$ -\log P(x) = -\log \int_{(0,1)^D} p(x + u)\, du \;\le\; \mathbb E_{q(u \mid x)} \bigl[ \log q(u \mid x) - \log
# p(x + u) \bigr] . $$
#
# It is the bound of lesson 01, with $u$ for a latent. *Uniform* dequantisation has $\log q = 0$: the noise of lesson
# 11. It asks the flow to be flat in every cell, cells at the moons' edge included, and no smooth function is. In
# *variational* dequantisation $q$ is a small conditional flow that ends in a sigmoid. It puts $u$ where $p$ has its mass
# already. The gap is $\mathrm{KL}(q(u \mid x) \,\|\, p(u \mid x))$, as ever.
#
# Let us see all prices on one page. We round the moons to 16 × 16 cells, so that everything can be summed: the mass of a
# flow in each cell, by quadrature; its bound with a uniform and with a variational $u$; and what a VDM asks for, whose
# decoder prices integers by level (lesson 11) and needs no $u$. The entropy is that of the true masses.

# %%
LEVELS = 16
WIDTH = 4 / LEVELS  # of a cell: the levels reach from −2 to 2


def levels_of(points):
    """The cells that points lie in."""
    return np.clip(np.floor((points + 2) / WIDTH), 0, LEVELS - 1).astype(np.uint8)


ends = jnp.append(jnp.append(-jnp.inf, -2 + WIDTH * jnp.arange(1, LEVELS)), jnp.inf)
cdf = jax.scipy.stats.norm.cdf((ends[:, None, None] - moons.means) / moons.stds[:, None])
in_cell = np.diff(np.asarray(cdf, np.float64), axis=0)  # (level, component, axis)
masses = np.einsum("k,ik,jk->ij", np.asarray(moons.weights), in_cell[..., 0], in_cell[..., 1])
masses = masses.ravel() / masses.sum()
cells = np.stack(np.meshgrid(np.arange(LEVELS), np.arange(LEVELS), indexing="ij"), -1)
cells = cells.reshape(-1, 2)
some = masses > 1e-7
cells, masses = cells[some], masses[some] / masses[some].sum()
entropy = -np.sum(masses * np.log2(masses))
train_cells = levels_of(train_points)
print(f"{len(cells)} cells that come, {entropy:.3f} bits a point")


class CellContext(eqx.Module):
    """What the dequantiser's flow is told of the cell."""

    def __call__(self, x):
        """Its two levels, each as a row of zeros with a one."""
        return jax.nn.one_hot(x, LEVELS).ravel()


def cell_flow(variational):
    """A trained flow of the plane of levels, with its dequantiser."""
    main_key, other_key = jax.random.split(init_key)
    model = point_flow(MIXTURE, main_key, before=(flow.FromCells(LEVELS),))
    dequantiser = flow.UniformDequantiser()
    if variational:
        inner = point_flow(
            MIXTURE, other_key, number=2, after=(flow.ToUnit(),), context=2 * LEVELS
        )
        dequantiser = flow.VariationalDequantiser(inner, CellContext())
    start = flow.with_images(flow.ImageFlow(model, dequantiser), train_cells[:512], key=fit_key)
    return fit(flow.dequantised_loss, start, train_cells, steps=2 * updates)


flows = {"uniform": cell_flow(False), "variational": cell_flow(True)}

# %%
nodes, weights = np.polynomial.legendre.leggauss(pick(smoke=4, laptop=20))
inside = np.stack(np.meshgrid((nodes + 1) / 2, (nodes + 1) / 2, indexing="ij"), -1)
inside = inside.reshape(-1, 2)
weight = np.multiply.outer(weights / 2, weights / 2).ravel()


@eqx.filter_jit
def exact_bits(model, cell):
    """−log₂ of the flow's mass in a cell."""
    log_p = jax.lax.map(lambda u: model.flow.log_prob(cell + u), jnp.asarray(inside, float))
    return -jax.nn.logsumexp(log_p, b=jnp.asarray(weight, float)) / jnp.log(2)


@eqx.filter_jit
def bound_bits(model, key):
    """The bound of a flow for every cell, in bits, from a few draws of u."""
    each = jax.vmap(lambda x, key: flow.dequantised_loss(model, x, key=key))
    shape = (pick(smoke=4, laptop=100), len(cells))
    draws = jax.lax.map(partial(each, jnp.asarray(cells)), jax.random.split(key, shape))
    return draws.mean(0) / jnp.log(2)


vdm = vdmlite.VDM(
    vdmlite.LearnedLinear(-8.0, 5.0),
    vdmlite.NetDenoiser(
        vdmlite.nn.MLP((2,), out_shape=(2, LEVELS), width=64, depth=2, key=init_key),
        vdmlite.from_level_logits,
    ),
    vdmlite.LevelDecoder(LEVELS),
    (2,),
)
images = data.Images(train_cells, cells, LEVELS)
vdm, _ = pretrained.fit(vdm, images, steps=4 * updates, batch_size=256, key=fit_key)


@eqx.filter_jit
def vdm_bits(key):
    """The bound of a VDM for every cell, in bits, from draws at times spread over (0, 1)."""
    time_key, key = jax.random.split(key)
    times = vdmlite.spread_times(pick(smoke=4, laptop=600), key=time_key)

    def at(t_and_key):
        t, key = t_and_key
        each = jax.vmap(lambda x, key: vdmlite.vlb(vdm, x, t, key=key).loss)
        return each(jnp.asarray(cells), jax.random.split(key, len(cells)))

    return jax.lax.map(at, (times, jax.random.split(key, len(times)))).mean(0) / jnp.log(2)


def mean_of(bits):
    """The mean of a price over the cells, from several passes."""
    means = [masses @ np.asarray(bits(key), np.float64) for key in passes]
    return vdmlite.Estimate(np.mean(means), np.std(means, ddof=1) / math.sqrt(len(means)))


passes = jax.random.split(price_key, pick(smoke=2, laptop=10))
prices = {}
for name, model in flows.items():
    exact = jax.vmap(partial(exact_bits, model))(jnp.asarray(cells))
    prices[f"exact sum, flow trained with {name} u"] = mean_of(lambda _: exact)  # noqa: B023
    prices[f"bound, {name} dequantisation"] = mean_of(partial(bound_bits, model))
prices["bound, VDM with its decoder"] = mean_of(vdm_bits)
print(f"bits a point                                  entropy {entropy:.3f}")
for name, price in prices.items():
    print(
        f"  {name:43s} {price:.3f}" if price.error > 1e-6 else f"  {name:43s} {price.mean:.3f}"
    )
gap = {
    name: prices[f"bound, {name} dequantisation"].mean
    - prices[f"exact sum, flow trained with {name} u"].mean
    for name in flows
}
claim("18", "gap between bound and exact sum: variational over uniform",
      gap["variational"] / gap["uniform"], at_most=0.5, trained=True)  # fmt: skip
lowest = min(prices[f"exact sum, flow trained with {name} u"].mean for name in flows)
claim("18", "exact sum of a flow, above the entropy (bits)", lowest - entropy, at_least=0)

# %% [markdown]
# All bounds lie above the sum that they bound, and all sums above the entropy, as they must. The gap of the variational
# bound is about a fifth of that of the uniform one; and the flow itself is nearer to the truth. It is not asked anymore
# to be flat where the moons end in the middle of a cell. The VDM has no such gap, as it has no $u$: its decoder says the
# probability of each level. What it has instead are the terms of lesson 03. Its number is the noisiest of the page. It
# is a mean over times and noise, where a flow's sum has no chance in it.

# %%
chosen = np.argsort(-masses)[[3, 20, 40]] if len(masses) > 40 else np.arange(3)
fine = np.linspace(0, 1, 41)[:-1] + 1 / 80
u_grid = jnp.asarray(np.stack(np.meshgrid(fine, fine, indexing="ij"), -1), float)
near = eqx.filter_jit(lambda model, x: jnp.exp(jax.vmap(jax.vmap(model.flow.log_prob))(x)))
figure, axes = plt.subplots(2, 4, figsize=(9, 4.6))
for row, (name, model) in zip(axes, flows.items(), strict=True):
    plane = jnp.asarray(np.stack(np.meshgrid(*[np.linspace(0, LEVELS, 120)] * 2), -1), float)
    row[0].imshow(near(model, plane), origin="lower", extent=(0, LEVELS, 0, LEVELS))
    row[0].set(title=f"{name}: p", xticks=range(0, 17, 4), yticks=range(0, 17, 4))
    for ax, i in zip(row[1:], chosen, strict=True):
        cell = jnp.asarray(cells[i])
        inside_p = near(model, jnp.asarray(u_grid + cell))
        ax.imshow(inside_p.T, origin="lower", extent=(0, 1, 0, 1))
        keys = jax.random.split(price_key, 150)
        u = jax.vmap(lambda key: model.dequantiser.sample(cell, key=key)[0])(keys)  # noqa: B023
        ax.plot(*u.T, ".", color="w", ms=2)
        ax.set(title=f"cell {tuple(cells[i].tolist())}", xticks=[0, 1], yticks=[0, 1])
show(
    figure,
    "Two rows, uniform above and variational below. Left in each the flow's density over the plane of 16 by 16 cells. "
    "Then three cells from near, the density bright inside, with white points for draws of u. Above the points are everywhere in a cell. "
    "Below they crowd where the density is high.",
)

# %% [markdown]
# ## Digits
#
# On images the sums are out of reach, and the bounds remain. Three flows of the digits ship with the course: four
# couplings each, whose networks are gated convolutions and attention over the pixels, as Flow++ has them, with 16
# channels. They split the image by a chessboard and by rows. `flow_uniform` and `flow_variational` have mixtures and
# differ in $u$; `flow_affine` has the variational $u$, and straight lines in all its couplings. All three were trained
# alike, for 1500 batches of 128.

# %%
digits = data.digits()
some = digits.test[: pick(smoke=8, laptop=360)]
models = {name: pretrained.load(name) for name in pretrained.MODELS if name.startswith("flow")}
found = {
    name: pretrained.measure(
        flow.dequantised_loss, model, some, passes=pick(smoke=2, laptop=4), key=test_key
    )
    for name, model in models.items()
}
print("test digits         bits/dim")
for name, bits in found.items():
    each = bits.mean(0)
    print(f"  {name:18s} {each.mean():.3f} ± {each.std(ddof=1) / math.sqrt(len(each)):.3f}")


def paired(one, other):
    """The mean difference over the same images, and its standard error."""
    each = (found[one] - found[other]).mean(0)
    return vdmlite.Estimate(each.mean(), each.std(ddof=1) / math.sqrt(len(each)))


for text, one in (("uniform above variational", "flow_uniform"), ("affine above mixture", "flow_affine")):  # fmt: skip
    more = paired(one, "flow_variational")
    print(f"{text}, image by image: {more:.3f}")
    claim("18", f"digits: {text}, in standard errors", more.mean / more.error,
          at_least=3, trained=True)  # fmt: skip

# %% [markdown]
# The same order as in the plane, with as many updates. A better $u$ saves 0.07 bits per dimension, mixtures in
# place of straight lines 0.18. On these digits the best of the three flows is as good as the diffusion model of lesson
# 11 (1.88).
#
# ## A code for real numbers
#
# A stack of bits holds integers. Lesson 14 put a real latent on a grid: a point of the grid has the mass density times
# spacing, and the spacing cancels, as it is borrowed once and pushed once. A flow has no latent that could be borrowed.
# The data $x + u$ *is* the number $z = f(x + u)$, seen otherwise. (From here on $x$ is this real number; the program calls
# it `y0`.) On a grid for $x$ and a grid for $z$, $f$ takes points to
# places between the points; and rounded, two points of the one may fall on one point of the other.
#
# *Local bits-back* makes a latent out of $z$ (Ho, Lohn and Abbeel 2019): it adds noise, so little that $f$ is a straight
# line as far as the noise reaches.
#
# $$ q(y \mid x) = \mathcal N(f(x),\, \sigma^2 J J^\top), \qquad p(x \mid y) = \mathcal N(f^{-1}(y),\, \sigma^2 I),
# \qquad p(y) = \mathcal N(0, I), \qquad J = \frac{\partial f}{\partial x} . $$
#
# Borrow $y$, push $x$ given $y$, push $y$: three moves of lesson 14. If $f$ is straight, the first two have the densities
# of the same noise, seen on either side of $f$. Their ratio is $|\det J|$, so all in all
#
# $$ \log q(y \mid x) - \log p(x \mid y) - \log p(y) \;\approx\; -\log |\det J| - \log p(y) \;\approx\; -\log p(x) .
# $$
#
# $J$ has $D^2$ numbers for each image. But every layer is elementwise, given what it keeps. So each can have a noise and
# a move of its own, with slopes for a Jacobian; and the layers are a *Markov chain* from the data up, $x, y_0, y_1,
# \dots$. We know the order for these.

# %%
moves_of = {"compositional": compositional_moves, "black box": black_box_moves}
for name, make in moves_of.items():
    moves = make(models["flow_uniform"], (8, 8, 1), lanes=1, sigma=2.0**-12)
    words = [f"{'borrow' if move.borrows else 'push'} {move.name}" for move in moves]
    print(f"{name:14s}", " · ".join(words))

# %% [markdown]
# In the compositional code `y0` is the levels and their $u$; `y1` is its logit, $\mathrm{logit}(0.05 + 0.9\, y_0/V)$, the
# flow's first layer (`FromCells`); and each of the four couplings makes the next from it. The levels `x` are *certain*,
# once `y0` is known: round it down. It is lesson 14's
# list with layers for noise levels, and what a decoder does need not be written.
#
# How does one judge such a code? Not by the mean bound: the bits on the stack decide which $u$ are borrowed, and these
# differ. But they can be read off, and priced. So we compare with $\log q(u \mid x) - \log p(x + u)$ *of the $u$ that
# was coded*.


# %%
class Coded(NamedTuple):
    """What it took to code images on a few stacks."""

    net: float  # bits per dimension
    ideal: float  # the flow's own, of what was coded
    initial: float  # bits per dimension of one image that had to be there
    lossless: bool  # every image came back, and every borrowed bit


def coded(name, make, images, *, lanes, sigma=2.0**-12):
    """Code images, decode them, and return what it took."""
    model = models[name]
    moves = make(model, (8, 8, 1), lanes=lanes, sigma=sigma)
    stack, on, ideal = codec.Stack(lanes), np.ones(lanes, bool), 0.0
    rounds = images.reshape(-1, lanes, 8, 8, 1)
    for batch in rounds:
        y_0 = codec.encode(moves, stack, batch, on)["y0"]
        ideal += own_bits(model, batch, y_0)
    net, initial = stack.heights.sum(), codec.initial_bits(stack.ledger).mean()
    back = [codec.decode(moves, stack, on) for _ in rounds][::-1]
    lossless = bool((np.array(back) == rounds).all()) and stack.is_restored
    return Coded(net / images.size, ideal / images.size, initial / 64, lossless)


def own_bits(model, x, y_0):
    """log₂ q(u | x) − log₂ p(x + u) of images, in double precision."""
    with codec.double_precision():
        x, y_0 = jnp.asarray(x.astype(int)), jnp.asarray(y_0)
        return float(own_nats(codec.in_double(model), x, y_0) / np.log(2))


@eqx.filter_jit
def own_nats(model, x, y_0):
    """The same in nats, in any precision."""
    log_q = jax.vmap(model.dequantiser.log_prob)(y_0 - x, x)
    return jnp.sum(log_q - jax.vmap(model.flow.log_prob)(y_0))


lanes = pick(smoke=2, laptop=36)
runs = {
    name: coded(name, compositional_moves, some, lanes=lanes)
    for name in ("flow_uniform", "flow_variational")
}
print("compositional         net    own    above it   borrowed at first   lossless")
for name, run in runs.items():
    print(f"  {name:18s}{run.net:6.3f} {run.ideal:6.3f} {run.net / run.ideal - 1:10.2%} "
          f"{run.initial:12.1f} bits/dim  {run.lossless}")  # fmt: skip
claim("18", "digits, or stacks, that did not come back", sum(not r.lossless for r in runs.values()), at_most=0)  # fmt: skip
claim("18", "net rate above the flow's own bits, largest (share)",
      max(abs(r.net / r.ideal - 1) for r in runs.values()), at_most=0.005, trained=True)  # fmt: skip

few = some[: pick(smoke=2, laptop=24)]
pair = {
    kind: coded("flow_uniform", make, few, lanes=len(few)) for kind, make in moves_of.items()
}
for kind, run in pair.items():
    print(f"{kind:14s} {len(few)} digits: {run.net:.4f}, own {run.ideal:.4f} bits/dim, lossless {run.lossless}")  # fmt: skip
claim("18", "black box against compositional (bits per dimension)",
      abs(pair["black box"].net - pair["compositional"].net), at_most=0.02)  # fmt: skip
claim("18", "black box: digits, or stacks, that did not come back",
      int(not pair["black box"].lossless), at_most=0)  # fmt: skip

# %% [markdown]
# The codes come to the flows' own bits, within half a percent, and all is repaid. What remains has two causes. A few
# hundredths of a bit for each move come from the integer masses. And where a $z$ lies beyond 5 standard deviations, the
# coder's least mass, $2^{-24}$, is more than the normal's: there the code is *shorter* than the flow says.
#
# Black box and compositional code cost the same within a third of a percent. The black box asks for nothing but $f$, $f^{-1}$ and $J$, and pays with a
# matrix of $64 \times 64$ numbers for each digit, and a triangular factor of it; for CIFAR-10 it would be $3072 \times
# 3072$.
#
# What is borrowed at first is much: 45 bits per dimension. A uniform $u$ takes the 28 bits of its grid, and each $y$ another
# 17 or so; and Bit-Swap's order keeps two of them out at a time. Who sends one image by this code sends more than twenty
# times its net bits. It is a code for many.
#
# ## How much noise?
#
# *Predict, before you go on.* What does a larger $\sigma$ do to the bits that have to be borrowed, and what to the net
# rate?

# %%
sigmas = 2.0 ** np.array(pick(smoke=[-12, -5], laptop=[-16, -12, -8, -6, -5, -4]))
swept = [
    coded("flow_uniform", compositional_moves, some[: 2 * lanes], lanes=lanes, sigma=sigma)
    for sigma in sigmas
]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.plot(
    sigmas, [100 * (r.net / r.ideal - 1) for r in swept], color=COLORS[0], marker=MARKERS[0]
)
left.axhline(0, color="0.6", lw=0.8)
left.set(xscale="log", xlabel="σ", title="net rate above the flow's own bits, in %")
left.set_xscale("log", base=2)
right.plot(sigmas, [r.initial for r in swept], color=COLORS[1], marker=MARKERS[1])
right.set(xlabel="σ", title="borrowed at first, bits/dim", ylim=(0, 60))
right.set_xscale("log", base=2)
show(
    figure,
    "Left: what the code costs above the flow's own bits, in percent, against σ on a logarithmic axis. It lies near zero up to 2^-8, "
    "reaches half a percent at 2^-6 and eight percent at 2^-4. Right: the bits borrowed at first rise from 41 to 53 "
    "bits per dimension along the same axis, in a straight line.",
)
for sigma, run in zip(sigmas, swept, strict=True):
    print(f"σ = 2^{int(np.log2(sigma)):3d}: {run.net / run.ideal - 1:8.3%} above, {run.initial:6.1f} bits/dim borrowed, lossless {run.lossless}")  # fmt: skip
claim("18", "σ too large: share of the bits that it costs, largest over least",
      (swept[-1].net / swept[-1].ideal - 1) - min(r.net / r.ideal - 1 for r in swept),
      at_least=0.01, trained=True)  # fmt: skip

# %% [markdown]
# The bits that are borrowed grow with $\sigma$, one for each doubling and each number: on a fixed grid a wider law has more
# points. The net rate does not feel $\sigma$ while $f$ is straight as far as the noise reaches, and that is up to about
# $2^{-8}$ here. (What is left below, a fifth of a percent, is the integer masses again.) Beyond, the slope at the one
# end of the noise is not that at the other, $q$ and $p$ are not the same noise anymore, and the code moves away from
# the flow's own bits: upwards. From below $\sigma$ is bounded by the grid: noise has to be wider than the spacing, $2^{-28}$, also where a
# layer is flat.
#
# ## Three kinds of models
#
# | test digits | says | bits/dim | as a code | needs |
# |---|---|---|---|---|
# | diffusion model (lessons 11, 14) | a bound, for any number of steps | 1.87 | 2.05 with fifty steps, best chosen | one network, trained on one step at a time |
# | chain of 4 learned latents (17) | a bound | 1.91 | 1.91 | all latents in every update |
# | flow, variational $u$ | the exact density of $x + u$; a bound of $x$ | 1.88 | 1.88 | invertible layers that keep all numbers |
#
# They do not differ by much on small digits. On CIFAR-10 the papers say 2.65 (VDM), 3.78 (Bit-Swap) and 3.08 (Flow++).
#
# ## Ask yourself
#
# 1. Why must a coupling's network not see the half that is bent?
# 2. Someone trains a flow on images without any $u$, and reports $-3$ bits per dimension. What happened?
# 3. Uniform dequantisation of a *known* density: can its bound be the exact sum? When?
# 4. The inverse by bisection is wrong in its last digits. Is the code still lossless?
#
# <details><summary>Answers</summary>
#
# 1. The inverse has to read the same network before it knows that half. And the Jacobian would not be triangular
#    anymore.
# 2. The density has spikes on the integers. Without $u$ nothing bounds $-\log p$ from below, and it is no price of
#    anything.
# 3. Yes, if the density is flat within every cell: then the posterior of $u$ is uniform.
# 4. Yes. Encoder and decoder compute the same wrong mean, and the noise hides an error that is much smaller than
#    $\sigma$. A larger error costs bits.
# </details>
#
# ## Take along
#
# > **A flow says its density exactly, and integers have none: u makes a bound of it, and the better its law, the nearer
# > the bound. As a code, a flow is a chain of layers with a little noise on each; what the noise takes, it gives back.**
#
# Exercises: `exercises/18_flows.ipynb`. In the package: `neighbours.flow`, `neighbours.local_bits_back`; `codec.GridGaussian`.
