"""Built from solutions/20_fisher_scores.py. Do not edit."""


import numpy as np

from vdmlite.course import check, hint, solution, todo


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


def softmax_score(logits, k):
    """Return (the score of level k, the Fisher information)."""
    p = np.exp(logits - logits.max())
    p = p / p.sum()
    score = (np.arange(len(p)) == k) - p
    information = np.diag(p) - np.outer(p, p)
    return score, information


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


def some_waits(key):
    """Waiting times, and a rate."""
    random = numbers(key)
    rate = float(random.choice([0.5, 0.8, 1.7, 3.0]))
    return random.exponential(1 / rate, int(random.integers(3, 6))), rate


def two_names(x, rate):
    """Return (scores, information) in λ, then (scores, information) in η = log λ."""
    in_rate = 1 / rate - x
    information_rate = 1 / rate**2
    in_log = rate * in_rate
    information_log = 1.0
    return in_rate, information_rate, in_log, information_log


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


def some_strip(key):
    """A strip of black and white pixels, and the two weights."""
    random = numbers(key)
    x = random.integers(0, 2, int(random.integers(5, 9)))
    x[:2] = 1, 0
    return (x, *(float(v) for v in random.normal(0, 1, 2)))


def strip_scores(x, w, b):
    """Return (the score of w and b, what each pixel contributes)."""
    before = np.concatenate([[0], x[:-1]])
    p = 1 / (1 + np.exp(-(w * before + b)))
    each = np.stack([(x - p) * before, x - p])
    shared = each.sum(axis=1)
    return shared, each


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


def some_vector(key):
    """Numbers of unequal size; how many outputs, and inputs for each."""
    random = numbers(key)
    h = random.normal(0, 1, int(random.integers(4, 8))) * random.exponential(1.0)
    return h, int(random.integers(2, 9)), int(random.integers(1, 6))


def sparse_projection(h, D, K):
    """Return (c, the variance of ‖y‖²)."""
    P = len(h)
    c = np.sqrt(P / (K * D))
    second, fourth = c**2 * np.mean(h**2), c**4 * np.mean(h**4)
    one = K * fourth + 3 * K * (K - 1) * second**2 - (K * second) ** 2
    variance = D * one
    return c, variance


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


def some_points(key):
    """Points, and where the fit begins: μ and log σ, and the number of steps."""
    random = numbers(key)
    x = random.normal(random.normal(0, 2), random.uniform(0.5, 2), int(random.integers(4, 9)))
    return x, float(random.normal()), float(random.normal(0.5, 0.3)), int(random.integers(1, 4))


def fisher_scoring(x, mu, tau, steps):
    """Return the path of (μ, τ), τ = log σ."""
    path = [(mu, tau)]
    for _ in range(steps):
        variance = np.exp(2 * tau)
        in_mu = np.mean(x - mu) / variance
        in_tau = np.mean((x - mu) ** 2) / variance - 1
        mu, tau = mu + variance * in_mu, tau + in_tau / 2
        path.append((mu, tau))
    return np.array(path)


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
