# %% [markdown]
# # 10 · Few steps, chosen optimally
#
# *Two minutes on 2 CPU cores · 60 minutes to study*
#
# *After lesson 08 · Watson, Ho, Norouzi and Chan 2021 · files `neighbours/few_steps.py`, `evaluation.py`*
#
# **The idea.** With $K$ steps the bound is a sum over steps, and what a step costs depends on its two ends alone. So
# the best $K$ steps are a shortest path. $N$ measured numbers and one table give the best grid for every $K$. Nothing
# is trained again.
#
# **After this lesson you can**
# - write the $K$-step bound of any grid from one measured curve;
# - find the best grid by dynamic programming in ten lines, and prove that it is the best;
# - say how many steps an image model needs for a given loss of bits, from a formula;
# - show that the grid with the best bound need not draw what is nearest to the data.

# %%
import itertools
import math
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import data
from vdmlite.course import claim, pick, pretrained, show, slider
from vdmlite.neighbours import few_steps
from vdmlite.viz import COLORS, LINES, MARKERS, images, panels

table_key, test_key, train_key, draw_key = jax.random.split(jax.random.key(10), 4)

# %% [markdown]
# ## What a grid costs
#
# A **grid** is a list of noise levels $\gamma_0 < \gamma_1 < \dots < \gamma_K$, from the clean end of a model to the
# noisy one. A walk takes the $K$ steps between neighbours. Lesson 03 gave the price of a step from $\gamma_j$ down to
# $\gamma_i$ in nats:
#
# $$ c_{ij} = \tfrac12\, \bigl(e^{\gamma_j - \gamma_i} - 1\bigr)\; M(\gamma_j) , \qquad
# M(\gamma) = \mathbb E\, \lVert \varepsilon - \hat\varepsilon(z_\gamma;\, \gamma) \rVert^2 . $$
#
# The diffusion loss of the grid is the sum of its steps. The prior and the reconstruction term see only the two ends,
# which we keep. So all that a grid can change is $\sum_k c_{k-1,\, k}$.
#
# In SNR it is a picture, that of lesson 05. With $S = e^{-\gamma}$ and
# $h(S) = \tfrac12\, \mathbb E\,\lVert x - \hat x \rVert^2$ the price is $c_{ij} = (S_i - S_j)\, h(S_j)$. That is a
# rectangle, as wide as the step and as high as the curve at the noisy end, where the step begins. The curve falls,
# the rectangle does not. What lies between is the **excess** over infinitely many steps. Four steps have four
# rectangles. Where should they stand?
#
# Take the Gaussian numbers of lesson 03, with standard deviation ½, and their exact denoiser. Then
# $h(S) = \tfrac12/(4 + S)$. (It is half of what lesson 05 called $f$, so that the price is the whole rectangle.) The
# ends are γ = −3 and 3. Each of the three levels between them may stand at one of 59 places, 0.1 apart. We try all
# choices.


# %%
def h(S):
    """Half the squared error of the best guess at signal-to-noise ratio S."""
    return 0.5 / (4 + S)


def cost(gammas):
    """The diffusion loss of a grid, rectangle by rectangle, in nats."""
    S = np.exp(-np.asarray(gammas))
    return np.sum((S[:-1] - S[1:]) * h(S[1:]))


places = np.linspace(-3, 3, 61)
every = list(itertools.combinations(places[1:-1], 3))
best_four = [-3.0, *min(every, key=lambda inner: cost([-3.0, *inner, 3.0])), 3.0]
even_four = np.linspace(-3, 3, 5)
exact = 0.5 * (np.log(4 + np.exp(3.0)) - np.log(4 + np.exp(-3.0)))  # the area under h
print(f"{len(every):,} grids tried; the best: γ =", [round(float(g), 1) for g in best_four])
for steps in (8, 32):
    count = math.comb(1023, steps - 1)
    print(f"grids of {steps} steps from 1025 candidates, both ends given: {float(count):.1e}")


def stairs(ax, gammas, name):
    """The rectangles of a grid over the curve, their excess in grey."""
    S, excess = np.exp(-np.asarray(gammas)), cost(gammas) - exact
    for high, low in itertools.pairwise(S):
        inside = np.linspace(low, high, 100)
        ax.fill_between(inside, h(inside), h(low), color="0.8")
        ax.plot([low, low, high, high], [0, h(low), h(low), 0], color=COLORS[1], ls="-", lw=1)
    line = np.linspace(np.exp(-3.0), np.exp(3.0), 400)
    ax.plot(line, h(line), color=COLORS[0], ls="-", lw=2)
    ax.set(xlabel="S = SNR", title=f"{name}: {exact:.3f} + {excess:.3f} nats")


figure, axes = panels(2, width=4.6, height=3.0)
stairs(axes[0], even_four, "even in γ")
stairs(axes[1], best_four, "the best four")
axes[0].set_ylabel("half the squared error, h(S)")
axes[0].annotate("grey: the excess", (10.5, 0.06), (9, 0.1), arrowprops={"arrowstyle": "-"})
show(
    figure,
    "A falling curve, the error against SNR, under two staircases of four stairs each. With "
    "levels even in γ the last "
    "stair is wide and leaves a large grey area above the curve. The best four stairs are of "
    "more equal excess, and the "
    "grey area is smaller.",
)  # fmt: skip

# %% [markdown]
# Steps even in γ stand crowded in a narrow strip on the left, and the last one strides over most of the SNR. The best
# grid is a compromise: narrow stairs where the curve is steep, wide ones where it is flat.
#
# Try it yourself (in a live notebook). One knob moves three levels at once: they are put evenly in $\log(a + S)$. For
# tiny $a$ that is even in γ, for huge $a$ even in $S$. Which $a$ has the least excess? What has it to do with the
# curve $h$? The section on how many steps you need has the answer.


# %%
def four_steps(log_a):
    """Four steps even in log(a + S)."""
    a = 10**log_a
    inner = np.linspace(np.log(a + np.exp(3.0)), np.log(a + np.exp(-3.0)), 5)
    figure, ax = plt.subplots(figsize=(6, 3.2))
    stairs(ax, -np.log(np.exp(inner) - a), f"a = {a:.2g}")
    ax.set_ylabel("half the squared error, h(S)")
    return figure


slider(
    four_steps,
    -1.8,
    3.0,
    "Four stairs over the falling curve, the excess in grey. In the still a is about 4: the "
    "stairs get wider from left to right and "
    "the grey pieces are alike. For small a the last stair is wide, for large a all are, and "
    "the first piece of grey is tall.",
    name="log₁₀ a",
)

# %% [markdown]
# Trying all grids is no way to go on: the lines above the first picture count those of 8 and of 32 steps from 1025
# candidates.
#
# ## A shortest path
#
# Think of the candidates as towns, numbered $0, \dots, N - 1$ from clean to noisy, and of $c_{ij}$ as the length of
# the road from $i$ to $j$. There is no road back: $c_{ij} = \infty$ for $i \ge j$. A grid of $K$ steps is a way from
# the first town to the last over exactly $K$ roads. (The roads run from clean to noisy, and the model walks the other
# way. The steps and their prices are the same, told from the other end.)
#
# Now the one thought of this lesson. *The beginning of a best way, over $k$ roads say, is itself a best way over $k$
# roads to where it ends.* Otherwise we could exchange it for a better one with as many roads, for what comes after
# does not care how we got there.
#
# So let $C_{k,j}$ be the length of the best way to $j$ over exactly $k$ roads. Its last road comes from some town
# $i$, which was reached over $k - 1$ roads, and as well as possible:
#
# $$ C_{0,0} = 0, \qquad C_{k,j} = \min_i \bigl( C_{k-1,\,i} + c_{ij} \bigr) . $$
#
# This is **dynamic programming**: fill in a table row by row, each from the one above. Note where each minimum came
# from, and walk back from the last town to read the grid off. It takes $K N^2$ additions, and every row is the answer
# for another $K$.


# %%
def best_paths(costs, most):
    """The table C of every number of roads up to `most`, and where each minimum came from."""
    C = np.full((most + 1, len(costs)), np.inf)
    came_from = np.zeros(C.shape, int)
    C[0, 0] = 0.0
    for k in range(1, most + 1):
        through = C[k - 1][:, None] + costs  # (i, j): to i as well as possible, then on to j
        came_from[k], C[k] = through.argmin(0), through.min(0)
    return C, came_from


def walk_back(came_from, steps):
    """The towns of the best way to the last one."""
    way = [came_from.shape[1] - 1]
    for k in range(steps, 0, -1):
        way.append(int(came_from[k, way[-1]]))
    return way[::-1]


# %% [markdown]
# Is it the best, always? On small maps we can try all ways. Here are fifty maps with random roads, and every number
# of steps on each.

# %%
random = np.random.default_rng(10)
worst = 0.0
for _ in range(50):
    n = int(random.integers(3, 10))
    forward = np.arange(n)[:, None] < np.arange(n)
    roads = np.where(forward, random.exponential(size=(n, n)), np.inf)
    C, came_from = best_paths(roads, n - 1)
    for k in range(1, n):
        ways = [(0, *w, n - 1) for w in itertools.combinations(range(1, n - 1), k - 1)]
        tried = min(sum(roads[i, j] for i, j in itertools.pairwise(way)) for way in ways)
        walked = sum(roads[i, j] for i, j in itertools.pairwise(walk_back(came_from, k)))
        worst = max(worst, abs(C[k, -1] / tried - 1), abs(walked / tried - 1))
claim("10", "50 random maps: dynamic program against all ways tried, largest relative difference",
      worst, at_most=1e-9)  # fmt: skip

M = 2 * np.exp(-places) * h(np.exp(-places))  # ½ M = SNR · h
costs = few_steps.edge_costs(places, M)
C, came_from = best_paths(costs, 40)
theirs = few_steps.shortest_paths(costs, 40)
np.testing.assert_array_equal(C, theirs.cost)
np.testing.assert_array_equal(walk_back(came_from, 4), theirs.path(4))
print("the best four again: γ =", places[theirs.path(4)].round(1))
np.testing.assert_allclose(places[theirs.path(4)], best_four)

# %% [markdown]
# The package's `edge_costs` and `shortest_paths` do the same. With the exact errors of a Gaussian they find the grid
# that we found by trying everything.
#
# ## Digits: measure once
#
# Nothing in this needs an exact model. A trained network has a curve $M(\gamma)$, too. We measure it at $N$
# candidates even in γ, on the 1437 training images with one noise each. The costs of half a million roads follow from
# these $N$ numbers, because a step's error is that of its noisy end and the rest is arithmetic. (The model ships with
# the course; its ends were trained.)

# %%
digits, model = data.digits(), pretrained.load("digits")
low, high = float(model.schedule(0.0)), float(model.schedule(1.0))
N = pick(smoke=65, laptop=1025)
candidates = np.linspace(low, high, N)
seen = digits.train[: pick(smoke=24, laptop=1437)]


@jax.jit
def errors(gamma):
    """‖ε − ε̂‖² of each image, at one noise level: the same noise at every level."""

    def one(x, i):
        # As the package's error_curve draws; the other key would be for a network's dropout.
        noise_key, _ = jax.random.split(jax.random.fold_in(table_key, i))
        eps = jax.random.normal(noise_key, x.shape)
        z = vdmlite.alpha(gamma) * x + vdmlite.sigma(gamma) * eps
        return jnp.sum((eps - model.denoiser(z, gamma).eps) ** 2)

    return jax.vmap(one)(model.decoder.embed(jnp.asarray(seen)), jnp.arange(len(seen)))


# One row for each image, one column for each level; the mean over the images estimates M.
by_image = np.stack([errors(jnp.float32(gamma)) for gamma in candidates], 1).astype(float)
M = by_image.mean(0)
some = candidates[:: N // 4]
theirs = vdmlite.error_curve(
    model, seen, some, draws=len(seen), batch_size=len(seen), key=table_key
)
np.testing.assert_allclose(M[:: N // 4], theirs.mean, rtol=1e-3)
print(f"measured: {by_image.shape[0]} images at {by_image.shape[1]} noise levels")

started = time.perf_counter()
most = pick(smoke=64, laptop=256)
costs = few_steps.edge_costs(candidates, M)
paths = few_steps.shortest_paths(costs, most)
print(f"the best grids of 1 to {most} steps: {time.perf_counter() - started:.1f} seconds")

# %% [markdown]
# The package has the measurement as `error_curve`.
#
# Now the test. `PiecewiseLinear(grid)` makes a schedule of any grid. `evaluate(..., timesteps=K)` measures the bound
# of a walk of $K$ even steps in time, which are then the steps of the grid. It knows nothing of our table. We use
# *test* images, new noise, and two rivals between the same ends: γ-linear and cosine.

# %%
budgets = pick(smoke=(8,), laptop=(4, 8, 16, 32, 64))
grids = {K: candidates[paths.path(K)] for K in budgets}


def schedules(K):
    return {
        "γ-linear": vdmlite.FixedLinear(low, high),
        "cosine": vdmlite.Cosine(low, high),
        "optimal": vdmlite.PiecewiseLinear(grids[K]),
    }


def bits(nats):
    return float(vdmlite.bits_per_dim(nats, (8, 8, 1)))


options = pick(
    smoke={"draws": 2, "times": 1, "batch_size": 24},
    laptop={"draws": 8, "times": 2, "batch_size": 1440},
)
unseen = digits.test[: pick(smoke=24, laptop=360)]
limit = vdmlite.evaluate(model, unseen, **options, key=test_key)
found, margins = {}, []
print("test bits per dimension")
print("  K         γ-linear           cosine           optimal   saved on the better")
for K in budgets:
    row = vdmlite.compare_schedules(
        model, schedules(K), unseen, timesteps=K, **options, key=test_key
    )
    found[K] = row
    rival = min((row["γ-linear"], row["cosine"]), key=lambda one: float(one.nats.loss.mean))
    saved, error = map(bits, rival.minus(row["optimal"]).loss)
    margins.append(saved - 3 * error)
    cells = [f"{one.bits.loss.mean:8.3f} ± {one.bits.loss.error:.3f}" for one in row.values()]
    print(f"{K:3d}   {'  '.join(cells)}   {saved:.3f} ± {error:.3f}")
print(f"  ∞   {limit.bits.loss.mean:8.3f} ± {limit.bits.loss.error:.3f}, whatever the schedule")
claim("10", "digits: least saving of the optimal grid on the better rival, less 3 errors (bits/dim)",
      min(margins), at_least=0, trained=True)  # fmt: skip

# %% [markdown]
# The optimal grid wins at every $K$, by a lot at few steps. Cosine is far behind: at four steps it pays over ninety
# bits for a pixel. (Whoever guesses all seventeen levels alike pays 4.09. A bound above that is worse than no model:
# so are all three grids at four steps, γ-linear at eight, and cosine at 8, 16 and 32.)
#
# ## The key picture

# %%
D = 64
figure, axes = plt.subplot_mosaic(
    "cb;mb", figsize=(10, 4.2), width_ratios=(1.3, 1), height_ratios=(2.2, 1)
)
curve, marks, right = (axes[name] for name in "cmb")
curve.plot(candidates, M / D, color="0.2", ls="-")
curve.set(ylabel="M per dimension", title="the measured curve, and 8 steps")
for i, (name, schedule) in enumerate(schedules(8).items()):
    levels = np.array([float(schedule(j / 8)) for j in range(9)])
    heights = np.interp(levels, candidates, M / D)
    style = {"color": COLORS[i], "marker": MARKERS[i]}
    marks.plot(levels, np.full(9, -i), ls="-", lw=0.7, **style)
    if name == "optimal":
        curve.plot(levels, heights, ls="", **style)
    bounds = [found[K][name].bits.loss.mean for K in budgets]
    right.plot(budgets, bounds, ls=LINES[i], label=name, **style)
marks.set_yticks([0, -1, -2], list(schedules(8)))
marks.set(xlabel="γ: clean on the left, noise on the right", ylim=(-2.6, 0.6))
marks.sharex(curve)
right.axhline(limit.bits.loss.mean, color="0.4", ls=":", lw=1)
right.text(budgets[0], 0.93 * limit.bits.loss.mean, "infinitely many", va="top")
right.loglog()
right.set(xlabel="steps K", title="test bits per dimension", ylim=(1.5, 120))
right.set_xticks(budgets, [str(K) for K in budgets])
right.set_yticks([2, 3, 5, 10, 30, 100], ["2", "3", "5", "10", "30", "100"])
right.minorticks_off()
right.legend()
show(
    figure,
    "Left: the error along γ, a hill with its top near −6, and below it the nine levels of "
    "three grids. γ-linear is "
    "even; cosine crowds its levels between −3 and 3; the optimal grid takes one leap from 5 "
    "to about −0.6 and then ever "
    "shorter steps to the clean end. Right: the bound against the number of steps, both on "
    "log axes: the optimal grid "
    "lowest at each, γ-linear next, cosine far above; all fall towards a dotted line near 1.9.",
)  # fmt: skip
leap = grids[8]
print(f"the optimal 8 steps: γ = {leap.round(2)}")
print(f"its noisiest step covers {(leap[-1] - leap[-2]) / (leap[-1] - leap[0]):.0%} of γ, "
      f"but {math.exp(-leap[-2]) - math.exp(-leap[-1]):.1f} of {math.exp(-low):.0f} in SNR")  # fmt: skip

# %% [markdown]
# The optimal grid takes over two fifths of γ in a single leap, for there is hardly any SNR in them. What looks wide
# in γ can be a hair's breadth in SNR, and SNR is what the bound pays for. Cosine crowds its levels there, and leaves
# most of the SNR to one step.
#
# ## Does the table keep its promises?
#
# The table said what each grid costs before anyone walked it. Two checks.
#
# On the *same* images with new noise the evaluator must agree. A grid's promise is a weighted sum of the errors at
# its levels. We form it image by image, so its standard error is that of a mean of 1437 numbers.
#
# On *test* images it need not agree, for two reasons. They are other images. And the grid
# was chosen because it *looked* cheap in our sample, so its promise is too good on average: the **optimiser's curse**.

# %%
print("diffusion loss, bits per dimension")
print("  K          promised    same images, new noise   in errors   test images")
off = []
for K in budgets:
    way = paths.path(K)
    each = by_image[:, way[1:]] @ (0.5 * np.expm1(np.diff(candidates[way])))
    np.testing.assert_allclose(each.mean(), paths.cost[K, -1], rtol=1e-9)
    promise, error = bits(each.mean()), bits(each.std(ddof=1) / math.sqrt(len(each)))
    again = vdmlite.evaluate(
        model.under(vdmlite.PiecewiseLinear(grids[K])),
        seen,
        timesteps=K,
        **options,
        key=train_key,
    )
    value, its_error = again.bits.diffusion.mean, again.bits.diffusion.error
    off.append((value - promise) / math.hypot(error, its_error))
    print(
        f"{K:3d}   {promise:.3f} ± {error:.3f}            {value:.3f} ± {its_error:.3f}"
        f"   {off[-1]:9.1f}   {found[K]['optimal'].bits.diffusion.mean:11.3f}"
    )
claim("10", "promise of the table against the evaluator, same images: largest difference (standard errors)",
      np.abs(off).max(), at_most=3, trained=True)  # fmt: skip

# %% [markdown]
# (All rows share one table, and with it its luck: they err together. The error of the promise counts the scatter from
# image to image as well, which has no part in this comparison: so the test is milder than three errors sound.)
#
# The test images cost a few hundredths of a bit more than the same images with new noise. They are other images, so
# this alone does not tell whether choosing cost anything. On the same images the promise is kept within its error:
# the luck of the noise hardly matters. For our curve is smooth. Every level has the same images and noise, so there
# are no lucky dips to step into.
#
# Let us spoil it. At each candidate we keep sixteen images by chance, find the best eight steps, and look up
# in the whole table what they really cost.

# %%
spoilt = [random.choice(by_image[:, j], 16, replace=False).mean() for j in range(N)]
lured = few_steps.shortest_paths(few_steps.edge_costs(candidates, np.array(spoilt)), 8)
way = lured.path(8)
print("8 steps on the spoilt table, bits per dimension:")
print(f"promised {bits(lured.cost[8, -1]):.2f}, true cost {bits(costs[way[:-1], way[1:]].sum()):.2f}, "
      f"the best there is {bits(paths.cost[8, -1]):.2f}")  # fmt: skip

# %% [markdown]
# ## How many steps do you need?
#
# Watson and colleagues report for ImageNet 64×64 that 32 steps cost less than 0.1 bits per dimension more than 4000.
# How many do our digits need? The table knows, for one row is one $K$. Better still, a formula says why.
#
# Take a step of width $\Delta$ in $S$. Its excess is nearly a triangle, $\tfrac12 |h'(S)|\, \Delta^2$. Let $\rho(S)$
# say how densely the levels lie: in a short stretch $du$ there are $\rho\, dS$ steps, each of width
# $\Delta = 1/\rho$. All steps together are $\int \rho\, dS = K$. In the same way a sum over the steps is an integral
# with the weight $\rho\, dS$:
#
# $$ \text{excess} \approx \sum_{\text{steps}} \tfrac12 |h'|\, \Delta^2
# \approx \int \tfrac12 |h'|\, \Delta^2\; \rho\, dS = \tfrac12 \int \frac{|h'|}{\rho}\, dS . $$
#
# Which density is best? By the inequality of Cauchy and Schwarz
#
# $$ \Bigl( \int \!\sqrt{|h'|}\, dS \Bigr)^2
# = \Bigl( \int \!\sqrt{\rho}\, \sqrt{|h'|/\rho}\; dS \Bigr)^2 \le \int \rho\, dS \int \frac{|h'|}{\rho}\, dS , $$
#
# with equality if $\rho$ is proportional to $\sqrt{|h'|}$. So the best that $K$ steps can do is
#
# $$ \text{excess} \approx \frac{A}{K}, \qquad A = \tfrac12 \Bigl( \int \!\sqrt{|h'(S)|}\; dS \Bigr)^2 . $$
#
# The way to get there is to let $\int\!\sqrt{|h'|}\, dS$ grow evenly from step to step. That is a rule for grids
# without any table. (For the Gaussian above $\sqrt{|h'|}$ is in proportion to $1/(4 + S)$. So the rule is "even in
# $\log(4 + S)$", and the knob of the first section belongs near $a = 4$.)


# %%
def cost_of(gammas):
    """The diffusion loss of any grid, in nats, from the measured curve."""
    at_noisy_ends = np.interp(gammas[1:], candidates, M)
    return np.sum(0.5 * np.expm1(np.diff(gammas)) * at_noisy_ends)


S, half_error = np.exp(-candidates), 0.5 * M * np.exp(candidates)  # h = ½ M / SNR
pieces = np.sqrt(np.abs(np.diff(half_error) * np.diff(S)))  # √|h′| dS = √(|dh| |dS|)
A = 0.5 * pieces.sum() ** 2
grown = np.concatenate([[0.0], np.cumsum(pieces)])


def by_the_rule(K):
    """The cost, in nats, of the grid of K steps along which ∫ √|h′| dS grows evenly."""
    return cost_of(np.interp(np.linspace(0, grown[-1], K + 1), grown, candidates))


whole = 0.5 * np.trapezoid(M, candidates)  # infinitely many steps
excess = bits(1.0) * (paths.cost[1:, -1] - whole)  # bits(1.0): of one nat, for a whole array
print("excess over infinitely many steps, bits per dimension")
print("  K   best grid    the law    best/law   grid by the rule")
for K in pick(smoke=(8, 32), laptop=(8, 16, 32, 64, 128, 256)):
    law = bits(A) / K
    print(f"{K:3d}   {excess[K - 1]:9.4f}  {law:9.4f}   {excess[K - 1] / law:9.3f}"
          f"   {bits(by_the_rule(K) - whole):16.4f}")  # fmt: skip
enough = int(np.sum(excess >= 0.1)) + 1
print(f"within 0.1 bits of infinitely many: {enough} steps, by the law {bits(A) / 0.1:.0f}")
claim("10", f"digits: excess of the best {most} steps against the law A/K (share off)",
      abs(excess[-1] / (bits(A) / most) - 1), at_most=0.05, trained=True)  # fmt: skip

# %% [markdown]
# Where the paper needed 32 steps, we need over 80. It is another model and other images, and the law does not single
# out any number. What counts is $A$: how far and how steeply the error falls over the range of SNR. Once there are
# many steps, halving the excess takes twice as many, whatever the model. At few steps it takes fewer.
#
# A grid by the rule is close to the best at eight steps, and not to be told from it at sixty-four. (At the end of the
# table it is even ahead, for its levels may stand between the candidates.) The merit of the program is that it is
# *exact*, at few steps too, where triangles are a poor picture of the excess.
#
# ## Best for the bound, best for drawing?
#
# One may hope that the grid with the best bound also draws the best digits. Let us measure that. Fit a Gaussian to
# the pixels of each of two sets of images, with means $\mu, \nu$ and covariances $\Sigma, \Lambda$ (64 × 64 numbers).
# The **Fréchet distance** of the two Gaussians is
#
# $$ \lVert \mu - \nu \rVert^2 + \operatorname{tr}\bigl( \Sigma + \Lambda - 2\, (\Sigma^{1/2} \Lambda\, \Sigma^{1/2})^{1/2} \bigr) , $$
#
# the least mean squared way by which the points of one cloud must move to become the other. In one dimension it is
# $(\mu - \nu)^2 + (\sigma - \lambda)^2$, where σ and λ are the two standard deviations. (The *FID* of papers takes it
# between features of a network. Ours have only pixels, on the scale from −1 to 1.)
#
# All sets have 360 digits, as many as the test set, and are compared with the 1437 training digits. Twenty sets for
# each schedule give the standard error. Fewer than infinitely many points put some distance between sets even if all
# is right, so the test digits set the yardstick. A last row shows how far the model itself comes when it takes very
# many steps.


# %%
def root(spread):
    """The symmetric root of a covariance matrix."""
    values, vectors = np.linalg.eigh(spread)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def frechet(a, b):
    """The Fréchet distance of Gaussians fitted to two sets of images, on the scale of −1 to 1."""
    a, b = ((2 * levels.reshape(len(levels), -1) + 1) / 17 - 1 for levels in (a, b))
    spread, other = np.cov(a.T), np.cov(b.T)
    common = np.sqrt(np.clip(np.linalg.eigvalsh(root(spread) @ other @ root(spread)), 0, None))
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(spread + other) - 2 * common.sum()


sets, size = pick(smoke=(2, 40), laptop=(20, 360))


def judged(schedule, K, sets=sets):
    """Sets of digits drawn in K steps, their mean distance from the data, and its error."""
    vdm = model.under(schedule)
    drawn = vdmlite.draw(vdm, sets * size, steps=K, batch_size=2 * size, key=draw_key)
    far = [frechet(part, digits.train) for part in np.split(drawn, sets)]
    return drawn, np.mean(far), np.std(far, ddof=1) / math.sqrt(sets)


print(f"test digits against training digits: {frechet(digits.test, digits.train):.2f}")
print("  K   schedule   bits per dimension   Fréchet distance")
looks = {}
for K in budgets[:3]:
    for name, schedule in schedules(K).items():
        looks[K, name] = _, mean, error = judged(schedule, K)
        bound = found[K][name].bits.loss.mean
        print(f"{K:3d}   {name:8s}   {bound:18.2f}   {mean:9.2f} ± {error:.2f}")
many = pick(smoke=16, laptop=250)
_, mean, error = judged(vdmlite.FixedLinear(low, high), many, pick(smoke=2, laptop=6))
print(f"{many:3d}   γ-linear   {'':18s}   {mean:9.2f} ± {error:.2f}")
gap = looks[8, "optimal"][1] - looks[8, "cosine"][1]
error = math.hypot(looks[8, "optimal"][2], looks[8, "cosine"][2])
print(f"8 steps, optimal less cosine: {gap:.2f} ± {error:.2f}")
claim("10", "digits in 8 steps: optimal grid farther from the data than cosine (standard errors)",
      gap / error, at_least=3, trained=True)  # fmt: skip

figure, axes = panels(3, width=3.3, height=3.0)
for ax, name in zip(axes, schedules(8), strict=True):
    bound, distance = found[8][name].bits.loss.mean, looks[8, name][1]
    title = f"{name}, 8 steps\n{bound:.1f} bits/dim, distance {distance:.2f}"
    images(ax, looks[8, name][0][:42], levels=17, columns=7, title=title)
show(
    figure,
    "Three sheets of 42 digits drawn in eight steps with γ-linear, cosine and the optimal "
    "grid. Above each stand its bound and "
    "its Fréchet distance: cosine has by far the worst bound and the smallest distance.",
)

# %% [markdown]
# By eye the sheets are hard to rank. By the distance, the schedule with by far the worst bound comes nearest to the
# data. At four steps that is plainer still, at sixteen it fades.
#
# The last row says how much of this is the steps' fault. With 250 of them the distance is 1.84, about what it is with
# sixteen. So the rest, down to the 0.36 of the test digits, is not for want of steps: it is the small network's own.
#
# Why does cosine draw better? See how wide the noise is at the levels of the optimal grid, in grey levels:

# %%
width = 17 / 2 * np.exp(grids[8] / 2)
print("optimal, 8 steps: noise / grey level", width.round(2))
middle = np.concatenate([[low], np.linspace(-3.2, -0.1, 7), [high]])
_, mean, error = judged(vdmlite.PiecewiseLinear(middle), 8)
print("8 steps over seven levels from γ = −3.2 to −0.1, and the two ends:")
print(f"distance {mean:.2f} ± {error:.2f}, {bits(cost_of(middle)):.1f} bits per dimension")

# %% [markdown]
# Five of its nine levels lie where the noise is narrower than one grey level. The bound pays for exact greys, so
# there the optimal grid must look closely. But the digit was settled long before. It takes shape at more noise.
#
# As a trial of this explanation we gave six of the eight steps to levels where the noise is 2 to 8 grey levels wide
# (a range chosen by hand), and leapt over the clean end at once. The bound is terrible, and the digits are as near to
# the data as cosine's. That agrees with the explanation; it does not prove it. (A Gaussian of pixels is a coarse
# eye.)
#
# So ask what the walk is for. To compress, as in lesson 14, or to compare likelihoods, take the shortest path. To
# draw, choose the grid by what it draws: a good bound is no guarantee. Our table cannot find that grid, for a Fréchet
# distance is no sum over steps.
#
# ## Ask yourself
#
# 1. $N$ candidates have $N(N-1)/2$ roads. Why are $N$ measurements enough?
# 2. Suppose $h$ fell along a straight line in $S$. Where would the best levels stand?
# 3. You double the number of candidates. Can the best cost in the table rise? Can the bound on test images?
# 4. Suppose the ends were free as well. What would have to be added to the map?
#
# <details><summary>Answers</summary>
#
# 1. A step's price is a known width times the error at its noisy end, and there are only $N$ ends.
# 2. Evenly in $S$: $|h'|$ is the same everywhere, and so is the best density. All triangles are then alike.
# 3. If the old candidates are among the new ones, every old grid is still there, so the table's best cannot rise. The
#    test bound can, a little: the table only estimates it, and more choice is more chance to be fooled.
# 4. A town before all others, with roads to each possible clean end that cost its reconstruction term, and one behind
#    all others, with roads from each noisy end that cost its prior term.
# </details>
#
# ## Take along
#
# > **The bound of a walk is a sum over steps that depend on their ends alone, so the best K steps are a shortest path over N
# > measured numbers. Its excess falls like A/K. A better bound need not draw better.**
#
# In the package: `few_steps.edge_costs`, `few_steps.shortest_paths`, `few_steps.best_grid`, `error_curve` and
# `PiecewiseLinear`. Exercises: `exercises/10_few_steps.ipynb`. Next: lesson 11, where integers become bits.
