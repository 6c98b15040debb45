# %% [markdown]
# # 16 · SR3: many answers to one small image: exercises
#
# *Six exercises, about 90 minutes · belongs to lesson 16*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment
# the hint. Every check stands alone: go on to the next one whenever you like. The last exercise is a **build**: it
# takes longer, and its text shows no formula to copy.
#
# All arrays here are NumPy's, in double precision. A *mean squared error* is a mean over pixels, and over images where there
# are several.

# %% tags=["imports"]
import numpy as np

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import jax

from vdmlite.course import exercise


def numbers(key):
    """A NumPy generator from one of JAX's keys."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def some_candidates(key):
    """Large images that fit one small image, and how probable each is."""
    random = numbers(key)
    p = random.exponential(1.0, 5)
    return random.uniform(-1, 1, (5, 6)) * random.uniform(0.2, 1.0, (5, 1)), p / p.sum()


# %% [markdown]
# ## 16.1 · Three ways to answer
# *difficulty ●○○ · 10 minutes*
#
# Somebody has a small image, and knows everything there is to know: the large image is one of the rows of `candidates`, row
# `k` with probability `p[k]`. One answer has to be given. What mean squared error is to be expected
#
# - of the mean of the candidates, each with its probability;
# - of a candidate drawn by chance, with these probabilities;
# - of the most probable candidate?
#
# *Predict first*: put the three in order. Is the order of the last two always the same? Try to find candidates for which
# it turns round.


# %% tags=["16.1"]
def three_answers(candidates, p):
    """Return the expected mean squared errors (of the mean, of a draw, of the most probable)."""

    def cost(answer):
        """The expected mean squared error of one answer."""
        ### BEGIN SOLUTION the expected error of `answer`, a mean over pixels
        return p @ np.mean((candidates - answer) ** 2, axis=1)
        ### END SOLUTION

    ### BEGIN SOLUTION the mean's error
    of_mean = cost(p @ candidates)
    ### END SOLUTION
    ### BEGIN SOLUTION the error to be expected of a draw
    of_draw = p @ np.array([cost(candidate) for candidate in candidates])
    ### END SOLUTION
    ### BEGIN SOLUTION the most probable one's error
    of_probable = cost(candidates[np.argmax(p)])
    ### END SOLUTION
    return of_mean, of_draw, of_probable


# %% tags=["author"]
exercise(
    "16.1",
    three_answers,
    inputs=some_candidates,
    equivalent=["of_draw = p @ [cost(candidate) for candidate in candidates]"],
    hints=[
        "The truth is candidate k with probability p[k]. For one answer, average its error over the truths.",
        "A draw is an answer that is itself random: average the cost of each candidate, with the same probabilities.",
    ],
    slips=[
        (
            "p @ np.mean((candidates - answer) ** 2, axis=1)",
            "np.mean(np.mean((candidates - answer) ** 2, axis=1))",
            "The candidates are not equally probable: average over them with p.",
        ),
        (
            "p @ np.mean((candidates - answer) ** 2, axis=1)",
            "p @ np.sum((candidates - answer) ** 2, axis=1)",
            "A mean over the pixels is asked for, not a sum.",
        ),
        (
            "cost(p @ candidates)",
            "cost(np.mean(candidates, axis=0))",
            "The mean has to be taken with the probabilities.",
        ),
        (
            "p @ np.array([cost(candidate) for candidate in candidates])",
            "np.mean(np.array([cost(candidate) for candidate in candidates]))",
            "The draw falls on candidate k with probability p[k]: weigh its cost so.",
        ),
        (
            "p @ np.array([cost(candidate) for candidate in candidates])",
            "cost(p @ candidates)",
            "That is the mean's error. A draw is not the mean: it may be far from the truth on the other side.",
        ),
        (
            "cost(candidates[np.argmax(p)])",
            "cost(candidates[np.argmin(p)])",
            "That is the least probable candidate.",
        ),
        (
            "cost(candidates[np.argmax(p)])",
            "min(cost(c) for c in candidates)",
            "That is the candidate with the least error. It need not be the most probable one.",
        ),
        (
            "cost(candidates[np.argmax(p)])",
            "1 - np.max(p)",
            "That is how often the most probable one is wrong. Asked is by how much: its expected squared error.",
        ),
    ],
    laws=[
        (
            "a draw costs twice as much as the mean",
            lambda f: (
                f(np.array([[0.0, 1.0], [2.0, 1.0], [1.0, -3.0]]), np.array([0.5, 0.2, 0.3]))[
                    1
                ],
                2
                * f(np.array([[0.0, 1.0], [2.0, 1.0], [1.0, -3.0]]), np.array([0.5, 0.2, 0.3]))[
                    0
                ],
            ),
        ),
        (
            "with a single candidate nothing is lost",
            lambda f: (f(np.array([[0.3, -0.2]]), np.array([1.0])), (0.0, 0.0, 0.0)),
        ),
    ],
)


# %% tags=["author"]
def some_answer(key):
    """An image, the means of squares that it should have, and the factor."""
    random = numbers(key)
    factor = int(random.choice([2, 3]))
    h, w = random.choice([1, 2, 3], 2, replace=False)
    image = random.uniform(-1, 1, (h * factor, w * factor))
    return image, random.uniform(-1, 1, (h, w)), factor


# %% [markdown]
# ## 16.2 · The nearest image that fits
# *difficulty ●●○ · 12 minutes*
#
# A network has answered with a large `image`, of one channel. Its squares of `factor` × `factor` pixels should have the means `low`,
# and do not quite. Return
#
# - `nearest`: of all images whose squares have the means `low`, the one with the least squared distance from `image`;
# - `gain`: by how much the squared error (a *sum* over the pixels) against the true large image becomes smaller, if `nearest` is given
#   in place of `image`. You do not have the true image. You need not.
#
# *Predict first*: can `gain` be negative?


# %% tags=["16.2"]
def make_fit(image, low, factor):
    """Return (the nearest image that fits, by how much its squared error is smaller)."""
    h, w = low.shape
    ### BEGIN SOLUTION by how much each square's mean is off
    squares = image.reshape(h, factor, w, factor)
    off = low - squares.mean((1, 3))
    ### END SOLUTION
    ### BEGIN SOLUTION the nearest image with the right means
    nearest = (squares + off[:, None, :, None]).reshape(image.shape)
    ### END SOLUTION
    ### BEGIN SOLUTION what is gained
    gain = factor**2 * np.sum(off**2)
    ### END SOLUTION
    return nearest, gain


# %% tags=["author"]
def _error_falls_by_the_gain(f):
    random = np.random.default_rng(3)
    truth, image = random.normal(size=(2, 6, 4))
    low = truth.reshape(3, 2, 2, 2).mean((1, 3))
    nearest, gain = f(image, low, 2)
    return np.sum((image - truth) ** 2) - np.sum((np.asarray(nearest) - truth) ** 2), gain


exercise(
    "16.2",
    make_fit,
    inputs=some_answer,
    hints=[
        "image.reshape(h, factor, w, factor) has the rows of a square along axis 1 and its columns along axis 3.",
        "One square at a time: of all changes of its pixels with a given mean, which has the least sum of squares?",
        "Truth and nearest have the same means, so their difference has mean 0 in every square, and the change is constant there. Pythagoras.",
    ],
    slips=[
        (
            "image.reshape(h, factor, w, factor)",
            "image.reshape(h, factor, factor, w).swapaxes(2, 3)",
            "These are not squares: neighbours along a row lie on the last axis, so a row is split into (w, factor).",
        ),
        (
            "low - squares.mean((1, 3))",
            "squares.mean((1, 3)) - low",
            "The sign: what is missing is added.",
        ),
        (
            "low - squares.mean((1, 3))",
            "low - squares.sum((1, 3))",
            "low has the means of the squares, not their sums.",
        ),
        (
            "(squares + off[:, None, :, None])",
            "(squares + off[:, None, :, None] / factor**2)",
            "For the mean to rise by `off`, every pixel has to.",
        ),
        (
            "(squares + off[:, None, :, None])",
            "(0 * squares + low[:, None, :, None])",
            "That image fits, but all that the network had to say within a square is gone: it is not the nearest.",
        ),
        (
            "(squares + off[:, None, :, None])",
            "(squares * (low / squares.mean((1, 3)))[:, None, :, None])",
            "That image fits, but is not the nearest: add the same to all pixels of a square.",
        ),
        (
            "factor**2 * np.sum(off**2)",
            "np.sum(off**2)",
            "That counts every square once. It has factor² pixels, and all of them moved.",
        ),
        (
            "factor**2 * np.sum(off**2)",
            "np.mean(off**2)",
            "A sum over the pixels is asked for.",
        ),
        (
            "factor**2 * np.sum(off**2)",
            "factor**2 * np.sum(off)",
            "Squared errors fall by squares.",
        ),
        (
            "factor, w, factor)\n    off = low - squares.mean((1, 3))\n    nearest = (squares + off[:, None, :, None]).reshape(image.shape)",
            "w, factor, factor)\n    off = low - squares.mean((2, 3))\n    nearest = (squares + off[:, :, None, None]).reshape(image.shape)",
            "reshape keeps the order of the pixels: rows of squares, rows in a square, columns of squares, columns in a square.",
        ),
    ],
    laws=[
        (
            "the squared error against any image that has the means `low` falls by `gain`",
            _error_falls_by_the_gain,
        ),
        (
            "an image that fits stays as it is",
            lambda f: (
                f(np.array([[0.5, -0.5], [1.0, 0.0]]), np.array([[0.25]]), 2),
                (np.array([[0.5, -0.5], [1.0, 0.0]]), 0.0),
            ),
        ),
    ],
)


# %% tags=["author"]
def some_prices(key):
    """What each image costs, in nats: its small one, itself given that, itself at once."""
    random = numbers(key)
    factor, small = int(random.choice([2, 4])), int(random.choice([4, 49]))
    D = small * factor**2
    hard = random.normal(0, 0.3, 12)  # images differ, and are hard for every model
    low = small * (2.0 + hard + random.normal(0, 0.1, 12))
    given = D * (1.0 + hard + random.normal(0, 0.05, 12))
    once = D * (1.1 + hard + random.normal(0, 0.05, 12))
    return low, given, once, small, D


# %% [markdown]
# ## 16.3 · Which bug is this?
# *difficulty ●●○ · 15 minutes*
#
# A chain of two models is compared with one model of the large images. Each of the arrays has one price for each test image,
# in nats: `low` of its small image (`small` numbers), `given` of the large image (`D` numbers) given the small one, and `once` of the large
# image by the single model. This program prints the bits per dimension of the chain, by how much they exceed the single
# model's, and the standard error of this difference:
#
# ```python
# def compare(low, given, once, small, D):
#     chain = low.mean() / small + given.mean() / D
#     more = chain - once.mean() / D
#     error = np.sqrt((low.var() + given.var() + once.var()) / len(low))
#     return chain, more, error
# ```
#
# The first number is far too large, and the third makes every difference look like nothing. There are several faults. Write
# it anew. (The spread of a sample of n is estimated with n − 1.)


# %% tags=["16.3"]
def compare(low, given, once, small, D):
    """Return the chain's bits per dimension, by how much that is more, and the error of this."""
    ### BEGIN SOLUTION the chain's price of each image, in bits per dimension
    chain = (low + given) / (D * np.log(2))
    ### END SOLUTION
    ### BEGIN SOLUTION by how much it is more, for each image
    more = chain - once / (D * np.log(2))
    ### END SOLUTION
    ### BEGIN SOLUTION the standard error of the mean difference
    error = more.std(ddof=1) / np.sqrt(len(more))
    ### END SOLUTION
    return chain.mean(), more.mean(), error


# %% tags=["author"]
exercise(
    "16.3",
    compare,
    inputs=some_prices,
    hints=[
        "What is priced in the end is the large image. How many dimensions has it? And the unit?",
        "An image that is hard for one model is hard for the other. Subtract first, image by image; only what is left scatters.",
    ],
    slips=[
        (
            "(low + given) / (D * np.log(2))",
            "(low / small + given / D) / np.log(2)",
            "The whole price belongs to one large image: divide the sum by its D numbers, not each part by its own.",
        ),
        (
            "(low + given) / (D * np.log(2))",
            "(low + given) / ((D + small) * np.log(2))",
            "The small image is a function of the large one: it adds to the price, not to the dimensions.",
        ),
        (
            "(low + given) / (D * np.log(2))",
            "(low + given) / D",
            "These are nats per dimension: divide by log 2.",
        ),
        (
            "more.std(ddof=1) / np.sqrt(len(more))",
            "np.sqrt((low.var(ddof=1) + given.var(ddof=1) + once.var(ddof=1)) / len(low)) / (D * np.log(2))",
            "The prices belong to the same images, and rise and fall together: take the difference of each image first, and then its spread.",
        ),
        (
            "more.std(ddof=1) / np.sqrt(len(more))",
            "more.std() / np.sqrt(len(more))",
            "The spread of a sample of n is estimated with n − 1 (ddof=1).",
        ),
        (
            "more.std(ddof=1) / np.sqrt(len(more))",
            "more.std(ddof=1)",
            "That is the spread of one image. The error of a mean of n is smaller by √n.",
        ),
        (
            "chain - once / (D * np.log(2))",
            "once / (D * np.log(2)) - chain",
            "The sign: by how much the chain is above the single model.",
        ),
        (
            "more.std(ddof=1) / np.sqrt(len(more))",
            "np.sqrt((chain.var(ddof=1) + (once / (D * np.log(2))).var(ddof=1)) / len(more))",
            "That would be right for independent prices. Both models price the same images: take the differences first.",
        ),
    ],
    laws=[
        (
            "if the chain costs 2 nats more for every image, there is no doubt about it",
            lambda f: (
                f(np.array([1.0, 2.0]), np.array([3.0, 5.0]), np.array([2.0, 5.0]), 1, 4)[1:],
                (0.5 / np.log(2), 0.0),
            ),
        ),
    ],
)


# %% tags=["author"]
def some_draws(key):
    """Draws of a model for some small images, the true large ones, and a number."""
    random = numbers(key)
    n, images, D = int(random.integers(2, 6)), 4, 5
    centre = random.normal(0, 1, (images, D))
    truth = centre + random.normal(0, 0.6, (images, D))
    draws = centre + random.normal(0, random.uniform(0.2, 0.8), (n, images, D))
    return draws, truth, int(random.choice([1, 3, 50]))


# %% [markdown]
# ## 16.4 · Is the model too sure?
# *difficulty ●●○ · 15 minutes*
#
# For each of some small images a model has drawn `n` large ones: `draws[i, j]` is draw `i` for image `j`, and `truth[j]` is
# the true large image. Return
#
# - `dispersion`: the variance of a draw (for one small image, about the mean of *infinitely many* draws), over the mean squared
#   error of this mean. It is 1 for a model that is right, less for one that is too sure;
# - `error`: the mean squared error to be expected of the mean of `k` draws; `k` may be larger than `n`.
#
# Average over images and pixels before you divide. Both quantities of `dispersion` have to be estimated *without bias* from
# the `n` draws, and `n` may be 2.


# %% tags=["16.4"]
def how_sure(draws, truth, k):
    """Return (the dispersion, the error to be expected of the mean of k draws)."""
    n = len(draws)
    ### BEGIN SOLUTION the variance of a draw, a mean over images and pixels
    variance = draws.var(axis=0, ddof=1).mean()
    ### END SOLUTION
    ### BEGIN SOLUTION the mean squared error of the mean of infinitely many draws
    least = np.mean((draws.mean(axis=0) - truth) ** 2) - variance / n
    ### END SOLUTION
    ### BEGIN SOLUTION the dispersion
    dispersion = variance / least
    ### END SOLUTION
    ### BEGIN SOLUTION the error of the mean of k
    error = least + variance / k
    ### END SOLUTION
    return dispersion, error


# %% tags=["author"]
exercise(
    "16.4",
    how_sure,
    inputs=some_draws,
    hints=[
        "Draws of one small image differ along the first axis alone. The variance about an estimated mean is too small unless n − 1 is used.",
        "The mean of n draws is off for two reasons: its centre is not the truth, and it is no centre yet. The second adds variance/n.",
        "So subtract variance/n to have the centre's error, and add variance/k for a mean of k.",
    ],
    slips=[
        (
            "draws.var(axis=0, ddof=1).mean()",
            "draws.var(axis=0).mean()",
            "About the mean of n draws themselves the spread is too small, by (n − 1)/n: ddof=1.",
        ),
        (
            "draws.var(axis=0, ddof=1).mean()",
            "draws.var(ddof=1)",
            "That is the variance of all numbers together. What counts is how the draws for one small image differ: axis 0.",
        ),
        (
            "draws.var(axis=0, ddof=1).mean()",
            "draws.std(axis=0, ddof=1).mean()",
            "A variance is asked for, not a standard deviation.",
        ),
        (
            "np.mean((draws.mean(axis=0) - truth) ** 2) - variance / n",
            "np.mean((draws.mean(axis=0) - truth) ** 2)",
            "The mean of n draws is not yet the mean of infinitely many: it scatters by variance/n, which has to be taken off.",
        ),
        (
            "np.mean((draws.mean(axis=0) - truth) ** 2) - variance / n",
            "np.mean((draws - truth) ** 2) - variance / n",
            "That is the error of single draws. Average the draws first.",
        ),
        (
            "np.mean((draws.mean(axis=0) - truth) ** 2) - variance / n",
            "np.mean((draws.mean(axis=0) - truth) ** 2) + variance / n",
            "The sign: the scatter of the mean of n has made the error larger, so it is taken off.",
        ),
        (
            "variance / least",
            "least / variance",
            "Upside down: the variance over the error.",
        ),
        (
            "least + variance / k",
            "least * (1 + 1 / k)",
            "That holds for a dispersion of 1. This model has another.",
        ),
        (
            "least + variance / k",
            "(least + variance) / k",
            "The centre's own error does not shrink with more draws.",
        ),
    ],
    laws=[
        (
            "for k = n the error is the one that was seen",
            lambda f: (
                f(np.array([[[0.0, 2.0]], [[1.0, 0.0]]]), np.array([[3.0, 3.0]]), 2)[1],
                np.mean([2.5**2, 2.0**2]),
            ),
        ),
        (
            "a model that always draws the same has no dispersion",
            lambda f: (f(np.ones((3, 2, 2)), np.zeros((2, 2)), 7), (0.0, 1.0)),
        ),
    ],
)


# %% tags=["author"]
def some_noise(key):
    """A correlation, noises of training, the noise of use."""
    random = numbers(key)
    return random.uniform(0.3, 0.95), random.uniform(0, 1.5, 5), random.uniform(0.1, 1.2)


# %% [markdown]
# ## 16.5 · A condition that is not quite right
# *difficulty ●●○ · 15 minutes*
#
# In a cascade the small image is drawn by a model, and is not quite like a real one. A toy: $x$ and $c$ are numbers of
# mean 0, variance 1 and correlation `rho`, jointly Gaussian. A network is trained to guess $x$ by the mean squared error,
# and sees $c + a \eta$ with fresh noise $\eta \sim \mathcal N(0, 1)$. It learns the best guess. In use it
# sees $c + b \eta$: the noise now stands for the faults of the model before. Nobody tells the network what $a$ or $b$ is.
#
# Return
#
# - `error`: its mean squared error in use, for each noise of training in the array `a`;
# - `best`: of all numbers $a \ge 0$, not only those in the array, the one that makes this error least, and `least`: the error it makes then.
#
# *Predict first*: for a network trained without noise ($a = 0$), can a condition that is very wrong be worse than none?


# %% tags=["16.5"]
def in_use(rho, a, b):
    """Return (the errors for each a, the best a, its error)."""
    ### BEGIN SOLUTION by what the trained network multiplies what it sees
    slope = rho / (1 + a**2)
    ### END SOLUTION
    ### BEGIN SOLUTION its error in use
    error = 1 - 2 * slope * rho + slope**2 * (1 + b**2)
    ### END SOLUTION
    ### BEGIN SOLUTION the best noise of training
    best = b
    ### END SOLUTION
    ### BEGIN SOLUTION its error
    least = 1 - rho**2 / (1 + b**2)
    ### END SOLUTION
    return error, best, least


# %% tags=["author"]
exercise(
    "16.5",
    in_use,
    inputs=some_noise,
    hints=[
        "For Gaussian numbers the best guess is covariance over variance times what is seen. What is the variance of c + a η?",
        "With a given slope k the error is E(x − k (c + b η))². Multiply out.",
        "Which slope would be best in use? Which a gives it?",
    ],
    slips=[
        (
            "rho / (1 + a**2)",
            "rho",
            "That is the slope without noise in training. c + a η has the variance 1 + a², so trust it less.",
        ),
        (
            "rho / (1 + a**2)",
            "rho / (1 + b**2)",
            "The slope is learned in training, where the noise is a.",
        ),
        (
            "rho / (1 + a**2)",
            "rho / np.sqrt(1 + a**2)",
            "The guess is covariance over *variance*, not over the standard deviation.",
        ),
        (
            "rho / (1 + a**2)",
            "rho / (1 + a)",
            "The variance of a η is a².",
        ),
        (
            "1 - 2 * slope * rho + slope**2 * (1 + b**2)",
            "1 - slope * rho",
            "That is the error in *training*. In use the noise is b, and the slope is no longer the best one.",
        ),
        (
            "1 - 2 * slope * rho + slope**2 * (1 + b**2)",
            "1 - 2 * slope * rho + slope**2",
            "The noise of use is missing: what is seen has the variance 1 + b².",
        ),
        (
            "best = b",
            "best = 0.0",
            "Without noise in training the network trusts the condition too much.",
        ),
        (
            "best = b",
            "best = b**2",
            "a and b are standard deviations alike: the slopes agree if a² = b².",
        ),
        (
            "1 - rho**2 / (1 + b**2)",
            "1 - rho**2",
            "That would be left with a perfect condition. This one has noise.",
        ),
        (
            "a**2)",
            "b**2) + 0 * a",
            "The network was trained at a, and nobody tells it b: its slope is the one that was best at a.",
        ),
    ],
    laws=[
        (
            "no other noise of training does better than `best`",
            lambda f: (
                bool(
                    np.all(
                        np.asarray(f(0.8, np.linspace(0.0, 2.0, 41), 0.7)[0])
                        >= f(0.8, np.linspace(0.0, 2.0, 41), 0.7)[2] - 1e-12
                    )
                ),
                True,
            ),
        ),
        (
            "a network that has seen endless noise looks at nothing: its error is 1",
            lambda f: (f(0.5, np.array([1e9]), 0.3)[0], np.ones(1)),
        ),
    ],
)


# %% tags=["author"]
def some_pixels(key):
    """A noisy image, a level, the small image, the covariance of pixels, the averages."""
    random = numbers(key)
    D = int(random.choice([4, 6]))
    roots = random.normal(0, 1, (D, D))
    C = roots @ roots.T / D + 0.1 * np.eye(D)
    A = np.kron(np.eye(D // 2), np.full((1, 2), 0.5))
    x = np.linalg.cholesky(C) @ random.normal(0, 1, D)
    gamma = random.uniform(-3, 3)
    alpha, sigma = np.sqrt(1 / (1 + np.exp(gamma))), np.sqrt(1 / (1 + np.exp(-gamma)))
    return alpha * x + sigma * random.normal(0, 1, D), gamma, A @ x, C, A


# %% [markdown]
# ## 16.6 · Build: the exact network for super-resolution
# *difficulty ●●● · 25 minutes · build*
#
# For Gaussian pixels there is a formula in place of a network. The pixels of an image are $x \sim \mathcal N(0, C)$, with
# any covariance matrix `C`. The small image is `low` $= A x$, exact and without noise; each row of `A` averages some
# pixels. The latent is $z = \alpha x + \sigma \varepsilon$ at the level `gamma`, $\gamma = \log(\sigma^2/\alpha^2)$ and $\alpha^2 +
# \sigma^2 = 1$. Return
#
# - $\hat x = \mathbb E[x \mid z, \text{low}]$;
# - $m = \mathbb E \lVert \varepsilon - \hat\varepsilon \rVert^2$ at this level: what the bound of bits($x$ | low) adds up.
#
# There is more than one way. You may learn from `low` first and from $z$ then, or from both at once. One rule will do for either: if
# $u$ and $v$ are jointly Gaussian with mean 0, then $\mathbb E[u \mid v] = S_{uv} S_{vv}^{-1} v$, and what is left of $u$ has the
# covariance $S_{uu} - S_{uv} S_{vv}^{-1} S_{vu}$. Take care which matrices can be inverted.
#
# When it works, try it: what does $\hat x$ become at $\gamma = 10$, and at $\gamma = -10$? By how much does `low` make $m$ smaller at either
# end, for `A` with one row?


# %% tags=["16.6"]
def super_resolve(z, gamma, low, C, A):
    """Return (E[x | z, low], the mean squared error of ε̂)."""
    ### BEGIN SOLUTION α and σ
    alpha, sigma = np.sqrt(1 / (1 + np.exp(gamma))), np.sqrt(1 / (1 + np.exp(-gamma)))
    ### END SOLUTION
    ### BEGIN SOLUTION what is known of x from low: its mean, and the covariance left
    gain = C @ A.T @ np.linalg.inv(A @ C @ A.T)
    mean, left = gain @ low, C - gain @ A @ C
    ### END SOLUTION
    ### BEGIN SOLUTION what is known from z as well
    gain = alpha * left @ np.linalg.inv(alpha**2 * left + sigma**2 * np.eye(len(z)))
    x_hat, left = mean + gain @ (z - alpha * mean), left - alpha * gain @ left
    ### END SOLUTION
    ### BEGIN SOLUTION the error of ε̂
    m = (alpha / sigma) ** 2 * np.trace(left)
    ### END SOLUTION
    return x_hat, m


# %% tags=["author"]
def _pair():
    """Two pixels of variance 1 and correlation ½, and their mean."""
    return np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([[0.5, 0.5]])


exercise(
    "16.6",
    super_resolve,
    inputs=some_pixels,
    tolerance=1e-6,
    hints=[
        "First low alone: u = x, v = A x. Then S_uv = C Aᵀ and S_vv = A C Aᵀ. That leaves a mean, and a covariance that can't be inverted; it need not be.",
        "Then z, given low: it has the mean α · mean and the covariance α² · left + σ² I, and its covariance with x is α · left.",
        "z is known, so σ (ε̂ − ε) = −α (x̂ − x). The expected ‖x̂ − x‖² is the trace of the covariance that is left.",
    ],
    slips=[
        (
            "gain @ (z - alpha * mean)",
            "gain @ z",
            "z is compared with what was expected of it, α · mean: take that off first.",
        ),
        (
            "gain @ (z - alpha * mean)",
            "gain @ (z - mean)",
            "z is expected to be α · mean, not the mean.",
        ),
        (
            "mean, left = gain @ low, C - gain @ A @ C",
            "mean, left = gain @ low, C",
            "Having seen low, less is left to be known of x: its covariance falls.",
        ),
        (
            "gain = C @ A.T @ np.linalg.inv(A @ C @ A.T)",
            "gain = A.T @ np.linalg.inv(A @ A.T)",
            "That spreads low evenly over its pixels. The covariance says how it is to be spread.",
        ),
        (
            "(alpha / sigma) ** 2 * np.trace(left)",
            "np.trace(left)",
            "That is the error of x̂. The one of ε̂ is α²/σ² times it.",
        ),
        (
            "(alpha / sigma) ** 2 * np.trace(left)",
            "(sigma / alpha) ** 2 * np.trace(left)",
            "The other way round: α (x̂ − x) = −σ (ε̂ − ε).",
        ),
        (
            "alpha * left @ np.linalg.inv(alpha**2 * left + sigma**2 * np.eye(len(z)))",
            "alpha * left @ np.linalg.inv(alpha**2 * left + sigma * np.eye(len(z)))",
            "The noise in z has the variance σ².",
        ),
        (
            "gain @ low, C - gain @ A @ C",
            "0 * z, C",
            "That leaves out the small image, which tells much of the mean and narrows what is left.",
        ),
    ],
    laws=[
        (
            "x̂ fits the small image, at every level",
            lambda f: (
                np.asarray(_pair()[1])
                @ f(np.array([0.3, -2.0]), 0.4, np.array([0.7]), *_pair())[0],
                np.array([0.7]),
            ),
        ),
        (
            "with z almost pure noise x̂ is what low alone says",
            lambda f: (
                f(np.array([0.3, -2.0]), 30.0, np.array([0.7]), *_pair())[0],
                np.array([0.7, 0.7]),
            ),
        ),
        (
            "two pixels and their mean: only the difference is unknown, one number of variance ¼ in each",
            lambda f: (
                f(np.zeros(2), 0.0, np.array([0.0]), *_pair())[1],
                0.5 * 0.5 / (0.5 * 0.5 + 0.5),
            ),
        ),
    ],
)

# %% [markdown]
# ## Now import it
#
# 16.2 is a last step that some users of SR3 take: it costs nothing and can only help the squared error. 16.4 needs no training, only
# draws: try it on a model of your own. In the package noise as in 16.5 is `ImageNet(…, noise=…)`. What 16.6 computes, a network
# learns: at $\gamma \to \infty$ it is the regression net, at $\gamma \to -\infty$ it reads $x$ from $z$.
#
# What was to be predicted: the mean has the least error in 16.1, a draw twice that. The most probable one is mostly better than a draw, but for $-1,
# -1$ and $4$ with the probabilities 0.3, 0.3 and 0.4 (as three candidates, of which two happen to agree) it is worse. The gain of 16.2 is never negative. In 16.5 a
# network trained without noise has the error $1 - \rho^2 + \rho^2 b^2$: more than 1, that of no condition at all, as soon as $b > 1$. In
# 16.6 `low` makes $m$ smaller at both ends: by one of $D$ at $\gamma \to -\infty$, where each direction has $m = 1$ and one is known for
# sure.
