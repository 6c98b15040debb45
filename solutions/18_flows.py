# %% [markdown]
# # 18 · Flows: exercises
#
# *Six exercises, about 95 minutes · belongs to lesson 18*
#
# Write the body of each function where it says `todo`, run the cell, then run the check below it. Stuck? Uncomment
# the hint. Every check stands alone: go on to the next one whenever you like. The last exercise is a **build**: it
# takes longer, and its text shows no formula to copy.
#
# All arrays here are NumPy's, in double precision. `np.logaddexp(a, b)` is $\log(e^a + e^b)$ without overflow, and
# `np.logaddexp.reduce(a, axis=-1)` is the same for all entries of a row.

# %% tags=["imports"]
import numpy as np

from vdmlite.course import check, hint, solution, todo

# %% tags=["author"]
import jax
import jax.numpy as jnp

from vdmlite.codec import double_precision
from vdmlite.course import exercise
from vdmlite.neighbours import flow


def numbers(key):
    """A NumPy generator from one of JAX's keys."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def some_report(key):
    """Somebody's nats, and how the images were scaled."""
    random = numbers(key)
    dimensions, levels = int(random.choice([64, 784, 3072])), int(random.choice([17, 32, 256]))
    low = random.choice([0.0, -1.0, -0.5])
    return (
        random.uniform(-4, 1) * dimensions,
        dimensions,
        levels,
        low,
        low + random.choice([1, 2]),
    )


# %% [markdown]
# ## 18.1 · Two rulers
# *difficulty ●●○ · 12 minutes*
#
# A paper trains a flow on images of `dimensions` numbers with the levels 0 … V − 1, V = `levels`. It adds $u$, uniform in
# $(0, 1)$, to each level, and scales the sum so that it fills the interval from `low` to `high`. For the scaled images it
# reports a mean of $-\log p$ of `nats`, in nats for a whole image.
#
# Return the bits per dimension of the integers, which other papers report. Return `impossible` as well: the number of
# nats for a scaled image below which a reported mean can't be right, whatever the model.
#
# *Predict first*: are nats below zero a mistake?


# %% tags=["18.1"]
def report(nats, dimensions, levels, low, high):
    """Return (bits per dimension of the integers, the nats below which a report is wrong)."""
    ### BEGIN SOLUTION the bits per dimension
    width = (high - low) / levels
    bits = nats / (dimensions * np.log(2)) - np.log2(width)
    ### END SOLUTION
    ### BEGIN SOLUTION the nats of a scaled image that are 0 bits of the integers
    impossible = dimensions * np.log(width)
    ### END SOLUTION
    return bits, impossible


# %% tags=["author"]
exercise(
    "18.1",
    report,
    inputs=some_report,
    hints=[
        "If all lengths are divided by ten, a density is ten times as high. By what is a level's cell of width 1 scaled?",
        "The bound of an integer's −log₂ P is never below 0 bits on average: no code is shorter than nothing. Which nats are 0 bits?",
    ],
    slips=[
        (
            "- np.log2(width)",
            "+ np.log2(width)",
            "The scaled density is higher, as the cells are narrower: −log of it is less than that of the integers.",
        ),
        (
            "- np.log2(width)",
            "+ np.log2(levels)",
            "The scaled images fill an interval of length high − low, which is not always 1: what counts is the width of a cell.",
        ),
        (
            "nats / (dimensions * np.log(2)) - np.log2(width)",
            "nats / (dimensions * np.log(2))",
            "These are bits of the scaled images. A density depends on the unit of length.",
        ),
        (
            "nats / (dimensions * np.log(2))",
            "nats / dimensions",
            "Nats are divided by ln 2 to become bits.",
        ),
        (
            "nats / (dimensions * np.log(2)) - np.log2(width)",
            "(nats - np.log(width)) / (dimensions * np.log(2))",
            "Every dimension is scaled, so the logarithm of the width counts once for each.",
        ),
        (
            "dimensions * np.log(width)",
            "0.0 * dimensions",
            "A density may be above 1, and −log of it below 0. It is the integers' bits that can't be.",
        ),
        (
            "dimensions * np.log(width)",
            "-dimensions * np.log(width)",
            "The sign: where cells are narrower than 1, fewer nats than 0 are possible.",
        ),
    ],
    laws=[
        (
            "even levels cost log₂ V bits a dimension, however the images are scaled",
            lambda f: (
                [
                    f(64 * np.log(b - a), 64, 256, a, b)[0]
                    for a, b in ((0, 1), (-1, 1), (0, 256))
                ],
                [8.0, 8.0, 8.0],
            ),
        ),
        (
            "at the nats that are just possible the integers cost nothing",
            lambda f: (1 + f(f(0.0, 784, 32, -1.0, 1.0)[1], 784, 32, -1.0, 1.0)[0], 1.0),
        ),
    ],
)


# %% tags=["author"]
def some_mixture(key):
    """Points near and far, and a mixture of logistics with one component that is rare."""
    random = numbers(key)
    x = np.concatenate([random.normal(0, 2, 5), [-300.0, 40.0, 800.0]])
    weights = np.append(random.dirichlet(np.ones(3)) * (1 - 1e-9), 1e-9)
    return x, np.log(weights), random.normal(0, 2, 4), np.exp(random.uniform(-2, 0.5, 4))


# %% [markdown]
# ## 18.2 · Bend a line with a mixture
# *difficulty ●●○ · 15 minutes*
#
# The bend of Flow++ is $y = \mathrm{logit}\, F(x)$ with $\mathrm{logit}\, p = \log p - \log(1 - p)$ and $F = \sum_k w_k\,
# \mathrm{sigmoid}\bigl((x - m_k)/s_k\bigr)$. Return $y$ and the logarithm of the slope $dy/dx$ for each $x$. Derive the
# slope first: what is the derivative of logit?
#
# Some $x$ lie hundreds of scales out, where $F$ is 1 to the last digit, and $1 - F$ is 0. So compute $\log F$ and
# $\log(1 - F)$ each by itself. The arrays `x` has `n` entries, the others one for each of `K` components.


# %% tags=["18.2"]
def bend(x, log_weights, means, scales):
    """Return (y, log dy/dx), each of the shape of x."""
    u = (x[:, None] - means) / scales
    ### BEGIN SOLUTION log F
    log_cdf = np.logaddexp.reduce(log_weights - np.logaddexp(0, -u), axis=-1)
    ### END SOLUTION
    ### BEGIN SOLUTION log(1 − F)
    log_rest = np.logaddexp.reduce(log_weights - np.logaddexp(0, u), axis=-1)
    ### END SOLUTION
    ### BEGIN SOLUTION the logarithm of the density of the mixture, dF/dx
    log_each = -np.logaddexp(0, u) - np.logaddexp(0, -u) - np.log(scales)
    log_density = np.logaddexp.reduce(log_weights + log_each, axis=-1)
    ### END SOLUTION
    ### BEGIN SOLUTION the logarithm of the slope
    log_slope = log_density - log_cdf - log_rest
    ### END SOLUTION
    return log_cdf - log_rest, log_slope


# %% tags=["author"]
exercise(
    "18.2",
    bend,
    inputs=some_mixture,
    # The order of two numbers of which the logarithm of a sum of exponentials is taken; of two
    # axes the last is axis 1.
    equivalent=[
        "log_cdf = np.logaddexp.reduce(log_weights - np.logaddexp(0, -u), axis=1)",
        "log_rest = np.logaddexp.reduce(log_weights - np.logaddexp(0, u), axis=1)",
        "log_density = np.logaddexp.reduce(log_weights + log_each, axis=1)",
        "log_cdf = np.logaddexp.reduce(log_weights - np.logaddexp(-u, 0), axis=-1)",
        "log_rest = np.logaddexp.reduce(log_weights - np.logaddexp(u, 0), axis=-1)",
        "log_each = -np.logaddexp(u, 0) - np.logaddexp(0, -u) - np.log(scales)",
        "log_each = -np.logaddexp(0, u) - np.logaddexp(-u, 0) - np.log(scales)",
    ],
    hints=[
        "log sigmoid(u) = −log(1 + e⁻ᵘ), and 1 − sigmoid(u) = sigmoid(−u): a mixture's 1 − F is a mixture of these.",
        "The density of one logistic is sigmoid(u) sigmoid(−u) / s.",
        "d logit(p)/dp = 1/p + 1/(1 − p) = 1/(p (1 − p)): the slope is the density divided by F and by 1 − F.",
    ],
    slips=[
        (
            "log_weights - np.logaddexp(0, -u)",
            "log_weights - np.logaddexp(0, u)",
            "log sigmoid(u) is −log(1 + e⁻ᵘ): the sign inside is turned.",
        ),
        (
            "np.logaddexp.reduce(log_weights - np.logaddexp(0, u), axis=-1)",
            "np.log1p(-np.exp(log_cdf))",
            "1 − F is 0 to the last digit far out: compute it as a mixture of sigmoid(−u).",
        ),
        (
            "np.logaddexp.reduce(log_weights - np.logaddexp(0, -u), axis=-1)",
            "np.sum(np.exp(log_weights) * -np.logaddexp(0, -u), axis=-1)",
            "That is the mean of the logarithms; F is a mean of sigmoids, and then comes the logarithm.",
        ),
        (
            " - np.log(scales)",
            "",
            "A density has the scale below: a logistic of half the width is twice as high.",
        ),
        (
            "log_density - log_cdf - log_rest",
            "log_density",
            "That is the slope of F; logit has a slope of its own, 1/(F (1 − F)).",
        ),
        (
            "log_density - log_cdf - log_rest",
            "log_density + log_cdf + log_rest",
            "F (1 − F) is the slope of the sigmoid; that of logit is one over it.",
        ),
        (
            "log_density - log_cdf - log_rest",
            "log_density - log_cdf",
            "That is the slope of log F; log(1 − F) has one too.",
        ),
        (
            "log_cdf - log_rest, log_slope",
            "np.sum(np.exp(log_weights) * u, axis=-1), log_slope",
            "The logit of a mean is not the mean of the logits: mix the distribution functions first.",
        ),
    ],
    laws=[
        (
            "one component is a straight line, even 500 scales out",
            lambda f: (
                f(np.array([-500.0, 0.0, 501.0]), np.zeros(1), np.ones(1), np.array([2.0])),
                (np.array([-250.5, -0.5, 250.0]), np.full(3, -np.log(2))),
            ),
        ),
        (
            "the slope is that of finite differences",
            lambda f: (np.exp(f(POINTS, *WIDE)[1]), differences(f, POINTS)),
        ),
    ],
)


# %% tags=["author"]
POINTS = np.linspace(-3, 3, 7)
WIDE = (np.log([0.3, 0.7]), np.array([-1.5, 1.0]), np.array([0.4, 0.6]))


def differences(f, x, step=1e-5):
    """The slopes of a bend by differences."""
    return (f(x + step, *WIDE)[0] - f(x - step, *WIDE)[0]) / (2 * step)


def some_cells(key):
    """Densities on six parts of each of five cells, and laws of the part that are not theirs."""
    random = numbers(key)
    p = random.gamma(0.7, 0.3, (5, 6)) + 0.01
    q = random.dirichlet(np.ones(6), 5)
    q[:, 2] = 0
    return p, q / q.sum(1, keepdims=True)


# %% [markdown]
# ## 18.3 · Three prices of an integer
# *difficulty ●●○ · 12 minutes*
#
# A density on the line is a staircase: every cell from $x$ to $x + 1$ is cut into $K$ parts of equal width, and `p[x, k]`
# is the density in part $k$ of cell $x$. A dequantiser chooses part $k$ with probability `q[x, k]`, which may be 0, and $u$
# evenly inside of the part. Return for each $x$, in bits,
#
# - `exact`: the price of the integer, $-\log_2 P(x)$;
# - `uniform`: the bound by a $u$ that is uniform in the whole cell;
# - `variational`: the bound by this dequantiser.
#
# Mind what is a probability here and what a density. *Predict first*: which of the three can be the largest?


# %% tags=["18.3"]
def prices(p, q):
    """Return (exact, uniform, variational), in bits for each cell."""
    parts = p.shape[1]
    ### BEGIN SOLUTION the exact price
    exact = -np.log2(np.mean(p, axis=1))
    ### END SOLUTION
    ### BEGIN SOLUTION the bound with uniform u
    uniform = -np.mean(np.log2(p), axis=1)
    ### END SOLUTION
    ### BEGIN SOLUTION the bound with q
    density = parts * np.where(q > 0, q, 1)
    variational = np.sum(q * (np.log2(density) - np.log2(p)), axis=1)
    ### END SOLUTION
    return exact, uniform, variational


# %% tags=["author"]
exercise(
    "18.3",
    prices,
    inputs=some_cells,
    # Nothing times the logarithm of any number is nothing.
    equivalent=["density = parts * np.where(q > 0, q, 2)"],
    hints=[
        "The mass of a cell is the sum over its parts of density times width, and the width is 1/K.",
        "The density of q in a part is q[x, k] divided by the width of the part.",
        "Where q is 0 nothing is averaged: np.where(q > 0, q, 1) keeps log2 0 away.",
    ],
    slips=[
        (
            "-np.log2(np.mean(p, axis=1))",
            "-np.log2(np.sum(p, axis=1))",
            "A density times the width of a part, 1/K, is a mass: the sum of densities is K times too large.",
        ),
        (
            "-np.mean(np.log2(p), axis=1)",
            "-np.sum(np.log2(p), axis=1)",
            "u falls into each part with probability 1/K: take the mean.",
        ),
        (
            "-np.mean(np.log2(p), axis=1)",
            "-np.log2(np.mean(p, axis=1))",
            "That is the exact price. The bound has the logarithm inside of the mean.",
        ),
        (
            "parts * np.where(q > 0, q, 1)",
            "np.where(q > 0, q, 1)",
            "q is the probability of a part; its density is K times that.",
        ),
        (
            "np.log2(density) - np.log2(p)",
            "-np.log2(p)",
            "log q is missing: a law that is sure of u pays for being so.",
        ),
        (
            "q * (np.log2(density) - np.log2(p))",
            "q * (-np.log2(density) - np.log2(p))",
            "The sign of log q: its bits are borrowed, and come back.",
        ),
        (
            "np.log2",
            "np.log",
            "These are nats; bits have the logarithm to base 2.",
        ),
        (
            "np.sum(q * (np.log2(density) - np.log2(p)), axis=1)",
            "np.mean(np.log2(density) - np.log2(p), axis=1)",
            "The parts are drawn from q, so the mean is taken with the weights q.",
        ),
    ],
    laws=[
        (
            "with the posterior for q the bound is the exact price",
            lambda f: (
                f(STAIRS, STAIRS / STAIRS.sum(1, keepdims=True))[2],
                f(STAIRS, STAIRS / STAIRS.sum(1, keepdims=True))[0],
            ),
        ),
        (
            "with an even q it is the uniform bound",
            lambda f: (
                f(STAIRS, np.full((2, 4), 0.25))[2],
                f(STAIRS, np.full((2, 4), 0.25))[1],
            ),
        ),
    ],
)


# %% tags=["author"]
STAIRS = np.array([[0.1, 0.2, 0.4, 0.1], [0.3, 0.05, 0.05, 0.2]])


def some_bent_line(key):
    """A point, how much the line is bent, and a noise."""
    random = numbers(key)
    return random.uniform(-1, 1), random.uniform(0.5, 2), float(random.choice([0.02, 0.1, 0.3]))


# %% [markdown]
# ## 18.4 · What the noise costs
# *difficulty ●●● · 18 minutes*
#
# One number $x$ is coded by local bits-back with the map $f(x) = \sinh(k x)/k$, whose slope is $\cosh(k x)$ and whose
# inverse is $\mathrm{arsinh}(k y)/k$. The noise is $y = f(x) + \sigma f'(x)\, \epsilon$, with $\epsilon \sim \mathcal N(0,
# 1)$. If $f$ were a straight line, the first two moves would add $-\log f'(x)$
# nats. Return
#
# - `moves`: the nats that the two moves add on average, $\mathbb E_y\bigl[\log q(y \mid x) - \log p(x \mid y)\bigr]$;
# - `excess`: how far these are above $-\log f'(x)$.
#
# Averages over $\epsilon$ are sums: `np.sum(weights * g(nodes))` is $\mathbb E\, g(\epsilon)$, to many digits.
#
# *Predict first*: when $\sigma$ is halved, what becomes of the excess? (It can be below 0 at one $x$. The third move, which
# pushes $y$, changes with $\sigma$ as well; only all three together cost more than $-\log p$, on average over $x$.)


# %% tags=["18.4"]
def noise_cost(x, k, sigma):
    """Return (nats that borrowing y and pushing x add, how many of them are too many)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / np.sum(weights)
    slope = np.cosh(k * x)
    ### BEGIN SOLUTION y for each of the nodes
    y = np.sinh(k * x) / k + sigma * slope * nodes
    ### END SOLUTION
    ### BEGIN SOLUTION log q(y | x) for each, in nats
    log_q = -(nodes**2) / 2 - np.log(sigma * slope) - np.log(2 * np.pi) / 2
    ### END SOLUTION
    ### BEGIN SOLUTION log p(x | y) for each, in nats
    back = np.arcsinh(k * y) / k
    log_p = -(((x - back) / sigma) ** 2) / 2 - np.log(sigma) - np.log(2 * np.pi) / 2
    ### END SOLUTION
    ### BEGIN SOLUTION the nats of both moves, on average
    moves = np.sum(weights * (log_q - log_p))
    ### END SOLUTION
    return moves, moves + np.log(slope)


# %% tags=["author"]
exercise(
    "18.4",
    noise_cost,
    inputs=some_bent_line,
    # The noise is as often negative.
    equivalent=["y = np.sinh(k * x) / k - sigma * slope * nodes"],
    tolerance=1e-6,
    hints=[
        "q(y∣x) is a Gaussian of mean f(x) and standard deviation σ f′(x); at y its distance from the mean, in standard deviations, is ε.",
        "p(x∣y) is a Gaussian of standard deviation σ around f⁻¹(y): how far from it is x?",
        "Borrowing adds log q to the height, pushing adds −log p.",
    ],
    slips=[
        (
            "sigma * slope * nodes",
            "sigma * nodes",
            "The noise of y has the standard deviation σ f′(x).",
        ),
        (
            "- np.log(sigma * slope)",
            "- np.log(sigma)",
            "q(y∣x) has the standard deviation σ f′(x), in its density as well.",
        ),
        (
            "-(((x - back) / sigma) ** 2) / 2",
            "-((x - back) / sigma) ** 2",
            "A Gaussian's exponent has a ½.",
        ),
        (
            "-(((x - back) / sigma) ** 2) / 2",
            "-((((x - back) / (sigma * slope)) ** 2) / 2)",
            "p(x∣y) has the noise σ itself: it lives on the side of x.",
        ),
        (
            "log_q - log_p",
            "log_p - log_q",
            "The sign: borrowing under q adds log q, which is mostly less than nothing; pushing under p adds −log p.",
        ),
        (
            "-(nodes**2) / 2 - np.log",
            "-((y - np.sinh(k * x) / k) ** 2) / 2 - np.log",
            "The distance from the mean counts in standard deviations, σ f′(x).",
        ),
        (
            "np.arcsinh(k * y) / k",
            "x - (np.sinh(k * x) / k - y) / slope",
            "That takes f for a straight line, and then the noise costs nothing. Here f is bent: use its inverse.",
        ),
    ],
    laws=[
        (
            "where the line is bent much, half the noise has a quarter of the excess",
            lambda f: (abs(f(0.7, 1.5, 0.02)[1] / f(0.7, 1.5, 0.01)[1] - 4) < 0.05, True),
        ),
        (
            "a straight line costs nothing, however wide the noise",
            lambda f: (1 + f(0.4, 1e-6, 0.5)[1], 1.0),
        ),
    ],
)


# %% tags=["author"]
def some_couplings(key):
    """Points of four numbers, and the matrices of two couplings."""
    random = numbers(key)
    return (random.normal(0, 1, (3, 4)), *random.normal(0, 0.6, (4, 2, 2)))


# %% [markdown]
# ## 18.5 · Find the bugs: there and not back
# *difficulty ●●○ · 15 minutes*
#
# A friend's flow has two affine couplings. The first bends the right half of a row, the second the left half:
#
# ```python
# def forward(x, A, B, C, D):
#     left, right = x[:, :2], x[:, 2:]
#     right = right * np.exp(np.tanh(left @ A)) + left @ B
#     left = left * np.exp(np.tanh(right @ C)) + right @ D
#     log_det = np.sum(np.tanh(left @ A) + np.tanh(right @ C), axis=1)
#     return np.concatenate([left, right], axis=1), log_det
#
# def inverse(y, A, B, C, D):
#     left, right = y[:, :2], y[:, 2:]
#     right = (right - left @ B) * np.exp(-np.tanh(left @ A))
#     left = (left - right @ D) * np.exp(-np.tanh(right @ C))
#     return np.concatenate([left, right], axis=1)
# ```
#
# Her $y$ is right. But the densities do not add up to one, and `inverse(forward(x))` is not `x`. There are two bugs. Write
# both functions in one, without them: return $y$ for `x` as she has it, the right log-determinant, and the point whose
# image is `x` itself.


# %% tags=["18.5"]
def there_and_back(x, A, B, C, D):
    """Return (y, log |det ∂y/∂x| for each row, the point whose image is x)."""
    left, right = x[:, :2], x[:, 2:]
    ### BEGIN SOLUTION the image of x, the halves side by side, and on the way the log-determinant
    stretch_right = np.tanh(left @ A)
    right = right * np.exp(stretch_right) + left @ B
    stretch_left = np.tanh(right @ C)
    left = left * np.exp(stretch_left) + right @ D
    log_det = np.sum(stretch_right + stretch_left, axis=1)
    y = np.concatenate([left, right], axis=1)
    ### END SOLUTION
    left, right = x[:, :2], x[:, 2:]
    ### BEGIN SOLUTION the point whose image is x, the halves side by side
    left = (left - right @ D) * np.exp(-np.tanh(right @ C))
    right = (right - left @ B) * np.exp(-np.tanh(left @ A))
    back = np.concatenate([left, right], axis=1)
    ### END SOLUTION
    return y, log_det, back


# %% tags=["author"]
def shipped_couplings(x, A, B, C, D):
    """The determinant and the inverse by JAX: the whole Jacobian, and Newton's steps."""
    with double_precision():

        def image(x):
            left, right = x[:2], x[2:]
            right = right * jnp.exp(jnp.tanh(left @ A)) + left @ B
            left = left * jnp.exp(jnp.tanh(right @ C)) + right @ D
            return jnp.concatenate([left, right])

        rows = jnp.asarray(x)
        log_det = jnp.linalg.slogdet(jax.vmap(jax.jacfwd(image))(rows))[1]
        return np.asarray(jax.vmap(image)(rows)), np.asarray(log_det)


exercise(
    "18.5",
    there_and_back,
    inputs=some_couplings,
    hints=[
        "By how much a coupling stretches is decided by what its network reads, before anything else is done to it.",
        "What was done last is undone first: which half does the network of the last coupling read?",
    ],
    slips=[
        (
            "np.sum(stretch_right + stretch_left, axis=1)",
            "np.sum(np.tanh(left @ A) + stretch_left, axis=1)",
            "That is her first bug: the first coupling has read the left half before it was bent.",
        ),
        (
            "left = (left - right @ D) * np.exp(-np.tanh(right @ C))\n    right = (right - left @ B) * np.exp(-np.tanh(left @ A))",
            "right = (right - left @ B) * np.exp(-np.tanh(left @ A))\n    left = (left - right @ D) * np.exp(-np.tanh(right @ C))",
            "That is her second bug: the coupling that came last is undone first.",
        ),
        (
            "np.sum(stretch_right + stretch_left, axis=1)",
            "np.prod(stretch_right + stretch_left, axis=1)",
            "The determinant is a product of slopes, its logarithm a sum.",
        ),
        (
            "np.sum(stretch_right + stretch_left, axis=1)",
            "np.sum(stretch_right, axis=1)",
            "The second coupling stretches as well.",
        ),
        (
            "(left - right @ D) * np.exp(-np.tanh(right @ C))",
            "left * np.exp(-np.tanh(right @ C)) - right @ D",
            "The shift was added last, so it is taken off first.",
        ),
        (
            "stretch_left = np.tanh(right @ C)",
            "stretch_left = np.tanh(x[:, 2:] @ C)",
            "The second coupling looks at the right half after it was bent.",
        ),
    ],
    laws=[
        (
            "the log-determinant is that of the whole Jacobian",
            lambda f: (f(*FIXED)[1], shipped_couplings(*FIXED)[1]),
        ),
        (
            "there and back is where it began",
            lambda f: (f(f(*FIXED)[0], *FIXED[1:])[2], FIXED[0]),
        ),
    ],
)


# %% tags=["author"]
FIXED = some_couplings(jax.random.key(185))


class Image:
    """logit F(x) of a mixture of logistics: the y of 18.2."""

    def __init__(self, log_weights, means, scales):
        self.log_weights, self.means, self.scales = log_weights, means, scales

    def __call__(self, x):
        u = (x[:, None] - self.means) / self.scales
        both = [
            np.logaddexp.reduce(self.log_weights - np.logaddexp(0, s * u), -1) for s in (-1, 1)
        ]
        return both[0] - both[1]


def some_images(key):
    """Numbers whose place is asked for, and a mixture with components far from each other."""
    random = numbers(key)
    weights = np.append(random.dirichlet(np.ones(2)) * (1 - 1e-7), 1e-7)
    means = np.array([-20.0, 1.0, 900.0]) + random.normal(0, 1, 3)
    scales = np.exp(random.uniform(-2, 1, 3))
    y = np.concatenate([random.normal(0, 3, 4), [-600.0, 12.0, 19.0, 500.0]])
    return y, Image(np.log(weights), means, scales), means, scales


# %% [markdown]
# ## 18.6 · Build: the way back
# *difficulty ●●● · 25 minutes · build*
#
# Nobody knows a formula for the inverse of the bend of 18.2. But it rises, so it can be searched for. For each `y` find
# the $x$ with $\mathrm{logit}\, F(x) = y$. The bend is there: `image(x)` is $\mathrm{logit}\, F(x)$ for an array `x`, one
# number of $x$ for each of `y`.
#
# It has to work for every mixture. Some components lie hundreds of scales apart, where the bend is nearly flat; some
# have a weight of $10^{-7}$; some `y` are large. A fixed interval to begin with will not do, and Newton's steps jump from
# a flat place to anywhere. Which interval is sure to hold $x$? (What is the $y$ of a component that is alone? Where does
# that of the mixture lie, compared with these?) Sixty halvings of a sure interval are exact to the last digits.


# %% tags=["18.6"]
def way_back(y, image, means, scales):
    """Return x with image(x) = y, for each y."""
    ### BEGIN SOLUTION the search
    alone = means + scales * y[:, None]
    low, high = np.min(alone, axis=1), np.max(alone, axis=1)
    for _ in range(100):
        middle = low + (high - low) / 2
        above = image(middle) > y
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return low + (high - low) / 2
    ### END SOLUTION


# %% tags=["author"]
def by_the_package(y, image, means, scales):
    """The bisection that ships."""
    with double_precision():
        bend_of = flow.MixtureOfLogistics(len(means))
        raw = 3 * np.arctanh(np.log(scales) / 3)
        parts = jnp.asarray(np.concatenate([image.log_weights, means, raw, [0.0, 0.0]]))
        return np.asarray(jax.vmap(lambda y: bend_of.inverse(y, parts))(jnp.asarray(y)))


ONE, TWO = (np.zeros(1), np.array([5.0]), np.array([0.1])), Image(*WIDE)


exercise(
    "18.6",
    way_back,
    inputs=some_images,
    ships=by_the_package,
    tolerance=1e-7,
    # Enough halvings are enough, and any point of an interval of no length will do.
    equivalent=[
        "for _ in range(101):",
        "middle = low + (high - low) / 3",
        "return low - (high - low) / 2",
        "return low + (high - low) * 2",
        "return low + (high - low) / 3",
    ],
    hints=[
        "A component that is alone has y = (x − m)/s, so its x is m + s y.",
        "F lies between the smallest and the largest of the components' sigmoids. So logit F lies between the smallest and the largest of their (x − m)/s.",
        "Halve: where the image of the middle is above y, x lies to the left.",
    ],
    slips=[
        (
            "np.min(alone, axis=1), np.max(alone, axis=1)",
            "np.full(len(y), -100.0), np.full(len(y), 100.0)",
            "x lies outside of a fixed interval for some of these: let the components say how far to look.",
        ),
        (
            "np.where(above, low, middle), np.where(above, middle, high)",
            "np.where(above, middle, low), np.where(above, high, middle)",
            "The wrong half is kept: where the image of the middle is above y, x lies to the left.",
        ),
        (
            "range(100)",
            "range(12)",
            "Twelve halvings leave 1/4000 of the interval: go on to the last digits.",
        ),
        (
            "means + scales * y[:, None]",
            "(y[:, None] - means) / scales",
            "That is where y itself lies among the components; asked for are the points whose image under one component is y.",
        ),
        (
            "low, high = np.min(alone, axis=1), np.max(alone, axis=1)",
            "low, high = np.mean(alone, axis=1) - 1, np.mean(alone, axis=1) + 1",
            "The mean of the components' points is not near x if they lie far apart.",
        ),
        (
            "np.min(alone, axis=1), np.max(alone, axis=1)",
            "np.full(len(y), -10.0), np.full(len(y), 10.0)",
            "The answer may lie outside of any fixed interval. Between the least and the greatest answer of a single component it must lie.",
        ),
        (
            "    return low + (high - low) / 2",
            "    return np.mean(alone, axis=1)",
            "The mean of the components' answers is not the answer of the mixture: halve the interval that holds it.",
        ),
        (
            "100):",
            "6):",
            "Six halvings leave 1/64 of the interval. Go on until the halves are as fine as the numbers themselves.",
        ),
    ],
    laws=[
        (
            "one component has the inverse m + s y",
            lambda f: (
                f(np.array([-800.0, 0.3, 7.0]), Image(*ONE), *ONE[1:]),
                np.array([-75.0, 5.03, 5.7]),
            ),
        ),
        (
            "the image of what is found is y",
            lambda f: (
                TWO(f(np.array([-9.0, 0.2, 30.0]), TWO, *WIDE[1:])),
                np.array([-9.0, 0.2, 30.0]),
            ),
        ),
    ],
)

# %% [markdown]
# ## Now import it
#
# 18.2 and 18.6 are `neighbours.flow.MixtureOfLogistics`, its `forward` and its `inverse`. The bound of 18.3 is
# `dequantised_loss`, for draws of $u$. The moves of 18.4 are made by `local_bits_back.compositional_moves` for every
# layer, and two couplings that are written once, `Coupling.forward` and `Coupling.inverse`, can't have the bugs of 18.5.
