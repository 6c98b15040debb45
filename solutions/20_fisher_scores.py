# %% [markdown]
# # 20 · Fisher scores: exercises
#
# *Five exercises, about 80 minutes · belongs to lesson 20*
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


def some_logits(key):
    """Logits of a few levels, and a level."""
    random = numbers(key)
    logits = random.normal(0, 1.5, int(random.integers(2, 5)))
    return logits, int(random.integers(len(logits)))


# %% [markdown]
# ## 20.1 · What a pixel asks of its logits
# *difficulty ●○○ · 12 minutes*
#
# The last layer of lesson 19's network has `logits`, and a pixel has level `k` with the probability $p_k = e^{\ell_k} / \sum_j
# e^{\ell_j}$. Take the logits themselves for the parameters. Return
#
# - `score`: $\nabla_\ell \log p_k$, of the shape of the logits;
# - `information`: the Fisher information matrix, for a level that is drawn from $p$. (It does not depend on `k`.)
#
# *Predict first*: which logits ask to fall when a level is seen? Does the matrix have an eigenvalue 0?


# %% tags=["20.1"]
def softmax_score(logits, k):
    """Return (the score of level k, the Fisher information)."""
    p = np.exp(logits - logits.max())
    p = p / p.sum()
    ### BEGIN SOLUTION the score of level k
    score = (np.arange(len(p)) == k) - p
    ### END SOLUTION
    ### BEGIN SOLUTION the information
    information = np.diag(p) - np.outer(p, p)
    ### END SOLUTION
    return score, information


# %% tags=["author"]
exercise(
    "20.1",
    softmax_score,
    inputs=some_logits,
    hints=[
        "log p_k = ℓ_k − log Σ exp(ℓ_j). What is the slope of the second term in ℓ_j?",
        "The information is the mean of φ φᵀ over levels drawn from p. With e_k for the one-hot vector, E[e_k] = p and E[e_k e_kᵀ] = diag(p).",
    ],
    slips=[
        (
            "(np.arange(len(p)) == k) - p",
            "p - (np.arange(len(p)) == k)",
            "That is the slope of the loss −log p. The score is the slope of log p.",
        ),
        (
            "(np.arange(len(p)) == k) - p",
            "(np.arange(len(p)) == k) * (1 - p)",
            "The other logits have a slope, too: they stand in the sum under the logarithm.",
        ),
        (
            "(np.arange(len(p)) == k) - p",
            "p[k] * ((np.arange(len(p)) == k) - p)",
            "That is the slope of p_k, not of its logarithm.",
        ),
        (
            "np.diag(p) - np.outer(p, p)",
            "np.outer(score, score)",
            "That is φ φᵀ for this one level. The information is its mean over levels drawn from p.",
        ),
        (
            "np.diag(p) - np.outer(p, p)",
            "np.diag(p)",
            "That is E[e eᵀ], of the one-hot vectors. The score has p taken off.",
        ),
        (
            "np.diag(p) - np.outer(p, p)",
            "np.diag(p * (1 - p))",
            "The diagonal is right, but the logits ask together: off the diagonal is −p_i p_j.",
        ),
    ],
    laws=[
        (
            "the wishes of one level add up to 0: only differences of logits matter",
            lambda f: (np.sum(f(np.array([0.3, -1.0, 2.0]), 1)[0]), 0.0),
        ),
        (
            "weighted with p the scores of all levels cancel",
            lambda f: (
                0.25 * f(np.log([1.0, 3.0]), 0)[0] + 0.75 * f(np.log([1.0, 3.0]), 1)[0],
                np.zeros(2),
            ),
        ),
    ],
)


# %% tags=["author"]
def some_waits(key):
    """Waiting times, and a rate."""
    random = numbers(key)
    rate = float(random.choice([0.5, 0.8, 1.7, 3.0]))
    return random.exponential(1 / rate, int(random.integers(3, 6))), rate


# %% [markdown]
# ## 20.2 · Two names for one parameter
# *difficulty ●●○ · 15 minutes*
#
# Waiting times have the density $p(x) = \lambda e^{-\lambda x}$, with mean $1/\lambda$ and variance $1/\lambda^2$. One person takes
# $\lambda$ for the parameter, another one $\eta = \log \lambda$. For an array of times `x` return four things: the scores in
# $\lambda$ (one for each time), the information in $\lambda$, the scores in $\eta$, the information in $\eta$.
#
# *Predict first*: of the scores, the information and the whitened scores $\varphi / \sqrt F$, what is the same for both persons?


# %% tags=["20.2"]
def two_names(x, rate):
    """Return (scores, information) in λ, then (scores, information) in η = log λ."""
    ### BEGIN SOLUTION the scores in λ
    in_rate = 1 / rate - x
    ### END SOLUTION
    ### BEGIN SOLUTION the information in λ
    information_rate = 1 / rate**2
    ### END SOLUTION
    ### BEGIN SOLUTION the scores in η
    in_log = rate * in_rate
    ### END SOLUTION
    ### BEGIN SOLUTION the information in η
    information_log = 1.0
    ### END SOLUTION
    return in_rate, information_rate, in_log, information_log


# %% tags=["author"]
exercise(
    "20.2",
    two_names,
    inputs=some_waits,
    hints=[
        "log p = log λ − λ x. The information is the variance of the score, and you know the variance of x.",
        "In η: the chain rule, dλ/dη = λ. A score is multiplied by it once, an information twice.",
    ],
    slips=[
        (
            "1 / rate - x",
            "rate - x",
            "The slope of log λ is 1/λ: the mean waiting time.",
        ),
        (
            "1 / rate - x",
            "x - 1 / rate",
            "The sign: a long time asks for a smaller rate.",
        ),
        (
            "1 / rate - x",
            "-rate",
            "That is the slope in x, the other score of the lesson.",
        ),
        (
            "1 / rate**2",
            "np.mean((1 / rate - x) ** 2)",
            "That is an estimate from these few times. The information is the mean over the model's own law.",
        ),
        (
            "1 / rate**2",
            "1 / rate",
            "The information is the *variance* of the score, 1/λ².",
        ),
        (
            "rate * in_rate",
            "in_rate / rate",
            "The chain rule the other way round: dλ/dη is λ, not 1/λ.",
        ),
        (
            "information_log = 1.0",
            "information_log = 1 / rate",
            "A score is multiplied by dλ/dη once, so its variance is multiplied twice.",
        ),
    ],
    laws=[
        (
            "whitened scores do not depend on the name of the parameter",
            lambda f: (
                (lambda a, F, b, G: (a / F**0.5, b / G**0.5))(*f(np.array([0.2, 3.0]), 2.0)),
                (np.array([0.6, -5.0]), np.array([0.6, -5.0])),
            ),
        ),
    ],
)


# %% tags=["author"]
def some_strip(key):
    """A strip of black and white pixels, and the two weights."""
    random = numbers(key)
    x = random.integers(0, 2, int(random.integers(5, 9)))
    x[:2] = 1, 0
    return (x, *(float(v) for v in random.normal(0, 1, 2)))


# %% [markdown]
# ## 20.3 · Weights that are shared
# *difficulty ●●○ · 18 minutes*
#
# The smallest autoregressive model of a strip of pixels $x_0, x_1, \dots$, each 0 or 1: pixel $k$ is 1 with the probability
# $\mathrm{sigmoid}(w \, x_{k-1} + b)$, where the pixel before the first one counts as 0. The two weights are the same for all pixels. Return
#
# - the score of the whole strip, $(\partial_w, \partial_b) \log p(x)$;
# - the scores of both weights *at each pixel*, of shape (2, pixels), row 0 for $w$ and row 1 for $b$: what one would have if every pixel had weights of its own.
#
# *Predict first*: the strip `0 0 1 1 0 0 0` is moved one to the right, `0 0 0 1 1 0 0`. Which of the two answers changes?


# %% tags=["20.3"]
def strip_scores(x, w, b):
    """Return (the score of w and b, what each pixel contributes)."""
    ### BEGIN SOLUTION the pixel before each one
    before = np.concatenate([[0], x[:-1]])
    ### END SOLUTION
    p = 1 / (1 + np.exp(-(w * before + b)))
    ### BEGIN SOLUTION what each pixel contributes to the scores of w and of b
    each = np.stack([(x - p) * before, x - p])
    ### END SOLUTION
    ### BEGIN SOLUTION the score of the shared weights
    shared = each.sum(axis=1)
    ### END SOLUTION
    return shared, each


# %% tags=["author"]
exercise(
    "20.3",
    strip_scores,
    inputs=some_strip,
    hints=[
        "For one pixel log p has, in the logit, the slope x − p: 20.1 with two levels.",
        "The logit is w·before + b, so its slopes are `before` and 1. What does a weight get that all pixels use?",
    ],
    slips=[
        (
            "np.concatenate([[0], x[:-1]])",
            "np.concatenate([x[1:], [0]])",
            "That is the pixel after. Each pixel may look at the one before it.",
        ),
        (
            "np.concatenate([[0], x[:-1]])",
            "np.roll(x, 1)",
            "The first pixel then looks at the last one: that is a look ahead. Before it there is a 0.",
        ),
        (
            "np.concatenate([[0], x[:-1]])",
            "x",
            "A pixel that looks at itself: nothing is moved.",
        ),
        (
            "(x - p) * before, x - p",
            "(p - x) * before, p - x",
            "The sign: that is the slope of −log p.",
        ),
        (
            "(x - p) * before, x - p",
            "(x - p) * x, x - p",
            "The slope of the logit in w is the pixel *before*.",
        ),
        (
            "(x - p) * before, x - p",
            "(x - p) * p * (1 - p) * before, (x - p) * p * (1 - p)",
            "That is the slope of a squared error. For log p the p (1 − p) of the sigmoid cancels.",
        ),
        (
            "each.sum(axis=1)",
            "each.mean(axis=1)",
            "log p of the strip is a sum over its pixels, and so is the score.",
        ),
        (
            "    each = np.stack([(x - p) * before, x - p])",
            "    each = np.stack([(x - p) * before, x - p]) / (p * (1 - p))",
            "The division by p(1 − p) is cancelled by the slope of the sigmoid: the score in the logit is x − p.",
        ),
    ],
    laws=[
        (
            "a pattern that moves inside the strip has the same score",
            lambda f: (
                f(np.array([0, 0, 1, 1, 0, 0, 0]), 0.7, -0.4)[0]
                - f(np.array([0, 0, 0, 1, 1, 0, 0]), 0.7, -0.4)[0],
                np.zeros(2),
            ),
        ),
    ],
)


# %% tags=["author"]
def some_vector(key):
    """Numbers of unequal size; how many outputs, and inputs for each."""
    random = numbers(key)
    h = random.normal(0, 1, int(random.integers(4, 8))) * random.exponential(1.0)
    return h, int(random.integers(2, 9)), int(random.integers(1, 6))


# %% [markdown]
# ## 20.4 · How exact is a sparse projection?
# *difficulty ●●● · 20 minutes*
#
# A vector `h` has $P$ numbers. Each of $D$ outputs is $y = c \sum_{i=1}^{K} s_i \, h_{j_i}$: `K` inputs are drawn by chance, *with replacement*, each
# with a sign $s_i = \pm 1$ by chance. Return
#
# - `c`, so that the mean of $\lVert y \rVert^2$ over all such matrices is $\lVert h \rVert^2$;
# - the variance of $\lVert y \rVert^2$, exactly.
#
# For the second one $\mathbb{E}[y^4]$ is needed for one output. Write $a_i = c \, s_i h_{j_i}$. In $\mathbb{E}[(\sum_i a_i)^4]$ only those terms are
# left in which every $i$ stands an even number of times: $\sum_i \mathbb{E}[a_i^4] + 3 \sum_{i \ne k} \mathbb{E}[a_i^2] \,
# \mathbb{E}[a_k^2]$.
#
# *Predict first*: which `h` of a given length has the largest variance, one large number or many equal ones?


# %% tags=["20.4"]
def sparse_projection(h, D, K):
    """Return (c, the variance of ‖y‖²)."""
    P = len(h)
    ### BEGIN SOLUTION the constant
    c = np.sqrt(P / (K * D))
    ### END SOLUTION
    ### BEGIN SOLUTION the means of a² and a⁴, for one drawn input
    second, fourth = c**2 * np.mean(h**2), c**4 * np.mean(h**4)
    ### END SOLUTION
    ### BEGIN SOLUTION the variance of y², for one output
    one = K * fourth + 3 * K * (K - 1) * second**2 - (K * second) ** 2
    ### END SOLUTION
    ### BEGIN SOLUTION the variance of the sum over all outputs
    variance = D * one
    ### END SOLUTION
    return c, variance


# %% tags=["author"]
exercise(
    "20.4",
    sparse_projection,
    inputs=some_vector,
    hints=[
        "E[y²] = c² K Σh²/P for one output, and there are D of them.",
        "Var(y²) = E[y⁴] − E[y²]². There are K terms with one input four times, and K (K − 1) ordered pairs i ≠ k. Outputs are independent.",
    ],
    slips=[
        (
            "np.sqrt(P / (K * D))",
            "np.sqrt(P / D)",
            "Each output adds up K inputs, so its square is K times as large.",
        ),
        (
            "np.sqrt(P / (K * D))",
            "np.sqrt(P / K)",
            "All D outputs together have the length of h.",
        ),
        (
            "np.sqrt(P / (K * D))",
            "P / (K * D)",
            "That is c². The square of an output has c².",
        ),
        (
            "3 * K * (K - 1) * second**2",
            "3 * K**2 * second**2",
            "Pairs of *different* inputs: K (K − 1) of them.",
        ),
        (
            "3 * K * (K - 1) * second**2",
            "K * (K - 1) * second**2",
            "There are three ways to make two pairs of four factors.",
        ),
        (
            "- (K * second) ** 2",
            "",
            "That is the mean of y⁴. The variance of y² has the square of its mean taken off.",
        ),
        (
            "D * one",
            "one / D",
            "A sum of D independent numbers has D times the variance.",
        ),
        (
            "D * one",
            "D**2 * one",
            "Outputs are independent: variances add up, D times and not D² times.",
        ),
    ],
    laws=[
        (
            "many equal numbers and many inputs: a share 2/D of the squared mean, as with a dense matrix",
            lambda f: (f(np.ones(50), 8, 10**6)[1] / 50**2, 0.25),
        ),
        (
            "two numbers, one output, one input: ‖y‖² is 2·1 or 2·9",
            lambda f: (f(np.array([1.0, 3.0]), 1, 1), (np.sqrt(2), 64.0)),
        ),
    ],
)


# %% tags=["author"]
def some_points(key):
    """Points, and where the fit begins: μ and log σ, and the number of steps."""
    random = numbers(key)
    x = random.normal(random.normal(0, 2), random.uniform(0.5, 2), int(random.integers(4, 9)))
    return x, float(random.normal()), float(random.normal(0.5, 0.3)), int(random.integers(1, 4))


# %% [markdown]
# ## 20.5 · Build: training with scores
# *difficulty ●●● · 20 minutes · build*
#
# A model is trained when the mean of the scores over the data is 0. *Fisher scoring* goes there with whitened steps: to the
# parameters it adds $F^{-1}$ times the *mean score of the data*. ($F$ is the information of the model as it is *now*.) It is what statisticians did before there were learning rates.
#
# Fit a Gaussian $\mathcal{N}(\mu, \sigma^2)$ to points `x`, with the parameters $\theta = (\mu, \tau)$, $\tau = \log \sigma$. Derive the scores and the
# information in these parameters. Return the path: an array of shape (steps + 1, 2), whose first row is the start.
#
# *Predict first*: how many steps does $\mu$ need? What happens to $\tau$ if $\sigma$ begins far too small, and if far too large?


# %% tags=["20.5"]
def fisher_scoring(x, mu, tau, steps):
    """Return the path of (μ, τ), τ = log σ."""
    path = [(mu, tau)]
    for _ in range(steps):
        ### BEGIN SOLUTION the mean scores of the data in μ and τ
        variance = np.exp(2 * tau)
        in_mu = np.mean(x - mu) / variance
        in_tau = np.mean((x - mu) ** 2) / variance - 1
        ### END SOLUTION
        ### BEGIN SOLUTION one step
        mu, tau = mu + variance * in_mu, tau + in_tau / 2
        ### END SOLUTION
        path.append((mu, tau))
    return np.array(path)


# %% tags=["author"]
exercise(
    "20.5",
    fisher_scoring,
    inputs=some_points,
    hints=[
        "log p = −½ (x − μ)² e^(−2τ) − τ + a constant. Two slopes; then their variances, if x is drawn from the model.",
        "With u = (x − μ)/σ, a standard normal number, the scores are u/σ and u² − 1. Var(u) = 1 and Var(u²) = 2; u and u² are not correlated.",
        "So F is diagonal, with 1/σ² and 2. Both parameters move at the same time, from where they are.",
    ],
    slips=[
        (
            "variance = np.exp(2 * tau)",
            "variance = np.exp(tau)",
            "τ is the logarithm of σ, so σ² = e^(2τ).",
        ),
        (
            "np.mean((x - mu) ** 2) / variance - 1",
            "np.mean((x - mu) ** 2) / variance",
            "The slope of −τ is missing: without it the width only grows.",
        ),
        (
            "np.mean((x - mu) ** 2) / variance - 1",
            "(np.mean(x - mu) ** 2) / variance - 1",
            "The mean of the squares, not the square of the mean.",
        ),
        (
            "np.mean((x - mu) ** 2) / variance - 1",
            "(np.mean((x - mu) ** 2) / variance - 1) / np.exp(tau)",
            "That is the score in σ. In τ = log σ the chain rule gives one more factor σ.",
        ),
        (
            "mu + variance * in_mu",
            "mu + in_mu",
            "That is a plain step up the slope. The information of μ is 1/σ²: divide by it.",
        ),
        (
            "mu + variance * in_mu",
            "mu + np.sqrt(variance) * in_mu",
            "That divides by the root of the information, which makes the variance 1. The step divides by the information.",
        ),
        (
            "tau + in_tau / 2",
            "tau + in_tau",
            "The information of τ is 2, the variance of u².",
        ),
        (
            "np.mean(x - mu) / variance",
            "np.sum(x - mu) / variance",
            "The *mean* score of the data goes with the information of one point.",
        ),
        (
            "in_mu = np.mean(x - mu) / variance\n        in_tau = np.mean((x - mu) ** 2) / variance - 1\n        mu, tau = mu + variance * in_mu, tau + in_tau / 2",
            "mu = mu + np.mean(x - mu)\n        in_tau = np.mean((x - mu) ** 2) / variance - 1\n        tau = tau + in_tau / 2",
            "Both scores are those at the same place: work them out first, then move both.",
        ),
        (
            "variance * in_mu, tau + in_tau / 2",
            "in_mu, tau + in_tau",
            "These are plain scores. Fisher scoring divides each by the information: 1/σ² for μ and 2 for τ.",
        ),
        (
            "mu, tau = mu + variance * in_mu, tau + in_tau / 2\n        path.append((mu, tau))",
            "path.append((mu, tau))\n        mu, tau = mu + variance * in_mu, tau + in_tau / 2",
            "The path begins with the start and then has one row after each step: append after the move.",
        ),
    ],
    laws=[
        (
            "the mean is found in one step, whatever the width",
            lambda f: (np.asarray(f(np.array([1.0, 2.0, 6.0]), 9.0, 1.3, 1))[1, 0], 3.0),
        ),
        (
            "after thirty steps the width is that of the data",
            lambda f: (
                np.exp(np.asarray(f(np.array([1.0, 3.0]), 2.0, 0.7, 30))[-1, 1]),
                1.0,
            ),
        ),
    ],
)

# %% [markdown]
# ## Now import it
#
# `neighbours.fisher` has these for any model with a log-probability: `score`, `moments` (the information), `Projection` and
# `Embedding`. It needs no formula for a slope: the gradient of the program is enough.
#
# What was to be predicted. In 20.1 all other logits ask to fall, and (1, 1, …) has the eigenvalue 0: a constant added to all logits changes nothing. In 20.2 only
# the whitened scores are the same: this is why one whitens. In 20.3 the score of the shared weights stays, as it is a sum over all
# places, and the contributions of the pixels move along. That is what the probe of the lesson profits from. In 20.4 one large
# number is the worst: it is met seldom. In 20.5 $\mu$ needs one step. If $\sigma$ begins far too small, $\tau$ makes an enormous step, beyond the mark; if far too large, it falls by
# nearly ½ a step.
