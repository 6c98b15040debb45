# %% [markdown]
# # 14 · Lossless compression
#
# *Three minutes on 2 CPU cores · 60 minutes to study · after lesson 11 · VDM §6; Townsend, Bird and Barber 2019; F. Kingma, Abbeel and Ho 2019 · files `codec/`*
#
# **The idea.** A bound in bits is a promise: the images *could* be written in so few. This lesson keeps it. A
# diffusion model becomes a program that writes images to a file and reads them back bit for bit. The latents are in
# the way, for no one wants to pay for them. So we borrow bits to choose them, and get these bits back.
#
# **After this lesson you can**
# - build an entropy coder in ten lines of Python's integers, and say why its length is the information;
# - code data by a model with latents for no more than its bound, and tell where the borrowed bits go;
# - choose the order of a codec's moves by what it has to borrow;
# - name two faults that no round trip shows, and find them by the rate;
# - state the size of a file with all that it needs, next to PNG, WebP and JPEG-XL.

# %%
import math
import tempfile
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import jax
import matplotlib.pyplot as plt
import numpy as np

import vdmlite
from vdmlite import codec, data
from vdmlite.course import baselines, claim, pick, pretrained, show
from vdmlite.neighbours import few_steps
from vdmlite.viz import COLORS, LINES, MARKERS

bound_key, curve_key, patch_key = jax.random.split(jax.random.key(14), 3)
random = np.random.default_rng(14)

# %% [markdown]
# ## A stack in one integer
#
# A large integer is a stack of bits. Its *height* is its logarithm to base 2. Suppose that $M$ symbols
# $0, \dots, M - 1$ are equally likely. To push a symbol $s$ on the integer $n$, form $M n + s$: the height grows by
# $\log_2 M$ bits, which is the symbol's information. To pop it again, divide by $M$: the remainder is the symbol, the
# quotient the old integer.
#
# Now let the symbols be unequal: of every $M$ numbers in a row, symbol $s$ owns $f_s$, its *count*, beginning with
# the number $c_s$. So its probability is $f_s / M$. To push $s$ on $n$, go to the $n$-th of the numbers that $s$
# owns:
#
# $$ n' = M \lfloor n / f_s \rfloor + c_s + (n \bmod f_s) . $$
#
# The integer grows by a factor of $M / f_s$, and so the height by $\log_2 (M / f_s) = -\log_2 P(s)$. To pop, look who
# owns $n'$: its remainder by $M$ says it. Then undo the formula. This is *asymmetric numeral systems* (Duda 2009), in
# ten lines:

# %%
M = 1 << 16


def counts_of(p):
    """Counts, whole numbers of at least 1, in proportion to p; they add up to M."""
    counts = np.maximum(1, np.floor(M * np.asarray(p))).astype(int)
    counts[np.argmax(counts)] += M - counts.sum()
    return counts.tolist()


def push(n, symbol, counts):
    """The integer with a symbol pushed on it."""
    start, count = sum(counts[:symbol]), counts[symbol]
    return M * (n // count) + start + n % count


def pop(n, counts):
    """The symbol on top of an integer, and the integer without it."""
    place, symbol = n % M, 0
    while place >= counts[symbol]:
        place, symbol = place - counts[symbol], symbol + 1
    return symbol, counts[symbol] * (n // M) + place


letters = counts_of([0.7, 0.2, 0.07, 0.03])
shares = np.array(letters) / M
message = random.choice(4, 2000, p=shares).tolist()
first = n = 1 << 32
for letter in message:
    n = push(n, letter, letters)
grown, information = math.log2(n) - math.log2(first), -np.log2(shares[message]).sum()

back = []
for _ in message:
    letter, n = pop(n, letters)
    back.append(letter)
assert back[::-1] == message  # what was pushed last comes first
assert n == first
print(f"2000 letters of 4: {grown:.2f} bits on the stack, their information {information:.2f}")
print(f"two bits a letter would be 4000; the entropy is {-2000 * shares @ np.log2(shares):.0f}")
claim("14", "2000 letters on the stack: bits beyond their information",
      abs(grown - information), at_most=0.1)  # fmt: skip

# %% [markdown]
# The overhead is far less than a bit for the whole message. (A real coder keeps only the top of its stack in one
# machine word, which costs a few bits at the end of a file.)
#
# A pop needs no push before it. Take an integer whose bits are random, and pop. Its remainder by $M$ is as likely to
# be any number as any other, so the symbol that comes is $s$ with probability $f_s / M$. **To pop from random bits is
# to draw from the law**, and the bits are not lost: push the symbols again, the last one first, and the same integer
# is back.

# %%
first = n = int.from_bytes(random.bytes(5000), "little")
drawn = []
for _ in range(pick(smoke=1000, laptop=10_000)):
    letter, n = pop(n, letters)
    drawn.append(letter)
print("popped:", (np.bincount(drawn) / len(drawn)).round(3), " law:", shares.round(3))
print(
    f"taken from the stack: {(math.log2(first) - math.log2(n)) / len(drawn):.3f} bits a letter"
)
for letter in reversed(drawn):
    n = push(n, letter, letters)
assert n == first

# %% [markdown]
# ## Bits back
#
# Now a model with a latent, so small that everything can be counted. A cause $z$, one of three, is drawn from $p(z)$;
# a symbol $x$, one of four, from $p(x \mid z)$. We want to send $x$. The decoder knows the model, but pushing $x$
# takes a law for it, and the model's laws are $p(z)$ and $p(x \mid z)$. (Here we could sum over $z$. With thousands
# of latents nobody can, so let us not.)
#
# The plain way: choose a $z$ that suits $x$, push $x$ under $p(x \mid z)$, then $z$ under $p(z)$. The decoder pops
# $z$, and then $x$. The price is $-\log_2 p(x, z)$. That is too much, for $p(x, z) < p(x)$: we told the decoder $z$
# as well, and nobody asked for it.
#
# **Bits back**: let the *stack* choose $z$. Pop it under a law $q(z \mid x)$, which takes $-\log_2 q(z \mid x)$ bits
# off. Then push $x$ and $z$ as before. The decoder pops $z$, pops $x$, and now knows both; so it can push $z$ under
# $q(z \mid x)$, and has the very bits back that the encoder had borrowed. They were part of what was sent before, say
# the symbols before this one. Net, the stack grows by
#
# $$ \log_2 q(z \mid x) - \log_2 p(x \mid z) - \log_2 p(z) \quad\text{bits, on average}\quad
# -\log_2 p(x) + \tfrac{1}{\ln 2}\, \mathrm{KL}\bigl( q(z \mid x) \,\Vert\, p(z \mid x) \bigr) . $$
#
# That is the negative bound of lesson 01, in bits. If $q$ is the posterior, the price is $-\log_2 p(x)$ for every
# single $z$.

# %%
p_z = np.array([0.5, 0.3, 0.2])
p_x_given_z = np.array([[0.6, 0.3, 0.05, 0.05], [0.1, 0.4, 0.4, 0.1], [0.02, 0.08, 0.3, 0.6]])
joint = p_z[:, None] * p_x_given_z
p_x = joint.sum(0)
posterior = (joint / p_x).T  # a row for each x
law_z, laws_x = counts_of(p_z), [counts_of(row) for row in p_x_given_z]


def send(n, x, law_q, pad):
    """The stack with x on it, z chosen by bits that are borrowed."""
    z, n = pop(n ^ pad, law_q[x])
    return push(push(n, x, laws_x[z]), z, law_z)


def receive(n, law_q, pad):
    """x, and the stack without it, the borrowed bits repaid."""
    z, n = pop(n, law_z)
    x, n = pop(n, laws_x[z])
    return x, push(n, z, law_q[x]) ^ pad


xs = random.choice(4, pick(smoke=300, laptop=3000), p=p_x).tolist()
nothing = [0] * len(xs)
noise = random.integers(0, 1 << 32, len(xs)).tolist()  # the decoder has the same
q_even, q_best = np.full((4, 3), 1 / 3), posterior
likeliest = joint.argmax(0)
ideal = -np.log2(p_x[xs]).mean()
print(f"{len(xs)} symbols, bits a symbol:     measured   expected")
print(f"{'the likeliest z, sent as well':41s}{-np.log2(joint[likeliest[xs], xs]).mean():8.3f}")
rates = {}
for name, q, pads in (
    ("q the posterior", q_best, nothing),
    ("q even", q_even, nothing),
    ("q even, bits made random", q_even, noise),
):
    law_q = [counts_of(row) for row in q]
    kl = (q * np.log2(q / posterior)).sum(1)
    first = n = (1 << 64) + int(random.integers(1 << 62))
    for x, pad in zip(xs, pads, strict=True):
        n = send(n, x, law_q, pad)
    rates[name] = (math.log2(n) - math.log2(first)) / len(xs)
    print(f"{name:30s} {rates[name]:8.3f}   {ideal + kl[xs].mean():8.3f}")
    for x, pad in zip(reversed(xs), reversed(pads), strict=True):
        found, n = receive(n, law_q, pad)
        assert found == x
    assert n == first  # the bits that were borrowed first, as they were
print(f"{'−log2 p(x)':41s}{ideal:8.3f}")
claim("14", "one latent, the posterior as q: bits a symbol away from −log2 p(x)",
      abs(rates["q the posterior"] - ideal), at_most=0.005)  # fmt: skip
even_ideal = ideal + (q_even * np.log2(q_even / posterior)).sum(1)[xs].mean()
claim("14", "q even: what bits that are not random cost (bits a symbol)",
      rates["q even"] - even_ideal, at_least=0.5)  # fmt: skip

# %% [markdown]
# With the posterior the price is $-\log_2 p(x)$, as promised. With an even $q$ it is far above what the formula
# expects; all symbols came back all the same. What went wrong? The formula takes a mean over $z \sim q$, and a pop is
# a draw from $q$ only if the bits on top are random. They are not. The last thing pushed was the $z$ of the symbol
# before, and its law and the next pop's divide the same $M$ numbers. If that $z$ was 0, the remainder by $M$ is in
# the lower half, and the next $z$ is 0 or 1, never 2. In the last row we changed the bits before each pop, by XOR
# with noise that the decoder has as well (`n ^ pad`). To do this twice changes nothing, it costs no bits, and the
# price is as expected. With the posterior the price is the same for each $z$, so there it did not matter which came.
# A model of images has no such luck.
#
# The first symbol has nobody to borrow from. So the stack began with 64 bits, and ends with them after decoding. We
# call what must be there before the first image the **initial bits**. They are sent, too; the more is sent after
# them, the less they count.
#
# Note what the encoder may not do: choose $z$ by a random generator of its own. That $z$ would follow the same law,
# but the decoder would have nothing to give back to, and the price would be that of sending $z$.
#
# ## A diffusion model is such a model
#
# Its latents are $z_0, \dots, z_T$ at $T + 1$ noise levels. The laws are those of lessons 02 and 03:
#
# - **borrow** under $q$: first $z_0 \sim q(z_0 \mid x)$, then up the chain, $z_t \sim q(z_t \mid z_s)$, one level
#   noisier each time;
# - **push** under $p$: $x$ under the decoder $p(x \mid z_0)$, $z_s$ under the reverse step $p(z_s \mid z_t)$, whose
#   mean is the network's guess, and $z_T$ under $\mathcal N(0, 1)$.
#
# On average the stack grows by the $T$-step bound of lesson 03, in bits.
#
# Real numbers don't go on a stack of integers. So each $z_t$ lives on a grid of spacing $\delta_t$, and a grid
# point's probability is the Gaussian's mass around it, about density times $\delta_t$. A pop takes
# $-\log_2 (q\, \delta_t)$ bits and the push of the same latent gives $-\log_2(p\, \delta_t)$: *the spacing cancels*.
# It does not cancel in what is borrowed first, so the grid should be no finer than it has to be. Four to eight points
# to the narrowest standard deviation are enough.
#
# In `vdmlite.codec` each such step is a `Move`: a name, a law that may depend on what is known by then, and whether
# it borrows. A codec is a list of moves, and *decoding is the list read backwards, each move undone*. In which order
# the moves come is free, as long as each law's conditions are known:

# %%
digits, model = data.digits(), pretrained.load("digits")
for order in (codec.bb_ans, codec.bit_swap):
    gammas = codec.coding_gammas(model.schedule, 2)
    moves = codec.vdm_moves(model, gammas, lanes=1, order=order)
    words = [f"{'borrow' if move.borrows else 'push'} {move.name}" for move in moves]
    print(f"{order.__name__:9s}", " · ".join(words))

# %% [markdown]
# The first order borrows all latents and then pushes everything. It is called **BB-ANS**, bits back with asymmetric
# numeral systems (Townsend, Bird and Barber 2019), and it is the one that VDM announces. The second pushes whatever
# it can as early as it can: once $z_1$ is there, the law of $z_0$ is known, and $z_0$ can go. It is **Bit-Swap**
# (Friso Kingma, Abbeel and Ho 2019; VDM is by Diederik Kingma). It works only because $q$ is a Markov chain up from
# the data, so that $z_1$ can be drawn from $z_0$ alone.
#
# Both make the same pushes and pops. What differs is how far the stack goes down before it comes up again. We code on
# several stacks side by side, the **lanes**: each takes its share of the images, and has to borrow its own first
# bits.


# %%
class Coded(NamedTuple):
    """What it took to code images by a model."""

    net: np.ndarray  # bits per dimension of each image
    initial: float  # bits that had to be there, the mean over lanes
    changes: np.ndarray  # by how many bits each move changed each lane
    lossless: bool  # every image came back, and every borrowed bit


def coded(vdm, steps, order, images, lanes):
    """Code images on `lanes` stacks side by side, decode them, and return what it took."""
    gammas = codec.coding_gammas(vdm.schedule, steps)
    moves = codec.vdm_moves(vdm, gammas, lanes=lanes, order=order)
    stack, all_lanes = codec.Stack(lanes), np.ones(lanes, bool)
    rounds = images.reshape(-1, lanes, *vdm.shape)
    for batch in rounds:
        codec.encode(moves, stack, batch, all_lanes)
    changes = np.array([entry.bits for entry in stack.ledger])
    initial = codec.initial_bits(stack.ledger).mean()
    net = changes.reshape(len(rounds), len(moves), lanes).sum(1) / math.prod(vdm.shape)
    back = [codec.decode(moves, stack, all_lanes) for _ in rounds][::-1]
    lossless = bool((np.array(back) == rounds).all()) and stack.is_restored
    return Coded(net.ravel(), initial, changes, lossless)


some, lanes = digits.test[: pick(smoke=4, laptop=360)], pick(smoke=2, laptop=60)
budgets = pick(smoke=(5,), laptop=(10, 20, 50))
orders = {"BB-ANS": codec.bb_ans, "Bit-Swap": codec.bit_swap}
options = pick(
    smoke={"draws": 2, "times": 1, "batch_size": 4},
    laptop={"draws": 8, "times": 2, "batch_size": 1440},
)


def bound_of(vdm, steps):
    """The bound of the walk over the codec's own noise levels, in bits per dimension."""
    grid = vdmlite.PiecewiseLinear(codec.coding_gammas(vdm.schedule, steps) / 256)
    under = vdm.under(grid)
    return vdmlite.evaluate(under, some, timesteps=steps, **options, key=bound_key).bits.loss


def path_error(one, other):
    """The standard error of a mean over images that comes from the latents drawn."""
    return np.std(one.net - other.net, ddof=1) / math.sqrt(2 * len(one.net))


runs, over, off = {}, [], []
print(
    "test digits, bits per dimension                                  initial bits     lossless,"
)
print(
    "  T   bound             BB-ANS   Bit-Swap   path's error     BB-ANS  Bit-Swap     repaid"
)
for T in budgets:
    bound, its_error = bound_of(model, T)
    runs[T] = {name: coded(model, T, order, some, lanes) for name, order in orders.items()}
    one, other = runs[T].values()
    error = path_error(one, other)
    print(f"{T:3d}   {bound:.3f} ± {its_error:.3f}   {one.net.mean():9.3f}  {other.net.mean():9.3f}"
          f"   {error:12.3f}   {one.initial:8.0f}  {other.initial:8.0f}"
          f"     {one.lossless and other.lossless}")  # fmt: skip
    for run in (one, other):
        gap = run.net.mean() - bound
        over.append((gap - 3 * error) / bound)
        if T >= 20:
            off.append((abs(gap) - 3 * error) / bound)

every = [run for row in runs.values() for run in row.values()]
claim("14", "digits: runs in which an image or a borrowed bit did not come back",
      sum(not run.lossless for run in every), at_most=0)  # fmt: skip
claim("14", "digits: net rate above the T-step bound, less 3 errors of the path (share)",
      max(over), at_most=0.01, trained=True)  # fmt: skip
claim("14", "digits, T = 20 and 50: net rate away from the bound, less 3 errors (share)",
      max(off, default=0), at_most=0.01, trained=True)  # fmt: skip

# %% [markdown]
# Every digit came back, and every bit that was borrowed. The net rate keeps the bound's promise, in both orders. (The
# two draw different latents for the same images. So half of the variance of their differences is the variance of one
# path: this is the "path's error". The bound is that of the model between its own ends, on the codec's noise levels.)
#
# At $T = 10$ the rate is *below* the bound. How can that be? With steps so long a latent now and then lies far from
# where the reverse step expects it: at six standard deviations a Gaussian asks for nearly thirty bits, at eight for
# nearly fifty. Our laws are not quite Gaussians. A mass is a whole multiple of $2^{-24}$ and at least one, so that
# every point up to 8 standard deviations can be coded, and none costs more than 24 bits. (What lies farther out is
# sent raw.) Let us count the latents for which that matters, and what it saves.


# %%
def beyond(steps):
    """Latents of an image that a Gaussian would charge over 24 bits, and the excess in bits/dim."""
    dear, as_ever = [], codec.GridGaussian.push

    def watching(law, coder, lane, symbols):
        cells = ((symbols >> law.raw[lane]) - law.centre[lane]).ravel()
        z = (cells - law.offset[lane]) / law.std[lane]
        gaussian = 0.5 * z**2 / np.log(2) + np.log2(law.std[lane] * np.sqrt(2 * np.pi))
        dear.extend(gaussian[gaussian > 24])
        as_ever(law, coder, lane, symbols)

    with mock.patch.object(codec.GridGaussian, "push", watching):
        coded(model, steps, codec.bit_swap, some, lanes)
    return len(dear) / len(some), np.sum(np.array(dear) - 24) / some.size


for T in budgets[:2]:
    count, saved = beyond(T)
    print(
        f"T = {T}: {count:.2f} of an image's {64 * (T + 1)} latents; {saved:.3f} bits/dim saved"
    )

# %% [markdown]
# That is the difference. So the codec is a slightly other model than the one of the bound, with heavier tails, and
# where the steps are too long for Gaussians it is the better one.
#
# ## The key picture
#
# Here is the height of the stack while images go through, move by move, at the same $T$ and in both orders. All 64
# pixels of a latent are one move; the mean over all lanes is drawn.

# %%
T_shown = pick(smoke=5, laptop=20)
few = pick(smoke=2, laptop=12)
history = {name: coded(model, T_shown, order, some, few) for name, order in orders.items()}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(1.3, 1))
for i, (name, run) in enumerate(history.items()):
    heights = np.concatenate([[0], run.changes.mean(1).cumsum()])
    moves_each = 2 * T_shown + 3
    shown = heights[: 4 * moves_each + 1]
    left.plot(
        np.arange(len(shown)) / moves_each, shown, color=COLORS[i], ls="-", lw=1.3, label=name
    )
    ends = heights[moves_each::moves_each]
    count = np.arange(1, len(ends) + 1)
    right.plot(count, (run.initial + ends) / (64 * count), color=COLORS[i], ls=LINES[i],
               marker=MARKERS[i], label=name)  # fmt: skip
left.axhline(0, color="0.4", ls=":", lw=1)
left.set(
    xlabel="images",
    ylabel="bits above where it began",
    title=f"the stack's height, T = {T_shown}",
)
left.set_xticks(range(5))
left.set_ylim(top=0.35 * max(run.initial for run in history.values()))
left.legend(loc="upper left", ncols=2)
right.axhline(history["Bit-Swap"].net.mean(), color="0.4", ls=":", lw=1)
right.set(
    xlabel="images in a lane",
    title="bits/dim, initial bits included",
    xscale="log",
    yscale="log",
)
right.set_xticks([1, 3, 10, 30], ["1", "3", "10", "30"])
right.set_yticks([3, 10, 30, 100], ["3", "10", "30", "100"])
right.minorticks_off()
right.legend()
show(
    figure,
    "Left: bits on the stack against images. In BB-ANS's order the line plunges by thousands of bits at the start of each "
    "image and climbs back above where the image began; in Bit-Swap's it makes small teeth of a few hundred bits. Both "
    "rise by the same amount from image to image. Right: all bits per dimension against the number of images, falling in both orders towards a dotted line. "
    "Bit-Swap starts far lower and nearly reaches it within 30 images; BB-ANS then still pays more than twice as much.",
)
least, most = budgets[0], budgets[-1]
print(f"initial bits at T = {most} over those at T = {least}: "
      f"BB-ANS {runs[most]['BB-ANS'].initial / runs[least]['BB-ANS'].initial:.2f}, "
      f"Bit-Swap {runs[most]['Bit-Swap'].initial / runs[least]['Bit-Swap'].initial:.2f}")  # fmt: skip
claim("14", "BB-ANS: initial bits at T = 50 over those at T = 10 (five times the steps)",
      runs[most]["BB-ANS"].initial / runs[least]["BB-ANS"].initial, at_least=4, trained=True)  # fmt: skip
claim("14", "Bit-Swap: the same", runs[most]["Bit-Swap"].initial / runs[least]["Bit-Swap"].initial,
      at_most=1.5, trained=True)  # fmt: skip

# %% [markdown]
# The BB-ANS line dives once for each image, by all its latents: what must be there before the first image grows with
# $T$. Bit-Swap never holds more than two latents at a time, so its dive is as deep as one latent, whatever $T$. From
# image to image both climb by the same height, which is the net price. With one image, the order is everything; with
# a thousand in a row it hardly matters.
#
# ## Two faults that no round trip shows
#
# A decoder that undoes every move returns the right images from a codec that is far too long. So a code needs two
# tests: what comes back, and how long it is. Two guards of our codec can be taken away in a line each.
#
# **Dirty bits.** We have met them above: a pop draws from its law only if the bits on top are random, and a model has
# just pushed bits there. In Bit-Swap's order $z_0$ is pushed under $p(z_0 \mid z_1)$, and $z_2$ is popped next, from
# the same bits. They tell how far each pixel of $z_0$ lies from its mean, so the noise of $z_2$ is made from that of
# $z_0$. Such a chain is no draw from $q$, and the bound says nothing of it. The guard is the one from above: before
# each pop the top bits are exchanged by others, XOR known noise. We say that it *whitens* them.
#
# **Leaky tails.** Each point on a law's grid has at least the mass $2^{-24}$. For a push that was a help. But from a
# law that reaches far a *pop* now and then returns a point from far out, where a Gaussian has next to nothing. The
# decoder does not mind, but such a latent costs dozens of bits to push, and the network has to guess from it. The
# guard: a law that is *borrowed* from ends at 6 standard deviations. We let it reach to 128, as a careless range
# would.

# %%
faults = {
    "bits not whitened": mock.patch.object(codec.stack._Lane, "whiten", mock.Mock()),
    "laws to borrow from reach to ±128 σ": mock.patch.dict(codec.laws.REACH, {True: 128.0}),
}
shares_lost = {}
print("digits, net bits per dimension                       BB-ANS            Bit-Swap")
for T in budgets[:2]:
    guarded = np.array([run.net.mean() for run in runs[T].values()])
    print(f"T = {T:2d}, {'both guards on':36s} {guarded[0]:8.3f} {guarded[1]:18.3f}")
    for name, fault in faults.items():
        with fault:
            rows = [coded(model, T, order, some, lanes) for order in orders.values()]
        assert all(run.lossless for run in rows)  # all the same
        rates = np.array([run.net.mean() for run in rows])
        shares_lost[T, name] = lost = rates / guarded - 1
        print(
            f"T = {T:2d}, {name:36s} {rates[0]:8.3f} ({lost[0]:+6.1%}) {rates[1]:9.3f} ({lost[1]:+6.1%})"
        )
T = budgets[:2][-1]
unwhitened, leaky = (shares_lost[T, name][1] for name in faults)
claim("14", "T = 20, Bit-Swap: what bits that are not whitened cost (share)",
      unwhitened, at_least=0.03, trained=True)  # fmt: skip
claim("14", "T = 20, Bit-Swap: what leaky tails cost (share)",
      leaky, at_least=0.03, trained=True)  # fmt: skip

# %% [markdown]
# All of these came back bit for bit; only the length tells. Dirty bits cost much in Bit-Swap's order, where every pop
# meets bits that were pushed just before. In the order of BB-ANS each image's pops follow one another, and only those
# of the next image meet what was pushed before: there the fault costs little.
#
# ## The steps of lesson 10
#
# Lesson 10 found the grid of $T$ steps with the best bound, for any trained model. A codec pays that bound in real
# bits, and takes any schedule: `vdm.under(PiecewiseLinear(grid))`. The same number of steps, the same network, the
# same time; fewer bits?

# %%
low, high = (float(model.schedule(t)) for t in (0.0, 1.0))
seen = digits.train[:: pick(smoke=60, laptop=3)]
curve = vdmlite.error_curve(
    model,
    seen,
    np.linspace(low, high, pick(smoke=33, laptop=257)),
    draws=len(seen),
    batch_size=len(seen),
    key=curve_key,
)


def best(steps):
    """The model on the grid of that many steps that is best for the training digits."""
    return model.under(vdmlite.PiecewiseLinear(few_steps.best_grid(curve, steps)))


margins = []
print("test digits, Bit-Swap, bits per dimension")
print("  T   even in γ   optimal   its bound    saved")
for T in budgets:
    even, optimal = runs[T]["Bit-Swap"], coded(best(T), T, codec.bit_swap, some, lanes)
    assert optimal.lossless
    each = even.net - optimal.net
    saved, error = each.mean(), each.std(ddof=1) / math.sqrt(len(each))
    margins.append(saved - 3 * error)
    print(f"{T:3d}   {even.net.mean():9.3f}   {optimal.net.mean():7.3f}   {bound_of(best(T), T).mean:9.3f}"
          f"    {saved:.3f} ± {error:.3f}")  # fmt: skip
claim("14", "digits: least saving of the optimal grid on the even one, less 3 errors (bits/dim)",
      min(margins), at_least=0, trained=True)  # fmt: skip

# %% [markdown]
# ## The whole test set in a file
#
# Now everything at once: all 360 test digits, the optimal grid, the order of Bit-Swap, few lanes, for each borrows
# its own first bits. The file holds the initial bits, as many as were used, and all that the decoder needs beside the
# model. (They come from a generator that the decoder has as well, and what lies untouched is not stored.) We write
# it, read it, and compare the bits.

# %%
T_file, width = pick(smoke=5, laptop=64), pick(smoke=2, laptop=3)
coder = best(T_file)
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.vdmz"
    codec.compress(coder, some, steps=T_file, lanes=width).save(path)
    size, archive = path.stat().st_size, codec.read_archive(path)
    back = codec.decompress(coder, archive)
wrong = int((back != some).sum()) + (back.dtype != some.dtype)
total = 8 * size / some.size
print(f"{size} bytes for {some.size} pixels: {total:.3f} bits per dimension, "
      f"{archive.net_bits / some.size:.3f} of them net")  # fmt: skip
claim("14", "digits in the file that do not come back bit for bit", wrong, at_most=0)

limit = vdmlite.evaluate(model, some, **options, key=bound_key).bits.loss.mean
prices = {
    "PNG, one sheet": baselines.png(digits),
    "WebP, lossless, one sheet": baselines.webp(digits),
    "JPEG-XL, effort 9, one sheet": baselines.jpeg_xl(digits),
    "JPEG-XL, effort 10, one sheet": baselines.jpeg_xl(digits, effort=10),
    f"diffusion, T = {T_file}, the file": total,
    "the bound, infinitely many steps": limit,
}
figure, ax = plt.subplots(figsize=(7, 2.6))
colors = ["0.7"] * 4 + [COLORS[0], "0.9"]
ax.barh(list(prices), list(prices.values()), color=colors)
for i, (name, price) in enumerate(prices.items()):
    print(f"{name:33s} {price:.2f}")
    ax.text(price + 0.04, i, f"{price:.2f}", va="center")
ax.invert_yaxis()
ax.set(xlabel="bits per dimension", xlim=(0, 4.3), title="360 test digits")
ax.grid(axis="y", visible=False)
show(
    figure,
    "Bars of bits per dimension for 360 test digits: PNG longest at 3.8, WebP at about 3, JPEG-XL between 2.4 and 2.7, then the "
    "file of the diffusion model, shorter than all of these, and below it the bound for infinitely many steps.",
)
claim("14", "digits, initial bits included: bits per dimension saved on the shortest other file",
      min(list(prices.values())[:4]) - total, at_least=0.1, trained=True)  # fmt: skip

# %% [markdown]
# The file is shorter than that of any of the others. Two things should be said with it.
#
# All files get the 360 digits on one sheet, and JPEG-XL is asked for its two greatest efforts. And **the model is not in the file.** Its
# weights take 66 kilobytes, ten times as much as the digits themselves. Who sends the model along is ahead only from
# some number of digits on:

# %%
weights = Path(pretrained.WEIGHTS / "digits.vdm").stat().st_size
per_digit = 64 * (min(list(prices.values())[:4]) - archive.net_bits / some.size)
print(f"the model: {weights} bytes; ahead of the shortest other file from "
      f"{8 * weights / max(per_digit, 1e-9):,.0f} digits on")  # fmt: skip

# %% [markdown]
# ## Photographs in colour
#
# The same codec, another model: the one of lesson 11 for 32×32 patches of photographs, 256 levels, three colours. The
# moves, the laws and the file are the same; only the network is larger. A few test patches, on the best grid for a
# few training patches.

# %%
photos, painter = data.patches(), pretrained.load("patches")
low, high = (float(painter.schedule(t)) for t in (0.0, 1.0))
T_photo = pick(smoke=2, laptop=60)
number = pick(smoke=1, laptop=6)
sample = photos.train[:: pick(smoke=400, laptop=50)]
photo_curve = vdmlite.error_curve(
    painter,
    sample,
    np.linspace(low, high, pick(smoke=3, laptop=81)),
    draws=len(sample),
    batch_size=len(sample),
    key=patch_key,
)
photo_coder = painter.under(vdmlite.PiecewiseLinear(few_steps.best_grid(photo_curve, T_photo)))
chosen = photos.test[:: len(photos.test) // number][:number]
photo_archive = codec.compress(photo_coder, chosen, steps=T_photo, lanes=1)
photo_bits = 8 * len(bytes(photo_archive)) / chosen.size
wrong = int((codec.decompress(photo_coder, photo_archive) != chosen).sum())
claim("14", "patches: numbers that do not come back", wrong, at_most=0)
print(f"{number} patches, bits per dimension")
print(
    f"the file, T = {T_photo:3d}        {photo_bits:.2f}, {photo_archive.net_bits / chosen.size:.2f} of them net"
)
print(f"PNG, one sheet        {baselines.png(photos._replace(test=chosen)):.2f}")
print(f"WebP, one sheet       {baselines.webp(photos._replace(test=chosen)):.2f}")

# %% [markdown]
# Every number came back. But the file is longer than WebP's, and than PNG's, for two reasons.
#
# The first are the initial bits. A latent of such a patch is 3072 numbers, each of several bits, Bit-Swap holds about
# two latents at a time, and here are only a few patches to share what was borrowed. After some hundred patches in a
# row hardly anything of it would be left. The second is the model: even the net rate is above WebP's, though not
# above PNG's. Lesson 11 found the same for its bound at infinitely many steps. A codec can be no better than its
# model, and ours is a small network that saw 817 patches. The full VDM's bound on CIFAR-10 is 2.65 bits per
# dimension, and its codec would be this one.
#
# ## Ask yourself
#
# 1. A codec's grids are made twice as fine. What happens to the net rate, to the initial bits of BB-ANS at $T = 50$,
#    and to those of Bit-Swap?
# 2. A friend begins with a stack of zeros in place of random bits. Is the code still lossless? What else changes?
# 3. Why does the decoder return the last image first?
# 4. Sixty-four lanes are coded faster than one. What do they cost?
# 5. Your codec is lossless and 3 % above the bound. What do you look at?
#
# <details><summary>Answers</summary>
#
# 1. The net rate stays. BB-ANS borrows one bit more for each of the 51 · 64 numbers of an image, 3264 bits; Bit-Swap
#    about 64 or twice 64 more, for it holds a latent or two at a time.
# 2. It is: every move is still undone. But the first latents are no draws from $q$, and are all alike. If they are
#    unlikely under the model, the first images cost more than the bound says.
# 3. It is a stack, and what was pushed last is on top. Nor could it be otherwise: the bits that were borrowed for the
#    last image belong to those before it.
# 4. Sixty-four times the initial bits, for each lane has to borrow its own.
# 5. First at the error of the path, which for 360 images can be near one per cent; then at the bound of the same $T$
#    and the same grid; then at whether the bits are white and what the laws' tails hold.
# </details>
#
# ## Take along
#
# > **Popping from random bits is drawing, and pushing pays the bits back. So latents are free but for q's distance
# > from the posterior, and the bound is a file's length. The order of the moves decides what must be borrowed first;
# > only the rate shows what a round trip hides.**
#
# In the package: `codec.compress`, `codec.decompress`, `codec.vdm_moves`, `codec.encode`, `codec.decode`,
# `codec.Stack`, `codec.initial_bits`. Exercises: `exercises/14_lossless_compression.ipynb`. Next: the systems around
# VDM.
