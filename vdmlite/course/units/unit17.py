"""Built from solutions/17_bit_swap.py. Do not edit."""


import itertools

import numpy as np

from vdmlite.course import check, hint, solution, todo


def sigmoid(u):
    """1/(1 + exp(−u)), without overflow."""
    return np.exp(-np.logaddexp(0, -u))


import jax
import jax.numpy as jnp

from vdmlite.codec import double_precision
from vdmlite.course import exercise
from vdmlite.neighbours import bit_swap, hierarchy, logistic


def numbers(key):
    """A NumPy generator from one of JAX's keys."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


def some_intervals(key):
    """Intervals: usual ones, open ones, one that is very narrow, some far out; a mean, a scale."""
    random = numbers(key)
    mean, scale = random.uniform(0.2, 2), random.uniform(0.1, 2)
    low = mean + scale * np.array([-1.0, -np.inf, 0.3, -60.0, 60.0, -900.0, 900.0])
    high = mean + scale * np.array([0.5, -0.2, np.inf, -59.0, 60.5, -899.0, np.inf])
    return np.append(low, 0.0), np.append(high, 1e-18), mean, scale


def shipped_mass(low, high, mean, scale):
    """The package's, in double precision."""
    with double_precision():
        like = jnp.ones(low.shape)
        law = logistic.Logistic(mean * like, scale * like)
        return np.asarray(logistic.log_mass(law, jnp.asarray(low), jnp.asarray(high)))


def log_mass(low, high, mean, scale):
    """Return log P(low < z < high) in nats for each interval."""
    above = -np.logaddexp(0, (low - mean) / scale)
    below = -np.logaddexp(0, (mean - high) / scale)
    rest = np.log(-np.expm1((low - high) / scale))
    return above + below + rest


exercise(
    "17.1",
    log_mass,
    inputs=some_intervals,
    ships=shipped_mass,
    # The order of two numbers of which the logarithm of a sum of exponentials is taken.
    equivalent=[
        "above = -np.logaddexp((low - mean) / scale, 0)",
        "below = -np.logaddexp((mean - high) / scale, 0)",
    ],
    hints=[
        "1 − sigmoid(a) = sigmoid(−a), which has all its digits where sigmoid(a) is nearly 1.",
        "Put sigmoid(b) − sigmoid(a) over the common denominator (1 + e⁻ᵃ)(1 + e⁻ᵇ). The numerator is e⁻ᵃ − e⁻ᵇ: which factor of it belongs to sigmoid(−a)?",
        "What is left is 1 − e^(a − b), with a and b the ends in scales from the mean.",
    ],
    slips=[
        (
            "-np.logaddexp(0, (low - mean) / scale)",
            "-np.logaddexp(0, (mean - low) / scale)",
            "The first factor is the mass below low; the one above it is sigmoid(−a).",
        ),
        (
            "-np.logaddexp(0, (mean - high) / scale)",
            "-np.logaddexp(0, (high - mean) / scale)",
            "The second factor is the mass above high; the one below it is sigmoid(b).",
        ),
        (
            "-np.expm1((low - high) / scale)",
            "-np.expm1(low - high)",
            "The width of the interval counts in scales: divide it by scale.",
        ),
        (
            "np.log(-np.expm1((low - high) / scale))",
            "np.log(1 - np.exp((low - high) / scale))",
            "Digits are lost here: the narrow interval comes out as 0. Take high from low before anything else, and use np.expm1 for 1 − e^u.",
        ),
        (
            "np.log(-np.expm1((low - high) / scale))",
            "np.log(-np.expm1((low - mean) / scale - (high - mean) / scale))",
            "Digits are lost here: the narrow interval comes out as 0. Take high from low before anything else, and use np.expm1 for 1 − e^u.",
        ),
        (
            "np.log(-np.expm1((low - high) / scale))",
            "np.log((high - low) / scale)",
            "1 − e⁻ʷ is about w only for a narrow interval.",
        ),
        (
            "return above + below + rest",
            "return np.log(np.exp(below) - 1 + np.exp(above))",
            "That is the plain difference of two CDFs: far out nothing of it is left.",
        ),
        (
            "low - mean) / scale)\n    below = -np.logaddexp(0, (mean - high) / scale)",
            "mean - low) / scale)\n    below = -np.logaddexp(0, (high - mean) / scale)",
            "A sign inside is turned: the lower end cuts away what is below, and P(z > low) = sigmoid((mean − low)/scale).",
        ),
    ],
    laws=[
        (
            "what lies from −∞ to ∞ has mass 1",
            lambda f: (f(np.array([-np.inf]), np.array([np.inf]), 0.3, 2.0) + 1, np.ones(1)),
        ),
        (
            "the masses of neighbours add up, even 700 scales out",
            lambda f: (
                np.logaddexp(
                    *f(np.array([-700.0, -699.5]), np.array([-699.5, -699.0]), 0.0, 1.0)
                ),
                f(np.array([-700.0]), np.array([-699.0]), 0.0, 1.0)[0],
            ),
        ),
    ],
)


CHAIN = (
    ("z1", ("x",), True),
    ("x", ("z1",), False),
    ("z2", ("z1",), True),
    ("z1", ("z2",), False),
    ("z2", (), False),
)


def some_lists(key):
    """Lists of moves of two latents: the right ones, with an order or a dependence that is not."""
    random = numbers(key)
    found = [CHAIN, (*CHAIN[:1], *CHAIN[2:3], CHAIN[1], *CHAIN[3:])]
    reads = ("z2", ("z1", "x"), True)
    found += [tuple(reads if m == CHAIN[2] else m for m in moves) for moves in found[:2]]
    skips = ("x", ("z1", "z2"), False)
    found += [tuple(skips if m == CHAIN[1] else m for m in moves) for moves in found[:2]]
    blind = ("z2", (), True)
    found += [tuple(blind if m == CHAIN[2] else m for m in moves) for moves in found[:2]]
    while len(found) < 24:
        moves = [*found[random.integers(8)]]
        i, j = random.choice(5, 2, replace=False)
        moves[i], moves[j] = moves[j], moves[i]
        found.append(tuple(moves))
    return (tuple(found),)


def can_be_done(lists):
    """Return a row for each list of moves: (can the encoder do it, can the decoder)."""
    rows = []
    for moves in lists:
        known, encodes = {"x"}, True
        for name, needs, borrows in moves:
            wanted = set(needs) if borrows else {name, *needs}
            encodes = encodes and wanted <= known  # <= is "is part of", for sets
            known = known | {name}
        known = set()
        decodes = True
        for name, needs, borrows in reversed(moves):
            wanted = {name, *needs} if borrows else set(needs)
            decodes = decodes and wanted <= known
            known = known | {name}
        rows.append([encodes, decodes])
    return np.array(rows)


exercise(
    "17.2",
    can_be_done,
    inputs=some_lists,
    hints=[
        "To pop is to learn: the law must be known, the variable need not be. To push is to write down: both must be known.",
        "The decoder undoes a push by a pop, and a borrow by a push.",
    ],
    slips=[
        (
            "set(needs) if borrows else {name, *needs}",
            "set(needs)",
            "To push a variable the encoder has to have it: it must be x or have been borrowed.",
        ),
        (
            "set(needs) if borrows else {name, *needs}",
            "{name, *needs}",
            "To borrow is to pop: the encoder gets the variable by it, and need not have it before.",
        ),
        (
            "{name, *needs} if borrows else set(needs)",
            "set(needs) if borrows else {name, *needs}",
            "That is the encoder's condition once more. For the decoder push and pop are exchanged.",
        ),
        (
            "{name, *needs} if borrows else set(needs)",
            "set(needs)",
            "To repay is to push: the decoder has to have the variable by then, not its law alone.",
        ),
        (
            "known = set()",
            'known = {"x"}',
            "The decoder is after x: it does not have it.",
        ),
        (
            "known = known | {name}\n        known = set()",
            "known = known | {name} if borrows else known - {name}\n        known = set()",
            "The encoder forgets nothing: what it has pushed it still knows, and may use.",
        ),
    ],
    laws=[
        (
            "both can do Bit-Swap's list; once q(z2) reads x as well, the encoder can, and the decoder can't",
            lambda f: (
                f((CHAIN, (*CHAIN[:2], ("z2", ("z1", "x"), True), *CHAIN[3:]))),
                np.array([[True, True], [True, False]]),
            ),
        )
    ],
)


def some_terms(key):
    """Draws of a bound's terms: data and three latents, one well above the allowance, one below."""
    random = numbers(key)
    means = np.array([6.0, 1.3, 0.2]) * random.uniform(0.9, 1.1, 3)
    return random.uniform(30, 50, 40), means + 3 * random.standard_normal((40, 3)), 1.0


def with_allowance(data, latents, free):
    """Return (the loss of the batch, its slope in the size of the latents' terms)."""
    means = np.mean(latents, axis=0)
    paid = np.sum(np.maximum(means, free))
    slope = np.sum(np.where(means > free, means, 0))
    return np.mean(data) + paid, slope


exercise(
    "17.3",
    with_allowance,
    inputs=some_terms,
    equivalent=["paid = np.sum(np.maximum(free, means))"],
    hints=[
        "The allowance is for what a latent says on average over the batch. Her maximum is taken draw by draw.",
        "Which latents does a small change of all terms not touch? The others change in proportion.",
    ],
    slips=[
        (
            "means = np.mean(latents, axis=0)\n    paid = np.sum(np.maximum(means, free))",
            "means = np.mean(latents, axis=0)\n    paid = np.mean(np.sum(np.maximum(latents, free), axis=1))",
            "That is her own line. A mean below the allowance has draws above it, and these go on being pressed down.",
        ),
        (
            "np.sum(np.maximum(means, free))",
            "np.maximum(np.sum(means), free)",
            "The allowance is for each latent; here one latent may use up that of all.",
        ),
        (
            "np.sum(np.maximum(means, free))",
            "np.sum(np.maximum(means - free, 0))",
            "This gives the allowance away: below it a latent counts as free, not as 0. Its slope is the same, its value is not.",
        ),
        (
            "np.sum(np.maximum(means, free))",
            "np.sum(np.minimum(means, free))",
            "A minimum presses down what is below the allowance, and lets the rest go.",
        ),
        (
            "np.where(means > free, means, 0)",
            "means",
            "A latent below the allowance counts as free whatever it says: its term has no slope.",
        ),
        (
            "np.where(means > free, means, 0)",
            "np.where(means > free, 1, 0)",
            "A term that is multiplied by 1 + ε changes by ε times itself.",
        ),
        (
            "np.mean(latents, axis=0)",
            "np.mean(latents, axis=1)[:3]",
            "Axis 0 counts the draws, axis 1 the latents: the mean is over the draws.",
        ),
        (
            "np.sum(np.maximum(means, free))\n    slope = np.sum(np.where(means > free, means, 0))",
            "np.mean(np.sum(np.maximum(latents, free), axis=1))\n    slope = np.mean(np.sum(np.where(latents > free, latents, 0), axis=1))",
            "The allowance is for the batch's mean of a latent's term, not for each draw.",
        ),
    ],
    ships=lambda data, latents, free: (
        np.mean(data) + np.sum(np.maximum(np.mean(latents, 0), free)),
        jax.grad(lambda s: jnp.sum(jnp.maximum(s * jnp.mean(jnp.asarray(latents), 0), free)))(
            1.0
        ),
    ),
    laws=[
        (
            "without an allowance it is the plain mean, for terms that are positive",
            lambda f: (f(np.ones(4), np.full((4, 2), 3.0), 0.0), (7.0, 6.0)),
        ),
        (
            "latents whose noisy draws are 0 on average have nothing to gain",
            lambda f: (f(np.zeros(2), np.array([[8.0], [-8.0]]), 1.0), (1.0, 0.0)),
        ),
    ],
)


def some_points(key):
    """Points, some far out; a number of cells; the mean and scale of a q."""
    random = numbers(key)
    z = np.concatenate([random.logistic(0, 1, 6), [45.0, -45.0, 0.0]])
    return z, int(random.choice([4, 7, 16])), random.uniform(-1, 1), random.uniform(0.3, 0.8)


def package_grid(cells):
    """The package's grid of a latent at the top, and the grids' edges."""
    like = hierarchy.hierarchy((1,), 2, latents=1, size=1, width=1, key=jax.random.key(0))
    (top,) = bit_swap.latent_grids(
        like, np.zeros((1, 1), int), cells=cells, key=jax.random.key(0)
    )
    return top.edges[0], top.centres[0]


def on_package_grid(z, cells, mean, scale):
    """The same by the package's grid."""
    edges, centres = package_grid(cells)
    index = np.searchsorted(edges, z, side="right")
    low, high = np.append(-np.inf, edges)[index], np.append(edges, np.inf)[index]
    mass = sigmoid((high - mean) / scale) - sigmoid((low - mean) / scale)
    return index, centres[index], np.log2(mass * cells)


def equal_cells(z, cells, mean, scale):
    """Return (index, centre, net bits), each of the shape of z."""

    def logit(p):
        with np.errstate(divide="ignore"):
            return np.log(p) - np.log1p(-p)

    index = np.minimum(np.floor(cells * sigmoid(z)), cells - 1).astype(int)
    centre = logit((index + 0.5) / cells)
    low, high = logit(index / cells), logit((index + 1) / cells)
    mass = sigmoid((high - mean) / scale) - sigmoid((low - mean) / scale)
    net = np.log2(mass) + np.log2(cells)
    return index, centre, net


exercise(
    "17.4",
    equal_cells,
    inputs=some_points,
    # astype rounds down as well, and the smaller of two is the smaller of two.
    equivalent=[
        "index = np.minimum(cells * sigmoid(z), cells - 1).astype(int)",
        "index = np.minimum(cells - 1, np.floor(cells * sigmoid(z))).astype(int)",
    ],
    ships=on_package_grid,
    hints=[
        "The CDF takes the prior to the uniform distribution on (0, 1), where cells of equal mass have equal widths.",
        "Go back by the logit: of which numbers between 0 and 1 are the ends of cell i, and its middle?",
        "Borrowing under q takes −log2 of the cell's mass under q; pushing under the prior adds −log2 of 1/cells.",
    ],
    slips=[
        (
            "np.minimum(np.floor(cells * sigmoid(z)), cells - 1)",
            "np.floor(cells * sigmoid(z))",
            "Far out the sigmoid is 1 to the last digit, and the index one too many: cut it at the last cell.",
        ),
        (
            "np.floor(cells * sigmoid(z))",
            "np.round(cells * sigmoid(z))",
            "A cell begins at its lower end: round down.",
        ),
        (
            "logit((index + 0.5) / cells)",
            "logit(index / cells)",
            "That is the lower end of the cell, −∞ for the first.",
        ),
        (
            "logit((index + 0.5) / cells)",
            "(logit(index / cells) + logit((index + 1) / cells)) / 2",
            "That is halfway between the ends, not between the masses; for the outermost cells it is infinite.",
        ),
        (
            "np.log2(mass) + np.log2(cells)",
            "-np.log2(mass) + np.log2(cells)",
            "The sign of what is borrowed: a pop lowers the stack by −log2 of the mass.",
        ),
        (
            "np.log2(mass) + np.log2(cells)",
            "np.log2(cells) + 0 * z",
            "That is what the push adds; the borrowed bits have to be taken off.",
        ),
        (
            "np.log2(mass) + np.log2(cells)",
            "np.log(mass) + np.log(cells)",
            "These are nats; the height of a stack is in bits.",
        ),
        (
            "sigmoid((high - mean) / scale) - sigmoid((low - mean) / scale)",
            "sigmoid(high) - sigmoid(low)",
            "That is the cell's mass under the prior, one over the number of cells; it is borrowed under q.",
        ),
        (
            "np.log2(mass) + np.log2(cells)",
            "-np.log2(mass)",
            "Those are the bits borrowed. Net is what the push adds less what was borrowed.",
        ),
    ],
    laws=[
        (
            "a number that is borrowed and pushed under the prior nets nothing",
            lambda f: (f(np.array([-3.0, 0.1, 2.0]), 8, 0.0, 1.0)[2] + 1, np.ones(3)),
        ),
        (
            "with many cells the net bits are those of the two densities",
            lambda f: (
                abs(f(np.array([0.4]), 2**14, 0.5, 0.4)[2] - log2_ratio(0.4, 0.5, 0.4)) < 1e-3,
                np.array([True]),
            ),
        ),
    ],
)


def log2_ratio(z, mean, scale):
    """log2 of a logistic's density over the standard one's."""

    def one(u):
        return -np.logaddexp(0, u) - np.logaddexp(0, -u)

    return (one((z - mean) / scale) - np.log(scale) - one(z)) / np.log(2)


def some_totals(key):
    """Draws of −log p(x, z)/q(z|x) for five images, some large, and a size of the groups."""
    random = numbers(key)
    size = random.uniform(50, 3000, (5, 1))
    return size + 8 * random.standard_normal((5, 12)), int(random.choice([2, 3, 4, 6]))


def with_chains(totals, k):
    """Return (the bound with k chains for each image, the mean gain over one chain)."""
    groups = totals.reshape(len(totals), -1, k)
    least = np.min(groups, axis=2)
    each = least - np.log(np.mean(np.exp(least[..., None] - groups), axis=2))
    bound = np.mean(each, axis=1)
    gain = np.mean(totals) - np.mean(bound)
    return bound, gain


exercise(
    "17.5",
    with_chains,
    inputs=some_totals,
    hints=[
        "Inside a group the ratios p/q are averaged, and then comes −log; between groups the bounds are averaged.",
        "e^(−a) = e^(−m) e^(m − a): take the least total of a group as m, and put it back outside of the logarithm.",
    ],
    slips=[
        (
            "least - np.log(np.mean(np.exp(least[..., None] - groups), axis=2))",
            "np.mean(groups, axis=2)",
            "That averages the logarithms, which is the bound with one chain, drawn k times.",
        ),
        (
            "np.log(np.mean(np.exp(least[..., None] - groups), axis=2))",
            "np.log(np.sum(np.exp(least[..., None] - groups), axis=2))",
            "A sum for a mean: a log k is missing, and the result is no bound anymore.",
        ),
        (
            "least - np.log(np.mean(np.exp(least[..., None] - groups), axis=2))",
            "least + np.log(np.mean(np.exp(groups - least[..., None]), axis=2))",
            "This averages q/p, not p/q: it is above every single bound's mean.",
        ),
        (
            "least - np.log(np.mean(np.exp(least[..., None] - groups), axis=2))",
            "least",
            "The best chain alone is not the mean over chains: it is too good by up to log k.",
        ),
        (
            "least - np.log(np.mean(np.exp(least[..., None] - groups), axis=2))",
            "-np.log(np.mean(np.exp(-groups), axis=2))",
            "e^(−3000) is 0 on the computer, and its logarithm −∞: take the least total out first.",
        ),
        (
            "np.mean(totals) - np.mean(bound)",
            "np.mean(bound) - np.mean(totals)",
            "The gain is how much *lower* the bound with k chains is.",
        ),
        (
            "np.mean(each, axis=1)",
            "np.min(each, axis=1)",
            "The best group is chosen after the fact: that is no bound on average. Take the mean over the groups.",
        ),
        (
            "-1, k)",
            "k, -1).swapaxes(1, 2)",
            "The groups are stretches of k chains in a row: first the groups' axis, then the k.",
        ),
    ],
    laws=[
        (
            "one chain to a group is the plain mean, without a gain",
            lambda f: (
                f(np.array([[2000.0, 3000.0]]), 1),
                (np.array([2500.0]), 0.0),
            ),
        ),
        (
            "the gain is never negative: groups of two, four and eight of the same draws gain ever more",
            lambda f: (
                np.diff([f(CHAINS, k)[1] for k in (1, 2, 4, 8)]) > 0,
                np.array([True, True, True]),
            ),
        ),
    ],
)


CHAINS = np.random.default_rng(175).normal(100, 3, (4, 16))


def some_model(key):
    """The moves of a model of three latents: a chain, with or without more arrows, and their bits."""
    random = numbers(key)
    bits = random.integers(20, 90, 7).astype(float)
    needs = [["x"], ["z1"], ["z2"], ["z1"], ["z2"], ["z3"], []]
    names, more = ["z1", "z2", "z3", "x", "z1", "z2", "z3"], int(random.integers(4))
    if more == 1:
        needs[1] = ["z1", "x"]
    elif more == 2:
        needs[3] = ["z1", "z3"]
    elif more == 3:
        needs[2], needs[4], needs[5] = ["z1"], ["z2", "z3"], []
    moves = zip(names, needs, range(7), bits, strict=True)
    return (tuple((name, tuple(n), i < 3, b) for name, n, i, b in moves),)


def chain_of(borrowed, pushed, reads=()):
    """The moves of a chain, whose second latent reads more."""
    moves = [(f"z{i + 1}", (f"z{i}" if i else "x",), True, b) for i, b in enumerate(borrowed)]
    if reads:
        moves[1] = (moves[1][0], (*moves[1][1], *reads), *moves[1][2:])
    last = len(borrowed)
    for i, b in enumerate(pushed):
        needs = (f"z{i + 1}",) if i < last else ()
        moves.append((f"z{i}" if i else "x", needs, False, b))
    return tuple(moves)


def least_loan(moves):
    """Return the initial bits of the order that needs fewest."""
    every = frozenset(range(len(moves)))

    def able(i, done):
        """Whether the encoder can do move i after those in `done`, and the decoder undo it."""
        name, needs, borrows, _ = moves[i]
        encoder = {"x"} | {moves[j][0] for j in done if moves[j][2]}
        decoder = {moves[j][0] for j in every - done - {i} if not moves[j][2]}
        for_encoder = set(needs) if borrows else {name, *needs}
        for_decoder = {name, *needs} if borrows else set(needs)
        return for_encoder <= encoder and for_decoder <= decoder

    best = {frozenset(): 0.0}
    for size in range(1, len(moves) + 1):
        for chosen in itertools.combinations(range(len(moves)), size):
            done = frozenset(chosen)
            taken = sum(moves[j][3] * (1 if moves[j][2] else -1) for j in done)
            ways = [best[done - {i}] for i in done if able(i, done - {i})]
            best[done] = max(taken, min(ways, default=np.inf))
    return best[every]


exercise(
    "17.6",
    least_loan,
    inputs=some_model,
    # The first move borrows, there are no sets of more moves than all, all bits are above 0,
    # and every variable is borrowed or is x.
    equivalent=[
        "best = {frozenset(): 1.0}",
        "for size in range(1, len(moves) + 2):",
        "best[done] = max(min(ways, default=np.inf), taken)",
        "taken = sum((moves[j][3] / (1 if moves[j][2] else -1) for j in done))",
        "encoder = {'x'} | {moves[j][0] for j in done if moves[j][3]}",
    ],
    hints=[
        "Begin with a function that says whether a move can be done now, from the set of moves done before it. What the decoder has by then are the variables whose pushes come later.",
        "The height after some moves does not depend on their order. So for a set of moves that are done, the least loan is the larger of two numbers: what they take in all, and the least loan of the set without its last move.",
        "The loan of an order is the largest sum of borrowed minus pushed bits among its beginnings, at least 0.",
    ],
    slips=[
        (
            "max(taken, min(ways, default=np.inf))",
            "min(ways, default=np.inf) if size < len(moves) else max(taken, min(ways))",
            "A loan is the largest sum of any beginning, not of the whole list alone.",
        ),
        (
            "for_encoder <= encoder and for_decoder <= decoder",
            "for_encoder <= encoder",
            "This order can be encoded and not decoded: mind what the decoder has when it comes to a move.",
        ),
        (
            "for_encoder <= encoder and for_decoder <= decoder",
            "for_decoder <= decoder",
            "The encoder does not have all that it needs: a variable must be borrowed before it is pushed or read.",
        ),
        (
            "min(ways, default=np.inf)",
            "max(ways, default=np.inf)",
            "That is the order that borrows most.",
        ),
        (
            "(1 if moves[j][2] else -1)",
            "1",
            "A push brings bits: it makes the loan smaller.",
        ),
        (
            "(1 if moves[j][2] else -1)",
            "(1 if moves[j][2] else 0)",
            "This never counts what pushes bring: they pay for later borrows.",
        ),
        (
            "max(taken, min(ways, default=np.inf))",
            "taken + min(ways, default=np.inf)",
            "The stages don't add up: at each move so much must be there, and what is asked for is the greatest.",
        ),
    ],
    laws=[
        (
            "for a chain it is Bit-Swap's order",
            lambda f: (f(chain_of([50.0, 40.0, 40.0], [30.0, 45.0, 45.0, 45.0])), 60.0),
        ),
        (
            "if q(z2) reads x as well, x must wait for z2, and all that Bit-Swap saves on x is lost",
            lambda f: (
                f(chain_of([50.0, 40.0, 40.0], [30.0, 45.0, 45.0, 45.0], reads=("x",))),
                90.0,
            ),
        ),
    ],
)
