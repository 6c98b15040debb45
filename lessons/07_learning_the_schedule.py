# %% [markdown]
# # 07 · Learning the schedule
#
# *Two minutes on 2 CPU cores · 60 minutes to study*
#
# *After lesson 06 · VDM §5 and appendices H and I · files `schedule.py`, `training.py`*
#
# **The idea.** A schedule has two ends and an inside, and they have different jobs. The ends set what the bound is, so
# they descend the bound. The inside cannot change it, so it is free to make the estimate vary less. One backward pass
# trains both.
#
# **After this lesson you can**
# - derive the best inside in closed form, and draw it for any model;
# - build a network that can only rise, between ends that are exact;
# - get two different gradients out of one backward pass, and say why no second one is needed;
# - say what each end trades against what.

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import vdmlite
from vdmlite import bits_per_dim, data
from vdmlite.course import claim, pick, pretrained, progress, show
from vdmlite.viz import COLORS, LINES, MARKERS

keys = jax.random.split(jax.random.key(7), 8)
batch_key, check_key, gauss_key, digits_key, curve_key, test_key, ends_key, sweep_key = keys
split_key = jax.random.fold_in(curve_key, 1)

# %% [markdown]
# ## The best inside
#
# Lesson 06: one draw of the diffusion loss is $\ell = \tfrac12 \gamma'(t)\, m$, with
# $m = \lVert \varepsilon - \hat\varepsilon \rVert^2$. Its mean does not depend on the schedule between the ends, its
# mean square does:
#
# $$ \mathbb E[\ell^2] = \tfrac14 \int_{\gamma_0}^{\gamma_1} \gamma'\; \mathbb E[m^2]\; d\gamma . $$
#
# A uniform time visits γ with density $p(\gamma) = 1/\gamma'$, and a density integrates to one. So: make
# $\int \mathbb E[m^2]/p\; d\gamma$ small with $\int p\, d\gamma = 1$. By Cauchy and Schwarz,
#
# $$ \Bigl( \int \sqrt{\mathbb E[m^2]}\, d\gamma \Bigr)^2 = \Bigl( \int \frac{\sqrt{\mathbb E[m^2]}}{\sqrt p}\, \sqrt p\; d\gamma \Bigr)^2
# \le \int \frac{\mathbb E[m^2]}{p}\, d\gamma \cdot \int p\, d\gamma , $$
#
# with equality for $p^*(\gamma) \propto \sqrt{\mathbb E[m^2]}$. **Visit a noise level in proportion to its error.**
# Then $\gamma' \sqrt{\mathbb E[m^2]}$ is the same everywhere: in the root mean square, draws are as large at one time
# as at any other. The least mean square is $\tfrac14 (\int \sqrt{\mathbb E[m^2]}\, d\gamma)^2$.
#
# We begin where everything is known: Gaussian data of standard deviation ½ in 8 dimensions, with the exact denoiser.
# There $m$ is $\kappa(\gamma)$ times a sum of 8 squared standard normals, $\kappa = e^{-\gamma}/(4 + e^{-\gamma})$,
# so $\mathbb E[m] = 8\kappa$ and $\mathbb E[m^2] = (8^2 + 2 \cdot 8)\, \kappa^2$.

# %%
D, low, high = 8, -13.3, 5.0
gammas = np.linspace(low, high, 2001)
kappa = np.exp(-gammas) / (4 + np.exp(-gammas))
gauss_curve = vdmlite.ErrorCurve(
    gammas, mean=D * kappa, error=0 * kappa, square=(D**2 + 2 * D) * kappa**2
)


def best_schedule(curve):
    """γ at even times under the best density: the inverse of its cumulative sum."""
    root = np.sqrt(curve.square)
    pieces = 0.5 * (root[1:] + root[:-1]) * np.diff(curve.gammas)
    share = np.concatenate([[0], np.cumsum(pieces)]) / pieces.sum()
    return lambda t: np.interp(t, share, curve.gammas)


fixed = {
    "γ-linear": vdmlite.FixedLinear,
    "Karras": vdmlite.Karras,
    "flow matching": vdmlite.FlowMatching,
    "cosine": vdmlite.Cosine,
    "β-linear": vdmlite.BetaLinear,
}
print(f"the loss itself: {gauss_curve.loss:.2f} nats")
print("variance of one draw, in nats²")
for name, make in fixed.items():
    print(f"  {name:14s} {gauss_curve.variance(make(low, high)):12.1f}")
print(f"  {'the least':14s} {gauss_curve.least_variance:12.1f}")

# %% [markdown]
# The γ-linear schedule spends a third of its time where the error is below half of its peak, and its variance is
# three times the least. The others spend half of it there, or more.
#
# ## A curve that can only rise
#
# To learn a schedule we need a family of rising curves. A network whose weights are all positive, with rising
# *activations* (the bends between its layers), rises:
#
# $$ f(t) = a\, t + \sum_k h_k\, \operatorname{sigmoid}\bigl(s_k (t - b_k)\bigr), \qquad a, h_k, s_k > 0 , $$
#
# a slope and many little steps of height $h_k$, steepness $s_k$, at place $b_k$. To be positive, each weight is the
# softplus $\log(1 + e^r)$ of a raw number $r$, which may be any. To run from $\gamma_0$ to $\gamma_1$ exactly,
# whatever it learns, the output is rescaled:
#
# $$ \gamma(t) = \gamma_0 + (\gamma_1 - \gamma_0) \cdot \frac{f(t) - f(0)}{f(1) - f(0)} . $$
#
# That separates the two jobs: $\gamma_0$ and $\gamma_1$ are the ends, everything in $f$ is inside. (The published
# code of VDM leaves the rescaling out, and a user [found](https://github.com/google-research/vdm/issues/11) that the
# ends drift.)

# %%
net = vdmlite.MonotoneNet(low, high)


def by_hand(net, t):
    softplus, sigmoid = jax.nn.softplus, jax.nn.sigmoid

    def f(t):
        steps = sigmoid(softplus(net.steepness) * (t - net.places))
        return softplus(net.line) * t + jnp.sum(softplus(net.heights) * steps)

    return low + (high - low) * (f(t) - f(0.0)) / (f(1.0) - f(0.0))


for t in (0.0, 0.3, 1.0):
    np.testing.assert_allclose(net(t), by_hand(net, t), rtol=1e-4)
noise = jax.random.normal(jax.random.key(0), (64,))
bent = eqx.tree_at(lambda n: n.heights, net, net.heights + 2 * noise)
print(f"as it begins       γ(0) = {net(0.0):.1f}, γ(½) = {net(0.5):.2f}, γ(1) = {net(1.0):.1f}")
print(
    f"with other heights γ(0) = {bent(0.0):.1f}, γ(½) = {bent(0.5):.2f}, γ(1) = {bent(1.0):.1f}"
)

# %% [markdown]
# ## Two gradients, one backward pass
#
# Call the parameters of the ends η₁ and those of the inside η₂. The ends (and the denoiser) want the gradient of the
# bound. The inside wants that of the variance, $\mathbb E[\ell^2] - \mathbb E[\ell]^2$. $\mathbb E[\ell]^2$ does not
# depend on η₂, so the gradient of $\mathbb E[\ell^2]$ will do. That looks like two backward passes through the
# network, twice the cost of a step. (A backward pass is how `grad` works: from the loss back to the weights, by the
# chain rule.)
#
# It needs one. For each example $i$ of a batch the chain rule says
#
# $$ \frac{\partial \ell_i^2}{\partial \eta_2} = 2 \ell_i\, \frac{\partial \ell_i}{\partial \eta_2}
#   = 2 \ell_i \Bigl( \frac{\partial \ell_i}{\partial \gamma_i} \frac{\partial \gamma_i}{\partial \eta_2}
#   + \frac{\partial \ell_i}{\partial \gamma_i'} \frac{\partial \gamma_i'}{\partial \eta_2} \Bigr) . $$
#
# Only the two factors $\partial \ell_i / \partial \gamma_i$ and $\partial \ell_i / \partial \gamma_i'$ need the
# network. They are two numbers for each example, and any backward pass finds them. So run it once, as always, down to
# $\gamma_i$ and $\gamma_i'$. There the way divides. Into the ends the two numbers go as they are. Into the inside
# they go *multiplied by $2\ell_i$*. The rest of the way leads through the schedule alone, which is small.
#
# `training_gradient` does it. We check inside and ends against the plain way: differentiate the mean of $\ell^2$, and
# the bound, each by itself. (`eqx.tree_at(which, module, new)` is a copy of a module with one part replaced.)


# %%
exact = vdmlite.GaussianDenoiser(vdmlite.Gaussian(jnp.zeros(D), jnp.asarray(0.5)))
gauss = vdmlite.VDM(bent, exact, vdmlite.GaussianDecoder(), (D,))
batch = 0.5 * jax.random.normal(batch_key, (64, D))

terms, gradient = vdmlite.training_gradient(gauss, batch, key=check_key)


def draws(schedule):
    """The diffusion loss of each example in bits per dimension, with the same times and noise."""
    time_key, noise_key = jax.random.split(check_key)
    times = vdmlite.spread_times(64, key=time_key)
    each = jax.random.split(noise_key, 64)
    loss = jax.vmap(lambda x, t, k: vdmlite.vlb(gauss.under(schedule), x, t, key=k))(
        batch, times, each
    )
    return bits_per_dim(loss.diffusion, (D,)), bits_per_dim(loss.loss, (D,))


plain_square = eqx.filter_grad(lambda s: jnp.mean(draws(s)[0] ** 2))(bent)
plain_bound = eqx.filter_grad(lambda s: jnp.mean(draws(s)[1]))(bent)
got = gradient.schedule
names = ("line", "heights", "steepness", "places")
pairs = [(getattr(got, name), getattr(plain_square, name)) for name in names]
pairs += [(getattr(got.ends, n), getattr(plain_bound.ends, n)) for n in ("start", "width")]
worst = max(float(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(b))) for a, b in pairs)
claim("07", "one backward pass against two: largest relative difference", worst, at_most=1e-3)

# %% [markdown]
# ## It finds the optimum
#
# Now descend. Only the inside is trained here: the denoiser is exact already, and the ends stay. The schedule sees
# nothing but random draws, never the formula for the best one.


# %%
def learn(vdm, batches, *, steps, rate, key, keep_ends):
    """Train the schedule alone, by `training_gradient`; return it, and γ at the ends on the way."""
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps), b2=0.99)

    @eqx.filter_jit
    def step(vdm, state, batch, key):
        _, gradient = vdmlite.training_gradient(vdm, batch, key=key)
        updates, state = optimiser.update(gradient.schedule, state)
        schedule = eqx.apply_updates(vdm.schedule, updates)
        if keep_ends:
            schedule = eqx.tree_at(lambda s: s.ends, schedule, vdm.schedule.ends)
        return vdm.under(schedule), state

    state, way = optimiser.init(eqx.filter(vdm.schedule, eqx.is_array)), []
    for i in progress(range(steps), steps):
        vdm, state = step(vdm, state, next(batches), jax.random.fold_in(key, i))
        way.append((vdm.schedule.ends.start, vdm.schedule.ends.width))
    return vdm.schedule, np.array(way)


def gaussian_batches():
    random = np.random.default_rng(7)
    while True:
        yield jnp.asarray(0.5 * random.normal(size=(256, D)), jnp.float32)


learned, _ = learn(
    gauss.under(vdmlite.MonotoneNet(low, high)),
    gaussian_batches(),
    steps=pick(smoke=5, laptop=2500),
    rate=2e-2,
    key=gauss_key,
    keep_ends=True,
)
found, least = gauss_curve.variance(learned), gauss_curve.least_variance
print(f"variance of one draw: learned {found:.1f}, the least {least:.1f} nats²")
claim("07", "Gaussian data: variance under the learned schedule over the least", found / least,
      at_most=1.10, trained=True)  # fmt: skip

t = np.linspace(0, 1, 401)
for name, schedule in {
    "learned": jax.vmap(learned),
    "best": best_schedule(gauss_curve),
}.items():
    above = 1 - np.interp(0.0, schedule(t), t)
    print(f"share of the time spent above γ = 0: {name:7s} {above:.1%}")
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4))
left.plot(
    t,
    best_schedule(gauss_curve)(t),
    color="0.6",
    ls="-",
    lw=4,
    label="the best, in closed form",
)
left.plot(t, jax.vmap(learned)(t), color=COLORS[1], ls="-", lw=1.5, label="learned from draws")
left.plot(
    t,
    jax.vmap(vdmlite.FixedLinear(low, high))(t),
    color=COLORS[0],
    ls=":",
    label="γ-linear, the start",
)
left.set(xlabel="time t", ylabel="γ(t)", title="the inside, learned")
left.legend()
for i, (name, schedule) in enumerate(
    {"γ-linear": vdmlite.FixedLinear(low, high), "learned": learned}.items()
):
    at, slope = jax.vmap(schedule.slope)(t)
    size = 0.5 * np.asarray(slope) * np.sqrt(np.interp(at, gammas, gauss_curve.square))
    right.plot(t, size, color=COLORS[i], ls=LINES[i], label=name)
right.set(
    xlabel="time t",
    ylabel="√E[ℓ²] at time t (nats)",
    ylim=(0, None),
    title="the size of a draw",
)
right.legend()
show(
    figure,
    "Left: the learned schedule lies on the best one, a curve that dwells at low γ and hurries through "
    "the noisy end; the linear schedule is the straight line above it. Right: the size of a draw against time is "
    "level under the learned schedule, but for ripples near t = 1 and a plunge to nothing at its end, and falls from "
    "high to nothing under the linear one.",
)

# %% [markdown]
# On the right is the whole idea: under the best schedule a draw is as large at one time as at any other. What is left
# of the variance is then not due to the time, for here $\mathbb E[m]$ and $\sqrt{\mathbb E[m^2]}$ have the same
# shape.
#
# Near $t = 1$ the learned curve falls short of that: its draws ripple, then plunge to nothing. Above γ = 0 the errors
# are small. The best schedule passes these levels in 1.9 % of the time, and turns almost straight up. A sum of 64
# smooth steps, each about 1/64 wide, cannot turn so sharply. It spends 3.6 % of the time there, on draws that are
# nearly nothing, and that is part of the few per cent by which it misses the least.
#
# Spread times (lesson 05) take away most of what is due to the time as well, without any learning. A learned schedule
# leaves them less to do. The numbers in this lesson are for single draws; which schedule is the best for a comb is an
# exercise.
#
# ## On digits it beats them all
#
# Nobody has a formula here. We take the trained model of the digits, keep its network and its ends, and train the
# inside.

# %%
digits = data.digits()
model = pretrained.load("digits")
ends = float(model.schedule(0.0)), float(model.schedule(1.0))
learned, _ = learn(
    model.under(vdmlite.MonotoneNet(*ends)),
    data.batches(digits.train, 128, key=digits_key),
    steps=pick(smoke=2, laptop=600),
    rate=2e-2,
    key=digits_key,
    keep_ends=True,
)
curve = vdmlite.error_curve(
    model,
    digits.test,
    np.linspace(*ends, pick(smoke=9, laptop=80)),
    draws=pick(smoke=16, laptop=360),
    batch_size=1440,
    key=curve_key,
)
every = {name: make(*ends) for name, make in fixed.items()} | {"learned": learned}
results = vdmlite.compare_schedules(
    model,
    every,
    digits.test[: pick(smoke=16, laptop=360)],
    key=test_key,
    **pick(
        smoke={"draws": 4, "batch_size": 16},
        laptop={"draws": 24, "times": 4, "batch_size": 1440},
    ),
)
unit = 64 * np.log(2)
print("digits, bits per dimension")
print("schedule         bound     ± error   variance of one draw   predicted from m(γ)")
for name, one in results.items():
    bound, error = one.nats.loss.mean / unit, one.nats.loss.error / unit
    print(
        f"{name:14s}  {bound:6.3f}  ± {error:.4f}   {one.variance / unit**2:18.2f}"
        f"   {curve.variance(every[name]) / unit**2:16.2f}"
    )
print(f"the least there can be {curve.least_variance / unit**2:46.2f}")
best = min(results[name].variance for name in fixed)
claim("07", "digits: variance under the best fixed schedule over the learned one's",
      best / results["learned"].variance, at_least=1.0, trained=True)  # fmt: skip
gap, error = map(float, results["learned"].minus(results["γ-linear"]).loss)
claim("07", "digits: the learned schedule leaves the bound alone (standard errors)",
      abs(gap) / error, at_most=3, trained=True)  # fmt: skip

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.4))
left.plot(
    t, best_schedule(curve)(t), color="0.6", ls="-", lw=4, label="best, from the measured m(γ)"
)
for i, name in enumerate(("γ-linear", "cosine", "learned")):
    left.plot(t, jax.vmap(every[name])(t), color=COLORS[i], ls=LINES[i], label=name)
left.set(xlabel="time t", ylabel="γ(t)", title="schedules for the digits")
left.legend()
for i, (name, one) in enumerate(results.items()):
    right.plot(one.variance / unit**2, i, MARKERS[i], color=COLORS[i], ls="")
right.axvline(curve.least_variance / unit**2, color="0.5", ls="--")
right.set_yticks(range(len(results)), list(results))
right.invert_yaxis()
right.set(
    xscale="log",
    xlabel="variance of one draw; dashed: the least",
    title="how much a draw scatters",
)
show(
    figure,
    "Left: the learned schedule for digits follows the best one, a curve that dwells between γ = −7 and −2 and rises steeply "
    "at the end. The cosine one lies above both from beginning to end, the straight linear one above them but for the first "
    "tenth. Right: the variance of a draw for five fixed schedules and the learned one, which is the smallest, next to "
    "a dashed line at the least possible.",
)

# %% [markdown]
# The measured variances are those of single draws of the whole bound, each at a uniform time; the predicted ones are
# of the diffusion loss alone. What is left of the variance under the learned schedule, and where does it come from? A
# draw varies because of the time, because some digits are easier than others, and because of the noise ε. The three
# shares add up:
#
# $$ \mathrm{Var}[\ell] \;=\; \underbrace{\tfrac14 \int \gamma'\, \mathbb E[m]^2\, d\gamma - L_\infty^2}_{\text{time}}
#    \;+\; \underbrace{\tfrac14 \int \gamma'\, \mathrm{Var}_x\, \mathbb E[m \mid x]\, d\gamma}_{\text{digit}}
#    \;+\; \underbrace{\tfrac14 \int \gamma'\, \mathbb E_x \mathrm{Var}[m \mid x]\, d\gamma}_{\text{noise}} . $$
#
# For the second we need several noises for each digit: how much do the means of the digits vary, beyond what few
# noises make them vary anyway?

# %%
levels = np.linspace(*curve.gammas[[0, -1]], pick(smoke=3, laptop=21))
noises = 4
some_digits = digits.test[: pick(smoke=16, laptop=360)]


@jax.jit
def errors_at(level_and_key):
    """m for each digit, with one noise each, at one level."""
    level, key = level_and_key
    each = jax.random.split(key, len(some_digits))
    return jax.vmap(
        lambda x, k: vdmlite.squared_error(model, model.decoder.embed(x), level, key=k)
    )(some_digits, each)


tries = (
    jnp.repeat(jnp.asarray(levels), noises),
    jax.random.split(split_key, noises * len(levels)),
)
m = np.asarray(jax.lax.map(errors_at, tries), np.float64).reshape(len(levels), noises, -1)
of_digits = m.mean(1).var(1, ddof=1) - m.var(1, ddof=1).mean(1) / noises


def part(gammas, values, schedule):
    """¼ ∫ γ′ values dγ, in (bits per dimension)²."""
    return (
        vdmlite.ErrorCurve(gammas, 0 * values, 0 * values, values).variance(schedule) / unit**2
    )


print("variance of one draw, predicted, in (bits per dimension)²")
print("                  all       time     digit     noise")
for name in ("cosine", "γ-linear", "learned"):
    whole = curve.variance(every[name]) / unit**2
    of_time = part(curve.gammas, curve.mean**2, every[name]) - (curve.loss / unit) ** 2
    of_digit = part(levels, of_digits, every[name])
    rest = whole - of_time - of_digit
    shares = "".join(f"{a / whole:10.0%}" for a in (of_time, of_digit, rest))
    print(f"{name:14s}  {whole:5.2f} {shares}")
root = np.sqrt(curve.square)
under_best = (
    0.25 * np.trapezoid(root, curve.gammas) * np.trapezoid(curve.mean**2 / root, curve.gammas)
    - curve.loss**2
)
least = curve.least_variance
print(f"the least       {least / unit**2:5.2f} {under_best / least:10.0%}")
ratio = curve.mean / root
print(f"E[m] / √E[m²]: {ratio[0]:.2f} at the clean end, {np.median(ratio):.2f} in the middle")

# %% [markdown]
# Under γ-linear and cosine three quarters or more of the variance are due to the time. Learning takes most of that
# away. What is left is mostly the noise's, then the time's, then the digit's. A part is due to the time even under
# the best schedule, which makes $\gamma' \sqrt{\mathbb E[m^2]}$ level in time; $\gamma'\, \mathbb E[m]$ is level as
# well only if the two have the same shape. At the clean end they have not. There hardly a pixel is mistaken, an error
# is rare and large, and its mean lies far below its root mean square. The rest is due to the learned curve, which is
# not quite the best. The paper's numbers for CIFAR-10 are 6.35 for γ-linear and 0.53 learned.
#
# ## What the ends trade
#
# Each end is a bargain between two terms. Move the clean end $\gamma_0$ down, to less noise. The decoder sees better
# and the *reconstruction* gets cheaper, but the walk gets longer and the *diffusion* loss dearer, by
# $\tfrac12 \mathbb E[m]$ at $\gamma_0$ for every unit of γ. Move the noisy end $\gamma_1$ up. Less is left of the
# data and the *prior* term shrinks, while the diffusion loss grows by $\tfrac12 \mathbb E[m]$ at $\gamma_1$. For the
# best denoiser, longer is always better, if only a little. A real network is never the best: it pays more than it
# must, and somewhere the bargain may turn.


# %%
def bound_with(start, stop):
    found = vdmlite.evaluate(
        model.under(vdmlite.FixedLinear(start, stop)),
        digits.test[: pick(smoke=16, laptop=360)],
        key=sweep_key,
        **pick(
            smoke={"draws": 2, "batch_size": 16},
            laptop={"draws": 4, "times": 4, "batch_size": 1440},
        ),
    )
    return [float(estimate.mean) for estimate in found.bits]


starts = np.linspace(-9.5, -4, pick(smoke=2, laptop=9))
stops = np.linspace(-1, 6, pick(smoke=2, laptop=8))
low_end = np.array([bound_with(s, ends[1]) for s in starts])
high_end = np.array([bound_with(ends[0], s) for s in stops])

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), sharey=True)
for ax, at, values, which, end in (
    (axes[0], starts, low_end, 1, ends[0]),
    (axes[1], stops, high_end, 0, ends[1]),
):
    name = ("prior", "reconstruction")[which]
    ax.plot(at, values[:, 3], color=COLORS[0], ls="-", marker="o", label="the bound")
    ax.plot(at, values[:, 2], color=COLORS[1], ls="--", marker="s", label="diffusion")
    ax.plot(at, values[:, which], color=COLORS[2], ls="-.", marker="^", label=name)
    ax.axvline(end, color="0.5", ls=":")
    ax.legend()
axes[0].set(
    xlabel="γ₀ (dotted: as trained)", ylabel="bits per dimension", title="the clean end"
)
axes[1].set(xlabel="γ₁ (dotted: as trained)", title="the noisy end")
show(
    figure,
    "Two panels of the bound and its terms in bits per dimension. Left, against the clean end: the reconstruction rises "
    "as γ₀ goes up, the diffusion loss falls, and their sum, the bound, is flat to the left of the trained end, a dotted line, and rises to its right. "
    "Right, against the noisy end: the prior term falls to nothing, the diffusion loss rises slightly, and the sum levels out.",
)

# %% [markdown]
# Here it only levels out. The training of this model began at −8 and 5, where the bound is flat already, and its ends
# hardly moved. Can the bound find them from elsewhere? We put the ends wrong, at −5 and 2, keep the network, and let
# one and the same gradient train everything about the schedule.

# %%
start = vdmlite.MonotoneNet(-5.0, 2.0)
healed, way = learn(
    model.under(start),
    data.batches(digits.train, 128, key=ends_key),
    steps=pick(smoke=2, laptop=800),
    rate=3e-2,
    key=ends_key,
    keep_ends=False,
)
pair = vdmlite.compare_schedules(
    model,
    {"wrong ends": start, "learned ends": healed},
    digits.test[: pick(smoke=16, laptop=360)],
    key=test_key,
    **pick(
        smoke={"draws": 2, "batch_size": 16},
        laptop={"draws": 8, "times": 4, "batch_size": 1440},
    ),
)
for name, one in pair.items():
    print(
        f"{name:13s} {one.nats.loss.mean / unit:.3f} ± {one.nats.loss.error / unit:.4f} bits per dimension"
    )
print(f"the ends went from −5 and 2 to {healed(0.0):.2f} and {healed(1.0):.2f}")
gain, error = map(float, pair["wrong ends"].minus(pair["learned ends"]).loss)
claim("07", "digits: what learning the ends saves (bits per dimension)", gain / unit,
      at_least=0.05, trained=True)  # fmt: skip

figure, ax = plt.subplots(figsize=(7, 3))
ax.plot(way[:, 0], color=COLORS[0], ls="-", label="γ₀")
# The ends are kept as γ₀ and the width of the range.
ax.plot(way[:, 0] + np.abs(way[:, 1]), color=COLORS[1], ls="--", label="γ₁")
for end in ends:
    ax.axhline(end, color="0.5", ls=":")
ax.set(
    xlabel="update",
    ylabel="γ",
    title="the ends on their way (dotted: those the model was trained with)",
)
ax.legend()
show(
    figure,
    "The clean end γ₀ falls from −5 and the noisy end γ₁ rises from 2, fast at first, towards the ends that the model was "
    "trained with, drawn as dotted lines.",
)

# %% [markdown]
# ## Ask yourself
#
# 1. What would happen to the inside if it descended the bound as the ends do, in continuous time? And with $T = 10$?
# 2. Why may the ends not descend $\mathbb E[\ell^2]$?
# 3. The learned inside dwells where $\sqrt{\mathbb E[m^2]}$ is large. A friend samples in proportion to
#    $\mathbb E[m]$. How far from the best is that for an image of 3072 dimensions?
# 4. Weight decay pulls all weights towards zero a little in every step. What does it do to $\gamma_0 = -13.3$?
#
# <details><summary>Answers</summary>
#
# 1. In continuous time its gradient is noise around zero: it would wander. With ten steps the bound does depend on
#    the inside, and it should descend the bound; `training_gradient` with `timesteps=10` does just that.
# 2. They would make ℓ, the diffusion loss, small, and never see the prior and the reconstruction: the easiest way is
#    to bring the two ends together.
# 3. Hardly at all, if examples are alike: the spread of $m$ due to the noise is a share $\sqrt{2/3072}$, or 3 %, of
#    its mean, so $\sqrt{\mathbb E[m^2]} \approx \mathbb E[m]$. Images that differ much make a difference.
# 4. It pulls it towards 0, away from the clean end, step by step, against the bound's gradient. The published code
#    does so with the linear schedule of its CIFAR-10 setting. Leave the schedule out of the weight decay.
# </details>
#
# ## Take along
#
# > **The ends of the schedule descend the bound, the inside descends E[ℓ²]: the same backward pass, weighed by 2ℓ. The best
# > inside visits γ in proportion to √E[m²].**
#
# In the package: `MonotoneNet`, `training_gradient` (which `train` uses), `ErrorCurve.least_variance`. Exercises:
# `exercises/07_learning_the_schedule.ipynb`. Next in this part: sampling. Lesson 11 takes the bound to images.
