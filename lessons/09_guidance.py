# %% [markdown]
# # 09 · Guidance
#
# *Two minutes on 2 CPU cores · 60 minutes to study*
#
# *After lesson 08 · Luo §5, Dhariwal and Nichol 2021, Ho and Salimans 2021 · file `neighbours/guidance.py`*
#
# **The idea.** To ask for a label, add to the score what the label says. To insist, add it $w$ times. Then fidelity
# rises and diversity falls. For $w$ other than 0 and 1 what you draw from is no longer a model of the data.
#
# **After this lesson you can**
# - derive classifier guidance and classifier-free guidance from Bayes' rule, and say why they are the same function;
# - train one network that knows a label and also knows none;
# - say what guided samples do *not* follow, and prove it with two Gaussians;
# - measure what guidance buys and what it costs.

# %%
from functools import partial
from itertools import islice

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import vdmlite
from vdmlite import Ancestral, data
from vdmlite.course import claim, pick, progress, show, slider
from vdmlite.course.judge import train_judge
from vdmlite.neighbours.guidance import ClassifierFree, ClassifierGuided, LabelNet
from vdmlite.neighbours.ode import Heun
from vdmlite.nn import MLP, ConvNet
from vdmlite.viz import COLORS, LINES, MARKERS, images, points

keys = jax.random.split(jax.random.key(9), 13)
z_key, level_key, noise_key, share_key, ring_key, fit_key, draw_key = keys[:7]
line_key, digits_key, judge_key, sheet_key, right_key, range_key = keys[7:]
CLEAN = -13.3  # a noise level at which z is x, nearly

# %% [markdown]
# ## Bayes' rule for scores
#
# Let $y$ be a label of the data, such as which digit an image shows. Bayes' rule says
# $q(z \mid y) = q(z)\, p(y \mid z) / p(y)$, at every noise level. Take the logarithm and the gradient by $z$; $p(y)$
# does not depend on $z$ and drops out:
#
# $$ \nabla \log q(z \mid y) = \nabla \log q(z) + \nabla \log p(y \mid z) . $$
#
# The **score** of the examples with a label is the score of all, plus a push: uphill on the probability that a
# *classifier* gives the label. To ask for the label more loudly, push $w$ times as hard. With
# $\hat\varepsilon = -\sigma\, \nabla \log q$ (lesson 04) there are two ways to write down the guided guess of the
# noise, $\tilde\varepsilon$. The first needs a classifier (Dhariwal and Nichol):
#
# $$ \tilde\varepsilon = \hat\varepsilon(z) - w\, \sigma\, \nabla \log p(y \mid z) . $$
#
# For the second, solve the rule above for the push: it is a difference of two scores. So two denoisers will do. A
# *conditional* one sees the label, an *unconditional* one does not. This is *classifier-free* guidance (Ho and
# Salimans, who write $w$ for our $w - 1$):
#
# $$ \tilde\varepsilon = \hat\varepsilon(z) + w\, \bigl( \hat\varepsilon(z \mid y) - \hat\varepsilon(z) \bigr) . $$
#
# The **scale** $w$ is 0 for the model without labels, 1 for the model with. Here is a world in which everything is
# known: eight overlapping spots on a ring, two neighbours to a label.

# %%
ring = data.ring(8, std=0.25)
whole = vdmlite.MixtureDenoiser(ring)


def part(y):
    """The exact denoiser of the points with label y: two neighbouring spots."""
    two = slice(2 * y, 2 * y + 2)
    return vdmlite.MixtureDenoiser(
        vdmlite.Mixture(jnp.full(2, 0.5), ring.means[two], ring.stds[two])
    )


def log_label(z, gamma, y):
    """Log p(y | z): each spot's share in z, added up over the label's two spots."""
    spots = whole.diffused(gamma).component_log_prob(z)
    return jax.nn.log_softmax(jax.nn.logsumexp(spots.reshape(4, 2), axis=1))[y]


def from_densities(z, gamma, y, w):
    """The guided guess of the noise, differentiated from the densities themselves."""
    score = jax.grad(whole.diffused(gamma).log_prob)(z)
    push = jax.grad(log_label)(z, gamma, y)
    return -vdmlite.sigma(gamma) * (score + w * push)


def from_two_guesses(z, gamma, y, w):
    """The same from two denoisers."""
    conditional, unconditional = part(y)(z, gamma).eps, whole(z, gamma).eps
    return unconditional + w * (conditional - unconditional)


def noised(x, gammas, *, key):
    """Points at noise levels, one for each."""
    eps = jax.random.normal(key, x.shape)
    return vdmlite.alpha(gammas)[:, None] * x + vdmlite.sigma(gammas)[:, None] * eps


n = pick(smoke=200, laptop=10_000)
levels = jax.random.uniform(level_key, (n,), minval=-7.0, maxval=5.0)
z = noised(data.sample(ring, n, key=z_key), levels, key=noise_key)


@partial(jax.jit, static_argnames="y")
def largest_gaps(w, y):
    """The largest difference of each form from the densities, over all z."""
    exact = jax.vmap(partial(from_densities, y=y, w=w))(z, levels)
    by_label = partial(log_label, y=y)
    forms = {
        "two guesses": partial(from_two_guesses, y=y, w=w),
        "ClassifierFree": lambda z, gamma: ClassifierFree(part(y), whole, w)(z, gamma).eps,
        "ClassifierGuided": lambda z, gamma: ClassifierGuided(whole, by_label, w)(z, gamma).eps,
    }
    return {name: jnp.abs(jax.vmap(f)(z, levels) - exact).max() for name, f in forms.items()}


found = [
    largest_gaps(jnp.asarray(w), y)
    for w in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
    for y in pick(smoke=(0,), laptop=(0, 1, 2, 3))
]
gaps = {name: max(float(one[name]) for one in found) for name in found[0]}
for name, gap in gaps.items():
    print(f"{name:17s} differs from the densities by at most {gap:.1e}")
claim("09", "ring: largest difference between the forms of guidance, in ε̃", max(gaps.values()), at_most=1e-4)  # fmt: skip

# %% [markdown]
# The package's two classes are the two formulas, and with exact parts both are the same function, up to single
# precision. What differs in practice is where the push comes from.
#
# ## A classifier of clean data is no help
#
# The formula wants $p(y \mid z)$ at the noise level of $z$. Could we use a classifier that only ever saw clean data?
# Compare its opinion of noisy points, and its push, with the right ones.


# %%
@jax.jit
def opinions(z, gamma, seen_as):
    """How sure the classifier is of its favourite label, and its push for label 0."""
    log_p = jnp.stack([log_label(z, seen_as, y) for y in range(4)])
    return jnp.exp(log_p.max()), jax.grad(log_label)(z, seen_as, 0)


print("              how sure             size of the error of the push")
print("   γ     right    clean-only       relative to the right push")
x = data.sample(ring, n, key=draw_key)
for gamma in (-6.0, -2.0, 0.0, 2.0, 4.0):
    level = jnp.full(n, gamma)
    noisy = noised(x, level, key=noise_key)
    sure, push = jax.vmap(opinions)(noisy, level, level)
    clean_sure, clean_push = jax.vmap(opinions)(noisy, level, jnp.full(n, CLEAN))
    wrong = jnp.sqrt(jnp.mean((clean_push - push) ** 2) / jnp.mean(push**2))
    print(f"{gamma:4.0f}    {sure.mean():6.2f}    {clean_sure.mean():6.2f}      {wrong:16.1f}")

# %% [markdown]
# In strong noise nobody can tell the label. The right classifier says so, and pushes gently. The clean one is as sure
# as ever, about nothing, and its push is many times too large. So a classifier for guidance must be trained on noisy
# data and be told γ. That would be a second network, trained with as much care as the denoiser. Classifier-free
# guidance does without it.
#
# ## One network, with the label and without
#
# It can do without a second denoiser, too. Give the network the label as one more input. In training, now and then
# replace it by a special label, "none". So one network learns $\hat\varepsilon(z \mid y)$ and $\hat\varepsilon(z)$.
# The whole trick is one line:

# %%
chance = jax.random.uniform(share_key, (10_000,))
seen = jnp.where(chance < 0.2, 4, 2)  # of label 2, or 4 for none
print(f"share of labels dropped: {jnp.mean(seen == 4):.3f}")

# %% [markdown]
# `LabelNet` wraps a network so: a table has a row of 8 trained numbers for each label and one for "none", and the row
# goes in beside $z$. `vdm.given(label)` is the conditional model, `vdm` itself the unconditional one.


# %%
def fit(vdm, examples, labels, *, steps, batch, rate, key):
    """Train on labelled examples; the network drops labels by itself. Return the average."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, min(100, steps // 10), steps)
    optimiser = optax.adam(schedule, b2=0.99)
    batch_key, noise_key = jax.random.split(key)
    pairs = data.batches(examples, batch, labels, key=batch_key)
    start = vdmlite.init(vdm, optimiser)
    training = vdmlite.train(start, optimiser, islice(pairs, steps), key=noise_key)
    *_, (state, _) = progress(training, steps)
    return state.average


random = np.random.default_rng(9)
spots = random.integers(0, 8, 20_000)
ring_points = np.float32(ring.means[spots] + 0.25 * random.standard_normal((20_000, 2)))
net_key, table_key = jax.random.split(ring_key)
ring_net = LabelNet(
    lambda shape: MLP(shape, out_shape=(2,), width=64, depth=2, key=net_key),
    (2,), labels=4, dropout=0.2, key=table_key,
)  # fmt: skip
ring_model = vdmlite.VDM(
    vdmlite.FixedLinear(-7.0, 5.0),
    vdmlite.NetDenoiser(ring_net, vdmlite.from_v),
    vdmlite.GaussianDecoder(),
    (2,),
)
steps = pick(smoke=10, laptop=3000)
ring_model = fit(
    ring_model, ring_points, spots // 2, steps=steps, batch=512, rate=5e-3, key=fit_key
)


def guided(vdm, label, w):
    """The model's denoiser, guided towards a label."""
    return ClassifierFree(vdm.given(label).denoiser, vdm.denoiser, w)


@eqx.filter_jit
def eps_of(denoiser, z, gammas):
    return jax.vmap(denoiser)(z, gammas).eps


def net_error(x, exact, net):
    """The network's error in ε̃ at noised points: squared, and that as a share of ε̃ squared."""
    noisy, gammas = noised(x, levels[: len(x)], key=noise_key), levels[: len(x)]
    found, true = eps_of(net, noisy, gammas), eps_of(exact, noisy, gammas)
    squared = float(jnp.mean((found - true) ** 2))
    return squared, squared / float(jnp.mean(true**2))


@jax.jit
def sureness(x):
    """The mean of p(y | x) for label 0."""
    return jnp.mean(jax.vmap(lambda x: jnp.exp(log_label(x, CLEAN, 0)))(x))


count, steps = pick(smoke=(50, 10), laptop=(1000, 200))


def ring_draws(denoiser):
    vdm = eqx.tree_at(lambda vdm: vdm.denoiser, ring_model, denoiser)
    return vdmlite.draw(vdm, count, steps=steps, batch_size=count, key=draw_key)


mine = ring_points[spots // 2 == 0][:count]
print(
    "         squared error of ε̃ (and as a share of ε̃²) near     draws: spread, mean p(y | x)"
)
print("scale    the label's points    the network's own draws      exact          network")
at_data, ring_drawn = {}, {}
for w in (0.0, 1.0, 3.0, 8.0):
    pair = ClassifierFree(part(0), whole, jnp.asarray(w)), guided(ring_model, 0, w)
    ring_drawn[w] = [ring_draws(denoiser) for denoiser in pair]
    at_data[w] = net_error(mine, *pair)
    row = f"{w:5g}    "
    for squared, of_all in (at_data[w], net_error(ring_drawn[w][1], *pair)):
        row += f"{squared:8.4f} ({of_all:.4f})      "
    for x in ring_drawn[w]:
        row += f"   {np.sqrt(x.var(0).sum()):.2f}  {sureness(x):.3f}"
    print(row)
grown = at_data[8.0][0] / at_data[1.0][0]
print(f"near the label's points the squared error grows {grown:.0f}-fold from scale 1 to 8")
claim("09", "ring, scale 3: squared error of the trained ε̃, as a share of its mean square", at_data[3.0][1],
      at_most=0.05, trained=True)  # fmt: skip

reach = 1.02 * max(np.abs(drawn).max() for pair in ring_drawn.values() for drawn in pair)
figure, axes = plt.subplots(2, 4, figsize=(10, 5.2), sharex=True, sharey=True)
for column, (w, pair) in zip(axes.T, ring_drawn.items(), strict=True):
    for ax, drawn, name in zip(column, pair, ("exact", "network"), strict=True):
        points(ax, drawn, title=f"{name}, scale {w:g}", reach=reach)
        ax.plot(*ring.means[2:].T, "o", color="0.5", mfc="none", ms=10)
        ax.plot(*ring.means[:2].T, "X", color=COLORS[1], ms=7)
show(
    figure,
    "Draws guided to a label of two spots out of eight on a ring, with the exact denoisers in "
    "the upper row and the network in "
    "the lower; every draw is in the frame. Scale 0 covers the whole ring, scale 1 the two "
    "spots; at scales 3 and 8 the exact draws shrink to a "
    "cloud at the outer side of the two spots. The network's do so too at scale 3, but at "
    "scale 8 they form two wings that point outwards.",
)

# %% [markdown]
# The crosses are the label's two spots, the circles the others. At scale 1 the draws are the label's points. With the
# scale the exact draws move away from the other labels and huddle. Their spread (the root of the summed variances)
# gets smaller, and the label surer, $p(y \mid x)$ near 1.
#
# The unconditional guess, scale 0, is worse than the conditional one, scale 1. That is not for want of examples: each
# of the two saw a fifth of them, 0.2 and 0.8 · ¼. But it has eight spots to know, the conditional one only two.
#
# Beyond scale 1 the network does worse, for two reasons. First, the conditional guess counts $w$ times now, and the
# unconditional one, which errs more, $w - 1$ times: see the squared errors in the first column. (The shares in
# brackets divide by the square of $\tilde\varepsilon$, which changes with $w$ as well.) Second, guidance leads away
# from the data, to places that the network never saw in training. At scale 8 it makes two wings of its own, wider
# than they should be, where its error is larger still (second column). Exact guidance has none.
#
# ## What guidance is not
#
# It is often said that guided samples follow the **tilted** density $p_w(x) \propto q(x)\, p(y \mid x)^w$. They
# don't. Take one dimension and two labels, Gaussians around +1 and −1 of width 0.7; we ask for the one at +1. The
# tilted density comes from quadrature (a sum over a fine grid), the samples from two fine walks: ancestral, and
# Heun's rule along the deterministic flow (lesson 08).

# %%
width = 0.7
two = vdmlite.Mixture(
    jnp.full(2, 0.5), jnp.array([[1.0], [-1.0]]), jnp.full(2, width, jnp.float32)
)
both = vdmlite.MixtureDenoiser(two)
upper = vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.ones(1), jnp.asarray(width)))
grid = np.linspace(-6, 7, 2601)
likelihoods = np.exp(-0.5 * ((grid - np.array([[1.0], [-1.0]])) / width) ** 2)
q, p_upper = likelihoods.sum(0), likelihoods[0] / likelihoods.sum(0)


def tilted(w):
    """The density q(x) p(y | x)^w on the grid, and its mean."""
    density = q * p_upper**w
    density = density / np.trapezoid(density, grid)
    return density, np.trapezoid(density * grid, grid)


def line_draws(denoiser, step, *, count, steps, key=line_key):
    ends = vdmlite.FixedLinear(-8.0, 12.0)
    vdm = vdmlite.VDM(ends, denoiser, vdmlite.GaussianDecoder(), (1,))
    return vdmlite.draw(vdm, count, steps=steps, step=step, batch_size=count, key=key)[:, 0]


walks = {"ancestral": Ancestral(), "flow": Heun()}
fine = pick(smoke={"count": 1000, "steps": 20}, laptop={"count": 20_000, "steps": 800})
line, far = {}, {}
print("mean      tilted    ancestral            flow")
for w in (1.0, 2.0, 3.0, 5.0):
    wanted = tilted(w)[1]
    row = []
    for name, step in walks.items():
        drawn = line_draws(ClassifierFree(upper, both, jnp.asarray(w)), step, **fine)
        error = drawn.std(ddof=1) / np.sqrt(len(drawn))
        line[name, w], far[name, w] = drawn, (drawn.mean() - wanted) / error
        row.append(f"{drawn.mean():.3f} ± {error:.3f}")
    print(f"scale {w:g}   {wanted:.3f}     {'      '.join(row)}")
same = max(abs(far[name, 1.0]) for name in walks)
over = min(far[name, 2.0] for name in walks)
claim("09", "line, scale 1: samples and tilted density, difference of the means (standard errors)", same,
      at_most=3, trained=True)  # fmt: skip
claim("09", "line, scale 2: by how much the samples overshoot (standard errors)", over,
      at_least=5, trained=True)  # fmt: skip

# %% [markdown]
# At scale 1, which is a model, the means of both walks agree with the density's within three errors. At the larger
# scales they overshoot, and *by different amounts*. At each noise level $\tilde\varepsilon$ does belong to a density,
# $q(z)\, p(y \mid z)^w$. But these are not one density of data, noised more and more.
#
# Why? Sampling for the tilted density needs the score of that density *after it was noised*, and that is
#
# $$ \int q(x)\, p(y \mid x)^w\, q(z \mid x)\, dx = q(z)\; \mathbb E\bigl[ p(y \mid x)^w \bigm| z \bigr] , \qquad\text{while guidance uses}\qquad
# q(z)\; \mathbb E\bigl[ p(y \mid x) \bigm| z \bigr]^w , $$
#
# for $p(y \mid z)$ is $\mathbb E[p(y \mid x) \mid z]$. Unless $z$ settles what $p(y \mid x)$ is, the mean of a power
# is the power of the mean only for $w = 0$ and $1$. **To tilt and then to noise is not to noise and then to tilt.**
# Look at both, at one noise level after the other (move the slider in a live notebook).


# %%
def two_orders(gamma):
    """The densities of z at one level for scale 3: tilted and noised, noised and tilted."""
    a, noise = vdmlite.alpha(gamma), vdmlite.sigma(gamma)
    z = np.linspace(-4, 5, 361)
    kernel = np.exp(-0.5 * ((z[:, None] - float(a) * grid) / float(noise)) ** 2)
    tilted_first = np.trapezoid(kernel * tilted(3.0)[0], grid, axis=1)
    spots = np.exp(
        -0.5
        * (z - float(a) * np.array([[1.0], [-1.0]])) ** 2
        / float(a**2 * width**2 + noise**2)
    )
    noised_first = spots.sum(0) * (spots[0] / spots.sum(0)) ** 3
    figure, ax = plt.subplots(figsize=(6.5, 3.2))
    curves = {"tilt, then noise": tilted_first, "noise, then tilt: guidance": noised_first}
    for i, (name, density) in enumerate(curves.items()):
        density = density / np.trapezoid(density, z)
        ax.plot(z, density, color=COLORS[i], ls=LINES[i], lw=2, label=name)
    ax.set(xlabel="z", ylabel="density", title=f"scale 3, at the noise level γ = {gamma:.1f}")
    ax.legend()
    return figure


slider(
    two_orders,
    -6.0,
    6.0,
    "Two densities of z at one noise level, for scale 3. In the still, at γ = 0, the density "
    "that guidance uses lies clearly to the right of the tilted density with "
    "noise added. At γ = −6 the two are one curve, at γ = 6 both are nearly that of pure "
    "noise.",
)

# %% [markdown]
# The clearest case is that of labels that never overlap. Then $p(y \mid x)$ is 0 or 1, so is its power, and the
# tilted density is the label's own at any $w > 0$. But $p(y \mid z)$ is not 0 or 1, and guidance changes the samples
# all the same.
#
# If that is the reason, a denoiser made for the tilted density must hit its mean. In one dimension we can build one:
# the density as a string of narrow Gaussians.

# %%
places = grid[::10]
string = vdmlite.Mixture(
    jnp.asarray(tilted(2.0)[0][::10] * (places[1] - places[0]), jnp.float32),
    jnp.asarray(places[:, None], jnp.float32),
    jnp.full(len(places), 0.05),
)
few = pick(smoke={"count": 200, "steps": 10}, laptop={"count": 4000, "steps": 400})
drawn = line_draws(vdmlite.MixtureDenoiser(string), Ancestral(), **few, key=right_key)
error = drawn.std(ddof=1) / np.sqrt(len(drawn))
print(f"made for the tilted density of scale 2: mean {drawn.mean():.3f} ± {error:.3f}")
print(f"the tilted density itself:                   {tilted(2.0)[1]:.3f}")

# %% [markdown]
# ## Guidance as a temperature, and where it breaks
#
# Let the label be a Gaussian of variance $s^2$ in front of a background that looks like a Gaussian of variance $B^2$,
# both around zero. Noised to a level γ their variances are $\tau_y^2 = \alpha^2 s^2 + \sigma^2$ and
# $\tau^2 = \alpha^2 B^2 + \sigma^2$. The score of a Gaussian is $-z$ over its variance, so the guided score is that of a
# Gaussian with
#
# $$ \frac{1}{\tilde\tau^2} = \frac{w}{\tau_y^2} + \frac{1 - w}{\tau^2} . $$
#
# Before a very wide background that is $\tilde\tau^2 = \tau_y^2 / w$: the label's density to the power $w$, as if cooled to
# the **temperature** $1/w$. But this is a statement on one noise level at a time.
#
# To walk from level to level is another thing. For the flow it can be worked out. With one Gaussian the flow keeps
# $z$ in proportion to its width, $d \log z = \tfrac12\, d \log \tau^2$. The guided flow takes $w$ parts of one and $1 - w$
# of the other, $d \log z = \tfrac w2\, d \log \tau_y^2 + \tfrac{1 - w}2\, d \log \tau^2$. So from pure noise, where both
# variances are 1, to clean data it comes to the width
#
# $$ s_w = s^w B^{1 - w} = s\, (s / B)^{w - 1} , $$
#
# whereas the tilted density has $\bigl( w/s^2 + (1 - w)/B^2 \bigr)^{-1/2}$. For $w > 1$ the flow is the narrower of
# the two: with $R = B^2/s^2 > 1$ this is Bernoulli's inequality, $R^w > 1 + w\,(R - 1)$.
#
# Can the label be *wider* than its background, $s > B$? A true label can't: $p(y \mid x) \le 1$ keeps its tails under
# those of all, and then the tilted density can always be normalised. But two trained guesses need not fit together.
# And the background may be another label, one that is not wanted (question 2 below). Then $1/\tilde\tau^2$ falls with
# $w$, and for $w$ large enough it is 0: there is no such density any more (exercise 9.5 finds where). The flow does
# not notice. It goes on, with a width that grows as $(s/B)^w$.

# %%
print("   s    B    scale    tilted width    flow: formula   measured    ancestral")
small = pick(smoke={"count": 500, "steps": 20}, laptop={"count": 10_000, "steps": 400})
for s, B in ((0.5, 1.5), (1.0, 0.8)):
    narrow, wide = (
        vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.zeros(1), jnp.asarray(std)))
        for std in (s, B)
    )
    for w in (1.0, 2.0, 3.0, 4.0):
        precision = w / s**2 + (1 - w) / B**2
        tilt = f"{precision**-0.5:.3f}" if precision > 0 else "none"
        spread = {
            name: line_draws(ClassifierFree(narrow, wide, w), step, **small).std()
            for name, step in walks.items()
        }
        print(
            f"{s:4.1f}  {B:4.1f}   {w:4g}   {tilt:>12s}    {s * (s / B) ** (w - 1):12.3f}"
            f"   {spread['flow']:10.3f}   {spread['ancestral']:9.3f}"
        )

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
bins = np.linspace(-1.5, 4, 111)
left.plot(grid, tilted(1.0)[0], color="0.5", ls=":", label="the label, q(x | y)")
left.plot(grid, tilted(3.0)[0], color=COLORS[6], ls="-", label="tilted, scale 3")
for i, name in enumerate(walks):
    height, _ = np.histogram(line[name, 3.0], bins, density=True)
    left.stairs(height, bins, color=COLORS[i], ls=LINES[i + 1], label=f"guided, {name}")
left.set(
    xlim=(-1.5, 4),
    ylim=(0, 1.25),
    xlabel="x",
    ylabel="density",
    title="scale 3: not the tilted density",
)
left.legend()
fine_scales = np.linspace(1, 5, 17)
right.plot(fine_scales, [tilted(w)[1] for w in fine_scales], color=COLORS[6], label="tilted")
for i, name in enumerate(walks):
    means = {w: line[name, w].mean() for w in (1.0, 2.0, 3.0, 5.0)}
    style = {"color": COLORS[i], "ls": LINES[i + 1], "marker": MARKERS[i]}
    right.plot(list(means), list(means.values()), label=f"guided, {name}", **style)
right.set(xlabel="scale w", ylabel="mean of x", title="guidance overshoots")
right.legend()
show(
    figure,
    "Left: densities on a line at scale 3. The tilted density lies a little to the right of "
    "the label's own; the histogram of "
    "guided ancestral samples lies further right, that of the flow furthest and narrowest. "
    "Right: the mean against the scale; "
    "all three start at 1, and the guided ones rise well above the tilted one, the flow the "
    "most.",
)

# %% [markdown]
# Formula and measurement agree for the flow, and neither walk has the width of the tilted density. (At scale 1, where
# all should agree, the ancestral walk is about 1 % narrow: its 400 steps are not quite fine enough.) For the
# ancestral column there is a formula, too: exercise 9.6 asks for it.
#
# > **Warning.** In general, at scales other than 0 and 1, the samples follow neither the data nor the tilted density, and what they do follow
# > depends on the sampler. The bound, the likelihood and the bits per dimension of the model say nothing of them. The guided guess of $x$ may
# > leave the range of the data; in pictures, pixels saturate. Report the scale *and the sampler* with every guided picture.
#
# ## Digits: what it buys and what it costs
#
# Now real images. We train the network of lesson 11 in a `LabelNet`, on labelled digits, with about one label in
# seven dropped. (It reads levels, which that lesson explains; nothing here depends on it.) And we train a *judge*: a
# small classifier of clean digits, which no sampler ever sees.

# %%
digits, (labels, test_labels) = data.digits(), data.digit_labels()
net_key, table_key, fit_key = jax.random.split(digits_key, 3)
shape = (8, 8, 1)
net = LabelNet(
    lambda inputs: ConvNet(
        inputs, out_shape=(*shape, 17), depth=pick(smoke=1, laptop=3), key=net_key
    ),
    shape, labels=10, dropout=0.15, key=table_key,
)  # fmt: skip
model = vdmlite.VDM(
    vdmlite.LearnedLinear(-8.0, 5.0),
    vdmlite.NetDenoiser(net, vdmlite.from_level_logits),
    vdmlite.LevelDecoder(17),
    shape,
)
steps = pick(smoke=10, laptop=2500)
model = fit(model, digits.train, labels, steps=steps, batch=128, rate=2e-3, key=fit_key)


# %%
def values(images):
    """Levels as numbers from −1 to 1, one row for each image."""
    return np.float32(2 * (images.reshape(len(images), -1) + 0.5) / 17 - 1)


judge = train_judge(digits.train, labels, 17, updates=pick(smoke=5, laptop=300), key=judge_key)
right = judge.labels(digits.test) == test_labels
print(f"the judge is right on {right.mean():.1%} of {len(right)} real test digits")

# %% [markdown]
# Two numbers for each scale. **Fidelity**: the share of draws that the judge calls by the label that was asked for.
# **Diversity**: the mean squared distance between two draws of one label, over that between two real digits of the
# label. (It is twice the mean squared distance from the label's mean; we compute it so, because a mean has a standard
# error.) A diversity of 1 says that the draws differ among themselves as much as real digits do.


# %%
def squared_distances(images):
    """Each image's from the mean of all; their mean estimates half that between two."""
    x = values(images)
    return np.sum((x - x.mean(0)) ** 2, axis=1) * len(x) / (len(x) - 1)


def mean_and_error(numbers):
    return np.array([np.mean(numbers), np.std(numbers, ddof=1) / np.sqrt(len(numbers))])


@eqx.filter_jit
def outside(denoiser, z):
    """The share of the pixels of the guess of x at γ = 0 that lie outside of −1 … 1."""
    guesses = jax.vmap(lambda z: denoiser(z, 0.0).x)(z)
    return jnp.mean(jnp.abs(guesses) > 1)


each, steps = pick(smoke=(4, 5), laptop=(80, 100))
real = [squared_distances(digits.train[labels == y]).mean() for y in range(10)]
sheets, fidelity, diversity = {}, {}, {}
print("scale    fidelity           diversity          pixels out of range, γ = 0")
for w in pick(smoke=(0.0, 1.0, 4.0), laptop=(0.0, 0.5, 1.0, 2.0, 4.0, 8.0)):
    sheets[w], hits, distances, beyond = [], [], [], []
    for y in range(10):
        vdm = eqx.tree_at(lambda vdm: vdm.denoiser, model, guided(model, y, w))
        key = jax.random.fold_in(sheet_key, y)
        clean = model.decoder.embed(jnp.asarray(digits.train[labels == y][:100]))
        eps = jax.random.normal(jax.random.fold_in(range_key, y), clean.shape)
        noisy = jnp.sqrt(0.5) * (clean + eps)  # α = σ = √½ at γ = 0
        beyond.append(outside(vdm.denoiser, noisy))
        drawn = vdmlite.draw(vdm, each, steps=steps, batch_size=each, key=key)
        sheets[w].append(drawn)
        hits.append(judge.labels(drawn) == y)
        distances.append(squared_distances(drawn) / real[y])
    fidelity[w] = mean_and_error(np.concatenate(hits))
    diversity[w] = mean_and_error(np.concatenate(distances))
    print(
        f"{w:5g}    {fidelity[w][0]:.3f} ± {fidelity[w][1]:.3f}      "
        f"{diversity[w][0]:.3f} ± {diversity[w][1]:.3f}      {np.mean(beyond):.3f}"
    )


def change(numbers):
    """From scale 1 to 4, in standard errors."""
    return (numbers[4.0][0] - numbers[1.0][0]) / np.hypot(numbers[4.0][1], numbers[1.0][1])


claim("09", "digits, scale 1 to 4: fidelity gained and diversity lost, the smaller of the two (standard errors)",
      min(change(fidelity), -change(diversity)), at_least=5, trained=True)  # fmt: skip

# %% [markdown]
# ## The key picture

# %%
figure, axes = plt.subplot_mosaic(
    [["0", "1", "c"], ["4", "8", "c"]], figsize=(10.5, 6.2), width_ratios=(1.2, 1.2, 1.4)
)
for name in ("0", "1", "4", "8"):
    rows = [drawn[:11] for drawn in sheets.get(float(name), sheets[4.0])]
    images(axes[name], np.concatenate(rows), levels=17, columns=len(rows[0]))
    axes[name].set_title(f"scale {name}")
    for label in range(10):  # rows are 8 pixels high, and one between them
        axes[name].text(-2, 9 * label + 3.5, str(label), ha="right", va="center", fontsize=8)
ax, ticks = axes["c"], np.arange(len(fidelity))
curves = {
    "fidelity: the judge agrees": (fidelity, right.mean()),
    "diversity, real digits = 1": (diversity, 1.0),
}
for i, (name, (numbers, real_one)) in enumerate(curves.items()):
    mean, error = np.transpose(list(numbers.values()))
    style = {"color": COLORS[i], "ls": LINES[i], "marker": MARKERS[i], "capsize": 3}
    ax.errorbar(ticks, mean, yerr=2 * error, label=name, **style)
    ax.axhline(real_one, color=COLORS[i], ls=LINES[i], lw=0.8, alpha=0.6)
ax.set_xticks(ticks, [f"{w:g}" for w in fidelity])
ax.set(xlabel="scale w", ylim=(0, 1.9), title="bought and paid (thin lines: real digits)")
ax.legend()
show(
    figure,
    "Left: four sheets of drawn digits, a row for each of the ten labels, which stands before "
    "it. At scale 0 the rows hold any digit, at scale 1 mostly "
    "the right digit in many hands, at scales 4 and 8 the right digit in nearly one and the "
    "same hand. Right: against the scale, "
    "fidelity rises from a tenth at 0 to nearly 1 at 2 and stays there, while diversity falls "
    "from 1.7 at 0 through about 1 at scale "
    "1, like that of real digits, to under a half at 4 and 8.",
)

# %% [markdown]
# At scale 1 the draws differ among themselves nearly as real digits do. But the judge recognises fewer of them than
# of real ones. A perfect model would do as well as real digits, and this one is small. From scale 2 on the judge
# recognises *more* than of the 360 real digits. That is why people guide: to insist covers up what the model got
# wrong, for it keeps away from everything that another label could have made. The price is in the other column. At
# scale 4 the diversity is less than half of that of real digits. From 4 to 8 there is nothing left to buy.
#
# The last column of the table shows how far the guesses leave the data. Real digits were noised to γ = 0, and the
# guess of $x$ is compared with the range of pixels. Unguided it never leaves it, by the way it is read. At scale 8
# nearly half of it lies outside. The draws look decent because every later step guesses anew, at less noise, and the
# decoder cuts off what is left.
#
# A high fidelity does not say that the images are good: one perfect image for each label, drawn again and again,
# would have 1. Hence two numbers. (Their errors are those of the draws, and an error of 0.000 says only that all
# draws agree; to train network and judge again would move the numbers a little more.)
#
# ## Ask yourself
#
# 1. Your only model was told the label of every example in training; none was ever dropped. Can you guide with it?
# 2. A *negative* label: instead of "none", the untold guess is that of a label you do not want. Which score does
#    scale 2 have then?
# 3. The labels of digits hardly overlap. Which part of the lost diversity is explained by the tilted density?
# 4. Somebody reports the bits per dimension of a guided model. What do you ask?
#
# <details><summary>Answers</summary>
#
# 1. Yes, if you can average over labels: $\hat\varepsilon(z) = \sum_y p(y \mid z)\, \hat\varepsilon(z \mid y)$, which
#    needs a classifier of noisy data again. Dropping labels is easier.
# 2. $2 \nabla \log q(z \mid y) - \nabla \log q(z \mid y')$: uphill for one label and downhill for the other. As
#    little of a model as before.
# 3. Next to none: where $p(y \mid x)$ is 0 or 1, tilting changes nothing. The loss is made along the way, in the
#    noise, where labels do overlap.
# 4. Of which model. A bound can be computed with any denoiser, so the ancestral walk with a guided one has its own,
#    at its number of steps; of the data it is a worse model than at scale 1, and the bound says so. The bound of the
#    unguided model is not theirs.
# </details>
#
# ## Take along
#
# > **Guidance adds w times what the label says to the score. Scale 1 is Bayes' rule; beyond it fidelity rises, diversity falls, and
# > what you draw follows neither the data nor the tilted density.**
#
# In the package: `neighbours.guidance.ClassifierFree`, `ClassifierGuided`, `LabelNet`, and `VDM.given`.
# Exercises: `exercises/09_guidance.ipynb`. Next: few steps, chosen optimally.
