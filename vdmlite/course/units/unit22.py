"""Built from solutions/22_one_table.py. Do not edit."""


import numpy as np

from vdmlite.course import check, hint, solution, todo


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


def compare(one, other):
    """Return (more, error, share of the squared error that the draws make)."""
    draws, images = one.shape
    each = (other - one).mean(axis=0)
    more = each.mean()
    error = each.std(ddof=1) / np.sqrt(images)
    from_draws = ((other - one).var(axis=0, ddof=1) / draws).mean()
    return more, error, from_draws / (images * error**2)


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


def frontier(bits, seconds):
    """Return (kept, least), each with one entry for each model."""
    as_good = (bits <= bits[:, None]) & (seconds <= seconds[:, None])
    better = (bits < bits[:, None]) | (seconds < seconds[:, None])
    beats = as_good & better
    kept = ~beats.any(axis=1)
    least = np.where(seconds <= seconds[:, None], bits, np.inf).min(axis=1)
    return kept, least


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


def diagnose(losses, prior, diffusion, moved, moved_error, clean):
    """Return the number of the bug of each report."""
    late, scatter = losses.mean(axis=1), losses.std(axis=1)
    missing = late < diffusion / 3
    variance = late > 1.2 * diffusion
    shared = scatter > late / 2
    time = np.abs(moved) > 5 * moved_error
    rounded = clean > 0.01
    raw = prior > diffusion / 10
    stale = late < 0.9 * diffusion  # of several that are true, the first counts
    shows = [missing, variance, shared, time, rounded, raw, stale]
    return np.select(shows, [1, 2, 3, 4, 5, 6, 7], 0)


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


def right_loss(pixels, net, low, high, t, eps):
    """Return (prior, diffusion) of each image, in nats."""
    x = 2 * (pixels + 0.5) / 256 - 1
    gamma = low + (high - low) * t
    alpha, sigma = np.sqrt(1 / (1 + np.exp(gamma))), np.sqrt(1 / (1 + np.exp(-gamma)))
    z = alpha[:, None] * x + sigma[:, None] * eps
    error = ((eps - net(z, gamma)) ** 2).sum(axis=1)
    diffusion = 0.5 * (high - low) * error
    signal, noise = 1 / (1 + np.exp(high)), 1 / (1 + np.exp(-high))
    prior = 0.5 * (signal * x**2 + noise - 1 - np.log(noise)).sum(axis=1)
    return prior, diffusion


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


def two_models(a, b, a_test, b_test):
    """Return (flagged, w, mixed): prices in bits an image, w the weight of A."""
    w = 0.5
    for _ in range(100):
        from_a, from_b = np.log2(w) - a, np.log2(1 - w) - b
        w = np.mean(2 ** (from_a - np.logaddexp2(from_a, from_b)))
    flagged = np.mean(1 + np.minimum(a_test, b_test))
    mixed = -np.mean(np.logaddexp2(np.log2(w) - a_test, np.log2(1 - w) - b_test))
    return flagged, w, mixed


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
