# %% [markdown]
# # 15 · DDPM: every loss is a weight, and what each bit buys
#
# *Three minutes on 2 CPU cores · 60 minutes to study · after lessons 07–11 · Ho, Jain and Abbeel 2020; Kingma
# and Gao 2023 · files `neighbours/weighting.py`, `neighbours/progressive.py`*
#
# **The idea.** The bound asks the same price at every noise level. The losses of other diffusion models look different,
# and each of them is the bound with a *weight* on the noise levels. Why would one weigh? Read the bound from the noisy
# end, and it is a code in which every bit improves the picture. Most of the bits buy what no one can see in a photograph.
#
# **After this lesson you can**
# - find the weight of any diffusion loss: DDPM's, $v$-prediction's, EDM's, flow matching's;
# - say what a weight changes, and when it changes nothing;
# - draw the rate–distortion curve of a diffusion model, and read off where its bits go;
# - mix two images with noise, and say what becomes of a mixture of two noises.

# %%
import itertools
import math

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import vdmlite
from vdmlite import data
from vdmlite.course import claim, pick, pretrained, show
from vdmlite.course.judge import frechet, train_judge
from vdmlite.neighbours import progressive, weighting
from vdmlite.viz import COLORS, LINES, images

keys = jax.random.split(jax.random.key(15), 8)
toy_key, judge_key, test_key, draw_key, curve_key, rate_key, mix_key, noise_key = keys
digits, (labels, test_labels) = data.digits(), data.digit_labels()

# %% [markdown]
# ## One integral
#
# DDPM trains its network on
#
# $$ L_{\text{simple}} = \mathbb E_{t,\, \varepsilon} \lVert \varepsilon - \hat\varepsilon(z_t;\, \gamma_t) \rVert^2 ,
# \qquad t \sim U(0, 1). $$
#
# It looks like the bound of lesson 05 with a factor left out. Let $m(\gamma) = \mathbb E \lVert \varepsilon -
# \hat\varepsilon \rVert^2$ be the mean squared error at a noise level. Uniform times visit the levels with a density
# $p(\gamma) = dt/d\gamma$. So
#
# $$ L_{\text{simple}} = \int_0^1 m(\gamma_t)\, dt = \int p(\gamma)\, m(\gamma)\, d\gamma , \qquad
# L_\infty = \frac12 \int m(\gamma)\, d\gamma . $$
#
# Both are of the form $\frac12 \int w(\gamma)\, m(\gamma)\, d\gamma$: the bound with $w = 1$, DDPM's loss with $w = 2
# p$. For the bound the schedule is a way to draw $\gamma$, and nothing more. Leave out $\gamma'(t)$, and *the schedule
# has become part of the loss*.
#
# For data from $\mathcal N(0, \tfrac14)$ the exact denoiser has $m(\gamma) = 1/(1 + 4 e^{\gamma})$. We compute the loss
# once as a mean over $t$ and once as an integral over $\gamma$, under two schedules cut to $[-8, 5]$. DDPM's, but for a small
# offset, has $\log(1 + e^{\gamma}) = a + (b - a)\, t^2$, with $a$ and $b$ for the two ends; the cosine schedule has $\gamma = 2 \log
# \tan \varphi$ with an angle $\varphi$ that is linear in $t$. Solve for $t$, differentiate, and there is $p$. (Without the
# offset $\gamma$ stands still at $t = 0$, so that $p$ has a peak at the clean end; its area is small.)

# %%
ends = (-8.0, 5.0)
nodes, quadrature = np.polynomial.legendre.leggauss(400)
nodes, quadrature = (nodes + 1) / 2, quadrature / 2  # on (0, 1)


def m(gamma):
    """The exact mean squared error for data from N(0, ¼)."""
    return 1 / (1 + 4 * np.exp(gamma))


a, b = np.log1p(np.exp(ends))
start, stop = np.arctan(np.exp(np.array(ends) / 2))
schedules = {  # γ(t), and p(γ) = dt/dγ
    "β-linear (DDPM)": (
        lambda t: np.log(np.expm1(a + (b - a) * t**2)),
        lambda g: 0.5 / np.sqrt((np.log1p(np.exp(g)) - a) * (b - a)) / (1 + np.exp(-g)),
    ),
    "cosine": (
        lambda t: 2 * np.log(np.tan(start + (stop - start) * t)),
        lambda g: 1 / (4 * (stop - start) * np.cosh(g / 2)),
    ),
}
gammas = ends[0] + (ends[1] - ends[0]) * nodes**2  # dense where DDPM's p has its peak
steps = quadrature * 2 * nodes * (ends[1] - ends[0])
off = []
print("E ‖ε − ε̂‖²        mean over t      integral over γ")
for name, (gamma_of, p) in schedules.items():
    over_t = np.sum(quadrature * m(gamma_of(nodes)))
    over_gamma = np.sum(steps * p(gammas) * m(gammas))
    off.append(abs(over_gamma / over_t - 1))
    print(f"{name:18s}{over_t:12.8f}{over_gamma:18.8f}")
claim("15", "L_simple against ∫ p m dγ, largest difference (share)", max(off), at_most=1e-6)
packaged = jax.vmap(weighting.Density(vdmlite.BetaLinear(*ends)))(jnp.arange(-7.0, 5.0))
own = schedules["β-linear (DDPM)"][1](np.arange(-7.0, 5.0))
print(
    f"the package finds p for any schedule; here within {np.abs(packaged / own - 1).max():.0e}"
)

# %% [markdown]
# The same network has another loss under every schedule, as it never had in lesson 06.
#
# ## Every other loss
#
# A network may guess something else. Lesson 04 showed that the guesses are one guess in other words, and so are the
# errors: each is $\lVert \varepsilon - \hat\varepsilon \rVert^2$ times a factor $f(\gamma)$.
#
# | the loss is on | factor $f(\gamma)$ | who |
# |---|---|---|
# | $\varepsilon$ | $1$ | DDPM |
# | $x$ | $\sigma^2/\alpha^2 = e^{\gamma}$ | |
# | $v = \alpha \varepsilon - \sigma x$ | $1/\alpha^2 = 1 + e^{\gamma}$ | Salimans and Ho 2022 |
# | $\varepsilon - x$, on the path $(1 - t)\, x + t\, \varepsilon$ | $(1 + e^{\gamma/2})^2$ | flow matching |
#
# With $\gamma$ drawn from $p$, the weight is $w = 2 p f$. Where one draws, and how much a draw counts, are one thing. In
# the package a weight is a function of $\gamma$: `mean_squared(schedule, target)` for the rows of the table, `edm()`
# for the loss of Karras et al. 2022, and any positive function of your own. (EDM draws $\log(\sigma/\alpha)$ from
# $\mathcal N(-1.2,\, 1.2^2)$, so that $p$ is the density of $\mathcal N(-2.4,\, 2.4^2)$, and its $\lVert x - \hat x \rVert^2$
# counts $(e^{\gamma} + \frac14) / \frac14 e^{\gamma}$ times, so that $f = 1 + 4 e^{\gamma}$.)

# %%
wide = (-20.0, 20.0)
losses = {
    "DDPM": weighting.mean_squared(vdmlite.BetaLinear(-20.0, 10.0), "eps"),
    "v, cosine": weighting.mean_squared(vdmlite.Cosine(*wide), "v"),
    "EDM": weighting.edm(),
    "flow matching": weighting.mean_squared(vdmlite.FlowMatching(*wide), "velocity"),
}
line = jnp.linspace(-9, 9, 181)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
for i, (name, weight) in enumerate(losses.items()):
    style = {"color": COLORS[i], "ls": LINES[i], "label": name}
    left.plot(line, jax.vmap(weight.density)(line), **style)
    w = np.asarray(jax.vmap(weight)(line))
    right.plot(line, w / w[90], **style)
right.axhline(1.0, color="0.4", lw=1, label="the bound")
left.set(xlabel="γ", title="where γ is drawn: density p(γ)", ylim=(0, 0.2))
right.set(xlabel="γ", title="what counts: w(γ), with w(0) = 1", yscale="log", ylim=(1e-3, 1e2))
right.legend()
show(
    figure,
    "Left: the densities of γ for four losses, each a hump. EDM's lies around γ = −2.4; those of the cosine schedule and of flow matching around 0, "
    "the latter wider; and DDPM's around 1, with a long tail to the right. Right: the weights on a logarithmic axis, beside the flat line of the bound. "
    "The weights of v with the cosine schedule and of flow matching are one straight line that rises with γ. DDPM's rises up to γ = 0 and stays near 1. "
    "EDM's rises up to γ = 3 and falls again.",
)
both = [np.asarray(jax.vmap(losses[n])(line)) for n in ("v, cosine", "flow matching")]
ratio = both[0] / both[1]
print("w(γ), with w(0) = 1        γ = −9     −6     −3      0      3      6")
for name, weight in losses.items():
    w = np.asarray(jax.vmap(weight)(line))
    print(f"{name:24s}" + "".join(f"{w[i] / w[90]:7.3f}" for i in (0, 30, 60, 90, 120, 150)))
claim("15", "flow matching and v with the cosine schedule: their weights' ratio, spread (share)",
      np.ptp(ratio) / ratio.mean(), at_most=1e-3)  # fmt: skip

# %% [markdown]
# All of these losses count the clean end, at the left, much less than the bound does. And two of them are *the same*:
# $v$-prediction with the cosine schedule and flow matching both have $w \propto e^{\gamma/2}$. They draw $\gamma$ from
# different densities, so they differ in the noise of training, and in nothing else. A weight that rises with $\gamma$, as
# theirs, is still a bound: of images to which noise was added, averaged over the size of the noise (Kingma and Gao 2023).
#
# *A line to remember so far:* a diffusion loss is a weight on the noise levels. The density from which $\gamma$ is drawn
# is a part of it, unless it is divided out.
#
# ## What does a weight change?
#
# *Predict, before you go on.* At every $\gamma$ the best guess is $\mathbb E[\varepsilon \mid z_\gamma]$. What does a
# weight change about it?
#
# Nothing: each level has its own minimum, and a weight makes some minima more urgent than others. A network that can
# reach them all will end at the same place whatever the weight. Two networks for three wide blobs in the plane, one for
# each of two losses; the exact denoiser is known:

# %%
blobs = data.ring(3, 0.5)
exact = vdmlite.VDM(
    vdmlite.FixedLinear(-9.0, 6.0),
    vdmlite.MixtureDenoiser(blobs),
    vdmlite.GaussianDecoder(),
    (2,),
)
blob_train = data.sample(blobs, pick(smoke=500, laptop=50_000), key=toy_key)
blob_test = data.sample(blobs, pick(smoke=64, laptop=4096), key=test_key)


def fit(vdm, examples, gradient, *, steps, batch, rate, key):
    """Train with the loop of every lesson; `gradient` says on which loss."""
    batch_key, train_key = jax.random.split(key)
    falling = optax.warmup_cosine_decay_schedule(0.0, rate, max(1, steps // 14), steps)
    optimiser = optax.adam(falling, b2=0.99)
    state = vdmlite.init(vdm, optimiser)
    batches = data.batches(examples, batch, key=batch_key)
    stream = vdmlite.train(
        state, optimiser, itertools.islice(batches, steps), gradient=gradient, key=train_key
    )
    for state, _ in stream:  # noqa: B007  the last is kept
        pass
    return state.average


def simple(schedule):
    """DDPM's loss under a schedule."""
    return weighting.WeightedGradient(weighting.mean_squared(schedule, "eps"))


start = vdmlite.recipes.toy(key=toy_key)
slow = start.under(vdmlite.BetaLinear(-9.0, 6.0))
fit_blobs = {"steps": pick(smoke=3, laptop=1200), "batch": pick(smoke=64, laptop=512)}
fit_blobs |= {"rate": 3e-3, "key": toy_key}
blob_models = {
    "the bound": fit(start, blob_train, vdmlite.training_gradient, **fit_blobs),
    "L_simple": fit(slow, blob_train, simple(slow.schedule), **fit_blobs).under(start.schedule),
}
ruler = {"draws": pick(smoke=2, laptop=8), "times": 4, "key": test_key}
truth = vdmlite.evaluate(exact, blob_test, **ruler)
print(f"three blobs: the exact denoiser's bound {truth.nats.loss:.3f} nats; above it")
above = {}
for name, model in blob_models.items():
    above[name] = vdmlite.evaluate(model, blob_test, **ruler).minus(truth).loss
    print(f"  trained on {name:10s} {above[name]:.4f}")
claim("15", "three blobs: trained on L_simple, the bound is above the exact one by (nats)",
      above["L_simple"].mean, at_most=0.03, trained=True)  # fmt: skip

# %% [markdown]
# Both end within two hundredths of a nat of the exact denoiser. The network that was told to look away from the clean end
# is a hundredth behind in the bound, as it learns more slowly there.
#
# ## Where training or capacity is short
#
# The network of the digits is small, and 600 updates are few (lesson 11 made 1500). Now the weight decides what they are
# spent on. Three seeds, and for each the same start trained on either loss. The judge is a small classifier, as in lesson
# 09. Here we take the numbers of its hidden layer, and the Fréchet distance (lesson 10) between those of 720 draws and
# those of the training digits.

# %%
judge = train_judge(digits.train, labels, 17, updates=pick(smoke=5, laptop=300), key=judge_key)
seen = judge.features(digits.train)
fine = vdmlite.FixedLinear(*ends)
some = digits.test[: pick(smoke=8, laptop=360)]
many = pick(smoke=8, laptop=720)
found = {"the bound": [], "L_simple": []}
grid = np.linspace(*ends, pick(smoke=3, laptop=14))
for seed in range(pick(smoke=1, laptop=3)):
    start_key, fit_key = jax.random.split(jax.random.fold_in(draw_key, seed))
    start = vdmlite.recipes.digits(key=start_key)
    for name in found:
        schedule = fine if name == "the bound" else vdmlite.BetaLinear(*ends)
        gradient = vdmlite.training_gradient if name == "the bound" else simple(schedule)
        model = fit(start.under(schedule), digits.train, gradient, batch=128, rate=2e-3,
                    steps=pick(smoke=3, laptop=600), key=fit_key).under(fine)  # fmt: skip
        bits = vdmlite.evaluate(
            model, some, draws=4, times=2, batch_size=len(some), key=test_key
        )
        drawn = vdmlite.draw(model, many, steps=pick(smoke=2, laptop=50), batch_size=144, key=draw_key)  # fmt: skip
        curve = vdmlite.error_curve(model, some, grid, draws=len(some), key=curve_key)
        found[name].append((bits, frechet(judge.features(drawn), seen), curve))
print("digits              bits/dim            Fréchet distance of 720 draws")
for seed, (one, other) in enumerate(zip(*found.values(), strict=True)):
    more = other[0].minus(one[0]).loss.mean / (64 * math.log(2))
    for name, (bits, distance, _) in zip(found, (one, other), strict=True):
        print(f"seed {seed}  {name:10s}  {bits.bits.loss:.3f}   {distance:14.2f}")
    print(f"         L_simple is {more:+.3f} bits/dim and {other[1] - one[1]:+.2f}")
differences = [o[0].minus(b[0]).loss.mean / (64 * math.log(2)) for b, o in zip(*found.values(), strict=True)]  # fmt: skip
claim("15", "digits: bits per dimension that L_simple costs, least of the seeds", min(differences),
      at_least=0.003, trained=True)  # fmt: skip
nearer = [b[1] - o[1] for b, o in zip(*found.values(), strict=True)]
claim("15", "digits: by how much L_simple's draws are nearer, mean over the seeds", np.mean(nearer),
      at_least=0.1, trained=True)  # fmt: skip

# %%
figure, ax = plt.subplots(figsize=(7, 3))
for seed, (one, other) in enumerate(zip(*found.values(), strict=True)):
    ax.plot(grid, other[2].mean / one[2].mean - 1, color=COLORS[seed], ls=LINES[seed], label=f"seed {seed}")  # fmt: skip
ax.axhline(0, color="0.4", lw=1)
ax.set(
    xlabel="γ", title="error m(γ) of the network trained on L_simple, above the other's (share)"
)
ax.legend()
show(
    figure,
    "Three lines, one for each seed, against γ. All are a few hundredths above zero at the clean end, cross zero between γ = −3 and −1.5, and "
    "fall to a tenth or more below zero at the noisy end.",
)

# %% [markdown]
# Here is the trade that the paper reports, in each of the three seeds. Trained on $L_{\text{simple}}$, the same network has
# a *worse* bound, by one or two hundredths of a bit, and draws that are *nearer* to the data as the judge sees them. The
# picture says why. The error is a few percent higher at the clean end, where $L_{\text{simple}}$ hardly looks, and a
# tenth or more lower at the noisy end, where a picture is decided. (The paper, on CIFAR-10: 3.70 bits per dimension and an
# FID of 13.5 when trained on the bound, 3.75 and 3.2 when trained on $L_{\text{simple}}$. Our difference is smaller.)
#
# ## Whose noise?
#
# A weighted loss is an average over $\gamma$, and one may draw $\gamma$ as one likes if one divides by the density:
# $\frac12 \int w\, m\, d\gamma = \mathbb E_{\gamma \sim p}\, w\, m / 2p$. (`WeightedGradient` does so. A schedule is
# then a way to draw $\gamma$ again, and no part of the loss.) Lesson 07 found the best density for the bound;
# exercise 15.3 finds it for any weight, and `importance_grid` has it from a measured curve. Let us measure the variance of one draw of $L_{\text{simple}}$, that of
# the cosine schedule, for the digits' network of lesson 11. (The curve and the draws are of the same test digits. For 40
# numbers from 360 images that hardly matters.)

# %%
painter = pretrained.load("digits")
low, high = (float(painter.schedule(t)) for t in (0.0, 1.0))
levels = np.linspace(low, high, pick(smoke=5, laptop=60))
curve = vdmlite.error_curve(painter, some, levels, draws=len(some), key=curve_key)
weight = weighting.mean_squared(vdmlite.Cosine(low, high), "eps")
paces = {
    "its own, cosine": vdmlite.Cosine(low, high),
    "γ-linear": vdmlite.FixedLinear(low, high),
    "importance": vdmlite.PiecewiseLinear(weighting.importance_grid(curve, weight, 40)),
}


@jax.jit
def one_draw(x, gamma, slope, key):
    """One draw of the loss: ½ w m / p, with 1/p = γ′."""
    error = vdmlite.squared_error(painter, painter.decoder.embed(x), gamma, key=key)
    return 0.5 * weight(gamma) * slope * error


draws = pick(smoke=16, laptop=4096)
rows = np.arange(draws) % len(some)
variances = {}
print(f"L_simple by quadrature: {weighting.weighed(curve, weight).loss:.2f}")
for name, pace in paces.items():
    times = vdmlite.spread_times(draws, key=curve_key)
    times = jax.random.permutation(noise_key, times)
    gammas, slopes = pace.slope(times)
    noises = jax.random.split(noise_key, draws)
    each = np.asarray(jax.vmap(one_draw)(some[rows], gammas, slopes, noises), np.float64)
    variances[name] = each.var()
    print(f"  drawn by {name:22s} {each.mean():6.2f} ± {each.std() / math.sqrt(draws):.2f}, variance {each.var():7.1f}")  # fmt: skip
claim("15", "variance of a draw: importance over its own schedule",
      variances["importance"] / variances["its own, cosine"], at_most=0.8, trained=True)  # fmt: skip

# %% [markdown]
# All three are estimates of the same integral, and their means agree. The importance schedule's draws have a quarter of the
# variance of the loss's own. So the weight says *what* is learned, and the density only how noisily.
#
# ## What each bit buys
#
# Why does it help to look away from the clean end? Follow the code of lesson 14 from the noisy end. Whoever has its bits
# down to a level $\gamma$ has $z_\gamma$, and the best guess of $x$ from it is $\hat x(z_\gamma)$. So a part of the code
# is a picture, with an error. In nats for the whole image, and for each of its $D$ numbers:
#
# $$ \text{rate}(\gamma) = \mathrm{KL}(q(z_1 | x) \,\|\, p(z_1)) + \frac12 \int_\gamma^{\gamma_1} m\, d\gamma' , \qquad
# \text{distortion}(\gamma)^2 = \frac1D\, \mathbb E \lVert x - \hat x \rVert^2 = \frac{e^{\gamma}\, m(\gamma)}{D} . $$
#
# One curve, $m$, says both. Is it a good code? For numbers from $\mathcal N(0, s^2)$ Shannon knows the least rate of any
# code with a mean squared error of $\Delta$: $R = \frac12 \log_2 (s^2 / \Delta)$.

# %%
levels = np.linspace(-9.0, 12.0, pick(smoke=200, laptop=2000))
rate = 0.5 * np.cumsum((0.5 * (m(levels)[1:] + m(levels)[:-1]) * np.diff(levels))[::-1])[::-1]
rate = rate / math.log(2) + 0.5 * math.log2(1 + 0.25 * math.exp(-12.0))  # and the prior's
shannon = 0.5 * np.log2(0.25 / (np.exp(levels) * m(levels)))[:-1]
print("a Gaussian source, bits       diffusion    Shannon")
for i in np.searchsorted(levels, (2.0, -2.0, -6.0)):
    print(
        f"  error {math.exp(levels[i]) * m(levels[i]):.5f} {rate[i]:18.5f} {shannon[i]:10.5f}"
    )
claim("15", "Gaussian source: diffusion's rate above Shannon's, largest (bits)",
      np.abs(rate - shannon).max(), at_most=1e-4 if len(levels) > 1000 else 1e-2)  # fmt: skip

# %% [markdown]
# For numbers of one width there is no better code than noise and a denoiser. (For unequal widths there is: exercise 15.6
# asks how much better.) For images nobody knows the least rate. We
# measure what two models that ship with the course have to say, of test digits and of photographs.

# %%
photos, photographer = data.patches(), pretrained.load("patches")


def spent(name, model, examples, V, nodes):
    """A model's curve, its error in grey levels, and the share of bits below one of these."""
    low, high = (float(model.schedule(t)) for t in (0.0, 1.0))
    found = progressive.rate_distortion(
        model, examples, np.linspace(low, high, nodes), draws=len(examples), batch_size=64, key=rate_key
    )  # fmt: skip
    grey = found.distortion * V / 2
    at = float(np.interp(1.0, grey, found.rate))
    print(f"{name:12s}{found.rate[0]:6.3f} ± {found.rate_error[0]:.3f}{grey[0]:16.2f}"
          f"{at:20.3f}{1 - at / found.rate[0]:14.1%}")  # fmt: skip
    return found, grey, 1 - at / found.rate[0]


print(
    "bits per dimension, down to the clean end · grey levels off there · to within one · below it"
)
curves = {
    "digits": spent("digits", painter, some, 17, pick(smoke=4, laptop=60)),
    "photographs": spent(
        "photographs",
        photographer,
        photos.test[: pick(smoke=2, laptop=126) : pick(smoke=1, laptop=2)],
        256,
        pick(smoke=3, laptop=28),
    ),
}
for name, (_, _, share) in curves.items():
    claim("15", f"{name}: share of the bits spent below one grey level", share, at_least=0.5, trained=True)  # fmt: skip

# %%
shown = photos.test[pick(smoke=[0], laptop=[17, 60, 95])]
found, grey, _ = curves["photographs"]
budgets = pick(smoke=(0.5,), laptop=(0.05, 0.2, 0.5, 1.0, 2.0))
see = jax.jit(jax.vmap(lambda x, gamma, key: progressive.reconstruct(photographer, x, gamma, key=key), (0, None, None)))  # fmt: skip
columns = []
for bits in budgets:
    gamma = jnp.asarray(found.gamma_at(bits))
    columns.append(np.asarray(see(shown, gamma, noise_key)))
columns.append(np.asarray(jax.vmap(photographer.decoder.embed)(shown)))
figure = plt.figure(figsize=(10, 4.4))
left, right = figure.subplots(1, 2, width_ratios=(2.2, 1))
sheet = np.concatenate([np.concatenate(list(c), 0) for c in columns], 1)
left.imshow(np.clip((sheet + 1) / 2, 0, 1), interpolation="nearest")
left.set(yticks=[], xticks=[32 * i + 16 for i in range(len(columns))],
         xticklabels=[*(f"{b:g}" for b in budgets), "all"], xlabel="bits per dimension")  # fmt: skip
left.grid(False)
for i, (name, (curve, steps, _)) in enumerate(curves.items()):
    right.plot(curve.rate, steps, color=COLORS[i], ls=LINES[i], label=name)
right.axhline(1.0, color="0.4", lw=1)
right.set(xlabel="bits per dimension", title="error in grey levels", yscale="log")
right.legend()
show(
    figure,
    "Left: three photographs, one in each row, at 0.05, 0.2, 0.5, 1 and 2 bits per dimension and whole. At 0.05 there are blurred patches of colour; "
    "at 0.2 the fur, an eye and a smooth surface can be told; from 0.5 on hardly a difference is seen. Right: the error in grey levels, on a logarithmic axis, "
    "against bits per dimension, for digits and photographs. Both lines fall; they cross one grey level at 0.7 and 1.2 bits.",
)
for bits in budgets:
    print(f"{bits:5.2f} bits/dim: {np.interp(bits, found.rate[::-1], grey[::-1]):6.2f} grey levels off")  # fmt: skip

# %% [markdown]
# More than half of the bits down to the clean end are spent on errors of less than one grey level: 64 % for the digits,
# 58 % for the photographs. (DDPM's authors measured 53 % on CIFAR-10.) One of 17 levels can be seen, one of 256 can't. With a fifth of a bit a photograph can be recognised, with a bit
# it can hardly be told from the original. That is why a loss may look away from the clean end: what it loses there is
# bits, not pictures. And it is why bits per dimension are no measure of how good pictures look.
#
# At the clean end the digits are known for sure, but for two hundredths of a level. The photographs' are off by a quarter of
# a level; the last bits, for the level itself, are those of the decoder.
#
# *A line to remember:* the bound is paid from the noisy end to the clean one, and most of it buys what no one sees.
#
# ## A choice that does not matter in the end
#
# DDPM knows two variances for a step from $z_t$ to $z_s$: that of $q(z_s \mid z_t, x)$, which this course has used all along
# and DDPM calls $\tilde\beta$, and that of $q(z_t \mid z_s)$, called $\beta$. The first is right if the data are one
# point, for then $x$ is known. The second is right if the data are $\mathcal N(0, I)$. Other data of variance at most 1 lie between. `progressive.DDPM(share)`
# goes from one to the other. For numbers of standard deviation ½ and the exact denoiser:

# %%
half = vdmlite.VDM(
    vdmlite.FixedLinear(-9.0, 9.0),
    vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.zeros(1), jnp.asarray(0.5))),
    vdmlite.GaussianDecoder(),
    (1,),
)
many_numbers = pick(smoke=100, laptop=20_000)
print("steps    β̃: standard deviation of the draws     β")
for count in pick(smoke=(4,), laptop=(4, 16, 64, 256)):
    std = [
        vdmlite.draw(half, many_numbers, steps=count, step=progressive.DDPM(share),
                     batch_size=many_numbers, key=noise_key).std()
        for share in (0.0, 1.0)
    ]  # fmt: skip
    print(f"{count:4d}{std[0]:20.3f}{std[1]:28.3f}")

# %% [markdown]
# With few steps $\tilde\beta$ is too narrow and $\beta$ too wide; with many both come to ½. The truth lies between, and where
# it lies depends on the data. (Lesson 08 has steps that need no such choice.)
#
# ## Between two images
#
# A last use of the noisy end. Halfway between two images, pixel by pixel, lies no image: two digits, one shining through
# the other. DDPM adds noise up to a level first and walks back from there. How much noise? And does each image have its
# own? Mix two independent noises half and half, and their variance is halved: the mixture is no latent at this level. (Made
# larger, it is one at a cleaner level: exercise 15.5.) So both get the same, and the level stays.


# %%
pairs = pick(smoke=4, laptop=360)
first, second = digits.test[:pairs], np.roll(digits.test[:pairs], 1, 0)
halfway = jax.jit(
    jax.vmap(
        lambda a, b, gamma, key: progressive.interpolate(
            painter, a, b, 0.5, gamma, steps=pick(smoke=2, laptop=25), key=key
        ),
        (0, 0, None, 0),
    )
)
middles = {"pixels": np.rint((first.astype(float) + second) / 2).astype(np.uint8)}
for gamma in (-2.0, 0.0, 2.0):
    keys = jax.random.split(mix_key, pairs)
    middles[f"γ = {gamma:g}"] = np.asarray(halfway(first, second, jnp.asarray(gamma), keys))
middles["drawn"] = vdmlite.draw(
    painter, pairs, steps=pick(smoke=2, laptop=25), batch_size=pairs, key=mix_key
)
middles["real"] = np.roll(digits.test[:pairs], 7, 0)
target = judge.features(digits.train[:pairs])
apart = {name: frechet(judge.features(x), target) for name, x in middles.items()}
figure, axes = plt.subplots(1, 6, figsize=(10, 2.6))
sheets = {"one": first, **dict(list(middles.items())[:4]), "other": second}
for ax, (name, x) in zip(axes, sheets.items(), strict=True):
    images(ax, x[: pick(smoke=4, laptop=16)], levels=17, columns=4, title=name)
show(
    figure,
    "Six sheets of sixteen digits: the first images; the mixtures of pixels, grey and blurred; the mixtures by way of γ = −2, 0 and 2, "
    "more and more like clean digits, and less and less like either image; the second images.",
)
for name, distance in apart.items():
    kept = [judge.labels(middles[name]) == judge.labels(x) for x in (first, second)]
    print(f"{name:8s} Fréchet distance {distance:6.2f}, one of the two digits in {np.mean(kept[0] | kept[1]):.0%}")  # fmt: skip
claim("15", "halfway: Fréchet distance at γ = 0 over that of pixels",
      apart["γ = 0"] / apart["pixels"], at_most=0.8, trained=True)  # fmt: skip

# %% [markdown]
# Mixed pixels are far from real digits. The mixtures by way of noise are about as near to them as what the network draws by
# itself: as near as it can come. What the level sets is how much is *kept*. At $\gamma = -2$ seven in ten are still one of the
# two digits, at $\gamma = 2$ three in ten, hardly more than by chance (the last two rows).
#
# ## Ask yourself
#
# 1. Someone trains $\varepsilon$-prediction with the mean squared error, under the schedule of flow matching. What is the
#    weight? How does it compare with the bound's at the clean end?
# 2. In lesson 06 the schedule could not change the loss. Which line of DDPM's program made it matter?
# 3. Two papers report the same architecture with two losses, and the second has a better FID. What must be known before
#    the loss is praised?
# 4. A code sends 0.2 bits per dimension of an image, and stops. What does the receiver have? How could it show a *sharp*
#    picture?
# 5. What is the distortion of a good model at rate 0?
#
# <details><summary>Answers</summary>
#
# 1. $w = 2p$ with $p = \frac18 \mathrm{sech}^2(\gamma/4)$. It falls as $e^{\gamma/2}$ towards the clean end, where the bound's
#    stays 1: like flow matching's own weight there, but it falls at the noisy end, too.
# 2. The one that leaves out $\gamma'(t)$: a plain mean over $t$ in place of a mean weighted by the slope.
# 3. The weights of both, for the density of $\gamma$ is a part of them; whether the capacity was short; the spread over
#    seeds.
# 4. $z_\gamma$ at the level of that rate. $\hat x(z_\gamma)$ is the mean of all images that fit, and blurred. A walk from
#    $z_\gamma$ down draws one of them: sharp, and with twice the squared error.
# 5. The standard deviation of the data: $z$ says nothing, $\hat x$ is the data's mean, and the mean squared error of the mean
#    is the variance.
# </details>
#
# ## Take along
#
# > **Every squared-error diffusion loss is the bound with a weight on the noise levels. The bound pays for every bit alike; most of the bits
# > are too fine to be seen; a weight says which of them the network is to care for.**
#
# Exercises: `exercises/15_ddpm.ipynb`. In the package: `neighbours.weighting`, `neighbours.progressive`; `train(…,
# gradient=…)`.
