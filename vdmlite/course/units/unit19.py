"""Built from solutions/19_axial_transformers.py. Do not edit."""


import numpy as np

from vdmlite.course import check, hint, solution, todo


import jax

from vdmlite.course import exercise


def numbers(key):
    """A NumPy generator from one of JAX's keys."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def some_sizes(key):
    """Height, width, and the numbers of blocks of both stacks."""
    random = numbers(key)
    height, width = random.integers(2, 40, 2)
    outer, inner = random.integers(1, 9, 2)
    return int(height), int(width), int(outer), int(inner)


def costs(height, width, outer, inner):
    """Return (the naive cost, the semi-parallel cost) of one image."""
    naive = height * width * height * (outer + inner)
    cheap = height * height * outer + height * width * inner
    return naive, cheap


exercise(
    "19.1",
    costs,
    inputs=some_sizes,
    hints=[
        "Naively: how many pixels are there, and what does one pass over all rows cost?",
        "Outer: as many runs as there are rows, each on all rows. Inner: as many runs as pixels, each on one row.",
    ],
    slips=[
        (
            "height * width * height * (outer + inner)",
            "height * width * (outer + inner)",
            "That is one row for each pixel. Naively every pass runs over all the rows.",
        ),
        (
            "height * width * height * (outer + inner)",
            "height * height * (outer + inner)",
            "That is a pass for each row. Naively there is one for each pixel.",
        ),
        (
            "height * height * outer + height * width * inner",
            "height * outer + height * width * inner",
            "The outer stack runs once a row, but on the whole image: it has to look up.",
        ),
        (
            "height * height * outer + height * width * inner",
            "height * height * outer + height * width * height * inner",
            "The inner stack runs on one row alone: its rows do not look at each other.",
        ),
        (
            "height * height * outer + height * width * inner",
            "height * height * (outer + inner)",
            "The inner stack runs once a pixel, not once a row: what is to the left changes with each pixel.",
        ),
    ],
    laws=[
        (
            "an image of one pixel costs every block once, either way",
            lambda f: (f(1, 1, 3, 2), (5, 5)),
        ),
        ("8×8 pixels, 2 and 2 blocks", lambda f: (f(8, 8, 2, 2), (2048, 256))),
    ],
)


def some_row(key):
    """Queries, keys and values of a row of pixels, in one head."""
    random = numbers(key)
    length, size = int(random.integers(3, 7)), int(random.integers(2, 5))
    return tuple(2 * random.normal(0, 1, (3, length, size)))


def masked_row(query, key, value):
    """Return (what each pixel gathers, the weights)."""
    scores = query @ key.T / np.sqrt(query.shape[1])
    scores = np.where(np.tri(len(query), dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return weights @ value, weights


def _loud(f):
    """Scores of 1000 and more."""
    q, k = np.array([[40.0, 0.0], [0.0, 60.0]]), np.array([[50.0, 10.0], [0.0, 70.0]])
    return f(q, k, np.array([[1.0], [2.0]]))[0], np.array([[1.0], [2.0]])


exercise(
    "19.2",
    masked_row,
    inputs=some_row,
    equivalent=[
        "scores = np.where(np.tri(len(key), dtype=bool), scores, -np.inf)",
        "scores = query @ key.T / np.sqrt(key.shape[1])",
        "weights = np.exp(scores - scores.max(axis=1, keepdims=2))",
        "weights = weights / weights.sum(axis=1, keepdims=2)",
    ],
    hints=[
        "query @ key.T has the pair (i, j) in row i and column j. np.tri(L) is 1 where j ≤ i.",
        "A score of −∞ has the weight e^(−∞) = 0. Take off each row's largest score before the exponential.",
    ],
    slips=[
        (
            "query @ key.T / np.sqrt(query.shape[1])",
            "query @ key.T",
            "The scores are divided by the root of the length of a query.",
        ),
        (
            "query @ key.T / np.sqrt(query.shape[1])",
            "query @ key.T / query.shape[1]",
            "By the root of the length, not by the length.",
        ),
        (
            "query @ key.T / np.sqrt(query.shape[1])",
            "key @ query.T / np.sqrt(query.shape[1])",
            "Row i belongs to the pixel that asks: query @ key.T.",
        ),
        (
            "np.tri(len(query), dtype=bool)",
            "np.tri(len(query), k=-1, dtype=bool) | (np.arange(len(query)) == 0)[:, None]",
            "A pixel may look at itself, too: j ≤ i. (The shift has moved the levels to the right before.)",
        ),
        (
            "np.tri(len(query), dtype=bool)",
            "np.tri(len(query), dtype=bool).T",
            "That looks to the right: those that come later.",
        ),
        (
            "np.tri(len(query), dtype=bool)",
            "np.ones((len(query), len(query)), dtype=bool)",
            "Nothing is masked: every pixel sees those that come later.",
        ),
        (
            "scores, -np.inf)",
            "scores, 0.0)",
            "A score of 0 still has the weight e⁰. What does not count has a score of −∞.",
        ),
        (
            "weights / weights.sum(axis=1, keepdims=True)",
            "weights / weights.sum(axis=0, keepdims=True)",
            "The weights of one *asking* pixel add up to 1: each row.",
        ),
        (
            "scores = np.where(np.tri(len(query), dtype=bool), scores, -np.inf)\n    weights = np.exp(scores - scores.max(axis=1, keepdims=True))\n    weights = weights / weights.sum(axis=1, keepdims=True)",
            "weights = np.exp(scores - scores.max(axis=1, keepdims=True))\n    weights = np.tri(len(query)) * weights / weights.sum(axis=1, keepdims=True)",
            "Masked after the softmax the weights don't add up to 1 any more. Mask the scores first.",
        ),
    ],
    laws=[
        (
            "the first pixel gathers its own value",
            lambda f: (f(*np.arange(18.0).reshape(3, 3, 2))[0][0], np.array([12.0, 13.0])),
        ),
        ("large scores do not overflow", _loud),
    ],
)


def some_costs(key):
    """What each channel of each image costs."""
    random = numbers(key)
    n, C = int(random.integers(4, 9)), int(random.choice([2, 3, 5]))
    return (
        random.normal(3, 1.0, (n, 1))
        + random.normal(0, 1, (n, C))
        + random.normal(0, 1, (1, C)),
    )


def variances(cost):
    """Return (the variance of C single channels, that of one whole image)."""
    n, C = cost.shape
    single = C * cost
    channels = single.var() / C
    whole = cost.sum(axis=1).var()
    return channels, whole


exercise(
    "19.3",
    variances,
    inputs=some_costs,
    hints=[
        "The mean over channels of `something` times a channel's cost has to be the sum over channels.",
        "All n·C single channels are equally probable. These are all the images there are, so variances are plain: ddof = 0.",
    ],
    slips=[
        (
            "C * cost",
            "cost",
            "The mean of single channels is a C-th of the sum: multiply by C.",
        ),
        (
            "single.var() / C",
            "single.var()",
            "For the same price there are C independent estimates, and their mean has a C-th of the variance.",
        ),
        (
            "single.var() / C",
            "single.var() / C**2",
            "The variance of a mean of C is smaller by C, not by C².",
        ),
        (
            "single.var() / C",
            "single.var(axis=1).mean() / C",
            "The image is drawn by chance as well: the variance is over all images and channels.",
        ),
        (
            "cost.sum(axis=1).var()",
            "cost.sum(axis=1).var(ddof=1)",
            "These images are all there are: nothing is estimated, so divide by n.",
        ),
        (
            "cost.sum(axis=1).var()",
            "cost.sum(axis=1).var() / C",
            "One image costs what C channels cost: there is one estimate, not C.",
        ),
        (
            "cost.sum(axis=1).var()",
            "C * cost.var()",
            "The channels of one image rise and fall together: take the variance of the sums.",
        ),
    ],
    laws=[
        (
            "if an image's channels cost the same and images differ, a channel says as much as all: C times better",
            lambda f: (f(np.array([[1.0, 1.0], [2.0, 2.0]])), (0.5, 1.0)),
        ),
        (
            "if images cost the same and channels differ, a whole image is exact",
            lambda f: (f(np.array([[1.0, 3.0], [1.0, 3.0]])), (2.0, 0.0)),
        ),
    ],
)


def some_logits(key):
    """Logits of some pixels, and a temperature."""
    random = numbers(key)
    return random.normal(0, 2.0, (4, 6)), float(random.choice([0.5, 0.8, 1.5]))


def cooler(logits, T):
    """Return (drawn, excess), in bits, a mean over the pixels."""

    def log_law(logits):
        """The logarithm of the softmax of each row, in bits."""
        logits = logits - logits.max(axis=1, keepdims=True)
        return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))) / np.log(2)

    own, cool = log_law(logits), log_law(logits / T)
    drawn = -np.mean(np.sum(2.0**cool * own, axis=1))
    excess = np.mean(np.sum(2.0**own * (own - cool), axis=1))
    return drawn, excess


exercise(
    "19.4",
    cooler,
    inputs=some_logits,
    equivalent=[
        "logits = logits - logits.max(axis=1, keepdims=2)",
        "return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=2))) / np.log(2)",
    ],
    hints=[
        "log softmax = logits − log Σ exp(logits), for each row; divide by log 2 for bits. Take off the row's maximum first.",
        "`drawn` is a cross-entropy: levels from the cool law, prices of the model's own. `excess` is a KL: levels from the own law.",
    ],
    slips=[
        (
            "2.0**cool * own",
            "2.0**own * own",
            "That is a draw at T = 1. The draws come from the cool law.",
        ),
        (
            "2.0**cool * own",
            "2.0**cool * cool",
            "That is the entropy of the cool law: its price under itself. The model's own law sets the price.",
        ),
        (
            "2.0**cool * own",
            "2.0**own * cool",
            "The other way round: drawn from the cool law, priced by the model's own.",
        ),
        (
            "2.0**own * (own - cool)",
            "2.0**cool * (cool - own)",
            "That is the KL the other way round: real pixels come from the model's own law here.",
        ),
        (
            "2.0**own * (own - cool)",
            "2.0**own * (cool - own)",
            "The sign: a wrong law costs more, never less.",
        ),
        (
            "/ np.log(2)",
            "* np.log(2)",
            "From nats to bits one divides by log 2.",
        ),
    ],
    laws=[
        (
            "at T = 1 a draw costs the entropy, and nothing is lost",
            lambda f: (f(np.zeros((2, 8)), 1.0), (3.0, 0.0)),
        ),
        (
            "very cool: always the likeliest level, at its own price",
            lambda f: (f(np.array([[np.log(3.0), 0.0]]), 1e-3)[0], np.log2(4 / 3)),
        ),
    ],
)


LAYERS = ("row", "row masked", "column", "column masked", "down", "right")


def some_network(key):
    """The size of an image, and a network's layers in their order."""
    random = numbers(key)
    height, width = (int(n) for n in random.choice([2, 3, 4], 2))
    return height, width, [str(layer) for layer in random.permutation(LAYERS)[:4]]


def what_it_sees(height, width, layers):
    """Return what depends on what after each layer, of shape (layers, pixels, pixels)."""
    row, column = np.divmod(np.arange(height * width), width)
    same_row, same_column = row[:, None] == row, column[:, None] == column
    left, above = column[:, None] >= column, row[:, None] >= row
    takes = {
        "row": same_row,
        "row masked": same_row & left,
        "column": same_column,
        "column masked": same_column & above,
        "down": same_column & (row[:, None] == row + 1),
        "right": same_row & (column[:, None] == column + 1),
    }
    sees = np.eye(height * width, dtype=bool)
    after = []
    for layer in layers:
        sees = takes[layer].astype(int) @ sees > 0
        after.append(sees)
    return np.array(after)


exercise(
    "19.5",
    what_it_sees,
    inputs=some_network,
    hints=[
        "First one layer: a matrix of true and false, who takes from whom. Row i is the pixel that takes.",
        "Two layers: i sees j if i takes, in the second layer, from some k that saw j after the first. That is a matrix product.",
        "The later layer stands on the left of the product.",
    ],
    slips=[
        (
            "takes[layer].astype(int) @ sees > 0",
            "sees.astype(int) @ takes[layer] > 0",
            "The order: the new layer takes from what was seen before, so it stands on the left.",
        ),
        (
            "takes[layer].astype(int) @ sees > 0",
            "takes[layer] | sees",
            "Layers follow each other: a pixel gets what another has *gathered*, not only the other's own input.",
        ),
        (
            "takes[layer].astype(int) @ sees > 0",
            "(takes[layer].astype(int) @ sees > 0) | sees",
            "After a shift a pixel's own numbers are gone: only attention is added to what was there.",
        ),
        (
            "row[:, None] == row + 1",
            "row[:, None] + 1 == row",
            "That moves up. After a move down a pixel has what the one *above* it had.",
        ),
        (
            "column[:, None] == column + 1",
            "column[:, None] + 1 == column",
            "That moves to the left.",
        ),
        (
            "column[:, None] >= column,",
            "column[:, None] > column,",
            "A masked pixel still has itself.",
        ),
        (
            "column[:, None] >= column,",
            "column[:, None] <= column,",
            "That looks to the right.",
        ),
        (
            "row[:, None] >= row\n",
            "row[:, None] <= row\n",
            "A masked column looks up: at rows with smaller numbers.",
        ),
        (
            ".astype(int) @ sees > 0",
            "",
            "That is what one layer looks at. What it sees is what the layers before it saw from there, as well.",
        ),
        (
            "= column, row[:, None] >= row",
            " column, row[:, None] > row",
            "A masked layer sees the pixel itself: left of it or itself. The shift is what takes it away.",
        ),
        (
            '+ 1),\n        "right": same_row & (column[:, None] == column + 1),',
            '- 1),\n        "right": same_row & (column[:, None] == column - 1),',
            "That moves the picture up and to the left. A shift down lets a pixel see the one above it.",
        ),
    ],
    laws=[
        (
            "rows, masked columns and a shift down see all rows above, and nothing of their own",
            lambda f: (
                np.asarray(f(3, 2, ["row", "column masked", "down"]))[-1].astype(int).sum(1),
                np.array([0, 0, 2, 2, 4, 4]),
            ),
        ),
        (
            "to the right and then along the rows: even the first column is told of all but the last",
            lambda f: (
                np.asarray(f(1, 3, ["right", "row"]))[-1].astype(int),
                np.array([[1, 1, 0]] * 3),
            ),
        ),
    ],
)
