# %% [markdown]
# # 22 · One table, and which bug is this: exercises
#
# *Five exercises, about 95 minutes · belongs to lesson 22*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment
# the hint. Every check stands alone: go on to the next one whenever you like. The last exercise is a **build**: it
# takes longer, and its text shows no formula to copy.
#
# All arrays here are NumPy's, in double precision.

# %% tags=["imports"]
import numpy as np

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import jax

from vdmlite.course import exercise


def numbers(key):
    """A NumPy generator from one of JAX's keys."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def some_draws(key):
    """Prices by two models: draws × images, some images hard for both."""
    random = numbers(key)
    draws, images = int(random.integers(3, 6)), int(random.integers(5, 9))
    hard = random.normal(2, 0.5, images)
    gap = random.normal(0.1, 0.05, images)
    noise = random.choice([0.02, 0.2])
    one = hard + random.normal(0, noise, (draws, images))
    other = hard + gap + random.normal(0, 2 * noise, (draws, images))
    return one, other


# %% [markdown]
# ## 22.1 · More images, or more draws?
# *difficulty ●●○ · 15 minutes*
#
# `one[k, i]` is draw `k` of the price that a model puts on image `i`; `other[k, i]` is that of a second model, on the same image, with noise of its own. Return
#
# - `more`: by how much the other one is dearer, in the mean over images;
# - `error`: the standard error of `more`, by pairs;
# - `share`: the part of that error's *square* that comes from the noise of the draws. (Estimate the variance of an image's mean difference from the scatter of its *differences*, draw by draw, and take the mean over images.)
#
# All variances with $n - 1$.
#
# *Predict first*: `share` is 0.02. Would you rather have ten times as many draws, or twice as many images?


# %% tags=["22.1"]
def compare(one, other):
    """Return (more, error, share of the squared error that the draws make)."""
    draws, images = one.shape
    ### BEGIN SOLUTION the difference for each image
    each = (other - one).mean(axis=0)
    ### END SOLUTION
    more = each.mean()
    ### BEGIN SOLUTION the standard error of the mean over images
    error = each.std(ddof=1) / np.sqrt(images)
    ### END SOLUTION
    ### BEGIN SOLUTION the variance that the draws make, of an image's mean
    from_draws = ((other - one).var(axis=0, ddof=1) / draws).mean()
    ### END SOLUTION
    return more, error, from_draws / (images * error**2)


# %% tags=["author"]
exercise(
    "22.1",
    compare,
    inputs=some_draws,
    hints=[
        "First the mean over draws, so that there is one number for each image; then the scatter of these numbers over images.",
        "The draws of one image scatter with some variance. Their mean has that variance divided by the number of draws.",
    ],
    slips=[
        (
            "(other - one).mean(axis=0)",
            "(one - other).mean(axis=0)",
            "By how much the *other* one is dearer: other less one.",
        ),
        (
            "(other - one).mean(axis=0)",
            "(other - one)[0]",
            "That is the first draw alone. Take the mean over all draws of an image.",
        ),
        (
            "each.std(ddof=1) / np.sqrt(images)",
            "np.hypot(one.mean(0).std(ddof=1), other.mean(0).std(ddof=1)) / np.sqrt(images)",
            "That is the error as if the models had seen different images. What is hard for both cancels in the difference.",
        ),
        (
            "each.std(ddof=1) / np.sqrt(images)",
            "(other - one).std(ddof=1) / np.sqrt(images * draws)",
            "Draws of one image are no new images: they share what is hard about it. One number for each image first.",
        ),
        (
            "each.std(ddof=1) / np.sqrt(images)",
            "each.std(ddof=1)",
            "That is the scatter of one image. The error of the mean is smaller by √images.",
        ),
        (
            "((other - one).var(axis=0, ddof=1) / draws).mean()",
            "(other - one).var(axis=0, ddof=1).mean()",
            "That is the variance of one draw. The mean over draws has less.",
        ),
        (
            "((other - one).var(axis=0, ddof=1) / draws).mean()",
            "((other - one).var(axis=1, ddof=1) / draws).mean()",
            "The scatter among the draws of one image: along the first axis.",
        ),
        (
            "((other - one).var(axis=0, ddof=1) / draws).mean()",
            "(one.var(axis=0, ddof=1) / draws).mean()",
            "The other model's draws have noise as well.",
        ),
    ],
    laws=[
        (
            "draws without noise make no part of the error",
            lambda f: (
                f(np.tile([1.0, 2.0, 4.0], (3, 1)), np.tile([1.5, 2.1, 4.0], (3, 1)))[2],
                0.0,
            ),
        ),
        (
            "what is hard for both does not count",
            lambda f: (
                f(np.array([[1.0, 2.0], [1.2, 2.1]]), np.array([[2.0, 3.5], [2.0, 3.3]])),
                f(np.array([[1.0, 9.0], [1.2, 9.1]]), np.array([[2.0, 10.5], [2.0, 10.3]])),
            ),
        ),
    ],
)


# %% tags=["author"]
def some_models(key):
    """Bits and seconds of some models, with ties."""
    random = numbers(key)
    n = int(random.integers(7, 11))
    bits = random.integers(1, 5, n) * 0.5 + 1.0
    seconds = random.integers(1, 4, n) * 0.2 + 0.1
    bits[-1], seconds[-1] = bits[0], seconds[0]
    seconds[[1, 2]], bits[[1, 2]] = 0.1, random.permutation([2.0, 3.0])  # as quick
    bits[[3, 4]], seconds[[3, 4]] = 1.0, random.permutation([0.5, 0.7])  # as good
    return bits, seconds


# %% [markdown]
# ## 22.2 · Which models are worth having
# *difficulty ●●○ · 15 minutes*
#
# Model `i` costs `bits[i]` and draws in `seconds[i]`. A model is *beaten* if another one is at least as good in both, and better in one of them. Return
#
# - `kept`: for each model, whether it is not beaten;
# - `least`: for each model, the fewest bits that one can have in as little time as it takes, or less.
#
# Two models that are equal in both do not beat each other.
#
# *Predict first*: is the model with the fewest bits always kept? And what is `least` for it?


# %% tags=["22.2"]
def frontier(bits, seconds):
    """Return (kept, least), each with one entry for each model."""
    ### BEGIN SOLUTION a matrix: does model j (second axis) beat model i (first axis)?
    as_good = (bits <= bits[:, None]) & (seconds <= seconds[:, None])
    better = (bits < bits[:, None]) | (seconds < seconds[:, None])
    beats = as_good & better
    ### END SOLUTION
    kept = ~beats.any(axis=1)
    ### BEGIN SOLUTION the fewest bits in as little time
    least = np.where(seconds <= seconds[:, None], bits, np.inf).min(axis=1)
    ### END SOLUTION
    return kept, least


# %% tags=["author"]
exercise(
    "22.2",
    frontier,
    inputs=some_models,
    hints=[
        "bits[:, None] has model i along the first axis; compared with bits, model j stands along the second one.",
        "A model is never better than itself, so the second condition takes care of the diagonal.",
    ],
    slips=[
        (
            "beats = as_good & better",
            "beats = as_good",
            "As good in both *and* better in one: each alone beats far too many, some models even themselves.",
        ),
        (
            "beats = as_good & better",
            "beats = better",
            "As good in both *and* better in one: each alone beats far too many, some models even themselves.",
        ),
        (
            "better = (bits < bits[:, None]) | (seconds < seconds[:, None])",
            "better = (bits < bits[:, None]) & (seconds < seconds[:, None])",
            "Better in *one* is enough, if the other is as good: equal counts there.",
        ),
        (
            "as_good = (bits <= bits[:, None]) & (seconds <= seconds[:, None])",
            "as_good = (bits < bits[:, None]) & (seconds < seconds[:, None])",
            "Better in *one* is enough, if the other is as good: equal counts there.",
        ),
        (
            "as_good = (bits <= bits[:, None]) & (seconds <= seconds[:, None])",
            "as_good = (bits >= bits[:, None]) & (seconds >= seconds[:, None])",
            "Fewer bits and fewer seconds are better: that is the other direction.",
        ),
        (
            "np.where(seconds <= seconds[:, None], bits, np.inf)",
            "np.where(seconds >= seconds[:, None], bits, np.inf)",
            "In as *little* time: those that are not slower.",
        ),
        (
            "np.where(seconds <= seconds[:, None], bits, np.inf)",
            "np.where(seconds < seconds[:, None], bits, np.inf)",
            "The model itself counts, and others that take as long.",
        ),
        (
            "    kept = ~beats.any(axis=1)",
            "    kept = ~beats.any(axis=0)",
            "That keeps the models which beat nobody. Kept is who is beaten by nobody: the other axis.",
        ),
    ],
    laws=[
        (
            "a model that is alone is kept",
            lambda f: (
                f(np.array([2.0]), np.array([1.0])),
                (np.array([True]), np.array([2.0])),
            ),
        ),
    ],
)


# %% tags=["author"]
BUGS = ["nothing", "weight", "σ²", "one noise", "t", "half precision", "not scaled", "average"]


def report(bug, random):
    """What is measured of a program with a bug: sizes by chance, signs as in the lesson."""
    diffusion = random.uniform(3, 3000)
    error = 0.004 * diffusion
    late, spread = diffusion * random.uniform(0.99, 1.01), random.uniform(0.03, 0.12)
    prior, clean = diffusion * random.uniform(0, 0.004), random.uniform(0, 1e-4)
    moved = random.uniform(-1.5, 1.5) * error
    if bug == 1:
        late /= random.uniform(6, 12)
    elif bug == 2:
        late *= random.uniform(1.6, 2.1)
    elif bug == 3:
        spread = random.uniform(1.5, 2.5)
    elif bug == 4:
        moved = random.uniform(9, 40) * error
    elif bug == 5:
        clean, late, diffusion = random.uniform(0.05, 0.8), late * 1.02, diffusion * 1.02
    elif bug == 6:
        prior = diffusion * random.uniform(1.3, 3)
    elif bug == 7:
        diffusion, moved = diffusion * random.uniform(1.4, 2.2), moved * 1.3
    scatter = random.normal(0, 1, 200)
    losses = late * (1 + spread * (scatter - scatter.mean()) / scatter.std())
    return losses, prior, diffusion, moved, error, clean


def some_reports(key):
    """Sixteen reports, each bug twice."""
    random = numbers(key)
    order = random.permutation(np.repeat(np.arange(8), 2))
    columns = zip(*(report(bug, random) for bug in order), strict=True)
    return tuple(np.array(column) for column in columns)


# %% [markdown]
# ## 22.3 · The doctor
# *difficulty ●●○ · 20 minutes*
#
# Write down what you did when you named the eight programs of the lesson. Each row is the report of a program; the sizes of the pictures differ, so that its bound may be 3 nats or 3,000:
#
# - `losses[i]`: the losses that it printed for the last 200 batches;
# - `prior[i]`, `diffusion[i]`: the terms of the bound of its average network, in nats;
# - `moved[i] ± moved_error[i]`: by how much the diffusion term is larger under another schedule, with its standard error;
# - `clean[i]`: the error of $\hat\varepsilon$ for each pixel at the clean end.
#
# Return the number of the bug for each row:
#
# | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 |
# |---|---|---|---|---|---|---|---|
# | none | ½γ′ missing | σ² for σ | one noise for a batch | $t$ for γ | half precision | not scaled | average not updated |
#
# The reports are clear ones: the rules need no exact limits, but they need the right comparisons.
#
# *Predict first*: which two bugs would you confuse, if you looked at the losses alone?


# %% tags=["22.3"]
def diagnose(losses, prior, diffusion, moved, moved_error, clean):
    """Return the number of the bug of each report."""
    late, scatter = losses.mean(axis=1), losses.std(axis=1)
    ### BEGIN SOLUTION a list of seven arrays, true where a report shows the bug 1, 2, … 7
    missing = late < diffusion / 3
    variance = late > 1.2 * diffusion
    shared = scatter > late / 2
    time = np.abs(moved) > 5 * moved_error
    rounded = clean > 0.01
    raw = prior > diffusion / 10
    stale = late < 0.9 * diffusion  # of several that are true, the first counts
    shows = [missing, variance, shared, time, rounded, raw, stale]
    ### END SOLUTION
    return np.select(shows, [1, 2, 3, 4, 5, 6, 7], 0)


# %% tags=["author"]
exercise(
    "22.3",
    diagnose,
    inputs=some_reports,
    equivalent=[  # the reports are clear: another limit between the two groups is as good
        "missing = late < diffusion / 4",
        "shared = scatter > late / 3",
        "time = np.abs(moved) > 6 * moved_error",
        "time = moved > 5 * moved_error",
        "raw = prior > diffusion / 11",
    ],
    hints=[
        "If all is right, the printed loss *is* the diffusion term. Three bugs break this, each in its own way.",
        "Scatter has to be compared with the loss itself, the prior with the diffusion term, and `moved` with its error.",
    ],
    slips=[
        (
            "late < diffusion / 3\n",
            "late < 1\n",
            "A loss below 1 may be right: it depends on the size of the pictures. Compare it with the diffusion term.",
        ),
        (
            "late > 1.2 * diffusion",
            "late < diffusion / 1.2",
            "In the lesson the loss was *above* the diffusion term of the network: too little noise in training, and ε̂ is read as if there were more.",
        ),
        (
            "scatter > late / 2",
            "scatter > 1",
            "Large losses scatter by more. Compare the scatter with the loss.",
        ),
        (
            "np.abs(moved) > 5 * moved_error",
            "np.abs(moved) > 0",
            "Every difference of two estimates is other than 0. How many errors is it?",
        ),
        (
            "np.abs(moved) > 5 * moved_error",
            "np.abs(moved) > 0.1 * diffusion",
            "A small part of the bound may be many errors: compare it with its error.",
        ),
        (
            "clean > 0.01",
            "clean < 0.01",
            "There should be *no* error where there is no noise: a large one is the sign.",
        ),
        (
            "prior > diffusion / 10",
            "prior > 0.1",
            "For a large picture 0.1 nats are nothing. Compare it with the diffusion term.",
        ),
        (
            "late < 0.9 * diffusion",
            "late > 1.1 * diffusion",
            "The network that is examined is the untrained one: its diffusion term is the larger number.",
        ),
    ],
    laws=[
        (
            "a sound program has no bug, at any size",
            lambda f: (
                f(
                    np.outer([5.0, 5000.0], 1 + 0.05 * np.sin(np.arange(200))),
                    np.array([0.001, 1.0]),
                    np.array([5.0, 5000.0]),
                    np.array([0.01, -10.0]),
                    np.array([0.02, 20.0]),
                    np.array([1e-6, 1e-6]),
                ),
                np.zeros(2),
            ),
        ),
    ],
)


# %% tags=["author"]
def some_pixels(key):
    """Images of bytes, a network, ends of γ, times and noise."""
    random = numbers(key)
    n, d = int(random.integers(2, 5)), int(random.integers(2, 4))
    a, b = random.normal(0, 0.5, 2)

    def net(z, gamma):
        return np.tanh(a * z + b * gamma[:, None] / 10)

    pixels = random.integers(0, 256, (n, d))
    low, high = random.uniform(-8, -4), random.uniform(2, 5)
    return pixels, net, low, high, random.uniform(0.1, 0.9, n), random.normal(0, 1, (n, d))


# %% [markdown]
# ## 22.4 · A friend's program
# *difficulty ●●○ · 20 minutes*
#
# A friend trains a VDM with the straight schedule between `low` and `high` on images of bytes, and wonders about her numbers. Here is her loss. It runs. It has **six** bugs.


# %%
def friends_loss(pixels, net, low, high, t, eps):
    """The prior and the diffusion term of each image, in nats."""
    image = pixels / 255
    level = low + (high - low) * t
    a, s = np.sqrt(1 / (1 + np.exp(level))), np.sqrt(1 / (1 + np.exp(-level)))
    latent = a[:, None] * image + s[:, None] ** 2 * eps
    squares = ((eps - net(latent, t)) ** 2).mean(axis=1)
    a_1, s_1 = np.sqrt(1 / (1 + np.exp(high))), np.sqrt(1 / (1 + np.exp(-high)))
    kl = 0.5 * (a_1**2 * image**2 + s_1**2 - 1 - np.log(s_1)).sum(axis=1)
    return kl, 0.5 * squares


# %% [markdown]
# Write it anew, so that it is right. A byte $k$ stands at the middle of its cell of $[-1, 1]$, as everywhere in this course. Do not trust any of her lines, but not all of them are wrong.
#
# *Predict first*: one of her bugs shows in a number that cannot be. Which one?


# %% tags=["22.4"]
def right_loss(pixels, net, low, high, t, eps):
    """Return (prior, diffusion) of each image, in nats."""
    ### BEGIN SOLUTION all that is right in her lines, and the six that are not
    x = 2 * (pixels + 0.5) / 256 - 1
    gamma = low + (high - low) * t
    alpha, sigma = np.sqrt(1 / (1 + np.exp(gamma))), np.sqrt(1 / (1 + np.exp(-gamma)))
    z = alpha[:, None] * x + sigma[:, None] * eps
    error = ((eps - net(z, gamma)) ** 2).sum(axis=1)
    diffusion = 0.5 * (high - low) * error
    signal, noise = 1 / (1 + np.exp(high)), 1 / (1 + np.exp(-high))
    prior = 0.5 * (signal * x**2 + noise - 1 - np.log(noise)).sum(axis=1)
    return prior, diffusion
    ### END SOLUTION


# %% tags=["author"]
exercise(
    "22.4",
    right_loss,
    inputs=some_pixels,
    hints=[
        "Take her lines one by one, and say for each what it should be: which numbers it makes, of which size, summed over what.",
        "A KL is never negative, a bound is a sum over pixels, and its diffusion term has a weight. That leaves three, in what the network gets.",
    ],
    slips=[
        (
            "2 * (pixels + 0.5) / 256 - 1",
            "pixels / 255",
            "Her pixels lie in [0, 1], on one side of 0.",
        ),
        (
            "2 * (pixels + 0.5) / 256 - 1",
            "2 * pixels / 255 - 1",
            "Nearly. But a byte stands at the middle of its cell: 256 cells, the first from −1 to −1 + 2/256.",
        ),
        (
            "sigma[:, None] * eps",
            "sigma[:, None] ** 2 * eps",
            "Her noise is too small: σ is the standard deviation, σ² the variance.",
        ),
        (
            "net(z, gamma)",
            "net(z, t)",
            "The network is told γ, as it is to know the noise and not the time.",
        ),
        (
            ".sum(axis=1)\n    diffusion",
            ".mean(axis=1)\n    diffusion",
            "A bound is a sum over pixels. Her mean is too small by their number.",
        ),
        (
            "0.5 * (high - low) * error",
            "0.5 * error",
            "½γ′(t): the slope of the schedule is missing, for this one high − low.",
        ),
        (
            "0.5 * (high - low) * error",
            "0.5 * gamma * error",
            "γ′(t) is the slope of γ, not γ.",
        ),
        (
            "np.log(noise)",
            "np.log(np.sqrt(noise))",
            "The logarithm is of the variance: KL = ½(mean² + var − 1 − log var).",
        ),
    ],
    laws=[
        (
            "a prior costs nothing where nothing of the image is left",
            lambda f: (
                f(np.array([[0, 255]]), lambda z, g: z, -5.0, 40.0, np.array([0.5]), np.ones((1, 2)))[0],
                [0.0],
            ),
        ),
    ],
)  # fmt: skip


# %% tags=["author"]
def some_costs(key):
    """Costs of images by two models, to choose a weight on and to test."""
    random = numbers(key)
    n, size = int(random.integers(20, 40)), float(random.choice([8.0, 120.0, 3000.0]))
    base = random.normal(size, 0.1 * size, (2, n))
    gap = random.normal(0.3, 2.0, (2, n))
    return base[0], base[0] + gap[0], base[1], base[1] + gap[1]


def _floor(f):
    """The mixture on the images that its weight was chosen on, against each model alone."""
    random = np.random.default_rng(1)
    a = random.normal(100, 10, 200)
    b = a + random.normal(0, 3, 200)
    _, _, cost = f(a, b, a, b)
    return bool(np.ndim(cost) == 0 and cost < min(a.mean(), b.mean())), True


# %% [markdown]
# ## 22.5 · Build: two models, one code
# *difficulty ●●● · 25 minutes · build*
#
# Two models price the same images: model A asks for `a` bits an image, model B for `b`. Both are deterministic prices, such as the axial transformer's. Sender and receiver have both. How should they be used together?
#
# - **A flag.** Send a bit that says which model is used, and take the shorter code.
# - **A mixture.** Use the model $w\, p_A + (1 - w)\, p_B$. No flag is needed. The price of an image is minus the logarithm of that sum.
#
# Choose $w$ on the first two arrays by *EM*, which never makes their mean price larger: begin at $w = \tfrac12$, and 100 times replace $w$ by the mean over images of the probability that the image came from A.
# Return, for the last two arrays,
#
# - `flagged`: the mean price with the flag;
# - `w`: the weight that was found;
# - `mixed`: the mean price by the mixture.
#
# Prices go up to thousands of bits, and $2^{-3000}$ is 0 in any precision: mind how you add.
#
# When it works, try it on `pretrained.load("digits_axial")` and `baselines.pixelwise`: choose $w$ on one half of the 360 digits. (Their prices are per dimension; an image has 64.) Why may
# neither of the two be a *noisy* estimate of a bound, such as the VDM's?


# %% tags=["22.5"]
def two_models(a, b, a_test, b_test):
    """Return (flagged, w, mixed): prices in bits an image, w the weight of A."""
    w = 0.5
    for _ in range(100):
        ### BEGIN SOLUTION the next weight
        from_a, from_b = np.log2(w) - a, np.log2(1 - w) - b
        w = np.mean(2 ** (from_a - np.logaddexp2(from_a, from_b)))
        ### END SOLUTION
    ### BEGIN SOLUTION the mean price with a flag
    flagged = np.mean(1 + np.minimum(a_test, b_test))
    ### END SOLUTION
    ### BEGIN SOLUTION the mean price by the mixture
    mixed = -np.mean(np.logaddexp2(np.log2(w) - a_test, np.log2(1 - w) - b_test))
    ### END SOLUTION
    return flagged, w, mixed


# %% tags=["author"]
exercise(
    "22.5",
    two_models,
    inputs=some_costs,
    equivalent=[  # either way round
        "flagged = np.mean(1 + np.minimum(b_test, a_test))",
        "mixed = -np.mean(np.logaddexp2(np.log2(1 - w) - b_test, np.log2(w) - a_test))",
        "w = np.mean(2 ** (from_a - np.logaddexp2(from_b, from_a)))",
    ],
    hints=[
        "A price of a bits is a probability of 2^(−a). In logarithms to base 2, w p_A is log2(w) − a.",
        "np.logaddexp2(x, y) is log2(2^x + 2^y), and never leaves the range of the numbers.",
        "That the image came from A: w p_A over w p_A + (1 − w) p_B. A difference of logarithms first, then 2 to its power.",
    ],
    slips=[
        (
            "np.log2(w) - a, np.log2(1 - w) - b",
            "-a, -b",
            "The weights belong to it: Bayes' rule with the w at hand.",
        ),
        (
            "np.log2(w) - a, np.log2(1 - w) - b",
            "np.log2(w) + a, np.log2(1 - w) + b",
            "A price of a bits is the probability 2^(−a): minus.",
        ),
        (
            "np.mean(2 ** (from_a - np.logaddexp2(from_a, from_b)))",
            "np.mean(2 ** (from_b - np.logaddexp2(from_a, from_b)))",
            "w is the weight of A: the probability that the image came from A.",
        ),
        (
            "np.mean(2 ** (from_a - np.logaddexp2(from_a, from_b)))",
            "np.mean(a < b)",
            "That counts who wins. By how much counts as well: the probability, not the vote.",
        ),
        (
            "np.mean(1 + np.minimum(a_test, b_test))",
            "np.mean(np.minimum(a_test, b_test))",
            "The flag takes a bit for each image.",
        ),
        (
            "np.mean(1 + np.minimum(a_test, b_test))",
            "1 + min(a_test.mean(), b_test.mean())",
            "The shorter code is chosen for each image, not once for all.",
        ),
        (
            "-np.mean(np.logaddexp2(np.log2(w) - a_test, np.log2(1 - w) - b_test))",
            "np.mean(w * a_test + (1 - w) * b_test)",
            "That mixes the *prices*. Mix the probabilities: the logarithm comes after the sum, and the result is less.",
        ),
        (
            "-np.mean(np.logaddexp2(np.log2(w) - a_test, np.log2(1 - w) - b_test))",
            "-np.mean(np.logaddexp2(np.log2(w) - a, np.log2(1 - w) - b))",
            "The price of the test images is asked for: the weight was chosen on the others.",
        ),
        (
            "a, np.log2(1 - w) - b",
            "np.mean(a), np.log2(1 - w) - np.mean(b)",
            "In each round every image is asked by itself, which model it came from. Then the answers are averaged.",
        ),
    ],
    laws=[
        (
            "two models that are the same cost what one costs",
            lambda f: (
                f(np.full(3, 9.0), np.full(3, 9.0), np.array([5.0, 7.0]), np.array([5.0, 7.0]))[1:],
                (0.5, 6.0),
            ),
        ),
        ("on the images that w was chosen on, the mixture beats both", _floor),
    ],
)  # fmt: skip

# %% [markdown]
# ## Now import it
#
# `course.pretrained.measure` gives draws × images for any loss; `Evaluation.minus` compares two evaluations by pairs.
#
# What was to be predicted. With a share of 0.02, more draws gain next to nothing: take more images. The model with the fewest bits is kept, if no other has as few and is quicker; its `least` is its own price. From the losses alone
# a sound program and one with an average that is never updated look alike, as do those with half precision and with $t$ for γ. The friend's prior can be negative, and a KL can't. And the mixture: its price is a *concave* function
# of the price of each model. So noise around a price makes the mixture's mean smaller (Jensen's inequality), and what looks like a gain may be nothing but noise.
