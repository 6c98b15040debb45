"""Built from solutions/12_the_network.py. Do not edit."""


from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from vdmlite.course import check, hint, solution, todo
from vdmlite.nn import UNet


import inspect
import itertools

import vdmlite
from vdmlite.course import exercise
from vdmlite.engine import published
from vdmlite.nn.unet import Attention, GroupNorm


def counted(width, depth, everywhere):
    """The number of weights of the package's model, from its shapes."""
    make = partial(published.cifar10, width=width, depth=depth, attend_everywhere=everywhere)
    shapes = jax.tree.leaves(eqx.filter_eval_shape(make, key=jax.random.key(0)))
    return sum(int(np.prod(a.shape)) for a in shapes if isinstance(a, jax.ShapeDtypeStruct))


def package_level(gamma, flag, width):
    """What goes into the two dense layers of the package's network."""
    net = UNet(3, width=width, depth=1, attention=False, key=jax.random.key(0))
    return eqx.tree_at(lambda n: n.embed, net, ()).embedding(gamma, flag)


def some_positions(key):
    """Five positions of four channels, and the matrices of queries, keys and values."""
    h_key, *keys = jax.random.split(key, 4)
    return jax.random.normal(h_key, (5, 4)), *(jax.random.normal(k, (4, 4)) for k in keys)


def package_attention(h, w_query, w_key, w_value):
    """What the package's attention adds, without its norm and with an exit that does nothing."""
    attention = Attention(4, groups=2, key=jax.random.key(0))
    kernels = [w[None, None] for w in (w_query, w_key, w_value, jnp.eye(4))]
    attention = eqx.tree_at(
        lambda a: [a.norm, *(c.kernel for c in (a.query, a.key, a.value, a.out))],
        attention,
        [lambda h: h, *kernels],
    )
    return attention(h[:, None])[:, 0] - h


def from_curve(gamma_0, gamma_1, mean_square, factor):
    """The loss of ε̂ = factor · z, from the package's curve of errors."""
    gammas = np.linspace(float(gamma_0), float(gamma_1), 4001)
    alpha2, sigma = vdmlite.alpha2(gammas), vdmlite.sigma(gammas)
    parts = (1 - float(factor) * sigma) ** 2, float(factor) ** 2 * alpha2 * mean_square
    error = np.asarray(sum(parts), np.float64)
    return vdmlite.ErrorCurve(gammas, error, 0 * error, error**2).loss / np.log(2)


def count_weights(width, depth, everywhere):
    """Return the number of weights."""
    C, L = width, depth
    entry = 9 * 15 * C + C
    dense = ((C + 1) * 4 * C + 4 * C) + (4 * C * 4 * C + 4 * C)
    last = 2 * C + (9 * C * 3 + 3)
    ends = 2  # γ_0 and γ_1
    block = 22 * C**2 + 6 * C
    joined = 33 * C**2 + 9 * C
    attention = 4 * C**2 + 6 * C
    attentions = 2 * L + 2 if everywhere else 1
    blocks = (L + 2) * block + (L + 1) * joined
    return entry + dense + blocks + attentions * attention + last + ends


exercise(
    "12.1",
    count_weights,
    inputs=lambda key: (
        4 * int(jax.random.randint(key, (), 2, 33)),
        int(jax.random.randint(jax.random.fold_in(key, 1), (), 1, 7)),
        bool(jax.random.key_data(key)[-1] % 2),
    ),
    hints=[
        "A block from C to C has two norms, two convolutions of 3×3 positions and a matrix of C × 4C. Add up their weights.",
        "In a block from 2C three things are larger or new: its first norm, its first convolution, and the way round.",
        "Everywhere means after each of the L blocks in and each of the L + 1 blocks back, and the middle keeps its one.",
    ],
    slips=[
        (
            "22 * C**2 + 6 * C",
            "18 * C**2 + 6 * C",
            "The projection of the embedding is missing: a matrix of C × 4C.",
        ),
        (
            "22 * C**2 + 6 * C",
            "22 * C**2 + 4 * C",
            "2C are missing in a block from C to C: two norms have 4C weights, and each convolution adds C shifts.",
        ),
        (
            "33 * C**2 + 9 * C",
            "31 * C**2 + 8 * C",
            "A block from 2C channels also has the convolution on its way round, 2C² + C.",
        ),
        (
            "33 * C**2 + 9 * C",
            "33 * C**2 + 7 * C",
            "The first norm of a block from 2C channels has 4C weights, not 2C.",
        ),
        (
            "33 * C**2 + 9 * C",
            "42 * C**2 + 9 * C",
            "Only the first convolution starts from 2C channels: the second goes from C to C, 9C² and not 18C².",
        ),
        (
            "4 * C**2 + 6 * C",
            "3 * C**2 + 5 * C",
            "An attention has four convolutions: query, key, value, and the one at its end.",
        ),
        (
            "4 * C**2 + 6 * C",
            "4 * C**2 + 4 * C",
            "An attention begins with a norm, which has 2C weights.",
        ),
        (
            "2 * L + 2",
            "2 * L + 1",
            "Everywhere, there are L on the way in, L + 1 on the way back and the one in the middle.",
        ),
        (
            "2 * L + 2",
            "2 * L + 3",
            "The middle has one attention, even where every other block has one behind it.",
        ),
        (
            "22 * C**2 + 6 * C\n    joined = 33 * C**2 + 9 * C",
            "18 * C**2 + 6 * C\n    joined = 29 * C**2 + 9 * C",
            "Each block projects the embedding, of 4C numbers, onto its C channels. That is a layer of its own, without a bias.",
        ),
    ],
    laws=[
        (
            "the model of CIFAR-10, 128 wide and 32 deep, has 30,578,181 weights",
            lambda f: (f(128, 32, False), 30_578_181),
        ),
        (
            "the model of ImageNet 64×64, 256 wide and 64 deep, has 237,603,845",
            lambda f: (f(256, 64, False), 237_603_845),
        ),
    ],
    ships=counted,
    # Counts in single precision, of eight digits, are right as well.
    tolerance=1e-7,
)


def norm_of_parts(counts, means, variances, scale, bias, groups):
    """Return (factors, shifts), one of each for every channel."""
    channels = len(scale)
    shares = counts / jnp.sum(counts)
    mean = jnp.mean((shares @ means).reshape(groups, -1), axis=1)
    mean = jnp.repeat(mean, channels // groups)  # the mean that each channel's group has
    squares = shares @ (variances + (means - mean[None]) ** 2)
    variance = jnp.mean(squares.reshape(groups, -1), axis=1)
    factors = scale / jnp.sqrt(jnp.repeat(variance, channels // groups) + 1e-6)
    shifts = bias - factors * mean
    return factors, shifts


def some_parts(key):
    """What three parts of an image report, faint enough for the 10⁻⁶ to count, and a norm's numbers."""
    count_key, mean_key, size_key, scale_key, bias_key, groups_key = jax.random.split(key, 6)
    means = 1e-3 * jax.random.normal(mean_key, (3, 12))
    variances = 1e-6 * jnp.exp(jax.random.normal(size_key, (3, 12)))
    scale, bias = (jax.random.normal(k, (12,)) for k in (scale_key, bias_key))
    groups = (2, 3, 4, 6)[int(jax.random.randint(groups_key, (), 0, 4))]
    return jax.random.randint(count_key, (3,), 1, 40), means, variances, scale, bias, groups


def parts_of_an_image(f):
    """The package's norm of an image of 5 rows, and two parts of it finished with f's numbers."""
    h_key, scale_key, bias_key = jax.random.split(jax.random.key(122), 3)
    h = 0.01 * jax.random.normal(h_key, (5, 4, 6)) + 0.01 * jnp.arange(6.0)[None, None]
    h = h.at[:2].add(0.03)
    scale, bias = jax.random.normal(scale_key, (6,)), jax.random.normal(bias_key, (6,))
    pieces = h[:2], h[2:]
    reports = [
        jnp.stack([a(piece.reshape(-1, 6), 0) for piece in pieces]) for a in (jnp.mean, jnp.var)
    ]
    factors, shifts = f(jnp.array([8, 12]), *reports, scale, bias, 3)
    norm = eqx.tree_at(lambda n: (n.scale, n.bias), GroupNorm(6, 3), (scale, bias))
    return norm(h), h * factors[None, None] + shifts[None, None]


exercise(
    "12.2",
    norm_of_parts,
    inputs=some_parts,
    hints=[
        "A mean over the whole image counts each part as often as it has positions. All channels of a group have equally many.",
        "How far a number is from the mean of its *group* has two sources: its distance from the mean of its part and channel, and the distance of that mean. Squares of such distances add up.",
        "scale · (h − mean)/√(variance + 10⁻⁶) + bias is factor · h + shift. Multiply out. `a.reshape(groups, -1)` has a row for each group.",
    ],
    slips=[
        (
            "variances + (means - mean[None]) ** 2",
            "variances",
            "That is how the numbers scatter within parts and channels. The means of parts and channels scatter as well.",
        ),
        (
            "variances + (means - mean[None]) ** 2",
            "variances + (means - (shares @ means)[None]) ** 2",
            "This takes each channel's own mean over the image. All channels of a group have one mean in common.",
        ),
        (
            "variances + (means - mean[None]) ** 2",
            "(means - mean[None]) ** 2",
            "Within the parts the numbers scatter as well.",
        ),
        (
            "variances + (means - mean[None]) ** 2",
            "variances + jnp.abs(means - mean[None])",
            "A variance is a mean of squares.",
        ),
        (
            "shares @ means",
            "jnp.mean(means, axis=0)",
            "Parts have unequally many positions: each counts with its share.",
        ),
        (
            "shares @ (variances + (means - mean[None]) ** 2)",
            "jnp.mean(variances + (means - mean[None]) ** 2, axis=0)",
            "Parts have unequally many positions: each counts with its share.",
        ),
        (
            "squares.reshape(groups, -1), axis=1",
            "squares.reshape(-1, groups), axis=0",
            "The first few channels are the first group. Here each group takes channels that are far apart.",
        ),
        (
            "jnp.mean(squares.reshape(groups, -1), axis=1)",
            "jnp.sum(squares.reshape(groups, -1), axis=1)",
            "A variance is a mean, over the channels of the group as well.",
        ),
        (
            "jnp.sqrt(jnp.repeat(variance, channels // groups) + 1e-6)",
            "jnp.sqrt(jnp.repeat(variance, channels // groups))",
            "The 10⁻⁶ is missing: a group without any variance would divide by 0.",
        ),
        (
            "jnp.sqrt(jnp.repeat(variance, channels // groups) + 1e-6)",
            "(jnp.sqrt(jnp.repeat(variance, channels // groups)) + 1e-6)",
            "10⁻⁶ is added to the variance, before the root.",
        ),
        (
            "jnp.sqrt(jnp.repeat(variance, channels // groups) + 1e-6)",
            "(jnp.repeat(variance, channels // groups) + 1e-6)",
            "Divide by the standard deviation, the root of the variance.",
        ),
        (
            "jnp.repeat(variance, channels // groups)",
            "jnp.tile(variance, channels // groups)",
            "The channels of a group are neighbours: repeat each number, not the whole row.",
        ),
        (
            "bias - factors * mean",
            "bias - mean",
            "The mean is subtracted before the number is multiplied.",
        ),
        (
            "bias - factors * mean",
            "bias + factors * mean",
            "The mean is taken off.",
        ),
        (
            "bias - factors * mean",
            "scale * (bias - factors * mean)",
            "The bias comes last: it is not multiplied by the scale.",
        ),
        (
            "variances + (means - mean[None]) ** 2",
            "variances + means**2",
            "That is a mean square. A variance is taken about the mean of the group.",
        ),
        (
            "jnp.repeat(mean, channels // groups)  # the mean that each channel's group has",
            "jnp.tile(mean, channels // groups)  # the mean that each channel's group has",
            "tile runs through the means again and again. A group's channels stand side by side: repeat each mean.",
        ),
    ],
    laws=[
        (
            "two parts of an image, finished one by one, are the package's norm of the whole",
            parts_of_an_image,
        ),
    ],
)


def read_clock(hands):
    """Return γ."""
    half = len(hands) // 2
    speeds = 1000 * 10.0 ** (-4 * np.arange(half) / (half - 1))
    angles = np.arctan2(hands[:half], hands[half:])
    order = range(half - 1, -1, -1)
    scaled = 0.0
    for k in order:
        turns = np.round((speeds[k] * scaled - angles[k]) / (2 * np.pi))
        scaled = (angles[k] + 2 * np.pi * turns) / speeds[k]
    return 18.3 * scaled - 13.3


slowest_last = (
    "The slowest hand has the last word here, and a small error counts ten thousand times as much in it as in the fastest. "
    "Begin with it, and let the faster ones follow."
)


def some_hands(key):
    """The hands at some noise level, each a little wrong."""
    half_key, turn_key, error_key = jax.random.split(key, 3)
    half = int(jax.random.choice(half_key, jnp.array([6, 8])))
    # The fastest but one is half-way round, where a small error takes its angle from π to −π.
    scaled = (
        (2 * jax.random.randint(turn_key, (), 1, 9) + 1)
        * jnp.pi
        / (1000 * 10 ** (-4 / (half - 1)))
    )
    told = package_level(18.3 * scaled - 13.3, jnp.asarray(0.0), 2 * half)[:-1]
    wrong = jax.random.uniform(error_key, told.shape, minval=-0.1, maxval=0.1)
    return (np.asarray(told + wrong, float),)


exercise(
    "12.3",
    read_clock,
    inputs=some_hands,
    hints=[
        "While γ̃ goes from 0 to 1, the slowest hand goes from 0 to 0.1 and the fastest round 159 times. Which is never in doubt?",
        "Read wrongly by 0.1, the slowest hand leaves γ̃ in doubt by 1, the fastest by 0.0001, if you know how often it has gone round. Let each hand tell the next, faster one.",
        "You know γ̃ roughly: so you know the angle of the next hand roughly, with its whole turns. Its own angle is exact, without the turns. Which number of turns fits both?",
    ],
    slips=[
        ("range(half - 1, -1, -1)", "range(half)", slowest_last),
        ("range(half - 1, -1, -1)", "[half - 1]", slowest_last),
        (
            "range(half - 1, -1, -1)",
            "[0]",
            "The fastest hand goes round 159 times: alone it does not tell γ.",
        ),
        (
            "range(half - 1, -1, -1)",
            "range(half - 1, 0, -1)",
            "The fastest hand, number 0, is left out. It is the most exact one.",
        ),
        (
            "np.arctan2(hands[:half], hands[half:])",
            "np.arctan2(hands[half:], hands[:half])",
            "Sine and cosine are exchanged: arctan2 takes the sine first.",
        ),
        (
            "np.arctan2(hands[:half], hands[half:])",
            "np.arctan2(hands[::2], hands[1::2])",
            "All sines stand first, then all cosines; they do not take turns.",
        ),
        (
            "np.arctan2(hands[:half], hands[half:])",
            "np.arcsin(np.clip(hands[:half], -1, 1))",
            "A sine alone leaves two angles open: take the cosine as well.",
        ),
        (
            "np.round((speeds[k] * scaled - angles[k]) / (2 * np.pi))",
            "np.floor(speeds[k] * scaled / (2 * np.pi))",
            "Near a whole turn the rough angle may lie on the wrong side of it. Look which number of turns brings the hand's own angle nearest to the rough one.",
        ),
        (
            "np.round((speeds[k] * scaled - angles[k]) / (2 * np.pi))",
            "np.round(speeds[k] * scaled / (2 * np.pi))",
            "The hand's own angle is part of the whole: take it off before you count the turns.",
        ),
        (
            "np.round((speeds[k] * scaled - angles[k]) / (2 * np.pi))",
            "(speeds[k] * scaled - angles[k]) / (2 * np.pi)",
            "Turns are whole. Without rounding nothing is learned from the faster hand.",
        ),
        (
            "18.3 * scaled - 13.3",
            "18.3 * scaled + 13.3",
            "γ̃ is 0 at γ = −13.3.",
        ),
        (
            "18.3 * scaled - 13.3",
            "scaled",
            "That is the share γ̃. Asked for is γ.",
        ),
        (
            "np.arctan2(hands[:half], hands[half:])",
            "np.arctan2(hands[:half], hands[half:]) % np.pi",
            "This takes two opposite directions of a hand for one.",
        ),
        (
            "18.3 * scaled - 13.3",
            "scaled - 13.3",
            "γ̃ is a share of the way from −13.3 to 5, which is 18.3 long.",
        ),
    ],
    laws=[
        (
            "with exact hands it is the γ that the package's network was told, beyond 5 as well",
            lambda f: (
                f(np.asarray(package_level(jnp.asarray(6.6), jnp.asarray(0.0), 32)[:-1])),
                6.6,
            ),
        ),
        (
            "and below −13.3",
            lambda f: (
                f(np.asarray(package_level(jnp.asarray(-14.0), jnp.asarray(0.0), 32)[:-1])),
                -14.0,
            ),
        ),
        (
            "all sines 0 and all cosines 1 say γ = −13.3",
            lambda f: (f(np.array([0.0] * 8 + [1.0] * 8)), -13.3),
        ),
    ],
    # The best fit to all hands is as right; it differs in the fourth decimal. And the slowest hand but one has not gone round either.
    tolerance=1e-4,
    equivalent=["order = range(half - 2, -1, -1)"],
)


def join(gathered, logs):
    """Return (what is gathered from all pieces, the logarithms of the whole sums)."""
    whole = jax.nn.logsumexp(logs, axis=0)
    shares = jnp.exp(logs - whole[None])
    return jnp.sum(shares[:, :, None] * gathered, axis=0), whole


def piecewise(h, w_query, w_key, w_value, cuts):
    """What the pieces between the cuts give, one by one."""
    query, keys, values = h @ w_query, h @ w_key, h @ w_value
    logits = query @ keys.T / jnp.sqrt(h.shape[-1])
    ends = [0, *cuts, len(h)]
    pieces = [slice(a, b) for a, b in itertools.pairwise(ends)]
    gathered = [jax.nn.softmax(logits[:, p], axis=-1) @ values[p] for p in pieces]
    return jnp.stack(gathered), jnp.stack(
        [jax.nn.logsumexp(logits[:, p], axis=-1) for p in pieces]
    )


def some_pieces(key):
    """Three pieces of seven positions; logarithms of sums as large as in trained networks."""
    h_key, shift_key, *keys = jax.random.split(key, 5)
    h = jax.random.normal(h_key, (7, 4))
    gathered, logs = piecewise(h, *(jax.random.normal(k, (4, 4)) for k in keys), (1, 4))
    # The same number on all exponents of a position changes no weight.
    return gathered, logs + 200 * jax.random.uniform(shift_key, (7,), minval=-1.0)[None]


def one_by_one(f):
    """Three pieces joined at once, and the first two joined before the third comes."""
    gathered, logs = some_pieces(jax.random.key(124))
    first, its_logs = f(gathered[:2], logs[:2])
    return f(gathered, logs), f(jnp.stack([first, gathered[2]]), jnp.stack([its_logs, logs[2]]))


def as_in_the_network(f):
    """The package's attention over five positions, and two pieces of it joined."""
    given = some_positions(jax.random.key(0))
    return package_attention(*given), f(*piecewise(*given, (2,)))[0]


exercise(
    "12.4",
    join,
    inputs=some_pieces,
    hints=[
        "Within its piece position j has the weight e^(…) over the sum of the piece; in the whole, e^(…) over the whole sum. By which factor is that smaller?",
        "This factor is the piece's sum over the whole sum. As a difference of logarithms it never gets too large.",
        "shares[:, :, None] has one number for all channels of a position. Sum over the pieces.",
    ],
    slips=[
        (
            "jnp.exp(logs - whole[None])",
            "jnp.exp(logs) / jnp.sum(jnp.exp(logs), axis=0)[None]",
            "e^200 is infinite in single precision. Subtract logarithms first, and take exp then.",
        ),
        (
            "jnp.exp(logs - whole[None])",
            "jnp.full(logs.shape, 1 / len(logs))",
            "Pieces don't count alike: one with a better fit has a larger sum.",
        ),
        (
            "jnp.exp(logs - whole[None])",
            "logs / jnp.sum(logs, axis=0)[None]",
            "These are shares of logarithms. The shares are those of the sums.",
        ),
        (
            "jnp.exp(logs - whole[None])",
            "jax.nn.softmax(logs, axis=1)",
            "Here shares add up to 1 over the positions. For each position they do so over the pieces.",
        ),
        (
            "jnp.exp(logs - whole[None])",
            "jnp.exp(logs - jnp.max(logs, axis=0)[None])",
            "Taking off the largest logarithm saves from overflow, but the shares do not add up to 1 yet.",
        ),
        (
            "jax.nn.logsumexp(logs, axis=0)",
            "jnp.sum(logs, axis=0)",
            "Sums are added, not their logarithms.",
        ),
        (
            "jax.nn.logsumexp(logs, axis=0)",
            "jnp.log(jnp.sum(jnp.exp(logs), axis=0))",
            "e^200 is infinite in single precision: use jax.nn.logsumexp.",
        ),
        (
            "jax.nn.logsumexp(logs, axis=0)",
            "jnp.max(logs, axis=0)",
            "That is the largest sum alone; the others are part of the whole.",
        ),
        (
            "jax.nn.logsumexp(logs, axis=0)",
            "jax.nn.logsumexp(logs, axis=0) - jnp.log(len(logs))",
            "That is the mean of the pieces' sums. The whole is their sum.",
        ),
        (
            "jnp.sum(shares[:, :, None] * gathered, axis=0)",
            "jnp.mean(shares[:, :, None] * gathered, axis=0)",
            "The shares add up to 1 already: sum over the pieces.",
        ),
        (
            "jnp.sum(shares[:, :, None] * gathered, axis=0)",
            "jnp.sum(gathered, axis=0)",
            "Each piece's weights add up to 1 by themselves: as many pieces, as many times too much.",
        ),
        (
            "jnp.exp(logs - whole[None])",
            "(logs == jnp.max(logs, axis=0)[None]) * 1.0",
            "That is the piece with the largest sum alone. The others have their shares, too.",
        ),
        (
            "jax.nn.logsumexp(logs, axis=0)",
            "jnp.mean(logs, axis=0)",
            "A mean of logarithms is no sum: use jax.nn.logsumexp.",
        ),
        (
            "jnp.exp(logs - whole[None])",
            "logs / whole[None]",
            "A piece counts as much as its sum, e^log, against the whole: not as much as the logarithm.",
        ),
    ],
    laws=[
        ("two pieces of the package's attention give the whole", as_in_the_network),
        ("pieces may be joined all at once or one by one", one_by_one),
    ],
)


def best_start(gamma_0, gamma_1, mean_square):
    """Return (the best factor, the diffusion loss with it in bits per dimension)."""
    gammas = jnp.linspace(gamma_0, gamma_1, 4001)
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(-gammas)), jnp.sqrt(jax.nn.sigmoid(gammas))
    size = jnp.trapezoid(sigma**2 + alpha**2 * mean_square, gammas)
    factor = jnp.trapezoid(sigma, gammas) / size
    error = (1 - factor * sigma) ** 2 + factor**2 * alpha**2 * mean_square
    return factor, 0.5 * jnp.trapezoid(error, gammas) / jnp.log(2)


def by_a_search(gamma_0, gamma_1, mean_square):
    """The best factor and its loss: the lowest point of a parabola through three of the package's losses."""
    none, one, two = (from_curve(gamma_0, gamma_1, mean_square, factor) for factor in (0, 1, 2))
    bend = none - 2 * one + two
    factor = (1.5 * none - 2 * one + 0.5 * two) / bend
    return factor, from_curve(gamma_0, gamma_1, mean_square, factor)


def no_factor_is_better(f):
    """The loss that f promises, and the least of many factors by the package's curve of errors."""
    found = [from_curve(-10.0, 4.0, 0.3, factor) for factor in np.linspace(0.1, 1.5, 281)]
    return f(jnp.asarray(-10.0), jnp.asarray(4.0), jnp.asarray(0.3))[1], min(found)


exercise(
    "12.5",
    best_start,
    inputs=lambda key: (
        jax.random.uniform(key, minval=-13.0, maxval=-6.0),
        jax.random.uniform(jax.random.fold_in(key, 1), minval=1.0, maxval=6.0),
        jax.random.uniform(jax.random.fold_in(key, 2), minval=0.1, maxval=2.5),
    ),
    hints=[
        "ε − factor · z = (1 − factor · σ) ε − factor · α x. Square it and take the mean; noise and data are independent.",
        "As a function of the factor the loss is a parabola: no factor, factor, factor squared, each with an integral over γ. Where is its lowest point?",
        "The best factor is E[ε z] over E[z²], both integrated over γ. A bit is log 2 nats.",
    ],
    slips=[
        (
            "jnp.trapezoid(sigma, gammas) / size",
            "jnp.trapezoid(sigma / (sigma**2 + alpha**2 * mean_square), gammas) / (gamma_1 - gamma_0)",
            "That is the mean of the best factors of the single levels. One factor for all minimises the whole integral: a ratio of two integrals.",
        ),
        (
            "factor = jnp.trapezoid(sigma, gammas) / size",
            "factor = jnp.trapezoid(sigma**2, gammas) / size",
            "The mean of ε z is σ, not σ².",
        ),
        (
            "sigma**2 + alpha**2 * mean_square, gammas",
            "sigma**2 + alpha**2, gammas",
            "The mean square of z counts the data with their own mean square.",
        ),
        (
            "sigma**2 + alpha**2 * mean_square, gammas",
            "sigma**2, gammas",
            "The factor enlarges the data in z as well; they are an error all of it.",
        ),
        (
            "sigma**2 + alpha**2 * mean_square, gammas",
            "sigma**2 + alpha**2 * mean_square**2, gammas",
            "`mean_square` is E[x²] already.",
        ),
        (
            "jnp.trapezoid(sigma, gammas) / size",
            "size / jnp.trapezoid(sigma, gammas)",
            "Upside down.",
        ),
        (
            "jnp.trapezoid(sigma, gammas) / size",
            "2 * jnp.trapezoid(sigma, gammas) / size",
            "The parabola a c² − 2 b c has its lowest point at b/a.",
        ),
        (
            "factor**2 * alpha**2 * mean_square",
            "alpha**2 * mean_square",
            "The factor stands in front of all of z, and so of the data in it too.",
        ),
        (
            "factor**2 * alpha**2 * mean_square",
            "factor * alpha**2 * mean_square",
            "Squared, the data's part has the factor squared.",
        ),
        (
            "(1 - factor * sigma) ** 2 + factor",
            "(1 - (factor * sigma) ** 2) + factor",
            "Brackets: the difference 1 − factor · σ is squared.",
        ),
        (
            "(1 - factor * sigma) ** 2",
            "1 + factor**2 * sigma**2",
            "The guess has the noise itself in it: (1 − factor · σ) ε, squared as a whole.",
        ),
        (
            "0.5 * jnp.trapezoid(error, gammas) / jnp.log(2)",
            "jnp.trapezoid(error, gammas) / jnp.log(2)",
            "The half of the bound is missing.",
        ),
        (
            "0.5 * jnp.trapezoid(error, gammas) / jnp.log(2)",
            "0.5 * jnp.trapezoid(error, gammas)",
            "These are nats; a bit is log 2 of a nat.",
        ),
        (
            "0.5 * jnp.trapezoid(error, gammas) / jnp.log(2)",
            "0.5 * jnp.mean(error) / jnp.log(2)",
            "A mean over the levels is no integral: the length of the range of γ is missing.",
        ),
        (
            "factor = jnp.trapezoid(sigma, gammas) / size",
            "factor = sigma[-1] / (sigma[-1] ** 2 + alpha[-1] ** 2 * mean_square)",
            "That is the best factor at the noisy end alone. It has to do for all levels.",
        ),
    ],
    laws=[
        (
            "of 281 factors that were tried none has a smaller loss, by the package's curve of errors",
            no_factor_is_better,
        ),
        (
            "from −13.3 to 5 and with mean square ¼ it is 9.668 bits, where the lesson's start has 9.995",
            lambda f: (
                f(jnp.asarray(-13.3), jnp.asarray(5.0), jnp.asarray(0.25))[1],
                jnp.asarray(9.66801),
            ),
        ),
    ],
    ships=by_a_search,
    # A hand-made rule of integration whose step is the difference of two gammas in single precision is right to 2e-4.
    tolerance=1e-3,
)


class Parts(NamedTuple):
    """The parts of a network."""

    width: int
    dense: tuple[Callable, ...]
    entry: Callable
    down: tuple[Callable, ...]
    middle: tuple[Callable, ...]
    up: tuple[Callable, ...]
    norm: Callable
    exit: Callable


def small_network(seed):
    """Return a network of the package with random numbers in every layer, and its parts."""
    make = partial(UNet, 3, width=8, depth=2, attention=False)
    shapes, form = jax.tree.flatten(eqx.filter_eval_shape(make, key=jax.random.key(0)))
    random = np.random.default_rng(seed)
    net = jax.tree.unflatten(
        form, [0.3 * jnp.array(random.normal(size=a.shape)) for a in shapes]
    )
    ways = net.down, net.middle, net.up
    return net, Parts(8, net.embed, net.conv_in, *ways, net.norm, net.conv_out)


def guess(parts, z, gamma, flag):
    """Return ε̂ for one latent z, which is what the network of these parts returns."""
    half = parts.width // 2
    frequencies = 10.0 ** (-4 * jnp.arange(half) / (half - 1))
    angles = 1000 * (gamma + 13.3) / 18.3 * frequencies
    told = jnp.concatenate([jnp.sin(angles), jnp.cos(angles), flag[None]])
    for dense in parts.dense:
        told = jax.nn.silu(dense(told))

    turns = jnp.multiply.outer(z, jnp.array([2.0**6, 2.0**7]))
    angles = 2 * jnp.pi * turns.reshape(*z.shape[:2], -1)
    h = parts.entry(jnp.concatenate([z, jnp.sin(angles), jnp.cos(angles)], -1))

    kept = [h]
    for block in parts.down:
        h = block(h, told)
        kept.append(h)
    for block in parts.middle:
        h = block(h, told)
    for block in parts.up:
        h = block(jnp.concatenate([h, kept.pop()], -1), told)

    return parts.exit(jax.nn.silu(parts.norm(h))) + z


FAULTS = {
    "the features": ("[2.0**6, 2.0**7]", "[2.0**7, 2.0**8]"),
    "what is kept": (
        "        h = block(h, told)\n        kept.append(h)\n",
        "        kept.append(h)\n        h = block(h, told)\n",
    ),
    "the middle": ("parts.middle:\n        h = block", "parts.middle:\n        h = h + block"),
}
CURES = {
    "the features": "The features go round twice as often as they should: the paper counts in turns of π, the program in turns of 2π.",
    "what is kept": "Count what is kept: the entry's output is there twice, and what comes out of the last block on the way in is missing.",
    "the middle": "In the middle h is added once more, although a block returns it already, by the arrow round it.",
}


def with_faults(names):
    """The slip of leaving these faults in."""
    # Without the author's marks, as in `Exercise.source`.
    lines = inspect.getsource(guess).rstrip().splitlines()
    whole = "\n".join(line for line in lines if not line.strip().startswith("### "))
    wrong = whole
    for name in names:
        wrong = wrong.replace(*FAULTS[name])
    if len(names) == 1:
        return whole, wrong, "One fault is left. " + CURES[names[0]]
    left = {2: "Two faults are left", 3: "That is the program as it was"}[len(names)]
    return whole, wrong, f"{left}. {CURES[names[0]]}"


def latents(key):
    """The parts of a network, a latent of 4×4 positions, its noise level and a flag."""
    _, parts = small_network(int(jax.random.randint(key, (), 0, 1000)))
    z_key, gamma_key, flag_key = jax.random.split(jax.random.fold_in(key, 1), 3)
    z = jax.random.normal(z_key, (4, 4, 3))
    gamma = jax.random.uniform(gamma_key, minval=-14.0, maxval=6.0)
    return parts, z, gamma, jax.random.bernoulli(flag_key).astype(float)


def put_together(parts, z, gamma, flag):
    """What the package's network of these parts returns."""
    net, _ = small_network(0)
    given = [parts.dense, parts.entry, parts.down, parts.middle, parts.up, parts.norm]
    return eqx.tree_at(
        lambda n: [n.embed, n.conv_in, n.down, n.middle, n.up, n.norm, n.conv_out],
        net,
        [*given, parts.exit],
    )(z, gamma, flag)


exercise(
    "12.6",
    guess,
    inputs=latents,
    hints=[
        "In a network just made, the last convolution is zero, so that whatever happens before it is not seen. With random numbers in "
        "every layer you can compare: first `told` with net.embedding, then what goes into the entry with fourier_features.",
        "Both may be right or wrong before the first block. What comes after is best done on paper: write down, for two blocks on the "
        "way in, what is in `kept` when the way back begins, and what a block returns if its own layers return 0.",
    ],
    slips=[with_faults(names) for n in (1, 2, 3) for names in itertools.combinations(FAULTS, n)]
    + [
        (
            "kept.pop()",
            "kept.pop(0)",
            "Skips are joined last first, like a pile: the last block is given what came right behind the entry.",
        ),
        (
            "[h, kept.pop()]",
            "[kept.pop(), h]",
            "The line that joins was right: published weights expect h first, and what was kept behind it.",
        ),
        (
            "parts.exit(jax.nn.silu(parts.norm(h))) + z",
            "parts.exit(jax.nn.silu(parts.norm(h)))",
            "The last line was right: before training it makes the guess ε̂ = z.",
        ),
        (
            "told = jax.nn.silu(dense(told))",
            "told = dense(told)",
            "The dense layers were right: each is followed by a silu.",
        ),
    ],
    laws=[
        (
            "with an exit of zeros it is ε̂ = z, as the program was with its faults: they show in a trained network alone",
            lambda f: (
                f(
                    small_network(0)[1]._replace(exit=lambda h: 0 * h[..., :3]),
                    jnp.ones((4, 4, 3)),
                    jnp.asarray(0.0),
                    jnp.asarray(0.0),
                ),
                jnp.ones((4, 4, 3)),
            ),
        ),
    ],
    ships=put_together,
    # Angles near 1000 are known to 6e-5.
    tolerance=2e-3,
)
